"""Calls on asyncpg, on a caller's connection or on one of our own."""

from __future__ import annotations

import re
import socket
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from howdah import json
from howdah.drivers import document_statement, statement
from howdah.drivers.conninfo import without_password
from howdah.drivers.opening import connected
from howdah.drivers.pooler import is_pooled
from howdah.errors import ConfigurationError, DatabaseUnavailable, InvalidInput, error_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from howdah.calls import Call
    from howdah.errors import HowdahError

__all__ = ["TROUBLE", "AsyncpgDriver", "OpenConnection", "open_connection", "translated"]

T = TypeVar("T")

# Seconds: idle before the first probe, between probes, and in all until an unanswered peer counts as gone.
_KEEPALIVE = (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))
_TCP_USER_TIMEOUT_MS = 15_000
# A connection that the server ends at a bad moment shows as InternalClientError: "another operation is in
# progress".
TROUBLE = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
_ARGUMENT = re.compile(r"query argument \$(\d+)")
_FIELDS = {"field": "column_name", "hint": "hint", "detail": "detail"}


class AsyncpgDriver:
    """Executes calls on an asyncpg connection that somebody else opened and will close."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def execute(self, call: Call[T], *, timeout: float | None = None) -> T:
        """Execute a call. `timeout` is in seconds. Raises a `HowdahError`."""
        return call.decode(await self._fetch(statement(call), call, timeout))

    async def _fetch(self, query: str, call: Call[Any], timeout: float | None) -> Any:
        arguments = [_argument(value) for value in call.arguments.values()]
        try:
            return await self._connection.fetch(query, *arguments, timeout=timeout)
        except TROUBLE as error:
            refused = translated(error)
            if isinstance(refused, InvalidInput) and refused.field is None:
                refused.field = _field(error, call)
            raise refused from error


class JoinedAsyncpgDriver(AsyncpgDriver):
    """Executes calls on a connection of the caller's, which may have a JSON codec of its own."""

    async def execute(self, call: Call[T], *, timeout: float | None = None) -> T:
        """Execute a call. `timeout` is in seconds. Raises a `HowdahError`."""
        if not call.holds_json:
            return await super().execute(call, timeout=timeout)
        rows = await self._fetch(document_statement(call), call, timeout)
        return call.decode([json.decode(row["row"]) for row in rows])


class OpenConnection(AsyncpgDriver):
    """A connection of our own.

    `pooled`: it ends at a pooler, so that its session is another one with each statement.
    """

    def __init__(self, connection: Any, *, pooled: bool = False) -> None:
        super().__init__(connection)
        self.pooled: bool = pooled

    @property
    def closed(self) -> bool:
        """Whether the connection has ended."""
        return bool(self._connection.is_closed())

    @property
    def raw(self) -> Any:
        """asyncpg's own connection."""
        return self._connection

    async def listen(self, channel: str, heard: Callable[[str], None], ended: Callable[[], None]) -> None:
        """Call `heard` with what each notification says, and `ended` when the connection ends."""
        try:
            await self._connection.add_listener(channel, lambda *told: heard(str(told[-1])))
        except TROUBLE as error:
            raise translated(error) from error
        self._connection.add_termination_listener(lambda *_: ended())

    async def reset(self) -> None:
        """Make the session forget what it was told, unless it is a pooler's. Raises anything."""
        if not self.pooled:
            await self._connection.reset()

    @property
    def backend_pid(self) -> int:
        """The process id that the server told; a pooler tells one of its own making."""
        return int(self._connection.get_server_pid())

    def on_end(self, ended: Callable[[], None]) -> None:
        """Call `ended` when the connection ends, whoever ends it."""
        self._connection.add_termination_listener(lambda *_: ended())

    async def close(self) -> None:
        """Say goodbye to the server, for a second at most."""
        try:
            await self._connection.close(timeout=1)
        except TROUBLE:
            self.terminate()

    def terminate(self) -> None:
        """Drop the connection without a word."""
        self._connection.terminate()


async def open_connection(dsn: str, *, name: str = "howdah", timeout: float = 10) -> OpenConnection:
    """Connect to a libpq DSN. `name` is shown in pg_stat_activity, `timeout` is in seconds.

    Raises `DatabaseUnavailable` when PostgreSQL cannot be reached, `DatabaseError` when it refuses for good.
    """
    try:
        connection = await connected(dsn, name, timeout)
    except (asyncpg.PostgresError, asyncpg.InternalClientError, OSError, TimeoutError) as error:
        raise translated(error, where=without_password(dsn)) from error
    except (asyncpg.ClientConfigurationError, asyncpg.InterfaceError, ValueError) as error:
        raise ConfigurationError(f"the DSN cannot be used: {error}", field="dsn") from error
    _watch_for_a_dead_peer(connection)
    return OpenConnection(connection, pooled=is_pooled(dsn))


def translated(error: BaseException, where: str | None = None) -> HowdahError:
    """Return our error for asyncpg's."""
    if isinstance(error, asyncpg.PostgresConnectionError):
        return DatabaseUnavailable(_text(error), sqlstate=error.sqlstate)
    if isinstance(error, asyncpg.PostgresError):
        message = getattr(error, "message", None) or _text(error)
        fields = {name: getattr(error, attribute, None) for name, attribute in _FIELDS.items()}
        return error_for(error.sqlstate, message, **fields)
    if isinstance(error, TimeoutError):
        return DatabaseUnavailable(f"PostgreSQL{_at(where)} did not answer in time")
    return DatabaseUnavailable(f"PostgreSQL{_at(where)} cannot be reached: {_text(error)}")


def _field(error: BaseException, call: Call[Any]) -> str | None:
    """Return the name of the argument that could not be sent, or that PostgreSQL cannot store."""
    names = [name.removeprefix("i_") for name in call.arguments]
    found = _ARGUMENT.search(str(error))
    if found:
        return names[int(found[1]) - 1]
    nul = (name for name, value in zip(names, call.arguments.values(), strict=True) if "\x00" in str(value))
    return next(nul, None)


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _at(where: str | None) -> str:
    return f" at {where}" if where else ""


def _argument(value: Any) -> Any:
    # asyncpg takes a float for numeric digit by digit: 0.1 would become 0.1000000000000000055….
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, list) and value and isinstance(value[0], float):
        return [Decimal(repr(item)) for item in value]
    return value


def _watch_for_a_dead_peer(connection: Any) -> None:
    transport = getattr(connection, "_transport", None)
    raw = transport.get_extra_info("socket") if transport is not None else None
    if raw is None or raw.family not in (socket.AF_INET, socket.AF_INET6):
        return
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in _KEEPALIVE:
        if hasattr(socket, option):
            raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _TCP_USER_TIMEOUT_MS)
