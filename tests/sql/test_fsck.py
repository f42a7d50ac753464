"""fsck finds every corruption, and nothing in a healthy database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from psycopg.types.json import Jsonb

from tests.sql.steps import exchange, publish, settle, start_worker, take

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.clock import Clock
    from tests.fixtures.sessions import Session

LANE = "insert into howdah.lane (queue, priority, floor, moved_at) values ('{}', 0, {}, howdah.now())"
SETTLED = "update howdah.settle set settled = (select last_value from howdah.position_seq);"

# What is done to the database, what fsck says of it, and the job it names ('' for none).
CORRUPTIONS = {
    "a job without a state": ("delete from howdah.ready where id = {ready}", "job without a state", "ready"),
    "a ready row without a job": (
        "delete from howdah.job where id = {ready}",
        "state without a job",
        "ready",
    ),
    "a running row without a job": (
        "delete from howdah.job where id = {plain}",
        "state without a job",
        "plain",
    ),
    "a finished row without a job": (
        "delete from howdah.job where id = {good}",
        "state without a job",
        "good",
    ),
    "a job ready and scheduled": (
        "insert into howdah.scheduled values ({ready}, howdah.now(), 0)",
        "job in two states",
        "ready",
    ),
    "a job ready and running": (
        "insert into howdah.running values ({ready}, 0, null, 1, howdah.now(), howdah.now())",
        "job in two states",
        "ready",
    ),
    "a job finished and running": (
        "insert into howdah.running values ({good}, 0, null, 1, howdah.now(), howdah.now())",
        "job in two states",
        "good",
    ),
    "a job blocked and finished": (
        (
            "insert into howdah.blocked (id, kind, task, attempt, blocked_at)"
            " values ({good}, 'task', 'a', 0, howdah.now())"
        ),
        "job in two states",
        "good",
    ),
    "a job ready twice": (
        "insert into howdah.ready values ('default', 0, nextval('howdah.position_seq'), {ready}, 0, 'a.b')",
        "job in two states",
        "ready",
    ),
    "a failure without a job": (
        "insert into howdah.failure values (987654321, 1, 1, howdah.now(), 'error')",
        "failure without a job",
        "",
    ),
    "a time to live without a job": (
        "insert into howdah.expiry values (howdah.now() + interval '1 min', 987654321)",
        "time to live without a job",
        "",
    ),
    "a log without a job": (
        (
            "insert into howdah.log (job_id, run_id, at, level, message)"
            " values (987654321, 1, howdah.now(), 'info', 'secret')"
        ),
        "log without a job",
        "",
    ),
    "a key used twice": (
        "drop index howdah.job_key; update howdah.job set key = 'k' where id in ({ready}, {plain})",
        "key used twice",
        "*",
    ),
    "ready under another task": (
        "update howdah.ready set task = 'x' where id = {ready}",
        "ready under another task",
        "ready",
    ),
    "ready in another queue": (
        "update howdah.ready set queue = 'x' where id = {mail}",
        "ready in another queue",
        "mail",
    ),
    "ready in the lane of another tenant": (
        "update howdah.ready set queue = 'mail/acme' where id = {mail}",
        "ready in the lane of another tenant",
        "mail",
    ),
    "ready in a lane of other labels": (
        "update howdah.job set requires = '{{cpu}}' where id = {mail}",
        "ready in a lane of other labels",
        "mail",
    ),
    "labels that claims do not heed": (
        "update howdah.ready set queue = 'mail+gpu' where id = {mail}",
        "tenant or labels that claims do not heed",
        "mail",
    ),
    "ready at another priority": (
        "update howdah.ready set priority = 9 where id = {mail}",
        "ready at another priority",
        "mail",
    ),
    "a position never drawn": (
        "update howdah.ready set pos = 987654321 where id = {ready}",
        "ready at a position never drawn",
        "ready",
    ),
    "a job behind its floor": (
        SETTLED
        + "delete from howdah.lane;"
        + LANE.format("default", "(select pos from howdah.ready where id = {ready})"),
        "ready behind its floor",
        "ready",
    ),
    "a floor above what is settled": (
        "delete from howdah.lane; update howdah.settle set settled = 0;" + LANE.format("empty", "1"),
        "floor above what is settled",
        "",
    ),
    "settled beyond what was drawn": (
        "update howdah.settle set candidate = 987654321",
        "settled beyond what was drawn",
        "",
    ),
    "a cached sequence of positions": (
        "alter sequence howdah.position_seq cache 20",
        "the position sequence is cached",
        "",
    ),
    "a run number used twice": (
        (
            "update howdah.running set run_id = (select run_id from howdah.finished where id = {good})"
            " where id = {plain}"
        ),
        "run number used twice",
        "*",
    ),
    "a run number never drawn": (
        "update howdah.running set run_id = 987654321 where id = {plain}",
        "run number never drawn",
        "plain",
    ),
    "a failure of another job's run": (
        (
            "insert into howdah.failure select {ready}, 1, run_id, howdah.now(), 'error' from howdah.running"
            " where id = {plain}"
        ),
        "failure of a run of another job",
        "ready",
    ),
    "a run of an unknown worker": (
        "update howdah.running set worker_id = 4711 where id = {plain}",
        "running for an unknown worker",
        "plain",
    ),
    "too many attempts running": (
        "update howdah.running set attempt = 3 where id = {twice}",
        "more attempts than allowed",
        "twice",
    ),
    "too many attempts made": (
        "update howdah.finished set attempt = 6 where id = {bad}",
        "more attempts than allowed",
        "bad",
    ),
    "negative attempts": (
        "update howdah.scheduled set attempt = -1 where id = {later}",
        "negative attempts",
        "later",
    ),
    "a run without an attempt": (
        "update howdah.running set attempt = 0 where id = {plain}",
        "negative attempts",
        "plain",
    ),
    "a deadline before the start": (
        "update howdah.running set deadline = started_at - interval '1 s' where id = {plain}",
        "deadline before start",
        "plain",
    ),
    "a success with a kind": (
        "update howdah.finished set kind = 'error' where id = {good}",
        "succeeded with a kind",
        "good",
    ),
    "a success without a run": (
        "update howdah.finished set run_id = null where id = {good}",
        "succeeded without a run",
        "good",
    ),
    "a failure without a kind": (
        "update howdah.finished set kind = null where id = {bad}",
        "ended without a kind",
        "bad",
    ),
    "a failure with a result": (
        "update howdah.finished set result = '1' where id = {bad}",
        "result of a job that did not succeed",
        "bad",
    ),
    "an end before its start": (
        "update howdah.finished set finished_at = started_at - interval '1 s' where id = {good}",
        "ended before it started",
        "good",
    ),
    "parked although a worker knows it": (
        (
            "update howdah.blocked set task = 'a.b', blocked_at = howdah.now() - interval '2 min'"
            " where id = {parked};"
            "update howdah.worker set started_at = howdah.now() - interval '2 min'"
        ),
        "parked although a worker knows its task",
        "parked",
    ),
    "a negative number of jobs to wait for": (
        "update howdah.blocked set pending = -1 where id = {parked}",
        "waits for a negative number of jobs",
        "parked",
    ),
    "a notice for a run that ended": (
        (
            "insert into howdah.notice (run_id, id, verdict, at) select run_id, id, 'cancel', howdah.now()"
            " from howdah.finished where id = {good}"
        ),
        "notice for a run that ended",
        "good",
    ),
    "a worker without a beat": ("delete from howdah.beat", "worker without a beat", ""),
    "a beat without a worker": (
        "insert into howdah.beat values (4711, howdah.now())",
        "beat without a worker",
        "",
    ),
    "a sleeper without a worker": (
        "insert into howdah.sleeper (worker_id, since) values (4711, howdah.now())",
        "sleeper without a worker",
        "",
    ),
}


@pytest.fixture
def jobs(sql: Session, clock: Clock) -> dict[str, str]:
    """A job in every state, made by the public API alone."""
    worker = start_worker(sql, "a.b", "w.b")
    found = {"parked": publish(sql, "nobody.knows")}
    settle(sql)
    for name in ("good", "bad", "gone", "plain", "twice"):
        found[name] = publish(sql, "a.b", max_retries=1 if name == "twice" else 4)
        take(sql)
    sql.execute("select jobs.ack(%s, '1')", found["good"])
    sql.execute("select jobs.nack(%s, 'x', i_final => true)", found["bad"])
    sql.execute("select jobs.cancel(%s)", found["gone"])
    sql.execute("select jobs.nack(%s, 'x')", found["gone"])
    found["worked"] = publish(sql, "w.b")
    assert len(exchange(sql, worker, num=1, sleep=True)["jobs"]) == 1
    found["retried"] = publish(sql, "a.b")
    take(sql)
    sql.execute("select jobs.nack(%s, 'x')", found["retried"])
    found["later"] = publish(sql, "a.b", delay=60)
    found["ready"] = publish(sql, "a.b", ttl=600)
    found["mail"] = publish(sql, "a.b", queue="mail", priority=3)
    exchange(sql, worker, num=0, sleep=True)
    return found


def test_a_database_with_a_job_in_every_state_is_healthy(sql: Session, jobs: dict[str, str]) -> None:
    states = {row["state"] for row in sql.rows("select distinct state from jobs.all")}

    assert states == {"ready", "scheduled", "running", "blocked", "succeeded", "failed", "cancelled"}
    assert sql.rows("select * from jobs.fsck()") == []
    assert len(jobs) == 11


@pytest.mark.parametrize(("harm", "violation", "job"), CORRUPTIONS.values(), ids=CORRUPTIONS.keys())
def test_a_corruption_is_found(
    sql: Session, jobs: dict[str, str], harm: str, violation: str, job: str
) -> None:
    for statement in harm.format(**jobs).split(";"):
        assert sql.execute(statement) != 0, "the harm was done"

    rows = [row for row in sql.rows("select * from jobs.fsck()") if row["violation"] == violation]

    assert rows != []
    if job in jobs:
        assert jobs[job] in [row["job_id"] for row in rows]


def test_a_violation_names_the_job_by_its_key(sql: Session) -> None:
    publish(sql, key="order-7")
    sql.execute("delete from howdah.ready")

    assert sql.rows("select * from jobs.fsck()") == [
        {"violation": "job without a state", "job_id": "order-7", "detail": None}
    ]


def test_a_task_that_lowers_its_retries_later_corrupts_nothing(sql: Session, clock: Clock) -> None:
    ended, waiting = publish(sql, "a.b", backoff=[0]), publish(sql, "a.b", backoff=[0])
    for _ in range(3):
        for job_id in (ended, waiting):
            take(sql)
            sql.execute("select jobs.nack(%s)", job_id)
    take(sql)
    sql.execute("select jobs.nack(%s)", ended)

    start_worker(sql, {"name": "a.b", "max_retries": 0})

    assert sql.rows("select * from jobs.fsck()") == []


def busy(session: Session, worker: int | None, number: int) -> None:
    """Publish and finish in every way there is."""
    for step in range(25):
        many = [
            {"task": "a.b", "queue": f"q{step % 3}", "priority": n % 3, "max_retries": 1, "backoff": [0]}
            for n in range(10)
        ]
        session.rows("select * from jobs.publish_many(%s)", Jsonb([*many, {"task": "a.b", "ttl": 0.01}]))
        session.rows("select * from jobs.publish('a.b', i_key => %s)", f"key{step % 7}")
        if worker is not None:
            runs = exchange(session, worker, num=12, sleep=True)["jobs"]
            verbs = ["succeeded", "failed", "released", "snoozed", "cancelled"]
            exchange(session, worker, *([run[0], run[1], verbs[run[0] % 5]] for run in runs))
        else:
            for job in session.rows("select * from jobs.consume(6)"):
                verb = "ack" if job["id"] % 3 else "nack"
                session.rows(f"select jobs.{verb}(%s)", job["job_id"])
        session.rows("select jobs.maintain()")
        session.rows("select jobs.prune('0', %s)", 5 + number)


def test_a_busy_database_is_healthy_at_every_moment(sessions: Callable[..., Session]) -> None:
    watcher = sessions()
    workers = [start_worker(watcher, "a.b"), start_worker(watcher, "a.b"), None]
    looks = 0

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(busy, sessions(), worker, n) for n, worker in enumerate(workers)]
        while not all(future.done() for future in running):
            assert watcher.rows("select * from jobs.fsck()") == []
            looks += 1

    for future in running:
        future.result()
    assert looks > 0
    assert watcher.rows("select * from jobs.fsck()") == []
