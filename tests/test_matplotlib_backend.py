"""The Matplotlib backend: what is drawn, checked by property: the pixel there has this colour."""

from __future__ import annotations

import logging
import subprocess
import sys
import unittest
import warnings
from typing import Any
from unittest import mock

import matplotlib
import numpy as np

from gsp_network import Buffer, Camera, Canvas, Paths, Points, Viewport
from gsp_network.backends.kept import Kept
from gsp_network.backends.matplotlib_backend import DRAW, marker_shape
from gsp_network.backends.texts import LiteralText
from gsp_network.errors import InvalidScene
from gsp_network.scene.visuals import VISUALS, MarkerShape
from gsp_network.settings import Limits

from .scenes import BLACK, BLUE, GREEN, RED, WHITE, draw, image, markers, path, pixels, points, rgba, segment, text
from .support import ROOT


def ink(picture: np.ndarray) -> tuple[int, int, int, int]:
    """Left, right, top and bottom of what is not white, in px, right and bottom exclusive."""
    rows, columns = np.nonzero((picture != 255).any(axis=2))
    return int(columns.min()), int(columns.max()) + 1, int(rows.min()), int(rows.max()) + 1


def perspective_camera() -> Camera:
    """At the origin, looking along -z, 90 degrees wide."""
    return Camera(None, np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, -0.2], [0, 0, -1, 0]]))


class PictureCase(unittest.TestCase):
    renderer = "matplotlib"

    def draw(self, *visuals: Any, **scene: Any) -> np.ndarray:
        """The picture of these visuals; the other backend's tests run the same by their own."""
        return draw(*visuals, renderer=self.renderer, **scene)

    def assert_color(self, picture: np.ndarray, x: int, y: int, color: tuple, within: int = 3) -> None:
        """The pixel x from the left and y from the top has that colour."""
        found = picture[y, x].astype(int)
        self.assertLessEqual(np.abs(found - color).max(), within, f"at ({x}, {y}): {found.tolist()}, expected {color}")


class TestTable(unittest.TestCase):
    def test_every_visual_has_its_draw_function(self) -> None:
        """The backend draws exactly the visuals that the table declares."""
        self.assertEqual(set(DRAW), set(VISUALS))

    def test_every_marker_shape_is_drawn(self) -> None:
        """Each shape is centred and its longer side is 1."""
        for shape in MarkerShape:
            with self.subTest(shape=shape.name):
                box = marker_shape(shape).get_extents()
                self.assertAlmostEqual(max(box.width, box.height), 1.0, places=6)
                self.assertAlmostEqual(box.x0 + box.x1, 0.0, places=6)
                self.assertAlmostEqual(box.y0 + box.y1, 0.0, places=6)


class TestCanvas(PictureCase):
    def test_empty_scene_is_white(self) -> None:
        """A scene without entries is a white canvas."""
        self.assertTrue((self.draw() == 255).all())

    def test_size_is_exact(self) -> None:
        """The picture has the canvas's size to the pixel, also where width / dpi is no float."""
        for width, height, dpi in ((1, 1, 96.0), (803, 7, 100.0), (333, 217, 127.5), (201, 99, 72.0), (17, 900, 31.4)):
            with self.subTest(width=width, height=height, dpi=dpi):
                self.assertEqual(
                    self.draw(points((0, 0, 0)), canvas=Canvas(width, height, dpi)).shape, (height, width, 3)
                )

    def test_y_points_up(self) -> None:
        """NDC y = 1 is the top of the viewport."""
        picture = self.draw(points((0, 0.5, 0)))
        self.assert_color(picture, 50, 25, RED)
        self.assert_color(picture, 50, 75, WHITE)

    def test_frames_do_not_mix(self) -> None:
        """A frame shows nothing of the one before on the same canvas."""
        canvas = Canvas(64, 64)
        self.draw(points((0, 0, 0)), text("x"), segment((-1, 0, 0), (1, 0, 0)), canvas=canvas)
        self.assertTrue((self.draw(canvas=canvas) == 255).all())

    def test_changed_visual_is_drawn_as_new(self) -> None:
        """A visual drawn again after a change of all its fields gives the picture of a fresh one."""
        visual = points((0, 0, 0), (0.5, 0, 0))
        canvas = Canvas(60, 60)
        self.draw(visual, canvas=canvas)
        other = points((0.2, 0.2, 0), (-0.3, 0, 0), (0.1, -0.6, 0), size=80.0, face=BLUE, edge=GREEN, width=2.0)
        visual.set_attributes(**{field.name: getattr(other, f"get_{field.name}")() for field in Points.FIELDS})
        np.testing.assert_array_equal(self.draw(visual, canvas=canvas), self.draw(other, canvas=Canvas(60, 60)))


