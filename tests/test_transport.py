"""The transport against scripted servers on loopback: kept connections, deadlines, and answers that are not to be trusted."""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import threading
import time
import unittest
import zlib
from email.message import Message
from typing import Any, Callable, Optional
from unittest import mock

from gsp_network.commands import calling
from gsp_network.errors import BadResponse, DeadlineExceeded, InvalidScene, ServerError, ServerUnreachable
from gsp_network.png import SIGNATURE, png_fault
from gsp_network.transport import Answer, Transport, picture_of, retry_delay

JOIN_SECONDS = 60.0  # for what must come; only a test that fails takes as long
SHORT = 0.4  # a timeout that is meant to pass
LATE = 2.0  # how much later than its timeout a request may end on a busy machine
DRIP = 0.02  # between two bytes of a trickled answer


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG = (
    SIGNATURE
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0"))
    + chunk(b"IEND")
)


def http(
    body: bytes = PNG, status: str = "200 OK", *headers: str, kind: str = "image/png", length: Any = None
) -> bytes:
    """An answer as bytes; `length` replaces the Content-Length, "" leaves it out."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", *headers]
    if length != "":
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Peer:
    """One connection as its server sees it."""

    def __init__(self, connection: socket.socket, server: FakeServer) -> None:
        self.connection = connection
        self.server = server
        self._file = connection.makefile("rb")
        self.line = ""
        self.headers: dict[str, str] = {}

    def receive_head(self) -> bool:
        """Set `line` and `headers` from the next request's head; False where the client has closed."""
        self.line = self._file.readline().decode().rstrip("\r\n")
        lines = iter(lambda: self._file.readline().decode().rstrip("\r\n"), "")
        self.headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return bool(self.line)

    def receive(self) -> Optional[bytes]:
        """The body of the next request, or None where the client has closed; sets `line` and `headers`."""
        try:
            return self._file.read(int(self.headers.get("content-length", 0))) if self.receive_head() else None
        except ConnectionError:
            return None

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def trickle(self, data: bytes) -> None:
        """Send byte by byte, until the test is over."""
        for index in range(len(data)):
            self.send(data[index : index + 1])
            if self.server.over.wait(DRIP):
                return

    def secure(self, context: ssl.SSLContext) -> None:
        """Speak TLS from here on."""
        self._file.close()
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self._file = self.connection.makefile("rb")

    def reset(self) -> None:
        """Let the end of the script reset the connection instead of closing it."""
        on, no_seconds = 1, 0
        linger = struct.pack("hh" if os.name == "nt" else "ii", on, no_seconds)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def close(self) -> None:
        self._file.close()
        self.connection.close()


class FakeServer:
    """Listens on loopback and runs a script in a thread of its own for each connection: the n-th script, or the last one.

    Args:
        scripts: what happens on the connections.
        listening: a bound socket to listen on from now on; None for one of its own.
    Attributes:
        accepted: how many connections came.
        over: set when the test is over; scripts wait on it.
        left: set when a script has ended and its connection is closed.
    """

    def __init__(self, *scripts: Callable[[Peer], None], listening: Optional[socket.socket] = None) -> None:
        self._scripts = scripts
        self.accepted = 0
        self.over = threading.Event()
        self.left = threading.Event()
        self.faults: list[BaseException] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._listening = listening or socket.create_server(("127.0.0.1", 0))
        self._listening.listen()
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            if self.over.is_set():
                connection.close()
                return
            with self._lock:
                self._open.add(connection)
                script = self._scripts[min(self.accepted, len(self._scripts) - 1)]
                self.accepted += 1
            thread = threading.Thread(target=self._run, args=(script, connection))
            self._threads.append(thread)
            thread.start()

    def _run(self, script: Callable[[Peer], None], connection: socket.socket) -> None:
        peer = Peer(connection, self)
        try:
            script(peer)
        except OSError:
            pass  # the client has gone, which is what some tests are about
        except BaseException as exc:
            self.faults.append(exc)
        finally:
            with self._lock:
                self._open.discard(connection)
                peer.close()
            self.left.set()

    def __enter__(self) -> FakeServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.over.set()
        socket.create_connection(("127.0.0.1", self.port), JOIN_SECONDS).close()  # wakes accept()
        self._accepting.join(JOIN_SECONDS)
        self._listening.close()
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # the client was first
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
        if self._accepting.is_alive() or any(thread.is_alive() for thread in self._threads):
            raise AssertionError("a thread of the fake server did not end")
        if self.faults:
            raise self.faults[0]


def answers(*data: bytes) -> Callable[[Peer], None]:
    """A script: one answer for each request in turn, then close."""

    def script(peer: Peer) -> None:
        for item in data:
            if peer.receive() is None:
                return
            peer.send(item)

    return script


def answers_always(data: bytes) -> Callable[[Peer], None]:
    """A script: the same answer to every request, until the client closes."""

    def script(peer: Peer) -> None:
        while peer.receive() is not None:
            peer.send(data)

    return script


def echoes(peer: Peer) -> None:
    """Answer each request by its own body."""
    body = peer.receive()
    while body is not None:
        peer.send(http(body))
        body = peer.receive()


def resets(peer: Peer) -> None:
    """A script: take the request, and reset the connection without an answer."""
    peer.receive()
    peer.reset()


