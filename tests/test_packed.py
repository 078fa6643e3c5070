"""Bodies whose buffers stand behind the JSON: what they say is what JSON says, and only who offers to take them gets them."""

from __future__ import annotations

import concurrent.futures
import http.server
import json
import mmap
import random
import tempfile
import threading
import unittest
import urllib.error
import urllib.request
from typing import Any
from unittest import mock

import numpy as np

from gsp_network import (
    BufferType,
    Canvas,
    GspNetworkError,
    InvalidScene,
    LimitExceeded,
    MalformedBody,
    Pixels,
    RenderServer,
    ServerError,
    TransformChain,
    TransformLinkImmediate,
    codec,
    decode_scene,
    documents,
    encode_scene,
    packed,
    render_payload,
)
from gsp_network.scene.buffers import Buffer
from gsp_network.scene.names import name_of
from gsp_network.settings import JSON_KIND, OFFER_HEADER, PACKED_KIND, PACKED_MAGIC, Limits

from .scenes import text
from .test_codec import VISUALS, scene_around, state
from .test_known_buffers import ClientCase, dots, places

N = 9000  # dots, of which the places alone are more than is packed at least


def many(seed: int = 0) -> Pixels:
    xy = np.random.default_rng(seed).uniform(-0.9, 0.9, (N, 2))
    return Pixels(np.column_stack([xy, np.zeros(N)]), np.array([[255, 0, 0, 255]], np.uint8), N)


def of(text: bytes, blobs: bytes = b"") -> bytes:
    return PACKED_MAGIC + len(text).to_bytes(8, "little") + text + blobs


def parts(body: bytes) -> tuple[bytes, bytes]:
    text, blobs = packed.split(memoryview(body))
    return bytes(text), bytes(blobs)


def all_states(body: Any) -> Any:
    scene = decode_scene(body)
    items = [scene.canvas, *scene.viewports, *scene.visuals, *scene.cameras]
    matrices = [one.serialize() if isinstance(one, TransformChain) else one.to_bytes() for one in scene.model_matrices]
    return scene.renderer_name, [state(item) for item in items], matrices


class PackedCase(unittest.TestCase):
    def setUp(self) -> None:
        patched = mock.patch.object(codec, "LEAST_BYTES", 0)  # so that small scenes are packed too
        patched.start()
        self.addCleanup(patched.stop)

    def body(self) -> bytes:
        return encode_scene(*scene_around(many()), "matplotlib", packed=True)


