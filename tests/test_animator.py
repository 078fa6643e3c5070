"""The animator against a real server: callbacks, frames in order, patience with a server, the preview, the live loop."""

from __future__ import annotations

import os
import pathlib
import sys
import tempfile
import threading
import time
import unittest
from typing import Any, Callable, Iterator, Optional
from unittest import mock

os.environ["MPLBACKEND"] = "Agg"  # before pyplot is imported

import numpy as np

from gsp_network import (
    AnimatorBase,
    AnimatorNetwork,
    BadResponse,
    Camera,
    Canvas,
    ClientError,
    GspNetworkError,
    InvalidScene,
    NetworkRenderer,
    RenderServer,
    ServerError,
    ServerUnreachable,
    VideoError,
    Viewport,
)
from gsp_network.animator import look_ahead
from gsp_network.animator.live import LiveLoop
from gsp_network.animator.look_ahead import Patience, default_look_ahead, in_order

from .processes import PATIENCE
from .scenes import BLACK, array_of, pixels

WIDTH, HEIGHT = 120, 10
STEP = 3  # px


def forever(request: Callable[[bytes], bytes]) -> Patience:
    """A request with patience."""
    return Patience(request, PATIENCE)


class Slider:
    """One dot that moves in each call, so that its place is the number of the frame."""

    def __init__(self) -> None:
        self.visual = pixels([[0, 0, 0]], [[*BLACK, 255]], 1)
        self.calls: list[float] = []
        self.still: set[int] = set()  # frames in which it does not move

    def __call__(self, delta_time: float) -> list[Any]:
        number = len(self.calls)
        self.calls.append(delta_time)
        if number in self.still:
            return []
        self.visual.set_positions(np.array([[(2 * number + 1) * STEP / WIDTH - 1, 0.0, 0.0]]))
        return [self.visual]

    def scene(self) -> tuple[Any, ...]:
        """What `start` takes."""
        return [Viewport(0, 0, WIDTH, HEIGHT)], [self.visual], [np.eye(4)], [Camera()]


def place_in(picture: bytes) -> int:
    """The number of the frame in which the slider was so."""
    return int(array_of(picture).min(axis=(0, 2)).argmin()) // STEP


class AnimatorCase(unittest.TestCase):
    server: RenderServer

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = RenderServer(port=0, log_level="error").start()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.close(PATIENCE)

    def setUp(self) -> None:
        patched = mock.patch.dict(os.environ)
        patched.start()
        self.addCleanup(patched.stop)
        os.environ.pop("GSP_TEST", None)
        self.renderer = NetworkRenderer(Canvas(WIDTH, HEIGHT, 72.0), self.server.url)
        self.addCleanup(self.renderer.close)
        self.slider = Slider()

    def animator(self, *arguments: Any, **options: Any) -> AnimatorNetwork:
        """An animator that moves the slider."""
        made = AnimatorNetwork(self.renderer, *arguments, **options)
        made.add_callback(self.slider)
        return made

    def folder(self) -> pathlib.Path:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        return pathlib.Path(made.name)


class Construction(AnimatorCase):
    def test_contract(self) -> None:
        """AnimatorNetwork is an AnimatorBase that lacks no method, importable from all its places."""
        import gsp_network.animator.animator_network as module

        self.assertTrue(issubclass(AnimatorNetwork, AnimatorBase))
        self.assertIs(module.AnimatorNetwork, AnimatorNetwork)
        self.assertEqual(AnimatorNetwork.__abstractmethods__, frozenset())

    def test_bad_arguments(self) -> None:
        """What is no rate, duration, path, writer or look-ahead is refused at construction, by name."""
        table: list[tuple[dict[str, Any], str]] = [
            ({"fps": 0}, r"^fps: 0, expected frames in a second, 0.01 to 1000$"),
            ({"fps": float("nan")}, r"^fps: nan, "),
            ({"fps": True}, r"^fps: True, "),
            ({"video_duration": -1}, r"^video_duration: -1, expected seconds, 0 or more$"),
            ({"video_duration": float("inf")}, r"^video_duration: inf, "),
            ({"video_duration": 0.001, "video_path": "a.gif"}, r"^video_duration: 0.001 s at 50 frames/s is no frame"),
            ({"video_path": 3}, r"^video_path: int, expected the path of a file$"),
            (
                {"video_path": "a.avi"},
                r"^video_path: extension '.avi', expected one of .mp4, .m4v, .mov, .gif, .apng, .webp$",
            ),
            ({"video_path": "mp4"}, r"^video_path: extension '', "),
            (
                {"video_path": "a.mp4", "video_writer": "pillow"},
                r"expected one that pillow writes: .gif, .apng, .webp$",
            ),
            (
                {"video_path": "a.gif", "video_writer": "imagemagick"},
                r"^video_writer: 'imagemagick', expected 'ffmpeg'",
            ),
            ({"look_ahead": 0}, r"^look_ahead: 0, expected a whole number, 1 or more$"),
        ]
        for options, message in table:
            with self.subTest(options), self.assertRaisesRegex(InvalidScene, message) as caught:
                AnimatorNetwork(self.renderer, **options)
            self.assertIsInstance(caught.exception, ValueError)

    def test_no_ffmpeg(self) -> None:
        """Without ffmpeg a film is refused at construction, with the kinds of file that need none; those still work."""
        with mock.patch.dict(os.environ, PATH=os.devnull):
            with self.assertRaisesRegex(
                VideoError, r"no ffmpeg on the path, which .mp4 needs.* \.gif, \.apng, \.webp,"
            ):
                self.animator(video_path="a.mp4")
            self.animator(video_path="a.apng")