def bound_socket() -> socket.socket:
    """A socket on which nobody listens: connections to it are refused, and no other takes its port."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    return taken


def url_of(taken: socket.socket) -> str:
    return f"http://127.0.0.1:{taken.getsockname()[1]}"


def message(**headers: str) -> Any:
    found = Message()
    for name, value in headers.items():
        found[name.replace("_", "-")] = value
    return found


class TransportCase(unittest.TestCase):
    def setUp(self) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        patched = mock.patch.dict(os.environ, clean, clear=True)
        patched.start()
        self.addCleanup(patched.stop)

    def serve(self, *scripts: Callable[[Peer], None]) -> FakeServer:
        server = FakeServer(*scripts)
        self.addCleanup(server.__exit__)
        return server

    def transport(self, url: str, timeout: float = 10.0, **options: Any) -> Transport:
        transport = Transport(url, timeout, **options)
        self.addCleanup(transport.close)
        return transport

    def post(self, transport: Transport, body: bytes = b"{}") -> Answer:
        return transport.post("/render", body, {"Content-Type": "application/json"})


class KeptConnections(TransportCase):
    def test_request(self) -> None:
        """A request goes out as POST to the path below the base URL, with its body and headers."""
        seen: list[Any] = []

        def script(peer: Peer) -> None:
            body = peer.receive()
            seen.append((peer.line, peer.headers, body))
            peer.send(http())

        server = self.serve(script)
        answer = self.transport(server.url + "/gsp/").post("/render", b'{"a": 1}', {"GSP-Renderer": "datoviz"})
        self.assertEqual((answer.status, answer.body), (200, PNG))
        line, headers, body = seen[0]
        self.assertEqual((line, body), ("POST /gsp/render HTTP/1.1", b'{"a": 1}'))
        self.assertEqual(headers["host"], f"127.0.0.1:{server.port}")
        self.assertEqual(headers["gsp-renderer"], "datoviz")
        self.assertRegex(headers["user-agent"], "^gsp_network/")
        self.assertNotIn("connection", headers)

    def test_get(self) -> None:
        """A GET goes out without a body, and is sent again after a 503 as a POST is."""
        lines: list[Any] = []

        def script(peer: Peer) -> None:
            for answer in (BUSY, http(b"{}", kind="application/json")):
                body = peer.receive()
                lines.append((peer.line, body, peer.headers.get("accept")))
                peer.send(answer)

        transport = self.transport(self.serve(script).url + "/gsp")
        with mock.patch("gsp_network.transport.FIRST_BACKOFF_SECONDS", 0.001):
            answer = transport.get("/health", {"Accept": "application/json"})
        self.assertEqual((answer.status, answer.body), (200, b"{}"))
        self.assertEqual(lines, [("GET /gsp/health HTTP/1.1", b"", "application/json")] * 2)

    def test_reused(self) -> None:
        """Requests one after the other go over one connection."""
        server = self.serve(answers_always(http()))
        transport = self.transport(server.url)
        for _ in range(3):
            self.assertEqual(self.post(transport).body, PNG)
        self.assertEqual(server.accepted, 1)

    def test_reused_after_error(self) -> None:
        """An error that was read whole leaves its connection in use."""
        server = self.serve(answers(http(b"no", "422 Unprocessable Entity"), http()))
        transport = self.transport(server.url)
        self.assertEqual([self.post(transport).status for _ in range(2)], [422, 200])
        self.assertEqual(server.accepted, 1)

    def test_reused_after_chunks(self) -> None:
        """An answer in chunks is put together, and its connection is kept."""
        chunks = b"4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n"
        server = self.serve(answers_always(http(chunks, "200 OK", "Transfer-Encoding: chunked", length="")))
        transport = self.transport(server.url)
        self.assertEqual([self.post(transport).body for _ in range(2)], [b"abcdefg"] * 2)
        self.assertEqual(server.accepted, 1)

    def test_replaced(self) -> None:
        """A kept connection that the server closed meanwhile is replaced without the caller's noticing."""
        server = self.serve(answers(http(b"first")), answers(http(b"second")))
        transport = self.transport(server.url)
        self.assertEqual(self.post(transport).body, b"first")
        self.assertTrue(server.left.wait(JOIN_SECONDS))
        self.assertEqual(self.post(transport).body, b"second")
        self.assertEqual(server.accepted, 2)

    def test_replaced_once(self) -> None:
        """A kept connection is replaced once, and that is all where retries are off."""
        server = self.serve(answers(http()), lambda peer: None)
        transport = self.transport(server.url, retries=0)
        self.post(transport)
        self.assertTrue(server.left.wait(JOIN_SECONDS))
        with self.assertRaises(ServerUnreachable):
            self.post(transport)
        self.assertEqual(server.accepted, 2)

    def test_new_connection_is_not_replaced(self) -> None:
        """A new connection that ends without an answer is an unreachable server at once where retries are off."""

        def script(peer: Peer) -> None:
            peer.receive()

        server = self.serve(script)
        with self.assertRaises(ServerUnreachable) as caught:
            self.post(self.transport(server.url, retries=0))
        self.assertIn(server.url, str(caught.exception))
        self.assertEqual(server.accepted, 1)

    def test_not_kept_after_close(self) -> None:
        """After `Connection: close` the next request opens a new connection."""
        ended = threading.Event()

        def script(peer: Peer) -> None:
            peer.receive()
            peer.send(http(b"bye", "200 OK", "Connection: close"))
            if peer.receive() is None:
                ended.set()

        server = self.serve(script)
        transport = self.transport(server.url)
        for accepted in (1, 2):
            self.assertEqual(self.post(transport).body, b"bye")
            self.assertEqual(server.accepted, accepted)
            self.assertTrue(ended.wait(JOIN_SECONDS), "the client left its end open")
            ended.clear()

    def test_large_answer_before_close(self) -> None:
        """An answer with `Connection: close` is read whole, however long."""
        body = bytes(3 * 2**20)
        server = self.serve(answers(http(body, "200 OK", "Connection: close")))
        self.assertEqual(self.post(self.transport(server.url)).body, body)

    def test_stray_bytes(self) -> None:
        """Bytes that a server sent unasked are never taken for the next answer."""
        asked, strayed = threading.Event(), threading.Event()

        def script(peer: Peer) -> None:
            answers(http(b"first"))(peer)
            asked.wait(JOIN_SECONDS)
            peer.send(http(b"stray"))
            strayed.set()
            answers(http(b"second"))(peer)

        server = self.serve(script, answers(http(b"second")))
        transport = self.transport(server.url)
        self.post(transport)
        asked.set()
        self.assertTrue(strayed.wait(JOIN_SECONDS))
        self.assertEqual(self.post(transport).body, b"second")

    def test_close(self) -> None:
        """`close` ends the idle connections, a second time does nothing, and a later request opens a new one."""
        server = self.serve(answers_always(http()))
        transport = self.transport(server.url)
        self.post(transport)
        self.assertFalse(server.left.is_set())
        transport.close()
        transport.close()
        self.assertTrue(server.left.wait(JOIN_SECONDS), "the server saw no end of its connection")
        self.assertEqual(self.post(transport).status, 200)
        self.assertEqual(server.accepted, 2)

    def test_shared_by_threads(self) -> None:
        """Threads that share a transport each get the answers to their own requests."""

        server = self.serve(echoes)
        transport = self.transport(server.url)
        threads, requests = 8, 20
        start = threading.Barrier(threads)
        wrong: list[Any] = []
        right: list[bytes] = []

        def work(number: int) -> None:
            try:
                start.wait(JOIN_SECONDS)
                for index in range(requests):
                    body = f"{number}.{index}.".encode() * 1000
                    found = self.post(transport, body).body
                    (right if found == body else wrong).append(found[:20])
            except Exception as exc:
                wrong.append(exc)

        workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(4 * JOIN_SECONDS)
        self.assertFalse(any(worker.is_alive() for worker in workers))
        self.assertEqual(wrong, [])
        self.assertEqual(len(right), threads * requests)
        self.assertLessEqual(server.accepted, threads)


