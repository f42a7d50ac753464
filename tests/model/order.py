"""In which order jobs are claimed; where lanes take turns, whether the engine's order is a fair one."""

from __future__ import annotations

from itertools import chain, takewhile
from typing import TYPE_CHECKING

from tests.model.vocabulary import labels_of, queue_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime

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
    aged: Mapping[str, datetime],
) -> list[Job]:
    """Return what is claimed where queues have an order and lanes take turns.

    `aged`: jobs of these queues that were due by then go first. The engine chooses who begins; that the
    rest is fair is checked.
    """
    jobs = [
        job
        for job in ready
        if (queues is None or queue_of(job.lane[0]) in queues) and labels_of(job.lane[0]) <= set(labels)
    ]
    taken: list[Job] = []
    for level in [*_aged(jobs, count, aged), *_levels(jobs, queues)]:
        there = [job for job in level if wanted(job) and job not in taken]
        chosen = there[: count - len(taken)]
        if len({job.lane for job in level}) > 1 and chosen:
            chosen = _told(there, told[len(taken) : len(taken) + len(chosen)])
        taken += chosen
    return taken


def _heads(jobs: Iterable[Job]) -> dict[Lane, int]:
    heads: dict[Lane, int] = {}
    for job in jobs:
        heads[job.lane] = min(job.position, heads.get(job.lane, job.position))
    return heads


def _levels(jobs: Sequence[Job], queues: Sequence[str] | None) -> list[list[Job]]:
    """Return the jobs of each queue and priority, in the order in which these are taken."""
    levels: dict[tuple[str, int], list[Job]] = {}
    for job in sorted(jobs, key=lambda job: job.position):
        levels.setdefault((queue_of(job.lane[0]), job.lane[1]), []).append(job)

    def order(level: tuple[str, int]) -> tuple[int, int, int]:
        queue, priority = level
        rank = queues.index(queue) if queues is not None else 0
        return rank, -priority, levels[level][0].position

    return [levels[level] for level in sorted(levels, key=order)]


def _aged(jobs: Sequence[Job], count: int, aged: Mapping[str, datetime]) -> list[list[Job]]:
    """Return the jobs that have waited too long: of each lane those before its first that has not."""
    lanes: dict[Lane, list[Job]] = {}
    for job in sorted(jobs, key=lambda job: job.position):
        lanes.setdefault(job.lane, []).append(job)
    parts: dict[str | Lane, list[list[Job]]] = {}
    for lane, there in lanes.items():
        queue = queue_of(lane[0])
        old = _before(there[:count], aged[queue]) if queue in aged else []
        if old:
            parts.setdefault(lane if lane[0] == queue else queue, []).append(old)

    def order(part: list[list[Job]]) -> tuple[datetime, int]:
        return min(lane[0].due for lane in part if lane[0].due), min(lane[0].position for lane in part)

    return [list(chain.from_iterable(part)) for part in sorted(parts.values(), key=order)]


def _before(jobs: Sequence[Job], limit: datetime) -> list[Job]:
    return list(takewhile(lambda job: job.due is not None and job.due <= limit, jobs))


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
