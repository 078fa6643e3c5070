"""The client: renderers that draw on a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .network_renderer import NetworkPayload as NetworkPayload
    from .network_renderer import NetworkRenderer as NetworkRenderer

PUBLIC = {".network_renderer": "NetworkPayload NetworkRenderer"}

__all__, __getattr__, __dir__ = lazy_names(__name__, PUBLIC, globals())
