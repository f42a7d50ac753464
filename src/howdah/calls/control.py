"""Calls that change jobs, queues and limits."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from howdah import arguments, rows
from howdah.retry import seconds

if TYPE_CHECKING:
    from howdah.models import (
        ChangedJob,
    )

from howdah.calls.call import Call, given, text_given

__all__ = [
    "cancel",
    "delete",
    "pause_queue",
    "purge_queue",
    "resume_queue",
    "retry",
    "set_key",
    "set_queue",
    "set_task",
]


def cancel(job_id: str, reason: str | None = None) -> Call[ChangedJob]:
    """Cancel a job, or ask its run to stop."""
    return Call("cancel", given(job_id=job_id, reason=text_given("reason", reason)), rows.changed)


def retry(job_id: str) -> Call[ChangedJob]:
    """Make a waiting job due, or run a finished one again."""
    return Call("retry", given(job_id=job_id), rows.changed)


def delete(job_id: str, *, force: bool | None = None) -> Call[ChangedJob]:
    """Delete a job."""
    asked = None if force is None else arguments.truth(force, field="force")
    return Call("delete", given(job_id=job_id, force=asked), rows.changed)


def pause_queue(queue: str, reason: str | None = None) -> Call[None]:
    """Let no job of a queue start."""
    return Call("pause_queue", given(queue=queue, reason=reason), rows.nothing)


def resume_queue(queue: str) -> Call[None]:
    """Let the jobs of a queue start again."""
    return Call("resume_queue", given(queue=queue), rows.nothing)


def set_queue(
    queue: str,
    *,
    result_ttl: float | None = None,
    failure_ttl: float | None = None,
    max_running: int | None = None,
    rate: int | None = None,
    per: float | datetime.timedelta | None = None,
    max_waiting: int | None = None,
    ageing: float | None = None,
) -> Call[None]:
    """Set what holds for a queue, in seconds; None: as before; -1: no limit, never, or keep for ever."""
    named = given(
        queue=queue, result_ttl=result_ttl, failure_ttl=failure_ttl, max_waiting=max_waiting, ageing=ageing
    )
    return Call("set_queue", named | _limit(max_running, rate, per), rows.nothing)


def set_task(
    task: str,
    *,
    max_running: int | None = None,
    rate: int | None = None,
    per: float | datetime.timedelta | None = None,
) -> Call[None]:
    """Limit a task: slots over all workers, and starts in any interval of `per` seconds."""
    return Call("set_task", given(task=task) | _limit(max_running, rate, per), rows.nothing)


def set_key(
    concurrency_key: str,
    *,
    max_running: int | None = None,
    rate: int | None = None,
    per: float | datetime.timedelta | None = None,
) -> Call[None]:
    """Limit a concurrency key, whatever its jobs say."""
    named = given(concurrency_key=concurrency_key)
    return Call("set_key", named | _limit(max_running, rate, per), rows.nothing)


def _limit(
    max_running: int | None, rate: int | None, per: float | datetime.timedelta | None
) -> dict[str, Any]:
    return given(
        max_running=None if max_running is None else arguments.whole(max_running, field="max_running"),
        rate=None if rate is None else arguments.whole(rate, field="rate"),
        per=None if per is None else datetime.timedelta(seconds=seconds(per, field="per")),
    )


def purge_queue(queue: str, limit: int | None = None) -> Call[int]:
    """Delete waiting jobs of a queue, a bounded number a call."""
    return Call("purge_queue", given(queue=queue, limit=limit), rows.scalar)
