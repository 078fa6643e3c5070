"""Every example runs as it stands and on a server of its own, and draws something."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import numpy as np

from .scenes import array_of, run_server
from .support import ROOT

EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.py") if not path.name.startswith("_"))


class TestExamples(unittest.TestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        shutil.copytree(
            ROOT / "examples", self.folder / "examples", ignore=shutil.ignore_patterns("output", "__pycache__")
        )

    def run_example(self, path: pathlib.Path, *arguments: str) -> dict[str, bytes]:
        """Run a copy of the example; the pictures that it wrote, by name."""
        done = subprocess.run(
            [sys.executable, str(self.folder / "examples" / path.name), *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "GSP_TEST": "True", "MPLBACKEND": "Agg"},
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertIn("wrote", done.stdout)
        where = self.folder if path.stem == "quickstart" else self.folder / "examples" / "output"
        written = {picture.name: picture.read_bytes() for picture in where.glob("*.png")}
        for picture in where.glob("*.png"):
            picture.unlink()
        return written

    def test_each_runs_as_it_stands_and_on_a_server(self) -> None:
        """Without a server it brings its own, with --server it draws the same there; the picture is not empty."""
        names = {path.stem for path in EXAMPLES}
        visuals = {"points", "markers", "pixels", "segments", "paths", "texts", "image"}
        self.assertLessEqual(
            visuals | {"quickstart", "network_client", "embedded_server", "image_from_numpy", "perspective"}, names
        )
        with run_server() as server:
            for path in EXAMPLES:
                with self.subTest(example=path.name):
                    alone, remote = self.run_example(path), self.run_example(path, "--server", server.url)
                    self.assertTrue(alone)
                    self.assertTrue(all(name.startswith(path.stem) for name in alone), alone.keys())
                    self.assertEqual(alone, remote)
                    for picture in alone.values():
                        self.assertGreater(len(np.unique(array_of(picture).reshape(-1, 3), axis=0)), 5)
            self.assertGreaterEqual(server.health()["counts"]["pictures"], len(EXAMPLES) - 1)
