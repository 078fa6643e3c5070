"""Vertices to NDC, and points to pixels."""

from __future__ import annotations

import os
import subprocess
import sys
import unittest
import warnings
from unittest import mock

import numpy as np

from gsp_network import InvalidScene, pixels_to_points, points_to_pixels, project
from gsp_network.scene import projection as module

from .processes import PATIENCE
from .support import ROOT

EYE = np.eye(4)

# Projects in one thread and forks in another until that is done.
FORKS = """
import os, threading, warnings
import numpy as np
from gsp_network.scene.projection import project
vertices, eye, perspective = np.ones((100_000, 3)), np.eye(4), np.eye(4)[[0, 1, 2, 2]]

def project_many():
    for _ in range(15):
        project(vertices, eye, eye, eye)
        project(vertices, eye, eye, perspective)

projecting = threading.Thread(target=project_many)
projecting.start()
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 and later warn of any fork beside a thread
while projecting.is_alive():
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
"""


def translate(x: float, y: float, z: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = (x, y, z)
    return matrix


def perspective(near: float = 1.0, far: float = 10.0) -> np.ndarray:
    """A camera at the origin that looks along -z, 90 degrees wide: w is -z."""
    depth = near - far
    return np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, (near + far) / depth, 2 * near * far / depth], [0, 0, -1, 0]])


