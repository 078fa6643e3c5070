"""Discs drawn with numpy: the pictures are Agg's, or so near that nobody sees it."""

from __future__ import annotations

import threading
import time
import unittest
from typing import Any, Optional
from unittest import mock

import numpy as np

from gsp_network import Canvas, Markers, Points, Viewport, VisualBase
from gsp_network.backends import backend, rasterize, stamps
from gsp_network.backends.base import Drawing
from gsp_network.scene.visuals import MarkerShape

from .scenes import draw, image, path, similarity

WIDTH, HEIGHT = 160, 120
CANVAS = Canvas(WIDTH, HEIGHT, 96.0)
PT = 72 / 96  # of a px

# What is promised of discs that are not Agg's own, of 1 and of 255.
LEAST_SSIM, MOST = 0.998, 21


def discs(
    n: int,
    diameter: Any = 6.0,
    width: Any = 0.5,
    alpha: Any = 255,
    seed: int = 0,
    places: Optional[np.ndarray] = None,
    kind: type = Points,
) -> VisualBase:
    """Random discs of random colours: diameters in px, edges in pt; NDC a bit beyond the viewport."""
    rng = np.random.default_rng(seed)
    if places is None:
        places = np.column_stack([rng.uniform(-1.1, 1.1, (n, 2)), np.zeros(n)])
    faces, edges = rng.integers(0, 256, (2, n, 4)).astype(np.uint8)
    faces[:, 3], edges[:, 3] = rng.choice(alpha, n), rng.choice(alpha, n)
    sizes, widths = (np.broadcast_to(diameter, n) * PT) ** 2, np.broadcast_to(width, n)
    arrays = places, sizes.astype(np.float32), faces, edges, widths.astype(np.float32)
    return Markers(MarkerShape.disc, *arrays) if kind is Markers else Points(*arrays)


def by_agg(*visuals: Any, **scene: Any) -> np.ndarray:
    """The picture that Agg alone draws."""
    with mock.patch.object(rasterize, "LEAST_POINTS", 10**9):
        return draw(*visuals, canvas=CANVAS, **scene)


class RasterizeCase(unittest.TestCase):
    def setUp(self) -> None:
        patched = mock.patch.object(rasterize, "_paint", side_effect=rasterize._paint)
        self.painted = patched.start()
        self.addCleanup(patched.stop)

    def assert_near(self, *visuals: Any, times: Optional[int] = None, most: int = MOST, **scene: Any) -> None:
        """So many of the visuals are drawn here, all unless told, and the picture is Agg's within the tolerance."""
        self.painted.reset_mock()
        picture = draw(*visuals, canvas=CANVAS, **scene)
        self.assertEqual(self.painted.call_count, len(visuals) if times is None else times)
        expected = by_agg(*visuals, **scene)
        self.assertLessEqual(int(np.abs(picture.astype(int) - expected).max()), most)
        self.assertGreaterEqual(similarity(picture, expected), LEAST_SSIM)


class TestDiscs(RasterizeCase):
    def setUp(self) -> None:
        super().setUp()
        patched = mock.patch.object(rasterize, "LEAST_POINTS_A_REACH", 0)  # whether it pays or not
        patched.start()
        self.addCleanup(patched.stop)

    def test_sizes_and_edges(self) -> None:
        """Discs from 1 to 26 px, edges from none to wider than the disc, opaque and not."""
        rng = np.random.default_rng(1)
        for seed, (diameter, width) in enumerate(
            ((1, 0), (1, 1), (2.5, 0.5), (4, 5), (6, 0), (6, 2.5), (9.3, 1), (12, 5), (15, 0.1), (19.7, 3), (26, 0.5))
        ):
            for alpha in (255, 128, (0, 20, 255)):
                with self.subTest(diameter=diameter, width=width, alpha=alpha):
                    self.assert_near(discs(300, diameter + rng.uniform(0, 0.5), width, alpha, seed))

    def test_dense(self) -> None:
        """Thousands over each other, where most are hidden."""
        for alpha in (255, (255, 255, 255, 90)):
            with self.subTest(alpha=alpha):
                self.assert_near(discs(6000, 6.3, 0.5, alpha), discs(2000, 9, 1.0, alpha, seed=1))

    def test_black_and_white(self) -> None:
        """White faces with black edges, and the reverse, where each coverage shows most."""
        for face, edge in ((255, 0), (0, 255)):
            visual = discs(2000, 7.0, 1.0)
            colors = np.full((2000, 4), 255, np.uint8)
            colors[:, :3] = face
            visual.set_attributes(face_colors=colors, edge_colors=colors ^ np.array([255, 255, 255, 0], np.uint8))
            with self.subTest(face=face):
                self.assertEqual(edge, 255 - face)
                self.assert_near(visual)

    def test_several_styles_keep_their_order(self) -> None:
        """Sizes and edges that differ from point to point, in one order."""
        rng = np.random.default_rng(2)
        n = 1500
        self.assert_near(discs(n, rng.choice([2.0, 5.5, 11.0], n), 0.5))
        self.assert_near(discs(n, 8.0, rng.choice([0.0, 0.5, 3.0], n), (255, 100)))

    def test_many_styles_are_rounded(self) -> None:
        """Every disc its own size: diameters are rounded, within the tolerance."""
        n = 3000
        visual = discs(n, np.random.default_rng(3).uniform(2, 5.1, n))
        with mock.patch.object(rasterize, "POINTS_A_STYLE", 40):
            self.assert_near(visual)

    def test_discs_as_markers(self) -> None:
        """Markers that are discs are drawn as points are."""
        self.assert_near(discs(400, kind=Markers))

    def test_clipped_to_viewports(self) -> None:
        """Viewports inside the canvas, across its border, and overlapping; to the pixel."""
        views = [Viewport(*box) for box in ((30, 20, 77, 51), (-20, -13, 90, 70), (100, 60, 90, 90), (60, 40, 30, 30))]
        for first, second in zip(views, views[1:] + views[:1]):
            with self.subTest(first=first.get_x(), second=second.get_x()):
                self.assert_near(discs(900, 7.0), discs(900, 5.0, 1.0, 128, seed=4), viewports=[first, second])

    def test_over_other_visuals(self) -> None:
        """What was drawn before shows where discs leave it, and what comes later covers them."""
        below = image([[(0, 128, 0, 255), (250, 250, 90, 255)]])
        above = path([(-0.9, -0.9, 0), (0.9, 0.9, 0)], width=6.0)
        self.assert_near(below, discs(500, 6.0, 0.5, 140), above, times=1)

    def test_on_pixel_borders_and_far_away(self) -> None:
        """Centres on whole pixels, on their middles, and beyond all canvases."""
        rng = np.random.default_rng(5)
        places = np.column_stack([rng.integers(-160, 161, (600, 2)) / (WIDTH, HEIGHT), np.zeros(600)])
        places[::7] = 3e38
        places[1::7] *= -1e9
        places[2::7] = (-1.04, 1.05, 0)
        self.assert_near(discs(600, 5.0, places=places))

    def test_hidden_style_does_not_count(self) -> None:
        """Wide discs beyond the viewport do not make the others wide."""
        diameter = np.full(400, 5.0)
        places = np.column_stack([np.random.default_rng(6).uniform(-1, 1, (400, 2)), np.zeros(400)])
        diameter[:9], places[:9] = 1e9, 3e38
        self.assert_near(discs(400, diameter, places=places))


