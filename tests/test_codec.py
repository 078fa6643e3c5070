"""Scenes as JSON: golden documents both ways, everything that is refused, and objects of other packages."""

from __future__ import annotations

import copy
import enum
import json
import os
import time
import types
import unittest
import uuid
from unittest import mock

import numpy as np

import gsp_network as gsp
from gsp_network import InvalidScene, MalformedBody, UnsupportedTransform, decode_scene, encode_scene
from gsp_network.codec import build_payload
from gsp_network.settings import (
    RENDERER_NAMES,
    RENDERER_VARIABLE,
    Limits,
    check_renderer_name,
    default_renderer_name,
    environment_renderer_name,
)

from .support import GOLDEN, needs_golden

CANVAS_ID, VIEWPORT_ID, CAMERA_ID, VISUAL_ID, TEXTURE_ID = (str(uuid.UUID(int=number)) for number in range(1, 6))


def transbuf(buffer_type: str, count: int, data_base64: str) -> dict:
    return {"type": "buffer", "transBuf": {"count": count, "buffer_type": buffer_type, "data_base64": data_base64}}


IDENTITY = transbuf(
    "mat4", 1, "AACAPwAAAAAAAAAAAAAAAAAAAAAAAIA/AAAAAAAAAAAAAAAAAAAAAAAAgD8AAAAAAAAAAAAAAAAAAAAAAACAPw=="
)
# A step to x 1, y 2, z 3: the last column of the matrix.
TRANSLATION = transbuf(
    "mat4", 1, "AACAPwAAAAAAAAAAAACAPwAAAAAAAIA/AAAAAAAAAEAAAAAAAAAAAAAAgD8AAEBAAAAAAAAAAAAAAAAAAACAPw=="
)
# (0, 0.5, -1); then (1, 0, 0) and (0, 1, 0)
ONE_VERTEX = transbuf("vec3", 1, "AAAAAAAAAD8AAIC/")
TWO_VERTICES = transbuf("vec3", 2, "AACAPwAAAAAAAAAAAAAAAAAAgD8AAAAA")
RED = transbuf("rgba8", 1, "/wAA/w==")
RED_AND_BLUE = transbuf("rgba8", 2, "/wAA/wAA//8=")
HALF_BLACK = transbuf("rgba8", 1, "AAAAgA==")
SIXTEEN = transbuf("float32", 1, "AACAQQ==")
ONE_AND_A_HALF = transbuf("float32", 1, "AADAPw==")
ONE_AND_TWO = transbuf("float32", 2, "AACAPwAAAEA=")
DISC = {
    "positions": ONE_VERTEX,
    "sizes": SIXTEEN,
    "face_colors": RED,
    "edge_colors": HALF_BLACK,
    "edge_widths": ONE_AND_A_HALF,
}
CHAIN = {
    "type": "transform_chain",
    "transBuf": {
        "transform_chain": {
            "buffer_count": 1,
            "buffer_type": "vec3",
            "links": [
                {
                    "link_type": "TransformImmediate",
                    "link_data": {"buffer_count": 1, "buffer_type": "vec3", "data_base64": "AAAAAAAAAD8AAIC/"},
                }
            ],
        }
    },
}
BUFFER_NAMES = "float32, uint32, uint8, int32, int8, vec2, vec3, vec4, uvec4, mat4, rgba8"

one_vertex, two_vertices = [[0, 0.5, -1]], [[1, 0, 0], [0, 1, 0]]
red, red_and_blue = [[255, 0, 0, 255]], [[255, 0, 0, 255], [0, 0, 255, 255]]


def disc_arguments() -> list:
    return [one_vertex, [16], red, [[0, 0, 0, 128]], [1.5]]


def chain_of_one_vertex() -> gsp.TransformChain:
    chain = gsp.TransformChain(1, gsp.BufferType.vec3)
    chain.add(gsp.TransformLinkImmediate(gsp.Buffer.from_numpy(one_vertex, gsp.BufferType.vec3)))
    return chain


def pixels(groups: object) -> gsp.Pixels:
    return gsp.Pixels(two_vertices, red_and_blue, groups)


def pixels_json(groups: object) -> dict:
    return {"positions": TWO_VERTICES, "colors": RED_AND_BLUE, "groups": groups}


# (name, type on the wire, how to make the visual, the visual's exact JSON beside its uuid)
VISUALS = [
    ("points", "points", lambda: gsp.Points(*disc_arguments()), DISC),
    (
        "points of a chain",
        "points",
        lambda: gsp.Points(chain_of_one_vertex(), *disc_arguments()[1:]),
        {**DISC, "positions": CHAIN},
    ),
    (
        "no points",
        "points",
        lambda: gsp.Points([], [], [], [], []),
        {
            "positions": transbuf("vec3", 0, ""),
            "sizes": transbuf("float32", 0, ""),
            "face_colors": transbuf("rgba8", 0, ""),
            "edge_colors": transbuf("rgba8", 0, ""),
            "edge_widths": transbuf("float32", 0, ""),
        },
    ),
    (
        "markers",
        "markers",
        lambda: gsp.Markers(gsp.MarkerShape.club, *disc_arguments()),
        {"marker_shape": "club", **DISC},
    ),
    ("pixels, int", "pixels", lambda: pixels(1), pixels_json(1)),
    ("pixels, sizes", "pixels", lambda: pixels([2, 0]), pixels_json([2, 0])),
    ("pixels, indices", "pixels", lambda: pixels([[1, 0], [0]]), pixels_json([[1, 0], [0]])),
    (
        "segments",
        "segments",
        lambda: gsp.Segments(two_vertices, [1.5], gsp.CapStyle.PROJECTING, red),
        {"positions": TWO_VERTICES, "line_widths": ONE_AND_A_HALF, "cap_style": "PROJECTING", "colors": RED},
    ),
    (
        "paths",
        "paths",
        lambda: gsp.Paths(two_vertices, [2], red_and_blue, [1, 2], gsp.CapStyle.BUTT, gsp.JoinStyle.MITER),
        {
            "positions": TWO_VERTICES,
            "path_sizes": transbuf("uint32", 1, "AgAAAA=="),
            "colors": RED_AND_BLUE,
            "line_widths": ONE_AND_TWO,
            "cap_style": "BUTT",
            "join_style": "MITER",
        },
    ),
    (
        "texts",
        "texts",
        lambda: gsp.Texts(
            two_vertices, ["π = 3", "a\nb"], red_and_blue, [1, 2], [[-1, 0.5], [0, 1]], [0, 0.5], "DejaVu Sans"
        ),
        {
            "positions": TWO_VERTICES,
            "texts": ["π = 3", "a\nb"],
            "colors": RED_AND_BLUE,
            "font_sizes": ONE_AND_TWO,
            "anchors": transbuf("vec2", 2, "AACAvwAAAD8AAAAAAACAPw=="),
            "angles": transbuf("float32", 2, "AAAAAAAAAD8="),
            "font_name": "DejaVu Sans",
        },
    ),
    (
        "image",
        "image",
        lambda: gsp.Image(
            gsp.Texture(red_and_blue, 2, 1), one_vertex, [-0.5, 0.5, -0.25, 0.25], gsp.ImageInterpolation.NEAREST
        ),
        {
            "texture": {"uuid": TEXTURE_ID, "width": 2, "height": 1, "data": RED_AND_BLUE},
            "position": ONE_VERTEX,
            "image_extent": [-0.5, 0.5, -0.25, 0.25],
            "interpolation": "NEAREST",
        },
    ),
]


def named(item: object, object_uuid: str) -> object:
    """The same object with that uuid, as it would have come over the wire."""
    item._uuid = object_uuid
    return item


def scene_around(visual: object) -> tuple:
    """The arguments of encode_scene for one visual in a small scene; the first four uuids are fixed."""
    if isinstance(visual, gsp.Image):
        named(visual.get_texture(), TEXTURE_ID)
    return (
        named(gsp.Canvas(640, 480, 100), CANVAS_ID),
        [named(gsp.Viewport(10, -20, 300, 200), VIEWPORT_ID)],
        [named(visual, VISUAL_ID)],
        [gsp.Buffer.from_numpy([[1, 0, 0, 1], [0, 1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]], gsp.BufferType.mat4)],
        [named(gsp.Camera(), CAMERA_ID)],
    )


