"""Runs of isolated tasks, in the process that is theirs."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import resource
import signal
import sys
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from howdah import json
from howdah.context import Context, RunningJob, entered
from howdah.definition import Definition
from howdah.drivers.pool import Pool
from howdah.drivers.transactions import Connections
from howdah.errors import InvalidInput, RunInterrupted, TimedOut
from howdah.executors.process_messages import Asked, Begun, Line, Raised, Returned, Run, Stop
from howdah.parameters import Parameters, arguments_in
from howdah.retry import Cancel, Retry, Snooze
from howdah.settings import load_settings
from howdah.worker import outcomes
from howdah.worker.lifespan import resources_of
from howdah.worker.surroundings import Backing, RunSurroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from howdah.context import Lifespan
    from howdah.executors.process_messages import Answer
    from howdah.models import ClaimedJob, Outcome

__all__ = ["Running"]

_LONGEST_LINE = 8192


class Running:
    """Runs one job after the other in the main thread; `say` tells the worker what they log."""

    def __init__(self, dsn: str, say: Callable[[Begun | Line], None]) -> None:
        self._dsn = dsn
        self._say = say
        self._apps: set[int] = set()
        self._runner = asyncio.Runner()
        self._resources: dict[str, Any] = {}
        self._connections = Connections(dsn, 1, load_settings().pooled_transactions)
        self._pool = Pool(dsn, size=1, name="howdah isolated")
        self._backing = Backing(self._connections, self._pool, self._resources)
        self._leave: asyncio.Event | None = None
        self._lifespan: asyncio.Task[None] | None = None
        # The run that goes on, whether its function runs at this moment, and what was asked of it.
        self._run: Run | None = None
        self._inside = False
        self._task: asyncio.Task[Any] | None = None
        self._stop: Stop | None = None
        self._heeded: Stop | None = None

    # ── Before the first and after the last ──

    def open(self, lifespans: Sequence[Lifespan]) -> None:
        """Start the lifespans. Raises `ConfigurationError`."""
        if lifespans:
            self._runner.run(self._enter(lifespans))

    def close(self) -> None:
        """End the lifespans, and close the connections."""
        self._runner.run(self._exit())
        self._runner.close()

    async def _enter(self, lifespans: Sequence[Lifespan]) -> None:
        entered_all = asyncio.Event()
        leave = self._leave = asyncio.Event()

        async def live() -> None:  # from first to last in one task: a lifespan may hold a task group
            async with resources_of(lifespans) as found:
                self._resources.update(found)
                entered_all.set()
                await leave.wait()

        self._lifespan = asyncio.create_task(live())
        waiting = asyncio.create_task(entered_all.wait())
        await asyncio.wait([self._lifespan, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._lifespan.done():
            await self._lifespan

    async def _exit(self) -> None:
        if self._lifespan is not None and self._leave is not None:
            self._leave.set()
            await self._lifespan
        await self._backing.close()

    # ── One run ──

    def perform(self, request: Run, find: Callable[[str, str], Any]) -> Answer:
        """Run a job, and return what to tell the worker."""
        self._run, self._task = request, None
        self._say(Begun(request.job.run_id))
        surroundings = _Surroundings(self._backing, self, request.job)
        try:
            value = self._called(request, find, surroundings)
            answer = self._after_value(request.job, value)
        except BaseException as error:  # SystemExit ends the job, not the process
            self._inside = False
            answer = self._after_error(request.job, error)
        if surroundings.close():
            answer = self._runner.run(self._settled(request.job, surroundings, answer))
        self._run = None
        return msgspec.structs.replace(answer, stopped=self.stopping(request.job.run_id) is not None)

    def stopping(self, run_id: int) -> Stop | None:
        """Return what was asked of a run. May be called from any thread."""
        stop = self._stop
        return stop if stop is not None and stop.run_id == run_id else None

    def stop(self, stop: Stop) -> None:
        """Ask a run to stop, from any other thread."""
        self._stop = stop
        task = self._task
        if task is None:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        else:
            task.get_loop().call_soon_threadsafe(task.cancel)

    def signalled(self, number: int, frame: Any) -> None:
        """Handle a signal, in the main thread: interrupt the run if that was asked for, once a wish."""
        run = self._run
        if not self._inside or run is None:
            return
        stop = self.stopping(run.job.run_id)
        if stop is not None and stop is not self._heeded:
            self._heeded = stop
            raise _interruption(stop, run)

    def tell(self, job: ClaimedJob, level: int, text: str) -> None:
        """Pass on a line of the job's log."""
        self._say(Line(job.run_id, level, text[:_LONGEST_LINE].encode("utf-8", "backslashreplace").decode()))

    def _called(self, request: Run, find: Callable[[str, str], Any], surroundings: _Surroundings) -> Any:
        function, parameters = self._function(find(request.module, request.name))
        args, kwargs = parameters.bind(*arguments_in(request.job.body))
        if parameters.context is not None:
            context = Context(RunningJob(request.job), surroundings)
            args, kwargs = parameters.with_context(args, kwargs, context)
        variables = contextvars.copy_context()
        variables.run(entered, request.job)
        stop = self.stopping(request.job.run_id)
        if stop is not None:  # before it began
            raise _interruption(stop, request)
        with self._soft_timeout(request):
            if inspect.iscoroutinefunction(function):
                return self._in_loop(function(*args, **kwargs), variables)
            value = self._guarded(partial(variables.run, function, *args, **kwargs))
            return self._in_loop(value, variables) if inspect.iscoroutine(value) else value

    @contextmanager
    def _soft_timeout(self, request: Run) -> Iterator[None]:
        # Here and not in the worker, so that the time begins when the task does.
        if request.soft_timeout is None:
            yield
            return
        stop = Stop(request.job.run_id, "soft")
        timer = threading.Timer(request.soft_timeout, self.stop, [stop])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _function(self, found: Any) -> tuple[Callable[..., Any], Parameters]:
        if not isinstance(found, Definition):
            return found, Parameters(found)
        app = found.app
        if app is not None and id(app) not in self._apps:
            self._apps.add(id(app))  # what a task publishes goes where its worker works
            app.use(self._dsn)
        return found.function, found.parameters

    def _guarded(self, call: Callable[[], Any]) -> Any:
        try:
            self._inside = True
            return call()
        finally:
            self._inside = False

    def _in_loop(self, coroutine: Any, variables: contextvars.Context) -> Any:
        try:
            return self._runner.run(self._awaited(coroutine), context=variables)
        except asyncio.CancelledError as error:
            run = self._run
            stop = self.stopping(run.job.run_id) if run is not None else None
            if stop is None or run is None:
                raise
            raise _interruption(stop, run) from error
        finally:
            self._task = None

    async def _awaited(self, coroutine: Any) -> Any:
        self._task = asyncio.current_task()
        return await coroutine

    # ── Its end ──

    def _after_value(self, job: ClaimedJob, value: Any) -> Answer:
        answer: partial[Asked] = partial(Asked, job.run_id, _resident())
        match value:
            case Retry():
                return answer("retry", value.seconds, value.reason)
            case Snooze():
                return answer("snooze", value.seconds)
            case Cancel():
                return answer("cancel", None, value.reason)
        try:
            encoded = b"null" if value is None else json.encode(value, field="result")
        except InvalidInput as error:
            return Raised(job.run_id, _resident(), "result", error.message, final=True)
        return Returned(job.run_id, _resident(), msgspec.Raw(encoded))

    def _after_error(self, job: ClaimedJob, error: BaseException) -> Answer:
        return _raised(outcomes.from_error(job, error), isinstance(error, RunInterrupted))

    async def _settled(self, job: ClaimedJob, surroundings: _Surroundings, answer: Answer) -> Answer:
        """Commit what the task wrote together with its result, or roll it back."""
        try:
            if isinstance(answer, Returned):
                success = (job.id, job.run_id, "succeeded", answer.value)
                left = await surroundings.commit(success)
                if surroundings.committed:
                    return Returned(job.run_id, answer.memory, answer.value, committed=True)
                if left is not None and left[2] == "failed":
                    return _raised(left, interrupted=False)
        finally:
            await surroundings.end()
        return answer


