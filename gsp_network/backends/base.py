"""What a backend is given and what it must do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Hashable, Iterator, NamedTuple, Sequence

import numpy as np

from ..codec import Scene
from ..scene.buffers import Buffer
from ..scene.groups import listed_indices, vertex_order
from ..scene.objects import Canvas, SceneObject, Viewport
from ..scene.projection import project

# Diameters and line widths beyond any canvas, in pt: Agg takes for ever to flatten an outline of 1e19 px.
LONGEST = 1e6

# Places and extents far off any canvas, in px, that every part of Matplotlib still counts with.
FARTHEST = 1e9


@dataclass(frozen=True)
class Drawing:
    """One entry of a scene's lists, ready to be drawn.

    Attributes:
        kind: name of the visual in `VISUALS`.
        where: path in the document, for messages.
        key: the same from frame to frame for the same visual in the same viewport; tells apart what is kept of it.
        fields: the visual's values by field name; buffers as arrays (count, *element shape), a texture as
            (height, width, 4).
        viewport: where to draw and what to clip to.
        dpi: px per inch.
        pixels: (n, 2) float64, the vertices in px of the canvas, origin bottom-left, y up.
        visible: (n,) bool; False for a vertex that must not be drawn.
    """

    kind: str
    where: str
    key: Hashable
    fields: dict[str, Any]
    viewport: Viewport
    dpi: float
    pixels: np.ndarray[Any, Any]
    visible: np.ndarray[Any, Any]

    def some(self, index: np.ndarray[Any, Any]) -> Drawing:
        """Some of the vertices of one whose arrays have an item a vertex each, as points have."""
        fields = {
            name: values[index] if isinstance(values, np.ndarray) else values for name, values in self.fields.items()
        }
        return replace(self, fields=fields, pixels=self.pixels[index], visible=self.visible[index])


class Backend(ABC):
    """Draws whole scenes; one instance a process.

    Attributes:
        spent: it has taken so much that it never frees that a fresh process should follow.
    """

    spent = False

    @abstractmethod
    def render(self, canvas: Canvas, drawings: Sequence[Drawing], math_text: bool = False) -> np.ndarray[Any, Any]:
        """Draw on opaque white, in this order whatever z, each drawing clipped to its viewport.

        Args:
            canvas: size and resolution of the picture.
            drawings: what to draw.
            math_text: draw ``$...$`` in strings as formulas.
        Returns:
            (height, width, 3) uint8, sRGB, first row on top; the caller's own.
        """


class Lines(NamedTuple):
    """What segments and paths come to: polylines of one colour and width each.

    Attributes:
        pixels: (n, 2) px, vertices of all.
        starts, stops: (m,), each line's first vertex and the one after its last.
        colors: (m, 4) uint8.
        widths: (m,) pt.
    """

    pixels: np.ndarray[Any, Any]
    starts: np.ndarray[Any, Any]
    stops: np.ndarray[Any, Any]
    colors: np.ndarray[Any, Any]
    widths: np.ndarray[Any, Any]


def segment_lines(drawing: Drawing) -> Lines:
    """One line a pair of vertices; none where an end is not visible."""
    shown = np.flatnonzero(drawing.visible.reshape(-1, 2).all(axis=1))
    fields = drawing.fields
    return Lines(drawing.pixels, 2 * shown, 2 * shown + 2, fields["colors"][shown], fields["line_widths"][shown])


def path_lines(drawing: Drawing) -> Lines:
    """Pieces of one colour and width that follow each other are one line with joins; the others are lines of their own."""
    fields = drawing.fields
    colors, widths = fields["colors"], fields["line_widths"]
    ends = np.cumsum(fields["path_sizes"], dtype=np.int64)
    piece = np.ones(len(drawing.pixels), bool)  # whether a piece starts at this vertex
    piece[ends[fields["path_sizes"] > 0] - 1] = False
    piece[:-1] &= drawing.visible[:-1] & drawing.visible[1:]
    first = piece.copy()
    first[1:] &= ~(piece[:-1] & (colors[1:] == colors[:-1]).all(axis=1) & (widths[1:] == widths[:-1]))
    last = piece.copy()
    last[:-1] &= ~piece[1:] | first[1:]
    starts, stops = np.flatnonzero(first), np.flatnonzero(last) + 2
    return Lines(drawing.pixels, starts, stops, colors[starts], widths[starts])


# A disc of 1 px diameter covers pi/4 of its pixel; Agg counts that as 199 of 255.
DOT_COVERAGE = 199 / 255


class Dots(NamedTuple):
    """What pixels come to: which pixel of the canvas each dot covers, row 0 on top, and its group; in drawing order."""

    columns: np.ndarray[Any, Any]
    rows: np.ndarray[Any, Any]
    groups: np.ndarray[Any, Any]


def pixel_dots(drawing: Drawing, width: int, height: int) -> Dots:
    """The dots that lie in the drawing's viewport, on a canvas of that size."""
    order, group = vertex_order(drawing.fields["groups"], len(drawing.pixels))
    return _dots(drawing, order, group, width, height)


