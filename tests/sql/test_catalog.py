"""What PostgreSQL's catalog says about everything that is installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import howdah.sql

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.database import Database
    from tests.fixtures.sessions import Session

FOLDER = Path(howdah.sql.__file__).parent
FILES = sorted(FOLDER.glob("functions/*.sql"))
SCHEMAS = "('jobs', 'howdah')"
TOP_LINES = 70
PINNED = {
    "plan_cache_mode=force_generic_plan", "enable_seqscan=off", "enable_hashjoin=off", "enable_mergejoin=off",
    "jit=off", "enable_indexscan=on", "enable_indexonlyscan=on", "enable_bitmapscan=on", "enable_nestloop=on",
    "enable_sort=on",
}  # fmt: skip
# What they do with more than one row is done by functions that have them all.
PLAIN = ["publish", "publish_each"]
WHOLE = [
    "fsck",
    "left_over",
    "list",
    "list_queues",
    "list_tasks",
    "list_limits",
    "list_workers",
    "stats",
    "unfinished",
    "version",
]

OBJECTS = f"""
select 'routine ' || p.oid::regprocedure::text as name, p.proacl as acl, p.proowner as owner, 'f' as kind
  from pg_proc p where p.pronamespace::regnamespace::text in {SCHEMAS}
union all
select 'relation ' || c.oid::regclass, c.relacl, c.relowner, case c.relkind when 'S' then 's' else 'r' end
  from pg_class c
 where c.relnamespace::regnamespace::text in {SCHEMAS} and c.relkind in ('r', 'v', 'S', 'm', 'p', 'f')
union all
select 'type ' || t.oid::regtype::text, t.typacl, t.typowner, 'T'
  from pg_type t where t.typnamespace::regnamespace::text in {SCHEMAS} and t.typelem = 0
union all
select 'schema ' || n.nspname, n.nspacl, n.nspowner, 'n' from pg_namespace n where n.nspname in {SCHEMAS}
"""


@pytest.fixture
def catalog(live_database: Database, sessions: Callable[..., Session]) -> Session:
    """A session on a database exactly as users have it, without the tests' clock."""
    return sessions(live_database.dsn)


def test_there_is_something_to_look_at(catalog: Session) -> None:
    kinds = catalog.rows(f"select kind::text, count(*) from ({OBJECTS}) o group by kind")

    numbers = {row["kind"]: row["count"] for row in kinds}
    assert numbers["n"] == 2
    assert numbers["f"] > 60
    assert numbers["r"] > 20
    assert numbers["s"] >= 3
    assert numbers["T"] > 5


def test_nothing_is_usable_by_everybody(catalog: Session) -> None:
    rows = catalog.rows(
        f"select o.name, a.privilege_type from ({OBJECTS}) o,"
        ' aclexplode(coalesce(o.acl, acldefault(o.kind::"char", o.owner))) a where a.grantee = 0'
    )

    assert rows == []


def test_a_role_without_grants_reaches_nothing(catalog: Session) -> None:
    catalog.execute("begin")
    catalog.execute("create role fresh_role login")
    rows = catalog.rows(
        f"""select p.oid::regprocedure::text as name from pg_proc p
             where p.pronamespace::regnamespace::text in {SCHEMAS}
               and has_function_privilege('fresh_role', p.oid, 'execute')
            union all
            select n.nspname from pg_namespace n
             where n.nspname in {SCHEMAS} and has_schema_privilege('fresh_role', n.oid, 'usage, create')
            union all
            select c.oid::regclass::text from pg_class c
             where c.relnamespace::regnamespace::text in {SCHEMAS} and c.relkind in ('r', 'v')
               and (has_table_privilege('fresh_role', c.oid, 'select, insert, update, delete, truncate')
                    or has_any_column_privilege('fresh_role', c.oid, 'select, insert, update'))"""
    )
    catalog.execute("rollback")

    assert rows == []


def test_everything_belongs_to_the_owner_role(catalog: Session) -> None:
    owners = catalog.rows(f"select distinct owner::regrole::text as owner from ({OBJECTS}) o")

    assert owners == [{"owner": "howdah_owner"}]


@pytest.mark.parametrize("role", ["owner", "publisher", "worker", "monitor", "operator", "admin"])
def test_the_roles_have_no_power_of_their_own(catalog: Session, role: str) -> None:
    row = catalog.row(
        "select rolsuper, rolcanlogin, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication from pg_roles"
        " where rolname = 'howdah_' || %s",
        role,
    )

    assert not any(row.values())


def test_no_runtime_role_is_a_member_of_the_owner_or_of_its_siblings(catalog: Session) -> None:
    rows = catalog.rows(
        "select member::regrole::text, roleid::regrole::text as role from pg_auth_members"
        " where member::regrole::text like 'howdah%' order by 1, 2"
    )

    assert [(row["member"], row["role"]) for row in rows] == [
        ("howdah_admin", "howdah_operator"),
        ("howdah_admin", "howdah_publisher"),
        ("howdah_admin", "howdah_worker"),
        ("howdah_operator", "howdah_monitor"),
    ]


def test_every_definer_function_pins_a_search_path_that_ends_in_pg_temp(catalog: Session) -> None:
    rows = catalog.rows(
        f"""select p.oid::regprocedure::text as name,
                   (select substr(c, 13) from unnest(p.proconfig) c where c like 'search\\_path=%') as path
              from pg_proc p where p.prosecdef and p.pronamespace::regnamespace::text in {SCHEMAS}"""
    )

    assert len(rows) > 25
    assert {row["name"]: row["path"] for row in rows if row["path"] != "pg_catalog, pg_temp"} == {}


