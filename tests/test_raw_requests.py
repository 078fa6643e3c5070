"""Raw requests against the real server: the corpus of raw_requests.json, and what takes time or many connections.

The numbers are rows of the catalogue of faults. A case of the corpus holds:

    row, why    the row's number, or several, and what is sent, in words
    send        pieces: a text (latin-1), {"repeat": text, "times": n}, {"body": "good"} and {"length": "good"} (a scene that
                draws, and its length), {"answers": n} (wait until so many have come)
    status      of all answers on the connection, in order
    type        of the last one's problem document, where it matters
    headers     that the last one must have, by name in lower case
    absent      texts that no answer may hold
    shut        true: no more is sent, which the server can see
    bodiless    true: answers to HEAD, which end with their head
    server      "token": the server that asks for tokens
"""

from __future__ import annotations

import concurrent.futures
import json
import pathlib
import re
import socket
import struct
import sys
import threading
import time
import unittest
from typing import Any, Union

from gsp_network import Canvas
from gsp_network.png import png_fault
from gsp_network.server import RenderServer

from .processes import (
    HEAD,
    JSON,
    PATIENCE,
    Answer,
    ServerProcess,
    answers_in,
    cpu_seconds,
    footprint,
    footprint_at_rest,
    get_request,
    memory_kb,
    needs_proc,
    post_request,
    rest_of,
    settled,
    talk,
    wait_until,
)
from .scenes import body_of, points, run_server
from .support import ROOT, slow
from .test_server import Held, own_threads

CASES: list[dict[str, Any]] = json.loads(pathlib.Path(__file__).with_name("raw_requests.json").read_text("ascii"))
GOOD = body_of(points((0, 0, 0)))
LIMIT = 12_000_000

NOT_HERE = {
    10: "TestDeadlines.test_silent_client",
    11: "TestDeadlines.test_dripped_head and test_dripped_body",
    12: "test_server.TestLife.test_slow_reader",
    13: "TestManyConnections.test_idle_connections",
    14: "TestManyConnections.test_burst",
    15: "TestManyConnections.test_no_descriptors_left",
    16: "test_server.TestLife.test_no_thread_to_be_had",
}
"""Where those of the rows 1 to 32 are tested that are not of raw bytes alone."""


def pieces_of(case: dict[str, Any]) -> list[Union[bytes, int]]:
    """What `talk` is to send."""
    pieces: list[Union[bytes, int]] = []
    for piece in case["send"]:
        if isinstance(piece, str):
            made: Union[bytes, int] = piece.encode("latin-1")
        elif "repeat" in piece:
            made = piece["repeat"].encode("latin-1") * piece["times"]
        elif "answers" in piece:
            made = piece["answers"]
        else:
            made = {"body": GOOD, "length": b"%d" % len(GOOD)}[next(iter(piece))]
        if isinstance(made, bytes) and pieces and isinstance(pieces[-1], bytes):
            pieces[-1] += made
        else:
            pieces.append(made)
    return pieces


class CorpusChecks(unittest.TestCase):
    """What holds of every answer."""

    def check_case(self, case: dict[str, Any], port: int) -> None:
        """Send a case and look at all that comes back."""
        bodiless = case.get("bodiless", False)
        answers = talk(port, *pieces_of(case), shut=case.get("shut", False), bodiless=bodiless)
        self.assertEqual([answer.status for answer in answers], case["status"], answers)
        finals = [answer for answer in answers if answer.status != 100]
        for answer in finals:
            self.check_answer(answer, bodiless)
        if not finals:
            return
        self.assertNotIn("close", [answer.headers.get("connection") for answer in finals[:-1]])
        last = finals[-1]
        self.assertEqual(last.headers.get("connection"), "close")
        if "type" in case:
            self.assertEqual(json.loads(last.body)["type"], case["type"])
        for name, value in case.get("headers", {}).items():
            self.assertEqual(last.headers.get(name), value, name)
        for text in case.get("absent", ()):
            for answer in finals:
                self.assertNotIn(text, f"{answer.headers} {answer.body.decode('latin-1')}")

    def check_answer(self, answer: Answer, bodiless: bool) -> None:
        """What holds of every answer, be it a picture or a problem."""
        status, headers, body = answer
        self.assertRegex(headers["server-timing"], r"\btotal;dur=\d")
        self.assertEqual([name for name in headers if name.startswith("access-control")], [])
        self.assertEqual(headers["x-content-type-options"], "nosniff")
        self.assertRegex(headers["x-request-id"], r"^[A-Za-z0-9._-]{1,64}$")
        if headers["content-type"] == "image/png":
            self.assertEqual((status, png_fault(body)), (200, ""))
        if status < 400:
            return
        self.assertEqual(headers["content-type"], "application/problem+json")
        if bodiless:
            return
        problem = json.loads(body)
        self.assertEqual((problem["status"], problem["request_id"]), (status, headers["x-request-id"]))
        self.assertTrue(problem["title"] and problem["detail"] and re.fullmatch("[a-z_]+", problem["type"]), problem)
        for inside in (str(ROOT), "Traceback", 'File "', "site-packages", "0x"):
            self.assertNotIn(inside, body.decode("ascii"))

    def check_good(self, port: int, *more: bytes) -> None:
        """The next good request is answered with its picture."""
        (answer,) = talk(port, post_request(GOOD, *more))
        self.assertEqual((answer.status, png_fault(answer.body)), (200, ""), answer)


