"""A client: three frames of one changing visual over one kept connection, and what an error looks like."""

import numpy as np
from common.scripts import rainbow, save, server_url

from gsp_network import Buffer, Camera, Canvas, NetworkRenderer, Points, ServerError, Viewport

count = 24
angle = np.arange(count) * 2 * np.pi / count
circle = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(count)])
black = np.tile(np.array([[0, 0, 0, 255]], np.uint8), (count, 1))
points = Points(circle, np.full(count, 120.0), rainbow(count), black, np.full(count, 1.0))
scene = [Viewport(0, 0, 300, 300)], [points], [Buffer.identity()], [Camera()]

with server_url() as url:
    with NetworkRenderer(Canvas(300, 300), url) as renderer:
        for frame, radius in enumerate((0.9, 0.6, 0.3)):
            points.set_positions(circle * radius)
            save(renderer.render(*scene), f"network_client_{frame}.png")
    with NetworkRenderer(Canvas(300_000, 300), url) as renderer:
        try:
            renderer.render(*scene)
        except ServerError as error:
            print(f"the server refused, as it should: {error.status}, {error.where}, {error.limit}")
