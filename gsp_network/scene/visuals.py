"""The seven visuals, each one entry: a class that lists its fields.

`VISUALS` maps the name on the wire to the class. Codec, checks, reference page and backends follow this table: a new visual
is one class here and one draw function a backend.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, ClassVar

from ..errors import InvalidScene
from .buffers import Buffer, BufferType
from .groups import count_groups
from .objects import Field, SceneObject, Texture


class CapStyle(Enum):
    """How a line ends: at its end point, half a width beyond it, or half a disc beyond it."""

    BUTT = "butt"
    PROJECTING = "projecting"
    ROUND = "round"


class JoinStyle(Enum):
    """How two pieces of a line meet: pointed, cut off, or rounded."""

    MITER = "miter"
    BEVEL = "bevel"
    ROUND = "round"


class MarkerShape(Enum):
    """The shapes of markers; each fills the marker's bounding square."""

    disc = "disc"
    square = "square"
    club = "club"


class ImageInterpolation(Enum):
    """Between texels: blend linearly, or take the nearest."""

    LINEAR = "linear"
    NEAREST = "nearest"


class VisualBase(SceneObject):
    """Base class of the visuals; a subclass that lists FIELDS is known by its name in lower case."""

    kind: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "FIELDS" in cls.__dict__:
            cls.kind = cls.__name__.lower()
            VISUALS[cls.kind] = cls

    @classmethod
    def position_field(cls) -> Field:
        """The field that holds the vertices in model units."""
        return next(field for field in cls.FIELDS if field.type is BufferType.vec3)


VISUALS: dict[str, type[VisualBase]] = {}
"""The visuals by their name on the wire."""

POSITIONS = Field("positions", BufferType.vec3, "(n, 3), model units", count="n")
STYLED_DISCS = (
    POSITIONS,
    Field(
        "sizes",
        BufferType.float32,
        "(n,), area of the bounding square in pt², as Matplotlib's scatter `s`",
        count="n",
        least=0,
    ),
    Field("face_colors", BufferType.rgba8, "(n, 4), sRGB and straight alpha, 0 to 255", count="n"),
    Field("edge_colors", BufferType.rgba8, "(n, 4), sRGB and straight alpha, 0 to 255", count="n"),
    Field("edge_widths", BufferType.float32, "(n,), pt, centred on the outline", count="n", least=0),
)
CAP_STYLE = Field("cap_style", CapStyle, "how lines end")


class Points(VisualBase):
    """Discs, one per vertex."""

    FIELDS = STYLED_DISCS


class Markers(VisualBase):
    """Shapes, one per vertex."""

    FIELDS = (Field("marker_shape", MarkerShape, "the shape of all of them"), *STYLED_DISCS)


class Pixels(VisualBase):
    """Dots of one pixel, one per vertex, coloured by group."""

    FIELDS = (
        POSITIONS,
        Field("colors", BufferType.rgba8, "(g, 4), one per group", count="g"),
        Field(
            "groups",
            "groups",
            "an int (vertices in every group), the sizes of consecutive groups, or each group's vertex indices",
        ),
    )

    @classmethod
    def _check_whole(cls, values: dict[str, Any], lengths: dict[str, int], path: Any) -> None:
        if "n" in lengths:
            groups = count_groups(values["groups"], lengths["n"], path("groups"))
            if lengths.get("g", groups) != groups:
                raise InvalidScene(path("colors"), f"{lengths['g']} items, expected {groups}, one per group")


class Segments(VisualBase):
    """Straight lines, each between two vertices."""

    FIELDS = (
        Field("positions", BufferType.vec3, "(2m, 3), model units: start, end, start, end, ...", count="2m"),
        Field("line_widths", BufferType.float32, "(m,), pt", count="m", least=0),
        CAP_STYLE,
        Field("colors", BufferType.rgba8, "(m, 4), sRGB and straight alpha, 0 to 255", count="m"),
    )


class Paths(VisualBase):
    """Open polylines; the piece from vertex i to i + 1 has colour and width i."""

    FIELDS = (
        POSITIONS,
        Field("path_sizes", BufferType.uint32, "(p,), vertices of each consecutive path", count="p"),
        Field("colors", BufferType.rgba8, "(n, 4), sRGB and straight alpha, 0 to 255", count="n"),
        Field("line_widths", BufferType.float32, "(n,), pt", count="n", least=0),
        CAP_STYLE,
        Field("join_style", JoinStyle, "how the pieces of a path meet"),
    )

    @classmethod
    def _check_whole(cls, values: dict[str, Any], lengths: dict[str, int], path: Any) -> None:
        sizes = values["path_sizes"]
        if "n" in lengths and isinstance(sizes, Buffer) and int(sizes.to_numpy().sum(dtype="u8")) != lengths["n"]:
            raise InvalidScene(
                path("path_sizes"),
                f"sizes add up to {sizes.to_numpy().sum(dtype='u8')}, expected the {lengths['n']} positions",
            )


class Texts(VisualBase):
    """Strings, one per vertex, in one font."""

    FIELDS = (
        POSITIONS,
        Field("strings", "strings", "list of n strings; a line break starts a new line", count="n", wire="texts"),
        Field("colors", BufferType.rgba8, "(n, 4), sRGB and straight alpha, 0 to 255", count="n"),
        Field("font_sizes", BufferType.float32, "(n,), pt", count="n", least=0),
        Field(
            "anchors",
            BufferType.vec2,
            "(n, 2), what of the upright box around the rotated text lies at the vertex: "
            "x -1 left, 0 centre, 1 right; y -1 bottom, 0 centre, 1 top",
            count="n",
            least=-1,
            most=1,
        ),
        Field("angles", BufferType.float32, "(n,), radians, counter-clockwise", count="n"),
        Field("font_name", "string", "font family; one that the server lacks is drawn in DejaVu Sans"),
    )


class Image(VisualBase):
    """A texture in an upright rectangle that follows one vertex."""

    FIELDS = (
        Field("texture", Texture, "the texels"),
        Field("position", BufferType.vec3, "(1, 3), model units", count="1"),
        Field(
            "image_extent",
            "extent",
            "[left, right, bottom, top] in NDC of the viewport, added to the projected position",
        ),
        Field("image_interpolation", ImageInterpolation, "what lies between texels", wire="interpolation"),
    )
