"""Videos of real servers, read back by ffmpeg and Pillow: their frames, how long they last, and what is left when one fails."""

from __future__ import annotations

import functools
import io
import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import unittest
from typing import Any, Optional
from unittest import mock

import numpy as np
from PIL import Image as PillowImage
from PIL import features

from gsp_network import (
    AnimatorNetwork,
    Camera,
    Canvas,
    ClientError,
    NetworkRenderer,
    RenderServer,
    ServerError,
    ServerUnreachable,
    VideoError,
    Viewport,
    render_payload,
)
from gsp_network.animator import ffmpeg as ffmpeg_module
from gsp_network.animator.animated_pictures import WRITERS
from gsp_network.animator.progress import ProgressBar
from gsp_network.animator.video import exact_rate

from .benchmarks.video import Orbit
from .processes import PATIENCE, ServerProcess
from .scenes import RED, WHITE, array_of, body_of, points

FFMPEG, FFPROBE = shutil.which("ffmpeg"), shutil.which("ffprobe")
SSIM_WINDOW = 7

needs_ffmpeg = unittest.skipUnless(FFMPEG and FFPROBE, "no ffmpeg and ffprobe on the path")
needs_webp = unittest.skipUnless(features.check("webp"), "this Pillow has no WebP")


def window_mean(array: np.ndarray) -> np.ndarray:
    """The mean of each window, by channel."""
    sums = np.pad(array, ((1, 0), (1, 0), (0, 0))).cumsum(0).cumsum(1)
    n = SSIM_WINDOW
    return (sums[n:, n:] - sums[:-n, n:] - sums[n:, :-n] + sums[:-n, :-n]) / n**2