class TestOrder(PictureCase):
    def test_list_order_wins_whatever_z(self) -> None:
        """The later entry covers the earlier, whatever z and whatever the kinds."""
        near, far = points((0, 0, -5), face=RED), points((0, 0, 5), face=BLUE)
        self.assert_color(self.draw(near, far), 50, 50, BLUE)
        self.assert_color(self.draw(far, near), 50, 50, RED)
        square = image([[(*GREEN, 255)]], (-0.2, 0.2, -0.2, 0.2))
        self.assert_color(self.draw(near, square), 50, 50, GREEN)
        self.assert_color(self.draw(square, near), 50, 50, RED)

    def test_order_holds_inside_a_visual(self) -> None:
        """The later vertex covers the earlier."""
        visual = points((0, 0, 0), (0, 0, 0))
        visual.set_face_colors(np.concatenate([rgba(RED), rgba(BLUE)]))
        self.assert_color(self.draw(visual), 50, 50, BLUE)

    def test_same_visual_twice_in_one_viewport(self) -> None:
        """Every entry is drawn, also one visual twice in one viewport under two matrices."""
        visual = points((0, 0, 0))
        left, right = np.eye(4), np.eye(4)
        left[0, 3], right[0, 3] = -0.5, 0.5
        picture = self.draw(visual, visual, models=[left, right])
        self.assert_color(picture, 25, 50, RED)
        self.assert_color(picture, 75, 50, RED)

    def test_order_holds_across_viewports(self) -> None:
        """A later entry covers an earlier one in another viewport that it overlaps."""
        first, second = Viewport(0, 0, 100, 100), Viewport(20, 20, 60, 60)
        picture = self.draw(points((0, 0, 0)), points((0, 0, 0), face=BLUE), viewports=[second, first])
        self.assert_color(picture, 50, 50, BLUE)


class TestViewports(PictureCase):
    def test_every_visual_is_clipped_to_its_viewport(self) -> None:
        """Nothing of any visual falls outside its viewport."""
        viewport = Viewport(30, 40, 20, 10)  # rows 50 to 59 from the top
        visuals = {
            "points": points((0, 0, 0), (1, 1, 0), size=5000.0),
            "markers": markers("square", (0, 0, 0), size=9000.0),
            "pixels": pixels(np.random.default_rng(1).uniform(-3, 3, (500, 3)), [[0, 0, 0, 255]], 500),
            "segments": segment((-9, 0, 0), (9, 0.2, 0), width=30.0),
            "paths": path([(-9, -9, 0), (0, 5, 0), (9, -9, 0)], width=30.0),
            "texts": text("WWWWW", 60.0),
            "image": image([[(*RED, 255)]], (-5, 5, -5, 5)),
        }
        self.assertEqual(set(visuals), set(VISUALS))
        for kind, visual in visuals.items():
            with self.subTest(kind=kind):
                left, right, top, bottom = ink(self.draw(visual, viewports=[viewport]))
                self.assertGreaterEqual(left, 30)
                self.assertLessEqual(right, 50)
                self.assertGreaterEqual(top, 50)
                self.assertLessEqual(bottom, 60)

    def test_image_fills_its_viewport(self) -> None:
        """An image larger than its viewport covers it to the last pixel, also one that is a pixel small."""
        for x, y, width, height in ((30, 40, 20, 10), (0, 0, 1, 1), (99, 99, 1, 1), (0, 0, 100, 100)):
            with self.subTest(x=x, y=y, width=width, height=height):
                picture = self.draw(image([[(*RED, 255)]], (-5, 5, -5, 5)), viewports=[Viewport(x, y, width, height)])
                self.assertEqual(ink(picture), (x, x + width, 100 - y - height, 100 - y))

    def test_rotated_text_is_clipped(self) -> None:
        """Text at an angle, which Agg draws in another way, is clipped too."""
        left, right, top, bottom = ink(self.draw(text("WWWWW", 60.0, angle=0.5), viewports=[Viewport(30, 40, 20, 10)]))
        self.assertTrue(left >= 30 and right <= 50 and top >= 50 and bottom <= 60, (left, right, top, bottom))

    def test_viewport_partly_outside_the_canvas(self) -> None:
        """A viewport that leaves the canvas shows the part that is on it."""
        picture = self.draw(points((0, 0, 0), size=300.0), viewports=[Viewport(-50, -50, 100, 100)])
        self.assert_color(picture, 2, 97, RED)
        self.assert_color(picture, 50, 50, WHITE)

    def test_viewport_wholly_outside_the_canvas(self) -> None:
        """A viewport beside the canvas draws nothing."""
        for kind in (points((0, 0, 0), size=1e5), pixels([[0, 0, 0]], [[0, 0, 0, 255]], 1), image([[(*RED, 255)]])):
            self.assertTrue((self.draw(kind, viewports=[Viewport(200, 200, 50, 50)]) == 255).all())


