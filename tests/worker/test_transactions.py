"""`ctx.connection`: what a task writes takes effect together with its completion, or not at all."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from howdah import Cancel, Context, Howdah, JobCancelled, JobFailed, Retry, Snooze, calls
from howdah.worker.transaction import may_be_committed

from .conftest import eventually

if TYPE_CHECKING:
    from .conftest import Start

Administer = Callable[..., list[tuple[Any, ...]]]
INSERT = "insert into effect values ('{}')"


@pytest.fixture(autouse=True)
def effect(administer: Administer) -> Callable[[], list[str]]:
    """Return what the tasks have written so far."""
    administer("create table effect (what text not null)")
    return lambda: [what for (what,) in administer("select what from effect order by what")]


async def write_asyncpg(ctx: Context, what: str) -> str:
    await ctx.connection.execute("insert into effect values ($1)", what)
    return what


async def write_raw(ctx: Context, what: str) -> str:
    connection = await ctx.connection
    await connection.execute("insert into effect values ($1)", what)
    return what


async def write_psycopg(ctx: Context, what: str) -> str:
    connection = await ctx.psycopg()
    await connection.execute("insert into effect values (%s)", [what])
    return what


async def write_session(ctx: Context, what: str) -> str:
    from sqlalchemy import text

    session = await ctx.session()
    await session.execute(text("insert into effect values (:what)"), {"what": what})
    await session.commit()
    return what


def write_in_thread(ctx: Context, what: str) -> str:
    ctx.connection.execute("insert into effect values (%s)", [what])
    return what


def write_session_in_thread(ctx: Context, what: str) -> str:
    from sqlalchemy import text

    session = ctx.session_sync()
    session.execute(text("insert into effect values (:what)"), {"what": what})
    session.commit()
    return what


FORMS = [
    write_asyncpg,
    write_raw,
    write_psycopg,
    write_session,
    write_in_thread,
    write_session_in_thread,
]


@pytest.mark.parametrize("write", FORMS, ids=lambda write: write.__name__)
async def test_what_a_task_wrote_is_there_when_it_succeeded(
    app: Howdah, start: Start, effect: Any, write: Any, caplog: pytest.LogCaptureFixture
) -> None:
    task = app.task(name="write")(write)

    with caplog.at_level(logging.WARNING, "howdah"):
        worker = await start(concurrency=2)
        jobs = await task.publish_many([(f"row {number}",) for number in range(5)])
        assert [await job.result(10) for job in jobs] == [f"row {number}" for number in range(5)]

    assert effect() == [f"row {number}" for number in range(5)]
    assert await app.execute(calls.fsck()) == []
    assert worker.totals == {"succeeded": 5}
    assert caplog.messages == []


@pytest.mark.parametrize("write", FORMS, ids=lambda write: write.__name__)
async def test_what_a_failed_task_wrote_is_gone(app: Howdah, start: Start, effect: Any, write: Any) -> None:
    if asyncio.iscoroutinefunction(write):

        async def failing(ctx: Context, what: str) -> None:
            await write(ctx, what)
            raise ValueError("after the write")
    else:

        def failing(ctx: Context, what: str) -> None:  # type: ignore[misc]
            write(ctx, what)
            raise ValueError("after the write")

    task = app.task(name="write", max_retries=0)(failing)
    good = app.task(name="good")(write)
    await start(concurrency=1)

    with pytest.raises(JobFailed, match="after the write"):
        await (await task.publish("gone")).result(10)

    assert await (await good.publish("kept")).result(10) == "kept"  # on the same connection
    assert effect() == ["kept"]


@pytest.mark.parametrize("first", [Retry(delay=0), Snooze(0)], ids=["retry", "snooze"])
async def test_what_a_run_wrote_that_is_to_be_run_again_is_gone(
    app: Howdah, start: Start, effect: Any, first: Any
) -> None:
    runs: list[int] = []

    @app.task
    async def twice(ctx: Context) -> Any:
        runs.append(ctx.job.run_id)
        await write_asyncpg(ctx, f"run {len(runs)}")
        return first if len(runs) == 1 else "done"

    await start()

    assert await (await twice.publish()).result(10) == "done"
    assert effect() == ["run 2"]


async def test_what_a_task_wrote_that_cancels_its_job_is_gone(app: Howdah, start: Start, effect: Any) -> None:
    @app.task
    async def withdrawn(ctx: Context) -> Cancel:
        await write_asyncpg(ctx, "never")
        return Cancel("withdrawn")

    await start()

    with pytest.raises(JobCancelled):
        await (await withdrawn.publish()).result(10)
    assert effect() == []


async def test_a_result_that_cannot_be_stored_takes_the_writes_with_it(
    app: Howdah, start: Start, effect: Any
) -> None:
    @app.task
    async def unstorable(ctx: Context) -> Any:
        await write_asyncpg(ctx, "never")
        return object()

    await start()

    with pytest.raises(JobFailed) as caught:
        await (await unstorable.publish()).result(10)
    assert caught.value.kind == "result"
    assert effect() == []


@pytest.mark.parametrize("succeeds", [True, False])
async def test_a_job_published_inside_exists_only_when_the_task_succeeded(
    app: Howdah, start: Start, succeeds: bool
) -> None:
    child = app.task(name="child", queue="later")(lambda: 1)

    @app.task(max_retries=0)
    async def parent(ctx: Context) -> None:
        await child.options(key="child").publish(connection=ctx.connection)
        if not succeeds:
            raise ValueError("no")

    await start(queues=("default",))
    job = await parent.publish()
    await eventually(lambda: _finished(job))

    assert await app.job("child").status() == ("ready" if succeeds else None)


async def _finished(job: Any) -> bool:
    return await job.status() in ("succeeded", "failed")


async def test_a_savepoint_is_undone_alone(app: Howdah, start: Start, effect: Any) -> None:
    @app.task
    async def careful(ctx: Context) -> str:
        await write_asyncpg(ctx, "kept")
        try:
            async with ctx.connection.transaction():
                await write_asyncpg(ctx, "undone")
                raise KeyError
        except KeyError:
            return "done"

    await start()

    assert await (await careful.publish()).result(10) == "done"
    assert effect() == ["kept"]


async def test_a_transaction_that_was_aborted_fails_the_job(app: Howdah, start: Start, effect: Any) -> None:
    @app.task(max_retries=0)
    async def swallow(ctx: Context) -> str:
        await write_asyncpg(ctx, "never")
        try:
            await ctx.connection.execute("select 1/0")
        except Exception:
            return "as if nothing had happened"
        return "not reached"

    await start()

    with pytest.raises(JobFailed, match="its transaction was not committed"):
        await (await swallow.publish()).result(10)
    assert effect() == []


@pytest.mark.parametrize("write", FORMS, ids=lambda write: write.__name__)
async def test_a_run_that_lost_its_lease_commits_nothing(
    app: Howdah, start: Start, effect: Any, administer: Administer, write: Any
) -> None:
    """The job is deleted by force while it runs."""

    def lose(ctx: Context) -> None:
        administer("select jobs.delete(%s, true)", ctx.job.job_id)

    if asyncio.iscoroutinefunction(write):

        async def loser(ctx: Context) -> None:
            await write(ctx, "never")
            await asyncio.to_thread(lose, ctx)
    else:

        def loser(ctx: Context) -> None:  # type: ignore[misc]
            write(ctx, "never")
            lose(ctx)

    task = app.task(name="loser")(loser)
    good = app.task(name="good")(write)
    worker = await start(concurrency=1, lease=30)
    lost = await task.publish()

    assert await (await good.publish("kept")).result(10) == "kept"
    assert effect() == ["kept"]
    assert await lost.status() is None
    assert worker.totals == {"succeeded": 1}


@pytest.mark.parametrize("write", FORMS, ids=lambda write: write.__name__)
async def test_a_connection_lost_before_the_commit_is_a_failed_attempt(
    app: Howdah, start: Start, effect: Any, administer: Administer, write: Any
) -> None:
    attempts: list[int] = []

    def lose() -> None:
        administer("""
            select pg_terminate_backend(pid, 5000) from pg_stat_activity
             where datname = current_database() and application_name = 'howdah task'
        """)

    if asyncio.iscoroutinefunction(write):

        async def unlucky(ctx: Context) -> int:
            attempts.append(ctx.attempt)
            await write(ctx, f"attempt {ctx.attempt}")
            if ctx.attempt == 1:
                await asyncio.to_thread(lose)
            return ctx.attempt
    else:

        def unlucky(ctx: Context) -> int:  # type: ignore[misc]
            attempts.append(ctx.attempt)
            write(ctx, f"attempt {ctx.attempt}")
            if ctx.attempt == 1:
                lose()
            return ctx.attempt

    task = app.task(name="unlucky", backoff=[0])(unlucky)
    await start()

    assert await (await task.publish()).result(10) == 2
    assert attempts == [1, 2]
    assert effect() == ["attempt 2"]


@pytest.mark.parametrize("write", FORMS, ids=lambda write: write.__name__)
async def test_a_connection_lost_between_two_tasks_costs_nothing(
    app: Howdah, start: Start, effect: Any, administer: Administer, write: Any
) -> None:
    task = app.task(name="write")(write)
    await start(concurrency=1)
    await (await task.publish("first")).result(10)
    administer("""
        select pg_terminate_backend(pid, 5000) from pg_stat_activity
         where datname = current_database() and application_name = 'howdah task'
    """)

    second = await task.publish("second")

    assert await second.result(10) == "second"
    assert await second.failures() == []
    assert effect() == ["first", "second"]


@pytest.mark.parametrize("write", FORMS, ids=lambda write: write.__name__)
async def test_what_a_run_wrote_that_a_shutdown_cut_short_is_gone(
    app: Howdah, start: Start, effect: Any, write: Any
) -> None:
    begun, leave = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    if asyncio.iscoroutinefunction(write):

        async def slow(ctx: Context, what: str) -> None:
            await write(ctx, what)
            begun.set()
            await asyncio.sleep(3600)
    else:

        def slow(ctx: Context, what: str) -> None:  # type: ignore[misc]
            write(ctx, what)
            loop.call_soon_threadsafe(begun.set)
            leave.wait(20)

    task = app.task(name="slow")(slow)
    worker = await start()
    job = await task.publish("never")
    await begun.wait()

    worker.stop_now()

    await eventually(lambda: _is_ready(job))
    leave.set()
    assert effect() == []
    assert await job.failures() == []


async def _is_ready(job: Any) -> bool:
    return bool(await job.status() == "ready")


async def test_a_line_that_breaks_at_the_commit_is_not_taken_for_a_success(
    app: Howdah, start: Start, effect: Any, administer: Administer
) -> None:
    """A deferred trigger ends the session in the middle of COMMIT, the first time."""
    administer("create sequence commits")
    administer("""
        create function break_it() returns trigger language plpgsql as $$
        begin
            if nextval('commits') = 1 then perform pg_terminate_backend(pg_backend_pid()); end if;
            return null;
        end $$
    """)
    administer("""
        create constraint trigger break_it after insert on effect
            deferrable initially deferred for each row execute function break_it()
    """)

    @app.task(backoff=[0])
    async def write(ctx: Context) -> int:
        await write_asyncpg(ctx, f"attempt {ctx.attempt}")
        return ctx.attempt

    await start()

    assert await (await write.publish()).result(10) == 2
    assert effect() == ["attempt 2"]


async def test_a_commit_whose_answer_is_lost_is_recognised(
    app: Howdah, start: Start, effect: Any, live_database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A proxy passes COMMIT on and cuts the line instead of passing the answer back."""
    async with cutting_proxy(live_database.dsn) as (dsn, cuts):
        own = Howdah(dsn, settings=app.settings)

        @own.task(name="write")
        async def write(ctx: Context) -> int:
            await write_asyncpg(ctx, f"attempt {ctx.attempt}")
            return ctx.attempt

        worker = await start(own)
        with caplog.at_level(logging.WARNING, "howdah"):
            job = await app.publish("write")
            assert await job.result(10) == 1
            await eventually(lambda: worker.totals)

        assert len(cuts) == 1
        assert worker.totals == {"succeeded": 1}
        assert effect() == ["attempt 1"]
        assert await job.failures() == []
        assert [message for message in caplog.messages if "line broke at its commit" in message]
        worker.stop_now()
        await eventually(lambda: _no_workers(app))


