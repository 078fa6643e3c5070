"""Sessions: what a SessionRecorder writes, and that it comes back byte for byte, also after a crash."""

from __future__ import annotations

import concurrent.futures
import errno
import hashlib
import json
import os
import pathlib
import tempfile
import unittest
from typing import Any, Callable
from unittest import mock

import numpy as np

from gsp_network import Camera, Canvas, Event, InvalidScene, NetworkRenderer, SessionRecorder, Viewport, recording
from gsp_network.recording import Session, is_session

from .scenes import body_of, image, one_of_each, points, text
from .support import GOLDEN, needs_golden

# What JSON escapes, what looks like a buffer and is none, and what only Unicode has.
STRANGE = '"data_base64":"AACAPw==" \\ \n {"sha256":"x"} \u00e9\u2028 sha256:' + 64 * "0"


class Renderer:
    """What a recorder asks of a renderer, without any drawing."""

    def __init__(self) -> None:
        self.on_frame: Event[Callable[[bytes], None]] = Event()

    def get_canvas(self) -> Canvas:
        return Canvas(40, 30, 72.0)

    def get_remote_renderer_name(self) -> str:
        return "matplotlib"


class Case(unittest.TestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        self.path = self.folder / "session.jsonl"

    def record(self, *bodies: bytes) -> Renderer:
        renderer = Renderer()
        with SessionRecorder(renderer, self.path):
            for body in bodies:
                renderer.on_frame.dispatch(body)
        return renderer

    def bodies(self) -> list[bytes]:
        with Session(self.path) as session:
            return [session.body(index) for index in range(len(session.times))]

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.path.read_bytes().splitlines()]


class RoundTrip(Case):
    @needs_golden
    def test_golden(self) -> None:
        """Every golden request comes back byte for byte."""
        bodies = [path.read_bytes() for path in GOLDEN]
        self.record(*bodies)
        self.assertEqual(self.bodies(), bodies)

    def test_visuals(self) -> None:
        """Requests with every visual come back byte for byte, in any order of asking."""
        bodies = [body_of(visual) for visual in one_of_each()] + [body_of(*one_of_each()), body_of()]
        self.record(*bodies)
        self.assertEqual(self.bodies(), bodies)
        with Session(self.path) as session:
            for index in (8, 0, 8, 3):
                self.assertEqual(session.body(index), bodies[index])

    def test_strange_texts(self) -> None:
        """A text that looks like the file's own signs comes back as it was."""
        reference = b'{"data": {"x": {"data_base64" : "sha256:' + 64 * b"0" + b'"}, "data_base64": ""}}'
        bodies = [body_of(text(STRANGE)), reference]
        self.record(*bodies)
        self.assertEqual(self.bodies(), bodies)

    def test_over_several_lines(self) -> None:
        """A request that is laid out over lines comes back as an equal document."""
        body = body_of(points((0, 0, 0)))
        self.record(json.dumps(json.loads(body), indent=1).encode())
        self.assertEqual(self.bodies(), [body])

    def test_renderer(self) -> None:
        """What a NetworkRenderer encodes is recorded, until the recorder is closed; a second time does nothing."""
        canvas = Canvas(40, 30, 72.0)
        with NetworkRenderer(canvas, "http://127.0.0.1:5000", "datoviz") as renderer:
            scene = [Viewport(0, 0, 40, 30)], [points((0, 0, 0))], [np.eye(4)], [Camera()]
            with SessionRecorder(renderer, str(self.path)) as recorder:
                body = renderer.encode(*scene)
            recorder.close()
            renderer.encode(*scene)
        self.assertEqual(self.bodies(), [body])
        with Session(self.path) as session:
            self.assertEqual(session.header["renderer_name"], "datoviz")
            self.assertEqual((session.canvas.get_width(), session.canvas.get_height()), (40, 30))
            self.assertEqual(session.canvas.get_dpi(), 72.0)


