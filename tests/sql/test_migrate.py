"""migrate: once, again, ten at once, under load, and by users with fewer rights."""

from __future__ import annotations

import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
import pytest

import howdah.sql
from howdah.embedded.server import start_temporary
from howdah.embedded.settings import TEMPORARY
from howdah.errors import DatabaseUnavailable, HowdahError
from howdah.migrate import migrate, pending, script
from tests.fixtures.sessions import Session
from tests.sql.steps import publish, take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from howdah.embedded import Server
    from tests.fixtures.database import Administrator, Database

STEPS = [*howdah.sql.migrations(), "functions"]
WIDE = """
select a.grantee::regrole::text as grantee, o.name
  from (select proname::text as name, proacl as acl, pronamespace as schema from pg_proc
        union all
        select relname, relacl, relnamespace from pg_class
        union all
        select typname, typacl, typnamespace from pg_type
        union all
        select nspname, nspacl, oid from pg_namespace) o, aclexplode(o.acl) a
 where o.schema::regnamespace::text in ('jobs', 'howdah')
   and (a.grantee = 0
        or a.grantee = 'howdah_publisher'::regrole and o.name !~ '^(publish|version|jobs)'
        or a.grantee = 'howdah_worker'::regrole and o.name in ('job', 'all', 'publish', 'finished'))
"""
OWNERS = """
select distinct owner::regrole::text as owner
  from (select proowner as owner from pg_proc where pronamespace::regnamespace::text in ('jobs', 'howdah')
        union all
        select relowner from pg_class where relnamespace::regnamespace::text in ('jobs', 'howdah')
        union all
        select nspowner from pg_namespace where nspname in ('jobs', 'howdah')) o
"""
ROLES = [
    "howdah_admin",
    "howdah_monitor",
    "howdah_operator",
    "howdah_owner",
    "howdah_publisher",
    "howdah_worker",
]


@pytest.fixture(scope="module")
def other_server(postgres_programs: Path, postgres_version: int) -> Iterator[Server]:
    """A server beside the tests' own, whose databases all know our roles."""
    settings = {**TEMPORARY, "deadlock_timeout": "100ms"}
    with start_temporary(postgres_programs, postgres_version, settings) as server:
        yield server


@pytest.fixture
def fresh_server(other_server: Server) -> Iterator[Server]:
    """A server on which nobody has ever migrated: no role of ours is there."""
    yield other_server
    with psycopg.connect(other_server.dsn(), autocommit=True) as connection:
        names = connection.execute("select datname from pg_database where datname ~ '^(mine|theirs|d[0-9])'")
        for (name,) in names.fetchall():
            connection.execute(f"drop database {name} with (force)".encode())
        query = (
            "select rolname from pg_roles where rolname !~ '^(pg_|postgres)' order by rolname !~ '^howdah'"
        )
        names = connection.execute(query)
        for (name,) in names.fetchall():
            connection.execute(f"drop role {name}".encode())


@pytest.fixture
def opened(sessions: Callable[..., Session]) -> Callable[[str], Session]:
    return lambda dsn: sessions(dsn)


def at_once(number: int, work: Callable[[int], list[str]]) -> list[list[str]]:
    """Do the work in so many threads that all begin at the same moment."""
    gate = threading.Barrier(number)

    def one(n: int) -> list[str]:
        gate.wait()
        return work(n)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def user_dsn(server: Server, database: str, user: str) -> str:
    return f"postgresql://{user}:secret@{server.dsn(database).split('@', 1)[1]}"


