"""Events: subscribing, dispatching, who is called when, and what the events of a viewport are made of."""

from __future__ import annotations

import dataclasses
import unittest
from typing import Callable

from gsp_network import CanvasResizeEvent, Event, EventType, KeyEvent, MouseEvent


class Events(unittest.TestCase):
    def setUp(self):
        self.event: Event[Callable[..., None]] = Event()
        self.calls = []

    def callback(self, name):
        return lambda *args, **kwargs: self.calls.append((name, args, kwargs))

    def test_nobody_listens(self):
        """An event without callbacks dispatches to nobody and fails at nothing."""
        self.assertIsNone(self.event.dispatch(1))
        self.assertEqual(self.calls, [])

    def test_order_and_arguments(self):
        """Callbacks are called in the order in which they subscribed, with all arguments."""
        for name in "abc":
            self.event.subscribe(self.callback(name))
        self.event.dispatch(1, key=2)
        self.assertEqual(self.calls, [(name, (1,), {"key": 2}) for name in "abc"])

    def test_twice(self):
        """A callback that is subscribed twice is called twice, and unsubscribing takes one away."""
        callback = self.callback("a")
        self.event.subscribe(callback)
        self.event.subscribe(callback)
        self.event.dispatch()
        self.assertEqual(len(self.calls), 2)
        self.event.unsubscribe(callback)
        self.event.dispatch()
        self.assertEqual(len(self.calls), 3)

    def test_unsubscribe_unknown(self):
        """Unsubscribing what is not subscribed is a ValueError that says so."""
        with self.assertRaises(ValueError) as caught:
            self.event.unsubscribe(self.callback("a"))
        self.assertEqual(str(caught.exception), "callback: not subscribed to this event")

    def test_not_callable(self):
        """What cannot be called is refused when it subscribes."""
        with self.assertRaises(TypeError) as caught:
            self.event.subscribe(3)
        self.assertEqual(str(caught.exception), "callback: int, expected something callable")

    def test_decorator(self):
        """event_listener subscribes a function and returns it as it is."""
        callback = self.callback("a")
        self.assertIs(self.event.event_listener(callback), callback)
        self.event.dispatch()
        self.assertEqual(len(self.calls), 1)

    def test_exception_comes_through(self):
        """What a callback raises comes through; those before it were called, those behind it are not."""
        error = KeyError("x")

        def fail():
            raise error

        self.event.subscribe(self.callback("before"))
        self.event.subscribe(fail)
        self.event.subscribe(self.callback("behind"))
        with self.assertRaises(KeyError) as caught:
            self.event.dispatch()
        self.assertIs(caught.exception, error)
        self.assertEqual([name for name, _, _ in self.calls], ["before"])

    def test_changes_during_dispatch(self):
        """Who unsubscribes or subscribes during a dispatch changes the next one, not this one."""
        later = self.callback("later")

        def once():
            self.calls.append(("once", (), {}))
            self.event.unsubscribe(once)
            self.event.subscribe(later)

        self.event.subscribe(once)
        self.event.subscribe(self.callback("second"))
        self.event.dispatch()
        self.assertEqual([name for name, _, _ in self.calls], ["once", "second"])
        self.calls.clear()
        self.event.dispatch()
        self.assertEqual([name for name, _, _ in self.calls], ["second", "later"])

    def test_events_are_separate(self):
        """Callbacks of one event are not called by another."""
        other: Event[Callable[..., None]] = Event()
        self.event.subscribe(self.callback("a"))
        other.dispatch()
        self.assertEqual(self.calls, [])

    def test_bound_methods(self):
        """A bound method can be unsubscribed by naming it again."""
        self.event.subscribe(self.calls.append)
        self.event.unsubscribe(self.calls.append)
        self.event.dispatch(1)
        self.assertEqual(self.calls, [])


class ViewportEvents(unittest.TestCase):
    def test_types(self):
        """Each type of event is the word that its Event's name begins with."""
        words = ["key_press", "key_release", "button_press", "button_release", "mouse_move", "mouse_scroll"]
        self.assertEqual([kind.value for kind in EventType], [*words, "canvas_resize"])
        self.assertEqual(EventType.KEY_PRESS, "key_press")
        self.assertIs(EventType("mouse_move"), EventType.MOUSE_MOVE)

    def test_fields(self):
        """The events are made of their fields, in order."""
        table = (
            (KeyEvent("u", EventType.KEY_PRESS, "a"), "viewport_uuid event_type key_name"),
            (
                MouseEvent("u", EventType.BUTTON_PRESS, 0.5, -1.0, True, False, False, 0.0),
                "viewport_uuid event_type x_ndc y_ndc left_button middle_button right_button scroll_steps",
            ),
            (
                CanvasResizeEvent("u", EventType.CANVAS_RESIZE, 40, 30),
                "viewport_uuid event_type canvas_width_px canvas_height_px",
            ),
        )
        for event, names in table:
            with self.subTest(type(event).__name__):
                self.assertEqual([field.name for field in dataclasses.fields(event)], names.split())
                self.assertEqual(dataclasses.replace(event), event)


if __name__ == "__main__":
    unittest.main()
