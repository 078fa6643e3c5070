"""The doctor: what it finds, what it advises, and that nothing it meets stops it."""

from __future__ import annotations

import configparser
import contextlib
import dataclasses
import errno
import io
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from typing import Any, Optional
from unittest import mock

from gsp_network.commands import calling
from gsp_network.errors import ServerBusy, ServerStartError
from gsp_network.pools import DatovizFacts, Pools
from gsp_network.ports import listeners
from gsp_network.tools import doctor, drawing_checks, machine_checks
from gsp_network.tools.findings import MISSING, OK, PROBLEM, Asked, Finding

from .hosts import THIRD_PARTY
from .processes import PATIENCE, server_environ
from .scenes import run_server
from .support import ROOT

NAMES = (
    *(
        "python",
        "numpy",
        "matplotlib",
        "pillow",
        "drawing",
        "worker",
        "datoviz",
        "ffmpeg",
        "window",
        "loopback",
        "port",
    ),
    *("folder", "memory", "environment", "proxies", "server"),
)
NEEDED = {"python", "numpy", "matplotlib", "pillow", "drawing", "worker", "loopback", "server"}

STRICT = f"""
import sys, warnings
warnings.filterwarnings("ignore", category=DeprecationWarning, module={THIRD_PARTY!r})
from gsp_network.tools.doctor import main
sys.exit(main(sys.argv[1:]))
"""