class Deadlines(TransportCase):
    def assert_deadline(self, server: FakeServer, transport: Transport, body: bytes = b"{}") -> None:
        """The request ends near the transport's timeout, as DeadlineExceeded, and its connection with it."""
        began = time.monotonic()
        with self.assertRaises(DeadlineExceeded) as caught:
            self.post(transport, body)
        took = time.monotonic() - began
        self.assertGreater(took, 0.9 * transport.timeout)
        self.assertLess(took, transport.timeout + LATE)
        self.assertIn(server.url, str(caught.exception))
        self.assertIn(f"{transport.timeout} s", str(caught.exception))

    def until_closed(self, send: Callable[[Peer], None]) -> tuple[FakeServer, threading.Event]:
        """A server that answers by `send`, and an event that is set when the client closes."""
        closed = threading.Event()

        def script(peer: Peer) -> None:
            peer.receive()
            try:
                send(peer)
                ended = peer.receive() is None
            except ConnectionError:
                ended = True
            if ended and not peer.server.over.is_set():
                closed.set()

        return self.serve(script), closed

    def test_silent(self) -> None:
        """A server that never answers is given up at the timeout, and the connection closed."""
        server, closed = self.until_closed(lambda peer: None)
        self.assert_deadline(server, self.transport(server.url, SHORT))
        self.assertTrue(closed.wait(JOIN_SECONDS), "the connection stayed open")

    def test_trickled_head(self) -> None:
        """A head that arrives byte by byte does not put the deadline off."""
        server, closed = self.until_closed(lambda peer: peer.trickle(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 9999))
        self.assert_deadline(server, self.transport(server.url, SHORT))
        self.assertTrue(closed.wait(JOIN_SECONDS), "the connection stayed open")

    def test_trickled_body(self) -> None:
        """A body that arrives byte by byte does not put the deadline off, and its connection is closed."""
        bodies = {
            "length": http(b"", length=9999),
            "chunks": http(b"", "200 OK", "Transfer-Encoding: chunked", length="") + b"ffff\r\n",
            "until close": http(b"", "200 OK", "Connection: close", length=""),
        }
        for name, head in bodies.items():
            with self.subTest(name):

                def send(peer: Peer, head: bytes = head) -> None:
                    peer.send(head)
                    peer.trickle(b"x" * 9999)

                server, closed = self.until_closed(send)
                self.assert_deadline(server, self.transport(server.url, SHORT))
                self.assertTrue(closed.wait(JOIN_SECONDS), "the connection stayed open")

    def test_continue_for_ever(self) -> None:
        """Interim answers without end do not put the deadline off."""
        server, _ = self.until_closed(lambda peer: peer.trickle(b"HTTP/1.1 100 Continue\r\n\r\n" * 999))
        self.assert_deadline(server, self.transport(server.url, SHORT))

    def test_request_is_not_read(self) -> None:
        """A server that takes no bytes is given up at the timeout."""
        server = self.serve(lambda peer: peer.server.over.wait(4 * JOIN_SECONDS) and None)
        self.assert_deadline(server, self.transport(server.url, SHORT), bytes(32 * 2**20))

    def test_kept_connection(self) -> None:
        """A request over a kept connection has its own whole timeout, and ends with it."""

        def script(peer: Peer) -> None:
            answers(http())(peer)
            peer.receive()
            peer.server.over.wait(4 * JOIN_SECONDS)

        server = self.serve(script)
        transport = self.transport(server.url, SHORT)
        self.assertEqual(self.post(transport).status, 200)
        self.assert_deadline(server, transport)
        self.assertEqual(server.accepted, 1)

    def test_after_deadline(self) -> None:
        """After a deadline the late answer is never taken for the next one's."""

        def late(peer: Peer) -> None:
            peer.receive()
            peer.server.over.wait(2 * SHORT)
            peer.send(http(b"late"))

        server = self.serve(late, answers(http(b"own")))
        transport = self.transport(server.url, SHORT)
        with self.assertRaises(DeadlineExceeded):
            self.post(transport)
        self.assertEqual(self.post(transport).body, b"own")
        self.assertEqual(server.accepted, 2)

    def test_bad_timeouts(self) -> None:
        """A timeout that is no usable number of seconds is refused by name."""
        for timeout in (0, -1, float("nan"), float("inf"), "5", None, True, 1e300):
            with self.subTest(timeout=timeout), self.assertRaisesRegex(InvalidScene, "^timeout: .* expected seconds"):
                Transport("http://127.0.0.1:5000", timeout)  # type: ignore[arg-type]


