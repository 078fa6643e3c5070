"""The executors: a thread that never keeps a program alive, and worker processes that may do their worst."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from typing import Any, Iterator, Optional
from unittest import mock

from gsp_network import workers
from gsp_network.errors import (
    GspNetworkError,
    LimitExceeded,
    RenderTimeout,
    ServerBusy,
    ServerStartError,
    WorkerCrashed,
)
from gsp_network.folders import private_folder
from gsp_network.render_thread import RenderThread
from gsp_network.settings import Limits, Settings
from gsp_network.workers import WorkerPool

from . import worker_functions as functions
from .processes import PATIENCE, is_gone
from .support import ROOT, slow

LINUX = sys.platform == "linux"
POPEN = subprocess.Popen
SOON = PATIENCE  # for what takes milliseconds on an idle machine


class TestRenderThread(unittest.TestCase):
    def setUp(self) -> None:
        self.executor = RenderThread()
        self.addCleanup(self.executor.shutdown)

    def test_runs_calls_in_order_in_one_thread(self) -> None:
        """Calls run one after the other, in the order of submission, in one thread that is not the caller's."""
        seen: list[tuple[int, threading.Thread]] = []
        futures = [self.executor.submit(lambda n=n: seen.append((n, threading.current_thread()))) for n in range(20)]
        for future in futures:
            future.result(PATIENCE)
        self.assertEqual([n for n, _ in seen], list(range(20)))
        self.assertEqual(len({thread for _, thread in seen}), 1)
        self.assertIsNot(seen[0][1], threading.current_thread())
        self.assertTrue(seen[0][1].daemon)

    def test_results_and_errors_reach_the_caller(self) -> None:
        """A future gives what the call returned or raised; an error does not end the thread."""
        self.assertEqual(self.executor.submit(max, 3, 4).result(PATIENCE), 4)
        with self.assertRaises(ZeroDivisionError):
            self.executor.submit(divmod, 1, 0).result(PATIENCE)
        with self.assertRaises(SystemExit):
            self.executor.submit(sys.exit, 3).result(PATIENCE)
        self.assertEqual(self.executor.submit(max, 1, 2).result(PATIENCE), 2)

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

    def test_no_thread_to_be_had(self) -> None:
        """Where the thread cannot start that is an error, and the next call tries again."""
        with mock.patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread")):
            self.assertRaises(RuntimeError, self.executor.submit, max, 1, 2)
        self.assertEqual(self.executor.submit(max, 1, 2).result(PATIENCE), 2)

    def test_calls_that_are_given_up(self) -> None:
        """A call that its caller has cancelled lets its arguments go while it still stands in the queue."""
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        self.executor.submit(go_on.wait, PATIENCE)
        body = bytes(1000) + b"x"
        before = sys.getrefcount(body)
        queued = [self.executor.submit(len, body) for _ in range(5)]
        self.assertTrue(all(future.cancel() for future in queued))
        self.assertEqual(sys.getrefcount(body), before)

    def test_shutdown_cancels_what_is_queued(self) -> None:
        """With cancel_futures what has not begun is cancelled; what runs is finished."""
        begun, go_on = threading.Event(), threading.Event()

        def slow() -> bool:
            begun.set()
            return go_on.wait(PATIENCE)

        running, queued = self.executor.submit(slow), self.executor.submit(max, 1, 2)
        self.assertTrue(begun.wait(PATIENCE))
        self.executor.shutdown(wait=False, cancel_futures=True)
        self.assertTrue(queued.cancelled())
        self.assertFalse(self.executor.join(0.01))
        go_on.set()
        self.assertTrue(running.result(PATIENCE))
        self.assertTrue(self.executor.join(PATIENCE))

    def test_running_call_does_not_keep_the_program_alive(self) -> None:
        """A program ends while a call is still running."""
        code = (
            "import threading; from gsp_network.render_thread import RenderThread\n"
            "begun = threading.Event(); executor = RenderThread()\n"
            "executor.submit(lambda: (begun.set(), threading.Event().wait()))\n"
            "begun.wait(); print('end')"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT)
        self.assertEqual((done.returncode, done.stdout.strip(), done.stderr), (0, "end", ""))


def until(condition: Any) -> bool:
    """Wait for a condition; whether it came."""
    deadline = time.monotonic() + SOON
    while not condition() and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    return bool(condition())


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if LINUX else 0


def own_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("gsp-network")]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def runs(pid: int) -> bool:
    """Whether a process that is not ours runs: when it has ended it waits for the system to notice."""
    return not is_gone(pid) if LINUX else is_alive(pid)


