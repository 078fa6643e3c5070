"""The client's token and its https, against scripted servers on loopback."""

from __future__ import annotations

import io
import json
import os
import pathlib
import socket
import ssl
import tempfile
import threading
import time
import unittest
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, Callable, Optional
from unittest import mock

from gsp_network.errors import DeadlineExceeded, InvalidScene, ServerError, ServerUnreachable
from gsp_network.renderer.network_renderer import NetworkRenderer
from gsp_network.scene.objects import Canvas
from gsp_network.tools import replay
from gsp_network.transport import Transport, environment_token, picture_of

from .support import make_certificate
from .test_transport import (
    JOIN_SECONDS,
    LATE,
    PNG,
    SHORT,
    FakeServer,
    Peer,
    TransportCase,
    answers,
    answers_always,
    echoes,
    http,
)

TOKEN = "s3cret-" + "!~token"
VARIABLE = "GSP_NETWORK_TOKEN"
UNKNOWN = {  # texts that are no token, each with SECRET in it
    "blank": "SECRET one",
    "blank at the end": "SECRET ",
    "tab": "SECRET\tone",
    "line break": "SECRET\r\nX-Evil: 1",
    "NUL": "SECRET\0",
    "delete": "SECRET\x7f",
    "Latin-1": "SECRET\u00e9",
    "beyond": "SECRET\u20ac",
    "surrogate": "SECRET\udc80",
}


def notes(seen: list[Optional[str]], data: bytes = b"") -> Callable[[Peer], None]:
    """A script: note each request's Authorization, and answer."""

    def script(peer: Peer) -> None:
        while peer.receive() is not None:
            seen.append(peer.headers.get("authorization"))
            peer.send(data or http())

    return script


class AccessCase(TransportCase):
    def setUp(self) -> None:
        super().setUp()
        os.environ.pop(VARIABLE, None)  # TransportCase restores the environment

    def resolve_to(self, server: FakeServer) -> Any:
        """While it lasts, every host name leads to this server."""
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))]
        return mock.patch("socket.getaddrinfo", return_value=found)


