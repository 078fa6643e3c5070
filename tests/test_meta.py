"""What holds for the package as a whole: who imports whom, what is public, which habits its sources keep."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
import unittest
from collections.abc import Iterator
from typing import NamedTuple

import gsp_network
from gsp_network import AnimatorBase, RendererBase, ViewportEventsBase
from gsp_network.tools.vendor import sources

from .support import ROOT

HEAVY = {"numpy", "matplotlib", "PIL", "datoviz"}
# Those whose public names arrive lazily.
PACKAGES = [gsp_network, gsp_network.scene] + [
    importlib.import_module(f"gsp_network.{name}") for name in ("animator", "renderer", "viewport_events")
]


class Source(NamedTuple):
    """One module of the package: its path within it, with slashes; its text; its syntax tree."""

    name: str
    text: str
    tree: ast.Module


SOURCES = [Source(path, text, ast.parse(text)) for path, text in sources().items()]


class Import(NamedTuple):
    """One imported module: its line, how many dots before it, its name."""

    line: int
    level: int
    module: str


def imports(source: Source) -> Iterator[Import]:
    """Every import in a module, those inside functions too; ``from . import a`` is module a at level 1."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, 0, alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield Import(node.lineno, node.level, node.module)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield Import(node.lineno, node.level, alias.name)


def loaded_after(code: str) -> set:
    """The modules that a fresh interpreter has loaded after `code`."""
    program = f"{code}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT, env=environ
    )
    if done.returncode:
        raise AssertionError(done.stderr)
    return set(json.loads(done.stdout.splitlines()[-1]))


def ours(modules: set, *names: str) -> list:
    """Those of `modules` that are gsp_network's modules of these names, or inside them."""
    return sorted(
        module for module in modules if any(f"{module}.".startswith(f"gsp_network.{name}.") for name in names)
    )


class Loading(unittest.TestCase):
    def test_import_is_light(self):
        """Importing the package loads neither numpy nor any drawing library."""
        loaded = loaded_after("import gsp_network; dir(gsp_network); gsp_network.__all__; gsp_network.__version__")
        self.assertEqual(loaded & HEAVY, set())

    def test_errors_are_light(self):
        """The errors alone load nothing heavy either."""
        self.assertEqual(loaded_after("from gsp_network import InvalidScene, ServerError") & HEAVY, set())

    def test_client_without_server(self):
        """The client loads nothing of the server's and no drawing library."""
        loaded = loaded_after("from gsp_network import NetworkRenderer")
        self.assertIn("gsp_network.transport", loaded)
        self.assertEqual(
            ours(loaded, "server", "framing", "listening", "workers", "rendering", "backends", "debugging"), []
        )
        self.assertEqual(loaded & (HEAVY - {"numpy"}), set())

    def test_animator_is_light(self):
        """The animator loads no drawing library, and nothing of the server's."""
        loaded = loaded_after("from gsp_network.animator import AnimatorNetwork")
        self.assertIn("gsp_network.animator.live", loaded)
        self.assertEqual(ours(loaded, "server", "framing", "listening", "workers", "rendering", "backends"), [])
        self.assertEqual(loaded & (HEAVY - {"numpy"}), set())

    def test_server_without_client(self):
        """The server loads nothing of the client's."""
        loaded = loaded_after("import gsp_network.server")
        self.assertIn("gsp_network.framing", loaded)
        self.assertEqual(ours(loaded, "transport", "renderer", "animator", "viewport_events"), [])

    def test_codec_is_light(self):
        """Scene and codec load numpy and no other library of ours."""
        loaded = loaded_after("from gsp_network import Points, decode_scene, encode_scene")
        self.assertEqual(loaded & HEAVY, {"numpy"})
        self.assertEqual(ours(loaded, "server", "transport", "renderer", "backends", "rendering"), [])


