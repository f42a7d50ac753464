"""First numbers: what one worker drains, what one publisher publishes, how fast an idle worker starts.

    python bench/first_numbers.py [--jobs 200000]

On the embedded server, durable as users have it, in a database of its own that is dropped afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from howdah import Howdah, embedded
from howdah.migrate import migrate

DATABASE = f"first_numbers_{os.getpid()}"
STARTED: dict[str, float] = {}

app = Howdah(os.environ.get("FIRST_NUMBERS_DSN", ""))


@app.task
async def nothing() -> None:
    """Do nothing."""


@app.task
async def when() -> float:
    """Return the moment of the start, by the machine's own clock."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def machine() -> str:
    """Describe the machine in one line."""
    cpus = os.cpu_count()
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
    return (
        f"{cpus} CPUs ({model}), {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def start_worker(dsn: str, *, burst: bool) -> subprocess.Popen[bytes]:
    """Start one worker process on the tasks of this file."""
    code = (
        "import sys; sys.path.insert(0, 'bench'); import first_numbers; "
        "from howdah.worker import Worker, WorkerOptions; "
        f"sys.exit(Worker(first_numbers.app, WorkerOptions(burst={burst}, concurrency=CONCURRENCY)).main())"
    ).replace("CONCURRENCY", os.environ.get("CONCURRENCY", "10"))
    return subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "FIRST_NUMBERS_DSN": dsn})


async def publish(jobs: int) -> float:
    """Publish jobs in batches of 10,000; return jobs per second."""
    task = app.tasks.get("first_numbers.nothing")
    assert task is not None
    began = time.perf_counter()
    for _ in range(jobs // 10_000):
        await task.publish_many([()] * 10_000)
    return jobs / (time.perf_counter() - began)


async def publish_twice(jobs: int) -> float:
    """Publish the same in bulk from two callers at once; return jobs per second of both."""
    began = time.perf_counter()
    await asyncio.gather(publish(jobs // 2), publish(jobs // 2))
    return jobs / (time.perf_counter() - began)


async def one_by_one(jobs: int) -> float:
    """Publish jobs one after the other; return jobs per second."""
    began = time.perf_counter()
    for _ in range(jobs):
        await app.publish("first_numbers.nothing")
    return jobs / (time.perf_counter() - began)


def drain(dsn: str, jobs: int) -> float:
    """Let one worker process run everything; return jobs per second, its start included."""
    began = time.perf_counter()
    worker = start_worker(dsn, burst=True)
    worker.wait()
    return jobs / (time.perf_counter() - began)


async def latencies(dsn: str, jobs: int) -> list[float]:
    """Publish to an idle worker, one at a time; return milliseconds from publish to start."""
    worker = start_worker(dsn, burst=False)
    try:
        await (await app.publish("first_numbers.when")).result(30)
        found = []
        for _ in range(jobs):
            await asyncio.sleep(0.03)
            before = time.clock_gettime(time.CLOCK_MONOTONIC)
            job = await app.publish("first_numbers.when")
            found.append(((await job.result(10)) - before) * 1000)
        return found
    finally:
        worker.terminate()
        worker.wait()


async def measure(dsn: str, jobs: int) -> None:
    """Measure everything and print it."""
    app.use(dsn)
    async with app:
        print(f"publish_many   {await publish(jobs):>10,.0f} jobs/s")
        print(f"two callers    {await publish_twice(jobs):>10,.0f} jobs/s")
        print(f"publish        {await one_by_one(2000):>10,.0f} jobs/s")
        drained = await asyncio.to_thread(drain, dsn, 2 * jobs + 2000)
        print(f"drain          {drained:>10,.0f} jobs/s (start-up included)")
        found = sorted(await latencies(dsn, 200))
        print(f"idle publish-to-start  p50 {statistics.median(found):.2f} ms, p99 {found[-2]:.2f} ms")


def main() -> None:
    """Measure on a server and database of our own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=200_000)
    jobs = parser.parse_args().jobs
    print(machine())
    with embedded.acquire() as server:
        dsn = server.ensure_database(DATABASE)
        migrate(dsn)
        try:
            asyncio.run(measure(dsn, jobs))
        finally:
            drop(server)


def drop(server: embedded.Server) -> None:
    """Drop the database."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(DATABASE)))


if __name__ == "__main__":
    sys.modules["first_numbers"] = sys.modules["__main__"]
    main()
