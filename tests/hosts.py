"""Programs that somebody's server may be inside of, each run in a process of its own by `test_locked_down`.

``python FLAGS -c BOOT PATHS NAME`` runs one by its name and prints what it has found as JSON.
"""

from __future__ import annotations

import asyncio
import atexit
import builtins
import contextlib
import faulthandler
import hashlib
import importlib
import io
import json
import logging
import os
import pathlib
import re
import signal
import socket
import sys
import tempfile
import threading
import types
import urllib.request
import warnings
from typing import Any, Callable

from gsp_network import (
    AnimatorNetwork,
    Buffer,
    Camera,
    Canvas,
    GspNetworkError,
    NetworkRenderer,
    RenderServer,
    ServerStartError,
    Viewport,
    ViewportEventsNetwork,
)
from gsp_network.children import interpreter
from gsp_network.png import png_fault
from gsp_network.tools.vendor import sources
from gsp_network.transport import Transport

from .processes import children_of, is_gone, wait_until
from .scenes import body_of, one_of_each, points, text
from .support import ROOT

BOOT = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from tests import hosts
print(json.dumps(getattr(hosts, sys.argv[2])()), file=sys.__stdout__)
"""
THIRD_PARTY = r"(matplotlib|pyparsing|dateutil|PIL|numpy|kiwisolver|packaging)(\.|\Z)"
"""Modules whose use of deprecated functions of each other is not ours to mend: Matplotlib up to 3.9 of pyparsing's."""


def command(name: str, *flags: str) -> list[str]:
    """The command line that runs the program of that name, of this module, with the paths of this process."""
    return [sys.executable, *flags, "-c", BOOT, json.dumps([os.path.abspath(place) for place in sys.path]), name]


def scene() -> tuple[list[Any], ...]:
    """All seven visuals, over the whole of a canvas of 100 x 100 px."""
    visuals = one_of_each()
    n = len(visuals)
    return [Viewport(0, 0, 100, 100)] * n, visuals, [Buffer.identity()] * n, [Camera()] * n


def draw(server: Any) -> str:
    """What is wrong with a picture of the scene by this server, asked for by our client; empty where nothing is."""
    with NetworkRenderer(Canvas(100, 100, 96.0), server.url) as renderer:
        return png_fault(renderer.render(*scene()))


def drawn(**settings: Any) -> str:
    """The same by a server that is started, and closed, for it."""
    with RenderServer(port=0, datoviz_workers=0, **settings) as server:
        return draw(server)


# ---------------------------------------------------------------- flags of the interpreter


def isolated() -> dict[str, Any]:
    """Without site, environment, home and display: a server with and without a worker."""
    return {
        "flags": [sys.flags.isolated, sys.flags.no_site, sys.flags.optimize],
        "environment": sorted(os.environ),
        "interpreter": interpreter()[1:],
        "thread": drawn(),
        "worker": drawn(workers=1),
        "shown": _show(),
    }


def _show() -> bool:
    """Whether `show` comes back, on a machine without a display."""
    with (
        RenderServer(port=0, datoviz_workers=0) as server,
        NetworkRenderer(Canvas(100, 100, 96.0), server.url) as renderer,
    ):
        renderer.render(*scene())
        renderer.show()
    return True


def strict() -> dict[str, Any]:
    """With every warning an error: all sources compile, a server serves, the client draws, animates and shows."""
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=THIRD_PARTY)
    for path, source in sources().items():
        compile(source, path, "exec", dont_inherit=True)
    with RenderServer(port=0, datoviz_workers=0) as server:
        found = {"thread": draw(server), "pages": [len(_get(server.url + path)) > 0 for path in ("/", "/metrics")]}
        with NetworkRenderer(Canvas(100, 100, 96.0), server.url) as renderer, tempfile.TemporaryDirectory() as folder:
            events = ViewportEventsNetwork(renderer, Viewport(0, 0, 100, 100))
            video = pathlib.Path(folder, "still.gif")
            AnimatorNetwork(renderer, fps=10, video_duration=0.2, video_path=video).start(*scene())
            found["video"] = video.read_bytes()[:6].decode()
            renderer.get_mpl_figure().canvas.draw()
            events.close()
            found["status"] = renderer.get_server_health()["status"]
    found["worker"] = drawn(workers=1)
    found["paste"] = _printed_by_paste()
    return found


