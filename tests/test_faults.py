"""The catalogue of faults: where each of its 77 rows is tested."""

from __future__ import annotations

import ast
import json
import re
import unittest

from gsp_network.tools.vendor import sources

from .support import ROOT

TESTS = ROOT / "tests"

# Tests that name their row begin their docstring with it ("Row 51: ..."), and the corpus names rows by itself. Here the rest:
# row -> file:test.
ELSEWHERE = {
    12: "test_server.py:test_slow_reader",
    49: "test_matplotlib_backend.py:test_rc_params_do_not_show",
    61: "test_command_line.py:test_request_under_way_is_finished",
    62: "test_server.py:test_closing_twice_or_before_starting",
    65: "test_locked_down.py",
    66: "test_workers.py:test_neither_multiprocessing_nor_pickle",
    67: "test_server.py:test_port_in_use",
    68: "test_command_line.py:test_ready_line_as_json",
    69: "test_transport.py:test_bypassed_for_loopback",
    70: "test_transport.py:test_redirect",
    71: "test_transport.py:test_truncated",
    72: "test_loading.py",
    74: "test_workers.py:test_runs_calls_in_order_in_one_thread",
    76: "test_command_line.py:test_requests_and_pictures_are_saved",
}


def tests_of(path: object) -> dict[str, str]:
    """Name -> docstring of the tests in a file."""
    tree = ast.parse((TESTS / str(path)).read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test")]
    return {function.name: ast.get_docstring(function) or "" for function in functions}


def named_rows() -> set[int]:
    """The rows that docstrings of tests and the corpus name."""
    rows: set[int] = set()
    for path in TESTS.glob("test_*.py"):
        for text in tests_of(path.name).values():
            match = re.match(r"Rows? ([0-9, and to]+):", text)
            for first, last in re.findall(r"(\d+)(?: to (\d+))?", match.group(1)) if match else []:
                rows.update(range(int(first), int(last or first) + 1))
    for case in json.loads((TESTS / "raw_requests.json").read_text(encoding="utf-8")):
        rows.update(case["row"] if isinstance(case["row"], list) else [case["row"]])
    return rows


class TestCatalogue(unittest.TestCase):
    def test_every_row_has_its_place(self) -> None:
        """Every row from 1 to 77 is tested somewhere."""
        self.assertEqual(set(range(1, 78)) - named_rows() - set(ELSEWHERE), set())

    def test_places_exist(self) -> None:
        """The tests that are named here are there."""
        for row, place in ELSEWHERE.items():
            file, _, name = place.partition(":")
            with self.subTest(row=row):
                self.assertTrue((TESTS / file).is_file(), file)
                if name:
                    self.assertIn(name, tests_of(file))

    def test_no_death_signal(self) -> None:
        """Row 64: no source asks for a signal at its parent's death, which would come when a mere thread ends."""
        everything = "".join(sources().values())
        self.assertIn("signal.alarm", everything)
        self.assertNotIn("PDEATHSIG", everything)
        self.assertNotIn("prctl", everything)


if __name__ == "__main__":
    unittest.main()
