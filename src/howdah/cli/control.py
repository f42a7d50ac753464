"""`howdah cancel · retry · delete · prune`: change jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from howdah.cli import options
from howdah.cli.age import parse_age
from howdah.cli.database import ask, session
from howdah.cli.output import print_json

if TYPE_CHECKING:
    from howdah.calls import Call
    from howdah.models import ChangedJob


@click.command("cancel", epilog=options.example("howdah cancel 42 --reason 'ordered twice'"))
@click.argument("job_id", metavar="ID")
@click.option("--reason", help="Why; stored with the job.")
@options.as_json
@options.dsn
def cancel_command(job_id: str, reason: str | None, dsn: str | None, as_json: bool) -> None:
    """Cancel a job that waits, ask a running one to stop; a finished one stays as it is."""
    from howdah import calls

    _change(dsn, calls.cancel(job_id, reason), as_json)


@click.command("retry", epilog=options.example("howdah retry 42"))
@click.argument("job_id", metavar="ID")
@options.as_json
@options.dsn
def retry_command(job_id: str, dsn: str | None, as_json: bool) -> None:
    """Run a finished job again with all its attempts, or a waiting one now."""
    from howdah import calls

    _change(dsn, calls.retry(job_id), as_json)


@click.command("delete", epilog=options.example("howdah delete 42"))
@click.argument("job_id", metavar="ID")
@click.option("--force", is_flag=True, help="Also while it runs.")
@options.as_json
@options.dsn
def delete_command(job_id: str, force: bool, dsn: str | None, as_json: bool) -> None:
    """Delete a job with everything known about it."""
    from howdah import calls

    _change(dsn, calls.delete(job_id, force=force), as_json)


def _change(dsn: str | None, call: Call[ChangedJob], as_json: bool) -> None:
    changed = ask(dsn, call)
    if as_json:
        print_json(changed)
    else:
        click.echo(f"{changed.job_id} {changed.state}")


@click.command("prune", epilog=options.example("howdah prune --older-than 7d"))
@click.option("--older-than", metavar="AGE", help="90s, 15m, 12h, 7d, 4w …  [default: each job's own ttl]")
@options.as_json
@options.dsn
def prune_command(older_than: str | None, dsn: str | None, as_json: bool) -> None:
    """Delete finished jobs whose time is over, and print how many."""
    from howdah import calls

    age = None if older_than is None else parse_age(older_than, "--older-than")
    pruned = 0
    with session(dsn) as opened:
        # One call deletes a bounded number, so that no transaction is long.
        while found := opened.ask(calls.prune(age)):
            pruned += found
    if as_json:
        print_json({"pruned": pruned})
    else:
        click.echo(str(pruned))
