"""Dots of one pixel, blended onto a canvas in their order, without an artist each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .base import DOT_COVERAGE, Drawing, pixel_chunks

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

# Dots that are blended in one go: their arrays stay in a processor's cache.
CHUNK = 1 << 15

# Dots of a chunk on one pixel that are blended one after the other; those above them, by a formula that sorts them.
ROUNDS = 8

# Colours as three lanes of 21 bits: 8 bits, 5 of a fraction, and room for a weight of 0 to 256.
LANES = np.uint64(0x1FFF | 0x1FFF << 21 | 0x1FFF << 42)
FULL, EIGHT = np.uint64(256), np.uint64(8)
HALF = np.uint64(16 | 16 << 21 | 16 << 42)
SHIFTS = tuple(np.uint64(shift) for shift in (5, 18, 31))
BYTES = tuple(np.uint64(byte) for byte in (0xFF, 0xFF00, 0xFF0000))

WEIGHTS = np.rint(np.arange(256) * (256 * DOT_COVERAGE / 255)).astype(np.uint64)
"""What a dot of each alpha weighs of 256."""


def draw_dots(pixels: Array, drawing: Drawing) -> None:
    """Blend the dots of a Pixels visual onto a canvas.

    Args:
        pixels: (height, width, 4) uint8, opaque, first row on top.
        drawing: the visual.
    """
    height, width = pixels.shape[:2]
    rgba8 = np.ascontiguousarray(drawing.fields["colors"])
    colors, flat = rgba8.view("<u4")[:, 0], pixels.view("<u4").reshape(-1)
    slot = np.empty(max(len(flat), CHUNK), np.int32)  # by pixel, then by dot
    for column, row, group in pixel_chunks(drawing, width, height, CHUNK):
        place = row * width + column
        turn = np.arange(len(place), dtype=np.int32)
        slot[place[::-1]] = turn[::-1]
        first = slot.take(place)  # the first dot on the same pixel
        left, lowest = turn, first == turn
        heads = np.flatnonzero(lowest)
        there = np.empty(len(place), np.uint64)
        there[heads] = _in_lanes(flat.take(place.take(heads)))
        for _ in range(ROUNDS):
            now, left = left.take(np.flatnonzero(lowest)), left.take(np.flatnonzero(~lowest))
            at, color = first.take(now), colors.take(group.take(now))
            weight = WEIGHTS.take(color >> np.uint32(24))
            there[at] = (there.take(at) * (FULL - weight) + _in_lanes(color) * weight) >> EIGHT & LANES
            if not len(left):
                break
            at = first.take(left)
            slot[at[::-1]] = left[::-1]
            lowest = slot.take(at) == left
        flat[place.take(heads)] = _in_bytes(there.take(heads))
        if len(left):
            _blend_sorted(pixels.reshape(-1, 4), place.take(left), rgba8[group.take(left)])


def _in_lanes(colors: Array) -> Array:
    """Colours as uint32, four bytes each, in lanes."""
    wide = colors.astype(np.uint64)
    lanes: Array = (wide & BYTES[0]) << SHIFTS[0] | (wide & BYTES[1]) << SHIFTS[1] | (wide & BYTES[2]) << SHIFTS[2]
    return lanes


def _in_bytes(lanes: Array) -> Array:
    """The reverse of `_in_lanes`, rounded, opaque."""
    lanes = lanes + HALF
    wide = lanes >> SHIFTS[0] & BYTES[0] | lanes >> SHIFTS[1] & BYTES[1] | lanes >> SHIFTS[2] & BYTES[2]
    colors: Array = wide.astype(np.uint32) | np.uint32(0xFF000000)
    return colors


def _blend_sorted(flat: Array, place: Array, color: Array) -> None:
    """Blend dots in order, however many fall on one pixel.

    Each lets through 1 - alpha of what lies below. With s the running sum of log(1 - alpha), what covers dot i is
    exp(s at the pixel's last dot - s at i).

    Args:
        flat: (pixels, 4) uint8.
        place: (n,), the pixel of each dot.
        color: (n, 4) uint8.
    """
    by_place = np.argsort(place, kind="stable")
    place, color = place[by_place], color[by_place].astype(np.float64)
    alpha = color[:, 3] * (DOT_COVERAGE / 255.0)
    through = np.cumsum(np.log1p(-alpha))
    last = np.flatnonzero(np.append(np.diff(place) != 0, True))
    count = np.diff(last, prepend=-1)
    covered = np.exp(np.repeat(through[last], count) - through)
    remaining = np.exp(np.diff(through[last], prepend=0.0))
    place_of = np.repeat(np.arange(len(last)), count)
    for channel in range(3):
        light = np.bincount(place_of, color[:, channel] * alpha * covered, len(last))
        flat[place[last], channel] = np.rint(light + flat[place[last], channel] * remaining).astype(np.uint8)
