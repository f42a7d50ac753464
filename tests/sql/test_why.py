"""why: one sentence for each reason, naming the thing that the job waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sql.steps import exchange, publish, settle, start_worker, take

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.clock import Clock
    from tests.fixtures.sessions import Session


def running_plain(sql: Session, _: Clock) -> str:
    publish(sql)
    job_id: str = take(sql)["job_id"]
    return job_id


def running_on_worker(sql: Session, _: Clock) -> str:
    job_id = publish(sql, "a.b")
    worker = start_worker(sql, "a.b", host="box", pid=4711)
    exchange(sql, worker, num=1, sleep=True)
    return job_id


def running_too_long(sql: Session, clock: Clock) -> str:
    job_id = publish(sql, timeout=30)
    take(sql)
    clock.advance(31)
    return job_id


def asked_to_stop(sql: Session, clock: Clock) -> str:
    job_id = running_plain(sql, clock)
    sql.execute("select jobs.cancel(%s)", job_id)
    return job_id


def due(sql: Session, clock: Clock) -> str:
    job_id = publish(sql, delay=10)
    clock.advance(11)
    return job_id


def waiting_for_its_time(sql: Session, _: Clock) -> str:
    return publish(sql, scheduled_at="2099-03-04 05:06:07+00")


def waiting_for_a_retry(sql: Session, _: Clock) -> str:
    job_id = publish(sql, max_retries=5)
    take(sql)
    sql.execute("select jobs.nack(%s, 'ValueError: no such user', '2099-03-04 05:06:07+00')", job_id)
    return job_id


def unknown_task(sql: Session, _: Clock) -> str:
    job_id = publish(sql, "shop.unheard_of")
    start_worker(sql, "another")
    settle(sql)
    return job_id


def unfit_arguments(sql: Session, _: Clock) -> str:
    job_id = publish(sql, "a.b")
    worker = start_worker(sql, "a.b")
    ((number, run_id, *_rest),) = exchange(sql, worker, num=1, sleep=True)["jobs"]
    exchange(sql, worker, [number, run_id, "parked", "arguments", "missing argument: user_id"])
    return job_id


def paused(sql: Session, _: Clock) -> str:
    sql.execute("select jobs.pause_queue('mail', 'smtp is down')")
    return publish(sql, queue="mail")


def without_a_worker(sql: Session, _: Clock) -> str:
    publish(sql, queue="mail")
    publish(sql, queue="mail", priority=1)
    return publish(sql, queue="mail")


def only_dead_workers(sql: Session, clock: Clock) -> str:
    start_worker(sql, "shop.mail")
    clock.advance(60)
    return publish(sql, queue="mail")


def workers_of_other_queues(sql: Session, _: Clock) -> str:
    start_worker(sql, "shop.mail", queues=["other"])
    return publish(sql, "shop.mail", queue="mail")


def workers_of_other_topics(sql: Session, _: Clock) -> str:
    start_worker(sql, "shop.mail", topic="other.%")
    return publish(sql, "shop.mail", queue="mail")


def unknown_and_not_parked_yet(sql: Session, _: Clock) -> str:
    start_worker(sql, "another")
    return publish(sql, "shop.unheard_of")


def others_before_it(sql: Session, _: Clock) -> str:
    start_worker(sql, "shop.mail")
    publish(sql, "shop.mail", queue="mail")
    return publish(sql, "shop.mail", queue="mail")


def succeeded(sql: Session, clock: Clock) -> str:
    job_id = running_plain(sql, clock)
    sql.execute("select jobs.ack(%s)", job_id)
    return job_id


def failed(sql: Session, clock: Clock) -> str:
    job_id = running_plain(sql, clock)
    sql.execute("select jobs.nack(%s, 'ValueError: no such user', i_final => true)", job_id)
    return job_id


def cancelled(sql: Session, _: Clock) -> str:
    job_id = publish(sql)
    sql.execute("select jobs.cancel(%s, 'the order was withdrawn')", job_id)
    return job_id


def out_of_time(sql: Session, clock: Clock) -> str:
    job_id = publish(sql, ttl=5)
    clock.advance(6)
    settle(sql)
    return job_id


REASONS: list[tuple[Callable[[Session, Clock], str], list[str]]] = [
    (running_plain, ["running", "attempt 1", "plain consumer"]),
    (running_on_worker, ["running", "attempt 1", "worker", "box", "4711"]),
    (running_too_long, ["running", "timeout", "30 s"]),
    (asked_to_stop, ["running", "asked to stop"]),
    (due, ["due since"]),
    (waiting_for_its_time, ["scheduled for 2099-03-04 05:06:07+00"]),
    (waiting_for_a_retry, ["until 2099-03-04 05:06:07+00", "retry 1 of 5", "ValueError: no such user"]),
    (unknown_task, ["shop.unheard_of", "worker"]),
    (unfit_arguments, ["a.b", "missing argument: user_id"]),
    (paused, ["mail", "paused", "smtp is down"]),
    (without_a_worker, ["mail", "2 jobs", "no worker"]),
    (only_dead_workers, ["mail", "no worker"]),
    (workers_of_other_queues, ["mail", "shop.mail", "1", "none"]),
    (workers_of_other_topics, ["mail", "shop.mail", "none"]),
    (unknown_and_not_parked_yet, ["No live worker knows task shop.unheard_of", "waits until one starts"]),
    (others_before_it, ["mail", "1 job", "1 worker"]),
    (succeeded, ["succeeded"]),
    (failed, ["failed", "error", "ValueError: no such user"]),
    (cancelled, ["cancelled", "revoked", "the order was withdrawn"]),
    (out_of_time, ["cancelled", "ttl", "time to live"]),
]


@pytest.mark.parametrize(("prepare", "words"), REASONS, ids=lambda value: getattr(value, "__name__", ""))
def test_why_names_the_reason(
    sql: Session, clock: Clock, prepare: Callable[[Session, Clock], str], words: list[str]
) -> None:
    sql.execute("set timezone = 'UTC'")
    job_id = prepare(sql, clock)

    sentence = sql.value("select jobs.why(%s)", job_id)

    assert [word for word in words if word not in sentence] == [], sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
