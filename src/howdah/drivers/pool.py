"""A few connections for the calls of one event loop.

Every call is one statement in a transaction of its own and leaves nothing behind in its session, so a
connection needs no reset (which would cost a round trip) before the next call takes it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeVar

from howdah.drivers.asyncpg import open_connection as open_asyncpg_connection
from howdah.drivers.merging import Merging

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from howdah.calls import Call
    from howdah.drivers import OwnConnection
    from howdah.models import PublishedJob

__all__ = ["Opener", "Pool"]

T = TypeVar("T")


class Opener(Protocol):
    """Opens a connection of our own."""

    def __call__(self, dsn: str, *, name: str) -> Awaitable[OwnConnection]:
        """Connect to a libpq DSN; `name` is shown in pg_stat_activity."""
        ...


class Pool:
    """Up to `size` connections, opened when needed; belongs to the event loop that first uses it."""

    def __init__(
        self,
        dsn: str,
        *,
        size: int = 10,
        name: str = "howdah",
        open_connection: Opener = open_asyncpg_connection,
    ) -> None:
        self._dsn = dsn
        self._name = name
        self._open = open_connection
        self._free = asyncio.Semaphore(size)
        self._idle: list[OwnConnection] = []
        self._busy: set[OwnConnection] = set()
        self._merging = Merging(self.execute)

    async def publish(self, call: Call[PublishedJob]) -> PublishedJob:
        """Publish one job, together with others that are published meanwhile. Raises a `HowdahError`."""
        return await self._merging.publish(call)

    async def execute(self, call: Call[T]) -> T:
        """Execute a call on a free connection. Raises a `HowdahError`."""
        async with self._free:
            connection = await self._take()
            self._busy.add(connection)
            whole = False
            try:
                value = await connection.execute(call)
                whole = True
            except asyncio.CancelledError:
                connection.terminate()
                raise
            finally:
                self._busy.discard(connection)
                if whole or not connection.closed:
                    self._idle.append(connection)
                else:
                    connection.terminate()
            return value

    async def _take(self) -> OwnConnection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
            connection.terminate()
        return await self._open(self._dsn, name=self._name)

    async def close(self) -> None:
        """Close every connection."""
        idle, self._idle = self._idle, []
        for connection in [*self._busy]:
            connection.terminate()
        try:
            for connection in idle:
                await connection.close()
        finally:
            for connection in idle:  # cut short
                if not connection.closed:
                    connection.terminate()
