"""A pooler that is pointed at the promoted standby: the connections of its clients stay open meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from howdah import DatabaseUnavailable, Howdah
from howdah.settings import Settings
from tests.failover.test_failover import result_of
from tests.fixtures.pgbouncer import PLAIN, pgbouncer
from tests.worker.conftest import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures.replica import Pair
    from tests.worker.conftest import Start

LONG = 60


async def test_a_worker_goes_on_behind_a_pooler_that_is_pointed_at_the_new_primary(
    pair: Pair, data_folder: Path, start: Start
) -> None:
    folder = data_folder.parent / "pointed"
    settings = {**PLAIN, "server_login_retry": "1", "pidfile": str(folder / "pid")}
    with pgbouncer(folder, pair.primary.account.uid, pair.primary.dsn(), settings) as dsn:
        app = Howdah(dsn, settings=Settings())

        async def double(number: int) -> int:
            return 2 * number

        task = app.task()(double)
        worker = await start(app, lease=20)
        assert await (await task.publish(1)).result(timeout=LONG) == 2
        await asyncio.to_thread(pair.part)
        lost = await task.publish(2)
        assert await lost.result(timeout=LONG) == 4
        number = worker.worker_id
        await asyncio.to_thread(pair.fail_over)
        ini = folder / "pgbouncer.ini"
        ini.write_text(ini.read_text().replace(f"port={pair.primary.port}", f"port={pair.standby.port}"))
        os.kill(int((folder / "pid").read_text()), signal.SIGHUP)

        async def published() -> str | None:
            try:
                return (await task.publish(3)).job_id
            except DatabaseUnavailable:
                return None

        job_id = await eventually(published, LONG)
        assert await result_of(app, job_id) == "succeeded"
        assert worker.worker_id == number
        assert int(job_id) > int(lost.job_id)
        await app.close()
