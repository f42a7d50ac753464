"""Calls of plain consumers, who run no worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from howdah import arguments, rows

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

    from howdah.json import Document
    from howdah.models import (
        ChangedJob,
        JobRow,
    )

from howdah.calls.call import Call, given, names_given, text_given

__all__ = [
    "ack",
    "consume",
    "nack",
    "release",
    "snooze",
]


def consume(
    number: int = 1,
    *,
    topic: str | None = None,
    queues: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
) -> Call[list[JobRow]]:
    """Claim up to `number` jobs."""
    asked = given(
        num=arguments.whole(number, field="num"),
        topic=text_given("topic", topic),
        queues=names_given("queues", queues),
        labels=names_given("labels", labels),
    )
    return Call("consume", asked, rows.jobs, holds_json=True)


def ack(job_id: str, result: Document | None = None, *, run_id: int | None = None) -> Call[ChangedJob]:
    """Finish a run well."""
    return Call("ack", given(job_id=job_id, result=result, run_id=run_id), rows.changed)


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
    arguments = given(
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
    return Call("snooze", given(job_id=job_id, delay=delay, run_id=run_id), rows.changed)


def release(job_id: str, *, run_id: int | None = None) -> Call[ChangedJob]:
    """Give a run back for now, without costing an attempt."""
    return Call("release", given(job_id=job_id, run_id=run_id), rows.changed)
