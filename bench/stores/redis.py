"""A Redis server of the run's own, without persistence, emptied for each measurement."""

from __future__ import annotations

import shlex
import shutil
import socket
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from bench.processes import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.peers import Peer

__all__ = ["NoRedis", "Redis"]

_HOST = "127.0.0.1"
_PATIENCE = 10.0


class NoRedis(Exception):
    """There is no Redis server on this machine."""


class Redis:
    """A server, asked by the few commands that a look from outside needs."""

    def __init__(self, port: int, process: int) -> None:
        self._port = port
        self.process = process

    @classmethod
    @contextmanager
    def start(cls) -> Iterator[Redis]:
        """Start a server that leaves nothing behind. Raises NoRedis."""
        program = shutil.which("redis-server")
        if program is None:
            raise NoRedis("needs redis-server, which is not installed")
        port = _free_port()
        with tempfile.TemporaryDirectory() as folder:
            command = [
                program,
                "--port",
                str(port),
                "--bind",
                _HOST,
                "--dir",
                folder,
                "--save",
                "",
                "--appendonly",
                "no",
            ]
            with running(command, {}) as server:
                store = cls(port, server.process.pid)
                store._wait()
                yield store

    def make_template(self, name: str, setup: Callable[[str], object]) -> None:
        """Nothing is set up before the first job."""

    @contextmanager
    def place(self, name: str) -> Iterator[str]:
        """Empty the server; give its URL."""
        with _Connection(self._port) as connection:
            connection.ask("FLUSHALL")
        yield f"redis://{_HOST}:{self._port}/0"

    def settle(self, dsn: str) -> None:
        """There is nothing to settle."""

    def checkpoint(self) -> None:
        """There is nothing to write."""

    @contextmanager
    def counter(self, dsn: str, peer: Peer, low: int, high: int) -> Iterator[Callable[[], int]]:
        """Give a function that tells how many of so many jobs are no longer waiting or under way."""
        with _Connection(self._port) as connection:
            yield lambda: high - low - sum(connection.ask(*shlex.split(command)) for command in peer.left)

    def _wait(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                with _Connection(self._port) as connection:
                    connection.ask("PING")
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise NoRedis("redis-server does not start") from None
                time.sleep(0.05)


class _Connection:
    """As much of Redis's protocol as whole numbers and short texts need."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((_HOST, port), timeout=_PATIENCE)
        self._answers: BinaryIO = self._socket.makefile("rb")

    def ask(self, *words: str) -> int:
        parts = [b"*%d\r\n" % len(words)]
        parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in (text.encode() for text in words)]
        self._socket.sendall(b"".join(parts))
        answer = self._answers.readline()
        if answer.startswith(b"-"):
            raise ValueError(answer[1:].decode().strip())
        return int(answer[1:]) if answer.startswith(b":") else 0

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.close()
        self._socket.close()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((_HOST, 0))
        port: int = found.getsockname()[1]
        return port
