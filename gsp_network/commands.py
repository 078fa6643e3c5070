"""The command lines under one name each, and what to type for one: of the package, or of a vendored single file."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from typing import NamedTuple, Optional

from ._lazy import path_of


class Command(NamedTuple):
    """A command line: the module, within the package, that has its ``main(argv=None) -> int``, and what it is for."""

    module: str
    help: str


COMMANDS = {
    "serve": Command("server", "draw scenes that clients send"),
    "kill": Command("tools.network_server_kill", "free a port that a forgotten server holds"),
    "replay": Command("tools.replay", "render a saved request again, or play a recorded session"),
    "doctor": Command("tools.doctor", "tell what works on this machine, and what to do about the rest"),
    "vendor": Command("tools.vendor", "write all of this as one file, or check such a file"),
    "reference": Command("tools.reference", "print the tables of scene objects and of settings"),
}


def sources() -> Optional[dict[str, str]]:
    """The modules of the vendored single file that this is, path -> source; None where it is a package of files."""
    found: Optional[dict[str, str]] = getattr(sys.modules[__package__], "SOURCES", None)
    return found


def is_here(command: str) -> bool:
    """Whether this can run that command: a vendored file may lack it."""
    held = sources()
    return held is None or path_of(COMMANDS[command].module, held) is not None


def program() -> str:
    """What to type for this: ``python -m gsp_network``, or ``python gsp_network.py`` of a vendored file."""
    if sources() is None:
        return f"python -m {__package__}"
    file = str(sys.modules[__package__].__file__)
    with contextlib.suppress(OSError, ValueError):  # there is no current directory, or it is on another drive
        near = os.path.relpath(file)
        file = file if near.startswith(os.pardir) else near
    return f"python {shlex.quote(file)}"


def calling(command: str) -> str:
    """What to type for a command: ``python -m gsp_network.server``, or ``python gsp_network.py serve`` of a vendored file."""
    if sources() is None:
        return f"{program()}.{COMMANDS[command].module}"
    if not is_here(command):  # wherever else the package is
        return f"python -m gsp_network.{COMMANDS[command].module}"
    return f"{program()} {command}"
