"""Typed blocks of numbers: the eleven buffer types and `Buffer`, which holds elements of one of them."""

from __future__ import annotations

import base64
import binascii
import math
from enum import Enum
from typing import Any, Optional, Union

import numpy as np

from ..errors import InvalidScene, kind_of

BytesLike = Union[bytes, bytearray, memoryview]
PIECE = 2**20  # characters of base64 that are decoded at a time, a multiple of 4


class BufferType(Enum):
    """The buffer types: each member's value is the numpy dtype (little-endian) and the shape of one element."""

    float32 = ("<f4", ())
    uint32 = ("<u4", ())
    uint8 = ("|u1", ())
    int32 = ("<i4", ())
    int8 = ("|i1", ())
    vec2 = ("<f4", (2,))
    vec3 = ("<f4", (3,))
    vec4 = ("<f4", (4,))
    uvec4 = ("<u4", (4,))
    mat4 = ("<f4", (4, 4))
    rgba8 = ("|u1", (4,))

    @property
    def dtype(self) -> np.dtype[Any]:
        """numpy dtype of one component."""
        dtype: np.dtype[Any] = np.dtype(self.value[0])
        return dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one element: () for a number, (3,) for vec3, (4, 4) for mat4."""
        shape: tuple[int, ...] = self.value[1]
        return shape

    @property
    def item_size(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize * math.prod(self.shape)

    @staticmethod
    def get_item_size(buffer_type: BufferType) -> int:
        """Bytes of one element of `buffer_type`."""
        return buffer_type.item_size


class Buffer:
    """`count` elements of one buffer type, tightly packed.

    Args:
        count: number of elements, at least 0; they start as zeros.
        buffer_type: what each element is.
    Raises:
        InvalidScene: a count or type that is none.
    """

    def __init__(self, count: int, buffer_type: BufferType) -> None:
        check_buffer_type(buffer_type, "buffer_type")
        check_int(count, "count", least=0)
        self._type = buffer_type
        self._array: np.ndarray[Any, Any] = np.zeros((count, *buffer_type.shape), buffer_type.dtype)

    @classmethod
    def _wrap(cls, array: np.ndarray[Any, Any], buffer_type: BufferType) -> Buffer:
        """A buffer on `array` itself, which must be contiguous, little-endian and of the element's shape."""
        buffer = cls.__new__(cls)
        buffer._type = buffer_type
        buffer._array = array
        return buffer

    @staticmethod
    def from_bytearray(data: BytesLike, buffer_type: BufferType) -> Buffer:
        """A buffer that holds a copy of `data`, whose length must be a multiple of the element's size."""
        check_buffer_type(buffer_type, "buffer_type")
        packed = check_bytes(data, "data")
        if len(packed) % buffer_type.item_size:
            raise InvalidScene(
                "data", f"{len(packed)} bytes, expected a multiple of {buffer_type.item_size} ({buffer_type.name})"
            )
        return buffer_on(packed, buffer_type)

    @staticmethod
    def from_numpy(array: Any, buffer_type: Optional[BufferType] = None) -> Buffer:
        """A buffer of an array's elements; without a copy where dtype and layout allow, so it then shares the array's memory.

        Args:
            array: (n,), (n, 2), (n, 3), (n, 4) or (n, 4, 4); one mat4 may come as (4, 4), and rgba8 in any shape that
                ends in 4, as the rows of a picture do. Anything `numpy.asarray` takes.
            buffer_type: what the elements are. None infers it: floats by their shape ((n,) float32, (n, 3) vec3, (n, 4, 4)
                mat4, ...), uint8 (n, 4) rgba8, uint32 (n, 4) uvec4, and (n,) of uint8, int8, uint32 and int32.
        Raises:
            InvalidScene: no type fits, more than one does, a value is out of the type's range or not finite.
        """
        values = _as_array(array, "array")
        if buffer_type is None:
            buffer_type = _infer(values)
        return to_buffer(values, buffer_type, "array")

    @staticmethod
    def identity() -> Buffer:
        """One mat4, the identity: a model, view or projection matrix that changes nothing."""
        return Buffer._wrap(np.eye(4, dtype="<f4")[np.newaxis], BufferType.mat4)

    def to_numpy(self) -> np.ndarray[Any, Any]:
        """The elements as an array (count, *element shape) on the buffer's own memory; read-only where that is."""
        return self._array

    def get_count(self) -> int:
        """Number of elements."""
        return len(self._array)

    def get_type(self) -> BufferType:
        """The type of each element."""
        return self._type

    def get_data(self, offset: int, count: int) -> bytearray:
        """A copy of the bytes of `count` elements from element `offset` on.

        Raises:
            InvalidScene: the range does not lie within the buffer.
        """
        self._check_range(offset, count)
        return bytearray(self._array[offset : offset + count].tobytes())

    def set_data(self, data: BytesLike, offset: int, count: int) -> None:
        """Replace `count` elements from element `offset` on; memory that others share is left as it is.

        Args:
            data: exactly `count` elements, packed.
        Raises:
            InvalidScene: the range does not lie within the buffer, or `data` has another length.
        """
        self._check_range(offset, count)
        packed = check_bytes(data, "data")
        if len(packed) != count * self._type.item_size:
            raise InvalidScene(
                "data", f"{len(packed)} bytes, expected {count * self._type.item_size} ({count} x {self._type.name})"
            )
        changed = self._array.copy()
        changed[offset : offset + count] = buffer_on(packed, self._type)._array
        self._array = changed

    def to_bytearray(self) -> bytearray:
        """A copy of all bytes."""
        return bytearray(self._array.tobytes())

    def lasting_bytes(self) -> Optional[bytes]:
        """All bytes, where the buffer lies on bytes of Python's, which cannot change; None where it lies on other memory."""
        base: Any = self._array
        while isinstance(base, np.ndarray):
            base = base.base
        whole = isinstance(base, bytes) and len(base) == self._array.nbytes and self._array.flags.c_contiguous
        return base if whole else None

    def to_bytes(self) -> bytes:
        """All bytes; a copy only where they may change."""
        lasting = self.lasting_bytes()
        return self._array.tobytes() if lasting is None else lasting

    def to_base64(self) -> str:
        """All bytes in base64 (RFC 4648 section 4)."""
        return base64_of(self).decode("ascii")

    @staticmethod
    def from_base64(text: Any, buffer_type: BufferType, count: int, where: str) -> Buffer:
        """The buffer that `to_base64` gave; strict: canonical alphabet, padding and length.

        Args:
            text: text, or a memoryview of ASCII bytes, which is not copied.
        Raises:
            InvalidScene: at `where`.
        """
        if not isinstance(text, (str, memoryview)):
            raise InvalidScene(where, f"{kind_of(text)}, expected base64 text")
        size = count * buffer_type.item_size
        if len(text) != (size + 2) // 3 * 4:
            raise InvalidScene(
                where,
                f"{len(text)} base64 characters, expected {(size + 2) // 3 * 4} ({count} x {buffer_type.name} = {size} bytes)",
            )
        # This decoder passes over what is no base64, so that too few bytes come out then, unless it stands where the padding
        # belongs. So the number of bytes and the last group tell whether all is canonical, and no slower look is needed.
        try:
            data = _decoded(text, size)
        except ValueError:
            data = b""
        tail = (size - 1) // 3 * 3 if size else 0
        last = text[-4:] if isinstance(text, str) else str(text[-4:], "latin-1")
        if len(data) != size or binascii.b2a_base64(data[tail:], newline=False).decode("ascii") != last:
            raise InvalidScene(where, _base64_fault(text, buffer_type, count))
        return buffer_on(data, buffer_type)

    @staticmethod
    def from_raw(data: memoryview, buffer_type: BufferType, count: int, where: str) -> Buffer:
        """A buffer of a copy of `data`, so that what that lies in can be let go.

        Raises:
            InvalidScene: at `where`: not the bytes of `count` elements.
        """
        size = count * buffer_type.item_size
        if len(data) != size:
            raise InvalidScene(where, f"{len(data)} bytes, expected {size} ({count} x {buffer_type.name})")
        return buffer_on(bytes(data), buffer_type)

    def _check_range(self, offset: int, count: int) -> None:
        check_int(offset, "offset", least=0)
        check_int(count, "count", least=0)
        if offset + count > len(self._array):
            raise InvalidScene("offset", f"elements {offset} to {offset + count}, expected at most {len(self._array)}")

    def __repr__(self) -> str:
        return f"Buffer(count={len(self._array)}, buffer_type={self._type.name})"


