"""Scene objects and the field table that declares them: Canvas, Viewport, Camera, Texture.

A class lists its fields once, in `FIELDS`; from that list come the constructor, the `get_x` and `set_x` methods and the
checks, and the codec reads the same list to encode and decode. The visuals are declared in the same way (`visuals.py`).
"""

from __future__ import annotations

import inspect
import re
import uuid
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Container, Optional

import numpy as np

from ..errors import InvalidScene, kind_of
from .buffers import Buffer, BufferType, check_float, check_int, to_buffer, wrong_item
from .groups import check_groups
from .transforms import UNKNOWN_COUNT


@dataclass(frozen=True)
class Field:
    """One field of a scene object.

    Attributes:
        name: in the constructor and in get_ / set_.
        type: a BufferType, an Enum class, a SceneObject class, or "int", "float", "string", "strings", "extent", "groups".
        doc: shape, unit and meaning.
        count: how many items; fields of one object that share a letter share a number, "2m" is twice as many as "m".
        least, most: smallest and largest value, or None.
        wire: the key on the wire where it differs from `name`.
        default: a function that makes the value where the constructor is not given one, or None.
    """

    name: str
    type: Any
    doc: str
    count: str = ""
    least: Optional[float] = None
    most: Optional[float] = None
    wire: str = ""
    default: Any = None

    @property
    def key(self) -> str:
        """The field's key on the wire."""
        return self.wire or self.name


class SceneObject:
    """Base class of all that a scene holds: fields, a uuid, and `userData`, a dict of the user's own that is never sent."""

    FIELDS: ClassVar[tuple[Field, ...]] = ()
    userData: dict[str, Any]

    if TYPE_CHECKING:  # get_x and set_x stand in the field table, where a type checker does not look

        def __getattr__(self, name: str) -> Any: ...

    def __init_subclass__(cls) -> None:
        if "FIELDS" not in cls.__dict__:
            return
        for field in cls.FIELDS:
            setattr(cls, f"get_{field.name}", _getter(field))
            setattr(cls, f"set_{field.name}", _setter(field))
        named = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters = [
            inspect.Parameter(field.name, named, default=None if field.default else inspect.Parameter.empty)
            for field in cls.FIELDS
        ]
        cls.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        arguments = "\n".join(f"        {field.name}: {field.doc}." for field in cls.FIELDS)
        raises = "        InvalidScene: a field is wrong; it names the field.\n"
        cls.__doc__ = f"{(cls.__doc__ or '').rstrip()}\n\n    Args:\n{arguments}\n    Raises:\n{raises}"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given = inspect.signature(type(self)).bind(*args, **kwargs).arguments
        values = {
            field.name: field.default() if given.get(field.name) is None and field.default else given[field.name]
            for field in self.FIELDS
        }
        self._store(self.check(values, type(self).__name__), str(uuid.uuid4()))

    @classmethod
    def from_values(cls, values: dict[str, Any], object_uuid: str, where: str) -> Any:
        """An object made from outside: values by field name, the uuid it came with, its path for messages on the wire."""
        made = cls.__new__(cls)
        made._store(cls.check(values, where, wire=True), object_uuid)
        return made

    def _store(self, values: dict[str, Any], object_uuid: str) -> None:
        self._values = values
        self._uuid = object_uuid
        self.userData = {}

    @classmethod
    def check(
        cls, values: dict[str, Any], where: str, wire: bool = False, changed: Optional[Container[str]] = None
    ) -> dict[str, Any]:
        """All fields checked, alone and against each other, and in the form in which they are kept.

        Args:
            values: by field name.
            where: path of the object, for messages.
            wire: name fields by their key on the wire.
            changed: the fields that may be wrong by themselves; None: any.
        Raises:
            InvalidScene: naming the field.
        """
        checked: dict[str, Any] = {}
        lengths: dict[str, int] = {}
        for field in cls.FIELDS:
            path = f"{where}.{field.key if wire else field.name}"
            value = values[field.name]
            checked[field.name] = check_field(field, value, path) if changed is None or field.name in changed else value
            if field.count:
                _check_count(field, item_count(checked[field.name]), lengths, path)
        cls._check_whole(checked, lengths, lambda name: f"{where}.{cls.field(name).key if wire else name}")
        return checked

    @classmethod
    def _check_whole(cls, values: dict[str, Any], lengths: dict[str, int], path: Any) -> None:
        """Checks that take several fields; `lengths` holds the known ones by letter, `path(name)` is a field's path."""

    @classmethod
    def field(cls, name: str) -> Field:
        """The field of that name."""
        return next(field for field in cls.FIELDS if field.name == name)

    def get_uuid(self) -> str:
        """The object's identity, a UUID (RFC 4122) as text."""
        return self._uuid

    def set_attributes(self, **values: Any) -> None:
        """Set several fields at once, by name, so that their lengths can change together; None leaves a field as it is.

        Raises:
            InvalidScene: a field is unknown or wrong; the object is then as before.
        """
        for name in values:
            if name not in self._values:
                raise InvalidScene(
                    f"{type(self).__name__}.{name}", f"no such field, expected one of {', '.join(self._values)}"
                )
        given = {name: value for name, value in values.items() if value is not None}
        self._values = self.check({**self._values, **given}, type(self).__name__, changed=given)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._values.items())})"


