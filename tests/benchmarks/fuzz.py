"""Whether any body at all makes the server fail: thousands of mutated requests to a real server process.

    python -m tests.benchmarks.fuzz [--count 20000] [--seed 0] [--workers 2] [--renderer datoviz] [--math-text]
                                    [--keep DIR] [--only N]

The payloads are the golden requests, where GSP_SHARED or ../shared has them, and the scenes of tests/scenes.py, changed at one
to four places: structure, numbers, names, texts, the contents and counts of buffers, sizes, the lengths of lists, chains,
bytes. A payload follows from seed and number alone, so that ``--only N`` posts number N again.

Every answer must be a picture of the canvas's size, or a problem of the sender's; 503, 504 and 422 may tell of a limit. What
else comes is saved in a folder, with its answer. No worker may die, no place for a render may stay taken, and a good request in
between must get its own picture. The status is 1 where that is not so.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import copy
import http.client
import json
import math
import pathlib
import random
import re
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from typing import Any, Callable, Iterator, NamedTuple, Optional

import numpy as np

from gsp_network import BufferType, Canvas, CapStyle, ImageInterpolation, JoinStyle, MarkerShape, render_payload
from gsp_network.scene.visuals import VISUALS
from tests.processes import Answer, ServerProcess
from tests.scenes import body_of, image, markers, one_of_each, path, pixels, points, segment, text
from tests.support import GOLDEN

RENDER_SECONDS = 10.0  # the server's render_timeout
PATIENCE = 90.0
SMALL_BODY = 30_000  # bytes; larger golden requests are left out
GOOD_EVERY = 100  # payloads of one connection
MOST_BYTES = 10_000_000  # of a body; the server's own limit on them is not what is tried here
LONGEST_PROBLEM = 4096  # bytes; a message quotes little of what came

Document = dict[str, Any]

# ---------------------------------------------------------------- what payloads are made of


class Base(NamedTuple):
    """A good document that payloads are made from."""

    name: str
    text: str


def bases(renderer: str = "matplotlib") -> list[Base]:
    """The documents, for that renderer, on small canvases and with uuids that are the same in every run."""
    rng = np.random.default_rng(0)

    def places(n: int) -> Any:
        return np.column_stack([rng.uniform(-0.9, 0.9, (n, 2)), np.zeros(n)])

    scenes = {
        "each": one_of_each(),
        "points": [points(*places(12), edge=(0, 0, 255, 128), width=2.0)],
        "markers": [markers("club", *places(5), width=1.5), markers("square", *places(3), width=3.0)],
        "pixels": [pixels(places(12), rng.integers(0, 256, (3, 4)), 4)],
        "pixels listed": [pixels(places(6), rng.integers(0, 256, (2, 4)), [[0, 5, 2], [1, 1]])],
        "segments": [segment((-1, -1, 0), (1, 1, 0), cap="ROUND"), segment((-1, 1, 0), (1, -1, 0), cap="PROJECTING")],
        "paths": [path(places(10), colors=rng.integers(0, 256, (10, 4)), join="ROUND", sizes=[4, 0, 6])],
        "texts": [text("One\ntwo $x^2$", angle=0.5), text("more", anchor=(-1, 1))],
        "image": [image(rng.integers(0, 256, (5, 4, 4)), (-0.5, 0.7, -0.2, 0.9), "LINEAR")],
    }
    made = [Base(name, body_of(*visuals, canvas=Canvas(60, 40)).decode()) for name, visuals in scenes.items()]
    for golden in GOLDEN:
        body = golden.read_text()
        if len(body) <= SMALL_BODY:
            made.append(Base(golden.stem, json.dumps(_shrunk(json.loads(body)))))
    named = f'"renderer_name":"{renderer}"'
    return [
        Base(base.name, re.sub(r'"renderer_name": ?"[a-z]*"', named, _named_anew(base.text), count=1)) for base in made
    ]


def _shrunk(document: Document) -> Document:
    """The document on a canvas of a fourth of the size."""
    data = document["data"]
    for holder in (data["canvas"], *data["viewports"]):
        for name in holder:
            if name in ("x", "y", "width", "height"):
                holder[name] = max(holder[name] // 4, 1)
    return document


def _named_anew(body: str) -> str:
    known: dict[str, str] = {}

    def name(match: re.Match[str]) -> str:
        return '"uuid":"' + known.setdefault(match[1], f"00000000-0000-4000-8000-{len(known):012}") + '"'

    return re.sub(r'"uuid": ?"([^"]*)"', name, body)


RAW = "@raw:"  # a text that begins so becomes what follows it, without quotes
NUMBERS: tuple[Any, ...] = (
    *(0, 1, -1, 2, 3, 7, 255, 256, 1000, 65536, 2**31 - 1, 2**31, -(2**31), 2**32 - 1, 2**32, 2**53 + 1, 2**63, 10**19),
    *(-0.0, 0.5, -0.5, 1e-45, 1e-320, 1e-9, 1e6, 1e9, 1e19, 1e38, -1e38, 3.4e38, 1e39, 1e300, -1.7e308),
    *(math.nan, math.inf, -math.inf, RAW + "1e999", RAW + "-1e999", RAW + "1" * 21, RAW + "9" * 5000, RAW + "1.0e-400"),
)
ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    "",
    "x",
    [],
    {},
    [[]],
    [0],
    {"": None},
    "1",
    [None] * 3,
    RAW + "01",
    RAW + "'a'",
)
FINITE = (0.0, -0.0, 1.0, 0.5, 2.0, 1e-45, 1.2e-38, 1e-20, 1e-6, 100.0, 1e4, 1e6, 1e9, 1e10, 1e19, 1e30, 1e38, 3.4e38)
INFINITE = (math.nan, math.inf, -math.inf)
SIZES = (0, -1, 1, 2, 3, 17, 60, 127, 500, 8192, 8193, 2**31 - 1, 2**31)
DPIS = (0, 0.5, 1, 1.0001, 3, 72, 96, 127.5, 300, 1200, 1200.5, 1e9, 1e308, -96)
FONT_SIZES = (0.0, 1e-45, 1e-3, 0.4, 1.0, 12.5, 100.0, 400.0, 999.0, 1000.0, 1001.0, 1e6, 3e38)
COUNTS = (0, 1, 2, 3, 4, 8, 100, 1000)
LIES = (-1, 0, 1, 2**31 - 1, 2**31, 2**63, 10**19, 1.0, True, None, "1")
NAMES = (
    *(name for kind in (CapStyle, JoinStyle, MarkerShape, ImageInterpolation, BufferType) for name in kind.__members__),
    *VISUALS,
    *(
        "buffer",
        "transform_chain",
        "TransformImmediate",
        "TransformLoad",
        "matplotlib",
        "datoviz",
        "butt",
        "Disc",
        "mat3",
    ),
    *(
        "__class__",
        "__init__",
        "self",
        "os:system",
        "../../etc/passwd",
        "serif",
        "monospace",
        "DejaVu Sans",
        "cmr10",
        "",
    ),
)
NOT_NEGATIVE = ("sizes", "edge_widths", "line_widths", "font_sizes")
ALPHABETS = (
    "abcxyz 019.,-_",
    "\x01\x02\x07\x08\t\n\v\f\r\x1b\x1f\x7f\x80\x85\xad",
    "\0\ud800\udbff\udc00\udfffA",
    "\u0300\u0301\u0489\u200b\u200d\u200e\u202e\u2028\u2029\ufeff\ufffe\uffff",
    "\u0627\u0644\u0633\u05d0\u05d1\u0e01\u0e33\u0939\u093f",
    "\u4e2d\u6587\u3042\uac00\U0001f600\U0001f468\u200d\U0001f469\U0010ffff",
    "$\\{}^_ fracsqrt\\\\%#&~",
    "\n",
    "W",
    "\u2588\u2663\ufb01\u00df\u01c4",
)


class Payload:
    """One mutated request.

    Args:
        seed, number: it follows from these.
        known: the documents to start from.
        folder: what TransformLoad links read from.
    """

    def __init__(self, seed: int, number: int, known: list[Base], folder: str) -> None:
        self.number = number
        self.rng = random.Random(f"{seed} {number}")
        self.folder = folder
        self.base = self.rng.choice(known)
        self.document: Document = json.loads(self.base.text)
        self.how: list[str] = []
        self.infinite = self.rng.random() < 0.1  # else buffers get numbers that their fields take
        weights = [weight for _, weight in MUTATIONS]
        for mutate, _ in self.rng.choices(MUTATIONS, weights, k=self.rng.choice((1, 1, 1, 2, 2, 3, 4))):
            with contextlib.suppress(ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
                mutate(self)  # where one before it has left what it needs
            self.how.append(mutate.__name__)
        self.headers = {"Content-Type": "application/json"}
        if self.rng.random() < 0.03:
            self.headers["GSP-Renderer"] = self.rng.choice(("matplotlib", "datoviz", "Matplotlib", "x" * 5000, ""))
        self.body = self._bytes()[:MOST_BYTES]

    def _bytes(self) -> bytes:
        if self.rng.random() < 0.02:
            written = json.dumps(self.document, ensure_ascii=False).encode("utf-8", "surrogatepass")
        else:
            written = json.dumps(self.document).encode("ascii")
        written = re.sub(rb'"@raw:([^"]*)"', rb"\1", written)
        if self.rng.random() < 0.06:
            self.how.append("bytes")
            for _ in range(self.rng.choice((1, 1, 1, 3))):
                written = self._bytes_changed(written)
        return written

    def _bytes_changed(self, written: bytes) -> bytes:
        place, length = self.rng.randrange(len(written) + 1), self.rng.choice((1, 1, 2, 10, 1000))
        piece = self.rng.choice(
            (
                self.rng.getrandbits(8 * 4).to_bytes(4, "big"),
                b"\0",
                b"\xff",
                b'"',
                b"{",
                b"]",
                b",",
                b"\xef\xbb\xbf",
                b"9" * 30,
            )
        )
        return self.rng.choice(
            (
                written[:place],
                written[:place] + written[place + length :],
                written[:place] + piece + written[place:],
                written[:place] + piece + written[place + len(piece) :],
                written[:place] + written[place : place + length] + written[place:],
                re.sub(rb'"(uuid|count|type)":', rb'"\1":1,"\1":', written, count=1),
                b"[" * 100_000 if self.rng.random() < 0.1 else written + b"}",
                written.decode("latin-1").encode("utf-16"),
            )
        )

    # -- places in the document

    def nodes(self, leaves: bool = False) -> list[tuple[Any, Any]]:
        """(container, key or index) of every value; of numbers and texts only, if `leaves`."""
        return [
            (holder, key)
            for holder, key in _walk(self.document)
            if not (leaves and isinstance(holder[key], (dict, list)))
        ]

    def buffers(self) -> list[tuple[str, Document]]:
        """Every buffer, with the name of the field that holds it."""
        return list(_buffers(self.document, ""))

    def visual(self) -> Document:
        """The fields of a visual."""
        return self.rng.choice(self.document["data"]["visuals"])["visual"]  # type: ignore[no-any-return]

    # -- numbers for buffers

    def number_for(self, name: str) -> float:
        """A number for a buffer, at the edge of what its field takes or, now and then, beyond."""
        rng = self.rng
        if self.infinite and rng.random() < 0.2:
            return rng.choice(INFINITE)
        if name == "font_sizes":
            return rng.choice(FONT_SIZES) if rng.random() < 0.1 else rng.uniform(0, 60)
        if name == "anchors" and not self.infinite:
            return rng.uniform(-1, 1)
        number = rng.choice(FINITE) if rng.random() < 0.6 else 10 ** rng.uniform(-10, 38)
        sign = 1 if name in NOT_NEGATIVE and not self.infinite else rng.choice((1, -1))
        return sign * min(number, 3.4e38)


def _walk(value: Any) -> Iterator[tuple[Any, Any]]:
    keys: Any = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _walk(value[key])


def _buffers(value: Any, name: str) -> Iterator[tuple[str, Document]]:
    if isinstance(value, dict):
        if "data_base64" in value:
            yield name, value
        for key, child in value.items():
            yield from _buffers(child, name if key in ("transBuf", "transform_chain", "links", "link_data") else key)
    elif isinstance(value, list):
        for child in value:
            yield from _buffers(child, name)


def _count_key(buffer: Document) -> str:
    return "count" if "count" in buffer else "buffer_count"


def _array(buffer: Document) -> np.ndarray:
    """A buffer's elements, (count, components)."""
    kind = BufferType[buffer["buffer_type"]]
    return (
        np.frombuffer(base64.b64decode(buffer["data_base64"]), kind.dtype)
        .reshape(buffer[_count_key(buffer)], -1)
        .copy()
    )


