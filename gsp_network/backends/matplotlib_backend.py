"""Draws scenes with Matplotlib's Agg renderer, on a bare figure: no pyplot, no Axes, artists for texts and images alone.

GSP's words in Matplotlib's: points, markers -> `shapes`; segments, paths -> `lines`; texts -> Text, by `texts`;
image -> BboxImage, by `images`. A canvas is a `Sheet`, a Figure and a RendererAgg of exactly that size, kept for the next frame,
which begins white. Bitmaps of texts and images are kept by all that they were made of.

Points by the hundred, and all pixels, are drawn onto its buffer without artists: see `rasterize` and `dots`.

Agg draws in px with the origin at the bottom left, as `Drawing.pixels` has them, so that artists need no transform.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from functools import cache
from typing import Any, Callable, Sequence

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D, Bbox, IdentityTransform

from ..errors import InvalidScene
from ..scene.objects import Canvas, Viewport
from ..scene.visuals import CapStyle, ImageInterpolation, JoinStyle, MarkerShape
from .base import (
    FARTHEST,
    LONGEST,
    Backend,
    Drawing,
    Lines,
    image_corners,
    path_lines,
    segment_lines,
)
from .dots import draw_dots
from .images import SceneImage
from .kept import Kept
from .lines import draw_lines
from .rasterize import draw_discs
from .shapes import Shapes, draw_shapes
from .texts import Look, Writer, known_family, program_settings

CAPS = {CapStyle.BUTT: "butt", CapStyle.PROJECTING: "projecting", CapStyle.ROUND: "round"}
JOINS = {JoinStyle.MITER: "miter", JoinStyle.BEVEL: "bevel", JoinStyle.ROUND: "round"}
INTERPOLATIONS = {ImageInterpolation.LINEAR: "bilinear", ImageInterpolation.NEAREST: "nearest"}

# For canvases in turn, as a figure and its preview; a sheet holds 4 bytes a pixel: 64 MiB in all.
KEPT_SHEETS, KEPT_PIXELS = 4, 2**24

drawing_lock = threading.Lock()
"""Held while anything is drawn with Matplotlib, which is not made for threads."""

bitmaps = Kept(2**26)
"""What texts and images came to, on whatever canvas; 64 MiB."""


class Sheet:
    """One canvas's figure and pixel buffer.

    Attributes:
        figure: gives the artists their dpi; it is never drawn itself.
        renderer: Agg on a buffer of exactly the canvas's size.
        pixels: that buffer, (height, width, 4) uint8, first row on top.
        covering_pt: the width of a pen that covers the canvas from any point near it.
        math_text: draw formulas in strings.
        size: width and height in px, dpi.
        writer: draws strings.
    """

    def __init__(self, width: int, height: int, dpi: float) -> None:
        self.figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi)
        self.renderer = RendererAgg(width, height, dpi)
        self.pixels: np.ndarray[Any, Any] = np.asarray(self.renderer.buffer_rgba())
        self.covering_pt = 4 * float(np.hypot(width, height)) * 72 / dpi
        self.math_text = False
        self.size = (width, height, dpi)
        self.writer = Writer(self.renderer, bitmaps)
        for artist in self.writer.artists:
            self.adopt(artist)

    def draw(self, drawings: Sequence[Drawing]) -> np.ndarray[Any, Any]:
        """Draw a frame on white; returns a copy of it, (height, width, 3)."""
        self.pixels[:] = 255
        for drawing in drawings:
            DRAW[drawing.kind](drawing, self)
        picture = np.empty((*self.pixels.shape[:2], 3), np.uint8)
        for channel in range(3):  # a quarter of the time that a copy of [..., :3] takes
            picture[..., channel] = self.pixels[..., channel]
        return picture

    def adopt(self, artist: Artist) -> None:
        """Give a new artist its figure, px as its units, and what it would otherwise take from the program's rcParams."""
        if artist.figure is None:
            artist.set_figure(self.figure)
            artist.set_transform(IdentityTransform())
            artist.set_sketch_params(None)
            artist.set_path_effects([])

    def put(self, artist: Artist, drawing: Drawing, last_px: int = 0) -> None:
        """Draw one artist, clipped to the drawing's viewport.

        `last_px` is 1 for images: Agg counts the clip box's right column and lower row in when it copies texels.
        """
        self.adopt(artist)
        artist.set_clip_box(self.clip_box(drawing, last_px))
        artist.draw(self.renderer)

    def clip_box(self, drawing: Drawing, last_px: int = 0) -> Bbox:
        """The drawing's viewport in px; `last_px` as for `put`."""
        x, y, width, height = (getattr(drawing.viewport, f"get_{side}")() for side in ("x", "y", "width", "height"))
        return Bbox.from_bounds(x, y + last_px, width - last_px, height - last_px)


