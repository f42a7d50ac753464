"""Start, sleep, stop, death and outage, of a worker in this process."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from howdah import Context, Howdah, JobCancelled, SchemaOutdated, calls
from howdah.settings import Settings
from howdah.worker import Worker, WorkerOptions

from .conftest import eventually

if TYPE_CHECKING:
    from .conftest import Start


async def running(app: Howdah) -> list[Any]:
    return await app.execute(calls.list_jobs(state="running", limit=1000))


async def test_a_stopped_worker_lets_running_jobs_end_and_gives_the_others_back(
    app: Howdah, start: Start
) -> None:
    begun, leave = asyncio.Event(), asyncio.Event()

    @app.task
    async def wait(number: int) -> int:
        begun.set()
        await leave.wait()
        return number

    jobs = await wait.publish_many([(1,), (2,), (3,)])
    worker = await start(concurrency=1)
    await begun.wait()

    worker.stop()
    leave.set()

    assert await jobs[0].result(10) == 1
    await eventually(lambda: _no_workers(app))
    assert [await job.status() for job in jobs[1:]] == ["ready", "ready"]


async def _no_workers(app: Howdah) -> bool:
    return not await running(app)


async def test_after_the_grace_period_jobs_go_back_without_costing_an_attempt(
    app: Howdah, start: Start
) -> None:
    begun = asyncio.Event()
    attempts: list[int] = []

    @app.task
    async def wait(ctx: Context) -> str:
        attempts.append(ctx.attempt)
        begun.set()
        if len(attempts) == 1:
            await asyncio.sleep(3600)
        return "done"

    job = await wait.publish()
    first = await start(grace=0.1)
    await begun.wait()
    first.stop()
    await eventually(lambda: _state_is(job, "ready"))
    await start()

    assert await job.result(10) == "done"
    assert attempts == [1, 1]
    assert await job.failures() == []


async def _state_is(job: Any, state: str) -> bool:
    return bool(await job.status() == state)


async def test_a_running_job_is_cancelled_by_its_heartbeat(app: Howdah, start: Start) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    @app.task
    async def endless() -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    await start(lease=1)
    job = await endless.publish()
    await begun.wait()

    await job.cancel("not needed")

    with pytest.raises(JobCancelled):
        await job.result(10)
    assert ended.is_set()


async def test_a_sleeping_worker_is_woken_by_a_publish(app: Howdah, start: Start, administer: Any) -> None:
    task = app.task(name="t")(_nothing)
    await start()
    await (await task.publish()).result(10)
    await eventually(lambda: administer("select 1 from howdah.sleeper where holders = '{}'"))

    began = time.monotonic()
    await (await task.publish()).result(10)

    assert time.monotonic() - began < 1  # the safety poll comes after 5 s


async def _nothing() -> None:
    return None


_SETTLED = "select 1 from howdah.sleeper where holders = '{}'"
_LAST_LOOK = """
    select max(query_start) from pg_stat_activity
     where datname = current_database() and application_name = 'howdah worker'
