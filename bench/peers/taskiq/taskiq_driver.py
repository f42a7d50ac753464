"""taskiq on a stream of Redis."""

from __future__ import annotations

import asyncio

from driver import Driver, main
from taskiq_tasks import broker, moment, nothing


class TaskiqDriver(Driver):
    """Through the tasks."""

    in_bulk = 1_000

    async def open(self, connections: int) -> None:
        """Connect."""
        await broker.startup()

    async def close(self) -> None:
        """Disconnect."""
        await broker.shutdown()

    async def publish(self) -> None:
        """Kick one job."""
        await nothing.kiq()

    async def publish_bulk(self, jobs: int) -> None:
        """Kick jobs at once; there is no other way."""
        await asyncio.gather(*(nothing.kiq() for _ in range(jobs)))

    async def publish_moment(self, now: float) -> None:
        """Kick one job with the time in it."""
        await moment.kiq(now)


if __name__ == "__main__":
    main(TaskiqDriver())