def document_around(kind: str, visual: dict) -> dict:
    """The exact document of `scene_around`, our own copy."""
    return copy.deepcopy(
        {
            "renderer_name": "matplotlib",
            "data": {
                "canvas": {"uuid": CANVAS_ID, "width": 640, "height": 480, "dpi": 100.0},
                "viewports": [{"uuid": VIEWPORT_ID, "x": 10, "y": -20, "width": 300, "height": 200}],
                "visuals": [{"type": kind, "visual": {"uuid": VISUAL_ID, **visual}}],
                "model_matrices": [{"model_matrix": TRANSLATION}],
                "cameras": [{"uuid": CAMERA_ID, "view_matrix": IDENTITY, "projection_matrix": IDENTITY}],
            },
        }
    )


def example(kind: str) -> dict:
    """The document of the first example of that kind."""
    return next(document_around(kind, visual) for _, found, _, visual in VISUALS if found == kind)


def body_of(document: object) -> bytes:
    return json.dumps(document).encode("utf-8")


def encode_again(scene: gsp.Scene) -> dict:
    body = encode_scene(
        scene.canvas, scene.viewports, scene.visuals, scene.model_matrices, scene.cameras, scene.renderer_name
    )
    return json.loads(body)


def plain(value: object) -> object:
    """A field's value as something that assertEqual compares."""
    if isinstance(value, gsp.TransformChain):
        return value.serialize()
    if isinstance(value, gsp.Buffer):
        return value.get_type().name, value.to_numpy().tolist()
    return state(value) if hasattr(value, "FIELDS") else value


def state(item: object) -> dict:
    fields = {field.name: plain(getattr(item, f"get_{field.name}")()) for field in item.FIELDS}
    return {"uuid": item.get_uuid(), **fields}


class Golden(unittest.TestCase):
    maxDiff = None

    def test_every_visual_is_here(self):
        """The golden documents cover all seven visuals."""
        self.assertEqual({kind for _, kind, _, _ in VISUALS}, set(gsp.VISUALS))

    def test_encode(self):
        """Each scene encodes to exactly its document."""
        for name, kind, make, visual in VISUALS:
            with self.subTest(name):
                body = encode_scene(*scene_around(make()), "matplotlib")
                self.assertEqual(json.loads(body), document_around(kind, visual))

    def test_decode(self):
        """Each document decodes to exactly its scene."""
        for name, kind, make, visual in VISUALS:
            with self.subTest(name):
                canvas, viewports, visuals, matrices, cameras = scene_around(make())
                scene = decode_scene(body_of(document_around(kind, visual)))
                self.assertEqual(scene.renderer_name, "matplotlib")
                self.assertEqual(state(scene.canvas), state(canvas))
                for found, expected in (
                    (scene.viewports, viewports),
                    (scene.visuals, visuals),
                    (scene.cameras, cameras),
                ):
                    self.assertEqual([state(item) for item in found], [state(item) for item in expected])
                    self.assertEqual([type(item) for item in found], [type(item) for item in expected])
                self.assertEqual([plain(item) for item in scene.model_matrices], [plain(item) for item in matrices])

    def test_there_and_back(self):
        """A decoded document encodes to itself."""
        for name, kind, _, visual in VISUALS:
            with self.subTest(name):
                document = document_around(kind, visual)
                self.assertEqual(encode_again(decode_scene(body_of(document))), document)

    def test_exact_bytes(self):
        """The body is compact ASCII JSON, renderer first."""
        canvas = named(gsp.Canvas(2, 1), CANVAS_ID)
        data = (
            '"data":{"canvas":{"uuid":"00000000-0000-0000-0000-000000000001","width":2,"height":1,"dpi":96.0},'
            '"viewports":[],"visuals":[],"model_matrices":[],"cameras":[]}}'
        )
        self.assertEqual(encode_scene(canvas, [], [], [], []), b"{" + data.encode())
        self.assertEqual(
            encode_scene(canvas, [], [], [], [], "datoviz"), b'{"renderer_name":"datoviz",' + data.encode()
        )

    def test_empty_scene(self):
        """A scene may have nothing in it."""
        scene = decode_scene(encode_scene(gsp.Canvas(2, 1), [], [], [], []))
        self.assertEqual((scene.viewports, scene.visuals, scene.model_matrices, scene.cameras), ((), (), (), ()))
        self.assertEqual((scene.canvas.get_width(), scene.renderer_name), (2, None))

    def test_order_and_repetition(self):
        """Lists keep their order, and an object that stands twice keeps its uuid in both places."""
        viewport, camera = gsp.Viewport(0, 0, 1, 1), gsp.Camera()
        points, image = gsp.Points(*disc_arguments()), VISUALS[-1][2]()
        visuals = [points, image, points]
        matrix = gsp.Buffer.identity()
        scene = decode_scene(encode_scene(gsp.Canvas(2, 1), [viewport] * 3, visuals, [matrix] * 3, [camera] * 3))
        self.assertEqual([item.get_uuid() for item in scene.visuals], [item.get_uuid() for item in visuals])
        self.assertEqual([item.kind for item in scene.visuals], ["points", "image", "points"])
        self.assertEqual({item.get_uuid() for item in scene.viewports}, {viewport.get_uuid()})

    def test_user_data_stays_here(self):
        """userData is never sent, and a decoded object has its own."""
        points = gsp.Points(*disc_arguments())
        points.userData["secret"] = object()
        body = encode_scene(*scene_around(points))
        self.assertNotIn(b"secret", body)
        self.assertEqual(decode_scene(body).visuals[0].userData, {})

    def test_matrices_in_every_form(self):
        """A model matrix may be a buffer, a chain or a numpy array."""
        chain = gsp.TransformChain()
        chain.add(gsp.TransformLinkImmediate(gsp.Buffer.identity()))
        for matrix in (gsp.Buffer.identity(), chain, np.eye(4), np.eye(4, dtype="f4")[np.newaxis], np.eye(4).tolist()):
            with self.subTest(type(matrix).__name__):
                canvas, viewports, visuals, _, cameras = scene_around(gsp.Points(*disc_arguments()))
                (found,) = decode_scene(encode_scene(canvas, viewports, visuals, [matrix], cameras)).model_matrices
                found = found.run() if isinstance(found, gsp.TransformChain) else found
                self.assertEqual(plain(found), ("mat4", [np.eye(4).tolist()]))

    def test_build_payload(self):
        """build_payload gives the same document as dictionaries, without the renderer."""
        scene = scene_around(gsp.Points(*disc_arguments()))
        self.assertEqual(build_payload(*scene), {"data": document_around("points", DISC)["data"]})

    def test_tuples_are_sequences(self):
        """The lists of a scene may be tuples."""
        canvas, *lists = scene_around(gsp.Points(*disc_arguments()))
        self.assertEqual(encode_scene(canvas, *map(tuple, lists)), encode_scene(canvas, *lists))

    @needs_golden
    def test_golden_files(self):
        """Each golden request decodes, and encodes to the same document again."""
        self.assertGreaterEqual(len(GOLDEN), 52)
        for path in GOLDEN:
            with self.subTest(path.stem):
                body = path.read_bytes()
                self.assertEqual(encode_again(decode_scene(body)), json.loads(body))


