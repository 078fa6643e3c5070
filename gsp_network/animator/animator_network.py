"""AnimatorNetwork: calls functions that change visuals, and has each frame drawn on a server."""

from __future__ import annotations

import logging
import math
import numbers
import os
import pathlib
import sys
import threading
from typing import TYPE_CHECKING, Any, Callable, Iterator, Optional, Sequence

from ..connections import PathLike
from ..debugging import write_whole
from ..errors import GspNetworkError, InvalidScene
from ..scene.contracts import AnimatorBase, AnimatorFunc, VideoSavedCalledback
from ..scene.events import Event
from .live import LiveLoop
from .look_ahead import Patience, default_look_ahead, in_order
from .progress import ProgressBar
from .video import check_video, check_writer, writing

if TYPE_CHECKING:
    from ..renderer import NetworkRenderer

logger = logging.getLogger(__name__)

LEAST_FPS, MOST_FPS = 0.01, 1000.0  # the times of animated pictures hold no more
MOST_GIF_FPS = 100.0  # whose tick is 1/100 s
MOST_FRAMES = 100_000_000

Scene = tuple[Sequence[Any], Sequence[Any], Sequence[Any], Sequence[Any]]


class AnimatorNetwork(AnimatorBase):
    """Animates visuals: in the renderer's window or, where `video_path` is given, as a video, which needs no display.

    In a window time is the clock's. In a video every frame advances by exactly 1/fps, and frames are drawn in parallel, by as
    many of the server's workers as there are.

    Args:
        network_renderer: draws the frames.
        fps: frames in a second; in a window at most.
        video_duration: seconds that the video lasts; it has round(fps * video_duration) frames.
        video_path: the file to write: .mp4, .m4v or .mov by ffmpeg, .gif, .apng or .webp by Pillow. None: no video.
        video_writer: "ffmpeg" or "pillow" in place of who writes such a file by itself.
        look_ahead: how many frames of a video are drawn at once. None: one more than the server has workers, 2 where it does
            not tell.
    Attributes:
        on_video_saved: an Event that is dispatched without arguments when the video is complete and in its place.
        on_progress: an Event that is dispatched with the frames that the video has and will have, after each one.
        retry_seconds: how long a frame of a video is tried again while the server, which has answered before, is away or busy.
    Raises:
        InvalidScene, which is a ValueError: fps, duration, path, writer or look-ahead that is none; for a path's extension it
            names those that work.
        VideoError: the file's kind needs ffmpeg, and there is none here.
    """

    def __init__(
        self,
        network_renderer: NetworkRenderer,
        fps: float = 50,
        video_duration: float = 10.0,
        video_path: Optional[PathLike] = None,
        video_writer: Optional[str] = None,
        *,
        look_ahead: Optional[int] = None,
    ) -> None:
        self._renderer = network_renderer
        self._fps = _number(fps, "fps", LEAST_FPS, MOST_FPS, "frames in a second")
        self._duration = _number(video_duration, "video_duration", 0, math.inf, "seconds")
        check_writer(video_writer)
        self._video = None if video_path is None else check_video(video_path, video_writer)
        if self._video is not None:
            self._frame_count()  # raises where there is none
            if self._video.path.suffix.lower() == ".gif" and self._fps > MOST_GIF_FPS:
                raise InvalidScene(
                    "fps", f"{fps!r}, expected at most {MOST_GIF_FPS:g} for .gif; .webp and .apng take more"
                )
        if look_ahead is not None:
            _check_count(look_ahead, "look_ahead")
        self.look_ahead = look_ahead
        self.retry_seconds = 30.0
        self.on_video_saved: Event[VideoSavedCalledback] = Event()
        self.on_progress: Event[Callable[[int, int], None]] = Event()
        self._callbacks: list[AnimatorFunc] = []
        self._stopped = threading.Event()
        self._running = False

    def add_callback(self, func: AnimatorFunc) -> None:
        """Call `func` before every frame with the seconds since the last one; it returns the visuals it changed.

        In a frame in which none changed the last picture stays, and nothing is drawn.
        """
        if not callable(func):
            raise TypeError(f"func: {type(func).__name__}, expected something callable")
        self._callbacks.append(func)

    def remove_callback(self, func: AnimatorFunc) -> None:
        """Stop calling `func`; ValueError where it was not added."""
        if func not in self._callbacks:
            raise ValueError("func: not a callback of this animator")
        self._callbacks.remove(func)

    def event_listener(self, func: AnimatorFunc) -> AnimatorFunc:
        """Add `func` and return it, as `remove_callback` takes it: a decorator."""
        self.add_callback(func)
        return func

    def start(
        self, viewports: Sequence[Any], visuals: Sequence[Any], model_matrices: Sequence[Any], cameras: Sequence[Any]
    ) -> None:
        """Run until the video is complete or, in a window, until `stop` is called or the window is closed.

        What a callback raises comes through. With GSP_TEST=True in the environment it calls the callbacks once, writes one
        picture to ``output/SCRIPT_animator_network.png`` beside the running script, and returns.

        Args:
            viewports, visuals, model_matrices, cameras: see `NetworkRenderer.render`. The lists are read anew for each frame.
        Raises:
            InvalidScene: the lists do not make a scene.
            ClientError: the server gave no picture; for a video the message names the frame.
            VideoError: the video cannot be written.
            GspNetworkError: there is no window to show it, or it runs already.
        """
        if self._running:
            raise GspNetworkError("this animator runs already; stop() it first")
        scene = viewports, visuals, model_matrices, cameras
        self._running = True
        self._stopped.clear()
        try:
            if os.environ.get("GSP_TEST") == "True":
                self._preview(scene)
            elif self._video is not None:
                self._save(scene)
            else:
                LiveLoop(self._renderer, self._frames(scene), self._fps, self._stopped).run()
        finally:
            self._running = False

    def stop(self) -> None:
        """End the animation with the frame that is being prepared; a video has the frames until then. Any thread may call it."""
        self._stopped.set()

    def render_frames(
        self,
        viewports: Sequence[Any],
        visuals: Sequence[Any],
        model_matrices: Sequence[Any],
        cameras: Sequence[Any],
        frame_count: Optional[int] = None,
    ) -> Iterator[bytes]:
        """The pictures of the video as PNG, one after the other, while the next ones are drawn.

        Callbacks are called in the thread that takes the pictures, up to `look_ahead` frames before their picture comes.

        Args:
            viewports, visuals, model_matrices, cameras: see `NetworkRenderer.render`.
            frame_count: how many; None for round(fps * video_duration).
        Raises:
            InvalidScene: the number is none, or the lists do not make a scene.
            ClientError: the server gave no picture; the message names the frame.
        """
        count = self._frame_count() if frame_count is None else _check_count(frame_count, "frame_count")
        if self._running:
            raise GspNetworkError("this animator runs already; stop() it first")
        self._stopped.clear()
        return self._pictures((viewports, visuals, model_matrices, cameras), count)

    def _frame_count(self) -> int:
        frames = self._fps * self._duration
        if frames > MOST_FRAMES:
            raise InvalidScene(
                "video_duration",
                f"{self._duration:g} s at {self._fps:g} frames/s, expected {MOST_FRAMES} frames at most",
            )
        if round(frames) < 1:
            raise InvalidScene(
                "video_duration", f"{self._duration:g} s at {self._fps:g} frames/s is no frame, expected one"
            )
        return round(frames)

    def _pictures(self, scene: Scene, count: int) -> Iterator[bytes]:
        renderer = self._renderer
        ahead = self.look_ahead
        answered = ahead is None  # it is asked, which raises where it is not there
        if ahead is None:
            ahead = default_look_ahead(renderer.get_server_health(), renderer.get_remote_renderer_name())
        patience = Patience(renderer.request, self.retry_seconds, answered)
        yield from in_order(self._bodies(scene, count), patience, ahead)

    def _bodies(self, scene: Scene, count: int) -> Iterator[Optional[bytes]]:
        """One request a frame, each 1/fps after the one before."""
        next_body = self._frames(scene)
        for _ in range(count):
            yield next_body(1 / self._fps)
            if self._stopped.is_set():
                return

    def _frames(self, scene: Scene) -> Callable[[float], Optional[bytes]]:
        """A function that calls the callbacks and returns the frame's request; None where nothing changed since the last."""
        drawn = False

        def next_body(delta_time: float) -> Optional[bytes]:
            nonlocal drawn
            changed = not drawn
            for func in list(self._callbacks):
                changed |= _some(func(delta_time), func)
            drawn = True
            return self._renderer.encode(*scene) if changed else None

        return next_body

    def _save(self, scene: Scene) -> None:
        if self._video is None:
            return
        count, done, picture = self._frame_count(), 0, b""
        bar = ProgressBar(self._video.path.name, count)
        pictures = self._pictures(scene, count)
        try:
            with writing(self._video, self._fps, self._renderer.get_canvas()) as video:
                for done, picture in enumerate(pictures, 1):
                    video.add(picture)
                    bar.update(done)
                    self.on_progress.dispatch(done, count)
        finally:
            bar.close()
            pictures.close()  # type: ignore[attr-defined]
        logger.info("%s: %d frames", self._video.path, done)
        self.on_video_saved.dispatch()
        self._renderer.display(picture)

    def _preview(self, scene: Scene) -> None:
        body = self._frames(scene)(1 / self._fps)
        picture = self._renderer.request(body or b"")  # the first frame is always drawn
        self._renderer.display(picture)
        path = _preview_path()
        path.parent.mkdir(exist_ok=True)
        write_whole(path, picture)


def _preview_path() -> pathlib.Path:
    """``output/SCRIPT_animator_network.png`` beside the running script; in the working directory where there is none."""
    script = pathlib.Path(getattr(sys.modules.get("__main__"), "__file__", None) or "python")
    return script.absolute().parent / "output" / f"{script.stem}_animator_network.png"


def _some(changed: Any, func: Any) -> bool:
    """Whether a callback changed any visual; TypeError where it does not say."""
    try:
        return len(changed) > 0
    except TypeError:
        name = getattr(func, "__qualname__", repr(func))
        raise TypeError(
            f"callback {name}: returned {type(changed).__name__}, expected a list of the visuals that it changed"
        ) from None


def _number(value: Any, where: str, least: float, most: float, unit: str) -> float:
    number = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
    if not least <= number <= most or number == math.inf:
        expected = f"{least:g} to {most:g}" if most < math.inf else f"{least:g} or more"
        raise InvalidScene(where, f"{value!r}, expected {unit}, {expected}")
    return number


def _check_count(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise InvalidScene(where, f"{value!r}, expected a whole number, 1 or more")
    return int(value)
