"""Fresh databases: copies of a template, or one database that is emptied; and the clock in them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from howdah import ConfigurationError, Howdah, InvalidInput
from howdah.migrate import migrate
from howdah.settings import Settings
from howdah.testing import databases, using
from howdah.testing.statements import read
from tests.fixtures.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from howdah.testing import Clock, Databases, FreshDatabase
    from tests.fixtures.database import Administrator


def scalar(dsn: str, query: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def picture(dsn: str) -> dict[str, list[tuple[object, ...]]]:
    """Everything the engine keeps, but what was applied to the schema."""
    relations = "select relname, relkind from pg_class where relnamespace = 'howdah'::regnamespace"
    columns = {"r": "x::text", "S": "last_value::text, is_called::text"}
    with psycopg.connect(dsn, autocommit=True) as connection:
        return {
            name: connection.execute(f"select {columns[kind]} from howdah.{name} x".encode()).fetchall()
            for name, kind in connection.execute(relations).fetchall()
            if kind in columns and name != "migration"
        }


def publish(database: FreshDatabase) -> str:
    app = Howdah(database.dsn, settings=Settings())
    try:
        return app.publish_sync("shop.mail").job_id
    finally:
        app.close_sync()


# ── Copies ──


def test_every_copy_is_fresh_and_goes_away(howdah_databases: Databases) -> None:
    with howdah_databases.fresh() as one:
        assert publish(one) == "1"
    with howdah_databases.fresh() as other:
        assert publish(other) == "1"
    assert one.name != other.name
    with howdah_databases.fresh() as third:
        assert scalar(third.dsn, f"select count(*) from pg_database where datname = '{one.name}'") == 0


def test_nothing_is_left_on_the_server(administrator: Administrator) -> None:
    dsn = administrator.server.dsn()
    query = "select count(*) from pg_database where datname like 'howdah_test_%'"
    before = scalar(dsn, query)
    with databases(dsn) as made, made.fresh():
        assert scalar(dsn, query) == before + 2  # type: ignore[operator]  # a count
    assert scalar(dsn, query) == before


def test_what_a_killed_run_left_behind_is_dropped_by_the_next(administrator: Administrator) -> None:
    dsn = administrator.server.dsn()
    names = ("howdah_test_1_abcdef", "howdah_test_1_abcdef_7", "howdah_test_of_somebody_else")
    with databases(dsn) as living, living.fresh() as used:
        for name in names:
            administrator.create(name)
        with databases(dsn):
            query = "select array_agg(datname) from pg_database where datname like 'howdah_test_%'"
            left = scalar(dsn, query)
        assert isinstance(left, list)
        assert set(left) & {*names, used.name} == {names[2], used.name}
    administrator.connection.execute(f"drop database {names[2]}".encode())


def test_an_app_goes_back_to_its_own_database(howdah_database: FreshDatabase) -> None:
    app = Howdah("service=shop", settings=Settings())
    with using(app, howdah_database.dsn):
        assert app.publish_sync("shop.mail").status_sync() == "ready"
    assert app.database.dsn() == "service=shop"


async def test_the_fixture_points_an_app_at_the_tests_database(
    howdah_app: Callable[[Howdah], Howdah], howdah_database: FreshDatabase
) -> None:
    app = howdah_app(Howdah("service=shop", settings=Settings()))
    await app.publish("shop.mail")
    assert scalar(howdah_database.dsn, "select count(*) from jobs.job_queue") == 1


# ── One database that is emptied ──


@pytest.fixture
def modest(administrator: Administrator) -> Iterator[Callable[[str], Database]]:
    """`modest(name)` makes a database that belongs to a user who may not create any."""
    made: list[Database] = []
    administrator.connection.execute("create role modest login password 'modest' nocreatedb")

    def make(name: str) -> Database:
        database = administrator.create(name)
        made.append(database)
        administrator.connection.execute(f'alter database "{name}" owner to modest'.encode())
        return Database(name, database.dsn_of("modest", "modest"))

    yield make
    for database in made:
        administrator.drop(database)
    administrator.connection.execute("drop role modest")


def test_who_may_not_create_databases_gets_the_same_one_emptied(
    modest: Callable[[str], Database],
) -> None:
    database = modest("shop_test")
    with databases(database.dsn) as made:
        with made.fresh() as one:
            assert publish(one) == "1"
            one.clock.advance(3600)
        with made.fresh() as other:
            assert (one.name, other.name) == ("shop_test", "shop_test")
            assert publish(other) == "1"
            assert abs(other.clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
            assert scalar(other.dsn, "select count(*) from jobs.fsck()") == 0


def test_an_emptied_database_is_like_a_new_one(modest: Callable[[str], Database]) -> None:
    database = modest("shop_test")
    with databases(database.dsn) as made:
        with made.fresh() as one:
            before = picture(one.dsn)
            publish(one)
            with psycopg.connect(one.dsn, autocommit=True) as connection:
                connection.execute("select jobs.worker_started('w', '[{\"name\": \"shop.mail\"}]')")
                connection.execute("select jobs.pause_queue('mail')")
                connection.execute("select jobs.nack(job_id, 'no') from jobs.consume(1)")
                connection.execute("select jobs.maintain()")
            assert picture(one.dsn) != before
        with made.fresh() as other:
            assert picture(other.dsn) == before


def test_every_table_and_sequence_is_emptied(howdah_database: FreshDatabase) -> None:
    found = scalar(
        howdah_database.dsn,
        "select array_agg(c.relname::text) from pg_class c where c.relnamespace = 'howdah'::regnamespace"
        " and (c.relkind = 'r' or c.relkind = 'S' and not exists"
        " (select from pg_depend d where d.objid = c.oid and d.deptype = 'i'))",
    )
    emptied = set(re.findall(r"howdah\.(\w+)", read("reset").decode()))
    assert isinstance(found, list)
    # births are locks: their rows are always there
    assert set(found) - emptied == {"migration", "birth"}


def test_a_database_whose_name_says_no_test_is_never_emptied(modest: Callable[[str], Database]) -> None:
    database = modest("shop")
    migrate(database.dsn)
    with pytest.raises(ConfigurationError, match="would empty the database shop"), databases(database.dsn):
        pass


# ── The clock ──


def test_the_clock_stands_still_until_it_is_moved(howdah_clock: Clock) -> None:
    now = howdah_clock.now()
    assert howdah_clock.now() == now
    assert howdah_clock.advance(1.5) == howdah_clock.now() == now + timedelta(seconds=1.5)
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
    assert howdah_clock.set(noon) == howdah_clock.now() == noon
    howdah_clock.resume()
    assert howdah_clock.now() != howdah_clock.now()


def test_a_moment_needs_a_zone(howdah_clock: Clock) -> None:
    with pytest.raises(InvalidInput, match="zone"):
        howdah_clock.set(datetime(2030, 1, 1))


def test_the_engine_goes_by_the_clock(howdah_clock: Clock, howdah_database: FreshDatabase) -> None:
    app = Howdah(howdah_database.dsn, settings=Settings())
    job = app.publish_sync("shop.mail", delay=3600)
    assert app.consume_sync() == []
    howdah_clock.advance(3600)
    assert [consumed.job_id for consumed in app.consume_sync()] == [job.job_id]
    app.close_sync()
