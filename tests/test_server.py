"""The embedded server: its life, its answers, its hook."""

from __future__ import annotations

import concurrent.futures
import contextlib
import gc
import http.client
import json
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import unittest
import weakref
from typing import Any, Optional
from unittest import mock

from gsp_network import NetworkRenderer, RenderServer
from gsp_network.errors import GspNetworkError, InvalidScene, ServerError, ServerStartError
from gsp_network.framing import Response
from gsp_network.png import png_fault
from gsp_network.render_thread import RenderThread
from gsp_network.settings import SettingError

from .processes import PATIENCE
from .scenes import Canvas, body_of, changed, points, run_server
from .support import ROOT


def ask(
    server: RenderServer, method: str, path: str, body: Optional[bytes] = None, **headers: str
) -> tuple[int, Any, bytes]:
    """One request on a connection of its own: status, headers, body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            named.setdefault("Content-Type", "application/json")
        connection.request(method, path, body, named)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


class Held(concurrent.futures.Executor):
    """An executor whose calls wait until they are let go."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(4)

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        def call() -> Any:
            self.begun.set()
            self.go_on.wait(PATIENCE)
            return fn(*args, **kwargs)

        return self._pool.submit(call)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.go_on.set()
        self._pool.shutdown(wait)


def own_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("gsp-network")]


