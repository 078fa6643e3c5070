"""Which buffers a server has already, so that frames name them by their hash in place of sending them (see `scene.refs`).

An array that a buffer shares may change without notice. So nothing is taken for unchanged by its identity, but by its content:
a private copy of each buffer that was named is kept, and compared with, which takes a fourteenth of hashing it. What changes
from frame to frame costs a look at a thousand of its bytes. A server that lacks a buffer costs one more request, with the
whole scene as it was when the frame was encoded: hence a body brings along the copies of what it names.
"""

from __future__ import annotations

import binascii
import logging
import re
import threading
import time
from collections import OrderedDict
from typing import Any, Iterable, Optional, Union

import numpy as np

from ..packed import as_json, is_packed, join, range_of, split
from ..scene.buffers import Buffer, buffer_on
from ..scene.names import NAME, name_of
from ..scene.refs import LEAST_BYTES

logger = logging.getLogger(__name__)

SAMPLES = 1024  # bytes of a buffer that tell whether it is worth a closer look
MOST_SEEN = 4096  # samples that are remembered
MOST_ALIKE = 4  # buffers of one sample that are
MOST_COPIED = 256 * 2**20  # bytes of all copies; four times the body that a server takes
MOST_STRIKES = 2  # times in a row that the server lacks what it had
PAUSE_SECONDS = 60.0  # without names then: some server behind that URL does not keep what another one does
UNKNOWN = (400, 422, 500)  # what a server answers to a scene in which it does not know names
_NAMED = re.compile(f',"data_ref":"({NAME})"'.encode())  # as the codec writes it; in a string quotes have backslashes

_Copy = Union[bytes, bytearray]


class Body(bytes):
    """A request's body that names buffers.

    Attributes:
        alone: copies of those that it does not hold, by name.
        told: names of those that the server is to keep.
        round: how often buffers had been found missing when it was made.
    """

    alone: dict[str, _Copy]
    told: set[str]
    round: int

    @classmethod
    def of(cls, data: bytes, alone: dict[str, _Copy], told: set[str], round: int) -> Body:
        """A body of these bytes."""
        body = cls(data)
        body.alone, body.told, body.round = alone, told, round
        return body

    def whole(self, keep: bool, packed: bool) -> bytes:
        """The same scene with all its buffers, to be kept or without any names; as JSON, or packed."""
        body = memoryview(self if packed else as_json(self))
        text, blobs = split(body) if is_packed(body) else (body, memoryview(b""))
        added: list[_Copy] = []
        offset = len(blobs)

        def filled(match: re.Match[bytes]) -> bytes:
            nonlocal offset
            name, kept = match[1].decode(), match[0] if keep else b""
            if name not in self.alone:
                return kept if name in self.told else match[0]
            copy = self.alone[name]
            if not packed:
                return b',"data_base64":"%s"%s' % (binascii.b2a_base64(copy, newline=False), kept)
            added.append(copy)
            offset += len(copy)
            return b",%s%s" % (range_of(offset - len(copy), copy), kept)

        data = _NAMED.sub(filled, text)
        if packed:
            data = join(data, [blobs, *added])
        return Body.of(data, {}, self.told | set(self.alone), self.round) if keep else data


