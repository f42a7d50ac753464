"""`run` runs one job and leaves the others alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from howdah import Howdah, JobNotFound, TaskNotAllowed, WrongState, calls
from howdah.testing import drain, run, run_sync

if TYPE_CHECKING:
    from howdah import Task


@pytest.fixture
def half(app: Howdah) -> Task[[int], float]:
    @app.task
    def half(number: int) -> float:
        if number < 0:
            raise ValueError("less than nothing")
        return number / 2

    return half


async def test_it_returns_what_the_function_returned_and_the_engine_knows(
    app: Howdah, half: Task[[int], float]
) -> None:
    job = await half.publish(3)
    assert await run(app, job) == 1.5
    assert await job.result(timeout=0) == 1.5


async def test_others_stay_ready_and_in_their_order(app: Howdah, half: Task[[int], float]) -> None:
    jobs = await half.publish_many([(1,), (2,), (3,), (4,)])
    assert await run(app, jobs[2].job_id) == 1.5
    assert [await job.status() for job in jobs] == ["ready", "ready", "succeeded", "ready"]
    assert [job.result for job in await drain(app)] == [0.5, 1.0, 2.0]
    assert [job.attempt for job in await app.execute(calls.list_jobs())] == [1, 1, 1, 1]


async def test_what_the_function_raises_is_raised_here_and_recorded(
    app: Howdah, half: Task[[int], float]
) -> None:
    job = await half.publish(-1)
    with pytest.raises(ValueError, match="less than nothing") as caught:
        await run(app, job)
    assert caught.traceback[-1].name == "half"
    (failure,) = await job.failures()
    assert failure.error == "ValueError: less than nothing"
    assert await job.status() == "scheduled"


async def test_a_job_that_is_scheduled_is_run_now(app: Howdah, half: Task[[int], float]) -> None:
    job = await half.options(delay=3600).publish(8)
    assert await run(app, job) == 4


async def test_a_job_that_cannot_run_is_told_why(app: Howdah, half: Task[[int], float]) -> None:
    done = await half.publish(1)
    await run(app, done)
    with pytest.raises(WrongState, match="cannot be run"):
        await run(app, done)
    paused = await half.options(queue="mail").publish(1)
    await app.execute(calls.pause_queue("mail", "SMTP is down"))
    with pytest.raises(WrongState, match="SMTP is down"):
        await run(app, paused)
    with pytest.raises(JobNotFound):
        await run(app, "nothing")


async def test_a_task_that_the_app_does_not_know_costs_no_attempt(app: Howdah) -> None:
    job = await app.publish("os.getcwd")
    with pytest.raises(TaskNotAllowed):
        await run(app, job)
    info = await job.info()
    assert info is not None
    assert (info.state, info.attempt) == ("ready", 0)


async def test_a_test_may_fail_inside_of_a_task(app: Howdah) -> None:
    @app.task
    async def check() -> None:
        pytest.fail("on purpose")

    job = await check.publish()
    with pytest.raises(pytest.fail.Exception, match="on purpose"):
        await run(app, job)
    assert await job.status() == "scheduled"


def test_a_test_without_an_event_loop_runs_a_job_too(app: Howdah, half: Task[[int], float]) -> None:
    assert run_sync(app, half.publish_sync(5)) == 2.5
