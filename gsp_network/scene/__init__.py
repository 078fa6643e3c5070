"""What can be drawn: canvas, viewports, cameras, buffers, transforms and the seven visuals. Imports numpy only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:  # for type checkers and editors, which do not look into PUBLIC; a test holds the two together
    from .buffers import Buffer as Buffer
    from .buffers import BufferType as BufferType
    from .contracts import AnimatorBase as AnimatorBase
    from .contracts import AnimatorFunc as AnimatorFunc
    from .contracts import RendererBase as RendererBase
    from .contracts import VideoSavedCalledback as VideoSavedCalledback
    from .contracts import ViewportEventsBase as ViewportEventsBase
    from .events import CanvasResizeEvent as CanvasResizeEvent
    from .events import CanvasResizeEventCallback as CanvasResizeEventCallback
    from .events import Event as Event
    from .events import EventType as EventType
    from .events import KeyboardEventCallback as KeyboardEventCallback
    from .events import KeyEvent as KeyEvent
    from .events import MouseEvent as MouseEvent
    from .events import MouseEventCallback as MouseEventCallback
    from .groups import Groups as Groups
    from .objects import Camera as Camera
    from .objects import Canvas as Canvas
    from .objects import Texture as Texture
    from .objects import Viewport as Viewport
    from .projection import project as project
    from .transforms import TransBuf as TransBuf
    from .transforms import TransformChain as TransformChain
    from .transforms import TransformLinkBase as TransformLinkBase
    from .transforms import TransformLinkImmediate as TransformLinkImmediate
    from .transforms import TransformRegistry as TransformRegistry
    from .units import pixels_to_points as pixels_to_points
    from .units import points_to_pixels as points_to_pixels
    from .visuals import VISUALS as VISUALS
    from .visuals import CapStyle as CapStyle
    from .visuals import Image as Image
    from .visuals import ImageInterpolation as ImageInterpolation
    from .visuals import JoinStyle as JoinStyle
    from .visuals import Markers as Markers
    from .visuals import MarkerShape as MarkerShape
    from .visuals import Paths as Paths
    from .visuals import Pixels as Pixels
    from .visuals import Points as Points
    from .visuals import Segments as Segments
    from .visuals import Texts as Texts
    from .visuals import VisualBase as VisualBase

PUBLIC = {
    ".buffers": "Buffer BufferType",
    ".contracts": "AnimatorBase AnimatorFunc RendererBase VideoSavedCalledback ViewportEventsBase",
    ".events": "CanvasResizeEvent CanvasResizeEventCallback Event EventType KeyEvent KeyboardEventCallback MouseEvent "
    "MouseEventCallback",
    ".groups": "Groups",
    ".objects": "Camera Canvas Texture Viewport",
    ".projection": "project",
    ".transforms": "TransBuf TransformChain TransformLinkBase TransformLinkImmediate TransformRegistry",
    ".units": "pixels_to_points points_to_pixels",
    ".visuals": "CapStyle Image ImageInterpolation JoinStyle MarkerShape Markers Paths Pixels Points Segments Texts "
    "VISUALS VisualBase",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, PUBLIC, globals())
