"""One HTTP request: a few tries within one total deadline, every failure an error of ours.

What a server sends is not trusted: no redirects, no schemes but http and https, no answer beyond a size, no picture that is
not whole. Standard library only.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import random
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, NamedTuple, Optional

from . import __version__
from .connections import Connections, Kept, PathLike, explain, tls_context
from .errors import BadResponse, DeadlineExceeded, InvalidScene, ServerError, ServerUnreachable, kind_of
from .png import png_fault
from .settings import environment_variable, is_loopback, is_token

logger = logging.getLogger(__name__)

READ_BYTES = 2**20
DETAIL_CHARS = 2000  # of a server's own words
# The picture of the largest canvas that a server draws by default, uncompressed, is 64 MiB.
MAX_ANSWER_BYTES = 256 * 2**20
TOKEN_VARIABLE = environment_variable("token")
BUSY = 503
RETRIES = 3
FIRST_BACKOFF_SECONDS = 0.1  # then 0.4 and 1.6: a server that starts anew takes about a second
MAX_RETRY_AFTER_SECONDS = 30  # a server may ask for hours


class Answer(NamedTuple):
    """A server's answer: status, headers, body."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Transport:
    """Sends requests to one server; threads may share it.

    Args:
        base_url: ``http://host:port`` or https, with or without a path before ``/render``.
        timeout: seconds for a whole request: connecting, receiving, further tries and the waits before them included.
        max_answer_bytes: the largest body that is accepted.
        token: sent with each request as ``Authorization: Bearer TOKEN``, readable on the way unless the URL is https. A
            proxy that the environment names for http reads it too; one for https, which only opens a tunnel, does not.
        cafile: PEM file with the certificates to trust for https in place of the system's: the server's own, or its
            issuer's. Certificate and host name are verified in any case.
        retries: how often a request is sent again after a 503, or when no connection came about or it broke before there
            was an answer.
    Raises:
        InvalidScene: a URL, timeout, token, cafile or number of retries that is none.
    """

    def __init__(
        self,
        base_url: str,
        timeout: float = 60.0,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        *,
        token: Optional[str] = None,
        cafile: Optional[PathLike] = None,
        retries: int = RETRIES,
    ) -> None:
        self.base_url = check_base_url(base_url)
        if (
            isinstance(timeout, bool)
            or not isinstance(timeout, (int, float))
            or not 0 < timeout <= threading.TIMEOUT_MAX
        ):
            raise InvalidScene("timeout", f"{timeout!r}, expected seconds above 0")
        if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
            raise InvalidScene("retries", f"{retries!r}, expected a whole number, 0 or more")
        self.timeout = timeout
        self.max_answer_bytes = max_answer_bytes
        self.retries = retries
        self._token = None if token is None else check_token(token)
        parts = urllib.parse.urlsplit(self.base_url)
        host = parts.hostname or ""
        if cafile is not None and parts.scheme != "https":
            raise InvalidScene("cafile", f"given for {self.base_url}, expected an https URL")
        if self._token is not None and parts.scheme != "https" and not is_loopback(host):
            logger.warning("%s: the token travels readable for all on the way; https would hide it", self.base_url)
        self._closing = threading.Event()  # set by close(); requests from then on have another
        self._connections = Connections(tls_context(cafile) if parts.scheme == "https" else None)
        self._opener = urllib.request.OpenerDirector()  # not build_opener: that brings redirects, file: and ftp:
        self._opener.add_handler(urllib.request.ProxyHandler({} if is_loopback(host) else None))
        self._opener.add_handler(self._connections)
        self._opener.addheaders = [("User-Agent", f"gsp_network/{__version__}")]

    def get(self, path: str, headers: dict[str, str]) -> Answer:
        """GET `path` below the base URL, sent again as by `post`, and with the same errors."""
        return self._request("GET", path, None, headers)

    def post(self, path: str, body: bytes, headers: dict[str, str], seconds: Optional[float] = None) -> Answer:
        """POST `body` to `path` below the base URL, which must be harmless to do twice.

        Sent again at most `retries` times, after a pause (`retry_delay`): where no connection came about or it broke before
        there was an answer, and after a 503. Never after another answer, a timeout, a fault of TLS or an unknown host. Where
        the pause would outlast the timeout, or `close` ends it, the last failure stands. A kept connection that the server
        has closed meanwhile is replaced at once, which does not count.

        Args:
            seconds: what is left of the timeout; None: all of it.
        Returns:
            The first answer that is no 503, else the last 503.
        Raises:
            ServerUnreachable: no connection, or it broke, or the server's certificate does not verify.
            DeadlineExceeded: no whole answer within the timeout.
            BadResponse: an answer that is not HTTP, not whole, or too large.
        """
        return self._request("POST", path, body, headers, seconds)

    def _request(
        self, method: str, path: str, body: Optional[bytes], headers: dict[str, str], seconds: Optional[float] = None
    ) -> Answer:
        deadline = time.monotonic() + (self.timeout if seconds is None else seconds)
        try:
            return self._insist(method, path, body, headers, deadline)
        except socket.timeout as exc:
            raise DeadlineExceeded(f"{self.base_url}: no whole answer within {self.timeout} s") from exc
        except urllib.error.URLError as exc:
            raise ServerUnreachable(f"{self.base_url}: {exc.reason}") from exc
        except OSError as exc:
            raise ServerUnreachable(f"{self.base_url}: {explain(exc)}") from exc
        except http.client.HTTPException as exc:  # after OSError: RemoteDisconnected is both, and no answer
            raise BadResponse(f"{self.base_url}: not an HTTP answer ({type(exc).__name__})") from exc

    def _insist(
        self, method: str, path: str, body: Optional[bytes], headers: dict[str, str], deadline: float
    ) -> Answer:
        """The answer of the last try; what is raised is as the libraries have it."""
        closing = self._closing
        failures = 0
        while True:
            try:
                response = self._open(method, path, body, headers, deadline)
            except ConnectionError as exc:
                if not self._pause(failures, str(exc), None, deadline, closing):
                    raise
            else:
                try:
                    answer = self._read(response, deadline)
                except BaseException:
                    response.drop()
                    raise
                retry_after = answer.headers.get("Retry-After")
                if answer.status != BUSY or not self._pause(failures, "busy (503)", retry_after, deadline, closing):
                    return answer
            failures += 1

    def _open(self, method: str, path: str, body: Optional[bytes], headers: dict[str, str], deadline: float) -> Kept:
        request = urllib.request.Request(self.base_url + path, body, headers, method=method)
        request.deadline = deadline  # type: ignore[attr-defined]
        if self._token is not None:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        response: Optional[Kept] = self._opener.open(request, timeout=self.timeout)
        if response is None:
            raise ServerUnreachable(f"{self.base_url}: the proxy that the environment names is none for http")
        return response

    def _pause(
        self, failures: int, why: str, retry_after: Optional[str], deadline: float, closing: threading.Event
    ) -> bool:
        """Wait before another try; False where there shall be none."""
        if failures >= self.retries:
            return False
        seconds = retry_delay(failures, retry_after)
        if time.monotonic() + seconds >= deadline:
            return False
        logger.info("%s: %s; trying again in %.1f s", self.base_url, why, seconds)
        return not closing.wait(seconds)

    def _read(self, response: Kept, deadline: float) -> Answer:
        announced = response.length
        if announced is not None and announced > self.max_answer_bytes:
            raise BadResponse(
                f"{self.base_url}: an answer of {announced} bytes, expected at most {self.max_answer_bytes}"
            )
        pieces, size = [], 0
        while True:
            if time.monotonic() > deadline:
                raise socket.timeout
            piece = response.read1(READ_BYTES)
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
            if size > self.max_answer_bytes:
                raise BadResponse(f"{self.base_url}: an answer of over {self.max_answer_bytes} bytes")
        if announced is not None and size != announced:
            raise BadResponse(f"{self.base_url}: the answer ended after {size} of {announced} bytes")
        self._connections.keep(response)
        return Answer(response.status, response.headers, b"".join(pieces))

    def close(self) -> None:
        """Close the kept connections and give up waiting for another try; a later request opens a connection for itself."""
        closing, self._closing = self._closing, threading.Event()
        closing.set()
        self._connections.close()