TOKEN = b"Authorization: Bearer first-token\r\n"
ALLOWED = {"allow_host": ("render.example",), "allow_origin": ("https://viewer.example",), "max_body_bytes": LIMIT}


class TestCorpus(CorpusChecks):
    def test_every_row_has_its_place(self) -> None:
        """Rows 1 to 32 of the catalogue are in the corpus, or it is said where else they are."""
        here = {row for case in CASES for row in (case["row"] if isinstance(case["row"], list) else [case["row"]])}
        self.assertEqual(set(range(1, 33)) - here, set(NOT_HERE))

    @slow
    def test_process(self) -> None:
        """Each case is answered as it says; threads, files and workers are then as before, and a good request is served."""
        options = ("--workers", "2", "--allow-host", "render.example", "--allow-origin", "https://viewer.example")
        options += ("--max-body-bytes", str(LIMIT), "--recycle-renders", "1000000")
        servers = {
            "": (ServerProcess(*options), b""),
            "token": (ServerProcess(*options, GSP_NETWORK_TOKEN="first-token second-token"), TOKEN),
        }
        rests = {}
        for name, (server, token) in servers.items():
            self.addCleanup(server.close)
            self.assertTrue(wait_until(lambda server=server, token=token: server.health(token)["workers"]["idle"] == 2))
            self.check_good(server.port, token)
            rests[name] = footprint_at_rest(server.pid) if sys.platform == "linux" else None
        for case in CASES:
            server, token = servers[case.get("server", "")]
            rest = rests[case.get("server", "")]
            with self.subTest(row=case["row"], why=case["why"]):
                self.check_case(case, server.port)
                self.assertIsNone(server.process.poll(), "the server died")
                if rest is not None:
                    now = rests[case.get("server", "")] = settled(server.pid, rest)  # each fault is told once
                    self.assertEqual(now, rest)
                self.check_good(server.port, token)
        for server, _ in servers.values():
            self.assertEqual(server.stop(), 0)
            lines = (
                server.read_log().replace("/render?token=first-token", "").split("\n")[:-1]
            )  # a URL is the client's own
            ours = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ gsp_network")
            self.assertEqual([line for line in lines if not (ours.match(line) and line.isprintable())], [])
            self.assertEqual([line for line in lines if "first-token" in line], [])

    def test_in_this_process(self) -> None:
        """Each case is answered in the same way by an embedded server, whose threads are then as before."""
        servers = {
            "": RenderServer(port=0, **ALLOWED),
            "token": RenderServer(port=0, token=("first-token", "second-token"), **ALLOWED),
        }
        for name, server in servers.items():
            self.addCleanup(server.close)
            server.start()
            self.check_good(server.port, TOKEN if name else b"")
        names = ["gsp-network-accept", "gsp-network-accept", "gsp-network-render", "gsp-network-render"]

        def at_rest() -> bool:
            return sorted(thread.name for thread in own_threads()) == names

        for case in CASES:
            name = case.get("server", "")
            with self.subTest(row=case["row"], why=case["why"]):
                self.check_case(case, servers[name].port)
                self.assertTrue(wait_until(at_rest), own_threads())
                self.assertEqual((servers[name].room.bytes, servers[name].room.renders), (0, 0))
        for name, server in servers.items():
            self.check_good(server.port, TOKEN if name else b"")
            self.assertTrue(server.close(PATIENCE))


