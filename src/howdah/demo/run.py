"""One run of the demo: walk, publish, let two worker processes measure, collect."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from howdah import calls, sql
from howdah.app import Howdah
from howdah.demo.outcomes import Report, Skipped, processes_of, read_outcome, total_of
from howdah.demo.paths import PathText
from howdah.demo.publication import Publication
from howdah.demo.tree import walk
from howdah.demo.words import local_wc_counts_printable_only
from howdah.errors import HowdahError, SchemaOutdated
from howdah.worker import Supervisor, WorkerOptions
from howdah.worker.log import set_up_logging
from howdah.worker.signals import heeding_signals

if TYPE_CHECKING:
    from collections.abc import Callable

    from howdah.models import JobRow

    Progress = Callable[[int, int], None]

PROCESSES = 2
_APP = "howdah.demo.tasks:app"
_CONCURRENCY = 4
# Seconds: what a file gets to be read to its end after Ctrl-C, between two looks at how far it is, and what
# jobs get that wait for something although nothing is left to run.
_GRACE = 1.0
_LOOK = 0.2
_PATIENCE = 60.0


def run(root: bytes, dsn: str, progress: Progress) -> Report:
    """Measure every regular file below a folder and return what became of each.

    `progress` is told how many files of how many are done. Raises KeyboardInterrupt after SIGINT or SIGTERM,
    when the worker processes have ended and no job is left; HowdahError when the jobs cannot be run.
    """
    set_up_logging(logging.WARNING)
    started_at = time.monotonic()
    entries = list(walk(root))
    files = [entry.path for entry in entries if entry.skipped is None]
    jobs = asyncio.run(_Run(root, files, dsn, progress).jobs()) if files else []
    outcomes = [read_outcome(job) for job in jobs]
    skipped = [Skipped.of(PathText.from_bytes(e.path), e.skipped) for e in entries if e.skipped is not None]
    total = total_of(
        outcomes, skipped, processes=len(processes_of(jobs)), seconds=time.monotonic() - started_at
    )
    return Report(PathText.from_bytes(root).text, outcomes, skipped, total)


class _Run:
    def __init__(self, root: bytes, paths: list[bytes], dsn: str, progress: Progress) -> None:
        self._root = root
        self._paths = paths
        self._dsn = dsn
        self._progress = progress
        self._supervisor: Supervisor | None = None
        self._interrupted = False

    async def jobs(self) -> list[JobRow]:
        """Return every job in its final state."""
        async with Howdah(self._dsn) as app:
            if not sql.serves(await app.execute(calls.version())):
                raise SchemaOutdated
            publication = Publication(app, self._paths)
            with heeding_signals(self._interrupt, self._interrupt):
                try:
                    await publication.publish(self._root, printable_only=local_wc_counts_printable_only())
                    jobs = await self._finished(publication)
                finally:
                    if self._interrupted:
                        await publication.take_back()
        if self._interrupted:
            raise KeyboardInterrupt
        self._progress(len(jobs), len(jobs))
        return jobs

    def _interrupt(self) -> None:
        self._interrupted = True
        if self._supervisor is not None:
            self._supervisor.stop()

    async def _finished(self, publication: Publication) -> list[JobRow]:
        deadline = time.monotonic() + _PATIENCE
        while not self._interrupted:
            await self._work(publication)
            jobs = await publication.jobs()
            waiting = [job for job in jobs if not job.finished]
            if not waiting:
                return jobs
            if time.monotonic() > deadline and not await publication.unfinished():
                raise HowdahError(
                    f"{len(waiting)} jobs of queue {waiting[0].queue} do not run",
                    hint=f"howdah why {waiting[0].job_id}",
                )
            await asyncio.sleep(_LOOK)
        return []

    async def _work(self, publication: Publication) -> None:
        """Run worker processes until nothing of ours is ready or running."""
        options = WorkerOptions(
            queues=publication.queues,
            concurrency=_CONCURRENCY,
            burst=True,
            grace=_GRACE,
            name=publication.name,
        )
        self._supervisor = Supervisor(self._dsn, PROCESSES, options, app=_APP, log_level=logging.ERROR)
        follower = asyncio.create_task(self._follow(publication))
        try:
            if await self._supervisor.run() and not self._interrupted:
                raise HowdahError("the worker processes could not start")
        finally:
            self._supervisor = None
            follower.cancel()

    async def _follow(self, publication: Publication) -> None:
        total = len(self._paths)
        while True:
            self._progress(min(total - await publication.unfinished(), total - 1), total)
            await asyncio.sleep(_LOOK)
