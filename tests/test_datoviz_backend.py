"""The Datoviz backend, in a worker process: the other backend's pictures, by the same tests, and what is its own."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from typing import Any, Optional
from unittest import mock

import matplotlib
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageFilter

from gsp_network import Canvas, Markers, Points, Viewport, decode_scene
from gsp_network.backends.base import prepare
from gsp_network.backends.datoviz_device import Device
from gsp_network.errors import DeviceLimitExceeded
from gsp_network.scene.visuals import VISUALS, MarkerShape
from gsp_network.settings import Limits, Settings
from gsp_network.workers import WorkerPool, render

from . import test_matplotlib_backend as others
from .processes import PATIENCE, all_at_once
from .scenes import (
    BLACK,
    BLUE,
    GREEN,
    RED,
    WHITE,
    array_of,
    body_of,
    image,
    markers,
    one_of_each,
    path,
    points,
    rgba,
    segment,
    text,
)
from .support import GOLDEN, ROOT, SHARED, datoviz_reason, needs_golden

SETTINGS = Settings(worker_memory_bytes=0)
pool: Optional[WorkerPool] = None


def setUpModule() -> None:
    global pool
    if datoviz_reason():
        raise unittest.SkipTest(f"Datoviz does not draw here: {datoviz_reason()}")
    pool = WorkerPool(1, SETTINGS, warm_up="gsp_network.backends.datoviz_backend:use_memory")


def tearDownModule() -> None:
    if pool is not None:
        pool.shutdown()


def answer(body: bytes, limits: Optional[Limits] = None) -> bytes:
    """The PNG that a worker process gives."""
    if pool is None:
        raise AssertionError("setUpModule has not run")
    return bytes(pool.submit(render, body, "datoviz", None, limits or Limits()).result(60)[0])


def draw(*visuals: Any, limits: Optional[Limits] = None, **scene: Any) -> np.ndarray:
    """The picture that a worker process draws of these visuals."""
    return array_of(answer(body_of(*visuals, renderer="datoviz", **scene), limits))


def blurred(picture: np.ndarray) -> np.ndarray:
    """A picture with its antialiasing set aside."""
    return np.asarray(PillowImage.fromarray(picture).filter(ImageFilter.GaussianBlur(1.5)), np.float64)


class Drawn:
    """What makes another backend's tests this one's."""

    def draw(self, *visuals: Any, **scene: Any) -> np.ndarray:
        return draw(*visuals, **scene)


class TestCanvas(Drawn, others.TestCanvas):
    pass


class TestOrder(Drawn, others.TestOrder):
    pass


class TestViewports(Drawn, others.TestViewports):
    pass


class TestProjection(Drawn, others.TestProjection):
    pass


class TestPoints(Drawn, others.TestPoints):
    def test_edges_have_colours_and_widths_of_their_own(self) -> None:
        """Each disc has its own edge colour and width, whether there are few discs or many."""
        for count in (3, 3000):
            places = np.zeros((count, 3))
            places[:, 0] = 9.0  # out of sight but for the last three
            places[-3:, 0] = [-0.6, 0.0, 0.6]
            visual = Points(places, np.full(count, 144.0), rgba(GREEN, count), rgba(RED, count), np.full(count, 3.0))
            edges, widths = rgba(RED, count), np.full(count, 3.0)
            edges[-2:], widths[-1] = [(*BLUE, 255), (*BLACK, 255)], 6.0
            visual.set_attributes(edge_colors=edges, edge_widths=widths)
            picture = draw(visual, canvas=Canvas(200, 200, 96.0))
            for center, color, width in ((40, RED, 4), (100, BLUE, 4), (160, BLACK, 8)):
                with self.subTest(count=count, center=center):
                    self.assert_color(picture, center, 100, GREEN)
                    for x in (center - 8, center + 8):  # the outline, 16 px wide
                        self.assert_color(picture, x, 100, color)
                    self.assert_color(picture, center + 8 + width // 2 + 2, 100, WHITE)
                    self.assert_color(picture, center + 8 - width // 2 - 2, 100, GREEN)

    def test_many_translucent_discs(self) -> None:
        """Where discs are many, alpha is still that of each disc, with or without an edge."""
        for width, face in ((0.0, (255, 127, 127)), (9.0, (255, 127, 127))):
            places = np.full((600, 3), 9.0)
            places[-1] = 0
            half = rgba((255, 0, 0, 128), 600)
            visual = Points(places, np.full(600, 2500.0), half, rgba((0, 0, 255, 128), 600), np.full(600, width))
            picture = draw(visual)
            self.assert_color(picture, 50, 50, face)
            if width:  # the edge lies half on the face
                self.assert_color(picture, 50 + 33 + 4, 50, (127, 127, 255))
                self.assert_color(picture, 50 + 33 - 4, 50, (127, 63, 191))

    def test_many_discs_look_as_few(self) -> None:
        """Where discs are so many that Datoviz's own are drawn, the picture is the same but for the softness of edges."""
        rng = np.random.default_rng(2)
        n = 400
        places = rng.uniform(-1.1, 1.1, (n, 3))
        edges = rng.integers(0, 256, (n, 4)).astype(np.uint8)
        edges[:, 3] = 255
        sizes, widths = rng.uniform(20, 200, n), rng.uniform(0, 3, n)
        scene = {"canvas": Canvas(300, 300, 96.0)}
        few = draw(Points(places, sizes, edges[::-1].copy(), edges, widths), **scene)
        for more in (0, 300):  # further ones that are not to be seen
            again = np.concatenate([places, np.full((more, 3), 7.0)])
            visual = Points(
                again,
                np.resize(sizes, n + more),
                np.resize(edges[::-1], (n + more, 4)).copy(),
                np.resize(edges, (n + more, 4)),
                np.resize(widths, n + more),
            )
            self.assertLess(np.abs(blurred(draw(visual, **scene)) - blurred(few)).mean(), 0.01 if not more else 2.0)


