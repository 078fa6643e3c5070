"""Segments and paths by one call to Agg, without an artist: the pictures that a LineCollection draws, in half the time.

What costs in a LineCollection is a Path for each line, which Agg reads through Python, and a scaled dash pattern for each. Here
all lines of two vertices are one Path, from (1, 0) to (0, 1), and each has a matrix with its ends as columns, which takes these
vertices to its ends exactly: the products are by 0 and 1.

That Path's attributes are properties in Python: at each line Agg lets other threads in, as a server's that answers meanwhile.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.transforms import Bbox, IdentityTransform

from .base import LONGEST, Lines

logger = logging.getLogger(__name__)

PIECE = Path(np.eye(2))
IN_PX = IdentityTransform().frozen()
AT_ORIGIN, NO_FACES = np.zeros((1, 2)), np.empty((0, 4))
SOLID, ANTIALIASED, NO_URLS = [(0, None)], [True], [None]

# Lines that one call draws: their matrices take 72 bytes each, and numpy lets no thread in while it fills these.
MOST_LINES = 2**12


class LineArtist(LineCollection):
    """What draws lines where Agg's function is not the one that is known here."""

    def get_snap(self) -> Any:
        """Snap rectilinear lines to pixels, as by default, whatever rcParams["path.snap"] says."""
        return None


def draw_lines(renderer: RendererAgg, box: Bbox, lines: Lines, cap: str, join: str) -> None:
    """Draw lines one after the other.

    Args:
        renderer: what to draw on.
        box: what to clip them to, in px.
        lines: the lines.
        cap, join: how they end and turn, in Matplotlib's words.
    """
    draw = draw_by_agg if knows_agg() else draw_by_artist
    for first in range(0, len(lines.starts), MOST_LINES):
        some = slice(first, first + MOST_LINES)
        draw(renderer, box, Lines(lines.pixels, *(of_all[some] for of_all in lines[1:])), cap, join)


def draw_by_agg(renderer: Any, box: Bbox, lines: Lines, cap: str, join: str) -> None:
    """As `draw_lines`, in one call."""
    matrices = np.zeros((len(lines.starts), 3, 3))
    matrices[:, :2, 0] = lines.pixels[lines.starts]
    matrices[:, :2, 1] = lines.pixels[lines.starts + 1]
    matrices[:, 2, 2] = 1.0
    paths = [PIECE] * len(matrices)
    for index in np.flatnonzero(lines.stops - lines.starts > 2).tolist():
        paths[index] = Path(lines.pixels[lines.starts[index] : lines.stops[index]])
        matrices[index] = np.eye(3)
    context = renderer.new_gc()
    context.set_clip_rectangle(box)
    context.set_capstyle(cap)
    context.set_joinstyle(join)
    colors, widths = lines.colors / 255.0, np.minimum(lines.widths, LONGEST)
    looks = NO_FACES, colors, widths, SOLID, ANTIALIASED, NO_URLS, "screen"
    renderer.draw_path_collection(context, IN_PX, paths, matrices, AT_ORIGIN, IN_PX, *looks)


def draw_by_artist(renderer: RendererAgg, box: Bbox, lines: Lines, cap: str, join: str) -> None:
    """As `draw_lines`, by Matplotlib's public means alone."""
    vertices = [lines.pixels[start:stop] for start, stop in zip(lines.starts, lines.stops)]
    artist: Any = LineArtist(vertices, colors=lines.colors / 255.0, linewidths=np.minimum(lines.widths, LONGEST))
    artist.set_figure(Figure(dpi=renderer.dpi))
    artist.set_transform(IN_PX)
    artist.set_sketch_params(None)
    artist.set_path_effects([])
    artist.set_linestyle("solid")
    artist.set_antialiased(True)
    artist.set_capstyle(cap)
    artist.set_joinstyle(join)
    artist.set_clip_box(box)
    artist.draw(renderer)


@cache
def knows_agg() -> bool:
    """Whether both ways draw the same: `draw_path_collection` "is provisional and will be changed", says Matplotlib 3.11."""
    vertices = np.array([(3, 3), (28, 17), (5, 25), (5, 8), (8, 4), (17, 24), (29, 9)], np.float64)
    colors = np.array([(255, 0, 0, 255), (0, 99, 0, 128), (0, 0, 255, 200)], np.uint8)
    lines = Lines(vertices, np.array([0, 2, 4]), np.array([2, 4, 7]), colors, np.array([1.0, 3.0, 2.5]))
    pictures = []
    for draw in (draw_by_agg, draw_by_artist):
        renderer = RendererAgg(32, 32, 96.0)
        try:
            draw(renderer, Bbox([[2, 2], [30, 30]]), lines, "projecting", "miter")
        except Exception as exc:  # noqa: BLE001 - whatever becomes of a private function
            logger.debug("Matplotlib's artists draw: %r", exc)
            return False
        pictures.append(bytes(renderer.buffer_rgba()))
    return pictures[0] == pictures[1]
