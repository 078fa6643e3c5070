"""Where buffers are kept: in memory and in files, bounded, verified, gone with their server."""

from __future__ import annotations

import concurrent.futures
import json
import logging
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from typing import Any, Callable, Optional
from unittest import mock

from gsp_network import folders, ports, store
from gsp_network.errors import LimitExceeded
from gsp_network.scene.names import name_of
from gsp_network.settings import Settings
from gsp_network.store import SceneStore, Store, StoreFacts, scene_store
from gsp_network.store_folder import OWNER, ServerStore, clear_stale

from .processes import wait_until
from .support import ROOT

KB = 1024
A, B, C, D = (bytes([letter]) * KB for letter in b"abcd")
INSTANCE = "0123456789abcdef"


class StoreCase(unittest.TestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)

    def store(
        self, most_bytes: int = 2**20, seconds: float = 60.0, files: bool = True, memory_bytes: int = 2**20
    ) -> Store:
        """A store as one worker has it; another one of the same facts is another worker's."""
        return Store(StoreFacts(str(self.folder) if files else None, most_bytes, seconds, 2**20, memory_bytes))

    def put(self, into: Store, *contents: bytes) -> None:
        for content in contents:
            into.put(name_of(content), content)

    def found(self, kept: Store, *contents: bytes) -> list[bool]:
        """Which of them are there; none is another's."""
        found = [kept.get(name_of(content)) for content in contents]
        for data, content in zip(found, contents):
            self.assertIn(data, (None, content))
        return [data is not None for data in found]

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def age(self, content: bytes, seconds: float) -> None:
        """Make a file look as if it had not been used for so long."""
        then = time.time() - seconds
        os.utime(self.folder / name_of(content), (then, then))


