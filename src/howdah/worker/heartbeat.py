"""Beats from a thread of its own, with its own event loop and connection.

So a task that blocks the worker's event loop does not lose the lease, and is named in the log.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

from howdah import calls
from howdah.errors import DatabaseUnavailable, HowdahError, WorkerUnknown
from howdah.worker.log import logger
from howdah.worker.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from howdah.models import Verdict
    from howdah.worker.line import Line
    from howdah.worker.registration import Registration
    from howdah.worker.runner import Runner

__all__ = ["Heartbeat"]

_BEATS_PER_LEASE = 15
# Seconds without a turn after which the event loop counts as blocked.
_BLOCKED = 1.0


class Heartbeat:
    """Keeps the lease, and brings the verdicts to the runner.

    `make_line` is called in the thread. `on_unknown` is called in the worker's loop with the number that the
    database does not know.
    """

    def __init__(
        self,
        make_line: Callable[[], Line],
        registration: Registration,
        runner: Runner,
        lease: float,
        on_unknown: Callable[[int], None],
    ) -> None:
        self._make_line = make_line
        self._registration = registration
        self._runner = runner
        self._every = lease / _BEATS_PER_LEASE
        self._on_unknown = on_unknown
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
                wake.clear()
                pause = self._every if await self._one(line) else waiting.next()
                self._watch_the_loop()
                try:
                    async with asyncio.timeout(pause):
                        await wake.wait()
                except TimeoutError:
                    pass
        finally:
            line.drop()

    async def _one(self, line: Line) -> bool:
        worker_id = self._registration.worker_id
        try:
            verdicts = await line.execute(calls.heartbeat(worker_id, self._runner.run_ids()))
        except WorkerUnknown:
            self._tell(lambda: self._on_unknown(worker_id))
        except DatabaseUnavailable as error:
            logger.debug("no heartbeat: %s", error.message)
            return False
        except HowdahError as error:
            logger.error("no heartbeat: %s", error)
        else:
            if verdicts:
                self._tell(lambda: self._deliver(verdicts))
        return True

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
