"""What limits mean, in plain Python: whether what a claim started may start, in order, and all that could."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from tests.model.vocabulary import Job, Refused, queue_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from tests.model.engine import Stored
    from tests.model.reference import Reference

Wanted: TypeAlias = Callable[[Job], bool]


@dataclass
class Limit:
    """What somebody has set; `adopted`: runs that were there before it hold it by now."""

    max_running: int | None = None
    rate: int | None = None
    per: int | None = None
    adopted: bool = False

    @property
    def in_force(self) -> bool:
        return self.max_running is not None or self.rate is not None


class Limits:
    """The limits of a model's queues, tasks and keys, each by its kind and name in one word pair.

    How far a claim has looked, and so whether a job that may not start is `ready` or `blocked`, is the
    engine's choice. The model adopts it when it is allowed.
    """

    def __init__(self, model: Reference) -> None:
        self.model = model
        self.by_hand: dict[str, Limit] = {}
        self.starts: dict[str, list[datetime]] = {}
        self.most_waiting: dict[str, int] = {}  # by queue

    # what is set

    def change(self, name: str, max_running: int | None, rate: int | None, per: int | None) -> None:
        """Set or remove a limit; None: as it is."""
        if max_running is None and rate is None:
            return
        self.model.controlled = True
        limit = self.by_hand.setdefault(name, Limit())
        is_key = name.startswith("key ")
        limit.adopted = is_key or (limit.adopted and limit.in_force)
        if max_running is not None:
            limit.max_running = None if max_running < 0 else max_running
        if rate is not None:
            limit.rate, limit.per = (None, None) if rate < 0 else (rate, per)
        if is_key and not limit.in_force:
            del self.by_hand[name]

    def check_room(self, given: Iterable[str]) -> None:
        """Refuse to publish into queues, named once for each job, in which too many wait."""
        queues = list(given)
        waiting = [queue_of(job.lane[0]) for job in self.waiting()]
        for queue, most in self.most_waiting.items():
            if queue in queues and waiting.count(queue) + queues.count(queue) > most:
                raise Refused("JB008")

    def of(self, job: Job) -> list[str]:
        """Return the limits of a job, in the order in which they are heeded."""
        waits = job.state in ("ready", "blocked")
        queue = queue_of(job.lane[0]) if waits else self.model.option(job, "queue")
        key = job.options.get("concurrency_key")
        return [f"key {key}"] * (key is not None) + [
            name for name in (f"task {job.task}", f"queue {queue}") if self._set(name).in_force
        ]

    def _set(self, name: str) -> Limit:
        return self.by_hand.get(name, Limit())

    # how much room there is

    def most(self, name: str, job: Job) -> int | None:
        """Return how many slots a limit has for a job; None: no end of them."""
        most = self._set(name).max_running
        if most is None and name.startswith("key "):
            return job.options.get("concurrency_limit") or 1
        return most

    def takes(self, name: str, job: Job) -> int:
        """Return how many slots of a limit a job takes: all rather than more than there are."""
        slots, most = job.options.get("slots") or 1, self.most(name, job)
        return slots if most is None else max(1, min(slots, most))

    def used(self, name: str) -> int:
        """Return how many slots are taken, by runs that were there before the limit, too."""
        total, limit = 0, self._set(name)
        for job in self.model.in_state("running"):
            unheld = limit.in_force and not limit.adopted and name in self.of(job)
            total += job.held.get(name, self.takes(name, job) if unheld else 0)
        return total

    def is_open(self, name: str) -> bool:
        """Return whether a rate lets one more start: in no interval, both ends counted, do more."""
        limit = self._set(name)
        if limit.rate is None or limit.per is None:
            return True
        first = self.model.now - timedelta(seconds=limit.per)
        return sum(at >= first for at in self.starts.get(name, [])) < limit.rate

    def has_room(self, name: str, job: Job) -> bool:
        most = self.most(name, job)
        return self.is_open(name) and (most is None or self.used(name) + self.takes(name, job) <= most)

    def hold(self, job: Job) -> None:
        """Have a job that starts take its slots."""
        names = self.of(job)
        job.held = {name: self.takes(name, job) for name in names}
        for name in names:
            if self._set(name).rate is not None:
                self.starts.setdefault(name, []).append(self.model.now)

    # who may start

    def waiting(self) -> list[Job]:
        """Return what could start but for its limits, those first that come first in every line."""
        there = [
            job for job in self.model.in_state("ready", "blocked") if job.state == "ready" or in_line(job)
        ]
        return sorted(there, key=_rank)

    def concern(self, wanted: Wanted) -> bool:
        """Return whether a claimer meets limits at all."""
        return any(in_line(job) or self.of(job) for job in self.waiting() if wanted(job))

    def startable(self, wanted: Wanted) -> list[Job]:
        """Return the jobs that a claimer could start now, one by one."""
        waiting = self.waiting()
        short = {name for job in waiting if wanted(job) for name in self._queues_too_small(job)}
        free: list[Job] = []
        stuck: list[Job] = []
        for job in waiting:
            names = self.of(job)
            may = wanted(job) and all(self.has_room(name, job) for name in names)
            if may and not short & set(names) and not any(self._behind(job, other) for other in stuck):
                free.append(job)
            else:
                stuck.append(job)
        return free

    def _queues_too_small(self, job: Job) -> list[str]:
        """Return the job's queue when it wants more slots of it than are left: whoever follows waits too."""
        return [
            name
            for name in self.of(job)
            if name.startswith("queue ") and self.takes(name, job) > 1 and not self.has_room(name, job)
        ]

    def _lines(self, job: Job) -> set[str]:
        """Return the lines that a job may stand in: never a queue's."""
        line = [job.waits_for] if in_line(job) and job.waits_for else []
        return {name for name in self.of(job) if not name.startswith("queue ")} | set(line)

    def _behind(self, job: Job, other: Job) -> bool:
        """Return whether a job stands behind another one, of its key or in a line, that has to go first."""
        shared = self._lines(job) & self._lines(other)
        return any(name == other.waits_for or name.startswith("key ") for name in shared)

    # what a claim has done

    def follow(
        self, count: int, wanted: Wanted, queues: Sequence[str] | None, told: Sequence[int]
    ) -> list[Job]:
        """Start what the engine has started, one by one, when each might start and was next."""
        assert len(told) <= count
        for number in told:
            job = self.model.jobs[number]
            assert job in self.waiting(), f"started {job}, which did not wait"
            assert wanted(job), f"started {job}, which this claimer may not run"
            self._check_legal(job)
            self._check_turn(job, wanted, queues)
            self.model.start(job)
        return [self.model.jobs[number] for number in told]

    def _check_legal(self, job: Job) -> None:
        for name in self.of(job):
            assert self.is_open(name), f"{job} passes the rate of {name}"
            assert self.has_room(name, job), f"{job} passes {name}: {self.used(name)} slots are taken"

    def _check_turn(self, job: Job, wanted: Wanted, queues: Sequence[str] | None) -> None:
        """Check that nobody is passed who stands in the same line, or has no limit and comes first."""
        for other in self.waiting():
            stops = next((name for name in self.of(other) if not self.has_room(name, other)), None)
            first = _rank(other) < _rank(job) and other.waits_for in self._lines(job)
            held_up = not wanted(other) or stops == other.waits_for
            assert not (in_line(other) and first and held_up), f"{job} overtakes {other}, which has to wait"
        for other in self.startable(wanted):
            if other is not job:
                assert not self._passes(job, other), f"{job} passes {other}, which could start"
                assert not self._leaves_behind(job, other, queues), f"{job} starts before {other}"

    def _passes(self, job: Job, other: Job) -> bool:
        """Return whether a job goes before one that has waited longer, as who stood in a line may."""
        if other.lane[1] != job.lane[1] or other.position > job.position:
            return False
        shared = self._lines(job) & self._lines(other)
        if in_line(job) or in_line(other) or job.lane == other.lane:
            by_lane = bool(shared) and not in_line(job) and not self._key_is_sought(other)
            by_line = any(name == other.waits_for or name.startswith("key ") for name in shared)
            return by_line or (by_lane and job.lane == other.lane)
        # queues and tenants have an order of their own, which a key of several slots leaves to them
        return any(name.startswith("key ") and self.most(name, job) == 1 for name in shared)

    def _key_is_sought(self, job: Job) -> bool:
        """Return whether its key's next one may be another one: a job then goes into the key's line first."""
        key = job.options.get("concurrency_key")
        return key is not None and any(
            other.options.get("concurrency_key") == key
            and (_rank(other) < _rank(job) or other.lane != job.lane)
            for other in self.waiting()
        )

    def _leaves_behind(self, job: Job, other: Job, queues: Sequence[str] | None) -> bool:
        """Return whether a job without limits should have come first: by its level or in its lane."""
        queue, other_queue = queue_of(job.lane[0]), queue_of(other.lane[0])
        if self.of(other) or in_line(other) or self.model.ageing:
            return False
        if job.lane == other.lane:
            return not in_line(job) and other.position < job.position
        if queue == other_queue or queues is None:
            return other.lane[1] > job.lane[1]
        return queues.index(other_queue) < queues.index(queue)

    def check_nothing_left(self, wanted: Wanted) -> None:
        """Check that a claim which found nothing has overlooked nothing."""
        left = self.startable(wanted)
        assert not left, f"found nothing, though {left} could start"

    # what the engine has chosen

    def adopt(self, stored: Iterable[Stored]) -> None:
        """Take over who waits in which line, and who holds a limit that came after it, when that is right."""
        for place, number, *rest in stored:
            job = self.model.jobs.get(number or 0)
            if place == "limit" and rest[5] in self.by_hand:
                limit = self.by_hand[rest[5]]
                limit.adopted = limit.adopted or bool(rest[2])
            elif place == "line" and job is not None:
                self._adopt_line(job, rest[6])
            elif place == "running" and job is not None and job.state == "running":
                self._adopt_held(job, rest[5])

    def _adopt_line(self, job: Job, name: str) -> None:
        if (job.state, job.waits_for) == ("ready", None) or (in_line(job) and job.waits_for != name):
            assert name in self._lines(job), f"{job} waits for {name}, which is none of its limits"
            job.state, job.kind, job.waits_for = "blocked", "limit", name

    def _adopt_held(self, job: Job, held: str | None) -> None:
        for name, _, slots in (one.rpartition(" ") for one in (held or "").split(", ") if one):
            its_own = (f"task {job.task}", f"queue {self.model.option(job, 'queue')}")
            late = name not in job.held and name in self.by_hand and name in its_own
            if late and int(slots) == self.takes(name, job):
                job.held[name] = int(slots)


def in_line(job: Job) -> bool:
    """Return whether a job stands in the line of a limit."""
    return job.state == "blocked" and job.kind == "limit"


def held_form(job: Job) -> str | None:
    """Write what a run holds as look.sql does."""
    return ", ".join(f"{name} {slots}" for name, slots in sorted(job.held.items())) or None


def _rank(job: Job) -> tuple[int, int]:
    return -job.lane[1], job.position