class Callbacks(AnimatorCase):
    def test_decorator(self) -> None:
        """`event_listener` returns what `remove_callback` takes, and a callback that was removed is not called."""
        animator = self.animator()
        calls: list[float] = []

        @animator.event_listener
        def listen(delta_time: float) -> list[Any]:
            calls.append(delta_time)
            return []

        self.assertEqual(len(list(animator.render_frames(*self.slider.scene(), 2))), 2)
        animator.remove_callback(listen)
        self.assertEqual(len(list(animator.render_frames(*self.slider.scene(), 1))), 1)
        self.assertEqual((calls, len(self.slider.calls)), ([0.02] * 2, 3))
        with self.assertRaisesRegex(ValueError, "not a callback of this animator"):
            animator.remove_callback(listen)
        with self.assertRaisesRegex(TypeError, "func: int"):
            animator.add_callback(3)  # type: ignore[arg-type]

    def test_what_it_returns(self) -> None:
        """A callback that does not say what it changed is named in a TypeError."""

        def forgetful(delta_time: float) -> Any:
            pass

        for name, callback in (("forgetful", forgetful), ("lambda", lambda delta_time: self.slider.visual)):
            animator = AnimatorNetwork(self.renderer)
            animator.add_callback(callback)
            with (
                self.subTest(name),
                self.assertRaisesRegex(TypeError, rf"{name}.*: returned .*, expected a list of the"),
            ):
                next(animator.render_frames(*self.slider.scene()))


class Frames(AnimatorCase):
    def test_every_frame(self) -> None:
        """Each frame comes 1/fps after the one before, frame 0 too, in order, as `render` draws it."""
        pictures = list(self.animator(8, 2.5).render_frames(*self.slider.scene()))
        self.assertEqual(self.slider.calls, [1 / 8] * 20)
        self.assertEqual([place_in(picture) for picture in pictures], list(range(20)))
        self.assertEqual(self.renderer.render(*self.slider.scene()), pictures[-1])

    def test_nothing_changed(self) -> None:
        """A frame in which nothing changed is the picture before, and nothing is asked of the server; the first is drawn."""
        self.slider.still = {0, 2, 3, 5}
        before = self.server.health()["counts"]["requests"]
        pictures = list(self.animator(look_ahead=2).render_frames(*self.slider.scene(), 6))
        self.assertEqual([place_in(picture) for picture in pictures[1:]], [1, 1, 1, 4, 4])
        self.assertEqual(self.server.health()["counts"]["requests"] - before, 3)

    def test_stop(self) -> None:
        """`stop` in a callback makes that frame the last; the animator can be started again."""
        animator = self.animator(look_ahead=3)

        @animator.event_listener
        def stop_at_four(delta_time: float) -> list[Any]:
            if len(self.slider.calls) == 5:
                animator.stop()
            return []

        pictures = list(animator.render_frames(*self.slider.scene(), 20))
        self.assertEqual([place_in(picture) for picture in pictures], [0, 1, 2, 3, 4])
        self.assertEqual(len(list(animator.render_frames(*self.slider.scene(), 2))), 2)

    def test_callback_fails(self) -> None:
        """What a callback raises comes to who takes the pictures."""
        animator = self.animator(look_ahead=1)
        error = KeyError("x")

        @animator.event_listener
        def fail(delta_time: float) -> list[Any]:
            if len(self.slider.calls) == 3:
                raise error
            return []

        frames = animator.render_frames(*self.slider.scene(), 20)
        self.assertEqual([place_in(next(frames)) for _ in range(2)], [0, 1])
        with self.assertRaises(KeyError) as caught:
            next(frames)
        self.assertIs(caught.exception, error)

    def test_count(self) -> None:
        """A number of frames that is none is refused at once."""
        for count in (0, -1, 2.0, True):
            with self.subTest(count), self.assertRaisesRegex(InvalidScene, "^frame_count: "):
                self.animator().render_frames(*self.slider.scene(), count)  # type: ignore[arg-type]

    def test_workers(self) -> None:
        """The number of frames under way at once follows from the workers that GET /health tells; 2 where it tells none."""

        def health(workers: Any) -> Any:
            return {"renderers": {"matplotlib": {"workers": workers}}}

        table: list[tuple[Any, int]] = [
            ({}, 2),
            ({"renderers": []}, 2),
            (health({}), 2),
            (health({"idle": "x", "busy": 0, "starting": 0}), 2),
            (health({"idle": 1, "busy": 2, "starting": 1, "restarts": {}}), 5),
            (health({"idle": 0, "busy": 0, "starting": 0}), 2),
            (health({"idle": 64, "busy": 0, "starting": 0}), 12),
        ]
        for told, expected in table:
            with self.subTest(told):
                self.assertEqual(default_look_ahead(told, "matplotlib"), expected)
        datoviz = {"renderers": {"datoviz": {"workers": {"idle": 3, "busy": 0, "starting": 0}}}}
        self.assertEqual(default_look_ahead(datoviz, "datoviz-v03"), 4)

    def test_health(self) -> None:
        """A renderer tells what its server's GET /health says, and nothing of a server that has none."""
        self.assertEqual(self.renderer.get_server_health()["server"], "gsp_network")
        with NetworkRenderer(self.renderer.get_canvas(), self.server.url + "/nowhere") as elsewhere:
            self.assertEqual(elsewhere.get_server_health(), {})


