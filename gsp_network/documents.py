"""The body of a request as a document: strict, and with the bytes of its buffers left where they are. No files, no sockets."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from mmap import mmap
from typing import Any, Optional, Union

import numpy as np

from .errors import MalformedBody, kind_of
from .packed import is_packed, split
from .scene.buffers import check_bytes
from .scene.refs import BASE64, RAW
from .scene.transforms import member
from .settings import DEFAULT_LIMITS, Limits, check_renderer_name

LEAST_CUT = 2048  # characters; cutting a shorter string costs more than it saves
# In JSON this is the beginning of that key's value: inside a string the quotes would have backslashes before them.
_KEY = b'"data_base64"'
_VALUE = re.compile(rb'(?<!\\)"data_base64"[ \t\n\r]*:[ \t\n\r]*"')


@dataclass(frozen=True)
class Document:
    """The body of a request as JSON's own values, of which nothing but the renderer's name was looked at.

    A long text of a key "data_base64" is a memoryview of the body instead, of ASCII without quotes, backslashes and controls. So
    is, in a packed body, every range of a key "data_raw", of the bytes that it stands for.

    Attributes:
        renderer_name: one of RENDERER_NAMES, or None where the request names none.
        data: what `decode_document` makes a scene of.
        not_finite: the numbers in it that are not, as they stand there.
    """

    renderer_name: Optional[str]
    data: dict[str, Any]
    not_finite: list[str]


def read_document(body: Union[bytes, mmap], limits: Limits = DEFAULT_LIMITS) -> Document:
    """The first half of `decode_scene`, with its errors: parsed, and not decoded, which is cheap beside the rest."""
    body = body if isinstance(body, mmap) else check_bytes(body, "body")
    whole = memoryview(body)
    if is_packed(whole):
        text, blobs = split(whole)
        document, not_finite = _parse(bytes(text), limits, blobs)
    else:
        document, not_finite = _parse(body, limits, None)
    data = member(document, "data", "", dict)
    name = document.get("renderer_name")
    return Document(None if name is None else check_renderer_name(name), data, not_finite)


def _parse(body: Union[bytes, mmap], limits: Limits, blobs: Optional[memoryview]) -> tuple[Any, list[str]]:
    """The JSON document, see `Document`, and the numbers in it that are not finite; `blobs` are the bytes behind it."""
    around, strings = _cut(body)
    limits.check(
        "max_json_items", "body", sum(around.count(mark) for mark in (b",", b"[", b"{")), "values and containers"
    )
    too_deep = MalformedBody(f"body: nested too deep, expected at most {limits.max_depth} levels", "json_too_deep")
    found = -1
    try:
        try:
            document, not_finite, found = _load(around, strings, blobs)
        except ValueError:
            if not strings:
                raise
        if found != len(strings):  # a fault, whose place the whole tells; or the sender wrote one of our short texts
            document, not_finite, _ = _load(body[:], {}, blobs)
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


def _load(body: bytes, strings: dict[str, memoryview], blobs: Optional[memoryview]) -> tuple[Any, list[str], int]:
    """What `_parse` returns, of a body from which `strings` were cut, and how many were put in again.

    Raises:
        UnicodeDecodeError, json.JSONDecodeError: their places are those in `body`.
        RecursionError: nested too deep for this interpreter.
        MalformedBody: as `decode_scene` says.
    """
    not_finite: list[str] = []
    ranges: list[tuple[int, int]] = []
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
        if blobs is not None and RAW in fields:
            start, end = _range(fields[RAW], len(blobs))
            ranges.append((start, end))
            fields[RAW] = blobs[start:end]
        return fields

    document = json.loads(
        body.decode("utf-8"),
        object_pairs_hook=fields_of if strings or blobs is not None else _object,
        parse_int=_integer,
        parse_float=number,
        parse_constant=number,
    )
    if blobs is not None:
        _check_ranges(ranges, len(blobs))
    return document, not_finite, found


def _range(value: Any, size: int) -> tuple[int, int]:
    """Where the bytes of a buffer begin and end, of `size` behind the JSON."""
    if isinstance(value, list) and len(value) == 2:
        start, length = value
        if type(start) is int and type(length) is int and start >= 0 and 0 <= length <= size - start:
            return start, start + length
    simple = not isinstance(value, dict) and not any(isinstance(item, (list, dict)) for item in value or ())
    found = json.dumps(value)[:80] if simple else kind_of(value)
    raise MalformedBody(f"body: {RAW} {found}, expected [offset, length] in the {size} bytes behind the JSON")


def _check_ranges(ranges: list[tuple[int, int]], size: int) -> None:
    """Refuse bytes that belong to no buffer, or to several: a small body would hold much."""
    expected = 0
    for start, end in sorted(ranges):
        if start != expected:
            raise MalformedBody(f"body: {RAW} [{start}, {end - start}], expected one that begins at {expected}")
        expected = end
    if expected != size:
        raise MalformedBody(f"body: {size - expected} bytes behind the JSON that are no buffer's")


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
