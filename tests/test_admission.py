"""Who is let in, and how much at once: tokens and their files, names, origins, room."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import tempfile
import threading
import unittest
from typing import Any

from gsp_network.admission import Access, Room, read_token_file
from gsp_network.errors import AccessDenied, GspNetworkError, ServerBusy, ServerStartError
from gsp_network.head import Head, parse_head
from gsp_network.settings import Settings


def head(*fields: str, host: str = "127.0.0.1", target: str = "/") -> Head:
    """The head of a GET."""
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}", *fields]
    return parse_head("".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1"))


def access(**settings: Any) -> Access:
    return Access(Settings(**settings))


class TestHost(unittest.TestCase):
    def names(self, taken: bool, admission: Access, *hosts: str) -> None:
        """Check that these names are taken, or not."""
        for host in hosts:
            with self.subTest(host=host):
                if taken:
                    admission.check_host(head(host=host))
                    continue
                with self.assertRaises(AccessDenied) as caught:
                    admission.check_host(head(host=host))
                self.assertEqual((caught.exception.status, caught.exception.type), (421, "unknown_host"))
                self.assertIn("--allow-host", str(caught.exception))

    def test_on_loopback(self) -> None:
        """A server for this machine answers to this machine's names alone."""
        server = access()
        self.names(
            True, server, "127.0.0.1", "127.0.0.1:80", "127.255.0.3", "localhost", "LocalHost:1", "[::1]", "[::1]:5"
        )
        self.names(
            False, server, "evil.example", "localhost.", "127.1", "", "192.168.0.1", "[fe80::1]", "[:::]", "0.0.0.0"
        )
        self.names(False, server, "localhost.evil.example", "127.0.0.1.evil.example")

    def test_allowed_names(self) -> None:
        """Names that the operator has added are taken in any case, with any port."""
        server = access(allow_host=("Render.example",))
        self.names(True, server, "render.example", "RENDER.EXAMPLE:80", "localhost")
        self.names(False, server, "a.render.example", "render.example.", "example")

    def test_for_others(self) -> None:
        """A server for others answers to every address, which no web page can have for a name, and to its own name."""
        server = access(host="0.0.0.0", token=("t",))
        self.names(True, server, "192.168.0.1", "[fe80::1]:80", "127.0.0.1", "localhost", "0.0.0.0")
        self.names(False, server, "evil.example", "1.2.3", "[fe80]")
        self.names(True, access(host="render.lan", token=("t",)), "render.lan:80")

    def test_no_name(self) -> None:
        """HTTP/1.0 may name none."""
        access().check_host(parse_head(b"GET / HTTP/1.0\r\n\r\n"))


class TestOrigin(unittest.TestCase):
    def test_table(self) -> None:
        """Pages of the server's own origin and of allowed ones may ask, and what no page sent; nothing else."""
        server = access(allow_origin=("https://Viewer.example/",))
        for fields, taken in (
            ((), True),
            (("Origin: http://127.0.0.1:5000",), True),
            (("Origin: https://127.0.0.1:5000",), True),
            (("Origin: https://viewer.example",), True),
            (("Origin: https://VIEWER.example", "Sec-Fetch-Site: cross-site"), True),
            (("Sec-Fetch-Site: none",), True),
            (("Sec-Fetch-Site: Same-Origin",), True),
            (("Origin: http://127.0.0.1",), False),
            (("Origin: http://127.0.0.1:5001",), False),
            (("Origin: http://viewer.example",), False),
            (("Origin: https://viewer.example:444",), False),
            (("Origin: https://a.viewer.example",), False),
            (("Origin: null",), False),
            (("Origin:",), False),
            (("Origin: 127.0.0.1:5000",), False),
            (("Origin: ws://127.0.0.1:5000",), False),
            (("Origin: null", "Sec-Fetch-Site: same-origin"), False),
            (("Sec-Fetch-Site: cross-site",), False),
            (("Sec-Fetch-Site: same-site",), False),
            (("Sec-Fetch-Site: what?",), False),
        ):
            with self.subTest(fields=fields):
                asked = head(*fields, host="127.0.0.1:5000")
                if taken:
                    server.check_origin(asked)
                    continue
                with self.assertRaises(AccessDenied) as caught:
                    server.check_origin(asked)
                self.assertEqual((caught.exception.status, caught.exception.type), (403, "origin"))


