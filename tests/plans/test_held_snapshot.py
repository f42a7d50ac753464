"""Vacuum removes nothing while somebody holds an old snapshot: the chores stay cheap all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plans.meter import buffers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fixtures.clock import Clock
    from tests.fixtures.sessions import Session

_DEAD = 60_000  # a walk over them asks for more than 200 pages
_BUFFERS = 400
_WORKER = """select jobs.worker_started('w', '[{"name": "demo.task"}]', i_lease => 86400)"""

# What has come and gone: due jobs, times to live, runs of workers and plain consumers, history.
_COME_AND_GO = [
    "insert into howdah.scheduled select n, now() - n * interval '1 ms', 0 from generate_series(1, {}) n",
    "delete from howdah.scheduled",
    "insert into howdah.expiry select now() - n * interval '1 ms', n from generate_series(1, {}) n",
    "delete from howdah.expiry",
    """insert into howdah.running (id, run_id, worker_id, attempt, started_at, deadline)
       select n, n, nullif(n % 2, 0), 1, now(), now() - n * interval '1 ms' from generate_series(1, {}) n""",
    "delete from howdah.running",
    """insert into howdah.finished (id, state, run_id, attempt, finished_at, prune_at)
       select n, 'succeeded', n, 1, now() - interval '8 days',
              case when n % 2 = 0 then now() - interval '10 min' end
         from generate_series(1, 2 * {}) n""",
    "delete from howdah.finished",
]

_CALLS = {
    "exchange": "select jobs.exchange({}, null, 10)",
    "consume": "select * from jobs.consume(1)",
    "maintain": "select * from jobs.maintain()",
}


@pytest.fixture
def worker(sql: Session, sessions: Callable[..., Session], clock: Clock) -> Iterator[int]:
    """A worker in a database with much that is dead and cannot be removed; its time stands still."""
    number = int(sql.value(_WORKER))
    for _ in range(20):
        sql.rows("select jobs.publish('demo.task')")
    sql.rows("select howdah.advance_cursor()")
    holder = sessions()
    holder.begin("repeatable read")
    holder.rows("select count(*) from pg_class")
    for statement in _COME_AND_GO:
        sql.execute(statement.format(_DEAD))
    yield number
    holder.rollback()


def _buffers(sql: Session, call: str, worker: int) -> int:
    sql.rows("select setval('howdah.last_tick', 0)")
    return buffers(sql, call.format(worker))


def test_calls_stay_cheap_while_an_old_snapshot_is_held(sql: Session, worker: int) -> None:
    assert buffers(sql, _CALLS["maintain"], times=1) > 5 * _BUFFERS, "a whole search is dear"
    sql.rows("select * from jobs.maintain()")  # a sweep's place is rolled back with its transaction

    dear = {name: read for name, call in _CALLS.items() if (read := _buffers(sql, call, worker)) > _BUFFERS}
    assert dear == {}


def _pause(sql: Session, name: str, seconds: int) -> None:
    """Let searches begin a second ago for so long, as after a dear one."""
    sql.rows(
        """select setval(('howdah.search_' || %s)::regclass, (e + %s << 30) + %s + 1)
             from (select ceil(extract(epoch from howdah.now()))::bigint) x (e)""",
        name,
        seconds,
        seconds,
    )


def _states(sql: Session) -> dict[str, str]:
    return {row["job_id"]: row["state"] for row in sql.rows('select job_id, state from jobs."all"')}


def test_a_job_that_becomes_due_in_a_pause_is_promoted_then(sql: Session, clock: Clock) -> None:
    _pause(sql, "scheduled", 60)
    sql.rows("select jobs.publish('demo.task', i_delay => 5, i_key => 'soon')")
    clock.advance(5)
    sql.rows("select * from jobs.maintain()")
    assert _states(sql) == {"soon": "ready"}


def test_an_entry_that_turns_up_behind_a_search_is_found_by_the_next_whole_one(
    sql: Session, clock: Clock
) -> None:
    sql.rows("select jobs.publish('demo.task', i_delay => 60, i_key => 'late')")
    sql.rows("update howdah.scheduled set run_at = howdah.now() - interval '10 s'")
    _pause(sql, "scheduled", 60)
    sql.rows("select * from jobs.maintain()")
    assert _states(sql) == {"late": "scheduled"}

    clock.advance(61)
    sql.rows("select * from jobs.maintain()")
    assert _states(sql) == {"late": "ready"}


def test_a_clock_that_is_set_back_ends_the_pause(sql: Session, clock: Clock) -> None:
    _pause(sql, "scheduled", 60)
    clock.advance(-3600)
    sql.rows("select jobs.publish('demo.task', i_delay => 5, i_key => 'soon')")
    clock.advance(5)
    sql.rows("select * from jobs.maintain()")
    assert _states(sql) == {"soon": "ready"}


@pytest.mark.parametrize(("name", "chore"), [("expiry", "expired"), ("deadline", "rescued")])
def test_what_falls_due_in_a_pause_is_taken_then(sql: Session, clock: Clock, name: str, chore: str) -> None:
    sql.rows("select jobs.publish('demo.task', i_ttl => 5)")
    sql.rows("select jobs.publish('demo.task', i_queue => 'q', i_timeout => 5)")
    sql.rows("select * from jobs.consume(1, '{q}')")
    _pause(sql, name, 60)
    clock.advance(6)
    counts = {row["chore"]: row["jobs"] for row in sql.rows("select * from jobs.maintain()")}
    assert counts[chore] == 1


def test_a_live_worker_s_overdue_run_is_taken_after_the_pause(sql: Session, clock: Clock) -> None:
    number = int(sql.value(_WORKER))
    sql.rows("select jobs.publish('demo.task', i_timeout => 5)")
    sql.rows("select jobs.exchange(%s, null, 1)", number)
    _pause(sql, "overdue", 60)
    clock.advance(20)
    assert sql.value("select howdah.rescue_overdue(howdah.now(), 10)") == 0
    clock.advance(41)
    assert sql.value("select howdah.rescue_overdue(howdah.now(), 10)") == 1
