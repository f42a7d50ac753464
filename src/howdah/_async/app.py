"""What an app does with its database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from howdah import calls, drivers, json, publishing, runs
from howdah.errors import InvalidInput
from howdah.job import ConsumedJob
from howdah.retry import Cancel, Retry, Snooze

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self, Unpack

    from howdah.app import Howdah
    from howdah.calls import Call
    from howdah.connect import Connections, Database
    from howdah.context import Middleware
    from howdah.definition import Definition, PublishOptions
    from howdah.job import Job
    from howdah.tasks import Tasks

__all__ = ["AsyncApp"]

T = TypeVar("T")


class AsyncApp:
    """The methods of `Howdah` that are awaited."""

    tasks: Tasks
    allow: tuple[str, ...]
    database: Database
    middlewares: list[Middleware]
    _connections: Connections

    async def execute(self, call: Call[T], *, connection: Any = None) -> T:
        """Execute a call, on the caller's connection when one is given. Raises a `HowdahError`."""
        if connection is not None:
            return await drivers.join(connection).execute(call)
        pool = await self._connections.pool()
        return await pool.execute(call)

    async def publish(
        self,
        task: str | Callable[..., Any] | Definition[..., Any],
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
        found = publishing.task_of(self, self.tasks, task).options(**options, connection=connection)
        return await self.publish_task(
            found, (*arguments, *args), dict(kwargs or {}), connection=found.connection
        )

    async def publish_task(
        self,
        task: Definition[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        connection: Any = None,
    ) -> Job[Any]:
        """Publish one job for a task, with the task's options."""
        call = publishing.one_call(task, args, kwargs)
        if connection is not None:
            return publishing.handle(self, task, await self.execute(call, connection=connection))
        pool = await self._connections.pool()
        return publishing.handle(self, task, await pool.publish(call))

    async def publish_task_many(
        self,
        task: Definition[..., Any],
        arguments: Sequence[Sequence[Any] | Mapping[str, Any]],
        *,
        connection: Any = None,
    ) -> list[Job[Any]]:
        """Publish one job for each element, all or none."""
        call: Call[Any] = publishing.many_call(task, arguments)
        return publishing.handles(self, task, await self.execute(call, connection=connection))

    async def consume(
        self,
        number: int = 1,
        *,
        topic: str | None = None,
        queues: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        connection: Any = None,
    ) -> list[ConsumedJob]:
        """Claim up to `number` jobs, for a consumer of one's own that is no worker.

        `topic`: a pattern of task names, in which % stands for anything; `queues`: all by default, several in
        that order; `labels`: what the consumer has, for jobs that require it. Each job
        is to be acked or nacked within its timeout, else somebody else gets it. Above READ COMMITTED, in the
        transaction of `connection`, it raises `IsolationTooHigh`.
        Raises `InvalidInput`, `DatabaseUnavailable`.

        >>> async def work(app: Howdah) -> None:
        ...     for job in await app.consume(10, topic="mail.%"):
        ...         try:
        ...             await app.run(job)
        ...         except Exception as error:
        ...             await job.nack(error, delay=60)
        """
        named = [queues] if isinstance(queues, str) else queues
        call = calls.consume(number, topic=topic, queues=named, labels=labels)
        rows = await self.execute(call, connection=connection)
        return [ConsumedJob(cast("Howdah", self), row) for row in rows]

    async def run(self, job: ConsumedJob, *, connection: Any = None) -> Any:
        """Run the function of a consumed job, hand in its outcome, and return what it returned.

        The app's middleware is around it. The function is a registered task or lies under a package of
        `allow`. `Retry`, `Snooze` and `Cancel` do what they say; a result that is not JSON ends the job as
        failed. `connection`: hand the outcome in inside that connection's transaction. What the function
        raises is passed on, and the job is still yours: `nack` it.
        Raises `TaskNotAllowed`, `LeaseLost`, TypeError or ValueError for arguments that do not fit.
        """
        run = runs.prepare(job.row, self.tasks, self.allow, self.middlewares)
        value = await runs.execute(run)
        await self._hand_in(job, value, connection)
        return value

    async def _hand_in(self, job: ConsumedJob, value: Any, connection: Any) -> None:
        match value:
            case Retry():
                await job.nack(value.reason, delay=value.seconds, connection=connection)
            case Snooze():
                await job.snooze(value.seconds, connection=connection)
            case Cancel():
                await job.cancel(value.reason, connection=connection)
                await job.release(connection=connection)
            case _:
                try:
                    json.document(value, field="result")
                except InvalidInput as error:
                    await job.nack(error.message, kind="result", final=True, connection=connection)
                else:
                    await job.ack(value, connection=connection)

    async def close(self) -> None:
        """Close the connections of this event loop, and let go of the embedded server."""
        await self._connections.close()
        self.database.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
