"""`howdah workers · stats · fsck`: look at the whole system."""

from __future__ import annotations

import sys

import click

from howdah.cli import options
from howdah.cli.database import ask
from howdah.cli.output import print_json, print_table


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
