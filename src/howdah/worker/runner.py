"""Runs jobs: as many at once as there are slots, each in an asyncio task of its own."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING, Any

from howdah.context import Context, RunningJob, entered
from howdah.executors.coroutine import CoroutineExecutor
from howdah.executors.thread import ThreadExecutor
from howdah.worker import outcomes
from howdah.worker.catalogue import Catalogue, UnknownTask, WrongArguments
from howdah.worker.demand import Load, next_duration
from howdah.worker.lease import Lease
from howdah.worker.log import log_outcome, logger
from howdah.worker.run import Run
from howdah.worker.surroundings import RunSurroundings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from howdah.context import Middleware
    from howdah.models import ClaimedJob, Outcome, Verdict
    from howdah.tasks import Tasks
    from howdah.worker.catalogue import Runnable
    from howdah.worker.surroundings import WorkerBacking

__all__ = ["Runner"]

# Seconds between two looks at the clock for running jobs.
_LOOK = 0.05
# A cancelled coroutine that has not ended after this many seconds is abandoned; its slot stays taken.
_PATIENCE = 5.0
# A process may take so long to start, on top of the timeout. The database waits for ten seconds more.
_START = 8.0
# When no job could start for this long, the jobs that wait here are given back.
_STALLED = 0.5
# And when the first of them has waited for this long: the database counts the timeout since the claim.
_LONGEST_WAIT = 1.0
_VERDICTS = {"cancel": "asked to stop", "lost": "its lease is lost, its outcome will be dropped"}


class Runner:
    """Starts what was claimed, ends what takes too long, collects the outcomes.

    `on_change` is called when an outcome is ready, when jobs run short and when a slot gets free, `on_fenced`
    when everything was dropped because the lease is over by our own clock.
    """

    def __init__(
        self,
        tasks: Tasks,
        allow: Sequence[str],
        slots: int,
        on_change: Callable[[], None],
        backing: WorkerBacking,
        middleware: Sequence[Middleware] = (),
        on_fenced: Callable[[], None] = lambda: None,
    ) -> None:
        self._slots = slots
        self._on_fenced = on_fenced
        self._fenced = False
        self.lease: Lease = Lease()
        self._backing = backing
        self._middleware = tuple(middleware)
        self._on_change = on_change
        self._threads = ThreadExecutor(self._slot_freed)
        self.catalogue: Catalogue = Catalogue(
            tasks,
            allow,
            coroutine=CoroutineExecutor(),
            thread=self._threads,
            process=backing.isolated.executor_for,
            alone=backing.isolated.executor_alone,
        )
        self.waiting: deque[ClaimedJob] = deque()
        self.runs: dict[int, Run] = {}
        self.outcomes: list[Outcome] = []
        self.totals: Counter[str] = Counter()
        self.duration: float | None = None
        # Mean characters of a job in the last answer.
        self.size: float = 0.0
        self.looked_at: float = 0.0
        self._last_start = 0.0
        # When the jobs came that wait, and how many had come by then: one entry for each answer.
        self._arrivals: deque[tuple[float, int]] = deque()
        self._fed = 0
        self._draining = False
        # Not the loop's own clock: uvloop's stands still while a task runs.
        self._clock = time.monotonic
        backing.isolated.on_begin = self._begun
        self._create_task = asyncio.get_running_loop().create_task

    # ── What others see ──

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not self.waiting and not self.busy

    @property
    def busy(self) -> int:
        """The slots that are taken, also by what was abandoned and has not ended."""
        return len(self.runs) + self._threads.abandoned

    @property
    def unreported(self) -> int:
        """The runs whose outcome is still to come."""
        return sum(not run.reported for run in self.runs.values())

    @property
    def threads(self) -> ThreadExecutor:
        """What runs plain functions."""
        return self._threads

    @property
    def unended(self) -> int:
        """The runs that go on although they were cancelled."""
        return len(self.runs) + self._threads.abandoned

    def load(self, requested: int) -> Load:
        """Return what decides about the next claim."""
        return Load(self._slots, self.busy, len(self.waiting), requested, self.duration, self.size)

    def known_ids(self) -> list[int]:
        """Return the runs that have started or wait to start. May be called from another thread."""
        return [*self.runs.copy(), *(job.run_id for job in self.waiting.copy())]

    def held(self) -> set[int]:
        """Return every run that is ours to report: started, waiting to start, or waiting to be handed in."""
        return {
            *(run_id for run_id, run in self.runs.items() if run.stop != "lost"),
            *(job.run_id for job in self.waiting),
            *(outcome[1] for outcome in self.outcomes),
        }

    # ── What others ask for ──

    def feed(self, jobs: Sequence[ClaimedJob]) -> None:
        """Take in claimed jobs and start as many as there are slots; while draining, give them back."""
        now = self._clock()
        if not self.waiting:
            self._last_start = now
            self._arrivals.clear()
        self.waiting.extend(jobs)
        self._fed += len(jobs)
        self._arrivals.append((now, self._fed))
        if self._draining:
            self._release_waiting()
        else:
            self._start_more()

    def drain(self) -> None:
        """Start nothing from now on: give back what waits, and what still comes."""
        self._draining = True
        self._release_waiting()

    def _release_waiting(self) -> None:
        while self.waiting:
            self._report(outcomes.released(self.waiting.popleft()))

    def forget(self) -> None:
        """Drop everything: the leases are lost, so nothing of it may be reported."""
        self.waiting.clear()
        self.outcomes.clear()
        self.stop_all("lost")

    def stop_all(self, reason: str) -> None:
        """Cancel every run, once for each reason."""
        for run in list(self.runs.values()):
            self._stop(run, reason)

    def take_verdicts(self, verdicts: Iterable[Verdict]) -> None:
        """Act on what a heartbeat said."""
        unstarted: dict[int, str] = {}
        for verdict in verdicts:
            run = self.runs.get(verdict.run_id)
            if run is not None:
                logger.info("%s: %s", run.title, _VERDICTS[verdict.verdict])
                self._stop(run, verdict.verdict)
            else:
                unstarted[verdict.run_id] = verdict.verdict
        if unstarted and self.waiting:
            self._drop_waiting(unstarted)

    def _drop_waiting(self, verdicts: Mapping[int, str]) -> None:
        waiting, kept = [*self.waiting], [job for job in self.waiting if job.run_id not in verdicts]
        self.waiting.clear()
        self.waiting.extend(kept)
        for job in waiting:
            if verdicts.get(job.run_id) == "cancel":
                self._report(outcomes.cancelled(job, None))

    async def watch(self) -> None:
        """Look after the clock, until cancelled: timeouts, runs that do not end, jobs that cannot start."""
        try:
            while True:
                self._look()
                await asyncio.sleep(_LOOK)
        finally:
            self.looked_at = 0.0  # nobody looks any more, but the loop is not blocked

    def _look(self) -> None:
        now = self.looked_at = self._clock()
        if self.lease.over():
            self._fence()
        else:
            self._fenced = False
        for run in list(self.runs.values()):
            if run.ending:
                continue
            if run.stop is None and now >= run.deadline:
                self._stop(run, "timeout")
            elif run.stop is not None and not run.reported and now >= run.stopped_at + _PATIENCE:
                self._abandon(run)
        if self.waiting and (now >= self._last_start + _STALLED or now >= self._oldest() + _LONGEST_WAIT):
            self.duration = 1.0  # so that no more are claimed than can start
            self._release_waiting()

    def _fence(self) -> None:
        """Nobody has confirmed the lease for so long that others may run what runs here."""
        if self._fenced or not (self.runs or self.waiting):
            return
        self._fenced = True
        logger.warning(
            "no heartbeat was answered for a whole lease: stopping %s runs, others may run them now",
            len(self.runs) + len(self.waiting),
        )
        self.waiting.clear()
        self.stop_all("lost")
        self._on_fenced()

    def close(self) -> None:
        """Let the threads end."""
        self._threads.close()

    # ── Running ──

    def _slot_freed(self) -> None:
        self._start_more()
        self._on_change()

    def _oldest(self) -> float:
        """Return when the first of the waiting jobs came; they leave in the order in which they came."""
        gone = self._fed - len(self.waiting)
        while self._arrivals[0][1] <= gone:
            self._arrivals.popleft()
        return self._arrivals[0][0]

    def _start_more(self) -> None:
        waiting = self.waiting
        if waiting and self.lease.over():
            return  # it was asleep, say: `_look` comes in a moment
        while waiting and self.busy < self._slots:
            self._start(waiting.popleft())

    def _start(self, job: ClaimedJob) -> None:
        now = self._last_start = self._clock()
        try:
            runnable = self.catalogue.find(job.task, alone=job.alone)
            args, kwargs = runnable.arguments(job)
        except UnknownTask as problem:
            self._report(outcomes.parked(job, "task", str(problem)))
        except WrongArguments as problem:
            self._report(outcomes.parked(job, "arguments", str(problem)))
        else:
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug("%s %s (attempt %s) starts", job.task, job.job_id, job.attempt)
            run = self.runs[job.run_id] = Run(job, now)
            if self._backing.isolated.owns(runnable.executor):
                run.deadline += _START
            run.task = self._create_task(self._execute(run, runnable, args, kwargs))

    def _begun(self, run_id: int) -> None:
        """Let a run's time begin, now that its process has started."""
        run = self.runs.get(run_id)
        if run is not None:
            run.deadline = min(run.deadline, self._clock() + run.job.timeout)

    async def _execute(self, run: Run, runnable: Runnable, args: list[Any], kwargs: dict[str, Any]) -> None:
        entered(run.job)
        surroundings: RunSurroundings | None = None
        try:
            if runnable.parameters.context is None and not self._middleware:
                value = await runnable.executor.execute(runnable.function, args, kwargs)
            else:
                surroundings = RunSurroundings(self._backing, run.job)
                value = await self._called(run, runnable, args, kwargs, surroundings)
            outcome = self._after_value(run, value)
        except BaseException as error:  # SystemExit and the like end the job, not the worker
            outcome = self._after_error(run, error)
            if runnable.executor is self._threads and isinstance(error, asyncio.CancelledError) and run.stop:
                self._complain_about_thread(run)
        if surroundings is not None and surroundings.close():
            outcome = await self._settled(run, surroundings, outcome)
        self._finish(run, outcome)

    async def _called(
        self,
        run: Run,
        runnable: Runnable,
        args: list[Any],
        kwargs: dict[str, Any],
        surroundings: RunSurroundings,
    ) -> Any:
        """Call a function that takes the context, or one that middleware lies around."""
        context = Context(RunningJob(run.job), surroundings)
        if runnable.parameters.context is not None:
            args, kwargs = runnable.parameters.with_context(args, kwargs, context)
        function = runnable.function
        if runnable.executor is self._threads:
            function = partial(surroundings.transaction.call, function)
        call: Callable[[], Awaitable[Any]] = partial(runnable.executor.execute, function, args, kwargs)
        for around in reversed(self._middleware):
            call = partial(around, context, call)
        return await call()

    async def _settled(
        self, run: Run, surroundings: RunSurroundings, outcome: Outcome | None
    ) -> Outcome | None:
        """Store the last lines, commit or roll back; return what is left to hand in."""
        run.ending = True
        try:
            await surroundings.store_log()
            if outcome is not None and outcome[2] == "succeeded":
                success, outcome = outcome, await surroundings.commit(outcome)
                if surroundings.committed:
                    self.totals["succeeded"] += 1
                    log_outcome(success, run.job)
        except Exception as error:  # a bug here must not cost the outcome, nor the slot
            logger.exception("the end of job %s", run.job.job_id)
            outcome = outcomes.from_error(run.job, error)
        finally:
            await surroundings.end()
        return outcome

    def _after_value(self, run: Run, value: Any) -> Outcome | None:
        match run.stop:
            case "timeout":
                return outcomes.timed_out(run.job)
            case "lost":
                return None
        return outcomes.from_value(run.job, value)

    def _after_error(self, run: Run, error: BaseException) -> Outcome | None:
        if isinstance(error, outcomes.AlreadyRecorded):
            self.totals[error.outcome[2]] += 1
            log_outcome(error.outcome, run.job)
            return None
        match run.stop:
            case "timeout":
                return outcomes.timed_out(run.job, error)
            case "lost":
                return None
            case "cancel" if isinstance(error, asyncio.CancelledError):
                return outcomes.cancelled(run.job, None)
            case "shutdown" if isinstance(error, asyncio.CancelledError):
                return outcomes.released(run.job)
        return outcomes.from_error(run.job, error)

    def _finish(self, run: Run, outcome: Outcome | None) -> None:
        self.runs.pop(run.job.run_id, None)
        self.duration = next_duration(self.duration, self._clock() - run.started)
        if outcome is not None and not run.reported:
            self._report(outcome, run.job)
        if self.waiting:
            self._start_more()
        else:
            self._on_change()

    def _report(self, outcome: Outcome, job: ClaimedJob | None = None) -> None:
        self.totals[outcome[2]] += 1
        log_outcome(outcome, job)
        self.outcomes.append(outcome)
        self._on_change()

    def _stop(self, run: Run, reason: str) -> None:
        if run.task is None or run.ending or run.stop in (reason, "lost"):
            return
        run.stop = reason
        run.stopped_at = self._clock()
        run.task.cancel(reason)

    def _complain_about_thread(self, run: Run) -> None:
        logger.warning(
            "%s: its thread goes on although the run was ended (%s); its slot stays taken",
            run.title,
            run.stop,
        )

    def _abandon(self, run: Run) -> None:
        run.reported = True
        logger.warning("%s: does not end although it was cancelled; its slot stays taken", run.title)
        outcome = self._after_error(run, asyncio.CancelledError())
        if outcome is not None:
            self._report(outcome, run.job)
