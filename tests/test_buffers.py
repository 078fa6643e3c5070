"""Buffers: element types, numpy in and out, base64, and the small checks of numbers."""

from __future__ import annotations

import base64
import itertools
import re
import unittest
import warnings
from unittest import mock

import numpy as np

from gsp_network import Buffer, BufferType, InvalidScene
from gsp_network.scene import buffers
from gsp_network.scene.buffers import check_float, check_int, kind_of

# As the wire format lists them: bytes of one element, shape of one element.
TYPES = {
    "float32": (4, ()),
    "uint32": (4, ()),
    "uint8": (1, ()),
    "int32": (4, ()),
    "int8": (1, ()),
    "vec2": (8, (2,)),
    "vec3": (12, (3,)),
    "vec4": (16, (4,)),
    "uvec4": (16, (4,)),
    "mat4": (64, (4, 4)),
    "rgba8": (4, (4,)),
}
NAMES = ", ".join(TYPES)
NOT_BASE64 = "b: not base64 (RFC 4648 section 4, padded, no line breaks)"


class BufferTypes(unittest.TestCase):
    def test_the_eleven_types(self):
        """The buffer types, their sizes and shapes are those of the wire format."""
        found = {item.name: (item.item_size, item.shape) for item in BufferType}
        self.assertEqual(found, TYPES)

    def test_get_item_size(self):
        """get_item_size gives the bytes of one element."""
        for buffer_type in BufferType:
            with self.subTest(buffer_type.name):
                self.assertEqual(BufferType.get_item_size(buffer_type), TYPES[buffer_type.name][0])

    def test_little_endian(self):
        """Every type's bytes are little-endian, on any machine."""
        for buffer_type in BufferType:
            with self.subTest(buffer_type.name):
                self.assertIn(buffer_type.value[0][0], "<|")


class Making(unittest.TestCase):
    def test_starts_as_zeros(self):
        """A new buffer holds `count` elements of zeros."""
        for buffer_type in BufferType:
            with self.subTest(buffer_type.name):
                buffer = Buffer(3, buffer_type)
                self.assertEqual(buffer.get_count(), 3)
                self.assertIs(buffer.get_type(), buffer_type)
                self.assertEqual(buffer.to_bytearray(), bytearray(3 * buffer_type.item_size))

    def test_bad_arguments(self):
        """A count or type that is none is refused by name."""
        table = [
            (lambda: Buffer(-1, BufferType.vec3), "count: -1, expected 0 to 2147483647"),
            (lambda: Buffer(2.0, BufferType.vec3), "count: float, expected an integer"),
            (lambda: Buffer(True, BufferType.vec3), "count: boolean, expected an integer"),
            (lambda: Buffer(1, "vec3"), "buffer_type: text, expected a BufferType"),
            (
                lambda: Buffer.from_bytearray(b"abc", BufferType.float32),
                "data: 3 bytes, expected a multiple of 4 (float32)",
            ),
            (lambda: Buffer.from_bytearray("abcd", BufferType.float32), "data: text, expected bytes"),
            (lambda: Buffer.from_bytearray(b"abcd", None), "buffer_type: null, expected a BufferType"),
        ]
        for make, message in table:
            with self.subTest(message):
                with self.assertRaises(InvalidScene) as caught:
                    make()
                self.assertEqual(str(caught.exception), message)

    def test_from_bytearray_copies(self):
        """from_bytearray holds a copy of the bytes it was given."""
        data = bytearray(b"\x00\x00\x80\x3f")
        buffer = Buffer.from_bytearray(data, BufferType.float32)
        data[3] = 0
        self.assertEqual(buffer.to_numpy().tolist(), [1.0])

    def test_from_bytearray_takes_any_bytes(self):
        """bytes, bytearray and memoryview, of bytes or of numbers, make the same buffer."""
        values = np.array([1.0, 2.0, 3.0], "<f4")
        for data in (values.tobytes(), bytearray(values.tobytes()), memoryview(values.tobytes()), memoryview(values)):
            with self.subTest(type(data).__name__):
                self.assertEqual(Buffer.from_bytearray(data, BufferType.float32).to_numpy().tolist(), [1.0, 2.0, 3.0])

    def test_identity(self):
        """identity() is one mat4 that changes nothing, and each call gives its own."""
        first, second = Buffer.identity(), Buffer.identity()
        self.assertIs(first.get_type(), BufferType.mat4)
        np.testing.assert_array_equal(first.to_numpy(), np.eye(4)[np.newaxis])
        first.to_numpy()[0, 0, 3] = 5
        np.testing.assert_array_equal(second.to_numpy(), np.eye(4)[np.newaxis])

    def test_repr(self):
        """repr says count and type."""
        self.assertEqual(repr(Buffer(2, BufferType.rgba8)), "Buffer(count=2, buffer_type=rgba8)")


