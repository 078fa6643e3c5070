"""The server with workers for Datoviz beside Matplotlib's: who draws what, and what becomes of it when Datoviz dies."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import signal
import tempfile
import unittest
from typing import Any, Iterator, Optional
from unittest import mock

from gsp_network import Canvas, NetworkRenderer, RenderServer, pools
from gsp_network.pools import DATOVIZ, MATPLOTLIB

from . import stand_in
from . import worker_functions as functions
from .processes import (
    ServerProcess,
    children_of,
    footprint_at_rest,
    is_gone,
    memory_kb,
    needs_proc,
    wait_until,
)
from .scenes import RED, WHITE, array_of, body_of, changed, one_of_each, points, run_server
from .support import datoviz_reason, slow
from .test_pools import LightPool
from .test_server import ask, own_threads

COLORS = {MATPLOTLIB: WHITE, DATOVIZ: stand_in.COLOR}


def empty(renderer: Optional[str] = None, width: int = 20) -> bytes:
    """A scene of nothing: white by Matplotlib, the stand-in's colour by that."""
    return body_of(renderer=renderer, canvas=Canvas(width, 10))


@contextlib.contextmanager
def run_stand_in(default: str = "", steps: Any = None, **settings: Any) -> Iterator[RenderServer]:
    """A server with a worker for Matplotlib and one for the stand-in."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(stand_in.installed())
        stack.enter_context(mock.patch.object(pools, "STEPS", steps or stand_in.steps()))
        stack.enter_context(mock.patch.object(pools, "WorkerPool", LightPool))
        stack.enter_context(mock.patch.dict(os.environ, {"GSP_REMOTE_RENDERER": default}))
        yield stack.enter_context(run_server(**{"workers": 1, "datoviz_workers": 1, "log_level": "error", **settings}))


def problem_of(answer: tuple[int, Any, bytes]) -> tuple[int, str, Optional[str]]:
    """Status, type and limit of a refusal."""
    told = json.loads(answer[2])
    return answer[0], told["type"], told.get("limit")


class StandInCase(unittest.TestCase):
    def check_drawn(self, answer: tuple[int, Any, bytes], renderer: str, fallback: Optional[str] = None) -> None:
        """A picture by that renderer, which the answer names."""
        status, headers, picture = answer
        self.assertEqual(status, 200, picture)
        self.assertEqual(tuple(array_of(picture)[5, 5]), COLORS[renderer])
        self.assertEqual((headers["GSP-Renderer"], headers["GSP-Fallback"]), (renderer, fallback))


class TestWhoDraws(StandInCase):
    @classmethod
    def setUpClass(cls) -> None:
        running = run_stand_in()
        cls.server = running.__enter__()
        cls.addClassCleanup(running.__exit__, None, None, None)

    def test_by_header_body_and_default(self) -> None:
        """The header, the body or the default says who draws, by any of its names, and the answer who did."""
        for renderer, body, header in (
            (MATPLOTLIB, None, None),
            (MATPLOTLIB, "matplotlib", None),
            (MATPLOTLIB, None, "matplotlib"),
            (DATOVIZ, None, "datoviz"),
            (DATOVIZ, "datoviz", None),
            (DATOVIZ, "datoviz-v03", None),
            (DATOVIZ, "datoviz", "datoviz-v03"),
            (DATOVIZ, "datoviz-v03", "datoviz"),
        ):
            with self.subTest(body=body, header=header):
                headers = {} if header is None else {"GSP_Renderer": header}
                self.check_drawn(ask(self.server, "POST", "/render", empty(body), **headers), renderer)

    def test_contradiction(self) -> None:
        """A header that contradicts the body is refused whatever worker looks at it, an unknown one at once."""
        for body, header, words in (
            ("matplotlib", "datoviz-v03", "'matplotlib', but the header GSP-Renderer says 'datoviz-v03'"),
            ("datoviz", "matplotlib", "'datoviz', but the header GSP-Renderer says 'matplotlib'"),
            ("datoviz", "vtk", "header GSP-Renderer: 'vtk', expected one of matplotlib, datoviz"),
        ):
            with self.subTest(body=body, header=header):
                status, _, answer = ask(self.server, "POST", "/render", empty(body), GSP_Renderer=header)
                self.assertEqual((status, json.loads(answer)["type"]), (422, "invalid_scene"))
                self.assertIn(words, json.loads(answer)["detail"])

    def test_client(self) -> None:
        """Our client draws with either, and sends the name as it was given."""
        seen: list[Any] = []
        self.server.on_render = lambda body, picture: seen.append(json.loads(body)["renderer_name"])
        try:
            for name in ("datoviz", "datoviz-v03", "matplotlib"):
                with NetworkRenderer(Canvas(20, 10), self.server.url, name) as renderer:  # type: ignore[arg-type]
                    picture = renderer.render([], [], [], [])
                self.assertEqual(tuple(array_of(picture)[5, 5]), COLORS["matplotlib" if name[0] == "m" else "datoviz"])
        finally:
            self.server.on_render = None
        self.assertEqual(seen, ["datoviz", "datoviz-v03", "matplotlib"])

    def test_limit_of_the_device(self) -> None:
        """A scene beyond the device is a 422 that names Vulkan's limit, in the answer and in the metrics."""
        answer = ask(self.server, "POST", "/render", empty("datoviz", stand_in.LARGE_WIDTH))
        self.assertEqual(problem_of(answer), (422, "scene_too_large", "maxImageDimension2D"))
        metrics = ask(self.server, "GET", "/metrics")[2].decode()
        self.assertIn('gsp_network_limits_hit_total{limit="maxImageDimension2D"} 1', metrics)

    def test_death(self) -> None:
        """A scene over which Datoviz ends its process costs its own client a 500; the spare draws the next, Matplotlib on."""
        self.check_drawn(ask(self.server, "POST", "/render", empty("datoviz")), DATOVIZ)
        with self.assertLogs("gsp_network", "WARNING"):
            answer = ask(self.server, "POST", "/render", empty("datoviz", stand_in.FATAL_WIDTH))
        self.assertEqual(problem_of(answer), (500, "worker_crashed", None))
        self.check_drawn(ask(self.server, "POST", "/render", empty("datoviz")), DATOVIZ)
        self.check_drawn(ask(self.server, "POST", "/render", empty()), MATPLOTLIB)

    def test_what_it_tells(self) -> None:
        """/health, /metrics and the page tell of both renderers, and of the workers of each."""
        self.check_drawn(ask(self.server, "POST", "/render", empty("datoviz")), DATOVIZ)
        self.assertTrue(wait_until(lambda: self.server.workers()["idle"] == 3))
        health = json.loads(ask(self.server, "GET", "/health")[2])
        found = {name: facts["workers"]["idle"] for name, facts in health["renderers"].items()}
        self.assertEqual((found, health["workers"]["idle"]), ({MATPLOTLIB: 1, DATOVIZ: 2}, 3))
        facts = health["renderers"]["datoviz"]
        self.assertEqual(
            [facts[name] for name in ("available", "device", "driver", "frames", "limits")],
            [True, "Stand-in 1", "software", "in memory", stand_in.LIMITS],
        )
        metrics = ask(self.server, "GET", "/metrics")[2].decode()
        for line in ('workers{state="idle"} 3', 'datoviz_workers{state="idle"} 2', "fallbacks_total 0"):
            self.assertIn(f"gsp_network_{line}\n", metrics)
        self.assertRegex(metrics, 'gsp_network_renders_total{renderer="datoviz"} [1-9]')
        self.assertIn("on Stand-in 1", ask(self.server, "GET", "/")[2].decode())


