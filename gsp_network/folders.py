"""The folders into which this package writes on its own, private to its user: one, and for buffers another on shared memory."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import tempfile
from typing import Optional

logger = logging.getLogger(__name__)

SHARED_MEMORY = "/dev/shm"  # of Linux: a file system in memory, on which all may write


def private_folder(quiet: bool = False) -> Optional[str]:
    """Path of ``gsp_network-USER`` in the temporary directory, 0700 and this user's own; made where there is none.

    Args:
        quiet: say nothing where there is no temporary directory: who needs one for Matplotlib says so.
    Returns:
        None where nothing can be written, or where somebody else's file or folder is in the way: what would have gone there
        is then done without.
    """
    base = None
    try:
        base = tempfile.gettempdir()
        return _private(base)
    except OSError as exc:  # gettempdir(), too, where no directory can be written
        if base is not None or not quiet:
            logger.warning(
                "no folder for Matplotlib's files, which it needs: %s; name one that can be written in TMPDIR", exc
            )
    return None


def memory_folder() -> Optional[str]:
    """The same on storage that is memory, where a system has some for everybody; else `private_folder`.

    Returns:
        None where nothing can be written.
    """
    if os.path.isdir(SHARED_MEMORY) and os.access(SHARED_MEMORY, os.W_OK | os.X_OK):
        try:
            path = _private(SHARED_MEMORY)
            if path is not None:
                return path
        except OSError as exc:  # full, or read-only after all
            logger.info("%s: %s", SHARED_MEMORY, exc)
    return private_folder(quiet=True)


def _private(base: str) -> Optional[str]:
    """The folder of this user's in `base`; None, which is logged, where another's is in the way; OSError where there is none."""
    user = str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    path = os.path.join(base, f"gsp_network-{user}")
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    facts = os.lstat(path)  # of a link itself: whoever made it may point it elsewhere later
    ours = not hasattr(os, "getuid") or (facts.st_uid == os.getuid() and stat.S_IMODE(facts.st_mode) & 0o077 == 0)
    if stat.S_ISDIR(facts.st_mode) and ours and os.access(path, os.W_OK | os.X_OK):
        return path
    logger.warning("%s is not a folder of this user's alone: nothing is kept there", path)
    return None
