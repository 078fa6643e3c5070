"""Clients that name what the server has: how little they send, and that the picture is right whatever the server has lost."""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import html
import json
import os
import pathlib
import re
import shutil
import signal
import tempfile
import threading
import unittest
from typing import Any, Callable, Optional
from unittest import mock

import numpy as np

from gsp_network import (
    AnimatorNetwork,
    Buffer,
    BufferType,
    Camera,
    Canvas,
    NetworkRenderer,
    Pixels,
    RenderServer,
    ServerError,
    SessionRecorder,
    Viewport,
    render_payload,
)
from gsp_network.recording import Session
from gsp_network.renderer import known_buffers
from gsp_network.renderer.known_buffers import Body, KnownBuffers
from gsp_network.scene.names import name_of
from gsp_network.tools import network_server
from gsp_network.transport import Answer, Transport

from .processes import wait_until
from .scenes import RED
from .test_server import ask

N = 500
CANVAS = Canvas(40, 30, 72.0)
REFS = re.compile(rb'"data_ref":"([0-9a-f]{64})"')


def places(seed: int = 0) -> np.ndarray:
    xy = np.random.default_rng(seed).uniform(-0.9, 0.9, (N, 2))
    return np.column_stack([xy, np.zeros(N)]).astype(np.float32)


def dots(positions: Any) -> Pixels:
    return Pixels(positions, np.array([[*RED, 255]], np.uint8), N)


