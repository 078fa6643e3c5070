"""Free a TCP port: have the server of ours that listens on it stop, and name any other process.

``python -m gsp_network.tools.network_server_kill [--port 5000]``. A server of ours is one whose run file names the very process
that listens (`run_files.server_of`). It is asked by POST /shutdown, then ended by SIGTERM, then by SIGKILL; whichever is enough.
Where a process cannot be looked into, as in another container, a server that knows the run file's instance is asked all the same.
"""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import time
from itertools import groupby
from typing import NamedTuple, Optional

from .. import ports, run_files
from ..commands import calling
from ..errors import SettingError
from ..ports import Listener
from ..run_files import RunFile
from ..settings import Settings, default_port, environment_variable, port_number
from .asking import answering, ask_to_stop, is_instance, reached, running, seems_ours

DEFAULT_SECONDS = 5.0
MOST_SECONDS = 86400.0  # a day; sockets take no times without end
POLL_SECONDS = 0.02
MOMENT_SECONDS = 0.2  # in which a server that has just begun to listen writes its run file
LOOK_SECONDS = 1.0  # for a program that is none of ours, as far as is known, to say what it is
UNPROVEN = "a server of gsp_network that no run file here proves to be yours"
NO_SERVER = "No server of this user runs."
SIGNALS = ("SIGTERM", "SIGKILL") if hasattr(signal, "SIGKILL") else ("SIGTERM",)  # the first ends it at once on Windows


class How(NamedTuple):
    """What the command line says: end also what is not ours, change nothing, seconds for each step."""

    force: bool
    dry_run: bool
    seconds: float


