"""The whole table: each goal, what was measured here and now, and whether that is enough; in under five minutes on two cores.

    python -m tests.benchmarks [--only WORD ...] [--markdown] [--profile] [--origin PYTHON SRC]

Figures are ratios of medians, or medians; the sides of a ratio take turns in one run. The floor is backend.render() and
encode_png() in this process. With `--origin` the client and server of GSP_API take turns too: PYTHON is an interpreter that
has what it needs, SRC its folder of packages. Each module of this folder measures its part more fully.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import Callable, Iterator, Optional

from gsp_network.backends import why_not
from gsp_network.backends.datoviz_device import find_device

from . import goals, service
from .goals import Row
from .over_floor import PROFILE_HEAD, Bench, profile, scene_rows
from .timing import machine

DATOVIZ = "Datoviz"
Measure = Callable[[Bench], Iterator[Row]]


def datoviz_rows(bench: Bench) -> Iterator[Row]:
    """The scenes that Datoviz draws, where it starts."""
    reason = why_not("datoviz") or find_device().reason
    if reason:
        yield Row(DATOVIZ, None, None, seen=reason)
        return
    from gsp_network.backends import datoviz_backend  # it loads Datoviz

    datoviz_backend.use_memory()
    for name, visual in bench.scenes().items():
        if name in goals.DATOVIZ:
            yield from scene_rows(bench, name, visual, goals.DATOVIZ[name], "datoviz")


def groups(bench: Bench) -> dict[str, Measure]:
    """What can be chosen, by name, in the order of the table."""
    found: dict[str, Measure] = {
        name: partial(scene_rows, name=name, visual=visual, goals=goals.SCENES[name])
        for name, visual in bench.scenes().items()
    }
    return {**found, **service.GROUPS, DATOVIZ: datoviz_rows}  # last, since a fault of Datoviz ends the process


def chosen(names: list[str], words: list[str]) -> list[str]:
    """Those that are one of the words or, where none is, hold it."""
    picked = [{word} & set(names) or {name for name in names if word.lower() in name.lower()} for word in words]
    for word, some in zip(words, picked):
        if not some:
            raise SystemExit(f"nothing is called {word!r}: {', '.join(names)}")
    return [name for name in names if not words or any(name in some for some in picked)]


def main(argv: Optional[list[str]] = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="rows of scenes and groups so called")
    parser.add_argument("--seconds", type=float, default=8.0, help="for a row, about (default 8)")
    parser.add_argument("--rounds", type=int, default=40, help="calls of a side in a row, at most (default 40)")
    parser.add_argument(
        "--workers", type=int, default=0, help="of the server that scenes go to (default 0: a thread of its own draws)"
    )
    parser.add_argument("--origin", nargs=2, metavar=("PYTHON", "SRC"), help="measure GSP_API's client and server too")
    parser.add_argument("--markdown", action="store_true", help="print the table as it stands in a README")
    parser.add_argument(
        "--profile", action="store_true", help="where the time of scenes goes, in ms, in place of the table"
    )
    parser.add_argument("--small", action="store_true", help="small scenes and few calls, to see that it works")
    args = parser.parse_args(argv)
    began = time.monotonic()
    bench = Bench(args.seconds, args.rounds, args.small, args.workers, args.origin)
    try:
        measures = groups(bench)
        names = chosen(list(measures), args.only)
        print(machine("numpy", "Matplotlib"), end="\n\n")
        if args.profile:
            print_profile(bench, names)
        else:
            print_table(bench, [measures[name] for name in names], args.markdown)
    finally:
        bench.close()
    print(f"\n{time.monotonic() - began:.0f} s")


def print_profile(bench: Bench, names: list[str]) -> None:
    """Print where the time goes, for the scenes among the names."""
    print(PROFILE_HEAD)
    for name, visual in bench.scenes().items():
        if name in names:
            for line in profile(bench, name, visual):
                print(line, flush=True)


def print_table(bench: Bench, measures: list[Measure], markdown: bool) -> None:
    """Print the rows as they come, and how many goals are met."""
    print(goals.line(goals.HEAD, markdown))
    if markdown:
        print("|" + "---|" * len(goals.HEAD))
    verdicts = []
    for measure in measures:
        for row in measure(bench):
            print(goals.line(row.cells(), markdown), flush=True)
            verdicts.append(row.verdict)
    print(f"\n{verdicts.count('ok')} ok, {verdicts.count('short')} short")


if __name__ == "__main__":
    main()
