"""One worker process: how it is started, what is sent to it and read from it, how it ends.

Which call it takes, and what becomes of both where it dies, is its pool's to say (`workers`); what runs inside is
`worker_process`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import subprocess
import sys
import threading
from typing import BinaryIO, Optional, Sequence, cast

from .calls import Call
from .children import how_it_ended, interpreter
from .folders import private_folder
from .settings import Settings
from .shared_bytes import SharedBytes
from .worker_process import BEGUN, CALL, HELLO, Frame, Garbage, Setup, read_frame, write_frame

logger = logging.getLogger(__name__)

STATUS_SECONDS = 0.5  # for a process whose output has ended to end by itself

# Runs before anything of ours can be imported, and nothing from the current directory. The path is the parent's, behind its own
# where it is another interpreter; the host program's __main__ is never run again, nor are the packages that this one is inside
# of: it is loaded from its own file, under the name that it has in the parent.
BOOTSTRAP = """\
import sys
sys.path[:] = [place for place in sys.path if place]
import importlib.machinery, importlib.util, json
told = json.loads(sys.argv[1])
sys.path[:] = (sys.path if told["other"] else []) + told["path"]
if told["file"]:
    loader = importlib.machinery.SourceFileLoader(told["package"], told["file"])
    spec = importlib.util.spec_from_file_location(told["package"], told["file"], loader=loader)
    package = sys.modules[told["package"]] = importlib.util.module_from_spec(spec)
    loader.exec_module(package)
