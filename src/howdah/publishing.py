"""What a publish is made of: the task, its options, the jobs' bodies; and the handles that come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from howdah import calls, json
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
    body = json.Document(json.encode_body(args, kwargs).decode())
    return calls.publish(task.name, body, **task.defaults.given())


def many_call(
    task: Definition[..., Any], arguments: Sequence[Sequence[Any] | Mapping[str, Any]]
) -> Call[list[PublishedJob]]:
    """Return the call that publishes one job for each element. Raises `InvalidInput`."""
    entry = {"task": task.name, **_plain(task.defaults.given())}
    return calls.publish_many(json.many(entry, arguments))


def handle(app: Any, task: Definition[..., Any], answer: PublishedJob) -> Job[Any]:
    """Return the handle on a job that was published."""
    return handles(app, task, [answer])[0]


def handles(app: Any, task: Definition[..., Any], answers: Sequence[PublishedJob]) -> list[Job[Any]]:
    """Return the handles on jobs that were published."""
    home = cast("Howdah", app)
    returns = task.returns
    return [Job(home, a.job_id, id=a.id, created=a.created, returns=returns) for a in answers]


def _unknown(*args: Any, **kwargs: Any) -> Any:
    raise NotImplementedError("only the task's name is known here")


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    checked = dict(options)
    if "headers" in checked:
        checked["headers"] = msgspec.Raw(
            json.encode(checked["headers"], field="headers", limit=json.HEADERS_LIMIT)
        )
    if "meta" in checked:
        checked["meta"] = msgspec.Raw(json.encode(checked["meta"], field="meta"))
    return checked
