"""A run that has lost its lease can write nothing, however it lost it and however often it tries."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from tests.model.agreement import START, Agreement, Handle
from tests.model.vocabulary import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.model.engine import Engine

CALLS = 10_000
CALLS_BETWEEN_LOOKS = 250

VERBS: list[list[Any]] = [
    ["succeeded", {"stale": True}],
    ["failed", "error", "stale", "stale", None, False],
    ["failed", "error", "stale", "stale", 0, True],
    ["snoozed", 0],
    ["released"],
    ["cancelled", "stale"],
    ["parked", "task", "stale"],
]


class Zombies:
    """Runs that have lost their jobs in every way there is, each with the worker that had it."""

    def __init__(self, engine: Engine) -> None:
        self.both = Agreement(engine)
        self.runs: dict[str, tuple[Handle, int | None]] = {}
        self._plain()
        self._of_workers()
        self.living = self.both.start_worker({"a": {}}, [], ["nowhere"], None, 86400)
        self._run_again()
        for _ in range(3):  # the claim cursor comes to rest
            self.both.maintain()

    def _claimed(self, way: str, worker: int | None = None, **options: Any) -> Handle:
        self.both.publish([{"task": "a", "key": way, **options}])
        if worker is None:
            (handle,) = self.both.consume(1, None, None, "consume")
        else:
            (handle,) = self.both.exchange(worker, [], 1, sleep=False)
        self.runs[way] = (handle, worker)
        return handle

    def _plain(self) -> None:
        self.both.end(self._claimed("acked"), ["succeeded", {"true": 1}])
        self.both.end(self._claimed("nacked"), ["failed", "error", 9000, False])
        self.both.end(self._claimed("failed"), ["failed", "error", None, True])
        self.both.end(self._claimed("snoozed"), ["snoozed", 9000])
        self.both.control("cancel", self._claimed("cancelled")[0])
        self.both.end(self.runs["cancelled"][0], ["failed", "error", None, False])
        self.both.control("delete", self._claimed("deleted")[0], force=True)
        self._claimed("timed out", timeout=5, backoff=[9000])
        self._claimed("timed out for good", timeout=5, max_retries=0)
        self.both.advance(6)
        self.both.maintain()

    def _of_workers(self) -> None:
        for way in ("stopped", "crashed", "silent", "stuck", "handed in", "parked"):
            worker = self.both.start_worker({"a": {}}, [], None, None, 5 if way == "silent" else 86400)
            _, number, run = self._claimed(way, worker, timeout=5, backoff=[9000])
            match way:
                case "stopped" | "crashed":
                    self.both.stop_worker(worker, crashed=way == "crashed")
                case "silent" | "stuck":
                    self.both.advance(16)
                    self.both.maintain()
                case "handed in":
                    self.both.exchange(worker, [(number, run, ["succeeded", None])], 0, sleep=False)
                case _:
                    self.both.exchange(worker, [(number, run, ["parked", "arguments"])], 0, sleep=False)
            if way != "stopped":
                self.both.stop_worker(worker, crashed=False)
            waiting = self.both.model.in_state("ready", "blocked")
            for job in waiting:  # out of the way of the next one
                self.both.control("cancel", str(job.id))

    def _run_again(self) -> None:
        """The jobs of some zombies are run by others meanwhile."""
        for way in ("nacked", "crashed", "stuck", "acked"):
            self.both.control("retry", way)
            (handle,) = self.both.consume(1, None, None, "consume")
            assert handle[0] == way


def attempts(engine: Engine, zombies: Zombies) -> Iterator[Callable[[], None]]:
    """Yield every call that a zombie can make, for ever; each checks its answer."""
    kinds = itertools.cycle(range(5 + 2 * len(VERBS)))
    for (handle, worker), kind in zip(itertools.cycle(zombies.runs.values()), kinds, strict=False):
        yield lambda handle=handle, worker=worker, kind=kind: stale_call(
            engine, zombies, handle, worker, kind
        )  # type: ignore[misc]


def stale_call(engine: Engine, zombies: Zombies, handle: Handle, worker: int | None, kind: int) -> None:
    """Make one call for a run that is lost, and check that the answer says so."""
    job_id, number, run = handle
    named: list[tuple[str, dict[str, Any]]] = [
        ("ack", {"result": {"stale": True}}),
        ("nack", {"traceback": "stale"}),
        ("nack", {"final": True}),
        ("snooze", {"delay": 0}),
        ("release", {}),
    ]
    gone = number not in zombies.both.model.jobs
    if kind < len(named):
        function, given = named[kind]
        with pytest.raises(Refused, match="JB003" if gone else "JB002"):
            engine.call(function, job_id=job_id, run_id=run, **given)
        verdicts = engine.call("heartbeat", run_ids=[run])
        assert verdicts == [{"run_id": run, "verdict": "lost"}]
        return
    verb = VERBS[(kind - len(named)) % len(VERBS)]
    if kind < len(named) + len(VERBS) or worker is None:
        answer = engine.call("exchange", worker_id=zombies.living, outcomes=[[number, run, *verb]])
        assert (answer[0]["exchange"]["lost"], answer[0]["exchange"]["later"]) == ([run], [])
        return
    with pytest.raises(Refused, match="JB007"):
        engine.call("exchange", worker_id=worker, outcomes=[[number, run, *verb]], num=1)
    with pytest.raises(Refused, match="JB007"):
        engine.call("heartbeat", worker_id=worker)


def test_no_write_of_a_run_that_lost_its_lease_is_accepted(engine: Engine) -> None:
    zombies = Zombies(engine)
    before, start = engine.digest(), engine.calls
    for n, attempt in enumerate(attempts(engine, zombies)):
        attempt()
        if n % CALLS_BETWEEN_LOOKS == 0:
            assert engine.digest() == before
        if engine.calls - start >= CALLS:
            break
    assert engine.digest() == before
    zombies.both.compare()
    zombies.both.check_fsck()


def test_the_digest_of_the_tables_sees_a_write(engine: Engine) -> None:
    zombies = Zombies(engine)
    before = engine.digest()
    job_id, run = next(
        (str(job.id), job.run) for job in zombies.both.model.in_state("running") if job.worker is None
    )
    engine.call("ack", job_id=job_id, run_id=run)
    assert engine.digest() != before
    assert engine.rows("select howdah.now() as now")[0]["now"] > START