class TestForm(PackedCase):
    def test_same_scene(self) -> None:
        """A packed body holds the scene that JSON holds, of every visual, and becomes that JSON to the byte."""
        for name, _, make, _ in VISUALS:
            with self.subTest(name):
                scene = scene_around(make())
                body, plain = encode_scene(*scene, packed=True), encode_scene(*scene)
                self.assertEqual(body[:8], PACKED_MAGIC)
                self.assertEqual(packed.as_json(body), plain)
                self.assertEqual(packed.as_json(plain), plain)
                self.assertEqual(all_states(body), all_states(plain))

    def test_layout(self) -> None:
        """Behind the magic stand the length of the JSON, the JSON with a range for each buffer, and their bytes."""
        visual = dots(places())
        text, blobs = parts(encode_scene(*scene_around(visual), packed=True))
        positions = json.loads(text)["data"]["visuals"][0]["visual"]["positions"]["transBuf"]
        offset, length = positions["data_raw"]
        self.assertEqual(sorted(positions), ["buffer_type", "count", "data_raw"])
        self.assertEqual(blobs[offset : offset + length], places().tobytes())
        self.assertNotIn(b"data_base64", text)

    def test_few_bytes(self) -> None:
        """A scene with few bytes stays JSON, that with one byte more is packed."""
        scene = scene_around(dots(places()))
        size = len(parts(encode_scene(*scene, packed=True))[1])
        for least, is_packed in ((size, True), (size + 1, False)):
            with mock.patch.object(codec, "LEAST_BYTES", least):
                self.assertEqual(packed.is_packed(encode_scene(*scene, packed=True)), is_packed)

    def test_chain(self) -> None:
        """A chain's buffers stay in the JSON; where they come as bytes, its links get base64 as ever."""
        chain = TransformChain(1, BufferType.mat4)
        chain.add(TransformLinkImmediate(Buffer.identity()))
        scene = list(scene_around(dots(places())))
        scene[3] = [chain]
        body = encode_scene(*scene, packed=True)
        text, blobs = parts(body)
        self.assertEqual(text.count(b'"data_base64"'), 1)
        self.assertEqual(all_states(body), all_states(encode_scene(*scene)))
        _, value = text.split(b'"data_base64":"')
        value = value.split(b'"')[0]
        moved = text.replace(b'"data_base64":"%s"' % value, b'"data_raw":[%d,64]' % len(blobs))
        self.assertEqual(all_states(of(moved, blobs + Buffer.identity().to_bytes())), all_states(body))

    def test_names_in_a_chain(self) -> None:
        """A scene in which some link has a key of that name is sent as JSON, which says what it means."""
        chain = TransformChain(1, BufferType.mat4)
        chain.add(TransformLinkImmediate(Buffer.identity()))
        scene = list(scene_around(dots(places())))
        scene[3] = [chain]
        told = {**chain.serialize(), "data_raw": [0, 8]}
        with mock.patch.object(TransformChain, "serialize", lambda _: told):
            self.assertFalse(packed.is_packed(encode_scene(*scene, packed=True)))

    def test_words_of_the_form_in_texts(self) -> None:
        """Strings that look like parts of the form change nothing."""
        for words in ('"data_raw":[0,4]', '"data_base64":"<base64>"', PACKED_MAGIC.decode("latin-1")):
            scene = scene_around(text(words))
            body = encode_scene(*scene, packed=True)
            self.assertTrue(packed.is_packed(body))
            self.assertEqual(all_states(body), all_states(encode_scene(*scene)))
            self.assertEqual(packed.as_json(body), encode_scene(*scene))

    def test_long_base64_in_it(self) -> None:
        """Base64 in the JSON of a packed body is read as in any other, beside texts that look like marks for what was cut."""
        with mock.patch.object(documents, "LEAST_CUT", 1):
            chain = TransformChain(1, BufferType.mat4)
            chain.add(TransformLinkImmediate(Buffer.identity()))
            scene = list(scene_around(text("<0>")))
            scene[3] = [chain]
            body = encode_scene(*scene, packed=True)
            self.assertTrue(packed.is_packed(body))
            self.assertEqual(all_states(body), all_states(encode_scene(*scene)))
            told = parts(body)[0].replace(b'"data":{', b'"more":{"data_base64":"<0>"},"data":{')
            self.assertEqual(all_states(of(told, parts(body)[1])), all_states(body))

    def test_memory_that_changes_later(self) -> None:
        """A scene does not see what becomes of the shared memory that its body lay in."""
        body = self.body()
        with tempfile.TemporaryFile() as file:
            file.write(body)
            file.flush()
            memory = mmap.mmap(file.fileno(), len(body))
            scene = decode_scene(memory)  # type: ignore[arg-type]
            memory[:] = b"\0" * len(body)
        self.assertEqual(scene.visuals[0].get_positions().to_bytes(), many().get_positions().to_bytes())

    def test_limits(self) -> None:
        """The limits of JSON hold for the JSON in it."""
        with self.assertRaises(LimitExceeded) as caught:
            decode_scene(self.body(), Limits(max_json_items=20))
        self.assertEqual(caught.exception.limit, "max_json_items")


