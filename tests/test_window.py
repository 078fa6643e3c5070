"""A real window: TkAgg on a screen of its own (Xvfb), mouse and keys by xdotool; events, the live loop and a session in it."""

from __future__ import annotations

import concurrent.futures
import ctypes
import ctypes.util
import json
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from typing import Any, Callable, Optional
from unittest import mock

import numpy as np

from gsp_network import Camera, Canvas, NetworkRenderer, RenderServer, SessionRecorder, Viewport, decode_scene

from .processes import PATIENCE, server_environ
from .scenes import points, run_server

try:
    import tkinter as _tkinter  # noqa: F401

    WITHOUT = ", ".join(program for program in ("Xvfb", "xdotool") if shutil.which(program) is None)
except ImportError:
    WITHOUT = "tkinter"

SLOW_SECONDS = 0.15  # for a picture
WIDTH, HEIGHT = 200, 100

# What all clients have: `say` writes a line, and the first one tells where on the screen the window's canvas begins.
CLIENT = """
import json, sys
import matplotlib
import numpy as np
from gsp_network import AnimatorNetwork, Camera, Canvas, NetworkRenderer, Points, Viewport, ViewportEventsNetwork

def say(**what):
    print(json.dumps(what), flush=True)

def note(owner):
    def noted(event):
        say(owner=owner, **{name: value for name, value in vars(event).items() if name != "viewport_uuid"})
    return noted

def shown_at():
    figure.canvas.draw()
    reds = np.argwhere(np.asarray(figure.canvas.buffer_rgba())[..., 1] < 128)
    return float(reds[:, 1].mean()) if len(reds) else None

matplotlib.rcParams["toolbar"] = "None"  # some are wider than this window, and stretch it
renderer = NetworkRenderer(Canvas(200, 100, 72.0), sys.argv[1])
figure = renderer.get_mpl_figure()
widget = figure.canvas.get_tk_widget()
one, two = Viewport(0, 0, 100, 100), Viewport(100, 0, 100, 100)
red = np.array([[255, 0, 0, 255]], np.uint8)
point = Points(np.zeros((1, 3)), [100.0], red, red, [0.0])
scene = [Viewport(0, 0, 200, 100)], [point], [np.eye(4)], [Camera()]

def ready(event):
    if widget.winfo_ismapped():
        figure.canvas.mpl_disconnect(connection)
        say(ready=[widget.winfo_rootx(), widget.winfo_rooty()])

connection = figure.canvas.mpl_connect("draw_event", ready)
"""

# Two viewports; in the second one every move has a picture drawn, which takes SLOW_SECONDS.
EVENTS_CLIENT = (
    CLIENT
    + """
left, right = ViewportEventsNetwork(renderer, one), ViewportEventsNetwork(renderer, two)
for owner, events in (("left", left), ("right", right)):
    for name, event in vars(events).items():
        if name.endswith("_event"):
            event.subscribe(note(owner))
right.mouse_move_event.subscribe(lambda event: renderer.render(*scene))
left.key_press_event.subscribe(lambda event: event.key_name == "x" and (left.close(), left.close(), say(closed=True)))
renderer.show()
say(ended=True)
renderer.close()
"""
)

# A point that follows the mouse in an animation.
LIVE_CLIENT = (
    CLIENT
    + """
where = [0.0]
events = ViewportEventsNetwork(renderer, Viewport(0, 0, 200, 100))

@events.mouse_move_event.event_listener
def follow(event):
    where[0] = event.x_ndc

events.key_press_event.subscribe(lambda event: say(shown=shown_at()))
events.canvas_resize_event.subscribe(note("window"))
animator = AnimatorNetwork(renderer, fps=50)

@animator.event_listener
def change(delta_time):
    if point.get_positions().to_numpy()[0, 0] == np.float32(where[0]):
        return []
    point.set_positions(np.array([[where[0], 0.0, 0.0]]))
    return [point]

from matplotlib import pyplot
pyplot.figure()  # another window, as programs have
animator.start(*scene)
say(ended=True)
renderer.close()
"""
)


class SlowExecutor(concurrent.futures.Executor):
    """Draws one picture after the other, each after SLOW_SECONDS."""

    def __init__(self) -> None:
        self._thread = concurrent.futures.ThreadPoolExecutor(1)

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        def slowly() -> Any:
            threading.Event().wait(SLOW_SECONDS)
            return fn(*args, **kwargs)

        return self._thread.submit(slowly)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._thread.shutdown(wait)


