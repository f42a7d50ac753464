"""From samples of how many jobs are done to rates. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Sample", "TooFewSamples", "processor_time", "rate", "rate_between"]

# The start of the processes is no part of a rate: it is taken from when this share is done.
STARTED = 0.1


@dataclass(frozen=True, slots=True)
class Sample:
    """At a moment, in seconds of the machine's clock, so many jobs were done.

    `worker`, `server`: seconds of processor time that they had used by then.
    """

    at: float
    done: int
    worker: float = 0.0
    server: float = 0.0


class TooFewSamples(Exception):
    """The jobs were done too soon to tell how fast."""


def rate(samples: Sequence[Sample], jobs: int) -> float:
    """Return jobs per second, from a tenth done to the last look that found work left.

    Between two looks at exact counts the rate is exact, however long the looks are apart.

    >>> rate([Sample(0, 0), Sample(1, 60), Sample(2, 260), Sample(3, 460), Sample(3.5, 510)], 510)
    200.0
    """
    first, last = window(samples, jobs)
    return (last.done - first.done) / (last.at - first.at)


def processor_time(samples: Sequence[Sample], jobs: int) -> tuple[float, float]:
    """Return microseconds of processor time that worker and server used for a job, between the same looks.

    >>> processor_time([Sample(0, 20, 1, 1), Sample(1, 50, 2, 3), Sample(2, 80, 4, 7)], 100)
    (50000.0, 100000.0)
    """
    first, last = window(samples, jobs)
    done = (last.done - first.done) / 1e6
    return (last.worker - first.worker) / done, (last.server - first.server) / done


def window(samples: Sequence[Sample], jobs: int) -> tuple[Sample, Sample]:
    """Return the looks between which a rate is taken. Raises TooFewSamples."""
    within = [sample for sample in samples if jobs * STARTED <= sample.done < jobs]
    if len(within) < 3 or within[-1].done - within[0].done < 0.3 * jobs:
        raise TooFewSamples(f"{jobs} jobs were done within {len(within)} looks: give more jobs")
    return within[0], within[-1]


def rate_between(samples: Sequence[Sample], low: float, high: float) -> float:
    """Return jobs per second between two counts, the moments interpolated.

    >>> rate_between([Sample(0, 0), Sample(1, 100), Sample(2, 300)], 50, 200)
    150.0
    """
    seconds = moment_of(samples, high) - moment_of(samples, low)
    if seconds <= 0:
        raise TooFewSamples(f"{low:g} and {high:g} were done between two looks: give more jobs")
    return (high - low) / seconds


def moment_of(samples: Sequence[Sample], done: float) -> float:
    """Return when so many were done, interpolated.

    >>> moment_of([Sample(0, 0), Sample(2, 100)], 25)
    0.5
    """
    before = samples[0]
    for sample in samples:
        if sample.done >= done:
            if sample.done == before.done:
                return sample.at
            share = (done - before.done) / (sample.done - before.done)
            return before.at + share * (sample.at - before.at)
        before = sample
    raise TooFewSamples(f"only {before.done} of {done:g} were done")
