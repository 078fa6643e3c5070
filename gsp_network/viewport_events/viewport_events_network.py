"""ViewportEventsNetwork: what mouse and keys do in one viewport of a renderer's window."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..errors import InvalidScene, kind_of
from ..scene.contracts import ViewportEventsBase
from ..scene.events import (
    CanvasResizeEvent,
    CanvasResizeEventCallback,
    Event,
    EventType,
    KeyboardEventCallback,
    KeyEvent,
    MouseEvent,
    MouseEventCallback,
)
from ..scene.objects import Viewport
from . import shortcuts
from .coalescing import Coalescer, ViewportEvent

BUTTONS = {1: "left_button", 2: "middle_button", 3: "right_button"}
"""Matplotlib's numbers of the buttons that are reported."""


class ViewportEventsNetwork(ViewportEventsBase):
    """Reports what mouse and keys do in one viewport of the window that shows a renderer's pictures.

    What happens outside the viewport is not reported, with one exception: the release of a button that was pressed inside,
    at the nearest place inside, and of a key whose press was reported. A viewport has its left and lower edge and not its right
    and upper ones, so that of two neighbours one alone reports. Where viewports overlap, each reports.

    Keys go to the viewport that was last clicked, with any button; to none before the first click and after one outside. Of
    overlapping viewports all have them. Matplotlib's own shortcuts (s saves, q closes) are off in the window meanwhile.

    Of moves, scrolls and resizes that come faster than callbacks return, only the latest is reported; the steps of scrolls
    add up. No press and no release is left out, and the order is kept.

    It listens until `close`, or until the window is closed, also where nothing refers to it but the window. All is called in
    the thread of the GUI.

    Args:
        renderer: whose window; a NetworkRenderer.
        viewport: a Viewport of ours or of an installed GSP_API. Where it lies is looked up at each event.
    Attributes:
        key_press_event, key_release_event: Events that call with a KeyEvent.
        button_press_event, button_release_event, mouse_move_event, mouse_scroll_event: Events that call with a MouseEvent.
        canvas_resize_event: an Event that calls with a CanvasResizeEvent when the window has another size.
    Raises:
        InvalidScene: a renderer without a figure, or a viewport that is none.
        GspNetworkError: the renderer is closed.
    """

    def __init__(self, renderer: Any, viewport: Any) -> None:
        if not callable(getattr(renderer, "get_mpl_figure", None)):
            raise InvalidScene("renderer", f"{kind_of(renderer)}, expected a NetworkRenderer")
        for name in ("uuid", *(field.name for field in Viewport.FIELDS)):
            if not callable(getattr(viewport, f"get_{name}", None)):
                raise InvalidScene("viewport", f"{kind_of(viewport)}, expected a Viewport")
        self.key_press_event: Event[KeyboardEventCallback] = Event()
        self.key_release_event: Event[KeyboardEventCallback] = Event()
        self.button_press_event: Event[MouseEventCallback] = Event()
        self.button_release_event: Event[MouseEventCallback] = Event()
        self.mouse_move_event: Event[MouseEventCallback] = Event()
        self.mouse_scroll_event: Event[MouseEventCallback] = Event()
        self.canvas_resize_event: Event[CanvasResizeEventCallback] = Event()
        self._renderer, self._viewport = renderer, viewport
        self._figure = renderer.get_mpl_figure()
        self._mpl_canvas = self._figure.canvas
        self._has_keys = False
        self._held: set[str] = set()  # buttons that are down, wherever they were pressed
        self._pressed: set[str] = set()  # buttons and keys whose press was reported and whose release was not
        self._coalescer = Coalescer(self._mpl_canvas, self._dispatch)
        # Matplotlib holds methods weakly: it would forget an object that nobody else keeps. It holds these.
        handlers = {
            "key_press_event": partial(self._on_key, EventType.KEY_PRESS),
            "key_release_event": partial(self._on_key, EventType.KEY_RELEASE),
            "button_press_event": partial(self._on_button, EventType.BUTTON_PRESS),
            "button_release_event": partial(self._on_button, EventType.BUTTON_RELEASE),
            "motion_notify_event": partial(self._on_mouse, EventType.MOUSE_MOVE),
            "scroll_event": partial(self._on_mouse, EventType.MOUSE_SCROLL),
            "resize_event": partial(self._on_resize),
            "close_event": lambda mpl_event: self.close(),
        }
        self._connections = [self._mpl_canvas.mpl_connect(name, handler) for name, handler in handlers.items()]
        shortcuts.turn_off(self._mpl_canvas)

    def _dispatch(self, event: ViewportEvent) -> None:
        getattr(self, f"{event.event_type.value}_event").dispatch(event)

    def _on_key(self, event_type: EventType, mpl_event: Any) -> None:
        name = mpl_event.key
        if name is None:  # a key that Matplotlib has no name for
            return
        key = _plain(name)
        expected = key in self._pressed
        if event_type is EventType.KEY_RELEASE:
            self._pressed.discard(key)
        elif self._has_keys:
            self._pressed.add(key)
        if expected if event_type is EventType.KEY_RELEASE else self._has_keys:
            self._coalescer.add(KeyEvent(self._viewport.get_uuid(), event_type, str(name)))

    def _on_button(self, event_type: EventType, mpl_event: Any) -> None:
        x_ndc, y_ndc, inside = self._place(mpl_event)
        if event_type is EventType.BUTTON_PRESS:
            self._has_keys = inside
        name = BUTTONS.get(mpl_event.button)
        if name is None:
            return
        expected = name in self._pressed
        if event_type is EventType.BUTTON_PRESS:
            self._held.add(name)
            if inside:
                self._pressed.add(name)
        else:
            self._held.discard(name)
            self._pressed.discard(name)
        if inside or (expected and event_type is EventType.BUTTON_RELEASE):
            x_ndc, y_ndc = (min(max(value, -1.0), 1.0) for value in (x_ndc, y_ndc))
            self._coalescer.add(MouseEvent(self._viewport.get_uuid(), event_type, x_ndc, y_ndc, **{name: True}))

    def _on_mouse(self, event_type: EventType, mpl_event: Any) -> None:
        """A move or a scroll."""
        x_ndc, y_ndc, inside = self._place(mpl_event)
        if not inside:
            return
        held = {name: name in self._held or mpl_event.button == number for number, name in BUTTONS.items()}
        steps = float(mpl_event.step) if event_type is EventType.MOUSE_SCROLL else 0.0
        self._coalescer.add(MouseEvent(self._viewport.get_uuid(), event_type, x_ndc, y_ndc, **held, scroll_steps=steps))

    def _on_resize(self, mpl_event: Any) -> None:
        # Logical pixels, as get_width_height, which rounds 399.99999999999994 down.
        ratio = self._mpl_canvas.device_pixel_ratio
        width, height = (round(float(size) / ratio) for size in self._figure.bbox.size)
        self._coalescer.add(CanvasResizeEvent(self._viewport.get_uuid(), EventType.CANVAS_RESIZE, width, height))

    def _place(self, mpl_event: Any) -> tuple[float, float, bool]:
        """Where in the viewport's NDC, and whether inside.

        Matplotlib counts the window's physical pixels, in events and in the figure's box alike, whatever the device pixel
        ratio. The picture fills the window, so that a fraction of the box is the same fraction of the scene's canvas.
        """
        if mpl_event.x is None or mpl_event.y is None:
            return 0.0, 0.0, False
        canvas, viewport, box = self._renderer.get_canvas(), self._viewport, self._figure.bbox
        width, height = canvas.get_width(), canvas.get_height()
        # Rounded, since a box of 200 px may be one of 200.00000000000003.
        x = round(float(mpl_event.x / box.width * width), 6)
        y = round(float(mpl_event.y / box.height * height), 6)
        left, lower = viewport.get_x(), viewport.get_y()
        right, upper = left + viewport.get_width(), lower + viewport.get_height()
        # GUIs count rows from the top, from 0, and Matplotlib turns them over: the window's uppermost row is at its height.
        inside = left <= x < right and (lower <= y < upper or y == upper == height)
        return 2 * (x - left) / (right - left) - 1, 2 * (y - lower) / (upper - lower) - 1, inside

    def close(self) -> None:
        """Stop listening; a second time does nothing."""
        connections, self._connections = self._connections, []
        for connection in connections:
            self._mpl_canvas.mpl_disconnect(connection)
        if connections:
            self._coalescer.close()
            shortcuts.turn_on(self._mpl_canvas)

    def __enter__(self) -> ViewportEventsNetwork:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _plain(name: str) -> str:
    """A key's name whatever else is held: Matplotlib's names begin with ctrl and the like, which may be released before it."""
    return "key " + (name[:-1].rpartition("+")[2] + name[-1:]).lower()
