"""The server with worker processes that really draw: pictures, deadlines, crashes, memory, links of a user's own."""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import re
import signal
import sys
import tempfile
import threading
import unittest
from typing import Any
from unittest import mock

import numpy as np

from gsp_network import Canvas, RenderServer, Segments
from gsp_network.errors import ServerStartError
from gsp_network.png import png_fault

from .processes import ServerProcess, children_of, is_gone, wait_until
from .scenes import array_of, body_of, changed, one_of_each, pixels, points, run_server
from .support import GOLDEN, ROOT, needs_golden, slow
from .test_server import ask

EACH_KILL = 28  # answers between a killed worker and the next

LINK = '''
from gsp_network.scene import Buffer, BufferType, TransformLinkBase, TransformRegistry


class Twice(TransformLinkBase):
    """Twice what came before."""

    def apply(self, buffer):
        return Buffer.from_numpy(buffer.to_numpy() * 2, buffer.get_type())

    def serialize(self):
        return {"link_type": "Twice", "link_data": {}}

    @staticmethod
    def deserialize(data):
        return Twice()


TransformRegistry.register_link("Twice", Twice)
'''


def heavy(count: int = 400_000) -> bytes:
    """A scene that takes many seconds to draw."""
    rng = np.random.default_rng(0)
    ends = np.column_stack([rng.uniform(-1, 1, (2 * count, 2)), np.zeros(2 * count)])
    return body_of(Segments(ends, np.full(count, 2.0), "ROUND", np.full((count, 4), 200, np.uint8)))


def own_color(number: int) -> tuple[int, int, int]:
    return number % 251, (number * 7) % 241, (number * 13) % 239


def own_body(number: int) -> bytes:
    """A scene whose picture tells its number: by its size, and by the colour of a disc that covers it."""
    return body_of(points((0, 0, 0), size=400_000.0, face=own_color(number)), canvas=Canvas(20 + number % 50, 30))


