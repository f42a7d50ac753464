"""Limits as workers feel them: how many run at once over all workers, jobs of a key in a row, and rates."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from howdah import calls

if TYPE_CHECKING:
    from howdah import Howdah

    from .conftest import Start


async def test_all_workers_together_keep_the_limit_of_a_task(app: Howdah, start: Start) -> None:
    running = most = 0

    @app.task(name="slow")
    async def slow() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    await app.execute(calls.set_task("slow", max_running=3))
    jobs = await slow.publish_many([()] * 60)
    for _ in range(2):
        await start(concurrency=10)
    for job in jobs:
        await job.result(30)

    assert most == 3
    assert await app.execute(calls.fsck()) == []


async def test_jobs_of_a_key_run_one_after_the_other_in_their_order(app: Howdah, start: Start) -> None:
    order: defaultdict[int, list[int]] = defaultdict(list)
    running: set[int] = set()

    @app.task(name="step", concurrency_key="customer {customer}")
    async def step(customer: int, number: int) -> None:
        assert customer not in running
        running.add(customer)
        await asyncio.sleep(0.001)
        order[customer].append(number)
        running.remove(customer)

    jobs = await step.publish_many([(number % 7, number) for number in range(140)])
    for _ in range(2):
        await start(concurrency=10)
    for job in jobs:
        await job.result(30)

    assert [numbers for numbers in order.values() if numbers != sorted(numbers)] == []
    assert sum(map(len, order.values())) == 140
    assert await app.execute(calls.fsck()) == []


@pytest.mark.parametrize("kind", ["queue", "task", "key"])
async def test_a_rate_goes_on_by_itself_when_nothing_else_happens(
    app: Howdah, start: Start, kind: str
) -> None:
    @app.task(name="tick", queue="ticks", concurrency_key="k", concurrency_limit=9)
    async def tick() -> None: ...

    limits: dict[str, Any] = {
        "queue": calls.set_queue("ticks", rate=2, per=1),
        "task": calls.set_task("tick", rate=2, per=1),
        "key": calls.set_key("k", rate=2, per=1),
    }
    await app.execute(limits[kind])
    await start(concurrency=5)
    jobs = await tick.publish_many([()] * 5)
    for job in jobs:
        await job.result(30)

    rows = [await job.info() for job in jobs]
    starts = sorted(row.run_at for row in rows if row is not None and row.run_at is not None)
    gaps = [(later - earlier).total_seconds() for earlier, later in zip(starts, starts[2:], strict=False)]
    assert len(gaps) == 3
    assert min(gaps) > 1
    assert await app.execute(calls.fsck()) == []
