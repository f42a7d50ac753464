"""A history, indexed: the runs and edges that follow from the audit."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from chaos.history import NEVER

if TYPE_CHECKING:
    from chaos.history import Effect, Execution, Failure, FinalJob, History, Life, Move, Publication, Strike

TERMINAL = frozenset({"succeeded", "failed", "cancelled", "skipped"})


class Edge(msgspec.Struct, frozen=True):
    """One transition of a job: from one place to another, in one transaction. None: from or to nowhere."""

    job: int
    source: Move | None
    target: Move | None

    @property
    def name(self) -> str:
        """Return it in words."""
        source = self.source.place if self.source else "nothing"
        target = self.target.place if self.target else "nothing"
        return f"{source} → {target}"


class Run(msgspec.Struct, frozen=True):
    """One run by the audit: from the claim until it was taken away. `target` is where its job went."""

    job: int
    run: int
    worker: int | None
    attempt: int
    claimed: float
    seq: int
    ended: float = NEVER
    target: Move | None = None


class Finding(msgspec.Struct, frozen=True):
    """What a check found: how much it looked at, what was wrong, and seconds worth telling, by name."""

    examined: int
    violations: list[str] = []
    samples: dict[str, list[float]] = {}


class Book:
    """A history with its indexes, each made when first needed."""

    def __init__(self, history: History) -> None:
        self.history: History = history

    @cached_property
    def moves(self) -> dict[int, list[Move]]:
        """The moves of each job in their order: a job's state row serialises them."""
        found: dict[int, list[Move]] = defaultdict(list)
        for move in sorted(self.history.moves, key=lambda one: one.seq):
            found[move.job].append(move)
        return found

    @cached_property
    def edges(self) -> dict[int, list[Edge]]:
        """The transitions of each job."""
        return {job: _edges(job, moves) for job, moves in self.moves.items()}

    @cached_property
    def runs(self) -> dict[int, Run]:
        """All runs by their number."""
        found: dict[int, Run] = {}
        for job, edges in self.edges.items():
            for edge in edges:
                _note_run(found, job, edge)
        return found

    @cached_property
    def runs_of(self) -> dict[int, list[Run]]:
        """The runs of each job, in their order."""
        found: dict[int, list[Run]] = defaultdict(list)
        for run in sorted(self.runs.values(), key=lambda one: one.seq):
            found[run.job].append(run)
        return found

    @cached_property
    def jobs(self) -> dict[int, FinalJob]:
        """The jobs by number."""
        return {job.id: job for job in self.history.jobs}

    @cached_property
    def by_token(self) -> dict[str, list[FinalJob]]:
        """The jobs that carry each token."""
        found: dict[str, list[FinalJob]] = defaultdict(list)
        for job in self.history.jobs:
            found[job.token].append(job)
        return found

    @cached_property
    def calls(self) -> dict[str, list[Publication]]:
        """The calls that published each token."""
        found: dict[str, list[Publication]] = defaultdict(list)
        for call in self.history.publications:
            found[call.token].append(call)
        return found

    @cached_property
    def failures(self) -> dict[int, Failure]:
        """The failed attempts by run."""
        return {failure.run: failure for failure in self.history.failures}

    @cached_property
    def effects(self) -> dict[int, list[Effect]]:
        """The effects of each job."""
        found: dict[int, list[Effect]] = defaultdict(list)
        for effect in self.history.effects:
            found[effect.job].append(effect)
        return found

    @cached_property
    def executions(self) -> dict[int, list[Execution]]:
        """The executions of each job, by their start."""
        found: dict[int, list[Execution]] = defaultdict(list)
        for execution in sorted(self.history.executions, key=lambda one: one.began):
            found[execution.job].append(execution)
        return found

    @cached_property
    def lives(self) -> dict[int, Life]:
        """The workers by number."""
        return {life.worker: life for life in self.history.lives}

    def workers_of(self, pid: int, at: float) -> list[int]:
        """Return under which numbers a process was registered at a moment."""
        return [
            life.worker for life in self.history.lives if life.pid == pid and life.began <= at <= life.ended
        ]

    def in_flight(self, strike: Strike) -> int:
        """Return how many runs, or for publishers calls, a fault could hurt when it struck."""
        at = strike.at
        if strike.scope == "publishers":
            return sum(
                call.pid in strike.pids and call.began <= at < call.ended
                for call in self.history.publications
            )
        running = [run for run in self.runs.values() if run.claimed <= at < run.ended]
        if strike.scope == "server":
            return len(running)
        if strike.scope == "plain":
            return sum(run.worker is None for run in running)
        workers = {worker for pid in strike.pids for worker in self.workers_of(pid, at)}
        return sum(run.worker in workers for run in running)

    def outages(self, pid: int | None = None) -> list[tuple[float, float]]:
        """Return when the server was away: for everybody, and for a process also when its lines were."""
        return [
            (strike.at, strike.healed)
            for strike in self.history.strikes
            if strike.scope == "server" or (pid is not None and pid in strike.pids and strike.fault in _LINES)
        ]


_LINES = frozenset({"stall", "delay", "reset"})


def _edges(job: int, moves: list[Move]) -> list[Edge]:
    """Pair each leaving with the entering that follows it in the same transaction."""
    found: list[Edge] = []
    source: Move | None = None
    for move in moves:
        if move.verb == "out":
            if source is not None:
                found.append(Edge(job, source, None))
            source = move
        elif move.verb == "in":
            if source is not None and source.xid != move.xid:
                found.append(Edge(job, source, None))
                source = None
            found.append(Edge(job, source, move))
            source = None
        else:
            found.append(Edge(job, move, move))
    if source is not None:
        found.append(Edge(job, source, None))
    return found


def _note_run(found: dict[int, Run], job: int, edge: Edge) -> None:
    target, source = edge.target, edge.source
    if target is not None and target.place == "running" and target.verb == "in":
        found.setdefault(
            target.run or 0,
            Run(job, target.run or 0, target.worker, target.attempt or 0, target.at, target.seq),
        )
    if source is not None and source.place == "running" and source.verb == "out":
        run = found.get(source.run or 0)
        if run is not None:
            found[run.run] = msgspec.structs.replace(run, ended=source.at, target=target)
