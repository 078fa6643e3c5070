"""NetworkRenderer against a real server in this process: pictures, the figure that shows them, and errors that come through."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
import unittest
from typing import Any, Optional
from unittest import mock

os.environ["MPLBACKEND"] = "Agg"  # before pyplot is imported

import matplotlib
import matplotlib.image
import numpy as np

from gsp_network import (
    Camera,
    Canvas,
    GspNetworkError,
    Image,
    ImageInterpolation,
    InvalidScene,
    NetworkRenderer,
    Points,
    RenderServer,
    ServerError,
    ServerUnreachable,
    Texture,
    Viewport,
)
from gsp_network.commands import calling
from gsp_network.png import SIGNATURE, png_fault
from gsp_network.server import current_request

WAIT_SECONDS = 60.0
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
WHITE = (255, 255, 255)

IMPORT_CHECK = """
import sys
import numpy as np
from gsp_network import Camera, Canvas, NetworkRenderer, Points, Viewport

viewport = Viewport(0, 0, 20, 10)
rgba8 = np.array([[255, 0, 0, 255]], np.uint8)
points = Points(np.zeros((1, 3)), np.array([9.0]), rgba8, rgba8, np.array([0.0]))
with NetworkRenderer(Canvas(20, 10, 72.0), sys.argv[1]) as renderer:
    png = renderer.render([viewport], [points], [np.eye(4)], [Camera()])
    renderer.show()
    renderer.clear()
print(png[:4], sorted({"matplotlib", "matplotlib.pyplot", "PIL", "datoviz"} & set(sys.modules)))
"""


def pixels_of(png: bytes) -> Any:
    """A PNG as (height, width, 3) uint8."""
    from matplotlib.image import imread

    return np.rint(imread(io.BytesIO(png), format="png")[..., :3] * 255).astype(np.uint8)


def drawn(figure: Any) -> Any:
    """A figure drawn by Agg, as (height, width, 3) uint8."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def point(color: tuple[int, ...], at: tuple[float, ...] = (0.0, 0.0, 0.0), size: float = 100.0) -> Points:
    """One disc without an edge."""
    rgba8 = np.array([[*color, 255]], np.uint8)
    return Points(np.array([at]), np.array([size]), rgba8, rgba8, np.array([0.0]))


def scene_of(canvas: Canvas, *visuals: Any, matrix: Optional[Any] = None) -> tuple[Any, ...]:
    """What `render` takes: visuals that share a viewport of the whole canvas."""
    viewport, camera = Viewport(0, 0, canvas.get_width(), canvas.get_height()), Camera()
    matrix = np.eye(4) if matrix is None else matrix
    return [viewport] * len(visuals), list(visuals), [matrix] * len(visuals), [camera] * len(visuals)


class RendererCase(unittest.TestCase):
    def setUp(self) -> None:
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("GSP_") and not name.lower().endswith("_proxy")
        }
        patched = mock.patch.dict(os.environ, clean, clear=True)
        patched.start()
        self.addCleanup(patched.stop)
        self.addCleanup(self.check_figures)

    def check_figures(self) -> None:
        """No test leaves a figure behind."""
        pyplot = sys.modules.get("matplotlib.pyplot")
        figures = pyplot.get_fignums() if pyplot is not None else []
        if figures:
            pyplot.close("all")
        self.assertEqual(figures, [])

    def serve(self, **options: Any) -> RenderServer:
        server = RenderServer(port=0, **options).start()
        self.addCleanup(lambda: self.assertTrue(server.close(WAIT_SECONDS)))
        return server

    def connect(self, server: RenderServer, canvas: Optional[Canvas] = None, name: Any = None) -> NetworkRenderer:
        renderer = NetworkRenderer(canvas or Canvas(40, 30, 72.0), server.url, name, timeout=30.0)
        self.addCleanup(renderer.close)
        return renderer

    def draw(self, renderer: NetworkRenderer, color: tuple[int, ...] = RED) -> bytes:
        return renderer.render(*scene_of(renderer.get_canvas(), point(color)))


