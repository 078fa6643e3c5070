"""Strings that move: wherever one stands, the picture is the one that Matplotlib's Text draws there, to the bit."""

from __future__ import annotations

import os
import unittest
import warnings
import weakref
from typing import Any
from unittest import mock

import numpy as np
from matplotlib import font_manager, rc_context
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from gsp_network.backends import glyphs
from gsp_network.backends.kept import Kept
from gsp_network.backends.texts import LiteralText, Look, Writer, program_settings

from .scenes import draw, text

WIDTH, HEIGHT, CLIP = 140, 110, Bbox([[4, 3], [131, 104]])
STRINGS = ("label 12", "AVa\u0301 fj,", "two\nlines", "a\n\nb \u2660", "\u6f22 x", " . ", "W\u0489\u0489i")


def canvas(dpi: float) -> Any:
    """An empty one."""
    renderer: Any = RendererAgg(WIDTH, HEIGHT, dpi)
    np.asarray(renderer.buffer_rgba())[:] = 255
    return renderer


def by_matplotlib(look: Look, corner: Any, color: Any, dpi: float) -> np.ndarray:
    """A string by a new Text of Matplotlib's, on a new canvas."""
    renderer = canvas(dpi)
    properties: dict[str, Any] = {"size": look.size, "family": [look.family, "DejaVu Sans"], "clip_box": CLIP}
    artist = (Text if look.math else LiteralText)(*corner, look.string, **properties)
    artist.set(rotation=look.rotation, color=color, multialignment=look.align, verticalalignment="bottom", clip_on=True)
    artist.set_figure(Figure(dpi=dpi))
    artist.draw(renderer)
    return np.array(renderer.buffer_rgba())


class TestMoved(unittest.TestCase):
    def setUp(self) -> None:
        caught = warnings.catch_warnings()
        caught.__enter__()
        self.addCleanup(caught.__exit__, None, None, None)
        warnings.simplefilter("ignore", UserWarning)  # characters that a font does not have

    def compare(self, rng: Any, looks: Any, places: int, dpi: float = 96.0) -> None:
        """Each of these strings at so many random places, in turn, by one writer."""
        renderer = canvas(dpi)
        writer = Writer(renderer, Kept(2**24))
        figure = Figure(dpi=dpi)
        for artist in writer.artists:
            artist.set_figure(figure)
        for place in range(places):
            for look in looks:
                laid = writer.lay(look)
                corner = rng.uniform(-30, 90, 2)
                if place % 3 == 1:  # where what is rounded lies in the middle, and where nothing is to round
                    corner = np.round(corner * 128) / 128
                color = (*rng.uniform(0, 1, 3).tolist(), (1.0, 0.4)[place % 2])
                np.asarray(renderer.buffer_rgba())[:] = 255
                writer.write(laid, (float(corner[0]), float(corner[1])), color, CLIP)
                found, expected = np.asarray(renderer.buffer_rgba()), by_matplotlib(look, corner, color, dpi)
                if not np.array_equal(found, expected):
                    self.fail(f"{look} at {corner.tolist()}, {dpi} dpi: {int((found != expected).sum())} bytes differ")

    def looks(self, rng: Any, count: int, math: bool = False, strings: Any = STRINGS) -> list[Look]:
        """Random ones, half of them upright."""
        return [
            Look(
                str(rng.choice(strings)),
                str(rng.choice(["DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono", "STIXGeneral"])),
                float(np.float32(rng.uniform(4, 25))),
                float(rng.choice([0, 0, 0, 90, rng.uniform(-180, 180), rng.uniform(-180, 180)])),
                str(rng.choice(["left", "center", "right"])),
                math,
                program_settings(),
            )
            for _ in range(count)
        ]

    def test_anywhere(self) -> None:
        """Strings of all kinds, fonts, sizes and angles, each at several places."""
        rng = np.random.default_rng(1)
        for dpi in (96.0, 57.3, 200.0):
            self.compare(rng, self.looks(rng, 20), 5, dpi)

    def test_within_a_pixel(self) -> None:
        """A string that moves by parts of a pixel is drawn at each of them, and where it stood before."""
        renderer = canvas(96.0)
        writer = Writer(renderer, Kept(2**24))
        for artist in writer.artists:
            artist.set_figure(Figure(dpi=96.0))
        look, pictures = Look("label", "DejaVu Sans", 11.0, 0.0, "left", False, program_settings()), set()
        for part in (0.0, 0.1, 0.3, 0.45, 0.55, 0.7, 0.99, 0.1, 0.7):
            for corner in ((30.0 + part, 40.0), (30.0, 40.0 + part)):
                np.asarray(renderer.buffer_rgba())[:] = 255
                writer.write(writer.lay(look), corner, (0, 0, 0, 1), CLIP)
                found = np.array(renderer.buffer_rgba())
                np.testing.assert_array_equal(found, by_matplotlib(look, corner, (0, 0, 0, 1), 96.0))
                pictures.add(found.tobytes())
        self.assertGreater(len(pictures), 2)

    def test_hinting(self) -> None:
        """Outlines are fitted to pixels as the program around has it."""
        rng = np.random.default_rng(2)
        for hinting in ("none", "auto", "native"):
            with rc_context({"text.hinting": hinting}):
                self.compare(rng, self.looks(rng, 12), 4)

    def test_formulas(self) -> None:
        """Formulas are drawn as they are, those with a bar or a root too."""
        rng = np.random.default_rng(3)
        formulas = ("$x^2_i$", "a $\\alpha\\beta$ b", "$\\frac{1}{2}$ c", "$\\sqrt{2}$", "$\\int$\n$y$", "no dollar")
        self.compare(rng, self.looks(rng, 12, True, formulas), 4)

    def test_little_room(self) -> None:
        """Where nothing is kept too."""
        rng = np.random.default_rng(4)
        with mock.patch.object(Kept, "put", lambda *_: None):
            self.compare(rng, self.looks(rng, 8), 2)

    def test_far_glyphs(self) -> None:
        """Of a string that is longer than the canvas the part is seen that lies there."""
        look = Look("wide " * 60, "DejaVu Sans", 14.0, 0.0, "left", False, program_settings())
        self.compare(np.random.default_rng(5), [look], 3)

    def test_many_on_top_of_each_other(self) -> None:
        """A letter with a hundred accents, and one whose line is long beside them."""
        looks = [
            Look(string, "DejaVu Sans", 14.0, 0.0, "left", False, program_settings())
            for string in ("a" + "\u0338" * 100, "wide " * 9 + "\u0338" * 20)
        ]
        self.compare(np.random.default_rng(6), looks, 3)


