"""Workers as processes: signals, kill -9, and the parent that looks after several."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from howdah import calls

from .conftest import eventually

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from howdah import Howdah

    from .conftest import Spawn

ONE = "sys.exit(Worker(chores.app, WorkerOptions(lease=1, grace={grace}, concurrency=2)).main())"
SEVERAL = """
orders = dict(app="chores:app")
sys.exit(Supervisor(os.environ["HOWDAH_DSN"], 2, WorkerOptions(lease=30, grace=5), **orders).main())
"""
TASKS = """
@app.task(timeout=600)
async def wait(seconds: float) -> int:
    await asyncio.sleep(seconds)
    return os.getpid()

@app.task(timeout=600)
def block(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()

@app.task(timeout=600)
async def hog(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()

@app.task(timeout=600)
async def stubborn() -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
"""


async def state(job: Any) -> str | None:
    found: str | None = await job.status()
    return found


async def is_running(job: Any) -> bool:
    return await state(job) == "running"


async def test_sigterm_drains_within_the_grace_period_and_burns_no_attempt(app: Howdah, spawn: Spawn) -> None:
    process = spawn(TASKS, ONE.format(grace=1))
    short, long = await app.publish("chores.wait", 0.8), await app.publish("chores.wait", 600)
    waiting = await app.publish("chores.wait", 600)
    await eventually(lambda: is_running(short))
    await eventually(lambda: is_running(long))

    process.send_signal(signal.SIGTERM)

    assert process.wait(20) == 0
    assert [await state(job) for job in (short, long, waiting)] == ["succeeded", "ready", "ready"]
    assert await long.failures() == []
    assert await app.execute(calls.list_jobs(state="running")) == []


@pytest.mark.parametrize("task", ["chores.block", "chores.stubborn"])
async def test_a_second_signal_ends_at_once_whatever_runs(app: Howdah, spawn: Spawn, task: str) -> None:
    process = spawn(TASKS, ONE.format(grace=600))
    job = await app.publish(task, args=[600] if task == "chores.block" else [])
    await eventually(lambda: is_running(job))

    process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(said, process, "no new jobs")  # two at once would arrive as one
    process.send_signal(signal.SIGTERM)

    assert process.wait(20) == 0
    assert await state(job) == "ready"
    assert await job.failures() == []


async def test_the_job_of_a_killed_worker_is_run_by_another(app: Howdah, spawn: Spawn) -> None:
    process = spawn(TASKS, ONE.format(grace=1))
    job = await app.publish("chores.wait", 0.5)
    await eventually(lambda: is_running(job))
    process.kill()
    process.wait()

    other = spawn(TASKS, ONE.format(grace=1))

    assert await job.result(60) == other.pid


async def test_the_job_of_a_killed_worker_is_run_by_another_within_two_seconds(
    app: Howdah, spawn: Spawn
) -> None:
    main = "sys.exit(Worker(chores.app, WorkerOptions(lease=60, concurrency=2)).main())"
    first = spawn(TASKS, main)
    job = await app.publish("chores.wait", 0.5)
    await eventually(lambda: is_running(job))
    other = spawn(TASKS, main)
    await eventually(lambda: _both_there(app))
    await job.result(30)
    again = await app.publish("chores.wait", 3)
    await eventually(lambda: is_running(again))
    await asyncio.sleep(1.5)  # its heartbeat has been answered since
    victims = {first.pid: first, other.pid: other}
    row = await again.info()
    workers = {w["worker_id"]: w["pid"] for w in await app.execute(calls.list_workers())}
    assert row is not None
    victim = victims[workers[row.worker_id]]
    victim.kill()
    killed = time.monotonic()

    await eventually(lambda: _run_by_another(again, row.run_id), 30)

    assert time.monotonic() - killed < 10  # loaded machines are slow; the figures say how fast it is
    assert await again.failures() != []


async def _both_there(app: Howdah) -> bool:
    workers = await app.execute(calls.list_workers())
    return len(workers) == 2


async def _run_by_another(job: Any, run_id: int | None) -> bool:
    row = await job.info()
    return bool(row.state == "running" and row.run_id != run_id)


async def test_a_frozen_worker_that_wakes_up_late_changes_nothing_and_works_on(
    app: Howdah, spawn: Spawn
) -> None:
    frozen = spawn(TASKS, ONE.format(grace=1))
    job = await app.publish("chores.wait", 0.3)
    await eventually(lambda: is_running(job))
    frozen.send_signal(signal.SIGSTOP)
    other = spawn(TASKS, ONE.format(grace=1))

    result = await job.result(60)
    other.terminate()
    other.wait(20)
    frozen.send_signal(signal.SIGCONT)

    assert result == other.pid
    assert await (await app.publish("chores.wait", 0)).result(30) == frozen.pid
    assert await job.result(1) == other.pid


async def test_a_worker_that_waits_for_the_database_ends_when_it_is_told(spawn: Spawn) -> None:
    process = spawn("app.use('postgresql://127.0.0.1:1/nowhere')", ONE.format(grace=600))
    await asyncio.to_thread(said, process, "waiting for PostgreSQL")

    process.terminate()

    assert process.wait(20) == 0


async def test_a_task_that_blocks_the_event_loop_keeps_its_lease_and_is_named_in_the_log(
    app: Howdah, spawn: Spawn
) -> None:
    process = spawn(TASKS, ONE.format(grace=1))
    job = await app.publish("chores.hog", 2.5)
    await asyncio.to_thread(said, process, "by hog (")

    assert await job.result(20) == process.pid
    assert await job.failures() == []


async def test_a_dead_child_is_replaced_and_its_runs_go_back_at_once(app: Howdah, spawn: Spawn) -> None:
    parent = spawn(TASKS, SEVERAL)
    first = await (await app.publish("chores.wait", 0)).result(30)
    job = await app.publish("chores.wait", 1)
    await eventually(lambda: is_running(job))
    children = await eventually(lambda: len(found := children_of(parent.pid)) == 2 and found)
    for child in children:
        os.kill(child, signal.SIGKILL)

    # well before the lease of 30 s ends
    assert await job.result(20) not in {first, *children}
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(20) == 0


async def test_children_end_when_their_parent_is_killed(app: Howdah, spawn: Spawn) -> None:
    parent = spawn(TASKS, SEVERAL)
    job = await app.publish("chores.wait", 600)
    await eventually(lambda: is_running(job))
    children = await eventually(lambda: len(found := children_of(parent.pid)) == 2 and found)

    parent.kill()
    parent.wait()

    await eventually(lambda: not any(alive(child) for child in children))
    assert await state(job) == "ready"


async def test_children_that_cannot_start_end_the_parent(app: Howdah, spawn: Spawn) -> None:
    parent = spawn("raise RuntimeError('no such luck')", "sys.exit('not reached')")
    assert parent.wait(20) == 1

    supervisor = SEVERAL.replace("chores:app", "nowhere:app")
    parent = spawn(TASKS, supervisor)

    assert parent.wait(20) == 1
    assert "there is no module 'nowhere' here" in (parent.stderr.read() if parent.stderr else "")


def said(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    assert any(text in line for line in process.stderr)


def children_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_worker_starts_anew_when_a_source_changes(app: Howdah, spawn: Spawn, tmp_path: Path) -> None:
    version = "@app.task\ndef version():\n    return {}\n"
    parent = spawn(version.format(1), SEVERAL.replace("grace=5", "grace=5, reload=True"))
    assert await (await app.publish("chores.version")).result(30) == 1
    module = tmp_path / "chores.py"
    first = module.read_text()

    module.write_text(first.replace("return 1", "return 2 +"))  # it cannot even be imported
    await asyncio.to_thread(said, parent, "waiting for a change")
    module.write_text(first.replace("return 1", "return 22"))

    await eventually(lambda: answers(app, 22), 30)
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(20) == 0


async def answers(app: Howdah, expected: int) -> bool:
    return bool(await (await app.publish("chores.version")).result(30) == expected)
