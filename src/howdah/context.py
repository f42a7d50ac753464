"""What a running task can know about its run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from howdah import json
from howdah.errors import ConfigurationError, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from psycopg import AsyncConnection
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session

    from howdah.calls import Call
    from howdah.models import ClaimedJob

__all__ = [
    "Context",
    "Lifespan",
    "Middleware",
    "RunningJob",
    "Surroundings",
    "TaskConnection",
    "claimed_job",
    "current_job",
    "entered",
]

T = TypeVar("T")

_log = logging.getLogger("howdah.task")
_current: ContextVar[ClaimedJob | None] = ContextVar("howdah_current_job", default=None)


class RunningJob:
    """The job of a run. `job_id` stays the same in every attempt: use it as idempotency key."""

    __slots__ = ("_body", "_claimed")

    def __init__(self, claimed: ClaimedJob) -> None:
        self._claimed = claimed
        self._body: Any = _body_not_decoded

    def __repr__(self) -> str:
        return f"RunningJob(job_id={self.job_id!r}, task={self.task!r}, attempt={self.attempt})"

    @property
    def id(self) -> int:
        """The job's number."""
        return self._claimed.id

    @property
    def job_id(self) -> str:
        """The user's own key, else the number as text."""
        return self._claimed.job_id

    @property
    def key(self) -> str | None:
        """The user's own key."""
        return self._claimed.key

    @property
    def task(self) -> str:
        """The task's name."""
        return self._claimed.task

    @property
    def queue(self) -> str:
        """The queue it came from."""
        return self._claimed.queue

    @property
    def run_id(self) -> int:
        """The number of this run; a later run has a greater one."""
        return self._claimed.run_id

    @property
    def attempt(self) -> int:
        """1 for the first attempt."""
        return self._claimed.attempt

    @property
    def max_retries(self) -> int:
        """Attempts after the first."""
        return self._claimed.max_retries

    @property
    def priority(self) -> int:
        """Larger runs first."""
        return self._claimed.priority

    @property
    def timeout(self) -> float:
        """Seconds that a run may take."""
        return self._claimed.timeout

    @property
    def headers(self) -> dict[str, Any]:
        """The headers given at publish."""
        return self._claimed.headers or {}

    @property
    def meta(self) -> Any:
        """The meta data given at publish."""
        return self._claimed.meta

    @property
    def body(self) -> Any:
        """The whole body as published, decoded."""
        if self._body is _body_not_decoded:
            self._body = json.decode(self._claimed.body)
        return self._body


_body_not_decoded = object()


class Surroundings(Protocol):
    """What a context reaches through to; the worker has one for each run."""

    @property
    def over(self) -> bool:
        """Whether the run has ended, for the worker, or was asked to stop."""
        ...

    @property
    def resources(self) -> Mapping[str, Any]:
        """What the app's lifespan yielded."""
        ...

    async def open(self, form: str) -> Any:
        """Return the connection of the run's transaction, in the event loop."""
        ...

    def open_in_thread(self, form: str) -> Any:
        """Return the connection of the run's transaction, in a thread."""
        ...

    async def execute(self, call: Call[T]) -> T:
        """Execute a call in the run's transaction on asyncpg."""
        ...

    def write(self, level: int, message: str) -> None:
        """Keep a line with the job."""
        ...


