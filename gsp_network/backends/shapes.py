"""Points and markers by one call to Agg, without an artist: the pictures that a PathCollection draws.

What costs in a PathCollection beside the drawing itself is a scaled dash pattern for each outline, and that its arrays are looked
through again at every frame.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any, NamedTuple, Optional

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.transforms import Bbox, IdentityTransform

logger = logging.getLogger(__name__)

IN_PX = IdentityTransform().frozen()
SOLID, ANTIALIASED, NO_URLS = [(0, None)], [True], [None]

# Matplotlib 3.5 calls it transOffset.
OFFSET_TRANSFORM = "offset_transform" if matplotlib.__version_info__ >= (3, 6) else "transOffset"

# Shapes that one call draws: there is a matrix for each, and no other thread is let in while they are made.
MOST_SHAPES = 2**13


class Shapes(NamedTuple):
    """Shapes of one kind in drawing order.

    Attributes:
        places: (n, 2) px.
        sizes: (n,) pt^2, of the square that a shape of side 1 becomes.
        faces, edges: (n, 4) uint8.
        widths: (n,) pt, of the edges.
    """

    places: np.ndarray[Any, Any]
    sizes: np.ndarray[Any, Any]
    faces: np.ndarray[Any, Any]
    edges: np.ndarray[Any, Any]
    widths: np.ndarray[Any, Any]


class ShapesArtist(PathCollection):
    """What draws shapes where Agg's function is not the one that is known here, and one shape alone."""

    def get_snap(self) -> Optional[bool]:
        """Snap rectilinear paths to pixels, as by default, whatever rcParams["path.snap"] says."""
        return None


def draw_shapes(renderer: RendererAgg, box: Bbox, outline: Path, shapes: Shapes) -> None:
    """Draw shapes one after the other.

    Args:
        renderer: what to draw on.
        box: what to clip them to, in px.
        outline: of side 1 around the origin.
        shapes: the shapes.
    """
    count = len(shapes.places)
    # One alone Matplotlib draws as a marker, which it snaps to whole pixels; so pieces are alike.
    draw = draw_by_agg if count > 1 and knows_agg() else draw_by_artist
    for some in np.array_split(np.arange(count), -(-count // MOST_SHAPES)) if count else ():
        part = slice(some[0], some[-1] + 1)
        draw(renderer, box, outline, Shapes(*(of_all[part] for of_all in shapes)))


def draw_by_agg(renderer: Any, box: Bbox, outline: Path, shapes: Shapes) -> None:
    """As `draw_shapes`, in one call."""
    matrices = np.zeros((len(shapes.places), 3, 3))
    matrices[:, 0, 0] = matrices[:, 1, 1] = np.sqrt(shapes.sizes) * renderer.dpi / 72.0
    matrices[:, 2, 2] = 1.0
    context = renderer.new_gc()
    context.set_clip_rectangle(box)
    looks = shapes.faces / 255.0, shapes.edges / 255.0, shapes.widths, SOLID, ANTIALIASED, NO_URLS, "screen"
    renderer.draw_path_collection(context, IN_PX, [outline], matrices, shapes.places, IN_PX, *looks)


def draw_by_artist(renderer: Any, box: Bbox, outline: Path, shapes: Shapes) -> None:
    """As `draw_shapes`, by Matplotlib's public means alone."""
    artist: Any = ShapesArtist([outline], offsets=shapes.places, **{OFFSET_TRANSFORM: IN_PX})
    # What is larger than the figure is no marker.
    artist.set_figure(Figure((renderer.width / renderer.dpi, renderer.height / renderer.dpi), renderer.dpi))
    artist.set_transform(IN_PX)
    artist.set_sketch_params(None)
    artist.set_path_effects([])
    artist.set_sizes(shapes.sizes, renderer.dpi)
    artist.set_facecolors(shapes.faces / 255.0)
    artist.set_edgecolors(shapes.edges / 255.0)
    artist.set_linewidths(shapes.widths)
    artist.set_linestyle("solid")
    artist.set_antialiased(True)
    artist.set_clip_box(box)
    artist.draw(renderer)


@cache
def knows_agg() -> bool:
    """Whether both ways draw the same: `draw_path_collection` "is provisional and will be changed", says Matplotlib 3.11."""
    places = np.array([(9.3, 11.7), (15.1, 14.2), (21.8, 22.4), (31.0, 2.5)])
    faces, edges = np.array([[(255, 0, 0, 255), (0, 99, 0, 128), (0, 0, 255, 0), (9, 9, 9, 9)]] * 2, np.uint8)
    shapes = Shapes(places, np.array([90.0, 150.0, 40.5, 70.0]), faces, edges[::-1], np.array([0.0, 1.5, 0.7, 3.0]))
    pictures = []
    for draw in (draw_by_agg, draw_by_artist):
        renderer = RendererAgg(32, 32, 96.0)
        try:
            for outline in (Path.unit_circle(), Path([(-0.5, -0.5), (0.5, -0.5), (0, 0.5), (-0.5, -0.5)])):
                draw(renderer, Bbox([[2, 2], [30, 30]]), outline, shapes)
        except Exception as exc:  # noqa: BLE001 - whatever becomes of a private function
            logger.debug("Matplotlib's artists draw: %r", exc)
            return False
        pictures.append(bytes(renderer.buffer_rgba()))
    return pictures[0] == pictures[1]
