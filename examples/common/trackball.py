"""Turning a model with the mouse."""

import numpy as np

from gsp_network import MouseEvent

from .control import Control

RADIUS = 0.8  # of the ball, in NDC
ZOOM_PER_STEP = 1.1


class Trackball(Control):
    """A ball in the middle of a viewport that the left button turns; the wheel makes it larger or smaller.

    Beyond the ball's rim the surface goes on as a hyperbola, so that a drag never jumps (G. Bell, 1988). `matrix` is for
    the model.
    """

    def place(self, event: MouseEvent) -> np.ndarray:
        """The unit vector to where the mouse touches the ball."""
        x, y = event.x_ndc, event.y_ndc
        square = x * x + y * y
        z = np.sqrt(RADIUS**2 - square) if square < RADIUS**2 / 2 else RADIUS**2 / 2 / np.sqrt(square)
        place = np.array([x, y, z])
        return place / np.linalg.norm(place)

    def dragged(self, last: np.ndarray, now: np.ndarray) -> None:
        axis = np.cross(last, now)
        sine = np.linalg.norm(axis)
        if sine > 0:
            self.matrix = _rotation(axis / sine, np.arctan2(sine, last @ now)) @ self.matrix

    def scrolled(self, event: MouseEvent) -> None:
        self.matrix = np.diag([ZOOM_PER_STEP**event.scroll_steps] * 3 + [1.0]) @ self.matrix


def _rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """A turn about a unit vector (Rodrigues' formula)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    matrix = np.eye(4)
    matrix[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return matrix