def from_bytes(data: bytes) -> Buffer:
    """A buffer that lies on bytes, as decoded ones do."""
    return Buffer.from_base64(base64.b64encode(data).decode(), BufferType.rgba8, len(data) // 4, "here")


class Wire:
    """Sees what the clients of this process send, and may do something before each request."""

    def __init__(self, case: unittest.TestCase) -> None:
        self.sent: list[tuple[bytes, int]] = []
        self.before: Optional[Callable[[], None]] = None
        self._lock = threading.Lock()
        self._post = Transport.post
        patched = mock.patch.object(Transport, "post", lambda transport, *args: self._see(transport, *args))
        patched.start()
        case.addCleanup(patched.stop)

    def _see(self, transport: Transport, path: str, body: bytes, *rest: Any) -> Answer:
        before, self.before = self.before, None
        if before is not None:
            before()
        answer = self._post(transport, path, body, *rest)
        with self._lock:
            self.sent.append((bytes(body), answer.status))
        return answer

    def taken(self) -> list[str]:
        """The requests since the last look: "whole", "keep" or "known", and the status where it is none of 200."""
        taken = []
        for body, status in self.sent:
            held = len(body) > 8 * N
            kind = "known" if not held else "keep" if REFS.search(body) else "whole"
            taken.append(kind if status == 200 else f"{kind} {status}")
        self.sent.clear()
        return taken


class ClientCase(unittest.TestCase):
    def setUp(self) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GSP_")}
        patched = mock.patch.dict(os.environ, clean, clear=True)
        patched.start()
        self.addCleanup(patched.stop)
        self.wire = Wire(self)

    def serve(self, **settings: Any) -> RenderServer:
        server = RenderServer(**{"port": 0, "datoviz_workers": 0, **settings}).start()
        self.addCleanup(lambda: self.assertTrue(server.close(20.0)))
        return server

    def connect(self, server: RenderServer, **options: Any) -> NetworkRenderer:
        renderer = NetworkRenderer(CANVAS, server.url, timeout=30.0, **options)
        self.addCleanup(renderer.close)
        return renderer

    def scene(self, visual: Any, x: float = 0.0) -> tuple[Any, ...]:
        view = np.eye(4, dtype=np.float32)
        view[0, 3] = x
        return [Viewport(0, 0, 40, 30)], [visual], [Buffer.identity()], [Camera(view[np.newaxis])]

    def render(self, renderer: NetworkRenderer, visual: Any, x: float = 0.0) -> bytes:
        """A picture that is what this process itself draws of the scene as it is now."""
        scene = self.scene(visual, x)
        picture = renderer.render(*scene)
        document = {**renderer.get_payload(*scene)}
        self.assertEqual(picture, render_payload(json.dumps(document).encode()))
        return picture

    def forget(self, server: RenderServer) -> None:
        """Have a server in this process lose what it keeps."""
        store: Any = server._store.given()
        store._memory.clear()
        store._bytes = 0


class TestFrames(ClientCase):
    def test_moving_camera(self) -> None:
        """What stays is sent twice, the second time to be kept, and named from then on; the pictures follow the camera."""
        renderer = self.connect(self.serve())
        visual = dots(places())
        pictures = [self.render(renderer, visual, 0.1 * k) for k in range(5)]
        self.assertEqual(len(set(pictures)), 5)
        self.assertLess(len(self.wire.sent[-1][0]), 2000)
        self.assertEqual(self.wire.taken(), ["whole", "keep", "known", "known", "known"])

    def test_shared_array(self) -> None:
        """An array that changes behind our back is never taken for what it was, be it by its last byte, and back again."""
        renderer = self.connect(self.serve())
        array = places()
        visual = dots(Buffer.from_numpy(array, BufferType.vec3))
        self.assertIs(visual.get_positions().to_numpy().base, None)
        first = [self.render(renderer, visual) for _ in range(3)][-1]
        self.assertEqual(self.wire.taken(), ["whole", "keep", "known"])
        kept = array.copy()
        for _ in range(3):
            array[-1, 0] += 0.25
            self.assertNotEqual(self.render(renderer, visual), first)
        self.assertEqual(set(self.wire.taken()), {"whole"})
        array[:] = kept
        self.assertEqual(self.render(renderer, visual), first)
        self.assertEqual(self.wire.taken(), ["known"])

    def test_one_byte(self) -> None:
        """One byte that no sample looks at tells two contents apart, in an array that changed and in another buffer of bytes."""
        colors = np.full((16 * N, 4), 255, np.uint8)
        step = colors.size // known_buffers.SAMPLES | 1
        unseen = colors.size - 2
        self.assertNotEqual(unseen % step, 0)
        line = np.column_stack([np.linspace(-0.9, 0.9, len(colors)), np.zeros((len(colors), 2))])
        colors[:, 0] = 0
        for kind in ("array", "bytes"):
            renderer = self.connect(self.serve())

            def visual() -> Pixels:
                data = colors if kind == "array" else colors.tobytes()  # noqa: B023 - called in this turn alone
                buffer = Buffer.from_numpy(data, BufferType.rgba8) if kind == "array" else from_bytes(data)  # noqa: B023
                return Pixels(line, buffer, 1)

            shown = visual()
            first = [self.render(renderer, shown) for _ in range(3)][-1]
            colors.reshape(-1)[unseen] = 0
            with self.subTest(kind):
                self.assertNotEqual(self.render(renderer, shown if kind == "array" else visual()), first)
            colors.reshape(-1)[unseen] = 255

    def test_changed_while_named(self) -> None:
        """An array that changes after its hash was taken is sent as it was then: name and bytes belong together."""
        renderer = self.connect(self.serve())
        array = places()
        scene = self.scene(dots(Buffer.from_numpy(array, BufferType.vec3)))
        renderer.render(*scene)

        def name_and_change(data: Any) -> str:
            name = name_of(data)
            array[:, 0] += 0.25
            return name

        with mock.patch.object(known_buffers, "name_of", name_and_change):
            renderer.render(*scene)
        self.assertEqual(self.wire.taken(), ["whole", "keep"])

    def test_changing(self) -> None:
        """What changes from frame to frame is neither hashed nor copied."""
        renderer = self.connect(self.serve())
        with mock.patch.object(known_buffers, "name_of", side_effect=AssertionError):
            for seed in range(4):
                self.render(renderer, dots(places(seed)))
        self.assertEqual(self.wire.taken(), ["whole"] * 4)

    def test_taking_turns(self) -> None:
        """Two contents in turn are both known after a while; set_data makes another one."""
        renderer = self.connect(self.serve())
        visuals = [dots(places(seed)) for seed in range(2)]
        for number in range(8):
            self.render(renderer, visuals[number % 2])
        self.assertEqual(self.wire.taken(), ["whole"] * 2 + ["keep"] * 2 + ["known"] * 4)
        buffer = visuals[0].get_positions()
        buffer.set_data(bytes(12), 3, 1)
        self.render(renderer, visuals[0])
        self.assertEqual(self.wire.taken(), ["whole"])

    def test_lasting_bytes(self) -> None:
        """A buffer on bytes is neither copied nor compared; an equal one on others is known too."""
        renderer, data = self.connect(self.serve()), places().tobytes()
        buffer = Buffer.from_bytearray(data, BufferType.vec3)
        for _ in range(3):
            self.render(renderer, dots(buffer))
        (content,) = renderer._known._copied.values()  # type: ignore[union-attr]
        self.assertIs(content.copy, buffer.lasting_bytes())
        with mock.patch.object(known_buffers, "name_of", side_effect=AssertionError):
            self.render(renderer, dots(Buffer.from_bytearray(bytearray(data), BufferType.vec3)))
        self.render(renderer, dots(places()))
        self.assertEqual(self.wire.taken(), ["whole", "keep", "known", "known", "known"])

    def test_foreign_objects(self) -> None:
        """Buffers of an installed GSP_API, which are made anew by each getter, are known by their content."""

        class Foreign:
            def __init__(self) -> None:
                self.data = bytearray(places().tobytes())

            def to_bytearray(self) -> bytearray:
                return self.data

            def get_type(self) -> BufferType:
                return BufferType.vec3

        foreign = Foreign()
        theirs = type("Pixels", (Pixels,), {"get_positions": lambda self: foreign})
        visual = theirs(places(1), np.array([[*RED, 255]], np.uint8), N)
        renderer = self.connect(self.serve())
        for _ in range(3):
            self.render(renderer, visual)
        foreign.data[:] = places(2).tobytes()
        self.render(renderer, visual)
        self.assertEqual(self.wire.taken(), ["whole", "keep", "known", "whole"])

    def test_small_and_many(self) -> None:
        """What is short is never named; copies are bounded, and what has lost its copy is still right."""
        renderer = self.connect(self.serve())
        with mock.patch.object(known_buffers, "MOST_COPIED", 9000), mock.patch.object(known_buffers, "MOST_SEEN", 2):
            for number in range(9):
                self.render(renderer, dots(places(number % 3)))
            self.assertLessEqual(renderer._known._bytes, 9000)  # type: ignore[union-attr]
        small = Pixels(np.zeros((80, 3)), np.array([[*RED, 255]], np.uint8), 80)
        self.wire.sent.clear()
        for _ in range(3):
            self.render(renderer, small)
        self.assertFalse(any(REFS.search(body) for body, _ in self.wire.sent))

    def test_switched_off(self) -> None:
        """A client that is told so names nothing, nor does one of a server that keeps nothing or shows bodies to a hook."""
        bodies: list[bytes] = []
        for settings, options in (
            ({}, {"use_refs": False}),
            ({"store_bytes": 0}, {}),
            ({"on_render": lambda body, picture: bodies.append(body)}, {}),
        ):
            with self.subTest(settings=settings):
                renderer, visual = self.connect(self.serve(**settings), **options), dots(places())
                for _ in range(4):
                    self.render(renderer, visual)
                self.assertEqual(self.wire.taken(), ["whole"] * 4)
        self.assertEqual([len(body) > 8 * N for body in bodies], [True] * 4)

    def test_hook_that_comes_later(self) -> None:
        """From when a hook is set it sees whole bodies: names are answered 409 then."""
        server, visual = self.serve(), dots(places())
        renderer = self.connect(server)
        for _ in range(3):
            self.render(renderer, visual)
        bodies: list[bytes] = []
        server.on_render = lambda body, picture: bodies.append(body)
        for _ in range(2):
            self.render(renderer, visual)
        self.assertEqual(self.wire.taken(), ["whole", "keep", "known", "known 409", "keep", "whole"])
        self.assertEqual([len(body) > 8 * N for body in bodies], [True] * 2)

    def test_reference_server(self) -> None:
        """The server of the API reference keeps buffers as long as it saves no requests."""
        with network_server._SampleServer(port=0) as server, self.connect(server) as renderer:
            for _ in range(3):
                self.render(renderer, dots(places()))
            with mock.patch.multiple(network_server, debug_save_payload=True, _save=lambda body, picture: None):
                self.render(renderer, dots(places()))
        self.assertEqual(self.wire.taken(), ["whole", "keep", "known", "known 409", "keep"])

    def test_recording(self) -> None:
        """A session and other listeners get whole scenes, without names."""
        renderer, visual = self.connect(self.serve()), dots(places())
        bodies: list[bytes] = []
        renderer.on_frame.subscribe(bodies.append)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "session")
            with SessionRecorder(renderer, path):
                pictures = [self.render(renderer, visual, 0.1 * k) for k in range(4)]
            self.assertEqual(self.wire.taken(), ["whole", "keep", "known", "known"])
            with Session(path) as session:
                self.assertEqual([session.body(index) for index in range(4)], bodies)
        self.assertEqual([render_payload(body) for body in bodies], pictures)
        self.assertFalse(any(b"data_ref" in body for body in bodies))


