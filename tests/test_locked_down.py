"""Where little is allowed: what is written and called at all, and a condition a test, as README's "Locked down" lists them.

Locking down is done as a user can, in namespaces (unshare) in which mounts and network are this test's own. Programs that a
server is inside of are those of `hosts`, each in a process of its own.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest
from typing import Any, Optional
from unittest import mock

import numpy as np

from gsp_network import Buffer
from gsp_network.children import interpreter
from gsp_network.errors import ServerStartError
from gsp_network.folders import SHARED_MEMORY
from gsp_network.png import png_fault
from gsp_network.scene.names import name_of

from . import hosts
from .processes import HEAD, JSON, PATIENCE, ServerProcess, needs_proc, post_request, server_environ, wait_until
from .scenes import body_of, changed, image, one_of_each, points, text
from .support import ROOT

# $1: what stays writable, empty for nothing. $2: the directory to be in, beside $1. $3: the user's home. The rest: the command.
LOCK = """
set -e
writable=$1 directory=$2 home=$3
shift 3
mount -t tmpfs none "$directory"
mkdir "$directory/dev"
for device in null zero full random urandom; do
  touch "$directory/dev/$device"
  mount --bind "/dev/$device" "$directory/dev/$device"
done
mount --rbind "$directory/dev" /dev
if [ -n "$writable" ]; then mount --bind "$writable" "$writable"; fi
for place in / /tmp /var/tmp /dev "$home" "$directory" "$(dirname "$directory")"; do
  if [ "$place" != / ] && [ -d "$place" ]; then mount --rbind "$place" "$place"; fi
  if [ -d "$place" ]; then mount -o remount,bind,ro "$place"; fi
done
cd "$directory"
exec "$@"
"""

# Gives a network namespace its loopback interface, the one that it has (ioctl SIOCSIFFLAGS of netdevice(7)).
LOOPBACK = """
import fcntl, socket, struct

UP, RUNNING = 1, 64
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", UP | RUNNING))
"""

# Runs locked down: says what there is, then draws on a server with workers and on one in this process.
DRAW = """
import json, os, socket, sys, tempfile
from gsp_network import RenderServer
from tests import hosts
from tests.processes import ServerProcess

def can_write(place):
    try:
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError:
        return False

def can_connect():
    try:
        socket.create_connection(("192.0.2.1", 80), 5).close()
        return True
    except OSError:
        return False

temporary, home = sys.argv[1:]
places = ("/", "/tmp", "/var/tmp", "/dev", home, os.getcwd(), os.path.dirname(temporary), temporary)
found = {
    "writable": [place for place in places if can_write(place)],
    "shared memory": os.path.exists("/dev/shm"),
    "interfaces": [name for _, name in socket.if_nameindex()],
    "network": can_connect(),
    "environment": sorted(os.environ),
}
with RenderServer(port=0, workers=0, datoviz_workers=0) as embedded:
    server = ServerProcess("--workers", "2", cwd=os.getcwd())
    try:
        found["thread"] = hosts.draw(embedded)
        found["workers"] = hosts.draw(server)
        found["status"] = server.stop()
        found["log"] = server.read_log()
    finally:
        server.close()
found["files"] = sorted(os.listdir(temporary))

print(json.dumps(found))
"""

# Runs where nothing at all can be written, without any file of this test's either.
SERVE = """
import json, os, subprocess, sys, threading, urllib.error, urllib.request

command = [sys.executable, "-m", "gsp_network.server", "--port", "0", "--ready-json", "--workers", sys.argv[1]]
server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
log = []
reader = threading.Thread(target=lambda: log.extend(server.stderr), daemon=True)
reader.start()
url = json.loads(server.stdout.readline())["url"]
body = sys.stdin.buffer.read()
request = urllib.request.Request(url + "/render", body, {"Content-Type": "application/json"})
try:
    with urllib.request.urlopen(request, timeout=60) as answer:
        found = {"status": answer.status, "body": answer.read().decode("latin-1")}
except urllib.error.HTTPError as error:
    with error:
        found = {"status": error.code, "body": error.read().decode("latin-1")}