"""


@pytest.mark.parametrize("scheduled", ["nothing", "an hour from now", "in a paused queue"])
async def test_an_idle_worker_does_not_poll(
    app: Howdah, start: Start, administer: Any, scheduled: str
) -> None:
    task = app.task(name="t")(_nothing)
    if scheduled == "an hour from now":
        await task.options(delay=3600).publish()
    if scheduled == "in a paused queue":
        administer("select jobs.pause_queue('paused')")
        await task.options(queue="paused").publish()
    await start()
    await (await task.publish()).result(10)
    await eventually(lambda: administer(_SETTLED))
    await asyncio.sleep(0.1)  # the last look on the way to sleep

    before = administer(_LAST_LOOK)
    await asyncio.sleep(1)

    assert administer(_LAST_LOOK) == before


async def test_idle_workers_start_what_is_published_at_once(
    app: Howdah, start: Start, administer: Any
) -> None:
    """By the doorbell: a poll comes after 5 s."""
    started: list[float] = []

    @app.task(name="t")
    async def note() -> None:
        started.append(time.monotonic())

    await start()
    delays = []
    for _ in range(10):
        await eventually(lambda: administer(_SETTLED))
        began = time.monotonic()
        await (await note.publish()).result(10)
        delays.append(started[-1] - began)

    assert sorted(delays)[5] < 0.25, delays


async def test_burst_ends_when_nothing_is_left(app: Howdah) -> None:
    task = app.task(name="t")(_nothing)
    jobs = await task.publish_many([()] * 1200)
    later = await task.options(delay=3600).publish()

    async with asyncio.timeout(30):
        await Worker(app, WorkerOptions(burst=True)).run()

    assert {await job.status() for job in jobs[::100]} == {"succeeded"}
    assert await later.status() == "scheduled"
    assert await app.execute(calls.unfinished()) == 0


async def test_burst_says_what_it_leaves_and_is_not_held_by_it(
    app: Howdah, administer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    task = app.task(name="t")(_nothing)
    await task.options(delay=3600).publish()
    await app.publish("nobody.knows")
    administer("select jobs.pause_queue('paused')")
    await task.options(queue="paused").publish()
    job = await task.publish()

    with caplog.at_level(logging.INFO, "howdah.worker"):
        async with asyncio.timeout(20):
            await Worker(app, WorkerOptions(burst=True)).run()

    assert await job.status() == "succeeded"
    left = "jobs left: 1 due later, 1 queue paused, 1 task unknown"
    assert any(message.endswith(left) for message in caplog.messages)


async def test_burst_waits_for_what_runs_elsewhere(app: Howdah, start: Start) -> None:
    begun, leave = asyncio.Event(), asyncio.Event()

    @app.task(name="t")
    async def wait() -> None:
        begun.set()
        await leave.wait()

    await start()
    await wait.publish()
    await begun.wait()
    burst = asyncio.create_task(Worker(app, WorkerOptions(burst=True)).run())
    await asyncio.sleep(0.5)  # what must not happen cannot be waited for

    assert not burst.done()
    leave.set()
    await asyncio.wait_for(burst, 20)


async def test_a_topic_limits_a_worker_and_what_its_burst_waits_for(app: Howdah) -> None:
    mail, other = app.task(name="shop.mail")(_nothing), app.task(name="shop_mail")(_nothing)
    mine, theirs = await mail.publish(), await other.publish()

    async with asyncio.timeout(20):
        await Worker(app, WorkerOptions(burst=True, topic="shop.%")).run()

    assert (await mine.status(), await theirs.status()) == ("succeeded", "ready")


async def test_a_locked_worker_row_is_no_outage(
    app: Howdah, start: Start, live_database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The database answers 55P03: try again soon."""
    begun, leave = asyncio.Event(), asyncio.Event()

    @app.task
    async def wait() -> str:
        begun.set()
        await leave.wait()
        return "done"

    worker = await start()
    job = await wait.publish()
    await begun.wait()
    with caplog.at_level(logging.WARNING, "howdah.worker"):
        with psycopg.connect(live_database.dsn) as holder:
            holder.execute(b"select pg_advisory_xact_lock(48177, %s)", (worker.worker_id,))
            leave.set()
            await asyncio.sleep(0.3)  # while it is locked
            assert await job.status() == "running"
        assert await job.result(10) == "done"

    assert caplog.messages == []
    assert await job.failures() == []


async def test_an_older_schema_is_refused_and_a_newer_one_is_served(app: Howdah, administer: Any) -> None:
    job = await app.task(name="t")(_nothing).publish()
    change = "update howdah.migration set digest = 'other', release = %s where name = 'functions'"

    administer(change, "0.0.1")
    with pytest.raises(SchemaOutdated, match="howdah migrate"):
        await Worker(app, WorkerOptions(burst=True)).run()
    administer(change, "999.0")
    async with asyncio.timeout(20):
        await Worker(app, WorkerOptions(burst=True)).run()

    assert await job.status() == "succeeded"


async def test_only_its_queues_are_served(app: Howdah) -> None:
    task = app.task(name="t")(_nothing)
    mail, other = await task.options(queue="mail").publish(), await task.publish()

    async with asyncio.timeout(30):
        await Worker(app, WorkerOptions(burst=True, queues=("mail",))).run()

    assert (await mail.status(), await other.status()) == ("succeeded", "ready")


