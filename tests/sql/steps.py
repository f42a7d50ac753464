"""The few steps that most tests of the engine take, each one call of the public API."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from tests.fixtures.sessions import Row, Session

TABLES = ("job", "scheduled", "blocked", "ready", "running", "finished", "failure", "expiry", "notice", "log")


def publish(session: Session, task: str = "shop.mail", **options: object) -> str:
    """Publish a job with publish's named options, and return its job_id."""
    named = "".join(f", i_{name} => %s" for name in options)
    values = [Decimal(str(value)) if isinstance(value, float) else value for value in options.values()]
    job_id: str = session.value(f"select job_id from jobs.publish(%s{named})", task, *values)
    return job_id


def consume(session: Session, num: int = 10) -> list[Row]:
    """Claim as a plain consumer."""
    return session.rows("select * from jobs.consume(%s)", num)


def take(session: Session) -> Row:
    """Claim one job as a plain consumer, and be sure to get it."""
    return session.row("select * from jobs.consume(1)")


def state(session: Session, job_id: str) -> str:
    """Return the state of a job that is there."""
    found: str = session.value("select state from jobs.get(%s)", job_id)
    return found


def start_worker(session: Session, *tasks: str | dict[str, object], **options: object) -> int:
    """Register a worker that knows these tasks, and return its number."""
    declared = [{"name": task} if isinstance(task, str) else task for task in tasks]
    named = "".join(f", i_{name} => %s" for name in options)
    query = f"select jobs.worker_started('test', %s{named})"
    number: int = session.value(query, Jsonb(declared), *options.values())
    return number


def exchange(session: Session, worker: int, *outcomes: object, num: int = 0, sleep: bool = False) -> Any:
    """Hand outcomes in and claim up to `num` jobs for a worker."""
    return session.value("select jobs.exchange(%s, %s, %s, %s)", worker, Jsonb(list(outcomes)), num, sleep)


def settle(session: Session) -> None:
    """Do the chores until nothing is left to do; the first round only records the lanes."""
    idle = 0
    while idle < 2:
        done = session.value("select sum(jobs) from jobs.maintain()")
        idle = 0 if done else idle + 1


def refused(session: Session, sqlstate: str, query: str, *args: object) -> psycopg.errors.Diagnostic:
    """Run a statement that must fail with this SQLSTATE, and return what the error says."""
    with pytest.raises(psycopg.Error) as caught:
        session.rows(query, *args)
    assert caught.value.diag.sqlstate == sqlstate, caught.value
    return caught.value.diag


def counts(session: Session) -> dict[str, int]:
    """Return how many rows each table of jobs holds, to show that nothing was lost or added."""
    return {table: session.value(f"select count(*) from howdah.{table}") for table in TABLES}
