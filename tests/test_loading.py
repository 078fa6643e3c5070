"""The link that reads files and URLs: what it yields, and what it must not reach."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Iterator, Optional
from unittest import mock

import numpy as np
from PIL import Image as PillowImage

from gsp_network import (
    BufferType,
    InvalidScene,
    LimitExceeded,
    SettingError,
    TransformChain,
    TransformLinkLoad,
    TransformRegistry,
    UnsupportedTransform,
    loading,
)
from gsp_network.deadlines import verifying_context
from gsp_network.loading import allow_loading, check_places
from gsp_network.rendering import render_payload
from gsp_network.settings import Limits

from .scenes import BLUE, GREEN, RED, WHITE, array_of, body_of, image, points
from .support import ROOT, make_certificate

NOT_ALLOWED = "link_type: 'TransformLoad' is not allowed by this server; its operator can allow it with --allow-load"
OUTSIDE = "expected file:///absolute/path or https://host/path inside a place that this server's operator allows"
FOUR = np.array([[[*RED, 255], [*GREEN, 255]], [[*BLUE, 255], [*WHITE, 0]]], np.uint8)
needs_fifo = unittest.skipUnless(hasattr(os, "mkfifo"), "no FIFOs here")


def npy(array: Any, version: Optional[tuple[int, int]] = None) -> bytes:
    """An array as the bytes of a .npy file."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), version, allow_pickle=True)
    return stream.getvalue()


def npy_with(header: str, data: bytes = b"", version: int = 1) -> bytes:
    """The bytes of a .npy file whose header is this text."""
    packed = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(packed)) + packed + data


def picture(array: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    """An array as the bytes of a picture."""
    stream = io.BytesIO()
    PillowImage.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_claiming(width: int, height: int) -> bytes:
    """A small PNG whose header claims a large picture."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")


class WithFolder(unittest.TestCase):
    """Tests with a folder that may be read, and one beside it that may not."""

    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        base = pathlib.Path(holder.name).resolve()
        self.folder, self.outside = base / "allowed", base / "allowed-not"
        self.folder.mkdir()
        self.outside.mkdir()
        self.secret = self.outside / "secret.bin"
        self.secret.write_bytes(b"SECRET!!")

    def file(self, name: str, data: bytes) -> str:
        """The URI of a new file in the folder."""
        path = self.folder / name
        path.write_bytes(data)
        return path.as_uri()

    def load(self, uri: str, kind: str = "float32", max_bytes: int = 2**20, places: Any = None) -> np.ndarray:
        with allow_loading((str(self.folder),) if places is None else places, max_bytes):
            return TransformLinkLoad(uri, BufferType[kind]).apply(None).to_numpy()

    def assert_refused(self, message: str, *args: Any, kind: type = InvalidScene, **named: Any) -> InvalidScene:
        """That loading fails with this error, word by word unless `message` starts with dots."""
        with self.assertRaises(kind) as caught:
            self.load(*args, **named)
        self.assertIs(type(caught.exception), kind)
        if message.startswith("..."):
            self.assertIn(message[3:], str(caught.exception))
        else:
            self.assertEqual(str(caught.exception), message)
        self.assertNotIn(str(self.folder), str(caught.exception).replace(str(args[0])[:80], ""))
        return caught.exception


class Link(unittest.TestCase):
    def test_golden(self) -> None:
        """A link is exactly this JSON, both ways, and reads nothing until it is applied."""
        document = {"link_type": "TransformLoad", "link_data": {"uri": "file:///a/b.npy", "buffer_type": "vec3"}}
        self.assertEqual(TransformLinkLoad("file:///a/b.npy", BufferType.vec3).serialize(), document)
        again = TransformRegistry.get_link_class("TransformLoad").deserialize(document)
        self.assertEqual(again.serialize(), document)
        self.assertEqual((again.get_uri(), again.get_buffer_type()), ("file:///a/b.npy", BufferType.vec3))

    def test_refused_documents(self) -> None:
        """What is no such link is refused by its place in the chain."""
        data = "transform_chain.links[0].link_data"
        names = ", ".join(BufferType.__members__)
        for fields, message in (
            (None, f"{data}: null, expected object"),
            ({"buffer_type": "vec3"}, f"{data}.uri: missing"),
            ({"uri": "file:///a"}, f"{data}.buffer_type: missing"),
            ({"uri": 3, "buffer_type": "vec3"}, f"{data}.uri: int, expected text"),
            ({"uri": "file:///a", "buffer_type": "vec9"}, f"{data}.buffer_type: 'vec9', expected one of {names}"),
            ({"uri": "", "buffer_type": "vec3"}, f"{data}.uri: 0 characters, expected 1 to 4096"),
            ({"uri": "/" * 4097, "buffer_type": "vec3"}, f"{data}.uri: 4097 characters, expected 1 to 4096"),
            ({"uri": "/a\0b", "buffer_type": "vec3"}, f"{data}.uri: '/a\\x00b', expected printable characters"),
            ({"uri": "/\ud800", "buffer_type": "vec3"}, f"{data}.uri: '/\\ud800', expected printable characters"),
        ):
            links = [{"link_type": "TransformLoad", "link_data": fields}]
            with self.subTest(message), self.assertRaises(InvalidScene) as caught:
                TransformChain.deserialize(
                    {"transform_chain": {"buffer_count": -1, "buffer_type": None, "links": links}}
                )
            self.assertEqual(str(caught.exception), message)

    def test_refused_arguments(self) -> None:
        """A URI or type that is none is refused when the link is made."""
        for uri, kind, message in (
            (b"/a", BufferType.vec3, "uri: bytes, expected text"),
            ("/a", "vec3", "buffer_type: text"),
        ):
            with self.subTest(message), self.assertRaises(InvalidScene) as caught:
                TransformLinkLoad(uri, kind)  # type: ignore[arg-type]
            self.assertIn(message, str(caught.exception))

    def test_light(self) -> None:
        """A client that makes such a link loads numpy, and neither a drawing library nor an https client."""
        code = (
            "import sys, gsp_network as g; g.TransformLinkLoad('file:///a', g.BufferType.vec3).serialize(); "
            "print(sorted({'numpy', 'PIL', 'matplotlib', 'http.client', 'urllib.request', 'ssl'} & set(sys.modules)))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
        self.assertEqual(done.stdout.strip(), "['numpy']", done.stderr)


class Permission(WithFolder):
    def test_off_by_default(self) -> None:
        """Nothing is read where nothing was allowed, inside a with-block of no places too."""
        uri = self.file("a", bytes(4))
        with self.assertRaises(UnsupportedTransform) as caught:
            TransformLinkLoad(uri, BufferType.float32).apply(None)
        self.assertEqual(str(caught.exception), NOT_ALLOWED)
        self.assertEqual((caught.exception.status, caught.exception.type), (422, "unsupported_transform"))
        self.assert_refused(NOT_ALLOWED, uri, places=(), kind=UnsupportedTransform)

    def test_ends_with_the_block(self) -> None:
        """The permission ends with its block, in other threads it never was, and an inner block replaces it."""
        uri = self.file("a", bytes(4))
        link = TransformLinkLoad(uri, BufferType.float32)
        seen: list[Any] = []

        def other_thread() -> None:
            try:
                seen.append(link.apply(None))
            except UnsupportedTransform as exc:
                seen.append(exc)

        with allow_loading((str(self.folder),)):
            self.assertEqual(link.apply(None).get_count(), 1)
            with allow_loading(()):
                self.assertRaises(UnsupportedTransform, link.apply, None)
            self.assertEqual(link.apply(None).get_count(), 1)
            thread = threading.Thread(target=other_thread)
            thread.start()
            thread.join(30)
        self.assertIsInstance(seen[0], UnsupportedTransform)
        self.assertRaises(UnsupportedTransform, link.apply, None)

    def test_places(self) -> None:
        """An operator's places become real paths and plain URLs, once each; again checked they stay what they are."""
        link = self.folder / "link"
        link.symlink_to(self.outside)
        before = os.getcwd()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, before)
        for place, expected in (
            (str(self.folder), str(self.folder)),
            (".", str(self.folder)),
            (f"{self.folder}/", str(self.folder)),
            (str(link), str(self.outside)),
            ("https://Example.com/", "https://example.com/"),
            ("HTTPS://example.com:443/a/b/", "https://example.com/a/b/"),
            ("https://127.0.0.1:8443/", "https://127.0.0.1:8443/"),
            ("https://[::1]:8443/", "https://[::1]:8443/"),
        ):
            with self.subTest(place):
                self.assertEqual(check_places([place, place]), (expected,))
                self.assertEqual(check_places([expected]), (expected,))
        self.assertEqual(check_places([]), ())

    def test_places_refused(self) -> None:
        """What is neither a folder that exists nor such a URL is refused with what the setting takes."""
        (self.folder / "file").write_bytes(b"")
        for place in (
            "",
            str(self.folder / "absent"),
            str(self.folder / "file"),
            f"{self.folder}\0",
            self.folder.as_uri(),
            "http://example.com/",
            "ftp://example.com/",
            "https://example.com",
            "https://example.com/a",
            "https://example.com/a/?b",
            "https://example.com/?/",
            "https://example.com/#/",
            "https://me@example.com/",
            "https://me:pw@example.com/",
            "https:///",
            "https://example.com:0/",
            "https://example.com:x/",
            "https://example..com/",
            "https://exämple.com/",
            "https://example.com/../",
            "https://example.com/%2e%2e/",
            "https://*.example.com/",
        ):
            with self.subTest(place), self.assertRaises(SettingError) as caught:
                check_places([place])
            self.assertEqual(
                str(caught.exception),
                f"setting allow_load (--allow-load): {place!r}, expected a folder that exists, or https://host[:port]/ "
                "with or without a path that ends in /",
            )


