"""The run file of each server that runs: which process it is, where it listens, and what it takes to have it stop.

It lies in the private folder of its user, readable by that user alone, from the start of a server to its close. One that a server
left behind is told by its process, which runs no more. A run file by itself makes no process a target: `server_of` wants the very
process that it names, by its start too, to listen on the very port.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import os
import re
import secrets
import stat
import sys
import tempfile
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Optional

from . import __version__, ports
from .commands import calling
from .folders import private_folder
from .ports import Listener

logger = logging.getLogger(__name__)

MOST_BYTES = 4096
NAME = re.compile(r"server-([0-9a-f]{16})\.json")


@dataclass(frozen=True)
class RunFile:
    """What a server's run file holds.

    Attributes:
        pid: of its process.
        start: when that began, as `ports.start_of` has it; None where the system does not tell.
        machine: the host, and there the name space of process ids, in which `pid` means something.
        address: the one that it is bound to.
        port: the one that it listens on.
        tls: whether it speaks https.
        alone: whether the process is the server's own; else a program that embeds it, and goes on without it.
        instance: what GET /health tells, to who may know.
        secret: what POST /shutdown wants to be shown; it stands nowhere else.
        version: of gsp_network.
        path: where it lies, which it does not hold.
    """

    pid: int
    start: Optional[str]
    machine: str
    address: str
    port: int
    tls: bool
    alone: bool
    instance: str
    secret: str = field(repr=False)
    version: str
    path: str = field(compare=False)

    def opens(self, authorization: Optional[str]) -> bool:
        """Whether a header's value is ``Bearer`` and the secret."""
        scheme, _, shown = (authorization or "").partition(" ")
        matches = hmac.compare_digest(shown.strip().encode("utf-8"), self.secret.encode("ascii"))
        return scheme.lower() == "bearer" and matches

    def renew(self) -> None:
        """Write it anew: what lies in a temporary directory for days without a change may be cleaned up there."""
        if self.pid == os.getpid() and private_folder(quiet=True) is not None:
            _write(self)

    def remove(self) -> None:
        """Delete it; does nothing in a process that was forked off the server's, or where it is gone already."""
        if self.pid == os.getpid():
            self.clear()

    def clear(self) -> None:
        """Delete it, whoever wrote it."""
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    @property
    def is_here(self) -> bool:
        """Whether `pid` is a process of this machine, or was."""
        return self.machine == machine()

    @property
    def is_stale(self) -> bool:
        """Whether its process has certainly ended."""
        return self.is_here and ports.has_ended(self.pid, self.start)


def write(instance: str, address: str, port: int, tls: bool, alone: bool) -> Optional[RunFile]:
    """Write the run file of a server of this process, and delete those that others have left behind.

    Args:
        instance: 16 hexadecimal digits, random.
        address: host name or address, and
        port: that it is bound to.
        tls: whether it speaks https.
        alone: whether the process is the server's own.
    Returns:
        None where it cannot be written: the server then runs without, and is no server that can be asked to stop.
    """
    pid, secret = os.getpid(), secrets.token_urlsafe(32)
    address = address.split("%")[0]  # fe80::1%eth0
    start = ports.start_of(pid)
    folder = private_folder(quiet=True)
    if folder is None:
        return None
    path = os.path.join(folder, f"server-{instance}.json")
    facts = RunFile(pid, start, machine(), address, port, tls, alone, instance, secret, __version__, path)
    if not _write(facts):
        return None
    clear_stale()
    return facts


def servers() -> list[RunFile]:
    """The run files of this user's servers, in order of port; also those that are left behind."""
    folder = private_folder(quiet=True)
    try:
        names = [] if folder is None else sorted(os.listdir(folder))
    except OSError:
        names = []
    found = [_read(os.path.join(str(folder), name)) for name in names if NAME.fullmatch(name)]
    return sorted((one for one in found if one is not None), key=lambda one: (one.port, one.pid))


def clear_stale() -> list[RunFile]:
    """Delete the run files of processes that have ended; those that were."""
    stale = [one for one in servers() if one.is_stale]
    for one in stale:
        one.clear()
    return stale


def server_of(listener: Listener, known: Optional[list[RunFile]] = None) -> Optional[RunFile]:
    """The run file of the server that this listener is; None where it is not proven to be one of this user's.

    Args:
        listener: as `ports.listeners` tells of it.
        known: the run files; None reads them.
    """
    found = (listener.pid, listener.start, listener.address, listener.port)
    if listener.start is None:
        return None
    here = [one for one in (servers() if known is None else known) if one.is_here]
    return next((one for one in here if (one.pid, one.start, one.address, one.port) == found), None)


def holder_in_words(port: int) -> str:
    """The end of a sentence on a port that is in use: by whom, and what to do, as far as that can be told. Raises nothing."""
    try:
        holders = ports.listeners(port)
        by_whom = " by " + " and ".join(map(str, holders)) if holders else ""
        if any(server_of(holder) is not None for holder in holders):
            return f"{by_whom}: free it with `{calling('kill')} --port {port}`"
    except Exception:  # looking is a courtesy: whatever is wrong with it, the port is in use
        logger.debug("who holds port %s cannot be told", port, exc_info=True)
        by_whom = ""
    if not by_whom and sys.platform == "darwin":
        by_whom = " (AirPlay Receiver holds port 5000: System Settings, AirDrop & Handoff)"
    return f"{by_whom}: stop what holds it"


def machine() -> str:
    """What tells this machine from others, and process ids here from those of a container: they may share a directory."""
    try:
        space = os.readlink(f"{ports.PROC}/self/ns/pid")
    except OSError:
        space = ""
    host = os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
    return f"{host} {space}".strip()


def _write(facts: RunFile) -> bool:
    """Write a run file that appears whole or not at all; whether it could be."""
    document = {name: value for name, value in asdict(facts).items() if name != "path"}
    part = None
    try:
        # 0600, under a name that nobody could foresee.
        descriptor, part = tempfile.mkstemp(prefix=".server-", dir=os.path.dirname(facts.path))
        with open(descriptor, "w", encoding="ascii") as file:
            json.dump(document, file)
        os.replace(part, facts.path)
        return True
    except OSError as exc:
        logger.warning("no run file, so that nothing but signals can stop this server: %s", exc)
        if part is not None:
            with contextlib.suppress(OSError):
                os.unlink(part)
        return False


def _read(path: str) -> Optional[RunFile]:
    """A run file; None for what is none, or not this user's alone."""
    flags = (
        os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    )  # no link, and no pipe to wait for
    try:
        with open(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return None
            if hasattr(os, "getuid") and (status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077):
                return None
            document = json.loads(file.read(MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return _checked(document, path)


def _checked(document: Any, path: str) -> Optional[RunFile]:
    kinds = {"pid": int, "port": int, "tls": bool, "alone": bool}
    if not isinstance(document, dict):
        return None
    values: dict[str, Any] = {**{one.name: document.get(one.name) for one in fields(RunFile)}, "path": path}
    for key, value in values.items():
        if type(value) is not kinds.get(key, str) and not (key == "start" and value is None):
            return None
    facts = RunFile(**values)
    sound = 0 < facts.pid < 2**31 and 0 < facts.port < 2**16 and facts.secret.isascii()
    return facts if sound and os.path.basename(path) == f"server-{facts.instance}.json" else None
