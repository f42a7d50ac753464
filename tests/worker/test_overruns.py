"""Threads that go on after their runs have ended: a worker that has too many of them starts anew."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from howdah import JobFailed
from howdah.executors.thread import ThreadExecutor

from .processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from howdah import Howdah
    from tests.fixtures.database import Database

    from .conftest import Spawn

TASKS = """
BORN = time.time_ns()

@app.task(timeout=0.2, max_retries=0)
def hang() -> None:
    threading.Event().wait()

@app.task
async def identity() -> tuple[int, int]:
    return os.getpid(), BORN
"""


async def abandoned(executor: ThreadExecutor, call: Any) -> None:
    """Run a function in a thread, and cancel the run while it goes on."""
    begun = threading.Event()

    def run() -> None:
        begun.set()
        call()

    task = asyncio.create_task(executor.execute(run, [], {}))
    await asyncio.to_thread(begun.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_thread_that_goes_on_for_long_has_overrun() -> None:
    overran, leave = asyncio.Event(), threading.Event()
    executor = ThreadExecutor(lambda: None, patience=0.05)
    executor.on_overrun = overran.set

    await abandoned(executor, lambda: leave.wait(20))
    await asyncio.wait_for(overran.wait(), 20)

    assert (executor.overran, executor.abandoned) == (1, 1)
    leave.set()
    executor.close()


async def test_a_thread_that_stops_when_it_is_asked_has_not() -> None:
    released, leave = asyncio.Event(), threading.Event()
    executor = ThreadExecutor(released.set, patience=0.2)

    await abandoned(executor, lambda: leave.wait(20))
    leave.set()
    await asyncio.wait_for(released.wait(), 20)
    await asyncio.sleep(0.3)  # what must not happen cannot be waited for

    assert (executor.overran, executor.abandoned) == (0, 0)
    executor.close()


async def hung(app: Howdah, times: int) -> None:
    """Have a thread hang, so often."""
    jobs = [await app.publish("chores.hang", timeout=0.2, max_retries=0) for _ in range(times)]
    for job in jobs:
        with pytest.raises(JobFailed, match="timed out"):
            await job.result(PATIENCE)


@pytest.mark.parametrize(
    ("options", "times"),
    [("concurrency=2", 1), ("concurrency=8, overruns=2", 2)],
    ids=["half of the slots are stuck", "it happens too often"],
)
async def test_a_worker_that_is_stuck_drains_and_ends_with_a_code_that_says_so(
    app: Howdah, spawn: Spawn, options: str, times: int
) -> None:
    main = f"sys.exit(Worker(chores.app, WorkerOptions(grace=5, {options})).main())"
    process = spawn("import threading\n" + TASKS, main)

    await hung(app, times)

    assert await asyncio.to_thread(process.wait, PATIENCE) == 75


async def test_a_parent_replaces_a_worker_that_was_stuck(app: Howdah, spawn: Spawn) -> None:
    main = """
    options = WorkerOptions(concurrency=1, lease=30, grace=5)
    sys.exit(Supervisor(os.environ["HOWDAH_DSN"], 1, options, app="chores:app").main())
    """
    parent = spawn("import threading\n" + TASKS, main)
    before = await (await app.publish("chores.identity")).result(PATIENCE)

    await hung(app, 1)
    after = await (await app.publish("chores.identity")).result(PATIENCE)

    assert before != after
    parent.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(parent.wait, 20) == 0


@pytest.fixture
def command(tmp_path: Path, live_database: Database) -> Iterator[subprocess.Popen[bytes]]:
    head = "import os, threading, time\nfrom howdah import *\napp = Howdah()\n"
    (tmp_path / "chores.py").write_text(head + TASKS)
    process = subprocess.Popen(
        [sys.executable, "-m", "howdah", "worker", "--app", "chores:app", "--concurrency", "1"],
        cwd=tmp_path,
        env={**os.environ, "HOWDAH_DSN": live_database.dsn},
        stderr=subprocess.DEVNULL,
    )
    yield process
    process.kill()
    process.wait()


async def test_the_command_starts_anew_as_the_same_process(
    app: Howdah, command: subprocess.Popen[bytes]
) -> None:
    before = await (await app.publish("chores.identity")).result(PATIENCE)

    await hung(app, 1)
    after = await (await app.publish("chores.identity")).result(PATIENCE)

    assert before[0] == after[0] == command.pid
    assert before[1] < after[1]
    command.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(command.wait, 20) == 0
