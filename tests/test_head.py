"""The parser of request heads: what it takes, what it refuses and how, and that nothing else comes out of it."""

from __future__ import annotations

import random
import time
import unittest
from typing import Any, Callable, Optional

from gsp_network.errors import RequestRefused
from gsp_network.head import MAX_FIELDS, MAX_HEAD, MAX_LINE, Fields, Head, length_of_body, length_of_head, parse_head

GOOD = b"POST /render?x=1 HTTP/1.1\r\nHost: LocalHost:5000\r\nContent-Length: 12\r\nX-Any: \t a \xe9 b \t\r\n\r\n"


def refusal(call: Callable[..., Any], *arguments: Any) -> tuple[int, str, str]:
    """Status, type and message of the error that a call raises."""
    try:
        found = call(*arguments)
    except RequestRefused as exc:
        return exc.status or 0, exc.type, str(exc)
    raise AssertionError(f"not refused, but {found!r}")


def parsed(data: bytes) -> Head:
    """A whole head, measured and parsed as a server does it."""
    size = length_of_head(data)
    if size != len(data):
        raise AssertionError(f"{size} of {len(data)} bytes are a head")
    return parse_head(data)


def with_field(line: bytes, first: bytes = b"GET / HTTP/1.1") -> bytes:
    return first + b"\r\nHost: a\r\n" + line + b"\r\n\r\n"


LINE = "request line: expected METHOD TARGET HTTP/1.1"
ALONE = "head: a CR or LF that stands alone, expected CRLF at the end of every line"
NAME = "Host: expected NAME or NAME:PORT"

