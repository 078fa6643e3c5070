"""Outlines and lines as triangles with a colour at each corner, for a GPU that fills triangles and smooths no edges.

Smooth edges without multisampling: along every edge lies a fringe one pixel wide, half of it inside, across which alpha falls
to 0. Where an edge runs along the pixel grid, that is the covered part of each pixel; elsewhere it is close to it. What is
thinner than a pixel is drawn a pixel wide and as much fainter.

Everything is counted in px, y up, in float64; a caller shifts to its viewport and rounds to float32 afterwards.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple, Optional, Sequence

import numpy as np

from ..scene.visuals import CapStyle, JoinStyle, MarkerShape

Array = Any  # np.ndarray; its type parameters differ between the numpy versions that we support

HALF = 0.5  # of the fringe's width
FLATNESS = 0.1  # px between an arc and the straight pieces that it is drawn with
CORNERS = np.array([count * 2**power for power in range(3, 14) for count in (1, 1.5)]).astype(int)
LEAST_TURN = 0.15  # radians; flatter joins look the same whatever their style
SHARP_TURN = 2.0  # radians


class Mesh(NamedTuple):
    """Triangles to be filled in this order.

    Attributes:
        positions: (n, 2) float64, px.
        colors: (n, 4) uint8, straight alpha; blended between corners.
        indices: (3 * triangles,) uint32.
    """

    positions: Array
    colors: Array
    indices: Array


EMPTY = Mesh(np.empty((0, 2)), np.empty((0, 4), np.uint8), np.empty(0, np.uint32))


def join(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh that draws several, one after the other."""
    first = np.cumsum([0] + [len(mesh.positions) for mesh in meshes])
    return Mesh(
        np.concatenate([mesh.positions for mesh in meshes]),
        np.concatenate([mesh.colors for mesh in meshes]),
        np.concatenate([mesh.indices + np.uint32(offset) for mesh, offset in zip(meshes, first)]),
    )


# ---------------------------------------------------------------- shapes: points and markers


class Shape(NamedTuple):
    """A closed outline of size 1 around the origin.

    Attributes:
        corners: (k, 2), counter-clockwise; a corner that is rounded outside stands there several times.
        outward, inward: (k, 2), how far each corner moves when the outline grows or shrinks by 1.
        triangles: (t, 3), what fills it.
        inradius: how far a face can shrink.
        depth: how far an edge can reach inward.
        round: it is a disc.
    """

    corners: Array
    outward: Array
    inward: Array
    triangles: Array
    inradius: float
    depth: float
    round: bool


@cache
def disc(corners: int) -> Shape:
    """A disc of diameter 1, as a polygon of the same area."""
    angle = 2 * np.pi * np.arange(corners) / corners
    around = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    around *= np.sqrt(2 * np.pi / (corners * np.sin(2 * np.pi / corners)))
    fan = np.arange(1, corners - 1)
    triangles = np.stack([np.zeros_like(fan), fan, fan + 1], axis=1)
    return Shape(around / 2, around, around, triangles, 0.5, 0.5, True)


def polygon(corners: Array, triangles: Array, inradius: float, depth: float, sharpest: float) -> Shape:
    """A shape from its outline, with round corners where it grows.

    Args:
        corners: (k, 2), counter-clockwise.
        triangles: (t, 3) into that.
        inradius, depth: see `Shape`.
        sharpest: how far a corner moves at most where an outline is moved by 1 and its sides stay straight. With 1 nothing
            comes to lie farther off than it should, however narrow the shape.
    """
    before, after = corners - np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0) - corners
    before, after = (side / np.hypot(*side.T)[:, None] for side in (before, after))
    turn = np.arctan2(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0], (before * after).sum(axis=1))
    normal = np.stack([before[:, 1], -before[:, 0]], axis=1)
    to_miter = turn / 2
    miter = _rotated(normal, to_miter) / np.maximum(np.cos(to_miter), 1 / sharpest)[:, None]
    steps = np.where(np.abs(turn) > LEAST_TURN, np.ceil(np.abs(turn) / (np.pi / 8)).astype(int) + 1, 1)
    which = np.repeat(np.arange(len(corners)), steps)
    number = np.arange(len(which)) - np.repeat(np.cumsum(steps) - steps, steps)
    arc = _rotated(normal[which], turn[which] * number / np.maximum(steps[which] - 1, 1))
    fanned = steps[which] > 1
    convex = turn[which] > 0
    outward = np.where((fanned & convex)[:, None], arc, miter[which])
    inward = np.where((fanned & ~convex)[:, None], arc, miter[which])
    return Shape(corners[which], outward, inward, (np.cumsum(steps) - steps)[triangles], inradius, depth, False)


