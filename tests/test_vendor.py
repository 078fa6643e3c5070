"""The vendored single file: what it holds, where it works, and how it is told from a changed one."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap
import unittest
import zipfile
from typing import Any

import gsp_network
from gsp_network import __version__
from gsp_network.png import png_fault
from gsp_network.tools import vendor
from gsp_network.tools.vendor import CONTENTS, Facts, facts_of, main, sources, vendored
from gsp_network.transport import Transport

from .processes import all_at_once
from .scenes import body_of, points, run_server
from .support import ROOT

ENVIRON = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}


def run_python(*arguments: Any, **more: Any) -> subprocess.CompletedProcess:
    """Run this interpreter to its end, the package not on its path."""
    command = [sys.executable, *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=ENVIRON, **more)


def run_main(*arguments: Any) -> tuple[int, str]:
    """The tool's exit status, and all that it printed."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        return main([str(argument) for argument in arguments]), said.getvalue()


class FileTestCase(unittest.TestCase):
    folder: pathlib.Path
    file: pathlib.Path

    @classmethod
    def setUpClass(cls) -> None:
        holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(holder.cleanup)
        cls.folder = pathlib.Path(holder.name).resolve()
        cls.file = cls.folder / "gsp_network.py"
        cls.file.write_text(vendored(), encoding="utf-8")


class TestContent(unittest.TestCase):
    def test_what_is_tested(self) -> None:
        """The suite runs against the vendored file where it was told so by GSP_VENDORED, else against the package beside it."""
        expected = ROOT / "gsp_network.py" if os.environ.get("GSP_VENDORED") else ROOT / "gsp_network" / "__init__.py"
        self.assertEqual(pathlib.Path(str(gsp_network.__file__)), expected)

    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)

    def test_modules_unchanged(self) -> None:
        """Each module stands in the file as it is, headed by its path, in a raw string."""
        text = vendored()
        for path, source in sources().items():
            with self.subTest(path):
                quotes = "'" * 3
                self.assertEqual(
                    text.count(f'# ======== gsp_network/{path}\n_module("{path}", r{quotes}{source}{quotes})\n'), 1
                )

    def test_head(self) -> None:
        """The head tells the version, the options, the hash and the licence, and nothing of when or where."""
        head = vendored("client").split('"""')[0]
        self.assertIn(
            f"# gsp_network {__version__} in one file, made by: python -m gsp_network.tools.vendor --only client\n",
            head,
        )
        self.assertRegex(head, r"\n# sha256 [0-9a-f]{64}: ")
        for line in (ROOT / "LICENSE").read_text(encoding="utf-8").splitlines():
            self.assertIn(f"# {line}".rstrip() + "\n", head)
        self.assertNotIn(str(ROOT), vendored())

    def test_short_loader(self) -> None:
        """The loader is short enough to be read."""
        lines = sources()[vendor.LOADER].splitlines()
        self.assertLess(len([line for line in lines if line.strip()]), 55)

    def test_parts(self) -> None:
        """With --only, the file holds one half and what that imports, and is smaller."""
        held = {only: set(re.findall(r"(?m)^# ======== gsp_network/(.*)$", vendored(only))) for only in CONTENTS}
        self.assertEqual(held["all"], set(sources()))
        for only, names in CONTENTS.items():
            for name in names:
                base = name.replace(".", "/")
                meant = {path for path in sources() if path == f"{base}.py" or path.startswith(f"{base}/")}
                self.assertTrue(meant, name)
                self.assertLessEqual(meant, held[only])
        self.assertEqual(
            {path for path in held["client"] if path.startswith(("server", "workers", "backends", "tools"))}, set()
        )
        self.assertLessEqual({"server.py", "workers.py", "backends/datoviz_backend.py"}, held["server"])
        self.assertEqual(
            {path for path in held["server"] if path.startswith(("renderer/", "animator/animator", "viewport_"))}, set()
        )

    def test_check(self) -> None:
        """--check tells a file that is as it was made, also with other line ends, from a changed one and from any other."""
        file = self.folder / "gsp.py"
        status, said = run_main("-o", file, "--only", "server")
        facts = facts_of(file.read_bytes())
        digest = facts.digest if facts else ""
        self.assertEqual((status, facts), (0, Facts(__version__, "server", digest, True)))
        self.assertIn(digest, said)
        made = file.read_bytes()
        word = f"gsp_network {__version__}, --only server"
        for data, wanted, expected in (
            (made, 0, f"{word}, as it was made, sha256 {digest}\nthe same as this gsp_network makes\n"),
            (
                made.replace(b"\n", b"\r\n"),
                0,
                f"{word}, as it was made, sha256 {digest}\nthe same as this gsp_network makes\n",
            ),
            (
                made.replace(b"return None", b"return  None", 1),
                1,
                f"{word}, CHANGED since it was made, sha256 {digest}\n",
            ),
            (made.replace(b"--only server", b"--only client", 1), 1, "--only client, CHANGED since it was made"),
            (made + b"\n", 1, "CHANGED"),
            (b"# fmt: off\n" + made, 1, "CHANGED"),
            (b"\xef\xbb\xbf" + made, 1, "CHANGED"),
            (b"print('hello')\n", 1, "is no vendored gsp_network"),
            (b"", 1, "is no vendored gsp_network"),
        ):
            with self.subTest(expected):
                file.write_bytes(data)
                status, said = run_main("--check", file)
                self.assertEqual(status, wanted)
                self.assertIn(expected, said)

    def test_other_version(self) -> None:
        """A file of another version is told by its own version, without a word about this one's."""
        other = vendored("client").replace(f"gsp_network {__version__} in", "gsp_network 9.9 in", 1).encode()
        said = re.search(rb"sha256 ([0-9a-f]{64})", other)
        other = other.replace(said[1] if said else b"", vendor.digest_of(other).encode(), 1)
        (self.folder / "other.py").write_bytes(other)
        status, text = run_main("--check", self.folder / "other.py")
        self.assertEqual(status, 0)
        self.assertRegex(text, r"^.*: gsp_network 9\.9, --only client, as it was made, sha256 [0-9a-f]{64}\n$")

    def test_strangers_are_left_alone(self) -> None:
        """A file that is there and no vendored one is not written over; one that is, is; nothing is left of a failure."""
        file = self.folder / "gsp_network.py"
        file.write_text("my own work")
        status, said = run_main("-o", file)
        self.assertEqual((status, file.read_text()), (1, "my own work"))
        self.assertIn("is there and no vendored file: choose another with -o, or remove it", said)
        file.write_text(vendored("client"), encoding="utf-8")
        self.assertEqual(run_main("-o", file)[0], 0)
        self.assertEqual(file.read_text(encoding="utf-8"), vendored())
        file.write_text(vendored().replace("return None", "return  None"), encoding="utf-8")
        status, said = run_main("-o", file, "--only", "client")
        self.assertEqual((status, "return  None" in file.read_text(encoding="utf-8")), (1, True))
        self.assertIn("is there and was changed since it was made: choose another with -o, or remove it", said)
        self.assertIn("is there and no vendored file", run_main("-o", os.devnull)[1])
        status, said = run_main("-o", self.folder / "none" / "gsp_network.py")
        self.assertEqual((status, os.listdir(self.folder)), (1, ["gsp_network.py"]))
        self.assertIn("No such file or directory", said)