class TestProjection(PictureCase):
    def test_perspective_divides_by_w(self) -> None:
        """A vertex twice as far is half as far from the centre."""
        picture = self.draw(points((1, 0, -2), size=40.0), points((-1, 0, -4), size=40.0), camera=perspective_camera())
        self.assert_color(picture, 75, 50, RED)
        self.assert_color(picture, 37, 50, RED)

    def test_vertices_behind_the_camera_are_dropped(self) -> None:
        """What has w <= 0 is not mirrored: points, and lines that end there, are left out."""
        behind = [
            points((0.5, 0, 2)),
            segment((0, 0, -2), (0.5, 0, 2)),
            text("x", at=(0, 0, 1)),
            pixels([[0, 0, 1]], [[0, 0, 0, 255]], 1),
        ]
        for visual in behind:
            with self.subTest(kind=visual.kind):
                self.assertTrue((self.draw(visual, camera=perspective_camera()) == 255).all())

    def test_path_keeps_its_pieces_before_the_camera(self) -> None:
        """A path through the camera's plane loses only the pieces that end behind it."""
        visual = path([(-1, 0, -2), (0, 0, -2), (1, 0, 2), (1, 0, -2), (1, 1, -2)])
        picture = self.draw(visual, camera=perspective_camera())
        self.assert_color(picture, 37, 50, BLUE)
        self.assert_color(picture, 60, 50, WHITE)
        self.assert_color(picture, 75, 38, BLUE)

    def test_nothing_is_clipped_by_z(self) -> None:
        """z far outside -1 to 1 is drawn."""
        for z in (-5.0, 7.0, 1e6):
            self.assert_color(self.draw(points((0, 0, z))), 50, 50, RED)

    def test_huge_coordinates_draw_what_is_in_sight(self) -> None:
        """Vertices at the ends of float32 neither fail nor hide others."""
        picture = self.draw(points((3e38, 0, 0), (0, 0, 0)), segment((-1e30, -0.8, 0), (1e30, -0.8, 0)))
        self.assert_color(picture, 50, 50, RED)
        self.assert_color(picture, 50, 90, BLUE)