class Projection(unittest.TestCase):
    def test_shapes_that_are_none(self):
        """Positions and matrices of other shapes are refused by name."""
        for arguments, message in (
            ((np.zeros((4, 2)), EYE, EYE, EYE), "positions: shape (4, 2), expected (n, 3)"),
            ((np.zeros(3), EYE, EYE, EYE), "positions: shape (3,), expected (n, 3)"),
            ((np.zeros((1, 3)), *[np.eye(3)] * 3), "model, view, projection: product of shape (3, 3), expected (4, 4)"),
        ):
            with self.subTest(message), self.assertRaises(InvalidScene) as caught:
                project(*arguments)
            self.assertEqual(str(caught.exception), message)

    def test_identity(self):
        """Through identities, positions are NDC and all visible."""
        positions = np.array([[0.5, -0.25, 3.0], [7.0, 8.0, 9.0]], "f4")
        ndc, visible = project(positions, EYE, EYE, EYE)
        np.testing.assert_array_equal(ndc, positions)
        self.assertEqual((ndc.dtype, visible.tolist()), (np.dtype("f8"), [True, True]))

    def test_rows_first(self):
        """Matrices multiply column vectors: a translation stands in the last column."""
        ndc, _ = project([[1, 1, 1]], translate(1, 2, 3), EYE, EYE)
        self.assertEqual(ndc.tolist(), [[2.0, 3.0, 4.0]])

    def test_order(self):
        """The model comes first, then the view, then the projection."""
        scale, shift, turn = np.diag([2.0, 2, 2, 1]), translate(1, 0, 0), np.eye(4)[[1, 0, 2, 3]]
        ndc, _ = project([[1, 5, 0]], scale, shift, turn)
        self.assertEqual(ndc.tolist(), [[10.0, 3.0, 0.0]])

    def test_some_at_a_time(self) -> None:
        """Vertices that are projected in pieces come out as they do alone, those that cannot be drawn too."""
        vertices = np.random.default_rng(1).normal(0, 1, (11, 3)) * (1, 1, 4)
        vertices[5, 1], vertices[9, 2] = np.nan, np.inf
        for matrix in (perspective(), translate(1, 2, 3)):
            alone = [project(vertex[np.newaxis], EYE, EYE, matrix) for vertex in vertices]
            with mock.patch.object(module, "CHUNK", 4):
                ndc, visible = project(vertices, EYE, EYE, matrix)
            np.testing.assert_array_equal(ndc, np.concatenate([one for one, _ in alone]))
            np.testing.assert_array_equal(visible, np.concatenate([one for _, one in alone]))
            self.assertFalse(visible[5])

    def test_perspective(self):
        """NDC is clip divided by w, and the near plane comes out at z -1."""
        ndc, visible = project([[1, 2, -4], [0, 0, -1], [0, 0, -10]], EYE, EYE, perspective())
        np.testing.assert_allclose(ndc[0, :2], [0.25, 0.5])
        np.testing.assert_allclose(ndc[1:, 2], [-1.0, 1.0])
        self.assertTrue(visible.all())

    def test_behind_the_camera(self):
        """A vertex with w of 0 or less is not visible, and its NDC is 0."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ndc, visible = project([[1, 1, -1], [1, 1, 0], [1, 1, 2], [0, 0, 0]], EYE, EYE, perspective())
        self.assertEqual(visible.tolist(), [True, False, False, False])
        self.assertEqual(ndc[1:].tolist(), [[0.0, 0.0, 0.0]] * 3)

    def test_negative_w_everywhere(self):
        """A constant w below 0 hides all, though it is the same everywhere."""
        ndc, visible = project([[1, 1, 1]], EYE, EYE, np.diag([1.0, 1, 1, -1]))
        self.assertEqual((visible.tolist(), ndc.tolist()), ([False], [[0.0, 0.0, 0.0]]))

    def test_constant_w(self):
        """A constant w other than 1 divides."""
        ndc, visible = project([[1, 2, 4]], EYE, EYE, np.diag([1.0, 1, 1, 2]))
        self.assertEqual((visible.tolist(), ndc.tolist()), ([True], [[0.5, 1.0, 2.0]]))

    def test_nothing_is_clipped(self):
        """Vertices outside the viewport or beyond near and far stay visible."""
        ndc, visible = project([[50, 0, 0], [0, 0, -50], [0, 0, 50]], EYE, EYE, EYE)
        self.assertTrue(visible.all())
        self.assertEqual(ndc[0, 0], 50.0)

    def test_overflow(self):
        """What a float cannot hold is not visible, quietly; the others are not disturbed."""
        huge = np.diag([1e308, 1.0, 1.0, 1.0])
        for name, projection in (("affine", EYE), ("perspective", perspective())):
            with self.subTest(name), warnings.catch_warnings():
                warnings.simplefilter("error")
                ndc, visible = project([[1e38, 0, -1], [0, 0.5, -1]], huge, EYE, projection)
                self.assertEqual(visible.tolist(), [False, True])
                self.assertEqual(ndc[0].tolist(), [0.0, 0.0, 0.0])
                self.assertEqual(ndc[1, 1], 0.5)

    def test_no_vertices(self):
        """No vertices give no NDC, through either kind of matrix."""
        for projection in (EYE, perspective()):
            ndc, visible = project(np.zeros((0, 3), "f4"), EYE, EYE, projection)
            self.assertEqual((ndc.shape, visible.shape), ((0, 3), (0,)))

    def test_double_precision(self):
        """Matrices multiply in float64, so that large offsets that cancel leave nothing behind."""
        ndc, _ = project([[0.25, 0, 0]], translate(16777217, 0, 0), translate(-16777216, 0, 0), EYE)
        self.assertEqual(ndc[0, 0], 1.25)

    @unittest.skipUnless(hasattr(os, "fork"), "no forks here")
    def test_processes_started_meanwhile(self):
        """Many vertices are projected to the end also where another thread forks processes meanwhile."""
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT, env=environ
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_arguments_are_left_alone(self):
        """Positions and matrices are not changed."""
        positions, model = np.array([[1.0, 1.0, 5.0]]), perspective()
        project(positions, model, EYE, EYE)
        self.assertEqual(positions.tolist(), [[1.0, 1.0, 5.0]])
        np.testing.assert_array_equal(model, perspective())


class Units(unittest.TestCase):
    def test_points_to_pixels(self):
        """72 points are an inch: as many pixels as the dpi."""
        self.assertEqual(points_to_pixels(72, 96), 96.0)
        self.assertEqual(points_to_pixels(0.75, 96.0), 1.0)

    def test_pixels_to_points(self):
        """pixels_to_points undoes points_to_pixels."""
        self.assertEqual(pixels_to_points(96, 96), 72.0)
        self.assertAlmostEqual(pixels_to_points(points_to_pixels(3.7, 127.5), 127.5), 3.7)

    def test_arrays(self):
        """Arrays convert item by item."""
        np.testing.assert_allclose(points_to_pixels(np.array([36.0, 72.0]), 100), [50.0, 100.0])
        np.testing.assert_allclose(pixels_to_points(np.array([50.0, 100.0]), 100), [36.0, 72.0])

    def test_bad_dpi(self):
        """A dpi that is no number above 0 is refused."""
        table = [
            (0, "dpi: 0.0, expected more than 0"),
            (-96, "dpi: -96.0, expected more than 0"),
            (True, "dpi: boolean, expected a number"),
            ("96", "dpi: text, expected a number"),
            (float("nan"), "dpi: nan, expected a finite number"),
        ]
        for dpi, message in table:
            for function in (points_to_pixels, pixels_to_points):
                with self.subTest(message, function=function.__name__):
                    with self.assertRaises(InvalidScene) as caught:
                        function(1.0, dpi)
                    self.assertEqual(str(caught.exception), message)


if __name__ == "__main__":
    unittest.main()
