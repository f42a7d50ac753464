"""How a task is published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from howdah.definition import Definition

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from howdah.job import Job

__all__ = ["AsyncTask"]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


class AsyncTask(Definition[P, R_co]):
    """The methods of `Task` that are awaited."""

    @overload
    async def publish(
        self: AsyncTask[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> Job[T]: ...
    @overload
    async def publish(self, *args: P.args, **kwargs: P.kwargs) -> Job[R_co]: ...
    @overload
    async def publish(
        self: AsyncTask[..., Coroutine[Any, Any, T]], *args: Any, connection: Any, **kwargs: Any
    ) -> Job[T]: ...
    @overload
    async def publish(self, *args: Any, connection: Any, **kwargs: Any) -> Job[R_co]: ...
    async def publish(self, *args: Any, **kwargs: Any) -> Job[Any]:
        """Publish a job that calls the function with these arguments.

        `connection=` publishes inside that connection's transaction (a parameter of the function that has
        this name comes first: use `.options(connection=…)` then).
        Raises `InvalidInput`, `DatabaseUnavailable`, and TypeError for arguments the function does not take.
        """
        connection = self._taken_connection(kwargs)
        self.parameters.check(args, kwargs)
        return await self._home().publish_task(self, args, kwargs, connection=connection)

    async def publish_many(
        self, arguments: Sequence[Sequence[Any] | Mapping[str, Any]], *, connection: Any = None
    ) -> list[Job[Any]]:
        """Publish one job for each element, all or none, in one statement.

        An element is a sequence of positional arguments or a mapping of keyword arguments.
        Raises `InvalidInput`, `DatabaseUnavailable`.
        """
        return await self._home().publish_task_many(
            self, arguments, connection=connection if connection is not None else self.connection
        )
