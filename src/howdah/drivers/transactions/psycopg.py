"""A task's transaction on psycopg: asynchronous, and plain for tasks in threads.

It is a `transaction()` block of psycopg's, inside which psycopg refuses a commit of the task's own.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.rows import dict_row

from howdah.drivers import statement
from howdah.drivers.pooler import drops_options, is_pooled, note_pooler, refused_options
from howdah.drivers.psycopg import PsycopgDriver
from howdah.drivers.psycopg_values import (
    adapt,
    arguments_of,
    connection_error,
    translated,
    whose_process,
)
from howdah.drivers.psycopg_values import connection_arguments as arguments_for

if TYPE_CHECKING:
    from howdah.calls import Call

__all__ = [
    "PlainPsycopgTransaction",
    "PsycopgTransaction",
    "cut",
    "execute_plain",
    "reset",
]

T = TypeVar("T")
_RESET = b"discard all"


def _arguments(dsn: str) -> dict[str, Any]:
    # Nothing stays prepared: `discard all` between two tasks would throw it away behind psycopg's back.
    return {**arguments_for(dsn, "howdah task"), "autocommit": True, "prepare_threshold": None}


class PsycopgTransaction:
    """A transaction on an `AsyncConnection`."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], *, pooled: bool) -> None:
        self.connection = connection
        self._pooled = pooled
        self._transaction: Any = None

    @classmethod
    async def open(cls, dsn: str) -> PsycopgTransaction:
        """Connect. Raises a `HowdahError`."""
        gave = not drops_options(dsn)
        try:
            connection = await psycopg.AsyncConnection.connect(**_arguments(dsn))
            if not is_pooled(dsn) and (await connection.execute(whose_process(connection))).rowcount:
                note_pooler(dsn)
        except psycopg.Error as error:
            if refused_options(dsn, error, gave=gave):
                return await cls.open(dsn)
            raise connection_error(error, dsn) from error
        return cls(connection, pooled=is_pooled(dsn))

    async def begin(self) -> None:
        """Begin. Raises a `HowdahError`."""
        self._transaction = self.connection.transaction()
        try:
            await self._transaction.__aenter__()
        except psycopg.Error as error:
            raise translated(error) from error

    async def execute(self, call: Call[T]) -> T:
        """Execute a call inside it. Raises a `HowdahError`."""
        return await PsycopgDriver(self.connection).execute(call)

    async def commit(self) -> None:
        """Commit. Raises a `HowdahError`."""
        transaction, self._transaction = self._transaction, None
        try:
            await transaction.__aexit__(None, None, None)
        except psycopg.Error as error:
            raise translated(error) from error

    async def rollback(self) -> None:
        """Roll back what was not committed, and reset the session."""
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            await transaction.__aexit__(psycopg.Rollback, psycopg.Rollback(), None)
        await self.connection.set_autocommit(True)
        if not self._pooled:
            await self.connection.execute(_RESET)

    def drop(self) -> None:
        """End the connection without a word."""
        self.connection.pgconn.finish()


class PlainPsycopgTransaction:
    """A transaction on a `Connection`, for a thread."""

    def __init__(self, connection: psycopg.Connection[Any], *, pooled: bool) -> None:
        self.connection = connection
        self.pooled: bool = pooled
        self._transaction: Any = None

    @classmethod
    def open(cls, dsn: str) -> PlainPsycopgTransaction:
        """Connect. Raises a `HowdahError`."""
        gave = not drops_options(dsn)
        try:
            connection = psycopg.connect(**_arguments(dsn))
            if not is_pooled(dsn) and connection.execute(whose_process(connection)).rowcount:
                note_pooler(dsn)
        except psycopg.Error as error:
            if refused_options(dsn, error, gave=gave):
                return cls.open(dsn)
            raise connection_error(error, dsn) from error
        return cls(connection, pooled=is_pooled(dsn))

    def begin(self) -> None:
        """Begin. Raises a `HowdahError`."""
        self._transaction = self.connection.transaction()
        try:
            self._transaction.__enter__()
        except psycopg.Error as error:
            raise translated(error) from error

    def execute(self, call: Call[T]) -> T:
        """Execute a call inside it. Raises a `HowdahError`."""
        return execute_plain(self.connection, call)

    def commit(self) -> None:
        """Commit. Raises a `HowdahError`."""
        transaction, self._transaction = self._transaction, None
        try:
            transaction.__exit__(None, None, None)
        except psycopg.Error as error:
            raise translated(error) from error

    def rollback(self) -> None:
        """Roll back what was not committed, and reset the session."""
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            transaction.__exit__(psycopg.Rollback, psycopg.Rollback(), None)
        reset(self.connection, pooled=self.pooled)

    def hang_up(self) -> None:
        """Cut the line, from any thread."""
        cut(self.connection)

    def drop(self) -> None:
        """End the connection without a word."""
        self.connection.close()


def cut(connection: psycopg.Connection[Any]) -> None:
    """End the socket under a connection that another thread may be using: both ends see it at once."""
    with suppress(OSError, psycopg.Error):
        line = socket.socket(fileno=socket.dup(connection.fileno()))
        with line:
            line.shutdown(socket.SHUT_RDWR)


def reset(connection: psycopg.Connection[Any], *, pooled: bool) -> None:
    """Roll back a transaction that is open; forget what the session was told, unless it is a pooler's."""
    connection.rollback()
    if pooled:
        return
    automatic = connection.autocommit
    connection.autocommit = True
    connection.execute(_RESET)
    connection.autocommit = automatic


def execute_plain(connection: psycopg.Connection[Any], call: Call[T]) -> T:
    """Execute a call on a plain connection. Raises a `HowdahError`."""
    arguments = arguments_of(call)
    try:
        # The task may have given its connection another row factory.
        cursor = psycopg.RawCursor(connection, row_factory=dict_row)
        adapt(cursor.adapters)
        cursor.execute(statement(call).encode(), arguments)
        return call.decode(cursor.fetchall())
    except psycopg.Error as error:
        raise translated(error) from error
