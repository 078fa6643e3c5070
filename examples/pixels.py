"""Pixels: many dots of one pixel, coloured by group."""

import numpy as np
from common.scripts import draw_one, rainbow

from gsp_network import Pixels

arms, per_arm = 5, 20_000
rng = np.random.default_rng(1)
turn = rng.exponential(0.25, (arms, per_arm))
angle = 6.0 * turn + 2 * np.pi / arms * np.arange(arms)[:, np.newaxis] + rng.normal(0.0, 0.15, (arms, per_arm))
positions = np.stack([turn * np.cos(angle), turn * np.sin(angle), np.zeros_like(turn)], axis=-1).reshape(-1, 3)
draw_one(Pixels(positions, rainbow(arms), per_arm), "pixels.png")