@cache
def square() -> Shape:
    """A square of side 1."""
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    return polygon(corners, np.array([[0, 1, 2], [0, 2, 3]]), 0.5, 0.5, np.sqrt(2))


@cache
def club(deep: bool) -> Shape:
    """The other backend's club; where `deep`, its edge reaches inward as far as outward."""
    from matplotlib.path import Path
    from matplotlib.transforms import Affine2D
    from matplotlib.tri import Triangulation

    from .matplotlib_backend import marker_shape

    scale = 200.0  # px, at which its curves are made straight pieces
    flat: Any = marker_shape(MarkerShape.club).transformed(Affine2D().scale(scale)).to_polygons(closed_only=True)
    outline = flat[0][:-1] / scale
    apart = np.hypot(*(outline - np.roll(outline, 1, axis=0)).T) > 1e-6
    outline = outline[apart]
    x, y = outline.T
    if np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) < 0:
        outline = outline[::-1]
    triangles = Triangulation(*outline.T).triangles
    inside = Path(outline).contains_points(outline[triangles].mean(axis=1))
    return polygon(outline, triangles[inside], 0.1, 1e3 if deep else 0.1, 1.0)


def _rotated(vectors: Array, angle: Array) -> Array:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([vectors[:, 0] * cos - vectors[:, 1] * sin, vectors[:, 0] * sin + vectors[:, 1] * cos], axis=1)


def disc_corners(radii: Array, flatness: float) -> Array:
    """How many corners a disc needs for each radius in px: one of few numbers, a third or so apart."""
    needed = np.pi / np.arccos(1 - flatness / np.maximum(radii, 2 * flatness))
    return CORNERS[np.minimum(np.searchsorted(CORNERS, needed), len(CORNERS) - 1)]


def shapes(
    shape: Optional[Shape],
    centers: Array,
    sizes: Array,
    faces: Array,
    edges: Array,
    widths: Array,
    flatness: float = FLATNESS,
) -> Mesh:
    """Filled outlines with edges, in order: each face, then its edge.

    Args:
        shape: what to draw; None for discs.
        centers: (n, 2) px.
        sizes: (n,) px, what the shape's 1 becomes; or (n, 2), for x and y.
        faces, edges: (n, 4) uint8.
        widths: (n,) px, of edges, which are centred on the outline.
        flatness: px that a disc's outline may be off.
    """
    if not len(centers):
        return EMPTY
    with_edges = bool(((edges[:, 3] > 0) & (widths > 0)).any())
    if shape is not None:
        return _alike(shape, centers, sizes, faces, edges if with_edges else None, widths)
    corners = disc_corners(sizes / 2 + widths / 2, flatness)
    kinds = [
        (np.flatnonzero(corners == count), disc(int(count))) for count in np.unique(corners)
    ]  # by corners, put back into order below
    meshes = [
        _alike(kind, centers[of], sizes[of], faces[of], edges[of] if with_edges else None, widths[of])
        for of, kind in kinds
    ]
    if len(meshes) == 1:
        return meshes[0]
    mesh = join(meshes)
    count = np.empty(len(centers), np.int64)
    for (of, _), part in zip(kinds, meshes):
        count[of] = len(part.indices) // len(of)
    start = np.cumsum(count) - count
    ordered = np.empty(len(mesh.indices), np.uint32)
    done = 0
    for (of, _), part in zip(kinds, meshes):
        each = len(part.indices) // len(of)
        ordered[(start[of][:, None] + np.arange(each)).ravel()] = mesh.indices[done : done + len(part.indices)]
        done += len(part.indices)
    return Mesh(mesh.positions, mesh.colors, ordered)


