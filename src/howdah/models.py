"""Values that travel between the database, the client and the worker."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from howdah import arguments, json
from howdah.retry import Backoff, backoff_delays, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "FINISHED",
    "ChangedJob",
    "ClaimedJob",
    "ExchangeAnswer",
    "Failure",
    "JobRow",
    "LogLine",
    "Outcome",
    "PublishedJob",
    "Relative",
    "Statistic",
    "TaskDescription",
    "TaskOptions",
    "UniqueMode",
    "UniqueUntil",
    "Verdict",
]

FINISHED = frozenset({"succeeded", "failed", "cancelled", "skipped"})


class ClaimedJob(msgspec.Struct, array_like=True, gc=False):
    """One job as an exchange hands it out; its body stays encoded until it runs."""

    id: int
    run_id: int
    attempt: int
    task: str
    queue: str
    priority: int
    timeout: float
    max_retries: int
    key: str | None
    headers: dict[str, Any] | None
    meta: Any
    body: msgspec.Raw
    # Its workers died with it so often that it must have a process of its own.
    alone: bool = False

    @property
    def job_id(self) -> str:
        """The user's own key, else the number as text."""
        return self.key or str(self.id)


class ExchangeAnswer(msgspec.Struct):
    """What the database says to an exchange."""

    jobs: list[ClaimedJob] = []
    lost: list[int] = []
    later: list[int] = []
    next: float | None = None
    # Seconds until the next look of a worker that others wake.
    nap: float | None = None
    holders: str | None = None
    asleep: bool = False
    settled: bool | None = None
    alone: list[int] = []
    # Which life of the server this is; another one after a crash or a failover.
    life: int | None = None
    # Length of the whole in characters, as it came.
    size: int = 0


# (job id, run id, word, …): see the functions of howdah.worker.outcomes.
Outcome = tuple[Any, ...]


class PublishedJob(msgspec.Struct, frozen=True):
    """The answer to a publish; `created` is false when the key existed."""

    job_id: str
    id: int
    state: str
    created: bool


@dataclass(frozen=True, slots=True)
class ChangedJob:
    """The answer to ack, nack, cancel, retry, delete."""

    job_id: str
    id: int
    state: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a heartbeat says about one run."""

    run_id: int
    verdict: Literal["lost", "cancel"]


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt of a job."""

    attempt: int
    run_id: int | None
    at: datetime.datetime
    kind: str
    error: str | None
    traceback: str | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a run of a job has logged; `number` grows with every line."""

    number: int
    at: datetime.datetime
    run_id: int
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class Relative:
    """A parent of a job, or a job that waits for it.

    `state` is None for a parent that is gone; `awaited`: the child still waits for the parent.
    """

    relation: Literal["parent", "child"]
    job_id: str
    id: int
    task: str | None
    state: str | None
    awaited: bool


@dataclass(frozen=True, slots=True)
class Statistic:
    """One number about the system, for exporters."""

    name: str
    queue: str | None
    value: float


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job as the views show it; `body`, `headers`, `meta` and `result` are decoded."""

    id: int
    job_id: str
    task: str
    body: Any
    retries: int
    max_retries: int
    priority: int
    timeout: float
    created_at: datetime.datetime
    run_at: datetime.datetime | None
    scheduled_at: datetime.datetime | None
    status: str
    queue: str
    state: str
    attempt: int
    run_id: int | None
    kind: str | None
    reason: str | None
    worker_id: int | None
    headers: Any
    meta: Any
    key: str | None
    complete_on: datetime.datetime | None = None
    result: Any = None
    traceback: str | None = None
    error: str | None = None

    @property
    def finished(self) -> bool:
        """Whether the job reached a final state."""
        return self.state in FINISHED

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> JobRow:
        """Build from a row of the views; columns of a newer schema are left out."""
        values = {name: row[name] for name in _ROW_FIELDS if name in row}
        for name in _DOCUMENTS if isinstance(row["created_at"], datetime.datetime) else ():
            if isinstance(values.get(name), str):
                values[name] = json.decode(values[name])
        for name in _MOMENTS:
            if isinstance(values.get(name), str):  # the whole row came as one JSON document
                values[name] = datetime.datetime.fromisoformat(values[name])
        values["timeout"] = float(values["timeout"])
        return cls(**values)


