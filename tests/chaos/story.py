"""A small history in which all is well, for forgers to change."""

from __future__ import annotations

import itertools
from typing import Any

from msgspec.structs import replace

from chaos.history import (
    NEVER,
    Beat,
    Cancellation,
    Config,
    Effect,
    Execution,
    Exit,
    Failure,
    FinalJob,
    HandIn,
    History,
    Life,
    Move,
    Operation,
    Pause,
    Probe,
    Publication,
    Remains,
    Strike,
    ZombieCall,
)
from tests.chaos import story_of_keys

FIRST, SECOND = 11, 12  # workers
FIRST_PID, SECOND_PID, PUBLISHER_PID, CONSUMER_PID = 101, 102, 201, 301
WRITES, FAILS, BY_HAND, KEYED, CANCELLED, RESCUED, SPAWNS, CHILD, DELAYED = range(1, 10)
RETRIED, DELETED, ALONE = 30, 31, 32
KILLED_AT, CRASHED_AT, BACK_AT = 20.0, 30.0, 31.0


class Story:
    """Writes the audit of jobs down, a transition at a time."""

    def __init__(self) -> None:
        self.moves: list[Move] = []
        self._seq = itertools.count(1)
        self._xid = itertools.count(500)
        self._where: dict[int, dict[str, Any]] = {}

    def move(self, job: int, at: float, place: str, **facts: Any) -> None:
        """Let a job go from where it is to another place, in one transaction."""
        xid = str(next(self._xid))
        if job in self._where:
            self.moves.append(Move(next(self._seq), at, at, xid, job, verb="out", **self._where[job]))
        self._where[job] = {"place": place, **facts}
        self.moves.append(Move(next(self._seq), at, at, xid, job, verb="in", **self._where[job]))

    def delete(self, job: int, at: float) -> None:
        """Let a job go for ever."""
        xid = str(next(self._xid))
        self.moves.append(Move(next(self._seq), at, at, xid, job, verb="out", **self._where.pop(job)))

    def ready(self, job: int, at: float, attempt: int = 0) -> None:
        """Let a job become ready."""
        self.move(job, at, "ready", attempt=attempt, queue="mail")

    def claim(self, job: int, at: float, run: int, worker: int | None = FIRST, attempt: int = 1) -> None:
        """Let a run of a job begin."""
        self.move(job, at, "running", run=run, worker=worker, attempt=attempt)

    def finish(self, job: int, at: float, state: str, run: int | None = None, attempt: int = 1) -> None:
        """Let a job end."""
        self.move(job, at, "finished", state=state, run=run, attempt=attempt)


