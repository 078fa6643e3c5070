"""The client's connections: urllib's handlers of http and https, but each connection is kept for the next request.

Every wait ends at the request's deadline, over https no certificate passes that does not verify, and a connection that does not
come about is told with what to do about it. Standard library only.
"""

from __future__ import annotations

import functools
import http.client
import io
import os
import selectors
import socket
import threading
import urllib.request
from typing import Any, Callable, Optional, Union

from .commands import calling
from .deadlines import ReceivingSide, connecting, left, verifying_context
from .errors import InvalidScene, kind_of

try:
    import ssl  # http.client has loaded it already
except ImportError:  # a Python that was built without OpenSSL: http alone
    ssl = None  # type: ignore[assignment]

PROXY_PASSWORD = "Proxy-authorization"  # as urllib.request spells it
# What helps against a certificate that does not verify, by OpenSSL's X509_V_ERR_... number; else cafile does.
CERTIFICATE_REMEDIES = {
    9: "is this machine's clock right?",
    10: "the server needs a new one",
    62: "ask by a name that the certificate holds",
    64: "ask by an address that the certificate holds",
}
CAFILE_REMEDY = "to trust the server's own, give its PEM file as cafile="

PathLike = Union[str, "os.PathLike[str]"]


class Kept(http.client.HTTPResponse):
    """A response that knows its connection and reads under the request's deadline."""

    connection: http.client.HTTPConnection
    key: tuple[Any, ...]

    def drop(self) -> None:
        """Close the connection: what is left on it is not to be read."""
        self.close()
        self.connection.close()


def _is_silent(connection: http.client.HTTPConnection) -> bool:
    """Whether nothing has come on an idle connection: neither its end nor an answer that nobody asked for."""
    if ssl is not None and isinstance(connection.sock, ssl.SSLSocket) and connection.sock.pending():
        return False  # received with the last answer, and deciphered with it
    with selectors.DefaultSelector() as selector:
        selector.register(connection.sock, selectors.EVENT_READ)
        return not selector.select(0)


class Connections(urllib.request.HTTPHandler):
    """urllib's handlers of http and https, on connections that are kept; urllib's own close theirs after each request."""

    def __init__(self, tls_context: Any) -> None:
        super().__init__()
        self._tls_context = tls_context
        self._idle: dict[tuple[Any, ...], list[http.client.HTTPConnection]] = {}
        self._closed = False
        self._lock = threading.Lock()

    def http_open(self, request: urllib.request.Request) -> Any:
        return self._send(request, http.client.HTTPConnection)

    def https_open(self, request: urllib.request.Request) -> Any:
        if self._tls_context is None:
            self._tls_context = tls_context(None)  # a proxy for http that is itself reached by https
        return self._send(request, functools.partial(http.client.HTTPSConnection, context=self._tls_context))

    https_request = urllib.request.HTTPHandler.http_request

    def _send(self, request: urllib.request.Request, connect: Callable[..., http.client.HTTPConnection]) -> Any:
        key = (request.type, request.host, getattr(request, "_tunnel_host", None))
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
        connection = connect(request.host, timeout=request.timeout)
        if key[2]:
            password = request.headers.pop(PROXY_PASSWORD, None)  # the proxy's alone, not for what lies behind it
            connection.set_tunnel(key[2], headers={PROXY_PASSWORD: password} if password else {})
        return self._exchange(connection, request, key)

    def _exchange(self, connection: http.client.HTTPConnection, request: Any, key: tuple[Any, ...]) -> Any:
        deadline: float = request.deadline
        made: list[Kept] = []
        headers = {**request.unredirected_hdrs, **request.headers}

        def response_class(
            sock: socket.socket, debuglevel: int = 0, method: Optional[str] = None, url: Optional[str] = None
        ) -> Kept:
            response = Kept(sock, debuglevel, method, url)
            response.fp = io.BufferedReader(ReceivingSide(sock, response.fp, deadline), 2**16)
            response.connection, response.key = connection, key
            made.append(response)
            return response

        connection.response_class = response_class  # type: ignore[assignment]
        connection._create_connection = connecting(deadline)  # type: ignore[attr-defined]
        try:
            if connection.sock is None:
                connection.connect()
            try:
                return self._converse(connection, request, headers)
            except OSError as exc:
                if _is_tls_end(exc):
                    raise ConnectionResetError("the server closed the connection") from exc
                raise
        except BaseException:
            for response in made:  # Python 3.9 leaves the answer of a tunnel that failed open
                response.close()
            connection.close()
            raise

    def _converse(self, connection: http.client.HTTPConnection, request: Any, headers: dict[str, str]) -> Any:
        """Send a request on an open connection, and receive the head of its answer."""
        connection.sock.settimeout(left(request.deadline))  # of sending the body whole, be it over TLS
        try:
            connection.request(request.get_method(), request.selector, request.data, headers)
        except OSError as broken:
            ended = isinstance(broken, (BrokenPipeError, ConnectionResetError, ConnectionAbortedError))
            if connection.sock is None or not (ended or _is_tls_end(broken)):
                raise
            # The server may have said why before it closed on the rest of the body.
            try:
                return connection.getresponse()
            except (OSError, http.client.HTTPException):
                raise broken from None
        return connection.getresponse()

    def keep(self, response: Kept) -> None:
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


def tls_context(cafile: Optional[PathLike]) -> Any:
    """A context that verifies certificate and host name, and speaks TLS 1.2 or newer.

    Raises:
        InvalidScene: `cafile` is no file with certificates.
    """
    if ssl is None:
        raise InvalidScene("server_base_url", "this Python has no module ssl, which https needs")
    if cafile is not None and not isinstance(cafile, (str, os.PathLike)):
        raise InvalidScene("cafile", f"{kind_of(cafile)}, expected the path of a PEM file")
    path = None if cafile is None else os.fspath(cafile)
    if path == "":  # which ssl takes for: trust what the system trusts
        raise InvalidScene("cafile", "empty, expected the path of a PEM file")
    try:
        context = verifying_context(path)
    except ssl.SSLError as exc:
        raise InvalidScene("cafile", f"{path!r} holds no PEM certificate, or a damaged one") from exc
    except (OSError, ValueError) as exc:
        raise InvalidScene("cafile", f"{path!r} cannot be read: {getattr(exc, 'strerror', None) or exc}") from exc
    if path is not None and not context.cert_store_stats()["x509"]:
        raise InvalidScene("cafile", f"{path!r} holds no PEM certificate")
    context.set_alpn_protocols(["http/1.1"])
    return context


def _is_tls_end(exc: BaseException) -> bool:
    """Whether a TLS connection was closed under us, which plain sockets report as ConnectionError."""
    return ssl is not None and isinstance(exc, (ssl.SSLEOFError, ssl.SSLZeroReturnError))


def explain(exc: OSError) -> str:
    """Why there is no connection, and what to do."""
    if isinstance(exc, ConnectionRefusedError):
        return f"no server answers there; start one with: {calling('serve')}"
    if ssl is not None and isinstance(exc, ssl.SSLCertVerificationError):
        remedy = CERTIFICATE_REMEDIES.get(exc.verify_code, CAFILE_REMEDY)
        return f"the server's certificate does not verify: {exc.verify_message.rstrip('.')}; {remedy}"
    if ssl is not None and isinstance(exc, ssl.SSLError):
        return f"no https connection: {exc.reason or exc.strerror or exc}; is the server one for http?"
    return f"{exc.strerror or exc or type(exc).__name__}; is a server there? start one with: {calling('serve')}"
