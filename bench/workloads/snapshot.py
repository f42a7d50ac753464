"""W6: a drain while an old snapshot is held open, so that nothing that was deleted can be removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.rates import rate_between

if TYPE_CHECKING:
    from bench.options import Sizes
    from bench.stands import Stand

# Where the first and the last tenth lie: the worker has started, and it is not yet looking for more.
FIRST = (0.05, 0.15)
LAST = (0.89, 0.99)
TENTHS = 9


def held(stand: Stand, sizes: Sizes) -> dict[str, float]:
    """Drain by one worker process; the rate of each tenth."""
    jobs = stand.jobs(sizes.snapshot)
    with stand.place() as place:
        place.figure("bulk", jobs)
        place.settle()
        with stand.postgres.old_snapshot(place.dsn), place.workers() as workers:
            samples = place.watch(workers, 0, jobs)
    first, last = (rate_between(samples, low * jobs, high * jobs) for low, high in (FIRST, LAST))
    curve = {
        f"W6 at {10 * (number + 1)} %": rate_between(
            samples, jobs * (number + 0.5) / 10, jobs * (number + 1.5) / 10
        )
        for number in range(TENTHS)
    }
    return {"W6 first": first, "W6 last": last, "W6 last/first": last / first, **curve}