async def _no_workers(app: Howdah) -> bool:
    return await app.execute(calls.list_workers()) == []


async def test_a_commit_whose_answer_is_lost_is_not_undone_by_a_worker_that_may_not_look(
    app: Howdah, start: Start, effect: Any, live_database: Any, administer: Administer
) -> None:
    """It takes the run for failed, and the database refuses that: the run is over."""
    administer("drop role if exists blind")
    administer("create role blind login password 'secret' in role howdah_worker")
    administer("grant insert on effect to blind")
    async with cutting_proxy(live_database.dsn_of("blind", "secret")) as (dsn, cuts):
        own = Howdah(dsn, settings=app.settings)

        @own.task(name="write")
        async def write(ctx: Context) -> int:
            await write_asyncpg(ctx, f"attempt {ctx.attempt}")
            return ctx.attempt

        worker = await start(own)
        job = await app.publish("write")
        assert await job.result(10) == 1
        await eventually(lambda: worker.totals)

        assert len(cuts) == 1
        assert effect() == ["attempt 1"]
        assert await job.failures() == []
        worker.stop_now()
        await eventually(lambda: _no_workers(app))


async def test_a_run_has_one_transaction(app: Howdah, start: Start) -> None:
    @app.task(max_retries=0)
    async def greedy(ctx: Context) -> None:
        await ctx.connection.fetchval("select 1")
        await ctx.psycopg()

    await start()

    with pytest.raises(JobFailed, match="has a transaction already"):
        await (await greedy.publish()).result(10)


