"""The stop tool against real servers and other programs: what it ends, what it leaves alone, and what it says."""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from dataclasses import replace
from typing import Any
from unittest import mock

from gsp_network import RenderServer, ports, run_files
from gsp_network.commands import calling
from gsp_network.errors import AccessDenied
from gsp_network.png import png_fault
from gsp_network.ports import Listener
from gsp_network.tools import network_server_kill

from .processes import (
    PATIENCE,
    ServerProcess,
    answers_in,
    children_of,
    is_gone,
    needs_proc,
    post_request,
    rest_of,
    wait_until,
)
from .scenes import body_of, markers
from .support import ROOT, make_certificate
from .test_ports import holder
from .test_run_files import WithFolder
from .test_server import own_threads

FORKED = """
import os, sys
from gsp_network import RenderServer
server = RenderServer(port=0, datoviz_workers=0).start()
if os.fork():
    print(server.port, flush=True)
sys.stdin.read()
os._exit(0)
"""


def heavy(n: int) -> bytes:
    """A scene of so many clubs, which Agg draws one by one; 30 000 take half a second."""
    return body_of(markers("club", *((k % 97 / 48 - 1, k % 89 / 44 - 1, 0.0) for k in range(n)), size=20.0, width=1.0))


def kill(*arguments: str) -> tuple[int, str]:
    """What the command line returns and says."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = network_server_kill.main(list(arguments))
    return status, out.getvalue()


class WithTool(WithFolder):
    def setUp(self) -> None:
        super().setUp()
        patched = mock.patch.object(network_server_kill, "MOMENT_SECONDS", 0.001)
        patched.start()
        self.addCleanup(patched.stop)

    def free(self, port: int, *arguments: str) -> tuple[int, list[str]]:
        status, said = kill("--port", str(port), *arguments)
        return status, said.splitlines()


@needs_proc
class TestServerProcesses(WithTool):
    def setUp(self) -> None:
        super().setUp()
        private = self.folder / f"gsp_network-{os.getuid()}"
        patched = mock.patch.object(run_files, "private_folder", return_value=str(private))
        patched.start()
        self.addCleanup(patched.stop)

    def start(self, *options: str) -> ServerProcess:
        server = ServerProcess(*options, TMPDIR=str(self.folder))
        self.addCleanup(server.close)
        return server

    def words(self, server: ServerProcess) -> str:
        return str(ports.listeners(server.port)[0])

    def test_idle(self) -> None:
        """A server is listed, left by --dry-run, and asked to stop; it ends with 0, and who is connected to it is left alone."""
        server = self.start("--workers", "0")
        name = self.words(server)
        self.assertRegex(name, rf"python[0-9.]* -m gsp_network\.server .*\(pid {server.pid}, user \S+\)")
        status, said = self.free(server.port, "--list")
        self.assertEqual((status, len(said)), (0, 1))
        self.assertIn(f"Port {server.port} on 127.0.0.1: {name}, gsp_network ", said[0])
        status, said = self.free(server.port, "--dry-run")
        self.assertEqual(status, 1)
        self.assertIn(
            "Without --dry-run this would ask it to stop, then send SIGTERM, then send SIGKILL.", "".join(said)
        )
        self.assertEqual(server.get("/health").status, 200)
        with server.connect():  # from this process, which a tool that looks for sockets would end
            status, said = self.free(server.port)
        self.assertEqual(status, 0)
        self.assertEqual(
            said, [f"Asked {name} to stop: it listens on port {server.port} no more.", f"Port {server.port} is free."]
        )
        self.assertEqual(server.process.wait(PATIENCE), 0)
        self.assertIn("asked to stop by POST /shutdown", server.read_log())
        self.assertEqual(run_files.servers(), [])
        self.assertEqual(self.free(server.port), (0, [f"Port {server.port} is free."]))

    def test_rendering(self) -> None:
        """A server that is drawing lets go of the port at once, and its picture is answered before it ends."""
        server = self.start("--workers", "1")
        with server.connect() as connection:
            connection.sendall(post_request(heavy(30_000)))
            self.assertTrue(wait_until(lambda: server.health()["workers"]["busy"] == 1))
            self.assertEqual(self.free(server.port)[0], 0)
            self.assertIsNone(server.process.poll())
            (answer,) = answers_in(rest_of(connection))
        self.assertEqual((answer.status, png_fault(answer.body)), (200, ""))
        self.assertEqual(server.process.wait(PATIENCE), 0)

    def test_hung(self) -> None:
        """A server that does nothing any more is ended by SIGKILL, its workers end by themselves, its run file is cleared."""
        server = self.start("--workers", "1")
        self.assertTrue(wait_until(lambda: len(children_of(server.pid)) == 1))
        workers = children_of(server.pid)
        name = self.words(server)
        server.process.send_signal(signal.SIGSTOP)
        status, said = self.free(server.port, "--timeout", "0.1")
        self.assertEqual(status, 0)
        self.assertEqual(
            said,
            [
                f"Asked {name} to stop: no answer that it will.",
                f"Sent SIGTERM to {name}: it still listens on port {server.port} after 0.1 s.",
                f"Sent SIGKILL to {name}: it listens on port {server.port} no more.",
                f"Port {server.port} is free.",
            ],
        )
        self.assertEqual(server.process.wait(PATIENCE), -signal.SIGKILL)
        self.assertEqual(run_files.servers(), [])
        self.assertTrue(wait_until(lambda: all(map(is_gone, workers))))

    def test_forked(self) -> None:
        """A child that a server's program has forked holds the port no more once the server has closed: nothing is said of it."""
        environ = {**os.environ, "TMPDIR": str(self.folder), "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", FORKED],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environ,
        ) as process:
            port = int(process.stdout.readline())  # type: ignore[union-attr]
            self.assertEqual(len(ports.listeners(port)), 2)
            name = str(next(one for one in ports.listeners(port) if one.pid == process.pid))
            status, said = self.free(port)
            process.stdin.close()  # type: ignore[union-attr]  # both end
        told = [f"Asked {name} to stop: it listens on port {port} no more.", f"Port {port} is free."]
        self.assertEqual((status, said), (0, told))


