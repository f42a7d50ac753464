"""Run jobs in the test itself, through the real engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from howdah import calls
from howdah.errors import HowdahError, WrongState
from howdah.testing.labels import labels_of
from howdah.testing.loops import in_own_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from howdah.app import Howdah
    from howdah.models import JobRow
    from howdah.testing.clock import Clock
    from howdah.worker import Worker

__all__ = ["drain", "drain_sync"]

_ALL = 100_000
_MOST_MOVES = 1_000


async def drain(
    app: Howdah, *, clock: Clock | None = None, queues: Sequence[str] = (), concurrency: int = 1
) -> list[JobRow]:
    """Run every job that is due, and those that become due by it, in this event loop; return what has ended.

    A real worker does it: claims, retries, timeouts and middleware are those of production. One job runs
    at a time unless `concurrency` says more. The jobs that ended are returned in the order in which they
    ran; `error`, `kind` and `traceback` tell why one failed. A job that waits for its retry, or is due later,
    is left alone. With `clock` the time moves on to it, again and again, until nothing is scheduled.
    `queues`: only these. The worker has all labels that the app's tasks require. Raises `HowdahError` when
    jobs come back for ever, `WrongState` while the test itself holds a job that it consumed.

    >>> import asyncio
    >>> from howdah import Howdah
    >>> from howdah.testing import databases
    >>> app, tries = Howdah(), []
    >>> @app.task(name="shop.charge", max_retries=2)
    ... async def charge(order: int) -> str:
    ...     tries.append(order)
    ...     if len(tries) < 3:
    ...         raise ConnectionError("the bank is closed")
    ...     return f"charged {order}"
    >>> async def test_charge(database) -> None:
    ...     job = await charge.publish(7)
    ...     assert await drain(app) == []  # the first attempt failed: its retry is due in a few seconds
    ...     assert await job.status() == "scheduled"
    ...     [ended] = await drain(app, clock=database.clock)
    ...     assert (ended.state, ended.result, tries) == ("succeeded", "charged 7", [7, 7, 7])
    >>> with databases() as made, made.fresh() as database:
    ...     app.use(database.dsn)
    ...     asyncio.run(test_charge(database))
    """
    from howdah.worker import Worker, WorkerOptions

    options = WorkerOptions(
        queues=tuple(queues),
        concurrency=concurrency,
        burst=True,
        grace=0.0,
        name="howdah.testing",
        labels=labels_of(app),
    )
    before = {_end(job) for job in await _jobs(app)}
    for _ in range(_MOST_MOVES):
        await _work(app, lambda: Worker(app, options), queues)
        if clock is None or not await _moved_on(app, clock, queues):
            break
    else:
        raise HowdahError(f"jobs are still scheduled after the clock was moved {_MOST_MOVES} times")
    ended = [job for job in await _jobs(app) if job.finished and _end(job) not in before]
    return sorted(ended, key=lambda job: (job.run_id is None, job.run_id, job.id))


def drain_sync(
    app: Howdah, *, clock: Clock | None = None, queues: Sequence[str] = (), concurrency: int = 1
) -> list[JobRow]:
    """Do what `drain` does, from code without an event loop."""
    return in_own_loop("drain", lambda: drain(app, clock=clock, queues=queues, concurrency=concurrency))


async def _work(app: Howdah, new_worker: Callable[[], Worker], queues: Sequence[str]) -> None:
    # First: a worker that looks while its own housekeeping moves a due job sees it neither here nor there.
    await app.execute(calls.maintain())
    held = [job for job in await _jobs(app, "running", queues) if job.worker_id is None]
    if held:
        # The worker would wait for it, and on a clock that stands still its time never ends.
        raise WrongState(
            f"job {held[0].job_id} was consumed and is still held", hint="ack, nack or release it"
        )
    await _to_the_end(new_worker())
    while await app.execute(calls.unfinished(queues, labels=labels_of(app))):
        await _to_the_end(new_worker())


async def _to_the_end(worker: Worker) -> None:
    try:
        await worker.run()
    finally:
        await worker.wait_closed()  # the loop may end with the test


def _end(job: JobRow) -> tuple[Any, ...]:
    return (job.id, job.run_id, job.complete_on)


async def _jobs(app: Howdah, state: str | None = None, queues: Sequence[str] = ()) -> list[JobRow]:
    jobs = await app.execute(calls.list_jobs(state=state, limit=_ALL))
    return [job for job in jobs if not queues or job.queue in queues]


async def _moved_on(app: Howdah, clock: Clock, queues: Sequence[str]) -> bool:
    """Move the clock to the next scheduled job; False when there is none."""
    scheduled = await _jobs(app, "scheduled", queues)
    moments = [job.scheduled_at for job in scheduled if job.scheduled_at is not None]
    if not moments:
        return False
    clock.set(max(min(moments), clock.now()))
    return True
