"""`howdah workers · stats · fsck`: look at the whole system."""

from __future__ import annotations

import sys
from typing import Any

import click

from howdah.cli import options
from howdah.cli.database import ask
from howdah.cli.output import print_json, print_table

_WORKERS = ("worker_id", "name", "host", "pid", "queues", "topic", "tasks", "running", "started_at", "alive")


@click.command("workers", epilog=options.example("howdah workers", "howdah workers > /dev/null || alarm"))
@options.as_json
@options.dsn
def workers_command(dsn: str | None, as_json: bool) -> None:
    """Show the registered workers; exit code 1 when none of them is alive.

    A worker that has not been heard of for longer than its lease is not alive.
    """
    from howdah import calls

    workers = ask(dsn, calls.list_workers())
    alive = any(worker["alive"] for worker in workers)
    if as_json:
        print_json(workers)
    elif workers:
        print_table(_WORKERS, ([_shown(worker, name) for name in _WORKERS] for worker in workers))
    if not alive and not as_json:
        click.echo("no worker is alive", err=True)
    sys.exit(not alive)


def _shown(worker: dict[str, Any], name: str) -> Any:
    if name == "alive":
        return "yes" if worker[name] else "no"
    if name == "queues":
        return ",".join(worker[name]) if worker[name] else "all"
    return worker[name]


@click.command("stats", epilog=options.example("howdah stats --json"))
@options.as_json
@options.dsn
def stats_command(dsn: str | None, as_json: bool) -> None:
    """Show the numbers of the system, one per row."""
    from howdah import calls

    found = ask(dsn, calls.stats())
    if as_json:
        print_json(found)
    else:
        print_table(("name", "queue", "value"), ((one.name, one.queue, f"{one.value:g}") for one in found))


@click.command("fsck", epilog=options.example("howdah fsck"))
@options.as_json
@options.dsn
def fsck_command(dsn: str | None, as_json: bool) -> None:
    """Check the invariants of the stored jobs; exit code 1 when one is violated."""
    from howdah import calls

    violations = ask(dsn, calls.fsck())
    columns = ("violation", "job_id", "detail")
    if as_json:
        print_json(violations)
    elif violations:
        print_table(columns, ([row[name] for name in columns] for row in violations))
    else:
        click.echo("no violations")
    sys.exit(bool(violations))
