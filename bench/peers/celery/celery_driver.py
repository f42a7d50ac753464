"""Celery as a publisher that keeps its producer."""

from __future__ import annotations

from celery_tasks import app, moment, nothing
from driver import Driver, main


class CeleryDriver(Driver):
    """Through the tasks; nothing here is asynchronous."""

    loop = "asyncio"

    async def open(self, connections: int) -> None:
        """Connect."""
        self.pool = app.producer_pool.acquire(block=True)

    async def close(self) -> None:
        """Disconnect."""
        self.pool.release()

    async def publish(self) -> None:
        """Send one job."""
        nothing.apply_async(producer=self.pool)

    async def publish_bulk(self, jobs: int) -> None:
        """Send jobs one after the other; there is no other way."""
        for _ in range(jobs):
            nothing.apply_async(producer=self.pool)

    async def publish_moment(self, now: float) -> None:
        """Send one job with the time in it."""
        moment.apply_async((now,), producer=self.pool)


if __name__ == "__main__":
    main(CeleryDriver())