class Tolerance(unittest.TestCase):
    def test_unknown_keys(self):
        """Unknown keys are ignored at every level, so that later versions can add some."""

        def with_extras(value):
            if isinstance(value, dict):
                return {"extra": None, **{key: with_extras(item) for key, item in value.items()}, "later": [{"x": 1}]}
            return [with_extras(item) for item in value] if isinstance(value, list) else value

        for name, kind, _, visual in VISUALS:
            with self.subTest(name):
                document = document_around(kind, visual)
                self.assertEqual(encode_again(decode_scene(body_of(with_extras(document)))), document)

    def test_renderer_may_be_missing(self):
        """A request that names no renderer, or null, leaves it to the server."""
        document = example("points")
        document["renderer_name"] = None
        self.assertIsNone(decode_scene(body_of(document)).renderer_name)
        del document["renderer_name"]
        self.assertIsNone(decode_scene(body_of(document)).renderer_name)

    def test_integers_for_floats(self):
        """A float field takes an integer."""
        document = example("image")
        document["data"]["canvas"]["dpi"] = 100
        document["data"]["visuals"][0]["visual"]["image_extent"] = [-1, 1, 0, 2]
        scene = decode_scene(body_of(document))
        self.assertEqual(scene.canvas.get_dpi(), 100.0)
        self.assertEqual(scene.visuals[0].get_image_extent(), [-1.0, 1.0, 0.0, 2.0])

    def test_escapes_and_white_space(self):
        """JSON's freedoms of writing mean nothing: white space, escapes, order of keys, raw UTF-8."""
        document = example("texts")
        scene = decode_scene(body_of(document))
        spelled = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode("utf-8")
        self.assertEqual(encode_again(decode_scene(spelled)), encode_again(scene))
        self.assertEqual(scene.visuals[0].get_strings(), ["π = 3", "a\nb"])

    def test_surrogate_pairs(self):
        """A whole surrogate pair in JSON is one character."""
        document = example("texts")
        document["data"]["visuals"][0]["visual"]["texts"][0] = "😀"
        self.assertIn(b"\\ud83d\\ude00", body_of(document))
        self.assertEqual(decode_scene(body_of(document)).visuals[0].get_strings()[0], "😀")

    def test_any_bytes(self):
        """The body may be bytes, bytearray or memoryview."""
        body = body_of(example("points"))
        for kind in (bytes, bytearray, memoryview):
            with self.subTest(kind.__name__):
                self.assertEqual(decode_scene(kind(body)).visuals[0].get_uuid(), VISUAL_ID)

    def test_chains_are_not_run(self):
        """Decoding runs no chain: one that would fail decodes."""
        document = document_around("points", {**DISC, "positions": CHAIN})
        document["data"]["visuals"][0]["visual"]["positions"]["transBuf"]["transform_chain"]["links"] = []
        chain = decode_scene(body_of(document)).visuals[0].get_positions()
        with self.assertRaises(InvalidScene):
            chain.run()


GONE = object()


def change(document: dict, path: str, value: object) -> None:
    """Replace, add or (GONE) remove what stands at a path such as ``data.visuals[0].type``."""
    keys = [int(key) if key.isdigit() else key for key in path.replace("[", ".").replace("]", "").split(".")]
    for key in keys[:-1]:
        document = document[key]
    if value is GONE:
        del document[keys[-1]]
    else:
        document[keys[-1]] = value


V = "data.visuals[0].visual"
LINK = f"{V}.positions.transBuf.transform_chain.links[0]"
LINK_SEEN = "visuals[0].positions.transform_chain.links[0]"
NOT_BASE64 = "not base64 (RFC 4648 section 4, padded, no line breaks)"
TEXT = "text with NUL or half a surrogate pair, expected Unicode text"

