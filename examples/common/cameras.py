"""Matrices of cameras and models: numpy arrays (4, 4), rows first, for column vectors."""

import numpy as np


def perspective(field_of_view: float, aspect: float, near: float, far: float) -> np.ndarray:
    """A projection matrix; the field of view is the vertical one, in radians."""
    scale = 1.0 / np.tan(field_of_view / 2)
    matrix = np.zeros((4, 4))
    matrix[0, 0], matrix[1, 1] = scale / aspect, scale
    matrix[2] = [0.0, 0.0, (far + near) / (near - far), 2 * far * near / (near - far)]
    matrix[3, 2] = -1.0
    return matrix


def turned(about_x: float, about_y: float) -> np.ndarray:
    """A model matrix that turns about the y axis, then about the x axis."""
    c, s, d, t = np.cos(about_y), np.sin(about_y), np.cos(about_x), np.sin(about_x)
    turn_y = np.array([[c, 0, s, 0], [0, 1, 0, 0], [-s, 0, c, 0], [0, 0, 0, 1]])
    turn_x = np.array([[1, 0, 0, 0], [0, d, -t, 0], [0, t, d, 0], [0, 0, 0, 1]])
    return turn_x @ turn_y


def moved(x: float, y: float, z: float) -> np.ndarray:
    """A matrix that moves by that much."""
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return matrix
