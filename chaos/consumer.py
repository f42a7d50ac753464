"""A consumer that is no worker: `python -m chaos.consumer NAME SEED`. It acks, nacks, puts off, forgets."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from typing import TYPE_CHECKING, Any

from chaos.journal import Journal, contents
from chaos.orders import PLAIN
from howdah import Howdah
from howdah.errors import DatabaseUnavailable, HowdahError, JobNotFound, LeaseLost

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from howdah.job import ConsumedJob

_PATIENCE = 5.0
_AT_ONCE = 4
_NAP = 0.1
_VERBS = ("ack", "nack", "snooze", "release", "forget", "late")
_WEIGHTS = (70, 10, 7, 5, 4, 4)
# Longer than the jobs' timeout of 1.5 s: by then somebody else has the job, or nobody.
_TOO_LATE = 2.5


class Consumer:
    """Claims jobs of one queue and hands them in as it likes."""

    def __init__(self, name: str, seed: int) -> None:
        self._draw = random.Random(seed)
        self._journal = Journal.of_the_environment(name)
        self._app = Howdah()
        self._stopping = asyncio.Event()
        self._late: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Consume until SIGTERM."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stopping.set)
        while not self._stopping.is_set():
            jobs = await self._claimed()
            await asyncio.gather(*(self._work(job) for job in jobs))
            if not jobs:
                await asyncio.sleep(_NAP)
        for task in self._late:
            task.cancel()
        await self._app.close()

    async def _claimed(self) -> list[ConsumedJob]:
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._app.consume(_AT_ONCE, queues=[PLAIN])
        except (HowdahError, TimeoutError, OSError) as error:
            # What was claimed without our knowing goes back when its timeout is over.
            self._journal.write("no jobs", error=type(error).__name__)
            return []

    async def _work(self, job: ConsumedJob) -> None:
        kwargs = job.row.body["kwargs"]
        run = job.run_id
        self._journal.write(
            "start",
            job=job.id,
            run=run,
            attempt=job.row.attempt,
            task=job.row.task,
            token=kwargs["token"],
            in_thread=False,
            **contents(kwargs),
        )
        await asyncio.sleep(self._draw.uniform(0, 0.1))
        self._journal.write("end", run=run, how="returned")
        (verb,) = self._draw.choices(_VERBS, _WEIGHTS)
        if verb == "late":
            task = asyncio.create_task(self._too_late(job))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        elif verb != "forget":
            await self._hand_in(job, verb)

    async def _too_late(self, job: ConsumedJob) -> None:
        await asyncio.sleep(_TOO_LATE)
        await self._hand_in(job, self._draw.choice(("ack", "nack")))

    async def _hand_in(self, job: ConsumedJob, verb: str) -> None:
        call = self._journal.write("hand in", job=job.id, run=job.run_id, verb=verb)
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._call(job, verb)
            outcome = "ok"
        except (LeaseLost, JobNotFound):
            outcome = "lost"
        except (DatabaseUnavailable, TimeoutError, OSError):
            outcome = "unknown"
        except HowdahError as error:
            outcome = f"{type(error).__name__}: {error.message}"
        self._journal.write("handed in", call=call, job=job.id, run=job.run_id, verb=verb, outcome=outcome)

    def _call(self, job: ConsumedJob, verb: str) -> Awaitable[Any]:
        match verb:
            case "ack":
                return job.ack({"token": job.row.body["kwargs"]["token"], "run": job.run_id})
            case "nack":
                return job.nack("as it shall")
            case "snooze":
                return job.snooze(0.1)
        return job.release()


def main() -> None:
    """Consume until SIGTERM."""
    asyncio.run(Consumer(sys.argv[1], int(sys.argv[2])).run())


if __name__ == "__main__":
    main()
