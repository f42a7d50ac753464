"""What a task is, apart from being published."""

from __future__ import annotations

import inspect
from collections.abc import Hashable
from functools import cached_property, lru_cache, update_wrapper
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypedDict, TypeVar, Unpack

from howdah.errors import ConfigurationError, InvalidInput
from howdah.models import TaskDescription, TaskOptions
from howdah.naming import check_name, task_name
from howdah.parameters import Parameters
from howdah.retry import seconds

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Self

    from howdah.app import Howdah
    from howdah.handle import JobHandle
    from howdah.models import UniqueMode, UniqueUntil
    from howdah.retry import Backoff

__all__ = ["DefaultOptions", "Definition", "Isolation", "PublishOptions", "task_options"]

Isolation = Literal["process"]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


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
    requires: Sequence[str]
    concurrency_key: str
    concurrency_limit: int
    slots: int
    unique: bool | str | Sequence[str]
    unique_mode: UniqueMode
    unique_until: UniqueUntil
    unique_for: float | datetime.timedelta


class PublishOptions(DefaultOptions, total=False):
    """What `.options(…)` takes: the options of the jobs published next."""

    delay: float | datetime.timedelta
    scheduled_at: datetime.datetime
    key: str
    unique_key: str
    headers: Mapping[str, Any]
    meta: Any
    at_front: bool
    tenant: str
    depends_on: JobHandle[Any] | int | str | Iterable[JobHandle[Any] | int | str]
    allow_failure: bool


@lru_cache(maxsize=1024)
def _parameters_of(function: Callable[..., Any]) -> Parameters:
    # `options(…)` makes a definition at every publish; to inspect the function each time costs 0.2 ms.
    return Parameters(function)


class Definition(Generic[P, R_co]):
    """A function with a name and options for its jobs."""

    def __init__(
        self,
        function: Callable[..., R_co],
        *,
        name: str | None = None,
        options: TaskOptions | None = None,
        app: Howdah | None = None,
        connection: Any = None,
        isolation: Isolation | None = None,
        soft_timeout: float | datetime.timedelta | None = None,
    ) -> None:
        if not callable(function):
            raise ConfigurationError(f"{function!r} is not a function", field="task")
        self.isolation: Isolation | None = _isolation(function, isolation)
        self.soft_timeout: float | None = _soft_timeout(isolation, soft_timeout)
        self.function = function
        self.name: str = check_name(name) if name is not None else task_name(function)
        self.defaults: TaskOptions = options or TaskOptions()
        self.app: Howdah | None = app
        self.connection: Any = connection
        self.is_coroutine: bool = inspect.iscoroutinefunction(function)
        self.given()  # refuses what cannot be, where it is written
        update_wrapper(self, function)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function here and now."""
        return self.function(*args, **kwargs)

    @cached_property
    def parameters(self) -> Parameters:
        """How the function takes a body's arguments."""
        if isinstance(self.function, Hashable):
            return _parameters_of(self.function)
        return Parameters(self.function)

    @property
    def returns(self) -> Any:
        """The annotation of the result."""
        return self.parameters.returns

    @property
    def description(self) -> TaskDescription:
        """What a worker tells the database about the task."""
        chosen = TaskOptions(unique=self.given().get("unique"))
        return TaskDescription(self.name, self.defaults.merged(chosen), str(self.parameters))

    def given(self) -> dict[str, Any]:
        """Return the options that its jobs were given, as the database takes them."""
        options = self.defaults.given()
        if "unique" in options:
            options["unique"] = self.parameters.choice(options["unique"])
        return options

    def options(self, *, connection: Any = None, **options: Unpack[PublishOptions]) -> Self:
        """Return the task with other options for what is published next.

        `connection`: publish inside that connection's transaction. Raises `InvalidInput`.

        >>> from howdah import Howdah
        >>> @Howdah().task
        ... def sweep() -> None: ...
        >>> sweep.options(delay=60, priority=5).defaults.delay
        60
        """
        return type(self)(
            self.function,
            name=self.name,
            options=self.defaults.merged(task_options(options)),
            app=self.app,
            connection=connection if connection is not None else self.connection,
            isolation=self.isolation,
            soft_timeout=self.soft_timeout,
        )

    def _taken_connection(self, kwargs: dict[str, Any]) -> Any:
        if "connection" in kwargs and not self.parameters.takes("connection"):
            return kwargs.pop("connection")
        return self.connection

    def _home(self) -> Howdah:
        if self.app is None:
            raise ConfigurationError(f"task {self.name} belongs to no app yet", hint="app.include(tasks)")
        return self.app


def _isolation(function: Callable[..., Any], isolation: Isolation | None) -> Isolation | None:
    if isolation not in (None, "process"):
        raise ConfigurationError(f"isolation is 'process' or not given, not {isolation!r}", field="isolation")
    name = getattr(function, "__qualname__", "<none>")
    if isolation is not None and "<" in name:
        raise ConfigurationError(
            f"{function!r} cannot run in a process of its own: that must be able to import it",
            field="isolation",
            hint="define it at the top level of a module",
        )
    return isolation


def _soft_timeout(
    isolation: Isolation | None, soft_timeout: float | datetime.timedelta | None
) -> float | None:
    if soft_timeout is None:
        return None
    if isolation is None:
        raise ConfigurationError("soft_timeout needs isolation='process'", field="soft_timeout")
    given = seconds(soft_timeout, field="soft_timeout")
    if given <= 0:
        raise InvalidInput(f"soft_timeout must be greater than 0, not {soft_timeout!r}", field="soft_timeout")
    return given


def task_options(options: Mapping[str, Any]) -> TaskOptions:
    """Return options as they were written. Raises TypeError for one that does not exist."""
    try:
        return TaskOptions(**options)
    except TypeError:
        unknown = next(name for name in options if name not in TaskOptions.__dataclass_fields__)
        raise TypeError(f"{unknown!r} is not an option of a job") from None
