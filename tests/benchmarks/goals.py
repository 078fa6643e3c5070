"""The goals that the table of `python -m tests.benchmarks` measures against, and how its rows are judged and printed."""

from __future__ import annotations

from typing import NamedTuple, Optional


class Goal(NamedTuple):
    """At most (``<=``) or at least (``>=``) so much."""

    sign: str
    bound: float


class SceneGoals(NamedTuple):
    """What holds for one scene: how often faster than the origin at least, and over the floor at most; None: no goal."""

    first: float
    known: Optional[float]
    floor: Optional[float]
    known_floor: Optional[float]
    two_workers: Optional[float] = None


SCENES = {
    "points 100": SceneGoals(6, 7, 1.2, 1.2),
    "points 10k": SceneGoals(10, 12, 1.3, 1.3),
    "points 100k": SceneGoals(20, 28, 1.15, 1.15),
    "pixels 100k": SceneGoals(9, 15, None, 1.2),
    "pixels 1M": SceneGoals(8, 30, None, 1.2),
    "segments 10k": SceneGoals(4, 4, 1.1, 1.1, 6),
    "paths 100x100": SceneGoals(4, 4, 1.1, 1.1, 6),
    "image 512x512": SceneGoals(6.5, 10, None, 1.1),
    "texts 50": SceneGoals(9, 11, 1.2, 1.2),
}
"""Drawn by Matplotlib."""

DATOVIZ = {"points 100": SceneGoals(4, None, 1.3, None), "points 10k": SceneGoals(2.3, None, 1.3, None)}
"""Drawn by Datoviz on a software GPU."""

THROUGHPUT = {"points 100": 8.0, "segments 10k": 5.0}
"""Two clients of two workers, over two clients of the origin, at least."""

TRANSPORT = {1000: 0.8, 1_000_000: 1.2, 40_000_000: 40.0}
"""Milliseconds at most, by the bytes of a body."""

CODEC = {"encode": 3.5, "decode": 4.5}
"""Milliseconds a MB at most."""

MOVING_KB, HEALTH_MS, GROWN, IMPORT_MS, POINT_US, LINEAR, VIDEO = 10.0, 20.0, 1.05, 150.0, 1.5, 1.1, 1.55
"""A frame in which the camera moves; GET /health during a render; memory after 2 000 renders over that after 200; importing the
client; each point of a million, and each of them over each of 100 000; frames of a video by two workers over those by one."""


def at_most(bound: Optional[float]) -> Optional[Goal]:
    """A goal, where there is one."""
    return None if bound is None else Goal("<=", bound)


def at_least(bound: Optional[float]) -> Optional[Goal]:
    """A goal, where there is one."""
    return None if bound is None else Goal(">=", bound)


def shown(value: Optional[float]) -> str:
    """A figure, with three digits or those before the point."""
    if value is None:
        return ""
    return f"{value:.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f}"


def verdict(goal: Optional[Goal], measured: Optional[float]) -> str:
    """ "ok" or "short", judged by the figure as it is shown; empty without a goal, or without a figure."""
    if goal is None or measured is None:
        return ""
    figure = float(shown(measured))
    return "ok" if (figure <= goal.bound if goal.sign == "<=" else figure >= goal.bound) else "short"


class Row(NamedTuple):
    """One row: what was measured against which goal, the figure, its unit, and what else was seen or why there is none.

    `json` and `raw` are the figure for bodies of JSON alone and for those with raw bytes, where scenes were sent.
    """

    what: str
    goal: Optional[Goal]
    measured: Optional[float]
    unit: str = ""
    seen: str = ""
    json: Optional[float] = None
    raw: Optional[float] = None

    @property
    def verdict(self) -> str:
        """See the function."""
        return verdict(self.goal, self.measured)

    def cells(self) -> tuple[str, ...]:
        """What stands in the columns."""
        goal = "" if self.goal is None else f"{self.goal.sign} {self.goal.bound:g}{self.unit}"
        measured = "not measured" if self.measured is None else shown(self.measured) + self.unit
        return self.what, goal, measured, self.verdict, shown(self.json), shown(self.raw), self.seen


HEAD = ("what", "goal", "measured", "", "JSON", "raw", "seen")
WIDTHS = (58, 12, 12, 6, 6, 6, 0)


def line(cells: tuple[str, ...], markdown: bool) -> str:
    """A row of the table, or its head."""
    if markdown:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    return " ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS)).rstrip()
