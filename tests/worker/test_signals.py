"""SIGTERM ends `howdah worker` with exit code 0, whenever it comes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING, Protocol

import pytest

from howdah import JobFailed

from .processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from howdah import Howdah
    from tests.fixtures.database import Database

HEAD = "import asyncio, os, sys, threading, time\nfrom howdah import *\napp = Howdah()\n"
TASKS = """
@app.task(timeout=0.2, max_retries=0)
def hang() -> None:
    threading.Event().wait()

@app.task
async def wait_for_file() -> None:
    while not os.path.exists("leave"):
        await asyncio.sleep(0.01)
"""


class Command(Protocol):
    """Starts `howdah worker` on an app of this source."""

    def __call__(self, source: str, *options: str, blocked: bool = False) -> subprocess.Popen[str]: ...


@pytest.fixture
def command(tmp_path: Path, live_database: Database) -> Iterator[Command]:
    processes: list[subprocess.Popen[str]] = []

    def start(source: str, *options: str, blocked: bool = False) -> subprocess.Popen[str]:
        (tmp_path / "chores.py").write_text(HEAD + source)
        mask = {signal.SIGTERM} if blocked else set()
        process = subprocess.Popen(
            [sys.executable, "-m", "howdah", "worker", "--app", "chores:app", *options],
            cwd=tmp_path,
            env={**os.environ, "HOWDAH_DSN": live_database.dsn},
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, mask),
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


async def said(process: subprocess.Popen[str], words: str) -> None:
    """Return when its log says so."""

    def look(stream: IO[str]) -> None:
        seen = ""
        while words not in seen:
            line = stream.readline()
            assert line, f"it ended: {seen}"
            seen += line

    assert process.stderr is not None
    await asyncio.wait_for(asyncio.to_thread(look, process.stderr), PATIENCE)


async def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return its exit code, and the last words."""
    _, rest = await asyncio.to_thread(process.communicate, None, PATIENCE)
    return process.returncode, rest


async def test_while_the_app_is_imported(command: Command) -> None:
    process = command("print('importing', file=sys.stderr, flush=True)\ntime.sleep(600)\n")
    await said(process, "importing")

    process.send_signal(signal.SIGTERM)

    assert await ended(process) == (0, "")


async def test_while_it_waits_for_the_database_and_twice(command: Command) -> None:
    process = command(TASKS, "--dsn", "postgresql://nobody@127.0.0.1:1/nothing")
    await said(process, "waiting for PostgreSQL")

    process.send_signal(signal.SIGTERM)
    await said(process, "stopped before it could register")
    process.send_signal(signal.SIGTERM)

    code, rest = await ended(process)
    assert code == 0
    assert "Aborted" not in rest
    assert "Traceback" not in rest


async def test_again_and_again_while_it_ends(app: Howdah, command: Command) -> None:
    process = command(TASKS)
    await said(process, "started:")

    async def storm() -> None:
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.001)

    (code, rest), _ = await asyncio.gather(ended(process), storm())
    assert code == 0, rest
    assert "Aborted" not in rest
    assert "Traceback" not in rest


async def test_while_it_drains_to_start_itself_anew(app: Howdah, command: Command, tmp_path: Path) -> None:
    process = command(TASKS, "--concurrency", "2")
    waiting = await app.publish("chores.wait_for_file")
    hanging = await app.publish("chores.hang", timeout=0.2, max_retries=0)
    with pytest.raises(JobFailed, match="timed out"):
        await hanging.result(PATIENCE)
    await said(process, "starting anew")

    process.send_signal(signal.SIGTERM)
    await said(process, "SIGTERM: no new jobs")
    (tmp_path / "leave").touch()

    code, rest = await ended(process)
    assert code == 0, rest
    assert "started:" not in rest
    await waiting.result(PATIENCE)


async def test_while_the_program_begins_anew(command: Command) -> None:
    """Then it is blocked; it is pending when the program unblocks it."""
    process = command("raise RuntimeError('never imported')\n", blocked=True)
    process.send_signal(signal.SIGTERM)

    assert await ended(process) == (0, "")
