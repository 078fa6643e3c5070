"""The executors of a server: who draws with what, and how Datoviz is looked at before; a stand-in takes its place."""

from __future__ import annotations

import json
import os
import threading
import unittest
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Optional
from unittest import mock

from gsp_network import backends, pools, workers
from gsp_network.errors import RendererUnavailable, ServerBusy, ServerStartError
from gsp_network.pools import DATOVIZ, MATPLOTLIB, DatovizFacts, Pools, Steps, facts_of
from gsp_network.render_thread import RenderThread
from gsp_network.settings import Settings
from gsp_network.workers import NO_WORKER, WorkerPool

from . import stand_in
from . import worker_functions as functions
from .test_workers import SOON, PoolCase, is_alive, until


class LightPool(WorkerPool):
    """A pool whose workers load no Matplotlib before they say hello."""

    def __init__(self, count: int, settings: Settings, warm_up: str = "", **named: Any) -> None:
        super().__init__(count, settings, warm_up="" if "rendering" in warm_up else warm_up, **named)


class PoolsCase(PoolCase):
    def setUp(self) -> None:
        super().setUp()
        for patch in (stand_in.installed(), mock.patch.object(pools, "WorkerPool", LightPool)):
            patch.start()
            self.addCleanup(patch.stop)

    def make(
        self,
        default: str = MATPLOTLIB,
        given: Optional[Executor] = None,
        steps: Optional[Steps] = None,
        **settings: Any,
    ) -> Pools:
        """Pools that have started."""
        made = Pools(Settings(**{"workers": 1, **settings}), default, given, steps or stand_in.steps())
        with self.quiet():
            made.start()
        self.addCleanup(self.close, made)
        return made

    def close(self, made: Pools) -> None:
        made.shutdown()
        self.assertTrue(made.join(2.0))

    def reason_of(self, made: Pools) -> str:
        """Why Datoviz is refused."""
        error = made.executor(DATOVIZ).exception(SOON)
        self.assertIsInstance(error, RendererUnavailable)
        return str(error)


