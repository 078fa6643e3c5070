"""The events of a viewport, by Matplotlib events made here; tests/test_window.py has those of a real window."""

from __future__ import annotations

import gc
import os
import unittest
import weakref
from typing import Any, Callable, Optional

os.environ["MPLBACKEND"] = "Agg"  # before pyplot is imported

import matplotlib.backend_bases as mpl

from gsp_network import (
    Canvas,
    CanvasResizeEvent,
    EventType,
    GspNetworkError,
    InvalidScene,
    KeyEvent,
    MouseEvent,
    NetworkRenderer,
    Viewport,
    ViewportEventsBase,
    ViewportEventsNetwork,
)

LEFT, MIDDLE, RIGHT, BACK = 1, 2, 3, 8
NAMES = [f"{kind.value}_event" for kind in EventType]


class ManualTimer:
    """A GUI's timer that runs out when the test says so."""

    def __init__(self) -> None:
        self.callback: Optional[Callable[[], None]] = None
        self.running = False
        self.single_shot = False

    def add_callback(self, callback: Callable[[], None]) -> None:
        self.callback = callback

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False

    def run_out(self) -> None:
        """As the GUI does when its queue is empty."""
        if self.running and self.callback is not None:
            self.running = False
            self.callback()


class Case(unittest.TestCase):
    """A renderer whose figure gets events, and all that its viewports report."""

    def setUp(self) -> None:
        self.renderer = NetworkRenderer(Canvas(200, 100, 72.0), "http://127.0.0.1:5000")
        self.addCleanup(self.renderer.close)
        self.figure = self.renderer.get_mpl_figure()
        self.canvas = self.figure.canvas
        self.seen: list[Any] = []

    def listen(self, *box: int, **told: Callable[[Any], None]) -> ViewportEventsNetwork:
        """The events of a viewport, noted, and then given to the callback that is told by the event's name."""
        events = ViewportEventsNetwork(self.renderer, Viewport(*box))
        self.addCleanup(events.close)
        for name in NAMES:
            getattr(events, name).subscribe(self.seen.append)
            if name in told:
                getattr(events, name).subscribe(told[name])
        return events

    def send(self, name: str, event: Any) -> None:
        self.canvas.callbacks.process(name, event)

    def mouse(self, name: str, x: float, y: float, button: Any = None, step: float = 0) -> None:
        self.send(name, mpl.MouseEvent(name, self.canvas, x, y, button, step=step))

    def move(self, x: float, y: float) -> None:
        self.mouse("motion_notify_event", x, y)

    def press(self, x: float, y: float, button: int = LEFT) -> None:
        self.mouse("button_press_event", x, y, button)

    def release(self, x: float, y: float, button: int = LEFT) -> None:
        self.mouse("button_release_event", x, y, button)

    def scroll(self, x: float, y: float, step: float) -> None:
        self.mouse("scroll_event", x, y, "up" if step > 0 else "down", step)

    def key(self, name: Optional[str], kind: str = "press") -> None:
        self.send(f"key_{kind}_event", mpl.KeyEvent(f"key_{kind}_event", self.canvas, name))

    def resize(self, width: float, height: float) -> None:
        self.figure.set_size_inches(width / 72, height / 72)
        self.seen.clear()  # Matplotlib tells of it by itself, from some version on
        self.send("resize_event", mpl.ResizeEvent("resize_event", self.canvas))

    def kinds(self) -> list[str]:
        """What was reported so far, in short, and forgotten."""
        kinds = [event.event_type.value for event in self.seen]
        self.seen.clear()
        return kinds

    def places(self) -> list[tuple[str, float, float]]:
        """What the mouse did so far, and forgotten."""
        places = [(e.event_type.value, round(e.x_ndc, 9), round(e.y_ndc, 9)) for e in self.seen]
        self.seen.clear()
        return places


