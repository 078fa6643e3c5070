"""What starting costs: from the start of a server to its first picture, over the time that Matplotlib takes to import.

    python -m tests.benchmarks.first_picture [--rounds 9]

Both sides are new processes and alternate; the figures are the medians. The server is the command line with its default number of
workers, which start before anybody has asked for a picture; the request is sent as soon as the server says that it is ready.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from tests.processes import ServerProcess
from tests.scenes import body_of, points

IMPORT = "import matplotlib.figure, matplotlib.backends.backend_agg"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="starts a side (default 9)")
    rounds = parser.parse_args().rounds
    body = body_of(points((0, 0, 0)))
    ready, first, imported = [], [], []
    for number in range(rounds + 1):
        began = time.perf_counter()
        server = ServerProcess()
        said = time.perf_counter() - began
        status = server.post(body)[0]
        took = time.perf_counter() - began
        server.close()
        if status != 200:
            raise SystemExit(f"the first picture was answered {status}")
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", IMPORT], check=True)
        if number:  # the first round reads everything from the disk
            ready.append(said)
            first.append(took)
            imported.append(time.perf_counter() - began)
    times = [1000 * statistics.median(side) for side in (imported, ready, first)]
    print("import {:.0f} ms, ready {:.0f} ms, first picture {:.0f} ms".format(*times))
    print(f"first picture / import: {times[2] / times[0]:.2f}")


if __name__ == "__main__":
    main()
