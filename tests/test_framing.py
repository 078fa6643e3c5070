"""Connections: what is read of them when, how they end, and who may have how many; by sockets on a server in this process."""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import socketserver
import ssl
import struct
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from typing import Any, Optional
from unittest import mock

from gsp_network import framing, listening
from gsp_network.framing import plain_address
from gsp_network.listening import HttpServer
from gsp_network.server import RenderServer
from gsp_network.settings import is_loopback

from .processes import HEAD, JSON, PATIENCE, answers_in, get_request, post_request, rest_of, talk, wait_until
from .scenes import body_of, run_server
from .support import make_certificate
from .test_server import own_threads


def connect(server: RenderServer, source: str = "") -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), PATIENCE, (source, 0) if source else None)


def http_of(server: RenderServer) -> HttpServer:
    if server._http is None:
        raise AssertionError("the server has not been started")
    return server._http


def connections(server: RenderServer) -> int:
    return http_of(server).connections


class TestReading(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.server = RenderServer(port=0, head_timeout=PATIENCE, max_body_bytes=2**20).start()
        cls.addClassCleanup(cls.server.close)

    def in_pieces(self, *pieces: bytes) -> list[int]:
        """The statuses after pieces that the server has read one by one."""
        read = threading.Event()
        receive = framing.Connection._receive

        def watched(connection: Any, most: int, deadline: float) -> bool:
            read.set()  # it has dealt with all that came, and waits for more
            return receive(connection, most, deadline)

        with mock.patch.object(framing.Connection, "_receive", watched), connect(self.server) as connection:
            for piece in pieces:
                self.assertTrue(read.wait(PATIENCE))
                read.clear()
                connection.sendall(piece)
            return [answer.status for answer in answers_in(rest_of(connection))]

    def test_pieces(self) -> None:
        """A request may come in pieces of any size, an empty line before it too."""
        body = body_of()
        for request, status in ((get_request("/health"), 200), (b"\r\n" + get_request("/nothing"), 404)):
            with self.subTest(request=request):
                self.assertEqual(self.in_pieces(*(bytes([byte]) for byte in request)), [status])
        request = post_request(body)
        place = len(request) - len(body)
        self.assertEqual(self.in_pieces(request[:place], body[:1], body[1:7], body[7:]), [200])
        self.assertEqual(self.in_pieces(request[: place + 3], body[3:]), [200])

    def test_second_empty_line(self) -> None:
        """Only one empty line is ignored before a request, however they come."""
        for pieces in ((b"\r\n\r\n" + get_request("/"),), (b"\r\n", b"\r\n" + get_request("/")), (b"\r\n\r",)):
            with self.subTest(pieces=pieces):
                self.assertEqual(self.in_pieces(*pieces), [400])

    def test_longest_line_in_pieces(self) -> None:
        """A request line of just 2048 bytes is none too long when its CR and its LF come one after the other."""
        line = b"GET /" + b"a" * (2048 - 14) + b" HTTP/1.1"
        self.assertEqual(self.in_pieces(line + b"\r", b"\nHost: 127.0.0.1\r\n\r\n"), [404])

    def test_answer_before_pipelined_bytes_is_read(self) -> None:
        """Whatever a client sends behind a request, it reads the one answer: the connection is not reset under it."""
        more = b"GET /smuggled " + HEAD + b"\r\n" + bytes(5_000_000)
        for first in (b"GET /health " + HEAD + b"\r\n", get_request("/health"), post_request(b"{}")):
            with self.subTest(first=first):
                answers = talk(self.server.port, first + more)
                self.assertEqual(len(answers), 1)
                self.assertEqual(answers[0].headers["connection"], "close")

    def test_early_answers_are_read(self) -> None:
        """A client that sends its whole body before it reads still gets the answer that came before it was read."""
        body = bytes(30_000_000)
        for head, status in (
            (b"POST /render " + HEAD + JSON, 413),
            (b"POST /nothing " + HEAD + JSON, 404),
            (b"PUT /render " + HEAD + JSON, 405),
            (b"POST /render " + HEAD + b"Content-Type: text/plain\r\n", 413),
            (b"POST /render " + HEAD + JSON + b"Transfer-Encoding: x\r\n", 400),
            (b"POST /render HTTP/1.1\r\nHost: evil.example\r\n", 421),
        ):
            with self.subTest(status=status, head=head):
                answers = talk(self.server.port, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                self.assertEqual([answer.status for answer in answers], [status])

    def test_expectation_of_an_old_client(self) -> None:
        """HTTP/1.0 knows no 100 Continue, and gets none (RFC 9110 10.1.1)."""
        body = body_of()
        head = b"POST /render HTTP/1.0\r\nHost: 127.0.0.1\r\n" + JSON + b"Expect: 100-continue\r\n"
        answers = talk(self.server.port, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.assertEqual([answer.status for answer in answers], [200])

    def test_client_that_resets(self) -> None:
        """A connection that is reset in mid-body is logged quietly, and its thread ends."""
        with self.assertLogs("gsp_network", "DEBUG") as logs:
            with connect(self.server) as connection:
                connection.sendall(b"POST /render " + HEAD + JSON + b"Content-Length: 10\r\n\r\n{")
                self.assertTrue(wait_until(lambda: self.server.room.bytes == 10))
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.assertTrue(wait_until(lambda: connections(self.server) == 0))
        self.assertEqual(self.server.room.bytes, 0)
        self.assertEqual({record.levelname for record in logs.records}, {"DEBUG"})


class TestPlaces(unittest.TestCase):
    def test_plain_addresses(self) -> None:
        """An IPv4 address that came through an IPv6 socket counts as itself."""
        pairs = (("::ffff:10.0.0.1", "10.0.0.1"), ("::1", "::1"), ("10.0.0.1", "10.0.0.1"), ("::ffff:1", "::ffff:1"))
        for address, plain in pairs:
            self.assertEqual(plain_address(address), plain)

    @unittest.skipUnless(sys.platform == "linux", "only there is all of 127.0.0.0/8 this machine's")
    def test_connections_of_one_address(self) -> None:
        """Another machine may have only so many connections; others are not affected, and it gets its places back."""

        def strange(host: str) -> bool:
            return is_loopback(host) and host != "127.0.0.2"

        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch("gsp_network.listening.is_loopback", strange))
            server = stack.enter_context(run_server(max_address_connections=3))
            held = [stack.enter_context(connect(server, "127.0.0.2")) for _ in range(3)]
            self.assertTrue(wait_until(lambda: connections(server) == 3))
            with connect(server, "127.0.0.2") as refused:
                refused.sendall(get_request("/health"))
                (answer,) = answers_in(rest_of(refused))
            self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "1"))
            self.assertEqual(json.loads(answer.body)["limit"], "max_address_connections")
            with connect(server, "127.0.0.3") as other:
                other.sendall(get_request("/health"))
                self.assertEqual(answers_in(rest_of(other))[0].status, 200)
            held.pop().close()
            self.assertTrue(wait_until(lambda: connections(server) == 2))
            with connect(server, "127.0.0.2") as again:
                again.sendall(get_request("/health"))
                self.assertEqual(answers_in(rest_of(again))[0].status, 200)

    def test_more_refused_than_are_waited_for(self) -> None:
        """Every refused client reads its 503, also when more of them stay than the server waits for."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(listening, "MAX_LINGERING", 3))
            server = stack.enter_context(run_server(max_connections=1))
            stack.enter_context(connect(server))
            self.assertTrue(wait_until(lambda: connections(server) == 1))
            refused = [stack.enter_context(connect(server)) for _ in range(10)]
            answers = [answer for connection in refused for answer in answers_in(rest_of(connection))]
            self.assertEqual([answer.status for answer in answers], [503] * 10)
            self.assertLessEqual(len(http_of(server)._lingering), 3)

    def test_refused_connections_are_let_go(self) -> None:
        """A refused client that stays is let go after a while, and none is left when the server has closed."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(listening, "LINGER_SECONDS", 0.2))
            server = stack.enter_context(run_server(max_connections=1))
            stack.enter_context(connect(server))
            self.assertTrue(wait_until(lambda: connections(server) == 1))
            stays = stack.enter_context(connect(server))
            self.assertEqual([answer.status for answer in answers_in(rest_of(stays))], [503])
            http = http_of(server)
            self.assertTrue(wait_until(lambda: not http._lingering))
            self.assertEqual([answer.status for answer in talk(server.port)], [503])
            self.assertTrue(server.close(10))
            self.assertEqual(http._lingering, [])
        self.assertEqual(own_threads(), [])

    def test_no_descriptor_for_a_connection(self) -> None:
        """When nothing can be accepted the server says so, pauses, and accepts again."""
        paused = threading.Event()
        get_request_of_base = socketserver.TCPServer.get_request
        failures = [OSError(errno.EMFILE, "Too many open files"), OSError(errno.ECONNABORTED, "Gone")]

        def failing(http: HttpServer) -> Any:
            if failures:
                raise failures.pop(0)
            return get_request_of_base(http)

        def sleep(seconds: float) -> None:
            paused.set()

        with contextlib.ExitStack() as stack:
            server = stack.enter_context(run_server())
            stack.enter_context(mock.patch.object(listening.time, "sleep", sleep))
            stack.enter_context(mock.patch.object(socketserver.TCPServer, "get_request", failing))
            logs = stack.enter_context(self.assertLogs("gsp_network.listening", "ERROR"))
            self.assertEqual(talk(server.port, get_request("/health"))[0].status, 200)
            self.assertTrue(paused.is_set())
            self.assertEqual(len(logs.output), 1)
            self.assertIn("Too many open files", logs.output[0])


