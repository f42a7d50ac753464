"""Who may do what: the matrix as checked in, and each role trying everything else."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.sql.steps import publish

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.database import Database
    from tests.fixtures.sessions import Session

GRANTS = Path(__file__).with_name("grants.txt")
ROLES = ("publisher", "worker", "monitor", "operator", "admin")
CONTENT = {"body", "result", "traceback", "error", "reason", "headers", "meta"}
REFUSED = "42501"
_numbers = itertools.count(1)

MATRIX = """
select o.name, string_agg(case when o.allowed then 'x' else '.' end, '' order by o.n) as cells
  from (select p.pronamespace::regnamespace || '.' || p.proname || '/' || p.pronargs as name, r.n,
               has_function_privilege('howdah_' || r.role, p.oid, 'execute') as allowed
          from pg_proc p, unnest(%s::text[]) with ordinality r (role, n)
         where p.pronamespace::regnamespace::text in ('jobs', 'howdah')
        union all
        select c.oid::regclass::text, r.n,
               has_any_column_privilege('howdah_' || r.role, c.oid, 'select, insert, update, references')
               or has_table_privilege('howdah_' || r.role, c.oid, 'delete, truncate, trigger')
          from pg_class c, unnest(%s::text[]) with ordinality r (role, n)
         where c.relnamespace::regnamespace::text in ('jobs', 'howdah') and c.relkind in ('r', 'v')) o
 group by o.name