BUSY = http(b"", "503 Service Unavailable", kind="application/problem+json")


def busy(retry_after: str) -> bytes:
    return http(b"", "503 Service Unavailable", f"Retry-After: {retry_after}")


class Retries(TransportCase):
    """What is sent again, how often, and after what pause."""

    def without_pauses(self) -> list[Any]:
        """Let further tries follow at once; the arguments that each pause was reckoned from go into the list."""
        asked: list[Any] = []

        def delay(*args: Any) -> float:
            asked.append(args)
            return 0.0

        patched = mock.patch("gsp_network.transport.retry_delay", delay)
        patched.start()
        self.addCleanup(patched.stop)
        return asked

    def test_busy(self) -> None:
        """After a 503 the same request is sent again, over the kept connection."""
        asked = self.without_pauses()
        bodies: list[Any] = []

        def script(peer: Peer) -> None:
            for answer in (BUSY, busy("7"), http()):
                bodies.append((peer.receive(), peer.headers["content-type"]))
                peer.send(answer)

        server = self.serve(script)
        self.assertEqual(self.post(self.transport(server.url), b"[1]").body, PNG)
        self.assertEqual(bodies, [(b"[1]", "application/json")] * 3)
        self.assertEqual(asked, [(0, None), (1, "7")])
        self.assertEqual(server.accepted, 1)

    def test_busy_and_closed(self) -> None:
        """After a 503 that closes its connection the request is sent again over a new one."""
        self.without_pauses()
        server = self.serve(answers(http(b"", "503 Service Unavailable", "Connection: close")), answers(http()))
        self.assertEqual(self.post(self.transport(server.url)).body, PNG)
        self.assertEqual(server.accepted, 2)

    def test_at_most(self) -> None:
        """A server that stays busy is asked four times, or as often as `retries` says, and its last 503 is the answer."""
        for options, tries in (({}, 4), ({"retries": 1}, 2), ({"retries": 0}, 1)):
            with self.subTest(**options):
                asked = self.without_pauses()
                server = self.serve(answers(*[http(b"%d" % index, "503 Busy") for index in range(9)]))
                answer = self.post(self.transport(server.url, **options))
                self.assertEqual((answer.status, answer.body), (503, b"%d" % (tries - 1)))
                self.assertEqual([failures for failures, _ in asked], list(range(tries - 1)))

    def test_other_answers(self) -> None:
        """Every other answer is final."""
        self.without_pauses()
        for status in (
            "400 Bad",
            "401 Unauthorized",
            "408 Late",
            "422 Wrong",
            "429 Much",
            "500 Oops",
            "502 Bad",
            "504 Late",
        ):
            with self.subTest(status):
                server = self.serve(answers(http(b"", status, "Retry-After: 0"), http()))
                self.assertEqual(self.post(self.transport(server.url)).status, int(status[:3]))

    def test_reset(self) -> None:
        """Connections that are reset or closed before an answer came are replaced, until there is one."""
        self.without_pauses()
        server = self.serve(resets, lambda peer: None, answers(http()))
        self.assertEqual(self.post(self.transport(server.url)).body, PNG)
        self.assertEqual(server.accepted, 3)

    def test_always_reset(self) -> None:
        """A server that resets every connection is unreachable after four of them."""
        self.without_pauses()
        server = self.serve(resets)
        with self.assertRaises(ServerUnreachable) as caught:
            self.post(self.transport(server.url))
        self.assertIsInstance(caught.exception.__cause__, ConnectionError)
        self.assertEqual(server.accepted, 4)

    def test_refused_then_listening(self) -> None:
        """A server that starts between two tries is found."""
        taken = bound_socket()

        def delay(failures: int, retry_after: Optional[str]) -> float:
            if failures == 1:
                self.addCleanup(FakeServer(answers(http()), listening=taken).__exit__)
            return 0.0

        with mock.patch("gsp_network.transport.retry_delay", delay):
            self.assertEqual(self.post(self.transport(url_of(taken))).body, PNG)

    def test_refused(self) -> None:
        """Where nothing listens, the error comes after all tries within seconds."""
        began = time.monotonic()
        with bound_socket() as taken, self.assertRaises(ServerUnreachable):
            with mock.patch("gsp_network.transport.FIRST_BACKOFF_SECONDS", 0.01):
                self.post(self.transport(url_of(taken), 60.0))
        self.assertLess(time.monotonic() - began, 0.21 + LATE)

    def test_not_again(self) -> None:
        """Neither a timeout, nor an answer that is none, nor an unknown host is tried again."""
        asked = self.without_pauses()
        silent = self.serve(lambda peer: peer.server.over.wait(4 * JOIN_SECONDS) and None)
        with self.assertRaises(DeadlineExceeded):
            self.post(self.transport(silent.url, SHORT))
        odd = self.serve(answers(b"SSH-2.0-OpenSSH_9.6\r\n"))
        short = self.serve(answers(http(b"x", "503 Busy", length=9)))
        for server in (odd, short):
            with self.assertRaises(BadResponse):
                self.post(self.transport(server.url))
        failure = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        with mock.patch("socket.getaddrinfo", side_effect=failure), self.assertRaises(ServerUnreachable):
            self.post(self.transport("http://gsp.invalid:5000"))
        self.assertEqual([server.accepted for server in (silent, odd, short)], [1, 1, 1])
        self.assertEqual(asked, [])

    def test_retry_after(self) -> None:
        """What a server asks for by Retry-After is waited at least."""
        times: list[float] = []

        def script(peer: Peer) -> None:
            for answer in (busy("1"), http()):
                peer.receive()
                times.append(time.monotonic())
                peer.send(answer)

        server = self.serve(script)
        self.assertEqual(self.post(self.transport(server.url)).status, 200)
        self.assertGreaterEqual(times[1] - times[0], 0.99)
        self.assertLess(times[1] - times[0], 1.1 + LATE)

    def test_pause_beyond_deadline(self) -> None:
        """Where the pause would outlast the timeout, the failure at hand stands, at once."""
        server = self.serve(answers(busy("9"), http()))
        began = time.monotonic()
        self.assertEqual(self.post(self.transport(server.url, 8.0)).status, 503)
        with mock.patch("gsp_network.transport.retry_delay", return_value=9.0):
            with bound_socket() as taken, self.assertRaises(ServerUnreachable):
                self.post(self.transport(url_of(taken), 8.0))
        self.assertLess(time.monotonic() - began, LATE)

    def test_one_deadline(self) -> None:
        """All tries and pauses together have the timeout of one request."""

        def late(peer: Peer) -> None:
            peer.receive()
            peer.server.over.wait(0.6 * SHORT)
            peer.send(BUSY)
            peer.receive()
            peer.server.over.wait(4 * JOIN_SECONDS)

        self.without_pauses()
        server = self.serve(late)
        began = time.monotonic()
        with self.assertRaises(DeadlineExceeded):
            self.post(self.transport(server.url, SHORT))
        took = time.monotonic() - began
        self.assertGreater(took, 0.9 * SHORT)
        self.assertLess(took, 1.5 * SHORT)
        self.assertEqual(server.accepted, 1)

    def test_close(self) -> None:
        """`close` from another thread ends a pause, and the failure at hand stands; later requests have their own tries."""
        server = self.serve(answers(busy("30")), answers(BUSY), answers(http()))
        transport = self.transport(server.url, 60.0)
        found: list[Answer] = []
        pausing = threading.Event()

        def delay(*args: Any) -> float:
            pausing.set()
            return 30.0

        began = time.monotonic()
        with mock.patch("gsp_network.transport.retry_delay", delay):
            thread = threading.Thread(target=lambda: found.append(self.post(transport)))
            thread.start()
            self.assertTrue(pausing.wait(JOIN_SECONDS))
            transport.close()
            thread.join(JOIN_SECONDS)
        self.assertFalse(thread.is_alive())
        self.assertEqual([answer.status for answer in found], [503])
        self.assertLess(time.monotonic() - began, 20.0)
        self.without_pauses()
        self.assertEqual(self.post(transport).status, 200)

    def test_delay(self) -> None:
        """The pause is random up to 0.1, 0.4 and 1.6 s, on top of the whole seconds that Retry-After asks for, at most 30."""
        table = {
            (0, None): (0, 0.1),
            (1, None): (0, 0.4),
            (2, None): (0, 1.6),
            (1000, None): (0, 25.6),
            (0, "0"): (0, 0.1),
            (0, "1"): (1, 1.1),
            (1, " 30 "): (30, 30.4),
            (0, "31"): (30, 30.1),
            (0, "9" * 5000): (30, 30.1),
        }
        table.update({(0, text): (0, 0.1) for text in ("", "-1", "+5", "1.5", "1e1", "\u0663", "\u00b2", "soon")})
        table[0, "Wed, 21 Oct 2065 07:28:00 GMT"] = (0, 0.1)
        for args, (least, most) in table.items():
            with self.subTest(args=args):
                for pick, expected in ((min, least), (max, most)):
                    with mock.patch("random.uniform", pick):
                        self.assertAlmostEqual(retry_delay(*args), expected)

    def test_bad_retries(self) -> None:
        """A number of retries that is none is refused by name."""
        for retries in (-1, 1.0, "3", None, True):
            with self.subTest(retries=retries), self.assertRaisesRegex(InvalidScene, "^retries: .* expected a whole"):
                Transport("http://127.0.0.1:5000", retries=retries)  # type: ignore[arg-type]


