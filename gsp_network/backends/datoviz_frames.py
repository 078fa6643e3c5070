"""How a frame gets out of Datoviz: by its in-memory server, or by an App and a file.

Both are given a canvas's size and parts, in the order in which they are drawn. A part is drawn in a rectangle of the canvas,
a Datoviz panel, which clips it; its coordinates are px of the canvas, and z is 0, so that nothing is lost or sorted by depth.

The in-memory server of Datoviz 0.3 is undocumented. It keeps what it was given, and frees next to nothing: visuals are used
again, for the same key where they can be, and are given only the arrays that have changed.
"""

from __future__ import annotations

import ctypes
import logging
import os
import tempfile
from abc import ABC, abstractmethod
from typing import Any, Callable, Hashable, Optional, Sequence

import numpy as np

from ..errors import GspNetworkError
from ..folders import private_folder
from .datoviz_parts import Discs, Dots, Part, Picture, Triangles
from .tessellation import Array

os.environ.setdefault("DVZ_LOG_LEVEL", "4")  # errors; what it says of its buffers is nothing for a server's log
import datoviz as dvz

logger = logging.getLogger(__name__)

# What is never freed, roughly, in bytes: measured with 0.3.5, GPU and main memory together.
VISUAL_BYTES, FIGURE_BYTES, PANEL_BYTES = 2 * 2**20, 9 * 2**20, 25_000
MOST_BYTES = 2**30  # of it, before the process should be replaced
KEPT_LAYOUTS = 4  # canvases whose visuals stay where they are


class Frames(ABC):
    """What draws parts.

    Attributes:
        spent: the process has taken so much that it never frees that it should be replaced.
        retained: a second frame can be drawn.
    """

    spent = False
    retained = True

    @abstractmethod
    def draw(self, width: int, height: int, parts: Sequence[Part]) -> Array:
        """Draw parts on opaque white; returns (height, width, 3) uint8, the caller's own."""


class _Visual:
    """A Datoviz visual with what it was given last."""

    def __init__(self, batch: Any, kind: type) -> None:
        self.kind = kind
        self.key: Hashable = None
        self.c_visual = _MAKE[kind](batch)
        self._batch = batch
        self._counts: tuple[int, ...] = ()
        self._given: dict[str, Any] = {}
        self._holds: Optional[Part] = None
        self._texture: Any = None
        self._texture_bytes = 0  # of all that it had

    @property
    def bytes(self) -> int:
        """What it takes, roughly."""
        arrays = sum(value.nbytes for value in self._given.values() if isinstance(value, np.ndarray))
        return VISUAL_BYTES + self._texture_bytes + arrays

    def load(self, part: Part) -> None:
        """Give it a part, as far as that differs from what it has."""
        self.key = part.key
        held, self._holds = self._holds, None  # not known, should this fail
        if held is None or held.what is not part.what or held.rectangle != part.rectangle:
            _LOAD[self.kind](self, part.what, part.rectangle)
        self._holds = part

    def allocate(self, allocate: Callable[..., Any], *counts: int) -> None:
        """Have room for that many items."""
        if counts != self._counts:
            allocate(self.c_visual, *counts)
            self._counts = counts
            self._given = {name: value for name, value in self._given.items() if not isinstance(value, np.ndarray)}

    def give(self, name: str, upload: Callable[[Array], Any], array: Array) -> None:
        """Upload an array if it has changed."""
        before = self._given.pop(name, None)  # not known, should this fail
        if before is None or before.shape != array.shape or not np.array_equal(before, array):
            upload(array)
        self._given[name] = array

    def texture(self, texels: Array, smooth: bool) -> None:
        """Show these texels."""
        wanted = (texels.shape, smooth)
        before: Array = self._given.get("texels")
        if self._given.get("texture") != wanted:
            height, width = texels.shape[:2]
            way = dvz.FILTER_LINEAR if smooth else dvz.FILTER_NEAREST
            edge = dvz.SAMPLER_ADDRESS_MODE_CLAMP_TO_EDGE
            old = self._texture
            self._texture = dvz.texture_2D(self._batch, dvz.FORMAT_R8G8B8A8_UNORM, way, edge, width, height, texels, 0)
            dvz.image_texture(self.c_visual, self._texture)
            self._texture_bytes += texels.nbytes
            if old is not None:
                dvz.texture_destroy(old)
        elif not np.array_equal(before, texels):
            height, width = texels.shape[:2]
            dvz.texture_data(self._texture, 0, 0, 0, width, height, 1, texels.nbytes, texels)
        self._given.update(texture=wanted, texels=texels)


