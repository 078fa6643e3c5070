"""The real server as a process, driven by raw sockets: what arrives wrong, what leaves early, how it starts and stops."""

from __future__ import annotations

import json
import operator
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from typing import Any, Optional

from gsp_network import __version__
from gsp_network.transport import png_fault

from .scenes import body_of, changed, pixels, points, text
from .support import ROOT

LIMIT = 3_000_000
HEAD = b"HTTP/1.1\r\nHost: 127.0.0.1\r\n"
JSON = b"Content-Type: application/json\r\n"


class ServerProcess:
    """``python -m gsp_network.server`` on a free port, with its log in a file."""

    def __init__(
        self, *options: str, module: str = "gsp_network.server", cwd: Optional[str] = None, **environ: str
    ) -> None:
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by close()
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, "--port", "0", "--ready-json", *options],
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            cwd=cwd or ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        )
        line = self.process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            self.process.wait(30)
            raise AssertionError(f"the server did not start: {self.read_log()}")
        self.ready = json.loads(line)
        self.port = int(self.ready["url"].rsplit(":", 1)[1])

    def read_log(self) -> str:
        self.log.seek(0)
        return self.log.read()

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(60)
        self.process.stdout.close()  # type: ignore[union-attr]
        return status

    def close(self) -> None:
        self.stop()
        self.log.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 30)

    def raw(self, *pieces: bytes, shut: bool = False) -> list[tuple[int, dict[str, str], bytes]]:
        """Send bytes on one connection, read to its end; the answers as (status, headers, body)."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            if shut:
                connection.shutdown(socket.SHUT_WR)
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        return answers_in(received)

    def post(self, body: bytes, *more: bytes) -> tuple[int, dict[str, str], bytes]:
        """One well-framed POST /render."""
        head = (
            b"POST /render " + HEAD + JSON + b"Connection: close\r\nContent-Length: %d\r\n" % len(body) + b"".join(more)
        )
        (answer,) = self.raw(head + b"\r\n" + body)
        return answer


def answers_in(received: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """The answers in what a connection sent, each of exactly its Content-Length."""
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(re.fullmatch(r"HTTP/1\.1 (\d{3}) .+", lines[0]).group(1))  # type: ignore[union-attr]
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
        if status == 100:
            received = rest
            answers.append((status, headers, b""))
            continue
        length = int(headers["content-length"])
        answers.append((status, headers, rest[:length]))
        received = rest[length:]
    return answers


def threads_and_files(pid: int) -> tuple[int, int]:
    return len(os.listdir(f"/proc/{pid}/task")), len(os.listdir(f"/proc/{pid}/fd"))


class TestRawRequests(unittest.TestCase):
    """One server for all cases; after each it serves a good request, and nothing is left of the bad one."""

    server: ServerProcess
    good: bytes

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = ServerProcess("--max-body-bytes", str(LIMIT), "--read-timeout", "1.5")
        cls.addClassCleanup(cls.server.close)
        cls.good = body_of(points((0, 0, 0)))
        cls.server.post(cls.good)

    def tearDown(self) -> None:
        self.assertIsNone(self.server.process.poll(), "the server died")
        status, _, body = self.server.post(self.good)
        self.assertEqual((status, png_fault(body)), (200, ""), "the next good request was not served")
        self.assertEqual(self.server.read_log()[-3000:].count("Traceback"), 0, self.server.read_log()[-3000:])

    def expect_problem(
        self, answers: list, status: int, kind: Optional[str] = None, closed: bool = True
    ) -> dict[str, Any]:
        """Exactly one answer: a problem document with that status and type."""
        self.assertEqual([answer[0] for answer in answers], [status], answers)
        _, headers, body = answers[0]
        self.assertEqual(headers["content-type"], "application/problem+json")
        problem = json.loads(body)
        self.assertEqual((problem["status"], problem["request_id"]), (status, headers["x-request-id"]))
        self.assertNotIn(str(ROOT), body.decode())
        if kind is not None:
            self.assertEqual(problem["type"], kind)
        if closed:
            self.assertEqual(headers["connection"], "close")
        self.assertIn(problem["request_id"], self.server.read_log())
        return problem

    # -- rows 1 to 9: the length of the body

    def test_lengths_that_are_none(self) -> None:
        """Rows 1 to 3: a Content-Length that is no plain number, or stands twice, is 400 and ends the connection."""
        for value in (b"-1", b"+4", b"1_0", b"4, 4", b"0x4", b"", b"1" * 20, b"4\r\nContent-Length: 4"):
            with self.subTest(value=value):
                request = (
                    b"POST /render "
                    + HEAD
                    + JSON
                    + b"Content-Length: "
                    + value
                    + b"\r\n\r\n{}  GET /health "
                    + HEAD
                    + b"\r\n"
                )
                self.expect_problem(self.server.raw(request, shut=True), 400, "bad_content_length")

    def test_transfer_encoding(self) -> None:
        """Rows 4 and 5: Transfer-Encoding is not decoded; what follows is never read as a request."""
        for length in (b"", b"Content-Length: 5\r\n"):
            request = (
                b"POST /render "
                + HEAD
                + JSON
                + length
                + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health "
                + HEAD
                + b"\r\n"
            )
            self.expect_problem(self.server.raw(request, shut=True), 501, "transfer_encoding")

    def test_post_without_length(self) -> None:
        """Row 6: a POST without Content-Length is 411."""
        self.expect_problem(self.server.raw(b"POST /render " + HEAD + JSON + b"\r\n"), 411, "length_required")

    def test_body_over_the_limit_all_sent(self) -> None:
        """Row 7: a client that sends all of a too large body reads the 413."""
        body = b" " * (LIMIT * 8)
        problem = self.expect_problem(
            self.server.raw(b"POST /render " + HEAD + JSON + b"Content-Length: %d\r\n\r\n" % len(body), body), 413
        )
        self.assertEqual(problem["limit"], "max_body_bytes")

    def test_body_over_the_limit_nothing_sent(self) -> None:
        """Row 7: the 413 comes before the body is read."""
        with self.server.connect() as connection:
            connection.sendall(b"POST /render " + HEAD + JSON + b"Content-Length: %d\r\n\r\n" % (LIMIT + 1))
            head = connection.recv(65536)
            self.assertTrue(head.startswith(b"HTTP/1.1 413 "), head)

    def test_giant_length(self) -> None:
        """Row 8: a Content-Length of 4 GB takes no memory."""
        peak = (
            int(
                re.search(
                    r"VmPeak:\s+(\d+)", pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text()
                ).group(1)
            )
            if os.path.exists("/proc/self/status")
            else 0
        )  # type: ignore[union-attr]
        self.expect_problem(
            self.server.raw(b"POST /render " + HEAD + JSON + b"Content-Length: 4294967296\r\n\r\nabcd", shut=True), 413
        )
        if peak:
            now = int(
                re.search(
                    r"VmPeak:\s+(\d+)", pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text()
                ).group(1)
            )  # type: ignore[union-attr]
            self.assertLess(now - peak, 200_000, "kB")

    def test_short_body(self) -> None:
        """Row 9: a body that ends early is 400, and its beginning is never drawn, be it a whole scene."""
        for body, length in ((b"{}", 100), (self.good, len(self.good) + 1)):
            request = b"POST /render " + HEAD + JSON + b"Content-Length: %d\r\n\r\n" % length + body
            self.expect_problem(self.server.raw(request, shut=True), 400, "incomplete_body")

    def test_body_that_never_comes(self) -> None:
        """A body that stays away is answered 408 after the read timeout."""
        self.expect_problem(
            self.server.raw(b"POST /render " + HEAD + JSON + b"Content-Length: 10\r\n\r\n{"), 408, "timeout"
        )

    def test_silent_connection_is_closed(self) -> None:
        """A connection on which nothing comes is closed after the read timeout, without an answer."""
        self.assertEqual(self.server.raw(), [])

    def test_exact_limit(self) -> None:
        """A body of exactly the limit is read; padding after the document is white space."""
        self.assertEqual(self.server.post(self.good.ljust(LIMIT))[0], 200)

    # -- row 27 and its like: methods, paths, types

    def test_methods(self) -> None:
        """Row 27: other methods are 405 with Allow, and HEAD has no body."""
        for path, method, allow in (
            (b"/render", b"GET", "POST"),
            (b"/render", b"PUT", "POST"),
            (b"/render", b"OPTIONS", "POST"),
            (b"/render", b"DELETE", "POST"),
            (b"/render", b"BREW", "POST"),
            (b"/health", b"POST", "GET, HEAD"),
            (b"/", b"POST", "GET, HEAD"),
        ):
            with self.subTest(path=path, method=method):
                answers = self.server.raw(
                    method + b" " + path + b" " + HEAD + b"Content-Length: 2\r\n\r\n{}", shut=True
                )
                self.expect_problem(answers, 405, "method_not_allowed")
                self.assertEqual(answers[0][1]["allow"], allow)

    def test_head(self) -> None:
        """Row 27: HEAD is answered with the headers of GET and no body, 405 included."""
        for path, status in ((b"/health", 200), (b"/", 200), (b"/render", 405)):
            with self.subTest(path=path), self.server.connect() as connection:
                connection.sendall(b"HEAD " + path + b" " + HEAD + b"Connection: close\r\n\r\n")
                received = b"".join(iter(lambda: connection.recv(65536), b""))
                self.assertTrue(received.startswith(b"HTTP/1.1 %d " % status), received)
                self.assertTrue(received.endswith(b"\r\n\r\n"), received)
                self.assertRegex(received, rb"Content-Length: [1-9]")

    def test_other_paths(self) -> None:
        """Paths are matched as they are: no decoding, no normalising; a query is ignored."""
        for path in (b"/nothing", b"/render/", b"//render", b"/../render", b"/%72ender", b"/Render"):
            with self.subTest(path=path):
                self.expect_problem(
                    self.server.raw(b"GET " + path + b" " + HEAD + b"\r\n", shut=True), 404, "not_found"
                )
        self.assertEqual(self.server.raw(b"GET /health?x=1 " + HEAD + b"Connection: close\r\n\r\n")[0][0], 200)

    def test_content_type(self) -> None:
        """A body that is not JSON by its type, or is compressed, is 415."""
        for header in (
            b"",
            b"Content-Type: text/plain\r\n",
            b"Content-Type: application/x-www-form-urlencoded\r\n",
            JSON + b"Content-Encoding: gzip\r\n",
        ):
            with self.subTest(header=header):
                self.expect_problem(
                    self.server.raw(b"POST /render " + HEAD + header + b"Content-Length: 2\r\n\r\n{}", shut=True), 415
                )
        self.assertEqual(
            self.server.raw(
                b"POST /render "
                + HEAD
                + b"Content-Type: Application/JSON; charset=utf-8\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
                % len(self.good)
                + self.good
            )[0][0],
            200,
        )

    def test_expect(self) -> None:
        """100 Continue is sent when the head is in order; a head that is not gets its final answer alone."""
        ask = b"POST /render " + HEAD + JSON + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: "
        self.assertEqual(
            [answer[0] for answer in self.server.raw(ask + b"%d\r\n\r\n" % len(self.good), self.good)], [100, 200]
        )
        self.expect_problem(self.server.raw(ask + b"%d\r\n\r\n" % (LIMIT + 1), shut=True), 413)
        self.expect_problem(
            self.server.raw(
                b"POST /render " + HEAD + JSON + b"Expect: a miracle\r\nContent-Length: 2\r\n\r\n{}", shut=True
            ),
            417,
        )

    def test_lines_that_are_too_long(self) -> None:
        """A request line over 2 KiB is 414; a head of garbage is 400; both end the connection."""
        self.expect_problem(self.server.raw(b"GET /" + b"a" * 70000 + b" " + HEAD + b"\r\n", shut=True), 414)
        self.expect_problem(self.server.raw(b"\x16\x03\x01 hello tls\r\n\r\n", shut=True), 400)

    def test_empty_line_before_a_request(self) -> None:
        """One empty line before a request is ignored (RFC 9112 2.2)."""
        self.assertEqual(self.server.raw(b"\r\nGET /health " + HEAD + b"Connection: close\r\n\r\n")[0][0], 200)

    def test_kept_connection_and_old_protocol(self) -> None:
        """HTTP/1.1 keeps the connection unless told otherwise, HTTP/1.0 only when asked."""
        get = b"GET /health HTTP/%s\r\nHost: x\r\n%s\r\n"
        self.assertEqual(len(self.server.raw(get % (b"1.1", b"") + get % (b"1.1", b"Connection: close\r\n"))), 2)
        self.assertEqual(len(self.server.raw(get % (b"1.0", b"") + get % (b"1.0", b""))), 1)
        kept = self.server.raw(get % (b"1.0", b"Connection: keep-alive\r\n") + get % (b"1.0", b""))
        self.assertEqual([headers["connection"] for _, headers, _ in kept], ["keep-alive", "close"])

    # -- row 33: clients that leave

    def test_clients_that_leave(self) -> None:
        """Row 33: a hundred clients that leave in mid-head, mid-body or before their answer leave nothing behind."""
        self.server.post(self.good)
        request = b"POST /render " + HEAD + JSON + b"Content-Length: %d\r\n\r\n" % len(self.good) + self.good

        def now() -> tuple[int, int]:
            return threads_and_files(self.server.process.pid) if sys.platform == "linux" else (0, 0)

        before = now()
        for number in range(100):
            with self.server.connect() as connection:
                connection.sendall(request[: (20, 150, len(request))[number % 3]])
                if number % 2:  # reset instead of an orderly end
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.assertEqual(self.server.post(self.good)[0], 200)
        deadline = time.monotonic() + 20
        while max(map(operator.sub, now(), before)) > 0 and time.monotonic() < deadline:
            threading.Event().wait(0.05)
        self.assertLessEqual(max(map(operator.sub, now(), before)), 0, f"{now()} after {before}")

    # -- rows 35 to 48: the document

    def test_documents(self) -> None:
        """Rows 35 to 48: each wrong document is answered with its status, type and place."""
        disc = self.good
        good_image = body_of(pixels([[0, 0, 0]], [[0, 0, 0, 255]], 1))
        string = body_of(text("hello"))

        def visual(*path: Any, value: Any = None, delete: bool = False, body: bytes = disc) -> bytes:
            return changed(body, "visuals", 0, "visual", *path, value=value, delete=delete)

        def sizes(**fields: Any) -> bytes:
            return visual(
                "sizes", "transBuf", value={"count": 1, "buffer_type": "float32", "data_base64": "AABIQw==", **fields}
            )

        nan, infinity = disc.replace(b'"dpi":96.0', b'"dpi":NaN'), disc.replace(b'"dpi":96.0', b'"dpi":1e999')
        cases: list[tuple[str, bytes, int, str, Optional[str]]] = [
            ("35 deep", b"[" * 100_000 + b"]" * 100_000, 400, "json_too_deep", None),
            ("35 deep objects", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400, "json_too_deep", None),
            (
                "35 deeper than 64",
                changed(disc, "extra", value=json.loads("[" * 70 + "]" * 70)),
                400,
                "json_too_deep",
                None,
            ),
            ("36 5000 digits", disc.replace(b'"width":100', b'"width":' + b"1" * 5000), 400, "bad_number", None),
            ("36 4000 digits", disc.replace(b'"width":100', b'"width":' + b"1" * 4000), 400, "bad_number", None),
            ("37 NaN", nan, 422, "invalid_scene", "canvas.dpi"),
            ("37 1e999", infinity, 422, "invalid_scene", "canvas.dpi"),
            ("37 NaN in a buffer", sizes(data_base64="AADAfw=="), 422, "invalid_scene", "visuals[0].sizes[0]"),
            ("38 a key twice", disc.replace(b'"dpi":96.0', b'"dpi":96.0,"dpi":96.0'), 400, "duplicate_key", None),
            (
                "39 lone surrogate",
                string.replace(b'"hello"', b'"\\ud800"'),
                422,
                "invalid_scene",
                "visuals[0].texts[0]",
            ),
            ("39 NUL", string.replace(b'"hello"', b'"a\\u0000b"'), 422, "invalid_scene", "visuals[0].texts[0]"),
            ("40 UTF-16", disc.decode().encode("utf-16"), 400, "not_json", None),
            ("40 BOM", b"\xef\xbb\xbf" + disc, 400, "not_json", None),
            ("40 bad UTF-8", disc.replace(b"matplotlib", b"matplot\xfflib"), 400, "not_json", None),
            ("41 true for 1", changed(disc, "canvas", "width", value=True), 422, "invalid_scene", "canvas.width"),
            (
                "41 800.0 for an int",
                changed(disc, "canvas", "width", value=800.0),
                422,
                "invalid_scene",
                "canvas.width",
            ),
            ("41 missing field", visual("sizes", delete=True), 422, "invalid_scene", "visuals[0].sizes"),
            ("41 missing list", changed(disc, "cameras", delete=True), 422, "invalid_scene", "cameras"),
            ("41 wrong type", visual("sizes", value=[1.0]), 422, "invalid_scene", "visuals[0].sizes"),
            (
                "41 unknown visual",
                changed(disc, "visuals", 0, "type", value="torus"),
                422,
                "invalid_scene",
                "visuals[0].type",
            ),
            (
                "41 unknown buffer type",
                sizes(buffer_type="float64"),
                422,
                "invalid_scene",
                "visuals[0].sizes.buffer_type",
            ),
            ("42 many lists", b"[" + b"[]," * (LIMIT // 3 - 9) + b"[]]", 422, "scene_too_large", "body"),
            ("42 fewer lists", b"[" + b"[]," * 499_000 + b"[]]", 422, "invalid_scene", "body"),
            ("43 not base64", sizes(data_base64="!!!!!!=="), 422, "invalid_scene", "visuals[0].sizes.data_base64"),
            ("43 spaces", sizes(data_base64="AAB IQw="), 422, "invalid_scene", "visuals[0].sizes.data_base64"),
            ("43 two texts", sizes(data_base64="YQ==YQ=="), 422, "invalid_scene", "visuals[0].sizes.data_base64"),
            ("43 url-safe", sizes(data_base64="AAB-Qw=="), 422, "invalid_scene", "visuals[0].sizes.data_base64"),
            (
                "43 bits behind the data",
                sizes(data_base64="AABIQx=="),
                422,
                "invalid_scene",
                "visuals[0].sizes.data_base64",
            ),
            ("43 too short", sizes(data_base64="AAA="), 422, "invalid_scene", "visuals[0].sizes.data_base64"),
            ("44 canvas 0", changed(disc, "canvas", "width", value=0), 422, "invalid_scene", "canvas.width"),
            ("44 canvas -1", changed(disc, "canvas", "height", value=-1), 422, "invalid_scene", "canvas.height"),
            ("44 canvas 70000", changed(disc, "canvas", "width", value=70_000), 422, "scene_too_large", "canvas.width"),
            (
                "44 canvas 8192 x 8192",
                changed(disc, "canvas", value={"uuid": "u", "width": 8192, "height": 8192, "dpi": 96.0}),
                422,
                "scene_too_large",
                "canvas",
            ),
            ("44 dpi 0", changed(disc, "canvas", "dpi", value=0), 422, "invalid_scene", "canvas.dpi"),
            ("44 dpi 1e9", changed(disc, "canvas", "dpi", value=1e9), 422, "scene_too_large", "canvas.dpi"),
            ("45 list lengths", changed(disc, "viewports", value=[]), 422, "invalid_scene", "viewports"),
            (
                "45 group index",
                visual("groups", value=[[1]], body=good_image),
                422,
                "invalid_scene",
                "visuals[0].groups[0]",
            ),
            (
                "47 long text",
                string.replace(b'"hello"', b'"' + b"x" * 100_000 + b'"'),
                422,
                "scene_too_large",
                "visuals[0].texts[0]",
            ),
            (
                "47 many lines",
                string.replace(b'"hello"', b'"' + b"\\n" * 200 + b'"'),
                422,
                "scene_too_large",
                "visuals[0].texts[0]",
            ),
            (
                "47 font 1e6",
                changed(string, "visuals", 0, "visual", "font_sizes", "transBuf", "data_base64", value="ACR0SQ=="),
                422,
                "scene_too_large",
                "visuals[0].font_sizes[0]",
            ),
            (
                "47 font -1",
                changed(string, "visuals", 0, "visual", "font_sizes", "transBuf", "data_base64", value="AACAvw=="),
                422,
                "invalid_scene",
                "visuals[0].font_sizes[0]",
            ),
            (
                "47 font NaN",
                changed(string, "visuals", 0, "visual", "font_sizes", "transBuf", "data_base64", value="AADAfw=="),
                422,
                "invalid_scene",
                "visuals[0].font_sizes[0]",
            ),
            ("not JSON", b"{", 400, "not_json", None),
            ("empty", b"", 400, "not_json", None),
            ("null", b"null", 422, "invalid_scene", "body"),
        ]
        for name, body, status, kind, where in cases:
            with self.subTest(row=name):
                problem = self.expect_problem([self.server.post(body)], status, kind)
                if where is not None:
                    self.assertEqual(problem.get("where"), where)

    def test_documents_that_pass(self) -> None:
        """Rows 41, 46 and 48: unknown keys, unbalanced formulas and unknown fonts are drawn."""
        string = body_of(text("hello"))
        for name, body in (
            ("unknown keys", changed(self.good, "later", value={"a": [1, 2]})),
            ("formula", changed(string, "visuals", 0, "visual", "texts", value=["$\\frac{$"])),
            ("font", changed(string, "visuals", 0, "visual", "font_name", value="No Such Font At All")),
            ("font as a path", changed(string, "visuals", 0, "visual", "font_name", value="/etc/hostname")),
        ):
            with self.subTest(case=name):
                status, _, picture = self.server.post(body)
                self.assertEqual((status, png_fault(picture)), (200, ""))


class TestStartAndStop(unittest.TestCase):
    def test_ready_line_as_json(self) -> None:
        """--ready-json says url, pid and version in one line of JSON, when the server answers."""
        server = ServerProcess()
        self.addCleanup(server.close)
        self.assertEqual(
            server.ready, {"url": f"http://127.0.0.1:{server.port}", "pid": server.process.pid, "version": __version__}
        )
        self.assertEqual(server.raw(b"GET /health " + HEAD + b"Connection: close\r\n\r\n")[0][0], 200)

    def test_ready_line_for_people(self) -> None:
        """Without it one line names version and URL."""
        process = subprocess.Popen(
            [sys.executable, "-m", "gsp_network.server", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        line = process.stdout.readline()  # type: ignore[union-attr]
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        self.assertRegex(
            line, rf"^gsp_network {re.escape(__version__)} serves on http://127\.0\.0\.1:\d+ \(Ctrl-C stops it\)$"
        )
        self.assertEqual((rest, process.returncode), ("", 0))

    def test_signals_end_it_with_0(self) -> None:
        """SIGTERM and SIGINT stop the server, idle connections included, with exit status 0."""
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number.name):
                server = ServerProcess()
                self.addCleanup(server.close)
                idle = server.connect()
                self.addCleanup(idle.close)
                self.assertEqual(server.post(body_of())[0], 200)
                self.assertEqual(server.stop(number), 0)
                self.assertNotIn("Traceback", server.read_log())

    def test_request_under_way_is_finished(self) -> None:
        """A picture that is being drawn when SIGTERM comes is answered, then the server ends with 0."""
        server = ServerProcess("--log-level", "debug")
        self.addCleanup(server.close)
        n = 150_000  # about a second of drawing
        places = [[(i % 97) / 48 - 1, (i % 89) / 44 - 1, 0] for i in range(n)]
        body = body_of(points(*places, size=20.0, width=1.0))
        with server.connect() as connection:
            connection.sendall(b"POST /render " + HEAD + JSON + b"Content-Length: %d\r\n\r\n" % len(body) + body[:-1])
            server.process.send_signal(signal.SIGTERM)
            while True:  # until it listens no more, the signal has arrived
                try:
                    server.connect().close()
                except ConnectionError:
                    break
            connection.sendall(body[-1:])
            answers = answers_in(b"".join(iter(lambda: connection.recv(65536), b"")))
        self.assertEqual([(status, png_fault(picture)) for status, _, picture in answers], [(200, "")])
        self.assertEqual(server.process.wait(60), 0)

    def test_port_in_use(self) -> None:
        """A taken port is one clear line that names it and what to try, and exit status 2."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = subprocess.run(
                [sys.executable, "-m", "gsp_network.server", "--port", str(port)],
                capture_output=True,
                text=True,
                timeout=60,
                cwd=ROOT,
            )
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        self.assertIn(f"port {port} on 127.0.0.1 is in use", done.stderr)
        self.assertIn("--port", done.stderr)

    def test_bad_settings(self) -> None:
        """A setting that is none is one line that names the option or variable, and exit status 2."""
        for options, environ, wanted in (
            (["--max-dpi", "-3"], {}, "max_dpi"),
            (["--log-level", "loud"], {}, "log_level: 'loud', expected one of debug, info, warning, error"),
            ([], {"GSP_NETWORK_PORT": "many"}, "environment variable GSP_NETWORK_PORT: 'many', expected int"),
            (
                [],
                {"GSP_REMOTE_RENDERER": "opengl"},
                "GSP_REMOTE_RENDERER: 'opengl', expected one of matplotlib, datoviz",
            ),
            (["--host", "no.such.host.invalid"], {}, "no.such.host.invalid"),
        ):
            with self.subTest(options=options, environ=environ):
                command = [
                    sys.executable,
                    "-m",
                    "gsp_network.server",
                    *(options if environ else ["--port", "0", *options]),
                ]
                done = subprocess.run(
                    command, capture_output=True, text=True, timeout=60, cwd=ROOT, env={**os.environ, **environ}
                )
                self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                self.assertIn(wanted, done.stderr)
                self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)

    def test_help_lists_every_setting(self) -> None:
        """--help names every option of the table."""
        from gsp_network.settings import Settings

        done = subprocess.run(
            [sys.executable, "-m", "gsp_network.server", "--help"], capture_output=True, text=True, timeout=60, cwd=ROOT
        )
        self.assertEqual(done.returncode, 0)
        for name in Settings.names():
            self.assertIn("--" + name.replace("_", "-"), done.stdout)


