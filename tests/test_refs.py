"""Buffers that are named by their hash, in bodies: what is taken, kept, missing and refused."""

from __future__ import annotations

import json
import unittest
import unittest.mock
from typing import Any, Optional

import numpy as np

from gsp_network import Buffer, InvalidScene, TransformChain, TransformLinkImmediate, decode_scene, encode_scene
from gsp_network.codec import decode_document
from gsp_network.documents import read_document
from gsp_network.errors import MissingBuffers
from gsp_network.rendering import render_payload, render_timed
from gsp_network.scene.names import name_of
from gsp_network.settings import Limits
from gsp_network.store import Store, StoreFacts

from .scenes import RED, body_of, changed, draw, image, pixels

POSITIONS = "visuals", 0, "visual", "positions", "transBuf"
WHERE = "visuals[0].positions"


def many(shift: float = 0.0) -> Any:
    """A visual of more positions than are worth a name."""
    xy = np.column_stack([np.linspace(-0.9, 0.9, 100) + shift, np.zeros(100), np.zeros(100)])
    return pixels(xy, [[*RED, 255]], 100)


def fields_of(body: bytes, *path: Any) -> Any:
    found = json.loads(body)["data"]
    for step in path:
        found = found[step]
    return found


def named(body: bytes, alone: bool = False, name: Optional[Any] = None, path: Any = POSITIONS, **more: Any) -> bytes:
    """The body with one buffer named; `alone`: without its bytes."""
    fields = fields_of(body, *path)
    value = {**fields, "data_ref": name or name_of(bytes(data_of(fields))), **more}
    if alone:
        del value["data_base64"]
    return changed(body, *path, value=value)


def data_of(fields: dict[str, Any]) -> bytes:
    from base64 import b64decode

    return b64decode(fields["data_base64"])


def new_store(scene_bytes: int = 2**20) -> Store:
    return Store(StoreFacts(None, 2**20, 60.0, scene_bytes, 0))


def picture(body: bytes, store: Optional[Store]) -> bytes:
    return render_timed(body, None, None, Limits(), store=store).picture


class TestNames(unittest.TestCase):
    def test_kept_and_named(self) -> None:
        """A buffer that came with its name is drawn by its name alone from then on, with the same picture."""
        body, store = body_of(many()), new_store()
        expected = picture(named(body), store)
        self.assertEqual(expected, render_payload(body))
        self.assertLess(len(named(body, alone=True)), len(named(body)) - 1500)
        self.assertEqual(picture(named(body, alone=True), store), expected)
        self.assertEqual(picture(named(body), store), expected)
        self.assertNotEqual(picture(body_of(many(0.3)), store), expected)

    def test_in_a_texture(self) -> None:
        """A picture's texels may be named too."""
        texels = np.zeros((20, 20, 4), np.uint8) + np.array([*RED, 255], np.uint8)
        body, store = body_of(image(texels)), new_store()
        path = "visuals", 0, "visual", "texture", "data", "transBuf"
        expected = picture(named(body, path=path), store)
        self.assertEqual(picture(named(body, True, path=path), store), expected)
        np.testing.assert_array_equal(draw(image(texels))[50, 50], RED)

    def test_missing(self) -> None:
        """What is named alone and not kept is told by all its names and the place of the first; also without any store."""
        body = body_of(many(), many(0.1), many(0.2))
        kept = named(body, path=("visuals", 1, *POSITIONS[2:]))
        store = new_store()
        picture(kept, store)
        for number in range(3):
            body = named(body, alone=True, path=("visuals", number, *POSITIONS[2:]))
        names = [fields_of(body, "visuals", number, *POSITIONS[2:])["data_ref"] for number in range(3)]
        for where, expected in ((store, [names[0], names[2]]), (None, names)):
            with self.assertRaises(MissingBuffers) as caught:
                picture(body, where)
            self.assertEqual((caught.exception.where, list(caught.exception.missing or ())), (WHERE, expected))
        with self.assertRaises(MissingBuffers):
            decode_scene(body)

    def test_ignored_key(self) -> None:
        """A name in a key that nobody reads asks for nothing."""
        body = changed(body_of(many()), "visuals", 0, "visual", "extra", value={"data_ref": "0" * 64})
        self.assertEqual(picture(body, new_store()), render_payload(body_of(many())))

    def test_refused(self) -> None:
        """A name that is none, or not of the bytes beside it, or of another number of bytes, is refused with its place."""
        body, store = body_of(many()), new_store()
        good = name_of(data_of(fields_of(body, *POSITIONS)))
        picture(named(body), store)
        for changed_body, message in (
            (named(body, name=good.upper()), r"'[0-9A-F]{64}', expected a SHA-256 as 64 digits of lower-case hex"),
            (named(body, name=good[:-1]), "expected a SHA-256 as 64 digits"),
            (named(body, name=good + "\n"), "expected a SHA-256 as 64 digits"),
            (named(body, name="../" + good[3:]), "expected a SHA-256 as 64 digits"),
            (named(body, name=[good]), "list, expected a SHA-256"),
            (changed(body, *POSITIONS, "data_ref", value=None), "null, expected a SHA-256"),
            (named(body, name="0" * 64), f"0{{64}}, but the bytes that it came with are {good}"),
            (named(body, True, count=99), "a buffer of 1200 bytes, expected 1188"),
            (named(body, True, count=2**31 - 1), "a buffer of 1200 bytes, expected 25769803764"),
        ):
            for where in (store, None) if "holds" in message or "expected a SHA" in message else (store,):
                with self.subTest(message=message), self.assertRaises(InvalidScene) as caught:
                    picture(changed_body, where)
                self.assertEqual(caught.exception.where, f"{WHERE}.data_ref")
                self.assertRegex(str(caught.exception), message)

    def test_type_and_limits(self) -> None:
        """Bytes mean what the scene that names them says, are checked as any, and count against its limits."""
        body, store = body_of(many()), new_store(scene_bytes=4500)
        picture(named(body), store)
        with self.assertRaisesRegex(InvalidScene, r"^visuals\[0\].positions: buffer of float32, expected vec3"):
            picture(named(body, True, count=300, buffer_type="float32"), store)
        with self.assertRaisesRegex(InvalidScene, "expected at most 99 .setting max_vertices."):
            render_timed(named(body, True), None, None, Limits(max_vertices=99), store=store)
        twice = body_of(many(), many())
        for number in range(2):
            twice = named(twice, True, path=("visuals", number, *POSITIONS[2:]))
        with self.assertRaisesRegex(
            InvalidScene,
            r"^visuals\[1\].*bytes with .* at most 4500 .setting max_body_bytes.",
        ):
            picture(twice, store)

    def test_small(self) -> None:
        """What is shorter than its worth is drawn and not kept."""
        body, store = body_of(pixels([[0, 0, 0]], [[*RED, 255]], 1)), new_store()
        self.assertEqual(picture(named(body), store), render_payload(body))
        with self.assertRaises(MissingBuffers):
            picture(named(body, True), store)


