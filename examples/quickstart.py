"""Start a server inside this script, draw one scene with all seven visuals through it, and save the picture."""

import argparse
import contextlib
import pathlib

import numpy as np

from gsp_network import (
    Buffer,
    Camera,
    Canvas,
    CapStyle,
    Image,
    ImageInterpolation,
    JoinStyle,
    Markers,
    MarkerShape,
    NetworkRenderer,
    Paths,
    Pixels,
    Points,
    RenderServer,
    Segments,
    Texts,
    Texture,
    Viewport,
)

parser = argparse.ArgumentParser()
parser.add_argument("--server", metavar="URL", help="draw on this server (default: one inside this script)")
url = parser.parse_args().server

rng = np.random.default_rng(7)
canvas = Canvas(900, 480, dpi=96)


def colors(*rgba: int, count: int = 1) -> np.ndarray:
    return np.tile(np.array([rgba], np.uint8), (count, 1))


def wheel(count: int, alpha: int = 255) -> np.ndarray:
    phase = np.linspace(0.0, 5.0, count)[:, np.newaxis] + [0.0, 4.19, 2.09]
    return np.column_stack([127.5 + 110 * np.cos(phase), np.full(count, alpha)]).astype(np.uint8)


def xyz(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.column_stack([x, y, np.zeros(len(x))])


# Points: a random walk's steps, translucent, with dark edges.
n = 80
walk = np.cumsum(rng.normal(0.0, 0.11, (n, 2)), axis=0)
walk = 0.8 * (walk - walk.min(axis=0)) / np.ptp(walk, axis=0) * 2 - 0.8
points = Points(xyz(*walk.T), rng.uniform(20, 260, n), wheel(n, 180), colors(40, 40, 50, 255, count=n), np.full(n, 0.8))

# Markers: clubs on a circle.
n = 10
turn = np.arange(n) * 2 * np.pi / n
clubs = xyz(0.62 * np.cos(turn), 0.62 * np.sin(turn))
markers = Markers(MarkerShape.club, clubs, np.full(n, 420.0), wheel(n), colors(0, 0, 0, 255, count=n), np.full(n, 0.8))

# Pixels: a spiral galaxy of 60 000 dots in four groups.
arms, per_arm = 4, 15_000
reach = rng.exponential(0.23, (arms, per_arm))
turn = 7 * reach + np.pi / 2 * np.arange(arms)[:, np.newaxis] + rng.normal(0.0, 0.18, (arms, per_arm))
pixels = Pixels(xyz((reach * np.cos(turn)).ravel(), (reach * np.sin(turn)).ravel()), wheel(arms), per_arm)

# Segments: the rays of a compass.
n = 32
turn = np.arange(n) * 2 * np.pi / n
inner, outer = 0.25 * np.ones(n), np.where(np.arange(n) % 4 == 0, 0.85, 0.65)
ray = xyz(np.cos(turn), np.sin(turn))
ends = np.stack([ray * inner[:, np.newaxis], ray * outer[:, np.newaxis]], axis=1).reshape(-1, 3)
segments = Segments(ends, np.where(np.arange(n) % 4 == 0, 4.0, 1.5), CapStyle.ROUND, wheel(n))

# Paths: two Lissajous figures, one of changing colour and width, one plain.
n = 300
t = np.linspace(0, 2 * np.pi, n)
curves = np.concatenate([xyz(0.8 * np.sin(3 * t), 0.8 * np.sin(2 * t)), xyz(0.5 * np.sin(t), 0.5 * np.cos(t))])
widths = np.concatenate([2.5 + 2 * np.sin(5 * t), np.full(n, 1.2)])
path_colors = np.concatenate([wheel(n), colors(90, 90, 100, 255, count=n)])
paths = Paths(curves, np.array([n, n], np.uint32), path_colors, widths, CapStyle.ROUND, JoinStyle.ROUND)

# Texts: each with its own size, angle and anchor.
words = ["GSP", "over HTTP", "no install", "$0.00"]
texts = Texts(
    xyz(np.array([0.0, 0.0, -0.6, 0.6]), np.array([0.45, 0.0, -0.15, -0.15])),
    words,
    wheel(4),
    np.array([34.0, 18.0, 13.0, 13.0]),
    np.array([[0, 0], [0, 0], [0, 1], [0, 1]]),
    np.radians([0.0, 0.0, 35.0, -35.0]),
    "DejaVu Sans",
)

# Image: two waves that meet.
v, u = np.mgrid[-1:1:90j, -1:1:90j]
wave = np.cos(24 * np.hypot(u + 0.4, v)) + np.cos(24 * np.hypot(u - 0.4, v))
level = (wave + 2) / 4
texels = np.stack([40 + 200 * level, 60 + 120 * level**2, 200 - 120 * level, np.full_like(level, 255)], axis=-1)
texture = Texture(texels.astype(np.uint8), 90, 90)
image = Image(texture, np.zeros((1, 3)), [-0.85, 0.85, -0.85, 0.85], ImageInterpolation.LINEAR)

# One entry a visual, each in a viewport of its own, and a title below each.
visuals, viewports = [], []
for place, visual in enumerate([points, markers, pixels, segments, paths, texts, image]):
    column, row = place % 4, place // 4
    left, bottom = 15 + 220 * column + 110 * row, 250 - 230 * row
    viewports += [Viewport(left, bottom + 20, 200, 195), Viewport(left, bottom, 200, 20)]
    title = Texts(np.zeros((1, 3)), [visual.kind], colors(70, 70, 80, 255), [10.0], [[0.0, 0.0]], [0.0], "DejaVu Sans")
    visuals += [visual, title]

with contextlib.ExitStack() as stack:
    if url is None:
        url = stack.enter_context(RenderServer(port=0)).url
    renderer = stack.enter_context(NetworkRenderer(canvas, url))
    count = len(visuals)
    picture = renderer.render(viewports, visuals, [Buffer.identity()] * count, [Camera()] * count)

pathlib.Path("quickstart.png").write_bytes(picture)
print(f"wrote quickstart.png: {canvas.get_width()} x {canvas.get_height()} px, drawn by the server at {url}")
