"""Datoviz keeps much from frame to frame: whatever changes between two of them, none of the former shows in the latter."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import unittest
from typing import Any, Iterator
from unittest import mock

import matplotlib
import numpy as np

from gsp_network import Buffer, Camera, Canvas, Points, Texts, Viewport, decode_scene
from gsp_network.backends.base import prepare
from gsp_network.codec import Scene
from gsp_network.rendering import draw_scene
from gsp_network.scene.visuals import CapStyle, ImageInterpolation, JoinStyle, MarkerShape, VisualBase
from gsp_network.settings import Limits

from .processes import PATIENCE
from .scenes import BLUE, GREEN, RED, body_of, image, markers, path, pixels, points, rgba, segment, text
from .support import ROOT, datoviz_reason

OTHERS: dict[str, Any] = {
    "marker_shape": MarkerShape.square,
    "cap_style": CapStyle.ROUND,
    "join_style": JoinStyle.BEVEL,
    "image_interpolation": ImageInterpolation.LINEAR,
    "image_extent": [-0.7, 0.9, -0.8, 0.6],
    "strings": ["x", "other"],
    "font_name": "DejaVu Serif",
    "groups": [[0, 3, 4], [1, 2, 5]],
}
"""Another value of each field that is no buffer."""


def all_kinds() -> list[VisualBase]:
    """Entries that Datoviz draws in every way that it has."""
    rng = np.random.default_rng(0)
    many = np.column_stack([rng.uniform(-1, 1, (600, 2)), np.zeros(600)])
    dots = np.column_stack([rng.uniform(-0.9, 0.9, (6, 2)), np.zeros(6)])
    words = Texts(
        np.array([[0.2, 0, 0], [-0.4, 0.5, 0]]),
        ["a", "b c"],
        rgba(BLUE, 2),
        [14, 20],
        [[0, 0]] * 2,
        [0, 1],
        "DejaVu Sans",
    )
    texels = rng.integers(0, 256, (4, 6, 4))
    texels[..., 3] = 255
    return [
        image(texels, (-0.9, 0.9, -0.9, 0.9)),
        Points(many, np.full(600, 9.0), rgba(GREEN, 600), rgba(BLUE, 600), np.ones(600)),
        points((0.1, 0.1, 0), (-0.3, 0.4, 0), edge=BLUE, width=3.0),
        markers("club", (0.5, 0.5, 0), (-0.5, 0, 0), edge=GREEN, width=2.0),
        pixels(dots, [[*RED, 255], [*BLUE, 255]], [3, 3]),
        segment((-1, 0, 0), (1, 0.3, 0), 6.0),
        path([(-1, -1, 0), (0, 0.9, 0), (1, -1, 0)], 5.0),
        path([(-1, 1, 0), (0, -0.9, 0), (1, 1, 0)], 5.0, (*RED, 99)),
        words,
    ]


def all_changes(scene: Scene) -> Iterator[tuple[str, Scene]]:
    """What each change is called, and the scene after it: every field of every visual, then all that is around them."""
    for visual in scene.visuals:
        for field in visual.FIELDS:
            value = getattr(visual, f"get_{field.name}")()
            if field.name == "texture":
                value = value.get_data()
            name = f"{visual.kind}.{field.name}"
            if isinstance(value, Buffer):
                memory = value.to_numpy()
                if not memory.flags.writeable:
                    getattr(visual, f"set_{field.name}")(memory.copy())
                    memory = getattr(visual, f"get_{field.name}")().to_numpy()
                if memory.dtype == np.uint8:  # in place, as the owner of such memory may change it
                    memory[..., :3] = 255 - memory[..., :3]
                elif field.name == "path_sizes":
                    continue
                else:
                    memory[...] = memory * np.float32(0.75) + np.float32(0.125)
            else:
                getattr(visual, f"set_{field.name}")(OTHERS[field.name])
            yield name, scene
    everywhere = len(scene.visuals)
    matrix, camera = np.diag([0.5, 0.5, 1, 1])[np.newaxis], np.diag([0.7, 0.9, 1, 1])[np.newaxis]
    changes: dict[str, dict[str, Any]] = {
        "order": {"visuals": scene.visuals[::-1]},
        "an entry less": {"visuals": scene.visuals[1:][::-1]},
        "an entry twice": {"visuals": (*scene.visuals[1:][::-1], scene.visuals[3])},
        "model matrix": {"model_matrices": (Buffer.from_numpy(matrix),) * everywhere},
        "camera": {"cameras": (Camera(camera),) * everywhere},
        "viewports": {"viewports": (Viewport(9, 5, 60, 70),) * everywhere},
        "resolution": {"canvas": Canvas(100, 90, 120.0)},
        "size": {"canvas": Canvas(90, 100, 120.0)},
    }
    for name, change in changes.items():
        scene = dataclasses.replace(scene, **change)
        yield name, scene


def tell_changes() -> None:
    """In a process of its own: after each change whether the picture is another, and whether it is as if nothing were kept."""
    from gsp_network.backends import backend, datoviz_backend
    from gsp_network.backends.kept import Kept

    datoviz_backend.use_memory()
    drawer: Any = backend("datoviz")

    def drawn(scene: Scene, afresh: bool) -> np.ndarray:
        if not afresh:
            return draw_scene(scene, Limits())
        kept, drawer._made = drawer._made, Kept(0)
        for visual in drawer.frames._every_visual():
            visual._given, visual._counts, visual._holds = {}, (), None
        picture = draw_scene(scene, Limits())
        drawer._made = kept
        return picture

    visuals = tuple(all_kinds())
    count = len(visuals)
    first = Scene(
        Canvas(100, 90, 96.0),
        (Viewport(0, 0, 100, 90),) * count,
        visuals,
        (Buffer.identity(),) * count,
        (Camera(),) * count,
        "datoviz",
    )
    before, told = drawn(first, afresh=False), {}
    for name, scene in all_changes(first):
        drawn(scene, afresh=False)
        again = drawn(scene, afresh=False)  # by what the frame before has left
        same = np.array_equal(again, drawn(scene, afresh=True))
        told[f"{len(told)} {name}"] = [not np.array_equal(again, before), same]
        before = again
    print(json.dumps(told))


@unittest.skipIf(datoviz_reason(), datoviz_reason())
class TestChanges(unittest.TestCase):
    def test_nothing_of_the_frame_before(self) -> None:
        """Whatever is changed, each field in place or not, the next picture is as if nothing had been kept."""
        code = "from tests.test_datoviz_changes import tell_changes; tell_changes()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT)
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        self.assertGreater(len(told), 45)
        for name, (another, right) in told.items():
            with self.subTest(change=name):
                self.assertTrue(right, "shows something of the frame before")
                self.assertTrue(another, "the change shows nowhere, so that nothing is tested")

    def test_what_stands_still(self) -> None:
        """An entry that has not changed is not made into triangles again, whatever others do; nor are texts that come back."""
        from gsp_network.backends import datoviz_backend  # it loads Datoviz, which may not be there

        with mock.patch.object(datoviz_backend, "_way", mock.Mock):
            drawer = datoviz_backend.DatovizBackend()
        still, moving, whole = segment((-1, 0, 0), (1, 0, 0)), points((0, 0, 0)), Viewport(0, 0, 100, 100)
        made = {name: mock.Mock(wraps=draw) for name, draw in datoviz_backend.DRAW.items()}
        with mock.patch.dict(datoviz_backend.DRAW, made):
            for turn in range(4):
                moving.set_positions([[0.1 * turn, 0, 0]])
                entries = still, moving, text("another" if turn == 1 else "label")
                scene = decode_scene(body_of(*entries, viewports=[whole] * 3))
                parts = drawer.parts(scene.canvas, prepare(scene))
                self.assertEqual(len(parts), 3)
        self.assertEqual([made[name].call_count for name in ("segments", "points", "texts")], [1, 4, 2])

    def test_texts_count_with_their_characters(self) -> None:
        """Strings that are kept count as long as they are; under other rcParams of the program around they are drawn anew."""
        from gsp_network.backends import datoviz_backend

        with mock.patch.object(datoviz_backend, "_way", mock.Mock):
            drawer = datoviz_backend.DatovizBackend()
        scene = decode_scene(body_of(text("x" * 4000, size=0.01)))
        made = {"texts": mock.Mock(wraps=datoviz_backend.DRAW["texts"])}
        with mock.patch.dict(datoviz_backend.DRAW, made):
            for hinting in ("none", "none", "native"):
                with matplotlib.rc_context({"text.hinting": hinting}):
                    drawer.parts(scene.canvas, prepare(scene))
        self.assertEqual(made["texts"].call_count, 2)
        self.assertGreater(drawer._made._bytes, 2 * 4 * 4000)


if __name__ == "__main__":
    unittest.main()
