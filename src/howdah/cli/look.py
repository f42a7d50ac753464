"""`howdah list · why · wait`: look at jobs."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from howdah.cli import options
from howdah.cli.database import ask, session
from howdah.cli.output import cell, print_json, print_table

if TYPE_CHECKING:
    from howdah.cli.database import Session
    from howdah.models import JobRow

STATES = ("blocked", "scheduled", "ready", "running", "succeeded", "failed", "cancelled", "skipped")
_COLUMNS = ("job_id", "state", "task", "queue", "attempt", "created_at", "error")

_POLL_SECONDS = 0.1


@click.command("list", epilog=options.example("howdah list --state failed --limit 20"))
@click.option("--state", type=click.Choice(STATES), help="Only jobs in this state.")
@click.option("--queue", help="Only jobs of this queue.")
@click.option("--task", help="Only jobs of this task.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@options.as_json
@options.dsn
def list_command(dsn: str | None, as_json: bool, limit: int, **filters: str | None) -> None:
    """Show the newest jobs, the newest first."""
    from howdah import calls

    jobs = ask(dsn, calls.list_jobs(limit=limit, **filters))
    if as_json:
        print_json(jobs)
    else:
        print_table(_COLUMNS, ([getattr(job, name) for name in _COLUMNS] for job in jobs))


@click.command("why", epilog=options.example("howdah why 42"))
@click.argument("job_id", metavar="ID")
@options.as_json
@options.dsn
def why_command(job_id: str, dsn: str | None, as_json: bool) -> None:
    """Tell in one sentence why a job is not running."""
    from howdah import calls

    why = ask(dsn, calls.why(job_id))
    if as_json:
        print_json({"job_id": job_id, "why": why})
    else:
        click.echo(cell(why))


@click.command("wait", epilog=options.example("howdah wait 42 --timeout 60"))
@click.argument("job_id", metavar="ID")
@click.option("--timeout", type=click.FloatRange(0), help="Give up after so many seconds.  [default: never]")
@options.as_json
@options.dsn
def wait_command(job_id: str, timeout: float | None, dsn: str | None, as_json: bool) -> None:
    """Wait until a job ends and print its result; exit code 1 unless it succeeded."""
    with session(dsn) as opened:
        job = _finished(opened, job_id, timeout)
    if as_json:
        print_json(job)
    elif job.state == "succeeded":
        print_json(job.result)
    else:
        click.echo(f"{job.state}: {job.error or job.kind or ''}".rstrip(": "), err=True)
    sys.exit(job.state != "succeeded")


def _finished(opened: Session, job_id: str, timeout: float | None) -> JobRow:
    from howdah.errors import ResultTimeout

    deadline = None if timeout is None else time.monotonic() + timeout
    while not (job := existing(opened, job_id)).finished:
        if deadline is not None and time.monotonic() >= deadline:
            raise ResultTimeout(f"job {job_id} did not end within {timeout:g} s")
        time.sleep(_POLL_SECONDS)
    return job


def existing(opened: Session, job_id: str) -> JobRow:
    """Look at a job. Raises JobNotFound."""
    from howdah import calls
    from howdah.errors import JobNotFound

    job = opened.ask(calls.get(job_id))
    if job is None:
        raise JobNotFound(f"there is no job {job_id}")
    return job
