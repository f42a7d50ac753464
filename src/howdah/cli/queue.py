"""`howdah queue list · pause · resume · limit · keep · purge`."""

from __future__ import annotations

import click

from howdah.cli import options
from howdah.cli.age import parse_age
from howdah.cli.database import ask, session
from howdah.cli.limit import limit_options, parse_number, parsed, set_limit
from howdah.cli.output import print_json, print_table

_COLUMNS = ("queue", "ready", "running", "waiting", "paused_at", "reason")


@click.group(
    "queue", epilog=options.example("howdah queue list", "howdah queue pause mail --reason 'SMTP is down'")
)
def queue_command() -> None:
    """Look at queues, pause, resume, limit and empty them."""


@queue_command.command("list", epilog=options.example("howdah queue list --json"))
@options.as_json
@options.dsn
def list_queues(dsn: str | None, as_json: bool) -> None:
    """Show the queues that hold unfinished jobs or are paused.

    waiting: jobs that are scheduled or blocked.
    """
    from howdah import calls

    queues = ask(dsn, calls.list_queues())
    if as_json:
        print_json(queues)
    else:
        print_table(_COLUMNS, ([queue[name] for name in _COLUMNS] for queue in queues))


@queue_command.command("pause", epilog=options.example("howdah queue pause mail --reason 'SMTP is down'"))
@click.argument("queue")
@click.option("--reason", help="Why; `howdah why` repeats it.")
@options.as_json
@options.dsn
def pause(queue: str, reason: str | None, dsn: str | None, as_json: bool) -> None:
    """Start no more jobs of a queue; running ones go on. The queue need not exist yet."""
    from howdah import calls

    ask(dsn, calls.pause_queue(queue, reason))
    _say(as_json, queue, paused=True)


@queue_command.command("resume", epilog=options.example("howdah queue resume mail"))
@click.argument("queue")
@options.as_json
@options.dsn
def resume(queue: str, dsn: str | None, as_json: bool) -> None:
    """Start jobs of a paused queue again."""
    from howdah import calls

    ask(dsn, calls.resume_queue(queue))
    _say(as_json, queue, paused=False)


@queue_command.command(
    "limit",
    epilog=options.example("howdah queue limit mail --max-running 5 --rate 100/min --max-waiting 10000"),
)
@click.argument("queue")
@limit_options
@click.option("--max-waiting", metavar="N|none", help="Refuse to publish while so many wait.")
@options.as_json
@options.dsn
def limit(
    queue: str,
    max_running: str | None,
    rate: str | None,
    max_waiting: str | None,
    dsn: str | None,
    as_json: bool,
) -> None:
    """Limit what runs of a queue at once, how often its jobs start, and how many may wait.

    Over all workers, from now on. What is not given stays as it is; none removes a limit.
    """
    from howdah import calls

    given = parsed(max_running, rate)
    if max_waiting is not None:
        given["max_waiting"] = parse_number(max_waiting, "--max-waiting")
    if not given:
        raise click.UsageError("give --max-running, --rate or --max-waiting")
    set_limit(dsn, as_json, {"queue": queue}, calls.set_queue(queue, **given), given)


@queue_command.command(
    "keep", epilog=options.example("howdah queue keep mail --successes 12h --failures forever")
)
@click.argument("queue")
@click.option("--successes", metavar="AGE", help="Keep what succeeded for so long.  [default: 7d]")
@click.option(
    "--failures", metavar="AGE", help="Keep what failed or was cancelled for so long.  [default: 30d]"
)
@options.as_json
@options.dsn
def keep(queue: str, successes: str | None, failures: str | None, dsn: str | None, as_json: bool) -> None:
    """Set how long finished jobs of a queue are kept, those that have ended before included.

    AGE: 90s, 15m, 12h, 7d, 4w or forever. What is not given stays as it is; a time that a job or its task
    names comes first.
    """
    from howdah import calls

    if successes is None and failures is None:
        raise click.UsageError("give --successes, --failures or both")
    result_ttl, failure_ttl = _kept(successes, "--successes"), _kept(failures, "--failures")
    ask(dsn, calls.set_queue(queue, result_ttl=result_ttl, failure_ttl=failure_ttl))
    if as_json:
        print_json({"queue": queue, "successes": successes, "failures": failures})
    else:
        given = {"successes": successes, "failures": failures}
        click.echo(f"{queue} keeps " + ", ".join(f"{what} {age}" for what, age in given.items() if age))


def _kept(age: str | None, option: str) -> float | None:
    match age:
        case None:
            return None
        case "forever":
            return -1
        case _:
            return parse_age(age, option).total_seconds()


def _say(as_json: bool, queue: str, *, paused: bool) -> None:
    if as_json:
        print_json({"queue": queue, "paused": paused})
    else:
        click.echo(f"{queue} {'paused' if paused else 'resumed'}")


@queue_command.command(
    "ageing", epilog=options.example("howdah queue ageing mail 10m", "howdah queue ageing mail never")
)
@click.argument("queue")
@click.argument("age")
@options.as_json
@options.dsn
def ageing(queue: str, age: str, dsn: str | None, as_json: bool) -> None:
    """Let a job that has waited for AGE go before every higher priority.

    AGE: 90s, 15m, 12h, 7d or never.
    """
    from howdah import calls

    seconds = -1.0 if age == "never" else parse_age(age, "AGE").total_seconds()
    ask(dsn, calls.set_queue(queue, ageing=seconds))
    if as_json:
        print_json({"queue": queue, "ageing": None if age == "never" else seconds})
    else:
        click.echo(f"{queue}: jobs go first after {age}")


@queue_command.command("purge", epilog=options.example("howdah queue purge mail"))
@click.argument("queue")
@options.as_json
@options.dsn
def purge(queue: str, dsn: str | None, as_json: bool) -> None:
    """Delete the waiting jobs of a queue and print how many; running ones go on."""
    from howdah import calls

    purged = 0
    with session(dsn) as opened:
        # One call deletes a bounded number, so that no transaction is long.
        while found := opened.ask(calls.purge_queue(queue)):
            purged += found
    if as_json:
        print_json({"queue": queue, "purged": purged})
    else:
        click.echo(str(purged))