def ssim(one: np.ndarray, two: np.ndarray) -> float:
    """Mean structural similarity (Wang et al. 2004): windows of 7 x 7 px, mean over RGB."""
    a, b = one.astype(float), two.astype(float)
    unbias = SSIM_WINDOW**2 / (SSIM_WINDOW**2 - 1)
    mean_a, mean_b = window_mean(a), window_mean(b)
    var_a = unbias * (window_mean(a * a) - mean_a**2)
    var_b = unbias * (window_mean(b * b) - mean_b**2)
    cov = unbias * (window_mean(a * b) - mean_a * mean_b)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    parts = (2 * mean_a * mean_b + c1) * (2 * cov + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return float(parts.mean())


def distance(one: np.ndarray, two: np.ndarray) -> float:
    """Mean squared difference."""
    return float(((one.astype(np.float32) - two) ** 2).mean())


def probe(path: pathlib.Path) -> dict[str, Any]:
    """What ffprobe says of a film's stream, its frames counted."""
    command = [FFPROBE or "", "-v", "error", "-count_frames", "-show_streams", "-of", "json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    (stream,) = json.loads(done.stdout)["streams"]
    return dict(stream)


def film_frames(path: pathlib.Path) -> list[np.ndarray]:
    """The frames of a film as (height, width, 3) uint8."""
    stream = probe(path)
    command = [FFMPEG or "", "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE)
    return list(np.frombuffer(done.stdout, np.uint8).reshape(-1, stream["height"], stream["width"], 3))


def picture_frames(path: pathlib.Path) -> tuple[list[np.ndarray], list[float]]:
    """The frames of an animated picture as arrays, and how long each lasts, in ms."""
    frames, durations = [], []
    with PillowImage.open(path) as animation:
        for number in range(animation.n_frames):
            animation.seek(number)
            frames.append(np.asarray(animation.convert("RGB")))
            durations.append(animation.info["duration"])
    return frames, durations


class VideoCase(unittest.TestCase):
    def setUp(self) -> None:
        patched = mock.patch.dict(os.environ)
        patched.start()
        self.addCleanup(patched.stop)
        os.environ.pop("GSP_TEST", None)
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.folder = pathlib.Path(made.name)


class Orbits(VideoCase):
    """A second of the orbiting 10k-point example in each kind of file, against `render` of each instant."""

    FPS = 9  # no whole number of any file's ticks
    server: RenderServer

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = RenderServer(port=0, workers=2, datoviz_workers=0, log_level="error").start()
        orbit = Orbit("points", 10_000, 480, 360, size=40.0)
        cls.instants = []
        with NetworkRenderer(orbit.canvas, cls.server.url) as renderer:
            for _ in range(cls.FPS):
                orbit.advance(1 / cls.FPS)
                cls.instants.append(array_of(renderer.render(*orbit.scene())))

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.close(PATIENCE)

    def video(self, name: str, writer: Optional[str] = None) -> pathlib.Path:
        """A video of one second."""
        path = self.folder / name
        orbit = Orbit("points", 10_000, 480, 360, size=40.0)
        saved: list[list[str]] = []
        progress: list[tuple[int, int]] = []
        with NetworkRenderer(orbit.canvas, self.server.url) as renderer:
            animator = AnimatorNetwork(renderer, self.FPS, 1.0, path, writer)
            animator.add_callback(orbit.advance)
            animator.on_video_saved.subscribe(lambda: saved.append(os.listdir(self.folder)))
            animator.on_progress.subscribe(lambda done, total: progress.append((done, total)))
            animator.start(*orbit.scene())
            self.assertTrue(np.array_equal(array_of(renderer._repr_png_() or b""), self.instants[-1]))
        self.assertEqual(saved, [[name]])
        self.assertEqual(progress, [(done, self.FPS) for done in range(1, self.FPS + 1)])
        return path

    def check_near(self, frames: list[np.ndarray]) -> None:
        """Each frame is near to its own instant, and nearer than to its neighbours."""
        self.assertEqual(len(frames), self.FPS)
        for number, frame in enumerate(frames):
            self.assertGreaterEqual(ssim(frame, self.instants[number]), 0.95, number)
            for other in {max(number - 1, 0), min(number + 1, self.FPS - 1)} - {number}:
                self.assertLess(distance(frame, self.instants[number]), distance(frame, self.instants[other]), number)

    @needs_ffmpeg
    def test_mp4(self) -> None:
        """.mp4: exact number of frames and time, 4:2:0 as all players take it, each frame near to its instant."""
        path = self.video("orbit.mp4")
        stream = probe(path)
        facts = {
            name: stream[name] for name in ("nb_read_frames", "codec_name", "pix_fmt", "r_frame_rate", "color_space")
        }
        expected = {"codec_name": "h264", "pix_fmt": "yuv420p", "r_frame_rate": "9/1", "color_space": "bt709"}
        self.assertEqual(facts, {"nb_read_frames": "9", **expected})
        self.assertAlmostEqual(float(stream["duration"]), 1.0, delta=0.001)
        self.check_near(film_frames(path))
        head = path.read_bytes()
        self.assertLess(head.index(b"moov"), head.index(b"mdat"))  # plays before it is loaded whole

    def test_gif(self) -> None:
        """.gif: exact number of frames, a second within a tick, each frame near to its instant."""
        frames, durations = picture_frames(self.video("orbit.gif"))
        self.check_near(frames)
        self.assertEqual((sum(durations), set(durations)), (1000, {110, 120}))

    @needs_webp
    def test_webp(self) -> None:
        """.webp: every frame is the picture of its instant, a second within a tick."""
        frames, durations = picture_frames(self.video("orbit.webp"))
        self.assertEqual([np.array_equal(*pair) for pair in zip(frames, self.instants)], [True] * self.FPS)
        self.assertEqual((len(frames), sum(durations), set(durations)), (self.FPS, 1000, {111, 112}))

    def test_apng(self) -> None:
        """.apng: every frame is the picture of its instant, and lasts exactly 1/9 s."""
        path = self.video("orbit.apng")
        frames, durations = picture_frames(path)
        self.assertEqual([np.array_equal(*pair) for pair in zip(frames, self.instants)], [True] * self.FPS)
        self.assertEqual(len(frames), self.FPS)
        for duration in durations:
            self.assertAlmostEqual(duration, 1000 / 9)


class Small(VideoCase):
    """Videos of a red square on few pixels, by a server in this process."""

    server: RenderServer
    hook: Any = None

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = RenderServer(
            port=0, log_level="error", on_render=lambda body, picture: cls.hook and cls.hook()
        ).start()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.close(PATIENCE)

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(setattr, Small, "hook", None)
        self.frames = 0
        self.changes: Any = lambda number: True
        self.at: dict[int, Any] = {}

    def animate(
        self, name: str, fps: float = 10, seconds: float = 1.0, size: tuple[int, int] = (31, 21), **more: Any
    ) -> None:
        """A video in which the square jumps one pixel a frame."""
        canvas = Canvas(*size, 72.0)
        visual = points((0, 0, 0), size=36.0)
        with NetworkRenderer(canvas, self.server.url) as renderer:
            animator = AnimatorNetwork(renderer, fps, seconds, self.folder / name, **more)

            @animator.event_listener
            def step(delta_time: float) -> list[Any]:
                number, self.frames = self.frames, self.frames + 1
                self.at.get(number, lambda animator: None)(animator)
                if not self.changes(number):
                    return []
                visual.set_positions(np.array([[-0.5 + 2 * number / size[0], 0, 0]]))
                return [visual]

            animator.on_progress.subscribe(lambda done, total: self.at.get(-done, lambda animator: None)(animator))
            animator.start([Viewport(0, 0, *size)], [visual], [np.eye(4)], [Camera()])

    def check_nothing_left(self) -> None:
        self.assertEqual(os.listdir(self.folder), [])

    def test_repeated_frames_count(self) -> None:
        """A frame that repeats the one before is a frame of the file as any other."""
        self.changes = lambda number: number in (3, 7)
        for name in ("a.gif", "a.apng", "a.webp", "b.apng"):
            if (name == "a.webp" and not features.check("webp")) or (name[0] == "b" and not FFMPEG):
                continue
            with self.subTest(name):
                self.frames = 0
                self.animate(name, 25, 0.4, video_writer="ffmpeg" if name[0] == "b" else None)
                frames, durations = picture_frames(self.folder / name)
                self.assertEqual((len(frames), sum(durations)), (10, 400))
                same = [np.array_equal(*pair) for pair in zip(frames, frames[1:])]
                self.assertEqual(same, [True, True, False, True, True, True, False, True, True])

    def test_nothing_but_the_file(self) -> None:
        """While a video is made its folder holds a hidden one besides; what a program makes in that late goes with it."""
        seen: list[str] = []

        def look(animator: Any) -> None:
            (hidden,) = self.folder.iterdir()
            seen.append(hidden.name)
            (hidden / "late").touch()

        self.at[-3] = look
        self.animate("a.apng", 10, 0.5)
        self.assertTrue(seen[0].startswith("."), seen)
        self.assertEqual(os.listdir(self.folder), ["a.apng"])

    def test_picture_that_is_none(self) -> None:
        """A picture that cannot be read, or is of another size, is an error that says so, and leaves nothing."""
        good = render_payload(body_of(canvas=Canvas(31, 21)))
        broken = good[:60] + b"????" + good[64:]
        other = render_payload(body_of(canvas=Canvas(40, 21)))
        for name, picture, problem in (
            ("a.gif", broken, "frame 0: a picture that Pillow cannot read"),
            ("a.gif", other, "40 x 21 px, expected 31 x 21 px"),
            ("a.mp4", other, "40 x 21 px, expected 31 x 21 px"),
        ):
            if name == "a.mp4" and not FFMPEG:
                continue
            with self.subTest(name=name, problem=problem):
                with mock.patch.object(NetworkRenderer, "request", return_value=picture):
                    with self.assertRaisesRegex(VideoError, problem):
                        self.animate(name)
                self.check_nothing_left()

    @needs_ffmpeg
    def test_odd_sizes(self) -> None:
        """A film of an odd size gets a white row and column, which is said; the rest is as it was."""
        for name in ("a.mov", "a.m4v"):
            with self.subTest(name), self.assertLogs("gsp_network", "WARNING") as logs:
                self.animate(name, 10, 0.3)
            self.assertIn(f"{name}: 31 x 21 px, made 32 x 22 by white at its edge", logs.output[0])
            frames = film_frames(self.folder / name)
            self.assertEqual([frame.shape for frame in frames], [(22, 32, 3)] * 3)
            self.assertLess(abs(frames[0][21:, :].astype(int) - WHITE).max(), 6)
            self.assertLess(abs(frames[0][:, 31:].astype(int) - WHITE).max(), 6)
        with self.assertNoLogs("gsp_network", "WARNING") if sys.version_info >= (3, 10) else mock.MagicMock():
            self.frames = 0
            self.animate("b.mp4", 10, 0.3, size=(32, 22))
        middle = film_frames(self.folder / "b.mp4")[0][11, 8].astype(int)
        self.assertLess(abs(middle - RED).max(), 8)  # the colours are those of the picture

    def test_rates(self) -> None:
        """How long an animated picture lasts is right for rates that are no whole number of its ticks."""
        for fps in (23.976, 30, 48, 0.5):
            for kind in (".gif", ".apng", *([".webp"] if features.check("webp") else [])):
                with self.subTest(fps=fps, kind=kind):
                    path = self.folder / ("a" + kind)
                    writer = WRITERS[kind](path, fps, 3, 2)
                    for number in range(24):
                        encoded = io.BytesIO()
                        PillowImage.new("RGB", (3, 2), (number, 0, 0)).save(encoded, "PNG")
                        writer.add(encoded.getvalue())
                    writer.close()
                    frames, durations = picture_frames(path)
                    self.assertEqual(len(frames), 24)
                    self.assertEqual([int(frame[1, 2, 0]) for frame in frames], list(range(24)))
                    self.assertAlmostEqual(
                        sum(durations), 24000 / fps, delta={".gif": 5.01, ".webp": 0.51}.get(kind, 0.02)
                    )
        self.assertEqual([str(exact_rate(fps)) for fps in (50, 29.97, 0.1)], ["50", "2997/100", "1/10"])

    def test_other_pictures(self) -> None:
        """An animated PNG takes pictures with alpha, palettes and 16 bits, as other servers may send them."""
        for modes in (("RGBA", "RGBA", "RGB"), ("RGB", "P", "RGBA"), ("P", "L", "I;16")):
            with self.subTest(modes):
                writer = WRITERS[".apng"](self.folder / "a.apng", 10, 4, 3)
                for number, mode in enumerate(modes):
                    encoded = io.BytesIO()
                    PillowImage.new("RGB", (4, 3), (255, 255, 255)).convert("L" if mode == "I;16" else mode).convert(
                        mode
                    ).save(encoded, "PNG")
                    for _ in range(number + 1):
                        writer.add(encoded.getvalue())
                writer.close()
                frames, _ = picture_frames(self.folder / "a.apng")
                self.assertEqual(len(frames), 6)
                self.assertTrue(all((frame[:2] == 255).all() for frame in frames[:3]))

    def test_wrong_size(self) -> None:
        """A picture of another size than the canvas's is an error."""
        encoded = io.BytesIO()
        PillowImage.new("RGB", (4, 3)).save(encoded, "PNG")
        for kind in (".gif", ".apng"):
            writer = WRITERS[kind](self.folder / ("a" + kind), 10, 3, 4)
            with (
                self.subTest(kind),
                self.assertRaisesRegex(VideoError, r"frame 0: a picture of 4 x 3 px, expected 3 x 4"),
            ):
                writer.add(encoded.getvalue())
            writer.abort()

    def test_fast_gif(self) -> None:
        """A GIF that most programs show slowly is warned of."""
        with self.assertLogs("gsp_network", "WARNING") as logs:
            self.animate("a.gif", 60, 0.05)
        self.assertIn("60 frames/s: most programs", logs.output[0])

    def test_stop(self) -> None:
        """`stop` in a callback makes that frame the last one of the video."""
        self.at[4] = lambda animator: animator.stop()
        self.animate("a.apng")
        self.assertEqual(len(picture_frames(self.folder / "a.apng")[0]), 5)

    def test_ctrl_c(self) -> None:
        """Ctrl-C, in a callback, while a picture is waited for and while one is written, leaves nothing."""
        previous = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, previous)
        interrupted = threading.Event()

        def hook() -> None:
            if self.frames >= 5 and not interrupted.is_set():
                interrupted.set()
                os.kill(os.getpid(), signal.SIGINT)

        def interrupt(animator: Any) -> None:
            signal.raise_signal(signal.SIGINT)

        for at, where in ((4, "callback"), (-3, "progress"), (None, "waiting")):
            for name in ("a.apng", *(["a.mp4"] if FFMPEG else [])):
                self.frames = 0
                self.at = {} if at is None else {at: interrupt}
                Small.hook = staticmethod(hook) if at is None else None
                interrupted.clear()
                with self.subTest(where, name=name):
                    with self.assertRaises(KeyboardInterrupt):
                        self.animate(name, seconds=100, size=(32, 22))
                    self.check_nothing_left()

    def test_frame_fails(self) -> None:
        """The error of a frame says which, and an older video of that name is left as it was."""
        (self.folder / "a.apng").write_bytes(b"older")
        request = NetworkRenderer.request

        def refuse(renderer: NetworkRenderer, body: bytes) -> bytes:
            if self.frames > 6:
                raise ServerError(422, "too large", "scene_too_large", "canvas", "max_dpi")
            return request(renderer, body)

        with mock.patch.object(NetworkRenderer, "request", refuse):
            with self.assertRaisesRegex(ServerError, r"^frame [3-6] \(the first is 0\): too large") as caught:
                self.animate("a.apng")
        self.assertEqual(caught.exception.limit, "max_dpi")
        self.assertEqual(os.listdir(self.folder), ["a.apng"])
        self.assertEqual((self.folder / "a.apng").read_bytes(), b"older")

    def test_callback_fails(self) -> None:
        """What a callback raises comes through as it is, an OSError too, and no file is left."""
        error = FileNotFoundError("data.npy")

        def fail(animator: Any) -> None:
            raise error

        self.at[5] = fail
        with self.assertRaises(FileNotFoundError) as caught:
            self.animate("a.apng")
        self.assertIs(caught.exception, error)
        self.check_nothing_left()

    def test_no_folder(self) -> None:
        """A folder that is not there is said before anything is drawn."""
        with self.assertRaisesRegex(VideoError, r"nowhere.a\.apng: cannot be written: No such file"):
            self.animate("nowhere/a.apng")
        self.assertEqual(self.frames, 0)

    def fake_ffmpeg(self, script: str) -> None:
        """From now on ffmpeg is a shell script, for this test."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        program = pathlib.Path(folder.name, "ffmpeg")
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        os.environ["PATH"] = f"{folder.name}{os.pathsep}{os.environ['PATH']}"

    @unittest.skipUnless(os.name == "posix", "the stand-in for ffmpeg is a shell script")
    def test_ffmpeg_fails(self) -> None:
        """What ffmpeg said last is in the error, whenever it ends, and no file is left."""
        listing = 'case "$*" in *-encoders*) echo " V....D libx264  H.264"; exit 0;; esac\n'
        table = [
            (listing + "echo disk is full >&2; exit 3", r"a.mp4: ffmpeg ended too early: disk is full \(status 3\)$"),
            (listing + "cat >/dev/null; echo no room >&2; exit 4", r"a.mp4: ffmpeg failed: no room \(status 4\)$"),
            (listing + "kill -9 $$", r"ended too early: it said nothing \(signal 9\)$"),
            ("exit 1", r"ffmpeg: has none of the encoders libx264, mpeg4$"),
        ]
        for script, message in table:
            self.fake_ffmpeg(script)
            with self.subTest(script), self.assertRaisesRegex(VideoError, message):
                self.animate("a.mp4", seconds=20, size=(32, 22))
            self.check_nothing_left()

    @unittest.skipUnless(os.name == "posix", "the stand-in for ffmpeg is a shell script")
    def test_ffmpeg_fails_unseen(self) -> None:
        """Where the program ignores SIGCHLD, and no status can be had, an ffmpeg that complains has failed."""
        listing = 'case "$*" in *-encoders*) echo " V....D libx264  H.264"; exit 0;; esac\n'
        self.fake_ffmpeg(listing + "cat >/dev/null; echo no room >&2; exit 4")
        self.addCleanup(signal.signal, signal.SIGCHLD, signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        with self.assertRaisesRegex(VideoError, r"a.mp4: ffmpeg failed: no room \(status unknown\)$"):
            self.animate("a.mp4", size=(32, 22))
        self.check_nothing_left()

    @needs_ffmpeg
    def test_other_encoder(self) -> None:
        """An ffmpeg without libx264 writes MPEG-4, which is said."""
        self.fake_ffmpeg(f'case "$*" in *-encoders*) echo " V.S... mpeg4  MPEG-4"; exit 0;; esac\nexec {FFMPEG} "$@"')
        with self.assertLogs("gsp_network", "WARNING") as logs:
            self.animate("a.mp4", size=(32, 22))
        self.assertIn("has no libx264", logs.output[0])
        stream = probe(self.folder / "a.mp4")
        self.assertEqual((stream["codec_name"], stream["nb_read_frames"]), ("mpeg4", "10"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Progress(VideoCase):
    def test_line(self) -> None:
        """The line has frames, rate and time left."""
        bar = ProgressBar("orbit.mp4", 500, Terminal())
        cells = "######" + "-" * 18
        self.assertEqual(bar.line(125, 5.0), f"orbit.mp4 [{cells}] 125/500 25.0 frames/s, 0:15 left")
        self.assertEqual(bar.line(500, 125.0), f"orbit.mp4 [{'#' * 24}] 500/500 4.0 frames/s")

    def test_terminal(self) -> None:
        """On a terminal the line is drawn over itself and ended; it is at most as long as the terminal is wide."""
        stream = Terminal()
        with mock.patch.object(shutil, "get_terminal_size", return_value=os.terminal_size((30, 24))):
            bar = ProgressBar("orbit.mp4", 2, stream)
            bar.update(1)  # too soon after the start
            bar.update(2)
            bar.close()
            bar.close()
        self.assertRegex(stream.getvalue(), r"^\rorbit.mp4 \[#{18}\n$")

    def test_no_terminal(self) -> None:
        """Elsewhere nothing is written."""
        stream = io.StringIO()
        bar = ProgressBar("orbit.mp4", 2, stream)
        bar.update(2)
        bar.close()
        self.assertEqual(stream.getvalue(), "")
        with mock.patch.object(sys, "stderr", None):  # as pythonw has it
            ProgressBar("orbit.mp4", 2).update(2)


class ServerGone(VideoCase):
    """The server is a process, and is killed in mid-video."""

    def animate(self, server: ServerProcess, at_four: Any, **attributes: Any) -> list[np.ndarray]:
        """The frames of a video during which `at_four` is called."""
        path = self.folder / "a.apng"
        visual, canvas = points((0, 0, 0), size=36.0), Canvas(40, 20, 72.0)
        with NetworkRenderer(canvas, server.ready["url"]) as renderer:
            animator = AnimatorNetwork(renderer, 10, 1.2, path)
            for name, value in attributes.items():
                setattr(animator, name, value)

            @animator.event_listener
            def step(delta_time: float) -> list[Any]:
                visual.set_positions(visual.get_positions().to_numpy() + np.array([[0.05, 0, 0]]))
                return [visual]

            animator.on_progress.subscribe(lambda done, total: at_four() if done == 4 else None)
            animator.start([Viewport(0, 0, 40, 20)], [visual], [np.eye(4)], [Camera()])
            visual.set_positions(np.zeros((1, 3)))
            frames, _ = picture_frames(path)
            for frame in frames:
                step(0.1)
                expected = renderer.render([Viewport(0, 0, 40, 20)], [visual], [np.eye(4)], [Camera()])
                self.assertTrue(np.array_equal(frame, array_of(expected)))
        return frames

    def test_restarted(self) -> None:
        """A server that is killed and started again in mid-video: the video is complete, and every frame right."""
        server = ServerProcess("--workers", "0")
        self.addCleanup(server.close)
        servers: list[ServerProcess] = []

        def start_again() -> None:
            servers.append(ServerProcess("--workers", "0", "--port", str(server.port)))
            self.addCleanup(servers[0].close)

        def kill() -> None:
            server.stop(signal.SIGKILL)
            threading.Thread(target=start_again).start()

        self.assertEqual(len(self.animate(server, kill)), 12)
        self.assertEqual(len(servers), 1)

    def test_for_good(self) -> None:
        """A server that is killed for good: the error names a frame, and no file is left."""
        server = ServerProcess("--workers", "0")
        self.addCleanup(server.close)
        with mock.patch("gsp_network.transport.FIRST_BACKOFF_SECONDS", 0.001):
            with self.assertRaisesRegex(
                ServerUnreachable, r"^frame \d+ \(the first is 0\): http://127.0.0.1:\d+: "
            ) as caught:
                self.animate(server, functools.partial(server.stop, signal.SIGKILL), retry_seconds=0.5)
        self.assertIsInstance(caught.exception, ClientError)
        self.assertEqual(os.listdir(self.folder), [])

    def test_never_there(self) -> None:
        """A server that was never there is not waited for."""
        with mock.patch("gsp_network.transport.FIRST_BACKOFF_SECONDS", 0.001):
            with NetworkRenderer(Canvas(40, 20), "http://127.0.0.1:9") as renderer:
                animator = AnimatorNetwork(renderer, video_path=self.folder / "a.apng", look_ahead=2)
                with self.assertRaisesRegex(ServerUnreachable, "^frame 0 "):
                    animator.start([], [], [], [])
        self.assertEqual(os.listdir(self.folder), [])


class Headless(VideoCase):
    @needs_ffmpeg
    def test_no_display(self) -> None:
        """A film needs neither a display nor Matplotlib, nor Pillow."""
        code = (
            "import sys\n"
            "from gsp_network import AnimatorNetwork, Canvas, NetworkRenderer\n"
            "with NetworkRenderer(Canvas(20, 10), sys.argv[1]) as renderer:\n"
            "    AnimatorNetwork(renderer, 10, 0.3, sys.argv[2]).start([], [], [], [])\n"
            "print(sorted({'matplotlib', 'PIL'} & set(sys.modules)))\n"
        )
        environ = {name: text for name, text in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
        environ.update(MPLBACKEND="TkAgg", PYTHONPATH=os.pathsep.join(sys.path))
        path = self.folder / "a.mp4"
        with RenderServer(port=0, log_level="error") as server:
            command = [sys.executable, "-c", code, server.url, str(path)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environ)
        self.assertEqual((done.stdout, done.stderr), ("[]\n", ""))
        self.assertEqual(probe(path)["nb_read_frames"], "3")
        self.assertEqual(ffmpeg_module.film_encoder(FFMPEG or "")[:2], ("-c:v", "libx264"))


if __name__ == "__main__":
    unittest.main()
