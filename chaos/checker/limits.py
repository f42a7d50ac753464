"""S12: jobs that share slots."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from chaos.checker.book import Finding

if TYPE_CHECKING:
    from chaos.checker.book import Book


def slots(book: Book) -> Finding:
    """S12: of the jobs of a concurrency key never more run at once than it has slots.

    The audit numbers a start after the decision that allowed it, which has seen the ends before it committed.
    """
    running: defaultdict[str, set[int]] = defaultdict(set)
    starts, wrong = 0, []
    for move in sorted(book.history.moves, key=lambda move: move.seq):
        job = book.jobs.get(move.job)
        if move.place != "running" or job is None or job.slot_key is None:
            continue
        if move.verb == "out":
            running[job.slot_key].discard(move.job)
        elif move.verb == "in":
            starts += 1
            running[job.slot_key].add(move.job)
            if len(running[job.slot_key]) > job.slots:
                wrong.append(f"{job.slot_key} has {job.slots} slots, and run {sorted(running[job.slot_key])}")
    return Finding(starts, wrong)
