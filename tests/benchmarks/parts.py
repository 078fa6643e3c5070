"""What the parts of a frame cost: PNG, JSON with base64 both ways, HTTP; each beside what it is made of.

    python -m tests.benchmarks.parts [--seconds 3]

The sides of a line take turns in one run, and the figures are medians in milliseconds. "png": ours, Pillow at level 1 and at its
default, for pictures of 800 x 600; a star marks what is filtered. "encode" and "decode": a scene of so many bytes of buffers, the
same by json alone (its document with the base64 in it as text) and base64 alone by binascii; then ours in ms a MB. "transport": a
POST on a kept connection to a server in this process whose executor answers at once, with a picture of 20 kB. "import": of the
client in a fresh interpreter, and of numpy alone.
"""

from __future__ import annotations

import argparse
import binascii
import io
import json
import subprocess
import sys
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, Sequence

import numpy as np
from PIL import Image as PillowImage

from gsp_network import (
    Image,
    ImageInterpolation,
    Paths,
    Points,
    RenderServer,
    Texture,
    decode_scene,
    encode_scene,
)
from gsp_network.png import encode_png
from gsp_network.rendering import draw_scene, holds_image
from gsp_network.settings import DEFAULT_LIMITS
from gsp_network.transport import Transport, picture_of

from ..support import ROOT
from . import frame
from .timing import Side, Took, alternate, machine

MOST_ROUNDS = 30


def medians(sides: dict[str, Side], seconds: float) -> dict[str, float]:
    """Milliseconds of each side, called in turn for about so many seconds."""
    return alternate(sides, MOST_ROUNDS, seconds, warm=1)


def line(name: str, took: dict[str, float], more: str = "") -> None:
    """Print a row; its columns are headed by the sides' names where they change."""
    print(f"{name:24}" + "".join(f"{side:>14}{value:9.2f}" for side, value in took.items()) + more, flush=True)


def pictures() -> dict[str, tuple[np.ndarray, bool]]:
    """Pixels by name, and whether the scene holds an image."""
    rng = np.random.default_rng(1)
    scenes = {
        name: scene for name, scene in frame.scenes().items() if name in ("points 100", "points 10k", "pixels 100k")
    }
    n = 10_000
    colors = np.column_stack([rng.integers(0, 256, (n, 3)), np.full(n, 255)]).astype(np.uint8)
    places = np.column_stack([rng.uniform(-0.95, 0.95, (n, 2)), np.zeros(n)])
    scenes["paths"] = Paths(places, np.full(100, 100, np.uint32), colors, rng.uniform(0.5, 3.0, n), "BUTT", "MITER")
    waves = np.sin(np.arange(512)[:, None] / 40) * np.cos(np.arange(512) / 50)
    for name, noise in (("image", 0), ("image with noise", 4)):
        texels = np.full((512, 512, 4), 255, np.uint8)
        for band in range(3):
            texels[..., band] = np.clip(
                128 + (60 + 20 * band) * waves + rng.integers(-noise, noise + 1, (512, 512)), 0, 255
            )
        extent = [-0.8, 0.8, -0.8, 0.8]
        scenes[name] = Image(Texture(texels, 512, 512), np.zeros((1, 3)), extent, ImageInterpolation.LINEAR)
    found = {}
    for name, visual in scenes.items():
        scene = decode_scene(encode_scene(*whole(visual)))
        found[name] = draw_scene(scene, DEFAULT_LIMITS), holds_image(scene)
    return found


def whole(visual: Any) -> tuple[Any, ...]:
    """What encode_scene takes, of one visual."""
    return frame.canvas(), *frame.around(visual), "matplotlib"


def by_pillow(pixels: np.ndarray, **options: Any) -> bytes:
    """A picture as PNG by Pillow."""
    stream = io.BytesIO()
    PillowImage.fromarray(pixels).save(stream, "PNG", **options)
    return stream.getvalue()


def measure_png(seconds: float) -> None:
    """The rows "png"."""
    for name, (pixels, filtered) in pictures().items():
        sides: dict[str, Side] = {
            "ours": lambda pixels=pixels, filtered=filtered: encode_png(pixels, filtered),
            "Pillow L1": lambda pixels=pixels: by_pillow(pixels, compress_level=1),
            "Pillow": lambda pixels=pixels: by_pillow(pixels),
        }
        sizes = " / ".join(f"{len(call()) / 1000:.0f}" for call in sides.values())
        line(f"png {name}{'*' if filtered else ''}", medians(sides, seconds), f"  kB {sizes}")


