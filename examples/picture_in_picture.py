"""Picture in picture: a map to pan and zoom, and over its corner the whole of it, with a frame around what is seen."""

import numpy as np
from common.pan_zoom import PanZoom
from common.scripts import parse, server_url

from gsp_network import (
    AnimatorNetwork,
    Buffer,
    Camera,
    Canvas,
    CapStyle,
    Image,
    ImageInterpolation,
    JoinStyle,
    NetworkRenderer,
    Paths,
    Texture,
    Viewport,
    ViewportEventsNetwork,
    VisualBase,
)

SIZE = 256
y, x = np.mgrid[1 : -1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
waves = np.sin(9 * x + 3 * np.sin(4 * y)) * np.cos(7 * y - 2 * np.cos(3 * x))
phase = 2.2 * waves[..., np.newaxis] + [0.0, 2.1, 4.2]
texels = np.full((SIZE, SIZE, 4), 255, np.uint8)
texels[..., :3] = 127.5 + 120 * np.sin(phase)

# The picture stands at its lower left corner and is as large as the scene: the camera moves the corner, the extent is ours.
texture = Texture(texels, SIZE, SIZE)
far, near = (Image(texture, np.zeros((1, 3)), [-1, 1, -1, 1], ImageInterpolation.LINEAR) for _ in range(2))
white = np.tile(np.array([[255, 255, 255, 255]], np.uint8), (5, 1))
frame = Paths(np.zeros((5, 3)), [5], white, np.full(5, 1.5), CapStyle.PROJECTING, JoinStyle.MITER)
border = Paths(
    [(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0), (-1, -1, 0)],
    [5],
    white,
    np.full(5, 3.0),
    CapStyle.PROJECTING,
    JoinStyle.MITER,
)

canvas = Canvas(480, 480)
whole, inset = Viewport(0, 0, 480, 480), Viewport(340, 340, 128, 128)


def show(view: np.ndarray) -> None:
    """Put the map where the view wants it, and the frame around what is seen of it."""
    zoom, middle = view[0, 0], view[:2, 3]
    near.set_position(np.array([[*middle, 0.0]]))
    near.set_image_extent([-zoom, zoom, -zoom, zoom])
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)])
    frame.set_positions(np.column_stack([(corners - middle) / zoom, np.zeros(5)]))


view = np.diag([2.5, 2.5, 1.0, 1.0])
show(view)

with server_url(parse()) as url, NetworkRenderer(canvas, url) as renderer:
    pan_zoom = PanZoom(ViewportEventsNetwork(renderer, whole))
    pan_zoom.matrix = view
    animator = AnimatorNetwork(renderer)

    @animator.event_listener
    def move(seconds: float) -> list[VisualBase]:
        if not pan_zoom.take():
            return []
        show(pan_zoom.matrix)
        return [near, frame]

    animator.start([whole, inset, inset, inset], [near, far, frame, border], [Buffer.identity()] * 4, [Camera()] * 4)
