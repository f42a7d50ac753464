"""S14: keys and unique keys."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from chaos.checker.book import Finding
from chaos.checker.publishing import own_keys
from chaos.checker.tenure import WAITING_PLACES, may_hold, tenures, usurpers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.checker.book import Book
    from chaos.checker.tenure import Tenure
    from chaos.history import Body, Publication

_CHANGES = frozenset({"replace", "merge"})
_MODES = _CHANGES | {"skip", "reject"}


def keys(book: Book) -> Finding:
    """S14: a key belongs to one job; a unique key to one at a time, and nobody's word about it is lost."""
    own = own_keys(book)
    held = tenures(book)
    calls = [call for call in book.history.publications if call.unique is not None]
    wrong = [f"{key}: {problem}" for key, many in held.items() for problem in usurpers(many)]
    wrong += _names(book, calls)
    for job, bodies in book.bodies.items():
        wrong += [f"job {job}: {problem}" for problem in _misgrown(book, bodies)]
    for call in calls:
        wrong += [f"{call.token} ({call.mode}): {problem}" for problem in _misanswered(book, held, call)]
    wrong += _misexecuted(book)
    wrong += _refused_retries(book, held)
    met = {call.mode for call in calls if call.created is False or call.holder is not None}
    complete = own.examined and met == _MODES
    return Finding(own.examined + len(calls) if complete else 0, own.violations + wrong)


def _names(book: Book, calls: list[Publication]) -> Iterator[str]:
    """Say where two of our names have got one key, or one of them two."""
    found = {(call.unique, body.key) for call in calls for body in book.brought.get(call.token, ())}
    for name, many in Counter(name for name, _ in found).items():
        if many > 1:
            yield f"{name} has got {many} keys"
    for key, many in Counter(key for _, key in found).items():
        if many > 1:
            yield f"{key} is the key of {many} things"


# ── What jobs carry ──


def _misgrown(book: Book, bodies: list[Body]) -> Iterator[str]:
    """Say what has come into a job that should not, or not so."""
    if not bodies[0].created or any(body.created for body in bodies[1:]):
        yield "it was not created once"
    if bodies[0].batch != (bodies[0].token,):
        yield f"was created with {bodies[0].batch} by {bodies[0].token}"
    for old, new in pairwise(bodies):
        mode = _mode(book, new.token)
        should = (*old.batch, new.token) if mode == "merge" else (new.token,)
        if mode not in _CHANGES:
            yield f"was changed by {new.token}, whose mode is {mode}"
        if new.batch != should:
            yield f"carries {new.batch} after {new.token} ({mode}), and not {should}"
        if not _waited(book, new):
            yield f"was changed by {new.token} when it did not wait"
    final = book.jobs.get(bodies[0].job)
    if final is not None and (final.token, final.batch) != (bodies[-1].token, bodies[-1].batch):
        yield f"carries {final.token}, {final.batch} in the end, and not what it was given last"


def _mode(book: Book, token: str) -> str | None:
    return next((call.mode for call in book.calls.get(token, ()) if call.unique is not None), None)


def _waited(book: Book, body: Body) -> bool:
    before = [move for move in book.moves.get(body.job, ()) if move.seq < body.seq and move.verb == "in"]
    if not before or before[-1].place not in WAITING_PLACES:
        return False
    return body.until != "started" or not before[-1].attempt


def _misexecuted(book: Book) -> Iterator[str]:
    """Say which runs were given something else than their job carried when they were claimed."""
    for execution in book.history.executions:
        run = book.runs.get(execution.run)
        body = book.body_at(execution.job, run.seq) if run is not None else None
        if body is not None and (execution.token, execution.batch) != (body.token, body.batch):
            carried = f"its job carried {body.token}, {body.batch}"
            yield f"run {execution.run} was given {execution.token}, {execution.batch}; {carried}"


# ── What publishers were told ──


def _misanswered(book: Book, held: dict[str, list[Tenure]], call: Publication) -> Iterator[str]:
    brought = book.brought.get(call.token, [])
    if len(brought) > 1:
        yield f"is in the jobs {[body.job for body in brought]}"
    if call.outcome in ("refused", "rolled back") and brought:
        yield f"was {call.outcome} and is in job {brought[0].job}"
    if call.holder is not None and not _refused_rightly(book, held, call, call.holder):
        yield f"was refused for job {call.holder}, which did not hold its key"
    if call.outcome == "ok":
        yield from _misanswered_well(book, held, call, [(body.job, body.created) for body in brought])


def _misanswered_well(
    book: Book, held: dict[str, list[Tenure]], call: Publication, brought: list[tuple[int, bool]]
) -> Iterator[str]:
    if call.created or call.mode in _CHANGES:
        if brought != [(call.job, bool(call.created))]:
            yield f"was answered {call.job}, created: {call.created}; it is in {brought}"
    elif brought:
        yield f"was answered that job {call.job} is there, and is in job {brought[0][0]}"
    elif call.mode == "reject":
        yield f"was answered job {call.job}, and not refused"
    elif not _may_hold(book, held, call, call.job or 0):
        yield f"was answered job {call.job}, which did not hold its key"


def _refused_rightly(book: Book, held: dict[str, list[Tenure]], call: Publication, job: int) -> bool:
    """Tell whether a job was in the way of a call, or of one of its own, where that gave a key twice."""
    together = book.together[call.call]
    if job not in book.bodies:
        return len({one.unique for one in together}) < len(together)
    return any(_may_hold(book, held, one, job) for one in together)


def _may_hold(book: Book, held: dict[str, list[Tenure]], call: Publication, job: int) -> bool:
    """Tell whether a job may have held a call's key while that was made."""
    bodies = book.bodies.get(job)
    if bodies is None or call.unique not in {name for body in bodies for name in book.unique_names(body)}:
        return False
    return may_hold(book, held[bodies[0].key], job, call.began, call.ended)


def _refused_retries(book: Book, held: dict[str, list[Tenure]]) -> Iterator[str]:
    """Say which retries were refused although nobody held the key of the job."""
    for one in book.history.operations:
        if one.verb != "retry" or one.outcome != "JB009":
            continue
        bodies = book.bodies.get(one.job)
        many = held[bodies[0].key] if bodies else []
        others = {tenure.job for tenure in many} - {one.job}
        if not any(may_hold(book, many, other, one.began, one.ended) for other in others):
            yield f"job {one.job}: a retry was refused, and nobody held its key"
