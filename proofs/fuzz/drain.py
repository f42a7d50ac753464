"""After the storm: a real worker runs what was published, and nothing may be left that it could have run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import psycopg

from howdah.worker import Worker, WorkerOptions
from proofs.fuzz.tasks import RESULTS, app_on
from proofs.ground import violations

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS = 60.0
# Workers that the fuzzers registered live as long as their leases, and consumers may hold jobs for ten years.
_HAND_BACK: Final = (
    "select jobs.worker_stopped(worker_id) from jobs.workers",
    "select jobs.release(id::text, run_id) from jobs.running",
    "select jobs.resume_queue(queue) from jobs.list_queues()",
)
_STUCK: Final = "select id, task, state, reason from jobs.all where state in ('ready', 'running') limit 5"
_ODD: Final = (
    "select count(*) from generate_series(0, %s) n, lateral jobs.publish('fuzz.odd', jsonb_build_object("
    "'args', jsonb_build_array(n)))"
)


def drained(dsn: str) -> list[str]:
    """Hand everything back, let a worker run what it can; return what is wrong then."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in _HAND_BACK:
            connection.execute(statement.encode())
        connection.execute(_ODD.encode(), [len(RESULTS) + 14])
    problems = _within(_SECONDS, lambda: _work(dsn))
    problems += [f"fsck: {row}" for row in violations(dsn)]
    with psycopg.connect(dsn, autocommit=True) as connection:
        stuck = connection.execute(_STUCK.encode()).fetchall()
    return problems + [f"stuck: {row}" for row in stuck]


async def _work(dsn: str) -> None:
    app = app_on(dsn)
    try:
        await Worker(app, WorkerOptions(burst=True, concurrency=20, grace=5)).run()
    finally:
        await app.close()


def _within(seconds: float, work: Callable[[], Any]) -> list[str]:
    async def run() -> list[str]:
        try:
            async with asyncio.timeout(seconds):
                await work()
        except TimeoutError:
            return [f"the worker did not end within {seconds:g} s"]
        except Exception as error:
            return [f"the worker died: {error!r}"]
        return []

    return asyncio.run(run())
