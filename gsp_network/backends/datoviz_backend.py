"""Draws scenes with Datoviz 0.3, on the GPU that Vulkan has.

GSP's words in Datoviz's: what has an outline (points, markers, segments, paths) becomes triangles with soft edges, since
Datoviz's own visuals have one edge colour, one cap or one join for all, and no miter; many plain discs become its `point`
visual, pixels its `pixel` visual, images its `image` visual. Texts are laid out and rasterised by Matplotlib, as the other
backend does it, and put on the canvas as an image: Datoviz's atlas knows few characters and one font.

Datoviz ends its process where others raise: no driver, a canvas beyond the device, too little memory. What can be known
beforehand is looked at here; for the rest, draw in a process that may end.
"""

from __future__ import annotations

import threading
from typing import Any, Callable, Optional, Sequence

import numpy as np

from ..errors import DeviceLimitExceeded, RendererUnavailable
from ..scene.objects import Canvas, Viewport
from .base import Backend, Drawing
from .datoviz_device import find_device
from .datoviz_frames import FileFrames, Frames, MemoryFrames
from .datoviz_lines import draw_paths, draw_segments
from .datoviz_parts import Part, Picture, Surroundings, Triangles, What
from .datoviz_pictures import draw_image, draw_texts
from .datoviz_shapes import draw_markers, draw_pixels, draw_points
from .kept import Kept
from .tessellation import Mesh, join

KEPT_BYTES = 2**27  # of what drawings came to, and what they were
MOST_VISUALS = 128  # beyond that, triangles that follow each other share one: each visual takes 2 MB
HEAP = "memoryHeapSize"

DRAW: dict[str, Callable[[Drawing, Surroundings], list[What]]] = {
    "points": draw_points,
    "markers": draw_markers,
    "pixels": draw_pixels,
    "segments": draw_segments,
    "paths": draw_paths,
    "texts": draw_texts,
    "image": draw_image,
}
"""The draw function of each visual, by its name in `VISUALS`: what is drawn of it, in order."""


class DatovizBackend(Backend):
    """Draws with Datoviz; safe to call from several threads, one frame at a time.

    Frames leave Datoviz as `use_memory` or `use_files` has said, else by file.

    Attributes:
        frames: what draws.
    Raises:
        RendererUnavailable: there is no GPU to draw with.
    """

    def __init__(self) -> None:
        device = find_device()
        if device.reason:
            raise RendererUnavailable(f"datoviz: {device.reason}")
        self._limits = device.limits
        self.frames = _way()
        self._made = Kept(KEPT_BYTES)
        self._lock = threading.Lock()

    def render(self, canvas: Canvas, drawings: Sequence[Drawing], math_text: bool = False) -> np.ndarray[Any, Any]:
        """See `Backend.render`.

        Raises:
            DeviceLimitExceeded: beyond what the device can do; `limit` is Vulkan's name for it.
        """
        width, height = canvas.get_width(), canvas.get_height()
        with self._lock:
            parts = self.parts(canvas, drawings, math_text)
            try:
                picture: np.ndarray[Any, Any] = self.frames.draw(width, height, parts)
            finally:
                self.spent = self.frames.spent
        return picture

    def parts(self, canvas: Canvas, drawings: Sequence[Drawing], math_text: bool = False) -> list[Part]:
        """What `frames` is to draw; see `render`."""
        width, height = canvas.get_width(), canvas.get_height()
        most = self._limits["maxImageDimension2D"]
        for name, side in (("width", width), ("height", height)):
            _check_device(f"canvas.{name}", side, most, "px", "maxImageDimension2D")
        parts: list[Part] = []
        taken = 0
        for drawing in drawings:
            rectangle = _inside(drawing.viewport, width, height)
            if rectangle is None:
                continue
            made = self._what(drawing, Surroundings(canvas, rectangle, math_text))
            parts += [Part((drawing.key, number), rectangle, what) for number, what in enumerate(made)]
            taken += sum(map(self._checked_bytes, made))
            # On its way to the GPU everything is there twice.
            _check_device(drawing.where, 2 * taken, self._limits["memoryHeapSize"], "bytes for the GPU", HEAP)
        return _fewer(parts)

    def _what(self, drawing: Drawing, around: Surroundings) -> list[What]:
        """What is drawn of a drawing: the same objects as last time where nothing of it has changed."""
        content = _content(drawing, around)
        if drawing.kind == "texts":
            from .texts import program_settings  # it loads Matplotlib, as they will

            content = (*content, program_settings())
        # Texts are small, take long, and come back, be it as other objects.
        key = content if drawing.kind == "texts" else drawing.key
        kept = self._made.get(key)
        if kept is not None and kept[0] == content:
            found: list[What] = kept[1]
            return found
        made = DRAW[drawing.kind](drawing, around)
        size = sum(map(_bytes, made)) + sum(map(_size, content))
        self._made.put(key, (content, made), size)
        return made

    def _checked_bytes(self, what: What) -> int:
        """What it takes on the GPU."""
        if isinstance(what, Picture):
            most, texels = self._limits["maxImageDimension2D"], max(what.texels.shape)
            _check_device("data", texels, most, "texels of an image in a row", "maxImageDimension2D")
        return _bytes(what)


