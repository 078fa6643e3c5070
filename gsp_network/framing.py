"""One HTTP connection: bytes in, a `Request` out; a `Response` in, bytes out.

A connection reads requests, has its server's owner answer them, and is kept only after a request that was read to its end. Every
wait has a deadline for the whole of what it waits for, so that a client that trickles is no better off than a silent one. Every
error of framing is answered as a problem document (RFC 9457). This module knows paths and methods, and nothing of scenes.
"""

from __future__ import annotations

import json
import logging
import re
import select
import socket
import socketserver
import time
import uuid
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Protocol, Union

from .admission import Access, Room
from .deadlines import left
from .errors import GspNetworkError, RequestRefused, ServerBusy
from .head import Fields, Head, length_of_body, length_of_head, parse_head
from .settings import OFFER_HEADER, PACKED_KIND, PACKED_MAGIC, Settings, is_loopback

if TYPE_CHECKING:
    import ssl

logger = logging.getLogger(__name__)

METHODS = {
    "/render": ("POST",),
    "/health": ("GET", "HEAD"),
    "/metrics": ("GET", "HEAD"),
    "/": ("GET", "HEAD"),
    "/shutdown": ("POST",),
}
"""What each path takes."""

OPEN_PATHS = ("/health",)
"""What is answered without a token, to a stranger in fewer words."""

OWN_PATHS = ("/shutdown",)
"""For who has started the server, or runs as the same user: `Owner.check_own` decides, and no token opens it."""

PROBLEM = "application/problem+json"
READ_BYTES, BODY_PIECE, WRITE_PIECE = 64 * 1024, 2**20, 2**20
LEAST_PIECE = 4096  # of a body that comes in drops
LINGER_BYTES, LINGER_SECONDS = 64 * 2**20, 2.0
LINE_SHOWN = 400  # bytes of a request line that are kept for the log


class Response(NamedTuple):
    """An answer: status, headers by name, body, and the error that it tells of, for the log."""

    status: int
    headers: dict[str, str]
    body: bytes
    error: Optional[GspNetworkError] = None


@dataclass(frozen=True)
class Request:
    """A request whose framing is right and whose body has arrived whole.

    Attributes:
        trusted: whether the client has shown a token, or needs none.
    """

    method: str
    path: str
    headers: Fields
    body: bytes
    id: str
    server: Any
    trusted: bool = True


@dataclass(frozen=True)
class Exchange:
    """A request and its answer in figures, for log and metrics; `line` is the client's own words, not escaped."""

    address: str
    line: str
    id: str
    response: Response
    received: int
    seconds: float


class Owner(Protocol):
    """What connections need of the server that they belong to."""

    settings: Settings
    access: Access
    room: Room

    @property
    def closing(self) -> bool:
        """Whether no new request is taken."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The media types that bodies may have."""

    def turn(self) -> None:
        """Called by the accepting thread, ten times a second where nothing happens."""

    def check_own(self, head: Head, is_near: bool) -> None:
        """Refuse who may not stop the server, by AccessDenied; `is_near` says whether the client is on this machine."""

    def check_room(self, head: Head) -> None:
        """Refuse a scene for which there is no place, as far as its head tells, by ServerBusy."""

    def answer(self, request: Request) -> Response:
        """The answer to a request, errors included."""

    def finished(self, exchange: Exchange) -> None:
        """Called for every answer before it is sent."""


class Listener(Protocol):
    """What a connection needs of the server that accepted it."""

    owner: Owner
    tls: Optional[ssl.SSLContext]

    def idle(self, idle: bool) -> None:
        """Called before and after it waits for a request."""

    def wrapped(self, connection: socket.socket) -> None:
        """Called when TLS has made another socket of its own."""


