"""What mouse and keys do in a viewport of a renderer's window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .viewport_events_network import ViewportEventsNetwork as ViewportEventsNetwork

PUBLIC = {".viewport_events_network": "ViewportEventsNetwork"}

__all__, __getattr__, __dir__ = lazy_names(__name__, PUBLIC, globals())
