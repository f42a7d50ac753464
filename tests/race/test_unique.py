"""Unique keys under races: one job under a key, whoever publishes, claims, retries or deletes meanwhile."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.race.crew import run_together
from tests.race.steps import consume, finish, violations

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.database import Database
    from tests.fixtures.sessions import Session

    Opener = Callable[..., Session]
    Blocked = Callable[[Session], None]

ISOLATIONS = ["read committed", "repeatable read", "serializable"]
MODES = ["skip", "replace", "merge", "reject"]
PUBLISH = "select * from jobs.publish('a', %s::jsonb, i_unique_key => %s, i_unique_mode => %s)"
MANY = "select * from jobs.publish_many(%s::jsonb)"
_DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"
# As an exchange does.
_CLAIM = "select body from howdah.claim(1, null, null, null, null, null, true, howdah.now())"
_REFUSED = ("JB009", "40001")
_SECONDS = 4.0


def _several(*keys: str) -> str:
    return json.dumps([{"task": "a", "unique_key": key} for key in keys])


# ── Two publishers ──


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("ending", ["commit", "rollback"])
@pytest.mark.parametrize("mode", MODES)
def test_the_second_publisher_waits_and_meets_what_the_first_left(
    sql: Session, sessions: Opener, wait_until_blocked: Blocked, isolation: str, ending: str, mode: str
) -> None:
    other = sessions()
    other.execute(f"set default_transaction_isolation = '{isolation}'")
    sql.begin()
    first = sql.row(PUBLISH, "[1]", "k", mode)

    waiting = other.later(PUBLISH, "[2]", "k", mode)
    wait_until_blocked(other)
    getattr(sql, ending)()

    if ending == "rollback":
        assert waiting.result(10)[0]["created"]
    elif mode == "reject" or isolation != "read committed":
        with pytest.raises(psycopg.Error) as caught:
            waiting.result(10)
        assert caught.value.sqlstate in _REFUSED
    else:
        assert waiting.result(10) == [{**first, "created": False}]
    assert sql.value('select count(*) from jobs."all"') == 1
    assert violations(sql) == []


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_of_two_that_take_a_free_key_over_one_gets_it(
    sql: Session, sessions: Opener, wait_until_blocked: Blocked, isolation: str, ending: str
) -> None:
    sql.row(PUBLISH, "1", "k", "skip")
    finish(sql, consume(sql))
    other = sessions()
    other.begin(isolation)
    assert other.value("select count(*) from howdah.unique_key where false") == 0
    sql.begin()
    taken = sql.row(PUBLISH, "2", "k", "skip")

    waiting = other.later(PUBLISH, "3", "k", "skip")
    wait_until_blocked(other)
    getattr(sql, ending)()

    if ending == "commit" and isolation != "read committed":
        with pytest.raises(psycopg.errors.SerializationFailure):
            waiting.result(10)
        other.rollback()
    else:
        assert waiting.result(10)[0]["created"] is (ending == "rollback")
        other.commit()
    assert (taken["created"], sql.value('select count(*) from jobs."all"')) == (True, 2)
    assert violations(sql) == []


def test_a_retry_and_a_publish_at_an_old_snapshot_do_not_both_get_the_key(
    sql: Session, sessions: Opener
) -> None:
    job = sql.row(PUBLISH, "1", "k", "skip")
    finish(sql, consume(sql))
    other = sessions()
    other.begin("repeatable read")
    assert other.value("select count(*) from howdah.finished where false") == 0
    other.rows("select 1 from howdah.job")
    sql.execute("select jobs.retry(%s)", job["job_id"])

    with pytest.raises(psycopg.errors.SerializationFailure):
        other.rows(PUBLISH, "2", "k", "skip")

    other.rollback()
    assert violations(sql) == []


def test_who_waits_for_a_key_holds_no_later_one(sessions: Opener, wait_until_blocked: Blocked) -> None:
    first, second, third = sessions(), sessions(), sessions()
    first.begin()
    first.rows(MANY, _several("m"))

    waiting = second.later(MANY, _several("z", "m"))
    wait_until_blocked(second)
    third.execute("set lock_timeout = '2s'")
    assert third.row(MANY, _several("z"))["created"]

    first.commit()
    assert [row["created"] for row in waiting.result(10)] == [False, False]


# ── A publisher and whoever claims ──


def test_skip_waits_for_no_open_claim_nor_for_who_only_looks(sql: Session, sessions: Opener) -> None:
    sql.row(PUBLISH, "1", "k", "skip")
    consumer, other = sessions(), sessions()
    consumer.begin()
    consume(consumer)
    sql.execute("set lock_timeout = '1ms'")

    assert not sql.row(PUBLISH, "2", "k", "skip")["created"]
    other.begin()
    assert not other.row(PUBLISH, "2", "k", "skip")["created"]
    assert not sql.row(PUBLISH, "3", "k", "skip")["created"]

    other.rollback()
    consumer.rollback()


@pytest.mark.parametrize("mode", ["replace", "merge"])
def test_a_job_that_an_open_transaction_has_taken_counts_as_started_after_a_second(
    sql: Session, sessions: Opener, mode: str
) -> None:
    sql.row(PUBLISH, "[1]", "k", mode)
    consumer = sessions()
    consumer.begin()
    assert len(consume(consumer)) == 1

    second = sql.row(PUBLISH, "[2]", "k", mode)

    assert second["created"]
    consumer.commit()
    assert sql.rows("select body, state from jobs.job_queue order by id") == [
        {"body": [1], "state": "running"}, {"body": [2], "state": "ready"},
    ]  # fmt: skip
    assert violations(sql) == []


@pytest.mark.parametrize("mode", ["replace", "merge"])
@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_a_claim_passes_over_a_job_that_is_being_changed(
    sql: Session, sessions: Opener, mode: str, ending: str
) -> None:
    sql.row(PUBLISH, "[1]", "k", mode)
    other = sessions()
    other.begin()
    other.row(PUBLISH, "[2]", "k", mode)

    assert sql.rows("select * from jobs.consume(1)") == []
    getattr(other, ending)()

    changed = [1, 2] if mode == "merge" else [2]
    assert sql.row("select body from jobs.consume(1)")["body"] == (changed if ending == "commit" else [1])


@pytest.mark.parametrize("mode", ["replace", "merge"])
def test_a_claim_whose_snapshot_is_older_does_not_run_the_old_body(
    sql: Session, sessions: Opener, wait_until_blocked: Blocked, mode: str
) -> None:
    sql.row(PUBLISH, "[1]", "k", mode)
    sql.execute(  # a claim that has its snapshot, and has not locked its rows yet
        "create or replace function howdah.new_lanes() returns table (queue text, priority smallint)"
        " language plpgsql stable as $$ begin perform pg_advisory_xact_lock(1);"
        " return query select 'default'::text, 0::smallint; end; $$"
    )
    gate, claimer = sessions(), sessions()
    gate.begin()
    gate.execute("select pg_advisory_xact_lock(1)")
    claiming = claimer.later(_CLAIM)
    wait_until_blocked(claimer)

    assert not sql.row(PUBLISH, "[2]", "k", mode)["created"]
    gate.commit()

    claimed = claiming.result(10) or sql.rows(_CLAIM)
    assert claimed == [{"body": [1, 2] if mode == "merge" else [2]}]


def test_a_chore_that_moves_the_job_is_waited_for(
    sql: Session, sessions: Opener, wait_until_blocked: Blocked
) -> None:
    first = sql.row("select * from jobs.publish('a', '1', i_delay => 60, i_unique_key => 'k')")
    sql.execute("update howdah.scheduled set run_at = howdah.now()")
    chores, other = sessions(), sessions()
    chores.begin()
    chores.rows("select * from jobs.maintain()")

    waiting = other.later(PUBLISH, "2", "k", "replace")
    wait_until_blocked(other)
    chores.commit()

    assert waiting.result(10) == [{**first, "state": "ready", "created": False}]
    assert [row["body"] for row in sql.rows("select body from jobs.consume(9)")] == [2]


# ── Many at once ──


class Storm:
    """Time to rage for, and what everybody did."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.over = threading.Event()
        self.timer = threading.Timer(_SECONDS, self.over.set)
        self.timer.start()
        self.numbers = itertools.count()
        self.published: list[Any] = []
        self.ran: list[Any] = []


