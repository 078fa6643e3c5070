"""The origin's client and server, GSP_API's, where someone has them: in processes of their own, beside ours in one run."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
import threading
from typing import Any

from .timing import Took

SCRIPT = pathlib.Path(__file__).with_name("origin_side.py")


class OriginFailed(Exception):
    """What the origin could not do, and why."""


class OriginClient:
    """A process that renders with the origin's client; see `origin_side`."""

    def __init__(self, python: str, source: str) -> None:
        environ = {**os.environ, "PYTHONPATH": source, "MPLBACKEND": "Agg", "GSP_TEST": "True"}
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen([python, str(SCRIPT)], stdin=pipe, stdout=pipe, text=True, env=environ)
        except OSError as exc:
            raise OriginFailed(f"{python}: {exc.strerror}") from exc

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """One request.

        Raises:
            OriginFailed: it failed.
        """
        try:
            self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
        except BrokenPipeError:
            raise OriginFailed(f"its client has ended with status {self._process.wait(30)}") from None
        line = self._process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise OriginFailed(f"its client has ended with status {self._process.wait(30)}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise OriginFailed(answer["error"])
        return answer

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()  # type: ignore[union-attr]
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(60)
        self._process.stdout.close()  # type: ignore[union-attr]


class Origin:
    """Two clients of the origin's and its one server, which starts with them.

    Args:
        python: an interpreter with what GSP_API needs.
        source: its folder of packages.
    Raises:
        OriginFailed: the server does not start.
    """

    def __init__(self, python: str, source: str) -> None:
        self._clients: list[OriginClient] = []
        self._folder = tempfile.TemporaryDirectory()
        try:
            self._clients += (OriginClient(python, os.path.abspath(source)) for _ in range(2))
            url = self._clients[0].ask("serve")["url"]
            self._clients[1].ask("connect", url=url)
        except BaseException:
            self.close()
            raise

    def load(self, name: str, body: bytes) -> None:
        """Take a scene, as it would be sent, by a name.

        Raises:
            OriginFailed: it cannot be made of the origin's objects.
        """
        path = pathlib.Path(self._folder.name, "scene.json")
        path.write_bytes(body)
        for client in self._clients:
            client.ask("load", name=name, path=str(path))

    def render(self, name: str) -> Took:
        """How long a picture takes.

        Raises:
            OriginFailed: none came.
        """
        return Took(self._clients[0].ask("render", name=name)["ms"])

    def picture_ms(self, name: str, seconds: float) -> Took:
        """Milliseconds for each picture that two clients together get in so many seconds.

        Raises:
            OriginFailed: none came.
        """
        rates: list[float] = []
        failures: list[OriginFailed] = []

        def repeat(client: OriginClient) -> None:
            try:
                told = client.ask("repeat", name=name, seconds=seconds)
                rates.append(told["count"] / told["seconds"])
            except OriginFailed as exc:
                failures.append(exc)

        threads = [threading.Thread(target=repeat, args=(client,)) for client in self._clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return Took(1000 / sum(rates))

    def close(self) -> None:
        """End the processes."""
        for client in reversed(self._clients):
            client.close()
        self._folder.cleanup()
