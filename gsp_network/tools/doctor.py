"""Tell what works on this machine, and what to do about the rest.

``python -m gsp_network.tools.doctor [--json] [--port 5000] [--server URL]``

It looks at libraries, drawing, worker processes, Datoviz, ffmpeg, windows, the port, places to write, memory and environment.
It opens no window, and connects to nothing but this machine and the server that it is asked about.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import shutil
import sys
import tempfile
import textwrap
import threading
from typing import IO, Any, Callable, Iterator, NamedTuple, Optional

from ..commands import calling
from ..errors import GspNetworkError, SettingError
from ..pools import MATPLOTLIB, Pools
from ..settings import Settings, default_port, environment_variable, port_number
from ..transport import TOKEN_VARIABLE
from ..workers import END_SECONDS
from . import drawing_checks, machine_checks
from .findings import OK, PROBLEM, Asked, Finding

CHECK_SECONDS = 20.0  # for one check; all together take about two
LEAST_COLUMNS = 72


class Check(NamedTuple):
    """A row of the table: its name, whether a picture needs it, and the function that looks."""

    name: str
    needed: bool
    look: Callable[[Asked], Finding]


CHECKS = (
    Check("python", True, drawing_checks.python),
    Check("numpy", True, drawing_checks.numpy),
    Check("matplotlib", True, drawing_checks.matplotlib),
    Check("pillow", True, drawing_checks.pillow),
    Check("drawing", True, drawing_checks.drawing),
    Check("worker", True, drawing_checks.worker),
    Check("datoviz", False, drawing_checks.datoviz),
    Check("ffmpeg", False, drawing_checks.ffmpeg),
    Check("window", False, drawing_checks.window),
    Check("loopback", True, machine_checks.loopback),
    Check("port", False, machine_checks.port),
    Check("folder", False, machine_checks.folder),
    Check("memory", False, machine_checks.memory),
    Check("environment", False, machine_checks.environment),
    Check("proxies", False, machine_checks.proxies),
    Check("server", True, machine_checks.server),
)
"""What is looked at, in this order; the last one only where a server is named."""


def finding_of(check: Check, asked: Asked, seconds: float = CHECK_SECONDS) -> Finding:
    """What a check finds; a PROBLEM where it fails itself, or takes longer."""
    found: list[Finding] = []

    def look() -> None:
        try:
            found.append(check.look(asked))
        except Exception as exc:  # noqa: BLE001 - whatever it is, the other checks go on
            found.append(Finding(PROBLEM, f"cannot be looked at: {type(exc).__name__}: {exc}"))

    thread = threading.Thread(target=look, name=f"gsp-network-doctor-{check.name}", daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else Finding(PROBLEM, f"nothing was found out within {seconds:g} s")


def examine(port: int, server: Optional[str]) -> dict[str, Any]:
    """All checks: ``{"ok": bool, "checks": [{"name", "needed", "state", "found", "remedy"}, ...]}``.

    Args:
        port: where a server is to listen.
        server: URL of one to look at, or None.
    Returns:
        "ok" is whether all works that a picture needs.
    """
    rows = []
    with _pools(Asked(port, server)) as asked:
        for check in CHECKS:
            if check.look is not machine_checks.server or server is not None:
                finding = asked.found[check.name] = finding_of(check, asked)
                rows.append({"name": check.name, "needed": check.needed, **dataclasses.asdict(finding)})
    return {"ok": all(row["state"] == OK for row in rows if row["needed"]), "checks": rows}


@contextlib.contextmanager
def _pools(asked: Asked) -> Iterator[Asked]:
    """Start what draws in processes, which takes its time beside the other checks; what they say goes into no terminal."""
    with _standard_error() as asked.said:
        try:
            asked.pools = Pools(Settings.from_environment(workers=1, log_level="error"), MATPLOTLIB)
            asked.pools.start()
            asked.pools.look()
        except GspNetworkError as exc:
            asked.pools, asked.no_pools = None, str(exc)
        try:
            yield asked
        finally:
            if asked.pools is not None:
                asked.pools.shutdown()
                asked.pools.join(END_SECONDS)


@contextlib.contextmanager
def _standard_error() -> Iterator[Callable[[], str]]:
    """Take standard error, of this process and its children; a function that gives what was written there."""
    try:
        saved = os.dup(2)
    except OSError:  # it is closed
        yield lambda: ""
        return
    with _scratch_file() as file:

        def said() -> str:
            file.seek(0)
            return file.read().decode("utf-8", "replace").strip()

        os.dup2(file.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def _scratch_file() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError:  # nowhere to write
        return open(os.devnull, "w+b")


def in_words(report: dict[str, Any], width: int) -> str:
    """What `examine` has found, as a table for people."""
    lines = []
    for row in report["checks"]:
        head = f"{row['name']:12} {row['state']:8} "
        for text, start in ((row["found"], head), (row["remedy"], f"{' ' * len(head)}-> ")):
            lines += textwrap.wrap(
                text,
                width,
                initial_indent=start,
                subsequent_indent=" " * len(start),
                break_long_words=False,
                break_on_hyphens=False,
            )
    wrong = [row["name"] for row in report["checks"] if row["needed"] and row["state"] != OK]
    lines += ["", f"not all that a picture needs works: {', '.join(wrong)}" if wrong else "pictures are drawn here"]
    return "\n".join(lines)


def _default_port() -> int:
    try:
        return default_port()
    except SettingError:  # which a check tells
        return Settings.port


def main(argv: Optional[list[str]] = None) -> int:
    """Look, and print.

    Returns:
        0 where all works that a picture needs, and a server that was named answers; else 1.
    """
    parser = argparse.ArgumentParser(
        prog=calling("doctor"), description="Tell what works on this machine, and what to do about the rest."
    )
    parser.add_argument("--json", action="store_true", help="as one JSON object, for programs")
    parser.add_argument(
        "--port",
        type=port_number,
        help=f"where a server is to listen (default: {environment_variable('port')}, else {Settings.port})",
    )
    parser.add_argument("--server", metavar="URL", help=f"look at this server too, with the token of {TOKEN_VARIABLE}")
    args = parser.parse_args(argv)
    report = examine(_default_port() if args.port is None else args.port, args.server)
    if args.json:
        print(json.dumps(report, indent=1))
    else:
        print(in_words(report, max(shutil.get_terminal_size().columns, LEAST_COLUMNS)))
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
