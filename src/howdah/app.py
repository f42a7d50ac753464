"""The app: where tasks are collected, and the one object that publishes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from howdah import calls, drivers, json
from howdah.connect import Connections, Database
from howdah.imports import import_attribute, import_module
from howdah.job import Job
from howdah.naming import check_name, task_name
from howdah.portal import run_sync
from howdah.settings import Settings, load_settings
from howdah.tasks import Task, TaskDecorator, Tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self, Unpack

    from howdah.calls import Call
    from howdah.tasks import PublishOptions

__all__ = ["Howdah", "load_app"]

T = TypeVar("T")


class Howdah(TaskDecorator):
    """Tasks, and the database their jobs live in.

    `dsn`: as libpq takes it; without one $HOWDAH_DSN, else the embedded server; `":temporary:"` is an
    embedded server that leaves nothing behind. `imports`: modules with tasks that a worker imports.
    `allow`: packages whose functions may be run by name. `settings`: instead of reading them.

    It connects on first use, in whatever event loop runs. `async with app:` closes its connections.

    >>> app = Howdah()
    >>> @app.task
    ... async def add(a: int, b: int) -> int:
    ...     return a + b
    >>> add
    Task('howdah.app.add')
    """

    def __init__(
        self,
        dsn: str | None = None,
        *,
        imports: Sequence[str] = (),
        allow: Sequence[str] = (),
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings if settings is not None else load_settings()
        self.imports = (*self.settings.imports, *imports)
        self.allow = (*self.settings.allow, *allow)
        self.tasks = Tasks()
        self.database = Database(dsn, self.settings)
        self._connections = Connections(self.database)

    def register(self, task: Task[..., Any]) -> None:
        """Add a task to the app. Raises `ConfigurationError` when its name is taken."""
        self.tasks.register(task)
        task.app = self

    def use(self, dsn: str) -> None:
        """Use another database from now on, such as the one given on a command line."""
        self.database = Database(dsn, self.settings)
        self._connections = Connections(self.database)

    def include(self, tasks: Tasks) -> None:
        """Add a library's tasks. Raises `ConfigurationError` when a name is taken."""
        for task in tasks:
            self.register(task)

    def import_tasks(self) -> None:
        """Import the modules that hold the app's tasks. Raises `ConfigurationError`."""
        for name in self.imports:
            import_module(name)

    async def execute(self, call: Call[T], *, connection: Any = None) -> T:
        """Execute a call, on the caller's connection when one is given. Raises a `HowdahError`."""
        if connection is not None:
            return await drivers.join(connection).execute(call)
        return await (await self._connections.pool()).execute(call)

    async def publish(
        self,
        task: str | Callable[..., Any] | Task[..., Any],
        *arguments: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        connection: Any = None,
        **options: Unpack[PublishOptions],
    ) -> Job[Any]:
        """Publish one job for a task, a function, or a task's name.

        Positional arguments are given one by one or as `args`, keyword arguments as `kwargs`; the rest are
        the job's options. `connection`: publish inside that connection's transaction.
        Raises `InvalidInput`, `DatabaseUnavailable`.
        """
        found = self._task_of(task).options(**options)
        return await self.publish_task(found, (*arguments, *args), dict(kwargs or {}), connection=connection)

    def publish_sync(
        self,
        task: str | Callable[..., Any] | Task[..., Any],
        *arguments: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[PublishOptions],
    ) -> Job[Any]:
        """Do what `publish` does, from code without an event loop."""
        return run_sync(
            "publish", lambda: self.publish(task, *arguments, args=args, kwargs=kwargs, **options)
        )

    async def publish_task(
        self, task: Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], *, connection: Any = None
    ) -> Job[Any]:
        """Publish one job for a task, with the task's options."""
        body = json.Document(json.encode_body(args, kwargs).decode())
        call = calls.publish(task.name, body, **task.defaults.given())
        answer = await self.execute(call, connection=connection)
        return Job(self, answer.job_id, id=answer.id, created=answer.created, returns=task.returns)

    async def publish_task_many(
        self,
        task: Task[..., Any],
        arguments: Sequence[Sequence[Any] | Mapping[str, Any]],
        *,
        connection: Any = None,
    ) -> list[Job[Any]]:
        """Publish one job for each element, all or none."""
        entry = {"task": task.name, **_plain(task.defaults.given())}
        jobs = json.many(entry, arguments)
        answers = await self.execute(calls.publish_many(jobs), connection=connection)
        returns = task.returns
        return [Job(self, a.job_id, id=a.id, created=a.created, returns=returns) for a in answers]

    def job(self, job_id: str | int) -> Job[Any]:
        """Return a handle on a job by its id, whether or not it exists.

        >>> Howdah().job("welcome-42")
        Job('welcome-42')
        """
        return Job(self, str(job_id))

    async def close(self) -> None:
        """Close the connections of this event loop, and let go of the embedded server."""
        await self._connections.close()
        self.database.release()

    def close_sync(self) -> None:
        """Close the connections of the sync methods, and let go of the embedded server."""
        run_sync("close", self.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _task_of(self, task: str | Callable[..., Any] | Task[..., Any]) -> Task[..., Any]:
        if isinstance(task, Task):
            return task
        name = check_name(task) if isinstance(task, str) else task_name(task)
        known = self.tasks.get(name)
        if known is not None:
            return known
        return Task(_unknown if isinstance(task, str) else task, name=name, app=self)


def load_app(path: str) -> Howdah:
    """Import the app that `module:attribute` names. Raises `ConfigurationError`."""
    app: Howdah = import_attribute(path, Howdah)
    return app


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
