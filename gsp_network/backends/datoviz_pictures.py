"""Texts and images for Datoviz, and all else that Matplotlib rasterises for it."""

from __future__ import annotations

import importlib
from typing import Optional

import numpy as np

from ..scene.objects import Canvas
from ..scene.visuals import ImageInterpolation
from .base import Drawing, image_corners
from .datoviz_parts import Picture, Surroundings, What

DEEPEST = 1e6  # px of an image beyond which Datoviz's float32 puts texels in wrong places


def on_sheet(draw: str, drawing: Drawing, canvas: Canvas, math_text: bool = False) -> Optional[Picture]:
    """What the other backend draws of it, as a picture; None where nothing of it is seen."""
    matplotlib_backend = importlib.import_module(".matplotlib_backend", __package__)
    with matplotlib_backend.drawing_lock:
        sheet = matplotlib_backend.Sheet(canvas.get_width(), canvas.get_height(), canvas.get_dpi())
        sheet.math_text = math_text
        sheet.pixels[:] = 0
        getattr(matplotlib_backend, draw)(drawing, sheet)
    inked = sheet.pixels[..., 3] > 0
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    if not len(rows):
        return None
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    texels = np.ascontiguousarray(sheet.pixels[top:bottom, left:right])
    corner = (float(left), float(canvas.get_height() - top))
    return Picture(corner, (float(right - left), float(bottom - top)), texels, False)


def pictures(picture: Optional[Picture]) -> list[What]:
    """A picture as what is drawn, if there is one."""
    return [] if picture is None else [picture]


def draw_texts(drawing: Drawing, around: Surroundings) -> list[What]:
    """All strings as one picture."""
    return pictures(on_sheet("draw_texts", drawing, around.canvas, around.math_text))


def draw_image(drawing: Drawing, around: Surroundings) -> list[What]:
    """The texels that can be seen, in their rectangle.

    A GPU interpolates colour and alpha apart from each other: where alpha varies, Matplotlib resamples.
    """
    if not drawing.visible[0]:
        return []
    corners, texels = image_corners(drawing), drawing.fields["texture"]
    smooth = drawing.fields["image_interpolation"] is ImageInterpolation.LINEAR
    if smooth and (texels[..., 3] != texels[0, 0, 3]).any():
        return pictures(on_sheet("draw_image", drawing, around.canvas))
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
        return pictures(on_sheet("draw_image", drawing, around.canvas))
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