class FromNumpy(unittest.TestCase):
    def test_inferred_types(self):
        """Without a buffer type, dtype and shape decide."""
        table = [
            ("f8", (5,), "float32"),
            ("f4", (5, 2), "vec2"),
            ("f2", (5, 3), "vec3"),
            ("f4", (5, 4), "vec4"),
            ("f8", (5, 4, 4), "mat4"),
            ("u1", (5, 4), "rgba8"),
            ("u4", (5, 4), "uvec4"),
            ("u1", (5,), "uint8"),
            ("i1", (5,), "int8"),
            ("u4", (5,), "uint32"),
            ("i4", (5,), "int32"),
        ]
        self.assertEqual({name for _, _, name in table}, set(TYPES))
        for dtype, shape, name in table:
            with self.subTest(dtype=dtype, shape=shape):
                buffer = Buffer.from_numpy(np.ones(shape, dtype))
                self.assertEqual((buffer.get_type().name, buffer.get_count()), (name, 5))

    def test_not_inferred(self):
        """An array that fits no type, or two, is refused and told what to give."""
        table = [
            (np.eye(4), "array: shape (4, 4) is four vec4 or one mat4: give buffer_type"),
            (np.zeros(3, "i8"), f"array: int64 of shape (3,) fits no buffer type: give buffer_type, one of {NAMES}"),
            (
                np.zeros((3, 5), "f4"),
                f"array: float32 of shape (3, 5) fits no buffer type: give buffer_type, one of {NAMES}",
            ),
            (
                np.zeros((2, 2, 4), "u1"),
                f"array: uint8 of shape (2, 2, 4) fits no buffer type: give buffer_type, one of {NAMES}",
            ),
            (1.5, f"array: float64 of shape () fits no buffer type: give buffer_type, one of {NAMES}"),
        ]
        for array, message in table:
            with self.subTest(message):
                with self.assertRaises(InvalidScene) as caught:
                    Buffer.from_numpy(array)
                self.assertEqual(str(caught.exception), message)

    def test_refused_values(self):
        """Values that the type cannot hold are refused with what was found and wanted."""
        with_nan = np.zeros((3, 3), "f4")
        with_nan[2, 1] = np.nan
        table = [
            (with_nan, "vec3", "array[2]: [0.0, nan, 0.0], expected finite numbers"),
            ([0.0, np.inf], "float32", "array[1]: inf, expected finite numbers"),
            ([1e39], "float32", "array[0]: inf, expected finite numbers"),
            ([0, 256], "uint8", "array: values 0 to 256, expected 0 to 255 (uint8)"),
            ([-1, 3], "uint32", "array: values -1 to 3, expected 0 to 4294967295 (uint32)"),
            ([128], "int8", "array: values 128 to 128, expected -128 to 127 (int8)"),
            ([1.0, 2.0], "uint32", "array: array of float64, expected integers (uint32)"),
            ([[1, 2]], "vec3", "array: shape (1, 2), expected (n, 3) (vec3)"),
            ([1.0, 2.0, 3.0], "vec3", "array: shape (3,), expected (n, 3) (vec3)"),
            ([[1.0]], "float32", "array: shape (1, 1), expected (n,) (float32)"),
            (np.eye(3), "mat4", "array: shape (3, 3), expected (n, 4, 4) (mat4)"),
            (2.0, "float32", "array: shape (), expected (n,) (float32)"),
            ([True], "uint8", "expected numbers (uint8)"),
            (["1"], "float32", "expected numbers (float32)"),
            ([1j], "float32", "expected numbers (float32)"),
            (None, "float32", "expected numbers (float32)"),
        ]
        for array, name, message in table:
            with self.subTest(message, array=str(array)):
                with self.assertRaises(InvalidScene) as caught:
                    Buffer.from_numpy(array, BufferType[name])
                self.assertTrue(str(caught.exception).startswith("array"), str(caught.exception))
                self.assertTrue(str(caught.exception).endswith(message), str(caught.exception))

    def test_rows_of_different_lengths(self):
        """Rows of different lengths are refused in the same words, with a buffer type or not, whatever the numpy."""
        for buffer_type in (BufferType.vec3, None):
            with self.subTest(buffer_type), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # numpy's own, from some versions
                with self.assertRaises(InvalidScene) as caught:
                    Buffer.from_numpy([[1.0, 2.0, 3.0], [1.0, 2.0]], buffer_type)
                self.assertEqual(str(caught.exception), "array: rows of different lengths, expected an array")

    def test_overflow_is_quiet(self):
        """A number beyond float32 raises our error without a warning of numpy's."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.assertRaises(InvalidScene, Buffer.from_numpy, np.array([1e300]), BufferType.float32)

    def test_shares_memory_where_it_can(self):
        """An array of the right dtype and layout is not copied."""
        array = np.zeros((5, 3), "<f4")
        self.assertTrue(np.shares_memory(Buffer.from_numpy(array).to_numpy(), array))

    def test_other_layouts(self):
        """Big-endian, strided and transposed arrays keep their values."""
        array = np.arange(24, dtype="f4").reshape(4, 6)
        for name, values in (
            ("big", array[:, :3].astype(">f4")),
            ("strided", array[:, ::2]),
            ("fortran", array[:3].T[:, ::1]),
        ):
            with self.subTest(name):
                buffer = Buffer.from_numpy(values, BufferType.vec3)
                np.testing.assert_array_equal(buffer.to_numpy(), values)
                self.assertEqual(buffer.to_bytearray(), bytearray(np.ascontiguousarray(values, "<f4").tobytes()))

    def test_one_matrix(self):
        """One mat4 may come as (4, 4)."""
        buffer = Buffer.from_numpy(np.arange(16.0).reshape(4, 4), BufferType.mat4)
        self.assertEqual(buffer.get_count(), 1)
        self.assertEqual(buffer.to_numpy()[0, 0, 3], 3.0)

    def test_rows_of_a_picture(self):
        """rgba8 may come in rows, which follow each other."""
        pixels = np.arange(24, dtype="u1").reshape(2, 3, 4)
        buffer = Buffer.from_numpy(pixels, BufferType.rgba8)
        np.testing.assert_array_equal(buffer.to_numpy(), pixels.reshape(6, 4))

    def test_empty(self):
        """An empty list is a buffer of no elements, of any type."""
        for buffer_type in BufferType:
            with self.subTest(buffer_type.name):
                buffer = Buffer.from_numpy([], buffer_type)
                self.assertEqual((buffer.get_count(), buffer.to_numpy().shape), (0, (0, *buffer_type.shape)))

    def test_plain_lists(self):
        """Lists of Python's ints become colours and numbers."""
        self.assertEqual(Buffer.from_numpy([[255, 0, 0, 255]], BufferType.rgba8).to_bytearray(), b"\xff\x00\x00\xff")
        self.assertEqual(Buffer.from_numpy([1, 2], BufferType.float32).to_numpy().tolist(), [1.0, 2.0])