# (kind of the visual, place, what is put there, the message)
REFUSED = [
    # the document
    ("points", "renderer_name", "opengl", "renderer_name: 'opengl', expected one of matplotlib, datoviz"),
    ("points", "renderer_name", "", "renderer_name: '', expected one of matplotlib, datoviz"),
    ("points", "renderer_name", ["matplotlib"], "renderer_name: list, expected one of matplotlib, datoviz"),
    ("points", "renderer_name", 0, "renderer_name: int, expected one of matplotlib, datoviz"),
    ("points", "data", GONE, "data: missing"),
    ("points", "data", None, "data: null, expected object"),
    ("points", "data", [], "data: list, expected object"),
    ("points", "data.canvas", GONE, "canvas: missing"),
    ("points", "data.viewports", GONE, "viewports: missing"),
    ("points", "data.visuals", GONE, "visuals: missing"),
    ("points", "data.model_matrices", GONE, "model_matrices: missing"),
    ("points", "data.cameras", GONE, "cameras: missing"),
    ("points", "data.viewports", {}, "viewports: object, expected list"),
    ("points", "data.visuals", "points", "visuals: text, expected list"),
    ("points", "data.cameras", None, "cameras: null, expected list"),
    ("points", "data.viewports", [], "viewports: 0 items, expected 1, as many as visuals"),
    ("points", "data.model_matrices", [{}, {}], "model_matrices: 2 items, expected 1, as many as visuals"),
    ("points", "data.cameras", [{}, {}, {}], "cameras: 3 items, expected 1, as many as visuals"),
    ("points", "data.visuals", [], "viewports: 1 items, expected 0, as many as visuals"),
    # canvas
    ("points", "data.canvas", None, "canvas: null, expected an object"),
    ("points", "data.canvas", [], "canvas: list, expected an object"),
    ("points", "data.canvas.uuid", GONE, "canvas.uuid: missing"),
    ("points", "data.canvas.uuid", 7, "canvas.uuid: int, expected text"),
    ("points", "data.canvas.width", GONE, "canvas.width: missing"),
    ("points", "data.canvas.width", 800.0, "canvas.width: float, expected an integer"),
    ("points", "data.canvas.width", "800", "canvas.width: text, expected an integer"),
    ("points", "data.canvas.width", True, "canvas.width: boolean, expected an integer"),
    ("points", "data.canvas.width", None, "canvas.width: null, expected an integer"),
    ("points", "data.canvas.width", [800], "canvas.width: list, expected an integer"),
    ("points", "data.canvas.width", 0, "canvas.width: 0, expected 1 to 2147483647"),
    ("points", "data.canvas.height", -480, "canvas.height: -480, expected 1 to 2147483647"),
    ("points", "data.canvas.height", 2**31, "canvas.height: 2147483648, expected 1 to 2147483647"),
    ("points", "data.canvas.dpi", GONE, "canvas.dpi: missing"),
    ("points", "data.canvas.dpi", "96", "canvas.dpi: text, expected a number"),
    ("points", "data.canvas.dpi", False, "canvas.dpi: boolean, expected a number"),
    ("points", "data.canvas.dpi", None, "canvas.dpi: null, expected a number"),
    ("points", "data.canvas.dpi", 0, "canvas.dpi: 0.0, expected at least 1"),
    ("points", "data.canvas.dpi", -96.0, "canvas.dpi: -96.0, expected at least 1"),
    # viewport
    ("points", "data.viewports[0]", None, "viewports[0]: null, expected an object"),
    ("points", "data.viewports[0].uuid", GONE, "viewports[0].uuid: missing"),
    ("points", "data.viewports[0].x", 1.5, "viewports[0].x: float, expected an integer"),
    ("points", "data.viewports[0].y", 2**31, "viewports[0].y: 2147483648, expected -2147483647 to 2147483647"),
    ("points", "data.viewports[0].width", 0, "viewports[0].width: 0, expected 1 to 2147483647"),
    ("points", "data.viewports[0].height", GONE, "viewports[0].height: missing"),
    # camera
    ("points", "data.cameras[0]", 1, "cameras[0]: int, expected an object"),
    ("points", "data.cameras[0].uuid", None, "cameras[0].uuid: null, expected text"),
    ("points", "data.cameras[0].view_matrix", GONE, "cameras[0].view_matrix: missing"),
    (
        "points",
        "data.cameras[0].view_matrix",
        None,
        "cameras[0].view_matrix: null, expected an object",
    ),
    ("points", "data.cameras[0].view_matrix", ONE_VERTEX, "cameras[0].view_matrix: buffer of vec3, expected mat4"),
    (
        "points",
        "data.cameras[0].projection_matrix",
        transbuf("mat4", 0, ""),
        "cameras[0].projection_matrix: 0 items, expected 1",
    ),
    (
        "points",
        "data.cameras[0].projection_matrix",
        CHAIN,
        "cameras[0].projection_matrix: chain that yields vec3, expected mat4",
    ),
    # model matrix
    ("points", "data.model_matrices[0]", None, "model_matrices[0]: null, expected an object"),
    ("points", "data.model_matrices[0]", {}, "model_matrices[0].model_matrix: missing"),
    (
        "points",
        "data.model_matrices[0].model_matrix",
        [1, 0],
        "model_matrices[0].model_matrix: list, expected an object",
    ),
    (
        "points",
        "data.model_matrices[0].model_matrix",
        RED,
        "model_matrices[0].model_matrix: buffer of rgba8, expected mat4",
    ),
    (
        "points",
        "data.model_matrices[0].model_matrix",
        transbuf("mat4", 2, "A" * 171 + "="),
        "model_matrices[0].model_matrix: 2 items, expected 1",
    ),
    # visual
    ("points", "data.visuals[0]", "points", "visuals[0]: text, expected an object"),
    ("points", "data.visuals[0].type", GONE, "visuals[0].type: missing"),
    ("points", "data.visuals[0].type", 3, "visuals[0].type: int, expected text"),
    (
        "points",
        "data.visuals[0].type",
        "Points",
        "visuals[0].type: 'Points', expected one of points, markers, pixels, segments, paths, texts, image",
    ),
    (
        "points",
        "data.visuals[0].type",
        "x" * 1000,
        f"visuals[0].type: '{'x' * 80}', expected one of points, markers, pixels, segments, paths, texts, image",
    ),
    ("points", "data.visuals[0].type", "markers", "visuals[0].marker_shape: missing"),
    ("points", V, GONE, "visuals[0].visual: missing"),
    ("points", V, [], "visuals[0]: list, expected an object"),
    ("points", f"{V}.uuid", GONE, "visuals[0].uuid: missing"),
    ("points", f"{V}.uuid", {}, "visuals[0].uuid: object, expected text"),
    # buffer
    ("points", f"{V}.sizes", GONE, "visuals[0].sizes: missing"),
    ("points", f"{V}.sizes", [16.0], "visuals[0].sizes: list, expected an object"),
    ("points", f"{V}.sizes.type", GONE, "visuals[0].sizes.type: missing"),
    ("points", f"{V}.sizes.type", None, "visuals[0].sizes.type: null, expected text"),
    ("points", f"{V}.sizes.type", "chain", "visuals[0].sizes.type: 'chain', expected one of buffer, transform_chain"),
    ("points", f"{V}.sizes.transBuf", GONE, "visuals[0].sizes.transBuf: missing"),
    ("points", f"{V}.sizes.transBuf", [], "visuals[0].sizes.transBuf: list, expected object"),
    ("points", f"{V}.sizes.transBuf.count", GONE, "visuals[0].sizes.count: missing"),
    ("points", f"{V}.sizes.transBuf.count", 1.0, "visuals[0].sizes.count: float, expected an integer"),
    ("points", f"{V}.sizes.transBuf.count", True, "visuals[0].sizes.count: boolean, expected an integer"),
    ("points", f"{V}.sizes.transBuf.count", -1, "visuals[0].sizes.count: -1, expected 0 to 2147483647"),
    ("points", f"{V}.sizes.transBuf.count", 2**31, "visuals[0].sizes.count: 2147483648, expected 0 to 2147483647"),
    (
        "points",
        f"{V}.sizes.transBuf.count",
        2**31 - 1,
        "visuals[0].sizes.data_base64: 8 base64 characters, "
        "expected 11453246120 (2147483647 x float32 = 8589934588 bytes)",
    ),
    ("points", f"{V}.sizes.transBuf.buffer_type", GONE, "visuals[0].sizes.buffer_type: missing"),
    (
        "points",
        f"{V}.sizes.transBuf.buffer_type",
        "float64",
        f"visuals[0].sizes.buffer_type: 'float64', expected one of {BUFFER_NAMES}",
    ),
    (
        "points",
        f"{V}.sizes.transBuf.buffer_type",
        None,
        f"visuals[0].sizes.buffer_type: null, expected one of {BUFFER_NAMES}",
    ),
    (
        "points",
        f"{V}.sizes.transBuf.buffer_type",
        ["float32"],
        f"visuals[0].sizes.buffer_type: list, expected one of {BUFFER_NAMES}",
    ),
    ("points", f"{V}.sizes.transBuf.buffer_type", "uint32", "visuals[0].sizes: buffer of uint32, expected float32"),
    ("points", f"{V}.sizes.transBuf.data_base64", GONE, "visuals[0].sizes.data_base64: missing"),
    ("points", f"{V}.sizes.transBuf.data_base64", None, "visuals[0].sizes.data_base64: null, expected base64 text"),
    ("points", f"{V}.sizes.transBuf.data_base64", [0], "visuals[0].sizes.data_base64: list, expected base64 text"),
    *(
        ("points", f"{V}.face_colors.transBuf.data_base64", text, f"visuals[0].face_colors.data_base64: {problem}")
        for text, problem in [  # of one rgba8, "/wAA/w=="
            ("", "0 base64 characters, expected 8 (1 x rgba8 = 4 bytes)"),
            ("!!!!", "4 base64 characters, expected 8 (1 x rgba8 = 4 bytes)"),
            ("/wAA/w", "6 base64 characters, expected 8 (1 x rgba8 = 4 bytes)"),  # unpadded
            ("/wAA/w==\n", "9 base64 characters, expected 8 (1 x rgba8 = 4 bytes)"),
            ("!!!!!!!!", NOT_BASE64),
            ("/wAA /w=", NOT_BASE64),
            ("/wAA\r\n/w", NOT_BASE64),
            ("YQ==YQ==", NOT_BASE64),
            ("_wAA_w==", NOT_BASE64),  # the alphabet for URLs
            ("/wAA/wé=", NOT_BASE64),
            ("/wAA/w=\0", NOT_BASE64),
            ("/wAA/x==", "base64 whose last group has bits behind the data, expected zeros there"),  # trailing bits
            ("/wAA/wA=", "base64 of 5 bytes, expected 4 (1 x rgba8)"),
        ]
    ),
    (
        "points",
        f"{V}.positions",
        transbuf("vec3", 1, "AADAfwAAAAAAAAAA"),
        "visuals[0].positions[0]: [nan, 0.0, 0.0], expected finite numbers",
    ),
    (
        "points",
        f"{V}.sizes",
        transbuf("float32", 1, "AACAfw=="),
        "visuals[0].sizes[0]: inf, expected finite numbers",
    ),
    (
        "paths",
        f"{V}.line_widths",
        transbuf("float32", 2, "AACAPwAAgP8="),
        "visuals[0].line_widths[1]: -inf, expected finite numbers",
    ),
    # points and markers
    ("points", f"{V}.sizes", ONE_AND_TWO, "visuals[0].sizes: 2 items, expected 1"),
    ("points", f"{V}.positions", TWO_VERTICES, "visuals[0].sizes: 1 items, expected 2"),
    ("points", f"{V}.face_colors", RED_AND_BLUE, "visuals[0].face_colors: 2 items, expected 1"),
    ("points", f"{V}.edge_widths", transbuf("float32", 0, ""), "visuals[0].edge_widths: 0 items, expected 1"),
    ("points", f"{V}.sizes", transbuf("float32", 1, "AACAvw=="), "visuals[0].sizes[0]: -1.0, expected at least 0"),
    ("points", f"{V}.edge_colors", SIXTEEN, "visuals[0].edge_colors: buffer of float32, expected rgba8"),
    (
        "markers",
        f"{V}.marker_shape",
        "star",
        "visuals[0].marker_shape: 'star', expected one of disc, square, club",
    ),
    ("markers", f"{V}.marker_shape", None, "visuals[0].marker_shape: null, expected one of disc, square, club"),
    ("markers", f"{V}.marker_shape", ["disc"], "visuals[0].marker_shape: list, expected one of disc, square, club"),
    ("markers", f"{V}.sizes", ONE_AND_TWO, "visuals[0].sizes: 2 items, expected 1"),
    # pixels
    ("pixels", f"{V}.groups", GONE, "visuals[0].groups: missing"),
    ("pixels", f"{V}.groups", None, "visuals[0].groups: null, expected an integer"),
    ("pixels", f"{V}.groups", True, "visuals[0].groups: boolean, expected an integer"),
    ("pixels", f"{V}.groups", 1.0, "visuals[0].groups: float, expected an integer"),
    ("pixels", f"{V}.groups", {}, "visuals[0].groups: object, expected an integer"),
    ("pixels", f"{V}.groups", 0, "visuals[0].groups: 0, expected 1 to 2147483647"),
    ("pixels", f"{V}.groups", 3, "visuals[0].groups: 2 positions, expected a multiple of the group size 3"),
    ("pixels", f"{V}.groups", 2, "visuals[0].colors: 2 items, expected 1, one per group"),
    ("pixels", f"{V}.groups", [1, 2], "visuals[0].groups: sizes add up to 3, expected the 2 positions"),
    ("pixels", f"{V}.groups", [], "visuals[0].groups: sizes add up to 0, expected the 2 positions"),
    ("pixels", f"{V}.groups", [1, -1], "visuals[0].groups[1]: -1, expected 0 to 2147483647"),
    ("pixels", f"{V}.groups", [1, "1"], "visuals[0].groups[1]: text, expected an integer"),
    ("pixels", f"{V}.groups", [1, [0]], "visuals[0].groups[1]: list, expected an integer"),
    (
        "pixels",
        f"{V}.groups",
        [[0], 1],
        "visuals[0].groups[1]: int, expected a list of vertex indices, as groups[0] is",
    ),
    ("pixels", f"{V}.groups", [[0], [2]], "visuals[0].groups[1]: vertex index 2, expected less than 2"),
    ("pixels", f"{V}.groups", [[-1], [0]], "visuals[0].groups[0][0]: -1, expected 0 to 2147483647"),
    ("pixels", f"{V}.groups", [[0, True], [1]], "visuals[0].groups[0][1]: boolean, expected an integer"),
    ("pixels", f"{V}.groups", [[[0]], [1]], "visuals[0].groups[0][0]: list, expected an integer"),
    ("pixels", f"{V}.groups", [[0], [1], []], "visuals[0].colors: 2 items, expected 3, one per group"),
    # segments and paths
    ("segments", f"{V}.positions", ONE_VERTEX, "visuals[0].positions: 1 items, expected a multiple of 2"),
    ("segments", f"{V}.line_widths", ONE_AND_TWO, "visuals[0].line_widths: 2 items, expected 1"),
    ("segments", f"{V}.colors", RED_AND_BLUE, "visuals[0].colors: 2 items, expected 1"),
    (
        "segments",
        f"{V}.cap_style",
        "SQUARE",
        "visuals[0].cap_style: 'SQUARE', expected one of BUTT, PROJECTING, ROUND",
    ),
    ("segments", f"{V}.cap_style", 1, "visuals[0].cap_style: int, expected one of BUTT, PROJECTING, ROUND"),
    ("paths", f"{V}.join_style", "miter", "visuals[0].join_style: 'miter', expected one of MITER, BEVEL, ROUND"),
    ("paths", f"{V}.join_style", GONE, "visuals[0].join_style: missing"),
    (
        "paths",
        f"{V}.path_sizes",
        transbuf("uint32", 1, "AwAAAA=="),
        "visuals[0].path_sizes: sizes add up to 3, expected the 2 positions",
    ),
    (
        "paths",
        f"{V}.path_sizes",
        transbuf("uint32", 2, "//////////8="),
        "visuals[0].path_sizes: sizes add up to 8589934590, expected the 2 positions",
    ),
    ("paths", f"{V}.path_sizes", ONE_AND_A_HALF, "visuals[0].path_sizes: buffer of float32, expected uint32"),
    ("paths", f"{V}.colors", RED, "visuals[0].colors: 1 items, expected 2"),
    # texts
    ("texts", f"{V}.texts", GONE, "visuals[0].texts: missing"),
    ("texts", f"{V}.texts", "ab", "visuals[0].texts: text, expected a list of strings"),
    ("texts", f"{V}.texts", {"0": "a"}, "visuals[0].texts: object, expected a list of strings"),
    ("texts", f"{V}.texts", ["a"], "visuals[0].texts: 1 items, expected 2"),
    ("texts", f"{V}.texts", ["a", None], "visuals[0].texts[1]: null, expected text"),
    ("texts", f"{V}.texts", ["a", "b\0"], f"visuals[0].texts[1]: {TEXT}"),
    ("texts", f"{V}.texts", ["\ud800", "b"], f"visuals[0].texts[0]: {TEXT}"),
    ("texts", f"{V}.texts", ["\ude00\ud83d", "b"], f"visuals[0].texts[0]: {TEXT}"),
    ("texts", f"{V}.font_name", 3, "visuals[0].font_name: int, expected text"),
    ("texts", f"{V}.font_name", "a\0b", f"visuals[0].font_name: {TEXT}"),
    ("texts", f"{V}.font_name", "\udfff", f"visuals[0].font_name: {TEXT}"),
    ("texts", f"{V}.angles", SIXTEEN, "visuals[0].angles: 1 items, expected 2"),
    (
        "texts",
        f"{V}.anchors",
        transbuf("vec2", 2, "AAAAQAAAAAAAAAAAAACAPw=="),
        "visuals[0].anchors[0]: [2.0, 0.0], expected at most 1",
    ),
    (
        "texts",
        f"{V}.font_sizes",
        transbuf("float32", 2, "AACAPwAAgL8="),
        "visuals[0].font_sizes[1]: -1.0, expected at least 0",
    ),
    # image
    ("image", f"{V}.position", TWO_VERTICES, "visuals[0].position: 2 items, expected 1"),
    ("image", f"{V}.interpolation", GONE, "visuals[0].interpolation: missing"),
    (
        "image",
        f"{V}.interpolation",
        "linear",
        "visuals[0].interpolation: 'linear', expected one of LINEAR, NEAREST",
    ),
    ("image", f"{V}.image_extent", GONE, "visuals[0].image_extent: missing"),
    (
        "image",
        f"{V}.image_extent",
        None,
        "visuals[0].image_extent: null, expected [left, right, bottom, top]",
    ),
    (
        "image",
        f"{V}.image_extent",
        [0, 1, 2],
        "visuals[0].image_extent: 3 items, expected 4: [left, right, bottom, top]",
    ),
    ("image", f"{V}.image_extent", [0, 1, 2, "3"], "visuals[0].image_extent[3]: text, expected a number"),
    ("image", f"{V}.image_extent", [True, 1, 2, 3], "visuals[0].image_extent[0]: boolean, expected a number"),
    ("image", f"{V}.texture", GONE, "visuals[0].texture: missing"),
    ("image", f"{V}.texture", None, "visuals[0].texture: null, expected an object"),
    ("image", f"{V}.texture.uuid", GONE, "visuals[0].texture.uuid: missing"),
    ("image", f"{V}.texture.width", 0, "visuals[0].texture.width: 0, expected 1 to 2147483647"),
    ("image", f"{V}.texture.height", 1.0, "visuals[0].texture.height: float, expected an integer"),
    ("image", f"{V}.texture.width", 3, "visuals[0].texture.data: 2 items, expected 3 (width 3 x height 1)"),
    (
        "image",
        f"{V}.texture.width",
        2**31 - 1,
        "visuals[0].texture.data: 2 items, expected 2147483647 (width 2147483647 x height 1)",
    ),
    ("image", f"{V}.texture.data", GONE, "visuals[0].texture.data: missing"),
    ("image", f"{V}.texture.data", SIXTEEN, "visuals[0].texture.data: buffer of float32, expected rgba8"),
    (
        "image",
        f"{V}.texture.data.transBuf.data_base64",
        "/wAA/wAA//9=",
        "visuals[0].texture.data.data_base64: base64 whose last group has bits behind the data, expected zeros there",
    ),
    # chain: these start from the points of a chain
    ("chain", f"{V}.positions.transBuf", {}, "visuals[0].positions.transform_chain: missing"),
    (
        "chain",
        f"{V}.positions.transBuf.transform_chain.buffer_count",
        None,
        "visuals[0].positions.transform_chain.buffer_count: null, expected an integer",
    ),
    (
        "chain",
        f"{V}.positions.transBuf.transform_chain.buffer_count",
        -2,
        "visuals[0].positions.transform_chain.buffer_count: -2, expected -1 to 2147483647",
    ),
    ("chain", f"{V}.positions.transBuf.transform_chain.buffer_count", 2, "visuals[0].sizes: 1 items, expected 2"),
    (
        "chain",
        f"{V}.positions.transBuf.transform_chain.buffer_type",
        GONE,
        "visuals[0].positions.transform_chain.buffer_type: missing",
    ),
    (
        "chain",
        f"{V}.positions.transBuf.transform_chain.buffer_type",
        3,
        f"visuals[0].positions.transform_chain.buffer_type: int, expected one of {BUFFER_NAMES}",
    ),
    (
        "chain",
        f"{V}.positions.transBuf.transform_chain.buffer_type",
        "vec2",
        "visuals[0].positions: chain that yields vec2, expected vec3",
    ),
    (
        "chain",
        f"{V}.positions.transBuf.transform_chain.links",
        None,
        "visuals[0].positions.transform_chain.links: null, expected list",
    ),
    ("chain", LINK, "TransformImmediate", f"{LINK_SEEN}: text, expected an object"),
    ("chain", f"{LINK}.link_type", GONE, f"{LINK_SEEN}.link_type: missing"),
    ("chain", f"{LINK}.link_type", None, f"{LINK_SEEN}.link_type: null, expected text"),
    ("chain", f"{LINK}.link_data", GONE, f"{LINK_SEEN}.link_data: missing"),
    ("chain", f"{LINK}.link_data.buffer_count", GONE, f"{LINK_SEEN}.link_data.buffer_count: missing"),
    (
        "chain",
        f"{LINK}.link_data.data_base64",
        "!" * 16,
        f"{LINK_SEEN}.link_data.data_base64: {NOT_BASE64}",
    ),
]