class Order(unittest.TestCase):
    """`in_order` with requests that tests answer."""

    def test_late_answers(self) -> None:
        """Pictures come in the order of the bodies, whatever the order of the answers, with a bounded number under way."""
        gates = {b"%d" % number: threading.Event() for number in range(6)}
        lock, under_way, most = threading.Lock(), 0, 0

        def request(body: bytes) -> bytes:
            nonlocal under_way, most
            with lock:
                under_way += 1
                most = max(most, under_way)
            if body in (b"0", b"3"):
                gates[b"%d" % (int(body) + 2)].wait(PATIENCE)
            gates[body].set()
            with lock:
                under_way -= 1
            return b"picture " + body

        pictures = list(in_order(list(gates), forever(request), 3))
        self.assertEqual(pictures, [b"picture " + body for body in gates])
        self.assertLessEqual(most, 3)

    def test_taken_as_needed(self) -> None:
        """Bodies are taken at most so many ahead of the pictures, repeats at most eight times as many."""
        taken = 0

        def bodies(repeats: bool) -> Iterator[Optional[bytes]]:
            nonlocal taken
            for number in range(1000):
                taken += 1
                yield None if repeats and number else b"%d" % number

        for repeats, most in ((False, 3), (True, 24)):
            taken = 0
            pictures = in_order(bodies(repeats), forever(lambda body: body), 3)
            self.assertEqual(next(pictures), b"0")
            self.assertEqual(taken, most)
            pictures.close()  # type: ignore[attr-defined]

    def test_a_frame_fails(self) -> None:
        """The error of a frame keeps its class and facts, and names the frame."""
        errors: list[ClientError] = [
            ServerError(422, "too big", "scene_too_large", "canvas", "max_dpi", "abc"),
            ServerUnreachable("http://x: refused"),
        ]
        for error in errors:

            def request(body: bytes, error: ClientError = error) -> bytes:
                if body == b"2":
                    raise error
                return body

            pictures = in_order([b"0", b"1", b"2", b"3"], Patience(request, 0.0), 2)
            self.assertEqual([next(pictures), next(pictures)], [b"0", b"1"])
            with self.subTest(type(error)), self.assertRaises(type(error)) as caught:
                next(pictures)
            self.assertEqual(str(caught.exception), f"frame 2 (the first is 0): {error}")
            self.assertEqual(caught.exception.limit, error.limit)
            self.assertIs(caught.exception.__cause__, error)

    def test_closed(self) -> None:
        """Who takes no more pictures ends what is under way: no frame is tried again."""
        tries = 0
        failed = threading.Event()

        def request(body: bytes) -> bytes:
            nonlocal tries
            if body == b"0":
                return body
            tries += 1
            failed.set()
            raise ServerError(503, "busy")

        pictures = in_order([b"0", b"1"], forever(request), 2)
        next(pictures)
        self.assertTrue(failed.wait(PATIENCE))
        began = time.monotonic()
        pictures.close()  # type: ignore[attr-defined]
        self.assertLess(time.monotonic() - began, look_ahead.SETTLE_SECONDS)
        known = tries
        threading.Event().wait(2 * look_ahead.PAUSE_SECONDS)
        self.assertEqual(tries, known)


