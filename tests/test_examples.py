"""Every example runs as it stands and on a server of its own, and draws something."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from .scenes import array_of, run_server
from .support import ROOT

EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.py") if not path.name.startswith("_"))

STILL = ("points", "markers", "pixels", "segments", "paths", "texts", "image", "image_from_numpy", "perspective")
"""Those that draw one picture of the same name."""


class TestExamples(unittest.TestCase):
    def run_example(self, path: pathlib.Path, *arguments: str) -> dict[str, bytes]:
        """Run a copy of the example; the pictures that it wrote, by name."""
        return self.run_command(path.stem, str(path.name), *arguments)

    def run_still_ones(self) -> dict[str, bytes]:
        """Run those that draw one picture one after the other in one process, which has loaded all once."""
        code = "import pathlib, runpy, sys; sys.path.insert(0, 'examples'); scripts = sys.argv[1:]; del sys.argv[1:]\n"
        code += "for script in scripts: runpy.run_path(f'examples/{script}.py', run_name='__main__')"
        return self.run_command("", "-c", code, *STILL)

    def run_command(self, name: str, *arguments: str) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as holder:
            folder = pathlib.Path(holder)
            ignored = shutil.ignore_patterns("output", "__pycache__")
            shutil.copytree(ROOT / "examples", folder / "examples", ignore=ignored)
            done = subprocess.run(
                [sys.executable, *(f"examples/{word}" if word.endswith(".py") else word for word in arguments)],
                capture_output=True,
                text=True,
                timeout=120,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "GSP_TEST": "True", "MPLBACKEND": "Agg"},
            )
            self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
            where = folder if name == "quickstart" else folder / "examples" / "output"
            return {picture.name: picture.read_bytes() for picture in where.glob("*.png")}

    def test_each_runs_as_it_stands_and_on_a_server(self) -> None:
        """Without a server it brings its own, with --server it draws the same there; the picture is not empty."""
        names = {path.stem for path in EXAMPLES}
        visuals = {"points", "markers", "pixels", "segments", "paths", "texts", "image"}
        animations = {"orbit", "trackball_cube", "pan_zoom_scatter", "two_viewports", "live_plot", "picture_in_picture"}
        others = {"quickstart", "network_client", "embedded_server", "image_from_numpy", "perspective"}
        self.assertEqual(visuals | animations | others, names)
        with run_server() as server, ThreadPoolExecutor(4) as at_once:
            still = at_once.submit(self.run_still_ones)
            alone = {path.stem: at_once.submit(self.run_example, path) for path in EXAMPLES if path.stem not in STILL}
            there = {
                path.stem: at_once.submit(self.run_example, path, "--server", server.url)
                for path in EXAMPLES
                if path.stem in ("quickstart", "points", "orbit")  # one of each way to begin
            }
            self.assertEqual(set(still.result()), {f"{name}.png" for name in STILL})
            for name in STILL:
                alone[name] = Future()
                alone[name].set_result({f"{name}.png": still.result()[f"{name}.png"]})
            for name, run in alone.items():
                with self.subTest(example=name):
                    pictures = run.result()
                    self.assertTrue(pictures)
                    self.assertTrue(all(written.startswith(name) for written in pictures), pictures.keys())
                    for picture in pictures.values():
                        self.assertGreater(len(np.unique(array_of(picture).reshape(-1, 3), axis=0)), 5)
                    self.assertEqual(there[name].result() if name in there else pictures, pictures)
            self.assertGreaterEqual(server.health()["counts"]["pictures"], len(there))
