"""Base64 that is cut out of a body before it is parsed, and put into one when it is written: nobody can tell."""

from __future__ import annotations

import json
import random
import sys
import unittest
from typing import Any, Callable
from unittest import mock

import numpy as np

from gsp_network import (
    Buffer,
    BufferType,
    Camera,
    Canvas,
    InvalidScene,
    MalformedBody,
    Texts,
    TransformChain,
    TransformLinkBase,
    TransformLinkImmediate,
    TransformRegistry,
    Viewport,
    codec,
    decode_scene,
    documents,
    encode_scene,
)
from gsp_network.settings import DEFAULT_LIMITS, Limits

from .test_codec import VISUALS, document_around, plain, state

CUT, WHOLE = 1, sys.maxsize  # LEAST_CUT: all that can be cut is, and nothing is
KEY = b'"data_base64":"'


def with_texts(value: Any) -> Any:
    """JSON's own values again."""
    if isinstance(value, dict):
        return {key: with_texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_texts(item) for item in value]
    return str(value, "ascii") if isinstance(value, memoryview) else value


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns as text, so that 1 differs from 1.0 and NaN equals itself, or the error that it raises."""
    try:
        return repr(call())
    except (InvalidScene, MalformedBody) as exc:
        return type(exc), str(exc), exc.type, getattr(exc, "limit", None)


def document_of(body: bytes, limits: Limits = DEFAULT_LIMITS) -> Any:
    found = documents.read_document(body, limits)
    return found.renderer_name, with_texts(found.data), found.not_finite


def scene_of(body: bytes) -> Any:
    scene = decode_scene(body)
    items = [scene.canvas, *scene.viewports, *scene.visuals, *scene.cameras]
    return scene.renderer_name, [state(item) for item in items], [plain(item) for item in scene.model_matrices]


def cut_of(body: bytes, least: int = CUT) -> dict[str, memoryview]:
    """What is cut out of a body."""
    with mock.patch.object(documents, "LEAST_CUT", least):
        return documents._cut(body)[1]


class SameAsJson(unittest.TestCase):
    maxDiff = None

    def assert_same(self, body: bytes, limits: Limits = DEFAULT_LIMITS) -> Any:
        """The document, the scene, or the error is the same with and without cutting; returns it."""
        with mock.patch.object(documents, "LEAST_CUT", WHOLE):
            expected = outcome(lambda: document_of(body, limits)), outcome(lambda: scene_of(body))
        with mock.patch.object(documents, "LEAST_CUT", CUT):
            found = outcome(lambda: document_of(body, limits)), outcome(lambda: scene_of(body))
        self.assertEqual(found, expected, body)
        return found[0]


ODD = [  # (name, what stands in "data", how many strings are cut out of it, where that is not JSON)
    ("plain", b'{"data_base64":"AAAA"}', 1),
    ("white space", b'{"data_base64" \t\r\n: \n "AAAA" }', 1),
    ("two", b'{"data_base64":"AAAA","x":{"data_base64":"BBBB"}}', 2),
    ("no base64", b'{"data_base64":"no base64: <>!"}', 1),
    ("escape of a letter", b'{"data_base64":"\\u0041AAA"}', 0),
    ("escape of a slash", b'{"data_base64":"AA\\/A"}', 0),
    ("escape of a quote", b'{"data_base64":"AA\\"AA"}', 0),
    ("escape at the end", b'{"data_base64":"AAAA\\\\"}', 0),
    ("escape in the key", b'{"data_\\u0062ase64":"AAAA"}', 0),
    ("key that ends so", b'{"x\\"data_base64":"AAAA"}', 0),
    ("key in a text", b'{"x":"\\"data_base64\\":\\"AAAA\\""}', 0),
    ("key as a value", b'{"x":"data_base64"}', 0),
    ("key as a value, then a text", b'["data_base64","AAAA"]', 0),
    ("key as a key of an object", b'{"data_base64":{"data_base64":"AAAA"}}', 1),
    ("key twice", b'{"data_base64":"AAAA","data_base64":"BBBB"}', 2),
    ("key twice by an escape", b'{"data_base64":"AAAA","data_\\u0062ase64":"BBBB"}', 1),
    ("our own text", b'{"data_base64":"<0>"}', 1),
    ("our own text, by an escape", b'{"x":{"data_base64":"AAAA"},"data_base64":"\\u003c0>"}', 1),
    ("our own text at another key", b'{"x":"<0>","data_base64":"AAAA","y":["<0>"]}', 1),
    ("our own text of a later one", b'{"data_base64":"<1>","x":{"data_base64":"AAAA"}}', 2),
    ("comma", b'{"data_base64":"AAAA,AAAA"}', 0),
    ("brackets", b'{"data_base64":"[[{{"}', 0),
    ("control", b'{"data_base64":"AA\nAA"}', 0),
    ("NUL", b'{"data_base64":"AA\0AA"}', 0),
    ("DEL", b'{"data_base64":"AA\x7fAA"}', 1),
    ("not ASCII", '{"data_base64":"AAé"}'.encode(), 0),
    ("not UTF-8", b'{"data_base64":"AA\xff"}', 0),
    ("not UTF-8 elsewhere", b'{"data_base64":"AAAA","x":"\xff"}', 1),
    ("empty", b'{"data_base64":""}', 0),
    ("NaN", b'{"data_base64":"AAAA","x":[NaN,-Infinity,1e999]}', 1),
    ("long number", b'{"data_base64":"AAAA","x":' + b"9" * 21 + b"}", 1),
    ("nested too deep", b'{"data_base64":"AAAA","x":' + b"[" * 70 + b"]" * 70 + b"}", 1),
    ("nested far too deep", b'{"data_base64":"AAAA","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 1),
    ("colon twice", b'{"data_base64"::"AAAA"}', 0),
    ("other white space", b'{"data_base64"\x0b:"AAAA"}', 0),
    ("text behind the text", b'{"data_base64":"AAAA"AAAA"}', 1),
    ("key without quotes around", b'{"x"data_base64":"AAAA"}', 1),
    ("comma at the end", b'{"data_base64":"AAAA",}', 1),
    ("no end", b'{"data_base64":"AAAA', 0),
    ("no end of the object", b'{"data_base64":"AAAA"', 1),
]


class Cutting(SameAsJson):
    def test_odd_bodies(self) -> None:
        """Escapes, keys in odd places, our own short texts, faults: all as if nothing had been cut."""
        for name, data, count in ODD:
            with self.subTest(name):
                body = b'{"data":' + data + b',"end":""}'
                self.assertEqual(len(cut_of(body)), count)
                self.assert_same(body)
                self.assert_same(data)
                self.assert_same(b'{"first":' + KEY + b'",' + body[1:])

    def test_truncated(self) -> None:
        """A body that ends anywhere gives the same message."""
        body = b'{"data":{"data_base64":"AAAA","x":"data_base64"},"y":{"data_base64" : "BBBB"}}'
        self.assertIn("AAAA", self.assert_same(body))
        for end in range(len(body)):
            kind, message, *_ = self.assert_same(body[:end])
            self.assertIs(kind, MalformedBody)
            self.assertIn("not JSON", message)

    def test_items_are_counted_alike(self) -> None:
        """What base64 is not counts as it did: commas and brackets in a text are items of the document."""
        limits = Limits(max_json_items=10)
        for text, many in (("A" * 100, False), (",".join("A" * 20), True), ("[" * 20, True), ("A,A", False)):
            with self.subTest(text[:8]):
                found = self.assert_same(b'{"data":{"data_base64":"%s"}}' % text.encode(), limits)
                self.assertEqual(found[-1] == "max_json_items", many, found)

    def test_short_strings_stay(self) -> None:
        """A string is cut from LEAST_CUT characters on."""
        for length, count in ((documents.LEAST_CUT - 1, 0), (documents.LEAST_CUT, 1)):
            body = b'{"data":{"data_base64":"' + b"A" * length + b'"}}'
            self.assertEqual(len(cut_of(body, documents.LEAST_CUT)), count)
            self.assert_same(body)

    def test_no_copy(self) -> None:
        """What is cut out is the body's own memory, and a body without base64 is parsed as it is."""
        body = b'{"data":{"data_base64":"' + b"A" * 4000 + b'"}}'
        (text,) = cut_of(body, documents.LEAST_CUT).values()
        self.assertIs(text.obj, body)
        self.assertIs(documents._cut(b'{"data":{}}')[0], documents._cut(b'{"data":{}}')[0])

    def test_mutations(self) -> None:
        """Random changes to bodies of every visual make no difference between the two ways."""
        rng = random.Random(1)
        bodies = golden_like()
        cut = right = 0
        for _ in range(1200):
            body = mutated(rng, bodies)
            cut += bool(cut_of(body))
            right += isinstance(self.assert_same(body), str)
        self.assertGreater(cut, 800)
        self.assertTrue(200 < right < 1000, right)


