"""Images that are resampled here are as Matplotlib draws them, to the bit where texels are not mixed, else to one level."""

from __future__ import annotations

import unittest
from typing import Any
from unittest import mock

import numpy as np
from matplotlib.image import BboxImage

from gsp_network import Buffer, Camera, Canvas, Viewport
from gsp_network.backends import images, matplotlib_backend
from gsp_network.backends.base import prepare
from gsp_network.backends.kept import Kept
from gsp_network.backends.matplotlib_backend import MatplotlibBackend
from gsp_network.codec import Scene

from .scenes import image


def drawing(texels: Any, extent: Any, way: str, canvas: Canvas, viewport: Viewport) -> Any:
    """A scene of one image."""
    visual = image(texels, extent, way)
    return prepare(Scene(canvas, (viewport,), (visual,), (Buffer.identity(),), (Camera(),), "matplotlib"))


class TestImages(unittest.TestCase):
    def setUp(self) -> None:
        kept = mock.patch.object(matplotlib_backend, "bitmaps", Kept(0))
        kept.start()
        self.addCleanup(kept.stop)
        self.rng = np.random.default_rng(11)

    def texels(self, height: int, width: int, alpha: int = 255) -> np.ndarray:
        found = self.rng.integers(0, 256, (height, width, 4)).astype(np.uint8)
        found[..., 3] = alpha
        return found

    def both(self, canvas: Canvas, drawings: Any) -> tuple[np.ndarray, np.ndarray]:
        """The picture, and Matplotlib's."""
        here = MatplotlibBackend().render(canvas, drawings)
        with mock.patch.object(images.SceneImage, "made_here", lambda *_: None):
            return here, MatplotlibBackend().render(canvas, drawings)

    def test_as_matplotlib_draws(self) -> None:
        """Opaque textures in rectangles of all kinds: upside down, mirrored, partly or wholly outside, magnified and shrunk."""
        shown = {"LINEAR": 0, "NEAREST": 0}
        for number in range(200):
            way = ("LINEAR", "NEAREST")[number % 2]
            size = self.rng.integers(1, (12, 150, 12, 700)[number % 4 if number % 3 == 0 else 0], 2).tolist()
            texels = self.texels(*size)
            if number % 7 == 0:
                texels[:] = texels[0, 0]
            extent = self.rng.uniform(-1.8, 1.8, 4)
            if number % 5 == 0:
                extent = np.round(extent * 8) / 8 + (0, 1 / 16, 0, 1 / 16)
            canvas = Canvas(*self.rng.integers(1, 90, 2).tolist(), 96.0)
            viewport = Viewport(*self.rng.integers(-20, 30, 2).tolist(), *self.rng.integers(1, 90, 2).tolist())
            here, there = self.both(canvas, drawing(texels, extent, way, canvas, viewport))
            difference = np.abs(here.astype(int) - there).max()
            self.assertLessEqual(difference, way == "LINEAR", (number, extent, size))
            shown[way] += bool((there != 255).any())
        self.assertGreater(min(shown.values()), 30)

    def test_levels(self) -> None:
        """Texels of every level that are not mixed stay what they are."""
        texels = np.repeat(np.arange(256, dtype=np.uint8)[:, np.newaxis], 4, axis=1).reshape(16, 16, 4).copy()
        texels[..., 3] = 255
        canvas, viewport = Canvas(16, 16, 96.0), Viewport(0, 0, 16, 16)
        for way in ("LINEAR", "NEAREST"):
            here, there = self.both(canvas, drawing(texels, (-1, 1, -1, 1), way, canvas, viewport))
            np.testing.assert_array_equal(here[:-1, :-1], texels[:-1, :-1, :3])
            self.assertLessEqual(np.abs(here.astype(int) - there).max(), way == "LINEAR")

    def test_translucent(self) -> None:
        """Matplotlib resamples textures that are not opaque, one texel suffices."""
        canvas, viewport = Canvas(50, 40, 96.0), Viewport(2, 3, 44, 30)
        texels = self.texels(6, 7)
        texels[5, 6, 3] = 254
        with mock.patch.object(images, "resampled", side_effect=AssertionError):
            for way in ("LINEAR", "NEAREST"):
                here, there = self.both(canvas, drawing(texels, (-0.9, 0.7, -0.8, 0.9), way, canvas, viewport))
                np.testing.assert_array_equal(here, there)

    def test_new_texels(self) -> None:
        """Where texels change and their rectangle does not, Matplotlib is asked nothing."""
        canvas, viewport = Canvas(50, 40, 96.0), Viewport(2, 3, 44, 30)
        first, second = (
            drawing(self.texels(6, 7), (-0.9, 0.7, -0.8, 0.9), "LINEAR", canvas, viewport) for _ in range(2)
        )
        backend = MatplotlibBackend()
        backend.render(canvas, first)
        with mock.patch.object(BboxImage, "make_image", side_effect=AssertionError):
            found = backend.render(canvas, second)
        np.testing.assert_array_equal(found, MatplotlibBackend().render(canvas, second))

    def test_left_to_matplotlib(self) -> None:
        """Textures too long to tell their texels apart, and where Matplotlib covers pixels in part, are drawn by it."""
        self.assertIsNone(images.axis_of(0, images.MOST_TEXELS + 1, 0.0, 9.0, 20, "bilinear"))
        made = BboxImage.make_image

        def faint(strip: Any, *args: Any) -> Any:
            found = made(strip, *args)
            strip.found[..., 3] = 0.5
            return found

        with mock.patch.object(BboxImage, "make_image", faint):
            self.assertIsNone(images.axis_of(0, 5, 0.25, 9.125, 20, "bilinear"))
        with mock.patch.object(images, "axis_of", lambda *_: None):
            canvas, viewport = Canvas(50, 40, 96.0), Viewport(2, 3, 44, 30)
            here, there = self.both(canvas, drawing(self.texels(6, 7), (-1, 1, -1, 1), "LINEAR", canvas, viewport))
        np.testing.assert_array_equal(here, there)
