"""README's "Run it for others", block by block: on a network, as a service, behind nginx, watched, as a child; and TLS itself."""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
import warnings
from typing import Any, Iterator, Optional
from unittest import mock

import numpy as np

from gsp_network import Buffer, Camera, Canvas, NetworkRenderer, ServerError, Viewport
from gsp_network.png import png_fault
from gsp_network.settings import Settings, add_arguments

from .processes import (
    PATIENCE,
    ServerProcess,
    all_at_once,
    children_of,
    footprint_at_rest,
    is_gone,
    needs_proc,
    rest_of,
    server_command,
    server_environ,
    settled,
    wait_until,
)
from .scenes import RED, array_of, body_of, changed, image, points
from .support import ROOT, make_certificate

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = "".join(re.findall(r"^## Run it for others\n.*?(?=^## )", README, re.S | re.M))
NAME, PORT = "lab.example.org", 5000  # as README has them
INTERPRETER = r"\S*bin/python"
NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
HANDSHAKE_SECONDS = 1.0

needs_section = unittest.skipUnless(SECTION, "README has no section of that name yet")


def blocks(language: str) -> list[str]:
    """The section's blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", SECTION, re.S | re.M)


def line_with(*words: str) -> str:
    """The one command line that holds these words."""
    (line,) = [line for block in blocks("sh") for line in block.splitlines() if all(word in line for word in words)]
    return line


def server_options(line: str) -> list[str]:
    """The options in a command line that starts a server."""
    words = shlex.split(line)
    if re.fullmatch(INTERPRETER, words[0]) is None or words[1:3] != ["-m", "gsp_network.server"]:
        raise AssertionError(f"this starts no server: {line}")
    return words[3:]


def run_line(line: str, folder: pathlib.Path) -> None:
    """Run a command line in a folder as its user would: root's command in front goes, and the system's folders are in there."""
    if os.name != "posix":
        raise unittest.SkipTest("these are commands for POSIX shells")
    program = re.search(r"\b(openssl|python3|install) ", line)
    if program is not None and shutil.which(program.group(1)) is None:
        raise unittest.SkipTest(f"no {program.group(1)} on the path")
    line = line.replace("sudo ", "").replace("/etc/", f"{folder}/etc/").replace("python3 ", f"'{sys.executable}' ")
    done = subprocess.run(
        ["/bin/sh", "-ec", line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=folder,
    )
    if done.returncode:
        raise AssertionError(f"{line}: {done.stderr}")


@contextlib.contextmanager
def name_is_ours() -> Iterator[None]:
    """README's name leads to this machine, and no other name anywhere."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **keywords: Any) -> Any:
        if host not in (NAME, "127.0.0.1"):
            raise AssertionError(f"a name that was not to be looked up: {host}")
        return real("127.0.0.1", *arguments, **keywords)

    with mock.patch.object(socket, "getaddrinfo", getaddrinfo):
        yield


def draw(url: str, *visuals: Any, **options: Any) -> bytes:
    """A picture of 100 x 100 px from a server, of a red point unless told otherwise."""
    visuals = visuals or (points((0, 0, 0)),)
    n = len(visuals)
    with NetworkRenderer(Canvas(100, 100, 96.0), url, **options) as renderer:
        return renderer.render([Viewport(0, 0, 100, 100)] * n, visuals, [Buffer.identity()] * n, [Camera()] * n)


