"""A worker's connection: opened when needed, dropped when it fails, opened again by the next call."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

from howdah.drivers.asyncpg import OpenConnection, open_connection
from howdah.errors import DatabaseUnavailable, HowdahError
from howdah.worker.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from howdah.calls import Call

__all__ = ["Line", "is_momentary"]

T = TypeVar("T")
_LOCKED = "55P03"
# Tried again as if it would pass, since a server that is not ready says it, too; but a defect in a function
# says it as well, and does not pass.
_WRONG_STATE = "55000"
_CRY_EVERY = 10.0  # seconds


def is_momentary(error: HowdahError) -> bool:
    """Tell whether the database only asks to try again soon: the worker's row is locked at this moment.

    >>> is_momentary(DatabaseUnavailable("worker 7 is locked at this moment", sqlstate="55P03"))
    True
    """
    return error.sqlstate == _LOCKED


class Line:
    """Executes calls one after the other. `name` is shown in pg_stat_activity; times are in seconds."""

    _cried_at = -_CRY_EVERY  # by any line: they would all say the same

    def __init__(
        self, dsn: str, name: str, *, answer_timeout: float = 30.0, connect_timeout: float = 10.0
    ) -> None:
        self._dsn = dsn
        self._name = name
        self._answer_timeout = answer_timeout
        self._connect_timeout = connect_timeout
        self._connection: OpenConnection | None = None
        self._turn = asyncio.Lock()  # two pipes register on one line; a connection serves one call at a time
        self._answered_at = 0.0

    async def execute(self, call: Call[T]) -> T:
        """Execute a call. Raises a `HowdahError`; after `DatabaseUnavailable` the call may have been done."""
        async with self._turn:
            return await self._executed(call)

    async def _executed(self, call: Call[T]) -> T:
        connection = await self.open()
        whole = False
        try:
            value = await connection.execute(call, timeout=self._answer_timeout)
            whole = True
            self._answered_at = time.monotonic()
        except HowdahError as error:
            # What the server refused says nothing against the connection.
            whole = not isinstance(error, DatabaseUnavailable) or is_momentary(error)
            if error.sqlstate == _WRONG_STATE:
                self._cry_out(call, error)
            raise
        except AttributeError as error:
            if not connection.closed:
                raise
            # Dropped while asyncpg was between two steps, which makes it stumble over its own state.
            raise DatabaseUnavailable("the connection was given up") from error
        finally:
            if not whole and connection is self._connection:
                self.drop()
        return value

    def _cry_out(self, call: Call[T], error: HowdahError) -> None:
        if time.monotonic() >= Line._cried_at + _CRY_EVERY:
            Line._cried_at = time.monotonic()
            logger.error(
                "%s cannot work, trying again: %s (SQLSTATE %s)", call.function, error, error.sqlstate
            )

    def doubt(self, since: float) -> None:
        """Drop the connection unless it has proved itself since `time.monotonic` was that."""
        if self._answered_at < since:
            self.drop()

    async def open(self) -> OpenConnection:
        """Return the open connection. Raises a `HowdahError`."""
        if self._connection is None or self._connection.closed:
            self._connection = await open_connection(
                self._dsn, name=self._name, timeout=self._connect_timeout
            )
            self._answered_at = time.monotonic()
        return self._connection

    @property
    def pooled(self) -> bool:
        """Whether the open connection leads to a pooler, where nobody can listen."""
        return self._connection is not None and self._connection.pooled

    async def listen(self, channel: str, heard: Callable[[str], None], ended: Callable[[], None]) -> None:
        """Open the connection and listen. Raises a `HowdahError`."""
        await (await self.open()).listen(channel, heard, ended)

    def is_on(self, connection: OpenConnection) -> bool:
        """Tell whether this is the connection, which was not dropped."""
        return connection is self._connection

    def drop(self) -> None:
        """End the connection without a word."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def close(self) -> None:
        """End the connection."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.closed:
            await connection.close()
