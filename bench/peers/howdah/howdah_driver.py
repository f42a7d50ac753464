"""Howdah as its own users use it: the public client, and the public command as the worker."""

from __future__ import annotations

import os
from typing import Any

from driver import Driver, main
from driver import moment as write_moment

from howdah import Context, Howdah, Retry, calls

_KEYS = 1000

app = Howdah(os.environ.get("BENCH_DSN"))


@app.task
async def nothing() -> None:
    """Do nothing."""


@app.task
async def moment(published: float) -> None:
    """Write down when it starts."""
    write_moment(published)


@app.task
async def mixed(retries: bool, ctx: Context) -> Retry | None:
    """Ask for one retry, or not."""
    return Retry(delay=1) if retries and ctx.attempt == 1 else None


@app.task
async def kilobyte() -> str:
    """Return a result of 1 KB."""
    return "x" * 1000


@app.task
async def takes(body: str) -> None:
    """Take an argument and do nothing."""


@app.task(concurrency_key="key {number}")
async def numbered(number: int) -> None:
    """Do nothing, one of each number after the other."""


@app.task
async def writes(ctx: Context) -> None:
    """Use the transaction that commits together with the completion."""
    await ctx.connection.execute("select 1")


class HowdahDriver(Driver):
    """Everything through the app and its tasks."""

    async def setup(self) -> None:
        """Migrate."""
        from howdah.migrate import migrate

        migrate(os.environ["BENCH_DSN"])

    async def open(self, connections: int) -> None:
        """Connect."""
        await app.__aenter__()

    async def close(self) -> None:
        """Disconnect."""
        await app.__aexit__(None, None, None)

    async def publish(self) -> None:
        """Publish a job without arguments."""
        await nothing.publish()

    async def publish_bulk(self, jobs: int) -> None:
        """Publish jobs in one statement."""
        await nothing.publish_many([()] * jobs)

    async def publish_moment(self, now: float) -> None:
        """Publish a job with the time in it."""
        await moment.publish(now)

    async def publish_mixed(self, retries: bool, delay: float) -> None:
        """Publish one job, perhaps for later."""
        await (mixed.options(delay=delay) if delay else mixed).publish(retries)

    async def publish_feature(self, name: str, jobs: int) -> None:
        """Publish jobs in bulk, what differs between them in turn."""
        match name:
            case "plain":
                await _in_turn([nothing], [()], jobs)
            case "results":
                await _in_turn([kilobyte], [()], jobs)
            case "bodies":
                await _in_turn([takes], [("x" * 10_000,)], jobs)
            case "priorities":
                await _in_turn([nothing.options(priority=number) for number in range(10)], [()], jobs)
            case "queues":
                await _in_turn([nothing.options(queue=f"queue{number}") for number in range(50)], [()], jobs)
            case "connection":
                await _in_turn([writes], [()], jobs)
            case _:
                await self._publish_under_limits(name, jobs)

    async def _publish_under_limits(self, name: str, jobs: int) -> None:
        tasks: list[Any] = [nothing]
        match name:
            case "keys":
                for _ in range(jobs // _KEYS):
                    await numbered.publish_many([(number,) for number in range(_KEYS)])
                return
            case "limit elsewhere":
                await app.execute(calls.set_queue("other", max_running=1))
            case "limit":
                await app.execute(calls.set_queue("default", max_running=1_000_000))
            case "tenants":
                tasks = [nothing.options(tenant=f"tenant{number}") for number in range(10)]
        await _in_turn(tasks, [()], jobs)


async def _in_turn(tasks: list[Any], arguments: list[tuple[Any, ...]], jobs: int) -> None:
    share = 500
    for number in range(jobs // share):
        await tasks[number % len(tasks)].publish_many(arguments * share)


if __name__ == "__main__":
    main(HowdahDriver())