class Bytes(unittest.TestCase):
    def test_get_data(self):
        """get_data copies a range of elements."""
        buffer = Buffer.from_numpy([1, 2, 3, 4], BufferType.uint8)
        data = buffer.get_data(1, 2)
        self.assertEqual(data, bytearray([2, 3]))
        data[0] = 9
        self.assertEqual(buffer.to_bytearray(), bytearray([1, 2, 3, 4]))

    def test_set_data(self):
        """set_data replaces a range of elements and nothing beside it."""
        buffer = Buffer(3, BufferType.uint32)
        buffer.set_data(b"\x01\x00\x00\x00", 1, 1)
        self.assertEqual(buffer.to_numpy().tolist(), [0, 1, 0])

    def test_set_data_takes_a_memoryview_of_numbers(self):
        """set_data counts the bytes of what it is given, not its items."""
        buffer = Buffer(3, BufferType.float32)
        buffer.set_data(memoryview(np.array([1.0, 2.0], "<f4")), 1, 2)
        self.assertEqual(buffer.to_numpy().tolist(), [0.0, 1.0, 2.0])

    def test_set_data_leaves_shared_memory(self):
        """set_data leaves an array as it is that the buffer was made from."""
        array = np.zeros(2, "<f4")
        buffer = Buffer.from_numpy(array)
        buffer.set_data(b"\x00\x00\x80\x3f", 0, 1)
        self.assertEqual(array.tolist(), [0.0, 0.0])
        self.assertEqual(buffer.to_numpy().tolist(), [1.0, 0.0])

    def test_set_data_on_decoded_bytes(self):
        """A buffer on read-only memory can be changed by set_data."""
        buffer = Buffer.from_bytearray(b"\x01\x02", BufferType.uint8)
        buffer.set_data(b"\x07", 0, 1)
        self.assertEqual(buffer.to_bytearray(), b"\x07\x02")

    def test_ranges(self):
        """A range that does not lie within the buffer, or bytes of another length, are refused; nothing changes."""
        buffer = Buffer(2, BufferType.uint8)
        table = [
            (lambda: buffer.get_data(1, 2), "offset: elements 1 to 3, expected at most 2"),
            (lambda: buffer.get_data(-1, 1), "offset: -1, expected 0 to 2147483647"),
            (lambda: buffer.get_data(0, -1), "count: -1, expected 0 to 2147483647"),
            (lambda: buffer.get_data(0.0, 1), "offset: float, expected an integer"),
            (lambda: buffer.set_data(b"\x01", 0, 2), "data: 1 bytes, expected 2 (2 x uint8)"),
            (lambda: buffer.set_data(b"\x01\x01", 1, 2), "offset: elements 1 to 3, expected at most 2"),
            (lambda: buffer.set_data([1], 0, 1), "data: list, expected bytes"),
        ]
        for call, message in table:
            with self.subTest(message):
                with self.assertRaises(InvalidScene) as caught:
                    call()
                self.assertEqual(str(caught.exception), message)
        self.assertEqual(buffer.to_bytearray(), b"\x00\x00")

    def test_to_bytearray_copies(self):
        """What to_bytearray gave can change without changing the buffer."""
        buffer = Buffer(1, BufferType.uint8)
        buffer.to_bytearray()[0] = 1
        self.assertEqual(buffer.to_bytearray(), b"\x00")


