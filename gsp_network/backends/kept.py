"""What a backend keeps from frame to frame, within so many bytes."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Hashable

# What an entry takes beside its value: keys, tuples, array heads.
ENTRY_BYTES = 1024


class Kept:
    """Values by key; of those that take more together than there is room for, the ones that were asked for last stay.

    Attributes:
        most_bytes: the room.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._bytes = 0
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable) -> Any:
        """The value under that key, or None."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def put(self, key: Hashable, value: Any, size: int) -> None:
        """Keep a value of `size` bytes in place of the one under that key, unless it is too large by itself."""
        self._bytes -= self._entries.pop(key, (None, 0))[1]
        size += ENTRY_BYTES
        if size <= self.most_bytes:
            self._entries[key] = value, size
            self._bytes += size
        while self._bytes > self.most_bytes:
            self._bytes -= self._entries.popitem(last=False)[1][1]
