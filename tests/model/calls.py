"""The plain rules of the state machine: any call, in any order.

Handles of runs are never consumed: every old one is a zombie worker, whose every call must be refused.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.model.agreement import START, Agreement, Handle

if TYPE_CHECKING:
    from tests.model.engine import Engine
    from tests.model.vocabulary import Outcome

# `a_b` and `axb`: an underscore in a topic stands for itself
TASKS = ["a_b", "axb", "pkg.sum", "pkgxsum", "stray"]
QUEUES = ["default", "mail", "bulk"]
LIMITED_KEYS = ["c1", "c2"]
pick = st.integers(0, 255)  # an index into whatever there is, modulo its length
some_queues = st.sampled_from([None, None, ["mail"], ["default", "bulk"]])
some_topic = st.sampled_from([None, None, "a_b", "a_%", "pkg.%", "%"])
keys = st.sampled_from([None, None, None, "k1", "k2"])


def given(
    required: dict[str, st.SearchStrategy[Any]], optional: dict[str, Any]
) -> st.SearchStrategy[dict[str, Any]]:
    """Draw options; a value that is not drawn is not given."""
    return st.fixed_dictionaries(
        required, optional={name: st.sampled_from(v) for name, v in optional.items()}
    )


OPTIONS: dict[str, list[Any]] = {
    "queue": ["mail", "bulk"],
    "priority": [-1, 0, 5],
    "max_retries": [0, 1, 2],
    "timeout": [5, 100],
    "backoff": [[0], [2, 30]],
    "ttl": [3, 30],
    "result_ttl": [0, 1000, -1],
    "failure_ttl": [0, 1000, -1],
}
# What a task can declare, beside its jobs; what only a job has.
DECLARED: dict[str, list[Any]] = {**OPTIONS, "requires": [["gpu"], []]}
OWN: dict[str, list[Any]] = {
    "tenant": ["one", "other"],
    "requires": [["gpu"], ["zone=a", "gpu"], []],
    "at_front": [True, False],
}
some_labels = st.sampled_from([None, None, ["gpu"], ["gpu", "zone=a"]])
tasks = st.sampled_from(TASKS)
plain = given({"task": tasks}, {"body": [{"n": 1}], "priority": [0, 5], "queue": ["mail"]})
full = given({"task": tasks, "key": keys}, {**OPTIONS, "body": [{"n": 1}], "delay": [0, 5, 60]})
ordered = given({"task": tasks}, {**OWN, "priority": [5], "queue": ["mail"], "delay": [5]})
moment = st.sampled_from([-5, 7, 61]).map(lambda seconds: (START + timedelta(seconds=seconds)).isoformat())
later = st.fixed_dictionaries({"task": tasks, "key": keys, "scheduled_at": moment})
limited = given(
    {"task": tasks, "concurrency_key": st.sampled_from(LIMITED_KEYS)},
    {"concurrency_limit": [2, 3], "slots": [1, 2], "priority": [0, 5], "queue": ["mail"], "delay": [5]},
)
publications = st.one_of(plain, full, later, ordered, limited)
unique = given(
    {"task": tasks, "unique_key": st.sampled_from(["u1", "u2"])},
    {
        "unique_mode": ["skip", "reject", "replace", "replace", "merge"],
        "unique_until": ["waiting", "started", "finished"],
        "unique_for": [10, 100],
        "body": [[{"n": 1}], [{"n": 2}]],
        "delay": [0, 5],
        "priority": [0, 5],
        "queue": ["mail"],
        "ttl": [30],
        "concurrency_key": LIMITED_KEYS,
    },
)

outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.sampled_from([{"sum": 3}, {"sum": 3}, None]).map(lambda result: ["succeeded", result]),
    st.tuples(st.sampled_from([None, None, 0, 4, 31]), st.sampled_from([False, False, False, True])).map(
        lambda drawn: ["failed", "error", *drawn]
    ),
    st.sampled_from([0, 5, 60]).map(lambda delay: ["snoozed", delay]),
    st.just(["released"]),
)
handed_in: st.SearchStrategy[Outcome] = st.one_of(
    outcomes,
    st.just(["cancelled"]),
    st.sampled_from(["task", "arguments"]).map(lambda kind: ["parked", kind]),
)
good_or_any = st.one_of(st.just(["succeeded", {"sum": 3}]), handed_in)
registrations = st.dictionaries(
    st.sampled_from(TASKS[:4]),
    given({}, {name: [None, *values] for name, values in DECLARED.items()}),
    max_size=3,
)
seconds = st.sampled_from([1, 4, 6, 11, 31, 61, 101, 3700, 8 * 86400, 31 * 86400])


class Calls(RuleBasedStateMachine):
    """Every function of the API as a rule, with whatever arguments."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.both = Agreement(engine)
        self.model = self.both.model

    def live(self) -> list[Handle]:
        jobs = self.model.jobs
        return [
            h
            for h in self.both.handles
            if h[1] in jobs and jobs[h[1]].run == h[2] and jobs[h[1]].state == "running"
        ]

    def live_of_workers(self) -> list[Handle]:
        return [handle for handle in self.live() if self.model.jobs[handle[1]].worker is not None]

    def worker(self, n: int) -> int:
        """Return a worker; sometimes one that is dead."""
        known = [*self.model.workers, *self.model.workers, *self.both.gone[-1:]]
        return known[n % len(known)]

    # publishers

    @rule(options=publications)
    def publish(self, options: dict[str, Any]) -> None:
        self.both.publish([options], "publish")

    @rule(options=unique)
    def publish_unique(self, options: dict[str, Any]) -> None:
        self.both.publish([options], "publish")

    @rule(options=st.lists(publications, min_size=1, max_size=4))
    def publish_many(self, options: list[dict[str, Any]]) -> None:
        self.both.publish(options)

    @precondition(lambda self: self.both.numbers)
    @rule(
        options=st.one_of(plain, full),
        picks=st.lists(pick, min_size=1, max_size=3),
        allow_failure=st.sampled_from([None, False, True]),
        many=st.booleans(),
    )
    def publish_child(
        self, options: dict[str, Any], picks: list[int], allow_failure: bool | None, many: bool
    ) -> None:
        numbers = self.both.numbers
        parents = [str(numbers[-1 - n % len(numbers)]) for n in picks]
        given = {**options, "depends_on": parents}
        given |= {} if allow_failure is None else {"allow_failure": allow_failure}
        self.both.publish([given] * (2 if many and "key" not in options else 1))

    @rule(options=publications, bodies=st.lists(st.sampled_from([{"n": 1}, {"n": 2}]), max_size=3))
    def publish_each(self, options: dict[str, Any], bodies: list[Any]) -> None:
        unnamed = {name: value for name, value in options.items() if name not in ("key", "body")}
        self.both.publish_each(unnamed, bodies)

    @rule(options=st.lists(plain, min_size=1, max_size=3))
    def publish_bulk(self, options: list[dict[str, Any]]) -> None:
        names = ("task", "body", "priority")
        jobs = [{name: given[name] for name in names if name in given} for given in options]
        self.both.publish(jobs, "howdah_test.publish_bulk")

    # consumers

    @rule(
        count=st.integers(1, 3),
        queues=some_queues,
        topic=some_topic,
        named=st.booleans(),
        labels=some_labels,
    )
    def consume(
        self,
        count: int,
        queues: list[str] | None,
        topic: str | None,
        named: bool,
        labels: list[str] | None,
    ) -> None:
        self.both.consume(count, queues, topic, "consume_topic" if named else "consume", labels)

    @precondition(lambda self: self.live())
    @rule(n=pick, outcome=outcomes, with_run=st.booleans())
    def end(self, n: int, outcome: Outcome, with_run: bool) -> None:
        live = self.live()
        self.both.end(live[n % len(live)], outcome, with_run)

    @precondition(lambda self: self.both.handles)
    @rule(n=pick, outcome=outcomes, with_run=st.booleans())
    def end_any(self, n: int, outcome: Outcome, with_run: bool) -> None:
        self.both.end(self.both.handles[n % len(self.both.handles)], outcome, with_run)

    @precondition(lambda self: self.both.handles)
    @rule(n=pick)
    def die_any(self, n: int) -> None:
        self.both.die(self.both.handles[n % len(self.both.handles)])

    @precondition(lambda self: self.both.handles)
    @rule(picks=st.lists(pick, min_size=1, max_size=3), extra=st.booleans())
    def heartbeat(self, picks: list[int], extra: bool) -> None:
        runs = [self.both.handles[n % len(self.both.handles)][2] for n in picks]
        self.both.heartbeat(None, [*runs, runs[0]] if extra else runs)

    # workers

    @rule(
        options=registrations,
        packages=st.sampled_from([[], ["pkg"]]),
        queues=some_queues,
        topic=some_topic,
        lease=st.sampled_from([5, 15]),
        labels=some_labels,
    )
    def start_worker(
        self,
        options: dict[str, Any],
        packages: list[str],
        queues: list[str] | None,
        topic: str | None,
        lease: int,
        labels: list[str] | None,
    ) -> None:
        self.both.start_worker(options, packages, queues, topic, lease, labels)

    @precondition(lambda self: self.model.workers or self.both.gone)
    @rule(n=pick, count=st.integers(0, 3), sleep=st.booleans())
    def exchange(self, n: int, count: int, sleep: bool) -> None:
        self.both.exchange(self.worker(n), [], count, sleep)

    @precondition(lambda self: (self.model.workers or self.both.gone) and self.both.handles)
    @rule(
        n=pick,
        picks=st.lists(st.tuples(st.booleans(), pick, handed_in), min_size=1, max_size=3),
        count=st.integers(0, 2),
    )
    def hand_in(self, n: int, picks: list[tuple[bool, int, Outcome]], count: int) -> None:
        sent: list[tuple[int, int, Outcome]] = []
        for live_only, which, outcome in picks:
            handles = (live_only and self.live()) or self.both.handles
            _, number, run = handles[which % len(handles)]
            if run not in [other for _, other, _ in sent]:
                sent.append((number, run, outcome))
        self.both.exchange(self.worker(n), sent, count, sleep=False)

    @precondition(lambda self: self.model.workers or self.both.gone)
    @rule(n=pick)
    def beat(self, n: int) -> None:
        self.both.heartbeat(self.worker(n), [])

    @precondition(lambda self: self.model.workers or self.both.gone)
    @rule(n=pick, crashed=st.booleans())
    def stop_worker(self, n: int, crashed: bool) -> None:
        self.both.stop_worker(self.worker(n), crashed)

    # operators, time

    @precondition(lambda self: self.both.numbers)
    @rule(n=pick, function=st.sampled_from(["cancel", "retry", "delete", "force"]))
    def control(self, n: int, function: str) -> None:
        number = self.both.numbers[-1 - n % len(self.both.numbers)]
        job = self.model.jobs.get(number)
        key = job.options.get("key") if job is not None and n % 2 else None
        self.both.control(function.replace("force", "delete"), str(key or number), force=function == "force")

    @rule(queue=st.sampled_from(QUEUES), paused=st.booleans())
    def pause_or_resume(self, queue: str, paused: bool) -> None:
        self.both.publish([{"task": "a_b", "queue": queue}])
        self.both.pause(queue, paused)
        self.both.check_reasons()
        self.both.consume(1, [queue], None, "consume")

    @rule(queue=st.sampled_from(["default", "mail"]), ageing=st.sampled_from([-1, 0, 5, 30]))
    def set_ageing(self, queue: str, ageing: int) -> None:
        self.both.set_ageing(queue, ageing)

    @rule(
        limited=st.sampled_from(
            [
                ("queue", "mail"),
                ("queue", "default"),
                ("task", "a_b"),
                ("task", "axb"),
                ("key", "c1"),
                ("key", "c2"),
            ]
        ),
        max_running=st.sampled_from([None, -1, 0, 1, 1, 2]),
        rate=st.sampled_from([None, None, -1, 1, 2]),
    )
    def set_limit(self, limited: tuple[str, str], max_running: int | None, rate: int | None) -> None:
        self.both.set_limit(*limited, max_running, rate, 10 if rate and rate > 0 else None)

    @rule(queue=st.sampled_from(["bulk", "mail"]), most=st.sampled_from([-1, 1, 3]))
    def set_most_waiting(self, queue: str, most: int) -> None:
        self.both.set_most_waiting(queue, most)

    @rule(seconds=seconds)
    def advance(self, seconds: int) -> None:
        self.both.advance(seconds)

    @rule()
    def maintain(self) -> None:
        self.both.maintain()

    @rule(older_than=st.sampled_from([None, timedelta(0), timedelta(seconds=30)]))
    def prune(self, older_than: timedelta | None) -> None:
        self.both.prune(older_than)

    @rule()
    def move_floors(self) -> None:
        """Let 600 positions pass and settle, so that floors move behind the jobs that wait."""
        self.both.engine.draw_positions(600)
        for _ in range(3):
            self.both.maintain()

    # looks

    @invariant()
    def sound(self) -> None:
        """What is stored was compared after every call; here the engine checks itself."""
        self.both.check_fsck()

    @rule()
    def look(self) -> None:
        self.both.check_views()
        self.both.check_reasons()

    def teardown(self) -> None:
        if self.both.agreed:
            self.look()