class TestFile(FileTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        for package in ("lab", "lab/_vendor"):
            (cls.folder / package).mkdir()
        (cls.folder / "lab" / "__init__.py").write_text("print('lab is imported')\n")
        (cls.folder / "lab" / "_vendor" / "__init__.py").write_text("")
        (cls.folder / "lab" / "_vendor" / "pictures.py").write_text(vendored(), encoding="utf-8")
        decoy = cls.folder / "site" / "gsp_network"
        decoy.mkdir(parents=True)
        (decoy / "__init__.py").write_text("__version__ = '0.0.decoy'\n")
        (decoy / "server.py").write_text("raise RuntimeError('the other one')\n")

    def test_makes_itself(self) -> None:
        """The file makes the same file again, and checks it."""
        done = run_python("gsp_network.py", "vendor", "-o", "again.py", cwd=self.folder)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual((self.folder / "again.py").read_bytes(), self.file.read_bytes())
        done = run_python("again.py", "vendor", "--check", "gsp_network.py", cwd=self.folder)
        self.assertRegex(done.stdout, r"as it was made, sha256 [0-9a-f]{64}\nthe same as this gsp_network makes\n$")

    def test_nested_and_renamed(self) -> None:
        """In another package, under another name, beside an installed gsp_network of another version, it serves and draws.

        Its workers start from the same file, and import nothing of the program's.
        """
        program = """
            import sys
            import gsp_network
            from lab._vendor import pictures
            from lab._vendor.pictures import Buffer, Camera, Canvas, NetworkRenderer, Points, RenderServer, Viewport
            from lab._vendor.pictures.scene.units import points_to_pixels
            import numpy as np

            with RenderServer(port=0, workers=1) as server, NetworkRenderer(Canvas(30, 20), server.url) as renderer:
                one = Points(np.zeros((1, 3)), [200.0], np.full((1, 4), 255, "u1"), np.full((1, 4), 255, "u1"), [0.0])
                png = renderer.render([Viewport(0, 0, 30, 20)], [one], [Buffer.identity()], [Camera()])
                print(png[1:4], server.health()["renderers"]["matplotlib"]["workers"])
            print(gsp_network.__version__, pictures.__version__, RenderServer.__module__, pictures.__name__)
            print(sorted(name for name in sys.modules if name.startswith("gsp_network")))
        """
        path = f"import sys; sys.path[:0] = [{str(self.folder / 'site')!r}, {str(self.folder)!r}]\n"
        done = run_python("-c", path + textwrap.dedent(program), cwd=self.folder / "site")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        first, drawn, names, others = done.stdout.splitlines()
        self.assertEqual(first, "lab is imported")
        self.assertTrue(drawn.startswith("b'PNG' "), drawn)
        self.assertEqual(names, f"0.0.decoy {__version__} lab._vendor.pictures.server lab._vendor.pictures")
        self.assertEqual(others, "['gsp_network']")

    def test_lines(self) -> None:
        """Tracebacks and inspect show a module's lines where they stand in the file."""
        program = """
            import inspect, traceback
            import gsp_network
            from gsp_network.codec import decode_scene
            from gsp_network.head import parse_head
            print(inspect.getsource(decode_scene).splitlines()[0])
            try:
                decode_scene(b"[")
            except gsp_network.MalformedBody as exc:
                for frame in traceback.extract_tb(exc.__traceback__):
                    print(frame.filename, frame.lineno, frame.line, sep="|")
        """
        done = run_python("-c", textwrap.dedent(program), cwd=self.folder)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        head, _, *frames = done.stdout.splitlines()
        self.assertTrue(head.startswith("def decode_scene("), head)
        self.assertTrue(frames)
        lines = self.file.read_text(encoding="utf-8").splitlines()
        for frame in frames:
            file, number, line = frame.split("|", 2)
            self.assertEqual((file, lines[int(number) - 1].strip()), (str(self.file), line))
        self.assertIn(frames[-1].split("|", 2)[2], sources()["documents.py"])

    def test_command_lines(self) -> None:
        """`python FILE COMMAND` and `-m` run the command lines, whatever the file's name, and tell how to call them."""
        odd = self.folder / "gsp-network 1.txt"
        odd.write_bytes(self.file.read_bytes())
        (self.folder / "half.py").write_text(vendored("server"), encoding="utf-8")
        with contextlib.ExitStack() as stack:
            started = {}
            for name, command in {
                "file": [str(odd), "serve", "--workers", "1"],
                "module": ["-m", "lab._vendor.pictures", "serve", "--workers", "0"],
                "half": ["-m", "half.server", "--workers", "0"],
            }.items():
                process = subprocess.Popen(
                    [sys.executable, *command, "--port", "0", "--ready-json"],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    cwd=self.folder,
                    env=ENVIRON,
                )
                stack.callback(process.communicate)
                stack.callback(process.terminate)
                started[name] = process
            for name, process in started.items():
                with self.subTest(name):
                    lines = iter(process.stdout.readline, "")  # type: ignore[union-attr]
                    url = json.loads(next(line for line in lines if line.startswith("{")))["url"]
                    transport = Transport(url)
                    self.addCleanup(transport.close)
                    answer = transport.post("/render", body_of(points((0, 0, 0))), {"Content-Type": "application/json"})
                    self.assertEqual((answer.status, png_fault(answer.body)), (200, ""))
        done = run_python(odd.name, "serve", "--help", cwd=self.folder)
        self.assertIn("usage: python 'gsp-network 1.txt' serve ", done.stdout)

    def test_other_ways_to_run(self) -> None:
        """It runs under a debugger and a profiler, as the main module of a folder or an archive, and in no directory."""
        (self.folder / "app").mkdir()
        (self.folder / "app" / "__main__.py").write_bytes(self.file.read_bytes())
        with zipfile.ZipFile(self.folder / "app.pyz", "w") as archive:
            archive.write(self.file, "__main__.py")
        ways: list[list[Any]] = [
            ["-m", "pdb", "-c", "continue", "-c", "quit", self.file],
            ["-m", "cProfile", self.file],
            [self.folder / "app"],
            [self.folder / "app.pyz"],
        ]
        for words, done in zip(ways, all_at_once(lambda words: run_python(*words, "reference", cwd=self.folder), ways)):
            with self.subTest(words[1:2]):
                self.assertIn("\n| Canvas | `width` |", done.stdout)
                self.assertEqual(done.stderr, "")
        (self.folder / "gone").mkdir()
        command = ["sh", "-c", 'rmdir ../gone && exec "$@"', "sh", sys.executable, str(self.file), "serve", "--version"]
        gone = subprocess.run(
            command, capture_output=True, text=True, timeout=60, cwd=self.folder / "gone", env=ENVIRON
        )
        self.assertEqual((gone.stdout, gone.stderr), (f"gsp_network {__version__}\n", ""))

    def test_not_a_module(self) -> None:
        """What runs the file's code under a name that nobody can import is told so."""
        done = run_python("-c", "import runpy, sys; runpy.run_path(sys.argv[1])", self.file)
        self.assertIn(
            f"ImportError: {self.file}: import this file by a name that is in sys.modules, or run it", done.stderr
        )


class TestParts(FileTestCase):
    def test_transport_alone(self) -> None:
        """The transport needs the standard library alone: it posts where there is no numpy."""
        program = """
            import sys
            sys.path.insert(0, sys.argv[1])
            from gsp_network.png import png_fault
            from gsp_network.transport import Transport
            transport = Transport(sys.argv[2])
            answer = transport.post("/render", open(sys.argv[3], "rb").read(), {"Content-Type": "application/json"})
            transport.close()
            print(answer.status, repr(png_fault(answer.body)), "numpy" in sys.modules, "http.server" in sys.modules)
        """
        (self.folder / "scene.json").write_bytes(body_of(points((0, 0, 0))))
        with run_server() as server:
            arguments = (self.folder, server.url, self.folder / "scene.json")
            done = run_python("-I", "-S", "-c", textwrap.dedent(program), *arguments)
        self.assertEqual((done.returncode, done.stderr, done.stdout), (0, "", "200 '' False False\n"))

    def test_client_alone(self) -> None:
        """A client's file renders on a server; it has no name of the server's, and says so to who asks for one."""
        program = """
            import sys
            import gsp_client
            from gsp_client import *
            import numpy as np

            one = Points(np.zeros((1, 3)), [200.0], np.full((1, 4), 255, "u1"), np.full((1, 4), 255, "u1"), [0.0])
            with NetworkRenderer(Canvas(30, 20), sys.argv[1]) as renderer:
                print(renderer.render([Viewport(0, 0, 30, 20)], [one], [Buffer.identity()], [Camera()])[1:4])
            print("RenderServer" in gsp_client.__all__, "RenderServer" in dir(gsp_client), "NetworkRenderer" in dir(gsp_client))
            try:
                from gsp_client import RenderServer
            except ImportError as exc:
                print(exc)
        """
        (self.folder / "gsp_client.py").write_text(vendored("client"), encoding="utf-8")
        with run_server() as server:
            done = run_python("-c", textwrap.dedent(program), server.url, cwd=self.folder)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        file = self.folder / "gsp_client.py"
        said = f"RenderServer is not in {file}: a file made with --only all has it"
        self.assertEqual(done.stdout.splitlines(), ["b'PNG'", "False False True", said])

    def test_halves_are_whole(self) -> None:
        """Every module of each half can be imported, both halves in one process; what neither has is simply not found."""
        program = """
            import importlib, importlib.util
            import gsp_client, gsp_server
            for package in gsp_client, gsp_server:
                for path in package.SOURCES:
                    wanted = importlib.util.find_spec("datoviz") or not path.startswith("backends/datoviz")
                    if wanted and path not in ("__init__.py", "__main__.py"):
                        name = path[: -len(".py")].replace("/__init__", "").replace("/", ".")
                        importlib.import_module(f"{package.__name__}.{name}")
                print(importlib.util.find_spec(f"{package.__name__}.nothing"), package.Points.__module__)
            from gsp_client import AnimatorNetwork, ViewportEventsNetwork
        """
        for half in ("client", "server"):
            (self.folder / f"gsp_{half}.py").write_text(vendored(half), encoding="utf-8")
        done = run_python("-c", textwrap.dedent(program), cwd=self.folder)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, "None gsp_client.scene.visuals\nNone gsp_server.scene.visuals\n")
        done = run_python("gsp_client.py", "serve", cwd=self.folder)
        self.assertIn("there is no command in this file, which was made with --only client", done.stderr)

    def test_example(self) -> None:
        """The program in examples/vendored draws with the file beside it, which its workers use too."""
        program = ROOT / "examples" / "vendored" / "picture.py"
        (self.folder / "picture.py").write_bytes(program.read_bytes())
        done = run_python(self.folder / "picture.py")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(png_fault((self.folder / "picture.png").read_bytes()), "")
        lines = program.read_text(encoding="utf-8").splitlines()
        self.assertLessEqual(len(lines), 30)


if __name__ == "__main__":
    unittest.main()
