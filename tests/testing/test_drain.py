"""`drain` runs what is due, by a real worker in the test's own event loop."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from howdah import Context, Howdah, HowdahError, InsideEventLoop, Snooze, WrongState
from howdah.testing import drain, drain_sync, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import Any

    from howdah.testing import Clock


async def test_jobs_run_in_the_order_of_their_queue_and_in_this_event_loop(app: Howdah) -> None:
    ran: list[tuple[int, object]] = []

    @app.task
    async def note(number: int) -> int:
        ran.append((number, asyncio.get_running_loop()))
        return number

    await note.publish_many([(1,), (2,), (3,)])
    ended = await drain(app)
    assert ran == [(number, asyncio.get_running_loop()) for number in (1, 2, 3)]
    assert [(job.state, job.result) for job in ended] == [
        ("succeeded", 1),
        ("succeeded", 2),
        ("succeeded", 3),
    ]
    assert await drain(app) == []


async def test_a_job_that_a_job_publishes_runs_as_well(app: Howdah) -> None:
    @app.task
    async def count_down(number: int) -> int:
        if number:
            await count_down.publish(number - 1)
        return number

    await count_down.publish(2)
    assert [job.result for job in await drain(app)] == [2, 1, 0]


async def test_a_job_that_waits_for_others_runs_after_them_or_ends_with_them(app: Howdah) -> None:
    @app.task(max_retries=0)
    async def note(number: int) -> int:
        return 10 // number

    good, bad = await note.publish(1), await note.publish(0)
    await note.options(depends_on=bad).publish(2)
    await note.options(depends_on=[bad, good], allow_failure=True, priority=9).publish(3)

    assert [(job.state, job.kind, job.result) for job in await drain(app)] == [
        ("succeeded", None, 10),
        ("failed", "error", None),
        ("succeeded", None, 3),
        ("cancelled", "parent", None),
    ]


async def test_a_plain_function_runs_in_a_thread(app: Howdah) -> None:
    @app.task
    def where() -> str:
        return threading.current_thread().name

    await where.publish()
    (job,) = await drain(app)
    assert job.result != threading.current_thread().name


async def test_a_failure_is_told_and_does_not_stop_the_others(app: Howdah) -> None:
    @app.task(max_retries=0)
    async def divide(by: int) -> float:
        return 1 / by

    await divide.publish_many([(0,), (2,)])
    failed, succeeded = await drain(app)
    assert (failed.state, failed.kind) == ("failed", "error")
    assert "ZeroDivisionError" in (failed.error or "")
    assert "return 1 / by" in (failed.traceback or "")
    assert succeeded.result == 0.5


async def test_what_is_due_later_waits_for_the_clock(app: Howdah, howdah_clock: Clock) -> None:
    @app.task(max_retries=1, backoff=3600)
    async def fail_once(ctx: Context) -> int:
        if ctx.attempt == 1:
            raise ConnectionError("closed")
        return ctx.attempt

    later = await fail_once.options(delay=timedelta(hours=2)).publish()
    assert await drain(app) == []
    howdah_clock.advance(7200)
    assert await drain(app) == []
    assert await later.status() == "scheduled"
    howdah_clock.advance(timedelta(hours=1, seconds=3600 / 4))  # the backoff has jitter
    (job,) = await drain(app)
    assert (job.state, job.result) == ("succeeded", 2)


async def test_with_the_clock_everything_runs_at_once(app: Howdah, howdah_clock: Clock) -> None:
    began = howdah_clock.now()
    ran: list[timedelta] = []

    @app.task
    async def note() -> None:
        ran.append(howdah_clock.now() - began)

    for delay in (86_400, 60):
        await note.options(delay=delay).publish()
    ended = await drain(app, clock=howdah_clock)
    assert [job.state for job in ended] == ["succeeded", "succeeded"]
    assert ran == [timedelta(seconds=60), timedelta(seconds=86_400)]


async def test_a_job_that_comes_back_for_ever_ends_the_drain(
    app: Howdah, howdah_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("howdah.testing.inline._MOST_MOVES", 3)

    @app.task
    async def not_yet() -> Snooze:
        return Snooze(60)

    await not_yet.publish()
    with pytest.raises(HowdahError, match="3 times"):
        await drain(app, clock=howdah_clock)


async def test_only_the_queues_that_were_named_are_drained(app: Howdah) -> None:
    @app.task
    async def note(number: int) -> int:
        return number

    mail = await note.options(queue="mail").publish(1)
    other = await note.publish(2)
    assert [job.job_id for job in await drain(app, queues=["mail"])] == [mail.job_id]
    assert await other.status() == "ready"


async def test_the_apps_lifespan_and_middleware_are_those_of_a_worker(app: Howdah) -> None:
    said = []

    @app.lifespan
    async def resources() -> AsyncIterator[dict[str, Any]]:
        yield {"greeting": "hello"}
        said.append("closed")

    @app.middleware
    async def around(ctx: Context, call: Callable[[], Awaitable[Any]]) -> Any:
        said.append("before")
        return await call()

    @app.task
    async def greet(ctx: Context) -> str:
        return str(ctx.resources["greeting"])

    await greet.publish()
    (job,) = await drain(app)
    assert (job.result, said) == ("hello", ["before", "closed"])


async def test_a_job_that_the_test_holds_is_told_instead_of_waited_for(app: Howdah) -> None:
    held = await app.publish("shop.mail")
    await app.consume()
    with pytest.raises(WrongState, match=f"job {held.job_id} was consumed"):
        await drain(app)
    assert await drain(app, queues=["other"]) == []


def test_a_test_without_an_event_loop_drains_too(app: Howdah) -> None:
    @app.task
    def add(a: int, b: int) -> int:
        return a + b

    job = add.publish_sync(1, 2)
    assert [ended.result for ended in drain_sync(app)] == [3]
    assert job.result_sync(timeout=5) == 3


async def test_the_sync_form_inside_an_event_loop_names_the_other(app: Howdah) -> None:
    with pytest.raises(InsideEventLoop, match="await drain"):
        drain_sync(app)


async def test_what_requires_labels_runs_too(app: Howdah) -> None:
    @app.task(requires=["gpu"])
    async def train() -> str:
        return "trained"

    job = await train.publish()
    assert [ended.result for ended in await drain(app)] == ["trained"]
    assert await run(app, await train.publish()) == "trained"
    assert await job.status() == "succeeded"