class ClientMessage(ctypes.Structure):
    """Xlib's XClientMessageEvent, as long as an XEvent."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("padding", ctypes.c_long * 24),
    ]


class Screen:
    """An X server on a display that is free, without a window manager: windows lie in its upper left corner."""

    def __init__(self) -> None:
        reading, writing = os.pipe()
        # A size that is in whole millimetres: its 96 dpi, a device pixel ratio of 1, come out exactly.
        size = ["-screen", "0", "960x480x24", "-dpi", "96"]
        command = ["Xvfb", "-displayfd", str(writing), *size, "-nolisten", "tcp", "-noreset"]
        self._process = subprocess.Popen(
            command, pass_fds=[writing], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(writing)
        with open(reading, encoding="ascii") as file:
            number = file.readline().strip()  # empty where it has ended
        if not number:
            self.close()
            raise unittest.SkipTest("Xvfb does not start here")
        self.environ = {**server_environ(), "DISPLAY": f":{number}", "MPLBACKEND": "TkAgg"}
        self.environ.pop("GSP_TEST", None)

    def do(self, *commands: Any) -> str:
        """Run xdotool, which takes several commands at once; what it says."""
        words = [str(word) for word in commands]
        done = subprocess.run(["xdotool", *words], env=self.environ, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode:
            raise AssertionError(f"xdotool {' '.join(words)}: {done.stderr}")
        return done.stdout

    def ask_to_close(self, window: int) -> None:
        """Send a window what a window manager sends it when the user closes it: WM_DELETE_WINDOW (ICCCM 4.2.8.1)."""
        x11 = ctypes.CDLL(ctypes.util.find_library("X11"))
        x11.XOpenDisplay.restype = ctypes.c_void_p
        x11.XInternAtom.restype = ctypes.c_ulong
        display = ctypes.c_void_p(x11.XOpenDisplay(self.environ["DISPLAY"].encode()))
        protocols, delete = (x11.XInternAtom(display, name, False) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
        message = ClientMessage(33, 0, True, None, window, protocols, 32, (ctypes.c_long * 5)(delete))
        x11.XSendEvent(display, ctypes.c_ulong(window), False, ctypes.c_long(0), ctypes.byref(message))
        x11.XCloseDisplay(display)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)


class Client:
    """A program with a window, and what it says."""

    def __init__(self, screen: Screen, *arguments: str) -> None:
        self.screen = screen
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by close()
        self.process = subprocess.Popen(
            [sys.executable, *arguments], env=screen.environ, stdout=subprocess.PIPE, stderr=self.errors, text=True
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.left = self.upper = 0

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self._lines.put(line)
        self._lines.put("")

    def until(self, wanted: Callable[[dict[str, Any]], Any]) -> list[dict[str, Any]]:
        """What it says up to the first that is wanted, inclusive."""
        said: list[dict[str, Any]] = []
        deadline = time.monotonic() + PATIENCE
        while not said or not wanted(said[-1]):
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = ""
            if not line:
                self.errors.seek(0)
                raise AssertionError(f"the client said {said} and no more; its errors: {self.errors.read()}")
            said.append(json.loads(line))
        return said

    def start(self) -> None:
        """Wait for its window."""
        self.left, self.upper = self.until(lambda said: "ready" in said)[-1]["ready"]

    def at(self, x: float, y: float) -> tuple[str, int, int]:
        """The xdotool command that moves the mouse to a place on the window's canvas, from its lower left corner."""
        return "mousemove", self.left + int(x), self.upper + HEIGHT - int(y)

    def window(self) -> int:
        """The id of its window."""
        return int(self.screen.do("search", "--onlyvisible", "--sync", "--name", "Figure 1").split()[0])

    def end(self) -> str:
        """Wait until it ends by itself; its errors."""
        status = self.process.wait(PATIENCE)
        self.errors.seek(0)
        errors = self.errors.read()
        if status:
            raise AssertionError(f"the client ended with status {status}: {errors}")
        return errors

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.errors.close()


screen: Optional[Screen] = None


def setUpModule() -> None:
    global screen
    if WITHOUT:
        raise unittest.SkipTest(f"no {WITHOUT} here, which a real window needs")
    screen = Screen()
    unittest.addModuleCleanup(screen.close)


