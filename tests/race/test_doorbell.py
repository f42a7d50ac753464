"""The doorbell: nobody rings while nobody sleeps, and no worker sleeps through what was on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.race.steps import (
    advance,
    consume,
    drain,
    exchange,
    fall_asleep,
    half_a_second_later,
    hand_in,
    publish,
    start_worker,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.sessions import Session

    Opener = Callable[..., Session]

_PUBLISH = "select jobs.publish('demo.task', i_queue => 'q')"


class Ear:
    """A session that listens as workers do."""

    def __init__(self, session: Session, ringer: Session) -> None:
        self._session = session
        self._ringer = ringer
        session.execute("listen howdah")
        for number in range(1, 120):  # the channel of each worker that a test registers
            session.execute(f"listen howdah_{number}")

    def rings(self) -> int:
        """Return how often the bell rang since the last call.

        Notifications arrive in the order of commits, so a marker sent now comes after all of them.
        """
        self._ringer.execute("notify howdah, 'marker'")
        for heard, notification in enumerate(self._session.connection.notifies(timeout=10)):
            if notification.payload == "marker":
                return heard
        raise AssertionError("the marker did not arrive")


@pytest.fixture
def ear(sessions: Opener) -> Ear:
    """Somebody who hears the bell."""
    return Ear(sessions(), sessions())


def _tick_not_due(sql: Session) -> None:
    sql.rows("select setval('howdah.last_tick', howdah.milliseconds() + 600000)")


def test_nobody_rings_while_nobody_sleeps(sql: Session, ear: Ear) -> None:
    worker = start_worker(sql)
    publish(sql, 20)
    runs = exchange(sql, worker, 2)["jobs"]
    hand_in(sql, worker, [[runs[0][0], runs[0][1], "succeeded", 1], [runs[1][0], runs[1][1], "released"]])
    (job,) = consume(sql, 1)
    sql.rows("select jobs.nack(%s::text)", job)
    sql.rows("select jobs.retry(%s::text)", job)
    sql.rows("select jobs.resume_queue('q')")
    sql.rows("select * from jobs.maintain()")
    assert ear.rings() == 0


def test_one_publish_rings_once_for_a_worker_asleep_and_no_more_once_it_is_up(sql: Session, ear: Ear) -> None:
    worker = start_worker(sql)
    fall_asleep(sql, worker)
    publish(sql, 100)
    assert ear.rings() == 1
    assert len(exchange(sql, worker, 100, sleep=True)["jobs"]) == 100
    publish(sql, 100)
    assert ear.rings() == 0


def test_a_rollback_rings_nobody(sql: Session, ear: Ear) -> None:
    fall_asleep(sql, start_worker(sql))
    sql.begin()
    publish(sql)
    sql.rollback()
    assert ear.rings() == 0


def test_a_worker_of_another_queue_is_left_asleep(sql: Session, ear: Ear) -> None:
    fall_asleep(sql, start_worker(sql, queues=["elsewhere"]))
    publish(sql)
    assert ear.rings() == 0


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_a_publisher_whose_look_may_be_old_rings_always(sql: Session, ear: Ear, isolation: str) -> None:
    sql.begin(isolation)
    publish(sql)
    sql.commit()
    assert ear.rings() == 1


_WAYS = {
    "publish": [_PUBLISH],
    "publish for later": ["select jobs.publish('demo.task', i_queue => 'q', i_delay => 3)"],
    "nack": ["select jobs.nack('k')"],
    "snooze": ["select jobs.snooze('k', 3)"],
    "release": ["select jobs.release('k')"],
    "retry": ["select jobs.cancel('w')", "select jobs.retry('w')"],
    "resume": ["select jobs.resume_queue('q')"],
    "due": [
        "update howdah.scheduled set run_at = clock_timestamp() - interval '1 s'",
        "select * from jobs.maintain()",
    ],
    "timeout": [
        "update howdah.running set started_at = now() - interval '2 h', deadline = now() - interval '1 h'",
        "select * from jobs.maintain()",
    ],
}


@pytest.mark.parametrize("queues", [None, ["p", "q"]], ids=["every queue", "named queues"])
@pytest.mark.parametrize("way", _WAYS)
def test_whatever_brings_work_rings_a_worker_asleep(
    sql: Session, ear: Ear, way: str, queues: list[str] | None
) -> None:
    sql.rows("select jobs.publish('demo.task', i_queue => 'q', i_key => 'k')")
    consume(sql, 1)
    sql.rows("select jobs.publish('demo.task', i_queue => 'q', i_key => 'w', i_delay => 60)")
    fall_asleep(sql, start_worker(sql, queues=queues))
    for statement in _WAYS[way]:
        sql.rows(statement)
    assert ear.rings() >= 1


@pytest.mark.parametrize("crashed", [False, True])
def test_the_runs_of_a_worker_that_ends_ring(sql: Session, ear: Ear, crashed: bool) -> None:
    ending = start_worker(sql)
    publish(sql)
    advance(sql)
    assert exchange(sql, ending, 1)["jobs"]
    fall_asleep(sql, start_worker(sql, queues=["q"]))
    sql.rows("select jobs.worker_stopped(%s, %s)", ending, crashed)
    assert ear.rings() == 1


_IN_FLIGHT = {
    "publish": _PUBLISH,
    "publish for later": "select jobs.publish('demo.task', i_queue => 'q', i_delay => 3)",
    "nack": "select jobs.nack('k')",
    "snooze": "select jobs.snooze('k', 3)",
    "release": "select jobs.release('k')",
    "resume": "select jobs.resume_queue('paused')",
}


@pytest.mark.parametrize("ending", ["commit", "rollback"])
@pytest.mark.parametrize("way", _IN_FLIGHT)
def test_a_worker_that_lies_down_while_something_is_in_flight_does_not_sleep_long(
    sql: Session, sessions: Opener, ear: Ear, way: str, ending: str
) -> None:
    sql.rows("select jobs.publish('demo.task', i_queue => 'q', i_key => 'k')")
    consume(sql, 1)
    sql.rows("select jobs.publish('demo.task', i_queue => 'paused')")
    sql.rows("select jobs.pause_queue('paused')")
    worker = start_worker(sql)
    publisher = sessions()
    publisher.begin()
    publisher.rows(_IN_FLIGHT[way])  # looks: nobody sleeps
    declared = exchange(sql, worker, 10, sleep=True)
    assert declared["jobs"] == []
    assert declared["asleep"]
    assert not declared["settled"]
    for _ in range(3):
        assert not exchange(sql, worker, 10, sleep=True)["settled"], "it polls while the publisher is open"
    publisher.execute(ending)
    assert ear.rings() == 0
    found = exchange(sql, worker, 10, sleep=True)
    if ending == "rollback":
        assert found["settled"]
    elif "later" in way or way in ("nack", "snooze"):
        assert 0 < found["next"] <= 5
    else:
        assert len(found["jobs"]) == 1


def test_a_publisher_that_ends_between_declaration_and_second_look_is_found(
    sql: Session, sessions: Opener
) -> None:
    worker = start_worker(sql)
    publisher = sessions()
    publisher.begin()
    (job,) = publish(publisher)
    exchange(sql, worker, 10, sleep=True)
    publisher.commit()
    assert [run[0] for run in exchange(sql, worker, 10, sleep=True)["jobs"]] == [job]


def test_a_publisher_that_came_after_the_declaration_keeps_nobody_awake_for_long(
    sql: Session, sessions: Opener, ear: Ear
) -> None:
    worker = start_worker(sql)
    fall_asleep(sql, worker)
    publisher = sessions()
    publisher.begin()
    publish(publisher)  # looks: one sleeps
    assert exchange(sql, worker, 10, sleep=True)["settled"]
    publisher.commit()
    assert ear.rings() == 1


def test_rows_lifted_from_behind_a_floor_ring_a_worker_that_looked_too_early(
    sql: Session, sessions: Opener, ear: Ear
) -> None:
    late = sessions()
    late.begin()
    (held,) = publish(late)
    publish(sql, 600)
    advance(sql)
    drain(sql)
    worker = start_worker(sql)
    half_a_second_later(sql)
    advance(sql, 3)
    exchange(sql, worker, 10, sleep=True)
    _tick_not_due(sql)
    assert not exchange(sql, worker, 10, sleep=True)["settled"]
    late.commit()
    answer = exchange(sql, worker, 10, sleep=True)
    assert answer["settled"], "its publisher ended"
    assert answer["jobs"] == [], "but the row lies behind the floor"
    assert ear.rings() == 0
    advance(sql)
    assert ear.rings() == 1
    assert [run[0] for run in exchange(sql, worker, 10, sleep=True)["jobs"]] == [held]


# ── Who is rung, and who is left to sleep ──


def _states(sql: Session) -> dict[int, str]:
    return {row["worker_id"]: row["state"] for row in sql.rows("select worker_id, state from howdah.sleeper")}


def _asleep(sql: Session, count: int, *tasks: str) -> list[int]:
    workers = [start_worker(sql, *tasks) for _ in range(count)]
    for worker in workers:
        fall_asleep(sql, worker)
    return workers


def test_one_job_rings_two_of_a_hundred_and_writes_nothing_about_them(sql: Session, ear: Ear) -> None:
    _asleep(sql, 100)
    before = sql.rows("select ctid, xmax::text from howdah.sleeper order by worker_id")
    publish(sql)
    assert ear.rings() == 2
    assert sql.rows("select ctid, xmax::text from howdah.sleeper order by worker_id") == before


def test_only_those_are_rung_that_know_the_task(sql: Session, ear: Ear) -> None:
    _asleep(sql, 1, "demo.task")
    _asleep(sql, 3, "other.task")
    publish(sql)
    assert ear.rings() == 1
    sql.rows("select jobs.publish('unknown.task')")
    assert ear.rings() == 0


def test_jobs_of_several_tasks_ring_for_each_of_them(sql: Session, ear: Ear) -> None:
    _asleep(sql, 1, "demo.task")
    _asleep(sql, 1, "other.task")
    sql.rows("""select jobs.publish_many('[{"task": "demo.task"}, {"task": "other.task"}]')""")
    assert ear.rings() == 2


def test_whoever_has_no_slot_left_wakes_as_many_as_there_are_jobs_by_doubling(sql: Session, ear: Ear) -> None:
    workers = _asleep(sql, 8)
    publish(sql, 8)
    woken = 0
    for worker in workers:
        assert len(exchange(sql, worker, 1, sleep=True)["jobs"]) == 1
        woken += ear.rings()
    assert woken >= 8
    assert _states(sql) == {}


def test_the_last_one_that_can_still_look_is_never_lost(sql: Session, ear: Ear) -> None:
    first, second, third = _asleep(sql, 3)
    publish(sql, 2)
    ear.rings()
    exchange(sql, first, 1)
    exchange(sql, second, 1)
    assert _states(sql) == {third: "front"}
    assert ear.rings() >= 1
    publish(sql)
    assert ear.rings() == 1


def test_who_is_put_in_front_waits_for_publishers_that_saw_nobody(
    sql: Session, sessions: Opener, ear: Ear
) -> None:
    """They looked while the worker before was up, and rang nobody."""
    up, behind = _asleep(sql, 2)
    publish(sql)
    assert exchange(sql, up, 10)["jobs"]
    assert _states(sql)[up] == "up"
    assert exchange(sql, behind, 10, sleep=True)["nap"] == 5
    assert set(_states(sql).values()) == {"up", "behind"}
    ear.rings()
    publisher = sessions()
    publisher.begin()
    (late,) = publish(publisher)
    publish(sql)
    assert exchange(sql, up, 1)["jobs"], "now it has no slot left"
    assert ear.rings() == 1
    assert not exchange(sql, behind, 10, sleep=True)["settled"]
    publisher.commit()
    assert ear.rings() == 0
    assert [run[0] for run in exchange(sql, behind, 10, sleep=True)["jobs"]] == [late]


def test_two_that_leave_the_front_at_once_do_not_count_on_each_other(
    sql: Session, sessions: Opener, ear: Ear
) -> None:
    first, second, third = _asleep(sql, 3)
    publish(sql, 2)
    one, other = sessions(), sessions()
    one.begin()
    assert exchange(one, first, 1)["jobs"]
    other.begin()
    assert exchange(other, second, 1)["jobs"]
    one.commit()
    other.commit()
    assert _states(sql)[third] == "front"


def test_a_worker_that_is_rung_without_a_free_slot_passes_it_on(sql: Session, ear: Ear) -> None:
    busy, other = _asleep(sql, 2)
    publish(sql)
    ear.rings()
    exchange(sql, busy, 0, sleep=True)
    assert ear.rings() == 1
    assert _states(sql) == {other: "front"}


@pytest.mark.parametrize("state", ["front", "up"])
def test_a_sleeper_takes_the_place_of_one_that_is_not_there_any_more(sql: Session, state: str) -> None:
    gone, other = _asleep(sql, 2)
    sql.execute(f"update howdah.sleeper set state = '{state}', since = now() where worker_id = {gone}")
    sql.execute(f"update howdah.sleeper set state = 'behind' where worker_id = {other}")
    sql.execute("update howdah.sleeper set since = since - interval '2 s'")
    sql.execute(f"update howdah.beat set beat_at = beat_at - interval '9 s' where worker_id = {gone}")
    exchange(sql, other, 10, sleep=True)
    assert _states(sql)[other] == "front"


def test_a_worker_that_leaves_puts_another_one_in_front(sql: Session, ear: Ear) -> None:
    first, second, third = _asleep(sql, 3)
    for worker in (first, second):
        sql.rows("select jobs.worker_stopped(%s)", worker)
    assert _states(sql) == {third: "front"}
    assert ear.rings() == 1


def test_a_worker_that_is_up_spares_those_in_front(sql: Session, ear: Ear) -> None:
    up, other = _asleep(sql, 2)
    publish(sql)
    exchange(sql, up, 10)
    exchange(sql, other, 10, sleep=True)
    ear.rings()
    publish(sql, 50)
    assert ear.rings() == 0