class TestRefusals(PackedCase):
    def refused(self, body: bytes, words: str, kind: type[GspNetworkError] = MalformedBody) -> None:
        with self.assertRaises(kind) as caught:
            decode_scene(body)
        self.assertEqual(str(caught.exception), words)

    def test_cut_short(self) -> None:
        """A body that ends early is refused, wherever it ends."""
        body = encode_scene(*scene_around(dots(places())), packed=True)
        text, _ = parts(body)
        for end in (8, 9, 15, 16, 17, 15 + len(text), 16 + len(text), len(body) - 1):
            with self.subTest(end), self.assertRaises(MalformedBody):
                decode_scene(body[:end])
        self.refused(body[: 15 + len(text)], f"body: {15 + len(text)} bytes, expected at least {16 + len(text)}: "
                     f"its JSON has {len(text)}")  # fmt: skip

    def test_ranges(self) -> None:
        """Ranges outside the bytes, that overlap, leave bytes out or are none are refused, with what was expected."""
        text, blobs = parts(self.body())
        size = len(blobs)
        first, *_ = packed._RANGE.finditer(text)

        def with_range(value: bytes) -> bytes:
            return of(text[: first.start()] + b'"data_raw":' + value + text[first.end() :], blobs)

        expected = f"expected [offset, length] in the {size} bytes behind the JSON"
        for value in (
            "[-1, 8]",
            "[0, -8]",
            "[true, 8]",
            "[0.0, 8]",
            "[0]",
            "[0, 1, 2]",
            "null",
            '"0"',
            f"[0, {size + 1}]",
        ):
            self.refused(with_range(value.encode()), f"body: data_raw {value}, {expected}")
        offset, length = int(first[1]), int(first[2])
        self.refused(
            with_range(b"[%d,%d]" % (offset, length + 4)),
            f"body: data_raw [{offset + length}, {length_after(text, first)}], "
            f"expected one that begins at {offset + length + 4}",
        )
        self.refused(
            of(text.replace(first[0], b'"data_raw":[%d,%d]' % (offset + 4, length - 4)), blobs),
            f"body: data_raw [{offset + 4}, {length - 4}], expected one that begins at {offset}",
        )
        self.refused(with_range(b'[{"data_raw":[%d,%d]}]' % (offset, length)), f"body: data_raw list, {expected}")
        self.refused(of(text, blobs + b"tail"), "body: 4 bytes behind the JSON that are no buffer's")

    def test_wrong_length(self) -> None:
        """A range of another length than its buffer's is refused with the place."""
        text, blobs = parts(self.body())
        text = text.replace(b'"count":%d,"buffer_type":"vec3"' % N, b'"count":7,"buffer_type":"vec3"')
        self.refused(
            of(text, blobs),
            f"visuals[0].positions.data_raw: {12 * N} bytes, expected 84 (7 x vec3)",
            InvalidScene,
        )

    def test_in_json(self) -> None:
        """In a body that is JSON the key means nothing, as every key that is not known."""
        body = encode_scene(*scene_around(dots(places())))
        told = body.replace(b'"data_base64"', b'"data_raw":[0,4],"data_base64"')
        self.assertEqual(all_states(told), all_states(body))
        with self.assertRaises(InvalidScene):
            decode_scene(body.replace(b'"data_base64"', b'"data_raw"'))

    def test_not_finite(self) -> None:
        """NaN in the bytes is refused as in base64, with the place."""
        visual = many()
        text, blobs = parts(encode_scene(*scene_around(visual), packed=True))
        at = blobs.index(visual.get_positions().to_bytes())
        with self.assertRaises(InvalidScene) as caught:
            decode_scene(of(text, blobs[:at] + np.float32("nan").tobytes() + blobs[at + 4 :]))
        self.assertEqual(caught.exception.where, "visuals[0].positions[0]")

    def test_mutations(self) -> None:
        """Random changes make another scene or an error of ours, never another error."""
        rng = random.Random(4)
        bodies = [encode_scene(*scene_around(make()), packed=True) for _, _, make, _ in VISUALS]
        drawn = 0
        for _ in range(1500):
            body = bytearray(rng.choice(bodies))
            for _ in range(rng.randint(1, 3)):
                at = rng.randrange(len(body))
                change = rng.randrange(4)
                if change == 0:
                    body[at] = rng.randrange(256)
                elif change == 1:
                    del body[at : at + rng.randint(1, 9)]
                elif change == 2:
                    body[at:at] = rng.choice((b"0", b",", b"[0,4]", b'"data_raw":[0,4],', bytes(4)))
                else:  # where it matters most
                    place = body.find(b'"data_raw"', at)
                    body[place + 12 : place + 13] = b"%d" % rng.randrange(99) if place >= 0 else b""
            try:
                decode_scene(bytes(body))
                drawn += 1
            except GspNetworkError:
                continue
        self.assertTrue(20 < drawn < 1480, drawn)


def length_after(text: bytes, match: Any) -> int:
    """The length in the range that follows."""
    following = packed._RANGE.search(text, match.end())
    return int(following[2]) if following else 0


