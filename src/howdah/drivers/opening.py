"""Opens asyncpg's connections: the hosts of a DSN one after the other, through a pooler if there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg

from howdah.drivers.conninfo import asyncpg_arguments
from howdah.drivers.pooler import OTHER_PROCESS, drops_options, is_pooled, note_pooler, refused_options

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["connected"]

# Seconds that one of several hosts gets: a machine that is gone does not answer, and the next one waits.
_PATIENCE = 3.0
# What another host may do better; a password that is wrong is wrong everywhere.
_NEXT = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
# What becomes of prepared statements that a pooler has handed to somebody else.
_MIXED_UP = (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError)

# By DSN: which of its hosts answered last.
_answered: dict[str, int] = {}


async def connected(dsn: str, name: str, timeout: float) -> Any:
    """Connect to the first host of a DSN that will do, the last one that did before all others.

    Raises what asyncpg raises, and `ConfigurationError`.
    """
    connection = await _connected(dsn, name, timeout)
    if is_pooled(dsn) or not await _is_foreign(dsn, connection):
        return connection
    connection.terminate()  # it would prepare its statements
    return await _connected(dsn, name, timeout)


async def _is_foreign(dsn: str, connection: Any) -> bool:
    """Ask whether a pooler stands between; without an argument asyncpg prepares nothing."""
    try:
        tag = await connection.execute(OTHER_PROCESS.format(int(connection.get_server_pid())), timeout=10)
    except BaseException:
        connection.terminate()
        raise
    if tag == "SELECT 0":
        return False
    note_pooler(dsn)
    return True


async def _connected(dsn: str, name: str, timeout: float) -> Any:
    pooled, gave = is_pooled(dsn), not drops_options(dsn)
    try:
        return await _first_of(dsn, name, timeout)
    except _MIXED_UP:
        if pooled:
            raise
        note_pooler(dsn)
    except asyncpg.PostgresError as error:
        if not refused_options(dsn, error, gave=gave):
            raise
    return await _first_of(dsn, name, timeout)


async def _first_of(dsn: str, name: str, timeout: float) -> Any:
    failure: BaseException | None = None
    for number, arguments in _candidates(dsn, name, timeout):
        try:
            connection = await asyncpg.connect(**arguments)
        except _NEXT as error:
            failure = error
        else:
            _answered[dsn] = number
            return connection
    raise failure or OSError("the DSN names no host")


def _candidates(dsn: str, name: str, timeout: float) -> Iterator[tuple[int, dict[str, Any]]]:
    arguments = asyncpg_arguments(dsn)
    settings = arguments.setdefault("server_settings", {})
    settings.setdefault("application_name", name)
    if not drops_options(dsn):
        # The database's own default may be higher, and claims work at READ COMMITTED only.
        settings["default_transaction_isolation"] = "read committed"
    if is_pooled(dsn):
        arguments["statement_cache_size"] = 0
    hosts = arguments.get("host")
    if not isinstance(hosts, list):
        yield 0, {"timeout": timeout, **arguments}
        return
    first = _answered.get(dsn, 0)
    for number in sorted(range(len(hosts)), key=lambda number: number != first):
        place = {"host": hosts[number], "port": arguments["port"][number]}
        yield number, {"timeout": min(timeout, _PATIENCE), **arguments, **place}
