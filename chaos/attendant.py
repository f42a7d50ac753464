"""Somebody who pauses a queue and resumes it, again and again."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from chaos.journal import Journal
    from chaos.observer import Observer

_QUEUE = "bulk"


async def operate(observer: Observer, journal: Journal, draw: random.Random) -> None:
    """Pause and resume until cancelled; the queue is never left paused."""
    while True:
        await asyncio.sleep(draw.uniform(2, 5))
        try:
            await observer.rows("select jobs.pause_queue(%s, 'as it shall')", [_QUEUE])
            began = time.monotonic()
            await asyncio.sleep(draw.uniform(0.5, 2))
            journal.write("paused", queue=_QUEUE, began=began, ended=time.monotonic())
        finally:
            await asyncio.shield(observer.rows("select jobs.resume_queue(%s)", [_QUEUE]))
