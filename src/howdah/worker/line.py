"""A worker's connection: opened when needed, dropped when it fails, opened again by the next call."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from howdah.drivers.asyncpg import OpenConnection, open_connection
from howdah.errors import DatabaseUnavailable, HowdahError

if TYPE_CHECKING:
    from collections.abc import Callable

    from howdah.calls import Call

__all__ = ["Line", "is_momentary"]

T = TypeVar("T")
_LOCKED = "55P03"


def is_momentary(error: HowdahError) -> bool:
    """Tell whether the database only asks to try again soon: the worker's row is locked at this moment.

    >>> is_momentary(DatabaseUnavailable("worker 7 is locked at this moment", sqlstate="55P03"))
    True
    """
    return error.sqlstate == _LOCKED


class Line:
    """Executes calls one after the other. `name` is shown in pg_stat_activity; times are in seconds."""

    def __init__(
        self, dsn: str, name: str, *, answer_timeout: float = 30.0, connect_timeout: float = 10.0
    ) -> None:
        self._dsn = dsn
        self._name = name
        self._answer_timeout = answer_timeout
        self._connect_timeout = connect_timeout
        self._connection: OpenConnection | None = None

    async def execute(self, call: Call[T]) -> T:
        """Execute a call. Raises a `HowdahError`; after `DatabaseUnavailable` the call may have been done."""
        connection = await self.open()
        whole = False
        try:
            value = await connection.execute(call, timeout=self._answer_timeout)
            whole = True
        except HowdahError as error:
            # What the server refused says nothing against the connection.
            whole = not isinstance(error, DatabaseUnavailable) or is_momentary(error)
            raise
        finally:
            if not whole:
                self.drop()
        return value

    async def open(self) -> OpenConnection:
        """Return the open connection. Raises a `HowdahError`."""
        if self._connection is None or self._connection.closed:
            self._connection = await open_connection(
                self._dsn, name=self._name, timeout=self._connect_timeout
            )
        return self._connection

    async def listen(self, channel: str, heard: Callable[[str], None], ended: Callable[[], None]) -> None:
        """Open the connection and listen. Raises a `HowdahError`."""
        await (await self.open()).listen(channel, heard, ended)

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