def _printed_by_paste() -> str:
    """What README's "Embed it" prints when it is pasted into a program of its own."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    paste = re.search(r"^## Embed it\n.*?^```python\n(.*?)^```", readme, re.S | re.M)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(paste.group(1), "README.md", "exec"), {})  # type: ignore[union-attr]
    return printed.getvalue()


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read()  # type: ignore[no-any-return]


# ---------------------------------------------------------------- programs that Python is a part of

STARTING = (
    "subprocess.Popen",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.exec",
    "os.system",
    "pty.spawn",
)


def frozen() -> dict[str, Any]:
    """A frozen program, one that embeds Python, and one that may start no process; nothing is known of fonts yet."""
    python = sys.executable
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MPLCONFIGDIR"] = folder
        sys.executable = os.path.join(os.path.dirname(python), "viewer")
        found["embedded"] = _why_not(workers=1)
        sys.frozen = True  # type: ignore[attr-defined]
        sys.executable = python  # as some leave it
        found["frozen"] = _why_not(workers=1)
        found["no python"] = _why_not(workers=1, python=os.path.join(folder, "python3"))
        found["python"] = drawn(workers=1, python=python)
        tried: list[str] = []

        def refuse(event: str, arguments: Any) -> None:
            if event in STARTING:
                tried.append(str(arguments[0]))
                raise PermissionError(f"{event}: no process may be started here")

        sys.addaudithook(refuse)
        found["thread"] = drawn()
        found["tried"] = sorted({os.path.basename(name) for name in tried})
    return found


def _why_not(**settings: Any) -> str:
    try:
        return drawn(**settings)
    except ServerStartError as exc:
        return str(exc)


# ---------------------------------------------------------------- programs with threads and signals of their own

OTHERS = {
    "lines.linewidth": 5.0,
    "font.size": 23.0,
    "font.family": ["serif"],
    "axes.facecolor": "lightblue",
    "savefig.dpi": 70,
    "text.antialiased": False,
    "path.snap": False,
}
DRAWS, CLIENTS = 12, 3


def threads() -> dict[str, Any]:
    """Host and server draw at the same time, in threads; the server is started and closed by threads that end."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update(OTHERS)

    def host() -> str:
        figure, axes = pyplot.subplots()
        axes.plot([1, 3, 2])
        axes.set_title("the host's $x^2$")
        out = io.BytesIO()
        figure.savefig(out, format="rgba")
        pyplot.close(figure)
        return hashlib.sha256(out.getvalue()).hexdigest()

    bodies = [body_of(*one_of_each(), text(f"number {n}"), points((n / 3 - 0.5, 0, 0))) for n in range(3)]
    server = RenderServer(port=0, datoviz_workers=0)
    _in_thread(server.start)
    alone, before = host(), dict(pyplot.rcParams)
    transport = Transport(server.url)

    def picture(number: int) -> bytes:
        return transport.post("/render", bodies[number % 3], {"Content-Type": "application/json"}).body

    ours, wrong = [picture(number) for number in range(3)], []

    def client(first: int) -> None:
        wrong.extend(number for number in range(first, first + DRAWS) if picture(number) != ours[number % 3])

    clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in clients:
        thread.start()
    draws = 0
    while any(thread.is_alive() for thread in clients):
        wrong += [-1] if host() != alone else []
        draws += 1
    for thread in clients:
        thread.join()
    transport.close()
    _in_thread(server.close)
    return {
        "wrong": wrong,
        "at once": draws > 1,
        "pictures": [png_fault(picture) for picture in ours],
        "settings": before == dict(pyplot.rcParams),
        "figures": pyplot.get_fignums(),
        "left": [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()],
    }


