"""Cancelling a job that runs: how fast its worker hears of it, what it does, what is recorded."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from howdah import Context, Howdah, JobCancelled

from . import isolated_chores
from .conftest import eventually
from .processes import PATIENCE, alive, lines_of, told

if TYPE_CHECKING:
    from tests.fixtures.database import Database

    from .conftest import Start

# With this lease a worker beats every 40 s: who is faster has heard the call.
SLOW = 600.0


async def cancelled_within(job: Any, seconds: float, reason: str | None = None) -> str:
    """Cancel a job, and return what is kept as its error; fail when that takes longer."""
    began = time.monotonic()
    await job.cancel(reason)
    with pytest.raises(JobCancelled) as caught:
        await job.result(PATIENCE)
    assert time.monotonic() - began < seconds
    return caught.value.message


async def test_a_coroutine_is_cancelled_at_once(app: Howdah, start: Start) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    @app.task(timeout=600)
    async def endless(ctx: Context) -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            assert ctx.cancelled
            ended.set()

    worker = await start(lease=SLOW)
    await eventually(lambda: worker.worker_id)
    job = await endless.publish()
    await begun.wait()

    await cancelled_within(job, 5)

    assert ended.is_set()
    assert await job.failures() == []


async def test_a_thread_is_asked_to_stop(app: Howdah, start: Start) -> None:
    begun, before, stopped = threading.Event(), [], threading.Event()

    @app.task(timeout=600)
    def count(ctx: Context) -> None:
        before.append(ctx.cancelled)
        begun.set()
        while not ctx.cancelled:
            time.sleep(0.001)
        stopped.set()

    await start(lease=SLOW)
    job = await count.publish()
    await asyncio.to_thread(begun.wait, PATIENCE)

    await cancelled_within(job, 5)

    assert before == [False]
    assert await asyncio.to_thread(stopped.wait, 5)


async def test_a_thread_is_asked_to_stop_when_its_time_is_over(app: Howdah, start: Start) -> None:
    stopped = threading.Event()

    @app.task(timeout=0.2, max_retries=0)
    def count(ctx: Context) -> None:
        while not ctx.cancelled:
            time.sleep(0.001)
        stopped.set()

    await start()
    await count.publish()

    assert await asyncio.to_thread(stopped.wait, 20)


async def test_a_process_is_interrupted_and_gone(chores: Howdah, start: Start) -> None:
    await start(chores, lease=SLOW)
    job = await isolated_chores.sleep.publish(600)
    pid = await told(job, "process")

    await cancelled_within(job, 5)

    assert await lines_of(job) == [("info", f"process {pid}"), ("info", "interrupted: the job is cancelled")]
    await eventually(lambda: not alive(pid))


async def test_a_coroutine_in_a_process_is_cancelled(chores: Howdah, start: Start) -> None:
    await start(chores, lease=SLOW)
    job = await isolated_chores.sleep_later.publish(600)
    pid = await told(job, "process")

    await cancelled_within(job, 5)

    await eventually(lambda: not alive(pid))


async def test_a_process_that_does_not_heed_is_killed_with_its_programs(chores: Howdah, start: Start) -> None:
    await start(chores, lease=SLOW)
    job = await isolated_chores.stubborn.publish()
    pids = [await told(job, "process"), await told(job, "program")]

    await cancelled_within(job, 5)

    await eventually(lambda: not any(alive(pid) for pid in pids))


async def test_who_and_why_are_kept(app: Howdah, start: Start, administer: Any) -> None:
    begun = asyncio.Event()

    @app.task(timeout=600)
    async def endless() -> None:
        begun.set()
        await asyncio.sleep(3600)

    ((role,),) = administer("select session_user")
    await start()
    running, other = await endless.publish(), await endless.options(delay=3600).publish()
    await begun.wait()

    assert await cancelled_within(running, 5, "ordered twice") == f"ordered twice (by {role})"
    assert await cancelled_within(other, 5) == f"cancelled by {role}"
    row = await running.info()
    assert row is not None
    assert (row.state, row.kind, row.error) == ("cancelled", "revoked", f"ordered twice (by {role})")
    assert f"revoked, ordered twice (by {role})." in await running.why()


async def test_while_it_stops_why_says_who_asked_for_it(app: Howdah, start: Start, administer: Any) -> None:
    begun, leave = asyncio.Event(), asyncio.Event()

    @app.task(timeout=600)
    async def lingering() -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            await leave.wait()

    ((role,),) = administer("select session_user")
    await start()
    job = await lingering.publish()
    await begun.wait()
    await job.cancel("ordered twice")

    sentence = await job.why()
    leave.set()

    assert "asked to stop since" in sentence
    assert f": ordered twice (by {role})." in sentence


async def test_a_command_cancels_too(app: Howdah, start: Start, live_database: Database) -> None:
    begun = asyncio.Event()

    @app.task(timeout=600)
    async def endless() -> None:
        begun.set()
        await asyncio.sleep(3600)

    await start(lease=SLOW)
    job = await endless.publish()
    await begun.wait()
    command = [sys.executable, "-m", "howdah", "cancel", job.job_id, "--reason", "no more", "--dsn"]
    done = await asyncio.to_thread(
        subprocess.run, [*command, live_database.dsn], capture_output=True, text=True, check=True
    )

    assert done.stdout == f"{job.job_id} running\n"
    with pytest.raises(JobCancelled, match=r"^no more \(by "):
        await job.result(5)


async def test_a_job_that_was_cancelled_before_it_could_start_never_runs(app: Howdah, start: Start) -> None:
    begun, leave = asyncio.Event(), asyncio.Event()
    ran: list[int] = []

    @app.task(timeout=600)
    async def one_at_a_time(number: int) -> None:
        ran.append(number)
        begun.set()
        await leave.wait()

    await start(concurrency=1)
    first, second = await one_at_a_time.publish(1), await one_at_a_time.publish(2)
    await begun.wait()
    await second.cancel()
    leave.set()

    await first.result(10)
    with pytest.raises(JobCancelled):
        await second.result(10)
    assert ran == [1]
