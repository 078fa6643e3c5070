"""Who is let in, and how much at once: tokens, names and origins; places for renders, bytes of bodies.

All of it is decided from a request's head, before its body is read.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import os
import re
import secrets
import stat
import threading
from collections import Counter
from typing import Iterator, Mapping, Optional

from .errors import AccessDenied, ServerBusy, ServerStartError
from .head import Head
from .settings import Settings, is_loopback, is_token


class Access:
    """Who may ask a server.

    Args:
        settings: host, token, token_file, allow_host and allow_origin.
    Attributes:
        tokens: those that clients may show; empty where none is asked for.
        made: the one that was made here, since the address needs one and none was given; else None.
    Raises:
        ServerStartError: a token or its file that cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        tokens = list(settings.token)
        if settings.token_file:
            tokens += read_token_file(settings.token_file)
        self.made: Optional[str] = None
        if not tokens and not is_loopback(settings.host):
            self.made = secrets.token_urlsafe(32)
            tokens.append(self.made)
        if not all(map(is_token, tokens)):
            raise ServerStartError("token: expected printable ASCII without blanks, as a header can carry it")
        self.tokens = tuple(tokens)
        for name in settings.allow_host:
            if not re.fullmatch(r"[A-Za-z0-9._~-]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", name):
                raise ServerStartError(
                    f"--allow-host {name}: expected a name without scheme and port, as lab.example.org"
                )
        self._loopback = is_loopback(settings.host)
        self._hosts = {name.lower() for name in (settings.host, *settings.allow_host)}
        self._origins = {origin.lower().rstrip("/") for origin in settings.allow_origin}

    def check_host(self, head: Head) -> None:
        """Refuse a name that is not this server's: a web page may have had its own name point here (DNS rebinding).

        An address is no name that a page could have: on a server for others every address is taken.
        """
        host = head.host
        if host is None:
            return
        plain = host.strip("[]")
        if plain in self._hosts or is_loopback(plain) or (not self._loopback and _is_address(plain)):
            return
        raise AccessDenied(
            421, "unknown_host", "Host: not a name of this server; its operator can add it by --allow-host"
        )

    def check_origin(self, head: Head) -> None:
        """Refuse what a browser sends for a page of another origin (Fetch standard, Fetch Metadata)."""
        origin = head.fields.get("Origin")
        if origin is not None and origin.lower() not in self._origins and not _same_origin(origin, head):
            raise AccessDenied(403, "origin", "Origin: web pages of other origins may not ask this server")
        site = (head.fields.get("Sec-Fetch-Site") or "none").lower()
        if origin is None and site not in ("none", "same-origin"):
            raise AccessDenied(403, "origin", "Sec-Fetch-Site: web pages of other sites may not ask this server")

    def knows(self, head: Head) -> bool:
        """Whether the client shows a token of this server, or none is needed."""
        if not self.tokens:
            return True
        scheme, _, shown = (head.fields.get("Authorization") or "").partition(" ")
        given = shown.strip().encode("latin-1")
        matches = [hmac.compare_digest(given, token.encode("ascii")) for token in self.tokens]  # all, at one pace
        return scheme.lower() == "bearer" and any(matches)

    def check_token(self, head: Head) -> None:
        """Refuse a client without one of this server's tokens."""
        if not self.knows(head):
            raise AccessDenied(401, "token", "Authorization: expected Bearer and a token of this server")


def _same_origin(origin: str, head: Head) -> bool:
    scheme, _, place = origin.lower().partition("://")
    return scheme in ("http", "https") and place == (head.fields.get("Host") or "").lower()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def read_token_file(path: str) -> list[str]:
    """The tokens in a file, one a line; empty lines and those that begin with # are left out.

    Raises:
        ServerStartError: it cannot be read, others than its owner can read it, or it holds none.
    """
    try:
        with open(path, encoding="ascii") as file:
            if os.name == "posix" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise ServerStartError(f"token file {path}: others may read it, make it its owner's alone: chmod 600")
            lines = [line.strip() for line in file]
    except OSError as exc:
        raise ServerStartError(f"token file {path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ServerStartError(f"token file {path}: expected printable ASCII") from exc
    tokens = [line for line in lines if line and not line.startswith("#")]
    if not tokens:
        raise ServerStartError(f"token file {path}: holds no token, expected one a line")
    return tokens


class Room:
    """How much a server has under way, and what it takes at most.

    Args:
        most_bytes: of the bodies of all requests under way.
        places: renders that run or wait, by renderer, so that those that wait for a slow one keep none from another.
    """

    def __init__(self, most_bytes: int, places: Mapping[str, int]) -> None:
        self.most_bytes, self.places = most_bytes, places
        self.bytes = self.renders = 0
        self.turns: Counter[str] = Counter()
        self._lock = threading.Lock()

    def check(self, renderer: Optional[str] = None) -> None:
        """Refuse where no render, or none by that renderer, would find a place."""
        if self.renders >= sum(self.places.values()) or self._is_full(renderer):
            raise _too_many()

    def _is_full(self, renderer: Optional[str]) -> bool:
        return renderer is not None and renderer in self.places and self.turns[renderer] >= self.places[renderer]

    @contextlib.contextmanager
    def for_body(self, length: int) -> Iterator[None]:
        """Room for a body of so many bytes, for as long as the block runs.

        Raises:
            ServerBusy: there is none.
        """
        with self._lock:
            if self.bytes + length > self.most_bytes:
                raise ServerBusy(
                    "too much is being received already (setting max_inflight_bytes)", "max_inflight_bytes"
                )
            self.bytes += length
        try:
            yield
        finally:
            with self._lock:
                self.bytes -= length

    @contextlib.contextmanager
    def for_turn(self, renderer: str) -> Iterator[None]:
        """A place with a renderer, for as long as the block runs; who has one for a render has none with a renderer yet.

        Raises:
            ServerBusy: there is none.
        """
        with self._lock:
            if self._is_full(renderer):
                raise _too_many()
            self.turns[renderer] += 1
        try:
            yield
        finally:
            with self._lock:
                self.turns[renderer] -= 1

    @contextlib.contextmanager
    def for_render(self) -> Iterator[None]:
        """A place for a render, whoever draws it, for as long as the block runs.

        Raises:
            ServerBusy: there is none.
        """
        with self._lock:
            self.check()
            self.renders += 1
        try:
            yield
        finally:
            with self._lock:
                self.renders -= 1


def _too_many() -> ServerBusy:
    return ServerBusy("too many requests wait for their turn already (setting queue)", "queue")
