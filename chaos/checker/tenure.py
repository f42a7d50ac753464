"""Who has held a unique key, and when: what follows from the audit."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from chaos.history import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chaos.checker.book import Book
    from chaos.history import Body, Move

WAITING_PLACES = frozenset({"scheduled", "blocked", "ready"})
# Seconds that pass at most between a commit and the moment from which others see it.
SEEN = 0.1
# Seconds for which who replaces or merges waits for the row of a job that somebody is about to start: see
# howdah.hold_waiting. Then the key is passed on, whatever becomes of that job.
PATIENCE = 1.0


class Span(msgspec.Struct, frozen=True):
    """A part of a job's life in which its key is held.

    It began at `since`; who asked later than `known` must have seen that. It was over at `until`.
    """

    seq: int
    since: float
    known: float
    until: float


class Gift(msgspec.Struct, frozen=True):
    """A key given to a job by its publish, or by an operator who retried it after its end.

    `asked`, `at`, `done`: when the statement began, when it gave the key, when that was committed.
    `patient`: whether it would have changed the job that held the key, and waited for that job's row.
    """

    seq: int
    asked: float
    at: float
    done: float
    body: Body
    published: bool
    patient: bool = False


class Tenure(msgspec.Struct, frozen=True):
    """A job with a key. It is held in any case until `surely`, and for no longer than `perhaps`."""

    gift: Gift
    surely: float
    perhaps: float
    spans: tuple[Span, ...]

    @property
    def job(self) -> int:
        """The job."""
        return self.gift.body.job


def tenures(book: Book) -> dict[str, list[Tenure]]:
    """Return who was given each key, in that order."""
    gifts: dict[str, list[Gift]] = defaultdict(list)
    for job, bodies in book.bodies.items():
        gifts[bodies[0].key] += _gifts(book, job, bodies[0])
    return {key: _in_order(book, sorted(given, key=lambda one: one.seq)) for key, given in gifts.items()}


def _gifts(book: Book, job: int, body: Body) -> Iterator[Gift]:
    patient = any(call.mode in ("replace", "merge") for call in book.calls.get(body.token, ()))
    yield Gift(body.seq, body.asked, body.at, committed(body), body, published=True, patient=patient)
    for edge in book.edges.get(job, ()):
        if edge.source and edge.target and edge.source.place == "finished" != edge.target.place:
            move = edge.target
            yield Gift(move.seq, move.began, move.at, committed(move), body, published=False)


def _in_order(book: Book, gifts: Sequence[Gift]) -> list[Tenure]:
    found = []
    surely = perhaps = 0.0
    for gift in gifts:
        if gift.published:  # a retry leaves the time as it is for which a publish has taken the key
            period = max((call.period for call in book.calls.get(gift.body.token, ())), default=0.0)
            surely, perhaps = (gift.asked + period, gift.at + period) if period else (0.0, 0.0)
        deleted = book.deleted_at(gift.body.job)
        surely, perhaps = min(surely, deleted), min(perhaps, deleted)
        spans = tuple(span for span in _spans(book, gift.body) if span.until > gift.at)
        found.append(Tenure(gift, surely, perhaps, spans))
    return found


def _spans(book: Book, body: Body) -> Iterator[Span]:
    """Yield the parts of a job's life in which its key is held, whoever has been given it since."""
    began: Move | None = None
    known = 0.0
    for edge in book.edges.get(body.job, ()):
        move = edge.target or edge.source
        if move is None:
            continue
        if edge.target is not None and _counts(edge.target, body.until):
            if began is None:
                began = move
                # who gives a key locks it, so that all who come later know; of what a job does by itself
                # one knows when it is committed
                given = edge.source is None or edge.source.place == "finished"
                known = 0.0 if given else committed(move) + SEEN
        elif began is not None:
            yield Span(began.seq, began.at, known, committed(move))
            began = None
    if began is not None:
        yield Span(began.seq, began.at, known, NEVER)


def _counts(move: Move, until: str) -> bool:
    if until == "finished":
        return move.place != "finished"
    return move.place in WAITING_PLACES and (until == "waiting" or not move.attempt)


def committed(change: Move | Body) -> float:
    """Return when the transaction of a change was committed."""
    return change.at if change.committed is None else change.committed


def usurpers(held: Sequence[Tenure]) -> Iterator[str]:
    """Say which jobs were given a key while another one held it."""
    for holder, other in pairwise(held):
        if holder.job != other.job and _must_hold(holder, other.gift):
            yield f"job {other.job} was given it while job {holder.job} held it"


def _must_hold(holder: Tenure, gift: Gift) -> bool:
    if gift.published and gift.at < holder.surely:
        return True
    if gift.patient and gift.at - gift.asked >= PATIENCE:
        return False
    return any(
        span.seq < gift.seq and span.known < gift.asked and gift.at < span.until for span in holder.spans
    )


def may_hold(book: Book, held: Sequence[Tenure], job: int, began: float, ended: float) -> bool:
    """Tell whether a job may have held a key at some moment between two."""
    for n, one in enumerate(held):
        if one.job != job:
            continue
        others = [later.gift.done for later in held[n + 1 :] if later.job != job]
        last = min(others, default=NEVER)
        times = [(span.since, span.until) for span in one.spans] + [(one.gift.at, one.perhaps)]
        for since, until in times:
            over = min(until, last)
            if since <= ended + SEEN and over + SEEN + book.late(over, began) >= began:
                return True
    return False