def _committed(session: Session, rolls_back: bool, isolation: str, call: str, *args: object) -> Any:
    """Run a call in a transaction; return its row, None when it was rolled back or refused."""
    session.begin(isolation)
    try:
        row = session.row(call, *args)
    except psycopg.Error as error:
        session.rollback()
        if error.sqlstate not in _REFUSED:
            raise
        return None
    if rolls_back:
        session.rollback()
        return None
    try:
        session.commit()
    except psycopg.errors.SerializationFailure:
        return None
    return row


@pytest.mark.parametrize("seed", [1, 2])
def test_one_unfinished_job_under_a_key_whatever_happens(sql: Session, database: Database, seed: int) -> None:
    storm = Storm(seed)
    found: list[Any] = []

    def publisher(session: Session) -> None:
        chance = random.Random(storm.random.random())
        while not storm.over.is_set():
            mode = chance.choice(["skip", "reject"])
            row = _committed(
                session,
                chance.random() < 0.3,
                chance.choice(ISOLATIONS),
                PUBLISH,
                "1",
                f"k{chance.randrange(4)}",
                mode,
            )
            if row and row["created"]:
                storm.published.append(row["id"])

    def consumer(session: Session) -> None:
        chance = random.Random(storm.random.random())
        while not storm.over.is_set():
            for row in session.rows("select * from jobs.consume(3)"):
                if chance.random() < 0.2:
                    session.rows("select * from jobs.nack(%s, 'no', i_delay => 0)", row["job_id"])
                else:
                    session.rows("select * from jobs.ack(%s)", row["job_id"])

    def operator(session: Session) -> None:
        chance = random.Random(storm.random.random())
        while not storm.over.is_set():
            session.rows("select * from jobs.maintain()")
            session.execute("update howdah.unique_key set look_at = howdah.now() where key = 'k1'")
            for row in session.rows("select job_id from jobs.job order by random() limit 2"):
                action = chance.choice(["retry", "delete", "cancel"])
                _committed_by_operator(session, action, row["job_id"])

    def watcher(session: Session) -> None:
        while not storm.over.is_set():
            found.extend(session.rows("select * from howdah.fsck_unique()"))

    run_together(database.dsn, [publisher] * 4 + [consumer] * 2 + [operator, watcher])

    assert found == []
    assert violations(sql) == []
    assert len(storm.published) > 20
    assert len(set(storm.published)) == len(storm.published)
    assert sql.value(_DEADLOCKS) == 0