def clean() -> History:
    """Return the history."""
    return History(
        config=Config(1, 60.0, 3.0, 3.0, ("kill_worker", "stop_postgres", "kill_publisher")),
        moves=(*_moves(), *story_of_keys.moves()),
        bodies=story_of_keys.bodies(),
        lives=(
            Life(FIRST, FIRST_PID, 3.0, 0.0, 22.0),
            Life(SECOND, SECOND_PID, 3.0, 0.0, 60.0),
        ),
        beats=(Beat(FIRST, 19.9), Beat(SECOND, 19.9)),
        jobs=(*_jobs(), *story_of_keys.jobs()),
        failures=(
            Failure(FAILS, 1002, "error"),
            Failure(RESCUED, 1006, "crash"),
            Failure(ALONE, 1014, "crash"),
        ),
        effects=(
            Effect(WRITES, 1001, "t1"),
            Effect(RETRIED, 1012, "t30"),
            Effect(RETRIED, 1013, "t30"),
            Effect(ALONE, 1015, "t32"),
        ),
        publications=(*_publications(), *story_of_keys.publications()),
        cancellations=(Cancellation(CANCELLED, 1.2, 1.4, "cancelled"),),
        executions=(*_executions(), *story_of_keys.executions()),
        hand_ins=(
            HandIn(BY_HAND, 1004, "ack", 4.95, 5.05, "ok"),
            HandIn(BY_HAND, 1004, "nack", 8.0, 8.1, "lost"),
        ),
        zombies=(ZombieCall("exchange", 40.0, 60),),
        strikes=(
            Strike("kill_worker", 1, "processes", KILLED_AT, KILLED_AT, (FIRST_PID,)),
            Strike("stop_postgres", 2, "server", CRASHED_AT, BACK_AT),
            Strike("kill_publisher", 3, "publishers", 1.05, 1.05, (PUBLISHER_PID,)),
        ),
        exits=(
            Exit("worker-1", FIRST_PID, 0.0, NEVER, KILLED_AT, -9, "kill_worker"),
            Exit("worker-2", SECOND_PID, 0.0, 59.0, 60.0, 0, "closed"),
        ),
        pauses=(Pause("mail", 41.0, 42.0),),
        probes=(Probe("p1", 0.01), Probe("p2", 0.02), Probe("p3", 0.2)),
        operations=(
            Operation("retry", RETRIED, "t30", 12.95, 13.05, "ok"),
            Operation("delete by force", DELETED, "t31", 13.9, NEVER, "unknown"),
            Operation("retry", WRITES, "t1", 49.9, 50.1, "JB004"),
            *story_of_keys.operations(),
        ),
        limits=story_of_keys.limits(),
        remains=Remains(counts={"advisory locks": 0, "sessions of clients": 0}, drained=4.0),
    )


def _moves() -> list[Move]:
    story = Story()
    for job in (WRITES, FAILS, BY_HAND, KEYED, CANCELLED, RESCUED, SPAWNS, RETRIED, ALONE):
        story.ready(job, 1.1)
    story.move(DELAYED, 1.1, "scheduled", attempt=0, due=10.0)
    story.move(DELETED, 1.1, "scheduled", attempt=0, due=90.0)
    story.finish(CANCELLED, 1.3, "cancelled", attempt=0)
    story.claim(WRITES, 2.0, 1001)
    story.finish(WRITES, 2.2, "succeeded", 1001)
    story.claim(FAILS, 3.0, 1002)
    story.move(FAILS, 3.2, "scheduled", attempt=1, due=3.4)
    story.ready(FAILS, 3.5, attempt=1)
    story.claim(FAILS, 3.6, 1003, attempt=2)
    story.finish(FAILS, 3.8, "succeeded", 1003, attempt=2)
    story.claim(BY_HAND, 4.0, 1004, worker=None)
    story.finish(BY_HAND, 5.0, "succeeded", 1004)
    story.claim(KEYED, 6.0, 1005)
    story.finish(KEYED, 6.1, "succeeded", 1005)
    story.ready(DELAYED, 10.1)
    story.claim(DELAYED, 10.2, 1009)
    story.finish(DELAYED, 10.3, "succeeded", 1009)
    story.claim(RETRIED, 12.0, 1012)
    story.finish(RETRIED, 12.2, "succeeded", 1012)
    story.ready(RETRIED, 13.0)
    story.claim(RETRIED, 13.1, 1013)
    story.finish(RETRIED, 13.3, "succeeded", 1013)
    story.delete(DELETED, 14.0)
    story.claim(ALONE, 15.0, 1014)
    story.move(ALONE, 15.2, "scheduled", attempt=1, due=15.4)
    story.ready(ALONE, 15.5, attempt=1)
    story.claim(ALONE, 15.6, 1015, attempt=2)
    story.finish(ALONE, 15.8, "succeeded", 1015, attempt=2)
    story.claim(RESCUED, 19.0, 1006)
    story.ready(RESCUED, 22.0)
    story.claim(RESCUED, 22.1, 1007, worker=SECOND)
    story.finish(RESCUED, 22.5, "succeeded", 1007)
    story.claim(SPAWNS, 29.0, 1010, worker=SECOND)
    story.finish(SPAWNS, 31.2, "succeeded", 1010)
    story.ready(CHILD, 31.2)
    story.claim(CHILD, 31.3, 1011, worker=SECOND)
    story.finish(CHILD, 31.4, "succeeded", 1011)
    return story.moves


