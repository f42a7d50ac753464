"""W2, W3, W3b: publishing in bulk, then draining what was published by one or two worker processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.rates import processor_time, rate

if TYPE_CHECKING:
    from bench.options import Sizes
    from bench.stands import Stand


def one_process(stand: Stand, sizes: Sizes) -> dict[str, float]:
    """Fill a queue in bulk and drain it by one worker process."""
    return _drain(stand, sizes, 1, "W3")


def two_processes(stand: Stand, sizes: Sizes) -> dict[str, float]:
    """Drain a queue by two worker processes."""
    return _drain(stand, sizes, 2, "W3b")


def _drain(stand: Stand, sizes: Sizes, processes: int, name: str) -> dict[str, float]:
    jobs = stand.jobs(sizes.drain)
    with stand.place() as place:
        figures = {"W2": place.rate("bulk", jobs)}
        if name in sizes.wanted:
            place.settle()
            with place.workers(processes) as workers:
                samples = place.watch(workers, 0, jobs)
            figures[name] = rate(samples, jobs)
            figures[f"{name} cpu worker"], figures[f"{name} cpu server"] = processor_time(samples, jobs)
    return figures
