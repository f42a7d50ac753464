"""The primary is killed, the standby promoted: workers, publishers and commands go on by themselves."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from howdah import Context, DatabaseUnavailable, Howdah, calls
from howdah.settings import Settings
from tests.cli.command import run
from tests.worker.conftest import eventually

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from howdah.connect import DriverName
    from tests.cli.command import Start as StartCommand
    from tests.fixtures.replica import Node, Pair
    from tests.worker.conftest import Start

# Seconds after which a test that hangs gives up. What was measured is in docs/reliability/failover.md.
LONG = 90
TASKS = """
from howdah import Context, Howdah

app = Howdah()

@app.task(max_retries=50, backoff=0.1)
async def note(ctx: Context, what: str) -> str:
    await ctx.connection.execute("insert into effect values ($1)", what)
    return what

@app.task(max_retries=50, backoff=0.1)
async def plain(what: str) -> str:
    return what
"""
DRIVERS: list[DriverName | None] = ["asyncpg", "psycopg", None]


class Publisher(threading.Thread):
    """Publishes with keys and repeats what was not acknowledged; without a driver by the sync methods."""

    def __init__(self, dsn: str, driver: DriverName | None) -> None:
        super().__init__(daemon=True)
        self._dsn = dsn
        self._driver = driver
        self._enough = threading.Event()
        self.acknowledged: list[str] = []
        self.refused = 0

    def run(self) -> None:
        asyncio.run(self._publish_async(self._driver)) if self._driver else self._publish_sync()

    def stop(self) -> None:
        """Come to an end, once the last wish is acknowledged."""
        self._enough.set()
        self.join(LONG)
        assert not self.is_alive(), "a publish was never answered"

    async def _publish_async(self, driver: DriverName) -> None:
        async with Howdah(self._dsn, driver=driver, settings=Settings()) as app:
            for key, task in self._wishes():
                try:
                    await app.publish(task, key, key=key)
                except DatabaseUnavailable:
                    self._again(key, task)
                else:
                    self.acknowledged.append(key)

    def _publish_sync(self) -> None:
        with Howdah(self._dsn, settings=Settings()) as app:
            for key, task in self._wishes():
                try:
                    app.publish_sync(task, key, key=key)
                except DatabaseUnavailable:
                    self._again(key, task)
                else:
                    self.acknowledged.append(key)

    def _wishes(self) -> Any:
        self._left: list[tuple[str, str]] = []
        for number in itertools.count():
            if self._left:
                yield self._left.pop()
            elif self._enough.is_set():
                return
            else:
                yield f"{self._driver}-{number}", "shop.note" if number % 2 else "shop.plain"
            time.sleep(0.004)

    def _again(self, key: str, task: str) -> None:
        self.refused += 1
        self._left.append((key, task))
        time.sleep(0.05)


class Flow:
    """Publishers of every kind and two worker processes, on the pair."""

    def __init__(self, pair: Pair, workers: list[subprocess.Popen[str]]) -> None:
        self.pair = pair
        self.workers = workers
        self.publishers = [Publisher(pair.dsn, driver) for driver in DRIVERS]
        for publisher in self.publishers:
            publisher.start()

    @property
    def acknowledged(self) -> set[str]:
        """The keys of all publishes that returned."""
        return {key for publisher in self.publishers for key in publisher.acknowledged}

    async def flows(self, node: Node, jobs: int = 50) -> None:
        """Wait until every publisher and the workers are well under way."""
        await eventually(lambda: all(len(one.acknowledged) > jobs for one in self.publishers), LONG)
        await eventually(lambda: finished(node) > jobs, LONG)

    async def end(self, node: Node) -> None:
        """Publish no more; wait until all is done."""
        for publisher in self.publishers:
            await asyncio.to_thread(publisher.stop)
        await eventually(lambda: node.rows(UNFINISHED) == [(0,)], LONG)


UNFINISHED = (
    "select (select count(*) from howdah.job)"
    " - (select count(*) from howdah.finished where state = 'succeeded')"
)
FIRST_END = (
    "select extract(epoch from min(finished_at))::float from howdah.finished"
    " where finished_at > to_timestamp(%s) having count(*) > 0"
)


def finished(node: Node) -> int:
    ((count,),) = node.rows("select count(*) from howdah.finished where state = 'succeeded'")
    return int(count)


@pytest.fixture
async def flow(pair: Pair, started_commands: StartCommand, tmp_path: Path) -> Any:
    (tmp_path / "shop.py").write_text(TASKS)
    pair.primary.rows("create table effect (what text not null)")
    arguments = ("worker", "--app", "shop:app", "--processes", "2")
    worker = started_commands(
        *arguments, dsn=pair.dsn, cwd=tmp_path, PYTHONPATH=str(tmp_path), HOWDAH_LEASE="5"
    )
    flow = Flow(pair, [worker])
    yield flow
    for publisher in flow.publishers:
        publisher._enough.set()


async def test_a_synchronous_failover_loses_and_doubles_nothing(flow: Flow) -> None:
    await synchronous_failover(flow, jobs=50)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(10))
async def test_no_synchronous_failover_loses_or_doubles_anything(flow: Flow, number: int) -> None:
    await synchronous_failover(flow, jobs=500)


async def synchronous_failover(flow: Flow, jobs: int) -> None:
    pair = flow.pair
    pair.synchronous()
    await flow.flows(pair.primary, jobs)
    acknowledged = len(flow.acknowledged)
    asked = await asyncio.to_thread(pair.fail_over)
    new = pair.standby
    ((resumed,),) = await eventually(lambda: new.rows(FIRST_END, asked), LONG)
    await eventually(lambda: len(flow.acknowledged) > acknowledged + 100, LONG)
    await flow.end(new)
    keys = {key for (key,) in new.rows("select key from howdah.job")}
    effects = [what for (what,) in new.rows("select what from effect")]
    notes = {key for (key,) in new.rows("select key from howdah.job where task = 'shop.note'")}
    print(  # noqa: T201 (the figures of docs/reliability/failover.md)
        f"\nfailover: {len(flow.acknowledged)} publishes acknowledged, {len(flow.acknowledged - keys)} lost;"
        f" {len(notes)} transactional jobs, {len(notes - set(effects))} effects lost,"
        f" {len(effects) - len(set(effects))} doubled; first completion {resumed - asked:.2f} s after promote"
    )
    assert flow.acknowledged - keys == set()
    assert sorted(effects) == sorted(notes)
    assert new.rows("select * from jobs.fsck()") == []
    assert all(worker.poll() is None for worker in flow.workers)


async def test_an_asynchronous_failover_loses_only_the_end(flow: Flow) -> None:
    pair = flow.pair
    await flow.flows(pair.primary)
    await asyncio.to_thread(pair.part)
    before = flow.acknowledged
    await eventually(lambda: len(flow.acknowledged) > len(before) + 100, LONG)
    await asyncio.to_thread(pair.fail_over)
    new = pair.standby
    known = len(flow.acknowledged)
    await eventually(lambda: len(flow.acknowledged) > known + 100, LONG)
    await flow.end(new)
    keys = {key for (key,) in new.rows("select key from howdah.job")}
    effects = [what for (what,) in new.rows("select what from effect")]
    notes = {key for (key,) in new.rows("select key from howdah.job where task = 'shop.note'")}
    lost = flow.acknowledged - keys
    assert 0 < len(lost) < len(flow.acknowledged), "the end was to be lost"
    assert sorted(effects) == sorted(notes), "what a task wrote goes with its end"
    assert new.rows("select * from jobs.fsck()") == []


def states(pair: Pair) -> list[tuple[object, ...]]:
    return pair.standby.rows("select state::text from jobs.job_queue")


async def test_a_run_whose_end_was_lost_is_run_again_at_once(pair: Pair, app: Howdah, start: Start) -> None:
    runs: list[str] = []

    async def once(what: str) -> None:
        runs.append(what)

    began = asyncio.Event()
    go = asyncio.Event()

    async def waits() -> str:
        began.set()
        await go.wait()
        return "done"

    first, waiting = app.task(timeout=3600)(once), app.task(timeout=3600)(waits)
    worker = await start(lease=60)
    await (await first.publish("first")).result(timeout=LONG)
    job = await waiting.publish()
    await asyncio.wait_for(began.wait(), LONG)
    await eventually(lambda: states(pair) == [("running",)], LONG)  # and the standby knows
    await asyncio.to_thread(pair.part)
    go.set()
    await job.result(timeout=LONG)  # it has ended, but on the old primary only
    number = worker.worker_id
    began.clear()
    go.clear()
    await asyncio.to_thread(pair.fail_over)
    await asyncio.wait_for(began.wait(), LONG)
    assert states(pair) == [("running",)]
    go.set()
    assert await result_of(app, job.job_id) == "succeeded"
    assert worker.worker_id == number, "nobody was declared dead"
    assert runs == ["first"]


async def result_of(app: Howdah, job_id: str) -> str:
    """Wait for a job's end through every trouble of the database."""

    async def look() -> str | None:
        try:
            row = await app.execute(calls.get(job_id))
        except DatabaseUnavailable:
            return None
        return row.state if row is not None and row.finished else None

    return str(await eventually(look, LONG))


