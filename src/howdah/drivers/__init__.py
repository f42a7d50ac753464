"""Drivers execute a `Call`: the only door from Python to PostgreSQL.

A driver is an object with `async def execute(call)`. It renders the call with `statement`, the one
template of this package, and turns what PostgreSQL refuses into the classes of `howdah.errors`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from howdah.errors import ConfigurationError
from howdah.json import Document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from howdah.calls import Call

__all__ = ["Driver", "join", "statement"]

T = TypeVar("T")


class Driver(Protocol):
    """Something that executes calls."""

    async def execute(self, call: Call[T]) -> T:
        """Execute a call and decode its rows."""
        ...


def statement(call: Call[Any]) -> str:
    """Return the statement that executes a call, with `$1, $2 …` for its arguments in their order.

    >>> from howdah import calls
    >>> statement(calls.get("7"))
    'select * from jobs.get(i_job_id => $1)'
    """
    return _rendered(call.function, _shape(call.arguments))


def _shape(arguments: Mapping[str, Any]) -> tuple[tuple[str, bool], ...]:
    return tuple((name, isinstance(value, Document)) for name, value in arguments.items())


@lru_cache(maxsize=1024)
def _rendered(function: str, shape: tuple[tuple[str, bool], ...]) -> str:
    # JSON goes as text and is cast there: the connection may be the caller's, with a JSON codec of its own.
    given = [
        f"{name} => ${number}::text::jsonb" if is_document else f"{name} => ${number}"
        for number, (name, is_document) in enumerate(shape, start=1)
    ]
    return f"select * from jobs.{function}({', '.join(given)})"  # noqa: S608 (names of our own functions)


def join(connection: Any) -> Driver:
    """Return a driver on the caller's own connection, so that a call joins its transaction.

    Raises `ConfigurationError` for a connection of a kind that is not supported.
    """
    kind = type(connection)
    if kind.__module__.partition(".")[0] == "asyncpg":
        from howdah.drivers.asyncpg import AsyncpgDriver

        return AsyncpgDriver(connection)
    raise ConfigurationError(
        f"connection= takes an asyncpg connection, not {kind.__module__}.{kind.__qualname__}",
        field="connection",
    )