class TestMeans(unittest.TestCase):
    def write(self, writer: Writer, look: Look, corner: tuple[float, float]) -> np.ndarray:
        """The picture of a string by itself."""
        pixels = np.asarray(writer._renderer.buffer_rgba())
        pixels[:] = 255
        writer.write(writer.lay(look), corner, (0, 0, 0, 1), CLIP)
        return pixels.copy()

    def writer(self) -> Writer:
        writer = Writer(canvas(96.0), Kept(2**24))
        for artist in writer.artists:
            artist.set_figure(Figure(dpi=96.0))
        return writer

    @unittest.skipUnless(glyphs.knows_glyphs(), "this Matplotlib draws lines, not glyphs")
    def test_font_whose_file_has_changed(self) -> None:
        """A font that is another file than at first, or gone, is left to Matplotlib, which has the first one open."""
        look = Look("Changed", "DejaVu Sans", 12.0, 0.0, "left", False, program_settings())
        expected = by_matplotlib(look, (31.4, 27.3), (0, 0, 0, 1), 96.0)
        for change in (
            mock.patch.object(glyphs, "_identity", lambda _: (0, 0, 0, 0)),
            mock.patch.object(glyphs, "open", mock.Mock(side_effect=FileNotFoundError), create=True),
        ):
            writer = self.writer()
            self.write(writer, look, (20.0, 30.0))
            with change:
                glyphs.font_in_memory.cache_clear()
                np.testing.assert_array_equal(self.write(writer, look, (31.4, 27.3)), expected)
                glyphs.face_of.cache_clear()
                np.testing.assert_array_equal(self.write(self.writer(), look, (31.4, 27.3)), expected)
            glyphs.font_in_memory.cache_clear()
            glyphs.face_of.cache_clear()

    def test_alignment_and_formulas_lay_anew(self) -> None:
        """A string is laid out as it is aligned, and literally or not, whatever was laid out before."""
        writer = self.writer()
        starts, widths = [], []
        for align in ("left", "right", "left"):
            laid = writer.lay(Look("a\nwider", "DejaVu Sans", 12.0, 0.0, align, False, program_settings()))
            starts.append(
                float(np.ravel(laid.layout[1][0][-1])[0] if len(laid.layout[1][0]) == 3 else laid.layout[1][0][-2])
            )
        for math in (True, False, True):
            widths.append(writer.lay(Look("$x_2$", "DejaVu Sans", 12.0, 0.0, "left", math, program_settings())).size[0])
        self.assertEqual((starts[0], widths[0]), (starts[2], widths[2]))
        self.assertGreater(starts[1], starts[0] + 5)
        self.assertGreater(widths[1], widths[0] + 5)

    @unittest.skipIf(glyphs.knows_glyphs(), "this Matplotlib draws glyphs, not lines")
    def test_bitmaps_of_lines_count(self) -> None:
        """The bitmaps that a string holds count for what is kept of it."""
        writer = self.writer()
        look = Look("Counted", "DejaVu Sans", 60.0, 0.0, "left", False, program_settings())
        self.write(writer, look, (20.0, 30.0))
        laid = writer.lay(look)
        size = sum(line.nbytes for line, *_ in laid.lines or [])
        self.assertGreater(size, 1000)
        self.assertGreater(writer._kept._entries[writer._canvas, look][1], size)

    def test_no_layout_again(self) -> None:
        """A string that has been drawn is drawn anywhere without Matplotlib's Text, and a formula that glyphs alone make up."""
        renderer = canvas(96.0)
        writer = Writer(renderer, Kept(2**24))
        for artist in writer.artists:
            artist.set_figure(Figure(dpi=96.0))
        for string, math in (("two\nlines", False), ("a $x_2$ b", True)):
            look = Look(string, "DejaVu Sans", 12.0, 30.0, "left", math, program_settings())
            writer.write(writer.lay(look), (20.0, 30.0), (0, 0, 0, 1), CLIP)
            if math and not glyphs.knows_glyphs():
                continue
            with mock.patch.object(Text, "draw", side_effect=AssertionError):
                writer.write(writer.lay(look), (31.41, 27.18), (0, 0, 0, 1), CLIP)

    def test_unknown_way(self) -> None:
        """Where Matplotlib draws glyphs in another way than the known one, it draws all itself, and the picture is the same."""
        expected = draw(text("two\nlines", 15.0, angle=0.2))
        with mock.patch.object(glyphs, "knows_glyphs", lambda: False):
            for at in ((0.31, 0.2, 0), (0.1, 0.07, 0), (0, 0, 0)):
                found = draw(text("two\nlines", 15.0, angle=0.2, at=at))
        np.testing.assert_array_equal(found, expected)

    def test_large_fonts(self) -> None:
        """Of a font that is too large to hold, Matplotlib draws the glyphs."""
        with mock.patch.object(glyphs, "LARGEST_FONT", 1000):
            glyphs.font_in_memory.cache_clear()
            glyphs.face_of.cache_clear()
            self.addCleanup(glyphs.face_of.cache_clear)
            self.addCleanup(glyphs.font_in_memory.cache_clear)
            name = font_manager.findfont("DejaVu Sans")
            self.assertGreater(os.path.getsize(name), 1000)
            self.assertIsNone(glyphs.font_in_memory(name, 0))
            expected = draw(text("Glyphs"))
        np.testing.assert_array_equal(draw(text("Glyphs")), expected)

    @unittest.skipUnless(glyphs.knows_glyphs(), "this Matplotlib draws lines, not glyphs")
    def test_forgotten_fonts(self) -> None:
        """Glyphs that are known are drawn though their font is no longer held, and fonts are held no longer than that."""
        renderer = canvas(96.0)
        writer = Writer(renderer, Kept(2**24))
        for artist in writer.artists:
            artist.set_figure(Figure(dpi=96.0))
        look = Look("Held", "DejaVu Sans", 12.0, 0.0, "left", False, program_settings())
        writer.write(writer.lay(look), (20.0, 30.0), (0, 0, 0, 1), CLIP)
        held = weakref.ref(glyphs.font_in_memory(font_manager.findfont("DejaVu Sans"), 0))
        glyphs.font_in_memory.cache_clear()
        self.assertIsNone(held())
        np.asarray(renderer.buffer_rgba())[:] = 255
        writer.write(writer.lay(look), (31.4, 27.3), (0, 0, 0, 1), CLIP)
        expected = by_matplotlib(look, (31.4, 27.3), (0, 0, 0, 1), 96.0)
        np.testing.assert_array_equal(np.asarray(renderer.buffer_rgba()), expected)

    def test_kept_apart(self) -> None:
        """Stamps stay by themselves where one is aslant, far from all others, or too many lie on top of each other."""
        ink = np.full((2, 3), 200, np.uint8)
        for second in ((ink, 8, 8, 30.0), (ink, 800, 8, 0.0)):
            self.assertEqual(len(glyphs.joined([(ink, 4, 9, 0.0), second])), 2)
        self.assertEqual(len(glyphs.joined([(ink, 4, 9, 0.0), (ink, 8, 8, 0.0)])), 1)
        self.assertEqual(len(glyphs.joined([(ink, 4, 9, 0.0)] * 6)), 6)
        deep = [(ink, 4, 9, 0.0)] * 7 + [(ink, 8, 9, 0.0)]
        self.assertIs(glyphs.joined(deep), deep)

    def test_joined(self) -> None:
        """Stamps become layers in each of which nothing covers a pixel twice, in their order pixel by pixel."""
        rng = np.random.default_rng(7)
        for _ in range(20):
            stamps = [
                (rng.integers(0, 3, rng.integers(0, 5, 2)).astype(np.uint8) * 90, *rng.integers(3, 9, 2).tolist(), 0.0)
                for _ in range(6)
            ]
            expected: dict[Any, list[int]] = {}
            found: dict[Any, list[int]] = {}
            for coverages, some in ((expected, stamps), (found, glyphs.joined(stamps))):
                for coverage, x, y, _ in some:
                    for row, column in np.argwhere(coverage).tolist():
                        place = x + column, y - len(coverage) + row
                        coverages.setdefault(place, []).append(int(coverage[row, column]))
            self.assertEqual(found, expected)