class TestStore(StoreCase):
    def test_shared_by_workers(self) -> None:
        """What one worker keeps another finds; the files are the user's alone and named by their hashes, none is a part."""
        self.put(self.store(), A, B)
        self.assertEqual(self.found(self.store(), A, B, C), [True, True, False])
        self.assertEqual(self.files(), sorted(map(name_of, (A, B))))
        if os.name == "posix":
            self.assertEqual({path.stat().st_mode & 0o777 for path in self.folder.iterdir()}, {0o600})

    def test_in_memory(self) -> None:
        """Without a folder buffers are kept in memory, within the bound, and the one used longest ago goes first."""
        kept = self.store(3 * KB, files=False)
        self.put(kept, A, B, C)
        self.found(kept, A)
        self.put(kept, D)
        self.assertEqual(self.found(kept, A, B, C, D), [True, False, True, True])
        self.assertEqual(self.files(), [])

    def test_bytes(self) -> None:
        """Files take no more than the bound; those that were not used for longest go, and one that is too large never comes."""
        for age, content in ((30, A), (20, B), (10, C)):
            self.put(self.store(4 * KB), content)
            self.age(content, age)
        self.found(self.store(4 * KB), A)  # which says that it is used
        self.put(self.store(4 * KB), D, b"e" * KB)
        self.assertEqual(self.found(self.store(4 * KB), A, B, C, D)[:2], [True, False])
        self.assertLessEqual(sum(path.stat().st_size for path in self.folder.iterdir()), 4 * KB)
        kept = self.store(4 * KB)
        self.put(kept, bytes(5 * KB))
        self.assertEqual(self.found(kept, bytes(5 * KB)), [False])
        self.assertFalse((self.folder / name_of(bytes(5 * KB))).exists())

    def test_number(self) -> None:
        """There are no more files than can be looked through quickly."""
        with mock.patch.object(store, "MOST_FILES", 16):
            kept = self.store()
            for number in range(50):
                self.put(kept, number.to_bytes(2, "big") * KB)
                self.assertLessEqual(len(self.files()), 16)
            self.assertGreater(len(self.files()), 10)
            self.assertLessEqual(len(kept._memory), 16)

    def test_memory_of_a_worker(self) -> None:
        """What a worker has in memory is bounded beside the files, which then are read again."""
        kept = self.store(memory_bytes=2 * KB)
        self.put(kept, A, B, C)
        self.assertEqual(self.found(kept, A, B, C), [True] * 3)
        self.assertEqual((kept._bytes, len(kept._memory)), (2 * KB, 2))

    def test_age(self) -> None:
        """What nobody has used for longer than the setting goes at the next sweep, from memory and from disk."""
        kept, idle = self.store(seconds=60.0), self.store(seconds=60.0, files=False)
        for one in (kept, idle):
            self.put(one, A)
        self.age(A, 61.0)
        for one in (kept, idle):
            one.sweep()
            self.assertTrue(one is kept or one.has(name_of(A)))
            with mock.patch.object(time, "monotonic", return_value=time.monotonic() + 61.0):
                one.sweep()
            self.assertFalse(one.has(name_of(A)))
            self.assertEqual(self.found(one, A), [False])
        self.assertEqual(self.files(), [])

    def test_use_keeps(self) -> None:
        """A file that is used from memory stays, and one that has gone meanwhile is there for others again."""
        kept = self.store(seconds=2.0)
        self.put(kept, A)
        self.age(A, 10.0)
        with mock.patch.object(store, "TOUCH_SECONDS", 0.0):
            self.found(kept, A)
            self.store(seconds=2.0).sweep()
            self.assertEqual(self.files(), [name_of(A)])
            (self.folder / name_of(A)).unlink()
            self.assertEqual(self.found(kept, A), [True])
        self.assertEqual(self.found(self.store(), A), [True])

    def test_corruption(self) -> None:
        """A file that was altered, cut short, made longer or replaced by something else is not used, and goes."""
        path = self.folder / name_of(A)
        for name, damage in (
            ("altered", lambda: path.write_bytes(b"b" + A[1:])),
            ("short", lambda: path.write_bytes(A[:-1])),
            ("empty", lambda: path.write_bytes(b"")),
            ("long", lambda: path.write_bytes(A + b"a")),
            ("too long", lambda: path.write_bytes(bytes(2**20 + 1))),
            ("a link", lambda: (path.unlink(), path.symlink_to(self.folder / "elsewhere"))),
            ("a pipe", lambda: (path.unlink(), os.mkfifo(path))),
        ):
            with self.subTest(name), self.assertLogs("gsp_network", logging.WARNING):
                (self.folder / "elsewhere").write_bytes(A)
                kept = self.store()
                self.put(kept, A)
                damage()
                self.assertEqual(self.found(self.store(), A), [False])
                self.assertFalse(os.path.lexists(path))
                self.assertEqual(self.found(kept, A), [True])  # in its memory it is what it was

    def test_cannot_be_opened(self) -> None:
        """A file that cannot be opened for now is not found, and stays for when it can."""
        self.put(self.store(), A)
        with mock.patch.object(os, "open", side_effect=OSError(24, "Too many open files")):
            with self.assertLogs("gsp_network", logging.WARNING):
                self.assertEqual(self.found(self.store(), A), [False])
        self.assertEqual(self.found(self.store(), A), [True])

    def test_no_room(self) -> None:
        """Where the disk is full, read-only or gone a worker keeps what it has, is told once, and leaves no part behind."""
        with mock.patch("shutil.disk_usage", return_value=mock.Mock(total=100 * KB, free=10 * KB)):
            kept = self.store()
            self.put(kept, A)
            self.assertEqual((self.found(kept, A), self.files()), ([True], []))
        self.put(self.store(), A)
        with mock.patch("shutil.disk_usage", return_value=mock.Mock(total=100 * KB, free=5 * KB)):  # others fill it
            self.store().sweep()
            self.assertEqual(self.files(), [])
        with mock.patch("os.replace", side_effect=OSError(28, "No space left on device")):
            with self.assertLogs("gsp_network", logging.WARNING) as logs:
                kept = self.store()
                self.put(kept, A, B)
        self.assertEqual((self.found(kept, A, B), self.files(), len(logs.output)), ([True, True], [], 1))
        gone = Store(kept.facts._replace(folder=str(self.folder / "gone")))
        self.put(gone, A)
        self.assertEqual((self.found(gone, A), self.files()), ([True], []))

    def test_parts_go(self) -> None:
        """What a worker was writing when it died goes after a while."""
        part = self.folder / f".{name_of(A)}.1.0"
        part.write_bytes(A[:5])
        self.store().sweep()
        self.assertTrue(part.exists())
        os.utime(part, (time.time() - 100, time.time() - 100))
        self.store().sweep()
        self.assertEqual(self.files(), [])

    def test_races(self) -> None:
        """Workers that write, find and evict at once never find what is none, and the bound holds in the end."""
        contents = [number.to_bytes(1, "big") * KB for number in range(24)]
        workers = [self.store(8 * KB) for _ in range(4)]
        begin = threading.Barrier(len(workers))

        def work(number: int) -> int:
            begin.wait(10)
            hits = 0
            for turn in range(150):
                content = contents[(turn * (2 * number + 1)) % len(contents)]
                if not turn % 3:
                    self.put(workers[number], content)
                hits += sum(self.found(Store(workers[number].facts), content))
            return hits

        with mock.patch.object(store, "TOUCH_SECONDS", 0.0), concurrent.futures.ThreadPoolExecutor(4) as pool:
            self.assertGreater(sum(pool.map(work, range(4))), 0)
        workers[0].sweep()
        self.assertLessEqual(sum(path.stat().st_size for path in self.folder.iterdir()), 8 * KB)
        self.assertFalse([name for name in self.files() if name.startswith(".")])

    def test_scene(self) -> None:
        """What a scene names counts each time, and more than it could send is refused with the setting's name."""
        kept = Store(StoreFacts(None, 2**20, 60.0, 4 * KB, 0))
        self.put(kept, A)
        scene = SceneStore(kept, 1024)
        for _ in range(3):
            self.assertEqual(scene.find(name_of(A), "here"), A)
        with self.assertRaisesRegex(LimitExceeded, r"^there: 5120 bytes .* at most 4096 \(setting max_body_bytes\)$"):
            scene.find(name_of(A), "there")

    def test_given(self) -> None:
        """A process that is told the same facts again goes on with what it has; a store itself is taken as it is."""
        facts: Any = tuple(self.store().facts)
        opened = scene_store(facts)
        self.assertIs(scene_store(list(facts))._store, opened._store)  # type: ignore[union-attr]
        kept = self.store()
        self.assertIs(scene_store(kept)._store, kept)  # type: ignore[union-attr]
        self.assertIsNone(scene_store(None))


