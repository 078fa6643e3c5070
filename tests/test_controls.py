"""The examples' controls: what a drag and the wheel do to their matrices."""

from __future__ import annotations

import importlib
import sys
import unittest
from typing import Any

import numpy as np

from gsp_network import Event, EventType, MouseEvent

from .support import ROOT

NAMES = ("button_press_event", "button_release_event", "mouse_move_event", "mouse_scroll_event")


class Events:
    """The events of a viewport, without a window."""

    def __init__(self) -> None:
        for name in NAMES:
            setattr(self, name, Event())

    def happen(self, kind: EventType, x: float, y: float, left: bool = False, steps: float = 0.0) -> None:
        event = MouseEvent("a viewport", kind, x, y, left_button=left, scroll_steps=steps)
        getattr(self, f"{kind.value}_event").dispatch(event)

    def drag(self, *places: tuple[float, float]) -> None:
        self.happen(EventType.BUTTON_PRESS, *places[0], left=True)
        for place in places[1:]:
            self.happen(EventType.MOUSE_MOVE, *place, left=True)
        self.happen(EventType.BUTTON_RELEASE, *places[-1], left=True)


class TestControls(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        sys.path.insert(0, str(ROOT / "examples"))
        cls.addClassCleanup(sys.path.remove, str(ROOT / "examples"))
        for name in [name for name in sys.modules if name.partition(".")[0] == "common"]:
            cls.addClassCleanup(sys.modules.__setitem__, name, sys.modules.pop(name))

    def control(self, module: str, name: str) -> tuple[Any, Events]:
        events = Events()
        return getattr(importlib.import_module(f"common.{module}"), name)(events), events

    def test_pan_follows_the_mouse(self) -> None:
        """What is under the mouse when a drag begins is under it when it ends; without the button nothing moves."""
        control, events = self.control("pan_zoom", "PanZoom")
        self.assertTrue(control.take())
        events.happen(EventType.MOUSE_MOVE, 0.9, 0.9)
        self.assertFalse(control.take())
        events.drag((0.1, 0.2), (0.3, 0.2), (0.4, -0.3))
        self.assertTrue(control.take())
        np.testing.assert_allclose(control.matrix @ [0.1, 0.2, 0, 1], [0.4, -0.3, 0, 1])
        events.happen(EventType.MOUSE_MOVE, 0.9, 0.9)
        self.assertFalse(control.take())

    def test_zoom_keeps_what_is_under_the_mouse(self) -> None:
        """The wheel makes the scene larger about the mouse, and as much smaller on the way back."""
        control, events = self.control("pan_zoom", "PanZoom")
        before = control.matrix.copy()
        events.happen(EventType.MOUSE_SCROLL, 0.5, -0.5, steps=3)
        np.testing.assert_allclose(control.matrix @ [0.5, -0.5, 0, 1], [0.5, -0.5, 0, 1])
        self.assertGreater(control.matrix[0, 0], 1.4)
        events.happen(EventType.MOUSE_SCROLL, 0.5, -0.5, steps=-3)
        np.testing.assert_allclose(control.matrix, before)

    def test_trackball_turns(self) -> None:
        """A drag to the right turns the front to the right, without change of size; beyond the rim it still turns."""
        control, events = self.control("trackball", "Trackball")
        events.drag((0.0, 0.0), (0.2, 0.0), (0.4, 0.0))
        front = control.matrix @ [0, 0, 1, 1]
        self.assertGreater(front[0], 0.3)
        self.assertAlmostEqual(front[1], 0.0)
        np.testing.assert_allclose(control.matrix[:3, :3] @ control.matrix[:3, :3].T, np.eye(3), atol=1e-12)
        before = control.matrix.copy()
        events.drag((0.95, 0.0), (0.0, 0.95))
        self.assertFalse(np.allclose(control.matrix, before))
        events.happen(EventType.MOUSE_SCROLL, 0.0, 0.0, steps=1)
        self.assertAlmostEqual(np.linalg.det(control.matrix[:3, :3]), 1.1**3)