def _to_panel(positions: Array, rectangle: tuple[int, int, int, int]) -> Array:
    """px of the canvas as Datoviz counts in a panel: -1 to 1, y up."""
    x, y, width, height = rectangle
    placed = np.zeros((len(positions), 3), np.float32)
    placed[:, :2] = (positions - (x, y)) * (2.0 / width, 2.0 / height) - 1.0
    return placed


def _load_vertices(
    visual: _Visual, kind: str, positions: Array, colors: Array, rectangle: tuple[int, int, int, int]
) -> None:
    """What Datoviz's `basic`, `pixel` and `point` have in common, by functions whose names begin so."""
    give_positions, give_colors = getattr(dvz, f"{kind}_position"), getattr(dvz, f"{kind}_color")
    c_visual, placed = visual.c_visual, _to_panel(positions, rectangle)
    visual.give("positions", lambda array: give_positions(c_visual, 0, len(array), array, 0), placed)
    visual.give("colors", lambda array: give_colors(c_visual, 0, len(array), array, 0), colors)


def _load_triangles(visual: _Visual, what: Triangles, rectangle: tuple[int, int, int, int]) -> None:
    positions, colors, indices = what.mesh
    # An indexed visual draws as many indices as it has items.
    visual.allocate(dvz.visual_alloc, len(indices), len(positions), len(indices))
    _load_vertices(visual, "basic", positions, colors, rectangle)
    visual.give("indices", lambda array: dvz.visual_index(visual.c_visual, 0, len(array), array), indices)


def _load_dots(visual: _Visual, what: Dots, rectangle: tuple[int, int, int, int]) -> None:
    visual.allocate(dvz.pixel_alloc, len(what.positions))
    _load_vertices(visual, "pixel", what.positions, what.colors, rectangle)


def _load_discs(visual: _Visual, what: Discs, rectangle: tuple[int, int, int, int]) -> None:
    visual.allocate(dvz.point_alloc, len(what.positions))
    _load_vertices(visual, "point", what.positions, what.colors, rectangle)
    # Datoviz fills what lies more than half a pixel inside the circle and lets alpha fall outside of that as exp(-(1 + px)^2):
    # the diameter below covers as much in all as a disc with sharp edges of the diameter that was asked for.
    radii = what.diameters / 2
    drawn = 1 + 2 * (np.sqrt(np.maximum(radii**2 - 0.0696, 0)) - 0.1394)
    visual.give(
        "diameters",
        lambda array: dvz.point_size(visual.c_visual, 0, len(array), array, 0),
        np.maximum(drawn, 0).astype(np.float32),
    )


def _load_picture(visual: _Visual, what: Picture, rectangle: tuple[int, int, int, int]) -> None:
    c_visual = visual.c_visual
    visual.texture(what.texels, what.smooth)
    place = np.concatenate([_to_panel(np.array([what.corner]), rectangle)[0], what.size]).astype(np.float32)

    def put(array: Array) -> None:
        dvz.image_position(c_visual, 0, 1, np.ascontiguousarray(array[None, :3]), 0)
        dvz.image_size(c_visual, 0, 1, np.ascontiguousarray(array[None, 3:]), 0)

    visual.give("place", put, place)


