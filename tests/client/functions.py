"""Functions for jobs that a consumer runs by name."""

from __future__ import annotations

import datetime
import uuid

from howdah import Cancel, Context, Retry, Snooze, current_job


def next_day(day: datetime.date, number: uuid.UUID) -> dict[str, object]:
    """Show what the annotations made of the arguments."""
    assert isinstance(number, uuid.UUID)
    return {"day": day + datetime.timedelta(days=1)}


async def who(ctx: Context, greeting: str) -> list[object]:
    """Show what a task knows about its job."""
    job = current_job()
    return [greeting, ctx.job.job_id, job and job.run_id == ctx.job.run_id, ctx.attempt]


def fail() -> None:
    """Fail."""
    raise ValueError("no luck")


def outcome(word: str) -> object:
    """Return one of the outcomes that are no results."""
    return {"retry": Retry(60, "later"), "snooze": Snooze(60), "cancel": Cancel("enough")}.get(word, object())
