"""W7: draining 20,000 jobs out of 20,000, of a million, of ten million."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from bench.rates import TooFewSamples, rate_between

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.options import Sizes
    from bench.stands import Place, Stand

DRAINED = 20_000
REPEATS = 5
LARGEST_OF_PEERS = 1_000_000
# The start of a worker is left out, and what it does when it has come to the end.
PART = (0.1, 0.9)
# The jobs looked at: more than are drained. Looking costs the same whatever lies behind.
WINDOW = 60_000
_SHARE = 0.25
# Seconds to publish ten million jobs.
_FILLED = 1800.0


def backlogs(stand: Stand, sizes: Sizes) -> dict[str, float]:
    """Drain out of each backlog; ten million are for Howdah alone."""
    ours = stand.peer.runtime == "ours"
    chosen = [size for size in sizes.backlogs if ours or size <= LARGEST_OF_PEERS]
    found = {size: _drain(stand, size) for size in chosen}
    rates = {f"W7 of {size:,}": value for size, value in found.items()}
    least = min(found)
    ratios = {
        f"W7 {size:,} / {least:,}": value / found[least] for size, value in found.items() if size > least
    }
    return {**rates, **ratios}


def _drain(stand: Stand, size: int) -> float:
    if size > DRAINED:
        with stand.place() as place:
            _fill(place, size)
            return statistics.median(_again_and_again(place, size))
    return statistics.median(_all_of(stand, size) for _ in range(REPEATS))


def _again_and_again(place: Place, size: int) -> Iterator[float]:
    """Drain 20,000 again as long as the backlog is nearly what it was."""
    for number in range(REPEATS):
        if number and _first(place) > size / 2:
            return
        yield _some_of(place, size)


def _all_of(stand: Stand, size: int) -> float:
    with stand.place() as place:
        _fill(place, size)
        return _some_of(place, size)


def _fill(place: Place, size: int) -> None:
    place.figure("bulk", size, patience=_FILLED)
    place.settle()


def _some_of(place: Place, size: int) -> float:
    low, done = _untouched(place, size)
    with place.workers() as workers:
        samples = place.watch(workers, low, min(low + WINDOW, size), done + DRAINED, _SHARE)
    return rate_between(samples, *(done + share * DRAINED for share in PART))


def _untouched(place: Place, size: int) -> tuple[int, int]:
    """Find where most jobs are still to do; return the place and how many are done there nevertheless.

    A worker that is stopped leaves some behind, among others that it has done.
    """
    low = _first(place)
    while True:
        high = min(low + WINDOW, size)
        with place.stand.store.counter(place.dsn, place.stand.peer, low, high) as count:
            done = count()
        if high - low - done >= min(2 * DRAINED, size):
            return low, done
        low += DRAINED
        if low >= size:
            raise TooFewSamples("the backlog is at its end")


def _first(place: Place) -> int:
    return place.stand.postgres.first(place.dsn, place.stand.peer)
