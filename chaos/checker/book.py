"""A history, indexed: the runs and edges that follow from the audit."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from chaos.history import NEVER
from chaos.orders import ISOLATED

if TYPE_CHECKING:
    from chaos.history import (
        Body,
        Effect,
        Execution,
        Failure,
        FinalJob,
        History,
        Lateness,
        Life,
        Move,
        Operation,
        Publication,
        Strike,
    )

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
    def together(self) -> dict[str, list[Publication]]:
        """What each call has published."""
        found: dict[str, list[Publication]] = defaultdict(list)
        for one in self.history.publications:
            found[one.call].append(one)
        return found

    @cached_property
    def named(self) -> dict[int, list[Publication]]:
        """The calls that were answered with each job."""
        found: dict[int, list[Publication]] = defaultdict(list)
        for call in self.history.publications:
            if call.outcome == "ok" and call.job is not None:
                found[call.job].append(call)
        return found

    @cached_property
    def bodies(self) -> dict[int, list[Body]]:
        """What each job with a unique key has carried, in that order."""
        found: dict[int, list[Body]] = defaultdict(list)
        for body in sorted(self.history.bodies, key=lambda one: one.seq):
            found[body.job].append(body)
        return found

    @cached_property
    def brought(self) -> dict[str, list[Body]]:
        """The bodies with which each token came into a job: once for each time that it is in there."""
        found: dict[str, list[Body]] = defaultdict(list)
        for bodies in self.bodies.values():
            before: Counter[str] = Counter()
            for body in bodies:
                now = Counter(body.batch)
                for token in (now - before).elements():
                    found[token].append(body)
                before = now
        return found

    def body_at(self, job: int, seq: int) -> Body | None:
        """Return what a job with a unique key carried at a moment."""
        return next((body for body in reversed(self.bodies.get(job, ())) if body.seq < seq), None)

    def unique_names(self, body: Body) -> set[str | None]:
        """Return what the harness calls the key of a job."""
        return {call.unique for call in self.calls.get(body.token, ())}

    def changed_in(self, job: int, xid: str) -> bool:
        """Tell whether another publish has changed a waiting job in a transaction."""
        return any(body.xid == xid and not body.created for body in self.bodies.get(job, ()))

    def deleted_at(self, job: int) -> float:
        """Return when a job was deleted."""
        gone = [edge.source for edge in self.edges.get(job, ()) if edge.source and edge.target is None]
        return min((NEVER if move.committed is None else move.committed for move in gone), default=NEVER)

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
    def operations(self) -> dict[int, list[Operation]]:
        """What an operator has done to each job, or may have done: without an answer nobody knows."""
        found: dict[int, list[Operation]] = defaultdict(list)
        for operation in self.history.operations:
            if operation.outcome in ("ok", "unknown"):
                found[operation.job].append(operation)
        return found

    def operated(self, job: int, verb: str, at: float | None = None) -> bool:
        """Tell whether an operator has done this to a job, at this moment or ever; by force or not."""
        return any(
            one.verb.startswith(verb) and (at is None or one.began - _SLACK <= at <= one.ended + _SLACK)
            for one in self.operations.get(job, ())
        )

    def successes(self, job: int) -> set[int]:
        """Return the runs by which a job has succeeded: more than one when an operator had it run again."""
        return {
            move.run or 0
            for move in self.moves.get(job, ())
            if move.place == "finished" and move.verb == "in" and move.state == "succeeded"
        }

    @cached_property
    def deaths_alone(self) -> dict[int, int]:
        """How often each job died in a process in which it was alone, which cost it an attempt."""
        return Counter(
            failure.job
            for failure in self.history.failures
            if self._death_that_cost(failure) and not self.cost_a_bystander(failure)
        )

    def cost_a_bystander(self, failure: Failure) -> bool:
        """Tell whether a death that cost an attempt was that of a worker, or befell a job beside others."""
        run = self._death_that_cost(failure)
        if run is None:
            return False
        life = self.lives.get(run.worker or 0)
        if life is not None and abs(life.ended - run.ended) < _SLACK:
            return True  # the worker was declared dead in that transaction
        executions = [one for one in self.executions.get(run.job, ()) if one.run == run.run]
        return any(not one.alone for one in executions)  # none: it died before it could write anything down

    def _death_that_cost(self, failure: Failure) -> Run | None:
        run = self.runs.get(failure.run)
        if failure.kind != "crash" or run is None or run.target is None:
            return None
        costly = run.target.place in ("scheduled", "finished") and run.target.state != "cancelled"
        return run if costly else None

    def late(self, began: float, ended: float) -> float:
        """Return for how many of the seconds between two moments one had to wait for the machine."""
        if ended <= began:
            return 0.0
        known = self.history.lateness
        first = bisect_right(self._untils, began)
        last = bisect_left(self._sinces, ended)
        return sum(_within(one, began, ended) for one in known[first:last])

    @cached_property
    def _sinces(self) -> list[float]:
        return [one.since for one in self.history.lateness]

    @cached_property
    def _untils(self) -> list[float]:
        return [one.until for one in self.history.lateness]

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
        if strike.scope in ("server", "everybody"):
            return len(running)
        if strike.scope == "plain":
            return sum(run.worker is None for run in running)
        workers = {worker for pid in strike.pids for worker in self.workers_of(pid, at)}
        if strike.scope == "isolated":
            running = [run for run in running if self._task_of(run.job) in ISOLATED]
        return sum(run.worker in workers for run in running)

    def _task_of(self, job: int) -> str | None:
        final = self.jobs.get(job)
        return final.task if final is not None else None

    def outages(self, pid: int | None = None) -> list[tuple[float, float]]:
        """Return when the server was away: for everybody, and for a process also when its lines were."""
        return [
            (strike.at, strike.healed)
            for strike in self.history.strikes
            if strike.scope == "server" or (pid is not None and pid in strike.pids and strike.fault in _LINES)
        ]


_LINES = frozenset({"stall", "delay", "reset"})
# Seconds by which the database's times and the journals' may differ.
_SLACK = 0.02


def _within(one: Lateness, began: float, ended: float) -> float:
    whole = one.until - one.since
    part = min(one.until, ended) - max(one.since, began)
    return one.late * part / whole if whole > 0 and part > 0 else 0.0


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
