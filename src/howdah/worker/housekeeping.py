"""Sees to it that `maintain()` is called every second: promotions, rescues, expiries; one worker for all."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

from howdah import calls
from howdah.errors import DatabaseUnavailable, HowdahError
from howdah.worker.log import logger
from howdah.worker.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from howdah.worker.line import Line

__all__ = ["Housekeeping"]

_EVERY = 1.0
# When a worker has lost its session: if it does not come back by then, it is dead.
_SOON = 0.5
# Whoever finds that another one keeps house looks less and less often, but soon enough to go on in its place
# before the lease of that one ends.
_LONGEST = 10.0


class Housekeeping:
    """Keeps house on a connection of its own: notifications must not wait for the end of a long chore."""

    def __init__(self, line: Line, lease: float = 15, busy: Callable[[], bool] = lambda: False) -> None:
        self._line = line
        self._busy = busy
        self._longest = max(_EVERY, min(_LONGEST, lease * 2 / 3))

    async def run(self) -> None:
        """Keep house, through every loss of the connection, until cancelled."""
        waiting = Waiting()
        pause, keeps = _EVERY, True
        while True:
            try:
                # Who keeps house goes on doing so: others step in when it is late.
                every = 0.9 * min(pause, _EVERY) if keeps else 2 * _EVERY
                done = await self._line.execute(calls.maintain(every))
                keeps = bool(done)
                waiting.reset()
                pause = _EVERY if done else self._less_often(pause)
                if any(row["chore"] == "missing" for row in done):
                    pause = _SOON
            except DatabaseUnavailable as error:
                logger.debug("no housekeeping: %s", error.message)
                pause = waiting.next()
            except HowdahError as error:
                logger.error("housekeeping failed: %s", error)
                pause = _EVERY
            await self._sleep(pause)

    async def _sleep(self, seconds: float) -> None:
        """Sleep for so long, but not on while runs are at stake: whoever keeps house may die with its own."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not (seconds > _EVERY and self._busy()):  # noqa: ASYNC110 (an event would cost each run)
            await asyncio.sleep(min(left, _EVERY))

    def _less_often(self, pause: float) -> float:
        return min(2 * pause, self._longest) * random.uniform(0.8, 1)  # noqa: S311 (spreads load, guards nothing)