class PoolCase(unittest.TestCase):
    """Pools whose workers' standard error goes to a file; after each test no thread, process or descriptor is left."""

    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        self.said = self.folder / "stderr"
        self.assertEqual(own_threads(), [])
        before = descriptors()
        self.addCleanup(lambda: self.assertTrue(until(lambda: descriptors() <= before), f"{descriptors()} of {before}"))
        self.addCleanup(lambda: self.assertTrue(until(lambda: not own_threads()), own_threads()))

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Worker processes that start meanwhile write their standard error to `said`."""
        file = open(self.said, "ab")  # noqa: SIM115 - open for as long as workers may follow
        self.addCleanup(file.close)

        def with_stderr(*args: Any, **kwargs: Any) -> Any:
            return POPEN(*args, **{**kwargs, "stderr": file})

        patch = mock.patch("gsp_network.worker.subprocess.Popen", with_stderr)
        patch.start()
        self.addCleanup(patch.stop)
        yield

    def pool(
        self,
        count: int = 1,
        *,
        command: Optional[list[str]] = None,
        spares: int = 0,
        **settings: Any,
    ) -> WorkerPool:
        named = {name: settings.pop(name) for name in ("single_use", "maps_more") if name in settings}
        with self.quiet():
            made = WorkerPool(count, Settings(**settings), command=command, spares=spares, **named)
        self.addCleanup(self.end, made)
        return made

    def end(self, pool: WorkerPool) -> None:
        pids = pool.pids()
        pool.shutdown(wait=False, cancel_futures=True)
        self.assertTrue(pool.join(2.0))
        self.assertEqual([pid for pid in pids if is_alive(pid)], [])

    def scripted(self, start: str = "hello", *more: str, count: int = 1, **settings: Any) -> WorkerPool:
        script = (
            "import sys; sys.path[:0] = [sys.argv.pop(1)]; from tests.scripted_worker import main; main(*sys.argv[1:])"
        )
        return self.pool(count, command=[sys.executable, "-S", "-c", script, str(ROOT), start, *more], **settings)

    def expect(self, error: type, pool: WorkerPool, function: Any, *args: Any) -> Any:
        with self.assertLogs("gsp_network", "DEBUG"):
            with self.assertRaises(error) as caught:
                pool.submit(function, *args).result(SOON)
            until(lambda: pool.state()["idle"] or pool.broken)
        return caught.exception


class TestWorkerPool(PoolCase):
    def test_values_travel(self) -> None:
        """Arguments and results of bytes, texts, numbers, lists and limits come through as they are."""
        pool = self.pool()
        values = (b"", b"\x00\xff" * 1000, "\u2603 \ud83d", 1, -2.5, True, None, (b"a", ("b", 3)))
        self.assertEqual(pool.submit(functions.echo, *values).result(SOON), values)
        limits = Limits(max_canvas_side=17, math_text=True, allow_load=("/a", "/b"))
        facts = pool.submit(functions.kind_of_limits, limits).result(SOON)
        self.assertEqual(facts, (True, 17, True, ("/a", "/b")))
        settings = Settings(max_canvas_side=18)
        self.assertEqual(pool.submit(functions.kind_of_limits, settings).result(SOON), (True, 18, False, ()))

    def test_large_bodies_both_ways(self) -> None:
        """Forty megabytes go to a worker and come back unharmed."""
        body = os.urandom(2**20) * 40
        (back,) = self.pool().submit(functions.echo, body).result(SOON)
        self.assertTrue(back == body)

    def test_what_cannot_travel(self) -> None:
        """An argument, or keyword arguments, that cannot travel are a TypeError at once; such a result is a fault of ours."""
        pool = self.pool()
        with self.assertRaises(TypeError):
            pool.submit(functions.echo, object())
        with self.assertRaises(TypeError):
            pool.submit(functions.echo, value=1)
        with self.assertRaises(GspNetworkError) as caught:
            pool.submit(functions.give_what_cannot_travel).result(SOON)
        self.assertEqual(caught.exception.status, 500)
        self.assertEqual(pool.submit(functions.echo, 1).result(SOON), (1,))

    def test_each_caller_gets_its_own(self) -> None:
        """Two hundred calls from many threads each get their own answer, from as many processes as the pool has."""
        pool = self.pool(3, recycle_renders=1000)  # one of them may run nearly all, before the others are there
        with concurrent.futures.ThreadPoolExecutor(32) as threads:
            pairs = list(threads.map(lambda n: (n, pool.submit(functions.echo, n, b"%d" % n).result(SOON)), range(200)))
        self.assertEqual([(n, answer) for n, answer in pairs if answer != (n, b"%d" % n)], [])
        self.assertTrue(until(lambda: pool.state() == {"idle": 3, "busy": 0, "starting": 0}), pool.state())
        self.assertEqual(len(pool.pids()), 3)
        self.assertEqual(pool.restarts, {})

    def test_errors_come_back(self) -> None:
        """An error of ours keeps its class and facts, a user's subclass becomes ours; a surprise tells nothing."""
        pool = self.pool()
        error = None
        for kind in ("ours", "theirs"):
            with self.assertRaises(LimitExceeded) as caught:
                pool.submit(functions.refuse, kind).result(SOON)
            error = caught.exception
            self.assertIs(type(error), LimitExceeded)
        self.assertEqual((error.where, error.limit), ("visuals[0]", "max_visuals"))
        for function, args in (
            (functions.refuse, ("surprise",)),
            (functions.refuse, ("odd",)),
            (functions.raise_exit, ()),
        ):
            with self.assertRaises(GspNetworkError) as caught:
                pool.submit(function, *args).result(SOON)
            self.assertEqual(type(caught.exception), GspNetworkError)
            self.assertNotIn("secret", str(caught.exception))
        self.assertIn("ZeroDivisionError: secret", self.said.read_text())
        self.assertEqual(pool.restarts, {})

    def test_environment(self) -> None:
        """A worker has no token, one thread a library, and Matplotlib's files in a folder of this user's alone."""
        with mock.patch.dict(os.environ, {"GSP_NETWORK_TOKEN": "secret", "MATPLOTLIBRC": "/etc/passwd"}):
            pool = self.pool()
        found = [
            pool.submit(functions.environment, name).result(SOON)
            for name in ("GSP_NETWORK_TOKEN", "MATPLOTLIBRC", "MPLBACKEND", "OMP_NUM_THREADS", "MPLCONFIGDIR")
        ]
        cache = pool.submit(functions.environment, "MESA_SHADER_CACHE_DIR").result(SOON)
        self.assertEqual(cache, os.path.dirname(found[4]))
        self.assertEqual(found[:4], [None, None, "Agg", "1"])
        facts = os.stat(os.path.dirname(found[4]))
        self.assertEqual(os.path.dirname(os.path.dirname(found[4])), tempfile.gettempdir())
        if os.name == "posix":
            self.assertEqual((stat.S_IMODE(facts.st_mode), facts.st_uid), (0o700, os.getuid()))

    def test_folder_that_is_not_ours(self) -> None:
        """Where somebody else's folder or link is in the private folder's place, it is not used."""
        name = f"gsp_network-{os.getuid()}"
        for make in ("link", "open to all", "file"):
            with self.subTest(make), tempfile.TemporaryDirectory() as place:
                path = pathlib.Path(place, name)
                if make == "link":
                    path.symlink_to(self.folder)
                elif make == "file":
                    path.touch(0o600)
                else:
                    path.mkdir()
                    path.chmod(0o777)
                with mock.patch.object(tempfile, "tempdir", place), self.assertLogs("gsp_network", "WARNING"):
                    self.assertIsNone(private_folder())

    def test_no_interpreter(self) -> None:
        """Where there is no interpreter to run workers with, the pool says so and what to do."""
        for patch in (mock.patch.object(sys, "executable", None), mock.patch.object(sys, "frozen", True, create=True)):
            with patch, self.assertRaisesRegex(ServerStartError, "workers=0"):
                WorkerPool(1, Settings())

    def test_shutdown(self) -> None:
        """What was queued runs, later calls are refused, and a second shutdown is fine."""
        pool = self.pool(2)
        futures = [pool.submit(functions.echo, n) for n in range(10)]
        pool.shutdown()
        pool.shutdown()
        self.assertEqual([future.result(0) for future in futures], [(n,) for n in range(10)])
        with self.assertRaises(ServerBusy):
            pool.submit(functions.echo, 1)
        self.assertEqual(own_threads(), [])

    def test_shutdown_before_workers_are_there(self) -> None:
        """A pool that ends while its workers still start leaves nothing."""
        pool = self.pool(2)
        pool.shutdown(wait=False, cancel_futures=True)
        self.assertTrue(pool.join(SOON))
        self.assertEqual((own_threads(), pool.state()), ([], {"idle": 0, "busy": 0, "starting": 0}))

    def test_shutdown_during_a_call_that_hangs(self) -> None:
        """When the time is up the worker is killed, its caller told, and what was queued cancelled."""
        pool = self.pool()
        running = pool.submit(functions.hang, str(self.folder / "mark"))
        self.assertTrue(until((self.folder / "mark").exists))
        queued = pool.submit(functions.echo, 1)
        pool.shutdown(wait=False, cancel_futures=True)
        self.assertTrue(pool.join(0.1))
        self.assertTrue(queued.cancelled())
        self.assertIsInstance(running.exception(0), ServerBusy)


