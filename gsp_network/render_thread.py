"""The executor of a server without worker processes: one thread, since Matplotlib draws one picture at a time in a process."""

from __future__ import annotations

import logging
import queue
import threading
import time
from concurrent.futures import Executor, Future
from typing import Any, Callable, Optional

from .errors import ServerBusy

logger = logging.getLogger(__name__)

_Job = tuple["Future[Any]", Callable[..., Any], list[Any]]


class RenderThread(Executor):
    """Runs calls one after the other in one daemon thread, which starts with the first call.

    Unlike `concurrent.futures.ThreadPoolExecutor`, whose threads the interpreter joins at exit, a call that is still
    running does not keep the program alive.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Optional[_Job]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: Optional[threading.Thread] = None
        self._closed = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a call.

        Raises:
            ServerBusy: after `shutdown`.
        """
        future: Future[Any] = Future()
        arguments: list[Any] = [args, kwargs]
        del args, kwargs
        future.add_done_callback(lambda _: arguments.clear())  # a call that is given up keeps its place, but no body
        with self._lock:
            if self._closed:
                raise ServerBusy("the server is shutting down")
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="gsp-network-render", daemon=True)
                thread.start()
                self._thread = thread
            self._jobs.put((future, fn, arguments))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; those queued still run unless `cancel_futures`. Waits without limit if `wait`; see `join`."""
        with self._lock:
            closed, self._closed = self._closed, True
            if not closed:
                if cancel_futures:
                    self._cancel_queued()
                self._jobs.put(None)
        if wait:
            self.join(None)

    def join(self, timeout: Optional[float]) -> bool:
        """Wait for the thread to end, for at most `timeout` seconds; whether it has ended."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def _cancel_queued(self) -> None:
        try:
            while True:
                job = self._jobs.get_nowait()
                if job is not None:
                    job[0].cancel()
        except queue.Empty:
            return

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            self._run_one(*job)
            del job  # keep no request alive while waiting for the next

    @staticmethod
    def _run_one(future: Future[Any], fn: Callable[..., Any], arguments: list[Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        args, kwargs = arguments
        started = time.perf_counter()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as exc:  # noqa: BLE001 - the caller's to handle: it comes out of future.result()
            future.set_exception(exc)
        # The error's traceback holds this frame: a ring that would keep the body in memory.
        del future, args, kwargs, arguments
        logger.debug("drew for %.1f ms", 1000 * (time.perf_counter() - started))