class _Content:
    """A buffer's content that was seen: its name and, for a while, a copy; whether the server has it, as far as we know."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.copy: Optional[_Copy] = None
        self.held = False


class KnownBuffers:
    """What is known of one server; threads may share it. Against a server that does not offer to keep buffers it does nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[int, int], list[_Content]] = (
            OrderedDict()
        )  # by sample; the one used last is the last
        self._copied: OrderedDict[str, _Content] = OrderedDict()
        self._bytes = 0
        self._offered: Optional[bool] = None  # not known before the first answer
        self._paused_until = 0.0
        self._strikes = self._round = 0

    def frame(self) -> Frame:
        """For one frame: names its buffers, then makes the body that knows them."""
        with self._lock:
            return Frame(self, self._round)

    def after(self, body: bytes, status: int, offered: bool, packed: bool) -> Optional[bytes]:
        """What to send in place of a body after its answer; None where the answer stands.

        Args:
            offered: whether the server says that it keeps buffers.
            packed: whether what is sent shall be packed.
        """
        with self._lock:
            if status == 200:
                self._offered = offered
                if isinstance(body, Body) and offered:
                    self._set_held(body.told, True)
                    self._strikes = 0 if body.alone and body.round == self._round else self._strikes
            if not (isinstance(body, Body) and body.alone):
                return None
            if status == 409:
                self._set_held(body.alone, False)
                if body.round == self._round:  # frames that were on their way meanwhile count once
                    self._round += 1
                    self._strikes += 1
                if self._strikes >= MOST_STRIKES:
                    self._strikes = 0
                    self._paused_until = time.monotonic() + PAUSE_SECONDS
                    logger.info("the server does not keep buffers for long: for %g s they are sent", PAUSE_SECONDS)
                return body.whole(self._names(), packed)
            if status in UNKNOWN and not offered:  # another server than the one that offered it
                self._offered = False
                return body.whole(False, packed)
        return None

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._seen.clear()
            self._copied.clear()
            self._bytes = 0

    def _names(self) -> bool:
        return self._offered is True and time.monotonic() >= self._paused_until

    def _set_held(self, names: Iterable[str], held: bool) -> None:
        for name in names:
            if name in self._copied:
                self._copied[name].held = held

    def _content_of(self, buffer: Buffer) -> Optional[_Content]:
        """What is known of a buffer's content, with a copy of it; None where it is new, or changes."""
        if self._offered is False:
            return None
        array = np.ascontiguousarray(buffer.to_numpy()).reshape(-1).view(np.uint8)
        if len(array) < LEAST_BYTES:
            return None
        # An odd step, so that every component and each of its bytes is looked at.
        sample = len(array), hash(array[:: len(array) // SAMPLES | 1].tobytes())
        contents = self._seen.get(sample)
        if contents is None:
            self._seen[sample] = []
            if len(self._seen) > MOST_SEEN:
                for content in self._seen.popitem(last=False)[1]:
                    self._drop_copy(content)
            return None
        self._seen.move_to_end(sample)
        if not self._names():
            return None
        lasting = buffer.lasting_bytes()
        for content in contents:
            if content.copy is not None and _same(content.copy, lasting, array):
                self._copied.move_to_end(content.name)
                return content
        copy = bytearray(array) if lasting is None else lasting  # first, since the array may change under the hash
        name = name_of(copy)
        known = next((content for content in contents if content.name == name), None)
        content = known or _Content(name)
        if known is None:
            contents.append(content)
            for old in contents[:-MOST_ALIKE]:
                self._drop_copy(old)
            del contents[:-MOST_ALIKE]
            if len(contents) > 1:  # in few places, but it changes; it is named when it comes again
                return None
        self._keep_copy(content, copy)
        return content

    def _keep_copy(self, content: _Content, copy: _Copy) -> None:
        self._drop_copy(content)
        content.copy = copy
        self._copied[content.name] = content
        self._bytes += len(copy)
        while self._bytes > MOST_COPIED and len(self._copied) > 1:
            self._drop_copy(next(iter(self._copied.values())))

    def _drop_copy(self, content: _Content) -> None:
        if content.copy is not None:
            self._bytes -= len(content.copy)
            content.copy = None
            del self._copied[content.name]


class Frame:
    """Names the buffers of one frame, in one way each."""

    def __init__(self, known: KnownBuffers, round: int) -> None:
        self._known = known
        self._round = round
        self._alone: dict[str, _Copy] = {}
        self._told: set[str] = set()

    def name(self, buffer: Buffer) -> tuple[Optional[str], Optional[Buffer]]:
        """The codec's `Namer`."""
        with self._known._lock:
            content = self._known._content_of(buffer)
            if content is None or content.copy is None:
                return None, buffer
            name, copy = content.name, content.copy
            if name in self._alone or (content.held and name not in self._told):
                self._alone[name] = copy
                return name, None
            self._told.add(name)
        return name, buffer_on(copy, buffer.get_type())  # not the buffer, which may have changed meanwhile

    def body(self, data: bytes) -> bytes:
        """The body whose buffers were named by this frame."""
        return Body.of(data, self._alone, self._told, self._round) if self._alone or self._told else data


def _same(copy: _Copy, lasting: Optional[bytes], array: np.ndarray[Any, Any]) -> bool:
    """Whether a copy has that content; False also where that could not be told faster than by hashing."""
    if lasting is not None:
        return copy is lasting or copy == lasting
    return isinstance(copy, bytearray) and copy == array.data  # memcmp, which bytes have for bytes alone
