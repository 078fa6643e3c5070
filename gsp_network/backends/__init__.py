"""The backends by renderer name, each loaded on first use, so that a server without one of them still starts."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import logging
import threading
from typing import TYPE_CHECKING, Any

from ..errors import RendererUnavailable

if TYPE_CHECKING:  # it needs numpy, which a server that draws in worker processes does without
    from .base import Backend

logger = logging.getLogger(__name__)

BACKENDS = {
    "matplotlib": (".matplotlib_backend", "MatplotlibBackend"),
    "datoviz": (".datoviz_backend", "DatovizBackend"),
}
"""Renderer name -> (module, class)."""

_instances: dict[str, Backend] = {}
_lock = threading.Lock()


def why_not(name: str) -> str:
    """Why this process cannot draw with that renderer; empty where it can, as far as can be told without loading it."""
    if name not in BACKENDS:
        return f"gsp_network does not draw with {name}, use one of {', '.join(BACKENDS)}"
    if importlib.util.find_spec(name) is None:
        return f"{name} is not installed on the server, install it with: pip install {name}"
    return ""


@functools.cache
def version(name: str) -> str:
    """Version of a renderer's library, found without loading it; "unknown" where it carries no metadata."""
    from importlib import metadata  # it takes longer to load than the rest of a server

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def backend(name: str) -> Backend:
    """The process's one backend of that name.

    Raises:
        RendererUnavailable: it cannot be used here; the message says why.
    """
    reason = why_not(name)
    if reason:
        raise RendererUnavailable(f"renderer_name: {reason}")
    with _lock:
        if name not in _instances:
            module, class_name = BACKENDS[name]
            try:
                made: Any = getattr(importlib.import_module(module, __name__), class_name)
            except MemoryError:
                raise
            except Exception as exc:  # somebody else's code: broken, or without a place for its files
                logger.error("%s cannot be loaded: %s", name, exc)
                raise RendererUnavailable(
                    f"renderer_name: {name} cannot be loaded on the server; its log says why"
                ) from exc
            _instances[name] = made()
        return _instances[name]


def spent() -> bool:
    """Whether a backend of this process says that a fresh process should take over."""
    return any(instance.spent for instance in list(_instances.values()))
