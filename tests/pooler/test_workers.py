"""Workers through a transaction pooler with two server connections."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from howdah import Context, Howdah, JobCancelled
from howdah.settings import Settings
from tests.worker import isolated_chores
from tests.worker.test_transactions import FORMS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.worker.conftest import Start

    Effects = Callable[[], list[str]]
    Administer = Callable[..., list[tuple[Any, ...]]]
    Sessions = Callable[[], list[dict[str, Any]]]

# Seconds after which a test that hangs gives up.
LONG = 60


@pytest.fixture
async def chores(pooled: str) -> AsyncIterator[Howdah]:
    """The app of tasks with processes of their own, behind the pooler."""
    isolated_chores.app.use(pooled)
    yield isolated_chores.app
    await isolated_chores.app.close()


async def test_two_workers_share_async_and_thread_tasks(app: Howdah, start: Start) -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    def triple(number: int) -> int:
        return 3 * number

    doubled, tripled = app.task(double), app.task(triple)
    await start(concurrency=5)
    await start(concurrency=5)
    jobs = [await task.publish(number) for number in range(40) for task in (doubled, tripled)]
    results = await asyncio.gather(*(job.result(timeout=LONG) for job in jobs))
    assert results == [factor * number for number in range(40) for factor in (2, 3)]


async def test_tasks_in_processes_of_their_own_run(chores: Howdah, start: Start) -> None:
    await start(chores, concurrency=2)
    jobs = [await isolated_chores.add.publish(number, 1) for number in range(6)]
    assert [(await job.result(timeout=LONG))["sum"] for job in jobs] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("write", FORMS, ids=lambda write: write.__name__)
async def test_what_a_task_writes_is_committed_with_its_end(
    app: Howdah, start: Start, effects: Effects, write: Any
) -> None:
    task = app.task(name="write")(write)
    await start(concurrency=4)
    jobs = [await task.publish(f"{number}") for number in range(8)]
    await asyncio.gather(*(job.result(timeout=LONG) for job in jobs))
    assert effects() == [f"{number}" for number in range(8)]


async def test_a_job_published_while_the_worker_sleeps_is_found_by_looking(
    app: Howdah, start: Start, sessions_of_the_pool: Sessions
) -> None:
    async def now() -> float:
        return time.monotonic()

    task = app.task()(now)
    await start()
    await (await task.publish()).result(timeout=LONG)
    await asyncio.sleep(1)  # idle for long enough to have laid down, if it did
    await (await task.publish()).result(timeout=LONG)
    sessions = await asyncio.to_thread(sessions_of_the_pool)
    assert len({session["pid"] for session in sessions}) == 2
    assert all(session["channels"] == [] for session in sessions), "somebody listened through the pooler"
    assert all(session["prepared"] == 0 and session["locks"] == 0 for session in sessions)


async def test_a_running_job_is_cancelled(app: Howdah, start: Start) -> None:
    began = asyncio.Event()

    async def forever() -> None:
        began.set()
        await asyncio.sleep(3600)

    task = app.task(timeout=3600)(forever)
    await start(lease=3)
    job = await task.publish()
    await asyncio.wait_for(began.wait(), LONG)
    await job.cancel("no longer needed")
    with pytest.raises(JobCancelled, match="no longer needed"):
        await job.result(timeout=LONG)


async def test_more_transactions_than_the_pool_has_connections_cost_no_lease(
    app: Howdah, start: Start, effects: Effects, administer: Administer
) -> None:
    """Ten tasks want a transaction each, together for longer than the lease; the pool has two connections."""

    async def slow(ctx: Context, what: str) -> None:
        await ctx.connection.execute("insert into effect values ($1)", what)
        await asyncio.sleep(0.6)

    task = app.task(slow)
    await start(concurrency=10, lease=5)
    jobs = [await task.publish(f"{number}") for number in range(10)]
    await asyncio.gather(*(job.result(timeout=LONG) for job in jobs))
    assert effects() == [f"{number}" for number in range(10)]
    assert administer("select count(*) from howdah.failure") == [(0,)], "a lease was lost"
    assert administer("select distinct attempt from howdah.finished") == [(1,)]
    assert administer("select count(distinct worker_id) from howdah.beat") == [(1,)]


async def test_more_open_transactions_than_connections_only_take_longer(
    pooled: str, start: Start, effects: Effects
) -> None:
    """All of the pool may be in the hands of tasks for a while; nothing locks up for ever."""
    app = Howdah(pooled, settings=Settings(pooled_transactions=10))

    async def slow(ctx: Context, what: str) -> None:
        await ctx.connection.execute("insert into effect values ($1)", what)
        await asyncio.sleep(0.2)

    task = app.task(slow)
    await start(app, concurrency=10)
    jobs = [await task.publish(f"{number}") for number in range(20)]
    await asyncio.gather(*(job.result(timeout=LONG) for job in jobs))
    assert effects() == sorted(f"{number}" for number in range(20))
    await app.close()


async def test_transactions_of_threads_take_turns_too(app: Howdah, start: Start, effects: Effects) -> None:
    def slow(ctx: Context, what: str) -> None:
        ctx.connection.execute("insert into effect values (%s)", [what])
        time.sleep(0.2)

    task = app.task(slow)
    await start(concurrency=10, lease=2)
    jobs = [await task.publish(f"{number}") for number in range(10)]
    await asyncio.gather(*(job.result(timeout=LONG) for job in jobs))
    assert effects() == [f"{number}" for number in range(10)]


async def test_a_transactional_task_may_publish_and_look_while_its_transaction_is_open(
    app: Howdah, start: Start, effects: Effects
) -> None:
    async def publishes(ctx: Context) -> str | None:
        await ctx.connection.execute("insert into effect values ('it')")
        job = await app.publish("report.build")
        return await job.status()

    task = app.task(publishes)
    await start(concurrency=3)
    jobs = [await task.publish() for _ in range(6)]
    assert await asyncio.gather(*(job.result(timeout=LONG) for job in jobs)) == ["ready"] * 6
