"""What a task reaches through its context: its log, the resources, its job; and what lies around it."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from howdah import ConfigurationError, Context, Howdah, JobFailed, Tasks, calls, current_job
from howdah.worker import Worker, WorkerOptions

from .conftest import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from .conftest import Start


async def lines_of(app: Howdah, job: Any) -> list[tuple[str, str]]:
    return [(line.level, line.message) for line in await app.execute(calls.logs(str(job.id)))]


# ── ctx.log ──


async def test_what_a_task_logs_is_kept_with_its_job_and_written_to_logging(
    app: Howdah, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task
    async def talk(ctx: Context) -> None:
        ctx.log("half of %s", "it")
        ctx.log("100% of it", level=logging.WARNING)
        ctx.log("a\x00b\udc80", level="error")
        ctx.log("%d is no number", "this")

    await start()
    with caplog.at_level(logging.INFO, "howdah.task"):
        job = await talk.publish()
        await job.result(10)

    assert await lines_of(app, job) == [
        ("info", "half of it"),
        ("warning", "100% of it"),
        ("error", "a\\x00b\\udc80"),
        ("info", "%d is no number ('this',)"),
    ]
    written = [record for record in caplog.records if record.name == "howdah.task"]
    assert [record.levelname for record in written] == ["INFO", "WARNING", "ERROR", "INFO"]
    assert all(f"talk {job.id}]" in record.getMessage() for record in written)


async def test_lines_can_be_read_while_the_task_runs(app: Howdah, start: Start) -> None:
    leave = asyncio.Event()

    @app.task
    async def talk(ctx: Context) -> None:
        ctx.log("begun")
        await leave.wait()
        ctx.log("ended")

    await start()
    job = await talk.publish()

    await eventually(lambda: _has(app, job, [("info", "begun")]))
    leave.set()
    await job.result(10)
    assert await lines_of(app, job) == [("info", "begun"), ("info", "ended")]


async def _has(app: Howdah, job: Any, lines: list[tuple[str, str]]) -> bool:
    return await lines_of(app, job) == lines


async def test_only_the_newest_thousand_lines_are_kept(app: Howdah, start: Start) -> None:
    @app.task
    def talk(ctx: Context) -> None:
        for number in range(5000):
            ctx.log("%s", number)
        ctx.log("x" * 100_000)

    await start()
    job = await talk.publish()
    await job.result(10)

    lines = await lines_of(app, job)
    assert len(lines) == 1000
    assert lines[-2][1] == "4999"
    assert len(lines[-1][1]) == 8192


async def test_lines_of_a_failed_run_are_kept(app: Howdah, start: Start) -> None:
    @app.task(max_retries=0)
    async def fail(ctx: Context) -> None:
        await ctx.connection.fetchval("select 1")
        ctx.log("about to fail")
        raise ValueError

    await start()
    job = await fail.publish()
    with pytest.raises(JobFailed):
        await job.result(10)

    assert await lines_of(app, job) == [("info", "about to fail")]


async def test_a_line_that_cannot_be_stored_fails_nothing(
    app: Howdah, start: Start, administer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    administer("drop function jobs.log(text, bigint, jsonb)")

    @app.task
    async def talk(ctx: Context) -> str:
        ctx.log("lost")
        return "done"

    await start()
    with caplog.at_level(logging.WARNING, "howdah.worker"):
        for job in await talk.publish_many([()] * 20):
            assert await job.result(10) == "done"

    assert len([message for message in caplog.messages if "could not be stored" in message]) == 1


async def test_an_unknown_level_is_refused(app: Howdah, start: Start) -> None:
    @app.task(max_retries=0)
    async def talk(ctx: Context) -> None:
        ctx.log("loud", level="shouting")

    await start()
    with pytest.raises(JobFailed, match="is not one of logging's"):
        await (await talk.publish()).result(10)


# ── Lifespan ──


async def test_resources_live_as_long_as_the_worker(app: Howdah) -> None:
    events: list[str] = []

    @app.lifespan
    async def first() -> AsyncIterator[dict[str, Any]]:
        events.append("first starts")
        yield {"one": 1, "two": 0}
        events.append("first ends")

    @app.lifespan
    async def second() -> AsyncIterator[dict[str, Any]]:
        events.append("second starts")
        yield {"two": 2}
        events.append("second ends")

    @app.task
    async def look(ctx: Context) -> list[int]:
        events.append("runs")
        return [ctx.resources["one"], ctx.resources["two"]]

    @app.task
    def look_in_thread(ctx: Context) -> int:
        return int(ctx.resources["two"])

    jobs: list[Any] = [await look.publish(), await look_in_thread.publish()]
    async with asyncio.timeout(20):
        await Worker(app, WorkerOptions(burst=True)).run()

    assert [await job.result(1) for job in jobs] == [[1, 2], 2]
    assert events == ["first starts", "second starts", "runs", "second ends", "first ends"]


async def test_a_worker_whose_resources_cannot_be_made_does_not_start(app: Howdah) -> None:
    ended: list[str] = []

    @app.lifespan
    async def good() -> AsyncIterator[dict[str, Any]]:
        yield {}
        ended.append("good")

    @app.lifespan
    async def bad() -> AsyncIterator[dict[str, Any]]:
        raise OSError("no such host")
        yield {}

    with pytest.raises(ConfigurationError, match=r"bad could not start: OSError: no such host"):
        await Worker(app).run()
    assert ended == ["good"]
    assert await app.execute(calls.list_workers()) == []


async def test_resources_that_cannot_be_ended_are_reported(
    app: Howdah, caplog: pytest.LogCaptureFixture
) -> None:
    @app.lifespan
    async def bad() -> AsyncIterator[dict[str, Any]]:
        yield {}
        raise OSError("broken pipe")

    @app.lifespan
    async def greedy() -> AsyncIterator[dict[str, Any]]:
        yield {}
        yield {}

    with caplog.at_level(logging.ERROR, "howdah.worker"):
        await Worker(app, WorkerOptions(burst=True)).run()

    assert any("bad raised at its end" in message for message in caplog.messages)
    assert any("greedy yielded twice" in message for message in caplog.messages)


def test_only_what_can_be_a_lifespan_or_middleware_is_taken() -> None:
    app = Howdah()
    decorators: list[Any] = [app.lifespan, app.middleware]
    for decorate in decorators:
        with pytest.raises(ConfigurationError):
            decorate(lambda *_: None)


# ── Middleware ──


async def test_middleware_lies_around_every_run_in_its_order(app: Howdah, start: Start) -> None:
    events: list[Any] = []

    @app.middleware
    async def outer(ctx: Context, call: Any) -> Any:
        events.append(("outer", ctx.job.task, ctx.attempt))
        value = await call()
        events.append("outer ends")
        return value

    @app.middleware
    async def inner(ctx: Context, call: Any) -> Any:
        events.append("inner")
        return [await call(), current_job() is not None]

    coroutine = app.task(name="coroutine")(_one)
    thread: Any = app.task(name="thread")(lambda: 2)
    await start()

    assert await (await coroutine.publish()).result(10) == [1, True]
    assert await (await thread.publish()).result(10) == [2, True]
    assert events == [
        ("outer", "coroutine", 1),
        "inner",
        "outer ends",
        ("outer", "thread", 1),
        "inner",
        "outer ends",
    ]


async def _one() -> Any:
    return 1


async def test_middleware_sees_errors_and_may_turn_them_into_outcomes(app: Howdah, start: Start) -> None:
    @app.middleware
    async def rescue(ctx: Context, call: Any) -> Any:
        try:
            return await call()
        except ValueError as error:
            return f"rescued from {error}"

    @app.task
    async def fail() -> Any:
        raise ValueError("bad luck")

    @app.task(max_retries=0, timeout=0.2)
    async def slow() -> None:
        await asyncio.sleep(3600)

    await start()

    assert await (await fail.publish()).result(10) == "rescued from bad luck"
    with pytest.raises(JobFailed, match="timed out"):
        await (await slow.publish()).result(10)


async def test_middleware_that_raises_fails_the_job(app: Howdah, start: Start) -> None:
    @app.middleware
    async def broken(ctx: Context, call: Any) -> Any:
        await ctx.connection.fetchval("select 1")
        raise RuntimeError("broken middleware")

    task = app.task(name="t", max_retries=0)(_one)
    await start()

    with pytest.raises(JobFailed, match="broken middleware"):
        await (await task.publish()).result(10)


# ── Where tasks come from ──


async def test_the_current_job_is_known_in_threads_and_in_what_a_task_starts(
    app: Howdah, start: Start
) -> None:
    def here() -> str | None:
        job = current_job()
        return None if job is None else job.job_id

    @app.task
    async def coroutine() -> list[str | None]:
        async def child() -> str | None:
            return here()

        return [here(), await asyncio.create_task(child()), await asyncio.to_thread(here)]

    @app.task
    def thread() -> list[Any]:
        return [here(), threading.current_thread() is threading.main_thread()]

    await start()

    assert await (await coroutine.options(key="c").publish()).result(10) == ["c", "c", "c"]
    assert await (await thread.options(key="t").publish()).result(10) == ["t", False]
    assert here() is None


async def test_a_worker_imports_the_modules_it_is_told_and_includes_tasks_of_libraries(
    live_database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imported_chores.py").write_text(
        "from howdah import Tasks\ntasks = Tasks()\n"
        "@tasks.task\ndef double(a: int) -> int:\n    return 2 * a\n"
        "import included_by\nincluded_by.app.include(tasks)\n"
    )
    (tmp_path / "included_by.py").write_text("app = None\n")
    monkeypatch.syspath_prepend(tmp_path)
    library = Tasks()

    @library.task(name="library.triple")
    def triple(a: int) -> int:
        return 3 * a

    app = Howdah(live_database.dsn, imports=["imported_chores"])
    app.include(library)
    import included_by  # type: ignore[import-not-found]

    included_by.app = app
    jobs = [await triple.publish(5), await app.publish("imported_chores.double", 5)]
    async with asyncio.timeout(20):
        await Worker(app, WorkerOptions(burst=True)).run()

    assert [await job.result(1) for job in jobs] == [15, 10]
    await app.close()
