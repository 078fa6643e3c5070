"""Records what a renderer renders, with the time of each frame, and reads it again.

A session is a file of JSON lines (UTF-8), written line by line, so that a crash costs the last one at most. The first says
what it is; then there is a line for each buffer, before the first frame that has it, and a line for each frame:

    {"format":"gsp_network session","version":1,"renderer_name":"matplotlib","canvas":{"width":800,"height":600,"dpi":96.0}}
    {"sha256":"9f86...","data_base64":"AACAPw=="}
    {"time":0.041,"document":{"renderer_name":"matplotlib","data":{... "data_base64":"sha256:9f86..." ...}}}

``time`` is in seconds since the recording began, ``sha256`` that of the base64 text, and ``document`` a request's body,
byte for byte, but for the text of its buffers.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import math
import os
import pathlib
import re
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Protocol, Union

from .errors import InvalidScene, kind_of
from .scene.objects import Canvas
from .settings import DEFAULT_LIMITS

if TYPE_CHECKING:
    from .scene.events import Event

logger = logging.getLogger(__name__)

FORMAT = "gsp_network session"
VERSION = 1
MAX_HEADER_BYTES = 4096
MAX_LINE_BYTES = (
    256 * 2**20
)  # of a line, and of a request with its buffers; a server takes 64 MiB unless told otherwise

# In JSON this is a key with its value and nothing else: inside a string the quotes would have backslashes.
_BUFFER = re.compile(rb'("data_base64"\s*:\s*")([^"\\]+)(?=")')
_REFERENCE = re.compile(rb'("data_base64"\s*:\s*")sha256:([0-9a-f]{64})(?=")')
_FRAME = re.compile(rb'\{"time":([0-9.e+-]+),"document":(.*)\}\n?', re.DOTALL)
_BUFFER_LINE = re.compile(rb'\{"sha256":"([0-9a-f]{64})","data_base64":"([^"\\]+)"\}\n?')


class RecordableRenderer(Protocol):
    """What a SessionRecorder asks of a renderer; a NetworkRenderer has it."""

    on_frame: Event[Callable[[bytes], None]]

    def get_canvas(self) -> Any:
        """The canvas that is drawn on."""

    def get_remote_renderer_name(self) -> str:
        """Who draws."""


class SessionRecorder:
    """Writes each frame that a renderer renders to a file, until it is closed.

    Rendering goes on where the file cannot be written any more (a full disk): the reason is logged as an error, and the
    recording ends there. Of buffers only hashes are kept in memory.

    Args:
        renderer: a NetworkRenderer.
        path: the file; one that is there is replaced.
    Raises:
        OSError: the file cannot be made or written.
    """

    def __init__(self, renderer: RecordableRenderer, path: Union[str, os.PathLike[str]]) -> None:
        canvas = renderer.get_canvas()
        head = {
            "format": FORMAT,
            "version": VERSION,
            "renderer_name": renderer.get_remote_renderer_name(),
            "canvas": {"width": canvas.get_width(), "height": canvas.get_height(), "dpi": canvas.get_dpi()},
        }
        self._path = pathlib.Path(path)
        self._written: set[bytes] = set()  # digests
        self._lock = threading.RLock()  # threads may share a renderer
        self._start = time.monotonic()
        self._file: Optional[io.FileIO] = io.FileIO(self._path, "wb")  # unbuffered: a line is written at once
        self._event = renderer.on_frame
        self._event.subscribe(self._on_frame)
        try:
            _write_line(self._file, json.dumps(head, separators=(",", ":")).encode())
        except BaseException:
            self.close()
            raise

    def _on_frame(self, body: bytes) -> None:
        with self._lock:
            self._add(body)

    def _add(self, body: bytes) -> None:
        seconds = round(time.monotonic() - self._start, 6)
        if b"\n" in body or b"\r" in body:  # laid out over lines, as ours never is; an equal document on one
            body = json.dumps(json.loads(body), separators=(",", ":")).encode()
        document = _BUFFER.sub(self._store, body)
        self._write(b'{"time":%s,"document":%s}' % (repr(seconds).encode(), document))

    def _store(self, match: re.Match[bytes]) -> bytes:
        """Write a buffer where it has not been written yet; what stands in its place in the document."""
        hashed = hashlib.sha256(match[2])
        if hashed.digest() not in self._written:
            self._write(b'{"sha256":"%s","data_base64":"%s"}' % (hashed.hexdigest().encode(), match[2]))
            self._written.add(hashed.digest())
        return match[1] + b"sha256:" + hashed.hexdigest().encode()

    def _write(self, line: bytes) -> None:
        if self._file is None:  # it failed before
            return
        begin = self._file.tell()
        try:
            _write_line(self._file, line)
        except KeyboardInterrupt:  # the recording may go on: no half a line stays in its middle
            self._file.seek(begin)
            self._file.truncate()
            raise
        except OSError as exc:
            logger.error("%s: %s; the recording ends here, rendering goes on", self._path, exc.strerror or exc)
            self.close()

    def close(self) -> None:
        """End the recording; a second time does nothing."""
        if self._file is not None:
            file, self._file = self._file, None
            self._event.unsubscribe(self._on_frame)
            with contextlib.suppress(OSError):  # it holds nothing back
                file.close()

    def __enter__(self) -> SessionRecorder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _write_line(file: io.FileIO, line: bytes) -> None:
    rest = memoryview(line + b"\n")
    while rest:  # the system may take a part
        rest = rest[file.write(rest) :]


class _Frame(NamedTuple):
    seconds: float
    offset: int


def is_session(path: Union[str, os.PathLike[str]]) -> bool:
    """Whether a file is a recorded session, by its first line; OSError where it cannot be read."""
    with open(path, "rb") as file:
        return _header(file.readline(MAX_HEADER_BYTES)) is not None


def _header(line: bytes) -> Optional[dict[str, Any]]:
    try:
        head = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return head if isinstance(head, dict) and head.get("format") == FORMAT else None


class Session:
    """A recorded session, checked as a whole; a last line that a crash cut short is left out.

    Of the file only the places of its lines are kept in memory.

    Args:
        path: what a SessionRecorder wrote.
    Attributes:
        header: the first line.
        canvas: of the pictures.
        times: seconds of each frame since the recording began, in order.
    Raises:
        InvalidScene: it is no session, one of a later version, or damaged; it names the line.
        OSError: it cannot be read.
    """

    def __init__(self, path: Union[str, os.PathLike[str]]) -> None:
        self._path = pathlib.Path(path)
        self._frames: list[_Frame] = []
        self._buffers: dict[bytes, tuple[int, int]] = {}  # digest -> where its line begins, and the length of its text
        self._file = open(self._path, "rb")  # noqa: SIM115 - closed by close()
        try:
            head = _header(self._file.readline(MAX_HEADER_BYTES))
            if head is None:
                raise InvalidScene(f"{self._path} line 1", "no session's, expected one that a SessionRecorder wrote")
            if head.get("version") != VERSION:
                found = repr(head.get("version"))[:20]
                raise InvalidScene(
                    f"{self._path} line 1", f"version {found}, expected {VERSION}; use a newer gsp_network"
                )
            self.header, self.canvas = head, self._canvas_of(head)
            self._read_lines()
            if not self._frames:
                raise InvalidScene(str(self._path), "a session without frames, expected one at least")
        except BaseException:
            self._file.close()
            raise
        self.times = [frame.seconds for frame in self._frames]

    def _canvas_of(self, head: dict[str, Any]) -> Canvas:
        fields = head.get("canvas")
        if not isinstance(fields, dict) or set(fields) != {field.name for field in Canvas.FIELDS}:
            raise InvalidScene(f"{self._path} line 1", "no canvas, expected its width, height and dpi")
        try:
            canvas = Canvas(**fields)
            DEFAULT_LIMITS.check("max_canvas_side", "canvas", max(canvas.get_width(), canvas.get_height()), "px")
            DEFAULT_LIMITS.check("max_dpi", "canvas", canvas.get_dpi(), "dpi")
            return canvas
        except InvalidScene as exc:
            raise InvalidScene(f"{self._path} line 1", str(exc)) from None

    def _read_lines(self) -> None:
        number, offset = 1, self._file.tell()
        for line in iter(lambda: self._file.readline(MAX_LINE_BYTES), b""):
            number += 1
            try:
                if len(line) == MAX_LINE_BYTES:
                    raise InvalidScene(f"{self._path} line {number}", f"expected fewer than {MAX_LINE_BYTES} bytes")
                self._read_line(line, offset)
            except InvalidScene:
                raise
            except (ValueError, RecursionError) as exc:
                if not line.endswith(b"\n"):
                    logger.warning("%s: line %d is cut short and left out", self._path, number)
                    return
                raise InvalidScene(f"{self._path} line {number}", str(exc)) from None
            offset += len(line)

    def _read_line(self, line: bytes, offset: int) -> None:
        """Check one line and keep its place; ValueError where it is none."""
        buffer = _BUFFER_LINE.fullmatch(line)
        if buffer is not None:
            hashed = hashlib.sha256(buffer[2])
            if hashed.hexdigest().encode() != buffer[1]:
                raise ValueError(f"a buffer of sha256 {hashed.hexdigest()}, expected {buffer[1].decode()}")
            self._buffers[hashed.digest()] = offset, len(buffer[2])
            return
        frame = _FRAME.fullmatch(line)
        if frame is None:
            raise ValueError("neither a frame nor a buffer")
        document = json.loads(line)["document"]  # a ValueError of its own where it is not JSON
        if not isinstance(document, dict):
            raise ValueError(f"a document that is {kind_of(document)}, expected a request's")
        size = len(frame[2])
        for reference in _REFERENCE.finditer(frame[2]):
            known = self._buffers.get(bytes.fromhex(reference[2].decode()))
            if known is None:
                raise ValueError(f"buffer {reference[2].decode()} of this frame stands in no line before")
            size += known[1]
        if size >= MAX_LINE_BYTES:
            raise ValueError(f"a request of {size} bytes, expected fewer than {MAX_LINE_BYTES}")
        seconds = float(frame[1])
        if not 0 <= seconds < math.inf:
            raise ValueError(f"time {seconds}, expected seconds, 0 or more")
        if self._frames and seconds < self._frames[-1].seconds:
            raise ValueError(f"time {seconds}, expected at least that of the frame before, {self._frames[-1].seconds}")
        self._frames.append(_Frame(seconds, offset))

    def body(self, index: int) -> bytes:
        """The body of a frame's request, as it was sent."""
        frame = _FRAME.fullmatch(self._line(self._frames[index].offset))
        if frame is None:
            raise InvalidScene(str(self._path), f"frame {index} has changed since the file was opened")
        return _REFERENCE.sub(self._fill_in, frame[2])

    def _fill_in(self, reference: re.Match[bytes]) -> bytes:
        buffer = _BUFFER_LINE.fullmatch(self._line(self._buffers[bytes.fromhex(reference[2].decode())][0]))
        if buffer is None or buffer[1] != reference[2]:
            raise InvalidScene(str(self._path), f"buffer {reference[2].decode()} has changed since the file was opened")
        return reference[1] + buffer[2]

    def _line(self, offset: int) -> bytes:
        self._file.seek(offset)
        return self._file.readline(MAX_LINE_BYTES)

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._file.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
