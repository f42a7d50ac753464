"""The proxy passes on, stalls, resets, and loses the answer to a COMMIT that has happened."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from chaos.proxy import BOTH, Proxy, Trouble

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fixtures.database import Database


@pytest.fixture
async def proxy(empty_database: Database) -> AsyncIterator[Proxy]:
    folder = parse_qs(urlsplit(empty_database.dsn).query)["host"][0]
    proxy = Proxy(lambda: Path(folder) / ".s.PGSQL.5432", random.Random(1))
    await proxy.start()
    yield proxy
    await proxy.close()


async def connected(proxy: Proxy, database: Database) -> asyncpg.Connection:
    parts = urlsplit(database.dsn)
    return await asyncpg.connect(
        host="127.0.0.1",
        port=proxy.port,
        user=parts.username,
        password=parts.password,
        database=database.name,
        ssl=False,
    )


async def test_what_is_asked_is_answered(proxy: Proxy, empty_database: Database) -> None:
    connection = await connected(proxy, empty_database)
    assert await connection.fetchval("select 42") == 42
    assert proxy.connections == 1
    await connection.close()


@pytest.mark.parametrize("directions", [BOTH, frozenset({"to the server"}), frozenset({"to the client"})])
async def test_what_is_stalled_goes_on_when_healed(
    proxy: Proxy, empty_database: Database, directions: frozenset[str]
) -> None:
    connection = await connected(proxy, empty_database)
    proxy.set(Trouble(stalled=directions))  # type: ignore[arg-type]  # of the parameters' type
    answer = asyncio.ensure_future(connection.fetchval("select 42"))
    done, _ = await asyncio.wait([answer], timeout=0.2)
    assert not done
    proxy.heal()
    assert await answer == 42
    await connection.close()


async def test_a_reset_ends_every_connection(proxy: Proxy, empty_database: Database) -> None:
    connection = await connected(proxy, empty_database)
    assert proxy.reset() == 1
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)):
        await connection.fetchval("select 42")
    connection.terminate()


async def test_a_commit_whose_answer_is_lost_has_happened(proxy: Proxy, empty_database: Database) -> None:
    connection = await connected(proxy, empty_database)
    await connection.execute("create table kept (n int)")
    lost: list[bool] = []
    proxy.swallowed = lambda: lost.append(True)
    proxy.set(Trouble(swallow=1, commits_only=True))
    tries = 0
    while not lost:
        tries += 1
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("insert into kept values ($1)", tries)
        try:
            await transaction.commit()
        except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError):
            assert lost
    connection.terminate()
    again = await connected(proxy, empty_database)
    assert await again.fetchval("select count(*) from kept") == tries
    await again.close()
