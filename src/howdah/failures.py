"""How a run's failure is told to the database, and a job's end to who waits for it."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from howdah import arguments
from howdah.errors import InvalidInput, JobCancelled, JobExpired, JobFailed, JobSkipped
from howdah.retry import seconds

if TYPE_CHECKING:
    import datetime

    from howdah.errors import JobError
    from howdah.models import JobRow

__all__ = ["described", "ending"]


def described(
    error: BaseException | str | None,
    *,
    delay: float | datetime.timedelta | None,
    scheduled_at: datetime.datetime | None,
    kind: str | None,
    final: bool,
) -> dict[str, Any]:
    """Return the arguments of a nack. Raises `InvalidInput`."""
    told: dict[str, Any] = {
        "scheduled_at": None
        if scheduled_at is None
        else arguments.moment(scheduled_at, field="scheduled_at"),
        "kind": None if kind is None else arguments.text(kind, field="kind"),
        "final": arguments.truth(final, field="final") or None,
        "delay": None if delay is None else seconds(delay, field="delay"),
    }
    if isinstance(error, BaseException):
        told["error"] = _storable("".join(_rendered(error, traceback.format_exception_only)).strip())
        told["traceback"] = _storable("".join(_rendered(error, traceback.format_exception)))
    elif isinstance(error, str):
        told["traceback"] = _storable(error)
    elif error is not None:
        problem = f"error must be an exception or text, not {arguments.shown(error)}"
        raise InvalidInput(problem, field="error")
    return told


def ending(row: JobRow) -> JobError:
    """Return the error that stands for the end of a job without a result (not raised)."""
    reason = row.error or row.reason
    if row.kind == "ttl":
        return JobExpired(reason)
    if row.state == "cancelled":
        return JobCancelled(reason)
    if row.state == "skipped":
        return JobSkipped(reason)
    return JobFailed(reason, kind=row.kind or "error", traceback=row.traceback)


def _rendered(error: BaseException, render: Any) -> list[str]:
    # An exception's own __str__ may raise.
    try:
        lines: list[str] = render(error)
    except Exception:
        return [f"{type(error).__name__} (its text cannot be shown)"]
    return lines


def _storable(text: str) -> str:
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