class TestTokens(unittest.TestCase):
    def test_none_needed(self) -> None:
        """A server for this machine asks for no token, whatever is shown."""
        server = access()
        self.assertEqual((server.tokens, server.made), ((), None))
        self.assertTrue(server.knows(head()))
        self.assertTrue(server.knows(head("Authorization: Bearer anything")))

    def test_one_is_made(self) -> None:
        """A server for others without a token makes one, another each time, too long to guess."""
        for host in ("0.0.0.0", "::", "192.168.0.1", "render.lan", ""):
            with self.subTest(host=host):
                first, second = access(host=host), access(host=host)
                self.assertEqual(first.tokens, (first.made,))
                self.assertRegex(first.made or "", r"^[A-Za-z0-9_-]{43}$")
                self.assertNotEqual(first.made, second.made)
                self.assertFalse(first.knows(head()))
                self.assertTrue(first.knows(head(f"Authorization: Bearer {first.made}")))

    def test_several(self) -> None:
        """Each of several tokens is known, so that one can follow another; given ones are enough for others."""
        server = access(host="0.0.0.0", token=("first", "second"))
        self.assertIsNone(server.made)
        for shown, known in (
            ("Bearer first", True),
            ("bearer second", True),
            ("BEARER   second", True),
            ("Bearer third", False),
            ("Bearer firs", False),
            ("Bearer firstsecond", False),
            ("Bearer first second", False),
            ("Bearer First", False),
            ("Bearer", False),
            ("Bearer ", False),
            ("first", False),
            ("Basic first", False),
            ("Bearer f\xefrst", False),
            ("Bearer \xff\x80", False),
        ):
            with self.subTest(shown=shown):
                asked = head(f"Authorization: {shown}")
                self.assertEqual(server.knows(asked), known)
                if not known:
                    with self.assertRaises(AccessDenied) as caught:
                        server.check_token(asked)
                    self.assertEqual((caught.exception.status, caught.exception.type), (401, "token"))
        server.check_token(head("Authorization: Bearer first"))

    def test_tokens_that_no_header_can_carry(self) -> None:
        """A token with blanks, control characters or other than ASCII is refused at the start, and not shown."""
        for token in ("a b", "tok\u00e9n", "a\x00", "a\r\nb"):
            with self.subTest(token=token), self.assertRaises(ServerStartError) as caught:
                access(token=(token,))
            self.assertNotIn(token, str(caught.exception))


class TestTokenFile(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name, "tokens")

    def write(self, text: bytes, mode: int = 0o600) -> str:
        self.path.write_bytes(text)
        self.path.chmod(mode)
        return str(self.path)

    def test_tokens(self) -> None:
        """A file holds one token a line; empty lines, blanks around and comments do not count; they add to those given."""
        path = self.write(b"# ours\n\n first \r\nsecond\n#third\n")
        self.assertEqual(read_token_file(path), ["first", "second"])
        self.assertEqual(access(token=("zeroth",), token_file=path).tokens, ("zeroth", "first", "second"))

    @unittest.skipUnless(os.name == "posix", "modes are POSIX's")
    def test_mode(self) -> None:
        """A file that others may read, write or run is refused with what to do."""
        for mode in (0o644, 0o640, 0o604, 0o620, 0o601):
            with self.subTest(mode=oct(mode)), self.assertRaisesRegex(ServerStartError, "chmod 600"):
                read_token_file(self.write(b"first\n", mode))
        for mode in (0o600, 0o400, 0o700):
            self.assertEqual(read_token_file(self.write(b"first\n", mode)), ["first"])
            self.path.chmod(0o600)

    def test_files_that_hold_none(self) -> None:
        """A file that is not there, is a folder, holds no token, or something else is refused; what it holds is not shown."""
        for content, message in (
            (None, "No such file"),
            (b"\n# only this\n", "holds no token"),
            ("caf\u00e9-secret\n".encode(), "expected printable ASCII"),
            (b"secret with blanks\n", "expected printable ASCII"),
        ):
            path = str(self.path) if content is None else self.write(content)
            with self.subTest(message=message), self.assertRaises(ServerStartError) as caught:
                access(token_file=path)
            self.assertIn(message, str(caught.exception))
            self.assertNotIn("secret", str(caught.exception))
        with self.assertRaises(ServerStartError):
            read_token_file(str(self.path.parent))