def _in_thread(function: Callable[[], Any]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def signals() -> dict[str, Any]:
    """A host that handles, ignores and blocks signals, and does not learn how its children end; a worker is killed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda number, frame: None)
    for number in (signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGUSR2})
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    signal.set_wakeup_fd(ours.fileno())
    log = io.StringIO()
    logging.basicConfig(level="WARNING", stream=log)
    importlib.import_module("matplotlib.backends.backend_agg")  # it, and what it brings, have things to do at the end

    before = _state()
    found: dict[str, Any] = {"thread": drawn()}
    with RenderServer(port=0, workers=1, datoviz_workers=0) as server:
        found["worker"] = draw(server)
        (pid,) = children_of(os.getpid())
        with open(f"/proc/{pid}/status") as file:
            told = dict(line.rstrip("\n").split(":\t", 1) for line in file if line.startswith(("SigBlk", "SigIgn")))
        found["blocked"], ignored = int(told["SigBlk"], 16), int(told["SigIgn"], 16)
        found["ignored"] = [name for name in ("SIGALRM", "SIGCHLD") if ignored >> (getattr(signal, name) - 1) & 1]
        os.kill(pid, signal.SIGKILL)
        found["gone"] = wait_until(lambda: is_gone(pid))
        found["after"] = draw(server)
        found["restarts"] = sum(server.workers()["restarts"].values())
    found["children"] = children_of(os.getpid())
    found["log"] = log.getvalue()
    found["changed"] = [name for name, value in _state().items() if value != before[name]]
    signal.set_wakeup_fd(-1)
    ours.close()
    theirs.close()
    return found


def _state() -> dict[str, Any]:
    """What is the host's alone: how it handles signals, faults, logs, its end, its place and environment."""
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup)
    return {
        "handlers": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "blocked": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "wakeup": wakeup,
        "timer": signal.getitimer(signal.ITIMER_REAL),
        "faulthandler": faulthandler.is_enabled(),
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook, sys.displayhook),
        "logging": (
            logging.getLogger().handlers[:],
            logging.getLogger().level,
            logging.getLogger("gsp_network").handlers[:],
        ),
        "atexit": atexit._ncallbacks(),
        "place": os.getcwd(),
        "environment": dict(os.environ),
        "path": sys.path[:],
        "streams": (sys.stdin, sys.stdout, sys.stderr),
    }


# ---------------------------------------------------------------- notebooks


class _Stream:
    """What stands in the place of sys.stdout and sys.stderr: no file, no descriptor."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def write(self, words: str) -> int:
        """Keep what is written."""
        self.said.append(words)
        return len(words)

    def flush(self) -> None:
        """Nothing waits."""


def notebook() -> dict[str, Any]:
    """As in a notebook's kernel: a loop runs in the main thread, streams are no files, pictures are shown within the page."""
    import matplotlib
    from matplotlib.backend_bases import FigureManagerBase
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    shown: list[Any] = []
    backend: Any = types.ModuleType("backend_of_the_page")
    backend.FigureCanvas, backend.FigureManager = FigureCanvasAgg, FigureManagerBase
    backend.show = lambda *args, **kwargs: shown.append(kwargs)
    sys.modules[backend.__name__] = backend
    matplotlib.use(f"module://{backend.__name__}")
    builtins.get_ipython = lambda: None  # type: ignore[attr-defined]
    stream: Any = _Stream()
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        found = asyncio.run(cells())
    return {**found, "shown": len(shown), "said": "".join(stream.said)}


async def cells() -> dict[str, Any]:
    """What cells of a notebook do, with workers and without."""
    loop = asyncio.get_running_loop()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for workers in (0, 1):
            with RenderServer(port=0, workers=workers, datoviz_workers=0) as server:
                with NetworkRenderer(Canvas(100, 100, 96.0), server.url) as renderer:
                    found[f"cell {workers}"] = png_fault(renderer.render(*scene()))
                    found[f"thread {workers}"] = png_fault(await loop.run_in_executor(None, renderer.render, *scene()))
                    found[f"value {workers}"] = png_fault(renderer._repr_png_() or b"")
                    renderer.show()
                    video = pathlib.Path(folder, f"{workers}.gif")
                    AnimatorNetwork(renderer, fps=10, video_duration=0.2, video_path=video).start(*scene())
                    found[f"video {workers}"] = video.read_bytes()[:6].decode()
                    try:
                        AnimatorNetwork(renderer, fps=10).start(*scene())
                    except GspNetworkError as exc:
                        found[f"live {workers}"] = str(exc)
    await asyncio.sleep(0)
    found["loop"] = asyncio.get_running_loop() is loop
    return found