def _getter(field: Field) -> Any:
    def get(self: SceneObject) -> Any:
        return self._values[field.name]

    get.__name__, get.__doc__ = f"get_{field.name}", f"{field.doc}."
    return get


def _setter(field: Field) -> Any:
    def set(self: SceneObject, value: Any) -> None:
        self._values = self.check({**self._values, field.name: value}, type(self).__name__, changed=(field.name,))

    set.__name__, set.__doc__ = (
        f"set_{field.name}",
        f"Set it: {field.doc}. Use set_attributes to change the length of several fields at once.",
    )
    return set


def item_count(value: Any) -> int:
    """Items of a field's value: of a buffer or list; -1 for a chain that does not know it."""
    return (
        value.get_buffer_count() if is_chain(value) else value.get_count() if isinstance(value, Buffer) else len(value)
    )


def is_chain(value: Any) -> bool:
    """Whether a value is a transform chain, ours or another package's."""
    return callable(getattr(value, "run", None)) and callable(getattr(value, "get_buffer_count", None))


def _check_count(field: Field, found: int, lengths: dict[str, int], path: str) -> None:
    digits, letter = re.fullmatch(r"(\d*)([a-z]?)", field.count).groups()  # type: ignore[union-attr]
    factor = int(digits or 1)
    if found == UNKNOWN_COUNT:
        return
    if not letter and found != factor:
        raise InvalidScene(path, f"{found} items, expected {factor}")
    if letter in lengths and found != factor * lengths[letter]:
        raise InvalidScene(path, f"{found} items, expected {factor * lengths[letter]}")
    if found % factor:
        raise InvalidScene(path, f"{found} items, expected a multiple of {factor}")
    if letter:
        lengths[letter] = found // factor


def check_field(field: Field, value: Any, where: str) -> Any:
    """One value checked alone, and in the form in which it is kept."""
    kind = field.type
    if isinstance(kind, BufferType):
        return _check_transbuf(field, value, where)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _check_enum(kind, value, where)
    if isinstance(kind, type):
        if not isinstance(value, kind):
            raise InvalidScene(where, f"{kind_of(value)}, expected {kind.__name__}")
        return value
    if kind == "int":
        return check_int(value, where, None if field.least is None else int(field.least))
    if kind == "float":
        number = check_float(value, where)
        if field.least is not None and number < field.least:
            raise InvalidScene(where, f"{number}, expected at least {field.least}")
        return number
    if kind == "groups":
        return check_groups(value, where)
    if kind == "string":
        return check_string(value, where)
    if kind == "strings":
        if not isinstance(value, (list, tuple)):
            raise InvalidScene(where, f"{kind_of(value)}, expected a list of strings")
        return [check_string(item, f"{where}[{index}]") for index, item in enumerate(value)]
    return _check_extent(value, where)


