"""From a body to a picture: who draws, chains, limits."""

from __future__ import annotations

import json
import os
import pickle
import unittest
from concurrent.futures import ProcessPoolExecutor
from typing import Any
from unittest import mock

import numpy as np

from gsp_network import (
    Buffer,
    BufferType,
    Canvas,
    TransformChain,
    TransformLinkBase,
    TransformLinkImmediate,
    TransformRegistry,
    Viewport,
    backends,
)
from gsp_network.errors import (
    InvalidScene,
    LimitExceeded,
    MalformedBody,
    OtherRenderer,
    RendererUnavailable,
    UnsupportedTransform,
)
from gsp_network.png import png_fault
from gsp_network.rendering import render_payload, render_timed
from gsp_network.settings import Limits

from .scenes import RED, array_of, body_of, changed, draw, one_of_each, pixels, points, text


class Doubled(TransformLinkBase):
    """A link of a user's own."""

    def apply(self, buffer: Buffer) -> Buffer:  # type: ignore[override]
        return Buffer.from_numpy(buffer.to_numpy() * 2, buffer.get_type())

    def serialize(self) -> dict:
        return {"link_type": "Doubled", "link_data": {}}

    @staticmethod
    def deserialize(data: dict) -> Doubled:
        return Doubled()


class Failing(Doubled):
    """A link whose code is wrong."""

    def apply(self, buffer: Buffer) -> Buffer:  # type: ignore[override]
        raise KeyError("secret path")

    def serialize(self) -> dict:
        return {"link_type": "Failing", "link_data": {}}

    @staticmethod
    def deserialize(data: dict) -> Failing:
        return Failing()


def chain_of(array: object, *links: TransformLinkBase, count: int = -1, buffer_type: object = None) -> TransformChain:
    chain = TransformChain(count, buffer_type)  # type: ignore[arg-type]
    chain.add(TransformLinkImmediate(array))
    for link in links:
        chain.add(link)
    return chain


class TestPicture(unittest.TestCase):
    def test_all_seven_visuals_in_one_scene(self) -> None:
        """A scene with every visual gives one whole PNG of the canvas's size."""
        picture = render_payload(body_of(*one_of_each()))
        self.assertEqual(png_fault(picture), "")
        self.assertEqual(array_of(picture).shape, (100, 100, 3))

    def test_runs_in_another_process(self) -> None:
        """The call and its errors pass through pickle, as other executors need."""
        args = (body_of(points((0, 0, 0))), None, "matplotlib", Limits(max_visuals=1))
        call = pickle.loads(pickle.dumps((render_payload, args)))
        self.assertEqual(call[0](*call[1]), render_payload(*args))


class TestRendererName(unittest.TestCase):
    def test_body_and_header_and_default(self) -> None:
        """The header or the body names the renderer, else the default does; only the datoviz ones are refused here."""
        self.addCleanup(without_datoviz().stop)
        for in_body, header, default, drawn in (
            ("matplotlib", None, None, True),
            (None, "matplotlib", "datoviz", True),
            (None, None, "matplotlib", True),
            (None, None, None, True),
            ("matplotlib", "matplotlib", "datoviz", True),
            (None, None, "datoviz", False),
            ("datoviz", None, "matplotlib", False),
        ):
            with self.subTest(body=in_body, header=header, default=default):
                body = body_of(renderer=in_body)
                if drawn:
                    self.assertEqual(png_fault(render_payload(body, header, default)), "")
                else:
                    with self.assertRaisesRegex(RendererUnavailable, "datoviz"):
                        render_payload(body, header, default)

    def test_environment_names_the_default(self) -> None:
        """GSP_REMOTE_RENDERER draws where nobody names a renderer; a wrong one is an error that lists the right ones."""
        self.addCleanup(without_datoviz().stop)
        for name in ("datoviz", "datoviz-v03"):
            with mock.patch.dict(os.environ, {"GSP_REMOTE_RENDERER": name}), self.assertRaises(RendererUnavailable):
                render_payload(body_of(renderer=None))
        expected = "environment variable GSP_REMOTE_RENDERER: 'opengl', expected one of matplotlib, datoviz"
        with mock.patch.dict(os.environ, {"GSP_REMOTE_RENDERER": "opengl"}):
            with self.assertRaises(InvalidScene) as caught:
                render_payload(body_of(renderer=None))
        self.assertEqual(str(caught.exception), expected)

    def test_header_that_contradicts_the_body(self) -> None:
        """A header that names another renderer than the body is refused, and so is an unknown one."""
        with self.assertRaisesRegex(
            InvalidScene, "renderer_name: 'matplotlib', but the header GSP-Renderer says 'datoviz'"
        ):
            render_payload(body_of(), "datoviz")
        with self.assertRaisesRegex(InvalidScene, "'matplotlib', but the header GSP-Renderer says 'datoviz-v03'"):
            render_payload(body_of(), "datoviz-v03")
        with self.assertRaisesRegex(InvalidScene, "header GSP-Renderer: 'opengl', expected one of matplotlib, datoviz"):
            render_payload(body_of(), "opengl")

    def test_names_of_one_renderer(self) -> None:
        """datoviz-v03 is datoviz, in body and header: they agree, and that is who is asked to draw."""
        for in_body in ("datoviz", "datoviz-v03"):
            for header in ("datoviz", "datoviz-v03", None):
                with self.subTest(body=in_body, header=header), self.assertRaises(OtherRenderer) as caught:
                    render_timed(body_of(renderer=in_body), header, None, Limits(), "matplotlib")
                self.assertEqual(caught.exception.renderer, "datoviz")

    def test_only_one(self) -> None:
        """Who draws with one renderer alone refuses scenes for another, before anything in them is decoded."""
        for in_body, header, default in (
            ("datoviz", None, "matplotlib"),
            (None, "datoviz", None),
            (None, None, "datoviz"),
        ):
            body = changed(body_of(points((0, 0, 0)), renderer=in_body), "visuals", value="none")
            with self.subTest(body=in_body, header=header, default=default):
                with self.assertRaises(OtherRenderer):
                    render_timed(body, header, default, Limits(), "matplotlib")
                with self.assertRaisesRegex(InvalidScene, "^visuals: text, expected list"):
                    render_timed(body, header, default, Limits(), "datoviz")

    def test_instead_of_another(self) -> None:
        """A renderer draws in place of another where it is told so, and says that it was it."""
        body = body_of(points((0, 0, 0)), renderer="datoviz")
        drawn = render_timed(body, "datoviz-v03", None, Limits(), "matplotlib", "datoviz")
        self.assertEqual((drawn.renderer, drawn.picture), ("matplotlib", render_payload(body_of(points((0, 0, 0))))))


