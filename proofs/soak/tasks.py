"""What runs in a soak: coroutines, threads, transactions, failures; each process tells its asyncio tasks."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from howdah import Context, Howdah

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

app = Howdah()
FOLDER = "SOAK_FOLDER"
_EVERY = 1.0


@app.task(name="soak.add", result_ttl=60)
async def add(a: int, b: int) -> int:
    """Return at once: most jobs."""
    return a + b


@app.task(name="soak.wait", result_ttl=60)
async def wait(seconds: float) -> None:
    """Take a while."""
    await asyncio.sleep(seconds)


@app.task(name="soak.thread", result_ttl=60)
def thread(text: str) -> str:
    """Run in a thread, and return something larger."""
    return text * 20


@app.task(name="soak.write", result_ttl=60)
async def write(ctx: Context, number: int) -> None:
    """Write a row in the transaction that completes the job, and log a line."""
    await ctx.connection.execute("insert into soak_effect values ($1) on conflict (n) do nothing", number)
    ctx.log("written")


@app.task(name="soak.hold", result_ttl=60)
async def hold(ctx: Context, seconds: float) -> None:
    """Hold a connection for a while."""
    await ctx.connection.execute("select 1")
    await asyncio.sleep(seconds)


@app.task(name="soak.hold_thread", result_ttl=60)
def hold_thread(seconds: float) -> None:
    """Hold a thread for a while."""
    time.sleep(seconds)


@app.task(name="soak.fail", max_retries=1, backoff=[0.1], failure_ttl=60)
async def fail() -> None:
    """Fail, twice."""
    raise ValueError("as it should")


@app.lifespan
async def telling() -> AsyncIterator[dict[str, object]]:
    """Tell every second how many asyncio tasks this process has."""
    teller = asyncio.create_task(tell("worker"))
    yield {}
    teller.cancel()
    with suppress(asyncio.CancelledError):
        await teller


async def tell(kind: str) -> None:
    """Write the number of tasks into a file of this process, again and again."""
    path = Path(os.environ[FOLDER]) / f"{kind}-{os.getpid()}"
    while True:
        path.write_text(str(len(asyncio.all_tasks())))
        await asyncio.sleep(_EVERY)
