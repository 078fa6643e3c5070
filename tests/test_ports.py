"""Who listens on a port: as this system tells it, on real sockets, and as others do, in tables made by hand."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import unittest
from typing import Any, Iterator
from unittest import mock

from gsp_network import ports, ports_elsewhere
from gsp_network.ports import Listener

from .processes import PATIENCE, needs_proc

HOLDER = """
import os, signal, socket, sys
listening = socket.create_server((sys.argv[2], int(sys.argv[3])))
if sys.argv[1] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork() if sys.argv[1] == "forked" else 0
if child or sys.argv[1] != "forked":
    print(listening.getsockname()[1], child, flush=True)
signal.pause()
"""


@contextlib.contextmanager
def holder(
    kind: str = "plain", address: str = "127.0.0.1", port: int = 0
) -> Iterator[tuple[subprocess.Popen, int, int]]:
    """A program that listens, its port, and its child's id: "plain"; "deaf" to SIGTERM; or "forked": its child listens too."""
    command = [sys.executable, "-S", "-c", HOLDER, kind, address, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    child = 0
    try:
        port, child = map(int, process.stdout.readline().split())  # type: ignore[union-attr]
        yield process, port, child
    finally:
        process.kill()
        process.wait(PATIENCE)
        process.stdout.close()  # type: ignore[union-attr]
        if child:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, 9)


def listener(**facts: Any) -> Listener:
    """A listener that is none."""
    return Listener(
        **{
            "address": "127.0.0.1",
            "port": 5000,
            "pid": 123,
            "start": "1 boot",
            "command": "python3 -m http.server",
            "user": "lab",
            **facts,
        }
    )


class TestWords(unittest.TestCase):
    def test_words(self) -> None:
        """A listener is named by its command, process and user, as far as they are known."""
        self.assertEqual(str(listener()), "python3 -m http.server (pid 123, user lab)")
        self.assertEqual(str(listener(command="", user="")), "a process (pid 123)")
        hidden = listener(pid=None, start=None, command="", user="root")
        self.assertEqual(str(hidden), "a process of user root that cannot be looked into from here")


@needs_proc
class TestHere(unittest.TestCase):
    def own(self, port: int) -> list[Listener]:
        return [one for one in ports.listeners(port) if one.pid == os.getpid()]

    def test_addresses(self) -> None:
        """A listening socket is found at the address that it is bound to, IPv4 and IPv6."""
        self.assertTrue(ports.sees())
        for address in ("127.0.0.1", "0.0.0.0", "::1", "::"):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with self.subTest(address=address), socket.socket(family) as one:
                try:
                    one.bind((address, 0))
                except OSError as exc:
                    self.skipTest(f"no {address} here: {exc}")
                port = one.getsockname()[1]
                self.assertEqual(self.own(port), [])  # bound, and not listening
                one.listen()
                (found,) = self.own(port)
                self.assertEqual((found.address, found.port, found.start), (address, port, ports.start_of(os.getpid())))
                self.assertIn(found, ports.listeners())
                self.assertEqual(ports.bind_fault(address, port), errno.EADDRINUSE)
                self.assertTrue(ports.answers(address.replace("0.0.0.0", "127.0.0.1"), port, PATIENCE))
            self.assertEqual(ports.listeners(port), [])
            self.assertIsNone(ports.bind_fault(address, port))
            self.assertFalse(ports.answers(address.replace("0.0.0.0", "127.0.0.1"), port, PATIENCE))

    def test_clients_do_not_count(self) -> None:
        """Neither end of a connection counts, nor does a socket that is bound only."""
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_connection(one.getsockname()) as client:
            accepted, _ = one.accept()
            with accepted:
                port = one.getsockname()[1]
                one.close()
                self.assertEqual(ports.listeners(port), [])
                self.assertEqual(ports.listeners(client.getsockname()[1]), [])

    def test_forked(self) -> None:
        """Where several processes have one listening socket, each is told, with its own start and command."""
        with holder("forked") as (process, port, child):
            found = ports.listeners(port)
            self.assertEqual({one.pid for one in found}, {process.pid, child})
            self.assertEqual(
                {one.start for one in found}, {ports.start_of(pid) for pid in (process.pid, child)} - {None}
            )
            for one in found:
                self.assertRegex(one.command, r"^python[0-9.]* -S -c \\nimport os")
                self.assertTrue(one.command.isprintable())

    def test_ended(self) -> None:
        """A process that has ended has no start any more, also where nobody has asked how it ended."""
        process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
        start = ports.start_of(process.pid)
        self.assertIsNotNone(start)
        self.assertFalse(ports.has_ended(process.pid, start))
        self.assertTrue(ports.has_ended(process.pid, "0 another"))
        process.communicate(b"\n", PATIENCE)
        self.assertIsNone(ports.start_of(process.pid))
        self.assertTrue(ports.has_ended(process.pid, start))
        self.assertTrue(ports.has_ended(process.pid, None))
        self.assertFalse(ports.has_ended(os.getpid(), None))


