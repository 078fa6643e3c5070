"""Pictures in the order of their frames, while several are drawn at once; and patience with a server that is away.

A request holds its whole scene, so that it may be sent again, and so that any worker may draw any frame.
"""

from __future__ import annotations

import collections
import concurrent.futures
import logging
import threading
import time
from typing import Any, Callable, Iterable, Iterator, Optional

from ..errors import BadResponse, ClientError, DeadlineExceeded, ServerError, ServerUnreachable
from ..transport import BUSY

logger = logging.getLogger(__name__)

Request = Callable[[bytes], bytes]

UNKNOWN_AHEAD = 2  # of a server that does not tell how many workers it has
MOST_AHEAD = 12  # a server takes 16 connections from one address, and five requests a worker
REPEATS_AHEAD = 8  # frames that only repeat the last picture, for each one that is drawn
PAUSE_SECONDS = 0.2  # between the tries of a request, each of which holds tries of its own
BROKEN_TRIES = 2  # more, of a request whose answer broke off or was late, or over which a worker crashed
SETTLE_SECONDS = 2.0  # how long requests under way are waited for when nobody wants their pictures any more


def ask(request: Request, body: bytes) -> concurrent.futures.Future[bytes]:
    """The picture to come; its thread keeps no program alive, as an executor's would."""
    future: concurrent.futures.Future[bytes] = concurrent.futures.Future()

    def run() -> None:
        try:
            future.set_result(request(body))
        except BaseException as exc:  # noqa: BLE001 - raised where the picture is asked for
            future.set_exception(exc)

    threading.Thread(target=run, name="gsp_network frame", daemon=True).start()
    return future


def settle(futures: Iterable[Optional[concurrent.futures.Future[bytes]]]) -> None:
    """Wait a little for requests whose pictures nobody wants any more."""
    left = concurrent.futures.wait([future for future in futures if future], SETTLE_SECONDS).not_done
    if left:
        logger.info("%d requests are still under way; their pictures will be dropped", len(left))


def default_look_ahead(health: dict[str, Any], renderer_name: str) -> int:
    """How many frames to have drawn at once: one a worker and one that waits, by what GET /health tells."""
    try:
        told = health["renderers"][renderer_name.partition("-")[0]]["workers"]  # "datoviz-v03" is datoviz
        workers = sum(int(told[state]) for state in ("idle", "busy", "starting"))
    except (KeyError, TypeError, ValueError, OverflowError):
        return UNKNOWN_AHEAD
    return max(UNKNOWN_AHEAD, min(workers + 1, MOST_AHEAD))


class Patience:
    """A `request` that goes on trying while the server is away or busy.

    A server that never answered is not waited for: it is rather not there than away.

    Args:
        request: sends a body and returns the picture.
        seconds: how long a frame is tried, from its first failure.
        answered: the server has answered something already.
    """

    def __init__(self, request: Request, seconds: float, answered: bool = False) -> None:
        self._request = request
        self._seconds = seconds
        self._answered = answered
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Try nothing again from now on."""
        self._given_up.set()

    def __call__(self, body: bytes) -> bytes:
        """The picture; the last failure where there is none in time."""
        deadline: Optional[float] = None
        broken = 0
        while True:
            try:
                picture = self._request(body)
            except (BadResponse, DeadlineExceeded, ServerError, ServerUnreachable) as exc:
                if isinstance(exc, ServerUnreachable):
                    passing = self._answered
                else:
                    self._answered = True
                    passing = isinstance(exc, ServerError) and exc.status == BUSY
                    if isinstance(exc, (BadResponse, DeadlineExceeded)) or exc.type == "worker_crashed":
                        broken += 1
                        passing = broken <= BROKEN_TRIES
                deadline = deadline or time.monotonic() + self._seconds
                if not passing or time.monotonic() + PAUSE_SECONDS > deadline or self._given_up.wait(PAUSE_SECONDS):
                    raise
                logger.info("a frame is tried again: %s", exc)
            else:
                self._answered = True
                return picture


def in_order(bodies: Iterable[Optional[bytes]], request: Patience, ahead: int) -> Iterator[bytes]:
    """The picture of each body, in their order.

    Args:
        bodies: one a frame, taken one after the other in the caller's thread; None for the picture before.
        request: sends a body and returns the picture; called in several threads.
        ahead: how many requests there are at once, those included whose pictures are there and wait for an earlier one.
    Raises:
        ClientError: a frame failed; the message says which, and the later ones are given up.
    """
    source = enumerate(bodies)
    waiting: collections.deque[tuple[int, Optional[concurrent.futures.Future[bytes]]]] = collections.deque()
    asked = 0
    picture = b""
    try:
        while True:
            while asked < ahead and len(waiting) < ahead * REPEATS_AHEAD:
                number, body = next(source, (-1, None))
                if number < 0:
                    break
                waiting.append((number, None if body is None else ask(request, body)))
                asked += body is not None
            if not waiting:
                return
            number, future = waiting[0]
            if future is not None:
                try:
                    picture = future.result()
                except ClientError as exc:
                    raise _of_frame(exc, number) from exc
                asked -= 1
            waiting.popleft()
            yield picture
    finally:
        request.give_up()
        settle(future for _, future in waiting)


def _of_frame(error: ClientError, number: int) -> ClientError:
    """The same error, whose message names the frame."""
    where = f"frame {number} (the first is 0): "
    if isinstance(error, ServerError):
        status, message, *facts = error.args
        return ServerError(status, where + message, *facts)
    return type(error)(where + str(error))