class Places(Case):
    def test_ndc(self) -> None:
        """x and y are in the viewport's NDC, y up: -1 at its left and lower edge, 0 in its middle."""
        self.listen(100, 20, 80, 40)
        self.move(140, 40)
        self.assertEqual({type(self.seen[0].x_ndc), type(self.seen[0].y_ndc)}, {float})  # and not numpy's
        self.seen.clear()
        for x, y, x_ndc, y_ndc in ((140, 40, 0, 0), (100, 20, -1, -1), (160, 50, 0.5, 0.5), (179, 59, 0.975, 0.95)):
            with self.subTest(x=x, y=y):
                self.move(x, y)
                self.assertEqual(self.places(), [("mouse_move", x_ndc, y_ndc)])

    def test_outside(self) -> None:
        """What lies outside is not reported; the right and the upper edge are the neighbours'."""
        self.listen(100, 20, 80, 40)
        for x, y in ((99, 40), (180, 40), (140, 19), (140, 60), (0, 0), (-5, 40), (500, 500)):
            with self.subTest(x=x, y=y):
                self.move(x, y)
                self.press(x, y)
                self.release(x, y)
                self.scroll(x, y, 1)
                self.assertEqual(self.seen, [])

    def test_uppermost_row(self) -> None:
        """The window's uppermost row, which Matplotlib places at its height, belongs to the viewport below it."""
        self.listen(0, 50, 200, 50)
        self.move(100, 100)
        self.assertEqual(self.places(), [("mouse_move", 0, 1)])
        self.move(100, 101)
        self.assertEqual(self.seen, [])

    def test_neighbours(self) -> None:
        """Of two neighbours exactly one reports each place."""
        one, two = self.listen(0, 0, 67, 100), self.listen(67, 0, 133, 100)
        uuids = [events._viewport.get_uuid() for events in (one, two)]
        for x in range(200):
            self.move(x, 50)
        self.assertEqual([event.viewport_uuid for event in self.seen], [uuids[0]] * 67 + [uuids[1]] * 133)

    def test_overlap(self) -> None:
        """Where viewports overlap, each reports, in its own NDC."""
        self.listen(0, 0, 100, 100)
        self.listen(50, 0, 100, 100)
        self.move(75, 50)
        self.assertEqual(self.places(), [("mouse_move", 0.5, 0), ("mouse_move", -0.5, 0)])

    def test_resized_window(self) -> None:
        """In a window of another size than the canvas, a viewport is where its part of the picture is."""
        self.listen(100, 50, 100, 50)
        self.resize(400, 300)
        self.seen.clear()
        self.move(300, 225)
        self.assertEqual(self.places(), [("mouse_move", 0, 0)])
        self.move(199, 225)
        self.move(300, 149)
        self.assertEqual(self.seen, [])

    def test_device_pixel_ratio(self) -> None:
        """On a screen of device pixel ratio 2 places stay where they are, and sizes are in logical pixels."""
        self.listen(100, 50, 100, 50)
        self.canvas._set_device_pixel_ratio(2)
        self.move(300, 150)  # Matplotlib tells places in physical pixels
        self.assertEqual(self.places(), [("mouse_move", 0, 0)])
        self.send("resize_event", mpl.ResizeEvent("resize_event", self.canvas))
        self.assertEqual([(event.canvas_width_px, event.canvas_height_px) for event in self.seen], [(200, 100)])

    def test_moved_viewport(self) -> None:
        """A viewport that has been moved is looked for where it is now."""
        events = self.listen(0, 0, 10, 10)
        events._viewport.set_attributes(x=100, y=50)
        self.move(5, 5)
        self.move(105, 55)
        self.assertEqual(self.places(), [("mouse_move", 0, 0)])

    def test_no_place(self) -> None:
        """A Matplotlib event that has no place is nowhere."""
        self.listen(0, 0, 200, 100)
        event = mpl.MouseEvent("motion_notify_event", self.canvas, 1, 1)
        event.x = event.y = None
        self.send("motion_notify_event", event)
        self.assertEqual(self.seen, [])