class Tokens(AccessCase):
    def test_sent(self) -> None:
        """The token goes with each request, over new and kept connections and with further tries."""
        seen: list[Optional[str]] = []
        server = self.serve(notes(seen))
        transport = self.transport(server.url, token=TOKEN)
        for _ in range(2):
            self.assertEqual(self.post(transport).body, PNG)
        busy = self.serve(notes(seen, http(b"", "503 Busy")))
        with mock.patch("gsp_network.transport.retry_delay", return_value=0.0):
            self.post(self.transport(busy.url, token=TOKEN, retries=1))
        self.assertEqual(seen, [f"Bearer {TOKEN}"] * 4)

    def test_none(self) -> None:
        """Without a token no Authorization goes out, and a transport does not look into the environment."""
        seen: list[Optional[str]] = []
        server = self.serve(notes(seen))
        with mock.patch.dict(os.environ, {VARIABLE: TOKEN}):
            self.post(self.transport(server.url))
        self.assertEqual(seen, [None])

    def test_unusable(self) -> None:
        """A token that is no printable ASCII without blanks is refused, and not shown."""
        for name, token in UNKNOWN.items():
            with self.subTest(name), self.assertRaises(InvalidScene) as caught:
                Transport("http://127.0.0.1:5000", token=token)
            self.assertEqual(caught.exception.where, "token")
            self.assertNotIn("SECRET", f"{caught.exception} {caught.exception!r}")
        for other in ("", b"SECRET", 5, ["SECRET"]):
            with self.subTest(token=other), self.assertRaises(InvalidScene) as caught:
                Transport("http://127.0.0.1:5000", token=other)  # type: ignore[arg-type]
            self.assertEqual(caught.exception.where, "token")
            self.assertNotIn("SECRET", f"{caught.exception} {caught.exception!r}")

    def test_environment(self) -> None:
        """A renderer takes the first token of the environment where it is given none, and none where there is none."""
        table: list[tuple[Optional[str], Optional[str], Optional[str]]] = [
            # the environment, the argument, what is sent
            (None, None, None),
            ("", None, None),
            (" \t\n", None, None),
            ("one", None, "one"),
            (" one two\nthree ", None, "one"),
            ("one", "two", "two"),
            (None, "two", "two"),
            ("\u00e9", "two", "two"),
        ]
        for environment, argument, sent in table:
            with self.subTest(environment=environment, argument=argument):
                seen: list[Optional[str]] = []
                server = self.serve(notes(seen))
                environ = {} if environment is None else {VARIABLE: environment}
                with mock.patch.dict(os.environ, environ):
                    renderer = NetworkRenderer(Canvas(40, 30), server.url, "matplotlib", token=argument)
                with renderer:
                    self.assertEqual(renderer.render([], [], [], []), PNG)
                self.assertEqual(seen, [None if sent is None else f"Bearer {sent}"])

    def test_unusable_environment(self) -> None:
        """A token in the environment that is none is refused by the variable's name, and not shown."""
        with mock.patch.dict(os.environ, {VARIABLE: "SECRET\u00e9 two"}):
            for use in (environment_token, lambda: NetworkRenderer(Canvas(40, 30), "http://127.0.0.1:5000")):
                with self.assertRaises(InvalidScene) as caught:
                    use()
                self.assertIn(VARIABLE, str(caught.exception))
                self.assertNotIn("SECRET", f"{caught.exception} {caught.exception!r}")

    def test_refused(self) -> None:
        """A 401 is final, and its error holds what the server says, without the token."""
        seen: list[Optional[str]] = []
        said = {"type": "unauthorized", "detail": "this server wants a token", "request_id": "r1"}
        answer = http(json.dumps(said).encode(), "401 Unauthorized", kind="application/problem+json")
        server = self.serve(notes(seen, answer))
        with self.assertRaises(ServerError) as caught:
            picture_of(self.post(self.transport(server.url, token=TOKEN)), server.url)
        self.assertEqual((caught.exception.status, caught.exception.type), (401, "unauthorized"))
        self.assertEqual(str(caught.exception), "this server wants a token (HTTP 401, request r1)")
        self.assertEqual(len(seen), 1)

    def test_hidden(self) -> None:
        """The token stands in no error, no repr and no log."""
        silent = self.serve(lambda peer: peer.server.over.wait(4 * JOIN_SECONDS) and None)
        broken = self.serve(lambda peer: None)
        odd = self.serve(answers(b"SSH-2.0\r\n"))
        with self.assertLogs(level="DEBUG") as logs:
            for server in (silent, broken, odd):
                transport = self.transport(server.url, SHORT, token=TOKEN)
                with self.assertRaises(Exception) as caught:
                    self.post(transport)
                error: Optional[BaseException] = caught.exception
                while error is not None:
                    self.assertNotIn(TOKEN, f"{error} {error!r}")
                    error = error.__cause__ or error.__context__
                self.assertNotIn(TOKEN, f"{transport!r} {transport}")
            with NetworkRenderer(Canvas(40, 30), "http://gsp.invalid:1", token=TOKEN) as renderer:
                self.assertNotIn(TOKEN, f"{renderer!r} {renderer}")
        self.assertNotIn(TOKEN, "\n".join(logs.output))

    def test_readable_on_the_way(self) -> None:
        """A token for http to another machine is worth one warning, which does not show it; other tokens are not."""
        with self.assertLogs("gsp_network", "WARNING") as logs:
            proxy = self.serve(answers_always(http()))
            with mock.patch.dict(os.environ, {"http_proxy": proxy.url}):
                transport = self.transport("http://gsp.invalid:8080", token=TOKEN)
                for _ in range(2):
                    self.post(transport)
            for url in ("http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "https://gsp.invalid"):
                self.transport(url, token=TOKEN)
            self.transport("http://gsp.invalid:8080")
        self.assertEqual(len(logs.output), 1, logs.output)
        self.assertIn("http://gsp.invalid:8080: the token travels readable", logs.output[0])
        self.assertNotIn(TOKEN, logs.output[0])

    def test_tunnel(self) -> None:
        """A proxy that is asked for a tunnel does not see the token."""
        heads: list[Any] = []

        def script(peer: Peer) -> None:
            peer.receive()
            heads.append((peer.line, peer.headers))
            peer.send(http(b"", "403 Forbidden"))

        proxy = self.serve(script)
        with mock.patch.dict(os.environ, {"https_proxy": f"http://me:password@127.0.0.1:{proxy.port}"}):
            with self.assertRaises(ServerUnreachable):
                self.post(self.transport("https://gsp.invalid", token=TOKEN))
        self.assertEqual(len(heads), 1)
        self.assertRegex(heads[0][0], r"^CONNECT gsp\.invalid:443 ")
        self.assertEqual(heads[0][1]["proxy-authorization"], "Basic bWU6cGFzc3dvcmQ=")
        self.assertNotIn("authorization", heads[0][1])
        self.assertNotIn(TOKEN, str(heads))

    def test_redirect(self) -> None:
        """The token does not follow a redirect to another server."""
        seen: list[Optional[str]] = []
        other = self.serve(notes(seen))
        server = self.serve(answers(http(b"", "307 Temporary Redirect", f"Location: {other.url}/render")))
        self.assertEqual(self.post(self.transport(server.url, token=TOKEN)).status, 307)
        self.assertEqual((seen, other.accepted), ([], 0))


class Https(AccessCase):
    """A real TLS server with a certificate of its own making, for localhost and 127.0.0.1."""

    folder: Any
    certificate: pathlib.Path
    context: ssl.SSLContext

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.certificate, key = make_certificate(pathlib.Path(cls.folder.name))
        cls.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cls.context.load_cert_chain(cls.certificate, key)

    def serve_tls(self, *scripts: Callable[[Peer], None], context: Optional[ssl.SSLContext] = None) -> FakeServer:
        def over_tls(script: Callable[[Peer], None]) -> Callable[[Peer], None]:
            def secured(peer: Peer) -> None:
                peer.secure(context or self.context)
                script(peer)

            return secured

        server = self.serve(*[over_tls(script) for script in scripts])
        server.url = f"https://127.0.0.1:{server.port}"
        return server

    def trusting(self, server: FakeServer, timeout: float = 10.0, **options: Any) -> Transport:
        return self.transport(server.url, timeout, cafile=self.certificate, **options)

    def unreachable(self, transport: Transport) -> str:
        """The text of the error that a request ends with, after one try."""
        with mock.patch("gsp_network.transport.retry_delay", side_effect=AssertionError("tried again")):
            with self.assertRaises(ServerUnreachable) as caught:
                self.post(transport)
        return str(caught.exception)

    def test_trusted(self) -> None:
        """A server whose own certificate is the cafile is asked over one kept connection, and gets the token."""
        seen: list[Optional[str]] = []
        server = self.serve_tls(notes(seen))
        for cafile in (self.certificate, str(self.certificate)):
            seen.clear()
            transport = self.transport(server.url, cafile=cafile, token=TOKEN)
            for _ in range(3):
                self.assertEqual(self.post(transport).body, PNG)
            self.assertEqual(seen, [f"Bearer {TOKEN}"] * 3)
        self.assertEqual(server.accepted, 2)

    def test_name(self) -> None:
        """A server is trusted by name as well as by address."""
        server = self.serve_tls(answers(http()))
        with self.resolve_to(server):
            transport = self.transport(f"https://localhost:{server.port}", cafile=self.certificate)
            self.assertEqual(self.post(transport).body, PNG)

    def test_renderer(self) -> None:
        """A renderer draws over https."""
        server = self.serve_tls(answers(http()))
        with NetworkRenderer(Canvas(40, 30), server.url, "matplotlib", cafile=self.certificate) as renderer:
            self.assertEqual(renderer.render([], [], [], []), PNG)

    def test_bodies(self) -> None:
        """Large bodies come through whole in both directions."""
        body = bytes(range(256)) * 2**13 + b"end"

        def echo(peer: Peer) -> None:
            found = peer.receive()
            peer.send(http(found or b""))

        server = self.serve_tls(echo)
        self.assertEqual(self.post(self.trusting(server), body).body, body)

    def test_untrusted(self) -> None:
        """Without the cafile, or with another's, the certificate is refused, and the error names reason and remedy."""
        seen: list[Optional[str]] = []
        server = self.serve_tls(notes(seen))
        with tempfile.TemporaryDirectory() as other:
            others, _ = make_certificate(pathlib.Path(other))
            for cafile in (None, others):
                with self.subTest(cafile=cafile):
                    text = self.unreachable(self.transport(server.url, token=TOKEN, cafile=cafile))
                    self.assertIn(server.url, text)
                    self.assertRegex(text, "certificate does not verify: .*(self.signed|signature|issuer)")
                    self.assertIn("cafile=", text)
                    self.assertNotIn(TOKEN, text)
        self.assertEqual(seen, [])
        self.assertEqual(server.accepted, 2)

    def test_always_verified(self) -> None:
        """A program that turned verification off for urllib has not turned it off here."""
        server = self.serve_tls(answers(http()))
        with mock.patch("ssl._create_default_https_context", ssl._create_unverified_context):
            self.assertIn("does not verify", self.unreachable(self.transport(server.url)))

    def test_other_name(self) -> None:
        """A trusted certificate for other names is refused, and the error says that the name is wrong."""
        seen: list[Optional[str]] = []
        server = self.serve_tls(notes(seen))
        for host, text in (("gsp.invalid", "gsp.invalid.*by a name"), ("192.0.2.1", "192.0.2.1.*by an address")):
            with self.subTest(host), self.resolve_to(server):
                found = self.unreachable(self.transport(f"https://{host}:{server.port}", cafile=self.certificate))
                self.assertRegex(found, f"does not verify: .*not valid for '{text} that the certificate holds")
        self.assertEqual(seen, [])

    def test_tunnel(self) -> None:
        """Through a proxy's tunnel the server's certificate is verified, and it alone gets the token."""
        seen: list[Optional[str]] = []

        def script(peer: Peer) -> None:
            peer.receive()
            seen.append(peer.headers.get("authorization"))
            peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            peer.secure(self.context)
            notes(seen)(peer)

        proxy = self.serve(script)
        with (
            mock.patch.dict(os.environ, {"https_proxy": proxy.url}),
            mock.patch("gsp_network.transport.is_loopback", return_value=False),
        ):
            transport = self.transport("https://127.0.0.1:1", cafile=self.certificate, token=TOKEN)
            for _ in range(2):
                self.assertEqual(self.post(transport).body, PNG)
            self.assertIn("not valid", self.unreachable(self.transport("https://gsp.invalid", cafile=self.certificate)))
        self.assertEqual(seen, [None, f"Bearer {TOKEN}", f"Bearer {TOKEN}", None])

    def test_settings(self) -> None:
        """With and without a cafile no TLS older than 1.2 is spoken, and certificate and name are verified."""
        for cafile in (None, self.certificate):
            with self.subTest(cafile=cafile):
                context = self.transport("https://h.invalid", cafile=cafile)._connections._tls_context
                self.assertEqual(context.minimum_version, ssl.TLSVersion.TLSv1_2)
                self.assertEqual((context.verify_mode, context.check_hostname), (ssl.CERT_REQUIRED, True))

    def test_not_tls(self) -> None:
        """A server that speaks plain http is no server for https, and is not tried again."""
        server = self.serve(lambda peer: peer.send(http()))
        self.assertIn(
            "is the server one for http?", self.unreachable(self.transport(f"https://127.0.0.1:{server.port}"))
        )
        self.assertEqual(server.accepted, 1)

    def test_closed_in_handshake(self) -> None:
        """A server that closes in the middle of the handshake is unreachable."""
        server = self.serve(lambda peer: peer.connection.recv(1) and None)
        with self.assertRaises(ServerUnreachable):
            self.post(self.transport(f"https://127.0.0.1:{server.port}", retries=0))

    def test_refused(self) -> None:
        """Where nothing listens, https says so as http does."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            with self.assertRaisesRegex(ServerUnreachable, "no server answers there"):
                self.post(self.transport(f"https://127.0.0.1:{taken.getsockname()[1]}", retries=0))

    def test_retries(self) -> None:
        """Over https too a 503 and a connection that broke before an answer are tried again."""
        server = self.serve_tls(
            answers(http(b"", "503 Busy", "Connection: close")), lambda peer: None, Peer.reset, answers(http())
        )
        with mock.patch("gsp_network.transport.retry_delay", return_value=0.0):
            self.assertEqual(self.post(self.trusting(server), bytes(2**20)).body, PNG)
        self.assertEqual(server.accepted, 4)

    def test_replaced(self) -> None:
        """A kept connection that the server closed meanwhile is replaced without the caller's noticing."""
        server = self.serve_tls(answers(http(b"first")), answers(http(b"second")))
        transport = self.trusting(server, retries=0)
        self.assertEqual(self.post(transport).body, b"first")
        self.assertTrue(server.left.wait(JOIN_SECONDS))
        self.assertEqual(self.post(transport).body, b"second")
        self.assertEqual(server.accepted, 2)

    def test_stray_bytes(self) -> None:
        """What a server sends behind its answer is never taken for the next answer, though TLS deciphers both at once."""
        first = bytes(20_000)  # more than one TLS record, so that the last one is read in parts

        def script(peer: Peer) -> None:
            peer.receive()
            peer.send(http(first) + http(b"stray"))
            answers(http(b"second"))(peer)

        server = self.serve_tls(script, answers(http(b"second")))
        transport = self.trusting(server)
        self.assertEqual(self.post(transport).body, first)
        self.assertEqual(self.post(transport).body, b"second")

    def test_early_answer(self) -> None:
        """A server that answers before it has read the body, and closes, is heard."""

        def script(peer: Peer) -> None:
            peer.receive_head()
            peer.send(http(b"too large", "413 Content Too Large"))
            peer.connection.shutdown(socket.SHUT_WR)
            while peer.connection.recv(2**16):
                pass

        server = self.serve_tls(script)
        self.assertEqual(self.post(self.trusting(server), bytes(2**22)).body, b"too large")

    def test_end_while_sending(self) -> None:
        """Where TLS finds the connection closed while it sends, the server's answer is heard, and without one it is a reset."""
        real = ssl.SSLSocket.sendall

        def sendall(sock: ssl.SSLSocket, data: Any, *flags: Any) -> None:
            real(sock, data, *flags)
            if bytes(data) == b"body":
                raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol")

        server = self.serve_tls(lambda peer: peer.receive() and None, answers(http(b"too large", "413 Too Large")))
        with mock.patch.object(ssl.SSLSocket, "sendall", sendall):
            with mock.patch("gsp_network.transport.retry_delay", return_value=0.0):
                self.assertEqual(self.post(self.trusting(server), b"body").body, b"too large")
        self.assertEqual(server.accepted, 2)

    def assert_deadline(self, url: str, body: bytes = b"{}") -> None:
        transport = self.transport(url, SHORT, cafile=self.certificate)
        began = time.monotonic()
        with self.assertRaises(DeadlineExceeded):
            self.post(transport, body)
        took = time.monotonic() - began
        self.assertGreater(took, 0.9 * SHORT)
        self.assertLess(took, SHORT + LATE)

    def test_silent(self) -> None:
        """A server that never answers the handshake, or the request, is given up at the timeout."""

        def wait(peer: Peer) -> None:
            peer.server.over.wait(4 * JOIN_SECONDS)

        for server in (self.serve(wait), self.serve_tls(wait)):
            self.assert_deadline(f"https://127.0.0.1:{server.port}")

    def test_slow_reader(self) -> None:
        """A server that takes the body record by record does not put the deadline off."""

        def script(peer: Peer) -> None:
            peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**14)
            while peer.connection.recv(2**14) and not peer.server.over.wait(0.05):
                pass

        self.assert_deadline(self.serve_tls(script).url, bytes(2**24))

    def test_shared_by_threads(self) -> None:
        """Threads that share a transport each get the answers to their own requests."""
        server = self.serve_tls(echoes)
        transport = self.trusting(server)
        found: list[bool] = []

        def work(number: int) -> None:
            for index in range(10):
                body = f"{number}.{index}.".encode() * 5000
                found.append(self.post(transport, body).body == body)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(4 * JOIN_SECONDS)
        self.assertEqual(found, [True] * 40)

    def test_replay(self) -> None:
        """The tool replay trusts --cafile, and takes its token from the environment."""
        seen: list[Optional[str]] = []
        server = self.serve_tls(notes(seen))
        request = pathlib.Path(self.folder.name, "request.json")
        request.write_bytes(b"{}")
        picture = request.with_suffix(".png")
        errors = io.StringIO()
        with (
            mock.patch.dict(os.environ, {VARIABLE: "one two"}),
            redirect_stdout(io.StringIO()),
            redirect_stderr(errors),
        ):
            status = replay.main([str(request), "--server", server.url, "--cafile", str(self.certificate)])
            self.assertEqual((status, picture.read_bytes(), seen), (0, PNG, ["Bearer one"]), errors.getvalue())
            self.assertEqual(replay.main([str(request), "--server", server.url]), 1)
        self.assertIn("does not verify", errors.getvalue())
        self.assertEqual(seen, ["Bearer one"])