def retry_delay(failures: int, retry_after: Optional[str]) -> float:
    """Seconds to wait before a request is sent again; random, so that clients who failed together do not return together.

    Args:
        failures: how many tries failed before the one that failed last.
        retry_after: what the server asked for. Whole seconds up to 30 are waited at least, more of them count as 30;
            anything else, such as a date, counts as nothing.
    """
    backoff = random.uniform(0, FIRST_BACKOFF_SECONDS * 4 ** min(failures, 4))
    text = (retry_after or "").strip()
    if not (text.isascii() and text.isdigit()):
        return backoff
    return min(float(text), MAX_RETRY_AFTER_SECONDS) + backoff  # float: int refuses thousands of digits


def check_base_url(url: Any) -> str:
    """A server's base URL without its trailing slash; InvalidScene for what is none, or not http or https."""
    if not isinstance(url, str):
        raise InvalidScene("server_base_url", f"{type(url).__name__}, expected text such as http://127.0.0.1:5000")
    try:
        parts = urllib.parse.urlsplit(url)
        (parts.hostname or "").encode("idna")
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid or any(char in "?#@%" or not "!" <= char <= "~" for char in url):
        shown = "..." + url.rsplit("@", 1)[1][:200] if "@" in url else url[:200]  # what is before it may be a password
        raise InvalidScene(
            "server_base_url", f"{shown!r}, expected http or https with a host, such as http://127.0.0.1:5000"
        )
    return url.rstrip("/")


