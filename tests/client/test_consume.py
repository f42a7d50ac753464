"""A consumer of one's own: consume, run, ack, nack."""

from __future__ import annotations

import asyncio
import datetime
import uuid
from typing import Any

import pytest

from howdah import Context, JobCancelled, JobFailed, LeaseLost, TaskNotAllowed
from tests.client import functions


async def test_a_consumed_job_shows_what_was_published(app: Any) -> None:
    await app.publish("sum", 1, kwargs={"b": 2}, queue="q", key="k", priority=3, headers={"h": 1}, meta="m")

    (job,) = await app.consume(10)

    assert (job.job_id, job.key, job.task, job.queue) == ("k", "k", "sum", "q")
    assert job.body == {"args": [1], "kwargs": {"b": 2}}
    assert (job.attempt, job.max_retries, job.priority, job.timeout) == (1, 3, 3, 60.0)
    assert (job.headers, job.meta) == ({"h": 1}, "m")
    assert job.run_id


async def test_topic_and_queues_choose_what_is_consumed(app: Any) -> None:
    for task, queue in (("a.x", "one"), ("a.y", "two"), ("b.x", "one")):
        await app.publish(task, queue=queue)

    assert [job.task for job in await app.consume(10, topic="a.%", queues=["one"])] == ["a.x"]
    assert [job.task for job in await app.consume(10, queues="two")] == ["a.y"]
    assert [job.task for job in await app.consume(10, topic="%.x")] == ["b.x"]
    assert await app.consume(10) == []


async def test_run_gives_typed_arguments_and_acks_with_the_result(app: Any) -> None:
    published = await app.publish(functions.next_day, datetime.date(2024, 2, 28), uuid.uuid4())
    (job,) = await app.consume()

    value = await app.run(job)

    assert value == {"day": datetime.date(2024, 2, 29)}
    assert await published.result(5) == {"day": "2024-02-29"}


async def test_run_runs_a_coroutine_with_its_context(app: Any) -> None:
    published = await app.publish(functions.who, "hello")
    (job,) = await app.consume()

    await app.run(job)

    assert await published.result(5) == ["hello", published.job_id, True, 1]


async def test_a_registered_task_is_run_by_its_own_name(app: Any) -> None:
    app.task(name="double")(lambda number: number * 2)
    published = await app.publish("double", 21)
    (job,) = await app.consume()

    assert await app.run(job) == 42
    assert await published.result(5) == 42


async def test_what_a_function_raises_is_passed_on_and_can_be_nacked(app: Any) -> None:
    published = await app.publish(functions.fail)
    (job,) = await app.consume()

    with pytest.raises(ValueError, match="no luck") as caught:
        await app.run(job)
    assert await published.status() == "running"
    await job.nack(caught.value, delay=datetime.timedelta(hours=1))

    (failure,) = await published.failures()
    assert await published.status() == "scheduled"
    assert failure.error == "ValueError: no luck"
    assert "in fail" in failure.traceback


async def test_a_nack_can_be_final_and_of_a_kind(app: Any) -> None:
    published = await app.publish("t")
    (job,) = await app.consume()

    changed = await job.nack("Traceback\nBad: \x00", kind="poison", final=True)

    assert changed.state == "failed"
    with pytest.raises(JobFailed, match="Bad") as caught:
        await published.result(5)
    assert caught.value.kind == "poison"


async def test_what_nobody_allowed_is_not_run(app: Any) -> None:
    await app.publish("os.getcwd")
    (job,) = await app.consume()

    with pytest.raises(TaskNotAllowed):
        await app.run(job)


async def test_arguments_that_do_not_fit_are_an_error(app: Any) -> None:
    await app.publish(f"{functions.__name__}.next_day", "no day", "no uuid")
    (job,) = await app.consume()

    with pytest.raises(ValueError, match=r"args\[0\]"):
        await app.run(job)


@pytest.mark.parametrize(("word", "state"), [("retry", "scheduled"), ("snooze", "scheduled")])
async def test_retry_and_snooze_come_back_later(app: Any, word: str, state: str) -> None:
    published = await app.publish(functions.outcome, word)
    (job,) = await app.consume()

    await app.run(job)

    row = await published.info()
    assert (row.state, row.attempt) == (state, 1 if word == "retry" else 0)


async def test_cancel_ends_the_job(app: Any) -> None:
    published = await app.publish(functions.outcome, "cancel")
    (job,) = await app.consume()

    await app.run(job)

    with pytest.raises(JobCancelled, match="enough"):
        await published.result(5)


async def test_a_result_that_is_no_json_ends_the_job(app: Any) -> None:
    published = await app.publish(functions.outcome, "object")
    (job,) = await app.consume()

    await app.run(job)

    with pytest.raises(JobFailed) as caught:
        await published.result(5)
    assert caught.value.kind == "result"


async def test_a_run_is_acked_once(app: Any) -> None:
    await app.publish("t")
    (job,) = await app.consume()
    await job.release()

    with pytest.raises(LeaseLost):
        await job.ack("too late")


async def test_a_released_job_costs_no_attempt(app: Any) -> None:
    await app.publish("t")
    (job,) = await app.consume()
    await job.release()

    (again,) = await app.consume()

    assert again.attempt == 1


async def test_a_coroutine_is_ended_at_its_timeout(app: Any) -> None:
    ended = []

    async def sleep() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    app.task(name="sleep")(sleep)
    await app.publish("sleep", timeout=0.05)
    (job,) = await app.consume()

    with pytest.raises(TimeoutError):
        await app.run(job)
    assert ended


async def test_middleware_is_around_every_run(app: Any) -> None:
    seen = []

    async def around(ctx: Context, call: Any) -> Any:
        seen.append(ctx.job.task)
        return [await call()]

    app.middleware(around)
    published = await app.publish(functions.who, "hello")
    (job,) = await app.consume()

    await app.run(job)

    assert await published.result(5) == [["hello", published.job_id, True, 1]]
    assert seen == [job.task]