class TestTables(unittest.TestCase):
    """/proc as a folder of this test's."""

    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.proc = pathlib.Path(holder.name)
        for name, value in (("PROC", holder.name), ("ELSEWHERE", False)):
            patched = mock.patch.object(ports, name, value)
            patched.start()
            self.addCleanup(patched.stop)

    def test_none(self) -> None:
        """Without /proc nothing is found, and it is said that nothing can be seen."""
        if sys.platform == "win32":
            self.skipTest("Windows tells in another way")
        self.assertFalse(ports.sees())
        self.assertEqual(ports.listeners(), [])
        self.assertIsNone(ports.start_of(os.getpid()))
        self.assertFalse(ports.has_ended(os.getpid(), "1 boot"))

    @unittest.skipIf(sys.byteorder == "big", "the table is of a machine of little-endian words")
    def test_table(self) -> None:
        """Listening lines alone are read; who may not be looked into is told by its user, the others by process."""
        (self.proc / "net").mkdir()
        head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        line = (
            "   {}: {} {} {} 00000000:00000000 00:00000000 00000000 {:5}        0 {} 1 0000000000000000 100 0 0 10 0\n"
        )
        (self.proc / "net" / "tcp").write_text(
            head
            + line.format(0, "0100007F:1388", "00000000:0000", "0A", 4294967294, 11)
            + line.format(1, "00000000:1389", "00000000:0000", "0A", 4294967294, 12)
            + line.format(2, "0100007F:1388", "0100007F:D000", "01", 0, 13)
            + line.format(3, "0100007F:D000", "0100007F:1388", "01", 0, 14)
        )
        (self.proc / "net" / "tcp6").write_text(
            head
            + line.format(0, "00000000000000000000000001000000:1388", "0" * 32 + ":0000", "0A", 4294967294, 15)
            + line.format(1, "B80D0120000000000000000001000000:1388", "0" * 32 + ":0000", "0A", 4294967294, 16)
        )
        process = self.proc / "77"
        (process / "fd").mkdir(parents=True)
        (process / "fd" / "3").symlink_to("socket:[11]")
        (process / "fd" / "4").symlink_to("socket:[11]")
        (process / "fd" / "5").symlink_to("socket:[13]")
        (process / "stat").write_text("77 (a) b) c) S " + " ".join(map(str, range(4, 53))))
        (process / "cmdline").write_bytes(b"/usr/bin/python3\0-m\0http.server\0\x1b[31m\0")
        self.assertTrue(ports.sees())
        found = ports.listeners(5000)
        self.assertEqual(
            [(one.address, one.pid, one.start) for one in found],
            [("127.0.0.1", 77, "22 "), ("2001:db8::1", None, None), ("::1", None, None)],
        )
        self.assertEqual(found[0].command, r"python3 -m http.server \x1b[31m")
        self.assertEqual(found[1].user, "4294967294")
        self.assertEqual([one.address for one in ports.listeners(5001)], ["0.0.0.0"])
        self.assertEqual(len(ports.listeners()), 4)
        (process / "cmdline").write_bytes(b"")
        (process / "comm").write_text("kworker\n")
        self.assertEqual(ports.listeners(5000)[0].command, "kworker")


