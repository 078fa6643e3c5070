"""A frame by Datoviz without a network, for `datoviz.py`: a worker process loads it, which cannot load a main module."""

from __future__ import annotations

import time
from typing import cast

from gsp_network import decode_scene
from gsp_network.backends import backend, datoviz_backend
from gsp_network.backends.base import prepare
from gsp_network.png import encode_png
from gsp_network.rendering import holds_image


def drawn_beside(side: str, body: bytes) -> tuple[float, bytes]:
    """Milliseconds of a frame on the side "floor" or "in process", and the PNG."""
    scene = decode_scene(body)
    canvas, drawings = scene.canvas, prepare(scene)
    drawer = cast(datoviz_backend.DatovizBackend, backend("datoviz"))
    if side == "floor":
        parts = drawer.parts(canvas, drawings)
        began = time.perf_counter()
        pixels = drawer.frames.draw(canvas.get_width(), canvas.get_height(), parts)
    else:
        began = time.perf_counter()
        pixels = drawer.render(canvas, drawings)
    picture = encode_png(pixels, holds_image(scene))
    return 1000 * (time.perf_counter() - began), picture
