"""What workers cost the server that have nothing to do.

Not a simulation: whole workers, as `howdah worker` runs them, many in one process. Each holds connections for
its scout, the doorbell (which listens to three channels), the heartbeat (a thread of its own), housekeeping.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from bench.doorbell.ear import listening
from howdah import Howdah
from howdah.worker import Worker, WorkerOptions

if TYPE_CHECKING:
    from bench.doorbell.stand import Stand

__all__ = ["measure"]

_OWN = "select count(*) from pg_stat_activity where application_name like 'howdah %'"
_ENOUGH = 30.0


def measure(stand: Stand, workers: int, warm_up: float, seconds: float) -> dict[str, float]:
    """Return the share of one core that the whole server used, and what a notification costs it."""
    return asyncio.run(_measure(stand, workers, warm_up, seconds))


async def _measure(stand: Stand, workers: int, warm_up: float, seconds: float) -> dict[str, float]:
    dsn = stand.dsn()
    logging.getLogger("howdah").setLevel(logging.ERROR)
    app = Howdah(dsn)
    app.task(name="bell.nothing")(_nothing)
    idle = [Worker(app, WorkerOptions()) for _ in range(workers)]
    running = []
    for worker in idle:
        running.append(asyncio.create_task(worker.run()))
        async with asyncio.timeout(_ENOUGH):
            await worker.started.wait()
    try:
        async with listening(dsn, 0) as ear:
            # Every session has made its plans by then.
            await asyncio.sleep(warm_up)
            connections = await ear.value(_OWN)
            share = await _share(stand, seconds)
            nothing = 10 * share
            before = stand.processor_seconds()
            for _ in range(20):
                await ear.connection.execute("notify nobody_listens_here")
                await asyncio.sleep(0.5)
            ring = (stand.processor_seconds() - before - nothing) / 20
    finally:
        for worker in idle:
            worker.stop()
        await asyncio.wait(running, timeout=_ENOUGH)
    return {"workers": workers, "connections": connections, "share": share, "notify_ms": ring * 1000}


async def _share(stand: Stand, seconds: float) -> float:
    before, began = stand.processor_seconds(), time.monotonic()
    await asyncio.sleep(seconds)
    return (stand.processor_seconds() - before) / (time.monotonic() - began)


async def _nothing() -> None:
    return None
