"""The whole state machine: composite rules that lead to deep states, beside the plain calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.model.calls import (
    Calls,
    given,
    good_or_any,
    handed_in,
    outcomes,
    plain,
    tasks,
)
from tests.model.limited import Limited

if TYPE_CHECKING:
    from tests.model.agreement import Handle
    from tests.model.engine import Engine
    from tests.model.vocabulary import Outcome


class Stories(Calls):
    """Short stories, each of which random calls alone would hardly ever tell."""

    @rule(
        options=st.lists(plain, min_size=1, max_size=3),
        ends=st.lists(outcomes, min_size=1, max_size=3),
        wait=st.sampled_from([0, 0, 4, 61]),
    )
    def work(self, options: list[dict[str, Any]], ends: list[Outcome], wait: int) -> None:
        """Be a plain consumer for a while."""
        self.both.publish(options)
        handles = self.both.consume(len(ends), None, None, "consume")
        self.both.advance(wait)
        for handle, outcome in zip(handles, ends, strict=False):
            self.both.end(handle, outcome)

    @rule(
        options=st.lists(plain, min_size=1, max_size=3),
        ends=st.lists(handed_in, min_size=1, max_size=3),
        wait=st.sampled_from([0, 0, 4]),
        stop=st.sampled_from([None, False, False, True]),
    )
    def work_for(
        self, options: list[dict[str, Any]], ends: list[Outcome], wait: int, stop: bool | None
    ) -> None:
        """Be a worker for a while; it may stop while it still runs something."""
        self.both.publish(options)
        worker = self.both.start_worker({options[0]["task"]: {}}, [], None, None, 15)
        handles = self.both.exchange(worker, [], len(ends) + 1, sleep=False)
        self.both.advance(wait)
        for handle in handles[:1]:
            self.both.end(handle, ["succeeded", None], with_run=False)  # refused: only plain consumers may
            self.both.heartbeat(None, [handle[2]])  # lost: a worker's run is not a plain consumer's
        sent = [(number, run, outcome) for (_, number, run), outcome in zip(handles, ends, strict=False)]
        self.both.exchange(worker, sent, 0, sleep=False)
        if stop is not None:
            self.both.stop_worker(worker, crashed=stop)

    @rule(outcome=good_or_any, again_by_worker=st.booleans(), by_exchange=st.booleans())
    def outlive_a_lease(self, outcome: Outcome, again_by_worker: bool, by_exchange: bool) -> None:
        """Let a run come back when another one has its job."""
        self.both.publish([{"task": "a_b", "queue": "deep", "timeout": 5, "backoff": [0], "priority": 9}])
        stale = self.both.consume(1, ["deep"], None, "consume")
        self.both.advance(6)
        worker = self.both.start_worker({"a_b": {}}, [], ["deep"], None, 15)
        self.both.maintain()
        if again_by_worker:
            self.both.exchange(worker, [], 1, sleep=False)
        else:
            self.both.consume(1, ["deep"], None, "consume")
        for handle in stale:
            self.both.heartbeat(None, [handle[2]])
            if by_exchange:
                self.both.exchange(worker, [(handle[1], handle[2], outcome)], 0, sleep=False)
            elif outcome[0] not in ("cancelled", "parked"):
                self.both.end(handle, outcome)

    @rule(
        end=st.sampled_from(["delete", "cancel", "fail", None]),
        wait=st.sampled_from([0, 50, 101]),
        mode=st.sampled_from(["skip", "reject"]),
        until=st.sampled_from(["waiting", "started", "finished"]),
        duration=st.sampled_from([None, 100]),
    )
    def take_a_key_again(
        self, end: str | None, wait: int, mode: str, until: str, duration: int | None
    ) -> None:
        """Publish under a key whose holder is gone, waits for a retry, or has held it long enough."""
        options: dict[str, Any] = {"task": "a_b", "queue": "once", "unique_key": "u3", "unique_mode": mode}
        options |= {"unique_until": until} | ({} if duration is None else {"unique_for": duration})
        self.both.publish([options])
        if end == "fail":
            for handle in self.both.consume(1, ["once"], None, "consume"):
                self.both.end(handle, ["failed", "error", 500, False])
        elif end is not None and self.both.numbers:
            self.both.control(end, str(self.both.numbers[-1]))
        self.both.advance(wait)
        self.both.publish([options])

    @rule(good=st.booleans(), ttl=st.sampled_from([None, None, -1, 1000]), days=st.sampled_from([6, 8, 31]))
    def grow_old(self, good: bool, ttl: int | None, days: int) -> None:
        """Finish a job and come back much later."""
        options: dict[str, Any] = {"task": "a_b", "queue": "deep"}
        self.both.publish([options if ttl is None else {**options, "result_ttl": ttl, "failure_ttl": ttl}])
        for handle in self.both.consume(1, ["deep"], None, "consume"):
            self.both.end(handle, ["succeeded", None] if good else ["failed", "error", None, True])
        self.both.advance(days * 86400)
        self.both.maintain()

    @rule(outcome=outcomes, wait=st.sampled_from([0, 31]))
    def run_again(self, outcome: Outcome, wait: int) -> None:
        """Publish a job twice while it runs; retry it past the end of its time to live."""
        options = {"task": "a_b", "queue": "deep", "ttl": 30, "priority": 8, "key": "again"}
        self.both.publish([options])
        for handle in self.both.consume(1, ["deep"], None, "consume"):
            self.both.publish([options])  # its key is taken as long as it exists
            self.both.end(handle, outcome)
            self.both.control("retry", handle[0])
        self.both.advance(wait)
        self.both.maintain()

    @rule(outcome=good_or_any)
    def overstay(self, outcome: Outcome) -> None:
        """Let a worker live and beat, but not end its run in time."""
        self.both.publish([{"task": "a_b", "queue": "deep", "timeout": 5, "priority": 9}])
        worker = self.both.start_worker({"a_b": {}}, [], ["deep"], None, 60)
        handles = self.both.exchange(worker, [], 1, sleep=False)
        self.both.advance(16)
        self.both.maintain()
        self.both.heartbeat(worker, [])
        self.both.exchange(worker, [(h[1], h[2], outcome) for h in handles], 0, sleep=False)

    @rule(
        outcome=good_or_any,
        allow=st.lists(st.booleans(), min_size=1, max_size=4),
        by_worker=st.booleans(),
        settled=st.booleans(),
        then=st.sampled_from(["retry", "delete", "cancel", None]),
    )
    def found_a_family(
        self, outcome: Outcome, allow: list[bool], by_worker: bool, settled: bool, then: str | None
    ) -> None:
        """Let each job wait for the one before, and the first one end; then something happens to it."""
        self.both.publish([{"task": "a_b", "queue": "deep", "priority": 9, "result_ttl": 0}])
        first = self.both.numbers[-1]
        for allow_failure in allow:
            last = str(self.both.numbers[-1])
            self.both.publish([{"task": "axb", "depends_on": [last], "allow_failure": allow_failure}])
        if settled:
            self.both.maintain()
        self.both.check_reasons()
        if by_worker:
            worker = self.both.start_worker({"a_b": {}, "axb": {}}, [], ["deep", "default"], None, 15)
            handles = self.both.exchange(worker, [], 1, sleep=False)
            self.both.exchange(worker, [(h[1], h[2], outcome) for h in handles], 2, sleep=False)
        else:
            for handle in self.both.consume(1, ["deep"], "a_b", "consume_topic"):
                if outcome[0] not in ("cancelled", "parked"):
                    self.both.end(handle, outcome)
        if then is not None:
            self.both.control(then, str(first))
        self.both.publish([{"task": "axb", "depends_on": [str(first)]}])
        self.both.consume(2, None, None, "consume")
        self.both.maintain()

    @rule(count=st.integers(1, 3))
    def lose_consumer(self, count: int) -> None:
        self.both.consume(count, None, None, "consume")
        self.both.advance(101)
        self.both.maintain()

    @rule(count=st.integers(1, 3), tasks=st.sets(tasks, min_size=1, max_size=3), by_sweep=st.booleans())
    def lose_worker(self, count: int, tasks: set[str], by_sweep: bool) -> None:
        worker = self.both.start_worker({task: {} for task in sorted(tasks)}, [], None, None, 5)
        self.both.exchange(worker, [], count, sleep=True)
        if by_sweep:
            self.both.advance(6)
            self.both.maintain()
        else:
            self.both.stop_worker(worker, crashed=True)

    @rule(
        task=tasks,
        max_retries=st.integers(0, 2),
        failures=st.integers(1, 4),
        backoff=st.sampled_from([None, [0]]),
    )
    def fail_often(self, task: str, max_retries: int, failures: int, backoff: list[int] | None) -> None:
        """Fail a job until its retries are used up, or by running into its timeout."""
        options = {"task": task, "queue": "deep", "max_retries": max_retries, "timeout": 5}
        self.both.publish([options if backoff is None else {**options, "backoff": backoff}])
        for n in range(failures):
            for handle in self.both.consume(1, ["deep"], None, "consume"):
                if n % 2:
                    self.both.advance(6)
                    self.both.maintain()
                else:
                    self.both.end(handle, ["failed", "error", None, False])
            self.both.advance(13)

    @rule(deaths=st.integers(1, 4), jobs=st.integers(1, 4), others=st.integers(0, 1), again=st.booleans())
    def kill_often(self, deaths: int, jobs: int, others: int, again: bool) -> None:
        """Let a worker die with its jobs, again and again; then let them run, with or without workers."""
        self.both.publish([{"task": "killer", "queue": "deep", "max_retries": 0, "backoff": [0]}] * jobs)
        for _ in range(others):
            self.both.start_worker({"killer": {}}, [], ["deep"], None, 5)
        handles: list[Handle] = []
        for _ in range(deaths):
            worker = self.both.start_worker({"killer": {}}, [], ["deep"], None, 5)
            handles = self.both.exchange(worker, [], jobs, sleep=False)
            self.both.check_reasons()
            self.both.stop_worker(worker, crashed=True)
            self.both.advance(1)
        self.both.check_reasons()
        self.both.maintain()
        for handle in handles[:1] if again else []:
            self.both.control("cancel", handle[0])
            self.both.control("retry", handle[0])
        for handle in self.both.consume(3, ["deep"], "killer", "consume_topic"):
            self.both.end(handle, ["succeeded", None])
        self.both.maintain()

    @rule(alone=st.lists(st.booleans(), min_size=3, max_size=6), max_retries=st.sampled_from([1, 9]))
    def die_alone(self, alone: list[bool], max_retries: int) -> None:
        """Let a job kill the process that it has for itself, and its worker now and then."""
        self.both.publish([{"task": "bomb", "queue": "deep", "max_retries": max_retries, "backoff": [0]}])
        for by_itself in alone:
            worker = self.both.start_worker({"bomb": {}}, [], ["deep"], None, 5)
            handles = self.both.exchange(worker, [], 1, sleep=False)
            for handle in handles if by_itself else []:
                self.both.die(handle)
            self.both.stop_worker(worker, crashed=not by_itself)

    @rule(options=given({}, {"queue": ["mail"], "priority": [5]}), count=st.integers(1, 2))
    def park_and_adopt(self, options: dict[str, Any], count: int) -> None:
        """Publish what nobody knows, look at it, then start somebody who does."""
        self.both.start_worker({"axb": {}}, [], None, None, 15)
        self.both.publish([{"task": "stray"}, {"task": "axb"}][:count])
        self.both.maintain()
        self.both.maintain()
        self.both.check_reasons()
        self.both.start_worker({"stray": options}, [], None, None, 15)

    @rule(by_worker=st.booleans())
    def register_late(self, by_worker: bool) -> None:
        """Publish first, register the task later: what it declares counts for everybody."""
        self.both.publish([{"task": "late"}])
        declared = {"queue": "mail", "priority": 5, "result_ttl": 1000, "timeout": 100, "max_retries": 0}
        worker = self.both.start_worker({"late": declared}, [], ["mail"], None, 15)
        if by_worker:
            for _, number, run in self.both.exchange(worker, [], 1, sleep=False):
                self.both.exchange(worker, [(number, run, ["succeeded", None])], 0, sleep=False)
            return
        self.both.stop_worker(worker, crashed=False)
        self.both.start_worker({"axb": {}}, [], None, None, 15)
        self.both.maintain()
        self.both.maintain()
        for handle in self.both.consume(1, ["mail"], "late", "consume"):
            self.both.heartbeat(None, [handle[2]])
            self.both.end(handle, ["failed", "error", None, False])

    @rule(topic=st.sampled_from(["a_b", "a_%", "%b"]))
    def work_by_topic(self, topic: str) -> None:
        """Take jobs by a topic, of which some look alike."""
        self.both.publish([{"task": "axb", "queue": "deep"}, {"task": "a_b", "queue": "deep"}])
        self.both.consume(2, ["deep"], topic, "consume_topic")

    @rule(
        jobs=st.lists(st.sampled_from(["one", "other", None]), min_size=3, max_size=6),
        by_worker=st.booleans(),
    )
    def take_turns(self, jobs: list[str | None], by_worker: bool) -> None:
        """Let tenants take turns, some of whose jobs require labels."""
        self.both.publish(
            [
                {"task": "a_b", "queue": "deep", "tenant": tenant, "requires": ["gpu"] * (n % 2)}
                for n, tenant in enumerate(jobs)
            ]
        )
        if by_worker:
            worker = self.both.start_worker({"a_b": {}}, [], ["deep", "mail"], None, 15, ["gpu"])
            self.both.exchange(worker, [], 2, sleep=False)
        self.both.consume(2, ["deep"], None, "consume")
        self.both.consume(2, ["deep"], None, "consume", ["gpu"])

    @rule(
        priorities=st.lists(st.sampled_from([-1, 0, 5]), min_size=2, max_size=5),
        tenants=st.booleans(),
        pause=st.sampled_from([2, 4]),
        queues=st.sampled_from([None, ["deep"], ["mail", "deep"]]),
    )
    def grow_impatient(
        self, priorities: list[int], tenants: bool, pause: int, queues: list[str] | None
    ) -> None:
        """Let jobs wait until some of them go before others of higher priority."""
        self.both.set_ageing("deep", 5)
        for n, priority in enumerate(priorities):
            own = {"tenant": ["one", "other"][n % 2]} if tenants else {}
            self.both.publish([{"task": "a_b", "queue": "deep", "priority": priority, **own}])
            self.both.advance(pause)
        self.both.consume(2, queues, None, "consume")
        self.both.consume(2, queues, None, "consume")

    @rule(outcome=handed_in, beat=st.booleans(), by_worker=st.booleans())
    def cancel_while_running(self, outcome: Outcome, beat: bool, by_worker: bool) -> None:
        """Ask runs to stop, tell them, and let each end in its own way."""
        worker = self.both.start_worker({"a_b": {}}, [], None, None, 15) if by_worker else None
        self.both.publish([{"task": "a_b", "priority": 7}])
        if worker is not None:
            handles = self.both.exchange(worker, [], 1, sleep=False)
        else:
            handles = self.both.consume(1, None, None, "consume")
        for handle in handles:
            self.both.control("delete", handle[0])
            self.both.control("retry", handle[0])
            self.both.control("cancel", handle[0])
            if beat:
                self.both.heartbeat(worker, [handle[2]])
            if worker is not None:
                self.both.exchange(worker, [(handle[1], handle[2], outcome)], 0, sleep=False)
            elif outcome[0] not in ("cancelled", "parked"):
                self.both.end(handle, outcome)


class Machine(Stories, Limited):
    """All that may be told."""


def machine_for(engine: Engine, stories: type[Calls] = Machine) -> type[RuleBasedStateMachine]:
    """Return a machine whose every example runs on this engine."""

    class OnEngine(stories):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__(engine)

    return OnEngine
