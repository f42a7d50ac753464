"""With the configuration that the page about PgBouncer shows, clients and a worker go through it."""

from __future__ import annotations

import configparser
from typing import TYPE_CHECKING

import psycopg
import pytest

from howdah import Howdah
from howdah.settings import Settings
from tests.cli.command import run
from tests.docs.blocks import ROOT, blocks_of
from tests.fixtures.pgbouncer import pgbouncer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from howdah.embedded import Server
    from tests.fixtures.database import Database


@pytest.fixture
def shown(cluster: Server, live_database: Database, data_folder: Path) -> Iterator[str]:
    """The DSN of a PgBouncer with the page's configuration, in front of the test's database."""
    (block,) = (block for block in blocks_of(ROOT / "docs/how-to/pgbouncer.md") if block.language == "ini")
    ini = configparser.ConfigParser(interpolation=None)
    ini.read_string(block.text)
    settings = {**ini["pgbouncer"], "default_pool_size": "2"}
    folder = data_folder.parent / "shown"
    with pgbouncer(folder, cluster.home.stat().st_uid, live_database.dsn, settings) as dsn:
        yield dsn


async def test_the_configuration_of_the_page_serves_clients(shown: str) -> None:
    async with Howdah(shown, settings=Settings()) as app:
        job = await app.publish("report.build", 7)
        assert await job.status() == "ready"


def test_the_configuration_of_the_page_serves_the_sync_methods(shown: str) -> None:
    with Howdah(shown, settings=Settings()) as app:
        assert app.publish_sync("report.build").status_sync() == "ready"


def test_the_configuration_of_the_page_keeps_options_that_are_ignored_from_being_refused(shown: str) -> None:
    with psycopg.connect(shown, options="-c default_transaction_isolation=serializable") as connection:
        row = connection.execute("show default_transaction_isolation").fetchone()
    assert row == ("read committed",)


def test_the_configuration_of_the_page_serves_a_worker(shown: str) -> None:
    (job_id,) = run("publish", "howdah.bench.tasks.nothing", dsn=shown).lines
    assert run("worker", "--burst", "--allow", "howdah.bench", dsn=shown).code == 0
    assert run("show", job_id, "--json", dsn=shown).json["state"] == "succeeded"
