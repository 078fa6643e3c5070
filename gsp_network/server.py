"""The server: HTTP in, one render call, a picture or a problem document out.

    POST /render   a scene as JSON -> its picture as PNG
    GET /health    what this server is and can do, as JSON
    GET /          the same for a person

Every answer carries X-Request-Id; every error is application/problem+json (RFC 9457). This module frames bytes and keeps
count; it parses no scene and draws nothing: that happens in the executor.

Run it with ``python -m gsp_network.server``, or embed it: ``with RenderServer(port=0) as server: ... server.url``.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import errno
import html
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from concurrent.futures import Executor, Future
from contextvars import ContextVar
from typing import Any, Callable, Optional

from . import __version__, backends
from .codec import RENDERER_HEADER, RENDERER_NAMES, default_renderer_name
from .debugging import DebugFolder
from .errors import GspNetworkError, RequestRefused, ServerBusy, ServerStartError
from .framing import LAST_SECONDS, HttpServer, Request, Response, problem
from .rendering import render_payload
from .settings import Settings, add_arguments, is_loopback
from .workers import RenderThread

logger = logging.getLogger(__name__)

PROTOCOL = "GSP scene over HTTP 1"
current_request: ContextVar[Request] = ContextVar("current_request")
"""The request being served, in the thread that serves it."""

OnRender = Callable[[bytes, bytes], None]


class RenderServer:
    """A server to embed: it installs no signal handler and no logging, and starts no process.

    Args:
        port: 0 picks a free one; None takes GSP_NETWORK_PORT, else 5000.
        executor: runs `render_payload`; any `concurrent.futures.Executor`, which stays the caller's to shut down. None: a
            thread of the server's own.
        on_render: called with each request's body and its picture, in the thread that serves it; what it raises is logged.
        settings: any other row of the settings table, by name; what is not given is taken from the environment.
    Raises:
        SettingError: a setting that does not exist or is out of range.
        InvalidScene: GSP_REMOTE_RENDERER names no renderer.
    """

    def __init__(
        self,
        port: Optional[int] = None,
        *,
        executor: Optional[Executor] = None,
        on_render: Optional[OnRender] = None,
        **settings: Any,
    ) -> None:
        self.settings = Settings.from_environment(port=port, **settings)
        self.default_renderer = default_renderer_name()
        self.on_render = on_render
        self._own_thread = RenderThread() if executor is None else None
        self._executor: Executor = executor if self._own_thread is None else self._own_thread  # type: ignore[assignment]
        self._http: Optional[HttpServer] = None
        self._accepting: Optional[threading.Thread] = None
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._closed = False
        self._waiting: set[threading.Event] = set()
        self.counts = {"requests": 0, "pictures": 0, "errors": 0}

    # -- life

    def start(self) -> RenderServer:
        """Listen and serve in threads of its own; returns self.

        Raises:
            ServerStartError: the port is taken, the address is not this machine's, or the server was closed.
        """
        with self._lock:
            if self._closed:
                raise ServerStartError("this server was closed; make a new one")
            if self._http is not None:
                return self
            self._http = _listen(self)
            self._accepting = threading.Thread(
                target=self._http.serve_forever, kwargs={"poll_interval": 0.1}, name="gsp-network-accept", daemon=True
            )
            self._accepting.start()
        if not is_loopback(self.settings.host):
            logger.warning("listening on %s: whoever reaches this address can use the server", self.settings.host)
        return self

    def close(self, timeout: Optional[float] = None) -> bool:
        """Stop: refuse new work, let requests under way finish, end every thread. A second time does nothing.

        Args:
            timeout: seconds to wait for requests under way; None takes the setting close_timeout.
        Returns:
            Whether no thread is left. False only while a draw or a hook is still running, which is also logged; such a
            thread is a daemon.
        """
        deadline = time.monotonic() + (self.settings.close_timeout if timeout is None else timeout)
        with self._lock:
            self._closed = True
            http = self._http
        left = []
        if http is not None:
            http.shutdown()
            http.server_close()
            http.finish(deadline)
            with self._lock:
                for woken in self._waiting:  # these requests are answered 503, whatever their draw does
                    woken.set()
            if not http.abort():
                left.append("a request that its hook or its client holds up")
        if self._accepting is not None:
            self._accepting.join()
        if self._own_thread is not None:
            self._own_thread.shutdown(wait=False, cancel_futures=True)
            if not self._own_thread.join(max(deadline - time.monotonic(), LAST_SECONDS)):
                left.append("a picture that is still being drawn")
        if left:
            logger.warning("closed but for %s: its thread does not keep the program alive", " and ".join(left))
        return not left

    def __enter__(self) -> RenderServer:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.close()

    def warm_up(self) -> None:
        """Have the default renderer loaded in the executor now, so that the first picture does not wait for that."""
        self._executor.submit(backends.backend, self.default_renderer)

    @property
    def port(self) -> int:
        """The port listened on, or the one asked for before `start`."""
        return self._http.server_address[1] if self._http is not None else self.settings.port

    @property
    def url(self) -> str:
        """The base URL for clients on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.settings.host, self.settings.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def closing(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    # -- answers

    def answer(self, request: Request) -> Response:
        """The answer to a request, errors included; sets `current_request` meanwhile."""
        token = current_request.set(request)
        try:
            return self._route(request)
        except GspNetworkError as exc:
            return problem(exc, request.id)
        except BaseException:
            logger.exception("request %s: a fault of this server", request.id)
            return problem(
                GspNetworkError("a fault of this server; its log has the details under this request id"), request.id
            )
        finally:
            current_request.reset(token)

    def _route(self, request: Request) -> Response:
        if request.path == "/render":
            return self.render(request)
        if request.path == "/health":
            return Response(
                200,
                {"Content-Type": "application/json", "Cache-Control": "no-store"},
                json.dumps(self.health(), indent=1).encode() + b"\n",
            )
        page = _page(self).encode("utf-8")
        policy = "default-src 'none'; style-src 'unsafe-inline'"
        return Response(
            200,
            {
                "Content-Type": "text/html; charset=utf-8",
                "Content-Security-Policy": policy,
                "Cache-Control": "no-store",
            },
            page,
        )

    def render(self, request: Request) -> Response:
        """The answer to POST /render: the picture, or a GspNetworkError raised. Override it to render in another way."""
        picture = self.draw(request.body, request.headers.get(RENDERER_HEADER))
        if self.on_render is not None:
            try:
                self.on_render(request.body, picture)
            except Exception:
                logger.exception("request %s: on_render failed", request.id)
        return Response(200, {"Content-Type": "image/png"}, picture)

    def draw(self, body: bytes, header_renderer: Optional[str] = None) -> bytes:
        """Run `render_payload` in the executor and wait for the picture.

        Raises:
            GspNetworkError: whatever `render_payload` raises; ServerBusy when the server closes meanwhile or the draw
                has not begun within the setting render_timeout; RequestRefused (504) when it has not ended.
        """
        future: Future[bytes] = self._executor.submit(
            render_payload, body, header_renderer, self.default_renderer, self.settings
        )
        woken = threading.Event()
        future.add_done_callback(lambda _: woken.set())
        with self._lock:
            self._waiting.add(woken)
        try:
            woken.wait(self.settings.render_timeout)
            if future.done():
                return future.result()
            begun = not future.cancel()
            if self.closing:
                raise ServerBusy("the server is shutting down")
            late = f"no picture within {self.settings.render_timeout} s (setting render_timeout)"
            if begun:
                raise RequestRefused(504, "render_timeout", late, "render_timeout")
            raise ServerBusy(f"{late}: others were drawn meanwhile")
        except concurrent.futures.CancelledError:
            raise ServerBusy("the server is shutting down") from None
        finally:
            with self._lock:
                self._waiting.discard(woken)
            del future  # it holds its error, whose traceback holds this frame: a ring that keeps the body in memory

    def count(self, name: str) -> None:
        """Add one to a count of `health`."""
        with self._lock:
            self.counts[name] += 1

    def health(self) -> dict[str, Any]:
        """What GET /health answers."""
        renderers = {}
        for name in RENDERER_NAMES:
            reason = backends.why_not(name)
            renderers[name] = (
                {"available": False, "reason": reason}
                if reason
                else {"available": True, "version": backends.version(name)}
            )
        with self._lock:
            counts = dict(self.counts)
        return {
            "status": "ok",
            "server": "gsp_network",
            "version": __version__,
            "protocol": PROTOCOL,
            "pid": os.getpid(),
            "default_renderer": self.default_renderer,
            "renderers": renderers,
            "uptime_s": round(time.monotonic() - self._started, 3),
            "counts": counts,
        }


def _listen(server: RenderServer) -> HttpServer:
    host, port = server.settings.host, server.settings.port
    try:
        return HttpServer(server, host, port)
    except OverflowError:
        raise ServerStartError(f"port {port}: no such port, expected 0 to 65535") from None
    except socket.gaierror as exc:
        raise ServerStartError(f"host {host}: {exc.strerror}; use 127.0.0.1 for this machine alone") from exc
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            hint = (
                " (on macOS, AirPlay Receiver holds port 5000: System Settings, AirDrop & Handoff)"
                if sys.platform == "darwin"
                else ""
            )
            raise ServerStartError(
                f"port {port} on {host} is in use{hint}: stop what holds it, or choose another with --port, 0 for a free one"
            ) from exc
        if exc.errno == errno.EACCES:
            raise ServerStartError(
                f"port {port} on {host} is not for this user: choose one above 1023 with --port"
            ) from exc
        raise ServerStartError(
            f"cannot listen on {host} port {port}: {exc.strerror}; use --host 127.0.0.1 for this machine alone"
        ) from exc


def _page(server: RenderServer) -> str:
    """GET /: what this is, how to use it, how it does."""
    health = server.health()
    renderers = "".join(
        f"<li><b>{html.escape(name)}</b>: {html.escape(facts.get('version') or facts['reason'])}</li>"
        for name, facts in health["renderers"].items()
    )
    counts = ", ".join(f"{number} {html.escape(name)}" for name, number in health["counts"].items())
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>gsp_network</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem }}
pre {{ background: #f3f3f3; padding: 1rem; overflow: auto }}
</style>
<h1>gsp_network {html.escape(__version__)}</h1>
<p>This server draws scientific scenes. It takes a scene as JSON by <code>POST /render</code> and answers its picture as PNG.</p>
<pre>from gsp_network import NetworkRenderer, Canvas

renderer = NetworkRenderer(Canvas(800, 600), "{html.escape(server.url)}")
png = renderer.render(viewports, visuals, model_matrices, cameras)</pre>
<h2>State</h2>
<ul>{renderers}<li>up for {health["uptime_s"]:.0f} s: {counts}</li></ul>
<p>The same for programs: <a href="/health">/health</a>.</p></html>
"""


# ---------------------------------------------------------------- command line


def main(argv: Optional[list[str]] = None) -> int:
    """``python -m gsp_network.server``: serve until Ctrl-C or SIGTERM.

    Returns:
        0 after a stop by signal, 2 where it could not start.
    """
    parser = argparse.ArgumentParser(
        prog="python -m gsp_network.server", description="Draw scenes sent by HTTP POST and answer PNG."
    )
    add_arguments(parser)
    parser.add_argument("--version", action="version", version=f"gsp_network {__version__}")
    try:
        server = RenderServer(**vars(parser.parse_args(argv)))
        logging.basicConfig(
            level=server.settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        if server.settings.debug:
            server.on_render = DebugFolder(server.settings.debug_dir, server.settings.debug_files)
        return serve(server)
    except GspNetworkError as exc:
        print(f"gsp_network: {exc}", file=sys.stderr)
        return 2


def serve(server: RenderServer) -> int:
    """Serve until SIGINT or SIGTERM, from the main thread; a second signal stops at once. Returns the exit status, 0."""
    stop = threading.Event()
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
            if server.settings.ready_json:
                print(json.dumps({"url": server.url, "pid": os.getpid(), "version": __version__}), flush=True)
            else:
                print(f"gsp_network {__version__} serves on {server.url} (Ctrl-C stops it)", flush=True)
            while not stop.wait(1.0):
                pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


if __name__ == "__main__":
    sys.exit(main())
