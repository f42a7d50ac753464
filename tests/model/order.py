"""In which order jobs are claimed; where lanes take turns, whether the engine's order is a fair one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.vocabulary import labels_of, queue_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from tests.model.vocabulary import Job

Lane = tuple[str, int]


def in_order(
    ready: Iterable[Job], count: int, wanted: Callable[[Job], bool], queues: Sequence[str] | None
) -> list[Job]:
    """Return what is claimed where nothing counts but priorities."""
    jobs = [job for job in ready if queues is None or job.lane[0] in queues]
    heads = _heads(jobs)
    ordered = sorted(filter(wanted, jobs), key=lambda job: (-job.lane[1], heads[job.lane], job.position))
    return sorted(ordered[:count], key=lambda job: (-job.lane[1], job.position))


def follow(
    ready: Iterable[Job],
    count: int,
    wanted: Callable[[Job], bool],
    queues: Sequence[str] | None,
    labels: Collection[str],
    told: Sequence[int],
) -> list[Job]:
    """Return what is claimed where queues have an order and lanes take turns.

    The engine chooses who begins; that the rest is fair is checked.
    """
    jobs = [
        job
        for job in ready
        if (queues is None or queue_of(job.lane[0]) in queues) and labels_of(job.lane[0]) <= set(labels)
    ]
    taken: list[Job] = []
    for level in _levels(jobs, queues):
        there = sorted(
            (job for job in jobs if job.lane in level and wanted(job)), key=lambda job: job.position
        )
        chosen = there[: count - len(taken)]
        if len(level) > 1 and chosen:
            chosen = _told(there, told[len(taken) : len(taken) + len(chosen)])
        taken += chosen
    return taken


def _heads(jobs: Iterable[Job]) -> dict[Lane, int]:
    heads: dict[Lane, int] = {}
    for job in jobs:
        heads[job.lane] = min(job.position, heads.get(job.lane, job.position))
    return heads


def _levels(jobs: Sequence[Job], queues: Sequence[str] | None) -> list[list[Lane]]:
    """Return the lanes of each queue and priority, in the order in which these are taken."""
    heads = _heads(jobs)
    levels: dict[tuple[str, int], list[Lane]] = {}
    for name, priority in heads:
        levels.setdefault((queue_of(name), priority), []).append((name, priority))

    def order(level: tuple[str, int]) -> tuple[int, int, int]:
        queue, priority = level
        rank = queues.index(queue) if queues is not None else 0
        return rank, -priority, min(heads[lane] for lane in levels[level])

    return [levels[level] for level in sorted(levels, key=order)]


def _told(there: Sequence[Job], told: Sequence[int]) -> list[Job]:
    """Return the jobs that the engine has taken, when each lane has given its part, oldest first."""
    by_number = {job.id: job for job in there}
    assert set(told) <= set(by_number), f"took {told}, of which some are not next among {sorted(by_number)}"
    chosen = [by_number[number] for number in told]
    lanes = {job.lane: [other for other in there if other.lane == job.lane] for job in there}
    given = {lane: [job for job in chosen if job.lane == lane] for lane in lanes}
    for lane, jobs in lanes.items():
        assert given[lane] == jobs[: len(given[lane])], f"lane {lane} is not first in, first out"
    most = max(map(len, given.values()))
    spared = [lane for lane, jobs in lanes.items() if len(given[lane]) < min(most - 1, len(jobs))]
    assert not spared, f"lanes {spared} gave less than their part"
    return chosen
