"""What the page about PgBouncer says goes through a transaction pooler, goes through one."""

from __future__ import annotations

import asyncio
import configparser
import os
import pwd
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

import asyncpg
import psycopg
import pytest

from howdah import Howdah
from howdah.settings import Settings
from tests.docs.blocks import ROOT, blocks_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from howdah.embedded import Server
    from tests.fixtures.database import Database

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")


@pytest.fixture
def pooled(cluster: Server, live_database: Database, data_folder: Path) -> Iterator[str]:
    """The DSN of a PgBouncer with the page's configuration, in front of the test's database."""
    (block,) = (block for block in blocks_of(ROOT / "docs/how-to/pgbouncer.md") if block.language == "ini")
    ini = configparser.ConfigParser(interpolation=None)
    ini.read_string(block.text)
    given = {name: str(value) for name, value in psycopg.conninfo.conninfo_to_dict(live_database.dsn).items()}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = data_folder.parent / "pgbouncer"
    folder.mkdir()
    ini["databases"] = {
        live_database.name: f"host={given['host']} port={given['port']} dbname={live_database.name}"
    }
    own = {
        "listen_port": str(port),
        "auth_file": str(folder / "users.txt"),
        "default_pool_size": "2",
        "unix_socket_dir": "",
        "user": pwd.getpwuid(cluster.home.stat().st_uid).pw_name,
    }
    ini["pgbouncer"] = {**ini["pgbouncer"], **own}
    (folder / "users.txt").write_text(f'"{given["user"]}" "{given["password"]}"\n')
    with (folder / "pgbouncer.ini").open("w") as file:
        ini.write(file)
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, cluster.home.stat().st_uid, -1)
    with subprocess.Popen(
        [str(PROGRAM), folder / "pgbouncer.ini"], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = next((line for line in process.stderr if "process up" in line), None)
        try:
            assert said is not None, "PgBouncer did not start"
            yield f"postgresql://{given['user']}:{given['password']}@127.0.0.1:{port}/{live_database.name}"
        finally:
            process.kill()


async def test_the_psycopg_driver_publishes_and_looks_through_a_transaction_pooler(pooled: str) -> None:
    async with Howdah(pooled, driver="psycopg", settings=Settings()) as app:
        jobs = await asyncio.gather(*(app.publish("report.build", number) for number in range(40)))
        assert {await job.status() for job in jobs} == {"ready"}


def test_the_sync_methods_publish_and_look_through_a_transaction_pooler(pooled: str) -> None:
    with Howdah(pooled, settings=Settings()) as app:
        jobs = [app.publish_sync("report.build", number) for number in range(20)]
        assert {job.status_sync() for job in jobs} == {"ready"}


async def test_a_transaction_of_asyncpg_publishes_through_a_transaction_pooler(pooled: str) -> None:
    async with Howdah(pooled, driver="psycopg", settings=Settings()) as app:
        connection = await asyncpg.connect(pooled, statement_cache_size=0)
        async with connection.transaction():
            job = await app.publish("report.build", connection=connection)
        await connection.close()
        assert await job.status() == "ready"


def test_plain_sql_consumes_through_a_transaction_pooler(pooled: str) -> None:
    with psycopg.connect(pooled, autocommit=True, prepare_threshold=None) as connection:
        connection.execute("select jobs.publish('report.build')")
        for (job_id,) in connection.execute("select job_id from jobs.consume(10)").fetchall():
            connection.execute("select jobs.ack(%s)", [job_id])
        assert connection.execute("select status from jobs.job").fetchall() == [("success",)]
