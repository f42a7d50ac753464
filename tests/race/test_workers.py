"""Workers that come, go and die while others look for what they left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.race.steps import advance, consume, exchange, hand_in, publish, start_worker, violations

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.sessions import Session

    Opener = Callable[..., Session]

_MISS_LEASE = "update howdah.beat set beat_at = beat_at - interval '1 h'"
_MAINTAIN = "select * from jobs.maintain()"


def _parked(sql: Session) -> int:
    return int(sql.value("select count(*) from howdah.blocked"))


def _reconcile(sql: Session, worker: int, era: int | None = None) -> tuple[int, int]:
    row = sql.row("select * from jobs.reconcile(%s, '{}', %s)", worker, era)
    return row["given_back"], row["locked"]


def _running(sql: Session) -> int:
    return int(sql.value("select count(*) from howdah.running"))


def test_a_job_parked_while_its_worker_registers_is_adopted(sql: Session, sessions: Opener) -> None:
    start_worker(sql, "another.task")
    (job,) = publish(sql)
    advance(sql)
    newcomer = sessions()
    newcomer.begin()
    worker = start_worker(newcomer)
    sql.rows(_MAINTAIN)
    assert _parked(sql) == 1
    newcomer.commit()
    sql.rows(_MAINTAIN)
    assert _parked(sql) == 0
    assert [run[0] for run in exchange(sql, worker, 1)["jobs"]] == [job]


def test_a_worker_that_registers_while_its_job_is_being_parked_gets_it(
    sql: Session, sessions: Opener
) -> None:
    start_worker(sql, "another.task")
    (job,) = publish(sql)
    advance(sql)
    chores = sessions()
    chores.begin()
    chores.rows(_MAINTAIN)
    worker = start_worker(sql)
    chores.commit()
    assert _parked(sql) == 1
    sql.rows(_MAINTAIN)
    assert [run[0] for run in exchange(sql, worker, 1)["jobs"]] == [job]
    assert violations(sql) == []


def test_a_worker_starts_although_somebody_holds_a_parked_job_of_its_tasks(
    sql: Session, sessions: Opener
) -> None:
    start_worker(sql, "another.task")
    held, free = publish(sql, 2)
    advance(sql)
    sql.rows(_MAINTAIN)
    assert _parked(sql) == 2
    holder = sessions()
    holder.begin()
    holder.rows("select jobs.cancel(%s::text)", held)
    sql.execute("set lock_timeout = '2 s'")
    worker = start_worker(sql)
    assert [run[0] for run in exchange(sql, worker, 2)["jobs"]] == [free]
    holder.rollback()
    sql.rows(_MAINTAIN)
    assert [run[0] for run in exchange(sql, worker, 2)["jobs"]] == [held]


def test_a_worker_past_its_lease_is_not_buried_while_its_exchange_is_under_way(
    sql: Session, sessions: Opener
) -> None:
    worker = start_worker(sql)
    (job,) = publish(sql)
    advance(sql)
    line = sessions()
    line.begin()
    claimed = exchange(line, worker, 1)["jobs"]
    sql.execute(_MISS_LEASE)
    sql.rows(_MAINTAIN)
    line.commit()
    assert claimed[0][0] == job
    assert _running(sql) == 1
    assert violations(sql) == []
    sql.rows(_MAINTAIN)
    assert _running(sql) == 0
    assert violations(sql) == []


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_an_exchange_during_the_burial_is_told_at_once_to_try_again(
    sql: Session, sessions: Opener, ending: str
) -> None:
    worker = start_worker(sql)
    publish(sql)
    advance(sql)
    exchange(sql, worker, 1)
    sql.execute(_MISS_LEASE)
    digger = sessions()
    digger.begin()
    digger.rows(_MAINTAIN)
    sql.execute("set statement_timeout = '2 s'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        exchange(sql, worker, 1)
    digger.execute(ending)
    if ending == "commit":
        with pytest.raises(psycopg.Error) as refused:
            exchange(sql, worker, 1)
        assert refused.value.sqlstate == "JB007"
    else:
        assert exchange(sql, worker, 1)["jobs"] == []
    assert violations(sql) == []


def test_a_worker_that_beats_while_it_is_looked_at_is_alive(sql: Session, sessions: Opener) -> None:
    worker = start_worker(sql)
    publish(sql)
    advance(sql)
    exchange(sql, worker, 1)
    sql.execute(_MISS_LEASE)
    beat = sessions()
    beat.begin()
    beat.rows("select * from jobs.heartbeat(%s)", worker)
    sql.rows(_MAINTAIN)
    beat.commit()
    sql.rows(_MAINTAIN)
    assert _running(sql) == 1


def test_nobody_waits_for_a_transaction_that_holds_a_run_of_a_dead_worker(
    sql: Session, sessions: Opener
) -> None:
    worker = start_worker(sql)
    held, free = publish(sql, 2)
    advance(sql)
    assert len(exchange(sql, worker, 2)["jobs"]) == 2
    sql.execute(_MISS_LEASE)
    holder = sessions()
    holder.begin()
    holder.rows("select jobs.cancel(%s::text)", held)
    sql.execute("set lock_timeout = '2 s'")
    sql.rows(_MAINTAIN)
    assert consume(sql) == [free], "the other run is not held up"
    holder.commit()
    sql.rows(_MAINTAIN)
    assert sql.value("select count(*) from howdah.worker") == 0
    assert sql.value("select state from jobs.get(%s::text)", held) == "cancelled"
    assert violations(sql) == []


def test_a_worker_stops_only_after_the_exchange_under_way(
    sql: Session, sessions: Opener, wait_until_blocked: Callable[[Session], None]
) -> None:
    worker = start_worker(sql)
    (job,) = publish(sql)
    advance(sql)
    line, stopper = sessions(), sessions()
    line.begin()
    assert exchange(line, worker, 1)["jobs"][0][0] == job
    stopped = stopper.later("select jobs.worker_stopped(%s) as handed_back", worker)
    wait_until_blocked(stopper)
    line.commit()
    assert stopped.result(10) == [{"handed_back": 1}]
    assert _running(sql) == 0
    assert consume(sql) == [job]


def test_an_outcome_whose_row_somebody_holds_comes_back_as_later(sql: Session, sessions: Opener) -> None:
    worker = start_worker(sql)
    publish(sql, 3)
    advance(sql)
    runs = exchange(sql, worker, 3)["jobs"]
    holder = sessions()
    holder.begin()
    holder.rows("select jobs.cancel(%s::text)", runs[1][0])
    outcomes = [[run[0], run[1], "succeeded", None] for run in runs]
    answer = hand_in(sql, worker, outcomes)
    assert (answer["later"], answer["lost"]) == ([runs[1][1]], [])
    holder.commit()
    answer = hand_in(sql, worker, [outcomes[1]])
    assert (answer["later"], answer["lost"]) == ([], [])
    assert sql.value("select count(*) from howdah.finished where state = 'succeeded'") == 3
    assert violations(sql) == []


def test_outcomes_handed_in_twice_at_once_count_once(
    sql: Session, sessions: Opener, wait_until_blocked: Callable[[Session], None]
) -> None:
    worker = start_worker(sql)
    publish(sql)
    advance(sql)
    ((job, run, *_),) = exchange(sql, worker, 1)["jobs"]
    first = sessions()
    first.begin()
    hand_in(first, worker, [[job, run, "failed", "error", "no", None, 0, False]])
    assert hand_in(sql, worker, [[job, run, "succeeded", 1]])["later"] == [run]
    first.commit()
    assert hand_in(sql, worker, [[job, run, "succeeded", 1]])["lost"] == [run]
    assert violations(sql) == []


def test_two_workers_that_register_the_same_tasks_in_another_order_do_not_deadlock(
    sql: Session, sessions: Opener, wait_until_blocked: Callable[[Session], None]
) -> None:
    first, second = sessions(), sessions()
    first.begin()
    start_worker(first, "b.task", "a.task")
    waiting = second.later(
        """select jobs.worker_started('v', '[{"name": "a.task"}, {"name": "b.task"}]') as worker"""
    )
    wait_until_blocked(second)
    start_worker(first, "a.task", "b.task")
    first.commit()
    assert waiting.result(10)[0]["worker"] > 0
    assert sql.value("select count(*) from howdah.worker") == 3


def test_what_an_exchange_claims_after_its_connection_is_lost_is_handed_back(
    sql: Session, sessions: Opener
) -> None:
    worker = start_worker(sql)
    publish(sql)
    cut_off = sessions()
    cut_off.begin()
    assert len(exchange(cut_off, worker, 1)["jobs"]) == 1

    with pytest.raises(psycopg.errors.LockNotAvailable):
        sql.value("select jobs.reconcile(%s, '{}')", worker)
    cut_off.commit()

    assert _reconcile(sql, worker) == (1, 0)
    assert _running(sql) == 0
    assert violations(sql) == []


def test_an_exchange_that_reaches_the_server_after_it_was_reconciled_claims_nothing(sql: Session) -> None:
    """Its connection was lost before the server had begun with it: nobody waits for the answer."""
    worker = start_worker(sql)
    publish(sql)
    sql.value("select jobs.reconcile(%s, '{}', 1)", worker)

    with pytest.raises(psycopg.errors.LockNotAvailable):
        sql.value("select jobs.exchange(%s, i_num => 1, i_era => 0)", worker)
    assert _running(sql) == 0
    assert len(sql.value("select jobs.exchange(%s, i_num => 1, i_era => 1)", worker)["jobs"]) == 1


def test_a_reconciliation_says_how_many_runs_others_hold_locked(sql: Session, sessions: Opener) -> None:
    """A limit that is set meanwhile has the runs hold it: what was passed over lay until its timeout."""
    worker = start_worker(sql)
    publish(sql)
    publish(sql)
    locked, _ = (job[0] for job in exchange(sql, worker, 2)["jobs"])
    adopting = sessions()
    adopting.begin()
    adopting.value("select id from howdah.running where id = %s for no key update", locked)

    assert _reconcile(sql, worker, 1) == (1, 1)
    adopting.commit()
    assert _reconcile(sql, worker, 2) == (1, 0)
    assert violations(sql) == []


def test_a_reconciliation_that_comes_after_a_later_one_takes_nothing_back(sql: Session) -> None:
    """Its answer was lost, and the worker has claimed on since; what it says is held is out of date."""
    worker = start_worker(sql)
    publish(sql)
    assert _reconcile(sql, worker, 2) == (0, 0)
    sql.value("select jobs.exchange(%s, i_num => 1, i_era => 2)", worker)

    for era in (1, 2):
        with pytest.raises(psycopg.errors.LockNotAvailable):
            _reconcile(sql, worker, era)
    assert _running(sql) == 1


def test_no_exchange_of_a_worker_claims_while_its_runs_are_handed_back(
    sql: Session, sessions: Opener
) -> None:
    worker = start_worker(sql)
    publish(sql)
    reconciling = sessions()
    reconciling.begin()
    assert _reconcile(reconciling, worker) == (0, 0)

    with pytest.raises(psycopg.errors.LockNotAvailable):
        exchange(sql, worker, 1)
    reconciling.commit()

    assert len(exchange(sql, worker, 1)["jobs"]) == 1