class TestLoss(ClientCase):
    def known(self, server: RenderServer, visual: Any) -> NetworkRenderer:
        """A client whose server has the visual's positions."""
        renderer = self.connect(server)
        for _ in range(3):
            self.render(renderer, visual)
        self.assertEqual(self.wire.taken(), ["whole", "keep", "known"])
        return renderer

    def test_server_that_forgets(self) -> None:
        """A server that has lost a buffer costs one more request, whole and to be kept; then all is as before."""
        server, visual = self.serve(), dots(places())
        renderer = self.known(server, visual)
        self.forget(server)
        for _ in range(2):
            self.render(renderer, visual)
        self.assertEqual(self.wire.taken(), ["known 409", "keep", "known"])

    def test_restart(self) -> None:
        """A server that was started anew on the same port costs one resend."""
        server, visual = self.serve(), dots(places())
        renderer = self.known(server, visual)
        server.close(10.0)
        self.serve(port=server.port)
        for _ in range(2):
            self.render(renderer, visual)
        self.assertEqual(self.wire.taken(), ["known 409", "keep", "known"])

    def test_other_server(self) -> None:
        """Another server in its place that knows no names, whatever it answers to them, gets whole scenes from then on."""
        for status in (422, 500):
            server, visual = self.serve(), dots(places())
            renderer = self.known(server, visual)
            server.close(10.0)

            class Other(RenderServer):
                def render(self, request: Any, status: int = status) -> Any:
                    if b"data_ref" in request.body:
                        from gsp_network.framing import Response

                        return Response(status, {"Content-Type": "text/html"}, b"KeyError: data_base64")
                    return super().render(request)

            other = Other(port=server.port, store_bytes=0, datoviz_workers=0).start()
            self.addCleanup(other.close)
            with self.assertLogs("gsp_network.access") if status == 500 else contextlib.nullcontext():
                for _ in range(2):
                    self.render(renderer, visual)
            with self.subTest(status=status):
                self.assertEqual(self.wire.taken(), [f"known {status}", "whole", "whole"])

    def test_own_faults_are_told_once(self) -> None:
        """A scene that a server refuses for another reason is not sent again."""
        server, visual = self.serve(), dots(places())
        renderer = self.known(server, visual)
        with self.assertRaises(ServerError) as caught:
            renderer.render(*self.scene(visual)[:3], [Camera(np.full((1, 4, 4), 1e39, np.float64).clip(max=3e38))])
            renderer.request(b"{}")
        self.assertEqual(caught.exception.status, 422)
        self.assertFalse([one for one in self.wire.taken() if one.startswith("keep")])

    def test_no_ping_pong(self) -> None:
        """A server that never has what it had is soon asked no more, and asked again after a while."""
        server, visual = self.serve(), dots(places())
        renderer = self.known(server, visual)
        for _ in range(4):
            self.wire.before = lambda: self.forget(server)
            self.render(renderer, visual)
        self.assertEqual(self.wire.taken(), ["known 409", "keep", "known 409", "whole", "whole", "whole"])
        renderer._known._paused_until = 0.0  # type: ignore[union-attr]
        for _ in range(2):
            self.render(renderer, visual)
        self.assertEqual(self.wire.taken(), ["keep", "known"])

    def test_scene_has_moved_on(self) -> None:
        """A frame that has to be sent whole is drawn as it was when it was encoded, though its arrays have changed since."""
        server, array = self.serve(), places()
        visual = dots(Buffer.from_numpy(array, BufferType.vec3))
        renderer = self.known(server, visual)
        expected = self.render(renderer, visual)
        bodies = [renderer.encode(*self.scene(visual)) for _ in range(3)]
        self.assertTrue(all(isinstance(body, Body) and body.alone for body in bodies))
        array[:] = 0.0
        self.forget(server)
        self.wire.taken()
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            self.assertEqual(list(pool.map(renderer.request, bodies)), [expected] * 3)
        self.assertEqual(renderer._known._strikes, 1)  # type: ignore[union-attr]
        self.assertNotEqual(self.render(renderer, visual), expected)

    def test_plain_bytes(self) -> None:
        """A body that came from elsewhere, with names that the server lacks, is the server's 409."""
        renderer = self.known(self.serve(), dots(places()))
        body = bytes(renderer.encode(*self.scene(dots(places()))))
        self.forget(server=self.serve())
        with self.connect(self.serve()) as other, self.assertRaises(ServerError) as caught:
            other.request(body)
        self.assertEqual((caught.exception.status, caught.exception.type), (409, "missing_buffers"))

    def test_video(self) -> None:
        """Frames that are drawn side by side while the server forgets come out right, and in order."""
        server, visual = self.serve(), dots(places())
        renderer = self.connect(server)
        camera = Camera()
        animator = AnimatorNetwork(renderer, fps=10, video_duration=1.2, look_ahead=3)

        @animator.event_listener
        def move(seconds: float) -> list[Any]:
            view = camera.get_view_matrix().to_numpy().copy()
            view[0, 0, 3] += 0.1
            camera.set_view_matrix(view)
            if len(pictures) in (5, 6):
                self.forget(server)
            return [visual]

        pictures: list[bytes] = []
        bodies: list[bytes] = []
        renderer.on_frame.subscribe(bodies.append)
        for picture in animator.render_frames(*self.scene(visual)[:3], [camera]):
            pictures.append(picture)
        self.assertIn("known 409", self.wire.taken())
        self.assertEqual(pictures, [render_payload(body) for body in bodies])
        self.assertEqual(len(set(pictures)), 12)