FRAGMENTS = [
    *(b'"', b"\\", b'\\"', b"\\u0041", b"\\/", b",", b":", b"[", b"]", b"{", b"}", b" ", b"\n", b"\0", b"\x0b", b"A", b"="),
    *(b"<0>", b"<1>", b'"<0>"', KEY, KEY + b'AAAA"', KEY + b'AAAA",', b'"data_base64"', b"data_base64", b'"data_base64" : "'),
    *(b"NaN", b"1e999", b"-", b"9" * 25, b"\xff", "é".encode(), b"\xed\xa0\x80", b"\\ud800", b"\xef\xbb\xbf", b"[" * 70),
]  # fmt: skip


def golden_like() -> list[bytes]:
    """A body of each visual, in three spellings."""
    documents = [document_around(kind, visual) for _, kind, _, visual in VISUALS]
    spellings = [{"separators": (",", ":")}, {"indent": 1, "ensure_ascii": False}, {"sort_keys": True}]
    return [json.dumps(document, **how).encode() for document in documents for how in spellings]  # type: ignore[arg-type]


def mutated(rng: random.Random, bodies: list[bytes]) -> bytes:
    """One of the bodies with one to three changes."""
    body = rng.choice(bodies)
    for _ in range(rng.randint(1, 3)):
        at, other = rng.randrange(len(body) + 1), rng.randrange(len(body) + 1)
        if rng.random() < 0.5:  # where it matters most
            keys = [index for index in range(len(body)) if body.startswith(b'"data_base64"', index)]
            at = min(len(body), rng.choice(keys or [0]) + rng.randint(-2, 24))
        change = rng.randrange(7)
        if change == 0:
            body = body[:at] + rng.choice(FRAGMENTS) + body[at:]
        elif change == 1:
            body = body[:at] + bytes([rng.randrange(256)]) + body[at + 1 :]
        elif change == 2:
            body = body[:at] + body[at + rng.randint(1, 9) :]
        elif change == 3:
            body = body[:at] + body[other : other + rng.randint(1, 90)] + body[at:]
        elif change == 4:
            body = body[: max(at, 1)] if rng.random() < 0.2 else body
        else:
            body = restructured(rng, body)
    return body


