"""What the README shows is run as it stands."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from howdah.cli.group import COMMANDS
from tests.cli.command import BIN, environment, launch, run

if TYPE_CHECKING:
    from tests.fixtures.database import Database

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def said_in_readme(command: str) -> list[str]:
    """The lines that a console block shows below a command."""
    (block,) = (block for block in blocks("console") if f"$ {command}\n" in block)
    after = block.split(f"$ {command}\n", 1)[1]
    return after.split("$ ", 1)[0].splitlines()


def shell(command: str, dsn: str, folder: Path) -> str:
    """What a command of the README prints, run as it stands there."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment(dsn, PATH=f"{BIN}:/usr/bin:/bin"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout + done.stderr


def test_the_first_app_prints_what_the_readme_says(live_database: Database, tmp_path: Path) -> None:
    (program,) = blocks("python")
    (tmp_path / "tasks.py").write_text(program)
    (console,) = (block for block in blocks("console") if "python tasks.py" in block)
    up, *commands = re.findall(r"^\$ (.*)$", console, re.MULTILINE)
    worker = launch(*up.split("&")[0].split()[1:], dsn=live_database.dsn, cwd=tmp_path)
    try:
        said = {command: shell(command, live_database.dsn, tmp_path) for command in commands}
    finally:
        worker.send_signal(signal.SIGINT)
        log = worker.communicate(timeout=30)[1]
    assert len(commands) == 3
    assert said == {command: "\n".join([*said_in_readme(command), ""]) for command in commands}, log


def test_the_walk_through_psql_runs_without_an_error(live_database: Database, tmp_path: Path) -> None:
    script = tmp_path / "walk.sql"
    script.write_text("\n".join(blocks("sql")))
    answer = run("psql", "-v", "ON_ERROR_STOP=1", "-At", "-q", "-f", str(script), dsn=live_database.dsn)
    assert (answer.code, answer.err) == (0, "")
    assert re.search(r"^mail-1\|cancelled$", answer.out, re.MULTILINE)
    assert re.search(r'^\d+\|success\|\{"pages": 12\}\|$', answer.out, re.MULTILINE)
    assert re.search(r"^\d+\|scheduled\|1\|2\d{3}-", answer.out, re.MULTILINE)
    assert "1|error|the printer is out of paper" in answer.lines
    assert [line for line in answer.lines if line.startswith("invoice.send|")] == [
        'invoice.send|{"args": [1]}',
        'invoice.send|{"args": [2]}',
    ]


def test_every_command_is_in_the_readme() -> None:
    table = README.split("## Commands", 1)[1].split("##", 1)[0]
    named = set(re.findall(r"[a-z]+", " ".join(re.findall(r"^\| `(.*?)` \|", table, re.MULTILINE))))
    assert set(COMMANDS) - named == set()
