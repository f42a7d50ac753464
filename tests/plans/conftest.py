"""A database with many jobs in the way of everything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fixtures.sessions import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fixtures.database import Administrator, Database


@dataclass(frozen=True, slots=True)
class Crowd:
    """A database with `count` jobs in each of five states, numbered in this order."""

    dsn: str
    count: int
    worker: int

    def job(self, state: str) -> int:
        """Return the number of a job in the middle of a state's crowd, with a key."""
        place = ("ready", "scheduled", "finished", "blocked", "waiting").index(state)
        return place * self.count + self.count // 2


@pytest.fixture(
    scope="session",
    params=[100_000, pytest.param(1_000_000, marks=[pytest.mark.long, pytest.mark.timeout(600)])],
    ids=["100k", "1M"],
)
def crowd(
    request: pytest.FixtureRequest, administrator: Administrator, template: Database
) -> Iterator[Crowd]:
    """The crowd; one database for each test worker and size."""
    count: int = request.param
    database = administrator.clone(template, f"crowd_{count}")
    session = Session(database.dsn)
    session.connection.execute(Path(__file__).with_name("load.sql").read_bytes())
    session.rows("select load.fill(%s)", count)
    worker = session.value("""select jobs.worker_started('w', '[{"name": "demo.task"}]', i_lease => 86400)""")
    session.rows("select jobs.exchange(%s, null, 200)", worker)
    session.rows("select * from jobs.consume(20)")
    session.rows("select load.give_time()")
    session.close()
    yield Crowd(database.dsn, count, worker)
    administrator.drop(database)
