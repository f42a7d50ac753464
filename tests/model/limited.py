"""Stories about limits: full keys, changes at run time, deaths, slots, rates, and who leaves a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.model.calls import Calls, handed_in, outcomes

if TYPE_CHECKING:
    from tests.model.agreement import Handle
    from tests.model.vocabulary import Outcome

Subject = tuple[str, str]
# What limits the jobs of these stories: all are of task a_b, in queue deep, with key c1.
subjects: st.SearchStrategy[Subject] = st.sampled_from([("key", "c1"), ("task", "a_b"), ("queue", "deep")])
places = st.lists(st.sampled_from(["deep", "deep", "mail"]), min_size=2, max_size=5)


def job(**options: Any) -> dict[str, Any]:
    return {"task": "a_b", "queue": "deep", "concurrency_key": "c1", **options}


class Limited(Calls):
    """Composite rules that lead jobs into the lines of limits, and out of them."""

    def drain(self, outcome: Outcome, queues: list[str] | None = None, rounds: int = 4) -> None:
        """Take what may start, end it, and look again: what is given back lets the next one start."""
        for _ in range(rounds):
            for handle in self.both.consume(2, queues, None, "consume"):
                self.both.end(handle, outcome)

    @rule(
        outcome=outcomes,
        slots=st.lists(st.sampled_from([1, 2]), min_size=2, max_size=4),
        most=st.sampled_from([None, 2, 2, 3]),
        then=st.sampled_from(["cancel", "retry", "delete", "expire", None]),
        n=st.sampled_from([1, 1, 1, 0, 2, 3]),
        late=st.sampled_from([0, 5]),
    )
    def wait_for_a_key(
        self, outcome: Outcome, slots: list[int], most: int | None, then: str | None, n: int, late: int
    ) -> None:
        """Let jobs wait for a full key; something happens to one of them, then the others go on."""
        own: dict[str, Any] = {"task": "pkg.sum", "queue": "apart", "concurrency_key": "c3"}
        own |= {} if most is None else {"concurrency_limit": most}
        ttl = {"ttl": 30} if then == "expire" else {}
        first = len(self.both.numbers)
        self.both.publish([job(slots=count, **own) for count in [1, *slots]])
        running = self.both.consume(1, ["apart"], None, "consume")
        self.both.publish([job(priority=late, **own, **ttl)])
        self.both.consume(3, ["apart"], None, "consume")
        self.both.check_reasons()
        if then == "expire":
            self.both.advance(31)
        elif then is not None:
            numbers = self.both.numbers[first:]
            self.both.control(then, str(numbers[n % len(numbers)]))
            self.both.consume(1, ["apart"], None, "consume")
        for handle in running:
            self.both.end(handle, outcome)
        self.drain(["succeeded", None])

    @rule(
        subject=subjects,
        most=st.lists(st.sampled_from([0, 1, 2, 3, -1]), min_size=2, max_size=4),
        queues=places,
        slots=st.sampled_from([1, 1, 2]),
    )
    def change_a_limit(self, subject: Subject, most: list[int], queues: list[str], slots: int) -> None:
        """Set a limit while jobs run, lower it, raise it, and take it away."""
        self.both.publish([job(queue=queue, concurrency_limit=9, slots=slots) for queue in [*queues, "deep"]])
        self.both.consume(2, ["deep"], None, "consume")
        for count in most:
            self.both.set_limit(*subject, count)
            self.both.consume(1, None, None, "consume")
            self.both.check_reasons()
        self.both.maintain()
        live = self.live()
        for handle in live[-2:]:
            self.both.end(handle, ["succeeded", None])
            self.both.consume(2, None, None, "consume")

    @rule(
        subject=subjects,
        ends=st.lists(handed_in, min_size=1, max_size=3),
        crashed=st.sampled_from([None, False, True]),
        count=st.integers(1, 3),
    )
    def die_with_slots(self, subject: Subject, ends: list[Outcome], crashed: bool | None, count: int) -> None:
        """Let workers hold all slots; one hands some in and dies, is stopped or just stays away."""
        self.both.set_limit(*subject, count)
        self.both.publish([job(concurrency_limit=count) for _ in range(count + 2)])
        one, other = (self.both.start_worker({"a_b": {}}, [], ["deep"], None, 5) for _ in range(2))
        handles = self.both.exchange(one, [], count, sleep=False)
        self.both.exchange(other, [], 2, sleep=True)
        sent = [(number, run, end) for (_, number, run), end in zip(handles[1:], ends, strict=False)]
        self.both.exchange(one, sent, 0, sleep=False)
        self.both.exchange(other, [], 1, sleep=True)
        if crashed is None:
            self.both.advance(4)
            self.both.heartbeat(other, [])
            self.both.advance(3)
            self.both.maintain()
        else:
            self.both.stop_worker(one, crashed)
        self.both.exchange(other, [], 3, sleep=True)
        self.both.stop_worker(other, crashed=False)

    @rule(
        subject=subjects,
        rate=st.integers(1, 2),
        waits=st.lists(st.sampled_from([0, 3, 7, 10, 10.001]), min_size=2, max_size=4),
        by_worker=st.booleans(),
    )
    def open_by_the_clock(self, subject: Subject, rate: int, waits: list[float], by_worker: bool) -> None:
        """Let a rate close and open again."""
        self.both.set_limit(*subject, None, rate, 10)
        self.both.publish([job(concurrency_limit=9, max_retries=0) for _ in range(len(waits) + 1)])
        worker = self.both.start_worker({"a_b": {}}, [], ["deep"], None, 60) if by_worker else None
        for wait in waits:
            if worker is None:
                self.both.consume(2, ["deep"], None, "consume")
            else:
                self.both.exchange(worker, [], 2, sleep=True)
            self.both.check_reasons()
            self.both.advance(wait)
        self.both.set_limit(*subject, None, -1)
        self.both.consume(3, ["deep"], None, "consume")

    @rule(
        jobs=st.lists(
            st.tuples(st.sampled_from(["one", "other"]), st.sampled_from(["c1", "c2", None])),
            min_size=2,
            max_size=5,
        ),
        most=st.integers(1, 2),
        subject=subjects,
    )
    def share_a_limit(self, jobs: list[tuple[str, str | None]], most: int, subject: Subject) -> None:
        """Let tenants meet the same limit."""
        self.both.set_limit(*subject, most)
        self.both.publish(
            [job(tenant=tenant, **({"concurrency_key": key} if key else {})) for tenant, key in jobs]
        )
        self.both.publish([{"task": "axb", "queue": "deep", "tenant": "one"}])
        self.drain(["succeeded", None], ["deep"])

    @rule(outcome=outcomes, subject=subjects, allow_failure=st.booleans(), by_queue=st.booleans())
    def wait_for_parent_and_limit(
        self, outcome: Outcome, subject: Subject, allow_failure: bool, by_queue: bool
    ) -> None:
        """Let the children of a job come into the line that their parent has just left."""
        self.both.set_limit(*subject, 1)
        self.both.publish([job(priority=9)])
        parent = str(self.both.numbers[-1])
        self.both.publish(
            [job(depends_on=[parent], allow_failure=allow_failure), job(depends_on=[parent]), job()]
        )
        handles: list[Handle] = self.both.consume(2, ["deep"] if by_queue else None, None, "consume")
        for handle in handles[:1]:
            self.both.end(handle, outcome)
        self.both.maintain()
        self.drain(["succeeded", None], ["deep"])

    @rule(
        first=subjects,
        second=subjects,
        tasks=st.lists(st.sampled_from(["a_b", "axb"]), min_size=2, max_size=5),
        keys=st.lists(st.sampled_from(["c1", "c2"]), min_size=5, max_size=5),
        topic=st.sampled_from([None, "a_b", "axb"]),
    )
    def meet_two_limits(
        self, first: Subject, second: Subject, tasks: list[str], keys: list[str], topic: str | None
    ) -> None:
        """Let jobs wait in several lines, of which some claimers may not start the first."""
        self.both.set_limit(*first, 1)
        self.both.set_limit(*second, 2)
        self.both.publish(
            [job(task=task, concurrency_key=key) for task, key in zip(tasks, keys, strict=False)]
        )
        for _ in range(3):
            handles = self.both.consume(1, ["deep"], topic, "consume_topic")
            self.both.consume(1, None, None, "consume")
            for handle in handles:
                self.both.end(handle, ["succeeded", None])

    @rule(queue=st.sampled_from(["mail", "deep"]), before=st.booleans())
    def move_with_the_task(self, queue: str, before: bool) -> None:
        """Register a task anew while its jobs wait for a limit: what it declares counts for them, too."""
        self.both.publish([{"task": "late", "concurrency_key": "c2"}] * 3)
        self.both.consume(1, None, "late", "consume_topic")
        if before:
            self.both.consume(1, None, "late", "consume_topic")
        worker = self.both.start_worker({"late": {"queue": queue, "priority": 5}}, [], [queue], None, 15)
        for handle in self.live()[-1:]:
            self.both.end(handle, ["succeeded", None])
        self.both.exchange(worker, [], 1, sleep=False)
        self.both.check_reasons()

    @rule(count=st.integers(1, 4), most=st.integers(1, 3))
    def fill_a_queue(self, count: int, most: int) -> None:
        """Publish until a queue is full; what waits for a limit counts, too."""
        self.both.set_most_waiting("deep", most)
        for _ in range(count):
            self.both.publish([job()])
        self.both.consume(2, ["deep"], None, "consume")
        self.both.publish_each(job(), [{"n": 1}, {"n": 2}])
        self.both.set_most_waiting("deep", -1)
