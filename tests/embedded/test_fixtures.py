"""The fixtures that the other tests stand on."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from howdah.testing.statements import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from howdah.embedded import Server
    from tests.fixtures.clock import Clock
    from tests.fixtures.database import Administrator, Database
    from tests.fixtures.sessions import Session

MOMENT = datetime(2031, 5, 4, 12, 0, tzinfo=UTC)
_numbers = itertools.count(1)
UNMIGRATED = """
create schema howdah;
create function howdah.now() returns timestamptz language sql as 'select clock_timestamp()';
"""


@pytest.fixture(scope="module")
def small_template(administrator: Administrator) -> Database:
    """Only what the clock needs: these tests must not depend on the engine's schema."""
    template = administrator.create("template_small")
    with psycopg.connect(template.dsn, autocommit=True) as connection:
        connection.execute(UNMIGRATED.encode())
        connection.execute(read("fake_clock"))
    return template


@pytest.fixture
def database(administrator: Administrator, small_template: Database) -> Iterator[Database]:
    """In place of the migrated one."""
    database = administrator.clone(small_template, f"small_{next(_numbers)}")
    yield database
    administrator.retire(database)


def test_the_server_is_the_version_that_was_asked_for(sql: Session, postgres_version: int) -> None:
    assert sql.value("select current_setting('server_version_num')::int / 10000") == postgres_version


def test_each_test_has_a_fresh_database_1(sql: Session) -> None:
    sql.execute("create table leftover ()")


def test_each_test_has_a_fresh_database_2(sql: Session) -> None:
    sql.execute("create table leftover ()")


def test_the_clock_stands_still_until_it_is_moved(clock: Clock, sql: Session) -> None:
    clock.set(MOMENT)

    assert sql.value("select howdah.now()") == MOMENT
    assert clock.advance(90) == MOMENT + timedelta(seconds=90)
    assert sql.value("select howdah.now()") == MOMENT + timedelta(seconds=90)


def test_time_runs_in_a_database_without_a_clock(sql: Session) -> None:
    first = sql.value("select howdah.now()")

    assert sql.value("select howdah.now()") > first


def test_the_clock_keeps_time_for_roles_without_any_grant(clock: Clock, sql: Session) -> None:
    clock.set(MOMENT)
    sql.execute("grant usage on schema howdah to pg_monitor")
    sql.execute("set role pg_monitor")

    assert sql.value("select howdah.now()") == MOMENT


def test_a_session_that_waits_for_a_lock_is_seen(
    sessions: Callable[..., Session],
    wait_until_blocked: Callable[[Session], None],
) -> None:
    first, second = sessions(), sessions()
    first.begin()
    first.execute("select pg_advisory_xact_lock(1)")

    waiting = second.later("select pg_advisory_lock(1)::text, 7 as seven")
    wait_until_blocked(second)
    assert not waiting.done()
    first.commit()

    assert waiting.result(timeout=10)[0]["seven"] == 7


def test_dictionaries_travel_as_jsonb(sql: Session) -> None:
    assert sql.value("select %s->'a'", {"a": [1]}) == [1]


def test_databases_are_dropped_although_somebody_is_connected(
    administrator: Administrator, cluster: Server
) -> None:
    database = administrator.create("busy")
    with psycopg.connect(database.dsn):
        administrator.drop(database)

        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(cluster.dsn("busy"))
