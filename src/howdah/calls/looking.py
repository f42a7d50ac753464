"""Calls that look, and those that keep house."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from howdah import arguments, rows

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

    from howdah.models import (
        Failure,
        JobRow,
        LogLine,
        Relative,
        Statistic,
    )

from howdah.calls.call import Call, given, names_given

__all__ = [
    "failures",
    "fsck",
    "get",
    "left_over",
    "list_jobs",
    "list_limits",
    "list_queues",
    "list_tasks",
    "list_workers",
    "logs",
    "maintain",
    "prune",
    "relatives",
    "stats",
    "unfinished",
    "version",
    "why",
]


def get(job_id: str) -> Call[JobRow | None]:
    """Look at one job."""
    return Call("get", given(job_id=job_id), rows.job_or_none, holds_json=True)


def list_jobs(
    *,
    state: str | None = None,
    queue: str | None = None,
    task: str | None = None,
    limit: int | None = None,
) -> Call[list[JobRow]]:
    """Look at the newest jobs."""
    return Call("list", given(state=state, queue=queue, task=task, limit=limit), rows.jobs, holds_json=True)


def failures(job_id: str) -> Call[list[Failure]]:
    """Look at a job's failed attempts."""
    return Call("failures", given(job_id=job_id), rows.failures)


def relatives(job_id: str, limit: int | None = None) -> Call[list[Relative]]:
    """Look at a job's parents and at the jobs that wait for it."""
    most = None if limit is None else arguments.whole(limit, field="limit")
    return Call("relatives", given(job_id=job_id, limit=most), rows.relatives)


def why(job_id: str) -> Call[str]:
    """Ask in one sentence why a job is not running."""
    return Call("why", given(job_id=job_id), rows.scalar)


def stats() -> Call[list[Statistic]]:
    """Read the numbers of the system."""
    return Call("stats", {}, rows.statistics)


def logs(job_id: str, after: int = 0, limit: int | None = None) -> Call[list[LogLine]]:
    """Read what a job's runs have logged, beyond line number `after`, oldest first."""
    beyond = arguments.whole(after, field="after", bits=64) or None
    return Call("logs", given(job_id=job_id, after=beyond, limit=limit), rows.log_lines)


def list_queues() -> Call[list[dict[str, Any]]]:
    """Look at the queues that hold unfinished jobs or are paused."""
    return Call("list_queues", {}, rows.plain_rows)


def list_workers() -> Call[list[dict[str, Any]]]:
    """Look at the registered workers."""
    return Call("list_workers", {}, rows.plain_rows)


def list_limits() -> Call[list[dict[str, Any]]]:
    """Look at limits and at what they hold back."""
    return Call("list_limits", {}, rows.plain_rows)


def list_tasks() -> Call[list[dict[str, Any]]]:
    """Look at the tasks that workers have registered."""
    return Call("list_tasks", {}, rows.plain_rows)


def unfinished(
    queues: Sequence[str] | None = None, topic: str | None = None, labels: Sequence[str] | None = None
) -> Call[int]:
    """Count the jobs that are ready, for workers with these labels, or running anywhere."""
    named = given(queues=names_given("queues", queues), topic=topic, labels=names_given("labels", labels))
    return Call("unfinished", named, rows.scalar)


def left_over(
    queues: Sequence[str] | None = None, topic: str | None = None, labels: Sequence[str] | None = None
) -> Call[list[dict[str, Any]]]:
    """Count the unfinished jobs that no worker with these labels can start now, by reason."""
    named = given(queues=names_given("queues", queues), topic=topic, labels=names_given("labels", labels))
    return Call("left_over", named, rows.mappings)


def version() -> Call[str | None]:
    """Read the digest of the installed schema."""
    return Call("version", {}, rows.scalar)


def maintain(every: float | None = None) -> Call[list[dict[str, Any]]]:
    """Do what is due: promote, rescue, expire, tick; nothing when that was done `every` seconds ago."""
    return Call("maintain", given(every=every), rows.mappings)


def fsck() -> Call[list[dict[str, Any]]]:
    """Check the invariants; one row per violation."""
    return Call("fsck", {}, rows.mappings)


def prune(older_than: datetime.timedelta | None = None, limit: int | None = None) -> Call[int]:
    """Delete old finished jobs."""
    return Call("prune", given(older_than=older_than, limit=limit), rows.scalar)