class TestServerStore(StoreCase):
    def setUp(self) -> None:
        super().setUp()
        for name in ("memory_folder", "private_folder"):
            patched = mock.patch(f"gsp_network.store_folder.{name}", lambda: str(self.folder))
            patched.start()
            self.addCleanup(patched.stop)

    def opened(self, instance: str = INSTANCE, ours: bool = True, **settings: Any) -> ServerStore:
        opened = ServerStore(Settings(**{"workers": 1, **settings}), instance, ours)
        self.addCleanup(opened.close)
        opened.open()
        return opened

    def facts(self, opened: ServerStore) -> Any:
        return opened.given()

    def test_life(self) -> None:
        """A server's folder is its user's alone, is made again where somebody cleans up, and is gone when it closes."""
        one, other = self.opened(store_seconds=0.01), self.opened(INSTANCE[::-1])
        self.assertEqual(self.files(), sorted([f"store-{INSTANCE}", f"store-{INSTANCE[::-1]}"]))
        folder = pathlib.Path(self.facts(one).folder)
        if os.name == "posix":
            self.assertEqual(folder.stat().st_mode & 0o777, 0o700)
        (folder / OWNER).unlink()
        folder.rmdir()
        self.assertTrue(wait_until(lambda: (one.turn(), (folder / OWNER).exists())[1]))
        self.put(Store(self.facts(one)), A)
        one.close()
        one.close()
        self.assertIsNone(one.given())
        self.assertEqual(self.files(), [f"store-{INSTANCE[::-1]}"])
        self.assertEqual(self.facts(other).scene_bytes, Settings.max_body_bytes)

    def test_off(self) -> None:
        """There is no store where it is switched off, another's executor draws, or nothing can be written."""
        self.assertIsNone(self.opened(store_bytes=0).given())
        self.assertIsNone(self.opened(ours=False).given())
        self.assertIsInstance(self.opened(workers=0).given(), Store)
        with mock.patch("gsp_network.store_folder.memory_folder", return_value=None):
            with self.assertLogs("gsp_network", logging.WARNING):
                self.assertIsNone(self.opened().given())
        with mock.patch("os.mkdir", side_effect=OSError(30, "Read-only file system")):
            with self.assertLogs("gsp_network", logging.WARNING):
                self.assertIsNone(self.opened().given())
        self.assertEqual(self.files(), [])

    def test_left_behind(self) -> None:
        """Folders of processes that have ended go when the next server starts, others' only when they look abandoned."""
        ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
        machine = json.loads((pathlib.Path(self.facts(self.opened()).folder) / OWNER).read_text())["machine"]
        owners: dict[str, Optional[dict[str, Any]]] = {
            "1" * 16: {"pid": int(ended.stdout), "start": None, "machine": machine},
            "2" * 16: {"pid": os.getpid(), "start": "another time", "machine": machine},
            "3" * 16: {"pid": int(ended.stdout), "start": None, "machine": "another"},
            "4" * 16: {"pid": 1, "start": None, "machine": "another"},
            "5" * 16: None,
        }
        for instance, owner in owners.items():
            folder = self.folder / f"store-{instance}"
            folder.mkdir()
            (folder / name_of(A)).write_bytes(A)
            if owner is not None:
                (folder / OWNER).write_text(json.dumps(owner))
        old = time.time() - 2 * 24 * 3600
        os.utime(self.folder / f"store-{'4' * 16}" / OWNER, (old, old))
        (self.folder / "matplotlib").mkdir()
        clear_stale(str(self.folder))
        known = {INSTANCE[0], "3", "5"} | (set() if ports.start_of(os.getpid()) else {"2"})
        left = {name[len("store-")] for name in self.files() if name.startswith("store-")}
        self.assertEqual(left, known)
        self.assertIn("matplotlib", self.files())


