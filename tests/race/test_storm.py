"""Publishers that hold transactions, consumers that roll back, an old snapshot: each job is claimed once."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Final

import pytest

from tests.race.crew import run_together
from tests.race.steps import a_second_later, advance, consume, drain, finish, floor, publish, violations

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.database import Database
    from tests.fixtures.sessions import Session

_HIDDEN: Final = """
    select r.id, r.pos, l.floor from howdah.ready r join howdah.lane l using (queue, priority)
     where r.pos <= l.floor and not exists (select from howdah.hole h where h.low < r.pos)"""


class Storm:
    """What the threads do until the time is over; each keeps its own record."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._over = threading.Event()

    @property
    def rages(self) -> bool:
        """Whether there is time left."""
        return time.monotonic() < self._end

    def pause(self, seconds: float) -> None:
        """Hold what one holds; this is the load, nothing waits for its end."""
        self._over.wait(min(seconds, max(self._end - time.monotonic(), 0)))

    def publisher(self, session: Session) -> list[int]:
        """Publish in transactions open for up to a second; every third is rolled back."""
        chance = random.Random(session.pid)
        kept: list[int] = []
        while self.rages:
            session.begin(chance.choice(["read committed", "repeatable read"]))
            ids = publish(session, chance.randint(1, 30))
            if chance.random() < 0.5:
                self.pause(chance.random())
                ids += publish(session, chance.randint(1, 10))
            if chance.random() < 0.33:
                session.rollback()
            else:
                session.commit()
                kept += ids
        return kept

    def flood(self, session: Session) -> list[int]:
        """Publish in short transactions, so that the floors have far to go."""
        kept: list[int] = []
        while self.rages:
            kept += publish(session, 100)
            self.pause(0.005)
        return kept

    def consumer(self, session: Session) -> list[int]:
        """Claim and finish; now and then in a transaction that is held and rolled back."""
        chance = random.Random(session.pid)
        done: list[int] = []
        while self.rages:
            session.begin()
            ids = consume(session, chance.choice([1, 20, 200]))
            if chance.random() < 0.1:
                self.pause(chance.random() * 1.5)
                session.rollback()
                continue
            finish(session, ids)
            session.commit()
            done += ids
        return done

    def ticker(self, session: Session) -> list[int]:
        """Do the chores, and look after each whether a floor hides a job that no hole remembers."""
        while self.rages:
            session.rows("select * from jobs.maintain()")
            hidden = session.rows(_HIDDEN)
            assert hidden == [], hidden
            self.pause(0.01)
        return []

    def old_snapshot(self, session: Session) -> list[int]:
        """Hold a snapshot and a transaction number, as a forgotten session does."""
        session.begin("repeatable read")
        session.rows("select pg_current_xact_id()")
        self.pause(3600)
        session.rollback()
        return []


def _rage(sql: Session, database: Database, seconds: float) -> None:
    storm = Storm(seconds)
    publish(sql, 10)
    advance(sql)
    first = drain(sql)
    publishers: list[Callable[[Session], list[int]]] = [*[storm.publisher] * 4, storm.flood]
    consumers: list[Callable[[Session], list[int]]] = [*[storm.consumer] * 3]
    records = run_together(database.dsn, [*publishers, *consumers, storm.ticker, storm.old_snapshot])
    kept = list(chain.from_iterable(records[: len(publishers)]))
    done = list(chain.from_iterable(records[len(publishers) :]))
    moved = floor(sql)
    for _ in range(3):
        a_second_later(sql)
        advance(sql, 3)
        done += drain(sql)
    assert Counter(done) == Counter(kept), "each job once"
    assert moved > 500, "the floors did move under all this"
    assert sql.value("select count(*) from howdah.job") == len(kept) + len(first)
    assert sql.value("select count(*) from howdah.ready") == 0
    assert sql.value("select count(*) from howdah.hole") == 0
    assert violations(sql) == []


def test_everything_published_and_committed_in_a_storm_is_claimed_exactly_once(
    sql: Session, database: Database
) -> None:
    _rage(sql, database, 6)


@pytest.mark.long
def test_everything_published_and_committed_in_a_long_storm_is_claimed_exactly_once(
    sql: Session, database: Database
) -> None:
    _rage(sql, database, 60)
