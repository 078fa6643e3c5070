"""One HTTP request: kept connections, one total deadline, every failure an error of ours. Standard library only.

What a server sends is not trusted: no redirects, no schemes but http and https, no answer beyond a size, no picture that is
not whole.
"""

from __future__ import annotations

import http.client
import io
import json
import selectors
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from typing import Any, NamedTuple, Optional

from . import __version__
from .errors import BadResponse, DeadlineExceeded, InvalidScene, ServerError, ServerUnreachable
from .settings import is_loopback

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
READ_BYTES = 2**20
DETAIL_CHARS = 2000  # of a server's own words
PROXY_PASSWORD = "Proxy-authorization"  # as urllib.request spells it
# The picture of the largest canvas that a server draws by default, uncompressed, is 64 MiB.
MAX_ANSWER_BYTES = 256 * 2**20
START_HINT = "start one with: python -m gsp_network.server"


class Answer(NamedTuple):
    """A server's answer: status, headers, body."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Transport:
    """Sends requests to one server; threads may share it.

    Args:
        base_url: ``http://host:port`` or https, with or without a path before ``/render``.
        timeout: seconds for a whole request, connecting and receiving included.
        max_answer_bytes: the largest body that is accepted.
    Raises:
        InvalidScene: a URL or timeout that is none.
    """

    def __init__(self, base_url: str, timeout: float = 60.0, max_answer_bytes: int = MAX_ANSWER_BYTES) -> None:
        self.base_url = check_base_url(base_url)
        if (
            isinstance(timeout, bool)
            or not isinstance(timeout, (int, float))
            or not 0 < timeout <= threading.TIMEOUT_MAX
        ):
            raise InvalidScene("timeout", f"{timeout!r}, expected seconds above 0")
        self.timeout = timeout
        self.max_answer_bytes = max_answer_bytes
        host = urllib.parse.urlsplit(self.base_url).hostname or ""
        self._connections = _Connections()
        self._opener = urllib.request.OpenerDirector()  # not build_opener: that brings redirects, file: and ftp:
        self._opener.add_handler(urllib.request.ProxyHandler({} if is_loopback(host) else None))
        self._opener.add_handler(self._connections)
        self._opener.addheaders = [("User-Agent", f"gsp_network/{__version__}")]

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        """POST `body` to `path` below the base URL.

        Raises:
            ServerUnreachable: no connection, or it broke.
            DeadlineExceeded: no whole answer within the timeout.
            BadResponse: an answer that is not HTTP, not whole, or too large.
        """
        deadline = time.monotonic() + self.timeout
        request = urllib.request.Request(self.base_url + path, body, headers, method="POST")
        request.deadline = deadline  # type: ignore[attr-defined]
        try:
            response = self._opener.open(request, timeout=self.timeout)
            if response is None:
                raise ServerUnreachable(f"{self.base_url}: the proxy that the environment names is none for http")
            try:
                return self._read(response, deadline)
            except BaseException:
                response.drop()
                raise
        except socket.timeout as exc:
            raise DeadlineExceeded(f"{self.base_url}: no whole answer within {self.timeout} s") from exc
        except urllib.error.URLError as exc:
            raise ServerUnreachable(f"{self.base_url}: {exc.reason}") from exc
        except ConnectionRefusedError as exc:
            raise ServerUnreachable(f"{self.base_url}: no server answers there; {START_HINT}") from exc
        except OSError as exc:
            raise ServerUnreachable(
                f"{self.base_url}: {exc.strerror or exc or type(exc).__name__}; is a server there? {START_HINT}"
            ) from exc
        except http.client.HTTPException as exc:  # after OSError: RemoteDisconnected is both, and no answer
            raise BadResponse(f"{self.base_url}: not an HTTP answer ({type(exc).__name__})") from exc

    def _read(self, response: _Kept, deadline: float) -> Answer:
        announced = response.length
        if announced is not None and announced > self.max_answer_bytes:
            raise BadResponse(
                f"{self.base_url}: an answer of {announced} bytes, expected at most {self.max_answer_bytes}"
            )
        pieces, size = [], 0
        while True:
            if time.monotonic() > deadline:
                raise socket.timeout
            piece = response.read1(READ_BYTES)
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
            if size > self.max_answer_bytes:
                raise BadResponse(f"{self.base_url}: an answer of over {self.max_answer_bytes} bytes")
        if announced is not None and size != announced:
            raise BadResponse(f"{self.base_url}: the answer ended after {size} of {announced} bytes")
        self._connections.keep(response)
        return Answer(response.status, response.headers, b"".join(pieces))

    def close(self) -> None:
        """Close the kept connections; a later request opens one for itself."""
        self._connections.close()


class _Deadline(io.RawIOBase):
    """A socket's receiving side on which every wait ends at the deadline, however the bytes trickle."""

    def __init__(self, sock: socket.socket, held: Any, deadline: float) -> None:
        self._socket, self._held, self._deadline = sock, held, deadline

    def close(self) -> None:
        self._held.close()
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout
        self._socket.settimeout(left)
        return self._socket.recv_into(buffer)


