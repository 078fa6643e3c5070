"""What Matplotlib's Text gives Agg, taken down so that the same string can be put at another place without it.

Up to Matplotlib 3.10 that is a bitmap a line, whose place is rounded to whole pixels. From 3.11 on it is one a glyph, which
FreeType draws anew wherever a glyph begins at another 64th of a pixel; here it draws each of those once, from a font in memory.
"""

from __future__ import annotations

import io
import logging
import os
from functools import cache, lru_cache
from math import cos, radians, sin
from typing import Any, Optional, Union

import numpy as np
from matplotlib import font_manager, ft2font
from matplotlib.backends import backend_agg

from .kept import Kept

logger = logging.getLogger(__name__)

Stamp = tuple[Any, int, int, float]
"""Coverage, (height, width) uint8; where its lower left corner lies, in px from the canvas's upper left one; degrees."""

STAMP_BYTES = 256  # of a stamp beside its bitmap
SPARSE = 4  # bounding boxes larger than so many times what they hold are not worth a bitmap
MOST_LAYERS = 6  # nor are glyphs that lie on top of each other, as a hundred accents of one letter do

# FreeType counts places in 64ths of a pixel.
STEPS_BITS = 6
STEPS = 1 << STEPS_BITS

# Matplotlib has FreeType read fonts from their file, glyph by glyph. Larger ones are left to that; so many others are held.
LARGEST_FONT, FONTS = 1 << 22, 8


class FontChangedError(Exception):
    """A font's file is not what it was, or is gone: Matplotlib, which has it open, draws on."""


class Bitmap:
    """A line that Matplotlib puts at a whole pixel.

    Args:
        font: the font that has drawn it and holds its bitmap until the next.
        coverage: that bitmap.
        angle: degrees, counter-clockwise.
    """

    def __init__(self, font: Any, coverage: Any, angle: float) -> None:
        right, down = font.get_bitmap_offset()
        descent = font.get_descent() / 64.0
        self._right, self._down = right / 64.0, down / 64.0
        self._aside, self._below = descent * sin(radians(angle)), descent * cos(radians(angle))
        self._coverage, self._angle = coverage, angle
        self.nbytes: int = coverage.nbytes

    def stamps(self, x: float, y: float, height: float, kept: Kept) -> list[Stamp]:
        """What it is drawn by where it begins at that place, in px from the upper left corner of a canvas of that height."""
        place = round(x + self._right + self._aside), round(y + self._down + self._below) + 1
        return [(self._coverage, *place, self._angle)]


class Font:
    """A font in memory, which nobody else draws with.

    Args:
        content: its file.
        number: which of the fonts in that.
    """

    def __init__(self, content: bytes, number: int) -> None:
        file: Any = io.BytesIO(content)
        self._font: Any = ft2font.FT2Font(file, face_index=number)  # type: ignore[call-arg]
        self._size: Optional[tuple[float, float]] = None

    def at(self, size: tuple[float, float]) -> Any:
        """FreeType's font in a size, pt and px per inch; to set that anew, even to the same, takes as long as some glyphs."""
        if self._size != size:
            self._size = None
            self._font.set_size(*size)
            self._size = size
        return self._font


class Face:
    """A font in one size and direction.

    Args:
        name, number: what `font_in_memory` knows it by, which may forget it meanwhile.
        size, dpi: pt, and px per inch.
        matrix: xx, xy, yx and yy, 65536ths.
        flags: how outlines are fitted to pixels, FreeType's load flags.
    """

    def __init__(
        self, name: str, number: int, size: float, dpi: float, matrix: tuple[int, int, int, int], flags: Any
    ) -> None:
        self._file, self._size, self._flags = (name, number), (size, dpi), flags
        self._matrix = [matrix[:2], matrix[2:]]

    def draw(self, index: int, right: int, up: int) -> tuple[Any, int, int]:
        """A glyph, moved by so many 64ths of a pixel: its coverage; how far right of its place that begins, and how far above.

        Raises:
            FontChangedError: it can be drawn by Matplotlib alone.
        """
        kept = font_in_memory(*self._file)
        if kept is None:
            raise FontChangedError(self._file[0])
        font = kept.at(self._size)
        font._set_transform(self._matrix, [right, up])
        drawn = font._render_glyph(index, self._flags, backend_agg.RenderMode.NORMAL)  # type: ignore[attr-defined]
        return np.array(drawn.buffer), drawn.left, drawn.top


