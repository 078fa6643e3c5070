"""Scenes as JSON with base64, and back. No files, no sockets.

The document: ``{"renderer_name": ..., "data": {"canvas", "viewports", "visuals", "model_matrices", "cameras"}}``, four lists
of one length, entry i of each belonging together. The field tables of `scene.objects` and `scene.visuals` say what stands in
each object; here stands only how each kind of field is written.

Encoding goes by class name and getters, so that objects of an installed GSP_API encode as they are. Decoding refuses all that
is wrong, naming its place as ``visuals[0].sizes``, and ignores unknown keys, so that later versions can add some.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from mmap import mmap
from typing import Any, Callable, Optional, Sequence, TypeVar, Union, cast

import numpy as np

from .errors import InvalidScene, MalformedBody, MissingBuffers, kind_of
from .scene.buffers import Buffer, BufferType, base64_of, check_bytes
from .scene.objects import (
    Camera,
    Canvas,
    Field,
    ModelMatrix,
    SceneObject,
    Texture,
    Viewport,
    check_field,
    check_string,
    is_chain,
)
from .scene.refs import BASE64, BufferData, BufferStore, Namer, all_missing, decode_buffer
from .scene.transforms import TransBuf, TransformChain, member
from .scene.visuals import VISUALS, VisualBase
from .settings import DEFAULT_LIMITS, Limits, check_renderer_name

_Known = TypeVar("_Known", bound=SceneObject)
_LISTS = ("viewports", "visuals", "model_matrices", "cameras")
_MARK = "<base64>"  # in place of a buffer's text while JSON is written
LEAST_CUT = 2048  # characters; cutting a shorter string costs more than it saves
# In JSON this is the beginning of that key's value: inside a string the quotes would have backslashes before them.
_KEY = b'"data_base64"'
_VALUE = re.compile(rb'(?<!\\)"data_base64"[ \t\n\r]*:[ \t\n\r]*"')


@dataclass(frozen=True)
class Scene:
    """What one request asks for: visual i in viewport i, with model matrix i, through camera i, in this order.

    Attributes:
        renderer_name: one of RENDERER_NAMES, or None where the request names none.
    """

    canvas: Canvas
    viewports: tuple[Viewport, ...]
    visuals: tuple[VisualBase, ...]
    model_matrices: tuple[TransBuf, ...]
    cameras: tuple[Camera, ...]
    renderer_name: Optional[str] = None


# ---------------------------------------------------------------- encode


def encode_scene(
    canvas: Any,
    viewports: Sequence[Any],
    visuals: Sequence[Any],
    model_matrices: Sequence[Any],
    cameras: Sequence[Any],
    renderer_name: Optional[str] = None,
    name: Optional[Namer] = None,
) -> bytes:
    """A scene as the body of a request.

    Args:
        canvas, viewports, visuals, cameras: scene objects of ours, or of an installed GSP_API.
        model_matrices: one mat4 each: Buffer, TransformChain or numpy array (4, 4).
        renderer_name: who shall draw, as the server is told it; None leaves that to the server.
        name: decides for each buffer, those in chains aside, whether it is named by its hash; None: none is.
    Returns:
        UTF-8 JSON.
    Raises:
        InvalidScene: lists of different lengths, or an object that is none of a scene's.
    """
    _check_lengths({"viewports": viewports, "visuals": visuals, "model_matrices": model_matrices, "cameras": cameras})
    data = {
        "canvas": _encode_object(canvas, Canvas, "canvas"),
        "viewports": [_encode_object(item, Viewport, f"viewports[{i}]") for i, item in enumerate(viewports)],
        "visuals": [_encode_visual(item, f"visuals[{i}]") for i, item in enumerate(visuals)],
        "model_matrices": [_encode_model_matrix(item, f"model_matrices[{i}]") for i, item in enumerate(model_matrices)],
        "cameras": [_encode_object(item, Camera, f"cameras[{i}]") for i, item in enumerate(cameras)],
    }
    document = {"data": data} if renderer_name is None else {"renderer_name": renderer_name, "data": data}
    if renderer_name is not None:
        check_renderer_name(renderer_name)
    strings: list[bytes] = []  # in the order of the document

    def write(value: Any) -> dict[str, Any]:
        data = _data_of(value)
        sent = data.decide(name)
        if sent is None:
            return data.fields()
        strings.append(base64_of(sent))
        return data.fields(_MARK)

    around = _dump(document, write).split(_MARK.encode("ascii"))
    if len(around) != len(strings) + 1:  # the mark stands in somebody's text too
        return _dump(document, lambda value: value.fields(None if value.sent is None else value.sent.to_base64()))
    pieces = [piece for pair in zip(around, strings) for piece in pair]
    return b"".join([*pieces, around[-1]])


def _data_of(value: Any) -> BufferData:
    """For `json.dumps`, which asks about what is not JSON's own."""
    if not isinstance(value, BufferData):
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
    return value