class Patient(unittest.TestCase):
    def outcome(self, *answers: Any, seconds: float = PATIENCE) -> Any:
        """What comes of a request that is answered so, one try after the other; and the number of tries."""
        left = list(answers)

        def request(body: bytes) -> bytes:
            answer = left.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return bytes(answer)

        patience = Patience(request, seconds)
        with mock.patch.object(look_ahead, "PAUSE_SECONDS", 0.001):
            try:
                if answers[0] == b"earlier":
                    patience(b"")
                return patience(b""), len(answers) - len(left)
            except ClientError as exc:
                return exc, len(answers) - len(left)

    def test_tries(self) -> None:
        """A server that has answered is waited for, a busy one too; what is refused is not asked again."""
        gone, busy, no = ServerUnreachable("gone"), ServerError(503, "busy"), ServerError(422, "no")
        crash, half = ServerError(500, "died", "worker_crashed"), BadResponse("half")
        table: list[tuple[tuple[Any, ...], Any, int]] = [
            ((b"a",), b"a", 1),
            ((gone, b"a"), gone, 1),
            ((b"earlier", gone, gone, gone, gone, b"a"), b"a", 6),
            ((busy, busy, busy, gone, b"a"), b"a", 5),
            ((no, b"a"), no, 1),
            ((half, crash, b"a"), b"a", 3),
            ((half, crash, half, b"a"), half, 3),
        ]
        for answers, expected, tries in table:
            with self.subTest(answers):
                self.assertEqual(self.outcome(*answers), (expected, tries))

    def test_time_is_up(self) -> None:
        """When the time is up the last failure stands."""
        busy = ServerError(503, "busy")
        found, tries = self.outcome(*[busy] * 1000, seconds=0.02)
        self.assertIs(found, busy)
        self.assertLess(tries, 50)


class Preview(AnimatorCase):
    def test_preview(self) -> None:
        """With GSP_TEST=True the callbacks are called once, and one picture is saved beside the running script."""
        folder = self.folder()
        script = folder / "orbit.py"
        script.write_text("run()\n")
        animator = self.animator(4, video_path=str(folder / "orbit.gif"))
        os.environ["GSP_TEST"] = "True"
        for _ in range(2):
            with mock.patch.object(sys.modules["__main__"], "__file__", str(script)):
                animator.start(*self.slider.scene())
        self.assertEqual(self.slider.calls, [0.25, 0.25])
        files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
        self.assertEqual(files, ["orbit.py", "output", os.path.join("output", "orbit_animator_network.png")])
        picture = (folder / "output" / "orbit_animator_network.png").read_bytes()
        self.assertEqual((place_in(picture), self.renderer._repr_png_()), (1, picture))

    def test_no_script(self) -> None:
        """Without a script it is saved below the working directory."""
        folder = self.folder()
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder)
        os.environ["GSP_TEST"] = "True"
        with mock.patch.dict(sys.modules, {"__main__": mock.Mock(spec=[])}):
            self.animator().start(*self.slider.scene())
        self.assertTrue((folder / "output" / "python_animator_network.png").is_file())