class TestEncoding(unittest.TestCase):
    def test_namer(self) -> None:
        """Who is asked decides for each buffer: sent, sent with a name, or named alone; chains are never asked about."""
        asked: list[Buffer] = []

        def name(buffer: Buffer) -> tuple[Optional[str], Optional[Buffer]]:
            asked.append(buffer)
            if len(asked) == 1:
                return "a" * 64, None
            return ("b" * 64, buffer) if len(asked) == 2 else (None, buffer)

        visual = many()
        chain = TransformChain()
        chain.add(TransformLinkImmediate(np.zeros((1, 4, 4), np.float32)))
        from gsp_network import Camera, Canvas, Viewport

        scene = Canvas(9, 9), [Viewport(0, 0, 9, 9)], [visual], [chain], [Camera()]
        for text in ("", "<base64>"):  # the second is how the codec marks places
            visual.set_uuid = None
            asked.clear()
            with unittest.mock.patch.object(visual, "_uuid", visual.get_uuid() + text):
                body, whole = encode_scene(*scene, name=name), encode_scene(*scene)
            positions, colors = (
                fields_of(body, "visuals", 0, "visual", key, "transBuf") for key in ("positions", "colors")
            )
            plain = fields_of(whole, "visuals", 0, "visual")
            self.assertEqual(positions, {"count": 100, "buffer_type": "vec3", "data_ref": "a" * 64})
            self.assertEqual(colors, {**plain["colors"]["transBuf"], "data_ref": "b" * 64})
            self.assertEqual(fields_of(body, "cameras"), fields_of(whole, "cameras"))
            self.assertEqual(fields_of(body, "model_matrices"), fields_of(whole, "model_matrices"))
            self.assertEqual(len(asked), 4)

    def test_document(self) -> None:
        """Without a store a whole scene with names is what it is without them."""
        body = body_of(many())
        one, other = (decode_document(read_document(each)) for each in (body, named(body)))
        self.assertEqual(one.visuals[0].get_positions().to_bytes(), other.visuals[0].get_positions().to_bytes())


class TestLasting(unittest.TestCase):
    def test_memory(self) -> None:
        """Only bytes of Python's are known not to change: not arrays, be they read-only, nor parts of bytes."""
        data = bytes(range(48))
        lasting = Buffer.from_bytearray(data, Buffer.identity().get_type().__class__.vec3)
        self.assertEqual(lasting.lasting_bytes(), data)
        self.assertIs(lasting.to_bytes(), lasting.lasting_bytes())
        array = np.zeros((4, 3), np.float32)
        read_only = array[:]
        read_only.flags.writeable = False
        part = np.frombuffer(bytes(96), np.float32).reshape(-1, 3)[:4]
        backwards = np.frombuffer(data, np.uint8)[::-1]
        for each in (array, read_only, part, bytearray(data), backwards):
            each = np.frombuffer(each, np.float32).reshape(-1, 3) if isinstance(each, bytearray) else each
            buffer = Buffer.from_numpy(each)
            self.assertIsNone(buffer.lasting_bytes())
            self.assertEqual(buffer.to_bytes(), buffer.to_numpy().tobytes())


if __name__ == "__main__":
    unittest.main()
