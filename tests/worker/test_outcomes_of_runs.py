"""What a worker makes of what tasks do."""

from __future__ import annotations

import asyncio
import math
import threading
from typing import TYPE_CHECKING, Any

import pytest

from howdah import (
    Cancel,
    Context,
    Howdah,
    JobCancelled,
    JobExpired,
    JobFailed,
    Retry,
    Snooze,
    calls,
    current_job,
)
from howdah.json import Document

from .conftest import eventually

if TYPE_CHECKING:
    from .conftest import Start


async def test_async_and_plain_functions_return_their_results(app: Howdah, start: Start) -> None:
    @app.task
    async def add(a: int, b: int = 1) -> int:
        return a + b

    @app.task
    def thread(name: str) -> tuple[str, bool]:
        return name, threading.current_thread() is threading.main_thread()

    await start()

    assert await (await add.publish(1, b=2)).result(10) == 3
    assert await (await thread.publish("x")).result(10) == ("x", False)


async def test_the_context_knows_the_run(app: Howdah, start: Start) -> None:
    @app.task
    async def look(ctx: Context, a: int) -> list[Any]:
        here = current_job()
        return [a, ctx.job.job_id, ctx.attempt, ctx.job.headers, here is not None and here.job_id]

    await start()

    job = await look.options(key="mine", headers={"trace": "1"}).publish(5)

    assert await job.result(10) == [5, "mine", 1, {"trace": "1"}, "mine"]
    assert current_job() is None


async def test_a_body_of_another_form_is_left_to_the_task(app: Howdah, start: Start) -> None:
    @app.task(name="orders")
    async def orders(ctx: Context) -> Any:
        return ctx.job.body

    await start()
    published = await app.execute(calls.publish("orders", Document('{"order": [1, 2]}')))

    assert await app.job(published.id).result(10) == {"order": [1, 2]}


async def test_an_error_is_retried_until_its_retries_are_used_up(app: Howdah, start: Start) -> None:
    attempts: list[int] = []

    @app.task(max_retries=2, backoff=[0, 0])
    async def fail(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        raise ValueError(f"attempt\n{ctx.attempt}")

    await start()
    job = await fail.publish()

    with pytest.raises(JobFailed) as caught:
        await job.result(20)

    assert attempts == [1, 2, 3]
    assert (caught.value.kind, caught.value.message) == ("error", "ValueError: attempt 3")
    assert "in fail" in (caught.value.traceback or "")
    assert [failure.attempt for failure in await job.failures()] == [1, 2, 3]


async def test_retry_costs_an_attempt_and_snooze_does_not(app: Howdah, start: Start) -> None:
    seen: list[int] = []

    @app.task
    async def patient(ctx: Context) -> Any:
        seen.append(ctx.attempt)
        return [Snooze(0), Retry(delay=0), "done"][len(seen) - 1]

    await start()

    assert await (await patient.publish()).result(20) == "done"
    assert seen == [1, 1, 2]


async def test_a_task_may_cancel_its_own_job(app: Howdah, start: Start) -> None:
    @app.task
    async def withdrawn() -> Cancel:
        return Cancel("the order was withdrawn")

    await start()

    with pytest.raises(JobCancelled, match="the order was withdrawn"):
        await (await withdrawn.publish()).result(10)


class OwnError(BaseException):
    """Not even an Exception."""


@pytest.mark.parametrize(
    "kind", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, OwnError]
)
@pytest.mark.parametrize("in_thread", [False, True])
async def test_whatever_a_task_raises_the_worker_lives_on(
    app: Howdah, start: Start, kind: type[BaseException], in_thread: bool
) -> None:
    def plain() -> None:
        raise kind

    async def coroutine() -> None:
        raise kind

    bad = app.task(name="bad", max_retries=0)(plain if in_thread else coroutine)
    good = app.task(name="good")(lambda: "alive")
    await start(concurrency=1)

    with pytest.raises(JobFailed, match=kind.__name__):
        await (await bad.publish()).result(10)
    assert await (await good.publish()).result(10) == "alive"


