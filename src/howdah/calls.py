"""One pure function per function of the schema `jobs`: its arguments and how its rows are read.

A `Call` says nothing about how it is executed: a driver renders a statement, PostgREST takes its `body`.
Arguments that were not given are left out, so that defaults exist once, in the database.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec

from howdah import json
from howdah.json import Document
from howdah.models import (
    ChangedJob,
    ExchangeAnswer,
    Failure,
    JobRow,
    LogLine,
    Outcome,
    PublishedJob,
    Statistic,
    TaskDescription,
    Verdict,
)

T = TypeVar("T")
Row = Mapping[str, Any]
Rows = Sequence[Row]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call of a database function.

    >>> cancel("welcome-42").body
    {'i_job_id': 'welcome-42'}
    """

    function: str
    arguments: Mapping[str, Any]
    decode: Callable[[Rows], T]
    # Whether its rows hold JSON, which a caller's own connection may decode in its own way.
    holds_json: bool = False

    @property
    def body(self) -> dict[str, Any]:
        """The arguments as one JSON object: the body of a PostgREST RPC."""
        return {name: _plain(value) for name, value in self.arguments.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Document):
        return json.decode(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return list(value)
    return value


def _given(**arguments: Any) -> dict[str, Any]:
    return {f"i_{name}": value for name, value in arguments.items() if value is not None}


# ── Reading rows ──


def _scalar(rows: Rows) -> Any:
    return next(iter(rows[0].values())) if rows else None


def _nothing(rows: Rows) -> None:
    del rows


def _published(row: Row) -> PublishedJob:
    return PublishedJob(*row.values())  # by position, as the type jobs.published has them


def _all_published(rows: Rows) -> list[PublishedJob]:
    return [_published(row) for row in rows]


def _one_published(rows: Rows) -> PublishedJob:
    return _published(rows[0])


def _changed(rows: Rows) -> ChangedJob:
    row = rows[0]
    return ChangedJob(row["job_id"], row["id"], row["state"])


def _jobs(rows: Rows) -> list[JobRow]:
    return [JobRow.from_row(row) for row in rows]


def _job_or_none(rows: Rows) -> JobRow | None:
    return JobRow.from_row(rows[0]) if rows else None


def _verdicts(rows: Rows) -> list[Verdict]:
    return [Verdict(row["run_id"], row["verdict"]) for row in rows]


def _failures(rows: Rows) -> list[Failure]:
    names = ("attempt", "run_id", "at", "kind", "error", "traceback")
    return [Failure(*(row[name] for name in names)) for row in rows]


def _number(value: Any) -> float:
    return float(value) if isinstance(value, Decimal) else value


def _statistics(rows: Rows) -> list[Statistic]:
    return [Statistic(row["name"], row["queue"], _number(row["value"])) for row in rows]


def _mappings(rows: Rows) -> list[dict[str, Any]]:
    return [dict(row) for row in rows]


def _plain_rows(rows: Rows) -> list[dict[str, Any]]:
    return [{name: _number(value) for name, value in row.items()} for row in rows]


def _log_lines(rows: Rows) -> list[LogLine]:
    return [LogLine(*(row[name] for name in ("n", "at", "run_id", "level", "message"))) for row in rows]


_answer_decoder = msgspec.json.Decoder(ExchangeAnswer)


def _answer(rows: Rows) -> ExchangeAnswer:
    value = _scalar(rows)
    # A caller's connection may have a JSON codec of its own.
    return _answer_decoder.decode(value) if isinstance(value, str) else msgspec.convert(value, ExchangeAnswer)


# ── Publishing ──


def publish(task: str, body: Document | None = None, **options: Any) -> Call[PublishedJob]:
    """Publish one job; the options are those of `TaskOptions.given`."""
    return Call("publish", _given(task=task, body=body, **_documents(options)), _one_published)


def publish_each(task: str, bodies: Document, **options: Any) -> Call[list[int]]:
    """Publish one job for each body, all or none; the answer is their numbers."""
    return Call("publish_each", _given(task=task, bodies=bodies, **_documents(options)), _scalar)


def merged(publishes: Sequence[Call[PublishedJob]]) -> Call[list[PublishedJob]]:
    """Return one call that publishes what several would, all or none.

    >>> merged([publish("a"), publish("b", priority=5)]).arguments["i_jobs"]
    '[{"task":"a"},{"task":"b","priority":5}]'
    """
    jobs = json.rows([{name[2:]: value for name, value in call.arguments.items()} for call in publishes])
    return Call("publish_many", {"i_jobs": jobs}, _all_published)


def _documents(options: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(options)
    if "headers" in values:
        values["headers"] = json.document(values["headers"], field="headers", limit=json.HEADERS_LIMIT)
    if "meta" in values:
        values["meta"] = json.document(values["meta"], field="meta")
    return values


# ── Consuming without a worker ──


def consume(
    number: int = 1, *, topic: str | None = None, queues: Sequence[str] | None = None
) -> Call[list[JobRow]]:
    """Claim up to `number` jobs."""
    return Call("consume", _given(num=number, topic=topic, queues=_names(queues)), _jobs, holds_json=True)


def ack(job_id: str, result: Document | None = None, *, run_id: int | None = None) -> Call[ChangedJob]:
    """Finish a run well."""
    return Call("ack", _given(job_id=job_id, result=result, run_id=run_id), _changed)


def nack(
    job_id: str,
    traceback: str | None = None,
    *,
    scheduled_at: datetime.datetime | None = None,
    run_id: int | None = None,
    kind: str | None = None,
    error: str | None = None,
    delay: float | None = None,
    final: bool | None = None,
) -> Call[ChangedJob]:
    """Finish a run badly."""
    arguments = _given(
        job_id=job_id,
        traceback=traceback,
        scheduled_at=scheduled_at,
        run_id=run_id,
        kind=kind,
        error=error,
        delay=delay,
        final=final,
    )
    return Call("nack", arguments, _changed)


def snooze(job_id: str, delay: float, *, run_id: int | None = None) -> Call[ChangedJob]:
    """Give a run back for later, without costing an attempt."""
    return Call("snooze", _given(job_id=job_id, delay=delay, run_id=run_id), _changed)


def release(job_id: str, *, run_id: int | None = None) -> Call[ChangedJob]:
    """Give a run back for now, without costing an attempt."""
    return Call("release", _given(job_id=job_id, run_id=run_id), _changed)


# ── Control ──


def cancel(job_id: str, reason: str | None = None) -> Call[ChangedJob]:
    """Cancel a job, or ask its run to stop."""
    return Call("cancel", _given(job_id=job_id, reason=reason), _changed)


def retry(job_id: str) -> Call[ChangedJob]:
    """Make a waiting job due, or run a finished one again."""
    return Call("retry", _given(job_id=job_id), _changed)


def delete(job_id: str, *, force: bool | None = None) -> Call[ChangedJob]:
    """Delete a job."""
    return Call("delete", _given(job_id=job_id, force=force), _changed)


def pause_queue(queue: str, reason: str | None = None) -> Call[None]:
    """Let no job of a queue start."""
    return Call("pause_queue", _given(queue=queue, reason=reason), _nothing)


def resume_queue(queue: str) -> Call[None]:
    """Let the jobs of a queue start again."""
    return Call("resume_queue", _given(queue=queue), _nothing)


def purge_queue(queue: str, limit: int | None = None) -> Call[int]:
    """Delete waiting jobs of a queue, a bounded number a call."""
    return Call("purge_queue", _given(queue=queue, limit=limit), _scalar)


# ── Looking ──


def get(job_id: str) -> Call[JobRow | None]:
    """Look at one job."""
    return Call("get", _given(job_id=job_id), _job_or_none, holds_json=True)


def list_jobs(
    *,
    state: str | None = None,
    queue: str | None = None,
    task: str | None = None,
    limit: int | None = None,
) -> Call[list[JobRow]]:
    """Look at the newest jobs."""
    return Call("list", _given(state=state, queue=queue, task=task, limit=limit), _jobs, holds_json=True)


def failures(job_id: str) -> Call[list[Failure]]:
    """Look at a job's failed attempts."""
    return Call("failures", _given(job_id=job_id), _failures)


def why(job_id: str) -> Call[str]:
    """Ask in one sentence why a job is not running."""
    return Call("why", _given(job_id=job_id), _scalar)


def stats() -> Call[list[Statistic]]:
    """Read the numbers of the system."""
    return Call("stats", {}, _statistics)


def logs(job_id: str, after: int = 0, limit: int | None = None) -> Call[list[LogLine]]:
    """Read what a job's runs have logged, beyond line number `after`, oldest first."""
    return Call("logs", _given(job_id=job_id, after=after or None, limit=limit), _log_lines)


def list_queues() -> Call[list[dict[str, Any]]]:
    """Look at the queues that hold unfinished jobs or are paused."""
    return Call("list_queues", {}, _plain_rows)


def list_workers() -> Call[list[dict[str, Any]]]:
    """Look at the registered workers."""
    return Call("list_workers", {}, _plain_rows)


def list_tasks() -> Call[list[dict[str, Any]]]:
    """Look at the tasks that workers have registered."""
    return Call("list_tasks", {}, _plain_rows)


def unfinished(queues: Sequence[str] | None = None, topic: str | None = None) -> Call[int]:
    """Count the jobs that are ready or running anywhere."""
    return Call("unfinished", _given(queues=_names(queues), topic=topic), _scalar)


def left_over(queues: Sequence[str] | None = None, topic: str | None = None) -> Call[list[dict[str, Any]]]:
    """Count the unfinished jobs that no worker can start now, by reason."""
    return Call("left_over", _given(queues=_names(queues), topic=topic), _mappings)


def version() -> Call[str | None]:
    """Read the digest of the installed schema."""
    return Call("version", {}, _scalar)


# ── Housekeeping ──


def maintain() -> Call[list[dict[str, Any]]]:
    """Do what is due: promotions, rescues, expiries, ticks."""
    return Call("maintain", {}, _mappings)


def fsck() -> Call[list[dict[str, Any]]]:
    """Check the invariants; one row per violation."""
    return Call("fsck", {}, _mappings)


def prune(older_than: datetime.timedelta | None = None, limit: int | None = None) -> Call[int]:
    """Delete old finished jobs."""
    return Call("prune", _given(older_than=older_than, limit=limit), _scalar)


# ── The worker protocol ──


def worker_started(
    name: str,
    tasks: Sequence[TaskDescription],
    *,
    queues: Sequence[str] | None = None,
    topic: str | None = None,
    allow: Sequence[str] | None = None,
    host: str | None = None,
    pid: int | None = None,
    lease: float | None = None,
) -> Call[int]:
    """Register a worker with its tasks."""
    described = json.document([task.given() for task in tasks], field="tasks", limit=64 * json.BODY_LIMIT)
    arguments = _given(
        name=name,
        tasks=described,
        queues=_names(queues),
        topic=topic,
        allow=_names(allow),
        host=host,
        pid=pid,
        lease=lease,
    )
    return Call("worker_started", arguments, _scalar)


def worker_stopped(worker_id: int, *, crashed: bool | None = None) -> Call[int]:
    """Take a worker off, and give its runs back."""
    return Call("worker_stopped", _given(worker_id=worker_id, crashed=crashed), _scalar)


def heartbeat(worker_id: int, run_ids: Sequence[int]) -> Call[list[Verdict]]:
    """Extend a worker's lease; learn which runs are lost or to be cancelled."""
    return Call("heartbeat", _given(worker_id=worker_id, run_ids=list(run_ids)), _verdicts)


def reconcile(worker_id: int, held: Sequence[int]) -> Call[int]:
    """Give back a worker's runs other than those it holds; the answer is how many."""
    return Call("reconcile", {"i_worker_id": worker_id, "i_held": list(held)}, _scalar)


def log(job_id: str, run_id: int, lines: Document) -> Call[None]:
    """Add lines, `[[level, message], …]`, to the log of a running job."""
    return Call("log", {"i_job_id": job_id, "i_run_id": run_id, "i_lines": lines}, _nothing)


_outcome_encoder = msgspec.json.Encoder()


def exchange(
    worker_id: int, outcomes: Sequence[Outcome], number: int, *, sleep: bool = False
) -> Call[ExchangeAnswer]:
    """Hand in outcomes and claim up to `number` jobs, in one transaction."""
    arguments: dict[str, Any] = {"i_worker_id": worker_id, "i_num": number, "i_sleep": sleep}
    if outcomes:
        arguments["i_outcomes"] = Document(_outcome_encoder.encode(outcomes).decode())
    return Call("exchange", arguments, _answer)


def _names(names: Sequence[str] | None) -> list[str] | None:
    return list(names) if names else None
