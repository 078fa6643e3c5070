"""The transform link that reads a file or a URL: `TransformLinkLoad`, "TransformLoad" on the wire.

It reads nothing unless who runs the chain has allowed places to read from, with `allow_loading`; a server does so for those
that its operator names with --allow-load. What is read stays within them: no symbolic link out, no redirect, no size or
time without a bound. Pillow and the https client are loaded where they are first needed.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import socket
import stat
import time
import urllib.parse
from contextvars import ContextVar
from functools import partial
from typing import Any, Callable, Iterator, Optional, Sequence

import numpy as np

from . import __version__
from .deadlines import ReceivingSide, connecting, left, verifying_context
from .errors import InvalidScene, LimitExceeded, SettingError, UnsupportedTransform, kind_of
from .scene.buffers import Buffer, BufferType, check_buffer_type, check_finite, to_buffer
from .scene.transforms import TransformLinkBase, TransformRegistry, buffer_type_named, member
from .settings import DEFAULT_LIMITS, is_loopback

MAX_URI_CHARS = 4096  # Linux's PATH_MAX
MAX_SECONDS = 20.0  # for the URLs of one scene together: below the 30 s that a picture may take
MAX_NPY_HEADER = 10_000  # numpy's own bound, from version 1.24 on
READ_BYTES = 2**20
WHERE = "link_data.uri"

# Where the system can open a name relative to an open folder without following a link (not Windows).
_DESCENDS = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW") and hasattr(os, "O_DIRECTORY")


class TransformLinkLoad(TransformLinkBase):
    """Yields what a file or a URL holds, whatever came before it.

    The extension of the path says how it is read:

    - ``.npy``: the array, as `Buffer.from_numpy` takes one of `buffer_type`; leading axes are joined, so (h, w, 3) is h * w vec3.
    - ``.png``, ``.jpg``, ``.jpeg``: the pixels, first row on top, as width * height rgba8.
    - any other: the elements themselves, little-endian and tightly packed.

    Args:
        uri: ``file:///absolute/path``, an absolute path, or ``https://host/path``.
        buffer_type: what the buffer's elements are.
    Raises:
        InvalidScene: a `uri` that is no text of 1 to 4096 printable characters, or a type that is none.
    """

    def __init__(self, uri: str, buffer_type: BufferType) -> None:
        if not isinstance(uri, str):
            raise InvalidScene("uri", f"{kind_of(uri)}, expected text")
        if not 0 < len(uri) <= MAX_URI_CHARS:
            raise InvalidScene("uri", f"{len(uri)} characters, expected 1 to {MAX_URI_CHARS}")
        if not uri.isprintable():  # neither are lone surrogates, which no file name or URL can hold
            raise InvalidScene("uri", f"{uri[:80]!r}, expected printable characters")
        check_buffer_type(buffer_type, "buffer_type")
        self._uri, self._type = uri, buffer_type

    def get_uri(self) -> str:
        """Where the buffer is read from."""
        return self._uri

    def get_buffer_type(self) -> BufferType:
        """What the buffer's elements are."""
        return self._type

    def apply(self, buffer: Optional[Buffer]) -> Buffer:
        """The buffer that is read.

        Raises:
            UnsupportedTransform: nothing may be read here, see `allow_loading`.
            InvalidScene: the URI lies outside of what may be read, cannot be read, or holds something else.
            LimitExceeded: it holds more than may be read.
        """
        allowance = _allowance.get()
        if allowance is None or not allowance.places:
            raise UnsupportedTransform(
                "link_type",
                "'TransformLoad' is not allowed by this server; its operator can allow it with --allow-load",
            )
        path, read = _source(self._uri, allowance)
        data = read(allowance)
        decode = _DECODERS.get(os.path.splitext(path)[1].lower(), _from_raw)
        made = decode(data, self._type, allowance)
        allowance.spent += max(len(data), made.get_count() * self._type.item_size)
        return made

    def serialize(self) -> dict[str, Any]:
        """``link_data`` holds ``uri`` and ``buffer_type``."""
        return {"link_type": "TransformLoad", "link_data": {"uri": self._uri, "buffer_type": self._type.name}}

    @staticmethod
    def deserialize(data: dict[str, Any]) -> TransformLinkLoad:
        """The link that `serialize` described; reads nothing."""
        fields = member(data, "link_data", "", dict)
        uri = member(fields, "uri", "link_data", str)
        buffer_type = buffer_type_named(member(fields, "buffer_type", "link_data"), "link_data.buffer_type")
        try:
            return TransformLinkLoad(uri, buffer_type)
        except InvalidScene as exc:
            raise exc.inside("link_data") from exc