server.terminate()
found["exit"] = server.wait(60)
reader.join(60)
print(json.dumps({**found, "log": "".join(log)}))
"""


def lock(program: str, *arguments: str, writable: Optional[str], directory: str) -> subprocess.Popen[bytes]:
    """Start a program of Python locked down; SkipTest where that cannot be done."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        raise unittest.SkipTest("no namespaces here: they are Linux's, and unshare is util-linux's")
    unshare = ["unshare", "-r", "-m", "-n"]
    tried = subprocess.run([*unshare, "true"], capture_output=True, text=True, timeout=PATIENCE)
    if tried.returncode:
        raise unittest.SkipTest(f"no user namespaces for this user: {tried.stderr.strip()}")
    environ = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    if writable:
        environ["TMPDIR"] = writable
    home = os.path.expanduser("~")
    command = [sys.executable, "-c", LOOPBACK + program, *arguments]
    return subprocess.Popen(
        [*unshare, "sh", "-c", LOCK, "lock", writable or "", directory, home, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ,
    )


def found_by(process: subprocess.Popen[Any], input: Any = None) -> tuple[dict[str, Any], str]:
    """What a program prints as JSON when it ends, and what it says on standard error."""
    try:
        printed, said = process.communicate(input, timeout=3 * PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    said = said if isinstance(said, str) else said.decode(errors="replace")
    if process.returncode:
        raise AssertionError(said)
    return json.loads(printed), said


class TestLockedDown(unittest.TestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.base = pathlib.Path(holder.name).resolve()
        for name in ("here", "temporary"):
            (self.base / name).mkdir()

    def lock(self, program: str, *arguments: str, writable: Optional[str]) -> subprocess.Popen[bytes]:
        return lock(program, *arguments, writable=writable, directory=str(self.base / "here"))

    def test_temporary_directory_alone(self) -> None:
        """Row 65: with loopback and a temporary directory alone, without home, display and shared memory, all draw."""
        temporary, home = str(self.base / "temporary"), os.path.expanduser("~")
        found, _ = found_by(self.lock(DRAW, temporary, home, writable=temporary))
        self.assertEqual((found["writable"], found["shared memory"]), ([temporary], False))
        self.assertEqual((found["interfaces"], found["network"]), (["lo"], False))
        self.assertFalse({"HOME", "DISPLAY", "WAYLAND_DISPLAY"} & set(found["environment"]))
        self.assertEqual((found["workers"], found["thread"], found["status"]), ("", "", 0), found["log"])
        # In there everybody is user 0; the other folder is Matplotlib's own, for the program that draws without workers.
        folders = [name for name in found["files"] if not name.startswith("matplotlib-")]
        self.assertEqual(folders, ["gsp_network-0"])
        for word in ("Error", "Traceback", "WARNING"):
            self.assertNotIn(word, found["log"])

    def test_nothing_to_write_in(self) -> None:
        """With nothing to write in a server starts and stops as ever, and says that Matplotlib needs a directory."""
        started = {workers: self.lock(SERVE, workers, writable=None) for workers in ("2", "0")}
        for workers, process in started.items():
            with self.subTest(workers=workers):
                found, _ = found_by(process, body_of(*one_of_each()))
                self.assertEqual(found["exit"], 0, found["log"])
                status, told = (
                    (422, "cannot be loaded on the server; its log") if workers == "0" else (503, "the server's log")
                )
                self.assertEqual(found["status"], status)
                self.assertIn(f"{told} says why", found["body"])
                self.assertRegex(
                    found["log"], "MPLCONFIGDIR environment variable to a writable|No usable temporary dir"
                )
                self.assertNotIn(str(self.base), found["body"])


@unittest.skipUnless(os.name == "posix", "signals and descriptors are others elsewhere")
class TestHosts(unittest.TestCase):
    """The programs of `hosts`: all start at once, and each test looks at what one of them has found."""

    FLAGS = {"isolated": ("-I", "-S", "-OO"), "strict": ("-W", "error", "-X", "dev")}
    NAMES = (
        "isolated",
        "strict",
        "frozen",
        "threads",
        "notebook",
        *(("signals",) if os.path.exists("/proc/self") else ()),
    )

    @classmethod
    def setUpClass(cls) -> None:
        environ = server_environ(MPLBACKEND="Agg")
        environs = {
            "isolated": {"TMPDIR": tempfile.gettempdir()},
            "strict": {**environ, "PYTHONDEVMODE": "1"},  # for workers too
        }
        cls.started: dict[str, subprocess.Popen[str]] = {}
        cls.ended: dict[str, tuple[dict[str, Any], str]] = {}
        for name in cls.NAMES:
            cls.started[name] = subprocess.Popen(
                hosts.command(name, *cls.FLAGS.get(name, ())),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env=environs.get(name, environ),
            )
            cls.addClassCleanup(end, cls.started[name])

    def found(self, name: str) -> dict[str, Any]:
        """What that program has found; standard error may hold what other libraries say of each other alone."""
        if name not in self.ended:
            self.ended[name] = found_by(self.started[name])
        found, said = self.ended[name]
        self.assertNotIn("Traceback", said)
        self.assertNotIn("Exception ignored", said)
        self.assertNotRegex(said, r"gsp_network\S*:\d+: \w*Warning")
        return found

    def test_isolated(self) -> None:
        """Under -I -S -OO, with an empty environment and no display a server draws, and its workers are as isolated."""
        found = self.found("isolated")
        self.assertEqual(found["flags"], [1, 1, 2])
        self.assertLessEqual(set(found["environment"]), {"TMPDIR", "LC_CTYPE"})
        self.assertLessEqual({"-I", "-S"}, set(found["interpreter"]))
        self.assertEqual((found["thread"], found["worker"], found["shown"]), ("", "", True))

    def test_warnings_as_errors(self) -> None:
        """Under -W error and -X dev neither server, client, animation nor figure warns of anything, and workers do not either."""
        found = self.found("strict")
        self.assertEqual(found["pages"], [True, True])
        self.assertEqual((found["thread"], found["worker"], found["video"], found["status"]), ("", "", "GIF89a", "ok"))
        self.assertRegex(found["paste"], r"^\d+ bytes in, \d+ bytes out, of http://127\.0\.0\.1:\d+\n$")

    def test_frozen(self) -> None:
        """Where sys.executable is no Python, workers are refused with what to do, or run by another interpreter."""
        found = self.found("frozen")
        for name in ("embedded", "frozen"):
            self.assertRegex(
                found[name], r"^workers: \S+ is no Python interpreter .* workers=0, .* python=\.\.\. \(--python\)$"
            )
        self.assertRegex(found["no python"], "^python: '.*python3', expected the path of a Python interpreter")
        self.assertEqual(found["python"], "")

    def test_no_subprocess(self) -> None:
        """Where no process may be started, workers=0 draws; Matplotlib alone has tried, to ask for fonts."""
        found = self.found("frozen")
        self.assertEqual(found["thread"], "")
        self.assertLessEqual(set(found["tried"]), set(FONT_FINDERS))

    def test_threads(self) -> None:
        """Started, asked and closed by threads, a server draws as it does alone, and so does a host meanwhile."""
        found = self.found("threads")
        self.assertEqual((found["wrong"], found["pictures"]), ([], ["", "", ""]))
        self.assertTrue(found["at once"])
        self.assertTrue(found["settings"])
        self.assertEqual((found["figures"], found["left"]), ([], []))

    @needs_proc
    def test_signals(self) -> None:
        """Signals, hooks, logging and environment stay the host's; workers have signals of their own, and are replaced."""
        found = self.found("signals")
        self.assertEqual(found["changed"], [])
        self.assertEqual((found["thread"], found["worker"], found["after"]), ("", "", ""))
        self.assertEqual((found["blocked"], found["ignored"]), (0, []))
        self.assertTrue(found["gone"])
        self.assertEqual((found["restarts"], found["children"]), (1, []))
        self.assertRegex(
            found["log"], r"worker \d+ has ended \(how cannot be told, since this program ignores or handles SIGCHLD\)"
        )
        self.assertNotIn("status 0", found["log"])

    def test_notebook(self) -> None:
        """Where a loop runs in the main thread and streams are no files, cells draw and show pictures, and nothing blocks."""
        found = self.found("notebook")
        check_cells(self, found)
        self.assertEqual((found["shown"], found["said"]), (2, ""))


class TestInterpreter(unittest.TestCase):
    def test_names(self) -> None:
        """Interpreters of all builds run workers; programs that have Python inside, and "py" in their names, do not."""
        builds = "python python3 python3.9 Python python3.11d python3.13t python3.11-dbg python3-intel64 PYTHONW.EXE python_d.exe"
        builds += " pythonw3.11 pypy pypy3.10 pypy3.10-c graalpy pvpython mayapy python3.13t.exe"
        for name in builds.split():
            with self.subTest(name=name), mock.patch.object(sys, "executable", f"/opt/x y/{name}"):
                self.assertEqual(interpreter()[0], f"/opt/x y/{name}")
        for name in ("PyMOL", "pymol.exe", "Spyder", "pyzo", "PyCharm", "pythonista", "happy", "ipython3", "copy3.1"):
            with self.subTest(name=name), mock.patch.object(sys, "executable", f"/opt/python3/{name}"):
                with self.assertRaisesRegex(ServerStartError, rf"{name} is no Python interpreter .* python=\.\.\."):
                    interpreter()


def check_cells(case: unittest.TestCase, found: dict[str, Any]) -> None:
    """What `hosts.cells` has found is as it should be."""
    for workers in (0, 1):
        for name in ("cell", "thread", "value"):
            case.assertEqual(found[f"{name} {workers}"], "", name)
        case.assertEqual(found[f"video {workers}"], "GIF89a")
        case.assertRegex(found[f"live {workers}"], "needs a window, and Matplotlib's backend .* opens none")
    case.assertTrue(found["loop"])


@unittest.skipUnless(
    importlib.util.find_spec("ipykernel") and importlib.util.find_spec("jupyter_client"),
    "no notebook's kernel here: pip install ipykernel",
)
class TestKernel(unittest.TestCase):
    def test_cells(self) -> None:
        """A real notebook's kernel draws in its cells, shows the pictures in the page, and does not block."""
        from jupyter_client.manager import start_new_kernel

        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        environ = dict.fromkeys(("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"), holder.name)
        outputs: list[Any] = []
        code = "%matplotlib inline\nimport json\nfrom tests import hosts\nprint(json.dumps(await hosts.cells()))"
        with mock.patch.dict(os.environ, environ):
            paths = os.pathsep.join(map(os.path.abspath, sys.path))
            manager, client = start_new_kernel(
                startup_timeout=PATIENCE,
                cwd=str(ROOT),
                env={**os.environ, "PYTHONPATH": paths},
                stderr=subprocess.DEVNULL,
            )
            try:
                reply = client.execute_interactive(code, timeout=PATIENCE, output_hook=outputs.append)
            finally:
                client.stop_channels()
                manager.shutdown_kernel(now=True)
        self.assertEqual(reply["content"]["status"], "ok", reply["content"].get("traceback"))
        printed = [output["content"]["text"] for output in outputs if output["msg_type"] == "stream"]
        check_cells(self, json.loads("".join(printed)))
        shown = [output["content"]["data"] for output in outputs if output["msg_type"] == "display_data"]
        self.assertTrue(shown and all("image/png" in data for data in shown), shown)


def end(process: subprocess.Popen[Any]) -> None:
    """End a process, where it still runs, and close its pipes."""
    if process.poll() is None:
        process.kill()
    process.communicate()


# Tells on standard error what this process opens, writes and calls: one line an event, by a system call without an event.
AUDIT = """
import json, os, sys

WATCHED = ("open", "os.", "shutil.", "tempfile.", "socket.", "subprocess.", "pty.", "http.", "urllib.", "ftplib.", "smtplib.")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

def plain(value):
    if isinstance(value, (str, int, type(None))):
        return value
    if isinstance(value, (bytes, os.PathLike)):
        return os.fsdecode(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return type(value).__name__

def install(who):
    def hook(event, arguments):
        if event.startswith(WATCHED):
            if event == "open":
                path, mode, flags = arguments
                event, arguments = "write" if flags & WRITING else "read", (path,)
            line = "AUDIT " + json.dumps([who, os.getpid(), event, plain(arguments)]) + chr(10)
            os.write(2, line.encode())
    sys.addaudithook(hook)
"""
AUDITED_FRONT = """
import runpy, audit
audit.install("front")
runpy.run_module("gsp_network.server", run_name="__main__", alter_sys=True)
"""
AUDITED_WORKER = """
import audit
audit.install("worker")
"""

LOOKS = ("read", "os.listdir", "os.scandir", "os.walk", "os.putenv", "os.unsetenv", "socket.__new__")
CHANGES = (
    *("write", "os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.link", "os.symlink", "os.truncate", "os.chmod"),
    *("os.chown", "os.utime", "os.setxattr", "tempfile.mkstemp", "tempfile.mkdtemp"),
)
FONT_FINDERS = ("fc-list", "system_profiler")  # Matplotlib asks them, where it has no list of fonts in its cache


@unittest.skipUnless(os.name == "posix", "paths and fonts are looked for in other ways elsewhere")
class TestWhatIsTouched(unittest.TestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.base = pathlib.Path(holder.name).resolve()
        self.temporary, self.modules = self.base / "temporary", self.base / "modules"
        for folder in (self.temporary, self.modules):
            folder.mkdir()
        for name, source in (("audit", AUDIT), ("front", AUDITED_FRONT), ("worker", AUDITED_WORKER)):
            (self.modules / (name if name == "audit" else f"audited_{name}")).with_suffix(".py").write_text(source)

    def hostile(self, port: int) -> list[bytes]:
        """Requests that try to have a server read, write, run or ask what it must not."""
        bodies = []
        for uri in (f"http://127.0.0.1:{port}/", f"https://127.0.0.1:{port}/", "file:///etc/passwd", "/etc/passwd"):
            link = {"link_type": "TransformLoad", "link_data": {"uri": uri, "buffer_type": "rgba8"}}
            chain = {"transform_chain": {"buffer_count": -1, "buffer_type": None, "links": [link]}}
            body = body_of(image([[(255, 0, 0, 255)]]))
            data = {"type": "transform_chain", "transBuf": chain}
            bodies.append(changed(body, "visuals", 0, "visual", "texture", "data", value=data))
        for name in ("/etc/passwd", "../../../../etc/passwd", f"http://127.0.0.1:{port}/font.ttf"):
            bodies.append(changed(body_of(text("a")), "visuals", 0, "visual", "font_name", value=name))
        for string in (r"$\input{/etc/passwd}$", r"$\write18{touch hostile}$", "`touch hostile`", "$(touch hostile)"):
            bodies.append(body_of(text(string)))
        for name in ("os", "../../etc/passwd", "subprocess:call"):
            bodies.append(json.dumps({**json.loads(body_of()), "renderer_name": name}).encode())
        bodies += [b"[" * 100_000, b"\xff\xfe", b"cos\nsystem\n(S'touch hostile'\ntR."]
        bodies += [b'{"data": {"__reduce__": ["os.system", ["touch hostile"]]}}']
        for name in ("../../../../etc/passwd", "/etc/passwd", "owner.json"):
            named = {"count": 1, "buffer_type": "mat4", "data_ref": name}
            matrix = {"type": "buffer", "transBuf": named}
            bodies.append(changed(body_of(points((0, 0, 0))), "model_matrices", 0, "model_matrix", value=matrix))
        requests = [post_request(body) for body in bodies]
        requests += [post_request(b"", b"GSP-Renderer: ../../etc/passwd\r\n")]
        for target in (b"/../../etc/passwd", b"/%2e%2e/etc/passwd", b"//127.0.0.1/", b"http://127.0.0.1:%d/" % port):
            requests.append(b"GET " + target + b" " + HEAD + b"Connection: close\r\n\r\n")
        requests.append(b"CONNECT 127.0.0.1:%d " % port + HEAD + JSON + b"\r\n")
        return requests

    def test_audit(self) -> None:
        """Over good and hostile requests a server writes in its private folders, runs its workers, and connects to nobody."""
        environ = {"TMPDIR": str(self.temporary), "PYTHONDONTWRITEBYTECODE": "1"}
        server = ServerProcess(
            *("--workers", "2", "--recycle-renders", "2", "--import", "audited_worker"),
            module="audited_front",
            cwd=str(self.base),
            PYTHONPATH=os.pathsep.join((str(self.modules), str(ROOT))),
            **environ,
        )
        self.addCleanup(server.close)
        with socket.create_server(("127.0.0.1", 0)) as trap:
            for _ in range(3):
                self.assertEqual(png_fault(server.post(body_of(*one_of_each())).body), "")
            self.assertEqual(png_fault(server.post(kept_body()).body), "")
            for request in self.hostile(trap.getsockname()[1]):
                (answer,) = server.raw(request)
                self.assertIn(answer.status, (200, 400, 404, 405, 415, 422), answer)
            self.assertEqual(png_fault(server.post(body_of(points((0, 0, 0)))).body), "")
            self.assertTrue(wait_until(lambda: is_relieved(server.health()["workers"])))
            self.assertEqual(server.stop(), 0)
            trap.settimeout(0)
            with self.assertRaises(BlockingIOError):
                trap.accept()
        events = events_in(server.read_log())
        workers = {pid for who, pid, _, _ in events if who == "worker"}
        self.assertEqual({pid for who, pid, _, _ in events if who == "front"}, {server.pid})
        self.assertGreaterEqual(len(workers), 3)
        # With such a file tempfile.gettempdir() finds out whether it can write there.
        probe = re.compile(re.escape(str(self.temporary)) + r"/[a-z0-9_]{8}")
        private = str(self.temporary / f"gsp_network-{os.getuid()}")
        memory = f"{SHARED_MEMORY}/gsp_network-{os.getuid()}"
        stores = re.compile(f"({re.escape(memory)}|{re.escape(private)})/store-[0-9a-f]{{16}}(/[^/]+)?")
        kept = set()
        seen = set()
        for who, _, event, arguments in events:
            with self.subTest(who=who, event=event, arguments=str(arguments)[:200]):
                seen.add((who, event))
                if event in LOOKS:
                    self.assertNotIn("passwd", str(arguments))
                elif event in CHANGES:
                    paths = [place for place in arguments if isinstance(place, str)]
                    probed = who == "front" and event in ("write", "os.remove") and probe.fullmatch(str(arguments[0]))
                    if probed or isinstance(arguments[0], int):  # a descriptor that is open already, as a pipe's
                        paths = []
                    for place in paths:
                        if stores.fullmatch(place):
                            kept.add(who)
                        elif (event, place) != ("os.mkdir", memory):
                            ours = place in (private, os.devnull) or place.startswith(private + os.sep)
                            self.assertTrue(ours, place)
                elif event == "subprocess.Popen":
                    self.assertIn(arguments[0], [sys.executable] if who == "front" else FONT_FINDERS)
                elif event == "os.kill":
                    self.assertEqual(who, "front")
                    self.assertIn(arguments[0], workers)
                elif event == "socket.bind":
                    self.assertEqual((who, arguments[1]), ("front", ["127.0.0.1", 0]))
                else:
                    self.fail("not foreseen")
        for known in (("front", "socket.bind"), ("front", "subprocess.Popen"), ("worker", "write"), ("worker", "read")):
            self.assertIn(known, seen)  # the hooks do tell
        self.assertEqual(kept, {"front", "worker"})
        self.assertEqual(sorted(os.listdir(self.temporary)), [os.path.basename(private)])
        self.assertEqual(sorted(os.listdir(self.base)), ["modules", "temporary"])


def kept_body() -> bytes:
    """A scene with a buffer that is to be kept."""
    body = body_of(image([[(255, 0, 0, 255)] * 20] * 20))
    data = Buffer.from_numpy(np.array([[255, 0, 0, 255]] * 400, np.uint8))
    path = "visuals", 0, "visual", "texture", "data", "transBuf", "data_ref"
    return changed(body, *path, value=name_of(data.to_bytes()))


def is_relieved(workers: dict[str, Any]) -> bool:
    """Whether a worker was recycled, and two that have started are there."""
    return "recycled" in workers["restarts"] and (workers["idle"], workers["starting"]) == (2, 0)


def events_in(log: str) -> list[Any]:
    """The events that AUDIT has told in a log: who, process id, event, arguments."""
    return [json.loads(line[6:]) for line in log.splitlines() if line.startswith("AUDIT ")]
