"""A call of a function that a worker process runs: what is sent of it, the future that its caller holds, and its answer."""

from __future__ import annotations

import io
import time
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any, Callable, NamedTuple, Optional, Sequence

from .errors import GspNetworkError, RenderTimeout
from .worker_process import RESULT, Frame, Garbage, pack, unpack, unpack_error

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""Id of the request for which calls are submitted, for the log."""


def late(seconds: float) -> RenderTimeout:
    """The error of a picture that was not there in time."""
    return RenderTimeout(f"no picture within {seconds} s (setting render_timeout)")


class Call:
    """One call: what is to be run, and the future that its caller holds.

    Args:
        number: tells it from all others of a pool.
        fn: an importable function.
        args: its arguments.
    Attributes:
        tries: how often it was given to a worker that then began it, or may have.
        missed: how many workers it has found dead before it began.
        deadline: when it has to be answered, by `time.monotonic`; 0 until its turn has come.
    Raises:
        TypeError: an argument that cannot travel.
    """

    def __init__(self, number: int, fn: Callable[..., Any], args: Sequence[Any]) -> None:
        self.number = number
        self.pieces: list[bytes] = []
        self.facts = {
            "call": f"{fn.__module__}:{fn.__qualname__}",
            "args": pack(args, self.pieces),
            "id": request_id.get(),
        }
        self.future: Future[Any] = Future()
        self.tries = self.missed = 0
        self.deadline = 0.0

    def begin(self, seconds: float) -> bool:
        """Called when its turn has come; False where its caller has given it up."""
        if not self.deadline:
            if not self.future.set_running_or_notify_cancel():
                return False
            self.deadline = time.monotonic() + seconds
        elif time.monotonic() > self.deadline:  # it was put back, and waited too long for another worker
            self.future.set_exception(late(seconds))
            return False
        self.tries += 1
        return True


class Answer(NamedTuple):
    """What a worker answers to a call.

    Attributes:
        value: what the function has returned; None where it has raised.
        error: what it has raised, or None.
        rss: bytes of memory that the worker takes by now.
        spent: whether the worker asks for a fresh one in its place.
    """

    value: Any
    error: Optional[GspNetworkError]
    rss: int
    spent: bool


def answer_in(reply: Frame) -> Answer:
    """The answer that a frame holds.

    Raises:
        Garbage: it holds none.
    """
    try:
        rss, spent = int(reply.facts["rss"]), reply.facts.get("spent", False) is True
        if reply.kind == RESULT:
            return Answer(unpack(reply.facts["value"], io.BytesIO(reply.data).read), None, rss, spent)
        return Answer(None, unpack_error(reply.facts), rss, spent)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise Garbage(str(exc)) from exc
