"""Small scenes for tests, and their pictures as arrays."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any, Iterator, Optional

import numpy as np
from PIL import Image as PillowImage

from gsp_network import (
    Buffer,
    Camera,
    Canvas,
    Image,
    ImageInterpolation,
    Markers,
    Paths,
    Pixels,
    Points,
    RenderServer,
    Segments,
    Texts,
    Texture,
    Viewport,
    encode_scene,
)
from gsp_network.rendering import render_payload
from gsp_network.settings import Limits

RED, GREEN, BLUE, BLACK, WHITE = (255, 0, 0), (0, 128, 0), (0, 0, 255), (0, 0, 0), (255, 255, 255)


def rgba(color: tuple[int, ...], count: int = 1) -> np.ndarray:
    """(count, 4) uint8; opaque where `color` has three parts."""
    return np.tile(np.array([(*color, 255)[:4]], np.uint8), (count, 1))


def points(*positions: Any, size: float = 200.0, face: tuple = RED, edge: tuple = BLACK, width: float = 0.0) -> Points:
    """Discs of one style."""
    n = len(positions)
    places = np.array(positions, float).reshape(n, 3)
    return Points(places, np.full(n, size), rgba(face, n), rgba(edge, n), np.full(n, width))


def markers(
    shape: str, *positions: Any, size: float = 400.0, face: tuple = RED, edge: tuple = BLACK, width: float = 0.0
) -> Markers:
    """Markers of one style."""
    n = len(positions)
    places = np.array(positions, float).reshape(n, 3)
    return Markers(shape, places, np.full(n, size), rgba(face, n), rgba(edge, n), np.full(n, width))


def pixels(positions: Any, colors: Any, groups: Any) -> Pixels:
    """Dots."""
    return Pixels(np.array(positions, float).reshape(-1, 3), np.array(colors, np.uint8).reshape(-1, 4), groups)


def segment(start: Any, end: Any, width: float = 4.0, color: tuple = BLUE, cap: str = "BUTT") -> Segments:
    """One line."""
    return Segments(np.array([start, end], float), [width], cap, rgba(color))


def path(
    positions: Any, width: float = 4.0, colors: Any = BLUE, cap: str = "BUTT", join: str = "MITER", sizes: Any = None
) -> Paths:
    """One path, or several of given sizes; one colour or one a vertex."""
    places = np.array(positions, float)
    n = len(places)
    per_vertex = rgba(colors, n) if isinstance(colors, tuple) else np.array(colors, np.uint8)
    return Paths(places, np.array([n] if sizes is None else sizes, np.uint32), per_vertex, np.full(n, width), cap, join)


def text(
    string: str, size: float = 20.0, anchor: Any = (0, 0), angle: float = 0.0, at: Any = (0, 0, 0), color: tuple = BLACK
) -> Texts:
    """One string."""
    return Texts(np.array([at], float), [string], rgba(color), [size], [anchor], [angle], "DejaVu Sans")


def image(texels: Any, extent: Any = (-1, 1, -1, 1), interpolation: str = "NEAREST", at: Any = (0, 0, 0)) -> Image:
    """A picture of (h, w, 4) texels."""
    array = np.array(texels, np.uint8)
    height, width = array.shape[:2]
    return Image(Texture(array, width, height), np.array([at], float), list(extent), ImageInterpolation[interpolation])


def one_of_each() -> list[Any]:
    """All seven visuals."""
    return [
        image([[(*GREEN, 255)]]),
        points((0, 0, 0)),
        markers("club", (0.5, 0.5, 0)),
        pixels([[0.2, 0.2, 0]], [[0, 0, 0, 255]], 1),
        segment((-1, 0, 0), (1, 0, 0)),
        path([(-1, -1, 0), (0, 1, 0), (1, -1, 0)]),
        text("a"),
    ]


def body_of(
    *visuals: Any,
    canvas: Optional[Canvas] = None,
    viewports: Any = None,
    models: Any = None,
    camera: Optional[Camera] = None,
    renderer: Optional[str] = "matplotlib",
) -> bytes:
    """A request that draws these visuals, each over the whole canvas unless told otherwise."""
    canvas = canvas or Canvas(100, 100, 96.0)
    whole = Viewport(0, 0, canvas.get_width(), canvas.get_height())
    count = len(visuals)
    return encode_scene(
        canvas,
        viewports or [whole] * count,
        visuals,
        models or [Buffer.identity()] * count,
        [camera or Camera()] * count,
        renderer,
    )


def changed(body: bytes, *path: Any, value: Any = None, delete: bool = False) -> bytes:
    """The body with the value at a path of its ``data`` replaced or deleted."""
    document = json.loads(body)
    holder = document["data"]
    for step in path[:-1]:
        holder = holder[step]
    if delete:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return json.dumps(document).encode()


def array_of(png: bytes) -> np.ndarray:
    """A PNG as (height, width, 3) uint8."""
    picture = PillowImage.open(io.BytesIO(png))
    return np.asarray(picture.convert("RGB"))


def draw(*visuals: Any, limits: Optional[Limits] = None, **scene: Any) -> np.ndarray:
    """The picture of these visuals, drawn in this process."""
    return array_of(render_payload(body_of(*visuals, **scene), None, None, limits or Limits()))


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM (Wang et al. 2004) in windows of 7 x 7, mean over the channels."""

    def mean(values: np.ndarray) -> np.ndarray:
        sums = np.pad(values, ((1, 0), (1, 0), (0, 0))).cumsum(0, np.uint32).cumsum(1, np.uint32)
        # Sums over all wrap around; those over a window, being small, come out right.
        return (sums[7:, 7:] - sums[:-7, 7:] - sums[7:, :-7] + sums[:-7, :-7]) / 49

    a, b = a.astype(np.uint32), b.astype(np.uint32)
    mean_a, mean_b = mean(a), mean(b)
    product, squares = mean_a * mean_b, mean_a**2 + mean_b**2
    covariance, variances = mean(a * b) - product, mean(a * a + b * b) - squares
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(((2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))).mean())


@contextlib.contextmanager
def run_server(**settings: Any) -> Iterator[RenderServer]:
    """A real server on a free port of 127.0.0.1, in this process; with workers for Datoviz where it is told so."""
    server = RenderServer(port=0, **{"datoviz_workers": 0, **settings})
    try:
        yield server.start()
    finally:
        server.close(60.0)