class TestAnswers(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.server = RenderServer(port=0).start()
        cls.addClassCleanup(cls.server.close)

    def test_picture(self) -> None:
        """POST /render answers the PNG with type, exact length and a request id."""
        status, headers, body = ask(self.server, "POST", "/render", body_of(points((0, 0, 0))))
        self.assertEqual(
            (status, headers["Content-Type"], headers["Content-Length"]), (200, "image/png", str(len(body)))
        )
        self.assertEqual(png_fault(body), "")
        self.assertRegex(headers["X-Request-Id"], r"^[0-9a-f]{32}$")

    def test_request_id_is_echoed(self) -> None:
        """A client's own request id comes back, on answers and in problem documents; one that is no id does not."""
        _, headers, body = ask(self.server, "POST", "/render", b"{}", X_Request_Id="run-7.frame_3")
        self.assertEqual((headers["X-Request-Id"], json.loads(body)["request_id"]), ("run-7.frame_3",) * 2)
        _, headers, _ = ask(self.server, "GET", "/health", X_Request_Id="no id, a sentence")
        self.assertRegex(headers["X-Request-Id"], r"^[0-9a-f]{32}$")

    def test_problem_document(self) -> None:
        """A bad scene is answered 422 with type, title, status, detail, where and request id, and nothing else."""
        bad = changed(body_of(points((0, 0, 0))), "visuals", 0, "visual", "sizes", "transBuf", "count", value=True)
        status, headers, body = ask(self.server, "POST", "/render", bad)
        problem = json.loads(body)
        self.assertEqual((status, headers["Content-Type"]), (422, "application/problem+json"))
        self.assertEqual(set(problem), {"type", "title", "status", "detail", "where", "request_id"})
        self.assertEqual(problem["where"], "visuals[0].sizes.count")
        self.assertEqual(problem["detail"], "visuals[0].sizes.count: boolean, expected an integer")
        self.assertEqual(problem["type"], "invalid_scene")

    def test_limit_is_named(self) -> None:
        """A scene over a limit names the setting."""
        problem = json.loads(ask(self.server, "POST", "/render", body_of(canvas=Canvas(9000, 1)))[2])
        self.assertEqual(
            (problem["type"], problem["limit"], problem["where"]),
            ("scene_too_large", "max_canvas_side", "canvas.width"),
        )

    def test_renderer_header_in_any_case(self) -> None:
        """The header GSP-Renderer chooses the renderer, however its name is spelt."""
        body = body_of(renderer=None)
        for name in ("GSP-Renderer", "gsp-renderer"):
            status, _, answer = ask(self.server, "POST", "/render", body, **{name: "datoviz"})
            self.assertEqual((status, json.loads(answer)["type"]), (422, "renderer_unavailable"))

    def test_health(self) -> None:
        """GET /health tells version, protocol, renderers with version or reason, uptime and counts."""
        before = json.loads(ask(self.server, "GET", "/health")[2])
        ask(self.server, "POST", "/render", body_of())
        ask(self.server, "POST", "/render", b"{}")
        status, headers, body = ask(self.server, "GET", "/health")
        health = json.loads(body)
        self.assertEqual((status, headers["Content-Type"]), (200, "application/json"))
        self.assertEqual(health["status"], "ok")
        self.assertTrue(health["renderers"]["matplotlib"]["available"])
        self.assertRegex(health["renderers"]["matplotlib"]["version"], r"^\d+\.\d+")
        self.assertFalse(health["renderers"]["datoviz"]["available"])
        self.assertIn("datoviz", health["renderers"]["datoviz"]["reason"])
        self.assertGreaterEqual(health["uptime_s"], before["uptime_s"])
        self.assertEqual(health["counts"]["pictures"], before["counts"]["pictures"] + 1)
        self.assertEqual(health["counts"]["errors"], before["counts"]["errors"] + 1)
        self.assertEqual(health["counts"]["requests"], before["counts"]["requests"] + 3)
        self.assertTrue(health["version"] and health["protocol"])

    def test_page_for_people(self) -> None:
        """GET / is a page that says what this is and how to use it, and runs nothing."""
        status, headers, body = ask(self.server, "GET", "/")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        page = body.decode()
        for wanted in ("gsp_network", "NetworkRenderer", self.server.url, "matplotlib", "/health"):
            self.assertIn(wanted, page)

    def test_connection_is_kept(self) -> None:
        """Several requests, an error among them, go over one connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE)
        self.addCleanup(connection.close)
        body = body_of(points((0, 0, 0)))
        statuses, sockets = [], set()
        for content in (body, b"{}", body, b"[", body):
            connection.request("POST", "/render", content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
            sockets.add(connection.sock)
        self.assertEqual(statuses, [200, 422, 200, 400, 200])
        self.assertEqual(len(sockets), 1)
        self.assertIsNotNone(sockets.pop())

    def test_answers_leave_at_once(self) -> None:
        """Connections have TCP_NODELAY, without which every small answer on a kept one waits 40 ms for an ACK."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.request("GET", "/health")
        connection.getresponse().read()
        accepted = list(self.server._http._connections.values())  # type: ignore[union-attr]
        ours = [one for one in accepted if one.getpeername() == connection.sock.getsockname()]
        self.assertEqual([bool(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) for one in ours], [True])

    def test_parallel_clients_get_their_own_pictures(self) -> None:
        """Twelve clients at once each get the picture of their own size."""
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            sizes = list(range(20, 44))

            def width_of(size: int) -> int:
                with NetworkRenderer(Canvas(size, 10), self.server.url) as renderer:
                    return int.from_bytes(renderer.render([], [], [], [])[16:20], "big")

            self.assertEqual(list(pool.map(width_of, sizes)), sizes)

    def test_fault_of_ours_is_told_by_its_id_alone(self) -> None:
        """A surprise inside is a 500 that holds no trace of it; the log has it under the request id."""
        server = RenderServer(port=0)
        self.addCleanup(server.close)
        server.start()
        for fault in (ZeroDivisionError("secret"), SystemExit("secret")):
            with self.subTest(fault=fault), mock.patch.object(server._dispatch, "draw", side_effect=fault):
                with self.assertLogs("gsp_network", logging.ERROR) as logs:
                    status, headers, body = ask(server, "POST", "/render", body_of())
                self.assertEqual((status, json.loads(body)["type"]), (500, "internal_error"))
                self.assertNotIn(b"secret", body)
                self.assertNotIn(b"Traceback", body)
                told = [line for line in logs.output if headers["X-Request-Id"] in line and "secret" in line]
                self.assertTrue(told, logs.output)

    def test_errors_are_logged(self) -> None:
        """A refused request stands in the log with its id and its reason."""
        with self.assertLogs("gsp_network", logging.INFO) as logs:
            _, headers, _ = ask(self.server, "POST", "/render", b"{}")
        line = next(line for line in logs.output if headers["X-Request-Id"] in line)
        self.assertIn("data: missing", line)
        self.assertIn("422", line)


class TestLife(unittest.TestCase):
    def test_closing_twice_or_before_starting(self) -> None:
        """close() is fine before start, after it, and twice; a closed server does not start again."""
        server = RenderServer(port=0)
        self.assertTrue(server.close())
        self.assertTrue(server.close())
        with self.assertRaises(ServerStartError):
            server.start()
        server = RenderServer(port=0).start()
        self.assertIs(server.start(), server)
        self.assertTrue(server.close())
        self.assertTrue(server.close())

    def test_no_thread_or_socket_is_left(self) -> None:
        """After close no thread is left, kept connections included, and the port is free."""
        with run_server() as server:
            renderer = NetworkRenderer(Canvas(10, 10), server.url)
            self.addCleanup(renderer.close)
            renderer.render([], [], [], [])
            silent = socket.create_connection(("127.0.0.1", server.port), 10)
            self.addCleanup(silent.close)
            self.assertGreaterEqual(len(own_threads()), 3)
            self.assertTrue(server.close(PATIENCE))
            self.assertEqual(own_threads(), [])
            with contextlib.suppress(ConnectionResetError):  # it may not have been accepted yet
                self.assertEqual(silent.recv(1), b"")
        with mock.patch("gsp_network.transport.FIRST_BACKOFF_SECONDS", 0.001), self.assertRaises(GspNetworkError):
            renderer.render([], [], [], [])
        with RenderServer(port=server.port):
            pass

    def test_request_under_way_is_finished(self) -> None:
        """close() lets a draw that has begun end and be answered."""
        executor = Held()
        self.addCleanup(executor.shutdown)
        with run_server(executor=executor) as server, concurrent.futures.ThreadPoolExecutor(2) as pool:
            answer = pool.submit(ask, server, "POST", "/render", body_of())
            self.assertTrue(executor.begun.wait(PATIENCE))
            closing = pool.submit(server.close, PATIENCE)
            while not server.closing:
                threading.Event().wait(0.01)
            executor.go_on.set()
            status, headers, body = answer.result(PATIENCE)
            self.assertEqual((status, png_fault(body), headers["Connection"]), (200, "", "close"))
            self.assertTrue(closing.result(PATIENCE))

    def test_draw_that_does_not_end(self) -> None:
        """When the timeout passes during a draw, its request is answered 503, close returns False and says so once."""
        begun, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        def stuck(*args: Any) -> bytes:
            begun.set()
            go_on.wait(PATIENCE)
            return b""

        with mock.patch("gsp_network.dispatch.render", stuck), run_server() as server:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                answer = pool.submit(ask, server, "POST", "/render", body_of())
                self.assertTrue(begun.wait(PATIENCE))
                with self.assertLogs("gsp_network", logging.WARNING) as logs:
                    with mock.patch("gsp_network.server.LAST_SECONDS", 0.1):
                        self.assertFalse(server.close(0.2))
                status, headers, body = answer.result(PATIENCE)
            self.assertEqual((status, headers["Retry-After"], json.loads(body)["type"]), (503, "1", "busy"))
            self.assertEqual(sum(record.levelno == logging.WARNING for record in logs.records), 1)
            self.assertEqual([thread.name for thread in own_threads()], ["gsp-network-render"])
            self.assertTrue(all(thread.daemon for thread in own_threads()))
            go_on.set()
            self.assertTrue(server.close(PATIENCE))
            self.assertEqual(own_threads(), [])

    def test_close_without_patience(self) -> None:
        """Where nothing is being drawn close(0) ends every thread and says so."""
        for _ in range(10):
            server = RenderServer(port=0).start()
            self.assertEqual(ask(server, "POST", "/render", body_of())[0], 200)
            self.assertTrue(server.close(0))
            self.assertEqual(own_threads(), [])

    def test_hook_that_does_not_end(self) -> None:
        """A hook that is still running when the timeout passes is what close names."""
        begun, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        def hook(body: bytes, picture: bytes) -> None:
            begun.set()
            go_on.wait(PATIENCE)

        with run_server(on_render=hook) as server, concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(ask, server, "POST", "/render", body_of())
            self.assertTrue(begun.wait(PATIENCE))
            with self.assertLogs("gsp_network", logging.WARNING) as logs:
                with mock.patch("gsp_network.listening.LAST_SECONDS", 0.1):
                    self.assertFalse(server.close(0))
            self.assertIn("its hook", logs.output[0])
            go_on.set()
            self.assertIsNotNone(answer.exception(PATIENCE))
            self.assertTrue(server.close(PATIENCE))

    def test_no_thread_to_be_had(self) -> None:
        """Row 16: where a connection's thread cannot start, that is a 503, the next one is served, and close works."""
        with run_server() as server:
            start = threading.Thread.start

            def refuse(thread: threading.Thread) -> None:
                if thread.name == "gsp-network-connection":
                    raise RuntimeError("can't start new thread")
                start(thread)

            with self.assertLogs("gsp_network", logging.ERROR), mock.patch.object(threading.Thread, "start", refuse):
                status, headers, _ = ask(server, "GET", "/health")
            self.assertEqual((status, headers["Retry-After"]), (503, "1"))
            self.assertEqual(ask(server, "GET", "/health")[0], 200)
            self.assertTrue(server.close(PATIENCE))

    def test_no_thread_to_accept_with(self) -> None:
        """Where a server cannot start its threads it says so, holds neither port nor worker, and closes."""
        start = threading.Thread.start
        for workers in (0, 1):
            for name in ("gsp-network-accept", *(["gsp-network-worker"] if workers else [])):
                server = RenderServer(port=0, workers=workers)

                def refuse(thread: threading.Thread, name: str = name) -> None:
                    if thread.name == name:
                        raise RuntimeError("can't start new thread")
                    start(thread)

                with self.subTest(workers=workers, name=name), mock.patch.object(threading.Thread, "start", refuse):
                    with self.assertRaisesRegex(ServerStartError, "no thread to be had"):
                        server.start()
                self.assertTrue(server.close(PATIENCE))
                self.assertEqual(own_threads(), [])

    def test_slow_reader(self) -> None:
        """A client that does not take its answer within the write timeout is left, and gets nothing else instead."""
        large = bytes(40 * 2**20)
        begun = threading.Event()

        class Large(RenderServer):
            def render(self, request: Any) -> Response:
                begun.set()
                return Response(200, {}, large)

        server = Large(port=0, write_timeout=0.3).start()
        self.addCleanup(server.close)
        with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
            head = b"POST /render HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
            connection.sendall(head)
            self.assertTrue(begun.wait(PATIENCE))
            while any(thread.name == "gsp-network-connection" for thread in own_threads()):
                threading.Event().wait(0.05)
            received = b"".join(iter(lambda: connection.recv(2**20), b""))
        self.assertLess(len(received), len(large))
        self.assertEqual(received.count(b"HTTP/1.1 "), 1)
        self.assertEqual(server.counts, {"requests": 1, "pictures": 0, "errors": 0})

    def test_stuck_draw_does_not_keep_the_program_alive(self) -> None:
        """A program whose server closed during an endless draw ends."""
        code = (
            "import threading, urllib.request\n"
            "from unittest import mock\n"
            "from gsp_network import RenderServer\n"
            "begun = threading.Event()\n"
            "with mock.patch('gsp_network.dispatch.render', lambda *a: (begun.set(), threading.Event().wait())):\n"
            "    server = RenderServer(port=0).start()\n"
            "    request = urllib.request.Request(server.url + '/render', b'{}', {'Content-Type': 'application/json'})\n"
            "    threading.Thread(target=lambda: urllib.request.urlopen(request), daemon=True).start()\n"
            "    begun.wait()\n"
            "    with mock.patch('gsp_network.server.LAST_SECONDS', 0.1):\n"
            "        print(server.close(0.1))\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT)
        self.assertEqual((done.returncode, done.stdout.strip()), (0, "False"), done.stderr)
        self.assertIn("a picture that is still being drawn", done.stderr)

    def test_render_timeout(self) -> None:
        """A draw that takes longer than the setting is answered 504, one that waits as long for its turn 503."""
        executor = Held()
        self.addCleanup(executor.shutdown)
        with run_server(executor=executor, render_timeout=0.1, queue_timeout=0.1) as server:
            status, _, body = ask(server, "POST", "/render", body_of())
            problem = json.loads(body)
            self.assertEqual((status, problem["type"], problem["limit"]), (504, "render_timeout", "render_timeout"))
            waiting = [executor.submit(max, 1, 2) for _ in range(4)]
            status, headers, _ = ask(server, "POST", "/render", body_of())
            self.assertEqual((status, headers["Retry-After"]), (503, "1"))
            executor.go_on.set()
            concurrent.futures.wait(waiting, PATIENCE)
            self.assertEqual(ask(server, "POST", "/render", body_of())[0], 200)

    def test_signal_handlers_and_logging_are_left_alone(self) -> None:
        """Embedding installs no signal handler and configures no logging."""
        before = (
            [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
            logging.root.handlers[:],
            logging.getLogger("gsp_network").handlers[:],
        )
        with run_server() as server:
            ask(server, "GET", "/health")
            now = (
                [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
                logging.root.handlers[:],
                logging.getLogger("gsp_network").handlers[:],
            )
        self.assertEqual(now, before)

    def test_starts_in_a_thread(self) -> None:
        """A server starts and closes in a thread that is not the main one."""
        result: list[int] = []

        def run() -> None:
            with RenderServer(port=0) as server:
                result.append(ask(server, "POST", "/render", body_of())[0])

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(PATIENCE)
        self.assertEqual(result, [200])

    def test_port_in_use(self) -> None:
        """A taken port is a ServerStartError that names the port and what to try."""
        with run_server() as server:
            with self.assertRaises(ServerStartError) as caught:
                RenderServer(port=server.port).start()
        self.assertIn(f"port {server.port} on 127.0.0.1 is in use", str(caught.exception))
        self.assertIn("--port", str(caught.exception))

    def test_addresses_that_are_none(self) -> None:
        """A host or port that cannot be listened on is a ServerStartError or SettingError, and nothing else."""
        for settings, error in (
            ({"host": "203.0.113.1"}, ServerStartError),
            ({"port": 70000}, ServerStartError),
            ({"port": -1}, SettingError),
            ({"port": True}, SettingError),
        ):
            with self.subTest(settings=settings), self.assertRaises(error):
                RenderServer(**{"port": 0, **settings}).start()  # type: ignore[arg-type]

    def test_ipv6_loopback(self) -> None:
        """A server on ::1 gives a URL that clients can use."""
        try:
            server = RenderServer(port=0, host="::1").start()
        except ServerStartError as exc:
            self.skipTest(f"no IPv6 loopback here: {exc}")
        with server, NetworkRenderer(Canvas(5, 5), server.url) as renderer:
            self.assertEqual(server.url, f"http://[::1]:{server.port}")
            self.assertEqual(png_fault(renderer.render([], [], [], [])), "")

    def test_settings_by_argument_and_environment(self) -> None:
        """Settings come from arguments, else from the environment; unknown ones are refused by name."""
        with mock.patch.dict(os.environ, {"GSP_NETWORK_MAX_CANVAS_SIDE": "30"}):
            with run_server() as server, NetworkRenderer(Canvas(31, 5), server.url) as renderer:
                with self.assertRaises(ServerError) as caught:
                    renderer.render([], [], [], [])
                self.assertEqual(caught.exception.limit, "max_canvas_side")
            with run_server(max_canvas_side=31) as server, NetworkRenderer(Canvas(31, 5), server.url) as renderer:
                self.assertEqual(png_fault(renderer.render([], [], [], [])), "")
        with self.assertRaisesRegex(SettingError, "setting colour: unknown"):
            RenderServer(port=0, colour="red")

    def test_default_renderer_by_environment(self) -> None:
        """GSP_REMOTE_RENDERER names the renderer of requests that name none, settled when the server is made."""
        with mock.patch.dict(os.environ, {"GSP_REMOTE_RENDERER": "datoviz"}):
            server = RenderServer(port=0)
        with self.assertLogs("gsp_network", "WARNING"), server:
            self.assertEqual(
                json.loads(ask(server, "POST", "/render", body_of(renderer=None))[2])["type"], "renderer_unavailable"
            )
            self.assertEqual(ask(server, "POST", "/render", body_of(renderer="matplotlib"))[0], 200)
        with mock.patch.dict(os.environ, {"GSP_REMOTE_RENDERER": "opengl"}), self.assertRaises(InvalidScene):
            RenderServer(port=0)


class TestExecutorAndHook(unittest.TestCase):
    def test_no_secret_goes_to_an_executor(self) -> None:
        """What an executor is given, and may send to other machines, holds limits and no token."""
        given: list[Any] = []

        class Watching(RenderThread):
            def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
                given.append(pickle.dumps((fn, args, kwargs)))
                return super().submit(fn, *args, **kwargs)

        executor = Watching()
        self.addCleanup(executor.shutdown)
        with run_server(executor=executor, token="hidden-from-executors", max_canvas_side=50) as server:
            authorization = "Bearer hidden-from-executors"
            self.assertEqual(ask(server, "POST", "/render", body_of(), Authorization=authorization)[0], 422)
        self.assertEqual([b"hidden-from-executors" in one for one in given], [False])

    def test_any_executor(self) -> None:
        """A server draws with the executor that it is given, and leaves it running."""
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            with run_server(executor=pool) as server:
                self.assertEqual(ask(server, "POST", "/render", body_of())[0], 200)
            self.assertEqual(pool.submit(max, 1, 2).result(10), 2)

    def test_refused_request_leaves_nothing(self) -> None:
        """A refused request's body is not kept alive by its error, also before the next garbage collection."""
        futures: list[weakref.ref] = []

        class Watching(RenderThread):
            def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
                future = super().submit(fn, *args, **kwargs)
                futures.append(weakref.ref(future))
                return future

        executor = Watching()
        self.addCleanup(executor.shutdown)
        with run_server(executor=executor) as server:
            gc.collect()
            gc.disable()
            self.addCleanup(gc.enable)
            self.assertEqual(ask(server, "POST", "/render", b"{}")[0], 422)
            self.assertTrue(server.close(PATIENCE))
            executor.shutdown()
            self.assertEqual([future() for future in futures], [None])

    def test_on_render_sees_body_and_picture(self) -> None:
        """The hook gets each drawn request's body and picture, and none of the refused ones."""
        seen: list[tuple[bytes, bytes]] = []
        with run_server(on_render=lambda body, picture: seen.append((body, picture))) as server:
            body = body_of(points((0, 0, 0)))
            picture = ask(server, "POST", "/render", body)[2]
            ask(server, "POST", "/render", b"{}")
        self.assertEqual(seen, [(body, picture)])

    def test_hook_may_close_the_server(self) -> None:
        """A hook that closes the server neither hangs nor loses the picture that it saw."""
        closed: list[bool] = []
        server = RenderServer(port=0, on_render=lambda body, picture: closed.append(server.close(PATIENCE)))
        self.addCleanup(server.close)
        status, headers, _ = ask(server.start(), "POST", "/render", body_of())
        self.assertEqual((status, headers["Connection"], closed), (200, "close", [True]))

    def test_failing_hook_loses_no_picture(self) -> None:
        """What the hook raises is logged, and the picture is answered."""

        def hook(body: bytes, picture: bytes) -> None:
            raise OSError("disk full")

        with run_server(on_render=hook) as server, self.assertLogs("gsp_network", logging.ERROR) as logs:
            self.assertEqual(ask(server, "POST", "/render", body_of())[0], 200)
        self.assertIn("disk full", "".join(logs.output))
