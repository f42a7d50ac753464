"""Calls `maintain()` every second: promotions, rescues, expiries. A try-lock lets one worker through."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from howdah import calls
from howdah.errors import DatabaseUnavailable, HowdahError
from howdah.worker.log import logger
from howdah.worker.waiting import Waiting

if TYPE_CHECKING:
    from howdah.worker.line import Line

__all__ = ["Housekeeping"]

_EVERY = 1.0


class Housekeeping:
    """Keeps house on a connection of its own: notifications must not wait for the end of a long chore."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def run(self) -> None:
        """Keep house, through every loss of the connection, until cancelled."""
        waiting = Waiting()
        while True:
            pause = _EVERY
            try:
                await self._line.execute(calls.maintain())
                waiting.reset()
            except DatabaseUnavailable as error:
                logger.debug("no housekeeping: %s", error.message)
                pause = waiting.next()
            except HowdahError as error:
                logger.error("housekeeping failed: %s", error)
            await asyncio.sleep(pause)
