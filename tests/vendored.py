"""Run the suite against the vendored single file: ``python -m tests.vendored [--tree FOLDER | arguments of unittest]``.

The tests run in a copy of the tree in which ``gsp_network.py`` stands in place of the folder ``gsp_network/``.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from typing import Optional

from gsp_network.tools.vendor import vendored

from .support import ROOT, SHARED

NOT_COPIED = ("gsp_network", "gsp_network.egg-info", ".git", ".venv", "build", "dist", "__pycache__")


def make_tree(folder: pathlib.Path) -> None:
    """Fill `folder` with a copy of the tree that has the file in place of the package."""
    for path in ROOT.iterdir():
        if path.is_dir() and path.name not in NOT_COPIED:
            shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.is_file():
            shutil.copy2(path, folder)
    (folder / "gsp_network.py").write_text(vendored(), encoding="utf-8")


def main(argv: Optional[list[str]] = None) -> int:
    """Run unittest there, or with ``--tree FOLDER`` make the copy only; the exit status."""
    arguments = (sys.argv[1:] if argv is None else argv) or ["discover", "-s", "tests", "-t", "."]
    if arguments[0] == "--tree":
        make_tree(pathlib.Path(arguments[1]))
        return 0
    with tempfile.TemporaryDirectory() as name:
        make_tree(pathlib.Path(name))
        environ = {**os.environ, "GSP_VENDORED": "1", "GSP_SHARED": str(SHARED or "")}
        command = [sys.executable, *(f"-W{option}" for option in sys.warnoptions), "-m", "unittest", *arguments]
        return subprocess.run(command, cwd=name, env=environ).returncode


if __name__ == "__main__":
    sys.exit(main())
