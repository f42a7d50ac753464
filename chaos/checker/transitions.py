"""S4, S5, S6, S11, S19: what the audit says about the states of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.checker.book import TERMINAL, Finding

if TYPE_CHECKING:
    from chaos.checker.book import Book, Edge

# Where a job may go from each place by itself; what an operator does comes on top: see `_known`.
ALLOWED = {
    None: {"scheduled", "ready", "blocked"},
    "scheduled": {"ready", "finished", "scheduled"},
    "blocked": {"ready", "scheduled", "running", "finished"},
    "ready": {"running", "blocked", "finished", "ready"},
    "running": {"finished", "scheduled", "ready", "blocked"},
    "finished": set[str](),
}
# Seconds by which two readings of the clock may differ.
_SLACK = 0.001
# So many deaths in a process of its own are a job's end.
DEATHS_ALONE = 3


def one_ending(book: Book) -> Finding:
    """S4: each job ends once, and what has ended does not change; once more if an operator retries it."""
    wrong: list[str] = []
    endings = 0
    for job, edges in book.edges.items():
        entered = [edge.target for edge in edges if edge.target and _enters(edge, "finished")]
        left = [edge for edge in edges if edge.source and edge.source.place == "finished"]
        endings += bool(entered)
        if len(entered) > 1 + sum(edge.target is not None for edge in left):
            wrong.append(f"job {job} ended {len(entered)} times: {[move.state for move in entered]}")
        wrong += [
            f"job {job} left its end: {edge.name}" for edge in left if not _by_an_operator(book, job, edge)
        ]
        final = book.jobs.get(job)
        if entered and final is not None and final.state in TERMINAL and final.state != entered[-1].state:
            wrong.append(f"job {job} ended {entered[-1].state} and is {final.state}")
    return Finding(endings, wrong)


def _enters(edge: Edge, place: str) -> bool:
    return edge.target is not None and edge.target.place == place and edge.target.verb == "in"


def _by_an_operator(book: Book, job: int, edge: Edge) -> bool:
    """Tell whether a transition is the work of an operator who was at it then."""
    source, target = edge.source, edge.target
    if source is None or source is target:
        return False
    if target is None:
        return book.operated(job, "delete", source.at)
    return target.place == "ready" and book.operated(job, "retry", source.at)


def known_transitions(book: Book) -> Finding:
    """S5: every transition is one of the table; a job leaves a place only for another."""
    wrong = [
        f"job {job}: {edge.name} is no transition"
        for job, edges in book.edges.items()
        for edge in edges
        if not _by_an_operator(book, job, edge)
        and (edge.target is None or not (_known(edge) or _replaced(book, edge)))
    ]
    return Finding(sum(map(len, book.edges.values())), wrong)


def _replaced(book: Book, edge: Edge) -> bool:
    """Tell whether a waiting job was put where another publish under its unique key wanted it."""
    source, target = edge.source, edge.target
    if source is None or target is None or not book.changed_in(edge.job, target.xid):
        return False
    return source.place in ALLOWED and target.place in ("scheduled", "ready") and source.place != "finished"


def _known(edge: Edge) -> bool:
    source = edge.source.place if edge.source else None
    if edge.source is not None and edge.source is edge.target:  # changed where it lies
        return edge.source.place in ("scheduled", "ready", "blocked")
    return edge.target is not None and edge.target.place in ALLOWED[source]


def growing_runs(book: Book) -> Finding:
    """S6: run numbers grow with each claim of a job, no number is used twice, one run of a job at a time."""
    wrong: list[str] = []
    seen: dict[int, int] = {}
    for job, moves in book.moves.items():
        last = 0
        live: int | None = None
        for move in moves:
            if move.place != "running":
                continue
            run = move.run or 0
            if move.verb == "out":
                live = None
                continue
            if live is not None:
                wrong.append(f"job {job}: run {run} was claimed while run {live} was running")
            if run <= last:
                wrong.append(f"job {job}: run {run} came after run {last}")
            if seen.setdefault(run, job) != job:
                wrong.append(f"run {run} belongs to job {seen[run]} and to job {job}")
            last, live = run, run
    return Finding(len(seen), wrong)


def attempts(book: Book) -> Finding:
    """S11: attempts count failures, nothing else, and never go beyond what the job was given."""
    wrong = [
        f"job {job}: {problem}"
        for job, edges in book.edges.items()
        for edge in edges
        if (problem := _miscounted(book, edge))
    ]
    wrong += [
        f"job {failure.job}: the death of run {failure.run} cost a bystander an attempt"
        for failure in book.history.failures
        if book.cost_a_bystander(failure)
    ]
    wrong += [
        f"job {job} has killed {deaths} processes in which it was alone"
        for job, deaths in book.deaths_alone.items()
        if deaths > DEATHS_ALONE and not book.operated(job, "retry")
    ]
    wrong += [
        f"job {failure.job}: run {failure.run} failed ({failure.kind}) and was never executed"
        for failure in book.history.failures
        if failure.kind in ("error", "timeout") and _never_executed(book, failure.run)
    ]
    wrong += [
        f"job {final.id} made {final.attempt} attempts of {final.max_retries + 1}"
        for final in book.history.jobs
        if final.attempt > final.max_retries + 1
    ]
    return Finding(len(book.runs), wrong)


def _never_executed(book: Book, number: int) -> bool:
    run = book.runs.get(number)
    if run is None or run.worker is None:  # what a consumer was never told it has claimed, it cannot run
        return False
    return all(one.run != number or one.began > run.ended for one in book.executions.get(run.job, []))


def _miscounted(book: Book, edge: Edge) -> str | None:
    source, target = edge.source, edge.target
    if source is None or target is None or source.attempt is None or target.attempt is None:
        return None
    if edge.job not in book.jobs:  # its failures have been deleted with it
        return None
    if source.place == "finished":
        should = 0
    elif source.place == "running" and target.place != "finished":
        failed = book.failures.get(source.run or 0)
        counted = failed is not None and target.place == "scheduled"
        should = source.attempt if counted else source.attempt - 1
    else:
        should = source.attempt + (target.place == "running")
    if target.attempt == should:
        return None
    return f"{edge.name} by run {source.run or target.run} left attempt {target.attempt}, not {should}"


def nothing_early(book: Book) -> Finding:
    """S19: nothing is ready before it is due, or starts after its cancel or while its queue is paused."""
    wrong: list[str] = []
    examined = 0
    for job, edges in book.edges.items():
        due: float | None = None
        for edge in edges:
            if edge.source is not None and edge.source.place == "scheduled" and due is not None:
                examined += 1
                moved = _by_an_operator(book, job, edge) or _replaced(book, edge)
                if _left_early(edge, due) and not moved:
                    wrong.append(f"job {job} became ready {due - _time(edge):.3f} s before it was due")
            due = edge.target.due if edge.target and edge.target.place == "scheduled" else None
    for cancelled in book.history.cancellations:
        examined += 1
        if cancelled.state == "cancelled" and not book.operated(cancelled.job, "retry"):
            wrong += [
                f"job {cancelled.job} started in run {run.run} after its cancel was answered"
                for run in book.runs_of.get(cancelled.job, [])
                if run.claimed > cancelled.ended
            ]
            final = book.jobs.get(cancelled.job)
            if final is not None and final.state != "cancelled":
                wrong.append(f"job {cancelled.job} was cancelled and is {final.state}")
    return Finding(examined, wrong + _paused(book))


def _left_early(edge: Edge, due: float) -> bool:
    return edge.target is not None and edge.target.place == "ready" and _time(edge) < due - _SLACK


def _time(edge: Edge) -> float:
    move = edge.source or edge.target
    return move.at if move else 0.0


def _paused(book: Book) -> list[str]:
    """Say which claims began, and were made, while their queue was paused."""
    claims = [
        (edge.source, job)
        for job, edges in book.edges.items()
        for edge in edges
        if edge.source and edge.target and edge.target.place == "running" and edge.source.place == "ready"
    ]
    return [
        f"job {job} was claimed from {pause.queue} while that was paused"
        for pause in book.history.pauses
        for move, job in claims
        if move.queue == pause.queue and pause.began < move.began and move.at < pause.ended
    ]
