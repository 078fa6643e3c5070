"""Outlines and lines as triangles: what they cover, counted without a GPU."""

from __future__ import annotations

import unittest
from typing import Any

import numpy as np

from gsp_network.backends.tessellation import Mesh, club, join, shapes, square, strokes
from gsp_network.scene.visuals import CapStyle, JoinStyle


def coverage(mesh: Mesh) -> float:
    """Area in px² times opacity, of all triangles; what lies over itself counts twice."""
    corners = mesh.positions[mesh.indices.reshape(-1, 3)]
    (ax, ay), (bx, by) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    opacity = mesh.colors[mesh.indices.reshape(-1, 3), 3].mean(axis=1) / 255
    return float((np.abs(ax * by - ay * bx) / 2 * opacity).sum())


def colors(count: int, alpha: int = 255) -> np.ndarray:
    return np.tile(np.array([[255, 0, 0, alpha]], np.uint8), (count, 1))


def one_shape(shape: Any, size: float, edge: float = 0.0, face_alpha: int = 255) -> Mesh:
    return shapes(shape, np.zeros((1, 2)), np.array([size]), colors(1, face_alpha), colors(1), np.array([edge]))


def one_line(points: Any, width: float, cap: str = "BUTT", style: str = "MITER") -> Mesh:
    places = np.array(points, float)
    return strokes(places, np.array([0]), colors(1), np.array([width]), CapStyle[cap], JoinStyle[style])


class TestShapes(unittest.TestCase):
    def test_discs_cover_their_area(self) -> None:
        """A disc covers pi r² in all, also one that is smaller than a pixel."""
        for diameter in (0.2, 0.7, 1.0, 1.5, 3.0, 10.0, 64.0, 500.0):
            with self.subTest(diameter=diameter):
                area = np.pi * diameter**2 / 4
                self.assertAlmostEqual(
                    coverage(one_shape(None, diameter)) / area, 1.0, delta=0.02 + 0.5 / 255 / min(area, 1)
                )

    def test_rings_cover_their_area(self) -> None:
        """An edge covers pi d w, half of it inside and half outside; thinner than a pixel too."""
        for diameter, width in ((20.0, 3.0), (20.0, 0.4), (6.0, 1.0), (100.0, 30.0)):
            with self.subTest(diameter=diameter, width=width):
                mesh = one_shape(None, diameter, width, face_alpha=0)
                self.assertAlmostEqual(coverage(mesh) / (np.pi * diameter * width), 1.0, delta=0.02)

    def test_squares_cover_their_area(self) -> None:
        """A square covers its side squared; its edge has round corners outside."""
        self.assertAlmostEqual(coverage(one_shape(square(), 12.0)), 144.0, delta=0.5)
        width = 4.0
        around = 4 * 12.0 * width - width**2 + np.pi * width**2 / 4
        self.assertAlmostEqual(coverage(one_shape(square(), 12.0, width, face_alpha=0)), around, delta=1.5)

    def test_club_covers_its_glyph(self) -> None:
        """A club covers the area of the glyph's outline, and nothing of it twice."""
        from matplotlib.path import Path

        outline = club(True).corners * 60
        x, y = outline.T
        area = abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2
        self.assertAlmostEqual(coverage(one_shape(club(True), 60.0)) / area, 1.0, delta=0.02)
        self.assertTrue(Path(outline).contains_point((0, 12)))

    def test_order_of_mixed_sizes(self) -> None:
        """Discs that need different numbers of corners are still drawn in their order, each face before its edge."""
        sizes = np.array([100.0, 3.0, 40.0, 3.0, 100.0])
        faces, edges = colors(5), colors(5)
        faces[:, 1], edges[:, 1] = np.arange(5), np.arange(5) + 100
        mesh = shapes(None, np.zeros((5, 2)), sizes, faces, edges, np.full(5, 2.0))
        drawn = mesh.colors[mesh.indices.reshape(-1, 3)[:, 0], 1].astype(int)
        changes = drawn[np.flatnonzero(np.diff(drawn, prepend=-1))]
        self.assertEqual(changes.tolist(), [0, 100, 1, 101, 2, 102, 3, 103, 4, 104])

    def test_nothing_for_no_shapes(self) -> None:
        """No centres give no triangles."""
        nothing = shapes(None, np.zeros((0, 2)), np.zeros(0), colors(0), colors(0), np.zeros(0))
        self.assertEqual((len(nothing.positions), len(nothing.indices)), (0, 0))

    def test_join_keeps_both(self) -> None:
        """Meshes that are joined cover what both do, the first one first."""
        first, second = one_shape(None, 10.0), one_shape(square(), 5.0)
        both = join([first, second])
        self.assertAlmostEqual(coverage(both), coverage(first) + coverage(second))
        self.assertLess(both.indices[: len(first.indices)].max(), both.indices[len(first.indices) :].min())


