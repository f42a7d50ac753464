"""Processes of isolated tasks that die, are killed in time, or are asked to end first."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import pytest

from howdah import JobFailed, calls
from howdah.executors.process_death import Death, memory_kills

from . import isolated_chores
from .conftest import eventually
from .processes import PATIENCE, alive, lines_of, told

if TYPE_CHECKING:
    from pathlib import Path

    from howdah import Howdah

    from .conftest import Start

OUT_OF_MEMORY = r"signal 9 \(SIGKILL\), (probably out of memory|out of memory: killed by the kernel)"


# ── Death ──


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("exit", r"^its process died: exit code 3$"),
        ("segfault", r"^its process died: signal 11 \(SIGSEGV\)$"),
        ("kill", rf"^its process died: {OUT_OF_MEMORY}(; at most \d+ MiB resident)?$"),
        ("as a shell says it", r"^its process died: exit code 137, (probably )?out of memory"),
    ],
)
async def test_a_dead_process_fails_its_job_alone(chores: Howdah, start: Start, how: str, error: str) -> None:
    worker = await start(chores, concurrency=2)
    neighbour = await isolated_chores.sleep.publish(600)
    before = await told(neighbour, "process")
    job = await isolated_chores.die.publish(how)

    with pytest.raises(JobFailed, match=error) as caught:
        await job.result(PATIENCE)

    assert caught.value.kind == "crash"
    assert ("info", "last words") in await lines_of(job)
    assert worker.totals == {"failed": 1}
    assert alive(before)
    assert (await (await isolated_chores.add.publish(1, 2)).result(PATIENCE))["sum"] == 3


async def test_a_crash_of_the_interpreter_says_where(chores: Howdah, start: Start) -> None:
    await start(chores)
    job = await isolated_chores.die.publish("segfault")
    with pytest.raises(JobFailed):
        await job.result(PATIENCE)

    said = [text for level, text in await lines_of(job) if level == "warning"]

    assert "Fatal Python error: Segmentation fault" in said
    assert any("isolated_chores.py" in text and "in die" in text for text in said)


async def test_a_death_costs_an_attempt_and_the_third_is_the_last(chores: Howdah, start: Start) -> None:
    await start(chores)
    job = await isolated_chores.die.options(max_retries=10, backoff=0).publish("kill")

    with pytest.raises(JobFailed, match="out of memory") as caught:
        await job.result(PATIENCE)

    assert caught.value.kind == "crash"
    assert [(failure.attempt, failure.kind) for failure in await job.failures()] == [
        (1, "crash"),
        (2, "crash"),
        (3, "crash"),
    ]
    assert "out of memory" in await job.why()


async def test_why_tells_of_the_death_while_the_job_waits_for_its_retry(chores: Howdah, start: Start) -> None:
    await start(chores)
    job = await isolated_chores.die.options(max_retries=1, backoff=3600).publish("kill")
    await eventually(lambda: _failed_once(job), PATIENCE)

    assert "after attempt 1 failed: crash, its process died: signal 9" in await job.why()


async def _failed_once(job: Any) -> bool:
    return bool(await job.failures())


async def test_a_death_that_cannot_be_recorded_is_a_failure_all_the_same(
    chores: Howdah, start: Start, administer: Any
) -> None:
    administer("drop function jobs.run_died(text, bigint, text)")
    await start(chores)
    job = await isolated_chores.die.publish("exit")

    with pytest.raises(JobFailed, match="its process died: exit code 3"):
        await job.result(PATIENCE)


def test_the_kernel_s_own_count_proves_a_kill_for_want_of_memory(tmp_path: Path) -> None:
    own, group = tmp_path / "own", tmp_path / "cgroup" / "shop" / "worker"
    own.write_text("0::/shop/worker\n")
    group.mkdir(parents=True)
    (group / "memory.events").write_text("low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\n")

    assert memory_kills(tmp_path / "cgroup", own) == 2
    assert memory_kills(tmp_path / "elsewhere", own) == 0
    death = Death(-signal.SIGKILL, peak=3 * 2**20, counted=True)
    assert str(death).endswith("(SIGKILL), out of memory: killed by the kernel; at most 3 MiB resident")


def test_the_count_of_the_first_version_of_control_groups_is_read_too(tmp_path: Path) -> None:
    own, group = tmp_path / "own", tmp_path / "cgroup" / "memory" / "shop"
    own.write_text("4:cpu,cpuacct:/\n3:memory:/shop\n")
    group.mkdir(parents=True)
    (group / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n")

    assert memory_kills(tmp_path / "cgroup", own) == 5


# ── Too late ──


async def warm() -> None:
    """Have a process at hand: its start would be a part of the first run's time."""
    await (await isolated_chores.add.publish(1, 1)).result(PATIENCE)


