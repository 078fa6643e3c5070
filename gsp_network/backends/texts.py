"""Strings by Matplotlib's Text, each laid out once; what Agg is given for them are bitmaps of coverage, which are kept.

A string that stands where it stood is put there again, in any colour; one that moves is put together from what `glyphs` knows of
it. What neither knows, such as a formula with a fraction bar, Matplotlib draws.
"""

from __future__ import annotations

import logging
import re
import warnings
from functools import lru_cache
from typing import Any, NamedTuple, Optional

import matplotlib
from matplotlib import font_manager
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from .glyphs import STAMP_BYTES, FontChangedError, Line, Stamp, Taking, joined
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
LINE_BYTES, CHARACTER_BYTES = 512, 256  # of a string that is laid out: a line beside its characters, and a character
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
            self._cached: dict[
                Any, Any
            ] = {}  # Matplotlib 3.5 has one for all, without alignment and formulas in its keys
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


class Laid:
    """A string that is laid out on a canvas.

    Attributes:
        look: the string.
        size: width and height in px of the upright box around it.
        layout: where its lines lie, in Matplotlib's words.
        lines: how each is drawn, and where it begins from the lower left corner of the box, in px; None as long as that is not
            known.
    """

    def __init__(self, look: Look, size: tuple[float, float], layout: Any) -> None:
        self.look, self.size, self.layout = look, size, layout
        self.lines: Optional[list[tuple[Line, float, float]]] = None


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

    def lay(self, look: Look) -> Laid:
        """Lay a string out.

        Raises:
            ValueError, RuntimeError: it cannot be drawn.
        """
        laid: Optional[Laid] = self._kept.get((self._canvas, look))
        if laid is None:
            artist = self._artist(look)
            artist.set_position((0.0, 0.0))
            box = artist.get_window_extent(self._renderer)
            laid = Laid(look, (box.width, box.height), artist.layout)
            self._keep(laid)
        return laid

    def _keep(self, laid: Laid) -> None:
        look, lines = laid.look, laid.lines or []
        size = LINE_BYTES * (1 + look.string.count("\n")) + CHARACTER_BYTES * len(look.string)
        self._kept.put((self._canvas, look), laid, size + sum(line.nbytes for line, *_ in lines))

    def write(self, laid: Laid, corner: tuple[float, float], color: tuple[float, ...], clip: Bbox) -> None:
        """Draw a string.

        Args:
            laid: the string.
            corner: the lower left corner of its box, in px.
            color: RGBA, 0 to 1.
            clip: what to clip it to, in px.
        Raises:
            ValueError, RuntimeError: it cannot be drawn.
        """
        key = laid, corner
        stamps = self._kept.get(key)
        if stamps is None:
            stamps, whole = self._elsewhere(laid, corner), True
            if stamps is None:
                stamps, whole = self._taken(laid, corner, color, clip)
            else:
                self._put(stamps, color, clip)
            if whole:
                size = sum(coverage.nbytes + STAMP_BYTES for coverage, *_ in stamps)
                self._kept.put(key, stamps, size)
        else:
            self._put(stamps, color, clip)

    def _put(self, stamps: list[Stamp], color: tuple[float, ...], clip: Bbox) -> None:
        context = self._renderer.new_gc()
        context.set_foreground(color, isRGBA=True)
        context.set_clip_rectangle(clip)
        for stamp in stamps:
            self._renderer._renderer.draw_text_image(*stamp, context)

    def _elsewhere(self, laid: Laid, corner: tuple[float, float]) -> Optional[list[Stamp]]:
        """What a string is drawn by at another place than before; None where that is not known."""
        if laid.lines is None:
            return None
        try:
            return joined(self._stamps(laid.lines, corner))
        except FontChangedError:
            laid.lines = None
            return None

    def _stamps(self, lines: list[tuple[Line, float, float]], corner: tuple[float, float]) -> list[Stamp]:
        """What lines are drawn by where the box around them has its corner there."""
        height, stamps = self._renderer.height, []
        for line, x, y in lines:
            stamps += line.stamps(x + corner[0], height - (y + corner[1]), height, self._kept)
        return stamps

    def _taken(
        self, laid: Laid, corner: tuple[float, float], color: tuple[float, ...], clip: Bbox
    ) -> tuple[list[Stamp], bool]:
        """Have Matplotlib draw a string; what it drew, and whether that is all of it."""
        artist = self._artist(laid.look)
        artist.set_position(corner)
        artist.set_color(color)
        artist.set_clip_box(clip)
        with Taking(self._renderer, self._kept) as taken:
            artist.draw(self._renderer)
        whole, stamps = bool(taken.stamps) and not taken.others, joined(taken.stamps)
        if whole and len(taken.lines) == len(laid.layout[1]) and None not in taken.lines:
            places = [entry[-1] if len(entry) == 3 else entry[-2:] for entry in laid.layout[1]]
            lines: Any = [(line, float(x), float(y)) for line, (x, y) in zip(taken.lines, places)]
            laid.lines = lines
            elsewhere = self._elsewhere(laid, corner)
            if elsewhere is None or [place for _, *place in elsewhere] != [place for _, *place in stamps]:
                laid.lines = None
            self._keep(laid)
        return stamps, whole

    def _artist(self, look: Look) -> Any:
        artist = self.artists[look.math]
        if artist.look != look:
            changed = {"text": look.string, "fontfamily": [look.family, FALLBACK_FONT], "fontsize": look.size}
            fonts = {
                "math_fontfamily": matplotlib.rcParams["mathtext.fontset"]
            }  # else it is as when the artist was made
            artist.update({**PLAIN, **changed, **fonts, "rotation": look.rotation, "multialignment": look.align})
            known = self._kept.get((self._canvas, look))
            artist.look, artist.layout = look, known.layout if known else None
        return artist


@lru_cache(maxsize=256)
def known_family(name: str) -> str:
    """`name` where Matplotlib has a font of that family, or it is a generic family; else DejaVu Sans, said once in the log."""
    families = [entry.name.lower() for entry in font_manager.fontManager.ttflist]
    if name.lower() in {*families, "serif", "sans-serif", "monospace"}:
        return name
    logger.warning("no font family %r here, drawing in %s", name[:80], FALLBACK_FONT)
    return FALLBACK_FONT