class TestClients(CorpusChecks):
    """Clients that leave, and what bodies cost, with worker processes."""

    @classmethod
    def setUpClass(cls) -> None:
        # Who has left in mid-draw keeps a place until it is done: the next one must find one all the same.
        cls.server = ServerProcess("--workers", "1", "--max-body-bytes", str(LIMIT), "--queue", "100")
        cls.addClassCleanup(cls.server.close)
        cls.server.post(GOOD)

    @needs_proc
    def test_clients_that_leave(self) -> None:
        """Row 33: a hundred clients that leave in mid-head, mid-body or before their answer leave nothing behind."""
        request = post_request(GOOD)
        rest = footprint_at_rest(self.server.pid)
        for number in range(100):
            with self.server.connect() as connection:
                connection.sendall(request[: (20, 150, len(request))[number % 3]])
                if number % 2:  # reset instead of an orderly end
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.check_good(self.server.port)  # it comes behind them all
        self.assertEqual(settled(self.server.pid, rest), rest)
        self.assertNotIn("Traceback", self.server.read_log())

    @needs_proc
    def test_giant_length(self) -> None:
        """Row 8: a Content-Length of 4 GiB takes no memory."""
        before = memory_kb(self.server.pid, "VmPeak")
        for length in (b"4294967296", b"12000000"):
            request = b"POST /render " + HEAD + JSON + b"Content-Length: " + length + b"\r\n\r\nabcd"
            self.server.raw(request, shut=True)
        self.assertLess(memory_kb(self.server.pid, "VmPeak") - before, 200_000)

    def test_exact_limit(self) -> None:
        """A body of exactly the limit is read; padding after the document is white space."""
        self.assertEqual(self.server.post(GOOD.ljust(LIMIT))[0], 200)


def drip(port: int, data: bytes, seconds: float = 0.05) -> tuple[list[Answer], float]:
    """Send byte by byte until the server answers; its answers, and how long they took."""
    began = time.monotonic()
    received = b""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.settimeout(seconds)
        for byte in data:
            try:
                connection.sendall(bytes([byte]))
                received += connection.recv(65536)
                break
            except socket.timeout:
                continue
        took = time.monotonic() - began
        connection.settimeout(PATIENCE)
        return answers_in(received + rest_of(connection)), took


class TestDeadlines(CorpusChecks):
    """A server in this process with short deadlines."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = RenderServer(port=0, head_timeout=0.3, body_timeout=0.3, idle_timeout=0.3).start()
        cls.addClassCleanup(cls.server.close)

    def check_late(self, answers: list[Answer]) -> None:
        self.assertEqual([answer.status for answer in answers], [408], answers)
        self.check_answer(answers[0], bodiless=False)
        problem = json.loads(answers[0].body)
        self.assertEqual((problem["type"], answers[0].headers["connection"]), ("timeout", "close"))
        self.assertIn(problem["limit"], ("head_timeout", "body_timeout"))
        self.assertIn(f"0.3 s (setting {problem['limit']})", problem["detail"])

    def tearDown(self) -> None:
        """What was late has left nothing behind."""
        names = {"gsp-network-accept", "gsp-network-render"}
        self.assertTrue(wait_until(lambda: {thread.name for thread in own_threads()} <= names), own_threads())
        self.assertEqual(self.server.room.bytes, 0)

    def test_silent_client(self) -> None:
        """Row 10: a client that says nothing is told 408 at the head's deadline."""
        self.check_late(talk(self.server.port))

    def test_head_that_stops(self) -> None:
        """Row 10: a client that stops in a head is told 408."""
        self.check_late(talk(self.server.port, b"GET /health " + HEAD))

    def test_body_that_stops(self) -> None:
        """Row 10: a client that stops in a body is told 408."""
        self.check_late(talk(self.server.port, b"POST /render " + HEAD + JSON + b"Content-Length: 10\r\n\r\n{"))

    def test_dripped_head(self) -> None:
        """Row 11: a head that drips is over at the deadline for the whole of it, however often a byte comes."""
        answers, took = drip(self.server.port, b"GET /health " + HEAD + b"X: " + b"y" * 2000)
        self.check_late(answers)
        self.assertGreaterEqual(took, 0.3)

    def test_dripped_body(self) -> None:
        """Row 11: a body that drips is over at the deadline for the whole of it."""
        head = b"POST /render " + HEAD + JSON + b"Content-Length: 2000\r\n\r\n"
        received = b""
        with socket.create_connection(("127.0.0.1", self.server.port), PATIENCE) as connection:
            connection.sendall(head)
            connection.settimeout(0.05)
            for _ in range(2000):
                try:
                    connection.sendall(b" ")
                    received += connection.recv(65536)
                    break
                except socket.timeout:
                    continue
            connection.settimeout(PATIENCE)
            self.check_late(answers_in(received + rest_of(connection)))

    def test_kept_connection_that_stays_silent(self) -> None:
        """A kept connection that is idle for too long is closed without a word."""
        answers = talk(self.server.port, b"GET /health " + HEAD + b"\r\n")
        self.assertEqual([(answer.status, answer.headers.get("connection")) for answer in answers], [(200, None)])

    def test_kept_connection_whose_next_head_stops(self) -> None:
        """A second head that does not get on is told 408."""
        request = b"GET /health " + HEAD
        answers = talk(self.server.port, request + b"\r\n", 1, request)
        self.assertEqual([answer.status for answer in answers], [200, 408])


