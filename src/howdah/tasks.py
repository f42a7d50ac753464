"""Tasks: functions that can be published."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from functools import cached_property, update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypedDict, TypeVar, Unpack, overload

from howdah.errors import ConfigurationError
from howdah.models import TaskDescription, TaskOptions
from howdah.naming import check_name, task_name
from howdah.parameters import Parameters
from howdah.portal import run_sync

if TYPE_CHECKING:
    import datetime

    from howdah.app import Howdah
    from howdah.context import Context
    from howdah.job import Job
    from howdah.retry import Backoff

__all__ = ["DefaultOptions", "PublishOptions", "Task", "TaskDecorator", "Tasks"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Function = Callable[P, R]


class DefaultOptions(TypedDict, total=False):
    """What `@app.task(…)` takes: the options of every job of the task. Durations: seconds or timedelta."""

    queue: str
    max_retries: int
    timeout: float | datetime.timedelta
    priority: int
    backoff: Backoff
    ttl: float | datetime.timedelta
    result_ttl: float | datetime.timedelta
    failure_ttl: float | datetime.timedelta


class PublishOptions(DefaultOptions, total=False):
    """What `.options(…)` takes: the options of the jobs published next."""

    delay: float | datetime.timedelta
    scheduled_at: datetime.datetime
    key: str
    headers: Mapping[str, Any]
    meta: Any


class Task(Generic[P, R]):
    """A function that can be published, and called as before.

    Made by `@app.task` and `@tasks.task`. `name` is what jobs call it; `function` is the function itself.
    """

    def __init__(
        self,
        function: Callable[..., R],
        *,
        name: str | None = None,
        options: TaskOptions | None = None,
        app: Howdah | None = None,
        connection: Any = None,
    ) -> None:
        if not callable(function):
            raise ConfigurationError(f"{function!r} is not a function", field="task")
        self.function = function
        self.name = check_name(name) if name is not None else task_name(function)
        self.defaults = options or TaskOptions()
        self.defaults.given()  # refuses what cannot be, where it is written
        self.app = app
        self._connection = connection
        self.is_coroutine = inspect.iscoroutinefunction(function)
        update_wrapper(self, function)

    def __repr__(self) -> str:
        return f"Task({self.name!r})"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now."""
        return self.function(*args, **kwargs)

    @cached_property
    def parameters(self) -> Parameters:
        """How the function takes a body's arguments."""
        return Parameters(self.function)

    @property
    def returns(self) -> Any:
        """The annotation of the result."""
        return self.parameters.returns

    @property
    def description(self) -> TaskDescription:
        """What a worker tells the database about the task."""
        return TaskDescription(self.name, self.defaults, str(self.parameters))

    def options(self, *, connection: Any = None, **options: Unpack[PublishOptions]) -> Task[P, R]:
        """Return the task with other options for what is published next.

        `connection`: publish inside that connection's transaction. Raises `InvalidInput`.

        >>> from howdah import Howdah
        >>> @Howdah().task
        ... def sweep() -> None: ...
        >>> sweep.options(delay=60, priority=5).defaults.delay
        60
        """
        return Task(
            self.function,
            name=self.name,
            options=self.defaults.merged(_task_options(options)),
            app=self.app,
            connection=connection if connection is not None else self._connection,
        )

    @overload
    async def publish(self: Task[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> Job[T]: ...
    @overload
    async def publish(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    @overload
    async def publish(self, *args: Any, connection: Any, **kwargs: Any) -> Job[Any]: ...
    async def publish(self, *args: Any, **kwargs: Any) -> Job[Any]:
        """Publish a job that calls the function with these arguments.

        `connection=` publishes inside that connection's transaction (a parameter of the function that has
        this name comes first: use `.options(connection=…)` then).
        Raises `InvalidInput`, `DatabaseUnavailable`, and TypeError for arguments the function does not take.
        """
        connection = self._taken_connection(kwargs)
        self.parameters.check(args, kwargs)
        return await self._home().publish_task(self, args, kwargs, connection=connection)

    @overload
    def publish_sync(self: Task[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> Job[T]: ...
    @overload
    def publish_sync(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    def publish_sync(self, *args: Any, **kwargs: Any) -> Job[Any]:
        """Do what `publish` does, from code without an event loop."""
        self.parameters.check(args, kwargs)
        return run_sync("publish", lambda: self._home().publish_task(self, args, kwargs, connection=None))

    async def publish_many(
        self, arguments: Sequence[Sequence[Any] | Mapping[str, Any]], *, connection: Any = None
    ) -> list[Job[Any]]:
        """Publish one job for each element, all or none, in one statement.

        An element is a sequence of positional arguments or a mapping of keyword arguments.
        Raises `InvalidInput`, `DatabaseUnavailable`.
        """
        return await self._home().publish_task_many(
            self, arguments, connection=connection if connection is not None else self._connection
        )

    def publish_many_sync(self, arguments: Sequence[Sequence[Any] | Mapping[str, Any]]) -> list[Job[Any]]:
        """Do what `publish_many` does, from code without an event loop."""
        return run_sync("publish_many", lambda: self.publish_many(arguments))

    def _taken_connection(self, kwargs: dict[str, Any]) -> Any:
        if "connection" in kwargs and not self.parameters.takes("connection"):
            return kwargs.pop("connection")
        return self._connection

    def _home(self) -> Howdah:
        if self.app is None:
            raise ConfigurationError(f"task {self.name} belongs to no app yet", hint="app.include(tasks)")
        return self.app


def _task_options(options: Mapping[str, Any]) -> TaskOptions:
    try:
        return TaskOptions(**options)
    except TypeError:
        unknown = next(name for name in options if name not in TaskOptions.__dataclass_fields__)
        raise TypeError(f"{unknown!r} is not an option of a job") from None


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
    ) -> _Decorator: ...
    def task(self, *function: Any, name: str | None = None, **options: Any) -> Any:
        """Make a function a task, with or without options for its jobs.

        Durations are seconds or a timedelta. Raises `InvalidInput` for an option that cannot be,
        `ConfigurationError` for a name that is taken.

        >>> from howdah import Howdah
        >>> app = Howdah()
        >>> @app.task(queue="mail", max_retries=5)
        ... async def send(address: str) -> None: ...
        >>> send.defaults.queue
        'mail'
        """

        def decorate(function: Callable[..., Any]) -> Task[..., Any]:
            task: Task[..., Any] = Task(function, name=name, options=_task_options(options))
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