class TestServers(ClientCase):
    def test_header_and_problem(self) -> None:
        """Answers to scenes carry the offer, refusals too; a 409 lists what is missing, and is no fault of the server's."""
        server = self.serve()
        body = json.dumps(self.connect(server).get_payload(*self.scene(dots(places())))).encode()
        self.assertEqual(ask(server, "POST", "/render", body)[1]["GSP-Buffer-Refs"], "sha256")
        document = json.loads(body)
        buffer = document["data"]["visuals"][0]["visual"]["positions"]["transBuf"]
        del buffer["data_base64"]
        buffer["data_ref"] = name_of(places(7).tobytes())
        with self.assertNoLogs("gsp_network", "WARNING") if hasattr(self, "assertNoLogs") else mock.MagicMock():
            status, headers, answer = ask(server, "POST", "/render", json.dumps(document).encode())
        problem = json.loads(answer)
        self.assertEqual((status, headers["GSP-Buffer-Refs"]), (409, "sha256"))
        self.assertEqual((problem["type"], problem["missing"]), ("missing_buffers", [buffer["data_ref"]]))
        self.assertEqual(problem["where"], "visuals[0].positions.transBuf".replace(".transBuf", ""))
        self.assertNotIn("GSP-Buffer-Refs", ask(server, "GET", "/health")[1])
        self.assertNotIn("GSP-Buffer-Refs", ask(self.serve(store_bytes=0), "POST", "/render", body)[1])

    def test_two_clients_two_servers(self) -> None:
        """Clients of one server share what it keeps by its hash alone; a server has nothing of another's."""
        one, other = self.serve(), self.serve()
        visual = dots(places())
        for server in (one, other):
            renderers = [self.connect(server) for _ in range(2)]
            for _ in range(3):
                for renderer in renderers:
                    self.render(renderer, visual)
            self.assertEqual(self.wire.taken(), ["whole"] * 2 + ["keep"] * 2 + ["known"] * 2)
            self.assertEqual(len(server._store.given()._memory), 1)  # type: ignore[union-attr]
        self.forget(one)
        self.render(renderers[0], visual)
        self.assertEqual(self.wire.taken(), ["known"])

    def figures(self, server: RenderServer) -> dict[str, float]:
        """What GET /metrics tells of kept buffers."""
        text = ask(server, "GET", "/metrics")[2].decode()
        return {
            name: float(value) for name, value in re.findall(r"^gsp_network_store_(\w+) (\S+)$", text, re.MULTILINE)
        }

    @unittest.skipUnless(os.name == "posix", "it kills workers by a signal")
    def test_told(self) -> None:
        """/health, /metrics and the page tell how many buffers are kept, their bytes, and how many that were named were there."""
        for workers in (0, 1):
            server = self.serve(workers=workers, store_bytes=10**6)
            renderer, visual = self.connect(server), dots(places())
            for k in range(5):
                self.render(renderer, visual, 0.1 * k)
            size = places().nbytes
            most = 10**6
            told = json.loads(ask(server, "GET", "/health")[2])["store"]
            facts: Any = server._store.given()
            place = facts.folder if workers else "memory"
            counts = {"buffers": 1, "bytes": size, "most_bytes": most, "hits": 3, "misses": 0}
            self.assertEqual(told, {"available": True, "place": place, **counts})
            if workers:
                for path in pathlib.Path(place).glob("[0-9a-f]" * 64):
                    path.unlink()
                self.replace_workers(server)
            else:
                self.forget(server)
            self.render(renderer, visual)
            counts["misses"] = 1
            self.assertEqual({name: server.health()["store"][name] for name in counts}, counts)
            names = {name: f"{name}_total" if name in ("hits", "misses") else name for name in counts}
            self.assertEqual(self.figures(server), {names[name]: count for name, count in counts.items()})
            page = ask(server, "GET", "/")[2].decode()
            self.assertIn(f"kept buffers: 1, {size / 1e6:.1f} of 1.0 MB; named and there 3, not there 1", page)

    @unittest.skipUnless(os.name == "posix", "it kills workers by a signal")
    def test_cleaned_up(self) -> None:
        """Where somebody cleans up the folder with the one around it, buffers are soon kept again."""
        with tempfile.TemporaryDirectory() as base, mock.patch("gsp_network.folders.SHARED_MEMORY", base):
            with mock.patch("gsp_network.store_folder.SWEEP_SECONDS", 0.05):
                server = self.serve(workers=1)
                renderer, visual = self.connect(server), dots(places())
                for _ in range(3):
                    self.render(renderer, visual)
                place = pathlib.Path(server.health()["store"]["place"])
                self.assertEqual(str(place.parents[1]), base)
                shutil.rmtree(place.parent)
                self.assertTrue(wait_until(place.is_dir))
                self.replace_workers(server)
                for _ in range(2):
                    self.render(renderer, visual)
                self.assertEqual(self.wire.taken(), ["whole", "keep", "known", "known 409", "keep", "known"])
                told = server.health()["store"]
                self.assertEqual((told["place"], told["buffers"]), (str(place), 1))
                server.close()

    def test_told_why_not(self) -> None:
        """Where no buffers are kept they tell why; a server that wants a token tells nothing to who shows none."""
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            table: list[tuple[dict[str, Any], str]] = [
                ({"store_bytes": 0}, "switched off, by the setting store_bytes"),
                ({"on_render": print}, "what on_render or --debug is called with holds its whole scene"),
                ({"executor": pool}, "the executor is not this server's own, and may be on another machine"),
            ]
            for settings, reason in table:
                server = self.serve(**settings)
                self.assertEqual(server.health()["store"], {"available": False, "reason": reason})
                self.assertEqual(self.figures(server), {"hits_total": 0, "misses_total": 0})
                self.assertIn(html.escape(f"kept buffers: none: {reason}"), ask(server, "GET", "/")[2].decode())
        server = self.serve(token="shown-to-nobody")
        self.assertNotIn("store", json.loads(ask(server, "GET", "/health")[2]))
        self.assertEqual(RenderServer(port=0).health()["store"]["reason"], "this server is not running")

    def test_given_executor(self) -> None:
        """An executor that is not the server's own, as Dask's, may be on other machines: all is sent, and drawn."""
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            renderer, visual = self.connect(self.serve(executor=pool)), dots(places())
            for _ in range(3):
                self.render(renderer, visual)
        self.assertEqual(self.wire.taken(), ["whole"] * 3)

    def replace_workers(self, server: RenderServer) -> None:
        """Have fresh workers, which have nothing in memory."""
        pool: Any = server._pools._executors["matplotlib"]
        pids = pool.pids()
        with self.assertLogs("gsp_network.workers", "WARNING"):
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: len(pool.pids()) == len(pids) and not set(pool.pids()) & set(pids))

    @unittest.skipUnless(os.name == "posix", "it kills workers by a signal")
    def test_workers(self) -> None:
        """Two workers share what one was sent, at once; damaged or gone files cost a resend; nothing is left at the end."""
        server = RenderServer(port=0, workers=2, datoviz_workers=0, recycle_renders=1000).start()
        self.addCleanup(server.close)
        facts: Any = server._store.given()
        folder = pathlib.Path(facts.folder)
        visual = dots(places())
        renderer = self.connect(server)
        expected = [self.render(renderer, visual) for _ in range(3)][-1]
        self.assertEqual(self.wire.taken(), ["whole", "keep", "known"])
        (file,) = [path for path in folder.iterdir() if len(path.name) == 64]
        body = renderer.encode(*self.scene(visual))
        with concurrent.futures.ThreadPoolExecutor(8) as pool:  # so many at once that both have some
            self.assertEqual(set(pool.map(renderer.request, [body] * 24)), {expected})
        self.assertEqual(set(self.wire.taken()), {"known"})
        for damage in (lambda: file.write_bytes(b"x" * file.stat().st_size), file.unlink):
            damage()
            self.replace_workers(server)
            self.assertEqual(renderer.request(renderer.encode(*self.scene(visual))), expected)
            self.assertEqual(self.wire.taken(), ["known 409", "keep"])
            self.assertEqual(self.render(renderer, visual), expected)
            self.assertEqual(self.wire.taken(), ["known"])
        self.assertTrue(server.close(20.0))
        self.assertFalse(folder.exists())


