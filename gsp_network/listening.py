"""The listening socket, and its TLS: connections accepted up to a number, each with a thread of its own; those over it told so.

What happens on a connection is `framing`'s.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import socketserver
import sys
import threading
import time
import uuid
import weakref
from collections import Counter
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Optional

from .errors import ServerBusy, ServerStartError
from .framing import (
    LINGER_BYTES,
    LINGER_SECONDS,
    READ_BYTES,
    Connection,
    Exchange,
    Owner,
    bytes_of,
    plain_address,
    problem,
    readable,
    shut,
)
from .run_files import holder_in_words
from .settings import Settings, is_loopback

if TYPE_CHECKING:
    import ssl

logger = logging.getLogger(__name__)

MAX_LINGERING = 128  # refused connections that may still read their answer
LAST_SECONDS = 1.0
TURN_SECONDS = 0.1  # of the accepting loop: it looks as often whether it is to end
NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class HttpServer(ThreadingHTTPServer):
    """Accepts connections and gives each a daemon thread that it keeps track of; those over the limits are told so."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024  # a connection that finds it full tries again after a second
    allow_reuse_address = os.name == "posix"  # elsewhere it would let two servers share a port
    allow_reuse_port = False

    def __init__(self, owner: Owner, host: str, port: int, tls: Optional[ssl.SSLContext] = None) -> None:
        self.owner = owner
        self.tls = tls
        self._starved = False  # of descriptors: told once
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._addresses: Counter[str] = Counter()
        self._idle: set[threading.Thread] = set()
        self._changed = threading.Condition()
        self._started: weakref.WeakSet[threading.Thread] = weakref.WeakSet()  # those that still end, too
        self._lingering: list[tuple[socket.socket, float, int]] = []  # refused; the accepting thread's alone
        super().__init__((host, port), Connection)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer's looks up the host's full name, which can take seconds
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def shutdown(self) -> None:
        shut(self.socket, socket.SHUT_RDWR)  # on Linux this wakes the accepting loop before its turn is over
        super().shutdown()

    def server_close(self) -> None:
        super().server_close()
        for connection, _, _ in self._lingering:
            connection.close()
        self._lingering = []

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._connections)

    # -- the accepting thread

    def get_request(self) -> tuple[Any, Any]:
        try:
            accepted = super().get_request()
        except OSError as exc:
            if exc.errno in NO_DESCRIPTORS:
                if not self._starved:
                    logger.error("no connection can be accepted for now: %s", exc.strerror)
                self._starved = True
                time.sleep(0.1)  # the listening socket stays readable: without a pause this would be a busy loop
            raise
        self._starved = False
        return accepted

    def process_request(self, request: Any, client_address: Any) -> None:
        address = plain_address(client_address[0])
        settings = self.owner.settings
        thread = threading.Thread(
            target=self._serve, args=(request, client_address), name="gsp-network-connection", daemon=True
        )
        with self._changed:
            full = self._full(address, settings)
            if not full:
                self._connections[thread] = request
                self._addresses[address] += 1
                self._started.add(thread)
        if full:
            self._refuse(request, address, ServerBusy(f"too many connections (setting {full})", full))
            return
        try:
            thread.start()
        except RuntimeError as exc:  # no thread to be had
            self._forget(thread, address)
            logger.error("no thread for a connection: %s", exc)
            self._refuse(request, address, ServerBusy("no thread to be had for this connection"))

    def _full(self, address: str, settings: Settings) -> str:
        if len(self._connections) >= settings.max_connections:
            return "max_connections"
        if self._addresses[address] >= settings.max_address_connections and not is_loopback(address):
            return "max_address_connections"
        return ""

    def _refuse(self, request: socket.socket, address: str, error: ServerBusy) -> None:
        """Say so without waiting; what the client still sends is read off by `service_actions`, or it would lose the answer.

        With TLS it is said in log and metrics alone: the client could be told only after its handshake.
        """
        id = uuid.uuid4().hex
        response = problem(error, id)
        self.owner.finished(Exchange(address, "", id, response, 0, 0.0))
        if self.tls is None:
            try:
                request.setblocking(False)
                headers = {"Connection": "close", "Server-Timing": "total;dur=0"}
                request.send(bytes_of(response, id, headers) + response.body)
                request.shutdown(socket.SHUT_WR)
                if len(self._lingering) >= MAX_LINGERING:
                    self._lingering.pop(0)[0].close()  # it has had the most time to read its answer
                self._lingering.append((request, time.monotonic() + LINGER_SECONDS, LINGER_BYTES))
                return
            except OSError as exc:
                logger.debug("%s went away: %s", address, type(exc).__name__)
        request.close()

    def service_actions(self) -> None:
        """Called at every turn of the accepting loop: read off what refused clients send, until the next one wants to connect."""
        self.owner.turn()
        until = time.monotonic() + TURN_SECONDS
        while self._lingering:
            sockets = [self.socket, *(connection for connection, _, _ in self._lingering)]
            ready = readable(sockets, max(until - time.monotonic(), 0.0))
            self._read_off()
            if self.socket in ready or time.monotonic() >= until:
                return

    def _read_off(self) -> None:
        """Let go of refused connections that have ended, or whose time is up."""
        still = []
        for connection, deadline, left in self._lingering:
            try:
                received = len(connection.recv(READ_BYTES))
                ended = received == 0
                left -= received
            except BlockingIOError:
                ended = False
            except OSError:
                ended = True
            if ended or left <= 0 or time.monotonic() > deadline:
                connection.close()
            else:
                still.append((connection, deadline, left))
        self._lingering = still

    # -- the connections' threads

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            self.process_request_thread(request, client_address)
        finally:
            self._forget(threading.current_thread(), plain_address(client_address[0]))

    def _forget(self, thread: threading.Thread, address: str) -> None:
        with self._changed:
            self._connections.pop(thread, None)
            self._idle.discard(thread)
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]
            self._changed.notify_all()

    def shutdown_request(self, request: Any) -> None:
        """Close the connection: the one that TLS has made of `request`, where it has."""
        with self._changed:
            current = self._connections.get(threading.current_thread(), request)
        shut(current, socket.SHUT_WR)
        current.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, OSError):  # ssl.SSLError and timeouts too: the client's, not ours
            logger.debug("%s went away: %s", client_address[0], type(error).__name__)
        else:
            logger.exception("connection of %s: a fault of this server", client_address[0])

    def wrapped(self, connection: socket.socket) -> None:
        """Called by a connection's thread when TLS has made another socket of its own."""
        with self._changed:
            self._connections[threading.current_thread()] = connection

    def idle(self, idle: bool) -> None:
        """Called by a connection's thread before and after it waits for a request."""
        with self._changed:
            if idle:
                self._idle.add(threading.current_thread())
                if self.owner.closing:
                    shut(self._connections[threading.current_thread()], socket.SHUT_RD)
            else:
                self._idle.discard(threading.current_thread())

    def finish(self, deadline: float) -> None:
        """End idle connections now; wait until the others have answered, or the deadline has passed."""
        with self._changed:
            for thread in self._idle:
                shut(self._connections[thread], socket.SHUT_RD)  # what has arrived is still read and answered
            self._changed.wait_for(lambda: not self._others(), max(deadline - time.monotonic(), 0.0))

    def abort(self) -> bool:
        """Give what still waits a moment to be answered, then break what is left; whether every thread has ended."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._others(), LAST_SECONDS):
                for thread in self._others():
                    shut(self._connections[thread], socket.SHUT_RDWR)
            ended = self._changed.wait_for(lambda: not self._others(), LAST_SECONDS)
        for thread in list(self._started):
            if ended and thread.is_alive() and thread is not threading.current_thread():
                thread.join(LAST_SECONDS)  # it has answered, and is about to end
        return ended

    def _others(self) -> list[threading.Thread]:
        """The threads of connections; without the caller's, which may be one when a hook closes the server."""
        return [thread for thread in self._connections if thread is not threading.current_thread()]