class Context:
    """Handed to a task that has a parameter annotated `Context`, and to middleware.

    >>> async def import_file(ctx: Context, path: str) -> None:
    ...     ctx.log("attempt %s of job %s", ctx.attempt, ctx.job.job_id)
    ...     await ctx.connection.execute("insert into imported values ($1)", path)
    """

    __slots__ = ("_surroundings", "job")

    def __init__(self, job: RunningJob, surroundings: Surroundings | None = None) -> None:
        self.job: RunningJob = job
        self._surroundings = surroundings

    @property
    def attempt(self) -> int:
        """1 for the first attempt."""
        return self.job.attempt

    @property
    def resources(self) -> Mapping[str, Any]:
        """What the app's lifespan yielded when this worker process started."""
        return {} if self._surroundings is None else self._surroundings.resources

    @property
    def cancelled(self) -> bool:
        """Whether this run is to stop: cancelled, past its timeout, or its worker is ending.

        Nothing can stop a thread from outside: a `def` task that runs long looks here from time to time,
        and returns. Its result is dropped then. May be asked in any thread.

        >>> def count(ctx: Context, lines: list[str]) -> int:
        ...     total = 0
        ...     for line in lines:
        ...         if ctx.cancelled:
        ...             break
        ...         total += len(line)
        ...     return total
        """
        if self._surroundings is not None and self._surroundings.over:
            return True
        task = asyncio.current_task() if _in_event_loop() else None
        return task is not None and task.cancelling() > 0

    @property
    def connection(self) -> Any:
        """A connection inside a transaction that commits together with the job's completion, or not at all.

        In an `async def` task it is a `TaskConnection`, which speaks as asyncpg's connection does; in a
        `def` task a `psycopg.Connection`. It is opened at first use. When the task ends well, the worker
        records its result in the same transaction and commits; when it fails, is retried, snoozed or
        cancelled, or has lost its lease, everything is rolled back. For other drivers see `psycopg` and
        `session`; a run has one transaction, so it uses one of them. Do not commit yourself.

        Raises `DatabaseUnavailable`, `LeaseLost` in a thread whose run has ended, `ConfigurationError`
        outside of a worker.

        >>> async def pay(ctx: Context, order: int) -> None:
        ...     await ctx.connection.execute("update orders set paid = true where id = $1", order)
        """
        if _in_event_loop():
            return TaskConnection(self._inside())
        return self._inside().open_in_thread("thread")

    async def psycopg(self) -> AsyncConnection[Any]:
        """Return the transaction of `connection` as psycopg's asynchronous connection.

        >>> async def pay(ctx: Context, order: int) -> None:
        ...     connection = await ctx.psycopg()
        ...     await connection.execute("update orders set paid = true where id = %s", [order])
        """
        connection: AsyncConnection[Any] = await self._inside().open("psycopg")
        return connection

    async def session(self) -> AsyncSession:
        """Return the transaction of `connection` as a SQLAlchemy `AsyncSession`.

        Its `commit()` writes what it holds and is made final by the task's completion.

        >>> async def pay(ctx: Context, order: int) -> None:
        ...     session = await ctx.session()
        ...     session.add(Payment(order=order))
        """
        session: AsyncSession = await self._inside().open("session")
        return session

    def session_sync(self) -> Session:
        """Do what `session` does, for a `def` task: return a SQLAlchemy `Session`.

        >>> def pay(ctx: Context, order: int) -> None:
        ...     ctx.session_sync().add(Payment(order=order))
        """
        session: Session = self._inside().open_in_thread("thread session")
        return session

    def log(self, message: str, *values: object, level: int | str = logging.INFO) -> None:
        """Write a line to the logger `howdah.task` and to the job's own log, which `howdah show ID` prints.

        `level`: one of logging's, as number or name. The newest thousand lines of a job are kept; a line that
        cannot be kept does not fail the job. Never waits.

        >>> def import_file(ctx: Context, path: str) -> None:
        ...     ctx.log("%s has no header", path, level="warning")
        """
        number = _level(level)
        text = _formatted(message, values)
        _log.log(number, "[%s %s] %s", self.job.task, self.job.job_id, text)
        if self._surroundings is not None:
            self._surroundings.write(number, text)

    def _inside(self) -> Surroundings:
        if self._surroundings is None:
            raise ConfigurationError("only a run in a worker has a transaction")
        return self._surroundings


class TaskConnection:
    """`ctx.connection` of an `async def` task: asyncpg's methods, on a connection opened by the first call.

    `await ctx.connection` is asyncpg's own connection, for everything else it can do; `publish(connection=…)`
    takes either.
    """

    __slots__ = ("_surroundings",)

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings

    def __await__(self) -> Generator[Any, None, Any]:
        return self._surroundings.open("asyncpg").__await__()

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        """Execute a statement, or several without arguments; return the status of the last."""
        status: str = await (await self).execute(query, *args, timeout=timeout)
        return status

    async def executemany(
        self, query: str, args: Iterable[Sequence[Any]], *, timeout: float | None = None
    ) -> None:
        """Execute a statement for each sequence of arguments."""
        await (await self).executemany(query, args, timeout=timeout)

    async def fetch(self, query: str, *args: Any, timeout: float | None = None) -> list[Any]:
        """Return the rows of a query, as asyncpg's records."""
        rows: list[Any] = await (await self).fetch(query, *args, timeout=timeout)
        return rows

    async def fetchrow(self, query: str, *args: Any, timeout: float | None = None) -> Any:
        """Return the first row of a query, or None."""
        return await (await self).fetchrow(query, *args, timeout=timeout)

    async def fetchval(self, query: str, *args: Any, column: int = 0, timeout: float | None = None) -> Any:
        """Return one value of the first row of a query, or None."""
        return await (await self).fetchval(query, *args, column=column, timeout=timeout)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Open a savepoint: what is done inside is undone when it raises, and the task may go on."""
        async with (await self).transaction():
            yield

    async def execute_call(self, call: Call[T]) -> T:
        """Execute a call of Howdah's, such as a publish, in the transaction."""
        return await self._surroundings.execute(call)


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _formatted(message: str, values: tuple[object, ...]) -> str:
    try:
        text = message % values if values else str(message)
    except (TypeError, ValueError):  # a line of a log is no reason to fail
        text = f"{message} {values!r}"
    # Half a surrogate pair fits into no file and no database.
    return text.encode("utf-8", "backslashreplace").decode()


def _level(level: int | str) -> int:
    if isinstance(level, int):
        return level
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise InvalidInput(f"level {level!r} is not one of logging's", field="level")
    return number


Lifespan = Callable[[], AsyncIterator[Mapping[str, Any]]]
Middleware = Callable[[Context, Callable[[], Awaitable[Any]]], Awaitable[Any]]


def current_job() -> RunningJob | None:
    """Return the job that runs here, None outside of a task.

    >>> current_job() is None
    True
    """
    claimed = _current.get()
    return None if claimed is None else RunningJob(claimed)


def claimed_job() -> ClaimedJob | None:
    """Return the job that runs here as it was claimed, None outside of a task."""
    return _current.get()


def entered(claimed: ClaimedJob) -> None:
    """Make a job the current one, for the rest of this context."""
    _current.set(claimed)
