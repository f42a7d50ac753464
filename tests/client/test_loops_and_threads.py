"""An app works in whatever event loop, thread or process uses it."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

import psycopg

from howdah import Howdah
from howdah.settings import Settings

if TYPE_CHECKING:
    from tests.fixtures.database import Database


def app_on(database: Database) -> Howdah:
    return Howdah(database.dsn, settings=Settings())


def sessions(database: Database) -> int:
    with psycopg.connect(database.dsn) as connection:
        row = connection.execute(
            b"select count(*) from pg_stat_activity where datname = current_database()"
            b" and application_name like 'howdah%'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_second_asyncio_run_works_and_the_first_leaves_no_session(live_database: Database) -> None:
    app = app_on(live_database)

    async def publish() -> int | None:
        return (await app.publish("t")).id

    first, second = asyncio.run(publish()), asyncio.run(publish())

    assert first is not None
    assert second is not None
    assert second > first
    assert sessions(live_database) == 0


def test_sync_methods_work_from_any_thread(live_database: Database) -> None:
    app = app_on(live_database)
    task = app.task(name="t")(lambda a: a)
    found: list[Any] = []

    def use() -> None:
        job = task.publish_sync(1)
        found.append(job.status_sync())
        found.append(job.cancel_sync().state)
        found.append(job.retry_sync().state)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == ["cancelled"] * 4 + ["ready"] * 8
    assert len(task.publish_many_sync([(1,), (2,)])) == 2
    assert app.publish_sync("t", 1).created
    app.close_sync()
    assert sessions(live_database) == 0


def test_a_forked_child_opens_connections_of_its_own(live_database: Database) -> None:
    app = app_on(live_database)
    before = app.publish_sync("t").id

    child = os.fork()
    if child == 0:
        code = 1
        try:
            app.publish_sync("in.child")

            async def again() -> None:
                await app.publish("in.child")

            asyncio.run(again())
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)

    after = app.publish_sync("t").id
    app.close_sync()
    assert os.waitstatus_to_exitcode(status) == 0
    assert before is not None
    assert after == before + 3


async def test_a_closed_app_opens_again(live_database: Database) -> None:
    app = app_on(live_database)

    async with app:
        await app.publish("t")
    first = sessions(live_database)
    job = await app.publish("t")
    await app.close()

    assert first == 0
    assert job.created
