"""cancel, retry, delete, wait: DESIGN's control by state, for each state a job can be in."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.sql.steps import consume, counts, exchange, publish, refused, settle, start_worker, state, take

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fixtures.clock import Clock
    from tests.fixtures.database import Database
    from tests.fixtures.sessions import Session

WAITING = ("ready", "came back", "scheduled", "retry", "blocked")
FINISHED = ("succeeded", "failed", "cancelled")
EVERY_STATE = (*WAITING, "running", *FINISHED)
each_waiting = pytest.mark.parametrize("where", WAITING)
each_finished = pytest.mark.parametrize("where", FINISHED)


def bring(sql: Session, where: str) -> str:
    """Publish a job and bring it there by the public API alone."""
    if where == "blocked":
        job_id = publish(sql, "nobody.knows")
        worker = start_worker(sql, "another")
        settle(sql)
        sql.execute("select jobs.worker_stopped(%s)", worker)
        return job_id
    job_id = publish(sql, "a.b", delay=60 if where == "scheduled" else 0)
    match where:
        case "came back":
            take(sql)
            sql.execute("select jobs.release(%s)", job_id)
        case "retry" | "failed":
            take(sql)
            sql.execute("select jobs.nack(%s, i_final => %s)", job_id, where == "failed")
        case "running":
            take(sql)
        case "succeeded":
            take(sql)
            sql.execute("select jobs.ack(%s, '1')", job_id)
        case "cancelled":
            sql.execute("select jobs.cancel(%s)", job_id)
    return job_id


@each_waiting
def test_cancel_ends_a_waiting_job_at_once(sql: Session, where: str) -> None:
    job_id = bring(sql, where)

    assert sql.value("select state from jobs.cancel(%s, 'not needed')", job_id) == "cancelled"

    job = sql.row("select state, kind, error, status from jobs.job")
    error = f"not needed (by {sql.value('select session_user')})"
    assert job == {"state": "cancelled", "kind": "revoked", "error": error, "status": "cancelled"}
    assert consume(sql) == []


@pytest.mark.parametrize("reason", [None, "", "  \n"])
def test_cancel_without_a_reason_says_who_did_it(sql: Session, reason: str | None) -> None:
    job_id = bring(sql, "ready")

    sql.execute("select jobs.cancel(%s, %s)", job_id, reason)

    assert sql.value("select error from jobs.job") == f"cancelled by {sql.value('select session_user')}"


def test_cancel_asks_a_running_job_to_stop(sql: Session) -> None:
    job_id = bring(sql, "running")

    assert sql.value("select state from jobs.cancel(%s, 'ordered twice')", job_id) == "running"

    who = f"ordered twice (by {sql.value('select session_user')})"
    sentence = sql.value("select jobs.why(%s)", job_id)
    assert "asked to stop since" in sentence
    assert who in sentence
    sql.execute("select jobs.nack(%s)", job_id)
    assert sql.row("select state, error from jobs.job") == {"state": "cancelled", "error": who}


def test_cancel_calls_the_worker_that_runs_the_job_and_nobody_else(
    sql: Session, sessions: Callable[..., Session]
) -> None:
    plain, worked = bring(sql, "running"), publish(sql, "c.d")
    worker = start_worker(sql, "c.d")
    exchange(sql, worker, num=1)
    listener = sessions()
    listener.execute("listen howdah_notice")

    for job_id in (plain, worked, bring(sql, "ready")):
        sql.execute("select jobs.cancel(%s)", job_id)

    heard = [notify.payload for notify in listener.connection.notifies(timeout=5, stop_after=1)]
    assert heard == [str(worker)]
    assert list(listener.connection.notifies(timeout=0)) == []


def test_a_running_job_that_succeeds_before_it_stops_has_succeeded(sql: Session) -> None:
    job_id = bring(sql, "running")
    sql.execute("select jobs.cancel(%s)", job_id)

    assert sql.value("select state from jobs.ack(%s)", job_id) == "succeeded"
    assert sql.rows("select * from jobs.fsck()") == []


@pytest.mark.parametrize("verb", ["snooze(%s, 5)", "release(%s)", "nack(%s, i_delay => 5)"])
def test_a_running_job_that_was_cancelled_never_comes_back(sql: Session, verb: str) -> None:
    job_id = bring(sql, "running")
    sql.execute("select jobs.cancel(%s)", job_id)

    assert sql.value(f"select state from jobs.{verb}", job_id) == "cancelled"


def test_a_cancelled_run_that_is_past_its_timeout_is_cancelled(sql: Session, clock: Clock) -> None:
    job_id = bring(sql, "running")
    sql.execute("select jobs.cancel(%s)", job_id)
    clock.advance(61)

    sql.execute("select jobs.maintain()")

    assert state(sql, job_id) == "cancelled"


def test_a_worker_is_told_to_cancel_at_its_next_heartbeat(sql: Session) -> None:
    job_id = publish(sql, "a.b")
    worker = start_worker(sql, "a.b")
    ((_, run_id, *_),) = exchange(sql, worker, num=1)["jobs"]
    sql.execute("select jobs.cancel(%s, 'stop it')", job_id)

    verdicts = sql.rows("select * from jobs.heartbeat(%s)", worker)
    exchange(sql, worker, [int(job_id), run_id, "cancelled", "stopped"])

    assert verdicts == [{"run_id": run_id, "verdict": "cancel"}]
    assert sql.row("select state, error from jobs.job") == {"state": "cancelled", "error": "stopped"}
    assert sql.rows("select * from jobs.heartbeat(%s)", worker) == []


@each_finished
def test_cancel_leaves_a_finished_job_as_it_is(sql: Session, where: str) -> None:
    job_id = bring(sql, where)
    before = sql.row("select * from jobs.get(%s)", job_id)

    assert sql.value("select state from jobs.cancel(%s)", job_id) == where

    assert sql.row("select * from jobs.get(%s)", job_id) == before


@each_waiting
def test_retry_makes_a_waiting_job_due_now(sql: Session, where: str) -> None:
    job_id = bring(sql, where)
    before = sql.value("select attempt from jobs.get(%s)", job_id)

    assert sql.value("select state from jobs.retry(%s)", job_id) == "ready"

    assert take(sql)["attempt"] == before + 1


def test_retry_of_a_running_job_is_refused(sql: Session) -> None:
    job_id = bring(sql, "running")

    said = refused(sql, "JB004", "select jobs.retry(%s)", job_id)

    assert "running" in (said.message_primary or "")
    assert said.message_hint
    assert state(sql, job_id) == "running"


@each_finished
def test_retry_gives_a_finished_job_a_full_set_of_attempts(sql: Session, where: str) -> None:
    job_id = bring(sql, where)

    assert sql.value("select state from jobs.retry(%s)", job_id) == "ready"

    assert take(sql)["attempt"] == 1
    assert sql.value("select state from jobs.nack(%s)", job_id) == "scheduled"
    assert sql.rows("select * from jobs.fsck()") == []


@pytest.mark.parametrize("where", [*WAITING, *FINISHED])
def test_delete_leaves_nothing_and_frees_the_key(sql: Session, where: str) -> None:
    job_id = bring(sql, where)

    assert sql.row("select * from jobs.delete(%s)", job_id) == {
        "job_id": job_id,
        "id": int(job_id),
        "state": "deleted",
    }

    assert set(counts(sql).values()) == {0}
    refused(sql, "JB003", "select jobs.why(%s)", job_id)


def test_delete_of_a_running_job_is_refused(sql: Session) -> None:
    job_id = bring(sql, "running")

    said = refused(sql, "JB004", "select jobs.delete(%s)", job_id)

    assert "i_force" in (said.message_hint or "")
    assert state(sql, job_id) == "running"


def test_delete_by_force_takes_the_lease_away(sql: Session) -> None:
    job_id = publish(sql, "a.b")
    worker = start_worker(sql, "a.b")
    ((_, run_id, *_),) = exchange(sql, worker, num=1)["jobs"]

    sql.execute("select jobs.delete(%s, true)", job_id)

    assert sql.rows("select * from jobs.heartbeat(%s)", worker) == [{"run_id": run_id, "verdict": "lost"}]
    assert exchange(sql, worker, [int(job_id), run_id, "succeeded", 1])["lost"] == [run_id]
    assert sql.rows("select * from jobs.get(%s)", job_id) == []


def test_delete_by_force_of_a_job_asked_to_stop_leaves_nothing(sql: Session) -> None:
    job_id = bring(sql, "running")
    sql.execute("select jobs.cancel(%s)", job_id)

    sql.execute("select jobs.delete(%s, true)", job_id)

    assert set(counts(sql).values()) == {0}
    assert sql.rows("select * from jobs.fsck()") == []


@pytest.mark.parametrize("verb", ["cancel", "retry", "delete", "why", "wait", "failures"])
def test_a_job_that_is_not_there_is_said_so(sql: Session, verb: str) -> None:
    for job_id in ("9" * 18, "9" * 40, "no-such-key", ""):
        said = refused(sql, "JB003", f"select * from jobs.{verb}(%s)", job_id)
        assert said.column_name == "job_id"


def test_get_of_a_job_that_is_not_there_has_no_row(sql: Session) -> None:
    assert sql.rows("select * from jobs.get('no-such-key')") == []


@each_finished
def test_wait_answers_the_final_state(sql: Session, where: str) -> None:
    job_id = bring(sql, where)

    assert sql.value("select jobs.wait(%s)", job_id) == where


def test_wait_ends_when_the_job_ends(sql: Session, sessions: Callable[..., Session]) -> None:
    job_id = bring(sql, "running")
    waiter = sessions()

    waiting = waiter.later("select jobs.wait(%s, 30) as state", job_id)
    sql.execute("select jobs.ack(%s)", job_id)

    assert waiting.result(timeout=10) == [{"state": "succeeded"}]


def test_wait_answers_null_when_time_ran_out(sql: Session) -> None:
    job_id = publish(sql)

    assert sql.value("select jobs.wait(%s, 0.01)", job_id) is None


def test_wait_for_commits_between_looks_in_psql(
    sql: Session, database: Database, postgres_programs: Path
) -> None:
    bring(sql, "running")
    job_id = sql.value("select job_id from jobs.running")
    command = [
        str(postgres_programs / "psql"),
        "-X",
        "-d",
        database.dsn,
        "-c",
        f"call jobs.wait_for('{job_id}')",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as psql:
        sql.execute("select jobs.ack(%s)", job_id)
        _, said = psql.communicate(timeout=20)

    assert psql.returncode == 0
    assert f"job {job_id} is succeeded" in said


def test_wait_for_ends_when_time_ran_out(sql: Session) -> None:
    job_id = publish(sql)
    notices: list[str] = []
    sql.connection.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))

    sql.execute("call jobs.wait_for(%s, 0.05)", job_id)

    assert notices == [f"job {job_id} is not finished"]


@pytest.mark.parametrize("where", EVERY_STATE)
def test_list_finds_a_job_by_its_state(sql: Session, where: str) -> None:
    job_id = bring(sql, where)
    found = state(sql, job_id)

    rows = sql.rows("select job_id from jobs.list(i_state => %s)", found)

    assert rows == [{"job_id": job_id}]


def test_list_shows_the_newest_first_and_no_more_than_asked(sql: Session) -> None:
    given = [publish(sql, f"t.{n % 2}", queue=f"q{n % 3}") for n in range(12)]

    assert [r["job_id"] for r in sql.rows("select * from jobs.list(i_limit => 3)")] == given[:-4:-1]
    assert [r["job_id"] for r in sql.rows("select * from jobs.list(i_queue => 'q0')")] == given[9::-3]
    assert len(sql.rows("select * from jobs.list(i_task => 't.%')")) == 12
    assert len(sql.rows("select * from jobs.list(i_task => 't.1')")) == 6


def test_pausing_twice_keeps_the_first_moment_and_the_last_reason(sql: Session, clock: Clock) -> None:
    first = clock.now()
    sql.execute("select jobs.pause_queue('mail', 'one')")
    clock.advance(60)
    sql.execute("select jobs.pause_queue('mail', 'two')")

    row = sql.row("select queue, paused_at, reason from jobs.queues")

    assert row == {"queue": "mail", "paused_at": first, "reason": "two"}


def test_resuming_a_queue_that_is_not_paused_is_no_error(sql: Session) -> None:
    sql.execute("select jobs.resume_queue('mail')")

    assert sql.rows("select * from jobs.queues") == []


def test_purge_deletes_the_waiting_jobs_of_one_queue(sql: Session) -> None:
    running = publish(sql, queue="mail")
    take(sql)
    for delay in (0, 60):
        publish(sql, queue="mail", delay=delay)
    other = publish(sql, queue="other")

    assert sql.value("select jobs.purge_queue('mail')") == 2

    left = {row["job_id"]: row["state"] for row in sql.rows('select * from jobs."all"')}
    assert left == {running: "running", other: "ready"}
    assert sql.rows("select * from jobs.fsck()") == []


def test_purge_deletes_no_more_than_asked(sql: Session) -> None:
    for _ in range(3):
        publish(sql)

    assert [sql.value("select jobs.purge_queue('default', 2)") for _ in range(3)] == [2, 1, 0]
