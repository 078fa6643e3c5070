"""Strings by Matplotlib's Text, whose bitmaps are kept: a string that stands where it stood is put there again, in any colour.

Laying out a string and having FreeType draw its glyphs takes most of the time of a picture with texts. What Agg is given in the
end are bitmaps of coverage and their places: one a line, or from Matplotlib 3.11 on one a glyph, moved by fractions of a pixel.
So they are kept by place.
"""

from __future__ import annotations

import logging
import re
import warnings
from functools import lru_cache
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from .kept import Kept

logger = logging.getLogger(__name__)

# Characters without a glyph are drawn as boxes, which is said enough: the warning would put control characters of a scene's
# text into the server's log, as they are.
warnings.filterwarnings(
    "ignore", r"Glyph \d+ \(|Matplotlib currently does not support", UserWarning, re.escape(__name__)
)

FALLBACK_FONT = "DejaVu Sans"
PLAIN: dict[str, Any] = {
    "fontweight": "normal",
    "fontstyle": "normal",
    "fontvariant": "normal",
    "fontstretch": "normal",
    "horizontalalignment": "left",
    "verticalalignment": "bottom",
    "usetex": False,
    "clip_on": True,
}
"""What all texts have in common."""
SETTINGS = [name for name in matplotlib.rcParams if name.startswith(("font.", "mathtext.", "text."))]
"""The rcParams of which some show in texts all the same."""
if hasattr(Text, "set_antialiased"):  # Matplotlib 3.8
    PLAIN["antialiased"] = True


class LaidText(Text):
    """A string that is laid out once, not again each time that Matplotlib asks where its lines lie.

    Attributes:
        look: what it was set to.
        layout: where its lines lie in that look; None as long as nobody has asked.
    """

    look: Any = None
    layout: Any = None

    def _get_layout(self, renderer: Any) -> Any:
        if self.layout is None:
            plain: Any = super()
            self.layout = plain._get_layout(renderer)
        return self.layout


class LiteralText(LaidText):
    """A string that is drawn as it is: no formula in it, no TeX."""

    def _preprocess_math(self, s: str) -> tuple[str, bool]:
        return s, False


class Look(NamedTuple):
    """All that the bitmaps of a string depend on, but for the canvas and the place on it.

    Attributes:
        string: the text.
        family: font family, one that `known_family` gave.
        size: pt.
        rotation: degrees, counter-clockwise.
        align: how lines lie to each other: left, center or right.
        math: draw formulas.
        program: what `program_settings` gave, as of now.
    """

    string: str
    family: str
    size: float
    rotation: float
    align: str
    math: bool
    program: tuple[str, ...] = ()


def program_settings() -> tuple[str, ...]:
    """The rcParams of the program around that texts are drawn by, in words."""
    return tuple(str(matplotlib.rcParams[name]) for name in SETTINGS)