REFUSED = [  # bytes, status, type, message
    (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request", LINE),
    (b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request", LINE),
    (b"GET / HTTP/1.12\r\nHost: a\r\n\r\n", 400, "bad_request", LINE),
    (b"GET /\r\nHost: a\r\n\r\n", 400, "bad_request", LINE),
    (b"\x16\x03\x01", 400, "bad_request", LINE),
    (b"\r\n\r\n", 400, "bad_request", LINE),
    (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 400, "bad_request", "HTTP/0.9: expected HTTP/1.1"),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "http_version", "HTTP/2.0: expected HTTP/1.1"),
    (b"GET / HTTP/1.1\n", 400, "bad_request", ALONE),
    (b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", 400, "bad_request", ALONE),
    (with_field(b"X: a\nY: b"), 400, "bad_request", ALONE),
    (with_field(b"no colon"), 400, "bad_request", "head: field 2 is not NAME: VALUE"),
    (with_field(b"X: 1\r\n folded"), 400, "bad_request", "head: field 3 is not NAME: VALUE"),
    (with_field(b"X : 1"), 400, "bad_request", "head: field 2 is not NAME: VALUE"),
    (with_field(b": 1"), 400, "bad_request", "head: field 2 is not NAME: VALUE"),
    (with_field(b"X: \x7f"), 400, "bad_request", "head: field 2 is not NAME: VALUE"),
    (with_field(b"X: \x0b"), 400, "bad_request", "head: field 2 is not NAME: VALUE"),
    (b"GET / HTTP/1.1\r\n\r\n", 400, "bad_request", "head: Host is missing"),
    (with_field(b"host: a"), 400, "bad_request", "head: host stands 2 times, expected once"),
    (
        with_field(b"Content-Length: 1\r\nContent-Length: 1\r\nCONTENT-LENGTH: 1"),
        400,
        "bad_content_length",
        "head: content-length stands 3 times, expected once",
    ),
    (with_field(b"Origin: a\r\nOrigin: a"), 400, "bad_request", "head: origin stands 2 times, expected once"),
    (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400, "bad_request", NAME),
    (b"GET http://b/ HTTP/1.1\r\nHost: a@b\r\n\r\n", 400, "bad_request", NAME),
    (b"GET http://a@b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request", NAME),
    (b"A" * (MAX_LINE + 2), 414, "line_too_long", f"request line: expected at most {MAX_LINE} bytes"),
    (
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * MAX_HEAD,
        431,
        "head_too_large",
        f"head: expected at most {MAX_HEAD} bytes",
    ),
    (with_field(b"\r\n".join([b"X:"] * 64)), 431, "too_many_fields", "head: 65 fields, expected at most 64"),
]


class TestHead(unittest.TestCase):
    def test_parts(self) -> None:
        """A head gives method, target, path without query, host without port in small letters, and its fields."""
        head = parsed(GOOD)
        self.assertEqual((head.method, head.target, head.path), ("POST", "/render?x=1", "/render"))
        self.assertEqual((head.host, head.minor), ("localhost", 1))
        self.assertEqual((head.fields.get("content-LENGTH"), head.fields.get("x-any")), ("12", "a \xe9 b"))

    def test_fields(self) -> None:
        """Fields are found in any case; all values of one stand in order, and the first stands for them."""
        fields = Fields([("A", "1"), ("b", "2"), ("a", "3")])
        self.assertEqual((fields.get_all("A"), fields.get("a"), fields.get("B")), (["1", "3"], "1", "2"))
        self.assertEqual((fields.get("c"), fields.get("c", "0"), fields.get_all("c")), (None, "0", []))

    def test_refused(self) -> None:
        """What breaks the grammar or a limit is refused with a status, a type and a message."""
        for data, status, kind, message in REFUSED:
            with self.subTest(data=data[:80]):
                self.assertEqual(refusal(parsed, data), (status, kind, message))

    def test_hosts(self) -> None:
        """The host is the target's where that names one, else the field's; brackets stay, ports go."""
        for target, host, expected in (
            (b"/", b"a.example:80", "a.example"),
            (b"/", b"[::1]:80", "[::1]"),
            (b"/", b"", ""),
            (b"/", b":80", ""),
            (b"http://B.example:1/p", b"a", "b.example"),
            (b"https://[::1]/p", b"a", "[::1]"),
            (b"http:///p", b"a", ""),
        ):
            with self.subTest(target=target, host=host):
                self.assertEqual(parsed(b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n").host, expected)
        self.assertIsNone(parsed(b"GET / HTTP/1.0\r\n\r\n").host)

    def test_paths(self) -> None:
        """The path is what was sent, neither decoded nor normalised, without query and without an absolute form's host."""
        for target, path in (
            (b"/a/../b", "/a/../b"),
            (b"//a", "//a"),
            (b"/%72?a?b", "/%72"),
            (b"/a#b", "/a#b"),
            (b"*", "*"),
            (b"http://a", "/"),
            (b"http://a?b", "/"),
            (b"HTTP://a/b?c", "/b"),
            (b"http://a//b", "//b"),
            (b"ftp://a/b", "ftp://a/b"),
        ):
            with self.subTest(target=target):
                self.assertEqual(parsed(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n").path, path)

    def test_edges(self) -> None:
        """Line, head and number of fields may be as large as their limits, and not one more."""
        for extra, line_status, head_status, fields_status in ((0, None, None, None), (1, 414, 431, 431)):
            line = b"GET /" + b"a" * (MAX_LINE - 14 + extra) + b" HTTP/1.1\r\nHost: a\r\n\r\n"
            head = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
            head += b"v" * (MAX_HEAD - len(head) - 4 + extra) + b"\r\n\r\n"
            fields = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * (MAX_FIELDS - 1 + extra) + b"\r\n"
            for data, status in ((line, line_status), (head, head_status), (fields, fields_status)):
                with self.subTest(extra=extra, data=data[:30]):
                    if status is None:
                        self.assertEqual(parsed(data).method, "GET")
                    else:
                        self.assertEqual(refusal(parsed, data)[0], status)

    def test_keeping(self) -> None:
        """HTTP/1.1 keeps a connection unless told otherwise, HTTP/1.0 where it is told to; close wins."""
        for minor, value, keeps in (
            (1, b"", True),
            (1, b"Connection: close", False),
            (1, b"Connection: x , CLOSE", False),
            (1, b"Connection: keep-alive\r\nConnection: close", False),
            (1, b"Connection: closed", True),
            (0, b"", False),
            (0, b"Connection: Keep-Alive", True),
            (0, b"Connection: keep-alive, close", False),
        ):
            with self.subTest(minor=minor, value=value):
                self.assertEqual(parsed(with_field(value or b"X:", b"GET / HTTP/1.%d" % minor)).keeps, keeps)

    def test_what_follows_is_left(self) -> None:
        """Bytes behind the empty line are no part of a head, be they what they may."""
        for more in (b"\n", b"\r", b"{}", b"\x00" * MAX_HEAD, GOOD):
            self.assertEqual(length_of_head(GOOD + more), len(GOOD))

    def test_byte_by_byte(self) -> None:
        """However a head arrives, what comes out is the same as if it came at once."""
        long_line = b"GET /" + b"a" * (MAX_LINE - 14) + b" HTTP/1.1\r\nHost: a\r\n\r\n"
        for data in (GOOD, long_line, b"GET / HTTP/1.0\r\n\r\n", *(row[0] for row in REFUSED)):
            with self.subTest(data=data[:80]):
                try:
                    at_once: Any = length_of_head(data)
                except RequestRefused as exc:
                    at_once = str(exc)
                self.assertEqual(length_of_pieces(data), at_once)

    def test_random_bytes(self) -> None:
        """Of 5000 made-up inputs, mutated good heads among them, each is measured and parsed, or refused; nothing else."""
        chance = random.Random(20261125)
        bits = [
            b"\r\n",
            b"\r",
            b"\n",
            b"\0",
            b":",
            b" ",
            b"\t",
            b"\r\n\r\n",
            b"HTTP/1.1",
            b"Host: a",
            b"\xff",
            b"GET ",
            b"//",
        ]
        outcomes = {"head": 0, "part": 0, "refused": 0}
        for number in range(5000):
            data = bytearray(GOOD if number % 4 else bytes(chance.randrange(256) for _ in range(chance.randrange(200))))
            for _ in range(chance.randrange(4)):
                place = chance.randrange(len(data) + 1)
                data[place : place + chance.randrange(3)] = chance.choice([*bits, bytes([chance.randrange(256)])])
            outcomes[outcome(bytes(data))] += 1
        self.assertTrue(all(outcomes.values()), outcomes)

    def test_random_bytes_arrive_in_pieces(self) -> None:
        """A mutated head is a head of the same size, or is none, however it arrives."""
        chance = random.Random(5)
        for _ in range(300):
            data = bytearray(GOOD)
            data[chance.randrange(len(data))] = chance.choice(b"\r\n\0: AZaz\xff")
            try:
                at_once: Optional[int] = length_of_head(bytes(data))
            except RequestRefused:
                at_once = None
            found = length_of_pieces(bytes(data))
            self.assertEqual(found if isinstance(found, int) else None, at_once, bytes(data))

    def test_parser_alone(self) -> None:
        """`parse_head` raises nothing but refusals also for what `length_of_head` would not have let through."""
        chance = random.Random(7)
        for _ in range(2000):
            data = bytes(chance.randrange(256) for _ in range(chance.randrange(60)))
            for whole in (data, data + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + data + b"\r\n\r\n"):
                try:
                    parse_head(whole)
                except RequestRefused:
                    continue

    def test_time_grows_with_size_alone(self) -> None:
        """The longest heads of blanks, colons or fields with a flaw at their end take next to no time."""
        for filler in (b" ", b"\t ", b": ", b"a", b"a:", b"a\r\n"):
            room = MAX_HEAD - 100
            data = b"GET / HTTP/1.1\r\nHost: a\r\nX:" + (filler * room)[:room].rstrip(b"\r\n") + b"\x00\r\n\r\n"
            began = time.process_time()
            for _ in range(20):
                self.assertIn(outcome(data), ("refused",))
            self.assertLess(
                time.process_time() - began, 5.0
            )  # it takes 0.01 s; in quadratic time it would take a minute


class TestLengthOfBody(unittest.TestCase):
    def test_lengths(self) -> None:
        """Content-Length is the body's length; without it a GET has none."""
        for line, method, length in (
            (b"Content-Length: 0", b"POST", 0),
            (b"Content-Length: 0012", b"POST", 12),
            (b"Content-Length: 100", b"POST", 100),
            (b"X:", b"GET", 0),
            (b"Content-Length: 7", b"GET", 7),
        ):
            with self.subTest(line=line, method=method):
                self.assertEqual(length_of_body(parsed(with_field(line, method + b" / HTTP/1.1")), 100), length)

    def test_refused(self) -> None:
        """A length that is none, that is missing or too large, and codings are refused, each in its own way."""
        number = "Content-Length: expected one number of bytes"
        both = "head: both Content-Length and Transfer-Encoding, expected the first alone"
        coding = "Transfer-Encoding: not taken, send a Content-Length"
        large = "body: 101 bytes, expected at most 100 (setting max_body_bytes)"
        for line, status, kind, message in (
            (b"Content-Length: -1", 400, "bad_content_length", number),
            (b"Content-Length:", 400, "bad_content_length", number),
            (b"Content-Length: \xb2", 400, "bad_content_length", number),
            (b"Content-Length: 1, 1", 400, "bad_content_length", number),
            (b"Content-Length: " + b"1" * 16, 400, "bad_content_length", number),
            (b"Content-Length: 101", 413, "body_too_large", large),
            (b"X:", 411, "length_required", "Content-Length: missing"),
            (b"Transfer-Encoding:", 501, "transfer_encoding", coding),
            (b"Transfer-Encoding: chunked", 501, "transfer_encoding", coding),
            (b"Transfer-Encoding: chunked\r\nContent-Length: x", 400, "bad_request", both),
        ):
            with self.subTest(line=line):
                head = parsed(with_field(line, b"POST / HTTP/1.1"))
                self.assertEqual(refusal(length_of_body, head, 100), (status, kind, message))


def outcome(data: bytes) -> str:
    """What becomes of bytes: "head", "part" of one, or "refused"."""
    try:
        size = length_of_head(data)
        if not size:
            return "part"
        head = parse_head(data[:size])
        length_of_body(head, 1000)
        return "head" if head.keeps in (True, False) else "unclear"
    except RequestRefused:
        return "refused"


def length_of_pieces(data: bytes) -> Any:
    """What `length_of_head` says of bytes that come one by one, many of them faster: a length, or why it refuses them."""
    size = 0
    steps = [*range(1, min(len(data), 3000)), *range(3000, len(data), 301), len(data)]
    for end in steps:
        try:
            size = length_of_head(data[:end])
        except RequestRefused as exc:
            return str(exc)
        if size:
            break
    return size