def problem(error: GspNetworkError, request_id: str) -> Response:
    """An error as an answer: application/problem+json (RFC 9457)."""
    status = error.status or 500
    phrase = HTTPStatus(status).phrase
    document: dict[str, Any] = {"type": error.type, "title": phrase, "status": status, "detail": str(error)}
    facts = {"where": error.where, "limit": error.limit, "missing": error.missing}
    document.update({name: value for name, value in facts.items() if value is not None})
    document["request_id"] = request_id
    headers = {"Content-Type": PROBLEM}
    if status == 503:
        headers["Retry-After"] = "1"
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.type == "content_encoding":
        headers["Accept-Encoding"] = "identity"
    return Response(status, headers, json.dumps(document).encode("ascii") + b"\n", error)


def bytes_of(response: Response, id: str, headers: dict[str, str]) -> bytes:
    """An answer's head as it is sent, with its empty line."""
    told = {
        "Date": formatdate(usegmt=True),
        "Server": "gsp_network",  # its version is for those who may know
        **response.headers,
        "Content-Length": str(len(response.body)),
        "X-Request-Id": id,
        "X-Content-Type-Options": "nosniff",
        **headers,
    }
    head = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in told.items()
    )
    return head.encode("latin-1") + b"\r\n"


def shut(connection: socket.socket, how: int) -> None:
    try:
        # Not SSLSocket's, after which its other threads would go on in clear text.
        socket.socket.shutdown(connection, how)
    except OSError:
        logger.debug("a connection was gone before it was closed")


def readable(sockets: list[socket.socket], seconds: float) -> list[socket.socket]:
    """Those on which something has come, or their end, after at most so long a wait."""
    if not hasattr(select, "poll"):
        return select.select(sockets, [], [], seconds)[0]
    poller = select.poll()  # select() knows descriptors up to 1023 only
    for one in sockets:
        poller.register(one, select.POLLIN)
    found = {number for number, _ in poller.poll(1000 * seconds)}
    return [one for one in sockets if one.fileno() in found]


def plain_address(address: str) -> str:
    """An IPv4 address that came in through an IPv6 socket as what it is."""
    return address[len("::ffff:") :] if address.startswith("::ffff:") and "." in address else address


