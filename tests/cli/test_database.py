"""Migrate, check, and reach the database by command."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from howdah.cli.server import without_secrets
from tests.cli.command import BIN, environment, processes_with, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fixtures.database import Administrator, Database


def execute(database: Database, statement: str) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(statement.encode())


def test_migrate_creates_the_schemas_once_and_then_says_so(empty_database: Database) -> None:
    first = run("migrate", empty_database.dsn)
    assert first.code == 0
    assert first.lines[0].startswith("applied ")
    assert run("migrate", dsn=empty_database.dsn).lines == ["up to date"]
    assert run("list", "--json", dsn=empty_database.dsn).json == []


def test_jobs_migrate_is_the_same_under_its_old_name(empty_database: Database) -> None:
    assert run(empty_database.dsn, program="jobs-migrate").code == 0
    assert run("migrate", "--check", dsn=empty_database.dsn).code == 0


def test_check_ends_with_1_while_an_upgrade_is_due_and_changes_nothing(empty_database: Database) -> None:
    for _ in range(2):
        answer = run("migrate", "--check", dsn=empty_database.dsn)
        assert answer.code == 1
        assert answer.lines[-1] == "run: howdah migrate"
    run("migrate", dsn=empty_database.dsn)
    answer = run("migrate", "--check", dsn=empty_database.dsn)
    assert (answer.code, answer.lines) == (0, ["up to date"])


def test_migrate_as_json_is_one_document(empty_database: Database) -> None:
    due = run("migrate", "--check", "--json", dsn=empty_database.dsn)
    assert due.code == 1
    applied = run("migrate", "--json", dsn=empty_database.dsn)
    assert applied.code == 0
    assert applied.json["applied"] == due.json["due"] != []
    again = run("migrate", "--check", "--json", dsn=empty_database.dsn)
    assert (again.code, again.json) == (0, {"due": []})
    assert run("migrate", "--json", dsn=empty_database.dsn).json == {"applied": []}


def test_the_printed_sql_installs_the_same_schema_through_psql(
    administrator: Administrator, empty_database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "howdah.sql"
    file.write_text(run("migrate", "--print").out)
    done = run("psql", "-v", "ON_ERROR_STOP=1", "-q", "-f", str(file), dsn=empty_database.dsn)
    assert (done.code, done.err) == (0, "")
    assert run("migrate", "--check", dsn=empty_database.dsn).lines == ["up to date"]


def test_fsck_is_silent_about_good_jobs_and_ends_with_1_about_a_bad_one(live_database: Database) -> None:
    run("publish", "shop.mail", dsn=live_database.dsn)
    answer = run("fsck", dsn=live_database.dsn)
    assert (answer.code, answer.lines) == (0, ["no violations"])
    assert run("fsck", "--json", dsn=live_database.dsn).json == []

    execute(live_database, "delete from howdah.ready")
    answer = run("fsck", dsn=live_database.dsn)
    assert answer.code == 1
    assert answer.lines[0].split() == ["violation", "job_id", "detail"]
    (violation,) = run("fsck", "--json", dsn=live_database.dsn).json
    assert violation["job_id"]


def test_dsn_prints_the_dsn_that_was_given() -> None:
    assert run("dsn", dsn="service=shop").lines == ["service=shop"]
    assert run("dsn", "--json", dsn="service=shop").json == {"dsn": "service=shop"}


def test_psql_hands_its_arguments_on_and_its_exit_code_back(
    live_database: Database,
) -> None:
    answer = run("psql", "-At", "-c", "select current_database()", dsn=live_database.dsn)
    assert (answer.code, answer.lines) == (0, [live_database.name])
    answer = run("psql", "-v", "ON_ERROR_STOP=1", "-c", "select 1/0", dsn=live_database.dsn)
    assert answer.code != 0
    assert "division by zero" in answer.err


def test_psql_reads_statements_from_its_input(live_database: Database) -> None:
    done = subprocess.run(
        [BIN / "howdah", "psql", "-At"],
        input=b"select 6 * 7;",
        env=environment(live_database.dsn),
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"42\n"


def test_no_password_stands_on_a_command_line() -> None:
    address, variables = without_secrets("postgresql://ann:se%20same@db.example:5433/shop?sslmode=require")
    assert "same" not in address
    assert "sslmode=require" in address
    assert variables == {"PGPASSWORD": "se same"}


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder that the server's account can reach."""
    folder = Path(
        subprocess.check_output(["mktemp", "-d", "-u", "/tmp/howdah-data.XXXXXX"], text=True).strip()
    )
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


def nothing_is_left(data: Path, mark: str) -> bool:
    return processes_with(f"HOWDAH_MARK={mark}") == [] and list(data.rglob("postmaster.pid")) == []


@pytest.mark.parametrize("command", [["dsn"], ["psql", "-At", "-c", "select version()"]])
def test_without_a_dsn_the_embedded_server_answers_and_stops_with_the_command(
    command: list[str], tmp_path: Path, data: Path
) -> None:
    answer = run(*command, cwd=tmp_path, HOWDAH_DATA=str(data), HOWDAH_MARK=f"{tmp_path}/")
    assert answer.code == 0, answer.err
    assert "postgres" in answer.out.lower()
    assert nothing_is_left(data, f"{tmp_path}/")


def test_a_command_ended_by_a_signal_lets_go_of_the_embedded_server(tmp_path: Path, data: Path) -> None:
    variables = environment(None, HOWDAH_DATA=str(data), HOWDAH_MARK=f"{tmp_path}/")
    psql = subprocess.Popen(
        [BIN / "howdah", "psql", "-At"],
        cwd=tmp_path,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert psql.stdin is not None
    assert psql.stdout is not None
    psql.stdin.write(b"select 'here';\n")
    psql.stdin.flush()
    assert psql.stdout.readline() == b"here\n"
    psql.terminate()
    _, said = psql.communicate(timeout=60)
    assert psql.returncode == 1
    assert b"Traceback" not in said
    assert nothing_is_left(data, f"{tmp_path}/")
