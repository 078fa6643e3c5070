"""Hands events on so that a slow callback never plays a backlog: of moves, scrolls and resizes only the latest counts.

A GUI delivers every move, one call each; those that came while a callback was at work still lie in its queue. Handing each on
would play them all. So a move waits until the GUI has nothing more to deliver, and the next one takes its place. Presses,
releases and keys wait for nothing, are all handed on, and take what waits before them along, so that the order stays.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Union

from ..scene.events import CanvasResizeEvent, EventType, KeyEvent, MouseEvent

ViewportEvent = Union[KeyEvent, MouseEvent, CanvasResizeEvent]

LATEST_WINS = frozenset({EventType.MOUSE_MOVE, EventType.MOUSE_SCROLL, EventType.CANVAS_RESIZE})
# Of GUIs' queues, timers come after the events that were there before they ran out. A timer of 0 is another matter: Tk
# puts it first in the queue.
DELAY_MS = 1


class Coalescer:
    """Passes events to `deliver` in their order, the outdated ones left out.

    Between two presses, releases or keys there is at most one move, one scroll and one resize, each at the place of the
    latest; the steps of scrolls add up. `deliver` is never called while it is at work: what comes meanwhile, through a GUI
    that runs inside a callback, has its turn afterwards. What `deliver` raises comes through, and the next events still come.

    Args:
        mpl_canvas: a figure's; its timers tell when the GUI has nothing more to deliver. Where it has no GUI, all is passed on
            at once.
        deliver: takes one event.
    """

    def __init__(self, mpl_canvas: Any, deliver: Callable[[ViewportEvent], None]) -> None:
        self._deliver = deliver
        self._queue: list[ViewportEvent] = []
        self._timer = mpl_canvas.new_timer(interval=DELAY_MS)
        self._timer.single_shot = True
        self._timer.add_callback(self._on_timer)
        self._has_gui = type(self._timer).__name__ != "TimerBase"  # which never fires
        self._timer_runs = self._at_work = self._closed = False

    def add(self, event: ViewportEvent) -> None:
        """Pass an event on, now or once the GUI has nothing newer."""
        if self._closed:
            return
        if event.event_type in LATEST_WINS:
            self._queue.append(self._take_outdated(event))
            if not self._at_work and not self._wait_for_gui():
                self._work()
        else:
            self._queue.append(event)
            if not self._at_work:
                self._work()

    def _take_outdated(self, event: ViewportEvent) -> ViewportEvent:
        """Take the waiting event that this one outdates off the queue; the event, with that one's steps where it scrolls."""
        for index in reversed(range(len(self._queue))):
            older = self._queue[index]
            if older.event_type is event.event_type:
                del self._queue[index]
                if isinstance(event, MouseEvent) and isinstance(older, MouseEvent):
                    return replace(event, scroll_steps=older.scroll_steps + event.scroll_steps)
                return event
            if older.event_type not in LATEST_WINS:
                break
        return event

    def _wait_for_gui(self) -> bool:
        """Ask to be called when the GUI has nothing more to deliver; False where there is none."""
        if self._has_gui and not self._timer_runs:
            self._timer_runs = True
            self._timer.start()
        return self._has_gui

    def _on_timer(self) -> None:
        self._timer_runs = False
        if not self._at_work:
            self._work()

    def _work(self) -> None:
        """Pass on what waits, and the presses, releases and keys that come meanwhile; what is behind those waits for the GUI."""
        self._at_work = True
        due = len(self._queue)
        try:
            while self._queue:
                self._deliver(self._queue.pop(0))
                due -= 1
                only_latest = all(event.event_type in LATEST_WINS for event in self._queue)
                if self._queue and due <= 0 and only_latest and self._wait_for_gui():
                    break
        finally:
            self._at_work = False
            if self._queue:
                self._wait_for_gui()

    def close(self) -> None:
        """Pass nothing more on; a second time does nothing."""
        if not self._closed:
            self._closed = True
            self._queue.clear()
            if self._timer_runs:
                self._timer.stop()
