"""The client: animations, live in a window or as a video."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .animator_network import AnimatorNetwork as AnimatorNetwork

PUBLIC = {".animator_network": "AnimatorNetwork"}

__all__, __getattr__, __dir__ = lazy_names(__name__, PUBLIC, globals())
