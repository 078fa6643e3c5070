"""What starting costs: a server and its first picture, over the time that Matplotlib takes to import.

    python -m tests.benchmarks.first_picture [--rounds 9]

All sides are new processes and alternate; the figures are the medians. "serve" is the command line with its default number of
workers, which start before anybody has asked for a picture; the request is sent as soon as the server says that it is ready. "in
process" is a program that embeds a server without workers, from its import of gsp_network on, as Matplotlib's time is from its
import on: until it listens, and until its first picture has come back.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from tests.processes import ServerProcess, post_request, server_environ
from tests.scenes import body_of, points
from tests.support import ROOT

IMPORT = """
import time
began = time.perf_counter()
import matplotlib.figure, matplotlib.backends.backend_agg
print(time.perf_counter() - began)
"""
EMBED = """
import socket, sys, time
request = sys.stdin.buffer.read()
began = time.perf_counter()
from gsp_network import RenderServer
with RenderServer(port=0, workers=0) as server:
    print(time.perf_counter() - began)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(request)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    print(time.perf_counter() - began)
    assert answer.startswith(b"HTTP/1.1 200"), answer
"""


def seconds_of(program: str, given: bytes = b"") -> list[float]:
    """The times that a program in a process of its own prints, in seconds."""
    done = subprocess.run(
        [sys.executable, "-c", program], input=given, stdout=subprocess.PIPE, check=True, cwd=ROOT, env=server_environ()
    )
    return [float(line) for line in done.stdout.split()]


def serve(body: bytes) -> list[float]:
    """Seconds until the command line's server is ready, and until its first picture is there."""
    began = time.perf_counter()
    server = ServerProcess()
    try:
        said = time.perf_counter() - began
        status = server.post(body).status
        took = time.perf_counter() - began
    finally:
        server.close()
    if status != 200:
        raise SystemExit(f"the first picture was answered {status}")
    return [said, took]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="starts a side (default 9)")
    rounds = parser.parse_args().rounds
    body = body_of(points((0, 0, 0)))
    found = []
    for number in range(rounds + 1) if rounds > 1 else [1]:
        began = time.perf_counter()
        imported = seconds_of(IMPORT)
        whole = time.perf_counter() - began
        times = [whole, *serve(body), *imported, *seconds_of(EMBED, post_request(body))]
        if number:  # the first of several rounds reads everything from the disk
            found.append(times)
    whole, ready, first, alone, listens, drawn = (1000 * statistics.median(side) for side in zip(*found))
    print(f"serve: process with import {whole:.0f} ms, ready {ready:.0f} ms, first picture {first:.0f} ms")
    print(f"first picture / import: {first / whole:.2f}")
    print(f"in process: import {alone:.0f} ms, listens {listens:.0f} ms, first picture {drawn:.0f} ms")
    print(f"listens / import: {listens / alone:.2f}")
    print(f"first picture in process / import: {drawn / alone:.2f}")


if __name__ == "__main__":
    main()
