"""Paths: polylines whose pieces have a colour and a width each."""

import numpy as np
from common.scripts import draw_one, rainbow

from gsp_network import CapStyle, JoinStyle, Paths

lines, count = 5, 200
t = np.linspace(-1.0, 1.0, count)
rows = [np.column_stack([0.9 * t, 0.6 - 0.3 * k + 0.2 * np.sin(9 * t + k), 0 * t]) for k in range(lines)]
widths = np.tile(3.0 + 2.5 * np.sin(6 * t), lines)
colors = np.tile(rainbow(count), (lines, 1))
sizes = np.full(lines, count, np.uint32)
draw_one(Paths(np.concatenate(rows), sizes, colors, widths, CapStyle.ROUND, JoinStyle.ROUND), "paths.png")
