"""Transactions that a task writes in and that its completion commits, on connections kept for the next task.

* ``asyncpg``: the usual one of an `async def` task
* ``psycopg``: psycopg's asynchronous connection, and its plain one for tasks in threads
* ``sqlalchemy``: a session, asynchronous or plain
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from howdah.drivers.pooler import is_pooled
from howdah.drivers.transactions.turns import Turn, Turns

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
    """Opens transactions, on at most `size` connections that are kept open between them.

    Behind a connection pooler at most `turns` are open at a time, see `Turns`.
    """

    def __init__(self, dsn: str, size: int, turns: int = 1) -> None:
        self._dsn = dsn
        self._size = size
        self._turns = Turns(dsn, turns)
        # By transaction, from before its BEGIN until it has ended.
        self._taken_turns: dict[int, Turn] = {}
        self._idle: dict[str, list[Any]] = {}
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def begin(self, form: str) -> Transaction:
        """Return an open transaction of one of `ASYNC_FORMS`. Raises a `HowdahError`."""
        self._loop = asyncio.get_running_loop()
        while True:
            # The turn first: who waits for one needs no connection.
            turn = await self._turns.take() if is_pooled(self._dsn) else None
            kept = found = self._taken(form)
            try:
                found = found or await _opened(form, self._dsn)
                if turn is None and is_pooled(self._dsn):  # found out by connecting
                    turn = await self._turns.take()
                await found.begin()
            except BaseException as error:
                _let_go(found, turn)
                if kept is None or not isinstance(error, Exception):
                    raise
            else:
                return self._begun(found, turn)

    def begin_in_thread(self, form: str) -> ThreadTransaction:
        """Return an open transaction of one of `THREAD_FORMS`. Raises a `HowdahError`."""
        while True:
            turn = self._turns.take_in_thread() if is_pooled(self._dsn) else None
            kept = found = self._taken(form)
            try:
                found = found or _opened_in_thread(form, self._dsn)
                if turn is None and is_pooled(self._dsn):
                    turn = self._turns.take_in_thread()
                found.begin()
            except BaseException as error:
                _let_go(found, turn)
                if kept is None or not isinstance(error, Exception):
                    raise
            else:
                return self._begun(found, turn)

    def _begun(self, found: T, turn: Turn | None) -> T:
        if turn is not None:
            self._taken_turns[id(found)] = turn
        return found

    async def give_back(self, form: str, transaction: Transaction) -> None:
        """Take back a transaction that has ended, or roll back one that has not."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await transaction.rollback()
        except BaseException as error:
            transaction.drop()
            self.end_turn(transaction)
            if not isinstance(error, Exception):
                raise
        else:
            self.end_turn(transaction)  # before somebody else can take the connection, and a turn with it
            self._keep(form, transaction)

    def give_back_in_thread(self, form: str, transaction: ThreadTransaction) -> None:
        """Take back a transaction that has ended, or roll back one that has not; blocks."""
        try:
            transaction.rollback()
        except Exception:
            transaction.drop()
            self.end_turn(transaction)
        else:
            self.end_turn(transaction)
            self._keep(form, transaction)

    def end_turn(self, transaction: Transaction | ThreadTransaction) -> None:
        """Take notice that a transaction has ended, or that its line is cut."""
        turn = self._taken_turns.pop(id(transaction), None)
        if turn is not None:
            turn.end()

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


def _let_go(found: Transaction | ThreadTransaction | None, turn: Turn | None) -> None:
    if found is not None:
        found.drop()
    if turn is not None:
        turn.end()


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