def pixel_chunks(drawing: Drawing, width: int, height: int, most: int) -> Iterator[Dots]:
    """As `pixel_dots`, at most so many at a time."""
    order, group = vertex_order(drawing.fields["groups"], len(drawing.pixels))
    listed = listed_indices(drawing.fields["groups"]) > 0
    for start in range(0, len(order), most):
        part = slice(start, start + most)
        yield _dots(drawing, order[part] if listed else part, group[part], width, height)


def _dots(drawing: Drawing, index: Any, group: np.ndarray[Any, Any], width: int, height: int) -> Dots:
    x, y = (np.clip(drawing.pixels[index, axis], -FARTHEST, FARTHEST) for axis in (0, 1))
    column, row = np.floor(x + 0.5).astype(np.int64), np.floor(height - y + 0.5).astype(np.int64)
    viewport = drawing.viewport
    left, bottom = viewport.get_x(), height - viewport.get_y()
    shown = drawing.visible[index] & (column >= max(left, 0)) & (column < min(left + viewport.get_width(), width))
    shown &= (row >= max(bottom - viewport.get_height(), 0)) & (row < min(bottom, height))
    if shown.all():
        return Dots(column, row, group)
    return Dots(column[shown], row[shown], group[shown])


def image_corners(drawing: Drawing) -> np.ndarray[Any, Any]:
    """Where an image lies: [[left, bottom], [right, top]] in px; right may lie left of left, and top below bottom."""
    left, right, bottom, top = drawing.fields["image_extent"]
    scale = np.array([drawing.viewport.get_width(), drawing.viewport.get_height()]) / 2.0
    with np.errstate(over="ignore"):
        corners = drawing.pixels[0] + np.array([[left, bottom], [right, top]]) * scale
    clipped: np.ndarray[Any, Any] = np.clip(corners, -FARTHEST, FARTHEST)
    return clipped


def prepare(scene: Scene) -> list[Drawing]:
    """What is common to all backends: values out of their buffers, vertices through their matrices to pixels.

    Args:
        scene: one whose chains have run.
    """
    drawings = []
    seen: dict[Hashable, int] = {}
    for index, (viewport, visual, model, camera) in enumerate(
        zip(scene.viewports, scene.visuals, scene.model_matrices, scene.cameras)
    ):
        matrices = [_matrix(buffer) for buffer in (model, camera.get_view_matrix(), camera.get_projection_matrix())]
        fields = {field.name: _value(getattr(visual, f"get_{field.name}")()) for field in visual.FIELDS}
        ndc, visible = project(fields[visual.position_field().name], *matrices)
        corner = np.array([viewport.get_x(), viewport.get_y()], np.float64)
        size = np.array([viewport.get_width(), viewport.get_height()], np.float64)
        pixels = ndc[:, :2] + 1.0
        pixels *= size / 2.0
        pixels += corner
        key = (visual.kind, visual.get_uuid(), viewport.get_uuid())
        seen[key] = seen.get(key, 0) + 1
        drawings.append(
            Drawing(
                visual.kind,
                f"visuals[{index}]",
                (*key, seen[key]),
                fields,
                viewport,
                scene.canvas.get_dpi(),
                pixels,
                visible,
            )
        )
    return drawings


def _matrix(buffer: Any) -> np.ndarray[Any, Any]:
    matrix: np.ndarray[Any, Any] = buffer.to_numpy()[0]
    return matrix


def _value(value: Any) -> Any:
    if isinstance(value, Buffer):
        return value.to_numpy()
    if isinstance(value, SceneObject):  # the texture
        return value.get_data().to_numpy().reshape(value.get_height(), value.get_width(), 4)
    return value
