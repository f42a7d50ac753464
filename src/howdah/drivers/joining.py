"""Find the driver for a caller's own connection, so that a call joins its transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from howdah.errors import ConfigurationError

if TYPE_CHECKING:
    from howdah.calls import Call
    from howdah.drivers import Driver, SyncDriver

__all__ = ["joined", "name_of", "unsupported"]

T = TypeVar("T")

_SUPPORTED = "an asyncpg or psycopg connection, or a SQLAlchemy connection or session on one of these drivers"


def joined(connection: Any) -> Driver | SyncDriver:
    """Return a driver on the caller's connection. Raises `ConfigurationError` for any other object.

    No library is imported that the object does not come from.
    """
    libraries = {kind.__module__.partition(".")[0] for kind in type(connection).__mro__}
    if "asyncpg" in libraries:
        return _on_asyncpg(connection)
    if "psycopg" in libraries:
        return _on_psycopg(connection)
    if hasattr(type(connection), "execute_call"):
        return _OnTaskConnection(connection)
    if "sqlalchemy" in libraries:
        from howdah.drivers import sqlalchemy

        return sqlalchemy.driver_for(connection)
    raise unsupported(connection)


class _OnTaskConnection:
    """A running task's `ctx.connection`, which executes calls itself."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def execute(self, call: Call[T]) -> T:
        """Execute a call. Raises a `HowdahError`."""
        value: T = await self._connection.execute_call(call)
        return value


def _on_asyncpg(connection: Any) -> Driver:
    import asyncpg

    from howdah.drivers.asyncpg import JoinedAsyncpgDriver

    if not isinstance(connection, asyncpg.Connection | asyncpg.pool.PoolConnectionProxy):
        raise unsupported(connection)
    return JoinedAsyncpgDriver(connection)


def _on_psycopg(connection: Any) -> Driver | SyncDriver:
    import psycopg

    if isinstance(connection, psycopg.AsyncConnection):
        from howdah.drivers.psycopg import PsycopgDriver

        return PsycopgDriver(connection)
    if isinstance(connection, psycopg.Connection):
        from howdah.drivers.psycopg_sync import SyncPsycopgDriver

        return SyncPsycopgDriver(connection)
    raise unsupported(connection)


def unsupported(connection: Any) -> ConfigurationError:
    """Return the error for an object that is no connection we know (not raised)."""
    return ConfigurationError(
        f"connection= takes {_SUPPORTED}, not {name_of(connection)}", field="connection"
    )


def name_of(connection: Any) -> str:
    """Return the name of an object's class, for messages."""
    kind = type(connection)
    return f"{kind.__module__}.{kind.__qualname__}"
