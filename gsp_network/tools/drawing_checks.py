"""What `doctor` looks at first: libraries, drawing, and the programs beside it; a small function a row of its table."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys

from .. import backends
from ..children import how_it_ended, interpreter
from ..commands import calling
from ..errors import GspNetworkError, VideoError
from ..logs import printable
from ..png import encode_png, png_fault
from ..pools import DATOVIZ, MATPLOTLIB, frames_of
from ..settings import DEFAULT_LIMITS
from ..workers import render
from .findings import MISSING, OK, PROBLEM, Asked, Finding

WINDOW_SECONDS = 15.0  # for GUI libraries to load
CAUSE_CHARS = 300

SUPPORTED = {
    "python": ">=3.9",
    "numpy": ">=1.21",
    "matplotlib": ">=3.5",
    "pillow": ">=6.2",  # as Matplotlib 3.5 has it, which brings it
    "datoviz": ">=0.3,<0.4",
}
"""Which versions are supported, in pip's words."""

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