def make_user(server: Server, user: str, *, rights: str, database: str, owns: bool) -> str:
    """Create a login and a database that it owns or may create schemas in; return its DSN."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(f"create role {user} login password 'secret' nosuperuser {rights}".encode())
        connection.execute(f"create database {database}".encode())
        if owns:
            connection.execute(f"alter database {database} owner to {user}".encode())
        else:
            connection.execute(f"grant create on database {database} to {user}".encode())
    return user_dsn(server, database, user)


def works(session: Session) -> None:
    """Publish, consume and ack as this user."""
    job_id = publish(session, "a.b")
    assert take(session)["job_id"] == job_id
    assert session.value("select state from jobs.ack(%s)", job_id) == "succeeded"


def test_an_empty_database_gets_everything(
    empty_database: Database, opened: Callable[[str], Session]
) -> None:
    assert pending(empty_database.dsn) == STEPS

    assert migrate(empty_database.dsn) == STEPS

    assert pending(empty_database.dsn) == []
    works(opened(empty_database.dsn))


def test_a_second_run_changes_nothing(
    empty_database: Database, opened: Callable[[str], Session], postgres_programs: Path
) -> None:
    migrate(empty_database.dsn)
    session = opened(empty_database.dsn)
    noted = session.rows("select * from howdah.migration order by name")
    dumped = dump(postgres_programs, empty_database.dsn)

    assert migrate(empty_database.dsn) == []

    assert session.rows("select * from howdah.migration order by name") == noted
    assert dump(postgres_programs, empty_database.dsn) == dumped


def test_ten_at_once_on_one_database(empty_database: Database, opened: Callable[[str], Session]) -> None:
    applied = at_once(10, lambda _: migrate(empty_database.dsn))

    assert sorted(applied, key=len) == [[]] * 9 + [STEPS]
    works(opened(empty_database.dsn))


def test_ten_at_once_on_ten_databases_of_one_server(
    fresh_server: Server, opened: Callable[[str], Session]
) -> None:
    with psycopg.connect(fresh_server.dsn(), autocommit=True) as connection:
        for n in range(10):
            connection.execute(f"create database d{n} template template0".encode())

    applied = at_once(10, lambda n: migrate(fresh_server.dsn(f"d{n}")))

    assert applied == [STEPS] * 10
    session = opened(fresh_server.dsn("d9"))
    roles = session.rows("select rolname::text as role from pg_roles where rolname like 'howdah%' order by 1")
    assert [row["role"] for row in roles] == ROLES
    works(session)


def consume_until(stop: threading.Event, dsn: str) -> int:
    """Publish, consume, look and ack without a pause until told to stop; return how often."""
    session = Session(dsn)
    rounds = 0
    try:
        while not stop.is_set() or rounds == 0:
            publish(session, "a.b")
            for job in session.rows("select * from jobs.consume(5)"):
                assert session.rows("select state from jobs.get(%s)", job["job_id"]) == [{"state": "running"}]
                session.rows("select jobs.ack(%s, null, %s)", job["job_id"], job["run_id"])
            session.rows("select jobs.maintain()")
            session.rows('select count(*) from jobs."all"')
            rounds += 1
    finally:
        session.close()
    return rounds


def test_a_live_schema_is_upgraded_under_its_consumers(
    live_database: Database, opened: Callable[[str], Session]
) -> None:
    session = opened(live_database.dsn)
    stop = threading.Event()

    with ThreadPoolExecutor(2) as pool:
        consumers = [pool.submit(consume_until, stop, live_database.dsn) for _ in range(2)]
        try:
            for _ in range(5):
                session.execute("update howdah.migration set digest = 'older' where name = 'functions'")
                session.execute(
                    "create or replace function jobs.version() returns text language sql as $$select ''$$"
                )
                assert pending(live_database.dsn) == ["functions"]
                assert migrate(live_database.dsn) == ["functions"]
        finally:
            stop.set()

    assert all(consumer.result() > 0 for consumer in consumers)
    assert session.value("select jobs.version()") == howdah.sql.version()
    assert session.rows("select * from jobs.fsck()") == []


def test_an_upgrade_takes_back_grants_that_were_too_wide(
    live_database: Database, opened: Callable[[str], Session]
) -> None:
    session = opened(live_database.dsn)
    session.execute("grant usage on schema jobs, howdah to public")
    session.execute("grant execute on all functions in schema jobs, howdah to public, howdah_publisher")
    session.execute("grant all on all tables in schema jobs, howdah to public, howdah_worker")
    session.execute("grant usage on type jobs.bulk_job to public")
    session.execute("update howdah.migration set digest = 'older' where name = 'functions'")

    migrate(live_database.dsn)

    rows = session.rows(WIDE)
    assert rows == []


def test_jobs_live_through_an_upgrade(live_database: Database, opened: Callable[[str], Session]) -> None:
    session = opened(live_database.dsn)
    keys = [publish(session, key=f"k{n}", delay=60 if n == 2 else 0) for n in range(4)]
    take(session)
    before = session.rows('select * from jobs."all" order by id')
    session.execute("update howdah.migration set digest = 'older' where name = 'functions'")

    migrate(live_database.dsn)

    assert session.rows('select * from jobs."all" order by id') == before
    assert session.value("select state from jobs.ack(%s)", keys[0]) == "succeeded"


@pytest.mark.parametrize("owns", [True, False], ids=["owner of the database", "may create schemas"])
def test_a_user_that_may_create_roles_needs_no_superuser(
    fresh_server: Server, opened: Callable[[str], Session], owns: bool
) -> None:
    dsn = make_user(fresh_server, "builder", rights="createrole", database="mine", owns=owns)

    assert migrate(dsn) == STEPS

    session = opened(dsn)
    assert session.rows(OWNERS) == [{"owner": "howdah_owner"}]
    works(session)
    session.execute("update howdah.migration set digest = 'older' where name = 'functions'")
    assert migrate(dsn) == ["functions"]


def test_a_second_user_that_may_create_roles_migrates_its_own_database(
    fresh_server: Server, opened: Callable[[str], Session]
) -> None:
    """From PostgreSQL 16 on it may not grant itself the roles that the first one made."""
    first = make_user(fresh_server, "builder", rights="createrole", database="mine", owns=True)
    second = make_user(fresh_server, "neighbour", rights="createrole", database="theirs", owns=True)
    migrate(first)

    assert migrate(second) == STEPS

    works(opened(second))
    assert migrate(second) == []


@pytest.mark.parametrize("there", [True, False], ids=["roles are there", "no roles"])
def test_a_user_without_rights_owns_what_it_installs(
    fresh_server: Server, opened: Callable[[str], Session], there: bool
) -> None:
    if there:
        migrate(make_user(fresh_server, "builder", rights="createrole", database="theirs", owns=True))
    dsn = make_user(fresh_server, "plain", rights="nocreaterole", database="mine", owns=False)

    assert migrate(dsn) == STEPS

    session = opened(dsn)
    assert session.rows(OWNERS) == [{"owner": "plain"}]
    works(session)
    if there:
        query = "select has_function_privilege('howdah_publisher', 'jobs.publish_many(jsonb)', 'execute')"
        assert session.value(query) is True
    else:
        assert session.rows("select from pg_roles where rolname like 'howdah%'") == []
    assert (pending(dsn), migrate(dsn)) == ([], [])


def test_who_may_not_create_schemas_is_told_so_in_one_line(cluster: Server, empty_database: Database) -> None:
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(b"drop role if exists powerless")
        connection.execute(b"create role powerless login password 'secret'")

    with pytest.raises(HowdahError, match="permission denied") as caught:
        migrate(user_dsn(cluster, empty_database.name, "powerless"))

    assert "\n" not in str(caught.value)
    assert pending(empty_database.dsn) == STEPS


def test_a_server_that_is_not_there_is_told_so_in_one_line(cluster: Server) -> None:
    for work in (migrate, pending):
        with pytest.raises(DatabaseUnavailable) as caught:
            work(cluster.dsn("no_such_database"))
        assert "\n" not in str(caught.value)


def test_a_migration_that_fails_leaves_nothing_behind(
    empty_database: Database, opened: Callable[[str], Session]
) -> None:
    session = opened(empty_database.dsn)
    session.execute("create schema jobs")
    session.execute("create function jobs.publish_many(i_other jsonb) returns int language sql as 'select 1'")

    with pytest.raises(HowdahError):
        migrate(empty_database.dsn)

    assert session.value("select to_regnamespace('howdah')") is None
    assert pending(empty_database.dsn) == STEPS


def dump(programs: Path, dsn: str) -> list[str]:
    """Return pg_dump's schema, without the key that newer versions draw for each dump."""
    command = [str(programs / "pg_dump"), "--schema-only", "-d", dsn]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]


