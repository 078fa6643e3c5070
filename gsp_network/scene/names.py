"""The names of buffers: the SHA-256 (FIPS 180-4) of their bytes in lower-case hex. Imports no numpy, as `refs` does."""

from __future__ import annotations

import hashlib
from typing import Union

NAME = "[0-9a-f]{64}"
"""Pattern of a name."""


def name_of(data: Union[bytes, bytearray, memoryview]) -> str:
    """The name of these bytes."""
    return hashlib.sha256(data).hexdigest()
