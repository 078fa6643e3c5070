"""What GET / tells a person who has come to a server with a browser."""

from __future__ import annotations

import html
from typing import Any

from . import __version__


def _in_words(facts: dict[str, Any]) -> str:
    """What /health tells of a renderer, for a person."""
    if not facts["available"]:
        return str(facts["reason"])
    return f"{facts['version']} on {facts['device']}" if "device" in facts else str(facts["version"])


def page(health: dict[str, Any], url: str) -> str:
    """What this is, how to use it, how it does.

    Args:
        health: what GET /health tells to who may know.
        url: the server's.
    Returns:
        HTML.
    """
    renderers = "".join(
        f"<li><b>{html.escape(name)}</b>: {html.escape(_in_words(facts))}</li>"
        for name, facts in health["renderers"].items()
    )
    store = health["store"]
    if store["available"]:
        kept = f"{store['buffers']}, {store['bytes'] / 1e6:.1f} of {store['most_bytes'] / 1e6:.1f} MB; "
        kept += f"named and there {store['hits']}, not there {store['misses']}"
    else:
        kept = f"none: {html.escape(store['reason'])}"
    counts = ", ".join(f"{number} {html.escape(name)}" for name, number in health["counts"].items())
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>gsp_network</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem }}
pre {{ background: #f3f3f3; padding: 1rem; overflow: auto }}
</style>
<h1>gsp_network {html.escape(__version__)}</h1>
<p>This server draws scientific scenes. It takes a scene as JSON by <code>POST /render</code> and answers its picture as PNG.</p>
<pre>from gsp_network import NetworkRenderer, Canvas

renderer = NetworkRenderer(Canvas(800, 600), "{html.escape(url)}")
png = renderer.render(viewports, visuals, model_matrices, cameras)</pre>
<h2>State</h2>
<ul>{renderers}<li>up for {health["uptime_s"]:.0f} s: {counts}</li><li>kept buffers: {kept}</li></ul>
<p>The same for programs: <a href="/health">/health</a>.</p></html>
"""
