"""Limits that are set while others hold the runs that they are to count: none is forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.race.steps import consume, finish, publish, violations

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.sessions import Session

    Opener = Callable[..., Session]

ENDS = [
    "select jobs.ack(%s)",
    "select jobs.nack(%s)",
    "select jobs.release(%s)",
    "select jobs.delete(%s, i_force => true)",
]


def limit(session: Session) -> None:
    """Let one job of queue q run at a time."""
    session.execute("select jobs.set_queue('q', i_max_running => 1)")


def a_second_later(session: Session) -> None:
    """Make new limits look as if they had been looked at a second ago."""
    session.execute("update howdah.limits set looked_at = looked_at - interval '1 s'")


@pytest.mark.parametrize("end", ENDS)
def test_a_run_whose_end_is_rolled_back_counts_for_a_limit_set_meanwhile(
    sql: Session, sessions: Opener, end: str
) -> None:
    running, waiting = publish(sql, 2)
    assert consume(sql, 1) == [running]
    ending = sessions()
    ending.begin()
    ending.execute(end, str(running))

    limit(sql)
    assert consume(sql) == []
    ending.rollback()

    assert consume(sql) == []
    finish(sql, [running])
    assert consume(sql) == [waiting]
    assert violations(sql) == []


@pytest.mark.parametrize("end", ENDS)
def test_a_run_whose_end_is_committed_is_not_counted(sql: Session, sessions: Opener, end: str) -> None:
    running, waiting = publish(sql, 2)
    assert consume(sql, 1) == [running]
    ending = sessions()
    ending.begin()
    ending.execute(end, str(running))

    limit(sql)
    assert consume(sql) == []
    ending.commit()

    assert len(set(consume(sql)) & {running, waiting}) == 1
    assert violations(sql) == []


def test_who_keeps_the_end_of_a_run_open_closes_a_new_limit_for_a_second_only(
    sql: Session, sessions: Opener
) -> None:
    running, waiting = publish(sql, 2)
    assert consume(sql, 1) == [running]
    ending = sessions()
    ending.begin()
    ending.execute("select jobs.ack(%s)", str(running))

    limit(sql)
    assert consume(sql) == []
    a_second_later(sql)

    assert consume(sql) == [waiting]


def test_what_was_counted_before_the_last_one_could_be_is_counted_once(
    sql: Session, sessions: Opener
) -> None:
    first, second, *waiting = publish(sql, 4)
    assert consume(sql, 2) == [first, second]
    ending = sessions()
    ending.begin()
    ending.execute("select jobs.ack(%s)", str(second))

    sql.execute("select jobs.set_queue('q', i_max_running => 2)")
    assert [consume(sql), consume(sql)] == [[], []]
    ending.commit()

    assert consume(sql) == waiting[:1]
    finish(sql, [first])
    assert consume(sql) == waiting[1:]
    assert violations(sql) == []


def test_a_run_that_writes_to_its_log_counts_for_a_limit_set_meanwhile(
    sql: Session, sessions: Opener
) -> None:
    running, _ = publish(sql, 2)
    assert consume(sql, 1) == [running]
    run = sql.value("select run_id from howdah.running")
    writing = sessions()
    writing.begin()
    writing.execute('select jobs.log(%s, %s, \'[["info", "half done"]]\')', str(running), run)

    limit(sql)
    assert consume(sql) == []
    a_second_later(sql)

    assert consume(sql) == []


def test_claims_that_hold_limits_already_do_not_wait_for_each_other(sql: Session, sessions: Opener) -> None:
    """Each holds what the other wants: they would wait until the server ends one of them."""
    claim = "select j.id from jobs.consume(1, array[%s]) j"
    offer = "select jobs.publish('t', i_queue => %s, i_concurrency_key => %s)"
    claims = [(sessions(), "a"), (sessions(), "b")]
    for _, queue in claims:  # a key's row is there from its first job on
        sql.rows(offer, queue, f"key {queue}")
        finish(sql, consume(sql))
    for session, queue in claims:
        sql.rows(offer, queue, f"key {queue}")
        session.begin()
        assert len(session.rows(claim, queue)) == 1
    sql.rows(offer, "a", "key b")
    sql.rows(offer, "b", "key a")

    for session, queue in claims:
        assert session.rows(claim, queue) == []
    assert sql.value("select last_value from howdah.last_patience") == 0, "one of them has waited"
    for session, _ in claims:
        session.commit()
    assert violations(sql) == []


def test_who_finds_a_line_in_another_claims_hands_leaves_its_jobs_alone(
    sql: Session, sessions: Opener
) -> None:
    """One claim had the first job of a line and another one its limit: neither could start it, for ever."""
    options = ", i_concurrency_key => 'key'"
    running, waiting = (
        sql.value(f"select (jobs.publish('t', i_queue => 'q'{options})).id") for _ in range(2)
    )
    assert consume(sql) == [running]
    finish(sql, [running])
    deciding, passing = sessions(), sessions()
    deciding.begin()
    deciding.execute("select from howdah.limits for update")
    passing.begin()
    assert consume(passing) == []
    deciding.rollback()

    assert consume(sql) == [waiting]
    passing.commit()
    assert violations(sql) == []


def test_a_consumer_that_holds_very_many_lines_hides_none_that_is_free(
    sql: Session, sessions: Opener
) -> None:
    for key in range(300):
        options = f", i_concurrency_key => 'key {key}'"
        sql.execute(f"select jobs.publish('t', i_queue => 'q'{options}) from generate_series(1, 2)")
    running = consume(sql, 1000)
    assert len(running) == 300
    finish(sql, running)
    consumer = sessions()
    consumer.begin()
    assert len(consume(consumer, 299)) == 299

    assert len(consume(sql, 1)) == 1
    assert consume(sql, 1) == []
    consumer.rollback()
    assert len(consume(sql, 500)) == 299
    assert violations(sql) == []
