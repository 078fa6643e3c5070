"""A line on the terminal that says how far a video is."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Optional, TextIO

REDRAW_SECONDS = 0.1
BAR_CELLS = 24


class ProgressBar:
    """``orbit.mp4 [######------------------] 125/500 24.6 frames/s, 0:15 left`` on a terminal; nothing elsewhere.

    Args:
        name: what is made.
        total: how many frames it will have.
        stream: where to; None for stderr. One that is no terminal stays empty.
    """

    def __init__(self, name: str, total: int, stream: Optional[TextIO] = None) -> None:
        self._name = name
        self._total = total
        found = sys.stderr if stream is None else stream
        # pythonw has no stderr, and what stands in its place inside other programs may have a `write` alone.
        self._stream = found if getattr(found, "isatty", bool)() else None
        self._began = self._drawn = time.monotonic()
        self._width = 0

    def update(self, done: int) -> None:
        """Say that so many frames are made."""
        now = time.monotonic()
        if self._stream is None or (now - self._drawn < REDRAW_SECONDS and done < self._total):
            return
        self._drawn = now
        line = self.line(done, now - self._began)[: shutil.get_terminal_size().columns - 1]
        self._stream.write("\r" + line.ljust(self._width))
        self._stream.flush()
        self._width = len(line)

    def line(self, done: int, seconds: float) -> str:
        """What stands there after so many frames and seconds."""
        cells = BAR_CELLS * done // self._total
        rate = done / seconds if seconds > 0 else 0.0
        text = f"{self._name} [{'#' * cells}{'-' * (BAR_CELLS - cells)}] {done}/{self._total} {rate:.1f} frames/s"
        if not rate or done == self._total:
            return text
        left = round((self._total - done) / rate)
        return f"{text}, {left // 60}:{left % 60:02d} left"

    def close(self) -> None:
        """End the line."""
        if self._stream is not None and self._width:
            self._stream.write("\n")
            self._stream.flush()
            self._width = 0
