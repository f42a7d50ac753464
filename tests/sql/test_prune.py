"""prune: finished jobs go when their time to be kept is over, and nothing else does."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.sql.steps import counts, publish, start_worker, state, take

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


@pytest.mark.parametrize(
    ("how", "setting", "kept"),
    [
        ("succeeded", "i_result_ttl => 60", 60),
        ("succeeded", "i_failure_ttl => 60", 7 * DAY),
        ("succeeded", "i_result_ttl => 60 * 86400", 60 * DAY),
        ("failed", "i_failure_ttl => 60", 60),
        ("cancelled", "i_failure_ttl => 60 * 86400", 60 * DAY),
        ("failed", "i_result_ttl => 60", 30 * DAY),
        ("succeeded", "i_result_ttl => 0", 0),
    ],
)
@pytest.mark.parametrize("before", [True, False], ids=["ended before", "ended after"])
def test_a_queue_keeps_its_finished_jobs_exactly_so_long(
    sql: Session, clock: Clock, how: str, setting: str, kept: int, before: bool
) -> None:
    if not before:
        sql.execute(f"select jobs.set_queue('mail', {setting})")
    job_id, other = end(sql, how, queue="mail"), end(sql, "succeeded", queue="other", result_ttl=-1)
    if before:
        sql.execute(f"select jobs.set_queue('mail', {setting})")

    if kept:
        clock.advance(kept - 0.001)
        assert sql.value("select jobs.prune()") == 0
    clock.advance(0.001)

    assert sql.value("select jobs.prune()") == 1
    assert (left(sql, job_id), left(sql, other)) == (False, True)
    assert sql.rows("select * from jobs.fsck()") == []


def test_what_a_queue_keeps_is_in_nobody_s_way(sql: Session, clock: Clock) -> None:
    sql.execute("select jobs.set_queue('kept', -1)")
    sql.execute("select jobs.set_queue('brief', 60)")
    kept = [end(sql, "succeeded", queue="kept") for _ in range(5)]
    usual = end(sql, "succeeded", queue="usual")
    brief = [end(sql, "succeeded", queue="brief") for _ in range(5)]

    clock.advance(60)
    assert [sql.value("select jobs.prune(null, 3)") for _ in range(3)] == [3, 2, 0]
    assert [left(sql, job_id) for job_id in (*kept, usual, *brief)] == [True] * 6 + [False] * 5
    clock.advance(7 * DAY)
    assert sql.value("select jobs.prune()") == 1
    assert [left(sql, job_id) for job_id in (*kept, usual)] == [True] * 5 + [False]


def test_a_time_of_the_job_or_its_task_comes_before_its_queue_s(sql: Session, clock: Clock) -> None:
    sql.execute("select jobs.set_queue('mail', 60)")
    start_worker(sql, {"name": "shop.report", "queue": "mail", "result_ttl": 600})
    own = end(sql, "succeeded", queue="mail", result_ttl=300)
    task_s = end(sql, "succeeded", task="shop.report")
    clock.advance(299)
    assert sql.value("select jobs.prune()") == 0
    clock.advance(1)
    assert (sql.value("select jobs.prune()"), left(sql, own)) == (1, False)
    clock.advance(300)
    assert (sql.value("select jobs.prune()"), left(sql, task_s)) == (1, False)


def test_the_queue_of_a_job_that_names_none_is_its_task_s(sql: Session, clock: Clock) -> None:
    sql.execute("select jobs.set_queue('mail', 60)")
    start_worker(sql, {"name": "shop.report", "queue": "mail"})
    job_id = end(sql, "succeeded", task="shop.report")
    clock.advance(60)
    assert (sql.value("select jobs.prune()"), left(sql, job_id)) == (1, False)


def test_what_is_not_given_stays_as_it_was(sql: Session) -> None:
    sql.execute("select jobs.pause_queue('mail', 'why not')")
    sql.execute("select jobs.set_queue('mail', i_result_ttl => 60)")
    sql.execute("select jobs.set_queue('mail', i_failure_ttl => -1)")
    sql.execute("select jobs.set_queue('mail')")
    row = sql.row(
        "select queue, paused_at is not null as paused, reason, result_ttl, failure_ttl from jobs.queues"
    )
    assert row == {"queue": "mail", "paused": True, "reason": "why not", "result_ttl": 60, "failure_ttl": -1}

    sql.execute("select jobs.resume_queue('mail')")
    row = sql.row("select paused_at, reason, result_ttl, failure_ttl from jobs.queues")
    assert row == {"paused_at": None, "reason": None, "result_ttl": 60, "failure_ttl": -1}
    assert {
        (row["name"], row["value"]) for row in sql.rows("select * from jobs.stats() where queue = 'mail'")
    } == {
        ("result_ttl", 60),
        ("failure_ttl", -1),
    }


def test_a_queue_s_time_holds_again_after_it_was_changed_twice(sql: Session, clock: Clock) -> None:
    job_id = end(sql, "succeeded", queue="mail")
    for seconds in (-1, 30 * DAY, 60):
        sql.execute("select jobs.set_queue('mail', %s)", seconds)
        clock.advance(20)
        sql.rows("select * from jobs.maintain()")
        assert left(sql, job_id) is (seconds != 60)
    assert sql.rows("select * from jobs.fsck()") == []


def chores(sql: Session) -> int:
    pruned: int = sql.value("select jobs from jobs.maintain() where chore = 'pruned'")
    return pruned


def test_the_chores_prune_what_ends_while_a_sweep_goes_on(sql: Session, clock: Clock) -> None:
    sql.execute("select jobs.set_queue('mail', 3600)")
    found = []
    for _ in range(6):
        end(sql, "succeeded", queue="mail")
        end(sql, "succeeded", queue="usual")
        clock.advance(1200)
        found.append(chores(sql))
    assert found == [0, 0, 1, 1, 1, 1]


def test_a_job_held_while_a_sweep_passed_is_found_by_the_next_one(
    sql: Session, clock: Clock, sessions: Callable[..., Session]
) -> None:
    held, passed = end(sql, "succeeded"), end(sql, "succeeded")
    clock.advance(8 * DAY)
    assert left(sql, passed)
    holder = sessions()
    holder.begin()
    holder.execute("select from howdah.finished where id = %s for update", int(held))
    assert chores(sql) == 1
    holder.rollback()

    assert chores(sql) == 0
    clock.advance(DAY + 1)

    assert chores(sql) == 1
    assert not left(sql, held)


def test_who_asks_by_hand_is_told_of_what_a_sweep_has_passed(
    sql: Session, clock: Clock, sessions: Callable[..., Session]
) -> None:
    held = end(sql, "succeeded")
    clock.advance(8 * DAY)
    holder = sessions()
    holder.begin()
    holder.execute("select from howdah.finished where id = %s for update", int(held))
    assert chores(sql) == 0
    holder.rollback()

    assert sql.value("select jobs.prune()") == 1


def test_a_sweep_that_somebody_holds_open_stops_nobody_else(
    sql: Session, clock: Clock, sessions: Callable[..., Session]
) -> None:
    end(sql, "succeeded")
    clock.advance(8 * DAY)
    holder = sessions()
    holder.begin()
    holder.rows("select * from jobs.maintain()")
    late = end(sql, "succeeded")
    clock.advance(8 * DAY)

    assert chores(sql) == 1
    assert not left(sql, late)
    holder.rollback()


def test_many_that_ended_in_one_moment_are_no_trap_for_a_sweep(sql: Session, clock: Clock) -> None:
    sql.execute("select jobs.set_queue('kept', -1)")
    sql.execute(
        "select cardinality(jobs.publish_each('a', to_jsonb(array_fill(1, array[2500])), i_queue => 'kept'))"
    )
    sql.rows("select jobs.cancel(q.job_id) from jobs.job_queue q")
    sql.execute("update howdah.finished set state = 'succeeded', kind = null, finished_at = howdah.now()")
    last = end(sql, "succeeded", queue="usual")
    clock.advance(7 * DAY)

    assert (chores(sql) + chores(sql), left(sql, last)) == (1, False), "a call stops after 25 ms"


def test_a_clock_that_is_set_back_begins_a_sweep_anew(sql: Session, clock: Clock) -> None:
    sql.execute("select jobs.prune('0')")
    clock.advance(-3600)
    job_id = end(sql, "succeeded")

    assert (sql.value("select jobs.prune('0')"), left(sql, job_id)) == (1, False)


@pytest.mark.parametrize(
    ("how", "queue", "options", "words"),
    [
        ("succeeded", "usual", {}, "until 2030-01-08 00:00:00+00"),
        ("succeeded", "mail", {}, "until 2030-01-01 00:01:00+00"),
        ("succeeded", "mail", {"result_ttl": 120}, "until 2030-01-01 00:02:00+00"),
        ("succeeded", "mail", {"result_ttl": -1}, "for ever"),
        ("failed", "mail", {}, "for ever"),
        ("failed", "usual", {}, "until 2030-01-31 00:00:00+00"),
    ],
)
def test_why_says_how_long_a_finished_job_is_kept(
    sql: Session, clock: Clock, how: str, queue: str, options: dict[str, Any], words: str
) -> None:
    sql.execute("set timezone = 'UTC'")
    sql.execute("select jobs.set_queue('mail', 60, -1)")
    clock.set(datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC))
    job_id = end(sql, how, queue=queue, **options)

    assert f"kept {words}" in sql.value("select jobs.why(%s)", job_id)


def test_fsck_finds_a_time_to_keep_that_nobody_sweeps(sql: Session) -> None:
    sql.execute("select jobs.set_queue('mail', 60)")
    sql.execute("delete from howdah.sweep where ttl = 60")
    assert [row["violation"] for row in sql.rows("select * from jobs.fsck()")] == [
        "time to keep without a sweep"
    ]