class TestStrokes(unittest.TestCase):
    def test_lines_cover_length_times_width(self) -> None:
        """A line with butt ends covers its length times its width, however thin or short."""
        for length, width in ((100.0, 8.0), (100.0, 0.3), (3.0, 1.0), (0.4, 6.0), (0.5, 0.5)):
            with self.subTest(length=length, width=width):
                mesh = one_line([(5, 5), (5 + 0.6 * length, 5 + 0.8 * length)], width)
                # Where fringes meet, at the four corners, a little more than the product is covered.
                self.assertAlmostEqual(coverage(mesh), length * width, delta=0.03 * length * width + 0.35)

    def test_caps_add_their_part(self) -> None:
        """A projecting end adds a square half a width deep, a round one a half disc."""
        butt, projecting, round_cap = (
            coverage(one_line([(0, 0), (50, 0)], 10.0, cap)) for cap in ("BUTT", "PROJECTING", "ROUND")
        )
        self.assertAlmostEqual(projecting - butt, 100.0, delta=0.5)
        self.assertAlmostEqual(round_cap - butt, np.pi * 25, delta=2.0)

    def test_joins_add_their_part(self) -> None:
        """At a right angle a bevel adds half a square of half the width, a round join a quarter disc, a miter the square."""
        corner = [(0, 0), (50, 0), (50, 50)]
        areas = {style: coverage(one_line(corner, 12.0, "BUTT", style)) for style in ("BEVEL", "ROUND", "MITER")}
        whole = 2 * 50 * 12.0 - 36.0  # the inner square of half the width is covered once
        self.assertAlmostEqual(areas["BEVEL"] - whole, 18.0, delta=2.0)
        self.assertAlmostEqual(areas["ROUND"] - whole, np.pi * 9, delta=2.0)
        self.assertAlmostEqual(areas["MITER"] - whole, 36.0, delta=2.0)

    def test_long_miters_are_bevels(self) -> None:
        """A miter ends where it would reach farther than the line's width in px allows, as in Matplotlib."""
        sharp = [(0, 0), (50, 0), (0, 6)]
        reach = {width: one_line(sharp, width).positions[:, 0].max() - 50 for width in (4.0, 40.0)}
        self.assertLess(reach[4.0], 4.0)
        self.assertGreater(reach[40.0], 100.0)

    def test_several_lines_stay_apart(self) -> None:
        """Lines that follow each other in one call are not connected, and are drawn in order."""
        points = np.array([(0, 0), (10, 0), (0, 50), (10, 50)], float)
        mesh = strokes(points, np.array([0, 2]), colors(2), np.array([2.0, 4.0]), CapStyle.BUTT, JoinStyle.MITER)
        self.assertAlmostEqual(coverage(mesh), 20 + 40, delta=2.0)
        middle = (mesh.positions[:, 1] > 10) & (mesh.positions[:, 1] < 40)
        self.assertFalse(middle.any())
        heights = mesh.positions[mesh.indices, 1]
        self.assertTrue((np.diff(np.flatnonzero(heights < 25)) == 1).all())

    def test_joined_pieces_lie_beside_each_other(self) -> None:
        """A gentle curve of many pieces covers its length times its width: nothing twice, whatever the joins."""
        angle = np.linspace(0, np.pi, 60)
        curve = 100 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        length = np.hypot(*np.diff(curve, axis=0).T).sum()
        for style in ("MITER", "BEVEL", "ROUND"):
            with self.subTest(style=style):
                self.assertAlmostEqual(coverage(one_line(curve, 6.0, "BUTT", style)) / (length * 6.0), 1.0, delta=0.01)
