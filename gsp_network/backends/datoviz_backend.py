"""Draws scenes with Datoviz 0.3, on the GPU that Vulkan has.

GSP's words in Datoviz's: what has an outline (points, markers, segments, paths) becomes triangles with soft edges, since
Datoviz's own visuals have one edge colour, one cap or one join for all, and no miter; many plain discs become its `point`
visual, pixels its `pixel` visual, images its `image` visual. Texts are laid out and rasterised by Matplotlib, as the other
backend does it, and put on the canvas as an image: Datoviz's atlas knows few characters and one font.

Datoviz ends its process where others raise: no driver, a canvas beyond the device, too little memory. What can be known
beforehand is looked at here; for the rest, draw in a process that may end.
"""

from __future__ import annotations

import importlib
import threading
from collections import OrderedDict
from typing import Any, Callable, Optional, Sequence

import numpy as np

from ..errors import DeviceLimitExceeded, RendererUnavailable
from ..scene.objects import Canvas, Viewport
from ..scene.units import points_to_pixels
from ..scene.visuals import ImageInterpolation, JoinStyle, MarkerShape
from .base import (
    DOT_COVERAGE,
    FARTHEST,
    LONGEST,
    Backend,
    Drawing,
    Lines,
    image_corners,
    path_lines,
    pixel_dots,
    segment_lines,
)
from .datoviz_device import find_device
from .datoviz_frames import Discs, Dots, FileFrames, Frames, MemoryFrames, Part, Picture, Triangles, What
from .tessellation import FLATNESS, Mesh, club, disc_corners, join, shapes, square, strokes

Array = Any

MANY_DISCS = 512  # from here on opaque discs are Datoviz's own: rougher at the edge, a tenth of the work
ROUGH = 0.25  # px that the outline of one of many discs may be off
MOST_CORNERS = 2_000_000  # of all discs of a visual; beyond that their outlines get rougher
LARGEST_DISC = 60.0  # px; devices that draw large points at all draw them as large as that (Vulkan: pointSizeRange)
KEPT_TEXTS, KEPT_TEXT_BYTES = 64, 2**26
MOST_VISUALS = 128  # beyond that, triangles that follow each other share one: each visual takes 2 MB
DEEPEST = 1e6  # px of an image beyond which Datoviz's float32 puts texels in wrong places
MARGIN = 2.0  # px
HEAP = "memoryHeapSize"


class DatovizBackend(Backend):
    """Draws with Datoviz; safe to call from several threads, one frame at a time.

    Frames leave Datoviz as `use_memory` or `use_files` has said, else by file.

    Raises:
        RendererUnavailable: there is no GPU to draw with.
    """

    def __init__(self) -> None:
        device = find_device()
        if device.reason:
            raise RendererUnavailable(f"datoviz: {device.reason}")
        self._limits = device.limits
        self._frames = _way()
        self._texts: OrderedDict[Any, Optional[Picture]] = OrderedDict()
        self._lock = threading.Lock()

    def render(self, canvas: Canvas, drawings: Sequence[Drawing], math_text: bool = False) -> np.ndarray[Any, Any]:
        """See `Backend.render`.

        Raises:
            DeviceLimitExceeded: beyond what the device can do; `limit` is Vulkan's name for it.
        """
        width, height = canvas.get_width(), canvas.get_height()
        most = self._limits["maxImageDimension2D"]
        for name, side in (("width", width), ("height", height)):
            _check_device(f"canvas.{name}", side, most, "px", "maxImageDimension2D")
        with self._lock:
            parts: list[Part] = []
            taken = 0
            for drawing in drawings:
                rectangle = _inside(drawing.viewport, width, height)
                if rectangle is None:
                    continue
                made = DRAW[drawing.kind](drawing, Surroundings(self, canvas, rectangle, math_text))
                parts += [Part((drawing.key, number), rectangle, what) for number, what in enumerate(made)]
                taken += sum(map(self._checked_bytes, made))
                # On its way to the GPU everything is there twice.
                _check_device(drawing.where, 2 * taken, self._limits["memoryHeapSize"], "bytes for the GPU", HEAP)
            try:
                picture: np.ndarray[Any, Any] = self._frames.draw(width, height, _fewer(parts))
            finally:
                self.spent = self._frames.spent
        return picture

    def _checked_bytes(self, what: What) -> int:
        """What it takes on the GPU."""
        if isinstance(what, Picture):
            most, texels = self._limits["maxImageDimension2D"], max(what.texels.shape)
            _check_device("data", texels, most, "texels of an image in a row", "maxImageDimension2D")
        arrays = what.mesh if isinstance(what, Triangles) else what
        return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))

    def text(self, drawing: Drawing, canvas: Canvas, math_text: bool) -> Optional[Picture]:
        """The strings of a drawing as a picture, kept while they do not change; None where nothing of them is seen."""
        key = _fingerprint(drawing, canvas, math_text)
        if key in self._texts:
            self._texts.move_to_end(key)
            return self._texts[key]
        picture = self._texts[key] = _on_sheet("draw_texts", drawing, canvas, math_text)
        while (
            len(self._texts) > KEPT_TEXTS
            or sum(kept.texels.nbytes for kept in self._texts.values() if kept) > KEPT_TEXT_BYTES
        ):
            self._texts.popitem(last=False)
        return picture


