"""`howdah show`: one job, and what it logs while it runs."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from howdah.cli import options
from howdah.cli.database import session
from howdah.cli.look import existing
from howdah.cli.output import cell, print_fields, print_json, print_json_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from howdah.cli.database import Session
    from howdah.models import Failure, JobRow, LogLine, Relative

_POLL_SECONDS = 0.1


@click.command("show", epilog=options.example("howdah show 42", "howdah show 42 --follow"))
@click.argument("job_id", metavar="ID")
@click.option(
    "--follow",
    is_flag=True,
    help="Print what the job logs as it comes, until it ends; exit code 1 unless it succeeded.",
)
@options.as_json
@options.dsn
def show_command(job_id: str, follow: bool, dsn: str | None, as_json: bool) -> None:
    """Show everything about one job: its failed attempts and what it logged, too.

    With --follow and --json each log line is a JSON document on a line of its own, and the job is the last.
    """
    if follow:
        _follow(dsn, job_id, as_json)
    else:
        _show(dsn, job_id, as_json)


def _show(dsn: str | None, job_id: str, as_json: bool) -> None:
    from howdah import calls

    with session(dsn) as opened:
        job = existing(opened, job_id)
        failures = opened.ask(calls.failures(job_id))
        relatives = opened.ask(calls.relatives(job_id))
        logs = list(_logged(opened, job_id))
    values = {name: getattr(job, name) for name in type(job).__slots__}
    if as_json:
        print_json({**values, "relatives": relatives, "failures": failures, "logs": logs})
        return
    print_fields((name, value) for name, value in values.items() if value is not None)
    _print_relatives(relatives)
    _print_failures(failures)
    if logs:
        click.echo("\nlog")
    for line in logs:
        _print_line(line)


def _print_relatives(relatives: Sequence[Relative]) -> None:
    if relatives:
        click.echo()
    for one in relatives:
        waits = ", awaited" if one.awaited and one.relation == "parent" else ""
        click.echo(f"{one.relation} {cell(one.job_id)}: {one.state or 'gone'}{waits}")


def _print_failures(failures: Sequence[Failure]) -> None:
    for failure in failures:
        click.echo()
        click.echo(f"attempt {failure.attempt} failed at {failure.at:%Y-%m-%d %H:%M:%S %Z}")
        print_fields([("kind", failure.kind), ("error", failure.error), ("traceback", failure.traceback)])


def _print_line(line: LogLine) -> None:
    click.echo(f"{cell(line.at)} {line.level.upper()} {cell(line.message)}")


def _follow(dsn: str | None, job_id: str, as_json: bool) -> None:
    show: Callable[[LogLine], None] = print_json_line if as_json else _print_line
    with session(dsn) as opened:
        job = _followed(opened, job_id, show)
    if as_json:
        print_json_line(job)
    else:
        click.echo(f"{job.state}: {job.error or job.kind or ''}".rstrip(": "), err=job.state != "succeeded")
    sys.exit(job.state != "succeeded")


def _followed(opened: Session, job_id: str, show: Callable[[LogLine], None]) -> JobRow:
    seen = 0
    while True:
        # The job first: what it logged before its end is there when its end is.
        job = existing(opened, job_id)
        for line in _logged(opened, job_id, seen):
            show(line)
            seen = line.number
        if job.finished:
            return job
        time.sleep(_POLL_SECONDS)


def _logged(opened: Session, job_id: str, after: int = 0) -> Iterator[LogLine]:
    from howdah import calls

    while lines := opened.ask(calls.logs(job_id, after)):
        yield from lines
        after = lines[-1].number
