"""Points by the thousand, drawn onto an Agg buffer with numpy: what Agg does one by one, a chunk at a time.

Points become fragments, a stamp's pixels at the point's place; what lies under a later opaque pixel is left out, and the rest is
blended in the order of the points, face before edge, rounding down as Agg does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Iterator, NamedTuple, Optional

import numpy as np

from .base import Drawing
from .stamps import PHASES, Table, reach_of, styles_of, table_of

if TYPE_CHECKING:
    from .stamps import Cover

    Array = np.ndarray[Any, Any]
    Agg = Callable[[Drawing], None]

# Below, Agg is as fast: some 60 calls of numpy, and a copy of the canvas, cost a millisecond. Of wide ones it takes more, squared
# by their reach, which is how far they go from their centre's pixel, in px.
LEAST_POINTS, LEAST_POINTS_A_REACH = 150, 8

# Beyond, Agg is as fast whatever their number.
LARGEST_REACH = 16

# A style's 1024 stamps cost as much as so many points by Agg, once: a few styles are taken as ones that come again, of more there
# must be points enough, and the sum of their reaches squared is bounded: the stamps take up to 24 kB times that.
FEW_STYLES, POINTS_A_STYLE, MOST_REACH_SQUARES = 4, 500, 1 << 11

# Fragments that are blended in one go: their arrays stay in a processor's cache, and no call of numpy takes long.
CHUNK = 1 << 15

# Points that are looked at in one go for what they hide.
CHUNK_POINTS = 1 << 13

# Hiding pays from so many opaque fragments a pixel on.
HIDING = 1.5

# Centres of a chunk in one cell of a stamp's size: from here on Agg is faster, since every layer is a round of its own.
DEEPEST = 48

# Canvases up to so many pixels have their scratch arrays kept.
SCRATCH_PIXELS = 1 << 21

LANES, FULL, EIGHT = np.uint64(0x00FF00FF00FF00FF), np.uint64(256), np.uint64(8)
"""Four channels of 8 bits in lanes of 16: a product with a weight of 0 to 256 fits."""


_product = np.arange(256)[:, np.newaxis] * np.arange(256) + 128
_covered = ((_product >> 8) + _product) >> 8  # as Agg multiplies alpha by coverage
WEIGHTS: Array = (_covered + (_covered == 255)).astype(np.uint64).ravel()
"""What 256 * alpha + coverage, 0 to 255 each, weighs of 256."""


class Points(NamedTuple):
    """Points in drawing order, those left out that are hidden.

    Attributes:
        number: (n,) int32, their places in that order.
        pixel: (n,), the pixel of the padded canvas that the centre lies in.
        start, entries: (n,), the first of their stamp's entries in the table, and how many.
        faces, edges: (n,) uint64, colours in lanes.
        alphas: (2, n), 256 times the alpha of face and edge.
    """

    number: Array
    pixel: Array
    start: Array
    entries: Array
    faces: Array
    edges: Array
    alphas: Array

    def take(self, index: Any) -> Points:
        """Some of them."""
        return Points._make(values[..., index] for values in self)


def draw_discs(pixels: Array, drawing: Drawing, cover: Cover, agg: Agg) -> bool:
    """Draw discs onto a canvas, or leave them to Agg: few, wide ones, and those of many styles.

    Which it is follows from the drawing alone, so that a scene gives one picture, whatever was drawn before.

    Args:
        pixels: (height, width, 4) uint8, opaque, first row on top.
        drawing: points, or markers that are discs.
        cover: draws stamps, see `Stamps.draw`.
        agg: draws some of these discs on `pixels`.
    Returns:
        Whether they are drawn.
    """
    if len(drawing.pixels) < LEAST_POINTS:
        return False
    height, width = pixels.shape[:2]
    sizes, widths = (drawing.fields[name].astype(np.float64) for name in ("sizes", "edge_widths"))
    reaches = reach_of(sizes, widths, drawing.dpi)
    x, y, view = drawing.pixels[:, 0], height - drawing.pixels[:, 1], drawing.viewport
    left, top = max(view.get_x(), 0), max(height - view.get_y() - view.get_height(), 0)
    right, bottom = min(view.get_x() + view.get_width(), width), min(height - view.get_y(), height)
    near = drawing.visible & (x > left - reaches) & (x < right + reaches) & (y > top - reaches) & (y < bottom + reaches)
    index = np.flatnonzero(near)
    reach = int(reaches[index].max(initial=0))
    if reach > LARGEST_REACH or len(index) < max(LEAST_POINTS, LEAST_POINTS_A_REACH * reach**2):
        return False
    styles, style = styles_of(sizes[index], widths[index], drawing.dpi)
    reaches = reach_of(styles[:, 0], styles[:, 1], drawing.dpi)
    reach = max(reach, int(reaches.max()))
    if len(styles) > FEW_STYLES and (
        len(styles) * POINTS_A_STYLE > len(index) or int((reaches**2).sum()) > MOST_REACH_SQUARES
    ):
        return False
    x, y = (np.floor(PHASES * values[index] + 0.5).astype(np.intp) for values in (x, y))
    stamp = (style * PHASES + y % PHASES) * PHASES + x % PHASES
    table = table_of(styles.tolist(), reaches.astype(int).tolist(), drawing.dpi, stamp, cover)
    x, y = x // PHASES, y // PHASES
    left, top = max(left, int(x.min()) - reach), max(top, int(y.min()) - reach)
    right, bottom = min(right, int(x.max()) + reach + 1), min(bottom, int(y.max()) + reach + 1)
    if left < right and top < bottom:
        region = pixels.view(np.uint32)[top:bottom, left:right, 0]
        _paint(region, reach, x - left, y - top, stamp, table, drawing.some(index), agg)
    return True


def _paint(
    region: Array, reach: int, x: Array, y: Array, stamp: Array, table: Table, drawing: Drawing, agg: Agg
) -> None:
    """Draw points on part of a canvas.

    Args:
        region: (height, width) uint32, opaque: red, green, blue and alpha, a byte each.
        reach: that of the widest stamp.
        x, y: (n,), each point's pixel in the region or within `reach` of it.
        stamp: (n,), index into `table`.
        drawing: the points, as Agg takes them.
    """
    margin = 2 * reach  # stamps lie within the region and its margin: nothing needs to be clipped
    canvas, owner, slot = _scratch(region.shape[0] + 2 * margin, region.shape[1] + 2 * margin)
    faces, edges = drawing.fields["face_colors"], drawing.fields["edge_colors"]
    points = Points(
        np.arange(len(stamp), dtype=np.int32),
        (y + margin) * canvas.shape[1] + x + margin,
        table.starts.take(stamp),
        table.counts[2].take(stamp),
        _lanes(faces),
        _lanes(edges),
        np.stack([faces[:, 3], edges[:, 3]]).astype(np.intp) << 8,
    )
    inside = canvas[margin:-margin, margin:-margin]
    inside[:] = region
    flat, offsets = canvas.ravel(), table.entries[0] * np.intp(canvas.shape[1]) + table.entries[1]
    hides = np.where(points.alphas.min(axis=0) == 255 << 8, table.counts[1].take(stamp), 0)
    owners = under = None
    if int(hides.sum()) > HIDING * region.size:
        owner[:] = len(stamp)
        owner[margin:-margin, margin:-margin] = -1
        kept = _uncovered(points, hides, offsets, owner, reach)
        owners = owner.ravel()
        under = np.flatnonzero((owners >= 0) & (owners < len(stamp)))
        beneath = _pack(points.faces.take(owners.take(under)))
        flat[under] = beneath
        # Where the face alone covers a pixel, this is all there is to do.
        plain = np.where(hides > 0, table.counts[0].take(stamp), 0)
        points = points._replace(start=points.start + plain, entries=points.entries - plain).take(kept)
    for part in _chunks(points.entries):
        chunk = points.take(part)
        if _depth(chunk.pixel, canvas.shape[1], reach) <= DEEPEST:
            _blend(flat, slot, chunk, table, offsets, owners)
            continue
        region[:] = inside
        agg(drawing.some(chunk.number))
        inside[:] = region
        if owners is not None and under is not None:  # what later points cover
            later = owners.take(under) > chunk.number[-1]
            flat[under[later]] = beneath[later]
    region[:] = inside


def _uncovered(points: Points, hides: Array, offsets: Array, owner: Array, reach: int) -> Array:
    """Which points are not wholly under later ones.

    Args:
        hides: (n,), how many of each point's first entries hide what lies below.
        offsets: the entries' pixels from the centre's.
        owner: (height, width), -1 where points may be drawn, and above every number elsewhere; filled with the number of the last
            point that covers the pixel.
    """
    flat, kept = owner.ravel(), []
    for stop in range(len(hides), 0, -CHUNK_POINTS):
        index = np.arange(max(stop - CHUNK_POINTS, 0), stop)
        index = index[~_all_around(owner >= 0, reach).ravel().take(points.pixel[index])]
        kept.append(index)
        of, entry = _expand(points.start.take(index), hides.take(index))
        pixel = points.pixel.take(index).take(of) + offsets.take(entry)
        free = np.flatnonzero(flat.take(pixel) < 0)
        flat[pixel.take(free)] = index.take(of.take(free))
    return np.concatenate(kept[::-1])


def _all_around(covered: Array, reach: int) -> Array:
    """Whether a pixel and all within `reach` rows and columns of it are covered; False next to the border."""
    result, side = np.zeros_like(covered), 2 * reach + 1
    for _ in range(2):
        done = 1
        while done < side:
            step = min(done, side - done)
            covered = covered[:-step] & covered[step:]
            done += step
        covered = covered.T
    result[reach:-reach, reach:-reach] = covered
    return result


def _expand(start: Array, count: Array) -> tuple[Array, Array]:
    """Whose each entry is, and which, where each point has `count` entries from `start` on."""
    of = np.repeat(np.arange(len(start)), count)
    return of, np.arange(len(of)) + (start - np.cumsum(count) + count).take(of)


def _chunks(counts: Array) -> Iterator[slice]:
    """The points in pieces of some CHUNK entries."""
    ends = np.cumsum(counts)
    start = done = 0
    while start < len(ends):
        stop = max(int(np.searchsorted(ends, done + CHUNK, "right")), start + 1)
        yield slice(start, stop)
        start, done = stop, int(ends[stop - 1])


def _depth(pixel: Array, stride: int, reach: int) -> int:
    """How many centres lie in the fullest cell of a stamp's size."""
    side = 2 * reach
    cell = pixel // stride // side * (stride // side + 1) + pixel % stride // side
    return int(np.bincount(cell - cell.min()).max())


