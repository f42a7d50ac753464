"""Tasks with `isolation="process"`: what they return, say and write; when their processes are replaced."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from howdah import ConfigurationError, Context, Howdah, InvalidInput, JobCancelled, JobFailed
from howdah.settings import Settings

from . import isolated_chores
from .conftest import eventually
from .processes import PATIENCE, alive, lines_of, told

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Spawn, Start

KINDS: dict[str, Any] = {"def": isolated_chores.add, "async def": isolated_chores.add_later}


# ── Results ──


@pytest.mark.parametrize("kind", KINDS)
async def test_a_function_of_either_kind_runs_in_another_process_which_stays_warm(
    chores: Howdah, start: Start, kind: str
) -> None:
    await start(chores)

    first = await (await KINDS[kind].publish(1, other=2)).result(PATIENCE)
    second = await (await KINDS[kind].publish(3, 4)).result(PATIENCE)

    assert (first["sum"], second["sum"]) == (3, 7)
    assert first["pid"] == second["pid"] != os.getpid()


async def test_jobs_that_run_at_once_have_a_process_each(chores: Howdah, start: Start) -> None:
    await start(chores, concurrency=3)
    jobs = await isolated_chores.sleep.publish_many([(600,)] * 3)

    pids = {await told(job, "process") for job in jobs}

    assert len(pids) == 3
    assert all(alive(pid) for pid in pids)


@pytest.mark.parametrize(
    ("how", "kind", "error"),
    [
        ("raise", "error", "ValueError: out of tea"),
        ("exit", "error", "SystemExit: 3"),
        ("retry", "error", "not yet"),
        ("unstorable", "result", "result cannot be written as JSON: object has no JSON form"),
    ],
)
async def test_it_fails_as_in_a_thread(chores: Howdah, start: Start, how: str, kind: str, error: str) -> None:
    await start(chores)
    job = await isolated_chores.end_as.publish(how)

    with pytest.raises(JobFailed) as caught:
        await job.result(PATIENCE)

    assert (caught.value.kind, caught.value.message) == (kind, error)


async def test_the_traceback_begins_in_the_task(chores: Howdah, start: Start) -> None:
    await start(chores)
    job = await isolated_chores.end_as.publish("raise")
    with pytest.raises(JobFailed) as caught:
        await job.result(PATIENCE)

    lines = str(caught.value.traceback).splitlines()

    assert lines[0] == "Traceback (most recent call last):"
    assert "isolated_chores.py" in lines[1]
    assert lines[-1] == "ValueError: out of tea"


async def test_snooze_and_cancel_mean_the_same(chores: Howdah, start: Start) -> None:
    await start(chores)
    snoozed, cancelled = await isolated_chores.end_as.publish_many([("snooze",), ("cancel",)])

    with pytest.raises(JobCancelled, match=r"^withdrawn$"):
        await cancelled.result(PATIENCE)
    await eventually(lambda: has_state(snoozed, "scheduled"))


async def has_state(job: Any, state: str) -> bool:
    return bool(await job.status() == state)


# ── The context ──


async def test_it_has_a_context_and_resources_of_its_own_process(
    chores: Howdah, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    await start(chores)
    with caplog.at_level(logging.INFO, "howdah.task"):
        job = await isolated_chores.look.publish()
        found = await job.result(PATIENCE)

    assert found["owner"] == found["pid"] != os.getpid()
    assert found["cancelled"] is False
    assert await lines_of(job) == [("warning", f"attempt 1 of {isolated_chores.look.name}")]
    assert f"[{isolated_chores.look.name} {job.job_id}] attempt 1" in caplog.text


async def test_middleware_lies_around_it_in_the_worker(chores: Howdah, start: Start) -> None:
    seen: list[Any] = []

    @chores.middleware
    async def around(ctx: Context, call: Any) -> Any:
        seen.append(ctx.job.task)
        value = await call()
        seen.append(value["sum"])
        return value

    await start(chores)
    await (await isolated_chores.add.publish(1, 2)).result(PATIENCE)

    assert seen == [isolated_chores.add.name, 3]


@pytest.mark.parametrize("task", [isolated_chores.write, isolated_chores.write_later], ids=["def", "async"])
async def test_what_it_writes_is_committed_together_with_its_completion(
    chores: Howdah, start: Start, administer: Any, task: Any
) -> None:
    administer("create table written (number int, xid xid8 default pg_current_xact_id())")
    worker = await start(chores)
    job = await task.publish(7)

    assert await job.result(PATIENCE) == "written"
    assert administer("select number from written") == [(7,)]
    same = "select (select xmin::text from howdah.finished) = xid::text from written"
    assert administer(same) == [(True,)]
    await eventually(lambda: worker.totals == {"succeeded": 1})  # counted after the commit


async def test_what_it_writes_is_rolled_back_when_it_fails(
    chores: Howdah, start: Start, administer: Any
) -> None:
    administer("create table written (number int)")
    await start(chores)
    job = await isolated_chores.write.publish(7, fail=True)

    with pytest.raises(JobFailed, match="not this time"):
        await job.result(PATIENCE)

    assert administer("select number from written") == []


async def test_what_it_publishes_goes_where_its_worker_works(chores: Howdah, start: Start) -> None:
    await start(chores)
    job_id = await (await isolated_chores.publish_more.publish(5)).result(PATIENCE)

    assert (await chores.job(job_id).result(PATIENCE))["sum"] == 6


# ── What it prints ──


async def test_what_it_prints_is_kept_with_the_job(chores: Howdah, start: Start) -> None:
    await start(chores)
    job = await isolated_chores.talk.publish()
    await job.result(PATIENCE)

    lines = await lines_of(job)

    assert [text for level, text in lines if level == "info"] == [
        "to stdout",
        "from below \\xff",
        "from a program",
        "without an end",
    ]
    assert [text for level, text in lines if level == "warning"] == ["to stderr"]


async def test_of_too_many_lines_the_newest_are_kept(chores: Howdah, start: Start) -> None:
    await start(chores)
    job = await isolated_chores.chatter.publish()
    await job.result(PATIENCE)

    lines = await lines_of(job)

    assert len(lines) == 1000
    assert lines[-1] == ("info", "4999")


# ── Replacement ──


async def test_a_process_is_replaced_after_a_number_of_jobs(chores: Howdah, start: Start) -> None:
    await start(chores, concurrency=1, recycle_jobs=2)

    pids = [(await (await isolated_chores.add.publish(1, 1)).result(PATIENCE))["pid"] for _ in range(5)]

    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]
    await eventually(lambda: not any(alive(pid) for pid in pids[:4]))


async def test_a_process_that_holds_too_much_memory_is_replaced(chores: Howdah, start: Start) -> None:
    await start(chores, concurrency=1, recycle_megabytes=400)

    pids = [await (await isolated_chores.grow.publish(size)).result(PATIENCE) for size in (1, 500, 1)]

    assert pids[0] == pids[1] != pids[2]


async def test_processes_that_take_longer_than_their_worker_to_end_can_be_waited_for(
    chores: Howdah, start: Start
) -> None:
    worker = await start(chores)
    pid = (await (await isolated_chores.add.publish(1, 1)).result(PATIENCE))["pid"]
    os.kill(pid, signal.SIGSTOP)  # it cannot heed the farewell

    worker.stop_now()
    await eventually(lambda: worker._closing is not None)
    await worker.wait_closed()

    assert not alive(pid)


async def test_processes_end_with_their_worker(chores: Howdah, start: Start) -> None:
    worker = await start(chores)
    pid = (await (await isolated_chores.add.publish(1, 1)).result(PATIENCE))["pid"]

    worker.stop()

    await eventually(lambda: not alive(pid))


WORKER = "sys.exit(Worker(chores.app, WorkerOptions(lease=1, grace=5)).main())"


async def test_everything_ends_when_the_worker_is_killed(app: Howdah, spawn: Spawn, tmp_path: Path) -> None:
    source = """
    import subprocess

    @app.task(isolation="process", timeout=600)
    def hang(ctx: Context) -> None:
        program = subprocess.Popen(["/bin/sleep", "600"])
        ctx.log("process %s", os.getpid())
        ctx.log("program %s", program.pid)
        program.wait()
    """
    process = spawn(source, WORKER)
    job = await app.publish("chores.hang")
    pids = [await told(job, "process"), await told(job, "program")]
    assert all(alive(pid) for pid in pids)

    process.kill()
    process.wait()

    await eventually(lambda: not any(alive(pid) for pid in pids))


async def test_the_end_of_a_whole_unit_leaves_a_run_its_grace(app: Howdah, spawn: Spawn) -> None:
    """A process manager sends SIGTERM to every process of a unit."""
    source = """
    @app.task(isolation="process", timeout=600)
    def wait(ctx: Context) -> str:
        ctx.log("process %s", os.getpid())
        for _ in range(100):
            time.sleep(0.01)
        return "ended"
    """
    process = spawn(source, WORKER)
    job = await app.publish("chores.wait")
    pid = await told(job, "process")

    os.kill(pid, signal.SIGTERM)
    process.send_signal(signal.SIGTERM)

    assert await asyncio.to_thread(process.wait, 20) == 0
    assert await job.result(10) == "ended"


async def test_a_process_that_cannot_start_fails_the_job_with_the_reason(app: Howdah, spawn: Spawn) -> None:
    source = """
    if sys.argv[0].endswith("isolated.py"):
        raise RuntimeError("no licence here")

    @app.task(isolation="process", max_retries=0)
    def wait() -> None: ...
    """
    spawn("import sys\n" + source.replace("\n    ", "\n"), WORKER)
    job = await app.publish("chores.wait", max_retries=0)

    with pytest.raises(JobFailed, match=r"its process could not start: .*no licence here"):
        await job.result(PATIENCE)


# ── Declared ──


def test_a_function_that_no_process_can_import_is_refused() -> None:
    app = Howdah(settings=Settings())

    with pytest.raises(ConfigurationError, match="top level"):
        app.task(isolation="process")(lambda: None)


def test_another_isolation_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'process' or not given"):
        Howdah(settings=Settings()).task(isolation="thread")(alive)  # type: ignore[call-overload]  # the point


def test_a_soft_timeout_needs_a_process() -> None:
    app = Howdah(settings=Settings())

    with pytest.raises(ConfigurationError, match="needs isolation='process'"):
        app.task(soft_timeout=5)(alive)
    with pytest.raises(InvalidInput, match="greater than 0"):
        app.task(isolation="process", soft_timeout=0)(alive)


def test_options_keep_the_isolation() -> None:
    task = isolated_chores.heed.options(queue="other")

    assert (task.isolation, task.soft_timeout) == ("process", 0.3)