class TestCleanedUp(StoreCase):
    """The folder of a server's store lies in one of its user's, which lies where anybody may clean up."""

    def setUp(self) -> None:
        super().setUp()
        self.memory, self.other = self.folder / "memory", self.folder / "other"
        self.memory.mkdir()
        self.other.mkdir()
        for patch in (
            mock.patch.object(folders, "SHARED_MEMORY", str(self.memory)),
            mock.patch.object(tempfile, "tempdir", str(self.other)),
        ):
            patch.start()
            self.addCleanup(patch.stop)
        self.kept = ServerStore(Settings(workers=1, store_seconds=0.02), INSTANCE, True)
        self.addCleanup(self.kept.close)
        self.kept.open()
        self.first: Any = self.kept.given()

    def turns(self, until: Callable[[], Any]) -> bool:
        return wait_until(lambda: (self.kept.turn(), until())[1])

    def works(self, facts: Any) -> None:
        self.put(Store(facts), A)
        self.assertEqual(self.found(Store(facts), A), [True])

    def test_made_again(self) -> None:
        """Where both have gone both are made again, and nobody is warned."""
        with self.assertLogs("gsp_network", logging.DEBUG) as logs:
            logging.getLogger("gsp_network").debug("begun")
            shutil.rmtree(pathlib.Path(self.first.folder).parent)
            self.assertTrue(self.turns(pathlib.Path(self.first.folder, OWNER).exists))
        self.assertEqual([record for record in logs.records if record.levelno >= logging.WARNING], [])
        self.assertEqual(self.kept.given(), self.first)
        self.works(self.first)

    def test_elsewhere(self) -> None:
        """Where there is no such memory any more the private folder takes them; none of it is left after the end."""
        shutil.rmtree(self.memory)
        self.assertTrue(self.turns(lambda: self.kept.given() != self.first))
        facts: Any = self.kept.given()
        self.assertEqual(pathlib.Path(facts.folder).parents[1], self.other)
        self.works(facts)
        self.kept.close()
        self.assertFalse(os.path.exists(facts.folder))

    def test_no_place_left(self) -> None:
        """Where no place is left there is no store, which is told once, until a later look finds one."""
        with self.assertLogs("gsp_network", logging.WARNING) as logs:
            shutil.rmtree(self.memory)
            shutil.rmtree(self.other)
            self.assertTrue(self.turns(lambda: self.kept.given() is None))
            with mock.patch("gsp_network.store_folder.RENEW_SECONDS", 0.01):
                with mock.patch.object(self.kept, "_open", wraps=self.kept._open) as tried:
                    self.assertTrue(self.turns(lambda: tried.call_count >= 3))
                self.memory.mkdir()
                self.assertTrue(self.turns(self.kept.given))
        told = [record for record in logs.records if record.name == "gsp_network.store_folder"]
        self.assertEqual(len(told), 1, logs.output)
        self.works(self.kept.given())


class TestFolders(unittest.TestCase):
    def test_memory(self) -> None:
        """Buffers lie on shared memory where there is some, in a folder of the user's alone; else in the private folder."""
        with tempfile.TemporaryDirectory() as base:
            with mock.patch.object(folders, "SHARED_MEMORY", base):
                made = pathlib.Path(str(folders.memory_folder()))
                self.assertEqual((str(made.parent), folders.memory_folder()), (base, str(made)))
                if os.name == "posix":
                    self.assertEqual(made.stat().st_mode & 0o777, 0o700)
                    made.chmod(0o755)  # as one that somebody else has made
                    with self.assertLogs("gsp_network", logging.WARNING):
                        self.assertEqual(folders.memory_folder(), folders.private_folder())
            with mock.patch.object(folders, "SHARED_MEMORY", os.path.join(base, "none")):
                self.assertEqual(folders.memory_folder(), folders.private_folder())
                with mock.patch("tempfile.gettempdir", side_effect=FileNotFoundError):
                    self.assertIsNone(folders.memory_folder())

    def test_light(self) -> None:
        """The process that listens keeps buffers for its workers without loading numpy."""
        code = "import sys, gsp_network.server; print('numpy' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
        self.assertEqual(done.stdout.strip(), "False", done.stderr)


if __name__ == "__main__":
    unittest.main()
