"""One pure function per function of the schema `jobs`: its arguments and how its rows are read.

A `Call` says nothing about how it is executed: a driver renders a statement, PostgREST takes its `body`.
Arguments that were not given are left out, so that defaults exist once, in the database.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from howdah import arguments, json, rows
from howdah.json import Document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call of a database function.

    >>> cancel("welcome-42").body
    {'i_job_id': 'welcome-42'}
    """

    function: str
    arguments: Mapping[str, Any]
    decode: Callable[[rows.Rows], T]
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


# ── Publishing ──


def publish(task: str, body: Document | None = None, **options: Any) -> Call[PublishedJob]:
    """Publish one job; the options are those of `TaskOptions.given`."""
    return Call("publish", _given(task=task, body=body, **_documents(options)), rows.one_published)


def publish_each(task: str, bodies: Document, **options: Any) -> Call[list[int]]:
    """Publish one job for each body, all or none; the answer is their numbers."""
    return Call("publish_each", _given(task=task, bodies=bodies, **_documents(options)), rows.scalar)


def merged(publishes: Sequence[Call[PublishedJob]]) -> Call[list[PublishedJob]]:
    """Return one call that publishes what several would, all or none.

    >>> merged([publish("a"), publish("b", priority=5)]).arguments["i_jobs"]
    '[{"task":"a"},{"task":"b","priority":5}]'
    """
    jobs = json.rows([{name[2:]: value for name, value in call.arguments.items()} for call in publishes])
    return Call("publish_many", {"i_jobs": jobs}, rows.all_published)


def _documents(options: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(options)
    if "headers" in values:
        values["headers"] = json.document(values["headers"], field="headers", limit=json.HEADERS_LIMIT)
    if "meta" in values:
        values["meta"] = json.document(values["meta"], field="meta")
    if "unique" in values:
        values["unique"] = json.document(values["unique"], field="unique")
    return values


# ── Consuming without a worker ──


def consume(
    number: int = 1, *, topic: str | None = None, queues: Sequence[str] | None = None
) -> Call[list[JobRow]]:
    """Claim up to `number` jobs."""
    asked = _given(
        num=arguments.whole(number, field="num"), topic=_text("topic", topic), queues=_names("queues", queues)
    )
    return Call("consume", asked, rows.jobs, holds_json=True)


def ack(job_id: str, result: Document | None = None, *, run_id: int | None = None) -> Call[ChangedJob]:
    """Finish a run well."""
    return Call("ack", _given(job_id=job_id, result=result, run_id=run_id), rows.changed)


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
    return Call("nack", arguments, rows.changed)


def snooze(job_id: str, delay: float, *, run_id: int | None = None) -> Call[ChangedJob]:
    """Give a run back for later, without costing an attempt."""
    return Call("snooze", _given(job_id=job_id, delay=delay, run_id=run_id), rows.changed)


def release(job_id: str, *, run_id: int | None = None) -> Call[ChangedJob]:
    """Give a run back for now, without costing an attempt."""
    return Call("release", _given(job_id=job_id, run_id=run_id), rows.changed)


# ── Control ──


def cancel(job_id: str, reason: str | None = None) -> Call[ChangedJob]:
    """Cancel a job, or ask its run to stop."""
    return Call("cancel", _given(job_id=job_id, reason=_text("reason", reason)), rows.changed)


def retry(job_id: str) -> Call[ChangedJob]:
    """Make a waiting job due, or run a finished one again."""
    return Call("retry", _given(job_id=job_id), rows.changed)


def delete(job_id: str, *, force: bool | None = None) -> Call[ChangedJob]:
    """Delete a job."""
    asked = None if force is None else arguments.truth(force, field="force")
    return Call("delete", _given(job_id=job_id, force=asked), rows.changed)


def pause_queue(queue: str, reason: str | None = None) -> Call[None]:
    """Let no job of a queue start."""
    return Call("pause_queue", _given(queue=queue, reason=reason), rows.nothing)


def resume_queue(queue: str) -> Call[None]:
    """Let the jobs of a queue start again."""
    return Call("resume_queue", _given(queue=queue), rows.nothing)


def set_queue(queue: str, *, result_ttl: float | None = None, failure_ttl: float | None = None) -> Call[None]:
    """Set how many seconds finished jobs of a queue are kept; -1: for ever; None: as before."""
    named = _given(queue=queue, result_ttl=result_ttl, failure_ttl=failure_ttl)
    return Call("set_queue", named, rows.nothing)


def purge_queue(queue: str, limit: int | None = None) -> Call[int]:
    """Delete waiting jobs of a queue, a bounded number a call."""
    return Call("purge_queue", _given(queue=queue, limit=limit), rows.scalar)


# ── Looking ──


def get(job_id: str) -> Call[JobRow | None]:
    """Look at one job."""
    return Call("get", _given(job_id=job_id), rows.job_or_none, holds_json=True)


def list_jobs(
    *,
    state: str | None = None,
    queue: str | None = None,
    task: str | None = None,
    limit: int | None = None,
) -> Call[list[JobRow]]:
    """Look at the newest jobs."""
    return Call("list", _given(state=state, queue=queue, task=task, limit=limit), rows.jobs, holds_json=True)


def failures(job_id: str) -> Call[list[Failure]]:
    """Look at a job's failed attempts."""
    return Call("failures", _given(job_id=job_id), rows.failures)


def why(job_id: str) -> Call[str]:
    """Ask in one sentence why a job is not running."""
    return Call("why", _given(job_id=job_id), rows.scalar)


def stats() -> Call[list[Statistic]]:
    """Read the numbers of the system."""
    return Call("stats", {}, rows.statistics)


def logs(job_id: str, after: int = 0, limit: int | None = None) -> Call[list[LogLine]]:
    """Read what a job's runs have logged, beyond line number `after`, oldest first."""
    beyond = arguments.whole(after, field="after", bits=64) or None
    return Call("logs", _given(job_id=job_id, after=beyond, limit=limit), rows.log_lines)


def list_queues() -> Call[list[dict[str, Any]]]:
    """Look at the queues that hold unfinished jobs or are paused."""
    return Call("list_queues", {}, rows.plain_rows)


def list_workers() -> Call[list[dict[str, Any]]]:
    """Look at the registered workers."""
    return Call("list_workers", {}, rows.plain_rows)


def list_tasks() -> Call[list[dict[str, Any]]]:
    """Look at the tasks that workers have registered."""
    return Call("list_tasks", {}, rows.plain_rows)


def unfinished(queues: Sequence[str] | None = None, topic: str | None = None) -> Call[int]:
    """Count the jobs that are ready or running anywhere."""
    return Call("unfinished", _given(queues=_names("queues", queues), topic=topic), rows.scalar)


def left_over(queues: Sequence[str] | None = None, topic: str | None = None) -> Call[list[dict[str, Any]]]:
    """Count the unfinished jobs that no worker can start now, by reason."""
    return Call("left_over", _given(queues=_names("queues", queues), topic=topic), rows.mappings)


def version() -> Call[str | None]:
    """Read the digest of the installed schema."""
    return Call("version", {}, rows.scalar)


# ── Housekeeping ──


def maintain(every: float | None = None) -> Call[list[dict[str, Any]]]:
    """Do what is due: promote, rescue, expire, tick; nothing when that was done `every` seconds ago."""
    return Call("maintain", _given(every=every), rows.mappings)


def fsck() -> Call[list[dict[str, Any]]]:
    """Check the invariants; one row per violation."""
    return Call("fsck", {}, rows.mappings)


def prune(older_than: datetime.timedelta | None = None, limit: int | None = None) -> Call[int]:
    """Delete old finished jobs."""
    return Call("prune", _given(older_than=older_than, limit=limit), rows.scalar)


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
        queues=_names("queues", queues),
        topic=topic,
        allow=_names("allow", allow),
        host=host,
        pid=pid,
        lease=lease,
    )
    return Call("worker_started", arguments, rows.scalar)


