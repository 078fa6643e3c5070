"""Vertices from model units to normalised device coordinates, once for every backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InvalidScene

# Vertices that are projected in one go: their arrays stay in a processor's cache.
CHUNK = 1 << 13


def project(
    positions: Any, model: Any, view: Any, projection: Any
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Positions through model, view and projection: clip = projection x view x model x (x, y, z, 1); NDC = clip.xyz / clip.w.

    Args:
        positions: (n, 3), model units.
        model, view, projection: (4, 4) each, rows first, for column vectors.
    Returns:
        (n, 3) float64 NDC, where x and y run from -1 to 1 over the viewport; and (n,) bool, False for a vertex that cannot be
        drawn: behind the camera (clip.w <= 0), or beyond what a number can hold. NDC is 0 there.
    Raises:
        InvalidScene: shapes other than these.
    """
    matrix = np.asarray(projection, np.float64) @ np.asarray(view, np.float64) @ np.asarray(model, np.float64)
    vertices = np.asarray(positions)
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise InvalidScene("positions", f"shape {vertices.shape}, expected (n, 3)")
    if matrix.shape != (4, 4):
        raise InvalidScene("model, view, projection", f"product of shape {matrix.shape}, expected (4, 4)")
    affine = bool((matrix[3] == (0, 0, 0, 1)).all())  # w is 1 everywhere
    # By columns, as they are made and read.
    ndc, visible = np.empty((3, len(vertices))).T, np.empty(len(vertices), bool)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what overflows is masked below
        for start in range(0, len(vertices), CHUNK):
            some = slice(start, start + CHUNK)
            clip = _through(matrix[: 3 if affine else 4], vertices[some])
            parts = clip[:3]
            if not affine:
                parts = parts / clip[3]
            shown = np.isfinite(parts).all(axis=0)
            if not affine:
                shown &= clip[3] > 0
            ndc[some], visible[some] = parts.T, shown
    if not visible.all():
        ndc[~visible] = 0.0
    return ndc, visible


def _through(rows: np.ndarray[Any, Any], vertices: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(n, 3) vertices through the m rows of a matrix, as (m, n), by numpy's own loops.

    No matrix product: over many vertices OpenBLAS shares that among threads, and before a process is forked it ends these, also
    under a product that is under way in another thread, which then waits for them for good. So it may go in a program that draws
    and starts processes, as subprocess does by a fork on Python 3.9.
    """
    x, y, z = np.array(vertices.T, np.float64, order="C")
    return np.stack([a * x + b * y + c * z + d for a, b, c, d in rows])
