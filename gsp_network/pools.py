"""The executors of a server, by the renderer that draws in them.

Matplotlib has worker processes from the start or, in a server without, a thread. Datoviz ends its process where it cannot go on,
in place of raising, so it has worker processes of a kind of their own. They start with the first scene for it, after a process
that is thrown away has found out what can be done with it here; until somebody asks for it, or by /health how it is, nothing of
Datoviz is touched.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import logging
import threading
import time
from collections import Counter
from concurrent.futures import CancelledError, Executor, Future
from typing import Any, Callable, Optional, TypeVar, Union

from . import backends
from .errors import GspNetworkError, RendererUnavailable, RenderTimeout, ServerBusy, ServerStartError, WorkerCrashed
from .render_thread import RenderThread
from .settings import RENDERER_NAMES, RENDERER_VARIABLE, Settings
from .worker_process import function_named
from .workers import END_SECONDS, NO_WORKER, WorkerPool

logger = logging.getLogger(__name__)

MATPLOTLIB, DATOVIZ = RENDERER_NAMES
LOOK_SECONDS = 30.0  # for each step: a driver that is found for the first time may have shaders to compile
LOOK_AGAIN_SECONDS = 60.0  # after a look in vain the next scene for Datoviz has it looked at again
SHUTTING_DOWN, NOT_STARTED = "the server is shutting down", "this server has not been started"

_Result = TypeVar("_Result")


@dataclasses.dataclass(frozen=True)
class Steps:
    """The functions that look at Datoviz and make it ready, each as "module:name", run in worker processes alone.

    Attributes:
        look: what can be told without drawing, as the JSON of the fields `reason`, `device`, `driver`, `limits` of DatovizFacts.
        draw_in_memory, draw_by_file: draw something, each in one of the two ways to get a picture out of Datoviz; whether it
            came out. They may end their process.
        use_memory, use_files: what a worker runs first, to draw in that way from then on.
    """

    look: str = f"{__package__}.backends.datoviz_device:look"
    draw_in_memory: str = f"{__package__}.backends.datoviz_device:draw_in_memory"
    draw_by_file: str = f"{__package__}.backends.datoviz_device:draw_by_file"
    use_memory: str = f"{__package__}.backends.datoviz_backend:use_memory"
    use_files: str = f"{__package__}.backends.datoviz_backend:use_files"


STEPS = Steps()


@dataclasses.dataclass(frozen=True)
class DatovizFacts:
    """What was found out about Datoviz here.

    Attributes:
        reason: why it cannot be drawn with, and what to do about it; empty where it can.
        device, driver: what it draws on, in the driver's words.
        limits: of the device, by Vulkan's names.
        in_memory: whether pictures come out of it in memory, not by a file; a process draws many of them then, else one.
    """

    reason: str = ""
    device: str = ""
    driver: str = ""
    limits: dict[str, float] = dataclasses.field(default_factory=dict)
    in_memory: bool = False


def run_named(name: str) -> Any:
    """What the function that "module:name" names returns; for workers, so that its module is loaded only there."""
    return function_named(name)()


def facts_of(text: str) -> DatovizFacts:
    """What the step `look` has told; ValueError where that is something else."""
    told = json.loads(text)
    try:
        limits = {name: limit for name, limit in told["limits"].items() if isinstance(limit, (int, float))}
        return DatovizFacts(str(told["reason"]), str(told["device"]), str(told["driver"]), limits)
    except (AttributeError, KeyError, TypeError) as exc:
        raise ValueError(f"{text[:200]!r}, expected an object of reason, device, driver and limits") from exc


class Pools:
    """All that a server draws with.

    Args:
        settings: workers, datoviz_workers, datoviz_in_process, queue, imports, and what workers are told.
        default_renderer: who draws where a request names nobody: that one is made ready at the start.
        given: somebody else's executor, which draws everything in place of all that.
        steps: how Datoviz is looked at; others for tests.
    """

    def __init__(
        self,
        settings: Settings,
        default_renderer: str,
        given: Optional[Executor] = None,
        steps: Optional[Steps] = None,
    ) -> None:
        self._settings, self._default, self._given, self._steps = settings, default_renderer, given, steps or STEPS
        self._lock = threading.RLock()
        self._closed = False
        self._executors: dict[str, Union[RenderThread, WorkerPool]] = {}
        self._looked: Optional[Future[DatovizFacts]] = None
        self._looked_at = 0.0
        self._looking: Optional[WorkerPool] = None
        self._thread: Optional[threading.Thread] = None

    # -- life

    def start(self) -> None:
        """Start what draws from the start.

        Raises:
            ServerStartError: there is no thread or interpreter for it, or a module to import fails.
        """
        if self._given is not None:
            return
        if self._settings.workers:
            warm_up = f"{__package__}.rendering:warm_up"
            self._executors[MATPLOTLIB] = WorkerPool(self._settings.workers, self._settings, warm_up=warm_up)
        else:
            for name in self._settings.imports:
                try:
                    importlib.import_module(name)
                except Exception as exc:  # somebody else's code
                    raise ServerStartError(f"--import {name}: failed with {type(exc).__name__}: {exc}") from exc
            self._executors[MATPLOTLIB] = RenderThread()
        reason = self.refusal(self._default)
        if reason:
            logger.warning("%s: requests that name no renderer are refused: %s", RENDERER_VARIABLE, reason)
        elif self._default == DATOVIZ:
            self.executor(DATOVIZ)

    def shutdown(self) -> None:
        """Take no more calls, drop those that wait, and stop looking at Datoviz; see `join`."""
        with self._lock:
            self._closed = True
            executors, looking = list(self._executors.values()), self._looking
        if looking is not None:
            looking.shutdown(wait=False, cancel_futures=True)
        for executor in executors:
            executor.shutdown(wait=False, cancel_futures=True)

    def join(self, timeout: float) -> bool:
        """After `shutdown`: wait for calls under way, at most `timeout` seconds, then kill; whether all has ended."""
        deadline = time.monotonic() + timeout
        with self._lock:
            executors, looking, thread = list(self._executors.values()), self._looking, self._thread
        ended = looking is None or looking.join(0.0)  # nobody waits for what it finds any more
        if thread is not None:
            thread.join(2 * END_SECONDS)
            ended = ended and not thread.is_alive()
        for executor in executors:
            ended = executor.join(max(deadline - time.monotonic(), 0.0)) and ended
        return ended

    def warm_up(self) -> None:
        """Have the default renderer loaded now where this process draws; workers do so by themselves."""
        executor = self._executors.get(MATPLOTLIB)
        if isinstance(executor, RenderThread) and not self.refusal(self._default):
            executor.submit(backends.backend, self._default)

    # -- who draws

    def places(self) -> dict[str, int]:
        """How many requests may be drawn or wait, by renderer; where one executor draws all, under the first one's name."""
        places = {MATPLOTLIB: self._settings.places(self._settings.workers)}
        if self._has_pools() and self._settings.datoviz_workers:
            places[DATOVIZ] = self._settings.places(self._settings.datoviz_workers)
        return places

    def only(self, renderer: str) -> Optional[str]:
        """What the executor for a renderer is told to draw with alone; None: a given one draws with all."""
        return renderer if self._given is None else None

    def _has_pools(self) -> bool:
        return self._given is None and self._settings.workers > 0

    def refusal(self, renderer: str) -> str:
        """Why nothing is drawn with a renderer here, as far as can be told without looking; empty where it is."""
        alone = self._given is None and not self._settings.workers
        if renderer == DATOVIZ and alone and not self._settings.datoviz_in_process:
            return (
                "datoviz draws in processes of its own, and this server starts none: its operator can set workers to 1 or more "
                "or, since Datoviz ends the process where it fails, take that risk by datoviz_in_process"
            )
        if renderer == DATOVIZ and self._has_pools() and not self._settings.datoviz_workers:
            return "datoviz is switched off on this server, by its setting datoviz_workers"
        return backends.why_not(renderer)

    def executor(self, renderer: str) -> Future[Executor]:
        """Who draws with a renderer: at once or, the first time that it is Datoviz, once that was looked at.

        In place of one the future may hold RendererUnavailable, which says why, or ServerBusy.
        """
        opened: Future[Executor] = Future()
        if self._given is not None:
            opened.set_result(self._given)
        elif renderer == DATOVIZ and self._has_pools():
            self.look(again=True).add_done_callback(
                lambda looked: _settle(opened, lambda: self._datoviz(looked.result()))
            )
        else:
            _settle(opened, lambda: self._first(renderer))
        return opened

    def _first(self, renderer: str) -> Executor:
        reason = self.refusal(renderer) if renderer == DATOVIZ else ""
        if reason:
            raise RendererUnavailable(f"renderer_name: {reason}; {MATPLOTLIB} draws here")
        executor = self._executors.get(MATPLOTLIB)
        if executor is None:
            raise ServerBusy(NOT_STARTED)
        return executor

    def _datoviz(self, facts: DatovizFacts) -> Executor:
        if facts.reason:
            raise RendererUnavailable(f"renderer_name: {facts.reason}; {MATPLOTLIB} draws here")
        with self._lock:
            if self._closed:
                raise ServerBusy(SHUTTING_DOWN)
            if DATOVIZ not in self._executors:
                warm_up = self._steps.use_memory if facts.in_memory else self._steps.use_files
                try:
                    self._executors[DATOVIZ] = WorkerPool(
                        self._settings.datoviz_workers,
                        self._settings,
                        warm_up=warm_up,
                        spares=1,
                        single_use=not facts.in_memory,
                        maps_more=True,
                    )
                except ServerStartError as exc:  # no thread to be had: later there may be
                    raise ServerBusy(str(exc)) from exc
            return self._executors[DATOVIZ]

    def is_broken(self, renderer: str) -> bool:
        """Whether worker processes that draw with a renderer do not start, and none is left."""
        executor = self._executors.get(renderer)
        return isinstance(executor, WorkerPool) and executor.broken

    # -- looking at Datoviz

    def look(self, again: bool = False) -> Future[DatovizFacts]:
        """What Datoviz can do here: known already, or being found out from now on. ServerBusy where that cannot be done now.

        Args:
            again: do not rely on an older look in vain: a driver may have been installed, the GPU given back.
        """
        with self._lock:
            if self._looked is not None and again and self._looked.done() and self._looked.exception() is None:
                old = time.monotonic() - self._looked_at > LOOK_AGAIN_SECONDS
                if old and self._looked.result().reason:
                    self._looked = None
            if self._looked is not None:
                return self._looked
            looked: Future[DatovizFacts] = Future()
            reason = self.refusal(DATOVIZ)
            if reason:
                looked.set_result(DatovizFacts(reason))
            elif self._closed or not self._executors:
                looked.set_exception(ServerBusy(SHUTTING_DOWN if self._closed else NOT_STARTED))
            else:
                thread = threading.Thread(target=self._find_out, args=(looked,), name="gsp-network-look", daemon=True)
                try:
                    thread.start()
                except RuntimeError as exc:
                    looked.set_exception(ServerBusy(f"no thread to be had to look at Datoviz: {exc}"))
                else:
                    self._looked, self._thread = looked, thread
            return looked

    def _find_out(self, looked: Future[DatovizFacts]) -> None:
        """Settle `looked`, in a thread of its own; where nothing could be found out the next who asks looks again."""
        settings = dataclasses.replace(self._settings, render_timeout=LOOK_SECONDS, imports=())
        pool: Optional[WorkerPool] = None
        try:
            with self._lock:
                if self._closed:
                    raise ServerBusy(SHUTTING_DOWN)
                pool = self._looking = WorkerPool(1, settings, single_use=True, maps_more=True)
            facts = self._facts(pool)
            told = facts.reason or f"on {facts.device}, {frames_of(facts)}"
            logger.log(
                logging.WARNING if facts.reason and self._default == DATOVIZ else logging.INFO, "Datoviz: %s", told
            )
            self._looked_at = time.monotonic()
            looked.set_result(facts)
        except (GspNetworkError, CancelledError) as exc:  # no process to be had, or the server closes
            looked.set_exception(ServerBusy(f"Datoviz cannot be looked at now: {str(exc) or SHUTTING_DOWN}"))
        except BaseException:
            logger.exception("looking at Datoviz failed")
            looked.set_exception(ServerBusy("Datoviz cannot be looked at now; the server's log says why"))
        finally:
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)
                pool.join(END_SECONDS)
            with self._lock:
                if looked.exception() is not None:
                    self._looked = None

    def _facts(self, pool: WorkerPool) -> DatovizFacts:
        """Look, then draw in one way and the other, each in a process of its own; ServerBusy where none starts."""
        facts = DatovizFacts("Datoviz cannot be looked at here; the server's log says why")
        try:
            facts = facts_of(pool.submit(run_named, self._steps.look).result())
        except ServerBusy:
            raise
        except (WorkerCrashed, RenderTimeout) as exc:
            how = "ends its process" if isinstance(exc, WorkerCrashed) else "hangs"
            facts = DatovizFacts(f"Datoviz {how} here when it is asked for a device; is its Vulkan driver whole?")
        except (GspNetworkError, ValueError, TypeError) as exc:
            logger.error("looking at Datoviz: %s", exc)
        if facts.reason:
            return facts
        how = ""
        for step, in_memory in ((self._steps.draw_in_memory, True), (self._steps.draw_by_file, False)):
            try:
                if pool.submit(run_named, step).result() is True:
                    return dataclasses.replace(facts, in_memory=in_memory)
                how = how or "draws nothing here"
            except ServerBusy:
                raise
            except WorkerCrashed:
                how = "ends its process here when it draws"
            except RenderTimeout:
                how = "hangs here when it draws"
            except GspNetworkError as exc:
                logger.error("drawing with Datoviz to try it: %s", exc)
                how = "fails here, as the server's log tells, when it draws"
        return dataclasses.replace(facts, reason=f"Datoviz {how} (device {facts.device}, driver {facts.driver})")

    # -- what it tells of itself

    def health(self, renderer: str) -> dict[str, Any]:
        """What GET /health tells of a renderer; Datoviz is looked at from then on where it was not."""
        told = self._availability(renderer)
        executor = self._executors.get(renderer)
        if isinstance(executor, WorkerPool):
            told["workers"] = self.workers(renderer)
            if told["available"] and executor.broken:
                return {"available": False, "reason": NO_WORKER, "workers": told["workers"]}
        return told

    def _availability(self, renderer: str) -> dict[str, Any]:
        reason = self.refusal(renderer)
        if reason:
            return {"available": False, "reason": reason}
        told: dict[str, Any] = {"available": True, "version": backends.version(renderer)}
        if renderer != DATOVIZ or not self._has_pools():
            return told
        looked = self.look()
        if not looked.done():
            return {"available": False, "state": "looking", "reason": "it is being looked at; ask again"}
        error = looked.exception()
        if error is not None:
            return {"available": False, "reason": str(error)}
        facts = looked.result()
        if facts.reason:
            return {"available": False, "reason": facts.reason}
        return {
            **told, "device": facts.device, "driver": facts.driver, "frames": frames_of(facts), "limits": facts.limits
        }  # fmt: skip

    def workers(self, renderer: Optional[str] = None) -> dict[str, Any]:
        """Worker processes by state, and how many were replaced, by reason; of one renderer or of all; empty without any."""
        pools = [
            executor
            for name, executor in list(self._executors.items())
            if isinstance(executor, WorkerPool) and renderer in (None, name)
        ]
        states: Counter[str] = Counter()
        restarts: Counter[str] = Counter()
        for pool in pools:
            states.update(pool.state())
            restarts.update(pool.restarts)
        return {**states, "restarts": dict(restarts)} if pools else {}


def frames_of(facts: DatovizFacts) -> str:
    """How pictures come out of Datoviz, in words."""
    return "in memory" if facts.in_memory else "by file"


def _settle(future: Future[_Result], result: Callable[[], _Result]) -> None:
    """Give a future what a function returns or raises."""
    try:
        future.set_result(result())
    except BaseException as exc:  # noqa: BLE001 - for whoever waits
        future.set_exception(exc)
    del future  # its error's traceback holds this frame
