"""The loader of a vendored single file: `vendor` puts this module, as it stands, at the head of the file.

The file becomes a package under whatever name it is imported by. Each of its modules is compiled at its first import with the
line numbers that it has in the file, so that tracebacks and debuggers point there.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from types import CodeType, ModuleType
from typing import Any, Optional

SOURCES: dict[str, str] = {}
_lines: dict[str, int] = {}


def _module(path: str, source: str) -> None:
    SOURCES[path], _lines[path] = source, sys._getframe(1).f_lineno


class _Loader:
    def __init__(self, package: str, file: str) -> None:
        self.package, self.file = package, file

    def _path(self, name: str) -> str:
        path = name[len(self.package) + 1 :].replace(".", "/")
        found = [known for known in (f"{path}.py", f"{path}/__init__.py".lstrip("/")) if known in SOURCES]
        if not found:
            raise ModuleNotFoundError(f"no {name} in {self.file}: it may lack what --only left out", name=name)
        return found[0]

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[importlib.machinery.ModuleSpec]:
        if not name.startswith(f"{self.package}."):
            return None
        is_package = self.is_package(name)
        spec = importlib.machinery.ModuleSpec(name, self, origin=self.file, is_package=is_package)  # type: ignore[arg-type]
        spec.has_location = True
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self.get_code(module.__name__), vars(module))

    def is_package(self, name: str) -> bool:
        return self._path(name).endswith("__init__.py")

    def get_source(self, name: str) -> str:
        return SOURCES[self._path(name)]

    def get_code(self, name: str) -> CodeType:
        above = "\n" * (_lines[self._path(name)] - 1)
        return compile(above + self.get_source(name), self.file, "exec", dont_inherit=True)


def _become_package(names: dict[str, Any]) -> None:
    """Have the module whose names these are find its modules here, and run its ``__init__.py``."""
    loader = _Loader(names["__name__"], os.path.abspath(names["__file__"]))
    names["__path__"] = names["__spec__"].submodule_search_locations = []
    names["__package__"] = loader.package
    others = [known for known in sys.meta_path if getattr(known, "package", None) != loader.package]
    sys.meta_path[:] = [loader, *others]  # type: ignore[list-item]
    exec(loader.get_code(loader.package), names)


def _run(file: str, spec: Optional[importlib.machinery.ModuleSpec]) -> int:
    """Run a command line, by this file imported under a name of its own, which its workers use too."""
    stem = os.path.splitext(os.path.basename(file))[0]
    name = spec.name if spec else stem if stem.isidentifier() else "gsp_network"
    loader = importlib.machinery.SourceFileLoader(name, os.path.abspath(file))
    found: Any = importlib.util.spec_from_file_location(name, loader.path, loader=loader)
    sys.modules[name] = module = importlib.util.module_from_spec(found)
    loader.exec_module(module)
    return int(importlib.import_module(f"{name}.__main__").main())
