"""The render thread: an executor whose thread never keeps a program alive."""

from __future__ import annotations

import subprocess
import sys
import threading
import unittest

from gsp_network.errors import ServerBusy
from gsp_network.workers import RenderThread

from .support import ROOT


class TestRenderThread(unittest.TestCase):
    def setUp(self) -> None:
        self.executor = RenderThread()
        self.addCleanup(self.executor.shutdown)

    def test_runs_calls_in_order_in_one_thread(self) -> None:
        """Calls run one after the other, in the order of submission, in one thread that is not the caller's."""
        seen: list[tuple[int, threading.Thread]] = []
        futures = [self.executor.submit(lambda n=n: seen.append((n, threading.current_thread()))) for n in range(20)]
        for future in futures:
            future.result(10)
        self.assertEqual([n for n, _ in seen], list(range(20)))
        self.assertEqual(len({thread for _, thread in seen}), 1)
        self.assertIsNot(seen[0][1], threading.current_thread())
        self.assertTrue(seen[0][1].daemon)

    def test_results_and_errors_reach_the_caller(self) -> None:
        """A future gives what the call returned or raised; an error does not end the thread."""
        self.assertEqual(self.executor.submit(max, 3, 4).result(10), 4)
        with self.assertRaises(ZeroDivisionError):
            self.executor.submit(divmod, 1, 0).result(10)
        with self.assertRaises(SystemExit):
            self.executor.submit(sys.exit, 3).result(10)
        self.assertEqual(self.executor.submit(max, 1, 2).result(10), 2)

    def test_no_thread_before_the_first_call(self) -> None:
        """An executor that was given nothing to do has no thread."""
        before = threading.active_count()
        idle = RenderThread()
        self.assertEqual(threading.active_count(), before)
        idle.shutdown()
        self.assertTrue(idle.join(0))

    def test_shutdown(self) -> None:
        """After shutdown calls are refused, what was queued has run, and the thread is gone; twice is fine."""
        future = self.executor.submit(max, 1, 2)
        self.executor.shutdown()
        self.executor.shutdown()
        self.assertEqual(future.result(0), 2)
        self.assertTrue(self.executor.join(0))
        with self.assertRaises(ServerBusy):
            self.executor.submit(max, 1, 2)

    def test_shutdown_cancels_what_is_queued(self) -> None:
        """With cancel_futures what has not begun is cancelled; what runs is finished."""
        begun, go_on = threading.Event(), threading.Event()

        def slow() -> bool:
            begun.set()
            return go_on.wait(10)

        running, queued = self.executor.submit(slow), self.executor.submit(max, 1, 2)
        self.assertTrue(begun.wait(10))
        self.executor.shutdown(wait=False, cancel_futures=True)
        self.assertTrue(queued.cancelled())
        self.assertFalse(self.executor.join(0.01))
        go_on.set()
        self.assertTrue(running.result(10))
        self.assertTrue(self.executor.join(10))

    def test_running_call_does_not_keep_the_program_alive(self) -> None:
        """A program ends while a call is still running."""
        code = (
            "import threading; from gsp_network.workers import RenderThread\n"
            "begun = threading.Event(); executor = RenderThread()\n"
            "executor.submit(lambda: (begun.set(), threading.Event().wait()))\n"
            "begun.wait(); print('end')"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, cwd=ROOT)
        self.assertEqual((done.returncode, done.stdout.strip(), done.stderr), (0, "end", ""))
