"""consume and consume_topic: who gets which job, in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from psycopg.types.json import Jsonb

from tests.sql.steps import consume, exchange, publish, start_worker, state, take

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.clock import Clock
    from tests.fixtures.sessions import Session


def tasks(session: Session, query: str, *args: object) -> list[str]:
    return [row["task"] for row in session.rows(query, *args)]


@pytest.mark.parametrize(
    ("topic", "taken"),
    [
        ("topic.xxx.%", ["topic.xxx.a", "topic.xxx.b_c"]),
        ("topic.%.a", ["topic.xxx.a"]),
        ("topic.xxx.b_c", ["topic.xxx.b_c"]),
        ("%b_c", ["topic.xxx.b_c"]),
        ("%", ["topic.xxx.a", "topicyxxx.a", "topic.xxx.b_c", "topic_xxx.a"]),
        ("topic_xxx.%", ["topic_xxx.a"]),
        ("topic.xxx", []),
        ("TOPIC.%", []),
        ("topic.xxx.\\%", []),
        ("", []),
    ],
)
def test_only_the_percent_sign_is_a_wildcard(sql: Session, topic: str, taken: list[str]) -> None:
    for task in ("topic.xxx.a", "topicyxxx.a", "topic.xxx.b_c", "topic_xxx.a"):
        publish(sql, task)

    assert tasks(sql, "select task from jobs.consume_topic(%s, 10)", topic) == taken


def test_a_topic_finds_its_jobs_behind_others(sql: Session) -> None:
    sql.rows("select * from jobs.publish_many((select jsonb_agg(jsonb_build_object('task', 'other.' || n))"
             " from generate_series(1, 2000) n))")  # fmt: skip
    publish(sql, "mine.a")

    assert tasks(sql, "select task from jobs.consume_topic('mine.%', 10)") == ["mine.a"]


def test_consume_takes_no_more_than_asked(sql: Session) -> None:
    for number in range(7):
        publish(sql, queue=f"q{number % 3}", priority=number % 2)

    assert [len(consume(sql, 3)) for _ in range(4)] == [3, 3, 1, 0]


def test_one_is_what_consume_takes_by_itself(sql: Session) -> None:
    for _ in range(2):
        publish(sql)

    assert len(sql.rows("select * from jobs.consume()")) == 1


def test_first_in_first_out_within_a_priority(sql: Session) -> None:
    given = [publish(sql, priority=n % 3) for n in range(30)]

    order = [job["job_id"] for job in consume(sql, 30)]

    assert order == given[2::3] + given[1::3] + given[0::3]


def test_a_job_that_came_back_stands_at_the_end_of_its_lane(sql: Session) -> None:
    first, second = publish(sql), publish(sql)
    assert take(sql)["job_id"] == first

    sql.execute("select jobs.release(%s)", first)

    assert [job["job_id"] for job in consume(sql)] == [second, first]


def test_scheduled_jobs_become_ready_in_the_order_of_their_times(sql: Session, clock: Clock) -> None:
    for seconds in (30, 10, 20):
        publish(sql, f"after.{seconds}", delay=seconds)

    clock.advance(30)

    assert [job["task"] for job in consume(sql)] == ["after.10", "after.20", "after.30"]


def test_queues_narrow_what_is_taken(sql: Session) -> None:
    for queue in ("a", "b", "c"):
        publish(sql, queue=queue)

    rows = sql.rows("select * from jobs.consume(10, array['a', 'c'])")

    assert [row["queue"] for row in rows] == ["a", "c"]
    assert tasks(sql, "select queue as task from jobs.consume(10)") == ["b"]


def test_a_paused_queue_is_left_out_until_it_is_resumed(sql: Session) -> None:
    publish(sql, queue="mail")
    sql.execute("select jobs.pause_queue('mail', 'smtp is down')")

    assert consume(sql) == []
    assert sql.rows("select * from jobs.consume(1, array['mail'])") == []

    sql.execute("select jobs.resume_queue('mail')")
    assert len(consume(sql)) == 1


def test_a_queue_may_be_paused_before_its_first_job(sql: Session) -> None:
    sql.execute("select jobs.pause_queue('later')")
    publish(sql, queue="later")

    assert consume(sql) == []


def test_the_row_says_who_runs_what(sql: Session, clock: Clock) -> None:
    job_id = publish(sql, "a.b", body=Jsonb([1]), timeout=5)

    row = take(sql)

    assert (row["job_id"], row["task"], row["body"], row["retries"]) == (job_id, "a.b", [1], 0)
    assert (row["status"], row["state"], row["attempt"], row["worker_id"]) == ("running", "running", 1, None)
    assert row["run_at"] == clock.now()
    assert row["run_id"] is not None


def test_two_consumers_never_get_the_same_job(sql: Session, sessions: Callable[..., Session]) -> None:
    other = sessions()
    given = {publish(sql) for _ in range(4)}
    sql.begin()
    other.begin()

    mine, others = consume(sql, 2), consume(other, 10)

    sql.commit()
    other.commit()
    assert len(mine) == len(others) == 2
    assert {job["job_id"] for job in mine + others} == given


def test_a_claim_that_is_rolled_back_leaves_the_job_ready(
    sql: Session, sessions: Callable[..., Session]
) -> None:
    job_id = publish(sql)
    sql.begin()
    take(sql)
    sql.rollback()

    assert state(sql, job_id) == "ready"
    assert take(sessions())["attempt"] == 1


def test_consume_takes_back_what_is_past_its_timeout(sql: Session, clock: Clock) -> None:
    job_id = publish(sql, timeout=5, backoff=[0])
    run_id = take(sql)["run_id"]

    clock.advance(5.001)
    row = take(sql)

    assert (row["job_id"], row["attempt"], row["retries"]) == (job_id, 2, 1)
    assert row["run_id"] != run_id
    assert sql.row("select attempt, run_id, kind from jobs.failures(%s)", job_id) == {
        "attempt": 1, "run_id": run_id, "kind": "timeout",
    }  # fmt: skip


def test_the_last_timeout_ends_the_job(sql: Session, clock: Clock) -> None:
    job_id = publish(sql, timeout=5, max_retries=0)
    take(sql)
    clock.advance(6)

    assert consume(sql) == []

    job = sql.row("select status, kind, attempt from jobs.get(%s)", job_id)
    assert job == {"status": "failed", "kind": "timeout", "attempt": 1}


def test_consume_takes_back_the_runs_of_a_worker_past_its_lease(sql: Session, clock: Clock) -> None:
    job_id = publish(sql, "a.b")
    worker = start_worker(sql, "a.b", lease=15)
    assert len(exchange(sql, worker, num=1)["jobs"]) == 1

    clock.advance(15)
    assert consume(sql) == []
    clock.advance(0.001)
    row = take(sql)

    assert (row["job_id"], row["attempt"]) == (job_id, 1), "a death costs no attempt"


def test_between_queues_of_one_priority_the_longest_waiting_job_comes_first(sql: Session) -> None:
    for queue in ("z", "a", "m"):
        publish(sql, queue=queue)

    assert tasks(sql, "select queue as task from jobs.consume(1)") == ["z"]
    assert tasks(sql, "select queue as task from jobs.consume(1)") == ["a"]


def test_a_consumer_alone_knows_every_task(sql: Session, clock: Clock) -> None:
    job_id = publish(sql, "nobody.knows")
    worker = start_worker(sql, "other")
    for _ in range(2):
        sql.execute("select jobs.maintain()")
    assert state(sql, job_id) == "blocked"

    sql.execute("select jobs.worker_stopped(%s)", worker)

    assert take(sql)["job_id"] == job_id


def test_a_parked_job_of_a_paused_queue_stays_where_it_is(sql: Session) -> None:
    """Its queue is known by its task's registration only."""
    job_id = publish(sql, "known.late")
    first = start_worker(sql, "other")
    for _ in range(2):
        sql.execute("select jobs.maintain()")
    assert state(sql, job_id) == "blocked"
    worker = start_worker(sql, {"name": "known.late", "queue": "mail"})
    assert [run[0] for run in exchange(sql, worker, num=1)["jobs"]] == [int(job_id)]
    run_id = sql.value("select run_id from jobs.running")
    exchange(sql, worker, [int(job_id), run_id, "parked", "task", "cannot be imported"])
    sql.execute("select jobs.pause_queue('mail')")

    assert consume(sql) == []
    assert first != worker
