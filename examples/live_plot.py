"""A live plot: a signal that comes in and scrolls by, with its last value as text."""

import numpy as np
from common.scripts import parse, server_url

from gsp_network import (
    AnimatorNetwork,
    Buffer,
    Camera,
    Canvas,
    CapStyle,
    JoinStyle,
    NetworkRenderer,
    Paths,
    Segments,
    Texts,
    Viewport,
    VisualBase,
)

SHOWN_SECONDS, SAMPLES = 4.0, 400

times = np.linspace(-SHOWN_SECONDS, 0.0, SAMPLES)
blue = np.tile(np.array([[30, 90, 200, 255]], np.uint8), (SAMPLES, 1))
grey = np.tile(np.array([[200, 200, 205, 255]], np.uint8), (5, 1))


def signal(at: np.ndarray) -> np.ndarray:
    """What a sensor would measure."""
    return 0.5 * np.sin(2.1 * at) + 0.2 * np.sin(9.7 * at) * np.cos(0.6 * at)


def line(now: float) -> np.ndarray:
    """The signal of the last seconds, over the whole viewport."""
    return np.column_stack([2 * times / SHOWN_SECONDS + 1, signal(now + times), np.zeros(SAMPLES)])


levels = np.linspace(-0.8, 0.8, 5)
grid = Segments(
    np.array([[(-1, level, 0), (1, level, 0)] for level in levels]).reshape(-1, 3), np.full(5, 0.8), CapStyle.BUTT, grey
)
plot = Paths(line(0.0), [SAMPLES], blue, np.full(SAMPLES, 1.5), CapStyle.ROUND, JoinStyle.ROUND)
black = np.array([[0, 0, 0, 255]], np.uint8)
label = Texts(np.array([[-0.97, 0.92, 0.0]]), ["0.00"], black, [12.0], [[-1, 1]], [0.0], "DejaVu Sans")

canvas, viewport = Canvas(600, 240), Viewport(0, 0, 600, 240)
visuals = [grid, plot, label]
now = 0.0

with server_url(parse()) as url, NetworkRenderer(canvas, url) as renderer:
    animator = AnimatorNetwork(renderer, fps=30)

    @animator.event_listener
    def measure(seconds: float) -> list[VisualBase]:
        global now
        now += seconds
        plot.set_positions(line(now))
        label.set_strings([f"{signal(np.array([now]))[0]:+.2f}"])
        return [plot, label]

    animator.start([viewport] * 3, visuals, [Buffer.identity()] * 3, [Camera()] * 3)
