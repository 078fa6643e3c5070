"""Which server draws, and where the picture goes."""

from __future__ import annotations

import argparse
import contextlib
import pathlib
from typing import Iterator, Optional

import numpy as np

from gsp_network import Buffer, Camera, Canvas, NetworkRenderer, RenderServer, Viewport, VisualBase

OUTPUT = pathlib.Path(__file__).resolve().parent.parent / "output"


def parse(video: bool = False) -> argparse.Namespace:
    """The command line: --server URL, and for a video --video FILE and --width PX."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", metavar="URL", help="draw on this server (default: one inside this script)")
    if video:
        parser.add_argument("--video", metavar="FILE", help="save a video, without a window: .mp4, .gif, .webp, .apng")
        parser.add_argument("--width", type=int, default=640, metavar="PX", help="width of the picture (default 640)")
    return parser.parse_args()


@contextlib.contextmanager
def server_url(arguments: Optional[argparse.Namespace] = None) -> Iterator[str]:
    """The server named by --server URL, else one inside this script for as long as the block runs."""
    arguments = arguments or parse()
    if arguments.server:
        yield arguments.server
    else:
        workers = 2 if getattr(arguments, "video", None) else 0  # processes draw a video's frames side by side
        with RenderServer(port=0, workers=workers) as server:
            yield server.url


def save(picture: bytes, name: str, folder: pathlib.Path = OUTPUT) -> None:
    """Write a picture and say so."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(picture)
    print(f"wrote {folder / name}")


def draw_one(visual: VisualBase, name: str) -> None:
    """Draw one visual on a canvas of its own, in its own coordinates, and save the picture."""
    canvas = Canvas(400, 400)
    with server_url() as url, NetworkRenderer(canvas, url) as renderer:
        save(renderer.render([Viewport(0, 0, 400, 400)], [visual], [Buffer.identity()], [Camera()]), name)


def rainbow(count: int, alpha: int = 255) -> np.ndarray:
    """(count, 4) uint8: colours once around the colour wheel."""
    phase = np.linspace(0.0, 2 * np.pi, count, endpoint=False)[:, np.newaxis] + [0.0, 4.19, 2.09]
    return np.column_stack([127.5 + 110 * np.cos(phase), np.full(count, alpha)]).astype(np.uint8)
