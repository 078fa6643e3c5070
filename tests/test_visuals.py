"""Scene objects: the field table, what comes from it, and the seven visuals."""

from __future__ import annotations

import inspect
import unittest
import uuid
import warnings
from unittest import mock

import numpy as np

from gsp_network import (
    VISUALS,
    Buffer,
    BufferType,
    Camera,
    Canvas,
    CapStyle,
    Image,
    ImageInterpolation,
    InvalidScene,
    JoinStyle,
    Markers,
    MarkerShape,
    Paths,
    Pixels,
    Points,
    Segments,
    Texts,
    Texture,
    TransformChain,
    TransformLinkImmediate,
    Viewport,
    VisualBase,
)
from gsp_network.scene.groups import check_groups, count_groups, vertex_order
from gsp_network.scene.objects import Field, SceneObject

# The wire format's fields and their types, written down by hand.
DISCS = {
    "positions": "vec3",
    "sizes": "float32",
    "face_colors": "rgba8",
    "edge_colors": "rgba8",
    "edge_widths": "float32",
}
WIRE_FIELDS = {
    Canvas: {"width": "int", "height": "int", "dpi": "float"},
    Viewport: {"x": "int", "y": "int", "width": "int", "height": "int"},
    Camera: {"view_matrix": "mat4", "projection_matrix": "mat4"},
    Texture: {"data": "rgba8", "width": "int", "height": "int"},
    Points: DISCS,
    Markers: {"marker_shape": "MarkerShape", **DISCS},
    Pixels: {"positions": "vec3", "colors": "rgba8", "groups": "groups"},
    Segments: {"positions": "vec3", "line_widths": "float32", "cap_style": "CapStyle", "colors": "rgba8"},
    Paths: {
        "positions": "vec3",
        "path_sizes": "uint32",
        "colors": "rgba8",
        "line_widths": "float32",
        "cap_style": "CapStyle",
        "join_style": "JoinStyle",
    },
    Texts: {
        "positions": "vec3",
        "texts": "strings",
        "colors": "rgba8",
        "font_sizes": "float32",
        "anchors": "vec2",
        "angles": "float32",
        "font_name": "string",
    },
    Image: {
        "texture": "Texture",
        "position": "vec3",
        "image_extent": "extent",
        "interpolation": "ImageInterpolation",
    },
}
ENUMS = {
    CapStyle: ["BUTT", "PROJECTING", "ROUND"],
    JoinStyle: ["MITER", "BEVEL", "ROUND"],
    MarkerShape: ["disc", "square", "club"],
    ImageInterpolation: ["LINEAR", "NEAREST"],
}


def vertices(n: int) -> np.ndarray:
    return np.zeros((n, 3), "f4")


def colors(n: int) -> np.ndarray:
    return np.full((n, 4), 255, "u1")


def numbers(n: int, value: float = 1.0) -> np.ndarray:
    return np.full(n, value, "f4")


def chain(count: int = -1, buffer_type: BufferType = None, buffer: Buffer = None) -> TransformChain:
    made = TransformChain(count, buffer_type)
    if buffer is not None:
        made.add(TransformLinkImmediate(buffer))
    return made


def discs(n: int = 2) -> dict:
    return {
        "positions": vertices(n),
        "sizes": numbers(n, 16),
        "face_colors": colors(n),
        "edge_colors": colors(n),
        "edge_widths": numbers(n),
    }


