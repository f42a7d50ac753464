"""Calls of the worker protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from howdah import json, rows
from howdah.json import Document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from howdah.models import (
        ChangedJob,
        ExchangeAnswer,
        Outcome,
        TaskDescription,
        Verdict,
    )

from howdah.calls.call import Call, given, names_given

__all__ = [
    "exchange",
    "heartbeat",
    "log",
    "reconcile",
    "run_died",
    "session_started",
    "worker_started",
    "worker_stopped",
]


def worker_started(
    name: str,
    tasks: Sequence[TaskDescription],
    *,
    queues: Sequence[str] | None = None,
    topic: str | None = None,
    allow: Sequence[str] | None = None,
    host: str | None = None,
    pid: int | None = None,
    lease: float | None = None,
    labels: Sequence[str] | None = None,
) -> Call[int]:
    """Register a worker with its tasks."""
    described = json.document([task.given() for task in tasks], field="tasks", limit=64 * json.BODY_LIMIT)
    arguments = given(
        name=name,
        tasks=described,
        queues=names_given("queues", queues),
        topic=topic,
        allow=names_given("allow", allow),
        host=host,
        pid=pid,
        lease=lease,
        labels=names_given("labels", labels),
    )
    return Call("worker_started", arguments, rows.scalar)


def worker_stopped(worker_id: int, *, crashed: bool | None = None) -> Call[int]:
    """Take a worker off, and give its runs back."""
    return Call("worker_stopped", given(worker_id=worker_id, crashed=crashed), rows.scalar)


def heartbeat(worker_id: int, run_ids: Sequence[int]) -> Call[list[Verdict]]:
    """Extend a worker's lease; learn which runs are lost or to be cancelled."""
    return Call("heartbeat", given(worker_id=worker_id, run_ids=list(run_ids)), rows.verdicts)


def session_started(worker_id: int, backend_pid: int) -> Call[bool]:
    """Tie a worker's life to the session; false when a pooler lies between."""
    return Call("session_started", {"i_worker_id": worker_id, "i_backend_pid": backend_pid}, rows.scalar)


def run_died(job_id: str, run_id: int, error: str) -> Call[ChangedJob]:
    """Record that a run's own process has died."""
    return Call("run_died", {"i_job_id": job_id, "i_run_id": run_id, "i_error": error}, rows.changed)


def reconcile(worker_id: int, held: Sequence[int], era: int) -> Call[tuple[int, int]]:
    """Give back a worker's runs other than those it holds; the answer is how many, and how many were locked.

    Exchanges that say that they are of an era before `era` are refused from now on; so is another
    reconciliation that says no later one.
    """
    arguments = {"i_worker_id": worker_id, "i_held": list(held), "i_era": era}
    return Call("reconcile", arguments, rows.pair)


def log(job_id: str, run_id: int, lines: Document) -> Call[None]:
    """Add lines, `[[level, message], …]`, to the log of a running job."""
    return Call("log", {"i_job_id": job_id, "i_run_id": run_id, "i_lines": lines}, rows.nothing)


_outcome_encoder = msgspec.json.Encoder()


def exchange(
    worker_id: int,
    outcomes: Sequence[Outcome],
    number: int,
    *,
    sleep: bool = False,
    soon: bool = False,
    shares: Sequence[int] | None = None,
    era: int | None = None,
) -> Call[ExchangeAnswer]:
    """Hand in outcomes and claim up to `number` jobs, in one transaction; `soon` promises another look.

    `shares`: so many of each of the worker's queues. `era`: see `reconcile`.
    """
    arguments: dict[str, Any] = {"i_worker_id": worker_id, "i_num": number, "i_sleep": sleep, "i_soon": soon}
    if era is not None:
        arguments["i_era"] = era
    if shares is not None:
        arguments["i_shares"] = list(shares)
    if outcomes:
        arguments["i_outcomes"] = Document(_outcome_encoder.encode(outcomes).decode())
    return Call("exchange", arguments, rows.answer)
