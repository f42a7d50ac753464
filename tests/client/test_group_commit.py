"""Publishes at the same time in one process share statements, and nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psycopg
import pytest

from howdah import DatabaseUnavailable, Howdah, InvalidInput, calls
from howdah.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from howdah.models import JobRow
    from tests.fixtures.database import Database

COUNT = 300


@pytest.fixture(params=["asyncpg", "psycopg"])
async def app(request: pytest.FixtureRequest, live_database: Database) -> AsyncIterator[Howdah]:
    app = Howdah(live_database.dsn, settings=Settings(), driver=request.param)
    yield app
    await app.close()


async def listed(app: Howdah) -> list[JobRow]:
    return await app.execute(calls.list_jobs(limit=1000))


async def test_each_gets_its_own_job_and_few_statements_make_them(app: Howdah) -> None:
    add = app.task(name="add")(lambda a, b: a + b)

    jobs = await asyncio.gather(*(add.options(priority=n % 3).publish(n, b=1) for n in range(COUNT)))

    rows = sorted(await listed(app), key=lambda row: [job.id for job in jobs].index(row.id))
    assert [row.body for row in rows] == [{"args": [n], "kwargs": {"b": 1}} for n in range(COUNT)]
    assert [row.priority for row in rows] == [n % 3 for n in range(COUNT)]
    assert all(job.created for job in jobs)
    # one moment for each transaction
    assert len({row.created_at for row in rows}) < COUNT / 10


async def test_one_that_is_refused_takes_nobody_along(app: Howdah) -> None:
    publishes = [app.publish("a.b", args=[n], timeout=-1 if n == 150 else 60) for n in range(COUNT)]

    answers = await asyncio.gather(*publishes, return_exceptions=True)

    (refused,) = [answer for answer in answers if isinstance(answer, BaseException)]
    assert isinstance(refused, InvalidInput)
    assert refused.field == "timeout"
    assert len(await listed(app)) == COUNT - 1


async def test_a_key_published_many_times_at_once_makes_one_job(app: Howdah) -> None:
    jobs = await asyncio.gather(*(app.publish("a.b", key="once") for _ in range(COUNT)))

    assert sum(job.created for job in jobs) == 1
    assert {job.job_id for job in jobs} == {"once"}
    assert len(await listed(app)) == 1


async def test_one_that_was_cancelled_while_it_waited_is_not_published(app: Howdah) -> None:
    await app.publish("warm.up")
    publishes = [asyncio.create_task(app.publish("a.b", args=[n])) for n in range(COUNT)]
    await asyncio.sleep(0)
    publishes[200].cancel()

    answers = await asyncio.gather(*publishes, return_exceptions=True)

    assert isinstance(answers[200], asyncio.CancelledError)
    bodies = [row.body for row in await listed(app) if row.task == "a.b"]
    assert len(bodies) == COUNT - 1
    assert {"args": [200]} not in bodies


async def test_all_hear_of_a_database_that_went_away(app: Howdah, live_database: Database) -> None:
    await app.publish("warm.up")
    with psycopg.connect(live_database.dsn, autocommit=True) as other:
        other.execute("begin; lock table howdah.job in access exclusive mode")
        publishes = [asyncio.create_task(app.publish("a.b", args=[n])) for n in range(COUNT)]
        watch = "select count(*) from pg_locks l where not l.granted and l.relation = 'howdah.job'::regclass"
        while other.execute(watch).fetchone() != (2,):  # noqa: ASYNC110 (another process's locks have no event)
            await asyncio.sleep(0.01)
        other.execute(
            "select pg_terminate_backend(l.pid, 10000) from pg_locks l where not l.granted"
            " and l.relation = 'howdah.job'::regclass"
        )
        other.execute("commit")

    answers = await asyncio.gather(*publishes, return_exceptions=True)

    failed = [answer for answer in answers if isinstance(answer, BaseException)]
    assert {type(error) for error in failed} == {DatabaseUnavailable}
    assert 1 <= len(await listed(app)) - 1 == COUNT - len(failed)