# Arguments that make one object of each class.
ARGUMENTS = {
    Canvas: {"width": 640, "height": 480, "dpi": 100.0},
    Viewport: {"x": 10, "y": 20, "width": 300, "height": 200},
    Camera: {"view_matrix": np.eye(4), "projection_matrix": np.eye(4)},
    Texture: {"data": colors(6), "width": 3, "height": 2},
    Points: discs(),
    Markers: {"marker_shape": MarkerShape.club, **discs()},
    Pixels: {"positions": vertices(4), "colors": colors(2), "groups": 2},
    Segments: {
        "positions": vertices(4),
        "line_widths": numbers(2),
        "cap_style": CapStyle.ROUND,
        "colors": colors(2),
    },
    Paths: {
        "positions": vertices(5),
        "path_sizes": [3, 2],
        "colors": colors(5),
        "line_widths": numbers(5),
        "cap_style": CapStyle.BUTT,
        "join_style": JoinStyle.MITER,
    },
    Texts: {
        "positions": vertices(2),
        "strings": ["a", "b\nc"],
        "colors": colors(2),
        "font_sizes": numbers(2, 12),
        "anchors": [[-1, 1], [0, 0.5]],
        "angles": numbers(2, 0),
        "font_name": "DejaVu Sans",
    },
    Image: {
        "texture": Texture(colors(6), 3, 2),
        "position": vertices(1),
        "image_extent": [-1, 1, -0.5, 0.5],
        "image_interpolation": ImageInterpolation.NEAREST,
    },
}


def make(kind: type, **changes: object) -> SceneObject:
    return kind(**{**ARGUMENTS[kind], **changes})


def plain(value: object) -> object:
    """A field's value as something that assertEqual compares."""
    return (value.get_type().name, value.to_numpy().tolist()) if isinstance(value, Buffer) else value


def state(item: SceneObject) -> dict:
    return {field.name: plain(getattr(item, f"get_{field.name}")()) for field in item.FIELDS}


class Refusals(unittest.TestCase):
    def assert_refused(self, message, function, *args, **kwargs):
        with self.assertRaises(InvalidScene) as caught:
            function(*args, **kwargs)
        self.assertEqual(str(caught.exception), message)


class FieldTable(unittest.TestCase):
    def test_visuals(self):
        """VISUALS maps the seven names on the wire to their classes."""
        expected = {
            "points": Points,
            "markers": Markers,
            "pixels": Pixels,
            "segments": Segments,
            "paths": Paths,
            "texts": Texts,
            "image": Image,
        }
        self.assertEqual(VISUALS, expected)
        self.assertEqual({item.kind: item for item in VISUALS.values()}, expected)

    def test_fields(self):
        """Each class lists the fields of the wire format, with their types."""
        for kind, expected in WIRE_FIELDS.items():
            with self.subTest(kind.__name__):
                found = {
                    field.key: field.type
                    if isinstance(field.type, str)
                    else getattr(field.type, "name", None) or field.type.__name__
                    for field in kind.FIELDS
                }
                self.assertEqual(found, expected)

    def test_enums(self):
        """The members of the enumerations are the names on the wire."""
        for kind, names in ENUMS.items():
            with self.subTest(kind.__name__):
                self.assertEqual([item.name for item in kind], names)

    def test_signature(self):
        """Each constructor takes its fields in the table's order, by position or by name."""
        for kind, arguments in ARGUMENTS.items():
            with self.subTest(kind.__name__):
                self.assertEqual(list(inspect.signature(kind).parameters), [field.name for field in kind.FIELDS])
                by_position = kind(*(arguments[field.name] for field in kind.FIELDS))
                self.assertEqual(state(by_position), state(kind(**arguments)))

    def test_docstrings(self):
        """Each class's docstring has a line for every field, and getters and setters say what it is."""
        for kind in WIRE_FIELDS:
            for field in kind.FIELDS:
                with self.subTest(kind.__name__, field=field.name):
                    self.assertTrue(field.doc)
                    self.assertIn(f"\n        {field.name}: {field.doc}.\n", kind.__doc__)
                    self.assertIn(field.doc, getattr(kind, f"get_{field.name}").__doc__)
                    self.assertIn(field.doc, getattr(kind, f"set_{field.name}").__doc__)

    def test_position_field(self):
        """Every visual knows which field holds its vertices."""
        for kind, item in VISUALS.items():
            with self.subTest(kind):
                self.assertEqual(item.position_field().name, "position" if kind == "image" else "positions")

    def test_new_visual(self):
        """A class that lists FIELDS is a new visual, with constructor, getters, setters and checks."""
        with mock.patch.dict(VISUALS):

            class Dots(VisualBase):
                """Dots."""

                FIELDS = (
                    Field("positions", BufferType.vec3, "(n, 3), model units", count="n"),
                    Field("radii", BufferType.float32, "(n,), pt", count="n", least=0, wire="r"),
                )

            self.assertIs(VISUALS["dots"], Dots)
            dots = Dots(vertices(2), [1, 2])
            dots.set_radii([3, 4])
            self.assertEqual(dots.get_radii().to_numpy().tolist(), [3.0, 4.0])
            self.assertEqual(Dots.field("radii").key, "r")
            with self.assertRaises(InvalidScene) as caught:
                Dots(vertices(2), [1])
            self.assertEqual(str(caught.exception), "Dots.radii: 1 items, expected 2")
        self.assertNotIn("dots", VISUALS)

    def test_subclass(self):
        """A subclass without FIELDS is no new visual; it may have a constructor of its own."""

        class RedPoints(Points):
            def __init__(self, positions):
                n = len(positions)
                red = np.full((n, 4), (255, 0, 0, 255), "u1")
                super().__init__(positions, numbers(n), red, red, numbers(n))

        points = RedPoints(vertices(3))
        self.assertEqual((points.get_sizes().get_count(), points.kind), (3, "points"))
        self.assertNotIn("redpoints", VISUALS)