def points_of(size: int) -> tuple[Any, ...]:
    """A scene whose buffers have about so many bytes."""
    rng, n = np.random.default_rng(2), max(size // 28, 1)
    colors = rng.integers(0, 256, (2, n, 4)).astype(np.uint8)
    return whole(Points(rng.uniform(-1, 1, (n, 3)), rng.uniform(1, 9, n), *colors, rng.uniform(0, 1, n)))


def codec_sides(size: int) -> dict[str, Side]:
    """Both ways of the codec, for a scene of about so many bytes of buffers."""
    scene = points_of(size)
    body = encode_scene(*scene)
    return {"encode": lambda: encode_scene(*scene), "decode": lambda: decode_scene(body)}


def measure_codec(seconds: float, sizes: tuple[int, ...]) -> None:
    """The rows "encode" and "decode"."""
    for size in sizes:
        ours = codec_sides(size)
        body = ours["encode"]()
        document = json.loads(body)
        raw = np.random.default_rng(3).bytes(size)
        text = binascii.b2a_base64(raw, newline=False)
        sides: dict[str, Side] = {
            "encode": ours["encode"],
            "json.dumps": lambda document=document: json.dumps(document, separators=(",", ":")).encode(),
            "b2a_base64": lambda raw=raw: binascii.b2a_base64(raw, newline=False),
            "decode": ours["decode"],
            "json.loads": lambda body=body: json.loads(body),
            "a2b_base64": lambda text=text: binascii.a2b_base64(text),
        }
        took = medians(sides, seconds)
        names = list(took)
        for chosen in (names[:3], names[3:]):
            rate = f"  {took[chosen[0]] / size * 1e6:.2f} ms/MB" if size >= 100_000 else ""
            line(f"{chosen[0]} {size / 1e6:g} MB", {name: took[name] for name in chosen}, rate)


class Instant(Executor):
    """Answers with a picture of 20 kB and draws nothing."""

    def __init__(self) -> None:
        noise = np.random.default_rng(4).integers(0, 256, (82, 82, 3)).astype(np.uint8)
        self.picture = encode_png(noise)

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result((self.picture, "matplotlib", 0.0, 0.0, 0.0, 0))
        return future


def post(transport: Transport, body: bytes) -> bytes:
    """The picture that a body is answered with."""
    return picture_of(transport.post("/render", body, frame.JSON), transport.base_url)


def transport_ms(seconds: float, sizes: Sequence[int]) -> dict[int, float]:
    """Milliseconds of a POST, by the bytes of its body."""
    took: dict[int, float] = {}
    with RenderServer(port=0, executor=Instant(), log_level="error") as server:
        transport = Transport(server.url)
        for size in sizes:  # not in turn: a large body leaves the caches cold for a small one
            sides = {"post": partial(post, transport, b"x" * size)}
            took[size] = medians(sides, seconds / len(sizes))["post"]
        transport.close()
    return took


def import_ms(rounds: int) -> dict[str, float]:
    """Milliseconds of importing the client, and numpy alone, in fresh interpreters."""
    codes = {"client": "from gsp_network import NetworkRenderer", "numpy": "import numpy"}

    def imported(code: str) -> Took:
        program = f"import time; began = time.perf_counter(); {code}; print(time.perf_counter() - began)"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=ROOT, check=True, timeout=60)
        return Took(1000 * float(done.stdout))

    return alternate({name: partial(imported, code) for name, code in codes.items()}, rounds, warm=0)


def main(argv: Any = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="for a line, about (default 3)")
    parser.add_argument("--small", action="store_true", help="no scene above 1 MB, and one import")
    args = parser.parse_args(argv)
    sizes = (1000, 1_000_000) if args.small else (1000, 1_000_000, 40_000_000)
    print(f"{machine('numpy', 'Pillow')}; ms")
    measure_png(args.seconds)
    measure_codec(args.seconds, sizes)
    line("transport", {f"{size / 1e6:g} MB": took for size, took in transport_ms(args.seconds, sizes).items()})
    line("import", import_ms(1 if args.small else 5))


if __name__ == "__main__":
    main()