class TestWorkersThatFail(PoolCase):
    def test_death_of_a_fresh_worker(self) -> None:
        """Rows 51: a worker that dies over its first call costs its caller a 500 and nobody else anything; no retry."""
        for number, (function, args) in enumerate(
            ((functions.die, (signal.SIGSEGV,)), (functions.die, (signal.SIGABRT,)), (functions.leave, (0,)))
        ):
            with self.subTest(function=function.__name__, args=args):
                pool = self.pool()
                error = self.expect(WorkerCrashed, pool, function, *args)
                self.assertEqual((error.status, error.type), (500, "worker_crashed"))
                path = str(self.folder / f"mark{number}")
                self.assertEqual(pool.restarts, {"crashed": 1})
                self.expect(WorkerCrashed, pool, functions.die_before, path, 9)
                self.assertEqual(os.path.getsize(path), 1)
                self.assertEqual(pool.submit(functions.echo, 1).result(SOON), (1,))

    def test_death_of_a_worker_that_has_served(self) -> None:
        """Row 51: where the dead worker had served before, the call is tried once more, and once only."""
        pool, path = self.pool(2), str(self.folder / "mark")
        for _ in range(20):
            pool.submit(functions.echo, 1).result(SOON)
        self.assertTrue(until(lambda: pool.state()["idle"] == 2))
        with pool.changed:
            for worker in pool._workers:  # as if each had served
                worker.served = 1
        with self.assertLogs("gsp_network", "WARNING"):
            self.assertEqual(pool.submit(functions.die_before, path, 1).result(SOON), "survived")
        self.assertEqual(os.path.getsize(path), 2)
        self.assertTrue(until(lambda: pool.state()["idle"] == 2))
        with pool.changed:
            for worker in pool._workers:
                worker.served = 1
        path += "2"
        self.expect(WorkerCrashed, pool, functions.die_before, path, 9)
        self.assertEqual(os.path.getsize(path), 2)

    def test_idle_worker_that_is_killed(self) -> None:
        """Row 52: workers killed from outside while idle are replaced, and calls go on."""
        pool = self.pool(2)
        self.assertTrue(until(lambda: pool.state()["idle"] == 2))
        with pool.changed:
            for worker in pool._workers:  # as if each had served
                worker.served = 1
        with self.assertLogs("gsp_network", "WARNING"):
            for pid in pool.pids():
                os.kill(pid, signal.SIGKILL)
            answers = [pool.submit(functions.echo, n).result(SOON) for n in range(4)]
        self.assertEqual(answers, [(n,) for n in range(4)])
        self.assertTrue(until(lambda: pool.restarts["died"] + pool.restarts["crashed"] == 2), pool.restarts)

    def test_late(self) -> None:
        """Row 50: a call over the deadline is a 504, its worker killed, it is not retried, and the next call is served."""
        for function in (functions.hang, functions.hang_in_native_code):
            with self.subTest(function.__name__):
                pool, path = self.pool(2, render_timeout=0.5), str(self.folder / function.__name__)
                pool.submit(functions.echo, 1).result(SOON)
                self.assertTrue(until(lambda pool=pool: pool.state()["idle"] == 2))
                before = set(pool.pids())
                late = pool.submit(function, path)
                self.assertEqual(pool.submit(functions.echo, 2).result(SOON), (2,))
                with self.assertLogs("gsp_network", "WARNING"), self.assertRaises(RenderTimeout) as caught:
                    late.result(SOON)
                self.assertEqual((caught.exception.status, caught.exception.limit), (504, "render_timeout"))
                self.assertEqual(os.path.getsize(path), 1)
                self.assertTrue(until(lambda pool=pool, before=before: len(before & set(pool.pids())) == 1))
                self.assertEqual(sum(is_alive(pid) for pid in before), 1)
                self.assertEqual(pool.restarts, {"timeout": 1})

    def test_replies_that_are_none(self) -> None:
        """Row 53: half a reply, garbage, a wrong number, two replies or one too large count as a crash, and reach nobody."""
        wrong = (
            "garbage",
            "half",
            "header",
            "oversize",
            "no-json",
            "no-facts",
            "wrong-number",
            "no-value",
            "no-error",
            "infinite",
        )
        pool = self.scripted()
        for what in wrong:
            with self.subTest(what):
                self.expect(WorkerCrashed, pool, functions.echo, what)
                self.assertEqual(pool.submit(functions.echo, "right").result(SOON), "right")
                pool.shutdown(cancel_futures=True)
                pool = self.scripted()
        self.assertEqual(pool.submit(functions.echo, "right").result(SOON), "right")

    def test_replies_after_the_reply(self) -> None:
        """Rows 52 and 75: what comes after a whole reply, be it the worker's end, harms no caller and reaches none."""
        for what in ("exit-after", "twice", "late"):
            with self.subTest(what):
                pool = self.scripted()
                with self.assertLogs("gsp_network", "WARNING"):
                    self.assertEqual(pool.submit(functions.echo, what).result(SOON), what)
                    answers = [pool.submit(functions.echo, f"mine{n}").result(SOON) for n in range(5)]
                    self.assertTrue(until(lambda pool=pool: pool.restarts))
                self.assertEqual(answers, [f"mine{n}" for n in range(5)])

    def test_no_thread_for_the_deadline(self) -> None:
        """Where a call cannot be given its deadline, its caller is told, and the slot goes on."""
        pool = self.pool()
        self.assertTrue(until(lambda: pool.state()["idle"] == 1))
        with mock.patch.object(threading.Timer, "start", side_effect=RuntimeError("can't start new thread")):
            with self.assertLogs("gsp_network", "ERROR"), self.assertRaises(WorkerCrashed):
                pool.submit(functions.echo, 1).result(SOON)
        self.assertEqual(pool.submit(functions.echo, 2).result(SOON), (2,))

    def test_calls_that_are_given_up(self) -> None:
        """A call that its caller has cancelled leaves the queue at once, with its body."""
        pool, go_on = self.pool(), self.folder / "go on"
        running = pool.submit(functions.wait_for, str(go_on))
        self.assertTrue(until(running.running))
        body = os.urandom(1000)
        before = sys.getrefcount(body)
        queued = [pool.submit(functions.echo, body) for _ in range(20)]
        self.assertGreater(sys.getrefcount(body), before)
        self.assertTrue(all(future.cancel() for future in queued))
        self.assertEqual((len(pool._queue), sys.getrefcount(body)), (0, before))
        go_on.touch()
        self.assertEqual(running.result(SOON), "seen")

    def test_shutdown_with_a_call_that_was_put_back(self) -> None:
        """A call whose worker died, and which waits for another, is settled by a shutdown too."""
        pool = self.scripted()
        self.assertEqual(pool.submit(functions.echo, "a").result(SOON), "a")
        pool._command[-1] = f"wait:{self.folder / 'never'}"
        with self.assertLogs("gsp_network", "WARNING"):
            waiting = pool.submit(functions.echo, "half")
            self.assertTrue(until(lambda: pool.restarts["garbage"]))
        pool.shutdown(wait=False, cancel_futures=True)
        self.assertIsInstance(waiting.exception(SOON), ServerBusy)

    def test_put_back_past_its_deadline(self) -> None:
        """A call that waits past its deadline for another worker is late, and costs that worker nothing."""
        pool, go_on = self.scripted(render_timeout=0.3), self.folder / "go on"
        self.assertEqual(pool.submit(functions.echo, "a").result(SOON), "a")
        pool._command[-1] = f"wait:{go_on}"
        with self.assertLogs("gsp_network", "WARNING"):
            waiting = pool.submit(functions.echo, "half")
            self.assertTrue(until(lambda: pool.restarts["garbage"]))
            deadline = time.monotonic() + 0.4
            self.assertTrue(until(lambda: time.monotonic() > deadline))
        go_on.touch()
        self.assertIsInstance(waiting.exception(SOON), RenderTimeout)
        self.assertEqual(pool.submit(functions.echo, "b").result(SOON), "b")
        self.assertEqual(pool.restarts, {"garbage": 1})

    def test_private_folder_that_goes_away(self) -> None:
        """Where the temporary directory was cleaned up, the next worker's folder is made again."""
        with tempfile.TemporaryDirectory() as place, mock.patch.object(tempfile, "tempdir", place):
            pool = self.pool()
            self.assertEqual(pool.submit(functions.echo, 1).result(SOON), (1,))
            shutil.rmtree(private_folder())
            with self.assertLogs("gsp_network", "WARNING"):
                os.kill(pool.pids()[0], signal.SIGKILL)
                self.assertEqual(pool.submit(functions.echo, 2).result(SOON), (2,))
            self.end(pool)

    def test_chatter(self) -> None:
        """Rows 54 and 55: what native code prints, to either descriptor and however much, stays out of the replies."""
        pool = self.pool()
        for _ in range(3):
            self.assertEqual(pool.submit(functions.chatter, 2_000_000).result(SOON), "said")
        self.assertEqual(pool.submit(functions.give, 300_000).result(SOON), b"y" * 300_000)
        self.assertGreater(self.said.stat().st_size, 12_000_000)

    @unittest.skipUnless(LINUX, "limits on address space are not the same everywhere")
    def test_memory(self) -> None:
        """Row 56: a scene that needs more memory than a worker may have is a 422 that names the setting."""
        for maps_more in (False, True):
            with self.subTest(maps_more=maps_more):
                pool = self.pool(worker_memory_bytes=2**30, maps_more=maps_more)
                with self.assertRaises(LimitExceeded) as caught:
                    pool.submit(functions.take, 2**31).result(SOON)
                self.assertEqual((caught.exception.status, caught.exception.limit), (422, "worker_memory_bytes"))
                self.assertEqual(pool.submit(functions.take, 2**20).result(SOON), 2**20)
                self.assertTrue(until(lambda pool=pool: pool.restarts["recycled"] == 1))
        self.assertEqual(
            self.pool(worker_memory_bytes=2**30, maps_more=True).submit(functions.map_much).result(SOON), 2**32
        )

    @slow
    def test_many_crashes(self) -> None:
        """Row 51: two hundred crashes in a row are two hundred errors, and leave no descriptor, thread or process."""
        pool = self.scripted(count=2)
        self.assertTrue(until(lambda: pool.state()["idle"] == 2))
        before = descriptors()
        with self.assertLogs("gsp_network", "WARNING"):
            errors = [pool.submit(functions.echo, "die") for _ in range(200)]
            kinds = {type(error.exception(10 * PATIENCE)) for error in errors}
        self.assertEqual(kinds, {WorkerCrashed})
        self.assertEqual(pool.restarts, {"crashed": 200})
        self.assertTrue(until(lambda: pool.state()["idle"] == 2))
        self.assertEqual(pool.submit(functions.echo, "right").result(SOON), "right")
        self.assertTrue(until(lambda: descriptors() <= before), f"{descriptors()} of {before}")
        self.assertTrue(until(lambda: len(own_threads()) == 4), own_threads())


