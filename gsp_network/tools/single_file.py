"""The loader of a vendored single file: `vendor` puts this module, as it stands, at the head of the file.

The file becomes a package under whatever name it is imported by. Each of its modules is compiled at its first import with the
line numbers that it has in the file, so that tracebacks and debuggers point there.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any, Optional

SOURCES: dict[str, str] = {}
_lines: dict[str, int] = {}


def _module(path: str, source: str) -> None:
    SOURCES[path], _lines[path] = source, sys._getframe(1).f_lineno


class _Loader:
    def __init__(self, package: str, file: str) -> None:
        self.package, self.file = package, file

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        found = self._path(name)
        loader: Any = self
        return ModuleSpec(name, loader, origin=self.file, is_package=found.endswith("__init__.py")) if found else None

    def _path(self, name: str) -> str:
        path = name[len(self.package) :].replace(".", "/") if f"{name}.".startswith(f"{self.package}.") else " "
        return next((found for found in (f"{path}.py"[1:], f"{path}/__init__.py"[1:]) if found in SOURCES), "")

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = self.file
        exec(self.get_code(module.__name__), vars(module))

    def get_source(self, name: str) -> str:
        return "\n" * (_lines[self._path(name)] - 1) + SOURCES[self._path(name)]

    def get_code(self, name: str) -> CodeType:
        return compile(self.get_source(name), self.file, "exec", dont_inherit=True)


def _become_package(names: dict[str, Any]) -> None:
    """Have the module whose names these are find its modules here, and run its ``__init__.py``."""
    name, spec = names["__name__"], names.get("__spec__")
    if spec is None or vars(sys.modules.get(name, os)) is not names:
        raise ImportError(f"{names.get('__file__')}: import this file by a name that is in sys.modules, or run it")
    names.update(SOURCES=SOURCES, __path__=[], __package__=name, __file__=os.path.abspath(names["__file__"]))
    spec.submodule_search_locations = names["__path__"]
    finder: Any = _Loader(name, names["__file__"])
    sys.meta_path[:] = [finder, *(known for known in sys.meta_path if getattr(known, "package", None) != name)]
    exec(finder.get_code(name), names)


def _run(names: dict[str, Any]) -> int:
    """Run a command line, by a package with a name of its own, which its workers use too."""
    spec, stem = names.get("__spec__"), os.path.splitext(os.path.basename(names["__file__"]))[0]
    free = [name for name in (spec and spec.name, stem) if name and name not in sys.modules]
    name = free[0] if free and free[0].replace(".", "_").isidentifier() else "gsp_network"
    package = sys.modules[name] = ModuleType(name)
    package.__file__, package.__spec__ = names["__file__"], ModuleSpec(name, None, is_package=True)
    _become_package(vars(package))
    return int(importlib.import_module(f"{name}.__main__").main())