def test_every_public_function_is_security_definer(catalog: Session) -> None:
    rows = catalog.rows(
        "select proname::text from pg_proc where pronamespace = 'jobs'::regnamespace and not prosecdef"
    )

    # a procedure that commits cannot be; it does its work by calling jobs.wait as its caller
    assert [row["proname"] for row in rows] == ["wait_for"]


def test_functions_in_a_path_that_everybody_may_write_to_do_not_exist(catalog: Session) -> None:
    rows = catalog.rows(
        f"""select p.oid::regprocedure::text as name, c from pg_proc p, unnest(p.proconfig) c
             where p.pronamespace::regnamespace::text in {SCHEMAS} and c like 'search\\_path=%'
               and c <> 'search_path=pg_catalog, pg_temp'"""
    )

    assert rows == []


def test_only_consume_has_two_forms(catalog: Session) -> None:
    rows = catalog.rows(
        f"""select pronamespace::regnamespace || '.' || proname as name, count(*) from pg_proc
             where pronamespace::regnamespace::text in {SCHEMAS} group by 1 having count(*) > 1"""
    )

    assert rows == [{"name": "jobs.consume", "count": 2}]


def test_every_function_view_and_public_type_has_a_comment(catalog: Session) -> None:
    rows = catalog.rows(
        f"""select p.oid::regprocedure::text as name from pg_proc p
             where p.pronamespace::regnamespace::text in {SCHEMAS}
               and coalesce(obj_description(p.oid, 'pg_proc'), '') = ''
            union all
            select c.oid::regclass::text from pg_class c
             where c.relnamespace::regnamespace::text in {SCHEMAS} and c.relkind = 'v'
               and coalesce(obj_description(c.oid, 'pg_class'), '') = ''
            union all
            select t.oid::regtype::text from pg_type t left join pg_class c on c.oid = t.typrelid
             where t.typnamespace = 'jobs'::regnamespace and t.typelem = 0 and coalesce(c.relkind, 'c') = 'c'
               and coalesce(obj_description(t.oid, 'pg_type'), '') = ''
            union all
            select n.nspname from pg_namespace n
             where n.nspname in {SCHEMAS} and obj_description(n.oid, 'pg_namespace') is null"""
    )

    assert rows == []


def test_every_parameter_of_a_function_begins_with_i(catalog: Session) -> None:
    rows = catalog.rows(
        f"""select p.oid::regprocedure::text as name, coalesce(a.name, '(none)') as parameter
              from pg_proc p
             cross join lateral generate_series(1, p.pronargs) n
              left join lateral (select p.proargnames[n] as name) a on true
             where p.pronamespace::regnamespace::text in {SCHEMAS}
               and coalesce(a.name, '') !~ '^i_[a-z]' and coalesce(p.proargmodes[n], 'i') = 'i'"""
    )

    assert rows == []


def test_every_function_that_touches_single_jobs_pins_its_plans_both_ways(catalog: Session) -> None:
    rows = catalog.rows(
        "select proname as name, proconfig as settings from pg_proc"
        " where pronamespace = 'jobs'::regnamespace and prokind = 'f'"
    )

    unpinned = {row["name"]: row["settings"] for row in rows if PINNED - set(row["settings"])}
    assert len(rows) > 30
    assert unpinned.keys() == {*WHOLE, *PLAIN}
    for name in PLAIN:
        assert {"plan_cache_mode=force_generic_plan", "enable_seqscan=off"} <= set(unpinned[name])


def test_no_function_relaxes_durability(catalog: Session) -> None:
    rows = catalog.rows(
        rf"""select p.oid::regprocedure::text as name from pg_proc p
              where p.pronamespace::regnamespace::text in {SCHEMAS}
                and (p.proconfig::text ~ 'synchronous_commit'
                     or p.prosrc ~ 'synchronous_commit|set_config\((?!''howdah[.])')"""
    )

    assert rows == []


def test_all_moments_have_a_zone_but_the_one_of_pgjobs(catalog: Session) -> None:
    rows = catalog.rows(
        f"""select c.oid::regclass || '.' || a.attname as name
              from pg_attribute a join pg_class c on c.oid = a.attrelid
             where c.relnamespace::regnamespace::text in {SCHEMAS} and a.atttypid = 'timestamp'::regtype"""
    )

    assert rows == [{"name": "jobs.bulk_job.scheduled_at"}]


def test_the_installed_digest_is_the_one_of_the_files(catalog: Session) -> None:
    assert catalog.value("select jobs.version()") == howdah.sql.version()


def bodies(text: str) -> dict[str, str]:
    """Return the body of each function of a file, by its name."""
    pattern = (
        r"^create or replace (?:function|procedure) ([\w.]+)\(.*?^(?:as \$\$(.*?)^\$\$;|    return (.*?);$)"
    )
    found = re.finditer(pattern, text, re.DOTALL | re.MULTILINE)
    return {match[1]: match[2] or match[3] for match in found}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_function_builds_a_statement(file: Path) -> None:
    code = re.sub(r"--.*", "", file.read_text("utf-8"))

    assert not re.search(r"\bexecute\b", code, re.IGNORECASE)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_function_fits_a_screen(file: Path) -> None:
    text = file.read_text("utf-8")
    found = bodies(text)

    assert len(found) == len(re.findall(r"^create or replace (?:function|procedure)", text, re.MULTILINE)) - (
        1 if file.stem == "33_consume" else 0
    )
    long = {name: body.strip().count("\n") + 1 for name, body in found.items()}
    assert {name: lines for name, lines in long.items() if lines > TOP_LINES} == {}
