"""A machine where nothing can be written but in the temporary directory, or not even there; what is written and called at all.

Locking down is done as a user can, in a user namespace (unshare), in which mounts are this test's own.
"""

from __future__ import annotations

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

from gsp_network.transport import png_fault

from .processes import HEAD, JSON, PATIENCE, ServerProcess, post_request, wait_until
from .scenes import body_of, changed, image, one_of_each, points, text
from .support import ROOT

# $1: what stays writable, empty for nothing. $2: the directory to be in, beside $1. The rest is the command.
LOCK = """
set -e
writable=$1 directory=$2
shift 2
if [ -n "$writable" ]; then mount --bind "$writable" "$writable"; fi
for place in / /tmp /var/tmp /dev/shm "$HOME" "$directory" "$(dirname "$directory")"; do
  if [ "$place" != / ] && [ -d "$place" ]; then mount --rbind "$place" "$place"; fi
  if [ -d "$place" ]; then mount -o remount,bind,ro "$place"; fi
done
cd "$directory"
exec "$@"
"""

# Runs locked down: says what can be written, then draws on a server with workers and on one in this process.
DRAW = """
import json, os, sys, tempfile
from gsp_network import Canvas, NetworkRenderer, RenderServer, Buffer, Camera, Viewport
from gsp_network.transport import png_fault
from tests.processes import ServerProcess
from tests.scenes import one_of_each

def can_write(place):
    try:
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError:
        return False

def draw(url):
    visuals = one_of_each()
    n = len(visuals)
    with NetworkRenderer(Canvas(100, 100, 96.0), url, timeout=60.0) as renderer:
        scene = [Viewport(0, 0, 100, 100)] * n, visuals, [Buffer.identity()] * n, [Camera()] * n
        return png_fault(renderer.render(*scene))

temporary = sys.argv[1]
places = ("/dev/shm", "/var/tmp", os.environ["HOME"], os.getcwd(), os.path.dirname(temporary), temporary)
found = {"writable": [place for place in places if can_write(place)]}
server = ServerProcess("--workers", "2", cwd=os.getcwd())
try:
    found["workers"] = draw(server.ready["url"])
    found["status"] = server.stop()
    found["log"] = server.read_log()
finally:
    server.close()
found["files"] = sorted(os.listdir(temporary))
with RenderServer(port=0, workers=0) as embedded:
    found["thread"] = draw(embedded.url)

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


def locked(
    program: str, *arguments: str, writable: Optional[str], home: str, directory: str, input: bytes = b""
) -> dict[str, Any]:
    """What a program of Python prints as JSON when it runs locked down; SkipTest where that cannot be done."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        raise unittest.SkipTest("no namespaces here: they are Linux's, and unshare is util-linux's")
    unshare = ["unshare", "-r", "-m"]
    tried = subprocess.run([*unshare, "true"], capture_output=True, text=True, timeout=PATIENCE)
    if tried.returncode:
        raise unittest.SkipTest(f"no user namespaces for this user: {tried.stderr.strip()}")
    told = ("GSP_NETWORK_", "GSP_REMOTE_RENDERER", "MPLCONFIGDIR", "XDG_", "TEMP", "TMP")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(told)}
    environ.update(HOME=home, TMPDIR=writable or home, PYTHONPATH=str(ROOT), PYTHONDONTWRITEBYTECODE="1")
    command = [*unshare, "sh", "-c", LOCK, "lock", writable or "", directory, sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, input=input, capture_output=True, timeout=3 * PATIENCE, env=environ)
    if done.returncode:
        raise AssertionError(done.stderr.decode(errors="replace"))
    return json.loads(done.stdout)  # type: ignore[no-any-return]


class TestLockedDown(unittest.TestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.base = pathlib.Path(holder.name).resolve()
        for name in ("home", "here", "temporary"):
            (self.base / name).mkdir()

    def locked(self, program: str, *arguments: str, writable: Optional[str], input: bytes = b"") -> dict[str, Any]:
        home, directory = str(self.base / "home"), str(self.base / "here")
        return locked(program, *arguments, writable=writable, home=home, directory=directory, input=input)

    def test_temporary_directory_alone(self) -> None:
        """With a temporary directory alone to write in, workers and threads draw, and the private folder is all that is made."""
        temporary = str(self.base / "temporary")
        found = self.locked(DRAW, temporary, writable=temporary)
        self.assertEqual(found["writable"], [temporary])
        self.assertEqual((found["workers"], found["thread"], found["status"]), ("", "", 0), found["log"])
        self.assertEqual(found["files"], ["gsp_network-0"])  # in there everybody is user 0
        for word in ("Error", "Traceback", "WARNING"):
            self.assertNotIn(word, found["log"])

    def test_nothing_to_write_in(self) -> None:
        """With nothing to write in, a server starts and stops as ever, and draws or has its log say that it needs a directory."""
        for workers in ("2", "0"):
            with self.subTest(workers=workers):
                found = self.locked(SERVE, workers, writable=None, input=body_of(*one_of_each()))
                self.assertEqual(found["exit"], 0, found["log"])
                if found["status"] != 200:
                    self.assertIn(found["status"], (500, 503))
                    self.assertRegex(found["body"], "its log has the details|the server's log says why")
                    self.assertRegex(found["log"], "requires access to a writable cache directory|No usable temporary")
                    self.assertNotIn(str(self.base), found["body"])


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
        requests = [post_request(body) for body in bodies]
        requests += [post_request(b"", b"GSP-Renderer: ../../etc/passwd\r\n")]
        for target in (b"/../../etc/passwd", b"/%2e%2e/etc/passwd", b"//127.0.0.1/", b"http://127.0.0.1:%d/" % port):
            requests.append(b"GET " + target + b" " + HEAD + b"Connection: close\r\n\r\n")
        requests.append(b"CONNECT 127.0.0.1:%d " % port + HEAD + JSON + b"\r\n")
        return requests

    def test_audit(self) -> None:
        """Over good and hostile requests a server writes in its private folder, runs its workers, and connects to nobody."""
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
                        self.assertTrue(place in (private, os.devnull) or place.startswith(private + os.sep), place)
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
        self.assertEqual(sorted(os.listdir(self.temporary)), [os.path.basename(private)])
        self.assertEqual(sorted(os.listdir(self.base)), ["modules", "temporary"])


def is_relieved(workers: dict[str, Any]) -> bool:
    """Whether a worker was recycled, and two that have started are there."""
    return "recycled" in workers["restarts"] and (workers["idle"], workers["starting"]) == (2, 0)


def events_in(log: str) -> list[Any]:
    """The events that AUDIT has told in a log: who, process id, event, arguments."""
    return [json.loads(line[6:]) for line in log.splitlines() if line.startswith("AUDIT ")]
