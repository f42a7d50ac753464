"""Queues, workers, shell completion and the benchmark by command."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.cli.command import BIN, Answer, Start, environment, processes_with, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fixtures.database import Database


@pytest.fixture
def dsn(live_database: Database) -> str:
    return live_database.dsn


@contextmanager
def worker(dsn: str, *, lease: int = 15) -> Iterator[int]:
    """A worker that is registered and does nothing."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        query = "select jobs.worker_started('sam', i_queues => '{mail,fax}', i_lease => %s)"
        row = connection.execute(query, [lease]).fetchone()
        assert row is not None
        yield row[0]


def publish(dsn: str, *arguments: str) -> str:
    return run("publish", *arguments, dsn=dsn).lines[0]


# ── limits ──


def test_limits_are_set_shown_kept_and_lifted(dsn: str) -> None:
    answer = run("queue", "limit", "mail", "--max-running", "1", "--rate", "100/min", dsn=dsn)
    assert answer.out == "mail: max_running 1, rate 100, per 60.0\n"
    assert run("limit", "task", "shop.mail", "--rate", "5/10s", dsn=dsn).code == 0
    assert run("limit", "key", "acme", "--max-running", "2", "--json", dsn=dsn).json == {
        "key": "acme",
        "max_running": 2,
    }

    shown = {(row["kind"], row["name"]): row for row in run("limit", "list", "--json", dsn=dsn).json}
    assert shown["queue", "mail"]["max_running"] == 1
    assert (shown["queue", "mail"]["rate"], shown["task", "shop.mail"]["rate"]) == (100, 5)
    assert shown["key", "acme"]["max_running"] == 2
    assert run("queue", "limit", "mail", "--max-running", "none", dsn=dsn).code == 0
    shown = {(row["kind"], row["name"]): row for row in run("limit", "list", "--json", dsn=dsn).json}
    assert (shown["queue", "mail"]["max_running"], shown["queue", "mail"]["rate"]) == (None, 100)


def test_a_full_queue_refuses_in_one_line(dsn: str) -> None:
    run("queue", "limit", "mail", "--max-waiting", "0", dsn=dsn)

    answer = run("publish", "shop.mail", "--queue", "mail", dsn=dsn)
    assert answer.code == 1
    assert answer.err.startswith("Error: queue mail is full: 0 jobs wait (Try again in ")


@pytest.mark.parametrize(
    "options",
    [["--rate", "100"], ["--rate", "x/min"], ["--max-running", "-1"], ["--rate", "5/fortnight"], []],
)
def test_a_limit_that_cannot_be_is_wrong_usage(dsn: str, options: list[str]) -> None:
    assert run("limit", "task", "shop.mail", *options, dsn=dsn).code == 2


# ── queue ──


def test_a_paused_queue_says_so_and_starts_no_job_until_it_is_resumed(dsn: str) -> None:
    job_id = publish(dsn, "shop.mail", "--queue", "mail")
    answer = run("queue", "pause", "mail", "--reason", "SMTP is down", dsn=dsn)
    assert (answer.code, answer.lines) == (0, ["mail paused"])
    assert "SMTP is down" in run("why", job_id, dsn=dsn).out
    (queue,) = run("queue", "list", "--json", dsn=dsn).json
    assert (queue["queue"], queue["ready"], queue["reason"]) == ("mail", 1, "SMTP is down")
    assert queue["paused_at"] is not None

    answer = run("queue", "resume", "mail", dsn=dsn)
    assert (answer.code, answer.lines) == (0, ["mail resumed"])
    assert run("queue", "list", "--json", dsn=dsn).json[0]["paused_at"] is None
    assert run("queue", "pause", "mail", "--json", dsn=dsn).json == {"queue": "mail", "paused": True}
    assert run("queue", "resume", "mail", "--json", dsn=dsn).json == {"queue": "mail", "paused": False}