def is_open(port: int) -> bool:
    """Whether something listens on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionRefusedError:
        return False
    return True


class DeploymentCase(unittest.TestCase):
    """Tests with a folder that holds what README's first two lines make: a token, and a certificate with its key."""

    folder: pathlib.Path
    token: str

    @classmethod
    def setUpClass(cls) -> None:
        holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(holder.cleanup)
        cls.folder = pathlib.Path(holder.name).resolve()
        run_line(line_with("> token"), cls.folder)
        run_line(line_with("openssl"), cls.folder)
        cls.token = (cls.folder / "token").read_text().strip()

    @classmethod
    def start(cls, *options: str, **environ: str) -> ServerProcess:
        server = ServerProcess("--workers", "1", *options, cwd=str(cls.folder), **environ)
        cls.addClassCleanup(server.close)
        return server

    def names(self) -> dict[str, Any]:
        """What README's blocks before the section have imported and made."""
        return {
            "pathlib": pathlib,
            "points": points((0, 0, 0)),
            **{one.__name__: one for one in (Buffer, Camera, Canvas, NetworkRenderer, Viewport)},
        }

    def run_python(self, block: str, port: int) -> bytes:
        """Run a block of Python in the folder, against the server at a port; its picture."""
        names = self.names()
        before = os.getcwd()
        os.chdir(self.folder)
        try:
            with name_is_ours():
                exec(compile(block.replace(f"{NAME}:{PORT}", f"{NAME}:{port}"), "README.md", "exec"), names)
        finally:
            os.chdir(before)
        return names["png"]

    def assert_status(self, status: int, url: str, **options: Any) -> ServerError:
        """Check that a picture is refused in that way."""
        with name_is_ours(), self.assertRaises(ServerError) as caught:
            draw(url, **options)
        self.assertEqual(caught.exception.status, status)
        return caught.exception


