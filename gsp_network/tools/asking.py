"""Ask who listens on a port of this machine what it is, and a server of ours to stop.

By requests of a few lines, each within one deadline, rather than by the client's transport: a certificate is for other names than
this machine's own, so that who answers is proven by its process or its instance.
"""

from __future__ import annotations

import json
import re
import socket
import time
from typing import Optional, Union

from .. import ports, run_files
from ..deadlines import left
from ..ports import Listener
from ..run_files import RunFile

MOST_BYTES = 65536  # of an answer
HEALTH = b"GET /health HTTP/1.1\r\n"
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def running() -> list[RunFile]:
    """The run files of this user's servers, without those whose process has ended."""
    return [file for file in run_files.servers() if not file.is_stale]


def answering(port: int, seconds: float, address: Optional[str] = None) -> list[RunFile]:
    """The run files of servers that answer on a port as those that they are, though no process there is proven to be theirs.

    Args:
        port: where they listen.
        seconds: for each to answer.
        address: the one that they are bound to; None for any.
    """
    known = running()
    proven = [run_files.server_of(one, known) for one in ports.listeners(port)]  # whose process another one is not
    wanted = [file for file in known if file.port == port and address in (None, file.address) and file not in proven]
    return [file for file in wanted if is_instance(file, seconds)]


def is_instance(file: RunFile, seconds: float) -> bool:
    """Whether who listens there says that it is that server; before it is shown the secret."""
    status, _, body = _exchange(file, HEALTH, seconds, file.tls)
    try:
        return status == 200 and json.loads(body).get("instance") == file.instance
    except (ValueError, AttributeError, RecursionError):
        return False


def seems_ours(one: Listener, seconds: float) -> bool:
    """Whether a process is called, or names itself, as a server of gsp_network; nothing secret is shown to it."""
    return "gsp_network.server" in one.command or b"\r\nServer: gsp_network\r\n" in _exchange(one, HEALTH, seconds)[1]


def ask_to_stop(file: RunFile, seconds: float) -> bool:
    """POST /shutdown with the run file's secret; whether the server will stop."""
    secret = file.secret.encode("ascii")
    head = b"POST /shutdown HTTP/1.1\r\nAuthorization: Bearer " + secret + b"\r\n"
    head += b"Content-Type: application/json\r\nContent-Length: 0\r\n"
    return _exchange(file, head, seconds, file.tls)[0] == 202


def reached(place: Union[RunFile, Listener]) -> str:
    """The address at which this machine reaches it."""
    return WILDCARDS.get(place.address, place.address)


def _exchange(
    place: Union[RunFile, Listener], head: bytes, seconds: float, tls: bool = False
) -> tuple[int, bytes, bytes]:
    """One request to a server of this machine, within one deadline: status, head and body; 0 where no answer came."""
    deadline = time.monotonic() + seconds
    received = b""
    try:
        connection = socket.create_connection((reached(place), place.port), seconds)
        try:
            if tls:
                connection = _encrypted(connection)
            connection.sendall(head + b"Host: localhost\r\nConnection: close\r\n\r\n")
            while len(received) < MOST_BYTES:
                connection.settimeout(left(deadline))
                piece = connection.recv(MOST_BYTES)
                if not piece:
                    break
                received += piece
        finally:
            connection.close()
    except (OSError, ImportError):  # a Python without ssl, too
        return 0, b"", b""
    match = re.match(rb"HTTP/1\.1 (\d{3}) ", received)
    top, _, body = received.partition(b"\r\n\r\n")
    return int(match.group(1)) if match else 0, top + b"\r\n", body


def _encrypted(connection: socket.socket) -> socket.socket:
    """TLS whose certificate is not looked at."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connection)
