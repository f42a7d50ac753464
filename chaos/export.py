"""Reads the final state and the audit out of the database."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from chaos.history import Beat, Body, Effect, Failure, FinalJob, Move
from chaos.journal import contents
from chaos.reading import lives_of

if TYPE_CHECKING:
    from chaos.history import Life
    from chaos.observer import Observer

_MOVES = """
    select seq, extract(epoch from at)::float8, extract(epoch from began)::float8, xid, job, place, verb,
           run, worker, attempt, state, extract(epoch from due)::float8, queue,
           extract(epoch from pg_xact_commit_timestamp(xid::xid8::xid))::float8
      from chaos.move order by seq
"""
_BODIES = """
    select seq, extract(epoch from at)::float8, extract(epoch from asked)::float8,
           extract(epoch from pg_xact_commit_timestamp(xid::xid8::xid))::float8, xid, job, created,
           unique_key, unique_until, kwargs, queue, slot_key, coalesce(slots, 1)
      from chaos.body order by seq
"""
_LIVES = "select worker, verb, pid, lease, extract(epoch from at)::float8 from chaos.life order by seq"
_BEATS = "select worker, extract(epoch from at)::float8 from chaos.beat order by at"
_JOBS = """
    select a.id, a.key, a.task, a.body -> 'kwargs', a.state, a.attempt, a.max_retries, a.run_id, a.kind,
           a.result, coalesce(j.depends_on, '{}'), coalesce(j.allow_failure, false),
           j.concurrency_key, coalesce(j.concurrency_limit, 1), a.queue
      from jobs."all" a join howdah.job j on j.id = a.id
"""
_FAILURES = "select job_id, run_id, kind from howdah.failure"
_EFFECTS = "select job, run, token from chaos.effect"


class Export:
    """The tables of a finished run. Database times become CLOCK_MONOTONIC's, of this machine, too."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._offset = time.time() - time.monotonic()

    async def moves(self) -> tuple[Move, ...]:
        """Return the audit."""
        return tuple(self._move(*row) for row in await self._observer.rows(_MOVES))

    async def bodies(self) -> tuple[Body, ...]:
        """Return what jobs with unique keys have carried."""
        return tuple(self._body(*row) for row in await self._observer.rows(_BODIES))

    async def lives(self) -> tuple[Life, ...]:
        """Return every worker that was registered."""
        rows = await self._observer.rows(_LIVES)
        return lives_of([(w, v, p, lease, at - self._offset) for w, v, p, lease, at in rows])

    async def beats(self) -> tuple[Beat, ...]:
        """Return every heartbeat."""
        return tuple(Beat(w, at - self._offset) for w, at in await self._observer.rows(_BEATS))

    async def jobs(self) -> tuple[FinalJob, ...]:
        """Return every job."""
        return tuple(_job(*row) for row in await self._observer.rows(_JOBS))

    async def failures(self) -> tuple[Failure, ...]:
        """Return every failed attempt."""
        return tuple(Failure(*row) for row in await self._observer.rows(_FAILURES))

    async def effects(self) -> tuple[Effect, ...]:
        """Return what tasks have written."""
        return tuple(Effect(*row) for row in await self._observer.rows(_EFFECTS))

    def _move(self, seq: int, at: float, began: float, xid: str, job: int, *rest: Any) -> Move:
        place, verb, run, worker, attempt, state, due, queue, committed = rest
        moved = None if due is None else due - self._offset
        return Move(
            seq,
            at - self._offset,
            began - self._offset,
            xid,
            job,
            place,
            verb,
            run,
            worker,
            attempt,
            state,
            moved,
            queue,
            committed - self._offset,
        )

    def _body(self, seq: int, at: float, asked: float, committed: float, *rest: Any) -> Body:
        xid, job, created, key, until, kwargs, queue, slot_key, slots = rest
        return Body(
            seq,
            at - self._offset,
            asked - self._offset,
            xid,
            job,
            created,
            key,
            until,
            kwargs["token"],
            tuple(kwargs["batch"]),
            queue,
            slot_key,
            slots,
            committed - self._offset,
        )


def _job(number: int, key: str | None, task: str, kwargs: Any, *rest: Any) -> FinalJob:
    state, attempt, max_retries, run, kind, result, parents, *more = rest
    token = kwargs["token"] if isinstance(kwargs, dict) else ""
    ended = (state, attempt, max_retries, run, kind, result)
    carried = contents(kwargs)
    more.append(tuple(carried["batch"]))
    return FinalJob(number, key, task, token, carried["digest"], *ended, tuple(parents), *more)
