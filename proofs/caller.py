"""One connection that calls everything in turn, on jobs that it shares with fifteen others."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from collections.abc import Callable

_KEYS, _QUEUES, _TASKS = 300, 4, 5
_HELD = 60
_DECLARED = [{"name": f"task.{number}"} for number in range(_TASKS)]

# How often each is called, of the sum; those that look at everything are rare, as they are in life.
WEIGHTS: Final = {
    "publish": 12,
    "publish with a key": 10,
    "publish with a limit": 4,
    "publish that waits": 10,
    "publish_many": 5,
    "publish_each": 3,
    "publish_bulk": 1,
    "consume": 8,
    "consume_topic": 3,
    "exchange": 14,
    "ack": 6,
    "nack": 5,
    "snooze": 3,
    "release": 3,
    "ack and publish": 3,
    "heartbeat": 4,
    "cancel": 4,
    "retry": 6,
    "delete": 5,
    "delete by force": 3,
    "run_died": 1,
    "reconcile": 2,
    "worker_started": 1,
    "session_started": 1,
    "worker_stopped": 1,
    "worker that crashed": 1,
    "log": 2,
    "maintain": 2,
    "prune": 1,
    "pause_queue": 1,
    "resume_queue": 2,
    "set_queue": 0.4,
    "set_task": 0.2,
    "set_key": 0.2,
    "purge_queue": 0.3,
    "get": 4,
    "list": 0.3,
    "why": 1,
    "relatives": 0.3,
    "wait": 1,
    "failures": 1,
    "logs": 1,
    "stats": 0.05,
    "unfinished": 0.05,
    "left_over": 0.05,
    "list_queues": 0.05,
    "list_tasks": 0.3,
    "list_limits": 0.3,
    "list_workers": 0.3,
}
# Public and not called here, each for a reason.
LEFT_OUT: Final = {
    "fsck": "called at the end, when nothing moves",
    "version": "reads a constant",
    "wait_for": "a procedure that calls wait",
}
Runs = list[tuple[int, int]]


class Caller:
    """Makes calls over one connection; knows the runs that it has claimed and not ended."""

    def __init__(self, dsn: str, seed: int) -> None:
        self._dsn = dsn
        self._draw = random.Random(seed)
        self._plain: Runs = []
        self._worked: Runs = []
        self._worker = 0
        self.calls: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()

    def make(self, number: int) -> None:
        """Make so many calls, and count how each was answered."""
        names, weights = list(WEIGHTS), list(WEIGHTS.values())
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            self._connection = connection
            for name in self._draw.choices(names, weights, k=number):
                self.calls[name] += 1
                try:
                    self._special.get(name, Caller._simple)(self, name)
                except psycopg.Error as error:
                    self.answers[error.sqlstate or type(error).__name__] += 1
                    if error.sqlstate == "JB007":
                        self._worker, self._worked = 0, []
                else:
                    self.answers["done"] += 1

    def _run(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        cursor = self._connection.execute(query.encode(), values)
        return cursor.fetchall() if cursor.description else []

    @property
    def _key(self) -> str:
        return f"key {self._draw.randrange(_KEYS)}"

    @property
    def _queue(self) -> str:
        return f"q{self._draw.randrange(_QUEUES)}"

    @property
    def _task(self) -> str:
        return f"task.{self._draw.randrange(_TASKS)}"

    def _simple(self, name: str) -> None:
        query, values = _SIMPLE[name]
        self._run(query, *values(self))

    def _a_job(self) -> str:
        """Return a job: by its key, or one that somebody has claimed."""
        runs = self._plain or self._worked
        return str(self._draw.choice(runs)[0]) if runs and self._draw.random() < 0.2 else self._key

    def _claim(self, name: str) -> None:
        number = self._draw.randint(1, 10)
        if name == "consume":
            rows = self._run("select id, run_id from jobs.consume(%s, %s)", number, self._some_queues())
        else:
            rows = self._run("select id, run_id from jobs.consume_topic(%s, %s)", f"{self._task}%", number)
        self._plain = [*self._plain, *rows][-_HELD:]

    def _some_queues(self) -> list[str] | None:
        return [self._queue, self._queue] if self._draw.random() < 0.5 else None

    def _a_run(self, runs: Runs) -> tuple[int, int]:
        """Take one of the runs that are held; one that never was when there is none."""
        if not runs:
            return self._draw.randint(1, 1000), 1
        return runs.pop(self._draw.randrange(len(runs)))

    def _end(self, name: str) -> None:
        job, run = self._a_run(self._plain)
        query, values = _ENDS[name]
        self._run(query, str(job), *values(self), run)

    def _ack_and_publish(self, name: str) -> None:
        job, run = self._a_run(self._plain)
        with self._connection.transaction():
            self._run("select jobs.ack(%s, null, %s)", str(job), run)
            self._run("select jobs.publish(%s, i_queue => %s)", self._task, self._queue)

    def _heartbeat(self, name: str) -> None:
        if self._worker and self._draw.random() < 0.5:
            self._run("select * from jobs.heartbeat(%s)", self._worker)
        else:
            self._run("select * from jobs.heartbeat(null, %s)", [run for _, run in self._plain])

    def _registered(self) -> int:
        if not self._worker:
            self._start("worker_started")
        return self._worker

    def _start(self, name: str) -> None:
        lease = self._draw.choice((1, 15))  # some are buried by the others
        ((worker,),) = self._run(
            "select jobs.worker_started('w', %s, %s, i_lease => %s)",
            Jsonb(_DECLARED),
            self._some_queues(),
            lease,
        )
        self._worker, self._worked = int(worker), []

    def _session(self, name: str) -> None:
        self._run("select jobs.session_started(%s, pg_backend_pid())", self._registered())

    def _exchange(self, name: str) -> None:
        worker = self._registered()
        ended = [self._a_run(self._worked) for _ in range(self._draw.randint(0, len(self._worked)))]
        outcomes = [[job, run, *self._draw.choice(_OUTCOMES)] for job, run in ended]
        ((answer,),) = self._run(
            "select jobs.exchange(%s, %s, %s, %s)",
            worker,
            Jsonb(outcomes),
            self._draw.randint(0, 10),
            self._draw.random() < 0.3,
        )
        self._worked += [(job[0], job[1]) for job in answer["jobs"]]

    def _reconcile(self, name: str) -> None:
        kept = self._draw.sample(self._worked, len(self._worked) // 2)
        self._run("select jobs.reconcile(%s, %s)", self._registered(), [run for _, run in kept])
        self._worked = kept

    def _died(self, name: str) -> None:
        job, run = self._a_run(self._worked)
        self._run("select jobs.run_died(%s, %s, 'exit code 1')", str(job), run)

    def _stop(self, name: str) -> None:
        worker, self._worker, self._worked = self._worker, 0, []
        self._run("select jobs.worker_stopped(%s, %s)", worker, name == "worker that crashed")

    def _log(self, name: str) -> None:
        job, run = self._draw.choice(self._plain or self._worked or [(1, 1)])
        self._run("select jobs.log(%s, %s, %s)", str(job), run, Jsonb([["info", "a line"]]))

    def _publish_many(self, name: str) -> None:
        jobs = [
            {"task": self._task, "queue": self._queue, "priority": self._draw.randint(0, 2), "key": self._key}
            for _ in range(self._draw.randint(1, 8))
        ]
        for job in self._draw.sample(jobs, len(jobs) // 2):
            del job["key"]
        self._run("select * from jobs.publish_many(%s)", Jsonb(jobs))

    _special: Final[dict[str, Callable[[Caller, str], None]]] = {
        "consume": _claim,
        "consume_topic": _claim,
        "ack": _end,
        "nack": _end,
        "snooze": _end,
        "release": _end,
        "ack and publish": _ack_and_publish,
        "heartbeat": _heartbeat,
        "exchange": _exchange,
        "reconcile": _reconcile,
        "run_died": _died,
        "worker_started": _start,
        "session_started": _session,
        "worker_stopped": _stop,
        "worker that crashed": _stop,
        "log": _log,
        "publish_many": _publish_many,
    }


_OUTCOMES: Final[tuple[tuple[Any, ...], ...]] = (
    ("succeeded", {"n": 1}),
    ("succeeded", None),
    ("failed", "error", "no", None, 0.01, False),
    ("snoozed", 0.01),
    ("released",),
    ("cancelled", "enough"),
    ("parked", "arguments", "odd"),
)
_ENDS: Final[dict[str, tuple[str, Callable[[Caller], tuple[Any, ...]]]]] = {
    "ack": ("select jobs.ack(%s, '{}', %s)", lambda _: ()),
    "nack": (
        "select jobs.nack(%s, 'no', i_delay => %s::numeric, i_run_id => %s)",
        lambda c: (c._draw.choice((0, 0.05, 5)),),
    ),
    "snooze": ("select jobs.snooze(%s, %s::numeric, %s)", lambda c: (c._draw.choice((0, 0.05, 5)),)),
    "release": ("select jobs.release(%s, %s)", lambda _: ()),
}


def _job(caller: Caller) -> tuple[Any, ...]:
    return (caller._a_job(),)


def _none(_: Caller) -> tuple[Any, ...]:
    return ()


def _in_queue(caller: Caller) -> tuple[Any, ...]:
    return (caller._queue,)


_SIMPLE: Final[dict[str, tuple[str, Callable[[Caller], tuple[Any, ...]]]]] = {
    "publish": (
        "select jobs.publish(%s, '{}', i_queue => %s, i_delay => %s::numeric, i_ttl => %s::numeric)",
        lambda c: (c._task, c._queue, c._draw.choice((None, None, 0.05)), c._draw.choice((None, None, 0.5))),
    ),
    "publish with a key": (
        "select jobs.publish(%s, i_queue => %s, i_key => %s, i_timeout => 0.5)",
        lambda c: (c._task, c._queue, c._key),
    ),
    "publish with a limit": (
        "select jobs.publish(%s, i_queue => %s, i_concurrency_key => %s, i_slots => %s)",
        lambda c: (c._task, c._queue, f"slot {c._draw.randrange(5)}", c._draw.choice((1, 1, 2))),
    ),
    "publish that waits": (
        "select jobs.publish(%s, null, null, null, null, null, %s, %s, %s::numeric, i_depends_on => %s)",
        lambda c: (
            *(c._task, c._queue, c._key, c._draw.choice((None, None, 0.05))),
            [c._a_job(), c._a_job()],
        ),
    ),
    "publish_each": (
        "select jobs.publish_each(%s, '[1, 2, 3]', i_queue => %s)",
        lambda c: (c._task, c._queue),
    ),
    "publish for a tenant": (
        "select jobs.publish(%s, i_queue => %s, i_tenant => %s)",
        lambda c: (c._task, c._queue, c._queue),
    ),
    "publish at the front for labels": (
        "select jobs.publish(%s, i_queue => %s, i_at_front => true, i_requires => array[%s])",
        lambda c: (c._task, c._queue, c._draw.choice(("gpu", "zone=a"))),
    ),
    "publish_bulk": (
        "select * from jobs.publish_bulk(array[(%s, '{}', null, 1, 0, 3)]::jobs.bulk_job[])",
        lambda c: (c._task,),
    ),
    "cancel": ("select jobs.cancel(%s, 'enough')", _job),
    "retry": ("select jobs.retry(%s)", _job),
    "delete": ("select jobs.delete(%s)", _job),
    "delete by force": ("select jobs.delete(%s, true)", _job),
    "maintain": ("select * from jobs.maintain()", _none),
    "prune": ("select jobs.prune('0 s', 500)", _none),
    "pause_queue": ("select jobs.pause_queue(%s, 'a while')", _in_queue),
    "resume_queue": ("select jobs.resume_queue(%s)", _in_queue),
    "set_queue": (
        "select jobs.set_queue(%s, 60, 60, %s, %s, %s::interval, %s)",
        lambda c: (c._queue, c._draw.choice((-1, 2, 20)), *c._draw.choice(((-1, None), (50, "100 ms"))), -1),
    ),
    "set_task": (
        "select jobs.set_task(%s, %s)",
        lambda c: (c._task, c._draw.choice((-1, 2, 20))),
    ),
    "set_key": (
        "select jobs.set_key(%s, %s)",
        lambda c: (f"slot {c._draw.randrange(5)}", c._draw.choice((-1, 1, 3))),
    ),
    "purge_queue": ("select jobs.purge_queue(%s, 500)", _in_queue),
    "get": ("select * from jobs.get(%s)", _job),
    "list": ("select * from jobs.list(i_limit => 20)", _none),
    "why": ("select jobs.why(%s)", _job),
    "relatives": ("select * from jobs.relatives(%s)", _job),
    "wait": ("select jobs.wait(%s, 0)", _job),
    "failures": ("select * from jobs.failures(%s)", _job),
    "logs": ("select * from jobs.logs(%s)", _job),
    "stats": ("select * from jobs.stats()", _none),
    "unfinished": ("select jobs.unfinished()", _none),
    "left_over": ("select * from jobs.left_over()", _none),
    "list_queues": ("select * from jobs.list_queues()", _none),
    "list_tasks": ("select * from jobs.list_tasks()", _none),
    "list_limits": ("select * from jobs.list_limits()", _none),
    "list_workers": ("select * from jobs.list_workers()", _none),
}
