"""What the model talks about: jobs, workers, refusals, and how a topic matches."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

WAITING = ("scheduled", "blocked", "ready")
FINISHED = ("succeeded", "failed", "cancelled", "skipped")
DEFAULTS = {"queue": "default", "priority": 0, "max_retries": 3, "timeout": 60}
FOR_EVER = datetime.max.replace(tzinfo=UTC)
Outcome = list[Any]


class Refused(Exception):
    """The call is refused; the argument is its SQLSTATE."""


@dataclass
class Edge:
    """What a job waits for: the end of another one."""

    allow_failure: bool
    settled: bool = False
    told: str | None = None  # how the parent has ended


@dataclass
class Job:
    """A job in its one state; what is None of its options comes from its task."""

    id: int
    task: str
    options: dict[str, Any]
    state: str = "ready"
    attempt: int = 0
    position: int = 0
    lane: tuple[str, int] = ("default", 0)
    due: datetime | None = None  # when it was first to run; ageing counts from here
    run_at: datetime | None = None
    jitter: tuple[float, float] | None = None
    run: int | None = None
    worker: int | None = None
    started: datetime | None = None
    deadline: datetime | None = None
    result_ttl: float | None = None
    kind: str | None = None
    blocked_at: datetime | None = None
    result: Any = None
    finished_at: datetime | None = None
    prune_at: datetime | None = None
    expires_at: datetime | None = None
    stop: bool = False
    forgiven: int = 0  # deaths of runs up to this one count no more
    failures: dict[int, tuple[int, str]] = field(default_factory=dict)
    edges: dict[int, Edge] = field(default_factory=dict)  # by parent, what it still waits for
    waits_for: str | None = None  # the limit in whose line it stands
    held: dict[str, int] = field(default_factory=dict)  # slots that its run takes, by limit


@dataclass
class Worker:
    """A registered worker; knows the tasks named and those below its packages."""

    queues: list[str] | None
    topic: str | None
    tasks: list[str]
    packages: list[str]
    lease: float
    beat: datetime
    labels: frozenset[str] = frozenset()
    asleep: bool = False

    def knows(self, task: str) -> bool:
        """Return whether it can run a task."""
        return task in self.tasks or any(task.startswith(f"{package}.") for package in self.packages)


def matches(topic: str | None, task: str) -> bool:
    """Return whether a task fits a topic: only % is a wildcard."""
    return topic is None or bool(re.fullmatch(".*".join(map(re.escape, topic.split("%"))), task))


def lane_name(queue: str, tenant: str | None, requires: Iterable[str] | None) -> str:
    """Return the lane in which such jobs lie."""
    labels = ",".join(sorted(set(requires or ())))
    return queue + (f"/{tenant}" if tenant else "") + (f"+{labels}" if labels else "")


def queue_of(lane: str) -> str:
    return lane.split("+")[0].split("/")[0]


def labels_of(lane: str) -> set[str]:
    return set(lane.split("+")[1].split(",")) if "+" in lane else set()
