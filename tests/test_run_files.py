"""The run file of a server, and POST /shutdown, which it opens."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import socket
import stat
import tempfile
import threading
import unittest
from dataclasses import replace
from typing import Any
from unittest import mock

from gsp_network import RenderServer, command_line, folders, framing, ports, run_files
from gsp_network import server as server_module
from gsp_network.commands import calling
from gsp_network.errors import AccessDenied, ServerStartError
from gsp_network.ports import Listener

from .processes import (
    CLOSE,
    HEAD,
    JSON,
    PATIENCE,
    Answer,
    answers_in,
    get_request,
    needs_proc,
    rest_of,
    talk,
    wait_until,
)
from .test_server import Held, own_threads


class WithFolder(unittest.TestCase):
    """A private folder of the test's own, in which no other server's run file is."""

    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        patched = mock.patch.object(run_files, "private_folder", return_value=holder.name)
        patched.start()
        self.addCleanup(patched.stop)

    def serve(self, **settings: Any) -> RenderServer:
        server = RenderServer(**{"port": 0, **settings})
        self.addCleanup(server.close)
        return server.start()

    def file_of(self, server: RenderServer) -> run_files.RunFile:
        if server.run_file is None:
            raise AssertionError("no run file")
        return server.run_file

    def left_behind(self, file: run_files.RunFile, **facts: Any) -> run_files.RunFile:
        """Write a copy of a run file, of a process that has ended, with further facts of its own."""
        instance = os.urandom(8).hex()
        path = str(self.folder / f"server-{instance}.json")
        copy = replace(file, **{"start": "0 another", "instance": instance, "path": path, **facts})
        self.assertTrue(run_files._write(copy))
        return copy


class TestRunFile(WithFolder):
    def test_life(self) -> None:
        """From start to close a server has a run file, its user's alone, which tells where it is; nothing else is left."""
        server = self.serve()
        file = self.file_of(server)
        (path,) = self.folder.iterdir()
        self.assertEqual(run_files.servers(), [file])
        if os.name == "posix":
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        told = json.loads(path.read_text())
        self.assertEqual((told["pid"], told["port"], told["address"]), (os.getpid(), server.port, "127.0.0.1"))
        self.assertEqual((told["tls"], told["alone"], told["instance"]), (False, False, server.instance))
        self.assertNotIn(file.secret, repr(file))
        self.assertGreaterEqual(len(file.secret), 32)
        server.close()
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_two_have_two(self) -> None:
        """Two servers of a process have a run file each, with secrets of their own."""
        first, second = self.file_of(self.serve()), self.file_of(self.serve())
        self.assertEqual(set(run_files.servers()), {first, second})
        self.assertNotEqual(first.secret, second.secret)
        self.assertFalse(first.opens(f"Bearer {second.secret}"))

    def test_start_in_vain(self) -> None:
        """A server that does not start leaves no run file."""
        start = threading.Thread.start

        def refuse(thread: threading.Thread) -> None:
            if thread.name == "gsp-network-accept":
                raise RuntimeError("can't start new thread")
            start(thread)

        with mock.patch.object(threading.Thread, "start", refuse), self.assertRaises(ServerStartError):
            self.serve()
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_nowhere_to_write(self) -> None:
        """Without a place for it a server starts and closes as ever; it has no run file, and nobody can stop it by HTTP."""
        with mock.patch.object(run_files, "private_folder", return_value=None):
            server = self.serve()
        self.assertIsNone(server.run_file)
        self.assertRaises(AccessDenied, server.check_own, mock.Mock(), True)
        gone = str(self.folder / "gone")
        with mock.patch.object(run_files, "private_folder", return_value=gone), self.assertLogs("gsp_network") as logs:
            self.assertIsNone(self.serve().run_file)
        self.assertEqual(len(logs.output), 1)
        real = mock.patch.object(run_files, "private_folder", folders.private_folder)
        with real, mock.patch.object(tempfile, "gettempdir", side_effect=FileNotFoundError):
            self.assertIsNone(self.serve().run_file)
            self.assertEqual(run_files.servers(), [])

    def test_renewed(self) -> None:
        """A run file that was cleaned up is there again after it was renewed; a forked process neither renews nor removes it."""
        file = self.file_of(self.serve())
        path = pathlib.Path(file.path)
        path.unlink()
        with mock.patch.object(os, "getpid", return_value=os.getpid() + 1):
            file.renew()
            self.assertEqual(run_files.servers(), [])
        file.renew()
        self.assertEqual(run_files.servers(), [file])
        with mock.patch.object(os, "getpid", return_value=os.getpid() + 1):
            file.remove()
        self.assertEqual(run_files.servers(), [file])

    def test_renewed_where_the_server_lives(self) -> None:
        """A server renews its run file now and then, also one that a program embeds, and no more once it is closed."""
        with mock.patch.object(server_module, "RENEW_SECONDS", 0.0):
            server = self.serve()
            path = pathlib.Path(self.file_of(server).path)
            path.unlink()
            self.assertTrue(wait_until(path.exists))
            server.close()
        self.assertEqual(list(self.folder.iterdir()), [])

    @needs_proc
    def test_stale(self) -> None:
        """Who starts a server clears the run files of processes that have ended, and leaves those of other machines."""
        first = self.file_of(self.serve())
        stale, elsewhere = self.left_behind(first), self.left_behind(first, machine="other")
        self.assertEqual(set(run_files.servers()), {first, stale, elsewhere})
        second = self.file_of(self.serve())
        self.assertEqual(set(run_files.servers()), {first, second, elsewhere})

    def test_what_is_none(self) -> None:
        """What is no run file of this user's alone is not read: other fields, other names, links, pipes, folders."""
        file = self.file_of(self.serve())
        good = json.loads(pathlib.Path(file.path).read_text())
        instance = "0123456789abcdef"
        path = self.folder / f"server-{instance}.json"
        changes: list[dict[str, Any]] = [
            {"pid": 0},
            {"pid": "1"},
            {"pid": True},
            {"pid": 2**40},
            {"port": 0},
            {"secret": 5},
            {"secret": "caf\u00e9"},
            {"start": 5},
            {"tls": 1},
            {"instance": "f" * 16},
        ]
        for change in changes:
            with self.subTest(change=change):
                self.write(path, json.dumps({**good, "instance": instance, **change}))
                self.assertEqual(run_files.servers(), [file])
        for text in ("", "[]", "{", "null", "[" * 4000, json.dumps(good)[:-1]):
            with self.subTest(text=text[:10]):
                self.write(path, text)
                self.assertEqual(run_files.servers(), [file])
        self.write(path, json.dumps({**good, "instance": instance, "later": 1}))
        self.assertEqual(len(run_files.servers()), 2)
        if os.name != "posix":
            return
        path.chmod(0o644)
        self.assertEqual(run_files.servers(), [file])
        for make in (lambda: path.symlink_to(file.path), lambda: os.mkfifo(path, 0o600), path.mkdir):
            path.unlink()
            make()
            self.assertEqual(run_files.servers(), [file])

    def write(self, path: pathlib.Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o600)

    @needs_proc
    def test_server_of(self) -> None:
        """A listener is a server of ours where its process, its start, its address and its port are the run file's."""
        file = self.file_of(self.serve())
        (found,) = ports.listeners(file.port)
        self.assertEqual(run_files.server_of(found), file)
        others: list[dict[str, Any]] = [
            {"pid": found.pid + 1},  # type: ignore[operator]
            {"pid": None, "start": None},
            {"start": "0 another"},
            {"start": None},
            {"address": "0.0.0.0"},
            {"port": file.port + 1},
        ]
        for facts in others:
            with self.subTest(**facts):
                self.assertIsNone(run_files.server_of(replace(found, **facts)))
        self.assertIsNone(run_files.server_of(found, [replace(file, machine="other")]))
        self.assertIsNone(run_files.server_of(replace(found, start=None), [replace(file, start=None)]))

    @needs_proc
    def test_port_in_use(self) -> None:
        """A server whose port is taken says by whom and how to free it; also where nobody can look."""
        server = self.serve()
        name = f"{ports.listeners(server.port)[0]}"
        with self.assertRaises(ServerStartError) as caught:
            self.serve(port=server.port)
        free_it = f"free it with `{calling('kill')} --port {server.port}`, or choose another"
        self.assertIn(f"in use by {name}: {free_it}", str(caught.exception))
        pathlib.Path(self.file_of(server).path).unlink()
        with self.assertRaisesRegex(ServerStartError, r"in use by .*\): stop what holds it, or choose another"):
            self.serve(port=server.port)
        with mock.patch.object(ports, "listeners", side_effect=ZeroDivisionError):
            with self.assertRaisesRegex(ServerStartError, "in use: stop what holds it"):
                self.serve(port=server.port)
        hidden = Listener("127.0.0.1", server.port, None, None, "", "root")
        with mock.patch.object(ports, "listeners", return_value=[hidden]):
            with self.assertRaisesRegex(ServerStartError, "in use by a process of user root that cannot be looked"):
                self.serve(port=server.port)


