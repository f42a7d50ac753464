"""The client of a soak: publishes as many jobs a second as the last line on stdin says, until stdin ends."""

from __future__ import annotations

import asyncio
import random
import sys
from typing import TYPE_CHECKING, Any

from proofs.soak import tasks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_EVERY = 0.02
_RANGE = 5000
_MANY = 80
FILL = "fill"


class Client:
    """Publishes in small steps; what it cannot publish in time it makes up for, up to a second."""

    def __init__(self) -> None:
        self.rate = 0.0
        self.published = 0
        self._draw = random.Random(1)

    async def run(self) -> None:
        """Publish until stdin has ended."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        told = asyncio.create_task(tasks.tell("client"))
        work = asyncio.create_task(self._publish())
        while line := (await reader.readline()).decode().strip():
            if line == FILL:
                await self._fill()
            else:
                self.rate = float(line)
            sys.stdout.write(f"{self.published}\n")
            sys.stdout.flush()
        for task in (told, work):
            task.cancel()
        await asyncio.gather(told, work, return_exceptions=True)
        await tasks.app.close()
        sys.stdout.write(f"{self.published}\n")

    async def _fill(self) -> None:
        """Publish so much that lasts a while that every slot opens its connection and its thread."""
        for _ in range(2):
            await tasks.hold.publish_many([(1.0,)] * _MANY)
            await tasks.hold_thread.publish_many([(0.5,)] * _MANY)
        await asyncio.gather(*(tasks.add.publish(1, 2) for _ in range(_MANY)))

    async def _publish(self) -> None:
        loop = asyncio.get_running_loop()
        due, last = 0.0, loop.time()
        while True:
            await asyncio.sleep(_EVERY)
            now = loop.time()
            due = min(due + self.rate * (now - last), max(self.rate, 1.0))
            last = now
            number = int(due)
            due -= number
            await self._some(number)

    async def _some(self, number: int) -> None:
        """Publish most in one batch, of a task that returns at once; the others one by one."""
        single = sum(1 for _ in range(number) if self._draw.random() < 0.2)
        if number > single:
            pairs = [(n, 1) for n in range(number - single)]
            await tasks.add.publish_many(pairs)
        await asyncio.gather(*(self._one() for _ in range(single)))
        self.published += number

    async def _one(self) -> Any:
        one: Callable[[], Awaitable[Any]] = self._draw.choice(
            (
                lambda: tasks.add.publish(1, 2),
                lambda: tasks.wait.publish(0.02),
                lambda: tasks.thread.publish("x" * 50),
                lambda: tasks.write.publish(number=self._draw.randrange(_RANGE)),
                lambda: tasks.fail.publish(),
                lambda: tasks.add.options(delay=1, priority=1).publish(3, 4),
            )
        )
        return await one()


if __name__ == "__main__":
    asyncio.run(Client().run())
