"""Processes that share a server, and ways to look at it from outside."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from howdah.embedded import acquire
from howdah.embedded.locks import FileLock
from howdah.embedded.status import read_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HOLDER = Path(__file__).with_name("holder.py")
_WAIT_SECONDS = 20.0


class Holder:
    """Another process that acquires the server of a data folder."""

    def __init__(self, data: Path | str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, _HOLDER, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def line(self) -> str:
        """Return its next line; the first is the server's folder."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, "the holder ended without a word"
        return line

    def ask(self, word: str) -> str:
        """Say a word and return the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self.line()

    def end(self) -> int:
        """Let it end by itself; return its exit code."""
        self.process.communicate(timeout=_WAIT_SECONDS)
        return self.process.returncode

    def kill(self) -> None:
        """Kill it without warning."""
        self.process.kill()
        self.process.communicate(timeout=_WAIT_SECONDS)


@pytest.fixture
def holders(data_folder: Path) -> Iterator[Callable[..., Holder]]:
    """`holders()` starts another process on `data_folder`; at the end no server of it is left."""
    started: list[Holder] = []

    def start(data: Path | str | None = None) -> Holder:
        started.append(Holder(data_folder if data is None else data))
        return started[-1]

    yield start
    for holder in started:
        if holder.process.poll() is None:
            holder.kill()
    if (data_folder / "18" / "data").exists():
        acquire(data_folder).release()


def postmaster(home: Path) -> int:
    """Return the process id of the server that runs in a folder."""
    status = read_status(home / "data")
    assert status is not None
    return status.pid


def is_running(home: Path) -> bool:
    """Say whether any process of the server is left."""
    if not home.exists():
        return False
    with FileLock(home / "alive.lock") as alive:
        return not alive.take()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Return when the condition holds."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {_WAIT_SECONDS:.0f} s: {what}"
        time.sleep(0.005)


def kill_server(home: Path) -> None:
    """Kill the postmaster without warning, and wait until its children have noticed."""
    os.kill(postmaster(home), signal.SIGKILL)
    wait_until(lambda: not is_running(home), "the killed server's processes are gone")


@contextlib.contextmanager
def bystander(uid: int, gid: int) -> Iterator[int]:
    """A process of the server's account that has nothing to do with it; gives its id."""
    process = subprocess.Popen(["sleep", "600"], user=uid, group=gid, cwd="/")
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()