@needs_proc
class TestEmbedded(WithTool):
    """Servers inside this program, which a signal would end."""

    def test_two_servers(self) -> None:
        """Of two servers the one on the port is stopped, and the other serves on until --all, which leaves others alone."""
        first, second = self.serve(), self.serve()
        status, said = self.free(first.port, "--list")
        self.assertEqual((status, len(said)), (0, 2))
        self.assertTrue(all("inside a program" in line for line in said), said)
        self.assertEqual(self.free(first.port)[0], 0)
        self.assertTrue(wait_until(lambda: first.closing))
        self.assertFalse(second.closing)
        self.assertTrue(ports.listeners(second.port))
        with holder("plain", "127.0.0.2", second.port) as (foreign, port, _):
            status, text = kill("--all", "--force")
            self.assertEqual((status, f"left alone; --port {port} --force ends it" in text), (1, True), text)
            self.assertIsNone(foreign.poll(), text)
            self.assertEqual([one.pid for one in ports.listeners(port)], [foreign.pid], text)
        self.assertTrue(wait_until(lambda: not own_threads()))
        self.assertEqual(kill("--all"), (0, "No server of this user runs.\n"))

    def test_stranger_beside_ours(self) -> None:
        """A stranger on another address of a server's port is left alone by --all --force, whichever is looked at first."""
        for backwards in (False, True):

            def ordered(items: Any, key: Any = None) -> list[Any]:
                return sorted(items, key=key, reverse=backwards)  # noqa: B023 - called in this turn alone

            server = self.serve()
            with holder("plain", "127.0.0.2", server.port) as (foreign, port, _), self.subTest(backwards=backwards):
                with mock.patch.object(network_server_kill, "sorted", ordered, create=True):
                    status, text = kill("--all", "--force")
                self.assertEqual((status, "left alone" in text, "listens on port" in text), (1, True, True), text)
                self.assertIsNone(foreign.poll(), text)
                self.assertEqual([one.pid for one in ports.listeners(port)], [foreign.pid], text)

    def test_with_tls_and_on_ipv6(self) -> None:
        """A server with a certificate for other names is asked too, and so is one on ::1 or on all addresses."""
        certificate, key = map(str, make_certificate(self.folder))
        table: list[dict[str, Any]] = [
            {"certfile": certificate, "keyfile": key},
            {"host": "0.0.0.0", "token": "secret"},
        ]
        if socket.has_ipv6 and ports.bind_fault("::1", 0) is None:
            table.append({"host": "::1"})
        for settings in table:
            with self.subTest(**settings):
                logs = self.assertLogs("gsp_network") if settings.get("token") else contextlib.nullcontext()
                with logs:  # no TLS for others
                    server = self.serve(**settings)
                status, said = self.free(server.port)
                self.assertEqual((status, said[-1]), (0, f"Port {server.port} is free."))

    def test_that_does_not_stop(self) -> None:
        """A server in a program that does not let go gets no signal: --force is named, and does not end the tool's own."""
        server = self.serve()
        with mock.patch.object(server, "_shut_down"):
            for options, wanted in (((), "--force sends it."), (("--force",), "held by this very program")):
                status, said = self.free(server.port, "--timeout", "0.05", *options)
                self.assertEqual((status, said[-1]), (1, f"Port {server.port} is not free."))
                self.assertIn("it still listens on port", said[0])
                self.assertIn(wanted, said[1])
        with mock.patch.object(RenderServer, "check_own", side_effect=AccessDenied(401, "token", "no")):
            status, said = self.free(server.port, "--timeout", "0.05")
        self.assertIn("to stop: no answer that it will.", said[0])
        self.assertFalse(server.closing)

    def test_just_started(self) -> None:
        """A server that listens and has not written its run file yet gets a moment to do so."""
        server = self.serve()
        file = self.file_of(server)
        pathlib.Path(file.path).unlink()
        with mock.patch.object(network_server_kill.time, "sleep", lambda seconds: file.renew()):
            self.assertEqual(self.free(server.port)[0], 0)

    def test_no_proc(self) -> None:
        """Where the system does not tell who listens, a server that knows a run file's instance is asked, and nobody else."""
        server = self.serve()
        with mock.patch.object(ports, "PROC", str(self.folder / "no")), mock.patch.object(ports, "ELSEWHERE", False):
            with socket.create_server(("127.0.0.1", 0)) as foreign:
                port = foreign.getsockname()[1]
                file = replace(self.file_of(server), port=port, path=str(self.folder / f"server-{'0' * 16}.json"))
                run_files._write(replace(file, instance="0" * 16))
                heard: list[bytes] = []
                thread = threading.Thread(target=answer_wrong, args=(foreign, heard))
                thread.start()
                status, said = self.free(port, "--force")
                self.assertEqual(status, 1)
                self.assertIn("this system does not tell what", said[-1])
                thread.join(PATIENCE)
            self.assertEqual([request.split(b"\r\n")[0] for request in heard], [b"GET /health HTTP/1.1", b""])
            self.assertNotIn(b"Authorization", b"".join(heard))
            status, said = self.free(server.port, "--dry-run")
            self.assertEqual((status, "would ask it to stop" in said[0]), (1, True))
            said = self.free(server.port, "--list")[1]
            (line,) = (line for line in said if line.startswith(f"Port {server.port} on "))
            self.assertIn(", inside a program; it answers, and cannot be looked into from here.", line)
            (line,) = (line for line in said if line.startswith(f"Port {port} on "))
            self.assertIn("it is not seen to listen", line)
            self.assertFalse(server.closing)
            status, said = self.free(server.port)
            self.assertEqual((status, said[-1]), (0, f"Port {server.port} is free."))
            self.assertEqual(self.free(server.port)[0], 0)


