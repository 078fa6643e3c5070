"""Render GSP scenes somewhere else: a server that draws, and a client that looks like a local renderer.

Importing this loads nothing heavy; the public names arrive on first use.
"""

from __future__ import annotations

from ._lazy import lazy_names

__version__ = "0.1.0"

PUBLIC = {
    ".scene": """
        AnimatorBase Buffer BufferType Camera Canvas CapStyle Event Groups Image ImageInterpolation JoinStyle
        MarkerShape Markers Paths Pixels Points RendererBase Segments Texts Texture TransBuf TransformChain
        TransformLinkBase TransformLinkImmediate TransformRegistry VISUALS Viewport ViewportEventsBase VisualBase
        pixels_to_points points_to_pixels project
    """,
    ".codec": "Scene decode_scene encode_scene",
    ".errors": """
        BadResponse ClientError DeadlineExceeded GspNetworkError InvalidScene LimitExceeded MalformedBody
        RendererUnavailable RequestRefused ServerBusy ServerError ServerStartError ServerUnreachable SettingError
        UnsupportedTransform
    """,
    ".rendering": "render_payload render_scene",
    ".renderer": "NetworkPayload NetworkRenderer",
    ".server": "RenderServer",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, PUBLIC, globals())
