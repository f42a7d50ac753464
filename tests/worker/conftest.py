"""A real worker on a real database, in the test's own event loop or in a process of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
import pytest

from howdah import Howdah
from howdah.settings import Settings
from howdah.worker import Worker, WorkerOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tests.fixtures.database import Database


@pytest.fixture
async def app(live_database: Database) -> AsyncIterator[Howdah]:
    app = Howdah(live_database.dsn, settings=Settings())
    yield app
    await app.close()


@pytest.fixture
async def chores(live_database: Database) -> AsyncIterator[Howdah]:
    """The app of tasks with processes of their own, on this test's database."""
    from . import isolated_chores

    isolated_chores.app.use(live_database.dsn)
    yield isolated_chores.app
    isolated_chores.app.middlewares.clear()
    await isolated_chores.app.close()


class Start(Protocol):
    """Starts a worker and returns it once it works."""

    async def __call__(self, own: Howdah | None = None, /, **options: Any) -> Worker: ...


@pytest.fixture
async def start(app: Howdah) -> AsyncIterator[Start]:
    running: list[tuple[Worker, asyncio.Task[None]]] = []

    async def start(own: Howdah | None = None, /, **options: Any) -> Worker:
        worker = Worker(own or app, WorkerOptions(**{"grace": 5, **options}))
        task = asyncio.create_task(worker.run())
        running.append((worker, task))
        began = asyncio.create_task(worker.started.wait())
        await asyncio.wait([task, began], return_when=asyncio.FIRST_COMPLETED)
        began.cancel()
        if task.done():
            await task
        return worker

    yield start
    for worker, _ in running:
        worker.stop_now()
    await asyncio.gather(*(task for _, task in running))
    for worker, _ in running:
        await worker.wait_closed()


@pytest.fixture
def administer(live_database: Database) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Execute a statement as the superuser, from outside."""
    with psycopg.connect(live_database.dsn, autocommit=True) as connection:

        def execute(statement: str, *values: object) -> list[tuple[Any, ...]]:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

        yield execute


async def eventually(holds: Callable[[], Any], seconds: float = 20) -> Any:
    """Wait until something holds that nobody tells us about; fail when it does not in time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        value = holds()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        assert asyncio.get_running_loop().time() < deadline, f"did not happen within {seconds} s"
        await asyncio.sleep(0.01)


class Spawn(Protocol):
    """Starts a process that runs a script with the given tasks."""

    def __call__(self, tasks: str, main: str) -> subprocess.Popen[str]: ...


@pytest.fixture
def spawn(tmp_path: Path, live_database: Database) -> Iterator[Spawn]:
    processes: list[subprocess.Popen[str]] = []

    def spawn(tasks: str, main: str) -> subprocess.Popen[str]:
        head = "import asyncio, os, time\nfrom howdah import *\napp = Howdah()\n"
        (tmp_path / "chores.py").write_text(head + textwrap.dedent(tasks))
        imports = (
            "import chores, os, sys\nfrom howdah.worker import *\n"
            "from howdah.worker.log import set_up_logging\nset_up_logging()\n"
        )
        path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
        process = subprocess.Popen(
            [sys.executable, "-c", imports + textwrap.dedent(main)],
            cwd=tmp_path,
            env={**os.environ, "HOWDAH_DSN": live_database.dsn, "PYTHONPATH": path},
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield spawn
    for process in processes:
        process.kill()
        print(process.communicate()[1])  # noqa: T201 (what it said, in case of a failure)
