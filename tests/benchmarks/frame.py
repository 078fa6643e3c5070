"""What HTTP costs: a frame through client and server over the same frame drawn in this process.

    python -m tests.benchmarks.frame [--rounds 15] [--workers N] [--table frame|known|both]

Both sides draw with the same backend and encode the same PNG; they alternate within each round, and the figures are the
medians. "render" is NetworkRenderer.render(), from scene objects to PNG; "body" posts a body that is already encoded;
"floor" is backend.render() and encode_png() on prepared drawings.

The second table is what it saves that the server has a scene's buffers: the same frames, in each of which the camera has moved,
by a client that sends all ("first") and by one that names what the server has ("known"); bytes of a request, milliseconds of
NetworkRenderer.render(), and those of them ("but drawing") in which the server neither drew nor made the PNG.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import statistics
import time
from dataclasses import replace
from typing import Any, Iterator, Optional
from unittest import mock

import numpy as np

from gsp_network import (
    Buffer,
    Camera,
    Canvas,
    Image,
    NetworkRenderer,
    Paths,
    Pixels,
    Points,
    RenderServer,
    Segments,
    Texts,
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
from gsp_network.transport import Answer, Transport, picture_of

from .timing import Side, alternate, machine

WIDTH, HEIGHT = 800, 600
JSON = {"Content-Type": "application/json"}
Scene = tuple[Any, ...]  # what render() takes


def around(visual: VisualBase, camera: Optional[Camera] = None) -> Scene:
    """A scene of one visual on the whole canvas."""
    return [Viewport(0, 0, WIDTH, HEIGHT)], [visual], [Buffer.identity()], [camera or Camera()]


def canvas() -> Canvas:
    """The canvas of all scenes."""
    return Canvas(WIDTH, HEIGHT, 96.0)


def moved(number: int) -> Camera:
    """The camera of a frame, in each of which it is elsewhere."""
    view = np.eye(4, dtype=np.float32)
    view[0, 3] = 0.001 * number
    return Camera(view[np.newaxis])


def some_places(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n, 3), on the canvas."""
    return np.column_stack([rng.uniform(-0.95, 0.95, (n, 2)), np.zeros(n)])


def some_colors(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n, 4) uint8, opaque."""
    return np.column_stack([rng.integers(0, 256, (n, 3)), np.full(n, 255)]).astype(np.uint8)


def points(n: int, rng: Optional[np.random.Generator] = None) -> Points:
    """Discs of random places and colours."""
    rng = rng or np.random.default_rng(n)
    places, faces, edges = some_places(rng, n), some_colors(rng, n), some_colors(rng, n)
    return Points(places, np.full(n, 20.0), faces, edges, np.full(n, 0.5))


def scenes() -> dict[str, VisualBase]:
    """The scenes by name, on a canvas of 800 x 600 at 96 dpi."""
    rng = np.random.default_rng(0)

    def places(n: int) -> np.ndarray:
        return some_places(rng, n)

    def colors(n: int) -> np.ndarray:
        return some_colors(rng, n)

    made: dict[str, VisualBase] = {}
    for n, name in ((100, "points 100"), (10_000, "points 10k"), (100_000, "points 100k")):
        made[name] = points(n, rng)
    made["pixels 100k"] = Pixels(places(100_000), colors(100_000), 1)
    texture = Texture(colors(512 * 512), 512, 512)
    made["pixels 1M"] = Pixels(*(make(np.random.default_rng(1), 1_000_000) for make in (some_places, some_colors)), 1)
    made["image 512x512"] = Image(texture, np.zeros((1, 3)), [-0.8, 0.8, -0.8, 0.8], "LINEAR")
    n = 10_000
    starts = places(n)
    ends = starts + np.column_stack([rng.normal(0, 0.03, (n, 2)), np.zeros(n)])
    made["segments 10k"] = Segments(
        np.stack([starts, ends], 1).reshape(-1, 3), rng.uniform(0.5, 3, n), "BUTT", colors(n)
    )
    walks = np.cumsum(rng.normal(0, 0.02, (100, 100, 2)), axis=1) + rng.uniform(-0.5, 0.5, (100, 1, 2))
    walks = np.column_stack([walks.reshape(-1, 2), np.zeros(n)])
    sizes = np.full(100, 100, np.uint32)
    made["paths 100x100"] = Paths(walks, sizes, colors(n), rng.uniform(0.5, 3, n), "BUTT", "MITER")
    n = 50
    strings = [f"label {index}" for index in range(n)]
    made["texts 50"] = Texts(
        places(n), strings, colors(n), np.full(n, 12.0), np.zeros((n, 2)), np.zeros(n), "DejaVu Sans"
    )
    return made


def large_scenes() -> dict[str, VisualBase]:
    """The scenes of the second table, by name; some are of the first one."""
    names = ("points 10k", "points 100k", "image 512x512", "pixels 1M")
    made = {name: visual for name, visual in scenes().items() if name in names}
    return {**made, "points 1M": points(1_000_000)}


class Floor:
    """What a server does for a scene once it is decoded, by calls in this process, with a backend of this process."""

    def __init__(self, visual: VisualBase, renderer: str = "matplotlib") -> None:
        self._scene = decode_scene(encode_scene(canvas(), *around(visual), renderer))
        self._backend, self._filtered = backend(renderer), holds_image(self._scene)
        self._drawings = prepare(self._scene)
        self._frames = 0

    def still(self) -> bytes:
        """The picture of the scene, whose vertices are on the canvas already."""
        return self._picture(self._drawings)

    def moving(self) -> bytes:
        """The picture of the next frame, whose camera is elsewhere: the vertices are projected too."""
        self._frames += 1
        return self._picture(prepare(replace(self._scene, cameras=(moved(self._frames),))))

    def _picture(self, drawings: Any) -> bytes:
        return encode_png(self._backend.render(self._scene.canvas, drawings), self._filtered)


@contextlib.contextmanager
def server_timings() -> Iterator[list[dict[str, float]]]:
    """What servers tell of the requests that are made meanwhile: milliseconds by the names in Server-Timing."""
    timings: list[dict[str, float]] = []
    post = Transport.post

    def seen(*args: Any) -> Answer:
        answer = post(*args)
        told = re.findall(r"(\w+);dur=([\d.]+)", answer.headers["Server-Timing"])
        timings.append({name: float(duration) for name, duration in told})
        return answer

    with mock.patch.object(Transport, "post", seen):
        yield timings


class Moving:
    """Renders one visual, each time from another place."""

    def __init__(self, renderer: NetworkRenderer, visual: VisualBase) -> None:
        self._renderer, self._visual = renderer, visual
        self._frames = 0
        self.others: list[float] = []  # milliseconds of each frame that were not the server's drawing

    def scene(self) -> Scene:
        """The next frame's."""
        self._frames += 1
        return around(self._visual, moved(self._frames))

    def render(self) -> bytes:
        """The next frame's picture."""
        return self._renderer.render(*self.scene())

    def __call__(self) -> bytes:
        scene = self.scene()
        with server_timings() as timings:
            began = time.perf_counter()
            picture = self._renderer.render(*scene)
            took = 1000 * (time.perf_counter() - began)
        self.others.append(took - timings[-1]["draw"] - timings[-1]["encode"])
        return picture

    def size(self) -> int:
        """Bytes of the next frame's request."""
        return len(self._renderer.encode(*self.scene()))