class TestMarkers(Drawn, others.TestMarkers):
    def test_edges_have_colours_and_widths_of_their_own(self) -> None:
        """Each marker has its own edge colour and width, in the painter's order."""
        for shape in MarkerShape:
            places = np.array([[-0.6, 0, 0], [0.0, 0, 0], [0.6, 0, 0]])
            edges = np.array([(*RED, 255), (*BLUE, 255), (*BLACK, 255)], np.uint8)
            visual = Markers(shape, places, np.full(3, 576.0), rgba(GREEN, 3), edges, np.array([3.0, 3.0, 6.0]))
            picture = draw(visual, canvas=Canvas(200, 200, 96.0))
            for center, color in ((40, RED), (100, BLUE), (160, BLACK)):
                with self.subTest(shape=shape.name, center=center):
                    around = picture[:, center - 26 : center + 26].reshape(-1, 3)
                    colors = {tuple(int(part) for part in pixel) for pixel in around}
                    self.assertTrue({color, GREEN} <= colors)
                    self.assertFalse({RED, BLUE, BLACK} - {color} & colors)

    def test_later_edges_cover_earlier_faces(self) -> None:
        """Markers that overlap cover each other whole, edge and face, whatever edges they have."""
        edges = np.array([(*RED, 255), (*BLUE, 255), (*RED, 255)], np.uint8)
        places = np.array([[-0.1, 0, 0], [0.0, 0, 0], [0.1, 0, 0]])
        visual = Markers("square", places, np.full(3, 900.0), rgba(GREEN, 3), edges, np.full(3, 3.0))
        picture = draw(visual)
        self.assert_color(picture, 75, 50, RED)  # the last one's right side
        self.assert_color(picture, 35, 50, RED)  # and its left, over both others
        self.assert_color(picture, 30, 50, BLUE)


class TestPixels(Drawn, others.TestPixels):
    def test_dots_on_one_pixel_blend_in_order(self) -> None:
        """Dots that fall together blend one after the other, each rounded to 8 bits."""
        rng = np.random.default_rng(5)
        colors = rng.integers(0, 256, (40, 4))
        picture = draw(others.pixels(np.zeros((40, 3)), colors, 1))
        expected = np.full(3, 255.0)
        for color in colors:
            expected += (color[:3] - expected) * (color[3] / 255 * 199 / 255)
        self.assert_color(picture, 50, 50, tuple(expected), within=3)


