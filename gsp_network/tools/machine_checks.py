"""What `doctor` looks at then: the network, and this machine; a small function a row of its table."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import json
import os
import shutil
import socket
import sys
import time
import urllib.parse
import urllib.request
from typing import Any, Iterator

from ..commands import calling
from ..errors import GspNetworkError
from ..folders import private_folder
from ..logs import printable
from ..ports import bind_fault, listeners
from ..settings import (
    MOST_PORT,
    RENDERER_VARIABLE,
    Settings,
    default_port,
    default_renderer_name,
    environment_variable,
    is_loopback,
)
from ..transport import TOKEN_VARIABLE, Transport, environment_token
from .findings import OK, PROBLEM, Asked, Finding

SERVER_SECONDS = 5.0  # for a server to answer
ROUNDS = 3  # requests of which the fastest tells the way there and back
LEAST_MEMORY = 256 * 2**20  # a worker takes 70 MB, and as much again for a large picture
LEAST_ADDRESSES = 2**30  # Matplotlib's libraries alone map half of it
LEAST_DISK = 16 * 2**20  # Matplotlib's list of fonts, and a driver's shaders
VALUE_CHARS = 100
ADDRESSES = "of address space (ulimit -v)"

NAMED_ELSEWHERE = ("GSP_TEST", RENDERER_VARIABLE, "MATPLOTLIBRC", "MPLBACKEND", "MPLCONFIGDIR", "TMPDIR")
"""What counts beside the settings' environment variables."""


# ---------------------------------------------------------------- network


def loopback(asked: Asked) -> Finding:
    """A connection from this machine to itself."""
    began = time.perf_counter()
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(SERVER_SECONDS)
            with socket.create_connection(server.getsockname(), SERVER_SECONDS):
                server.accept()[0].close()
    except OSError as exc:
        remedy = "ip link set lo up" if sys.platform == "linux" else "allow connections to 127.0.0.1"
        return Finding(PROBLEM, f"no connection within this machine: {exc}", remedy)
    return Finding(OK, f"127.0.0.1 answers after {_ms(began)}")


def port(asked: Asked) -> Finding:
    """Where a server is to listen."""
    if not asked.port:
        return Finding(OK, "0: a server takes any that is free")
    other = f"choose another, as --port {asked.port % MOST_PORT + 1}, or 0 for any that is free"
    held = [str(one) for one in listeners(asked.port)]
    if held:
        remedy = f"is it a server of yours, use it or end it: {calling('kill')} --port {asked.port}; else {other}"
        return Finding(PROBLEM, f"port {asked.port} is held by {', '.join(held)}", remedy)
    fault = bind_fault(Settings.host, asked.port)
    if fault is not None:
        return Finding(PROBLEM, f"port {asked.port} cannot be had: {os.strerror(fault)}", other)
    return Finding(OK, f"port {asked.port} is free")


def proxies(asked: Asked) -> Finding:
    """What stands between a client and a server elsewhere; user names and passwords are not told."""
    named = {scheme: url.rpartition("@")[2].rpartition("//")[2] for scheme, url in urllib.request.getproxies().items()}
    told = [f"{scheme}: {named[scheme].split('/')[0]}" for scheme in ("http", "https") if scheme in named]
    if not told:
        return Finding(OK, "none in the environment")
    host = urllib.parse.urlsplit(asked.server or "").hostname or ""
    if not host or is_loopback(host) or urllib.request.proxy_bypass(host):
        return Finding(OK, f"{', '.join(told)}; never asked for this machine's servers")
    return Finding(OK, f"{', '.join(told)}; asked for {host}", f"where it should not be: NO_PROXY={host}")


def server(asked: Asked) -> Finding:
    """The server that was named."""
    url = asked.server or ""
    try:
        transport = Transport(url, SERVER_SECONDS, token=environment_token(), retries=0)
        with contextlib.closing(transport):
            seconds = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                answer = transport.get("/health", {"Accept": "application/json"})
                seconds.append(time.perf_counter() - began)
    except GspNetworkError as exc:
        return Finding(PROBLEM, str(exc), "is it started, and the URL right? A proxy, a firewall or ssh -L on the way?")
    there = f"{url} answers after {1000 * min(seconds):.1f} ms"
    try:
        health = json.loads(answer.body) if answer.status == 200 else {}
        renderers = {name: _renderer_in_words(facts) for name, facts in health.get("renderers", {}).items()}
        status = health.get("status")
    except (ValueError, AttributeError, RecursionError):
        return Finding(PROBLEM, f"{there}, but not as a server of ours does", "is the URL that of another program?")
    if status is None:
        remedy = "one of GSP_API's tells nothing, and draws; is the URL that of another program?"
        return Finding(PROBLEM, f"{there}, but tells nothing of itself (status {answer.status})", remedy)
    if status != "ok":
        return Finding(PROBLEM, f"{there}: {printable(str(status), VALUE_CHARS)}", "its log says why")
    if not renderers:
        return Finding(OK, f"{there}, and tells more to who shows its token", f"set {TOKEN_VARIABLE} to its token")
    return Finding(OK, "; ".join([there, *(f"{name}: {told}" for name, told in renderers.items())]))


