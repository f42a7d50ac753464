"""A task's transaction as a SQLAlchemy session: asynchronous on asyncpg, plain on psycopg for threads.

The session works in savepoints of the transaction, so that its `commit()` writes, and only the completion of
the task commits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from howdah.drivers.asyncpg import AsyncpgDriver, open_connection
from howdah.drivers.asyncpg import translated as asyncpg_translated
from howdah.drivers.psycopg_values import translated, was_ended
from howdah.drivers.transactions.psycopg import PlainPsycopgTransaction, cut, execute_plain, reset
from howdah.errors import ConfigurationError, DatabaseError, DatabaseUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from howdah.calls import Call
    from howdah.drivers.asyncpg import OpenConnection
    from howdah.errors import HowdahError

__all__ = ["PlainSessionTransaction", "SessionTransaction"]

T = TypeVar("T")
_ANSWER = 30.0  # seconds


class SessionTransaction:
    """A transaction on an `AsyncSession`."""

    def __init__(self, owner: OpenConnection) -> None:
        self._owner = owner
        self._engine: Any = _sqlalchemy_asyncio().create_async_engine(
            "postgresql+asyncpg://", async_creator=self._created, poolclass=_sqlalchemy_pool().StaticPool
        )
        self.connection: Any = None
        self._line: Any = None
        self._transaction: Any = None

    @classmethod
    async def open(cls, dsn: str) -> SessionTransaction:
        """Connect. Raises a `HowdahError`."""
        _sqlalchemy_asyncio()
        return cls(await open_connection(dsn, name="howdah task"))

    async def _created(self) -> Any:
        return self._owner.raw

    async def begin(self) -> None:
        """Begin. Raises a `HowdahError`."""
        if self._owner.closed:  # SQLAlchemy would tell the task so, at its first statement
            raise DatabaseUnavailable
        self._line = await self._engine.connect()
        self._transaction = await self._line.begin()
        self.connection = _sqlalchemy_asyncio().AsyncSession(
            bind=self._line, join_transaction_mode="create_savepoint", expire_on_commit=False
        )

    async def execute(self, call: Call[T]) -> T:
        """Write what the session still holds and execute a call. Raises a `HowdahError`."""
        try:
            await self.connection.commit()
            # SQLAlchemy sends BEGIN with its own first statement, which must come before ours.
            await self._line.exec_driver_sql(_NOTHING)
        except Exception as error:
            raise _error(error, asyncpg_translated) from error
        return await AsyncpgDriver(self._owner.raw).execute(call, timeout=_ANSWER)

    async def commit(self) -> None:
        """Commit. Raises a `HowdahError`."""
        try:
            await self._transaction.commit()
        except Exception as error:
            raise _error(error, asyncpg_translated) from error

    async def rollback(self) -> None:
        """Roll back what was not committed, and reset the session."""
        await self.connection.close()
        await self._line.close()
        await self._owner.reset()

    def drop(self) -> None:
        """End the connection without a word."""
        self._owner.terminate()


class PlainSessionTransaction:
    """A transaction on a `Session`, for a thread."""

    def __init__(self, owner: PlainPsycopgTransaction) -> None:
        self._raw = owner.connection
        self._pooled = owner.pooled
        # SQLAlchemy begins and commits by itself, on a connection that is not in autocommit mode.
        self._raw.autocommit = False
        self._engine: Any = _sqlalchemy().create_engine(
            "postgresql+psycopg://", creator=lambda: self._raw, poolclass=_sqlalchemy_pool().StaticPool
        )
        self.connection: Any = None
        self._line: Any = None
        self._transaction: Any = None

    @classmethod
    def open(cls, dsn: str) -> PlainSessionTransaction:
        """Connect. Raises a `HowdahError`."""
        _sqlalchemy()
        return cls(PlainPsycopgTransaction.open(dsn))

    def begin(self) -> None:
        """Begin. Raises a `HowdahError`."""
        from sqlalchemy.orm import Session

        if was_ended(self._raw.pgconn):
            raise DatabaseUnavailable
        self._line = self._engine.connect()
        self._transaction = self._line.begin()
        self.connection = Session(
            bind=self._line, join_transaction_mode="create_savepoint", expire_on_commit=False
        )

    def execute(self, call: Call[T]) -> T:
        """Write what the session still holds and execute a call. Raises a `HowdahError`."""
        try:
            self.connection.commit()
        except Exception as error:
            raise _error(error, translated) from error
        return execute_plain(self._raw, call)

    def commit(self) -> None:
        """Commit. Raises a `HowdahError`."""
        try:
            self._transaction.commit()
        except Exception as error:
            raise _error(error, translated) from error

    def rollback(self) -> None:
        """Roll back what was not committed, and reset the session."""
        self.connection.close()
        self._line.close()
        reset(self._raw, pooled=self._pooled)

    def hang_up(self) -> None:
        """Cut the line, from any thread."""
        cut(self._raw)

    def drop(self) -> None:
        """End the connection without a word."""
        self._raw.close()


_NOTHING = "select 1"


def _error(error: Exception, translate: Callable[[Any], HowdahError]) -> HowdahError:
    """Return our error for SQLAlchemy's, which carries the driver's."""
    driver = getattr(error, "orig", None)
    own = getattr(driver, "__cause__", None) or driver
    if own is None:
        return DatabaseError(f"{type(error).__name__}: {error}".splitlines()[0])
    return translate(own)


def _sqlalchemy() -> Any:
    try:
        import sqlalchemy
    except ImportError:
        raise ConfigurationError("ctx.session() needs SQLAlchemy", hint="pip install sqlalchemy") from None
    return sqlalchemy


def _sqlalchemy_pool() -> Any:
    return _sqlalchemy().pool


def _sqlalchemy_asyncio() -> Any:
    _sqlalchemy()
    import sqlalchemy.ext.asyncio

    return sqlalchemy.ext.asyncio
