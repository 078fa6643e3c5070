"""Scenes as client and server draw them, over the same drawn in this process and, where there is one, by the origin.

"First sending" is a client that sends all buffers each time; "buffers known" is one whose server has them, while the camera moves
from frame to frame, and its floor draws those frames, with the projection of their vertices.
"""

from __future__ import annotations

import contextlib
import inspect
import statistics
import time
from functools import partial
from typing import Any, Callable, Iterator, Optional

from gsp_network import NetworkRenderer, VisualBase, encode_scene

from ..processes import ServerProcess
from .frame import Floor, Moving, around, canvas, scenes, server_timings
from .goals import SCENES, Goal, Row, SceneGoals, at_least, at_most
from .origin import Origin, OriginFailed
from .timing import Side, Took, alternate

KNOWS_RAW = "use_packed" in inspect.signature(NetworkRenderer).parameters
"""Whether a client may send raw bytes in place of base64."""


class Bench:
    """What measures share: how long each may take, the origin, and servers, which start when they are asked for.

    Args:
        seconds: for a row, about.
        rounds: calls of a side in a row, at most.
        small: to see that all works, with scenes that take no time.
        workers: of the server that scenes are sent to; 0: a thread of its own draws.
        origin: the interpreter and the folder of the origin.
    """

    def __init__(
        self, seconds: float, rounds: int, small: bool, workers: int, origin: Optional[tuple[str, str]] = None
    ) -> None:
        self.seconds, self.rounds, self.small, self.workers = seconds, rounds, small, workers
        self.no_origin = ""  # why there is none
        self._stack = contextlib.ExitStack()
        self._scenes: dict[str, VisualBase] = {}
        self._servers: dict[tuple[int, int], ServerProcess] = {}
        self.origin: Optional[Origin] = None
        if origin is not None:
            try:
                self.origin = Origin(*origin)
                self._stack.callback(self.origin.close)
            except OriginFailed as exc:
                self.no_origin = str(exc)

    def scenes(self) -> dict[str, VisualBase]:
        """The scenes that are measured, by name."""
        if not self._scenes:
            made = scenes()
            self._scenes = {
                name: made[name] for name in SCENES if not (self.small and name.endswith(("k", "M", "x100")))
            }
        return self._scenes

    def server(self, workers: Optional[int] = None, datoviz_workers: int = 0) -> ServerProcess:
        """The server with so many workers, or with those that the rows of scenes are measured with."""
        workers = self.workers if workers is None else workers
        key = workers, datoviz_workers
        if key not in self._servers:
            options = "--workers", str(workers), "--log-level", "error"
            server = ServerProcess(*options, GSP_NETWORK_DATOVIZ_WORKERS=str(datoviz_workers))
            self._servers[key] = server
            self._stack.callback(server.close)
        return self._servers[key]

    def alternate(self, sides: dict[str, Side], **options: Any) -> dict[str, float]:
        """Median milliseconds of each side, for so long as a row may take."""
        return alternate(sides, **{"rounds": self.rounds, "seconds": self.seconds, **options})

    def beside_origin(
        self, label: str, body: bytes, sides: dict[str, Side], ask: Callable[[Origin, str], Took], **options: Any
    ) -> tuple[dict[str, float], str]:
        """What `alternate` returns, with the side "origin" where it is to be measured; and why it could not be.

        Args:
            body: the scene as it would be sent.
            ask: makes the origin draw the scene of that label.
        """
        if self.origin is None:
            return self.alternate(sides, **options), self.no_origin
        try:
            self.origin.load(label, body)
            return self.alternate({**sides, "origin": partial(ask, self.origin, label)}, **options), ""
        except OriginFailed as exc:
            return self.alternate(sides, **options), str(exc)

    def close(self) -> None:
        """End what was started."""
        self._stack.close()


def client(url: str, renderer: str = "matplotlib", *, refs: bool = False, raw: bool = True) -> NetworkRenderer:
    """A client that sends all buffers each time, unless `refs`, and their bytes as they are where it can, unless not `raw`."""
    options: dict[str, Any] = {"use_packed": raw} if KNOWS_RAW else {}
    return NetworkRenderer(canvas(), url, renderer, use_refs=refs, **options)  # type: ignore[arg-type]


def sendings(stack: contextlib.ExitStack, url: str, renderer: str) -> dict[str, NetworkRenderer]:
    """A client for each way in which a scene may be sent, by its name."""
    made = {"JSON": client(url, renderer, raw=False)}
    if KNOWS_RAW:
        made["raw"] = client(url, renderer)
    made["known"] = client(url, renderer, refs=True)
    for each in made.values():
        stack.enter_context(each)
    return made


