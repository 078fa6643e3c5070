"""The origin's half of `python -m tests.benchmarks --origin PYTHON SRC`: its server and its client, on demand.

That PYTHON runs this file, with SRC on its path. It needs the standard library and GSP_API, and nothing of ours; where GSP_API
is not what PLACES says, the answer tells what was looked for. A request is a line of JSON on standard input, its answer a line
on standard output; ``{"error": ...}`` where it failed:

    {"do": "serve"}                                      {"url": ...}
    {"do": "connect", "url": ...}                        {}             the server that scenes go to
    {"do": "load", "name": ..., "path": ...}             {}             a request's body in a file, by a name
    {"do": "render", "name": ...}                        {"ms": ..., "bytes": ...}
    {"do": "repeat", "name": ..., "seconds": ...}        {"count": ..., "seconds": ...}

At the end of standard input it ends, and its server with it.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any, Callable, Optional

PLACES = ("gsp.core", "gsp.visuals", "gsp.types", "gsp.{snake}", "gsp.core.{snake}", "gsp.visuals.{snake}")
PLACES += ("gsp.types.{snake}", "gsp", "gsp_network")
"""Where a scene's classes are looked for, in this order; {snake} is the class's name as a module."""

RENDERERS = ("gsp_network.renderer.network_renderer", "gsp_network.renderer")
SERVERS = ("gsp_network.tools.network_server",)

BUFFER = "buffer"
VISUALS: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "points": (
        "Points",
        (
            ("positions", BUFFER),
            ("sizes", BUFFER),
            ("face_colors", BUFFER),
            ("edge_colors", BUFFER),
            ("edge_widths", BUFFER),
        ),
    ),
    "pixels": ("Pixels", (("positions", BUFFER), ("colors", BUFFER), ("groups", ""))),
    "segments": (
        "Segments",
        (("positions", BUFFER), ("line_widths", BUFFER), ("cap_style", "CapStyle"), ("colors", BUFFER)),
    ),
    "paths": (
        "Paths",
        (
            ("positions", BUFFER),
            ("path_sizes", BUFFER),
            ("colors", BUFFER),
            ("line_widths", BUFFER),
            ("cap_style", "CapStyle"),
            ("join_style", "JoinStyle"),
        ),
    ),
    "texts": (
        "Texts",
        (
            ("positions", BUFFER),
            ("texts", ""),
            ("colors", BUFFER),
            ("font_sizes", BUFFER),
            ("anchors", BUFFER),
            ("angles", BUFFER),
            ("font_name", ""),
        ),
    ),
    "image": (
        "Image",
        (
            ("texture", "texture"),
            ("position", BUFFER),
            ("image_extent", ""),
            ("interpolation", "ImageInterpolation"),
        ),
    ),
}
"""By its name on the wire: a visual's class, and what its constructor takes in order: the name on the wire, and the kind, which
is a buffer, a texture, an enumeration by its name, or a value as it is."""

NAMES = ("Canvas", "Viewport", "Camera", "Buffer", "BufferType", "Texture")
NAMES += (*(name for name, _ in VISUALS.values()), "CapStyle", "JoinStyle", "ImageInterpolation")
"""The classes that scenes are made of."""

START_SECONDS, END_SECONDS = 60.0, 10.0
DEFAULT_PORT = 5000


class OriginMissing(Exception):
    """A name that GSP_API is expected to have was found nowhere."""


def find(name: str, places: tuple[str, ...] = PLACES) -> Any:
    """A class of the origin's by its name."""
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    looked: dict[str, list[str]] = {}
    for place in places:
        module = place.format(snake=snake)
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as exc:
            looked.setdefault(str(exc), []).append(module)
    reasons = (f"{reason} ({', '.join(modules)})" for reason, modules in looked.items())
    raise OriginMissing(f"no {name}: {'; '.join(reasons)}")


def buffer_of(document: dict[str, Any]) -> Any:
    """The origin's Buffer, of a TRANSBUF on the wire."""
    told = document["transBuf"]
    buffer = find("Buffer")(told["count"], find("BufferType")[told["buffer_type"]])
    buffer.set_data(bytearray(base64.b64decode(told["data_base64"])), 0, told["count"])
    return buffer


def value_of(kind: str, value: Any) -> Any:
    """What a constructor takes for a value on the wire."""
    if kind == BUFFER:
        return buffer_of(value)
    if kind == "texture":
        return find("Texture")(buffer_of(value["data"]), value["width"], value["height"])
    return find(kind)[value] if kind else value


def visual_of(document: dict[str, Any]) -> Any:
    """The origin's visual."""
    name, fields = VISUALS[document["type"]]
    return find(name)(*(value_of(kind, document["visual"][field]) for field, kind in fields))


