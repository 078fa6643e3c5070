"""The one folder into which this package writes on its own: private to its user, below the temporary directory."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from typing import Optional

logger = logging.getLogger(__name__)


def private_folder() -> Optional[str]:
    """Path of ``gsp_network-USER`` in the temporary directory, 0700 and this user's own; made where there is none.

    Returns:
        None where nothing can be written, or where somebody else's file or folder is in the way: what would have gone there
        is then done without.
    """
    user = str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    try:
        path = os.path.join(tempfile.gettempdir(), f"gsp_network-{user}")
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
        facts = os.lstat(path)  # of a link itself: whoever made it may point it elsewhere later
        ours = not hasattr(os, "getuid") or (facts.st_uid == os.getuid() and stat.S_IMODE(facts.st_mode) & 0o077 == 0)
        if stat.S_ISDIR(facts.st_mode) and ours and os.access(path, os.W_OK | os.X_OK):
            return path
        logger.warning("%s is not a folder of this user's alone: nothing is kept there", path)
    except OSError as exc:  # gettempdir(), too, where no directory can be written
        logger.warning(
            "no folder for Matplotlib's files, which it needs: %s; name one that can be written in TMPDIR", exc
        )
    return None
