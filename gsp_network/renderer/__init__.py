"""The client: renderers that draw on a server."""

from __future__ import annotations

from .._lazy import lazy_names

__all__, __getattr__, __dir__ = lazy_names(__name__, {".network_renderer": "NetworkPayload NetworkRenderer"}, globals())