class Surroundings:
    """What a draw function is told beside its drawing.

    Attributes:
        backend: keeps rasterised texts.
        canvas: its size and resolution.
        rectangle: the part of the viewport that lies on the canvas.
        math_text: draw formulas in strings.
    """

    def __init__(
        self, backend: DatovizBackend, canvas: Canvas, rectangle: tuple[int, int, int, int], math_text: bool
    ) -> None:
        self.backend, self.canvas, self.rectangle, self.math_text = backend, canvas, rectangle, math_text

    def reached(self, pixels: Array, reach: Array) -> Array:
        """Whether what lies within `reach` px of each place can be seen."""
        x, y, width, height = self.rectangle
        low, high = np.array([x, y]), np.array([x + width, y + height])
        seen: Array = ((pixels + reach[:, None] >= low) & (pixels - reach[:, None] <= high)).all(axis=1)
        return seen


_way: Callable[[], Frames] = FileFrames


def use_memory() -> None:
    """Have this process's frames leave Datoviz by its in-memory server, and draw a first one; for a worker's start."""
    _use(MemoryFrames)


def use_files() -> None:
    """Have this process's frames leave Datoviz as files, which works for one frame or a few; for a worker's start."""
    _use(FileFrames)


def _use(way: Callable[[], Frames]) -> None:
    global _way
    _way = way
    from PIL import Image  # noqa: F401 - the first picture will need it

    from . import backend

    drawer = backend("datoviz")
    if way is MemoryFrames:
        drawer.render(Canvas(16, 16), [])


def _check_device(where: str, found: int, most: int, unit: str, name: str) -> None:
    if found > most:
        raise DeviceLimitExceeded(where, f"{found} {unit}, expected at most {most}", name)


def _inside(viewport: Viewport, width: int, height: int) -> Optional[tuple[int, int, int, int]]:
    """The part of a viewport that lies on the canvas: x, y, width, height."""
    left, bottom = max(viewport.get_x(), 0), max(viewport.get_y(), 0)
    right = min(viewport.get_x() + viewport.get_width(), width)
    top = min(viewport.get_y() + viewport.get_height(), height)
    return (left, bottom, right - left, top - bottom) if right > left and top > bottom else None


def _fewer(parts: list[Part]) -> list[Part]:
    """Where there are very many parts, triangles that follow each other in one rectangle as one part."""
    if len(parts) <= MOST_VISUALS:
        return parts
    merged: list[Part] = []
    meshes: list[Mesh] = []
    for part, following in zip(parts, [*parts[1:], None]):
        if not isinstance(part.what, Triangles):
            merged.append(part)
            continue
        meshes.append(part.what.mesh)
        if following is None or not isinstance(following.what, Triangles) or following.rectangle != part.rectangle:
            merged.append(Part(part.key, part.rectangle, Triangles(join(meshes))))
            meshes = []
    return merged