def _store(buffer: Document, array: np.ndarray) -> None:
    buffer["data_base64"] = base64.b64encode(array.tobytes()).decode()
    buffer[_count_key(buffer)] = len(array)


# ---------------------------------------------------------------- mutations: each changes one thing in the payload's document


def structure(payload: Payload) -> None:
    """Delete, double, swap, move or retype a value."""
    rng = payload.rng
    holder, key = rng.choice(payload.nodes())
    other, place = rng.choice(payload.nodes())
    way = rng.randrange(5)
    if way == 0:
        del holder[key]
    elif way == 1 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    elif way == 2:
        one, two = copy.deepcopy(holder[key]), copy.deepcopy(other[place])
        holder[key], other[place] = two, one
    elif way == 3:
        holder[key] = copy.deepcopy(other[place])
    else:
        holder[key] = copy.deepcopy(rng.choice(ODD))


def numbers(payload: Payload) -> None:
    """An extreme number where one stood."""
    found = [(holder, key) for holder, key in payload.nodes(True) if isinstance(holder[key], (int, float))]
    holder, key = payload.rng.choice(found)
    holder[key] = payload.rng.choice(NUMBERS)


def names(payload: Payload) -> None:
    """A name of some table where another stood."""
    found = [
        (holder, key) for holder, key in payload.nodes(True) if isinstance(holder[key], str) and key != "data_base64"
    ]
    holder, key = payload.rng.choice(found)
    holder[key] = payload.rng.choice(NAMES)


