"""What the metrics are called, and how their values are written. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["DESCRIPTIONS", "Unit", "describe", "shown", "unit_of"]

DESCRIPTIONS: Final = {
    "W1": "publish one at a time",
    "W1c": "publish from 100 coroutines of one process",
    "W2": "publish in bulk",
    "W3": "drain, one worker process",
    "W3b": "drain, two worker processes",
    "W4": "idle worker, publish to start",
    "W4b": "500 jobs a second, publish to start",
    "W5": "idle worker, resident memory",
    "W6": "drain under an old snapshot",
    "W7": "drain 20,000",
    "W8": "publish and run at once",
    "W9": "drain of jobs with",
    "W10": "drain under",
    "limit": "the least SQL, drain",
}


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit, and whether less is better."""

    name: str
    less: bool = False


def unit_of(metric: str) -> Unit:
    """Return a metric's unit.

    >>> unit_of("W4 p99").name, unit_of("W6 last/first").name
    ('ms', '')
    """
    if metric.startswith("W4"):
        return Unit("ms", less=True)
    if " cpu " in metric:
        return Unit("µs/job", less=True)
    if metric == "W5":
        return Unit("MB", less=True)
    return Unit("" if "/" in metric else "jobs/s")


def describe(metric: str) -> str:
    """Say what a metric is.

    >>> describe("W4 p99")
    'W4 idle worker, publish to start: p99'
    """
    name, _, rest = metric.partition(" ")
    return f"{name} {DESCRIPTIONS.get(name, '')}{': ' if rest else ''}{rest}"


def shown(metric: str, value: float) -> str:
    """Write a value with its unit.

    >>> shown("W3", 23052.4), shown("W4 p50", 1.907)
    ('23,052 jobs/s', '1.91 ms')
    """
    unit = unit_of(metric).name
    digits = {"jobs/s": 0, "MB": 1, "µs/job": 1}.get(unit, 2)
    return f"{value:,.{digits}f} {unit}".strip()
