"""A system with work for everybody: how often does the bell ring?"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import asyncpg

from bench.doorbell.ear import listening, until

if TYPE_CHECKING:
    from bench.doorbell.stand import Stand

__all__ = ["measure"]

_FILL = """
    select jobs.publish_each('bell.nothing', (select jsonb_agg('{}'::jsonb) from generate_series(1, 10000)))
"""
_DONE = "select last_value from howdah.run_seq"
_READY = "select count(*) from (select from howdah.ready limit 2000) r"


def measure(stand: Stand, workers: int, seconds: float) -> dict[str, float]:
    """Drain a backlog while four publishers go on publishing, for so many seconds at most."""
    return asyncio.run(_measure(stand, workers, seconds))


async def _measure(stand: Stand, workers: int, seconds: float) -> dict[str, float]:
    dsn = stand.dsn()
    async with listening(dsn, workers) as ear:
        for _ in range(int(seconds * 3)):
            await ear.connection.execute(_FILL)
        with stand.workers(dsn, workers):
            await until(ear, f"select (count(*) = {workers})::int from howdah.worker")
            await until(ear, "select (count(distinct worker_id) > 0)::int from howdah.running")
            await asyncio.sleep(1)
            ear.heard.clear()
            before, began = await ear.value(_DONE), time.monotonic()
            stop = asyncio.Event()
            publishers = [asyncio.create_task(_publish(dsn, stop)) for _ in range(4)]
            while time.monotonic() < began + seconds and await ear.value(_READY) >= 2000:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
            rings, ended = ear.heard.total(), time.monotonic()
            drained = await ear.value(_DONE) - before
            stop.set()
            published = sum(await asyncio.gather(*publishers))
    return {
        "workers": workers,
        "seconds": ended - began,
        "drained": drained,
        "published": published,
        "notifications": rings,
    }


async def _publish(dsn: str, stop: asyncio.Event) -> int:
    connection = await asyncpg.connect(dsn)
    published = 0
    try:
        while not stop.is_set():
            await connection.fetch("select jobs.publish('bell.nothing', '{}')")
            published += 1
    finally:
        await connection.close()
    return published
