"""Isolated tasks, as the worker sees them: an executor that has another process run the function.

The job's body goes to the process as it is; what comes back is a value or the texts of an error. What the
process prints becomes lines of the job's log.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, cast

import msgspec

from howdah import calls, json
from howdah.context import Context, claimed_job
from howdah.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    HowdahError,
    JobNotFound,
    LeaseLost,
)
from howdah.executors.process import ProcessLimits, ProcessPool
from howdah.executors.process_failures import ProcessDied, ProcessUnfit, RemoteError
from howdah.executors.process_messages import Asked, Raised, Returned, Run
from howdah.naming import module_of
from howdah.retry import Cancel, Retry, Snooze
from howdah.worker import outcomes
from howdah.worker.log import logger
from howdah.worker.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from howdah.app import Howdah
    from howdah.drivers.pool import Pool
    from howdah.executors import Executor
    from howdah.executors.process_messages import Answer
    from howdah.models import ClaimedJob
    from howdah.tasks import Task
    from howdah.worker.joblog import JobLog
    from howdah.worker.options import WorkerOptions
    from howdah.worker.surroundings import RunSurroundings

__all__ = ["IsolatedTasks", "Setup", "processes_for"]

_log = logging.getLogger("howdah.task")
# Seconds between a death and its record: whoever kills a whole worker kills its processes one after the
# other, and what dies with its worker has not died alone.
_AFTERMATH = 0.2


class Setup(msgspec.Struct, frozen=True):
    """What a process is told first. It travels over a pipe: a DSN holds a password.

    `modules` are imported, `lifespans` (module and name) run around the jobs, as in the worker.
    """

    dsn: str
    path: list[str]
    modules: list[str]
    lifespans: list[tuple[str, str]]
    parent: int


def processes_for(app: Howdah, dsn: str, options: WorkerOptions) -> ProcessPool:
    """Return the processes of a worker; none is started before the first is needed."""

    def setup() -> bytes:
        functions = [*(task.function for task in app.tasks), *app.lifespans]
        told = Setup(
            dsn=dsn,
            path=[*sys.path],
            modules=sorted({*app.imports, *(module_of(function) for function in functions)}),
            lifespans=[(module_of(lifespan), _name(lifespan)) for lifespan in app.lifespans],
            parent=os.getpid(),
        )
        return msgspec.json.encode(told) + b"\n"

    limits = ProcessLimits(options.recycle_jobs, options.recycle_megabytes)
    return ProcessPool([sys.executable, "-m", "howdah.worker.isolated"], setup, limits)


class IsolatedTasks:
    """Makes the executors of tasks with `isolation="process"`."""

    def __init__(self, processes: ProcessPool, log: JobLog, pool: Pool) -> None:
        self.processes: ProcessPool = processes
        self.log: JobLog = log
        self.pool: Pool = pool
        self._unfit: set[str] = set()
        # Called with the number of a run when its process has started and begins it.
        self.on_begin: Callable[[int], None] | None = None

    def executor_for(self, task: Task[..., Any]) -> _Executor:
        """Return what runs this task."""
        return _Executor(self, module_of(task.function), _name(task.function), task.soft_timeout)

    def executor_alone(self, task: Task[..., Any]) -> Executor | None:
        """Return what runs a task alone that has not asked for it; None where no process can have it."""
        name = _name(task.function)
        if sys.platform == "win32" or not name or "<" in name or task.name in self._unfit:
            return None
        return _Lonely(self, task.name, _Executor(self, module_of(task.function), name, None))

    def unfit(self, task: str, problem: str) -> None:
        """Take notice that no process can run this task: it runs with the others from now on."""
        logger.warning("%s cannot run alone: %s", task, problem)
        self._unfit.add(task)

    def owns(self, executor: Executor) -> bool:
        """Tell whether this one has processes, which may have to start before a run begins."""
        return isinstance(executor, (_Executor, _Lonely))

    def begun(self, run_id: int) -> None:
        """Take notice that a run begins."""
        if self.on_begin is not None:
            self.on_begin(run_id)

    def warm(self, tasks: Sequence[Task[..., Any]]) -> None:
        """Start a process if one of the tasks will need one. Raises `ConfigurationError`."""
        if not any(task.isolation for task in tasks):
            return
        if sys.platform == "win32":
            raise ConfigurationError("isolation='process' needs Linux or macOS", field="isolation")
        self.processes.warm()


class _Executor:
    """Runs one task. The arguments stay here: the process decodes the job's body itself."""

    def __init__(self, home: IsolatedTasks, module: str, name: str, soft_timeout: float | None) -> None:
        self._home = home
        self._module = module
        self._name = name
        self._soft_timeout = soft_timeout

    async def execute(self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Run the current job in a process, and return what its function returned there."""
        job = claimed_job()
        if job is None:
            raise ConfigurationError("only a run in a worker can be isolated")
        log = self._home.log.open(job)

        def heard(level: int, text: str) -> None:
            text = text.encode("utf-8", "backslashreplace").decode()
            _log.log(level, "[%s %s] %s", job.task, job.job_id, text)
            log.write(level, text)

        try:
            run = Run(job, self._module, self._name, self._soft_timeout)
            answer = await self._home.processes.run(run, heard, lambda: self._home.begun(job.run_id))
        except ProcessDied as death:
            if job.alone and isinstance(death, ProcessUnfit):
                raise
            await self._home.log.end(log)  # before the run ends: afterwards the database takes no more lines
            await self._record(job, str(death))
        else:
            return _value_of(answer, _surroundings_in(args, kwargs))
        finally:
            await self._home.log.end(log)

    async def _record(self, job: ClaimedJob, problem: str) -> None:
        """Record that the job killed its process, which no outcome of an exchange can say; always raises."""
        waiting = Waiting()
        await asyncio.sleep(_AFTERMATH)
        while True:
            try:
                await self._home.pool.execute(calls.run_died(str(job.id), job.run_id, problem))
            except DatabaseUnavailable:
                await asyncio.sleep(waiting.next())
            except (LeaseLost, JobNotFound):
                logger.warning("job %s: its lease was lost before its death was recorded", job.job_id)
                break
            except HowdahError as error:
                logger.error("job %s: its death cannot be recorded: %s", job.job_id, error)
                raise RemoteError(problem) from error
            else:
                break
        raise outcomes.AlreadyRecorded(outcomes.failed(job, "crash", problem))


class _Lonely:
    """Runs a task in a process of its own although it did not ask for one, because its workers died."""

    def __init__(self, home: IsolatedTasks, task: str, executor: _Executor) -> None:
        self._home = home
        self._task = task
        self._executor = executor

    async def execute(self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Run the current job; put it off, at no cost, when no process can have its task."""
        try:
            return await self._executor.execute(function, args, kwargs)
        except ProcessUnfit as problem:
            self._home.unfit(self._task, str(problem))
            return Snooze(0.0)


def _value_of(answer: Answer, surroundings: RunSurroundings | None) -> Any:
    match answer:
        case Returned():
            if answer.committed and surroundings is not None:
                surroundings.recorded()
            return json.decode(answer.value)
        case Asked(verb="retry"):
            return Retry(delay=answer.seconds, reason=answer.reason or "")
        case Asked(verb="snooze"):
            return Snooze(answer.seconds or 0.0)
        case Asked():
            return Cancel(answer.reason)
        case Raised():
            raise RemoteError(answer.message, kind=answer.kind, trace=answer.trace, final=answer.final)


def _surroundings_in(args: list[Any], kwargs: dict[str, Any]) -> RunSurroundings | None:
    """Return what the run has opened here, if its task takes the context: only then can it have written."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, Context):
            return cast("RunSurroundings", value._surroundings)  # the worker made it
    return None


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__qualname__", ""))
