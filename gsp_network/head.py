"""The head of an HTTP/1 request, matched strictly: bytes in, a `Head` out (RFC 9112). No sockets.

`http.server` reads heads with the parser of e-mail, which hides every field after a line without a colon, takes a bare CR for
the end of a line and drops ``Name : value``: what a proxy in front and this server then see are two different requests. Here
what is not exactly right is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional

from .errors import RequestRefused

MAX_LINE = 2048
MAX_HEAD = 16 * 1024  # as h11 has it
MAX_FIELDS = 64

_REQUEST_LINE = re.compile(rb"([A-Z]{1,32}) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])")
# One run of one class after the colon: with a part for the blanks around it, a line of blanks would take quadratic time.
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t\x20-\x7e\x80-\xff]*)")
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.I)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]*)(?::[0-9]{0,5})?")
_SINGLE = ("host", "content-length", "content-type", "content-encoding", "authorization", "origin", "expect")


class Fields:
    """The fields of a head, their names in any case."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = [(name.lower(), value) for name, value in pairs]

    def get_all(self, name: str) -> list[str]:
        """Every value of a field, in order."""
        return [value for known, value in self._pairs if known == name.lower()]

    def get(self, name: str, default: Optional[str] = None) -> Optional[str]:
        """The first value of a field, else `default`."""
        values = self.get_all(name)
        return values[0] if values else default


@dataclass(frozen=True)
class Head:
    """A request's head.

    Attributes:
        method: in capitals.
        target: as it was sent.
        path: the target's path, neither decoded nor normalised, without its query.
        host: the name under which the server was asked, in lower case, without port; None where HTTP/1.0 named none.
        minor: the 1 of HTTP/1.1.
    """

    method: str
    target: str
    path: str
    host: Optional[str]
    minor: int
    fields: Fields

    @property
    def keeps(self) -> bool:
        """Whether the client wants the connection kept (RFC 9112 9.3)."""
        words = {word.strip().lower() for value in self.fields.get_all("Connection") for word in value.split(",")}
        return "close" not in words and (self.minor >= 1 or "keep-alive" in words)


def _bad(message: str, type: str = "bad_request") -> RequestRefused:
    return RequestRefused(400, type, message)


def length_of_head(data: bytes, scanned: int = 0) -> int:
    """How many bytes at the start of `data` are the head, its empty line included; 0 where it is not whole yet.

    Args:
        data: what has come so far.
        scanned: how much of it was looked at before, by a call that gave 0: a head that drips is not looked at anew each time.

    Raises:
        RequestRefused: it can no longer become one: 414 or 431 for its size, 400 for what no line may hold.
    """
    end = data.find(b"\r\n\r\n", 0, MAX_HEAD)
    head = data[: end + 4] if end >= 0 else data[:MAX_HEAD]
    line = head.find(b"\r\n")
    if (line if line >= 0 else len(head) - head.endswith(b"\r")) > MAX_LINE:  # that CR's LF may be on its way
        raise RequestRefused(414, "line_too_long", f"request line: expected at most {MAX_LINE} bytes")
    if head and not b"A" <= head[:1] <= b"Z":  # a TLS greeting, say: it need not be waited for
        raise _bad("request line: expected METHOD TARGET HTTP/1.1")
    if _BARE.search(head, max(scanned - 1, 0)):
        raise _bad("head: a CR or LF that stands alone, expected CRLF at the end of every line")
    if end >= 0:
        return end + 4
    if len(data) >= MAX_HEAD:
        raise RequestRefused(431, "head_too_large", f"head: expected at most {MAX_HEAD} bytes")
    return 0


def parse_head(data: bytes) -> Head:
    """The head that `length_of_head` measured.

    Raises:
        RequestRefused: 400 for what breaks the grammar, 431 for too many fields, 505 for another version than HTTP/1.
    """
    first, *lines = data[:-4].split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise _bad("request line: expected METHOD TARGET HTTP/1.1")
    method, target = match.group(1).decode("ascii"), match.group(2).decode("ascii")
    major, minor = int(match.group(3)), int(match.group(4))
    if major > 1:
        raise RequestRefused(505, "http_version", f"HTTP/{major}.{minor}: expected HTTP/1.1")
    if major < 1:
        raise _bad(f"HTTP/{major}.{minor}: expected HTTP/1.1")
    if len(lines) > MAX_FIELDS:
        raise RequestRefused(431, "too_many_fields", f"head: {len(lines)} fields, expected at most {MAX_FIELDS}")
    pairs = []
    for number, line in enumerate(lines, 1):
        field = _FIELD.fullmatch(line)
        if field is None:
            raise _bad(f"head: field {number} is not NAME: VALUE")
        pairs.append((field.group(1).decode("ascii"), field.group(2).strip(b" \t").decode("latin-1")))
    fields = Fields(pairs)
    for name in _SINGLE:
        if len(fields.get_all(name)) > 1:
            kind = "bad_content_length" if name == "content-length" else "bad_request"
            raise _bad(f"head: {name} stands {len(fields.get_all(name))} times, expected once", kind)
    return Head(method, target, *_place(target, fields.get("Host"), minor), minor, fields)


def _place(target: str, host: Optional[str], minor: int) -> tuple[str, Optional[str]]:
    """Path and host of a target; a host in the target wins over the field (RFC 9112 3.2.2)."""
    if host is None and minor >= 1:
        raise _bad("head: Host is missing")
    host = _name_in(host)
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        host, target = _name_in(absolute.group(1)), absolute.group(2)
        if not target.startswith("/"):
            target = "/" + target
    return target.split("?", 1)[0], host


def _name_in(place: Optional[str]) -> Optional[str]:
    if place is None:
        return None
    match = _HOST.fullmatch(place)
    if match is None:
        raise _bad("Host: expected NAME or NAME:PORT")
    return match.group(1).lower()


def length_of_body(head: Head, most: int) -> int:
    """What Content-Length says; 0 where it is absent and the method needs none.

    Raises:
        RequestRefused: 501 for Transfer-Encoding, 400 for both or a length that is none, 411 for none at all, 413 for more
            than `most` bytes.
    """
    lengths = head.fields.get_all("Content-Length")
    if head.fields.get_all("Transfer-Encoding"):
        if lengths:
            raise _bad("head: both Content-Length and Transfer-Encoding, expected the first alone")
        raise RequestRefused(501, "transfer_encoding", "Transfer-Encoding: not taken, send a Content-Length")
    if not lengths:
        if head.method == "POST":
            raise RequestRefused(411, "length_required", "Content-Length: missing")
        return 0
    if not re.fullmatch(r"[0-9]{1,15}", lengths[0]):
        raise _bad("Content-Length: expected one number of bytes", "bad_content_length")
    length = int(lengths[0])
    if length > most:
        expected = f"body: {length} bytes, expected at most {most} (setting max_body_bytes)"
        raise RequestRefused(413, "body_too_large", expected, "max_body_bytes")
    return length