class TestPoints(PictureCase):
    def test_diameter_is_the_root_of_the_size(self) -> None:
        """A disc of size s is sqrt(s) pt wide, at any dpi."""
        for dpi in (72.0, 96.0, 144.0):
            with self.subTest(dpi=dpi):
                picture = self.draw(points((0, 0, 0), (9, 9, 0), size=900.0), canvas=Canvas(101, 101, dpi))
                left, right, top, bottom = ink(picture)
                self.assertAlmostEqual(right - left, 30 * dpi / 72, delta=2)
                self.assertAlmostEqual(bottom - top, 30 * dpi / 72, delta=2)

    def test_edges_have_their_colour_and_width(self) -> None:
        """The edge is centred on the outline."""
        picture = self.draw(points((0, 0, 0), (9, 9, 0), size=2500.0, edge=BLUE, width=6.0))
        radius = 25 * 96 / 72
        self.assert_color(picture, 50, 50, RED)
        self.assert_color(picture, round(50 + radius), 50, BLUE)
        self.assert_color(picture, round(50 + radius + 2.5), 50, BLUE)
        self.assert_color(picture, round(50 + radius - 5.5), 50, RED)

    def test_zero_edge_width_draws_no_edge(self) -> None:
        """An edge of width 0 leaves no trace of its colour."""
        picture = self.draw(points((0, 0, 0), (9, 9, 0), size=2500.0, face=WHITE, edge=BLACK, width=0.0))
        self.assertTrue((picture == 255).all())

    def test_alpha_blends_straight(self) -> None:
        """Half-transparent red on white is pink, drawn once."""
        self.assert_color(self.draw(points((0, 0, 0), (9, 9, 0), face=(255, 0, 0, 128))), 50, 50, (255, 127, 127))

    def test_hundred_thousand_points_in_one_call(self) -> None:
        """As many points as a dense scatter has are drawn, each in its colour."""
        n = 100_000
        rng = np.random.default_rng(3)
        places = np.column_stack([rng.uniform(-1, 0, n), rng.uniform(-1, 1, n), np.zeros(n)])
        picture = self.draw(Points(places, np.full(n, 4.0), rgba(RED, n), rgba(RED, n), np.zeros(n)))
        self.assert_color(picture, 20, 50, RED)
        self.assert_color(picture, 80, 50, WHITE)

    def test_absurd_sizes_end(self) -> None:
        """Sizes and widths at the end of float32 are drawn as very large, in no time."""
        for visual in (
            points((0, 0, 0), (0.1, 0, 0), size=3e38),
            segment((-1, 0, 0), (1, 0, 0), width=3e38, color=RED),
        ):
            self.assert_color(self.draw(visual), 50, 50, RED)

    def test_absurd_edges_end(self) -> None:
        """Edges wider than any canvas give the picture of an edge that is just wider than this one."""
        for size in (0.0, 100.0, 3e38):
            with self.subTest(size=size):
                wide = self.draw(points((0, 0, 0), (0.1, 0, 0), size=size, width=2e3))
                np.testing.assert_array_equal(self.draw(points((0, 0, 0), (0.1, 0, 0), size=size, width=3e38)), wide)

    def test_no_vertices_draw_nothing(self) -> None:
        """A visual without vertices is an empty picture."""
        for visual in (
            points(),
            pixels([], [], 1),
            pixels([], [], []),
            path(np.zeros((0, 3)), sizes=[]),
            path(np.zeros((0, 3)), sizes=[0]),
        ):
            with self.subTest(kind=visual.kind):
                self.assertTrue((self.draw(visual) == 255).all())

    def test_far_off_the_canvas(self) -> None:
        """A wide disc or marker at any distance is left out, without the seconds that Agg would take over it."""
        for far in (1e9, 1e14, 1e16, 3e38):
            at = (-far, -far / 5, 0)
            for visual in (
                points(at, size=1e30, width=1e30),
                points(at, size=1e12, width=1e6),
                markers("club", at, size=1e12, width=1e6),
            ):
                with self.subTest(far=far, visual=type(visual).__name__):
                    self.assertTrue((self.draw(visual, canvas=Canvas(64, 64, 1200.0)) == 255).all())


class TestMarkers(PictureCase):
    def test_square_fills_its_bounding_square(self) -> None:
        """A square of size s is sqrt(s) pt wide, corners included."""
        left, right, top, _ = ink(self.draw(markers("square", (0, 0, 0), (9, 9, 0), size=900.0)))
        self.assertAlmostEqual(right - left, 40, delta=1)
        self.assert_color(self.draw(markers("square", (0, 0, 0), (9, 9, 0), size=900.0)), left + 2, top + 2, RED)

    def test_club_is_a_club(self) -> None:
        """Ink in three leaves and a foot, none between the lower leaves and the foot's ends; as tall as its size says."""
        picture = self.draw(markers("club", (0, 0, 0), (9, 9, 0), size=3600.0))
        left, right, top, bottom = ink(picture)
        self.assertAlmostEqual(max(right - left, bottom - top), 80, delta=2)
        for x, y in ((50, 25), (25, 55), (75, 55), (50, 85)):
            self.assert_color(picture, x, y, RED)
        for x, y in ((20, 20), (80, 20), (20, 88), (80, 88)):
            self.assert_color(picture, x, y, WHITE)


