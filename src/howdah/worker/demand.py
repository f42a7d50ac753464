"""How many jobs to claim: pure decisions.

A worker keeps about 50 ms of work at hand. So a fast task is claimed in large batches, and a slow job never
sits on jobs that another worker could run.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BATCH_LIMIT", "Load", "claim_size", "flush_size", "next_duration", "prefetch"]

WORK_AT_HAND = 0.05  # seconds
PREFETCH_LIMIT = 2500
BATCH_LIMIT = 1000
# Characters of documents in memory, waiting for a slot.
PREFETCH_SIZE = 64_000_000
_WEIGHT = 0.05
_LONGEST = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """What a worker has at hand.

    `duration` is the mean seconds of a run, None before the first has ended. `size` is the mean length of a
    claimed job as it came, in characters.
    """

    slots: int
    busy: int
    waiting: int
    requested: int
    duration: float | None
    size: float = 0.0


def prefetch(slots: int, duration: float | None, size: float = 0.0) -> int:
    """Return how many jobs may wait for a slot.

    >>> prefetch(10, 0.001), prefetch(10, 30), prefetch(10, None), prefetch(10, 0.00001, size=1_000_000)
    (500, 0, 0, 64)
    """
    if duration is None:
        return 0
    return min(
        PREFETCH_LIMIT, int(PREFETCH_SIZE / max(size, 1.0)), int(slots * WORK_AT_HAND / max(duration, 1e-6))
    )


def claim_size(load: Load) -> int:
    """Return how many jobs to claim now; 0 while too few are missing to be worth a round trip.

    >>> claim_size(Load(slots=10, busy=10, waiting=0, requested=0, duration=30))
    0
    >>> claim_size(Load(slots=10, busy=9, waiting=0, requested=0, duration=30))
    1
    """
    capacity = max(load.slots - load.busy, 0) + prefetch(load.slots, load.duration, load.size)
    missing = capacity - load.waiting - load.requested
    if missing < max(1, min(capacity // 4, BATCH_LIMIT // 2)):
        return 0
    return min(missing, BATCH_LIMIT)


def flush_size(load: Load) -> int:
    """Return the number of outcomes that are handed in without waiting for more."""
    return max(1, min(prefetch(load.slots, load.duration, load.size) // 4, BATCH_LIMIT // 2))


def next_duration(mean: float | None, seconds: float) -> float:
    """Return the mean duration after one more run; one very long run must not hide that the others are short.

    >>> next_duration(None, 120), round(next_duration(0.001, 0.002), 5)
    (1.0, 0.00105)
    """
    seconds = min(seconds, _LONGEST)
    return seconds if mean is None else mean + (seconds - mean) * _WEIGHT
