"""Where pictures are drawn: executors that run `render`.

A server takes any `concurrent.futures.Executor`. Two are its own: `render_thread.RenderThread`, and `WorkerPool`, processes that
may crash, hang or eat memory without harm to others. These are plain child processes on pipes: `multiprocessing` needs a
writable /dev/shm, and its pools do not survive the death of a worker.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
import weakref
from collections import Counter, deque
from concurrent.futures import Executor, Future
from typing import Any, Callable, Optional, Sequence

from .calls import Call, answer_in, late
from .errors import ServerBusy, ServerStartError, WorkerCrashed
from .settings import Limits, Settings
from .worker import Worker, worker_command
from .worker_process import Garbage

logger = logging.getLogger(__name__)


def render(
    body: bytes,
    header_renderer: Optional[str],
    default_renderer: Optional[str],
    limits: Limits,
    only: Optional[str] = None,
    instead_of: Optional[str] = None,
    store: Any = None,
) -> tuple[Any, ...]:
    """What executors run: `rendering.render_timed`, which is loaded only where scenes are drawn."""
    from .rendering import render_timed

    # As plain as it must travel.
    return tuple(render_timed(body, header_renderer, default_renderer, limits, only, instead_of, store))


MOST_MISSED = 3  # workers that a call may find dead before it begins
FAILED_STARTS = 3  # in a row: then calls are refused at once
FIRST_PAUSE, LAST_PAUSE = 0.5, 30.0  # seconds between starts that fail; doubling, and the last from FAILED_STARTS on
START_SECONDS = 60.0  # for a worker to say hello: it imports Matplotlib, whose font cache may have to be made first
END_SECONDS = 2.0  # for a worker to end by itself, and for one that was killed to be gone
NO_WORKER = "worker processes do not start here; the server's log says why"


class WorkerPool(Executor):
    """Runs calls in worker processes of its own, one at a time in each.

    A call is a function that the workers can import, with arguments of bytes, texts, numbers, lists and `Limits`; the same is
    what it may return. Bytes of a MB and more, where they are the only ones, may arrive as a read-only `mmap`. Whatever becomes
    of a worker, its caller gets an answer or an error, other calls go on, and a fresh worker follows.

    Of the workers that are idle the one that has served most takes the next call: what it keeps from call to call is used,
    and others stay fresh. Those that are due (setting recycle_renders or recycle_bytes, or they say that they are spent) go on
    until another is ready in their place.

    Args:
        workers: how many calls run at once, at least 1, each in a process of its own; all of these start now.
        settings: render_timeout, recycle_renders, recycle_bytes, worker_memory_bytes, imports, log_level and log_format; None
            takes them from the environment.
        warm_up: a function without arguments that each worker runs before its first call, as "module:name".
        python: the interpreter; None for what the setting python says. See `children.interpreter`.
        command: what to run in place of all that, for tests.
        spares: how many more processes are kept ready, to take over at once where one dies or is due.
        single_use: end each worker after its first call, once that is answered, and start a fresh one.
        maps_more: workers map more memory than they use, as graphics drivers do: worker_memory_bytes bounds only what is
            theirs alone, not their address space.
    Attributes:
        restarts: how many workers were replaced, by reason: "crashed", "timeout", "garbage", "died" (while idle), "recycled".
    Raises:
        ServerStartError: there is no interpreter to run workers with.
    """

    def __init__(
        self,
        workers: int,
        settings: Optional[Settings] = None,
        *,
        warm_up: str = "",
        python: Optional[str] = None,
        command: Optional[Sequence[str]] = None,
        spares: int = 0,
        single_use: bool = False,
        maps_more: bool = False,
    ) -> None:
        self._settings = settings or Settings.from_environment()
        self._command = (
            list(command) if command is not None else worker_command(self._settings, warm_up, python, maps_more)
        )
        self._most, self._spares, self._single_use = workers, spares, single_use
        self.changed = threading.Condition()
        self.restarts: Counter[str] = Counter()
        self._queue: deque[Call] = deque()
        self._workers: set[Worker] = set()
        self._threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self._running = 0  # threads
        self._numbers = itertools.count(1)
        self._closed = self._killed = False
        self._failures = 0
        self._not_before = 0.0
        try:
            for _ in range(workers + spares):
                self._add_thread(None)
        except RuntimeError as exc:
            self.shutdown(wait=False, cancel_futures=True)
            self.join(END_SECONDS)
            raise ServerStartError(f"no thread to be had for a worker: {exc}") from exc

    # -- for callers

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a call of an importable function.

        Raises:
            ServerBusy: after `shutdown`, or while worker processes do not start.
            TypeError: an argument that cannot travel, or keyword arguments.
        """
        if kwargs:
            raise TypeError("a worker process takes positional arguments only")
        number = next(self._numbers)
        call = Call(number, fn, args)
        call.future.add_done_callback(lambda future: self._forget(number) if future.cancelled() else None)
        with self.changed:
            if self._closed:
                raise ServerBusy("the server is shutting down")
            if self.broken:
                raise ServerBusy(NO_WORKER)
            self._queue.append(call)
            self.changed.notify_all()
        return call.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; those queued still run unless `cancel_futures`. Waits without limit if `wait`; see `join`."""
        with self.changed:
            self._closed = True
            while cancel_futures and self._queue:
                call = self._queue.popleft()
                if not call.future.cancel():  # it had begun on a worker that died
                    call.future.set_exception(ServerBusy("the server is shutting down"))
            self.changed.notify_all()
        if wait:
            self.join(None)

    def _forget(self, number: int) -> None:
        """Drop a call that its caller has given up, with the body that it holds."""
        with self.changed:
            self._queue = deque(call for call in self._queue if call.number != number)

    def join(self, timeout: Optional[float]) -> bool:
        """After `shutdown`: wait for calls under way, at most `timeout` seconds, then kill; whether all has ended."""
        with self.changed:
            if not self.changed.wait_for(lambda: not self._running, timeout):
                self._killed = True
                for worker in self._workers:
                    worker.kill()
                self.changed.notify_all()
            ended = self.changed.wait_for(lambda: not self._running, 2 * END_SECONDS)
        for thread in list(self._threads):
            thread.join(END_SECONDS if ended else 0.0)
        return ended

    def state(self) -> dict[str, int]:
        """How many workers are idle, busy and starting."""
        with self.changed:
            ready = [
                worker
                for worker in self._workers
                if worker.ready and not worker.dead and (worker.call is not None or not worker.retired)
            ]
            busy = sum(worker.call is not None for worker in ready)
            return {"idle": len(ready) - busy, "busy": busy, "starting": len(self._workers) - len(ready)}

    def pids(self) -> list[int]:
        """Process ids of the workers that have said hello."""
        with self.changed:
            return [
                worker.process.pid for worker in self._workers if worker.process and worker.ready and not worker.dead
            ]

    # -- in a thread for each worker

    def _add_thread(self, replaces: Optional[Worker]) -> Optional[Worker]:
        """Start a thread with a worker; None where there is no thread to be had and one is not needed."""
        worker = Worker(self.changed, replaces)
        thread = threading.Thread(target=self._run, args=(worker,), name="gsp-network-worker", daemon=True)
        with self.changed:
            self._running += 1
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:
            with self.changed:
                self._running -= 1
            if replaces is None:
                raise
            return None
        return worker

    def _run(self, worker: Worker) -> None:
        """Serve calls by this worker and those that follow when it dies, until one has a successor or the pool ends."""
        try:
            while self._live(worker):
                worker = Worker(self.changed, None)
        finally:
            with self.changed:
                self._running -= 1
                self.changed.notify_all()

    def _live(self, worker: Worker) -> bool:
        """One worker, from its start to its end; whether another shall follow."""
        with self.changed:
            self._workers.add(worker)
        started = False
        try:
            started = self._start(worker)
            if started:
                self._serve(worker)
        finally:
            if not started:  # it has nothing to finish
                worker.kill()
            worker.end(END_SECONDS)
            with self.changed:
                self._workers.discard(worker)
                self.changed.notify_all()
        with self.changed:
            if self._killed:
                self._fail_queue("the server is shutting down")
            if worker.replaces is not None and not started:
                worker.replaces.successor = None  # which goes on, and tries again
                return False
            if worker.successor is not None and not worker.retired:
                worker.successor.replaces = None  # it is on its way, and nothing is left for it to wait for
                return False
            return not (worker.successor is not None or self._killed or self._over())

    def _over(self) -> bool:
        return self._closed and not self._queue

    def _start(self, worker: Worker) -> bool:
        """Start a process and wait for its hello; False where it fails or the pool ends first."""
        with self.changed:
            left = self._not_before - time.monotonic()
            if left > 0:
                self.changed.wait_for(lambda: self._killed or self._over(), left)
            if self._killed or self._over():
                return False
        why = f"did not say hello within {START_SECONDS:.0f} s"
        try:
            worker.start(self._command)
        except Exception as exc:  # noqa: BLE001 - whatever it is, this slot has to try again
            why = f"cannot be started: {exc}"
            worker.dead = True
        with self.changed:
            self.changed.wait_for(lambda: worker.ready or worker.dead or self._killed or self._over(), START_SECONDS)
            if worker.ready:
                self._failures = 0
                if worker.replaces is not None:
                    worker.replaces.retired = True
                    self.restarts["recycled"] += 1
                self.changed.notify_all()
                return True
            if self._killed or self._over():
                return False
            self._failures += 1
            broken = self._failures >= FAILED_STARTS
            pause = LAST_PAUSE if broken else FIRST_PAUSE * 2 ** (self._failures - 1)
            self._not_before = time.monotonic() + pause
            how = worker.how_it_ended() if worker.process is not None and worker.dead else why
            logger.log(logging.ERROR if broken else logging.WARNING, "a worker %s; trying again in %.1f s", how, pause)
            if self.broken:
                self._fail_queue(NO_WORKER)
        return False

    @property
    def broken(self) -> bool:
        """Whether workers do not start, and none is left."""
        with self.changed:
            alive = any(worker.ready and not worker.dead for worker in self._workers)
            return self._failures >= FAILED_STARTS and not alive

    def _fail_queue(self, why: str) -> None:
        while self._queue:
            call = self._queue.popleft()
            if call.begin(0.0):
                call.future.set_exception(ServerBusy(why))

    def _serve(self, worker: Worker) -> None:
        """Run calls one after the other, until the worker dies or is relieved, or the pool ends."""
        while True:
            with self.changed:
                self.changed.wait_for(
                    lambda: (
                        worker.dead
                        or worker.retired
                        or self._over()
                        or self._is_relieved(worker)
                        or (self._queue and self._is_next(worker))
                    )
                )
                if worker.dead:
                    self._tell("died", worker)
                    return
                if worker.retired or self._over():
                    return
                if self._is_relieved(worker):
                    worker.retired = True
                    self.restarts["recycled"] += 1
                    self.changed.notify_all()
                    return
                call = self._queue.popleft()
                self.changed.notify_all()  # it may have been the last that a pool at its end has waited for
                if not call.begin(self._settings.render_timeout):
                    del call
                    continue
                worker.call, worker.reply, worker.begun = call, None, False
            try:
                alive = self._exchange(worker, call)
            except Exception:  # no thread for the timer, no memory, a reply of a kind that nobody has thought of
                logger.exception("request %s: a fault of this server", call.facts["id"])
                alive = False
                self._give_up(worker, call)
            del call  # keep no request alive while waiting for the next
            if not alive:
                return
            self._relieve(worker)

    def _serving(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.serving]

    def _is_next(self, worker: Worker) -> bool:
        """Whether the next call is this worker's: of those that are idle the one that has served most."""
        idle = [other for other in self._serving() if other.call is None]
        busy = len(self._serving()) - len(idle)
        return busy < self._most and worker is max(idle, key=lambda other: other.served, default=None)

    def _is_due(self, worker: Worker) -> bool:
        served, rss = self._settings.recycle_renders, self._settings.recycle_bytes
        return worker.served >= served or worker.rss >= rss or worker.spent

    def _is_relieved(self, worker: Worker) -> bool:
        """Whether a fresh worker shall start in this one's place, since others are ready to serve meanwhile."""
        if self._single_use:
            return worker.served > 0
        return self._spares > 0 and self._is_due(worker) and len(self._serving()) > self._most

    def _exchange(self, worker: Worker, call: Call) -> bool:
        """Have one call run and its future settled, or put the call back into the queue; whether the worker is still there."""
        timer = threading.Timer(max(call.deadline - time.monotonic(), 0.0), self._expire, (worker, call))
        timer.daemon = True
        timer.name = "gsp-network-deadline"
        timer.start()
        worker.send(call)
        with self.changed:
            self.changed.wait_for(lambda: worker.reply is not None or worker.dead or worker.expired)
            timer.cancel()
            reply = None if worker.expired else worker.reply
            if reply is None:
                worker.call = None
                self._lost(worker, call)
        timer.join()  # it may be about to look at this worker
        if reply is None:
            return False
        try:
            answer = answer_in(reply)
        except Garbage as exc:
            worker.fault = f"sent {exc}"
            self._give_up(worker, call)
            return False
        with self.changed:  # before its caller can ask for the next
            worker.call = None
            worker.served += 1
            worker.rss, worker.spent = answer.rss, answer.spent
            if answer.error is not None and answer.error.limit == "worker_memory_bytes":
                worker.rss = max(answer.rss, self._settings.recycle_bytes)  # what it freed may lie in pieces
            self.changed.notify_all()
        if answer.error is None:
            call.future.set_result(answer.value)
        else:
            call.future.set_exception(answer.error)
        worker.shared.shrink()
        return True

    def _give_up(self, worker: Worker, call: Call) -> None:
        """End a worker over a call of which nothing more can come."""
        worker.kill()
        with self.changed:
            worker.call, worker.fault = None, worker.fault or "could not be talked to"
            if not call.future.done():
                self._lost(worker, call)

    def _expire(self, worker: Worker, call: Call) -> None:
        """Called by the timer: kill the worker if it still has this call, which fails now, however long the end takes."""
        with self.changed:
            if worker.call is not call or worker.reply is not None:
                return
            worker.expired = True
            worker.kill()
            self._tell("timeout", worker, call)
            self.changed.notify_all()
        call.future.set_exception(late(self._settings.render_timeout))

    def _lost(self, worker: Worker, call: Call) -> None:
        """A worker has died over a call: settle it, or give it to another worker."""
        if worker.expired:  # its caller knows
            return
        if self._killed:
            call.future.set_exception(ServerBusy("the server is shutting down"))
            return
        self._tell("garbage" if worker.fault else "crashed", worker, call)
        if not (worker.begun or worker.fault) and call.missed < MOST_MISSED:  # it was dead already
            call.missed += 1
            call.tries -= 1
            self._put_back(call)
        elif worker.served and call.tries == 1:  # perhaps what it drew before has broken it
            self._put_back(call)
        else:
            call.future.set_exception(WorkerCrashed("the process that drew this scene died over it"))

    def _put_back(self, call: Call) -> None:
        self._queue.appendleft(call)
        self.changed.notify_all()

    def _tell(self, reason: str, worker: Worker, call: Optional[Call] = None) -> None:
        self.restarts[reason] += 1
        told = "while idle" if call is None else f"over request {call.facts['id']}"
        pid = "" if worker.process is None else f" {worker.process.pid}"
        how = worker.how_it_ended()
        logger.warning("worker%s %s %s, after %d pictures; a fresh one follows", pid, how, told, worker.served)

    def _relieve(self, worker: Worker) -> None:
        """Where a worker is due and no spare is kept, start its successor, which takes over once it is ready; one at a time."""
        with self.changed:
            starting = any(other.replaces is not None and not other.ready for other in self._workers)
            if self._spares or self._single_use or not self._is_due(worker) or worker.successor is not None:
                return
            if starting or self._closed:
                return
            logger.debug("a worker has drawn %d pictures and holds %d bytes", worker.served, worker.rss)
            worker.successor = self._add_thread(worker)