class Cafiles(AccessCase):
    def refused(self, cafile: Any, url: str = "https://127.0.0.1:1") -> str:
        with self.assertRaises(InvalidScene) as caught:
            Transport(url, cafile=cafile)
        self.assertEqual(caught.exception.where, "cafile")
        return str(caught.exception)

    def test_http(self) -> None:
        """A cafile for an http URL is refused: nothing would be verified."""
        self.assertIn("expected an https URL", self.refused("x.pem", "http://127.0.0.1:5000"))

    def test_unusable(self) -> None:
        """A cafile that cannot be read, or holds no certificate, is refused with what is wrong."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            bad = b"-----BEGIN CERTIFICATE-----\nZm9v\n-----END CERTIFICATE-----\n"
            for file, content in {"empty": b"", "text": b"hello", "binary": bytes(range(256)), "bad": bad}.items():
                (folder / file).write_bytes(content)
            table = {
                folder / "absent": "cannot be read: No such file",
                folder: "cannot be read: ",
                folder / "empty": "holds no PEM certificate",
                folder / "text": "holds no PEM certificate",
                folder / "binary": "holds no PEM certificate",
                folder / "bad": "or a damaged one",
            }
            for file, text in table.items():
                with self.subTest(file.name):
                    found = self.refused(file)
                    self.assertIn(text, found)
                    self.assertIn(str(file), found)

    def test_key_alone(self) -> None:
        """A file with nothing but a key holds no certificate."""
        with tempfile.TemporaryDirectory() as folder:
            _, key = make_certificate(pathlib.Path(folder))
            self.assertIn("holds no PEM certificate", self.refused(key))

    def test_no_path(self) -> None:
        """What is no path is refused, the empty one too, which would trust whatever the system trusts."""
        for cafile, text in (("", "empty"), (5, "expected the path"), (True, "expected the path"), ("a\0b", "null")):
            with self.subTest(cafile=cafile):
                self.assertIn(text, self.refused(cafile))

    def test_replay_without_server(self) -> None:
        """The tool replay takes no --cafile without --server."""
        errors = io.StringIO()
        with redirect_stderr(errors), self.assertRaises(SystemExit):
            replay.main(["request.json", "--cafile", "x.pem"])
        self.assertIn("--cafile needs --server", errors.getvalue())

    def test_without_ssl(self) -> None:
        """A Python without ssl speaks http, and says what https lacks."""
        with mock.patch("gsp_network.connections.ssl", None):
            self.assertEqual(self.post(self.transport(self.serve(answers(http())).url)).body, PNG)
            with self.assertRaisesRegex(InvalidScene, "no module ssl"):
                Transport("https://127.0.0.1:1")


if __name__ == "__main__":
    unittest.main()
