"""The app of the measured workers."""

from __future__ import annotations

import asyncio

from howdah import Howdah

app = Howdah()


@app.task(name="bell.nothing")
async def nothing() -> None:
    """Do nothing."""


@app.task(name="bell.slow")
async def slow() -> None:
    """Take a second."""
    await asyncio.sleep(1)
