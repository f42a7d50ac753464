"""`howdah show`: a job with its failures and its log, and following it to its end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.cli.command import Start, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fixtures.database import Database


class Running:
    """A job that a plain consumer holds."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._ask("select jobs.publish('shop.mail', i_max_retries => 0)")
        self.job_id, self._run_id = self._ask("select job_id, run_id from jobs.consume(1)")

    def log(self, level: str, message: str) -> None:
        lines = json.dumps([[level, message]])
        self._connection.execute("select jobs.log(%s, %s, %s)", [self.job_id, self._run_id, lines])

    def ack(self) -> None:
        self._ask("select jobs.ack(%s)", self.job_id)

    def nack(self, error: str) -> None:
        self._ask("select jobs.nack(%s, %s)", self.job_id, error)

    def close(self) -> None:
        self._connection.close()

    def _ask(self, query: str, *values: object) -> tuple[Any, ...]:
        row = self._connection.execute(query.encode(), values or None).fetchone()
        assert row is not None
        return row


@pytest.fixture
def job(live_database: Database) -> Iterator[Running]:
    running = Running(live_database.dsn)
    yield running
    running.close()


def test_show_tells_what_failed_and_what_was_logged(job: Running) -> None:
    job.log("info", "half done")
    job.log("warning", "nearly\x1b[2J")
    job.nack("ValueError: no stamp")
    text = run("show", job.job_id, dsn=job.dsn)
    assert text.code == 0
    assert "attempt 1 failed at" in text.out
    assert "INFO half done" in text.out
    assert "WARNING nearly\\x1b[2J" in text.out

    shown = run("show", job.job_id, "--json", dsn=job.dsn).json
    assert [failure["error"] for failure in shown["failures"]] == ["ValueError: no stamp"]
    assert [(line["level"], line["message"]) for line in shown["logs"]] == [
        ("info", "half done"),
        ("warning", "nearly\x1b[2J"),
    ]


def test_follow_prints_lines_as_they_come_and_ends_with_the_job(job: Running, start: Start) -> None:
    job.log("info", "first")
    follower = start("show", job.job_id, "--follow", dsn=job.dsn)
    assert follower.stdout is not None
    assert follower.stdout.readline().rstrip().endswith("INFO first")
    job.log("error", "second")
    assert follower.stdout.readline().rstrip().endswith("ERROR second")
    assert follower.poll() is None
    job.log("info", "third")
    job.ack()
    rest, err = follower.communicate(timeout=30)
    assert rest.splitlines()[0].endswith("INFO third")
    assert rest.splitlines()[1:] == ["succeeded"]
    assert (follower.returncode, err) == (0, "")


def test_follow_of_a_job_that_failed_ends_with_1_and_says_why(job: Running) -> None:
    job.log("info", "first")
    job.nack("ValueError: no stamp")
    answer = run("show", job.job_id, "--follow", dsn=job.dsn)
    assert answer.code == 1
    assert [line.split()[-2:] for line in answer.lines] == [["INFO", "first"]]
    assert answer.err == "failed: ValueError: no stamp\n"


def test_follow_as_json_is_one_document_a_line_and_the_job_the_last(job: Running) -> None:
    job.log("info", "first")
    job.ack()
    answer = run("show", job.job_id, "--follow", "--json", dsn=job.dsn)
    assert answer.code == 0
    line, last = map(json.loads, answer.lines)
    assert (line["message"], last["state"]) == ("first", "succeeded")


def test_follow_prints_every_line_of_a_long_log(job: Running) -> None:
    with psycopg.connect(job.dsn) as connection:
        connection.execute(
            "insert into howdah.log (job_id, run_id, at, level, message)"
            " select %s, 1, now(), 'info', 'line ' || n from generate_series(1, 2500) n",
            [job.job_id],
        )
    job.ack()
    answer = run("show", job.job_id, "--follow", dsn=job.dsn)
    assert [line.rpartition(" ")[2] for line in answer.lines[:-1]] == [str(n) for n in range(1, 2501)]


def test_why_is_a_sentence_or_a_document(job: Running) -> None:
    (sentence,) = run("why", job.job_id, dsn=job.dsn).lines
    assert run("why", job.job_id, "--json", dsn=job.dsn).json == {"job_id": job.job_id, "why": sentence}
