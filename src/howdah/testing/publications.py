"""What was published, with which arguments."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from howdah import calls
from howdah.naming import task_name
from howdah.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from howdah.app import Howdah
    from howdah.models import JobRow

__all__ = ["Publication", "published", "published_sync"]

_ALL = 100_000


@dataclass(frozen=True, slots=True)
class Publication:
    """One published job, with its arguments as its task takes them.

    `args`, `kwargs`: as they were published, converted by the task's annotations where the app has the task.
    `job`: everything else, such as `job.queue`, `job.key`, `job.scheduled_at`, `job.state`.
    """

    task: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    job: JobRow


async def published(
    app: Howdah,
    task: str | Callable[..., Any] | Task[..., Any] | None = None,
    *,
    queue: str | None = None,
    state: str | None = None,
) -> list[Publication]:
    """Return what was published and is not deleted, in that order.

    `task`, `queue`, `state`: only the jobs of this task, queue or state. What an open transaction has
    published is not there yet.

    >>> import asyncio
    >>> from howdah import Howdah
    >>> from howdah.testing import databases
    >>> app = Howdah()
    >>> async def sign_up(name: str) -> None:
    ...     await app.publish("shop.mails.welcome", name, kwargs={"locale": "ru"}, queue="mail")
    >>> async def test_sign_up() -> None:
    ...     await sign_up("ann")
    ...     [mail] = await published(app, "shop.mails.welcome")
    ...     assert (mail.args, mail.kwargs) == (("ann",), {"locale": "ru"})
    ...     assert mail.job.queue == "mail"
    >>> with databases() as made, made.fresh() as database:
    ...     app.use(database.dsn)
    ...     asyncio.run(test_sign_up())
    """
    name = None if task is None else _name(task)
    jobs = await app.execute(calls.list_jobs(task=name, queue=queue, state=state, limit=_ALL))
    return _publications(app, jobs, name)


def published_sync(
    app: Howdah,
    task: str | Callable[..., Any] | Task[..., Any] | None = None,
    *,
    queue: str | None = None,
    state: str | None = None,
) -> list[Publication]:
    """Do what `published` does, from code without an event loop."""
    name = None if task is None else _name(task)
    jobs = app.execute_sync(calls.list_jobs(task=name, queue=queue, state=state, limit=_ALL))
    return _publications(app, jobs, name)


def _name(task: str | Callable[..., Any] | Task[..., Any]) -> str:
    if isinstance(task, str):
        return task
    return task.name if isinstance(task, Task) else task_name(task)


def _publications(app: Howdah, jobs: list[JobRow], name: str | None) -> list[Publication]:
    # A name with a % in it is no name of a task, so the one asked for is the one that is meant.
    return [_publication(app, job) for job in reversed(jobs) if name is None or job.task == name]


def _publication(app: Howdah, job: JobRow) -> Publication:
    args, kwargs = _arguments(job.body)
    known = app.tasks.get(job.task)
    if known is not None:
        # What does not fit is shown as it is: a worker will park the job for it.
        with suppress(TypeError, ValueError):
            args, kwargs = known.parameters.bind(args, kwargs)
    return Publication(job.task, tuple(args), kwargs, job)


def _arguments(body: Any) -> tuple[list[Any], dict[str, Any]]:
    if isinstance(body, dict) and set(body) <= {"args", "kwargs"}:
        return body.get("args") or [], body.get("kwargs") or {}
    return [], {}