class TestTls(unittest.TestCase):
    """The same connections under TLS."""

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        certificate, key = make_certificate(Path(folder.name))
        settings = {"certfile": str(certificate), "keyfile": str(key), "head_timeout": 0.5}
        cls.server = RenderServer(port=0, max_body_bytes=2**20, **settings).start()
        cls.addClassCleanup(cls.server.close)
        cls.context = ssl.create_default_context(cafile=str(certificate))

    def talk(self, *pieces: bytes, context: Optional[ssl.SSLContext] = None) -> list[int]:
        """The statuses that come back over TLS."""
        with connect(self.server) as plain:
            with self.context.wrap_socket(plain, server_hostname="localhost") as connection:
                for piece in pieces:
                    connection.sendall(piece)
                received = b""
                with contextlib.suppress(ssl.SSLEOFError):  # the server ends without close_notify
                    while True:
                        more = connection.recv(65536)
                        if not more:
                            break
                        received += more
        return [answer.status for answer in answers_in(received)]

    def tearDown(self) -> None:
        """The connection's thread has ended."""
        self.assertTrue(wait_until(lambda: connections(self.server) == 0))

    def test_requests(self) -> None:
        """Requests are served as without it, also several on one connection and pipelined ones, of which one is answered."""
        self.assertEqual(self.talk(post_request(body_of())), [200])
        self.assertEqual(self.talk(get_request("/health") * 2), [200])
        self.assertEqual(self.talk(b"GET /health " + HEAD), [408])
        self.assertEqual(self.talk(b"GET /health HTTP/1.1\r\n\r\n"), [400])

    def test_clients_without_tls(self) -> None:
        """A client that speaks none, or says nothing at all, is left without an answer, and soon."""
        for request in (get_request("/health"), b"", b"\x16\x03\x01"):
            with self.subTest(request=request), connect(self.server) as connection:
                connection.sendall(request)
                with contextlib.suppress(ConnectionResetError):
                    self.assertNotIn(b"HTTP/1.1", rest_of(connection))


class TestUsedBySubclasses(unittest.TestCase):
    def test_port_is_not_shared(self) -> None:
        """Two servers never share a port."""
        self.assertFalse(HttpServer.allow_reuse_port)
        self.assertGreaterEqual(HttpServer.request_queue_size, 128)
