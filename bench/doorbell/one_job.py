"""How many workers one published job wakes, and how fast a bulk wakes as many as it needs."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import TYPE_CHECKING

from bench.doorbell.ear import listening, until

if TYPE_CHECKING:
    from bench.doorbell.stand import Stand

__all__ = ["bulk", "single"]

_ASLEEP = "select (count(*) = {})::int from howdah.sleeper where state <> 'up' and holders = '{{}}'"


def single(stand: Stand, workers: int, jobs: int) -> dict[str, float]:
    """Publish one job at a time, slow and fast ones in turn, for a pool that is asleep, concurrency 1."""
    return asyncio.run(_single(stand, workers, jobs))


async def _single(stand: Stand, workers: int, jobs: int) -> dict[str, float]:
    dsn, woken = stand.dsn(), []
    with stand.workers(dsn, workers, concurrency=1):
        async with listening(dsn, workers) as ear:
            for number in range(jobs):
                await until(ear, _ASLEEP.format(workers))
                ear.heard.clear()
                task = "bell.slow" if number % 2 else "bell.nothing"
                await ear.connection.execute(f"select jobs.publish('{task}', '{{}}')")
                await until(ear, f"select (count(*) = {number + 1})::int from howdah.finished")
                await ear.connection.execute("select 1")
                woken.append(len(ear.heard))
    return {"workers": workers, "median": statistics.median(woken), "most": max(woken)}


def bulk(stand: Stand, workers: int, rounds: int) -> dict[str, float]:
    """Publish as many slow jobs as workers sleep, concurrency 1; milliseconds until the last one runs."""
    return asyncio.run(_bulk(stand, workers, rounds))


async def _bulk(stand: Stand, workers: int, rounds: int) -> dict[str, float]:
    dsn, delays = stand.dsn(), []
    bodies = f"(select jsonb_agg('{{}}'::jsonb) from generate_series(1, {workers}))"
    many = f"select jobs.publish_each('bell.slow', {bodies})"
    with stand.workers(dsn, workers, concurrency=1):
        async with listening(dsn, workers) as ear:
            for _ in range(rounds):
                await until(ear, _ASLEEP.format(workers))
                began = time.monotonic()
                await ear.connection.execute(many)
                while await ear.value("select count(*) from howdah.ready"):  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
                delays.append((time.monotonic() - began) * 1000)
                await until(ear, "select (count(*) = 0)::int from howdah.running")
    return {"workers": workers, "median_ms": statistics.median(delays), "most_ms": max(delays)}