class Glyphs:
    """A line whose glyphs lie at fractions of a pixel.

    Args:
        glyphs: for each its face, its index in the font, and where it lies from the line's beginning, in px, to the right and up.
        angle: degrees, counter-clockwise.
    """

    nbytes = 0  # beside what a string takes by its characters

    def __init__(self, glyphs: list[tuple[Face, int, float, float]], angle: float) -> None:
        c, s = cos(radians(angle)), sin(radians(angle))
        # Not summed up: what is rounded in the end are the sums that Matplotlib makes, in its order.
        self._glyphs = [(face, index, x * c, y * s, x * s, y * c) for face, index, x, y in glyphs]

    def stamps(self, x: float, y: float, height: float, kept: Kept) -> list[Stamp]:
        """As `Bitmap.stamps`; glyphs are kept."""
        stamps = []
        for face, index, x_by_x, x_by_y, y_by_x, y_by_y in self._glyphs:
            right, up = round(STEPS * (x + x_by_x - x_by_y)), round(STEPS * (height - y + y_by_x + y_by_y))
            key = face, index, right % STEPS, up % STEPS
            glyph = kept.get(key)
            if glyph is None:
                glyph = face.draw(*key[1:])
                kept.put(key, glyph, glyph[0].nbytes)
            coverage, left, top = glyph
            if coverage.size:
                bottom = int(height) - top - (up >> STEPS_BITS) + len(coverage)
                stamps.append((coverage, left + (right >> STEPS_BITS), bottom, 0.0))
        return stamps


Line = Union[Bitmap, Glyphs]


class Taking:
    """Stands in for the parts of a RendererAgg that draw glyphs, and takes down what is drawn; in a ``with`` statement.

    Attributes:
        stamps: bitmaps in their order.
        lines: for each line of the string how it is drawn elsewhere, or None where that is not known.
        others: something else was drawn, such as a formula's fraction bar.
    """

    def __init__(self, renderer: Any, kept: Kept) -> None:
        self._renderer, self._agg, self._kept = renderer, renderer._renderer, kept
        self.stamps: list[Stamp] = []
        self.lines: list[Optional[Line]] = []
        self.others = False

    def __enter__(self) -> Taking:
        self._renderer._renderer = self
        if knows_glyphs():
            self._renderer._draw_text_glyphs_and_boxes = self._draw_glyphs
        return self

    def __exit__(self, *_: Any) -> None:
        self._renderer._renderer = self._agg
        vars(self._renderer).pop("_draw_text_glyphs_and_boxes", None)

    def draw_text_image(self, image: Any, x: int, y: int, angle: float, context: Any) -> None:
        """Take a bitmap down, before a font that is one uses it for the next, and draw it."""
        coverage = np.array(image)
        self.stamps.append((coverage, x, y, angle))
        self.lines.append(Bitmap(image, coverage, angle) if hasattr(image, "get_bitmap_offset") else None)
        self._agg.draw_text_image(coverage, x, y, angle, context)

    def _draw_glyphs(self, context: Any, x: float, y: float, angle: float, glyphs: Any, boxes: Any) -> None:
        """Draw a line in place of Matplotlib's function, whose arguments these are."""
        glyphs, boxes = list(glyphs), list(boxes)
        line, stamps = None if boxes else glyphs_of(glyphs, angle, self._renderer.dpi), []
        if line is not None:
            try:
                stamps = joined(line.stamps(x, y, self._renderer.height, self._kept))
            except FontChangedError:
                line = None
        if line is None:
            type(self._renderer)._draw_text_glyphs_and_boxes(self._renderer, context, x, y, angle, glyphs, boxes)
            return
        self.lines.append(line)
        for stamp in stamps:
            self.stamps.append(stamp)
            self._agg.draw_text_image(*stamp, context)

    def __getattr__(self, name: str) -> Any:
        self.others = True
        return getattr(self._agg, name)