def texts(payload: Payload) -> None:
    """Text of odd characters, of any length, as a string to draw, or where another text stood."""
    rng = payload.rng
    length = rng.choice((0, 1, 2, 5, 20, 90, 120)) if rng.random() < 0.98 else rng.choice((1000, 4096, 4097, 70_000))
    made = "".join(rng.choices(rng.choice(ALPHABETS), k=length))
    strings = [visual["visual"]["texts"] for visual in payload.document["data"]["visuals"] if visual["type"] == "texts"]
    if strings and rng.random() < 0.7:
        chosen = rng.choice(strings)
        chosen[rng.randrange(len(chosen))] = made
        return
    holder, key = rng.choice([(h, k) for h, k in payload.nodes(True) if isinstance(h[k], str) and k != "data_base64"])
    holder[key] = made


def contents(payload: Payload) -> None:
    """Other numbers in a buffer: some, one, all, random bytes, or zeros."""
    rng = payload.rng
    name, buffer = rng.choice(payload.buffers())
    array = _array(buffer)
    if not array.size:
        return
    way = rng.randrange(6)
    if array.dtype.kind != "f":
        if way < 3:
            array = np.frombuffer(rng.getrandbits(8 * array.nbytes).to_bytes(array.nbytes, "big"), array.dtype)
        elif way < 5:
            array[rng.randrange(len(array))] = rng.choice((0, 1, 127, 128, 255))
        else:
            array[:] = rng.choice((0, 255))
    elif way == 0:
        array[:] = 0
    elif way == 1:
        array = np.frombuffer(rng.getrandbits(8 * array.nbytes).to_bytes(array.nbytes, "big"), array.dtype)
    elif way == 2:
        array[:] = payload.number_for(name)
    elif way == 3:
        array[:] = np.array([payload.number_for(name) for _ in range(array.size)]).reshape(array.shape)
    else:
        for _ in range(rng.choice((1, 1, 3))):
            array[rng.randrange(array.shape[0]), rng.randrange(array.shape[1])] = payload.number_for(name)
    _store(buffer, array.reshape(buffer[_count_key(buffer)], -1))


