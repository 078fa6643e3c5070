"""The real server as a process: the documents that it refuses, how it starts, what it says, and how it stops."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from typing import Any, Optional

import numpy as np

from gsp_network import Markers, __version__
from gsp_network.png import png_fault

from .processes import (
    PATIENCE,
    ServerProcess,
    all_at_once,
    answers_in,
    children_of,
    is_gone,
    needs_proc,
    post_request,
    rest_of,
    server_command,
    server_environ,
    wait_until,
)
from .scenes import BLACK, RED, body_of, changed, pixels, points, rgba, text
from .support import ROOT


def run(*options: str, **environ: str) -> subprocess.CompletedProcess:
    """A server that is expected not to start."""
    command = server_command(*options)
    if "GSP_NETWORK_PORT" in environ:
        command = [word for word in command if word not in ("--port", "0")]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT, env=server_environ(**environ)
    )


def heavy() -> bytes:
    """A scene that takes about half a second to draw: Agg draws clubs one by one."""
    n = 25_000
    places = np.zeros((n, 3))
    places[:, 0], places[:, 1] = np.arange(n) % 97 / 48 - 1, np.arange(n) % 89 / 44 - 1
    return body_of(Markers("club", places, np.full(n, 20.0), rgba(RED, n), rgba(BLACK, n), np.full(n, 1.0)))


class TestDocuments(unittest.TestCase):
    """One server for all documents; after each test it serves a good one, and has logged no fault of its own."""

    server: ServerProcess
    good: bytes

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = ServerProcess("--workers", "1")
        cls.addClassCleanup(cls.server.close)
        cls.good = body_of(points((0, 0, 0)))

    def tearDown(self) -> None:
        """The next good request is served."""
        self.assertIsNone(self.server.process.poll(), "the server died")
        status, _, body = self.server.post(self.good)
        self.assertEqual((status, png_fault(body)), (200, ""))
        self.assertEqual([line for line in self.server.read_log().splitlines() if "Traceback" in line], [])

    def test_documents(self) -> None:
        """Rows 35 to 48: each wrong document is answered with its status, type and place."""
        disc = self.good
        good_image = body_of(pixels([[0, 0, 0]], [[0, 0, 0, 255]], 1))
        string = body_of(text("hello"))

        def visual(*path: Any, value: Any = None, delete: bool = False, body: bytes = disc) -> bytes:
            return changed(body, "visuals", 0, "visual", *path, value=value, delete=delete)

        def sizes(**fields: Any) -> bytes:
            return visual(
                "sizes", "transBuf", value={"count": 1, "buffer_type": "float32", "data_base64": "AABIQw==", **fields}
            )

        nan, infinity = disc.replace(b'"dpi":96.0', b'"dpi":NaN'), disc.replace(b'"dpi":96.0', b'"dpi":1e999')
        cases: list[tuple[str, bytes, int, str, Optional[str]]] = [
            (
                "35 deeper than 64",
                changed(disc, "extra", value=json.loads("[" * 70 + "]" * 70)),
                400,
                "json_too_deep",
                None,
            ),
            ("36 5000 digits", disc.replace(b'"width":100', b'"width":' + b"1" * 5000), 400, "bad_number", None),
            ("36 4000 digits", disc.replace(b'"width":100', b'"width":' + b"1" * 4000), 400, "bad_number", None),
            ("37 NaN", nan, 422, "invalid_scene", "canvas.dpi"),
            ("37 1e999", infinity, 422, "invalid_scene", "canvas.dpi"),
            ("37 NaN in a buffer", sizes(data_base64="AADAfw=="), 422, "invalid_scene", "visuals[0].sizes[0]"),
            ("38 a key twice", disc.replace(b'"dpi":96.0', b'"dpi":96.0,"dpi":96.0'), 400, "duplicate_key", None),
            (
                "39 lone surrogate",
                string.replace(b'"hello"', b'"\\ud800"'),
                422,
                "invalid_scene",
                "visuals[0].texts[0]",
            ),
            ("39 NUL", string.replace(b'"hello"', b'"a\\u0000b"'), 422, "invalid_scene", "visuals[0].texts[0]"),
            ("40 bad UTF-8", disc.replace(b"matplotlib", b"matplot\xfflib"), 400, "not_json", None),
            ("41 true for 1", changed(disc, "canvas", "width", value=True), 422, "invalid_scene", "canvas.width"),
            (
                "41 800.0 for an int",
                changed(disc, "canvas", "width", value=800.0),
                422,
                "invalid_scene",
                "canvas.width",
            ),
            ("41 missing field", visual("sizes", delete=True), 422, "invalid_scene", "visuals[0].sizes"),
            ("41 missing list", changed(disc, "cameras", delete=True), 422, "invalid_scene", "cameras"),
            ("41 wrong type", visual("sizes", value=[1.0]), 422, "invalid_scene", "visuals[0].sizes"),
            (
                "41 unknown visual",
                changed(disc, "visuals", 0, "type", value="torus"),
                422,
                "invalid_scene",
                "visuals[0].type",
            ),
            (
                "41 unknown buffer type",
                sizes(buffer_type="float64"),
                422,
                "invalid_scene",
                "visuals[0].sizes.buffer_type",
            ),
            ("43 not base64", sizes(data_base64="!!!!!!=="), 422, "invalid_scene", "visuals[0].sizes.data_base64"),
            ("43 spaces", sizes(data_base64="AAB IQw="), 422, "invalid_scene", "visuals[0].sizes.data_base64"),
            ("43 two texts", sizes(data_base64="YQ==YQ=="), 422, "invalid_scene", "visuals[0].sizes.data_base64"),
            ("43 url-safe", sizes(data_base64="AAB-Qw=="), 422, "invalid_scene", "visuals[0].sizes.data_base64"),
            (
                "43 bits behind the data",
                sizes(data_base64="AABIQx=="),
                422,
                "invalid_scene",
                "visuals[0].sizes.data_base64",
            ),
            ("43 too short", sizes(data_base64="AAA="), 422, "invalid_scene", "visuals[0].sizes.data_base64"),
            ("44 canvas 0", changed(disc, "canvas", "width", value=0), 422, "invalid_scene", "canvas.width"),
            ("44 canvas -1", changed(disc, "canvas", "height", value=-1), 422, "invalid_scene", "canvas.height"),
            ("44 canvas 70000", changed(disc, "canvas", "width", value=70_000), 422, "scene_too_large", "canvas.width"),
            (
                "44 canvas 8192 x 8192",
                changed(disc, "canvas", value={"uuid": "u", "width": 8192, "height": 8192, "dpi": 96.0}),
                422,
                "scene_too_large",
                "canvas",
            ),
            ("44 dpi 0", changed(disc, "canvas", "dpi", value=0), 422, "invalid_scene", "canvas.dpi"),
            ("44 dpi 1e9", changed(disc, "canvas", "dpi", value=1e9), 422, "scene_too_large", "canvas.dpi"),
            ("45 list lengths", changed(disc, "viewports", value=[]), 422, "invalid_scene", "viewports"),
            (
                "45 group index",
                visual("groups", value=[[1]], body=good_image),
                422,
                "invalid_scene",
                "visuals[0].groups[0]",
            ),
            (
                "47 long text",
                string.replace(b'"hello"', b'"' + b"x" * 100_000 + b'"'),
                422,
                "scene_too_large",
                "visuals[0].texts[0]",
            ),
            (
                "47 many lines",
                string.replace(b'"hello"', b'"' + b"\\n" * 200 + b'"'),
                422,
                "scene_too_large",
                "visuals[0].texts[0]",
            ),
            (
                "47 font 1e6",
                changed(string, "visuals", 0, "visual", "font_sizes", "transBuf", "data_base64", value="ACR0SQ=="),
                422,
                "scene_too_large",
                "visuals[0].font_sizes[0]",
            ),
            (
                "47 font -1",
                changed(string, "visuals", 0, "visual", "font_sizes", "transBuf", "data_base64", value="AACAvw=="),
                422,
                "invalid_scene",
                "visuals[0].font_sizes[0]",
            ),
            (
                "47 font NaN",
                changed(string, "visuals", 0, "visual", "font_sizes", "transBuf", "data_base64", value="AADAfw=="),
                422,
                "invalid_scene",
                "visuals[0].font_sizes[0]",
            ),
        ]
        for name, body, status, kind, where in cases:
            with self.subTest(row=name):
                answer = self.server.post(body)
                problem = json.loads(answer.body)
                self.assertEqual((answer.status, problem["status"], problem["type"]), (status, status, kind), problem)
                self.assertEqual(problem["request_id"], answer.headers["x-request-id"])
                self.assertIn(problem["request_id"], self.server.read_log())
                self.assertNotIn(str(ROOT), answer.body.decode())
                if where is not None:
                    self.assertEqual(problem.get("where"), where)

    def test_documents_that_pass(self) -> None:
        """Rows 41, 46 and 48: unknown keys, unbalanced formulas and unknown fonts are drawn."""
        string = body_of(text("hello"))
        for name, body in (
            ("unknown keys", changed(self.good, "later", value={"a": [1, 2]})),
            ("formula", changed(string, "visuals", 0, "visual", "texts", value=["$\\frac{$"])),
            ("font", changed(string, "visuals", 0, "visual", "font_name", value="No Such Font At All")),
            ("font as a path", changed(string, "visuals", 0, "visual", "font_name", value="/etc/hostname")),
        ):
            with self.subTest(case=name):
                status, _, picture = self.server.post(body)
                self.assertEqual((status, png_fault(picture)), (200, ""))


class TestStartAndStop(unittest.TestCase):
    def test_ready_line_as_json(self) -> None:
        """--ready-json says url, pid and version in one line of JSON, when the server answers."""
        server = ServerProcess("--workers", "1")
        self.addCleanup(server.close)
        self.assertEqual(
            server.ready, {"url": f"http://127.0.0.1:{server.port}", "pid": server.process.pid, "version": __version__}
        )
        self.assertEqual(server.get("/health").status, 200)

    def test_ready_line_for_people(self) -> None:
        """Without it one line names version and URL."""
        process = subprocess.Popen(
            server_command("--workers", "1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env=server_environ(),
        )
        line = process.stdout.readline()  # type: ignore[union-attr]
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        self.assertRegex(
            line, rf"^gsp_network {re.escape(__version__)} serves on http://127\.0\.0\.1:\d+ \(Ctrl-C stops it\)$"
        )
        self.assertEqual((rest, process.returncode), ("", 0))

    def test_signals_end_it_with_0(self) -> None:
        """SIGTERM and SIGINT stop the server, idle connections included, with exit status 0."""
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number.name):
                server = ServerProcess("--workers", "1")
                self.addCleanup(server.close)
                idle = server.connect()
                self.addCleanup(idle.close)
                self.assertEqual(server.post(body_of())[0], 200)
                self.assertEqual(server.stop(number), 0)
                self.assertNotIn("Traceback", server.read_log())

    def test_request_under_way_is_finished(self) -> None:
        """When SIGTERM comes, what is being drawn or has begun to arrive is answered, and nobody new is listened to; exit 0."""
        server = ServerProcess("--workers", "1")
        self.addCleanup(server.close)
        body, small = heavy(), body_of()
        with server.connect() as drawn, server.connect() as arriving:
            drawn.sendall(post_request(body))
            arriving.sendall(post_request(small)[:-1])
            self.assertTrue(wait_until(lambda: server.health()["workers"]["busy"] == 1))
            server.process.send_signal(signal.SIGTERM)
            while True:  # until it listens no more, the signal has arrived
                try:
                    server.connect().close()
                except ConnectionError:
                    break
            arriving.sendall(small[-1:])
            answers = answers_in(rest_of(drawn)) + answers_in(rest_of(arriving))
        self.assertEqual([(status, png_fault(picture)) for status, _, picture in answers], [(200, "")] * 2)
        self.assertEqual(server.process.wait(PATIENCE), 0)
        self.assertNotIn("Traceback", server.read_log())

    @needs_proc
    def test_second_signal(self) -> None:
        """A second signal ends the server at once, and its workers with it."""
        server = ServerProcess("--workers", "1")
        self.addCleanup(server.close)
        with server.connect() as arriving:
            arriving.sendall(post_request(body_of())[:-1])  # it will wait for the rest
            self.assertTrue(wait_until(lambda: server.health()["workers"]["idle"] == 1))
            workers = children_of(server.pid)
            self.assertEqual(len(workers), 1)
            server.process.send_signal(signal.SIGTERM)
            while True:
                try:
                    server.connect().close()
                except ConnectionError:
                    break
            self.assertIsNone(server.process.poll())
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(server.process.wait(PATIENCE), -signal.SIGTERM)
        self.assertTrue(wait_until(lambda: all(map(is_gone, workers))))

    @needs_proc
    def test_killed_while_a_worker_is_busy(self) -> None:
        """Row 63: workers do not outlive a server that is killed, also while they draw."""
        server = ServerProcess("--workers", "2", "--render-timeout", "5")
        self.addCleanup(server.close)
        self.assertTrue(wait_until(lambda: server.health()["workers"]["idle"] == 2))
        workers = children_of(server.pid)
        self.assertEqual(len(workers), 2)
        with server.connect() as connection:
            connection.sendall(post_request(heavy()))
            self.assertTrue(wait_until(lambda: server.health()["workers"]["busy"] == 1))
            server.process.kill()
            server.process.wait(PATIENCE)
            self.assertTrue(wait_until(lambda: all(map(is_gone, workers))), "a worker outlives its server")

    @needs_proc
    def test_exit_with_parent(self) -> None:
        """With --exit-with-parent the server and its workers end soon after the process that started the server."""
        code = (
            "import json, subprocess, sys\n"
            "server = subprocess.Popen(json.loads(sys.argv[1]), stdout=subprocess.PIPE)\n"
            "print(server.stdout.readline().decode(), end='', flush=True)\n"
            "server.wait()\n"
        )
        command = server_command("--ready-json", "--workers", "1", "--exit-with-parent")
        starter = subprocess.Popen(
            [sys.executable, "-c", code, json.dumps(command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env=server_environ(),
        )
        self.addCleanup(starter.wait)
        self.addCleanup(starter.kill)
        with starter.stdout:  # type: ignore[union-attr]
            server = json.loads(starter.stdout.readline())["pid"]  # type: ignore[union-attr]
        self.assertEqual(children_of(starter.pid), (server,))
        self.assertTrue(wait_until(lambda: len(children_of(server)) == 1))
        (worker,) = children_of(server)
        starter.kill()
        starter.wait(PATIENCE)
        gone = wait_until(lambda: is_gone(server) and is_gone(worker))
        if not gone:
            os.kill(server, signal.SIGKILL)
        self.assertTrue(gone)

    @unittest.skipUnless(hasattr(socket, "AF_UNIX"), "no sockets of files here")
    def test_service_manager_is_told(self) -> None:
        """Where NOTIFY_SOCKET names a socket, a file's or an abstract one, it is told READY=1 and STOPPING=1."""
        with tempfile.TemporaryDirectory() as folder:
            places = [os.path.join(folder, "notify")]
            if sys.platform == "linux":
                places.append(f"@gsp_network-test-{os.getpid()}")
            for place in places:
                with self.subTest(place=place), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                    manager.bind("\0" + place[1:] if place.startswith("@") else place)
                    manager.settimeout(PATIENCE)
                    server = ServerProcess("--workers", "1", NOTIFY_SOCKET=place)
                    self.addCleanup(server.close)
                    self.assertEqual(manager.recv(100), b"READY=1")
                    self.assertEqual(server.stop(), 0)
                    self.assertEqual(manager.recv(100), b"STOPPING=1")
        server = ServerProcess("--workers", "1", NOTIFY_SOCKET="/no/such/socket")
        self.addCleanup(server.close)
        self.assertEqual(server.stop(), 0)
        self.assertIn("the service manager cannot be told READY=1: No such file or directory", server.read_log())

    def test_port_in_use(self) -> None:
        """A taken port is one clear line that names it and what to try, and exit status 2."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = subprocess.run(
                [sys.executable, "-m", "gsp_network.server", "--port", str(port)],
                capture_output=True,
                text=True,
                timeout=60,
                cwd=ROOT,
                env=server_environ(),
            )
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        self.assertIn(f"port {port} on 127.0.0.1 is in use", done.stderr)
        self.assertIn("--port", done.stderr)

    def test_bad_settings(self) -> None:
        """A setting that is none is one line that names the option or variable, and exit status 2."""
        cases: list[tuple[list[str], dict[str, str], str]] = [
            (["--max-dpi", "-3"], {}, "max_dpi"),
            (["--log-level", "loud"], {}, "log_level: 'loud', expected one of debug, info, warning, error"),
            ([], {"GSP_NETWORK_PORT": "many"}, "environment variable GSP_NETWORK_PORT: 'many', expected int"),
            (
                [],
                {"GSP_REMOTE_RENDERER": "opengl"},
                "GSP_REMOTE_RENDERER: 'opengl', expected one of matplotlib, datoviz",
            ),
            (["--host", "no.such.host.invalid"], {}, "no.such.host.invalid"),
            (["--import", "no_such_module"], {}, "--import no_such_module: there is no module of that name"),
            (["--import", "no_such.module"], {}, "--import no_such.module: there is no module of that name"),
            (["--token-file", "/no/such/file"], {}, "token file /no/such/file: No such file or directory"),
            ([], {"GSP_NETWORK_TOKEN": "caf\u00e9"}, "token: expected printable ASCII without blanks"),
        ]
        ended = all_at_once(lambda case: run(*case[0], **case[1]), cases)
        for (options, environ, wanted), done in zip(cases, ended):
            with self.subTest(options=options, environ=environ):
                self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                self.assertIn(wanted, done.stderr)
                self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)

    def test_help_lists_every_setting(self) -> None:
        """--help names every option of the table."""
        from gsp_network.settings import Settings, option_of

        done = run("--help")
        self.assertEqual(done.returncode, 0)
        for field in dataclasses.fields(Settings):
            self.assertIn(option_of(field), done.stdout)
        self.assertNotIn("--token ", done.stdout)  # the command line of a process is for all to see


class TestTokens(unittest.TestCase):
    """Tokens, of which only the ready line may tell."""

    def authorization(self, token: str) -> bytes:
        return b"Authorization: Bearer " + token.encode() + b"\r\n"

    def check_tokens(self, server: ServerProcess, *tokens: str) -> None:
        """Check that these are known, that no other is, and that strangers learn nothing."""
        self.assertEqual(server.get("/").status, 401)
        self.assertEqual(server.get("/", self.authorization("x" + tokens[0])).status, 401)
        self.assertEqual(json.loads(server.get("/health").body), {"status": "ok"})
        for token in tokens:
            self.assertEqual(server.get("/", self.authorization(token)).status, 200)
            self.assertEqual(server.health(self.authorization(token))["pid"], server.pid)
        self.assertEqual(server.stop(), 0)
        for token in tokens:
            self.assertNotIn(token, server.read_log())

    def test_made_for_other_machines(self) -> None:
        """A server for other machines without a token makes one, tells it in its ready line, and nowhere else."""
        server = ServerProcess("--workers", "1", "--host", "0.0.0.0", "--log-level", "debug")
        self.addCleanup(server.close)
        self.assertEqual(set(server.ready), {"url", "pid", "version", "token"})
        self.assertEqual(server.ready["url"], f"http://127.0.0.1:{server.port}")
        self.check_tokens(server, server.ready["token"])
        self.assertIn("without TLS", server.read_log())

    def test_made_token_for_people(self) -> None:
        """Without --ready-json the token that was made stands in one line of its own, once."""
        process = subprocess.Popen(
            server_command("--workers", "1", "--host", "0.0.0.0"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=server_environ(),
        )
        self.addCleanup(process.kill)
        lines = [process.stdout.readline() for _ in range(2)]  # type: ignore[union-attr]
        process.send_signal(signal.SIGINT)
        rest, log = process.communicate(timeout=PATIENCE)
        self.assertRegex(lines[0], r"serves on http://127\.0\.0\.1:\d+ ")
        found = re.fullmatch(r"token, made for this run \(.*GSP_NETWORK_TOKEN\): (\S{43})\n", lines[1])
        self.assertIsNotNone(found, lines)
        self.assertNotIn(found.group(1), lines[0] + rest + log)  # type: ignore[union-attr]

    def test_from_the_environment(self) -> None:
        """GSP_NETWORK_TOKEN may hold two tokens, so that one can follow the other; the ready line repeats none."""
        server = ServerProcess("--workers", "1", "--host", "0.0.0.0", GSP_NETWORK_TOKEN="old-token new-token")
        self.addCleanup(server.close)
        self.assertNotIn("token", server.ready)
        self.check_tokens(server, "old-token", "new-token")

    def test_workers_do_not_see_them(self) -> None:
        """The environment of a worker holds no token."""
        if sys.platform != "linux":
            self.skipTest("no /proc here")
        server = ServerProcess("--workers", "1", GSP_NETWORK_TOKEN="old-token")
        self.addCleanup(server.close)
        mine = self.authorization("old-token")
        self.assertTrue(wait_until(lambda: server.health(mine)["workers"]["idle"] == 1))
        (worker,) = children_of(server.pid)
        self.assertNotIn(b"old-token", pathlib.Path(f"/proc/{worker}/environ").read_bytes())
        self.assertNotIn(b"old-token", pathlib.Path(f"/proc/{worker}/cmdline").read_bytes())

    def test_from_a_file(self) -> None:
        """--token-file takes a file that is its owner's alone, and one that others can read is one line and exit status 2."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "tokens")
            path.write_text("# ours\nfirst-token\nsecond-token\n")
            path.chmod(0o600)
            server = ServerProcess("--workers", "1", "--token-file", str(path))
            self.addCleanup(server.close)
            self.check_tokens(server, "first-token", "second-token")
            if os.name != "posix":
                return
            path.chmod(0o644)
            done = run("--token-file", str(path))
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn("chmod 600", done.stderr)
        self.assertNotIn("first-token", done.stderr)


