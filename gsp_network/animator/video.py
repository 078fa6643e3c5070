"""Which program writes which kind of video, and a file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import fractions
import os
import pathlib
import shutil
import tempfile
from typing import Any, Iterator, NamedTuple, Optional, Protocol

from ..connections import PathLike
from ..errors import InvalidScene, VideoError, kind_of

FFMPEG, PILLOW = "ffmpeg", "pillow"
# Who writes a file of this extension; the first unless video_writer names another.
FORMATS = {
    ".mp4": (FFMPEG,),
    ".m4v": (FFMPEG,),
    ".mov": (FFMPEG,),
    ".gif": (PILLOW,),  # ffmpeg's lasts longer or shorter than it should
    ".apng": (PILLOW, FFMPEG),
    ".webp": (PILLOW,),  # ffmpeg's drops a picture that equals the one before
}


class VideoWriter(Protocol):
    """Takes the pictures of a video, in order."""

    def add(self, picture: bytes) -> None:
        """The next picture, as PNG."""

    def close(self) -> None:
        """Complete the file."""

    def abort(self) -> None:
        """Let go of the file, which is of no use any more; also after `close`."""


class OpenVideo:
    """A video that is being written, see `writing`."""

    def __init__(self, path: pathlib.Path, writer: VideoWriter) -> None:
        self._path, self._writer = path, writer

    def add(self, picture: bytes) -> None:
        """The next picture, as PNG; VideoError where it cannot be written."""
        with _telling(self._path):
            self._writer.add(picture)


class Video(NamedTuple):
    """A video to make: where, and by whom."""

    path: pathlib.Path
    writer: str  # FFMPEG or PILLOW
    program: str  # the path of ffmpeg where that is the writer, else empty


def check_writer(writer: Optional[str]) -> None:
    """Raise InvalidScene where that names no writer; None does, by the file's extension."""
    if writer is not None and writer not in (FFMPEG, PILLOW):
        raise InvalidScene("video_writer", f"{writer!r}, expected {FFMPEG!r}, {PILLOW!r} or None")


def check_video(path: PathLike, writer: Optional[str]) -> Video:
    """The video that a path and, unless it is None, the name of a writer ask for.

    Raises:
        InvalidScene: no file of this extension can be made, or not by this writer.
        VideoError: what is needed is not installed here.
    """
    if not isinstance(path, (str, os.PathLike)) or isinstance(os.fspath(path), bytes):
        raise InvalidScene("video_path", f"{kind_of(path)}, expected the path of a file")
    found = pathlib.Path(path)
    extension = found.suffix.lower()
    check_writer(writer)
    if extension not in FORMATS:
        raise InvalidScene("video_path", f"extension {extension!r}, expected one of {', '.join(FORMATS)}")
    chosen = writer or FORMATS[extension][0]
    if chosen not in FORMATS[extension]:
        able = ", ".join(name for name, writers in FORMATS.items() if chosen in writers)
        raise InvalidScene("video_path", f"extension {extension!r}, expected one that {chosen} writes: {able}")
    if chosen == FFMPEG:
        program = shutil.which(FFMPEG)
        if program is None:
            without = ", ".join(name for name, writers in FORMATS.items() if PILLOW in writers)
            raise VideoError(
                f"no ffmpeg on the path, which {extension} needs: install it, or choose one of {without}, which need none"
            )
        return Video(found, chosen, program)
    from PIL import features

    if extension == ".webp" and not features.check("webp"):
        raise VideoError("the Pillow that is installed here writes no .webp; choose .apng, which loses nothing either")
    return Video(found, chosen, "")


def exact_rate(fps: float) -> fractions.Fraction:
    """Frames in a second as a fraction of small numbers: 0.1 is 1/10, and 29.97 is 2997/100."""
    exact = fractions.Fraction(fps)
    return exact.limit_denominator(1001) if fps >= 1 else 1 / (1 / exact).limit_denominator(1001)


@contextlib.contextmanager
def writing(video: Video, fps: float, canvas: Any) -> Iterator[OpenVideo]:
    """A video to add pictures to. The file takes its place at the end; where something is raised, nothing is left of it.

    Raises:
        VideoError: the file cannot be written, or the encoder failed.
    """
    path = video.path
    if path.is_dir():
        raise VideoError(f"{path}: is a folder, expected the path of a file")
    with _telling(path):  # says what is wrong with the place before anything is drawn
        folder = pathlib.Path(tempfile.mkdtemp(prefix=".gsp_network-", dir=path.parent))
    try:
        # In a folder of its own: a program that lags behind cannot make the file again once that is gone.
        part = folder / f"video{path.suffix.lower()}"
        with _telling(path):
            writer = _writer(video, part, fps, canvas)
        try:
            yield OpenVideo(path, writer)
            with _telling(path):
                writer.close()
        finally:
            writer.abort()
        with _telling(path):
            os.replace(part, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _telling(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise VideoError(f"{path}: cannot be written: {exc.strerror or exc}") from exc


def _writer(video: Video, part: pathlib.Path, fps: float, canvas: Any) -> VideoWriter:
    width, height = int(canvas.get_width()), int(canvas.get_height())
    if video.writer == FFMPEG:
        from .ffmpeg import FfmpegWriter

        return FfmpegWriter(video.program, part, video.path.name, fps, width, height)
    from .animated_pictures import WRITERS

    return WRITERS[part.suffix](part, fps, width, height)
