"""``python -m gsp_network.server``: options, the line that says that it is ready, signals, the end."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import sys
import threading
from typing import Any, Optional

from . import __version__
from .commands import calling
from .debugging import DebugFolder
from .errors import GspNetworkError
from .logs import configure
from .memory import keep_memory
from .server import RenderServer
from .settings import add_arguments, environment_variable

logger = logging.getLogger(__name__)

PARENT_SECONDS = 0.5  # how often the parent is looked for with --exit-with-parent


def default_workers() -> int:
    """One worker a CPU that this process may use, at most 4."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(4, usable)


def main(argv: Optional[list[str]] = None) -> int:
    """Serve until Ctrl-C or SIGTERM.

    Returns:
        0 after a stop by signal, 2 where it could not start.
    """
    parent = os.getppid()
    parser = argparse.ArgumentParser(prog=calling("serve"), description="Draw scenes sent by HTTP POST and answer PNG.")
    add_arguments(parser)
    parser.add_argument("--version", action="version", version=f"gsp_network {__version__}")
    arguments = vars(parser.parse_args(argv))
    if arguments["workers"] is None and environment_variable("workers") not in os.environ:
        arguments["workers"] = default_workers()
    try:
        server = RenderServer(**arguments)
        configure(server.settings.log_level, server.settings.log_format)
        if server.settings.debug:
            server.on_render = DebugFolder(server.settings.debug_dir, server.settings.debug_files)
        return serve(server, parent if server.settings.exit_with_parent else None)
    except GspNetworkError as exc:
        print(f"gsp_network: {exc}", file=sys.stderr)
        return 2


def serve(server: RenderServer, parent: Optional[int] = None) -> int:
    """Serve until SIGINT, SIGTERM or POST /shutdown, from the main thread; a second signal stops at once.

    Args:
        server: it is started here, and closed.
        parent: process id of the parent at the start, to stop when it has ended; None to go on without it.
    Returns:
        The exit status, 0.
    """
    if not server.settings.workers:  # this process draws
        keep_memory()
    stop = threading.Event()
    server.end_process = stop.set
    names = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in names}

    def on_signal(number: int, frame: object) -> None:
        for name in names:
            signal.signal(name, signal.SIG_DFL)
        stop.set()

    for number in names:
        signal.signal(number, on_signal)
    try:
        with server:
            server.warm_up()
            _say_ready(server)
            while not stop.wait(1.0 if parent is None else PARENT_SECONDS):
                if parent is not None and os.getppid() != parent:
                    logger.info("the process that started this server has ended")
                    break
            tell_systemd("STOPPING=1")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _say_ready(server: RenderServer) -> None:
    """The one place where a token that was made is shown, once."""
    made = server.access.made
    if server.settings.ready_json:
        facts: dict[str, Any] = {"url": server.url, "pid": os.getpid(), "version": __version__}
        print(json.dumps(facts if made is None else {**facts, "token": made}), flush=True)
    else:
        print(f"gsp_network {__version__} serves on {server.url} (Ctrl-C stops it)", flush=True)
        if made is not None:
            print(f"token, made for this run (clients take it from GSP_NETWORK_TOKEN): {made}", flush=True)
    tell_systemd("READY=1")


def tell_systemd(state: str) -> None:
    """Tell the service manager, where it started this process and asks for that (sd_notify(3), Type=notify)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address or not hasattr(socket, "AF_UNIX"):
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.connect("\0" + address[1:] if address.startswith("@") else address)
            manager.sendall(state.encode("ascii"))
    except OSError as exc:
        logger.warning("the service manager cannot be told %s: %s", state, exc.strerror)
