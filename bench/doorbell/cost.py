"""Microseconds of `jobs.publish` with and without the bell while nobody sleeps, one call of each in turn."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from bench.doorbell.stand import Stand

__all__ = ["measure"]

_CALL = "select jobs.publish('bell.nothing', '{}')"


def measure(stand: Stand, calls: int) -> dict[str, float]:
    """Return the microseconds of each side that nine calls of ten exceed; no commit is waited for."""
    times: dict[str, list[float]] = {"with": [], "without": []}
    sides = {"with": psycopg.connect(stand.dsn()), "without": psycopg.connect(stand.dsn(bell=False))}
    for each in sides.values():
        each.execute("set synchronous_commit = off")
        each.prepare_threshold = 0
        each.commit()
    for number in range(calls):
        for name in sorted(sides, reverse=bool(number % 2)):
            began = time.perf_counter()
            sides[name].execute(_CALL)
            times[name].append((time.perf_counter() - began) * 1e6)
            sides[name].rollback()
    for each in sides.values():
        each.close()
    return {name: statistics.quantiles(found[calls // 10 :], n=10)[0] for name, found in times.items()}