class TestLines(Drawn, others.TestLines):
    def test_translucent_path_that_crosses_itself_has_one_shade(self) -> None:
        """Where a translucent path lies on itself it is no darker."""
        crossing = path([(-0.5, -0.5, 0), (0.5, 0.5, 0), (-0.5, 0.5, 0), (0.5, -0.5, 0)], 12.0, (0, 0, 255, 128))
        self.assert_color(draw(crossing), 50, 50, (127, 127, 255))

    def test_noisy_signal(self) -> None:
        """A line that turns back sharply at every vertex keeps its width: no piece gets thinner, none reaches farther."""
        rng = np.random.default_rng(0)
        places = np.column_stack([np.linspace(-0.98, 0.98, 200), rng.uniform(-0.9, 0.9, 200), np.zeros(200)])
        for width, style in ((1.0, "ROUND"), (3.0, "ROUND"), (3.0, "MITER"), (3.0, "BEVEL")):
            signal = path(places, width, cap="ROUND", join=style)
            mine, other = (one(signal, canvas=Canvas(400, 200, 96.0)).astype(int) for one in (draw, others.draw))
            with self.subTest(width=width, style=style):
                self.assertLess((np.abs(mine - other).max(axis=2) > 100).sum(), 10 if style == "ROUND" else 120)
                self.assertAlmostEqual((255 - mine).sum() / (255 - other).sum(), 1.0, delta=0.02)

    def test_lines_are_cut_where_nobody_sees(self) -> None:
        """A line from far outside to far outside looks like the same line cut a little beyond the canvas."""
        far = path([(-3e5, -2e5, 0), (3e5, 2e5, 0), (3e5, -9e5, 0)], 9.0)
        near = path([(-3, -2, 0), (3, 2, 0)], 9.0)
        np.testing.assert_allclose(draw(far), draw(near), atol=2)


class TestTexts(Drawn, others.TestTexts):
    test_text_that_cannot_be_drawn = None  # it is told what it draws with in this process
    test_unknown_font_falls_back_with_one_warning = None  # likewise
    test_characters_without_a_glyph_are_not_told = None  # the other backend's warning filter

    def test_every_letter_is_the_other_backends(self) -> None:
        """Strings of any script, size, angle, anchor and colour are pixel for pixel those of Matplotlib, but for rounding."""
        strings = [text("µ é ß ♣", 15.0), text("two\nlines", 12.0, (1, -1), 2.5, color=(0, 128, 0, 90))]
        mine, other = draw(*strings), others.draw(*strings)
        self.assertLessEqual(np.abs(mine.astype(int) - other).max(), 3)


class TestImage(Drawn, others.TestImage):
    def test_texels_of_different_alpha(self) -> None:
        """Between an opaque and a transparent texel the colours are mixed as the other backend mixes them."""
        two = image((((255, 0, 0, 255), (0, 0, 255, 0)),), interpolation="LINEAR")
        np.testing.assert_allclose(self.draw(two).astype(int), others.draw(two), atol=2)

    def test_deep_zoom(self) -> None:
        """Of an image that is stretched far beyond the canvas, the right texels are seen in the right place."""
        rng = np.random.default_rng(1)
        texels = rng.integers(0, 256, (400, 400, 4))
        texels[..., 3] = 255
        for zoom in (1e3, 1e7):
            extent = (-1.003 * zoom, 0.997 * zoom, -1.001 * zoom, 0.999 * zoom)
            np.testing.assert_array_equal(draw(image(texels, extent)), others.draw(image(texels, extent)))


