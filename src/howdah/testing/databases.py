"""A fresh, migrated database for each test: a copy of a template, or one that is emptied."""

from __future__ import annotations

import itertools
import os
import secrets
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from howdah.errors import ConfigurationError, DatabaseUnavailable
from howdah.testing.clock import Clock
from howdah.testing.statements import read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import psycopg

__all__ = ["Databases", "FreshDatabase", "databases"]

VARIABLE = "HOWDAH_TEST_DSN"
_MEMORY = Path("/dev/shm")  # noqa: S108  the folder in it is made for its owner alone


@dataclass(frozen=True, slots=True)
class FreshDatabase:
    """A migrated database without jobs, and its clock."""

    name: str
    dsn: str
    clock: Clock


class Databases(Protocol):
    """Makes fresh databases, one after the other."""

    def fresh(self) -> AbstractContextManager[FreshDatabase]:
        """Make a database that nobody has used; it is gone, or emptied, after the block."""
        ...


@contextmanager
def databases(dsn: str | None = None) -> Iterator[Databases]:
    """Yield what makes fresh databases, on the server of `dsn`, of $HOWDAH_TEST_DSN, else an embedded one.

    The embedded server is started for this block and leaves nothing behind. On a server of your own, each
    fresh database is a copy of a template where the user may create databases; else it is the DSN's own
    database, whose schemas `jobs` and `howdah` are emptied for each test: its name must contain `test`.
    Raises `NoServer`, `DatabaseUnavailable`, `ConfigurationError`.

    >>> from howdah import Howdah
    >>> with databases() as made, made.fresh() as database:
    ...     app = Howdah(database.dsn)
    ...     app.publish_sync("shop.mail", 42).status_sync()
    'ready'
    """
    given = dsn or os.environ.get(VARIABLE)
    name = f"howdah_test_{os.getpid()}_{secrets.token_hex(3)}"
    with ExitStack() as stack:
        server = given or _embedded(stack)
        connection = stack.enter_context(_connected(server, name))
        if _may_create(connection):
            made: Databases = stack.enter_context(_copies(name, server, connection))
        else:
            made = stack.enter_context(_emptied(server, connection))
        yield made


def _embedded(stack: ExitStack) -> str:
    from howdah.embedded import binaries
    from howdah.embedded.server import start_temporary
    from howdah.embedded.settings import TEMPORARY

    server = start_temporary(binaries(), 18, TEMPORARY, fastest_folder())
    return stack.enter_context(server).dsn()


def fastest_folder(least_bytes: int = 2 << 30) -> Path | None:
    """Return the folder that lies in memory, if it has room; None for the usual one.

    A copy of a database is 330 files, which take a disk up to 100 ms, and memory 10.

    >>> fastest_folder(least_bytes=1 << 60) is None
    True
    """
    if not _MEMORY.is_dir():
        return None
    space = os.statvfs(_MEMORY)
    return _MEMORY if space.f_bavail * space.f_frsize >= least_bytes else None


@contextmanager
def _connected(dsn: str, name: str) -> Iterator[psycopg.Connection[Any]]:
    import psycopg

    try:
        connection = psycopg.connect(dsn, autocommit=True, application_name=name)
    except psycopg.Error as error:
        raise DatabaseUnavailable(str(error).strip().splitlines()[0]) from error
    with connection:
        yield connection


def _may_create(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute(read("may_create")).fetchone()
    return row is not None and bool(row[0])


def _prepare(dsn: str) -> None:
    import psycopg

    from howdah.migrate import migrate

    migrate(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(read("fake_clock"))


# ── A copy for each test ──


@contextmanager
def _copies(name: str, server: str, connection: psycopg.Connection[Any]) -> Iterator[_Copies]:
    copies = _Copies(name, server, connection)
    try:
        copies.drop_left_behind()
        copies.prepare()
        yield copies
    finally:
        copies.drop_all()


class _Copies:
    def __init__(self, name: str, server: str, connection: psycopg.Connection[Any]) -> None:
        self._server = server
        self._connection = connection
        self._template = name
        self._numbers = itertools.count(1)
        self._retired: list[str] = []

    def drop_left_behind(self) -> None:
        """Drop what runs left that were killed: nobody else would."""
        from psycopg import Error

        for (name,) in self._connection.execute(read("left_behind")).fetchall():
            with suppress(Error):  # another run may do the same
                self._drop(name)

    def prepare(self) -> None:
        self._connection.execute(read("create", template=self._template))
        _prepare(self._dsn(self._template))

    @contextmanager
    def fresh(self) -> Iterator[FreshDatabase]:
        name = f"{self._template}_{next(self._numbers)}"
        self._connection.execute(read("clone", clone=name, template=self._template))
        database = FreshDatabase(name, self._dsn(name), Clock(self._dsn(name)))
        try:
            yield database
        finally:
            database.clock.close()
            # One test later: PostgreSQL waits 100 ms for a session that is just ending.
            self._drop(*self._retired)
            self._retired = [name]

    def drop_all(self) -> None:
        self._drop(*self._retired, self._template)

    def _drop(self, *names: str) -> None:
        for name in names:
            self._connection.execute(read("drop", clone=name))

    def _dsn(self, name: str) -> str:
        from psycopg.conninfo import make_conninfo

        return make_conninfo(self._server, dbname=name)


# ── One database, emptied for each test ──


@contextmanager
def _emptied(dsn: str, connection: psycopg.Connection[Any]) -> Iterator[_Emptied]:
    name = connection.info.dbname
    if "test" not in name:
        raise ConfigurationError(
            f"the tests would empty the database {name}",
            field="dsn",
            hint="give one whose name contains test, or a user who may create databases",
        )
    emptied = _Emptied(name, dsn, connection)
    with emptied.alone():
        _prepare(dsn)
    yield emptied


class _Emptied:
    def __init__(self, name: str, dsn: str, connection: psycopg.Connection[Any]) -> None:
        self._name = name
        self._dsn = dsn
        self._connection = connection

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep the tests of other processes out."""
        self._connection.execute(read("lock"))
        try:
            yield
        finally:
            self._connection.execute(read("unlock"))

    @contextmanager
    def fresh(self) -> Iterator[FreshDatabase]:
        with self.alone():
            self._connection.execute(read("reset"))
            database = FreshDatabase(self._name, self._dsn, Clock(self._dsn))
            try:
                yield database
            finally:
                database.clock.resume()
                database.clock.close()
