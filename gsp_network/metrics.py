"""Counts and times, as the text that Prometheus reads (exposition format 0.0.4)."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Iterable, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

COUNTERS = {  # name: (label, help)
    "requests": ("status", "Requests answered, by HTTP status."),
    "renders": ("renderer", "Pictures drawn, by renderer."),
    "fallbacks": ("", "Pictures drawn by Matplotlib, since Datoviz could not: its process ended, or none starts."),
    "store_hits": ("", "Buffers that scenes named and that were kept."),
    "store_misses": ("", "Buffers that scenes named and that were not kept: answered 409."),
    "limits_hit": ("limit", "Requests refused for a limit, by its name."),
    "received_bytes": ("", "Bytes of bodies received."),
    "sent_bytes": ("", "Bytes of bodies sent."),
}
HISTOGRAMS = {
    "queue_seconds": "Time from a body's arrival to its picture that was not spent on drawing it.",
    "render_seconds": "Time that decoding, drawing and encoding a picture took.",
}
PREFIX = "gsp_network_"


class Metrics:
    """What has happened in a server since it was made; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in COUNTERS}
        self._buckets = {name: [0] * (len(BUCKETS_S) + 1) for name in HISTOGRAMS}
        self._sums = dict.fromkeys(HISTOGRAMS, 0.0)

    def add(self, name: str, amount: int = 1, label: str = "") -> None:
        """Add to one of COUNTERS, under the value of its label."""
        with self._lock:
            self._counts[name][label] += amount

    def observe(self, name: str, seconds: float) -> None:
        """Enter one time into one of HISTOGRAMS."""
        place = sum(seconds > bucket for bucket in BUCKETS_S)
        with self._lock:
            self._buckets[name][place] += 1
            self._sums[name] += seconds

    def total(self, name: str, at_least: str = "") -> int:
        """The sum over all labels of one of COUNTERS, or over those that sort from `at_least` on, as "400"."""
        with self._lock:
            return sum(count for label, count in self._counts[name].items() if label >= at_least)

    def text(
        self,
        gauges: Mapping[str, tuple[str, str, Mapping[str, float]]],
        counters: Mapping[str, tuple[str, str, Mapping[str, float]]],
    ) -> str:
        """All of it, with figures that are kept elsewhere.

        Args:
            gauges, counters: name -> (label, help, value by label).
        """
        lines: list[str] = []
        with self._lock:
            for name, (label, help) in COUNTERS.items():
                counts = self._counts[name] or ({} if label else {"": 0})
                lines += _family(f"{name}_total", "counter", help, label, counts)
            for name, help in HISTOGRAMS.items():
                lines += [f"# HELP {PREFIX}{name} {help}", f"# TYPE {PREFIX}{name} histogram"]
                total = 0
                for edge, count in zip((*map(str, BUCKETS_S), "+Inf"), self._buckets[name]):
                    total += count
                    lines.append(f'{PREFIX}{name}_bucket{{le="{edge}"}} {total}')
                lines += [f"{PREFIX}{name}_sum {self._sums[name]:.6f}", f"{PREFIX}{name}_count {total}"]
        for name, (label, help, values) in counters.items():
            lines += _family(f"{name}_total", "counter", help, label, values)
        for name, (label, help, values) in gauges.items():
            lines += _family(name, "gauge", help, label, values)
        return "\n".join(lines) + "\n"


def _family(name: str, kind: str, help: str, label: str, values: Mapping[str, float]) -> Iterable[str]:
    yield f"# HELP {PREFIX}{name} {help}"
    yield f"# TYPE {PREFIX}{name} {kind}"
    for key in sorted(values):
        yield f"{PREFIX}{name}{_labels(label, key)} {values[key]}"


def _labels(label: str, value: str) -> str:
    escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'{{{label}="{escaped}"}}' if label else ""
