"""Points, markers and pixels for Datoviz: triangles, its own discs, its own dots."""

from __future__ import annotations

from typing import Sequence

import numpy as np

from ..scene.units import points_to_pixels
from ..scene.visuals import MarkerShape
from .base import DOT_COVERAGE, FARTHEST, LONGEST, Drawing, pixel_dots
from .datoviz_parts import MARGIN, Discs, Dots, Surroundings, What, snapped, triangles
from .tessellation import FLATNESS, Array, club, disc_corners, shapes, square

MANY_DISCS = 512  # from here on opaque discs are Datoviz's own: rougher at the edge, a tenth of the work
ROUGH = 0.25  # px that the outline of one of many discs may be off
MOST_CORNERS = 2_000_000  # of all discs of a visual; beyond that their outlines get rougher
LARGEST_DISC = 60.0  # px; devices that draw large points at all draw them as large as that (Vulkan: pointSizeRange)


def draw_points(drawing: Drawing, around: Surroundings) -> list[What]:
    """Discs whose diameter is sqrt(size) pt, each with its edge."""
    return _draw_shapes(MarkerShape.disc, drawing, around)


def draw_markers(drawing: Drawing, around: Surroundings) -> list[What]:
    """As points, in other shapes."""
    return _draw_shapes(drawing.fields["marker_shape"], drawing, around)


def _draw_shapes(kind: MarkerShape, drawing: Drawing, around: Surroundings) -> list[What]:
    fields, unit = drawing.fields, points_to_pixels(1.0, drawing.dpi)
    faces, edges = fields["face_colors"], fields["edge_colors"]
    centers = np.clip(drawing.pixels, -FARTHEST, FARTHEST)
    sizes = np.minimum(np.sqrt(fields["sizes"].astype(np.float64)), LONGEST) * unit
    covering = 4 * np.hypot(around.canvas.get_width(), around.canvas.get_height())  # px; a wider pen looks no different
    widths = np.minimum(fields["edge_widths"].astype(np.float64) * unit, sizes + covering)
    widths[edges[:, 3] == 0] = 0.0
    reach = np.sqrt(0.5) * sizes + widths / 2 + MARGIN
    shown = drawing.visible & around.reached(centers, reach) & ((faces[:, 3] > 0) | (widths > 0))
    centers, sizes, widths, faces, edges = _only(shown, centers, sizes, widths, faces, edges)
    if not len(centers):
        return []
    if kind is MarkerShape.disc:
        if len(centers) >= MANY_DISCS:
            return _draw_many_discs(centers, sizes, faces, edges, widths, around)
        return _discs(centers, sizes, faces, edges, widths, FLATNESS)
    if kind is MarkerShape.square:
        # Agg snaps to whole pixels what has only level and upright sides.
        height = around.canvas.get_height()
        pens = fields["edge_widths"][shown].astype(np.float64) * unit
        low, high = (snapped(centers + sign * sizes[:, None] / 2, pens, height) for sign in (-1, 1))
        return triangles(shapes(square(), (low + high) / 2, high - low, faces, edges, widths))
    # A wide edge lies over itself between the leaves; where that would show, it ends earlier inside.
    opaque = bool(((edges[:, 3] == 255) | (widths == 0)).all())
    return triangles(shapes(club(opaque), centers, sizes, faces, edges, widths))


def _only(shown: Array, *arrays: Array) -> Sequence[Array]:
    """The items of arrays that are shown; the arrays themselves where all are."""
    return arrays if shown.all() else [array[shown] for array in arrays]


def _draw_many_discs(
    centers: Array, sizes: Array, faces: Array, edges: Array, widths: Array, around: Surroundings
) -> list[What]:
    """Datoviz's own discs where they look right: an edge is a disc under a smaller one, which wants both to be opaque.

    Vulkan may drop those whose centre lies outside; they come last, as triangles.
    """
    edged = widths > 0
    plain = ((faces[:, 3] == 255) & (edges[:, 3] == 255) & (sizes >= widths)) | ~edged
    if not plain.all() or (sizes + widths).max() > LARGEST_DISC:
        return _discs(centers, sizes, faces, edges, widths, ROUGH)
    within = around.reached(centers, 0.0)
    places, inner, outer, colors, borders, bordered = _only(
        within, centers, np.where(edged, sizes - widths, sizes), sizes + widths, faces, edges, edged
    )
    twice = np.repeat(places, 2, axis=0)
    both = np.stack([borders, colors], axis=1).reshape(-1, 4)
    diameters = np.stack([np.where(bordered, outer, 0.0), inner], axis=1).ravel()
    twice, both, diameters = _only(diameters > 0, twice, both, diameters)
    found: list[What] = [Discs(twice, both, diameters)] if len(twice) else []
    rest = ~within
    if not rest.any():
        return found
    return found + _discs(centers[rest], sizes[rest], faces[rest], edges[rest], widths[rest], ROUGH)


def _discs(centers: Array, sizes: Array, faces: Array, edges: Array, widths: Array, flatness: float) -> list[What]:
    while disc_corners((sizes + widths) / 2, flatness).sum() > MOST_CORNERS and flatness < LARGEST_DISC:
        flatness *= 2
    return triangles(shapes(None, centers, sizes, faces, edges, widths, flatness))


def draw_pixels(drawing: Drawing, around: Surroundings) -> list[What]:
    """Dots of one pixel, as dense as Agg's."""
    height = around.canvas.get_height()
    columns, rows, groups = pixel_dots(drawing, around.canvas.get_width(), height)
    if not len(columns):
        return []
    colors = drawing.fields["colors"][groups]
    colors[:, 3] = np.rint(colors[:, 3] * DOT_COVERAGE).astype(np.uint8)
    return [Dots(np.stack([columns + 0.5, height - rows - 0.5], axis=1), colors)]