"""


@pytest.fixture
def login(sql: Session, database: Database, sessions: Callable[..., Session]) -> Callable[..., Session]:
    """`login(role, …)` opens a session of a fresh login role that is a member of these roles alone."""

    def open_session(*roles: str) -> Session:
        name = f"login_{next(_numbers)}_{database.name}"
        sql.execute(f"create role {name} login password 'secret'")
        for role in roles:
            sql.execute(f"grant howdah_{role} to {name}")
        return sessions(database.dsn_of(name, "secret"))

    return open_session


def test_the_grants_are_those_checked_in(live_database: Database, sessions: Callable[..., Session]) -> None:
    """Each line of the file: an object, then one cell for each role; what nobody may use has no line."""
    rows = sessions(live_database.dsn).rows(MATRIX, list(ROLES), list(ROLES))
    found = {row["name"]: row["cells"] for row in rows if "x" in row["cells"]}

    lines = [line.split() for line in GRANTS.read_text("utf-8").splitlines() if not line.startswith("#")]
    written = {line[0]: "".join(line[1:]) for line in lines if line}

    assert {name: cells for name, cells in found.items() if written.get(name) != cells} == {}, (
        "not written down"
    )
    assert {name: cells for name, cells in written.items() if found.get(name) != cells} == {}, "not granted"


def test_the_owner_alone_reaches_tables(live_database: Database, sessions: Callable[..., Session]) -> None:
    rows = sessions(live_database.dsn).rows(MATRIX, list(ROLES), list(ROLES))

    private = {row["name"] for row in rows if row["name"].startswith("howdah.") and "x" in row["cells"]}

    called = {"howdah.now/0", "howdah.seconds/1", "howdah.lane_of/3", "howdah.queue_of/1"}
    assert private == called, "what the views call in their caller's name"


PUBLISH = {
    "publish": "select * from jobs.publish('a.b')",
    "publish_bulk": "select * from jobs.publish_bulk(array[('a.b', null, null, null, null, null)]"
    "::jobs.bulk_job[])",
    "publish_each": "select unnest(jobs.publish_each('a.b', '[1]'))::text as job_id",
    "publish_many": """select * from jobs.publish_many('[{"task": "a.b"}]')""",
}


@pytest.mark.parametrize("query", PUBLISH.values(), ids=PUBLISH.keys())
def test_a_publisher_publishes(sql: Session, login: Callable[..., Session], query: str) -> None:
    answer = login("publisher").row(query)

    assert sql.value("select task from jobs.get(%s)", answer["job_id"]) == "a.b"


def everything(sql: Session) -> dict[str, str]:
    """Return a statement for each function, table, view and sequence, by its name."""
    routines = sql.rows(
        """select p.oid::regprocedure::text as name,
                  case p.prokind when 'p' then 'call ' else 'select ' end || p.oid::regproc || '('
                  || coalesce((select string_agg('null::' || t::regtype, ', ' order by n)
                                 from unnest(p.proargtypes::oid[]) with ordinality a (t, n)), '') || ')'
                  as query
             from pg_proc p where p.pronamespace::regnamespace::text in ('jobs', 'howdah')"""
    )
    relations = sql.rows(
        """select c.oid::regclass::text as name, 'select count(*) from ' || c.oid::regclass as query
             from pg_class c
            where c.relnamespace::regnamespace::text in ('jobs', 'howdah') and c.relkind in ('r', 'v', 'S')"""
    )
    return {row["name"]: row["query"] for row in routines + relations}


def allowed(session: Session, queries: dict[str, str]) -> set[str]:
    """Return the names of the statements that were not refused for want of a right."""
    found = set()
    for name, query in queries.items():
        try:
            session.rows(query)
        except psycopg.Error as error:
            if error.sqlstate == REFUSED:
                continue
        found.add(name.split("(")[0])
    return found


def test_a_publisher_can_do_nothing_else(sql: Session, login: Callable[..., Session]) -> None:
    queries = everything(sql)
    assert len(queries) > 100

    reached = allowed(login("publisher"), queries)

    assert reached == {
        "jobs.publish",
        "jobs.publish_bulk",
        "jobs.publish_each",
        "jobs.publish_many",
        "jobs.version",
    }


def test_a_login_without_a_role_can_do_nothing(sql: Session, login: Callable[..., Session]) -> None:
    assert allowed(login(), everything(sql)) == set()


def test_a_worker_cannot_publish_control_or_look(sql: Session, login: Callable[..., Session]) -> None:
    reached = allowed(login("worker"), everything(sql))

    assert reached == {
        f"jobs.{name}"
        for name in (
            "consume",
            "consume_topic",
            "ack",
            "nack",
            "snooze",
            "release",
            "heartbeat",
            "exchange",
            "worker_started",
            "worker_stopped",
            "maintain",
            "left_over",
            "reconcile",
            "run_died",
            "session_started",
            "log",
            "unfinished",
            "version",
        )
    }


@pytest.mark.parametrize("role", ["publisher", "worker"])
@pytest.mark.parametrize(
    "view", ["job_queue", "job", "all", "running", "expired", "tasks", "queues", "workers"]
)
def test_publishers_and_workers_see_no_view(login: Callable[..., Session], role: str, view: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        login(role).rows(f'select 1 from jobs."{view}"')


@pytest.mark.parametrize("view", ["job_queue", "job", "all", "running", "expired"])
def test_a_monitor_reads_everything_but_what_users_put_in(
    sql: Session, login: Callable[..., Session], view: str
) -> None:
    columns = {
        row["name"]
        for row in sql.rows(
            "select attname::text as name from pg_attribute where attrelid = %s::regclass and attnum > 0",
            f'jobs."{view}"',
        )
    }
    monitor = login("monitor")

    monitor.rows(f'select {", ".join(sorted(columns - CONTENT))} from jobs."{view}"')

    for column in columns & CONTENT:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            monitor.rows(f'select {column} from jobs."{view}"')
    assert {"body", "headers", "meta"} <= columns & CONTENT


@pytest.mark.parametrize("view", ["tasks", "workers"])
def test_a_monitor_reads_the_other_views(login: Callable[..., Session], view: str) -> None:
    assert login("monitor").rows(f"select * from jobs.{view}") == []


@pytest.mark.parametrize("query", ["select queue, ready, running, paused_at from jobs.queues"])
def test_a_monitor_reads_queues(sql: Session, login: Callable[..., Session], query: str) -> None:
    publish(sql, queue="mail")

    assert login("monitor").value(query.replace("queue, ready, running, paused_at", "queue")) == "mail"


def test_a_monitor_changes_nothing(sql: Session, login: Callable[..., Session]) -> None:
    reached = allowed(login("monitor"), {name: q for name, q in everything(sql).items() if "(" in name})

    assert reached == {"jobs.stats", "jobs.fsck", "jobs.unfinished", "jobs.left_over", "jobs.version"} | {
        f"jobs.list_{what}" for what in ("queues", "tasks", "workers", "limits")
    }


def test_an_operator_looks_and_controls_but_neither_publishes_nor_works(
    sql: Session, login: Callable[..., Session]
) -> None:
    job_id = publish(sql, body={"secret": 1})
    operator = login("operator")

    assert operator.value("select body from jobs.get(%s)", job_id) == {"secret": 1}
    assert operator.value("select body from jobs.job_queue") == {"secret": 1}
    assert operator.value("select state from jobs.cancel(%s)", job_id) == "cancelled"
    assert operator.value("select state from jobs.retry(%s)", job_id) == "ready"
    operator.execute("select jobs.pause_queue('default')")
    operator.execute("select jobs.set_queue('default', 3600)")
    for query in ("select jobs.publish('a')", "select jobs.consume(1)", "select jobs.ack('1')"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            operator.rows(query)


def test_an_admin_may_call_every_public_function(sql: Session, login: Callable[..., Session]) -> None:
    public = {name: query for name, query in everything(sql).items() if name.startswith("jobs.")}

    reached = allowed(login("admin"), public)

    assert reached == {name.split("(")[0] for name in public}


@pytest.mark.parametrize("role", ROLES)
def test_no_role_may_create_in_our_schemas_or_become_the_owner(
    login: Callable[..., Session], role: str
) -> None:
    session = login(role)

    for statement in (
        "create table jobs.mine ()",
        "create table howdah.mine ()",
        "create function jobs.mine() returns int language sql as 'select 1'",
        "set role howdah_owner",
        "alter function jobs.version() owner to current_user",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute(statement)


SHADOWS = """
create schema evil_{0};
create function evil_{0}.now() returns timestamptz language sql as $$ select '2001-01-01'::timestamptz $$;
create function evil_{0}.jsonb_typeof(jsonb) returns text language sql as $$ select 'evil' $$;
create function evil_{0}.format(text, variadic text[]) returns text language sql as $$ select 'evil' $$;
create function evil_{0}.octet_length(text) returns int language sql as $$ select 0 $$;
create function evil_{0}.nextval(regclass) returns bigint language sql as $$ select 1::bigint $$;
create function evil_{0}.unnest(anyarray) returns setof anyelement language plpgsql as
    $$ begin return; end $$;