def _dump(document: dict[str, Any], default: Callable[[Any], Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), allow_nan=False, default=default).encode("ascii")


def build_payload(
    canvas: Any, viewports: Sequence[Any], visuals: Sequence[Any], model_matrices: Sequence[Any], cameras: Sequence[Any]
) -> dict[str, Any]:
    """The document of `encode_scene` as dictionaries and lists: ``{"data": {...}}``."""
    payload: dict[str, Any] = json.loads(encode_scene(canvas, viewports, visuals, model_matrices, cameras))
    return payload


def _check_lengths(lists: dict[str, Sequence[Any]]) -> None:
    for name, items in lists.items():
        if not hasattr(items, "__len__") or not hasattr(items, "__iter__") or isinstance(items, (str, bytes)):
            raise InvalidScene(name, f"{kind_of(items)}, expected a list")
    wanted = len(lists["visuals"])
    for name, items in lists.items():
        if len(items) != wanted:
            raise InvalidScene(name, f"{len(items)} items, expected {wanted}, as many as visuals")


def _class_of(value: Any, classes: dict[str, type[_Known]], where: str) -> type[_Known]:
    """The class of ours that `value` is one of, by the first class name in its MRO that we know."""
    for base in type(value).__mro__:
        if base.__name__ in classes:
            return classes[base.__name__]
    raise InvalidScene(where, f"{kind_of(value)}, expected {' or '.join(classes)}")


def _encode_visual(value: Any, where: str) -> dict[str, Any]:
    known = _class_of(value, {visual.__name__: visual for visual in VISUALS.values()}, where)
    return {"type": known.kind, "visual": _encode_fields(value, known, where)}


def _encode_object(value: Any, known: type[SceneObject], where: str) -> dict[str, Any]:
    return _encode_fields(value, _class_of(value, {known.__name__: known}, where), where)


def _encode_fields(value: Any, known: type[SceneObject], where: str) -> dict[str, Any]:
    fields = {
        field.key: _encode_field(field, getattr(value, f"get_{field.name}")(), f"{where}.{field.key}")
        for field in known.FIELDS
    }
    return {"uuid": str(value.get_uuid()), **fields}


def _encode_model_matrix(value: Any, where: str) -> dict[str, Any]:
    (field,) = ModelMatrix.FIELDS
    matrix = ModelMatrix.check({field.name: value}, where, wire=True)[field.name]
    return {field.key: _encode_transbuf(field, matrix, f"{where}.{field.key}")}


def _encode_field(field: Field, value: Any, where: str) -> Any:
    if isinstance(field.type, BufferType):
        return _encode_transbuf(field, value, where)
    if field.type is Texture:
        return _encode_object(value, Texture, where)
    if isinstance(field.type, type) and issubclass(field.type, Enum):  # GSP_API's enums have the same names
        return check_field(field, getattr(value, "name", value), where).name
    return check_field(field, value, where)


def _encode_transbuf(field: Field, value: Any, where: str) -> dict[str, Any]:
    if is_chain(value):
        return {"type": "transform_chain", "transBuf": value.serialize()}
    buffer = value if isinstance(value, Buffer) else check_field(field, value, where)
    return {"type": "buffer", "transBuf": BufferData(buffer)}


# ---------------------------------------------------------------- decode


@dataclass(frozen=True)
class Document:
    """The body of a request as JSON's own values, of which nothing but the renderer's name was looked at.

    A long text of a key "data_base64" is a memoryview of the body instead, of ASCII without quotes, backslashes and controls.

    Attributes:
        renderer_name: one of RENDERER_NAMES, or None where the request names none.
        data: what `decode_document` makes a scene of.
        not_finite: the numbers in it that are not, as they stand there.
    """

    renderer_name: Optional[str]
    data: dict[str, Any]
    not_finite: list[str]


def decode_scene(body: bytes, limits: Limits = DEFAULT_LIMITS) -> Scene:
    """The scene in the body of a request, every field checked; chains are kept as they are, not run.

    Args:
        body: UTF-8 JSON.
        limits: of these, max_json_items, max_depth and max_visuals are held here, before what they bound is made.
    Raises:
        MalformedBody: not UTF-8, not JSON, a key given twice, nested too deep, an integer of over 20 digits.
        InvalidScene: the document is JSON and no scene; it says where.
        MissingBuffers: a buffer is named by its hash alone; see `decode_document`.
        LimitExceeded: more than the limits allow.
        UnsupportedTransform: a chain has a link that is not registered in this process.
    """
    return decode_document(read_document(body, limits), limits)


