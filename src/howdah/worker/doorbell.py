"""Listens for the doorbell."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from howdah.errors import DatabaseUnavailable, HowdahError
from howdah.worker.log import logger
from howdah.worker.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from howdah.worker.line import Line

__all__ = ["CHANNEL", "NOTICES", "Doorbell"]

CHANNEL = "howdah"
# Says the number of a worker for whose runs there is a notice, such as that one is to stop.
NOTICES = "howdah_notice"
# Seconds: the safety poll of a worker that hears, and the poll of one that cannot hear.
_LONG_NAP = 5.0
_DEAF_NAP = 0.2


class Doorbell:
    """Wakes the worker when a job is published while it sleeps.

    `on_notice` is called with the number of each worker for whose runs there is a notice.
    """

    def __init__(self, line: Line, on_notice: Callable[[str], None]) -> None:
        self._line = line
        self._on_notice = on_notice
        self._rung = asyncio.Event()
        self._hears = False
        self._ended = asyncio.Event()

    @property
    def longest_nap(self) -> float:
        """How long the worker may sleep without a look, in seconds."""
        return _LONG_NAP if self._hears else _DEAF_NAP

    def expect(self) -> None:
        """Forget earlier rings: from now on a ring means something new. Call it before looking."""
        self._rung.clear()

    def ring(self) -> None:
        """Wake whoever waits."""
        self._rung.set()

    async def wait(self, seconds: float) -> None:
        """Return when it rings, or after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            pass

    async def run(self) -> None:
        """Listen, through every loss of the connection, until cancelled."""
        waiting = Waiting()
        while True:
            try:
                await self._listen()
                waiting.reset()
                await self._ended.wait()
            except DatabaseUnavailable as error:
                logger.debug("the doorbell cannot be heard: %s", error.message)
            except HowdahError as error:
                logger.error("the doorbell cannot be heard: %s", error)
            self._hears = False
            self.ring()  # a nap that began with open ears is too long now
            await asyncio.sleep(waiting.next())

    async def _listen(self) -> None:
        self._line.drop()
        self._ended.clear()
        await self._line.listen(CHANNEL, lambda _: self.ring(), self._ended.set)
        await self._line.listen(NOTICES, self._on_notice, self._ended.set)
        self._hears = True
        self.ring()  # what was published while nobody listened