class Content(WithFolder):
    def test_npy(self) -> None:
        """A .npy file yields its array, as Buffer.from_numpy takes it; leading axes are joined."""
        for name, array, kind, expected in (
            ("float32", np.array([1.5, 2], "<f4"), "float32", [1.5, 2]),
            ("float64", np.array([[1, 2, 3]], "<f8"), "vec3", [[1, 2, 3]]),
            ("big-endian", np.array([[1, 2]], ">f4"), "vec2", [[1, 2]]),
            ("Fortran", np.asfortranarray([[1.0, 2], [3, 4]]), "vec2", [[1, 2], [3, 4]]),
            ("integers", np.array([1, 2], "<i8"), "uint8", [1, 2]),
            ("grid", np.arange(12.0).reshape(2, 2, 3), "vec3", np.arange(12.0).reshape(4, 3).tolist()),
            ("matrices", np.arange(32.0).reshape(2, 4, 4), "mat4", np.arange(32.0).reshape(2, 4, 4).tolist()),
            ("one matrix", np.eye(4), "mat4", [np.eye(4).tolist()]),
            ("flat", np.ones((2, 2), "u1"), "uint8", [1] * 4),
            ("scalar", np.float32(3), "float32", [3]),
            ("picture", FOUR, "rgba8", FOUR.reshape(4, 4).tolist()),
            ("empty", np.zeros((0, 3)), "vec3", []),
        ):
            with self.subTest(name):
                found = self.load(self.file(f"{name}.NPY", npy(array)), kind)
                self.assertEqual(found.tolist(), expected)
                self.assertEqual(found.dtype, BufferType[kind].dtype)
        self.assertEqual(self.load(self.file("v2.npy", npy([1.0], (2, 0)))).tolist(), [1.0])

    def test_npy_refused(self) -> None:
        """A .npy file that does not hold such an array is a clean error, at once, whatever its header claims."""
        where = "link_data.uri"
        header = "{{'descr': {}, 'fortran_order': False, 'shape': {}}}"
        pickled = npy(np.array([print, None], object))
        table: list[tuple[str, bytes, str, str]] = [
            ("empty", b"", "float32", f"{where}: not a .npy file with a plain array (ValueError)"),
            ("garbage", b"\x93NUMPY\x01\0\xff\xff{{{{", "float32", f"{where}: not a .npy file with a plain array (ValueError)"),
            ("version", npy([1.0], (3, 0)), "float32", f"{where}: not a .npy file with a plain array (KeyError)"),
            ("zip", b"PK\x03\x04" + bytes(99), "float32", "...not a .npy file"),
            ("nested", npy_with("(" * 9000), "float32", "...not a .npy file"),
            ("long header", npy_with(" " * 60_000), "float32", "...not a .npy file with a plain array (ValueError)"),
            ("long header 2", npy_with(" " * 90_000, version=2), "float32", "...a plain array (ValueError)"),
            ("code", npy_with("__import__('os').getcwd()"), "float32", "...not a .npy file"),
            ("objects", pickled, "float32", f"{where}: array of object of shape (2,), expected numbers"),
            ("text", npy(["ab"]), "float32", f"{where}: array of <U2 of shape (1,), expected numbers"),
            ("bool", npy([True]), "uint8", f"{where}: array of bool of shape (1,), expected numbers"),
            ("complex", npy([1j]), "float32", f"{where}: array of complex128 of shape (1,), expected numbers"),
            ("fields", npy(np.zeros(1, "f4,f4")), "float32", "...expected numbers"),
            ("subarray", npy_with(header.format("('<f4', (2,))", "(1,)"), bytes(8)), "float32", "..., expected"),
            ("bomb", npy_with(header.format("'<f4'", "(10**12,)"), bytes(4)), "float32", "...not a .npy file"),
            ("huge", npy_with(header.format("'<f4'", (10**12,)), bytes(4)), "float32", "...(1000000000000,) in 4 bytes"),
            ("huger", npy_with(header.format("'<f4'", (10**4000, 10**4000))), "float32", "... in 0 bytes"),
            ("empty huge", npy_with(header.format("'<f4'", (0, 10**40))), "vec3", "...expected (..., 3) (vec3)"),
            ("negative", npy_with(header.format("'<f4'", (-1, -1)), bytes(4)), "float32", "...expected numbers"),
            ("cut", npy(np.zeros(4))[:-1], "float32", f"{where}: array of float64 of shape (4,) in 31 bytes"),
            ("longer", npy(np.zeros(4)) + b"x", "float32", f"{where}: array of float64 of shape (4,) in 33 bytes"),
            ("shape", npy(np.zeros((3, 2))), "vec3", f"{where}: shape (3, 2), expected (..., 3) (vec3)"),
            ("flat", npy(np.zeros(3)), "vec2", f"{where}: shape (3,), expected (..., 2) (vec2)"),
            ("floats", npy(np.zeros(3)), "uint8", f"{where}: array of float64, expected integers (uint8)"),
            ("range", npy([1, 256]), "uint8", f"{where}: values 1 to 256, expected 0 to 255 (uint8)"),
            ("nan", npy([0, np.nan]), "float32", f"{where}[1]: nan, expected finite numbers"),
        ]  # fmt: skip
        for name, data, kind, message in table:
            with self.subTest(name):
                self.assert_refused(message, self.file(f"{name}.npy", data), kind)

    def test_pictures(self) -> None:
        """A PNG or JPEG yields its pixels as RGBA, first row on top."""
        grey = np.array([[0, 255]], np.uint8)
        for name, data, expected in (
            ("a.png", picture(FOUR), FOUR.reshape(4, 4)),
            ("b.PNG", picture(FOUR[..., :3].copy()), np.insert(FOUR.reshape(4, 4)[:, :3], 3, 255, axis=1)),
            ("c.png", picture(grey), np.array([[0, 0, 0, 255], [255, 255, 255, 255]])),
            ("d.jpeg", picture(np.full((8, 8), 100, np.uint8), "JPEG"), np.tile([100, 100, 100, 255], (64, 1))),
            ("e.JPG", picture(grey), np.array([[0, 0, 0, 255], [255, 255, 255, 255]])),
        ):
            with self.subTest(name):
                np.testing.assert_array_equal(self.load(self.file(name, data), "rgba8"), expected)

    def test_pictures_refused(self) -> None:
        """A picture of another kind, a broken one, or one that is no rgba8 is refused."""
        noise = picture(np.random.default_rng(1).integers(0, 256, (9, 9, 4)).astype(np.uint8))
        deep = picture(np.full((2, 2), 1000, np.uint16))
        for name, data, kind, message in (
            ("a.png", picture(FOUR), "vec4", "link_data.buffer_type: vec4, expected rgba8 for a picture"),
            ("b.png", b"", "rgba8", "link_data.uri: no whole PNG or JPEG (UnidentifiedImageError)"),
            ("c.png", picture(FOUR[..., :3].copy(), "BMP"), "rgba8", "...(UnidentifiedImageError)"),
            ("d.png", picture(FOUR[..., :3].copy(), "GIF"), "rgba8", "...(UnidentifiedImageError)"),
            ("e.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "rgba8", "...(UnidentifiedImageError)"),
            ("f.png", noise[:-40], "rgba8", "...no whole PNG or JPEG"),
            ("g.png", deep, "rgba8", "...more than 8 bits a pixel, expected 8 bits a channel"),
        ):
            with self.subTest(name):
                self.assert_refused(message, self.file(name, data), kind)

    def test_raw(self) -> None:
        """Any other file is the packed elements, whose number must be whole and whose values finite."""
        data = struct.pack("<6f", 1, 2, 3, 4, 5, 6)
        self.assertEqual(self.load(self.file("a.bin", data), "vec3").tolist(), [[1, 2, 3], [4, 5, 6]])
        self.assertEqual(self.load(self.file("npy", data), "vec2").tolist(), [[1, 2], [3, 4], [5, 6]])
        self.assertEqual(self.load(self.file("empty", b""), "vec2").tolist(), [])
        uri = self.file("a.raw", data[:-1])
        self.assert_refused("link_data.uri: 23 bytes, expected a multiple of 12 (vec3)", uri, "vec3")
        uri = self.file("b.raw", struct.pack("<2f", 1, float("inf")))
        self.assert_refused("link_data.uri[1]: inf, expected finite numbers", uri)

    def test_whatever_came_before(self) -> None:
        """The buffer of the link before is not looked at."""
        chain = TransformChain()
        for name in ("a", "b"):
            chain.add(TransformLinkLoad(self.file(name, name.encode()), BufferType.uint8))
        with allow_loading((str(self.folder),)):
            self.assertEqual(chain.run().to_numpy().tolist(), [ord("b")])

    def test_size(self) -> None:
        """No link reads or decodes more than the limit, nor do all of a scene together."""
        words = "expected at most 100 (setting max_load_bytes)"
        flat = picture(np.zeros((6, 6), np.uint8))
        self.assertLess(len(flat), 100)
        for name, data, kind, found in (
            ("raw", bytes(101), "uint8", "101 bytes"),
            ("a.png", flat, "rgba8", "144 bytes"),
        ):
            with self.subTest(name):
                message = f"link_data.uri: {found}, {words}"
                error = self.assert_refused(message, self.file(name, data), kind, 100, kind=LimitExceeded)
                self.assertEqual(error.limit, "max_load_bytes")
        wide = npy(np.zeros(100, "i1"))
        self.assert_refused("...400 bytes", self.file("a.npy", wide), "float32", len(wide), kind=LimitExceeded)
        link = TransformLinkLoad(self.file("b.png", picture(np.zeros((4, 4), np.uint8))), BufferType.rgba8)
        with allow_loading((str(self.folder),), 190), self.assertRaises(LimitExceeded) as caught:
            for _ in range(3):
                link.apply(None)
        self.assertRegex(str(caught.exception), r"^link_data.uri: \d+ bytes so far, expected at most 190 ")
        self.assertEqual(len(self.load(self.file("exact", bytes(100)), "uint8", 100)), 100)
        sparse = self.file("sparse", b"")
        os.truncate(self.folder / "sparse", 2**40)
        with mock.patch("os.read", side_effect=AssertionError("read")):
            self.assert_refused("...1099511627776 bytes", sparse, "uint8", kind=LimitExceeded)

    def test_file_that_grows(self) -> None:
        """A file that turns out to be longer than it said is not read on beyond the limit."""
        uri = self.file("a", bytes(4))
        with mock.patch("os.fstat", return_value=os.stat_result((0o100600, 0, 0, 1, 0, 0, 4, 0, 0, 0))):
            (self.folder / "a").write_bytes(bytes(5000))
            self.assert_refused("...5000 bytes", uri, "uint8", 100, kind=LimitExceeded)

    def test_decompression_bombs(self) -> None:
        """A small file that claims a large picture is refused before any pixel is decoded."""
        for width, height in ((600, 500), (12_000, 12_000), (100_000, 100_000)):  # Pillow is silent, warns, raises
            with self.subTest(width=width):
                uri = self.file("a.png", png_claiming(width, height))
                with mock.patch("PIL.ImageFile.ImageFile.load", side_effect=AssertionError("decoded")):
                    error = self.assert_refused("...(setting max_load_bytes)", uri, "rgba8", kind=LimitExceeded)
                self.assertEqual(error.limit, "max_load_bytes")


class Folders(WithFolder):
    def assert_outside(self, uri: str, **named: Any) -> None:
        self.assert_refused(f"link_data.uri: {uri[:80]!r}, {OUTSIDE}", uri, "uint8", **named)

    def test_ways_to_name_a_file(self) -> None:
        """A file may be named by a file URI, with localhost or percent signs, or by its absolute path."""
        self.file("a ü%2e.bin", b"x")
        (self.folder / "sub").mkdir()
        uri = (self.folder / "a ü%2e.bin").as_uri()
        for name in (
            uri,
            uri.replace("file:", "FILE:"),
            uri.replace("file://", "file:"),
            uri.replace("file://", "file://LocalHost"),
            str(self.folder / "a ü%2e.bin"),
            str(self.folder / "sub" / ".." / "a ü%2e.bin"),
        ):
            with self.subTest(name):
                self.assertEqual(self.load(name, "uint8").tolist(), [ord("x")])

    def test_links_inside(self) -> None:
        """A symbolic link is followed where it leads to a place that is allowed, also from outside of it."""
        self.file("a.bin", b"x")
        (self.folder / "b").symlink_to("a.bin")
        (self.outside / "c").symlink_to(self.folder)
        for name in (self.folder / "b", self.outside / "c" / "b"):
            self.assertEqual(self.load(name.as_uri(), "uint8").tolist(), [ord("x")])
        self.assertEqual(
            self.load((self.folder / "b").as_uri(), "uint8", places=(str(self.outside / "c"),))[0], ord("x")
        )

    def test_everything(self) -> None:
        """An operator may allow the root folder."""
        self.assertEqual(len(self.load(self.secret.as_uri(), "uint8", places=("/",))), 8)

    def test_outside(self) -> None:
        """Nothing outside of the folder is read, by whatever name, and the error is the same for what is not there."""
        (self.folder / "sub").mkdir()
        (self.folder / "file").symlink_to(self.secret)
        (self.folder / "folder").symlink_to(self.outside)
        (self.folder / "loop").symlink_to("loop")
        secret, inside = str(self.secret), str(self.folder)
        for uri in (
            self.secret.as_uri(),
            secret,
            f"{self.outside}/absent",
            str(self.outside),
            inside,
            f"file://{inside}/",
            f"file://{inside}/..",
            f"file://{inside}/../allowed-not/secret.bin",
            f"file://{inside}/%2e%2e/allowed-not/secret.bin",
            f"file://{inside}/sub/../../allowed-not/secret.bin",
            f"file://{inside}%2F..%2Fallowed-not/secret.bin",
            f"file://{inside}/file",
            f"file://{inside}/folder/secret.bin",
            f"file://{inside}/folder",
            f"{inside}-not/secret.bin",
            "/etc/passwd",
            "/proc/self/environ",
            "/proc/self/root/etc/passwd",
            "/dev/zero",
            "/dev/stdin",
            "\\\\server\\share\\x",
            "C:\\Windows\\win.ini",
        ):
            with self.subTest(uri):
                self.assert_outside(uri)

    def test_link_that_goes_away(self) -> None:
        """A link that vanishes while it is looked at is as good as none."""
        with mock.patch("os.path.realpath", side_effect=FileNotFoundError):
            self.assert_outside(str(self.folder / "a"))

    def test_other_names(self) -> None:
        """What is no absolute path and no plain file URI on this machine is refused, even if it would lead inside."""
        self.file("a", b"x")
        path = str(self.folder / "a")
        before = os.getcwd()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, before)
        for uri in (
            "a",
            "./a",
            "file:a",
            "file://a",
            f"file://example.com{path}",
            f"file://127.0.0.1{path}",
            f"file://user@localhost{path}",
            f"file://localhost:80{path}",
            f"file://[::1{path}",
            f"file:///{path}",
            f"/{path}",
            f"file://{path}?",
            f"file://{path}#",
            f"file://{path}%00",
            f"file://{path}%00.png",
            f"http://localhost{path}",
            f"ftp://localhost{path}",
            f"data:,{path}",
            f"jar:file://{path}",
            f"local_file://{path}",
            f"url:file://{path}",
            f" file://{path}",
        ):
            with self.subTest(uri):
                self.assert_outside(uri)

    def test_what_cannot_be_read(self) -> None:
        """Inside the folder the error says why a file cannot be read; a file name percent-decodes once."""
        (self.folder / "sub").mkdir()
        self.file("a.b", b"")
        for name, reason in (
            ("absent", "cannot be read: No such file or directory"),
            ("a%252eb", "cannot be read: No such file or directory"),
            ("sub/absent", "cannot be read: No such file or directory"),
            ("a.b/c", "cannot be read: Not a directory"),
            ("x" * 300, "cannot be read: File name too long"),
            ("loop", "cannot be read: Too many levels of symbolic links"),
            ("sub", "not a regular file"),
        ):
            if name == "loop":
                (self.folder / "loop").symlink_to("loop")
            with self.subTest(name):
                self.assert_refused(f"link_data.uri: {reason}", f"{self.folder.as_uri()}/{name}")

    @needs_fifo
    def test_special_files(self) -> None:
        """A FIFO, a socket or a device inside the folder is refused at once."""
        os.mkfifo(self.folder / "fifo")
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(str(self.folder / "socket"))
        self.assert_refused("link_data.uri: not a regular file", (self.folder / "fifo").as_uri())
        self.assert_refused("...link_data.uri: cannot be read: ", (self.folder / "socket").as_uri())
        self.assert_refused("link_data.uri: not a regular file", "file:///dev/zero", places=("/dev",))

    def test_links_put_in_later(self) -> None:
        """A link that takes a name's place after it was looked at is not followed, at any step."""
        (self.folder / "file").symlink_to(self.secret)
        (self.folder / "folder").symlink_to(self.outside)
        for descends in {loading._DESCENDS, False}:
            for steps in (["file"], ["folder", "secret.bin"]):
                with self.subTest(steps, descends=descends), mock.patch.object(loading, "_DESCENDS", descends):
                    self.assertRaises(OSError, loading._open_inside, str(self.folder), steps)
        with mock.patch("os.path.realpath", side_effect=lambda path: path):
            for name in ("file", "folder/secret.bin"):
                self.assert_refused("...cannot be read: ", f"{self.folder.as_uri()}/{name}")

    def test_without_folder_descriptors(self) -> None:
        """Where folders cannot be opened, as on Windows, files are read all the same, and no descriptor stays open."""
        uri = self.file("a", b"x")
        with mock.patch.object(loading, "_DESCENDS", False):
            self.assertEqual(self.load(uri, "uint8").tolist(), [ord("x")])

    @unittest.skipUnless(os.path.isdir("/proc/self/fd"), "no /proc here")
    def test_descriptors(self) -> None:
        """No file stays open, whatever the outcome."""
        (self.folder / "a" / "b").mkdir(parents=True)
        (self.folder / "a" / "c").symlink_to("b")
        uri = self.file("a/b/x", b"x")
        before = os.listdir("/proc/self/fd")
        self.load(uri, "uint8")
        with mock.patch("os.path.realpath", side_effect=lambda path: path):
            for name in ("a/b/absent", "a/c/x", "a/b"):
                self.assert_refused("...link_data.uri: ", f"{self.folder.as_uri()}/{name}")
        self.assertEqual(os.listdir("/proc/self/fd"), before)