def read_document(body: Union[bytes, mmap], limits: Limits = DEFAULT_LIMITS) -> Document:
    """The first half of `decode_scene`, with its errors: parsed, and not decoded, which is cheap beside the rest."""
    document, not_finite = _parse(body if isinstance(body, mmap) else check_bytes(body, "body"), limits)
    data = member(document, "data", "", dict)
    name = document.get("renderer_name")
    return Document(None if name is None else check_renderer_name(name), data, not_finite)


def decode_document(document: Document, limits: Limits = DEFAULT_LIMITS, store: Optional[BufferStore] = None) -> Scene:
    """The second half of `decode_scene`, with its errors.

    Args:
        store: where buffers are kept that a scene may name in place of sending them.
    Raises:
        MissingBuffers: a buffer is named alone that is not kept, with all of those.
    """
    data = document.data
    try:
        scene = _decode_data(data, limits, store)
    except MissingBuffers as exc:
        raise all_missing(exc, data, store) from None
    if document.not_finite:  # in a key that nobody reads; elsewhere the field was named
        raise InvalidScene("body", f"{document.not_finite[0]} is no finite number")
    return replace(scene, renderer_name=document.renderer_name)


def _decode_data(data: dict[str, Any], limits: Limits, store: Optional[BufferStore]) -> Scene:
    canvas = _decode_object(Canvas, member(data, "canvas", ""), "canvas", store)
    lists = {name: member(data, name, "", list) for name in _LISTS}
    _check_lengths(lists)
    limits.check("max_visuals", "visuals", len(lists["visuals"]), "items")

    def decoded(name: str, decode: Callable[[Any, str, Optional[BufferStore]], Any]) -> tuple[Any, ...]:
        return tuple(decode(item, f"{name}[{i}]", store) for i, item in enumerate(lists[name]))

    return Scene(
        canvas,
        decoded("viewports", partial(_decode_object, Viewport)),
        decoded("visuals", _decode_visual),
        decoded("model_matrices", _decode_model_matrix),
        decoded("cameras", partial(_decode_object, Camera)),
    )


def _parse(body: Union[bytes, mmap], limits: Limits) -> tuple[Any, list[str]]:
    """The JSON document, see `Document`, and the numbers in it that are not finite."""
    around, strings = _cut(body)
    limits.check(
        "max_json_items", "body", sum(around.count(mark) for mark in (b",", b"[", b"{")), "values and containers"
    )
    too_deep = MalformedBody(f"body: nested too deep, expected at most {limits.max_depth} levels", "json_too_deep")
    found = -1
    try:
        try:
            document, not_finite, found = _load(around, strings)
        except ValueError:
            if not strings:
                raise
        if found != len(strings):  # a fault, whose place the whole tells; or the sender wrote one of our short texts
            document, not_finite, _ = _load(body[:], {})
    except UnicodeDecodeError as exc:
        raise MalformedBody(f"body: byte {exc.start} is not UTF-8") from None
    except RecursionError:
        raise too_deep from None
    except json.JSONDecodeError as exc:
        raise MalformedBody(f"body: not JSON: {exc.msg} at character {exc.pos}") from None
    level, depth = [document], 0
    while level:  # the containers at one depth
        level = [item for item in level if isinstance(item, (dict, list))]
        depth += 1 if level else 0
        if depth > limits.max_depth:
            raise too_deep
        level = [child for parent in level for child in (parent.values() if isinstance(parent, dict) else parent)]
    return document, not_finite


def _cut(body: Union[bytes, mmap]) -> tuple[bytes, dict[str, memoryview]]:
    """The body with a short text in place of each long base64 string, and those strings by that text.

    Where the one is JSON (RFC 8259) the other is too, and both have as many commas and brackets: what is cut out is the whole
    content of a string, since a quote behind a key and a colon opens a value, and the next one closes it where no backslash
    stands before it. Controls, which no string may hold, and what may be no UTF-8 are left in.
    """
    view, signed = memoryview(body), np.frombuffer(body, np.int8)
    around: list[bytes] = []
    strings: dict[str, memoryview] = {}
    kept_from = searched_from = 0
    while True:
        key = body.find(_KEY, searched_from)
        if key < 0:
            break
        searched_from = key + len(_KEY)
        value = _VALUE.match(body, key)
        if value is None:
            continue
        start, end = value.end(), body.find(b'"', value.end())
        if end - start < LEAST_CUT or any(body.find(mark, start, end) >= 0 for mark in (b"\\", b",", b"[", b"{")):
            continue
        if int(signed[start:end].min()) < 0x20:  # a control, or negative: a byte above 0x7F
            continue
        text = f"<{len(strings)}>"
        strings[text] = view[start:end]
        around += body[kept_from:start], text.encode("ascii")
        kept_from = searched_from = end
    return (b"".join([*around, body[kept_from:]]), strings) if strings else (body[:], strings)


