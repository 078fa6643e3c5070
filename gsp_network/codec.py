"""Scenes as JSON with base64, or packed, and back. No files, no sockets.

The document: ``{"renderer_name": ..., "data": {"canvas", "viewports", "visuals", "model_matrices", "cameras"}}``, four lists
of one length, entry i of each belonging together. The field tables of `scene.objects` and `scene.visuals` say what stands in
each object; here stands only how each kind of field is written.

Encoding goes by class name and getters, so that objects of an installed GSP_API encode as they are. Decoding refuses all that
is wrong, naming its place as ``visuals[0].sizes``, and ignores unknown keys, so that later versions can add some.
"""

from __future__ import annotations

import binascii
import json
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import Any, Callable, Optional, Sequence, TypeVar, cast

from .documents import Document, read_document
from .errors import InvalidScene, MissingBuffers, kind_of
from .packed import LEAST_BYTES, pack
from .scene.buffers import Buffer, BufferType, base64_of, raw_bytes
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
from .scene.refs import BASE64, RAW, BufferData, BufferStore, Namer, all_missing, decode_buffer
from .scene.transforms import TransBuf, TransformChain, member
from .scene.visuals import VISUALS, VisualBase
from .settings import DEFAULT_LIMITS, Limits, check_renderer_name

_Known = TypeVar("_Known", bound=SceneObject)
_LISTS = ("viewports", "visuals", "model_matrices", "cameras")
_MARK = "<base64>"  # in place of a buffer's text while JSON is written
_BEFORE = b'"%s":"' % BASE64.encode("ascii")
_WRITTEN = b'%s%s"' % (_BEFORE, _MARK.encode("ascii"))  # in a string the quotes would have backslashes
_RAW_KEY = b'"%s":' % RAW.encode("ascii")


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
    packed: bool = False,
) -> bytes:
    """A scene as the body of a request.

    Args:
        canvas, viewports, visuals, cameras: scene objects of ours, or of an installed GSP_API.
        model_matrices: one mat4 each: Buffer, TransformChain or numpy array (4, 4).
        renderer_name: who shall draw, as the server is told it; None leaves that to the server.
        name: decides for each buffer, those in chains aside, whether it is named by its hash; None: none is.
        packed: with the bytes of buffers behind the JSON, unless there are few; see `packed`. Chains have theirs in it.
    Returns:
        UTF-8 JSON, or the packed form.
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
    buffers: list[Buffer] = []  # in the order of the document

    def write(value: Any) -> dict[str, Any]:
        data = _data_of(value)
        sent = data.decide(name)
        if sent is None:
            return data.fields()
        buffers.append(sent)
        return data.fields(_MARK)

    text = _dump(document, write)
    around = text.split(_WRITTEN)
    if len(around) != len(buffers) + 1:  # a chain holds the same
        return _dump(document, lambda value: value.fields(None if value.sent is None else value.sent.to_base64()))
    if packed and _RAW_KEY not in text:
        blobs = [raw_bytes(buffer) for buffer in buffers]
        if sum(blob.nbytes for blob in blobs) >= LEAST_BYTES:
            return pack(around, blobs)
    pieces = [around[0]]
    for buffer, piece in zip(buffers, around[1:]):
        pieces += _BEFORE, base64_of(buffer), b'"', piece
    return b"".join(pieces)


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


def decode_scene(body: bytes, limits: Limits = DEFAULT_LIMITS) -> Scene:
    """The scene in the body of a request, every field checked; chains are kept as they are, not run.

    Args:
        body: UTF-8 JSON, or the packed form.
        limits: of these, max_json_items, max_depth and max_visuals are held here, before what they bound is made.
    Raises:
        MalformedBody: not UTF-8, not JSON, a key given twice, nested too deep, an integer of over 20 digits; a packed body that
            is cut short, or whose ranges do not divide what is behind its JSON among them.
        InvalidScene: the document is JSON and no scene; it says where.
        MissingBuffers: a buffer is named by its hash alone; see `decode_document`.
        LimitExceeded: more than the limits allow.
        UnsupportedTransform: a chain has a link that is not registered in this process.
    """
    return decode_document(read_document(body, limits), limits)


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
                if isinstance(item.get(RAW), memoryview):
                    item[BASE64] = binascii.b2a_base64(item.pop(RAW), newline=False).decode("ascii")
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
