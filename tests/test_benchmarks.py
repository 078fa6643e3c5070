"""The benchmarks run, print their tables and find nothing; here with small numbers, so that they do not rot."""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
import unittest
from typing import Any
from unittest import mock

import numpy as np

from gsp_network import Canvas, render_payload

from .benchmarks import first_picture, frame, fuzz, parts, soak, video
from .benchmarks import points as points_benchmark
from .processes import Answer, needs_proc
from .scenes import body_of, points
from .support import slow


def printed_by(main: Any, *arguments: str) -> tuple[Any, str]:
    """What a benchmark's `main` returns and prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        status = main(list(arguments))
    return status, printed.getvalue()


QUICK = mock.patch.multiple(soak, HEAD_SECONDS=0.5, BODY_SECONDS=0.6)  # for clients that dawdle


@needs_proc
class TestSoak(unittest.TestCase):
    @slow
    def test_runs_and_finds_nothing(self) -> None:
        """Good and hostile requests, and killed workers: nothing is wrong or lost, and all figures are printed."""
        with QUICK:
            status, printed = printed_by(soak.main, "--requests", "150", "--clients", "6", "--seconds", "600")
        self.assertEqual(status, 0, printed)
        for name in ("ok", "wrong", "lost", "hostile", "kills", "time", "front RSS", "front files", "0 findings"):
            self.assertRegex(printed, rf"(?m)^{name}\b", printed)
        self.assertRegex(printed, r"(?m)^requests +165,")

    @slow
    def test_stops_when_its_time_is_up(self) -> None:
        """What was not asked within the time is a finding, and the end comes soon."""
        with QUICK:
            status, printed = printed_by(soak.main, "--requests", "100000", "--clients", "2", "--seconds", "1")
        self.assertEqual(status, 1, printed)
        self.assertRegex(printed, r"FOUND: \d+ of 100500 requests within the time")


class TestGoodRequests(unittest.TestCase):
    def test_pictures_show_their_numbers(self) -> None:
        """Each request's own picture is right, another's is not, of every visual."""
        kinds = set()
        for number in range(60):
            good, other = soak.good_request(0, number), soak.good_request(0, number + 1)
            kinds.update(kind for kind in soak.KINDS if f'"type":"{kind}"'.encode() in good.body)
            picture = render_payload(good.body)
            self.assertEqual(soak.what_is_wrong(good, picture), "", number)
            self.assertNotEqual(soak.what_is_wrong(other, picture), "", number)
            same_size = other._replace(width=good.width, height=good.height)
            self.assertIn("cell", soak.what_is_wrong(same_size, picture), number)
            self.assertIn("no picture", soak.what_is_wrong(good, picture[: len(picture) // 2]), number)
        self.assertEqual(kinds, set(soak.KINDS))


class TestFuzz(unittest.TestCase):
    @slow
    def test_runs_and_finds_nothing(self) -> None:
        """Mutated payloads are answered by pictures and by problems of the sender's; all figures are printed."""
        with tempfile.TemporaryDirectory() as folder:
            status, printed = printed_by(fuzz.main, "--count", "200", "--seconds", "600", "--keep", folder)
            self.assertEqual(status, 0, printed)
        for name in ("payloads", "statuses", "types", "workers", "mutations", "slowest", "0 findings"):
            self.assertRegex(printed, rf"(?m)^{name}\b", printed)
        self.assertRegex(printed, r"(?m)^payloads +200 from")

    def test_payloads_follow_from_seed_and_number(self) -> None:
        """The same number is the same payload in every run; one in five at least is still a scene."""
        known = fuzz.bases()
        drawn = 0
        for number in range(60):
            one, two = (fuzz.Payload(3, number, fuzz.bases(), "/folder") for _ in range(2))
            self.assertEqual((one.body, one.headers), (two.body, two.headers), number)
            with contextlib.suppress(Exception):
                drawn += bool(render_payload(one.body))
        self.assertEqual(known, fuzz.bases())
        self.assertGreater(drawn, 12)

    def test_what_should_not_come_is_found(self) -> None:
        """Faults of the server, limits without a name and pictures of another size are findings."""
        body = body_of(points((0, 0, 0)), canvas=Canvas(5, 4))
        problem = b'{"type": "%s", "detail": "x", "request_id": "y", "status": %d%s}'
        cases = [
            (200, render_payload(body), ""),
            (200, render_payload(body_of(canvas=Canvas(4, 5))), "a picture of (4, 5), expected (5, 4)"),
            (200, render_payload(body)[:-20], "no whole picture"),
            (500, problem % (b"internal_error", 500, b""), "status 500"),
            (503, problem % (b"busy", 503, b', "limit": "queue"'), ""),
            (504, problem % (b"render_timeout", 504, b""), "504 without the name of a limit"),
            (422, problem % (b"invalid_scene", 422, b', "where": "canvas"'), ""),
            (422, problem % (b"invalid_scene", 422, b""), "422 without a place"),
            (422, b"<html>", "no problem document"),
            (400, problem % (b"not_json", 500, b""), "a problem document that says too little"),
        ]
        for status, answer, expected in cases:
            with self.subTest(status=status, answer=answer[:80]):
                self.assertEqual(fuzz.what_is_wrong(Answer(status, {}, answer), body), expected)