class Bodies(TransportCase):
    def refused(self, data: bytes, whole: bool = False, **options: Any) -> str:
        """The text of the BadResponse that these bytes become; unless they are a whole answer, it ends the connection."""

        def script(peer: Peer) -> None:
            peer.receive()
            peer.send(data)
            peer.connection.shutdown(socket.SHUT_WR)
            peer.receive()

        with FakeServer(script) as server:
            transport = Transport(server.url, 10.0, **options)
            try:
                with self.assertRaises(BadResponse) as caught:
                    picture_of(self.post(transport), server.url)
                self.assertIn(server.url, str(caught.exception))
                self.assertIsNone(caught.exception.status)
                self.assertTrue(whole or server.left.wait(JOIN_SECONDS), "the connection stayed open")
            finally:
                transport.close()
        return str(caught.exception)

    def test_truncated(self) -> None:
        """A body shorter than its Content-Length is refused with both numbers."""
        self.assertIn("ended after 40 of 1000 bytes", self.refused(http(b"x" * 40, length=1000)))

    def test_truncated_chunks(self) -> None:
        """A body that ends within a chunk, or before the last one, is refused."""
        for body in (b"64\r\nshort", b"5\r\nhello\r\n", b"nonsense\r\n"):
            with self.subTest(body):
                said = self.refused(http(body, "200 OK", "Transfer-Encoding: chunked", length=""))
                self.assertIn("not an HTTP answer", said)

    def test_until_close(self) -> None:
        """A body without a Content-Length is read until the server closes."""
        for body in (PNG, bytes(3 * 2**20)):
            with self.subTest(size=len(body)):
                server = self.serve(answers(http(body, length="")))
                self.assertEqual(self.post(self.transport(server.url)).body, body)

    def test_giant_length(self) -> None:
        """A Content-Length over the limit is refused at once, before any of the body has come."""
        server = self.serve(answers(http(b"", length=10**14), b""))
        with self.assertRaises(BadResponse) as caught:
            self.post(self.transport(server.url, 60.0))
        self.assertIn(str(10**14), str(caught.exception))
        self.assertTrue(server.left.wait(JOIN_SECONDS), "the connection stayed open")

    def test_negative_or_no_number(self) -> None:
        """A Content-Length that is no number does not let a body through as a whole picture."""
        for length in ("-1", "many"):
            with self.subTest(length):
                server = self.serve(answers(http(PNG[:-4], length=length)))
                with self.assertRaises(BadResponse):
                    picture_of(self.post(self.transport(server.url)), server.url)

    def test_limit(self) -> None:
        """A body over the limit is refused although no length announced it; one at the limit is taken."""
        chunks = b"3e8\r\n" + bytes(1000) + b"\r\n0\r\n\r\n"
        chunked = http(chunks, "200 OK", "Transfer-Encoding: chunked", length="")
        for name, data in {"until close": http(bytes(1000), length=""), "chunks": chunked}.items():
            with self.subTest(name):
                self.assertIn("over 999 bytes", self.refused(data, max_answer_bytes=999))
                server = self.serve(answers(data))
                self.assertEqual(len(self.post(self.transport(server.url, max_answer_bytes=1000)).body), 1000)

    def test_endless(self) -> None:
        """A body without end is refused when the limit is passed, and the connection closed."""

        def endless(peer: Peer) -> None:
            peer.receive()
            peer.send(http(length=""))
            while not peer.server.over.is_set():
                peer.send(bytes(2**16))

        server = self.serve(endless)
        with self.assertRaises(BadResponse):
            self.post(self.transport(server.url, 60.0, max_answer_bytes=2**20))
        self.assertTrue(server.left.wait(JOIN_SECONDS), "the connection stayed open")

    def test_not_http(self) -> None:
        """What is not HTTP is refused as such."""
        table = {
            "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
            "bare picture": PNG,
            "no status": b"HTTP/1.1\r\n\r\n",
            "long line": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
            "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        }
        for name, data in table.items():
            with self.subTest(name):
                self.assertIn("not an HTTP answer", self.refused(data))

    def test_not_a_picture(self) -> None:
        """A good answer that holds no picture is refused, with its type and what is wrong with it."""
        table = {
            "HTML": (http(b"<!doctype html><p>hello", kind="text/html"), "'text/html'.*no PNG signature"),
            "empty": (http(b""), "'image/png'.*no PNG signature"),
            "JPEG": (http(b"\xff\xd8\xff\xe0" + bytes(99), kind="image/jpeg"), "'image/jpeg'.*no PNG signature"),
            "cut": (http(PNG[:-20]), "cut off"),
            "no type": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "'no type'.*no PNG signature"),
        }
        for name, (data, text) in table.items():
            with self.subTest(name):
                self.assertRegex(self.refused(data, whole=True), text)

    def test_long_type(self) -> None:
        """A type of any length does not swell the message."""
        with self.assertRaises(BadResponse) as caught:
            picture_of(Answer(200, message(Content_Type="x" * 9999), b""), "http://h")
        self.assertLess(len(str(caught.exception)), 300)


