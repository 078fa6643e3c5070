"""Render a saved request again: ``python -m gsp_network.tools.replay FILE.json [-o out.png] [--server URL]``."""

from __future__ import annotations

import argparse
import pathlib
import sys
from typing import Optional

from ..debugging import write_whole
from ..errors import GspNetworkError
from ..rendering import render_payload
from ..transport import Transport, picture_of


def main(argv: Optional[list[str]] = None) -> int:
    """Render the request in a file, in this process or on a server, and write the picture.

    Returns:
        0, or 1 where there is no picture; the reason goes to standard error.
    """
    parser = argparse.ArgumentParser(
        prog="python -m gsp_network.tools.replay", description="Render a request that a server saved with --debug."
    )
    parser.add_argument("file", type=pathlib.Path, help="the request's body, a .json file")
    parser.add_argument("-o", "--output", type=pathlib.Path, help="where the picture goes (default: FILE with .png)")
    parser.add_argument("--server", metavar="URL", help="render on this server (default: in this process)")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for the server (default 60)")
    args = parser.parse_args(argv)
    output: pathlib.Path = args.output or args.file.with_suffix(".png")
    try:
        body = args.file.read_bytes()
        picture = _render_on(args.server, body, args.timeout) if args.server else render_payload(body)
        write_whole(output, picture)
    except (GspNetworkError, OSError) as exc:
        print(f"replay: {exc}", file=sys.stderr)
        return 1
    print(f"wrote {output}")
    return 0


def _render_on(url: str, body: bytes, timeout: float) -> bytes:
    transport = Transport(url, timeout)
    try:
        return picture_of(transport.post("/render", body, {"Content-Type": "application/json"}), url)
    finally:
        transport.close()


if __name__ == "__main__":
    sys.exit(main())
