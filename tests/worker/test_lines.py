"""A worker's line serves one call after the other, and survives being dropped at any moment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from howdah import calls, sql
from howdah.errors import DatabaseUnavailable
from howdah.worker.line import Line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fixtures.database import Database


@pytest.fixture
async def line(live_database: Database) -> AsyncIterator[Line]:
    line = Line(live_database.dsn, "howdah test")
    yield line
    await line.close()


async def test_two_callers_at_once_are_both_served(line: Line) -> None:
    versions = await asyncio.gather(*(line.execute(calls.version()) for _ in range(5)))
    assert all(map(sql.serves, versions))


async def test_a_line_that_is_dropped_between_two_steps_of_a_call_is_unavailable_and_opens_again(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = asyncpg.Connection._get_statement

    async def dropped_afterwards(*arguments: Any, **options: Any) -> Any:
        statement = await prepare(*arguments, **options)
        line.drop()
        return statement

    with monkeypatch.context() as patch:
        patch.setattr(asyncpg.Connection, "_get_statement", dropped_afterwards)
        with pytest.raises(DatabaseUnavailable, match="given up"):
            await line.execute(calls.version())
    assert sql.serves(await line.execute(calls.version()))


async def test_a_call_that_waits_for_an_answer_is_told_when_the_line_is_dropped(line: Line) -> None:
    await line.open()
    call = asyncio.ensure_future(line.execute(calls.version()))
    await asyncio.sleep(0)
    line.drop()
    with pytest.raises(DatabaseUnavailable):
        await call