class TestPixels(PictureCase):
    def test_dot_covers_one_pixel(self) -> None:
        """Each vertex colours exactly one pixel, three quarters covered."""
        picture = self.draw(pixels([[0.005, 0.005, 0]], [[0, 0, 0, 255]], 1))
        self.assertEqual(int((picture != 255).any(axis=2).sum()), 1)
        self.assert_color(picture, 50, 50, (56, 56, 56))

    def test_groups_colour_their_vertices(self) -> None:
        """Int, sizes and index groups all give the vertices of a group its colour."""
        places = [[-0.5, 0, 0], [0.0, 0, 0], [0.5, 0, 0], [0.8, 0, 0]]
        for groups, expected in ((2, "RRBB"), ([1, 3], "RBBB"), ([[0, 3], [1, 2]], "RBBR"), ([[3], [0]], "B..R")):
            with self.subTest(groups=groups):
                picture = self.draw(pixels(places, [[255, 0, 0, 255], [0, 0, 255, 255]], groups))
                found = "".join(
                    "." if dot.min() == 255 else "R" if dot[0] > dot[2] else "B"
                    for dot in picture[50, [25, 50, 75, 90]]
                )
                self.assertEqual(found, expected)

    def test_dots_on_one_pixel_blend_in_order(self) -> None:
        """Dots that fall together give what blending them one after the other gives."""
        rng = np.random.default_rng(5)
        colors = rng.integers(0, 256, (40, 4))
        picture = self.draw(pixels(np.zeros((40, 3)), colors, 1))
        expected = np.full(3, 255.0)
        for color in colors:
            expected += (color[:3] - expected) * (color[3] / 255 * 199 / 255)
        self.assert_color(picture, 50, 50, tuple(expected), within=1)

    def test_dots_lie_on_what_was_drawn_before(self) -> None:
        """Dots blend onto earlier entries and are covered by later ones."""
        dot, disc = pixels([[0, 0, 0]], [[0, 0, 255, 255]], 1), points((0, 0, 0))
        self.assert_color(self.draw(disc, dot), 50, 50, (56, 0, 199))
        self.assert_color(self.draw(dot, disc), 50, 50, RED)


class TestLines(PictureCase):
    def test_width_is_in_points(self) -> None:
        """A line of 12 pt is 16 px wide at 96 dpi."""
        picture = self.draw(segment((-1, 0, 0), (1, 0, 0), width=12.0))
        self.assertEqual(int((picture[:, 50] == BLUE).all(axis=1).sum()), 16)

    def test_caps(self) -> None:
        """Butt ends at the vertex, projecting half a width beyond, round in a half disc."""
        reach = {}
        for cap in ("BUTT", "PROJECTING", "ROUND"):
            picture = self.draw(segment((-0.5, 0, 0), (0.5, 0, 0), width=15.0, cap=cap))
            reach[cap] = (ink(picture)[1], int((picture[:, 82] != 255).any(axis=1).sum()))
        self.assertEqual(reach["BUTT"], (75, 0))
        self.assertEqual(reach["PROJECTING"], (85, 20))
        self.assertAlmostEqual(reach["ROUND"][0], 85, delta=1)
        self.assertTrue(0 < reach["ROUND"][1] < 18, reach)

    def test_joins_of_one_colour(self) -> None:
        """Pieces of one colour and width meet in a pointed, cut or rounded corner."""
        area = {}
        for join in ("MITER", "ROUND", "BEVEL"):
            picture = self.draw(path([(-0.5, -0.5, 0), (0.0, -0.5, 0), (0.0, 0.5, 0)], width=20.0, join=join))
            area[join] = int((picture == BLUE).all(axis=2).sum())
        self.assertGreater(area["MITER"], area["ROUND"] + 10)
        self.assertGreater(area["ROUND"], area["BEVEL"] + 10)

    def test_pieces_take_the_style_of_their_first_vertex(self) -> None:
        """The piece from vertex i to i + 1 has colour and width i."""
        visual = path([(-0.8, 0, 0), (0, 0, 0), (0.8, 0, 0)], colors=[(*RED, 255), (*BLUE, 255), (*BLACK, 255)])
        visual.set_line_widths([3.0, 12.0, 50.0])
        picture = self.draw(visual)
        self.assert_color(picture, 30, 50, RED)
        self.assert_color(picture, 70, 50, BLUE)
        self.assert_color(picture, 30, 55, WHITE)
        self.assert_color(picture, 70, 55, BLUE)

    def test_consecutive_paths_are_not_connected(self) -> None:
        """Paths end where their sizes say; sizes of 0 and 1 draw nothing."""
        places = [(-0.8, 0.5, 0), (0.8, 0.5, 0), (0, 0, 0), (-0.8, -0.5, 0), (0.8, -0.5, 0)]
        picture = self.draw(path(places, sizes=[2, 0, 1, 2]))
        self.assert_color(picture, 50, 25, BLUE)
        self.assert_color(picture, 50, 75, BLUE)
        self.assertTrue((picture[30:70] == 255).all())

    def test_translucent_line_does_not_darken_at_its_vertices(self) -> None:
        """A path of one translucent colour has that colour all along, also where pieces meet."""
        places = np.column_stack([np.linspace(-0.9, 0.9, 19), np.zeros(19), np.zeros(19)])
        picture = self.draw(path(places, width=9.0, colors=(0, 0, 255, 128), cap="ROUND", join="ROUND"))
        self.assertEqual(np.unique(picture[50, 10:90], axis=0).tolist(), [[127, 127, 255]])


