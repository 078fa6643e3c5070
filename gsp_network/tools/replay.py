"""Render a saved request again: ``python -m gsp_network.tools.replay FILE.json [-o out.png] [--server URL]``.

A server's token is taken from the environment variable GSP_NETWORK_TOKEN; command lines are no place for secrets.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from typing import Optional

from ..debugging import write_whole
from ..errors import GspNetworkError
from ..rendering import render_payload
from ..transport import TOKEN_VARIABLE, Transport, environment_token, picture_of


def main(argv: Optional[list[str]] = None) -> int:
    """Render the request in a file, in this process or on a server, and write the picture.

    Returns:
        0, or 1 where there is no picture; the reason goes to standard error.
    """
    parser = argparse.ArgumentParser(
        prog="python -m gsp_network.tools.replay",
        description="Render a request that a server saved with --debug.",
        epilog=f"The server's token, where it wants one, is read from the environment variable {TOKEN_VARIABLE}.",
    )
    parser.add_argument("file", type=pathlib.Path, help="the request's body, a .json file")
    parser.add_argument("-o", "--output", type=pathlib.Path, help="where the picture goes (default: FILE with .png)")
    parser.add_argument("--server", metavar="URL", help="render on this server (default: in this process)")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for the server (default 60)")
    parser.add_argument("--cafile", type=pathlib.Path, metavar="FILE", help="PEM file to trust for an https server")
    args = parser.parse_args(argv)
    if args.cafile and not args.server:
        parser.error("--cafile needs --server")
    output: pathlib.Path = args.output or args.file.with_suffix(".png")
    try:
        body = args.file.read_bytes()
        picture = _render_on(args.server, body, args.timeout, args.cafile) if args.server else render_payload(body)
        write_whole(output, picture)
    except (GspNetworkError, OSError) as exc:
        print(f"replay: {exc}", file=sys.stderr)
        return 1
    print(f"wrote {output}")
    return 0


def _render_on(url: str, body: bytes, timeout: float, cafile: Optional[pathlib.Path]) -> bytes:
    transport = Transport(url, timeout, token=environment_token(), cafile=cafile)
    try:
        return picture_of(transport.post("/render", body, {"Content-Type": "application/json"}), url)
    finally:
        transport.close()


if __name__ == "__main__":
    sys.exit(main())
