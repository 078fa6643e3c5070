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
from unittest import mock

from gsp_network.debugging import DebugFolder, write_whole
from gsp_network.errors import GspNetworkError
from gsp_network.framing import Response
from gsp_network.tools import network_server, replay
from gsp_network.transport import png_fault

from .scenes import body_of, changed, points, run_server
from .support import ROOT


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
        done = subprocess.run(
            [sys.executable, "-m", "gsp_network.tools.replay", str(self.file)],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))


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
