"""A process that takes long to start does not use up the time of the run that waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from howdah import JobFailed

from . import slow_chores
from .processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from howdah import Howdah
    from tests.fixtures.database import Database

    from .conftest import Start


@pytest.fixture
async def slow(live_database: Database) -> AsyncIterator[Howdah]:
    slow_chores.app.use(live_database.dsn)
    yield slow_chores.app
    await slow_chores.app.close()


async def test_the_timeout_counts_from_the_moment_the_function_begins(slow: Howdah, start: Start) -> None:
    await start(slow)
    job = await slow_chores.hurry.publish()
    assert await job.result(PATIENCE) > 0
    assert [failure.error for failure in await job.failures()] == []


async def test_the_function_itself_gets_no_more_than_its_timeout(slow: Howdah, start: Start) -> None:
    await start(slow)
    job = await slow_chores.dawdle.publish()
    with pytest.raises(JobFailed, match=r"timed out after 0\.5 s"):
        await job.result(PATIENCE)
    (failure,) = await job.failures()
    assert failure.kind == "timeout"
    await (await slow_chores.hurry.publish()).result(PATIENCE)  # the next process has started, and can end