class TestElsewhere(unittest.TestCase):
    """The other systems' tables and calls, made by hand from their headers: the module was never run there."""

    def test_macos_socket(self) -> None:
        """A socket_fdinfo of a TCP socket that listens gives address and port; any other gives nothing."""
        facts = bytearray(ports_elsewhere.STATE_AT + 40)
        struct.pack_into("=i", facts, ports_elsewhere.KIND_AT, ports_elsewhere.SOCKINFO_TCP)
        struct.pack_into("=i", facts, ports_elsewhere.STATE_AT, ports_elsewhere.TSI_S_LISTEN)
        struct.pack_into("!H", facts, ports_elsewhere.PORT_AT, 5000)
        facts[ports_elsewhere.FLAGS_AT] = 1
        facts[ports_elsewhere.ADDRESS_AT + 12 : ports_elsewhere.ADDRESS_AT + 16] = bytes([127, 0, 0, 1])
        self.assertEqual(ports_elsewhere.macos_socket(bytes(facts)), ("127.0.0.1", 5000))
        facts[ports_elsewhere.FLAGS_AT] = 2
        facts[ports_elsewhere.ADDRESS_AT : ports_elsewhere.ADDRESS_AT + 16] = bytes(15) + b"\1"
        self.assertEqual(ports_elsewhere.macos_socket(bytes(facts)), ("::1", 5000))
        for place in (ports_elsewhere.STATE_AT, ports_elsewhere.KIND_AT):
            struct.pack_into("=i", facts, place, 4)
            self.assertIsNone(ports_elsewhere.macos_socket(bytes(facts)))
        self.assertIsNone(ports_elsewhere.macos_socket(b""))

    def test_windows_rows(self) -> None:
        """The rows of both tables give address, port and process; a table that is cut short gives those that are whole."""
        row = struct.pack("<I4s2s2x4s4sI", 2, bytes([127, 0, 0, 1]), b"\x13\x88", bytes(4), bytes(4), 77)
        table = struct.pack("<I", 2) + row + row
        self.assertEqual(ports_elsewhere.windows_rows(table, 2), [(("127.0.0.1", 5000), 77)] * 2)
        self.assertEqual(ports_elsewhere.windows_rows(table[:-1], 2), [(("127.0.0.1", 5000), 77)])
        row = struct.pack("<16sI2s2x16sI4sII", bytes(15) + b"\1", 0, b"\x13\x88", bytes(16), 0, bytes(4), 2, 77)
        self.assertEqual(ports_elsewhere.windows_rows(struct.pack("<I", 1) + row, 23), [(("::1", 5000), 77)])
        self.assertEqual(ports_elsewhere.windows_rows(b"", 2), [])

    def test_calls(self) -> None:
        """Where a call is not there or fails, nothing is told and nothing raised."""
        with mock.patch.object(ports, "ELSEWHERE", True):
            for library in (OSError("no such library"), AttributeError("no such call")):
                windows = mock.patch.object(ctypes, "WinDLL", side_effect=library, create=True)
                with self.subTest(library=library), mock.patch.object(ctypes, "CDLL", side_effect=library), windows:
                    self.assertEqual(ports.listeners(), [])
                    self.assertIsNone(ports.start_of(1))

    def test_calls_that_fail_later(self) -> None:
        """What was found stays found where a later entry cannot be read, or a process's words cannot."""

        def entries() -> Iterator[Any]:
            yield ports_elsewhere.Bound("127.0.0.1", 5000), 77
            raise struct.error("another table")

        for fault in (AttributeError("no such call"), struct.error("another table")):
            with contextlib.ExitStack() as stack:
                stack.enter_context(mock.patch.object(ports_elsewhere.sys, "platform", "darwin"))
                stack.enter_context(mock.patch.object(ports_elsewhere, "_macos_listening", entries))
                for name in ("_macos_words", "_macos_start"):
                    stack.enter_context(mock.patch.object(ports_elsewhere, name, side_effect=fault))
                self.assertEqual(
                    ports_elsewhere.listeners(None), [Listener("127.0.0.1", 5000, 77, None, "", "")], fault
                )

    def test_macos_calls(self) -> None:
        """On macOS each process's open sockets are asked for, and its start, name and user."""
        facts = bytearray(ports_elsewhere.STATE_AT + 40)
        struct.pack_into("=i", facts, ports_elsewhere.KIND_AT, ports_elsewhere.SOCKINFO_TCP)
        struct.pack_into("=i", facts, ports_elsewhere.STATE_AT, ports_elsewhere.TSI_S_LISTEN)
        struct.pack_into("!H", facts, ports_elsewhere.PORT_AT, 5000)
        about = bytearray(ports_elsewhere.BSDINFO_BYTES)
        struct.pack_into("=I", about, ports_elsewhere.USER_AT, 4294967294)
        struct.pack_into("=QQ", about, ports_elsewhere.START_AT, 1700000000, 42)

        def fill(buffer: Any, data: bytes, count: int) -> int:
            buffer.raw = bytes(data).ljust(len(buffer), b"\0")
            return count

        library = mock.Mock()
        library.proc_listallpids = lambda buffer, size: fill(buffer, struct.pack("=2i", 77, 78), 2)

        def proc_pidinfo(pid: int, flavor: int, argument: Any, buffer: Any, size: int) -> int:
            if pid != 77:
                return 0  # another user's
            files = struct.pack("=iIiI", 0, 1, 3, 2)
            return fill(buffer, files, len(files)) if flavor == 1 else fill(buffer, about, len(about))

        library.proc_pidinfo = proc_pidinfo
        library.proc_pidfdinfo = lambda pid, number, flavor, buffer, size: fill(buffer, facts, len(facts))
        library.proc_pidpath = lambda pid, buffer, size: fill(buffer, b"/usr/bin/python3", 16)
        with mock.patch.object(ctypes, "CDLL", return_value=library), mock.patch.object(ports, "ELSEWHERE", True):
            wanted = Listener("0.0.0.0", 5000, 77, "1700000000.000042", "python3", "4294967294")
            self.assertEqual(ports.listeners(5000), [wanted])
            self.assertEqual(ports.listeners(5001), [])
            self.assertIsNone(ports.start_of(78))
            struct.pack_into("=I", about, 4, ports_elsewhere.ZOMBIE)
            self.assertIsNone(ports.start_of(77))

    def test_windows_calls(self) -> None:
        """On Windows the table is asked for until it fits, and each process for its start and program."""

        class Library:
            """iphlpapi and kernel32 in one."""

            OpenProcess = mock.Mock(side_effect=lambda access, inherit, pid: 1000 if pid == 77 else None)
            CloseHandle = mock.Mock()

            def GetExtendedTcpTable(self, table: Any, size: Any, order: bool, family: int, kind: int, zero: int) -> int:
                if family != ports_elsewhere.AF_INET:
                    return 50  # not supported
                rows = [struct.pack("<I4s2s2x4s4sI", 2, bytes(4), b"\x13\x88", bytes(4), bytes(4), n) for n in (77, 78)]
                made = struct.pack("<I", 2) + b"".join(rows)
                wanted, size._obj.value = size._obj.value, len(made)
                if wanted < len(made):
                    return ports_elsewhere.ERROR_INSUFFICIENT_BUFFER
                table.raw = made
                return 0

            def GetExitCodeProcess(self, handle: Any, status: Any) -> bool:
                status._obj.value = ports_elsewhere.STILL_ACTIVE
                return True

            def GetProcessTimes(self, handle: Any, created: Any, *others: Any) -> bool:
                created._obj.value = 133444
                return True

            def QueryFullProcessImageNameW(self, handle: Any, flags: int, path: Any, size: Any) -> bool:
                path.value = "/python/python.exe"
                return True

        library = mock.patch.object(ctypes, "WinDLL", lambda name, use_last_error: Library(), create=True)
        windows = mock.patch.object(ports_elsewhere.sys, "platform", "win32")
        with library, windows, mock.patch.object(ports, "ELSEWHERE", True):
            self.assertTrue(ports.sees())
            mine = Listener("0.0.0.0", 5000, 77, "133444", "python.exe", "")
            hidden = Listener("0.0.0.0", 5000, 78, None, "", "")
            self.assertEqual(ports.listeners(5000), [mine, hidden])
            self.assertEqual(Library.CloseHandle.call_count, 2)


if __name__ == "__main__":
    unittest.main()
