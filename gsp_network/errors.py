"""Every exception that gsp_network raises, as one tree.

    GspNetworkError                 500  base class; a fault of ours where nothing else fits
    +-- InvalidScene                422  a scene object or document is wrong; the sender can fix it
    |   +-- LimitExceeded           422  right, but larger than this server takes; `limit` names the setting
    |   |   +-- DeviceLimitExceeded 422  ... than its graphics device takes; `limit` is Vulkan's name
    |   +-- UnsupportedTransform    422  a transform link that is not registered, or not allowed, here
    +-- MalformedBody               400  the body is not the JSON document it should be
    +-- MissingBuffers              409  the scene names buffers by hash that are not here; send them
    +-- RequestRefused              4xx  the HTTP request itself is wrong (status given)
    +-- AccessDenied                4xx  who asks may not: no token (401), a web page of another origin (403), ... (421)
    +-- RendererUnavailable         422  this server cannot draw with that renderer
    +-- OtherRenderer               500  said by a worker of a scene that is not for it; the server hands it on
    +-- ServerBusy                  503  shutting down, or no room; try again
    +-- WorkerCrashed               500  the process that drew the picture died
    +-- RenderTimeout               504  the picture was not there in time
    +-- SettingError                500  a server's setting is unknown or out of range
    +-- ServerStartError            500  the server cannot listen where it was told to
    +-- VideoError                       a video cannot be made here, or its encoder failed
    +-- ClientError                      raised by the client
        +-- ServerUnreachable            nothing answers at that URL
        +-- DeadlineExceeded             no whole answer within the timeout
        +-- BadResponse                  an answer, but no picture: truncated, not PNG, too large
        +-- ServerError                  the server said no; `status`, `where` and `request_id` as it gave them

Each class carries the HTTP status and the problem type (RFC 9457) that the server answers with. All of them
survive pickling, so that any `concurrent.futures.Executor` can bring them back from another process.
"""

from __future__ import annotations

from typing import Any, Optional, Sequence


class GspNetworkError(Exception):
    """Base class of every error raised by gsp_network.

    Attributes:
        status: HTTP status of the answer, an int; None for errors that no answer carried.
        type: the problem type of RFC 9457, a short stable word.
        where: path in the scene, as ``visuals[0].sizes``, or None.
        limit: name of the setting, or of the device's limit, that was hit, or None.
        request_id: the server's id for the request, or None.
        missing: names of buffers that were named and are not there, or None.
    """

    status: Optional[int] = 500
    type: str = "internal_error"
    where: Optional[str] = None
    limit: Optional[str] = None
    request_id: Optional[str] = None
    missing: Optional[tuple[str, ...]] = None


class InvalidScene(GspNetworkError, ValueError):
    """A scene object or document is wrong; the sender can fix it.

    Args:
        where: path of the offending value, as ``visuals[0].sizes``.
        problem: what was found and what was wanted, as ``2 items, expected 1``.
    """

    status = 422
    type = "invalid_scene"

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(where, problem)
        self.where = where
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}"

    def inside(self, prefix: str) -> InvalidScene:
        """The same error with its place inside `prefix`: ``sizes`` inside ``visuals[0]`` is ``visuals[0].sizes``."""
        return type(self)(f"{prefix}.{self.where}", *self.args[1:])


