"""`howdah publish`."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any

import click

from howdah.cli import options
from howdah.cli.output import print_json

if TYPE_CHECKING:
    from howdah.models import PublishedJob

EXAMPLES = (
    'howdah publish shop.mails.send_welcome 42 --kwargs \'{"locale": "ru"}\'',
    "howdah publish report --queue slow --delay 3600 --key report-2026-01",
    "howdah publish cleanup --depends-on report-2026-01 --allow-failure",
)


def _json(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"no JSON: {error}") from None


def _json_object(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> dict[str, Any] | None:
    value = _json(context, parameter, text)
    if value is not None and not isinstance(value, dict):
        raise click.BadParameter("must be a JSON object")
    return value


def _moment(context: click.Context, parameter: click.Parameter, text: str | None) -> datetime.datetime | None:
    """A moment without a zone is one of this machine's zone."""
    if text is None:
        return None
    try:
        return datetime.datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{text!r} is no moment such as 2026-01-31T09:00+01:00") from None


def _delays(context: click.Context, parameter: click.Parameter, text: str | None) -> list[float] | None:
    try:
        return None if text is None else [float(delay) for delay in text.split(",")]
    except ValueError:
        raise click.BadParameter(f"{text!r} is no list of seconds such as 5,60,600") from None


def _labels(context: click.Context, parameter: click.Parameter, text: str | None) -> list[str] | None:
    return None if text is None else [label.strip() for label in text.split(",") if label.strip()]


def _choice(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    return {None: None, "true": True, "false": False}.get(text, text.split(",") if text else [])


def argument(text: str) -> Any:
    """Return an argument: what its JSON stands for, else the text itself.

    >>> argument("42"), argument("[1, 2]"), argument("ru")
    (42, [1, 2], 'ru')
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


@click.command("publish", epilog=options.example(*EXAMPLES))
@click.argument("task")
@click.argument("arguments", metavar="[ARG]...", nargs=-1)
@click.option("--kwargs", metavar="JSON", callback=_json_object, help="Keyword arguments, as a JSON object.")
@click.option("--body", metavar="JSON", callback=_json, help="Any JSON as the body, instead of arguments.")
@click.option("--queue", help="The queue.  [default: the task's, else 'default']")
@click.option("--priority", type=int, help="Larger runs first.  [default: the task's, else 0]")
@click.option("--delay", type=float, metavar="SECONDS", help="Run it so many seconds from now.")
@click.option(
    "--scheduled-at", metavar="MOMENT", callback=_moment, help="Run it then: ISO 8601; local without a zone."
)
@click.option("--timeout", type=float, metavar="SECONDS", help="How long a run may take.")
@click.option("--max-retries", type=int, metavar="N", help="Attempts after the first.")
@click.option(
    "--backoff", metavar="SECONDS,…", callback=_delays, help="Pauses before the retries; the last repeats."
)
@click.option("--ttl", type=float, metavar="SECONDS", help="Do not start it later than that.")
@click.option("--result-ttl", type=float, metavar="SECONDS", help="How long a success is kept.")
@click.option("--failure-ttl", type=float, metavar="SECONDS", help="How long any other end is kept.")
@click.option("--key", help="Your own id; while a job has it, nothing more is published under it.")
@click.option("--concurrency-key", metavar="KEY", help="Share the slots of this key with its other jobs.")
@click.option("--concurrency-limit", type=int, metavar="N", help="How many slots that key has.  [default: 1]")
@click.option("--slots", type=int, metavar="N", help="How many slots of its limits it takes.  [default: 1]")
@click.option("--at-front", is_flag=True, default=None, help="Before every priority.")
@click.option("--tenant", metavar="NAME", help="Whose job it is: tenants of a queue take turns.")
@click.option("--requires", metavar="A,B", callback=_labels, help="Only for workers with these labels.")
@click.option("--unique-key", metavar="KEY", help="While a job holds it, see --unique-mode.")
@click.option(
    "--unique",
    metavar="NAMES",
    callback=_choice,
    help="A unique key made of these arguments; true: of all; false: none.",
)
@click.option(
    "--unique-mode",
    type=click.Choice(["skip", "replace", "merge", "reject"]),
    help="What happens while another job holds the key.  [default: skip, which prints that job's id]",
)
@click.option(
    "--unique-until", type=click.Choice(["waiting", "started", "finished"]), help="How long a job holds it."
)
@click.option("--unique-for", type=float, metavar="SECONDS", help="A job holds it for so long in any case.")
@click.option("--headers", metavar="JSON", callback=_json_object, help="Headers, as a JSON object.")
@click.option("--meta", metavar="JSON", callback=_json, help="Anything else you want to find at the job.")
@click.option(
    "--depends-on", metavar="ID", multiple=True, help="Run it when that job has succeeded; repeatable."
)
@click.option(
    "--allow-failure", is_flag=True, default=None, help="With --depends-on: however that job has ended."
)
@options.as_json
@options.dsn
def publish_command(
    task: str,
    arguments: tuple[str, ...],
    kwargs: dict[str, Any] | None,
    body: Any,
    dsn: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Publish one job and print its id.

    An ARG is taken as JSON where it is JSON, else as text; after -- it may begin with a dash.
    """
    given["depends_on"] = given["depends_on"] or None
    if body is not None and (arguments or kwargs):
        raise click.UsageError("--body excludes arguments and --kwargs")
    if body is None:
        body = _body_of([argument(text) for text in arguments], kwargs or {})
    job = _publish(dsn, task, body, given)
    if as_json:
        print_json(job)
    else:
        click.echo(job.job_id)


def _body_of(args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any] | None:
    return {name: value for name, value in (("args", args), ("kwargs", kwargs)) if value} or None


def _publish(dsn: str | None, task: str, body: Any, given: dict[str, Any]) -> PublishedJob:
    from howdah import calls
    from howdah import json as checked_json
    from howdah.cli.database import ask
    from howdah.models import TaskOptions

    document = None if body is None else checked_json.document(body, field="body")
    return ask(dsn, calls.publish(task, document, **TaskOptions(**given).given()))