class Objects(Refusals):
    def test_getters(self):
        """Getters give what the constructor was given, numbers as buffers of the field's type."""
        for kind, arguments in ARGUMENTS.items():
            item = make(kind)
            for field in kind.FIELDS:
                with self.subTest(kind.__name__, field=field.name):
                    value = getattr(item, f"get_{field.name}")()
                    if isinstance(field.type, BufferType):
                        self.assertIs(value.get_type(), field.type)
                        shape = (-1, *field.type.shape)
                        np.testing.assert_array_equal(
                            value.to_numpy(), np.asarray(arguments[field.name], field.type.dtype).reshape(shape)
                        )
                    else:
                        self.assertEqual(value, arguments[field.name])

    def test_setters(self):
        """Each setter replaces its own field and no other."""
        table = [
            (Canvas, "width", 800, 800),
            (Canvas, "dpi", 72, 72.0),
            (Viewport, "x", -5, -5),
            (Camera, "view_matrix", np.eye(4) * 2, ("mat4", (np.eye(4)[np.newaxis] * 2).tolist())),
            (Points, "sizes", [1, 4], ("float32", [1.0, 4.0])),
            (Points, "face_colors", [[1, 2, 3, 4]] * 2, ("rgba8", [[1, 2, 3, 4]] * 2)),
            (Markers, "marker_shape", "square", MarkerShape.square),
            (Pixels, "groups", [1, 3], [1, 3]),
            (Segments, "cap_style", "BUTT", CapStyle.BUTT),
            (Paths, "join_style", JoinStyle.ROUND, JoinStyle.ROUND),
            (Paths, "path_sizes", [5], ("uint32", [5])),
            (Texts, "strings", ("x", "y"), ["x", "y"]),
            (Texts, "font_name", "Serif", "Serif"),
            (Image, "image_extent", np.array([0, 1, 0, 1]), [0.0, 1.0, 0.0, 1.0]),
        ]
        for kind, name, value, expected in table:
            with self.subTest(kind.__name__, field=name):
                item = make(kind)
                before = state(item)
                getattr(item, f"set_{name}")(value)
                self.assertEqual(state(item), {**before, name: expected})

    def test_every_setter_takes_what_its_getter_gave(self):
        """Setting a field to what it is changes nothing."""
        for kind in ARGUMENTS:
            item = make(kind)
            before = state(item)
            for field in kind.FIELDS:
                getattr(item, f"set_{field.name}")(getattr(item, f"get_{field.name}")())
            with self.subTest(kind.__name__):
                self.assertEqual(state(item), before)

    def test_a_refused_setter_changes_nothing(self):
        """A setter that refuses its value leaves the object as it was."""
        points = make(Points)
        before = state(points)
        self.assert_refused("Points.sizes: 1 items, expected 2", points.set_sizes, [1.0])
        self.assert_refused("Points.sizes[1]: -1.0, expected at least 0", points.set_sizes, [1.0, -1.0])
        self.assertEqual(state(points), before)

    def test_defaults(self):
        """A canvas has 96 dpi and a camera identities unless told otherwise, None included."""
        self.assertEqual((Canvas(1, 1).get_dpi(), Canvas(1, 1, None).get_dpi()), (96.0, 96.0))
        for camera in (Camera(), Camera(None, None), Camera(projection_matrix=np.eye(4))):
            self.assertEqual(plain(camera.get_view_matrix()), ("mat4", [np.eye(4).tolist()]))
            self.assertEqual(plain(camera.get_projection_matrix()), ("mat4", [np.eye(4).tolist()]))

    def test_defaults_are_not_shared(self):
        """Two cameras do not share their identities."""
        first = Camera()
        first.get_view_matrix().to_numpy()[0, 0, 3] = 7
        self.assertEqual(plain(Camera().get_view_matrix()), ("mat4", [np.eye(4).tolist()]))

    def test_wrong_arguments(self):
        """Missing, unknown and surplus arguments are TypeErrors, as with any constructor."""
        for call in (lambda: Points(vertices(1)), lambda: Canvas(1, 2, 3, 4), lambda: Canvas(1, 2, colour=3)):
            with self.assertRaises(TypeError):
                call()

    def test_uuid(self):
        """Each object has a UUID of its own, as text, that setters do not change."""
        items = [make(kind) for kind in ARGUMENTS for _ in range(2)]
        self.assertEqual(len({item.get_uuid() for item in items}), len(items))
        for item in items:
            self.assertEqual(str(uuid.UUID(item.get_uuid())), item.get_uuid())
        points = make(Points)
        before = points.get_uuid()
        points.set_sizes(numbers(2))
        points.set_attributes(**discs(3))
        self.assertEqual(points.get_uuid(), before)

    def test_user_data(self):
        """Each object has a dictionary of the user's own, empty and not shared."""
        first, second = make(Points), make(Points)
        self.assertEqual(first.userData, {})
        first.userData["name"] = "probe"
        self.assertEqual((first.userData, second.userData), ({"name": "probe"}, {}))

    def test_repr(self):
        """repr names class and fields."""
        self.assertEqual(repr(Viewport(1, 2, 3, 4)), "Viewport(x=1, y=2, width=3, height=4)")
        self.assertIn("sizes=Buffer(count=2, buffer_type=float32)", repr(make(Points)))

    def test_numpy_integers(self):
        """Numpy's numbers are kept as Python's."""
        canvas = Canvas(np.int64(3), np.uint8(4), np.float32(96))
        values = (canvas.get_width(), canvas.get_height(), canvas.get_dpi())
        self.assertEqual((values, [type(value) for value in values]), ((3, 4, 96.0), [int, int, float]))

    def test_buffers_are_kept(self):
        """A buffer that is given is the buffer that is kept, without a copy."""
        sizes = Buffer.from_numpy(numbers(2))
        self.assertIs(make(Points, sizes=sizes).get_sizes(), sizes)

    def test_refused(self):
        """Every wrong value is refused with class and field, what was found and what was wanted."""
        nan = numbers(2)
        nan[1] = np.nan
        table = [
            (Canvas, {"width": 0}, "width: 0, expected 1 to 2147483647"),
            (Canvas, {"width": -1}, "width: -1, expected 1 to 2147483647"),
            (Canvas, {"width": 640.0}, "width: float, expected an integer"),
            (Canvas, {"height": "480"}, "height: text, expected an integer"),
            (Canvas, {"height": None}, "height: null, expected an integer"),
            (Canvas, {"dpi": 0.5}, "dpi: 0.5, expected at least 1"),
            (Canvas, {"dpi": float("inf")}, "dpi: inf, expected a finite number"),
            (Canvas, {"dpi": True}, "dpi: boolean, expected a number"),
            (Viewport, {"width": 0}, "width: 0, expected 1 to 2147483647"),
            (Viewport, {"x": 2**40}, "x: 1099511627776, expected -2147483647 to 2147483647"),
            (Viewport, {"y": True}, "y: boolean, expected an integer"),
            (Camera, {"view_matrix": np.eye(3)}, "view_matrix: shape (3, 3), expected (n, 4, 4) (mat4)"),
            (Camera, {"view_matrix": np.zeros((2, 4, 4))}, "view_matrix: 2 items, expected 1"),
            (Camera, {"projection_matrix": Buffer(0, BufferType.mat4)}, "projection_matrix: 0 items, expected 1"),
            (Texture, {"width": 2}, "data: 6 items, expected 4 (width 2 x height 2)"),
            (Texture, {"width": 0}, "width: 0, expected 1 to 2147483647"),
            (Texture, {"data": np.zeros((2, 3, 3), "u1")}, "data: shape (2, 3, 3), expected (n, 4) (rgba8)"),
            (Texture, {"data": np.ones((6, 4))}, "data: array of float64, expected integers (rgba8)"),
            (Points, {"sizes": numbers(1)}, "sizes: 1 items, expected 2"),
            (Points, {"sizes": numbers(2, -1)}, "sizes[0]: -1.0, expected at least 0"),
            (Points, {"sizes": nan}, "sizes[1]: nan, expected finite numbers"),
            (Points, {"sizes": Buffer(2, BufferType.uint32)}, "sizes: buffer of uint32, expected float32"),
            (Points, {"edge_widths": numbers(2, -0.5)}, "edge_widths[0]: -0.5, expected at least 0"),
            (Points, {"face_colors": [[0, 0, 0, 256]] * 2}, "face_colors: values 0 to 256, expected 0 to 255 (rgba8)"),
            (Points, {"face_colors": np.zeros((2, 3), "u1")}, "face_colors: shape (2, 3), expected (n, 4) (rgba8)"),
            (Points, {"positions": np.zeros((2, 2))}, "positions: shape (2, 2), expected (n, 3) (vec3)"),
            (
                Points,
                {"positions": chain(2, BufferType.vec4)},
                "positions: chain that yields vec4, expected vec3",
            ),
            (Points, {"positions": chain(3, BufferType.vec3)}, "sizes: 2 items, expected 3"),
            (Markers, {"marker_shape": "star"}, "marker_shape: 'star', expected one of disc, square, club"),
            (Markers, {"marker_shape": 1}, "marker_shape: int, expected one of disc, square, club"),
            (Markers, {"marker_shape": CapStyle.BUTT}, "marker_shape: CapStyle, expected one of disc, square, club"),
            (Pixels, {"groups": 3}, "groups: 4 positions, expected a multiple of the group size 3"),
            (Pixels, {"groups": 0}, "groups: 0, expected 1 to 2147483647"),
            (Pixels, {"groups": 1}, "colors: 2 items, expected 4, one per group"),
            (Pixels, {"groups": [1, 2]}, "groups: sizes add up to 3, expected the 4 positions"),
            (Pixels, {"groups": [[0, 4], [1]]}, "groups[0]: vertex index 4, expected less than 4"),
            (Segments, {"positions": vertices(3)}, "positions: 3 items, expected a multiple of 2"),
            (Segments, {"line_widths": numbers(3)}, "line_widths: 3 items, expected 2"),
            (Segments, {"colors": colors(4)}, "colors: 4 items, expected 2"),
            (Segments, {"cap_style": "butt"}, "cap_style: 'butt', expected one of BUTT, PROJECTING, ROUND"),
            (Paths, {"path_sizes": [3, 3]}, "path_sizes: sizes add up to 6, expected the 5 positions"),
            (Paths, {"path_sizes": [-1, 6]}, "path_sizes: values -1 to 6, expected 0 to 4294967295 (uint32)"),
            (Paths, {"colors": colors(2)}, "colors: 2 items, expected 5"),
            (Paths, {"join_style": None}, "join_style: null, expected one of MITER, BEVEL, ROUND"),
            (Texts, {"strings": ["a"]}, "strings: 1 items, expected 2"),
            (Texts, {"strings": "ab"}, "strings: text, expected a list of strings"),
            (Texts, {"strings": ["a", 3]}, "strings[1]: int, expected text"),
            (
                Texts,
                {"strings": ["a\0", "b"]},
                "strings[0]: text with NUL or half a surrogate pair, expected Unicode text",
            ),
            (
                Texts,
                {"font_name": "\ud800"},
                "font_name: text with NUL or half a surrogate pair, expected Unicode text",
            ),
            (Texts, {"anchors": [[0, 0], [1.5, 0]]}, "anchors[1]: [1.5, 0.0], expected at most 1"),
            (Texts, {"anchors": [[0, 0], [0, -2]]}, "anchors[1]: [0.0, -2.0], expected at least -1"),
            (Texts, {"font_sizes": numbers(2, -1)}, "font_sizes[0]: -1.0, expected at least 0"),
            (Image, {"position": vertices(2)}, "position: 2 items, expected 1"),
            (Image, {"texture": colors(6)}, "texture: ndarray, expected Texture"),
            (Image, {"texture": None}, "texture: null, expected Texture"),
            (Image, {"image_extent": [0, 1, 0]}, "image_extent: 3 items, expected 4: [left, right, bottom, top]"),
            (Image, {"image_extent": "abcd"}, "image_extent: text, expected [left, right, bottom, top]"),
            (Image, {"image_extent": [0, 1, 0, True]}, "image_extent[3]: boolean, expected a number"),
            (
                Image,
                {"image_interpolation": "CUBIC"},
                "image_interpolation: 'CUBIC', expected one of LINEAR, NEAREST",
            ),
        ]
        for kind, changes, problem in table:
            with self.subTest(kind.__name__, problem=problem):
                self.assert_refused(f"{kind.__name__}.{problem}", make, kind, **changes)

    def test_uneven_rows(self):
        """Rows of different lengths are refused in the same words, whatever the numpy."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's own, from some versions
            self.assert_refused(
                "Points.positions: rows of different lengths, expected an array",
                make,
                Points,
                positions=[[1, 2, 3], [1, 2]],
            )

    def test_picture_of_other_shape(self):
        """A picture given in rows must have the texture's width and height, not only as many texels."""
        with self.assertRaises(InvalidScene) as caught:
            Texture(np.zeros((2, 3, 4), "u1"), width=2, height=3)
        self.assertTrue(str(caught.exception).startswith("Texture.data: "), str(caught.exception))

    def test_picture_in_rows(self):
        """A texture takes (height, width, 4) as it takes (height * width, 4)."""
        pixels = np.arange(24, dtype="u1").reshape(2, 3, 4)
        texture = Texture(pixels, 3, 2)
        np.testing.assert_array_equal(texture.get_data().to_numpy().reshape(2, 3, 4), pixels)

    def test_empty_visuals(self):
        """A visual may have no vertices."""
        empty = [
            Points(*(discs(0)[name] for name in DISCS)),
            Pixels(vertices(0), colors(0), []),
            Segments(vertices(0), [], CapStyle.BUTT, colors(0)),
            Paths(vertices(0), [], colors(0), [], CapStyle.BUTT, JoinStyle.BEVEL),
            Texts(vertices(0), [], colors(0), [], [], [], "DejaVu Sans"),
        ]
        for item in empty:
            with self.subTest(type(item).__name__):
                self.assertEqual(item.get_positions().to_numpy().shape, (0, 3))