class PublicNames(unittest.TestCase):
    def test_all(self):
        """__all__ is sorted, without doubles, and each name leads somewhere."""
        for package in PACKAGES:
            with self.subTest(package.__name__):
                self.assertEqual(package.__all__, sorted(set(package.__all__)))
                for name in package.__all__:
                    self.assertIsNotNone(getattr(package, name), name)

    def test_dir(self):
        """dir() has every public name."""
        self.assertEqual(set(gsp_network.__all__) - set(dir(gsp_network)), set())
        self.assertIn("__version__", dir(gsp_network))

    def test_names_for_type_checkers(self):
        """What type checkers and editors are told to import is exactly what arrives on first use."""
        for package in PACKAGES:
            with self.subTest(package.__name__):
                tree = ast.parse(sources()["/".join([*package.__name__.split(".")[1:], "__init__.py"])])
                (block,) = (node for node in tree.body if isinstance(node, ast.If))
                named = [(f".{item.module}", alias.asname or alias.name) for item in block.body for alias in item.names]
                told = {(module, name) for module, name in named if name != "*"}
                stars = {module for module, name in named if name == "*"}
                public = {(module, name) for module, names in package.PUBLIC.items() for name in names.split()}
                self.assertEqual(told, {(module, name) for module, name in public if module not in stars})
                self.assertLessEqual(stars, {".scene"})

    def test_star(self):
        """`from gsp_network import *` brings every public name and nothing else."""
        names: dict = {}
        exec("from gsp_network import *", names)
        self.assertEqual(set(names) - {"__builtins__"}, set(gsp_network.__all__))

    def test_named_where_defined(self):
        """Each public class and function is defined in the module that the package names for it."""
        for module, names in gsp_network.PUBLIC.items():
            for name in names.split():
                with self.subTest(name):
                    found = getattr(gsp_network, name)
                    self.assertIs(getattr(importlib.import_module(module, "gsp_network"), name), found)

    def test_documented(self):
        """Every public class and function has a docstring of its own."""
        for name in gsp_network.__all__:
            item = getattr(gsp_network, name)
            if isinstance(item, type) or hasattr(item, "__code__"):
                with self.subTest(name):
                    self.assertTrue(vars(item).get("__doc__") if isinstance(item, type) else item.__doc__)

    def test_unknown_name(self):
        """A name that there is not is an AttributeError, and an ImportError in an import."""
        with self.assertRaises(AttributeError) as caught:
            _ = gsp_network.Teapot
        self.assertEqual(str(caught.exception), "module 'gsp_network' has no attribute 'Teapot'")
        with self.assertRaises(ImportError):
            exec("from gsp_network import Teapot", {})

    def test_typed(self):
        """The package says that it is typed (PEP 561), where it is a folder."""
        if hasattr(gsp_network, "SOURCES"):
            self.skipTest("a single file has no place for py.typed")
        self.assertTrue((ROOT / "gsp_network" / "py.typed").is_file())


class Contracts(unittest.TestCase):
    def test_abstract(self):
        """The base classes of renderers, animators and viewport events cannot be instantiated."""
        for item in (RendererBase, AnimatorBase, ViewportEventsBase):
            with self.subTest(item.__name__):
                self.assertTrue(item.__abstractmethods__)
                self.assertRaises(TypeError, item)

    def test_methods(self):
        """The base classes ask for exactly the methods of their contract."""
        table = [
            (RendererBase, {"get_canvas", "render", "show", "clear", "close"}),
            (AnimatorBase, {"add_callback", "remove_callback", "event_listener", "start", "stop"}),
            (ViewportEventsBase, {"close"}),
        ]
        for item, methods in table:
            with self.subTest(item.__name__):
                self.assertEqual(item.__abstractmethods__, methods)

    def test_animator_network(self):
        """AnimatorNetwork is an AnimatorBase that lacks no method."""
        self.assertTrue(issubclass(gsp_network.AnimatorNetwork, AnimatorBase))
        self.assertEqual(gsp_network.AnimatorNetwork.__abstractmethods__, frozenset())

    def test_network_renderer(self):
        """NetworkRenderer is a RendererBase that lacks no method."""
        self.assertTrue(issubclass(gsp_network.NetworkRenderer, RendererBase))
        self.assertEqual(gsp_network.NetworkRenderer.__abstractmethods__, frozenset())


