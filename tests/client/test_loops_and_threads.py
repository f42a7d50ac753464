"""An app works in whatever event loop, thread or process uses it."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from howdah import ConfigurationError, DatabaseUnavailable, Howdah, InsideEventLoop, calls
from howdah.drivers.pool_sync import SyncPool
from howdah.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.database import Database


PROGRAMS = {
    "plain": "app.publish_sync('t')",
    "in a loop": "asyncio.run(publish())",
    "in a forked child": """
app.publish_sync('t')
if os.fork() == 0:
    app.publish_sync('t')
else:
    os.wait()
    app.publish_sync('t')
""",
    "after an unused fork": """
app.publish_sync('t')
if os.fork() != 0:
    assert os.wait()[1] == 0
    app.publish_sync('t')
""",
}
both_drivers = pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])


def app_on(database: Database, driver: Any = "asyncpg") -> Howdah:
    return Howdah(database.dsn, settings=Settings(), driver=driver)


def sessions(database: Database) -> int:
    with psycopg.connect(database.dsn) as connection:
        row = connection.execute(
            b"select count(*) from pg_stat_activity where datname = current_database()"
            b" and application_name like 'howdah%'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def left_sessions(database: Database) -> int:
    """Count the app's sessions that stay: a backend takes a moment to leave after its client's goodbye."""
    until = time.monotonic() + 10
    while (left := sessions(database)) and time.monotonic() < until:
        pass
    return left


def end_sessions(database: Database) -> None:
    """End the app's sessions, and return when their backends are gone."""
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(
            b"select pg_terminate_backend(pid, 10000) from pg_stat_activity"
            b" where datname = current_database() and application_name like 'howdah%'"
        )


def interrupt_when_blocked(database: Database) -> None:
    """Press Ctrl-C as soon as one of the app's sessions waits for a lock."""
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        waits = b"select wait_event_type = 'Lock' from pg_stat_activity where application_name = 'howdah'"
        while (row := connection.execute(waits).fetchone()) != (True,):
            assert row is not None
    os.kill(os.getpid(), signal.SIGINT)


def in_threads(use: Callable[[], Any], count: int) -> None:
    """Run a function in several threads at once; raise what one of them raised."""
    with ThreadPoolExecutor(count) as threads:
        for future in [threads.submit(use) for _ in range(count)]:
            future.result()


@both_drivers
def test_a_second_asyncio_run_works_and_the_first_leaves_no_session(
    live_database: Database, driver: str
) -> None:
    app = app_on(live_database, driver)

    async def publish() -> int | None:
        return (await app.publish("t")).id

    first, second = asyncio.run(publish()), asyncio.run(publish())

    assert first is not None
    assert second is not None
    assert second > first
    assert left_sessions(live_database) == 0


def test_sync_methods_work_from_ten_threads(live_database: Database) -> None:
    app = app_on(live_database)
    task = app.task(name="t")(lambda a: a)
    found: list[Any] = []

    def use() -> None:
        for _ in range(5):
            job = task.publish_sync(1)
            found.append((job.status_sync(), job.cancel_sync().state, job.retry_sync().state))

    in_threads(use, 10)

    assert found == [("ready", "cancelled", "ready")] * 50
    assert sessions(live_database) <= 10
    assert len(task.publish_many_sync([(1,), (2,)])) == 2
    assert app.publish_sync("t", 1).created
    app.close_sync()
    assert left_sessions(live_database) == 0


def test_more_threads_than_connections_wait_for_one(live_database: Database) -> None:
    pool = SyncPool(live_database.dsn, size=2)
    found: list[str | None] = []

    in_threads(lambda: found.append(pool.execute_sync(calls.version())), 10)

    assert len(found) == 10
    assert 1 <= sessions(live_database) <= 2
    pool.close()


@both_drivers
def test_an_event_loop_in_each_of_ten_threads(live_database: Database, driver: str) -> None:
    app = app_on(live_database, driver)
    found: list[bool] = []

    async def use() -> None:
        jobs = await asyncio.gather(*(app.publish("t") for _ in range(5)))
        found.extend([job.created for job in jobs])

    in_threads(lambda: asyncio.run(use()), 10)

    assert found == [True] * 50
    assert left_sessions(live_database) == 0


async def test_a_sync_method_inside_an_event_loop_names_its_twin(live_database: Database) -> None:
    app = app_on(live_database)
    task = app.task(name="t")(lambda: None)
    job = app.job(1)

    uses: list[tuple[str, Callable[[], Any]]] = [
        ("publish", task.publish_sync),
        ("publish", lambda: app.publish_sync("t")),
        ("publish_many", lambda: task.publish_many_sync([()])),
        ("consume", app.consume_sync),
        ("result", lambda: job.result_sync(1)),
        ("status", job.status_sync),
        ("ack", job.ack_sync),
        ("nack", job.nack_sync),
        ("execute", lambda: app.execute_sync(calls.version())),
        ("close", app.close_sync),
    ]
    for name, use in uses:
        with pytest.raises(InsideEventLoop, match=rf"{name}_sync was called .*use: await {name}\("):
            use()