class TestElsewhere(WithTool):
    """Servers that cannot be told by their processes."""

    def hidden(self, **facts: Any) -> Any:
        """See listeners as from another container, or with other facts."""
        facts = facts or {"pid": None, "start": None, "command": ""}
        real = ports.listeners
        return mock.patch.object(ports, "listeners", lambda port=None: [replace(one, **facts) for one in real(port)])

    def as_user(self, number: int) -> Any:
        return mock.patch.object(os, "geteuid", return_value=number, create=True)

    @needs_proc
    def test_another_temporary_directory(self) -> None:
        """A server of which there is no run file here is left alone, and said to be one, with what to do."""
        server = self.serve()
        (name,) = ports.listeners(server.port)
        other = self.folder / "other"
        other.mkdir(0o700)
        with mock.patch.object(run_files, "private_folder", return_value=str(other)):
            status, said = self.free(server.port)
            seems = f"{name}, {network_server_kill.UNPROVEN}"
            wanted = (
                f"Port {server.port} is held by {seems}: left alone; call this with its TMPDIR, or --force ends it."
            )
            self.assertEqual((status, said[0]), (1, wanted))
            wanted = f"Port {server.port} on 127.0.0.1: {seems}."
            self.assertEqual(self.free(server.port, "--list"), (0, [network_server_kill.NO_SERVER, wanted]))
            with self.hidden(), self.as_user(0):
                (said, *_) = self.free(server.port)[1]
            self.assertIn("from here, a server of gsp_network: it is in another container: end it there.", said)
        self.assertFalse(server.closing)

    @needs_proc
    def test_another_container(self) -> None:
        """A server whose process cannot be looked into is listed, and asked to stop, where it knows its run file's instance."""
        for facts in ({}, {"start": None}):  # the second as where it runs without /proc
            server = self.serve()
            self.left_behind(self.file_of(server), instance=server.instance, start=None, machine="another")
            with self.subTest(**facts), self.hidden(**facts):
                status, said = self.free(server.port, "--list")
                self.assertEqual((status, len(said)), (0, 1), said)
                self.assertIn("it answers, and cannot be looked into from here", said[0])
                status, said = self.free(server.port, "--dry-run", "--force")
                steps = "ask it to stop, then send SIGTERM" if facts else "ask it to stop."
                self.assertEqual((status, f"this would {steps}" in said[0]), (1, True), said)
                with mock.patch.object(server, "_shut_down"):
                    status, said = self.free(server.port, "--timeout", "0.05")
                hint = "--force sends it a signal" if facts else "It gets no signal from here"
                self.assertEqual((status, hint in said[1]), (1, True), said)
                self.assertFalse(server.closing)
                status, text = kill("--all")
                self.assertEqual((status, text.splitlines()[-1]), (0, f"Port {server.port} is free."))
                self.assertTrue(wait_until(lambda: not own_threads()))

    def test_nowhere_to_be_seen(self) -> None:
        """The run file of a server of which nothing is seen here is told by --list and --all in the same words."""
        server = self.serve()
        file = self.file_of(server)
        server.close()
        self.left_behind(file, machine="another")
        line = f"Port {file.port} on 127.0.0.1: process {file.pid}, gsp_network {file.version}, inside a program; it is not "
        line += "seen to listen: it is in another container or on another machine, or was.\n"
        status, text = kill("--list", "--port", str(file.port))
        self.assertEqual((status, line in text), (0, True), text)
        if ports.sees():
            self.assertEqual(kill("--all"), (0, line))

    @needs_proc
    def test_remedies(self) -> None:
        """Root, and a process's own user, are not sent to root where it cannot be looked into: it is in another container."""
        hidden = Listener("127.0.0.1", 1, None, None, "", ports.user_name(1234))
        for user, wanted in ((0, "in another container"), (1234, "in another container"), (5, "have that user end it")):
            with self.subTest(user=user), self.as_user(user):
                self.assertIn(wanted, network_server_kill._remedy(hidden))


