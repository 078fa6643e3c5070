"""Lengths: points and pixels."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidScene
from .buffers import check_float

POINTS_PER_INCH = 72.0
"""The typographic point of PostScript and Matplotlib: 1/72 inch."""


def _scale(dpi: float) -> float:
    number = check_float(dpi, "dpi")
    if number <= 0:
        raise InvalidScene("dpi", f"{number}, expected more than 0")
    return number / POINTS_PER_INCH


def points_to_pixels(points: Any, dpi: float) -> Any:
    """Lengths in pt as px at a resolution: ``points * dpi / 72``.

    Args:
        points: number or array, pt.
        dpi: pixels per inch, above 0.
    Raises:
        InvalidScene: `dpi` is not a number above 0.
    """
    return points * _scale(dpi)


def pixels_to_points(pixels: Any, dpi: float) -> Any:
    """Lengths in px as pt, the inverse of `points_to_pixels`.

    Args:
        pixels: number or array, px.
        dpi: pixels per inch, above 0.
    Raises:
        InvalidScene: `dpi` is not a number above 0.
    """
    return pixels / _scale(dpi)