class Base64(unittest.TestCase):
    def test_round_trip(self):
        """to_base64 is RFC 4648's base64 of the bytes and from_base64 undoes it, for every type and count."""
        random = np.random.default_rng(0)
        for buffer_type in BufferType:
            for count in range(5):
                with self.subTest(buffer_type.name, count=count):
                    data = random.integers(0, 100, count * buffer_type.item_size, np.uint8).tobytes()
                    text = Buffer.from_bytearray(data, buffer_type).to_base64()
                    self.assertEqual(text, base64.b64encode(data).decode("ascii"))
                    decoded = Buffer.from_base64(text, buffer_type, count, "b")
                    self.assertEqual((decoded.to_bytearray(), decoded.get_count()), (data, count))

    def test_strided_array(self):
        """A buffer encodes its elements, not the memory around them."""
        buffer = Buffer.from_numpy(np.arange(8, dtype="u1")[::2])
        self.assertEqual(buffer.to_base64(), base64.b64encode(bytes([0, 2, 4, 6])).decode("ascii"))

    def test_refused(self):
        """Text that is not the canonical base64 of the right number of bytes is refused."""
        table = [  # of one rgba8: 4 bytes, "/wAA/w=="
            (None, "b: null, expected base64 text"),
            (b"/wAA/w==", "b: bytes, expected base64 text"),
            (["/wAA/w=="], "b: list, expected base64 text"),
            ("", "b: 0 base64 characters, expected 8 (1 x rgba8 = 4 bytes)"),
            ("!!!!", "b: 4 base64 characters, expected 8 (1 x rgba8 = 4 bytes)"),
            ("/wAA/w", "b: 6 base64 characters, expected 8 (1 x rgba8 = 4 bytes)"),
            ("/wAA/w==\n", "b: 9 base64 characters, expected 8 (1 x rgba8 = 4 bytes)"),
            ("!!!!!!!!", NOT_BASE64),
            ("/wAA /w=", NOT_BASE64),
            (" /wAA/w=", NOT_BASE64),
            ("/wAA\n/w=", NOT_BASE64),
            ("YQ==YQ==", NOT_BASE64),
            ("_wAA_w==", NOT_BASE64),
            ("-wAA-w==", NOT_BASE64),
            ("/wAA/wé=", NOT_BASE64),
            ("/wAA/===", NOT_BASE64),
            ("====/w==", NOT_BASE64),
            ("/wAA/w=A", NOT_BASE64),
            ("/wAA/x==", "b: base64 whose last group has bits behind the data, expected zeros there"),
            ("/wAA/wAA", "b: base64 of 6 bytes, expected 4 (1 x rgba8)"),
        ]
        for text, message in table:
            with self.subTest(text=text):
                with self.assertRaises(InvalidScene) as caught:
                    Buffer.from_base64(text, BufferType.rgba8, 1, "b")
                self.assertEqual(str(caught.exception), message)

    def test_canonical_alone(self):
        """Of texts of one group, and of two with anything in the first, those are taken that `to_base64` gives, in pieces too."""
        groups = ["".join(chars) for chars in itertools.product("AQg/=!\n", repeat=4)]
        texts = [
            *groups,
            *(
                first + last
                for first in groups[::5]
                for last in ("AAAA", "AAA=", "AA==", "A===", "AQ==", "====", "AA=A")
            ),
        ]
        form = re.compile("([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
        taken = 0
        for text, padding in itertools.product(texts, range(3)):
            size = len(text) // 4 * 3 - padding
            canonical = form.fullmatch(text) and text.count("=") == padding
            canonical = canonical and base64.b64encode(base64.b64decode(text)).decode() == text
            for given, piece in ((text, 2**20), (memoryview(text.encode()), 2**20), (memoryview(text.encode()), 4)):
                try:
                    with mock.patch.object(buffers, "PIECE", piece):
                        found = Buffer.from_base64(given, BufferType.uint8, size, "b").to_bytearray()
                except InvalidScene:
                    found = None
                self.assertEqual(found, base64.b64decode(text) if canonical else None, (text, size, piece))
            taken += bool(canonical)
        self.assertGreater(taken, 400)

    def test_pieces(self):
        """A text of several pieces is decoded as one is, without another copy, and refused wherever a character is wrong."""
        data = np.random.default_rng(0).bytes(1000)
        text = base64.b64encode(data).decode()
        with mock.patch.object(buffers, "PIECE", 64):
            buffer = Buffer.from_base64(text, BufferType.uint8, 1000, "b")
            self.assertEqual(buffer.to_bytes(), data)
            self.assertFalse(buffer.to_numpy().flags.writeable)
            for place in range(len(text)):
                for wrong in "=!":
                    with self.assertRaises(InvalidScene):
                        Buffer.from_base64(
                            text[:place] + wrong + text[place + 1 :] if text[place] != wrong else text[:-1] + "A",
                            BufferType.uint8,
                            1000,
                            "b",
                        )

    def test_memory(self):
        """A memoryview is taken as text is, and refused with the same words; the decoded bytes are not copied again."""
        buffer = Buffer.from_base64(memoryview(b"/wAA/w=="), BufferType.rgba8, 1, "b")
        self.assertEqual(buffer.to_numpy().tolist(), [[255, 0, 0, 255]])
        self.assertFalse(buffer.to_numpy().flags.writeable)
        self.assertFalse(buffer.to_numpy().flags.owndata)
        for text in ("", "/wAA /w=", "/wAA/x==", "/wAA/wAA", "/wAA/w=\x00", "\xff" * 8):
            messages = set()
            for given in (text, memoryview(text.encode("latin-1"))):
                with self.assertRaises(InvalidScene) as caught:
                    Buffer.from_base64(given, BufferType.rgba8, 1, "b")
                messages.add(str(caught.exception))
            self.assertEqual(len(messages), 1, messages)


class Checks(unittest.TestCase):
    def test_check_int(self):
        """check_int takes Python's and numpy's integers in range, and refuses booleans, floats and text."""
        for value in (3, np.int8(3), np.uint64(3)):
            result = check_int(value, "x")
            self.assertEqual((result, type(result)), (3, int))
        table = [
            (True, "x: boolean, expected an integer"),
            (3.0, "x: float, expected an integer"),
            ("3", "x: text, expected an integer"),
            (None, "x: null, expected an integer"),
            ({}, "x: object, expected an integer"),
            (2**31, "x: 2147483648, expected -2147483647 to 2147483647"),
            (10**100, f"x: 1{'0' * 39}, expected -2147483647 to 2147483647"),
        ]
        for value, message in table:
            with self.subTest(message):
                with self.assertRaises(InvalidScene) as caught:
                    check_int(value, "x")
                self.assertEqual(str(caught.exception), message)

    def test_check_float(self):
        """check_float takes finite numbers of Python and numpy, and refuses the rest."""
        for value in (3, 3.0, np.float32(3), np.int16(3)):
            result = check_float(value, "x")
            self.assertEqual((result, type(result)), (3.0, float))
        table = [
            (True, "x: boolean, expected a number"),
            ("3", "x: text, expected a number"),
            (None, "x: null, expected a number"),
            (float("nan"), "x: nan, expected a finite number"),
            (float("-inf"), "x: -inf, expected a finite number"),
            (10**400, "x: inf, expected a finite number"),
        ]
        for value, message in table:
            with self.subTest(message):
                with self.assertRaises(InvalidScene) as caught:
                    check_float(value, "x")
                self.assertEqual(str(caught.exception), message)

    def test_kind_of(self):
        """Messages name types in JSON's words where JSON has one."""
        found = [kind_of(value) for value in (None, True, {}, [], "", 1, 1.5, b"")]
        self.assertEqual(found, ["null", "boolean", "object", "list", "text", "int", "float", "bytes"])


if __name__ == "__main__":
    unittest.main()