async def test_there_are_never_more_connections_than_slots(
    app: Howdah, start: Start, administer: Administer
) -> None:
    count = "select count(*) from pg_stat_activity where application_name = 'howdah task'"
    own = f"{count} and datname = current_database()"

    @app.task
    async def look(ctx: Context) -> int:
        number: int = await ctx.connection.fetchval(own)
        return number

    @app.task
    def look_in_thread(ctx: Context) -> int:
        number: int = ctx.connection.execute(own).fetchone()[0]
        return number

    await start(concurrency=3)
    jobs = await look.publish_many([()] * 60) + await look_in_thread.publish_many([()] * 60)

    assert max([await job.result(20) for job in jobs]) <= 6  # three of each kind
    assert administer(own)[0][0] <= 3  # kept for the next


async def test_what_one_task_told_its_session_is_forgotten_by_the_next(app: Howdah, start: Start) -> None:
    @app.task
    async def tell(ctx: Context) -> str:
        before: str = await ctx.connection.fetchval("show timezone")
        await ctx.connection.execute("set timezone to 'Asia/Kathmandu'")
        return before

    await start(concurrency=1)

    assert "Asia/Kathmandu" not in [await (await tell.publish()).result(10) for _ in range(3)]


async def test_a_thread_that_overran_can_write_nothing_any_more(
    app: Howdah, start: Start, effect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    leave = threading.Event()
    late: list[BaseException | None] = []

    @app.task(timeout=0.2, max_retries=0)
    def stuck(ctx: Context) -> None:
        write_in_thread(ctx, "early")
        leave.wait(20)
        try:
            write_in_thread(ctx, "late")
        except BaseException as error:
            late.append(error)
            raise
        late.append(None)

    good = app.task(name="good")(write_in_thread)
    await start(concurrency=1)
    with caplog.at_level(logging.WARNING, "howdah"):
        with pytest.raises(JobFailed, match="timed out"):
            await (await stuck.publish()).result(10)
        job = await good.publish("kept")
        leave.set()
        assert await job.result(10) == "kept"

    assert isinstance(late[0], Exception)
    assert effect() == ["kept"]
    assert any("its thread goes on" in message for message in caplog.messages)


async def test_a_task_without_a_worker_is_told_that_there_is_no_transaction() -> None:
    from howdah import ConfigurationError
    from howdah.context import RunningJob

    ctx = Context(RunningJob(object()))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="only a run in a worker"):
        await ctx.connection.execute("select 1")
    assert ctx.resources == {}


