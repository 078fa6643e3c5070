"""What several test files need: the folder of golden cases, where there is one."""

from __future__ import annotations

import os
import pathlib
import unittest
from typing import Optional

ROOT = pathlib.Path(__file__).resolve().parent.parent
"""The repository's root."""


def _find_shared() -> Optional[pathlib.Path]:
    path = pathlib.Path(os.environ.get("GSP_SHARED") or ROOT.parent / "shared")
    return path.resolve() if (path / "golden").is_dir() else None


SHARED: Optional[pathlib.Path] = _find_shared()
"""The folder that holds golden/: what GSP_SHARED names, else ../shared; None where it is absent."""

GOLDEN: list[pathlib.Path] = sorted((SHARED / "golden").glob("*.json")) if SHARED else []
"""The golden requests, NAME.json; NAME.png beside each is the answer."""

needs_golden = unittest.skipUnless(GOLDEN, "no golden cases: set GSP_SHARED to the folder that holds golden/")
