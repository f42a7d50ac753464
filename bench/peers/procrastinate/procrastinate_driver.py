"""procrastinate on psycopg 3 and uvloop."""

from __future__ import annotations

from driver import DSN, Driver, main, run
from driver import moment as write_moment
from procrastinate import App, PsycopgConnector

app = App(connector=PsycopgConnector(conninfo=DSN, max_size=20))


@app.task(name="nothing")
async def nothing() -> None:
    """Do nothing."""


@app.task(name="moment")
async def moment(published: float) -> None:
    """Write down when it starts."""
    write_moment(published)


async def _work() -> None:
    async with app.open_async():
        await app.run_worker_async(concurrency=10, install_signal_handlers=True)


class ProcrastinateDriver(Driver):
    """Through the app and its tasks."""

    in_bulk = 1_000

    async def setup(self) -> None:
        """Apply the schema."""
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    async def open(self, connections: int) -> None:
        """Connect."""
        await app.open_async()

    async def close(self) -> None:
        """Disconnect."""
        await app.close_async()

    async def publish(self) -> None:
        """Defer one job."""
        await nothing.defer_async()

    async def publish_bulk(self, jobs: int) -> None:
        """Defer jobs by one statement."""
        await nothing.batch_defer_async(*({} for _ in range(jobs)))

    async def publish_moment(self, now: float) -> None:
        """Defer one job with the time in it."""
        await moment.defer_async(published=now)

    def work(self) -> None:
        """Run one worker."""
        run(_work(), "uvloop")


if __name__ == "__main__":
    main(ProcrastinateDriver())