_TASKS = {
    WRITES: ("writes", 1001),
    FAILS: ("fails", 1003),
    BY_HAND: ("by_hand", 1004),
    KEYED: ("quick", 1005),
    RESCUED: ("naps", 1007),
    SPAWNS: ("spawns", 1010),
    CHILD: ("quick", 1011),
    DELAYED: ("quick", 1009),
    RETRIED: ("writes", 1013),
    ALONE: ("writes_alone", 1015),
}


def token_of(job: int) -> str:
    """Return the token that a job carries."""
    return f"t{SPAWNS}.child" if job == CHILD else f"t{job}"


def _jobs() -> list[FinalJob]:
    found = []
    for job, (task, run) in _TASKS.items():
        token = token_of(job)
        attempt = 2 if job in (FAILS, ALONE) else 1
        key = "k4" if job == KEYED else None
        result = {"token": token, "run": run}
        final = FinalJob(job, key, task, token, f"d{job}", "succeeded", attempt, 3, run, result=result)
        if job in (WRITES, KEYED):
            final = replace(final, slot_key="slot 1")
        found.append(replace(final, parents=(KEYED,)) if job == DELAYED else final)
    found.append(FinalJob(CANCELLED, None, "quick", "t5", "d5", "cancelled", 0, 3, kind="revoked"))
    return found


def _publications() -> list[Publication]:
    found = []
    for job, (task, _) in {**_TASKS, CANCELLED: ("quick", 0)}.items():
        if job == CHILD:
            continue
        expect = ("cancelled",) if job == CANCELLED else ("succeeded",)
        found.append(_publication(job, "ok", task=task, expect=expect, created=True))
    found.append(_publication(KEYED, "unknown", began=0.5, ended=0.6, call="c4a"))
    found.append(_publication(DELETED, "ok", created=True))
    found.append(_publication(20, "rolled back"))
    found.append(_publication(21, "unknown"))
    found.append(
        _publication(22, "ok", job=KEYED, token="t4", key="k4", created=False, call="c4b", digest="d4")
    )
    return found


def _publication(number: int, outcome: str, **facts: Any) -> Publication:
    defaults: dict[str, Any] = {
        "token": f"t{number}",
        "began": 1.0,
        "ended": 1.15,
        "task": "quick",
        "expect": ("succeeded",),
        "digest": f"d{number}",
        "pid": PUBLISHER_PID,
        "key": "k4" if number == KEYED else None,
        "call": f"c{number}",
        "job": number if outcome == "ok" else None,
        "created": None,
    }
    return Publication(outcome=outcome, **defaults | facts)


def _executions() -> list[Execution]:
    began = {
        1001: 2.05,
        1002: 3.05,
        1003: 3.65,
        1004: 4.1,
        1005: 6.05,
        1006: 19.1,
        1007: 22.2,
        1009: 10.25,
        1010: 29.1,
        1011: 31.35,
        1012: 12.05,
        1013: 13.15,
        1014: 15.1,
        1015: 15.65,
    }
    jobs = {run: job for job, (_, run) in _TASKS.items()} | {
        1002: FAILS,
        1006: RESCUED,
        1012: RETRIED,
        1014: ALONE,
    }
    found = []
    for run, at in began.items():
        job = jobs[run]
        pid = CONSUMER_PID if job == BY_HAND else SECOND_PID if run in (1007, 1010, 1011) else FIRST_PID
        found.append(
            Execution(
                job=job,
                run=run,
                attempt=2 if run in (1003, 1015) else 1,
                task=_TASKS[job][0],
                token=token_of(job),
                digest=f"d{job}",
                pid=pid,
                began=at,
                ended=NEVER if run in (1006, 1014) else at + 0.04,
                alone=job == ALONE,
                how=None if run in (1006, 1014) else "AsItShall" if run == 1002 else "returned",
            )
        )
    return found
