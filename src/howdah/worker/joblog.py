"""Keeps what tasks write with `ctx.log`: in batches, every half second and before a run ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from howdah import json
from howdah.calls import log as log_call
from howdah.errors import HowdahError, JobNotFound, LeaseLost
from howdah.json import Document
from howdah.worker.log import logger

if TYPE_CHECKING:
    from howdah.drivers.pool import Pool
    from howdah.models import ClaimedJob

__all__ = ["JobLog", "RunLog"]

_EVERY = 0.5
# What the database keeps of a job; more would be thrown away there.
_LINES = 1000
_CHARACTERS = 8192
# Seconds that the end of a run waits for its last lines to be stored.
_PATIENCE = 2.0
_WARN_EVERY = 10.0


class RunLog:
    """The lines of one run that are not stored yet."""

    __slots__ = ("job", "lines", "storing")

    def __init__(self, job: ClaimedJob) -> None:
        self.job: ClaimedJob = job
        self.lines: deque[tuple[str, str]] = deque(maxlen=_LINES)
        self.storing: asyncio.Lock = asyncio.Lock()

    def write(self, level: int, message: str) -> None:
        """Add a line; may be called from any thread."""
        self.lines.append((logging.getLevelName(level).lower(), _storable(message[:_CHARACTERS])))


class JobLog:
    """Stores the lines of runs. A line that cannot be stored is lost, and fails nothing."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._open: dict[int, RunLog] = {}
        self._warned_at = -_WARN_EVERY

    def open(self, job: ClaimedJob) -> RunLog:
        """Begin the log of a run; may be called from any thread."""
        return self._open.setdefault(job.run_id, RunLog(job))

    async def end(self, log: RunLog) -> None:
        """Store what is left, before the run is handed in: afterwards the database takes no more lines."""
        try:
            async with asyncio.timeout(_PATIENCE), log.storing:
                await self._store(log)
        except TimeoutError:
            self._warn("PostgreSQL did not answer in time")
        finally:
            self._open.pop(log.job.run_id, None)

    async def run(self) -> None:
        """Store what was written, again and again, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY)
            for log in list(self._open.values()):
                if log.lines and not log.storing.locked():
                    async with log.storing:
                        await self._store(log)

    async def _store(self, log: RunLog) -> None:
        if not log.lines:
            return
        lines = [log.lines.popleft() for _ in range(len(log.lines))]
        text = Document(json.encode(lines, field="lines", limit=_LINES * _CHARACTERS * 8).decode())
        try:
            await self._pool.execute(log_call(str(log.job.id), log.job.run_id, text))
        except (LeaseLost, JobNotFound):
            logger.debug("%s lines of job %s dropped: its lease is lost", len(lines), log.job.job_id)
        except HowdahError as error:
            self._warn(error.message)

    def _warn(self, problem: str) -> None:
        now = time.monotonic()
        if now >= self._warned_at + _WARN_EVERY:
            self._warned_at = now
            logger.warning("lines of ctx.log could not be stored with their job: %s", problem)


def _storable(text: str) -> str:
    return text.replace("\x00", "\\x00")  # NUL has no place in PostgreSQL's text