class TestMetrics(unittest.TestCase):
    def test_text(self) -> None:
        """GET /metrics is Prometheus's text, line by line, and what it counts grows by what was done."""
        server = ServerProcess("--workers", "1", "--max-body-bytes", "100000")
        self.addCleanup(server.close)
        body = body_of(points((0, 0, 0)))
        server.post(body)
        before = prometheus(server.get("/metrics"))
        picture = server.post(body).body
        server.post(b"{}")
        server.post(bytes(100_001))
        server.raw(b"BREW / HTTP/1.1\r\n\r\n")
        after = prometheus(server.get("/metrics"))
        grown = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
        wanted = {
            'requests_total{status="200"}': 2,  # one of them is the first look
            'requests_total{status="422"}': 1,
            'requests_total{status="413"}': 1,
            'requests_total{status="400"}': 1,
            'renders_total{renderer="matplotlib"}': 1,
            'limits_hit_total{limit="max_body_bytes"}': 1,
            "received_bytes_total": len(body) + 2,
            "render_seconds_count": 1,
            "queue_seconds_count": 1,
            'render_seconds_bucket{le="+Inf"}': 1,
        }
        self.assertEqual({name: grown.get("gsp_network_" + name) for name in wanted}, wanted)
        self.assertGreater(grown["gsp_network_sent_bytes_total"], len(picture))
        self.assertGreater(grown["gsp_network_render_seconds_sum"], 0)
        self.assertEqual(after['gsp_network_workers{state="idle"}'], 1)
        self.assertEqual((after["gsp_network_inflight_bytes"], after["gsp_network_renders_under_way"]), (0, 0))
        self.assertGreaterEqual(after["gsp_network_connections"], 1)