class TestDefault(StandInCase):
    def test_datoviz(self) -> None:
        """Where Datoviz is the default it draws what names nobody, and a body may still name Matplotlib."""
        with run_stand_in(default="datoviz-v03") as server:
            self.assertEqual(json.loads(ask(server, "GET", "/health")[2])["default_renderer"], "datoviz")
            self.check_drawn(ask(server, "POST", "/render", empty()), DATOVIZ)
            self.check_drawn(ask(server, "POST", "/render", empty("matplotlib")), MATPLOTLIB)

    def test_unavailable(self) -> None:
        """A default that cannot draw here is a 422 for what names nobody; who names Matplotlib is served."""
        steps = stand_in.steps(look=stand_in.look_in_vain)
        with self.assertLogs("gsp_network", "WARNING"), run_stand_in(default="datoviz", steps=steps) as server:
            for name in (None, "datoviz"):
                answer = ask(server, "POST", "/render", empty(name))
                self.assertEqual(problem_of(answer), (422, "renderer_unavailable", None))
                self.assertIn("there is no driver; install one; matplotlib draws here", json.loads(answer[2])["detail"])
            self.check_drawn(ask(server, "POST", "/render", empty("matplotlib")), MATPLOTLIB)
            health = json.loads(ask(server, "GET", "/health")[2])
        self.assertEqual((health["status"], health["renderers"]["datoviz"]["available"]), ("ok", False))

    def test_matplotlib_needs_none_of_it(self) -> None:
        """Who names Matplotlib in the body alone is served while Datoviz, the default, is looked at for ever."""
        steps = stand_in.steps(look=stand_in.hangs)
        with run_stand_in(default="datoviz", steps=steps, queue_timeout=0.5) as server:
            self.assertTrue(wait_until(lambda: server.workers().get("idle") == 1))
            self.check_drawn(ask(server, "POST", "/render", empty("matplotlib")), MATPLOTLIB)
            self.assertEqual(problem_of(ask(server, "POST", "/render", empty())), (503, "busy", "queue_timeout"))

    def test_in_process(self) -> None:
        """Without workers Datoviz draws in the server's own process only where the operator takes that risk."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(stand_in.installed())
            stack.enter_context(mock.patch.dict(pools.backends._instances))
            server = stack.enter_context(run_server(datoviz_in_process=True))
            before = pools.backends.why_not
            stand_in.start()
            pools.backends.why_not = before
            self.check_drawn(ask(server, "POST", "/render", empty("datoviz")), DATOVIZ)
            self.check_drawn(ask(server, "POST", "/render", empty()), MATPLOTLIB)
            refusing = stack.enter_context(run_server())
            for header in ({}, {"GSP_Renderer": "datoviz"}):
                answer = ask(refusing, "POST", "/render", empty("datoviz"), **header)
                self.assertEqual(problem_of(answer), (422, "renderer_unavailable", None))
                self.assertIn("datoviz_in_process", json.loads(answer[2])["detail"])


class TestFallback(StandInCase):
    def test_death(self) -> None:
        """With --fallback matplotlib that draws what Datoviz has died over; the answer, a counter and the client's log say so."""
        seen: list[bytes] = []
        with run_stand_in(fallback="matplotlib", on_render=lambda body, picture: seen.append(body)) as server:
            fatal = empty("datoviz", stand_in.FATAL_WIDTH)
            with self.assertLogs("gsp_network", "WARNING"):
                for header in ({}, {"GSP_Renderer": "datoviz"}):
                    answer = ask(server, "POST", "/render", fatal, **header)
                    self.check_drawn(answer, MATPLOTLIB, fallback="matplotlib")
            self.assertEqual(seen, [fatal, fatal])
            canvas = Canvas(stand_in.FATAL_WIDTH, 10)
            with self.assertLogs("gsp_network.workers"), self.assertLogs("gsp_network.dispatch"):
                with self.assertLogs("gsp_network.renderer", "WARNING") as logs:
                    with NetworkRenderer(canvas, server.url, "datoviz") as renderer:
                        for _ in range(2):
                            self.assertEqual(tuple(array_of(renderer.render([], [], [], []))[5, 5]), WHITE)
            told = [record.getMessage() for record in logs.records]
            self.assertEqual(told, [f"{server.url}: 'matplotlib' drew, since datoviz could not"])
            self.check_drawn(ask(server, "POST", "/render", empty("datoviz")), DATOVIZ)
            metrics = ask(server, "GET", "/metrics")[2].decode()
            self.assertIn("gsp_network_fallbacks_total 4\n", metrics)
            self.assertIn('gsp_network_renders_total{renderer="matplotlib"} 4\n', metrics)
            answer = ask(server, "POST", "/render", empty("datoviz", stand_in.LARGE_WIDTH))
            self.assertEqual(problem_of(answer), (422, "scene_too_large", "maxImageDimension2D"))

    def test_workers_that_do_not_start(self) -> None:
        """It draws also where Datoviz's workers do not start; without it that is a 503."""
        steps = stand_in.steps(use_memory=stand_in.start_not)
        for fallback in ("matplotlib", "none"):
            with mock.patch("gsp_network.workers.FIRST_PAUSE", 0.01), self.assertLogs("gsp_network", "WARNING"):
                with run_stand_in(steps=steps, fallback=fallback) as server:
                    answers = [ask(server, "POST", "/render", empty("datoviz")) for _ in range(2)]
                    health = json.loads(ask(server, "GET", "/health")[2])
            self.assertEqual((health["status"], health["renderers"]["datoviz"]["available"]), ("ok", False))
            for answer in answers:
                if fallback == "none":
                    self.assertEqual(problem_of(answer), (503, "busy", None))
                else:
                    self.check_drawn(answer, MATPLOTLIB, fallback="matplotlib")


