"""What the table has beside scenes: parts, requests a second, /health, memory, growth, videos."""

from __future__ import annotations

import contextlib
import os
import statistics
import threading
import time
from functools import partial
from typing import Any, Callable, Iterator, Sequence

from gsp_network import NetworkRenderer, VisualBase, encode_scene
from gsp_network.transport import Transport

from ..processes import ServerProcess
from . import frame, goals, parts, video
from .goals import Row, at_least, at_most
from .origin import Origin
from .over_floor import Bench, client
from .soak import size_of
from .timing import Side, Took, alternate


def named(size: int) -> str:
    """A number of bytes."""
    units = ((1_000_000, "MB"), (1000, "kB"))
    return next(f"{size / unit:g} {name}" for unit, name in units if size >= unit)


def transport(bench: Bench) -> Iterator[Row]:
    """A request that nothing is drawn for."""
    sizes = [size for size in goals.TRANSPORT if size <= 1_000_000 or not bench.small]
    for size, took in parts.transport_ms(bench.seconds, sizes).items():
        yield Row(f"transport alone, {named(size)}", at_most(goals.TRANSPORT[size]), took, " ms")


def codec(bench: Bench) -> Iterator[Row]:
    """Milliseconds a MB of buffers."""
    for size in (1_000_000,) if bench.small else (1_000_000, 40_000_000):
        for way, took in alternate(parts.codec_sides(size), bench.rounds, bench.seconds / 2, warm=1).items():
            rate = took / size * 1e6
            yield Row(f"{way}, {named(size)}", at_most(goals.CODEC[way]), rate, " ms/MB", f"{took:.1f} ms")


def importing(bench: Bench) -> Iterator[Row]:
    """A client that has shown nothing yet."""
    took = parts.import_ms(1 if bench.small else 7)
    seen = f"of these numpy {took['numpy']:.0f} ms"
    yield Row("import of the client", at_most(goals.IMPORT_MS), took["client"], " ms", seen)


def picture_ms(clients: Sequence[NetworkRenderer], visual: VisualBase, seconds: float) -> Took:
    """Milliseconds for each picture that several clients together get in so many seconds, each one after the other."""
    counts: list[int] = []

    def repeat(each: NetworkRenderer) -> None:
        count, scene = 0, frame.around(visual)
        while time.perf_counter() < end or not count:
            each.render(*scene)
            count += 1
        counts.append(count)

    threads = [threading.Thread(target=repeat, args=(each,)) for each in clients]
    began = time.perf_counter()
    end = began + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(counts) < len(clients):
        raise SystemExit("a client got no picture")
    return Took(1000 * (time.perf_counter() - began) / sum(counts))