def counts(payload: Payload) -> None:
    """A buffer of another length or type, or one that does not hold what it says."""
    rng = payload.rng
    _, buffer = rng.choice(payload.buffers())
    key, written = _count_key(buffer), buffer["data_base64"]
    way = rng.randrange(5)
    if way == 0:
        buffer[key] = rng.choice((*LIES, buffer[key] + 1, buffer[key] - 1))
    elif way == 1:
        array = _array(buffer)
        _store(buffer, np.resize(array, (rng.choice((*COUNTS, len(array) + 1)), array.shape[1])))
    elif way == 2:
        buffer["buffer_type"] = rng.choice(list(BufferType.__members__))
        size = BufferType[buffer["buffer_type"]].item_size
        buffer[key] = len(base64.b64decode(written)) // size
    elif way == 3:
        place = rng.randrange(len(written) + 1)
        buffer["data_base64"] = (
            written[:place] + rng.choice(("", "?", " ", "\n", "=", "-_", "AAAA", "\u00e9")) + written[place:]
        )
    else:
        buffer["data_base64"] = rng.choice(
            (written[:-1], written[:-4], written.rstrip("="), written[:-2] + "/=", "", None)
        )


def resized(payload: Payload) -> None:
    """A visual of more or fewer items, all its buffers and strings alike."""
    rng, visual = payload.rng, payload.visual()
    lengths = Counter(buffer[_count_key(buffer)] for _, buffer in _buffers(visual, ""))
    most = lengths.most_common(1)[0][0]
    wanted = rng.choice((*COUNTS, 5000) if rng.random() < 0.1 else COUNTS)
    for _, buffer in _buffers(visual, ""):
        array = _array(buffer)
        if len(array) == most:
            _store(buffer, np.resize(array, (wanted, array.shape[1])))
        elif len(array) == 2 * most:
            _store(buffer, np.resize(array, (2 * wanted, array.shape[1])))
    if "texts" in visual:
        visual["texts"] = [rng.choice(visual["texts"]) for _ in range(wanted)]
    if "path_sizes" in visual:
        split = sorted(rng.choices(range(wanted + 1), k=rng.randint(0, 4)))
        _store(visual["path_sizes"]["transBuf"], np.diff([0, *split, wanted]).astype("<u4").reshape(-1, 1))
    if "groups" in visual:
        visual["groups"] = [wanted]
        _store(visual["colors"]["transBuf"], np.array([[255, 0, 0, 128]], np.uint8))


