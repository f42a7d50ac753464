"""A handle on one job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from howdah._async.job import AsyncJob
from howdah._sync.job import SyncJob

if TYPE_CHECKING:
    from howdah.app import Howdah
    from howdah.models import JobRow

__all__ = ["ConsumedJob", "Job"]

R = TypeVar("R")


class Job(AsyncJob[R], SyncJob[R]):
    """One job, by its id. Nothing is read from the database until a method asks for it.

    `job_id`: the key given at publish, else the number as text. `id`: the number, where known.
    `created`: False when a publish found the key taken and returned that job.
    """

    __slots__ = ()


class ConsumedJob(Job[Any]):
    """A job that `app.consume` handed out, with what was published; `row` has all of it.

    `job_id` stays the same in every attempt: use it as idempotency key.
    """

    __slots__ = ("row",)

    def __init__(self, app: Howdah, row: JobRow) -> None:
        super().__init__(app, row.job_id, id=row.id, run_id=row.run_id)
        self.row: JobRow = row

    @property
    def key(self) -> str | None:
        """The user's own key."""
        return self.row.key

    @property
    def task(self) -> str:
        """The task's name."""
        return self.row.task

    @property
    def body(self) -> Any:
        """The whole body as published, decoded."""
        return self.row.body

    @property
    def queue(self) -> str:
        """The queue it came from."""
        return self.row.queue

    @property
    def attempt(self) -> int:
        """1 for the first attempt."""
        return self.row.attempt

    @property
    def max_retries(self) -> int:
        """Attempts after the first."""
        return self.row.max_retries

    @property
    def priority(self) -> int:
        """Larger runs first."""
        return self.row.priority

    @property
    def timeout(self) -> float:
        """Seconds that the run may take, before somebody else gets the job."""
        return self.row.timeout

    @property
    def headers(self) -> dict[str, Any]:
        """The headers given at publish."""
        return self.row.headers or {}

    @property
    def meta(self) -> Any:
        """The meta data given at publish."""
        return self.row.meta
