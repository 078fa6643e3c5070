"""Waiting on sockets with one deadline for the whole of it, and on https with certificates that verify.

`urllib.request` and `http.client` give every single wait the whole timeout, so that whoever trickles is never late.
"""

from __future__ import annotations

import io
import socket
import time
from typing import TYPE_CHECKING, Any, Callable, Optional

if TYPE_CHECKING:
    import ssl


def left(deadline: float) -> float:
    """Seconds until a moment of `time.monotonic`, above 0; socket.timeout after it."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise socket.timeout
    return seconds


def connecting(deadline: float) -> Callable[..., socket.socket]:
    """socket.create_connection, but all addresses of a host share one deadline, and what follows begins with what is left.

    How long the look-up of a name takes is the system's to bound.
    """

    def create_connection(address: tuple[str, int], *_: Any) -> socket.socket:
        failure = OSError(None, "the host has no address")
        for family, kind, protocol, _name, place in socket.getaddrinfo(*address, 0, socket.SOCK_STREAM):
            sock = None
            try:
                sock = socket.socket(family, kind, protocol)
                sock.settimeout(left(deadline))
                sock.connect(place)
                sock.settimeout(left(deadline))
                return sock
            except OSError as exc:
                failure = exc
                if sock is not None:
                    sock.close()
        try:
            raise failure
        finally:
            del failure  # whose traceback holds this frame

    return create_connection


class ReceivingSide(io.RawIOBase):
    """A socket's receiving side on which every wait ends at the deadline, however the bytes trickle.

    Args:
        sock: the socket.
        held: http.client's own file on it, closed with this: while it is open, the socket outlives its connection's close().
        deadline: a moment of `time.monotonic`.
    """

    def __init__(self, sock: socket.socket, held: Any, deadline: float) -> None:
        self._socket, self._held, self._deadline = sock, held, deadline

    def close(self) -> None:
        """Close the file that was held, too."""
        self._held.close()
        super().close()

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Receive; socket.timeout at the deadline."""
        self._socket.settimeout(left(self._deadline))
        return self._socket.recv_into(buffer)


def verifying_context(cafile: Optional[str] = None) -> ssl.SSLContext:
    """A client's context: certificate and host name verified, TLS 1.2 or newer.

    Args:
        cafile: PEM file with what to trust; None for what the system trusts.
    Raises:
        OSError, ssl.SSLError, ValueError: the file is none.
    """
    import ssl

    context = ssl.create_default_context(cafile=cafile)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
