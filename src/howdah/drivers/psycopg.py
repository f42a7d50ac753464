"""Calls on psycopg, on a caller's connection or on one of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.rows import dict_row

from howdah.drivers import statement
from howdah.drivers.pooler import drops_options, refused_options
from howdah.drivers.psycopg_values import (
    abandon,
    adapt,
    arguments_of,
    connection_arguments,
    connection_error,
    translated,
    was_ended,
)

if TYPE_CHECKING:
    from howdah.calls import Call

__all__ = ["OpenPsycopgConnection", "PsycopgDriver", "open_psycopg_connection"]

T = TypeVar("T")


class PsycopgDriver:
    """Executes calls on a psycopg connection that somebody else opened and will close."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    async def execute(self, call: Call[T]) -> T:
        """Execute a call. Raises a `HowdahError`."""
        arguments = arguments_of(call)
        try:
            # A cursor of our own: rows, adapters and cursor class of the connection are the caller's choice.
            cursor = psycopg.AsyncRawCursor(self._connection, row_factory=dict_row)
            adapt(cursor.adapters)
            await cursor.execute(statement(call).encode(), arguments)
            rows = await cursor.fetchall()
        except psycopg.Error as error:
            raise translated(error) from error
        return call.decode(rows)


class OpenPsycopgConnection(PsycopgDriver):
    """A connection of our own."""

    @property
    def closed(self) -> bool:
        """Whether the connection has ended, or is in the middle of something."""
        return was_ended(self._connection.pgconn)

    async def close(self) -> None:
        """Say goodbye to the server."""
        await self._connection.close()

    def terminate(self) -> None:
        """Drop the connection."""
        self._connection.pgconn.finish()

    def abandon(self) -> None:
        """Let go of a connection that the parent process opened and still uses."""
        abandon(self._connection.pgconn)


async def open_psycopg_connection(dsn: str, *, name: str = "howdah") -> OpenPsycopgConnection:
    """Connect to a libpq DSN. `name` is shown in pg_stat_activity.

    Raises `DatabaseUnavailable` when PostgreSQL cannot be reached, `ConfigurationError` for a wrong DSN.
    """
    gave = not drops_options(dsn)
    arguments = connection_arguments(dsn, name)
    try:
        connection = await psycopg.AsyncConnection.connect(autocommit=True, **arguments)
    except psycopg.Error as error:
        if refused_options(dsn, error, gave=gave):
            return await open_psycopg_connection(dsn, name=name)
        raise connection_error(error, dsn) from error
    return OpenPsycopgConnection(connection)
