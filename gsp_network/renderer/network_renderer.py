"""NetworkRenderer: looks like a local renderer, draws on a server."""

from __future__ import annotations

import io
import json
import logging
import math
import os
import time
from typing import TYPE_CHECKING, Any, Callable, Literal, Optional, Sequence, TypedDict

from ..codec import build_payload, encode_scene
from ..connections import PathLike
from ..errors import GspNetworkError
from ..packed import as_json, is_packed, media_type
from ..scene.contracts import RendererBase
from ..scene.events import Event
from ..settings import (
    FALLBACK_HEADER,
    OFFER_HEADER,
    PACKED_KIND,
    REFS_HEADER,
    REFS_KIND,
    RENDERER_HEADER,
    check_renderer_name,
    environment_renderer_name,
)
from ..transport import RETRIES, Answer, Transport, environment_token, picture_of
from .known_buffers import PAUSE_SECONDS, Body, KnownBuffers

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

logger = logging.getLogger(__name__)

REFUSED = (
    400,
    403,
    406,
    415,
    422,
    500,
    501,
)  # what a server, or a proxy, answers to a body of a kind that it does not know


def _plain(body: bytes) -> bytes:
    """A body as any server takes it: JSON with all its buffers, and without their names."""
    return body.whole(False, packed=False) if isinstance(body, Body) else as_json(body)


def _inches(pixels: int, dpi: float) -> float:
    """A length that Matplotlib takes for exactly so many pixels: up to 3.9 it rounds down what 200 / 97 * 97 comes to."""
    inches = pixels / dpi
    return inches if inches * dpi >= pixels else math.nextafter(inches, math.inf)


class NetworkPayload(TypedDict):
    """A request's document: who shall draw, and what."""

    renderer_name: str
    data: dict[str, Any]