def worker_stopped(worker_id: int, *, crashed: bool | None = None) -> Call[int]:
    """Take a worker off, and give its runs back."""
    return Call("worker_stopped", _given(worker_id=worker_id, crashed=crashed), rows.scalar)


def heartbeat(worker_id: int, run_ids: Sequence[int]) -> Call[list[Verdict]]:
    """Extend a worker's lease; learn which runs are lost or to be cancelled."""
    return Call("heartbeat", _given(worker_id=worker_id, run_ids=list(run_ids)), rows.verdicts)


def session_started(worker_id: int, backend_pid: int) -> Call[bool]:
    """Tie a worker's life to the session; false when a pooler lies between."""
    return Call("session_started", {"i_worker_id": worker_id, "i_backend_pid": backend_pid}, rows.scalar)


def run_died(job_id: str, run_id: int, error: str) -> Call[ChangedJob]:
    """Record that a run's own process has died."""
    return Call("run_died", {"i_job_id": job_id, "i_run_id": run_id, "i_error": error}, rows.changed)


def reconcile(worker_id: int, held: Sequence[int]) -> Call[int]:
    """Give back a worker's runs other than those it holds; the answer is how many."""
    return Call("reconcile", {"i_worker_id": worker_id, "i_held": list(held)}, rows.scalar)


def log(job_id: str, run_id: int, lines: Document) -> Call[None]:
    """Add lines, `[[level, message], …]`, to the log of a running job."""
    return Call("log", {"i_job_id": job_id, "i_run_id": run_id, "i_lines": lines}, rows.nothing)


_outcome_encoder = msgspec.json.Encoder()


def exchange(
    worker_id: int, outcomes: Sequence[Outcome], number: int, *, sleep: bool = False, soon: bool = False
) -> Call[ExchangeAnswer]:
    """Hand in outcomes and claim up to `number` jobs, in one transaction; `soon` promises another look."""
    arguments: dict[str, Any] = {"i_worker_id": worker_id, "i_num": number, "i_sleep": sleep, "i_soon": soon}
    if outcomes:
        arguments["i_outcomes"] = Document(_outcome_encoder.encode(outcomes).decode())
    return Call("exchange", arguments, rows.answer)


def _names(field: str, names: Sequence[str] | None) -> list[str] | None:
    return None if names is None else arguments.names(names, field=field) or None


def _text(field: str, value: str | None) -> str | None:
    return None if value is None else arguments.text(value, field=field)
