"""Render GSP scenes somewhere else: a server that draws, and a client that looks like a local renderer.

Importing this loads nothing heavy; the public names arrive on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._lazy import lazy_names
from .scene import __all__ as _scene_names

if TYPE_CHECKING:  # for type checkers and editors, which do not look into PUBLIC; a test holds the two together
    from .animator import AnimatorNetwork as AnimatorNetwork
    from .codec import Scene as Scene
    from .codec import decode_scene as decode_scene
    from .codec import encode_scene as encode_scene
    from .errors import AccessDenied as AccessDenied
    from .errors import BadResponse as BadResponse
    from .errors import ClientError as ClientError
    from .errors import DeadlineExceeded as DeadlineExceeded
    from .errors import DeviceLimitExceeded as DeviceLimitExceeded
    from .errors import GspNetworkError as GspNetworkError
    from .errors import InvalidScene as InvalidScene
    from .errors import LimitExceeded as LimitExceeded
    from .errors import MalformedBody as MalformedBody
    from .errors import MissingBuffers as MissingBuffers
    from .errors import OtherRenderer as OtherRenderer
    from .errors import RendererUnavailable as RendererUnavailable
    from .errors import RenderTimeout as RenderTimeout
    from .errors import RequestRefused as RequestRefused
    from .errors import ServerBusy as ServerBusy
    from .errors import ServerError as ServerError
    from .errors import ServerStartError as ServerStartError
    from .errors import ServerUnreachable as ServerUnreachable
    from .errors import SettingError as SettingError
    from .errors import UnsupportedTransform as UnsupportedTransform
    from .errors import VideoError as VideoError
    from .errors import WorkerCrashed as WorkerCrashed
    from .loading import TransformLinkLoad as TransformLinkLoad
    from .recording import SessionRecorder as SessionRecorder
    from .renderer import NetworkPayload as NetworkPayload
    from .renderer import NetworkRenderer as NetworkRenderer
    from .rendering import render_payload as render_payload
    from .rendering import render_scene as render_scene
    from .scene import *  # noqa: F403 - every public name of the scene
    from .server import RenderServer as RenderServer
    from .viewport_events import ViewportEventsNetwork as ViewportEventsNetwork

__version__ = "0.1.0"

PUBLIC = {
    ".scene": " ".join(_scene_names),
    ".animator": "AnimatorNetwork",
    ".codec": "Scene decode_scene encode_scene",
    ".errors": """
        AccessDenied BadResponse ClientError DeadlineExceeded DeviceLimitExceeded GspNetworkError InvalidScene LimitExceeded
        MalformedBody MissingBuffers OtherRenderer RendererUnavailable RenderTimeout RequestRefused ServerBusy ServerError
        ServerStartError ServerUnreachable SettingError UnsupportedTransform VideoError WorkerCrashed
    """,
    ".loading": "TransformLinkLoad",
    ".recording": "SessionRecorder",
    ".renderer": "NetworkPayload NetworkRenderer",
    ".rendering": "render_payload render_scene",
    ".server": "RenderServer",
    ".viewport_events": "ViewportEventsNetwork",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, PUBLIC, globals())
