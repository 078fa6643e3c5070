"""Points and markers by one call to Agg: the pictures are those of Matplotlib's PathCollection, to the bit."""

from __future__ import annotations

import unittest
from typing import Any
from unittest import mock

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.transforms import Bbox

from gsp_network.backends import shapes
from gsp_network.backends.matplotlib_backend import marker_shape
from gsp_network.scene.visuals import MarkerShape


def some(rng: Any, count: int) -> shapes.Shapes:
    """Random ones: of no size, without an edge and translucent, on whole and half pixels, outside and far off too."""
    places = rng.uniform(-20, 84, (count, 2))
    places[::5] = np.round(places[::5] * 2) / 2
    places[:: max(count // 2, 3)] = (1e9, 30.0)
    sizes = np.resize([0.0, 3.3, 20.0, 1.0, 410.0], count) * rng.uniform(0.9, 1.1, count)
    widths = np.resize([0.5, 0.0, 2.0, 9.0], count).astype(np.float32)
    faces, edges = rng.integers(0, 256, (2, count, 4)).astype(np.uint8)
    return shapes.Shapes(places, sizes.astype(np.float32), faces, edges, widths)


class TestShapes(unittest.TestCase):
    def picture(self, *drawn: Any, **patched: Any) -> np.ndarray:
        renderer = RendererAgg(64, 48, 110.0)
        with mock.patch.multiple(shapes, **patched) if patched else mock.MagicMock():
            shapes.draw_shapes(renderer, Bbox([[5, 4], [60, 45]]), *drawn)
        return np.array(renderer.buffer_rgba())

    def test_as_the_artist_draws(self) -> None:
        """Shapes of all kinds, sizes and edges are those of a PathCollection."""
        self.assertTrue(shapes.knows_agg())
        rng = np.random.default_rng(3)
        for kind in MarkerShape:
            for count in (0, 1, 2, 3, 40):
                drawn = marker_shape(kind), some(rng, count)
                here, there = self.picture(*drawn), self.picture(*drawn, knows_agg=lambda: False)
                np.testing.assert_array_equal(here, there, f"{kind}, {count}")

    def test_in_pieces(self) -> None:
        """Many are drawn some at a time, and lie on each other in their order."""
        rng = np.random.default_rng(4)
        for kind, count in ((MarkerShape.club, 9), (MarkerShape.square, 13), (MarkerShape.square, 16)):
            drawn = marker_shape(kind), some(rng, count)
            for knows in (True, False):
                whole = self.picture(*drawn, knows_agg=lambda knows=knows: knows)
                pieces = self.picture(*drawn, knows_agg=lambda knows=knows: knows, MOST_SHAPES=4)
                np.testing.assert_array_equal(pieces, whole)

    def test_other_matplotlib(self) -> None:
        """Where Agg's function takes other arguments than the known ones, the artist draws."""
        self.addCleanup(shapes.knows_agg.cache_clear)
        shapes.knows_agg.cache_clear()
        with mock.patch.object(shapes, "draw_by_agg", side_effect=TypeError):
            self.assertFalse(shapes.knows_agg())
