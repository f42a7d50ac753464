"""Beats from a thread of its own, with its own event loop and connection.

So a task that blocks the worker's event loop does not lose the lease, and is named in the log.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

from howdah import calls
from howdah.errors import DatabaseUnavailable, HowdahError, WorkerUnknown
from howdah.worker.lease import nobody_is_served, since_boot
from howdah.worker.log import logger
from howdah.worker.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from howdah.drivers.asyncpg import OpenConnection
    from howdah.models import Verdict
    from howdah.worker.line import Line
    from howdah.worker.registration import Registration
    from howdah.worker.runner import Runner

__all__ = ["Heartbeat"]

_BEATS_PER_LEASE = 15
# Of a worker that holds no runs: nothing of it would be rescued, so it need not be seen dying that fast.
_IDLE_BEATS_PER_LEASE = 3
# A line that has answered so few seconds before a beat failed is no dead one.
_PROOF = 1.0
# Seconds without a turn after which the event loop counts as blocked.
_BLOCKED = 1.0


class Heartbeat:
    """Keeps the lease, and brings the verdicts to the runner.

    `make_line` is called in the thread. `on_unknown` is called in the worker's loop with the number that the
    database does not know, `on_recovered` after failures, with a moment
    (`time.monotonic`): a line that has not answered since may be dead.
    """

    def __init__(
        self,
        make_line: Callable[[], Line],
        registration: Registration,
        runner: Runner,
        lease: float,
        on_unknown: Callable[[int], None],
        on_recovered: Callable[[float], None],
    ) -> None:
        self._make_line = make_line
        self._registration = registration
        self._runner = runner
        self._every = lease / _BEATS_PER_LEASE
        self._idle_every = lease / _IDLE_BEATS_PER_LEASE
        self._due_at = 0.0
        self._seconds = lease
        self._on_unknown = on_unknown
        self._on_recovered = on_recovered
        self._failing_since: float | None = None
        self._tied_to: tuple[int, OpenConnection] | None = None
        self._worker_loop = asyncio.get_running_loop()
        self._worker_thread = threading.get_ident()
        self._thread = threading.Thread(target=self._main, name="howdah-heartbeat", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._wake: asyncio.Event | None = None
        self._started = threading.Event()
        self._warned_at = 0.0

    def start(self) -> None:
        """Start beating."""
        self._thread.start()
        self._started.wait(10)

    async def stop(self, seconds: float) -> None:
        """Stop beating, also in the middle of a call, and wait for the thread, at most for so long."""
        if self._loop is not None and self._task is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._task.cancel)
        await asyncio.to_thread(self._thread.join, seconds)

    def beat(self) -> None:
        """Beat now: there is something to learn."""
        if self._loop is not None and self._wake is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._wake.set)

    # ── In the thread ──

    def _main(self) -> None:
        try:
            with suppress(asyncio.CancelledError):  # it was stopped
                asyncio.run(self._beat())
        except Exception:
            logger.exception("the heartbeat ended: the lease will be lost")

    async def _beat(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        wake = self._wake = asyncio.Event()
        self._started.set()
        line, waiting = self._make_line(), Waiting(longest=self._every)
        try:
            while True:
                pause = self._every
                if wake.is_set() or self._due():
                    wake.clear()
                    if await self._one(line):
                        self._due_at = time.monotonic() + self._idle_every * random.uniform(0.9, 1)  # noqa: S311 (spreads load)
                        waiting.reset()
                    else:
                        self._due_at, pause = 0.0, waiting.next()
                self._watch_the_loop()
                try:
                    async with asyncio.timeout(pause):
                        await wake.wait()
                except TimeoutError:
                    pass
        finally:
            line.drop()

    def _due(self) -> bool:
        """Tell whether to beat: at each look while runs are held, else when it was long ago."""
        return self._runner.busy > 0 or time.monotonic() + self._every / 2 > self._due_at

    async def _one(self, line: Line) -> bool:
        worker_id, asked, began = self._registration.worker_id, since_boot(), time.monotonic()
        try:
            verdicts = await line.execute(calls.heartbeat(worker_id, self._runner.known_ids()))
        except WorkerUnknown:
            self._recovered()
            self._tell(lambda: self._on_unknown(worker_id))
        except DatabaseUnavailable as error:
            logger.debug("no heartbeat: %s", error.message)
            # Not from its beginning: a line may have answered last while this beat was under way.
            self._failing_since = max(began, time.monotonic() - _PROOF)
            if nobody_is_served(error):
                self._runner.lease.renew(asked, self._seconds)
            return False
        except HowdahError as error:
            logger.error("no heartbeat: %s", error)
        else:
            self._runner.lease.renew(asked, self._seconds)
            self._recovered()
            if verdicts:
                self._tell(lambda: self._deliver(verdicts))
            await self._tie(line, worker_id)
        return True

    async def _tie(self, line: Line, worker_id: int) -> None:
        """Tie our life to the connection, once, so that our death is seen before the lease ends."""
        try:
            connection = await line.open()
            if self._tied_to == (worker_id, connection):
                return
            await line.execute(calls.session_started(worker_id, connection.backend_pid))
        except HowdahError as error:
            logger.debug("the session is not tied: %s", error.message)
            return
        self._tied_to = (worker_id, connection)
        connection.on_end(lambda: self._ended(line, connection))

    def _ended(self, line: Line, connection: OpenConnection) -> None:
        if line.is_on(connection) and self._wake is not None:
            self._wake.set()  # not by ourselves: connect anew at once, or we count as dead

    def _recovered(self) -> None:
        since, self._failing_since = self._failing_since, None
        if since is not None:
            self._tell(lambda: self._on_recovered(since))

    def _deliver(self, verdicts: list[Verdict]) -> None:
        self._runner.take_verdicts(verdicts)

    def _tell(self, message: Callable[[], None]) -> None:
        try:
            self._worker_loop.call_soon_threadsafe(message)
        except RuntimeError:
            logger.debug("the worker's event loop is closed")

    def _watch_the_loop(self) -> None:
        now = time.monotonic()
        looked_at = self._runner.looked_at
        blocked = now - looked_at
        if looked_at == 0.0 or blocked < max(_BLOCKED, self._every):
            return
        if now < self._warned_at + 10:
            return
        self._warned_at = now
        frame = sys._current_frames().get(self._worker_thread)
        # Names and lines only: the values in the frames are the task's.
        where = " < ".join(
            f"{line.name} ({line.filename}:{line.lineno})"
            for line in reversed(traceback.extract_stack(frame)[-6:])
        )
        logger.warning("the event loop has been blocked for %.1f s by %s", blocked, where)