@needs_section
class TestOnANetwork(DeploymentCase):
    """A server for others as README starts it: token, certificate, all addresses."""

    server: ServerProcess

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        options = server_options(line_with("-m gsp_network.server", "0.0.0.0"))
        cls.server = cls.start(*options, "--head-timeout", str(HANDSHAKE_SECONDS))
        cls.url = f"https://{NAME}:{cls.server.port}"
        cls.cafile = str(cls.folder / "cert.pem")

    def trusting(self) -> ssl.SSLContext:
        """A client's context that takes the server's certificate alone."""
        return ssl.create_default_context(cafile=self.cafile)

    def test_files(self) -> None:
        """Token and key are their owner's alone from the start, and the server says https without the token."""
        for name in ("token", "key.pem"):
            self.assertEqual((self.folder / name).stat().st_mode & 0o777, 0o600, name)
        self.assertEqual(len(self.token), 43)
        self.assertEqual(self.server.ready["url"], f"https://127.0.0.1:{self.server.port}")
        self.assertNotIn("token", self.server.ready)

    def test_client(self) -> None:
        """README's client draws by name, with token and certificate."""
        (block,) = [block for block in blocks("python") if NAME in block]
        picture = array_of(self.run_python(block, self.server.port))
        self.assertEqual(picture.shape, (600, 800, 3))
        self.assertEqual(picture[300, 400].tolist(), list(RED))

    def test_token(self) -> None:
        """The client takes the token from the environment; without one, or with another, it is refused with 401."""
        with mock.patch.dict(os.environ, GSP_NETWORK_TOKEN=self.token), name_is_ours():
            self.assertEqual(png_fault(draw(self.url, cafile=self.cafile)), "")
        self.assert_status(401, self.url, cafile=self.cafile)
        self.assert_status(401, self.url, cafile=self.cafile, token=self.token[:-1] + "!")

    def test_old_tls(self) -> None:
        """TLS 1.1 is refused in the handshake, and 1.2 is spoken."""
        context = self.trusting()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection(("127.0.0.1", self.server.port), PATIENCE) as plain:
            with context.wrap_socket(plain, server_hostname=NAME) as connection:
                self.assertEqual(connection.version(), "TLSv1.2")
        if not ssl.HAS_TLSv1_1:
            self.skipTest("this Python speaks no TLS 1.1")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")  # or the client itself would not speak it
        with socket.create_connection(("127.0.0.1", self.server.port), PATIENCE) as plain:
            with self.assertRaises(ssl.SSLError) as caught:
                context.wrap_socket(plain, server_hostname=NAME)
        self.assertIn("PROTOCOL_VERSION", caught.exception.reason or "")

    @needs_proc
    def test_plain_http(self) -> None:
        """HTTP without TLS gets no answer, and leaves neither thread nor socket; the next one is served."""
        rest = footprint_at_rest(self.server.pid)
        request = b"POST /render HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
        for _ in range(5):
            with contextlib.suppress(ConnectionError), self.server.connect() as connection:
                connection.sendall(request)
                self.assertNotIn(b"HTTP/1", rest_of(connection))
        self.assertEqual(settled(self.server.pid, rest), rest)
        with name_is_ours():
            self.assertEqual(png_fault(draw(self.url, cafile=self.cafile, token=self.token)), "")

    @needs_proc
    def test_stalled_handshake(self) -> None:
        """A handshake that does not go on ends at the deadline of a head, holds nobody up, and leaves nothing."""
        rest = footprint_at_rest(self.server.pid)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        hello = self.trusting().wrap_bio(incoming, outgoing, server_hostname=NAME)
        with self.assertRaises(ssl.SSLWantReadError):
            hello.do_handshake()
        greeting = outgoing.read()
        with contextlib.ExitStack() as stack:
            stalled = []
            for begun in (b"", greeting[:20], greeting):
                connection = stack.enter_context(self.server.connect())
                stalled.append((len(begun), connection, time.monotonic()))
                connection.sendall(begun)
            with name_is_ours():
                self.assertEqual(png_fault(draw(self.url, cafile=self.cafile, token=self.token)), "")
            for sent, connection, started in stalled:
                with self.subTest(sent=sent):
                    with contextlib.suppress(ConnectionError):
                        rest_of(connection)
                    seconds = time.monotonic() - started
                    self.assertGreater(seconds, 0.9 * HANDSHAKE_SECONDS)
                    self.assertLess(seconds, HANDSHAKE_SECONDS + 30)
        self.assertEqual(settled(self.server.pid, rest), rest)

    def test_prometheus(self) -> None:
        """What README has Prometheus do reads the metrics, which are refused without the token."""
        (block,) = blocks("yaml")
        facts = dict(re.findall(r"^ *(?:- )?(\w+): (\S.*)$", block, re.M))
        self.assertEqual(facts["targets"], f'["{NAME}:{PORT}"]')
        files = {"credentials_file": self.folder / "token", "ca_file": self.folder / "cert.pem"}
        self.assertTrue(set(files) < set(facts), facts)
        request = urllib.request.Request(f"{facts['scheme']}://{NAME}:{self.server.port}/metrics")
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(files["ca_file"]))),
        )
        with name_is_ours(), self.assertRaises(urllib.error.HTTPError) as caught:
            opener.open(request, timeout=PATIENCE)
        with caught.exception as refused:
            self.assertEqual(refused.code, 401)
        request.add_header("Authorization", f"Bearer {files['credentials_file'].read_text().strip()}")
        with name_is_ours(), opener.open(request, timeout=PATIENCE) as answer:
            self.assertRegex(answer.headers["Content-Type"], r"^text/plain; version=0\.0\.4")
            self.assertRegex(answer.read().decode(), r'(?m)^gsp_network_workers\{state="\w+"\} \d')