def _make_picture(batch: Any) -> Any:
    visual = dvz.image(batch, dvz.IMAGE_FLAGS_SIZE_PIXELS | dvz.IMAGE_FLAGS_MODE_RGBA)
    dvz.image_alloc(visual, 1)
    dvz.image_anchor(visual, 0, 1, np.array([[-1, 1]], np.float32), 0)
    dvz.image_texcoords(visual, 0, 1, np.array([[0, 0, 1, 1]], np.float32), 0)
    return visual


def _make_dots(batch: Any) -> Any:
    visual = dvz.pixel(batch, 0)
    dvz.pixel_size(visual, 1.0)
    return visual


_MAKE: dict[type, Callable[[Any], Any]] = {
    Triangles: lambda batch: dvz.basic(batch, dvz.PRIMITIVE_TOPOLOGY_TRIANGLE_LIST, dvz.VISUAL_FLAGS_INDEXED),
    Dots: _make_dots,
    Discs: lambda batch: dvz.point(batch, 0),
    Picture: _make_picture,
}
_LOAD: dict[type, Callable[..., None]] = {
    Triangles: _load_triangles,
    Dots: _load_dots,
    Discs: _load_discs,
    Picture: _load_picture,
}


class _Layout:
    """A figure with its panels, and the visuals in them."""

    def __init__(self, c_figure: Any, width: int, height: int) -> None:
        self.c_figure, self.width, self.height = c_figure, width, height
        self.shape: Optional[tuple[Any, ...]] = ()  # None: unknown, after a frame that failed
        self.visuals: list[_Visual] = []
        self._panels: list[tuple[Any, _Visual]] = []

    def clear(self) -> list[_Visual]:
        """Take everything out; returns the visuals, which can be used again."""
        for panel, visual in self._panels:
            dvz.panel_remove(panel, visual.c_visual)
        for panel in {id(panel): panel for panel, _ in self._panels}.values():
            dvz.panel_destroy(panel)
        visuals, self.visuals, self._panels, self.shape = self.visuals, [], [], ()
        return visuals

    def fill(self, parts: Sequence[Part], visuals: Sequence[_Visual]) -> int:
        """Put visuals that hold these parts in; returns how many panels that took."""
        panel, last, count = None, None, 0
        for part, visual in zip(parts, visuals):
            if part.rectangle != last:
                x, y, width, height = last = part.rectangle
                panel = dvz.panel(self.c_figure, x, self.height - y - height, width, height)
                count += 1
            dvz.panel_visual(panel, visual.c_visual, 0)
            self._panels.append((panel, visual))
        self.visuals = list(visuals)
        self.shape = _shape(parts)
        return count


def _shape(parts: Sequence[Part]) -> tuple[Any, ...]:
    return tuple((part.key, part.rectangle, type(part.what)) for part in parts)


