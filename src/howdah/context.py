"""What a running task can know about its run."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from howdah import json

if TYPE_CHECKING:
    from howdah.models import ClaimedJob

__all__ = ["Context", "RunningJob", "current_job", "entered"]

_log = logging.getLogger("howdah.task")
_current: ContextVar[ClaimedJob | None] = ContextVar("howdah_current_job", default=None)


class RunningJob:
    """The job of a run. `job_id` stays the same in every attempt: use it as idempotency key."""

    __slots__ = ("_body", "_claimed")

    def __init__(self, claimed: ClaimedJob) -> None:
        self._claimed = claimed
        self._body: Any = _body_not_decoded

    def __repr__(self) -> str:
        return f"RunningJob(job_id={self.job_id!r}, task={self.task!r}, attempt={self.attempt})"

    @property
    def id(self) -> int:
        """The job's number."""
        return self._claimed.id

    @property
    def job_id(self) -> str:
        """The user's own key, else the number as text."""
        return self._claimed.job_id

    @property
    def key(self) -> str | None:
        """The user's own key."""
        return self._claimed.key

    @property
    def task(self) -> str:
        """The task's name."""
        return self._claimed.task

    @property
    def queue(self) -> str:
        """The queue it came from."""
        return self._claimed.queue

    @property
    def run_id(self) -> int:
        """The number of this run; a later run has a greater one."""
        return self._claimed.run_id

    @property
    def attempt(self) -> int:
        """1 for the first attempt."""
        return self._claimed.attempt

    @property
    def max_retries(self) -> int:
        """Attempts after the first."""
        return self._claimed.max_retries

    @property
    def priority(self) -> int:
        """Larger runs first."""
        return self._claimed.priority

    @property
    def timeout(self) -> float:
        """Seconds that a run may take."""
        return self._claimed.timeout

    @property
    def headers(self) -> dict[str, Any]:
        """The headers given at publish."""
        return self._claimed.headers or {}

    @property
    def meta(self) -> Any:
        """The meta data given at publish."""
        return self._claimed.meta

    @property
    def body(self) -> Any:
        """The whole body as published, decoded."""
        if self._body is _body_not_decoded:
            self._body = json.decode(self._claimed.body)
        return self._body


_body_not_decoded = object()


class Context:
    """Handed to a task that has a parameter annotated `Context`.

    >>> async def import_file(ctx: Context, path: str) -> None:
    ...     ctx.log("attempt %s of job %s", ctx.attempt, ctx.job.job_id)
    """

    __slots__ = ("job",)

    def __init__(self, job: RunningJob) -> None:
        self.job = job

    @property
    def attempt(self) -> int:
        """1 for the first attempt."""
        return self.job.attempt

    def log(self, message: str, *values: object, level: int = logging.INFO) -> None:
        """Write a line to the logger `howdah.task`, with the job's id in front of it."""
        _log.log(level, "[%s %s] " + message, self.job.task, self.job.job_id, *values)


def current_job() -> RunningJob | None:
    """Return the job that runs here, None outside of a task.

    >>> current_job() is None
    True
    """
    claimed = _current.get()
    return None if claimed is None else RunningJob(claimed)


def entered(claimed: ClaimedJob) -> None:
    """Make a job the current one, for the rest of this context."""
    _current.set(claimed)