class TestTexts(PictureCase):
    def test_anchors_place_the_box(self) -> None:
        """The anchor names the point of the text's box that lies at the vertex; between -1 and 1 it is interpolated."""
        boxes = {}
        for anchor in ((-1, -1), (0, 0), (1, 1), (0.5, -0.5)):
            boxes[anchor] = ink(self.draw(text("HHHH", anchor=anchor), canvas=Canvas(201, 201)))
        left, right, top, bottom = boxes[(-1, -1)]
        self.assertAlmostEqual(left, 101, delta=4)
        self.assertLessEqual(bottom, 101)
        left, right, top, bottom = boxes[(1, 1)]
        self.assertAlmostEqual(right, 100, delta=4)
        self.assertGreaterEqual(top, 100)
        left, right, top, bottom = boxes[(0, 0)]
        self.assertAlmostEqual((left + right) / 2, 100.5, delta=2)
        middle = [low + 0.75 * (high - low) for low, high in zip(boxes[(-1, -1)], boxes[(1, 1)])]
        self.assertAlmostEqual(boxes[(0.5, -0.5)][0], middle[0], delta=2)

    def test_angle_is_in_radians_and_counter_clockwise(self) -> None:
        """A quarter turn makes the text stand, reading upwards."""
        lying = ink(self.draw(text("HHHH")))
        standing = ink(self.draw(text("HHHH", angle=np.pi / 2)))
        self.assertAlmostEqual(lying[1] - lying[0], standing[3] - standing[2], delta=2)
        upwards = self.draw(text("H.", 30.0, angle=np.pi / 2))
        self.assertGreater((upwards[50:] != 255).sum(), (upwards[:50] != 255).sum())

    def test_size_is_in_points(self) -> None:
        """Twice the size is twice the height; twice the dpi too."""
        small = ink(self.draw(text("H", 20.0)))
        for picture in (self.draw(text("H", 40.0)), self.draw(text("H", 20.0), canvas=Canvas(100, 100, 192.0))):
            _, _, top, bottom = ink(picture)
            self.assertAlmostEqual(bottom - top, 2 * (small[3] - small[2]), delta=2)

    def test_dollars_are_literal(self) -> None:
        """Formulas, balanced or not, are drawn as they are written."""
        for string in ("$x^2$", "$\\frac{$", "a$b", "$$", "\\$5"):
            with self.subTest(string=string):
                self.assertFalse((self.draw(text(string, 12.0)) == 255).all())
        self.assertGreater(ink(self.draw(text("$x^2$", 14.0)))[1] - ink(self.draw(text("$x^2$", 14.0)))[0], 45)

    def test_formulas_when_asked_for(self) -> None:
        """With math_text a formula is drawn as one, and one that cannot be read is an error with its place."""
        limits = Limits(math_text=True)
        left, right, _, _ = ink(self.draw(text("$x^2$", 14.0), limits=limits))
        self.assertLess(right - left, 40)
        with self.assertRaises(InvalidScene) as caught:
            self.draw(text("a"), text("$\\frac{$"), limits=limits)
        self.assertEqual(caught.exception.where, "visuals[1].texts[0]")

    def test_unknown_font_falls_back_with_one_warning(self) -> None:
        """A font that is not there, or a path, is drawn in DejaVu Sans, and said once in the log."""
        for name in ("No Such Family", "/etc/hostname"):
            visual, fallback = text("Hg"), text("Hg")
            visual.set_font_name(name)
            with self.subTest(name=name), self.assertLogs("gsp_network", logging.WARNING) as logs:
                first, second = self.draw(visual), self.draw(visual)
            self.assertEqual(len(logs.output), 1, logs.output)
            np.testing.assert_array_equal(first, self.draw(fallback))
            np.testing.assert_array_equal(second, first)

    def test_sizes_too_small_to_see_are_left_out(self) -> None:
        """Text below half a pixel, and empty text, draw nothing and do not fail."""
        for visual in (text("x", 0.0), text("x", 1e-30), text(""), text("\n\n")):
            self.assertTrue((self.draw(visual) == 255).all())

    def test_text_far_off_the_canvas(self) -> None:
        """Text at any distance is left out where none of it can be seen, and does not fail."""
        for at in ((1e5, 0, 0), (0, -1e9, 0), (3e38, 3e38, 0)):
            for angle in (0.0, 0.7):
                with self.subTest(at=at, angle=angle):
                    self.assertTrue((self.draw(text("far", at=at, angle=angle)) == 255).all())
        self.assertFalse((self.draw(text("HHHHHH", 40.0, at=(1.3, 0, 0))) == 255).all())

    def test_text_that_cannot_be_drawn(self) -> None:
        """What FreeType cannot draw is refused by its place."""
        with mock.patch.object(LiteralText, "draw", side_effect=RuntimeError("FT_Render_Glyph")):
            with self.assertRaises(InvalidScene) as caught:
                self.draw(points((0, 0, 0)), text("never drawn"))
        self.assertEqual(str(caught.exception), "visuals[1].texts[0]: not a text that Matplotlib can draw")

    def test_tab_is_a_space(self) -> None:
        """A tab is drawn as space, for which every font has a glyph."""
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            wide, narrow = ink(self.draw(text("a\tb", 10.0))), ink(self.draw(text("ab", 10.0)))
        self.assertGreater(wide[1] - wide[0], narrow[1] - narrow[0] + 10)

    def test_characters_without_a_glyph_are_not_told(self) -> None:
        """Matplotlib's warning about them, which would write a scene's control characters into the log, is not written."""
        code = "from tests.scenes import draw, text; draw(text('\\x1b\\x07\\r\\ud55c\\u0939'))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_fewer_strings_than_before(self) -> None:
        """A text visual that loses strings shows only those it has."""
        visual = text("HHHH")
        self.draw(visual)
        visual.set_attributes(
            positions=np.zeros((0, 3)),
            strings=[],
            colors=np.zeros((0, 4), np.uint8),
            font_sizes=[],
            anchors=np.zeros((0, 2)),
            angles=[],
        )
        self.assertTrue((self.draw(visual) == 255).all())


