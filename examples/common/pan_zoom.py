"""Panning and zooming a flat scene with the mouse."""

from typing import Optional

import numpy as np

from gsp_network import MouseEvent
from gsp_network.viewport_events import ViewportEventsNetwork

ZOOM_PER_STEP = 1.15


class PanZoom:
    """The left button drags the scene along; the wheel zooms about the place under the mouse.

    Attributes:
        matrix: (4, 4), for the camera's view.
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
            self._last = _place(event)

    def _release(self, event: MouseEvent) -> None:
        if event.left_button:
            self._last = None

    def _move(self, event: MouseEvent) -> None:
        if self._last is not None:
            now = _place(event)
            self.matrix[:2, 3] += now - self._last
            self._last, self._changed = now, True

    def _scroll(self, event: MouseEvent) -> None:
        factor, place = ZOOM_PER_STEP**event.scroll_steps, _place(event)
        self.matrix[:2, :2] *= factor
        self.matrix[:2, 3] = place + factor * (self.matrix[:2, 3] - place)
        self._changed = True


def _place(event: MouseEvent) -> np.ndarray:
    return np.array([event.x_ndc, event.y_ndc])