class TestManyConnections(CorpusChecks):
    @needs_proc
    def test_idle_connections(self) -> None:
        """Row 13: connections over the limit are told 503 and when to come back; threads stay few; the rest heals."""
        server = ServerProcess("--workers", "0", "--max-connections", "20", "--head-timeout", "0.5")
        self.addCleanup(server.close)
        server.post(GOOD)
        rest = footprint_at_rest(server.pid)
        clients = [server.connect() for _ in range(300)]
        try:
            most = footprint(server.pid).threads
            answers = [answer for client in reversed(clients) for answer in answers_in(rest_of(client))]
        finally:
            for client in clients:
                client.close()
        self.assertLessEqual(most, rest.threads + 20)
        self.assertEqual(len(answers), 300)
        self.assertEqual({answer.status for answer in answers}, {408, 503})
        self.assertGreaterEqual(sum(answer.status == 408 for answer in answers), 20)
        refused = [answer for answer in answers if answer.status == 503]
        self.assertEqual({answer.headers["retry-after"] for answer in refused}, {"1"})
        self.assertEqual({json.loads(answer.body)["limit"] for answer in refused}, {"max_connections"})
        self.check_answer(refused[0], bodiless=False)
        self.check_good(server.port)  # it comes behind them all
        self.assertEqual(settled(server.pid, rest), rest)

    def test_refused_client_may_send_on(self) -> None:
        """Row 13: a client over the limit that still sends its body reads its 503."""
        with run_server(max_connections=1) as server:
            with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as holder:
                holder.sendall(b"GET")
                self.assertTrue(wait_until(lambda: server._http.connections == 1))  # type: ignore[union-attr]
                answers = talk(server.port, post_request(bytes(20_000_000)))
                self.assertEqual([answer.status for answer in answers], [503])
            self.assertTrue(wait_until(lambda: server._http.connections == 0))  # type: ignore[union-attr]
            self.check_good(server.port)

    def test_burst(self) -> None:
        """Row 14: each of 200 clients that come at once is answered, be it by a 503."""
        with run_server() as server:
            clients = []
            try:
                for _ in range(200):
                    clients.append(socket.create_connection(("127.0.0.1", server.port), PATIENCE))
                    clients[-1].sendall(get_request("/health"))
                answers = [answers_in(rest_of(client)) for client in clients]
            finally:
                for client in clients:
                    client.close()
            self.assertEqual({len(each) for each in answers}, {1})
            self.assertLessEqual({each[0].status for each in answers}, {200, 503})
            self.check_good(server.port)

    @needs_proc
    def test_no_descriptors_left(self) -> None:
        """Row 15: a server that can open nothing more waits without using the processor, and serves again afterwards."""
        limited = ("sh", "-c", 'ulimit -n 40; exec "$@"', "sh")
        server = ServerProcess("--workers", "0", "--head-timeout", "120", "--log-level", "error", prefix=limited)
        self.addCleanup(server.close)
        server.post(GOOD)
        rest = footprint_at_rest(server.pid)
        clients = [server.connect() for _ in range(60)]
        try:
            self.assertTrue(wait_until(lambda: footprint(server.pid).files >= 40), footprint(server.pid))
            self.assertTrue(wait_until(lambda: "no connection can be accepted" in server.read_log()))
            before = cpu_seconds(server.pid)
            threading.Event().wait(0.5)  # the measure itself
            self.assertLess(cpu_seconds(server.pid) - before, 0.25)
        finally:
            for client in clients:
                client.close()
        self.check_good(server.port)  # it comes behind them all
        self.assertEqual(settled(server.pid, rest), rest)
        self.assertNotIn("Traceback", server.read_log())

    def test_overload(self) -> None:
        """Row 59: clients over the places are told 503, before their body where they wait for 100; all others are served."""
        executor = Held()
        self.addCleanup(executor.shutdown)
        width = 20
        with run_server(executor=executor, queue=3) as server, concurrent.futures.ThreadPoolExecutor(40) as pool:
            bodies = [body_of(canvas=Canvas(width + number, 10)) for number in range(40)]
            expect = [b"Expect: 100-continue\r\n"]
            first = [pool.submit(talk, server.port, post_request(body)) for body in bodies[:4]]
            self.assertTrue(wait_until(lambda: server.room.renders == 4))
            heads = [post_request(body, *expect)[: -len(body)] for body in bodies[4:20]]
            refused = [answer for head in heads for answer in talk(server.port, head)]
            refused += [answer for body in bodies[20:] for answer in talk(server.port, post_request(body))]
            self.assertEqual([answer.status for answer in refused], [503] * 36)
            self.assertEqual({json.loads(answer.body)["limit"] for answer in refused}, {"queue"})
            executor.go_on.set()
            for number, answers in enumerate(future.result(PATIENCE) for future in first):
                self.assertEqual([answer.status for answer in answers], [200])
                self.assertEqual(int.from_bytes(answers[0].body[16:20], "big"), width + number)
            self.assertEqual((server.room.bytes, server.room.renders), (0, 0))
            self.check_good(server.port)

    def test_overload_of_workers(self) -> None:
        """Row 59: of many clients at once each gets its own picture or a 503, and nothing else."""
        server = ServerProcess("--workers", "2", "--queue", "2")
        self.addCleanup(server.close)
        server.post(GOOD)

        def width_of(number: int) -> int:
            (answer,) = server.raw(post_request(body_of(canvas=Canvas(20 + number, 10))))
            self.assertIn(answer.status, (200, 503), answer)
            return 0 if answer.status == 503 else int.from_bytes(answer.body[16:20], "big")

        with concurrent.futures.ThreadPoolExecutor(30) as pool:
            widths = list(pool.map(width_of, range(60)))
        self.assertTrue(any(widths))
        self.assertEqual([width for width in widths if width], [20 + n for n, width in enumerate(widths) if width])
        self.assertEqual(server.health()["workers"]["restarts"], {})
        self.check_good(server.port)

    @needs_proc
    def test_stalled_bodies(self) -> None:
        """Row 60: 40 bodies that stall take no more memory than is allowed; those over it are told 503; all heals."""
        size, most = 8_000_000, 80_000_000
        server = ServerProcess("--workers", "0", "--max-inflight-bytes", str(most), "--body-timeout", "1")
        self.addCleanup(server.close)
        server.post(GOOD)
        before = memory_kb(server.pid, "VmRSS")
        head = b"POST /render " + HEAD + JSON + b"Content-Length: %d\r\n\r\n" % size
        answers: list[Answer] = []
        peak = 0
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            futures = [pool.submit(talk, server.port, head + bytes(size - 1)) for _ in range(40)]
            while not all(future.done() for future in futures):
                peak = max(peak, memory_kb(server.pid, "VmRSS"))
                concurrent.futures.wait(futures, 0.02)
            for future in futures:
                answers += future.result(PATIENCE)
        statuses = sorted(answer.status for answer in answers)
        self.assertEqual(len(statuses), 40)
        self.assertLessEqual(set(statuses), {408, 503})
        self.assertGreaterEqual(statuses.count(408), most // size)
        busy = [json.loads(answer.body)["limit"] for answer in answers if answer.status == 503]
        self.assertLessEqual(set(busy), {"max_inflight_bytes"})
        self.assertLess(peak - before, 3 * most / 1024, "kB")
        self.check_good(server.port)
        self.assertIn("\ngsp_network_inflight_bytes 0\n", server.get("/metrics").body.decode())