def test_a_session_that_the_server_ended_is_replaced(live_database: Database) -> None:
    app = app_on(live_database)
    app.publish_sync("t")

    end_sessions(live_database)

    assert app.publish_sync("t").created
    app.close_sync()


@both_drivers
async def test_an_asynchronous_session_that_the_server_ended_is_replaced(
    live_database: Database, driver: str
) -> None:
    app = app_on(live_database, driver)
    await app.publish("t")

    await asyncio.to_thread(end_sessions, live_database)

    assert (await app.publish("t")).created
    await app.close()


def test_a_forgotten_app_leaves_no_session(live_database: Database) -> None:
    app = app_on(live_database)
    app.publish_sync("t")
    before = sessions(live_database)

    del app
    gc.collect()

    assert before == 1
    assert left_sessions(live_database) == 0


@pytest.mark.parametrize("use", list(PROGRAMS.values()), ids=list(PROGRAMS))
def test_a_program_that_closes_nothing_ends_without_a_word(live_database: Database, use: str) -> None:
    code = f"""
import asyncio, os
from howdah import Howdah
app = Howdah({live_database.dsn!r})
async def publish():
    await app.publish('t')
{use}
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.stderr, done.returncode) == ("", 0)
    assert left_sessions(live_database) == 0


def test_an_app_is_a_context_of_plain_code(live_database: Database) -> None:
    with app_on(live_database) as app:
        app.publish_sync("t")
        assert sessions(live_database) == 1

    assert left_sessions(live_database) == 0


def test_a_server_that_is_not_there_is_unavailable_for_plain_code() -> None:
    app = Howdah("postgresql://ann:secret@127.0.0.1:1/shop", settings=Settings())

    with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1:1/shop") as caught:
        app.publish_sync("t")

    assert "secret" not in str(caught.value)


def test_a_wrong_dsn_is_a_wrong_setting() -> None:
    for dsn in (
        "postgresql://ann:sesame@host:port:port/shop",
        "nonsense",
        "postgresql://ann:sesame@h:port/s",
    ):
        with pytest.raises(ConfigurationError) as caught:
            Howdah(dsn, settings=Settings()).publish_sync("t")
        assert caught.value.field == "dsn"
        assert "sesame" not in str(caught.value)


def test_an_unknown_driver_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="psycopg2"):
        Howdah(settings=Settings(), driver="psycopg2")  # type: ignore[arg-type]  # what is tested


@both_drivers
def test_a_forked_child_opens_connections_of_its_own(live_database: Database, driver: str) -> None:
    app = app_on(live_database, driver)
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


def test_a_child_forked_inside_an_event_loop_works(live_database: Database) -> None:
    app = app_on(live_database)

    async def fork() -> int:
        await app.publish("t")
        await asyncio.to_thread(app.publish_sync, "t")
        child = os.fork()
        if child == 0:
            code = 1
            try:
                # The parent's loop is left behind: what runs in a thread has none.
                with ThreadPoolExecutor(1) as thread:
                    code = 0 if thread.submit(app.publish_sync, "in.child").result().created else 1
            finally:
                os._exit(code)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        await app.publish("t")
        await asyncio.to_thread(app.publish_sync, "t")
        return os.waitstatus_to_exitcode(status)

    assert asyncio.run(fork()) == 0
    assert len(app.execute_sync(calls.list_jobs())) == 5
    app.close_sync()


def test_a_call_that_is_interrupted_spoils_no_connection(live_database: Database) -> None:
    app = app_on(live_database)
    job = app.publish_sync("t", key="held")
    with psycopg.connect(live_database.dsn) as holder:
        app.job("held").cancel_sync(connection=holder)
        interrupt = threading.Thread(target=interrupt_when_blocked, args=[live_database])
        interrupt.start()
        with pytest.raises(KeyboardInterrupt):
            job.cancel_sync()
        interrupt.join()
        holder.rollback()

    assert job.status_sync() == "ready"
    assert sessions(live_database) == 1
    app.close_sync()


async def test_a_closed_app_opens_again(live_database: Database) -> None:
    app = app_on(live_database)

    async with app:
        await app.publish("t")
    first = sessions(live_database)
    job = await app.publish("t")
    await app.close()

    assert first == 0
    assert job.created