def restructured(rng: random.Random, body: bytes) -> bytes:
    """The same document with a key, a text or a value exchanged; it stays JSON."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return body
    holders, level = [], [document]
    while level:
        holders += [item for item in level if isinstance(item, (dict, list)) and item]
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in list(getattr(item, "values", lambda item=item: item)())
        ]
    if not holders:
        return body
    holder = rng.choice(holders)
    texts = [
        "<0>",
        "<1>",
        'a"data_base64":"AAAA"',
        "data_base64",
        "AAAA",
        "A" * 60,
        "é",
        "\\",
        "",
        "a,b[{",
        "\x7f",
        "\n",
    ]
    value = rng.choice([*texts, 1, 1.5, None, True, [], {"data_base64": "AAAA"}, ["data_base64", "AAAA"]])
    if isinstance(holder, list):
        holder[rng.randrange(len(holder))] = value
    elif rng.random() < 0.5:
        holder[rng.choice(list(holder))] = value
    else:
        key = rng.choice(list(holder))
        holder[rng.choice(["data_base64", 'x"data_base64', "<0>", "é"])] = rng.choice([holder[key], value])
    return json.dumps(document, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 0])).encode(
        "utf-8", "surrogatepass"
    )


class Loud(TransformLinkBase):
    """A link of a user's own, which takes what it is told for JSON's own values."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told

    def apply(self, buffer: Any) -> Buffer:
        return Buffer.identity()

    def serialize(self) -> dict[str, Any]:
        return {"link_type": "Loud", "link_data": self.told}

    @staticmethod
    def deserialize(data: dict[str, Any]) -> Loud:
        return Loud(json.loads(json.dumps(data["link_data"])))