def _alike(shape: Shape, centers: Array, sizes: Array, faces: Array, edges: Optional[Array], widths: Array) -> Mesh:
    """Shapes of one kind, as rings around each other; alpha is 0 on the outermost, and on the innermost of an edge."""
    sizes = sizes.reshape(len(sizes), -1)  # of both axes, or of each
    radius = sizes.min(axis=1) * shape.inradius
    scale, shrunk = sizes, np.minimum(radius, HALF)
    coverage = np.minimum(3 * (radius / (radius + HALF)) ** 2, 1.0)  # of what is smaller than a pixel
    if shape.round:  # what the fringe adds to the area is taken from the radius; below half a pixel from the colour
        drawn = np.sqrt(np.maximum(radius**2 - 1 / 12, 1 / 4))
        scale, shrunk = drawn[:, None] / shape.inradius, np.full_like(radius, HALF)
        coverage = np.minimum(3 * radius**2, 1.0)
    fill = _faded(faces, coverage)
    rings = [(scale, -shrunk, fill), (scale, np.full_like(radius, HALF), _faded(fill, 0.0))]
    strips = [(0, 1)]
    if edges is not None:
        outer, inner = (widths + 1) / 2, np.abs(widths - 1) / 2
        # The stroke's inner edge, from the innermost that there can be. Agg leaves a hole in a disc whose edge is wider than
        # the disc: so do we.
        depth = sizes.min(axis=1) * shape.depth
        hole = depth - widths / 2
        hole = np.abs(hole) if shape.round else hole
        wide = widths >= 1
        solid_from = np.where(wide, np.maximum(hole + HALF, 0) - depth, -inner)
        clear_to = np.maximum(np.where(wide, hole - HALF, depth - outer), 0) - depth
        stroke = _faded(edges, np.minimum(widths, 1.0))
        in_middle = _faded(stroke, np.where(wide, np.clip(HALF - hole, 0, 1), 0.0))
        rings += [
            (sizes, clear_to, in_middle),
            (sizes, solid_from, stroke),
            (sizes, inner, stroke),
            (sizes, outer, _faded(edges, 0.0)),
        ]
        strips += [(2, 3), (3, 4), (4, 5)]
    each = len(shape.corners)
    positions = np.empty((len(centers), len(rings), each, 2))
    colors = np.empty((len(centers), len(rings), each, 4), np.uint8)
    for number, (size, grown, color) in enumerate(rings):
        way = np.where((grown >= 0)[:, None, None], shape.outward, shape.inward)
        positions[:, number] = centers[:, None] + size[:, None] * shape.corners + grown[:, None, None] * way
        colors[:, number] = color[:, None]
    corner = np.arange(each)
    following = (corner + 1) % each
    triangles = [shape.triangles]
    for low, high in strips:
        a, b, c, d = low * each + corner, high * each + corner, high * each + following, low * each + following
        triangles.append(np.stack([a, b, c, a, c, d], axis=1).reshape(-1, 3))
    one = np.concatenate(triangles).ravel()
    first = np.arange(len(centers), dtype=np.int64) * (len(rings) * each)
    indices = (first[:, None] + one).astype(np.uint32).ravel()
    return Mesh(positions.reshape(-1, 2), colors.reshape(-1, 4), indices)


def _faded(colors: Array, by: Any) -> Array:
    """Colours (n, 4) with their alpha multiplied."""
    faded = colors.copy()
    faded[:, 3] = np.rint(colors[:, 3] * by).astype(np.uint8)
    return faded


# ---------------------------------------------------------------- lines: segments and paths


def strokes(points: Array, starts: Array, colors: Array, widths: Array, cap: CapStyle, join_style: JoinStyle) -> Mesh:
    """Polylines of one colour and width each, in order.

    A line is a row of spokes across it, each four points: the left edge's fringe, the right edge's. Ends and joins are further
    spokes. Parts of a line that bends lie on each other where it turns back sharply or crosses itself, which shows if it is
    translucent.

    Args:
        points: (n, 2) px; points of a line that follow each other differ.
        starts: (m,) the first point of each line; each has two points or more.
        colors: (m, 4) uint8.
        widths: (m,) px.
        cap: how both ends of every line look.
        join_style: how its pieces meet. A miter that reaches farther from its vertex than the half width in px times the
            width in px becomes a bevel, as Matplotlib tells Agg.
    """
    if not len(starts):
        return EMPTY
    count = len(points)
    line = np.zeros(count, np.int64)
    line[starts[1:]] = 1
    line = np.cumsum(line)
    is_first, is_last = np.zeros(count, bool), np.zeros(count, bool)
    is_first[starts] = True
    is_last[np.append(starts[1:], count) - 1] = True
    ahead = np.zeros((count, 2))
    ahead[:-1] = points[1:] - points[:-1]
    ahead[is_last] = ahead[np.flatnonzero(is_last) - 1]
    length = np.hypot(*ahead.T)
    ahead /= length[:, None]
    behind = np.roll(ahead, 1, axis=0)
    behind[is_first] = ahead[is_first]
    half = widths[line] / 2

    turn = np.arctan2(behind[:, 0] * ahead[:, 1] - behind[:, 1] * ahead[:, 0], (behind * ahead).sum(axis=1))
    ends = is_first | is_last
    turn[ends] = 0.0
    # Where the inner sides of both pieces would meet beyond the shorter one, or far off, each keeps its own, with its fringe.
    folded = (half + HALF) * np.tan(np.abs(turn) / 2) > np.minimum(length, np.roll(length, 1))
    folded |= np.abs(turn) > SHARP_TURN
    joined = _spokes_of_joins(turn, half, join_style)
    pointed = joined == 1
    per_vertex = np.where(ends, _spokes_of_ends(half, cap), np.where(folded, np.maximum(joined, 2), joined))

    vertex = np.repeat(np.arange(count), per_vertex)
    number = np.arange(len(vertex)) - np.repeat(np.cumsum(per_vertex) - per_vertex, per_vertex)
    of = per_vertex[vertex]
    left, right = _join_spokes(behind[vertex], turn[vertex], number, of, pointed[vertex], folded[vertex])
    origin, alpha = points[vertex], np.ones(len(vertex))
    at = np.flatnonzero(ends[vertex])
    end = vertex[at]
    first = is_first[end]
    along = np.where(first[:, None], ahead[end], behind[end])
    outward = np.where(first[:, None], -along, along)
    step = np.where(first, number[at], of[at] - 1 - number[at])  # 0 is the tip
    piece = length[np.where(first, end, end - 1)]
    origin[at], left[at], right[at], alpha[at] = _end_spokes(
        points[end], outward, _left(along), step, of[at], half[end], piece, cap
    )
    outer, inner = half[vertex] + HALF, np.abs(half[vertex] - HALF)
    positions = np.stack(
        [
            origin + left * outer[:, None],
            origin + left * inner[:, None],
            origin - right * inner[:, None],
            origin - right * outer[:, None],
        ],
        axis=1,
    )
    color = colors[line[vertex]]
    solid = _faded(color, np.minimum(widths[line[vertex]], 1.0) * alpha)
    clear = _faded(color, 0.0)
    shades = np.stack([clear, solid, solid, clear], axis=1)
    connected = np.flatnonzero(line[vertex][1:] == line[vertex][:-1])
    quads = np.array([[0, 1, 5, 0, 5, 4], [1, 2, 6, 1, 6, 5], [2, 3, 7, 2, 7, 6]]).ravel()
    indices = (connected[:, None] * 4 + quads).astype(np.uint32).ravel()
    return Mesh(positions.reshape(-1, 2), shades.reshape(-1, 4), indices)