class TestRecycling(PoolCase):
    def test_by_count(self) -> None:
        """After so many calls a fresh worker takes over; until it is ready the old one serves, and no call is lost."""
        pool = self.pool(2, recycle_renders=5)
        pids = set()
        deadline = time.monotonic() + SOON
        while len(pids) < 5 and time.monotonic() < deadline:
            answers = [pool.submit(functions.pid) for _ in range(20)]
            pids |= {answer.result(SOON) for answer in answers}
        self.assertGreaterEqual(len(pids), 5)
        self.assertEqual(set(pool.restarts), {"recycled"})
        self.assertTrue(until(lambda: pool.state() == {"idle": 2, "busy": 0, "starting": 0}), pool.state())
        self.assertTrue(until(lambda: sum(map(is_alive, pids)) <= 2))

    def test_by_memory(self) -> None:
        """A worker that holds on to memory is replaced."""
        pool = self.pool(recycle_bytes=80 * 2**20)
        first = pool.submit(functions.keep, 100 * 2**20).result(SOON)
        self.assertTrue(until(lambda: pool.submit(functions.pid).result(SOON) != first))
        self.assertEqual(pool.restarts["recycled"], 1)

    def test_death_while_the_successor_starts(self) -> None:
        """Where a worker dies before its successor is ready, that one takes its place, and the pool does not grow."""
        go_on = self.folder / "go on"
        pool = self.scripted(recycle_renders=1)
        self.assertTrue(until(lambda: pool.state()["idle"] == 1))
        pool._command[-1] = f"wait:{go_on}"
        self.assertEqual(pool.submit(functions.echo, "a").result(SOON), "a")
        self.assertTrue(until(lambda: len(pool._workers) == 2))
        with self.assertLogs("gsp_network", "WARNING"):
            os.kill(pool.pids()[0], signal.SIGKILL)
            self.assertTrue(until(lambda: len(pool._workers) == 1))
        go_on.touch()
        pool._settings = Settings()
        self.assertEqual(pool.submit(functions.echo, "b").result(SOON), "b")
        self.assertEqual((len(pool._workers), pool._running), (1, 1))

    def test_successor_that_does_not_start(self) -> None:
        """Where the successor does not start, the old worker goes on serving."""
        pool = self.scripted(recycle_renders=2)
        self.assertEqual(pool.submit(functions.echo, "a").result(SOON), "a")
        pool._command = [sys.executable, "-c", "raise SystemExit(1)"]
        with self.assertLogs("gsp_network", "WARNING"):
            answers = [pool.submit(functions.echo, str(n)).result(SOON) for n in range(3)]
            self.assertTrue(until(lambda: pool._failures))
            answers += [pool.submit(functions.echo, str(n)).result(SOON) for n in range(3, 6)]
        self.assertEqual(answers, [str(n) for n in range(6)])

    def test_spent(self) -> None:
        """A worker that says it is spent is replaced, whatever it has drawn."""
        pool = self.pool()
        first = pool.submit(functions.spend).result(SOON)
        self.assertTrue(until(lambda: pool.submit(functions.pid).result(SOON) != first))
        self.assertEqual(pool.restarts["recycled"], 1)


