"""The connections kept for tasks: event loop and threads draw from one number of them."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import psycopg
import pytest

from howdah.drivers.transactions import ASYNC_FORMS, Connections

from .conftest import eventually

if TYPE_CHECKING:
    from tests.fixtures.database import Database

SESSIONS = (
    "select count(*) from pg_stat_activity where application_name = 'howdah task'"
    " and datname = current_database()"
)


@pytest.mark.parametrize("form", ASYNC_FORMS)
async def test_a_thread_leaves_it_to_the_loop_to_close_a_connection_of_the_loop(
    live_database: Database, form: str
) -> None:
    connections = Connections(live_database.dsn, 1)
    await connections.give_back(form, await connections.begin(form))
    with psycopg.connect(live_database.dsn, autocommit=True) as watcher:

        def sessions() -> int:
            (count,) = watcher.execute(SESSIONS).fetchone() or (0,)
            return int(count)

        def take_its_place() -> None:
            connections.give_back_in_thread("thread", connections.begin_in_thread("thread"))

        thread = threading.Thread(target=take_its_place)
        thread.start()
        thread.join()  # the loop stands still meanwhile
        assert sessions() == 2

        await eventually(lambda: sessions() == 1)
    connections.close()


async def test_the_loop_closes_a_connection_of_a_thread_at_once(live_database: Database) -> None:
    connections = Connections(live_database.dsn, 1)
    opened = await asyncio.to_thread(connections.begin_in_thread, "thread")
    await asyncio.to_thread(connections.give_back_in_thread, "thread", opened)

    await connections.give_back("asyncpg", await connections.begin("asyncpg"))

    assert opened.connection.closed
    connections.close()