def _blend(canvas: Array, slot: Array, points: Points, table: Table, offsets: Array, owners: Optional[Array]) -> None:
    """Lay the entries of points over what is there, in order, but for those below their pixel's owner.

    Args:
        canvas: (pixels,) uint32.
        slot: (pixels,) int32, to write in.
    """
    of, entry = _expand(points.start, points.entries)
    pixel = points.pixel.take(of) + offsets.take(entry)
    left = np.arange(len(of)) if owners is None else np.flatnonzero(owners.take(pixel) <= points.number.take(of))
    while len(left):
        at = pixel.take(left)
        turn = np.arange(len(left), dtype=np.int32)
        slot[at[::-1]] = turn[::-1]
        lowest = slot.take(at) == turn  # the first on its pixel
        now = left
        if lowest.all():
            left = left[:0]
        else:
            at, now, left = at[lowest], left[lowest], left[~lowest]
        by, what = of.take(now), entry.take(now)
        below = _spread(canvas.take(at))
        for cover, colors, alpha in zip(table.entries[2:], (points.faces, points.edges), points.alphas):
            weight = WEIGHTS.take(alpha.take(by) + cover.take(what))
            below = (below * (FULL - weight) + colors.take(by) * weight) >> EIGHT & LANES
        canvas[at] = _pack(below)


def _spread(colors: Array) -> Array:
    """Four bytes in a uint32 as four lanes of 16 bits."""
    wide = colors.astype(np.uint64)
    lanes: Array = (wide | wide << np.uint64(24)) & LANES
    return lanes


def _pack(lanes: Array) -> Array:
    """The reverse of `_spread`."""
    colors: Array = (lanes | lanes >> np.uint64(24)).astype(np.uint32)
    return colors


def _lanes(rgba8: Array) -> Array:
    """(n, 4) uint8 in lanes, opaque."""
    opaque = np.array(rgba8, order="C")
    opaque[:, 3] = 255
    return _spread(opaque.view(np.uint32)[:, 0])


_held = np.empty(0, np.int32)


def _scratch(height: int, width: int) -> tuple[Array, Array, Array]:
    """A canvas, uint32, its owners, and (pixels,) more, int32, of any content: new pages would cost a millisecond a frame."""
    global _held
    size = height * width
    held = _held if len(_held) >= 3 * size else np.empty(3 * size, np.int32)
    if size <= SCRATCH_PIXELS:
        _held = held
    canvas, owner, slot = held[: 3 * size].reshape(3, height, width)
    return canvas.view(np.uint32), owner, slot.ravel()
