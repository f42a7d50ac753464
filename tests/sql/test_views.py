"""What the views show of a job in each of its states."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.sql.steps import exchange, publish, start_worker, take

if TYPE_CHECKING:
    from tests.fixtures.clock import Clock
    from tests.fixtures.sessions import Session

PGJOBS = [
    "id",
    "job_id",
    "task",
    "body",
    "retries",
    "max_retries",
    "priority",
    "timeout",
    "created_at",
    "run_at",
    "scheduled_at",
]
OWN = [
    "status",
    "queue",
    "state",
    "attempt",
    "run_id",
    "kind",
    "reason",
    "worker_id",
    "headers",
    "meta",
    "key",
]
ENDED = ["complete_on", "result", "traceback", "error"]
UNFINISHED = ("job_queue", "running", "expired")


def columns(sql: Session, view: str) -> list[str]:
    rows = sql.rows(
        "select attname::text as name from pg_attribute"
        " where attrelid = ('jobs.' || quote_ident(%s))::regclass and attnum > 0 order by attnum",
        view,
    )
    return [row["name"] for row in rows]


@pytest.mark.parametrize("view", UNFINISHED)
def test_unfinished_jobs_have_these_columns(sql: Session, view: str) -> None:
    assert columns(sql, view) == PGJOBS + OWN


@pytest.mark.parametrize("view", ["job", "all"])
def test_finished_jobs_have_these_columns_in_addition(sql: Session, view: str) -> None:
    assert columns(sql, view) == PGJOBS + OWN + ENDED


def test_pgjobs_columns_have_these_types(sql: Session) -> None:
    rows = sql.rows(
        "select format_type(atttypid, atttypmod) as type from pg_attribute"
        " where attrelid = 'jobs.all'::regclass and attnum between 1 and 11 order by attnum"
    )

    moment = "timestamp with time zone"
    assert [row["type"] for row in rows] == [
        "bigint", "text", "text", "jsonb", "integer", "integer", "integer", "numeric", moment, moment, moment,
    ]  # fmt: skip


def shown(sql: Session, job_id: str) -> set[str]:
    """Return the views that show the job."""
    views = (*UNFINISHED, "job", "all")
    return {v for v in views if sql.rows(f'select 1 from jobs."{v}" where job_id = %s', job_id)}


@pytest.mark.parametrize("delay", [0, 60])
def test_a_waiting_job_is_in_the_queue(sql: Session, delay: int) -> None:
    assert shown(sql, publish(sql, delay=delay)) == {"job_queue", "all"}


def test_a_running_job_is_running_and_later_expired(sql: Session, clock: Clock) -> None:
    job_id = publish(sql)
    take(sql)
    assert shown(sql, job_id) == {"job_queue", "running", "all"}

    clock.advance(61)

    assert shown(sql, job_id) == {"job_queue", "running", "expired", "all"}


def test_a_finished_job_is_a_job(sql: Session) -> None:
    job_id = publish(sql)
    take(sql)
    sql.execute("select jobs.ack(%s)", job_id)

    assert shown(sql, job_id) == {"job", "all"}


def test_the_status_words_are_those_of_pgjobs(sql: Session) -> None:
    for key in ("ready", "later", "running", "retry", "good", "bad", "gone"):
        publish(sql, key=key, delay=60 if key == "later" else 0)
    sql.rows("select * from jobs.consume(10)")
    sql.execute("select jobs.release('ready')")
    sql.execute("select jobs.nack('retry')")
    sql.execute("select jobs.ack('good')")
    sql.execute("select jobs.nack('bad', i_final => true)")
    sql.execute("select jobs.cancel('gone')")
    sql.execute("select jobs.nack('gone')")

    rows = sql.rows('select key, status, state from jobs."all" order by id')

    assert {row["key"]: (row["status"], row["state"]) for row in rows} == {
        "ready": ("pending", "ready"),
        "later": ("pending", "scheduled"),
        "running": ("running", "running"),
        "retry": ("pending", "scheduled"),
        "good": ("success", "succeeded"),
        "bad": ("failed", "failed"),
        "gone": ("cancelled", "cancelled"),
    }


def test_moments_of_a_job_s_life(sql: Session, clock: Clock) -> None:
    created = clock.now()
    job_id = publish(sql, delay=10)
    clock.advance(20)
    take(sql)
    running = sql.row("select created_at, scheduled_at, run_at, complete_on from jobs.all")
    clock.advance(5)
    sql.execute("select jobs.ack(%s)", job_id)

    ended = sql.row("select created_at, scheduled_at, run_at, complete_on from jobs.all")

    after = {n: created + timedelta(seconds=n) for n in (10, 20, 25)}
    assert running == {
        "created_at": created,
        "scheduled_at": after[10],
        "run_at": after[20],
        "complete_on": None,
    }
    assert ended == {**running, "complete_on": after[25]}


def test_retries_are_the_attempts_already_failed(sql: Session) -> None:
    job_id = publish(sql, backoff=[0])
    seen = []

    for _ in range(3):
        seen.append(take(sql)["retries"])
        sql.execute("select jobs.nack(%s)", job_id)
        seen.append(sql.value("select retries from jobs.job_queue"))
    take(sql)
    sql.execute("select jobs.ack(%s)", job_id)

    assert seen == [0, 1, 1, 2, 2, 3]
    assert sql.value("select retries from jobs.job") == 3


def test_a_retry_shows_when_it_is_due_and_a_job_that_ended_its_last_error(sql: Session, clock: Clock) -> None:
    job_id = publish(sql, max_retries=1)
    take(sql)
    sql.execute("select jobs.nack(%s, 'one', i_delay => 30)", job_id)
    assert sql.row("select kind, scheduled_at from jobs.job_queue") == {
        "kind": "retry",
        "scheduled_at": clock.now() + timedelta(seconds=30),
    }
    clock.advance(30)
    take(sql)

    sql.execute("select jobs.nack(%s, E'many\nlines\ntwo')", job_id)

    row = sql.row("select kind, error, traceback from jobs.job")
    assert row == {"kind": "error", "error": "two", "traceback": "many\nlines\ntwo"}


def test_a_job_that_succeeded_after_failures_shows_no_error(sql: Session) -> None:
    job_id = publish(sql, backoff=[0])
    take(sql)
    sql.execute("select jobs.nack(%s, 'boom')", job_id)
    take(sql)
    sql.execute("select jobs.ack(%s)", job_id)

    row = sql.row("select status, kind, error, traceback from jobs.job")
    assert row == {"status": "success", "kind": None, "error": None, "traceback": None}


def test_all_shows_every_job_once(sql: Session) -> None:
    for number in range(12):
        publish(sql, delay=60 if number % 3 == 0 else 0)
    for job in sql.rows("select job_id from jobs.consume(4)")[:2]:
        sql.execute("select jobs.ack(%s)", job["job_id"])

    row = sql.row('select count(*), count(distinct id) as jobs from jobs."all"')

    assert row == {"count": 12, "jobs": 12}


def test_queues_count_their_jobs(sql: Session, clock: Clock) -> None:
    for queue, number in (("a", 3), ("b", 1)):
        for _ in range(number):
            publish(sql, queue=queue)
    publish(sql, queue="a", delay=60)
    sql.rows("select * from jobs.consume(1, array['a'])")
    sql.execute("select jobs.pause_queue('c', 'not yet')")

    rows = sql.rows("select * from jobs.queues order by queue")

    kept = {"result_ttl": None, "failure_ttl": None, "ageing": None}
    empty = {"paused_at": None, "reason": None, **kept}
    assert rows == [
        {"queue": "a", "ready": 2, "running": 1, "waiting": 1, **empty},
        {"queue": "b", "ready": 1, "running": 0, "waiting": 0, **empty},
        {
            "queue": "c",
            "ready": 0,
            "running": 0,
            "waiting": 0,
            "paused_at": clock.now(),
            "reason": "not yet",
            **kept,
        },
    ]


def test_workers_count_their_runs_and_tell_whether_they_live(sql: Session, clock: Clock) -> None:
    publish(sql, "a.b")
    worker = start_worker(sql, "a.b")
    exchange(sql, worker, num=1, sleep=True)
    assert sql.row("select running, alive, asleep from jobs.workers") == {
        "running": 1, "alive": True, "asleep": False,
    }  # fmt: skip

    clock.advance(16)

    assert sql.value("select alive from jobs.workers") is False


def test_stats_are_flat_numbers(sql: Session, clock: Clock) -> None:
    publish(sql, queue="a")
    publish(sql, queue="a", delay=60)
    clock.advance(7)
    sql.execute("select jobs.pause_queue('b')")
    start_worker(sql, "a.b")

    rows = sql.rows("select * from jobs.stats()")

    numbers = {(row["name"], row["queue"]): row["value"] for row in rows}
    expected = {
        ("ready", "a"): 1, ("scheduled", "a"): 1, ("oldest_ready_seconds", "a"): 7, ("workers", None): 1,
        ("paused", "b"): 1, ("expired", None): 0,
    }  # fmt: skip
    assert expected.items() <= numbers.items()
    assert all(value is not None for value in numbers.values())


def test_unfinished_counts_what_a_burst_waits_for(sql: Session) -> None:
    publish(sql, queue="a")
    publish(sql, queue="b")
    publish(sql, queue="b", delay=60)
    publish(sql, queue="paused")
    sql.execute("select jobs.pause_queue('paused')")
    sql.rows("select * from jobs.consume(1, array['a'])")

    assert sql.value("select jobs.unfinished()") == 2
    assert sql.value("select jobs.unfinished(array['b'])") == 1
    assert sql.value("select jobs.unfinished(array['c'])") == 0


def test_a_topic_narrows_what_a_burst_waits_for_and_what_it_leaves(sql: Session) -> None:
    publish(sql, "shop.mail")
    publish(sql, "shop_mail")
    publish(sql, "shop.mail", delay=60)
    publish(sql, "shop_mail", delay=60)
    publish(sql, "shop.mail", queue="paused")
    sql.execute("select jobs.pause_queue('paused')")

    assert sql.value("select jobs.unfinished(i_topic => 'shop.%')") == 1
    assert sql.value("select jobs.unfinished()") == 2
    left = sql.rows("select * from jobs.left_over(i_topic => 'shop.%')")
    assert left == [{"reason": "due later", "jobs": 1}, {"reason": "queue paused", "jobs": 1}]
    assert sql.rows("select * from jobs.left_over(array['default'])") == [{"reason": "due later", "jobs": 2}]