class TestCertificatesThatCannotBeUsed(unittest.TestCase):
    def test_one_line(self) -> None:
        """A key or certificate that cannot be used is one line that names the option or file, asks nothing, and is status 2."""
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        folder = pathlib.Path(holder.name)
        certificate, key = make_certificate(folder)
        (folder / "other").mkdir()
        _, other = make_certificate(folder / "other")
        locked, text, missing = folder / "locked.pem", folder / "text.pem", folder / "missing.pem"
        text.write_text("this is no PEM\n")
        command = ["openssl", "pkey", "-in", str(key), "-aes128", "-passout", "pass:secret-word", "-out", str(locked)]
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
        both = locked.with_name("both.pem")
        both.write_text(certificate.read_text() + locked.read_text())
        cases = (
            (None, key, "--keyfile without --certfile"),
            (certificate, None, str(certificate)),
            (certificate, locked, "the key is encrypted"),
            (both, None, "the key is encrypted"),
            (missing, key, f"{missing}: No such file or directory"),
            (certificate, missing, "No such file or directory"),
            (folder, key, str(folder)),
            (certificate, other, "KEY_VALUES_MISMATCH"),
            (text, key, str(text)),
            (certificate, text, str(certificate)),
            (key, certificate, str(key)),
        )

        def run(certfile: Optional[pathlib.Path], keyfile: Optional[pathlib.Path]) -> subprocess.CompletedProcess:
            options = ["--certfile", str(certfile)] if certfile else []
            options += ["--keyfile", str(keyfile)] if keyfile else []
            return subprocess.run(
                server_command(*options),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                cwd=ROOT,
                env=server_environ(),
                start_new_session=True,  # no terminal to ask for a password
            )

        ended = all_at_once(lambda case: run(*case[:2]), cases)
        for (certfile, keyfile, wanted), done in zip(cases, ended):
            with self.subTest(certfile=certfile and certfile.name, keyfile=keyfile and keyfile.name):
                self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                self.assertTrue(done.stderr.startswith("gsp_network: "), done.stderr)
                self.assertIn(wanted, done.stderr)


Unit = dict[str, list[tuple[str, str]]]
SEVERAL = ("LoadCredential",)  # keys that may stand more than once


def parse_unit(text: str) -> Unit:
    """A unit file as (key, value) by section; what systemd would ignore, or take for something else, is an error."""
    unit: Unit = {}
    section: Optional[list[tuple[str, str]]] = None
    for number, line in enumerate(text.splitlines(), 1):
        header = re.fullmatch(r"\[([A-Z][a-z]+)\]", line)
        entry = re.fullmatch(r"([A-Z][A-Za-z]+)=(.*)", line)
        if not line or line.startswith("#"):
            continue
        if header is not None and header.group(1) not in unit:
            section = unit[header.group(1)] = []
        elif entry is not None and section is not None:
            key, value = entry.groups()
            if key in dict(section) and key not in SEVERAL:
                raise AssertionError(f"line {number}: {key} stands twice")
            if value != value.strip() or " #" in value:
                raise AssertionError(f"line {number}: blanks at an end, or a comment, which systemd takes for a value")
            section.append((key, value))
        else:
            raise AssertionError(f"line {number}: {line!r}")
    return unit


