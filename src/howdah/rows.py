"""How the rows of the schema `jobs` are read: pure functions from rows to values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from howdah.models import (
    ChangedJob,
    ExchangeAnswer,
    Failure,
    JobRow,
    LogLine,
    PublishedJob,
    Relative,
    Statistic,
    Verdict,
)

__all__ = [
    "Row",
    "Rows",
    "all_published",
    "answer",
    "changed",
    "failures",
    "job_or_none",
    "jobs",
    "log_lines",
    "mappings",
    "nothing",
    "numbers",
    "one_published",
    "plain_rows",
    "relatives",
    "scalar",
    "statistics",
    "verdicts",
]

Row = Mapping[str, Any]
Rows = Sequence[Row]


def scalar(rows: Rows) -> Any:
    """Return the only value; None without a row."""
    return next(iter(rows[0].values())) if rows else None


def pair(rows: Rows) -> tuple[int, int]:
    """Return the two numbers of the only row."""
    first, second = rows[0].values()
    return first, second


def nothing(_: Rows) -> None:
    """Return nothing."""


def _published(row: Row) -> PublishedJob:
    return PublishedJob(*row.values())  # by position, as the type jobs.published has them


def all_published(rows: Rows) -> list[PublishedJob]:
    """Return the jobs published."""
    return [_published(row) for row in rows]


def numbers(rows: Rows) -> list[int]:
    """Return the numbers of the jobs published."""
    return [published.id for published in all_published(rows)]


def one_published(rows: Rows) -> PublishedJob:
    """Return the job published."""
    return _published(rows[0])


def changed(rows: Rows) -> ChangedJob:
    """Return the job changed."""
    row = rows[0]
    return ChangedJob(row["job_id"], row["id"], row["state"])


def jobs(rows: Rows) -> list[JobRow]:
    """Return jobs."""
    return [JobRow.from_row(row) for row in rows]


def job_or_none(rows: Rows) -> JobRow | None:
    """Return the job, if there is one."""
    return JobRow.from_row(rows[0]) if rows else None


def verdicts(rows: Rows) -> list[Verdict]:
    """Return what a heartbeat says about runs."""
    return [Verdict(row["run_id"], row["verdict"]) for row in rows]


def failures(rows: Rows) -> list[Failure]:
    """Return failed attempts."""
    names = ("attempt", "run_id", "at", "kind", "error", "traceback")
    return [Failure(*(row[name] for name in names)) for row in rows]


def relatives(rows: Rows) -> list[Relative]:
    """Return the parents of a job and the jobs that wait for it."""
    names = ("relation", "job_id", "id", "task", "state", "awaited")
    return [Relative(*(row[name] for name in names)) for row in rows]


def _number(value: Any) -> float:
    return float(value) if isinstance(value, Decimal) else value


def statistics(rows: Rows) -> list[Statistic]:
    """Return numbers for exporters."""
    return [Statistic(row["name"], row["queue"], _number(row["value"])) for row in rows]


def mappings(rows: Rows) -> list[dict[str, Any]]:
    """Return the rows as they are."""
    return [dict(row) for row in rows]


def plain_rows(rows: Rows) -> list[dict[str, Any]]:
    """Return the rows with plain numbers."""
    return [{name: _number(value) for name, value in row.items()} for row in rows]


def log_lines(rows: Rows) -> list[LogLine]:
    """Return lines of a log."""
    return [LogLine(*(row[name] for name in ("n", "at", "run_id", "level", "message"))) for row in rows]


_answer_decoder = msgspec.json.Decoder(ExchangeAnswer)


def answer(rows: Rows) -> ExchangeAnswer:
    """Return the answer of an exchange."""
    value = scalar(rows)
    # A caller's connection may have a JSON codec of its own.
    if isinstance(value, str):
        found = _answer_decoder.decode(value)
        found.size = len(value)
    else:
        found = msgspec.convert(value, ExchangeAnswer)
    if found.alone:
        for job in found.jobs:
            job.alone = job.run_id in found.alone
    return found