class Loaded:
    """A scene made of the origin's objects."""

    def __init__(self, document: dict[str, Any]) -> None:
        data = document["data"]
        self.renderer: str = document["renderer_name"]
        self.canvas = find("Canvas")(*(data["canvas"][key] for key in ("width", "height", "dpi")))
        viewport, camera = find("Viewport"), find("Camera")
        self.scene = (
            [viewport(*(item[key] for key in ("x", "y", "width", "height"))) for item in data["viewports"]],
            [visual_of(item) for item in data["visuals"]],
            [buffer_of(item["model_matrix"]) for item in data["model_matrices"]],
            [camera(buffer_of(item["view_matrix"]), buffer_of(item["projection_matrix"])) for item in data["cameras"]],
        )


class Side:
    """What the lines ask for."""

    def __init__(self) -> None:
        self._scenes: dict[str, Loaded] = {}
        self._clients: dict[str, Any] = {}
        self._server: Optional[subprocess.Popen[bytes]] = None
        self._url = ""
        self._log: Any = None

    def serve(self) -> dict[str, Any]:
        """Start the origin's server as a child process, and wait until it listens."""
        for name in NAMES:
            find(name)
        find("NetworkRenderer", RENDERERS)
        taken = answers(DEFAULT_PORT)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, os.path.abspath(__file__), "--serve", str(port)]
        log = self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._server.poll() is not None:
                log.seek(0)
                said = log.read().decode(errors="replace").strip().splitlines() or ["nothing"]
                raise OSError(f"the origin's server ended with status {self._server.returncode}, and said {said[-1]}")
            for tried in (port,) if taken else (port, DEFAULT_PORT):
                if answers(tried):
                    self._url = f"http://127.0.0.1:{tried}"
                    return {"url": self._url}
            time.sleep(0.05)
        more = f"; port {DEFAULT_PORT}, on which it may insist, was taken before" if taken else ""
        raise OSError(f"the origin's server does not listen after {START_SECONDS:g} s{more}")

    def connect(self, url: str) -> dict[str, Any]:
        """Take another one's server."""
        self._url = url
        return {}

    def load(self, name: str, path: str) -> dict[str, Any]:
        """Make a scene, and a client for its renderer."""
        with open(path, encoding="utf-8") as file:
            loaded = Loaded(json.load(file))
        self._scenes[name] = loaded
        self._clients[name] = find("NetworkRenderer", RENDERERS)(loaded.canvas, self._url, loaded.renderer)
        return {}

    def render(self, name: str) -> dict[str, Any]:
        """One picture."""
        client, scene = self._clients[name], self._scenes[name].scene
        began = time.perf_counter()
        picture = client.render(*scene)
        took = 1000 * (time.perf_counter() - began)
        if not (isinstance(picture, (bytes, bytearray)) and picture.startswith(b"\x89PNG")):
            raise TypeError(f"render() returned {type(picture).__name__}, expected the bytes of a PNG")
        return {"ms": took, "bytes": len(picture)}

    def repeat(self, name: str, seconds: float) -> dict[str, Any]:
        """As many pictures as there is time for."""
        count, began = 0, time.perf_counter()
        while not count or time.perf_counter() - began < seconds:
            self.render(name)
            count += 1
        return {"count": count, "seconds": time.perf_counter() - began}

    def close(self) -> None:
        """End the server."""
        if self._server is not None:
            self._server.stdin.close()  # type: ignore[union-attr]
            self._server.wait(3 * END_SECONDS)
            self._log.close()


def answers(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex(("127.0.0.1", port)) == 0


def end_with_parent() -> None:
    """End this process as soon as the one that started it does, or wants it."""

    def watch() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(END_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def serve(port: int) -> None:
    """Run the origin's server, on that port where Flask runs it; else on the one that it likes."""
    end_with_parent()
    sample = find("ServerSample", SERVERS)
    module = sys.modules[sample.__module__]
    try:
        import flask
    except ImportError:
        if hasattr(module, "RenderServer") and hasattr(module, "serve"):  # gsp_network itself in the origin's place
            return module.serve(module.RenderServer(port))
    else:
        run = flask.Flask.run

        def run_there(self: Any, host: Any = None, port_: Any = None, *more: Any, **options: Any) -> Any:
            options.pop("port", None)
            return run(self, "127.0.0.1", port, *more, **options)

        flask.Flask.run = run_there
    sample().run()


def main() -> None:
    """Answer line by line."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the origin prints
    side = Side()
    requests: dict[str, Callable[..., dict[str, Any]]] = {
        name: getattr(side, name) for name in ("serve", "connect", "load", "render", "repeat")
    }
    try:
        for line in sys.stdin:
            request = json.loads(line)
            try:
                answer = requests[request.pop("do")](**request)
            except Exception as exc:
                answer = {"error": f"{type(exc).__name__}: {exc}"}
            print(json.dumps(answer), file=channel, flush=True)
    finally:
        side.close()


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [
        path for path in sys.path if os.path.abspath(path or os.curdir) != here
    ]  # its modules are no libraries
    serve(int(sys.argv[2])) if sys.argv[1:2] == ["--serve"] else main()