class TestOverHttp(ClientCase):
    def kinds(self) -> list[str]:
        """The requests since the last look, and their status where it is not 200."""
        found = [
            ("packed" if packed.is_packed(body) else "json") + ("" if status == 200 else f" {status}")
            for body, status in self.wire.sent
        ]
        self.wire.sent.clear()
        return found

    def test_offered(self) -> None:
        """The first frame is JSON, those that follow are packed once the server has offered it; the pictures are the same."""
        for workers in (0, 1):
            renderer = self.connect(self.serve(workers=workers), use_refs=False)
            pictures = [self.render(renderer, many(seed)) for seed in (1, 2, 1)]
            self.assertEqual(self.kinds(), ["json", "packed", "packed"])
            self.assertEqual(pictures[0], pictures[2])
            self.assertNotEqual(pictures[0], pictures[1])

    def test_large(self) -> None:
        """A packed body that reaches its worker by shared memory, as large ones do, makes the same picture, again and again."""
        renderer = self.connect(self.serve(workers=1), use_refs=False)
        rng = np.random.default_rng(3)
        for _ in range(3):
            xy = rng.uniform(-0.9, 0.9, (100_000, 2))
            self.render(renderer, Pixels(np.column_stack([xy, np.zeros(100_000)]), [[255, 0, 0, 255]], 100_000))
        self.assertEqual(self.kinds(), ["json", "packed", "packed"])

    def test_with_names(self) -> None:
        """What is packed is kept and named as in JSON, and a frame that names it all is small JSON."""
        renderer = self.connect(self.serve())
        visual = many()
        for k in range(4):
            self.render(renderer, visual, 0.1 * k)
        sizes = [len(body) for body, _ in self.wire.sent]
        self.assertEqual(self.kinds(), ["json", "packed", "json", "json"])
        self.assertLess(max(sizes[2:]), 4096)
        self.assertGreater(sizes[0], 1.3 * sizes[1])

    def test_names_that_are_lost(self) -> None:
        """A packed frame that names a buffer which the server has no more is sent whole, once, and packed."""
        server = self.serve()
        renderer = self.connect(server)
        known = many(1)
        with mock.patch.object(codec, "LEAST_BYTES", 0):
            for k in range(3):
                self.render(renderer, known, 0.1 * k)
            self.wire.sent.clear()
            self.forget(server)
            self.render(renderer, known, 0.5)
            self.render(renderer, known, 0.6)
        self.assertEqual(self.kinds(), ["packed 409", "packed", "packed"])

    def test_names_that_are_lost_from_json(self) -> None:
        """What a small frame of JSON has named is sent packed, where the server has it no more."""
        server = self.serve()
        renderer = self.connect(server)
        xy = np.random.default_rng(5).uniform(-0.9, 0.9, (N, 2))
        colors = np.random.default_rng(6).integers(0, 256, (N, 4), np.uint8)
        visual = Pixels(np.column_stack([xy, np.zeros(N)]), colors, 1)  # two buffers are lost
        for k in range(3):
            self.render(renderer, visual, 0.1 * k)
        self.forget(server)
        self.render(renderer, visual, 0.4)
        sizes = [len(body) for body, _ in self.wire.sent]
        self.assertEqual(self.kinds(), ["json", "packed", "json", "json 409", "packed"])
        self.assertLess(sizes[4], 16 * N + 4096)

    def test_some_names_are_lost(self) -> None:
        """A server tells of what a packed frame names alone, and of nothing that came with it or that it has."""
        server = self.serve()
        renderer = self.connect(server)
        with mock.patch.object(codec, "LEAST_BYTES", 0):
            one, other, new = dots(places(1)), dots(places(2)), dots(places(3))

            def scene(*visuals: Any) -> tuple[Any, ...]:
                viewports, _, matrices, cameras = self.scene(None)
                return viewports * len(visuals), visuals, matrices * len(visuals), cameras * len(visuals)

            for _ in range(3):
                renderer.render(*scene(one, other))
            renderer.render(*scene(one, new))
            self.forget(server)
            body = renderer.encode(*scene(one, other, new))
            text_of = parts(body)[0]
            self.assertIn(b"data_raw", text_of)
            answer = renderer._post(body, None)
        self.assertEqual(answer.status, 409)
        alone = [name_of(visual.get_positions().to_bytes()) for visual in (one, other)]
        self.assertEqual(json.loads(answer.body)["missing"], alone)

    def test_as_large_as_may_be(self) -> None:
        """A scene that fits when it is packed is drawn in every frame, named and when its names are lost."""
        server = self.serve(max_body_bytes=16 * N)  # the places take 12 bytes a dot, in base64 16
        renderer = self.connect(server)
        self.render(renderer, dots(places()))
        visual = many()
        for k in range(4):
            self.render(renderer, visual, 0.1 * k)
        self.forget(server)
        self.render(renderer, visual, 0.5)
        self.assertEqual(self.kinds(), ["json", "packed", "packed", "json", "json", "json 409", "packed"])

    def test_offer_with_a_refusal(self) -> None:
        """A client learns from a refusal, too, what a server takes."""
        renderer = self.connect(self.serve(max_body_bytes=16 * N))
        with self.assertRaises(ServerError) as caught:
            renderer.render(*self.scene(many()))
        self.assertEqual(caught.exception.limit, "max_body_bytes")
        self.render(renderer, many())
        self.assertEqual(self.kinds(), ["json 413", "packed"])

    def test_switched_off(self) -> None:
        """A client that shall not pack sends JSON."""
        renderer = self.connect(self.serve(), use_packed=False, use_refs=False)
        for _ in range(2):
            self.render(renderer, many())
        self.assertEqual(self.kinds(), ["json", "json"])

    def test_hook(self) -> None:
        """A server with a hook takes JSON alone, also one that has got its hook since it has offered more."""
        bodies: list[bytes] = []
        server = self.serve()
        renderer = self.connect(server)
        visual = many()
        for k in range(3):
            self.render(renderer, many(k))
        server.on_render = lambda body, picture: bodies.append(body)
        self.kinds()
        self.render(renderer, many(7))
        self.render(renderer, visual)
        self.assertEqual(self.kinds(), ["packed 415", "json", "json"])
        self.assertEqual([json.loads(body)["renderer_name"] for body in bodies], ["matplotlib"] * 2)

    def test_hook_of_this_moment(self) -> None:
        """A hook that comes while a packed body is on its way is not called with it, but with the JSON that follows."""
        bodies: list[bytes] = []

        class Late(RenderServer):
            hooked = False

            def render(self, request: Any) -> Any:
                self.on_render = (lambda body, picture: bodies.append(body)) if self.hooked else None
                return RenderServer.render(self, request)

        server = Late(0, workers=0, datoviz_workers=0).start()
        self.addCleanup(server.close)
        renderer = self.connect(server)
        self.render(renderer, many(1))
        self.render(renderer, many(2))
        server.hooked = True
        self.render(renderer, many(3))
        self.assertEqual(self.kinds(), ["json", "packed", "packed 415", "json"])
        self.assertEqual([json.loads(body)["renderer_name"] for body in bodies], ["matplotlib"])

    def test_other_server(self) -> None:
        """A server that knows nothing of it, and answers as such ones do, is sent JSON that holds all."""
        for status in (400, 403, 406, 415, 422, 500, 501):
            for known in (many(2), dots(places())):  # which is sent, and which is named in a packed body
                with self.subTest(status=status, known=len(known.get_positions().to_bytes())):
                    renderer = self.connect(self.serve())
                    with mock.patch.object(codec, "LEAST_BYTES", 0):
                        for k in range(3):
                            self.render(renderer, known, 0.1 * k)
                        renderer._transport.base_url = self.stranger(status)
                        self.kinds()
                        self.render(renderer, known, 0.4)
                        self.render(renderer, known, 0.5)
                    self.assertEqual(self.kinds(), [f"packed {status}", "json", "json"])

    def stranger(self, status: int) -> str:
        """The URL of a server as others have them: it draws JSON, and answers so to what it does not know."""

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                known = self.headers["Content-Type"] == JSON_KIND
                picture = render_payload(body) if known else b"?"
                self.send_response(200 if known else status)
                self.send_header("Content-Length", str(len(picture)))
                self.end_headers()
                self.wfile.write(picture)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        self.addCleanup(stop)
        return f"http://127.0.0.1:{server.server_address[1]}"

    def test_something_before_the_server(self) -> None:
        """Where something before a server refuses the type, and lets the offer through, JSON is sent for a while."""
        server = self.serve()
        renderer = self.connect(server, use_refs=False)
        self.render(renderer, many(1))
        post = self.wire._post

        def guarded(transport: Any, path: str, body: bytes, *rest: Any) -> Any:
            answer = post(transport, path, body, *rest)
            if packed.is_packed(body):
                del answer.headers[OFFER_HEADER]
                answer = answer._replace(status=403)
            return answer

        with mock.patch.object(self.wire, "_post", guarded):
            self.kinds()
            for seed in range(3):
                self.render(renderer, many(seed))
            self.assertEqual(self.kinds(), ["packed 403", "json", "json", "json"])
        renderer._not_packed_until = 0.0  # the while is over
        for seed in range(2):
            self.render(renderer, many(seed))
        self.assertEqual(self.kinds(), ["json", "packed"])

    def test_refused_after_names_were_lost(self) -> None:
        """A server that has lost names, and takes JSON alone by the time that all is sent, gets that."""
        server = self.serve()
        renderer = self.connect(server)
        visual = many()
        for k in range(3):
            self.render(renderer, visual, 0.1 * k)
        self.forget(server)
        bodies: list[bytes] = []
        self.kinds()
        post = self.wire._post

        def hooked_then(transport: Any, path: str, body: bytes, *rest: Any) -> Any:
            if packed.is_packed(body):
                server.on_render = lambda body, picture: bodies.append(body)
            return post(transport, path, body, *rest)

        with mock.patch.object(self.wire, "_post", hooked_then):
            self.render(renderer, visual, 0.4)
        self.assertEqual(self.kinds(), ["json 409", "packed 415", "json"])
        self.assertEqual(len(bodies), 1)

    def test_foreign_executor(self) -> None:
        """Where others draw, whose version nobody knows, JSON alone is taken."""
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            renderer = self.connect(self.serve(executor=executor))
            for seed in range(2):
                self.render(renderer, many(seed))
            self.assertEqual(self.kinds(), ["json", "json"])

    def test_own_refusal(self) -> None:
        """What a server refuses that does take packed bodies is sent once."""
        renderer = self.connect(self.serve(max_vertices=N - 1))
        self.render(renderer, dots(places()))
        for _ in range(2):
            with self.assertRaises(ServerError) as caught:
                renderer.render(*self.scene(many()))
            self.assertEqual(caught.exception.limit, "max_vertices")
        self.assertEqual(self.kinds(), ["json", "packed 422", "packed 422"])

    def test_who_listens_gets_json(self) -> None:
        """`on_frame` is told JSON, whatever the server takes."""
        renderer = self.connect(self.serve())
        self.render(renderer, many(1))
        self.render(renderer, many(2))
        told: list[bytes] = []
        renderer.on_frame.subscribe(told.append)
        self.render(renderer, many(3))
        self.assertEqual(self.kinds(), ["json", "packed", "json"])
        self.assertEqual(len(json.loads(told[0])["data"]["visuals"]), 1)

    def test_frames_side_by_side(self) -> None:
        """Packed frames that threads send at the same time come back as their own pictures."""
        renderer = self.connect(self.serve(workers=2), use_refs=False)
        visuals = [many(seed) for seed in range(6)]
        self.render(renderer, visuals[0])
        bodies = [renderer.encode(*self.scene(visual)) for visual in visuals]
        self.kinds()
        with concurrent.futures.ThreadPoolExecutor(3) as threads:
            pictures = list(threads.map(renderer.request, bodies))
        self.assertEqual(self.kinds(), ["packed"] * 6)
        self.assertEqual(pictures, [render_payload(packed.as_json(body)) for body in bodies])

    def test_types(self) -> None:
        """An answer tells what is taken; a body that is not of its type is refused with 400, another type with 415."""
        server = self.serve()
        body = encode_scene(Canvas(40, 30, 72.0), *self.scene(many()), packed=True)
        plain = packed.as_json(body)

        def post(body: bytes, kind: str) -> tuple[int, str, Any]:
            request = urllib.request.Request(server.url + "/render", body, {"Content-Type": kind})
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return answer.status, answer.headers[OFFER_HEADER], b""
            except urllib.error.HTTPError as exc:
                with exc:
                    return exc.code, "", json.loads(exc.read())["detail"]

        both = f"{JSON_KIND}, {PACKED_KIND}"
        self.assertEqual(post(body, PACKED_KIND), (200, both, b""))
        self.assertEqual(post(plain, JSON_KIND), (200, both, b""))
        self.assertEqual(post(plain, PACKED_KIND), (400, "", f"body: does not begin as {PACKED_KIND} does"))
        self.assertEqual(post(body, JSON_KIND), (400, "", f"body: does not begin as {JSON_KIND} does"))
        self.assertEqual(post(body, "text/plain"), (415, "", f"Content-Type: expected {JSON_KIND} or {PACKED_KIND}"))


if __name__ == "__main__":
    unittest.main()
