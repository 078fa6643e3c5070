"""``python -m gsp_network COMMAND ...``; of a vendored single file, ``python gsp_network.py COMMAND ...``."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any, Optional

from . import __version__
from .commands import COMMANDS, is_here, program


def main(argv: Optional[list[str]] = None) -> int:
    """Run the command that the first argument names; its exit status, 2 where there is none of that name."""
    here = {name: command for name, command in COMMANDS.items() if is_here(name)}
    parser = argparse.ArgumentParser(
        prog=program(),
        description="Render scientific scenes somewhere else.",
        epilog="commands:\n" + "\n".join(f"  {name:10} {command.help}" for name, command in here.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gsp_network {__version__}")
    if not here:
        parser.parse_known_args(argv)
        parser.error("there is no command in this file, which was made with --only client")
    parser.add_argument("command", choices=here, metavar="command", help="one of those below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its own; --help tells")
    args = parser.parse_args(argv)
    module: Any = importlib.import_module(f".{here[args.command].module}", __package__)
    return int(module.main(args.arguments))


if __name__ == "__main__":
    sys.exit(main())
