"""What a frame by Datoviz costs over the network, and where Datoviz overtakes Matplotlib.

    python -m tests.benchmarks.datoviz [--table network|renderers|both] [--only points] [--rounds 15] [--most 1000000] ...

The first table has the scenes of `frame.py`, each as it is ("still") and with other positions in each frame ("moves"). "floor" is
Datoviz alone with what it keeps, from arrays that are ready for it (upload of what differs, update, grab), and the PNG; "in
process" is backend.render(), and the PNG; "render" is NetworkRenderer.render(), against a server with one worker.
The first two are drawn and timed in another process like the server's worker. The three alternate within each round.

In the second table each frame has new positions, as an animation has, and is drawn in this process from prepared arrays, without
PNG; the two renderers alternate. Discs of 20 pt² with an edge of 0.5 pt.

All is 800 x 600 px; the figures are medians, in milliseconds.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import platform
import statistics
import time
from typing import Any, Callable, Optional

import matplotlib
import numpy as np

from gsp_network import (
    Buffer,
    Camera,
    Canvas,
    NetworkRenderer,
    Points,
    RenderServer,
    Viewport,
    VisualBase,
    encode_scene,
)
from gsp_network.backends import backend, datoviz_backend, version
from gsp_network.backends.base import Drawing
from gsp_network.backends.datoviz_device import find_device
from gsp_network.pools import STEPS
from gsp_network.settings import Settings
from gsp_network.workers import WorkerPool

from .datoviz_beside import drawn_beside
from .frame import HEIGHT, WIDTH, alternate, scenes

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


STEP = 0.0005  # of x, from frame to frame, where a scene moves


class Over:
    """A scene's frames, on each of the three sides."""

    def __init__(self, renderer: NetworkRenderer, pool: WorkerPool, visual: VisualBase, moves: bool) -> None:
        self._renderer, self._pool, self._visual, self._moves = renderer, pool, visual, moves
        self._field = visual.position_field().name
        self._places = getattr(visual, f"get_{self._field}")().to_numpy().copy()
        self._turn = 0
        self._entry: tuple[Any, ...] = [Viewport(0, 0, WIDTH, HEIGHT)], [visual], [Buffer.identity()], [Camera()]

    def frame(self, side: str) -> tuple[float, bytes]:
        """Milliseconds and PNG of the next frame."""
        if self._moves:
            self._turn += 1
            places = self._places + np.array([STEP * self._turn, 0, 0], np.float32)
            getattr(self._visual, f"set_{self._field}")(places)
        if side == "render":
            began = time.perf_counter()
            picture = self._renderer.render(*self._entry)
            return 1000 * (time.perf_counter() - began), picture
        body = encode_scene(self._renderer.get_canvas(), *self._entry, "datoviz")
        took, picture = self._pool.submit(drawn_beside, side, body).result()
        return took, picture


def print_network(rounds: int, only: str) -> None:
    """Print the first table, or of it the scenes whose names begin so."""
    canvas, settings = Canvas(WIDTH, HEIGHT, 96.0), Settings(worker_memory_bytes=0, log_level="error")
    print(f"{'scene':22}{'floor ms':>10}{'in process':>12}{'render':>9}{'render/floor':>14}{'render/in process':>19}")
    with contextlib.ExitStack() as stack:
        pool = WorkerPool(1, settings, warm_up=STEPS.use_memory)
        stack.callback(pool.shutdown)
        server = stack.enter_context(RenderServer(port=0, workers=1, datoviz_workers=1, log_level="error"))
        for name, visual in scenes().items():
            if not name.startswith(only):
                continue
            for moves in (False, True):
                with NetworkRenderer(canvas, server.url, "datoviz") as renderer:
                    over = Over(renderer, pool, visual, moves)
                    times: dict[str, list[float]] = {"floor": [], "in process": [], "render": []}
                    for number in range(rounds + 3):
                        drawn = {side: over.frame(side) for side in times}
                        if not moves and len({picture for _, picture in drawn.values()}) > 1:
                            raise SystemExit(f"{name}: the sides drew different pictures")
                        if number >= 3:  # the first warm up
                            for side, (took, _) in drawn.items():
                                times[side].append(took)
                floor, local, render = (statistics.median(values) for values in times.values())
                scene = f"{name}, {'moves' if moves else 'still'}"
                print(
                    f"{scene:22}{floor:10.1f}{local:12.1f}{render:9.1f}{render / floor:14.2f}{render / local:19.2f}",
                    flush=True,
                )


def main(argv: Optional[list[str]] = None) -> int:
    """Print the tables; 2 where Datoviz cannot draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--table", choices=("network", "renderers", "both"), default="both", help="which (default both)"
    )
    parser.add_argument("--only", default="", help="scenes of the first table whose names begin so (default: all)")
    parser.add_argument("--rounds", type=int, default=15, help="frames a side (default 15; some scenes take a third)")
    parser.add_argument("--most", type=int, default=COUNTS[-1], help="points of the largest scene (default 1000000)")
    parser.add_argument("--alpha", type=int, default=255, help="opacity of discs and edges, 0 to 255 (default 255)")
    arguments = parser.parse_args(argv)
    device = find_device()
    if device.reason:
        print(f"Datoviz: {device.reason}")
        return 2
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, Matplotlib {matplotlib.__version__}, "
        f"Datoviz {version('datoviz')} on {device.device} ({device.driver}), {os.cpu_count()} CPUs"
    )
    if arguments.table != "renderers":
        print_network(arguments.rounds, arguments.only)
    if arguments.table != "network":
        print_renderers(arguments.rounds, arguments.most, arguments.alpha)
    return 0


def print_renderers(rounds: int, most: int, alpha: int) -> None:
    """Print the second table."""
    datoviz_backend.use_memory()
    sides = {name: backend(name) for name in ("matplotlib", "datoviz")}
    canvas = Canvas(WIDTH, HEIGHT, 96.0)
    print(f"{'points':>9}{'matplotlib ms':>15}{'datoviz ms':>12}{'ratio':>8}")
    times = {}
    for count in COUNTS:
        if count > most:
            break
        following = frames(count, alpha)
        calls = {
            name: (lambda drawer=drawer, following=following: drawer.render(canvas, following()))
            for name, drawer in sides.items()
        }
        took = times[count] = alternate(calls, rounds if count < 30_000 else max(rounds // 3, 1))
        print(
            f"{count:9}{took['matplotlib']:15.1f}{took['datoviz']:12.1f}{took['matplotlib'] / took['datoviz']:7.1f}x",
            flush=True,
        )
    from_here = overtaken(times)
    print(
        "Datoviz is not faster here" if from_here is None else f"Datoviz is faster from about {from_here:.0f} points on"
    )


if __name__ == "__main__":
    raise SystemExit(main())
