"""The task registry: options that a task declares, and jobs whose task nobody knows yet."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from psycopg.types.json import Jsonb

from tests.sql.steps import consume, exchange, publish, settle, start_worker, state, take

if TYPE_CHECKING:
    from tests.fixtures.clock import Clock
    from tests.fixtures.sessions import Session

UNKNOWN = 20_000
MAIL: dict[str, object] = {"name": "shop.mail", "queue": "mail", "timeout": 3600, "max_retries": 5}
FORMS = {
    "publish": "select * from jobs.publish('shop.mail')",
    "publish_bulk": "select * from jobs.publish_bulk(array[row('shop.mail', null, null, null, null, null)"
    "::jobs.bulk_job])",
    "publish_many": """select * from jobs.publish_many('[{"task": "shop.mail"}]')""",
}
each_form = pytest.mark.parametrize("query", FORMS.values(), ids=FORMS.keys())
OPTIONS = "select queue, timeout, max_retries from jobs.job_queue"


@each_form
def test_a_job_gets_the_options_of_its_task(sql: Session, query: str) -> None:
    start_worker(sql, MAIL)

    sql.rows(query)

    assert sql.row(OPTIONS) == {"queue": "mail", "timeout": 3600, "max_retries": 5}


@each_form
def test_a_job_published_before_the_registration_gets_them_too(sql: Session, query: str) -> None:
    sql.rows(query)

    worker = start_worker(sql, MAIL, queues=["mail"])

    assert sql.row(OPTIONS) == {"queue": "mail", "timeout": 3600, "max_retries": 5}
    ((_, _, _, _, queue, _, timeout, retries, *_),) = exchange(sql, worker, num=1, sleep=True)["jobs"]
    assert (queue, timeout, retries) == ("mail", 3600, 5)


def test_the_timeout_of_the_task_is_what_a_plain_consumer_has(sql: Session, clock: Clock) -> None:
    publish(sql, "shop.mail")
    start_worker(sql, MAIL)
    take(sql)

    clock.advance(3600)
    assert sql.rows("select * from jobs.expired") == []
    clock.advance(0.001)
    assert len(sql.rows("select * from jobs.expired")) == 1


def test_the_retries_of_the_task_are_what_a_job_published_before_has(sql: Session) -> None:
    publish(sql, "shop.mail", backoff=[0])
    start_worker(sql, MAIL)

    for attempt in range(1, 7):
        assert take(sql)["attempt"] == attempt
        sql.execute("select jobs.nack(%s)", sql.value("select job_id from jobs.running"))

    assert sql.value("select state from jobs.job") == "failed"


def test_what_the_publisher_gives_comes_first(sql: Session) -> None:
    start_worker(sql, {**MAIL, "priority": 7})

    publish(sql, "shop.mail", queue="own", timeout=1, max_retries=0, priority=-1)

    row = sql.row("select queue, timeout, max_retries, priority from jobs.job_queue")
    assert row == {"queue": "own", "timeout": 1, "max_retries": 0, "priority": -1}


def test_every_option_of_a_task_counts(sql: Session, clock: Clock) -> None:
    start_worker(
        sql, {"name": "a", "priority": 4, "backoff": [7], "ttl": 50, "result_ttl": 20, "failure_ttl": 30}
    )
    publish(sql, "a", key="kept")
    publish(sql, "a", key="late", priority=-1)
    assert take(sql)["priority"] == 4

    sql.execute("select jobs.nack('kept')")
    assert sql.value("select scheduled_at from jobs.get('kept')") == clock.now() + timedelta(seconds=7)
    clock.advance(50)
    assert take(sql)["job_id"] == "kept"
    assert state(sql, "late") == "cancelled"
    sql.execute("select jobs.ack('kept')")
    clock.advance(19)
    assert sql.value("select jobs.prune()") == 0
    clock.advance(1)
    assert sql.value("select jobs.prune()") == 1
    clock.advance(10)
    assert sql.value("select jobs.prune()") == 1


def test_the_view_shows_tasks_and_who_knows_them(sql: Session, clock: Clock) -> None:
    start_worker(sql, {**MAIL, "signature": "(user_id: int)"})
    start_worker(sql, allow=["shop"])
    registered = clock.now()
    clock.advance(5)
    start_worker(sql, {**MAIL, "signature": "(user_id: int, locale: str)"})

    row = sql.row("select * from jobs.tasks")

    shown = ("task", "queue", "timeout", "max_retries", "signature", "registered_at", "changed_at", "workers")
    assert [row[name] for name in shown] == [
        "shop.mail", "mail", 3600, 5, "(user_id: int, locale: str)", registered, clock.now(), 3,
    ]  # fmt: skip


def test_a_later_registration_replaces_the_options(sql: Session) -> None:
    start_worker(sql, MAIL)
    start_worker(sql, "shop.mail")

    publish(sql, "shop.mail")

    assert sql.row(OPTIONS) == {"queue": "default", "timeout": 60, "max_retries": 3}


def many_unknown(sql: Session) -> None:
    sql.rows(
        "select count(*) from jobs.publish_many((select jsonb_agg(jsonb_build_object("
        "'task', 'unknown.' || n %% 3)) from generate_series(1, %s) n))",
        UNKNOWN,
    )


def test_many_unknown_jobs_in_front_cost_the_known_ones_nothing(sql: Session) -> None:
    many_unknown(sql)
    known = [int(publish(sql, "known")) for _ in range(20)]
    worker = start_worker(sql, "known")
    settle(sql)

    sql.execute("set statement_timeout = '1s'")
    claimed = exchange(sql, worker, num=100)["jobs"]

    assert [run[0] for run in claimed] == known
    assert sql.row("select state, count(*) from jobs.job_queue where task <> 'known' group by state") == {
        "state": "blocked",
        "count": UNKNOWN,
    }


def test_many_unknown_jobs_are_released_when_a_worker_knows_them(sql: Session) -> None:
    many_unknown(sql)
    start_worker(sql, "known")
    settle(sql)

    worker = start_worker(sql, "unknown.0", "unknown.1", "unknown.2")

    assert sql.value("select count(*) from howdah.ready") == UNKNOWN
    runs: list[list[int]] = []
    while claimed := exchange(sql, worker, num=10_000, sleep=True)["jobs"]:
        runs += claimed
    assert len(runs) == UNKNOWN
    assert {run[2] for run in runs} == {1}, "no attempt was burned"
    assert [run[0] for run in runs] == sorted(run[0] for run in runs), "in the order of publishing"
    assert sql.rows("select * from jobs.fsck()") == []


def test_a_parked_job_says_what_it_waits_for(sql: Session) -> None:
    job_id = publish(sql, "shop.unheard_of")
    start_worker(sql, "another")

    settle(sql)

    assert sql.row("select state, kind, attempt, status from jobs.job_queue") == {
        "state": "blocked", "kind": "task", "attempt": 0, "status": "pending",
    }  # fmt: skip
    assert "shop.unheard_of" in sql.value("select jobs.why(%s)", job_id)


def test_a_parked_job_is_claimed_by_no_worker_that_does_not_know_it(sql: Session) -> None:
    publish(sql, "unknown")
    workers = [start_worker(sql, "known"), start_worker(sql, allow=["shop"])]

    for _ in range(3):
        settle(sql)
        for worker in workers:
            assert exchange(sql, worker, num=10, sleep=True)["jobs"] == []


def test_a_parked_job_is_released_by_an_allowed_package(sql: Session) -> None:
    job_id = publish(sql, "shop.mails.send")
    start_worker(sql, "known")
    settle(sql)
    assert state(sql, job_id) == "blocked"

    worker = start_worker(sql, allow=["shop"])

    assert [run[0] for run in exchange(sql, worker, num=1, sleep=True)["jobs"]] == [int(job_id)]


def test_jobs_are_not_parked_while_no_worker_lives(sql: Session) -> None:
    job_id = publish(sql, "unknown")

    settle(sql)

    assert state(sql, job_id) == "ready"


def test_jobs_of_a_queue_nobody_serves_are_not_unknown(sql: Session) -> None:
    job_id = publish(sql, "known", queue="mail")
    start_worker(sql, "known", queues=["other"])

    settle(sql)

    assert state(sql, job_id) == "ready"


def test_arguments_that_do_not_fit_wait_for_another_version(sql: Session) -> None:
    job_id = publish(sql, "a.b", body=Jsonb({"args": ["x"]}), max_retries=0)
    old = start_worker(sql, "a.b")
    ((number, run_id, *_),) = exchange(sql, old, num=1, sleep=True)["jobs"]
    exchange(sql, old, [number, run_id, "parked", "arguments", "expected int, got str"])

    settle(sql)
    assert sql.row("select state, kind, attempt from jobs.job_queue") == {
        "state": "blocked", "kind": "arguments", "attempt": 0,
    }  # fmt: skip
    assert "expected int, got str" in sql.value("select jobs.why(%s)", job_id)
    assert consume(sql) == [], "a plain consumer does not take what it cannot read either"

    new = start_worker(sql, {"name": "a.b", "signature": "(x: str)"})
    ((*_, body),) = exchange(sql, new, num=1, sleep=True)["jobs"]
    assert body == {"args": ["x"]}


def test_a_parked_run_may_be_due_again_by_hand(sql: Session) -> None:
    job_id = publish(sql, "a.b")
    worker = start_worker(sql, "a.b")
    ((number, run_id, *_),) = exchange(sql, worker, num=1, sleep=True)["jobs"]
    exchange(sql, worker, [number, run_id, "parked", "task", "its module is gone"])
    assert "its module is gone" in sql.value("select jobs.why(%s)", job_id)

    sql.execute("select jobs.retry(%s)", job_id)

    assert [run[0] for run in exchange(sql, worker, num=1, sleep=True)["jobs"]] == [number]
