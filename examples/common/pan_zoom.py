"""Panning and zooming a flat scene with the mouse."""

import numpy as np

from gsp_network import MouseEvent

from .control import Control

ZOOM_PER_STEP = 1.15


class PanZoom(Control):
    """The left button drags the scene along; the wheel zooms about the place under the mouse. `matrix` is for a camera's view."""

    def place(self, event: MouseEvent) -> np.ndarray:
        return np.array([event.x_ndc, event.y_ndc])

    def dragged(self, last: np.ndarray, now: np.ndarray) -> None:
        self.matrix[:2, 3] += now - last

    def scrolled(self, event: MouseEvent) -> None:
        factor, place = ZOOM_PER_STEP**event.scroll_steps, self.place(event)
        self.matrix[:2, :2] *= factor
        self.matrix[:2, 3] = place + factor * (self.matrix[:2, 3] - place)
