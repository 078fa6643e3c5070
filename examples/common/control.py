"""What controls by mouse have in common: a matrix that drags with the left button and turns of the wheel change."""

from typing import Optional

import numpy as np

from gsp_network import MouseEvent, ViewportEventsNetwork


class Control:
    """Changes a matrix; what a drag and the wheel do is the subclass's.

    Attributes:
        matrix: (4, 4).
    """

    def __init__(self, events: ViewportEventsNetwork) -> None:
        self.matrix = np.eye(4)
        self._taken: Optional[np.ndarray] = None
        self._last: Optional[np.ndarray] = None  # where the mouse was, while the button is held
        events.button_press_event.subscribe(self._press)
        events.button_release_event.subscribe(self._release)
        events.mouse_move_event.subscribe(self._move)
        events.mouse_scroll_event.subscribe(self.scrolled)

    def take(self) -> bool:
        """Whether the matrix has changed since this was last asked."""
        changed = self._taken is None or not np.array_equal(self._taken, self.matrix)
        self._taken = self.matrix.copy()
        return changed

    def place(self, event: MouseEvent) -> np.ndarray:
        """Where the mouse is, as `dragged` wants it."""
        raise NotImplementedError

    def dragged(self, last: np.ndarray, now: np.ndarray) -> None:
        """The mouse went from one place to the other with the left button held."""
        raise NotImplementedError

    def scrolled(self, event: MouseEvent) -> None:
        """The wheel was turned."""
        raise NotImplementedError

    def _press(self, event: MouseEvent) -> None:
        if event.left_button:
            self._last = self.place(event)

    def _release(self, event: MouseEvent) -> None:
        if event.left_button:
            self._last = None

    def _move(self, event: MouseEvent) -> None:
        if self._last is not None:
            now = self.place(event)
            self.dragged(self._last, now)
            self._last = now
