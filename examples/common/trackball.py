"""Turning a model with the mouse."""

from typing import Optional

import numpy as np

from gsp_network import MouseEvent
from gsp_network.viewport_events import ViewportEventsNetwork

RADIUS = 0.8  # of the ball, in NDC
ZOOM_PER_STEP = 1.1


class Trackball:
    """A ball in the middle of a viewport that the left button turns; the wheel makes it larger or smaller.

    Beyond the ball's rim the surface goes on as a hyperbola, so that a drag never jumps (G. Bell, 1988).

    Attributes:
        matrix: (4, 4), for the model.
    """

    def __init__(self, events: ViewportEventsNetwork) -> None:
        self.matrix = np.eye(4)
        self._changed = True
        self._last: Optional[np.ndarray] = None
        events.button_press_event.subscribe(self._press)
        events.button_release_event.subscribe(self._release)
        events.mouse_move_event.subscribe(self._move)
        events.mouse_scroll_event.subscribe(self._scroll)

    def take(self) -> bool:
        """Whether the matrix has changed since this was last asked."""
        changed, self._changed = self._changed, False
        return changed

    def _press(self, event: MouseEvent) -> None:
        if event.left_button:
            self._last = _on_ball(event)

    def _release(self, event: MouseEvent) -> None:
        if event.left_button:
            self._last = None

    def _move(self, event: MouseEvent) -> None:
        if self._last is None:
            return
        now = _on_ball(event)
        axis = np.cross(self._last, now)
        sine = np.linalg.norm(axis)
        if sine > 1e-9:
            self._apply(_rotation(axis / sine, np.arctan2(sine, self._last @ now)))
            self._last = now

    def _scroll(self, event: MouseEvent) -> None:
        self._apply(np.diag([ZOOM_PER_STEP**event.scroll_steps] * 3 + [1.0]))

    def _apply(self, matrix: np.ndarray) -> None:
        self.matrix = matrix @ self.matrix
        self._changed = True


def _on_ball(event: MouseEvent) -> np.ndarray:
    """The unit vector to where the mouse touches the ball."""
    x, y = event.x_ndc, event.y_ndc
    square = x * x + y * y
    z = np.sqrt(RADIUS**2 - square) if square < RADIUS**2 / 2 else RADIUS**2 / 2 / np.sqrt(square)
    place = np.array([x, y, z])
    return place / np.linalg.norm(place)


def _rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """A turn about a unit vector (Rodrigues' formula)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    matrix = np.eye(4)
    matrix[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return matrix