class TestCommand(unittest.TestCase):
    def test_json(self) -> None:
        """As JSON it tells of each check by a stable name, of a port's holder and of a server; nothing else is printed."""
        environ = server_environ(
            GSP_NETWORK_TOKEN="a-secret-of-ours", GSP_NETWORK_DATOVIZ_WORKERS="1", MPLBACKEND="Agg"
        )
        with run_server() as server:
            command = [sys.executable, "-W", "error", "-X", "dev", "-c", STRICT]
            done = subprocess.run(
                [*command, "--json", "--port", str(server.port), "--server", server.url],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                cwd=ROOT,
                env=environ,
            )
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        report = json.loads(done.stdout)
        self.assertEqual(sorted(report), ["checks", "ok"])
        rows = {row["name"]: row for row in report["checks"]}
        self.assertEqual(tuple(rows), NAMES)
        self.assertEqual({name for name, row in rows.items() if row["needed"]}, NEEDED)
        for name, row in rows.items():
            self.assertEqual(sorted(row), ["found", "name", "needed", "remedy", "state"])
            self.assertIn(row["state"], (OK, MISSING, PROBLEM))
            self.assertTrue(row["found"])
            self.assertTrue(row["state"] != PROBLEM or row["remedy"], name)
        for name in NEEDED:
            self.assertEqual(rows[name]["state"], OK, rows[name])
        if listeners(server.port) or sys.platform == "linux":
            self.assertRegex(rows["port"]["found"], rf"^port {server.port} is held by .*\(pid {os.getpid()}\b")
        self.assertRegex(rows["server"]["found"], r"answers after [\d.]+ ms; matplotlib: \d+\.\d+.*; datoviz: ")
        self.assertEqual(rows["window"]["state"], MISSING)
        self.assertRegex(rows["window"]["found"], "^Matplotlib's backend (?i:agg) opens none$")
        self.assertIn("GSP_NETWORK_TOKEN", rows["environment"]["found"])
        self.assertNotIn("a-secret-of-ours", done.stdout)

    def test_text(self) -> None:
        """For people it is a table, remedies below what they are for, and its last line says what is wrong; then it returns 1."""
        rows = (
            doctor.Check("python", True, lambda asked: Finding(OK, f"3.11, to listen on {asked.port}")),
            doctor.Check(
                "drawing", True, lambda asked: Finding(PROBLEM, "nothing to draw with " + "x" * 90, "install it")
            ),
            doctor.Check("ffmpeg", False, lambda asked: Finding(MISSING, "not on the PATH", "install ffmpeg")),
        )
        with self.patched(rows):
            status, printed = self.run_main("--port", "5001")
            self.assertEqual(status, 1)
            lines = printed.splitlines()
            self.assertEqual(lines[0], "python       ok       3.11, to listen on 5001")
            self.assertRegex(printed, r"\ndrawing      problem  nothing to draw with\n +x{90}\n {22}-> install it\n")
            self.assertEqual(lines[-1], "not all that a picture needs works: drawing")
        with self.patched((rows[0], rows[2])):
            status, printed = self.run_main()
        self.assertEqual((status, printed.splitlines()[-1]), (0, "pictures are drawn here"))

    def patched(self, rows: tuple[doctor.Check, ...]) -> contextlib.ExitStack:
        """These checks alone, and no processes."""
        stack = contextlib.ExitStack()
        stack.enter_context(mock.patch.object(doctor, "CHECKS", rows))
        stack.enter_context(mock.patch.object(Pools, "start", side_effect=ServerStartError("none here")))
        return stack

    def run_main(self, *arguments: str) -> tuple[int, str]:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            status = doctor.main(list(arguments))
        return status, printed.getvalue()

    def test_port_of_the_environment(self) -> None:
        """Without --port it looks at the port that a server would take."""
        rows = (doctor.Check("port", False, lambda asked: Finding(OK, str(asked.port))),)
        for text, expected in (("6001", "6001"), ("many", "5000"), ("99999", "5000")):
            with self.patched(rows), mock.patch.dict(os.environ, {"GSP_NETWORK_PORT": text}):
                self.assertIn(f"ok       {expected}\n", self.run_main()[1])

    def test_ports_that_are_none(self) -> None:
        """A port that cannot be is an error of usage that says which can; a server that is told 0 takes any."""
        for text in ("99999", "-1", "0", "many", "9" * 5000):
            with self.subTest(text=text[:10]), contextlib.redirect_stderr(io.StringIO()) as err:
                with self.assertRaises(SystemExit) as caught:
                    doctor.main(["--port", text])
            self.assertEqual((caught.exception.code, "expected 1 to 65535" in err.getvalue()), (2, True))
        self.assertEqual(machine_checks.port(Asked(0, None)), Finding(OK, "0: a server takes any that is free"))

    def test_checks_that_fail(self) -> None:
        """A check that raises or hangs is a problem of its own, and the others go on."""
        held = threading.Event()
        self.addCleanup(held.set)
        cases = [
            (lambda asked: 1 // 0, PROBLEM, "cannot be looked at: ZeroDivisionError: .*"),
            (lambda asked: held.wait(PATIENCE), PROBLEM, "nothing was found out within 0.05 s"),
            (lambda asked: Finding(OK, "fine"), OK, "fine"),
        ]
        for look, state, expected in cases:
            found = doctor.finding_of(doctor.Check("it", True, look), Asked(5000, None), 0.05)
            self.assertEqual(found.state, state)
            self.assertRegex(found.found, f"^{expected}$")

    def test_what_children_say(self) -> None:
        """What is written to standard error meanwhile is kept, also where there is nowhere to write, and comes back after."""
        for broken in (False, True):
            with contextlib.ExitStack() as stack:
                if broken:
                    stack.enter_context(mock.patch.object(tempfile, "TemporaryFile", side_effect=FileNotFoundError))
                said = stack.enter_context(doctor._standard_error())
                os.write(2, b"a driver's words\n")
                self.assertEqual(said(), "" if broken else "a driver's words")


class TestVersions(unittest.TestCase):
    def test_as_setup_cfg_has_them(self) -> None:
        """The supported versions are those that pip is told."""
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg")
        lines = [line.split(";")[0].strip() for line in setup["options"]["install_requires"].split("\n") if line]
        pairs = [re.fullmatch(r"(\w+)(\S+)", line).groups() for line in lines]  # type: ignore[union-attr]
        told = dict([*pairs, ("python", setup["options"]["python_requires"])])
        self.assertEqual(told, {name: text for name, text in drawing_checks.SUPPORTED.items() if name != "pillow"})

    def test_ranges(self) -> None:
        """Versions are compared by their numbers."""
        cases = [
            ("numpy", "1.20.3", False),
            ("numpy", "1.21", True),
            ("numpy", "2.4.6", True),
            ("matplotlib", "3.11.2rc1", True),
            ("datoviz", "0.3.5", True),
            ("datoviz", "0.4.0", False),
            ("datoviz", "unknown", True),
            ("python", "3.13.0", True),
        ]
        for name, version, expected in cases:
            self.assertEqual(drawing_checks.is_supported(name, version), expected, (name, version))

    def test_findings(self) -> None:
        """A library that is absent or too old is told with the command that installs it."""
        with mock.patch.object(drawing_checks.importlib.util, "find_spec", return_value=None):  # type: ignore[attr-defined]
            self.assertEqual(
                drawing_checks.numpy(Asked(0, None)), Finding(MISSING, "not installed", "pip install 'numpy>=1.21'")
            )
            self.assertIn("Matplotlib draws without it", drawing_checks.datoviz(Asked(0, None)).remedy)
            self.assertEqual(drawing_checks.window(Asked(0, None)).state, MISSING)
        with mock.patch.object(drawing_checks.backends, "version", return_value="0.9"):  # type: ignore[attr-defined]
            found = drawing_checks.matplotlib(Asked(0, None))
        self.assertEqual(found, Finding(PROBLEM, "0.9, expected >=3.5", "pip install 'matplotlib>=3.5'"))
        with mock.patch.object(drawing_checks.platform, "python_version", return_value="3.8.1"):  # type: ignore[attr-defined]
            self.assertRegex(drawing_checks.python(Asked(0, None)).found, "^3.8.1, .* expected >=3.9$")


class TestDrawing(unittest.TestCase):
    def test_in_this_process(self) -> None:
        """A picture is drawn, and looked at."""
        self.assertEqual(drawing_checks.drawing(Asked(0, None)).state, OK)
        white = "import numpy; pixels = numpy.full((32, 48, 3), 255, numpy.uint8)"
        names: dict[str, Any] = {}
        exec(white, names)
        with mock.patch("gsp_network.rendering.draw_scene", return_value=names["pixels"]):
            found = drawing_checks.drawing(Asked(0, None))
        self.assertEqual(found.state, PROBLEM)
        self.assertIn("a picture that is wrong", found.found)

    def test_that_cannot_be_loaded(self) -> None:
        """Where Matplotlib cannot be loaded, its own words are told."""
        reason = OSError("Matplotlib requires access to a writable cache directory")
        with mock.patch("gsp_network.backends._instances", {}):
            with mock.patch("gsp_network.backends.importlib.import_module", side_effect=reason):
                with self.assertLogs("gsp_network.backends", "ERROR") as logs:
                    found = drawing_checks.drawing(Asked(0, None))
        self.assertEqual((found.state, found.found), (PROBLEM, str(reason)))
        self.assertIn("matplotlib cannot be loaded: Matplotlib requires", logs.output[0])

    def test_no_workers(self) -> None:
        """Where no worker can be started, it is told why, and that Datoviz needs one."""
        with mock.patch.object(sys, "frozen", True, create=True), mock.patch.dict(os.environ, GSP_NETWORK_PYTHON=""):
            with doctor._pools(Asked(0, None)) as asked:
                found = drawing_checks.worker(asked)
                datoviz = drawing_checks.datoviz(asked)
        self.assertEqual(found.state, PROBLEM)
        self.assertRegex(found.remedy, r"workers=0.*--python")
        self.assertNotEqual(datoviz.state, OK)

    def test_workers_that_end(self) -> None:
        """The last error in their log is told; to draw without workers is a remedy only where drawing in process works."""
        log = (
            'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\n    import numpy\n'
            "ImportError: numpy is broken\n\nThe above exception was the direct cause of the following exception:\n\n"
            'Traceback (most recent call last):\n  File "y.py", line 2, in backend\n'
            "gsp_network.errors.RendererUnavailable: matplotlib cannot be loaded on the server; its log says why\n"
            "a worker ended with status 1; trying again in 30.0 s"
        )
        executor = mock.Mock()
        executor.submit.return_value.result.side_effect = ServerBusy("worker processes do not start here")
        pools: Any = mock.Mock()
        pools.executor.return_value.result.return_value = executor
        asked = Asked(0, None, pools, said=lambda: log)
        for state, remedy in ((OK, "--workers 0"), (PROBLEM, "what drawing in this process does")):
            rows = (
                doctor.Check("drawing", True, lambda asked, state=state: Finding(state, "as it is")),  # type: ignore[misc]
                doctor.Check("worker", True, drawing_checks.worker),
            )
            pooled = mock.patch.object(doctor, "_pools", return_value=contextlib.nullcontext(asked))
            with mock.patch.object(doctor, "CHECKS", rows), pooled:
                row = doctor.examine(0, None)["checks"][1]
            told = "worker processes do not start here; that log has: ImportError: numpy is broken"
            self.assertEqual((row["state"], row["found"], remedy in row["remedy"]), (PROBLEM, told, True), row)
        ours, last = log.partition("\n\n")[2], "a worker was ended by signal 11"
        for text, wanted in ((ours, "gsp_network.errors.RendererUnavailable: "), (last, last), ("", "")):
            self.assertTrue(drawing_checks.cause_in(text).startswith(wanted), text)

    def test_datoviz(self) -> None:
        """A device is told by its name; the reason why there is none is the remedy."""
        cases = [
            (
                DatovizFacts("", "A GPU", "discrete GPU, Vulkan 1.3.0", {}, True),
                OK,
                r"0\.3\.5, A GPU .*, pictures in memory",
            ),
            (DatovizFacts("there is no Vulkan driver: install one"), MISSING, r"0\.3\.5, cannot draw here"),
        ]
        for facts, state, expected in cases:
            pools: Any = mock.Mock()
            pools.look.return_value.result.return_value = facts
            with mock.patch.object(drawing_checks, "library", return_value=Finding(OK, "0.3.5")):
                found = drawing_checks.datoviz(Asked(0, None, pools))
            self.assertEqual(found.state, state)
            self.assertRegex(found.found, f"^{expected}$")
            self.assertIn(facts.reason, found.remedy)


class TestMachine(unittest.TestCase):
    def test_ffmpeg(self) -> None:
        """Where there is no ffmpeg it says which videos need none; one that does not run is a problem."""
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, PATH=folder):
            found = drawing_checks.ffmpeg(Asked(0, None))
            self.assertEqual((found.state, found.found), (MISSING, "not on the PATH"))
            self.assertIn(".gif", found.remedy)
            broken = os.path.join(folder, "ffmpeg")
            with open(broken, "w", opener=lambda path, flags: os.open(path, flags, 0o755)) as file:
                file.write("#!/bin/sh\nexit 1\n")
            self.assertEqual(drawing_checks.ffmpeg(Asked(0, None)).state, PROBLEM)

    def test_window(self) -> None:
        """The backend is asked in a process of its own; what it says last is told where there is none."""
        cases: list[tuple[Any, str, str]] = [
            ((0, '["TkAgg", true]\n', ""), OK, "Matplotlib's backend TkAgg"),
            ((0, '["agg", false]\n', ""), MISSING, "Matplotlib's backend agg opens none"),
            (
                (1, "", "Traceback\nImportError: no Qt\n"),
                PROBLEM,
                "Matplotlib has no backend for windows: ImportError: no Qt",
            ),
            ((-11, "", ""), PROBLEM, "Matplotlib has no backend for windows: it was ended by signal 11"),
            (PermissionError("no process"), PROBLEM, "not looked at, which takes a process: no process"),
        ]
        for result, state, expected in cases:
            done = mock.Mock(side_effect=result) if isinstance(result, Exception) else mock.Mock()
            if not isinstance(result, Exception):
                done.return_value = subprocess.CompletedProcess([], *result)
            with mock.patch.object(subprocess, "run", done):
                found = drawing_checks.window(Asked(0, None))
            self.assertEqual((found.state, found.found), (state, expected))
            self.assertEqual("GSP_TEST=True" in found.remedy, state != OK)

    def test_loopback(self) -> None:
        """Loopback that is down is told, with what brings it up."""
        self.assertEqual(machine_checks.loopback(Asked(0, None)).state, OK)
        with mock.patch.object(
            socket, "create_connection", side_effect=OSError(errno.ENETUNREACH, "Network is unreachable")
        ):
            found = machine_checks.loopback(Asked(0, None))
        self.assertEqual(found.state, PROBLEM)
        self.assertIn("Network is unreachable", found.found)
        self.assertTrue(found.remedy)

    def test_port(self) -> None:
        """A port is free, held by a program that is named, or not to be had."""
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            found = machine_checks.port(Asked(port, None))
            self.assertEqual(found.state, PROBLEM)
            self.assertIn(f"port {port} is held by", found.found)
            self.assertIn(f"{calling('kill')} --port {port}", found.remedy)
        self.assertEqual(machine_checks.port(Asked(port, None)), Finding(OK, f"port {port} is free"))
        with mock.patch.object(machine_checks, "bind_fault", return_value=errno.EACCES):
            found = machine_checks.port(Asked(80, None))
        self.assertEqual(found.found, "port 80 cannot be had: Permission denied")

    def test_folder(self) -> None:
        """Where nothing can be written, or hardly anything more, TMPDIR is the remedy."""
        self.assertEqual(machine_checks.folder(Asked(0, None)).state, OK)
        full = mock.patch.object(machine_checks.shutil, "disk_usage", return_value=mock.Mock(free=1000))  # type: ignore[attr-defined]
        with mock.patch.object(machine_checks, "private_folder", return_value=None), full:
            nowhere = machine_checks.folder(Asked(0, None))
        with full:
            full_up = machine_checks.folder(Asked(0, None))
        for found in (nowhere, full_up):
            self.assertEqual(found.state, PROBLEM)
            self.assertIn("TMPDIR", found.remedy)

    def test_memory(self) -> None:
        """Limits are told; the one that is too low is named."""
        self.assertEqual(machine_checks.memory(Asked(0, None)).state, OK)
        cases: list[tuple[list[tuple[str, int]], str, str]] = [
            ([], OK, "this system tells of no limit"),
            ([("available", 3 * 10**9)], OK, "3.0 GB available"),
            ([(machine_checks.ADDRESSES, 9 * 10**8), ("available", 9 * 10**8)], PROBLEM, "900 MB of address space .*"),
            ([("in this control group", 10**8)], PROBLEM, "100 MB in this control group"),
        ]
        for limits, state, expected in cases:
            with mock.patch.object(machine_checks, "_memory_limits", return_value=iter(limits)):
                found = machine_checks.memory(Asked(0, None))
            self.assertEqual(found.state, state)
            self.assertRegex(found.found, f"^{expected}$")
        self.assertIn("in this control group", found.remedy)

    def test_environment(self) -> None:
        """What is set is told, but no token; names that are none and values that cannot be are problems."""
        cases = [
            ({}, OK, "nothing of ours is set", ""),
            ({"GSP_TEST": "True", "GSP_NETWORK_TOKEN": "s3cret"}, OK, "GSP_NETWORK_TOKEN, GSP_TEST=True", ""),
            ({"GSP_NETWORK_WORKRES": "3"}, PROBLEM, "GSP_NETWORK_WORKRES=3", "is it GSP_NETWORK_WORKERS?"),
            ({"GSP_NETWORK_PORT": "many"}, PROBLEM, "GSP_NETWORK_PORT=many", "GSP_NETWORK_PORT: 'many', expected int"),
            ({"GSP_NETWORK_PORT": "99999"}, PROBLEM, "GSP_NETWORK_PORT=99999", "99999, expected 0 to 65535"),
            ({"GSP_REMOTE_RENDERER": "gpu"}, PROBLEM, "GSP_REMOTE_RENDERER=gpu", "expected one of matplotlib, datoviz"),
        ]
        for environ, state, expected, remedy in cases:
            with mock.patch.dict(os.environ, environ, clear=True):
                found = machine_checks.environment(Asked(0, None))
            self.assertEqual((found.state, found.found), (state, expected))
            self.assertIn(remedy, found.remedy)

    def test_proxies(self) -> None:
        """Proxies are told without passwords, and whether one is asked for the server in question."""
        environ = {"http_proxy": "http://me:s3cret@proxy.example.org:3128", "no_proxy": "near.example.org"}
        cases: list[tuple[dict[str, str], Optional[str], str]] = [
            ({}, None, "none in the environment"),
            (environ, None, "http: proxy.example.org:3128; never asked for this machine's servers"),
            (environ, "http://127.0.0.1:5000", "http: proxy.example.org:3128; never asked for this machine's servers"),
            (
                environ,
                "http://near.example.org",
                "http: proxy.example.org:3128; never asked for this machine's servers",
            ),
            (environ, "http://far.example.org", "http: proxy.example.org:3128; asked for far.example.org"),
        ]
        cases.append(
            (
                {"https_proxy": "me:s3cret@proxy:3128/"},
                None,
                "https: proxy:3128; never asked for this machine's servers",
            )
        )
        for variables, server, expected in cases:
            with mock.patch.dict(os.environ, variables, clear=True):
                found = machine_checks.proxies(dataclasses.replace(Asked(0, server)))
            self.assertEqual((found.state, found.found), (OK, expected))


