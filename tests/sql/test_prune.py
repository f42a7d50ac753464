"""prune: finished jobs go when their time to be kept is over, and nothing else does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sql.steps import counts, publish, state, take

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.clock import Clock
    from tests.fixtures.sessions import Session

DAY = 86400


def end(sql: Session, how: str, **options: Any) -> str:
    job_id = publish(sql, **options)
    if how == "cancelled":
        sql.execute("select jobs.cancel(%s)", job_id)
        return job_id
    take(sql)
    sql.execute(
        "select jobs.ack(%s)" if how == "succeeded" else "select jobs.nack(%s, i_final => true)", job_id
    )
    return job_id


def left(sql: Session, job_id: str) -> bool:
    return bool(sql.rows("select * from jobs.get(%s)", job_id))


@pytest.mark.parametrize(
    ("how", "options", "kept"),
    [
        ("succeeded", {}, 7 * DAY),
        ("failed", {}, 30 * DAY),
        ("cancelled", {}, 30 * DAY),
        ("succeeded", {"result_ttl": 5}, 5),
        ("succeeded", {"failure_ttl": 5}, 7 * DAY),
        ("failed", {"failure_ttl": 5}, 5),
        ("failed", {"result_ttl": 5}, 30 * DAY),
        ("cancelled", {"failure_ttl": 5}, 5),
        ("succeeded", {"result_ttl": 0}, 0),
        ("succeeded", {"result_ttl": 60 * DAY}, 60 * DAY),
    ],
)
def test_a_finished_job_is_kept_exactly_so_long(
    sql: Session, clock: Clock, how: str, options: dict[str, Any], kept: int
) -> None:
    job_id = end(sql, how, **options)

    if kept:
        clock.advance(kept - 0.001)
        assert sql.value("select jobs.prune()") == 0
        assert left(sql, job_id)
    clock.advance(0.001)

    assert sql.value("select jobs.prune()") == 1
    assert set(counts(sql).values()) == {0}


@pytest.mark.parametrize(("how", "option"), [("succeeded", "result_ttl"), ("failed", "failure_ttl")])
def test_minus_one_keeps_for_ever(sql: Session, clock: Clock, how: str, option: str) -> None:
    job_id = end(sql, how, **{option: -1})
    clock.advance(200 * 365 * DAY)

    assert sql.value("select jobs.prune('0')") == 0
    assert left(sql, job_id)


def test_an_age_given_replaces_the_usual_ones_but_not_a_job_s_own(sql: Session, clock: Clock) -> None:
    usual, own = end(sql, "succeeded"), end(sql, "failed", failure_ttl=2 * DAY)
    clock.advance(DAY)

    assert sql.value("select jobs.prune('1 day')") == 1

    assert (left(sql, usual), left(sql, own)) == (False, True)


def test_unfinished_jobs_are_never_pruned(sql: Session, clock: Clock) -> None:
    running, ready, later = publish(sql, timeout=10 * 365 * DAY), publish(sql), publish(sql, delay=400 * DAY)
    take(sql)
    clock.advance(365 * DAY)

    assert sql.value("select jobs.prune('0')") == 0

    states = [state(sql, job_id) for job_id in (running, ready, later)]
    assert states == ["running", "ready", "scheduled"]


def test_no_more_are_pruned_than_asked(sql: Session) -> None:
    for _ in range(5):
        end(sql, "succeeded")

    assert [sql.value("select jobs.prune('0', 2)") for _ in range(4)] == [2, 2, 1, 0]


def test_what_is_known_of_a_pruned_job_goes_with_it(sql: Session) -> None:
    job_id = publish(sql, ttl=3600, backoff=[0], max_retries=2)
    for _ in range(3):
        take(sql)
        sql.execute("select jobs.nack(%s, 'boom')", job_id)

    assert sql.value("select jobs.prune('0')") == 1

    assert set(counts(sql).values()) == {0}
    assert sql.rows("select * from jobs.fsck()") == []


def test_a_pruned_key_is_free_again(sql: Session) -> None:
    end(sql, "succeeded", key="k")
    assert sql.value("select created from jobs.publish('a', i_key => 'k')") is False

    sql.execute("select jobs.prune('0')")

    assert sql.value("select created from jobs.publish('a', i_key => 'k')") is True


def test_a_job_that_somebody_holds_is_left_for_the_next_time(
    sql: Session, sessions: Callable[..., Session]
) -> None:
    held = end(sql, "succeeded")
    end(sql, "succeeded")
    holder = sessions()
    holder.begin()
    holder.execute("select jobs.retry(%s)", held)

    assert sql.value("select jobs.prune('0')") == 1
    holder.commit()

    assert state(sql, held) == "ready"
    assert sql.rows("select * from jobs.fsck()") == []


def test_the_chores_prune(sql: Session, clock: Clock) -> None:
    end(sql, "succeeded")
    clock.advance(7 * DAY)

    chores = {row["chore"]: row["jobs"] for row in sql.rows("select * from jobs.maintain()")}

    assert chores["pruned"] == 1
    assert set(counts(sql).values()) == {0}


def test_a_job_retried_and_ended_anew_is_kept_anew(sql: Session, clock: Clock) -> None:
    job_id = end(sql, "succeeded")
    clock.advance(6 * DAY)
    sql.execute("select jobs.retry(%s)", job_id)
    take(sql)
    sql.execute("select jobs.ack(%s)", job_id)
    clock.advance(2 * DAY)

    assert sql.value("select jobs.prune()") == 0
