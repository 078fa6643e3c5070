"""A program that carries gsp_network as one file beside it: it serves, draws on its own server and writes picture.png.

``python -m gsp_network.tools.vendor -o examples/vendored/gsp_network.py`` makes it; beside it, numpy and Matplotlib are needed.
"""

import pathlib

import numpy as np

import gsp_network as gsp

here = pathlib.Path(__file__).parent
count = 200
turn = np.linspace(0, 6 * np.pi, count)
radius = np.linspace(0.05, 0.9, count)
spiral = gsp.Points(
    positions=np.column_stack([radius * np.cos(turn), radius * np.sin(turn), 0 * turn]),
    sizes=np.linspace(20, 300, count),  # pt²
    face_colors=(255 * np.column_stack([1 - radius, 0.5 + 0 * turn, radius, 1 + 0 * turn])).astype(np.uint8),
    edge_colors=np.full((count, 4), 255, np.uint8),
    edge_widths=np.full(count, 0.5),  # pt
)

with gsp.RenderServer(port=0, workers=1) as server, gsp.NetworkRenderer(gsp.Canvas(400, 400), server.url) as renderer:
    png = renderer.render([gsp.Viewport(0, 0, 400, 400)], [spiral], [gsp.Buffer.identity()], [gsp.Camera()])
    (here / "picture.png").write_bytes(png)
    print(f"drawn by {server.url}, wrote {here / 'picture.png'}")
