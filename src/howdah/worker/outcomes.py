"""What became of a run, as the exchange takes it: pure functions from values to outcomes."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import msgspec

from howdah import json
from howdah.errors import InvalidInput, TimedOut
from howdah.executors.process_failures import RemoteError
from howdah.retry import Cancel, Retry, Snooze

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from howdah.models import ClaimedJob, Outcome

__all__ = [
    "TEXT_LIMIT",
    "AlreadyRecorded",
    "cancelled",
    "failed",
    "fitting",
    "from_error",
    "from_value",
    "one_line",
    "parked",
    "released",
    "timed_out",
    "unstorable",
]

TEXT_LIMIT = 64 * 1024
_BATCH_SIZE = 64_000_000
_LINE_LIMIT = 1000
_OURS = ("howdah.worker.", "howdah.executors.")
_NOTHING = msgspec.Raw(b"null")


class AlreadyRecorded(Exception):
    """The run's failure is in the database: nothing is left to hand in."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome[4])
        self.outcome: Outcome = outcome


def fitting(batch: Sequence[Outcome], limit: int = _BATCH_SIZE) -> int:
    """Return how many outcomes can be handed in together: results of more than `limit` bytes go apart.

    >>> from msgspec import Raw
    >>> fitting([(1, 1, "succeeded", Raw(b"x" * 60)), (2, 2, "succeeded", Raw(b"x" * 60))], limit=100)
    1
    """
    size = 0
    for number, outcome in enumerate(batch):
        if outcome[2] == "succeeded" and outcome[3] is not _NOTHING:
            size += len(memoryview(outcome[3]))
            if size > limit:
                return max(number, 1)
    return len(batch)


def from_value(job: ClaimedJob, value: Any) -> Outcome:
    """Return the outcome of a run that returned a value."""
    if value is None:
        return (job.id, job.run_id, "succeeded", _NOTHING)
    match value:
        case Retry():
            return failed(job, "error", value.reason, delay=value.seconds)
        case Snooze():
            return (job.id, job.run_id, "snoozed", value.seconds)
        case Cancel():
            return cancelled(job, value.reason)
    try:
        encoded = json.encode(value, field="result")
    except InvalidInput as error:
        return failed(job, "result", error.message, final=True)
    return (job.id, job.run_id, "succeeded", msgspec.Raw(encoded))


def from_error(job: ClaimedJob, error: BaseException) -> Outcome:
    """Return the outcome of a run that raised."""
    if isinstance(error, RemoteError):
        return failed(job, error.kind, error.message, trace=error.trace, final=error.final)
    message = one_line("".join(_safely(lambda: traceback.format_exception_only(error), error)))
    frames = _from_the_task_on(error.__traceback__)
    text = "".join(_safely(lambda: traceback.format_exception(type(error), error, frames), error))
    return failed(job, "timeout" if isinstance(error, TimedOut) else "error", message, trace=text)


def timed_out(job: ClaimedJob, error: BaseException | None = None) -> Outcome:
    """Return the outcome of a run that took too long; `error` may know what it was doing."""
    trace = error.trace if isinstance(error, RemoteError) else None
    return failed(job, "timeout", f"timed out after {job.timeout:g} s", trace=trace)


def unstorable(outcome: Outcome, problem: str) -> Outcome:
    """Return what takes the place of an outcome that the database refused."""
    message = one_line(f"the outcome could not be stored: {problem}")
    return (outcome[0], outcome[1], "failed", "result", message, None, None, True)


def failed(
    job: ClaimedJob,
    kind: str,
    message: str,
    *,
    trace: str | None = None,
    delay: float | None = None,
    final: bool = False,
) -> Outcome:
    """Return the outcome of a failed attempt."""
    return (job.id, job.run_id, "failed", kind, one_line(message), _stored(trace), delay, final)


def cancelled(job: ClaimedJob, reason: str | None) -> Outcome:
    """Return the outcome of a run that was, or wants to be, cancelled."""
    return (job.id, job.run_id, "cancelled", None if reason is None else one_line(reason))


def released(job: ClaimedJob) -> Outcome:
    """Return the outcome of a run that was not made, or not finished, through no fault of its own."""
    return (job.id, job.run_id, "released")


def parked(job: ClaimedJob, kind: str, reason: str) -> Outcome:
    """Return the outcome of a job that cannot run here: `kind` is `task` or `arguments`."""
    return (job.id, job.run_id, "parked", kind, one_line(reason))


def one_line(text: str) -> str:
    r"""Return text as one printable line of a bounded length.

    >>> one_line("no\nsuch\x00file")
    'no such\\x00file'
    """
    line = " ".join(text[: 2 * _LINE_LIMIT].split())
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return line if len(line) <= _LINE_LIMIT else f"{line[:_LINE_LIMIT]}…"


def _from_the_task_on(frames: TracebackType | None) -> TracebackType | None:
    """Leave out the frames in which Howdah calls the task."""
    while frames is not None and frames.tb_frame.f_globals.get("__name__", "").startswith(_OURS):
        frames = frames.tb_next
    return frames


def _stored(text: str | None) -> str | None:
    """Return a traceback that the database can keep: its end says most."""
    if text is None:
        return None
    clean = text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace")
    if len(clean) > TEXT_LIMIT:
        clean = b"... " + clean[4 - TEXT_LIMIT :]
    return clean.decode("utf-8", "ignore")


def _safely(render: Any, error: BaseException) -> list[str]:
    # An exception's own __str__ may raise.
    try:
        lines: list[str] = render()
    except Exception:
        return [f"{type(error).__name__} (its text cannot be shown)"]
    return lines
