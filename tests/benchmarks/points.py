"""Points, pixels and segments as the server draws them, against Agg's drawing: milliseconds, and how far the pictures differ.

    python -m tests.benchmarks.points [--seconds 0.5] [--most 1000000]

Both draw the same prepared drawing in this process, without PNG, on 800 x 600 px at 96 dpi; they alternate, and the figures are
medians. Discs have random places and colours and an edge of 0.5 pt. "cold" is the first picture of a style, whose stamps have to
be drawn; "us" is microseconds a point; "gap" is how long another thread waited for its turn at most, in ms. Of a million
points only the first kind is drawn by Agg. Pixels are measured against the formula that blends those on one pixel exactly, and
segments, of two points each, against a LineCollection.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from typing import Any, Callable, Optional
from unittest import mock

import numpy as np

from gsp_network import Canvas, CapStyle, Viewport
from gsp_network.backends import backend, dots, lines, rasterize, stamps
from gsp_network.backends.base import Drawing

from ..scenes import similarity
from .frame import HEIGHT, WIDTH
from .timing import machine

COUNTS = (100, 150, 1000, 10_000, 100_000, 1_000_000)
CANVAS = Canvas(WIDTH, HEIGHT, 96.0)
LONG = 300_000  # points from which on Agg is measured once, of the first kind alone


def drawing(kind: str, count: int, size: float, width: float, alpha: int) -> Drawing:
    """Random discs, random dots of a colour each, or short segments between every two."""
    rng = np.random.default_rng(count)
    faces, edges = rng.integers(0, 256, (2, count, 4)).astype(np.uint8)
    faces[:, 3] = edges[:, 3] = alpha
    looks: dict[str, Any] = {
        "sizes": np.full(count, size, np.float32),
        "edge_widths": np.full(count, width, np.float32),
    }
    fields = {"face_colors": faces, "edge_colors": edges, **looks}
    places = rng.uniform(0, 1, (count, 2)) * (WIDTH, HEIGHT)
    if kind == "pixels":
        fields = {"colors": faces, "groups": 1}
    if kind == "segments":
        places[1::2] = places[::2] + rng.normal(0, 10, (count // 2, 2))
        widths = rng.uniform(0.5, 3, count // 2).astype(np.float32)
        fields = {"colors": faces[: count // 2], "line_widths": widths, "cap_style": CapStyle.BUTT}
    return Drawing(kind, "visuals[0]", kind, fields, Viewport(0, 0, WIDTH, HEIGHT), 96.0, places, np.ones(count, bool))


def here(item: Drawing) -> np.ndarray:
    """The picture as the server draws it."""
    return backend("matplotlib").render(CANVAS, [item])


def otherwise(item: Drawing) -> np.ndarray:
    """The picture by Agg alone, or by the formula."""
    with mock.patch.object(rasterize, "LEAST_POINTS", 10**9), mock.patch.object(lines, "knows_agg", lambda: False):
        with mock.patch.multiple(dots, ROUNDS=0, CHUNK=10**9):
            return here(item)


def timed(call: Callable[[Drawing], np.ndarray], item: Drawing) -> tuple[float, np.ndarray]:
    """Milliseconds of one call, and its picture."""
    began = time.perf_counter()
    picture = call(item)
    return 1000 * (time.perf_counter() - began), picture


def watched(item: Drawing) -> tuple[float, float, np.ndarray]:
    """Milliseconds, the longest between two turns of another thread that wants one every millisecond, and the picture."""
    ended, gaps = threading.Event(), [0.0]

    def watch() -> None:
        last = time.perf_counter()
        while not ended.wait(0.001):
            now = time.perf_counter()
            gaps.append(1000 * (now - last) - 1)
            last = now

    thread = threading.Thread(target=watch)
    thread.start()
    took, picture = timed(here, item)
    ended.set()
    thread.join()
    return took, max(gaps), picture


def row(name: str, item: Drawing, seconds: float, compared: bool = True) -> None:
    """Measure and print one row; without Agg where that takes too long."""
    count = len(item.pixels)
    stamps._kept.clear()
    cold, gap, picture = watched(item)
    mine, others = [], []
    began = time.perf_counter()
    while not mine or (time.perf_counter() - began < seconds and len(mine) < 15):
        if compared:
            took, other = timed(otherwise, item)
            others.append(took)
        mine.append(timed(here, item)[0])
    median = statistics.median(mine)
    line = f"{name:24}{count:9}"
    if compared:
        line += f"{statistics.median(others):9.1f}{median:9.1f}{statistics.median(others) / median:7.1f}x"
    else:
        line += f"{'-':>9}{median:9.1f}{'-':>8}"
    line += f"{cold:9.1f}{1000 * median / count:8.2f}{gap:6.1f}"
    if compared:
        line += f"{similarity(picture, other):9.5f}{int(np.abs(picture.astype(int) - other).max()):5}"
    print(line, flush=True)


def main(argv: Optional[list[str]] = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seconds", type=float, default=0.5, help="how long a row is measured, if that is several times (default 0.5)"
    )
    parser.add_argument("--most", type=int, default=COUNTS[-1], help="points of the largest scene (default 1000000)")
    arguments = parser.parse_args(argv)
    print(machine("numpy", "Matplotlib"))
    print(
        f"{'what':24}{'points':>9}{'others':>9}{'here':>9}{'ratio':>8}{'cold':>9}{'us':>8}{'gap':>6}{'SSIM':>9}{'most':>5}"
    )
    for size in (20, 5, 100):
        for alpha, word in ((255, "opaque"), (128, "translucent")):
            for count in (count for count in COUNTS if count <= arguments.most):
                compared = count < LONG or (size, alpha) == (20, 255)
                row(
                    f"points {size} pt2 {word}", drawing("points", count, size, 0.5, alpha), arguments.seconds, compared
                )
    for count in (count for count in COUNTS[3:] if count <= arguments.most):
        row("pixels", drawing("pixels", count, 1, 0, 255), arguments.seconds)
    for count in (count for count in COUNTS[3:] if count <= arguments.most):
        row("segments", drawing("segments", count, 1, 0, 255), arguments.seconds, count < LONG)


if __name__ == "__main__":
    main()
