"""An orbit around ten thousand points, in a window; with --video FILE as a video, which needs no display."""

import numpy as np
from common.cameras import moved, perspective, turned
from common.scripts import parse, rainbow, server_url

from gsp_network import AnimatorNetwork, Camera, Canvas, NetworkRenderer, Points, Viewport, VisualBase

SECONDS_A_TURN = 4.0

count = 10_000
rng = np.random.default_rng(3)
around, along = np.sort(rng.uniform(0, 2 * np.pi, count)), rng.uniform(0, 2 * np.pi, count)
ring = 1.0 + 0.35 * np.cos(along + 2 * around)
places = np.column_stack([ring * np.cos(around), 0.35 * np.sin(along + 2 * around), ring * np.sin(around)])
colors, clear = rainbow(count), np.zeros((count, 4), np.uint8)

arguments = parse(video=True)
width, height = arguments.width, arguments.width * 3 // 4
sizes = np.full(count, 4.0 * (width / 200) ** 2)
points = Points(places, sizes, colors, clear, np.zeros(count))

canvas, viewport = Canvas(width, height), Viewport(0, 0, width, height)
view = moved(0, 0, -4) @ turned(0.5, 0.0)
camera = Camera(view, perspective(np.radians(40), width / height, 0.1, 100.0))
models = [np.eye(4)]
angle = 0.0

with server_url(arguments) as url, NetworkRenderer(canvas, url) as renderer:
    animator = AnimatorNetwork(renderer, fps=12.5, video_duration=SECONDS_A_TURN, video_path=arguments.video)

    @animator.event_listener
    def turn(seconds: float) -> list[VisualBase]:
        global angle
        angle += seconds * 2 * np.pi / SECONDS_A_TURN
        models[0] = turned(0.0, angle)
        order = np.argsort(places @ (view @ models[0])[2, :3])  # what comes later lies on top: the nearest
        points.set_attributes(positions=places[order], face_colors=colors[order])
        return [points]

    animator.on_video_saved.subscribe(lambda: print(f"wrote {arguments.video}"))
    animator.start([viewport], [points], models, [camera])