class Pictures(unittest.TestCase):
    def test_whole(self) -> None:
        """A whole PNG has no fault and comes back as it is, whatever type its answer names."""
        self.assertEqual(png_fault(PNG), "")
        self.assertEqual(picture_of(Answer(200, message(), PNG), "http://h"), PNG)

    def test_faults(self) -> None:
        """Each way in which a PNG is not whole is told apart."""
        ihdr = PNG[8:33]
        table = {
            "empty": (b"", "no PNG signature"),
            "half a signature": (PNG[:5], "no PNG signature"),
            "text mode": (PNG.replace(b"\r\n", b"\n", 1), "no PNG signature"),
            "signature alone": (SIGNATURE, "does not end with IEND"),
            "no IEND": (PNG[:-12], "does not end with IEND"),
            "trailing byte": (PNG + b"\0", "does not end with IEND"),
            "two pictures": (PNG + PNG, "does not end with IEND"),
            "first chunk": (SIGNATURE + chunk(b"IDAT") + PNG[8:], "first chunk is not IHDR"),
            "IEND alone": (SIGNATURE + chunk(b"IEND"), "first chunk is not IHDR"),
            "length beyond the end": (SIGNATURE + ihdr + b"\xff\xff\xff\xffIDAT" + bytes(99), "cut off.*IDAT"),
        }
        for name, (data, text) in table.items():
            with self.subTest(name):
                self.assertRegex(png_fault(data), text)

    def test_cut_anywhere(self) -> None:
        """A PNG that is cut short at any byte is refused."""
        for size in range(len(PNG)):
            with self.subTest(size=size):
                self.assertNotEqual(png_fault(PNG[:size]), "")

    def test_damaged_anywhere(self) -> None:
        """A PNG with one bit turned over at any byte is refused."""
        for index in range(len(PNG)):
            with self.subTest(index=index):
                damaged = bytearray(PNG)
                damaged[index] ^= 0x10
                self.assertNotEqual(png_fault(bytes(damaged)), "")

    def test_damaged_checksum(self) -> None:
        """A chunk whose checksum does not fit is named."""
        damaged = PNG[:-13] + bytes([PNG[-13] ^ 1]) + PNG[-12:]
        with self.assertRaisesRegex(BadResponse, "^http://h: .*chunk b'IDAT' is damaged"):
            picture_of(Answer(200, message(Content_Type="image/png"), damaged), "http://h")