CANVAS_JSON = b'{"uuid":"u","width":4,"height":2,"dpi":96.0}'


def small_body(canvas: bytes = CANVAS_JSON, more: bytes = b"") -> bytes:
    lists = b'"viewports":[],"visuals":[],"model_matrices":[],"cameras":[]'
    return b'{"data":{"canvas":' + canvas + b"," + lists + b"}" + more + b"}"


def nested(levels: int, inside: bytes = b"") -> bytes:
    """A body whose document has that many objects and lists inside each other."""
    return small_body(more=b',"extra":' + b"[" * (levels - 1) + inside + b"]" * (levels - 1))


TOO_DEEP = "body: nested too deep, expected at most 64 levels"

# (name, body, message, problem type)
MALFORMED = [
    ("empty", b"", "body: not JSON: Expecting value at character 0", "not_json"),
    ("text", b"hello", "body: not JSON: Expecting value at character 0", "not_json"),
    (
        "half",
        small_body()[:-1],
        f"body: not JSON: Expecting ',' delimiter at character {len(small_body()) - 1}",
        "not_json",
    ),
    ("two documents", b"{} {}", "body: not JSON: Extra data at character 3", "not_json"),
    ("single quotes", b"{'a': 1}", "at character 1", "not_json"),
    ("control character", b'{"a": "\n"}', "body: not JSON: Invalid control character at at character 7", "not_json"),
    ("bad UTF-8", b'{"a": "\xff"}', "body: byte 7 is not UTF-8", "not_json"),
    ("surrogates in UTF-8", b'{"a": "\xed\xa0\x80"}', "body: byte 7 is not UTF-8", "not_json"),
    ("overlong UTF-8", b'{"a": "\xc0\xaf"}', "body: byte 7 is not UTF-8", "not_json"),
    ("UTF-16", '{"a": 1}'.encode("utf-16"), "body: byte 0 is not UTF-8", "not_json"),
    ("UTF-16 without BOM", small_body().decode().encode("utf-16-le"), "at character 1", "not_json"),
    (
        "BOM",
        b"\xef\xbb\xbf" + small_body(),
        "body: not JSON: Unexpected UTF-8 BOM (decode using utf-8-sig) at character 0",
        "not_json",
    ),
    ("key twice", b'{"data": 1, "data": 2}', "body: key 'data' stands twice in one object", "duplicate_key"),
    (
        "key twice, deep inside",
        small_body(CANVAS_JSON[:-1] + b', "width": 5}'),
        "body: key 'width' stands twice in one object",
        "duplicate_key",
    ),
    (
        "key twice by an escape",
        b'{"a": 1, "\\u0061": 2}',
        "body: key 'a' stands twice in one object",
        "duplicate_key",
    ),
    (
        "long key twice",
        b'{"' + b"k" * 500 + b'": 1, "' + b"k" * 500 + b'": 2}',
        f"body: key '{'k' * 80}' stands twice in one object",
        "duplicate_key",
    ),
    (
        "integer of 5000 digits",
        small_body(CANVAS_JSON.replace(b"4", b"9" * 5000)),
        "body: an integer of 5000 digits, expected at most 20",
        "bad_number",
    ),
    (
        "integer of 4000 digits",
        small_body(CANVAS_JSON.replace(b"4", b"9" * 4000)),
        "body: an integer of 4000 digits, expected at most 20",
        "bad_number",
    ),
    (
        "negative integer of 21 digits",
        small_body(CANVAS_JSON.replace(b"4", b"-" + b"9" * 21)),
        "body: an integer of 21 digits, expected at most 20",
        "bad_number",
    ),
    ("65 deep", nested(65), TOO_DEEP, "json_too_deep"),
    ("65 deep, not empty", nested(65, b"1"), TOO_DEEP, "json_too_deep"),
    ("100000 deep lists", b"[" * 100_000 + b"]" * 100_000, TOO_DEEP, "json_too_deep"),
    ("100000 deep objects", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, TOO_DEEP, "json_too_deep"),
    ("100000 deep, unclosed", b"[" * 100_000, TOO_DEEP, "json_too_deep"),
]