class _Kept(http.client.HTTPResponse):
    """A response that knows its connection and reads under the request's deadline."""

    connection: http.client.HTTPConnection
    key: tuple[Any, ...]

    def drop(self) -> None:
        """Close the connection: what is left on it is not to be read."""
        self.close()
        self.connection.close()


def _is_silent(connection: http.client.HTTPConnection) -> bool:
    """Whether nothing has come on an idle connection: neither its end nor an answer that nobody asked for."""
    with selectors.DefaultSelector() as selector:
        selector.register(connection.sock, selectors.EVENT_READ)
        return not selector.select(0)


class _Connections(urllib.request.HTTPHandler):
    """urllib's handlers of http and https, on connections that are kept; urllib's own close theirs after each request."""

    def __init__(self) -> None:
        super().__init__()
        self._idle: dict[tuple[Any, ...], list[http.client.HTTPConnection]] = {}
        self._closed = False
        self._lock = threading.Lock()

    def http_open(self, request: urllib.request.Request) -> Any:
        return self._send(request, http.client.HTTPConnection)

    def https_open(self, request: urllib.request.Request) -> Any:
        return self._send(request, http.client.HTTPSConnection)

    https_request = urllib.request.HTTPHandler.http_request

    def _send(self, request: urllib.request.Request, connection_class: type[http.client.HTTPConnection]) -> Any:
        key = (connection_class, request.host, getattr(request, "_tunnel_host", None))
        with self._lock:
            idle = self._idle.get(key)
            kept = idle.pop() if idle else None
        if kept is not None:
            try:
                if _is_silent(kept):
                    return self._exchange(kept, request, key)
            except (ConnectionError, http.client.BadStatusLine):
                pass  # the server closed it just now: once more on a new one, since a render has no side effect
            kept.close()
        connection = connection_class(request.host, timeout=request.timeout)
        if key[2]:
            password = request.headers.pop(PROXY_PASSWORD, None)  # the proxy's alone, not for what lies behind it
            connection.set_tunnel(key[2], headers={PROXY_PASSWORD: password} if password else {})
        return self._exchange(connection, request, key)

    def _exchange(self, connection: http.client.HTTPConnection, request: Any, key: tuple[Any, ...]) -> Any:
        deadline: float = request.deadline
        made: list[_Kept] = []
        headers = {**request.unredirected_hdrs, **request.headers}

        def response_class(
            sock: socket.socket, debuglevel: int = 0, method: Optional[str] = None, url: Optional[str] = None
        ) -> _Kept:
            response = _Kept(sock, debuglevel, method, url)
            # Ours holds http.client's own file: while that is open, the socket outlives its connection's close().
            response.fp = io.BufferedReader(_Deadline(sock, response.fp, deadline), 2**16)
            response.connection, response.key = connection, key
            made.append(response)
            return response

        left = deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout
        connection.timeout = left
        if connection.sock is not None:
            connection.sock.settimeout(left)
        connection.response_class = response_class  # type: ignore[assignment]
        try:
            try:
                connection.request(request.get_method(), request.selector, request.data, headers)
            except (BrokenPipeError, ConnectionResetError, ConnectionAbortedError) as broken:
                if connection.sock is None:
                    raise
                # The server may have said why before it closed on the rest of the body.
                try:
                    return connection.getresponse()
                except (OSError, http.client.HTTPException):
                    raise broken from None
            return connection.getresponse()
        except BaseException:
            for response in made:  # Python 3.9 leaves the answer of a tunnel that failed open
                response.close()
            connection.close()
            raise

    def keep(self, response: _Kept) -> None:
        """Keep a connection whose answer was read whole, unless the server closes it."""
        if response.will_close or response.connection.sock is None:
            response.drop()
            return
        response.close()
        with self._lock:
            if not self._closed:
                self._idle.setdefault(response.key, []).append(response.connection)
                return
        response.drop()

    def close(self) -> None:
        """Close the idle connections now, and those in use when their answer has been read."""
        with self._lock:
            self._closed = True
            connections = [connection for idle in self._idle.values() for connection in idle]
            self._idle.clear()
        for connection in connections:
            connection.close()


