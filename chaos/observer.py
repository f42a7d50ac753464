"""The harness's own look into the database: directly, as superuser, through every restart."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg

from chaos.orders import ISOLATED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PAUSE = 0.05
_BUSY = """
    select w.pid from howdah.running r join howdah.worker w on w.id = r.worker_id
     where w.pid is not null group by w.pid having count(*) >= %s
"""
_ISOLATING = """
    select distinct w.pid from howdah.running r join howdah.worker w on w.id = r.worker_id
      join howdah.job j on j.id = r.id
     where w.pid is not null and j.task = any (%s)
"""
_PLAIN = "select count(*) from howdah.running r where r.worker_id is null"
_BACKENDS = """
    select pid from pg_stat_activity
     where usename = 'chaos_client' and backend_type = 'client backend' order by backend_start
"""


class Observer:
    """One connection, opened again when it breaks."""

    def __init__(self, dsn: Callable[[], str]) -> None:
        self._dsn = dsn
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._lock = asyncio.Lock()

    async def rows(self, query: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query, however long the server is away."""
        while True:
            try:
                return await self.try_rows(query, arguments)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                await asyncio.sleep(_PAUSE)

    async def try_rows(self, query: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query. Raises psycopg's errors."""
        async with self._lock:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = await psycopg.AsyncConnection.connect(self._dsn(), autocommit=True)
                cursor = await self._connection.execute(query.encode(), arguments or None)
                return await cursor.fetchall() if cursor.description else []
            except (psycopg.OperationalError, psycopg.InterfaceError):
                await self._drop()
                raise

    async def number(self, query: str, arguments: Sequence[Any] = ()) -> int:
        """Return the first value of a query."""
        return int((await self.rows(query, arguments))[0][0])

    async def busy(self, least: int = 1) -> set[int]:
        """Return the worker processes that have so many runs."""
        return {pid for (pid,) in await self.rows(_BUSY, [least])}

    async def isolating(self) -> list[int]:
        """Return the worker processes that run something in a process of its own."""
        return [pid for (pid,) in await self.rows(_ISOLATING, [sorted(ISOLATED)])]

    async def plain_in_flight(self) -> int:
        """Return how many runs consumers have that are no workers."""
        return await self.number(_PLAIN)

    async def backends(self) -> list[int]:
        """Return the server processes of all clients."""
        return [pid for (pid,) in await self.rows(_BACKENDS)]

    async def close(self) -> None:
        """End the connection."""
        async with self._lock:
            await self._drop()

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                await connection.close()