class TestServer(unittest.TestCase):
    def test_server_with_a_token(self) -> None:
        """To who shows no token a server tells that it is there; with it, all."""
        with run_server(token=["abcdefghijklmnop"]) as server:
            with mock.patch.dict(os.environ):
                os.environ.pop("GSP_NETWORK_TOKEN", None)
                found = machine_checks.server(Asked(0, server.url))
                self.assertEqual(found.state, OK)
                self.assertRegex(found.found, "answers after .* ms, and tells more to who shows its token")
                os.environ["GSP_NETWORK_TOKEN"] = "abcdefghijklmnop"
                self.assertIn("matplotlib: ", machine_checks.server(Asked(0, server.url)).found)

    def test_others(self) -> None:
        """Nobody there, another program there, and a server that is not well are problems."""
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        found = machine_checks.server(Asked(0, f"http://127.0.0.1:{port}"))
        self.assertEqual(found.state, PROBLEM)
        self.assertIn("no server answers there", found.found)
        self.assertIn("expected http or https", machine_checks.server(Asked(0, "ftp://x")).found)
        cases = [
            (404, b"<html>", "but tells nothing of itself .status 404."),
            (200, b"[]", "but not as a server of ours does"),
            (200, b"not json", "but not as a server of ours does"),
            (200, b'{"status": "no workers", "renderers": {}}', "ms: no workers"),
        ]
        for status, body, expected in cases:
            answer = mock.Mock(status=status, body=body)
            with mock.patch.object(machine_checks.Transport, "get", return_value=answer):
                found = machine_checks.server(Asked(0, "http://127.0.0.1:1"))
            self.assertEqual(found.state, PROBLEM)
            self.assertRegex(found.found, expected)


if __name__ == "__main__":
    unittest.main()