class Buttons(Case):
    def test_press_and_release(self) -> None:
        """Presses and releases say which button it was, and whose viewport."""
        uuid = self.listen(0, 0, 200, 100)._viewport.get_uuid()
        for button, flags in (
            (LEFT, (True, False, False)),
            (MIDDLE, (False, True, False)),
            (RIGHT, (False, False, True)),
        ):
            with self.subTest(button=button):
                self.press(150, 50, button)
                self.release(150, 75, button)
                self.assertEqual(
                    self.seen,
                    [
                        MouseEvent(uuid, EventType.BUTTON_PRESS, 0.5, 0.0, *flags, 0.0),
                        MouseEvent(uuid, EventType.BUTTON_RELEASE, 0.5, 0.5, *flags, 0.0),
                    ],
                )
                self.seen.clear()

    def test_held(self) -> None:
        """Moves and scrolls say which buttons are held down, also from a press outside; a release says its own alone."""
        self.listen(0, 0, 100, 100)
        self.press(50, 50, LEFT)
        self.press(150, 50, RIGHT)
        self.move(60, 50)
        self.scroll(60, 50, 1)
        self.release(60, 50, LEFT)
        self.move(60, 50)
        self.release(60, 50, RIGHT)
        self.move(60, 50)
        flags = [(event.left_button, event.middle_button, event.right_button) for event in self.seen]
        both, left, right, none = (True, False, True), (True, False, False), (False, False, True), (False,) * 3
        self.assertEqual(flags, [left, both, both, left, right, right, none])

    def test_other_buttons(self) -> None:
        """Buttons that an event has no name for are not reported."""
        self.listen(0, 0, 200, 100)
        self.press(50, 50, BACK)
        self.release(50, 50, BACK)
        self.assertEqual(self.seen, [])

    def test_dragged_out(self) -> None:
        """A button that is pressed inside and released outside is reported as released, at the nearest place inside."""
        self.listen(100, 0, 100, 50)
        self.press(150, 25)
        self.move(50, 25)
        self.release(50, 80)
        self.assertEqual(self.places(), [("button_press", 0, 0), ("button_release", -1, 1)])
        self.release(50, 80)
        self.assertEqual(self.seen, [])

    def test_dragged_in(self) -> None:
        """A button that is pressed outside and released inside is reported as released there."""
        self.listen(100, 0, 100, 50)
        self.press(50, 25)
        self.release(150, 25)
        self.assertEqual(self.places(), [("button_release", 0, 0)])

    def test_scroll(self) -> None:
        """Scrolls tell their place and steps, up above 0."""
        self.listen(0, 0, 200, 100)
        self.scroll(150, 50, 1)
        self.scroll(100, 75, -2.5)
        self.assertEqual(
            [(event.x_ndc, event.y_ndc, event.scroll_steps) for event in self.seen], [(0.5, 0, 1), (0, 0.5, -2.5)]
        )
        self.assertEqual(self.kinds(), ["mouse_scroll"] * 2)