class MatplotlibBackend(Backend):
    """Draws with Agg; safe to call from several threads, one frame at a time."""

    def __init__(self) -> None:
        self._sheets: OrderedDict[tuple[int, int, float], Sheet] = OrderedDict()

    def render(self, canvas: Canvas, drawings: Sequence[Drawing], math_text: bool = False) -> np.ndarray[Any, Any]:
        """See `Backend.render`."""
        size = (canvas.get_width(), canvas.get_height(), canvas.get_dpi())
        with drawing_lock:
            sheet = self._sheets.pop(size) if size in self._sheets else Sheet(*size)
            sheet.math_text = math_text
            pixels = sheet.draw(drawings)
            self._sheets[size] = sheet  # only a sheet whose frame succeeded is kept
            while (
                len(self._sheets) > KEPT_SHEETS
                or sum(width * height for width, height, _ in self._sheets) > KEPT_PIXELS
            ):
                self._sheets.popitem(last=False)
        return pixels


# ---------------------------------------------------------------- one function a visual


def _colors(rgba8: np.ndarray[Any, Any]) -> Any:
    return rgba8 / 255.0


def _draw_shapes(outline: Path, drawing: Drawing, sheet: Sheet) -> None:
    """Points and markers: `outline`, of side 1 around the origin, at every visible vertex."""
    fields, shown = drawing.fields, drawing.visible
    sizes = np.minimum(fields["sizes"][shown], LONGEST**2)
    shapes = Shapes(
        # From 1e14 px on Agg takes seconds to flatten one wide outline; no shape reaches from FARTHEST to a canvas.
        np.clip(drawing.pixels[shown], -FARTHEST, FARTHEST),
        sizes,
        fields["face_colors"][shown],
        fields["edge_colors"][shown],
        # Beyond a pen that covers the canvas nothing changes in the picture, but at 1e6 pt Agg takes gigabytes for a small disc.
        np.minimum(fields["edge_widths"][shown], np.sqrt(sizes) + sheet.covering_pt),
    )
    draw_shapes(sheet.renderer, sheet.clip_box(drawing), outline, shapes)


def draw_points(drawing: Drawing, sheet: Sheet) -> None:
    """Discs whose diameter is sqrt(size) pt, as Matplotlib's scatter draws them."""
    disc = marker_shape(MarkerShape.disc)

    def cover(
        size: float, edge_width: float, centres: np.ndarray[Any, Any], width: int, height: int
    ) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        return _cover(replace(drawing, viewport=Viewport(0, 0, width, height)), size, edge_width, centres)

    def agg(some: Drawing) -> None:
        _draw_shapes(disc, some, sheet)

    if not draw_discs(sheet.pixels, drawing, cover, agg):
        _draw_shapes(disc, drawing, sheet)