class Attributes(Refusals):
    def test_lengths_change_together(self):
        """set_attributes changes the length of several fields at once, where setters cannot."""
        points = make(Points)
        self.assert_refused("Points.sizes: 2 items, expected 3", points.set_positions, vertices(3))
        points.set_attributes(**discs(3))
        self.assertEqual([len(points.get_positions().to_numpy()), len(points.get_sizes().to_numpy())], [3, 3])

    def test_every_class(self):
        """set_attributes takes all fields of each class by name."""
        for kind, arguments in ARGUMENTS.items():
            with self.subTest(kind.__name__):
                item = make(kind)
                before = state(item)
                item.set_attributes(**arguments)
                self.assertEqual(state(item), before)

    def test_none_leaves_a_field(self):
        """None leaves a field as it is."""
        canvas = make(Canvas)
        canvas.set_attributes(width=None, height=7)
        self.assertEqual((canvas.get_width(), canvas.get_height()), (640, 7))

    def test_unknown_field(self):
        """A field that there is not is refused, with those that there are; nothing changes, even beside it."""
        canvas = make(Canvas)
        before = state(canvas)
        self.assert_refused(
            "Canvas.colour: no such field, expected one of width, height, dpi",
            canvas.set_attributes,
            width=1,
            colour="red",
        )
        self.assertEqual(state(canvas), before)

    def test_all_or_nothing(self):
        """Where one field is wrong, none is set."""
        paths = make(Paths)
        before = state(paths)
        self.assert_refused(
            "Paths.path_sizes: sizes add up to 5, expected the 4 positions",
            paths.set_attributes,
            positions=vertices(4),
            colors=colors(4),
            line_widths=numbers(4),
        )
        self.assertEqual(state(paths), before)


