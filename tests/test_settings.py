"""Settings: one table, from which come arguments, environment, options and README's table."""

from __future__ import annotations

import argparse
import dataclasses
import os
import unittest
from unittest import mock

from gsp_network.settings import (
    Limits,
    SettingError,
    Settings,
    add_arguments,
    environment_variable,
    is_loopback,
    markdown_table,
    option_of,
)

FIELDS = dataclasses.fields(Settings)
OPTIONS = [field for field in FIELDS if option_of(field)]
# Another value than the default for every type, as the environment would spell it.
OTHER = {int: ("17", 17), float: ("17.5", 17.5), str: ("error", "error"), bool: ("true", True), tuple: ("a", ("a",))}


def other(field):
    """Another value than the default of a setting: as text, and in its own type."""
    choices = field.metadata["choices"]
    return (choices[-1], choices[-1]) if choices else OTHER[type(field.default)]


class Table(unittest.TestCase):
    def test_every_row_is_complete(self):
        """Every setting has a default of a known type and a help that fits a table's cell."""
        for field in FIELDS:
            with self.subTest(field.name):
                self.assertIn(type(field.default), OTHER)
                self.assertTrue(field.metadata["help"])
                self.assertNotRegex(field.metadata["help"] + field.metadata["unit"], r"[|\n%]")

    def test_defaults_are_valid(self):
        """The table's own defaults pass the table's own checks, and nothing but the loopback address is listened on."""
        settings = Settings()
        self.assertEqual(
            {name: getattr(settings, name) for name in Settings.names()}, {f.name: f.default for f in FIELDS}
        )
        self.assertTrue(is_loopback(settings.host))

    def test_names(self):
        """names() lists the settings; the limits are among a server's."""
        self.assertEqual(Settings.names(), [field.name for field in FIELDS])
        self.assertLess(set(Limits.names()), set(Settings.names()))

    def test_frozen(self):
        """Settings do not change once they are made."""
        with self.assertRaises(dataclasses.FrozenInstanceError):
            Settings().port = 1

    def test_markdown_table(self):
        """README's table has one row a setting: option, variable, default with unit, help."""
        head, rule, *rows = markdown_table().split("\n")
        self.assertEqual(head, "| option | environment variable | default | meaning |")
        self.assertEqual(rule, "|---|---|---|---|")
        self.assertEqual(len(rows), len(FIELDS))
        for field in FIELDS:
            with self.subTest(field.name):
                option = f"`{option_of(field)}`" if option_of(field) else ""
                option = f"| {option} | `{environment_variable(field.name)}` | "
                row = next(row for row in rows if row.startswith(option))
                self.assertTrue(row.endswith(f" | {field.metadata['help']} |"))
        for row in (
            "| `--port` | `GSP_NETWORK_PORT` | 5000 | port to listen on; 0 picks a free one |",
            "| `--max-canvas-side` | `GSP_NETWORK_MAX_CANVAS_SIDE` | 8192 px | longest side of a canvas |",
        ):
            self.assertIn(row, rows)
        self.assertIn("| `--debug` | `GSP_NETWORK_DEBUG` | off |", markdown_table())
        self.assertIn("|  | `GSP_NETWORK_TOKEN` | none on loopback |", markdown_table())

    def test_markdown_order(self):
        """README's table has a server's own settings first, then the limits of a scene."""
        rows = markdown_table().split("\n")[2:]
        limits = [any(f"`{environment_variable(name)}`" in row for name in Limits.names()) for row in rows]
        self.assertEqual(limits, sorted(limits))