class TestImage(PictureCase):
    FOUR = (((255, 0, 0, 255), (0, 128, 0, 255)), ((0, 0, 255, 255), (0, 0, 0, 255)))

    def test_first_row_on_top(self) -> None:
        """Texels lie as in the array: first row on top, first column left."""
        picture = self.draw(image(self.FOUR))
        for x, y, color in ((25, 25, RED), (75, 25, GREEN), (25, 75, BLUE), (75, 75, BLACK)):
            self.assert_color(picture, x, y, color)

    def test_extent_is_added_to_the_projected_position(self) -> None:
        """The rectangle is [left, right, bottom, top] around the vertex, in NDC of the viewport."""
        self.assertEqual(ink(self.draw(image(self.FOUR, (-0.2, 0.4, -0.1, 0.3), at=(0.2, 0.2, 0)))), (50, 80, 25, 45))

    def test_swapped_extent_mirrors(self) -> None:
        """right < left mirrors sideways, top < bottom upside down."""
        self.assert_color(self.draw(image(self.FOUR, (1, -1, -1, 1))), 25, 25, GREEN)
        self.assert_color(self.draw(image(self.FOUR, (-1, 1, 1, -1))), 25, 25, BLUE)

    def test_interpolation(self) -> None:
        """NEAREST keeps texels whole, LINEAR blends between them."""
        two = (((0, 0, 0, 255), (255, 255, 255, 255)),)
        self.assertEqual(len(np.unique(self.draw(image(two))[50, :, 0])), 2)
        self.assertGreater(len(np.unique(self.draw(image(two, interpolation="LINEAR"))[50, :, 0])), 20)

    def test_alpha(self) -> None:
        """A transparent texel shows what lies below."""
        picture = self.draw(image((((255, 0, 0, 128), (0, 0, 0, 0)),)))
        self.assert_color(picture, 25, 50, (255, 127, 127))
        self.assert_color(picture, 75, 50, WHITE)

    def test_empty_and_absurd_extents(self) -> None:
        """An extent without area, beside the canvas or beyond all numbers draws or leaves out, and does not fail."""
        for extent in ((0.5, 0.5, 0, 1), (5, 6, 5, 6), (0, 1e-30, 0, 1)):
            self.assertTrue((self.draw(image(self.FOUR, extent)) == 255).all(), extent)
        self.assertEqual(self.draw(image(self.FOUR, (-3e300, 3e300, 0, 1))).shape, (100, 100, 3))


