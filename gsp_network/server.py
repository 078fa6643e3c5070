"""The server: HTTP in, one render call, a picture or a problem document out.

    POST /render   a scene, as JSON or packed -> its picture as PNG
    GET /health    what this server is and can do, as JSON; to who shows no token where one is needed, that it is there
    GET /metrics   counts and times, as Prometheus reads them
    GET /          the same for a person
    POST /shutdown the end, for who shows what stands in this server's run file

Every answer carries X-Request-Id and Server-Timing; every error is application/problem+json (RFC 9457). This module frames
bytes and keeps count; it parses no scene and draws nothing: that happens in the executor.

Run it with ``python -m gsp_network.server``, or embed it: ``with RenderServer(port=0) as server: ... server.url``.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import logging
import os
import secrets
import sys
import threading
import time
from concurrent.futures import Executor
from contextvars import ContextVar
from typing import Any, Callable, Optional

from . import __version__, run_files
from .access_log import log_exchange
from .admission import Access, Room
from .calls import request_id
from .dispatch import Dispatch
from .errors import AccessDenied, GspNetworkError, MissingBuffers, RequestRefused, ServerStartError
from .framing import Exchange, Request, Response, problem
from .head import Head
from .listening import LAST_SECONDS, TURN_SECONDS, HttpServer, listen, tls_context
from .metrics import CONTENT_TYPE, Metrics
from .page import page
from .pools import DATOVIZ, MATPLOTLIB, Pools
from .run_files import RunFile
from .settings import (
    FALLBACK_HEADER,
    JSON_KIND,
    PACKED_KIND,
    PACKED_MAGIC,
    REFS_HEADER,
    REFS_KIND,
    RENDERER_ALIASES,
    RENDERER_HEADER,
    RENDERER_NAMES,
    Settings,
    default_renderer_name,
    is_loopback,
)
from .store import Given
from .store_folder import ServerStore

logger = logging.getLogger(__name__)

PROTOCOL = "GSP scene over HTTP 1"
RENEW_SECONDS = 3600.0  # how often the run file is; systemd-tmpfiles deletes what has not changed for 10 days
current_request: ContextVar[Request] = ContextVar("current_request")
"""The request being served, in the thread that serves it."""

OnRender = Callable[[bytes, bytes], None]


class RenderServer:
    """A server to embed: it installs no signal handler and no logging, and starts no process unless it is told to by `workers`.

    Args:
        port: 0 picks a free one; None takes GSP_NETWORK_PORT, else 5000.
        executor: runs `workers.render`; any `concurrent.futures.Executor`, which stays the caller's to shut down. None: `workers`
            processes of the server's own and, for Datoviz, `datoviz_workers` more or, where `workers` is 0, a thread of its own.
        on_render: called with each request's body and its picture, in the thread that serves it; what it raises is logged. For
            it each body is JSON and holds its whole scene: clients are offered nothing else then.
        settings: any other row of the settings table, by name; what is not given is taken from the environment.
    Attributes:
        access: who may ask; `access.made` is the token that was made because the address needs one and none was given.
        instance: a random word for this server, which its run file and GET /health have.
        end_process: what POST /shutdown calls where this process is the server's own. None: a program embeds it, and only
            the server is closed.
    Raises:
        SettingError: a setting that does not exist or is out of range.
        ServerStartError: tokens, certificates, folders or modules that cannot be used.
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
        self.settings = prepared(Settings.from_environment(port=port, **settings))
        self.default_renderer = default_renderer_name()
        self.on_render = on_render
        self.access = Access(self.settings)
        self.metrics = Metrics()
        self._pools = Pools(self.settings, self.default_renderer, executor)
        self.room = Room(self.settings.max_inflight_bytes, self._pools.places())
        self._dispatch = Dispatch(self.settings, self.default_renderer, self._pools, self.room)
        self._tls = tls_context(self.settings)
        self.instance = secrets.token_hex(8)
        self._foreign = executor is not None
        self._store = ServerStore(self.settings, self.instance, not self._foreign)
        self.end_process: Optional[Callable[[], None]] = None
        self.run_file: Optional[RunFile] = None
        self._renewed = 0.0
        self._http: Optional[HttpServer] = None
        self._accepting: Optional[threading.Thread] = None
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._closed = False

    # -- life

    def start(self) -> RenderServer:
        """Listen and serve in threads of its own; workers start too. Returns self.

        Raises:
            ServerStartError: the port is taken, the address is not this machine's, or the server was closed.
        """
        with self._lock:
            if self._closed:
                raise ServerStartError("this server was closed; make a new one")
            if self._http is not None:
                return self
            http = listen(self, self._tls)
            address, port = http.server_address[:2]
            self.run_file = run_files.write(
                self.instance, str(address), port, self._tls is not None, self.end_process is not None
            )
            self._renewed = time.monotonic()
            accepting = threading.Thread(
                target=http.serve_forever,
                kwargs={"poll_interval": TURN_SECONDS},
                name="gsp-network-accept",
                daemon=True,
            )
            try:
                self._store.open()
                self._pools.start()
                accepting.start()
            except BaseException as exc:
                http.server_close()
                self._remove_run_file()
                self._store.close()
                self._pools.shutdown()
                self._pools.join(LAST_SECONDS)
                if isinstance(exc, RuntimeError):
                    raise ServerStartError(f"no thread to be had: {exc}") from exc
                raise
            self._http, self._accepting = http, accepting
        if not is_loopback(self.settings.host) and self._tls is None:
            logger.warning(
                "listening on %s without TLS: tokens and scenes can be read on the way; see --certfile",
                self.settings.host,
            )
        return self

    def close(self, timeout: Optional[float] = None) -> bool:
        """Stop: refuse new work, let requests under way finish, end every thread and worker. A second time does nothing.

        Args:
            timeout: seconds to wait for requests under way; None takes the setting close_timeout.
        Returns:
            Whether nothing is left. False only while a hook, or a draw in this process, is still running, which is also logged;
            such a thread is a daemon.
        """
        deadline = time.monotonic() + (self.settings.close_timeout if timeout is None else timeout)
        with self._lock:
            self._closed = self._dispatch.closing = True
            http = self._http
        left = []
        if http is not None:
            http.shutdown()
            http.server_close()
            self._remove_run_file()  # the port is free, whatever is still being drawn
            http.finish(deadline)
            self._dispatch.cut_off()
            if not http.abort():
                left.append("a request that its hook or its client holds up")
        if self._accepting is not None:
            self._accepting.join()
        self._pools.shutdown()
        if not self._pools.join(max(deadline - time.monotonic(), LAST_SECONDS)):
            left.append("a picture that is still being drawn")
        self._store.close()
        if left:
            logger.warning("closed but for %s: its thread does not keep the program alive", " and ".join(left))
        return not left

    def turn(self) -> None:
        """Called now and then by the accepting thread: what is cleaned up when it has not changed for days is renewed."""
        self._store.turn()
        if self.run_file is not None and time.monotonic() - self._renewed > RENEW_SECONDS:
            self._renewed = time.monotonic()
            self.run_file.renew()

    def _remove_run_file(self) -> None:
        if self.run_file is not None:
            self.run_file.remove()

    def __enter__(self) -> RenderServer:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.close()

    def warm_up(self) -> None:
        """Have the default renderer loaded now where this process draws; workers do so by themselves."""
        self._pools.warm_up()

    @property
    def port(self) -> int:
        """The port listened on, or the one asked for before `start`."""
        return self._http.server_address[1] if self._http is not None else self.settings.port

    @property
    def url(self) -> str:
        """The base URL for clients on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.settings.host, self.settings.host)
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def closing(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    # -- answers

    def check_own(self, head: Head, is_near: bool) -> None:
        """Refuse who may not stop this server, by AccessDenied: who is elsewhere, or cannot read its run file."""
        if not is_near:
            raise AccessDenied(403, "not_here", f"{head.path}: taken from this machine alone")
        if self.run_file is None or not self.run_file.opens(head.fields.get("Authorization")):
            raise AccessDenied(401, "token", "Authorization: expected Bearer and the secret of this server's run file")

    def check_room(self, head: Head) -> None:
        """Refuse a scene for which there is no place, as far as its head tells, by ServerBusy."""
        name = head.fields.get(RENDERER_HEADER) or MATPLOTLIB
        self.room.check(RENDERER_ALIASES.get(name, name))

    def answer(self, request: Request) -> Response:
        """The answer to a request, errors included; sets `current_request` meanwhile."""
        response = self._answer(request)
        if request.path == "/render" and self._kept() is not None:
            return response._replace(headers={**response.headers, REFS_HEADER: REFS_KIND})
        return response

    @property
    def kinds(self) -> tuple[str, ...]:
        """The media types of scenes that are taken: JSON alone with a hook, or an executor whose version nobody knows."""
        return (JSON_KIND,) if self.on_render is not None or self._foreign else (JSON_KIND, PACKED_KIND)

    def _kept(self) -> Given:
        """Where scenes find the buffers that they name; None where they have to hold all, as they do for a hook."""
        return None if self.on_render is not None else self._store.given()

    def _answer(self, request: Request) -> Response:
        token, id_token = current_request.set(request), request_id.set(request.id)
        try:
            return self._route(request)
        except GspNetworkError as exc:
            return problem(exc.with_traceback(None), request.id)
        except BaseException:
            logger.exception("request %s: a fault of this server", request.id)
            return problem(
                GspNetworkError("a fault of this server; its log has the details under this request id"), request.id
            )
        finally:
            current_request.reset(token)
            request_id.reset(id_token)

    def _route(self, request: Request) -> Response:
        if request.path == "/render":
            with self.room.for_render():
                return self.render(request)
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        if request.path == "/health":
            health = self.health() if request.trusted else {"status": "ok"}
            return Response(200, headers, json.dumps(health, indent=1).encode() + b"\n")
        if request.path == "/shutdown":
            self._shut_down()
            return Response(202, headers, b'{"status": "closing"}\n')
        if request.path == "/metrics":
            return Response(200, {**headers, "Content-Type": CONTENT_TYPE}, self._metrics_text().encode("utf-8"))
        policy = "default-src 'none'; style-src 'unsafe-inline'"
        headers.update({"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy})
        return Response(200, headers, page(self.health(), self.url).encode("utf-8"))

    def _shut_down(self) -> None:
        logger.info("asked to stop by POST /shutdown")
        if self.end_process is not None:
            self.end_process()
        else:
            threading.Thread(target=self.close, name="gsp-network-close", daemon=True).start()

    def render(self, request: Request) -> Response:
        """The answer to POST /render: the picture, or a GspNetworkError raised. Override it to render in another way, and `kinds`
        with it where that reads JSON alone: `request.body` may be packed.
        """
        hook = self.on_render
        if hook is not None and request.body.startswith(PACKED_MAGIC):  # it came while the body was on its way
            raise RequestRefused(415, "not_json", f"body: of {PACKED_KIND}, expected {JSON_KIND}")
        began = time.perf_counter()
        drawn = self._dispatch.draw(request.body, request.headers.get(RENDERER_HEADER), self._kept())
        drawing = drawn.decode_s + drawn.draw_s + drawn.encode_s
        queued = max(time.perf_counter() - began - drawing, 0.0)
        self.metrics.add("renders", label=drawn.renderer)
        self.metrics.add("store_hits", drawn.hits)
        self.metrics.observe("queue_seconds", queued)
        self.metrics.observe("render_seconds", drawing)
        if hook is not None:
            try:
                hook(request.body, drawn.picture)
            except Exception:
                logger.exception("request %s: on_render failed", request.id)
        phases = {"queue": queued, "decode": drawn.decode_s, "draw": drawn.draw_s, "encode": drawn.encode_s}
        timing = ", ".join(f"{name};dur={1000 * seconds:.1f}" for name, seconds in phases.items())
        headers = {"Content-Type": "image/png", "Server-Timing": timing, RENDERER_HEADER: drawn.renderer}
        if drawn.instead_of is not None:
            self.metrics.add("fallbacks")
            headers[FALLBACK_HEADER] = drawn.renderer
        return Response(200, headers, drawn.picture)

    def draw(self, body: bytes, header_renderer: Optional[str] = None) -> bytes:
        """Draw a scene in the executor and wait for the picture.

        Raises:
            GspNetworkError: whatever `render_payload` raises; ServerBusy when the server closes meanwhile or the draw has not
                begun within the setting queue_timeout; RenderTimeout when it has not ended in time; WorkerCrashed.
        """
        return bytes(self._dispatch.draw(body, header_renderer, self._kept()).picture)

    # -- what it tells of itself

    def finished(self, exchange: Exchange) -> None:
        """Enter an answer into metrics and access log; called by its connection before it is sent."""
        response = exchange.response
        self.metrics.add("requests", label=str(response.status))
        self.metrics.add("received_bytes", exchange.received)
        self.metrics.add("sent_bytes", len(response.body))
        error = response.error
        if error is not None and error.limit is not None:
            self.metrics.add("limits_hit", label=error.limit)
        if isinstance(error, MissingBuffers):
            self.metrics.add("store_misses", len(error.missing or ()))
        log_exchange(exchange)

    def workers(self) -> dict[str, Any]:
        """Worker processes by state, and how many were replaced, by reason; empty where there are none."""
        return self._pools.workers()

    @property
    def counts(self) -> dict[str, int]:
        """Requests answered, pictures drawn, and answers of 400 and more."""
        requests, errors = self.metrics.total("requests"), self.metrics.total("requests", "400")
        return {"requests": requests, "pictures": self.metrics.total("renders"), "errors": errors}

    def health(self) -> dict[str, Any]:
        """What GET /health answers to who may know."""
        broken = any(map(self._pools.is_broken, {MATPLOTLIB, self.default_renderer}))
        return {
            "status": "no workers" if broken else "ok",
            "server": "gsp_network",
            "version": __version__,
            "protocol": PROTOCOL,
            "instance": self.instance,
            "pid": os.getpid(),
            "default_renderer": self.default_renderer,
            "renderers": {name: self._pools.health(name) for name in RENDERER_NAMES},
            "uptime_s": round(time.monotonic() - self._started, 3),
            "counts": self.counts,
            "workers": self.workers(),
            "store": self._store_health(),
        }

    def _store_health(self) -> dict[str, Any]:
        if self.on_render is not None:
            return {"available": False, "reason": "what on_render or --debug is called with holds its whole scene"}
        told = self._store.health()
        return {
            **told,
            **{name: self.metrics.total(f"store_{name}") for name in ("hits", "misses") if told["available"]},
        }

    def _metrics_text(self) -> str:
        workers = self.workers()
        restarts = workers.pop("restarts", {})
        datoviz_workers = self._pools.workers(DATOVIZ)
        datoviz_restarts = datoviz_workers.pop("restarts", {})
        store = self._store_health()
        buffers, size, most = (
            {"": store[name]} if name in store else {} for name in ("buffers", "bytes", "most_bytes")
        )
        gauges = {
            "workers": ("state", "Worker processes, by state.", workers),
            "datoviz_workers": ("state", "Those of them that draw with Datoviz, by state.", datoviz_workers),
            "connections": ("", "Connections that are open.", {"": self._http.connections if self._http else 0}),
            "inflight_bytes": ("", "Bytes of bodies of requests under way.", {"": self.room.bytes}),
            "renders_under_way": ("", "Renders that run or wait.", {"": self.room.renders}),
            "store_buffers": ("", "Buffers that are kept.", buffers),
            "store_bytes": ("", "Bytes that kept buffers take.", size),
            "store_most_bytes": ("", "Bytes that kept buffers may take.", most),
            "uptime_seconds": ("", "Time since the server was made.", {"": round(time.monotonic() - self._started, 3)}),
        }
        counters = {
            "worker_restarts": ("reason", "Workers that were replaced, by reason.", restarts),
            "datoviz_worker_restarts": ("reason", "Those of them that drew with Datoviz, by reason.", datoviz_restarts),
        }
        return self.metrics.text(gauges, counters)


def prepared(settings: Settings) -> Settings:
    """The settings with what they name looked at: folders and places to load from, modules to import.

    Raises:
        ServerStartError, SettingError: something is not there.
    """
    for name in settings.imports:
        try:
            found = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            found = None
        if found is None:
            raise ServerStartError(f"--import {name}: there is no module of that name")
    if not settings.allow_load:
        return settings
    from .loading import check_places  # it needs numpy

    return dataclasses.replace(settings, allow_load=check_places(settings.allow_load))


def main(argv: Optional[list[str]] = None) -> int:
    """``python -m gsp_network.server``; see `command_line.main`."""
    from .command_line import main as run

    return run(argv)


if __name__ == "__main__":
    sys.exit(main())
