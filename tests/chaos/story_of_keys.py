"""The part of the story that is about unique keys and limits set by hand: from second 51 on."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from chaos.history import Body, Execution, FinalJob, LimitChange, Move, Operation, Publication

GATHERED, NEXT, THROTTLED, AFTER = range(40, 44)
THING, OTHER = "gathers 1", "gathers 2"  # what the harness calls the keys
_KEYS = {THING: "thing one", OTHER: "thing two"}
_WORKER, _PID = 12, 102
_RUNS = {GATHERED: (1040, 52.1, 52.3), NEXT: (1041, 52.4, 52.6)}
_RUNS |= {THROTTLED: (1042, 53.15, 53.3), AFTER: (1043, 54.6, 55.0)}


def moves() -> tuple[Move, ...]:
    """Return the audit: GATHERED waits, NEXT is due at once by its second publish, the others run at once."""
    return (
        *_life(GATHERED, 1000, (51.0, "scheduled", {"due": 52.0}), (52.0, "ready", {})),
        *_life(NEXT, 1100, (52.2, "scheduled", {"due": 59.0}), (52.25, "ready", {})),
        *_life(THROTTLED, 1200, (53.0, "ready", {})),
        *_life(AFTER, 1300, (54.5, "ready", {})),
    )


def _life(job: int, seq: int, *waits: tuple[float, str, dict[str, Any]]) -> list[Move]:
    """Return the moves of a job: numbers, ten apart, leave room for bodies."""
    run, began, ended = _RUNS[job]
    start = {"run": run, "worker": _WORKER, "attempt": 1}
    waiting = [(at, place, {"attempt": 0, **more}) for at, place, more in waits]
    finish = {"run": run, "attempt": 1, "state": "succeeded"}
    steps = [*waiting, (began, "running", start), (ended, "finished", finish)]
    found: list[Move] = []
    for n, (at, place, facts) in enumerate(steps):
        xid = f"{job}-{n}"
        if n:
            was, left = steps[n - 1][1:]
            found.append(Move(seq + 10 * n + 1, at, at, xid, job, was, "out", **left))
        found.append(Move(seq + 10 * n + 2, at, at, xid, job, place, "in", **facts))
    return found


def bodies() -> tuple[Body, ...]:
    """Return what the jobs carry: GATHERED was merged into, NEXT was replaced."""
    return (
        _body(GATHERED, 1000, 51.0, "0", "u1", "waiting", created=True),
        replace(_body(GATHERED, 1005, 51.5, "m", "u2", "waiting"), batch=("u1", "u2")),
        _body(NEXT, 1100, 52.2, "0", "u3", "waiting", created=True),
        _body(NEXT, 1105, 52.25, "1", "u4", "waiting"),
        _body(THROTTLED, 1200, 53.0, "0", "u5", "finished", created=True),
        _body(AFTER, 1300, 54.5, "0", "u10", "finished", created=True),
    )


def _body(job: int, seq: int, at: float, xid: str, token: str, until: str, *, created: bool = False) -> Body:
    key = _KEYS[_thing(job)]
    return Body(seq, at, at - 0.01, f"{job}-{xid}", job, created, key, until, token, (token,), "mail")


def _thing(job: int) -> str:
    return THING if job in (GATHERED, NEXT) else OTHER


_LAST = {GATHERED: "u2", NEXT: "u4", THROTTLED: "u5", AFTER: "u10"}
_BATCHES = {GATHERED: ("u1", "u2")}


def jobs() -> tuple[FinalJob, ...]:
    """Return how the jobs have ended."""
    return tuple(
        FinalJob(
            job,
            None,
            "quick",
            token,
            f"d{token}",
            "succeeded",
            1,
            3,
            _RUNS[job][0],
            result={"token": token, "run": _RUNS[job][0]},
            queue="mail",
            batch=_BATCHES.get(job, (token,)),
        )
        for job, token in _LAST.items()
    )


def executions() -> tuple[Execution, ...]:
    """Return what was run."""
    return tuple(
        Execution(
            job=job,
            run=run,
            attempt=1,
            task="quick",
            token=_LAST[job],
            digest=f"d{_LAST[job]}",
            pid=_PID,
            began=began + 0.02,
            ended=ended - 0.02,
            how="returned",
            batch=_BATCHES.get(job, (_LAST[job],)),
        )
        for job, (run, began, ended) in _RUNS.items()
    )


def publications() -> tuple[Publication, ...]:
    """Return what publishers were told; what NEXT was to do at first should have failed."""
    return (
        _publication("u1", 50.95, "merge", GATHERED, created=True),
        _publication("u2", 51.45, "merge", GATHERED),
        replace(_publication("u3", 52.15, "replace", NEXT, created=True), expect=("failed",)),
        _publication("u4", 52.2, "replace", NEXT),
        replace(_publication("u5", 52.95, "skip", THROTTLED, created=True), period=1.0),
        _publication("u6", 53.1, "skip", THROTTLED),
        _publication("u7", 53.2, "reject", None, outcome="refused", holder=THROTTLED),
        _publication("u8", 53.8, "skip", THROTTLED),
        _publication("u9", 54.2, "merge", None, unique=OTHER, outcome="rolled back"),
        _publication("u10", 54.45, "reject", AFTER, created=True),
    )


def _publication(
    token: str, began: float, mode: str, job: int | None, *, created: bool = False, **facts: Any
) -> Publication:
    defaults: dict[str, Any] = {
        "outcome": "ok",
        "unique": OTHER if job is None else _thing(job),
        "created": created if job is not None else None,
    }
    return Publication(
        token=token,
        began=began,
        ended=began + 0.1,
        task="quick",
        expect=("succeeded",),
        digest=f"d{token}",
        call=token,
        mode=mode,
        job=job,
        **defaults | facts,
    )


def operations() -> tuple[Operation, ...]:
    """Return what an operator did: AFTER held the key of what should have been retried."""
    return (Operation("retry", THROTTLED, "u5", 54.7, 54.75, "JB009"),)


def limits() -> tuple[LimitChange, ...]:
    """Return the limits: two at once and two a second; lowered in vain when all had started."""
    return (
        LimitChange("queue", "mail", 2, 2, 1.0, 50.0, 50.1, "ok"),
        LimitChange("queue", "mail", 0, 1, 1.0, 54.8, 54.9, "ok"),
        LimitChange("queue", "mail", None, None, 1.0, 56.0, 56.1, "ok"),
    )
