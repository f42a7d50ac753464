"""Tasks: functions that can be published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, overload

from howdah._async.task import AsyncTask
from howdah._sync.task import SyncTask
from howdah.definition import DefaultOptions, PublishOptions, task_options
from howdah.errors import ConfigurationError

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Iterator, Sequence

    from howdah.context import Context
    from howdah.definition import Isolation
    from howdah.models import UniqueMode, UniqueUntil
    from howdah.retry import Backoff

__all__ = ["DefaultOptions", "PublishOptions", "Task", "TaskDecorator", "Tasks"]

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Task(AsyncTask[P, R_co], SyncTask[P, R_co]):
    """A function that can be published, and called as before.

    Made by `@app.task` and `@tasks.task`. `name` is what jobs call it; `function` is the function itself.
    """


class TaskDecorator:
    """What `Howdah` and `Tasks` have in common: the decorator."""

    def register(self, task: Task[..., Any]) -> None:
        """Make the task known."""
        raise NotImplementedError

    @overload
    def task(self, function: Callable[Concatenate[Context, P], R], /) -> Task[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        self,
        *,
        name: str | None = None,
        queue: str | None = None,
        max_retries: int | None = None,
        timeout: float | datetime.timedelta | None = None,
        priority: int | None = None,
        backoff: Backoff | None = None,
        ttl: float | datetime.timedelta | None = None,
        result_ttl: float | datetime.timedelta | None = None,
        failure_ttl: float | datetime.timedelta | None = None,
        requires: Sequence[str] | None = None,
        concurrency_key: str | None = None,
        concurrency_limit: int | None = None,
        slots: int | None = None,
        unique: bool | str | Sequence[str] | None = None,
        unique_mode: UniqueMode | None = None,
        unique_until: UniqueUntil | None = None,
        unique_for: float | datetime.timedelta | None = None,
        isolation: Isolation | None = None,
        soft_timeout: float | datetime.timedelta | None = None,
    ) -> _Decorator: ...
    def task(
        self,
        *function: Any,
        name: str | None = None,
        isolation: Isolation | None = None,
        soft_timeout: float | datetime.timedelta | None = None,
        **options: Any,
    ) -> Any:
        """Make a function a task, with or without options for its jobs.

        Durations are seconds or a timedelta. `isolation="process"`: a worker runs it in a process of its own,
        which is killed when it does not end in time or on request; after `soft_timeout` the function gets a
        `TimedOut`. A `concurrency_key` may name arguments: "customer {customer}". Raises `InvalidInput` for
        an option that cannot be, `ConfigurationError` for a name that is taken, and for a function that no
        other process could import.

        >>> from howdah import Howdah
        >>> app = Howdah()
        >>> @app.task(queue="mail", max_retries=5)
        ... async def send(address: str) -> None: ...
        >>> send.defaults.queue
        'mail'
        """

        def decorate(function: Callable[..., Any]) -> Task[..., Any]:
            task: Task[..., Any] = Task(
                function,
                name=name,
                options=task_options(options),
                isolation=isolation,
                soft_timeout=soft_timeout,
            )
            self.register(task)
            return task

        return decorate(*function) if function else decorate


class _Decorator:
    """The type of `task(queue=…)`: it never exists at run time, a plain function takes its place."""

    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...
    def __call__(self, function: Any, /) -> Any:
        raise NotImplementedError


class Tasks(TaskDecorator):
    """Tasks of a library that knows no app; `app.include(tasks)` makes them the app's.

    >>> tasks = Tasks()
    >>> @tasks.task
    ... def resize(path: str) -> None: ...
    >>> [task.name.rpartition(".")[2] for task in tasks]
    ['resize']
    """

    def __init__(self) -> None:
        self._tasks: dict[str, Task[..., Any]] = {}

    def register(self, task: Task[..., Any]) -> None:
        """Add a task. Raises `ConfigurationError` when another function has its name."""
        known = self._tasks.get(task.name)
        if known is not None and not _same(known.function, task.function):
            raise ConfigurationError(
                f"two tasks are called {task.name}", field="task", hint="give one a name="
            )
        self._tasks[task.name] = task

    def get(self, name: str) -> Task[..., Any] | None:
        """Return the task of this name, if there is one."""
        return self._tasks.get(name)

    def __iter__(self) -> Iterator[Task[..., Any]]:
        return iter(self._tasks.values())

    def __len__(self) -> int:
        return len(self._tasks)


def _same(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    # A module that is imported twice (as __main__ and by its name, or reloaded) defines its tasks twice.
    code, other_code = getattr(one, "__code__", None), getattr(other, "__code__", None)
    if code is None or other_code is None:
        return one is other
    return (code.co_filename, code.co_firstlineno) == (other_code.co_filename, other_code.co_firstlineno)