_ROW_FIELDS = tuple(field.name for field in fields(JobRow))
_DOCUMENTS = ("body", "headers", "meta", "result")
_MOMENTS = ("created_at", "run_at", "scheduled_at", "complete_on")


UniqueMode = Literal["skip", "replace", "merge", "reject"]
UniqueUntil = Literal["waiting", "started", "finished"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """How a job is to run; what is None was not given.

    Written at `@app.task`, with `.options(…)` or with a publish. Durations are seconds or a timedelta.
    """

    queue: str | None = None
    max_retries: int | None = None
    timeout: float | datetime.timedelta | None = None
    priority: int | None = None
    backoff: Backoff | None = None
    ttl: float | datetime.timedelta | None = None
    result_ttl: float | datetime.timedelta | None = None
    failure_ttl: float | datetime.timedelta | None = None
    delay: float | datetime.timedelta | None = None
    scheduled_at: datetime.datetime | None = None
    key: str | None = None
    headers: Mapping[str, Any] | None = None
    meta: Any = None
    concurrency_key: str | None = None
    concurrency_limit: int | None = None
    slots: int | None = None
    at_front: bool | None = None
    tenant: str | None = None
    requires: Sequence[str] | None = None
    depends_on: Any = None
    allow_failure: bool | None = None
    unique: bool | str | Sequence[str] | Mapping[str, Any] | None = None
    unique_key: str | None = None
    unique_mode: UniqueMode | None = None
    unique_until: UniqueUntil | None = None
    unique_for: float | datetime.timedelta | None = None

    def given(self) -> dict[str, Any]:
        """Return the options that were given, as the database takes them. Raises `InvalidInput`."""
        values: dict[str, Any] = {}
        for name in _OPTION_NAMES:
            value = getattr(self, name)
            if value is not None:
                values[name] = _option(name, value)
        return values

    def merged(self, over: TaskOptions) -> TaskOptions:
        """Return these options with those of `over` where it gives one."""
        mine = {name: getattr(self, name) for name in _OPTION_NAMES}
        theirs = {name: getattr(over, name) for name in _OPTION_NAMES if getattr(over, name) is not None}
        if over.at_front or over.priority is not None:  # they exclude each other: the later word counts
            mine |= {"priority": None, "at_front": None}
        return TaskOptions(**(mine | theirs))


_OPTION_NAMES = tuple(field.name for field in fields(TaskOptions))
_DURATIONS = frozenset({"timeout", "ttl", "result_ttl", "failure_ttl", "delay", "unique_for"})
_OF_A_KIND: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("max_retries", "priority", "concurrency_limit", "slots"), arguments.whole),
    **dict.fromkeys(("queue", "key", "tenant", "concurrency_key"), arguments.text),
    **dict.fromkeys(("unique_key", "unique_mode", "unique_until"), arguments.text),
    **dict.fromkeys(("at_front", "allow_failure"), arguments.truth),
    "scheduled_at": arguments.moment,
    "requires": arguments.names,
    "depends_on": arguments.job_ids,
}


def _option(name: str, value: Any) -> Any:
    if name in _DURATIONS:
        return seconds(value, field=name)
    if name in _OF_A_KIND:
        return _OF_A_KIND[name](value, field=name)
    if name == "backoff":
        return backoff_delays(value)
    return _choice(value) if name == "unique" else value


def _choice(value: Any) -> Any:
    """Return what makes jobs unique: all arguments, none, these, or as the database takes it."""
    if isinstance(value, bool | Mapping):
        return value
    return arguments.names([value] if isinstance(value, str) else value, field="unique")


@dataclass(frozen=True, slots=True)
class TaskDescription:
    """What a worker tells the database about one of its tasks."""

    name: str
    options: TaskOptions
    signature: str | None = None

    def given(self) -> dict[str, Any]:
        """Return the description without what was not given."""
        values = {"name": self.name, **self.options.given()}
        if self.signature is not None:
            values["signature"] = self.signature
        return values
