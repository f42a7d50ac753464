"""The demo, through the real command, on files that nobody prepared for it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.cli.command import Start, processes_with, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.database import Database

SECONDS = 60


@pytest.fixture
def dsn(live_database: Database) -> str:
    return live_database.dsn


def demo(folder: Path | bytes, dsn: str, mark: str = "") -> dict[str, Any]:
    answer = run("demo", folder, "--json", dsn=dsn, HOWDAH_MARK=mark)
    assert answer.code == 0, answer.err
    document: dict[str, Any] = answer.json
    return document


def said_by(*command: str | bytes | Path) -> bytes:
    return subprocess.run(command, capture_output=True, check=True, env={**os.environ, "LC_ALL": "C"}).stdout


def reference(path: bytes) -> tuple[int, ...]:
    lines, words, size = said_by("wc", "-lwc", path).split()[:3]
    return int(size), int(lines), int(words)


def digest(path: bytes) -> str:
    # sha256sum marks a line about an odd name with a backslash.
    return said_by("sha256sum", path).decode("ascii", "replace").lstrip("\\")[:64]


def numbers(file: dict[str, Any]) -> tuple[int, ...]:
    return file["bytes"], file["lines"], file["words"]


def eventually(what: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    """Wait until it is so; not longer than the process lives."""
    deadline = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < deadline, "it did not come true"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.02)


def query(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


def test_the_numbers_are_those_of_wc_and_sha256sum(dsn: str, tmp_path: Path) -> None:
    contents = {
        b"plain.txt": b"two words\n",
        b"empty": b"",
        b"line\nbreak": os.urandom(100_000),
        b"quo\"te'": b"no end",
        b"caf\xe9": b"\xff\xfe\x00 x",
        b"-dash": b"\n" * 1000,
        b"deep/er/file": b"a\tb\r\n",
        b" ": b"\x0b",
        "ü%41".encode(): b"z",
    }
    root = os.fsencode(tmp_path)
    os.makedirs(os.path.join(root, b"deep", b"er"))
    for name, content in contents.items():
        Path(os.fsdecode(os.path.join(root, name))).write_bytes(content)

    document = demo(tmp_path, dsn)

    shown = {b"caf\xe9": "caf%E9"}
    files = {file["path"]: file for file in document["files"]}
    assert sorted(files) == sorted(shown.get(name) or name.decode() for name in contents)
    for name in contents:
        file = files[shown.get(name) or name.decode()]
        assert file["state"] == "succeeded"
        assert file["escaped"] == (name in shown)
        assert numbers(file) == reference(os.path.join(root, name))
        assert file["sha256"] == digest(os.path.join(root, name))
    total = document["total"]
    assert (total["files"], total["succeeded"], total["failed"]) == (len(contents), len(contents), 0)
    assert (total["bytes"], total["lines"], total["words"]) == tuple(
        sum(column) for column in zip(*map(numbers, document["files"]), strict=True)
    )


def test_links_fifos_and_sockets_are_listed_as_skipped(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        document = demo(tmp_path, dsn)
    assert [file["path"] for file in document["files"]] == ["file"]
    assert {entry["path"]: entry["reason"] for entry in document["skipped"]} == {
        "loop": "symbolic link",
        "pipe": "FIFO",
        "socket": "socket",
    }
    assert document["total"]["skipped"] == 3


def make_unreachable(folder: Path) -> None:
    """A file whose path is longer than the system takes: root cannot open it either."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 200, dir_fd=here)
        here, above = os.open("d" * 200, os.O_RDONLY, dir_fd=here), here
        os.close(above)
    os.close(os.open("f" * 250, os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


def test_a_file_that_cannot_be_read_ends_as_a_failed_job_with_the_reason(dsn: str) -> None:
    # In a folder with a short name, so that its subfolder is within the limit and its file is not.
    folder = Path(said_by("mktemp", "-d", "/tmp/howdah-demo.XXXXXX").decode().strip())
    try:
        (folder / "good").write_text("one")
        make_unreachable(folder)
        document = demo(folder, dsn)
        table = run("demo", folder, dsn=dsn)
    finally:
        subprocess.run(["rm", "-rf", folder], check=True)
    assert {file["state"] for file in document["files"]} == {"succeeded", "failed"}
    (failed,) = (file for file in document["files"] if file["state"] == "failed")
    assert "File name too long" in failed["error"]
    assert failed["bytes"] is None
    assert (document["total"]["succeeded"], document["total"]["failed"]) == (1, 1)
    (job,) = query(dsn, f"select retries, error from jobs.get('{failed['job_id']}')")
    assert job[0] <= 1
    assert "File name too long" in job[1]
    assert table.code == 0
    assert re.search(r"File name too long$", table.out, re.MULTILINE)
    assert "1 failed" in table.out


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file; .ci/run runs this as an ordinary user")
def test_a_file_closed_to_an_ordinary_user_is_reported(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "closed").write_text("secret")
    (tmp_path / "closed").chmod(0)
    (tmp_path / "open").write_text("one")
    (tmp_path / "shut").mkdir(mode=0)
    document = demo(tmp_path, dsn)
    assert {file["path"]: file["error"] for file in document["files"]} == {
        "closed": "PermissionError: [Errno 13] Permission denied",
        "open": None,
    }
    assert document["skipped"] == [
        {"path": "shut", "escaped": False, "reason": "folder cannot be read: Permission denied"}
    ]


def test_an_empty_folder_has_an_empty_result(dsn: str, tmp_path: Path) -> None:
    document = demo(tmp_path, dsn)
    assert document["files"] == []
    assert document["total"]["bytes"] == 0


def test_the_table_shows_the_files_and_the_total_and_progress_stays_off_it(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one two\n")
    (tmp_path / "line\nbreak\x1b[2J").write_text("three\n")
    answer = run("demo", tmp_path, dsn=dsn)
    assert answer.code == 0
    header, first, second = answer.lines[:3]
    assert header.split() == ["bytes", "lines", "words", "sha256", "path"]
    assert first.split() == ["8", "1", "2", hashlib.sha256(b"one two\n").hexdigest(), "a"]
    assert second.split()[-1] == r"line\nbreak\x1b[2J"
    assert answer.lines[-1].startswith("total: 2 files, 14 bytes, 2 lines, 3 words;")
    assert "2 of 2 files" in answer.err


def test_of_many_files_the_table_shows_the_largest(dsn: str, tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number:03}").write_bytes(b"x" * number)
    answer = run("demo", tmp_path, dsn=dsn)
    assert [line.split()[0] for line in answer.lines[2:22]] == [str(size) for size in range(199, 179, -1)]
    assert len(answer.lines) < 30
    assert "total: 200 files, 19900 bytes" in answer.lines[-1]


def test_a_folder_that_is_none_is_wrong_usage(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "nothing"):
        assert run("demo", path, dsn=dsn).code == 2


def test_two_runs_at_once_do_not_mix(dsn: str, tmp_path: Path, start: Start) -> None:
    runs = []
    for name, count in (("first", 300), ("second", 200)):
        (tmp_path / name).mkdir()
        for number in range(count):
            (tmp_path / name / str(number)).write_text(f"{name} {number}\n")
        runs.append((count, start("demo", tmp_path / name, "--json", dsn=dsn)))
    for count, process in runs:
        out, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, err
        assert f'"files": {count},' in out
        assert f'"succeeded": {count},' in out


def test_twenty_thousand_files_have_twenty_thousand_outcomes(dsn: str, tmp_path: Path) -> None:
    expected = {}
    for folder in range(100):
        (tmp_path / str(folder)).mkdir()
        for number in range(200):
            content = f"{folder} {number}\n".encode()
            (tmp_path / str(folder) / str(number)).write_bytes(content)
            expected[f"{folder}/{number}"] = (len(content), hashlib.sha256(content).hexdigest())
    document = demo(tmp_path, dsn)
    assert {file["path"]: (file["bytes"], file["sha256"]) for file in document["files"]} == expected
    assert document["total"]["processes"] == 2


def large_files(folder: Path) -> None:
    """A second of work or more: sparse files, which cost no disk."""
    for number in range(40):
        with (folder / f"{number:02}").open("wb") as file:
            file.write(b"word %d\n" % number)
            file.truncate(8_000_000 + number)


def workers_at_work(dsn: str) -> list[tuple[Any, ...]]:
    """The process of each worker that runs a job while others wait."""
    return query(
        dsn,
        "select distinct w.pid from jobs.running r join jobs.workers w using (worker_id)"
        " where exists (select from jobs.job where status = 'success')"
        " and (select count(*) from jobs.job_queue) > 10",
    )


def test_a_killed_worker_process_changes_no_number(dsn: str, tmp_path: Path, start: Start) -> None:
    large_files(tmp_path)
    expected = {path.name: reference(os.fsencode(path)) for path in tmp_path.iterdir()}
    process = start("demo", tmp_path, "--json", dsn=dsn)
    eventually(lambda: workers_at_work(dsn), process)
    victim = workers_at_work(dsn)[0][0]
    os.kill(victim, signal.SIGKILL)
    out, err = process.communicate(timeout=SECONDS)

    assert process.returncode == 0, err

    files = json.loads(out)["files"]
    assert {file["path"]: numbers(file) for file in files} == expected
    assert {file["sha256"] for file in files} == {digest(os.fsencode(path)) for path in tmp_path.iterdir()}
    assert str(victim) in err, "its death is not told"
    assert query(dsn, "select count(*) from jobs.workers") == [(0,)]


def test_nothing_is_left_running_afterwards(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one")
    demo(tmp_path, dsn, mark=f"{tmp_path}/")
    assert processes_with(f"HOWDAH_MARK={tmp_path}/") == []
    assert query(dsn, "select count(*) from jobs.job_queue") == [(0,)]
    assert query(dsn, "select count(*) from jobs.workers") == [(0,)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_neither_processes_nor_jobs(
    dsn: str, tmp_path: Path, number: signal.Signals, start: Start
) -> None:
    large_files(tmp_path)
    mark = f"HOWDAH_MARK={tmp_path}/"
    process = start("demo", tmp_path, dsn=dsn, HOWDAH_MARK=f"{tmp_path}/")
    eventually(lambda: workers_at_work(dsn), process)
    process.send_signal(number)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode not in (0, None)
    assert "Traceback" not in out + err
    assert processes_with(mark) == []
    assert query(dsn, "select count(*) from jobs.job_queue") == [(0,)]


def test_a_killed_run_leaves_no_processes(dsn: str, tmp_path: Path, start: Start) -> None:
    large_files(tmp_path)
    mark = f"HOWDAH_MARK={tmp_path}/"
    process = start("demo", tmp_path, dsn=dsn, HOWDAH_MARK=f"{tmp_path}/")
    eventually(lambda: workers_at_work(dsn), process)
    process.kill()
    process.communicate(timeout=SECONDS)
    eventually(lambda: processes_with(mark) == [])


def test_it_runs_beside_a_worker_that_does_not_know_its_task(dsn: str, tmp_path: Path, start: Start) -> None:
    (tmp_path / "tasks.py").write_text("from howdah import Howdah\napp = Howdah()\n")
    (tmp_path / "file").write_text("one")
    other = start("worker", "--app", "tasks:app", dsn=dsn, cwd=tmp_path)
    eventually(lambda: query(dsn, "select from jobs.workers"), other)
    assert demo(tmp_path, dsn)["total"]["succeeded"] == 2


def test_without_a_dsn_it_uses_the_embedded_server_and_stops_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one")
    data = Path(said_by("mktemp", "-d", "-u", "/tmp/howdah-data.XXXXXX").decode().strip())
    try:
        answer = run(
            "demo", tmp_path, "--json", cwd=tmp_path, HOWDAH_DATA=str(data), HOWDAH_MARK=f"{tmp_path}/"
        )
        assert answer.code == 0, answer.err
        assert answer.json["total"]["bytes"] == 3
        assert processes_with(f"HOWDAH_MARK={tmp_path}/") == []
        assert list(data.rglob("postmaster.pid")) == []
    finally:
        subprocess.run(["rm", "-rf", data], check=True)


def test_a_database_nobody_migrated_is_told_with_the_command_to_run(
    empty_database: Database, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("one")
    answer = run("demo", tmp_path, dsn=empty_database.dsn)
    assert (answer.code, answer.out) == (1, "")
    (line,) = answer.err.splitlines()
    assert "howdah migrate" in line
