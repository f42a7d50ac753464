"""What the benchmark measured."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Figures", "Latency"]


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the publish of a job to its start by an idle worker.

    >>> Latency.of([0.003, 0.001, 0.002]).p50
    2.0
    """

    samples: int
    p50: float
    p90: float
    p99: float
    slowest: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Self:
        """Return the distribution of some durations in seconds."""
        found = sorted(round(one * 1000, 3) for one in seconds)
        p90, p99 = (found[min(len(found) - 1, int(len(found) * share))] for share in (0.9, 0.99))
        return cls(len(found), round(statistics.median(found), 3), p90, p99, found[-1])


@dataclass(frozen=True, slots=True)
class Figures:
    """Jobs per second by one client and one worker process, and the latency in milliseconds."""

    jobs: int
    publish_per_second: float
    publish_many_per_second: float
    drain_per_second: float
    latency_ms: Latency