def _load(body: bytes, strings: dict[str, memoryview]) -> tuple[Any, list[str], int]:
    """What `_parse` returns, of a body from which `strings` were cut, and how many were put in again.

    Raises:
        UnicodeDecodeError, json.JSONDecodeError: their places are those in `body`.
        RecursionError: nested too deep for this interpreter.
        MalformedBody: as `decode_scene` says.
    """
    not_finite: list[str] = []
    found = 0

    def number(digits: str) -> float:
        value = float(digits)
        if value - value != 0:  # NaN and the infinities; 1e999 is one too
            not_finite.append(digits[:40])
        return value

    def fields_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal found
        fields = _object(pairs)
        text = fields.get(BASE64)
        if isinstance(text, str) and text in strings:
            fields[BASE64] = strings[text]
            found += 1
        return fields

    document = json.loads(
        body.decode("utf-8"),
        object_pairs_hook=fields_of if strings else _object,
        parse_int=_integer,
        parse_float=number,
        parse_constant=number,
    )
    return document, not_finite, found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise MalformedBody(f"body: key {twice[:80]!r} stands twice in one object", "duplicate_key")
    return fields


def _integer(text: str) -> int:
    digits = len(text.lstrip("-"))
    if digits > 20:  # no field holds more than 2**32; int() takes quadratic time
        raise MalformedBody(f"body: an integer of {digits} digits, expected at most 20", "bad_number")
    return int(text)


def _decode_visual(item: Any, where: str, store: Optional[BufferStore]) -> VisualBase:
    kind = member(item, "type", where, str)
    if kind not in VISUALS:
        raise InvalidScene(f"{where}.type", f"{kind[:80]!r}, expected one of {', '.join(VISUALS)}")
    visual: VisualBase = _decode_object(VISUALS[kind], member(item, "visual", where), where, store)
    return visual


def _decode_object(known: type[SceneObject], item: Any, where: str, store: Optional[BufferStore]) -> Any:
    object_uuid = check_string(member(item, "uuid", where), f"{where}.uuid")
    values = {
        field.name: _decode_field(field, member(item, field.key, where), f"{where}.{field.key}", store)
        for field in known.FIELDS
    }
    return known.from_values(values, object_uuid, where)


def _decode_field(field: Field, value: Any, where: str, store: Optional[BufferStore]) -> Any:
    """The value of a field that is an object in JSON; the others are JSON's own, and `check_field` checks them."""
    if isinstance(field.type, BufferType):
        return _decode_transbuf(value, where, store)
    if field.type is Texture:
        return _decode_object(Texture, value, where, store)
    return value


def _decode_model_matrix(item: Any, where: str, store: Optional[BufferStore]) -> TransBuf:
    value = _decode_transbuf(member(item, "model_matrix", where), f"{where}.model_matrix", store)
    return cast(TransBuf, ModelMatrix.check({"model_matrix": value}, where, wire=True)["model_matrix"])


def _decode_chain(fields: dict[str, Any], where: str, _: Optional[BufferStore]) -> TransformChain:
    level: list[Any] = [fields]
    while level:  # links are anybody's code: what they get is JSON's own values
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                if isinstance(item.get(BASE64), memoryview):
                    item[BASE64] = str(item[BASE64], "ascii")
                below += item.values()
            elif isinstance(item, list):
                below += item
        level = below
    try:
        return TransformChain.deserialize(fields)
    except InvalidScene as exc:
        raise exc.inside(where) from exc


_TRANSBUFS: dict[str, Callable[[dict[str, Any], str, Optional[BufferStore]], TransBuf]] = {
    "buffer": decode_buffer,
    "transform_chain": _decode_chain,
}


def _decode_transbuf(value: Any, where: str, store: Optional[BufferStore]) -> TransBuf:
    kind = member(value, "type", where, str)
    if kind not in _TRANSBUFS:
        raise InvalidScene(f"{where}.type", f"{kind[:80]!r}, expected one of {', '.join(_TRANSBUFS)}")
    return _TRANSBUFS[kind](member(value, "transBuf", where, dict), where, store)
