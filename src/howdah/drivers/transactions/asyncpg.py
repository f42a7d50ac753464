"""A task's transaction on asyncpg."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from howdah.drivers.asyncpg import TROUBLE, AsyncpgDriver, open_connection, translated

if TYPE_CHECKING:
    from howdah.calls import Call
    from howdah.drivers.asyncpg import OpenConnection

__all__ = ["AsyncpgTransaction"]

T = TypeVar("T")
_ANSWER = 30.0  # seconds


class AsyncpgTransaction:
    """A transaction on an asyncpg connection."""

    def __init__(self, owner: OpenConnection) -> None:
        self._owner = owner
        self.connection: Any = owner.raw
        self._transaction: Any = None

    @classmethod
    async def open(cls, dsn: str) -> AsyncpgTransaction:
        """Connect. Raises a `HowdahError`."""
        return cls(await open_connection(dsn, name="howdah task"))

    async def begin(self) -> None:
        """Begin. Raises a `HowdahError`."""
        self._transaction = self.connection.transaction()
        try:
            await self._transaction.start()
        except TROUBLE as error:
            raise translated(error) from error

    async def execute(self, call: Call[T]) -> T:
        """Execute a call inside it. Raises a `HowdahError`."""
        return await AsyncpgDriver(self.connection).execute(call, timeout=_ANSWER)

    async def commit(self) -> None:
        """Commit. Raises a `HowdahError`."""
        try:
            async with asyncio.timeout(_ANSWER):
                await self._transaction.commit()
        except TROUBLE as error:
            raise translated(error) from error

    async def rollback(self) -> None:
        """Roll back what was not committed, and reset the session."""
        if self.connection.is_in_transaction():
            await self._transaction.rollback()
        await self._owner.reset()

    def drop(self) -> None:
        """End the connection without a word."""
        self._owner.terminate()
