"""The real server as a process, raw bytes to and from a server, and what the system knows of a process."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from typing import Any, Callable, NamedTuple, Optional, Sequence, Union

from .support import ROOT

HEAD = b"HTTP/1.1\r\nHost: 127.0.0.1\r\n"
JSON = b"Content-Type: application/json\r\n"
CLOSE = b"Connection: close\r\n"
PATIENCE = 60.0  # seconds that a test waits for what must come; only one that fails takes as long

needs_proc = unittest.skipUnless(os.path.exists("/proc/self/task"), "no /proc here")


class Answer(NamedTuple):
    """An answer: status, headers by their names in lower case, body."""

    status: int
    headers: dict[str, str]
    body: bytes


def split_answers(received: bytes, bodiless: bool = False) -> tuple[list[Answer], bytes]:
    """The whole answers that a connection has sent so far, each of exactly its Content-Length, and the bytes behind them."""
    answers: list[Answer] = []
    while True:
        head, end, rest = received.partition(b"\r\n\r\n")
        if not end:
            return answers, received
        lines = head.decode("latin-1").split("\r\n")
        status_line = re.fullmatch(r"HTTP/1\.1 (\d{3}) .+", lines[0])
        if status_line is None:
            raise AssertionError(f"no status line: {lines[0]!r}")
        pairs = [line.split(": ", 1) for line in lines[1:]]
        headers = {name.lower(): value for name, value in pairs}
        if len(headers) < len(pairs):
            raise AssertionError(f"a header stands twice: {lines}")
        status = int(status_line.group(1))
        length = 0 if bodiless or status == 100 else int(headers["content-length"])
        if len(rest) < length:
            return answers, received
        answers.append(Answer(status, headers, rest[:length]))
        received = rest[length:]


def answers_in(received: bytes, bodiless: bool = False) -> list[Answer]:
    """The answers in all that a connection has sent; nothing may follow them."""
    answers, left = split_answers(received, bodiless)
    if left:
        raise AssertionError(f"this is no answer: {left[:400]!r}")
    return answers


def rest_of(connection: socket.socket) -> bytes:
    """All that a connection still sends."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def talk(
    port: int, *pieces: Union[bytes, int], shut: bool = False, bodiless: bool = False, host: str = "127.0.0.1"
) -> list[Answer]:
    """Send on one connection and read to its end. A number among the pieces waits until so many answers have come."""
    received = b""
    with socket.create_connection((host, port), PATIENCE) as connection:
        for piece in pieces:
            if isinstance(piece, bytes):
                connection.sendall(piece)
                continue
            while len(split_answers(received, bodiless)[0]) < piece:
                more = connection.recv(65536)
                if not more:
                    raise AssertionError(f"the connection ended before answer {piece}: {received!r}")
                received += more
        if shut:
            connection.shutdown(socket.SHUT_WR)
        received += rest_of(connection)
    return answers_in(received, bodiless)


def get_request(path: str, *more: bytes) -> bytes:
    """A well-framed GET, after which the server closes."""
    return b"GET " + path.encode() + b" " + HEAD + CLOSE + b"".join(more) + b"\r\n"


def post_request(body: bytes, *more: bytes) -> bytes:
    """A well-framed POST /render, after which the server closes."""
    return b"POST /render " + HEAD + JSON + CLOSE + b"".join(more) + b"Content-Length: %d\r\n\r\n" % len(body) + body


