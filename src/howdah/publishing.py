"""What a publish is made of: the task, its options, the jobs' bodies; and the handles that come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from howdah import calls, json
from howdah.errors import InvalidInput
from howdah.job import Job
from howdah.naming import check_name, task_name
from howdah.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from howdah.app import Howdah
    from howdah.calls import Call
    from howdah.definition import Definition
    from howdah.models import PublishedJob
    from howdah.tasks import Tasks

__all__ = ["handle", "many_call", "one_call", "task_of"]


def task_of(app: Any, tasks: Tasks, given: str | Callable[..., Any] | Definition[..., Any]) -> Task[..., Any]:
    """Return the task for a name, a function or a task. Raises `InvalidInput`."""
    if isinstance(given, Task):
        return given
    name = check_name(given) if isinstance(given, str) else task_name(given)
    known = tasks.get(name)
    if known is not None:
        return known
    return Task(_unknown if isinstance(given, str) else given, name=name, app=app)


def one_call(
    task: Definition[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Call[PublishedJob]:
    """Return the call that publishes one job. Raises `InvalidInput`."""
    options = task.given()
    if options.get("unique_mode") == "merge":  # lists are joined by place: an argument has one
        args, kwargs = task.parameters.in_place(args, kwargs)
    if "{" in options.get("concurrency_key", ""):
        options["concurrency_key"] = task.parameters.filled(options["concurrency_key"], args, kwargs)
    body = json.Document(json.encode_body(args, kwargs).decode())
    return calls.publish(task.name, body, **options)


def many_call(
    task: Definition[..., Any], arguments: Sequence[Sequence[Any] | Mapping[str, Any]]
) -> Call[list[int]] | Call[list[PublishedJob]]:
    """Return the call that publishes one job for each element. Raises `InvalidInput`."""
    options = task.given()
    if "key" in options:
        raise InvalidInput("a key names one job: publish jobs with keys one by one", field="key")
    differ = "{" in options.get("concurrency_key", "")
    if differ or not options.keys().isdisjoint(("unique", "unique_key")):  # some may be there already
        return calls.merged([_nth_call(task, position, each) for position, each in enumerate(arguments)])
    if "depends_on" in options:
        return calls.publish_all(task.name, json.bodies(arguments), **options)
    return calls.publish_each(task.name, json.bodies(arguments), **options)


def _nth_call(task: Definition[..., Any], position: int, arguments: Any) -> Call[PublishedJob]:
    try:
        named = json.named(arguments)
        return one_call(task, named.get("args", ()), named.get("kwargs", {}))
    except InvalidInput as error:
        name = f"jobs[{position}]"
        raise InvalidInput(f"{name}: {error.message}", field=name) from None


def handle(app: Any, task: Definition[..., Any], answer: PublishedJob) -> Job[Any]:
    """Return the handle on a job that was published."""
    return Job(cast("Howdah", app), answer.job_id, id=answer.id, created=answer.created, returns=task.returns)


def handles(
    app: Any, task: Definition[..., Any], answers: Sequence[int] | Sequence[PublishedJob]
) -> list[Job[Any]]:
    """Return the handles on jobs: new ones, of which only the numbers are known, or as published."""
    home = cast("Howdah", app)
    returns = task.returns
    return [
        Job(home, str(answer), id=answer, created=True, returns=returns)
        if isinstance(answer, int)
        else handle(app, task, answer)
        for answer in answers
    ]


def _unknown(*args: Any, **kwargs: Any) -> Any:
    raise NotImplementedError("only the task's name is known here")
