"""Events: callbacks that are called in the order in which they subscribed, and what those of a viewport are told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Callable, Generic, Protocol, TypeVar

Callback = TypeVar("Callback", bound=Callable[..., Any])


class Event(Generic[Callback]):
    """A list of callbacks; ``Event[Callable[[int], None]]`` tells a type checker what they take."""

    def __init__(self) -> None:
        self._callbacks: list[Callback] = []

    @property
    def has_callbacks(self) -> bool:
        """Whether a dispatch would call anybody."""
        return bool(self._callbacks)

    def subscribe(self, callback: Callback) -> None:
        """Call `callback` at each dispatch from now on; one that is subscribed twice is called twice."""
        if not callable(callback):
            raise TypeError(f"callback: {type(callback).__name__}, expected something callable")
        self._callbacks.append(callback)

    def unsubscribe(self, callback: Callback) -> None:
        """Stop calling `callback`; ValueError where it is not subscribed."""
        if callback not in self._callbacks:
            raise ValueError("callback: not subscribed to this event")
        self._callbacks.remove(callback)

    def dispatch(self, *args: Any, **kwargs: Any) -> None:
        """Call every callback with these arguments; what one raises comes through, and the later ones are not called."""
        for callback in list(self._callbacks):
            callback(*args, **kwargs)

    def event_listener(self, callback: Callback) -> Callback:
        """Subscribe `callback` and return it: a decorator."""
        self.subscribe(callback)
        return callback


class EventType(str, Enum):
    """What has happened in a viewport."""

    KEY_PRESS = "key_press"
    KEY_RELEASE = "key_release"
    BUTTON_PRESS = "button_press"
    BUTTON_RELEASE = "button_release"
    MOUSE_MOVE = "mouse_move"
    MOUSE_SCROLL = "mouse_scroll"
    CANVAS_RESIZE = "canvas_resize"


@dataclass(frozen=True)
class KeyEvent:
    """A key was pressed or released while the viewport had the keys.

    Attributes:
        viewport_uuid: of the viewport that had them.
        key_name: as Matplotlib names keys: "a", "A", "left", "ctrl+a".
    """

    viewport_uuid: str
    event_type: EventType
    key_name: str


@dataclass(frozen=True)
class MouseEvent:
    """The mouse did something in a viewport.

    Attributes:
        viewport_uuid: of the viewport.
        x_ndc, y_ndc: where, from -1 at its left and lower edge to 1 at its right and upper one.
        left_button, middle_button, right_button: of a press or release, whether that was the button; of a move or a scroll,
            whether it is held down.
        scroll_steps: notches of the wheel, up above 0; 0 but for a scroll.
    """

    viewport_uuid: str
    event_type: EventType
    x_ndc: float
    y_ndc: float
    left_button: bool = False
    middle_button: bool = False
    right_button: bool = False
    scroll_steps: float = 0.0


@dataclass(frozen=True)
class CanvasResizeEvent:
    """The window's canvas, in which the viewport lies, has another size.

    Attributes:
        viewport_uuid: of the viewport.
        canvas_width_px, canvas_height_px: in logical pixels, as a scene's canvas counts them: on a screen of device pixel
            ratio 2 half as many as the screen's.
    """

    viewport_uuid: str
    event_type: EventType
    canvas_width_px: int
    canvas_height_px: int


class KeyboardEventCallback(Protocol):
    """What key_press_event and key_release_event call."""

    def __call__(self, key_event: KeyEvent, /) -> None:
        """A key was pressed or released."""


class MouseEventCallback(Protocol):
    """What button_press_event, button_release_event, mouse_move_event and mouse_scroll_event call."""

    def __call__(self, mouse_event: MouseEvent, /) -> None:
        """The mouse did something."""


class CanvasResizeEventCallback(Protocol):
    """What canvas_resize_event calls."""

    def __call__(self, resize_event: CanvasResizeEvent, /) -> None:
        """The window's canvas has another size."""
