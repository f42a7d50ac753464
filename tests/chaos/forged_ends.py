"""Lies about what is left when a run is over, and about how long things took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from chaos.history import Exit, Probe, Remains
from tests.chaos import story

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos.history import History, Move


def moves(history: History, matches: Callable[[Move], bool], **facts: Any) -> History:
    """Return a history in which the moves that match are others."""
    assert any(map(matches, history.moves))
    moves = tuple(replace(move, **facts) if matches(move) else move for move in history.moves)
    return replace(history, moves=moves)


# ── S22, S23: what is left ──


def a_lock_is_left(history: History) -> History:
    return replace(history, remains=Remains(counts={"advisory locks": 1}, drained=4.0))


def a_worker_ended_by_itself(history: History) -> History:
    return replace(history, exits=(*history.exits, Exit("worker-3", 104, 0.0, 1e15, 33.0, 1, None)))


def a_worker_never_ended(history: History) -> History:
    return replace(history, exits=(*history.exits, Exit("worker-3", 104, 0.0, 33.0, 60.0, -9, "hung")))


def a_worker_ended_badly(history: History) -> History:
    return replace(history, exits=(*history.exits, Exit("worker-3", 104, 0.0, 33.0, 34.0, 1, "closed")))


def a_child_died_by_itself(history: History) -> History:
    return replace(history, remains=replace(history.remains, deaths=(777,)))


def a_log_holds_a_traceback(history: History) -> History:
    return replace(history, remains=replace(history.remains, complaints=("worker-1: Traceback",)))


# ── L: too late ──


def a_rescue_came_late(history: History) -> History:
    return moves(history, lambda move: move.job == story.RESCUED and move.at == 22.0, at=26.0)


def the_first_completion_came_late(history: History) -> History:
    return moves(history, lambda move: move.at in (31.2, 31.4), at=35.0)


def an_idle_worker_slept_on(history: History) -> History:
    return replace(history, probes=(Probe("p1", 0.4), Probe("p2", 5.0), Probe("p3", 0.01)))


def the_backlog_did_not_drain(history: History) -> History:
    return replace(history, remains=replace(history.remains, drained=None))


def the_backlog_drained_slowly(history: History) -> History:
    return replace(history, remains=replace(history.remains, drained=55.0))


def a_worker_took_long_to_end(history: History) -> History:
    slow = replace(history.exits[1], began=50.0)
    return replace(history, exits=(history.exits[0], slow))


def _final(history: History, number: int, **facts: Any) -> History:
    jobs = tuple(replace(job, **facts) if job.id == number else job for job in history.jobs)
    return replace(history, jobs=jobs)


def a_child_ran_without_its_parent(history: History) -> History:
    return _final(history, story.DELAYED, parents=(story.CANCELLED,))


def a_child_was_cancelled_for_nothing(history: History) -> History:
    return _final(history, story.DELAYED, state="cancelled", kind="parent", run=None)


def more_ran_than_a_key_has_slots(history: History) -> History:
    return _final(history, story.WRITES, slots=0)


def a_child_waits_for_ever(history: History) -> History:
    return _final(history, story.DELAYED, state="blocked", run=None)