def throughput(bench: Bench) -> Iterator[Row]:
    """Two clients of two workers, over one of one and, where there is one, over two of the origin."""
    scenes = bench.scenes()
    for name, bound in goals.THROUGHPUT.items():
        if name not in scenes:
            continue
        label, visual, seconds = f"throughput, {name}", scenes[name], bench.seconds / 4
        with contextlib.ExitStack() as stack:
            one, *two = (stack.enter_context(client(bench.server(workers).url)) for workers in (1, 2, 2))
            sides: dict[str, Side] = {
                "one": partial(picture_ms, [one], visual, seconds),
                "two": partial(picture_ms, two, visual, seconds),
            }
            body = encode_scene(frame.canvas(), *frame.around(visual), "matplotlib")
            ask = partial(Origin.picture_ms, seconds=seconds)
            options: Any = {"rounds": bench.rounds // 10 or 1, "seconds": None, "warm": 1}
            took, failure = bench.beside_origin(label, body, sides, ask, **options)
        rates = {side: 1000 / milliseconds for side, milliseconds in took.items()}
        seen = f"{rates['two']:.1f} / {rates['one']:.1f} requests/s"
        yield Row(f"{label}: 2 clients, 2 workers / 1, 1", None, rates["two"] / rates["one"], "x", seen)
        goal = at_least(bound)
        if failure:
            yield Row(f"{label}: 2 clients, 2 workers / origin", goal, None, "x", failure)
        elif "origin" in rates:
            seen = f"{rates['two']:.1f} / {rates['origin']:.1f} requests/s"
            yield Row(f"{label}: 2 clients, 2 workers / origin", goal, rates["two"] / rates["origin"], "x", seen)


def longest_waits(url: str, body: bytes, seconds: float) -> list[float]:
    """The longest GET /health in each of some renders, in ms."""
    waits: list[float] = []
    drawing, done = Transport(url), threading.Event()
    asking = Transport(url)

    def post() -> None:
        parts.post(drawing, body)
        done.set()

    parts.post(drawing, body)
    asking.get("/health", {})
    end = time.perf_counter() + seconds
    while not waits or time.perf_counter() < end:
        done.clear()
        thread = threading.Thread(target=post)
        thread.start()
        longest = 0.0
        while not done.is_set():
            began = time.perf_counter()
            asking.get("/health", {})
            longest = max(longest, 1000 * (time.perf_counter() - began))
        thread.join()
        waits.append(longest)
    drawing.close()
    asking.close()
    return waits


def health(bench: Bench) -> Iterator[Row]:
    """GET /health one after the other while each scene is drawn: the longest in a render, the median of the renders."""
    for workers, drawn in ((1, "by a worker"), (0, "in the server's own thread")):
        waits = {}
        for name, visual in bench.scenes().items():
            body = encode_scene(frame.canvas(), *frame.around(visual), "matplotlib")
            waits[name] = longest_waits(bench.server(workers).url, body, bench.seconds / 8)
        medians = {name: statistics.median(each) for name, each in waits.items()}
        worst = max(medians, key=lambda name: medians[name])
        seen = f"of {worst}; the longest of all {max(map(max, waits.values())):.1f} ms"
        what = f"/health in a render {drawn}, the longest"
        yield Row(what, at_most(goals.HEALTH_MS), medians[worst], " ms", seen)


def memory(bench: Bench) -> Iterator[Row]:
    """A server with one worker that is never replaced; two scenes take turns, and the camera moves over one of them.

    Over points, since what is kept of texts at ever new places takes some hundred frames to fill the room that it has.
    """
    count = 20 if bench.small else 2000
    what = f"memory after {count} renders / after {count // 10}"
    if not os.path.exists("/proc/self/task"):
        yield Row(what, at_most(goals.GROWN), None, seen="no /proc here")
        return
    server = ServerProcess("--workers", "1", "--recycle-renders", "1000000", "--log-level", "error")
    try:
        with NetworkRenderer(frame.canvas(), server.url) as renderer:
            moving = frame.Moving(renderer, bench.scenes()["points 100"])
            still = frame.around(bench.scenes()["texts 50"])
            sizes = []
            for number in range(count):
                if number % 2:
                    renderer.render(*still)
                else:
                    moving.render()
                if number + 1 in (count // 10, count):
                    size = size_of(server.pid, rest=True)
                    sizes.append((size.front_kb + size.workers_kb) / 1024)
    finally:
        server.close()
    before, after = sizes
    yield Row(what, at_most(goals.GROWN), after / before, seen=f"{after:.1f} / {before:.1f} MB, server and worker")


def growth(bench: Bench) -> Iterator[Row]:
    """More and more points, all sent; and what is sent once their buffers are known."""
    few, many = (100, 1000) if bench.small else (100_000, 1_000_000)
    with contextlib.ExitStack() as stack:
        all_sent, known = (stack.enter_context(client(bench.server().url, refs=refs)) for refs in (False, True))
        points = {count: frame.points(count) for count in (few, many)}
        sides = {count: partial(all_sent.render, *frame.around(visual)) for count, visual in points.items()}
        took = {count: 1000 * ms / count for count, ms in alternate(sides, bench.rounds, bench.seconds, warm=1).items()}
        seen = f"{took[many] * many / 1000:.0f} ms, first sending"
        yield Row(f"{many} points, each", at_most(goals.POINT_US), took[many], " us", seen)
        seen = f"{took[many]:.2f} / {took[few]:.2f} us"
        yield Row(f"each of {many} points / of {few}", at_most(goals.LINEAR), took[many] / took[few], "", seen)
        moving = frame.Moving(known, points[many])
        for _ in range(3):
            moving.render()
        yield Row(f"camera over {many} points, a frame", at_most(goals.MOVING_KB), moving.size() / 1000, " kB")


def videos(bench: Bench) -> Iterator[Row]:
    """`AnimatorNetwork.render_frames()`."""
    count, frames = (20, 3) if bench.small else (10_000, 40)
    orbit = video.Orbit("segments", count)
    urls = {workers: bench.server(workers).url for workers in video.WORKERS}
    video.frame_ms(urls, orbit, 3, 1)
    one, two = video.frame_ms(urls, orbit, frames, 1 if bench.small else 3).values()
    seen = f"{one:.1f} / {two:.1f} ms a frame"
    yield Row(f"render_frames(), {count} segments: 1 worker / 2", at_least(goals.VIDEO), one / two, "x", seen)


GROUPS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "throughput": throughput,
    "transport": transport,
    "codec": codec,
    "growth": growth,
    "health": health,
    "memory": memory,
    "import": importing,
    "video": videos,
}
"""The rows by the name of their group."""