def raw_bytes(buffer: Buffer) -> memoryview:
    """A buffer's bytes, where they are."""
    return np.ascontiguousarray(buffer.to_numpy()).reshape(-1).view(np.uint8).data


def base64_of(buffer: Buffer) -> bytes:
    """A buffer's bytes in base64, as `Buffer.to_base64` gives them as text."""
    return binascii.b2a_base64(raw_bytes(buffer), newline=False)


def _decoded(text: Union[str, memoryview], size: int) -> Union[bytes, memoryview]:
    """The bytes of a text in base64, `size` of them where it is long; in pieces, since no other thread runs meanwhile.

    Raises:
        ValueError: it is no base64, as far as the decoder looks.
    """
    if len(text) <= PIECE:
        return binascii.a2b_base64(text)
    data, filled = np.empty(size, np.uint8), 0
    for start in range(0, len(text), PIECE):
        piece = binascii.a2b_base64(text[start : start + PIECE])
        if len(piece) != min(PIECE // 4 * 3, size - filled):
            raise ValueError("not base64")
        data[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
        filled += len(piece)
    data.flags.writeable = False
    return data.data


def _base64_fault(text: Union[str, memoryview], buffer_type: BufferType, count: int) -> str:
    """What is wrong with base64 of the right length that is not what `base64_of` gives for so many elements."""
    size = count * buffer_type.item_size
    try:
        found = len(base64.b64decode(text, validate=True))
    except ValueError:
        return "not base64 (RFC 4648 section 4, padded, no line breaks)"
    if found != size:
        return f"base64 of {found} bytes, expected {size} ({count} x {buffer_type.name})"
    return "base64 whose last group has bits behind the data, expected zeros there"


def buffer_on(data: Union[bytes, bytearray, memoryview], buffer_type: BufferType) -> Buffer:
    """A buffer on bytes themselves, a whole number of elements."""
    return Buffer._wrap(np.frombuffer(data, buffer_type.dtype).reshape(-1, *buffer_type.shape), buffer_type)


def _infer(array: np.ndarray[Any, Any]) -> BufferType:
    """The one buffer type that an array of this dtype and shape can mean."""
    kind, tail = array.dtype.kind, array.shape[1:]
    if kind == "f" and array.shape == (4, 4):
        raise InvalidScene("array", "shape (4, 4) is four vec4 or one mat4: give buffer_type")
    for buffer_type in BufferType:
        same_kind = kind == "f" and buffer_type.dtype.kind == "f"
        if array.ndim and tail == buffer_type.shape and (same_kind or array.dtype == buffer_type.dtype):
            return buffer_type
    raise InvalidScene(
        "array",
        f"{array.dtype} of shape {array.shape} fits no buffer type: give buffer_type, one of {', '.join(BufferType.__members__)}",
    )


def _foreign_buffer(value: Any, where: str) -> Buffer:
    """A buffer of an installed GSP_API, copied by its bytes and the name of its type."""
    name = value.get_type().name
    if name not in BufferType.__members__:
        raise InvalidScene(where, f"buffer of {name}, expected one of {', '.join(BufferType.__members__)}")
    try:
        return Buffer.from_bytearray(value.to_bytearray(), BufferType[name])
    except InvalidScene as exc:
        raise InvalidScene(where, exc.problem) from exc


def _as_array(value: Any, where: str) -> np.ndarray[Any, Any]:
    """`value` as an array; numpy before 1.24 makes uneven rows an array of lists, later ones raise ValueError."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise InvalidScene(where, "rows of different lengths, expected an array") from None
    if (
        array.dtype.kind == "O"
        and isinstance(value, (list, tuple))
        and any(isinstance(item, (list, tuple)) for item in value)
    ):
        raise InvalidScene(where, "rows of different lengths, expected an array")
    return array


def to_buffer(value: Any, buffer_type: BufferType, where: str) -> Buffer:
    """`value` as a checked buffer of `buffer_type`: a Buffer of ours as it is, anything else by way of numpy.

    Raises:
        InvalidScene: at `where`: another type, a wrong shape, a value out of range or not finite.
    """
    if isinstance(value, Buffer):
        if value.get_type() is not buffer_type:
            raise InvalidScene(where, f"buffer of {value.get_type().name}, expected {buffer_type.name}")
        check_finite(value, where)
        return value
    if callable(getattr(value, "to_bytearray", None)) and callable(getattr(value, "get_type", None)):
        return to_buffer(_foreign_buffer(value, where), buffer_type, where)
    array = _as_array(value, where)
    wanted, shape = buffer_type.dtype, buffer_type.shape
    if array.dtype.kind not in "fiu" and array.size:
        raise InvalidScene(where, f"{kind_of(value)} of {array.dtype}, expected numbers ({buffer_type.name})")
    if array.shape == shape == (4, 4):
        array = array[np.newaxis]
    if buffer_type is BufferType.rgba8 and array.ndim > 2 and array.shape[-1] == 4:
        array = array.reshape(-1, 4)
    if array.size == 0:
        array = array.reshape(0, *shape)
    if array.ndim == 0 or array.shape[1:] != shape:
        expected = str(("n", *shape)).replace("'", "")
        raise InvalidScene(where, f"shape {array.shape}, expected {expected} ({buffer_type.name})")
    if wanted.kind in "iu":
        if array.dtype.kind == "f" and array.size:
            raise InvalidScene(where, f"array of {array.dtype}, expected integers ({buffer_type.name})")
        bounds = np.iinfo(wanted)
        if array.dtype != wanted and array.size and (int(array.min()) < bounds.min or int(array.max()) > bounds.max):
            raise InvalidScene(
                where,
                f"values {array.min()} to {array.max()}, expected {bounds.min} to {bounds.max} ({buffer_type.name})",
            )
    with np.errstate(over="ignore"):  # what overflows becomes infinite, and is refused below
        buffer = Buffer._wrap(np.ascontiguousarray(array, wanted), buffer_type)
    check_finite(buffer, where)
    return buffer


def check_finite(buffer: Buffer, where: str) -> None:
    """Refuse NaN and infinities, naming the first element that has one."""
    array = buffer.to_numpy()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise wrong_item(array, ~np.isfinite(array), where, "finite numbers")


def wrong_item(array: np.ndarray[Any, Any], wrong: Any, where: str, expected: str) -> InvalidScene:
    """The error that names the first element of `array` where the mask `wrong`, of the same shape, has a part."""
    first = int(np.flatnonzero(wrong.reshape(len(array), -1).any(axis=1))[0])
    return InvalidScene(f"{where}[{first}]", f"{array[first].tolist()}, expected {expected}")


def check_int(value: Any, where: str, least: Optional[int] = None, most: int = 2**31 - 1) -> int:
    """`value` as an int, numpy's included, booleans and floats not; at least `least` (unless None) and at most `most`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise InvalidScene(where, f"{kind_of(value)}, expected an integer")
    if not (-most if least is None else least) <= value <= most:
        raise InvalidScene(where, f"{str(value)[:40]}, expected {-most if least is None else least} to {most}")
    return int(value)


def check_float(value: Any, where: str) -> float:
    """`value` as a finite float, integers and numpy's included, booleans not."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise InvalidScene(where, f"{kind_of(value)}, expected a number")
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if not np.isfinite(number):
        raise InvalidScene(where, f"{number}, expected a finite number")
    return number


def check_bytes(data: Any, where: str) -> bytes:
    """Refuse what is not bytes, bytearray or memoryview."""
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InvalidScene(where, f"{kind_of(data)}, expected bytes")
    return bytes(data)


def check_buffer_type(value: Any, where: str) -> None:
    """Refuse what is not a BufferType."""
    if not isinstance(value, BufferType):
        raise InvalidScene(where, f"{kind_of(value)}, expected a BufferType")
