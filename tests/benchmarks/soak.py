"""Whether a server keeps its word and its size: good and hostile clients at once, while its workers are killed.

    python -m tests.benchmarks.soak [--requests 5000] [--clients 32] [--workers 2] [--seed 0] [--seconds 600]

A real server process; one request in ten is hostile, and about every fifty requests a worker is killed by SIGKILL. Each good
request draws what no other does: size, places and colours follow from its number, and its picture is checked against them, so
that one that reaches another client is noticed. Memory, descriptors, threads and processes are compared between two moments
at which all is quiet: after warming up, and at the end.

The status is 1 where a picture is wrong or lost, an answer is not one that the hostile request deserves, more requests died
with a worker than workers were killed, or the server has grown. It needs /proc.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import itertools
import json
import math
import os
import random
import re
import select
import signal
import socket
import statistics
import struct
import sys
import threading
import time
from collections import Counter
from typing import Any, Callable, NamedTuple, Optional, Union

import numpy as np

from gsp_network import Canvas, VisualBase
from tests.processes import (
    HEAD,
    JSON,
    Answer,
    ServerProcess,
    children_of,
    footprint,
    footprint_at_rest,
    memory_kb,
    split_answers,
    wait_until,
)
from tests.scenes import array_of, body_of, changed, image, markers, path, pixels, points, segment, text

HEAD_SECONDS, BODY_SECONDS = 1.5, 3.0  # the server's deadlines, short so that those who dawdle are done with soon
PATIENCE = 45.0  # longer than the server's own deadlines: 10 s for a turn, 30 s for a picture
QUIET_SECONDS = 30.0
KILL_EVERY = 50  # requests, on average
MOST_GROWTH_KB = 20 * 1024
LIVE_SHARE = 0.8  # of a warm worker's memory: one that has less is still starting


# ---------------------------------------------------------------- good requests


class Good(NamedTuple):
    """A request, and what its picture must show: colours by cell, white in the other cells."""

    body: bytes
    width: int
    height: int
    colors: dict[int, tuple[int, ...]]


COLUMNS, ROWS = 4, 2
DPI = 72.0  # 1 pt is 1 px


def _visual(kind: str, x: float, y: float, width: int, height: int, color: tuple[int, ...]) -> VisualBase:
    """A visual that covers some px around a place of the canvas, y up."""
    at, dx, dy = (2 * x / width - 1, 2 * y / height - 1, 0.0), 12 / width, 12 / height  # 6 px
    if kind == "points":
        return points(at, size=144.0, face=color)
    if kind == "markers":
        return markers("square", at, size=144.0, face=color)
    if kind == "pixels":  # the centre of the px that holds the place; eight dots cover it wholly
        dot = (2 * math.floor(x) / width - 1, 2 * (math.floor(y) + 1) / height - 1, 0.0)
        return pixels([dot] * 8, [(*color, 255)], 8)
    if kind == "segments":
        return segment((at[0] - dx, at[1], 0), (at[0] + dx, at[1], 0), 8.0, color)
    if kind == "paths":
        return path([(at[0] - dx, at[1], 0), (at[0] + dx, at[1], 0)], 8.0, color)
    if kind == "texts":
        return text("\N{FULL BLOCK}", size=16.0, at=at, color=color)
    return image([[(*color, 255)]], (-dx, dx, -dy, dy), at=at)


KINDS = ("points", "markers", "pixels", "segments", "paths", "texts", "image")


def good_request(seed: int, number: int) -> Good:
    """The request of that number: its own size, and one to four visuals in cells and colours of its own."""
    rng = random.Random(f"{seed} good {number}")
    width, height = 64 + number % 61, 64 + number // 61 % 59
    colors: dict[int, tuple[int, ...]] = {}
    visuals = []
    for cell in rng.sample(range(COLUMNS * ROWS), rng.randint(1, 4)):
        digest = hashlib.sha256(f"{seed} {number} {cell}".encode()).digest()
        colors[cell] = tuple(part * 200 // 255 for part in digest[:3])  # none is near white
        visuals.append(_visual(rng.choice(KINDS), *_center(cell, width, height), width, height, colors[cell]))
    return Good(body_of(*visuals, canvas=Canvas(width, height, DPI)), width, height, colors)


def _center(cell: int, width: int, height: int) -> tuple[float, float]:
    return (cell % COLUMNS + 0.5) * width / COLUMNS, (cell // COLUMNS + 0.5) * height / ROWS


def what_is_wrong(good: Good, png: bytes) -> str:
    """What of a picture is not as its request asked for; empty where all is right."""
    try:
        picture = array_of(png).astype(int)
    except Exception as exc:
        return f"no picture: {type(exc).__name__}"
    if picture.shape != (good.height, good.width, 3):
        return f"shape {picture.shape}, expected {(good.height, good.width, 3)}"
    for cell in range(COLUMNS * ROWS):
        x, y = _center(cell, good.width, good.height)
        found = picture[good.height - 1 - math.floor(y), math.floor(x)]
        expected = good.colors.get(cell, (255, 255, 255))
        if np.abs(found - expected).max() > 1:
            return f"cell {cell} is {tuple(found)}, expected {expected}"
    return ""


# ---------------------------------------------------------------- hostile requests


class Misbehaviour(AssertionError):
    """The server answered a hostile request as it should not."""


Outcome = Union[int, str]  # a status, or what else became of the connection


def _post(body: bytes, length: Optional[int] = None) -> bytes:
    size = len(body) if length is None else length
    return b"POST /render " + HEAD + JSON + b"Content-Length: %d\r\n\r\n" % size + body


def _said(connection: socket.socket) -> list[Answer]:
    """All answers until the connection ends; it may end by a reset, but not within an answer."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while True:
            piece = connection.recv(65536)
            if not piece:
                break
            received += piece
    answers, left = split_answers(received)
    if left:
        raise Misbehaviour(f"{left[:200]!r} behind {len(answers)} answers")
    return answers


