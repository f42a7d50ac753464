"""What a worker writes about itself.

Failures, retries and timeouts are WARNING; start, stop and totals INFO; every start and success DEBUG.
Arguments and results are never written.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from howdah.worker.outcomes import one_line

if TYPE_CHECKING:
    from howdah.models import ClaimedJob, Outcome

__all__ = ["log_outcome", "logger", "set_up_logging", "totals_line"]

logger: logging.Logger = logging.getLogger("howdah.worker")


def log_outcome(outcome: Outcome, job: ClaimedJob | None) -> None:
    """Write what became of a run, at the level that its kind has."""
    word = outcome[2]
    if word == "succeeded":
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s succeeded", _name(outcome, job))
    elif word == "failed":
        # The kind and the class of the error are ours to show; its text may hold what the task was given.
        logger.warning("%s failed (%s): %s", _name(outcome, job), outcome[3], one_line(str(outcome[4])))
    elif word == "parked":
        logger.warning("job %s is parked (%s): %s", outcome[0], outcome[3], one_line(str(outcome[4])))
    elif logger.isEnabledFor(logging.DEBUG):
        logger.debug("%s %s", _name(outcome, job), word)


def totals_line(new: dict[str, int], busy: int) -> str:
    """Return one line about the last seconds.

    >>> totals_line({"succeeded": 3, "failed": 1}, 2)
    '1 failed, 3 succeeded, 2 running'
    """
    counts = [f"{number} {word}" for word, number in sorted(new.items())]
    return ", ".join([*counts, f"{busy} running"])


def set_up_logging(level: int = logging.INFO) -> None:
    """Write Howdah's log to standard error, one line per record, control characters escaped."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(name)s[%(process)d] %(message)s"))
    root = logging.getLogger("howdah")
    root.handlers[:] = [handler]
    root.setLevel(level)
    root.propagate = False


class _OneLine(logging.Formatter):
    """Escapes control characters: what a task's error says must not forge lines of the log."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = one_line(record.message)
        return super().formatMessage(record)


def _name(outcome: Outcome, job: ClaimedJob | None) -> str:
    return f"job {outcome[0]}" if job is None else f"{job.task} {job.job_id} (attempt {job.attempt})"
