"""The time of a test's database, in the hands of the test."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from howdah.errors import InvalidInput
from howdah.testing.statements import read

if TYPE_CHECKING:
    import psycopg

__all__ = ["Clock"]


class Clock:
    """The time of a test's database: what is due, late or expired is decided by it.

    Once set it stands still until it is moved, or until `resume` lets the real time return. It is the
    database's time only: `asyncio.sleep`, `time.time()` and the timeouts of running jobs know nothing of it.

    >>> from howdah.testing import databases
    >>> with databases() as made, made.fresh() as database:
    ...     noon = database.clock.set(datetime.fromisoformat("2030-01-01T12:00:00+00:00"))
    ...     str(database.clock.advance(90) - noon)
    '0:01:30'
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: psycopg.Connection[Any] | None = None

    def now(self) -> datetime:
        """Return the database's time."""
        row = self._execute("clock_now").fetchone()
        assert row is not None  # noqa: S101  a select without a table has one row
        moment: datetime = row[0]
        return moment

    def set(self, moment: datetime) -> datetime:
        """Stop the time at a moment, which needs a time zone, and return it. Raises `InvalidInput`."""
        if moment.tzinfo is None:
            raise InvalidInput("the moment must have a time zone", field="moment")
        self._execute("clock_set", moment=moment)
        return moment

    def stop(self) -> datetime:
        """Stop the time where it is, and return it."""
        return self.set(self.now())

    def advance(self, seconds: float | timedelta) -> datetime:
        """Move the time on, stop it there, and return it."""
        step = seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)
        return self.set(self.now() + step)

    def resume(self) -> None:
        """Let the real time return."""
        self._execute("clock_real")

    def close(self) -> None:
        """Close the clock's connection; it opens again when needed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _execute(self, name: str, **values: object) -> psycopg.Cursor[Any]:
        import psycopg

        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._dsn, autocommit=True, application_name="howdah clock")
        return self._connection.execute(read(name), values or None)