class TestSpares(PoolCase):
    def ready(self, pool: WorkerPool, count: int) -> None:
        self.assertTrue(until(lambda: pool.state() == {"idle": count, "busy": 0, "starting": 0}), pool.state())

    def test_one_goes_on(self) -> None:
        """The worker that has served most takes the next call, so that the spare stays fresh."""
        pool = self.pool(spares=1)
        self.ready(pool, 2)
        pids = [pool.submit(functions.pid).result(SOON) for _ in range(20)]
        self.assertEqual(len(set(pids)), 1)
        self.assertEqual(pool.state(), {"idle": 2, "busy": 0, "starting": 0})

    def test_calls_at_once(self) -> None:
        """Only so many calls run at once as there are workers, the spare aside; each that waits gets its turn."""
        pool, go_on = self.pool(2, spares=1), self.folder / "go on"
        self.ready(pool, 3)
        running = [pool.submit(functions.wait_for, str(go_on)) for _ in range(2)]
        self.assertTrue(until(lambda: pool.state()["busy"] == 2))
        queued = [pool.submit(functions.echo, n) for n in range(5)]
        self.assertEqual((pool.state(), len(pool._queue)), ({"idle": 1, "busy": 2, "starting": 0}, 5))
        go_on.touch()
        self.assertEqual([future.result(SOON) for future in running], ["seen", "seen"])
        self.assertEqual([future.result(SOON) for future in queued], [(n,) for n in range(5)])

    def test_many_callers(self) -> None:
        """Two hundred calls from many threads each get their own answer, while workers are recycled."""
        pool = self.pool(2, spares=1, recycle_renders=20)
        with concurrent.futures.ThreadPoolExecutor(16) as threads:
            pairs = list(threads.map(lambda n: (n, pool.submit(functions.echo, n).result(SOON)), range(200)))
        self.assertEqual([(n, answer) for n, answer in pairs if answer != (n,)], [])
        self.assertTrue(until(lambda: pool.state()["idle"] == 3 and not any(map(pool._is_due, list(pool._workers)))))
        self.assertEqual(set(pool.restarts), {"recycled"})

    def test_worker_that_no_kill_ends(self) -> None:
        """A worker that does not end, as one that waits in a driver, costs its call a timeout, and the spare goes on."""
        pool = self.pool(spares=1, render_timeout=0.3)
        self.ready(pool, 2)
        with self.assertLogs("gsp_network", "WARNING"), mock.patch.object(workers, "END_SECONDS", 0.2):
            with mock.patch("gsp_network.worker.Worker.kill"):
                hung = pool.submit(functions.hang, str(self.folder / "path"))
                self.assertIsInstance(hung.exception(SOON), RenderTimeout)
                self.assertEqual(pool.submit(functions.echo, 1).result(SOON), (1,))
            self.assertTrue(until(lambda: pool.restarts["timeout"] == 1))
            for worker in list(pool._workers):
                if worker.expired:
                    worker.kill()
            self.ready(pool, 2)

    def test_spare_takes_over(self) -> None:
        """Where a worker dies the spare draws at once, and a fresh spare starts."""
        pool = self.scripted(spares=1)
        self.ready(pool, 2)
        pool._command[-1] = f"wait:{self.folder / 'go on'}"
        with self.assertLogs("gsp_network", "WARNING"):
            self.assertIsInstance(pool.submit(functions.echo, "half").exception(SOON), WorkerCrashed)
        self.assertTrue(until(lambda: pool.state() == {"idle": 1, "busy": 0, "starting": 1}), pool.state())
        self.assertEqual(pool.submit(functions.echo, "a").result(SOON), "a")
        (self.folder / "go on").touch()
        self.ready(pool, 2)

    def test_recycling(self) -> None:
        """A worker that is due goes on until a spare is ready, and then ends at once; a fresh one starts in its place."""
        pool = self.scripted(spares=1, recycle_renders=2)
        self.ready(pool, 2)
        pool._command[-1] = f"wait:{self.folder / 'go on'}"
        self.assertEqual([pool.submit(functions.echo, word).result(SOON) for word in "ab"], ["a", "b"])
        self.assertTrue(until(lambda: pool.state() == {"idle": 1, "busy": 0, "starting": 1}), pool.state())
        self.assertTrue(until(lambda: len(pool.pids()) == 1))
        (second,) = pool.pids()
        self.assertEqual([pool.submit(functions.echo, word).result(SOON) for word in "abcde"], [*"abcde"])
        self.assertEqual((pool.pids(), pool.restarts), ([second], {"recycled": 1}))
        (self.folder / "go on").touch()
        self.assertTrue(until(lambda: pool.restarts["recycled"] == 2 and second not in pool.pids()), pool.pids())
        self.ready(pool, 2)

    def test_spent(self) -> None:
        """A worker that says it is spent is relieved by the spare."""
        pool = self.pool(spares=1)
        self.ready(pool, 2)
        first = pool.submit(functions.spend).result(SOON)
        self.assertNotEqual(pool.submit(functions.pid).result(SOON), first)
        self.assertTrue(until(lambda: not is_alive(first)))
        self.assertEqual(pool.restarts, {"recycled": 1})

    def test_single_use(self) -> None:
        """Each worker runs one call, be it answered by a result or an error, and no second, even where none else is ready."""
        pool = self.scripted(spares=1, single_use=True)
        self.ready(pool, 2)
        pool._command[-1] = f"wait:{self.folder / 'go on'}"
        answers = [pool.submit(functions.echo, word) for word in "abc"]
        self.assertEqual([answer.result(SOON) for answer in answers[:2]], ["a", "b"])
        self.assertTrue(until(lambda: pool.state() == {"idle": 0, "busy": 0, "starting": 2}), pool.state())
        self.assertFalse(answers[2].done())
        (self.folder / "go on").touch()
        self.assertEqual(answers[2].result(SOON), "c")
        pool = self.pool(spares=1, single_use=True)
        pids = []
        for _ in range(3):
            pids.append(pool.submit(functions.pid).result(SOON))
            with self.assertRaises(LimitExceeded):
                pool.submit(functions.refuse, "ours").result(SOON)
        self.assertEqual(len(set(pids)), 3)
        self.assertTrue(until(lambda: pool.restarts == {"recycled": 6}), pool.restarts)

    def test_single_use_without_retry(self) -> None:
        """A worker that runs one call is fresh: what it dies over is not tried again."""
        pool, path = self.pool(single_use=True), str(self.folder / "mark")
        self.expect(WorkerCrashed, pool, functions.die_before, path, 9)
        self.assertEqual(os.path.getsize(path), 1)

    def test_answered_before_the_end(self) -> None:
        """A worker that does not end when it is told to has been answered for by then."""
        pool = self.pool(single_use=True)
        with mock.patch.object(workers, "END_SECONDS", 0.5):
            self.assertEqual(pool.submit(functions.refuse_to_end).result(SOON), "here")
            with pool.changed:
                (worker,) = pool._workers
                self.assertFalse(worker.dead)
            self.assertEqual(pool.submit(functions.echo, 1).result(SOON), (1,))

    def test_shutdown(self) -> None:
        """What was queued runs, the spare does not keep the pool from ending, and nothing is left."""
        for single_use in (False, True):
            pool = self.pool(spares=1, single_use=single_use)
            futures = [pool.submit(functions.echo, n) for n in range(4)]
            pool.shutdown()
            self.assertEqual([future.result(0) for future in futures], [(n,) for n in range(4)])
            self.assertEqual(own_threads(), [])


