"""The model's jobs in the form in which look.sql shows the engine's, so that the two can be compared."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from tests.model.limits import held_form, in_line
from tests.model.vocabulary import FINISHED, FOR_EVER, Job

if TYPE_CHECKING:
    from datetime import datetime

    from tests.model.engine import Stored
    from tests.model.reference import Reference

PLACED = ("ready", "line")  # rows whose position counts


def rows_of(model: Reference) -> Counter[Stored]:
    """Return what the engine must store, in the form of look.sql."""
    rows: list[Stored] = []
    for job in model.jobs.values():
        rows.append(_row("job", job.id, x=job.options.get("key"), y=job.task))
        rows.append(_state_row(job))
        rows += [_row("failure", job.id, n, run, x=kind) for run, (n, kind) in job.failures.items()]
        rows += [
            _row("edge", job.id, parent, edge.settled, edge.allow_failure)
            for parent, edge in job.edges.items()
        ]
        if job.expires_at is not None:
            rows.append(_row("expiry", job.id, t=job.expires_at))
        if job.stop:
            rows.append(_row("notice", job.id, job.run, job.worker, x="cancel"))
    rows += [_row("worker", number, t=worker.beat) for number, worker in model.workers.items()]
    rows += [_row("suspect", number) for number in model.suspects]
    rows += [_row("paused", None, x=queue) for queue in model.paused]
    rows += [_row("notice", job, run, owner, x="lost") for run, (job, owner, _) in model.lost.items()]
    for name, limit in model.limits.by_hand.items():
        per = None if limit.per is None else str(limit.per)
        rows.append(_row("limit", None, limit.max_running, limit.rate, int(limit.adopted), x=name, y=per))
    return Counter(rows)


def status(job: Job) -> str:
    if job.state in FINISHED:
        return "success" if job.state == "succeeded" else job.state
    return "running" if job.state == "running" else "pending"


def _row(
    place: str,
    number: int | None,
    a: int | None = None,
    b: int | None = None,
    c: int | None = None,
    t: datetime | None = None,
    u: datetime | None = None,
    x: str | None = None,
    y: str | None = None,
) -> Stored:
    return (place, number, a, b, c, t, u, x, y)


def _state_row(job: Job) -> Stored:
    match job.state:
        case "ready":
            return _row("ready", job.id, job.attempt, job.lane[1], job.position, x=job.lane[0], y=job.task)
        case "scheduled":
            return _row("scheduled", job.id, job.attempt, t=job.run_at)
        case "blocked" if in_line(job):
            return _row(
                "line", job.id, job.attempt, job.lane[1], job.position, x=job.lane[0], y=job.waits_for
            )
        case "blocked":
            return _row("blocked", job.id, job.attempt, len(job.edges) or None, x=job.kind, y=job.task)
        case "running":
            held = held_form(job)
            return _row("running", job.id, job.attempt, job.run, job.worker, job.started, job.deadline, held)
    for_ever = None if job.prune_at is None else int(job.prune_at == FOR_EVER)
    until = None if job.prune_at == FOR_EVER else job.prune_at
    result = None if job.result is None else json.dumps(job.result)
    return _row(job.state, job.id, job.attempt, job.run, for_ever, job.started, until, job.kind, result)


def ranked(rows: Counter[Stored]) -> Counter[Stored]:
    """Replace positions by ranks: their order counts, gaps do not."""
    ranks = {position: n for n, position in enumerate(sorted(row[4] for row in rows if row[0] in PLACED))}
    ranked: Counter[Stored] = Counter()
    for row, count in rows.items():
        ranked[(*row[:4], ranks[row[4]], *row[5:]) if row[0] in PLACED else row] += count
    return ranked
