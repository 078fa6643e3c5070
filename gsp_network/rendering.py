"""From the body of a request to a picture: the one function that a thread, a worker process or a cluster runs."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any, NamedTuple, Optional

import numpy as np

from .backends import backend, why_not
from .backends.base import prepare
from .codec import Scene, decode_document
from .documents import read_document
from .errors import InvalidScene, OtherRenderer
from .loading import allow_loading
from .png import encode_png
from .scene.groups import listed_indices
from .scene.objects import Canvas, ModelMatrix, SceneObject, is_chain, item_count
from .scene.units import points_to_pixels
from .scene.visuals import Image, Pixels, Texts
from .settings import (
    DEFAULT_LIMITS,
    RENDERER_HEADER,
    RENDERER_NAMES,
    Limits,
    check_renderer_name,
    default_renderer_name,
)
from .store import Given, scene_store

logger = logging.getLogger(__name__)


class Rendered(NamedTuple):
    """A picture as PNG, who drew it, the seconds that decoding, drawing and encoding took, and how many buffers were named."""

    picture: bytes
    renderer: str
    decode_s: float
    draw_s: float
    encode_s: float
    hits: int = 0


def render_payload(
    body: bytes,
    header_renderer: Optional[str] = None,
    default_renderer: Optional[str] = None,
    limits: Limits = DEFAULT_LIMITS,
) -> bytes:
    """The picture that a request asks for.

    Args:
        body: a scene as JSON or packed, see `codec`.
        header_renderer: the renderer that the request's header names, or None.
        default_renderer: who draws where neither header nor body names one; None: see `settings.default_renderer_name`.
        limits: how large a scene may be.
    Returns:
        PNG (ISO/IEC 15948), RGB, of exactly the canvas's size.
    Raises:
        MalformedBody, InvalidScene, LimitExceeded, UnsupportedTransform, RendererUnavailable: see `errors`.
    """
    return render_timed(body, header_renderer, default_renderer, limits).picture


def render_timed(
    body: bytes,
    header_renderer: Optional[str],
    default_renderer: Optional[str],
    limits: Limits,
    only: Optional[str] = None,
    instead_of: Optional[str] = None,
    store: Given = None,
) -> Rendered:
    """What `render_payload` does, with what it took.

    Args:
        only: the one renderer that draws in this process; None: all do.
        instead_of: the renderer in whose place `only` draws too.
        store: where the buffers are kept that the scene may name.
    Raises:
        OtherRenderer: the scene is for another renderer; its buffers are still undecoded then.
        MissingBuffers: it names buffers that are not kept.
    """
    began = time.perf_counter()
    document = read_document(body, limits)
    header = None
    if header_renderer is not None:
        header = check_renderer_name(header_renderer, f"header {RENDERER_HEADER}")
        if document.renderer_name not in (None, header):
            raise InvalidScene(
                "renderer_name",
                f"{document.renderer_name!r}, but the header {RENDERER_HEADER} says {header_renderer!r}",
            )
    renderer = header or document.renderer_name or default_renderer or default_renderer_name()
    if only is not None and renderer == instead_of:
        renderer = only
    if only not in (None, renderer):
        raise OtherRenderer(renderer)
    kept = scene_store(store, len(body))
    scene = replace(decode_document(document, limits, kept), renderer_name=renderer)
    decoded = time.perf_counter()
    pixels = draw_scene(scene, limits)
    drawn = time.perf_counter()
    picture = encode_png(pixels, holds_image(scene))
    hits = 0 if kept is None else kept.hits
    return Rendered(picture, renderer, decoded - began, drawn - decoded, time.perf_counter() - drawn, hits)


def render_scene(scene: Scene, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The picture of a scene, as `render_payload` gives it."""
    return encode_png(draw_scene(scene, limits), holds_image(scene))


def draw_scene(scene: Scene, limits: Limits) -> np.ndarray[Any, Any]:
    """The picture of a scene as (height, width, 3) uint8."""
    drawer = backend(scene.renderer_name or default_renderer_name())
    check_canvas(scene, limits)
    with allow_loading(limits.allow_load, limits.max_load_bytes):
        resolved = run_chains(scene)
    check_limits(resolved, limits)
    return drawer.render(resolved.canvas, prepare(resolved), limits.math_text)