def _left(vectors: Array) -> Array:
    return np.stack([-vectors[:, 1], vectors[:, 0]], axis=1)


def _arc_steps(turn: Array, half: Array) -> Array:
    """Pieces that an arc of that many radians and that radius needs."""
    step = 2 * np.arccos(np.clip(1 - FLATNESS / np.maximum(half + HALF, FLATNESS), 0, 1))
    return np.maximum(np.ceil(np.abs(turn) / np.maximum(step, 0.05)), 1).astype(int)


def _spokes_of_joins(turn: Array, half: Array, join_style: JoinStyle) -> Array:
    flat = np.abs(turn) < LEAST_TURN
    if join_style is JoinStyle.ROUND:
        return np.where(flat, 1, _arc_steps(turn, half) + 1)
    if join_style is JoinStyle.MITER:
        flat |= np.cos(turn / 2) * 2 * half >= 1
    return np.where(flat, 1, 2)


def _spokes_of_ends(half: Array, cap: CapStyle) -> Array:
    if cap is CapStyle.ROUND:
        return _arc_steps(np.full_like(half, np.pi / 2), half) + 1
    return np.full(len(half), 2)


def _join_spokes(
    behind: Array, turn: Array, number: Array, of: Array, pointed: Array, folded: Array
) -> tuple[Array, Array]:
    """Towards the left and the right edge: at a bend one of them is the inner one, whose pieces meet in a point.

    The outer one goes there too, if it is `pointed`, or around the bend in several spokes; so does the inner one if `folded`.
    """
    normal = _left(behind)
    miter = _rotated(normal, turn / 2) / np.maximum(np.cos(turn / 2), 1e-3)[:, None]
    around = _rotated(normal, turn * number / np.maximum(of - 1, 1))
    outside, inside = np.where(pointed[:, None], miter, around), np.where(folded[:, None], around, miter)
    to_left = (turn > 0)[:, None]  # the bend's inner side
    return np.where(to_left, inside, outside), np.where(to_left, outside, inside)


def _end_spokes(
    points: Array, outward: Array, normal: Array, step: Array, of: Array, half: Array, length: Array, cap: CapStyle
) -> tuple[Array, Array, Array, Array]:
    """Two spokes across the end, one to each side of its edge; or a quarter turn of them on both sides at once."""
    if cap is CapStyle.ROUND:
        angle = (np.pi / 2) * (1 - step / np.maximum(of - 1, 1))
        along, across = outward * np.sin(angle)[:, None], normal * np.cos(angle)[:, None]
        return points, across + along, across - along, np.ones(len(points))
    edge = half if cap is CapStyle.PROJECTING else np.zeros_like(half)
    whole = length + 2 * edge  # of a line that is one piece
    place = np.where(step == 0, edge + HALF, edge - np.minimum(HALF, whole - HALF))
    return points + outward * place[:, None], normal, normal, np.where(step == 0, 0.0, np.minimum(whole, 1.0))