def _cover(
    drawing: Drawing, size: float, edge_width: float, centres: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """See `Stamps.draw`; the drawing tells resolution and viewport."""
    width, height, planes = drawing.viewport.get_width(), drawing.viewport.get_height(), []
    # One disc alone Matplotlib would draw as a marker, which it snaps to whole pixels.
    places = np.append(centres * (1, -1) + (0, height), [[-FARTHEST, 0]], axis=0)
    count = len(places)
    for face, edge in ((255, 0), (0, 255)):
        fields = {
            "sizes": np.full(count, size),
            "edge_widths": np.full(count, edge_width if edge else 0.0),
            "face_colors": np.full((count, 4), face),
            "edge_colors": np.full((count, 4), edge),
        }
        alone = Sheet(width, height, drawing.dpi)
        alone.pixels[:] = 0
        shown = replace(drawing, fields=fields, pixels=places, visible=np.ones(count, bool))
        _draw_shapes(marker_shape(MarkerShape.disc), shown, alone)
        planes.append(alone.pixels[..., 3])
    return planes[0], planes[1]


def draw_markers(drawing: Drawing, sheet: Sheet) -> None:
    """As points, in other shapes."""
    if drawing.fields["marker_shape"] is MarkerShape.disc:
        draw_points(drawing, sheet)
    else:
        _draw_shapes(marker_shape(drawing.fields["marker_shape"]), drawing, sheet)


@cache
def marker_shape(shape: MarkerShape) -> Path:
    """A marker's outline in a square of side 1 around the origin."""
    if shape is MarkerShape.disc:
        return Path.unit_circle().transformed(Affine2D().scale(0.5))
    if shape is MarkerShape.square:
        return Path.unit_rectangle().transformed(Affine2D().translate(-0.5, -0.5))
    # The club is a glyph of the font that Matplotlib brings: its outline, centred, its longer side made 1.
    font = font_manager.FontProperties(fname=matplotlib.get_data_path() + "/fonts/ttf/DejaVuSans.ttf")
    glyph = TextPath((0, 0), "\N{BLACK CLUB SUIT}", prop=font)
    box = glyph.get_extents()
    return glyph.transformed(
        Affine2D().translate(-(box.x0 + box.x1) / 2, -(box.y0 + box.y1) / 2).scale(1 / max(box.width, box.height))
    )


def draw_pixels(drawing: Drawing, sheet: Sheet) -> None:
    """Dots of one pixel, blended onto the buffer in order, without an artist."""
    draw_dots(sheet.pixels, drawing)


def draw_segments(drawing: Drawing, sheet: Sheet) -> None:
    """One line a pair of vertices."""
    _draw_lines(segment_lines(drawing), JoinStyle.ROUND, drawing, sheet)


def draw_paths(drawing: Drawing, sheet: Sheet) -> None:
    """One line a run of pieces that look alike."""
    _draw_lines(path_lines(drawing), drawing.fields["join_style"], drawing, sheet)


def _draw_lines(found: Lines, join: JoinStyle, drawing: Drawing, sheet: Sheet) -> None:
    draw_lines(sheet.renderer, sheet.clip_box(drawing), found, CAPS[drawing.fields["cap_style"]], JOINS[join])


def draw_texts(drawing: Drawing, sheet: Sheet) -> None:
    """One string after the other, laid so that the anchor of the upright box around the rotated text lies at the vertex."""
    fields = drawing.fields
    family = known_family(fields["font_name"])
    clip = sheet.clip_box(drawing)
    rotations = np.degrees(fields["angles"], dtype=np.float64).tolist()
    colors = [tuple(color) for color in _colors(fields["colors"]).tolist()]
    columns = fields["font_sizes"].tolist(), rotations, fields["anchors"].tolist(), colors, drawing.pixels.tolist()
    program = program_settings()
    for index, (string, size, rotation, anchor, color, place) in enumerate(zip(fields["strings"], *columns)):
        # Below half a pixel FreeType has no glyph to give, and nothing would be seen.
        if not drawing.visible[index] or not string or size * drawing.dpi / 72 < 0.5:
            continue
        align = ("left", "center", "right")[round(anchor[0]) + 1]
        string = string.replace("\t", "    ")  # fonts have no glyph for it
        look = Look(string, family, size, rotation, align, sheet.math_text, program)
        try:
            laid = sheet.writer.lay(look)
            corner = tuple(at - side * (part + 1) / 2 for at, side, part in zip(place, laid.size, anchor))
            if _meets(corner, laid.size, clip):  # FreeType fails far off the canvas
                sheet.writer.write(laid, corner, color, clip)
        except (ValueError, RuntimeError) as exc:  # a formula that cannot be read, glyphs that FreeType cannot draw
            raise InvalidScene(f"{drawing.where}.texts[{index}]", "not a text that Matplotlib can draw") from exc


def _meets(corner: tuple[float, ...], size: tuple[float, ...], clip: Bbox) -> bool:
    """Whether a box in px, with a margin for what glyphs reach beyond it, has a part inside another."""
    margin = 0.5 * max(size)
    return all(
        at - margin <= high and at + side + margin >= low
        for at, side, low, high in zip(corner, size, *clip.get_points().tolist())
    )


def draw_image(drawing: Drawing, sheet: Sheet) -> None:
    """The texture in its rectangle, resampled; kept for a frame in which both are the same."""
    fields = drawing.fields
    left, right, bottom, top = fields["image_extent"]
    if not drawing.visible[0] or left == right or bottom == top:
        return
    texels, corners = fields["texture"], image_corners(drawing)
    artist: Any = SceneImage(Bbox.unit(), origin="upper", resample=False)
    artist.box = Bbox(corners)
    artist.set_data(texels)
    artist.set_interpolation(INTERPOLATIONS[fields["image_interpolation"]])
    key, way = (sheet.size, drawing.key), (corners.tolist(), fields["image_interpolation"])
    known = bitmaps.get(key)
    if known is not None and known[0] == way and np.array_equal(known[1], texels):
        artist.made = known[2]
    sheet.put(artist, drawing, last_px=1)
    if known is None or artist.made is not known[2]:
        size = texels.nbytes + (artist.made[0].nbytes if artist.made[0] is not None else 0)
        if size < bitmaps.most_bytes:
            bitmaps.put(key, (way, texels.copy(), artist.made), size)


DRAW: dict[str, Callable[[Drawing, Sheet], None]] = {
    "points": draw_points,
    "markers": draw_markers,
    "pixels": draw_pixels,
    "segments": draw_segments,
    "paths": draw_paths,
    "texts": draw_texts,
    "image": draw_image,
}
"""The draw function of each visual, by its name in `VISUALS`."""
