"""Buffers named by their content: ``data_ref``, a name as `names` has it.

Beside ``data_base64``, or ``data_raw`` of a packed body, it means "keep this", alone "you have it". Where buffers are kept is
somebody else's: a `BufferStore`. Links of a chain have none: what they hold is theirs.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Iterator, Optional, Protocol

from ..errors import InvalidScene, MissingBuffers, kind_of
from .buffers import Buffer, buffer_on, check_int
from .names import NAME, name_of
from .transforms import buffer_type_named, member

REF, BASE64, RAW = "data_ref", "data_base64", "data_raw"
LEAST_BYTES = 1024  # a shorter buffer is sent in less than it costs to look for it
MOST_MISSING = 4096  # that one error tells of
_NAME = re.compile(NAME)


Namer = Callable[[Buffer], "tuple[Optional[str], Optional[Buffer]]"]
"""Tells of a buffer by which name it goes, if by any, and what is sent of it: it, a copy, or nothing but the name."""


class BufferStore(Protocol):
    """Where the buffers of a scene are kept, and found again."""

    def find(self, name: str, where: str) -> Optional[bytes]:
        """The bytes of that SHA-256, or None; LimitExceeded at `where` for more than a scene may name in all."""

    def has(self, name: str) -> bool:
        """Whether bytes of that SHA-256 are likely to be found."""

    def keep(self, name: str, data: bytes) -> None:
        """Keep bytes of that SHA-256, which was verified, for as long as there is room."""


class BufferData:
    """A buffer in a document; what is told of it is decided when that is written."""

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer
        self.name: Optional[str] = None
        self.sent: Optional[Buffer] = buffer

    def decide(self, name: Optional[Namer]) -> Optional[Buffer]:
        """Have it named or not; what to send of it."""
        if name is not None:
            self.name, self.sent = name(self.buffer)
        return self.sent

    def fields(self, text: Optional[str] = None) -> dict[str, Any]:
        """The buffer as JSON; `text` are its bytes in base64, where they are sent."""
        fields: dict[str, Any] = {"count": self.buffer.get_count(), "buffer_type": self.buffer.get_type().name}
        return {**fields, **({BASE64: text} if text is not None else {}), **({REF: self.name} if self.name else {})}


def decode_buffer(fields: dict[str, Any], where: str, store: Optional[BufferStore]) -> Buffer:
    """The buffer that a JSON object holds or names.

    Raises:
        InvalidScene: a field is wrong, or name and bytes do not belong together.
        MissingBuffers: it is named alone, and not in `store`.
    """
    count = check_int(member(fields, "count", where), f"{where}.count", least=0)
    buffer_type = buffer_type_named(member(fields, "buffer_type", where), f"{where}.buffer_type")
    sent: Optional[Buffer] = None
    if isinstance(fields.get(RAW), memoryview):
        sent = Buffer.from_raw(fields[RAW], buffer_type, count, f"{where}.{RAW}")
    elif _is_sent(fields) or REF not in fields:
        sent = Buffer.from_base64(member(fields, BASE64, where), buffer_type, count, f"{where}.{BASE64}")
    if sent is not None and REF not in fields:
        return sent
    name, path = fields[REF], f"{where}.{REF}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        found = repr(name[:80]) if isinstance(name, str) else kind_of(name)
        raise InvalidScene(path, f"{found}, expected a SHA-256 as 64 digits of lower-case hex")
    if sent is not None:
        data = sent.to_bytes()
        if name_of(data) != name:
            raise InvalidScene(path, f"{name}, but the bytes that it came with are {name_of(data)}")
        if store is not None and len(data) >= LEAST_BYTES:
            store.keep(name, data)
        return sent
    kept = None if store is None else store.find(name, path)
    if kept is None:
        raise MissingBuffers(where, [name])
    size = count * buffer_type.item_size
    if len(kept) != size:
        raise InvalidScene(path, f"a buffer of {len(kept)} bytes, expected {size} ({count} x {buffer_type.name})")
    return buffer_on(kept, buffer_type)


def _is_sent(fields: dict[str, Any]) -> bool:
    """Whether a buffer's bytes came along; in a packed body they are there already, in JSON a key of that name is nobody's."""
    return BASE64 in fields or isinstance(fields.get(RAW), memoryview)


def all_missing(first: MissingBuffers, data: dict[str, Any], store: Optional[BufferStore]) -> MissingBuffers:
    """The error for all that a document names alone and `store` lacks, where the first of them was found."""
    names = dict.fromkeys(first.missing or ())
    for name in _named_alone(data):
        if len(names) >= MOST_MISSING:
            break
        if name not in names and (store is None or not store.has(name)):
            names[name] = None
    return MissingBuffers(first.where or "body", list(names))


def _named_alone(data: dict[str, Any]) -> Iterator[str]:
    level: list[Any] = [data]
    while level:
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                name = item.get(REF)
                if isinstance(name, str) and _NAME.fullmatch(name) and not _is_sent(item):
                    yield name
                below += item.values()
            elif isinstance(item, list):
                below += item
        level = below
