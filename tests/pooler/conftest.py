"""Apps and workers that know no other way than the pooler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.rows import dict_row

from howdah import Howdah
from howdah.settings import Settings
from tests.cli.command import start as started_commands
from tests.worker.conftest import administer, start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.fixtures.database import Database

__all__ = ["administer", "app", "effects", "sessions_of_the_pool", "start", "started_commands"]


@pytest.fixture
async def app(pooled: str) -> AsyncIterator[Howdah]:
    """An app whose DSN leads to the pooler."""
    app = Howdah(pooled, settings=Settings())
    yield app
    await app.close()


@pytest.fixture
def effects(administer: Callable[..., list[tuple[Any, ...]]]) -> Callable[[], list[str]]:
    """Return what the tasks have written so far."""
    administer("create table effect (what text not null)")
    return lambda: [what for (what,) in administer("select what from effect order by what")]


@pytest.fixture
def sessions_of_the_pool(pooled: str, live_database: Database) -> Callable[[], list[dict[str, Any]]]:
    """Return what each of the two sessions that the pooler shares out still remembers."""
    question = (
        "select pg_backend_pid() as pid, array(select pg_listening_channels()) as channels,"
        " (select count(*) from pg_prepared_statements) as prepared,"
        " (select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'advisory') as locks"
    )

    def look() -> list[dict[str, Any]]:
        with (
            psycopg.connect(pooled, prepare_threshold=None, row_factory=dict_row) as one,
            psycopg.connect(pooled, prepare_threshold=None, row_factory=dict_row) as other,
        ):
            return [side.execute(question).fetchone() or {} for side in (one, other)]

    return look
