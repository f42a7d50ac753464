"""ack, nack, snooze, release, heartbeat: how a run ends, and who may end it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql.steps import consume, counts, exchange, publish, refused, start_worker, state, take

if TYPE_CHECKING:
    from tests.fixtures.clock import Clock
    from tests.fixtures.sessions import Session

ENDS = {
    "ack": "select jobs.ack(%s, i_run_id => %s)",
    "nack": "select jobs.nack(%s, 'x', i_run_id => %s)",
    "snooze": "select jobs.snooze(%s, 5, %s)",
    "release": "select jobs.release(%s, %s)",
}
each_end = pytest.mark.parametrize("query", ENDS.values(), ids=ENDS.keys())


def test_ack_keeps_the_result(sql: Session, clock: Clock) -> None:
    job_id = publish(sql)
    run = take(sql)
    ended = clock.advance(2)

    answer = sql.row("select * from jobs.ack(%s, %s)", job_id, Jsonb({"n": [1, None]}))

    assert answer == {"job_id": job_id, "id": int(job_id), "state": "succeeded"}
    job = sql.row("select * from jobs.job")
    assert (job["result"], job["status"], job["complete_on"]) == ({"n": [1, None]}, "success", ended)
    assert (job["run_at"], job["run_id"]) == (run["run_at"], run["run_id"])
    assert (job["retries"], job["attempt"], job["kind"], job["error"]) == (0, 1, None, None)


def test_nack_keeps_the_traceback_and_its_last_line(sql: Session) -> None:
    job_id = publish(sql, max_retries=0)
    take(sql)

    sql.execute("select jobs.nack(%s, %s)", job_id, "Traceback:\n  File x\nValueError: no\n")

    job = sql.row("select * from jobs.job")
    assert (job["status"], job["kind"], job["error"]) == ("failed", "error", "ValueError: no")
    assert job["traceback"] == "Traceback:\n  File x\nValueError: no\n"


def test_nack_says_its_own_kind_and_message(sql: Session) -> None:
    job_id = publish(sql)
    take(sql)

    sql.execute("select jobs.nack(%s, 'long text', i_kind => 'result', i_error => E'too\nlarge')", job_id)

    failure = sql.row("select * from jobs.failures(%s)", job_id)
    assert (failure["kind"], failure["error"], failure["traceback"]) == ("result", "too large", "long text")


def test_nack_without_anything_still_says_why(sql: Session) -> None:
    job_id = publish(sql, max_retries=0)
    take(sql)

    sql.execute("select jobs.nack(%s)", job_id)

    assert sql.row("select kind, error from jobs.job") == {"kind": "error", "error": "error"}


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("i_delay => 7.5", 7.5),
        ("i_delay => 0", 0),
        ("i_scheduled_at => howdah.now() + interval '1 min'", 60),
        ("i_scheduled_at => howdah.now() - interval '1 day'", 0),
    ],
)
def test_nack_retries_when_it_was_told(sql: Session, clock: Clock, given: str, seconds: float) -> None:
    job_id = publish(sql)
    take(sql)

    assert sql.value(f"select state from jobs.nack(%s, 'x', {given})", job_id) == "scheduled"

    due = sql.value("select scheduled_at from jobs.get(%s)", job_id)
    assert (due - clock.now()).total_seconds() == seconds


def test_a_final_nack_leaves_no_retry(sql: Session) -> None:
    job_id = publish(sql, max_retries=10)
    take(sql)

    assert sql.value("select state from jobs.nack(%s, i_final => true)", job_id) == "failed"


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_there_are_as_many_retries_as_were_given(sql: Session, retries: int) -> None:
    job_id = publish(sql, max_retries=retries, backoff=[0])
    states: list[str] = []

    for _ in range(retries + 1):
        assert take(sql)["retries"] == len(states)
        states.append(sql.value("select state from jobs.nack(%s)", job_id))

    assert states == ["scheduled"] * retries + ["failed"]
    assert consume(sql) == []
    attempts = sql.rows("select attempt from jobs.failures(%s)", job_id)
    assert [row["attempt"] for row in attempts] == list(range(1, retries + 2))


@pytest.mark.parametrize(("verb", "landed"), [("snooze(%s, 60)", "scheduled"), ("release(%s)", "ready")])
def test_snooze_and_release_cost_no_attempt(sql: Session, clock: Clock, verb: str, landed: str) -> None:
    job_id = publish(sql, max_retries=0)

    for _ in range(3):
        row = take(sql)
        assert (row["attempt"], row["retries"]) == (1, 0)
        assert sql.value(f"select state from jobs.{verb}", job_id) == landed
        clock.advance(60)

    assert sql.rows("select * from jobs.failures(%s)", job_id) == []


@each_end
def test_a_run_that_lost_its_lease_changes_nothing(sql: Session, clock: Clock, query: str) -> None:
    job_id = publish(sql, backoff=[0])
    stale = take(sql)["run_id"]
    clock.advance(61)
    current = take(sql)["run_id"]
    before = counts(sql)

    said = refused(sql, "JB002", query, job_id, stale)

    assert said.column_name == "run_id"
    assert str(stale) in (said.message_primary or "")
    assert said.message_hint
    assert counts(sql) == before
    assert sql.value("select run_id from jobs.running") == current


@each_end
def test_a_job_that_does_not_run_cannot_end(sql: Session, query: str) -> None:
    job_id = publish(sql)

    refused(sql, "JB002", query, job_id, None)

    assert state(sql, job_id) == "ready"


@each_end
def test_a_finished_job_cannot_end_again(sql: Session, query: str) -> None:
    job_id = publish(sql)
    run_id = take(sql)["run_id"]
    sql.execute("select jobs.ack(%s)", job_id)

    refused(sql, "JB002", query, job_id, run_id)

    assert state(sql, job_id) == "succeeded"


@each_end
def test_a_job_that_is_not_there_cannot_end(sql: Session, query: str) -> None:
    said = refused(sql, "JB003", query, "no-such-job", None)

    assert "no-such-job" in (said.message_primary or "")
    assert said.column_name == "job_id"


@each_end
def test_a_worker_s_run_is_not_ended_without_its_number(sql: Session, query: str) -> None:
    job_id = publish(sql, "a.b")
    worker = start_worker(sql, "a.b")
    exchange(sql, worker, num=1)

    said = refused(sql, "JB006", query, job_id, None)

    assert said.column_name == "run_id"
    assert "i_run_id" in (said.message_hint or "")
    assert state(sql, job_id) == "running"


@each_end
def test_a_worker_s_run_is_ended_with_its_number(sql: Session, query: str) -> None:
    job_id = publish(sql, "a.b")
    worker = start_worker(sql, "a.b")
    ((_, run_id, *_),) = exchange(sql, worker, num=1)["jobs"]

    sql.execute(query, job_id, run_id)

    assert state(sql, job_id) != "running"


def test_a_key_names_the_job_everywhere(sql: Session) -> None:
    publish(sql, key="order-7")
    take(sql)

    assert sql.value("select job_id from jobs.ack('order-7')") == "order-7"


def test_a_heartbeat_gives_a_plain_run_its_timeout_anew(sql: Session, clock: Clock) -> None:
    publish(sql, timeout=10)
    run_id = take(sql)["run_id"]
    clock.advance(9)

    assert sql.rows("select * from jobs.heartbeat(i_run_ids => array[%s]::bigint[])", run_id) == []

    clock.advance(9)
    assert sql.rows("select * from jobs.expired") == []
    clock.advance(2)
    assert len(sql.rows("select * from jobs.expired")) == 1


def test_a_heartbeat_knows_the_timeout_of_a_task_registered_later(sql: Session, clock: Clock) -> None:
    publish(sql, "slow")
    start_worker(sql, {"name": "slow", "timeout": 3600})
    run_id = take(sql)["run_id"]

    sql.execute("select * from jobs.heartbeat(i_run_ids => array[%s]::bigint[])", run_id)

    clock.advance(3599)
    assert sql.rows("select * from jobs.expired") == []


def test_a_heartbeat_says_lost_and_cancel(sql: Session, clock: Clock) -> None:
    doomed, lost = publish(sql, backoff=[0]), publish(sql, timeout=1)
    runs = {job["job_id"]: job["run_id"] for job in consume(sql)}
    clock.advance(2)
    consume(sql)
    sql.execute("select jobs.cancel(%s)", doomed)

    verdicts = sql.rows("select * from jobs.heartbeat(i_run_ids => %s::bigint[])", [*runs.values(), 10**12])

    assert verdicts == [
        {"run_id": runs[doomed], "verdict": "cancel"},
        {"run_id": runs[lost], "verdict": "lost"},
        {"run_id": 10**12, "verdict": "lost"},
    ]


@pytest.mark.parametrize(
    ("keep", "published"),
    [(1, {"result_ttl": 60}), (0, {}), (2, {"result_ttl": -1})],
    ids=["60 s", "usual", "ever"],
)
def test_a_success_is_kept_as_long_as_it_was_told(
    sql: Session, clock: Clock, keep: int, published: dict[str, Any]
) -> None:
    job_id = publish(sql, **published)
    take(sql)
    sql.execute("select jobs.ack(%s)", job_id)
    kept = {0: 7 * 86400, 1: 60, 2: 100 * 365 * 86400}[keep]

    clock.advance(kept - 1)
    assert sql.value("select jobs.prune()") == 0
    clock.advance(1)

    assert sql.value("select jobs.prune()") == (0 if keep == 2 else 1)


def test_a_cancelled_run_that_fails_is_not_retried(sql: Session) -> None:
    job_id = publish(sql)
    take(sql)
    sql.execute("select jobs.cancel(%s, 'no longer wanted')", job_id)

    assert sql.value("select state from jobs.nack(%s, 'boom')", job_id) == "cancelled"

    job = sql.row("select status, kind, error from jobs.job")
    error = f"no longer wanted (by {sql.value('select session_user')})"
    assert job == {"status": "cancelled", "kind": "revoked", "error": error}