def _renderer_in_words(facts: dict[str, Any]) -> str:
    words = (facts.get("version"), facts.get("device")) if facts.get("available") else (facts.get("reason"),)
    return printable(" on ".join(str(word) for word in words if word), VALUE_CHARS)


# ---------------------------------------------------------------- this machine


def folder(asked: Asked) -> Finding:
    """The one place to write in."""
    remedy = (
        "name a directory that can be written in TMPDIR, as TMPDIR=/dev/shm; no other place is needed, HOME neither"
    )
    place = private_folder()
    if place is None:
        return Finding(PROBLEM, "no place to write in, or somebody else's file in its place", remedy)
    free = shutil.disk_usage(place).free
    found = f"{place}, {_bytes(free)} free"
    return Finding(OK, found) if free >= LEAST_DISK else Finding(PROBLEM, found, remedy)


def memory(asked: Asked) -> Finding:
    """What there is, and what bounds it."""
    limits = dict(_memory_limits())
    told = ", ".join(f"{_bytes(size)} {name}" for name, size in limits.items()) or "this system tells of no limit"
    scarce = [name for name, size in limits.items() if size < (LEAST_ADDRESSES if name == ADDRESSES else LEAST_MEMORY)]
    if scarce:
        return Finding(
            PROBLEM, told, f"too little {' and '.join(scarce)}: allow more, or draw small scenes by --workers 1"
        )
    return Finding(OK, told)


def _memory_limits() -> Iterator[tuple[str, int]]:
    """What bounds memory here, and how many bytes each leaves."""
    with contextlib.suppress(ImportError):  # Windows
        import resource

        soft = resource.getrlimit(resource.RLIMIT_AS)[0]
        if soft != resource.RLIM_INFINITY:
            yield ADDRESSES, soft
    for path in _control_group_files():
        with contextlib.suppress(OSError, ValueError):  # "max"
            with open(path) as file:
                size = int(file.read())
            if size < 2**60:  # version 1's word for no limit is a number
                yield "in this control group", size
    with contextlib.suppress(OSError, ValueError, StopIteration):
        with open("/proc/meminfo") as file:
            line = next(line for line in file if line.startswith("MemAvailable:"))
        yield "available", 1024 * int(line.split()[1])


def _control_group_files() -> list[str]:
    """The files that may hold this process's limit, of cgroups version 2 and 1."""
    files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
    with contextlib.suppress(OSError):
        with open("/proc/self/cgroup") as file:
            files += [f"/sys/fs/cgroup{line[3:].rstrip()}/memory.max" for line in file if line.startswith("0::/")]
    return [
        path for number, path in enumerate(files) if os.path.realpath(path) not in map(os.path.realpath, files[:number])
    ]


def environment(asked: Asked) -> Finding:
    """The environment variables that count; never what a token is."""
    rows = {environment_variable(field.name): field for field in dataclasses.fields(Settings)}
    ours = sorted(name for name in os.environ if name.startswith("GSP_NETWORK_"))
    shown = [*ours, *(name for name in NAMED_ELSEWHERE if name in os.environ)]
    words = []
    for name in shown:
        secret = name in rows and rows[name].metadata["secret"]
        words.append(name if secret else f"{name}={printable(os.environ[name], VALUE_CHARS)}")
    found = ", ".join(words) or "nothing of ours is set"
    unknown = [name for name in ours if name not in rows]
    if unknown:
        near = difflib.get_close_matches(unknown[0], rows, 1)
        return Finding(PROBLEM, found, f"{unknown[0]} is no setting{f': is it {near[0]}?' if near else ''}")
    try:
        Settings.from_environment()
        default_port()
        default_renderer_name()
        environment_token()
    except GspNetworkError as exc:
        return Finding(PROBLEM, found, str(exc))
    return Finding(OK, found)


def _ms(began: float) -> str:
    return f"{1000 * (time.perf_counter() - began):.1f} ms"


def _bytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
