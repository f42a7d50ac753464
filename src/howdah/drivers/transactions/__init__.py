"""Transactions that a task writes in and that its completion commits, on connections kept for the next task.

* ``asyncpg``: the usual one of an `async def` task
* ``psycopg``: psycopg's asynchronous connection, and its plain one for tasks in threads
* ``sqlalchemy``: a session, asynchronous or plain
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from howdah.calls import Call

__all__ = ["ASYNC_FORMS", "THREAD_FORMS", "Connections", "ThreadTransaction", "Transaction"]

T = TypeVar("T")

ASYNC_FORMS = ("asyncpg", "psycopg", "session")
THREAD_FORMS = ("thread", "thread session")
# Seconds that a rollback, or the reset before the next use, may take.
_PATIENCE = 3.0


class Transaction(Protocol):
    """An open transaction for use in the event loop; `connection` is what the task gets."""

    connection: Any

    async def begin(self) -> None:
        """Begin. Raises a `HowdahError`."""
        ...

    async def execute(self, call: Call[T]) -> T:
        """Execute a call inside it. Raises a `HowdahError`."""
        ...

    async def commit(self) -> None:
        """Commit. Raises a `HowdahError`; see `may_be_committed`."""
        ...

    async def rollback(self) -> None:
        """Roll back and forget what the session was told: ready to begin again. Raises anything."""
        ...

    def drop(self) -> None:
        """End the connection without a word."""
        ...


class ThreadTransaction(Protocol):
    """The same for a task in a thread: every method blocks."""

    connection: Any

    def begin(self) -> None:
        """Begin. Raises a `HowdahError`."""
        ...

    def execute(self, call: Call[T]) -> T:
        """Execute a call inside it. Raises a `HowdahError`."""
        ...

    def commit(self) -> None:
        """Commit. Raises a `HowdahError`; see `may_be_committed`."""
        ...

    def rollback(self) -> None:
        """Roll back and forget what the session was told: ready to begin again. Raises anything."""
        ...

    def hang_up(self) -> None:
        """Cut the line, from any thread: the server rolls back at once, whatever the task still does."""
        ...

    def drop(self) -> None:
        """End the connection without a word."""
        ...


class Connections:
    """Opens transactions, on at most `size` connections that are kept open between them."""

    def __init__(self, dsn: str, size: int) -> None:
        self._dsn = dsn
        self._size = size
        self._idle: dict[str, list[Any]] = {}
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def begin(self, form: str) -> Transaction:
        """Return an open transaction of one of `ASYNC_FORMS`. Raises a `HowdahError`."""
        self._loop = asyncio.get_running_loop()
        while True:
            kept = self._taken(form)
            found: Transaction = kept or await _opened(form, self._dsn)
            try:
                await found.begin()
            except BaseException as error:
                found.drop()
                if kept is None or not isinstance(error, Exception):
                    raise
            else:
                return found

    def begin_in_thread(self, form: str) -> ThreadTransaction:
        """Return an open transaction of one of `THREAD_FORMS`. Raises a `HowdahError`."""
        while True:
            kept = self._taken(form)
            found: ThreadTransaction = kept or _opened_in_thread(form, self._dsn)
            try:
                found.begin()
            except BaseException as error:
                found.drop()
                if kept is None or not isinstance(error, Exception):
                    raise
            else:
                return found

    async def give_back(self, form: str, transaction: Transaction) -> None:
        """Take back a transaction that has ended, or roll back one that has not."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await transaction.rollback()
        except Exception:
            transaction.drop()
        except BaseException:
            transaction.drop()
            raise
        else:
            self._keep(form, transaction)

    def give_back_in_thread(self, form: str, transaction: ThreadTransaction) -> None:
        """Take back a transaction that has ended, or roll back one that has not; blocks."""
        try:
            transaction.rollback()
        except Exception:
            transaction.drop()
        else:
            self._keep(form, transaction)

    def close(self) -> None:
        """Drop the connections that nobody uses, and from now on each one that is given back."""
        with self._lock:
            self._closed = True
            idle = [transaction for kept in self._idle.values() for transaction in kept]
            self._idle.clear()
        for transaction in idle:
            transaction.drop()

    def _taken(self, form: str) -> Any:
        with self._lock:
            kept = self._idle.get(form)
            if kept:
                return kept.pop()
            # The new one takes the place of one of another form.
            other = next((form for form, idle in self._idle.items() if idle), None)
            displaced: Any = self._idle[other].pop() if other else None
        if other in THREAD_FORMS:
            displaced.drop()
        elif displaced is not None and self._loop is not None:
            # By its own loop: uvloop crashes when another thread closes what it is reading from.
            self._loop.call_soon_threadsafe(displaced.drop)
        return None

    def _keep(self, form: str, transaction: Any) -> None:
        with self._lock:
            full = sum(map(len, self._idle.values())) >= self._size
            if not full and not self._closed:
                self._idle.setdefault(form, []).append(transaction)
                return
        transaction.drop()


async def _opened(form: str, dsn: str) -> Transaction:
    if form == "asyncpg":
        from howdah.drivers.transactions.asyncpg import AsyncpgTransaction

        return await AsyncpgTransaction.open(dsn)
    if form == "psycopg":
        from howdah.drivers.transactions.psycopg import PsycopgTransaction

        return await PsycopgTransaction.open(dsn)
    from howdah.drivers.transactions.sqlalchemy import SessionTransaction

    return await SessionTransaction.open(dsn)


def _opened_in_thread(form: str, dsn: str) -> ThreadTransaction:
    if form == "thread":
        from howdah.drivers.transactions.psycopg import PlainPsycopgTransaction

        return PlainPsycopgTransaction.open(dsn)
    from howdah.drivers.transactions.sqlalchemy import PlainSessionTransaction

    return PlainSessionTransaction.open(dsn)
