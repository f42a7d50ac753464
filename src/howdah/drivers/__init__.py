"""Drivers execute a `Call`: the only door from Python to PostgreSQL.

A driver is an object with `async def execute(call)`, or with `execute_sync(call)`. It renders
the call with `statement`, the one template of this package, and turns what PostgreSQL refuses into the
classes of `howdah.errors`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from howdah.drivers.joining import joined, name_of
from howdah.errors import ConfigurationError
from howdah.json import Document
from howdah.twins import called_method

if TYPE_CHECKING:
    from collections.abc import Mapping

    from howdah.calls import Call

__all__ = ["Driver", "OwnConnection", "SyncDriver", "join", "join_sync", "statement"]

T = TypeVar("T")


class Driver(Protocol):
    """Something that executes calls."""

    async def execute(self, call: Call[T]) -> T:
        """Execute a call and decode its rows."""
        ...


class SyncDriver(Protocol):
    """Something that executes calls and returns when they are done."""

    def execute_sync(self, call: Call[T]) -> T:
        """Execute a call and decode its rows."""
        ...


class OwnConnection(Driver, Protocol):
    """A connection that we opened and will close."""

    @property
    def closed(self) -> bool:
        """Whether the connection has ended."""
        ...

    async def close(self) -> None:
        """Say goodbye to the server."""
        ...

    def terminate(self) -> None:
        """Drop the connection without a word."""
        ...


def statement(call: Call[Any]) -> str:
    """Return the statement that executes a call, with `$1, $2 …` for its arguments in their order.

    >>> from howdah import calls
    >>> statement(calls.get("7"))
    'select * from jobs.get(i_job_id => $1)'
    """
    return _rendered(call.function, _shape(call.arguments))


def document_statement(call: Call[Any]) -> str:
    """Return the statement that executes a call and gives each row as one JSON text.

    For connections of somebody else's, whose own decoding of JSON would make text of text.

    >>> from howdah import calls
    >>> document_statement(calls.get("7"))
    'select to_jsonb(row)::text as row from jobs.get(i_job_id => $1) as row'
    """
    return _rendered(call.function, _shape(call.arguments), as_document=True)


def _shape(arguments: Mapping[str, Any]) -> tuple[tuple[str, bool], ...]:
    return tuple((name, isinstance(value, Document)) for name, value in arguments.items())


@lru_cache(maxsize=1024)
def _rendered(function: str, shape: tuple[tuple[str, bool], ...], *, as_document: bool = False) -> str:
    # JSON goes as text and is cast there: the connection may be the caller's, with a JSON codec of its own.
    given = [
        f"{name} => ${number}::text::jsonb" if is_document else f"{name} => ${number}"
        for number, (name, is_document) in enumerate(shape, start=1)
    ]
    columns = "to_jsonb(row)::text as row" if as_document else "*"
    alias = " as row" if as_document else ""
    return f"select {columns} from jobs.{function}({', '.join(given)}){alias}"  # noqa: S608 (our own names)


def join(connection: Any) -> Driver:
    """Return a driver on the caller's own connection, so that a call joins its transaction.

    Takes a connection of asyncpg, a task's `ctx.connection`, a `psycopg.AsyncConnection`, and an
    `AsyncConnection` or `AsyncSession` of SQLAlchemy. Raises `ConfigurationError` for anything else.
    """
    driver: Any = joined(connection)
    if not hasattr(driver, "execute"):
        raise _wrong_kind(connection, "a sync", "{}_sync(…)")
    found: Driver = driver
    return found


def join_sync(connection: Any) -> SyncDriver:
    """Do what `join` does, for the sync connections and sessions of psycopg and SQLAlchemy.

    Raises `ConfigurationError`.
    """
    driver: Any = joined(connection)
    if not hasattr(driver, "execute_sync"):
        raise _wrong_kind(connection, "an async", "await {}(…)")
    found: SyncDriver = driver
    return found


def _wrong_kind(connection: Any, kind: str, twin: str) -> ConfigurationError:
    name = called_method()
    method = name if kind == "a sync" else f"{name}_sync"
    return ConfigurationError(
        f"{method} was given {kind} connection ({name_of(connection)})",
        field="connection",
        hint=f"use: {twin.format(name)}",
    )
