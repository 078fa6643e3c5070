"""Who listens on a TCP port on macOS and on Windows, asked by ctypes. This module was NEVER RUN on either of them.

It was written from the systems' headers, and only its readers of tables are tested, on tables made by hand. macOS tells of this
user's processes alone (libproc), Windows of all (iphlpapi). What cannot be read is left out; nothing is raised.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import sys
from typing import Any, Iterator, NamedTuple, Optional

from .logs import printable
from .ports import COMMAND_CHARS, Listener, user_name

FAULTS = (OSError, AttributeError, struct.error)  # of a system without these calls, or with other tables


class Bound(NamedTuple):
    """An address and a port that are listened on."""

    address: str
    port: int


def listeners(port: Optional[int]) -> list[Listener]:
    """As `ports.listeners`; those that this system tells of."""
    found = []
    with contextlib.suppress(*FAULTS):
        for bound, pid in _windows_listening() if sys.platform == "win32" else _macos_listening():
            if port in (None, bound.port):
                command, user = _words(pid)
                found.append(Listener(*bound, pid, start_of(pid), printable(command, COMMAND_CHARS), user))
    return found


def start_of(pid: int) -> Optional[str]:
    """As `ports.start_of`."""
    try:
        return _windows_start(pid) if sys.platform == "win32" else _macos_start(pid)
    except FAULTS:
        return None


def _words(pid: int) -> tuple[str, str]:
    """A process's program and user, as far as this user may know them."""
    try:
        return _windows_words(pid) if sys.platform == "win32" else _macos_words(pid)
    except FAULTS:
        return "", ""


# ---------------------------------------------------------------- macOS: libproc.h, sys/proc_info.h

PROC_PIDLISTFDS, PROC_PIDTBSDINFO, PROC_PIDFDSOCKETINFO = 1, 3, 3
PROX_FDTYPE_SOCKET, SOCKINFO_TCP, TSI_S_LISTEN, INI_IPV6 = 2, 2, 1, 2
KIND_AT, PORT_AT, FLAGS_AT, ADDRESS_AT, STATE_AT = 256, 268, 288, 312, 344  # in socket_fdinfo
BSDINFO_BYTES, USER_AT, START_AT, ZOMBIE = 136, 20, 120, 5  # of proc_bsdinfo; SZOMB


def _libproc() -> Any:
    return ctypes.CDLL("/usr/lib/libproc.dylib")


def _asked(call: Any, *arguments: Any, most: int = 65536) -> bytes:
    """What a call of libproc writes into a buffer, which it takes last, with its size; it returns how much that is."""
    buffer = ctypes.create_string_buffer(most)
    written = call(*arguments, buffer, most)
    return buffer.raw[: max(written, 0)]


