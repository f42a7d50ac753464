"""S15: jobs that wait for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.checker.book import TERMINAL, Finding

if TYPE_CHECKING:
    from chaos.checker.book import Book
    from chaos.history import FinalJob


def families(book: Book) -> Finding:
    """S15: a job that waits for others runs when they have succeeded, and ends when one of them cannot."""
    children = [job for job in book.history.jobs if job.parents]
    wrong = [
        f"job {job.id}: {problem}"
        for job in children
        if not _meddled_with(book, job) and (problem := _problem(book, job))
    ]
    return Finding(len(children), wrong)


def _meddled_with(book: Book, job: FinalJob) -> bool:
    """Whether an operator has started it or a parent anew, or deleted one: either end is right then."""
    return book.operated(job.id, "retry") or any(
        number not in book.jobs or book.operated(number, "retry") for number in job.parents
    )


def _problem(book: Book, job: FinalJob) -> str | None:
    ends = {number: book.jobs[number].state for number in job.parents}
    failed = {number: state for number, state in ends.items() if state != "succeeded"}
    if job.run is not None and failed and not job.allow_failure:
        return f"it ran although its parents are {failed}"
    if job.state == "cancelled" and job.kind == "parent" and (job.allow_failure or not failed):
        return f"it was cancelled although its parents are {ends}"
    if job.state not in TERMINAL and set(ends.values()) <= set(TERMINAL):
        return f"it is {job.state} although its parents are {ends}"
    return None
