"""The app: where tasks are collected, and the one object that publishes."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from howdah._async.app import AsyncApp
from howdah._sync.app import SyncApp
from howdah.connect import Connections, Database
from howdah.errors import ConfigurationError
from howdah.imports import import_attribute, import_module
from howdah.job import Job
from howdah.settings import Settings, load_settings
from howdah.tasks import TaskDecorator, Tasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from howdah.connect import DriverName
    from howdah.context import Lifespan, Middleware
    from howdah.tasks import Task

__all__ = ["Howdah", "load_app"]


class Howdah(AsyncApp, SyncApp, TaskDecorator):
    """Tasks, and the database their jobs live in.

    `dsn`: as libpq takes it; without one $HOWDAH_DSN, else the embedded server; `":temporary:"` is an
    embedded server that leaves nothing behind. `imports`: modules with tasks that a worker imports.
    `allow`: packages whose functions may be run by name. `settings`: instead of reading them.
    `driver`: what awaited methods use, `asyncpg` or `psycopg`; the `*_sync` methods always use psycopg.

    It connects on first use, in whatever event loop or thread. `async with app:` closes the connections of
    the event loop, `with app:` those of the `*_sync` methods.

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
        driver: DriverName = "asyncpg",
    ) -> None:
        self.settings: Settings = settings if settings is not None else load_settings()
        self.imports: tuple[str, ...] = (*self.settings.imports, *imports)
        self.allow: tuple[str, ...] = (*self.settings.allow, *allow)
        self.tasks: Tasks = Tasks()
        self.lifespans: list[Lifespan] = []
        self.middlewares: list[Middleware] = []
        self.database: Database = Database(dsn, self.settings)
        self._driver: DriverName = driver
        self._connections = Connections(self.database, driver)

    def register(self, task: Task[..., Any]) -> None:
        """Add a task to the app. Raises `ConfigurationError` when its name is taken."""
        self.tasks.register(task)
        task.app = self

    def lifespan(self, function: Lifespan) -> Lifespan:
        """Run an async generator around the work of each worker process; what it yields is `ctx.resources`.

        It yields one mapping, when what it made is ready. With several, each adds to what the earlier ones
        yielded, and the last to start is the first to end. A worker whose lifespan raises before it yields
        does not start; what it raises afterwards is logged.
        Raises `ConfigurationError` for a function of another kind.

        >>> app = Howdah()
        >>> @app.lifespan
        ... async def resources():
        ...     yield {"greeting": "hello"}
        """
        if not inspect.isasyncgenfunction(function):
            raise ConfigurationError(f"{function!r} is not an async generator function", field="lifespan")
        self.lifespans.append(function)
        return function

    def middleware(self, function: Middleware) -> Middleware:
        """Call `await function(ctx, call)` around every run; it returns what `await call()` returns.

        Of several the first is the outermost. Raises `ConfigurationError` for a function of another kind.

        >>> app = Howdah()
        >>> @app.middleware
        ... async def around(ctx, call):
        ...     ctx.log("begins")
        ...     return await call()
        """
        if not inspect.iscoroutinefunction(function):
            raise ConfigurationError(f"{function!r} is not an async function", field="middleware")
        self.middlewares.append(function)
        return function

    def use(self, dsn: str) -> None:
        """Use another database from now on, such as the one given on a command line."""
        self.database = Database(dsn, self.settings)
        self._connections = Connections(self.database, self._driver)

    def include(self, tasks: Tasks) -> None:
        """Add a library's tasks. Raises `ConfigurationError` when a name is taken."""
        for task in tasks:
            self.register(task)

    def import_tasks(self) -> None:
        """Import the modules that hold the app's tasks. Raises `ConfigurationError`."""
        for name in self.imports:
            import_module(name)

    def job(self, job_id: str | int) -> Job[Any]:
        """Return a handle on a job by its id, whether or not it exists.

        >>> Howdah().job("welcome-42")
        Job('welcome-42')
        """
        return Job(self, str(job_id))


def load_app(path: str) -> Howdah:
    """Import the app that `module:attribute` names. Raises `ConfigurationError`."""
    app: Howdah = import_attribute(path, Howdah)
    return app