Answer = Callable[[BaseHTTPRequestHandler], None]


class Urls(WithFolder):
    """A real https server on this machine; its certificate is trusted by the environment variable SSL_CERT_FILE."""

    @classmethod
    def setUpClass(cls) -> None:
        holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(holder.cleanup)
        cls.certificate, key = make_certificate(pathlib.Path(holder.name))
        cls.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cls.context.load_cert_chain(cls.certificate, key)

    def setUp(self) -> None:
        super().setUp()
        environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        patch = mock.patch.dict(os.environ, {**environ, "SSL_CERT_FILE": str(self.certificate)}, clear=True)
        patch.start()
        self.addCleanup(patch.stop)
        self.asked: list[tuple[str, str, Any]] = []
        self.stop = threading.Event()
        self.port = self.enterContext_(self.serve(self.answer))
        self.base = f"https://127.0.0.1:{self.port}"
        self.answers: dict[str, Answer] = {}

    def enterContext_(self, context: Any) -> Any:  # enterContext came with Python 3.11
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    @contextlib.contextmanager
    def serve(self, answer: Answer, tls: bool = True) -> Iterator[int]:
        class Handler(BaseHTTPRequestHandler):
            def setup(self) -> None:
                super().setup()
                self.connection.settimeout(10)

            def handle_one_request(self) -> None:
                with contextlib.suppress(OSError):
                    super().handle_one_request()

            def log_message(self, *args: Any) -> None:
                pass

        Handler.do_GET = Handler.do_CONNECT = lambda handler: answer(handler)  # type: ignore[attr-defined]

        class Server(ThreadingHTTPServer):
            def handle_error(self, *args: Any) -> None:  # a client that does not trust us
                pass

        server = Server(("127.0.0.1", 0), Handler)
        if tls:
            server.socket = self.context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            self.stop.set()
            server.shutdown()
            thread.join()
            server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append((handler.command, handler.path, handler.headers))
        path = handler.path.partition("?")[0]
        if path in self.answers:
            self.answers[path](handler)
        else:
            self.reply(404)(handler)

    @staticmethod
    def reply(status: int = 200, body: bytes = b"", length: Optional[int] = None, **headers: str) -> Answer:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            if length != -1:
                handler.send_header("Content-Length", str(len(body) if length is None else length))
            handler.end_headers()
            handler.wfile.write(body)

        return answer

    def get(self, path: str, kind: str = "uint8", places: Any = None, **named: Any) -> np.ndarray:
        return self.load(self.base + path, kind, places=places or (f"{self.base}/open/",), **named)

    def refuse(self, message: str, path: str = "/open/x", kind: type = InvalidScene, **named: Any) -> InvalidScene:
        named = {"places": (f"{self.base}/open/",), **named}
        return self.assert_refused(message, self.base + path, "uint8", kind=kind, **named)

    def test_contents(self) -> None:
        """What an allowed URL holds is read by one GET and decoded by the path's extension."""
        self.answers = {
            "/open/x": self.reply(body=b"ab"),
            "/open/a/p.png": self.reply(body=picture(FOUR)),
            "/open/n.npy": self.reply(body=npy([1, 2]), length=-1),
        }
        self.assertEqual(self.get("/open/x").tolist(), [97, 98])
        self.assertEqual(self.get("/open/x?signature=%2e.png").tolist(), [97, 98])
        self.assertEqual(self.get("/open/a/p.png", "rgba8").tolist(), FOUR.reshape(4, 4).tolist())
        self.assertEqual(self.get("/open/n.npy").tolist(), [1, 2])
        self.assertEqual(self.get("/open/x", places=(str(self.folder), f"{self.base}/")).tolist(), [97, 98])
        method, path, headers = self.asked[1]
        self.assertEqual((method, path), ("GET", "/open/x?signature=%2e.png"))
        self.assertEqual(headers["Host"], f"127.0.0.1:{self.port}")
        self.assertEqual(headers["Accept-Encoding"], "identity")
        self.assertEqual(
            {"accept", "accept-encoding", "connection", "host", "user-agent"}, {name.lower() for name in headers}
        )

    def test_chunked(self) -> None:
        """A chunked answer is read whole; one that breaks off is refused."""

        def chunks(handler: BaseHTTPRequestHandler, end: bytes) -> None:
            handler.protocol_version = "HTTP/1.1"
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            handler.wfile.write(b"1\r\na\r\n2\r\nbc\r\n" + end)
            handler.close_connection = True

        self.answers = {
            "/open/x": lambda handler: chunks(handler, b"0\r\n\r\n"),
            "/open/y": lambda handler: chunks(handler, b"9\r\nd"),
        }
        self.assertEqual(self.get("/open/x").tolist(), [97, 98, 99])
        self.refuse("link_data.uri: cannot be read: no whole HTTP answer (IncompleteRead)", "/open/y")

    def test_outside(self) -> None:
        """No URL outside of the allowed scheme, host, port and path is asked for."""
        port = self.port
        for uri in (
            f"http://127.0.0.1:{port}/open/x",
            f"https://localhost:{port}/open/x",
            f"https://127.0.0.2:{port}/open/x",
            f"https://127.1:{port}/open/x",
            f"https://127.0.0.1.:{port}/open/x",
            "https://127.0.0.1/open/x",
            f"https://127.0.0.1:{port + 1}/open/x",
            f"https://user@127.0.0.1:{port}/open/x",
            f"https://127.0.0.1:{port}@example.com/open/x",
            f"https://example.com/https://127.0.0.1:{port}/open/x",
            f"https:127.0.0.1:{port}/open/x",
            f"https:\\\\127.0.0.1:{port}/open/x",
            f"//127.0.0.1:{port}/open/x",
            f"ftp://127.0.0.1:{port}/open/x",
            f"gopher://127.0.0.1:{port}/open/x",
            *(
                self.base + path
                for path in (
                    "",
                    "/",
                    "/open",
                    "/opener/x",
                    "/other/x",
                    "/OPEN/x",
                    "/open/x#",
                    "/open/../other/x",
                    "/open/./x",
                    "/open/..",
                    "/open/..;a/x",
                    "/open/.;/x",
                    "/open/%2e%2e/other/x",
                    "/open/.%2E/other/x",
                    "/open/..%2fother/x",
                    "/open/%5c..%5Cx",
                    "/open/..\\other",
                    "/open/%252e%252e/x",
                    "/open/%00x",
                    "/open/ü",
                    "/open/ x",
                    "//open/x",
                )
            ),
        ):
            with self.subTest(uri):
                message = f"link_data.uri: {uri[:80]!r}, {OUTSIDE}"
                self.assert_refused(message, uri, places=(f"{self.base}/open/", str(self.folder)))
        self.assertEqual(self.asked, [])

    def test_redirects(self) -> None:
        """A redirect is an error, wherever it leads."""
        self.answers["/open/y"] = self.reply(body=b"ab")
        for status in (300, 301, 302, 303, 304, 307, 308):
            self.answers["/open/x"] = self.reply(status, Location="/open/y")
            with self.subTest(status):
                self.refuse(f"link_data.uri: cannot be read: answered {status}, a redirect, expected 200")
        self.assertEqual({path for _, path, _ in self.asked}, {"/open/x"})

    def test_answers_refused(self) -> None:
        """An answer that is no whole, plain 200 is refused with the reason."""
        for answer, reason in (
            (self.reply(404), "answered 404, expected 200"),
            (self.reply(206, b"ab"), "answered 206, expected 200"),
            (self.reply(204), "answered 204, expected 200"),
            (self.reply(body=b"ab", Content_Encoding="gzip"), "Content-Encoding 'gzip', expected identity"),
            (self.reply(body=b"ab", length=3), "ended after 2 of 3 bytes"),
            (lambda handler: handler.wfile.write(b"SSH-2.0\r\n"), "no whole HTTP answer (BadStatusLine)"),
            (lambda handler: None, "no whole HTTP answer (RemoteDisconnected)"),
        ):
            self.answers["/open/x"] = answer
            with self.subTest(reason):
                self.refuse(f"link_data.uri: cannot be read: {reason}")
        self.answers["/open/x"] = self.reply(body=b"ab", Content_Encoding="Identity")
        self.assertEqual(len(self.get("/open/x")), 2)

    def test_size(self) -> None:
        """An answer that announces or sends more than the limit is not read on."""
        ended: list[int] = []

        def endless(handler: BaseHTTPRequestHandler) -> None:
            self.reply(length=-1)(handler)
            with contextlib.suppress(OSError):
                for _ in range(10_000):
                    handler.wfile.write(bytes(2**16))
                    ended.append(1)

        self.answers = {"/open/x": self.reply(length=10**14), "/open/y": endless}
        self.refuse("...100000000000000 bytes, expected at most 1048576", kind=LimitExceeded)
        self.refuse("...expected at most 1048576 (setting max_load_bytes)", "/open/y", kind=LimitExceeded)
        self.assertLess(len(ended), 9_000)

    def test_trickling(self) -> None:
        """A server that trickles or is silent, in its handshake, head or body, ends at one deadline for all."""

        def trickle(handler: BaseHTTPRequestHandler, first: bytes, piece: bytes) -> None:
            handler.wfile.write(first)
            with contextlib.suppress(OSError):
                while not self.stop.wait(0.02):
                    handler.wfile.write(piece)

        message = "link_data.uri: cannot be read: not there within 0.15 s, all URLs together"
        self.answers = {
            "/open/head": lambda handler: trickle(handler, b"HTTP/1.1 200 OK\r\n", b"a"),
            "/open/heads": lambda handler: trickle(
                handler, b"HTTP/1.1 100 Continue\r\n\r\n" * 9, b"HTTP/1.1 100 C\r\n\r\n"
            ),
            "/open/body": lambda handler: trickle(handler, b"HTTP/1.1 200 OK\r\n\r\n", b"a"),
            "/open/silent": lambda handler: trickle(handler, b"", b""),
        }
        with mock.patch.object(loading, "MAX_SECONDS", 0.15):
            for path in self.answers:
                with self.subTest(path):
                    began = time.monotonic()
                    self.refuse(message, path)
                    self.assertLess(time.monotonic() - began, 3)
            with socket.create_server(("127.0.0.1", 0)) as silent, self.subTest("handshake"):
                self.base = f"https://127.0.0.1:{silent.getsockname()[1]}"
                self.refuse(message)

    def test_deadline_of_all(self) -> None:
        """The seconds count for all links of a scene together."""
        self.answers["/open/x"] = self.reply(body=b"a")
        link = TransformLinkLoad(f"{self.base}/open/x", BufferType.uint8)
        with allow_loading((f"{self.base}/open/",)):
            link.apply(None)
            allowance = loading._allowance.get()
            self.assertTrue(allowance is not None and 0 < allowance.seconds_left < loading.MAX_SECONDS)
            allowance.seconds_left = 0.0
            self.assertRaises(InvalidScene, link.apply, None)
        self.assertEqual(len(self.asked), 1)

    def test_unreachable(self) -> None:
        """A host that cannot be reached is the sender's error, with the reason in words."""
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        self.base = f"https://127.0.0.1:{port}"
        self.refuse("link_data.uri: cannot be read: Connection refused")
        with mock.patch("socket.getaddrinfo", side_effect=socket.gaierror(-2, "Name or service not known")):
            self.refuse("link_data.uri: cannot be read: Name or service not known")

    def test_certificate(self) -> None:
        """A certificate that is not trusted, or another host's, is refused, and so is old TLS."""
        self.answers["/open/x"] = self.reply(body=b"a")
        with mock.patch.dict(os.environ, SSL_CERT_FILE=os.devnull):
            self.refuse("...cannot be read: self")
        with mock.patch("socket.getaddrinfo", return_value=[(2, 1, 6, "", ("127.0.0.1", self.port))]):
            self.base = "https://example.com"
            self.refuse("...cannot be read: Hostname mismatch")
        self.assertEqual(self.asked, [])
        context = verifying_context()
        self.assertEqual((context.verify_mode, context.check_hostname), (ssl.CERT_REQUIRED, True))
        self.assertEqual(context.minimum_version, ssl.TLSVersion.TLSv1_2)

    def test_plain_server(self) -> None:
        """A server that does not speak TLS is refused."""
        with self.serve(self.answer, tls=False) as port:
            self.base = f"https://127.0.0.1:{port}"
            self.refuse("...cannot be read: ")
        self.assertEqual(self.asked, [])

    def test_proxy(self) -> None:
        """The environment's proxy is asked for a tunnel, with its password, and only for other machines."""
        self.answers["/open/x"] = self.reply(body=b"a")
        tunnels: list[Any] = []

        def connect(handler: BaseHTTPRequestHandler) -> None:
            tunnels.append((handler.path, handler.headers["Proxy-Authorization"]))
            handler.send_error(403, "No\x07way")

        with self.serve(connect, tls=False) as port:
            with mock.patch.dict(os.environ, https_proxy=f"http://me:pw@127.0.0.1:{port}"):
                self.assertEqual(len(self.get("/open/x")), 1)
                self.assertEqual(tunnels, [])
                with mock.patch.object(loading, "is_loopback", return_value=False):
                    self.refuse("link_data.uri: cannot be read: OSError")
        self.assertEqual(tunnels, [(f"127.0.0.1:{self.port}", "Basic bWU6cHc=")])

    def test_tunnel(self) -> None:
        """Through a proxy's tunnel the URL is read as without one, and the proxy's password does not go on."""
        self.answers["/open/x"] = self.reply(body=b"a")

        def connect(handler: BaseHTTPRequestHandler) -> None:
            host, _, port = handler.path.rpartition(":")
            with socket.create_connection((host, int(port)), 10) as far:
                handler.send_response(200)
                handler.end_headers()

                def forward(source: socket.socket, target: socket.socket) -> None:
                    with contextlib.suppress(OSError):
                        while True:
                            data = source.recv(2**16)
                            if not data:
                                break
                            target.sendall(data)
                        target.shutdown(socket.SHUT_WR)

                back = threading.Thread(target=forward, args=(far, handler.connection))
                back.start()
                forward(handler.connection, far)
                back.join(10)

        with self.serve(connect, tls=False) as port:
            with mock.patch.dict(os.environ, https_proxy=f"http://me:pw@127.0.0.1:{port}"):
                with mock.patch.object(loading, "is_loopback", return_value=False):
                    self.assertEqual(len(self.get("/open/x")), 1)
        self.assertNotIn("Proxy-Authorization", self.asked[0][2])