def glyphs_of(glyphs: list[Any], angle: float, dpi: float) -> Optional[Glyphs]:
    """A line of glyphs as Matplotlib describes them, None where it has to draw them itself."""
    found, flags = [], backend_agg.get_hinting_flag()  # type: ignore[attr-defined]
    c, s = cos(radians(angle)), sin(radians(angle))
    turn, matrices = 0x10000 * np.array([[c, -s], [s, c]]), {}
    for font, size, index, slant, extend, x, y in glyphs:
        if (slant, extend) not in matrices:
            matrix = (turn @ [[extend, extend * slant], [0, 1]]).round().astype(int)
            matrices[slant, extend] = tuple(matrix.ravel().tolist())
        face = face_of(font.fname, font.face_index, size, dpi, matrices[slant, extend], flags)
        if face is None:
            return None
        found.append((face, index, x, y))
    return Glyphs(found, angle)


@lru_cache(maxsize=256)
def face_of(
    name: str, number: int, size: float, dpi: float, matrix: tuple[int, int, int, int], flags: Any
) -> Optional[Face]:
    """A font of which file, and which of those in it, as a face; None if it is not kept in memory."""
    return None if font_in_memory(name, number) is None else Face(name, number, size, dpi, matrix, flags)


@lru_cache(maxsize=FONTS)
def font_in_memory(name: str, number: int) -> Optional[Font]:
    """A font by its file and its number in that; None if that is large, or not what it was at first."""
    try:
        with open(name, "rb") as file:
            status = os.fstat(file.fileno())
            if status.st_size > LARGEST_FONT or _identity(name) != _identity_of(status):
                return None
            return Font(file.read(), number)
    except OSError as exc:
        logger.debug("a font cannot be read any more: %s", exc)
        return None


@cache
def _identity(name: str) -> tuple[int, ...]:
    """Which file a font was when it was first asked for; there are no more of them than fonts."""
    return _identity_of(os.stat(name))


def _identity_of(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


@cache
def knows_glyphs() -> bool:
    """Whether glyphs are drawn here as they are by Matplotlib, whose way to do it is its own affair: from 3.11 on, so far."""
    if not hasattr(backend_agg.RendererAgg, "_draw_text_glyphs_and_boxes"):
        return False
    pictures = []
    for own in (True, False):
        renderer: Any = backend_agg.RendererAgg(96, 64, 96.0)
        if own:
            renderer._draw_text_glyphs_and_boxes = Taking(renderer, Kept(0))._draw_glyphs
        context = renderer.new_gc()
        try:
            for x, y, angle in ((3.3, 14.8, 0.0), (20.71, 50.2, 33.0)):
                renderer.draw_text(context, x, y, "Aj\u00e9 x,", font_manager.FontProperties(size=13), angle)
        except Exception as exc:  # noqa: BLE001 - whatever becomes of a private function
            logger.debug("Matplotlib draws the glyphs: %r", exc)
            return False
        pictures.append(bytes(renderer.buffer_rgba()))
    return pictures[0] == pictures[1]


def joined(stamps: list[Stamp]) -> list[Stamp]:
    """Fewer stamps that draw the same, where none is aslant and they lie close: what covers each pixel first, then second, ...

    Agg takes longer over the fact of a bitmap than over its pixels.
    """
    if len(stamps) < 2 or any(angle for *_, angle in stamps):
        return stamps
    boxes = [(x, y - len(coverage), x + coverage.shape[1], y) for coverage, x, y, _ in stamps]
    left, top = (min(side) for side in list(zip(*boxes))[:2])
    right, bottom = (max(side) for side in list(zip(*boxes))[2:])
    if (right - left) * (bottom - top) > SPARSE * sum(coverage.size for coverage, *_ in stamps):
        return stamps
    layers = [np.zeros((bottom - top, right - left), np.uint8)]
    reached = left  # no pixel right of here is covered yet
    for (rest, *_), (x0, y0, x1, y1) in zip(stamps, boxes):
        part = layers[0][y0 - top : y1 - top, x0 - left : x1 - left]
        if x0 >= reached or not np.minimum(part, rest).any():
            part |= rest
        elif not _lay(layers, rest, slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)):
            return stamps
        reached = max(reached, x1)
    return [(layer, left, bottom, 0.0) for layer in layers]


def _lay(layers: list[Any], rest: Any, rows: slice, columns: slice) -> bool:
    """Lay coverage for each pixel into the first layer in which nothing covers it; False where that takes too many."""
    number = 0
    while rest.any():
        if number == MOST_LAYERS:
            return False
        if number == len(layers):
            layers.append(np.zeros_like(layers[0]))
        part = layers[number][rows, columns]
        free = part == 0
        part += rest * free
        rest = rest * ~free
        number += 1
    return True
