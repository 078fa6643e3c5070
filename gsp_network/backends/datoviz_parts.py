"""What a frame of Datoviz's consists of, and what those that make the parts of one are told."""

from __future__ import annotations

from typing import Any, Hashable, NamedTuple, Union

import numpy as np

from ..scene.objects import Canvas
from .tessellation import Array, Mesh

MARGIN = 2.0  # px around what is looked at, for soft edges and rounding


class Triangles(NamedTuple):
    """Filled triangles."""

    mesh: Mesh


class Dots(NamedTuple):
    """One pixel each, where the point lies in: (n, 2) px, (n, 4) uint8."""

    positions: Array
    colors: Array


class Discs(NamedTuple):
    """Datoviz's own discs: (n, 2) px, (n, 4) uint8, diameters (n,) px."""

    positions: Array
    colors: Array
    diameters: Array


class Picture(NamedTuple):
    """Texels in a rectangle.

    Attributes:
        corner: px of its upper left corner.
        size: px.
        texels: (height, width, 4) uint8, first row on top.
        smooth: interpolate between them.
    """

    corner: tuple[float, float]
    size: tuple[float, float]
    texels: Array
    smooth: bool


What = Union[Triangles, Dots, Discs, Picture]


class Part(NamedTuple):
    """What is drawn in one rectangle.

    Attributes:
        key: the same from frame to frame for what looks alike.
        rectangle: x, y, width and height in px, y up, within the canvas.
        what: none of its arrays is empty.
    """

    key: Hashable
    rectangle: tuple[int, int, int, int]
    what: What


class Surroundings(NamedTuple):
    """What a draw function is told beside its drawing.

    Attributes:
        canvas: its size and resolution.
        rectangle: the part of the viewport that lies on the canvas: x, y, width and height in px, y up.
        math_text: draw formulas in strings.
    """

    canvas: Canvas
    rectangle: tuple[int, int, int, int]
    math_text: bool

    def reached(self, pixels: Array, reach: Any) -> Array:
        """Whether what lies within `reach` px of each place can be seen; one number, or (n,)."""
        x, y, width, height = self.rectangle
        seen: Array = (pixels[:, 0] >= x - reach) & (pixels[:, 0] <= x + width + reach)
        seen &= (pixels[:, 1] >= y - reach) & (pixels[:, 1] <= y + height + reach)
        return seen


def triangles(mesh: Mesh) -> list[What]:
    """A mesh as what is drawn, unless it is empty."""
    return [Triangles(mesh)] if len(mesh.indices) else []


def snapped(pixels: Array, widths: Array, height: int) -> Array:
    """Places on Agg's grid, for outlines that many px wide: between pixels where that is an even number, else in their middle."""
    middle = (np.floor(widths + 0.5) % 2 / 2)[:, None]
    down = np.stack([pixels[:, 0], height - pixels[:, 1]], axis=1)
    down = np.floor(down + 0.5) + middle
    return np.stack([down[:, 0], height - down[:, 1]], axis=1)