@needs_section
class TestService(DeploymentCase):
    """The unit for systemd."""

    def setUp(self) -> None:
        (self.text,) = blocks("ini")
        self.unit = parse_unit(self.text)
        self.service = dict(self.unit["Service"])

    def test_unit(self) -> None:
        """The unit is well-formed, is told of readiness, leaves time to close, and its options are the server's."""
        self.assertEqual(list(self.unit), ["Unit", "Service", "Install"])
        wanted = {"Type": "notify", "DynamicUser": "yes", "KillMode": "mixed", "Restart": "on-failure"}
        wanted.update(ProtectSystem="strict", PrivateTmp="yes", NoNewPrivileges="yes")
        self.assertEqual({key: self.service[key] for key in wanted}, wanted)
        self.assertGreater(float(self.service["TimeoutStopSec"]), Settings.close_timeout + 5)
        self.assertRegex(self.service["MemoryMax"], r"^\d+G$")
        parser = argparse.ArgumentParser(allow_abbrev=False)
        add_arguments(parser)
        options = vars(parser.parse_args(server_options(self.service["ExecStart"])))
        self.assertEqual(options["host"], "0.0.0.0")
        credentials = dict(value.split(":", 1) for key, value in self.unit["Service"] if key == "LoadCredential")
        for name in ("certfile", "keyfile"):
            folder, file = options[name].rsplit("/", 1)
            self.assertEqual(folder, "${CREDENTIALS_DIRECTORY}")
            self.assertEqual(credentials[file], f"/etc/gsp_network/{file}")

    def test_verified(self) -> None:
        """systemd itself finds nothing wrong with the unit."""
        systemd = shutil.which("systemd-analyze")
        if systemd is None:
            self.skipTest("no systemd-analyze here")
        unit = self.folder / "gsp_network.service"
        unit.write_text(re.sub(rf"(?m)^(ExecStart=){INTERPRETER}", rf"\1{sys.executable}", self.text))
        broken = self.folder / "broken.service"
        broken.write_text(unit.read_text().replace("Type=notify", "Type=nonsense"))
        command = [systemd, "verify", "--man=no"]
        told = subprocess.run([*command, str(broken)], capture_output=True, text=True, timeout=PATIENCE)
        if "nonsense" not in told.stderr:
            self.skipTest(f"systemd-analyze does not work here: {told.stderr.strip()[:200]}")
        done = subprocess.run([*command, str(unit)], capture_output=True, text=True, timeout=PATIENCE)
        about_it = [line for line in done.stderr.splitlines() if "gsp_network" in line]
        self.assertEqual((done.returncode, about_it), (0, []), done.stderr)

    @unittest.skipUnless(hasattr(socket, "AF_UNIX"), "no sockets of files here")
    def test_run_as_systemd_would(self) -> None:
        """With the files that README's commands install, the unit's command gets ready, serves who has the token, and stops."""
        run_line(line_with("install", "key.pem").replace("/etc/", "etc/"), self.folder)
        run_line(line_with("GSP_NETWORK_TOKEN").replace("/etc/", "etc/"), self.folder)
        etc = self.folder / "etc" / "gsp_network"
        self.assertEqual(
            {path.name: path.stat().st_mode & 0o777 for path in etc.iterdir()},
            {
                "cert.pem": 0o600,
                "key.pem": 0o600,
                "environment": 0o600,
            },
        )
        self.assertEqual(etc.stat().st_mode & 0o777, 0o700)
        self.assertEqual(self.service["EnvironmentFile"], "/etc/gsp_network/environment")
        environ = dict(line.split("=", 1) for line in (etc / "environment").read_text().splitlines())
        self.assertEqual(environ, {"GSP_NETWORK_TOKEN": self.token})
        place = str(self.folder / "notify")
        command = self.service["ExecStart"].replace("${CREDENTIALS_DIRECTORY}", str(etc))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(place)
            manager.settimeout(PATIENCE)
            server = self.start(*server_options(command), NOTIFY_SOCKET=place, **environ)
            self.assertEqual(manager.recv(100), b"READY=1")
            with name_is_ours():
                picture = draw(f"https://{NAME}:{server.port}", token=self.token, cafile=etc / "cert.pem")
            self.assertEqual(png_fault(picture), "")
            self.assertEqual(server.stop(signal.SIGTERM), 0)
            self.assertEqual(manager.recv(100), b"STOPPING=1")

    def test_installed_where_it_is_started(self) -> None:
        """The commands install the package where the unit looks for its interpreter."""
        line = line_with("-m venv", "pip install .")
        interpreter = self.service["ExecStart"].split()[0]
        self.assertIn(f"-m venv {interpreter.rsplit('/bin/', 1)[0]} ", line)
        self.assertIn(interpreter.replace("/python", "/pip") + " install .", line)


