"""Tasks whose processes take long to start."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

from howdah import Howdah
from howdah.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

app = Howdah(settings=Settings())
WORKER = int(os.environ.setdefault("SLOW_CHORES_WORKER", str(os.getpid())))


@app.lifespan
async def resources() -> AsyncIterator[dict[str, Any]]:
    """Take two seconds, though not in the worker."""
    if os.getpid() != WORKER:
        await asyncio.sleep(2)
    yield {}


@app.task(isolation="process", timeout=0.5, max_retries=0)
def hurry() -> int:
    """Do nothing, in no time."""
    return os.getpid()


@app.task(isolation="process", timeout=0.5, max_retries=0)
def dawdle() -> None:
    """Take longer than it may."""
    time.sleep(600)