# (body, message) of documents that are JSON but no scene
NO_SCENE = [
    (b"[]", "body: list, expected an object"),
    (b"null", "body: null, expected an object"),
    (b"3", "body: int, expected an object"),
    (b'"scene"', "body: text, expected an object"),
    (b"true", "body: boolean, expected an object"),
    (b"{}", "data: missing"),
    (small_body(CANVAS_JSON.replace(b"96.0", b"NaN")), "canvas.dpi: nan, expected a finite number"),
    (small_body(CANVAS_JSON.replace(b"96.0", b"Infinity")), "canvas.dpi: inf, expected a finite number"),
    (small_body(CANVAS_JSON.replace(b"96.0", b"-Infinity")), "canvas.dpi: -inf, expected a finite number"),
    (small_body(CANVAS_JSON.replace(b"96.0", b"1e999")), "canvas.dpi: inf, expected a finite number"),
    (small_body(CANVAS_JSON.replace(b"96.0", b"-1e999")), "canvas.dpi: -inf, expected a finite number"),
    (small_body(more=b',"extra":[NaN]'), "body: NaN is no finite number"),
    (small_body(CANVAS_JSON.replace(b"4", b"4.0")), "canvas.width: float, expected an integer"),
    (small_body(CANVAS_JSON.replace(b"4", b"4e0")), "canvas.width: float, expected an integer"),
    (
        small_body(CANVAS_JSON.replace(b"4", b"9" * 20)),
        f"canvas.width: {'9' * 20}, expected 1 to 2147483647",
    ),
]