def without_datoviz() -> Any:
    """As if Datoviz were not installed, from now on."""
    patch = mock.patch.object(backends, "why_not", lambda name: "" if name == "matplotlib" else "no datoviz here")
    patch.start()
    return patch


class TestAvailability(unittest.TestCase):
    def test_library_that_is_not_installed(self) -> None:
        """A renderer whose library is missing is refused with the command that installs it."""
        with mock.patch("importlib.util.find_spec", return_value=None):
            with self.assertRaises(RendererUnavailable) as caught:
                render_payload(body_of())
        self.assertIn("pip install matplotlib", str(caught.exception))

    def test_version_without_metadata(self) -> None:
        """A library that carries no metadata, as in a frozen program, has an unknown version."""
        self.assertEqual(backends.version("a-library-that-nobody-installs"), "unknown")


class TestChains(unittest.TestCase):
    def setUp(self) -> None:
        patched = mock.patch.dict(TransformRegistry._classes)
        patched.start()
        self.addCleanup(patched.stop)
        TransformRegistry.register_link("Doubled", Doubled)
        TransformRegistry.register_link("Failing", Failing)

    def test_chain_is_a_buffer(self) -> None:
        """A chain in place of any buffer draws what its buffer draws, custom links included."""
        plain, chained = points((0.5, 0, 0)), points((0, 0, 0))
        chained.set_positions(chain_of(np.array([[0.25, 0, 0]]), Doubled()))
        np.testing.assert_array_equal(draw(chained), draw(plain))
        model = chain_of(Buffer.identity(), count=1, buffer_type=BufferType.mat4)
        np.testing.assert_array_equal(draw(plain, models=[model]), draw(plain))

    def test_chain_in_a_texture(self) -> None:
        """A chain as an image's texels is run too."""
        body = body_of(one_of_each()[0])
        texels = json.loads(body)["data"]["visuals"][0]["visual"]["texture"]["data"]["transBuf"]
        link = {"buffer_count": 1, "buffer_type": "rgba8", "data_base64": texels["data_base64"]}
        chain = {
            "buffer_count": -1,
            "buffer_type": None,
            "links": [{"link_type": "TransformImmediate", "link_data": link}],
        }
        data = {"type": "transform_chain", "transBuf": {"transform_chain": chain}}
        chained = changed(body, "visuals", 0, "visual", "texture", "data", value=data)
        self.assertEqual(render_payload(chained), render_payload(body))

    def test_result_is_checked_as_a_buffer_is(self) -> None:
        """What a chain yields must have the field's type, length and range, and the error names the field."""
        for array, message in (
            (np.zeros((2, 3)), r"visuals\[0\].sizes: 1 items, expected 2"),
            (np.zeros((1, 2)), r"visuals\[0\].positions: buffer of vec2, expected vec3"),
        ):
            visual = points((0, 0, 0))
            visual.set_positions(chain_of(array))
            with self.subTest(message=message), self.assertRaisesRegex(InvalidScene, message):
                draw(visual)
        visual = points((0, 0, 0))
        visual.set_sizes(chain_of(np.array([-1.0])))
        with self.assertRaisesRegex(InvalidScene, r"visuals\[0\].sizes\[0\]: -1.0, expected at least 0"):
            draw(visual)

    def test_failing_link(self) -> None:
        """A link that raises is the scene's fault, named by its place, and its own message stays inside."""
        visual = points((0, 0, 0))
        visual.set_positions(chain_of(np.zeros((1, 3)), Failing()))
        with self.assertRaises(InvalidScene) as caught:
            draw(visual)
        self.assertEqual(str(caught.exception), "visuals[0].positions.links[1]: Failing failed with KeyError")

    def test_unregistered_link(self) -> None:
        """A link type that this process does not know is refused by name, with the ones it knows."""
        visual = points((0, 0, 0))
        visual.set_positions(chain_of(np.zeros((1, 3)), Doubled()))
        body = body_of(visual)
        del TransformRegistry._classes["Doubled"]
        with self.assertRaises(UnsupportedTransform) as caught:
            render_payload(body)
        self.assertEqual(caught.exception.where, "visuals[0].positions.transform_chain.links[1].link_type")


