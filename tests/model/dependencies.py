"""What becomes of jobs that wait for others, in plain Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.model.vocabulary import FINISHED, Edge, Job, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.model.reference import Reference

GONE = "gone"


def parents_of(model: Reference, options: Mapping[str, Any]) -> list[Job]:
    """Return the jobs that a publication depends on, or refuse."""
    found = []
    for name in options.get("depends_on") or ():
        if name == options.get("key"):
            raise Refused("JB001")
        try:
            found.append(model.find(name))
        except Refused:
            raise Refused("JB001") from None
    return found


def tie(job: Job, parents: Iterable[Job], allow_failure: bool) -> None:
    """Let a new job wait for those of its parents that have not ended as they should."""
    for parent in parents:
        if not (parent.state == "succeeded" or (allow_failure and parent.state in FINISHED)):
            job.edges[parent.id] = Edge(allow_failure)
    if job.edges:
        job.state, job.kind = "blocked", "parent"


def tell(model: Reference, parent: Job, state: str) -> None:
    """Tell those that wait for a job how it has ended; the first end counts."""
    for job in model.jobs.values():
        edge = job.edges.get(parent.id)
        if edge is not None and edge.told is None:
            edge.told = state


def settle(model: Reference, mark: bool) -> None:
    """Do what the chore does: ends that were told, then new edges, then the ends that came of it."""
    settle_told(model)
    ended: dict[int, dict[int, str]] = {}
    for job in model.jobs.values():
        for number, edge in job.edges.items():
            parent = model.jobs.get(number)
            if edge.settled:
                continue
            if parent is None or parent.state in FINISHED:
                ended.setdefault(job.id, {})[number] = GONE if parent is None else parent.state
            elif mark:
                edge.settled = True
    _resolve(model, ended)
    settle_told(model)
    if mark:  # a tick, which records lanes in the end
        model.lanes |= {job.lane for job in model.in_state("ready")}


def settle_told(model: Reference) -> None:
    """Settle ends that were told, and those that come of it."""
    while True:
        told = {
            job.id: {number: edge.told for number, edge in job.edges.items() if edge.told is not None}
            for job in model.jobs.values()
        }
        told = {number: ends for number, ends in told.items() if ends}
        if not told:
            return
        _resolve(model, told)


def _resolve(model: Reference, ended: Mapping[int, Mapping[int, str]]) -> None:
    lost = []
    for number, ends in sorted(ended.items()):
        job = model.jobs[number]
        edges = {parent: job.edges.pop(parent) for parent in ends}
        if any(ends[parent] != "succeeded" and not edge.allow_failure for parent, edge in edges.items()):
            lost.append(job)
        elif not job.edges:
            _let_go(model, job)
    for job in lost:
        job.edges.clear()
        model.finish(job, "cancelled", "parent")


def _let_go(model: Reference, job: Job) -> None:
    if job.run_at is not None and job.run_at > model.now:
        model.make_scheduled(job, job.attempt, job.run_at)
    else:
        model.make_ready(job, job.attempt)