class Connection(socketserver.BaseRequestHandler):
    """One client's requests, one after the other."""

    server: Listener  # type: ignore[assignment]  # an HttpServer, which is a BaseServer too

    def setup(self) -> None:
        self._connection: socket.socket = self.request
        # Else each answer on a kept connection waits 40 ms for the client's ACK.
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self._received = bytearray()  # and not used yet
        self._settings = self.server.owner.settings

    def handle(self) -> None:
        deadline = time.monotonic() + self._settings.head_timeout
        if self.server.tls is not None:
            self._connection.settimeout(self._settings.head_timeout)
            wrapped = self.server.tls.wrap_socket(self._connection, server_side=True, do_handshake_on_connect=False)
            self._connection = wrapped
            self.server.wrapped(wrapped)
            wrapped.do_handshake()
        first = True
        while self._one(deadline, first):
            first = False
            deadline = time.monotonic() + self._settings.idle_timeout

    def _one(self, deadline: float, first: bool) -> bool:
        """Read one request and answer it; whether the connection is kept."""
        self._id = uuid.uuid4().hex
        self._head: Optional[Head] = None
        self._line = ""
        self._unread = True  # until the request has been read whole
        self._arrived = 0  # bytes of the body
        self._began = time.perf_counter()
        try:
            if not self._wait(deadline, first):
                return False
            self._began = time.perf_counter()
            head_deadline = deadline if first else time.monotonic() + self._settings.head_timeout
            if not self._read_head(head_deadline):
                return False
            response = self._respond()
        except GspNetworkError as exc:
            response = problem(exc, self._id)
        except socket.timeout:
            name = "head_timeout" if self._head is None else "body_timeout"
            seconds = getattr(self._settings, name)
            late = f"{name.split('_')[0]}: not whole within {seconds} s (setting {name})"
            response = problem(RequestRefused(408, "timeout", late, name), self._id)
        except MemoryError:
            response = problem(ServerBusy("no memory for this body"), self._id)
        return self._answer(response)

    def _wait(self, deadline: float, first: bool) -> bool:
        """Wait for a request to begin; False where the client has gone, or has kept an idle connection long enough."""
        if self._received:
            return True
        self.server.idle(True)
        try:
            return self._receive(READ_BYTES, deadline)
        except socket.timeout:
            if first:  # it has connected and said nothing: it may still wait for an answer
                raise
            return False
        except OSError:
            return False
        finally:
            self.server.idle(False)

    def _receive(self, most: int, deadline: float) -> bool:
        """Add what comes to `_received`; False at the end; socket.timeout at the deadline, however the bytes trickle."""
        self._connection.settimeout(left(deadline))
        piece = self._connection.recv(most)
        self._received += piece
        return bool(piece)

    def _read_head(self, deadline: float) -> bool:
        """Read a head; False where the client has left before it was whole, or sent nothing but an empty line."""
        begun, scanned = False, 0
        while True:
            if not begun and self._received != b"\r":  # whose LF is still to come
                begun = True
                if self._received[:2] == b"\r\n":  # RFC 9112 2.2: ignore one empty line before a request
                    del self._received[:2]
            self._line = bytes(self._received[:LINE_SHOWN]).split(b"\r\n", 1)[0].decode("latin-1")
            size = length_of_head(bytes(self._received), scanned) if begun else 0
            if size:
                break
            scanned = len(self._received) if begun else 0
            if not self._receive(READ_BYTES, deadline):
                return False
        data = bytes(self._received[:size])
        del self._received[:size]
        head = self._head = parse_head(data)
        wished = head.fields.get("X-Request-Id", "") or ""
        if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", wished):
            self._id = wished
        return True

    def _respond(self) -> Response:
        """The answer to the request whose head has come; every check that needs no body comes before the body is read."""
        owner, head = self.server.owner, self._head
        if head is None:
            raise GspNetworkError("a connection without a head")
        owner.access.check_host(head)
        owner.access.check_origin(head)
        if head.path not in METHODS:
            raise RequestRefused(404, "not_found", f"no such path, expected one of {', '.join(METHODS)}")
        if head.method not in METHODS[head.path]:
            methods = " and ".join(METHODS[head.path])
            raise RequestRefused(405, "method_not_allowed", f"{head.path} takes {methods}")
        if head.path in OWN_PATHS:
            owner.check_own(head, self._is_near())
        elif head.path not in OPEN_PATHS:
            owner.access.check_token(head)
        length = length_of_body(head, self._settings.max_body_bytes)
        kind = _kind_of(head, owner.kinds) if head.method == "POST" else ""
        expected = head.fields.get("Expect") or ""
        if expected.lower() not in ("", "100-continue"):
            raise RequestRefused(417, "expectation_failed", "Expect: only 100-continue is known")
        if owner.closing:
            raise ServerBusy("the server is shutting down")
        if head.path != "/render":  # a body here is none of ours: the connection ends with it unread
            self._unread = length > 0
            return self._hand_over(head, b"")
        owner.check_room(head)
        with owner.room.for_body(length):
            if expected and length and head.minor >= 1:  # RFC 9110 10.1.1: HTTP/1.0 knows no 100
                self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = self._read_body(length)
            self._unread = False
            if body.startswith(PACKED_MAGIC) != (kind == PACKED_KIND):
                raise RequestRefused(400, "bad_request", f"body: does not begin as {kind} does")
            return self._hand_over(head, body)

    def _is_near(self) -> bool:
        """Whether the client is on this machine: at a loopback address, or at the very one under which it asks."""
        peer = self.client_address[0]
        return is_loopback(plain_address(peer)) or peer == self._connection.getsockname()[0]

    def _hand_over(self, head: Head, body: bytes) -> Response:
        owner = self.server.owner
        trusted = head.path not in OPEN_PATHS or owner.access.knows(head)  # elsewhere the token was checked
        return owner.answer(Request(head.method, head.path, head.fields, body, self._id, owner, trusted))

    def _read_body(self, length: int) -> bytes:
        """The body; memory is taken as bytes arrive, not as they are announced.

        Raises:
            RequestRefused: it ended early.
        """
        deadline = time.monotonic() + self._settings.body_timeout
        pieces = [bytes(self._received[:length])]
        del self._received[:length]
        self._arrived = len(pieces[0])
        while self._arrived < length:
            if not self._receive(min(length - self._arrived, BODY_PIECE), deadline):
                found = f"body: {self._arrived} bytes, expected {length} as Content-Length says"
                raise RequestRefused(400, "incomplete_body", found)
            if len(pieces[-1]) < LEAST_PIECE:  # each takes more than its bytes
                pieces[-1] += self._received
            else:
                pieces.append(bytes(self._received))
            self._arrived += len(self._received)
            self._received.clear()
        return b"".join(pieces)

    def _answer(self, response: Response) -> bool:
        """Send the answer in one write; whether the connection is kept, which it is only after a request in perfect order."""
        head = self._head
        more = self._unread or self._has_more()
        kept = head is not None and head.keeps and not (more or self.server.owner.closing)
        seconds = time.perf_counter() - self._began
        phases = response.headers.get("Server-Timing", "")
        headers = {"Server-Timing": f"{phases}{', ' if phases else ''}total;dur={1000 * seconds:.1f}"}
        if response.status == 405 and head is not None:
            headers["Allow"] = ", ".join(METHODS[head.path])
        if head is not None and head.path == "/render":
            headers[OFFER_HEADER] = ", ".join(self.server.owner.kinds)
        if not kept:
            headers["Connection"] = "close"
        elif head is not None and head.minor == 0:
            headers["Connection"] = "keep-alive"
        address = plain_address(self.client_address[0])
        self.server.owner.finished(Exchange(address, self._line, self._id, response, self._arrived, seconds))
        body = memoryview(b"" if head is not None and head.method == "HEAD" else response.body)
        # One write for what is small; what is large is not copied for that.
        self._send(bytes_of(response, self._id, headers) + bytes(body[:WRITE_PIECE]), body[WRITE_PIECE:])
        if more:
            self._linger()
        return kept

    def _has_more(self) -> bool:
        """Whether bytes follow the request already: pipelined ones are not answered, and the connection ends."""
        if self._received:
            return True
        if hasattr(self._connection, "pending") and self._connection.pending():
            return True
        return bool(readable([self._connection], 0.0))

    def _send(self, *pieces: Union[bytes, memoryview]) -> None:
        deadline = time.monotonic() + self._settings.write_timeout
        for piece in pieces:
            view = memoryview(piece)
            while view:
                self._connection.settimeout(left(deadline))
                view = view[self._connection.send(view[:WRITE_PIECE]) :]

    def _linger(self) -> None:
        """Read on for a while after an early answer: closing on unread bytes resets the connection, and the answer is lost."""
        deadline, most = time.monotonic() + LINGER_SECONDS, LINGER_BYTES
        try:
            shut(self._connection, socket.SHUT_WR)
            while most > 0:
                self._connection.settimeout(left(deadline))
                received = len(self._connection.recv(READ_BYTES))
                if not received:
                    return
                most -= received
        except OSError as exc:  # the deadline, too
            logger.debug("%s went away: %s", self.client_address[0], type(exc).__name__)


def _kind_of(head: Head, taken: tuple[str, ...]) -> str:
    """The type of a body: one that no web page can send elsewhere without asking. Others are refused, and compressed bodies."""
    kind = (head.fields.get("Content-Type") or "").split(";", 1)[0].strip().lower()
    if kind not in taken:
        raise RequestRefused(415, "not_json", f"Content-Type: expected {' or '.join(taken)}")
    if (head.fields.get("Content-Encoding") or "identity").lower() != "identity":
        raise RequestRefused(415, "content_encoding", "Content-Encoding: expected identity, none other is taken")
    return kind