def extremes(payload: Payload) -> None:
    """Every number of a visual's buffers from those at the edge of what they hold."""
    for name, buffer in _buffers(payload.visual(), ""):
        array = _array(buffer)
        if array.dtype.kind == "f" and payload.rng.random() < 0.6:
            array[:] = np.array([payload.number_for(name) for _ in range(array.size)]).reshape(array.shape)
            _store(buffer, array)


def matrices(payload: Payload) -> None:
    """A model, view or projection matrix that is singular, huge, tiny or projective."""
    rng = payload.rng
    found = [buffer for name, buffer in payload.buffers() if name.endswith("_matrix")]
    scale = rng.choice((0.0, 1e-38, 1e-6, 0.5, 3.0, 1e6, 1e19, 1e38, -1.0))
    made = np.eye(4)
    way = rng.randrange(5)
    if way == 0:
        made *= scale
    elif way == 1:
        made[rng.randrange(4)] = scale
    elif way == 2:
        made[3] = [rng.uniform(-1, 1) * scale for _ in range(4)]
    elif way == 3:
        made[:3, 3] = [rng.uniform(-1, 1) * scale for _ in range(3)]
    else:
        made = np.array([[payload.number_for("matrix") for _ in range(4)] for _ in range(4)])
    _store(rng.choice(found), made.astype("<f4").reshape(1, 16))


def sizes(payload: Payload) -> None:
    """Canvas, resolution, viewports, textures and extents at their limits and beyond."""
    rng, data = payload.rng, payload.document["data"]
    way = rng.randrange(6)
    if way == 0:
        data["canvas"][rng.choice(("width", "height"))] = rng.choice(SIZES)
    elif way == 1:
        large = ((4096, 4096), (8192, 2048), (4097, 4096), (3000, 3000)) if rng.random() < 0.05 else ((1, 1), (8192, 1))
        data["canvas"]["width"], data["canvas"]["height"] = rng.choice(large)
    elif way == 2:
        data["canvas"]["dpi"] = rng.choice(DPIS)
    elif way == 3:
        viewport = rng.choice(data["viewports"])
        for name in rng.sample(("x", "y", "width", "height"), rng.randint(1, 4)):
            viewport[name] = rng.choice((*SIZES, -60, -(2**31) + 1))
    else:
        images = [visual["visual"] for visual in data["visuals"] if visual["type"] == "image"]
        picture = rng.choice(images)
        if way == 4:
            edges = (*FINITE, 1e39, 1e300, 1.7e308)
            picture["image_extent"] = [rng.choice(edges) * rng.choice((1, -1)) for _ in range(4)]
        else:
            width, height = rng.choice((1, 2, 7, 300)), rng.choice((1, 2, 5, 300))
            picture["texture"].update(width=width, height=height)
            buffer = picture["texture"]["data"]["transBuf"]
            _store(buffer, np.resize(_array(buffer), (width * height, 4)))


def lists(payload: Payload) -> None:
    """Lists of uneven length, or all of them longer or shorter."""
    rng, data = payload.rng, payload.document["data"]
    every = [data[name] for name in ("viewports", "visuals", "model_matrices", "cameras")]
    if rng.random() < 0.3:
        every = [rng.choice(every)]
    times = rng.choice((0, 2, 3, 10)) if rng.random() < 0.95 else rng.choice((65, 1025))
    if times * len(json.dumps(data)) > MOST_BYTES:
        return
    for items in every:
        items[:] = [copy.deepcopy(item) for item in items * times]
    if rng.random() < 0.3:
        for index, viewport in enumerate(data["viewports"]):
            viewport["uuid"] = f"viewport {index}"


def groups(payload: Payload) -> None:
    """Groups of pixels of every kind."""
    rng = payload.rng
    visual = rng.choice(
        [visual["visual"] for visual in payload.document["data"]["visuals"] if visual["type"] == "pixels"]
    )
    count = visual["positions"]["transBuf"]["count"]
    items: list[Any] = [
        *(1, 2, 0, -1, count, count + 1, 2**31 - 1, 2**63, 1.0, True, None, "1", [], [[]]),
        [count],
        [0] * 3 + [count],
        [count, -1, 1],
        [2**31 - 1] * 3,
        [[index] for index in range(count)],
        [[0] * 1000, [count - 1] * 1000],
        [[count]],
        [[-1]],
        [[], [], [0]],
        [0, [0]],
        [[0], 0],
    ]
    visual["groups"] = rng.choice(items)
    if rng.random() < 0.7:
        wanted = len(visual["groups"]) if isinstance(visual["groups"], list) else count // max(int(visual["groups"]), 1)
        colors = visual["colors"]["transBuf"]
        _store(colors, np.resize(_array(colors), (wanted, 4)))


FILES = (
    "good.npy",
    "points.raw",
    "good.png",
    "cut.npy",
    "claims.npy",
    "object.npy",
    "text.png",
    "nan.npy",
    "none",
    "out",
    "",
)