def prometheus(answer: Any) -> dict[str, float]:
    """The samples of a page of metrics by name and labels; AssertionError where it is not exposition format 0.0.4."""
    case = unittest.TestCase()
    case.assertEqual((answer.status, answer.headers["content-type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
    text = answer.body.decode("utf-8")
    case.assertTrue(text.endswith("\n"))
    kinds: dict[str, str] = {}
    helped: set[str] = set()
    samples: dict[str, float] = {}
    family = ""
    for line in text[:-1].split("\n"):
        told = re.fullmatch(r"# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (\S.*)", line)
        if told is not None:
            word, family, rest = told.groups()
            if word == "HELP":
                case.assertNotIn(family, helped, line)
                helped.add(family)
            else:
                case.assertNotIn(family, kinds, line)
                case.assertIn(rest, ("counter", "gauge", "histogram"), line)
                kinds[family] = rest
            continue
        labels = r'\{[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"\}'
        sample = re.fullmatch(rf"([a-zA-Z_:][a-zA-Z0-9_:]*)({labels})? ([0-9]+(?:\.[0-9]+)?(?:e[+-][0-9]+)?)", line)
        case.assertIsNotNone(sample, line)
        name, label, value = sample.groups()  # type: ignore[union-attr]
        parts = ("_bucket", "_sum", "_count") if kinds[family] == "histogram" else ("",)
        case.assertIn(name, [family + part for part in parts], line)
        case.assertNotIn(name + (label or ""), samples, line)
        samples[name + (label or "")] = float(value)
    case.assertEqual(helped, set(kinds))
    for family, kind in kinds.items():
        case.assertEqual(family.endswith("_total"), kind == "counter", family)
        if kind == "histogram":
            buckets = [(key, value) for key, value in samples.items() if key.startswith(family + "_bucket{")]
            edges = [float(key.split('"')[1]) for key, _ in buckets]
            case.assertEqual((edges, edges[-1]), (sorted(edges), float("inf")))
            case.assertEqual([value for _, value in buckets], sorted(value for _, value in buckets))
            case.assertEqual(buckets[-1][1], samples[family + "_count"])
    return samples


class TestLog(unittest.TestCase):
    def test_json_lines(self) -> None:
        """With --log-format json each line is one JSON object, whatever a client sends; what it sent is escaped, and cut."""
        server = ServerProcess("--workers", "1", "--log-format", "json")
        self.addCleanup(server.close)
        server.post(body_of())
        hostile = (
            b"GET /\x1b[31m\x00\x07 HTTP/1.1\r\n\r\n",
            b'GET /"},{"status":200 HTTP/1.1\r\n\r\n',
            b"GET /\xe2\x80\xa8\x85\xff HTTP/1.1\r\n\r\n",
            b"GET /a\nGET /b HTTP/1.1\r\n\r\n",
            b"GET /" + b"a" * 1500 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            b"A" * 5000,
            b"\x16\x03\x01",
        )
        ids = [answer.headers["x-request-id"] for request in hostile for answer in server.raw(request)]
        self.assertEqual(len(ids), len(hostile))
        server.post(changed(body_of(), "visuals", value="\x1b"))
        self.assertEqual(server.stop(), 0)
        lines = server.read_log().split("\n")
        self.assertEqual(lines.pop(), "")
        records = [json.loads(line) for line in lines]
        for line, record in zip(lines, records):
            self.assertTrue(line.isascii() and line.isprintable(), line)
            self.assertLessEqual({"time", "level", "logger", "message"}, set(record))
            self.assertRegex(record["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        asked = {record["request_id"]: record for record in records if "request_id" in record}
        for number in ids:
            self.assertIn(asked[number]["status"], (400, 404, 414))
            for told in (asked[number]["target"], asked[number]["method"], asked[number]["message"]):
                self.assertTrue(told.isprintable(), told)
                self.assertLess(len(told), 1000)
        self.assertTrue(asked[ids[4]]["target"].endswith("aaa..."), asked[ids[4]])
        self.assertLess(len(asked[ids[4]]["target"]), 210)
        self.assertIn("\\x1b[31m\\x00\\x07", asked[ids[0]]["target"])


class TestDebug(unittest.TestCase):
    def test_requests_and_pictures_are_saved(self) -> None:
        """--debug saves each drawn request and its picture, for their owner alone, numbered, the newest kept."""
        with tempfile.TemporaryDirectory() as folder:
            where = pathlib.Path(folder, "saved")
            server = ServerProcess("--workers", "0", "--debug", "--debug-dir", str(where), "--debug-files", "2")
            self.addCleanup(server.close)
            bodies = [body_of(points((x, 0, 0))) for x in (0.0, 0.2, 0.4)]
            pictures = [server.post(body)[2] for body in bodies]
            server.post(b"{}")
            self.assertEqual(server.stop(), 0)
            names = ["000002_payload.json", "000002_picture.png", "000003_payload.json", "000003_picture.png"]
            self.assertEqual(sorted(os.listdir(where)), names)
            self.assertEqual(
                [(where / name).read_bytes() for name in names], [bodies[1], pictures[1], bodies[2], pictures[2]]
            )
            if os.name == "posix":
                self.assertEqual({(where / name).stat().st_mode & 0o777 for name in names}, {0o600})
            again = ServerProcess("--workers", "0", "--debug", "--debug-dir", str(where))
            self.addCleanup(again.close)
            again.post(bodies[0])
            again.stop()
            self.assertIn("000004_payload.json", os.listdir(where))

    def test_default_folder(self) -> None:
        """Without --debug-dir the folder is network_server_debug in the working directory; without --debug there is none."""
        with tempfile.TemporaryDirectory() as folder:
            for options, expected in (([], []), (["--debug"], ["network_server_debug"])):
                server = ServerProcess("--workers", "0", *options, cwd=folder)
                self.addCleanup(server.close)
                server.post(body_of())
                server.stop()
                self.assertEqual(os.listdir(folder), expected)

    def test_folder_that_cannot_be_made(self) -> None:
        """A debug folder that cannot be made is one line and exit status 2."""
        with tempfile.NamedTemporaryFile() as file:
            done = run("--debug", "--debug-dir", file.name + "/x")
        self.assertEqual(done.returncode, 2)
        self.assertIn("debug folder", done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