@pytest.mark.parametrize("value", [object(), math.nan, "a\x00b", "x" * 1_100_000], ids=range(4))
async def test_a_result_that_cannot_be_stored_fails_the_job_and_nothing_else(
    app: Howdah, start: Start, value: object
) -> None:
    bad = app.task(name="bad")(lambda: value)
    await start(concurrency=1)

    with pytest.raises(JobFailed) as caught:
        await (await bad.publish()).result(10)

    assert caught.value.kind == "result"
    assert len(await (await bad.publish()).failures()) <= 1


async def test_a_coroutine_that_takes_too_long_is_cancelled(app: Howdah, start: Start) -> None:
    ended = asyncio.Event()

    @app.task(timeout=0.2, max_retries=0)
    async def slow() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    await start()

    with pytest.raises(JobFailed, match=r"timed out after 0\.2 s") as caught:
        await (await slow.publish()).result(10)
    assert caught.value.kind == "timeout"
    assert ended.is_set()


async def test_a_thread_that_takes_too_long_keeps_its_slot_until_it_ends(app: Howdah, start: Start) -> None:
    leave = threading.Event()

    @app.task(timeout=0.2, max_retries=0)
    def stuck() -> str:
        leave.wait(30)
        return "too late"

    quick = app.task(name="quick")(lambda: "ran")
    await start(concurrency=1)
    late = await stuck.publish()
    with pytest.raises(JobFailed) as caught:
        await late.result(10)
    waiting = await quick.publish()
    await asyncio.sleep(0.3)  # what must not happen cannot be waited for

    assert caught.value.kind == "timeout"
    assert await waiting.status() == "ready"
    leave.set()
    assert await waiting.result(10) == "ran"
    assert await late.status() == "failed"


async def test_an_unknown_task_is_parked_until_a_worker_knows_it(
    app: Howdah, start: Start, live_database: Any
) -> None:
    known = app.task(name="known")(lambda: 1)
    unknown = await app.publish("later.task", 4)
    await start()
    await (await known.publish()).result(10)
    await eventually(lambda: _state_is(unknown, "blocked"))

    other = Howdah(live_database.dsn, settings=app.settings)
    other.task(name="later.task")(lambda a: a * 2)
    await start(other)

    assert await unknown.result(10) == 8


async def _state_is(job: Any, state: str) -> bool:
    return bool(await job.status() == state)


async def test_arguments_that_do_not_fit_park_the_job_with_the_reason(app: Howdah, start: Start) -> None:
    @app.task(name="typed")
    async def typed(number: int) -> int:
        return number

    await start()
    wrong = await app.publish("typed", args=["seven"])
    missing = await app.publish("typed")

    await eventually(lambda: _state_is(wrong, "blocked"))
    await eventually(lambda: _state_is(missing, "blocked"))
    row = await wrong.info()
    assert row is not None
    assert (row.kind, row.attempt) == ("arguments", 0)
    assert "args[0]" in (row.reason or "")
    assert "number" in await missing.why()


async def test_a_job_past_its_ttl_raises_expired(app: Howdah, start: Start) -> None:
    job = await app.publish("t", ttl=0.01)
    app.task(name="t")(lambda: 1)
    await asyncio.sleep(0.02)
    await start()

    with pytest.raises(JobExpired):
        await job.result(10)
    assert await job.status() == "cancelled"


async def test_an_outcome_that_the_database_refuses_fails_only_its_job(
    app: Howdah, start: Start, administer: Any
) -> None:
    administer("""
        create function pg_temp.nothing() returns void language sql as 'select';
        create function refuse() returns trigger language plpgsql as $$
        begin
            if new.result = '13' then raise 'unlucky' using errcode = '22023'; end if;
            return new;
        end $$;
        create trigger refuse before insert on howdah.finished for each row execute function refuse();
    """)
    same = app.task(name="same")(lambda number: number)
    jobs = await same.publish_many([(number,) for number in range(20)])
    await start()

    results = await asyncio.gather(*(job.result(20) for job in jobs), return_exceptions=True)

    assert [result for result in results if isinstance(result, int)] == [n for n in range(20) if n != 13]
    refused = results[13]
    assert isinstance(refused, JobFailed)
    assert refused.kind == "result"
    assert "unlucky" in refused.message