class WindowCase(unittest.TestCase):
    def run_client(self, *arguments: str) -> Client:
        if screen is None:
            self.skipTest("no screen")
        self.screen: Screen = screen
        client = Client(screen, *arguments)
        self.addCleanup(client.close)
        return client

    def serve(self, **settings: Any) -> RenderServer:
        context = run_server(**settings)
        server = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return server

    def serve_slowly(self, **settings: Any) -> RenderServer:
        executor = SlowExecutor()
        self.addCleanup(executor.shutdown)
        return self.serve(executor=executor, **settings)


class Events(WindowCase):
    def test_events(self) -> None:
        """Mouse, keys, focus, resize, coalescing and closing, in a window with two viewports."""
        client = self.run_client("-c", EVENTS_CLIENT, self.serve_slowly().url)
        client.start()
        self.do = self.screen.do
        for part in (self.mouse, self.focus, self.coalescing, self.resize, self.closing):
            with self.subTest(part.__name__):
                part(client)

    def mouse(self, client: Client) -> None:
        """Moves, presses, scrolls and releases tell place and button."""
        self.do(*client.at(50, 50), *client.at(75, 75), "mousedown", 3)
        said = client.until(lambda said: said.get("event_type") == "button_press")
        self.assertEqual({event["owner"] for event in said if event.get("event_type") != "canvas_resize"}, {"left"})
        pressed = said[-1]
        self.assertEqual((pressed["x_ndc"], pressed["y_ndc"]), (0.5, 0.5))
        self.assertEqual([pressed[f"{name}_button"] for name in ("left", "middle", "right")], [False, False, True])
        self.do(*client.at(25, 25))
        moved = client.until(lambda said: said.get("event_type") == "mouse_move" and said["x_ndc"] == -0.5)[-1]
        self.assertTrue(moved["right_button"])
        self.do("click", 4, "click", 4, "click", 5)
        said = client.until(lambda said: said.get("scroll_steps", 0) < 0 or said.get("scroll_steps") == 1)
        while sum(event.get("scroll_steps", 0) for event in said) != 1:
            said += client.until(lambda said: "scroll_steps" in said)
        self.do(*client.at(150, -20), "mouseup", 3)  # outside
        released = client.until(lambda said: said.get("event_type") == "button_release")[-1]
        self.assertEqual((released["owner"], released["x_ndc"], released["y_ndc"]), ("left", 1, -1))

    def focus(self, client: Client) -> None:
        """Keys go to the viewport last clicked."""
        self.do(*client.at(150, 50), "click", 1, *client.at(50, 50), "key", "a")
        self.do("click", 1, *client.at(150, 50), "key", "Left")
        said = client.until(lambda said: said.get("event_type") == "key_release" and said["key_name"] == "left")
        keys = [(event["owner"], event["event_type"], event["key_name"]) for event in said if "key_name" in event]
        self.assertEqual(
            keys,
            [
                (owner, kind, name)
                for owner, name in (("right", "a"), ("left", "left"))
                for kind in ("key_press", "key_release")
            ],
        )

    def coalescing(self, client: Client) -> None:
        """Of 60 moves, each of which has a picture drawn, few are reported, the last among them; of what is between, all."""
        self.do(*client.at(110, 50))
        client.until(lambda said: said.get("event_type") == "mouse_move" and said["x_ndc"] == -0.8)
        began = time.monotonic()
        moves: list[Any] = []
        for x in range(111, 171):  # scrolls among them, since Tk itself joins moves that follow one another
            moves += [*client.at(x, 50), "mousedown", 4, "mouseup", 4]
        self.do(*moves, *client.at(190, 50), "mousedown", 1, "mouseup", 1, "mousedown", 1, "mouseup", 1)
        sent = time.monotonic() - began
        said = client.until(lambda said: said.get("event_type") == "button_release")
        said += client.until(lambda said: said.get("event_type") == "button_release")
        kinds = [event["event_type"] for event in said]
        first = kinds.index("button_press")
        self.assertEqual(kinds[first:], ["button_press", "button_release"] * 2)
        self.assertEqual((kinds[first - 1], said[first - 1]["x_ndc"]), ("mouse_move", 0.8))
        self.assertEqual(sum(event["scroll_steps"] for event in said), 60)
        self.assertLessEqual(kinds.count("mouse_move"), 5 + sent / SLOW_SECONDS)

    def resize(self, client: Client) -> None:
        """The window's new size is reported, and places are those of the picture in it."""
        self.do("windowsize", client.window(), 400, 300)
        resized = client.until(lambda said: said.get("canvas_width_px") == 400)[-1]
        self.assertEqual(resized["event_type"], "canvas_resize")
        self.assertEqual(resized["canvas_height_px"], 300)
        self.do("mousemove", client.left + 100, client.upper + 150)
        client.until(lambda said: said.get("owner") == "left" and said.get("x_ndc") == 0 and abs(said["y_ndc"]) < 0.01)

    def closing(self, client: Client) -> None:
        """After close nothing comes from that viewport; closing the window ends the program's wait."""
        self.do("click", 1, "key", "x")
        client.until(lambda said: said.get("closed"))
        self.do("click", 1, "key", "b", "mousemove", client.left + 300, client.upper + 50, "click", 1)
        said = client.until(lambda said: said.get("owner") == "right" and said.get("event_type") == "button_release")
        self.assertEqual({event["owner"] for event in said[1:]}, {"right"})
        self.screen.ask_to_close(client.window())
        client.until(lambda said: said.get("ended"))
        self.assertEqual(client.end(), "")