def test_queues_are_listed_with_their_numbers(dsn: str) -> None:
    publish(dsn, "shop.mail", "--queue", "mail")
    publish(dsn, "shop.mail", "--queue", "mail", "--delay", "60")
    header, line = run("queue", "list", dsn=dsn).lines
    assert header.split() == ["queue", "ready", "running", "waiting", "paused_at", "reason"]
    assert line.split() == ["mail", "1", "0", "1"]


def test_a_queue_is_told_how_long_to_keep_what_has_ended(dsn: str) -> None:
    answer = run("queue", "keep", "mail", "--successes", "12h", "--failures", "forever", dsn=dsn)
    assert (answer.code, answer.lines) == (0, ["mail keeps successes 12h, failures forever"])
    (queue,) = run("queue", "list", "--json", dsn=dsn).json
    assert (queue["queue"], queue["result_ttl"], queue["failure_ttl"]) == ("mail", 43200, -1)

    answer = run("queue", "keep", "mail", "--failures", "4w", "--json", dsn=dsn)
    assert answer.json == {"queue": "mail", "successes": None, "failures": "4w"}
    (queue,) = run("queue", "list", "--json", dsn=dsn).json
    assert (queue["result_ttl"], queue["failure_ttl"]) == (43200, 28 * 86400)


def test_a_queue_is_told_when_its_jobs_go_first(dsn: str) -> None:
    answer = run("queue", "ageing", "mail", "10m", dsn=dsn)
    assert (answer.code, answer.lines) == (0, ["mail: jobs go first after 10m"])
    assert run("queue", "list", "--json", dsn=dsn).json[0]["ageing"] == 600

    assert run("queue", "ageing", "mail", "never", "--json", dsn=dsn).json == {
        "queue": "mail",
        "ageing": None,
    }
    assert run("queue", "list", "--json", dsn=dsn).json[0]["ageing"] is None
    assert run("queue", "ageing", "mail", "soon", dsn=dsn).code == 2


def test_purge_deletes_the_waiting_jobs_of_one_queue(dsn: str) -> None:
    for _ in range(2):
        publish(dsn, "shop.mail", "--queue", "mail")
    kept = publish(dsn, "shop.report")
    assert run("queue", "purge", "mail", dsn=dsn).lines == ["2"]
    assert run("queue", "purge", "mail", "--json", dsn=dsn).json == {"queue": "mail", "purged": 0}
    assert [job["job_id"] for job in run("list", "--json", dsn=dsn).json] == [kept]


@pytest.mark.parametrize("command", ["pause", "resume", "purge", "keep --failures 1d"])
def test_a_name_that_no_queue_can_have_is_told_in_one_line(dsn: str, command: str) -> None:
    answer = run("queue", *command.split(), "no queue", dsn=dsn)
    assert (answer.code, answer.out) == (1, "")
    assert "queue" in answer.err
    assert len(answer.err.splitlines()) == 1


# ── workers ──


def test_workers_ends_with_1_when_nobody_is_alive(dsn: str) -> None:
    answer = run("workers", dsn=dsn)
    assert (answer.code, answer.out, answer.err) == (1, "", "no worker is alive\n")
    answer = run("workers", "--json", dsn=dsn)
    assert (answer.code, answer.json) == (1, [])


def test_workers_shows_who_is_alive(dsn: str) -> None:
    with worker(dsn) as worker_id:
        answer = run("workers", dsn=dsn)
        assert answer.code == 0
        header, line = answer.lines
        assert header.split()[:3] == ["worker_id", "name", "host"]
        assert line.split()[:2] == [str(worker_id), "sam"]
        assert "mail,fax" in line
        assert line.endswith("yes")
        (shown,) = run("workers", "--json", dsn=dsn).json
        assert (shown["worker_id"], shown["alive"], shown["lease"]) == (worker_id, True, 15)


def test_a_worker_that_missed_its_lease_is_not_alive(database: Database) -> None:
    with worker(database.dsn, lease=1), psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(
            "insert into howdah_test.clock (at) values (clock_timestamp() + interval '1 hour')"
        )
        answer = run("workers", dsn=database.dsn)
        assert (answer.code, answer.err) == (1, "no worker is alive\n")
        assert answer.lines[1].endswith("no")


# ── bench ──