async def test_a_blocked_event_loop_does_not_lose_the_lease(
    app: Howdah, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    attempts: list[int] = []

    @app.task
    async def block(ctx: Context) -> int:
        attempts.append(ctx.attempt)
        time.sleep(3)  # noqa: ASYNC251 (the point)
        return ctx.attempt

    await start(lease=1)
    with caplog.at_level(logging.WARNING, "howdah.worker"):
        job = await block.publish()
        assert await job.result(20) == 1

    assert attempts == [1]
    blocked = [record.message for record in caplog.records if "event loop has been blocked" in record.message]
    assert "block" in blocked[0]


async def test_a_worker_declared_dead_drops_its_runs_and_registers_anew(app: Howdah, start: Start) -> None:
    begun = asyncio.Event()
    runs: list[int] = []

    @app.task
    async def twice(ctx: Context) -> int:
        runs.append(ctx.job.run_id)
        begun.set()
        if len(runs) == 1:
            await asyncio.sleep(3600)
        return ctx.job.run_id

    worker = await start(lease=1)
    before = worker.worker_id
    job = await twice.publish()
    await begun.wait()

    await app.execute(calls.worker_stopped(before, crashed=True))

    assert await job.result(20) == runs[-1]
    assert len(runs) == 2
    assert worker.worker_id != before


async def test_outcomes_survive_an_outage(
    app: Howdah, start: Start, live_database: Any, cluster: Any
) -> None:
    begun, leave = asyncio.Event(), asyncio.Event()
    runs: list[int] = []

    @app.task
    async def wait(number: int) -> int:
        runs.append(number)
        begun.set()
        await leave.wait()
        return number

    await start()
    jobs = await wait.publish_many([(number,) for number in range(5)])
    await begun.wait()
    with psycopg.connect(cluster.dsn(), autocommit=True) as admin:
        name = live_database.name
        admin.execute(f'alter database "{name}" allow_connections false'.encode())
        admin.execute(b"select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
        leave.set()
        await asyncio.sleep(0.5)  # the outage
        admin.execute(f'alter database "{name}" allow_connections true'.encode())

    assert [await job.result(20) for job in jobs] == list(range(5))
    assert all([await job.failures() == [] for job in jobs])
    assert sorted(runs) == list(range(5)), "an outcome was lost, and its job run again"


async def test_jobs_claimed_by_an_exchange_without_an_answer_are_given_back(
    app: Howdah, start: Start, administer: Any
) -> None:
    task = app.task(name="t", timeout=3600)(_nothing)
    await start(concurrency=4)
    for _ in range(5):
        jobs = await task.publish_many([()] * 2000)
        administer("""
            select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and application_name = 'howdah worker'
        """)
        await asyncio.gather(*(job.result(30) for job in jobs[::50]))

    await eventually(lambda: _no_workers(app))
    assert await app.execute(calls.fsck()) == []


async def test_a_locked_row_delays_only_its_own_outcome(
    app: Howdah, start: Start, live_database: Any
) -> None:
    begun, leave = asyncio.Event(), asyncio.Event()

    @app.task
    async def wait(number: int) -> int:
        begun.set()
        await leave.wait()
        return number

    await start()
    jobs = await wait.publish_many([(number,) for number in range(3)])
    await begun.wait()
    with psycopg.connect(live_database.dsn) as holder:
        holder.execute(b"select from howdah.running where id = %s for update", (jobs[1].id,))
        leave.set()

        assert [await jobs[0].result(10), await jobs[2].result(10)] == [0, 2]
        assert await jobs[1].status() == "running"
    assert await jobs[1].result(10) == 1


async def test_a_worker_on_a_database_without_the_schema_says_which_command_to_run(
    empty_database: Any,
) -> None:
    worker = Worker(Howdah(empty_database.dsn, settings=Settings()))

    with pytest.raises(SchemaOutdated, match="howdah migrate"):
        await worker.run()


async def test_control_characters_and_arguments_stay_out_of_the_log(
    app: Howdah, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task(max_retries=0)
    async def leak(secret: str) -> str:
        raise ValueError("first\x1b[31m\nsecond")

    with caplog.at_level(logging.DEBUG, "howdah"):
        await leak.publish("hunter2")
        await Worker(app, WorkerOptions(burst=True)).run()

    messages = [record.getMessage() for record in caplog.records]
    assert any("first\\x1b[31m second" in message for message in messages)
    assert all(message.isprintable() and "hunter2" not in message for message in messages)
