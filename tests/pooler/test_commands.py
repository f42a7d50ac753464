"""Every command through a transaction pooler with two server connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.cli.command import run
from tests.fixtures.pgbouncer import PLAIN, pgbouncer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from howdah.embedded import Server
    from tests.fixtures.database import Database

TASKS = """
from howdah import Context, Howdah

app = Howdah()

@app.task
async def note(ctx: Context, what: str) -> str:
    await ctx.connection.execute("insert into effect values ($1)", what)
    return what
"""


@pytest.fixture
def pooled_empty(cluster: Server, empty_database: Database, data_folder: Path) -> Iterator[str]:
    """The DSN of a pooler in front of an empty database."""
    uid = cluster.home.stat().st_uid
    with pgbouncer(data_folder.parent / "pgbouncer", uid, empty_database.dsn, PLAIN) as dsn:
        yield dsn


def test_a_database_is_migrated_through_it_and_then_up_to_date(pooled_empty: str) -> None:
    assert run("migrate", "--check", dsn=pooled_empty).code == 1
    assert run("migrate", dsn=pooled_empty).code == 0
    assert run("migrate", "--check", dsn=pooled_empty).code == 0


def test_jobs_are_published_looked_at_and_controlled(pooled: str) -> None:
    (job_id,) = run("publish", "report.build", "7", dsn=pooled).lines
    assert run("show", job_id, "--json", dsn=pooled).json["state"] == "ready"
    assert "no worker" in run("why", job_id, dsn=pooled).out
    assert run("list", "--json", dsn=pooled).json[0]["job_id"] == job_id
    assert run("cancel", job_id, dsn=pooled).code == 0
    assert run("wait", job_id, dsn=pooled).code == 1
    assert run("retry", job_id, dsn=pooled).code == 0
    assert run("delete", job_id, dsn=pooled).code == 0
    assert run("queue", "pause", "mail", dsn=pooled).code == 0
    assert run("queue", "list", "--json", dsn=pooled).code == 0
    assert run("prune", dsn=pooled).code == 0
    assert run("stats", dsn=pooled).code == 0
    assert run("workers", dsn=pooled).code == 1  # nobody is there
    assert run("fsck", dsn=pooled).code == 0


def test_several_worker_processes_end_when_all_is_done(
    pooled: str, live_database: Database, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(TASKS)
    with psycopg.connect(live_database.dsn, autocommit=True) as connection:
        connection.execute("create table effect (what text)")
        connection.execute(
            "select jobs.publish('shop.note', jsonb_build_object('args', array[n::text]))"
            " from generate_series(1, 40) n"
        )
        arguments = ("worker", "--app", "shop:app", "--burst", "--processes", "2")
        answer = run(*arguments, dsn=pooled, cwd=tmp_path, PYTHONPATH=str(tmp_path))
        assert answer.code == 0, answer.err
        found = connection.execute("select count(*), count(distinct what) from effect").fetchone()
        assert found == (40, 40), answer.err
        assert connection.execute(
            "select state::text, count(*) from howdah.finished group by 1"
        ).fetchall() == [("succeeded", 40)]
