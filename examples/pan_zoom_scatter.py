"""A scatter of two thousand points: drag it with the left button, zoom with the wheel about the mouse."""

import numpy as np
from common.pan_zoom import PanZoom
from common.scripts import parse, rainbow, server_url

from gsp_network import (
    AnimatorNetwork,
    Buffer,
    Camera,
    Canvas,
    NetworkRenderer,
    Points,
    Viewport,
    ViewportEventsNetwork,
    VisualBase,
)

count = 2000
rng = np.random.default_rng(5)
angle, radius = rng.uniform(0, 2 * np.pi, count), rng.gamma(2.0, 0.13, count)
angle = np.sort(angle)
places = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), np.zeros(count)])
white = np.tile(np.array([[255, 255, 255, 255]], np.uint8), (count, 1))
points = Points(places, rng.uniform(20, 60, count), rainbow(count), white, np.full(count, 0.5))

canvas, viewport, camera = Canvas(500, 500), Viewport(0, 0, 500, 500), Camera()

with server_url(parse()) as url, NetworkRenderer(canvas, url) as renderer:
    pan_zoom = PanZoom(ViewportEventsNetwork(renderer, viewport))
    animator = AnimatorNetwork(renderer)

    @animator.event_listener
    def move(seconds: float) -> list[VisualBase]:
        if not pan_zoom.take():
            return []
        camera.set_view_matrix(pan_zoom.matrix)
        return [points]

    animator.start([viewport], [points], [Buffer.identity()], [camera])