class Environment(unittest.TestCase):
    def test_variable_names(self):
        """A setting's variable is its name in capitals behind GSP_NETWORK_."""
        self.assertEqual(environment_variable("max_canvas_side"), "GSP_NETWORK_MAX_CANVAS_SIDE")

    def test_every_setting(self):
        """Every setting can be given in the environment, in its own type."""
        for field in FIELDS:
            with self.subTest(field.name):
                text, value = other(field)
                settings = Settings.from_environment({environment_variable(field.name): text})
                self.assertEqual(getattr(settings, field.name), value)
                self.assertIs(type(getattr(settings, field.name)), type(field.default))
                self.assertEqual(dataclasses.replace(settings, **{field.name: field.default}), Settings())

    def test_empty_environment(self):
        """Without variables the table's defaults hold."""
        self.assertEqual(Settings.from_environment({}), Settings())
        self.assertEqual(Limits.from_environment({}), Limits())

    def test_process_environment(self):
        """Unless another is given, the process's own environment is read."""
        with mock.patch.dict(os.environ, {"GSP_NETWORK_PORT": "17"}):
            self.assertEqual(Settings.from_environment().port, 17)

    def test_other_variables_are_ignored(self):
        """Variables of other programs, or of settings that this class lacks, mean nothing."""
        environ = {"PORT": "x", "GSP_NETWORK_COLOUR": "x", "GSP_NETWORK_PORT": "x"}
        self.assertEqual(Limits.from_environment(environ), Limits())

    def test_words_for_booleans(self):
        """Booleans are 1, true, yes, on or 0, false, no, off, in any case, or empty for false."""
        for text, value in (
            ("1", True),
            ("TRUE", True),
            ("yes", True),
            (" on ", True),
            ("0", False),
            ("No", False),
            ("", False),
        ):
            with self.subTest(text):
                self.assertIs(Settings.from_environment({"GSP_NETWORK_DEBUG": text}).debug, value)

    def test_bad_variables(self):
        """A variable that cannot be read is named, with what it holds and what is wanted."""
        table = [
            ("PORT", "abc", "'abc', expected int"),
            ("PORT", "1.5", "'1.5', expected int"),
            ("PORT", "", "'', expected int"),
            ("PORT", "-1", "-1, expected at least 0"),
            ("HEAD_TIMEOUT", "soon", "'soon', expected float"),
            ("HEAD_TIMEOUT", "0", "0.0, expected at least 0.01"),
            ("DEBUG", "maybe", "'maybe', expected true or false"),
            ("LOG_LEVEL", "loud", "'loud', expected one of debug, info, warning, error"),
            ("MAX_DEPTH", "7", "7, expected at least 8"),
            ("DATOVIZ_WORKERS", "-1", "-1, expected at least 0"),
            ("FALLBACK", "datoviz", "'datoviz', expected one of none, matplotlib"),
        ]
        for name, text, problem in table:
            with self.subTest(name=name, text=text):
                with self.assertRaises(SettingError) as caught:
                    Settings.from_environment({"GSP_NETWORK_" + name: text})
                self.assertEqual(str(caught.exception), f"environment variable GSP_NETWORK_{name}: {problem}")

    def test_not_finite(self):
        """Neither NaN nor an infinity is a limit or a timeout."""
        for text in ("nan", "inf", "-inf", "1e999"):
            for name in ("HEAD_TIMEOUT", "CLOSE_TIMEOUT", "MAX_DPI"):
                with self.subTest(name=name, text=text):
                    with self.assertRaises(SettingError):
                        Settings.from_environment({"GSP_NETWORK_" + name: text})