def answer_wrong(listening: socket.socket, heard: list[bytes]) -> None:
    """Answer two requests as another server would, and keep what they say; a look whether anybody listens says nothing."""
    body = b'{"instance": "another"}'
    for _ in range(2):
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            connection.settimeout(PATIENCE)
            heard.append(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@needs_proc
class TestOthers(WithTool):
    def setUp(self) -> None:
        super().setUp()
        patched = mock.patch.object(network_server_kill, "LOOK_SECONDS", 0.01)  # these programs answer nothing
        patched.start()
        self.addCleanup(patched.stop)

    def test_foreign(self) -> None:
        """Row 73: another program on the port is named and left alone; --force ends it, and says so beforehand with --dry-run."""
        with holder() as (process, port, _):
            (found,) = ports.listeners(port)
            status, said = self.free(port)
            self.assertEqual(status, 1)
            self.assertEqual(
                said,
                [
                    f"Port {port} is held by {found}, no server of ours that this user started: left alone; --force ends it.",
                    f"Port {port} is not free.",
                ],
            )
            status, said = self.free(port, "--list")
            self.assertEqual((status, said[-1]), (0, f"Port {port} on 127.0.0.1: {found}, no server of ours."))
            status, said = self.free(port, "--force", "--dry-run")
            self.assertEqual((status, "would send SIGTERM, then send SIGKILL." in said[0]), (1, True))
            self.assertIsNone(process.poll())
            status, said = self.free(port, "--force")
            self.assertEqual((status, len(said)), (0, 2))
            self.assertEqual(process.wait(PATIENCE), -signal.SIGTERM)

    def test_several_and_deaf(self) -> None:
        """Of several processes with one socket each is named, and with --force ended; one deaf to SIGTERM by SIGKILL."""
        with holder("forked") as (process, port, child):
            status, said = self.free(port)
            self.assertEqual(status, 1)
            for pid in (process.pid, child):
                self.assertIn(f"(pid {pid}, ", "".join(said))
            self.assertEqual(self.free(port, "--force")[0], 0)
            self.assertTrue(wait_until(lambda: is_gone(child)))
        taken = [errno.EADDRINUSE, errno.EADDRINUSE, None]  # for a moment longer
        with holder("deaf") as (process, port, _), mock.patch.object(ports, "bind_fault", side_effect=taken):
            self.assertEqual(self.free(port, "--force", "--timeout", "0.05")[0], 0)
            self.assertEqual(process.wait(PATIENCE), -signal.SIGKILL)

    def test_reused_id(self) -> None:
        """Row 73: a process that has the id of one that listened, but another start, gets no signal, whatever stands in files."""
        with holder() as (process, port, _):
            (found,) = ports.listeners(port)
            self.assertIsNotNone(found.start)
            for fallback in (False, True):
                earlier = replace(found, start="0 earlier")
                with self.subTest(fallback=fallback), self.no_pidfd() if fallback else contextlib.nullcontext():
                    self.assertEqual(
                        network_server_kill.send(earlier, signal.SIGKILL), "it has ended, or listens no more"
                    )
                    self.assertIn("does not tell", network_server_kill.send(replace(found, start=None), signal.SIGKILL))
            server = RenderServer(port=0)
            with server:
                file = replace(self.file_of(server), pid=process.pid, port=port, start="0 earlier", alone=True)
            run_files._write(file)
            earlier = [replace(found, start="0 earlier")]
            looks = itertools.chain([earlier] * 3, itertools.repeat([found]))
            with mock.patch.object(ports, "listeners", side_effect=looks):
                # Between the look and the signal the server has ended, and its id is another process's.
                asked = mock.patch.object(network_server_kill, "_stops", side_effect=lambda *_: not ports.listeners())
                with asked:
                    status, said = self.free(port, "--force")
            self.assertEqual(
                (status, said[0]), (1, f"SIGTERM was not sent to {found}: it has ended, or listens no more.")
            )
            self.assertIsNone(process.poll())
            status, said = self.free(port)
            self.assertEqual((status, "left alone" in said[0]), (1, True))
            self.assertIsNone(process.poll())
            with self.no_pidfd():
                self.assertEqual(network_server_kill.send(found, signal.SIGTERM), "")
            self.assertEqual(process.wait(PATIENCE), -signal.SIGTERM)
            self.assertIn("has ended", network_server_kill.send(found, signal.SIGTERM))

    def no_pidfd(self) -> Any:
        return mock.patch.object(os, "pidfd_open", side_effect=OSError(errno.ENOSYS, "not here"), create=True)

    def test_not_to_be_signalled(self) -> None:
        """A process that cannot be looked into, that this user may not signal, or the system's first one is told in words."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            (own,) = ports.listeners(port)
            hidden = Listener("127.0.0.1", port, None, None, "", "lab")
            user = mock.patch.object(os, "geteuid", return_value=1234)
            with mock.patch.object(ports, "listeners", return_value=[hidden]), user:
                status, said = self.free(port, "--force")
            wanted = "is held by a process of user lab that cannot be looked into from here: have that user end it"
            self.assertEqual((status, wanted in said[0]), (1, True), said)
            with mock.patch.object(ports, "listeners", return_value=[replace(own, pid=1, command="systemd")]):
                status, said = self.free(port, "--force")
            self.assertEqual((status, "systemctl list-sockets" in said[0]), (1, True), said)
        with holder() as (_, port, _):
            with mock.patch.object(os, "pidfd_open", side_effect=PermissionError, create=True):
                with mock.patch.object(os, "kill", side_effect=PermissionError):
                    status, said = self.free(port, "--force")
            self.assertEqual((status, "this user may not" in said[0]), (1, True), said)

    def test_stale_run_files(self) -> None:
        """Run files of processes that have ended are cleared, but not by --dry-run and --list; they make nobody a target."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            file = self.file_of(self.serve())
            stale = self.left_behind(file, port=port)
            self.assertEqual(self.free(port, "--dry-run")[0], 1)
            self.assertEqual(len(self.free(port, "--list")[1]), 2)  # of the server that runs, and of who listens
            self.assertIn(stale, run_files.servers())
            self.assertEqual(self.free(port)[0], 1)
            self.assertEqual(run_files.servers(), [file])

    def test_port_of_a_client(self) -> None:
        """A port that is only a client's own end is nobody's to be ended, and said to be taken still."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            with socket.create_connection(listening.getsockname()) as client:
                status, said = self.free(client.getsockname()[1], "--force")
        self.assertEqual(status, 1)
        self.assertEqual(len(said), 1)
        self.assertIn("Nobody listens on port", said[0])
        self.assertIn("a connection or a process has it still", said[0])


class TestCommandLine(unittest.TestCase):
    def test_usage(self) -> None:
        """A port or time that is none, and --all with a port, are errors of usage; --help says how it departs from GSP_API's."""
        table = [["--port", text] for text in ("0", "x", "99999")]
        table += [["--timeout", text] for text in ("0", "x", "nan", "inf", "1e10", "1e300")]
        table += [["--all", "--port", "1"], ["--all", "--list"]]
        for arguments in table:
            with self.subTest(arguments=arguments):
                self.assertRegex(self.refused(*arguments), r"(?s)usage:.*(expected|leave)")
        with contextlib.redirect_stdout(io.StringIO()) as out, self.assertRaises(SystemExit):
            network_server_kill.main(["--help"])
        told = " ".join(out.getvalue().split())
        self.assertIn(f"usage: {calling('kill')} ", told)
        self.assertIn("GSP_API's tool of this name ends every process that has a socket on the port", told)
        self.assertIn("the port to free (default: GSP_NETWORK_PORT, else 5000)", told)

    def refused(self, *arguments: str) -> str:
        """What it says where it ends with an error of usage."""
        with contextlib.redirect_stderr(io.StringIO()) as err, self.assertRaises(SystemExit) as caught:
            network_server_kill.main(list(arguments))
        self.assertEqual(caught.exception.code, 2)
        return err.getvalue()

    def test_port_of_the_environment(self) -> None:
        """Without --port the port is the one that a server would take; one that is none is told in words."""
        with mock.patch.dict(os.environ, GSP_NETWORK_WORKERS="many"):  # which is none of its business
            with mock.patch.object(network_server_kill, "_free", return_value=True) as free:
                for text, arguments, wanted in (
                    ("6001", (), 6001),
                    ("6001", ("--port", "2"), 2),
                    ("x", ("--port", "2"), 2),
                ):
                    with mock.patch.dict(os.environ, GSP_NETWORK_PORT=text):
                        self.assertEqual(kill("--dry-run", *arguments), (0, ""))
                    self.assertEqual(free.call_args[0][0], wanted)
            for text, told in (
                ("x", "'x', expected int"),
                ("99999", "99999, expected 0 to 65535"),
                ("0", "is 0, for any"),
            ):
                with mock.patch.dict(os.environ, GSP_NETWORK_PORT=text):
                    self.assertRegex(self.refused(), f"error: .*GSP_NETWORK_PORT:? {told}.* --port")

    def test_interrupted(self) -> None:
        """Ctrl-C ends it with 130."""
        with mock.patch.object(run_files, "clear_stale", side_effect=KeyboardInterrupt):
            self.assertEqual(kill(), (130, ""))

    def test_as_a_command(self) -> None:
        """As a command it needs neither numpy nor any drawing library, and frees port 5000 by default."""
        code = (
            "import sys\n"
            "from gsp_network.tools import network_server_kill as tool\n"
            "tool._free = lambda port, how: print(port, how, sorted({'numpy', 'matplotlib'} & set(sys.modules)))\n"
            "sys.exit(tool.main([]))\n"
        )
        with tempfile.TemporaryDirectory() as folder:
            environ = {**os.environ, "TMPDIR": folder}
            environ.pop("GSP_NETWORK_PORT", None)
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT, env=environ
            )
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertEqual(done.stdout, "5000 How(force=False, dry_run=False, seconds=5.0) []\n")


if __name__ == "__main__":
    unittest.main()
