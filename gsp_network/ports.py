"""Who listens on a TCP port: on Linux by /proc alone; on macOS and Windows `ports_elsewhere` asks the system.

Looking changes nothing and sends nothing; only `answers` connects, and only `bind_fault` takes the port for a moment. Only
listening sockets count, never the clients of a port.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import sys
from dataclasses import dataclass
from typing import Iterable, Iterator, NamedTuple, Optional

from .logs import printable

PROC = "/proc"
LISTEN = "0A"  # a line's state in /proc/net/tcp (Linux, include/net/tcp_states.h)
ENDED = ("Z", "X")  # a process's state in /proc/PID/stat: it runs no more (proc_pid_stat(5))
ELSEWHERE = sys.platform in ("darwin", "win32")
COMMAND_CHARS = 120


@dataclass(frozen=True)
class Listener:
    """A process that listens on a TCP port.

    Attributes:
        address: as it is bound, ``127.0.0.1``, ``0.0.0.0``, ``::1``.
        pid: None where the system tells of the socket, and not whose it is.
        start: when the process began, in the system's words: another process of the same id has another one.
        command: its command line, cut and escaped; empty where it is not known.
        user: its user's name, or number; empty where that is not known.
    """

    address: str
    port: int
    pid: Optional[int]
    start: Optional[str]
    command: str
    user: str

    def __str__(self) -> str:
        """It in words: ``python3 -m http.server (pid 123, user lab)``."""
        if self.pid is None:
            return f"a process of user {self.user} that cannot be looked into from here"
        user = f", user {self.user}" if self.user else ""
        return f"{self.command or 'a process'} (pid {self.pid}{user})"


def sees() -> bool:
    """Whether this system tells of every listening socket: where it does not, `listeners` may miss some, or all."""
    return sys.platform == "win32" or os.access(f"{PROC}/net/tcp", os.R_OK)


def listeners(port: Optional[int] = None) -> list[Listener]:
    """The processes that listen on TCP ports, in order of port, address and process id; one entry a process and address.

    Args:
        port: None for all ports.
    Returns:
        Listeners without `pid` for sockets whose process cannot be looked into: another user's, or in another container.
    """
    if ELSEWHERE:
        from . import ports_elsewhere

        found = ports_elsewhere.listeners(port)
    else:
        sockets = list(_listening(port))
        holders = _holders({one.inode for one in sockets})
        found = [named for one in sockets for named in _named(one, holders.get(one.inode, ()))]
    return sorted(set(found), key=lambda one: (one.port, one.address, one.pid or 0))


def start_of(pid: int) -> Optional[str]:
    """When a process began; None where it has ended, or where this system does not tell."""
    if ELSEWHERE:
        from . import ports_elsewhere

        return ports_elsewhere.start_of(pid)
    fields = _text(f"{pid}/stat").rpartition(")")[2].split()  # behind the name, which may hold anything
    return None if not fields or fields[0] in ENDED else f"{fields[19]} {_boot_id()}"


def has_ended(pid: int, start: Optional[str]) -> bool:
    """Whether the process of that id and start runs no more; False where this system does not tell."""
    if start is not None and start_of(os.getpid()) is not None:
        return start_of(pid) != start
    if os.name != "posix":
        return False
    try:
        os.kill(pid, 0)  # no signal: only a look whether there is one
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def answers(address: str, port: int, seconds: float) -> bool:
    """Whether a connection there is accepted; it is closed at once."""
    try:
        socket.create_connection((address, port), seconds).close()
    except OSError:
        return False
    return True


def bind_fault(address: str, port: int) -> Optional[int]:
    """What keeps a server of ours from binding there, as a number of `errno`; None where nothing does."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as one:
            if os.name == "posix":  # as `listening.HttpServer` does
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((address, port))
    except OSError as exc:
        return exc.errno or errno.EADDRINUSE
    return None


def user_name(uid: int) -> str:
    """A user's name, or the number where the system knows none."""
    try:
        import pwd

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return str(uid)


# ---------------------------------------------------------------- Linux


class _Socket(NamedTuple):
    address: str
    port: int
    uid: int
    inode: str


def _text(path: str) -> str:
    """What a file of /proc holds; empty where it cannot be read."""
    try:
        with open(f"{PROC}/{path}", "rb") as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _boot_id() -> str:
    return _text("sys/kernel/random/boot_id").strip()


def _listening(port: Optional[int]) -> Iterator[_Socket]:
    for table in ("tcp", "tcp6"):  # the second is absent where IPv6 is
        for line in _text(f"net/{table}").splitlines()[1:]:
            _, local, _, state, _, _, _, uid, _, inode = line.split()[:10]
            address, _, number = local.partition(":")
            if state == LISTEN and port in (None, int(number, 16)):
                yield _Socket(address_of(address), int(number, 16), int(uid), inode)


def address_of(digits: str) -> str:
    """An address of /proc/net/tcp or tcp6 as people write it: words of four bytes, each in this machine's byte order."""
    words = [int(digits[place : place + 8], 16) for place in range(0, len(digits), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, packed)


def _holders(inodes: set[str]) -> dict[str, list[tuple[int, Optional[str]]]]:
    """Socket's inode -> id and start of each process that has it open; those that this user may look into."""
    found: dict[str, list[tuple[int, Optional[str]]]] = {}
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    for name in os.listdir(PROC) if wanted else ():
        if not name.isdigit():
            continue
        folder = f"{PROC}/{name}/fd"
        with contextlib.suppress(OSError):  # it has ended meanwhile, or is another user's
            if wanted.keys().isdisjoint(_links(folder)):
                continue
            start = start_of(int(name))
            for link in wanted.keys() & set(_links(folder)):  # again: so the start is that of the process that has them
                found.setdefault(wanted[link], []).append((int(name), start))
    return found


def _links(folder: str) -> Iterator[str]:
    for name in os.listdir(folder):
        with contextlib.suppress(OSError):
            yield os.readlink(f"{folder}/{name}")


def _named(one: _Socket, holders: Iterable[tuple[int, Optional[str]]]) -> list[Listener]:
    """A Listener for each process that has a socket open; one without a process where none is known."""
    found = []
    for pid, start in holders:
        try:
            owner = os.stat(f"{PROC}/{pid}").st_uid
        except OSError:
            owner = one.uid
        found.append(Listener(one.address, one.port, pid, start, _command_of(pid), user_name(owner)))
    return found or [Listener(one.address, one.port, None, None, "", user_name(one.uid))]


def _command_of(pid: int) -> str:
    words = _text(f"{pid}/cmdline").rstrip("\0").split("\0")
    words[0] = os.path.basename(words[0])
    return printable(" ".join(words).strip() or _text(f"{pid}/comm").strip(), COMMAND_CHARS)
