"""Large bodies reach workers through memory that both see, and by the pipe where there is none."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import threading
import unittest
from unittest import mock

import numpy as np

from gsp_network import shared_bytes
from gsp_network.rendering import render_payload
from gsp_network.settings import DEFAULT_LIMITS
from gsp_network.shared_bytes import LEAST_BYTES, SharedBytes, take
from gsp_network.workers import WorkerPool, render

from .scenes import BLUE, GREEN, RED, body_of, pixels
from .support import ROOT

needs_memory = unittest.skipUnless(hasattr(os, "memfd_create"), "memory without a file is Linux's")


def kind_and_digest(data: bytes) -> list:
    """What a worker got: its type, its size, its SHA-256."""
    return [type(data).__name__, len(data), hashlib.sha256(data).hexdigest()]


def as_sent(data: bytes, kind: str) -> tuple:
    return (kind, len(data), hashlib.sha256(data).hexdigest())


def large_body(color: tuple) -> bytes:
    """A scene of more than a MB: as many dots as it takes."""
    places = np.zeros((70_000, 3))
    places[:, 0] = np.linspace(-1, 1, len(places))
    return body_of(pixels(places, [[*color, 255]], len(places)))


class TestSharedBytes(unittest.TestCase):
    @needs_memory
    def test_put_and_take(self) -> None:
        """What was put last is taken, whatever was there before; when it is closed, nothing is put any more."""
        shared = SharedBytes()
        for size in (LEAST_BYTES, 3 * LEAST_BYTES, 2 * LEAST_BYTES):
            data = os.urandom(size)
            self.assertTrue(shared.put(data))
            with take(shared.descriptor or 0, size) as taken:
                self.assertEqual(taken[:], data)
        descriptor = shared.descriptor or 0
        shared.close()
        shared.close()
        self.assertRaises(OSError, os.fstat, descriptor)
        self.assertFalse(shared.put(bytes(LEAST_BYTES)))

    def test_small_and_impossible(self) -> None:
        """What is small is left to the pipe, and so is everything where there is no such memory, or none left."""
        shared = SharedBytes()
        self.addCleanup(shared.close)
        self.assertFalse(shared.put(bytes(LEAST_BYTES - 1)))
        with mock.patch.object(os, "pwrite", side_effect=OSError(28, "No space left on device"), create=True):
            self.assertFalse(shared.put(bytes(LEAST_BYTES)))
        with mock.patch.object(os, "memfd_create", side_effect=OSError(38, "Function not implemented"), create=True):
            self.assertIsNone(SharedBytes().descriptor)

    @needs_memory
    def test_shrink(self) -> None:
        """What a very large body took is given back; a smaller one's stays for the next."""
        shared = SharedBytes()
        self.addCleanup(shared.close)
        with mock.patch.object(shared_bytes, "MOST_KEPT", 2 * LEAST_BYTES):
            for size, kept in ((2 * LEAST_BYTES, 2 * LEAST_BYTES), (3 * LEAST_BYTES, 0)):
                self.assertTrue(shared.put(bytes(size)))
                shared.shrink()
                self.assertEqual(os.fstat(shared.descriptor or 0).st_size, kept)

    @needs_memory
    def test_without_standard_descriptors(self) -> None:
        """In a process without standard input, output and error, it takes none of their places, which a worker's pipes take."""
        code = "import sys; from gsp_network.shared_bytes import SharedBytes; both = SharedBytes(), SharedBytes()\n"
        code += "with open(sys.argv[1], 'w') as file: print(*(one.descriptor for one in both), file=file)"
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "descriptors")
            command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code, path]
            self.assertEqual(subprocess.run(command, timeout=60, cwd=ROOT).returncode, 0)
            with open(path) as file:
                self.assertGreater(min(map(int, file.read().split())), 2)

    @needs_memory
    def test_by_a_worker(self) -> None:
        """Calls of all sizes in turn reach a worker whole; the server's descriptors are as many afterwards as before."""
        before = len(os.listdir("/proc/self/fd"))
        pool = WorkerPool(1)
        self.addCleanup(pool.shutdown)
        for size, kind in (
            (10, "bytes"),
            (LEAST_BYTES, "mmap"),
            (5 * LEAST_BYTES, "mmap"),
            (20, "bytes"),
            (LEAST_BYTES, "mmap"),
        ):
            data = os.urandom(size)
            self.assertEqual(pool.submit(kind_and_digest, data).result(60), as_sent(data, kind))
        pool.shutdown()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    @needs_memory
    def test_pictures(self) -> None:
        """Scenes that reach a worker so are drawn as in this process, one after the other and from several threads."""
        pool = WorkerPool(2)
        self.addCleanup(pool.shutdown)
        bodies = [large_body(color) for color in (RED, GREEN, BLUE)] * 2
        self.assertGreater(len(bodies[0]), LEAST_BYTES)
        expected = [render_payload(body) for body in bodies[:3]] * 2
        futures = [pool.submit(render, body, None, None, DEFAULT_LIMITS) for body in bodies]
        self.assertEqual([future.result(60)[0] for future in futures], expected)

    def test_without(self) -> None:
        """Where there is no such memory, large calls go by the pipe."""
        with mock.patch.object(shared_bytes.SharedBytes, "put", return_value=False):
            pool = WorkerPool(1)
            self.addCleanup(pool.shutdown)
            data = os.urandom(LEAST_BYTES)
            self.assertEqual(pool.submit(kind_and_digest, data).result(60), as_sent(data, "bytes"))

    @needs_memory
    def test_closed_while_put(self) -> None:
        """Closing while a body is put waits: the descriptor is never another file's by then."""
        shared = SharedBytes()
        begun, real = threading.Event(), os.pwrite

        def slow(descriptor: int, data: bytes, offset: int) -> int:
            begun.set()
            closing.join(0.05)
            return real(descriptor, data, offset)

        closing = threading.Thread(target=lambda: (begun.wait(60), shared.close()))
        closing.start()
        with mock.patch.object(os, "pwrite", slow):
            self.assertTrue(shared.put(bytes(LEAST_BYTES)))
        closing.join(60)
        self.assertIsNone(shared.descriptor)


if __name__ == "__main__":
    unittest.main()