def load_chain(uri: str, kind: str) -> TransformChain:
    chain = TransformChain()
    chain.add(TransformLinkLoad(uri, BufferType[kind]))
    return chain


class Rendering(WithFolder):
    def setUp(self) -> None:
        super().setUp()
        visual = image(FOUR)
        texels = {"uri": self.file("four.png", picture(FOUR)), "buffer_type": "rgba8"}
        links = [{"link_type": "TransformLoad", "link_data": texels}]
        chain = {"buffer_count": -1, "buffer_type": None, "links": links}
        document = json.loads(body_of(visual))
        texture = document["data"]["visuals"][0]["visual"]["texture"]
        texture["data"] = {"type": "transform_chain", "transBuf": {"transform_chain": chain}}
        self.picture_body = json.dumps(document).encode()

    def test_picture(self) -> None:
        """An image whose texels are a PNG in an allowed folder is drawn in its colours."""
        drawn = array_of(render_payload(self.picture_body, limits=Limits(allow_load=(str(self.folder),))))
        for (row, column), color in {(25, 25): RED, (25, 75): GREEN, (75, 25): BLUE, (75, 75): WHITE}.items():
            self.assertEqual(drawn[row, column].tolist(), list(color))

    def test_positions(self) -> None:
        """Points whose positions are a .npy in an allowed folder are drawn where it says."""
        visual = points((0, 0, 0), (0, 0, 0))
        visual.set_positions(load_chain(self.file("p.npy", npy([[-0.5, 0.5, 0], [0.5, -0.5, 0]])), "vec3"))
        drawn = array_of(render_payload(body_of(visual), limits=Limits(allow_load=(str(self.folder),))))
        found = [drawn[row, column].tolist() for row, column in ((25, 25), (75, 75), (50, 50))]
        self.assertEqual(found, [list(RED), list(RED), list(WHITE)])

    def test_not_allowed(self) -> None:
        """Where nothing is allowed, or another folder, the scene is refused, and the error names the link."""
        link = "visuals[0].texture.data.links[0]"
        with self.assertRaises(UnsupportedTransform) as caught:
            render_payload(self.picture_body)
        self.assertEqual(str(caught.exception), f"{link}.{NOT_ALLOWED}")
        self.assertEqual((caught.exception.status, caught.exception.type), (422, "unsupported_transform"))
        with self.assertRaises(InvalidScene) as outside:
            render_payload(self.picture_body, limits=Limits(allow_load=(str(self.outside),)))
        self.assertEqual(outside.exception.where, f"{link}.link_data.uri")

    def test_size(self) -> None:
        """A scene's links are held to the limit of the settings."""
        with self.assertRaises(LimitExceeded) as caught:
            render_payload(self.picture_body, limits=Limits(allow_load=(str(self.folder),), max_load_bytes=15))
        self.assertEqual(caught.exception.where, "visuals[0].texture.data.links[0].link_data.uri")
        self.assertEqual(caught.exception.limit, "max_load_bytes")

    def test_canary(self) -> None:
        """Without permission, or outside of what is allowed, no file is opened and no socket connects or looks up a name."""
        (self.folder / "link").symlink_to(self.secret)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            uris = [
                self.secret.as_uri(),
                str(self.secret),
                f"{self.folder.as_uri()}/link",
                f"{self.folder.as_uri()}/../allowed-not/secret.bin",
                f"https://127.0.0.1:{port}/secret.bin",
                f"http://127.0.0.1:{port}/secret.bin",
                f"ftp://127.0.0.1:{port}/secret.bin",
                "https://canary.invalid/",
            ]
            inside = self.file("inside.bin", bytes(8))
            code = """
import json, os, sys
from gsp_network.loading import TransformLinkLoad, allow_loading
from gsp_network import BufferType, InvalidScene
uris, inside, folder = json.loads(sys.argv[1])
seen = []
def hook(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen", "urllib.Request"):
        seen.append(event)
    elif event == "open" and not str(args[0]).endswith((".py", ".pyc")):
        seen.append(str(args[0]))
sys.addaudithook(hook)
for places, tried in (((), uris + [inside]), ((folder, "https://127.0.0.1:1/"), uris)):
    for uri in tried:
        try:
            with allow_loading(places):
                TransformLinkLoad(uri, BufferType.uint8).apply(None)
            seen.append("read " + uri)
        except InvalidScene as exc:
            pass
before = list(seen)
with allow_loading((folder,)):
    TransformLinkLoad(inside, BufferType.uint8).apply(None)
print(json.dumps([before, bool(seen)]))
"""
            arguments = json.dumps([uris, inside, str(self.folder)])
            command = [sys.executable, "-c", code, arguments]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(json.loads(done.stdout), [[], True])
            listener.setblocking(False)
            self.assertRaises(BlockingIOError, listener.accept)


if __name__ == "__main__":
    unittest.main()
