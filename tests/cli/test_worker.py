"""`howdah worker`, `howdah up` and `jobs-worker` run jobs, and end when they are told to."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.cli.command import Start, processes_with, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fixtures.database import Database

SECONDS = 30
TASKS = """
from howdah import Howdah

app = Howdah()

@app.task(queue="mail")
async def greet(name: str) -> str:
    return f"hello {name}"

@app.task(max_retries=0)
def fail() -> None:
    raise RuntimeError("on purpose")
"""
PACKAGE = """
import os
from os import system

def add(a, b):
    return a + b
"""


@pytest.fixture
def dsn(live_database: Database) -> str:
    return live_database.dsn


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "yourpackage").mkdir()
    (tmp_path / "yourpackage" / "__init__.py").touch()
    (tmp_path / "yourpackage" / "file.py").write_text(PACKAGE)
    return tmp_path


def publish(dsn: str, *arguments: str) -> str:
    return run("publish", *arguments, dsn=dsn).lines[0]


def state(dsn: str, job_id: str) -> str:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select state from jobs.get(%s)", [job_id]).fetchone()
    assert row is not None
    return str(row[0])


def eventually(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_burst_worker_runs_what_is_there_and_ends(dsn: str, project: Path, processes: str) -> None:
    done = publish(dsn, "tasks.greet", "Ann")
    failed = publish(dsn, "tasks.fail")
    answer = run("worker", "--app", "tasks:app", "--processes", processes, "--burst", dsn=dsn, cwd=project)
    assert (answer.code, answer.out) == (0, ""), answer.err
    assert run("wait", done, dsn=dsn).lines == ['"hello Ann"']
    failure = run("wait", failed, dsn=dsn)
    assert failure.code == 1
    assert "on purpose" in failure.err
    assert "on purpose" in run("show", failed, dsn=dsn).out


def test_the_app_may_come_from_the_environment_or_from_a_settings_file(dsn: str, project: Path) -> None:
    first = publish(dsn, "tasks.greet", "Ann")
    assert run("worker", "--burst", dsn=dsn, cwd=project, HOWDAH_APP="tasks:app").code == 0
    (project / "howdah.toml").write_text('app = "tasks:app"\n')
    second = publish(dsn, "tasks.greet", "Bob")
    assert run("worker", "--burst", dsn=dsn, cwd=project).code == 0
    assert [state(dsn, job_id) for job_id in (first, second)] == ["succeeded", "succeeded"]


def test_a_worker_serves_only_the_queues_it_was_given(dsn: str, project: Path) -> None:
    mail = publish(dsn, "tasks.greet", "Ann", "--queue", "mail")
    other = publish(dsn, "tasks.greet", "Bob", "--queue", "other")
    run("worker", "--app", "tasks:app", "--queues", "mail,more", "--burst", dsn=dsn, cwd=project)
    assert [state(dsn, job_id) for job_id in (mail, other)] == ["succeeded", "ready"]


def test_allow_runs_functions_that_nobody_registered(dsn: str, project: Path) -> None:
    job_id = publish(dsn, "yourpackage.file.add", "1", "2")
    assert run("worker", "--allow", "yourpackage", "--burst", dsn=dsn, cwd=project).code == 0
    assert run("wait", job_id, dsn=dsn).lines == ["3"]


def test_jobs_worker_runs_the_packages_of_the_folder_and_nothing_else(dsn: str, project: Path) -> None:
    job_id = publish(dsn, "yourpackage.file.add", "1", "2")
    evil = project / "evil"
    refused = [
        publish(dsn, name, f"touch {evil}")
        for name in ("os.system", "yourpackage.file.system", "yourpackage.file.os.system")
    ]
    answer = run(dsn, "--burst", program="jobs-worker", cwd=project)
    assert answer.code == 0
    first = answer.err.splitlines()[0]
    assert "tasks, yourpackage" in first
    assert str(project) in first
    assert run("wait", job_id, dsn=dsn).lines == ["3"]
    assert not evil.exists()
    for refused_id in refused:
        assert state(dsn, refused_id) in ("blocked", "ready")
        assert run("why", refused_id, dsn=dsn).lines


@pytest.mark.parametrize(
    ("app", "said"),
    [("nothing:app", "nothing"), ("tasks:nothing", "tasks:nothing"), ("broken:app", "broken")],
)
def test_an_app_that_cannot_be_had_is_told_in_one_line(dsn: str, project: Path, app: str, said: str) -> None:
    (project / "broken.py").write_text("1 / 0\n")
    answer = run("worker", "--app", app, "--burst", dsn=dsn, cwd=project)
    assert answer.code == 1
    (line,) = answer.err.splitlines()
    assert said in line


def test_without_the_schema_a_worker_says_what_to_run(empty_database: Database, project: Path) -> None:
    for processes in ("1", "2"):
        answer = run(
            "worker", "--app", "tasks:app", "--processes", processes, dsn=empty_database.dsn, cwd=project
        )
        assert answer.code == 1
        assert "howdah migrate" in answer.err
        assert "Traceback" not in answer.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_signal_ends_a_worker(
    dsn: str, project: Path, start: Start, number: signal.Signals, processes: str
) -> None:
    mark = f"{project}/"
    worker = start(
        "worker", "--app", "tasks:app", "--processes", processes, dsn=dsn, cwd=project, HOWDAH_MARK=mark
    )
    job_id = publish(dsn, "tasks.greet", "Ann")
    eventually(lambda: state(dsn, job_id) == "succeeded")
    worker.send_signal(number)
    _, log = worker.communicate(timeout=SECONDS)
    assert worker.returncode == 0, log
    assert "Traceback" not in log
    assert processes_with(f"HOWDAH_MARK={mark}") == []


def test_up_migrates_runs_jobs_and_ctrl_c_ends_all_of_it(
    empty_database: Database, project: Path, start: Start
) -> None:
    dsn, mark = empty_database.dsn, f"{project}/"
    up = start("up", "--app", "tasks:app", dsn=dsn, cwd=project, HOWDAH_MARK=mark)
    eventually(lambda: run("migrate", "--check", dsn=dsn).code == 0 or up.poll() is not None)
    job_id = publish(dsn, "tasks.greet", "Ann")
    assert run("wait", job_id, "--timeout", "20", dsn=dsn).lines == ['"hello Ann"']
    up.send_signal(signal.SIGINT)
    _, log = up.communicate(timeout=SECONDS)
    assert up.returncode == 0, log
    assert processes_with(f"HOWDAH_MARK={mark}") == []


def test_a_worker_serves_queues_by_weights_and_has_labels(dsn: str, project: Path) -> None:
    publish(dsn, "tasks.greet", "Ada", "--queue", "high", "--requires", "gpu")
    worker = ("worker", "--burst", "--app", "tasks:app", "--queues", "high:3,low:1")

    assert run(*worker, dsn=dsn, cwd=project).code == 0
    assert run("show", "1", "--json", dsn=dsn).json["state"] == "ready"
    assert "high:3, low:1" in run(*worker, "--labels", "gpu,ssd", dsn=dsn, cwd=project).err
    assert run("show", "1", "--json", dsn=dsn).json["state"] == "succeeded"
    assert run("worker", "--queues", "a:0,b:1", dsn=dsn, cwd=project).code == 1
