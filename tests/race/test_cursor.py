"""The claim cursor: no floor hides a job for longer than its publisher's transaction."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from howdah.embedded.server import start_temporary
from howdah.embedded.settings import TEMPORARY
from howdah.migrate import migrate
from tests.fixtures.sessions import Session
from tests.race.steps import (
    a_second_later,
    advance,
    consume,
    drain,
    exchange,
    finish,
    floor,
    half_a_second_later,
    holes,
    publish,
    start_worker,
    violations,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fixtures.database import Administrator, Database

    Opener = Callable[..., Session]

FAR = 600  # a floor moves by 500 positions or more


def _go_far(sql: Session) -> None:
    """Move the floor far up: publish, finish, settle."""
    publish(sql, FAR)
    advance(sql)  # a lane is recorded while it holds something
    drain(sql)
    advance(sql, 3)


@pytest.fixture
def two_phase(postgres_programs: Path, postgres_version: int) -> Iterator[str]:
    """The DSN of a database whose server allows PREPARE TRANSACTION."""
    settings = {**TEMPORARY, "max_prepared_transactions": "5"}
    with start_temporary(postgres_programs, postgres_version, settings) as server:
        migrate(server.dsn())
        yield server.dsn()


def test_the_floor_follows_what_has_been_claimed(sql: Session) -> None:
    _go_far(sql)
    assert floor(sql) >= 500
    assert violations(sql) == []


def test_a_publisher_in_flight_holds_the_floor(sql: Session, sessions: Opener) -> None:
    late = sessions()
    late.begin()
    held = publish(late, 3)
    _go_far(sql)
    assert floor(sql) < held[0]
    late.commit()
    assert consume(sql) == held


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_a_publisher_open_for_longer_than_half_a_second_is_passed_and_its_rows_are_lifted(
    sql: Session, sessions: Opener, ending: str
) -> None:
    late = sessions()
    late.begin()
    held = publish(late, 3)
    _go_far(sql)
    half_a_second_later(sql)
    advance(sql, 3)
    assert floor(sql) > held[-1]
    assert holes(sql) == 1
    late.execute(ending)
    assert consume(sql) == [], "the rows lie behind the floor until the next tick"
    advance(sql)
    assert consume(sql) == (held if ending == "commit" else [])
    assert holes(sql) == 0
    assert violations(sql) == []


def test_what_a_passed_publisher_publishes_later_is_lifted_too(sql: Session, sessions: Opener) -> None:
    late = sessions()
    late.begin()
    held = publish(late)
    _go_far(sql)
    half_a_second_later(sql)
    advance(sql, 3)
    held += publish(late)
    _go_far(sql)
    half_a_second_later(sql)
    advance(sql, 3)
    assert floor(sql) > held[-1]
    late.commit()
    advance(sql)
    assert consume(sql) == held


def test_a_late_publisher_does_not_wait_for_the_end_of_another(sql: Session, sessions: Opener) -> None:
    late, later = sessions(), sessions()
    late.begin()
    held = publish(late)
    later.begin()
    forgotten = publish(later)
    _go_far(sql)
    half_a_second_later(sql)
    advance(sql, 3)
    assert floor(sql) > forgotten[0]
    late.commit()
    advance(sql)
    assert consume(sql) == held
    later.commit()
    advance(sql)
    assert consume(sql) == forgotten
    assert holes(sql) == 0


def test_a_late_row_locked_by_a_claim_that_rolls_back_is_not_forgotten(
    sql: Session, sessions: Opener
) -> None:
    late, holder = sessions(), sessions()
    late.begin()
    held = publish(late)
    _go_far(sql)
    half_a_second_later(sql)
    advance(sql, 3)
    late.commit()
    holder.begin()
    holder.rows("select from howdah.ready where id = %s for update", held[0])
    advance(sql)
    assert holes(sql) == 1, "the row could not be lifted, so the hole stays"
    holder.rollback()
    a_second_later(sql)
    advance(sql)
    assert consume(sql) == held
    assert holes(sql) == 0


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_the_first_job_ever_is_not_taken_for_settled_before_it_was_drawn(
    sql: Session, sessions: Opener, ending: str
) -> None:
    advance(sql, 3)  # the sequence says last_value 1 although nothing was drawn
    first = sessions()
    first.begin()
    held = publish(first)
    assert held == [1]
    _go_far(sql)
    half_a_second_later(sql)
    advance(sql, 3)
    assert floor(sql) >= 500
    first.execute(ending)
    advance(sql)
    assert consume(sql) == (held if ending == "commit" else [])
    assert violations(sql) == []


def test_a_first_publish_that_is_rolled_back_leaves_nothing_in_the_way(
    sql: Session, sessions: Opener
) -> None:
    first = sessions()
    first.begin()
    publish(first)
    first.rollback()
    advance(sql, 3)
    held = publish(sql)
    assert held == [2]
    assert consume(sql) == held


@pytest.mark.parametrize("ending", ["commit prepared", "rollback prepared"])
def test_a_prepared_transaction_is_a_publisher_in_flight(two_phase: str, ending: str) -> None:
    sql, late = Session(two_phase), Session(two_phase)
    name = uuid.uuid4().hex
    late.begin()
    held = publish(late, 2)
    publish(sql)
    advance(sql)  # the holder is noted under the name it has before it is prepared
    late.execute(f"prepare transaction '{name}'")
    late.close()
    _go_far(sql)
    assert floor(sql) < held[0]
    half_a_second_later(sql)
    advance(sql, 3)
    assert floor(sql) > held[-1]
    assert holes(sql) == 1
    sql.execute(f"{ending} '{name}'")
    advance(sql)
    assert consume(sql) == (held if ending == "commit prepared" else [])
    assert violations(sql) == []
    sql.close()


def test_a_consumer_that_holds_claimed_rows_for_long_is_passed_and_they_come_back(
    sql: Session, sessions: Opener
) -> None:
    publish(sql, FAR + 50)
    slow = sessions()
    slow.begin()
    claimed = consume(slow, 1)
    drain(sql)
    advance(sql, 4)
    assert floor(sql) < claimed[0]
    a_second_later(sql)
    sql.rows("select * from jobs.maintain()")
    assert floor(sql) > claimed[0] + 500
    assert violations(sql) == []
    slow.rollback()
    assert consume(sql) == []
    a_second_later(sql)
    advance(sql)
    assert consume(sql) == claimed
    assert holes(sql) == 0
    assert violations(sql) == []


def test_a_consumer_that_commits_late_leaves_no_hole_behind(sql: Session, sessions: Opener) -> None:
    publish(sql, FAR + 50)
    slow = sessions()
    slow.begin()
    claimed = consume(slow, 1)
    drain(sql)
    advance(sql, 3)
    a_second_later(sql)
    sql.rows("select * from jobs.maintain()")
    assert holes(sql) == 1
    slow.commit()
    a_second_later(sql)
    advance(sql)
    assert holes(sql) == 0
    finish(sql, claimed)
    assert violations(sql) == []


_REENTRIES = {
    "retry of a finished job": ["select jobs.ack('k')", "select jobs.retry('k')"],
    "retry of a job that waits": ["select jobs.snooze('k', 60)", "select jobs.retry('k')"],
    "release": ["select jobs.release('k')"],
    "snooze": ["select jobs.snooze('k', 0)", "select * from jobs.maintain()"],
    "nack": ["select jobs.nack('k', i_delay => 0)", "select * from jobs.maintain()"],
    "timeout": [
        "update howdah.running set started_at = now() - interval '2 h', deadline = now() - interval '1 h'",
        "select * from jobs.maintain()",
        "update howdah.scheduled set run_at = now()",
        "select * from jobs.maintain()",
    ],
    "parked job": [
        "select jobs.release('k')",
        """select jobs.worker_started('w', '[{"name": "other.task"}]')""",
        "select howdah.advance_cursor()",
        "select * from jobs.maintain()",
        """select jobs.worker_started('v', '[{"name": "demo.task"}]')""",
    ],
}


@pytest.mark.parametrize("way", _REENTRIES)
def test_what_comes_back_lies_before_no_floor(sql: Session, way: str) -> None:
    job = sql.value("select id from jobs.publish('demo.task', i_queue => 'q', i_key => 'k')")
    assert consume(sql, 1) == [job]
    _go_far(sql)
    for statement in _REENTRIES[way]:
        sql.rows(statement)
    assert sql.value("select pos from howdah.ready where id = %s", job) > floor(sql) >= 500
    assert violations(sql) == []
    assert job in consume(sql)


def test_a_new_lane_is_found_without_a_tick(sql: Session) -> None:
    worker = start_worker(sql)
    sql.rows("select setval('howdah.last_tick', howdah.milliseconds() + 600000)")
    given = [("b", 5), ("a", 0), ("b", -5), ("c", 9), ("b", 0)]
    for queue, priority in given:
        sql.rows("select jobs.publish('demo.task', i_queue => %s, i_priority => %s)", queue, priority)
    assert sql.value("select count(*) from howdah.lane") == 0
    found = [(row[4], row[5]) for row in exchange(sql, worker, 2, sleep=True)["jobs"]]
    found += [(row["queue"], row["priority"]) for row in sql.rows("select * from jobs.consume(10)")]
    assert found == [("c", 9), ("b", 5), ("a", 0), ("b", 0), ("b", -5)]


def test_a_new_lane_between_known_ones_is_found(sql: Session) -> None:
    for priority in (-32768, 0, 32766):
        sql.rows("select jobs.publish('demo.task', i_queue => 'm', i_priority => %s)", priority)
    advance(sql)
    drain(sql)
    for queue, priority in (("m", 1), ("m", -1), ("a", 0), ("z", 0), ("m", -32767), ("m", 32765)):
        sql.rows("select jobs.publish('demo.task', i_queue => %s, i_priority => %s)", queue, priority)
    assert len(consume(sql)) == 6


def test_publishers_of_another_database_do_not_count(
    sql: Session, sessions: Opener, administrator: Administrator, template: Database
) -> None:
    other = administrator.clone(template, "another")
    elsewhere, here = sessions(other.dsn), sessions()
    elsewhere.begin()
    publish(elsewhere)
    assert sql.value("select howdah.publishers_in_flight()") == []
    here.begin()
    publish(here)
    assert len(sql.value("select howdah.publishers_in_flight()")) == 1
    assert here.value("select howdah.publishers_in_flight()") == [], "its own rows are visible to it"
    elsewhere.close()
    administrator.drop(other)


def test_a_lane_that_was_dropped_comes_back_with_its_jobs(sql: Session) -> None:
    _go_far(sql)
    sql.execute("update howdah.lane set moved_at = moved_at - interval '1 h'")
    sql.rows("select setval('howdah.last_stray_check', 0)")
    sql.rows("select howdah.lift_strays()")
    assert sql.value("select count(*) from howdah.lane") == 0
    held = publish(sql, 2)
    assert consume(sql) == held
    advance(sql, 2)
    assert violations(sql) == []


def test_one_session_moves_the_floors_and_others_do_not_wait(sql: Session, sessions: Opener) -> None:
    mover = sessions()
    publish(sql, FAR)
    advance(sql)
    mover.begin()
    advance(mover)
    drain(sql)
    advance(sql, 4)
    assert floor(sql) == 0
    mover.commit()
    advance(sql, 3)
    assert floor(sql) >= 500