class Refusals(unittest.TestCase):
    maxDiff = None

    def assert_refused(self, body, kind, message):
        with self.assertRaises(kind) as caught:
            decode_scene(body)
        self.assertIs(type(caught.exception), kind)
        self.assertEqual(str(caught.exception), message)
        return caught.exception

    def test_fields(self):
        """Every wrong field is refused with its place, what was found and what was wanted."""
        for kind, path, value, message in REFUSED:
            with self.subTest(message, kind=kind, value=repr(value)[:80]):
                document = document_around("points", {**DISC, "positions": CHAIN}) if kind == "chain" else example(kind)
                change(document, path, copy.deepcopy(value) if value is not GONE else GONE)
                error = self.assert_refused(body_of(document), InvalidScene, message)
                self.assertEqual(f"{error.where}: {error.problem}", message)

    def test_every_field_is_needed(self):
        """Each field of each visual is missed by name where it is missing, and refused where it is null."""
        for name, kind, _, visual in VISUALS:
            for key in visual:
                with self.subTest(name, field=key):
                    document = document_around(kind, visual)
                    change(document, f"{V}.{key}", GONE)
                    self.assert_refused(body_of(document), InvalidScene, f"visuals[0].{key}: missing")
                    change(document, f"{V}.{key}", None)
                    with self.assertRaises(InvalidScene) as caught:
                        decode_scene(body_of(document))
                    self.assertTrue(str(caught.exception).startswith(f"visuals[0].{key}: null, expected "))

    def test_second_visual(self):
        """Places count from 0: the second visual is visuals[1]."""
        document = example("points")
        for items in document["data"].values():
            if isinstance(items, list):
                items.append(copy.deepcopy(items[0]))
        change(document, "data.visuals[1].visual.sizes", ONE_AND_TWO)
        self.assert_refused(body_of(document), InvalidScene, "visuals[1].sizes: 2 items, expected 1")

    def test_malformed(self):
        """What is not the JSON it should be is a MalformedBody, with its problem type."""
        for name, body, message, problem_type in MALFORMED:
            with self.subTest(name):
                with self.assertRaises(MalformedBody) as caught:
                    decode_scene(body)
                error = caught.exception
                self.assertTrue(
                    str(error) == message or (message[0] != "b" and str(error).endswith(message)), str(error)
                )
                self.assertTrue(str(error).startswith("body: "))
                self.assertEqual((error.type, error.status), (problem_type, 400))

    def test_no_scene(self):
        """JSON that is no scene is an InvalidScene."""
        for body, message in NO_SCENE:
            with self.subTest(message):
                self.assertEqual(self.assert_refused(body, InvalidScene, message).status, 422)

    def test_depth(self):
        """A document may nest as deep as the limit, and no deeper."""
        self.assertEqual(Limits().max_depth, 64)
        for inside in (b"", b"1"):
            with self.subTest(inside=inside):
                self.assertEqual(decode_scene(nested(64, inside)).canvas.get_width(), 4)
                self.assertEqual(decode_scene(nested(65, inside), Limits(max_depth=65)).canvas.get_width(), 4)
                with self.assertRaises(MalformedBody) as caught:
                    decode_scene(nested(10, inside), Limits(max_depth=9))
                self.assertEqual(str(caught.exception), "body: nested too deep, expected at most 9 levels")

    def test_many_keys(self):
        """One key that stands twice among very many is found without comparing each with each."""
        keys = b",".join(b'"%d":0' % number for number in range(30_000))
        begin = time.process_time()
        with self.assertRaises(MalformedBody) as caught:
            decode_scene(b"{" + keys + b',"29999":1}')
        self.assertEqual(str(caught.exception), "body: key '29999' stands twice in one object")
        self.assertLess(time.process_time() - begin, 2.0)

    def test_unregistered_link(self):
        """A link that is not registered here is an UnsupportedTransform at its place."""
        document = document_around("points", {**DISC, "positions": CHAIN})
        change(document, f"{LINK}.link_type", "TransformBrew")
        known = ", ".join(sorted(gsp.TransformRegistry._classes))
        message = f"{LINK_SEEN}.link_type: 'TransformBrew' is not registered here, expected one of {known}"
        error = self.assert_refused(body_of(document), UnsupportedTransform, message)
        self.assertEqual((error.status, error.type), (422, "unsupported_transform"))

    def test_messages_are_short(self):
        """What a sender wrote is quoted in part only."""
        long = "x" * 100_000
        table = [
            ("renderer_name", long),
            ("data.visuals[0].type", long),
            (f"{V}.marker_shape", long),
            (f"{V}.sizes.type", long),
            (f"{V}.sizes.transBuf.buffer_type", long),
            (f"{V}.sizes.transBuf.buffer_type", [long]),
            (f"{V}.sizes.transBuf.data_base64", long),
        ]
        for path, value in table:
            with self.subTest(path):
                with self.assertRaises(InvalidScene) as caught:
                    document = example("markers")
                    change(document, path, value)
                    decode_scene(body_of(document))
                self.assertLess(len(str(caught.exception)), 300)

    def test_messages_are_printable(self):
        """Line breaks and control characters of a sender's do not reach a message as they are."""
        for path in ("renderer_name", "data.visuals[0].type", f"{V}.marker_shape", f"{V}.sizes.transBuf.buffer_type"):
            with self.subTest(path):
                with self.assertRaises(InvalidScene) as caught:
                    document = example("markers")
                    change(document, path, "a\r\nX: \x1b[31m\0\ud800")
                    decode_scene(body_of(document))
                self.assertTrue(str(caught.exception).isprintable(), repr(str(caught.exception)))


class Encoding(unittest.TestCase):
    def setUp(self):
        self.canvas, *self.lists = scene_around(gsp.Points(*disc_arguments()))

    def assert_refused(self, message, *arguments):
        with self.assertRaises(InvalidScene) as caught:
            encode_scene(*arguments)
        self.assertEqual(str(caught.exception), message)

    def test_what_is_no_list(self):
        """A lone object, None or a generator in place of a list is refused by name, and so is an unknown renderer."""
        canvas, viewports, visuals, models, cameras = scene_around(gsp.Points(*disc_arguments()))
        for arguments, message in (
            ((viewports[0], visuals, models, cameras), "viewports: Viewport, expected a list"),
            ((viewports, None, models, cameras), "visuals: null, expected a list"),
            ((viewports, visuals, (model for model in models), cameras), "model_matrices: generator, expected a list"),
            ((viewports, visuals, models, "cameras"), "cameras: text, expected a list"),
            (
                (viewports, visuals, models, cameras, "opengl"),
                "renderer_name: 'opengl', expected one of matplotlib, datoviz",
            ),
        ):
            with self.subTest(message), self.assertRaises(InvalidScene) as caught:
                encode_scene(canvas, *arguments)
            self.assertEqual(str(caught.exception), message)
        with self.assertRaises(InvalidScene) as caught:
            decode_scene("{}")
        self.assertEqual(str(caught.exception), "body: text, expected bytes")

    def test_lists_of_different_lengths(self):
        """Lists of different lengths are refused before anything is encoded."""
        for index, name in enumerate(("viewports", "visuals", "model_matrices", "cameras")):
            if name != "visuals":
                with self.subTest(name):
                    lists = [*self.lists[:index], self.lists[index] * 2, *self.lists[index + 1 :]]
                    self.assert_refused(f"{name}: 2 items, expected 1, as many as visuals", self.canvas, *lists)
        viewports, _, matrices, cameras = self.lists
        self.assert_refused(
            "viewports: 1 items, expected 0, as many as visuals", self.canvas, viewports, [], matrices, cameras
        )

    def test_objects_that_are_none(self):
        """An object that does not belong where it stands is refused by place."""
        viewports, visuals, matrices, cameras = self.lists
        kinds = "Points or Markers or Pixels or Segments or Paths or Texts or Image"
        table = [
            (None, *self.lists, "canvas: null, expected Canvas"),
            ({"width": 1}, *self.lists, "canvas: object, expected Canvas"),
            (viewports[0], *self.lists, "canvas: Viewport, expected Canvas"),
            (self.canvas, [3], visuals, matrices, cameras, "viewports[0]: int, expected Viewport"),
            (self.canvas, viewports, ["points"], matrices, cameras, f"visuals[0]: text, expected {kinds}"),
            (self.canvas, viewports, [cameras[0]], matrices, cameras, f"visuals[0]: Camera, expected {kinds}"),
            (self.canvas, viewports, visuals, matrices, [visuals[0]], "cameras[0]: Points, expected Camera"),
        ]
        for *arguments, message in table:
            with self.subTest(message):
                self.assert_refused(message, *arguments)

    def test_matrices_that_are_none(self):
        """An array that is no matrix is refused by place."""
        viewports, visuals, _, cameras = self.lists
        table = [
            (np.eye(3), "model_matrices[0].model_matrix: shape (3, 3), expected (n, 4, 4) (mat4)"),
            (
                np.eye(4, dtype=complex),
                "model_matrices[0].model_matrix: ndarray of complex128, expected numbers (mat4)",
            ),
        ]
        for matrix, message in table:
            with self.subTest(message):
                self.assert_refused(message, self.canvas, viewports, visuals, [matrix], cameras)