class TestKept(PictureCase):
    def test_rc_params_do_not_show(self) -> None:
        """A program's own Matplotlib settings do not change the pictures of a server inside it."""

        def scene() -> list:
            square = markers("square", (0.011, 0, 0), (0.4, 0, 0), width=2.0)
            return [square, segment((-1, -0.513, 0), (1, -0.513, 0)), text("Hg", at=(0, 0.5, 0))]

        visuals = scene()
        before = self.draw(*visuals)
        for name, value in (
            ("path.sketch", (3.0, 100.0, 2.0)),
            ("font.weight", "bold"),
            ("font.style", "italic"),
            ("font.size", 30.0),
            ("font.family", "serif"),
            ("text.color", "red"),
            ("text.usetex", True),
            ("lines.linewidth", 9.0),
            ("lines.antialiased", False),
            ("patch.antialiased", False),
            ("figure.dpi", 300.0),
            ("image.origin", "lower"),
            ("path.snap", False),
            ("font.stretch", "condensed"),
        ):
            drawn = mock.patch.object(Kept, "get", return_value=None)  # what is kept shows none of them anyway
            with self.subTest(name=name), matplotlib.rc_context({name: value}), drawn:
                np.testing.assert_array_equal(self.draw(*visuals), before)
                np.testing.assert_array_equal(self.draw(*scene()), before)

    def test_same_uuid_other_kind(self) -> None:
        """A visual that carries the uuid of one of another kind, as a careless client may send, is drawn as what it is."""
        disc, line = points((0, 0, 0)), segment((-1, 0, 0), (1, 0, 0))
        line._uuid = disc.get_uuid()
        canvas = Canvas(50, 50)
        self.draw(disc, canvas=canvas)
        np.testing.assert_array_equal(
            self.draw(line, canvas=canvas), self.draw(segment((-1, 0, 0), (1, 0, 0)), canvas=canvas)
        )

    def test_matrix_from_buffer(self) -> None:
        """A model matrix with several elements is refused by its count."""
        two = Buffer.from_numpy(np.stack([np.eye(4), np.eye(4)]))
        with self.assertRaisesRegex(InvalidScene, r"model_matrices\[0\].model_matrix: 2 items, expected 1"):
            self.draw(points((0, 0, 0)), models=[two])

    def test_many_paths(self) -> None:
        """A path whose every vertex has its own style draws every piece."""
        n = 50
        places = np.column_stack([np.linspace(-0.9, 0.9, n), np.zeros(n), np.zeros(n)])
        colors = np.column_stack([np.arange(n) * 5, np.zeros(n), np.zeros(n), np.full(n, 255)]).astype(np.uint8)
        picture = self.draw(Paths(places, np.array([n], np.uint32), colors, np.full(n, 5.0), "BUTT", "ROUND"))
        self.assertGreater(len(np.unique(picture[50, 6:94, 0])), n - 5)