class TestDebug(unittest.TestCase):
    def test_requests_and_pictures_are_saved(self) -> None:
        """--debug saves each drawn request and its picture, for their owner alone, numbered, the newest kept."""
        with tempfile.TemporaryDirectory() as folder:
            where = pathlib.Path(folder, "saved")
            server = ServerProcess("--debug", "--debug-dir", str(where), "--debug-files", "2")
            self.addCleanup(server.close)
            bodies = [body_of(points((x, 0, 0))) for x in (0.0, 0.2, 0.4)]
            pictures = [server.post(body)[2] for body in bodies]
            server.post(b"{}")
            self.assertEqual(server.stop(), 0)
            names = ["000002_payload.json", "000002_picture.png", "000003_payload.json", "000003_picture.png"]
            self.assertEqual(sorted(os.listdir(where)), names)
            self.assertEqual(
                [(where / name).read_bytes() for name in names], [bodies[1], pictures[1], bodies[2], pictures[2]]
            )
            if os.name == "posix":
                self.assertEqual({(where / name).stat().st_mode & 0o777 for name in names}, {0o600})
            again = ServerProcess("--debug", "--debug-dir", str(where))
            self.addCleanup(again.close)
            again.post(bodies[0])
            again.stop()
            self.assertIn("000004_payload.json", os.listdir(where))

    def test_default_folder(self) -> None:
        """Without --debug-dir the folder is network_server_debug in the working directory; without --debug there is none."""
        with tempfile.TemporaryDirectory() as folder:
            for options, expected in (([], []), (["--debug"], ["network_server_debug"])):
                server = ServerProcess(*options, cwd=folder)
                self.addCleanup(server.close)
                server.post(body_of())
                server.stop()
                self.assertEqual(os.listdir(folder), expected)

    def test_folder_that_cannot_be_made(self) -> None:
        """A debug folder that cannot be made is one line and exit status 2."""
        with tempfile.NamedTemporaryFile() as file:
            done = subprocess.run(
                [sys.executable, "-m", "gsp_network.server", "--port", "0", "--debug", "--debug-dir", file.name + "/x"],
                capture_output=True,
                text=True,
                timeout=60,
                cwd=ROOT,
            )
        self.assertEqual(done.returncode, 2)
        self.assertIn("debug folder", done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
