"""oban-py on psycopg 3, orjson and uvloop, as its own command runs it."""

from __future__ import annotations

import asyncio
import signal

import orjson
from driver import DSN, Driver, main, moment, run
from oban import Oban, worker
from oban.schema import install
from psycopg.types.json import set_json_dumps, set_json_loads

set_json_dumps(orjson.dumps)
set_json_loads(orjson.loads)


@worker(queue="default")
class Nothing:
    """Do nothing."""

    async def process(self, job: object) -> None:
        """Do nothing."""


@worker(queue="default")
class Moment:
    """Write down when it starts."""

    async def process(self, job: object) -> None:
        """Write down when it starts."""
        moment(job.args["published"])


async def _work() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    pool = await Oban.create_pool(DSN, min_size=1, max_size=10)
    async with Oban(pool=pool, queues={"default": 200}):
        await stop.wait()
    await pool.close()


class ObanDriver(Driver):
    """Through an instance that runs no queue."""

    in_bulk = 1_000

    async def setup(self) -> None:
        """Install the schema."""
        pool = await Oban.create_pool(DSN)
        await install(pool)
        await pool.close()

    async def open(self, connections: int) -> None:
        """Connect."""
        self.pool = await Oban.create_pool(DSN, min_size=1, max_size=10)
        self.oban = Oban(pool=self.pool)

    async def close(self) -> None:
        """Disconnect."""
        await self.pool.close()

    async def publish(self) -> None:
        """Enqueue one job."""
        await self.oban.enqueue(Nothing.new())

    async def publish_bulk(self, jobs: int) -> None:
        """Enqueue jobs in one transaction."""
        await self.oban.enqueue_many([Nothing.new() for _ in range(jobs)])

    async def publish_moment(self, now: float) -> None:
        """Enqueue one job with the time in it."""
        await self.oban.enqueue(Moment.new({"published": now}))

    def work(self) -> None:
        """Run one queue."""
        run(_work(), "uvloop")


if __name__ == "__main__":
    main(ObanDriver())
