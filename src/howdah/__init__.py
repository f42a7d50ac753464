"""Howdah: jobs, schedules and workflows that live in PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from howdah.errors import (
    ConfigurationError,
    DatabaseError,
    DatabaseUnavailable,
    DuplicateJob,
    HowdahError,
    InsideEventLoop,
    InvalidInput,
    IsolationTooHigh,
    JobCancelled,
    JobError,
    JobExpired,
    JobFailed,
    JobNotFound,
    JobSkipped,
    LeaseLost,
    NoServer,
    QueueFull,
    ResultTimeout,
    RunIdRequired,
    RunInterrupted,
    SchemaOutdated,
    ServerUnavailable,
    TaskNotAllowed,
    TimedOut,
    WorkerUnknown,
    WrongState,
)

if TYPE_CHECKING:
    from howdah.app import Howdah
    from howdah.context import Context, current_job
    from howdah.job import ConsumedJob, Job
    from howdah.retry import Cancel, Retry, Snooze
    from howdah.tasks import Task, Tasks

__all__ = [
    "Cancel",
    "ConfigurationError",
    "ConsumedJob",
    "Context",
    "DatabaseError",
    "DatabaseUnavailable",
    "DuplicateJob",
    "Howdah",
    "HowdahError",
    "InsideEventLoop",
    "InvalidInput",
    "IsolationTooHigh",
    "Job",
    "JobCancelled",
    "JobError",
    "JobExpired",
    "JobFailed",
    "JobNotFound",
    "JobSkipped",
    "LeaseLost",
    "NoServer",
    "QueueFull",
    "ResultTimeout",
    "Retry",
    "RunIdRequired",
    "RunInterrupted",
    "SchemaOutdated",
    "ServerUnavailable",
    "Snooze",
    "Task",
    "TaskNotAllowed",
    "Tasks",
    "TimedOut",
    "WorkerUnknown",
    "WrongState",
    "current_job",
]

# A module is imported when the first of its names is asked for: `import howdah` costs next to nothing.
_HOMES = {
    "howdah.app": ("Howdah",),
    "howdah.context": ("Context", "current_job"),
    "howdah.job": ("ConsumedJob", "Job"),
    "howdah.retry": ("Cancel", "Retry", "Snooze"),
    "howdah.tasks": ("Task", "Tasks"),
}


if not TYPE_CHECKING:  # a type checker shall refuse a name that is not there

    def __getattr__(name: str) -> object:
        from importlib import import_module

        for home, names in _HOMES.items():
            if name in names:
                value: object = getattr(import_module(home), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
