"""Saves requests and their pictures, for `gsp_network.tools.replay` to render again."""

from __future__ import annotations

import os
import pathlib
import re
import threading
from typing import Union

from .errors import ServerStartError


def write_whole(path: pathlib.Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file that appears whole or not at all; OSError where it cannot be written, and nothing is left then."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(data)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


class DebugFolder:
    """A hook for `RenderServer(on_render=...)`: each body and picture as ``NNNNNN_payload.json`` and ``NNNNNN_picture.png``.

    Files are readable by their owner alone (0600) and appear whole or not at all. Numbers go on from the highest one there.

    Args:
        path: the folder; it is made where there is none.
        most: how many requests are kept; the oldest go first.
    Raises:
        ServerStartError: the folder cannot be made or read.
    """

    def __init__(self, path: Union[str, os.PathLike[str]], most: int = 1000) -> None:
        self.path = pathlib.Path(path)
        self.most = most
        self._lock = threading.Lock()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._serial = max(self._serials(), default=0)
        except OSError as exc:
            raise ServerStartError(
                f"debug folder {self.path}: {exc.strerror}; choose another with --debug-dir"
            ) from exc

    def __call__(self, body: bytes, picture: bytes) -> None:
        """Save under the next number."""
        with self._lock:
            self._serial += 1
            serial = self._serial
        self.save(serial, body, picture)

    def save(self, serial: int, body: bytes, picture: bytes) -> None:
        """Save under `serial`, and delete what is over the count; OSError where that cannot be done."""
        with self._lock:
            for name, data in ((f"{serial:06d}_payload.json", body), (f"{serial:06d}_picture.png", picture)):
                write_whole(self.path / name, data, 0o600)
            by_age = sorted(self._serials(), key=lambda number: (self._saved_at(number), number))
            for old in by_age[: -self.most]:
                for kind in ("payload.json", "picture.png"):
                    (self.path / f"{old:06d}_{kind}").unlink(missing_ok=True)

    def _saved_at(self, serial: int) -> int:
        try:
            return (self.path / f"{serial:06d}_payload.json").stat().st_mtime_ns
        except OSError:  # half of a pair that somebody deleted: the first to go
            return 0

    def _serials(self) -> set[int]:
        matches = (re.fullmatch(r"(\d{6,})_(payload\.json|picture\.png)", name) for name in os.listdir(self.path))
        return {int(match.group(1)) for match in matches if match}