@needs_section
@unittest.skipUnless(NGINX, "no nginx here")
class TestBehindNginx(DeploymentCase):
    """README's block for nginx, in an nginx of the test's own, in front of README's server."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.server = cls.start(*server_options(line_with("-m gsp_network.server --token-file")))
        cls.block = blocks("nginx")[0]
        cls.port = cls.start_nginx()
        cls.url = f"https://{NAME}:{cls.port}"
        cls.options = {"cafile": str(cls.folder / "cert.pem"), "token": cls.token}

    @classmethod
    def start_nginx(cls) -> int:
        """Start nginx as a child of this process, with all its files in the folder; its port."""
        for _ in range(5):  # somebody else may take the port meanwhile
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            cls.configure_nginx(port)
            with tempfile.TemporaryFile("w+") as log:
                process = subprocess.Popen(
                    [str(NGINX), "-p", f"{cls.folder}/", "-c", f"{cls.folder}/nginx.conf"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
                cls.addClassCleanup(process.wait, PATIENCE)
                cls.addClassCleanup(process.terminate)
                wait_until(lambda process=process, port=port: process.poll() is not None or is_open(port))
                if process.poll() is None:
                    return port
                log.seek(0)
                said = log.read()
            if "Address already in use" not in said:
                break
        raise AssertionError(f"nginx does not start: {said}")

    @classmethod
    def configure_nginx(cls, port: int) -> None:
        """Write README's block, led to this test's ports and files, into a configuration for one process."""
        block = cls.block
        for readme, here in (
            (f"127.0.0.1:{PORT}", f"127.0.0.1:{cls.server.port}"),
            ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
            ("/etc/gsp_network/", f"{cls.folder}/"),
        ):
            if readme not in block:
                raise AssertionError(f"README's block for nginx has no {readme}")
            block = block.replace(readme, here)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = "".join(f"{kind}_temp_path {cls.folder}/nginx-{kind};\n" for kind in kinds)
        user = "" if os.getuid() else "user root root;\n"  # whose its folders are
        (cls.folder / "nginx.conf").write_text(
            f"daemon off;\nmaster_process off;\n{user}"  # without a master it changes to no other user
            f"pid {cls.folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}{block}}}\n"
        )

    def test_picture(self) -> None:
        """A picture comes through, and is the one that the server itself draws."""
        with name_is_ours():
            through = draw(self.url, **self.options)
        self.assertEqual(array_of(through)[50, 50].tolist(), list(RED))
        self.assertEqual(through, draw(self.server.ready["url"], token=self.token))

    def test_token(self) -> None:
        """Without the token the server's 401 comes through, and the token in the environment is as good."""
        error = self.assert_status(401, self.url, cafile=self.options["cafile"])
        self.assertEqual(error.type, "token")
        with mock.patch.dict(os.environ, GSP_NETWORK_TOKEN=self.token), name_is_ours():
            self.assertEqual(png_fault(draw(self.url, cafile=self.options["cafile"])), "")

    def test_kept_connections(self) -> None:
        """Requests of many clients, one after the other, travel on one kept connection from nginx to the server."""

        def connections() -> int:
            authorization = f"Authorization: Bearer {self.token}\r\n".encode()
            metrics = self.server.get("/metrics", authorization).body.decode()
            (found,) = re.findall(r"^gsp_network_connections (\d+)", metrics, re.M)
            return int(found) - 1  # but for this one

        self.assertTrue(wait_until(lambda: connections() <= 1))
        with name_is_ours():
            for _ in range(5):
                self.assertEqual(png_fault(draw(self.url, **self.options)), "")
                self.assertEqual(connections(), 1)

    def test_large_body(self) -> None:
        """A scene of some MB comes through whole."""
        texels = np.random.default_rng(0).integers(0, 256, (1000, 1000, 4), dtype=np.uint8)
        texels[:, :, 3] = 255
        visual = image(texels)
        self.assertGreater(len(body_of(visual)), 5_000_000)
        with name_is_ours():
            through = draw(self.url, visual, **self.options)
        self.assertEqual(through, draw(self.server.ready["url"], visual, token=self.token))

    def raw(self, host: str, body: bytes) -> tuple[int, str, bytes]:
        """A POST by way of nginx under a name; status, content type and body of the answer."""
        request = (
            f"POST /render HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {self.token}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        context = ssl.create_default_context(cafile=self.options["cafile"])
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as plain:
            with context.wrap_socket(plain, server_hostname=NAME) as connection:
                connection.sendall(request.encode() + body)
                head, _, rest = rest_of(connection).partition(b"\r\n\r\n")
        kind = re.search(rb"(?im)^content-type: (\S+)\r?$", head)
        return int(head.split()[1]), kind.group(1).decode() if kind else "", rest

    def test_errors(self) -> None:
        """What the server says of a bad scene comes through as it is, to the client as an error that names the place."""
        body = changed(body_of(points((0, 0, 0))), "canvas", "width", value=-1)
        status, kind, document = self.raw(NAME, body)
        self.assertEqual((status, kind), (422, "application/problem+json"))
        self.assertIn(b'"where": "canvas.width"', document)
        with name_is_ours(), self.assertRaises(ServerError) as caught:
            with NetworkRenderer(Canvas(100_000, 10), self.url, **self.options) as renderer:
                renderer.render([], [], [], [])
        self.assertEqual(caught.exception.limit, "max_canvas_side")

    def test_host(self) -> None:
        """The server sees the name that the client asked for: README's in any case and with a port, but no other."""
        body = body_of(points((0, 0, 0)))
        for host in (NAME, NAME.upper(), f"{NAME}:443"):
            self.assertEqual(self.raw(host, body)[:2], (200, "image/png"), host)
        self.assertEqual(self.raw("evil.example", body)[:2], (421, "application/problem+json"))

    def test_figures(self) -> None:
        """The block's size and times fit the server's defaults."""
        facts = dict(re.findall(r"^ *(\w+) (\d+)[ms]?;", self.block, re.M))
        self.assertEqual(int(facts["client_max_body_size"]) * 2**20, Settings.max_body_bytes)
        self.assertLess(float(facts["keepalive_timeout"]), Settings.idle_timeout)
        self.assertGreater(float(facts["proxy_read_timeout"]), Settings.queue_timeout + Settings.render_timeout)
        self.assertGreaterEqual(float(facts["proxy_send_timeout"]), Settings.body_timeout)


@needs_section
class TestAsAChild(DeploymentCase):
    """README's program that starts a server of its own."""

    @classmethod
    def setUpClass(cls) -> None:
        holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(holder.cleanup)
        cls.folder = pathlib.Path(holder.name).resolve()

    def test_child(self) -> None:
        """README's program gets a picture from its child, which then ends with status 0."""
        (block,) = [block for block in blocks("python") if "--exit-with-parent" in block]
        names = self.names()
        with mock.patch.dict(os.environ, server_environ(GSP_NETWORK_LOG_LEVEL="warning"), clear=True):
            exec(compile(block, "README.md", "exec"), names)
        names["child"].stdout.close()
        self.assertEqual(array_of(names["png"]).shape, (300, 400, 3))
        self.assertEqual(names["ready"]["pid"], names["child"].pid)
        self.assertEqual(names["child"].returncode, 0)

    @needs_proc
    @unittest.skipUnless(hasattr(signal, "SIGKILL"), "no SIGKILL here")
    def test_program_that_is_killed(self) -> None:
        """Where the program is killed, its server and the workers end too."""
        (block,) = [block for block in blocks("python") if "--exit-with-parent" in block]
        start, _, _ = block.partition("with NetworkRenderer")
        program = start + "print(ready['pid'], flush=True)\nsys.stdin.read()\n"
        parent = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=self.folder,
            env=server_environ(),
        )
        with parent:
            server = int(parent.stdout.readline())  # type: ignore[union-attr]
            self.assertTrue(wait_until(lambda: children_of(server)))  # they start while it says that it is ready
            workers = children_of(server)
            parent.kill()
        for pid in (server, *workers):
            self.assertTrue(wait_until(lambda pid=pid: is_gone(pid)))


@needs_section
class TestSection(unittest.TestCase):
    def test_every_block_is_run(self) -> None:
        """The section holds the blocks that these tests run, and no other command."""
        self.assertEqual([len(blocks(language)) for language in ("python", "ini", "nginx", "yaml")], [2, 1, 1, 1])
        self.assertEqual(len(re.findall(r"(?m)^```\w", SECTION)), 5 + len(blocks("sh")))
        marks = (["> token"], ["openssl"], ["0.0.0.0"], ["-m venv", "pip install ."], ["install", "key.pem"])
        marks += (["GSP_NETWORK_TOKEN"], ["-m gsp_network.server --token-file"])
        known = [line_with(*mark) for mark in marks]
        self.assertEqual(known, [line for block in blocks("sh") for line in block.splitlines()])
