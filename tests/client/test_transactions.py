"""Publishing inside the caller's own transaction, through every kind of connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from howdah import ConfigurationError, Howdah, InvalidInput, calls, drivers
from howdah.drivers.conninfo import asyncpg_arguments
from howdah.json import Document
from howdah.settings import Settings
from tests.client.transactions import KINDS, Given

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from howdah import Job, Task
    from tests.fixtures.database import Database


@pytest.fixture
async def home(live_database: Database) -> AsyncIterator[Howdah]:
    app = Howdah(live_database.dsn, settings=Settings())
    yield app
    await app.close()


@pytest.fixture
def add(home: Howdah) -> Task[..., int]:
    return home.task(name="add")(lambda a, b=0: a + b)


@pytest.fixture(params=KINDS)
async def given(request: pytest.FixtureRequest, live_database: Database) -> AsyncIterator[Given]:
    async with KINDS[request.param](live_database.dsn) as opened:
        yield opened


async def publish(task: Any, given: Given, *args: Any, **options: Any) -> list[Job[Any]]:
    """Publish by each of the ways that take a connection."""
    connection, app = given.connection, task.app
    if given.is_async:
        return [
            await task.publish(*args, connection=connection),
            await task.options(connection=connection, **options).publish(*args),
            *await task.publish_many([args, args], connection=connection),
            await app.publish(task, *args, connection=connection),
        ]
    return [
        task.publish_sync(*args, connection=connection),
        task.options(connection=connection, **options).publish_sync(*args),
        *task.publish_many_sync([args, args], connection=connection),
        app.publish_sync(task, *args, connection=connection),
    ]


async def execute(given: Given, call: calls.Call[Any]) -> Any:
    if given.is_async:
        return await drivers.join(given.connection).execute(call)
    return drivers.join_sync(given.connection).execute_sync(call)


async def test_rolled_back_is_no_job_and_committed_is_one(
    home: Howdah, add: Task[..., int], given: Given
) -> None:
    await given.do("begin")
    lost = await publish(add, given, 1)
    await given.do("rollback")
    await given.do("begin")
    kept = await publish(add, given, 2)
    unseen = [await job.status() for job in kept]
    await given.do("commit")

    assert len(lost) == len(kept) == 5
    assert [await job.status() for job in lost] == [None] * 5
    assert unseen == [None] * 5
    assert [row.body for row in await home.execute(calls.list_jobs())] == [{"args": [2]}] * 5


async def test_every_type_of_argument_and_row_goes_through(add: Task[..., int], given: Given) -> None:
    await given.do("begin")
    await publish(
        add,
        given,
        "äöü 🐘 \\ \" ' {}",
        delay=0.1,
        timeout=1.5,
        backoff=[0.25, 60],
        headers={"a": [1]},
        meta="text",
        key="key 'of' \"mine\"",
        priority=-7,
    )
    row = await execute(given, calls.get("key 'of' \"mine\""))
    claimed = await execute(given, calls.consume(2, queues=["default", 'a "b" \\ c,{}']))
    stats = await execute(given, calls.stats())
    nothing = await execute(given, calls.get("nobody"))
    changed = await execute(given, calls.ack(claimed[0].job_id, Document('"text"')))
    finished = await execute(given, calls.get(claimed[0].job_id))
    await given.do("rollback")

    assert row.body == {"args": ["äöü 🐘 \\ \" ' {}"]}
    assert (row.timeout, row.priority, row.headers, row.meta) == (1.5, -7, {"a": [1]}, "text")
    assert row.scheduled_at.tzinfo is not None
    assert row.created_at.tzinfo is not None
    assert [job.task for job in claimed] == ["add", "add"]
    assert all(isinstance(one.value, float | int) for one in stats)
    assert nothing is None
    assert changed.state == "succeeded"
    assert finished.result == "text"


async def test_what_the_database_refuses_arrives_as_our_error(add: Task[..., int], given: Given) -> None:
    await given.do("begin")
    with pytest.raises(InvalidInput) as caught:
        await execute(given, calls.publish("add", timeout=-1.0))
    await given.do("rollback")
    again = await execute(given, calls.version())

    assert caught.value.field == "timeout"
    assert again


async def test_the_wrong_face_is_named(add: Task[..., int], given: Given) -> None:
    if given.is_async:
        with pytest.raises(ConfigurationError, match=r"publish_sync was given an async .*await publish\("):
            add.publish_sync(1, connection=given.connection)
        with pytest.raises(ConfigurationError, match=r"await publish_many\("):
            add.publish_many_sync([(1,)], connection=given.connection)
    else:
        with pytest.raises(ConfigurationError, match=r"publish was given a sync .*use: publish_sync\("):
            await add.publish(1, connection=given.connection)
        with pytest.raises(ConfigurationError, match=r"use: consume_sync\("):
            await home_of(add).consume(1, connection=given.connection)


def home_of(task: Task[..., Any]) -> Howdah:
    assert task.app is not None
    return task.app


async def test_consume_and_ack_share_the_callers_transaction(home: Howdah, live_database: Database) -> None:
    published = await home.publish("t")
    with psycopg.connect(live_database.dsn) as connection:
        (job,) = home.consume_sync(connection=connection)
        job.ack_sync("lost", connection=connection)
        connection.rollback()
        before = await published.status()
        (job,) = home.consume_sync(connection=connection)
        job.ack_sync("kept", connection=connection)

    assert before == "ready"
    assert await published.result(5) == "kept"


async def test_a_connection_that_cannot_be_used_is_refused(home: Howdah, live_database: Database) -> None:
    async with asyncpg.create_pool(**asyncpg_arguments(live_database.dsn), min_size=0) as pool:
        for connection in (object(), "postgresql://here", pool, psycopg.Cursor, create_engine("sqlite://")):
            with pytest.raises(ConfigurationError, match="connection= takes"):
                await home.publish("t", connection=connection)


async def test_the_sync_side_of_an_async_session_works(home: Howdah, live_database: Database) -> None:
    for driver in ("asyncpg", "psycopg"):
        engine = create_async_engine(
            live_database.dsn.replace("postgresql:", f"postgresql+{driver}:"), poolclass=NullPool
        )
        async with AsyncSession(engine) as session:
            lost = await session.run_sync(lambda inner: home.publish_sync("t", connection=inner))
            await session.rollback()
            kept = await session.run_sync(lambda inner: home.publish_sync("t", connection=inner))
            await session.commit()
        await engine.dispose()

        assert await lost.status() is None
        assert await kept.status() == "ready"


async def test_a_savepoint_of_a_session_takes_its_jobs_along(home: Howdah, live_database: Database) -> None:
    engine = create_async_engine(
        live_database.dsn.replace("postgresql:", "postgresql+asyncpg:"), poolclass=NullPool
    )
    async with AsyncSession(engine) as session, session.begin():
        kept = await home.publish("t", connection=session)
        inner = await session.begin_nested()
        lost = await home.publish("t", connection=session)
        await inner.rollback()
    await engine.dispose()

    assert await lost.status() is None
    assert await kept.status() == "ready"


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_a_connection_that_commits_by_itself_publishes_at_once(
    home: Howdah, live_database: Database, driver: str
) -> None:
    engine = create_async_engine(
        live_database.dsn.replace("postgresql:", f"postgresql+{driver}:"),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
    )
    async with engine.connect() as connection:
        job = await home.publish("t", connection=connection)
        state = await job.status()
    await engine.dispose()

    assert state == "ready"


async def test_loaders_of_the_callers_do_not_matter(home: Howdah, live_database: Database) -> None:
    class Loud(psycopg.adapt.Loader):
        def load(self, data: Any) -> Any:
            raise AssertionError(bytes(data))

    with psycopg.connect(live_database.dsn) as connection:
        for kind in ("jsonb", "json", "text"):
            connection.adapters.register_loader(kind, Loud)
        job = home.publish_sync("t", {"a": 1}, connection=connection)
        row = drivers.join_sync(connection).execute_sync(calls.get(job.job_id))

    assert row is not None
    assert row.body == {"args": [{"a": 1}]}