def scene_rows(
    bench: Bench, name: str, visual: VisualBase, goals: SceneGoals, renderer: str = "matplotlib"
) -> Iterator[Row]:
    """The rows of one scene."""
    label = name if renderer == "matplotlib" else f"{renderer}, {name}"
    server = bench.server() if renderer == "matplotlib" else bench.server(1, 1)
    body, ask, half = encode_scene(canvas(), *around(visual), renderer), Origin.render, bench.seconds / 2
    with contextlib.ExitStack() as stack:
        clients = sendings(stack, server.url, renderer)
        moving, floor = Moving(clients.pop("known"), visual), Floor(visual, renderer)
        still: dict[str, Side] = {way: partial(each.render, *around(visual)) for way, each in clients.items()}
        for call in still.values():
            if (call(), moving.render()) != (floor.still(), floor.moving()):
                raise SystemExit(f"{label}: the sides drew different pictures")
        if goals.two_workers is not None:
            two = stack.enter_context(client(bench.server(2).url, renderer))
            still["2 workers"] = partial(two.render, *around(visual))
        # One after the other: what is kept from frame to frame is of one of them alone.
        took, failure = bench.beside_origin(label, body, {"floor": floor.still, **still}, ask, seconds=half)
        moved = {"floor": floor.moving, "known": moving.render}
        took_moved, failure_moved = bench.beside_origin(label, body, moved, ask, seconds=half)

    first, failure = "raw" if "raw" in took else "JSON", failure or failure_moved

    def row(what: str, goal: Optional[Goal], one: str, other: str, unit: str = "") -> Row:
        times = took_moved if "known" in (one, other) else took
        seen = f"{times[one]:.1f} / {times[other]:.1f} ms"
        return Row(f"{label}: {what}", goal, times[one] / times[other], unit, seen)

    row_of_first = row("first sending / floor", at_most(goals.floor), first, "floor")
    yield row_of_first._replace(**{way.lower(): took[way] / took["floor"] for way in clients})
    yield row("buffers known / floor", at_most(goals.known_floor), "known", "floor")
    if "2 workers" in took:
        yield row("one at a time / by 2 workers", None, first, "2 workers", "x")
    if bench.origin is None and not failure:
        return
    columns = ("first sending", goals.first, first), ("buffers known", goals.known, "known")
    for what, bound, way in (*columns, ("2 workers", goals.two_workers, "2 workers")):
        if bound is None:
            continue
        if failure:
            yield Row(f"{label}: origin / {what}", at_least(bound), None, "x", failure)
            continue
        found = row(f"origin / {what}", at_least(bound), "origin", way, "x")
        ratios = {each.lower(): took["origin"] / took[each] for each in clients} if way == first else {}
        yield found._replace(**ratios)


def profile(bench: Bench, name: str, visual: VisualBase) -> Iterator[str]:
    """Where the time of one scene goes: a line for each way of sending, milliseconds in the columns of `PROFILE`.

    The client's encoding is timed here; "queue", "decode", "draw" and "png" are what the server tells, and "transport" is the
    rest of the request.
    """
    with contextlib.ExitStack() as stack:
        for way, each in sendings(stack, bench.server().url, "matplotlib").items():
            next_scene = Moving(each, visual).scene if way == "known" else partial(around, visual)
            parts: dict[str, list[float]] = {part: [] for part in PROFILE}

            def measured(each: Any = each, next_scene: Any = next_scene, parts: Any = parts) -> None:
                scene = next_scene()
                with server_timings() as timings:
                    began = time.perf_counter()
                    body = each.encode(*scene)
                    encoded = time.perf_counter()
                    each.request(body)
                    ended = time.perf_counter()
                told = timings[-1]
                server = {"queue": told["queue"], "decode": told["decode"], "draw": told["draw"], "png": told["encode"]}
                whole = 1000 * (ended - began)
                encode = 1000 * (encoded - began)
                found = {"encode": encode, "transport": whole - encode - sum(server.values()), **server, "whole": whole}
                for part, milliseconds in found.items():
                    parts[part].append(milliseconds)

            bench.alternate({"": measured})
            figures = "".join(f"{statistics.median(values[2:]):10.1f}" for values in parts.values())
            yield f"{name:16}{way:6}{figures}"


PROFILE = ("encode", "transport", "queue", "decode", "draw", "png", "whole")
PROFILE_HEAD = f"{'scene':16}{'':6}{''.join(f'{part:>10}' for part in PROFILE)}"
