"""Turns Matplotlib's own key shortcuts off in windows whose keys belong to viewports: s would save, q close, l bend the axes."""

from __future__ import annotations

import weakref
from typing import Any

# Figure canvases whose shortcuts are off -> how many have turned them off. Used by the GUI's thread alone.
_off: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def turn_off(mpl_canvas: Any) -> None:
    """Turn them off until `turn_on` was called as often; windows without them stay as they are."""
    manager = mpl_canvas.manager
    if mpl_canvas in _off:
        _off[mpl_canvas] += 1
    elif manager is not None and manager.key_press_handler_id is not None:
        _off[mpl_canvas] = 1
        mpl_canvas.mpl_disconnect(manager.key_press_handler_id)
        manager.key_press_handler_id = None


def turn_on(mpl_canvas: Any) -> None:
    """Undo one `turn_off`."""
    if mpl_canvas not in _off:
        return
    _off[mpl_canvas] -= 1
    if not _off[mpl_canvas]:
        from matplotlib.backend_bases import key_press_handler

        del _off[mpl_canvas]
        mpl_canvas.manager.key_press_handler_id = mpl_canvas.mpl_connect("key_press_event", key_press_handler)