class LimitExceeded(InvalidScene):
    """A valid scene that is larger than the setting named by `limit` allows."""

    type = "scene_too_large"

    def __init__(self, where: str, problem: str, limit: str) -> None:
        super().__init__(where, problem)
        self.args = (where, problem, limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"{self.where}: {self.problem} (setting {self.limit})"


class DeviceLimitExceeded(LimitExceeded):
    """A valid scene that is larger than the server's graphics device can draw; `limit` as Vulkan names it."""

    def __str__(self) -> str:
        return f"{self.where}: {self.problem} (limit {self.limit} of the server's graphics device)"


class UnsupportedTransform(InvalidScene):
    """A transform link whose type is not registered in this process, or that its operator does not allow."""

    type = "unsupported_transform"


class MalformedBody(GspNetworkError, ValueError):
    """The body is not the JSON document it should be."""

    status = 400
    type = "not_json"
    where = "body"

    def __init__(self, message: str, type: str = "not_json") -> None:
        super().__init__(message, type)
        self.type = type

    def __str__(self) -> str:
        return str(self.args[0])


class MissingBuffers(GspNetworkError):
    """A scene names buffers by hash that are not here, or not any more; the same scene with their bytes can be drawn.

    Args:
        where: path of the first one.
        missing: the hex SHA-256 of each.
    """

    status = 409
    type = "missing_buffers"

    def __init__(self, where: str, missing: Sequence[str]) -> None:
        super().__init__(where, tuple(missing))
        self.where = where
        self.missing = tuple(missing)

    def __str__(self) -> str:
        names = self.args[1]
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        return f"{self.where}: named by its hash and not kept here, expected data_base64 too (sha256 {names[0]}{more})"


class RequestRefused(GspNetworkError):
    """The HTTP request itself is wrong: framing, path, method, size or kind of body.

    Args:
        status: HTTP status of the answer.
        type: the problem type, a short stable word.
        message: what was found, and what was expected.
        limit: name of the setting that was hit, or None.
    """

    def __init__(self, status: int, type: str, message: str, limit: Optional[str] = None) -> None:
        super().__init__(status, type, message, limit)
        self.status = status
        self.type = type
        self.limit = limit

    def __str__(self) -> str:
        return str(self.args[2])


class AccessDenied(RequestRefused):
    """Who asks may not: no token that this server knows, a web page of another origin, a host name that is not its own."""


class RendererUnavailable(GspNetworkError):
    """This server knows the renderer but cannot draw with it; the message says what is missing."""

    status = 422
    type = "renderer_unavailable"


class OtherRenderer(GspNetworkError):
    """A scene that another renderer shall draw than the one that this process draws with; no answer ever carries it.

    Args:
        renderer: who shall draw it, one of RENDERER_NAMES.
    """

    def __init__(self, renderer: str) -> None:
        super().__init__(renderer)
        self.renderer = renderer

    def __str__(self) -> str:
        return f"this scene is for {self.renderer}"


class ServerBusy(GspNetworkError):
    """The server is shutting down or has no room; the same request may succeed later.

    Args:
        message: what there is too much of.
        limit: name of the setting that was hit, or None.
    """

    status = 503
    type = "busy"

    def __init__(self, message: str, limit: Optional[str] = None) -> None:
        super().__init__(message, limit)
        self.limit = limit

    def __str__(self) -> str:
        return str(self.args[0])


class WorkerCrashed(GspNetworkError):
    """The worker process that drew the picture died before its answer was whole."""

    type = "worker_crashed"


class RenderTimeout(GspNetworkError):
    """The picture was not there within the setting render_timeout; where a worker drew it, that was ended."""

    status = 504
    type = "render_timeout"
    limit = "render_timeout"


class SettingError(GspNetworkError, ValueError):
    """A setting's value is not usable; the message names the setting and what it takes."""


class ServerStartError(GspNetworkError):
    """The server cannot listen at the address it was given."""

    type = "cannot_listen"


class VideoError(GspNetworkError):
    """A video cannot be made on this machine, or its encoder failed; the message holds what the encoder said."""

    status: Optional[int] = None
    type = "video_error"


class ClientError(GspNetworkError):
    """Base class of what the client raises about a server."""

    status: Optional[int] = None
    type = "client_error"


class ServerUnreachable(ClientError):
    """Nothing answers at the server's URL."""

    type = "unreachable"


class DeadlineExceeded(ClientError):
    """No whole answer arrived within the client's timeout."""

    type = "deadline_exceeded"


class BadResponse(ClientError):
    """An answer arrived, but it is no whole picture."""

    type = "bad_response"


class ServerError(ClientError):
    """The server answered with an error; its own message and facts come through.

    Args:
        status: HTTP status of the answer.
        message: the server's `detail`, or a line about an answer that had none.
        type, where, limit, request_id: as the server's problem document gave them.
    """

    def __init__(
        self,
        status: int,
        message: str,
        type: str = "server_error",
        where: Optional[str] = None,
        limit: Optional[str] = None,
        request_id: Optional[str] = None,
    ) -> None:
        super().__init__(status, message, type, where, limit, request_id)
        self.status = status
        self.type = type
        self.where = where
        self.limit = limit
        self.request_id = request_id

    def __str__(self) -> str:
        return f"{self.args[1]} (HTTP {self.status}" + (f", request {self.request_id})" if self.request_id else ")")


def error_named(name: str) -> Optional[type[GspNetworkError]]:
    """The class of this module that has that name; None where there is none."""
    found = globals().get(name)
    return found if isinstance(found, type) and issubclass(found, GspNetworkError) else None


def kind_of(value: Any) -> str:
    """How messages name the type of a value: JSON's null, true/false, object and list in words."""
    names = {type(None): "null", bool: "boolean", dict: "object", list: "list", str: "text"}
    return names.get(type(value), type(value).__name__)
