"""Segments: straight lines, each with a width and a colour."""

import numpy as np
from common.scripts import draw_one, rainbow

from gsp_network import CapStyle, Segments

count = 36
angle = np.arange(count) * 2 * np.pi / count
ray = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(count)])
ends = np.stack([0.3 * ray, 0.9 * ray], axis=1).reshape(-1, 3)  # start, end, start, end, ...
draw_one(Segments(ends, np.linspace(1.0, 8.0, count), CapStyle.ROUND, rainbow(count)), "segments.png")
