"""One run of a consumed job, in the process of a consumer that is no worker."""

from __future__ import annotations

import asyncio
import contextvars
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from howdah import json
from howdah.context import Context, RunningJob, entered
from howdah.imports import import_function
from howdah.models import ClaimedJob
from howdah.parameters import arguments_in

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from howdah.context import Middleware
    from howdah.models import JobRow
    from howdah.tasks import Tasks

__all__ = ["Run", "execute", "execute_sync", "prepare"]


@dataclass(frozen=True, slots=True)
class Run:
    """A function with the arguments of one job, and the middleware around it."""

    function: Callable[[], Any]
    is_coroutine: bool
    timeout: float
    context: Context
    middlewares: Sequence[Middleware]
    variables: contextvars.Context


def prepare(row: JobRow, tasks: Tasks, allow: Sequence[str], middlewares: Sequence[Middleware]) -> Run:
    """Find the function of a job and turn its body into the arguments that the annotations ask for.

    Raises `TaskNotAllowed` for a task that is neither registered nor under an allowed package; TypeError or
    ValueError for arguments that do not fit.
    """
    task = tasks.get(row.task) or import_function(row.task, allow)
    claimed = _claimed(row)
    context = Context(RunningJob(claimed))
    args, kwargs = task.parameters.bind(*arguments_in(claimed.body))
    if task.parameters.context is not None:
        args, kwargs = task.parameters.with_context(args, kwargs, context)
    variables = contextvars.copy_context()
    variables.run(entered, claimed)
    function = partial(task.function, *args, **kwargs)
    return Run(function, task.is_coroutine, row.timeout, context, middlewares, variables)


async def execute(run: Run) -> Any:
    """Run a coroutine here, within the job's timeout, and a plain function in a thread.

    Raises what the function raises, and TimeoutError.
    """
    return await asyncio.create_task(_layers(run), context=run.variables)


def execute_sync(run: Run) -> Any:
    """Run a plain function here, and a coroutine in an event loop of its own, within the job's timeout.

    Raises what the function raises, and TimeoutError.
    """
    if run.is_coroutine or run.middlewares:
        return run.variables.run(asyncio.run, _layers(run))
    return run.variables.run(run.function)


def _layers(run: Run) -> Coroutine[Any, Any, Any]:
    call: Callable[[], Any] = partial(_innermost, run)
    for middleware in reversed(run.middlewares):
        call = partial(middleware, run.context, call)
    coroutine: Coroutine[Any, Any, Any] = call()
    return coroutine


async def _innermost(run: Run) -> Any:
    if not run.is_coroutine:
        return await asyncio.to_thread(run.function)
    async with asyncio.timeout(run.timeout):
        return await run.function()


def _claimed(row: JobRow) -> ClaimedJob:
    return ClaimedJob(
        id=row.id,
        run_id=row.run_id or 0,
        attempt=row.attempt,
        task=row.task,
        queue=row.queue,
        priority=row.priority,
        timeout=row.timeout,
        max_retries=row.max_retries,
        key=row.key,
        headers=row.headers,
        meta=row.meta,
        body=msgspec.Raw(json.encode(row.body, field="body", limit=64 * json.BODY_LIMIT)),
    )
