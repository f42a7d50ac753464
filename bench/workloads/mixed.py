"""W8: publishers and a worker at once; one job in ten is delayed, one in twenty asks for a retry."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.options import Sizes
    from bench.stands import Stand

PUBLISHERS = 2
CALLERS = 8


def together(stand: Stand, sizes: Sizes) -> dict[str, float]:
    """Two processes publish, one job at a time in each of eight coroutines; count what has ended then."""
    with stand.place() as place, ExitStack() as stack:
        workers = stack.enter_context(place.workers())
        publishers = [
            stack.enter_context(place.command("mixed", sizes.mixed, CALLERS)) for _ in range(PUBLISHERS)
        ]
        figures = [publisher.figure() for publisher in publishers]
        published = int(sum(figure["jobs"] for figure in figures))
        with stand.store.counter(place.dsn, stand.peer, 0, published) as count:
            done = count()
        seconds = max(figure["seconds"] for figure in figures)
        for worker in workers:
            worker.check()
    return {"W8": done / seconds, "W8 published": published / seconds}
