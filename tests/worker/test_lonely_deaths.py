"""Deaths of whole workers: who was guilty is found out by letting suspects run alone."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from . import isolated_chores
from .conftest import eventually
from .test_processes import children_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from howdah import Howdah

    from .conftest import Spawn, Start

    Administer = Callable[..., list[tuple[Any, ...]]]

MANY = """
options = WorkerOptions(lease=30, grace=5, concurrency={concurrency})
sys.exit(Supervisor(os.environ["HOWDAH_DSN"], {processes}, options, app="chores:app").main())
"""
TASKS = """
import random

@app.task(max_retries=0)
async def work(seconds: float) -> int:
    await asyncio.sleep(seconds)
    return os.getpid()

@app.task(max_retries=0)
def toil(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()

@app.task(max_retries=50, backoff=[0])
async def poison() -> None:
    await asyncio.sleep(0.05)
    os._exit(7)
"""
DOZE = """
sys.path.insert(0, "{home}")
from tests.worker import isolated_chores
isolated_chores.app.use(os.environ["HOWDAH_DSN"])
Worker(isolated_chores.app, WorkerOptions(lease=1, grace=5)).main()
"""
# What the deaths have cost: jobs by state, attempts made, and whether a death was counted against any.
COST = """
select j.task, j.state, j.attempt, count(*)
  from jobs.job j group by 1, 2, 3 order by 1, 2, 3
"""


async def test_a_poison_job_among_a_thousand_ends_by_itself(
    app: Howdah, spawn: Spawn, administer: Administer
) -> None:
    administer(
        "select jobs.publish_many(jsonb_agg(jsonb_build_object('task', t, 'max_retries', 0, 'body',"
        " '{\"args\": [0.005]}'::jsonb)))"
        " from unnest(array['chores.work', 'chores.toil']) t, generate_series(1, 500)"
    )
    poison = await app.publish("chores.poison")
    parent = spawn(TASKS, MANY.format(processes=2, concurrency=8))

    await eventually(lambda: _ended(administer, 1001), 90)

    parent.send_signal(signal.SIGTERM)
    assert parent.wait(20) == 0
    assert administer(COST)[:1] == [("chores.poison", "failed", 3, 1)]
    assert administer(COST)[1:] == [
        ("chores.toil", "succeeded", 1, 500),
        ("chores.work", "succeeded", 1, 500),
    ]
    alone = [failure.error for failure in await poison.failures() if failure.error != "its worker died"]
    assert alone == ["its process died: exit code 7"] * 3
    assert "crash, its process died: exit code 7; its process died 5 times in all" in await poison.why()
    assert administer("select * from jobs.fsck()") == []


def _ended(administer: Administer, count: int) -> bool:
    return bool(administer("select count(*) from jobs.job")[0][0] == count)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_fifty_kills_cost_a_hundred_jobs_in_flight_neither_an_attempt_nor_a_life(
    app: Howdah, spawn: Spawn, administer: Administer
) -> None:
    draw = random.Random(5)
    parent = spawn(TASKS, MANY.format(processes=4, concurrency=25))
    publish = (
        "select jobs.publish_many(jsonb_agg(jsonb_build_object('task', t, 'max_retries', 0, 'body',"
        " '{\"args\": [2]}'::jsonb)))"
        " from unnest(array['chores.work', 'chores.toil']) t, generate_series(1, 50)"
    )
    in_flight, kills = [], 0
    while kills < 50:
        if administer("select count(*) from jobs.job_queue")[0][0] < 150:
            administer(publish)
        running = administer("select count(*) from jobs.running")[0][0]
        if children := [child for child in children_of(parent.pid) if running >= 60]:
            in_flight.append(running)
            os.kill(draw.choice(children), signal.SIGKILL)
            kills += 1
        await asyncio.sleep(0.1)
    published = administer('select count(*) from jobs."all"')[0][0]
    await eventually(lambda: _ended(administer, published), 200)
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(20) == 0

    deaths = administer("select count(*) from howdah.failure where kind = 'crash'")[0][0]
    sys.stdout.write(f"{kills} kills, {min(in_flight)} to {max(in_flight)} in flight, {deaths} deaths\n")
    assert deaths > 100
    assert {row[1:3] for row in administer(COST)} == {("succeeded", 1)}
    assert administer("select * from howdah.failure where error <> 'its worker died'") == []


async def suspect(job: Any, task: str, administer: Administer) -> None:
    """Have a worker die with a job, twice."""
    for _ in range(2):
        ((worker,),) = administer(
            "select jobs.worker_started('dies', jsonb_build_array(jsonb_build_object('name', %s::text)))",
            task,
        )
        administer("select jobs.exchange(%s, null, 10, true)", worker)
        assert await job.status() == "running"
        administer("select jobs.worker_stopped(%s, true)", worker)


async def attempts(job: Any) -> int:
    row = await job.info()
    return int(row.attempt)


async def test_a_suspect_runs_in_a_process_of_its_own(
    chores: Howdah, start: Start, administer: Administer
) -> None:
    job = await chores.publish("tests.worker.plain_chores.pid")
    await suspect(job, "tests.worker.plain_chores.pid", administer)
    await start(chores, allow=("tests.worker.plain_chores",))

    assert await job.result(30) != os.getpid()
    assert await (await chores.publish("tests.worker.plain_chores.pid")).result(30) == os.getpid()
    assert await attempts(job) == 1


async def test_a_suspect_that_no_process_can_import_runs_with_the_others(
    app: Howdah, start: Start, administer: Administer
) -> None:
    @app.task(name="chores.here", max_retries=0)
    def here() -> int:
        return os.getpid()

    job = await here.publish()
    await suspect(job, "chores.here", administer)
    await start(app)

    assert await job.result(30) == os.getpid()


async def test_a_suspect_whose_process_lacks_its_function_is_put_off_at_no_cost(
    app: Howdah, start: Start, administer: Administer
) -> None:
    async def here() -> int:
        return os.getpid()

    here.__qualname__ = "nowhere_to_be_found"  # as if it had been made while the app ran
    task = app.task(name="chores.here", max_retries=0)(here)
    job = await task.publish()
    await suspect(job, "chores.here", administer)
    await start(app)

    assert await job.result(30) == os.getpid()
    assert await attempts(job) == 1
    assert [failure.error for failure in await job.failures()] == ["its worker died"] * 2


async def test_a_process_that_dies_with_its_worker_has_not_died_alone(
    chores: Howdah, spawn: Spawn, administer: Administer
) -> None:
    """Whoever kills a whole worker kills its processes one after the other, the worker perhaps last."""
    worker = spawn("", DOZE.format(home=Path(__file__).parents[2]))
    job = await isolated_chores.sleep.options(max_retries=0).publish(600)
    await eventually(lambda: _logged(administer))

    for child in children_of(worker.pid):
        os.kill(child, signal.SIGKILL)
    await asyncio.sleep(0.1)
    worker.kill()
    worker.wait()
    administer("select pg_sleep(1.2), jobs.maintain()")

    assert await job.status() == "ready"
    assert [failure.error for failure in await job.failures()] == ["its worker died"]


def _logged(administer: Administer) -> bool:
    return bool(administer("select 1 from howdah.log"))