class Live(WindowCase):
    def test_live_loop(self) -> None:
        """An animation shows the newest picture of a slow server, never a backlog, and ends when its window is closed."""
        asked: list[float] = []
        last = threading.Event()

        def note(body: bytes, picture: bytes) -> None:
            asked.append(float(decode_scene(body).visuals[0].get_positions().to_numpy()[0, 0]))
            if abs(asked[-1] - 0.7) < 1e-6:
                last.set()

        client = self.run_client("-c", LIVE_CLIENT, self.serve_slowly(on_render=note).url)
        client.start()
        do = self.screen.do
        began = time.monotonic()
        do(*[word for x in range(20, 171) for word in client.at(x, 50)], "click", 1)
        shown: Optional[float] = None
        while shown is None or abs(shown - 170) > 1:
            do("key", "p")
            shown = client.until(lambda said: "shown" in said)[-1]["shown"]
        self.assertLessEqual(len(asked), 4 + (time.monotonic() - began) / SLOW_SECONDS)
        self.assertTrue(last.wait(PATIENCE))

        do("windowsize", client.window(), 300, 200)
        client.until(lambda said: said.get("canvas_width_px") == 300)
        do("mousemove", client.left + 75, client.upper + 50)
        while shown is None or abs(shown - 75) > 1.5:
            do("key", "p")
            shown = client.until(lambda said: "shown" in said)[-1]["shown"]

        self.screen.ask_to_close(client.window())
        client.until(lambda said: said.get("ended"))
        self.assertEqual(client.end(), "")


class Playing(WindowCase):
    def test_session(self) -> None:
        """A recorded session is played at its speed on a server, until its window is closed."""
        bodies: list[bytes] = []
        server = self.serve(on_render=lambda body, picture: bodies.append(body))
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "session.jsonl")
            sent = record(path, 3)
            began = time.monotonic()
            client = self.run_client(
                "-m", "gsp_network.tools.replay", str(path), "--speed", "2", "--server", server.url
            )
            while bodies[-1:] != sent[-1:]:
                self.assertLess(time.monotonic() - began, PATIENCE)
                self.assertIsNone(client.process.poll())
                threading.Event().wait(0.01)
            self.assertEqual(bodies, sent)
            self.assertGreaterEqual(time.monotonic() - began, 0.2)
            self.screen.ask_to_close(client.window())
            self.assertEqual(client.end(), "")


def record(path: pathlib.Path, count: int) -> list[bytes]:
    """A session of so many frames, 0.2 s apart; their requests."""
    sent: list[bytes] = []
    with NetworkRenderer(Canvas(WIDTH, HEIGHT, 72.0), "http://127.0.0.1:5000") as renderer:
        renderer.on_frame.subscribe(sent.append)
        with mock.patch("time.monotonic", side_effect=[0.2 * number for number in range(count + 1)]):
            with SessionRecorder(renderer, path):
                for number in range(count):
                    scene = [Viewport(0, 0, WIDTH, HEIGHT)], [points((number / count, 0, 0))], [np.eye(4)], [Camera()]
                    renderer.encode(*scene)
    return sent


if __name__ == "__main__":
    unittest.main()