TransformRegistry.register_link("TransformLoad", TransformLinkLoad)


class _Allowance:
    """What may be read, and how much of it is left: bytes and seconds count for all links together."""

    def __init__(self, places: tuple[str, ...], max_bytes: int) -> None:
        self.places, self.max_bytes = places, max_bytes
        self.spent = 0
        self.seconds_left = MAX_SECONDS

    def check(self, size: int) -> None:
        """Refuse `size` bytes more than were read so far, where that is too much."""
        if self.spent + size > self.max_bytes:
            so_far = " so far" if self.spent else ""
            found = f"{self.spent + size} bytes{so_far}, expected at most {self.max_bytes}"
            raise LimitExceeded(WHERE, found, "max_load_bytes")


_allowance: ContextVar[Optional[_Allowance]] = ContextVar("gsp_network_allowance", default=None)


@contextlib.contextmanager
def allow_loading(places: Sequence[str], max_bytes: int = DEFAULT_LIMITS.max_load_bytes) -> Iterator[None]:
    """Let `TransformLinkLoad` read from these places inside the with-block, in this thread or task alone.

    Args:
        places: folders, and URLs as ``https://host/folder/``, as `check_places` gives them; none: nothing can be read.
        max_bytes: what the links in the block may read and decode, all together.
    """
    token = _allowance.set(_Allowance(tuple(places), max_bytes))
    try:
        yield
    finally:
        _allowance.reset(token)


def check_places(places: Sequence[str]) -> tuple[str, ...]:
    """The places that an operator allows, in the form that `allow_loading` takes: real paths of folders, and URLs.

    Raises:
        SettingError: one is no folder that exists and no URL as ``https://host[:port]/[folder/]``.
    """
    checked = []
    for place in places:
        url = _url_parts(place)
        folder = "" if "://" in place or "\0" in place else os.path.realpath(place)
        if url is not None and url.path.endswith("/") and not url.query:
            checked.append(url.geturl())
        elif place and os.path.isdir(folder):
            checked.append(folder)
        else:
            raise SettingError(
                f"setting allow_load (--allow-load): {place!r}, expected a folder that exists, or https://host[:port]/ "
                "with or without a path that ends in /"
            )
    return tuple(dict.fromkeys(checked))


def _source(uri: str, allowance: _Allowance) -> tuple[str, Callable[[_Allowance], bytes]]:
    """The path that a URI names, and what reads it; one error for all that lies outside of the places, be it there or not."""
    url = _url_parts(uri)
    if url is not None:
        for place in map(_url_parts, allowance.places):
            if place is not None and url.netloc == place.netloc and url.path.startswith(place.path):
                return url.path, partial(_read_url, url)
    path = _file_path(uri)
    if path is not None:
        real = _real_path(path)
        for folder in allowance.places:
            # A URL is no folder: its real path would be one below the working directory.
            root = "" if "://" in folder else os.path.join(_real_path(folder), "")
            if root and os.path.normcase(real).startswith(os.path.normcase(root)):
                return path, partial(_read_file, root, real[len(root) :].split(os.sep))
    wanted = "file:///absolute/path or https://host/path inside a place that this server's operator allows"
    raise InvalidScene(WHERE, f"{uri[:80]!r}, expected {wanted}")


def _real_path(path: str) -> str:
    """The path with its links resolved; empty where that fails, as for a link that goes away meanwhile."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return ""


def _file_path(uri: str) -> Optional[str]:
    """The absolute path that a file URI (RFC 8089) or a plain path names; None for anything else."""
    path = uri
    match = re.fullmatch(r"file:(?://(?:localhost)?)?(/[^?#]*)", uri, re.I)
    if match:
        path = os.fsdecode(urllib.parse.unquote_to_bytes(match[1]))
        if os.name == "nt":
            path = path.lstrip("/")  # file:///C:/folder
    # Two slashes start another machine's name on Windows: already looking at it would connect to that.
    known = os.path.isabs(path) and "\0" not in path and path[:2] not in ("//", "\\\\")
    return path if known else None


def _url_parts(url: str) -> Optional[urllib.parse.SplitResult]:
    """An https URL in its normal form, host in lower case and port 443 left out; None for what is none, or is ambiguous."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if parts.scheme != "https" or not re.fullmatch(r"[!-~]+", url) or "#" in url or "@" in parts.netloc or port == 0:
        return None
    if not re.fullmatch(r"[a-z0-9]([a-z0-9._-]{0,252})|[0-9a-f:.]+", host) or re.search(r"[^.]{64}|\.\.", host):
        return None
    # What a server there might decode into a step upwards, so that the path would leave its folder: %2e . %2f / %5c \ %25 %
    steps = {segment.partition(";")[0] for segment in parts.path.split("/")}
    if re.search(r"\\|%(2e|2f|5c|25|00)", parts.path, re.I) or steps & {".", ".."} or not parts.path.startswith("/"):
        return None
    name = f"[{host}]" if ":" in host else host
    return parts._replace(netloc=name if port in (None, 443) else f"{name}:{port}")


