"""Benchmarks, run by hand; they print ratios measured side by side in one run."""
