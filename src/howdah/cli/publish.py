"""`howdah publish`."""

from __future__ import annotations

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
)


def _json(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"no JSON: {error}") from None


def _json_object(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> dict[str, Any] | None:
    value = _json(context, parameter, text)
    if value is not None and not isinstance(value, dict):
        raise click.BadParameter("must be a JSON object")
    return value


def argument(text: str) -> Any:
    """Return an argument: what its JSON stands for, else the text itself.

    >>> argument("42"), argument("[1, 2]"), argument("ru")
    (42, [1, 2], 'ru')
    """
    try:
        return json.loads(text)
    except ValueError:
        return text


@click.command("publish", epilog=options.example(*EXAMPLES))
@click.argument("task")
@click.argument("arguments", metavar="[ARG]...", nargs=-1)
@click.option("--kwargs", metavar="JSON", callback=_json_object, help="Keyword arguments, as a JSON object.")
@click.option("--queue", help="The queue.  [default: the task's, else 'default']")
@click.option("--priority", type=int, help="Larger runs first.  [default: the task's, else 0]")
@click.option("--delay", type=float, metavar="SECONDS", help="Run it so many seconds from now.")
@click.option("--timeout", type=float, metavar="SECONDS", help="How long a run may take.")
@click.option("--max-retries", type=int, metavar="N", help="Attempts after the first.")
@click.option("--ttl", type=float, metavar="SECONDS", help="Do not start it later than that.")
@click.option("--key", help="Your own id; while a job has it, nothing more is published under it.")
@click.option("--headers", metavar="JSON", callback=_json_object, help="Headers, as a JSON object.")
@options.as_json
@options.dsn
def publish_command(
    task: str,
    arguments: tuple[str, ...],
    kwargs: dict[str, Any] | None,
    dsn: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Publish one job and print its id.

    An ARG is taken as JSON where it is JSON, else as text; after -- it may begin with a dash.
    """
    job = _publish(dsn, task, [argument(text) for text in arguments], kwargs or {}, given)
    if as_json:
        print_json(job)
    else:
        click.echo(job.job_id)


def _publish(
    dsn: str | None, task: str, args: list[Any], kwargs: dict[str, Any], given: dict[str, Any]
) -> PublishedJob:
    from howdah import calls
    from howdah import json as checked_json
    from howdah.cli.database import ask
    from howdah.models import TaskOptions

    body = {name: value for name, value in (("args", args), ("kwargs", kwargs)) if value}
    document = checked_json.document(body, field="body") if body else None
    return ask(dsn, calls.publish(task, document, **TaskOptions(**given).given()))