def listen(owner: Owner, tls: Optional[ssl.SSLContext] = None) -> HttpServer:
    """A socket that listens where the settings host and port of its owner say.

    Raises:
        ServerStartError: the port is taken or not for this user, or the address is not this machine's.
    """
    host, port = owner.settings.host, owner.settings.port
    try:
        return HttpServer(owner, host, port, tls)
    except OverflowError:
        raise ServerStartError(f"port {port}: no such port, expected 0 to 65535") from None
    except socket.gaierror as exc:
        raise ServerStartError(f"host {host}: {exc.strerror}; use 127.0.0.1 for this machine alone") from exc
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            by_whom = holder_in_words(port)
            raise ServerStartError(
                f"port {port} on {host} is in use{by_whom}, or choose another with --port, 0 for a free one"
            ) from exc
        if exc.errno == errno.EACCES:
            raise ServerStartError(
                f"port {port} on {host} is not for this user: choose one above 1023 with --port"
            ) from exc
        raise ServerStartError(
            f"cannot listen on {host} port {port}: {exc.strerror}; use --host 127.0.0.1 for this machine alone"
        ) from exc


def tls_context(settings: Settings) -> Optional[ssl.SSLContext]:
    """What the settings certfile and keyfile make: TLS 1.2 or newer; None where there is no certificate.

    Raises:
        ServerStartError: the files cannot be read or do not belong together.
    """
    if not settings.certfile:
        if settings.keyfile:
            raise ServerStartError("--keyfile without --certfile: a key alone is of no use")
        return None
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.certfile, settings.keyfile or None, password=_no_password)
    except OSError as exc:  # ssl.SSLError too
        reason = exc.strerror or getattr(exc, "reason", None) or type(exc).__name__
        raise ServerStartError(
            f"certificate {settings.certfile}: {reason}; expected PEM files that belong together"
        ) from exc
    return context


def _no_password() -> str:
    raise ServerStartError("--keyfile: the key is encrypted, and a server cannot be asked for its password")