def _check_transbuf(field: Field, value: Any, where: str) -> Any:
    if is_chain(value):
        if value.get_buffer_type() is not None and value.get_buffer_type().name != field.type.name:
            raise InvalidScene(where, f"chain that yields {value.get_buffer_type().name}, expected {field.type.name}")
        return value
    buffer = to_buffer(value, field.type, where)
    array = buffer.to_numpy()
    if array.size:
        if field.least is not None and array.min() < field.least:
            raise wrong_item(array, array < field.least, where, f"at least {field.least}")
        if field.most is not None and array.max() > field.most:
            raise wrong_item(array, array > field.most, where, f"at most {field.most}")
    return buffer


def _check_enum(kind: type[Enum], value: Any, where: str) -> Enum:
    if isinstance(value, kind):
        return value
    if isinstance(value, str) and value in kind.__members__:
        return kind[value]
    found = repr(value[:80]) if isinstance(value, str) else kind_of(value)
    raise InvalidScene(where, f"{found}, expected one of {', '.join(kind.__members__)}")


def check_string(value: Any, where: str) -> str:
    """`value` as text that every font engine survives; raises InvalidScene at `where`."""
    if not isinstance(value, str):
        raise InvalidScene(where, f"{kind_of(value)}, expected text")
    # Not every font engine survives these: FreeType raises on half a surrogate pair, C stops at NUL.
    if "\0" in value or re.search("[\ud800-\udfff]", value):
        raise InvalidScene(where, "text with NUL or half a surrogate pair, expected Unicode text")
    return str(value)


def _check_extent(value: Any, where: str) -> list[float]:
    items = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(items, (list, tuple)):
        raise InvalidScene(where, f"{kind_of(items)}, expected [left, right, bottom, top]")
    if len(items) != 4:
        raise InvalidScene(where, f"{len(items)} items, expected 4: [left, right, bottom, top]")
    return [check_float(item, f"{where}[{index}]") for index, item in enumerate(items)]


class Canvas(SceneObject):
    """The picture that is drawn."""

    FIELDS = (
        Field("width", "int", "width in px, at least 1", least=1),
        Field("height", "int", "height in px, at least 1", least=1),
        Field(
            "dpi", "float", "resolution in px per inch, at least 1; 1 pt is dpi/72 px", least=1, default=lambda: 96.0
        ),
    )


class Viewport(SceneObject):
    """A rectangle of the canvas that visuals are drawn in and clipped to."""

    FIELDS = (
        Field("x", "int", "left edge in px, from the canvas's left edge"),
        Field("y", "int", "lower edge in px, from the canvas's lower edge, y up"),
        Field("width", "int", "width in px, at least 1", least=1),
        Field("height", "int", "height in px, at least 1", least=1),
    )


class Camera(SceneObject):
    """View and projection: clip = projection x view x model x position."""

    FIELDS = (
        Field(
            "view_matrix",
            BufferType.mat4,
            "one mat4, world to eye, rows first; identity unless given",
            count="1",
            default=Buffer.identity,
        ),
        Field(
            "projection_matrix",
            BufferType.mat4,
            "one mat4, eye to clip, rows first; identity unless given",
            count="1",
            default=Buffer.identity,
        ),
    )


class Texture(SceneObject):
    """A picture's texels."""

    FIELDS = (
        Field(
            "data",
            BufferType.rgba8,
            "(height, width, 4) or (height * width, 4) uint8, straight alpha, first row on top",
        ),
        Field("width", "int", "texels in a row, at least 1", least=1),
        Field("height", "int", "rows, at least 1", least=1),
    )

    def __init__(self, data: Any, width: int, height: int) -> None:
        shape = getattr(data, "shape", ())
        if len(shape) == 3 and shape[:2] != (height, width):
            raise InvalidScene("Texture.data", f"shape {tuple(shape)}, expected ({height}, {width}, 4)")
        super().__init__(data, width, height)

    @classmethod
    def _check_whole(cls, values: dict[str, Any], lengths: dict[str, int], path: Any) -> None:
        found, wanted = item_count(values["data"]), values["width"] * values["height"]
        if found not in (UNKNOWN_COUNT, wanted):
            raise InvalidScene(
                path("data"), f"{found} items, expected {wanted} (width {values['width']} x height {values['height']})"
            )


class ModelMatrix(SceneObject):
    """An entry of a scene's `model_matrices`; in lists the matrix stands for itself."""

    FIELDS = (Field("model_matrix", BufferType.mat4, "one mat4, model to world, rows first", count="1"),)
