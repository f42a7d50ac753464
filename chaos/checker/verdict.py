"""The verdict over a history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from chaos.checker.book import Book
from chaos.checker.fencing import WRITES
from chaos.checker.liveness import CRASHES, KILLS
from chaos.checker.table import INVARIANTS

if TYPE_CHECKING:
    from chaos.checker.table import Invariant
    from chaos.history import History

Outcome = Literal["held", "violated", "not examined", "not applicable"]


class Judgement(msgspec.Struct, frozen=True):
    """What is to be said of one invariant; `examined` is how many things were looked at."""

    name: str
    title: str
    outcome: Outcome
    examined: int = 0
    violations: tuple[str, ...] = ()
    samples: dict[str, list[float]] = {}
    reason: str = ""


class Struck(msgspec.Struct, frozen=True):
    """How often a fault struck, and how many runs were in flight then, in all. `skipped`: why it did not."""

    fault: str
    strikes: int = 0
    in_flight: int = 0
    skipped: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """Everything that is to be said of a run. `late`: the part of the time spent waiting for the machine."""

    seed: int
    seconds: float
    judgements: tuple[Judgement, ...]
    faults: tuple[Struck, ...]
    counts: dict[str, int]
    late: float = 0.0

    @property
    def violations(self) -> int:
        """How many violations there are in all."""
        return sum(len(one.violations) for one in self.judgements)

    def problems(self, *, complete: bool) -> list[str]:
        """Return why the run failed, in lines. `complete`: a skipped fault is a failure, as on CI."""
        found = [
            f"{one.name} violated: {one.violations[0]}"
            for one in self.judgements
            if one.outcome == "violated"
        ]
        found += [
            f"{one.name}: there was nothing to look at"
            for one in self.judgements
            if one.outcome == "not examined"
        ]
        for one in self.faults:
            if one.skipped and complete:
                found.append(f"fault {one.fault} was skipped: {one.skipped}")
            elif not one.skipped and not one.in_flight:
                found.append(f"fault {one.fault} struck {one.strikes} times and no run was in flight")
        return found


def judge(history: History) -> Verdict:
    """Check every invariant, and count what each fault has struck."""
    book = Book(history)
    return Verdict(
        history.config.seed,
        history.config.seconds,
        tuple(_judged(one, book) for one in INVARIANTS),
        _struck(book),
        _counts(book),
        _late(history),
    )


def _judged(invariant: Invariant, book: Book) -> Judgement:
    if invariant.check is None:
        return Judgement(invariant.name, invariant.title, "not applicable", reason=invariant.reason)
    if invariant.needs and not {*invariant.needs} & {*book.history.config.faults}:
        reason = f"none of {', '.join(invariant.needs)} was chosen"
        return Judgement(invariant.name, invariant.title, "not applicable", reason=reason)
    finding = invariant.check(book)
    outcome: Outcome = "held"
    if finding.violations:
        outcome = "violated"
    elif not finding.examined:
        outcome = "not examined"
    return Judgement(
        invariant.name,
        invariant.title,
        outcome,
        finding.examined,
        tuple(finding.violations),
        finding.samples,
    )


def _struck(book: Book) -> tuple[Struck, ...]:
    history = book.history
    found = []
    for fault in history.config.faults:
        strikes = [strike for strike in history.strikes if strike.fault == fault]
        in_flight = sum(map(book.in_flight, strikes))
        found.append(Struck(fault, len(strikes), in_flight, history.skipped.get(fault, "")))
    return tuple(found)


def _late(history: History) -> float:
    measured = sum(one.until - one.since for one in history.lateness)
    return sum(one.late for one in history.lateness) / measured if measured else 0.0


def _counts(book: Book) -> dict[str, int]:
    history = book.history
    states: dict[str, int] = {}
    for job in history.jobs:
        name = f"jobs {job.state}" + (f", kind {job.kind}" if job.kind else "")
        states[name] = states.get(name, 0) + 1
    outcomes: dict[str, int] = {}
    for call in history.publications:
        outcomes[f"publishes {call.outcome}"] = outcomes.get(f"publishes {call.outcome}", 0) + 1
    return {
        "jobs": len(history.jobs),
        **dict(sorted(states.items())),
        **dict(sorted(outcomes.items())),
        "runs": len(book.runs),
        "executions": len(history.executions),
        "effects": len(history.effects),
        "transactional jobs": sum(job.task in WRITES or job.task == "spawns" for job in history.jobs),
        "worker processes killed": sum(
            len(strike.pids) for strike in history.strikes if strike.fault in KILLS
        ),
        "crashes of the server": sum(strike.fault in CRASHES for strike in history.strikes),
        "operations of the operator": sum(map(len, book.operations.values())),
        "zombie calls": sum(call.calls for call in history.zombies),
        "deaths recorded": sum(failure.kind == "crash" for failure in history.failures),
        "exits of workers": sum(one.name.startswith(("worker", "pair")) for one in history.exits),
    }