class _Surroundings(RunSurroundings):
    """A run's surroundings whose log is told to the worker."""

    __slots__ = ("_running",)

    def __init__(self, backing: Backing, running: Running, job: ClaimedJob) -> None:
        super().__init__(backing, job)
        self._running = running

    @property
    def over(self) -> bool:
        """Whether the run has ended or was asked to stop."""
        return self._over or self._running.stopping(self._job.run_id) is not None

    def write(self, level: int, message: str) -> None:
        """Keep a line with the job."""
        if not self._over:
            self._running.tell(self._job, level, message)


def _raised(failure: Outcome, interrupted: bool) -> Raised:
    _, run_id, _, kind, message, trace, _, final = failure
    return Raised(run_id, _resident(), kind, message, trace, final, interrupted)


def _interruption(stop: Stop, run: Run) -> RunInterrupted:
    match stop.reason:
        case "soft":
            return TimedOut(f"its soft timeout of {run.soft_timeout:g} s is over")
        case "timeout":
            return TimedOut(f"timed out after {run.job.timeout:g} s")
        case "cancel":
            return RunInterrupted("the job is cancelled")
        case "lost":
            return RunInterrupted("its lease is lost")
    return RunInterrupted("its worker is ending")


def _resident() -> int:
    """Return the bytes that this process holds now; at most, where the system tells no more."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
