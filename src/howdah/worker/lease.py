"""The lease by this machine's own clock: when it is over, others may run what runs here."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from howdah.errors import DatabaseUnavailable

__all__ = ["Lease", "nobody_is_served", "since_boot"]

# It starts up or shuts down; it is read-only; its disk is full.
_SERVES_NOBODY = ("57P03", "25006", "53100")


def since_boot() -> float:
    """Return the seconds since the machine was started; where the system tells, also those it slept."""
    return _clock()


def _slept_included() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


_clock = _slept_included if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic


class Lease:
    """How long nobody else can have been given this worker's runs; written and read by different threads.

    Before the first renewal it has no end.
    """

    def __init__(self) -> None:
        self._ends = math.inf

    def renew(self, asked_at: float, seconds: float) -> None:
        """Take notice that it was renewed for so many seconds, when that was asked or a little later."""
        self._ends = asked_at + seconds

    def over(self) -> bool:
        """Tell whether it may be over."""
        return _clock() >= self._ends


def nobody_is_served(error: DatabaseUnavailable) -> bool:
    """Tell whether an error proves that the server takes nothing from anybody: then no lease ends.

    >>> from howdah.errors import DatabaseUnavailable
    >>> nobody_is_served(DatabaseUnavailable("the database system is starting up", sqlstate="57P03"))
    True
    """
    refused = isinstance(error.__cause__, ConnectionRefusedError | FileNotFoundError)
    return refused or error.sqlstate in _SERVES_NOBODY
