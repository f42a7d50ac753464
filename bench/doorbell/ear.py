"""Counts notifications as workers receive them."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Ear", "listening", "until"]

_PATIENCE = 180.0


class Ear:
    """What came in on the channels of all workers: `heard` by channel."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.heard: Counter[str] = Counter()

    def take(self, _connection: object, _process: int, channel: str, _payload: object) -> None:
        """Count one notification."""
        self.heard[channel] += 1

    async def value(self, query: str) -> int:
        """Return the number that a query finds."""
        return int(await self.connection.fetchval(query))


@asynccontextmanager
async def listening(dsn: str, last: int) -> AsyncIterator[Ear]:
    """Listen on the common channel and those of the workers 1 to `last`."""
    connection = await asyncpg.connect(dsn)
    try:
        ear = Ear(connection)
        for channel in ("howdah", *(f"howdah_{number}" for number in range(1, last + 1))):
            await connection.add_listener(channel, ear.take)
        yield ear
    finally:
        await connection.close()


async def until(ear: Ear, query: str) -> None:
    """Wait until a query finds a number other than 0."""
    async with asyncio.timeout(_PATIENCE):
        while not await ear.value(query):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