def make_files(folder: pathlib.Path) -> None:
    """What TransformLoad links find."""
    good = np.zeros((12, 3), "<f4")
    np.save(folder / "good.npy", good)
    np.save(folder / "nan.npy", np.full((12, 3), np.nan))
    np.save(folder / "object.npy", np.array([{}, 1], object), allow_pickle=True)
    whole = (folder / "good.npy").read_bytes()
    (folder / "cut.npy").write_bytes(whole[:100])
    (folder / "claims.npy").write_bytes(whole.replace(b"(12, 3)", b"(9**9,)"))
    (folder / "points.raw").write_bytes(good.tobytes())
    (folder / "text.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 100)
    (folder / "good.png").write_bytes(render_payload(body_of(canvas=Canvas(3, 4))))
    (folder / "out").symlink_to("/etc/hostname")


def chains(payload: Payload) -> None:
    """A chain in place of a buffer: of its elements, of a file, of links that do not fit or do not exist."""
    rng = payload.rng
    found = [(h, k) for h, k in payload.nodes() if isinstance(h[k], dict) and h[k].get("type") == "buffer"]
    holder, key = rng.choice(found)
    buffer = holder[key]["transBuf"]
    count, kind = buffer["count"], buffer["buffer_type"]
    elements = {"buffer_count": count, "buffer_type": kind, "data_base64": buffer["data_base64"]}
    immediate = {"link_type": "TransformImmediate", "link_data": elements}
    load = {"link_type": "TransformLoad", "link_data": {"uri": _uri(payload), "buffer_type": kind}}
    if rng.random() < 0.2:
        load["link_data"]["buffer_type"] = rng.choice((*BufferType.__members__, "mat3", None))
    links: list[Any] = [rng.choice((immediate, load)) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    if rng.random() < 0.1:
        links = rng.choice(([], [{"link_type": "x"}], [None], links * 100))
    if rng.random() < 0.2:
        count = rng.choice(LIES)
    told = {"buffer_count": rng.choice((count, -1)), "buffer_type": rng.choice((kind, None)), "links": links}
    holder[key] = {"type": "transform_chain", "transBuf": {"transform_chain": copy.deepcopy(told)}}


def _uri(payload: Payload) -> str:
    """Where a link reads from: mostly a file that may be read."""
    rng = payload.rng
    place = f"{payload.folder}/{rng.choice(FILES[:3] if rng.random() < 0.5 else FILES)}"
    known = (f"file://{place}", place, f"file://localhost{place}")
    others = (
        *(
            f"file://{place}%00",
            f"{payload.folder}/../x",
            f"file:///{'../' * 9}etc/passwd",
            "file:///proc/self/environ",
        ),
        *("http://127.0.0.1/x", "https://127.0.0.1:1/x", "file:", "//host/x", "x" * 5000, "file:///\ud800", "\0"),
    )
    return rng.choice(known if rng.random() < 0.8 else others)


MUTATIONS: tuple[tuple[Callable[[Payload], None], int], ...] = (
    (structure, 3),
    (numbers, 4),
    (names, 3),
    (texts, 5),
    (contents, 6),
    (counts, 3),
    (resized, 4),
    (extremes, 6),
    (matrices, 5),
    (sizes, 6),
    (lists, 2),
    (groups, 2),
    (chains, 4),
)
"""What is done to payloads, and how often; `Payload` changes bytes besides."""


# ---------------------------------------------------------------- the fuzz


def what_is_wrong(answer: Answer, body: bytes) -> str:
    """What of an answer should not be; empty where all is right."""
    if answer.status == 200:
        if answer.body[:8] != b"\x89PNG\r\n\x1a\n" or answer.body[-8:-4] != b"IEND":
            return "no whole picture"
        canvas = json.loads(body)["data"]["canvas"]
        found, wanted = struct.unpack(">II", answer.body[16:24]), (canvas["width"], canvas["height"])
        return "" if found == wanted else f"a picture of {found}, expected {wanted}"
    try:
        told = json.loads(answer.body)
        facts = told["type"], told["detail"], told["request_id"]
    except (ValueError, KeyError, TypeError):
        return "no problem document"
    if not all(isinstance(fact, str) and fact for fact in facts) or told.get("status") != answer.status:
        return "a problem document that says too little"
    if len(answer.body) > LONGEST_PROBLEM:
        return f"a problem document of {len(answer.body)} bytes"
    if answer.status in (503, 504):
        return "" if told.get("limit") else f"{answer.status} without the name of a limit"
    if answer.status == 422 and not told.get("where") and facts[0] != "renderer_unavailable":
        return "422 without a place"
    return "" if answer.status in (400, 422) else f"status {answer.status}"


class Fuzz:
    """One run against one server; counts what happens.

    Args:
        keep: where to save what is found.
        renderer: who draws.
    """

    def __init__(
        self, server: ServerProcess, seed: int, folder: str, keep: pathlib.Path, renderer: str = "matplotlib"
    ) -> None:
        self.server, self.seed, self.folder, self.keep = server, seed, folder, keep
        self.known = bases(renderer)
        self.good = body_of(*one_of_each(), canvas=Canvas(61, 41), renderer=renderer)
        self.picture = server.post(self.good).body  # with Matplotlib, also what is drawn in this process
        if renderer == "matplotlib" and self.picture != render_payload(self.good):
            raise SystemExit("the server's first picture is not right")
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.statuses: Counter[str] = Counter()
        self.types: Counter[str] = Counter()
        self.limits: Counter[str] = Counter()
        self.ways: dict[str, Counter[str]] = {mutate.__name__: Counter() for mutate, _ in MUTATIONS}
        self.ways["bytes"] = Counter()
        self.slowest: list[tuple[float, str]] = []
        self.timeouts: list[int] = []
        self.findings: list[str] = []

    def payload(self, number: int) -> Payload:
        """The payload of that number."""
        return Payload(self.seed, number, self.known, self.folder)

    def run(self, numbers: range, connections: int) -> float:
        """Post all payloads of these numbers; the seconds that they took."""
        began = time.monotonic()
        todo = iter(numbers)
        threads = [threading.Thread(target=self._client, args=(todo,), daemon=True) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.monotonic() - began

    def _client(self, todo: Any) -> None:
        http_connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE)
        with contextlib.closing(http_connection):
            since = -1
            while not self.stop.is_set():
                with self.lock:
                    number = next(todo, None)
                if number is None:
                    break
                try:
                    self.post(http_connection, self.payload(number))
                    if number - since >= GOOD_EVERY:
                        self._check_good(http_connection, f"after number {number}")
                        since = number
                except Exception as exc:  # this program's own fault
                    self.find(f"number {number}: {exc!r}")
            self._check_good(http_connection, "at the end")

    def post(self, connection: http.client.HTTPConnection, payload: Payload) -> Optional[Answer]:
        """Post one payload and count its answer; None where there is none."""
        began = time.monotonic()
        try:
            answer = self._ask(connection, payload.body, payload.headers)
        except (OSError, http.client.HTTPException) as exc:
            self.find(f"number {payload.number}: no answer: {exc!r}", payload)
            return None
        seconds = time.monotonic() - began
        kind = "image/png" if answer.status == 200 else "?"
        with contextlib.suppress(ValueError):
            kind = kind if answer.status == 200 else json.loads(answer.body)["type"]
        wrong = what_is_wrong(answer, payload.body)
        with self.lock:
            self.statuses[str(answer.status)] += 1
            self.types[kind] += 1
            for way in payload.how:
                self.ways[way][str(answer.status)] += 1
            told = f"number {payload.number} ({payload.base.name}: {', '.join(payload.how)}) {answer.status} {kind}"
            self.slowest = sorted([*self.slowest, (seconds, told)], reverse=True)[:10]
            if answer.status != 200 and not wrong:
                self.limits.update(filter(None, [json.loads(answer.body).get("limit")]))
            if answer.status == 504:
                self.timeouts.append(payload.number)
        if answer.status >= 500:
            self._save(payload, answer)
        if wrong:
            self.find(f"{told}: {wrong}", payload, answer)
        return answer

    def _ask(self, connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str]) -> Answer:
        try:
            connection.request("POST", "/render", body, headers)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        except BaseException:
            connection.close()  # it is made anew
            raise

    def _check_good(self, connection: http.client.HTTPConnection, when: str) -> None:
        answer = self._ask(connection, self.good, {"Content-Type": "application/json"})
        if answer.status != 200 or answer.body != self.picture:
            self.find(f"a good request is not right {when}: {answer.status} {answer.body[:400]!r}")

    def find(self, what: str, payload: Optional[Payload] = None, answer: Optional[Answer] = None) -> None:
        """Note what should not have happened."""
        with self.lock:
            self.findings.append(what)
        if payload is not None:
            self._save(payload, answer)

    def _save(self, payload: Payload, answer: Optional[Answer]) -> None:
        (self.keep / f"{payload.number}.json").write_bytes(payload.body)
        if answer is not None:
            (self.keep / f"{payload.number}.answer").write_bytes(b"%d\n" % answer.status + answer.body)

    def check_server(self) -> dict[str, int]:
        """Note dead workers, places that stay taken and faults in the log; how many workers were replaced, by reason."""
        restarts: dict[str, int] = self.server.health()["workers"]["restarts"]
        for reason, number in restarts.items():
            if reason != "recycled" and not (reason == "timeout" and number <= len(self.timeouts)):
                self.find(f"{number} workers were replaced: {reason}")
        told = self.server.get("/metrics").body.decode()
        if not re.search(r"^gsp_network_renders_under_way 0(\.0)?$", told, re.M):
            self.find("a place for a render is still taken")
        log = self.server.read_log()
        if "Traceback" in log:
            self.find(f"the server's log:\n{log[-4000:]}")
        control = re.search(r".{0,80}[^\n\x20-\x7e\xa1-\U0010ffff].{0,80}", log)
        if control:
            self.find(f"the server's log holds what a client sent, as it is: {control[0]!r}")
        return restarts


def table(fuzz: Fuzz, seconds: float, restarts: dict[str, int], log: str) -> None:
    """Print the figures."""

    def listed(counter: Counter[str]) -> str:
        return ", ".join(f"{name} {number}" for name, number in counter.most_common()) or "none"

    posted = sum(fuzz.statuses.values())
    print(f"{'payloads':12}{posted} from {len(fuzz.known)} documents, {posted / max(seconds, 1e-9):.0f} a second")
    print(f"{'time':12}{seconds:.1f} s")
    print(f"{'statuses':12}{listed(fuzz.statuses)}")
    print(f"{'types':12}{listed(fuzz.types)}")
    print(f"{'limits':12}{listed(fuzz.limits)}")
    print(f"{'workers':12}replaced: {restarts}; timeouts: {fuzz.timeouts or 'none'}")
    print(f"{'mutations':12}" + f"\n{'':12}".join(f"{name:12}{listed(found)}" for name, found in fuzz.ways.items()))
    print(f"{'slowest':12}" + f"\n{'':12}".join(f"{took:6.2f} s  {told}" for took, told in fuzz.slowest))
    lines = Counter(re.sub(r"\d+", "#", line)[:160] for line in log.splitlines() if line.strip())
    if lines:
        print(f"{'log':12}" + f"\n{'':12}".join(f"{number} x {line}" for line, number in lines.most_common(12)))


def main(argv: Optional[list[str]] = None) -> int:
    """Run, print the table and the findings; 1 where there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000, help="how many payloads")
    parser.add_argument("--seed", type=int, default=0, help="makes the payloads")
    parser.add_argument("--workers", type=int, default=2, help="worker processes of the server")
    parser.add_argument("--renderer", default="matplotlib", help="who draws (default matplotlib)")
    parser.add_argument("--seconds", type=float, default=1200.0, help="no payload is posted after so long")
    parser.add_argument("--math-text", action="store_true", help="have the server draw formulas")
    parser.add_argument("--keep", help="folder for what is found (default: a new temporary one)")
    parser.add_argument("--only", type=int, help="post this number alone, save it, and print its answer")
    arguments = parser.parse_args(argv)
    keep = pathlib.Path(arguments.keep or tempfile.mkdtemp(prefix="gsp_network_fuzz_"))
    keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as holder:
        folder = pathlib.Path(holder).resolve()
        make_files(folder)
        options = ["--workers", str(arguments.workers), "--log-level", "warning", "--allow-load", str(folder)]
        options += ["--render-timeout", str(RENDER_SECONDS), "--worker-memory-bytes", str(2**31)]
        options += ["--math-text"] if arguments.math_text else []
        if arguments.renderer == "datoviz":
            options += ["--datoviz-workers", str(arguments.workers)]
        with contextlib.closing(ServerProcess(*options)) as server:
            fuzz = Fuzz(server, arguments.seed, str(folder), keep, arguments.renderer)
            timer = threading.Timer(arguments.seconds, fuzz.stop.set)
            timer.daemon = True
            timer.start()
            if arguments.only is not None:
                payload = fuzz.payload(arguments.only)
                connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
                with contextlib.closing(connection):
                    answer = fuzz.post(connection, payload)
                fuzz._save(payload, answer)
                if answer is not None:
                    print(answer.status, answer.body.decode("latin-1") if answer.status != 200 else "a picture")
            seconds = 0.0
            if arguments.only is None:
                seconds = fuzz.run(range(arguments.count), 2 * arguments.workers)
                if sum(fuzz.statuses.values()) < arguments.count:
                    fuzz.find(f"{sum(fuzz.statuses.values())} of {arguments.count} payloads answered within the time")
            timer.cancel()
            restarts = fuzz.check_server()
            table(fuzz, seconds, restarts, server.read_log())
    for finding in fuzz.findings[:50]:
        print(f"FOUND: {finding}")
    if any(keep.iterdir()):
        print(f"saved in {keep}")
    elif not arguments.keep:
        keep.rmdir()
    print(f"{len(fuzz.findings)} findings")
    return 1 if fuzz.findings else 0


if __name__ == "__main__":
    sys.exit(main())
