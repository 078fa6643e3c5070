"""Dots drawn with numpy: exact blending, to a level or two."""

from __future__ import annotations

import unittest
from unittest import mock

import numpy as np

from gsp_network import Canvas, Pixels

from .scenes import draw

WIDTH, HEIGHT = 160, 120
CANVAS = Canvas(WIDTH, HEIGHT, 96.0)


class TestDots(unittest.TestCase):
    def exact(self, places: np.ndarray, colors: np.ndarray) -> np.ndarray:
        """Dots blended one after the other without rounding, on white."""
        picture = np.full((HEIGHT, WIDTH, 3), 255.0)
        columns, rows = np.floor((places[:, :2] + 1) / 2 * (WIDTH, HEIGHT) + 0.5).astype(int).T
        for column, row, color in zip(columns, HEIGHT - rows, colors.astype(float)):
            if 0 <= column < WIDTH and 0 <= row < HEIGHT:
                picture[row, column] += (color[:3] - picture[row, column]) * (color[3] / 255 * 199 / 255)
        return picture

    def test_order_and_blend(self) -> None:
        """Dots on top of each other, few and many, opaque and not, are within two levels of exact blending."""
        rng = np.random.default_rng(9)
        for n, spread in ((5000, 1.1), (3000, 0.1), (2000, 0.004)):
            for alpha in (255, None):
                places = np.column_stack([rng.uniform(-spread, spread, (n, 2)), np.zeros(n)])
                colors = rng.integers(0, 256, (n, 4)).astype(np.uint8)
                colors[:, 3] = colors[:, 3] if alpha is None else alpha
                with self.subTest(n=n, spread=spread, alpha=alpha):
                    found = draw(Pixels(places, colors, 1), canvas=CANVAS)
                    self.assertLessEqual(np.abs(found - self.exact(places, colors)).max(), 2)

    def test_more_dots_than_pixels(self) -> None:
        """More dots in one go than the canvas has pixels, on top of each other."""
        rng = np.random.default_rng(11)
        n = 30_000
        places = np.column_stack([np.repeat(rng.uniform(-1, 1, (n // 3, 2)), 3, axis=0), np.zeros(n)])
        colors = rng.integers(0, 256, (n, 4)).astype(np.uint8)
        found = draw(Pixels(places, colors, 1), canvas=CANVAS)
        self.assertLessEqual(np.abs(found - self.exact(places, colors)).max(), 2)

    def test_chunks_and_groups(self) -> None:
        """More dots than one chunk, in groups of every kind."""
        rng = np.random.default_rng(10)
        n = 2400
        places = np.column_stack([rng.uniform(-1, 1, (n, 2)), np.zeros(n)])
        colors = rng.integers(0, 256, (3, 4)).astype(np.uint8)
        shuffled = np.split(rng.permutation(n), [200, 1900])
        for groups, order, group in (
            (800, np.arange(n), np.repeat([0, 1, 2], 800)),
            ([200, 1700, 500], np.arange(n), np.repeat([0, 1, 2], [200, 1700, 500])),
            ([part.tolist() for part in shuffled], np.concatenate(shuffled), np.repeat([0, 1, 2], [200, 1700, 500])),
        ):
            with mock.patch("gsp_network.backends.dots.CHUNK", 700):
                found = draw(Pixels(places, colors, groups), canvas=CANVAS)
            self.assertLessEqual(np.abs(found - self.exact(places[order], colors[group])).max(), 2)


if __name__ == "__main__":
    unittest.main()