class TestWaiting(StandInCase):
    def test_while_it_is_looked_at(self) -> None:
        """Who asks for Datoviz waits while it is looked at, at most the queue timeout; Matplotlib draws meanwhile."""
        with run_stand_in(steps=stand_in.steps(look=stand_in.hangs), queue_timeout=0.2) as server:
            server._pools._executors[MATPLOTLIB].submit(functions.echo, 1).result(30)  # it has started
            with concurrent.futures.ThreadPoolExecutor(2) as threads:
                waiting = threads.submit(ask, server, "POST", "/render", empty("datoviz"), GSP_Renderer="datoviz")
                self.check_drawn(ask(server, "POST", "/render", empty()), MATPLOTLIB)
                self.assertEqual(problem_of(waiting.result(30)), (503, "busy", "queue_timeout"))
            facts = json.loads(ask(server, "GET", "/health")[2])["renderers"]["datoviz"]
            self.assertEqual((facts["available"], facts["state"]), (False, "looking"))
        self.assertEqual(own_threads(), [])

    def test_closing_meanwhile(self) -> None:
        """Who waits while Datoviz is looked at is answered 503 when the server closes, and nothing is left."""
        with run_stand_in(steps=stand_in.steps(look=stand_in.hangs)) as server:
            with concurrent.futures.ThreadPoolExecutor(1) as threads:
                waiting = threads.submit(ask, server, "POST", "/render", empty("datoviz"), GSP_Renderer="datoviz")
                self.assertTrue(wait_until(lambda: server.room.turns[DATOVIZ] and server._dispatch._waiting))
                self.assertTrue(server.close(0.1))
                self.assertEqual(problem_of(waiting.result(30)), (503, "busy", None))
        self.assertEqual(own_threads(), [])

    def test_places(self) -> None:
        """A backlog of Datoviz refuses what is for Datoviz, and keeps no place from Matplotlib."""
        with tempfile.TemporaryDirectory() as folder, run_stand_in(queue=1) as server:
            self.check_drawn(ask(server, "POST", "/render", empty("datoviz")), DATOVIZ)
            go_on = pathlib.Path(folder, "go on")
            holding = server._pools.executor(DATOVIZ).result(0).submit(functions.wait_for, str(go_on))
            with concurrent.futures.ThreadPoolExecutor(4) as threads:
                waiting = [threads.submit(ask, server, "POST", "/render", empty("datoviz")) for _ in range(2)]
                self.assertTrue(wait_until(lambda: server.room.turns[DATOVIZ] == 2))
                for header in ({}, {"GSP_Renderer": "datoviz-v03"}):
                    answer = ask(server, "POST", "/render", empty("datoviz"), **header)
                    self.assertEqual(problem_of(answer), (503, "busy", "queue"))
                self.check_drawn(ask(server, "POST", "/render", empty()), MATPLOTLIB)
                go_on.touch()
                for answer in waiting:
                    self.check_drawn(answer.result(30), DATOVIZ)
            self.assertEqual(holding.result(30), "seen")
            self.assertEqual((server.room.renders, sum(server.room.turns.values())), (0, 0))


