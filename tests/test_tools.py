"""The command lines of gsp_network.tools and the names of the API reference that live there."""

from __future__ import annotations

import contextlib
import http.client
import importlib
import io
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from typing import Optional
from unittest import mock

import numpy as np
from PIL import Image as PillowImage
from PIL import features

from gsp_network import Canvas, Event, SessionRecorder, render_payload
from gsp_network.debugging import DebugFolder, write_whole
from gsp_network.errors import GspNetworkError
from gsp_network.framing import Response
from gsp_network.png import png_fault
from gsp_network.tools import network_server, replay

from .processes import all_at_once
from .scenes import array_of, body_of, changed, points, run_server
from .support import ROOT


def run_replay(file: pathlib.Path, environ: Optional[dict[str, str]] = None) -> subprocess.CompletedProcess:
    """Run the tool replay on a file, as a command."""
    command = [sys.executable, "-m", "gsp_network.tools.replay", str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, env=environ)


class TestReplay(unittest.TestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        self.body = body_of(points((0, 0, 0)))
        self.file = self.folder / "000001_payload.json"
        self.file.write_bytes(self.body)

    def run_main(self, *arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = replay.main(list(arguments))
        return status, out.getvalue(), err.getvalue()

    def test_in_this_process(self) -> None:
        """A saved request is drawn again beside itself, without a server."""
        status, out, _ = self.run_main(str(self.file))
        self.assertEqual(status, 0)
        picture = self.folder / "000001_payload.png"
        self.assertIn(str(picture), out)
        self.assertEqual(png_fault(picture.read_bytes()), "")

    def test_on_a_server(self) -> None:
        """With --server the picture is that server's, and goes where -o says."""
        output = self.folder / "out.png"
        with run_server() as server:
            status, _, err = self.run_main(str(self.file), "-o", str(output), "--server", server.url)
            self.assertEqual((status, err), (0, ""))
            self.assertEqual(server.health()["counts"]["pictures"], 1)
        self.assertEqual(png_fault(output.read_bytes()), "")

    def test_failures_leave_no_file(self) -> None:
        """A bad scene, a missing file, a silent server: status 1, the reason on standard error, no picture."""
        bad = self.folder / "bad.json"
        bad.write_bytes(changed(self.body, "canvas", "width", value=0))
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            for arguments, wanted in (
                ([str(bad)], "canvas.width: 0, expected"),
                ([str(self.folder / "none.json")], "none.json"),
                ([str(self.file), "--server", "ftp://x"], "server_base_url"),
                ([str(self.file), "--server", url, "--timeout", "0.2"], "no whole answer within 0.2 s"),
                ([str(self.file), "-o", str(self.folder / "no" / "out.png")], "No such file"),
            ):
                with self.subTest(arguments=arguments):
                    status, out, err = self.run_main(*arguments)
                    self.assertEqual((status, out), (1, ""))
                    self.assertIn(wanted, err)
        self.assertEqual(sorted(os.listdir(self.folder)), ["000001_payload.json", "bad.json"])

    def test_as_a_command(self) -> None:
        """python -m gsp_network.tools.replay runs."""
        done = run_replay(self.file)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class TestReplaySession(unittest.TestCase):
    """A session of four frames, of which the second repeats the first, at 0, 0.1, 0.4 and 1 s."""

    run_main = TestReplay.run_main

    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        self.file = self.folder / "session"
        first, *others = (body_of(points((x, 0, 0))) for x in (0, 0.4, 0.8))
        self.bodies = [first, first, *others]
        renderer = mock.Mock(on_frame=Event())
        renderer.get_canvas.return_value = Canvas(100, 100, 96.0)
        renderer.get_remote_renderer_name.return_value = "matplotlib"
        with mock.patch("time.monotonic", side_effect=[50.0, 53.0, 53.1, 53.4, 54.0]):
            with SessionRecorder(renderer, self.file):
                for body in self.bodies:
                    renderer.on_frame.dispatch(body)

    def test_instants(self) -> None:
        """At each instant of a video is the frame that was shown then, and the last frame is in it in any case."""
        times = [3.0, 3.1, 3.4, 4.0]
        table = (
            (10, 1, [0, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3]),
            (10, 2, [0, 1, 2, 2, 2, 3]),
            (10, 0.5, [0, 0, 1, 1, 1, 1, 1, 1, *[2] * 12, 3]),
            (2, 1, [0, 2, 3]),
            (1, 1, [0, 3]),
            (0.75, 1, [0, 3]),
            (1000, 1, [*[0] * 100, *[1] * 300, *[2] * 600, 3]),
        )
        for fps, speed, shown in table:
            with self.subTest(fps=fps, speed=speed):
                self.assertEqual(replay.shown_at_instants(times, fps, speed), shown)
        self.assertEqual(replay.shown_at_instants([7.0], 25, 1), [0])
        with self.assertRaisesRegex(GspNetworkError, "expected at most 1000000 frames"):
            replay.shown_at_instants([0.0, 1e9], 25, 1)
        self.assertEqual(replay.shown_at_instants([7.0, 7.0], 25, 1), [1])

    def test_video(self) -> None:
        """-o makes a video in this process; what repeats is drawn once."""
        drawn: list[bytes] = []

        def draw(body: bytes) -> bytes:
            drawn.append(body)
            return render_payload(body)

        for name, options, frames in (("a.gif", ["--fps", "10"], 11), ("b.apng", ["--speed", "4"], 8)):
            with self.subTest(name), mock.patch.object(replay, "render_payload", draw):
                drawn.clear()
                output = self.folder / name
                status, out, err = self.run_main(str(self.file), "-o", str(output), *options)
                self.assertEqual((status, out, err), (0, f"wrote {output}: {frames} frames\n", ""))
                self.assertEqual(drawn, [self.bodies[0], *self.bodies[2:]])
                with PillowImage.open(output) as video:
                    self.assertEqual((video.n_frames, video.size), (frames, (100, 100)))
                    video.seek(frames - 1)
                    last = np.asarray(video.convert("RGB"))
                self.assertTrue((last == array_of(render_payload(self.bodies[-1]))).mean() > 0.95)

    def test_on_a_server(self) -> None:
        """With --server the pictures of a video are that server's."""
        output = self.folder / "out.webp" if features.check("webp") else self.folder / "out.gif"
        with run_server() as server:
            status, _, err = self.run_main(str(self.file), "-o", str(output), "--server", server.url, "--speed", "9")
            self.assertEqual((status, err), (0, ""))
            self.assertEqual(server.health()["counts"]["pictures"], 3)
        self.assertGreater(output.stat().st_size, 0)

    def test_preview(self) -> None:
        """With GSP_TEST=True nothing is played: the first frame is rendered, and that is all."""
        with mock.patch.dict(os.environ, {"GSP_TEST": "True", "MPLBACKEND": "TkAgg", "DISPLAY": ""}):
            status, out, err = self.run_main(str(self.file))
        self.assertEqual((status, out, err), (0, "rendered the first of 4 frames\n", ""))

    def test_without_a_window(self) -> None:
        """Where Matplotlib opens no window, it says what to do."""
        backends = ("Agg", "TkAgg")
        environ = {name: text for name, text in os.environ.items() if name not in ("DISPLAY", "GSP_TEST")}
        ended = all_at_once(lambda backend: run_replay(self.file, {**environ, "MPLBACKEND": backend}), backends)
        for backend, done in zip(backends, ended):
            with self.subTest(backend):
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertIn("Matplotlib opens none here: choose a backend that does", done.stderr)
                self.assertNotIn("Traceback", done.stderr)

    def test_failures_leave_no_video(self) -> None:
        """A damaged session, an unknown kind of video, a frame that is refused: status 1, the reason, no file."""
        good = self.file.read_bytes()
        damaged, refused = self.folder / "damaged", self.folder / "refused"
        damaged.write_bytes(good.replace(b'"time"', b'"tome"', 1))
        refused.write_bytes(good.replace(b'"dpi":96.0},"viewports"', b'"dpi":0.5},"viewports"'))
        for file, output, wanted in (
            (damaged, "out.gif", "line 8: neither a frame nor a buffer"),
            (self.file, "out.png", "expected one of .mp4, "),
            (refused, "out.gif", "frame 1 of 4: canvas.dpi: 0.5, expected "),
            (self.file, "no/out.gif", "No such file"),
        ):
            with self.subTest(wanted):
                status, out, err = self.run_main(str(file), "-o", str(self.folder / output))
                self.assertEqual((status, out), (1, ""))
                self.assertIn(wanted, err)
        self.assertEqual(sorted(os.listdir(self.folder)), ["damaged", "refused", "session"])

    def test_bad_options(self) -> None:
        """Options that do not fit are refused by argparse: status 2, and what they need."""
        request = self.folder / "request.json"
        request.write_bytes(self.bodies[0])
        for arguments, wanted in (
            ([str(request), "--speed", "2"], "need a recorded session"),
            ([str(self.file), "--fps", "2"], "--fps needs -o"),
            ([str(self.file), "--speed", "0"], "--speed: 0, expected a number above 0"),
            ([str(self.file), "--speed", "nan"], "--speed: nan, expected a number above 0"),
            ([str(self.file), "--speed", "x"], "--speed: invalid"),
            ([str(self.file), "--fps", "1e9"], "--fps: 1e9, expected 0.01 to 1000"),
        ):
            err = io.StringIO()
            with self.subTest(arguments=arguments), contextlib.redirect_stderr(err):
                with self.assertRaises(SystemExit) as caught:
                    replay.main(arguments)
                self.assertEqual(caught.exception.code, 2)
                self.assertIn(wanted, err.getvalue())


class TestDebugFolder(unittest.TestCase):
    def test_failed_write_leaves_nothing(self) -> None:
        """A file that cannot be finished is not there afterwards, nor a part of it, and the one before stays."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "picture.png")
            write_whole(path, b"before")
            with mock.patch("os.replace", side_effect=OSError("disk full")), self.assertRaises(OSError):
                write_whole(path, b"after")
            self.assertEqual((os.listdir(folder), path.read_bytes()), (["picture.png"], b"before"))

    def test_oldest_go_first(self) -> None:
        """What is over the count goes by age, so that what was just saved stays, whatever its number."""
        with tempfile.TemporaryDirectory() as folder:
            saved = DebugFolder(folder, 2)
            for serial, age in ((6, 30), (7, 20)):
                saved.save(serial, b"{}", b"")
                then = time.time() - age
                os.utime(pathlib.Path(folder, f"{serial:06d}_payload.json"), (then, then))
            saved.save(1, b"{}", b"")
            self.assertEqual(sorted({name[:6] for name in os.listdir(folder)}), ["000001", "000007"])


class TestNetworkServer(unittest.TestCase):
    def test_render_scene_json_with_a_body(self) -> None:
        """It answers the picture, or the problem document, as a Response."""
        good = network_server.render_scene_json(body_of(points((0, 0, 0))))
        self.assertIsInstance(good, Response)
        self.assertEqual((good.status, good.headers, png_fault(good.body)), (200, {"Content-Type": "image/png"}, ""))
        bad = network_server.render_scene_json(b"{}")
        self.assertEqual((bad.status, bad.headers["Content-Type"]), (422, "application/problem+json"))
        self.assertEqual(network_server.render_scene_json(b"").status, 400)

    def test_render_scene_json_outside_a_request(self) -> None:
        """Without a body and outside a request it is a clear error."""
        with self.assertRaisesRegex(GspNetworkError, "no request is being served"):
            network_server.render_scene_json()

    def test_text_cyan(self) -> None:
        """The text stands between the codes for cyan and for plain."""
        self.assertEqual(network_server.text_cyan("hi"), "\033[36mhi\033[0m")

    def test_debug_switches(self) -> None:
        """The module's attributes are read and counted at each request of a sample server."""
        body = body_of(points((0, 0, 0)))
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            before = os.getcwd()
            os.chdir(folder)
            stack.callback(os.chdir, before)
            stack.enter_context(mock.patch.multiple(network_server, debug_save_payload=False, debug_save_serial=0))
            with network_server._SampleServer(port=0, on_render=network_server._save) as server:

                def ask() -> tuple[int, bytes]:
                    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
                    connection.request("POST", "/render", body, {"Content-Type": "application/json"})
                    response = connection.getresponse()
                    answer = response.status, response.read()
                    connection.close()
                    return answer

                self.assertEqual(ask()[0], 200)
                self.assertEqual((os.listdir(folder), network_server.debug_save_serial), ([], 0))
                network_server.debug_save_payload = True
                picture = ask()[1]
                self.assertEqual(network_server.debug_save_serial, 1)
                network_server.debug_save_serial = 41
                ask()
                self.assertEqual(network_server.debug_save_serial, 42)
            saved = pathlib.Path(folder, "network_server_debug")
            self.assertEqual(
                sorted(os.listdir(saved)),
                ["000001_payload.json", "000001_picture.png", "000042_payload.json", "000042_picture.png"],
            )
            self.assertEqual((saved / "000001_payload.json").read_bytes(), body)
            self.assertEqual((saved / "000001_picture.png").read_bytes(), picture)

    def test_sample_serves_port_5000(self) -> None:
        """python -m gsp_network.tools.network_server -d serves port 5000 until it is told to stop; a taken port is status 2."""
        command = [sys.executable, "-m", "gsp_network.tools.network_server", "-d"]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        with tempfile.TemporaryDirectory() as folder:
            try:
                socket.create_server(("127.0.0.1", 5000)).close()
            except OSError:
                self.skipTest("port 5000 is taken by another program")
            with tempfile.TemporaryFile() as log:
                process = subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder, env=environ
                )
                try:
                    said = process.stdout.readline()  # type: ignore[union-attr]
                    if not said and process.wait(60) == 2:
                        self.skipTest("port 5000 was taken by another program just now")
                    self.assertIn("http://127.0.0.1:5000", said)
                    second = subprocess.run(
                        command, capture_output=True, text=True, timeout=60, cwd=folder, env=environ
                    )
                    self.assertEqual(second.returncode, 2)
                    self.assertIn("port 5000 on 127.0.0.1 is in use", second.stderr)
                    connection = http.client.HTTPConnection("127.0.0.1", 5000, timeout=30)
                    connection.request(
                        "POST", "/render", body_of(points((0, 0, 0))), {"Content-Type": "application/json"}
                    )
                    self.assertEqual(png_fault(connection.getresponse().read()), "")
                    connection.close()
                finally:
                    process.send_signal(signal.SIGINT)
                    process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0)
            self.assertEqual(
                sorted(os.listdir(pathlib.Path(folder, "network_server_debug"))),
                ["000001_payload.json", "000001_picture.png"],
            )


class TestReferenceNames(unittest.TestCase):
    def test_names_are_where_the_reference_puts_them(self) -> None:
        """The dotted names of the API reference that this version has import from their places."""
        for module, names in (
            ("gsp_network.renderer", ["NetworkRenderer"]),
            ("gsp_network.renderer.network_renderer", ["NetworkRenderer", "NetworkPayload"]),
            (
                "gsp_network.tools.network_server",
                ["ServerSample", "render_scene_json", "text_cyan", "debug_save_payload", "debug_save_serial"],
            ),
        ):
            for name in names:
                with self.subTest(name=f"{module}.{name}"):
                    self.assertTrue(hasattr(importlib.import_module(module), name))
        self.assertEqual(set(network_server.ServerSample.run.__code__.co_varnames[:1]), {"self"})
        self.assertIs(network_server.debug_save_payload, False)