def _committed_by_operator(session: Session, action: str, job_id: str) -> None:
    try:
        session.rows(f"select * from jobs.{action}(%s)", job_id)
    except psycopg.Error as error:
        if error.sqlstate not in ("JB003", "JB004", "JB009"):
            raise


@pytest.mark.parametrize("delay", [0, 0.02])
def test_nothing_that_was_merged_is_lost_or_runs_twice(
    sql: Session, database: Database, delay: float
) -> None:
    storm = Storm(3)
    merge = PUBLISH.replace("%s)", f"'merge', i_delay => {delay})")

    def publisher(session: Session) -> None:
        chance = random.Random(storm.random.random())
        while not storm.over.is_set():
            number = next(storm.numbers)
            if _committed(
                session,
                chance.random() < 0.2,
                chance.choice(ISOLATIONS),
                merge,
                f"[{number}]",
                f"k{number % 2}",
            ):
                storm.published.append(number)

    def consumer(session: Session) -> None:
        while not storm.over.is_set():
            _run_some(session, storm)
            session.rows("select * from jobs.maintain()")

    run_together(database.dsn, [publisher] * 4 + [consumer] * 2)
    sql.execute("update howdah.scheduled set run_at = howdah.now()")
    _drain(sql, storm)

    ran = sorted(number for batch in storm.ran for number in batch)
    assert ran == sorted(storm.published)
    assert len(storm.ran) < len(ran)
    assert violations(sql) == []


def _run_some(session: Session, storm: Storm) -> int:
    rows = session.rows("select * from jobs.consume(3)")
    for row in rows:
        storm.ran.append(row["body"])
        session.rows("select * from jobs.ack(%s)", row["job_id"])
    return len(rows)


def _drain(session: Session, storm: Storm) -> None:
    deadline = time.monotonic() + 60  # what a slow publisher left behind a floor comes back within some ticks
    while session.value("select count(*) from jobs.job_queue"):
        assert time.monotonic() < deadline
        session.rows("select * from jobs.maintain()")
        _run_some(session, storm)


def test_the_last_arguments_that_replaced_a_job_run_last(sql: Session, database: Database) -> None:
    storm = Storm(4)

    def publisher(session: Session) -> None:
        while not storm.over.is_set():
            number = next(storm.numbers)
            row = session.row(PUBLISH, str(number), "k", "replace")
            storm.published.append((number, row["created"]))

    def consumer(session: Session) -> None:
        while not storm.over.is_set():
            _run_some(session, storm)

    run_together(database.dsn, [publisher] + [consumer] * 3)
    _drain(sql, storm)

    assert sorted(storm.ran) == sorted(set(storm.ran))
    assert max(storm.ran) == storm.published[-1][0]
    assert len(storm.ran) == sum(created for _, created in storm.published)
    assert violations(sql) == []
