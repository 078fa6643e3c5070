"""What HTTP costs: a frame through client and server over the same frame drawn in this process.

    python -m tests.benchmarks.frame [--rounds 15] [--workers N]

Both sides draw with the same backend and encode the same PNG; they alternate within each round, and the figures are the
medians. "render" is NetworkRenderer.render(), from scene objects to PNG; "body" posts a body that is already encoded;
"floor" is backend.render() and encode_png() on prepared drawings.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from typing import Any, Callable

import matplotlib
import numpy as np

from gsp_network import (
    Buffer,
    Camera,
    Canvas,
    Image,
    NetworkRenderer,
    Pixels,
    Points,
    RenderServer,
    Texture,
    Viewport,
    VisualBase,
    decode_scene,
    encode_scene,
)
from gsp_network.backends import backend
from gsp_network.backends.base import prepare
from gsp_network.png import encode_png
from gsp_network.rendering import holds_image
from gsp_network.transport import Transport, picture_of

WIDTH, HEIGHT = 800, 600
JSON = {"Content-Type": "application/json"}


def scenes() -> dict[str, VisualBase]:
    """The scenes by name, on a canvas of 800 x 600 at 96 dpi."""
    rng = np.random.default_rng(0)

    def places(n: int) -> np.ndarray:
        return np.column_stack([rng.uniform(-0.95, 0.95, (n, 2)), np.zeros(n)])

    def colors(n: int) -> np.ndarray:
        return np.column_stack([rng.integers(0, 256, (n, 3)), np.full(n, 255)]).astype(np.uint8)

    made: dict[str, VisualBase] = {}
    for n, name in ((100, "points 100"), (10_000, "points 10k"), (100_000, "points 100k")):
        made[name] = Points(places(n), np.full(n, 20.0), colors(n), colors(n), np.full(n, 0.5))
    made["pixels 100k"] = Pixels(places(100_000), colors(100_000), 1)
    texture = Texture(colors(512 * 512), 512, 512)
    made["image 512x512"] = Image(texture, np.zeros((1, 3)), [-0.8, 0.8, -0.8, 0.8], "LINEAR")
    return made


def alternate(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each side, all of them called once a round in turn, after two rounds of warming up."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 2):
        for name, call in sides.items():
            began = time.perf_counter()
            call()
            if number >= 2:
                times[name].append(1000 * (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="frames a side (default 15; large scenes take a third)")
    parser.add_argument(
        "--workers", type=int, default=0, help="processes that draw (default 0: the server's own thread)"
    )
    args = parser.parse_args()
    rounds = args.rounds
    canvas, viewport = Canvas(WIDTH, HEIGHT, 96.0), Viewport(0, 0, WIDTH, HEIGHT)
    print(f"Python {platform.python_version()}, numpy {np.__version__}, Matplotlib {matplotlib.__version__}")
    print(f"{'scene':16}{'floor ms':>10}{'body ms':>10}{'render ms':>11}{'body/floor':>12}{'render/floor':>14}")
    with (
        RenderServer(port=0, workers=args.workers, log_level="error") as server,
        NetworkRenderer(canvas, server.url) as renderer,
    ):
        transport = Transport(server.url)
        for name, visual in scenes().items():
            entry = [viewport], [visual], [Buffer.identity()], [Camera()]
            body = encode_scene(canvas, *entry, "matplotlib")
            scene = decode_scene(body)
            drawer, drawings, filtered = backend("matplotlib"), prepare(scene), holds_image(scene)
            sides: dict[str, Callable[[], Any]] = {
                "floor": lambda drawer=drawer, drawings=drawings, filtered=filtered: encode_png(
                    drawer.render(canvas, drawings), filtered
                ),
                "body": lambda body=body: picture_of(transport.post("/render", body, JSON), server.url),
                "render": lambda entry=entry: renderer.render(*entry),
            }
            if not sides["floor"]() == sides["body"]() == sides["render"]():
                raise SystemExit(f"{name}: the sides drew different pictures")
            took = alternate(sides, max(rounds // 3, 3) if "100k" in name and "points" in name else rounds)
            floor, posted, rendered = took["floor"], took["body"], took["render"]
            ratios = f"{posted / floor:12.2f}{rendered / floor:14.2f}"
            print(f"{name:16}{floor:10.1f}{posted:10.1f}{rendered:11.1f}{ratios}")
        transport.close()


if __name__ == "__main__":
    main()
