"""A server that takes no writes for a while: nobody gives up, and nothing is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from howdah import DatabaseUnavailable, Howdah
from howdah.settings import Settings
from tests.worker.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from howdah.embedded import Server
    from tests.fixtures.database import Database
    from tests.worker.conftest import Start

LONG = 60


@pytest.fixture
async def live(live_database: Database) -> AsyncIterator[Howdah]:
    """An app on a database of this test's own."""
    app = Howdah(live_database.dsn, settings=Settings())
    yield app
    await app.close()


@pytest.fixture
def read_only(cluster: Server, live_database: Database) -> Callable[[bool], None]:
    """Close the test's database to writes, or open it, for every session from now on."""

    def switch(on: bool) -> None:
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            word = "on" if on else "off"
            connection.execute(
                f'alter database "{live_database.name}" set default_transaction_read_only = {word}'.encode()
            )
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
                [live_database.name],
            )

    return switch


async def test_results_are_kept_while_nothing_can_be_written_and_handed_in_later(
    live: Howdah, start: Start, read_only: Callable[[bool], None], caplog: pytest.LogCaptureFixture
) -> None:
    began, go = asyncio.Event(), asyncio.Event()
    runs: list[int] = []

    async def count(number: int) -> int:
        runs.append(number)
        if len(runs) == 5:
            began.set()
        await go.wait()
        return number

    task = live.task(timeout=3600)(count)
    worker = await start(live, concurrency=5)
    jobs = [await task.publish(number) for number in range(5)]
    await asyncio.wait_for(began.wait(), LONG)
    read_only(True)
    go.set()
    await eventually(lambda: "outcomes in memory" in caplog.text, LONG)

    async def refused() -> bool:
        with pytest.raises(DatabaseUnavailable) as caught:
            await task.publish(5)
        return "read-only" in caught.value.message  # and not that its connection has ended

    assert await eventually(refused, LONG)
    read_only(False)

    async def results() -> Any:
        try:
            return [await job.result(timeout=LONG) for job in jobs]
        except DatabaseUnavailable:  # a connection of before
            return None

    assert await eventually(results, LONG) == [0, 1, 2, 3, 4]
    assert sorted(runs) == [0, 1, 2, 3, 4], "a result was thrown away and its job run again"
    assert worker.worker_id == 1
