"""`howdah migrate`: the schemas."""

from __future__ import annotations

import sys

import click

from howdah.cli import options
from howdah.cli.database import database
from howdah.cli.output import print_json


@click.command(
    "migrate",
    epilog=options.example("howdah migrate postgresql://localhost/shop", "howdah migrate --print"),
)
@click.argument("dsn_argument", metavar="[DSN]", required=False)
@click.option("--print", "as_script", is_flag=True, help="Print the SQL of a new installation; run nothing.")
@click.option("--check", is_flag=True, help="Change nothing; exit code 1 if an upgrade is due.")
@options.as_json
@options.dsn
def migrate_command(
    dsn_argument: str | None, dsn: str | None, as_script: bool, check: bool, as_json: bool
) -> None:
    """Create the schemas, or upgrade them; what is there already stays."""
    if as_script and (check or as_json):
        raise click.UsageError("--print goes with neither --check nor --json")
    if as_script:
        from howdah.migrate import script

        click.echo(script())
        return
    with database(dsn_argument or dsn) as found:
        if check:
            _check(found, as_json)
        else:
            apply(found, as_json=as_json)


def apply(dsn: str, *, as_json: bool = False) -> None:
    """Migrate the database and say what was applied."""
    from howdah.migrate import migrate

    applied = migrate(dsn)
    if as_json:
        print_json({"applied": applied})
        return
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("up to date")


def _check(dsn: str, as_json: bool) -> None:
    from howdah.migrate import pending

    due = pending(dsn)
    if as_json:
        print_json({"due": due})
    else:
        for name in due:
            click.echo(f"due {name}")
        click.echo("run: howdah migrate" if due else "up to date")
    sys.exit(bool(due))
