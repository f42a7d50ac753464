"""S22, S23: nothing is left behind, and no process ends that nobody asked to."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from chaos.checker.book import Finding

if TYPE_CHECKING:
    from chaos.checker.book import Book
    from chaos.history import Exit

# Seconds that starting takes at most, in which SIGTERM still means "Aborted!".
STARTING = 4.0


def nothing_left(book: Book) -> Finding:
    """S22: no lock, session, worker, notice or process is left when all have gone; nothing deadlocked."""
    counts = book.history.remains.counts
    wrong = [f"{number} {name}" for name, number in counts.items() if number]
    return Finding(len(counts), wrong)


def survival(book: Book) -> Finding:
    """S23: a worker ends when it is told to, well, and at no other time; its log holds no defect."""
    wrong = [f"a log complains: {line}" for line in book.history.remains.complaints]
    struck = {pid for strike in book.history.strikes for pid in strike.pids}
    poisoned = {one.pid for one in book.history.executions if one.task == "poisons" and not one.alone}
    wrong += [
        f"a parent saw its child {pid} die by itself"
        for pid in book.history.remains.deaths
        if pid not in struck | poisoned
    ]
    for one in book.history.exits:
        if one.cause != "hung" and one.code == -signal.SIGKILL and one.pid in poisoned:
            continue  # whatever it was told meanwhile
        if problem := _wrong_exit(book, one):
            wrong.append(f"{one.name} (process {one.pid}) {problem}")
    return Finding(len(book.history.exits), wrong)


def _wrong_exit(book: Book, one: Exit) -> str | None:
    if one.cause is None:
        return f"ended by itself with code {one.code}"
    if one.cause == "hung":
        return "was told to end and did not"
    if one.cause.startswith("kill_") or one.code == 0:
        return None
    if one.code == -signal.SIGTERM:
        return None  # by the signal that was sent: it did not heed it yet, or no more
    if one.code == 1 and one.at - one.born - book.late(one.born, one.at) < STARTING:
        return None
    return f"was told to end ({one.cause}) and ended with code {one.code}"
