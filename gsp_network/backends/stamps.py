"""Stamps: how much of each pixel a disc covers, for 32 x 32 places of its centre within a pixel, as Agg draws it there.

Stamps are drawn when they are first needed, all that a drawing needs in one go, and kept. Nothing here draws on a canvas: see
`rasterize`.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Callable, Hashable, NamedTuple, Sequence

import numpy as np

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]
    Cover = Callable[[float, float, Array, int, int], tuple[Array, Array]]

# A centre is off by 1/64 px at most, which makes 6 of 255 in a pixel that an outline crosses; 16 x 16 would make 12.
PHASES = 32

# Where styles are more, diameters are rounded to 1/16 px, which makes 4 of 255 in a pixel that an outline crosses.
EXACT_STYLES, STEPS = 32, 16

# What is kept for the next frames, in bytes: a style of 6 px takes up to 0.4 MB, one of 27 px 5 MB.
KEPT_BYTES = 1 << 26


def reach_of(sizes: Array, widths: Array, dpi: float) -> Array:
    """How many pixels discs may go from the one that their centre lies in, at any phase; Agg's polygons go 3 % beyond the circle.

    Args:
        sizes, widths: pt^2, and pt of the edge.
    """
    reaches: Array = np.ceil((np.sqrt(sizes) + widths) * (0.52 * dpi / 72) + 0.5)
    return reaches


def styles_of(sizes: Array, widths: Array, dpi: float) -> tuple[Array, Array]:
    """The styles that occur, (k, 2) size and edge width, and which of them each disc has, (n,), or (1,) where all have one."""
    for rounded in (False, True):
        if rounded:
            steps = STEPS * dpi / 72
            sizes = (np.rint(np.sqrt(sizes) * steps) / steps) ** 2
        both = np.column_stack([sizes, widths]).astype(np.float32)
        keys = both.view(np.uint64)[:, 0]
        if (keys == keys[0]).all():
            return both[:1].astype(np.float64), np.zeros(1, np.intp)
        _, examples, style = np.unique(keys, return_index=True, return_inverse=True)
        if len(examples) <= EXACT_STYLES:
            break
    return both[examples].astype(np.float64), style.reshape(-1)


class Stamps:
    """The stamps of one style, drawn or not; a stamp's index is 32 x phase in y + phase in x.

    The entries of a stamp follow each other, first those that hide what lies below if the disc is opaque.

    Attributes:
        reach: no entry is farther from the pixel of the centre, in px.
        starts: (1024,), each stamp's first entry, -1 if it is not drawn.
        counts: (3, 1024), its entries that the face covers and the edge does not touch; those that either covers; all.
        entries: (4, m) int16: where an entry's pixel lies from the centre's, y down, then x; how much of 255 the face covers, and
            the edge.
    """

    def __init__(self, reach: int) -> None:
        self.reach = reach
        self.starts = np.full(PHASES**2, -1, np.intp)
        self.counts = np.zeros((3, PHASES**2), np.intp)
        self.entries = np.empty((4, 0), np.int16)

    def draw(self, wanted: Array, size: float, edge_width: float, cover: Cover) -> None:
        """Draw those of the stamps that are not drawn yet.

        Args:
            wanted: (k,), their indices.
            size, edge_width: pt^2 and pt.
            cover: for size, edge width, centres, (n, 2) px from the top left, and the width and height in px of a picture: how
                much of 255 face and edge of such discs cover, (height, width) uint8 each.
        """
        missing = wanted[self.starts[wanted] < 0]
        if not len(missing):
            return
        side, number = 2 * self.reach + 1, np.arange(len(missing))
        corners = np.column_stack([number % PHASES, number // PHASES]) * side
        centres = corners + self.reach + np.column_stack([missing % PHASES, missing // PHASES]) / PHASES
        rows = len(missing) // PHASES + 1
        planes = cover(size, edge_width, centres, PHASES * side, rows * side)
        face, edge = (
            plane.reshape(rows, side, PHASES, side).swapaxes(1, 2).reshape(-1, side * side)[: len(missing)]
            for plane in planes
        )
        stamp, pixel = np.nonzero(face | edge)
        face, edge = face[stamp, pixel], edge[stamp, pixel]
        order = 3 * stamp + np.where((face == 255) & (edge == 0), 0, np.where((face == 255) | (edge == 255), 1, 2))
        counts = np.bincount(order, minlength=3 * len(missing)).reshape(-1, 3).cumsum(axis=1).T
        y, x = np.divmod(pixel, side)
        entries = np.stack([y - self.reach, x - self.reach, face, edge]).astype(np.int16)
        entries = entries[:, np.argsort(order.astype(np.int16), kind="stable")]
        self.counts[:, missing], starts = counts, self.entries.shape[1] + np.cumsum(counts[2]) - counts[2]
        self.entries, self.starts[missing] = np.hstack([self.entries, entries]), starts


class Table(NamedTuple):
    """The stamps of several styles; a stamp's index is that of its style x 1024 + its index there. See `Stamps`."""

    starts: Array
    counts: Array
    entries: Array


_kept: OrderedDict[Hashable, Stamps] = OrderedDict()


def table_of(
    styles: Sequence[Sequence[float]], reaches: Sequence[int], dpi: float, stamps: Array, cover: Cover
) -> Table:
    """The stamps that are needed, of all styles together.

    Args:
        styles: size and edge width of each, pt^2 and pt.
        reaches: that of each style, px.
        stamps: (n,), indices into the table; the others need not be there.
        cover: see `Stamps.draw`.
    """
    needed = np.zeros((len(styles), PHASES**2), bool)
    needed.ravel()[stamps] = True
    found = []
    for (size, edge_width), reach, wanted in zip(styles, reaches, needed):
        key = size, edge_width, dpi
        style = _kept[key] = _kept.pop(key) if key in _kept else Stamps(reach)
        style.draw(np.flatnonzero(wanted), size, edge_width, cover)
        found.append(style)
    while sum(style.entries.nbytes for style in _kept.values()) > KEPT_BYTES:
        _kept.popitem(last=False)
    if len(found) == 1:
        return Table(found[0].starts, found[0].counts, found[0].entries)
    before = np.cumsum([0] + [style.entries.shape[1] for style in found])
    starts = np.concatenate([style.starts + start for style, start in zip(found, before)])
    return Table(starts, np.hstack([style.counts for style in found]), np.hstack([style.entries for style in found]))
