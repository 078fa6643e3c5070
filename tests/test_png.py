"""Pictures as PNG: read back by Pillow and Matplotlib, filtered where a scene holds an image, taken into videos."""

from __future__ import annotations

import io
import pathlib
import struct
import tempfile
import unittest
import zlib
from typing import Any

import matplotlib.image
import numpy as np
from PIL import Image as PillowImage

from gsp_network import png
from gsp_network.animator.animated_pictures import WRITERS
from gsp_network.png import SIGNATURE, encode_png, png_fault
from gsp_network.rendering import render_payload

from .scenes import array_of, body_of, image, points


def pictures() -> dict[str, np.ndarray]:
    """(height, width, 3) uint8 by name: the smallest, odd ones, noise, flat, smooth, large."""
    rng = np.random.default_rng(1)
    across, down = np.arange(300, dtype=np.uint8)[None, :], np.arange(200, dtype=np.uint8)[:, None]
    made = {
        "one pixel": np.array([[[1, 2, 3]]], np.uint8),
        "one row": rng.integers(0, 256, (1, 7, 3)).astype(np.uint8),
        "one column": rng.integers(0, 256, (9, 1, 3)).astype(np.uint8),
        "noise": rng.integers(0, 256, (37, 53, 3)).astype(np.uint8),
        "white": np.full((600, 800, 3), 255, np.uint8),
        "black below white": np.full((5, 6, 3), 255, np.uint8),
        "smooth": np.stack(np.broadcast_arrays(across, down, across + down), axis=-1),
    }
    made["black below white"][3:] = 0  # differences that wrap around
    made["every second column"] = made["noise"][:, ::2]  # in pieces in memory
    made["upside down"] = made["noise"][::-1]
    made["read-only"] = made["noise"].copy()
    made["read-only"].setflags(write=False)
    return made


def chunks_of(data: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and content of each chunk."""
    found, position = [], len(SIGNATURE)
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        found.append((data[position + 4 : position + 8], data[position + 8 : position + 8 + length]))
        position += 12 + length
    return found


def filters_of(data: bytes) -> set[int]:
    """The filter types of a picture's rows."""
    kinds = dict(chunks_of(data))
    width, _ = struct.unpack_from(">II", kinds[b"IHDR"])
    return set(zlib.decompress(kinds[b"IDAT"])[:: 1 + 3 * width])


class TestEncode(unittest.TestCase):
    def test_pillow_reads_the_pixels(self) -> None:
        """What is encoded is read back by Pillow and by Matplotlib, to the bit, filtered or not."""
        for name, pixels in pictures().items():
            for filtered in (False, True):
                with self.subTest(name, filtered=filtered):
                    data = encode_png(pixels, filtered)
                    self.assertEqual(png_fault(data), "")
                    picture = PillowImage.open(io.BytesIO(data))
                    self.assertEqual((picture.format, picture.mode), ("PNG", "RGB"))
                    np.testing.assert_array_equal(np.asarray(picture), pixels)
                    by_matplotlib = matplotlib.image.imread(io.BytesIO(data), format="png")
                    np.testing.assert_array_equal(np.rint(by_matplotlib[..., :3] * 255).astype(np.uint8), pixels)
                    with PillowImage.open(io.BytesIO(data)) as whole:
                        whole.verify()

    def test_layout(self) -> None:
        """A header, one chunk of data that is a whole zlib stream, an end; each row has the filter that was asked for."""
        for filtered, kind in ((False, png.NO_FILTER), (True, png.UP)):
            with self.subTest(filtered=filtered):
                data = encode_png(pictures()["smooth"], filtered)
                self.assertTrue(data.startswith(SIGNATURE))
                chunks = chunks_of(data)
                self.assertEqual([found for found, _ in chunks], [b"IHDR", b"IDAT", b"IEND"])
                self.assertEqual(chunks[0][1], struct.pack(">IIBBBBB", 300, 200, 8, 2, 0, 0, 0))
                self.assertEqual(chunks[1][1][:2], b"\x78\x01")  # RFC 1950: deflate, window of 32 kB, fastest
                self.assertEqual(filters_of(data), {kind})

    def test_small(self) -> None:
        """A blank picture is a few kB, and a smooth one is far smaller filtered."""
        white, smooth = pictures()["white"], pictures()["smooth"]
        self.assertLess(len(encode_png(white)), white.size // 200)
        self.assertLess(len(encode_png(smooth, True)), len(encode_png(smooth)) // 4)


class TestChoice(unittest.TestCase):
    def test_scenes_with_an_image_are_filtered(self) -> None:
        """A scene that holds an image is filtered, another is not; both show the pixels that were drawn."""
        texels = np.full((2, 2, 4), 255, np.uint8)
        texels[0, 0, :3] = 0, 128, 255
        for visuals, kind in (
            ([], png.NO_FILTER),
            ([points((0, 0, 0))], png.NO_FILTER),
            ([points((0, 0, 0), size=4.0), image(texels, (-0.5, 0.5, -0.5, 0.5))], png.UP),
        ):
            with self.subTest(kind=kind):
                picture = render_payload(body_of(*visuals))
                self.assertEqual(filters_of(picture), {kind})
        self.assertEqual(array_of(picture)[26, 26].tolist(), [0, 128, 255])


class TestVideo(unittest.TestCase):
    def test_apng(self) -> None:
        """An animated PNG takes the compressed data as it is, filtered or not, one after the other."""
        noise = pictures()["noise"]
        frames = [noise, noise[::-1], noise[::-1], 255 - noise]
        sources = [encode_png(pixels, index % 2 == 0) for index, pixels in enumerate(frames)]
        sources[2] = sources[1]
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "video.apng"
            writer = WRITERS[".apng"](path, 10.0, 53, 37)
            for source in sources:
                writer.add(source)
            writer.close()
            data = path.read_bytes()
            taken = [piece for kind, piece in chunks_of(data) if kind == b"IDAT"]
            taken += [piece[4:] for kind, piece in chunks_of(data) if kind == b"fdAT"]
            for index in (0, 1, 3):
                self.assertEqual(taken[index], dict(chunks_of(sources[index]))[b"IDAT"])
            with PillowImage.open(path) as video:
                self.assertEqual(self.frame_count(video), len(frames))
                for number, pixels in enumerate(frames):
                    video.seek(number)
                    np.testing.assert_array_equal(np.asarray(video.convert("RGB")), pixels)

    def frame_count(self, video: Any) -> int:
        return int(video.n_frames)


if __name__ == "__main__":
    unittest.main()
