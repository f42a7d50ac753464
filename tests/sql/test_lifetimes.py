"""How long a job may wait, may run and is kept: ttl, timeout, result_ttl and failure_ttl, with 0 and -1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sql.steps import consume, counts, publish, refused, settle, start_worker, state, take

if TYPE_CHECKING:
    from tests.fixtures.clock import Clock
    from tests.fixtures.sessions import Session

YEARS = 100 * 365 * 86400


def end(session: Session, job_id: str, *, well: bool) -> None:
    assert take(session)["job_id"] == job_id
    session.execute(
        "select jobs.ack(%s, '7')" if well else "select jobs.nack(%s, 'no', i_final => true)", job_id
    )


def there(session: Session, job_id: str) -> bool:
    settle(session)
    return bool(session.rows("select 1 from jobs.get(%s)", job_id))


# ── ttl: until it starts ──


def test_a_job_that_has_not_started_when_its_ttl_is_over_is_cancelled_and_says_why(
    sql: Session, clock: Clock
) -> None:
    job_id = publish(sql, ttl=60)
    clock.advance(59)
    settle(sql)
    assert state(sql, job_id) == "ready"

    clock.advance(1)
    settle(sql)

    assert state(sql, job_id) == "cancelled"
    assert "ttl, not started within its time to live" in sql.value("select jobs.why(%s)", job_id)
    assert consume(sql) == []


def test_a_ttl_ends_no_job_that_has_started_once(sql: Session, clock: Clock) -> None:
    running, retried = publish(sql, ttl=60, priority=2), publish(sql, ttl=60, priority=1)
    assert len(consume(sql)) == 2
    sql.execute("select jobs.nack(%s, 'no', i_delay => 3600)", retried)

    clock.advance(61)
    settle(sql)

    assert (state(sql, running), state(sql, retried)) == (
        "scheduled",
        "scheduled",
    )  # past its timeout: tried again


def test_a_delayed_job_expires_too(sql: Session, clock: Clock) -> None:
    job_id = publish(sql, ttl=60, delay=59)
    clock.advance(61)
    settle(sql)

    assert state(sql, job_id) == "cancelled"


def test_a_job_without_a_ttl_waits_for_ever(sql: Session, clock: Clock) -> None:
    job_id = publish(sql)
    clock.advance(YEARS)
    settle(sql)

    assert state(sql, job_id) == "ready"


def test_a_tasks_ttl_holds_for_jobs_published_from_psql(sql: Session, clock: Clock) -> None:
    start_worker(sql, {"name": "a.b", "ttl": 60})
    job_id = publish(sql, "a.b")
    clock.advance(61)
    settle(sql)

    assert state(sql, job_id) == "cancelled"


@pytest.mark.parametrize(
    "options",
    [
        "i_ttl => 0",
        "i_ttl => -1",
        "i_ttl => 'NaN'",
        "i_ttl => 60, i_delay => 60",
        "i_ttl => 60, i_delay => 61",
        "i_ttl => 60, i_scheduled_at => now() + interval '1 hour'",
        "i_ttl => 60, i_scheduled_at => 'infinity'",
    ],
)
def test_a_ttl_that_is_over_before_the_job_could_start_is_refused(sql: Session, options: str) -> None:
    before = counts(sql)

    error = refused(sql, "JB001", f"select jobs.publish('a', {options})")

    assert error.column_name in ("ttl", "scheduled_at")
    assert error.message_hint
    assert counts(sql) == before


def test_a_ttl_in_the_past_is_refused_in_every_form(sql: Session) -> None:
    for call in (
        "select jobs.publish_each('a', '[1]', i_ttl => -5)",
        "select jobs.publish_each('a', '[1]', i_ttl => 5, i_delay => 6)",
        """select jobs.publish_many('[{"task": "a", "ttl": 0}]')""",
        """select jobs.publish_many('[{"task": "a", "ttl": 5, "delay": 6}]')""",
        """select jobs.worker_started('w', '[{"name": "a", "ttl": 0}]')""",
    ):
        assert refused(sql, "JB001", call).column_name == "ttl"


# ── timeout: until a run ends ──


def test_a_run_past_its_jobs_own_timeout_is_tried_again_and_fails_at_last(sql: Session, clock: Clock) -> None:
    job_id = publish(sql, timeout=5, max_retries=1, backoff=[0])
    assert take(sql)["timeout"] == 5
    clock.advance(6)
    assert take(sql)["attempt"] == 2

    clock.advance(6)
    settle(sql)

    job = sql.row("select state, kind from jobs.get(%s)", job_id)
    assert job == {"state": "failed", "kind": "timeout"}


@pytest.mark.parametrize("timeout", [0, -1, "Infinity"])
def test_a_timeout_that_cannot_be_is_refused(sql: Session, timeout: object) -> None:
    assert (
        refused(sql, "JB001", "select jobs.publish('a', i_timeout => %s)", timeout).column_name == "timeout"
    )


# ── result_ttl, failure_ttl: once it has ended ──


@pytest.mark.parametrize(("well", "option"), [(True, "result_ttl"), (False, "failure_ttl")])
def test_an_end_is_kept_so_many_seconds(sql: Session, clock: Clock, well: bool, option: str) -> None:
    options: dict[str, object] = {option: 500}
    job_id = publish(sql, "a.b", **options)
    end(sql, job_id, well=well)
    clock.advance(499)
    assert there(sql, job_id)

    clock.advance(2)

    assert not there(sql, job_id)


@pytest.mark.parametrize(("well", "option"), [(True, "result_ttl"), (False, "failure_ttl")])
def test_0_keeps_no_end_and_minus_1_keeps_it_for_ever(
    sql: Session, clock: Clock, well: bool, option: str
) -> None:
    options: list[dict[str, object]] = [{option: 0, "priority": 2}, {option: -1, "priority": 1}]
    none, for_ever = (publish(sql, "a.b", **each) for each in options)
    end(sql, none, well=well)
    end(sql, for_ever, well=well)

    assert not there(sql, none)
    clock.advance(YEARS)
    assert there(sql, for_ever)
    assert "kept for ever" in sql.value("select jobs.why(%s)", for_ever)


def test_each_of_the_two_counts_for_its_own_end_only(sql: Session) -> None:
    succeeded, failed = publish(sql, failure_ttl=0, priority=2), publish(sql, result_ttl=0, priority=1)
    end(sql, succeeded, well=True)
    end(sql, failed, well=False)

    assert there(sql, succeeded)
    assert there(sql, failed)


def test_what_expired_or_was_cancelled_is_kept_like_a_failure(sql: Session, clock: Clock) -> None:
    expired, cancelled = publish(sql, ttl=1, failure_ttl=0), publish(sql, failure_ttl=0)
    sql.execute("select jobs.cancel(%s)", cancelled)
    clock.advance(2)

    assert not there(sql, expired)
    assert not there(sql, cancelled)


def test_a_result_that_is_not_kept_frees_the_jobs_key(sql: Session) -> None:
    publish(sql, key="k", result_ttl=0)
    end(sql, "k", well=True)
    settle(sql)

    assert sql.value("select created from jobs.publish('a', i_key => 'k')")
