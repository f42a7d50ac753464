"""One run of the benchmark: publish to a paused queue, resume it, watch one worker process drain it."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from howdah import calls, sql
from howdah.app import Howdah
from howdah.bench.figures import Figures, Latency
from howdah.bench.tasks import moment, nothing
from howdah.errors import HowdahError, SchemaOutdated
from howdah.worker import Supervisor, WorkerOptions
from howdah.worker.log import set_up_logging
from howdah.worker.signals import heeding_signals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from howdah.tasks import Task

    Progress = Callable[[int, int], None]

__all__ = ["measure"]

_APP = "howdah.bench.tasks:app"
# One statement publishes so many jobs; so many are published one by one.
_BATCH = 1_000
_SINGLE = 200
# Seconds: between two looks at a queue that is drained, without any progress until we give up, and what an
# idle worker gets to fall asleep.
_LOOK = 0.01
_PATIENCE = 60.0
_PAUSE = 0.03


async def measure(dsn: str, jobs: int, samples: int, progress: Progress) -> Figures:
    """Publish `jobs` jobs, drain them with one worker process, and time `samples` starts by an idle worker.

    `progress` is told how many jobs have run. Everything happens in a queue of its own, nothing of it stays.
    Raises a HowdahError, and KeyboardInterrupt after SIGINT or SIGTERM.
    """
    set_up_logging(logging.WARNING)
    async with Howdah(dsn) as app:
        if not sql.serves(await app.execute(calls.version())):
            raise SchemaOutdated
        bench = _Bench(app, f"bench.{secrets.token_hex(4)}", progress)
        running = asyncio.create_task(bench.run(dsn, jobs, samples))

        def interrupt() -> None:
            running.cancel()

        with heeding_signals(interrupt, interrupt):
            try:
                return await running
            except asyncio.CancelledError:
                raise KeyboardInterrupt from None


class _Bench:
    def __init__(self, app: Howdah, queue: str, progress: Progress) -> None:
        self._app = app
        self._queue = queue
        self._progress = progress
        self._worker: asyncio.Task[int] | None = None
        self._moved_at = time.monotonic()

    async def run(self, dsn: str, jobs: int, samples: int) -> Figures:
        try:
            async with self._working(dsn):
                return await self._figures(jobs, samples)
        finally:
            await self._clean()

    async def _figures(self, jobs: int, samples: int) -> Figures:
        await self._app.execute(calls.pause_queue(self._queue, "howdah bench publishes"))
        single = await self._rate(min(_SINGLE, jobs), self._publish_one_by_one)
        many = await self._rate(jobs, self._publish_many)
        await self._app.execute(calls.resume_queue(self._queue))
        drained = await self._rate(jobs + min(_SINGLE, jobs), self._drain)
        return Figures(jobs, single, many, drained, Latency.of(await self._latencies(samples)))

    @asynccontextmanager
    async def _working(self, dsn: str) -> AsyncIterator[None]:
        """Run one worker process, from when it is registered until the end of the block."""
        options = WorkerOptions(queues=(self._queue,), grace=1.0, name=self._queue)
        supervisor = Supervisor(dsn, 1, options, app=_APP, log_level=logging.ERROR)
        self._worker = asyncio.create_task(supervisor.run())
        try:
            await self._until(self._registered)
            yield
        finally:
            supervisor.stop()
            await asyncio.wait([self._worker])

    async def _clean(self) -> None:
        """Take back what is left in the queue."""
        await self._app.execute(calls.resume_queue(self._queue))
        while await self._app.execute(calls.purge_queue(self._queue)):
            pass
        while await self._app.execute(calls.prune()):
            pass

    # ── Steps ──

    async def _rate(self, jobs: int, step: Callable[[int], Awaitable[None]]) -> float:
        began = time.perf_counter()
        await step(jobs)
        return round(jobs / (time.perf_counter() - began), 1)

    async def _publish_one_by_one(self, jobs: int) -> None:
        task = self._task(nothing)
        for _ in range(jobs):
            await self._app.publish_task(task, (), {})

    async def _publish_many(self, jobs: int) -> None:
        task = self._task(nothing)
        for start in range(0, jobs, _BATCH):
            await self._app.publish_task_many(task, [()] * min(_BATCH, jobs - start))

    async def _drain(self, jobs: int) -> None:
        before = jobs

        async def drained() -> bool:
            nonlocal before
            left = await self._app.execute(calls.unfinished((self._queue,)))
            if left != before:
                self._moved_at = time.monotonic()
            before = left
            self._progress(jobs - left, jobs)
            return not left

        await self._until(drained)

    async def _latencies(self, samples: int) -> list[float]:
        task = self._task(moment)
        found = []
        for _ in range(samples):
            await asyncio.sleep(_PAUSE)
            published_at = time.monotonic()
            job = await self._app.publish_task(task, (), {})
            found.append(await job.result(_PATIENCE) - published_at)
            await self._app.execute(calls.delete(job.job_id))
        return found

    # ── Beside ──

    def _task(self, task: Task[Any, Any]) -> Task[Any, Any]:
        return task.options(queue=self._queue)

    async def _registered(self) -> bool:
        workers = await self._app.execute(calls.list_workers())
        return any(worker["name"] == self._queue for worker in workers)

    async def _until(self, so: Callable[[], Awaitable[bool]]) -> None:
        self._moved_at = time.monotonic()
        while not await so():
            if self._worker is None or self._worker.done():
                raise HowdahError("the worker process could not start")
            if time.monotonic() > self._moved_at + _PATIENCE:
                raise HowdahError(f"the worker process did not get on within {_PATIENCE:g} s")
            await asyncio.sleep(_LOOK)
