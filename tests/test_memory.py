"""Memory that is kept for the next frame: counted in page faults of processes that draw."""

from __future__ import annotations

import ctypes
import pathlib
import platform
import unittest
from unittest import mock

from gsp_network import Canvas, NetworkRenderer
from gsp_network.memory import keep_memory

from .processes import ServerProcess, children_of

FRAMES = 20


def page_faults(pid: int) -> int:
    """How many a process has had (proc(5), minflt)."""
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[7])


@unittest.skipUnless(platform.libc_ver()[0] == "glibc", "the C library is not glibc")
class TestMemory(unittest.TestCase):
    def faults_a_frame(self, *options: str) -> float:
        """Of the process that draws for a server with these options."""
        server = ServerProcess("--datoviz-workers", "0", *options)
        self.addCleanup(server.close)
        with NetworkRenderer(Canvas(800, 600, 96.0), server.url, timeout=60.0) as renderer:
            for _ in range(FRAMES):
                renderer.render([], [], [], [])
            (pid,) = children_of(server.pid) or (server.pid,)
            before = page_faults(pid)
            for _ in range(FRAMES):
                renderer.render([], [], [], [])
            return (page_faults(pid) - before) / FRAMES

    def test_worker(self) -> None:
        """A worker process takes no new memory for a frame like the last ones."""
        self.assertLess(self.faults_a_frame("--workers", "1"), 100)

    def test_own_process(self) -> None:
        """Nor does a server's own process, where it draws itself."""
        self.assertLess(self.faults_a_frame("--workers", "0"), 100)


class TestOtherLibraries(unittest.TestCase):
    def test_nothing_to_tell(self) -> None:
        """Where the C library has no such function, or there is none to be found, nothing happens."""
        for found in (mock.Mock(side_effect=TypeError), mock.Mock(side_effect=OSError), lambda _: object()):
            with mock.patch.object(ctypes, "CDLL", found):
                self.assertIs(keep_memory(), False)


if __name__ == "__main__":
    unittest.main()
