"""S7, S8, S9, S10: stale runs change nothing, effects happen once, nobody runs what is no longer his."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from chaos.checker.book import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chaos.checker.book import Book, Run
    from chaos.history import Execution, FinalJob, HandIn, Strike

WRITES = frozenset(
    {"writes", "writes_in_thread", "writes_alone", "writes_alone_async", "gathers", "gathers_in_thread"}
)
_ENDS = {
    "ack": {"finished"},
    "nack": {"scheduled", "finished"},
    "snooze": {"scheduled", "finished"},
    "release": {"ready", "finished"},
}
# Seconds: how long a worker may take to notice, at a heartbeat, and to stop a coroutine.
NOTICE = 2.0
# Seconds by which the database's times and the journals' may differ.
SLACK = 0.02


def fence(book: Book) -> Finding:
    """S7: what was accepted came from the current run; what was refused changed nothing."""
    wrong = [
        f"{call.verb} of run {run} of job {job} was accepted after that run had ended"
        for call in book.history.zombies
        for job, run in call.accepted
    ]
    calls = sum(call.calls for call in book.history.zombies)
    wrong += [
        f"{hand_in.verb} of run {hand_in.run} of job {hand_in.job}: {problem}"
        for hand_in in book.history.hand_ins
        if (problem := _misjudged(book, hand_in))
    ]
    for job in book.history.jobs:
        runs = book.runs_of.get(job.id, [])
        if job.state == "succeeded" and (not runs or runs[-1].run != job.run):
            wrong.append(f"job {job.id} succeeded by run {job.run}, but its last run was another")
    return Finding(calls + len(book.history.hand_ins), wrong)


def _misjudged(book: Book, hand_in: HandIn) -> str | None:
    run = book.runs.get(hand_in.run)
    if run is None:
        return "there was no such run"
    within = hand_in.began - SLACK <= run.ended <= hand_in.ended + SLACK
    went = run.target.place if run.target else None
    match hand_in.outcome:
        case "ok":
            if not within or went not in _ENDS[hand_in.verb]:
                return f"was answered ok, but the run went to {went} at another time"
        case "lost":
            if run.ended > hand_in.ended:
                return "was refused although the run was current"
        case "unknown":
            return None
        case error:
            return f"was answered {error}"
    return None


def effects_once(book: Book) -> Finding:
    """S8: what a task wrote with its job's connection is there once, by the run that succeeded; else not."""
    wrong: list[str] = []
    examined = 0
    for job in book.history.jobs:
        if job.task in WRITES:
            examined += 1
            wrong += _missing_effects(book, job)
        elif job.task == "spawns":
            examined += 1
            children = len(book.by_token.get(f"{job.token}.child", []))
            if children != len(book.successes(job.id)):
                wrong.append(f"job {job.id} is {job.state} and has {children} children")
    for number, rows in book.effects.items():
        runs = [row.run for row in rows]
        succeeded = book.successes(number)
        wrong += [
            f"job {number}: run {run}, which did not succeed, has an effect"
            for run in sorted({*runs} - succeeded)
        ]
        wrong += [f"job {number}: run {run} has two effects" for run in succeeded if runs.count(run) > 1]
    return Finding(examined, wrong)


def _missing_effects(book: Book, job: FinalJob) -> list[str]:
    """Say which successes of a job have left nothing, or that a failure has left something."""
    runs = {row.run for row in book.effects.get(job.id, [])}
    wrong = [f"job {job.id} succeeded by run {run} without effect" for run in book.successes(job.id) - runs]
    if job.state != "succeeded" and job.run in runs:
        wrong.append(f"job {job.id} is {job.state} and has an effect of its last run")
    return wrong


def explained_starts(book: Book) -> Finding:
    """S9: each run is executed once at most, and each execution by the process that claimed it."""
    wrong: list[str] = []
    started: dict[int, Execution] = {}
    for execution in book.history.executions:
        first = started.setdefault(execution.run, execution)
        if first is not execution:
            wrong.append(f"run {execution.run} of job {execution.job} was executed twice")
        run = book.runs.get(execution.run)
        if run is None:
            continue  # S2 tells it
        if execution.attempt != run.attempt:
            wrong.append(f"run {execution.run} was told attempt {execution.attempt}, it is {run.attempt}")
        life = book.lives.get(run.worker or 0)
        if life is not None and life.pid != execution.pid:
            wrong.append(
                f"run {execution.run} was claimed by process {life.pid}, executed by {execution.pid}"
            )
    return Finding(len(started), wrong)


def no_overtime(book: Book) -> Finding:
    """S10: a coroutine is stopped when its lease has ended; two executions overlap only then."""
    wrong: list[str] = []
    examined = 0
    for execution in book.history.executions:
        run = book.runs.get(execution.run)
        if run is None or run.worker is None or execution.in_thread or execution.how is None:
            continue
        examined += 1
        late = execution.ended - _must_end(book, execution, run)
        if late > 0:
            wrong.append(
                f"run {run.run} of job {run.job} ({execution.task}) went on for {late:.1f} s after its lease"
            )
    for executions in book.executions.values():
        in_order = sorted(executions, key=lambda one: one.run)
        wrong += [
            f"run {later.run} of job {later.job} began while run {earlier.run} was current and went on"
            for earlier, later in pairwise(in_order)
            if (first := book.runs.get(earlier.run)) is not None
            and later.began < min(earlier.ended, first.ended) - SLACK
        ]
    return Finding(examined, wrong)


def _must_end(book: Book, execution: Execution, run: Run) -> float:
    """Return by when an execution must be over: after its run has ended, when that could be noticed."""
    limit = run.ended + NOTICE + book.history.config.lease / 15
    for pause in _pauses(book.history.strikes, execution.pid):
        if pause.at <= limit:
            limit = max(limit, pause.healed + NOTICE)
    return limit + book.late(run.ended, execution.ended)


def _pauses(strikes: Iterable[Strike], pid: int) -> list[Strike]:
    return [one for one in strikes if one.fault == "pause_worker" and pid in one.pids]
