"""Looks from outside at how many jobs are done, the same way for every peer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.rates import Sample

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["StuckError", "look"]

# Looking takes at most this share of one core's time; seconds lie at least so far apart.
SHARE = 0.08
_LEAST = 0.005
# Seconds without any progress until a peer is given up.
_PATIENCE = 60.0


class StuckError(Exception):
    """A peer makes no progress."""


def look(
    count: Callable[[], int],
    enough: int,
    check: Callable[[], None],
    share: float = SHARE,
    used: Callable[[], tuple[float, float]] = lambda: (0.0, 0.0),
) -> list[Sample]:
    """Count until `enough` jobs are done; `used` tells the processor time of workers and server.

    Raises StuckError, and what `check` raises.
    """
    samples: list[Sample] = []
    moved_at = time.monotonic()
    while True:
        # A statement sees what was there when it began.
        at = time.monotonic()
        done = count()
        if not samples or done != samples[-1].done:
            moved_at = at
        samples.append(Sample(at, done, *used()))
        if done >= enough:
            return samples
        check()
        if at > moved_at + _PATIENCE:
            raise StuckError(f"{done} of {enough} jobs are done and nothing has moved for {_PATIENCE:g} s")
        time.sleep(max(_LEAST, (time.monotonic() - at) * (1 / share - 1)))
