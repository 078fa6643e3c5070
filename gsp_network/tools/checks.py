"""What `doctor` looks at: one small function a row of its table, which takes an `Asked` and returns a `Finding`."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import importlib.util
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from typing import Any, Callable, Iterator, Optional

from .. import backends
from ..children import how_it_ended, interpreter
from ..commands import calling
from ..errors import GspNetworkError, VideoError
from ..folders import private_folder
from ..logs import printable
from ..png import encode_png, png_fault
from ..pools import DATOVIZ, MATPLOTLIB, Pools, frames_of
from ..ports import bind_fault, listeners
from ..settings import (
    DEFAULT_LIMITS,
    MOST_PORT,
    RENDERER_VARIABLE,
    Settings,
    default_port,
    default_renderer_name,
    environment_variable,
    is_loopback,
)
from ..transport import TOKEN_VARIABLE, Transport, environment_token
from ..workers import render

OK, MISSING, PROBLEM = "ok", "missing", "problem"

SERVER_SECONDS = 5.0  # for a server to answer
WINDOW_SECONDS = 15.0  # for GUI libraries to load
ROUNDS = 3  # requests of which the fastest tells the way there and back
LEAST_MEMORY = 256 * 2**20  # a worker takes 70 MB, and as much again for a large picture
LEAST_ADDRESSES = 2**30  # Matplotlib's libraries alone map half of it
LEAST_DISK = 16 * 2**20  # Matplotlib's list of fonts, and a driver's shaders
VALUE_CHARS = 100
CAUSE_CHARS = 300
ADDRESSES = "of address space (ulimit -v)"

SUPPORTED = {
    "python": ">=3.9",
    "numpy": ">=1.21",
    "matplotlib": ">=3.5",
    "pillow": ">=6.2",  # as Matplotlib 3.5 has it, which brings it
    "datoviz": ">=0.3,<0.4",
}
"""Which versions are supported, in pip's words."""

NAMED_ELSEWHERE = ("GSP_TEST", RENDERER_VARIABLE, "MATPLOTLIBRC", "MPLBACKEND", "MPLCONFIGDIR", "TMPDIR")
"""What counts beside the settings' environment variables."""

# Says which backend Matplotlib's windows have, and whether it opens any; run by itself, since GUI libraries may end the process.
WINDOWS = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
import matplotlib
from matplotlib import pyplot
from matplotlib.backend_bases import FigureManagerBase
name = matplotlib.get_backend()
pyplot.switch_backend(name)
manager = getattr(pyplot._backend_mod, "FigureManager", FigureManagerBase)
print(json.dumps([name, manager.show is not FigureManagerBase.show]))
"""


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a check has found.

    Attributes:
        state: OK, MISSING or PROBLEM.
        found: what is there, in words.
        remedy: what to do; empty where nothing needs to be done.
    """

    state: str
    found: str
    remedy: str = ""


@dataclasses.dataclass
class Asked:
    """What the checks are about.

    Attributes:
        port: where a server is to listen.
        server: URL of one to look at, or None.
        pools: what a server on this machine draws with; None: `no_pools` says why.
        said: what was written to standard error so far, by workers above all.
        found: what the checks before have found, by name.
    """

    port: int
    server: Optional[str]
    pools: Optional[Pools] = None
    no_pools: str = ""
    said: Callable[[], str] = lambda: ""
    found: dict[str, Finding] = dataclasses.field(default_factory=dict)


# ---------------------------------------------------------------- libraries


