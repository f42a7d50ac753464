"""One worker process."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import sys
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from howdah.drivers.pool import Pool
from howdah.drivers.transactions import Connections
from howdah.errors import HowdahError
from howdah.worker.doorbell import Doorbell
from howdah.worker.heartbeat import Heartbeat
from howdah.worker.housekeeping import Housekeeping
from howdah.worker.isolation import processes_for
from howdah.worker.lifespan import resources_of
from howdah.worker.line import Line
from howdah.worker.log import logger, totals_line
from howdah.worker.options import WorkerOptions
from howdah.worker.pipeline import Pipeline
from howdah.worker.registration import Registration
from howdah.worker.reload import RELOAD, Watch, imported_files
from howdah.worker.restart import RESTART, worn_out
from howdah.worker.runner import Runner
from howdah.worker.shares import queues_line
from howdah.worker.signals import heeding_signals, noting_signals
from howdah.worker.surroundings import WorkerBacking

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from howdah.app import Howdah

__all__ = ["Worker", "new_event_loop"]

_TOTALS_EVERY = 10.0
# Seconds that handing in may take once the running jobs have been cancelled, and all that follows it.
_LAST_WORDS = 0.6
_LAST_STEPS = 0.25
# Seconds that all that follows may take when nothing presses, and that each step of it gets at least.
_AT_LEISURE = 2.0
_MOMENT = 0.05
_EXCHANGES_UNDER_WAY = 2
# A line that has answered so few seconds ago is no dead one.
_PROOF = 1.0
# What running jobs get when a source has changed: somebody is waiting.
_RELOAD_GRACE = 2.0


class Worker:
    """Runs the jobs of an app, in this process.

    `on_registered` is told the worker's number at each registration. `on_restart` is called at the end of
    `main` when the worker wants to be started anew; it need not return.

    >>> from howdah import Howdah
    >>> worker = Worker(Howdah(":temporary:"), WorkerOptions(burst=True))
    >>> worker.main()  # runs what is there, then ends  # doctest: +SKIP
    0
    """

    def __init__(
        self,
        app: Howdah,
        options: WorkerOptions | None = None,
        *,
        on_registered: Callable[[int], None] | None = None,
        on_restart: Callable[[], Any] | None = None,
    ) -> None:
        self.app = app
        self.options: WorkerOptions = options or WorkerOptions()
        self.allow: tuple[str, ...] = (*app.allow, *self.options.allow)
        self.started: asyncio.Event = asyncio.Event()
        self.stuck: int = 0
        self._on_registered = on_registered
        self._on_restart = on_restart
        self._heartbeat: Heartbeat | None = None
        self._registration: Registration | None = None
        self._pipeline: Pipeline | None = None
        self._runner: Runner | None = None
        self._starting: asyncio.Future[None] | None = None
        self._running: asyncio.Task[None] | None = None
        self._closing: asyncio.Future[None] | None = None
        self._lines: list[Line] = []
        self._stop_wanted = False
        self._unknown_as = 0
        self._end_by = math.inf
        self.exit_code: int = 0

    @property
    def worker_id(self) -> int:
        """The number under which the worker is registered now; 0 before."""
        return self._registration.worker_id if self._registration is not None else 0

    @property
    def totals(self) -> dict[str, int]:
        """How many runs have ended how."""
        return dict(self._runner.totals) if self._runner is not None else {}

    def main(self) -> int:
        """Run until a signal ends it (or, with `burst`, until there is nothing to do); return the exit code.

        The code is 75 when too many threads were stuck: start it anew. Raises a `HowdahError` when it cannot
        start.
        """
        with noting_signals() as signals, asyncio.Runner(loop_factory=new_event_loop()) as runner:
            runner.run(self._heeding_signals())
            if self.exit_code == RESTART and self._on_restart is not None and not signals.received:
                self.app.database.release()
                self._on_restart()
            if signals.received:
                self.exit_code = 0  # whoever told it to end does not want a new one
            if self.stuck:
                # The loop would wait for them for ever.
                logger.warning("%s tasks do not end: leaving them behind", self.stuck)
                self.app.database.release()
                logging.shutdown()
                sys.stdout.flush()
                os._exit(self.exit_code)
        return self.exit_code

    async def run(self) -> None:
        """Run until `stop` is called (or, with `burst`, until there is nothing to do).

        Raises a `HowdahError` when it cannot start; once started, the database may come and go. When its time
        to end is over it returns although processes are still ending: see `wait_closed`.
        """
        dsn = await asyncio.to_thread(self.app.database.dsn)
        self.app.import_tasks()
        try:
            async with resources_of(self.app.lifespans) as resources:
                await self._register_and_work(dsn, self._backing(dsn, resources))
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._left()):
                    await asyncio.gather(*(line.close() for line in self._lines))
            for line in self._lines:
                line.drop()  # what the deadline cut short

    async def wait_closed(self) -> None:
        """Wait until all is closed that `run` has opened: for those who go on after it in the same loop."""
        if self._closing is not None:
            await self._closing

    def stop(self) -> None:
        """End gently: no new jobs, `grace` seconds for the running ones, then they are given back."""
        self._stop_wanted = True
        if self._starting is not None:
            self._starting.cancel()
        if self._pipeline is not None and not self._pipeline.stopping:
            self._pipeline.stop()
            self._end_within(self.options.grace)
            self._later(self.options.grace, self.stop_now)

    def stop_now(self) -> None:
        """End at once: running jobs are cancelled and given back, without costing an attempt."""
        self.stop()
        if self._runner is not None and self._running is not None:
            self._runner.stop_all("shutdown")
            self._end_within(0)
            self._later(_LAST_WORDS, self._running.cancel)

    # ── In order ──

    async def _register_and_work(self, dsn: str, backing: WorkerBacking) -> None:
        runner = self._runner = Runner(
            self.app.tasks,
            self.allow,
            self.options.concurrency,
            self._changed,
            backing,
            self.app.middlewares,
            self._fenced,
        )
        lines = [self._line(dsn, "howdah worker") for _ in range(_EXCHANGES_UNDER_WAY)]
        doorbell = Doorbell(self._line(dsn, "howdah doorbell"), lambda: self.worker_id, self._noticed)
        runner.threads.on_overrun = self._overran
        registration = self._registration = Registration(
            lines[0], runner.catalogue, self.options, self.allow, self._on_registered, runner.lease
        )
        if not await self._registered(registration):
            return
        pipeline = self._pipeline = Pipeline(runner, registration, lines, doorbell, self.options)
        self._announce()
        try:
            await self._work(dsn, runner, registration, pipeline, doorbell, backing)
        finally:
            await self._leave(runner, registration)
            await self._close(backing)

    async def _registered(self, registration: Registration) -> bool:
        """Register; False when it was told to stop before the database was there."""
        if self._stop_wanted:
            logger.info("stopped before it could register")
            return False
        self._starting = asyncio.ensure_future(registration.register())
        try:
            await self._starting
        except asyncio.CancelledError:
            if not self._stop_wanted:
                raise
            logger.info("stopped before it could register")
            return False
        finally:
            self._starting = None
        return True

    async def _work(
        self,
        dsn: str,
        runner: Runner,
        registration: Registration,
        pipeline: Pipeline,
        doorbell: Doorbell,
        backing: WorkerBacking,
    ) -> None:
        backing.isolated.warm([*self.app.tasks])
        heartbeat = self._heartbeat = Heartbeat(
            lambda: self._heartbeat_line(dsn),
            registration,
            runner,
            self.options.lease,
            self._unknown,
            self._recovered,
        )
        heartbeat.start()
        try:
            async with asyncio.TaskGroup() as services:
                keeping = self._line(dsn, "howdah housekeeping")
                housekeeping = Housekeeping(keeping, self.options.lease, lambda: runner.busy > 0)
                beside = (
                    runner.watch(),
                    doorbell.run(),
                    housekeeping.run(),
                    backing.log.run(),
                    self._totals(runner),
                    self._sources(),
                )
                around = [services.create_task(service) for service in beside]
                self._running = services.create_task(self._until_drained(pipeline))
                self.started.set()
                if self._stop_wanted:
                    self.stop()
                await asyncio.wait([self._running])
                for service in around:
                    service.cancel()
        finally:
            self._end_by = max(self._end_by, asyncio.get_running_loop().time() + _LAST_STEPS)
            await heartbeat.stop(self._left())

    async def _until_drained(self, pipeline: Pipeline) -> None:
        try:
            await pipeline.run()
        except asyncio.CancelledError:
            if pipeline.unreported:
                logger.warning("ended with %s runs not handed in: their leases end", pipeline.unreported)

    async def _leave(self, runner: Runner, registration: Registration) -> None:
        runner.stop_all("lost")
        await asyncio.sleep(0)
        self.stuck = runner.unended
        runner.close()
        try:
            async with asyncio.timeout(self._left()):
                await registration.leave()
        except (HowdahError, TimeoutError) as error:
            logger.warning("worker %s could not sign off: %s", registration.worker_id, error)
        logger.info("worker %s stopped: %s", registration.worker_id, totals_line(runner.totals, 0))

    async def _close(self, backing: WorkerBacking) -> None:
        # Not cancelled when it takes too long: it goes on killing processes for as long as the loop lives.
        closing = self._closing = asyncio.ensure_future(backing.close())
        await asyncio.wait([closing], timeout=self._left())
        if closing.done():
            closing.result()

    # ── Beside ──

    def _backing(self, dsn: str, resources: Mapping[str, Any]) -> WorkerBacking:
        size = self.options.concurrency
        pool = Pool(dsn, size=min(size, 4), name="howdah log")
        processes = processes_for(self.app, dsn, self.options)
        connections = Connections(dsn, size, self.app.settings.pooled_transactions)
        return WorkerBacking(connections, pool, resources, processes)

    def _heartbeat_line(self, dsn: str) -> Line:
        # Several tries within a lease, should an answer be lost.
        patience = min(5.0, max(1.0, self.options.lease / 3))
        return Line(dsn, "howdah heartbeat", answer_timeout=patience, connect_timeout=patience)

    def _line(self, dsn: str, name: str) -> Line:
        line = Line(dsn, name)
        self._lines.append(line)
        return line

    def _changed(self) -> None:
        if self._pipeline is not None:
            self._pipeline.changed()

    def _recovered(self, failing_since: float) -> None:
        # The heartbeat had to connect anew: what has not answered since may wait for ever.
        for line in self._lines:
            line.doubt(failing_since)

    def _fenced(self) -> None:
        if self._pipeline is not None:
            self._pipeline.fenced()

    def _unknown(self, worker_id: int) -> None:
        if self._unknown_as != worker_id:  # once: the next call on such a line is the new registration
            self._unknown_as = worker_id
            self._recovered(time.monotonic() - _PROOF)
        if self._pipeline is not None:
            self._pipeline.declared_dead(worker_id)

    def _noticed(self, worker: str) -> None:
        if self._heartbeat is not None and worker == str(self.worker_id):
            self._heartbeat.beat()

    def _overran(self) -> None:
        threads = self._runner.threads if self._runner is not None else None
        if threads is None or self._stop_wanted or not worn_out(threads, self.options):
            return
        logger.warning(
            "%s threads went on after their runs had ended, %s still do: starting anew",
            threads.overran,
            threads.abandoned,
        )
        self.exit_code = RESTART
        self.stop()

    def _left(self) -> float:
        """Return the seconds until the end must have come; each of the last steps gets a moment."""
        return min(max(_MOMENT, self._end_by - asyncio.get_running_loop().time()), _AT_LEISURE)

    def _end_within(self, seconds: float) -> None:
        ending = asyncio.get_running_loop().time() + seconds + _LAST_WORDS + _LAST_STEPS
        self._end_by = min(self._end_by, ending)

    def _later(self, seconds: float, action: Callable[[], Any]) -> None:
        asyncio.get_running_loop().call_later(seconds, action)

    async def _totals(self, runner: Runner) -> None:
        before: Counter[str] = Counter()
        while True:
            await asyncio.sleep(_TOTALS_EVERY)
            new = runner.totals - before
            before = runner.totals.copy()
            if new or runner.busy:
                logger.info("last %d s: %s", _TOTALS_EVERY, totals_line(new, runner.busy))

    async def _sources(self) -> None:
        """With `reload`: end when a source has changed; whoever started this process starts a new one."""
        if not self.options.reload:
            return
        file = await Watch(imported_files).change()
        logger.info("%s has changed: starting anew", file)
        self.exit_code = RELOAD
        self.stop()
        self._later(min(self.options.grace, _RELOAD_GRACE), self.stop_now)

    def _announce(self) -> None:
        options = self.options
        logger.info(
            "worker %s started: %s tasks, allowed packages: %s, queues: %s, concurrency %s",
            self.worker_id,
            len(self.app.tasks),
            ", ".join(self.allow) or "none",
            queues_line(options.queues, options.weights),
            options.concurrency,
        )

    async def _heeding_signals(self) -> None:
        with heeding_signals(self.stop, self.stop_now):
            await self.run()


def new_event_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes event loops: uvloop's where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
