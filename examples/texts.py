"""Texts: strings with a size, an angle and an anchor each."""

import numpy as np
from common.scripts import draw_one, rainbow

from gsp_network import Texts

strings = ["remote", "rendering", "of scientific", "scenes", "costs $0"]
count = len(strings)
positions = np.column_stack([[-0.8, -0.6, -0.1, 0.1, 0.7], [0.7, 0.4, 0.0, -0.5, -0.8], np.zeros(count)])
sizes = np.array([14.0, 18.0, 22.0, 26.0, 16.0])
angles = np.radians([0.0, 10.0, 20.0, -10.0, 90.0])
anchors = np.array([[-1, 0], [-1, 0], [0, 0], [0, 0], [-1, -1]])
draw_one(Texts(positions, strings, rainbow(count), sizes, anchors, angles, "DejaVu Sans"), "texts.png")