class TestWorkersThatDoNotStart(PoolCase):
    def test_breaker(self) -> None:
        """Row 58: after three failed starts calls are refused at once, starts are few, and it heals by itself."""
        starts, cure = self.folder / "starts", self.folder / "cure"
        with mock.patch.object(workers, "FIRST_PAUSE", 0.05), mock.patch.object(workers, "LAST_PAUSE", 0.5):
            with self.assertLogs("gsp_network", "WARNING") as logs:
                pool = self.scripted(f"exit-unless:{cure}", str(starts))
                with self.assertRaises(ServerBusy) as caught:
                    pool.submit(functions.echo, "early").result(SOON)
                self.assertIn("do not start", str(caught.exception))
                with self.assertRaises(ServerBusy):
                    pool.submit(functions.echo, "at once")
                self.assertEqual(starts.stat().st_size, 3)
                cure.touch()
                self.assertTrue(until(lambda: pool.state()["idle"] == 1))
            self.assertIn("a worker ended with status 1", logs.output[0])
            self.assertEqual(pool.submit(functions.echo, "later").result(SOON), "later")
            self.assertEqual(starts.stat().st_size, 4)

    def test_no_process_to_be_had(self) -> None:
        """Row 57: where no process can be started calls are a 503, and are served again when one can."""
        with mock.patch.object(workers, "FIRST_PAUSE", 0.02), mock.patch.object(workers, "LAST_PAUSE", 0.2):
            with self.assertLogs("gsp_network", "WARNING") as logs:
                with mock.patch(
                    "gsp_network.worker.subprocess.Popen", side_effect=BlockingIOError(11, "no more processes")
                ):
                    made = WorkerPool(1, Settings())
                    self.addCleanup(self.end, made)
                    with self.assertRaises(ServerBusy):
                        made.submit(functions.echo, 1).result(SOON)
                self.assertTrue(until(lambda: made.state()["idle"] == 1))
            self.assertIn("no more processes", "".join(logs.output))
            self.assertEqual(made.submit(functions.echo, 1).result(SOON), (1,))

    def test_silent_and_chatty(self) -> None:
        """A worker that never says hello, or says something else first, is killed and tried again."""
        for start, seconds in (("silent", 0.1), ("chatty", SOON)):
            with mock.patch.object(workers, "START_SECONDS", seconds), mock.patch.object(workers, "FIRST_PAUSE", 0.02):
                with self.subTest(start), self.assertLogs("gsp_network", "WARNING"):
                    pool = self.scripted(start)
                    with self.assertRaises(ServerBusy):
                        pool.submit(functions.echo, "x").result(SOON)
                    pool.shutdown(wait=False, cancel_futures=True)
                    self.assertTrue(pool.join(SOON))


