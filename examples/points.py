"""Points: discs with a face, an edge and a size each."""

import numpy as np
from common.scripts import draw_one, rainbow

from gsp_network import Points

count = 60
angle = np.arange(count) * 2.39996  # the golden angle: a sunflower's head
radius = 0.9 * np.sqrt(np.arange(count) / count)
positions = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), np.zeros(count)])
sizes = np.linspace(30.0, 600.0, count)  # pt², the area of the square around each disc
edges = np.tile(np.array([[40, 40, 40, 255]], np.uint8), (count, 1))
draw_one(Points(positions, sizes, rainbow(count, alpha=200), edges, np.full(count, 1.0)), "points.png")