class TestLeftToAgg(RasterizeCase):
    def assert_agg(self, *visuals: Any, times: int = 0) -> None:
        """The picture is Agg's own, to the last bit."""
        picture = draw(*visuals, canvas=CANVAS)
        self.assertEqual(self.painted.call_count, times)
        np.testing.assert_array_equal(picture, by_agg(*visuals))

    def test_what_does_not_pay(self) -> None:
        """Few points, wide ones, and those whose styles are too many."""
        n = 400
        for visual in (
            discs(149),
            discs(n, 13.0),
            discs(n, 60.0, 5.0),
            discs(n, 6.0, 1e30),
            discs(n, np.linspace(1, 6, n)),
            discs(n, np.resize([3.0, 4.0, 5.0, 6.0, 7.0], n)),
        ):
            self.assert_agg(visual)

    def test_nothing_in_sight(self) -> None:
        """Discs that are all beyond the canvas."""
        self.assert_agg(discs(300, places=np.full((300, 3), 5.0)))

    def test_many_on_one_spot(self) -> None:
        """Translucent discs in one place, layer upon layer, go to Agg in their turn: before and after come others."""
        places = np.column_stack([np.random.default_rng(7).uniform(-1, 1, (3000, 2)), np.zeros(3000)])
        places[1000:2000] = 0.1
        visual = discs(3000, alpha=(128, 255), places=places)
        with mock.patch.object(rasterize, "HIDING", 0.0), mock.patch.object(rasterize, "CHUNK", 1 << 13):
            self.assert_near(visual)
        self.assert_agg(discs(1000, alpha=128, places=np.zeros((1000, 3))), times=2)

    def test_same_picture_again(self) -> None:
        """A picture does not depend on what was drawn before it, nor on which stamps were kept."""
        visual = discs(300, 5.0, 0.7)
        stamps._kept.clear()
        first = draw(visual, canvas=CANVAS)
        for other in (discs(400, 5.0, 0.7, seed=8), discs(999, 9.0)):
            draw(other, canvas=CANVAS)
            np.testing.assert_array_equal(draw(visual, canvas=CANVAS), first)
        with mock.patch.object(stamps, "KEPT_BYTES", 0):
            np.testing.assert_array_equal(draw(visual, canvas=CANVAS), first)
        self.assertFalse(stamps._kept)
        np.testing.assert_array_equal(draw(visual, canvas=CANVAS), first)


class TestOthersGoOn(unittest.TestCase):
    def test_interpreter_is_let_go(self) -> None:
        """Other threads, such as those that answer /health, get their turn all along."""
        n = 60_000
        rng = np.random.default_rng(11)
        colors = rng.integers(0, 256, (n, 4)).astype(np.uint8)
        looks = {"sizes": np.full(n, 20, np.float32), "edge_widths": np.full(n, 0.5, np.float32)}
        fields: dict[str, Any] = {"face_colors": colors, "edge_colors": colors, **looks}
        places = rng.uniform(0, 1, (n, 2)) * (800, 600)
        drawing = Drawing("points", "", "", fields, Viewport(0, 0, 800, 600), 96.0, places, np.ones(n, bool))
        ended, gaps = threading.Event(), []

        def watch() -> None:
            last = time.perf_counter()
            while not ended.wait(0.001):
                gaps.append(time.perf_counter() - last)
                last = time.perf_counter()

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            backend("matplotlib").render(Canvas(800, 600, 96.0), [drawing])
        finally:
            ended.set()
            watcher.join()
        self.assertGreater(len(gaps), 3)
        self.assertLess(float(np.percentile(gaps, 90)), 0.02)  # the machine's other work aside


if __name__ == "__main__":
    unittest.main()