class TestWhoDraws(PoolsCase):
    def test_nothing_before_it_is_asked_for(self) -> None:
        """Without a word of Datoviz there are Matplotlib's workers alone, and no look was taken."""
        made = self.make()
        executor = made.executor(MATPLOTLIB).result(SOON)
        self.assertTrue(until(lambda: made.workers() == {"idle": 1, "busy": 0, "starting": 0, "restarts": {}}))
        self.assertEqual((made.workers(DATOVIZ), made._looked), ({}, None))
        self.assertEqual(made.health(MATPLOTLIB)["workers"], made.workers(MATPLOTLIB))
        self.assertIs(made.executor(MATPLOTLIB).result(0), executor)
        self.assertEqual(made.only(MATPLOTLIB), MATPLOTLIB)

    def test_in_memory(self) -> None:
        """Datoviz gets workers of its own and a spare, without a limit on memory; /health tells device, driver and limits."""
        made = self.make(datoviz_workers=2, worker_memory_bytes=2**32)
        self.assertEqual(made.health(DATOVIZ)["state"], "looking")
        self.assertTrue(until(lambda: made.health(DATOVIZ)["available"]))
        self.assertEqual(made.workers(DATOVIZ), {})
        pool = made.executor(DATOVIZ).result(SOON)
        self.assertIsNot(pool, made.executor(MATPLOTLIB).result(SOON))
        self.assertIs(made.executor(DATOVIZ).result(SOON), pool)
        self.assertTrue(until(lambda: made.workers(DATOVIZ)["idle"] == 3), made.workers())
        health = made.health(DATOVIZ)
        self.assertEqual(health.pop("version"), backends.version(DATOVIZ))
        told = {"available": True, "device": "Stand-in 1", "driver": "software", "frames": "in memory"}
        workers = {"idle": 3, "busy": 0, "starting": 0, "restarts": {}}
        self.assertEqual(health, {**told, "limits": stand_in.LIMITS, "workers": workers})
        self.assertEqual(made.workers()["idle"], 4)
        pids = {pool.submit(functions.pid).result(SOON) for _ in range(3)}
        self.assertEqual(len(pids), 1)
        if hasattr(os, "sched_getaffinity"):  # Linux
            limits = [made.executor(name).result(0).submit(functions.memory_limit) for name in (DATOVIZ, MATPLOTLIB)]
            self.assertEqual([limit.result(SOON) for limit in limits], [-1, 2**32])

    def test_by_file(self) -> None:
        """Where a frame comes out of Datoviz by a file alone each of its workers draws one, and a fresh one follows."""
        made = self.make(steps=stand_in.steps(draw_in_memory=stand_in.dies, use_memory=stand_in.start_not))
        with self.assertLogs("gsp_network", "WARNING"):
            pool = made.executor(DATOVIZ).result(SOON)
        self.assertEqual(made.health(DATOVIZ)["frames"], "by file")
        pids = {pool.submit(functions.pid).result(SOON) for _ in range(3)}
        self.assertEqual(len(pids), 3)
        self.assertTrue(until(lambda: not any(map(is_alive, pids))))

    def test_default(self) -> None:
        """Where Datoviz is the default it is looked at from the start, and its workers start as soon as that is done."""
        made = self.make(DATOVIZ)
        self.assertTrue(until(lambda: made.workers(DATOVIZ).get("idle") == 2), made.workers())
        self.assertTrue(until(lambda: made.workers(MATPLOTLIB).get("idle") == 1), made.workers())

    def test_refused_unseen(self) -> None:
        """What is known of Datoviz without looking is told at once, with what to do; Matplotlib draws all the same."""
        for settings, words in (
            ({"datoviz_workers": 0}, "setting datoviz_workers; matplotlib draws here"),
            ({"workers": 0}, "set workers to 1 or more or, .* by datoviz_in_process; matplotlib draws here"),
        ):
            with self.subTest(settings):
                made = self.make(**settings)
                self.assertRegex(self.reason_of(made), words)
                self.assertFalse(made.health(DATOVIZ)["available"])
                self.assertEqual((made._thread, made.executor(MATPLOTLIB).exception(0)), (None, None))
        made = self.make()
        with mock.patch.object(backends, "why_not", return_value="not installed, pip install it"):
            self.assertIn("renderer_name: not installed, pip install it; matplotlib", self.reason_of(made))
        self.assertIsNone(made._thread)

    def test_default_that_is_refused(self) -> None:
        """A default that cannot draw here is told in the log at the start."""
        with self.assertLogs("gsp_network", "WARNING") as logs:
            self.make(DATOVIZ, workers=0)
        self.assertIn("GSP_REMOTE_RENDERER: requests that name no renderer are refused", logs.output[0])

    def test_in_process(self) -> None:
        """Without workers, and where the operator takes that risk, one thread draws with both."""
        made = self.make(workers=0, datoviz_in_process=True)
        executors = [made.executor(name).result(0) for name in (MATPLOTLIB, DATOVIZ)]
        self.assertIsInstance(executors[0], RenderThread)
        self.assertIs(executors[0], executors[1])
        self.assertEqual(made.health(DATOVIZ), {"available": True, "version": backends.version(DATOVIZ)})
        self.assertEqual((made.workers(), made.places()), ({}, {MATPLOTLIB: 17}))

    def test_given(self) -> None:
        """An executor of somebody else's draws everything, and is left running."""
        with ThreadPoolExecutor(1) as executor:
            made = self.make(DATOVIZ, executor)
            for name in (MATPLOTLIB, DATOVIZ):
                self.assertIs(made.executor(name).result(0), executor)
                self.assertIsNone(made.only(name))
                self.assertTrue(made.health(name)["available"])
            self.close(made)
            self.assertEqual(executor.submit(max, 1, 2).result(SOON), 2)

    def test_places(self) -> None:
        """Each renderer has places for its workers and for those that wait for them."""
        for settings, places in (
            ({"workers": 2}, {MATPLOTLIB: 10, DATOVIZ: 5}),
            ({"workers": 2, "datoviz_workers": 3, "queue": 4}, {MATPLOTLIB: 6, DATOVIZ: 7}),
            ({"workers": 2, "datoviz_workers": 0}, {MATPLOTLIB: 10}),
            ({"workers": 0}, {MATPLOTLIB: 17}),
        ):
            with self.subTest(settings):
                self.assertEqual(Pools(Settings(**settings), MATPLOTLIB).places(), places)

    def test_not_started(self) -> None:
        """Before the start nothing draws, and nothing is looked at."""
        made = Pools(Settings(workers=1), MATPLOTLIB)
        for name in (MATPLOTLIB, DATOVIZ):
            self.assertIsInstance(made.executor(name).exception(0), ServerBusy)
        self.assertFalse(made.health(DATOVIZ)["available"])
        self.close(made)


