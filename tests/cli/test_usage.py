"""Help, wrong usage, and errors: one line each, and the exit code."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from howdah.cli import main
from howdah.cli.group import COMMANDS
from tests.cli.command import run

if TYPE_CHECKING:
    from tests.fixtures.database import Database

NEEDS_DATABASE = [
    ("list",),
    ("show", "1"),
    ("why", "1"),
    ("wait", "1", "--timeout", "1"),
    ("cancel", "1"),
    ("retry", "1"),
    ("delete", "1"),
    ("prune",),
    ("publish", "some.task"),
    ("queue", "list"),
    ("queue", "pause", "mail"),
    ("queue", "resume", "mail"),
    ("queue", "keep", "mail", "--successes", "1d"),
    ("queue", "purge", "mail"),
    ("workers",),
    ("stats",),
    ("fsck",),
    ("show", "1", "--follow"),
    ("bench", "--jobs", "1"),
]


def one_line(text: str) -> str:
    lines = text.splitlines()
    assert len(lines) == 1, text
    assert "Traceback" not in text
    return lines[0]


QUEUE_COMMANDS = [f"queue {name}" for name in ("list", "pause", "resume", "keep", "purge")]


@pytest.mark.parametrize("command", [*COMMANDS, *QUEUE_COMMANDS])
def test_every_command_helps_with_an_example(command: str) -> None:
    done = CliRunner().invoke(main, [*command.split(), "--help"])
    assert done.exit_code == 0
    assert re.search(rf"Example:\n +.*\bhowdah {command}\b", done.output)


def test_help_lists_every_command_and_loads_neither_a_driver_nor_rich() -> None:
    script = (
        "import sys; from click.testing import CliRunner; from howdah.cli import main;"
        "answer = CliRunner().invoke(main, ['--help']);"
        "print(answer.output); print(sorted({'rich', 'psycopg', 'howdah.worker'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert [command for command in COMMANDS if f"\n  {command} " not in done.stdout] == []
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("--nonsense",),
        ("list", "--nonsense"),
        ("list", "--limit", "0"),
        ("list", "--state", "lost"),
        ("show",),
        ("publish", "task", "--kwargs", "["),
        ("publish", "task", "--kwargs", "[]"),
        ("publish", "task", "--priority", "high"),
        ("prune", "--older-than", "yesterday"),
        ("demo", "/nonexistent"),
        ("demo", "/etc/passwd"),
        ("migrate", "--print", "--check"),
        ("migrate", "--print", "--json"),
        ("publish", "task", "1", "--body", "2"),
        ("publish", "task", "--backoff", "soon"),
        ("publish", "task", "--scheduled-at", "tomorrow"),
        ("queue", "nonsense"),
        ("queue", "pause"),
        ("queue", "keep", "mail"),
        ("queue", "keep", "mail", "--failures", "long"),
        ("completion", "cmd"),
        ("bench", "--jobs", "0"),
        ("worker", "--processes", "0"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_in_one_line_with_exit_code_2(arguments: tuple[str, ...]) -> None:
    answer = run(*arguments)
    assert answer.code == 2
    assert answer.out == ""
    assert "--help" in one_line(answer.err)


@pytest.mark.parametrize("arguments", NEEDS_DATABASE, ids=" ".join)
def test_a_database_nobody_migrated_is_told_with_the_command_to_run(
    empty_database: Database, arguments: tuple[str, ...]
) -> None:
    answer = run(*arguments, dsn=empty_database.dsn)
    assert (answer.code, answer.out) == (1, "")
    assert "howdah migrate" in one_line(answer.err)


@pytest.mark.parametrize(
    "arguments", [*NEEDS_DATABASE, ("migrate",), ("migrate", "--check"), ("migrate", "--json")], ids=" ".join
)
def test_a_dead_database_is_told_in_one_line_without_the_password(arguments: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    answer = run(*arguments, dsn=f"postgresql://ann:sesame@127.0.0.1:{port}/shop")
    assert (answer.code, answer.out) == (1, "")
    assert "sesame" not in one_line(answer.err)


@pytest.mark.parametrize("more", [(), ("--json",)])
@pytest.mark.parametrize("command", ["show", "show --follow", "why", "wait", "cancel", "retry", "delete"])
def test_an_unknown_job_is_told_in_one_line(
    live_database: Database, command: str, more: tuple[str, ...]
) -> None:
    answer = run(*command.split(), "welcome-42", *more, dsn=live_database.dsn)
    assert (answer.code, answer.out) == (1, "")
    assert "welcome-42" in one_line(answer.err)


def test_a_dsn_that_cannot_be_read_is_told_without_its_password() -> None:
    answer = run("list", "--dsn", "postgresql://ann:sesame@host:port:port/shop")
    assert (answer.code, answer.out) == (1, "")
    assert "sesame" not in one_line(answer.err)


def test_the_dsn_option_goes_before_the_environment(live_database: Database) -> None:
    answer = run("list", "--dsn", live_database.dsn, dsn="postgresql://127.0.0.1:1/nowhere")
    assert answer.code == 0


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert version("howdah") in run("--version").out