class Writer:
    """Draws strings on one canvas.

    Attributes:
        artists: what draws those that are not kept, for literal strings and for strings with formulas.
    """

    def __init__(self, renderer: Any, kept: Kept) -> None:
        self.artists = LiteralText(), LaidText()
        self._renderer = renderer
        self._kept = kept
        self._canvas = (renderer.width, renderer.height, renderer.dpi)

    def size(self, look: Look) -> tuple[float, float]:
        """Width and height in px of the upright box around a string.

        Raises:
            ValueError, RuntimeError: it cannot be drawn.
        """
        known = self._kept.get((self._canvas, look))
        if known is None:
            artist = self._artist(look)
            artist.set_position((0.0, 0.0))
            box = artist.get_window_extent(self._renderer)
            known = (box.width, box.height), artist.layout
            self._kept.put(
                (self._canvas, look), known, LINE_BYTES * (1 + look.string.count("\n")) + 8 * len(look.string)
            )
        size: tuple[float, float] = known[0]
        return size

    def write(self, look: Look, corner: tuple[float, float], color: tuple[float, ...], clip: Bbox) -> None:
        """Draw a string.

        Args:
            look: the string.
            corner: the lower left corner of its box, in px.
            color: RGBA, 0 to 1.
            clip: what to clip it to, in px.
        Raises:
            ValueError, RuntimeError: it cannot be drawn.
        """
        key = self._canvas, look, corner
        stamps = self._kept.get(key)
        if stamps is not None:
            context = self._renderer.new_gc()
            context.set_foreground(color, isRGBA=True)
            context.set_clip_rectangle(clip)
            for bitmap, *place in stamps:
                self._renderer._renderer.draw_text_image(bitmap, *place, context)
            return
        artist = self._artist(look)
        artist.set_position(corner)
        artist.set_color(color)
        artist.set_clip_box(clip)
        taken = self._renderer._renderer = Taking(self._renderer._renderer)
        try:
            artist.draw(self._renderer)
        finally:
            self._renderer._renderer = taken.agg
        if taken.stamps and not taken.others:
            stamps = joined(taken.stamps)
            size = sum(bitmap.nbytes + STAMP_BYTES for bitmap, *_ in stamps)
            self._kept.put(key, stamps, size + 4 * len(look.string))

    def _artist(self, look: Look) -> Any:
        artist = self.artists[look.math]
        if artist.look != look:
            changed = {"text": look.string, "fontfamily": [look.family, FALLBACK_FONT], "fontsize": look.size}
            fonts = {
                "math_fontfamily": matplotlib.rcParams["mathtext.fontset"]
            }  # else it is as when the artist was made
            artist.update({**PLAIN, **changed, **fonts, "rotation": look.rotation, "multialignment": look.align})
            known = self._kept.get((self._canvas, look))
            artist.look, artist.layout = look, known[1] if known else None
        return artist


Stamp = tuple[Any, int, int, float]
"""Coverage, (height, width) uint8; where its lower left corner lies, in px from the canvas's upper left one; degrees."""

STAMP_BYTES = LINE_BYTES = 256  # of a stamp beside its bitmap, and of a line's place beside its characters
SPARSE = 4  # bounding boxes larger than so many times what they hold are not worth a bitmap


def joined(stamps: list[Stamp]) -> list[Stamp]:
    """The stamps as one where no pixel is covered by two of them, and they lie side by side rather than aslant.

    Agg takes longer over the fact of a bitmap than over its pixels.
    """
    if len(stamps) == 1 or any(angle for *_, angle in stamps):
        return stamps
    boxes = [(x, y - bitmap.shape[0], x + bitmap.shape[1], y) for bitmap, x, y, _ in stamps]
    left, top = (min(side) for side in list(zip(*boxes))[:2])
    right, bottom = (max(side) for side in list(zip(*boxes))[2:])
    if (right - left) * (bottom - top) > SPARSE * sum(bitmap.size for bitmap, *_ in stamps):
        return stamps
    whole = np.zeros((bottom - top, right - left), np.uint8)
    for (bitmap, *_), (x0, y0, x1, y1) in zip(stamps, boxes):
        part = whole[y0 - top : y1 - top, x0 - left : x1 - left]
        if (part.astype(bool) & bitmap.astype(bool)).any():
            return stamps
        part += bitmap
    return [(whole, left, bottom, 0.0)]


class Taking:
    """Stands before the compiled renderer that a RendererAgg draws with, and takes down which bitmaps it is given.

    Attributes:
        agg: that renderer.
        stamps: what it was given.
        others: something else was asked of it, such as a formula's fraction bar.
    """

    def __init__(self, agg: Any) -> None:
        self.agg = agg
        self.stamps: list[Stamp] = []
        self.others = False

    def draw_text_image(self, image: Any, x: int, y: int, angle: float, context: Any) -> None:
        """Take a bitmap down, before a font that is one uses it for the next, and draw it."""
        bitmap = np.array(image)
        self.stamps.append((bitmap, x, y, angle))
        self.agg.draw_text_image(bitmap, x, y, angle, context)

    def __getattr__(self, name: str) -> Any:
        self.others = True
        return getattr(self.agg, name)


@lru_cache(maxsize=256)
def known_family(name: str) -> str:
    """`name` where Matplotlib has a font of that family, or it is a generic family; else DejaVu Sans, said once in the log."""
    families = [entry.name.lower() for entry in font_manager.fontManager.ttflist]
    if name.lower() in {*families, "serif", "sans-serif", "monospace"}:
        return name
    logger.warning("no font family %r here, drawing in %s", name[:80], FALLBACK_FONT)
    return FALLBACK_FONT