class RendererNames(unittest.TestCase):
    def test_names(self):
        """The two renderers of the wire format are taken as they are."""
        self.assertEqual(RENDERER_NAMES, ("matplotlib", "datoviz"))
        for name in RENDERER_NAMES:
            self.assertEqual(check_renderer_name(name), name)

    def test_aliases(self):
        """Another name of a renderer means that one, in requests and in the environment; it is sent as it was given."""
        self.assertEqual(check_renderer_name("datoviz-v03"), "datoviz")
        document = json.loads(encode_scene(gsp.Canvas(2, 1), [], [], [], [], "datoviz-v03"))
        self.assertEqual(document["renderer_name"], "datoviz-v03")
        self.assertEqual(decode_scene(body_of(document)).renderer_name, "datoviz")
        with mock.patch.dict(os.environ, {RENDERER_VARIABLE: "datoviz-v03"}):
            self.assertEqual(default_renderer_name(), "datoviz")
            self.assertEqual(environment_renderer_name(), "datoviz-v03")

    def test_refused(self):
        """Another name is refused at the place that is given."""
        for name, found in (("vtk", "'vtk'"), (None, "null"), (3, "int"), (["datoviz"], "list")):
            with self.subTest(found):
                with self.assertRaises(InvalidScene) as caught:
                    check_renderer_name(name, "somewhere")
                self.assertEqual(str(caught.exception), f"somewhere: {found}, expected one of matplotlib, datoviz")

    def test_default(self):
        """GSP_REMOTE_RENDERER names the default; without it, or empty, it is matplotlib."""
        for value, expected in (("datoviz", "datoviz"), ("matplotlib", "matplotlib"), ("", "matplotlib")):
            with self.subTest(value), mock.patch.dict(os.environ, {RENDERER_VARIABLE: value}):
                self.assertEqual(default_renderer_name(), expected)
        with mock.patch.dict(os.environ):
            os.environ.pop(RENDERER_VARIABLE, None)
            self.assertEqual(default_renderer_name(), "matplotlib")

    def test_bad_default(self):
        """A variable that names no renderer is refused by name."""
        with mock.patch.dict(os.environ, {RENDERER_VARIABLE: "vtk"}), self.assertRaises(InvalidScene) as caught:
            default_renderer_name()
        message = "environment variable GSP_REMOTE_RENDERER: 'vtk', expected one of matplotlib, datoviz"
        self.assertEqual(str(caught.exception), message)


# ---------------------------------------------------------------- objects of another package


class Bag:
    """Fields with getters, as another package's scene objects have them, and nothing of ours."""

    def __init__(self, object_uuid, **fields):
        self._fields = {"uuid": object_uuid, **fields}

    def __getattr__(self, name):
        if not name.startswith("get_") or name[4:] not in self._fields:
            raise AttributeError(name)
        return lambda: self._fields[name[4:]]


class Foreign:
    """Look-alikes of the scene's classes, by the same names."""

    class BufferType(enum.Enum):
        float32 = 0
        uint32 = 1
        vec2 = 5
        vec3 = 6
        mat4 = 9
        rgba8 = 10

    class Buffer:
        def __init__(self, buffer):
            self._data, self._count, self._name = buffer.to_bytearray(), buffer.get_count(), buffer.get_type().name

        def get_count(self):
            return self._count

        def get_type(self):
            return Foreign.BufferType[self._name]

        def to_bytearray(self):
            return self._data

    class TransformChain:
        def __init__(self, chain):
            self._chain = chain

        def serialize(self):
            return self._chain.serialize()

        def run(self):
            raise RuntimeError("a chain that is sent must not run here")

        def get_buffer_count(self):
            return self._chain.get_buffer_count()

        def get_buffer_type(self):
            return Foreign.BufferType[self._chain.get_buffer_type().name]

    class VisualBase(Bag):
        pass

    class Points(VisualBase):
        pass

    class Markers(VisualBase):
        pass

    class Pixels(VisualBase):
        pass

    class Segments(VisualBase):
        pass

    class Paths(VisualBase):
        pass

    class Texts(VisualBase):
        pass

    class Image(VisualBase):
        pass

    class Canvas(Bag):
        pass

    class Viewport(Bag):
        pass

    class Camera(Bag):
        pass

    class Texture(Bag):
        pass


class RedPoints(Foreign.Points):
    """A subclass of another package's class, by a name of its own."""


def foreign(item: object) -> object:
    """The look-alike of one of our objects or values."""
    if isinstance(item, gsp.Buffer):
        return Foreign.Buffer(item)
    if isinstance(item, gsp.TransformChain):
        return Foreign.TransformChain(item)
    if isinstance(item, enum.Enum):
        return enum.Enum(type(item).__name__, [(member.name, member.value) for member in type(item)])[item.name]
    if hasattr(item, "FIELDS"):
        fields = {field.name: foreign(getattr(item, f"get_{field.name}")()) for field in item.FIELDS}
        return getattr(Foreign, type(item).__name__)(item.get_uuid(), **fields)
    return [foreign(part) for part in item] if isinstance(item, list) else item


class OtherPackages(unittest.TestCase):
    maxDiff = None

    def test_look_alikes(self):
        """Objects of another package, by the same class names and getters, encode as ours do."""
        for name, _, make, _ in VISUALS:
            with self.subTest(name):
                scene = scene_around(make())
                other = [foreign(part) for part in scene]
                self.assertNotIsInstance(other[0], gsp.Canvas)
                self.assertNotIsInstance(other[2][0], gsp.VisualBase)
                self.assertEqual(encode_scene(*other, "matplotlib"), encode_scene(*scene, "matplotlib"))

    def test_subclass(self):
        """A subclass of a look-alike is sent as what it is a subclass of."""
        scene = scene_around(gsp.Points(*disc_arguments()))
        other = [foreign(part) for part in scene]
        other[2] = [RedPoints(VISUAL_ID, **{key: item for key, item in other[2][0]._fields.items() if key != "uuid"})]
        self.assertEqual(encode_scene(*other), encode_scene(*scene))

    def test_subclass_of_ours(self):
        """A subclass of one of our visuals is sent as that visual."""

        class BluePoints(gsp.Points):
            pass

        scene = scene_around(BluePoints(*disc_arguments()))
        self.assertEqual(json.loads(encode_scene(*scene, "matplotlib")), document_around("points", DISC))

    def test_mixed(self):
        """Objects of both kinds stand in one scene."""
        canvas, viewports, visuals, matrices, cameras = scene_around(gsp.Points(*disc_arguments()))
        mixed = encode_scene(canvas, foreign(viewports), visuals, foreign(matrices), cameras)
        self.assertEqual(mixed, encode_scene(canvas, viewports, visuals, matrices, cameras))

    def test_arrays_from_getters(self):
        """A look-alike whose getters give numpy arrays encodes too."""
        scene = scene_around(gsp.Points(*disc_arguments()))
        fields = {
            field.name: getattr(scene[2][0], f"get_{field.name}")().to_numpy().copy() for field in gsp.Points.FIELDS
        }
        other = Foreign.Points(VISUAL_ID, **fields)
        self.assertEqual(encode_scene(scene[0], scene[1], [other], *scene[3:]), encode_scene(*scene))

    def test_uuid_objects(self):
        """A uuid.UUID is sent as text."""
        canvas = Foreign.Canvas(uuid.UUID(int=1), width=2, height=1, dpi=96)
        self.assertEqual(json.loads(encode_scene(canvas, [], [], [], []))["data"]["canvas"]["uuid"], CANVAS_ID)

    def test_numpy_numbers(self):
        """Numpy's numbers in a look-alike are sent as numbers."""
        canvas = Foreign.Canvas(CANVAS_ID, width=np.int64(2), height=np.int32(1), dpi=np.float32(96))
        expected = {"uuid": CANVAS_ID, "width": 2, "height": 1, "dpi": 96.0}
        self.assertEqual(json.loads(encode_scene(canvas, [], [], [], []))["data"]["canvas"], expected)

    def test_unknown_buffer_type(self):
        """A look-alike buffer of a type that we do not know is refused by place."""
        buffer = types.SimpleNamespace(
            get_count=lambda: 1,
            get_type=lambda: types.SimpleNamespace(name="float64"),
            to_bytearray=lambda: bytearray(8),
        )
        canvas, viewports, visuals, _, cameras = scene_around(gsp.Points(*disc_arguments()))
        with self.assertRaises(InvalidScene) as caught:
            encode_scene(canvas, viewports, visuals, [buffer], cameras)
        self.assertEqual(
            str(caught.exception), f"model_matrices[0].model_matrix: buffer of float64, expected one of {BUFFER_NAMES}"
        )


if __name__ == "__main__":
    unittest.main()