create function evil_{0}.same(text, text) returns boolean language plpgsql as
    $$ begin raise exception 'as %', current_user; end $$;
create operator evil_{0}.= (leftarg = text, rightarg = text, function = evil_{0}.same);
create operator evil_{0}.~ (leftarg = text, rightarg = text, function = evil_{0}.same);
create type evil_{0}.job as (id bigint);
create table evil_{0}.job_queue (id int);
grant usage on schema evil_{0} to public;
"""
TEMPORARY = """
create temp table job (id bigint); create temp table ready (queue text);
create temp table running (id bigint); create temp table scheduled (id bigint);
create temp table task (name text); create temp table sleeper (x int);
create temp table pg_locks (x int); create temp table pg_proc (x int); create temp table pg_database (x int);
create temp view job_queue as select 1 as id;
create function pg_temp.now() returns timestamptz language sql as $$ select '2001-01-01'::timestamptz $$;
create type pg_temp.publication as (task text); create type pg_temp.claimed as (id text);
create domain pg_temp.timestamptz as text; create domain pg_temp.jsonb as text;
create domain pg_temp.bigint as text;
"""


def test_a_caller_that_shadows_every_name_changes_nothing(
    sql: Session, login: Callable[..., Session], database: Database
) -> None:
    sql.execute(SHADOWS.format(database.name))
    caller = login("admin")
    sql.execute(f"grant create, temporary on database {database.name} to {caller.value('select user')}")
    for statement in TEMPORARY.split(";")[:-1]:
        caller.execute(statement)
    caller.execute(f"set search_path = pg_temp, evil_{database.name}, howdah, jobs, pg_catalog")

    published = caller.row("select * from jobs.publish('a.b'::pg_catalog.text, i_key => 'k')")
    claimed = caller.row("select * from jobs.consume(1)")
    ended = caller.row("select * from jobs.ack('k')")

    assert (published["state"], claimed["task"], ended["state"]) == ("ready", "a.b", "succeeded")
    assert claimed["created_at"].year > 2001
    assert sql.row("select state, task from jobs.get('k')") == {"state": "succeeded", "task": "a.b"}
    assert sql.rows("select * from jobs.fsck()") == []


def test_odd_settings_of_a_caller_change_nothing(login: Callable[..., Session]) -> None:
    caller = login("admin")
    for setting in (
        "standard_conforming_strings = off", "transform_null_equals = on", "datestyle = 'German'",
        "intervalstyle = 'sql_standard'", "extra_float_digits = 0", "timezone = 'Asia/Kathmandu'",
        "quote_all_identifiers = on", "enable_indexscan = off", "enable_nestloop = off", "jit = on",
        "plan_cache_mode = force_custom_plan", "row_security = off", "default_transaction_read_only = off",
    ):  # fmt: skip
        try:
            caller.execute(f"set {setting}")
        except psycopg.errors.FeatureNotSupported:
            assert setting.startswith("standard_conforming_strings"), setting

    with pytest.raises(psycopg.Error, match="not a valid name"):
        caller.rows("select jobs.publish('a b')")
    publish(caller, "a.b", key="k\u00e9y", timeout=2.5, backoff=[0])
    assert caller.value("select task from jobs.consume_topic('a.%', 1)") == "a.b"
    assert caller.value("select state from jobs.nack('k\u00e9y')") == "scheduled"
    assert caller.value("select state from jobs.consume(1)") == "running"
    assert caller.value("select state from jobs.ack('k\u00e9y')") == "succeeded"


def test_a_notification_of_anybody_is_harmless_and_carries_nothing(
    sql: Session, login: Callable[..., Session]
) -> None:
    stranger = login()
    worker = sql.value("""select jobs.worker_started('w', '[{"name": "a.b"}]')""")
    stranger.execute(f"listen howdah_{worker}")
    sql.rows("select jobs.exchange(%s, null, 1, true)", worker)

    publish(sql, "a.b", body={"secret": "canary"}, key="canary")
    stranger.execute(f"notify howdah_{worker}, 'spoofed'")

    notes = list(stranger.connection.notifies(timeout=5, stop_after=2))
    assert [note.payload for note in notes] == ["", "spoofed"]
    assert len(sql.value("select jobs.exchange(%s, null, 1, true)", worker)["jobs"]) == 1
