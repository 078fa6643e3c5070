"""What can be drawn: canvas, viewports, cameras, buffers, transforms and the seven visuals. Imports numpy only."""

from __future__ import annotations

from .._lazy import lazy_names

PUBLIC = {
    ".buffers": "Buffer BufferType",
    ".contracts": "AnimatorBase RendererBase ViewportEventsBase",
    ".events": "Event",
    ".groups": "Groups",
    ".objects": "Camera Canvas Texture Viewport",
    ".projection": "project",
    ".transforms": "TransBuf TransformChain TransformLinkBase TransformLinkImmediate TransformRegistry",
    ".units": "pixels_to_points points_to_pixels",
    ".visuals": "CapStyle Image ImageInterpolation JoinStyle MarkerShape Markers Paths Pixels Points Segments Texts "
    "VISUALS VisualBase",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, PUBLIC, globals())
