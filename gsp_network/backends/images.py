"""Textures in a rectangle: opaque ones are resampled here, the others by Matplotlib's BboxImage.

Which texels a pixel is made of follows from its column and its row, each by itself. Versions of Matplotlib differ in it by parts
of a texel, so that it is asked: what it makes of one row and of one column of texels that tell where they are.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, Optional

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.image import BboxImage
from matplotlib.transforms import Bbox, IdentityTransform

# Places of texels are told as such parts of 1, as exactly as single precision can.
MOST_TEXELS = 1 << 15

# Agg counts places between texels in 256ths.
PARTS_BITS = 8
PARTS = 1 << PARTS_BITS

# Rows of a picture that are made in one go: their arrays stay in a processor's cache.
ROWS = 32

# Across the texels that are asked for their places, in px.
STRIP = 4


class SceneImage(BboxImage):
    """A texture in a box given in px.

    Attributes:
        box: that box.
        made: what `make_image` gives, where it is known or as soon as it is.
    """

    box = Bbox.unit()
    made: Any = None

    def set_data(self, A: Any) -> None:
        """Take texels as they are: Matplotlib would mask what is not finite, and reckon with the mask from there on."""
        self._A = A

    def get_window_extent(self, renderer: Optional[Any] = None) -> Bbox:
        """The box."""
        return self.box

    def make_image(self, renderer: Any, magnification: float = 1.0, unsampled: bool = False) -> Any:
        """Resample the texels, unless that was done."""
        if self.made is None:
            self.made = self.made_here(*renderer.get_canvas_width_height())
        if self.made is None:
            self.made = super().make_image(renderer, magnification, unsampled)
        return self.made

    def made_here(self, *canvas: int) -> Any:
        """The same by `resampled` on a canvas of that size, or None where only Matplotlib can do it."""
        texels: Any = self._A
        if (texels[..., 3] != 255).any():
            return None
        sides, way = self.box.get_points().T.tolist(), self.get_interpolation()
        x = axis_of(0, texels.shape[1], *sides[0], canvas[0], way)
        y = axis_of(1, texels.shape[0], *sides[1], canvas[1], way)
        if x is None or y is None:
            return None
        return resampled(texels, x, y), x.start, y.start, None


class Strip(SceneImage):
    """Texels of single precision.

    Attributes:
        found: what they were resampled to, (height, width, 4) float32.
    """

    found: Any = None

    def made_here(self, *canvas: int) -> None:
        """Never."""
        return None

    def to_rgba(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Hold what would become a picture."""
        self.found = np.array(x)
        return super().to_rgba(x, *args, **kwargs)


class Axis(NamedTuple):
    """Which texels a picture's columns are made of, or its rows.

    Attributes:
        start: where the first one lies, in px, as Matplotlib wants it.
        first: (n,), the texel.
        part: (n,) uint16, how much of 256 is that of the next texel.
    """

    start: float
    first: np.ndarray[Any, Any]
    part: np.ndarray[Any, Any]


@lru_cache(maxsize=32)
def axis_of(number: int, count: int, low: float, high: float, length: int, way: str) -> Optional[Axis]:
    """What Matplotlib makes of texels along an axis, or None where it makes something else of them.

    Args:
        number: 0 for columns, 1 for rows.
        count: texels.
        low, high: where they begin and end, in px.
        length: the canvas's, in px.
        way: Matplotlib's word for the interpolation.
    """
    if count > MOST_TEXELS:
        return None
    texels = np.zeros((count, 4), np.float32)
    texels[:, 0], texels[:, 1:] = np.arange(count) / MOST_TEXELS, 1
    artist = Strip(Bbox.unit(), origin="upper", resample=False)
    artist.set_figure(Figure())
    artist.set_transform(IdentityTransform())
    artist.set_interpolation(way)
    artist.set_data(np.expand_dims(texels, number))
    ends, across = [(low, high), (0, STRIP)], 1 - number
    artist.box = Bbox(np.transpose([ends[number], ends[across]]))
    sizes = length, STRIP
    made = artist.make_image(RendererAgg(sizes[number], sizes[across], 72))
    if made[0] is None or artist.found is None:
        return None
    found = artist.found.take(STRIP // 2, axis=number)
    if (found[:, 3] != 1).any():
        return None
    # Agg's weights are rounded and do not sum up to 1, which counts where they are multiplied by large numbers.
    places = np.rint(found[:, 0].astype(np.float64) / found[:, 1] * (MOST_TEXELS * PARTS)).astype(np.intp)
    places = np.clip(places, 0, (count - 1) * PARTS)
    return Axis(float(made[1 + number]), places >> PARTS_BITS, (places % PARTS).astype(np.uint16))


def resampled(texels: np.ndarray[Any, Any], x: Axis, y: Axis) -> np.ndarray[Any, Any]:
    """A picture of opaque texels, rounded down as Matplotlib does.

    Args:
        texels: (h, w, 4) uint8.
        x, y: what columns and rows are made of.
    Returns:
        (rows, columns, 4) uint8.
    """
    pixels = np.ascontiguousarray(texels).view(np.uint32)[..., 0]
    if not x.part.any() and not y.part.any():
        return pixels.take(y.first, axis=0).take(x.first, axis=1).view(np.uint8).reshape(len(y.first), -1, 4)
    height, width = pixels.shape
    picture = np.empty((len(y.first), len(x.first) * 4), np.uint8)
    right, below = np.minimum(x.first + 1, width - 1), np.minimum(y.first + 1, height - 1)
    by_x = np.repeat(x.part, 4)
    for start in range(0, len(picture), ROWS):
        some = slice(start, start + ROWS)
        sources, rows = np.unique(np.concatenate([y.first[some], below[some]]), return_inverse=True)
        source = pixels.take(sources, axis=0)
        across = source.take(x.first, axis=1).view(np.uint8) * (PARTS - by_x)
        across += source.take(right, axis=1).view(np.uint8) * by_x
        upper, lower = across.astype(np.uint32).take(rows.reshape(2, -1), axis=0)
        by_y = y.part[some, np.newaxis].astype(np.uint32)
        upper *= PARTS - by_y
        lower *= by_y
        upper += lower
        upper >>= 2 * PARTS_BITS
        picture[some] = upper
    return picture.reshape(len(picture), -1, 4)
