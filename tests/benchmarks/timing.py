"""How long calls take that stand beside each other in one run, and the machine that they ran on."""

from __future__ import annotations

import os
import platform
import statistics
import time
from importlib import metadata
from typing import Any, Callable, Optional, TypeVar

Side = Callable[[], Any]
Key = TypeVar("Key")


class Took(float):
    """Milliseconds that a side has measured itself, in place of those that its call took."""


def alternate(
    sides: dict[Key, Side], rounds: int, seconds: Optional[float] = None, *, least: int = 3, warm: int = 2
) -> dict[Key, float]:
    """Median milliseconds of each side, all of them called once a round in turn.

    Args:
        rounds: how many count.
        seconds: no further round begins after so long, once there were `least`.
        warm: rounds before, which do not count.
    """
    times: dict[Key, list[float]] = {name: [] for name in sides}
    end = float("inf")
    for number in range(-warm, rounds):
        if number == 0 and seconds is not None:
            end = time.perf_counter() + seconds
        if number >= least and time.perf_counter() > end:
            break
        for name, call in sides.items():
            began = time.perf_counter()
            took = call()
            ended = time.perf_counter()
            if number >= 0:
                times[name].append(float(took) if isinstance(took, Took) else 1000 * (ended - began))
    return {name: statistics.median(values) for name, values in times.items()}


def machine(*libraries: str) -> str:
    """What the figures hold for: Python, these libraries, the processors."""
    versions = [f"{name} {metadata.version(name)}" for name in libraries]
    return ", ".join([f"Python {platform.python_version()}", *versions, f"{os.cpu_count()} CPUs"])
