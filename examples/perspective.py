"""A camera: points on a sphere and its meridians, seen in perspective."""

import numpy as np
from common.cameras import moved, perspective, turned
from common.scripts import rainbow, save, server_url

from gsp_network import Camera, Canvas, CapStyle, JoinStyle, NetworkRenderer, Paths, Points, Viewport

canvas = Canvas(600, 450)
viewport = Viewport(0, 0, 600, 450)
camera = Camera(moved(0, 0, -3.5), perspective(np.radians(40), 600 / 450, 0.1, 100.0))
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
