"""A camera: points on a sphere and its meridians, seen in perspective."""

import numpy as np
from _common import rainbow, save, server_url

from gsp_network import Camera, Canvas, CapStyle, JoinStyle, NetworkRenderer, Paths, Points, Viewport


def perspective(field_of_view: float, aspect: float, near: float, far: float) -> np.ndarray:
    """A projection matrix; the field of view is the vertical one, in radians."""
    scale = 1.0 / np.tan(field_of_view / 2)
    matrix = np.zeros((4, 4))
    matrix[0, 0], matrix[1, 1] = scale / aspect, scale
    matrix[2] = [0.0, 0.0, (far + near) / (near - far), 2 * far * near / (near - far)]
    matrix[3, 2] = -1.0
    return matrix


def turned(about_x: float, about_y: float) -> np.ndarray:
    """A model matrix that turns about the y axis, then about the x axis."""
    c, s, d, t = np.cos(about_y), np.sin(about_y), np.cos(about_x), np.sin(about_x)
    turn_y = np.array([[c, 0, s, 0], [0, 1, 0, 0], [-s, 0, c, 0], [0, 0, 0, 1]])
    turn_x = np.array([[1, 0, 0, 0], [0, d, -t, 0], [0, t, d, 0], [0, 0, 0, 1]])
    return turn_x @ turn_y


canvas = Canvas(600, 450)
viewport = Viewport(0, 0, 600, 450)
view = np.eye(4)
view[2, 3] = -3.5  # the camera stands 3.5 units back
camera = Camera(view, perspective(np.radians(40), 600 / 450, 0.1, 100.0))
model = turned(0.5, 0.6)

count, meridians = 90, 8
angle = np.linspace(0, 2 * np.pi, count)
circle = np.column_stack([np.sin(angle), np.cos(angle), np.zeros(count)])
rows = [circle @ turned(0.0, np.pi * k / meridians)[:3, :3].T for k in range(meridians)]
grey = np.tile(np.array([[150, 150, 160, 255]], np.uint8), (count * meridians, 1))
sizes = np.full(meridians, count, np.uint32)
lines = Paths(np.concatenate(rows), sizes, grey, np.full(count * meridians, 0.8), CapStyle.BUTT, JoinStyle.ROUND)

height = np.linspace(1, -1, 120)
turn = np.arange(120) * 2.39996
ring = np.sqrt(1 - height**2)
ball = np.column_stack([ring * np.cos(turn), height, ring * np.sin(turn)])
ball = ball[np.argsort(ball @ model[2, :3])]  # the list order is the drawing order: the farthest first
black = np.tile(np.array([[0, 0, 0, 255]], np.uint8), (120, 1))
points = Points(ball, np.full(120, 60.0), rainbow(120), black, np.full(120, 0.6))

with server_url() as url, NetworkRenderer(canvas, url) as renderer:
    save(renderer.render([viewport] * 2, [lines, points], [model] * 2, [camera] * 2), "perspective.png")