def release(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with: (3, 11, 2) of "3.11.2rc1"."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def is_supported(name: str, version: str) -> bool:
    """Whether a version is one of those in SUPPORTED; one without numbers, as "unknown", passes."""
    numbers = release(version)
    for bound in SUPPORTED[name].split(",") if numbers else ():
        edge = release(bound.lstrip("<>="))
        if not (numbers >= edge if bound.startswith(">=") else numbers < edge):
            return False
    return True


def python(asked: Asked) -> Finding:
    """The interpreter that runs this."""
    version = platform.python_version()
    found = f"{version}, {platform.python_implementation()} on {platform.system()} {platform.machine()}, "
    found += sys.executable or "inside another program"
    if is_supported("python", version):
        return Finding(OK, found)
    return Finding(PROBLEM, f"{found}; expected {SUPPORTED['python']}", "install a newer Python")


def library(name: str, module: str) -> Finding:
    """A library by its name and the module that it brings; it is not loaded."""
    remedy = f"pip install '{name}{SUPPORTED[name]}'"
    if importlib.util.find_spec(module) is None:
        return Finding(MISSING, "not installed", remedy)
    version = backends.version(name)
    if is_supported(name, version):
        return Finding(OK, version)
    return Finding(PROBLEM, f"{version}, expected {SUPPORTED[name]}", remedy)


def numpy(asked: Asked) -> Finding:
    """Numbers in buffers."""
    return library("numpy", "numpy")


def matplotlib(asked: Asked) -> Finding:
    """Draws pictures, and shows them."""
    return library(MATPLOTLIB, MATPLOTLIB)


def pillow(asked: Asked) -> Finding:
    """Writes PNG."""
    return library("pillow", "PIL")


# ---------------------------------------------------------------- drawing


def _body() -> bytes:
    """A request for a red disc and a word on white, 48 x 32 px."""
    import numpy as np

    from ..codec import encode_scene
    from ..scene import Buffer, Camera, Canvas, Points, Texts, Viewport

    red, black, middle = np.array([[255, 0, 0, 255]], np.uint8), np.array([[0, 0, 0, 255]], np.uint8), np.zeros((1, 3))
    word = Texts(middle, ["gsp"], black, [6.0], [[0.0, -1.0]], [0.0], "DejaVu Sans")
    visuals = [word, Points(middle, [144.0], red, red, [0.0])]
    viewports = [Viewport(0, 0, 48, 32)] * 2
    return encode_scene(Canvas(48, 32), viewports, visuals, [Buffer.identity()] * 2, [Camera()] * 2, MATPLOTLIB)


def drawing(asked: Asked) -> Finding:
    """A picture, drawn in this process."""
    remedy = "the rows above say what is missing, those below whether there is a place to write and memory"
    try:
        from ..codec import decode_scene
        from ..rendering import draw_scene

        pixels = draw_scene(decode_scene(_body()), DEFAULT_LIMITS)
        fault = png_fault(encode_png(pixels))
    except GspNetworkError as exc:
        return Finding(PROBLEM, str(exc.__cause__ or exc), remedy)
    except ImportError as exc:
        return Finding(PROBLEM, str(exc), remedy)
    seen = [pixels[row, column].tolist() for row, column in ((16, 24), (0, 0))]
    if seen != [[255, 0, 0], [255, 255, 255]] or fault:
        return Finding(PROBLEM, f"a picture that is wrong: {fault or seen}", "install Matplotlib and numpy anew")
    return Finding(OK, "Matplotlib draws in this process")


def cause_in(log: str) -> str:
    """The last error that tracebacks in a log end with, rather another's than what we make of it; else the log's last line."""
    errors = re.findall(r"^Traceback .*\n(?:[ \t].*\n)*(\S.*)", log, re.MULTILINE)
    others = [error for error in errors if not error.startswith(GspNetworkError.__module__)]
    return printable((others or errors or log.splitlines() or [""])[-1], CAUSE_CHARS)


def worker(asked: Asked) -> Finding:
    """A picture, drawn in a worker process."""
    if asked.pools is None:
        return Finding(PROBLEM, "none can be started", asked.no_pools)
    remedy = f"draw without worker processes: {calling('serve')} --workers 0, RenderServer(workers=0)"
    executor = asked.pools.executor(MATPLOTLIB).result()
    try:
        picture = executor.submit(render, _body(), None, MATPLOTLIB, DEFAULT_LIMITS, MATPLOTLIB).result()[0]
    except (GspNetworkError, ImportError) as exc:
        if asked.found.get("drawing", Finding(OK, "")).state != OK:
            remedy = "a worker needs what drawing in this process does: see the row above"
        cause = cause_in(asked.said())
        return Finding(PROBLEM, "; that log has: ".join([str(exc), *([cause] if cause else [])]), remedy)
    fault = png_fault(picture)
    return Finding(PROBLEM, fault, remedy) if fault else Finding(OK, "a worker process starts and draws")


def datoviz(asked: Asked) -> Finding:
    """Datoviz and its device, by the look that a server takes, in a process that is thrown away."""
    installed = library(DATOVIZ, DATOVIZ)
    if installed.state != OK:
        return dataclasses.replace(installed, remedy=f"{installed.remedy}; Matplotlib draws without it")
    if asked.pools is None:
        return Finding(PROBLEM, f"{installed.found}, not looked at, which takes worker processes", asked.no_pools)
    facts = asked.pools.look().result()
    if facts.reason:
        return Finding(MISSING, f"{installed.found}, cannot draw here", f"{facts.reason}; Matplotlib draws without it")
    return Finding(OK, f"{installed.found}, {facts.device} ({facts.driver}), pictures {frames_of(facts)}")


# ---------------------------------------------------------------- programs beside this one


def ffmpeg(asked: Asked) -> Finding:
    """For films."""
    from ..animator.ffmpeg import film_encoder
    from ..animator.video import check_video

    try:
        program = check_video("film.mp4", None).program
    except VideoError as exc:
        return Finding(MISSING, "not on the PATH", str(exc))
    try:
        encoder = film_encoder(program)[1]
    except VideoError as exc:
        return Finding(PROBLEM, str(exc), "install ffmpeg anew; .gif, .webp and .apng need none")
    return Finding(OK, f"{program}, films by {encoder}")


def window(asked: Asked) -> Finding:
    """Matplotlib's windows, for `show`, live animations and controls."""
    without = "pictures and videos need none, and with GSP_TEST=True in the environment show() returns at once"
    if importlib.util.find_spec(MATPLOTLIB) is None:
        return Finding(MISSING, "Matplotlib is not installed", without)
    try:
        command = [*interpreter(), "-c", WINDOWS, json.dumps(sys.path)]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=WINDOW_SECONDS
        )
    except (GspNetworkError, OSError, subprocess.TimeoutExpired) as exc:
        return Finding(PROBLEM, f"not looked at, which takes a process: {exc}", without)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"it {how_it_ended(done.returncode)}"]
        return Finding(PROBLEM, f"Matplotlib has no backend for windows: {said[0]}", f"is MPLBACKEND right? {without}")
    name, opens = json.loads(done.stdout.splitlines()[-1])
    if opens:
        return Finding(OK, f"Matplotlib's backend {name}")
    has_display = sys.platform != "linux" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
    remedy = (
        "pip install PyQt6, or unset MPLBACKEND where it names another; " if has_display else "there is no display: "
    )
    return Finding(MISSING, f"Matplotlib's backend {name} opens none", remedy + without)