class NetworkRenderer(RendererBase):
    """Draws scenes on a server; returns the pictures and shows them in a Matplotlib figure.

    `render` alone needs neither a display nor Matplotlib: the figure is made on first need, by `show` or `get_mpl_figure`.

    Args:
        canvas: size and resolution of the pictures; a Canvas of ours or of an installed GSP_API.
        server_base_url: where the server answers, ``http://127.0.0.1:5000``.
        remote_renderer_name: who draws there; the server is told the name as it is given, be it "datoviz" or "datoviz-v03". None:
            what the environment variable GSP_REMOTE_RENDERER says, else "matplotlib".
        timeout: seconds for a whole request, further tries included.
        token: what the server asks for, sent with each request to it. None: the first in the environment variable
            GSP_NETWORK_TOKEN, else no token. Over http to another machine it travels readable.
        cafile: PEM file with the certificates to trust for https in place of the system's, such as the server's own.
        retries: how often a request is sent again while the server is busy (503) or not there; 0 for never.
        use_refs: send a buffer that does not change once, where the server offers to keep it, and its hash from then on.
        use_packed: send large buffers as they are, where the server offers to take them so, and not in base64.
    Attributes:
        on_frame: an Event that is dispatched with the body of each frame's request, in the order of the frames, as JSON with all
            its buffers.
    Raises:
        InvalidScene: a canvas, URL, renderer name, timeout, token, cafile or number of retries that is none.
    """

    def __init__(
        self,
        canvas: Any,
        server_base_url: str,
        remote_renderer_name: Optional[Literal["matplotlib", "datoviz", "datoviz-v03"]] = None,
        *,
        timeout: float = 60.0,
        token: Optional[str] = None,
        cafile: Optional[PathLike] = None,
        retries: int = RETRIES,
        use_refs: bool = True,
        use_packed: bool = True,
    ) -> None:
        build_payload(canvas, [], [], [], [])  # raises for what is no canvas
        self._canvas = canvas
        if remote_renderer_name is not None:
            check_renderer_name(remote_renderer_name, "remote_renderer_name")
        self._renderer_name: str = remote_renderer_name or environment_renderer_name()
        self._transport = Transport(
            server_base_url,
            timeout,
            token=environment_token() if token is None else token,
            cafile=cafile,
            retries=retries,
        )
        self.on_frame: Event[Callable[[bytes], None]] = Event()
        self._known = KnownBuffers() if use_refs else None
        self._use_packed, self._packs = use_packed, False
        self._not_packed_until = 0.0
        self._picture: Optional[bytes] = None
        self._figure: Optional[Figure] = None
        self._image: Optional[AxesImage] = None
        self._closed = self._told_fallback = False

    def get_canvas(self) -> Any:
        """The canvas that it was made with."""
        return self._canvas

    def get_remote_renderer_name(self) -> str:
        """Who draws on the server."""
        return self._renderer_name

    def get_payload(
        self, viewports: Sequence[Any], visuals: Sequence[Any], model_matrices: Sequence[Any], cameras: Sequence[Any]
    ) -> NetworkPayload:
        """The document that `render` would send."""
        data = build_payload(self._canvas, viewports, visuals, model_matrices, cameras)["data"]
        return {"renderer_name": self._renderer_name, "data": data}

    def render(
        self, viewports: Sequence[Any], visuals: Sequence[Any], model_matrices: Sequence[Any], cameras: Sequence[Any]
    ) -> bytes:
        """Draw visual i in viewport i, with model matrix i, through camera i, in this order.

        Args:
            viewports, visuals, cameras: scene objects of ours or of an installed GSP_API.
            model_matrices: one mat4 each: Buffer, TransformChain or numpy array (4, 4).
        Returns:
            The picture as PNG; the figure shows it too, where there is one.
        Raises:
            InvalidScene: the lists do not make a scene.
            ServerUnreachable, DeadlineExceeded, BadResponse: no picture came.
            ServerError: the server refused; the error holds its reason.
            GspNetworkError: the renderer is closed.
        """
        picture = self.request(self.encode(viewports, visuals, model_matrices, cameras))
        self.display(picture)
        return picture

    def encode(
        self, viewports: Sequence[Any], visuals: Sequence[Any], model_matrices: Sequence[Any], cameras: Sequence[Any]
    ) -> bytes:
        """The first part of `render`: the body of the request for a frame; `on_frame` is told.

        It may be packed (see `packed`), and name buffers that the server has by their hash alone. `request` knows what to do
        where the server has them no more, or does not take it.

        Raises:
            InvalidScene: the lists do not make a scene.
            GspNetworkError: the renderer is closed.
        """
        self._check_open()
        frame = None if self._known is None else self._known.frame()
        scene = self._canvas, viewports, visuals, model_matrices, cameras
        packed = self._packs and not self.on_frame.has_callbacks
        body = encode_scene(*scene, self._renderer_name, None if frame is None else frame.name, packed)
        if frame is not None:
            body = frame.body(body)
        if self.on_frame.has_callbacks:
            self.on_frame.dispatch(_plain(body))
        return body

    def request(self, body: bytes) -> bytes:
        """The second part of `render`: the picture of a frame; threads may call it at the same time.

        Raises:
            ServerUnreachable, DeadlineExceeded, BadResponse, ServerError, GspNetworkError: see `render`.
        """
        self._check_open()
        deadline = time.monotonic() + self._transport.timeout
        answer = self._post(body, None)
        other = self._instead_of(body, answer)
        while other is not None:  # twice at most: whole, and what any server takes
            answer = self._post(other, max(deadline - time.monotonic(), 0.0))
            other = self._instead_of(other, answer)
        picture = picture_of(answer, self._transport.base_url)
        if FALLBACK_HEADER in answer.headers and not self._told_fallback:
            self._told_fallback = True  # once: with this scene it will be so for every frame
            drawn_by, asked = str(answer.headers[FALLBACK_HEADER])[:40], self._renderer_name
            logger.warning("%s: %r drew, since %s could not", self._transport.base_url, drawn_by, asked)
        return picture

    def _post(self, body: bytes, timeout: Optional[float]) -> Answer:
        headers = {"Content-Type": media_type(body), "Accept": "image/png", RENDERER_HEADER: self._renderer_name}
        return self._transport.post("/render", body, headers, timeout)

    def _instead_of(self, body: bytes, answer: Answer) -> Optional[bytes]:
        """What to send in place of a body after its answer, which tells what the server takes; None where the answer stands."""
        kinds = answer.headers.get(OFFER_HEADER)
        offered = PACKED_KIND in [kind.strip() for kind in (kinds or "").split(",")]
        refused = is_packed(body) and not offered and answer.status in REFUSED
        if refused:  # by another server, or by something before it, which may let the offer through
            self._not_packed_until = time.monotonic() + PAUSE_SECONDS
        packs = self._use_packed and offered and time.monotonic() >= self._not_packed_until
        if refused or answer.status == 200 or kinds is not None:
            self._packs = packs
        if refused:
            return _plain(body)
        if self._known is None:
            return None
        return self._known.after(body, answer.status, answer.headers.get(REFS_HEADER) == REFS_KIND, packs)

    def get_server_health(self) -> dict[str, Any]:
        """What the server tells of itself at GET /health; empty where it tells nothing that we know, as one of GSP_API's.

        Raises:
            ServerUnreachable, DeadlineExceeded, BadResponse, GspNetworkError: see `render`.
        """
        self._check_open()
        answer = self._transport.get("/health", {"Accept": "application/json"})
        try:
            document = json.loads(answer.body) if answer.status == 200 else {}
        except (ValueError, RecursionError):
            document = {}
        return document if isinstance(document, dict) else {}

    def display(self, picture: bytes) -> None:
        """The third part of `render`: make it the last picture, which the figure shows where there is one; main thread alone."""
        self._picture = picture
        if self._figure is not None:
            self._update(self._figure)

    def _check_open(self) -> None:
        if self._closed:
            raise GspNetworkError("this NetworkRenderer is closed; make a new one")

    def get_mpl_figure(self) -> Figure:
        """The pyplot figure that shows the pictures: of the canvas's size at its dpi, one borderless axes; made on first call."""
        from matplotlib import pyplot

        self._check_open()
        if self._figure is not None and not pyplot.fignum_exists(self._figure.number):
            self._figure = self._image = None  # its window was closed
        if self._figure is None:
            width, height, dpi = self._canvas.get_width(), self._canvas.get_height(), self._canvas.get_dpi()
            figure = pyplot.figure(figsize=(_inches(width, dpi), _inches(height, dpi)), dpi=dpi, facecolor="white")
            if hasattr(figure, "set_layout_engine"):  # rcParams may ask for one, which would move the axes
                figure.set_layout_engine("none")
            else:  # Matplotlib 3.5
                figure.set_tight_layout(False)
                figure.set_constrained_layout(False)
            axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
            axes.set_axis_off()
            self._figure = figure
            self._update(figure)
        return self._figure

    def _update(self, figure: Figure) -> None:
        """Show the picture, or white where there is none; decoded only now."""
        axes = figure.axes[0]
        if self._picture is None:
            if self._image is not None:
                self._image.remove()
                self._image = None
        else:
            from matplotlib.image import imread

            pixels = imread(io.BytesIO(self._picture), format="png")
            if self._image is None:
                self._image = axes.imshow(
                    pixels, aspect="auto", origin="upper", interpolation="nearest", extent=(0.0, 1.0, 0.0, 1.0)
                )
                # Within the axes by less than a pixel's rounding error: an image wider than 200.0 px is drawn on 201.
                axes.set_xlim(0.0, 1.0 + 1e-9)
                axes.set_ylim(0.0, 1.0 + 1e-9)
            else:
                self._image.set_data(pixels)
        figure.canvas.draw_idle()

    def show(self) -> None:
        """Show the last picture and wait until its window is closed; returns at once when GSP_TEST=True is in the environment."""
        if os.environ.get("GSP_TEST") == "True":
            return
        from matplotlib import pyplot

        self.get_mpl_figure()
        pyplot.show(block=True)

    def clear(self) -> None:
        """Forget the last picture; the figure turns white."""
        self._picture = None
        if self._figure is not None:
            self._update(self._figure)

    def close(self) -> None:
        """Close the connections and the figure; a second time does nothing."""
        self._closed = True
        self._transport.close()
        if self._known is not None:
            self._known.clear()
        if self._figure is not None:
            from matplotlib import pyplot

            pyplot.close(self._figure)
            self._figure = self._image = None

    def __enter__(self) -> NetworkRenderer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _repr_png_(self) -> Optional[bytes]:
        """The last picture, for notebooks."""
        return self._picture