# ---------------------------------------------------------------- one function a visual
# Each takes the drawing and its surroundings, and gives what is drawn of it, in order.


def _on_sheet(draw: str, drawing: Drawing, canvas: Canvas, math_text: bool = False) -> Optional[Picture]:
    """What the other backend draws of it, as a picture; None where nothing of it is seen."""
    matplotlib_backend = importlib.import_module(".matplotlib_backend", __package__)
    with matplotlib_backend.drawing_lock:
        sheet = matplotlib_backend.Sheet(canvas.get_width(), canvas.get_height(), canvas.get_dpi())
        sheet.math_text = math_text
        sheet.pixels[:] = 0
        getattr(matplotlib_backend, draw)(drawing, [], sheet)
    inked = sheet.pixels[..., 3] > 0
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    if not len(rows):
        return None
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    texels = np.ascontiguousarray(sheet.pixels[top:bottom, left:right])
    corner = (float(left), float(canvas.get_height() - top))
    return Picture(corner, (float(right - left), float(bottom - top)), texels, False)


def _pictures(picture: Optional[Picture]) -> list[What]:
    return [] if picture is None else [picture]


def _triangles(mesh: Mesh) -> list[What]:
    return [Triangles(mesh)] if len(mesh.indices) else []


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
    centers, sizes, widths, faces, edges = (array[shown] for array in (centers, sizes, widths, faces, edges))
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
        low, high = (_snapped(centers + sign * sizes[:, None] / 2, pens, height) for sign in (-1, 1))
        return _triangles(shapes(square(), (low + high) / 2, high - low, faces, edges, widths))
    # A wide edge lies over itself between the leaves; where that would show, it ends earlier inside.
    opaque = bool(((edges[:, 3] == 255) | (widths == 0)).all())
    return _triangles(shapes(club(opaque), centers, sizes, faces, edges, widths))


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
    within = around.reached(centers, np.zeros(len(centers)))
    outer = np.stack([np.where(edged, sizes + widths, 0.0), np.where(edged, sizes - widths, sizes)], axis=1)[within]
    both = np.stack([edges[within], faces[within]], axis=1).reshape(-1, 4)
    drawn = outer.ravel() > 0
    found: list[What] = []
    if drawn.any():
        found.append(Discs(np.repeat(centers[within], 2, axis=0)[drawn], both[drawn], outer.ravel()[drawn]))
    rest = ~within
    return found + _discs(centers[rest], sizes[rest], faces[rest], edges[rest], widths[rest], ROUGH)


def _discs(centers: Array, sizes: Array, faces: Array, edges: Array, widths: Array, flatness: float) -> list[What]:
    while disc_corners((sizes + widths) / 2, flatness).sum() > MOST_CORNERS and flatness < LARGEST_DISC:
        flatness *= 2
    return _triangles(shapes(None, centers, sizes, faces, edges, widths, flatness))


def _snapped(pixels: Array, widths: Array, height: int) -> Array:
    """Places on Agg's grid, for outlines that many px wide: between pixels where that is an even number, else in their middle."""
    middle = (np.floor(widths + 0.5) % 2 / 2)[:, None]
    down = np.stack([pixels[:, 0], height - pixels[:, 1]], axis=1)
    down = np.floor(down + 0.5) + middle
    return np.stack([down[:, 0], height - down[:, 1]], axis=1)


def draw_pixels(drawing: Drawing, around: Surroundings) -> list[What]:
    """Dots of one pixel, as dense as Agg's."""
    height = around.canvas.get_height()
    columns, rows, groups = pixel_dots(drawing, around.canvas.get_width(), height)
    if not len(columns):
        return []
    colors = drawing.fields["colors"][groups]
    colors[:, 3] = np.rint(colors[:, 3] * DOT_COVERAGE).astype(np.uint8)
    return [Dots(np.stack([columns + 0.5, height - rows - 0.5], axis=1), colors)]


def draw_segments(drawing: Drawing, around: Surroundings) -> list[What]:
    """One line a pair of vertices."""
    return _draw_lines(segment_lines(drawing), JoinStyle.ROUND, drawing, around)