class Live(AnimatorCase):
    def setUp(self) -> None:
        super().setUp()
        from matplotlib import pyplot

        self.addCleanup(pyplot.close, "all")
        # A window whose events this test makes: Agg's figure, whose manager can show it.
        manager: Any = self.renderer.get_mpl_figure().canvas.manager
        manager.__class__ = type("Manager", (type(manager),), {"show": lambda self: None})
        self.canvas: Any = self.renderer.get_mpl_figure().canvas
        self.displayed: list[bytes] = []
        self.threads: set[Any] = set()
        show = self.renderer.display

        def display(picture: bytes) -> None:
            self.displayed.append(picture)
            self.threads.add(threading.current_thread())
            show(picture)

        patched = mock.patch.object(self.renderer, "display", display)
        patched.start()
        self.addCleanup(patched.stop)

    def at(self, animator: AnimatorNetwork, number: int, action: Callable[[], Any]) -> None:
        """Call `action` in the callback of a frame."""

        @animator.event_listener
        def act(delta_time: float) -> list[Any]:
            if len(self.slider.calls) == number + 1:
                action()
            return []

    def test_no_window(self) -> None:
        """Where Matplotlib opens no window and there is no video to make, the error says what to do."""
        from matplotlib import pyplot

        pyplot.close("all")
        with self.assertRaisesRegex(
            GspNetworkError, r"(?i)backend agg opens none: choose .*MPLBACKEND=.*, or give video_path"
        ):
            self.animator().start(*self.slider.scene())

    def test_stop(self) -> None:
        """`stop` in a callback ends it; that frame is the last one shown; time is the clock's."""
        animator = self.animator(200)
        self.at(animator, 6, animator.stop)
        began = time.monotonic()
        animator.start(*self.slider.scene())
        took = time.monotonic() - began
        self.assertEqual(len(self.slider.calls), 7)
        places = [place_in(picture) for picture in self.displayed]
        self.assertEqual((places, places[-1]), (sorted(set(places)), 6))
        self.assertEqual(self.slider.calls[0], 1 / 200)
        self.assertLessEqual(sum(self.slider.calls[1:]), took)
        self.assertEqual(self.threads, {threading.current_thread()})

    def test_stop_from_a_thread(self) -> None:
        """`stop` from another thread ends it too."""
        animator = self.animator(200)
        self.at(animator, 2, lambda: threading.Thread(target=animator.stop).start())
        animator.start(*self.slider.scene())
        self.assertGreaterEqual(len(self.slider.calls), 3)

    def test_window_closed(self) -> None:
        """Closing the window ends it: by the window's own event, or by pyplot."""
        from matplotlib import pyplot
        from matplotlib.backend_bases import CloseEvent

        table: list[tuple[str, Callable[[], Any]]] = [
            ("event", lambda: self.canvas.callbacks.process("close_event", CloseEvent("close_event", self.canvas))),
            ("pyplot", lambda: pyplot.close("all")),
        ]
        for name, close in table:
            animator = AnimatorNetwork(self.renderer, 200)
            self.slider.calls.clear()
            animator.add_callback(self.slider)
            self.at(animator, 3, close)
            with self.subTest(name):
                animator.start(*self.slider.scene())
                self.assertEqual(len(self.slider.calls), 4)

    def test_callback_fails(self) -> None:
        """What a callback raises reaches the caller of `start`, and the animator can be started again."""
        animator = self.animator(200)
        error = KeyError("x")

        def fail() -> None:
            raise error

        self.at(animator, 2, fail)
        with self.assertRaises(KeyError) as caught:
            animator.start(*self.slider.scene())
        self.assertIs(caught.exception, error)
        self.at(animator, 5, animator.stop)
        animator.start(*self.slider.scene())

    def test_twice(self) -> None:
        """Starting it again from a callback is an error."""
        animator = self.animator(200)
        self.at(animator, 1, lambda: animator.start(*self.slider.scene()))
        with self.assertRaisesRegex(GspNetworkError, "runs already"):
            animator.start(*self.slider.scene())

    def test_request_fails(self) -> None:
        """A server that refuses a frame is an error of `start`."""
        animator = self.animator(200)
        with mock.patch.object(self.renderer, "request", side_effect=ServerError(422, "no")):
            with self.assertRaisesRegex(ServerError, "^no"):
                animator.start(*self.slider.scene())

    def test_still(self) -> None:
        """Frames in which nothing changed are not drawn again."""
        self.slider.still = {1, 2, 4, 5, 6}
        animator = self.animator(200)
        self.at(animator, 6, animator.stop)
        animator.start(*self.slider.scene())
        self.assertEqual([place_in(picture) for picture in self.displayed], [0, 3])

    def test_late_answer(self) -> None:
        """At most two frames are under way, and one that comes after a newer one is not shown."""
        first_may_come, lock = threading.Event(), threading.Lock()
        stopped = threading.Event()
        under_way, most, bodies = 0, 0, 0

        def next_body(delta_time: float) -> bytes:
            nonlocal bodies
            bodies += 1
            if bodies == 6:
                first_may_come.set()
            if bodies >= 8:
                stopped.set()
            return b"%d" % bodies

        def request(body: bytes) -> bytes:
            nonlocal under_way, most
            with lock:
                under_way += 1
                most = max(most, under_way)
            if body == b"1":
                first_may_come.wait(PATIENCE)
            with lock:
                under_way -= 1
            return body

        shown: list[int] = []
        renderer: Any = mock.Mock(
            get_mpl_figure=self.renderer.get_mpl_figure, request=request, display=lambda body: shown.append(int(body))
        )
        LiveLoop(renderer, next_body, 500, stopped).run()
        self.assertEqual((shown, shown[-1], most), (sorted(set(shown) - {1}), bodies, 2))


if __name__ == "__main__":
    unittest.main()
