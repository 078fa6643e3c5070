"""One table of server settings.

Each row gives a setting's name, type, default, unit and help; from it come the command line's option, the environment
variable and README's table. What is not given as an argument is taken from the environment, else from the table.
"""

from __future__ import annotations

import argparse
import dataclasses
import ipaddress
import os
from typing import Any, Mapping, Optional, TypeVar

from .errors import LimitExceeded, SettingError

_Settings = TypeVar("_Settings", bound="Limits")


def _row(default: Any, unit: str, help: str, least: Optional[float] = None, choices: tuple[str, ...] = ()) -> Any:
    return dataclasses.field(default=default, metadata={"unit": unit, "help": help, "least": least, "choices": choices})


@dataclasses.dataclass(frozen=True)
class Limits:
    """How large a scene may be; every field must be positive. Errors name the field that was hit."""

    max_canvas_side: int = _row(8192, "px", "longest side of a canvas", 1)
    # 4096 x 4096: one such frame takes 129 MB and about 0.6 s.
    max_canvas_pixels: int = _row(16_777_216, "px", "width x height of a canvas", 1)
    max_dpi: float = _row(1200.0, "dpi", "resolution of a canvas", 1)
    max_viewports: int = _row(64, "", "different viewports in a scene", 1)
    max_visuals: int = _row(1024, "", "entries in a scene's lists", 1)
    max_vertices: int = _row(4_000_000, "", "vertices in a scene, all visuals together", 1)
    # One string of 4096 characters takes 0.4 s to lay out.
    max_string_chars: int = _row(4096, "", "characters in one string", 1)
    max_string_lines: int = _row(100, "", "lines in one string", 1)
    max_text_chars: int = _row(65_536, "", "characters in a scene, all strings together", 1)
    max_font_size: float = _row(1000.0, "pt", "font size", 1)
    # "W" * 4096 at 1000 pt and 96 dpi is a hundred times this, and takes 7.6 s.
    max_text_pixels: int = _row(2**26, "px", "font size squared in px x characters, all strings together", 1)
    # 10 MB of "[]," are seven times this, and take some seconds to parse.
    max_json_items: int = _row(1_000_000, "", "values and containers of the JSON document, base64 aside", 1)
    max_depth: int = _row(64, "", "nesting of the JSON document", 8)
    math_text: bool = _row(False, "", "draw $...$ in strings as formulas; off: every string is literal")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check(field, getattr(self, field.name), f"setting {field.name}")

    def check(self, name: str, where: str, found: float, unit: str) -> None:
        """Refuse more than the limit of that name allows.

        Raises:
            LimitExceeded: at `where`, naming the setting.
        """
        most = getattr(self, name)
        if found > most:
            raise LimitExceeded(where, f"{found} {unit}, expected at most {most}", name)

    @classmethod
    def names(cls) -> list[str]:
        """The names of all settings."""
        return [field.name for field in dataclasses.fields(cls)]

    @classmethod
    def from_environment(cls: type[_Settings], environ: Mapping[str, str] = os.environ, **arguments: Any) -> _Settings:
        """Settings from arguments, else from the environment, else from the table.

        Args:
            environ: where environment variables are looked up.
            arguments: settings by name; None means not given.
        Raises:
            SettingError: an unknown name, or a value of the wrong type or range.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(arguments) - set(fields))
        if unknown:
            raise SettingError(f"setting {unknown[0]}: unknown, expected one of {', '.join(fields)}")
        values = {name: value for name, value in arguments.items() if value is not None}
        for name, field in fields.items():
            text = environ.get(environment_variable(name))
            if name not in values and text is not None:
                values[name] = _parse(field, text, f"environment variable {environment_variable(name)}")
        return cls(**values)


@dataclasses.dataclass(frozen=True)
class Settings(Limits):
    """All that a server can be told."""

    host: str = _row("127.0.0.1", "", "address to listen on")
    port: int = _row(5000, "", "port to listen on; 0 picks a free one", 0)
    max_body_bytes: int = _row(64 * 2**20, "bytes", "body of a request", 1)
    # 1M points (vec3, float32) are 16 MB in base64: a slow line gets through in steps, a silent one does not.
    read_timeout: float = _row(15.0, "s", "longest silence of a client, inside a request or between two", 0.01)
    write_timeout: float = _row(30.0, "s", "longest time for a client to take its answer", 0.01)
    render_timeout: float = _row(120.0, "s", "longest time for a picture, waiting for its turn included", 0.01)
    close_timeout: float = _row(30.0, "s", "how long closing waits for requests under way", 0)
    log_level: str = _row(
        "info", "", "how much is logged: debug, info, warning, error", choices=("debug", "info", "warning", "error")
    )
    ready_json: bool = _row(False, "", "say that the server is ready as one line of JSON")
    debug: bool = _row(False, "", "save every drawn request and its picture")
    debug_dir: str = _row("./network_server_debug", "", "where debug saves them")
    debug_files: int = _row(1000, "", "requests that debug keeps; the oldest go first", 1)


def is_loopback(host: str) -> bool:
    """Whether a host name is this machine itself: localhost, 127.0.0.0/8 or ::1."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def environment_variable(name: str) -> str:
    """Name of the environment variable of a setting: ``GSP_NETWORK_PORT`` for ``port``."""
    return "GSP_NETWORK_" + name.upper()


