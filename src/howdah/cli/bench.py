"""`howdah bench`: the run, its progress and its table."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from howdah.cli import options
from howdah.cli.database import database
from howdah.cli.output import print_json, print_table
from howdah.cli.progress import Progress

if TYPE_CHECKING:
    from howdah.bench.figures import Figures


@click.command("bench", epilog=options.example("howdah bench", "howdah bench --jobs 100000 --json"))
@click.option(
    "--jobs", type=click.IntRange(1, 10_000_000), default=10_000, show_default=True, help="So many."
)
@click.option(
    "--samples", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Latencies measured."
)
@options.as_json
@options.dsn
def bench_command(jobs: int, samples: int, dsn: str | None, as_json: bool) -> None:
    """Publish jobs that do nothing, run them in one worker process, and tell how fast that was.

    It works in a queue of its own and leaves no job behind; other workers of the database are let alone.
    """
    from howdah.bench.bench import measure

    with database(dsn) as found, Progress("jobs") as progress:
        figures = asyncio.run(measure(found, jobs, samples, progress))
    if as_json:
        print_json(figures)
    else:
        _print(figures)


def _print(figures: Figures) -> None:
    latency = figures.latency_ms
    rows = (
        ("publish, one by one", round(figures.publish_per_second), "jobs/s"),
        ("publish, many at once", round(figures.publish_many_per_second), "jobs/s"),
        ("run, one worker process", round(figures.drain_per_second), "jobs/s"),
        ("publish to start, median", round(latency.p50, 2), "ms"),
        ("publish to start, 99 %", round(latency.p99, 2), "ms"),
    )
    print_table(("what", "value", "unit"), rows)