class TestFrame(unittest.TestCase):
    @slow
    def test_runs(self) -> None:
        """A frame of small scenes through client and server is the frame that is drawn here."""
        few = {name: scene for name, scene in frame.scenes().items() if "k" not in name}
        self.assertTrue(few)
        patches = {"scenes": lambda: few, "large_scenes": lambda: few}
        with mock.patch.multiple(frame, **patches), mock.patch("sys.argv", ["frame", "--rounds", "1"]):
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                frame.main()
        self.assertRegex(printed.getvalue(), r"(?m)^points 100 +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+$")
        self.assertRegex(printed.getvalue(), r"(?m)^points 100 +\d+ +\d{1,4}( +[\d.]+){6}$")


class TestParts(unittest.TestCase):
    @slow
    def test_runs(self) -> None:
        """PNG, JSON both ways, HTTP and import: every row is printed, each figure beside what it is measured against."""
        small = {"noise": (np.arange(3600, dtype=np.uint8).reshape(30, 40, 3), True)}
        with mock.patch.object(parts, "pictures", lambda: small):
            _, printed = printed_by(parts.main, "--small", "--seconds", "0.01")
        figure = r" +[\d.]+"
        for row in (
            rf"png noise\* +ours{figure} +Pillow L1{figure} +Pillow{figure}  kB",
            rf"encode 1 MB +encode{figure} +json\.dumps{figure} +b2a_base64{figure}{figure} ms/MB",
            rf"decode 1 MB +decode{figure} +json\.loads{figure} +a2b_base64{figure}{figure} ms/MB",
            rf"transport +0\.001 MB{figure} +1 MB{figure}",
            rf"import +client{figure} +numpy{figure}",
        ):
            self.assertRegex(printed, f"(?m)^{row}")


class TestPoints(unittest.TestCase):
    @slow
    def test_runs(self) -> None:
        """Small scenes are drawn both ways, and their pictures are nearly the same."""
        _, printed = printed_by(points_benchmark.main, "--seconds", "0", "--most", "150")
        found = re.findall(r"(?m)^points .+ (\d\.\d+) +(\d+)$", printed)
        self.assertEqual(len(found), 12, printed)
        for least, most in found:
            self.assertGreaterEqual(float(least), 0.998)
            self.assertLessEqual(int(most), 21)


class TestFirstPicture(unittest.TestCase):
    @slow
    def test_runs(self) -> None:
        """A server that has just started draws its first picture; in process it listens well before Matplotlib is imported."""
        with mock.patch("sys.argv", ["first_picture", "--rounds", "1"]):
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                first_picture.main()
        for name in ("first picture / import", "first picture in process / import"):
            self.assertRegex(printed.getvalue(), rf"(?m)^{name}: [\d.]+$")
        listens = re.search(r"(?m)^listens / import: ([\d.]+)$", printed.getvalue())
        self.assertLess(float(listens.group(1)), 1.2)  # 0.25 on an idle machine


class TestVideo(unittest.TestCase):
    @slow
    def test_runs(self) -> None:
        """A few frames of a small scene come from one worker and from two, and the ratio is printed."""
        ratio, printed = printed_by(video.main, "--frames", "3", "--rounds", "1", "--count", "20")
        self.assertRegex(printed, rf"(?m)^frames +[\d.]+ +[\d.]+ +{ratio:.2f}$")
        self.assertRegex(printed, r"(?m)^apng +[\d.]+ +[\d.]+ +[\d.]+$")


if __name__ == "__main__":
    unittest.main()
