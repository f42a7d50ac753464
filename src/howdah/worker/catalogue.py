"""The tasks a worker knows: those of its app, and functions of allowed packages, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from howdah.errors import TaskNotAllowed
from howdah.imports import import_function
from howdah.parameters import arguments_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from howdah.executors import Executor
    from howdah.models import ClaimedJob, TaskDescription
    from howdah.parameters import Parameters
    from howdah.tasks import Task, Tasks

__all__ = ["Catalogue", "Runnable", "UnknownTask", "WrongArguments"]


class UnknownTask(Exception):
    """The job's task is not known here; the text says why."""


class WrongArguments(Exception):
    """The job's body does not fit the task; the text says where."""


@dataclass(frozen=True, slots=True)
class Runnable:
    """A task with the executor that was chosen for it."""

    function: Callable[..., Any]
    parameters: Parameters
    executor: Executor

    def arguments(self, job: ClaimedJob) -> tuple[list[Any], dict[str, Any]]:
        """Decode a job's arguments. Raises `WrongArguments`."""
        args, kwargs = arguments_in(job.body)
        try:
            return self.parameters.bind(args, kwargs)
        except (TypeError, ValueError, RecursionError) as error:
            raise WrongArguments(str(error)) from error


class Catalogue:
    """Finds what runs a job, and remembers it."""

    def __init__(
        self,
        tasks: Tasks,
        allow: Sequence[str],
        *,
        coroutine: Executor,
        thread: Executor,
        process: Callable[[Task[..., Any]], Executor],
        alone: Callable[[Task[..., Any]], Executor | None],
    ) -> None:
        self._tasks = tasks
        self._allow = tuple(allow)
        self._coroutine = coroutine
        self._thread = thread
        self._process = process
        self._alone = alone
        self._found: dict[str, Runnable] = {}

    def descriptions(self) -> list[TaskDescription]:
        """Return what the database shall know about the registered tasks."""
        return [task.description for task in self._tasks]

    def find(self, name: str, *, alone: bool = False) -> Runnable:
        """Return what runs the task of this name; `alone`: if possible in a process of its own.

        Raises `UnknownTask`.
        """
        if alone:
            return self._runnable(self._named(name), alone=True)
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = self._runnable(self._named(name))
        return found

    def _named(self, name: str) -> Task[..., Any]:
        return self._tasks.get(name) or self._imported(name)

    def _imported(self, name: str) -> Task[..., Any]:
        try:
            return import_function(name, self._allow)
        except TaskNotAllowed as error:
            raise UnknownTask(error.message) from error

    def _runnable(self, task: Task[..., Any], *, alone: bool = False) -> Runnable:
        if task.isolation == "process":
            return Runnable(task.function, task.parameters, self._process(task))
        if alone and (own := self._alone(task)) is not None:
            return Runnable(task.function, task.parameters, own)
        executor = self._coroutine if task.is_coroutine else self._thread
        return Runnable(task.function, task.parameters, executor)
