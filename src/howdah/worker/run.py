"""What a worker knows about a run of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from howdah.models import ClaimedJob

__all__ = ["Run"]


class Run:
    """One run of one job."""

    __slots__ = ("deadline", "ending", "job", "reported", "started", "stop", "stopped_at", "task")

    def __init__(self, job: ClaimedJob, started: float) -> None:
        self.job: ClaimedJob = job
        self.started: float = started
        self.deadline: float = started + job.timeout
        self.task: asyncio.Task[None] | None = None
        # Why it was cancelled: timeout, cancel, lost, shutdown.
        self.stop: str | None = None
        self.stopped_at: float = 0.0
        # Its task has ended; what it wrote is being committed or rolled back, in bounded time.
        self.ending: bool = False
        self.reported: bool = False

    @property
    def title(self) -> str:
        """The run's task and job, as a log names it."""
        return f"{self.job.task} {self.job.job_id}"
