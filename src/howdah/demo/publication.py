"""The jobs of one demo run: publish them, count them, read them, take them back."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from howdah import calls
from howdah.demo.paths import PathText
from howdah.demo.tasks import measure_file
from howdah.errors import JobNotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from howdah.app import Howdah
    from howdah.models import JobRow

# One statement publishes so many jobs.
_BATCH = 2_000
# One queue holds so many: what is listed at once stays bounded.
_JOBS_PER_QUEUE = 50_000
_LISTED = 2 * _JOBS_PER_QUEUE
_UNFINISHED = ("ready", "scheduled", "blocked", "running")


class Publication:
    """The jobs of one run, in queues that no other run uses."""

    def __init__(self, app: Howdah, paths: Sequence[bytes]) -> None:
        self._app = app
        self._paths = paths
        self.name: str = f"demo.{secrets.token_hex(4)}"
        count = max(1, -(-len(paths) // _JOBS_PER_QUEUE))
        self.queues: tuple[str, ...] = tuple(f"{self.name}.{number}" for number in range(count))

    async def publish(self, root: bytes, *, printable_only: bool) -> None:
        """Publish one job for each path. Raises DatabaseUnavailable."""
        folder = PathText.from_bytes(root)
        for start in range(0, len(self._paths), _BATCH):
            batch = self._paths[start : start + _BATCH]
            task = measure_file.options(queue=self.queues[start // _JOBS_PER_QUEUE])
            await self._app.publish_task_many(
                task, [(folder, PathText.from_bytes(path), printable_only) for path in batch]
            )

    async def unfinished(self) -> int:
        """Count the jobs that are ready or running."""
        return await self._app.execute(calls.unfinished(self.queues))

    async def jobs(self) -> list[JobRow]:
        """Read every job, in the order in which they were published."""
        return [job for queue in self.queues for job in reversed(await self._list(queue))]

    async def take_back(self) -> None:
        """Cancel what has not ended: nobody will want it any more."""
        for queue in self.queues:
            jobs = [job for state in _UNFINISHED for job in await self._list(queue, state)]
            for start in range(0, len(jobs), _BATCH):
                await asyncio.gather(*(self._cancel(job.job_id) for job in jobs[start : start + _BATCH]))

    async def _list(self, queue: str, state: str | None = None) -> list[JobRow]:
        return await self._app.execute(calls.list_jobs(queue=queue, state=state, limit=_LISTED))

    async def _cancel(self, job_id: str) -> None:
        try:
            await self._app.execute(calls.cancel(job_id, "the demo was interrupted"))
        except JobNotFound:
            return  # pruned in between
