"""Two viewports with events of their own: a cloud that turns on the left, the same cloud flat on the right.

The keys r, g and b colour the points of the viewport that was clicked last.
"""

import numpy as np
from common.pan_zoom import PanZoom
from common.scripts import parse, server_url
from common.trackball import Trackball

from gsp_network import (
    AnimatorNetwork,
    Camera,
    Canvas,
    KeyEvent,
    NetworkRenderer,
    Points,
    Viewport,
    ViewportEventsNetwork,
    VisualBase,
)

COLORS = {"r": (200, 40, 40, 255), "g": (30, 140, 60, 255), "b": (40, 70, 200, 255)}

count = 400
places = np.random.default_rng(8).normal(0, 0.4, (count, 3))


def cloud(color: str) -> Points:
    """The points in one of the colours, nearest last."""
    faces, edges = (np.tile(np.array([each], np.uint8), (count, 1)) for each in (COLORS[color], (255, 255, 255, 255)))
    depth = 60 * 2 ** places[:, 2]
    return Points(places[np.argsort(places[:, 2])], np.sort(depth), faces, edges, np.full(count, 0.5))


canvas = Canvas(600, 300)
viewports = [Viewport(0, 0, 300, 300), Viewport(300, 0, 300, 300)]
visuals = [cloud("r"), cloud("b")]
models, cameras = [np.eye(4), np.eye(4)], [Camera(), Camera()]

with server_url(parse()) as url, NetworkRenderer(canvas, url) as renderer:
    left, right = (ViewportEventsNetwork(renderer, viewport) for viewport in viewports)
    trackball, pan_zoom = Trackball(left), PanZoom(right)
    changed: list[VisualBase] = []

    def on_key(event: KeyEvent) -> None:
        if event.key_name in COLORS:
            which = [viewport.get_uuid() for viewport in viewports].index(event.viewport_uuid)
            visuals[which].set_face_colors(np.tile(np.array([COLORS[event.key_name]], np.uint8), (count, 1)))
            changed.append(visuals[which])

    left.key_press_event.subscribe(on_key)
    right.key_press_event.subscribe(on_key)
    animator = AnimatorNetwork(renderer)

    @animator.event_listener
    def move(seconds: float) -> list[VisualBase]:
        moved = list(changed)
        changed.clear()
        if trackball.take():
            models[0] = trackball.matrix
            moved.append(visuals[0])
        if pan_zoom.take():
            cameras[1].set_view_matrix(pan_zoom.matrix)
            moved.append(visuals[1])
        return moved

    animator.start(viewports, visuals, models, cameras)