class TestLooking(PoolsCase):
    def test_nothing_to_draw_with(self) -> None:
        """Why Datoviz cannot be used is told: no driver, or it dies, hangs, fails or draws nothing, over looking or drawing."""
        drawing = r"when it draws \(device Stand-in 1, driver software\)"
        for others, words in (
            ({"look": stand_in.look_in_vain}, "renderer_name: there is no driver; install one; matplotlib draws here"),
            ({"look": stand_in.dies}, "Datoviz ends its process here when it is asked for a device"),
            ({"look": stand_in.hangs}, "Datoviz hangs here when it is asked for a device"),
            ({"look": stand_in.look_badly}, "the server's log says why"),
            ({"look": stand_in.fails}, "the server's log says why"),
            ({"draw_in_memory": stand_in.dies, "draw_by_file": stand_in.dies}, f"ends its process here {drawing}"),
            ({"draw_in_memory": stand_in.dies, "draw_by_file": stand_in.fails}, f"fails here, .* {drawing}"),
            ({"draw_in_memory": stand_in.hangs, "draw_by_file": stand_in.hangs}, f"hangs here {drawing}"),
            (
                {"draw_in_memory": stand_in.draws_not, "draw_by_file": stand_in.draws_not},
                r"draws nothing here \(device",
            ),
        ):
            patient = 0.3 if stand_in.hangs in others.values() else pools.LOOK_SECONDS
            with self.subTest(others), mock.patch.object(pools, "LOOK_SECONDS", patient):
                with self.assertLogs("gsp_network", "INFO"):
                    made = self.make(steps=stand_in.steps(**others))
                    self.assertRegex(self.reason_of(made), words)
                health = made.health(DATOVIZ)
                self.assertFalse(health["available"])
                self.assertIn(health["reason"], self.reason_of(made))
                self.assertEqual(made.workers(DATOVIZ), {})
                self.close(made)

    def test_again_after_a_while(self) -> None:
        """After a look in vain the next scene has it looked at again, once that is a while ago; who asks /health does not."""
        driver = self.folder / "driver"
        with mock.patch.dict(os.environ, {"STAND_IN_DRIVER": str(driver)}):
            made = self.make(steps=stand_in.steps(look=stand_in.look_for_file))
            self.assertIn("there is no driver", self.reason_of(made))
            driver.touch()
            self.assertIn("there is no driver", self.reason_of(made))
            with mock.patch.object(pools, "LOOK_AGAIN_SECONDS", 0.0):
                self.assertFalse(made.health(DATOVIZ)["available"])
                self.assertIsNone(made.executor(DATOVIZ).exception(SOON))
            self.assertTrue(made.health(DATOVIZ)["available"])

    def test_thrown_away(self) -> None:
        """Nothing is left of looking: no process, no thread."""
        made = self.make()
        made.look().result(SOON)
        self.assertTrue(until(lambda: not made._thread.is_alive()))
        self.assertEqual(made._looking.pids(), [])
        self.assertEqual(made._looking.state(), {"idle": 0, "busy": 0, "starting": 0})

    def test_one_look_for_all(self) -> None:
        """Many who ask at once wait for one look, and get one pool."""
        made = self.make()
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda _: made.executor(DATOVIZ).result(SOON), range(16)))
        self.assertEqual(len(set(map(id, found))), 1)

    def test_closing_meanwhile(self) -> None:
        """Closing ends a look under way at once, and tells those who wait for it."""
        made = self.make(steps=stand_in.steps(look=stand_in.hangs))
        waiting = made.executor(DATOVIZ)
        self.assertTrue(until(lambda: made._looking is not None and made._looking.state()["busy"]))
        made.shutdown()
        self.assertTrue(made.join(0.0))
        self.assertIsInstance(waiting.exception(0), ServerBusy)
        self.assertFalse(made._thread.is_alive())
        self.assertIsInstance(made.executor(DATOVIZ).exception(0), ServerBusy)

    def test_closing_before_it_has_begun(self) -> None:
        """Closing right after the first question leaves nothing either."""
        made = self.make()
        waiting = made.executor(DATOVIZ)
        self.close(made)
        self.assertIsInstance(waiting.exception(0), ServerBusy)
        self.assertEqual(made.workers(DATOVIZ), {})

    def test_no_process_to_be_had(self) -> None:
        """Where no process can be started to look in, that is a 503, and the next who asks looks again."""
        made = self.make()
        with mock.patch.object(workers, "FIRST_PAUSE", 0.01), mock.patch.object(workers, "LAST_PAUSE", 0.01):
            with mock.patch(
                "gsp_network.worker.subprocess.Popen", side_effect=BlockingIOError(11, "no more processes")
            ):
                with self.assertLogs("gsp_network", "WARNING"):
                    error = made.executor(DATOVIZ).exception(SOON)
                    self.assertTrue(until(lambda: made._looked is None))
        self.assertIsInstance(error, ServerBusy)
        self.assertIsInstance(made.executor(DATOVIZ).result(SOON), WorkerPool)

    def test_no_thread_to_be_had(self) -> None:
        """Where no thread can be started to look in, that is a 503, and the next who asks looks again."""
        made = self.make()
        with mock.patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread")):
            self.assertIsInstance(made.executor(DATOVIZ).exception(0), ServerBusy)
        made.look().result(SOON)
        with mock.patch.object(LightPool, "__init__", side_effect=ServerStartError("no thread to be had")):
            self.assertIsInstance(made.executor(DATOVIZ).exception(0), ServerBusy)
        self.assertIsInstance(made.executor(DATOVIZ).result(SOON), WorkerPool)

    def test_workers_that_do_not_start(self) -> None:
        """Where Datoviz's workers do not start it is told as unavailable, and Matplotlib goes on."""
        made = self.make(steps=stand_in.steps(use_memory=stand_in.start_not))
        with mock.patch.object(workers, "FIRST_PAUSE", 0.01), self.assertLogs("gsp_network", "WARNING"):
            pool = made.executor(DATOVIZ).result(SOON)
            self.assertTrue(until(lambda: made.is_broken(DATOVIZ)))
            health = made.health(DATOVIZ)
            self.assertEqual((health["available"], health["reason"]), (False, NO_WORKER))
            self.assertRaises(ServerBusy, pool.submit, functions.echo, 1)
            self.assertEqual(made.executor(MATPLOTLIB).result(0).submit(functions.echo, 1).result(SOON), (1,))
            self.assertFalse(made.is_broken(MATPLOTLIB))
            self.close(made)

    def test_facts(self) -> None:
        """What looking tells is taken as it is, and anything else is refused."""
        told = {"reason": "", "device": "a", "driver": "b", "limits": {"maxImageDimension2D": 4096, "odd": None}}
        found = DatovizFacts("", "a", "b", {"maxImageDimension2D": 4096})
        self.assertEqual(facts_of(json.dumps({**told, "more": 1})), found)
        for text in ("", "[]", "{}", json.dumps({**told, "limits": 3}), "null"):
            with self.subTest(text), self.assertRaises(ValueError):
                facts_of(text)


if __name__ == "__main__":
    unittest.main()
