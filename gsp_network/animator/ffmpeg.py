"""Videos by ffmpeg, a program beside this one: PNG pictures go into its standard input as they are."""

from __future__ import annotations

import contextlib
import functools
import logging
import pathlib
import struct
import subprocess
import tempfile
from typing import NamedTuple

from ..children import hides_ends
from ..errors import VideoError
from .video import exact_rate

logger = logging.getLogger(__name__)

LAST_WORDS = 600  # characters of what ffmpeg said that an error holds
LOOK_SECONDS = 30.0  # for ffmpeg to list its encoders, which takes 0.1 s


class _Format(NamedTuple):
    """How ffmpeg writes a kind of file."""

    muxer: str
    options: tuple[str, ...]
    filters: str
    even: bool = False  # takes even sizes alone


# Colours as in films of high definition, and said so in the file: players would guess. A colour stands for 2 x 2 px, of which
# "area" takes the mean.
_FILM = ("-pix_fmt", "yuv420p", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
_FILM_FILTERS = "scale=out_color_matrix=bt709:out_range=tv:flags=area+accurate_rnd+full_chroma_inp"
_FORMATS = {
    ".mp4": _Format("mp4", (*_FILM, "-movflags", "+faststart"), _FILM_FILTERS, even=True),
    ".m4v": _Format("mp4", (*_FILM, "-movflags", "+faststart"), _FILM_FILTERS, even=True),
    ".mov": _Format("mov", (*_FILM, "-movflags", "+faststart"), _FILM_FILTERS, even=True),
    ".apng": _Format("apng", ("-c:v", "apng", "-plays", "0", "-pix_fmt", "rgb24"), "null"),
}
# The first that ffmpeg has. Constant quality, hardly to be told from the pictures: their edges are sharper than a film's.
_FILM_ENCODERS = (("libx264", ("-crf", "12")), ("mpeg4", ("-q:v", "1")))


@functools.cache
def film_encoder(program: str) -> tuple[str, ...]:
    """The options of the best encoder for films that this ffmpeg has.

    Raises:
        VideoError: ffmpeg does not run, or has none.
    """
    command = [program, "-hide_banner", "-loglevel", "error", "-encoders"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LOOK_SECONDS, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise VideoError(f"{program}: does not run: {exc}") from exc
    names = {line.split()[1] for line in done.stdout.splitlines() if len(line.split()) > 1}
    for name, options in _FILM_ENCODERS:
        if name in names:
            if name != _FILM_ENCODERS[0][0]:
                logger.warning("%s has no libx264: the video is in %s, which browsers do not show", program, name)
            return ("-c:v", name, *options)
    raise VideoError(f"{program}: has none of the encoders {', '.join(name for name, _ in _FILM_ENCODERS)}")


class FfmpegWriter:
    """Takes the pictures of a video, in order.

    Args:
        program: the path of ffmpeg.
        part: the file to write, of the extension that says its kind.
        name: how messages call it.
        fps: pictures in a second.
        width, height: of the pictures, in px. Where the kind of file needs even numbers, a white row below or a white
            column on the right is added.
    Raises:
        VideoError: ffmpeg does not run.
    """

    def __init__(self, program: str, part: pathlib.Path, name: str, fps: float, width: int, height: int) -> None:
        self._name, self._size = name, (width, height)
        row = _FORMATS[part.suffix]
        filters = row.filters
        if row.even and (width % 2 or height % 2):
            even = width + width % 2, height + height % 2
            filters = f"pad={even[0]}:{even[1]}:0:0:white,{filters}"
            logger.warning(
                "%s: %d x %d px, made %d x %d by white at its edge: %s takes even sizes only",
                *(name, width, height, *even, part.suffix),
            )
        command = [program, "-hide_banner", "-nostats", "-loglevel", "error", "-y"]
        command += ["-f", "image2pipe", "-c:v", "png", "-framerate", str(exact_rate(fps)), "-i", "pipe:0"]
        command += ["-filter_complex", filters, *(film_encoder(program) if row.even else ()), *row.options]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by abort()
        try:
            # In a session of its own, so that Ctrl-C on the terminal is for us alone.
            self._process = subprocess.Popen(
                [*command, "-f", row.muxer, str(part.absolute())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                start_new_session=True,
            )
        except OSError as exc:
            self._said.close()
            raise VideoError(f"{program}: does not run: {exc.strerror}") from exc

    def add(self, picture: bytes) -> None:
        """The next picture, as PNG; VideoError where ffmpeg has ended, or the picture is of another size."""
        size = struct.unpack(">II", picture[16:24])
        if size != self._size:
            expected = f"{self._size[0]} x {self._size[1]} px"
            raise VideoError(f"{self._name}: a picture of {size[0]} x {size[1]} px, expected {expected}")
        try:
            self._process.stdin.write(picture)  # type: ignore[union-attr]
        except OSError as exc:
            self._process.wait()
            raise VideoError(f"{self._name}: ffmpeg ended too early: {self._last_words()}") from exc

    def close(self) -> None:
        """Complete the file; VideoError where ffmpeg could not."""
        with contextlib.suppress(OSError):  # its exit status says more
            self._process.stdin.close()  # type: ignore[union-attr]
        status = self._process.wait()
        said = self._said.tell() or self._said.seek(0, 2)
        if status or (said and hides_ends()):
            raise VideoError(f"{self._name}: ffmpeg failed: {self._last_words()}")
        if said:
            logger.warning("%s: ffmpeg said: %s", self._name, self._last_words())

    def abort(self) -> None:
        """End ffmpeg, where it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(OSError):  # what it did not take
            self._process.stdin.close()  # type: ignore[union-attr]
        self._said.close()

    def _last_words(self) -> str:
        self._said.seek(0)
        words = self._said.read().decode("utf-8", "replace").strip()
        status = self._process.returncode
        ended = f"signal {-status}" if status < 0 else f"status {status}"
        if not status and hides_ends():
            ended = "status unknown"
        return f"{words[-LAST_WORDS:] or 'it said nothing'} ({ended})"
