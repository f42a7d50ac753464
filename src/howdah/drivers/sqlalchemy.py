"""Calls inside a transaction of SQLAlchemy: on the driver's connection below its connections and sessions.

Imported only when the caller's object comes from SQLAlchemy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.util import await_only

from howdah.drivers.joining import joined, unsupported

if TYPE_CHECKING:
    from howdah.calls import Call
    from howdah.drivers import Driver, SyncDriver

__all__ = ["SqlalchemyDriver", "SqlalchemySyncDriver", "driver_for"]

T = TypeVar("T")

# The asyncpg dialect begins with the first statement that it executes itself: this one.
_NOTHING = "select 1"


def driver_for(given: Any) -> Driver | SyncDriver:
    """Return a driver for a connection or session. Raises `ConfigurationError` for anything else."""
    if isinstance(given, scoped_session | async_scoped_session):
        given = given.registry()
    if isinstance(given, AsyncConnection | AsyncSession):
        return SqlalchemyDriver(given)
    if isinstance(given, Connection | Session):
        return SqlalchemySyncDriver(given)
    raise unsupported(given)


class SqlalchemyDriver:
    """Executes calls in the transaction of an `AsyncConnection` or `AsyncSession`."""

    def __init__(self, given: AsyncConnection | AsyncSession) -> None:
        self._given = given

    async def execute(self, call: Call[T]) -> T:
        """Execute a call. Raises a `HowdahError`."""
        given = self._given
        connection = await given.connection() if isinstance(given, AsyncSession) else given
        if not connection.in_transaction():
            # What executing a statement through SQLAlchemy would do: without it, commit() does nothing.
            await connection.begin()
        below = (await connection.get_raw_connection()).driver_connection
        if _has_not_begun(below):
            await connection.exec_driver_sql(_NOTHING)
        driver: Any = joined(below)
        value: T = await driver.execute(call)
        return value


class SqlalchemySyncDriver:
    """Executes calls in the transaction of a `Connection` or `Session`."""

    def __init__(self, given: Connection | Session) -> None:
        self._given = given

    def execute_sync(self, call: Call[T]) -> T:
        """Execute a call. Raises a `HowdahError`."""
        given = self._given
        connection = given.connection() if isinstance(given, Session) else given
        if not connection.in_transaction():
            connection.begin()
        below = connection.connection.driver_connection
        if _has_not_begun(below):
            connection.exec_driver_sql(_NOTHING)
        driver: Any = joined(below)
        if hasattr(driver, "execute"):  # the sync side of an async engine, inside its `run_sync`
            value: T = await_only(driver.execute(call))
        else:
            value = driver.execute_sync(call)
        return value


def _has_not_begun(below: Any) -> bool:
    return type(below).__module__.startswith("asyncpg") and not below.is_in_transaction()
