"""Group commit: publishes that would wait for each other's commits become one statement."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from howdah import calls
from howdah.errors import DatabaseUnavailable, HowdahError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from typing import Protocol, TypeVar

    from howdah.calls import Call
    from howdah.models import PublishedJob

    T = TypeVar("T")

    class Execute(Protocol):
        """Executes a call on a connection of its choice."""

        def __call__(self, call: Call[T]) -> Awaitable[T]:
            """Execute a call. Raises a `HowdahError`."""
            ...


__all__ = ["Merging"]

# One statement that PostgreSQL works on and one on its way; more would only make them smaller.
_AT_ONCE = 2
# Jobs in one statement: its bodies may have 1 MiB each.
_TOGETHER = 200


class _Waiting(NamedTuple):
    call: Call[PublishedJob]
    answer: asyncio.Future[PublishedJob]


class Merging:
    """Executes publishes; those that find two statements under way wait and go together, in their order.

    A publish that finds none waits for nobody. What one of several does wrong is its own error only.
    """

    def __init__(self, execute: Execute) -> None:
        self._execute = execute
        self._under_way = 0
        self._waiting: list[_Waiting] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def publish(self, call: Call[PublishedJob]) -> PublishedJob:
        """Publish one job; it is committed when this returns. Raises a `HowdahError`."""
        if self._under_way < _AT_ONCE:
            self._under_way += 1
            try:
                return await self._execute(call)
            finally:
                self._ended()
        waiting = _Waiting(call, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        return await waiting.answer

    def _ended(self) -> None:
        self._under_way -= 1
        # A caller that was cancelled while it waited has published nothing.
        together = [waiting for waiting in self._waiting[:_TOGETHER] if not waiting.answer.done()]
        del self._waiting[:_TOGETHER]
        if together:
            self._under_way += 1
            task = asyncio.get_running_loop().create_task(self._send(together))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, together: Sequence[_Waiting]) -> None:
        try:
            answers = await self._execute(calls.merged([waiting.call for waiting in together]))
        except DatabaseUnavailable as error:
            _fail(together, error)
        except HowdahError:
            await self._one_by_one(together)
        except Exception as error:
            _fail(together, error)
        else:
            for waiting, answer in zip(together, answers, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(answer)
        finally:
            for waiting in together:  # this task was cancelled, with the event loop
                waiting.answer.cancel()
            self._ended()

    async def _one_by_one(self, together: Sequence[_Waiting]) -> None:
        # The statement was refused as a whole, so that none of them is published yet.
        for waiting in together:
            try:
                answer = await self._execute(waiting.call)
            except Exception as error:
                _fail([waiting], error)
            else:
                if not waiting.answer.done():
                    waiting.answer.set_result(answer)


def _fail(together: Sequence[_Waiting], error: Exception) -> None:
    for waiting in together:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)