class MemoryFrames(Frames):
    """Datoviz's in-memory server, with one scene for the process, which is never taken down."""

    def __init__(self) -> None:
        self._server = dvz.server(dvz.APP_FLAGS_WHITE_BACKGROUND)
        if not self._server:
            raise GspNetworkError("Datoviz has made no server")
        self._scene = dvz.scene(None)
        self._batch = dvz.scene_batch(self._scene)
        self._grab = dvz.dvz["dvz_server_grab"]  # as an object of our own: Datoviz declares another type of result
        self._grab.argtypes = dvz.server_grab.argtypes
        self._grab.restype = ctypes.c_void_p
        self._layouts: dict[tuple[int, int], _Layout] = {}
        self._free: list[_Visual] = []
        self._unfreed = 0

    def draw(self, width: int, height: int, parts: Sequence[Part]) -> Array:
        """See `Frames.draw`."""
        layout = self._layouts.pop((width, height), None)
        if layout is None:
            layout = _Layout(dvz.figure(self._scene, width, height, 0), width, height)
            self._unfreed += FIGURE_BYTES + 8 * width * height
        self._layouts[width, height] = layout  # the one used last stands last
        try:
            picture = self._draw(layout, parts)
        except BaseException:
            layout.shape, self.spent = None, True  # who knows what Datoviz was given
            raise
        # What the frame itself needs, a fresh process would need too.
        besides = sum(visual.bytes for visual in self._every_visual()) - sum(visual.bytes for visual in layout.visuals)
        self.spent = self.spent or self._unfreed + besides > MOST_BYTES
        return picture

    def _draw(self, layout: _Layout, parts: Sequence[Part]) -> Array:
        if layout.shape != _shape(parts):
            self._free += layout.clear()
            for other in list(self._layouts.values())[:-KEPT_LAYOUTS]:
                self._free += other.clear()
            self._unfreed += PANEL_BYTES * layout.fill(parts, self._visuals(parts))
        else:
            for visual, part in zip(layout.visuals, parts):
                visual.load(part)
        dvz.figure_update(layout.c_figure)
        dvz.scene_render(self._scene, self._server)
        address = self._grab(self._server, dvz.figure_id(layout.c_figure), 0)
        if not address:
            raise GspNetworkError("Datoviz has given no picture")
        count = layout.width * layout.height * 3
        picture = np.ctypeslib.as_array((ctypes.c_uint8 * count).from_address(address))
        copied: Array = picture.reshape(layout.height, layout.width, 3).copy()
        return copied

    def _every_visual(self) -> list[_Visual]:
        return self._free + [visual for layout in self._layouts.values() for visual in layout.visuals]

    def _visuals(self, parts: Sequence[Part]) -> list[_Visual]:
        """A visual for each part, loaded: one that had its key last, else any that is free, else a new one."""
        by_key = {(visual.kind, visual.key): visual for visual in self._free}
        found: list[Optional[_Visual]] = [by_key.pop((type(part.what), part.key), None) for part in parts]
        taken = {id(visual) for visual in found if visual is not None}
        self._free = [visual for visual in self._free if id(visual) not in taken]
        made = []
        for part, visual in zip(parts, found):
            if visual is None:
                kind = type(part.what)
                free = next((index for index, other in enumerate(self._free) if other.kind is kind), None)
                visual = _Visual(self._batch, kind) if free is None else self._free.pop(free)
            visual.load(part)
            made.append(visual)
        return made


class FileFrames(Frames):
    """A fresh App a frame and a screenshot, as documented. The App of the last frame is taken down before the next.

    The file is one in memory that has no name, where the system has such; else a private one that is removed at once.
    """

    retained = False

    def __init__(self) -> None:
        self._app: Any = None

    def draw(self, width: int, height: int, parts: Sequence[Part]) -> Array:
        """See `Frames.draw`."""
        self._app = None  # this may crash: the last picture is with who asked for it
        app = dvz.App(offscreen=True, background="white")
        layout = _Layout(dvz.figure(app.c_scene, width, height, 0), width, height)
        visuals = [_Visual(app.c_batch, type(part.what)) for part in parts]
        for visual, part in zip(visuals, parts):
            visual.load(part)
        layout.fill(parts, visuals)
        app.run(1)
        self._app = app
        self._layout = layout  # what Datoviz was given must outlive it
        return self._screenshot(app, dvz.figure_id(layout.c_figure), width, height)

    @staticmethod
    def _screenshot(app: Any, figure: Any, width: int, height: int) -> Array:
        from PIL import Image

        name = ""
        if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
            descriptor = os.memfd_create("gsp_network")
            path = f"/proc/self/fd/{descriptor}"
        else:
            descriptor, path = tempfile.mkstemp(suffix=".png", dir=private_folder())
            name = path
        try:
            dvz.app_screenshot(app.c_app, figure, path)
            with Image.open(path) as image:
                picture: Array = np.array(image.convert("RGB"))
        except OSError as exc:
            raise GspNetworkError(f"Datoviz has written no picture: {exc}") from exc
        finally:
            os.close(descriptor)
            if name:
                os.unlink(name)
        if picture.shape != (height, width, 3):
            raise GspNetworkError(f"Datoviz has drawn {picture.shape[1]} x {picture.shape[0]} px")
        return picture
