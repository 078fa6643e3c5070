"""Animated GIF, PNG and WebP: Pillow encodes each picture, the frame around it is written here.

Pillow's own writers join a picture that equals the one before with it, and hold the whole video in memory. Here every frame
of the animation is one of the file, and a picture is gone once it is written.
"""

from __future__ import annotations

import contextlib
import io
import logging
import pathlib
import struct
import zlib
from typing import Any, BinaryIO, Callable, Iterator, NamedTuple

from ..errors import VideoError
from ..png import SIGNATURE
from .video import exact_rate

logger = logging.getLogger(__name__)

MOST_RIFF_BYTES = 2**32 - 10  # WebP Container Specification
MOST_DELAY = 65535  # numerator and denominator of an APNG's delay in seconds have 16 bits
SHORTEST_GIF_MS = 20  # what browsers show a picture for at least; a shorter time they take for 100 ms

Box = tuple[int, int, int, int]  # left, upper, right, lower


class _Part(NamedTuple):
    """What of a picture differs from the one before, and where it lies."""

    image: Any
    left: int
    upper: int


class _Writer:
    """Takes the pictures of a video, in order.

    Args:
        part: the file to write.
        fps: pictures in a second.
        width, height: of the pictures, in px.
    """

    def __init__(self, part: pathlib.Path, fps: float, width: int, height: int) -> None:
        self._file: BinaryIO = open(part, "wb")  # noqa: SIM115 - closed by abort()
        self._fps, self._size = fps, (width, height)
        self._frames = 0
        self._picture = b""
        self._image: Any = None
        self._begin()

    def add(self, picture: bytes) -> None:
        """The next picture, as PNG; OSError where the file cannot be written."""
        self._add(picture)
        self._picture = picture
        self._frames += 1

    def close(self) -> None:
        """Complete the file."""
        self._end()
        self._file.close()

    def abort(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(OSError):  # what it still holds does not matter any more
            self._file.close()

    def _begin(self) -> None:
        raise NotImplementedError

    def _add(self, picture: bytes) -> None:
        raise NotImplementedError

    def _end(self) -> None:
        raise NotImplementedError

    def _write(self, data: bytes) -> None:
        self._file.write(data)

    def _ticks(self, per_second: int) -> int:
        """How long the next frame lasts, in ticks; what is rounded off one is given to another, so that the sum is right."""
        return round((self._frames + 1) * per_second / self._fps) - round(self._frames * per_second / self._fps)

    def _open(self, picture: bytes) -> Any:
        """A picture as a Pillow image."""
        from PIL import Image

        try:
            image = Image.open(io.BytesIO(picture))
            self._check_size(*image.size)
            image.load()
        except (OSError, SyntaxError) as exc:
            raise VideoError(f"frame {self._frames}: a picture that Pillow cannot read: {exc}") from exc
        return image

    def _check_size(self, width: int, height: int) -> None:
        if (width, height) != self._size:
            expected = f"{self._size[0]} x {self._size[1]} px"
            raise VideoError(f"frame {self._frames}: a picture of {width} x {height} px, expected {expected}")

    def _changed(self, picture: bytes, step: int = 1) -> _Part:
        """The smallest rectangle that holds all changes, at left and upper edges of multiples of `step`; never an empty one."""
        from PIL import ImageChops

        if picture == self._picture:
            image, box = self._image, (0, 0, 1, 1)
        else:
            image = self._open(picture).convert("RGB")
            box = (0, 0, *self._size)
            if self._image is not None:
                box = ImageChops.difference(image, self._image).getbbox() or (0, 0, 1, 1)
            self._image = image
        left, upper, right, lower = box
        left, upper = left - left % step, upper - upper % step
        return _Part(image.crop((left, upper, right, lower)), left, upper)


class GifWriter(_Writer):
    """GIF89a, with a palette for each picture; a tick is 1/100 s. Endless."""

    def _begin(self) -> None:
        if 1000 / self._fps < SHORTEST_GIF_MS:
            logger.warning("%g frames/s: most programs show a GIF of more than 50 frames/s slowly", self._fps)
        self._write(b"GIF89a" + struct.pack("<HHBBB", *self._size, 0x70, 0, 0))
        self._write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")

    def _add(self, picture: bytes) -> None:
        from PIL.GifImagePlugin import getdata

        part = self._changed(picture)
        indexed = part.image.quantize(256)
        duration = 10 * self._ticks(100)  # ms; disposal 1: the next frame is laid on this one
        for data in getdata(indexed, (part.left, part.upper), duration=duration, disposal=1, include_color_table=True):
            self._write(data)

    def _end(self) -> None:
        self._write(b"\x3b")


class WebpWriter(_Writer):
    """Animated WebP that loses nothing; a tick is 1/1000 s. Endless."""

    def _begin(self) -> None:
        width, height = self._size
        self._write(b"RIFF\0\0\0\0WEBP")
        self._chunk(b"VP8X", struct.pack("<I", 0x02) + _uint24(width - 1) + _uint24(height - 1))  # 0x02: animated
        self._chunk(b"ANIM", struct.pack("<IH", 0xFFFFFFFF, 0))

    def _add(self, picture: bytes) -> None:
        part = self._changed(picture, 2)  # the file counts edges in twos
        encoded = io.BytesIO()
        part.image.save(encoded, "WEBP", lossless=True, quality=0, method=0)  # effort: more is ten times slower
        still = encoded.getvalue()[12:]  # after RIFF, its size and WEBP
        if still[:4] != b"VP8L":
            raise VideoError(f"frame {self._frames}: Pillow wrote a chunk {still[:4]!r}, expected VP8L")
        width, height = part.image.size
        numbers = (part.left // 2, part.upper // 2, width - 1, height - 1, self._ticks(1000))
        self._chunk(b"ANMF", b"".join(map(_uint24, numbers)) + b"\x02" + still)  # 0x02: instead of what is below

    def _end(self) -> None:
        size = self._file.tell() - 8
        if size > MOST_RIFF_BYTES:
            raise VideoError(f"{size} bytes, and .webp takes {MOST_RIFF_BYTES}; choose .mp4, or fewer frames")
        self._file.seek(4)
        self._write(struct.pack("<I", size))

    def _chunk(self, kind: bytes, data: bytes) -> None:
        self._write(kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2))


class ApngWriter(_Writer):
    """Animated PNG (PNG, 3rd edition): the pictures' own compressed data, exact in colour and time. Endless."""

    def _begin(self) -> None:
        self._delay = (1 / exact_rate(self._fps)).limit_denominator(MOST_DELAY)
        self._serial = 0  # of fcTL and fdAT chunks together
        self._header = b""

    def _add(self, picture: bytes) -> None:
        box: Box = (0, 0, *self._size)
        header, data = self._split(picture)
        if self._frames == 0:
            self._header = header
            self._write(SIGNATURE)
            self._chunk(b"IHDR", header)
            self._counted = self._file.tell()
            self._chunk(b"acTL", bytes(8))
        elif picture == self._picture:  # one pixel of it
            box = (0, 0, 1, 1)
            image = self._open(picture).convert(_MODES[self._header[9]]).crop(box)
            _, data = self._split(_png(image), box)
        numbers = (box[2], box[3], box[0], box[1], self._delay.numerator, self._delay.denominator, 0, 0)
        self._chunk(b"fcTL", self._number() + struct.pack(">IIIIHHBB", *numbers))
        if self._frames == 0:
            self._chunk(b"IDAT", data)
        else:
            self._chunk(b"fdAT", self._number() + data)

    def _split(self, picture: bytes, box: Any = None) -> tuple[bytes, bytes]:
        """A picture's header and compressed data, encoded anew where they do not fit to the first picture's."""
        chunks = list(_chunks(picture))
        header = chunks[0][1]
        if box is None:
            self._check_size(*struct.unpack_from(">II", header))
        plain = header[8] == 8 and header[9] in _MODES and not any(kind == b"tRNS" for kind, _ in chunks)
        if box is None and not (plain and self._header in (b"", header)):
            image = self._open(picture).convert(_MODES[self._header[9]] if self._header else "RGB")
            chunks = list(_chunks(_png(image)))
            header = chunks[0][1]
        return header, b"".join(data for kind, data in chunks if kind == b"IDAT")

    def _end(self) -> None:
        self._chunk(b"IEND", b"")
        self._file.seek(self._counted)
        self._chunk(b"acTL", struct.pack(">II", self._frames, 0))

    def _number(self) -> bytes:
        self._serial += 1
        return struct.pack(">I", self._serial - 1)

    def _chunk(self, kind: bytes, data: bytes) -> None:
        self._write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))


_MODES = {2: "RGB", 6: "RGBA"}  # by PNG's colour type


def _uint24(number: int) -> bytes:
    return number.to_bytes(3, "little")


def _png(image: Any) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and data of each chunk of a whole PNG."""
    position = len(SIGNATURE)
    while position < len(png):
        (length,) = struct.unpack_from(">I", png, position)
        yield png[position + 4 : position + 8], png[position + 8 : position + 8 + length]
        position += 12 + length


WRITERS: dict[str, Callable[[pathlib.Path, float, int, int], _Writer]] = {
    ".gif": GifWriter,
    ".apng": ApngWriter,
    ".webp": WebpWriter,
}
