"""Functions for worker processes to run in tests: what drawing code may do at its worst. No Matplotlib."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from typing import Any

from gsp_network import backends
from gsp_network.errors import GspNetworkError, LimitExceeded
from gsp_network.settings import Limits

kept: list[bytes] = []


def echo(*values: Any) -> tuple:
    """What it was given."""
    return values


def pid() -> int:
    """The process that ran it."""
    return os.getpid()


def environment(name: str) -> Any:
    """A variable of the worker's environment, or None."""
    return os.environ.get(name)


def kind_of_limits(limits: Limits) -> tuple:
    """Facts of limits that have travelled."""
    return type(limits) is Limits, limits.max_canvas_side, limits.math_text, limits.allow_load


def mark(path: str) -> int:
    """Add a byte to a file; how many it has now."""
    with open(path, "ab") as file:
        file.write(b".")
    return os.path.getsize(path)


def die(number: int) -> None:
    """End by a signal, without a word."""
    os.kill(os.getpid(), number)
    threading.Event().wait()


def die_before(path: str, times: int) -> str:
    """End by a signal the first `times` times that it is called with this file; then answer."""
    if mark(path) <= times:
        die(signal.SIGKILL)
    return "survived"


def leave(status: int) -> None:
    """End the process at once, as Datoviz does."""
    os._exit(status)


def raise_exit() -> None:
    """sys.exit() in somebody's code."""
    sys.exit(3)


def refuse(kind: str) -> None:
    """Raise an error: of ours, of a subclass of ours that only this module knows, or a surprise."""
    if kind == "ours":
        raise LimitExceeded("canvas.width", "9 px, expected at most 8", "max_canvas_side")
    if kind == "theirs":
        raise Theirs("visuals[0]", "no", "max_visuals")
    if kind == "odd":
        raise Odd(object())
    raise ZeroDivisionError("secret")


class Theirs(LimitExceeded):
    """A user's own error."""


class Odd(GspNetworkError):
    """An error whose argument cannot travel."""


def hang(path: str) -> None:
    """Never answer, in Python."""
    mark(path)
    threading.Event().wait()


def hang_in_native_code(path: str) -> None:
    """Never answer, with the interpreter's lock held, so that no other thread of the process can do anything."""
    mark(path)
    ctypes.PyDLL(None).sleep(3600)


def wait_for(path: str) -> str:
    """Answer when a file has appeared."""
    while not os.path.exists(path):
        threading.Event().wait(0.01)
    return "seen"


def take(size: int) -> int:
    """Take memory, let it go, say how much it was."""
    return len(bytearray(size))


def keep(size: int) -> int:
    """Take memory and keep it, as a leak does; the process that did."""
    kept.append(os.urandom(size))
    return os.getpid()


def chatter(size: int) -> str:
    """Print as native code does, to both descriptors."""
    for descriptor in (1, 2):
        os.write(descriptor, b"x" * size)
    print("and Python's own")
    return "said"


def spend() -> int:
    """Have a backend that says that its process is spent; the process."""

    class Spent:
        spent = True

    backends._instances["spent"] = Spent()  # type: ignore[assignment]
    return os.getpid()


def refuse_to_end() -> str:
    """From now on the end of this process's input does not end it."""
    os._exit = lambda status: threading.Event().wait()  # type: ignore[assignment]
    return "here"


def memory_limit() -> int:
    """The address space that this process may use in bytes; -1: no limit."""
    import resource

    return resource.getrlimit(resource.RLIMIT_AS)[0]


def give(size: int) -> bytes:
    """A large result."""
    return b"y" * size


def give_what_cannot_travel() -> Any:
    """A result that is none."""
    return object()


def map_much() -> int:
    """Map more memory than is used, as graphics drivers do."""
    import mmap

    with mmap.mmap(-1, 2**32, mmap.MAP_SHARED) as mapped:
        return len(mapped)
