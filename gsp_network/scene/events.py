"""Events: callbacks that are called in the order in which they subscribed."""

from __future__ import annotations

from typing import Any, Callable, Generic, TypeVar

Callback = TypeVar("Callback", bound=Callable[..., Any])


class Event(Generic[Callback]):
    """A list of callbacks; ``Event[Callable[[int], None]]`` tells a type checker what they take."""

    def __init__(self) -> None:
        self._callbacks: list[Callback] = []

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
