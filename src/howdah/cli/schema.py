"""`howdah migrate`: the schemas."""

from __future__ import annotations

import sys

import click

from howdah.cli import options
from howdah.cli.database import database


@click.command(
    "migrate",
    epilog=options.example("howdah migrate postgresql://localhost/shop", "howdah migrate --print"),
)
@click.argument("dsn_argument", metavar="[DSN]", required=False)
@click.option("--print", "as_script", is_flag=True, help="Print the SQL of a new installation; run nothing.")
@click.option("--check", is_flag=True, help="Change nothing; exit code 1 if an upgrade is due.")
@options.dsn
def migrate_command(dsn_argument: str | None, dsn: str | None, as_script: bool, check: bool) -> None:
    """Create the schemas, or upgrade them; what is there already stays."""
    if as_script and check:
        raise click.UsageError("--print and --check exclude each other")
    if as_script:
        from howdah.migrate import script

        click.echo(script())
        return
    with database(dsn_argument or dsn) as found:
        if check:
            _check(found)
        else:
            apply(found)


def apply(dsn: str) -> None:
    """Migrate the database and say what was applied."""
    from howdah.migrate import migrate

    applied = migrate(dsn)
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("up to date")


def _check(dsn: str) -> None:
    from howdah.migrate import pending

    due = pending(dsn)
    for name in due:
        click.echo(f"due {name}")
    click.echo("run: howdah migrate" if due else "up to date")
    sys.exit(bool(due))