class Keys(Case):
    def keys(self) -> list[tuple[str, str, str]]:
        keys = [(e.viewport_uuid, e.event_type.value, e.key_name) for e in self.seen if isinstance(e, KeyEvent)]
        self.seen.clear()
        return keys

    def type(self, name: str) -> None:
        self.key(name)
        self.key(name, "release")

    def test_focus(self) -> None:
        """Keys go to the viewport last clicked: to none before a click and after one outside, wherever the mouse is."""
        one, two = self.listen(0, 0, 50, 100), self.listen(50, 0, 50, 100)
        uuids = [events._viewport.get_uuid() for events in (one, two)]
        self.move(25, 50)
        self.type("a")
        self.assertEqual(self.keys(), [])
        for x, button, owner in ((25, LEFT, 0), (75, RIGHT, 1), (25, BACK, 0)):
            with self.subTest(x=x):
                self.press(x, 50, button)
                self.release(x, 50, button)
                self.move(199, 50)
                self.type("ctrl+a")
                self.assertEqual(
                    self.keys(), [(uuids[owner], "key_press", "ctrl+a"), (uuids[owner], "key_release", "ctrl+a")]
                )
        self.press(150, 50)
        self.type("a")
        self.assertEqual(self.keys(), [])

    def test_release_after_the_focus_went(self) -> None:
        """A key's release goes where its press went, and nowhere else, also if shift or ctrl is let go in between."""
        one, two = self.listen(0, 0, 50, 100), self.listen(50, 0, 50, 100)
        first = one._viewport.get_uuid()
        for pressed, released in (("a", "a"), ("A", "a"), ("ctrl+a", "a"), ("+", "+"), ("ctrl++", "+")):
            with self.subTest(pressed=pressed):
                self.press(25, 50)
                self.release(25, 50)
                self.key(pressed)
                self.press(75, 50)
                self.release(75, 50)
                self.key(released, "release")
                self.assertEqual(self.keys(), [(first, "key_press", pressed), (first, "key_release", released)])
        self.assertFalse(two._pressed | one._pressed)

    def test_release_follows_press(self) -> None:
        """A key that was pressed for a viewport is reported to it as released, also when the keys have gone elsewhere."""
        uuid = self.listen(0, 0, 50, 100)._viewport.get_uuid()
        self.press(25, 50)
        self.key("a")
        self.press(150, 50)
        self.key("b")
        self.key("b", "release")
        self.key("a", "release")
        self.key("a", "release")
        self.assertEqual(self.keys(), [(uuid, "key_press", "a"), (uuid, "key_release", "a")])

    def test_no_name(self) -> None:
        """A key that Matplotlib has no name for is not reported."""
        self.listen(0, 0, 200, 100)
        self.press(50, 50)
        self.key(None)
        self.assertEqual(self.keys(), [])

    def test_other_renderer(self) -> None:
        """A click in the window of one renderer leaves the keys of another's where they are."""
        self.listen(0, 0, 200, 100)
        self.press(50, 50)
        with NetworkRenderer(Canvas(50, 50), "http://127.0.0.1:5000") as other:
            with ViewportEventsNetwork(other, Viewport(0, 0, 50, 50)) as events:
                canvas = other.get_mpl_figure().canvas
                pressed = mpl.MouseEvent("button_press_event", canvas, 25, 25, LEFT)
                events.key_press_event.subscribe(self.seen.append)
                canvas.callbacks.process("button_press_event", pressed)
        self.seen.clear()
        self.key("a")
        self.assertEqual(self.kinds(), ["key_press"])

    def test_shortcuts(self) -> None:
        """Matplotlib's shortcuts are off while viewports have the keys, and on again when the last one is closed."""
        axes = self.figure.axes[0]

        def log_scaled() -> bool:
            event = mpl.KeyEvent("key_press_event", self.canvas, "l", 50, 50)
            event.inaxes = axes
            self.send("key_press_event", event)
            return bool(axes.get_yscale() == "log")

        one, two = self.listen(0, 0, 200, 100), self.listen(0, 0, 200, 100)
        self.assertFalse(log_scaled())
        one.close()
        one.close()
        self.assertFalse(log_scaled())
        two.close()
        self.assertTrue(log_scaled())


class Resizing(Case):
    def test_resize(self) -> None:
        """The new size of the window's canvas is reported, wherever the mouse is."""
        uuid = self.listen(0, 0, 10, 10)._viewport.get_uuid()
        self.resize(400, 300)
        self.assertEqual(self.seen, [CanvasResizeEvent(uuid, EventType.CANVAS_RESIZE, 400, 300)])


