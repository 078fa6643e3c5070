"""How a server and its workers write their log: text for people, or one JSON object a line.

The library only makes records; this is for command lines, which own the process's logging.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any

LINE_CHARS = 2000  # of one message; what a client can put into it is cut much shorter where it is logged


def printable(text: str, most: int) -> str:
    """`text` as it can stand between double quotes, cut to `most` characters: no client can imitate the rest of a log."""
    shown = "".join(
        "\\" + char if char in '"\\' else char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text[:most]
    )
    return shown + ("..." if len(text) > most else "")


class JsonLines(logging.Formatter):
    """One JSON object a record: time (UTC), level, logger, message, and the fields of an access record."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of ASCII."""
        fields: dict[str, Any] = {
            "time": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:LINE_CHARS],
        }
        fields.update(getattr(record, "access", {}))
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


def configure(level: str, style: str) -> None:
    """Write the process's log to standard error, as the settings log_level and log_format say."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonLines() if style == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler])
