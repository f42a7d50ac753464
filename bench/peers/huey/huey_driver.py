"""Huey on Redis."""

from __future__ import annotations

from driver import Driver, main
from huey_tasks import moment, nothing


class HueyDriver(Driver):
    """Through the tasks; nothing here is asynchronous."""

    loop = "asyncio"

    async def publish(self) -> None:
        """Enqueue one job."""
        nothing()

    async def publish_bulk(self, jobs: int) -> None:
        """Enqueue jobs one after the other; there is no other way."""
        for _ in range(jobs):
            nothing()

    async def publish_moment(self, now: float) -> None:
        """Enqueue one job with the time in it."""
        moment(now)


if __name__ == "__main__":
    main(HueyDriver())
