"""Lines by one call to Agg: the pictures are those of Matplotlib's LineCollection, to the bit."""

from __future__ import annotations

import unittest
from typing import Any
from unittest import mock

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.transforms import Bbox

from gsp_network.backends import lines
from gsp_network.backends.base import Lines

from .scenes import draw, segment


class TestLines(unittest.TestCase):
    def both(self, vertices: Any, starts: Any, stops: Any, widths: Any, cap: str, join: str) -> tuple[Any, Any]:
        rng = np.random.default_rng(len(starts))
        colors = rng.integers(0, 256, (len(starts), 4)).astype(np.uint8)
        found = Lines(
            np.array(vertices, float), np.array(starts), np.array(stops), colors, np.array(widths, np.float32)
        )
        pictures = []
        for knows in (True, False):
            renderer = RendererAgg(64, 48, 110.0)
            with mock.patch.object(lines, "knows_agg", lambda knows=knows: knows):
                lines.draw_lines(renderer, Bbox([[5, 4], [60, 45]]), found, cap, join)
            pictures.append(np.array(renderer.buffer_rgba()))
        return pictures[0], pictures[1]

    def test_as_the_artist_draws(self) -> None:
        """Lines of all lengths and styles, upright ones and such that begin far off, are those of a LineCollection."""
        rng = np.random.default_rng(8)
        count = 60
        vertices = np.concatenate([rng.uniform(-20, 84, (count, 2)), rng.integers(0, 50, (count, 2))])
        vertices[7::9, 1] = vertices[6::9, 1][: len(vertices[7::9])]
        vertices[5], vertices[40] = (1e9, -3e8), (1e300, 2)
        starts = np.concatenate([np.arange(0, count, 2), np.arange(count, 2 * count, 6)])
        stops = np.concatenate([starts[: count // 2] + 2, starts[count // 2 :] + np.resize([2, 3, 6], count // 6)])
        order = rng.permutation(len(starts))
        widths = np.resize([0.0, 0.4, 1.0, 3.3, 14.0], len(starts))
        for cap, join in (("butt", "miter"), ("projecting", "bevel"), ("round", "round")):
            for chosen in (order, order[:1], order[-1:], np.arange(4)):
                with self.subTest(cap=cap, lines=len(chosen)), mock.patch.object(lines, "MOST_LINES", 16):
                    found, expected = self.both(vertices, starts[chosen], stops[chosen], widths[chosen], cap, join)
                    np.testing.assert_array_equal(found, expected)
                    self.assertTrue(found.any() or len(chosen) == 1)

    def test_agg_is_known(self) -> None:
        """Matplotlib's function is the one that is known here, so that lines are drawn fast."""
        self.assertTrue(lines.knows_agg())

    def test_another_agg(self) -> None:
        """Where it takes other arguments, or draws otherwise, the artist draws."""
        self.addCleanup(lines.knows_agg.cache_clear)
        for change in ({"side_effect": TypeError("missing 1 argument")}, {"return_value": None}):
            lines.knows_agg.cache_clear()
            with self.subTest(change), mock.patch.object(lines, "draw_by_agg", **change):
                self.assertFalse(lines.knows_agg())
                self.assertFalse((draw(segment((-1, 0, 0), (1, 0, 0))) == 255).all())
