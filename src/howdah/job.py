"""A handle on one published job."""

from __future__ import annotations

import asyncio
import time
import traceback
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from howdah import calls, json
from howdah.errors import (
    JobCancelled,
    JobError,
    JobExpired,
    JobFailed,
    JobNotFound,
    JobSkipped,
    ResultTimeout,
)
from howdah.portal import run_sync

if TYPE_CHECKING:
    from howdah.app import Howdah
    from howdah.models import ChangedJob, Failure, JobRow

__all__ = ["Job"]

R = TypeVar("R")

# Seconds between two looks of a waiting `result()`.
_FIRST_LOOK = 0.005
_LAST_LOOK = 0.25
_GROWTH = 1.3


class Job(Generic[R]):
    """One job, by its id. Nothing is read from the database until a method asks for it.

    `job_id`: the key given at publish, else the number as text. `id`: the number, where known.
    `created`: False when a publish found the key taken and returned that job.
    """

    __slots__ = ("_app", "_returns", "created", "id", "job_id", "run_id")

    def __init__(
        self,
        app: Howdah,
        job_id: str,
        *,
        id: int | None = None,
        created: bool = False,
        run_id: int | None = None,
        returns: Any = Any,
    ) -> None:
        self._app = app
        self._returns = returns
        self.job_id = job_id
        self.id = id
        self.created = created
        self.run_id = run_id

    def __repr__(self) -> str:
        return f"Job({self.job_id!r})"

    async def info(self) -> JobRow | None:
        """Return everything the views say about the job; None when it does not exist (any more)."""
        return await self._app.execute(calls.get(self.job_id))

    async def status(self) -> str | None:
        """Return the job's state, such as `ready` or `succeeded`; None when it does not exist (any more)."""
        row = await self.info()
        return None if row is None else row.state

    async def why(self) -> str:
        """Return one sentence that says why the job is not running. Raises `JobNotFound`."""
        return await self._app.execute(calls.why(self.job_id))

    async def failures(self) -> list[Failure]:
        """Return the job's failed attempts, oldest first."""
        return await self._app.execute(calls.failures(self.job_id))

    async def result(self, timeout: float | None = None) -> R:
        """Wait until the job ends, and return what its task returned.

        `timeout` is in seconds; None waits for ever. Raises `JobFailed`, `JobCancelled`, `JobExpired`,
        `JobSkipped`, `ResultTimeout`, `JobNotFound`.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = _FIRST_LOOK
        while True:
            row = await self.info()
            if row is None:
                raise JobNotFound(f"there is no job {self.job_id}")
            if row.finished:
                return self._value(row)
            left = pause if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise ResultTimeout(f"job {self.job_id} did not end within {timeout} s, it is {row.state}")
            await asyncio.sleep(min(pause, left))
            pause = min(pause * _GROWTH, _LAST_LOOK)

    async def cancel(self, reason: str | None = None) -> ChangedJob:
        """Cancel the job; a running one is asked to stop. Raises `JobNotFound`."""
        return await self._app.execute(calls.cancel(self.job_id, reason))

    async def retry(self) -> ChangedJob:
        """Make a waiting job due now, or run a finished one again. Raises `JobNotFound`, `WrongState`."""
        return await self._app.execute(calls.retry(self.job_id))

    async def ack(self, result: Any = None) -> ChangedJob:
        """Finish the run with a result. Raises `LeaseLost`, `InvalidInput`, `JobNotFound`."""
        value = json.document(result, field="result")
        return await self._app.execute(calls.ack(self.job_id, value, run_id=self.run_id))

    async def nack(
        self, error: BaseException | str | None = None, *, delay: float | None = None
    ) -> ChangedJob:
        """Finish the run as failed; it is retried as its task says, or after `delay` seconds.

        Raises `LeaseLost`, `JobNotFound`.
        """
        text = "".join(traceback.format_exception(error)) if isinstance(error, BaseException) else error
        return await self._app.execute(calls.nack(self.job_id, text, run_id=self.run_id, delay=delay))

    def status_sync(self) -> str | None:
        """Do what `status` does, from code without an event loop."""
        return run_sync("status", self.status)

    def result_sync(self, timeout: float | None = None) -> R:
        """Do what `result` does, from code without an event loop."""
        return run_sync("result", lambda: self.result(timeout))

    def cancel_sync(self, reason: str | None = None) -> ChangedJob:
        """Do what `cancel` does, from code without an event loop."""
        return run_sync("cancel", lambda: self.cancel(reason))

    def retry_sync(self) -> ChangedJob:
        """Do what `retry` does, from code without an event loop."""
        return run_sync("retry", self.retry)

    def _value(self, row: JobRow) -> R:
        if row.state == "succeeded":
            value: R = json.convert(row.result, self._returns)
            return value
        raise _ending(row)


def _ending(row: JobRow) -> JobError:
    reason = row.error or row.reason
    if row.kind == "ttl":
        return JobExpired(reason)
    if row.state == "cancelled":
        return JobCancelled(reason)
    if row.state == "skipped":
        return JobSkipped(reason)
    return JobFailed(reason, kind=row.kind or "error", traceback=row.traceback)
