"""Engine and model side by side: every call goes to both, and after it both must hold the same."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from psycopg.types.json import Jsonb

from tests.model.forms import claimed_by_consume, claimed_by_exchange, function_of, moments, sent_form
from tests.model.picture import ranked, rows_of, status
from tests.model.reference import Reference
from tests.model.vocabulary import FINISHED, Job, Outcome, Refused, Worker, queue_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.model.engine import Engine, Stored

START = datetime(2026, 3, 29, tzinfo=UTC)
Handle = tuple[str, int, int]  # job id, number, run: kept for ever, so that an old one is a zombie
Expected = TypeVar("Expected")
Rows = list[dict[str, Any]]


class Agreement:
    """Two histories that must stay one."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.model = Reference(START)
        self.handles: list[Handle] = []
        self.numbers: list[int] = []
        self.gone: list[int] = []  # workers that stopped or died
        self.agreed = True
        self._seen: set[int] = set()
        engine.reset(START)

    def ask(self, function: str, predict: Callable[[Rows], Expected], **arguments: object) -> Expected | None:
        """Call both; the model predicts from what it holds and from numbers that the engine chose."""
        rows: Rows = []
        expected, refused, refused_by_model = None, None, None
        self.agreed = False
        try:
            rows = self.engine.call(function, **arguments)
        except Refused as refusal:
            refused = str(refusal)
        try:
            expected = predict(rows)
        except Refused as refusal:
            refused_by_model = str(refusal)
        assert refused == refused_by_model, (
            f"{function}{arguments}: engine says {refused or 'done'}, model {refused_by_model or 'done'}"
        )
        self.compare()
        self.agreed = True
        return expected

    # publishers

    def publish(self, given: list[dict[str, Any]], form: str = "publish_many") -> None:
        def predict(rows: Rows) -> None:
            numbers = [row["id"] for row in rows]
            expected = self.model.publish([moments(options) for options in given], numbers)
            assert [(row["id"], row["state"], row["created"]) for row in rows] == expected
            new = [number for number in dict.fromkeys(numbers) if number not in self.numbers]
            assert new == sorted(new), "jobs are numbered in the order given"
            self.numbers += new

        if form == "publish":
            (options,) = given
            self.ask("publish", predict, **options)
        else:
            self.ask(form, predict, jobs=given)

    def publish_each(self, options: dict[str, Any], bodies: list[Any]) -> None:
        given = [{**options, "body": body} for body in bodies]

        def predict(rows: Rows) -> None:
            self.model.check([options])
            numbers = rows[0]["publish_each"] if rows else []
            assert numbers == sorted(numbers), "jobs are numbered in the order given"
            self.model.check([moments(options)])
            self.model.publish([moments(each) for each in given], numbers)
            self.numbers += numbers

        self.ask("publish_each", predict, bodies=Jsonb(bodies), **options)

    # claims

    def consume(
        self,
        count: int,
        queues: list[str] | None,
        topic: str | None,
        form: str,
        labels: list[str] | None = None,
    ) -> list[Handle]:
        given: dict[str, Any] = {"num": count}
        given |= {} if queues is None else {"queues": queues}
        given |= {} if labels is None else {"labels": labels}
        given |= {"topic": topic} if form == "consume_topic" or topic is not None else {}

        def predict(rows: Rows) -> list[Handle]:
            told = [row["id"] for row in rows]
            claimed = self.model.consume(count, queues, topic, labels or [], told, self._unparked)
            return self._started(claimed, [claimed_by_consume(row) for row in rows])

        claimed = self.ask(form, predict, **given)
        if claimed == []:
            self.model.limits.check_nothing_left(self.model.may_run)
        return claimed or []

    def _unparked(self, parked: Sequence[Job]) -> int:
        """Return how many of these jobs the engine has brought back."""
        if not parked:
            return 0
        blocked = {row[1] for row in self.engine.look() if row[0] == "blocked"}
        return sum(job.id not in blocked for job in parked)

    def exchange(
        self, worker: int, outcomes: list[tuple[int, int, Outcome]], count: int, sleep: bool
    ) -> list[Handle]:
        def predict(rows: Rows) -> list[Handle]:
            told = [row[0] for row in rows[0]["exchange"]["jobs"]] if rows else []
            lost, claimed = self.model.exchange(worker, outcomes, count, sleep, told)
            answer = rows[0]["exchange"]
            assert set(answer["lost"]) == lost, f"lost {answer['lost']}, model {lost}"
            assert answer["later"] == []
            assert answer["asleep"] == (sleep and count > 0 and not claimed)
            due = [job.run_at for job in self.model.in_state("scheduled") if job.run_at and not job.jitter]
            if count > 0 and not claimed and answer["next"] is None:
                assert not self.model.in_state("scheduled")
            elif count > 0 and not claimed and due:
                assert answer["next"] <= max((min(due) - self.model.now).total_seconds(), 0)
            handles = self._started(claimed, [claimed_by_exchange(row) for row in answer["jobs"]])
            alone = {
                job.run
                for job in self.model.in_state("running")
                if job.worker == worker and job.id in self.model.suspects
            }
            assert set(answer.get("alone") or []) == (alone if claimed else set())
            return handles

        self.engine.due_tick()
        sent = [[number, run, *sent_form(outcome)] for number, run, outcome in outcomes]
        claimed = self.ask(
            "exchange", predict, worker_id=worker, outcomes=sent or None, num=count, sleep=sleep
        )
        if claimed == [] and count > 0:
            self.model.limits.check_nothing_left(self.model.may_run)
        return claimed or []

    def _started(self, claimed: Sequence[Job], rows: Sequence[tuple[Any, ...]]) -> list[Handle]:
        """Compare what was claimed, in order, and take over the numbers of the runs."""
        expected = [
            (
                job.id,
                job.attempt,
                job.task,
                queue_of(job.lane[0]),
                job.lane[1],
                self.model.option(job, "timeout"),
                self.model.option(job, "max_retries"),
                job.options.get("body"),
            )
            for job in claimed
        ]
        assert [row[1:] for row in rows] == expected, f"claimed {rows}, model {expected}"
        runs = [row[0] for row in rows]
        assert all(run > max((h[2] for h in self.handles), default=0) for run in runs), (
            "run numbers must grow"
        )
        assert len(set(runs)) == len(runs), "one run, one number"
        new = []
        for job, run in zip(claimed, runs, strict=True):
            job.run = run
            new.append((str(job.options.get("key") or job.id), job.id, run))
        self.handles += new
        return new

    # the ends of runs

    def end(self, handle: Handle, outcome: Outcome, with_run: bool = True) -> None:
        """End a run by the function of its own that each outcome has."""
        job_id, _, run = handle
        function, given = function_of(outcome, self.model.now)

        def predict(rows: Rows) -> None:
            job = self.model.current(job_id, run if with_run else None)
            self.model.end(job, outcome)
            assert (rows[0]["id"], rows[0]["state"]) == (job.id, job.state)

        self.ask(function, predict, job_id=job_id, **given, **({"run_id": run} if with_run else {}))

    def die(self, handle: Handle) -> None:
        """Tell that the process died in which a run was alone."""
        job_id, _, run = handle

        def predict(rows: Rows) -> None:
            job = self.model.run_died(job_id, run)
            assert (rows[0]["id"], rows[0]["state"]) == (job.id, job.state)

        self.ask("run_died", predict, job_id=job_id, run_id=run)

    def heartbeat(self, worker: int | None, runs: list[int]) -> None:
        def predict(rows: Rows) -> None:
            expected = self.model.heartbeat(worker, runs)
            assert [(row["run_id"], row["verdict"]) for row in rows] == expected

        self.ask("heartbeat", predict, **({"run_ids": runs} if worker is None else {"worker_id": worker}))

    # control

    def control(self, function: str, job_id: str, force: bool = False) -> None:
        def predict(rows: Rows) -> None:
            if function == "delete":
                job, state = self.model.delete(job_id, force), "deleted"
            else:
                job = self.model.cancel(job_id) if function == "cancel" else self.model.retry(job_id)
                state = job.state
            assert (rows[0]["id"], rows[0]["state"]) == (job.id, state)

        self.ask(function, predict, job_id=job_id, **({"force": force} if function == "delete" else {}))

    def pause(self, queue: str, paused: bool) -> None:
        def predict(_: Rows) -> None:
            (self.model.paused.add if paused else self.model.paused.discard)(queue)

        self.ask("pause_queue" if paused else "resume_queue", predict, queue=queue)

    def set_limit(
        self,
        kind: str,
        name: str,
        max_running: int | None = None,
        rate: int | None = None,
        per: int | None = None,
    ) -> None:
        """Set what is given of a limit; -1 removes it."""
        given = {
            "max_running": max_running,
            "rate": rate,
            "per": None if per is None else timedelta(seconds=per),
        }

        def predict(_: Rows) -> None:
            self.model.limits.change(f"{kind} {name}", max_running, rate, per)

        subject = "concurrency_key" if kind == "key" else kind
        self.ask(
            f"set_{kind}", predict, **{subject: name}, **{n: v for n, v in given.items() if v is not None}
        )

    def set_most_waiting(self, queue: str, most: int) -> None:
        """Refuse what is published into a queue while so many jobs wait; -1: never."""

        def predict(_: Rows) -> None:
            self.model.limits.most_waiting.pop(queue, None)
            if most >= 0:
                self.model.limits.most_waiting[queue] = most

        self.ask("set_queue", predict, queue=queue, max_waiting=most)

    def set_ageing(self, queue: str, seconds: int) -> None:
        self.ask("set_queue", lambda _: self.model.set_ageing(queue, seconds), queue=queue, ageing=seconds)

    # workers

    def start_worker(
        self,
        options: Mapping[str, dict[str, Any]],
        packages: list[str],
        queues: list[str] | None,
        topic: str | None,
        lease: int,
        labels: list[str] | None = None,
    ) -> int:
        def predict(rows: Rows) -> int:
            number = int(rows[0]["worker_started"])
            assert number not in [*self.model.workers, *self.gone], "a worker's number is new at each start"
            has = frozenset(labels or ())
            worker = Worker(queues, topic, list(options), packages, lease, self.model.now, has)
            self.model.worker_started(number, worker, options)
            return number

        self.advance(1)  # two registrations of a task are never made at the same moment

        tasks = [{"name": name, **given} for name, given in options.items()]
        started = self.ask(
            "worker_started",
            predict,
            name="model",
            tasks=Jsonb(tasks),
            queues=queues,
            topic=topic,
            allow=packages,
            lease=lease,
            labels=labels,
        )
        assert started is not None
        return started

    def stop_worker(self, number: int, crashed: bool) -> None:
        def predict(rows: Rows) -> None:
            assert rows[0]["worker_stopped"] == self.model.worker_stopped(number, crashed)

        self.ask("worker_stopped", predict, worker_id=number, crashed=crashed)

    # time and chores

    def advance(self, seconds: float) -> None:
        self.model.now += timedelta(seconds=seconds)
        self.engine.set_clock(self.model.now)

    def maintain(self) -> None:
        self.ask("maintain", lambda _: self.model.maintain())

    def prune(self, older_than: timedelta | None) -> None:
        def predict(rows: Rows) -> None:
            assert rows[0]["prune"] == self.model.prune(older_than)

        self.ask("prune", predict, older_than=older_than)

    # what must always hold

    def check_fsck(self) -> None:
        """Check that the engine's own check finds nothing."""
        violations = self.engine.call("fsck")
        assert not violations, f"fsck: {violations}"

    def compare(self) -> None:
        """Check that everything stored is what the model holds."""
        stored = self.engine.look()
        self.gone += sorted(self._seen - set(self.model.workers))
        self._seen = set(self.model.workers)
        self._adopt_jitter(stored)
        self.model.limits.adopt(stored)
        held, kept = ranked(stored), ranked(rows_of(self.model))
        assert held == kept, (
            f"engine only: {sorted((held - kept), key=str)}; model only: {sorted(kept - held, key=str)}"
        )

    def _adopt_jitter(self, stored: Counter[Stored]) -> None:
        run_at = {row[1]: row[5] for row in stored if row[0] == "scheduled"}
        for job in self.model.in_state("scheduled"):
            if job.jitter is not None and job.id in run_at:
                low, high = map(self.model.after, job.jitter)
                assert low <= run_at[job.id] <= high, f"job {job.id} is retried at {run_at[job.id]}"
                job.run_at, job.jitter = run_at[job.id], None

    def check_reasons(self) -> None:
        """Check that every unfinished job's `why` names the thing that it waits for."""
        reasons = {
            row["id"]: row["sentence"] for row in self.engine.rows("select * from howdah_test.reasons()")
        }
        unfinished = [job for job in self.model.jobs.values() if job.state not in FINISHED]
        assert set(reasons) == {job.id for job in unfinished}
        for job in unfinished:
            awaited = self._awaited(job)
            unknown = f"No live worker knows task {job.task}."
            if reasons[job.id].startswith(unknown) and job.state == "ready":  # the next tick parks it
                awaited = unknown
                assert not any(worker.knows(job.task) for worker in self.model.alive())
            assert awaited in (reasons[job.id] or ""), (
                f"why {job}: {reasons[job.id]!r} does not name {awaited!r}"
            )

    def _awaited(self, job: Job) -> str:
        match job.state:
            case "running":
                return "a plain consumer" if job.worker is None else f"worker {job.worker} "
            case "scheduled":
                assert job.run_at is not None
                return f"{job.run_at.replace(microsecond=0):%Y-%m-%d %H:%M:%S+00}"
            case "blocked" if job.kind == "parent":
                first = self.model.jobs.get(min(job.edges))
                return str((first and first.options.get("key")) or min(job.edges))
            case "blocked" if job.waits_for is not None:
                return f"{job.waits_for}, "
            case "blocked":
                return job.task
            case _ if queue_of(job.lane[0]) in self.model.paused:
                return f"Queue {queue_of(job.lane[0])} is paused"
        name = f"queue {queue_of(job.lane[0])}"
        full = name in self.model.limits.of(job) and not self.model.limits.has_room(name, job)
        return name if full else f"{name} "

    def check_views(self) -> None:
        """Check the public views: which jobs each shows, and the status words."""
        queue = {row["id"]: row for row in self.engine.rows("select * from jobs.job_queue")}
        ended = {row["id"]: row for row in self.engine.rows("select * from jobs.job")}
        both = Counter(row["id"] for row in self.engine.rows('select id from jobs."all"'))
        running = {row["id"] for row in self.engine.rows("select id from jobs.running")}
        expired = {row["id"] for row in self.engine.rows("select id from jobs.expired")}
        jobs = self.model.jobs.values()
        assert both == Counter(job.id for job in jobs)
        assert running == {job.id for job in jobs if job.state == "running"}
        assert expired == {
            job.id
            for job in jobs
            if job.state == "running" and job.deadline and job.deadline < self.model.now
        }
        assert set(queue) == {job.id for job in jobs if job.state not in FINISHED}
        for job in jobs:
            row = {**queue, **ended}[job.id]
            assert (row["state"], row["status"]) == (job.state, status(job))
            assert row["job_id"] == str(job.options.get("key") or job.id)
            assert row["retries"] == (
                max(job.attempt - 1, 0) if job.state in ("running", *FINISHED) else job.attempt
            )
            for name in ("queue", "priority", "max_retries", "timeout"):
                assert row[name] == self.model.option(job, name), name
