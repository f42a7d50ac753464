"""SIGTERM and SIGINT: the first ends the worker gently, the second at once; none is forgotten."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from howdah.worker.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["NUMBERS", "Signals", "heeding_signals", "ignore_signals", "noting_signals"]

NUMBERS = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """The signals that this process got. With `ends`, one that nobody heeds raises `SystemExit`, code 0."""

    def __init__(self, *, ends: bool = False) -> None:
        self.received: list[int] = []
        self.ends: bool = ends
        self._told = 0
        self._process = os.getpid()
        self._raised: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gently: Callable[[], None] | None = None
        self._at_once: Callable[[], None] | None = None

    def install(self) -> None:
        """Take the signals from now on."""
        for number in NUMBERS:
            signal.signal(number, self._note)
        if self.ends:
            self._keep_quiet(sys.unraisablehook)

    def heed(self, gently: Callable[[], None], at_once: Callable[[], None]) -> None:
        """Call these in the running event loop, also for what has come before."""
        self._gently, self._at_once = gently, at_once
        self._loop = asyncio.get_running_loop()
        self._pass_on()

    def unheed(self) -> None:
        """Only note what comes from now on."""
        self._loop = self._gently = self._at_once = None

    def _note(self, number: int, frame: object) -> None:
        if os.getpid() != self._process:  # a process that a task forked ends as any other does
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.received.append(number)
        if self._loop is not None:
            with suppress(RuntimeError):  # it is closed
                self._loop.call_soon_threadsafe(self._pass_on)
        elif self.ends:
            self._raised = KeyboardInterrupt() if number == signal.SIGINT else SystemExit(0)
            raise self._raised

    def _keep_quiet(self, before: Callable[[sys.UnraisableHookArgs], object]) -> None:
        # An import's weak references call back at any moment. What is raised there is printed and lost; the
        # signal is not lost: it has been noted, and ends the worker where it begins.
        def hook(unraisable: sys.UnraisableHookArgs) -> None:
            if self._raised is None or unraisable.exc_value is not self._raised:
                before(unraisable)

        sys.unraisablehook = hook

    def _pass_on(self) -> None:
        while self._told < len(self.received) and self._gently is not None and self._at_once is not None:
            name = signal.Signals(self.received[self._told]).name
            self._told += 1
            if self._told == 1:
                logger.info("%s: no new jobs; the running ones may end", name)
                self._gently()
            else:
                logger.info("%s again: ending at once", name)
                self._at_once()


def ignore_signals() -> None:
    """Hear none any more: this process is ending, and its exit code is settled."""
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def noting_signals() -> Iterator[Signals]:
    """Note the signals while the block runs, if nobody does so already, and let none end the process."""
    # One disposition from the beginning to the end: an event loop that closes would let the next one kill us.
    before = {number: signal.getsignal(number) for number in NUMBERS}
    owner = getattr(before[signal.SIGTERM], "__self__", None)
    signals = owner if isinstance(owner, Signals) else Signals()
    ends, signals.ends = signals.ends, False
    signals.install()
    try:
        yield signals
    finally:
        if signals is not owner:
            for number in NUMBERS:
                signal.signal(number, before[number])
        # Else it goes on noting: whoever installed it is about to end.
        elif not signals.received:
            signals.ends = ends


@contextmanager
def heeding_signals(gently: Callable[[], None], at_once: Callable[[], None]) -> Iterator[None]:
    """Call `gently` at the first signal and `at_once` at the second, while the block runs."""
    with noting_signals() as signals:
        signals.heed(gently, at_once)
        try:
            yield
        finally:
            signals.unheed()
