"""Run one job in the test itself."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from howdah import calls
from howdah.errors import JobNotFound, LeaseLost, TaskNotAllowed, WrongState
from howdah.job import Job
from howdah.testing.labels import labels_of
from howdah.testing.loops import in_own_loop

if TYPE_CHECKING:
    from howdah.app import Howdah
    from howdah.job import ConsumedJob
    from howdah.models import JobRow

__all__ = ["run", "run_sync"]

# One consume claims so many.
_BATCH = 500


async def run(app: Howdah, job: Job[Any] | str | int) -> Any:
    """Run one job now, in this event loop, and return what its function returned.

    Whatever the function raises is raised here, with its own traceback, after the attempt was recorded as
    failed. A job that is scheduled for later, or for a retry, is run now too; other jobs stay as they are.
    The app's lifespan and middleware belong to workers: use `drain` for them.
    Raises `JobNotFound`, `TaskNotAllowed`, and `WrongState` for a job that has ended, runs, or is paused.

    >>> import asyncio
    >>> from howdah import Howdah
    >>> from howdah.testing import databases
    >>> app = Howdah()
    >>> @app.task(name="shop.divide")
    ... async def divide(a: float, b: float) -> float:
    ...     return a / b
    >>> async def test_divide() -> None:
    ...     assert await run(app, await divide.publish(6, 3)) == 2.0
    ...     job = await divide.publish(1, 0)
    ...     try:
    ...         await run(app, job)
    ...     except ZeroDivisionError:
    ...         pass
    ...     assert await job.status() == "scheduled"  # for its retry
    >>> with databases() as made, made.fresh() as database:
    ...     app.use(database.dsn)
    ...     asyncio.run(test_divide())
    """
    consumed = await _consumed(app, job.job_id if isinstance(job, Job) else str(job))
    try:
        return await app.run(consumed)
    except TaskNotAllowed:
        await consumed.release()
        raise
    except BaseException as error:  # what pytest.fail() raises is no Exception
        with suppress(LeaseLost):
            await consumed.nack(error)
        raise


def run_sync(app: Howdah, job: Job[Any] | str | int) -> Any:
    """Do what `run` does, from code without an event loop."""
    return in_own_loop("run", lambda: run(app, job))


async def _consumed(app: Howdah, job_id: str) -> ConsumedJob:
    row = await app.execute(calls.get(job_id))
    if row is None:
        raise JobNotFound(f"there is no job {job_id}")
    if row.state == "scheduled":
        await app.execute(calls.retry(job_id))  # due now
    found = None if row.finished else await _claimed(app, row)
    if found is None:
        why = await app.execute(calls.why(job_id))
        raise WrongState(f"job {job_id} cannot be run: {why}")
    return found


async def _claimed(app: Howdah, row: JobRow) -> ConsumedJob | None:
    """Claim a job out of its queue; what lies before it goes back, in the same order."""
    before: list[ConsumedJob] = []
    found: ConsumedJob | None = None
    while found is None and (batch := await _taken(app, row.queue)):
        found = next((job for job in batch if job.id == row.id), None)
        before += [job for job in batch if job is not found]
    for job in before:
        await job.release()
    return found


async def _taken(app: Howdah, queue: str) -> list[ConsumedJob]:
    return await app.consume(_BATCH, queues=[queue], labels=labels_of(app))
