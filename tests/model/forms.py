"""How the API writes things, and the model reads them: options, claimed jobs, outcomes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.model.engine import Row
    from tests.model.vocabulary import Outcome


def moments(options: Mapping[str, Any]) -> dict[str, Any]:
    """Read back what JSON made of a moment."""
    at = options.get("scheduled_at")
    return {**options, "scheduled_at": datetime.fromisoformat(at)} if isinstance(at, str) else dict(options)


def claimed_by_consume(row: Row) -> tuple[Any, ...]:
    names = ("run_id", "id", "attempt", "task", "queue", "priority", "timeout", "max_retries", "body")
    return tuple(row[name] for name in names)


def claimed_by_exchange(row: list[Any]) -> tuple[Any, ...]:
    number, run, attempt, task, queue, priority, timeout, max_retries, _, _, _, body = row
    return run, number, attempt, task, queue, priority, timeout, max_retries, body


def sent_form(outcome: Outcome) -> Outcome:
    """Write an outcome as exchange takes it: with its texts."""
    match outcome:
        case ["failed", kind, delay, final]:
            return ["failed", kind, "it failed", "Traceback\nError: it failed", delay, final]
        case ["cancelled"]:
            return ["cancelled", "no more"]
        case ["parked", kind]:
            return ["parked", kind, "not here"]
    return outcome


def function_of(outcome: Outcome, now: datetime) -> tuple[str, dict[str, Any]]:
    """Return the function that takes this outcome alone, and its arguments."""
    match outcome:
        case ["succeeded", result]:
            return "ack", {} if result is None else {"result": result}
        case ["failed", kind, delay, final]:
            given: dict[str, Any] = {"kind": kind, "final": final, "traceback": "Error: it failed"}
            if delay is not None and delay % 2:  # as a moment, or as seconds
                return "nack", given | {"scheduled_at": now + timedelta(seconds=delay)}
            return "nack", given | ({} if delay is None else {"delay": delay})
        case ["snoozed", delay]:
            return "snooze", {"delay": delay}
    return "release", {}