class Coalescing(Case):
    """In a GUI, whose timers run out once it has nothing more to deliver."""

    def setUp(self) -> None:
        super().setUp()
        self.timers: list[ManualTimer] = []
        self.canvas.new_timer = self.new_timer

    def new_timer(self, interval: int) -> ManualTimer:
        self.assertEqual(interval, 1)  # Tk delivers a timer of 0 before all else
        self.timers.append(ManualTimer())
        return self.timers[-1]

    def idle(self) -> None:
        """The GUI has delivered all."""
        for timer in self.timers:
            timer.run_out()

    def test_latest_move(self) -> None:
        """Of moves that come one upon the other the latest alone is reported, once the GUI has nothing newer."""
        self.listen(0, 0, 200, 100)
        for x in range(101):
            self.move(x, 50)
        self.assertEqual(self.seen, [])
        self.assertTrue(self.timers[0].single_shot)
        self.idle()
        self.assertEqual(self.places(), [("mouse_move", 0, 0)])
        self.idle()
        self.assertEqual(self.seen, [])

    def test_order(self) -> None:
        """Presses, releases and keys are reported at once, all of them, after the latest move before each."""
        self.listen(0, 0, 200, 100)
        for x, press in ((50, True), (100, False), (150, True), (100, False)):
            for step in range(10):
                self.move(x - 9 + step, 50)
            (self.press if press else self.release)(x, 50)
        self.key("a")
        wanted = []
        for x_ndc, kind in ((-0.5, "press"), (0, "release"), (0.5, "press"), (0, "release")):
            wanted += [("mouse_move", x_ndc, 0), (f"button_{kind}", x_ndc, 0)]
        self.assertEqual(self.seen.pop().key_name, "a")
        self.assertEqual(self.places(), wanted)

    def test_scrolls_add_up(self) -> None:
        """The steps of scrolls add up, and no move among them parts them."""
        self.listen(0, 0, 200, 100)
        for step in (1, 1, -1, 2):
            self.move(50, 50)
            self.scroll(100 + step, 50, step)
        self.idle()
        self.assertEqual(
            [(e.event_type.value, round(e.x_ndc, 9), e.scroll_steps) for e in self.seen],
            [
                ("mouse_move", -0.5, 0.0),
                ("mouse_scroll", 0.02, 3.0),
            ],
        )

    def test_resizes(self) -> None:
        """Of sizes that follow each other the latest alone is reported."""
        self.listen(0, 0, 200, 100)
        for width in (210, 220, 230):
            self.resize(width, 100)
        self.idle()
        self.assertEqual([event.canvas_width_px for event in self.seen], [230])

    def test_slow_callback(self) -> None:
        """What the GUI delivers once a slow callback has returned, a backlog of moves, comes as the latest alone."""
        backlog: list[int] = []
        self.listen(0, 0, 100, 100, mouse_move_event=lambda event: backlog.extend(range(1, 51)))
        self.move(0, 50)
        self.idle()
        while backlog:
            self.move(backlog.pop(0), 50)
        self.idle()
        self.assertEqual(self.places(), [("mouse_move", -1, 0), ("mouse_move", 0, 0)])

    def test_callback_that_runs_the_gui(self) -> None:
        """What comes while a callback runs the GUI waits for it: the presses in their order, and the latest move."""
        depth: list[int] = []
        first = iter([True])

        def run_gui(event: MouseEvent) -> None:
            self.assertEqual(depth, [])
            depth.append(1)
            if next(first, False):
                for x in (10, 20):
                    self.move(x, 50)
                self.press(30, 50)
                for x in (40, 50):
                    self.move(x, 50)
                self.release(60, 50)
                for x in (70, 75):
                    self.move(x, 50)
                self.idle()
            depth.clear()

        self.listen(0, 0, 100, 100, mouse_move_event=run_gui)
        self.move(0, 50)
        self.idle()
        wanted = [("mouse_move", -1, 0), ("mouse_move", -0.6, 0), ("button_press", -0.4, 0)]
        wanted += [("mouse_move", 0, 0), ("button_release", 0.2, 0)]
        self.assertEqual(self.places(), wanted)
        self.move(100 - 1, 50)  # newer than the one that waits
        self.idle()
        self.assertEqual(self.places(), [("mouse_move", 0.98, 0)])

    def test_callback_that_fails(self) -> None:
        """What a callback raises comes through, and what waits behind it is reported all the same."""

        def fail(event: MouseEvent) -> None:
            self.press(60, 50)
            raise KeyError("x")

        self.listen(0, 0, 100, 100, mouse_move_event=fail)
        self.move(50, 50)
        with self.assertRaises(KeyError):
            self.idle()
        self.assertEqual(self.kinds(), ["mouse_move"])
        self.idle()
        self.assertEqual(self.kinds(), ["button_press"])

    def test_without_a_gui(self) -> None:
        """Where Matplotlib has no GUI, moves are reported at once, and one that a callback makes after it."""
        del self.canvas.new_timer
        moves = iter([(20, 50), (30, 50)])
        self.listen(0, 0, 100, 100, mouse_move_event=lambda event: self.move(*next(moves, (-1, -1))))
        self.move(10, 50)
        self.assertEqual([place[1] for place in self.places()], [-0.8, -0.6, -0.4])

    def test_closed_while_one_waits(self) -> None:
        """What waits when it is closed is not reported, and the timer is stopped."""
        events = self.listen(0, 0, 200, 100)
        self.move(50, 50)
        self.assertTrue(self.timers[0].running)
        events.close()
        self.assertFalse(self.timers[0].running)
        self.assertEqual(self.seen, [])