def test_bench_measures_and_leaves_nothing_behind(dsn: str) -> None:
    kept = publish(dsn, "shop.mail")
    answer = run("bench", "--jobs", "300", "--samples", "3", "--json", dsn=dsn)
    assert answer.code == 0, answer.err
    figures = answer.json
    rates = [figures[name] for name in ("publish_per_second", "publish_many_per_second", "drain_per_second")]
    assert min(rates) > 0
    assert (figures["jobs"], figures["latency_ms"]["samples"]) == (300, 3)
    assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["slowest"]
    assert "500 of 500 jobs" in answer.err
    assert [job["job_id"] for job in run("list", "--json", dsn=dsn).json] == [kept]
    assert run("workers", dsn=dsn).code == 1
    assert run("fsck", dsn=dsn).code == 0


def test_bench_prints_a_table(dsn: str) -> None:
    answer = run("bench", "--jobs", "10", "--samples", "1", dsn=dsn)
    assert answer.code == 0, answer.err
    assert answer.lines[0].split() == ["what", "value", "unit"]
    assert [line.split()[-1] for line in answer.lines[1:]] == ["jobs/s", "jobs/s", "jobs/s", "ms", "ms"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_bench_takes_everything_back_when_it_is_interrupted(
    dsn: str, start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    mark = f"{tmp_path}/"
    bench = start("bench", "--jobs", "2000", "--samples", "1000", dsn=dsn, HOWDAH_MARK=mark)
    assert bench.stderr is not None
    assert "of 2200 jobs" in bench.stderr.readline()
    bench.send_signal(number)
    _, said = bench.communicate(timeout=30)
    assert bench.returncode == 1
    assert "Traceback" not in said
    assert run("list", "--json", dsn=dsn).json == []
    assert run("queue", "list", "--json", dsn=dsn).json == []
    assert processes_with(f"HOWDAH_MARK={mark}") == []


def read_to_the_end(terminal: int) -> str:
    """Everything that is written to a terminal until nobody has it open any more."""
    found = b""
    with os.fdopen(terminal, "rb", buffering=0) as stream, suppress(OSError):  # EIO is its end
        while part := stream.read(65536):
            found += part
    return found.decode()


def test_on_a_terminal_progress_is_a_bar_on_standard_error(dsn: str) -> None:
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        [BIN / "howdah", "bench", "--jobs", "10", "--samples", "1", "--json"],
        env=environment(dsn, COLUMNS="80", TERM="xterm"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    shown = read_to_the_end(terminal)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert json.loads(out)["jobs"] == 10
    assert "━" in shown
    assert "20/20" in shown


# ── completion ──


def completed(*words: str) -> list[str]:
    done = subprocess.run(
        [BIN / "howdah"],
        env=environment(
            None,
            _HOWDAH_COMPLETE="bash_complete",
            COMP_WORDS=" ".join(("howdah", *words)),
            COMP_CWORD=str(len(words)),
        ),
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_a_shell_completes_commands_options_and_choices() -> None:
    assert completed("wo") == ["worker", "workers"]
    assert completed("queue", "p") == ["pause", "purge"]
    assert completed("list", "--st") == ["--state"]
    assert completed("list", "--state", "s") == ["scheduled", "succeeded", "skipped"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_names_the_variable_that_completes(shell: str) -> None:
    answer = run("completion", shell)
    assert (answer.code, answer.err) == (0, "")
    assert "_HOWDAH_COMPLETE" in answer.out
    assert f"{shell}_complete" in answer.out


def test_bash_reads_the_script_without_an_error(tmp_path: Path) -> None:
    script = tmp_path / "howdah.bash"
    script.write_text(run("completion", "bash").out)
    done = subprocess.run(
        ["bash", "-c", f"source {script} && complete -p howdah"], capture_output=True, text=True, check=True
    )
    assert "_howdah_completion" in done.stdout


def test_a_shell_that_cannot_be_completed_is_wrong_usage() -> None:
    answer: Answer = run("completion", "cmd")
    assert (answer.code, answer.out) == (2, "")