def print_known(url: str, rounds: int) -> None:
    """Print the second table."""
    heads = [("first B", 12), ("known B", 10), ("first ms", 10), ("known ms", 10), ("ratio", 7)]
    heads += [("but drawing", 13), ("", 10), ("ratio", 7)]
    print(f"{'camera moves':16}{''.join(f'{head:>{width}}' for head, width in heads)}")
    for name, visual in large_scenes().items():
        with NetworkRenderer(canvas(), url, use_refs=False) as all_sent, NetworkRenderer(canvas(), url) as named:
            first, known = Moving(all_sent, visual), Moving(named, visual)
            sides = {"first": first, "known": known}
            took = alternate(sides, min(rounds, 3) if "points 1" in name and "10k" not in name else rounds)
            if first() != known():
                raise SystemExit(f"{name}: the sides drew different pictures")
            sizes = f"{first.size():12}{known.size():10}"
            one, other = (statistics.median(moving.others[2:]) for moving in (first, known))
            ratios = f"{took['first']:10.1f}{took['known']:10.1f}{took['known'] / took['first']:7.2f}"
            print(f"{name:16}{sizes}{ratios}{one:13.1f}{other:10.1f}{other / one:7.2f}", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="frames a side (default 15; large scenes take a third)")
    parser.add_argument(
        "--workers", type=int, default=0, help="processes that draw (default 0: the server's own thread)"
    )
    parser.add_argument("--table", choices=("frame", "known", "both"), default="both", help="which (default both)")
    args = parser.parse_args()
    with RenderServer(port=0, workers=args.workers, log_level="error") as server:
        if args.table != "known":
            print_frames(server, args.rounds)
        if args.table != "frame":
            print_known(server.url, args.rounds)


def print_frames(server: RenderServer, rounds: int) -> None:
    """Print the first table."""
    print(machine("numpy", "Matplotlib"))
    print(f"{'scene':16}{'floor ms':>10}{'body ms':>10}{'render ms':>11}{'body/floor':>12}{'render/floor':>14}")
    with NetworkRenderer(canvas(), server.url) as renderer:
        transport = Transport(server.url)
        for name, visual in scenes().items():
            entry = around(visual)
            body = encode_scene(canvas(), *entry, "matplotlib")
            sides: dict[str, Side] = {
                "floor": Floor(visual).still,
                "body": lambda body=body: picture_of(transport.post("/render", body, JSON), server.url),
                "render": lambda entry=entry: renderer.render(*entry),
            }
            if not sides["floor"]() == sides["body"]() == sides["render"]():
                raise SystemExit(f"{name}: the sides drew different pictures")
            took = alternate(sides, max(rounds // 3, 3) if name in ("points 100k", "pixels 1M") else rounds)
            floor, posted, rendered = took["floor"], took["body"], took["render"]
            ratios = f"{posted / floor:12.2f}{rendered / floor:14.2f}"
            print(f"{name:16}{floor:10.1f}{posted:10.1f}{rendered:11.1f}{ratios}")
        transport.close()


if __name__ == "__main__":
    main()
