"""The reference tables of README, made from the code: ``python -m gsp_network.tools.reference``."""

from __future__ import annotations

import argparse
import sys
from enum import Enum
from typing import Optional

from ..commands import calling
from ..scene.buffers import BufferType
from ..scene.objects import Camera, Canvas, Field, SceneObject, Texture, Viewport
from ..scene.visuals import VISUALS
from ..settings import markdown_table

WORDS = {"strings": "list of str", "string": "str", "extent": "4 floats", "groups": "Groups"}


def scene_table() -> str:
    """One row a field of every scene object, in the order of the constructors."""
    lines = ["| object | field | type | meaning |", "|---|---|---|---|"]
    objects: list[type[SceneObject]] = [Canvas, Viewport, Camera, Texture, *VISUALS.values()]
    for known in objects:
        for number, field in enumerate(known.FIELDS):
            lines.append(
                f"| {known.__name__ if number == 0 else ''} | `{field.name}` | {_type_of(field)} | {field.doc} |"
            )
    return "\n".join(lines)


def _type_of(field: Field) -> str:
    if isinstance(field.type, BufferType):
        return str(field.type.name)
    if isinstance(field.type, type):
        name: str = field.type.__name__
        return f"{name}: {', '.join(field.type.__members__)}" if issubclass(field.type, Enum) else name
    return WORDS.get(field.type, str(field.type))


def main(argv: Optional[list[str]] = None) -> int:
    """Print both tables; 0."""
    argparse.ArgumentParser(prog=calling("reference"), description=__doc__).parse_args(argv)
    print(scene_table(), markdown_table(), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