class Rendering(RendererCase):
    def test_in_three_steps(self) -> None:
        """What `render` does in one can be done in three: encode, which tells on_frame, request, and display."""
        canvas = Canvas(30, 20)
        renderer, scene = self.connect(self.serve(), canvas), scene_of(canvas, point(RED))
        told: list[bytes] = []
        renderer.on_frame.subscribe(told.append)
        body = renderer.encode(*scene)
        picture = renderer.request(body)
        self.assertIsNone(renderer._repr_png_())
        renderer.display(picture)
        self.assertEqual((renderer._repr_png_(), told), (picture, [body]))
        self.assertEqual(renderer.render(*scene), picture)
        self.assertEqual(told, [body, body])

    def test_picture(self) -> None:
        """`render` returns a PNG of the canvas's exact size, with a red point that is red at its centre."""
        server = self.serve()
        for width, height, dpi in ((64, 48, 96.0), (7, 97, 97.0), (199, 53, 49.5)):
            with self.subTest(width=width, height=height, dpi=dpi):
                canvas = Canvas(width, height, dpi)
                renderer = self.connect(server, canvas)
                png = renderer.render(*scene_of(canvas, point(RED, size=(5 * 72 / dpi) ** 2)))  # 5 px wide
                self.assertEqual(png_fault(png), "")
                pixels = pixels_of(png)
                self.assertEqual(pixels.shape, (height, width, 3))
                self.assertEqual(tuple(pixels[height // 2, width // 2]), RED)
                self.assertEqual(tuple(pixels[0, 0]), WHITE)

    def test_up(self) -> None:
        """A point above the middle lies in the picture's upper half."""
        renderer = self.connect(self.serve())
        visuals = point(RED, (0.0, 0.5, 0.0)), point(BLUE, (0.0, -0.5, 0.0))
        pixels = pixels_of(renderer.render(*scene_of(renderer.get_canvas(), *visuals)))
        self.assertEqual((tuple(pixels[7, 20]), tuple(pixels[22, 20])), (RED, BLUE))

    def test_model_matrix(self) -> None:
        """A numpy array (4, 4) serves as a model matrix."""
        renderer = self.connect(self.serve())
        matrix = np.eye(4)
        matrix[0, 3] = 0.5
        pixels = pixels_of(renderer.render(*scene_of(renderer.get_canvas(), point(RED), matrix=matrix)))
        self.assertEqual((tuple(pixels[15, 30]), tuple(pixels[15, 10])), (RED, WHITE))

    def test_empty_scene(self) -> None:
        """A scene without visuals is a white picture."""
        pixels = pixels_of(self.connect(self.serve()).render([], [], [], []))
        self.assertEqual(pixels.shape, (30, 40, 3))
        self.assertTrue((pixels == 255).all())

    def test_imports(self) -> None:
        """`render` alone, `show` under GSP_TEST and `clear` load neither Matplotlib nor Pillow."""
        server = self.serve()
        done = subprocess.run(
            [sys.executable, "-c", IMPORT_CHECK, server.url],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "GSP_TEST": "True", "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.assertEqual(done.stdout.strip(), f"{SIGNATURE[:4]!r} []", done.stderr)

    def test_connection(self) -> None:
        """Frames one after the other go over one connection."""
        clients = []
        server = self.serve(on_render=lambda body, png: clients.append(threading.current_thread()))
        renderer = self.connect(server)
        for color in (RED, GREEN, BLUE):
            self.assertEqual(tuple(pixels_of(self.draw(renderer, color))[15, 20]), color)
        self.assertEqual(len(clients), 3)
        self.assertEqual(len(set(clients)), 1)  # the server gives each connection a thread

    def test_server_restarted(self) -> None:
        """A renderer goes on after its server was stopped and started again at the same port."""
        with RenderServer(port=0) as server:
            renderer = self.connect(server)
            self.draw(renderer)
            port = server.port
        with mock.patch("gsp_network.transport.FIRST_BACKOFF_SECONDS", 0.001), self.assertRaises(ServerUnreachable):
            self.draw(renderer)
        with RenderServer(port=port):
            self.assertEqual(tuple(pixels_of(self.draw(renderer, GREEN))[15, 20]), GREEN)

    def test_notebook(self) -> None:
        """Notebooks show the last picture, and nothing before there is one."""
        renderer = self.connect(self.serve())
        self.assertIsNone(renderer._repr_png_())
        png = self.draw(renderer)
        self.assertEqual(renderer._repr_png_(), png)

    def test_canvas(self) -> None:
        """The canvas comes back as it was given."""
        canvas = Canvas(40, 30)
        renderer = NetworkRenderer(canvas, "http://127.0.0.1:5000")
        self.addCleanup(renderer.close)
        self.assertIs(renderer.get_canvas(), canvas)


class Payload(RendererCase):
    def test_payload(self) -> None:
        """`get_payload` is the document that `render` sends."""
        bodies: list[bytes] = []
        renderer = self.connect(self.serve(on_render=lambda body, png: bodies.append(body)), name="matplotlib")
        scene = scene_of(renderer.get_canvas(), point(RED), point(BLUE, (0.5, 0.5, 0.0)))
        renderer.render(*scene)
        payload = renderer.get_payload(*scene)
        self.assertEqual(json.loads(bodies[0]), payload)
        self.assertEqual(list(payload), ["renderer_name", "data"])
        self.assertEqual(payload["renderer_name"], "matplotlib")
        self.assertEqual(len(payload["data"]["visuals"]), 2)

    def test_headers(self) -> None:
        """A request says who shall draw, what it carries and what it takes."""
        seen: list[Any] = []
        server = self.serve(on_render=lambda body, png: seen.append(current_request.get().headers))
        self.draw(self.connect(server))
        headers = {name: seen[0].get_all(name) for name in ("GSP-Renderer", "Content-Type", "Accept", "Content-Length")}
        length = headers.pop("Content-Length")
        self.assertEqual(
            headers, {"GSP-Renderer": ["matplotlib"], "Content-Type": ["application/json"], "Accept": ["image/png"]}
        )
        self.assertEqual(len(length), 1)

    def test_bad_scene(self) -> None:
        """Lists that make no scene are refused before anything is sent, and leave the last picture."""
        server = self.serve()
        renderer = self.connect(server)
        png = self.draw(renderer)
        viewports, visuals, matrices, cameras = scene_of(renderer.get_canvas(), point(RED))
        table = {
            "viewports": ([], visuals, matrices, cameras),
            "model_matrices": (viewports, visuals, [], cameras),
            "cameras": (viewports, visuals, matrices, cameras * 2),
            "visuals[0]": (viewports, [object()], matrices, cameras),
            "model_matrices[0]": (viewports, visuals, [np.eye(3)], cameras),
        }
        for where, lists in table.items():
            with self.subTest(where):
                with self.assertRaises(InvalidScene) as caught:
                    renderer.render(*lists)
                self.assertEqual((caught.exception.where or "")[: len(where)], where)
        self.assertEqual(server.health()["counts"]["requests"], 1)
        self.assertEqual(renderer._repr_png_(), png)


class RendererName(RendererCase):
    URL = "http://127.0.0.1:5000"

    def name_of(self, name: Any = None) -> str:
        with NetworkRenderer(Canvas(40, 30), self.URL, name) as renderer:
            return renderer.get_remote_renderer_name()

    def test_choice(self) -> None:
        """An explicit name wins over the environment, and the environment over the default."""
        table = (
            (None, None, "matplotlib"),
            (None, "", "matplotlib"),
            (None, "datoviz", "datoviz"),
            ("matplotlib", "datoviz", "matplotlib"),
            ("datoviz", None, "datoviz"),
            ("datoviz", "nonsense", "datoviz"),
            ("datoviz-v03", None, "datoviz-v03"),
            (None, "datoviz-v03", "datoviz-v03"),
        )
        for explicit, variable, expected in table:
            environ = {} if variable is None else {"GSP_REMOTE_RENDERER": variable}
            with self.subTest(explicit=explicit, variable=variable), mock.patch.dict(os.environ, environ):
                self.assertEqual(self.name_of(explicit), expected)

    def test_settled(self) -> None:
        """The name is settled when the renderer is made; the environment of a later request changes nothing."""
        bodies: list[bytes] = []
        server = self.serve(on_render=lambda body, png: bodies.append(body))
        renderer = self.connect(server)
        with mock.patch.dict(os.environ, {"GSP_REMOTE_RENDERER": "datoviz"}):
            self.draw(renderer)
            self.assertEqual(renderer.get_remote_renderer_name(), "matplotlib")
        self.assertEqual(json.loads(bodies[0])["renderer_name"], "matplotlib")

    def test_unknown(self) -> None:
        """An unknown name is refused with the list of the known ones, and with where it came from."""
        known = "expected one of matplotlib, datoviz"
        for name in ("Matplotlib", "vispy", "", 3, b"datoviz"):
            with self.subTest(name=name), self.assertRaisesRegex(InvalidScene, f"^remote_renderer_name: .*{known}"):
                self.name_of(name)
        with mock.patch.dict(os.environ, {"GSP_REMOTE_RENDERER": "vispy"}):
            with self.assertRaisesRegex(InvalidScene, f"GSP_REMOTE_RENDERER: 'vispy', {known}"):
                self.name_of()

    def test_bad_arguments(self) -> None:
        """A URL or timeout that is none is refused when the renderer is made."""
        with self.assertRaisesRegex(InvalidScene, "^server_base_url: "):
            NetworkRenderer(Canvas(40, 30), "127.0.0.1:5000")
        with self.assertRaisesRegex(InvalidScene, "^timeout: "):
            NetworkRenderer(Canvas(40, 30), self.URL, timeout=0)


class ServersErrors(RendererCase):
    def test_body_that_the_server_does_not_read(self) -> None:
        """The reason of a server that refuses a large body and closes on the rest of it comes through."""
        with mock.patch.multiple("gsp_network.framing", LINGER_BYTES=2**20, LINGER_SECONDS=0.2):
            server = self.serve(max_body_bytes=1000)
            renderer = self.connect(server)
            texture = Texture(np.zeros((2000, 2000, 4), np.uint8), 2000, 2000)  # 21 MB in base64
            image = Image(texture, np.zeros((1, 3)), [-1, 1, -1, 1], "NEAREST")
            with self.assertRaises(ServerError) as caught:
                renderer.render(*scene_of(renderer.get_canvas(), image))
        self.assertEqual((caught.exception.status, caught.exception.limit), (413, "max_body_bytes"))

    def test_unavailable(self) -> None:
        """A renderer that the server lacks is an error that names it and those that it has."""
        with self.assertLogs("gsp_network", "INFO") as logs:
            renderer = self.connect(self.serve(), name="datoviz")
            with self.assertRaises(ServerError) as caught:
                self.draw(renderer)
        error = caught.exception
        self.assertEqual((error.status, error.type, error.where), (422, "renderer_unavailable", None))
        self.assertRegex(str(error), "datoviz.*matplotlib")
        self.assertRegex(error.request_id or "", "^[0-9a-f]{32}$")
        self.assertIn(f"request {error.request_id}", "\n".join(logs.output))

    def test_too_large(self) -> None:
        """A canvas over the server's limit is an error with its place and the limit's name."""
        renderer = self.connect(self.serve(max_canvas_side=32))
        with self.assertRaises(ServerError) as caught:
            self.draw(renderer)
        error = caught.exception
        facts = (error.status, error.type, error.where, error.limit)
        self.assertEqual(facts, (422, "scene_too_large", "canvas.width", "max_canvas_side"))
        self.assertRegex(str(error), r"^canvas\.width: 40 px, expected at most 32 .*\(HTTP 422, request [0-9a-f]+\)$")

    def test_body_too_large(self) -> None:
        """A body over the server's limit is an error that says so, although the server does not read it."""
        renderer = self.connect(self.serve(max_body_bytes=1000))
        canvas = renderer.get_canvas()
        texels = np.zeros((1024, 1024, 4), np.uint8)
        image = Image(Texture(texels, 1024, 1024), np.zeros((1, 3)), [-1.0, 1.0, -1.0, 1.0], ImageInterpolation.NEAREST)
        for visual in (point(RED), image):
            with self.subTest(type(visual).__name__):
                with self.assertRaises(ServerError) as caught:
                    renderer.render(*scene_of(canvas, visual))
                self.assertEqual((caught.exception.status, caught.exception.limit), (413, "max_body_bytes"))

    def test_picture_stays(self) -> None:
        """After an error the last picture is still there, and the next frame is drawn."""
        renderer = self.connect(self.serve(max_visuals=1))
        png = self.draw(renderer)
        with self.assertRaises(ServerError):
            renderer.render(*scene_of(renderer.get_canvas(), point(RED), point(BLUE)))
        self.assertEqual(renderer._repr_png_(), png)
        self.assertEqual(tuple(pixels_of(self.draw(renderer, BLUE))[15, 20]), BLUE)

    def test_fault(self) -> None:
        """A fault of the server is an error 500 without its traceback, and with the id under which it was logged."""

        class Faulty(RenderServer):
            def render(self, request: Any) -> Any:
                raise ZeroDivisionError("a secret of the server")

        with self.assertLogs("gsp_network", "ERROR") as logs:
            with Faulty(port=0) as server, self.assertRaises(ServerError) as caught:
                self.draw(self.connect(server))
        self.assertEqual((caught.exception.status, caught.exception.type), (500, "internal_error"))
        self.assertNotIn("secret", str(caught.exception))
        self.assertIn(f"request {caught.exception.request_id}", logs.output[0])

    def test_no_server(self) -> None:
        """Without a server the error says where it was looked for and how to start one."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # and not listening: connections are refused, and no other takes the port
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
            with NetworkRenderer(Canvas(40, 30), url, retries=0) as renderer:
                with self.assertRaises(ServerUnreachable) as caught:
                    self.draw(renderer)
        self.assertIn(url, str(caught.exception))
        self.assertIn(f"start one with: {calling('serve')}", str(caught.exception))


class Figures(RendererCase):
    def test_figure(self) -> None:
        """The figure is the canvas's size at its dpi, with one borderless axes that fills it, and stays the same."""
        from matplotlib import pyplot

        renderer = self.connect(self.serve(), Canvas(64, 48, 96.0))
        figure = renderer.get_mpl_figure()
        self.assertIn(figure.number, pyplot.get_fignums())
        self.assertEqual(figure.dpi, 96.0)
        self.assertEqual(figure.canvas.get_width_height(), (64, 48))
        self.assertEqual(len(figure.axes), 1)
        axes = figure.axes[0]
        self.assertEqual(axes.get_position().bounds, (0.0, 0.0, 1.0, 1.0))
        self.assertFalse(axes.axison)
        self.assertIs(renderer.get_mpl_figure(), figure)

    def test_size(self) -> None:
        """The figure is the canvas's exact size whatever the dpi, though width / dpi * dpi may come out below the width."""
        server = self.serve()
        for width, height, dpi in ((200, 100, 97.0), (7, 199, 97.0), (1, 1, 49.0), (333, 250, 110.3)):
            with self.subTest(width=width, height=height, dpi=dpi):
                with NetworkRenderer(Canvas(width, height, dpi), server.url) as renderer:
                    png = self.draw(renderer)
                    self.assertEqual(renderer.get_mpl_figure().canvas.get_width_height(), (width, height))
                    np.testing.assert_array_equal(drawn(renderer.get_mpl_figure()), pixels_of(png))

    def test_shows_last_picture(self) -> None:
        """The figure shows the last picture, drawn before or after the figure was made, pixel by pixel."""
        renderer = self.connect(self.serve())
        first = self.draw(renderer, RED)
        figure = renderer.get_mpl_figure()
        np.testing.assert_array_equal(drawn(figure), pixels_of(first))
        second = self.draw(renderer, BLUE)
        self.assertIs(renderer.get_mpl_figure(), figure)
        self.assertFalse((pixels_of(first) == pixels_of(second)).all())
        np.testing.assert_array_equal(drawn(figure), pixels_of(second))

    def test_decodes_what_is_shown(self) -> None:
        """A picture is decoded when it is shown and not before: of many, the last, once."""
        renderer = self.connect(self.serve())
        self.connect(self.serve()).get_mpl_figure()  # pyplot, which is loaded by that, looks at imread too
        with mock.patch("matplotlib.image.imread", wraps=matplotlib.image.imread) as decode:
            for color in (RED, GREEN, BLUE):
                last = self.draw(renderer, color)
            self.assertEqual(decode.call_count, 0)
            figure = renderer.get_mpl_figure()
            self.assertEqual(decode.call_count, 1)
            drawn(figure)
            renderer.get_mpl_figure()
            self.assertEqual(decode.call_count, 1)
        np.testing.assert_array_equal(drawn(figure), pixels_of(last))

    def test_every_shade(self) -> None:
        """The figure shows every shade of grey as the picture has it."""
        canvas = Canvas(256, 4, 72.0)
        renderer = self.connect(self.serve(), canvas)
        texels = np.full((4, 256, 4), 255, np.uint8)
        texels[..., :3] = np.arange(256, dtype=np.uint8)[None, :, None]
        texture = Texture(texels, 256, 4)
        image = Image(texture, np.zeros((1, 3)), [-1.0, 1.0, -1.0, 1.0], ImageInterpolation.NEAREST)
        png = renderer.render(*scene_of(canvas, image))
        np.testing.assert_array_equal(pixels_of(png)[0, :, 0], np.arange(256))
        np.testing.assert_array_equal(drawn(renderer.get_mpl_figure()), pixels_of(png))

    def test_user_style(self) -> None:
        """A user's Matplotlib style changes neither the picture in the figure nor the white without one."""
        renderer = self.connect(self.serve())
        style = {
            "figure.facecolor": "black",
            "axes.facecolor": "black",
            "image.origin": "lower",
            "image.interpolation": "bicubic",
            "figure.autolayout": True,
            "figure.dpi": 33,
        }
        with matplotlib.rc_context(style):
            self.assertTrue((drawn(renderer.get_mpl_figure()) == 255).all())
            png = renderer.render(*scene_of(renderer.get_canvas(), point(RED, (0.0, 0.5, 0.0))))
            np.testing.assert_array_equal(drawn(renderer.get_mpl_figure()), pixels_of(png))

    def test_clear(self) -> None:
        """`clear` forgets the picture and turns the figure white; the next picture shows again."""
        renderer = self.connect(self.serve())
        self.draw(renderer)
        figure = renderer.get_mpl_figure()
        self.assertFalse((drawn(figure) == 255).all())
        renderer.clear()
        self.assertIsNone(renderer._repr_png_())
        self.assertTrue((drawn(figure) == 255).all())
        renderer.clear()
        png = self.draw(renderer, GREEN)
        np.testing.assert_array_equal(drawn(figure), pixels_of(png))

    def test_clear_without_figure(self) -> None:
        """`clear` forgets the picture also where there is no figure, and makes none."""
        renderer = self.connect(self.serve())
        self.draw(renderer)
        renderer.clear()
        self.assertIsNone(renderer._repr_png_())
        self.assertTrue((drawn(renderer.get_mpl_figure()) == 255).all())

    def test_two_renderers(self) -> None:
        """Two renderers have a figure each, and closing one leaves the other's."""
        from matplotlib import pyplot

        server = self.serve()
        one, two = self.connect(server), self.connect(server)
        pictures = self.draw(one, RED), self.draw(two, BLUE)
        figure = two.get_mpl_figure()
        np.testing.assert_array_equal(drawn(one.get_mpl_figure()), pixels_of(pictures[0]))
        one.close()
        np.testing.assert_array_equal(drawn(figure), pixels_of(pictures[1]))
        self.assertEqual(pyplot.get_fignums(), [figure.number])


class Showing(RendererCase):
    def test_under_test(self) -> None:
        """With GSP_TEST=True `show` returns at once and makes no figure."""
        from matplotlib import pyplot

        renderer = self.connect(self.serve())
        self.draw(renderer)
        with mock.patch.dict(os.environ, {"GSP_TEST": "True"}), mock.patch.object(pyplot, "show") as show:
            renderer.show()
        show.assert_not_called()
        self.assertEqual(pyplot.get_fignums(), [])

    def test_show(self) -> None:
        """Otherwise `show` makes the figure and waits until its window is closed."""
        from matplotlib import pyplot

        renderer = self.connect(self.serve())
        png = self.draw(renderer)
        for value in (None, "False", ""):
            environ = {} if value is None else {"GSP_TEST": value}
            with self.subTest(GSP_TEST=value), mock.patch.dict(os.environ, environ):
                with mock.patch.object(pyplot, "show") as show:
                    renderer.show()
                show.assert_called_once_with(block=True)
                self.assertEqual(pyplot.get_fignums(), [renderer.get_mpl_figure().number])
        np.testing.assert_array_equal(drawn(renderer.get_mpl_figure()), pixels_of(png))

    def test_show_again(self) -> None:
        """After the user closed the window, `show` opens one with the last picture again."""
        from matplotlib import pyplot

        renderer = self.connect(self.serve())
        self.draw(renderer, RED)
        shown: list[Any] = []

        def show(block: bool) -> None:
            shown.append([drawn(pyplot.figure(number)) for number in pyplot.get_fignums()])
            pyplot.close("all")  # as the user does

        with mock.patch.object(pyplot, "show", show):
            renderer.show()
            png = self.draw(renderer, BLUE)
            renderer.show()
        self.assertEqual([len(figures) for figures in shown], [1, 1])
        np.testing.assert_array_equal(shown[1][0], pixels_of(png))


class Closing(RendererCase):
    def test_close(self) -> None:
        """`close` closes the figure and the connections, and a second time does nothing."""
        from matplotlib import pyplot

        threads: list[threading.Thread] = []
        server = self.serve(on_render=lambda body, png: threads.append(threading.current_thread()))
        renderer = self.connect(server)
        self.draw(renderer)
        renderer.get_mpl_figure()
        self.assertTrue(threads[0].is_alive())
        renderer.close()
        self.assertEqual(pyplot.get_fignums(), [])
        threads[0].join(WAIT_SECONDS)
        self.assertFalse(threads[0].is_alive(), "the server still waits on the connection")
        renderer.close()

    def test_render_after_close(self) -> None:
        """A closed renderer draws no more, and says why."""
        server = self.serve()
        renderer = self.connect(server)
        renderer.close()
        with self.assertRaisesRegex(GspNetworkError, "closed; make a new one"):
            self.draw(renderer)
        self.assertEqual(server.health()["counts"]["requests"], 0)

    def test_figure_after_close(self) -> None:
        """A closed renderer makes no new figure, which nobody would close."""
        renderer = self.connect(self.serve())
        renderer.close()
        for use in (renderer.get_mpl_figure, renderer.show):
            with self.subTest(use.__name__), self.assertRaisesRegex(GspNetworkError, "closed"):
                use()

    def test_context_manager(self) -> None:
        """`with` gives the renderer itself and closes it at the end, after an error too."""
        from matplotlib import pyplot

        server = self.serve()
        renderer = self.connect(server)
        with self.assertRaises(KeyError), renderer as entered:
            self.assertIs(entered, renderer)
            self.draw(renderer)
            renderer.get_mpl_figure()
            raise KeyError
        self.assertEqual(pyplot.get_fignums(), [])
        with self.assertRaises(GspNetworkError):
            self.draw(renderer)


if __name__ == "__main__":
    unittest.main()
