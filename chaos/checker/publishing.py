"""S1, S2, S3, S20, S21, and the keys of S14: what was published, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.checker.book import TERMINAL, Finding
from chaos.checker.transitions import DEATHS_ALONE
from chaos.orders import WAITING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chaos.checker.book import Book
    from chaos.history import FinalJob, Publication

_CHILD = ".child"
_UNDONE = frozenset({"refused", "rolled back"})


def no_loss(book: Book) -> Finding:
    """S1: every publish that returned is there, and has ended or legitimately waits."""
    wrong: list[str] = []
    done = [call for call in book.history.publications if call.outcome == "ok"]
    for call in done:
        found = book.jobs.get(call.job or 0)
        if found is None and book.operated(call.job or 0, "delete"):
            continue
        if found is None:
            wrong.append(f"{call.token}: the publish returned job {call.job}, which is not there")
        elif found.state not in TERMINAL and not _may_wait(found):
            wrong.append(f"{call.token}: job {found.id} has not ended, it is {found.state}")
        elif problem := _wrong_end(book, call, found):
            wrong.append(f"{call.token}: job {found.id} {problem}")
    return Finding(len(done), wrong)


def _may_wait(job: FinalJob) -> bool:
    return job.task in WAITING


def _wrong_end(book: Book, call: Publication, job: FinalJob) -> str | None:
    # who publishes under a unique key may cancel the job that is there; it does what was said last
    said = book.calls.get(job.token, [call])[0] if call.unique else call
    cancels = any(one.cancels for one in book.named[job.id])
    expected = {*said.expect, *({"cancelled"} if cancels or book.operated(job.id, "cancel") else ())}
    if job.state in expected:
        return None
    if job.state == "failed" and job.kind == "crash" and book.deaths_alone[job.id] >= DEATHS_ALONE:
        return None  # its processes were killed so often that nobody could know better
    return f"({job.task}) ended {job.state}, kind {job.kind}, and not {' or '.join(sorted(expected))}"


def no_phantom(book: Book) -> Finding:
    """S2: nothing is there, and nothing was run, that nobody had tried to publish."""
    tokens = {call.token for call in book.history.publications}
    wrong = [
        f"job {job.id} carries {job.token!r}, which nobody published"
        for job in book.history.jobs
        if job.token.removesuffix(_CHILD) not in tokens
    ]
    for execution in book.history.executions:
        run = book.runs.get(execution.run)
        if run is None or run.job != execution.job:
            wrong.append(
                f"run {execution.run} of job {execution.job} was executed, which no transaction claimed"
            )
    return Finding(len(book.history.jobs) + len(book.history.executions), wrong)


def unknown_once(book: Book) -> Finding:
    """S3: a call of unknown outcome made one job or none; undone ones none; repeats with a key one."""
    wrong: list[str] = []
    examined = 0
    deleted = _deleted(book)
    for token, calls in book.calls.items():
        outcomes = {call.outcome for call in calls}
        if outcomes <= {"ok"} and len(calls) == 1:
            continue
        examined += 1
        number = len(_found(book, calls[0]))
        least = 1 if "ok" in outcomes and token not in deleted else 0
        most = 0 if outcomes <= _UNDONE else 1
        if not least <= number <= most:
            wrong.append(f"{token}: {number} jobs after {', '.join(sorted(outcomes))}")
    wrong += _halves(book)
    return Finding(examined, wrong)


def _found(book: Book, call: Publication) -> Sequence[object]:
    """Return where a token is: the jobs that carry it, or the places at which it came into one."""
    return (book.brought if call.unique else book.by_token).get(call.token, [])


def _halves(book: Book) -> list[str]:
    """Say which calls of several jobs have published some of them only."""
    deleted = _deleted(book)
    wrong = []
    for call, together in book.together.items():
        # who meets a unique key and leaves it at that has published nothing
        many = [one for one in together if one.unique is None or one.mode != "skip"]
        if len({bool(_found(book, one)) for one in many if one.unique or one.token not in deleted}) > 1:
            wrong.append(f"call {call} has published a part of {[one.token for one in many]}")
    return wrong


def _deleted(book: Book) -> set[str]:
    return {one.token for many in book.operations.values() for one in many if one.verb.startswith("delete")}


def own_keys(book: Book) -> Finding:
    """S14: a key belongs to one job, one call has created it, and every answer names that job."""
    wrong: list[str] = []
    keys: dict[str, list[Publication]] = {}
    for call in book.history.publications:
        if call.key is not None:
            keys.setdefault(call.key, []).append(call)
    owners: dict[str, list[int]] = {}
    for job in book.history.jobs:
        if job.key is not None:
            owners.setdefault(job.key, []).append(job.id)
    for key, calls in keys.items():
        wrong += [f"{key}: {problem}" for problem in _misused(calls, owners.get(key, []))]
    return Finding(len(keys), wrong)


def _misused(calls: list[Publication], owners: list[int]) -> Iterator[str]:
    answered = [call for call in calls if call.outcome == "ok"]
    if len(owners) > 1:
        yield f"belongs to the jobs {owners}"
    if sum(call.created is True for call in answered) > 1:
        yield "was created more than once"
    if answered and {call.job for call in answered} != set(owners):
        yield f"was answered {sorted({call.job or 0 for call in answered})}, is {owners}"


def conservation(book: Book) -> Finding:
    """S20: every job lies in one place, what the audit says is what is there, and fsck finds nothing."""
    wrong = [f"fsck: {line}" for line in book.history.remains.fsck]
    for job, moves in book.moves.items():
        places = {(move.place, move.run) for move in moves if move.verb == "in"}
        lying: list[str] = []
        for move in moves:
            if move.verb == "in":
                lying.append(move.place)
            elif move.verb == "out" and move.place in lying:
                lying.remove(move.place)
        if len(lying) != 1 and job in book.jobs:
            wrong.append(f"job {job} lies in {lying or 'no place'} after {len(places)} moves")
        if job not in book.jobs and (lying or not book.operated(job, "delete")):
            wrong.append(f"job {job} has a history and is not there")
    wrong += [f"job {job} is there and has no history" for job in book.jobs if job not in book.moves]
    return Finding(len(book.jobs), wrong)


def fidelity(book: Book) -> Finding:
    """S21: arguments and results are what was given, in the database and at the task."""
    wrong: list[str] = []
    examined = 0
    given = {call.token: call.digest for call in book.history.publications}
    for job in book.history.jobs:
        if job.token in given:
            examined += 1
            if job.digest != given[job.token]:
                wrong.append(f"job {job.id} has other arguments than {job.token} was given")
        if job.state == "succeeded" and job.result != {"token": job.token, "run": job.run}:
            wrong.append(f"job {job.id} ({job.task}) succeeded by run {job.run} with the result {job.result}")
        if job.state != "succeeded" and job.result is not None:
            wrong.append(f"job {job.id} is {job.state} and has a result")
    wrong += [
        f"run {execution.run} was given other arguments than {execution.token}"
        for execution in book.history.executions
        if execution.token in given and execution.digest != given[execution.token]
    ]
    return Finding(examined, wrong)
