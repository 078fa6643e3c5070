"""Frame time by number of points, of both renderers in one run, and where Datoviz overtakes.

    python -m tests.benchmarks.datoviz [--rounds 9] [--most 1000000] [--alpha 255]

Each frame has new positions, as an animation has, and is drawn in this process from prepared arrays, without PNG; the two
renderers alternate, and the figures are medians. Discs of 20 pt² with an edge of 0.5 pt, on 800 x 600 px.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
from typing import Any, Callable, Optional

import matplotlib
import numpy as np

from gsp_network import Canvas, Points, Viewport
from gsp_network.backends import backend, datoviz_backend, version
from gsp_network.backends.base import Drawing
from gsp_network.backends.datoviz_device import find_device

from .frame import HEIGHT, WIDTH, alternate

COUNTS = (100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000)


def frames(count: int, alpha: int) -> Callable[[], list[Drawing]]:
    """A function that gives the next frame: the same discs elsewhere."""
    rng = np.random.default_rng(count)
    colors = rng.integers(0, 256, (count, 4)).astype(np.uint8)
    colors[:, 3] = alpha
    edges = np.zeros((count, 4), np.uint8)
    edges[:, 3] = alpha
    looks = {"sizes": np.full(count, 20.0, np.float32), "edge_widths": np.full(count, 0.5, np.float32)}
    fields: dict[str, Any] = {"face_colors": colors, "edge_colors": edges, **looks}
    viewport, visible = Viewport(0, 0, WIDTH, HEIGHT), np.ones(count, bool)
    places = [rng.uniform(0, 1, (count, 2)) * (WIDTH, HEIGHT) for _ in range(3)]
    key = Points.kind, "benchmark"
    made = [Drawing(Points.kind, "visuals[0]", key, fields, viewport, 96.0, pixels, visible) for pixels in places]
    turn = [0]

    def following() -> list[Drawing]:
        turn[0] += 1
        return [made[turn[0] % len(made)]]

    return following


def overtaken(times: dict[int, dict[str, float]]) -> Optional[float]:
    """The number of points from which on Datoviz is faster, between those measured; None where it is not."""
    ratio = {count: took["datoviz"] / took["matplotlib"] for count, took in times.items()}
    counts = sorted(ratio)
    slower = [count for count in counts if ratio[count] >= 1]
    if not slower:
        return float(counts[0])
    if slower[-1] == counts[-1]:
        return None
    low, high = slower[-1], counts[counts.index(slower[-1]) + 1]
    part = math.log(ratio[low]) / (math.log(ratio[low]) - math.log(ratio[high]))
    return float(math.exp(math.log(low) + part * (math.log(high) - math.log(low))))


def main(argv: Optional[list[str]] = None) -> int:
    """Print the table; 2 where Datoviz cannot draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rounds", type=int, default=9, help="frames a renderer (default 9; large scenes take a third)"
    )
    parser.add_argument("--most", type=int, default=COUNTS[-1], help="points of the largest scene (default 1000000)")
    parser.add_argument("--alpha", type=int, default=255, help="opacity of discs and edges, 0 to 255 (default 255)")
    arguments = parser.parse_args(argv)
    device = find_device()
    if device.reason:
        print(f"Datoviz: {device.reason}")
        return 2
    datoviz_backend.use_memory()
    sides = {name: backend(name) for name in ("matplotlib", "datoviz")}
    canvas = Canvas(WIDTH, HEIGHT, 96.0)
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, Matplotlib {matplotlib.__version__}, "
        f"Datoviz {version('datoviz')} on {device.device} ({device.driver}), {os.cpu_count()} CPUs"
    )
    print(f"{'points':>9}{'matplotlib ms':>15}{'datoviz ms':>12}{'ratio':>8}")
    times = {}
    for count in COUNTS:
        if count > arguments.most:
            break
        following = frames(count, arguments.alpha)
        calls = {
            name: (lambda drawer=drawer, following=following: drawer.render(canvas, following()))
            for name, drawer in sides.items()
        }
        rounds = arguments.rounds if count < 30_000 else max(arguments.rounds // 3, 1)
        took = times[count] = alternate(calls, rounds)
        print(
            f"{count:9}{took['matplotlib']:15.1f}{took['datoviz']:12.1f}{took['matplotlib'] / took['datoviz']:7.1f}x",
            flush=True,
        )
    from_here = overtaken(times)
    print(
        "Datoviz is not faster here" if from_here is None else f"Datoviz is faster from about {from_here:.0f} points on"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