class TestDrawing(unittest.TestCase):
    def test_same_pictures(self) -> None:
        """Workers draw every visual exactly as the process itself does, and say how long each step took."""
        body = body_of(*one_of_each())
        with run_server() as alone, run_server(workers=1) as server:
            status, headers, picture = ask(server, "POST", "/render", body)
            self.assertEqual((status, picture == ask(alone, "POST", "/render", body)[2]), (200, True))
        phases = re.findall(r"(\w+);dur=([0-9.]+)", headers["Server-Timing"])
        self.assertEqual([name for name, _ in phases], ["queue", "decode", "draw", "encode", "total"])
        self.assertTrue(all(float(number) >= 0 for _, number in phases))

    @needs_golden
    def test_golden_requests(self) -> None:
        """Requests as the origin's client sends them are drawn by workers."""
        with run_server(workers=2, queue=100) as server, concurrent.futures.ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda path: ask(server, "POST", "/render", path.read_bytes()), GOLDEN))
        self.assertEqual({status for status, _, _ in answers}, {200})
        self.assertEqual([png_fault(picture) for _, _, picture in answers if png_fault(picture)], [])

    def test_errors_come_through(self) -> None:
        """A refusal in a worker reaches the client with status, type, place and limit, as from the process itself."""
        good = body_of(points((0, 0, 0)))
        with run_server() as alone, run_server(workers=1) as server:
            for body in (b"{", b"{}", changed(good, "canvas", "width", value=9000)):
                found = []
                for one in (alone, server):
                    status, _, answer = ask(one, "POST", "/render", body, X_Request_Id="same")
                    found.append((status, json.loads(answer)))
                self.assertEqual(found[0], found[1])
            health = json.loads(ask(server, "GET", "/health")[2])
        self.assertEqual(health["workers"], {"idle": 1, "busy": 0, "starting": 0, "restarts": {}})

    @slow
    def test_own_pictures_while_workers_are_killed(self) -> None:
        """Rows 51, 52 and 75: while workers are killed at random, every picture is its own client's, and few are lost."""
        with run_server(workers=2, queue=100, log_level="error") as server, self.assertLogs("gsp_network", "WARNING"):
            self.assertEqual(ask(server, "POST", "/render", own_body(0))[0], 200)
            done = threading.Event()
            killed: list[int] = []
            answered = threading.Semaphore(0)

            def kill() -> None:  # by what was answered and not by time, in which a slow machine may get nothing done
                while not done.is_set():
                    for _ in range(EACH_KILL):
                        answered.acquire()
                    for pid in server._pools._executors["matplotlib"].pids()[:1]:  # type: ignore[union-attr]
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)

            def draw(number: int) -> Any:
                answer = ask(server, "POST", "/render", own_body(number))
                answered.release()
                return answer

            killer = threading.Thread(target=kill)
            killer.start()
            try:
                with concurrent.futures.ThreadPoolExecutor(8) as threads:
                    answers = list(threads.map(draw, range(200)))
            finally:
                done.set()
                for _ in range(EACH_KILL):
                    answered.release()
                killer.join()
        self.assertTrue(killed)
        crashed = 0
        for number, (status, _, answer) in enumerate(answers):
            if status == 200:
                picture = array_of(answer)
                self.assertEqual(picture.shape, (30, 20 + number % 50, 3))
                self.assertEqual(tuple(picture[15, 10]), own_color(number))
            else:
                self.assertEqual((status, json.loads(answer)["type"]), (500, "worker_crashed"))
                crashed += 1
        self.assertLessEqual(crashed, len(killed))

    def test_deadline(self) -> None:
        """Row 50: a scene that takes too long is a 504, and others are drawn meanwhile and after."""
        with run_server(workers=2, render_timeout=1.0) as server, self.assertLogs("gsp_network", "WARNING"):
            self.assertEqual(ask(server, "POST", "/render", own_body(0))[0], 200)
            with concurrent.futures.ThreadPoolExecutor(1) as threads:
                late = threads.submit(ask, server, "POST", "/render", heavy())
                while not late.done():
                    self.assertEqual(ask(server, "POST", "/render", own_body(1))[0], 200)
                    self.assertEqual(ask(server, "GET", "/health")[0], 200)
                status, _, answer = late.result()
            self.assertEqual((status, json.loads(answer)["limit"]), (504, "render_timeout"))
            self.assertEqual(server.workers()["restarts"], {"timeout": 1})

    @unittest.skipUnless(sys.platform == "linux", "limits on address space are not the same everywhere")
    def test_memory(self) -> None:
        """Row 56: a canvas that takes more memory than a worker may have is a 422 that names the setting; others are drawn."""
        large = body_of(points((0, 0, 0)), canvas=Canvas(8192, 8192))
        limits = {"max_canvas_pixels": 2**26, "worker_memory_bytes": 450 * 2**20}
        with run_server(workers=1, **limits) as server:
            self.assertEqual(ask(server, "POST", "/render", own_body(0))[0], 200)
            status, _, answer = ask(server, "POST", "/render", large)
            self.assertEqual((status, json.loads(answer).get("limit")), (422, "worker_memory_bytes"), answer)
            self.assertEqual(ask(server, "POST", "/render", own_body(1))[0], 200)

    @slow
    def test_recycling_loses_nothing(self) -> None:
        """Row 77: while workers take over from one another no request fails."""
        with run_server(workers=2, recycle_renders=10, queue=100) as server:
            statuses: set[int] = set()

            def draw_some() -> bool:
                with concurrent.futures.ThreadPoolExecutor(4) as threads:
                    asked = threads.map(lambda n: ask(server, "POST", "/render", own_body(n)), range(40))
                    statuses.update(answer[0] for answer in asked)
                return server.workers()["restarts"].get("recycled", 0) >= 2

            self.assertTrue(wait_until(draw_some))
            self.assertEqual(statuses, {200})
            self.assertEqual(set(server.workers()["restarts"]), {"recycled"})