importlib.import_module(told["package"] + ".worker_process").main(told["setup"])
"""


def worker_command(
    settings: Settings, warm_up: str = "", python: Optional[str] = None, maps_more: bool = False
) -> list[str]:
    """The command line of a worker process; see `WorkerPool`.

    Raises:
        ServerStartError: there is no interpreter to run it with.
    """
    named = python or settings.python
    command = interpreter(named)
    setup = Setup(
        warm_up,
        settings.imports,
        settings.render_timeout,
        settings.worker_memory_bytes,
        settings.log_level,
        settings.log_format,
        maps_more,
    )
    path = list(dict.fromkeys(os.path.abspath(place) for place in sys.path))
    file = os.path.abspath(sys.modules[__package__].__file__ or "")
    if not os.path.isfile(file):  # in an archive: Python finds it again by the path
        file = ""
    told = {
        "other": bool(named),
        "path": path,
        "package": __package__,
        "file": file,
        "setup": dataclasses.asdict(setup),
    }
    return [*command, "-c", BOOTSTRAP, json.dumps(told)]


def worker_environment(folder: Optional[str]) -> dict[str, str]:
    """A worker's environment: one thread a library, caches in the private folder, none of Matplotlib's settings, no secrets."""
    environ = {name: text for name, text in os.environ.items() if name not in ("GSP_NETWORK_TOKEN", "MATPLOTLIBRC")}
    environ["MPLBACKEND"] = "Agg"
    if folder is None:
        environ["MESA_SHADER_CACHE_DISABLE"], environ["__GL_SHADER_DISK_CACHE"] = "true", "0"
    else:
        environ["MPLCONFIGDIR"] = os.path.join(folder, "matplotlib")
        environ["MESA_SHADER_CACHE_DIR"] = environ["__GL_SHADER_DISK_CACHE_PATH"] = folder  # Vulkan drivers' files
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        environ.setdefault(name, "1")
    return environ


def _has_standard_error() -> bool:
    try:
        os.fstat(2)
    except OSError:
        return False
    return True


class Worker:
    """One worker process, and the thread that reads what it says.

    Args:
        changed: its pool's condition, by which is told what changes here.
        replaces: the worker that serves until this one is ready, or None.
    """

    def __init__(self, changed: threading.Condition, replaces: Optional[Worker]) -> None:
        self.replaces = replaces
        self.successor: Optional[Worker] = None
        self.ready = self.begun = self.dead = self.expired = False
        self.retired = False  # takes no more calls: another has taken over
        self.spent = False  # says so itself
        self.call: Optional[Call] = None
        self.reply: Optional[Frame] = None
        self.served = self.rss = 0
        self.fault = ""
        self._changed = changed
        self.process: Optional[subprocess.Popen[bytes]] = None
        self.reader: Optional[threading.Thread] = None

    def start(self, command: Sequence[str]) -> None:
        """Start the process; OSError or RuntimeError where there is none, or no thread, to be had."""
        folder = private_folder()  # again each time: who cleans up the temporary directory may have removed it
        self.shared = SharedBytes()
        shared = self.shared.descriptor
        try:
            process = subprocess.Popen(
                command,
                pass_fds=() if shared is None else (shared,),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # The server's own: a pipe that nobody empties would stop the worker.
                stderr=None if _has_standard_error() else subprocess.DEVNULL,
                cwd=folder,
                env=worker_environment(folder),
                start_new_session=True,  # Ctrl-C is for the server alone
            )
        except BaseException:
            self.shared.close()
            raise
        reader = threading.Thread(target=self._read, name="gsp-network-worker-output", daemon=True)
        with self._changed:
            self.process = process
        try:
            reader.start()
        except RuntimeError:
            self._reap(process)
            raise
        self.reader = reader

    def _read(self) -> None:
        process = cast("subprocess.Popen[bytes]", self.process)
        try:
            while True:
                frame = read_frame(cast(BinaryIO, process.stdout))
                if frame is None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(STATUS_SECONDS)  # else the log would say that we killed it
                    return
                with self._changed:
                    if frame.kind == HELLO and not self.ready:
                        self.ready, self.rss = True, int(frame.facts["rss"])
                    elif self.call is None or self.reply is not None or frame.number != self.call.number:
                        raise Garbage(f"a reply to call {frame.number}, which is not under way")
                    elif frame.kind == BEGUN:
                        self.begun = True
                        continue
                    else:
                        self.reply = frame
                    self._changed.notify_all()
                del frame
        except Garbage as exc:
            self.fault = f"sent {exc}"
        except (OSError, ValueError, KeyError, TypeError, MemoryError) as exc:
            self.fault = f"sent what cannot be read ({type(exc).__name__})"
        finally:
            self._reap(process)
            with self._changed:
                self.dead = True
                self._changed.notify_all()

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        self.shared.close()
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # what was not sent yet has nowhere to go
                    stream.close()

    def send(self, call: Call) -> None:
        """Write a call; where the process has ended, its reader tells that."""
        process = cast("subprocess.Popen[bytes]", self.process)
        facts, pieces = call.facts, call.pieces
        shared = self.shared.descriptor
        if len(pieces) == 1 and self.shared.put(pieces[0]):
            facts, pieces = {**facts, "shared": shared}, []
        try:
            write_frame(cast(BinaryIO, process.stdin), CALL, call.number, facts, pieces)
        except (OSError, ValueError) as exc:  # ValueError: closed by the reader meanwhile
            logger.debug("worker %d takes no call any more: %s", process.pid, exc)

    @property
    def serving(self) -> bool:
        """Whether it takes calls or has one; one that was killed and does not end, as in a driver's wait, does not."""
        return self.ready and not (self.dead or self.retired or self.expired)

    def kill(self) -> None:
        """End it now, whatever it does."""
        if self.process is not None:
            self.process.kill()

    def end(self, seconds: float) -> None:
        """Have it end by itself, which it does when its input ends; kill it where it does not, and wait as long again."""
        if self.process is None or self.reader is None:
            return
        with contextlib.suppress(OSError, ValueError):
            cast(BinaryIO, self.process.stdin).close()
        self.reader.join(seconds)
        self.kill()
        self.reader.join(seconds)

    def how_it_ended(self) -> str:
        """In words, for the log."""
        status = None if self.process is None else self.process.returncode
        if self.expired:
            return "was killed at the deadline"
        if self.fault or status is None:
            return self.fault or "is gone"
        return how_it_ended(status)
