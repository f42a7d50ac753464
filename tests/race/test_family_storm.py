"""Families published while their members end, with long transactions and kills: none is stranded."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Final

import psycopg
import pytest

from tests.fixtures.sessions import Session
from tests.race.moves import ISOLATIONS
from tests.race.steps import exchange, hand_in, start_worker, violations

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.database import Database

_PUBLISH: Final = """
    select jobs.publish('demo.task', i_key => %s, i_depends_on => %s, i_allow_failure => %s,
                        i_result_ttl => %s, i_max_retries => 0)"""
_VICTIM: Final = """
    select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and application_name = 'victim' order by random() limit 1"""
# Children that ran, or did not run, against what their parents say; parents that are gone say nothing.
_WRONG: Final = """
    select c.id, c.state, c.kind, array_agg(p.state) as parents
      from (select j.id, j.depends_on, j.allow_failure, f.state, f.kind
              from howdah.job j join howdah.finished f using (id)) c
     cross join lateral unnest(c.depends_on) u (id)
      left join howdah.finished p on p.id = u.id
     group by 1, 2, 3, c.allow_failure
    having c.kind is distinct from 'parent' and not c.allow_failure and bool_or(p.state <> 'succeeded')
        or c.kind = 'parent'
           and (c.allow_failure or count(*) filter (where p.state = 'succeeded') = count(*))"""


class Family:
    """What the threads do until the time is over."""

    def __init__(self, dsn: str, seconds: float) -> None:
        self._dsn = dsn
        self._end = time.monotonic() + seconds
        self._over = threading.Event()
        self._born: list[str] = ["ancestor"]
        self.killed = 0
        self.errors: set[str] = set()

    def run(self, body: Callable[[Session, random.Random], None], number: int) -> None:
        """Do something again and again, in a new session after each kill."""
        chance = random.Random(number)
        session = self._open()
        while time.monotonic() < self._end:
            try:
                body(session, chance)
            except psycopg.Error as error:
                if error.sqlstate not in (None, "57P01"):
                    self.errors.add(error.sqlstate)
                session.close()
                session = self._open()
        session.close()

    def _open(self) -> Session:
        session = Session(f"{self._dsn}&application_name=victim")
        session.connection.add_notice_handler(lambda _: None)
        return session

    def _pause(self, chance: random.Random, longest: float) -> None:
        self._over.wait(chance.random() * longest)

    def publish(self, session: Session, chance: random.Random) -> None:
        session.begin(chance.choice(ISOLATIONS))
        session.rows("select 1")
        self._pause(chance, chance.choice((0, 0.02)))
        names = []
        for _ in range(chance.randint(1, 4)):
            names.append(f"j{chance.getrandbits(60):x}")
            known = [*self._born[-40:], *names[:-1]]
            parents = chance.sample(known, min(len(known), chance.randint(0, 3)))
            session.rows(_PUBLISH, names[-1], parents, chance.random() < 0.5, chance.choice((None, 0, -1)))
        self._pause(chance, chance.choice((0, 0.02, 0.2)))
        if chance.random() < 0.2:
            session.rollback()
        else:
            session.commit()
            self._born += names

    def consume(self, session: Session, chance: random.Random) -> None:
        session.begin()
        claimed = session.rows("select job_id, run_id from jobs.consume(%s)", chance.randint(1, 5))
        for job in claimed:
            good = chance.random() < 0.7
            call = "select jobs.ack(%s, null, %s)" if good else "select jobs.nack(%s, 'no', null, %s)"
            session.rows(call, job["job_id"], job["run_id"])
            self._pause(chance, chance.choice((0, 0.01, 0.05)))
        session.execute(chance.choice(("commit", "commit", "commit", "rollback")))

    def work(self, session: Session, chance: random.Random) -> None:
        worker = start_worker(session)
        for _ in range(20):
            claimed = exchange(session, worker, chance.randint(1, 8))["jobs"]
            words = [("succeeded", None), ("succeeded", None), ("succeeded", None), ("failed", "error", "no")]
            hand_in(session, worker, [[job[0], job[1], *chance.choice(words)] for job in claimed])
        session.rows("select jobs.worker_stopped(%s)", worker)

    def control(self, session: Session, chance: random.Random) -> None:
        self._pause(chance, 0.05)
        call = chance.choice(("select jobs.cancel(%s)", "select jobs.delete(%s)"))
        session.rows(call, chance.choice(self._born[-60:]))

    def tick(self, session: Session, chance: random.Random) -> None:
        session.rows("select * from jobs.maintain()")
        assert violations(session) == []
        self._pause(chance, 0.01)

    def kill(self, session: Session, chance: random.Random) -> None:
        session.execute("set application_name = 'killer'")
        self.killed += len(session.rows(_VICTIM))
        self._pause(chance, 0.3)


def _rage(sql: Session, database: Database, seconds: float) -> None:
    sql.rows("select jobs.publish('demo.task', i_key => 'ancestor', i_result_ttl => -1)")
    family = Family(database.dsn, seconds)
    bodies = (
        [family.publish] * 3 + [family.consume] * 2 + [family.work, family.control, family.tick, family.kill]
    )
    threads = [threading.Thread(target=family.run, args=(body, n)) for n, body in enumerate(bodies)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert family.errors <= {"40001", "JB001", "JB002", "JB003", "JB004", "JB007", "55P03"}, family.errors
    assert family.killed > 0
    sql.execute("update howdah.beat set beat_at = beat_at - interval '1 hour'")
    for _ in range(1000):
        sql.rows("select * from jobs.maintain()")
        sql.execute("update howdah.running set deadline = started_at where worker_id is null")
        for job in sql.rows("select job_id, run_id from jobs.consume(1000)"):
            sql.rows("select jobs.ack(%s, null, %s)", job["job_id"], job["run_id"])
        if sql.value("select count(*) from howdah.lying where place <> 'finished'") == 0:
            break
    assert sql.rows("select * from howdah.blocked") == []
    assert sql.value("select count(*) from howdah.lying where place <> 'finished'") == 0
    assert sql.value("select (select count(*) from howdah.edge) + (select count(*) from howdah.ended)") == 0
    assert sql.rows(_WRONG) == []
    assert violations(sql) == []


def test_every_member_of_a_family_ends_and_as_its_parents_say(sql: Session, database: Database) -> None:
    _rage(sql, database, 6)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_every_member_of_a_family_ends_and_as_its_parents_say_for_minutes(
    sql: Session, database: Database
) -> None:
    _rage(sql, database, 120)
