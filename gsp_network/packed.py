"""The packed form of a request's body: the bytes of buffers behind the JSON, not in it. No files, no sockets.

    8 bytes    PACKED_MAGIC
    8 bytes    the length of the JSON, little-endian
    the JSON   UTF-8; a buffer may have "data_raw":[offset,length] where it otherwise has "data_base64":"..."
    the bytes  that belong there; an offset counts from where they begin

Each of these bytes belongs to exactly one range. It is what a client sends once a server has offered to take it.
"""

from __future__ import annotations

import binascii
import re
from typing import Sequence, Union

from .errors import MalformedBody
from .scene.refs import BASE64, RAW
from .settings import JSON_KIND, PACKED_KIND, PACKED_MAGIC

LEAST_BYTES = (
    2**16
)  # of buffers that are sent; below that base64 takes less time than anybody sees, and a person can read it
HEAD = len(PACKED_MAGIC) + 8
# As the codec writes it; in a string the quotes would have backslashes.
_RANGE = re.compile(rb'"%s":\[([0-9]+),([0-9]+)\]' % RAW.encode("ascii"))

Bytes = Union[bytes, bytearray, memoryview]


def media_type(body: bytes) -> str:
    """What a request's Content-Type says of a body."""
    return PACKED_KIND if is_packed(body) else JSON_KIND


def is_packed(body: Union[bytes, memoryview]) -> bool:
    """Whether a body is of this form."""
    return bytes(body[: len(PACKED_MAGIC)]) == PACKED_MAGIC


def pack(around: Sequence[bytes], blobs: Sequence[Bytes]) -> bytes:
    """The body of the JSON in whose gaps the buffers stand.

    Args:
        around: the JSON in pieces, one more than there are buffers.
        blobs: the bytes of each.
    """
    text, offset = [around[0]], 0
    for piece, blob in zip(around[1:], blobs):
        text += range_of(offset, blob), piece
        offset += memoryview(blob).nbytes
    return join(b"".join(text), blobs)


def join(text: bytes, blobs: Sequence[Bytes]) -> bytes:
    """The body of a JSON with the ranges in it, and the bytes that belong behind it."""
    return b"".join([PACKED_MAGIC, len(text).to_bytes(8, "little"), text, *blobs])


def range_of(offset: int, blob: Bytes) -> bytes:
    """What stands in the JSON for a buffer whose bytes begin at that offset."""
    return b'"%s":[%d,%d]' % (RAW.encode("ascii"), offset, memoryview(blob).nbytes)


def split(body: memoryview) -> tuple[memoryview, memoryview]:
    """The JSON of a packed body, and the bytes behind it.

    Raises:
        MalformedBody: it ends before its JSON does.
    """
    length = int.from_bytes(body[len(PACKED_MAGIC) : HEAD], "little")
    if len(body) < HEAD + length:
        raise MalformedBody(f"body: {len(body)} bytes, expected at least {HEAD + length}: its JSON has {length}")
    return body[HEAD : HEAD + length], body[HEAD + length :]


def as_json(body: bytes) -> bytes:
    """The same scene as JSON with base64, of a body that `encode_scene` has packed; another as it is."""
    if not is_packed(body):
        return body
    text, blobs = split(memoryview(body))

    def filled(match: re.Match[bytes]) -> bytes:
        offset, length = int(match[1]), int(match[2])
        text = binascii.b2a_base64(blobs[offset : offset + length], newline=False)
        return b'"%s":"%s"' % (BASE64.encode("ascii"), text)

    return _RANGE.sub(filled, text)
