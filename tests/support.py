"""What several test files need: the folder of golden cases, where there is one, a certificate, whether Datoviz draws here."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
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

slow = unittest.skipIf(os.environ.get("GSP_SKIP_SLOW"), "it takes seconds, and GSP_SKIP_SLOW is set")
"""For tests of 2 s and more."""


@functools.cache
def datoviz_reason() -> str:
    """Why Datoviz cannot draw here; empty where it can, as far as can be told without drawing."""
    if importlib.util.find_spec("datoviz") is None:
        return "Datoviz is not installed"
    code = "from gsp_network.backends.datoviz_device import look; print(look())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    if done.returncode:
        return f"looking for a device ended with status {done.returncode}"
    return str(json.loads(done.stdout.splitlines()[-1])["reason"])


def make_certificate(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """A self-signed certificate for localhost and 127.0.0.1, made by the command line ``openssl``; SkipTest without it.

    Returns:
        PEM files in `folder`: the certificate, and its key.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        raise unittest.SkipTest("no openssl on the path, which makes the certificate")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise AssertionError(f"openssl failed: {done.stderr}")
    return certificate, key
