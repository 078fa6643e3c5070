"""What the Matplotlib backend keeps: a picture is the one that a backend draws which keeps nothing, and never an old one."""

from __future__ import annotations

import contextlib
import enum
import unittest
from collections import OrderedDict
from typing import Any, Optional
from unittest import mock

import numpy as np
from matplotlib import rc_context
from matplotlib.image import BboxImage
from matplotlib.text import Text

from gsp_network import Buffer, Camera, Canvas, Texts, Texture, Viewport
from gsp_network.backends import glyphs, lines, matplotlib_backend, rasterize, shapes, stamps, texts
from gsp_network.backends.base import prepare
from gsp_network.backends.kept import ENTRY_BYTES, Kept
from gsp_network.backends.matplotlib_backend import MatplotlibBackend
from gsp_network.codec import Scene

from .scenes import BLUE, GREEN, RED, image, markers, path, pixels, points, rgba, segment, text


def picture(
    backend: MatplotlibBackend, visuals: Any, canvas: Canvas, viewport: Any, model: Any, math: bool = False
) -> Any:
    """A frame of these visuals, each in the same viewport."""
    count = len(visuals)
    model = Buffer.from_numpy(np.asarray(model, np.float32)[np.newaxis])
    scene = Scene(canvas, (viewport,) * count, tuple(visuals), (model,) * count, (Camera(),) * count, "matplotlib")
    return backend.render(canvas, prepare(scene), math)


def fresh(*scene: Any) -> Any:
    """The same by a backend that has drawn nothing before, past nothing: lines, shapes and glyphs by Matplotlib's own means."""
    with contextlib.ExitStack() as patched:
        patched.enter_context(mock.patch.object(matplotlib_backend, "bitmaps", Kept(2**26)))
        for module in (lines, shapes):
            patched.enter_context(mock.patch.object(module, "knows_agg", lambda: False))
        patched.enter_context(mock.patch.object(glyphs, "knows_glyphs", lambda: False))
        return picture(MatplotlibBackend(), *scene)


def other_value(value: Any) -> Any:
    """A valid value of a field that is not this one."""
    if isinstance(value, Buffer):
        array = value.to_numpy()
        if array.dtype == np.uint8:
            return Buffer.from_numpy(array ^ np.array([90, 120, 60, 40], np.uint8), value.get_type())
        if array.dtype.kind == "u":
            return Buffer.from_numpy(array[::-1].copy(), value.get_type())
        return Buffer.from_numpy(array * 0.7 + 0.1, value.get_type())
    if isinstance(value, enum.Enum):
        members = list(type(value))
        return members[(members.index(value) + 1) % len(members)]
    if isinstance(value, Texture):
        return Texture(value.get_data().to_numpy()[::-1].copy(), value.get_height(), value.get_width())
    if isinstance(value, str):
        return "monospace"
    if isinstance(value[0], str):
        return [string[::-1] + "g" for string in value]
    return [part * 0.7 + 0.1 for part in value]


def scene_of_all() -> list[Any]:
    """Visuals of all kinds with several vertices each."""
    rng = np.random.default_rng(5)
    walk = np.column_stack([rng.uniform(-0.9, 0.9, (12, 2)), np.zeros(12)])
    colors = np.repeat(rng.integers(0, 256, (4, 4)), 3, axis=0)
    strings = ["Hg", "two\nlines", "12.5"]
    texels = rng.integers(0, 256, (6, 4, 4))
    labels = Texts(
        walk[:3], strings, rgba(RED, 3), [9, 14, 11], [(-1, -1), (0, 0.5), (1, 1)], [0, 0.4, 1.6], "DejaVu Sans"
    )
    return [
        image(texels, (-0.7, 0.5, -0.6, 0.8)),
        image(texels, (-0.9, 0.1, -0.9, 0.2), "LINEAR"),
        points(*walk[:4], width=1.5),
        markers("club", *walk[3:6], width=1.0),
        pixels(walk, colors[::4], [5, 3, 4]),
        segment(walk[0], walk[1]),
        path(walk, 6.0, colors, sizes=[3, 4, 5]),
        labels,
    ]


class TestKept(unittest.TestCase):
    def test_last_used_stay_within_the_bytes(self) -> None:
        """What was asked for longest ago goes, and a value in place of another counts once."""
        kept = Kept(3 * (ENTRY_BYTES + 100))
        for key in "abc":
            kept.put(key, key.upper(), 100)
        self.assertEqual(kept.get("a"), "A")
        kept.put("c", "C2", 100)
        kept.put("d", "D", 100)
        self.assertEqual([kept.get(key) for key in "abcd"], ["A", None, "C2", "D"])

    def test_too_large_is_not_kept(self) -> None:
        """A value larger than all bytes is not kept, nor is what stood in its place, and the others stay."""
        kept = Kept(10 * ENTRY_BYTES)
        kept.put("a", 1, 10)
        kept.put("b", 2, 10)
        kept.put("a", 3, 10 * ENTRY_BYTES)
        self.assertEqual((kept.get("a"), kept.get("b")), (None, 2))


