"""SIGTERM and SIGINT: the first ends the worker gently, the second at once."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from howdah.worker.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["heeding_signals"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def heeding_signals(gently: Callable[[], None], at_once: Callable[[], None]) -> Iterator[None]:
    """Call `gently` at the first signal and `at_once` at the second, while the block runs."""
    loop = asyncio.get_running_loop()
    received: list[int] = []

    def received_one(number: int) -> None:
        received.append(number)
        name = signal.Signals(number).name
        if len(received) == 1:
            logger.info("%s: no new jobs; the running ones may end", name)
            gently()
        else:
            logger.info("%s again: ending at once", name)
            at_once()

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        _heed(loop, number, received_one)
    try:
        yield
    finally:
        for number in _SIGNALS:
            if sys.platform != "win32":
                loop.remove_signal_handler(number)
            signal.signal(number, before[number])


def _heed(loop: asyncio.AbstractEventLoop, number: int, received: Callable[[int], None]) -> None:
    if sys.platform != "win32":
        loop.add_signal_handler(number, received, number)
    else:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(received, number))
