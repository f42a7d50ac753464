"""L1 to L5: how long it takes until all is well again. Times are seconds.

What is told is what it took; what is judged leaves out the time in which one had to wait for the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.checker.book import Finding
from chaos.history import NEVER

if TYPE_CHECKING:
    from chaos.checker.book import Book, Run
    from chaos.history import Exit, Strike

# What two shared cores may add to a bound.
SLACK = 0.5
SUPERVISED = 2.0
FIRST_COMPLETION = 1.0
WAKE_UP = 0.05
DRAIN = 30.0
KILLS = ("kill_worker", "kill_supervisor")
CRASHES = ("stop_postgres", "kill_postgres", "kill_backend")


def rescues(book: Book) -> Finding:
    """L1: what a killed worker ran is taken back within the lease and a second; by a parent within 2 s."""
    wrong: list[str] = []
    samples: dict[str, list[float]] = {"by the lease": [], "by the parent": [], "run again": []}
    examined = 0
    for strike in book.history.strikes:
        if strike.fault not in KILLS:
            continue
        bound = SUPERVISED if strike.supervised else book.history.config.lease + 1
        for run, seconds, undisturbed in _taken_back(book, strike):
            examined += 1
            if undisturbed:
                samples["by the parent" if strike.supervised else "by the lease"].append(seconds)
                samples["run again"] += _again(book, run, strike.at)
            if seconds - book.late(strike.at, run.ended) > bound + SLACK:
                wrong.append(f"run {run.run} was taken back {seconds:.2f} s after its worker was killed")
    return Finding(examined, wrong, samples)


def _again(book: Book, run: Run, since: float) -> list[float]:
    """Return after how long the next run of a job began, if its job went straight back to ready."""
    if run.target is None or run.target.place != "ready":
        return []
    later = [other.claimed for other in book.runs_of[run.job] if other.claimed > run.ended]
    return [min(later) - since] if later else []


def _taken_back(book: Book, strike: Strike) -> list[tuple[Run, float, bool]]:
    """Return the runs in flight at a kill, how long each waited, and whether the server was there throughout.

    The time without a server is left out.
    """
    workers = {worker for pid in strike.pids for worker in book.workers_of(pid, strike.at)}
    found = []
    for run in book.runs.values():
        if run.worker in workers and run.claimed <= strike.at < run.ended:
            away = _away(book, strike.at, run.ended)
            found.append((run, max(0.0, run.ended - strike.at - away), away == 0))
    return found


def _away(book: Book, began: float, ended: float) -> float:
    """Return for how long the server was away between two moments, what coming back takes included."""
    return sum(
        max(0.0, min(ended, until + FIRST_COMPLETION) - max(began, since)) for since, until in book.outages()
    )


def first_completion(book: Book) -> Finding:
    """L2: after the server is back, the first job ends within a second."""
    wrong: list[str] = []
    taken: list[float] = []
    ends = sorted(run.ended for run in book.runs.values() if run.target and run.target.place == "finished")
    for strike in book.history.strikes:
        if strike.fault not in CRASHES:
            continue
        after = next((at for at in ends if at > strike.healed), NEVER)
        if _another(book, strike, after):
            continue
        taken.append(after - strike.healed)
        if taken[-1] - book.late(strike.healed, after) > FIRST_COMPLETION + SLACK:
            wrong.append(f"{strike.fault}: the first job ended {taken[-1]:.2f} s after the server was back")
    return Finding(len(taken), wrong, {"first completion": taken})


def _another(book: Book, strike: Strike, after: float) -> bool:
    """Tell whether in between the server was gone again, or all workers: then nothing can be said."""
    return any(
        other.number != strike.number
        and (other.scope == "server" or other.fault == "terminate_storm")
        and other.at < after
        and other.healed > strike.at
        for other in book.history.strikes
    )


def wake_up(book: Book) -> Finding:
    """L3: when all is healed, a published job starts within 50 ms, in the median."""
    waits = sorted(probe.latency for probe in book.history.probes)
    fair = sorted(one.latency - book.late(one.at, one.at + one.latency) for one in book.history.probes)
    median = fair[len(fair) // 2] if fair else 0.0
    late = f"the median wait of {len(waits)} jobs was {median * 1000:.0f} ms"
    return Finding(len(waits), [late] if median > WAKE_UP else [], {"start of a probe": waits})


def drained(book: Book) -> Finding:
    """L4: when all is healed, everything that can end has ended within half a minute."""
    remains = book.history.remains
    seconds = remains.drained
    if seconds is None:
        return Finding(1, ["the backlog was not drained"])
    waited = book.late(remains.drain_began, remains.drain_began + seconds)
    late = f"the backlog took {seconds:.1f} s to drain"
    return Finding(1, [late] if seconds - waited > DRAIN else [], {"drain": [seconds]})


def gentle_exits(book: Book) -> Finding:
    """L5: SIGTERM ends a worker within its grace and a second."""
    wrong: list[str] = []
    taken: list[float] = []
    for one in book.history.exits:
        if one.began == NEVER or not _is_worker(one) or _was_stopped(book, one):
            continue
        taken.append(one.at - one.began)
        if taken[-1] - book.late(one.began, one.at) > book.history.config.grace + 1 + SLACK:
            wrong.append(f"{one.name} took {taken[-1]:.1f} s to end ({one.cause})")
    return Finding(len(taken), wrong, {"exit": taken})


def _is_worker(one: Exit) -> bool:
    return one.name.startswith(("worker", "pair"))


def _was_stopped(book: Book, one: Exit) -> bool:
    """Tell whether a process could not act because SIGSTOP held it, or one of its children."""
    stopped = [strike for strike in book.history.strikes if strike.fault == "pause_worker"]
    members = {
        one.pid,
        *(pid for strike in book.history.strikes if strike.parent == one.pid for pid in strike.pids),
    }
    return any(
        strike.at < one.at and strike.healed > one.began and members & {*strike.pids} for strike in stopped
    )