class Closing(Case):
    def all_sorts(self) -> None:
        self.press(50, 50)
        self.key("a")
        self.move(60, 50)
        self.scroll(60, 50, 1)
        self.release(60, 50)
        self.key("a", "release")

    def test_close(self) -> None:
        """After close nothing is reported, nothing is left in the figure, and a second time does nothing."""

        def count() -> int:
            return sum(len(callbacks) for callbacks in self.canvas.callbacks.callbacks.values())

        before = count()
        events = self.listen(0, 0, 200, 100)
        self.assertGreater(count(), before)
        self.all_sorts()
        self.assertEqual(len(self.kinds()), 6)
        events.close()
        self.assertEqual(count(), before)
        events.close()
        self.all_sorts()
        self.resize(300, 300)
        self.assertEqual(self.seen, [])

    def test_close_in_a_callback(self) -> None:
        """A callback may close: nothing more is reported."""
        events = self.listen(0, 0, 200, 100, button_press_event=lambda event: events.close())
        self.all_sorts()
        self.assertEqual(self.kinds(), ["button_press"])

    def test_closed_window(self) -> None:
        """When the window is closed, it ends by itself."""
        events = self.listen(0, 0, 200, 100)
        self.send("close_event", mpl.CloseEvent("close_event", self.canvas))
        self.all_sorts()
        self.assertEqual(self.seen, [])
        events.close()

    def test_others_go_on(self) -> None:
        """Closing one leaves the others of the same window."""
        one, _ = self.listen(0, 0, 200, 100), self.listen(0, 0, 200, 100)
        one.close()
        self.all_sorts()
        self.assertEqual(len(self.seen), 6)

    def test_context_manager(self) -> None:
        """`with` gives the events themselves and closes them at the end."""
        with ViewportEventsNetwork(self.renderer, Viewport(0, 0, 200, 100)) as events:
            events.button_press_event.subscribe(self.seen.append)
            self.press(50, 50)
        self.press(50, 50)
        self.assertEqual(self.kinds(), ["button_press"])

    def test_kept_alive(self) -> None:
        """It listens on where the program keeps no reference to it, and goes with the figure."""
        gone = weakref.ref(self.listen_unkept())
        gc.collect()
        self.press(50, 50)
        self.assertEqual(self.kinds(), ["button_press"])
        self.renderer.close()
        del self.figure, self.canvas
        if hasattr(mpl.LocationEvent, "lastevent"):  # Matplotlib 3.5 keeps it
            mpl.LocationEvent.lastevent = None
        gc.collect()
        self.assertIsNone(gone())

    def listen_unkept(self) -> ViewportEventsNetwork:
        events = ViewportEventsNetwork(self.renderer, Viewport(0, 0, 200, 100))
        events.button_press_event.subscribe(self.seen.append)
        return events


class Making(Case):
    def test_contract(self) -> None:
        """It is a ViewportEventsBase that lacks no method and has every event of its own."""
        self.assertTrue(issubclass(ViewportEventsNetwork, ViewportEventsBase))
        one, two = self.listen(0, 0, 1, 1), self.listen(0, 0, 1, 1)
        self.assertEqual(len({id(getattr(events, name)) for events in (one, two) for name in NAMES}), 14)

    def test_bad_arguments(self) -> None:
        """A renderer or a viewport that is none is refused by its name."""
        with self.assertRaisesRegex(InvalidScene, "^renderer: null, expected a NetworkRenderer"):
            ViewportEventsNetwork(None, Viewport(0, 0, 1, 1))
        with self.assertRaisesRegex(InvalidScene, "^viewport: Canvas, expected a Viewport"):
            ViewportEventsNetwork(self.renderer, Canvas(1, 1))
        self.renderer.close()
        with self.assertRaisesRegex(GspNetworkError, "closed"):
            ViewportEventsNetwork(self.renderer, Viewport(0, 0, 1, 1))


if __name__ == "__main__":
    unittest.main()
