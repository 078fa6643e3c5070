"""An animation in the renderer's window: wall-clock time, at most two frames under way, the newest picture shown.

Requests are made in threads of their own; everything else, the window above all, is done by the thread that called.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Optional

from ..errors import GspNetworkError
from .look_ahead import ask, settle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..renderer import NetworkRenderer

MOST_UNDER_WAY = 2  # one is drawn while another travels
SHORTEST_WAIT_SECONDS = 0.001  # the window gets that at least between two frames; 0 would be for ever
LONGEST_WAIT_SECONDS = 0.02  # until a stop or a closed window is seen
ANSWER_WAIT_SECONDS = 0.004  # until a picture that has come is shown
CLOSING_TURNS = 3  # of the GUI's loop, for a window that was closed
LAST_SECONDS = 2.0  # for pictures under way when the animation is stopped


def window_of(renderer: NetworkRenderer) -> Figure:
    """The renderer's figure, if it has a window.

    Raises:
        GspNetworkError: Matplotlib's backend opens none.
    """
    import matplotlib
    from matplotlib.backend_bases import FigureManagerBase

    figure = renderer.get_mpl_figure()
    manager = figure.canvas.manager
    if manager is None or type(manager).show is FigureManagerBase.show:
        raise GspNetworkError(
            f"an animation without video_path needs a window, and Matplotlib's backend {matplotlib.get_backend()} opens"
            " none: choose one that does, as by the environment variable MPLBACKEND=TkAgg, or give video_path"
        )
    return figure


def let_go(canvas: Any) -> None:
    """Have a window that was closed vanish, which takes its GUI a few turns of its loop."""
    for _ in range(CLOSING_TURNS):
        with contextlib.suppress(Exception):  # as soon as it has gone it cannot be asked any more
            canvas.flush_events()


class LiveLoop:
    """Runs an animation until it is stopped, its window is closed, or something fails.

    Args:
        renderer: draws, and shows.
        next_body: takes the seconds since the last frame and returns the next one's request; None where nothing changed.
        fps: frames in a second, at most.
        stopped: set by who wants to end it.
    """

    def __init__(
        self,
        renderer: NetworkRenderer,
        next_body: Callable[[float], Optional[bytes]],
        fps: float,
        stopped: threading.Event,
    ) -> None:
        self._renderer = renderer
        self._next_body = next_body
        self._period = 1 / fps
        self._stopped = stopped
        self._under_way: list[tuple[int, concurrent.futures.Future[bytes]]] = []
        self._asked = 0  # frames
        self._shown = 0  # the last one that is shown, counted from 1
        self._closed = False

    def run(self) -> None:
        """Run; what a callback or a request raises comes through."""
        figure = window_of(self._renderer)
        canvas: Any = figure.canvas
        connection = canvas.mpl_connect("close_event", self._on_close)
        try:
            canvas.manager.show()
            self._run(figure, canvas)
            if self._closed:
                let_go(canvas)
        finally:
            canvas.mpl_disconnect(connection)
            if not self._stopped.is_set():  # else they were waited for
                settle(future for _, future in self._under_way)

    def _run(self, figure: Figure, canvas: Any) -> None:
        due = time.monotonic()
        last: Optional[float] = None
        give_up: Optional[float] = None
        while self._is_open(figure):
            self._show_newest()
            now = time.monotonic()
            if self._stopped.is_set():
                give_up = give_up or now + LAST_SECONDS
                if not self._under_way or now > give_up:
                    return
            elif now >= due and len(self._under_way) < MOST_UNDER_WAY:
                body = self._next_body(self._period if last is None else now - last)
                last = now
                due = max(due + self._period, now)
                if body is not None:
                    self._asked += 1
                    self._under_way.append((self._asked, ask(self._renderer.request, body)))
            canvas.start_event_loop(self._wait(due))

    def _wait(self, due: float) -> float:
        """Seconds for the window."""
        longest = ANSWER_WAIT_SECONDS if self._under_way else LONGEST_WAIT_SECONDS
        if self._stopped.is_set() or len(self._under_way) == MOST_UNDER_WAY:
            return longest
        return max(SHORTEST_WAIT_SECONDS, min(longest, due - time.monotonic()))

    def _show_newest(self) -> None:
        """Show the newest picture that has come, unless a newer one was shown."""
        come = [(number, future) for number, future in self._under_way if future.done()]
        self._under_way = [item for item in self._under_way if item not in come]
        pictures = {number: future.result() for number, future in come}
        newest = max(pictures, default=0)
        if newest > self._shown:
            self._shown = newest
            self._renderer.display(pictures[newest])

    def _on_close(self, event: Any) -> None:
        self._closed = True
        event.canvas.stop_event_loop()  # its timer may go with the window, and the loop would never end

    def _is_open(self, figure: Figure) -> bool:
        from matplotlib import pyplot

        return not self._closed and pyplot.fignum_exists(figure.number)
