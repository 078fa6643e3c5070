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
            self.assertIn("wrote", done.stdout)
            where = folder if path.stem == "quickstart" else folder / "examples" / "output"
            return {picture.name: picture.read_bytes() for picture in where.glob("*.png")}

    def test_each_runs_as_it_stands_and_on_a_server(self) -> None:
        """Without a server it brings its own, with --server it draws the same there; the picture is not empty."""
        names = {path.stem for path in EXAMPLES}
        visuals = {"points", "markers", "pixels", "segments", "paths", "texts", "image"}
        self.assertLessEqual(
            visuals | {"quickstart", "network_client", "embedded_server", "image_from_numpy", "perspective"}, names
        )
        with run_server() as server, ThreadPoolExecutor(4) as at_once:
            runs = [
                (at_once.submit(self.run_example, path), at_once.submit(self.run_example, path, "--server", server.url))
                for path in EXAMPLES
            ]
            for path, (first, second) in zip(EXAMPLES, runs):
                with self.subTest(example=path.name):
                    alone, remote = first.result(), second.result()
                    self.assertTrue(alone)
                    self.assertTrue(all(name.startswith(path.stem) for name in alone), alone.keys())
                    self.assertEqual(alone, remote)
                    for picture in alone.values():
                        self.assertGreater(len(np.unique(array_of(picture).reshape(-1, 3), axis=0)), 5)
            self.assertGreaterEqual(server.health()["counts"]["pictures"], len(EXAMPLES) - 1)