@unittest.skipIf(datoviz_reason(), datoviz_reason())
class TestDatoviz(unittest.TestCase):
    def test_drawing(self) -> None:
        """Datoviz itself draws every visual in its workers, and tells what it draws on."""
        with run_server(workers=1, datoviz_workers=1) as server:
            for name in ("datoviz", "datoviz-v03"):
                body = body_of(*one_of_each(), renderer=name)
                status, headers, picture = ask(server, "POST", "/render", body)
                self.assertEqual((status, headers["GSP-Renderer"]), (200, "datoviz"), picture)
                self.assertEqual(array_of(picture).shape, (100, 100, 3))
            facts = json.loads(ask(server, "GET", "/health")[2])["renderers"]["datoviz"]
            large = changed(body, "canvas", "width", value=facts["limits"]["maxImageDimension2D"] + 1)
            answer = ask(server, "POST", "/render", large)
            self.assertEqual((answer[0], json.loads(answer[2])["type"]), (422, "scene_too_large"))
        self.assertTrue(facts["available"] and facts["device"] and facts["driver"], facts)

    def test_by_file(self) -> None:
        """Where the in-memory server does not work, every picture comes by a file from a process of its own."""
        steps = dataclasses.replace(pools.STEPS, draw_in_memory="tests.stand_in:draws_not")
        with mock.patch.object(pools, "STEPS", steps), run_server(workers=1, datoviz_workers=1) as server:
            for number in range(3):
                status, _, picture = ask(server, "POST", "/render", disc_at(number))
                self.assertEqual(status, 200, picture)
                self.assertEqual(array_of(picture)[30, 10 + number].tolist(), list(RED))
            facts = server.health()["renderers"]["datoviz"]
        self.assertEqual(facts["frames"], "by file")
        self.assertGreaterEqual(facts["workers"]["restarts"]["recycled"], 2)

    @needs_proc
    @slow
    def test_three_hundred_frames_with_crashes(self) -> None:
        """300 frames in a row, workers crashing in between: each answer is its own picture, and nothing is left behind."""
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            server = ServerProcess("--workers", "1", GSP_NETWORK_DATOVIZ_WORKERS="1", TMPDIR=folder)
            stack.callback(server.close)
            others = children_of(server.pid)
            server.post(disc_at(0))
            self.assertTrue(wait_until(lambda: server.health()["renderers"]["datoviz"]["workers"]["idle"] == 2))
            before, memory = footprint_at_rest(server.pid), memory_kb(server.pid, "VmRSS")
            files = set(pathlib.Path(folder).rglob("*.png"))
            ends = [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL] * 2
            lost = 0
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
                for number in range(300):
                    due, turn = number % 50 == 25, number // 50
                    if due and turn % 2:
                        os.kill(min(set(children_of(server.pid)) - set(others)), ends[turn])
                    connection.request("POST", "/render", disc_at(number), {"Content-Type": "application/json"})
                    if due and not turn % 2:
                        os.kill(min(set(children_of(server.pid)) - set(others)), ends[turn])
                    answer = connection.getresponse()
                    body = answer.read()
                    if answer.status == 500:  # it was killed over its first picture
                        self.assertEqual(json.loads(body)["type"], "worker_crashed")
                        lost += 1
                        continue
                    self.assertEqual(answer.status, 200, body)
                    picture = array_of(body)
                    self.assertEqual(picture[30, 10 + number % 80].tolist(), list(RED), number)
                    self.assertEqual(int((picture != 255).any(axis=2).sum(axis=1).max()), 9, number)
            self.assertLessEqual(lost, len(ends))
            self.assertTrue(wait_until(lambda: server.health()["renderers"]["datoviz"]["workers"]["idle"] == 2))
            facts = server.health()["renderers"]["datoviz"]["workers"]
            ended = facts["restarts"].get("crashed", 0) + facts["restarts"].get("died", 0)
            self.assertTrue(3 <= ended <= len(ends), facts)  # one that was only starting, or ending, is not counted
            after = footprint_at_rest(server.pid)
            self.assertEqual((after.threads, after.files, len(after.children)), (before.threads, before.files, 3))
            self.assertLess(memory_kb(server.pid, "VmRSS") - memory, 20_000)
            for pid in set(after.children) - set(others):
                self.assertLess(memory_kb(pid, "VmRSS"), 400_000)
            self.assertEqual(set(pathlib.Path(folder).rglob("*.png")), files)
            self.assertEqual(server.stop(), 0)
            self.assertTrue(all(wait_until(lambda pid=pid: is_gone(pid)) for pid in after.children))


def disc_at(number: int) -> bytes:
    """A disc 8 px wide, in a place of its own for each number; 255 further ones out of sight, new ones with each."""
    x = 2 * (10 + number % 80 + 0.5) / 100 - 1
    rest = [(5 + number / 7, index, 0) for index in range(255)]
    return body_of(points((x, 0, 0), *rest, size=36.0), canvas=Canvas(100, 61, 96.0), renderer="datoviz")


if __name__ == "__main__":
    unittest.main()