def apply_by_psql(programs: Path, dsn: str, text: str) -> None:
    command = [str(programs / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", dsn]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_script_does_what_migrate_does(
    administrator: Administrator, empty_database: Database, live_template: Database, postgres_programs: Path
) -> None:
    apply_by_psql(postgres_programs, empty_database.dsn, script())

    assert dump(postgres_programs, empty_database.dsn) == dump(postgres_programs, live_template.dsn)
    assert pending(empty_database.dsn) == []
    assert administrator.server.dsn(empty_database.name) == empty_database.dsn


def test_the_script_upgrades_what_is_there(
    live_database: Database, opened: Callable[[str], Session], postgres_programs: Path
) -> None:
    before = dump(postgres_programs, live_database.dsn)
    session = opened(live_database.dsn)
    session.execute("drop function jobs.version()")
    session.execute("update howdah.migration set digest = 'older' where name = 'functions'")

    apply_by_psql(postgres_programs, live_database.dsn, script(howdah.sql.migrations()))

    assert dump(postgres_programs, live_database.dsn) == before
    assert pending(live_database.dsn) == []


def test_a_fresh_install_and_an_upgrade_give_the_same_schema(
    live_database: Database,
    live_template: Database,
    opened: Callable[[str], Session],
    postgres_programs: Path,
) -> None:
    session = opened(live_database.dsn)
    session.execute("update howdah.migration set digest = 'older' where name = 'functions'")

    migrate(live_database.dsn)

    assert dump(postgres_programs, live_database.dsn) == dump(postgres_programs, live_template.dsn)


@pytest.mark.parametrize("release", ["999.0", "0.0.1", None])
def test_only_an_older_schema_is_brought_up_to_date(
    live_database: Database, opened: Callable[[str], Session], release: str | None
) -> None:
    """A later release's functions serve this one; this one's would not serve its workers."""
    session = opened(live_database.dsn)
    session.execute(
        "update howdah.migration set digest = 'other', release = %s where name = 'functions'", release
    )
    is_later = release == "999.0"

    assert howdah.sql.serves(session.value("select jobs.version()")) is is_later
    assert pending(live_database.dsn) == ([] if is_later else ["functions"])
    assert migrate(live_database.dsn) == ([] if is_later else ["functions"])

    assert howdah.sql.serves(session.value("select jobs.version()"))


def test_a_schema_that_noted_no_releases_is_brought_up_to_date(
    live_database: Database, opened: Callable[[str], Session]
) -> None:
    session = opened(live_database.dsn)
    session.execute("create or replace function jobs.version() returns text language sql as $$select ''$$")
    session.execute("alter table howdah.migration drop column release")
    session.execute("update howdah.migration set digest = 'older' where name = 'functions'")

    assert migrate(live_database.dsn) == ["functions"]

    assert session.value("select jobs.version()") == howdah.sql.version()
