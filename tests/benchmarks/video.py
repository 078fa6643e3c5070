"""What a second worker does for a video: the time of its frames with two workers over that with one.

    python -m tests.benchmarks.video [--frames 60] [--rounds 3] [--count 10000]

The scene is a whirl of segments on 800 x 600 px. Servers with one and with two workers, processes both, take turns; figures are
the medians of the rounds. "frames" is AnimatorNetwork.render_frames() alone, "mp4" and "apng" are start(), for which an encoder
takes its part of the processors.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import shutil
import tempfile
import time
from functools import partial
from typing import Any, Optional

import numpy as np

from gsp_network import AnimatorNetwork, Camera, Canvas, NetworkRenderer, Points, Segments, Viewport

from ..processes import ServerProcess
from .timing import Took, alternate, machine

WIDTH, HEIGHT = 800, 600
WORKERS = (1, 2)


class Orbit:
    """Visuals that go around the middle of the canvas, the inner parts faster.

    Args:
        kind: "points" or "segments".
        count: how many.
        width, height: of the canvas, in px.
        size: of a point, in pt².
    """

    def __init__(self, kind: str, count: int, width: int = WIDTH, height: int = HEIGHT, size: float = 20.0) -> None:
        rng = np.random.default_rng(0)
        self.canvas = Canvas(width, height, 96.0)
        self.seconds = 0.0
        self.radius = 0.95 * np.sqrt(rng.uniform(0.02, 1.0, count))
        self.angle = rng.uniform(0, 2 * np.pi, count)
        blend = self.radius / self.radius.max()
        colors = np.column_stack([40 + 200 * blend, 60 + 120 * (1 - blend), 200 - 160 * blend, np.full(count, 255)])
        colors = colors.astype(np.uint8)
        self.visual: Any
        if kind == "points":
            self.visual = Points(np.zeros((count, 3)), np.full(count, size), colors, colors, np.zeros(count))
        else:
            self.visual = Segments(np.zeros((2 * count, 3)), np.ones(count), "BUTT", colors)
        self.is_segments = kind == "segments"
        self.advance(0.0)

    def advance(self, delta_time: float) -> list[Any]:
        """An animator's callback."""
        self.seconds += delta_time
        angle = self.angle + 0.2 * self.seconds / self.radius
        ends = [angle, angle + 0.1] if self.is_segments else [angle]
        places = [np.column_stack([self.radius * np.cos(at), self.radius * np.sin(at), 0 * at]) for at in ends]
        self.visual.set_positions(np.stack(places, axis=1).reshape(-1, 3))
        return [self.visual]

    def scene(self) -> tuple[list[Any], ...]:
        """What `start` takes."""
        viewport = Viewport(0, 0, self.canvas.get_width(), self.canvas.get_height())
        return [viewport], [self.visual], [np.eye(4)], [Camera()]


def seconds_of(url: str, orbit: Orbit, frames: int, path: Optional[pathlib.Path]) -> float:
    """How long so many frames take, as a video or, without a path, alone."""
    with NetworkRenderer(orbit.canvas, url) as renderer:
        animator = AnimatorNetwork(renderer, 25, frames / 25, path)
        animator.add_callback(orbit.advance)
        began = time.perf_counter()
        if path is not None:
            animator.start(*orbit.scene())
        elif sum(1 for _ in animator.render_frames(*orbit.scene())) != frames:
            raise SystemExit("a frame is missing")
        return time.perf_counter() - began


def frame_ms(
    urls: dict[int, str], orbit: Orbit, frames: int, rounds: int, path: Optional[pathlib.Path] = None
) -> dict[int, float]:
    """Milliseconds of a frame, by the number of workers of the servers, which take turns."""

    def made(url: str) -> Took:
        return Took(1000 * seconds_of(url, orbit, frames, path) / frames)

    return alternate({number: partial(made, url) for number, url in urls.items()}, rounds, warm=0)


def main(arguments: Optional[list[str]] = None) -> float:
    """Print the table; returns the ratio for frames alone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=60, help="frames of a video (default 60)")
    parser.add_argument("--rounds", type=int, default=3, help="videos a server (default 3)")
    parser.add_argument("--count", type=int, default=10_000, help="segments (default 10000)")
    args = parser.parse_args(arguments)
    orbit = Orbit("segments", args.count)
    print(f"{machine()}, {args.count} segments, {args.frames} frames")
    print(f"{'':8}{'1 worker ms':>13}{'2 workers ms':>14}{'ratio':>8}")
    ratios = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        servers = {number: ServerProcess("--workers", str(number)) for number in WORKERS}
        for server in servers.values():
            stack.callback(server.close)
        urls = {number: server.url for number, server in servers.items()}
        frame_ms(urls, orbit, 6, 1)  # their workers wake up
        for name in ("frames", "mp4", "apng"):
            if name == "mp4" and shutil.which("ffmpeg") is None:
                print(f"{name:8}no ffmpeg here")
                continue
            path = None if name == "frames" else pathlib.Path(folder, f"video.{name}")
            one, two = frame_ms(urls, orbit, args.frames, args.rounds, path).values()
            ratios[name] = two / one
            print(f"{name:8}{one:13.1f}{two:14.1f}{two / one:8.2f}")
    return ratios["frames"]


if __name__ == "__main__":
    main()
