"""What a handle on a job does."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeVar

from howdah import calls, json
from howdah.errors import JobNotFound, ResultTimeout
from howdah.failures import described
from howdah.handle import JobHandle
from howdah.retry import seconds

if TYPE_CHECKING:
    import datetime

    from howdah.models import ChangedJob, Failure, JobRow, LogLine, Relative

__all__ = ["AsyncJob"]

R = TypeVar("R")

# Seconds between two looks of a waiting `result()`.
_FIRST_LOOK = 0.005
_LAST_LOOK = 0.25
_GROWTH = 1.3


class AsyncJob(JobHandle[R]):
    """The methods of `Job` that are awaited."""

    __slots__ = ()

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

    async def relatives(self, limit: int | None = None) -> list[Relative]:
        """Return the job's parents, also those that have ended, and the jobs that wait for it.

        At most `limit` of each, 100 by default. Raises `JobNotFound`.
        """
        return await self._app.execute(calls.relatives(self.job_id, limit))

    async def failures(self) -> list[Failure]:
        """Return the job's failed attempts, oldest first."""
        return await self._app.execute(calls.failures(self.job_id))

    async def logs(self, after: int = 0) -> list[LogLine]:
        """Return what the job's runs have logged, oldest first, beyond line number `after`."""
        return await self._app.execute(calls.logs(self.job_id, after))

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

    async def cancel(self, reason: str | None = None, *, connection: Any = None) -> ChangedJob:
        """Cancel the job; a running one is asked to stop. Raises `JobNotFound`."""
        return await self._app.execute(calls.cancel(self.job_id, reason), connection=connection)

    async def retry(self, *, connection: Any = None) -> ChangedJob:
        """Make a waiting job due now, or run a finished one again.

        Raises `JobNotFound`, `WrongState`, `DuplicateJob` for one whose unique key another job holds.
        """
        return await self._app.execute(calls.retry(self.job_id), connection=connection)

    async def delete(self, *, force: bool | None = None, connection: Any = None) -> ChangedJob:
        """Delete the job and all that is known about it; a running one needs `force`.

        Raises `JobNotFound`, `WrongState`.
        """
        return await self._app.execute(calls.delete(self.job_id, force=force), connection=connection)

    async def ack(self, result: Any = None, *, connection: Any = None) -> ChangedJob:
        """Finish the run with a result, in the transaction of `connection` if one is given.

        Raises `LeaseLost`, `InvalidInput`, `JobNotFound`.
        """
        call = calls.ack(self.job_id, json.document(result, field="result"), run_id=self.run_id)
        return await self._app.execute(call, connection=connection)

    async def nack(
        self,
        error: BaseException | str | None = None,
        *,
        delay: float | datetime.timedelta | None = None,
        scheduled_at: datetime.datetime | None = None,
        kind: str | None = None,
        final: bool = False,
        connection: Any = None,
    ) -> ChangedJob:
        """Finish the run as failed, with an exception or the text of a traceback.

        It is retried as its task says, or after `delay` (seconds or a timedelta), or at `scheduled_at`;
        `final`: not at all. `kind` is what kind of failure it is, `error` by default.
        Raises `LeaseLost`, `InvalidInput`, `JobNotFound`.
        """
        told = described(error, delay=delay, scheduled_at=scheduled_at, kind=kind, final=final)
        return await self._app.execute(
            calls.nack(self.job_id, run_id=self.run_id, **told), connection=connection
        )

    async def snooze(self, delay: float | datetime.timedelta, *, connection: Any = None) -> ChangedJob:
        """Give the run back for later (seconds or a timedelta), without costing an attempt.

        Raises `LeaseLost`, `InvalidInput`, `JobNotFound`.
        """
        call = calls.snooze(self.job_id, seconds(delay, field="delay"), run_id=self.run_id)
        return await self._app.execute(call, connection=connection)

    async def release(self, *, connection: Any = None) -> ChangedJob:
        """Give the run back for now, without costing an attempt. Raises `LeaseLost`, `JobNotFound`."""
        return await self._app.execute(calls.release(self.job_id, run_id=self.run_id), connection=connection)