class Arguments(unittest.TestCase):
    def test_argument_beats_environment(self):
        """An argument goes before the environment, the environment before the table."""
        environ = {"GSP_NETWORK_PORT": "1", "GSP_NETWORK_MAX_VERTICES": "2"}
        settings = Settings.from_environment(environ, port=3)
        self.assertEqual((settings.port, settings.max_vertices, settings.max_visuals), (3, 2, Settings().max_visuals))

    def test_bad_variable_behind_an_argument(self):
        """A variable that an argument replaces is not read."""
        self.assertEqual(Settings.from_environment({"GSP_NETWORK_PORT": "abc"}, port=3).port, 3)

    def test_none_is_not_given(self):
        """None means not given; 0 and False are values."""
        environ = {"GSP_NETWORK_PORT": "1", "GSP_NETWORK_DEBUG": "1"}
        self.assertEqual(Settings.from_environment(environ, port=None).port, 1)
        settings = Settings.from_environment(environ, port=0, debug=False)
        self.assertEqual((settings.port, settings.debug), (0, False))

    def test_integers_for_floats(self):
        """A float setting takes an integer too."""
        self.assertEqual(Settings(max_dpi=300, head_timeout=1).max_dpi, 300)

    def test_bad_arguments(self):
        """An argument of the wrong type or range is named, with what was found and wanted."""
        table = [
            ({"port": "5000"}, "setting port: '5000', expected int"),
            ({"port": 5000.0}, "setting port: 5000.0, expected int"),
            ({"port": True}, "setting port: True, expected int"),
            ({"port": -1}, "setting port: -1, expected at least 0"),
            ({"host": 5}, "setting host: 5, expected str"),
            ({"debug": 1}, "setting debug: 1, expected bool"),
            ({"max_dpi": True}, "setting max_dpi: True, expected float"),
            ({"max_dpi": "96"}, "setting max_dpi: '96', expected float"),
            ({"max_vertices": 0}, "setting max_vertices: 0, expected at least 1"),
            ({"log_level": "loud"}, "setting log_level: 'loud', expected one of debug, info, warning, error"),
        ]
        for arguments, message in table:
            for make in (Settings, lambda **given: Settings.from_environment({}, **given)):
                with self.subTest(message):
                    with self.assertRaises(SettingError) as caught:
                        make(**arguments)
                    self.assertEqual(str(caught.exception), message)

    def test_several(self):
        """A setting that takes several takes one text, a list or a tuple; the environment separates by blanks."""
        for given in ("a", ["a"], ("a",)):
            self.assertEqual(Settings.from_environment({}, allow_host=given).allow_host, ("a",))
        self.assertEqual(Settings.from_environment({"GSP_NETWORK_TOKEN": " a  b\n"}).token, ("a", "b"))
        for bad in ([1], [""], 5):
            with self.subTest(bad=bad), self.assertRaises(SettingError):
                Settings.from_environment({}, allow_host=bad)

    def test_secret_that_was_not_filled_in(self):
        """A variable for tokens that is set and holds none is an error: it must not open the server."""
        for text in ("", " "):
            with self.subTest(text), self.assertRaises(SettingError) as caught:
                Settings.from_environment({"GSP_NETWORK_TOKEN": text})
            self.assertIn("GSP_NETWORK_TOKEN", str(caught.exception))

    def test_tokens_are_not_shown(self):
        """Neither the settings' own text nor an error shows a token."""
        self.assertNotIn("hidden", repr(Settings(token=("hidden",))))
        with self.assertRaises(SettingError) as caught:
            Settings.from_environment({}, token=["hidden", ""])
        self.assertNotIn("hidden", str(caught.exception))

    def test_unknown_argument(self):
        """A setting that there is not is refused, with those that there are."""
        with self.assertRaises(SettingError) as caught:
            Limits.from_environment({}, port=1)
        self.assertEqual(str(caught.exception), f"setting port: unknown, expected one of {', '.join(Limits.names())}")


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.parser = argparse.ArgumentParser(prog="test")
        add_arguments(self.parser)

    def test_nothing_given(self):
        """Every setting but the tokens is an option, and stays None where it is not given."""
        self.assertEqual(vars(self.parser.parse_args([])), dict.fromkeys(field.name for field in OPTIONS))
        self.assertEqual({field.name for field in FIELDS} - {field.name for field in OPTIONS}, {"token"})

    def test_every_option(self):
        """Every option reaches its setting in its own type."""
        for field in OPTIONS:
            with self.subTest(field.name):
                text, value = other(field)
                option = option_of(field)
                given = [option] if isinstance(field.default, bool) else [option, text]
                settings = Settings.from_environment({}, **vars(self.parser.parse_args(given)))
                self.assertEqual(settings, dataclasses.replace(Settings(), **{field.name: value}))

    def test_help(self):
        """The help lists every option with default and unit."""
        text = " ".join(self.parser.format_help().split())
        for field in OPTIONS:
            with self.subTest(field.name):
                self.assertIn(option_of(field), text)
                self.assertIn(field.metadata["help"], text)
        self.assertIn("(default 8192 px)", text)


class Loopback(unittest.TestCase):
    def test_is_loopback(self):
        """localhost, 127.0.0.0/8 and ::1 are this machine; all else is not."""
        for host in ("localhost", "LOCALHOST", "127.0.0.1", "127.8.9.10", "::1"):
            with self.subTest(host):
                self.assertTrue(is_loopback(host))
        for host in (
            "0.0.0.0",
            "::",
            "",
            "192.168.0.1",
            "example.org",
            "localhost.example.org",
            "127.0.0.1.example.org",
        ):
            with self.subTest(host):
                self.assertFalse(is_loopback(host))


if __name__ == "__main__":
    unittest.main()