# ---------------------------------------------------------------- network


def loopback(asked: Asked) -> Finding:
    """A connection from this machine to itself."""
    began = time.perf_counter()
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(SERVER_SECONDS)
            with socket.create_connection(server.getsockname(), SERVER_SECONDS):
                server.accept()[0].close()
    except OSError as exc:
        remedy = "ip link set lo up" if sys.platform == "linux" else "allow connections to 127.0.0.1"
        return Finding(PROBLEM, f"no connection within this machine: {exc}", remedy)
    return Finding(OK, f"127.0.0.1 answers after {_ms(began)}")


def port(asked: Asked) -> Finding:
    """Where a server is to listen."""
    if not asked.port:
        return Finding(OK, "0: a server takes any that is free")
    other = f"choose another, as --port {asked.port % MOST_PORT + 1}, or 0 for any that is free"
    held = [str(one) for one in listeners(asked.port)]
    if held:
        remedy = f"is it a server of yours, use it or end it: {calling('kill')} --port {asked.port}; else {other}"
        return Finding(PROBLEM, f"port {asked.port} is held by {', '.join(held)}", remedy)
    fault = bind_fault(Settings.host, asked.port)
    if fault is not None:
        return Finding(PROBLEM, f"port {asked.port} cannot be had: {os.strerror(fault)}", other)
    return Finding(OK, f"port {asked.port} is free")


def proxies(asked: Asked) -> Finding:
    """What stands between a client and a server elsewhere; user names and passwords are not told."""
    named = {scheme: url.rpartition("@")[2].rpartition("//")[2] for scheme, url in urllib.request.getproxies().items()}
    told = [f"{scheme}: {named[scheme].split('/')[0]}" for scheme in ("http", "https") if scheme in named]
    if not told:
        return Finding(OK, "none in the environment")
    host = urllib.parse.urlsplit(asked.server or "").hostname or ""
    if not host or is_loopback(host) or urllib.request.proxy_bypass(host):
        return Finding(OK, f"{', '.join(told)}; never asked for this machine's servers")
    return Finding(OK, f"{', '.join(told)}; asked for {host}", f"where it should not be: NO_PROXY={host}")


def server(asked: Asked) -> Finding:
    """The server that was named."""
    url = asked.server or ""
    try:
        transport = Transport(url, SERVER_SECONDS, token=environment_token(), retries=0)
        with contextlib.closing(transport):
            seconds = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                answer = transport.get("/health", {"Accept": "application/json"})
                seconds.append(time.perf_counter() - began)
    except GspNetworkError as exc:
        return Finding(PROBLEM, str(exc), "is it started, and the URL right? A proxy, a firewall or ssh -L on the way?")
    there = f"{url} answers after {1000 * min(seconds):.1f} ms"
    try:
        health = json.loads(answer.body) if answer.status == 200 else {}
        renderers = {name: _renderer_in_words(facts) for name, facts in health.get("renderers", {}).items()}
        status = health.get("status")
    except (ValueError, AttributeError, RecursionError):
        return Finding(PROBLEM, f"{there}, but not as a server of ours does", "is the URL that of another program?")
    if status is None:
        remedy = "one of GSP_API's tells nothing, and draws; is the URL that of another program?"
        return Finding(PROBLEM, f"{there}, but tells nothing of itself (status {answer.status})", remedy)
    if status != "ok":
        return Finding(PROBLEM, f"{there}: {printable(str(status), VALUE_CHARS)}", "its log says why")
    if not renderers:
        return Finding(OK, f"{there}, and tells more to who shows its token", f"set {TOKEN_VARIABLE} to its token")
    return Finding(OK, "; ".join([there, *(f"{name}: {told}" for name, told in renderers.items())]))


