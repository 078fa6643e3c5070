"""README: its tables are the code's, and what it tells people to paste runs."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

from gsp_network import Buffer, Camera, Canvas, NetworkRenderer, Points, SessionRecorder, Viewport
from gsp_network.png import png_fault
from gsp_network.settings import Settings, markdown_table
from gsp_network.tools import reference
from gsp_network.tools.vendor import sources

from .processes import ServerProcess, all_at_once
from .scenes import body_of, points, run_server
from .support import ROOT, slow

README = (ROOT / "README.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:5000"


ELSEWHERE = "".join(
    re.findall(r"^## Run it for others\n.*?(?=^## )", README, re.S | re.M)
)  # test_deployment.py runs it


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.replace(ELSEWHERE, ""), re.S | re.M)


class TestReadme(unittest.TestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)

    def test_tables(self) -> None:
        """The reference tables are those that the code makes."""
        self.assertIn(reference.scene_table(), README)
        self.assertIn(markdown_table(), README)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertEqual(reference.main([]), 0)
        self.assertIn(reference.scene_table(), out.getvalue())
        self.assertIn(markdown_table(), out.getvalue())
        self.assertEqual(reference.scene_table().count(Points.field("sizes").doc), 2)

    def test_python_blocks(self) -> None:
        """Every block of Python runs, one after the other, against a server at the address that README names."""
        self.assertGreaterEqual(len(blocks("python")), 5)
        printed = io.StringIO()
        before = os.getcwd()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, before)
        names: dict = {}
        with run_server() as server, contextlib.redirect_stdout(printed):
            for block in blocks("python"):
                exec(compile(block.replace(ADDRESS, server.url), "README.md", "exec"), names)
        self.assertEqual(png_fault((self.folder / "points.png").read_bytes()), "")
        self.assertEqual((self.folder / "grow.gif").read_bytes()[:6], b"GIF89a")
        self.assertIn("Points.sizes: 2 items, expected 500", printed.getvalue())
        self.assertRegex(printed.getvalue(), r"422 canvas\.width max_canvas_side [0-9a-f]{32}")
        self.assertRegex(printed.getvalue(), r"\d+ bytes in, \d+ bytes out")

    @slow
    def test_commands(self) -> None:
        """Every command line is one that a test or .ci/run runs; those of this package run here as they stand."""
        lines = [line for block in blocks("sh") for line in block.splitlines()]
        by_ci = [line for line in lines if re.match(r"python3 -m venv|pip install|\.venv/bin/pip", line)]
        self.assertEqual(len(by_ci), 3, by_ci)
        for mark in ("examples/quickstart.py", "unittest", "--no-deps"):
            self.assertEqual(sum(mark in line for line in by_ci), 1)
            self.assertIn(mark, (ROOT / ".ci" / "run").read_text())
        (self.folder / "scene.json").write_bytes(body_of(points((0, 0, 0))))
        shutil.copytree(ROOT / "examples", self.folder / "examples", ignore=shutil.ignore_patterns("output", "*.png"))
        with run_server() as server, NetworkRenderer(Canvas(30, 20), server.url) as renderer:
            with SessionRecorder(renderer, self.folder / "session.jsonl"):
                renderer.render([Viewport(0, 0, 30, 20)], [points((0, 0, 0))], [Buffer.identity()], [Camera()])
        rest = [line for line in lines if line not in by_ci]
        self.assertEqual(len(rest), 9, rest)
        all_at_once(self.run_one, [line for line in rest if not line.startswith("curl")])
        for line in rest:
            if line.startswith("curl"):
                with self.subTest(line=line):
                    self.run_curl(line)

    def run_one(self, line: str) -> None:
        """Run a command line of this package."""
        if line.endswith("gsp_network.server"):
            self.run_server_line(line)
        elif line.endswith("network_server_kill"):
            self.run_kill_line(line)
        else:
            self.run_line(line)
            if not line.endswith("tools.doctor"):
                made = (self.folder / line.split()[-1].replace(".py", ".png")).read_bytes()
                self.assertTrue(made[:6] == b"GIF89a" or png_fault(made) == "", line)

    def run_line(self, line: str, **environ: str) -> None:
        command = line.replace(".venv/bin/python", f'"{sys.executable}"')
        done = subprocess.run(
            command,
            shell=True,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""), f"{line}: {done.stdout}")

    def run_curl(self, line: str) -> None:
        if shutil.which("curl") is None:
            self.skipTest("curl is not installed")
        with run_server() as server:
            self.assertIn(ADDRESS, line)
            self.run_line(line.replace(ADDRESS, server.url))
        if "scene.png" in line:
            self.assertEqual(png_fault((self.folder / "scene.png").read_bytes()), "")

    def run_server_line(self, line: str) -> None:
        self.assertEqual(f"http://{Settings.host}:{Settings.port}", ADDRESS)
        command = [sys.executable, *line.split()[1:], "--port", "0"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT, env=dict(os.environ)
        )
        said = process.stdout.readline()  # type: ignore[union-attr]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertIn("serves on http://127.0.0.1:", said)
        self.assertEqual(process.returncode, 0)

    def run_kill_line(self, line: str) -> None:
        temporary = {"TMPDIR": str(self.folder)}  # so that it finds the run file of this server alone
        server = ServerProcess("--workers", "0", **temporary)
        self.addCleanup(server.close)
        self.run_line(f"{line} --port {server.port}", **temporary)
        self.assertEqual(server.process.wait(60), 0)

    def test_links_and_picture(self) -> None:
        """Files that README points to are there, and the picture is the quickstart's."""
        for target in re.findall(r"\]\(([^)#]+)\)", README):
            self.assertTrue((ROOT / target).is_file(), target)
        shutil.copytree(ROOT / "examples", self.folder / "examples", ignore=shutil.ignore_patterns("output", "*.png"))
        self.run_line(".venv/bin/python examples/quickstart.py")
        drawn = (self.folder / "quickstart.png").read_bytes()
        self.assertEqual(drawn[16:24], (ROOT / "examples" / "quickstart.png").read_bytes()[16:24])

    def test_rooms(self) -> None:
        """Every module of the package stands in the table of rooms, and every room there exists."""
        rooms = README.split("| room | what is there |")[1]
        named = set(re.findall(r"`([a-z_]+(?:\.py|/))`", rooms.split("\n\n")[0]))
        found = {path for path in sources() if "/" not in path and not path.startswith("_")}
        found |= {path[: -len("__init__.py")] for path in sources() if path.endswith("/__init__.py")}
        self.assertEqual(named, found)
