"""Markers: as points, in other shapes."""

import numpy as np
from common.scripts import draw_one, rainbow

from gsp_network import Markers, MarkerShape

count = 12
angle = np.arange(count) * 2 * np.pi / count
positions = np.column_stack([0.7 * np.cos(angle), 0.7 * np.sin(angle), np.zeros(count)])
edges = np.tile(np.array([[0, 0, 0, 255]], np.uint8), (count, 1))
sizes = np.full(count, 900.0)
draw_one(Markers(MarkerShape.club, positions, sizes, rainbow(count), edges, np.full(count, 1.0)), "markers.png")