class TestShutdown(WithFolder):
    def shut_down(self, server: RenderServer, *more: bytes, body: bytes = b"", kind: bytes = JSON) -> Answer:
        head = b"POST /shutdown " + HEAD + kind + CLOSE + b"".join(more)
        (answer,) = talk(server.port, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return answer

    def shown(self, secret: str) -> bytes:
        return b"Authorization: Bearer " + secret.encode() + b"\r\n"

    def test_refused(self) -> None:
        """Nobody stops a server without its secret, with a client's token, from a web page, or from elsewhere."""
        server = self.serve(token="clients-token")
        secret = self.shown(self.file_of(server).secret)
        cases: list[tuple[int, tuple[bytes, ...], bytes]] = [
            (401, (), JSON),
            (401, (self.shown("x"),), JSON),
            (401, (self.shown(""),), JSON),
            (401, (self.shown("clients-token"),), JSON),
            (401, (secret.replace(b"Bearer", b"Basic"),), JSON),
            (401, (b"Authorization: Bearer \xe9\r\n",), JSON),
            (415, (secret,), b"Content-Type: text/plain\r\n"),
            (403, (secret, b"Origin: http://evil.example\r\n"), JSON),
            (403, (secret, b"Sec-Fetch-Site: cross-site\r\n"), JSON),
        ]
        for status, more, kind in cases:
            with self.subTest(more=more, kind=kind):
                self.assertEqual(self.shut_down(server, *more, kind=kind).status, status)
        evil = b"POST /shutdown HTTP/1.1\r\nHost: evil.example\r\n" + JSON + secret + b"Content-Length: 0\r\n\r\n"
        self.assertEqual([answer.status for answer in talk(server.port, evil)], [421])
        with mock.patch.object(framing.Connection, "_is_near", return_value=False):
            self.assertEqual(self.shut_down(server, secret).status, 403)
        (answer,) = talk(server.port, get_request("/shutdown", secret))
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "POST"))
        (answer,) = talk(server.port, get_request("/health", secret))  # it opens nothing else
        self.assertEqual(json.loads(answer.body), {"status": "ok"})
        self.assertFalse(server.closing)

    def test_near(self) -> None:
        """A client is on this machine at a loopback address, or at the address under which it reaches the server."""
        for peer, own, near in (
            ("127.0.0.1", "127.0.0.1", True),
            ("::ffff:127.0.0.1", "::ffff:127.0.0.1", True),
            ("::1", "::1", True),
            ("192.0.2.7", "192.0.2.7", True),
            ("192.0.2.8", "192.0.2.7", False),
            ("2001:db8::1", "2001:db8::2", False),
        ):
            with self.subTest(peer=peer, own=own):
                connection = mock.Mock(client_address=(peer, 1), spec=framing.Connection)
                connection._connection = mock.Mock(**{"getsockname.return_value": (own, 5000)})
                self.assertEqual(framing.Connection._is_near(connection), near)

    def test_embedded(self) -> None:
        """With the secret an embedded server answers 202 and closes, and the program goes on; nothing of it is left."""
        server = self.serve()
        instance = json.loads(talk(server.port, get_request("/health"))[0].body)["instance"]
        self.assertEqual(instance, self.file_of(server).instance)
        with self.assertLogs("gsp_network", "INFO") as logs:
            answer = self.shut_down(server, self.shown(self.file_of(server).secret), body=b"{}")
        self.assertEqual((answer.status, json.loads(answer.body)), (202, {"status": "closing"}))
        self.assertTrue(wait_until(lambda: not own_threads()))
        self.assertEqual(list(self.folder.iterdir()), [])
        self.assertNotIn(self.file_of(server).secret, "".join(logs.output))

    def test_own_process(self) -> None:
        """Where the process is the server's own it ends as after SIGTERM."""
        server = RenderServer(port=0)
        parent, statuses = os.getppid(), []
        ended, in_vain = threading.Event(), threading.Event()

        def stop() -> None:
            try:
                wait_until(lambda: server.port)
                statuses.append(self.shut_down(server, self.shown(run_files.servers()[0].secret)).status)
                ended.wait(PATIENCE)
            finally:
                if not ended.is_set():
                    in_vain.set()

        thread = threading.Thread(target=stop)
        thread.start()
        often = mock.patch.object(command_line, "PARENT_SECONDS", 0.01)
        gives_up = mock.patch.object(os, "getppid", lambda: -1 if in_vain.is_set() else parent)
        with often, gives_up, contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(command_line.serve(server, parent), 0)
        ended.set()
        thread.join(PATIENCE)
        self.assertEqual((statuses, in_vain.is_set()), ([202], False))
        self.assertTrue(self.file_of(server).alone)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_full_server(self) -> None:
        """A server that has no place for a scene can be stopped all the same, and answers what it has begun."""
        executor = Held()
        self.addCleanup(executor.shutdown)
        server = self.serve(executor=executor, max_inflight_bytes=2)
        request = b"POST /render " + HEAD + JSON + b"Content-Length: 2\r\n\r\n{}"
        with socket.create_connection(("127.0.0.1", server.port), 10) as drawn:
            drawn.sendall(request)
            self.assertTrue(executor.begun.wait(10))
            self.assertEqual(talk(server.port, request)[0].status, 503)
            secret = self.shown(self.file_of(server).secret)
            self.assertEqual(self.shut_down(server, secret, body=b"{}").status, 202)
            self.assertTrue(wait_until(lambda: server.closing))
            executor.go_on.set()
            self.assertEqual([answer.status for answer in answers_in(rest_of(drawn))], [422])
        self.assertTrue(wait_until(lambda: not own_threads()))


if __name__ == "__main__":
    unittest.main()
