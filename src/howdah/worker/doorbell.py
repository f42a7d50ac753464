"""Listens for the doorbell."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from howdah.errors import DatabaseUnavailable, HowdahError
from howdah.worker.log import logger
from howdah.worker.naps import DEAF_NAP
from howdah.worker.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from howdah.worker.line import Line

__all__ = ["CHANNEL", "NOTICES", "OWN_CHANNEL", "Doorbell"]

# For everybody, and for the worker of a number alone.
CHANNEL = "howdah"
OWN_CHANNEL = "howdah_{}"
# Says the number of a worker for whose runs there is a notice, such as that one is to stop.
NOTICES = "howdah_notice"


class Doorbell:
    """Wakes the worker when a job is published while it sleeps.

    `worker_id` tells under which number the worker is registered. `on_notice` is called with the number of
    each worker for whose runs there is a notice.
    """

    def __init__(self, line: Line, worker_id: Callable[[], int], on_notice: Callable[[str], None]) -> None:
        self._line = line
        self._worker_id = worker_id
        self._on_notice = on_notice
        self._on_call: Callable[[], None] | None = None
        self._rung = asyncio.Event()
        self._hears = False
        self.called: bool = False
        self._ended = asyncio.Event()

    @property
    def hears(self) -> bool:
        """Whether it listens. Who cannot hear must not be declared asleep: a publisher would rely on it."""
        return self._hears

    def expect(self) -> None:
        """Forget earlier rings: from now on a ring means something new. Call it before looking."""
        self._rung.clear()
        self.called = False

    def tell(self, on_call: Callable[[], None]) -> None:
        """Call this whenever this worker alone is rung; `called` is true until somebody looks."""
        self._on_call = on_call

    def listen_anew(self) -> None:
        """Listen under the number that the worker has now."""
        self._ended.set()

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
        await self._line.open()
        if self._line.pooled:
            # A subscription would stay with one of the pooler's sessions, and others would hear.
            logger.info("behind a connection pooler: looking for jobs every %s s", DEAF_NAP)
            await self._line.close()
            return
        await self._line.listen(CHANNEL, lambda _: self.ring(), self._ended.set)
        await self._line.listen(
            OWN_CHANNEL.format(self._worker_id()), lambda _: self._call(), self._ended.set
        )
        await self._line.listen(NOTICES, self._on_notice, self._ended.set)
        self._hears = True
        self.ring()  # what was published while nobody listened

    def _call(self) -> None:
        self.called = True
        self.ring()
        if self._on_call is not None:
            self._on_call()
