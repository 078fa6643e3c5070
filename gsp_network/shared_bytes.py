"""A large body on its way to a worker: through memory that both processes see, in place of the pipe between them.

For 40 MB a pipe takes 30 to 60 ms, this 4. Linux alone has memory that is no file anywhere (memfd_create(2)), so that nothing is
left whatever becomes of either process; elsewhere, and for less than LEAST_BYTES, there is the pipe.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
from typing import Optional

LEAST_BYTES = 2**20
MOST_KEPT = 2**24  # which stays a worker's for its next body


class SharedBytes:
    """The server's side, for one worker, which has one body at a time.

    Attributes:
        descriptor: of the memory, for the worker to inherit; None where there is none to be had.
    """

    def __init__(self) -> None:
        self.descriptor: Optional[int] = None
        self._lock = threading.Lock()  # a descriptor that is closed meanwhile may be another file's by then
        if hasattr(os, "memfd_create"):
            with contextlib.suppress(OSError):  # no more files, or a sandbox that forbids it
                self.descriptor = _above_standard(os.memfd_create("gsp_network", os.MFD_CLOEXEC))

    def put(self, data: bytes) -> bool:
        """Have the worker see `data`; False where it must go by the pipe. What was there before is written over."""
        with self._lock:
            if self.descriptor is None or len(data) < LEAST_BYTES:
                return False
            written, view = 0, memoryview(data)
            with contextlib.suppress(OSError):  # no memory
                while written < len(data):
                    written += os.pwrite(self.descriptor, view[written:], written)
            return written == len(data)

    def shrink(self) -> None:
        """Give back what a very large body took, once the worker has answered."""
        with self._lock:
            if self.descriptor is not None and os.fstat(self.descriptor).st_size > MOST_KEPT:
                os.ftruncate(self.descriptor, 0)

    def close(self) -> None:
        """Let go of it; a second time does nothing."""
        with self._lock:
            if self.descriptor is not None:
                os.close(self.descriptor)
                self.descriptor = None


def _above_standard(descriptor: int) -> int:
    """The descriptor, or another of the same in place of one that a worker has for its pipes: a server may run without those."""
    if descriptor > 2:
        return descriptor
    import fcntl

    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(descriptor)


def take(descriptor: int, size: int) -> mmap.mmap:
    """What the server has put there, on the worker's side; it holds until the next is put."""
    return mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