class Chains(Refusals):
    def test_every_buffer_field(self):
        """Wherever a buffer is taken, a chain is taken too, and kept as it is."""
        for kind in ARGUMENTS:
            for field in kind.FIELDS:
                if isinstance(field.type, BufferType):
                    with self.subTest(kind.__name__, field=field.name):
                        unknown = chain()
                        item = make(kind, **{field.name: unknown})
                        self.assertIs(getattr(item, f"get_{field.name}")(), unknown)

    def test_known_count(self):
        """A chain that announces its count is held to it."""
        self.assert_refused(
            "Points.edge_widths: 3 items, expected 2", make, Points, edge_widths=chain(3, BufferType.float32)
        )
        self.assert_refused("Texture.data: 5 items, expected 6 (width 3 x height 2)", make, Texture, data=chain(5))

    def test_unknown_positions(self):
        """The other fields are held to each other where the number of positions is not known."""
        self.assert_refused(
            "Points.face_colors: 3 items, expected 2", make, Points, positions=chain(), face_colors=colors(3)
        )
        pixels = make(Pixels, positions=chain(), groups=7)
        self.assertEqual(pixels.get_groups(), 7)

    def test_chains_do_not_run(self):
        """Making an object runs no chain."""
        unknown = chain(2, BufferType.float32)
        with mock.patch.object(TransformChain, "run", side_effect=RuntimeError("ran")):
            self.assertIs(make(Points, sizes=unknown).get_sizes(), unknown)


