"""What a renderer, an animator and the events of a viewport can do, wherever they draw."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, Sequence

from .events import CanvasResizeEventCallback, Event, KeyboardEventCallback, MouseEventCallback
from .objects import Camera, Canvas, Viewport
from .transforms import TransBuf
from .visuals import VisualBase


class RendererBase(ABC):
    """Draws scenes on one canvas."""

    @abstractmethod
    def get_canvas(self) -> Canvas:
        """The canvas that is drawn on."""

    @abstractmethod
    def render(
        self,
        viewports: Sequence[Viewport],
        visuals: Sequence[VisualBase],
        model_matrices: Sequence[TransBuf],
        cameras: Sequence[Camera],
    ) -> bytes:
        """Draw visual i in viewport i, with model matrix i, through camera i, in this order; return the PNG."""

    @abstractmethod
    def show(self) -> None:
        """Show the last picture and wait until its window is closed."""

    @abstractmethod
    def clear(self) -> None:
        """Forget the last picture."""

    @abstractmethod
    def close(self) -> None:
        """Give back what the renderer holds; a second time does nothing."""


class AnimatorFunc(Protocol):
    """What an animator calls before every frame."""

    def __call__(self, delta_time: float, /) -> Sequence[VisualBase]:
        """Change visuals by what happens in `delta_time` seconds; return those that changed, an empty list for none."""


class VideoSavedCalledback(Protocol):
    """What an animator calls when its video is complete and in its place."""

    def __call__(self) -> None:
        """Make use of the video."""


class AnimatorBase(ABC):
    """Calls functions that change visuals, and draws the frames."""

    on_video_saved: Event[VideoSavedCalledback]

    @abstractmethod
    def add_callback(self, func: AnimatorFunc) -> None:
        """Call `func` before every frame with the seconds since the last one; it returns the visuals it changed."""

    @abstractmethod
    def remove_callback(self, func: AnimatorFunc) -> None:
        """Stop calling `func`."""

    @abstractmethod
    def event_listener(self, func: AnimatorFunc) -> AnimatorFunc:
        """Add `func` and return it: a decorator."""

    @abstractmethod
    def start(
        self,
        viewports: Sequence[Viewport],
        visuals: Sequence[VisualBase],
        model_matrices: Sequence[TransBuf],
        cameras: Sequence[Camera],
    ) -> None:
        """Run until `stop` is called, the window is closed or the video is complete."""

    @abstractmethod
    def stop(self) -> None:
        """End the animation."""


class ViewportEventsBase(ABC):
    """Mouse and keyboard events of one viewport."""

    key_press_event: Event[KeyboardEventCallback]
    key_release_event: Event[KeyboardEventCallback]
    button_press_event: Event[MouseEventCallback]
    button_release_event: Event[MouseEventCallback]
    mouse_move_event: Event[MouseEventCallback]
    mouse_scroll_event: Event[MouseEventCallback]
    canvas_resize_event: Event[CanvasResizeEventCallback]

    @abstractmethod
    def close(self) -> None:
        """Stop listening; a second time does nothing."""
