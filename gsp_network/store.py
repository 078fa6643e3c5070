"""Buffers that were sent once, by the SHA-256 of their bytes, so that they need not be sent again.

Worker processes of a server share them by files in one folder (see `store_folder`), each named by its content's hash. A file is
read whole and verified before anything is drawn of it, and what was read is kept in memory: whatever becomes of the file then,
no wrong picture comes of it. Hence no file is mapped, which could change, or end, under a picture. A server that draws in its
own process has no files. What is there is a matter of luck, always: a name that is not found is answered 409, and sent again.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import re
import secrets
import shutil
import stat
import threading
import time
from collections import OrderedDict
from typing import Iterator, NamedTuple, Optional, Sequence, Union

from .errors import LimitExceeded
from .scene.names import NAME, name_of

logger = logging.getLogger(__name__)

_NAME = re.compile(NAME)
MOST_FILES = 4096  # looking through so many takes some milliseconds
TOUCH_SECONDS = 1.0  # how often a file that is in use says so
PART_SECONDS = 60.0  # what is not written by then never will be
FREE_PART = 10  # of the storage a tenth is left to others


class StoreFacts(NamedTuple):
    """What a process needs to know of a server's store, in values that can travel.

    Attributes:
        folder: where the files are; None: in memory alone.
        most_bytes: what all buffers together may take.
        seconds: how long one stays that nobody uses.
        scene_bytes: what a scene may name in all, as often as it does.
        memory_bytes: what a process that has the files may have in memory too.
    """

    folder: Optional[str]
    most_bytes: int
    seconds: float
    scene_bytes: int
    memory_bytes: int


class _File(NamedTuple):
    used: float
    size: int
    path: str


class _Held:
    def __init__(self, data: bytes, now: float) -> None:
        self.data, self.used, self.touched = data, now, -math.inf


class Store:
    """The buffers of one server as one process sees them; threads may share it."""

    def __init__(self, facts: StoreFacts) -> None:
        self.facts = facts
        self._most = facts.most_bytes if facts.folder is None else min(facts.most_bytes, facts.memory_bytes)
        self._lock = threading.Lock()
        self._memory: OrderedDict[str, _Held] = OrderedDict()  # the one used last is the last
        self._bytes = 0
        self._room_bytes = self._room_files = 0  # that may be filled before the folder is looked through again
        self._told = False

    def get(self, name: str) -> Optional[bytes]:
        """The bytes of that name, a SHA-256 in hex, verified; None where they are not kept."""
        with self._lock:
            now = time.monotonic()
            self._forget_old(now)
            held = self._memory.get(name)
            if held is None:
                data = None if self.facts.folder is None else self._read(name)
                if data is not None:
                    held = self._hold(name, data, now)
            if held is None:
                return None
            self._memory.move_to_end(name)
            held.used = now
            if now - held.touched > min(TOUCH_SECONDS, self.facts.seconds / 4):
                held.touched = now
                self._say_used(name, held.data)
            self._forget_most()
            return held.data

    def has(self, name: str) -> bool:
        """Whether `get` would rather find that name than not."""
        folder = self.facts.folder
        return name in self._memory or (folder is not None and os.path.exists(os.path.join(folder, name)))

    def put(self, name: str, data: bytes) -> None:
        """Keep bytes, whose SHA-256 `name` is, if there is room."""
        if len(data) > self.facts.most_bytes:
            return
        with self._lock:
            now = time.monotonic()
            self._forget_old(now)
            held = self._memory.get(name) or self._hold(name, data, now)
            held.used = held.touched = now
            self._memory.move_to_end(name)
            self._say_used(name, data)
            self._forget_most()

    def size(self) -> tuple[int, int]:
        """How many buffers are kept, and the bytes of all; where there is a folder it is looked through, at most 20 ms."""
        if self.facts.folder is None:
            with self._lock:
                return len(self._memory), self._bytes
        sizes = [file.size for file in self._files()]
        return len(sizes), sum(sizes)

    def sweep(self) -> None:
        """Let go what nobody has used for too long."""
        with self._lock:
            self._forget_old(time.monotonic())
            if self.facts.folder is not None:
                self._make_room(0)

    # -- memory

    def _hold(self, name: str, data: bytes, now: float) -> _Held:
        held = self._memory[name] = _Held(data, now)
        self._bytes += len(data)
        return held

    def _forget_old(self, now: float) -> None:
        while self._memory and now - next(iter(self._memory.values())).used > self.facts.seconds:
            self._forget_first()

    def _forget_most(self) -> None:
        while self._bytes > self._most or len(self._memory) > MOST_FILES:
            self._forget_first()

    def _forget_first(self) -> None:
        self._bytes -= len(self._memory.popitem(last=False)[1].data)

    # -- files

    def _read(self, name: str) -> Optional[bytes]:
        """A file's content, if it is what its name says; else the file goes."""
        path = os.path.join(str(self.facts.folder), name)
        try:
            flags = (
                os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
            )
            with open(os.open(path, flags), "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                ours = stat.S_ISREG(status.st_mode) and status.st_size <= self.facts.most_bytes
                data = file.read() if ours else b""
        except FileNotFoundError:
            return None
        except OSError as exc:
            if exc.errno != errno.ELOOP:  # no link of ours: it goes
                self._tell(exc)
                return None
            data = b""
        if name_of(data) == name:
            return data
        logger.warning("a kept buffer is not what it was, and goes: %s", name)
        _unlink(path)
        return None

    def _say_used(self, name: str, data: bytes) -> None:
        """Have the file of a buffer in use be the last to go; where it has gone, write it again for the other workers."""
        if self.facts.folder is None:
            return
        path = os.path.join(self.facts.folder, name)
        try:
            os.utime(path)
        except FileNotFoundError:
            self._write(path, data)
        except OSError as exc:
            self._tell(exc)

    def _write(self, path: str, data: bytes) -> None:
        """Write a file that appears whole or not at all, if there is room for it and its folder is still there."""
        folder, name = os.path.split(path)
        if (len(data) > self._room_bytes or self._room_files < 1) and not self._make_room(len(data)):
            return
        part = os.path.join(folder, f".{name}.{secrets.token_hex(4)}")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            with open(os.open(part, flags, 0o600), "wb", buffering=0) as file:
                rest = memoryview(data)
                while rest:  # the system may take a part
                    rest = rest[file.write(rest) :]
            os.replace(part, path)
        except OSError as exc:  # the disk is full, the server closes, ...
            self._tell(exc)
            _unlink(part)
            return
        self._room_bytes -= len(data)
        self._room_files -= 1

    def _make_room(self, size: int) -> bool:
        """Delete the files that were not used for longest until `size` more bytes fit; whether they do.

        Others may write at the same time: of what is free then a process takes an eighth before it looks again.
        """
        files = sorted(self._files())
        kept, number = sum(file.size for file in files), len(files)
        try:
            storage = shutil.disk_usage(str(self.facts.folder))
        except OSError as exc:
            self._tell(exc)
            return False
        most = min(self.facts.most_bytes, kept + storage.free - storage.total // FREE_PART)
        fits = size <= most
        # Where something has to go, some more goes with it, so that not every next one has to look.
        most_kept = most - size - most // 16 if fits and kept + size > most else most
        most_files = MOST_FILES if number < MOST_FILES else MOST_FILES * 7 // 8
        oldest = time.time() - self.facts.seconds
        for file in files:
            if number <= most_files and kept <= most_kept and file.used >= oldest:
                break
            _unlink(file.path)
            kept, number = kept - file.size, number - 1
        self._room_bytes, self._room_files = (max(size, (most - kept) // 8), MOST_FILES // 8) if fits else (0, 0)
        return fits

    def _files(self) -> Iterator[_File]:
        with contextlib.suppress(OSError), os.scandir(str(self.facts.folder)) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # another worker has deleted it
                    status = entry.stat(follow_symlinks=False)
                    if _NAME.fullmatch(entry.name):
                        yield _File(status.st_mtime, status.st_size, entry.path)
                    elif entry.name.startswith(".") and time.time() - status.st_mtime > PART_SECONDS:
                        _unlink(entry.path)  # of a worker that died over it

    def _tell(self, exc: OSError) -> None:
        level = logging.DEBUG if self._told or isinstance(exc, FileNotFoundError) else logging.WARNING
        self._told = self._told or level == logging.WARNING
        logger.log(level, "a buffer cannot be kept for other workers: %s", exc.strerror or exc)


class SceneStore:
    """A store as one scene may use it: what it names counts as what it sends, so that it can be sent whole, packed.

    Args:
        store: what is kept.
        sent: bytes of the scene's body.
    Attributes:
        hits: how often what it names was found.
    """

    def __init__(self, store: Store, sent: int = 0) -> None:
        self._store = store
        self._taken = sent
        self.hits = 0

    def find(self, name: str, where: str) -> Optional[bytes]:
        """The bytes of that name, or None.

        Raises:
            LimitExceeded: at `where`: more bytes in all than a scene may send.
        """
        data = self._store.get(name)
        if data is not None:
            self.hits += 1
            self._taken += len(data)
            if self._taken > self._store.facts.scene_bytes:
                found = f"{self._taken} bytes with the buffers named so far, expected at most {self._store.facts.scene_bytes}"
                raise LimitExceeded(where, found, "max_body_bytes")
        return data

    def has(self, name: str) -> bool:
        """Whether bytes of that name are likely to be found."""
        return self._store.has(name)

    def keep(self, name: str, data: bytes) -> None:
        """Keep bytes of that name."""
        self._store.put(name, data)


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


Given = Union[None, Store, Sequence[Union[str, int, float, None]]]
"""A store, what one is made of in another process, or none."""

_opened: Optional[Store] = None


def scene_store(given: Given, sent: int = 0) -> Optional[SceneStore]:
    """What the buffers of a scene are kept in, whose body has `sent` bytes; a process that is told of a store opens it once."""
    global _opened
    if given is None or isinstance(given, Store):
        return None if given is None else SceneStore(given, sent)
    facts = StoreFacts(*given)  # type: ignore[arg-type]
    if _opened is None or _opened.facts != facts:
        _opened = Store(facts)
    return SceneStore(_opened, sent)
