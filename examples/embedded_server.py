"""A program with a server inside: it counts what it draws, and draws for itself."""

import argparse

import numpy as np
from common.scripts import rainbow, save

from gsp_network import Buffer, Camera, Canvas, NetworkRenderer, Points, RenderServer, Viewport

parser = argparse.ArgumentParser()
parser.add_argument("--server", metavar="URL", help="draw on this server instead of the one inside")
elsewhere = parser.parse_args().server

sizes = []


def on_render(body: bytes, picture: bytes) -> None:
    """Called by the server for each picture, in the thread that serves it."""
    sizes.append((len(body), len(picture)))


count = 7
x = np.linspace(-0.8, 0.8, count)
faces = rainbow(count)
points = Points(
    np.column_stack([x, x**2 - 0.3, 0 * x]), np.full(count, 400.0), faces, faces // 2 + 127, np.full(count, 3.0)
)

with RenderServer(port=0, on_render=on_render) as server:
    print(f"serving on {server.url} for as long as this block runs")
    with NetworkRenderer(Canvas(320, 200), elsewhere or server.url) as renderer:
        save(
            renderer.render([Viewport(0, 0, 320, 200)], [points], [Buffer.identity()], [Camera()]),
            "embedded_server.png",
        )
    for asked, answered in sizes:
        print(f"a scene of {asked} bytes became a picture of {answered} bytes")