def _bytes(what: What) -> int:
    arrays = what.mesh if isinstance(what, Triangles) else what
    return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


def _content(drawing: Drawing, around: Surroundings) -> tuple[Any, ...]:
    """All that makes up what is drawn of a drawing, in copies: its arrays may be somebody's who changes them."""
    canvas, viewport = around.canvas, drawing.viewport
    values = [*drawing.fields.values(), drawing.pixels, drawing.visible]
    places = [viewport.get_x(), viewport.get_y(), viewport.get_width(), viewport.get_height()]
    return (
        drawing.kind,
        *map(_copied, values),
        *places,
        canvas.get_width(),
        canvas.get_height(),
        canvas.get_dpi(),
        around.math_text,
        *[value.shape for value in values if isinstance(value, np.ndarray)],
    )


def _size(value: Any) -> int:
    """Bytes of one value of a content, about."""
    if isinstance(value, tuple):
        return sum(map(_size, value))
    return 4 * len(value) if isinstance(value, str) else len(value) if isinstance(value, bytes) else 8


def _copied(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, list):
        return tuple(map(tuple, value)) if value and isinstance(value[0], list) else tuple(value)
    return value


_way: Callable[[], Frames] = FileFrames


def use_memory() -> None:
    """Have this process's frames leave Datoviz by its in-memory server, and draw a first one; for a worker's start."""
    _use(MemoryFrames)


def use_files() -> None:
    """Have this process's frames leave Datoviz as files, which works for one frame or a few; for a worker's start."""
    _use(FileFrames)


def _use(way: Callable[[], Frames]) -> None:
    global _way
    _way = way
    from PIL import Image  # noqa: F401 - the first picture will need it

    from . import backend

    drawer = backend("datoviz")
    if way is MemoryFrames:
        drawer.render(Canvas(16, 16), [])


def _check_device(where: str, found: int, most: int, unit: str, name: str) -> None:
    if found > most:
        raise DeviceLimitExceeded(where, f"{found} {unit}, expected at most {most}", name)


def _inside(viewport: Viewport, width: int, height: int) -> Optional[tuple[int, int, int, int]]:
    """The part of a viewport that lies on the canvas: x, y, width, height."""
    left, bottom = max(viewport.get_x(), 0), max(viewport.get_y(), 0)
    right = min(viewport.get_x() + viewport.get_width(), width)
    top = min(viewport.get_y() + viewport.get_height(), height)
    return (left, bottom, right - left, top - bottom) if right > left and top > bottom else None


def _fewer(parts: list[Part]) -> list[Part]:
    """Where there are very many parts, triangles that follow each other in one rectangle as one part."""
    if len(parts) <= MOST_VISUALS:
        return parts
    merged: list[Part] = []
    meshes: list[Mesh] = []
    for part, following in zip(parts, [*parts[1:], None]):
        if not isinstance(part.what, Triangles):
            merged.append(part)
            continue
        meshes.append(part.what.mesh)
        if following is None or not isinstance(following.what, Triangles) or following.rectangle != part.rectangle:
            merged.append(Part(part.key, part.rectangle, Triangles(join(meshes))))
            meshes = []
    return merged
