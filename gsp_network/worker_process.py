"""What runs in a worker process, and the frames in which it talks with the pool that started it.

A frame is a header of fixed size, a part of JSON and a part of bytes. A call names a function and carries its arguments: JSON's
own values stand in the JSON part, bytes behind it. No pickle: what a worker sends back is data, whatever has become of it.

The worker gives its standard output away before anything is drawn, so that what native code prints cannot get into a frame. It
ends when its input ends, and by an alarm where native code would not let it notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import functools
import importlib
import io
import json
import logging
import math
import os
import queue
import signal
import struct
import sys
import threading
from mmap import mmap
from typing import Any, BinaryIO, Callable, NamedTuple, Optional, Sequence

from . import __version__
from .backends import spent
from .errors import GspNetworkError, LimitExceeded, error_named
from .logs import configure
from .memory import keep_memory
from .settings import Limits
from .shared_bytes import take

logger = logging.getLogger(__name__)

HELLO, CALL, BEGUN, RESULT, ERROR = range(1, 6)
_HEADER = struct.Struct(">4sBQIQ")  # magic, kind, number of the call, bytes of JSON, bytes of data
_MAGIC = b"GSPW"
MAX_JSON = 2**20
MAX_DATA = 2**30
ALARM_SECONDS = 5  # behind the pool's own deadline


class Garbage(Exception):
    """What came is no frame."""


class Frame(NamedTuple):
    """One message: its kind, the number of the call that it belongs to, its JSON and its bytes."""

    kind: int
    number: int
    facts: Any
    data: bytes


def write_frame(stream: BinaryIO, kind: int, number: int, facts: Any, pieces: Sequence[bytes] = ()) -> None:
    """Write a frame and flush it; OSError where nobody reads."""
    text = json.dumps(facts, separators=(",", ":")).encode("ascii")
    size = sum(len(piece) for piece in pieces)
    stream.write(_HEADER.pack(_MAGIC, kind, number, len(text), size) + text)
    for piece in pieces:
        stream.write(piece)
    stream.flush()


def read_frame(stream: BinaryIO) -> Optional[Frame]:
    """The next frame, or None where the stream has ended before one began.

    Raises:
        Garbage: something else, one that is too large, or one that the stream's end has cut off.
    """
    header = stream.read(_HEADER.size)
    if not header:
        return None
    if len(header) < _HEADER.size:
        raise Garbage("a header that is cut off")
    magic, kind, number, length, size = _HEADER.unpack(header)
    if magic != _MAGIC or length > MAX_JSON or size > MAX_DATA:
        raise Garbage(f"a header that is none: {header[:16]!r}")
    text, data = stream.read(length), stream.read(size)
    if len(text) < length or len(data) < size:
        raise Garbage(f"a frame that is cut off after {len(text) + len(data)} of {length + size} bytes")
    try:
        return Frame(kind, number, json.loads(text), data)
    except ValueError as exc:
        raise Garbage("a frame whose JSON is none") from exc


# Values of calls and of their results: JSON's own, bytes, sequences of those, and limits as keyword arguments.


def pack(value: Any, pieces: list[bytes]) -> Any:
    """A value as JSON; bytes go to `pieces`, and their length stands for them.

    Raises:
        TypeError: a value that cannot travel.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, mmap):  # bytes that came by shared memory
        value = value[:]
    if isinstance(value, bytes):
        pieces.append(value)
        return {"bytes": len(value)}
    if isinstance(value, (list, tuple)):
        return [pack(item, pieces) for item in value]
    if isinstance(value, Limits):
        names = Limits.names()
        return {"limits": [pack(getattr(value, name), pieces) for name in names]}
    raise TypeError(
        f"a worker process takes and gives bytes, texts, numbers, lists and Limits, not {type(value).__name__}"
    )


def unpack(value: Any, read: Callable[[int], Any]) -> Any:
    """The value that `pack` packed, lists as tuples; Garbage where it is none. `read` gives so many of its bytes."""
    if isinstance(value, list):
        return tuple(unpack(item, read) for item in value)
    if not isinstance(value, dict):
        return value
    if set(value) == {"bytes"} and isinstance(value["bytes"], int):
        piece = read(value["bytes"])
        if len(piece) == value["bytes"]:
            return piece
    if set(value) == {"limits"}:
        return Limits(**dict(zip(Limits.names(), unpack(value["limits"], read))))
    raise Garbage(f"a value that is none: {str(value)[:80]}")


def pack_error(error: BaseException) -> dict[str, Any]:
    """An error of ours by the name of its class, or of its nearest one in `errors`, and its arguments; another as a fault."""
    for known in type(error).__mro__:
        if isinstance(error, GspNetworkError) and error_named(known.__name__) is known:
            try:
                return {"error": known.__name__, "args": pack(error.args, [])}
            except TypeError:
                logger.exception("an error whose arguments cannot travel")
                break
    return {
        "error": "GspNetworkError",
        "args": ["a fault of this server; its log has the details under this request id"],
    }