class GroupsOfPixels(Refusals):
    def test_kinds(self):
        """Groups are an int, a list of sizes, or lists of indices; tuples and numpy's integers are taken too."""
        table = [
            (3, 3),
            (np.int64(3), 3),
            ([1, 2], [1, 2]),
            ((1, 2), [1, 2]),
            (np.array([1, 2]), [1, 2]),
            ([np.int32(1), 2], [1, 2]),
            ([[0, 2], [1]], [[0, 2], [1]]),
            (((0, 2), [1]), [[0, 2], [1]]),
            ([np.array([0, 2]), [1]], [[0, 2], [1]]),
            (np.array([[0, 2], [1, 3]]), [[0, 2], [1, 3]]),
            ([], []),
            ([[], [0]], [[], [0]]),
        ]
        for value, expected in table:
            with self.subTest(value=str(value)):
                found = check_groups(value, "groups")
                self.assertEqual(found, expected)
                self.assertEqual(repr(found), repr(expected))  # no numpy integers left inside

    def test_own_lists(self):
        """The groups are copied: changing the list that was given changes nothing."""
        given = [[0, 1], [2, 3]]
        pixels = make(Pixels, groups=given)
        given[0].append(99)
        given.append([7])
        self.assertEqual(pixels.get_groups(), [[0, 1], [2, 3]])

    def test_refused(self):
        """What are no groups is refused by item."""
        table = [
            (None, "groups: null, expected an integer"),
            ("abc", "groups: text, expected an integer"),
            (True, "groups: boolean, expected an integer"),
            (1.5, "groups: float, expected an integer"),
            (0, "groups: 0, expected 1 to 2147483647"),
            ([1, -1], "groups[1]: -1, expected 0 to 2147483647"),
            ([1, True], "groups[1]: boolean, expected an integer"),
            ([1, [2]], "groups[1]: list, expected an integer"),
            ([[0], 1], "groups[1]: int, expected a list of vertex indices, as groups[0] is"),
            ([[0], [1, 2.0]], "groups[1][1]: float, expected an integer"),
            ([[0], [-1]], "groups[1][0]: -1, expected 0 to 2147483647"),
            ([[0], [2**31]], "groups[1][0]: 2147483648, expected 0 to 2147483647"),
        ]
        for value, message in table:
            with self.subTest(message):
                self.assert_refused(message, check_groups, value, "groups")

    def test_count(self):
        """Groups are counted over their vertices."""
        table = [
            (2, 6, 3),
            (6, 6, 1),
            (3, 0, 0),
            ([1, 2, 3], 6, 3),
            ([6, 0], 6, 2),
            ([[0, 5], [5], []], 6, 3),
            ([], 0, 0),
        ]
        for groups, count, expected in table:
            with self.subTest(groups=groups):
                self.assertEqual(count_groups(groups, count, "groups"), expected)

    def test_count_refuses(self):
        """Groups that do not fit their vertices are refused."""
        table = [
            (4, 6, "g: 6 positions, expected a multiple of the group size 4"),
            ([1, 2], 6, "g: sizes add up to 3, expected the 6 positions"),
            ([], 6, "g: sizes add up to 0, expected the 6 positions"),
            ([[0], [1, 6]], 6, "g[1]: vertex index 6, expected less than 6"),
        ]
        for groups, count, message in table:
            with self.subTest(message):
                self.assert_refused(message, count_groups, groups, count, "g")

    def test_vertex_order(self):
        """vertex_order gives each drawn vertex and its group, in drawing order."""
        table = [
            (2, 6, [0, 1, 2, 3, 4, 5], [0, 0, 1, 1, 2, 2]),
            ([1, 0, 3], 4, [0, 1, 2, 3], [0, 2, 2, 2]),
            ([[3, 0], [], [3]], 4, [3, 0, 3], [0, 0, 2]),
            ([], 0, [], []),
            (5, 0, [], []),
        ]
        for groups, count, indices, members in table:
            with self.subTest(groups=groups):
                found = vertex_order(groups, count)
                self.assertEqual([item.tolist() for item in found], [indices, members])


if __name__ == "__main__":
    unittest.main()
