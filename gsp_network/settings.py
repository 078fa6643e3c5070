"""One table of server settings, and the names of the renderers that can be asked for.

Each row gives a setting's name, type, default, unit and help; from it come the command line's option, the environment
variable and README's table. What is not given as an argument is taken from the environment, else from the table. Imports no
numpy, so that a server that draws in worker processes starts without it.
"""

from __future__ import annotations

import argparse
import dataclasses
import ipaddress
import os
from typing import Any, Mapping, Optional, TypeVar

from .errors import InvalidScene, LimitExceeded, SettingError, kind_of

RENDERER_NAMES = ("matplotlib", "datoviz")
"""The renderers that a request can ask for."""

RENDERER_ALIASES = {"datoviz-v03": "datoviz"}
"""Other names for them: later versions of the origin's client call Datoviz so."""

RENDERER_VARIABLE = "GSP_REMOTE_RENDERER"
"""Environment variable: the client's default, and on the server the renderer of a request that names none."""

RENDERER_HEADER = "GSP-Renderer"
"""Request header in which our client repeats the renderer's name, readable without the body; in answers, who drew."""

FALLBACK_HEADER = "GSP-Fallback"
"""Header of an answer whose picture was drawn by another renderer than asked for, since that one could not: by which."""

REFS_HEADER, REFS_KIND = "GSP-Buffer-Refs", "sha256"
"""Header of answers by a server that takes buffers by their hash alone, once it has had them, and which hash that is."""

JSON_KIND, PACKED_KIND = "application/json", "application/vnd.gsp.scene"
"""The media types of a request's body: a document with base64 in it, and one with the bytes behind it (see `packed`)."""

PACKED_MAGIC = b"\x93GSP\x01\r\n\x1a"
"""How a body of the second kind begins, and none of the first; the 1 is its version."""

OFFER_HEADER = "Accept-Post"
"""Header of a server's answers: the kinds that it takes (W3C, Linked Data Platform 1.0, 7.1)."""

_Settings = TypeVar("_Settings", bound="Limits")


def _row(
    default: Any,
    unit: str,
    help: str,
    least: Optional[float] = None,
    choices: tuple[str, ...] = (),
    option: Optional[str] = None,
    shown: Optional[str] = None,
    secret: bool = False,
) -> Any:
    """One row: `option` is the command line's where it is not made of the name ("": none), `shown` the default in words."""
    facts = {"unit": unit, "help": help, "least": least, "choices": choices, "option": option, "shown": shown}
    return dataclasses.field(default=default, repr=not secret, metadata={**facts, "secret": secret})


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
    allow_load: tuple[str, ...] = _row(
        (), "", "folder, or https://host/, from which TransformLoad links may read; may be given several times"
    )
    max_load_bytes: int = _row(
        64 * 2**20, "bytes", "what the TransformLoad links of a scene may read and decode, in all", 1
    )

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
        values = {name: _several(fields[name], value) for name, value in arguments.items() if value is not None}
        for name, field in fields.items():
            text = environ.get(environment_variable(name))
            if name not in values and text is not None:
                values[name] = _parse(field, text, f"environment variable {environment_variable(name)}")
                if (
                    field.metadata["secret"] and not values[name]
                ):  # a secret that was not filled in must not open the server
                    raise SettingError(
                        f"environment variable {environment_variable(name)}: set, but it holds none; unset it"
                    )
        return cls(**values)