class Errors(TransportCase):
    def error_of(self, data: bytes) -> ServerError:
        server = self.serve(answers(data))
        with self.assertRaises(ServerError) as caught:
            picture_of(self.post(self.transport(server.url)), server.url)
        return caught.exception

    def test_redirect(self) -> None:
        """A redirect is an error, and nothing goes where it points."""
        for status in ("301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"):
            with self.subTest(status):
                other = self.serve(answers(http()))
                error = self.error_of(http(b"", status, f"Location: {other.url}/render"))
                self.assertEqual(error.status, int(status[:3]))
                self.assertEqual(other.accepted, 0)

    def test_problem(self) -> None:
        """A problem document's facts come through in the error."""
        facts = {
            "type": "scene_too_large",
            "title": "Unprocessable Entity",
            "status": 422,
            "detail": "canvas.width: 9000 px, expected at most 8192",
            "where": "canvas.width",
            "limit": "max_canvas_side",
            "request_id": "abc123",
        }
        kinds = ("application/problem+json", "Application/Problem+JSON; charset=utf-8")
        for kind in kinds:
            with self.subTest(kind):
                error = self.error_of(http(json.dumps(facts).encode(), "422 Unprocessable Entity", kind=kind))
                self.assertEqual(error.status, 422)
                for name in ("type", "where", "limit", "request_id"):
                    self.assertEqual(getattr(error, name), facts[name])
                self.assertEqual(str(error), f"{facts['detail']} (HTTP 422, request abc123)")

    def test_without_problem(self) -> None:
        """An error without a usable problem document keeps its status, and a message of ours."""
        problem = "application/problem+json"
        table = {
            "HTML": (b"<h1>oops</h1>", "text/html"),
            "JSON of another kind": (b'{"detail": "not for you"}', "application/json"),
            "nothing": (b"", problem),
            "not JSON": (b"{oops", problem),
            "not UTF-8": (b'{"detail": "\xff\xfe"}', problem),
            "too deep": (b"[" * 200_000, problem),
            "a list": (b'["detail"]', problem),
            "null": (b"null", problem),
            "facts of the wrong type": (
                b'{"detail": 1, "type": [], "where": {}, "limit": 2, "request_id": 3}',
                problem,
            ),
        }
        for name, (body, kind) in table.items():
            with self.subTest(name):
                error = self.error_of(http(body, "500 Internal Server Error", "X-Request-Id: r1", kind=kind))
                facts = (error.status, error.type, error.where, error.limit, error.request_id)
                self.assertEqual(facts, (500, "server_error", None, None, "r1"))
                self.assertEqual(
                    str(error), "the server answered 500 Internal Server Error and no reason (HTTP 500, request r1)"
                )

    def test_odd_status(self) -> None:
        """A status that HTTP does not know, or that carries no picture, is an error with that status."""
        for status in ("204 No Content", "206 Partial Content", "201 Created", "599 Odd"):
            with self.subTest(status):
                body = b"" if status.startswith("204") else PNG
                self.assertEqual(self.error_of(http(body, status)).status, int(status[:3]))

    def test_long_detail(self) -> None:
        """A detail of any length does not swell the message, nor do its control characters reach a terminal."""
        detail = "\x1b[2J" + "x" * 10**6
        body = json.dumps({"detail": detail}).encode()
        text = str(self.error_of(http(body, "422 Unprocessable Entity", kind="application/problem+json")))
        self.assertIn("xxxx", text)
        self.assertLess(len(text), 10_000)
        self.assertNotIn("\x1b", text)


