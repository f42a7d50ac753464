"""The engine's meaning in plain Python: a dictionary of jobs, a method for each function of the schema jobs.

Nothing here knows SQL. What the engine chooses (numbers of jobs and runs, the jitter of a retry) is told to
the model, which checks it; everything else it predicts.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.model import dependencies
from tests.model.limits import Limits
from tests.model.order import follow, in_order
from tests.model.unique import Keys
from tests.model.vocabulary import (
    DEFAULTS,
    FINISHED,
    FOR_EVER,
    WAITING,
    Job,
    Outcome,
    Refused,
    Worker,
    labels_of,
    lane_name,
    matches,
    queue_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime


class Reference:
    """What the database must hold after the calls made so far."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.jobs: dict[int, Job] = {}
        self.tasks: dict[str, dict[str, Any]] = {}
        self.workers: dict[int, Worker] = {}
        self.paused: set[str] = set()
        self.lanes: set[tuple[str, int]] = set()
        self.strays_sought = False
        self.lost: dict[int, tuple[int, int, datetime]] = {}  # run: (job, worker, when)
        self.suspects: set[int] = set()
        self.keys = Keys(self)
        self.limits = Limits(self)
        self.drawn = 0
        self.controlled = False  # whether more has ever counted than priorities: tenants, labels, ageing
        self.ageing: dict[str, float] = {}

    def option(self, job: Job, name: str) -> Any:
        """Return an option of a job: its own, else its task's, else the default."""
        for given in (job.options, self.tasks.get(job.task, {}), DEFAULTS):
            if given.get(name) is not None:
                return given[name]
        return None

    def after(self, seconds: float) -> datetime:
        return self.now + timedelta(seconds=float(seconds))

    def in_state(self, *states: str) -> list[Job]:
        return [job for job in self.jobs.values() if job.state in states]

    def find(self, job_id: str) -> Job:
        found = [job for job in self.jobs.values() if job_id in (str(job.id), job.options.get("key"))]
        if not found:
            raise Refused("JB003")
        return found[0]

    # moves between states

    def make_ready(self, job: Job, attempt: int) -> None:
        self.drawn += 1
        job.state, job.attempt, job.position, job.waits_for = "ready", attempt, self.drawn, None
        job.edges.clear()
        job.lane = self.lane_of(job)

    def make_scheduled(self, job: Job, attempt: int, run_at: datetime) -> None:
        job.state, job.attempt, job.run_at, job.jitter = "scheduled", attempt, run_at, None

    def finish(self, job: Job, state: str, kind: str | None = None, result: Any = None) -> None:
        if job.state != "running":
            job.run = job.started = None
        job.state, job.kind, job.result, job.finished_at, job.stop = state, kind, result, self.now, False
        self.keep(job, self.option(job, "result_ttl" if state == "succeeded" else "failure_ttl"))
        job.edges.clear()
        dependencies.tell(self, job, state)

    def keep(self, job: Job, seconds: float | None) -> None:
        job.prune_at = None if seconds is None else FOR_EVER if seconds < 0 else self.after(seconds)

    def stopped(self, job: Job) -> bool:
        """End a run as cancelled when somebody asked for that."""
        if job.stop:
            self.finish(job, "cancelled", "revoked")
        return job.state == "cancelled"

    def fail(self, job: Job, kind: str, run_at: datetime | None = None, final: bool = False) -> None:
        assert job.run is not None
        job.failures[job.run] = (job.attempt, kind)
        if self.stopped(job):
            return
        if final or job.attempt > self.option(job, "max_retries"):
            self.finish(job, "failed", kind)
        elif run_at is not None:
            self.make_scheduled(job, job.attempt, max(run_at, self.now))
        elif backoff := self.option(job, "backoff"):
            self.make_scheduled(job, job.attempt, self.after(backoff[min(job.attempt, len(backoff)) - 1]))
        else:
            low = min(3 * 2 ** (min(job.attempt, 12) - 1), 3600)
            self.make_scheduled(job, job.attempt, self.after(low))
            job.jitter = (low, 1.25 * low)

    def died(self, job: Job) -> None:
        """A death with others costs nothing; from the second on the job is to run alone."""
        assert job.run is not None
        job.failures[job.run] = (job.attempt, "crash")
        if sum(kind == "crash" for run, (_, kind) in job.failures.items() if run > job.forgiven) < 2:
            self.hand_back(job)
        elif not self.stopped(job):
            self.suspects.add(job.id)
            job.state, job.kind, job.attempt, job.blocked_at = "blocked", "alone", job.attempt - 1, self.now

    def admit(self) -> None:
        """Let suspects run: two of each lane for each worker, oldest first."""
        room = 2 * len(self.workers) or 100
        lanes = Counter(
            self.place_of(job) for job in self.in_state("ready", "running") if job.id in self.suspects
        )
        waiting = [job for job in self.in_state("blocked") if job.kind == "alone"]
        for job in sorted(waiting, key=lambda job: (job.blocked_at, job.id)):
            lanes[self.place_of(job)] += 1
            if lanes[self.place_of(job)] <= room:
                self.make_ready(job, job.attempt)

    def place_of(self, job: Job) -> tuple[str, int]:
        return self.option(job, "queue"), self.option(job, "priority")

    def lane_of(self, job: Job) -> tuple[str, int]:
        queue, priority = self.place_of(job)
        return lane_name(queue, job.options.get("tenant"), self.option(job, "requires")), priority

    def acquit(self) -> None:
        self.suspects &= {job.id for job in self.jobs.values() if job.state not in FINISHED}

    def run_died(self, job_id: str, run: int) -> Job:
        """End a run whose own process died."""
        job = self.current(job_id, run)
        if job.worker is None:
            raise Refused("JB001")
        last = {
            attempt: kind
            for number, (attempt, kind) in sorted(job.failures.items())
            if number > job.forgiven and attempt < job.attempt
        }
        self.fail(job, "crash", final=list(last.values()).count("crash") >= 2)
        return job

    def hand_back(self, job: Job) -> None:
        if not self.stopped(job):
            self.make_ready(job, job.attempt - 1)

    def alive(self) -> list[Worker]:
        """Return the workers whose leases have not ended."""
        return [w for w in self.workers.values() if w.beat + timedelta(seconds=w.lease) >= self.now]

    # publishers

    def check(self, given: Iterable[Mapping[str, Any]]) -> None:
        """Refuse options that exclude each other, and jobs whose time to live is over before they are due."""
        for options in given:
            at, ttl = options.get("scheduled_at"), options.get("ttl")
            over = ttl is not None and (ttl <= (options.get("delay") or 0) or (at and self.after(ttl) <= at))
            if over or (options.get("at_front") and options.get("priority") is not None):
                raise Refused("JB001")

    def publish(
        self, given: Sequence[Mapping[str, Any]], ids: Sequence[int]
    ) -> list[tuple[int, str | None, bool]]:
        """Publish; `ids` are the numbers that the engine gave. Answers (id, state, created)."""
        parents = [dependencies.parents_of(self, options) for options in given]
        self.check(given)
        self.limits.check_room(self._queue_given(options) for options in given)
        self.controlled |= any("concurrency_key" in options for options in given)
        answer: list[tuple[int, str | None, bool]] = []
        for options, number, known in zip(given, ids or [0] * len(given), parents, strict=True):
            if "unique_key" in options:
                answer.append(self.keys.publish(dict(options), number))
                continue
            key = options.get("key")
            twin = [job for job in self.jobs.values() if key is not None and job.options.get("key") == key]
            answer.append(
                (twin[0].id, twin[0].state, False) if twin else self.add(dict(options), number, known)
            )
        return answer

    def _queue_given(self, options: Mapping[str, Any]) -> str:
        declared = self.tasks.get(options["task"], {})
        return str(options.get("queue") or declared.get("queue") or DEFAULTS["queue"])

    def add(self, options: dict[str, Any], number: int, parents: Sequence[Job] = ()) -> tuple[int, str, bool]:
        assert number not in self.jobs
        task = str(options.pop("task"))
        registered = self.tasks.get(task, {})
        if options.pop("at_front", None):
            options["priority"] = 32767
        options |= {name: value for name, value in registered.items() if options.get(name) is None}
        job = self.jobs[number] = Job(number, task, options)
        self.controlled |= bool(options.get("tenant") or options.get("requires"))
        job.run_at, delay = options.get("scheduled_at"), options.get("delay") or 0
        if delay > 0:
            job.run_at = self.after(delay)
        job.due = max(self.now, job.run_at or self.now)
        self.make_ready(job, 0)
        if job.run_at is not None and job.run_at > self.now:
            job.state = "scheduled"
        dependencies.tie(job, parents, options.get("allow_failure") or False)
        if (ttl := options.get("ttl")) is not None:
            job.expires_at = self.after(ttl)
        return number, job.state, True

    # claims

    def claim(
        self,
        count: int,
        worker: int | None,
        wanted: Callable[[Job], bool],
        queues: Sequence[str] | None,
        labels: Collection[str],
        told: Sequence[int],
    ) -> list[Job]:
        """Claim; `told`: what the engine has taken, which counts where lanes take turns."""
        ready = [job for job in self.in_state("ready") if queue_of(job.lane[0]) not in self.paused]

        def may_run(job: Job) -> bool:
            queue, needs = queue_of(job.lane[0]), labels_of(job.lane[0])
            serves = (queues is None or queue in queues) and queue not in self.paused and needs <= set(labels)
            return serves and wanted(job)

        self.may_run = may_run
        if self.limits.concern(may_run):
            taken = self.limits.follow(count, may_run, queues, told)
        elif self.controlled or len(queues or ()) > 1:
            aged = {queue: self.after(-seconds) for queue, seconds in self.ageing.items()}
            taken = follow(ready, count, wanted, queues, labels, told, aged)
        else:
            taken = in_order(ready, count, wanted, queues)
        for job in taken:
            self.start(job)
            job.worker = worker
        return taken

    def start(self, job: Job) -> None:
        """Have a job run, once."""
        if job.state == "running":
            return
        self.limits.hold(job)
        job.state, job.attempt, job.run, job.waits_for = "running", job.attempt + 1, None, None
        job.started, job.deadline = self.now, self.after(self.option(job, "timeout"))
        job.result_ttl = self.option(job, "result_ttl")

    def set_ageing(self, queue: str, seconds: float) -> None:
        """Let jobs that have waited so long go first; -1: never."""
        self.controlled = True
        self.ageing.pop(queue, None)
        if seconds >= 0:
            self.ageing[queue] = seconds

    def consume(
        self,
        count: int,
        queues: Sequence[str] | None,
        topic: str | None,
        labels: Collection[str],
        told: Sequence[int],
        unparked: Callable[[Sequence[Job]], int],
    ) -> list[Job]:
        """Claim for a plain consumer; the caller fills in the numbers of the runs.

        `unparked`: how many parked jobs the engine has brought back, which counts where there are limits.
        """
        self.rescue()
        self.expire()
        self.promote()
        self.admit()
        if not self.workers:
            dependencies.settle(self, mark=False)

        def wanted(job: Job) -> bool:
            return matches(topic, job.task)

        parked = [
            job
            for job in sorted(self.in_state("blocked"), key=lambda job: job.id)
            if job.kind == "task" and wanted(job) and self.option(job, "queue") not in self.paused
            if queues is None or self.option(job, "queue") in queues
            if set(self.option(job, "requires") or ()) <= set(labels)
        ]
        first = told[: self._first_part(count, parked, told, unparked(parked))]
        claimed = self.claim(count, None, wanted, queues, labels, first)
        for job in parked[: count - len(claimed)]:
            self.make_ready(job, job.attempt)
        rest = self.claim(count - len(claimed), None, wanted, queues, labels, told[len(claimed) :])
        return claimed + rest

    def _first_part(self, count: int, parked: Sequence[Job], told: Sequence[int], unparked: int) -> int:
        """Return how many jobs were claimed before parked ones were brought back."""
        numbers = [job.id for job in parked]
        before = next((n for n, number in enumerate(told) if number in numbers), len(told))
        return min(before, count - unparked) if unparked else len(told)

    # the ends of runs

    def current(self, job_id: str, run: int | None) -> Job:
        """Return the job of a run that is current, or refuse."""
        job = self.find(job_id)
        if job.state == "running" and (run == job.run or (run is None and job.worker is None)):
            return job
        raise Refused("JB006" if run is None and job.state == "running" else "JB002")

    def end(self, job: Job, outcome: Outcome) -> None:
        """Take in one outcome of a current run, in the form that exchange takes it."""
        match outcome:
            case ["succeeded", result]:
                self.finish(job, "succeeded", result=result)
            case ["failed", kind, delay, final]:
                self.fail(job, kind, None if delay is None else self.after(delay), final)
            case ["cancelled"]:
                self.finish(job, "cancelled", "revoked")
            case _ if self.stopped(job):
                pass
            case ["snoozed", delay]:
                self.make_scheduled(job, job.attempt - 1, self.after(delay))
            case ["released"]:
                self.make_ready(job, job.attempt - 1)
            case ["parked", kind]:
                job.state, job.kind, job.attempt = "blocked", kind, job.attempt - 1

    def exchange(
        self,
        worker_id: int,
        outcomes: Sequence[tuple[int, int, Outcome]],
        count: int,
        sleep: bool,
        told: Sequence[int],
    ) -> tuple[set[int], list[Job]]:
        """Take in outcomes and claim; answers the runs that were lost and what was claimed.

        A worker that was asleep looks before the tick, and again after it when it found nothing.
        """
        if worker_id not in self.workers:
            raise Refused("JB007")
        taken: set[int] = set()
        for good in (True, False) if outcomes else ():
            self._hand_in([one for one in outcomes if (one[2][0] == "succeeded") is good], taken)
            dependencies.settle_told(self)
        worker = self.workers[worker_id]
        claimed: list[Job] = []
        if worker.asleep and count > 0:
            self.expire()
            there = {job.id for job in self.limits.waiting()}  # else it found them after the tick
            claimed = self.look(worker_id, count, told if there >= set(told) else ())
        if not claimed:
            self.promote()
            self.expire()
            self.park()
            dependencies.settle(self, mark=True)
            claimed = self.look(worker_id, count, told)
        if count > 0:
            worker.asleep = not claimed and (sleep or worker.asleep)
        return {run for _, run, _ in outcomes} - taken, claimed

    def _hand_in(self, outcomes: Sequence[tuple[int, int, Outcome]], taken: set[int]) -> None:
        for number, run, outcome in sorted(outcomes, key=lambda item: item[0]):
            job = self.jobs.get(number)
            if job is not None and job.state == "running" and job.run == run:
                self.end(job, outcome)
                if job.state == "succeeded":
                    self.keep(job, job.result_ttl)
                taken.add(run)

    def look(self, worker_id: int, count: int, told: Sequence[int]) -> list[Job]:
        """Claim for a worker."""
        worker = self.workers[worker_id]
        return self.claim(
            count,
            worker_id,
            lambda job: matches(worker.topic, job.task) and worker.knows(job.task),
            worker.queues,
            worker.labels,
            told,
        )

    def heartbeat(self, worker_id: int | None, runs: Iterable[int]) -> list[tuple[int, str]]:
        """Extend a worker's lease or plain runs; answers verdicts."""
        if worker_id is not None and worker_id not in self.workers:
            raise Refused("JB007")
        running = {job.run: job for job in self.in_state("running") if job.run and job.worker == worker_id}
        verdicts = {run: "cancel" for run, job in running.items() if job.stop}
        if worker_id is not None:
            self.workers[worker_id].beat = self.now
            verdicts |= {run: "lost" for run, (_, owner, _) in self.lost.items() if owner == worker_id}
            return sorted(verdicts.items())
        for run in set(runs) & set(running):
            running[run].deadline = self.after(self.option(running[run], "timeout"))
        return sorted(
            (run, verdicts.get(run, "lost")) for run in set(runs) if run in verdicts or run not in running
        )

    # control

    def cancel(self, job_id: str) -> Job:
        job = self.find(job_id)
        if job.state in WAITING:
            self.finish(job, "cancelled", "revoked")
        job.stop = job.state == "running"
        return job

    def retry(self, job_id: str) -> Job:
        job = self.find(job_id)
        if job.state == "running":
            raise Refused("JB004")
        if job.state in FINISHED:
            self.keys.take_again(job)
            job.expires_at, job.forgiven = None, max(job.failures, default=0)
            self.suspects.discard(job.id)
        if job.state != "ready":
            self.make_ready(job, job.attempt if job.state in WAITING else 0)
        return job

    def delete(self, job_id: str, force: bool) -> Job:
        job = self.find(job_id)
        if job.state == "running" and not force:
            raise Refused("JB004")
        if job.state == "running":
            self.lose(job)
        dependencies.tell(self, job, dependencies.GONE)
        self.keys.free(job)
        return self.jobs.pop(job.id)

    def lose(self, job: Job) -> None:
        """Tell a worker that a run is no longer its own."""
        if job.worker is not None and job.run is not None:
            self.lost[job.run] = (job.id, job.worker, self.now)

    # workers

    def worker_started(self, number: int, worker: Worker, options: Mapping[str, dict[str, Any]]) -> None:
        self.workers[number] = worker
        self.tasks |= options
        self.controlled |= any(declared.get("requires") for declared in options.values())
        blocked = [
            job
            for job in self.in_state("blocked")
            if job.kind in ("task", "arguments") and worker.knows(job.task)
        ]
        misplaced = [
            job for job in self.limits.waiting() if job.task in options and job.lane != self.lane_of(job)
        ]
        for job in sorted(misplaced, key=lambda job: job.id) + sorted(blocked, key=lambda job: job.id):
            self.make_ready(job, job.attempt)

    def worker_stopped(self, number: int, crashed: bool) -> int:
        self.workers.pop(number, None)
        runs = sorted(
            (job for job in self.in_state("running") if job.worker == number), key=lambda job: job.run or 0
        )
        for job in runs:
            (self.died if crashed else self.hand_back)(job)
        self.lost = {run: lost for run, lost in self.lost.items() if lost[1] != number}
        self.admit()
        return len(runs)

    # chores

    def rescue(self) -> None:
        for job in self.in_state("running"):
            if job.worker is None and job.deadline is not None and job.deadline < self.now:
                self.fail(job, "timeout")
        for number, worker in sorted(self.workers.items()):
            if worker.beat + timedelta(seconds=worker.lease) < self.now:
                self.worker_stopped(number, crashed=True)

    def rescue_overdue(self) -> None:
        for job in self.in_state("running"):
            if job.worker is not None and job.deadline is not None and job.deadline < self.after(-10):
                self.fail(job, "timeout")
                self.lose(job)

    def expire(self) -> None:
        for job in self.jobs.values():
            if job.expires_at is not None and job.expires_at <= self.now:
                job.expires_at = None
                if job.state in WAITING and job.attempt == 0:
                    self.finish(job, "cancelled", "ttl")

    def promote(self) -> None:
        due = [job for job in self.in_state("scheduled") if job.run_at is not None and job.run_at <= self.now]
        for job in sorted(due, key=lambda job: (job.run_at, job.id)):
            self.make_ready(job, job.attempt)

    def park(self) -> None:
        """Put aside what no worker knows; lanes that appeared since the last tick wait for the next one."""
        for job in self.in_state("ready") if self.workers else []:
            if job.lane in self.lanes and not any(worker.knows(job.task) for worker in self.workers.values()):
                job.state, job.kind = "blocked", "task"
        self.lanes |= {job.lane for job in self.in_state("ready")}

    def _drop_lanes(self) -> None:
        """Forget lanes of tenants that hold nothing: once a minute of real time, so once in a history."""
        if self.strays_sought:
            return
        self.strays_sought = True
        ready = {job.lane for job in self.in_state("ready")}
        self.lanes = {lane for lane in self.lanes if "/" not in lane[0] or lane in ready}

    def prune(self, older_than: timedelta | None) -> int:
        old = [job for job in self.in_state(*FINISHED) if self._pruned_at(job, older_than) <= self.now]
        for job in old:
            dependencies.tell(self, job, job.state)
            del self.jobs[job.id]
        return len(old)

    def _pruned_at(self, job: Job, older_than: timedelta | None) -> datetime:
        assert job.finished_at is not None
        kept = older_than if older_than is not None else timedelta(days=7 if job.state == "succeeded" else 30)
        return job.prune_at or job.finished_at + kept

    def maintain(self) -> None:
        self.rescue()
        self.rescue_overdue()
        self.expire()
        self.promote()
        self.park()
        self.admit()
        dependencies.settle(self, mark=True)
        self._drop_lanes()
        self.prune(None)
        self.acquit()
        self.lost = {run: lost for run, lost in self.lost.items() if lost[2] >= self.now - timedelta(hours=1)}
