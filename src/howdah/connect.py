"""Find the database, and keep connections to it for every event loop that asks."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from howdah.errors import ConfigurationError
from howdah.twins import refuse_inside_loop

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from howdah.drivers.pool import Opener, Pool
    from howdah.drivers.pool_sync import SyncPool
    from howdah.embedded import Server
    from howdah.settings import Settings

__all__ = ["TEMPORARY", "Connections", "Database", "DriverName", "resolve_dsn"]

DriverName = Literal["asyncpg", "psycopg"]

TEMPORARY = ":temporary:"


def resolve_dsn(argument: str | None, settings: Settings) -> str | None:
    """Return the libpq DSN that was given as argument or setting; None means the embedded server.

    >>> from howdah.settings import Settings
    >>> resolve_dsn(None, Settings(dsn="service=shop"))
    'service=shop'
    """
    return argument if argument is not None else settings.dsn


class Database:
    """Where the jobs live. The embedded server is started when first needed, and stays up until `release`."""

    def __init__(self, argument: str | None, settings: Settings) -> None:
        self._given = resolve_dsn(argument, settings)
        self._data = Path(settings.data) if settings.data else None
        # By process: the lock that a fork finds held stays held in the child.
        self._locks: dict[int, threading.Lock] = {}
        self._server: Server | None = None
        self._found: tuple[int, str] | None = None

    @property
    def known(self) -> str | None:
        """The DSN, when it is known without starting a server."""
        if self._found is not None and self._found[0] == os.getpid():
            return self._found[1]
        return None if self._given == TEMPORARY else self._given

    def dsn(self) -> str:
        """Return the DSN; may start and prepare the embedded server, which blocks for a second or two.

        Raises `ServerUnavailable`.
        """
        known = self.known
        if known is not None:
            return known
        with self._lock():
            if self._found is None or self._found[0] != os.getpid():
                self._found = (os.getpid(), self._start())
            return self._found[1]

    def release(self) -> None:
        """Let go of the embedded server, if it was used; the last one out stops it."""
        with self._lock():
            server, self._server = self._server, None
            if server is not None:
                self._found = None
                server.release()

    def _lock(self) -> threading.Lock:
        return self._locks.setdefault(os.getpid(), threading.Lock())

    def _start(self) -> str:
        from howdah import embedded
        from howdah.migrate import migrate

        if self._given == TEMPORARY:
            self._server = embedded.acquire_temporary()
            dsn = self._server.ensure_database("howdah")
        else:
            self._server = embedded.acquire(self._data)
            dsn = self._server.ensure_database(embedded.project_database(Path.cwd()))
        migrate(dsn)
        return dsn


class Connections:
    """One pool for each event loop, and one for all threads without one.

    Loops come and go with every `asyncio.run`, and processes fork.
    """

    def __init__(self, database: Database, driver: DriverName = "asyncpg") -> None:
        if driver not in get_args(DriverName):
            raise ConfigurationError(f"there is no driver {driver!r}", field="driver")
        self._database = database
        self._driver = driver
        # By process: a child must neither use nor close its parent's. No lock, which a fork could leave held.
        self._sync_pools: dict[int, SyncPool] = {}
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopPool] = (
            weakref.WeakKeyDictionary()
        )
        self._inherited: list[_LoopPool] = []

    async def pool(self) -> Pool:
        """Return the pool of the running event loop. Raises `ServerUnavailable`."""
        loop = asyncio.get_running_loop()
        held = self._pools.get(loop)
        if held is not None and held.process == os.getpid():
            return held.pool
        dsn = self._database.known
        if dsn is None:
            dsn = await asyncio.to_thread(self._database.dsn)
        return await self._opened(loop, dsn)

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        held = self._pools.get(asyncio.get_running_loop())
        if held is not None and held.process == os.getpid():
            await held.keeper.aclose()

    def pool_sync(self) -> SyncPool:
        """Return the pool of the `*_sync` methods. Raises `ServerUnavailable`, `InsideEventLoop`."""
        refuse_inside_loop()
        pool = self._sync_pools.get(os.getpid())
        if pool is None:
            from howdah.drivers.pool_sync import SyncPool

            pool = self._sync_pools.setdefault(os.getpid(), SyncPool(self._database.dsn()))
        return pool

    def close_sync(self) -> None:
        """Close the connections of the `*_sync` methods. Raises `InsideEventLoop`."""
        refuse_inside_loop()
        pool = self._sync_pools.pop(os.getpid(), None)
        if pool is not None:
            pool.close()

    async def _opened(self, loop: asyncio.AbstractEventLoop, dsn: str) -> Pool:
        held = self._pools.get(loop)
        if held is not None:
            if held.process == os.getpid():
                return held.pool  # another task was faster
            # The sockets are the parent's: neither used nor closed here, closing would end its sessions.
            self._inherited.append(held)
        from howdah.drivers.pool import Pool

        pool = Pool(dsn, open_connection=_opener(self._driver))
        keeper = self._until_the_loop_ends(loop, pool)
        self._pools[loop] = _LoopPool(pool, keeper)
        await anext(keeper)
        return pool

    async def _until_the_loop_ends(
        self, loop: asyncio.AbstractEventLoop, pool: Pool
    ) -> AsyncGenerator[None, None]:
        # asyncio.run closes open asynchronous generators before it closes its loop: the one moment at which
        # connections that nobody closes can still say goodbye.
        try:
            yield
        finally:
            self._pools.pop(loop, None)
            await pool.close()


def _opener(driver: DriverName) -> Opener:
    if driver == "psycopg":
        from howdah.drivers.psycopg import open_psycopg_connection

        return open_psycopg_connection
    from howdah.drivers.asyncpg import open_connection

    return open_connection


class _LoopPool:
    def __init__(self, pool: Pool, keeper: AsyncGenerator[None, None]) -> None:
        self.pool = pool
        self.keeper = keeper
        self.process = os.getpid()
