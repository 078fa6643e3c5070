"""From a scene's body to its picture: who draws it, how long it may wait for that, and who draws in another's place."""

from __future__ import annotations

import contextlib
import logging
import threading
from concurrent.futures import CancelledError, Executor, Future
from typing import Any, Iterator, NamedTuple, Optional

from .admission import Room
from .calls import late, request_id
from .errors import OtherRenderer, ServerBusy, WorkerCrashed
from .pools import DATOVIZ, MATPLOTLIB, SHUTTING_DOWN, Pools
from .settings import RENDERER_HEADER, Limits, Settings, check_renderer_name
from .store import Given
from .workers import WorkerPool, render

logger = logging.getLogger(__name__)

POOL_SECONDS = 1.0  # what a pool may need beyond its own deadline to end a worker and say so


class Drawn(NamedTuple):
    """What was drawn.

    Attributes:
        picture: PNG.
        renderer: who drew it.
        decode_s, draw_s, encode_s: the seconds that decoding, drawing and encoding took.
        hits: how many buffers the scene has named, all of which were found.
        instead_of: the renderer in whose place it was drawn, or None.
    """

    picture: bytes
    renderer: str
    decode_s: float
    draw_s: float
    encode_s: float
    hits: int
    instead_of: Optional[str] = None


class _Asked(NamedTuple):
    """What is to be drawn: a scene's body, the renderer that its header names, and where buffers are that it may name."""

    body: bytes
    header_renderer: Optional[str]
    store: Given


class Dispatch:
    """Has scenes drawn by a server's executors, in the threads of those who ask.

    Args:
        settings: queue_timeout, render_timeout, fallback, and the limits of a scene.
        default_renderer: who draws where a request names nobody.
        pools: the executors.
        room: the places that there are with each renderer.
    Attributes:
        closing: whether the server closes: who waits in vain is told that, then.
    """

    def __init__(self, settings: Settings, default_renderer: str, pools: Pools, room: Room) -> None:
        self.closing = False
        self._settings, self._default, self._pools, self._room = settings, default_renderer, pools, room
        # Alone, and not all settings: an executor may send it to other machines, and tokens are none of theirs.
        self._limits = Limits(**{name: getattr(settings, name) for name in Limits.names()})
        self._lock = threading.Lock()
        self._cut_off = False
        self._waiting: set[threading.Event] = set()

    def draw(self, body: bytes, header_renderer: Optional[str], store: Given) -> Drawn:
        """Have a scene drawn by the renderer that it is for, which without a header is known only once a worker has looked.

        Args:
            header_renderer: the renderer that the request's header names, or None.
            store: where the buffers are kept that the scene may name.
        Raises:
            GspNetworkError: see `RenderServer.draw`.
        """
        asked = _Asked(body, header_renderer, store)
        if header_renderer is not None:
            return self._draw_by(check_renderer_name(header_renderer, f"header {RENDERER_HEADER}"), asked)
        try:  # by a worker that is there whatever becomes of Datoviz; which of them looks is all the same
            return self._draw_by(MATPLOTLIB, asked)
        except OtherRenderer as exc:
            renderer = exc.renderer
        return self._draw_by(renderer, asked)

    def cut_off(self) -> None:
        """Let nobody wait any longer: these requests are refused, whatever their draw does."""
        with self._lock:
            self._cut_off = True
            for woken in self._waiting:
                woken.set()

    def _draw_by(self, renderer: str, asked: _Asked) -> Drawn:
        """Have it drawn by that renderer or, where the setting fallback says so and that one dies over it, by Matplotlib."""
        try:
            return self._draw_in(renderer, asked)
        except (WorkerCrashed, ServerBusy) as exc:
            died = isinstance(exc, WorkerCrashed) or self._pools.is_broken(renderer)
            if not died or renderer != DATOVIZ or self._settings.fallback != MATPLOTLIB:
                raise
            logger.warning("request %s: %s; %s draws it", request_id.get(), exc, MATPLOTLIB)
        return self._draw_in(MATPLOTLIB, asked, renderer)

    def _draw_in(self, renderer: str, asked: _Asked, instead_of: Optional[str] = None) -> Drawn:
        """Have it drawn in that renderer's executor, also in place of another; OtherRenderer where it is for none of them."""
        with self._room.for_turn(renderer):
            executor = self._executor(renderer)
            only = self._pools.only(renderer)
            more = () if only is None else (only, instead_of, asked.store)
            future: Future[tuple[Any, ...]] = executor.submit(
                render, asked.body, asked.header_renderer, self._default, self._limits, *more
            )
            try:
                with self._woken_by(future) as woken:
                    if woken.wait(self._settings.queue_timeout):
                        pass
                    elif future.cancel():
                        seconds = self._settings.queue_timeout
                        raise ServerBusy(f"no turn within {seconds} s (setting queue_timeout)", "queue_timeout")
                    else:  # it has begun, nobody knows when: a pool of ours does, and ends it in time
                        pooled = isinstance(executor, WorkerPool)
                        woken.wait(self._settings.render_timeout + (POOL_SECONDS if pooled else 0.0))
                if future.done():
                    picture, drawn_by, decoded, drawn, encoded, hits = future.result()
                    return Drawn(picture, only or drawn_by, decoded, drawn, encoded, hits, instead_of)
                future.cancel()
                if self.closing:
                    raise ServerBusy(SHUTTING_DOWN)
                raise late(self._settings.render_timeout)
            except CancelledError:
                raise ServerBusy(SHUTTING_DOWN) from None
            finally:
                del future  # it holds its error, whose traceback holds this frame: a ring that keeps the body in memory

    def _executor(self, renderer: str) -> Executor:
        """Where that renderer draws; waits while Datoviz is looked at for the first time."""
        future = self._pools.executor(renderer)
        try:
            with self._woken_by(future) as woken:
                woken.wait(self._settings.queue_timeout)
            if future.done():
                return future.result()
            if self.closing:
                raise ServerBusy(SHUTTING_DOWN)
            seconds = self._settings.queue_timeout
            raise ServerBusy(
                f"{renderer} is still looked at, after {seconds} s (setting queue_timeout)", "queue_timeout"
            )
        finally:
            del future  # as above

    @contextlib.contextmanager
    def _woken_by(self, future: Future[Any]) -> Iterator[threading.Event]:
        """An event that comes with a future's end, or when this server gives up who still waits."""
        woken = threading.Event()
        future.add_done_callback(lambda _: woken.set())
        with self._lock:
            self._waiting.add(woken)
            if self._cut_off:
                woken.set()
        del future
        try:
            yield woken
        finally:
            with self._lock:
                self._waiting.discard(woken)
