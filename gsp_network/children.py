"""Child processes: the interpreter that runs them, and what can be known of their end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys

from .errors import ServerStartError

# Of this interpreter's flags, those that a child is given too: what it loads, and whether it writes what it has compiled.
_FLAGS = {
    "isolated": "-I",
    "ignore_environment": "-E",
    "no_user_site": "-s",
    "no_site": "-S",
    "dont_write_bytecode": "-B",
}

# What an interpreter's file is called, with its version and kind of build: python3, python3.13t, python3.11-dbg, python_d.exe.
# Other programs that have Python inside, as PyMOL and Spyder, start as themselves.
_INTERPRETER = re.compile(
    r"(python|pypy|graalpy|pvpython|mayapy)w?[\d.]*[dtw]*([-_](\d+|c|d|dbg|intel64|arm64|x86_64))?(\.exe)?",
    re.IGNORECASE,
)


def interpreter(named: str = "") -> list[str]:
    """The first words of a command that runs Python: the interpreter, and this one's flags where it is this one.

    Args:
        named: a path, or a name on the PATH; empty for the interpreter that runs this.
    Raises:
        ServerStartError: there is none. A frozen program has none to offer, nor has another program that Python is a part of:
            started again it would be that program.
    """
    if named:
        found = shutil.which(named)
        if found is None:
            raise ServerStartError(f"python: {named!r}, expected the path of a Python interpreter to run workers with")
        return [os.path.abspath(found)]  # workers are elsewhere
    here = sys.executable or ""
    if not here or getattr(sys, "frozen", False) or not _INTERPRETER.fullmatch(os.path.basename(here)):
        told = f"{here} is no Python interpreter" if here else "this program knows of no Python interpreter"
        raise ServerStartError(
            f"workers: {told} to run them with; draw in this process with workers=0, or name an interpreter that has "
            "gsp_network by python=... (--python)"
        )
    return [here, *(flag for name, flag in _FLAGS.items() if getattr(sys.flags, name))]


def hides_ends() -> bool:
    """Whether this program ignores or handles SIGCHLD, and so may keep from us how its children end: they seem to end with 0."""
    return hasattr(signal, "SIGCHLD") and signal.getsignal(signal.SIGCHLD) is not signal.SIG_DFL


def how_it_ended(status: int) -> str:
    """A child's end in words, by the returncode of `subprocess.Popen`."""
    if status == 0 and hides_ends():
        return "has ended (how cannot be told, since this program ignores or handles SIGCHLD)"
    return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
