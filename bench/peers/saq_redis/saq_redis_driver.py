"""SAQ on uvloop, on the store that the URL names."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from driver import DSN, Driver, main, run
from driver import moment as write_moment
from saq import Queue, Worker


async def nothing(ctx: dict[str, Any]) -> None:
    """Do nothing."""


async def moment(ctx: dict[str, Any], *, published: float) -> None:
    """Write down when it starts."""
    write_moment(published)


async def _work() -> None:
    queue = Queue.from_url(DSN)
    await queue.connect()
    await Worker(queue, functions=[nothing, moment], concurrency=int(os.environ["BENCH_CONCURRENCY"])).start()


class SaqDriver(Driver):
    """Through a queue."""

    in_bulk = 1_000

    async def setup(self) -> None:
        """Make the tables by connecting."""
        await self.open(1)
        await self.close()

    async def open(self, connections: int) -> None:
        """Connect."""
        self.queue = Queue.from_url(DSN)
        await self.queue.connect()

    async def close(self) -> None:
        """Disconnect."""
        await self.queue.disconnect()

    async def publish(self) -> None:
        """Enqueue one job."""
        await self.queue.enqueue("nothing")

    async def publish_bulk(self, jobs: int) -> None:
        """Enqueue jobs at once; there is no other way."""
        await asyncio.gather(*(self.queue.enqueue("nothing") for _ in range(jobs)))

    async def publish_moment(self, now: float) -> None:
        """Enqueue one job with the time in it."""
        await self.queue.enqueue("moment", published=now)

    def work(self) -> None:
        """Run one worker."""
        run(_work(), "uvloop")


if __name__ == "__main__":
    main(SaqDriver())
