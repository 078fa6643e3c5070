"""A worker process that breaks the rules, by script: ``python scripted_worker.py START [FILE]``.

It says hello or not, as START says, and then answers each call as the call's first argument says. FILE gets a byte at each start.

Tests start it by the hundred: so it loads nothing of the package, whose frames it makes itself, and little else.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import threading

HELLO, CALL, BEGUN, RESULT, ERROR = range(1, 6)
HEADER = struct.Struct(">4sBQIQ")  # as in gsp_network.worker_process, which reads it

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def write_frame(out: Any, kind: int, number: int, facts: Any) -> None:
    """A frame without data."""
    text = json.dumps(facts).encode()
    out.write(HEADER.pack(b"GSPW", kind, number, len(text), 0) + text)
    out.flush()


def answer(out: Any, number: int, what: str) -> None:
    """One answer, right or wrong."""
    facts = {"value": what, "rss": 1}
    if what == "garbage":
        out.write(b"Segmentation fault (core dumped)\n" * 10)
    elif what == "half":
        out.write(b"GSPW\x04" + number.to_bytes(8, "big") + (100).to_bytes(4, "big") + (0).to_bytes(8, "big") + b'{"va')
        out.flush()
        os._exit(0)
    elif what == "header":
        out.write(b"GSPW\x04")
        out.flush()
        os._exit(0)
    elif what == "oversize":
        out.write(b"GSPW\x04" + number.to_bytes(8, "big") + (2).to_bytes(4, "big") + (2**60).to_bytes(8, "big") + b"{}")
    elif what == "no-json":
        out.write(b"GSPW\x04" + number.to_bytes(8, "big") + (3).to_bytes(4, "big") + (0).to_bytes(8, "big") + b"{,}")
    elif what == "no-facts":
        write_frame(out, RESULT, number, {})
    elif what == "wrong-number":
        write_frame(out, RESULT, number + 1, facts)
    elif what == "no-value":
        write_frame(out, RESULT, number, {"value": {"bytes": 5}, "rss": 1})
    elif what == "infinite":
        out.write(b"GSPW\x04" + number.to_bytes(8, "big") + (30).to_bytes(4, "big") + (0).to_bytes(8, "big"))
        out.write(b'{"value": 1, "rss": Infinity}'.ljust(30))
    elif what == "no-error":
        write_frame(out, ERROR, number, {"error": "os", "args": [], "rss": 1})
    elif what == "die":
        write_frame(out, BEGUN, number, {})
        os._exit(0)
    elif what == "exit-after":
        write_frame(out, RESULT, number, facts)
        os._exit(0)
    else:
        write_frame(out, RESULT, number, facts)
        if what == "twice":
            write_frame(out, RESULT, number, facts)
        if what == "late":  # an answer to a call that is long over
            write_frame(out, RESULT, number - 1, facts)
    out.flush()


def main(start: str, path: str = "") -> None:
    """Begin as told, then answer calls until the input ends."""
    if path:
        with open(path, "ab") as file:
            file.write(b".")
    if start == "exit" or (start.startswith("exit-unless:") and not os.path.exists(start.partition(":")[2])):
        sys.exit(1)
    if start.startswith("wait:"):
        while not os.path.exists(start.partition(":")[2]):
            threading.Event().wait(0.01)
    if start == "silent":
        threading.Event().wait()
    incoming, out = sys.stdin.buffer, sys.stdout.buffer
    if start == "chatty":
        out.write(b"Welcome to the graphics driver!\n")
    write_frame(out, HELLO, 0, {"version": "scripted", "rss": 1})
    while True:
        header = incoming.read(HEADER.size)
        if not header:
            return
        _, _, number, length, size = HEADER.unpack(header)
        facts, _ = json.loads(incoming.read(length)), incoming.read(size)
        answer(out, number, str(facts["args"][0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