class Writing(Case):
    def test_file(self) -> None:
        """The first line says what it is; buffers stand before the frame that has them first, each once."""
        first, second = body_of(points((0, 0, 0))), body_of(points((0.5, 0, 0)))
        self.record(first, first, second)
        head, *lines = self.lines()
        canvas = {"width": 40, "height": 30, "dpi": 72.0}
        self.assertEqual(
            head, {"format": "gsp_network session", "version": 1, "renderer_name": "matplotlib", "canvas": canvas}
        )
        # Positions, sizes, face and edge colours, widths, and the matrix that model, view and projection share.
        wanted = ["sha256"] * 6 + ["time", "time", "sha256", "time"]
        self.assertEqual([next(iter(line)) for line in lines], wanted)
        texts = [line["data_base64"] for line in lines if "sha256" in line]
        self.assertEqual(len(texts), len(set(texts)))

    def test_times(self) -> None:
        """Frames have their time in seconds since the recording began, in order."""
        with mock.patch("time.monotonic", side_effect=[1000.0, 1000.0, 1000.25, 1001.5]):
            self.record(*[body_of()] * 3)
        with Session(self.path) as session:
            self.assertEqual(session.times, [0.0, 0.25, 1.5])

    def test_line_by_line(self) -> None:
        """A frame is in the file when it is rendered, not only at the end."""
        renderer = Renderer()
        with SessionRecorder(renderer, self.path):
            self.assertTrue(is_session(self.path))
            renderer.on_frame.dispatch(body_of(points((0, 0, 0))))
            self.assertEqual(self.bodies(), self.bodies())
            self.assertEqual(len(self.bodies()), 1)

    def test_memory(self) -> None:
        """A recorder keeps no buffer, only what tells it that it has seen one."""
        renderer = Renderer()
        with SessionRecorder(renderer, self.path) as recorder:
            for level in range(20):
                renderer.on_frame.dispatch(body_of(image(np.full((50, 50, 4), level))))
            self.assertEqual({len(digest) for digest in recorder._written}, {32})

    def test_full_disk(self) -> None:
        """Where the file cannot be written any more, rendering goes on, an error says why, and what is there can be read."""
        renderer, body = Renderer(), body_of(points((0, 0, 0)))
        recorder = SessionRecorder(renderer, self.path)
        renderer.on_frame.dispatch(body)
        recorder._file.close()
        recorder._file = mock.Mock()
        recorder._file.write.side_effect = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with self.assertLogs("gsp_network", "ERROR") as logs:
            for _ in range(3):
                renderer.on_frame.dispatch(body)
        self.assertEqual(len(logs.output), 1)
        self.assertIn(f"{self.path}: No space left on device; the recording ends here", logs.output[0])
        recorder.close()
        self.assertEqual(self.bodies(), [body])

    def test_short_writes(self) -> None:
        """A system that takes a line in pieces gets all of them."""
        renderer = Renderer()
        body = body_of(*one_of_each())
        with SessionRecorder(renderer, self.path) as recorder, open(self.path, "ab", buffering=0) as file:
            with mock.patch.object(recorder, "_file") as slow:
                slow.write.side_effect = lambda data: file.write(data[:7])
                renderer.on_frame.dispatch(body)
        self.assertEqual(self.bodies(), [body])

    def test_no_folder(self) -> None:
        """A file that cannot be made or written is an OSError, and the renderer is as before."""
        renderer = Renderer()
        with self.assertRaises(FileNotFoundError):
            SessionRecorder(renderer, self.folder / "none" / "session.jsonl")
        if os.path.exists("/dev/full"):
            with self.assertRaisesRegex(OSError, "No space left"):
                SessionRecorder(renderer, "/dev/full")
        renderer.on_frame.dispatch(b"{}")


