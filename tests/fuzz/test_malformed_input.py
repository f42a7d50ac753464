"""Malformed and extreme input gets typed errors, changes nothing by half, and leaves no job stuck."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from howdah.cli.group import COMMANDS
from proofs.fuzz import client, commands, sql
from proofs.fuzz.catalogue import Function, functions
from proofs.fuzz.drain import drained
from proofs.fuzz.functions import STRATEGIES
from proofs.fuzz.round import client_round, command_round, each, sql_round

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fixtures.database import Database

OF_SQL, OF_CLIENT, OF_COMMANDS, OF_HALVES = 320, 120, 50, 150
TABLES = (
    "select c.oid::regclass::text from pg_class c"
    " where c.relnamespace = 'howdah'::regnamespace and c.relkind = 'r'"
)


@pytest.fixture
def connection(live_database: Database) -> Iterator[psycopg.Connection[Any]]:
    with sql.connect(live_database.dsn) as connection:
        yield connection


@pytest.fixture
def seed() -> int:
    return random.SystemRandom().randrange(1 << 30)


def digest(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    """Return what the tables hold, in a form that can be compared."""
    tables = [name for (name,) in connection.execute(TABLES.encode())]
    each_one = " union all ".join(
        f"select '{name}', md5(string_agg(t::text, ',' order by t::text)) from {name} t"
        for name in sorted(tables)
    )
    return connection.execute(each_one.encode()).fetchall()


def test_every_parameter_of_every_public_function_has_a_strategy(connection: psycopg.Connection[Any]) -> None:
    names: dict[str, set[str]] = {}
    for function in functions(connection):
        names.setdefault(function.name, set()).update(function.names)

    assert {name: set(strategies) for name, strategies in STRATEGIES.items()} == names


def test_every_method_is_called_or_left_out_for_a_reason() -> None:
    called = {method for owner, method in client.METHODS if method != "options"}

    assert called | set(client.LEFT_OUT) == client.public_methods()
    assert not called & set(client.LEFT_OUT)


def test_every_command_is_run() -> None:
    assert {words[0] for words in commands.commands()} == set(COMMANDS)


def test_a_call_that_is_refused_changes_nothing(connection: psycopg.Connection[Any], seed: int) -> None:
    halves: list[str] = []
    refusals = 0

    def call(case: sql.SqlCase) -> None:
        nonlocal refusals
        before = digest(connection)
        try:
            connection.execute(case.statement.encode(), [value for _, value in case.given])
        except psycopg.Error:
            refusals += 1
            halves.extend([str(case)] if digest(connection) != before else [])

    each(sql.sql_cases(functions(connection)), call, seed, OF_HALVES)
    assert halves == [], f"seed {seed}"
    assert refusals > 0


def test_nothing_but_typed_errors_and_no_job_stuck(live_database: Database, seed: int) -> None:
    found = sql_round(live_database.dsn, seed, OF_SQL)
    found += client_round(live_database.dsn, seed, OF_CLIENT)
    found += command_round(live_database.dsn, seed, OF_COMMANDS)

    assert found == [], f"seed {seed}"
    assert drained(live_database.dsn) == [], f"seed {seed}"


def test_another_sqlstate_is_noticed(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        "create function jobs.broken(i_number integer) returns integer language sql return 1 / i_number"
    )
    broken = Function("broken", is_procedure=False, parameters=(("i_number", "integer"),), required=1)

    assert sql.problem(connection, sql.SqlCase(broken, (("i_number", "1"),))) is None
    told = sql.problem(connection, sql.SqlCase(broken, (("i_number", "0"),)))
    assert told is not None
    assert told.startswith("22012 division by zero")


def test_a_refusal_without_a_field_is_noticed(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        "create function jobs.curt() returns void language plpgsql as "
        "$$ begin raise exception 'no' using errcode = 'JB001', hint = 'think'; end $$"
    )

    told = sql.problem(connection, sql.SqlCase(Function("curt", False, (), 0), ()))

    assert told is not None
    assert "names no field" in told


def test_a_job_that_is_nowhere_is_noticed(
    connection: psycopg.Connection[Any], live_database: Database
) -> None:
    connection.execute("select jobs.publish('fuzz.any')")
    connection.execute("delete from howdah.ready")

    assert any(problem.startswith("fsck:") for problem in drained(live_database.dsn))


def test_a_traceback_of_a_command_is_noticed(
    monkeypatch: pytest.MonkeyPatch, live_database: Database
) -> None:
    case = commands.CommandCase(("stats",))
    assert commands.problem(live_database.dsn, case) is None

    monkeypatch.setitem(COMMANDS, "stats", ("no_such_file", "Show."))

    assert "a traceback" in str(commands.problem(live_database.dsn, case))
