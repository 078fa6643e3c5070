"""A server's store, from its start to its close: the folder of its own that its workers share, and what others left behind.

The folder is on memory where there is any for everybody, else in the private folder, and is named by the server's instance. Where
nothing can be written, or somebody else's executor draws, there is no store, and clients send all that they draw.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import re
import time
from typing import Any, Optional

from . import ports, run_files
from .folders import memory_folder, private_folder
from .settings import Settings
from .store import Given, Store, StoreFacts

logger = logging.getLogger(__name__)

FOLDER = re.compile("store-[0-9a-f]{16}")
OWNER = "owner.json"  # in each folder: the process whose server's it is
MEMORY_PART = 8  # of the memory at which a worker is due; by default 128 MiB, as much as a scene of 4M vertices takes
SWEEP_SECONDS = 30.0
RENEW_SECONDS = 3600.0
NOT_RUNNING = "this server is not running"
# Of a folder whose owner cannot be known, as one in another container: a server renews its own each hour.
ABANDONED_SECONDS = 24 * 3600.0


class ServerStore:
    """What a server keeps buffers in.

    Args:
        settings: store_bytes, store_seconds, max_body_bytes, and workers, which share it.
        instance: 16 hexadecimal digits that tell this server from all others.
        ours: the executors are the server's own; others may be on other machines.
    """

    def __init__(self, settings: Settings, instance: str, ours: bool) -> None:
        self._settings, self._instance = settings, instance
        self._on = ours and settings.store_bytes > 0
        self._opened = False
        self._reason = NOT_RUNNING  # why there is none
        if not ours:
            self._reason = "the executor is not this server's own, and may be on another machine"
        elif not settings.store_bytes:
            self._reason = "switched off, by the setting store_bytes"
        self._pid = os.getpid()
        self._store: Optional[Store] = None
        self._swept = self._renewed = 0.0

    def open(self) -> None:
        """Have a store from now on: make its folder, and clear those that servers which ended have left behind."""
        if self._on and self._store is None:
            self._opened = True
            self._swept = time.monotonic()
            self._open()

    def _open(self) -> None:
        """Have a store, the one that is there as far as it can be; none where there is no place for it, which is told once."""
        settings = self._settings
        self._renewed = time.monotonic()
        try:
            folder = self._make_folder() if settings.workers else None
        except OSError as exc:
            reason = f"no place to keep buffers in: {exc.strerror or exc}"
            level = logging.DEBUG if reason == self._reason else logging.WARNING
            logger.log(level, "%s; clients send them again", reason)
            self._store, self._reason = None, reason
            return
        memory_bytes = min(settings.recycle_bytes, (settings.worker_memory_bytes or settings.recycle_bytes) // 4)
        seconds = float(settings.store_seconds)
        facts = StoreFacts(folder, settings.store_bytes, seconds, settings.max_body_bytes, memory_bytes // MEMORY_PART)
        if self._store is None or self._store.facts != facts:
            self._store, self._reason = Store(facts), NOT_RUNNING

    def _make_folder(self) -> str:
        """The folder, made where there is memory or another place for it; OSError where there is none."""
        base = memory_folder()
        if base is None:
            raise FileNotFoundError(errno.ENOENT, "nothing can be written here")
        for place in {base, private_folder()}:
            clear_stale(place)
        folder = os.path.join(base, f"store-{self._instance}")
        _make(folder)
        return folder

    def given(self) -> Given:
        """What is told to who draws; None where there is no store."""
        store = self._store
        return store if store is None or store.facts.folder is None else store.facts

    def health(self) -> dict[str, Any]:
        """What GET /health tells: where buffers are, how many, the bytes that they take and may take; or why none are kept."""
        store = self._store
        if store is None:
            return {"available": False, "reason": self._reason}
        number, size = store.size()
        place, most = store.facts.folder or "memory", store.facts.most_bytes
        return {"available": True, "place": place, "buffers": number, "bytes": size, "most_bytes": most}

    def turn(self) -> None:
        """Called now and then: let go what is old, and keep the folder from being taken for an abandoned one.

        Where it has gone, perhaps with the one around it, it is made again; where that cannot be, that is tried each hour.
        """
        store, now = self._store, time.monotonic()
        if not self._opened or now - self._swept < min(SWEEP_SECONDS, self._settings.store_seconds):
            return
        self._swept = now
        is_due = now - self._renewed > RENEW_SECONDS
        if store is None:
            if is_due:
                self._open()
            return
        store.sweep()
        folder = store.facts.folder
        if folder is None:
            return
        if not os.path.isdir(folder):
            self._open()
        elif is_due:
            self._renewed = now
            try:
                _make(folder)
            except OSError as exc:
                logger.warning("%s may be taken for an abandoned one: %s", folder, exc.strerror or exc)

    def close(self) -> None:
        """Delete all of it; does nothing in a process that was forked off the server's."""
        store, self._store = self._store, None
        if store is not None and store.facts.folder is not None and self._pid == os.getpid():
            _remove(store.facts.folder)


def _remove(folder: str) -> None:
    """Delete a store's folder, in which there are files alone."""
    for _ in range(2):  # a worker that was killed may have written one meanwhile
        with contextlib.suppress(OSError):
            for name in [] if os.path.islink(folder) else os.listdir(folder):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(folder, name))
            os.rmdir(folder)


def _make(folder: str) -> None:
    """Make a store's folder, or renew it; OSError where that cannot be done."""
    pid = os.getpid()
    owner = {"pid": pid, "start": ports.start_of(pid), "machine": run_files.machine()}
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    descriptor = os.open(os.path.join(folder, OWNER), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:
        json.dump(owner, file)


def clear_stale(place: Optional[str]) -> None:
    """Delete the folders in `place` of servers whose process has certainly ended, or that nobody has renewed for a day."""
    try:
        names = [] if place is None else os.listdir(place)
    except OSError:
        return
    for name in names:
        folder = os.path.join(str(place), name)
        if FOLDER.fullmatch(name) and _is_stale(folder):
            logger.info("%s was left behind, and goes", folder)
            _remove(folder)


def _is_stale(folder: str) -> bool:
    owner: Any = None
    path = os.path.join(folder, OWNER)
    try:
        age = time.time() - os.lstat(folder).st_mtime
        with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as file:
            age = time.time() - os.fstat(file.fileno()).st_mtime
            owner = json.load(file)
    except OSError:
        return False
    if isinstance(owner, dict) and isinstance(owner.get("pid"), int) and owner.get("machine") == run_files.machine():
        return ports.has_ended(owner["pid"], owner.get("start"))
    return age > ABANDONED_SECONDS
