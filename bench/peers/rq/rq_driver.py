"""RQ, whose worker runs the jobs itself instead of forking for each."""

from __future__ import annotations

from driver import DSN, Driver, main
from redis import Redis
from rq import Queue, SimpleWorker
from rq_tasks import moment, nothing


class RqDriver(Driver):
    """Through a queue; nothing here is asynchronous."""

    loop = "asyncio"
    in_bulk = 1_000

    async def open(self, connections: int) -> None:
        """Connect."""
        self.queue = Queue(connection=Redis.from_url(DSN))

    async def publish(self) -> None:
        """Enqueue one job."""
        self.queue.enqueue(nothing)

    async def publish_bulk(self, jobs: int) -> None:
        """Enqueue jobs by one pipeline."""
        self.queue.enqueue_many([Queue.prepare_data(nothing) for _ in range(jobs)])

    async def publish_moment(self, now: float) -> None:
        """Enqueue one job with the time in it."""
        self.queue.enqueue(moment, now)

    def work(self) -> None:
        """Run one worker."""
        connection = Redis.from_url(DSN)
        SimpleWorker([Queue(connection=connection)], connection=connection).work(logging_level="WARNING")


if __name__ == "__main__":
    main(RqDriver())