class TestNothingOld(unittest.TestCase):
    """A backend that draws frame after frame, against one that has drawn none."""

    def setUp(self) -> None:
        # With formulas and without, since Matplotlib 3.5 takes one layout for both; in a process all frames are one or the other.
        self.backends = MatplotlibBackend(), MatplotlibBackend()
        self.canvas, self.viewport, self.model = Canvas(90, 70, 96.0), Viewport(3, 5, 80, 60), np.eye(4)
        self.visuals = scene_of_all()
        self.before: Optional[Any] = None

    def assert_new(self, what: str, math: bool = False) -> None:
        """The picture is that of a fresh backend, drawn again too, and not the last one."""
        scene = self.visuals, self.canvas, self.viewport, self.model, math
        found = picture(self.backends[math], *scene)
        with self.subTest(what):
            np.testing.assert_array_equal(found, fresh(*scene))
            np.testing.assert_array_equal(picture(self.backends[math], *scene), found)
            self.assertFalse(np.array_equal(found, self.before), "nothing has changed")
        self.before = found

    def test_every_field(self) -> None:
        """Each field of each visual is changed in turn."""
        self.assert_new("the first frame")
        for visual in self.visuals:
            for field in visual.FIELDS:
                value = getattr(visual, f"get_{field.name}")()
                changed = [3, 4, 5] if field.name == "groups" else other_value(value)
                visual.set_attributes(**{field.name: changed})
                self.assert_new(f"{visual.kind}.{field.name}")

    def test_texels_in_place(self) -> None:
        """Texels that the program around writes into their array are seen, one alone too, and so are the old ones again."""
        texels = np.random.default_rng(6).integers(0, 256, (40, 4)).astype(np.uint8)
        texels[:, 3] = 255
        for interpolation in ("NEAREST", "LINEAR"):
            self.visuals = [image(np.zeros((8, 5, 4)), interpolation=interpolation)]
            self.visuals[0].get_texture().get_data().set_data(texels.tobytes(), 0, 40)
            self.assert_new(f"{interpolation}, first")
            for index in (0, 17, 39):
                buffer = self.visuals[0].get_texture().get_data()
                old = buffer.to_numpy()[index].tobytes()
                buffer.set_data(bytes([255 - old[0], 1, 2, 255]), index, 1)
                self.assert_new(f"{interpolation}, texel {index}")
            buffer.set_data(old, 39, 1)
            self.assert_new(f"{interpolation}, back")

    def test_arrays_in_place(self) -> None:
        """A backend that is given the same array with other texels draws these."""
        texels = np.full((4, 4, 4), 255, np.uint8)
        scene = Scene(self.canvas, (self.viewport,), (image(texels),), (Buffer.identity(),), (Camera(),), "matplotlib")
        (drawing,) = prepare(scene)
        drawing.fields["texture"] = texels
        white = self.backends[0].render(self.canvas, [drawing])
        texels[..., :3] = RED
        red = self.backends[0].render(self.canvas, [drawing])
        self.assertTrue((white == 255).all())
        self.assertEqual(red[30, 40].tolist(), [*RED])

    def test_surroundings(self) -> None:
        """Viewport, matrix, canvas, dpi and formulas are changed; then all is as at first."""
        self.visuals[-1].set_strings(["a$^2$", "$x$\ny", "$\\frac{1}{2}$"])
        start = dict(vars(self))
        self.assert_new("the first frame")
        first = self.before
        shifted = np.eye(4)
        shifted[:2, 3] = 0.1, -0.25
        for name, value in (
            ("viewport", Viewport(3, 5, 40, 60)),
            ("viewport", Viewport(10, 5, 40, 60)),
            ("model", shifted),
            ("canvas", Canvas(90, 71, 96.0)),
            ("canvas", Canvas(90, 71, 120.0)),
            ("canvas", Canvas(91, 71, 120.0)),
        ):
            setattr(self, name, value)
            self.assert_new(name)
            self.assert_new(f"{name}, with formulas", math=True)
        for name in ("viewport", "model", "canvas"):
            setattr(self, name, start[name])
        self.assert_new("as at first")
        np.testing.assert_array_equal(self.before, first)

    def test_image_on_a_larger_canvas(self) -> None:
        """An image of which a canvas has shown a part is whole on a larger one, in the same place."""
        texels = np.random.default_rng(7).integers(0, 256, (9, 8, 4))
        self.viewport = Viewport(0, 0, 90, 70)
        for interpolation in ("NEAREST", "LINEAR"):
            self.visuals = [image(texels, (-0.9, 0.9, -0.9, 0.9), interpolation)]
            for size in ((40, 30), (90, 70)):
                self.canvas = Canvas(*size, 96.0)
                self.assert_new(f"{interpolation} on {size}")

    def test_points_at_another_resolution(self) -> None:
        """Points by the hundred are as large as the canvas's dpi makes them, whatever was drawn at another."""
        places = np.random.default_rng(8).uniform(-0.9, 0.9, (2 * rasterize.LEAST_POINTS, 3)) * (1, 1, 0)
        self.visuals = [points(*places, size=9.0, width=0.5)]
        for dpi in (96.0, 72.0, 150.0):
            self.canvas = Canvas(90, 70, dpi)
            found = picture(self.backends[0], self.visuals, self.canvas, self.viewport, self.model)
            with mock.patch.object(stamps, "_kept", OrderedDict()):
                np.testing.assert_array_equal(found, fresh(self.visuals, self.canvas, self.viewport, self.model))

    def test_program_around(self) -> None:
        """What a program's rcParams change in texts is drawn as they are, whatever was kept under others."""
        scene = [text("$x^2$ and more", 20.0)], Canvas(120, 50, 96.0), Viewport(0, 0, 120, 50), np.eye(4), True
        pictures, backend = {}, MatplotlibBackend()
        for changed in ({"mathtext.fontset": "cm"}, {}, {"mathtext.fontset": "stix"}, {}, {"mathtext.fontset": "cm"}):
            with rc_context(changed):
                drawn = picture(backend, *scene)
                np.testing.assert_array_equal(drawn, fresh(*scene))
            pictures[str(changed)] = drawn.tobytes()
        self.assertEqual(len(set(pictures.values())), 3)

    def test_little_room(self) -> None:
        """Where nearly nothing can be kept the pictures are the same."""
        with mock.patch.object(matplotlib_backend, "bitmaps", Kept(2 * ENTRY_BYTES)):
            self.backends = MatplotlibBackend(), MatplotlibBackend()
            self.assert_new("first")
            self.model = np.diag([0.5, 0.5, 1, 1])
            self.assert_new("second")


