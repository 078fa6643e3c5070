"""The server, but that it soon starts a worker again that has failed, for tests: ``python -m tests.impatient_server``."""

from __future__ import annotations

import sys

from gsp_network import workers
from gsp_network.server import main

if __name__ == "__main__":
    workers.FIRST_PAUSE = 0.05
    sys.exit(main())