@dataclasses.dataclass(frozen=True)
class Settings(Limits):
    """All that a server can be told."""

    host: str = _row("127.0.0.1", "", "address to listen on; any but this machine's own requires a token")
    port: int = _row(5000, "", "port to listen on; 0 picks a free one", 0)
    workers: int = _row(
        0,
        "",
        "processes that draw; 0: a thread of the server's own",
        0,
        shown="one a CPU, at most 4; 0 for `RenderServer`",
    )
    python: str = _row(
        "",
        "",
        "interpreter of Python that runs the workers; a frozen program has none of its own",
        shown="the one that runs the server",
    )
    datoviz_workers: int = _row(
        1, "", "processes that draw with Datoviz, beside one warm spare; 0: Datoviz is refused", 0
    )
    datoviz_in_process: bool = _row(
        False, "", "where workers is 0: draw with Datoviz in the server's own process, which its faults then end"
    )
    fallback: str = _row(
        "none",
        "",
        "who draws a scene where Datoviz has ended its process over it or does not start: none, matplotlib",
        choices=("none", "matplotlib"),
    )
    queue: int = _row(
        0, "", "requests that may wait for their turn, by renderer", 0, shown="4 a worker; 16 without workers"
    )

    token: tuple[str, ...] = _row(
        (), "", "tokens that clients may show, separated by blanks", option="", shown="none on loopback", secret=True
    )
    token_file: str = _row("", "", "file with one token a line, readable by its owner alone", shown="none")
    certfile: str = _row("", "", "PEM file with the certificate: the server speaks https", shown="none")
    keyfile: str = _row("", "", "PEM file with the certificate's key", shown="in `--certfile`")
    allow_host: tuple[str, ...] = _row(
        (), "", "further name under which the server is reached; may be given several times"
    )
    allow_origin: tuple[str, ...] = _row(
        (),
        "",
        "origin of web pages that a proxy in front serves together with this server, as https://host; may be given "
        "several times",
    )

    max_connections: int = _row(64, "", "connections at once", 1)
    max_address_connections: int = _row(16, "", "connections at once from one address that is not this machine's", 1)
    max_body_bytes: int = _row(64 * 2**20, "bytes", "body of a request", 1)
    max_inflight_bytes: int = _row(512 * 2**20, "bytes", "bodies of all requests under way", 1)
    head_timeout: float = _row(5.0, "s", "time for a request's head to arrive, in all", 0.01)
    # 64 MiB in 60 s is 9 Mbit/s; 1M points (vec3, float32) are 16 MB in base64.
    body_timeout: float = _row(60.0, "s", "time for a request's body to arrive, in all", 0.01)
    idle_timeout: float = _row(15.0, "s", "how long a connection is kept between two requests", 0.01)
    queue_timeout: float = _row(10.0, "s", "how long a request waits for its turn to be drawn", 0.01)
    render_timeout: float = _row(30.0, "s", "longest time for a picture once its turn has come", 0.01)
    write_timeout: float = _row(30.0, "s", "time for a client to take its answer, in all", 0.01)
    close_timeout: float = _row(30.0, "s", "how long closing waits for requests under way", 0)

    recycle_renders: int = _row(200, "", "pictures that a worker draws before a fresh one takes over", 1)
    recycle_bytes: int = _row(2**30, "bytes", "memory at which a fresh worker takes over", 1)
    worker_memory_bytes: int = _row(
        4 * 2**30,
        "bytes",
        "address space of a worker, or what a Datoviz worker has to itself; a scene that needs more is refused; 0: no limit",
        0,
    )
    imports: tuple[str, ...] = _row(
        (),
        "",
        "module to import where scenes are drawn, to register its transform links; may be given several times",
        option="--import",
    )

    # Eight times the buffers of 1M points.
    store_bytes: int = _row(
        2**28, "bytes", "buffers that are kept, so that clients need not send them again; 0: none are", 0
    )
    store_seconds: float = _row(600.0, "s", "how long a buffer is kept that no scene names", 0.01)

    log_level: str = _row(
        "info", "", "how much is logged: debug, info, warning, error", choices=("debug", "info", "warning", "error")
    )
    log_format: str = _row("text", "", "how it is logged: text, json", choices=("text", "json"))
    ready_json: bool = _row(False, "", "say that the server is ready as one line of JSON")
    exit_with_parent: bool = _row(False, "", "stop when the process that started the server has ended")
    debug: bool = _row(False, "", "save every drawn request and its picture")
    debug_dir: str = _row("./network_server_debug", "", "where debug saves them")
    debug_files: int = _row(1000, "", "requests that debug keeps; the oldest go first", 1)

    def places(self, workers: int) -> int:
        """How many requests may be drawn or wait where so many workers draw: the setting queue, or what its 0 stands for."""
        return max(workers, 1) + (self.queue or (4 * workers if workers else 16))


def check_renderer_name(name: Any, where: str = "renderer_name") -> str:
    """The one of RENDERER_NAMES that `name` means, by itself or by an alias, else InvalidScene at `where`, which lists them."""
    known = RENDERER_ALIASES.get(name, name) if isinstance(name, str) else None
    if known not in RENDERER_NAMES:
        found = repr(name[:80]) if isinstance(name, str) else kind_of(name)
        raise InvalidScene(where, f"{found}, expected one of {', '.join(RENDERER_NAMES)}")
    return str(known)


def environment_renderer_name() -> str:
    """What GSP_REMOTE_RENDERER holds, as it stands there, else "matplotlib".

    Raises:
        InvalidScene: the variable names no renderer.
    """
    name = os.environ.get(RENDERER_VARIABLE) or RENDERER_NAMES[0]
    check_renderer_name(name, f"environment variable {RENDERER_VARIABLE}")
    return name


def default_renderer_name() -> str:
    """The renderer that GSP_REMOTE_RENDERER means, else "matplotlib"; InvalidScene where it means none."""
    return check_renderer_name(environment_renderer_name())