class TestLimits(unittest.TestCase):
    def test_every_limit_names_itself_and_the_place(self) -> None:
        """A scene over a limit is refused with the place, the setting and what it takes."""
        many = [points((0, 0, 0)) for _ in range(3)]
        for name, value, body, where in (
            ("max_canvas_side", 50, body_of(canvas=Canvas(51, 10)), "canvas.width"),
            ("max_canvas_side", 50, body_of(canvas=Canvas(10, 51)), "canvas.height"),
            ("max_canvas_pixels", 100, body_of(canvas=Canvas(11, 10)), "canvas"),
            ("max_dpi", 90.0, body_of(canvas=Canvas(1, 1, 90.5)), "canvas.dpi"),
            ("max_visuals", 2, body_of(*many), "visuals"),
            ("max_viewports", 2, body_of(*many, viewports=[Viewport(0, 0, 1, 1) for _ in range(3)]), "viewports"),
            ("max_vertices", 2, body_of(*many), "visuals[2].positions"),
            ("max_string_chars", 3, body_of(text("abcd")), "visuals[0].texts[0]"),
            ("max_string_lines", 2, body_of(text("a\nb\nc")), "visuals[0].texts[0]"),
            ("max_text_chars", 5, body_of(text("abc"), text("def")), "visuals[1].texts"),
            ("max_font_size", 30.0, body_of(text("a", 31.0)), "visuals[0].font_sizes[0]"),
            ("max_text_pixels", 4000, body_of(text("abc", 30.0)), "visuals[0].font_sizes"),
            ("max_vertices", 3, body_of(pixels([[0, 0, 0]], [[0, 0, 0, 255]], [[0, 0, 0]])), "visuals[0].positions"),
            ("max_json_items", 20, body_of(*many), "body"),
        ):
            with self.subTest(name=name, where=where):
                with self.assertRaises(LimitExceeded) as caught:
                    render_payload(body, None, None, Limits(**{name: value}))  # type: ignore[arg-type]
                self.assertEqual((caught.exception.limit, caught.exception.where), (name, where))
                self.assertIn(f"expected at most {value} (setting {name})", str(caught.exception))

    def test_nesting(self) -> None:
        """A document nested deeper than the limit is refused, in keys that nobody reads too."""
        body = changed(body_of(), "extra", value=[[[[[[[[[[]]]]]]]]]])
        self.assertEqual(png_fault(render_payload(body)), "")
        with self.assertRaisesRegex(MalformedBody, "at most 8 levels"):
            render_payload(body, None, None, Limits(max_depth=8))

    def test_what_is_at_the_limit_is_drawn(self) -> None:
        """A scene exactly as large as the limits allow is drawn."""
        limits = Limits(max_canvas_side=60, max_canvas_pixels=1800, max_visuals=1, max_vertices=2, max_viewports=1)
        picture = draw(points((0, 0, 0), (1, 1, 0)), canvas=Canvas(60, 30), limits=limits)
        self.assertEqual(picture[15, 30].tolist(), list(RED))


class TestOtherExecutors(unittest.TestCase):
    def test_process_pool(self) -> None:
        """A process pool of the standard library can draw; a bad scene's error arrives whole."""
        try:
            made = ProcessPoolExecutor(1)
        except OSError as exc:
            self.skipTest(f"the standard library's process pool needs a writable /dev/shm: {exc}")
        with made as pool:
            self.assertEqual(png_fault(pool.submit(render_payload, body_of(points((0, 0, 0)))).result(60)), "")
            bad = changed(body_of(points((0, 0, 0))), "canvas", "width", value=0)
            with self.assertRaises(InvalidScene) as caught:
                pool.submit(render_payload, bad).result(60)
        self.assertEqual(caught.exception.where, "canvas.width")
