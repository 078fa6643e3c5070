"""HTTP connections: bytes in, a `Request` out; a `Response` in, bytes out.

`HttpServer` accepts connections and gives each a thread; each connection reads requests, has its owner answer them, and is
kept only after a request that was read to its end. Every error of framing is answered as a problem document (RFC 9457).
This module knows paths and methods, and nothing of scenes.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import socketserver
import sys
import threading
import time
import uuid
import weakref
from dataclasses import dataclass
from email.message import Message
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Optional, Protocol

from . import __version__
from .errors import GspNetworkError, RequestRefused, ServerBusy
from .settings import Settings

logger = logging.getLogger(__name__)

METHODS = {"/render": ("POST",), "/health": ("GET", "HEAD"), "/": ("GET", "HEAD")}
"""What each path takes."""

PROBLEM = "application/problem+json"
MAX_LINE = 2048
READ_BYTES, BODY_PIECE = 64 * 1024, 2**20
LINGER_BYTES, LINGER_SECONDS = 64 * 2**20, 2.0
LOG_CHARS = 200
LAST_SECONDS = 1.0


class Response(NamedTuple):
    """An answer: status, headers by name, body."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Request:
    """A request whose framing is right and whose body has arrived whole."""

    method: str
    path: str
    headers: Message  # case does not matter in its get()
    body: bytes
    id: str
    server: Any


class Owner(Protocol):
    """What connections need of the server that they belong to."""

    settings: Settings

    @property
    def closing(self) -> bool:
        """Whether no new request is taken."""

    def answer(self, request: Request) -> Response:
        """The answer to a request, errors included."""

    def count(self, name: str) -> None:
        """Add one to the count of "requests", "pictures" or "errors"."""


def problem(error: GspNetworkError, request_id: str) -> Response:
    """An error as an answer: application/problem+json (RFC 9457)."""
    status = error.status or 500
    document = {"type": error.type, "title": HTTPStatus(status).phrase, "status": status, "detail": str(error)}
    document.update(
        {name: value for name, value in (("where", error.where), ("limit", error.limit)) if value is not None}
    )
    document["request_id"] = request_id
    headers = {"Content-Type": PROBLEM}
    if status == 503:
        headers["Retry-After"] = "1"
    return Response(status, headers, json.dumps(document).encode("ascii") + b"\n")


class HttpServer(ThreadingHTTPServer):
    """Accepts connections and gives each a daemon thread that it keeps track of."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = os.name == "posix"  # elsewhere it would let two servers share a port
    allow_reuse_port = False

    def __init__(self, owner: Owner, host: str, port: int) -> None:
        self.owner = owner
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._idle: set[threading.Thread] = set()
        self._changed = threading.Condition()
        self._started: weakref.WeakSet[threading.Thread] = weakref.WeakSet()  # those that still end, too
        super().__init__((host, port), _Connection)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer's looks up the host's full name, which can take seconds
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self._serve, args=(request, client_address), name="gsp-network-connection", daemon=True
        )
        with self._changed:
            self._connections[thread] = request
            self._started.add(thread)
        try:
            thread.start()
        except RuntimeError:  # no thread to be had: the caller closes the connection
            with self._changed:
                del self._connections[thread]
            raise

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            self.process_request_thread(request, client_address)
        finally:
            with self._changed:
                self._connections.pop(threading.current_thread(), None)
                self._idle.discard(threading.current_thread())
                self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, (ConnectionError, socket.timeout)):
            logger.debug("%s went away: %s", client_address[0], type(error).__name__)
        else:
            logger.exception("connection of %s: a fault of this server", client_address[0])

    def idle(self, idle: bool) -> None:
        """Called by a connection's thread before and after it waits for a request."""
        with self._changed:
            if idle:
                self._idle.add(threading.current_thread())
                if self.owner.closing:
                    self._shut(threading.current_thread(), socket.SHUT_RD)
            else:
                self._idle.discard(threading.current_thread())

    def finish(self, deadline: float) -> None:
        """End idle connections now; wait until the others have answered, or the deadline has passed."""
        with self._changed:
            for thread in self._idle:
                self._shut(thread, socket.SHUT_RD)  # what has arrived is still read and answered
            self._changed.wait_for(lambda: not self._others(), max(deadline - time.monotonic(), 0.0))

    def abort(self) -> bool:
        """Give what still waits a moment to be answered, then break what is left; whether every thread has ended."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._others(), LAST_SECONDS):
                for thread in self._others():
                    self._shut(thread, socket.SHUT_RDWR)
            ended = self._changed.wait_for(lambda: not self._others(), LAST_SECONDS)
        for thread in list(self._started):
            if ended and thread.is_alive() and thread is not threading.current_thread():
                thread.join(LAST_SECONDS)  # it has answered, and is about to end
        return ended

    def _others(self) -> list[threading.Thread]:
        """The threads of connections; without the caller's, which may be one when a hook closes the server."""
        return [thread for thread in self._connections if thread is not threading.current_thread()]

    def _shut(self, thread: threading.Thread, how: int) -> None:
        try:
            self._connections[thread].shutdown(how)
        except OSError:
            logger.debug("a connection was gone before it was closed")