def holds_image(scene: Scene) -> bool:
    """Whether a scene's picture is likely to be smooth, so that a filter pays."""
    return any(isinstance(visual, Image) for visual in scene.visuals)


def warm_up() -> None:
    """Load all that Matplotlib's first picture needs; without effect where it is not installed.

    Raises:
        RendererUnavailable: it cannot be loaded.
    """
    name = RENDERER_NAMES[0]
    reason = why_not(name)
    if reason:
        logger.info("not warmed up: %s", reason)
    else:
        render_scene(Scene(Canvas(1, 1), (), (), (), (), name))


def run_chains(scene: Scene) -> Scene:
    """The scene with every transform chain replaced by the buffer it yields, checked as any buffer is.

    Raises:
        InvalidScene: a chain fails, or yields what does not fit its field.
    """
    matrices = []
    for index, matrix in enumerate(scene.model_matrices):
        where = f"model_matrices[{index}]"
        values = {"model_matrix": _run(matrix, f"{where}.model_matrix")}
        matrices.append(ModelMatrix.check(values, where, wire=True)["model_matrix"] if is_chain(matrix) else matrix)
    visuals = tuple(_run_object(visual, f"visuals[{index}]") for index, visual in enumerate(scene.visuals))
    cameras = tuple(_run_object(camera, f"cameras[{index}]") for index, camera in enumerate(scene.cameras))
    return replace(scene, visuals=visuals, model_matrices=tuple(matrices), cameras=cameras)


def _run_object(item: Any, where: str) -> Any:
    values = {}
    changed = False
    for field in item.FIELDS:
        value = getattr(item, f"get_{field.name}")()
        values[field.name] = (
            _run_object(value, f"{where}.{field.key}")
            if isinstance(value, SceneObject)
            else _run(value, f"{where}.{field.key}")
        )
        changed = changed or values[field.name] is not value
    return item.from_values(values, item.get_uuid(), where) if changed else item


def _run(value: Any, where: str) -> Any:
    if not is_chain(value):
        return value
    try:
        return value.run()
    except InvalidScene as exc:
        raise exc.inside(where) from exc


def check_canvas(scene: Scene, limits: Limits) -> None:
    """Refuse a canvas over a limit.

    Raises:
        LimitExceeded: naming the place and the setting.
    """
    canvas = scene.canvas
    width, height = canvas.get_width(), canvas.get_height()
    limits.check("max_canvas_side", "canvas.width", width, "px")
    limits.check("max_canvas_side", "canvas.height", height, "px")
    limits.check("max_canvas_pixels", "canvas", width * height, "px in all")
    limits.check("max_dpi", "canvas.dpi", canvas.get_dpi(), "dpi")


def check_limits(scene: Scene, limits: Limits) -> None:
    """Refuse a scene over a limit, once its chains have run; the canvas aside.

    Raises:
        LimitExceeded: naming the place and the setting.
    """
    limits.check("max_visuals", "visuals", len(scene.visuals), "items")
    viewports = len({viewport.get_uuid() for viewport in scene.viewports})
    limits.check("max_viewports", "viewports", viewports, "different viewports")
    vertices = characters = 0
    text_pixels = 0.0
    for index, visual in enumerate(scene.visuals):
        where = f"visuals[{index}]"
        vertices += item_count(getattr(visual, f"get_{visual.position_field().name}")())
        if isinstance(visual, Pixels):
            vertices += listed_indices(visual.get_groups())
        limits.check("max_vertices", f"{where}.{visual.position_field().key}", vertices, "vertices so far")
        if isinstance(visual, Texts):
            strings, sizes = visual.get_strings(), visual.get_font_sizes().to_numpy()
            for number, (string, size) in enumerate(zip(strings, sizes.tolist())):
                limits.check("max_string_chars", f"{where}.texts[{number}]", len(string), "characters")
                limits.check("max_string_lines", f"{where}.texts[{number}]", string.count("\n") + 1, "lines")
                limits.check("max_font_size", f"{where}.font_sizes[{number}]", size, "pt")
                characters += len(string)
                text_pixels += len(string) * points_to_pixels(size, scene.canvas.get_dpi()) ** 2
            limits.check("max_text_chars", f"{where}.texts", characters, "characters so far")
            limits.check("max_text_pixels", f"{where}.font_sizes", round(text_pixels), "px so far")
