"""The server by the names of the API reference: `ServerSample`, `render_scene_json` and the debug switches.

``python -m gsp_network.tools.network_server [-d]`` serves port 5000; ``python -m gsp_network.server`` can do more.
"""

from __future__ import annotations

import argparse
import logging
import sys
import threading
from typing import Optional

from ..command_line import serve
from ..debugging import DebugFolder
from ..errors import GspNetworkError
from ..framing import Request, Response, problem
from ..rendering import render_payload
from ..server import RenderServer, current_request
from ..settings import Settings

debug_save_payload: bool = False
"""Whether a ServerSample saves each request and its picture in ``./network_server_debug``; read at each request."""

debug_save_serial: int = 0
"""The number under which the last request was saved."""

_saving = threading.Lock()


def text_cyan(text: str) -> str:
    """`text` in cyan on a terminal (ECMA-48 SGR 36)."""
    return f"\033[36m{text}\033[0m"


def render_scene_json(body: Optional[bytes] = None) -> Response:
    """Render a request's body.

    Args:
        body: a scene as JSON. None: the body of the request being served, in the thread that serves it.
    Returns:
        Status 200 with the PNG, or an error as a problem document.
    Raises:
        GspNetworkError: `body` is None and no request is being served.
    """
    request = current_request.get(None)
    if body is None and request is None:
        raise GspNetworkError("render_scene_json: no request is being served here; give it the body of one")
    try:
        if request is not None and body is None:
            return RenderServer.render(request.server, request)
        return Response(200, {"Content-Type": "image/png"}, render_payload(body or b""))
    except GspNetworkError as exc:
        return problem(exc, request.id if request is not None else "none")


def _save(body: bytes, picture: bytes) -> None:
    global debug_save_serial
    if debug_save_payload:
        with _saving:
            debug_save_serial += 1
            serial = debug_save_serial
        DebugFolder(Settings.debug_dir, Settings.debug_files).save(serial, body, picture)


class _SampleServer(RenderServer):
    def render(self, request: Request) -> Response:
        self.on_render = _save if debug_save_payload else None  # with a hook bodies are whole, which takes longer
        return render_scene_json()


class ServerSample:
    """A server on port 5000 of this machine."""

    def run(self) -> None:
        """Serve until Ctrl-C or SIGTERM; from the main thread.

        Raises:
            ServerStartError: the port is in use.
        """
        serve(_SampleServer(5000))


def main(argv: Optional[list[str]] = None) -> int:
    """The command line; 0 after a stop by signal, 2 where it could not start."""
    global debug_save_payload
    parser = argparse.ArgumentParser(
        prog="python -m gsp_network.tools.network_server", description="Serve scenes on port 5000 of this machine."
    )
    parser.add_argument(
        "-d", "--debug", action="store_true", help="save each request and its picture in ./network_server_debug"
    )
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format=text_cyan("%(asctime)s") + " %(message)s")
    debug_save_payload = debug_save_payload or args.debug
    try:
        ServerSample().run()
    except GspNetworkError as exc:
        print(f"network_server: {exc}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
