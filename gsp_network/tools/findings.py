"""What a check of `doctor` is asked, and what it has found."""

from __future__ import annotations

import dataclasses
from typing import Callable, Optional

from ..pools import Pools

OK, MISSING, PROBLEM = "ok", "missing", "problem"


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a check has found.

    Attributes:
        state: OK, MISSING or PROBLEM.
        found: what is there, in words.
        remedy: what to do; empty where nothing needs to be done.
    """

    state: str
    found: str
    remedy: str = ""


@dataclasses.dataclass
class Asked:
    """What the checks are about.

    Attributes:
        port: where a server is to listen.
        server: URL of one to look at, or None.
        pools: what a server on this machine draws with; None: `no_pools` says why.
        said: what was written to standard error so far, by workers above all.
        found: what the checks before have found, by name.
    """

    port: int
    server: Optional[str]
    pools: Optional[Pools] = None
    no_pools: str = ""
    said: Callable[[], str] = lambda: ""
    found: dict[str, Finding] = dataclasses.field(default_factory=dict)