async def test_a_run_past_its_timeout_is_killed_with_everything_it_has_started(
    chores: Howdah, start: Start
) -> None:
    await start(chores)
    await warm()
    job = await isolated_chores.stubborn.options(timeout=1.5).publish()
    pids = [await told(job, "process"), await told(job, "program")]

    with pytest.raises(JobFailed, match=r"^timed out after 1.5 s$"):
        await job.result(PATIENCE)

    await eventually(lambda: not any(alive(pid) for pid in pids))
    assert [text for _, text in await lines_of(job)][-1].startswith("killed: it did not end")


@pytest.mark.parametrize("task", [isolated_chores.sleep, isolated_chores.sleep_later], ids=["def", "async"])
async def test_a_run_past_its_timeout_says_what_it_was_doing(chores: Howdah, start: Start, task: Any) -> None:
    await start(chores)
    await warm()
    job = await task.options(timeout=1).publish(600)

    with pytest.raises(JobFailed, match=r"^timed out after 1 s$") as caught:
        await job.result(PATIENCE)

    assert caught.value.kind == "timeout"
    assert "sleep(seconds)" in str(caught.value.traceback)
    assert "TimedOut: timed out after 1 s" in str(caught.value.traceback)


async def test_after_a_soft_timeout_a_task_may_still_return(chores: Howdah, start: Start) -> None:
    await start(chores)

    assert await (await isolated_chores.heed.publish("return")).result(PATIENCE) == "half of it"


async def test_a_soft_timeout_that_is_not_heeded_is_a_timeout(chores: Howdah, start: Start) -> None:
    await start(chores)
    job = await isolated_chores.heed.publish("raise")

    with pytest.raises(JobFailed, match=r"its soft timeout of 0.3 s is over$") as caught:
        await job.result(PATIENCE)

    assert caught.value.kind == "timeout"


# ── The end of the worker ──


@pytest.mark.parametrize("task", [isolated_chores.sleep, isolated_chores.stubborn], ids=["heeds", "does not"])
async def test_a_worker_that_ends_at_once_gives_the_job_back(chores: Howdah, start: Start, task: Any) -> None:
    worker = await start(chores)
    job = await task.publish(*([600] if task is isolated_chores.sleep else []))
    pid = await told(job, "process")

    worker.stop_now()

    await eventually(lambda: _is_back(job))
    await eventually(lambda: not alive(pid))
    assert await job.failures() == []


async def _is_back(job: Any) -> bool:
    row = await job.info()
    return bool(row.state == "ready" and row.attempt == 0)


async def test_a_run_whose_lease_is_lost_is_killed(chores: Howdah, start: Start) -> None:
    worker = await start(chores, queues=("default",), lease=600)
    job = await isolated_chores.stubborn.publish()
    pids = [await told(job, "process"), await told(job, "program")]

    await chores.execute(calls.delete(job.job_id, force=True))

    async with asyncio.timeout(5):
        await eventually(lambda: not any(alive(pid) for pid in pids))
    assert worker.totals == {}
