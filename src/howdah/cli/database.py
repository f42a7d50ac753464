"""Which database a command means, and one look at it."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from howdah.calls import Call
    from howdah.drivers.pool import Pool

T = TypeVar("T")


@contextmanager
def database(dsn: str | None) -> Iterator[str]:
    """Yield the DSN: the one given, else the one of the settings, else that of the embedded server.

    The embedded server is up, and its schemas are, until the end of the block. Raises ServerUnavailable.
    """
    from howdah.connect import Database
    from howdah.settings import load_settings

    found = Database(dsn, load_settings())
    try:
        yield found.dsn()
    finally:
        found.release()


class Session:
    """Executes calls, one after the other, on one connection."""

    def __init__(self, runner: asyncio.Runner, pool: Pool) -> None:
        self._runner = runner
        self._pool = pool

    def ask(self, call: Call[T]) -> T:
        """Execute a call and return its value. Raises a HowdahError."""
        return self._runner.run(self._pool.execute(call))


@contextmanager
def session(dsn: str | None) -> Iterator[Session]:
    """Open a session on the database; it is closed at the end of the block."""
    from howdah.drivers.pool import Pool

    with database(dsn) as found, asyncio.Runner() as runner:
        pool = Pool(found, size=1, name="howdah command")
        try:
            yield Session(runner, pool)
        finally:
            runner.run(pool.close())


def ask(dsn: str | None, call: Call[T]) -> T:
    """Execute one call on the database and return its value."""
    with session(dsn) as opened:
        return opened.ask(call)
