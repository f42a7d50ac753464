"""S12, S13: what runs at once, and what starts in an interval."""

from __future__ import annotations

import math
from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING

from chaos.checker.book import Finding
from chaos.history import NEVER

if TYPE_CHECKING:
    from chaos.checker.book import Book
    from chaos.history import LimitChange, Move

_Name = tuple[str, str]
_NONE = math.inf


class Limited:
    """A queue or a task whose limit was set by hand: what may have been in force at which time."""

    def __init__(self, changes: list[LimitChange]) -> None:
        self._changes = sorted(changes, key=lambda one: one.began)

    @cached_property
    def _times(self) -> list[tuple[float, float, LimitChange | None]]:
        """From when to when each limit may have been in force: until another one surely was."""
        answered = [one for one in self._changes if one.outcome == "ok"]
        first = answered[0].ended if answered else NEVER
        found: list[tuple[float, float, LimitChange | None]] = [(0.0, first, None)]
        for change in self._changes:
            ended = min((one.ended for one in answered if one.began > change.began), default=NEVER)
            found.append((change.began, ended, change))
        return found

    def in_force(self, since: float, until: float) -> list[LimitChange | None]:
        """Return the limits that may have been in force between two moments."""
        return [change for began, ended, change in self._times if began <= until and since <= ended]

    def slots(self, since: float, until: float) -> float:
        """Return how many slots there were at most."""
        return max(
            _NONE if change is None or change.max_running is None else change.max_running
            for change in self.in_force(since, until)
        )

    def rate(self, since: float, until: float) -> float:
        """Return how many might start at most."""
        return max(
            _NONE if change is None or change.rate is None else change.rate
            for change in self.in_force(since, until)
        )


def slots(book: Book) -> Finding:
    """S12: never more jobs run at once than there are slots: of a concurrency key, of a limit set by hand.

    The audit numbers a start after the decision that allowed it, which has seen the ends before it committed.
    A lowered limit stops nobody: it is judged what starts, by the widest limit that was in force meanwhile.
    """
    limited = _limited(book)
    running: defaultdict[_Name, set[int]] = defaultdict(set)
    shared, by_hand, wrong = 0, 0, []
    for move in sorted(book.history.moves, key=lambda move: move.seq):
        if move.place != "running" or move.job not in book.jobs or move.verb == "changed":
            continue
        if move.verb == "out":
            for jobs in running.values():
                jobs.discard(move.job)
            continue
        for name, most in _limits_of(book, limited, move).items():
            running[name].add(move.job)
            shared += name[0] == "key"
            by_hand += name[0] != "key" and most < _NONE
            if len(running[name]) > most:
                wrong.append(f"{' '.join(name)} has {most} slots, and run {sorted(running[name])}")
    return Finding(shared + by_hand if shared and by_hand else 0, wrong)


def _limited(book: Book) -> dict[_Name, Limited]:
    changes: defaultdict[_Name, list[LimitChange]] = defaultdict(list)
    for change in book.history.limits:
        changes[change.kind, change.name].append(change)
    return {name: Limited(many) for name, many in changes.items()}


def _limits_of(book: Book, limited: dict[_Name, Limited], move: Move) -> dict[_Name, float]:
    """Return how many slots there were at most, when a run began, of all that limits it."""
    job = book.jobs[move.job]
    carried = book.body_at(move.job, move.seq) or job
    found: dict[_Name, float] = {}
    if carried.slot_key is not None:
        found["key", carried.slot_key] = carried.slots
    for name in (("queue", carried.queue), ("task", job.task)):
        if name in limited:
            found[name] = limited[name].slots(move.began, move.at)
    return found


def rates(book: Book) -> Finding:
    """S13: in no interval does more start than the rate says that was set by hand.

    A start counts from somewhen in its transaction on: what is judged is what certainly lies in one interval.
    What started while there was no rate does not count.
    """
    limited = _limited(book)
    starts: defaultdict[_Name, list[Move]] = defaultdict(list)
    for move in sorted(book.history.moves, key=lambda move: move.seq):
        if move.place == "running" and move.verb == "in" and move.job in book.jobs:
            for name in _limits_of(book, limited, move):
                starts[name].append(move)
    examined, wrong = 0, []
    for name, limit in limited.items():
        for position, move in enumerate(starts[name], start=1):
            most = limit.rate(move.began, move.at)
            examined += most < _NONE
            if most < position and _at_once(limit, starts[name][position - int(most) - 1 : position]):
                wrong.append(f"of {' '.join(name)} {most + 1} have started at {move.at:.3f}, one too many")
    return Finding(examined, wrong)


def _at_once(limit: Limited, starts: list[Move]) -> bool:
    """Tell whether starts certainly lie in the interval that the last one ends, under a rate all the time."""
    last = starts[-1]
    per = min(change.per for change in limit.in_force(last.began, last.at) if change is not None)
    return all(last.at - one.began < per and limit.rate(one.began, last.at) < _NONE for one in starts)
