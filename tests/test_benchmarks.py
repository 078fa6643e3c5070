"""The benchmarks run, print their tables and find nothing; here with small numbers, so that they do not rot."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import tempfile
import unittest
from typing import Any
from unittest import mock

import numpy as np

from gsp_network import Canvas, encode_scene, render_payload

from .benchmarks import __main__ as benchmarks
from .benchmarks import first_picture, frame, fuzz, goals, origin_side, parts, soak, video
from .benchmarks import points as points_benchmark
from .benchmarks.goals import Row, at_least, at_most
from .processes import Answer, needs_proc
from .scenes import body_of, one_of_each, points
from .support import ROOT, slow


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
            status, printed = printed_by(soak.main, "--requests", "50", "--clients", "4", "--seconds", "600")
        self.assertEqual(status, 0, printed)
        for name in ("ok", "wrong", "lost", "hostile", "kills", "time", "front RSS", "front files", "0 findings"):
            self.assertRegex(printed, rf"(?m)^{name}\b", printed)
        self.assertRegex(printed, r"(?m)^requests +55,")

    @slow
    def test_stops_when_its_time_is_up(self) -> None:
        """What was not asked within the time is a finding, and the end comes soon."""
        with QUICK:
            status, printed = printed_by(soak.main, "--requests", "100000", "--clients", "2", "--seconds", "0.3")
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
            status, printed = printed_by(fuzz.main, "--count", "100", "--seconds", "600", "--keep", folder)
            self.assertEqual(status, 0, printed)
        for name in ("payloads", "statuses", "types", "workers", "mutations", "slowest", "0 findings"):
            self.assertRegex(printed, rf"(?m)^{name}\b", printed)
        self.assertRegex(printed, r"(?m)^payloads +100 from")

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


class TestGoals(unittest.TestCase):
    def test_verdicts(self) -> None:
        """A figure is judged as it is shown, on the side of the goal that is right; nothing is judged without both."""
        cases = [
            (at_most(1.2), 1.2, "ok"),
            (at_most(1.2), 1.204, "ok"),  # shown as 1.20
            (at_most(1.2), 1.206, "short"),
            (at_least(6), 5.996, "ok"),  # shown as 6.00
            (at_least(6), 5.99, "short"),
            (at_least(28), 27.94, "short"),
            (at_least(28), 28.04, "ok"),
            (at_most(150), 150.4, "ok"),
            (at_most(150), 151.0, "short"),
            (at_most(None), 1.0, ""),
            (at_most(1.2), None, ""),
        ]
        for goal, measured, expected in cases:
            with self.subTest(goal=goal, measured=measured):
                self.assertEqual(goals.verdict(goal, measured), expected)
                self.assertEqual(Row("what", goal, measured).cells()[3], expected)

    def test_lines(self) -> None:
        """A row stands in columns, or as a row of a table in Markdown; one without a figure says why."""
        row = Row("points", at_least(6), 7.25, "x", "a | b", 7.25, 8.5)
        self.assertEqual(goals.line(row.cells(), True), "| points | >= 6x | 7.25x | ok | 7.25 | 8.50 | a \\| b |")
        self.assertRegex(goals.line(row.cells(), False), r"^points +>= 6x +7\.25x +ok +7\.25 +8\.50 +a \| b$")
        missing = Row("points", at_least(6), None, "x", "there is none")
        self.assertRegex(goals.line(missing.cells(), False), r"^points +>= 6x +not measured +there is none$")

    def test_choice(self) -> None:
        """A word chooses what is so called or, where nothing is, what has it in its name; one that chooses nothing is told."""
        names = ["points 100", "points 100k", "import"]
        self.assertEqual(benchmarks.chosen(names, []), names)
        self.assertEqual(benchmarks.chosen(names, ["points 100"]), ["points 100"])
        self.assertEqual(benchmarks.chosen(names, ["import", "Points"]), names)
        with self.assertRaisesRegex(SystemExit, "nothing is called 'paths': points 100, points 100k, import"):
            benchmarks.chosen(names, ["paths"])


class TestTable(unittest.TestCase):
    def rows(self, *arguments: str) -> dict[str, list[str]]:
        """What the command prints of small scenes: the cells of each row by the first."""
        quick = "--small", "--markdown", "--seconds", "0.01", "--rounds", "1"
        _, printed = printed_by(benchmarks.main, *quick, *arguments)
        rows = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("| ")]
        self.assertEqual(rows[0][:2], ["what", "goal"], printed)
        return {what: cells for what, *cells in rows[1:]}

    @slow
    def test_runs(self) -> None:
        """A row a goal, with the figure and a verdict that follows from both; an origin that does not start is told why."""
        origin = "--origin", str(ROOT / "no-python"), str(ROOT)
        rows = self.rows("--only", "points 100", "transport", "growth", "health", "throughput", "memory", *origin)
        for what, goal in (
            ("points 100: first sending / floor", "<= 1.2"),
            ("points 100: buffers known / floor", "<= 1.2"),
            ("transport alone, 1 kB", "<= 0.8 ms"),
            ("transport alone, 1 MB", "<= 1.2 ms"),
            ("1000 points, each", "<= 1.5 us"),
            ("each of 1000 points / of 100", "<= 1.1"),
            ("camera over 1000 points, a frame", "<= 10 kB"),
            ("/health in a render by a worker, the longest", "<= 20 ms"),
        ):
            with self.subTest(what):
                self.assertEqual(rows[what][0], goal)
                bound, figure = (float(re.search(r"[\d.]+", cell)[0]) for cell in rows[what][:2])  # type: ignore[index]
                self.assertEqual(rows[what][2], "ok" if figure <= bound else "short")
        self.assertIn("memory after 20 renders / after 2", rows)
        what = "throughput, points 100: 2 clients, 2 workers / 1, 1"
        self.assertEqual(rows[what][0], "")
        self.assertRegex(rows[what][1], r"^[\d.]+x$")
        for what in ("points 100: origin / first sending", "throughput, points 100: 2 clients, 2 workers / origin"):
            self.assertEqual(rows[what][1:3], ["not measured", ""])
            self.assertRegex(rows[what][-1], "no-python: No such file")

    @slow
    @needs_proc
    def test_origin(self) -> None:
        """Another client and server, here ours again by another interpreter, take turns with this one."""
        arguments = "--only", "points 100", "--origin", sys.executable, str(ROOT)
        rows = self.rows(*arguments)
        for what, goal in (
            ("points 100: origin / first sending", ">= 6x"),
            ("points 100: origin / buffers known", ">= 7x"),
        ):
            self.assertEqual(rows[what][0], goal)
            self.assertRegex(rows[what][1], r"^[\d.]+x$")

    @slow
    def test_profile(self) -> None:
        """For each way of sending a scene: the parts of its time, and the whole."""
        _, printed = printed_by(
            benchmarks.main, "--small", "--profile", "--seconds", "0.01", "--rounds", "1", "--only", "points"
        )
        self.assertRegex(printed, r"(?m)^points 100 +JSON +([\d.-]+ +){6}[\d.]+$")
        self.assertRegex(printed, r"(?m)^points 100 +known +([\d.-]+ +){6}[\d.]+$")


class TestOriginSide(unittest.TestCase):
    def test_scenes(self) -> None:
        """A scene that is made of the origin's objects by its document is the same scene."""
        visuals = [visual for visual in one_of_each() if visual.kind in origin_side.VISUALS]
        self.assertEqual(len(visuals), 6)
        for visual in visuals:
            with self.subTest(visual.kind):
                body = body_of(visual)
                loaded = origin_side.Loaded(json.loads(body))
                again = encode_scene(loaded.canvas, *loaded.scene, loaded.renderer)
                self.assertEqual(render_payload(again), render_payload(body))

    def test_what_is_missing(self) -> None:
        """A class that is nowhere is told with the places that were looked into."""
        with self.assertRaises(origin_side.OriginMissing) as caught:
            origin_side.find("NoSuchVisual")
        for place in (
            "no NoSuchVisual: ",
            "gsp.core",
            "gsp.visuals.no_such_visual",
            "no attribute 'NoSuchVisual' (gsp_network)",
        ):
            self.assertIn(place, str(caught.exception))


class TestFrame(unittest.TestCase):
    @slow
    def test_runs(self) -> None:
        """A frame of small scenes through client and server is the frame that is drawn here."""
        few = {name: scene for name, scene in frame.scenes().items() if not name.endswith(("k", "M"))}
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