def _check(field: dataclasses.Field[Any], value: Any, where: str) -> None:
    wanted = type(field.default)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (isinstance(value, wanted) or (wanted is float and number)) or (
        isinstance(value, bool) and wanted is not bool
    ):
        raise SettingError(f"{where}: {value!r}, expected {wanted.__name__}")
    least = field.metadata["least"]
    if least is not None and not least <= value < float("inf"):
        wanted_range = f"at least {least}" if value < least else f"a finite number of at least {least}"
        raise SettingError(f"{where}: {value!r}, expected {wanted_range}")
    if field.metadata["choices"] and value not in field.metadata["choices"]:
        raise SettingError(f"{where}: {value!r}, expected one of {', '.join(field.metadata['choices'])}")


def _parse(field: dataclasses.Field[Any], text: str, where: str) -> Any:
    wanted: Any = type(field.default)
    if wanted is bool:
        words = {
            "1": True,
            "true": True,
            "yes": True,
            "on": True,
            "0": False,
            "false": False,
            "no": False,
            "off": False,
            "": False,
        }
        if text.strip().lower() not in words:
            raise SettingError(f"{where}: {text!r}, expected true or false")
        return words[text.strip().lower()]
    try:
        value = wanted(text)
    except ValueError:
        raise SettingError(f"{where}: {text!r}, expected {wanted.__name__}") from None
    _check(field, value, where)
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one option a setting to a command line; what is not given stays None, for `Settings.from_environment`."""
    for field in dataclasses.fields(Settings):
        option = "--" + field.name.replace("_", "-")
        default = field.default
        parser_of: Any = type(default)
        text = f"{field.metadata['help']} (default {default}{' ' + field.metadata['unit'] if field.metadata['unit'] else ''})"
        if isinstance(default, bool):
            parser.add_argument(option, action="store_true", default=None, help=text)
        else:
            parser.add_argument(option, type=parser_of, default=None, metavar=type(default).__name__.upper(), help=text)


def markdown_table() -> str:
    """README's table of settings: option, environment variable, default, meaning."""
    lines = ["| option | environment variable | default | meaning |", "|---|---|---|---|"]
    for field in sorted(
        dataclasses.fields(Settings), key=lambda field: field.name in {row.name for row in dataclasses.fields(Limits)}
    ):
        unit = f" {field.metadata['unit']}" if field.metadata["unit"] else ""
        default = "off" if field.default is False else f"{field.default}{unit}"
        option, variable = field.name.replace("_", "-"), environment_variable(field.name)
        lines.append(f"| `--{option}` | `{variable}` | {default} | {field.metadata['help']} |")
    return "\n".join(lines)


DEFAULT_LIMITS = Limits()
"""The limits of the table."""