class TestKept(Drawn, others.TestKept):
    test_rc_params_do_not_show = None  # they are this process's

    def test_frame_that_failed(self) -> None:
        """After a frame that failed half-way nothing of it shows, and the process says that it should be replaced."""
        code = (
            "from unittest import mock\nfrom gsp_network.backends import backend, datoviz_backend, datoviz_frames, spent\n"
            "from tests.scenes import *\nimport numpy as np\ndatoviz_backend.use_memory()\n"
            "for red, (name, after) in enumerate((('panel_visual', 1), ('basic_color', 0), ('basic_color', 1))):\n"
            "    scene = [points((0, 0, 0), face=(red, 9, 9)), segment((-1, 0, 0), (1, 0, 0), color=(red, 0, 255))]\n"
            "    real, calls = getattr(datoviz_frames.dvz, name), iter([True] * after + [False] * 99)\n"
            "    def fail(*arguments):\n"
            "        if not next(calls): raise MemoryError\n"
            "        return real(*arguments)\n"
            "    with mock.patch.object(datoviz_frames.dvz, name, fail):\n"
            "        try: draw(*scene, renderer='datoviz')\n"
            "        except MemoryError: print('failed', spent())\n"
            "    print((draw(renderer='datoviz') == 255).all(), draw(*scene, renderer='datoviz')[50, 50].tolist())"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT)
        expected = "".join(f"failed True\nTrue [{red}, 0, 255]\n" for red in range(3))
        self.assertEqual(done.stdout, expected, done.stderr)

    def test_texture_that_its_owner_changes(self) -> None:
        """A texture whose memory was written to since the last frame is drawn as it is now."""
        code = (
            "from gsp_network.backends import datoviz_backend\nfrom gsp_network.codec import Scene\n"
            "from gsp_network.rendering import draw_scene\nfrom gsp_network.settings import Limits\n"
            "from tests.scenes import *\nimport numpy as np\ndatoviz_backend.use_memory()\n"
            "texels = np.full((4, 4, 4), 255, np.uint8)\n"
            "picture = Image(Texture(texels, 4, 4), np.zeros((1, 3)), [-1, 1, -1, 1], ImageInterpolation.NEAREST)\n"
            "memory = picture.get_texture().get_data().to_numpy()\n"
            "eye = Buffer.identity()\n"
            "scene = Scene(Canvas(8, 8), (Viewport(0, 0, 8, 8),), (picture,), (eye,), (Camera(),), 'datoviz')\n"
            "for red in (255, 7):\n"
            "    texels[..., 0] = red\n"
            "    print(draw_scene(scene, Limits())[4, 4, 0] == memory[0, 0])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT)
        self.assertEqual(done.stdout, "True\nTrue\n", done.stderr)

    def test_frames_change_as_a_whole(self) -> None:
        """However scenes on one canvas follow each other, each picture is what a fresh process would draw."""
        rng = np.random.default_rng(4)
        canvas = Canvas(120, 90, 96.0)
        kinds = [*one_of_each(), points((0.3, 0.3, 0), face=BLUE), text("b", at=(0.5, -0.5, 0))]
        scenes = []
        for _ in range(25):
            chosen = rng.choice(len(kinds), rng.integers(1, 7))
            places = [Viewport(int(x), 0, 60, 90) for x in rng.integers(0, 60, len(chosen))]
            scenes.append(
                body_of(*(kinds[index] for index in chosen), canvas=canvas, viewports=places, renderer="datoviz")
            )
        in_turn = [array_of(answer(body)) for body in scenes]
        backwards = [array_of(answer(body)) for body in reversed(scenes)]
        for one, other in zip(in_turn, reversed(backwards)):
            np.testing.assert_array_equal(one, other)


class TestAgreement(unittest.TestCase):
    def test_every_visual_alone(self) -> None:
        """Both backends draw each visual alike."""
        self.assertEqual({visual.kind for visual in one_of_each()}, set(VISUALS))
        beside = {"points": points((0, 0, 0), (0.5, 0.5, 0)), "markers": markers("club", (0.5, 0.5, 0), (-0.5, 0, 0))}
        for visual in one_of_each():  # Agg puts a disc or marker that is alone on a whole pixel
            with self.subTest(kind=visual.kind):
                shown = beside.get(visual.kind, visual)
                difference = np.abs(blurred(draw(shown)) - blurred(others.draw(shown)))
                self.assertLess(difference.max(), 12)

    def test_many_entries(self) -> None:
        """Hundreds of entries are drawn in order, though their triangles share GPU memory."""
        entries = [segment((-1, y, 0), (1, y, 0), 1.0) for y in np.linspace(-1, 1, 150)] + [points((0, 0, 0))]
        picture = draw(*entries, image([[(*GREEN, 255)]], (-0.05, 0.05, -0.05, 0.05)))
        self.assertEqual(picture[50, 50].tolist(), list(GREEN))
        self.assertEqual(picture[50, 56].tolist(), list(RED))
        self.assertEqual(picture[3, 90].tolist(), others.draw(*entries)[3, 90].tolist())

    @needs_golden
    def test_golden(self) -> None:
        """Every golden case, drawn by Datoviz, is the golden picture, by structural similarity, antialiasing included."""
        spec = importlib.util.spec_from_file_location("compare_images", SHARED / "compare_images.py")  # type: ignore[operator]
        compare = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
        spec.loader.exec_module(compare)  # type: ignore[union-attr]
        newer = matplotlib.__version_info__ >= (3, 11)
        self.assertGreaterEqual(len(GOLDEN), 52)
        with tempfile.TemporaryDirectory() as folder:
            for request in GOLDEN:
                expected = request.with_suffix(".png")
                if newer and (request.parent / "matplotlib-3.11" / expected.name).exists():
                    expected = request.parent / "matplotlib-3.11" / expected.name
                document = json.loads(request.read_bytes())
                document["renderer_name"] = "datoviz"
                actual = pathlib.Path(folder, expected.name)
                actual.write_bytes(answer(json.dumps(document).encode()))
                # Up to 3.10 Matplotlib places texels in another way, by a part of a pixel.
                blur = 1.5 if request.stem.startswith("image") and not newer else 0.0
                with self.subTest(case=request.stem):
                    similarity = compare.ssim(compare.rgb(expected, blur), compare.rgb(actual, blur))
                    self.assertGreaterEqual(similarity, 0.99)


class TestDevice(unittest.TestCase):
    def run_code(self, code: str, **environ: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd=ROOT,
            env={**os.environ, **environ},
        )

    def test_limits_are_told(self) -> None:
        """What can be asked of Vulkan is known without Datoviz: the device's name and how large a canvas it takes."""
        done = self.run_code("from gsp_network.backends.datoviz_device import look; print(look())")
        facts = json.loads(done.stdout)
        self.assertEqual(facts["reason"], "")
        self.assertTrue(facts["device"])
        self.assertGreaterEqual(facts["limits"]["maxImageDimension2D"], 4096)
        self.assertGreater(facts["limits"]["memoryHeapSize"], 2**28)

    def test_no_driver(self) -> None:
        """Without a driver the reason says what to install, and the process goes on."""
        code = "from gsp_network.backends.datoviz_device import look; print(look())"
        done = self.run_code(code, VK_DRIVER_FILES="/nowhere.json", VK_ICD_FILENAMES="/nowhere.json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("mesa-vulkan-drivers", json.loads(done.stdout)["reason"])

    def test_both_ways_to_a_frame(self) -> None:
        """The in-memory server and the documented way by an App and a file give the same picture."""
        code = (
            "import sys\nfrom gsp_network.backends import datoviz_backend\nfrom tests.scenes import *\n"
            "getattr(datoviz_backend, sys.argv[1])()\n"
            "picture = draw(*one_of_each(), canvas=Canvas(64, 48, 96.0), renderer='datoviz')\n"
            "sys.stdout.buffer.write(picture.tobytes()); sys.stdout.flush()\nimport os; os._exit(0)"
        )

        def run(way: str) -> subprocess.CompletedProcess:
            command = [sys.executable, "-c", code, way]
            return subprocess.run(command, capture_output=True, timeout=PATIENCE, cwd=ROOT)

        both = all_at_once(run, ("use_memory", "use_files"))
        for done in both:
            self.assertEqual(len(done.stdout), 64 * 48 * 3, done.stderr)
        self.assertEqual(both[0].stdout, both[1].stdout)

    def test_frames_by_file_leave_nothing(self) -> None:
        """A frame by file leaves no file, also where the process is killed right after it."""
        code = (
            "from gsp_network.backends import datoviz_backend\nfrom tests.scenes import *\n"
            "datoviz_backend.use_files()\ndraw(points((0, 0, 0)), renderer='datoviz')\n"
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
        )
        with tempfile.TemporaryDirectory() as folder:
            done = self.run_code(code, TMPDIR=folder)
            self.assertEqual(done.returncode, -9, done.stderr)
            found = [place for place in pathlib.Path(folder).rglob("*") if place.suffix == ".png"]
        self.assertEqual(found, [])

    def test_visuals_are_used_again(self) -> None:
        """Frame after frame, whatever becomes of a scene's entries, Datoviz is asked for as many visuals as one frame needs."""
        code = (
            "from gsp_network.backends import backend, datoviz_backend\nfrom tests.scenes import *\nimport numpy as np\n"
            "datoviz_backend.use_memory()\nrng = np.random.default_rng(0)\nframes = backend('datoviz').frames\n"
            "for turn in range(60):\n"
            "    places = rng.uniform(-1, 1, (rng.integers(1, 900), 3))\n"
            "    entries = [segment((-1, y, 0), (1, 1, 0)) for y in rng.uniform(-1, 1, rng.integers(1, 5))]\n"
            "    draw(points(*places), *entries, text(str(turn)), canvas=Canvas(64, 48 + turn % 2), renderer='datoviz')\n"
            "print(len(frames._every_visual()), len(frames._layouts), frames.spent)"
        )
        done = self.run_code(code)
        count, layouts, spent = done.stdout.split()
        self.assertLessEqual(int(count), 2 * 7)  # two canvases; four lines, discs, further triangles, a picture
        self.assertEqual((layouts, spent), ("3", "False"))  # the third is a first small one

    def test_only_what_changed_is_sent(self) -> None:
        """Of a visual that is drawn again Datoviz is given only the arrays that have changed, whatever else the frame holds."""
        code = (
            "from unittest import mock\nfrom gsp_network.backends import datoviz_backend, datoviz_frames\n"
            "from tests.scenes import *\nimport numpy as np\ndatoviz_backend.use_memory()\n"
            "names = ['point_position', 'point_color', 'point_size', 'basic_position', 'texture_data']\n"
            "sent = {name: mock.Mock(wraps=getattr(datoviz_frames.dvz, name)) for name in names}\n"
            "for name in names: setattr(datoviz_frames.dvz, name, sent[name])\n"
            "visual, label = points(*np.random.default_rng(0).uniform(-1, 1, (600, 3)), width=0.0), text('still')\n"
            "line = segment((-1, 0, 0), (1, 0.5, 0))\n"
            "def frame(canvas=Canvas(64, 48)):\n"
            "    draw(visual, line, label, canvas=canvas, renderer='datoviz')\n"
            "    print(*(one.call_count for one in sent.values()))\n"
            "frame(); frame(); visual.set_face_colors(rgba(BLUE, 600)); frame()\n"
            "visual.set_positions(visual.get_positions().to_numpy() * 0.9); frame()"
        )
        lines = self.run_code(code).stdout.splitlines()
        self.assertEqual(lines, ["1 1 1 1 0", "1 1 1 1 0", "1 2 1 1 0", "2 2 1 1 0"])

    def test_canvas_beyond_the_device(self) -> None:
        """A canvas that the GPU cannot hold is refused beforehand, with Vulkan's name of the limit."""
        limits = Limits(max_canvas_side=10**6, max_canvas_pixels=10**9)
        with self.assertRaises(DeviceLimitExceeded) as caught:
            draw(canvas=Canvas(100_000, 2), limits=limits)
        self.assertEqual((caught.exception.where, caught.exception.limit), ("canvas.width", "maxImageDimension2D"))
        self.assertIn("100000 px", str(caught.exception))
        self.assertEqual(draw(canvas=Canvas(10, 10)).shape, (10, 10, 3))

    def test_image_beyond_the_device(self) -> None:
        """Texels that the GPU cannot hold in a row are refused if they are seen, and cut off where they are not."""
        texels = np.zeros((1, 40_000, 4), np.uint8)
        texels[:, :, 3], texels[:, :20_000, 0] = 255, 255
        with self.assertRaises(DeviceLimitExceeded) as caught:
            draw(image(texels))
        self.assertEqual(caught.exception.limit, "maxImageDimension2D")
        picture = draw(image(texels, (-100, 100, -1, 1)))
        self.assertEqual((picture[50, 20].tolist(), picture[50, 80].tolist()), (list(RED), list(BLACK)))

    def test_more_than_its_memory(self) -> None:
        """A scene that needs more than the GPU's memory is refused beforehand."""
        from gsp_network.backends import datoviz_backend  # it loads Datoviz, which may not be there

        small = Device(limits={"maxImageDimension2D": 4096, "memoryHeapSize": 2**20})
        with mock.patch.object(datoviz_backend, "find_device", return_value=small):
            with mock.patch.object(datoviz_backend, "_way", mock.Mock):
                drawer = datoviz_backend.DatovizBackend()
        count = 5000
        half = rgba((255, 0, 0, 128), count)
        scene = decode_scene(body_of(Points(np.zeros((count, 3)), np.full(count, 9.0), half, half, np.ones(count))))
        with self.assertRaises(DeviceLimitExceeded) as caught:
            drawer.render(scene.canvas, prepare(scene))
        self.assertEqual(caught.exception.limit, "memoryHeapSize")