class ServerProcess:
    """``python -m gsp_network.server`` on a free port, with its log in a file.

    Args:
        prefix: a command that runs the one that follows it, and becomes it.
        environ: added to the environment, which else tells the server nothing.
    """

    def __init__(
        self,
        *options: str,
        module: str = "gsp_network.server",
        cwd: Optional[str] = None,
        prefix: Sequence[str] = (),
        **environ: str,
    ) -> None:
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by close()
        self.process = subprocess.Popen(
            [*prefix, *server_command("--ready-json", *options, module=module)],
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            cwd=cwd or ROOT,
            env=server_environ(**environ),
        )
        line = self.process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            self.stop()
            log = self.read_log()
            self.log.close()
            raise AssertionError(f"the server did not start: {log}")
        self.ready = json.loads(line)
        self.port = int(self.ready["url"].rsplit(":", 1)[1])

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    def read_log(self) -> str:
        self.log.seek(0)
        return self.log.read()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal, where it still runs; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(PATIENCE)
            raise
        finally:
            self.process.stdout.close()  # type: ignore[union-attr]
        return status

    def close(self) -> None:
        if not self.log.closed:
            try:
                self.stop()
            finally:
                self.log.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def raw(self, *pieces: Union[bytes, int], shut: bool = False) -> list[Answer]:
        """Send on one connection and read to its end; see `talk`."""
        return talk(self.port, *pieces, shut=shut)

    def get(self, path: str, *more: bytes) -> Answer:
        """One well-framed GET."""
        (answer,) = self.raw(get_request(path, *more))
        return answer

    def post(self, body: bytes, *more: bytes) -> Answer:
        """One well-framed POST /render."""
        (answer,) = self.raw(post_request(body, *more))
        return answer

    def health(self, *more: bytes) -> dict[str, Any]:
        """What GET /health says."""
        return json.loads(self.get("/health", *more).body)  # type: ignore[no-any-return]


def server_command(*options: str, module: str = "gsp_network.server") -> list[str]:
    """The command line of a server on a free port."""
    return [sys.executable, "-m", module, "--port", "0", *options]


def server_environ(**environ: str) -> dict[str, str]:
    """This process's environment without what it tells servers, and with `environ`; no Datoviz but for who asks for it."""
    told = ("GSP_NETWORK_", "GSP_REMOTE_RENDERER")
    return {
        **{name: text for name, text in os.environ.items() if not name.startswith(told)},
        "PYTHONPATH": str(ROOT),
        "GSP_NETWORK_DATOVIZ_WORKERS": "0",  # a look at it, which GET /health takes, is a process more
        **environ,
    }


# ---------------------------------------------------------------- /proc


class Footprint(NamedTuple):
    """What a process holds: threads, descriptors, the ids of its child processes."""

    threads: int
    files: int
    children: tuple[int, ...]


def children_of(pid: int) -> tuple[int, ...]:
    """Ids of a process's child processes, in order."""
    found: list[int] = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended meanwhile
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found += map(int, file.read().split())
    return tuple(sorted(found))


def footprint(pid: int) -> Footprint:
    """What a process holds now."""
    return Footprint(len(os.listdir(f"/proc/{pid}/task")), len(os.listdir(f"/proc/{pid}/fd")), children_of(pid))


def footprint_at_rest(pid: int) -> Footprint:
    """What a server holds when nobody asks it anything: the least for many looks, since connections end after their answers."""
    least, since = footprint(pid), 0
    while since < 15:
        threading.Event().wait(0.01)
        now, since = footprint(pid), since + 1
        if now < least:
            least, since = now, 0
    return least


def settled(pid: int, rest: Footprint, seconds: float = PATIENCE) -> Footprint:
    """What a process holds once that is `rest`, or when the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        now = footprint(pid)
        if now == rest or time.monotonic() > deadline:
            return now
        threading.Event().wait(0.002)


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has taken."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_kb(pid: int, name: str) -> int:
    """A line of /proc/PID/status, as VmRSS."""
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith(name + ":"):
                return int(line.split()[1])
    raise AssertionError(f"/proc/{pid}/status has no {name}")


def is_gone(pid: int) -> bool:
    """Whether a process has ended; also where nobody has asked how."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def all_at_once(function: Callable[..., Any], *arguments: Sequence[Any]) -> list[Any]:
    """What a function returns for each, in their order, as `map` gives it; several run at once, for what waits for processes."""
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        return list(threads.map(function, *arguments))


def wait_until(condition: Callable[[], Any], seconds: float = PATIENCE) -> bool:
    """Wait for something that tells nobody when it happens; whether it did."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.002)
    return True