def scene_around(matrix: Any, *texts: str) -> tuple[Any, ...]:
    """A scene with that model matrix and those strings."""
    n = max(len(texts), 1)
    colors = np.zeros((n, 4), np.uint8)
    visual = Texts(
        np.zeros((n, 3)), list(texts) or ["a"], colors, np.ones(n), np.zeros((n, 2)), np.zeros(n), "DejaVu Sans"
    )
    return Canvas(8, 6), [Viewport(0, 0, 8, 6)], [visual], [matrix], [Camera()]


class Chains(unittest.TestCase):
    def test_links_see_texts(self) -> None:
        """A link that a user registered is told texts, not memory, wherever in its data they stand; ours too."""
        with mock.patch.dict(TransformRegistry._classes):
            TransformRegistry.register_link("Loud", Loud)
            told = {"data_base64": "A" * 5000, "more": [{"data_base64": "B" * 5000}]}
            chain = TransformChain()
            chain.add(Loud(told))
            chain.add(TransformLinkImmediate(Buffer.from_numpy(np.tile(np.eye(4), (1, 1, 1)), BufferType.mat4)))
            body = encode_scene(*scene_around(chain))
            self.assertEqual(len(cut_of(body, documents.LEAST_CUT)), 2)
            for least in (CUT, documents.LEAST_CUT, WHOLE):
                with mock.patch.object(documents, "LEAST_CUT", least):
                    (found,) = decode_scene(body).model_matrices
                    self.assertEqual(found.serialize(), chain.serialize())


class Writing(unittest.TestCase):
    def assert_as_json(self, scene: tuple[Any, ...]) -> None:
        """The body is what `json.dumps` makes of the document, and says what the scene says."""
        body = encode_scene(*scene, "matplotlib")
        document = {"renderer_name": "matplotlib", **codec.build_payload(*scene)}
        self.assertEqual(body, json.dumps(document, separators=(",", ":"), allow_nan=False).encode())
        self.assertEqual(
            document["data"]["cameras"][0]["view_matrix"]["transBuf"]["data_base64"], Buffer.identity().to_base64()
        )

    def test_our_mark_in_a_text(self) -> None:
        """A user's text that looks like what stands for base64 while JSON is written is written as it is."""
        for texts in (
            (codec._MARK,),
            (codec._MARK * 3, "a"),
            ("<base64", ">"),
            ('"' + codec._MARK, "é\x7f😀"),
        ):
            with self.subTest(texts):
                scene = scene_around(Buffer.identity(), *texts)
                self.assert_as_json(scene)
                self.assertEqual(decode_scene(encode_scene(*scene)).visuals[0].get_strings(), list(texts))

    def test_chain(self) -> None:
        """A chain's base64 is written as it is."""
        chain = TransformChain()
        chain.add(TransformLinkImmediate(Buffer.identity()))
        self.assert_as_json(scene_around(chain))

    def test_what_is_not_json(self) -> None:
        """A chain that serializes to what JSON cannot hold is the same TypeError or ValueError as of `json.dumps`."""
        for told, kind in (
            ({"x": {1, 2}}, TypeError),
            ({"x": Buffer.identity()}, TypeError),
            ({"x": float("nan")}, ValueError),
        ):
            with self.subTest(told), self.assertRaises(kind) as caught:
                chain = TransformChain()
                chain.add(Loud(told))
                encode_scene(*scene_around(chain))
            if kind is TypeError:
                self.assertEqual(
                    str(caught.exception), f"Object of type {type(told['x']).__name__} is not JSON serializable"
                )


if __name__ == "__main__":
    unittest.main()