class TestLinks(unittest.TestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        (self.folder / "my_links.py").write_text(LINK)
        self.body = body_of(pixels([[0.25, 0.25, 0]], [[255, 0, 0, 255]], 1))
        document = json.loads(self.body)
        positions = document["data"]["visuals"][0]["visual"]["positions"]["transBuf"]
        buffer = {"buffer_count": 1, "buffer_type": "vec3", "data_base64": positions["data_base64"]}
        links = [{"link_type": "TransformImmediate", "link_data": buffer}, {"link_type": "Twice", "link_data": {}}]
        chain = {"transform_chain": {"buffer_count": 1, "buffer_type": "vec3", "links": links}}
        document["data"]["visuals"][0]["visual"]["positions"] = {"type": "transform_chain", "transBuf": chain}
        self.chained = json.dumps(document).encode()

    def test_import(self) -> None:
        """--import MODULE registers a user's own links in the workers; without it they are refused."""
        server = ServerProcess(
            "--workers", "1", "--import", "my_links", PYTHONPATH=os.pathsep.join([str(self.folder), str(ROOT)])
        )
        self.addCleanup(server.close)
        status, _, picture = server.post(self.chained)
        self.assertEqual((status, png_fault(picture)), (200, ""), server.read_log())
        self.assertEqual(tuple(array_of(picture)[25, 75]), (255, 56, 56))
        other = ServerProcess("--workers", "1")
        self.addCleanup(other.close)
        status, _, answer = other.post(self.chained)
        self.assertEqual((status, json.loads(answer)["type"]), (422, "unsupported_transform"))

    def test_module_that_fails(self) -> None:
        """A module that fails in the workers is told by 503, /health and log; one that is not there stops the start."""
        (self.folder / "broken_links.py").write_text("raise OSError('no such device')")
        path = os.pathsep.join([str(self.folder), str(ROOT)])
        options = ("--workers", "1", "--import", "broken_links")
        server = ServerProcess(*options, module="tests.impatient_server", PYTHONPATH=path)
        self.addCleanup(server.close)
        status, headers, answer = server.post(self.body)
        self.assertEqual((status, headers["retry-after"], json.loads(answer)["type"]), (503, "1", "busy"))
        self.assertEqual(server.health()["status"], "no workers")
        self.assertIn("no such device", server.read_log())
        for workers in (0, 1):
            with (
                self.assertRaisesRegex(ServerStartError, "no_such_module"),
                run_server(workers=workers, imports="no_such_module"),
            ):
                pass

    def test_import_without_workers(self) -> None:
        """Without workers the module is imported where the server is, and a failure there stops the start."""
        with mock.patch.object(sys, "path", [str(self.folder), *sys.path]):
            from gsp_network.scene import TransformRegistry

            before = dict(TransformRegistry._classes)
            try:
                with run_server(imports=["my_links"]) as server:
                    self.assertEqual(ask(server, "POST", "/render", self.chained)[0], 200)
            finally:
                TransformRegistry._classes.clear()
                TransformRegistry._classes.update(before)
                sys.modules.pop("my_links", None)
            (self.folder / "broken_links.py").write_text("raise RuntimeError('no such device')")
            with self.assertRaisesRegex(
                ServerStartError, "--import broken_links: failed with RuntimeError: no such device"
            ):
                RenderServer(port=0, imports="broken_links").start()

    def test_allow_load(self) -> None:
        """--allow-load DIR lets TransformLoad read there, in the workers, and nowhere else."""
        np.save(self.folder / "positions.npy", np.array([[0.5, 0.5, 0]], np.float32))
        document = json.loads(self.chained)
        holder: Any = document["data"]["visuals"][0]["visual"]["positions"]["transBuf"]["transform_chain"]
        uri = (self.folder / "positions.npy").as_uri()
        holder["links"] = [{"link_type": "TransformLoad", "link_data": {"uri": uri, "buffer_type": "vec3"}}]
        body = json.dumps(document).encode()
        with run_server(workers=1, allow_load=[str(self.folder)]) as server:
            status, _, picture = ask(server, "POST", "/render", body)
            self.assertEqual(status, 200, picture)
            self.assertEqual(tuple(array_of(picture)[25, 75]), (255, 56, 56))
            elsewhere = body.replace(uri.encode(), b"file:///etc/hostname")
            self.assertEqual(ask(server, "POST", "/render", elsewhere)[0], 422)
        with run_server(workers=1) as server:
            status, _, answer = ask(server, "POST", "/render", body)
            self.assertEqual((status, json.loads(answer)["type"]), (422, "unsupported_transform"))


class TestStopping(unittest.TestCase):
    @slow
    def test_no_worker_outlives_its_server(self) -> None:
        """close() ends the workers, also while one draws, and answers who waits."""
        server = ServerProcess("--workers", "2", "--close-timeout", "0.5")
        self.addCleanup(server.close)
        self.assertEqual(server.post(own_body(1))[0], 200)
        self.assertTrue(wait_until(lambda: server.health()["workers"]["idle"] == 2))
        children = children_of(server.process.pid)
        self.assertEqual(len(children), 2)
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            answer = threads.submit(server.post, heavy())
            self.assertTrue(wait_until(lambda: server.health()["workers"]["busy"] == 1))
            self.assertEqual(server.stop(), 0)
            self.assertEqual(answer.result()[0], 503)
        self.assertTrue(wait_until(lambda: all(map(is_gone, children))))


if __name__ == "__main__":
    unittest.main()
