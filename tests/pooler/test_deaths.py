"""A worker is killed behind a transaction pooler: nobody sees its session end, so its lease decides."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import psycopg

from tests.worker.conftest import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.command import Start as StartCommand
    from tests.fixtures.database import Database

LEASE = 3
LONG = 60
TASKS = """
import asyncio, os
from howdah import Context, Howdah

app = Howdah()

@app.task(timeout=3600)
async def waits(ctx: Context) -> None:
    if ctx.job.run_id == 1:
        await asyncio.sleep(3600)
"""
ENDED = "select extract(epoch from started_at)::float from howdah.finished where state = 'succeeded'"


async def test_the_run_of_a_killed_worker_is_run_again_when_its_lease_is_over(
    pooled: str, live_database: Database, started_commands: StartCommand, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(TASKS)
    options: dict[str, Any] = {
        "dsn": pooled,
        "cwd": tmp_path,
        "PYTHONPATH": str(tmp_path),
        "HOWDAH_LEASE": str(LEASE),
    }
    with psycopg.connect(live_database.dsn, autocommit=True) as connection:

        def rows(statement: str) -> list[tuple[Any, ...]]:
            return connection.execute(statement.encode()).fetchall()

        first = started_commands("worker", "--app", "shop:app", **options)
        rows("select jobs.publish('shop.waits')")
        await eventually(lambda: rows("select from howdah.running"), LONG)
        started_commands("worker", "--app", "shop:app", **options)
        await eventually(lambda: rows("select count(*) from howdah.worker") == [(2,)], LONG)
        first.send_signal(signal.SIGKILL)
        killed = time.time()
        ((again,),) = await eventually(lambda: rows(ENDED), LONG)
        print(f"\npooler: run again {again - killed:.2f} s after kill -9, lease {LEASE} s")  # noqa: T201
        assert rows("select kind from howdah.failure") == [("crash",)]
        assert rows("select attempt from howdah.finished") == [(1,)]