def unpack_error(facts: Any) -> GspNetworkError:
    """The error that `pack_error` packed; Garbage where it is none."""
    try:
        known = error_named(facts["error"])
        if known is not None:
            return known(*facts["args"])
    except (KeyError, TypeError) as exc:
        raise Garbage(f"an error that is none: {str(facts)[:80]}") from exc
    raise Garbage(f"an error that is none: {str(facts)[:80]}")


@dataclasses.dataclass(frozen=True)
class Setup:
    """What a worker is told when it starts.

    Attributes:
        warm_up: function to call before it says hello, as "module:name", or empty.
        imports: modules to import first.
        render_timeout: seconds after which the pool kills it.
        memory_bytes: address space that it may use; 0 for no limit.
        log_level, log_format: as the server's.
        maps_more: memory_bytes bounds what is the process's alone, not its address space.
    """

    warm_up: str = ""
    imports: tuple[str, ...] = ()
    render_timeout: float = 30.0
    memory_bytes: int = 0
    log_level: str = "info"
    log_format: str = "text"
    maps_more: bool = False


def function_named(name: str) -> Callable[..., Any]:
    """The function that "module:name" names."""
    module, _, attribute = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return found


def main(told: dict[str, Any]) -> None:
    """Serve calls until the input ends."""
    _take_signals()
    faulthandler.enable()
    incoming, outgoing = _take_pipes()
    setup = Setup(**{**told, "imports": tuple(told["imports"])})
    configure(setup.log_level, setup.log_format)
    _limit_resources(setup.memory_bytes, setup.maps_more)
    keep_memory()
    calls: queue.SimpleQueue[Frame] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(incoming, calls), name="gsp-network-worker-input", daemon=True).start()
    for name in setup.imports:
        importlib.import_module(name)
    if setup.warm_up:
        function_named(setup.warm_up)()
    write_frame(outgoing, HELLO, 0, {"version": __version__, "rss": resident_bytes()})
    while True:
        frame = calls.get()
        with _alarm(math.ceil(setup.render_timeout) + ALARM_SECONDS):
            write_frame(outgoing, BEGUN, frame.number, {})
            kind, facts, pieces = _answer(frame, setup.memory_bytes)
            facts.update(rss=resident_bytes(), spent=spent())
            try:
                write_frame(outgoing, kind, frame.number, facts, pieces)
            except OSError:  # the pool has ended
                os._exit(0)
        del frame, facts, pieces


def _take_signals() -> None:
    """Signals as a program has them that was started by hand: what the host ignores or blocks was inherited, the alarm's too."""
    for name in ("SIGALRM", "SIGCHLD"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pool's two pipes on descriptors of their own; 0 leads nowhere from now on, and 1 to standard error."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what somebody's link prints belongs into the log, and in time
    return incoming, outgoing


def _read(incoming: BinaryIO, calls: queue.SimpleQueue[Frame]) -> None:
    """Hand on calls as they come, in a thread of its own; the input's end is the process's."""
    try:
        while True:
            frame = read_frame(incoming)
            if frame is None:
                os._exit(0)
            calls.put(frame)
            del frame
    except (Garbage, OSError, MemoryError) as exc:
        logger.error("worker: %s", str(exc) or type(exc).__name__)
        os._exit(1)


def _answer(frame: Frame, memory_bytes: int) -> tuple[int, dict[str, Any], list[bytes]]:
    pieces: list[bytes] = []
    try:
        shared = frame.facts.get("shared")
        read = io.BytesIO(frame.data).read if shared is None else functools.partial(take, shared)
        arguments = unpack(frame.facts["args"], read)
        value = pack(function_named(frame.facts["call"])(*arguments), pieces)
        return RESULT, {"value": value}, pieces
    except MemoryError:
        most = f"drawing it takes more than {f'{memory_bytes} bytes' if memory_bytes else 'this machine has'}"
        return ERROR, pack_error(LimitExceeded("data", most, "worker_memory_bytes")), []
    except GspNetworkError as exc:
        return ERROR, pack_error(exc), []
    except BaseException as exc:
        logger.exception("request %s: a fault of this server", frame.facts.get("id", "?"))
        return ERROR, pack_error(exc), []


@contextlib.contextmanager
def _alarm(seconds: int) -> Any:
    """End this process after so long, even while native code holds the interpreter's lock; where the system has alarms."""
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)
    try:
        yield
    finally:
        if hasattr(signal, "alarm"):
            signal.alarm(0)


def _limit_resources(memory_bytes: int, maps_more: bool) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    with contextlib.suppress(ValueError, OSError):  # the hard limit is lower already
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_bytes:
        with contextlib.suppress(ValueError, OSError):
            # DATA is what is private and can be written (Linux 4.7).
            kind = resource.RLIMIT_DATA if maps_more else resource.RLIMIT_AS
            resource.setrlimit(kind, (memory_bytes, memory_bytes))


def resident_bytes() -> int:
    """Memory of this process that is in use now; the most that was, where the system tells no more; 0 where not even that."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else most * 1024)
