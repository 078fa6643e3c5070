"""The origin's requests and its pictures: each is sent over HTTP to a real server and compared."""

from __future__ import annotations

import importlib.util
import pathlib
import tempfile
import unittest
from typing import Any

import matplotlib

from gsp_network.transport import Transport, picture_of

from .scenes import run_server
from .support import GOLDEN, SHARED, needs_golden

LEAST_SSIM = 0.99


@needs_golden
class TestGolden(unittest.TestCase):
    def compare(self) -> Any:
        spec = importlib.util.spec_from_file_location("compare_images", SHARED / "compare_images.py")  # type: ignore[operator]
        module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
        spec.loader.exec_module(module)  # type: ignore[union-attr]
        return module

    def test_pictures(self) -> None:
        """Every golden request is answered with the golden picture, by structural similarity."""
        compare = self.compare()
        newer = matplotlib.__version_info__ >= (3, 11)
        self.assertGreaterEqual(len(GOLDEN), 52)
        with run_server() as server, tempfile.TemporaryDirectory() as folder:
            transport = Transport(server.url)
            self.addCleanup(transport.close)
            for request in GOLDEN:
                expected = request.with_suffix(".png")
                if newer and (request.parent / "matplotlib-3.11" / expected.name).exists():
                    expected = request.parent / "matplotlib-3.11" / expected.name
                with self.subTest(case=request.stem):
                    answer = transport.post("/render", request.read_bytes(), {"Content-Type": "application/json"})
                    actual = pathlib.Path(folder, expected.name)
                    actual.write_bytes(picture_of(answer, server.url))
                    similarity = compare.ssim(compare.rgb(expected), compare.rgb(actual))
                    self.assertGreaterEqual(similarity, LEAST_SSIM)