class _Connection(BaseHTTPRequestHandler):
    """One client's requests, one after the other."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer on a kept connection waits 40 ms for the client's ACK
    server: HttpServer
    request_id = ""
    unread = False
    began = 0.0

    def setup(self) -> None:
        self.timeout = self.server.owner.settings.read_timeout  # type: ignore[misc]  # the base class reads it in setup()
        super().setup()

    def handle_one_request(self) -> None:
        """Read one request, answer it, and say whether the connection is kept in `close_connection`."""
        self.close_connection = True
        self.command, self.path, self.request_version = "", "", "HTTP/1.1"
        self.unread = True  # until the request has been read whole
        self.server.idle(True)
        try:
            self.raw_requestline = self.rfile.readline(MAX_LINE + 1)
            if self.raw_requestline == b"\r\n":  # RFC 9112 2.2: ignore an empty line before a request
                self.raw_requestline = self.rfile.readline(MAX_LINE + 1)
        except (ConnectionError, socket.timeout):
            return
        finally:
            self.server.idle(False)
        if not self.raw_requestline:
            return
        self.began = time.perf_counter()
        self.request_id = uuid.uuid4().hex
        response = self._respond()
        if response is not None:
            self._answer(response)

    def _respond(self) -> Optional[Response]:
        """The answer to the request whose first line has come; None for nothing but blanks."""
        self._refusal: Optional[Response] = None
        try:
            if len(self.raw_requestline) > MAX_LINE:
                raise RequestRefused(414, "line_too_long", f"request line: expected at most {MAX_LINE} bytes")
            if not self.parse_request():
                return self._refusal  # see send_error
            request = self._read_request()
        except GspNetworkError as exc:
            return problem(exc, self.request_id)
        except socket.timeout:
            late = f"the request did not arrive within {self.timeout} s of silence"
            return problem(RequestRefused(408, "timeout", late), self.request_id)
        return self.server.owner.answer(request)

    def _read_request(self) -> Request:
        """The request, its body read whole; every check that needs no body comes before the body is read."""
        wished = self.headers.get("X-Request-Id", "")
        if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", wished):
            self.request_id = wished
        self.path = self.requestline.split()[1]  # as it was sent: the base class makes //x into /x
        path = self.path.split("?", 1)[0]
        if path not in METHODS:
            raise RequestRefused(404, "not_found", f"no such path, expected one of {', '.join(METHODS)}")
        if self.command not in METHODS[path]:
            raise RequestRefused(405, "method_not_allowed", f"{path} takes {' and '.join(METHODS[path])}")
        length = self._content_length(required=self.command == "POST")
        if self.command == "POST":
            kind = self.headers.get("Content-Type", "").split(";", 1)[0].strip().lower()
            if kind != "application/json":
                raise RequestRefused(415, "not_json", "Content-Type: expected application/json")
            if self.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
                raise RequestRefused(
                    415, "content_encoding", "Content-Encoding: expected identity, none other is taken"
                )
        if self.server.owner.closing:
            raise ServerBusy("the server is shutting down")
        expected = self.headers.get("Expect", "")
        if expected.lower() not in ("", "100-continue"):
            raise RequestRefused(417, "expectation_failed", "Expect: only 100-continue is known")
        if expected and length:
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._read_body(length)
        if len(body) < length:
            raise RequestRefused(
                400, "incomplete_body", f"body: {len(body)} bytes, expected {length} as Content-Length says"
            )
        self.unread = False
        return Request(self.command, path, self.headers, body, self.request_id, self.server.owner)

    def _read_body(self, length: int) -> bytes:
        """The body, or what came of it; memory is taken as bytes arrive, not as they are announced."""
        pieces = []
        while length > 0:
            piece = self.rfile.read(min(length, BODY_PIECE))
            if not piece:
                break
            pieces.append(piece)
            length -= len(piece)
        return b"".join(pieces)

    def _content_length(self, required: bool) -> int:
        if self.headers.get_all("Transfer-Encoding"):
            raise RequestRefused(501, "transfer_encoding", "Transfer-Encoding: not taken, send a Content-Length")
        lengths = self.headers.get_all("Content-Length", [])
        if not lengths:
            if required:
                raise RequestRefused(411, "length_required", "Content-Length: missing")
            return 0
        if len(lengths) > 1 or not re.fullmatch(r"[0-9]{1,15}", lengths[0]):
            raise RequestRefused(400, "bad_content_length", "Content-Length: expected one number of bytes")
        most = self.server.owner.settings.max_body_bytes
        if int(lengths[0]) > most:
            raise RequestRefused(
                413,
                "body_too_large",
                f"body: {int(lengths[0])} bytes, expected at most {most} (setting max_body_bytes)",
                "max_body_bytes",
            )
        return int(lengths[0])

    def handle_expect_100(self) -> bool:
        """Nothing yet: 100 is sent when all checks have passed, just before the body is read."""
        return True

    def send_error(self, code: int, message: Optional[str] = None, explain: Optional[str] = None) -> None:
        """Called by `parse_request` for what is no HTTP request: keeps the answer for `_respond`."""
        refused = RequestRefused(code, "bad_request", message or HTTPStatus(code).phrase)
        self._refusal = problem(refused, self.request_id)

    def _answer(self, response: Response) -> None:
        """Write the answer in one piece; end the connection where the request was not read to its end."""
        if self.unread or self.server.owner.closing:
            self.close_connection = True
        headers = {
            "Date": formatdate(usegmt=True),
            "Server": f"gsp_network/{__version__}",
            **response.headers,
            "Content-Length": str(len(response.body)),
            "X-Request-Id": self.request_id,
            "X-Content-Type-Options": "nosniff",
        }
        if response.status == 405:
            headers["Allow"] = ", ".join(METHODS[self.path.split("?", 1)[0]])
        if self.close_connection:
            headers["Connection"] = "close"
        elif self.request_version == "HTTP/1.0":
            headers["Connection"] = "keep-alive"
        head = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in headers.items()
        )
        self._log(response)
        self.connection.settimeout(self.server.owner.settings.write_timeout)
        self.wfile.write(head.encode("latin-1") + b"\r\n" + (b"" if self.command == "HEAD" else response.body))
        self.connection.settimeout(self.timeout)
        if self.unread:
            self._linger()

    def _linger(self) -> None:
        """Read on for a while after an early answer: closing on unread bytes resets the connection, and the answer is lost."""
        deadline, left = time.monotonic() + LINGER_SECONDS, LINGER_BYTES
        try:
            self.connection.shutdown(socket.SHUT_WR)
            while left > 0 and time.monotonic() < deadline:
                self.connection.settimeout(max(deadline - time.monotonic(), 0.01))
                received = len(self.connection.recv(READ_BYTES))
                if not received:
                    return
                left -= received
        except OSError as exc:
            logger.debug("%s went away: %s", self.client_address[0], type(exc).__name__)

    def _log(self, response: Response) -> None:
        owner = self.server.owner
        owner.count("requests")
        if response.status == 200 and response.headers.get("Content-Type") == "image/png":
            owner.count("pictures")
        if response.status >= 400:
            owner.count("errors")
        told = ""
        if response.headers.get("Content-Type") == PROBLEM:
            told = f" {json.loads(response.body)['detail'][:LOG_CHARS]!r}"
        logger.log(
            logging.ERROR if response.status == 500 else logging.INFO,  # what a client does wrong is no trouble
            "%s %r %d, %d bytes, %.1f ms, request %s%s",
            self.client_address[0],
            f"{self.command or ''} {self.path}"[:LOG_CHARS],
            response.status,
            len(response.body),
            1000 * (time.perf_counter() - self.began),
            self.request_id,
            told,
        )