class TestPoolWithoutHelp(unittest.TestCase):
    def test_neither_multiprocessing_nor_pickle(self) -> None:
        """A server with workers loads neither multiprocessing nor pickle, nor, in its own process, numpy."""
        code = (
            "import sys; from gsp_network import RenderServer\n"
            "with RenderServer(port=0, workers=1) as server:\n"
            "    print(sorted({'multiprocessing', 'pickle', 'numpy', 'matplotlib'} & set(sys.modules)))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT)
        self.assertEqual((done.returncode, done.stdout.strip()), (0, "[]"), done.stderr)

    def test_standard_error_that_is_closed(self) -> None:
        """Workers also start where the server has no standard error."""
        code = (
            "from gsp_network.workers import WorkerPool; from gsp_network.settings import Settings\n"
            "from tests.worker_functions import chatter\n"
            "pool = WorkerPool(1, Settings()); print(pool.submit(chatter, 10).result(30)); pool.shutdown()"
        )
        command = f'exec "{sys.executable}" -c "{code}" 2>&-'
        done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, text=True, timeout=PATIENCE, cwd=ROOT)
        self.assertEqual((done.returncode, done.stdout.strip()), (0, "said"))

    @unittest.skipUnless(hasattr(signal, "alarm"), "no alarms here")
    def test_parent_that_is_killed(self) -> None:
        """Row 63: when the parent is killed, its workers end, be they idle, busy, or deaf in native code."""
        with tempfile.TemporaryDirectory() as folder:
            code = (
                "import sys, threading; from gsp_network.workers import WorkerPool\n"
                "from gsp_network.settings import Settings; from tests import worker_functions as functions\n"
                "pool = WorkerPool(3, Settings(render_timeout=0.9, imports=('tests.worker_alarm',)))\n"
                "while pool.state()['idle'] < 3: threading.Event().wait(0.01)\n"
                "pool._settings = Settings(render_timeout=600)\n"
                f"pool.submit(functions.hang, {folder!r} + '/one')\n"
                f"pool.submit(functions.hang_in_native_code, {folder!r} + '/two')\n"
                "print(*pool.pids(), flush=True); threading.Event().wait()"
            )
            parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
            with parent:
                pids = [int(word) for word in parent.stdout.readline().split()]  # type: ignore[union-attr]
                self.assertTrue(until(lambda: len(os.listdir(folder)) == 2))
                parent.kill()
            self.assertEqual(len(pids), 3)
            self.assertTrue(until(lambda: sum(map(runs, pids)) <= 1), "more than the deaf one are alive")
            self.assertTrue(until(lambda: not any(map(runs, pids))), "the deaf one is alive")


if __name__ == "__main__":
    unittest.main()