class Sources(unittest.TestCase):
    def assert_none(self, found):
        self.assertEqual(list(found), [])

    def test_there_are_sources(self):
        """The checks below read the whole package."""
        self.assertLessEqual(
            {"codec.py", "errors.py", "scene/visuals.py", "server.py"}, {item.name for item in SOURCES}
        )

    def test_relative_imports(self):
        """Inside the package, its own modules are imported relatively, so that it works under any name."""
        self.assert_none(
            f"{source.name}:{item.line}"
            for source in SOURCES
            for item in imports(source)
            if item.level == 0 and item.module.split(".")[0] == "gsp_network"
        )

    def test_relative_import_module(self):
        """Nor does importlib.import_module get the package's name as text."""
        self.assert_none(
            f"{source.name}:{node.lineno}"
            for source in SOURCES
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__"))
            for argument in node.args
            if isinstance(argument, ast.Constant) and str(argument.value).startswith("gsp_network")
        )

    def test_no_module_from_a_package(self):
        """What workers load has no ``from . import module``, at which Python also imports the packages around this one."""
        paths = {source.name for source in SOURCES}
        ours = (
            "scene/",
            "backends/",
            "codec.py",
            "errors.py",
            "loading.py",
            "logs.py",
            "png.py",
            "rendering.py",
            "settings.py",
            "worker_p",
        )
        self.assert_none(
            f"{source.name}:{node.lineno}"
            for source in SOURCES
            if source.name.startswith(ours)
            for node in ast.walk(source.tree)
            if isinstance(node, ast.ImportFrom) and node.level and not node.module
            for alias in node.names
            for folder in ["/".join(source.name.split("/")[: -node.level])]
            if {f"{folder}/{alias.name}.py".lstrip("/"), f"{folder}/{alias.name}/__init__.py".lstrip("/")} & paths
        )

    def test_scene_imports(self):
        """scene imports nothing of ours but the errors and the lazy names."""
        found = {
            item.module
            for source in SOURCES
            if source.name.startswith("scene/")
            for item in imports(source)
            if item.level > 1
        }
        self.assertEqual(found, {"errors", "_lazy"})

    def test_codec_imports(self):
        """The codec's modules import scene, errors and the limits alone, and nothing that opens files or sockets."""
        names = {"codec", "documents", "packed"}
        found = [item for source in SOURCES if source.name[:-3] in names for item in imports(source)]
        relative = {item.module.split(".")[0] for item in found if item.level}
        self.assertEqual(relative - names, {"errors", "scene", "settings"})
        self.assertEqual({item.module for item in found} & {"socket", "http", "urllib", "pathlib", "io"}, set())

    def test_drawing_libraries(self):
        """Only the backends, the link that loads files and the client's display import Matplotlib, Pillow or Datoviz."""
        self.assert_none(
            f"{source.name}:{item.line}"
            for source in SOURCES
            if not source.name.startswith(("backends/", "renderer/", "animator/", "viewport_events/"))
            and source.name != "loading.py"
            for item in imports(source)
            if item.module.split(".")[0] in ("matplotlib", "mpl_toolkits", "PIL", "datoviz")
        )

    def test_backends_are_separate(self):
        """Datoviz is imported where its frames are made, and only its backend makes use of the other one."""
        backends = {
            source.name[len("backends/") : -len(".py")] for source in SOURCES if source.name.endswith("_backend.py")
        }
        self.assertEqual(backends, {"matplotlib_backend", "datoviz_backend"})
        users = {"backends/datoviz_pictures.py", "backends/tessellation.py"}
        for source in SOURCES:
            with self.subTest(source.name):
                names = {item.module.split(".")[-1] for item in imports(source)}
                self.assertTrue("datoviz" not in names or source.name == "backends/datoviz_frames.py")
                self.assertEqual(names & backends - {"matplotlib_backend"}, set())
                self.assertTrue("matplotlib_backend" not in names or source.name in users)

    def test_dependencies(self):
        """The package imports the standard library, numpy and the drawing libraries, and nothing else."""
        if not hasattr(sys, "stdlib_module_names"):
            self.skipTest("the list of the standard library's modules came with Python 3.10")
        known = sys.stdlib_module_names | HEAVY
        self.assert_none(
            f"{source.name}:{item.line} {item.module}"
            for source in SOURCES
            for item in imports(source)
            if item.level == 0 and item.module.split(".")[0] not in known
        )

    def test_future_annotations(self):
        """Every module that holds code has postponed annotations, which Python 3.9 needs."""
        self.assert_none(
            source.name
            for source in SOURCES
            if len(source.tree.body) > 1 and "from __future__ import annotations" not in source.text.split("\n")
        )

    def test_module_docstrings(self):
        """Every module opens with a docstring."""
        self.assert_none(source.name for source in SOURCES if not ast.get_docstring(source.tree))

    def test_quotes(self):
        """No source has three single quotes, so that it can stand inside such a string."""
        self.assert_none(source.name for source in SOURCES if "'" * 3 in source.text)

    def test_no_assert(self):
        """No source has an assert statement: it would vanish under -O."""
        self.assert_none(
            f"{source.name}:{node.lineno}"
            for source in SOURCES
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Assert)
        )

    def test_print(self):
        """Only the server's command line and the tools print."""
        self.assert_none(
            f"{source.name}:{node.lineno}"
            for source in SOURCES
            if source.name != "command_line.py" and not source.name.startswith("tools/")
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Name) and node.id == "print"
        )


if __name__ == "__main__":
    unittest.main()