def is_loopback(host: str) -> bool:
    """Whether a host name is this machine itself: localhost, 127.0.0.0/8 or ::1."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_token(text: str) -> bool:
    """Whether a header can carry `text` as a token (RFC 6750): printable ASCII without blanks, at least one character."""
    return bool(text) and all("!" <= char <= "~" for char in text)


def environment_variable(name: str) -> str:
    """Name of the environment variable of a setting: ``GSP_NETWORK_PORT`` for ``port``."""
    return "GSP_NETWORK_" + name.upper()


def _several(field: dataclasses.Field[Any], value: Any) -> Any:
    """The value of a setting that takes several: a tuple, of one text or a list of texts."""
    if not isinstance(field.default, tuple):
        return value
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def _check(field: dataclasses.Field[Any], value: Any, where: str) -> None:
    wanted = type(field.default)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    found = "what it holds" if field.metadata["secret"] else repr(value)
    if not (isinstance(value, wanted) or (wanted is float and number)) or (
        isinstance(value, bool) and wanted is not bool
    ):
        raise SettingError(f"{where}: {found}, expected {wanted.__name__}")
    if wanted is tuple and not all(isinstance(item, str) and item.strip() for item in value):
        raise SettingError(f"{where}: {found}, expected texts that are not empty")
    least = field.metadata["least"]
    if least is not None and not least <= value < float("inf"):
        wanted_range = f"at least {least}" if value < least else f"a finite number of at least {least}"
        raise SettingError(f"{where}: {found}, expected {wanted_range}")
    if field.metadata["choices"] and value not in field.metadata["choices"]:
        raise SettingError(f"{where}: {found}, expected one of {', '.join(field.metadata['choices'])}")


_BOOLEANS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def _parse(field: dataclasses.Field[Any], text: str, where: str) -> Any:
    wanted: Any = type(field.default)
    if wanted is bool:
        word = text.strip().lower()
        if word and word not in _BOOLEANS:
            raise SettingError(f"{where}: {text!r}, expected true or false")
        return _BOOLEANS.get(word, False)
    try:
        value = tuple(text.split()) if wanted is tuple else wanted(text)
    except ValueError:
        raise SettingError(f"{where}: {text!r}, expected {wanted.__name__}") from None
    _check(field, value, where)
    return value


MOST_PORT = 2**16 - 1


def default_port() -> int:
    """The port of a server that is told none: GSP_NETWORK_PORT's, whatever else the environment holds, else the table's.

    Raises:
        SettingError: the variable holds no port.
    """
    name = environment_variable("port")
    port = Settings.from_environment({name: os.environ[name]} if name in os.environ else {}).port
    if port > MOST_PORT:
        raise SettingError(f"environment variable {name}: {port}, expected 0 to {MOST_PORT}")
    return port


def port_number(text: str) -> int:
    """The port that a command line's argument names; the `type` of it for argparse."""
    port = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 0 < port <= MOST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r}, expected 1 to {MOST_PORT}")
    return port


def option_of(field: dataclasses.Field[Any]) -> str:
    """The command line's option of a setting: ``--port``; empty where there is none."""
    option = field.metadata["option"]
    return "--" + field.name.replace("_", "-") if option is None else option


def _default_of(field: dataclasses.Field[Any]) -> str:
    if field.metadata["shown"] is not None:
        return str(field.metadata["shown"])
    if field.default == ():
        return "none"
    unit = f" {field.metadata['unit']}" if field.metadata["unit"] else ""
    return "off" if field.default is False else f"{field.default}{unit}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one option a setting to a command line; what is not given stays None, for `Settings.from_environment`."""
    for field in dataclasses.fields(Settings):
        option = option_of(field)
        if not option:
            continue
        kind: Any = type(field.default)
        text = f"{field.metadata['help']} (default {_default_of(field)})"
        if kind is bool:
            parser.add_argument(option, dest=field.name, action="store_true", default=None, help=text)
        elif kind is tuple:
            parser.add_argument(option, dest=field.name, action="append", default=None, metavar="TEXT", help=text)
        else:
            metavar = kind.__name__.upper()
            parser.add_argument(option, dest=field.name, type=kind, default=None, metavar=metavar, help=text)


def markdown_table() -> str:
    """README's table of settings: option, environment variable, default, meaning."""
    lines = ["| option | environment variable | default | meaning |", "|---|---|---|---|"]
    for field in sorted(
        dataclasses.fields(Settings), key=lambda field: field.name in {row.name for row in dataclasses.fields(Limits)}
    ):
        option = f"`{option_of(field)}`" if option_of(field) else ""
        lines.append(
            f"| {option} | `{environment_variable(field.name)}` | {_default_of(field)} | {field.metadata['help']} |"
        )
    return "\n".join(lines)


DEFAULT_LIMITS = Limits()
"""The limits of the table."""