class TestKnownBuffers(unittest.TestCase):
    def test_unknown_server(self) -> None:
        """Before a server has offered it nothing is named, and after one has not, nothing is looked at."""
        known, buffer = KnownBuffers(), Buffer.from_numpy(places(), BufferType.vec3)
        for _ in range(3):
            frame = known.frame()
            self.assertEqual(frame.name(buffer), (None, buffer))
            self.assertEqual(type(frame.body(b"{}")), bytes)
        self.assertIsNone(known.after(b"{}", 200, False, False))
        with mock.patch.object(Buffer, "to_numpy", side_effect=AssertionError):
            self.assertEqual(known.frame().name(buffer), (None, buffer))

    def test_whole(self) -> None:
        """A short body becomes the whole one, with or without names; what looks like one in a text stays."""
        copy = places().tobytes()
        name = name_of(copy)
        short = b'{"a":{"count":1,"data_ref":"%s"},"t":"\\",\\"data_ref\\":\\"x"}' % name.encode()
        body = Body.of(short, {name: copy}, set(), 0)
        text = Buffer.from_bytearray(copy, BufferType.vec3).to_base64().encode()
        plain = short.replace(b'"data_ref":"%s"' % name.encode(), b'"data_base64":"%s"' % text)
        self.assertEqual(body.whole(False, False), plain)
        kept = body.whole(True, False)
        self.assertIsInstance(kept, Body)
        self.assertEqual(kept.whole(False, False), plain)  # type: ignore[attr-defined]
        self.assertEqual(json.loads(kept)["a"]["data_ref"], name)
        self.assertEqual(Body.of(short, {}, set(), 0).whole(False, False), short)


if __name__ == "__main__":
    unittest.main()