@pytest.mark.parametrize(
    ("sqlstate", "unknown"),
    [(None, True), ("57P01", True), ("08006", True), ("40001", False), ("23505", False)],
)
def test_only_a_broken_line_leaves_a_commit_unknown(sqlstate: str | None, unknown: bool) -> None:
    from howdah import DatabaseError

    assert may_be_committed(DatabaseError("no", sqlstate=sqlstate)) is unknown


def cutting_proxy(dsn: str) -> Any:
    """Run a proxy; yield the DSN that leads through it, and a list of the answers that it withheld."""
    from contextlib import asynccontextmanager

    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    cuts: list[bytes] = []

    async def pass_on(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: dict[str, bool]
    ) -> None:
        while data := await reader.read(65536):
            if b"COMMIT;" in data and not cuts:
                state["cut"] = True
            writer.write(data)
        writer.close()

    async def pass_back(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: dict[str, bool]
    ) -> None:
        while data := await reader.read(65536):
            if state["cut"]:
                cuts.append(data)
                break
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place = str(parts.get("host"))
        if place.startswith("/"):
            opened = asyncio.open_unix_connection(f"{place}/.s.PGSQL.{parts.get('port', 5432)}")
        else:
            opened = asyncio.open_connection(place, int(parts.get("port") or 5432))
        there, back = await opened
        state = {"cut": False}
        await asyncio.gather(
            pass_on(reader, back, state), pass_back(there, writer, state), return_exceptions=True
        )

    @asynccontextmanager
    async def run() -> Any:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            yield psycopg.conninfo.make_conninfo(dsn, host="127.0.0.1", port=port, sslmode="disable"), cuts
        finally:
            server.close()

    return run()
