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
from typing import Sequence

import numpy as np

from .scenes import array_of, run_server
from .support import ROOT, slow

EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.py") if not path.name.startswith("_"))

ANIMATIONS = ("orbit", "trackball_cube", "pan_zoom_scatter", "two_viewports", "live_plot", "picture_in_picture")
STILL = ("points", "markers", "pixels", "segments", "paths", "texts", "image", "image_from_numpy", "perspective")
"""Those that draw one picture of the same name."""


class TestExamples(unittest.TestCase):
    def run_alone(self, names: Sequence[str], *arguments: str) -> dict[str, bytes]:
        """Run a copy of one example; the pictures that it wrote, by name."""
        return self.run_command(names, f"examples/{names[0]}.py", *arguments)

    def run_together(self, names: Sequence[str], *arguments: str) -> dict[str, bytes]:
        """The same of several, one after the other in one process, which has loaded all once."""
        code = "import runpy, sys; sys.path.insert(0, 'examples'); scripts = sys.argv.pop(1).split()\n"
        code += "for script in scripts: runpy.run_path(f'examples/{script}.py', run_name='__main__')"
        return self.run_command(names, "-c", code, " ".join(names), *arguments)

    def run_command(self, names: Sequence[str], *arguments: str) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as holder:
            folder = pathlib.Path(holder)
            ignored = shutil.ignore_patterns("output", "__pycache__")
            shutil.copytree(ROOT / "examples", folder / "examples", ignore=ignored)
            done = subprocess.run(
                [sys.executable, *arguments],
                capture_output=True,
                text=True,
                timeout=600,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "GSP_TEST": "True", "MPLBACKEND": "Agg"},
            )
            self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
            drawn = [name for name in names if name not in ANIMATIONS]  # theirs the animator writes, without a word
            self.assertGreaterEqual(done.stdout.count("wrote"), len(drawn))
            where = folder if names == ["quickstart"] else folder / "examples" / "output"
            pictures = {picture.name: picture.read_bytes() for picture in where.glob("*.png")}
            self.assertTrue(all(file.startswith(tuple(names)) for file in pictures), pictures.keys())
            return pictures

    @slow
    def test_each_runs_as_it_stands_and_on_a_server(self) -> None:
        """Without a server it brings its own, with --server it draws the same there; the picture is not empty."""
        names = {path.stem for path in EXAMPLES}
        visuals = {"points", "markers", "pixels", "segments", "paths", "texts", "image"}
        others = {"quickstart", "network_client", "embedded_server", "image_from_numpy", "perspective"}
        self.assertEqual(visuals | {*ANIMATIONS} | others, names)
        with run_server() as server, ThreadPoolExecutor(4) as at_once:
            there = "--server", server.url
            runs = {}
            for run, group in ((self.run_together, sorted(names - {"quickstart"})), (self.run_alone, ["quickstart"])):
                both = at_once.submit(run, group), at_once.submit(run, group, *there)
                runs.update(dict.fromkeys(group, both))
            for name, (first, second) in runs.items():
                with self.subTest(example=name):
                    alone, remote = (
                        {
                            file: picture
                            for file, picture in run.result().items()
                            if file == f"{name}.png" or (name not in STILL and file.startswith(name))
                        }
                        for run in (first, second)
                    )
                    self.assertTrue(alone)
                    self.assertEqual(alone, remote)
                    for picture in alone.values():
                        self.assertGreater(len(np.unique(array_of(picture).reshape(-1, 3), axis=0)), 5)
            self.assertGreaterEqual(server.health()["counts"]["pictures"], len(EXAMPLES) - 1)
