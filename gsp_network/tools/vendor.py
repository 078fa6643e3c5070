"""Write the package as one readable Python file, for where nothing can be installed; or check such a file.

``python -m gsp_network.tools.vendor [-o gsp_network.py] [--only client|server|all]``
``python -m gsp_network.tools.vendor --check gsp_network.py``

The file holds each module as it stands, and a loader (`single_file`). The same sources always make the same file.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import pathlib
import re
import sys
from typing import Iterator, NamedTuple, Optional

from .. import __version__, commands
from .._lazy import path_of
from ..commands import calling
from ..debugging import write_whole
from ..errors import GspNetworkError
from .licence import LICENCE

CONTENTS = {
    "client": ("renderer", "animator", "viewport_events", "recording", "loading"),
    "server": ("server", "tools.network_server", "tools.network_server_kill", "tools.doctor"),
    "all": (),
}
"""What --only takes: the modules that are meant, which bring what they import. None for all."""

BESIDES = ("__main__", "commands", "scene")
"""What every file has."""

BY_NAME = ("backends/__init__.py", "scene/__init__.py")
"""Packages that find their modules by name, and come whole."""

LOADER = "tools/single_file.py"
QUOTES = "'" * 3  # around each module; none of them has any, which a test holds
NO_HASH = "0" * 64
HEAD = re.compile(rb"# gsp_network (\S+) in one file\b.*?--only (\w+)\n.*?# sha256 ([0-9a-f]{64}):", re.DOTALL)
HEAD_BYTES = 4096  # within which a head ends


class Facts(NamedTuple):
    """What a vendored file says of itself, and whether its content is still what that was said of."""

    version: str
    only: str
    digest: str
    pristine: bool


def sources() -> dict[str, str]:
    """Every module of this package, path -> source, `__init__.py` first; also where this is a vendored file itself."""
    held = commands.sources()
    if held is None:
        root = pathlib.Path(__file__).parent.parent
        held = {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in root.rglob("*.py")}
    return dict(sorted(held.items(), key=lambda item: (item[0] != "__init__.py", item[0])))


def vendored(only: str = "all") -> str:
    """The text of the file.

    Args:
        only: a key of CONTENTS.
    Raises:
        GspNetworkError: the sources are those of a vendored file that lacks some.
    """
    known = sources()
    if LOADER not in known:
        raise GspNetworkError("this is a vendored file with a part of the package: make others by one with --only all")
    paths = known if only == "all" else _with_imports(known, (*BESIDES, *CONTENTS[only]))
    parts = [
        f"# gsp_network {__version__} in one file, made by: python -m gsp_network.tools.vendor --only {only}\n"
        "# Each module stands in it unchanged. Whether this still is that: python -m gsp_network.tools.vendor --check FILE\n"
        f"# sha256 {NO_HASH}: of the file with zeros in place of this number.\n#\n",
        *(f"# {line}".rstrip() + "\n" for line in LICENCE.splitlines()),
        known[LOADER],
    ]
    parts += [
        f'\n\n# {"=" * 8} gsp_network/{path}\n_module("{path}", r{QUOTES}{known[path]}{QUOTES})\n' for path in paths
    ]
    parts += ['\n\nif __name__ == "__main__":\n    sys.exit(_run(globals()))\n_become_package(globals())\n']
    text = "".join(parts)
    return text.replace(NO_HASH, digest_of(text.encode("utf-8")), 1)


def digest_of(data: bytes) -> str:
    """SHA-256 (FIPS 180-4) of a vendored file, its own hash in the head taken as zeros and line ends as line feeds."""
    data = data.replace(b"\r\n", b"\n")
    head = HEAD.search(data[:HEAD_BYTES])
    if head:
        data = data[: head.start(3)] + NO_HASH.encode() + data[head.end(3) :]
    return hashlib.sha256(data).hexdigest()


def facts_of(data: bytes) -> Optional[Facts]:
    """What a vendored file tells; None where `data` is none."""
    head = HEAD.search(data.replace(b"\r\n", b"\n")[:HEAD_BYTES])
    if head is None:
        return None
    version, only, said = (text.decode("ascii", "replace") for text in head.groups())
    return Facts(version, only, said, digest_of(data) == said)


def _with_imports(known: dict[str, str], names: tuple[str, ...]) -> list[str]:
    """The paths of these modules, of those in these packages, and of all that they import."""
    found: set[str] = set()
    bases = [name.replace(".", "/") for name in names]
    wanted = ["__init__.py", *(path for path in known for base in bases if path.startswith((f"{base}.py", f"{base}/")))]
    while wanted:
        path = wanted.pop()
        if path in found:
            continue
        found.add(path)
        folder = path.rpartition("/")[0]
        if folder:
            wanted.append(f"{folder}/__init__.py")
        if path in BY_NAME:
            wanted += [other for other in known if other.startswith(f"{folder}/")]
        wanted += _imported(known, path)
    return [path for path in known if path in found]


def _imported(known: dict[str, str], path: str) -> Iterator[str]:
    """The paths of the modules that one imports relatively, in functions too, but not for type checkers alone."""
    nodes: list[ast.AST] = [ast.parse(known[path])]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        nodes.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.ImportFrom) and node.level:
            above = path.split("/")[: -node.level]
            base = ".".join(above + (node.module or "").split(".")).strip(".")
            for name in (base, *(f"{base}.{alias.name}".strip(".") for alias in node.names)):
                imported = path_of(name, known) if name else None
                if imported:
                    yield imported


def main(argv: Optional[list[str]] = None) -> int:
    """Write the file, or check one.

    Returns:
        0; with --check 1 where the file was changed or is no vendored file. 1 where it cannot be read or written.
    """
    parser = argparse.ArgumentParser(
        prog=calling("vendor"),
        description="Write gsp_network as one readable Python file, to be copied where nothing can be installed.",
    )
    parser.add_argument(
        "-o", "--output", type=pathlib.Path, default=pathlib.Path("gsp_network.py"), help="default: gsp_network.py"
    )
    parser.add_argument("--only", choices=CONTENTS, default="all", help="the half that is wanted (default: all)")
    parser.add_argument("--check", type=pathlib.Path, metavar="FILE", help="tell whether FILE is as it was made")
    args = parser.parse_args(argv)
    try:
        return _check(args.check) if args.check else _write(args.output, args.only)
    except (GspNetworkError, OSError) as exc:
        print(f"vendor: {exc}", file=sys.stderr)
        return 1


def _write(path: pathlib.Path, only: str) -> int:
    if path.exists():
        old = facts_of(path.read_bytes()) if path.is_file() else None
        if old is None or not old.pristine:
            state = "no vendored file" if old is None else "was changed since it was made"
            raise GspNetworkError(f"{path} is there and {state}: choose another with -o, or remove it")
    data = vendored(only).encode("utf-8")
    write_whole(path, data)
    facts = facts_of(data)
    print(f"wrote {path}: gsp_network {__version__}, --only {only}, sha256 {facts.digest if facts else '?'}")
    return 0


def _check(path: pathlib.Path) -> int:
    data = path.read_bytes()
    facts = facts_of(data)
    if facts is None:
        print(f"{path} is no vendored gsp_network")
        return 1
    state = "as it was made" if facts.pristine else "CHANGED since it was made"
    print(f"{path}: gsp_network {facts.version}, --only {facts.only}, {state}, sha256 {facts.digest}")
    if facts.pristine and facts.version == __version__ and facts.only in CONTENTS:
        same = vendored(facts.only).encode("utf-8") == data.replace(b"\r\n", b"\n")
        print(
            "the same as this gsp_network makes"
            if same
            else "not the same as this gsp_network makes, of that version too"
        )
    return 0 if facts.pristine else 1


if __name__ == "__main__":
    sys.exit(main())