def _macos_listening() -> Iterator[tuple[Bound, int]]:
    library = _libproc()
    buffer = ctypes.create_string_buffer(4 * 100_000)
    count = library.proc_listallpids(buffer, len(buffer))  # of ids, not bytes
    for (pid,) in struct.iter_unpack("=i", buffer.raw[: 4 * max(count, 0)]):
        files = _asked(library.proc_pidinfo, pid, PROC_PIDLISTFDS, ctypes.c_uint64(0), most=8 * 65536)
        for number, kind in struct.iter_unpack("=iI", files[: len(files) // 8 * 8]):
            if kind == PROX_FDTYPE_SOCKET:
                bound = macos_socket(_asked(library.proc_pidfdinfo, pid, number, PROC_PIDFDSOCKETINFO, most=4096))
                if bound is not None:
                    yield bound, pid


def macos_socket(facts: bytes) -> Optional[Bound]:
    """What a struct socket_fdinfo tells: where a TCP socket listens; None for any other."""
    if len(facts) < STATE_AT + 4 or struct.unpack_from("=i", facts, KIND_AT)[0] != SOCKINFO_TCP:
        return None
    if struct.unpack_from("=i", facts, STATE_AT)[0] != TSI_S_LISTEN:
        return None
    (port,) = struct.unpack_from("!H", facts, PORT_AT)
    address = facts[ADDRESS_AT : ADDRESS_AT + 16]
    if facts[FLAGS_AT] & INI_IPV6:
        return Bound(socket.inet_ntop(socket.AF_INET6, address), port)
    return Bound(socket.inet_ntop(socket.AF_INET, address[12:]), port)


def _macos_facts(pid: int) -> bytes:
    facts = _asked(_libproc().proc_pidinfo, pid, PROC_PIDTBSDINFO, ctypes.c_uint64(0), most=BSDINFO_BYTES)
    if len(facts) < BSDINFO_BYTES:
        raise ProcessLookupError(pid)
    return facts


def _macos_start(pid: int) -> Optional[str]:
    facts = _macos_facts(pid)
    if struct.unpack_from("=I", facts, 4)[0] == ZOMBIE:
        return None
    return "{}.{:06d}".format(*struct.unpack_from("=QQ", facts, START_AT))


def _macos_words(pid: int) -> tuple[str, str]:
    path = _asked(_libproc().proc_pidpath, pid, most=4096).decode("utf-8", "replace")
    return os.path.basename(path), user_name(struct.unpack_from("=I", _macos_facts(pid), USER_AT)[0])


# ---------------------------------------------------------------- Windows: iphlpapi.h, tcpmib.h, processthreadsapi.h

AF_INET, AF_INET6 = 2, 23  # as Windows numbers them
TCP_TABLE_OWNER_PID_LISTENER, ERROR_INSUFFICIENT_BUFFER = 3, 122
PROCESS_QUERY_LIMITED_INFORMATION, STILL_ACTIVE = 0x1000, 259
ROW, ROW6 = struct.Struct("<4x4s2s10xI"), struct.Struct("<16s4x2s30xI")  # MIB_TCPROW_OWNER_PID, MIB_TCP6ROW_OWNER_PID


def _windll(name: str) -> Any:
    return ctypes.WinDLL(name, use_last_error=True)  # type: ignore[attr-defined, unused-ignore]


def _windows_listening() -> Iterator[tuple[Bound, int]]:
    ask = _windll("iphlpapi").GetExtendedTcpTable
    for family in (AF_INET, AF_INET6):
        size = ctypes.c_ulong(0)
        table = ctypes.create_string_buffer(0)
        for _ in range(10):  # it grows while it is asked for
            status = ask(table, ctypes.byref(size), False, family, TCP_TABLE_OWNER_PID_LISTENER, 0)
            if status != ERROR_INSUFFICIENT_BUFFER:
                break
            table = ctypes.create_string_buffer(size.value)
        if status == 0:
            yield from windows_rows(table.raw, family)


def windows_rows(table: bytes, family: int) -> list[tuple[Bound, int]]:
    """The rows of a MIB_TCPTABLE_OWNER_PID or MIB_TCP6TABLE_OWNER_PID: where it is listened, and the process's id."""
    row, named = (ROW, socket.AF_INET) if family == AF_INET else (ROW6, socket.AF_INET6)
    if len(table) < 4:
        return []
    count = min(struct.unpack_from("<I", table)[0], (len(table) - 4) // row.size)
    found = []
    for number in range(count):
        address, port, pid = row.unpack_from(table, 4 + number * row.size)
        found.append((Bound(socket.inet_ntop(named, address), int.from_bytes(port, "big")), pid))
    return found


def _opened(pid: int) -> tuple[Any, ctypes.c_void_p]:
    library = _windll("kernel32")
    library.OpenProcess.restype = ctypes.c_void_p
    handle = library.OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, False, pid)
    if not handle:
        raise ProcessLookupError(pid)
    return library, ctypes.c_void_p(handle)


def _windows_start(pid: int) -> Optional[str]:
    library, handle = _opened(pid)
    try:
        status, times = ctypes.c_ulong(0), [ctypes.c_uint64(0) for _ in range(4)]  # FILETIME: the start is the first
        library.GetExitCodeProcess(handle, ctypes.byref(status))
        known = library.GetProcessTimes(handle, *map(ctypes.byref, times))
        return str(times[0].value) if known and status.value == STILL_ACTIVE else None
    finally:
        library.CloseHandle(handle)


def _windows_words(pid: int) -> tuple[str, str]:
    library, handle = _opened(pid)
    try:
        path, size = ctypes.create_unicode_buffer(1024), ctypes.c_ulong(1024)
        known = library.QueryFullProcessImageNameW(handle, 0, path, ctypes.byref(size))
        return os.path.basename(path.value) if known else "", ""
    finally:
        library.CloseHandle(handle)