class Damage(Case):
    def setUp(self) -> None:
        super().setUp()
        self.sent = [body_of(points((0, 0, 0))), body_of(points((0.5, 0, 0)))]
        self.record(*self.sent)
        self.whole = self.path.read_bytes().splitlines(keepends=True)  # header, 6 buffers, frame, buffer, frame

    def test_cut_short(self) -> None:
        """A last line that a crash has cut short, wherever, is left out with a warning; all before it is there."""
        last = self.whole[-1]
        for end in (1, 20, len(last) // 2, len(last) - 2):
            with self.subTest(end=end):
                self.path.write_bytes(b"".join(self.whole[:-1]) + last[:end])
                with self.assertLogs("gsp_network", "WARNING") as logs:
                    self.assertEqual(self.bodies(), self.sent[:1])
                self.assertIn(f"{self.path}: line 10 is cut short", logs.output[0])

    def test_no_last_newline(self) -> None:
        """A last line that lacks its end of line alone counts."""
        self.path.write_bytes(b"".join(self.whole)[:-1])
        self.assertEqual(self.bodies(), self.sent)

    def test_refused(self) -> None:
        """Any other damage is an error with the line's number and what is wrong with it."""
        whole = self.whole
        head = json.loads(whole[0])
        digest = json.loads(whole[3])["sha256"]
        table: list[tuple[list[bytes], str]] = [
            ([], "line 1: no session's, expected one that a SessionRecorder wrote"),
            ([b"{}\n", *whole[1:]], "line 1: no session's"),
            ([b"\xff\x00\n", *whole[1:]], "line 1: no session's"),
            ([b'{"format":"gsp_network session","vers'], "line 1: no session's"),
            ([_line({**head, "version": 2}), *whole[1:]], "line 1: version 2, expected 1; use a newer gsp_network"),
            ([_line({**head, "canvas": 3}), *whole[1:]], "line 1: no canvas, expected its width, height and dpi"),
            (
                [_line({**head, "canvas": {**head["canvas"], "width": 0}}), *whole[1:]],
                "line 1: Canvas.width: 0, expected 1",
            ),
            ([*whole[:2], b"x\n", *whole[2:]], "line 3: neither a frame nor a buffer"),
            ([*whole[:2], b"\n", *whole[2:]], "line 3: neither a frame nor a buffer"),
            ([*whole[:-2], whole[-2][:30] + b"\n", whole[-1]], "line 9: neither a frame nor a buffer"),
            ([*whole[:3], whole[3].replace(b"A", b"B", 1), *whole[4:]], "line 4: a buffer of sha256"),
            ([*whole[:3], *whole[4:]], f"line 7: buffer {digest} of this frame stands in no line before"),
            ([*whole[:-1], b'{"time":0.1,"document":{"a"}}\n'], "line 10: "),
            ([*whole[:-1], b'{"time":0.1,"document":7}\n'], "line 10: a document that is "),
            ([*whole[:-1], b'{"time":1e999,"document":{}}\n'], "line 10: time inf, expected seconds"),
            ([b"[" * 4000], "line 1: no session's"),
            (
                [_line({**head, "canvas": {**head["canvas"], "width": 60_000}}), *whole[1:]],
                "line 1: canvas: 60000 px, expected at most 8192",
            ),
            ([*whole, b'{"time":0,"document":{}}\n'], "line 11: time 0.0, expected at least"),
            ([*whole[:-1], b'{"time":9,"document":' + 5000 * b'{"a":' + 5001 * b"}" + b"\n"], "line 10: "),
            (whole[:1], "a session without frames, expected one at least"),
        ]
        for lines, problem in table:
            with self.subTest(problem):
                self.path.write_bytes(b"".join(lines))
                with self.assertRaises(InvalidScene) as caught:
                    Session(self.path)
                self.assertTrue(str(caught.exception).startswith(str(self.path)), str(caught.exception))
                self.assertIn(problem, str(caught.exception))

    def test_more_than_a_request_may_hold(self) -> None:
        """A frame whose buffers come to more than any request, as a line of more, is refused before they are put together."""
        with mock.patch.object(recording, "MAX_LINE_BYTES", 5000):
            text = b"A" * 1000
            digest = hashlib.sha256(text).hexdigest().encode()
            reference = b'"data_base64":"sha256:' + digest + b'"'
            buffer = b'{"sha256":"' + digest + b'","data_base64":"' + text + b'"}\n'
            for count, problem in ((3, ""), (5, "a request of "), (60, "expected fewer than 5000 bytes")):
                document = b'{"time":1,"document":{"a":[' + b",".join([b"{" + reference + b"}"] * count) + b"]}}\n"
                self.path.write_bytes(self.whole[0] + buffer + document)
                with self.subTest(count=count):
                    if not problem:
                        self.assertEqual(len(self.bodies()), 1)
                        continue
                    with self.assertRaisesRegex(InvalidScene, f"line 3: .*{problem}"):
                        Session(self.path)

    def test_interrupted(self) -> None:
        """Where Ctrl-C comes in the middle of a line, that frame alone is missing when the recording goes on."""
        renderer = Renderer()
        whole = [body_of(points((x, 0, 0))) for x in (0.1, 0.2, 0.3)]
        real = recording._write_line

        def interrupted(file: Any, line: bytes) -> None:
            file.write(line[: len(line) // 2])
            raise KeyboardInterrupt

        with SessionRecorder(renderer, self.path):
            renderer.on_frame.dispatch(whole[0])
            with mock.patch.object(recording, "_write_line", interrupted), self.assertRaises(KeyboardInterrupt):
                renderer.on_frame.dispatch(whole[1])
            self.assertIs(recording._write_line, real)
            renderer.on_frame.dispatch(whole[1])
            renderer.on_frame.dispatch(whole[2])
        self.assertEqual(self.bodies(), whole)

    def test_threads(self) -> None:
        """Frames that several threads encode at once are recorded one after the other."""
        renderer = Renderer()
        sent = [body_of(points((x, 0, 0))) for x in np.linspace(-1, 1, 60)]
        with SessionRecorder(renderer, self.path), concurrent.futures.ThreadPoolExecutor(6) as pool:
            list(pool.map(renderer.on_frame.dispatch, sent))
        self.assertEqual(sorted(self.bodies()), sorted(sent))

    def test_changed_while_open(self) -> None:
        """A file that changes while it is read is an error, not another picture."""
        with Session(self.path) as session:
            self.path.write_bytes(b"".join(self.whole).replace(b"data_base64", b"data_base65", 3))
            with self.assertRaisesRegex(InvalidScene, "buffer .* has changed since the file was opened"):
                session.body(0)
        self.path.write_bytes(b"".join(self.whole))
        with Session(self.path) as session:
            self.path.write_bytes(b"".join(self.whole).replace(b'{"time', b'{"tame'))
            with self.assertRaisesRegex(InvalidScene, "frame 1 has changed since the file was opened"):
                session.body(1)

    def test_is_session(self) -> None:
        """A session is told from a request, an empty file and rubbish by its first line."""
        self.assertTrue(is_session(self.path))
        other = self.folder / "other"
        for content in (self.sent[0], b"", b"\xff\xfe", b"[]", b'{"format":"other"}\n', 100_000 * b"x"):
            other.write_bytes(content)
            self.assertFalse(is_session(other))


def _line(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


if __name__ == "__main__":
    unittest.main()
