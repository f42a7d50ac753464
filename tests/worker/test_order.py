"""In which order a worker starts the jobs of its queues."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from howdah.worker.shares import weighed

if TYPE_CHECKING:
    from howdah import Howdah

    from .conftest import Start

_STARTS = 10_000


async def started(
    app: Howdah, start: Start, backlog: dict[str, int], workers: int, **options: Any
) -> list[str]:
    """Publish a backlog, and return the queues of the first 10,000 jobs in the order of their starts."""
    order: list[str] = []
    enough = asyncio.Event()

    @app.task(name="note")
    async def note(queue: str) -> None:
        order.append(queue)
        if len(order) >= _STARTS:
            enough.set()

    for queue, jobs in backlog.items():
        await note.options(queue=queue).publish_many([(queue,)] * jobs)
    for _ in range(workers):
        await start(**options)
    async with asyncio.timeout(120):
        await enough.wait()
    return order[:_STARTS]


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("workers", "concurrency"), [(1, 10), (2, 3)])
async def test_weights_of_three_to_one_hold_over_ten_thousand_starts(
    app: Howdah, start: Start, workers: int, concurrency: int
) -> None:
    backlog = {"high": 9_500, "low": 9_500}
    names, weights = weighed(["high:3", "low:1"])

    order = await started(
        app, start, backlog, workers, queues=names, weights=weights, concurrency=concurrency
    )

    counts = Counter(order)
    assert abs(counts["high"] - 7_500) <= 375
    assert abs(counts["low"] - 2_500) <= 125


@pytest.mark.timeout(180)
async def test_what_an_empty_queue_does_not_give_the_others_do(app: Howdah, start: Start) -> None:
    backlog = {"a": 500, "b": 9_500}
    names, weights = weighed(["a", "b", "empty"], "round-robin")

    order = await started(app, start, backlog, 1, queues=names, weights=weights)

    assert Counter(order) == backlog
    assert Counter(order[:800])["a"] >= 380


@pytest.mark.timeout(180)
async def test_the_first_queue_is_served_before_the_second(app: Howdah, start: Start) -> None:
    backlog = {"low": 6_000, "high": 5_000}

    order = await started(app, start, backlog, 1, queues=("high", "low"), concurrency=1)

    # A worker fetches up to 2,500 jobs ahead, by two exchanges at once: the last of the first queue may come
    # after what the other exchange found then.
    assert order.index("low") >= 2_000
    assert Counter(order[:7_600])["high"] == 5_000


async def test_only_a_worker_with_its_labels_runs_a_job(app: Howdah, start: Start) -> None:
    @app.task(name="train", requires=["gpu"])
    async def train() -> str:
        return "trained"

    job = await train.publish()
    await start(burst=True)
    assert await job.status() == "ready"
    await start(labels=("gpu", "zone=a"))

    assert await job.result(10) == "trained"


async def test_a_tenant_s_job_runs_soon_although_another_has_thousands(app: Howdah, start: Start) -> None:
    order: list[str] = []

    @app.task(name="bill")
    async def bill(tenant: str) -> None:
        order.append(tenant)

    await bill.options(tenant="large").publish_many([("large",)] * 5_000)
    job = await bill.options(tenant="small").publish("small")
    await start()
    await job.result(20)

    assert order.index("small") < 20