def check_base_url(url: Any) -> str:
    """A server's base URL without its trailing slash; InvalidScene for what is none, or not http or https."""
    if not isinstance(url, str):
        raise InvalidScene("server_base_url", f"{type(url).__name__}, expected text such as http://127.0.0.1:5000")
    try:
        parts = urllib.parse.urlsplit(url)
        (parts.hostname or "").encode("idna")
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid or any(char in "?#@%" or not "!" <= char <= "~" for char in url):
        shown = "..." + url.rsplit("@", 1)[1][:200] if "@" in url else url[:200]  # what is before it may be a password
        raise InvalidScene(
            "server_base_url", f"{shown!r}, expected http or https with a host, such as http://127.0.0.1:5000"
        )
    return url.rstrip("/")


def picture_of(answer: Answer, where: str) -> bytes:
    """The PNG in an answer.

    Raises:
        ServerError: the answer is an error, with what its problem document says.
        BadResponse: it is something else than a whole PNG.
    """
    if answer.status != 200:
        raise _server_error(answer)
    reason = png_fault(answer.body)
    if reason:
        kind = answer.headers.get("Content-Type", "no type")
        raise BadResponse(f"{where}: not a picture ({kind[:80]!r}): {reason}")
    return answer.body


def _server_error(answer: Answer) -> ServerError:
    facts: dict[str, Any] = {}
    if answer.headers.get_content_type() == "application/problem+json":
        try:
            document = json.loads(answer.body)
            facts = document if isinstance(document, dict) else {}
        except (ValueError, RecursionError):
            facts = {}

    def text(name: str) -> Optional[str]:
        value = facts.get(name)
        if not isinstance(value, str):
            return None
        return "".join(char if char.isprintable() or char == "\n" else "?" for char in value[:DETAIL_CHARS])

    message = (
        text("detail")
        or f"the server answered {answer.status} {http.client.responses.get(answer.status, '')}".rstrip()
        + " and no reason"
    )
    request_id = text("request_id") or answer.headers.get("X-Request-Id")
    return ServerError(answer.status, message, text("type") or "server_error", text("where"), text("limit"), request_id)


def png_fault(data: bytes) -> str:
    """Why `data` is not one whole PNG (ISO/IEC 15948): its signature, its chunks and their checksums; empty where it is."""
    if not data.startswith(PNG_SIGNATURE):
        return "no PNG signature"
    view, position = memoryview(data), len(PNG_SIGNATURE)
    kind = b""
    while position + 12 <= len(data) and kind != b"IEND":
        length = int.from_bytes(view[position : position + 4], "big")
        end = position + 12 + length
        kind = bytes(view[position + 4 : position + 8])
        if end > len(data):
            return f"cut off inside its chunk {kind!r}"
        if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            return f"chunk {kind!r} is damaged"
        if position == len(PNG_SIGNATURE) and kind != b"IHDR":
            return "its first chunk is not IHDR"
        position = end
    if kind != b"IEND" or position != len(data):
        return "it does not end with IEND"
    return ""
