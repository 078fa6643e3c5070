"""A stand-in for Datoviz, for worker processes in tests: looking at it, and drawing one colour with it."""

from __future__ import annotations

import json
import os
import threading
from typing import Any
from unittest import mock

from gsp_network import backends
from gsp_network.errors import DeviceLimitExceeded
from gsp_network.pools import Steps

COLOR = (1, 2, 3)
# What a canvas of this width does to the process.
FATAL_WIDTH, LARGE_WIDTH, SPENDING_WIDTH = 13, 14, 15
LIMITS = {"maxImageDimension2D": 4096}


def look() -> str:
    """A device."""
    return json.dumps({"reason": "", "device": "Stand-in 1", "driver": "software", "limits": LIMITS})


def look_in_vain() -> str:
    """No device."""
    return json.dumps({"reason": "there is no driver; install one", "device": "", "driver": "", "limits": {}})


def look_for_file() -> str:
    """A device once there is a file of the name that the environment gives."""
    return look() if os.path.exists(os.environ["STAND_IN_DRIVER"]) else look_in_vain()


def look_badly() -> str:
    """Something else."""
    return "{}"


def draws() -> bool:
    """It came out."""
    return True


def draws_not() -> bool:
    """It did not."""
    return False


def fails() -> bool:
    """It raises."""
    raise OSError("no such device")


def dies() -> Any:
    """It ends its process, as Datoviz does."""
    os._exit(1)


def hangs() -> Any:
    """It does not end."""
    threading.Event().wait()


def start() -> None:
    """From now on `datoviz` is the stand-in in this process."""
    from gsp_network.backends.base import Backend

    class StandIn(Backend):
        """One colour."""

        def render(self, canvas: Any, drawings: Any, math_text: bool = False) -> Any:
            import numpy as np

            width, height = canvas.get_width(), canvas.get_height()
            if width == FATAL_WIDTH:
                os._exit(0)
            if width == LARGE_WIDTH:
                raise DeviceLimitExceeded("canvas.width", "14 px, expected at most 13", "maxImageDimension2D")
            self.spent = width == SPENDING_WIDTH
            return np.full((height, width, 3), COLOR, np.uint8)

    backends._instances["datoviz"] = StandIn()
    backends.why_not = lambda name: ""  # type: ignore[assignment]


def start_not() -> None:
    """A worker that does not start."""
    os._exit(1)


def steps(**others: Any) -> Steps:
    """All goes well, but for others by name."""
    found = {"look": look, "draw_in_memory": draws, "draw_by_file": draws, "use_memory": start, "use_files": start}
    functions = {**found, **others}
    return Steps(**{name: f"{function.__module__}:{function.__name__}" for name, function in functions.items()})


def installed() -> Any:
    """A patch: as if Datoviz were installed here."""
    return mock.patch.object(backends, "why_not", return_value="")