def check_token(token: Any, where: str = "token") -> str:
    """`token` if it is printable ASCII without blanks, else InvalidScene at `where`, which does not show it."""
    if not isinstance(token, str):
        raise InvalidScene(where, f"{kind_of(token)}, expected text")
    if not is_token(token):
        raise InvalidScene(where, "empty, or with a character that is a blank or not printable ASCII")
    return token


def environment_token() -> Optional[str]:
    """The token in the environment variable GSP_NETWORK_TOKEN, which may hold several as a server's does: the first.

    Raises:
        InvalidScene: it is not printable ASCII.
    """
    tokens = os.environ.get(TOKEN_VARIABLE, "").split()
    return check_token(tokens[0], f"environment variable {TOKEN_VARIABLE}") if tokens else None


def picture_of(answer: Answer, where: str) -> bytes:
    """The PNG in an answer.

    Raises:
        ServerError: the answer is an error, with what its problem document says.
        BadResponse: it is something else than a whole PNG.
    """
    if answer.status != 200:
        raise _server_error(answer)
    reason = png_fault(answer.body)
    if reason:
        kind = answer.headers.get("Content-Type", "no type")
        raise BadResponse(f"{where}: not a picture ({kind[:80]!r}): {reason}")
    return answer.body


def _server_error(answer: Answer) -> ServerError:
    facts: dict[str, Any] = {}
    if answer.headers.get_content_type() == "application/problem+json":
        try:
            document = json.loads(answer.body)
            facts = document if isinstance(document, dict) else {}
        except (ValueError, RecursionError):
            facts = {}

    def text(name: str) -> Optional[str]:
        value = facts.get(name)
        if not isinstance(value, str):
            return None
        return "".join(char if char.isprintable() or char == "\n" else "?" for char in value[:DETAIL_CHARS])

    message = (
        text("detail")
        or f"the server answered {answer.status} {http.client.responses.get(answer.status, '')}".rstrip()
        + " and no reason"
    )
    request_id = text("request_id") or answer.headers.get("X-Request-Id")
    return ServerError(answer.status, message, text("type") or "server_error", text("where"), text("limit"), request_id)
