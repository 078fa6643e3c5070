"""A cube that the mouse turns: drag with the left button, zoom with the wheel."""

import itertools

import numpy as np
from common.cameras import moved, perspective, turned
from common.scripts import parse, rainbow, server_url
from common.trackball import Trackball

from gsp_network import (
    AnimatorNetwork,
    Camera,
    Canvas,
    CapStyle,
    NetworkRenderer,
    Points,
    Segments,
    Viewport,
    ViewportEventsNetwork,
    VisualBase,
)

corners = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
edges = [(a, b) for a, b in itertools.combinations(corners, 2) if np.sum(a != b) == 1]
lines = Segments(np.array(edges).reshape(-1, 3), np.full(12, 4.0), CapStyle.ROUND, rainbow(12))
black = np.tile(np.array([[0, 0, 0, 255]], np.uint8), (8, 1))
points = Points(corners, np.full(8, 150.0), rainbow(8), black, np.full(8, 1.0))

canvas, viewport = Canvas(400, 400), Viewport(0, 0, 400, 400)
camera = Camera(moved(0, 0, -5), perspective(np.radians(45), 1.0, 0.1, 100.0))
start = turned(0.5, 0.6)
models = [start, start]

with server_url(parse()) as url, NetworkRenderer(canvas, url) as renderer:
    trackball = Trackball(ViewportEventsNetwork(renderer, viewport))
    animator = AnimatorNetwork(renderer)

    @animator.event_listener
    def turn(seconds: float) -> list[VisualBase]:
        if not trackball.take():
            return []
        models[:] = [trackball.matrix @ start] * 2
        return [lines, points]

    animator.start([viewport] * 2, [lines, points], models, [camera] * 2)