async def test_workers_are_not_declared_dead_because_the_server_was_away_for_longer_than_a_lease(
    pair: Pair, app: Howdah, start: Start
) -> None:
    began = asyncio.Event()
    go = asyncio.Event()

    async def long(ctx: Context) -> int:
        began.set()
        await go.wait()
        return ctx.attempt

    task = app.task(timeout=3600)(long)
    workers = [await start(lease=3, concurrency=1) for _ in range(3)]
    numbers = [worker.worker_id for worker in workers]
    job = await task.publish()
    await asyncio.wait_for(began.wait(), LONG)
    await eventually(lambda: pair.primary.rows("select count(*) from howdah.sleeper") != [(0,)], LONG)
    pair.primary.kill()
    await asyncio.sleep(7)  # longer than the lease, and than a gap that nobody notices
    await asyncio.to_thread(pair.promote)
    await eventually(
        lambda: (
            pair.standby.rows("select count(*) from howdah.beat where beat_at > now() - interval '2 s'")
            == [(3,)]
        ),
        LONG,
    )
    go.set()
    assert await result_of(app, job.job_id) == "succeeded"
    assert [worker.worker_id for worker in workers] == numbers
    assert pair.standby.rows("select count(*) from howdah.failure") == [(0,)]


def test_the_commands_follow(pair: Pair) -> None:
    (first,) = run("publish", "report.build", dsn=pair.dsn).lines
    pair.catch_up()
    pair.fail_over()
    (second,) = run("publish", "report.build", dsn=pair.dsn).lines
    assert first != second
    listed = run("list", "--json", dsn=pair.dsn).json
    assert {row["job_id"] for row in listed} == {first, second}
    assert run("fsck", dsn=pair.dsn).code == 0
    assert run("migrate", "--check", dsn=pair.dsn).code == 0
    assert run("why", first, dsn=pair.dsn).code == 0
    assert run("worker", "--burst", dsn=pair.dsn).code == 0


def test_of_several_hosts_the_one_is_found_that_can_be_written_to(pair: Pair) -> None:
    """The standby comes first, and nothing in the DSN says what is wanted."""
    places = f"{pair.standby.address},{pair.primary.address}"
    dsn = f"postgresql://postgres:{pair.primary.password}@{places}/shop"
    for driver in DRIVERS:
        if driver is None:
            with Howdah(dsn, settings=Settings()) as app:
                assert app.publish_sync("report.build").status_sync() == "ready"
        else:
            asyncio.run(_published(dsn, driver))
    assert run("publish", "report.build", dsn=dsn).code == 0
    assert run("migrate", dsn=dsn).code == 0


async def _published(dsn: str, driver: DriverName) -> None:
    async with Howdah(dsn, driver=driver, settings=Settings()) as app:
        assert await (await app.publish("report.build")).status() == "ready"
