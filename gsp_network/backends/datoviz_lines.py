"""Segments and paths for Datoviz: lines as triangles, snapped as Agg snaps them, and only as far as they are seen."""

from __future__ import annotations

import numpy as np

from ..scene.units import points_to_pixels
from ..scene.visuals import JoinStyle
from .base import FARTHEST, LONGEST, Drawing, Lines, path_lines, segment_lines
from .datoviz_parts import MARGIN, Surroundings, What, snapped, triangles
from .datoviz_pictures import on_sheet, pictures
from .tessellation import Array, strokes


def draw_segments(drawing: Drawing, around: Surroundings) -> list[What]:
    """One line a pair of vertices."""
    return _draw_lines(segment_lines(drawing), JoinStyle.ROUND, drawing, around)


def draw_paths(drawing: Drawing, around: Surroundings) -> list[What]:
    """One line a run of pieces that look alike.

    Where a translucent line crosses or touches itself, it has one shade: triangles cannot do that, Agg does.
    """
    lines = path_lines(drawing)
    if bool(((lines.colors[:, 3] < 255) & (lines.stops - lines.starts > 2)).any()):
        return pictures(on_sheet("draw_paths", drawing, around.canvas))
    return _draw_lines(lines, drawing.fields["join_style"], drawing, around)


def _draw_lines(lines: Lines, join_style: JoinStyle, drawing: Drawing, around: Surroundings) -> list[What]:
    drawn = (lines.widths > 0) & (lines.colors[:, 3] > 0)
    starts, counts = lines.starts[drawn], (lines.stops - lines.starts)[drawn]
    if not len(starts):
        return []
    widths = points_to_pixels(1.0, drawing.dpi) * np.minimum(lines.widths[drawn].astype(np.float64), LONGEST)
    of = np.repeat(np.arange(len(starts)), counts)
    points = lines.pixels[np.arange(len(of)) + np.repeat(starts - np.cumsum(counts) + counts, counts)]
    points = np.clip(points, -FARTHEST, FARTHEST)
    points = _snapped_lines(points, of, widths, around.canvas.get_height())
    points, of, starts = _seen_lines(points, of, np.maximum(widths, 2) * widths / 2 + MARGIN, around.rectangle)
    line = of[starts]
    mesh = strokes(points, starts, lines.colors[drawn][line], widths[line], drawing.fields["cap_style"], join_style)
    return triangles(mesh)


def _snapped_lines(points: Array, of: Array, widths: Array, height: int) -> Array:
    """Lines all of whose pieces are level or upright go where Agg snaps them."""
    same = of[1:] == of[:-1]
    slanted = same & (np.abs(points[1:] - points[:-1]) >= 1e-4).all(axis=1)
    straight = np.bincount(of[1:][slanted], minlength=len(widths)) == 0
    straight &= np.bincount(of, minlength=len(widths)) <= 1024
    snap = straight[of]
    if snap.any():
        points[snap] = snapped(points[snap], widths[of[snap]], height)
    return points


def _seen_lines(
    points: Array, of: Array, reach: Array, rectangle: tuple[int, int, int, int]
) -> tuple[Array, Array, Array]:
    """The pieces of lines that reach into a rectangle, cut where they leave its surroundings.

    Returns:
        Points, the line of each, and where each line or what is left of it starts.
    """
    begins = np.flatnonzero((of[1:] == of[:-1]) & (np.hypot(*(points[1:] - points[:-1]).T) > 1e-6))
    if not len(begins):
        return points[:0], of[:0], begins
    # Pieces of no length are left out; the next one starts where the last one ended.
    start, way = points[begins], points[begins + 1] - points[begins]
    x, y, width, height = rectangle
    far = reach[of[begins]][:, None]
    low, high = np.array([x, y]) - far, np.array([x + width, y + height]) + far
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = (low - start) / way, (high - start) / way
    still = way == 0
    inside = (start >= low) & (start <= high)
    entry = np.where(still, np.where(inside, -np.inf, np.inf), np.minimum(one, other)).max(axis=1)
    leave = np.where(still, np.where(inside, np.inf, -np.inf), np.maximum(one, other)).min(axis=1)
    entry, leave = np.maximum(entry, 0.0), np.minimum(leave, 1.0)
    kept = entry < leave
    start, way, entry, leave, line = start[kept], way[kept], entry[kept], leave[kept], of[begins][kept]
    order = np.flatnonzero(kept)
    if not len(order):
        return points[:0], of[:0], order
    joined = (line[1:] == line[:-1]) & (np.diff(order) == 1) & (entry[1:] == 0) & (leave[:-1] == 1)
    first = np.append(True, ~joined)
    tail = start + way * leave[:, None]
    head = start + way * entry[:, None]
    slots = 1 + first  # a piece that starts a line brings both of its ends
    at = np.cumsum(slots) - 1
    out, out_of = np.empty((slots.sum(), 2)), np.empty(slots.sum(), np.int64)
    out[at], out_of[at] = tail, line
    out[at[first] - 1], out_of[at[first] - 1] = head[first], line[first]
    return out, out_of, at[first] - 1
