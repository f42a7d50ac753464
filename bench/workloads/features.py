"""W9 and W10: what features and limits cost Howdah, each beside a plain drain of as many jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.rates import rate

if TYPE_CHECKING:
    from bench.options import Sizes
    from bench.stands import Stand

# Share of the jobs: bodies are large, a transaction of the task's own takes a while.
FEATURES = {"plain": 1.0, "results": 1.0, "bodies": 0.4, "priorities": 1.0, "queues": 1.0, "connection": 0.1}


# The limits are so wide that nothing waits, but for the keys: a thousand, whose jobs run one after the other.
LIMITS = ("plain", "limit elsewhere", "limit", "tenants", "keys")


def limits(stand: Stand, sizes: Sizes) -> dict[str, float]:
    """Drain jobs under limits."""
    return {f"W10 {name}": _drain(stand, name, sizes.features) for name in LIMITS}


def features(stand: Stand, sizes: Sizes) -> dict[str, float]:
    """Drain jobs that use each feature."""
    return {
        f"W9 {name}": _drain(stand, name, int(sizes.features * share)) for name, share in FEATURES.items()
    }


def _drain(stand: Stand, name: str, jobs: int) -> float:
    with stand.place() as place:
        place.figure("feature", name, jobs)
        place.settle()
        with place.workers() as workers:
            # setting a limit draws a number, too
            return rate(place.watch(workers, 0, jobs + 1, enough=jobs), jobs)