class TestNotAgain(unittest.TestCase):
    """What has not changed is not made again."""

    def setUp(self) -> None:
        kept = mock.patch.object(matplotlib_backend, "bitmaps", Kept(2**26))
        kept.start()
        self.addCleanup(kept.stop)
        self.around = Canvas(120, 80, 96.0), Viewport(0, 0, 120, 80), np.eye(4)
        self.backend = MatplotlibBackend()

    def draw(self, *visuals: Any, math: bool = False) -> Any:
        return picture(self.backend, visuals, *self.around, math)

    def test_texts(self) -> None:
        """A string is laid out once at a place, whatever its colour; rotated ones and several lines too."""
        visual = text("one\ntwo", angle=0.3)
        self.draw(visual)
        visual.set_colors(rgba((0, 200, 0, 99)))
        expected = fresh([visual], *self.around)
        with mock.patch.object(texts.LiteralText, "draw", side_effect=AssertionError):
            np.testing.assert_array_equal(self.draw(visual), expected)

    def test_moved_texts(self) -> None:
        """A string that moves is laid out once, also with others between."""
        visuals = [text("one\ntwo", angle=0.3, anchor=(0.5, 1)), text("three")]
        self.draw(*visuals)
        for visual in visuals:
            visual.set_positions([[0.1, 0.07, 0]])
        expected = fresh(visuals, *self.around)
        with mock.patch.object(Text, "_get_layout", side_effect=AssertionError):
            np.testing.assert_array_equal(self.draw(*visuals), expected)

    def test_overlapping_glyphs(self) -> None:
        """Glyphs that cover each other's pixels, translucent, look as Matplotlib has them."""
        visual = text("a\u0301\u0328fj\u0489Ǻ", 30.0, color=(200, 0, 0, 90))
        expected = fresh([visual], *self.around)
        for _ in range(3):
            np.testing.assert_array_equal(self.draw(visual), expected)

    def test_formulas(self) -> None:
        """Formulas with more in them than bitmaps are drawn again."""
        visual = text("$\\sqrt{2}$")
        first = self.draw(visual, math=True)
        visual.set_colors(rgba(GREEN))
        np.testing.assert_array_equal(self.draw(visual, math=True), fresh([visual], *self.around, True))
        self.assertFalse(np.array_equal(first, self.draw(visual, math=True)))

    def test_images(self) -> None:
        """A texture is resampled once for a place."""
        visual = image([[(*RED, 255), (*BLUE, 99)]], interpolation="LINEAR")
        expected = self.draw(visual)
        with mock.patch.object(BboxImage, "make_image", side_effect=AssertionError):
            np.testing.assert_array_equal(self.draw(visual), expected)
            np.testing.assert_array_equal(self.draw(visual, points((0, 0, 0)))[0], expected[0])
