"""The access log: a line a request, and its fields for who writes the log as JSON."""

from __future__ import annotations

import logging
from typing import Any

from .framing import Exchange
from .logs import printable

access_log = logging.getLogger("gsp_network.access")

LOG_CHARS = 200


def log_exchange(exchange: Exchange) -> None:
    """Log a request and its answer."""
    response, error = exchange.response, exchange.response.error
    method, _, target = exchange.line.partition(" ")
    facts: dict[str, Any] = {  # escaped here, also for JSON: what reads that may print it to a terminal
        "address": exchange.address,
        "method": printable(method, LOG_CHARS),
        "target": printable(target.rpartition(" ")[0] or target, LOG_CHARS),
        "status": response.status,
        "received_bytes": exchange.received,
        "sent_bytes": len(response.body),
        "ms": round(1000 * exchange.seconds, 1),
        "request_id": exchange.id,
    }
    told = ""
    if error is not None:
        facts.update(type=error.type, detail=printable(str(error), LOG_CHARS))
        told = f" {facts['type']}: {facts['detail']}"
    line = (
        f'{facts["address"]} "{facts["method"]} {facts["target"]}" {facts["status"]}, {exchange.received} bytes in, '
        f"{facts['sent_bytes']} out, {facts['ms']} ms, request {exchange.id}{told}"
    )
    # What a client does wrong is no trouble of this server.
    level = logging.ERROR if response.status == 500 else logging.INFO
    access_log.log(level, "%s", line, extra={"access": facts})