def draw_paths(drawing: Drawing, around: Surroundings) -> list[What]:
    """One line a run of pieces that look alike.

    Where a translucent line crosses or touches itself, it has one shade: triangles cannot do that, Agg does.
    """
    lines = path_lines(drawing)
    if bool(((lines.colors[:, 3] < 255) & (lines.stops - lines.starts > 2)).any()):
        return _pictures(_on_sheet("draw_paths", drawing, around.canvas))
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
    return _triangles(mesh)


def _snapped_lines(points: Array, of: Array, widths: Array, height: int) -> Array:
    """Lines all of whose pieces are level or upright go where Agg snaps them."""
    same = of[1:] == of[:-1]
    slanted = same & (np.abs(points[1:] - points[:-1]) >= 1e-4).all(axis=1)
    straight = np.bincount(of[1:][slanted], minlength=len(widths)) == 0
    straight &= np.bincount(of, minlength=len(widths)) <= 1024
    snap = straight[of]
    if snap.any():
        points[snap] = _snapped(points[snap], widths[of[snap]], height)
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


def draw_texts(drawing: Drawing, around: Surroundings) -> list[What]:
    """All strings as one picture."""
    return _pictures(around.backend.text(drawing, around.canvas, around.math_text))


def _fingerprint(drawing: Drawing, canvas: Canvas, math_text: bool) -> Any:
    viewport = drawing.viewport
    values = [*drawing.fields.values(), drawing.pixels, drawing.visible]
    told = [value.tobytes() if isinstance(value, np.ndarray) else tuple(value) for value in values]
    place = (viewport.get_x(), viewport.get_y(), viewport.get_width(), viewport.get_height())
    return (*told, place, canvas.get_width(), canvas.get_height(), canvas.get_dpi(), math_text)


def draw_image(drawing: Drawing, around: Surroundings) -> list[What]:
    """The texels that can be seen, in their rectangle.

    A GPU interpolates colour and alpha apart from each other: where alpha varies, Matplotlib resamples.
    """
    if not drawing.visible[0]:
        return []
    corners, texels = image_corners(drawing), drawing.fields["texture"]
    smooth = drawing.fields["image_interpolation"] is ImageInterpolation.LINEAR
    if smooth and (texels[..., 3] != texels[0, 0, 3]).any():
        return _pictures(_on_sheet("draw_image", drawing, around.canvas))
    (left, bottom), (right, top) = corners
    if right < left:
        left, right, texels = right, left, texels[:, ::-1]
    if top < bottom:
        bottom, top, texels = top, bottom, texels[::-1]
    if left == right or bottom == top:
        return []
    x, y, width, height = around.rectangle
    columns = _seen_texels(left, right, texels.shape[1], x, x + width)
    rows = _seen_texels(-top, -bottom, texels.shape[0], -y - height, -y)
    if columns is None or rows is None:
        return []
    if max(columns[3] - columns[2], rows[3] - rows[2]) > DEEPEST:
        return _pictures(_on_sheet("draw_image", drawing, around.canvas))
    seen = texels[rows[0] : rows[1], columns[0] : columns[1]].copy()  # the caller may change its own
    corner, size = (columns[2], -rows[2]), (columns[3] - columns[2], rows[3] - rows[2])
    return [Picture(corner, size, seen, smooth)]


def _seen_texels(low: float, high: float, count: int, start: int, stop: int) -> Optional[tuple[int, int, float, float]]:
    """Of `count` texels from `low` to `high`, those between `start` and `stop` and two more: first, last, and their px."""
    each = (high - low) / count
    first = int(np.clip(np.floor((start - low) / each) - 2, 0, count))
    last = int(np.clip(np.ceil((stop - low) / each) + 2, 0, count))
    if high <= start or low >= stop or first >= last:
        return None
    return first, last, low + first * each, low + last * each


DRAW: dict[str, Callable[[Drawing, Surroundings], list[What]]] = {
    "points": draw_points,
    "markers": draw_markers,
    "pixels": draw_pixels,
    "segments": draw_segments,
    "paths": draw_paths,
    "texts": draw_texts,
    "image": draw_image,
}
"""The draw function of each visual, by its name in `VISUALS`."""
