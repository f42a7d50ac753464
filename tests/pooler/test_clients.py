"""Clients through a transaction pooler with two server connections, set up as it comes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import psycopg
import pytest

from howdah import Howdah
from howdah.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from howdah.connect import DriverName
    from tests.fixtures.database import Database

DRIVERS: list[DriverName] = ["asyncpg", "psycopg"]


@pytest.mark.parametrize("driver", DRIVERS)
async def test_many_at_once_publish_and_look(pooled: str, driver: DriverName) -> None:
    async with Howdah(pooled, driver=driver, settings=Settings()) as app:
        jobs = await asyncio.gather(*(app.publish("report.build", number) for number in range(40)))
        assert len({job.job_id for job in jobs}) == 40
        assert set(await asyncio.gather(*(job.status() for job in jobs))) == {"ready"}


def test_the_sync_methods_publish_and_look(pooled: str) -> None:
    with Howdah(pooled, settings=Settings()) as app:
        jobs = [app.publish_sync("report.build", number) for number in range(20)]
        assert {job.status_sync() for job in jobs} == {"ready"}


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_consumer_of_ones_own_runs_jobs(pooled: str, driver: DriverName) -> None:
    async with Howdah(pooled, driver=driver, settings=Settings()) as app:

        @app.task
        def double(number: int) -> int:
            return 2 * number

        jobs = [await double.publish(number) for number in range(5)]
        for job in await app.consume(10):
            await app.run(job)
        assert [await job.result(timeout=30) for job in jobs] == [0, 2, 4, 6, 8]


async def test_a_transaction_of_asyncpg_publishes_what_it_commits(app: Howdah, pooled: str) -> None:
    connection = await asyncpg.connect(pooled, statement_cache_size=0)
    async with connection.transaction():
        kept = await app.publish("report.build", connection=connection)
    transaction = connection.transaction()
    await transaction.start()
    dropped = await app.publish("report.build", connection=connection)
    await transaction.rollback()
    await connection.close()
    assert [await kept.status(), await dropped.status()] == ["ready", None]


def test_a_transaction_of_psycopg_publishes_what_it_commits(pooled: str) -> None:
    with Howdah(pooled, settings=Settings()) as app:
        with psycopg.connect(pooled, prepare_threshold=None) as connection:
            kept = app.publish_sync("report.build", connection=connection)
            connection.commit()
            dropped = app.publish_sync("report.build", connection=connection)
            connection.rollback()
        assert [kept.status_sync(), dropped.status_sync()] == ["ready", None]


def test_plain_sql_consumes(pooled: str) -> None:
    with psycopg.connect(pooled, autocommit=True, prepare_threshold=None) as connection:
        connection.execute("select jobs.publish('report.build')")
        for (job_id,) in connection.execute("select job_id from jobs.consume(10)").fetchall():
            connection.execute("select jobs.ack(%s)", [job_id])
        assert connection.execute("select status from jobs.job").fetchall() == [("success",)]


async def test_a_pooler_that_drops_options_itself_is_known_as_one(
    live_database: Database, pooled: str, sessions_of_the_pool: Callable[[], list[dict[str, Any]]]
) -> None:
    direct = Howdah(live_database.dsn, settings=Settings())
    behind = Howdah(pooled, settings=Settings())
    async with direct, behind:
        jobs = [await app.publish("report.build") for app in (direct, behind) for _ in range(10)]
        assert len({job.job_id for job in jobs}) == 20
    assert [session["prepared"] for session in sessions_of_the_pool()] == [0, 0]
