"""How late the machine is: `python -m chaos.metronome`. Sleeps, works, and says what took too long.

A bound in seconds holds for a machine with nothing else to do. A checker that allowed for others by a larger
constant would overlook what is slow by itself; it leaves out what this process has been waiting instead.
"""

from __future__ import annotations

import signal
import time

from chaos.journal import Journal

# Seconds of each turn: sleep, then processor time.
_SLEEP = 0.01
_WORK = 0.002
# Seconds between two lines.
_EVERY = 0.1


class Metronome:
    """Measures until SIGTERM."""

    def __init__(self) -> None:
        self._journal = Journal.of_the_environment("metronome")
        self._stopping = False

    def run(self) -> None:
        """Write a line about each tenth of a second."""
        signal.signal(signal.SIGTERM, self._stop)
        since, late = time.monotonic(), 0.0
        while not self._stopping:
            late += turn()
            now = time.monotonic()
            if now >= since + _EVERY:
                self._journal.write("late", since=since, until=now, late=late)
                since, late = now, 0.0

    def _stop(self, *_: object) -> None:
        self._stopping = True


def turn() -> float:
    """Sleep and work once; return by how many seconds that took longer than it should."""
    began = time.monotonic()
    time.sleep(_SLEEP)
    busy = time.thread_time()
    while (worked := time.thread_time() - busy) < _WORK:
        pass
    return max(0.0, time.monotonic() - began - _SLEEP - worked)


if __name__ == "__main__":
    Metronome().run()