def _renderer_in_words(facts: dict[str, Any]) -> str:
    words = (facts.get("version"), facts.get("device")) if facts.get("available") else (facts.get("reason"),)
    return printable(" on ".join(str(word) for word in words if word), VALUE_CHARS)


# ---------------------------------------------------------------- this machine


def folder(asked: Asked) -> Finding:
    """The one place to write in."""
    remedy = (
        "name a directory that can be written in TMPDIR, as TMPDIR=/dev/shm; no other place is needed, HOME neither"
    )
    place = private_folder()
    if place is None:
        return Finding(PROBLEM, "no place to write in, or somebody else's file in its place", remedy)
    free = shutil.disk_usage(place).free
    found = f"{place}, {_bytes(free)} free"
    return Finding(OK, found) if free >= LEAST_DISK else Finding(PROBLEM, found, remedy)


def memory(asked: Asked) -> Finding:
    """What there is, and what bounds it."""
    limits = dict(_memory_limits())
    told = ", ".join(f"{_bytes(size)} {name}" for name, size in limits.items()) or "this system tells of no limit"
    scarce = [name for name, size in limits.items() if size < (LEAST_ADDRESSES if name == ADDRESSES else LEAST_MEMORY)]
    if scarce:
        return Finding(
            PROBLEM, told, f"too little {' and '.join(scarce)}: allow more, or draw small scenes by --workers 1"
        )
    return Finding(OK, told)


def _memory_limits() -> Iterator[tuple[str, int]]:
    """What bounds memory here, and how many bytes each leaves."""
    with contextlib.suppress(ImportError):  # Windows
        import resource

        soft = resource.getrlimit(resource.RLIMIT_AS)[0]
        if soft != resource.RLIM_INFINITY:
            yield ADDRESSES, soft
    for path in _control_group_files():
        with contextlib.suppress(OSError, ValueError):  # "max"
            with open(path) as file:
                size = int(file.read())
            if size < 2**60:  # version 1's word for no limit is a number
                yield "in this control group", size
    with contextlib.suppress(OSError, ValueError, StopIteration):
        with open("/proc/meminfo") as file:
            line = next(line for line in file if line.startswith("MemAvailable:"))
        yield "available", 1024 * int(line.split()[1])


def _control_group_files() -> list[str]:
    """The files that may hold this process's limit, of cgroups version 2 and 1."""
    files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
    with contextlib.suppress(OSError):
        with open("/proc/self/cgroup") as file:
            files += [f"/sys/fs/cgroup{line[3:].rstrip()}/memory.max" for line in file if line.startswith("0::/")]
    return [
        path for number, path in enumerate(files) if os.path.realpath(path) not in map(os.path.realpath, files[:number])
    ]


def environment(asked: Asked) -> Finding:
    """The environment variables that count; never what a token is."""
    rows = {environment_variable(field.name): field for field in dataclasses.fields(Settings)}
    ours = sorted(name for name in os.environ if name.startswith("GSP_NETWORK_"))
    shown = [*ours, *(name for name in NAMED_ELSEWHERE if name in os.environ)]
    words = []
    for name in shown:
        secret = name in rows and rows[name].metadata["secret"]
        words.append(name if secret else f"{name}={printable(os.environ[name], VALUE_CHARS)}")
    found = ", ".join(words) or "nothing of ours is set"
    unknown = [name for name in ours if name not in rows]
    if unknown:
        near = difflib.get_close_matches(unknown[0], rows, 1)
        return Finding(PROBLEM, found, f"{unknown[0]} is no setting{f': is it {near[0]}?' if near else ''}")
    try:
        Settings.from_environment()
        default_port()
        default_renderer_name()
        environment_token()
    except GspNetworkError as exc:
        return Finding(PROBLEM, found, str(exc))
    return Finding(OK, found)


def _ms(began: float) -> str:
    return f"{1000 * (time.perf_counter() - began):.1f} ms"


def _bytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
