"""PostgreSQL is restarted under a working worker: it does not exit, and every job ends."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from howdah import Context, Howdah, calls
from howdah.embedded.server import start_temporary
from howdah.embedded.settings import TEMPORARY
from howdah.migrate import migrate
from howdah.settings import Settings
from howdah.worker import Worker, WorkerOptions

from .conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_DURABLE = {**TEMPORARY, "synchronous_commit": "on"}


@pytest.fixture
def own_server(
    postgres_programs: Path, postgres_version: int
) -> Iterator[tuple[str, Callable[[str], object]]]:
    """Yield the DSN of a migrated database on a server of this test's own, and what restarts the server."""
    with start_temporary(postgres_programs, postgres_version, _DURABLE) as server:
        dsn = server.ensure_database("restarted")
        migrate(dsn)
        cluster: Any = server._cluster
        control = [cluster.programs / "pg_ctl", "-D", str(cluster.data), "-w", "-s"]

        def restart(mode: str) -> object:
            return cluster.account.run([*control, "restart", "-m", mode, "-l", str(cluster.log)])

        yield dsn, restart


@pytest.mark.parametrize("mode", ["immediate", "fast"])
async def test_a_worker_lives_through_restarts_and_every_job_ends(
    own_server: tuple[str, Callable[[str], object]], mode: str
) -> None:
    dsn, restart = own_server
    app = Howdah(dsn, settings=Settings())
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create table effect (number int not null)")

    @app.task(name="count", max_retries=100, backoff=[0.05])
    async def count(number: int) -> int:
        await asyncio.sleep(0.01)
        return number

    @app.task(name="write", max_retries=100, backoff=[0.05])
    async def write(ctx: Context, number: int) -> int:
        await ctx.connection.execute("insert into effect values ($1)", number)
        await asyncio.sleep(0.01)
        return number

    jobs = await count.publish_many([(number,) for number in range(300)])
    jobs += await write.publish_many([(number,) for number in range(300)])
    worker = Worker(app, WorkerOptions(lease=5, grace=5))
    working = asyncio.create_task(worker.run())
    for _ in range(3):
        done = sum(worker.totals.values())
        await eventually(partial(_has_done, worker, done + 60))
        await asyncio.to_thread(restart, mode)

    async with asyncio.timeout(60):
        results = [await _result(job) for job in jobs]
    assert not working.done()
    assert results == [*range(300), *range(300)]
    assert await app.execute(calls.fsck()) == []
    worker.stop()
    await asyncio.wait_for(working, 20)
    await app.close()
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("select number from effect order by number").fetchall()
    assert [number for (number,) in rows] == list(range(300))


def _has_done(worker: Worker, number: int) -> bool:
    return sum(worker.totals.values()) >= number


async def _result(job: Any) -> Any:
    """The test's own client may be the first to meet a connection that the restart has ended."""
    from howdah import DatabaseUnavailable

    while True:
        try:
            return await job.result(60)
        except DatabaseUnavailable:
            await asyncio.sleep(0.05)