class Hostile:
    """What hostile clients do; each method is one way, and gives the outcome.

    Args:
        connect: opens a connection.
        seed, number: of the request.
    """

    def __init__(self, connect: Callable[[], socket.socket], seed: int, number: int) -> None:
        self.connect, self.seed, self.number = connect, seed, number
        self.rng = random.Random(f"{seed} hostile {number}")

    def _send(self, *pieces: bytes, shut: bool = False, most: int = 1) -> Outcome:
        """Send, and read to the end; the status of the one answer, "closed" without one."""
        with self.connect() as connection:
            with contextlib.suppress(ConnectionError):  # it may have answered and gone already
                for piece in pieces:
                    connection.sendall(piece)
                if shut:
                    connection.shutdown(socket.SHUT_WR)
            answers = _said(connection)
        if len(answers) > most:
            raise Misbehaviour(f"{len(answers)} answers to one request")
        return answers[-1].status if answers else "closed"

    def bad_framing(self) -> Outcome:
        return self._send(
            self.rng.choice(
                (
                    b"GET / HTTP/1.1\nHost: 127.0.0.1\n\n",
                    b"get / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                    b"GET / HTTP/1.1\r\n\r\n",
                    b"GET / HTTP/9.1\r\nHost: 127.0.0.1\r\n\r\n",
                    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + self.rng.getrandbits(800).to_bytes(100, "big"),
                    b"POST /render " + HEAD + JSON + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
                    b"POST /render " + HEAD + JSON + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                    b"POST /render " + HEAD + JSON + b"Content-Length : 2\r\n\r\n{}",
                    b"POST /render " + HEAD + JSON + b"Content-Length: 0x2\r\n\r\n{}",
                    b"POST /render " + HEAD + b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
                    b"GET / " + HEAD + b"".join(b"X-%d: y\r\n" % number for number in range(100)) + b"\r\n",
                    b"GET /" + b"x" * 5000 + b" " + HEAD + b"\r\n",
                    b"GET / " + HEAD + b"X: " + b"y" * 20000 + b"\r\n\r\n",
                )
            )
        )

    def half_body(self) -> Outcome:
        body = good_request(self.seed, self.number).body
        return self._send(_post(body[: len(body) // 2], len(body)), shut=True)

    def half_body_and_gone(self) -> Outcome:
        body = good_request(self.seed, self.number).body
        with self.connect() as connection:
            connection.sendall(_post(body[: len(body) // 2], len(body)))
        return "left"

    def slow_drip(self) -> Outcome:
        body = good_request(self.seed, self.number).body
        request = _post(body)
        start = self.rng.choice((1, len(request) - len(body) + 1))  # within the head, or within the body
        with self.connect() as connection, contextlib.suppress(ConnectionError):
            connection.sendall(request[:start])
            for place in range(start, start + 100):  # 10 s: the server's deadline comes first
                if select.select([connection], [], [], 0.1)[0]:
                    break
                connection.sendall(request[place : place + 1])
            connection.shutdown(socket.SHUT_WR)
            answers = _said(connection)
            return answers[-1].status if answers else "closed"
        return "closed"

    def oversized_length(self) -> Outcome:
        return self._send(_post(b"x" * 10_000, self.rng.choice((10**8, 10**11, 10**15 - 1))))

    def bad_json(self) -> Outcome:
        body = good_request(self.seed, self.number).body
        choices = (body[:-1], body + b"}", b"", b"\xff" + body, body.replace(b":", b";", 1), b"{" * 9, b'{"a":1,"a":2}')
        return self._send(_post(self.rng.choice(choices)), shut=True)

    def bad_scene(self) -> Outcome:
        body = good_request(self.seed, self.number).body
        path, value = self.rng.choice(
            (
                (("canvas", "width"), 0),
                (("canvas", "dpi"), "96"),
                (("viewports", 0, "width"), -1),
                (("viewports",), []),
                (("visuals", 0, "type"), "volume"),
                (("visuals", 0, "visual"), {}),
                (("model_matrices", 0, "model_matrix", "transBuf", "count"), 2**31 - 1),
                (("cameras", 0, "view_matrix", "transBuf", "data_base64"), "?" * 88),
                (("cameras", 0), None),
            )
        )
        return self._send(_post(changed(body, *path, value=value)), shut=True)

    def deep_json(self) -> Outcome:
        return self._send(_post(b'{"data":' + b"[" * 50_000 + b"]" * 50_000 + b"}"), shut=True)

    def huge_canvas(self) -> Outcome:
        document = json.loads(good_request(self.seed, self.number).body)
        width, height = self.rng.choice(((8193, 1), (8192, 8192), (2**31 - 1, 2**31 - 1)))
        document["data"]["canvas"].update(width=width, height=height)
        return self._send(_post(json.dumps(document).encode()), shut=True)

    def reset_in_mid_answer(self) -> Outcome:
        with self.connect() as connection:
            connection.sendall(_post(noise()))
            if self.rng.random() < 0.7:  # else it goes while the picture is drawn
                select.select([connection], [], [], PATIENCE)
                with contextlib.suppress(ConnectionError):
                    connection.recv(100)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return "left"

    def silent(self) -> Outcome:
        if self.rng.random() < 0.5:
            with self.connect():
                return "left"
        return self._send()

    def crowd(self) -> Outcome:
        with contextlib.ExitStack() as crowd, contextlib.suppress(ConnectionError):
            for _ in range(40):  # more than find room beside the other clients
                crowd.enter_context(self.connect()).sendall(b"POST /render HTTP/1.1\r\n")
        return "left"

    def pipelining(self) -> Outcome:
        good = good_request(self.seed, self.number)
        with self.connect() as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(_post(good.body) * 3)
            answers = _said(connection)
        if len(answers) != 1:
            raise Misbehaviour(f"{len(answers)} answers to pipelined requests, expected 1")
        if answers[0].status == 200 and what_is_wrong(good, answers[0].body):
            raise Misbehaviour(f"pipelined: {what_is_wrong(good, answers[0].body)}")
        return answers[0].status


DESERVED: dict[str, tuple[Outcome, ...]] = {  # besides 503, and a worker that was killed
    "bad_framing": (400, 411, 414, 415, 431, 501, 505),
    "half_body": (400,),
    "half_body_and_gone": ("left",),
    "slow_drip": (408,),
    "oversized_length": (413,),
    "bad_json": (400,),
    "bad_scene": (422,),
    "deep_json": (400,),
    "huge_canvas": (422,),
    "reset_in_mid_answer": ("left",),
    "silent": (408, "left"),
    "crowd": ("left",),
    "pipelining": (200,),
}
"""What each way of `Hostile` may come to."""

_noise: list[bytes] = []


def noise() -> bytes:
    """A request whose answer is long."""
    if not _noise:
        texels = np.random.default_rng(0).integers(0, 256, (64, 64, 4))
        _noise.append(body_of(image(texels, interpolation="LINEAR"), canvas=Canvas(500, 500)))
    return _noise[0]


# ---------------------------------------------------------------- the soak


class Size(NamedTuple):
    """What a server takes."""

    front_kb: int
    workers_kb: int
    files: int
    threads: int
    children: int


def size_of(pid: int, rest: bool = False) -> Size:
    """What a server takes now; `rest`: nobody is asking it anything."""
    now = footprint_at_rest(pid) if rest else footprint(pid)
    workers_kb = 0
    for child in now.children:
        with contextlib.suppress(OSError, AssertionError):  # it has just ended
            workers_kb += memory_kb(child, "VmRSS")
    return Size(memory_kb(pid, "VmRSS"), workers_kb, now.files, now.threads, len(now.children))


class Soak:
    """One run against one server; counts what happens."""

    def __init__(self, server: ServerProcess, clients: int, workers: int, seed: int) -> None:
        self.server, self.clients, self.workers, self.seed = server, clients, workers, seed
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.counts: Counter[str] = Counter()
        self.hostile: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.findings: list[str] = []
        self.seconds: list[float] = []
        self.peak = Size(0, 0, 0, 0, 0)
        self.live_kb = 0  # 0: no worker is killed
        self._finished = 0
        self._kill_at = 0
        self._rng = random.Random(f"{seed} kills")

    def find(self, what: str) -> None:
        """Note what should not have happened."""
        with self.lock:
            self.counts["findings"] += 1
            if len(self.findings) < 50:
                self.findings.append(what)

    def run(self, numbers: range, kill: bool) -> float:
        """All requests of these numbers; the seconds that they took."""
        began = time.monotonic()
        todo = iter(numbers)
        self._finished, self._kill_at = 0, KILL_EVERY // 2 if kill else sys.maxsize
        threads = [threading.Thread(target=self._client, args=(todo,), daemon=True) for _ in range(self.clients)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self.peak = Size(*map(max, self.peak, size_of(self.server.pid)))
            for thread in threads:
                thread.join(0.2)
                if thread.is_alive():
                    break
            if self.stop.is_set():
                deadline = time.monotonic() + PATIENCE
                for thread in threads:
                    thread.join(max(deadline - time.monotonic(), 0.0))
                break
        return time.monotonic() - began

    def _client(self, todo: Any) -> None:
        with contextlib.closing(_Kept(self.server.port)) as kept:
            while not self.stop.is_set():
                with self.lock:
                    number = next(todo, None)
                if number is None:
                    return
                try:
                    if random.Random(f"{self.seed} kind {number}").random() < 0.1:
                        self._misbehave(number)
                    else:
                        self._ask(kept, number)
                except Exception as exc:  # this program's own fault; the others go on
                    self.find(f"request {number}: {type(exc).__name__}: {exc}")
                with self.lock:
                    self.counts["requests"] += 1
                    self._finished += 1
                    due = self._finished >= self._kill_at
                    if due:
                        self._kill_at += self._rng.randint(KILL_EVERY // 2, KILL_EVERY * 3 // 2)
                if due:
                    self._kill()

    def _ask(self, kept: _Kept, number: int) -> None:
        """A good request, until its picture is there."""
        good = good_request(self.seed, number)
        id = f"soak-{self.seed}-{number}"
        began = time.monotonic()
        for attempt in itertools.count():
            if self.stop.is_set():
                return self._count("unfinished")
            sent = time.monotonic()
            try:
                answer = kept.post(good.body, id)
            except (OSError, http.client.HTTPException) as exc:
                self._count("lost")
                return self.find(f"request {number}: lost after {time.monotonic() - sent:.1f} s, {exc!r}")
            if answer.status == 200:
                break
            what = json.loads(answer.body).get("type")
            if answer.status == 503:
                self._count("busy")
                self.stop.wait(random.uniform(0.5, 1.0) * min(0.02 * 2**attempt, 0.5))
            elif (answer.status, what) == (500, "worker_crashed"):
                self._count("crashed")
            else:
                self._count("lost")
                return self.find(f"request {number}: {answer.status} {answer.body.decode()}")
        wrong = what_is_wrong(good, answer.body)
        if answer.headers.get("x-request-id") != id:
            wrong = wrong or f"answer to {answer.headers.get('x-request-id')}, expected {id}"
        if wrong:
            self._count("wrong")
            return self.find(f"request {number}: {wrong}")
        with self.lock:
            self.counts["ok"] += 1
            self.counts["reconnected"] += kept.reconnected
            self.seconds.append(time.monotonic() - began)
        kept.reconnected = 0

    def _count(self, name: str) -> None:
        with self.lock:
            self.counts[name] += 1

    def _misbehave(self, number: int) -> None:
        hostile = Hostile(self.server.connect, self.seed, number)
        way = hostile.rng.choice(list(DESERVED))
        try:
            outcome = getattr(hostile, way)()
        except (Misbehaviour, OSError) as exc:
            outcome = "no end"
            self.find(f"hostile request {number}, {way}: {exc!r}")
        if outcome == 500:  # a worker was killed under it, or the figures do not add up
            self._count("crashed")
        elif outcome not in (*DESERVED[way], 503, "no end"):
            self.find(f"hostile request {number}, {way}: {outcome}, expected {DESERVED[way]}")
        with self.lock:
            self.hostile[str(outcome)] += 1
            self.kinds[way] += 1

    def _kill(self) -> None:
        """SIGKILL one of the server's workers: one that serves, as far as its memory tells, or now and then any."""
        children = list(children_of(self.server.pid))
        self._rng.shuffle(children)
        for child in children:
            with contextlib.suppress(OSError, AssertionError):
                if memory_kb(child, "VmRSS") < LIVE_SHARE * self.live_kb and self._rng.random() < 0.9:
                    continue
                kill_child(child, self.server.pid)
                return self._count("kills")

    def quiet(self) -> Size:
        """What the server takes once nothing is under way and all workers are there."""
        if not wait_until(self._is_quiet, QUIET_SECONDS):
            self.find(f"not quiet after {QUIET_SECONDS:.0f} s: {self.gauges()}, {self.server.health()['workers']}")
        return size_of(self.server.pid, rest=True)

    def gauges(self) -> dict[str, float]:
        """What /metrics says of the moment; the connection that asks is one of them."""
        told = self.server.get("/metrics").body.decode()
        names = ("connections", "inflight_bytes", "renders_under_way")
        return {name: float(re.search(rf"^gsp_network_{name} (\S+)$", told, re.M)[1]) for name in names}  # type: ignore[index]

    def _is_quiet(self) -> bool:
        threading.Event().wait(0.05)  # each look is a request
        rest = {"connections": 1.0, "inflight_bytes": 0.0, "renders_under_way": 0.0}
        workers = self.server.health()["workers"]
        idle = (workers["idle"], workers["busy"], workers["starting"]) == (self.workers, 0, 0)
        return idle and self.gauges() == rest

    def check(self, before: Size, after: Size) -> None:
        """Note what is not as it was."""
        if after.front_kb - before.front_kb > MOST_GROWTH_KB:
            self.find(f"the server has grown from {before.front_kb} to {after.front_kb} KB")
        for name in ("files", "threads", "children"):
            was, now = getattr(before, name), getattr(after, name)
            if now > was or (name == "children" and now != was):
                self.find(f"{now} {name}, {was} before")
        if self.counts["crashed"] > self.counts["kills"]:
            self.find(f"{self.counts['crashed']} requests died with a worker, {self.counts['kills']} were killed")
        if self.counts["unfinished"]:
            self.find(f"the time was up with {self.counts['unfinished']} requests under way")


class _Kept:
    """A connection that is kept from request to request."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.reconnected = 0

    def post(self, body: bytes, id: str) -> Answer:
        """The answer; a connection that the server has ended while it was idle is made anew, once."""
        headers = {"Content-Type": "application/json", "X-Request-Id": id}
        fresh = self._http.sock is None
        try:
            self._http.request("POST", "/render", body, headers)
            response = self._http.getresponse()
        except (ConnectionError, http.client.RemoteDisconnected):
            self.close()
            if fresh:
                raise
            self.reconnected += 1
            return self.post(body, id)
        try:
            told = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, told, response.read())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._http.close()


def kill_child(pid: int, parent: int) -> None:
    """SIGKILL a process if it is a child of `parent`: by a handle, where there are any, that no later process can take over."""
    if not hasattr(os, "pidfd_open"):
        os.kill(pid, signal.SIGKILL)
        return
    handle = os.pidfd_open(pid)
    try:
        if pid not in children_of(parent):
            raise ProcessLookupError(pid)
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    finally:
        os.close(handle)


def table(soak: Soak, warm: int, before: Size, after: Size, seconds: float, restarts: dict[str, int]) -> None:
    """Print the figures."""
    counts, hostile = soak.counts, ", ".join(f"{key} {number}" for key, number in sorted(soak.hostile.items()))
    times = sorted(soak.seconds) or [0.0]
    peak = soak.peak
    rows: list[tuple[str, Any]] = [
        ("requests", f"{counts['requests']}, {warm} of them to warm up"),
        ("ok", counts["ok"]),
        ("retried after 503", counts["busy"]),
        ("crashed (500)", counts["crashed"]),
        ("wrong", counts["wrong"]),
        ("lost", counts["lost"]),
        ("reconnected", counts["reconnected"]),
        ("hostile", f"{sum(soak.kinds.values())} in {len(soak.kinds)} ways: {hostile}"),
        ("kills", f"{counts['kills']}; workers replaced: {restarts}"),
        ("time", f"{seconds:.1f} s, {(counts['requests'] - warm) / max(seconds, 1e-9):.0f} requests/s"),
        (
            "good, with retries",
            f"median {1000 * statistics.median(times):.0f} ms, p99 {1000 * times[len(times) * 99 // 100]:.0f} ms, "
            f"longest {1000 * times[-1]:.0f} ms",
        ),
    ]
    for name, value in rows:
        print(f"{name:20}{value}")
    print(f"{'':20}{'before':>10}{'peak':>10}{'after':>10}")
    for name, field, unit in (
        ("front RSS", "front_kb", 1024),
        ("workers RSS", "workers_kb", 1024),
        ("front files", "files", 1),
        ("front threads", "threads", 1),
        ("worker processes", "children", 1),
    ):
        values = [getattr(size, field) / unit for size in (before, peak, after)]
        form = "{:>7.1f} MB" if unit > 1 else "{:>10.0f}"
        print(f"{name:20}" + "".join(form.format(value) for value in values))


def main(argv: Optional[list[str]] = None) -> int:
    """Run, print the table and the findings; 1 where there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=5000, help="after a tenth as many, at most 500, to warm up")
    parser.add_argument("--clients", type=int, default=32, help="threads that ask at once, at most 40")
    parser.add_argument("--workers", type=int, default=2, help="worker processes of the server")
    parser.add_argument("--seed", type=int, default=0, help="makes the requests, and who is killed")
    parser.add_argument("--seconds", type=float, default=600.0, help="no request begins after so long")
    arguments = parser.parse_args(argv)
    if not os.path.exists("/proc/self/task"):
        print("the soak needs /proc")
        return 2
    # Each client may hold a kept connection and a hostile one; it is a crowd that is too much.
    options = ["--workers", str(arguments.workers), "--max-connections", "90", "--log-level", "error"]
    options += ["--head-timeout", str(HEAD_SECONDS), "--body-timeout", str(BODY_SECONDS)]
    server = ServerProcess(*options)
    try:
        soak = Soak(server, min(arguments.clients, 40), arguments.workers, arguments.seed)
        timer = threading.Timer(arguments.seconds, soak.stop.set)
        timer.daemon = True
        timer.start()
        soak.quiet()
        warm = min(500, arguments.requests // 10)
        soak.run(range(warm), kill=False)
        before = soak.quiet()
        soak.live_kb = before.workers_kb // max(before.children, 1)
        soak.peak, soak.seconds = before, []
        seconds = soak.run(range(warm, warm + arguments.requests), kill=True)
        after = soak.quiet()
        timer.cancel()
        soak.check(before, after)
        if soak.counts["requests"] < warm + arguments.requests:
            soak.find(f"{soak.counts['requests']} of {warm + arguments.requests} requests within the time")
        table(soak, warm, before, after, seconds, server.health()["workers"]["restarts"])
        log = server.read_log()
        if "Traceback" in log:
            soak.find(f"the server's log:\n{log[-4000:]}")
        for finding in soak.findings:
            print(f"FOUND: {finding}")
        print(f"{soak.counts['findings']} findings")
        return 1 if soak.counts["findings"] else 0
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(main())
