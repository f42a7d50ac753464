"""Turns the lines of journals into values of a history: pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from chaos.history import (
    NEVER,
    Cancellation,
    Execution,
    Exit,
    HandIn,
    Lateness,
    LimitChange,
    Operation,
    Pause,
    Probe,
    Publication,
    Strike,
    ZombieCall,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chaos.history import Life

Line = dict[str, Any]


class Journals:
    """All lines of a run, by what they tell."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._by_what: dict[str, list[Line]] = defaultdict(list)
        for line in lines:
            self._by_what[line["what"]].append(line)

    def of(self, what: str) -> list[Line]:
        """Return the lines that tell this."""
        return self._by_what[what]

    def publications(self) -> tuple[Publication, ...]:
        """Return every call that published; one that was never answered is unknown."""
        ends = {
            line["call"]: line
            for what in ("unknown", "refused", "rolled back", "ok")
            for line in self.of(what)
        }
        return tuple(
            one for line in self.of("publish") for one in _publications(line, ends.get(line["call"]))
        )

    def cancellations(self) -> tuple[Cancellation, ...]:
        """Return the calls that cancelled and were answered."""
        return tuple(
            Cancellation(line["job"], line["began"], line["at"], line["state"])
            for line in self.of("cancelled")
        )

    def executions(self) -> tuple[Execution, ...]:
        """Return what was run."""
        ends = {(line["pid"], line["run"]): line for line in self.of("end")}
        return tuple(_execution(line, ends.get((line["pid"], line["run"]))) for line in self.of("start"))

    def hand_ins(self) -> tuple[HandIn, ...]:
        """Return what the consumer was answered; a call that was never answered is unknown."""
        answered = {line["call"]: line for line in self.of("handed in")}
        return tuple(_hand_in(line, answered.get(line["at"])) for line in self.of("hand in"))

    def zombies(self) -> tuple[ZombieCall, ...]:
        """Return the calls of the zombie."""
        return tuple(
            ZombieCall(line["verb"], line["at"], line["calls"], tuple((j, r) for j, r in line["accepted"]))
            for line in self.of("zombie")
        )

    def strikes(self) -> tuple[Strike, ...]:
        """Return the faults that struck."""
        healed = {line["number"]: line["at"] for line in self.of("healed")}
        return tuple(
            Strike(
                line["fault"],
                line["number"],
                line["scope"],
                line["at"],
                healed.get(line["number"], NEVER),
                tuple(line["pids"]),
                line.get("parent"),
                line.get("supervised", False),
            )
            for line in self.of("struck")
        )

    def skipped(self) -> dict[str, str]:
        """Return the faults that could not be done here, and why."""
        return {line["fault"]: line["reason"] for line in self.of("skipped")}

    def exits(self) -> tuple[Exit, ...]:
        """Return the processes that ended."""
        asked = {
            **{line["process"]: line["at"] for line in self.of("told to end")},
            **{line["parent"]: line["at"] for line in reversed(self.of("struck")) if line.get("parent")},
        }
        born = {line["process"]: line["at"] for line in self.of("started")}
        return tuple(
            Exit(
                line["name"],
                line["process"],
                born[line["process"]],
                asked.get(line["process"], NEVER),
                line["at"],
                line["code"],
                line["cause"],
            )
            for line in self.of("exited")
        )

    def pauses(self) -> tuple[Pause, ...]:
        """Return when queues were paused."""
        return tuple(Pause(line["queue"], line["began"], line["ended"]) for line in self.of("paused"))

    def probes(self) -> tuple[Probe, ...]:
        """Return how long each probe waited for its start."""
        starts = {line["token"]: line["at"] for line in reversed(self.of("start"))}
        return tuple(
            Probe(line["token"], starts.get(line["token"], NEVER) - line["began"], line["began"])
            for line in self.of("probe")
        )

    def operations(self) -> tuple[Operation, ...]:
        """Return what the operator did; a call that was never answered is unknown."""
        answered = {line["call"]: line for line in self.of("operated")}
        return tuple(_operation(line, answered.get(line["at"])) for line in self.of("operate"))

    def limits(self) -> tuple[LimitChange, ...]:
        """Return which limits were set by hand; of a call that was never answered nobody knows."""
        answered = {line["call"]: line["at"] for line in self.of("limited")}
        return tuple(
            LimitChange(
                line["kind"],
                line["name"],
                line["max_running"],
                line["rate"],
                line["per"],
                line["at"],
                answered.get(line["at"], NEVER),
                "ok" if line["at"] in answered else "unknown",
            )
            for line in self.of("limit")
        )

    def lateness(self) -> tuple[Lateness, ...]:
        """Return how late the machine was, in the order of time."""
        return tuple(Lateness(line["since"], line["until"], line["late"]) for line in self.of("late"))


def _publications(line: Line, end: Line | None) -> Iterable[Publication]:
    answers = end.get("answers") if end else None
    for position, token in enumerate(line["tokens"]):
        answer = answers[position] if answers and position < len(answers) else {}
        yield Publication(
            token=token,
            began=line["at"],
            ended=end["at"] if end else NEVER,
            outcome=end["what"] if end else "unknown",
            task=line["task"],
            expect=tuple(line["expect"]),
            digest=line["digests"][position],
            pid=line["pid"],
            key=line["key"],
            call=line["call"],
            max_retries=line["max_retries"],
            cancels=line["cancels"],
            job=answer.get("job"),
            created=answer.get("created"),
            unique=line["uniques"][position] if line.get("uniques") else None,
            mode=line.get("unique_mode") or "skip",
            period=line.get("unique_for") or 0.0,
            holder=end.get("holder") if end else None,
        )


def _execution(line: Line, end: Line | None) -> Execution:
    names = ("job", "run", "attempt", "task", "token", "digest", "in_thread")
    worker = line.get("worker")
    return Execution(
        **{name: line[name] for name in names},
        pid=worker or line["pid"],
        alone=worker is not None,
        batch=tuple(line.get("batch", ())),
        began=line["at"],
        ended=end["at"] if end else NEVER,
        how=end["how"] if end else None,
    )


def _hand_in(line: Line, answered: Line | None) -> HandIn:
    return HandIn(
        line["job"],
        line["run"],
        line["verb"],
        line["at"],
        answered["at"] if answered else NEVER,
        answered["outcome"] if answered else "unknown",
    )


def _operation(line: Line, answered: Line | None) -> Operation:
    return Operation(
        line["verb"],
        line["job"],
        line["token"],
        line["at"],
        answered["at"] if answered else NEVER,
        answered["outcome"] if answered else "unknown",
    )


def lives_of(rows: Sequence[tuple[int, str, int | None, float, float]]) -> tuple[Life, ...]:
    """Return the lives of workers from their registrations and ends: worker, verb, pid, lease, time."""
    from chaos.history import Life

    ends = {worker: at for worker, verb, _, _, at in rows if verb == "out"}
    return tuple(
        Life(worker, pid, lease, at, ends.get(worker, NEVER))
        for worker, verb, pid, lease, at in rows
        if verb == "in"
    )