def _open_inside(root: str, steps: list[str]) -> int:
    """Open the file at these steps below the folder `root`, never leaving it.

    The steps come from a real path, so none is a link or ``..`` unless it has become one since. Each is opened in the folder
    that the one before opened, by O_NOFOLLOW: there is no moment at which a link put in its place would be followed. A link
    that stays inside does work: the real path has it resolved. O_NONBLOCK: a FIFO without a writer would wait for one.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
    if not _DESCENDS:
        # Windows: opened, then compared. Only who may put links into the folder, a privilege there, could race this.
        path = os.path.join(root, *steps)
        opened = os.open(path, flags)
        if os.path.realpath(path) != path or not os.path.samestat(os.fstat(opened), os.lstat(path)):
            os.close(opened)
            raise OSError(None, "a link")
        return opened
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    for step in steps[:-1]:
        try:
            deeper = os.open(step, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        finally:
            os.close(folder)
        folder = deeper
    try:
        return os.open(steps[-1], flags | os.O_NOFOLLOW, dir_fd=folder)
    finally:
        os.close(folder)


def _read_file(root: str, steps: list[str], allowance: _Allowance) -> bytes:
    try:
        file = _open_inside(root, steps)
        try:
            facts = os.fstat(file)
            if not stat.S_ISREG(facts.st_mode):
                raise InvalidScene(WHERE, "not a regular file")
            allowance.check(facts.st_size)
            return _read_pieces(partial(os.read, file), allowance)
        finally:
            os.close(file)
    except OSError as exc:
        raise InvalidScene(WHERE, f"cannot be read: {exc.strerror or type(exc).__name__}") from exc


def _read_pieces(read: Callable[[int], bytes], allowance: _Allowance) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        piece = read(READ_BYTES)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        size += len(piece)
        allowance.check(size)


def _read_url(url: urllib.parse.SplitResult, allowance: _Allowance) -> bytes:
    """What a URL holds, by one GET; the environment's proxy is used where it names one, but not for this machine."""
    import http.client

    began = time.monotonic()
    try:
        return _get(url, allowance, began + allowance.seconds_left)
    except socket.timeout as exc:
        raise InvalidScene(WHERE, f"cannot be read: not there within {MAX_SECONDS} s, all URLs together") from exc
    except http.client.HTTPException as exc:  # before OSError: RemoteDisconnected is both
        raise InvalidScene(WHERE, f"cannot be read: no whole HTTP answer ({type(exc).__name__})") from exc
    except OSError as exc:
        reason = getattr(exc, "verify_message", "") or exc.strerror or type(exc).__name__
        raise InvalidScene(WHERE, f"cannot be read: {reason}") from exc
    finally:
        allowance.seconds_left -= time.monotonic() - began


