"""Every example runs as it stands and on a server of its own, and draws something."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .scenes import array_of, run_server
from .support import ROOT

EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.py") if not path.name.startswith("_"))


class TestExamples(unittest.TestCase):
    def run_example(self, path: pathlib.Path, *arguments: str) -> dict[str, bytes]:
        """Run a copy of the example; the pictures that it wrote, by name."""
        with tempfile.TemporaryDirectory() as holder:
            folder = pathlib.Path(holder)
            ignored = shutil.ignore_patterns("output", "__pycache__")
            shutil.copytree(ROOT / "examples", folder / "examples", ignore=ignored)
            done = subprocess.run(
                [sys.executable, str(folder / "examples" / path.name), *arguments],
                capture_output=True,
                text=True,
                timeout=120,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "GSP_TEST": "True", "MPLBACKEND": "Agg"},
            )
            self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
            where = folder if path.stem == "quickstart" else folder / "examples" / "output"
            return {picture.name: picture.read_bytes() for picture in where.glob("*.png")}

    def test_each_runs_as_it_stands_and_on_a_server(self) -> None:
        """Without a server it brings its own, with --server it draws the same there; the picture is not empty."""
        names = {path.stem for path in EXAMPLES}
        visuals = {"points", "markers", "pixels", "segments", "paths", "texts", "image"}
        animations = {"orbit", "trackball_cube", "pan_zoom_scatter", "two_viewports", "live_plot", "picture_in_picture"}
        others = {"quickstart", "network_client", "embedded_server", "image_from_numpy", "perspective"}
        self.assertEqual(visuals | animations | others, names)
        with run_server() as server, ThreadPoolExecutor(4) as at_once:
            alone = {path.stem: at_once.submit(self.run_example, path) for path in EXAMPLES}
            there = {
                path.stem: at_once.submit(self.run_example, path, "--server", server.url)
                for path in EXAMPLES
                if path.stem in ("quickstart", "points", "network_client", "orbit")  # one of each way to begin
            }
            for name, run in alone.items():
                with self.subTest(example=name):
                    pictures = run.result()
                    self.assertTrue(pictures)
                    self.assertTrue(all(written.startswith(name) for written in pictures), pictures.keys())
                    for picture in pictures.values():
                        self.assertGreater(len(np.unique(array_of(picture).reshape(-1, 3), axis=0)), 5)
                    self.assertEqual(there[name].result() if name in there else pictures, pictures)
            self.assertGreaterEqual(server.health()["counts"]["pictures"], len(there))
