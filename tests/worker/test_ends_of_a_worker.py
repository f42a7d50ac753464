"""What a worker that is told to end still does, and what it does not; what waits in its memory."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

import psycopg

from howdah import Context, Howdah, calls
from howdah.worker import Worker, WorkerOptions, child

from .conftest import eventually

if TYPE_CHECKING:
    import pytest

    from .conftest import Start

_SETTLED = "select 1 from howdah.sleeper where holders = '{}'"
_AN_EXCHANGE_WAITS = """
    select 1 from pg_stat_activity
     where datname = current_database() and application_name = 'howdah worker' and wait_event_type = 'Lock'
"""

_HEARTBEAT_WAITS = _AN_EXCHANGE_WAITS.replace("howdah worker", "howdah heartbeat")


async def test_jobs_of_an_exchange_that_was_under_way_are_given_back_without_starting(
    app: Howdah, start: Start, live_database: Any, administer: Any
) -> None:
    started: list[int] = []

    @app.task(name="t")
    async def note(number: int) -> None:
        started.append(number)

    worker = await start()
    await eventually(lambda: administer(_SETTLED))
    with psycopg.connect(live_database.dsn) as publisher:
        publisher.execute(b"lock table howdah.ready in access exclusive mode")
        publisher.execute(b"select jobs.publish('t', '[1]') from generate_series(1, 5)")
        administer("notify howdah")
        await eventually(lambda: administer(_AN_EXCHANGE_WAITS))
        worker.stop()
        worker.stop_now()

    await eventually(lambda: worker.totals)
    assert (worker.totals, started) == ({"released": 5}, [])
    await eventually(lambda: administer("select 1 having (select count(*) from howdah.ready) = 5"))


async def test_jobs_that_have_waited_in_memory_for_too_long_are_given_back(app: Howdah, start: Start) -> None:
    """The first ones are so fast that many of the slow ones are claimed at once."""
    attempts: list[int] = []

    @app.task(name="fast")
    async def fast() -> None:
        pass

    @app.task(name="slow", timeout=1, max_retries=0)
    async def slow(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        await asyncio.sleep(0.2)  # so that one starts often enough, and the last ones would wait for 4 s

    await fast.publish_many([()] * 500)
    jobs = await slow.publish_many([()] * 40)
    worker = await start(concurrency=2)

    await asyncio.gather(*(job.result(30) for job in jobs))

    assert worker.totals["released"] > 0
    assert attempts == [1] * 40


async def test_a_stopping_worker_that_was_declared_dead_does_not_register_anew(
    app: Howdah, start: Start, administer: Any
) -> None:
    begun, leave = asyncio.Event(), asyncio.Event()

    @app.task
    async def wait() -> None:
        begun.set()
        await leave.wait()

    worker = await start()
    number = worker.worker_id
    await wait.publish()
    await begun.wait()

    worker.stop()
    await app.execute(calls.worker_stopped(number, crashed=True))
    leave.set()

    await eventually(lambda: administer("select 1 having not exists (select from howdah.running)"))
    await eventually(lambda: _ended(worker))
    assert worker.worker_id == number


def _ended(worker: Any) -> bool:
    return bool(worker._running.done())


def test_a_number_that_no_parent_hears_ends_nothing() -> None:
    hears, tells = os.pipe()
    os.close(hears)

    child._tell(tells, 7)  # raises nothing
    child._tell(tells, 8)

    assert os.fstat(tells)  # it was a broken pipe, not a closed one
    os.close(tells)


async def test_a_server_that_does_not_answer_delays_the_end_by_less_than_a_second(
    app: Howdah, live_database: Any, administer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    begun = asyncio.Event()

    @app.task
    async def endless() -> None:
        begun.set()
        await asyncio.sleep(3600)

    worker = Worker(app, WorkerOptions(grace=1, lease=3))
    working = asyncio.create_task(worker.run())
    await endless.publish()
    await begun.wait()
    with psycopg.connect(live_database.dsn) as holder:
        holder.execute(b"lock table howdah.worker, howdah.running, howdah.beat in access exclusive mode")
        await eventually(lambda: administer(_HEARTBEAT_WAITS))
        began = time.monotonic()
        worker.stop()
        await asyncio.wait_for(working, 20)
        took = time.monotonic() - began

    assert took < 2
    assert not [message for message in caplog.messages if "has been blocked" in message]
