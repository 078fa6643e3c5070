"""Public names that arrive on first use (PEP 562), so that importing a package loads nothing heavy."""

from __future__ import annotations

import importlib
from typing import Any, Callable, Optional


def lazy_names(
    package: str, modules: dict[str, str], namespace: dict[str, Any]
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__all__``, ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: its ``__name__``.
        modules: relative module -> the public names that it defines, separated by spaces.
        namespace: its ``globals()``, where a name stays once it has arrived.
    """
    where = {name: module for module, names in modules.items() for name in names.split()}
    held = namespace.get("SOURCES")  # of a vendored single file, which may lack some
    there = [name for name in where if held is None or path_of(where[name][1:], held)]

    def find(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if name not in there:
            raise ModuleNotFoundError(f"{name} is not in {namespace['__file__']}: a file made with --only all has it")
        value = namespace[name] = getattr(importlib.import_module(where[name], package), name)
        return value

    return sorted(there), find, lambda: sorted({*namespace, *there})


def path_of(module: str, held: dict[str, str]) -> Optional[str]:
    """The path in `held`, path -> source, of the module or package of a dotted name; None where it is not there."""
    path = module.replace(".", "/")
    return next((found for found in (f"{path}.py", f"{path}/__init__.py") if found in held), None)