class TestRoom(unittest.TestCase):
    def test_bytes(self) -> None:
        """Bodies have room up to the limit, which is given back however a block ends."""
        room = Room(100, {"matplotlib": 1})
        with room.for_body(60):
            with room.for_body(40):
                self.assertEqual(room.bytes, 100)
                with self.assertRaises(ServerBusy) as caught, room.for_body(1):
                    self.fail("there was room for more than the limit")
                self.assertEqual((caught.exception.status, caught.exception.limit), (503, "max_inflight_bytes"))
            self.assertEqual(room.bytes, 60)
            with self.assertRaises(ZeroDivisionError), room.for_body(40):
                raise ZeroDivisionError
            self.assertEqual(room.bytes, 60)
        self.assertEqual(room.bytes, 0)

    def test_renders(self) -> None:
        """Renders have places up to the limit; `check` tells in advance."""
        room = Room(100, {"matplotlib": 2})
        with room.for_render():
            room.check()
            with room.for_render():
                for ask in (room.check, lambda: room.for_render().__enter__()):
                    with self.assertRaises(ServerBusy) as caught:
                        ask()
                    self.assertEqual(caught.exception.limit, "queue")
                self.assertEqual(room.renders, 2)
        self.assertEqual(room.renders, 0)
        room.check()

    def test_turns(self) -> None:
        """Who waits for one renderer keeps no place from another; a renderer without places of its own has those of all."""
        room = Room(100, {"matplotlib": 2, "datoviz": 1})
        with room.for_render(), room.for_turn("datoviz"):
            for name in ("datoviz", "matplotlib", "another", None):
                with self.subTest(name):
                    if name == "datoviz":
                        for ask in (lambda: room.check("datoviz"), lambda: room.for_turn("datoviz").__enter__()):
                            with self.assertRaises(ServerBusy) as caught:
                                ask()
                            self.assertEqual(caught.exception.limit, "queue")
                    else:
                        room.check(name)
            with room.for_render(), room.for_render(), room.for_turn("matplotlib"):
                self.assertRaises(ServerBusy, room.check, "matplotlib")  # three in all
        room.check("datoviz")
        self.assertEqual((room.renders, sum(room.turns.values())), (0, 0))

    def test_threads(self) -> None:
        """Many threads at once never have more than the limits, and nothing is left over."""
        room = Room(10, {"matplotlib": 3})
        most: list[tuple[int, int]] = []
        meet = threading.Barrier(8)

        def come_and_go() -> int:
            meet.wait(30)
            done = 0
            for _ in range(200):
                try:
                    with room.for_body(4), room.for_render():
                        most.append((room.bytes, room.renders))
                        done += 1
                except GspNetworkError:
                    continue
            return done

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            done = sum(future.result(30) for future in [pool.submit(come_and_go) for _ in range(8)])
        self.assertGreater(done, 0)
        self.assertLessEqual(max(size for size, _ in most), 8)
        self.assertLessEqual(max(places for _, places in most), 3)
        self.assertEqual((room.bytes, room.renders), (0, 0))