def main(argv: Optional[list[str]] = None) -> int:
    """The command line.

    Returns:
        0 where the port is free at the end, or with --list; 1 where it is not; 130 after Ctrl-C.
    """
    parser = _parser()
    args = parser.parse_args(argv)
    if args.all and args.port is not None:
        parser.error("--all is for all ports: leave --port out")
    if args.all and args.list:
        parser.error("--list tells of all servers: leave --all out")
    try:
        port = 0 if args.all else args.port or default_port()
    except SettingError as exc:
        parser.error(f"{exc}; or name the port with --port")
    if not (port or args.all or args.list):
        parser.error(
            f"{environment_variable('port')} is 0, for any port that is free: name one with --port, see --list"
        )
    how = How(args.force, args.dry_run, args.timeout)
    try:
        if args.list:
            _list(port)
            return 0
        if not how.dry_run:
            run_files.clear_stale()
        done = _free_all(how) if args.all else _free(port, how)
        if not how.dry_run:
            run_files.clear_stale()  # of those that a signal ended
        return 0 if done else 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=calling("kill"),
        description="Free a TCP port: have the server of gsp_network that listens on it stop. It is asked first, then ended by "
        "SIGTERM, then by SIGKILL. Another program that listens there is named, and left alone without --force.",
        epilog="Clients of the port are never touched. (GSP_API's tool of this name ends every process that has a socket on the "
        "port, also a browser or a client.) A server that was started with another TMPDIR, or in a container, is known only "
        "there. Exit status: 0 where the port is free at the end, 1 where it is not.",
    )
    parser.add_argument(
        "--port",
        type=port_number,
        help=f"the port to free (default: {environment_variable('port')}, else {Settings.port})",
    )
    parser.add_argument("--all", action="store_true", help="every server of this user, whatever its port")
    parser.add_argument(
        "--list", action="store_true", help="only tell of this user's servers, and who listens on the port"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument(
        "--force",
        action="store_true",
        help="end also a program that is no server of ours, or that has one inside and does not let go of the port",
    )
    parser.add_argument(
        "--timeout", type=_seconds, default=DEFAULT_SECONDS, help="seconds for each step (default %(default)g)"
    )
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number above 0, at most {MOST_SECONDS:g}")
    return value


def _list(port: int) -> None:
    """Tell of all servers, and of who else listens on a port; of nobody else where that is 0."""
    known, found = running(), ports.listeners()
    ours = {one: run_files.server_of(one, known) for one in found}
    answering = set()
    for file in known:
        holders = [one for one, proven in ours.items() if proven == file]
        if holders:
            print(f"{_place(file)}: {holders[0]}, {_kind(file)}.")
        elif is_instance(file, LOOK_SECONDS):
            answering.add(file.port)
            print(
                f"{_place(file)}: process {file.pid}, {_kind(file)}; it answers, and cannot be looked into from here."
            )
        else:
            _tell_unseen(file)
    if not known:
        print(NO_SERVER)
    if not port:
        return
    for one in found:
        if one.port == port and ours[one] is None and port not in answering:
            kind = UNPROVEN if seems_ours(one, LOOK_SECONDS) else "no server of ours"
            print(f"Port {port} on {_in_url(one.address)}: {one}, {kind}.")
    if not any(one.port == port for one in found):
        seen = "Nobody listens" if ports.sees() else "Nobody is seen to listen"
        print(f"{seen} on port {port}.")


def _place(file: RunFile) -> str:
    return f"Port {file.port} on {_in_url(file.address)}"


def _kind(file: RunFile) -> str:
    return f"gsp_network {file.version}{'' if file.alone else ', inside a program'}"


def _tell_unseen(file: RunFile) -> None:
    why = "it starts or closes" if file.is_here else "it is in another container or on another machine, or was"
    print(f"{_place(file)}: process {file.pid}, {_kind(file)}; it is not seen to listen: {why}.")


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _free_all(how: How) -> bool:
    known = running()
    held_here = {one.port for one in ports.listeners()}
    unseen = [file for file in known if ports.sees() and not file.is_here and file.port not in held_here]
    wanted = sorted({file.port for file in known if file not in unseen})
    for file in unseen:
        _tell_unseen(file)
    if not known:
        print(NO_SERVER)
    # Others than ours are none of its business, also with --force.
    held = [port for port in wanted if not _free(port, how, others=False)]
    return not held


def _free(port: int, how: How, others: bool = True) -> bool:
    """Free a port, telling of each step; whether it is seen free at the end."""
    found = _look(port)
    told = set()
    for pid, group in groupby(sorted(found, key=lambda one: one.pid or 0), key=lambda one: one.pid):
        _end(list(group), how, others)
        told.add(pid)
    if not found and not ports.sees():
        _stop_unseen(port, how)
    if how.dry_run and found:
        return False
    return _is_free(port, {one.address for one in found}, told, how.seconds)


def _look(port: int) -> list[Listener]:
    """Who listens; a server that is just starting gets a moment to prove what it is."""
    found = ports.listeners(port)
    if any(one.pid is not None and run_files.server_of(one) is None for one in found):
        time.sleep(MOMENT_SECONDS)
        found = ports.listeners(port)
    return found


def _end(holder: list[Listener], how: How, others: bool) -> None:
    """Have one process let go of the port, as far as it is to; `holder` is what it listens on there."""
    one = holder[0]
    if not _holds(one):  # it was forked off one whose socket has been closed meanwhile, for both
        return
    proven = [file for file in map(run_files.server_of, holder) if file is not None]
    files = proven or answering(one.port, how.seconds, one.address)
    alone = bool(proven) and all(file.alone for file in proven)
    if not files and (one.pid is None or not (how.force and others)):
        print(f"Port {one.port} is held by {one}{_why_left_alone(one, others)}.")
    elif how.dry_run:
        signals = one.pid is not None and (alone or how.force)
        steps = ["ask it to stop"] * bool(files) + [f"send {name}" for name in SIGNALS] * signals
        print(f"Port {one.port} is held by {one}. Without --dry-run this would {', then '.join(steps)}.")
    elif not _stops(one, files, how.seconds):
        if one.pid is None:
            print(f"It gets no signal from here: {_remedy(one)}.")
        elif proven and not alone and not how.force:
            print("A signal would end the whole program that has the server inside; --force sends it.")
        elif files and not proven and not how.force:
            print("Whether its process is the server's own cannot be told from here; --force sends it a signal.")
        else:
            _signal_until_gone(one, bool(files), how.seconds)


def _why_left_alone(one: Listener, others: bool) -> str:
    """What a process seems to be that is not known to be ours, and what to do."""
    ours = seems_ours(one, LOOK_SECONDS)
    if one.pid is None:
        return f"{', a server of gsp_network' if ours else ''}: {_remedy(one)}"
    hint = "--force ends it" if others else f"--port {one.port} --force ends it"
    if ours:
        return f", {UNPROVEN}: left alone; call this with its TMPDIR, or {hint}"
    return f", no server of ours that this user started: left alone; {hint}"


def _remedy(one: Listener) -> str:
    """What to do about a process that cannot be looked into."""
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    if user == 0 or one.user == ports.user_name(user):
        return "it is in another container: end it there"
    return "have that user end it, or run this as root"


def _stops(one: Listener, files: list[RunFile], seconds: float) -> bool:
    """Ask the servers in a process to stop; whether it then lets go of the port. Who is none of ours is not asked."""
    if not files:
        return False
    asked = [ask_to_stop(file, seconds) for file in files]
    if not any(asked):
        print(f"Asked {one} to stop: no answer that it will.")
        return False
    if not _lets_go(one, seconds):
        print(f"Asked {one} to stop: it still listens on port {one.port} after {seconds:g} s.")
        return False
    print(f"Asked {one} to stop: it listens on port {one.port} no more.")
    return True


def _signal_until_gone(one: Listener, ours: bool, seconds: float) -> None:
    if one.pid == os.getpid():
        print(f"Port {one.port} is held by this very program, which cannot end itself: close its server.")
        return
    if one.pid == 1 and not ours:  # as systemd does for a service that is started by its first client
        print(f"Port {one.port} is held by {one}, the system's first process: left alone; see systemctl list-sockets.")
        return
    for name in SIGNALS:
        fault = send(one, getattr(signal, name))
        if fault:
            print(f"{name} was not sent to {one}: {fault}.")
            return
        if _lets_go(one, seconds):
            print(f"Sent {name} to {one}: it listens on port {one.port} no more.")
            return
        print(f"Sent {name} to {one}: it still listens on port {one.port} after {seconds:g} s.")


def send(one: Listener, number: int) -> str:
    """Send a signal to the very process that listens; empty, or why it was not sent.

    A process id may have become another process's meanwhile. Where there are descriptors of processes, what is looked at after
    one was opened holds for who gets the signal.
    """
    if one.pid is None or one.start is None:
        return "this system does not tell it from a later process of the same id"
    handle = None
    try:
        if hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal"):
            try:
                handle = os.pidfd_open(one.pid)
            except ProcessLookupError:
                return "it has ended"
            except OSError:  # a kernel without, or a sandbox that forbids it
                pass
        if not _holds(one):
            return "it has ended, or listens no more"
        if handle is None:
            os.kill(one.pid, number)
        else:
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return "it has ended"
    except PermissionError:
        return "this user may not; its own user may, and root"
    finally:
        if handle is not None:
            os.close(handle)
    return ""


def _holds(one: Listener) -> bool:
    return any((now.pid, now.start) == (one.pid, one.start) for now in ports.listeners(one.port))


def _lets_go(one: Listener, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while _holds(one):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _stop_unseen(port: int, how: How) -> None:
    """Where this system does not tell who listens: ask a server that knows the instance of a run file, and signal nobody."""
    for file in answering(port, how.seconds):
        if how.dry_run:
            print(
                f"Port {port} is held by a server of ours, process {file.pid}. Without --dry-run this would ask it to stop."
            )
        elif ask_to_stop(file, how.seconds):
            deadline = time.monotonic() + how.seconds
            while ports.answers(reached(file), port, how.seconds) and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
            print(f"Asked the server of ours on port {port}, process {file.pid}, to stop.")


def _is_free(port: int, addresses: set[str], told: set[Optional[int]], seconds: float) -> bool:
    """Whether a server can listen there now: nobody does, and a socket of ours binds; says which."""
    left_over = ports.listeners(port)
    others = [str(one) for one in left_over if one.pid not in told]
    if others:
        print(f"Port {port} is held by {' and '.join(others)}.")
    if left_over:
        print(f"Port {port} is not free.")
        return False
    places = {"127.0.0.1", *addresses}
    if not ports.sees():
        places |= {"0.0.0.0", "::1"}
        if any(ports.answers(place, port, seconds) for place in ("127.0.0.1", "::1")):
            print(
                f"Something listens on port {port}, and this system does not tell what: no process is ended for that."
            )
            return False
    deadline = time.monotonic() + (seconds if addresses else 0.0)
    while True:
        faults = {ports.bind_fault(place, port) for place in places}
        if errno.EADDRINUSE not in faults or time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)
    if errno.EADDRINUSE in faults:
        print(f"Nobody listens on port {port}, but a connection or a process has it still: try again in a minute.")
        return False
    if errno.EACCES in faults and not ports.sees():
        print(f"Whether port {port} is free cannot be told from here: it is root's, and this system does not tell.")
        return False
    print(f"Port {port} is free.")
    return True


if __name__ == "__main__":
    sys.exit(main())
