"""pgqueuer on asyncpg and uvloop."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta

import asyncpg
from driver import DSN, Driver, main, moment, run
from pgqueuer import AsyncpgDriver, AsyncpgPoolDriver, PgQueuer, Queries
from pgqueuer.errors import RetryRequested
from pgqueuer.models import Job  # noqa: TC002  pgqueuer reads the annotations


async def _work() -> None:
    connection = await asyncpg.connect(DSN)
    pgq = PgQueuer(AsyncpgDriver(connection))

    @pgq.entrypoint("nothing")
    async def nothing(job: Job) -> None:
        pass

    @pgq.entrypoint("moment")
    async def write_moment(job: Job) -> None:
        moment(float(job.payload or b""))

    @pgq.entrypoint("mixed")
    async def mixed(job: Job) -> None:
        if job.payload == b"retry" and not job.attempts:
            raise RetryRequested(delay=timedelta(seconds=1))

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, pgq.shutdown.set)
    await pgq.run(batch_size=500, dequeue_timeout=timedelta(seconds=30))


class PgqueuerDriver(Driver):
    """One connection; a pool for many callers at once."""

    async def setup(self) -> None:
        """Install the schema."""
        connection = await asyncpg.connect(DSN)
        await Queries(AsyncpgDriver(connection)).install()
        await connection.close()

    async def open(self, connections: int) -> None:
        """Connect."""
        if connections > 1:
            self.pool = await asyncpg.create_pool(DSN, min_size=10, max_size=10)
            self.queries = Queries(AsyncpgPoolDriver(self.pool))
        else:
            self.pool = await asyncpg.connect(DSN)
            self.queries = Queries(AsyncpgDriver(self.pool))

    async def close(self) -> None:
        """Disconnect."""
        await self.pool.close()

    async def publish(self) -> None:
        """Enqueue one job."""
        await self.queries.enqueue("nothing", None)

    async def publish_bulk(self, jobs: int) -> None:
        """Enqueue jobs by one statement."""
        await self.queries.enqueue(["nothing"] * jobs, [None] * jobs, [0] * jobs)

    async def publish_moment(self, now: float) -> None:
        """Enqueue one job with the time in it."""
        await self.queries.enqueue("moment", b"%.6f" % now)

    async def publish_mixed(self, retries: bool, delay: float) -> None:
        """Enqueue one job, perhaps for later."""
        later = timedelta(seconds=delay) if delay else None
        await self.queries.enqueue("mixed", b"retry" if retries else None, execute_after=later)

    def work(self) -> None:
        """Run one consumer."""
        run(_work(), "uvloop")


if __name__ == "__main__":
    main(PgqueuerDriver())
