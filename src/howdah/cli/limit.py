"""`howdah limit list · task · key`, and what `howdah queue limit` shares with them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from howdah.cli import options
from howdah.cli.age import parse_age
from howdah.cli.database import ask
from howdah.cli.output import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from howdah.calls import Call

NONE = -1
_COLUMNS = ("kind", "name", "max_running", "rate", "per", "slots_taken", "waiting", "opens_at")
_RATE = re.compile(r"(?P<rate>\d+)/(?P<per>.+)")
_UNITS = {"s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "day": 86400.0}


def parse_number(text: str, option: str) -> int:
    """Return a limit; -1 for `none`.

    >>> parse_number("5", "--max-running"), parse_number("none", "--max-running")
    (5, -1)
    """
    if text == "none":
        return NONE
    if not text.isdecimal():
        raise click.UsageError(f"{option}: {text!r} is not a number; give a number, or none")
    return int(text)


def parse_rate(text: str) -> tuple[int, float | None]:
    """Return a rate and the seconds of its interval.

    >>> parse_rate("100/min"), parse_rate("5/10s"), parse_rate("none")
    ((100, 60.0), (5, 10.0), (-1, None))
    """
    if text == "none":
        return NONE, None
    found = _RATE.fullmatch(text)
    if found is None:
        raise click.UsageError(f"--rate: {text!r} is not a rate; give 100/min, 5/10s, or none")
    per = found["per"]
    return int(found["rate"]), _UNITS[per] if per in _UNITS else parse_age(per, "--rate").total_seconds()


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a limit."""
    command = click.option(
        "--rate", metavar="N/INTERVAL|none", help="Start so many in any interval: 100/min, 5/10s."
    )(command)
    return click.option("--max-running", metavar="N|none", help="Take so many slots at once.")(command)


def parsed(max_running: str | None, rate: str | None) -> dict[str, Any]:
    """Return the limits that were given, as the database takes them."""
    given: dict[str, Any] = {}
    if max_running is not None:
        given["max_running"] = parse_number(max_running, "--max-running")
    if rate is not None:
        given["rate"], given["per"] = parse_rate(rate)
    return given


def set_limit(
    dsn: str | None, as_json: bool, what: dict[str, str], call: Call[None], given: dict[str, Any]
) -> None:
    """Set it and say so."""
    ask(dsn, call)
    if as_json:
        print_json(what | given)
    else:
        said = ", ".join(
            f"{name} {'none' if value in (None, NONE) else value}" for name, value in given.items()
        )
        click.echo(f"{' '.join(what.values())}: {said}")


@click.group(
    "limit",
    epilog=options.example(
        "howdah limit task mail.send --rate 100/min", "howdah limit key customer-7 --max-running 2"
    ),
)
def limit_command() -> None:
    """Limit tasks and concurrency keys; queues: howdah queue limit."""


@limit_command.command("list", epilog=options.example("howdah limit list --json"))
@options.as_json
@options.dsn
def list_limits(dsn: str | None, as_json: bool) -> None:
    """Show the limits that have been set, and the concurrency keys in use.

    waiting: jobs that the limit holds back; those of a full queue stay ready.
    """
    from howdah import calls

    limits = ask(dsn, calls.list_limits())
    if as_json:
        print_json(limits)
    else:
        print_table(_COLUMNS, ([limit[name] for name in _COLUMNS] for limit in limits))


@limit_command.command(
    "task", epilog=options.example("howdah limit task mail.send --max-running 5 --rate 100/min")
)
@click.argument("task")
@limit_options
@options.as_json
@options.dsn
def limit_task(task: str, max_running: str | None, rate: str | None, dsn: str | None, as_json: bool) -> None:
    """Limit what runs of a task at once, and how often its jobs start, over all workers and queues.

    What is not given stays as it is; none removes a limit.
    """
    from howdah import calls

    given = required(parsed(max_running, rate))
    set_limit(dsn, as_json, {"task": task}, calls.set_task(task, **given), given)


@limit_command.command("key", epilog=options.example("howdah limit key customer-7 --max-running 2"))
@click.argument("key")
@limit_options
@options.as_json
@options.dsn
def limit_key(key: str, max_running: str | None, rate: str | None, dsn: str | None, as_json: bool) -> None:
    """Limit the jobs of a concurrency key, whatever they say themselves.

    What is not given stays as it is; none removes a limit.
    """
    from howdah import calls

    given = required(parsed(max_running, rate))
    set_limit(dsn, as_json, {"key": key}, calls.set_key(key, **given), given)


def required(given: dict[str, Any]) -> dict[str, Any]:
    """Return the limits if there are any. Raises a usage error else."""
    if not given:
        raise click.UsageError("give --max-running, --rate or both")
    return given
