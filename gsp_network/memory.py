"""The memory that a process keeps from frame to frame, where it is there for drawing alone.

Left to itself, glibc's malloc(3) gives what a frame has taken back to the system when the frame ends, and the next one pays for
it anew: a picture of 800 x 600 with 700 page faults, which take one to two milliseconds. From which size on it does so adapts to
what was freed; here it is the largest that this would come to.
"""

from __future__ import annotations

import ctypes

# <malloc.h>: parameters of mallopt(3), and the most that M_MMAP_THRESHOLD may be in a 64-bit process.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 2**25


def keep_memory() -> bool:
    """Have this process keep up to 64 MiB that it does not need at the moment; False where its C library cannot be told."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # another libc, or none that can be asked
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST) and mallopt(M_TRIM_THRESHOLD, 2 * LARGEST))
