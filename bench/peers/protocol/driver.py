"""The protocol between the benchmark and a peer in Python: `driver.py COMMAND` in the peer's own environment.

    setup                          make tables, register what must be registered
    publish SECONDS CALLERS        publish for so long, one at a time in each of so many coroutines
    bulk JOBS                      publish in the peer's fastest way
    moments JOBS SECONDS           publish a job with the time in it, every so many seconds
    mixed SECONDS CALLERS          publish from so many coroutines, for so long: one job in 20 asks for a
                                   retry after a second when it first runs, one in 10 is due a second later
    feature NAME JOBS              publish jobs that use a feature, for the drivers that know any
    worker                         run jobs until SIGTERM

A figure is a line of JSON: {"jobs": 1000, "seconds": 0.2}. The time of connecting and of starting is not in
it. A job of `moments` writes when it was published and when it started to the file $BENCH_MOMENTS. The store
is $BENCH_DSN. Every peer runs the same code here but for the methods of its own driver.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

DSN = os.environ.get("BENCH_DSN", "")


class Driver:
    """What a peer's driver overrides."""

    # uvloop, asyncio, or None for peers without coroutines
    loop: str | None = "uvloop"
    in_bulk = 10_000

    async def setup(self) -> None:
        """Make what the store needs."""

    async def open(self, connections: int) -> None:
        """Connect, as a publisher does."""

    async def close(self) -> None:
        """Disconnect."""

    async def publish(self) -> None:
        """Publish one job that does nothing."""
        raise NotImplementedError

    async def publish_bulk(self, jobs: int) -> None:
        """Publish so many jobs that do nothing."""
        raise NotImplementedError

    async def publish_moment(self, now: float) -> None:
        """Publish one job that calls `moment(now)`."""
        raise NotImplementedError

    async def publish_mixed(self, retries: bool, delay: float) -> None:
        """Publish one job that asks for one retry after a second, or not, due after so many seconds."""
        raise NotImplementedError

    async def publish_feature(self, name: str, jobs: int) -> None:
        """Publish jobs that use a feature."""
        raise NotImplementedError

    def work(self) -> None:
        """Run jobs until SIGTERM."""
        raise NotImplementedError


_moments: int | None = None


def moment(published: float) -> None:
    """Write when a job was published and when it started, by the machine's own clock."""
    global _moments
    started = time.monotonic()
    if _moments is None:
        _moments = os.open(os.environ["BENCH_MOMENTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(_moments, b"%.6f %.6f\n" % (published, started))


def tell(jobs: int, seconds: float) -> None:
    """Print a figure."""
    print(json.dumps({"jobs": jobs, "seconds": seconds}), flush=True)


async def _publish(driver: Driver, seconds: float, callers: int) -> None:
    await asyncio.gather(*(driver.publish() for _ in range(callers)))
    began = time.perf_counter()
    published = 0

    async def call() -> None:
        nonlocal published
        while time.perf_counter() - began < seconds:
            await driver.publish()
            published += 1

    await asyncio.gather(*(call() for _ in range(callers)))
    tell(published, time.perf_counter() - began)


async def _bulk(driver: Driver, jobs: int) -> None:
    began = time.perf_counter()
    for start in range(0, jobs, driver.in_bulk):
        await driver.publish_bulk(min(driver.in_bulk, jobs - start))
    tell(jobs, time.perf_counter() - began)


async def _moments_at_a_pace(driver: Driver, jobs: int, pause: float) -> None:
    # Connecting, which some peers do by their first publish, is no latency.
    await driver.publish()
    began = time.perf_counter()
    for number in range(jobs):
        await asyncio.sleep(max(0.0, began + number * pause - time.perf_counter()))
        await driver.publish_moment(time.monotonic())
    tell(jobs, time.perf_counter() - began)


async def _mixed(driver: Driver, seconds: float, callers: int) -> None:
    began = time.perf_counter()
    published = 0

    async def call() -> None:
        nonlocal published
        while time.perf_counter() - began < seconds:
            published += 1
            await driver.publish_mixed(published % 20 == 0, 1.0 if published % 10 == 5 else 0.0)

    await asyncio.gather(*(call() for _ in range(callers)))
    tell(published, time.perf_counter() - began)


async def _feature(driver: Driver, name: str, jobs: int) -> None:
    began = time.perf_counter()
    await driver.publish_feature(name, jobs)
    tell(jobs, time.perf_counter() - began)


async def _act(driver: Driver, command: str, given: list[str]) -> None:
    if command == "setup":
        await driver.setup()
        return
    await driver.open(int(given[1]) if command in ("publish", "mixed") else 1)
    try:
        match command, given:
            case "publish", [seconds, callers]:
                await _publish(driver, float(seconds), int(callers))
            case "bulk", [jobs]:
                await _bulk(driver, int(jobs))
            case "moments", [jobs, pause]:
                await _moments_at_a_pace(driver, int(jobs), float(pause))
            case "mixed", [seconds, callers]:
                await _mixed(driver, float(seconds), int(callers))
            case "feature", [name, jobs]:
                await _feature(driver, name, int(jobs))
            case _:
                sys.exit(f"no such command: {command} {given}")
    finally:
        await driver.close()


def run(coroutine: Any, loop: str | None) -> None:
    """Run a coroutine in the loop that the peer's docs recommend."""
    if loop == "uvloop":
        import uvloop

        uvloop.run(coroutine)
    else:
        asyncio.run(coroutine)


def main(driver: Driver) -> None:
    """Obey the command line."""
    command, *given = sys.argv[1:]
    if command == "worker":
        driver.work()
    else:
        run(_act(driver, command, given), driver.loop)