class Urls(TransportCase):
    def test_bad_urls(self) -> None:
        """A base URL that is none is refused by the constructor, with what was wanted."""
        table = {
            "file": "file:///etc/passwd",
            "file with a host": "file://127.0.0.1/etc/passwd",
            "ftp": "ftp://127.0.0.1/",
            "data": "data:text/plain,hello",
            "no scheme": "127.0.0.1:5000",
            "no scheme, name": "localhost:5000",
            "empty": "",
            "no host": "http://",
            "no host, path": "http:///render",
            "no host, port": "http://:5000",
            "port 0": "http://127.0.0.1:0",
            "port text": "http://127.0.0.1:http",
            "port too large": "http://127.0.0.1:65536",
            "port negative": "http://127.0.0.1:-1",
            "space": "http://127.0.0.1:5000/a b",
            "space in front": " http://127.0.0.1:5000",
            "line break": "http://127.0.0.1:5000\r\nX-Evil: 1",
            "tab": "http://127.0.0.1\t:5000",
            "delete": "http://127.0.0.1:5000/\x7f",
            "user": "http://user@127.0.0.1:5000",
            "user and password": "http://user:password@127.0.0.1:5000",
            "password alone": "http://:password@127.0.0.1:5000",
            "empty user": "http://@127.0.0.1:5000",
            "query": "http://127.0.0.1:5000/?a=b",
            "empty query": "http://127.0.0.1:5000/?",
            "fragment": "http://127.0.0.1:5000/#a",
            "empty fragment": "http://127.0.0.1:5000/#",
            "broken brackets": "http://[::1:5000",
            "path outside ASCII": "http://127.0.0.1:5000/\u00e9",
            "label too long": f"http://{'a' * 64}:5000",
            "empty label": "http://a..b:5000",
        }
        for name, url in table.items():
            with self.subTest(name):
                with self.assertRaises(InvalidScene) as caught:
                    Transport(url)
                self.assertEqual(caught.exception.where, "server_base_url")
                self.assertIn("expected http or https with a host", str(caught.exception))
                self.assertNotIn("password", str(caught.exception))

    def test_not_text(self) -> None:
        """A base URL that is no text is refused with its type."""
        for url in (None, 5000, b"http://127.0.0.1:5000", ["http://127.0.0.1:5000"]):
            with self.subTest(url=url), self.assertRaisesRegex(InvalidScene, type(url).__name__):
                Transport(url)  # type: ignore[arg-type]

    def test_good_urls(self) -> None:
        """A base URL is taken with or without port, path and trailing slash."""
        table = {
            "http://127.0.0.1:5000": "http://127.0.0.1:5000",
            "http://127.0.0.1:5000/": "http://127.0.0.1:5000",
            "https://example.org": "https://example.org",
            "http://[::1]:5000/gsp/": "http://[::1]:5000/gsp",
            "HTTP://localhost:65535/a/b": "HTTP://localhost:65535/a/b",
        }
        for url, kept in table.items():
            with self.subTest(url):
                self.assertEqual(self.transport(url).base_url, kept)

    def test_refused(self) -> None:
        """Where nothing listens, the error holds the URL and how to start a server."""
        with bound_socket() as taken:
            url = url_of(taken)
            with self.assertRaises(ServerUnreachable) as caught:
                self.post(self.transport(url, retries=0))
        self.assertIn(url, str(caught.exception))
        self.assertIn(f"start one with: {calling('serve')}", str(caught.exception))
        self.assertIsInstance(caught.exception.__cause__, ConnectionRefusedError)

    def test_unknown_host(self) -> None:
        """A host name that does not resolve is an unreachable server, with the URL."""
        failure = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        url = "http://gsp.invalid:5000"
        with mock.patch("socket.getaddrinfo", side_effect=failure), self.assertRaises(ServerUnreachable) as caught:
            self.post(self.transport(url))
        self.assertIn(url, str(caught.exception))
        self.assertIn("Name or service not known", str(caught.exception))

    def test_reset(self) -> None:
        """A connection that breaks within an answer is an unreachable server, and the request is not sent again."""
        read = threading.Event()

        class Reading(Transport):
            def _read(self, *args: Any) -> Answer:
                read.set()
                return super()._read(*args)

        def script(peer: Peer) -> None:
            peer.receive()
            peer.send(http(b"x" * 100, length=1000))
            read.wait(JOIN_SECONDS)  # a reset at once could overtake the head
            peer.reset()

        server = self.serve(script)
        transport = Reading(server.url, 10.0)
        self.addCleanup(transport.close)
        with self.assertRaises(ServerUnreachable) as caught:
            self.post(transport)
        self.assertIn(server.url, str(caught.exception))
        self.assertEqual(server.accepted, 1)


class Proxies(TransportCase):
    def test_bypassed_for_loopback(self) -> None:
        """A request to this machine never goes to a proxy."""
        proxy = self.serve(answers_always(http(b"proxy")))
        server = self.serve(answers_always(http(b"server")))
        names = ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy")
        for host in ("127.0.0.1", "localhost"):
            with self.subTest(host), mock.patch.dict(os.environ, dict.fromkeys(names, proxy.url)):
                answer = self.post(self.transport(f"http://{host}:{server.port}"))
                self.assertEqual(answer.body, b"server")
                self.assertEqual(proxy.accepted, 0)

    def test_used_elsewhere(self) -> None:
        """A request to another machine goes to the proxy, with its whole URL, over a kept connection."""
        lines: list[Any] = []

        def script(peer: Peer) -> None:
            while peer.receive() is not None:
                lines.append((peer.line, peer.headers["host"]))
                peer.send(http())

        proxy = self.serve(script)
        with mock.patch.dict(os.environ, {"http_proxy": proxy.url}):
            transport = self.transport("http://gsp.invalid:8080/a")
            for _ in range(2):
                self.assertEqual(self.post(transport).body, PNG)
        self.assertEqual(lines, [("POST http://gsp.invalid:8080/a/render HTTP/1.1", "gsp.invalid:8080")] * 2)
        self.assertEqual(proxy.accepted, 1)

    def test_no_proxy(self) -> None:
        """A host that no_proxy names is asked directly."""
        proxy = self.serve(answers(http()))
        failure = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        environ = {"http_proxy": "http://proxy.invalid:1", "no_proxy": "gsp.invalid"}
        with mock.patch.dict(os.environ, environ), mock.patch("socket.getaddrinfo", side_effect=failure) as resolve:
            with self.assertRaises(ServerUnreachable):
                self.post(self.transport("http://gsp.invalid:8080"))
        self.assertEqual(resolve.call_args[0][:2], ("gsp.invalid", 8080))
        self.assertEqual(proxy.accepted, 0)

    def test_tunnel(self) -> None:
        """An https request asks the proxy for a tunnel, and the proxy alone sees the proxy's password."""
        seen: list[Any] = []

        def script(peer: Peer) -> None:
            peer.receive()
            seen.append((peer.line, peer.headers.get("proxy-authorization")))
            peer.send(http(b"", "407 Proxy Authentication Required"))

        proxy = self.serve(script)
        with mock.patch.dict(os.environ, {"https_proxy": f"http://me:secret@127.0.0.1:{proxy.port}"}):
            with self.assertRaises(ServerUnreachable) as caught:
                self.post(self.transport("https://gsp.invalid"))
        line, authorization = seen[0]
        self.assertRegex(line, r"^CONNECT gsp\.invalid:443 ")
        self.assertEqual(authorization, "Basic bWU6c2VjcmV0")
        self.assertIn("407", str(caught.exception))
        self.assertNotIn("secret", str(caught.exception))

    def test_unusable_proxy(self) -> None:
        """A proxy of a kind that cannot be used is an unreachable server."""
        with mock.patch.dict(os.environ, {"http_proxy": "socks5://127.0.0.1:1"}):
            with self.assertRaises(ServerUnreachable):
                self.post(self.transport("http://gsp.invalid:8080", retries=0))


if __name__ == "__main__":
    unittest.main()