def _get(url: urllib.parse.SplitResult, allowance: _Allowance, deadline: float) -> bytes:
    import http.client
    import urllib.request

    request: Any = urllib.request.Request(url.geturl())
    proxies = urllib.request.ProxyHandler({} if is_loopback(url.hostname or "") else None)
    getattr(proxies, "https_open", lambda request: None)(request)  # points the request at the proxy, if there is one
    connection: Any = http.client.HTTPSConnection(request.host, timeout=left(deadline), context=verifying_context())
    connection._create_connection = connecting(deadline)
    if getattr(request, "_tunnel_host", None):
        connection.set_tunnel(request._tunnel_host, headers=dict(request.header_items()))  # the proxy's password alone
    made: list[http.client.HTTPResponse] = []

    def bounded(sock: socket.socket, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
        response = http.client.HTTPResponse(sock, *args, **kwargs)
        response.fp = io.BufferedReader(ReceivingSide(sock, response.fp, deadline), 2**16)
        made.append(response)
        return response

    connection.response_class = bounded
    try:
        connection.connect()
        connection.sock.settimeout(left(deadline))
        headers = {"User-Agent": f"gsp_network/{__version__}", "Accept": "*/*", "Connection": "close"}
        connection.request("GET", request.selector, headers=headers)  # http.client adds Accept-Encoding: identity
        return _body(connection.getresponse(), allowance)
    finally:
        for response in made:
            response.close()
        connection.close()


def _body(response: Any, allowance: _Allowance) -> bytes:
    """The body of a whole, plain 200."""
    if response.status != 200:
        redirect = ", a redirect" if 300 <= response.status < 400 else ""
        raise InvalidScene(WHERE, f"cannot be read: answered {response.status}{redirect}, expected 200")
    coding = response.headers.get("Content-Encoding", "identity")
    if coding.strip().lower() != "identity":
        raise InvalidScene(WHERE, f"cannot be read: Content-Encoding {coding[:40]!r}, expected identity")
    announced = response.length
    allowance.check(announced or 0)
    data = _read_pieces(response.read1, allowance)
    if announced not in (None, len(data)):
        raise InvalidScene(WHERE, f"cannot be read: ended after {len(data)} of {announced} bytes")
    return data


def _from_raw(data: bytes, buffer_type: BufferType, allowance: _Allowance) -> Buffer:
    try:
        buffer = Buffer.from_bytearray(data, buffer_type)
    except InvalidScene as exc:
        raise InvalidScene(WHERE, exc.problem) from exc
    check_finite(buffer, WHERE)
    return buffer


def _from_npy(data: bytes, buffer_type: BufferType, allowance: _Allowance) -> Buffer:
    """The array of a .npy file, made here from the header: numpy's reader allocates what that claims before it looks."""
    formats: Any = np.lib.format
    stream = io.BytesIO(data)
    try:
        version = formats.read_magic(stream)
        # Version 3 differs from 2 in the names of fields alone, and what has fields is no buffer.
        reader, length = {(1, 0): (formats.read_array_header_1_0, 2), (2, 0): (formats.read_array_header_2_0, 4)}[
            version
        ]
        if int.from_bytes(data[stream.tell() : stream.tell() + length], "little") > MAX_NPY_HEADER:
            raise ValueError("header too long")
        shape, fortran, dtype = reader(stream)
    except Exception as exc:  # numpy's parser of that header has many: SyntaxError, TokenError, ...
        raise InvalidScene(WHERE, f"not a .npy file with a plain array ({type(exc).__name__})") from exc
    count, packed = math.prod(shape), memoryview(data)[stream.tell() :]
    if dtype.kind not in "fiu" or min(shape, default=0) < 0:
        raise InvalidScene(WHERE, f"array of {str(dtype)[:40]} of shape {str(shape)[:40]}, expected numbers")
    if count * dtype.itemsize != len(packed):
        raise InvalidScene(WHERE, f"array of {dtype} of shape {str(shape)[:40]} in {len(packed)} bytes")
    element = buffer_type.shape
    if element and shape[-len(element) :] != element:
        expected = str(("...", *element)).replace("'", "")
        raise InvalidScene(WHERE, f"shape {str(shape)[:80]}, expected {expected} ({buffer_type.name})")
    allowance.check(count * buffer_type.dtype.itemsize)
    if not count:
        return Buffer(0, buffer_type)
    array = np.frombuffer(packed, dtype).reshape(shape, order="F" if fortran else "C")
    return to_buffer(array.reshape(-1, *element), buffer_type, WHERE)


def _from_picture(data: bytes, buffer_type: BufferType, allowance: _Allowance) -> Buffer:
    import warnings

    from PIL import Image

    if buffer_type is not BufferType.rgba8:
        raise InvalidScene("link_data.buffer_type", f"{buffer_type.name}, expected rgba8 for a picture")
    try:
        with warnings.catch_warnings():
            # Pillow's own bound is a number of pixels; ours, checked next and before any is decoded, is the operator's.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
        with picture:
            allowance.check(picture.width * picture.height * 4)
            if picture.mode[0] in "IF":  # Pillow would cut such values off at 255
                raise InvalidScene(WHERE, "picture of more than 8 bits a pixel, expected 8 bits a channel")
            array = np.asarray(picture.convert("RGBA"))
    except (InvalidScene, MemoryError):
        raise
    except Image.DecompressionBombError as exc:
        raise LimitExceeded(
            WHERE, "a picture of more pixels than Pillow opens, expected less", "max_load_bytes"
        ) from exc
    except Exception as exc:  # a broken picture is OSError, SyntaxError, ValueError, struct.error, ...
        raise InvalidScene(WHERE, f"no whole PNG or JPEG ({type(exc).__name__})") from exc
    return Buffer.from_numpy(array.reshape(-1, 4), BufferType.rgba8)


_DECODERS: dict[str, Callable[[bytes, BufferType, _Allowance], Buffer]] = {
    ".npy": _from_npy,
    ".png": _from_picture,
    ".jpg": _from_picture,
    ".jpeg": _from_picture,
}
