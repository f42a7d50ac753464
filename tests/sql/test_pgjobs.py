"""Every line of pgjobs' own text, typed into psql, with no worker alive."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fixtures.clock import Clock
    from tests.fixtures.database import Database

PGJOBS_COLUMNS = (
    "id, job_id, task, body, retries, max_retries, priority, timeout, created_at, run_at, scheduled_at"
)


@pytest.fixture
def psql(database: Database, postgres_programs: Path) -> Callable[..., list[str]]:
    """`psql(statement, …)` runs the statements in one session and returns the lines they print."""

    def run(*statements: str) -> list[str]:
        program = postgres_programs / "psql"
        options = ["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", database.dsn]
        text = ";\n".join(statements) + ";\n"
        done = subprocess.run(
            [program, *options], input=text, capture_output=True, text=True, check=False, timeout=30
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


def test_publish_by_position_answers_the_job_id(psql: Callable[..., list[str]]) -> None:
    body = """'{"args": [1, 2]}'::jsonb"""

    (job_id,) = psql(f"SELECT job_id FROM jobs.publish('package.file.sum', {body}, null, 7.5, 3)")

    assert psql(f"select task, body, timeout, priority from jobs.job_queue where job_id = '{job_id}'") == [
        'package.file.sum|{"args": [1, 2]}|7.5|3'
    ]


def test_publish_by_the_names_of_pgjobs(psql: Callable[..., list[str]]) -> None:
    psql(
        "SELECT job_id FROM jobs.publish(i_task => 'package.file.sum', i_body => '{}',"
        " i_scheduled_at => '2040-01-01 00:00+00', i_timeout => 5, i_priority => 2, i_max_retries => 1)"
    )

    assert psql(
        "set timezone = 'UTC'",
        "select body, scheduled_at, timeout, priority, max_retries, status from jobs.job_queue",
    ) == ["{}|2040-01-01 00:00:00+00|5|2|1|pending"]


def test_consume_returns_the_jobs_and_marks_them_running(psql: Callable[..., list[str]]) -> None:
    psql("SELECT jobs.publish('a.b')", "SELECT jobs.publish('c.d')")

    lines = psql("SELECT * FROM jobs.consume(10)")

    assert [line.split("|")[2] for line in lines] == ["a.b", "c.d"]
    assert psql("select status, task from jobs.running order by id") == ["running|a.b", "running|c.d"]
    assert psql("SELECT * FROM jobs.consume(10)") == []


def test_consume_topic_takes_its_topic_only(psql: Callable[..., list[str]]) -> None:
    psql("SELECT jobs.publish(t) FROM unnest(array['topic.xxx.a', 'topic.yyy.b', 'topic.xxx.c.d']) t")

    lines = psql("SELECT task FROM jobs.consume_topic('topic.xxx.%', 10)")

    assert lines == ["topic.xxx.a", "topic.xxx.c.d"]
    assert psql("SELECT task FROM jobs.consume('topic.yyy.%', 10)") == ["topic.yyy.b"]


def test_ack_moves_the_job_to_the_finished_ones(psql: Callable[..., list[str]]) -> None:
    psql("SELECT jobs.publish('a.b')")
    (job_id,) = psql("SELECT job_id FROM jobs.consume(1)")

    psql(f"SELECT FROM jobs.ack('{job_id}')")

    assert psql("select count(*) from jobs.job_queue") == ["0"]
    assert psql("select job_id, status, complete_on is not null from jobs.job") == [f"{job_id}|success|t"]


def test_nack_schedules_the_job_where_it_was_told(psql: Callable[..., list[str]]) -> None:
    psql("SELECT jobs.publish('a.b')")
    (job_id,) = psql("SELECT job_id FROM jobs.consume(1)")

    psql(f"SELECT FROM jobs.nack('{job_id}', 'Traceback: boom', '2041-01-01 00:00+00')")

    assert psql("set timezone = 'UTC'", "select status, retries, scheduled_at from jobs.job_queue") == [
        "pending|1|2041-01-01 00:00:00+00"
    ]


def test_publish_bulk_takes_an_array_of_bulk_jobs(psql: Callable[..., list[str]]) -> None:
    answer = psql(
        "SELECT job_id FROM jobs.publish_bulk(array["
        """('a.b', '{"args": [1]}', null, 30, 2, 5), ('c.d', null, null, null, null, null)"""
        "]::jobs.bulk_job[])"
    )

    assert len(answer) == 2
    assert psql("select task, timeout, priority, max_retries from jobs.job_queue order by id") == [
        "a.b|30|2|5",
        "c.d|60|0|3",
    ]


def test_three_retries_with_growing_pauses_then_failed(psql: Callable[..., list[str]], clock: Clock) -> None:
    psql("SELECT jobs.publish('a.b')")
    pauses = []

    for _ in range(4):
        (job_id,) = psql("SELECT job_id FROM jobs.consume(1)")
        psql(f"SELECT FROM jobs.nack('{job_id}', 'boom')")
        pauses += psql("select extract(epoch from scheduled_at - howdah.now()) from jobs.job_queue")
        clock.advance(3600)

    seconds = [float(pause) for pause in pauses]
    assert len(seconds) == 3
    assert 0 < seconds[0] < seconds[1] < seconds[2]
    assert psql("select status, attempt, traceback from jobs.job") == ["failed|4|boom"]


def test_a_job_expires_after_sixty_seconds(psql: Callable[..., list[str]], clock: Clock) -> None:
    psql("SELECT jobs.publish('a.b')")
    psql("SELECT FROM jobs.consume(1)")

    clock.advance(60)
    assert psql("SELECT count(*) FROM jobs.expired") == ["0"]
    clock.advance(0.001)
    assert psql("SELECT task FROM jobs.expired") == ["a.b"]

    assert psql("SELECT FROM jobs.consume(1)") == []
    clock.advance(3600)
    assert psql("SELECT retries FROM jobs.consume(1)") == ["1"]


def test_scheduled_jobs_wait_for_their_time(psql: Callable[..., list[str]], clock: Clock) -> None:
    psql("SELECT jobs.publish('a.b', i_scheduled_at => howdah.now() + interval '1 hour')")

    assert psql("SELECT FROM jobs.consume(1)") == []
    clock.advance(3599)
    assert psql("SELECT FROM jobs.consume(1)") == []
    clock.advance(1)
    assert psql("SELECT task FROM jobs.consume(1)") == ["a.b"]


def test_greater_priority_first_and_first_in_first_out(psql: Callable[..., list[str]]) -> None:
    psql(
        "SELECT jobs.publish(t, i_priority => p) FROM (values"
        " ('low.1', -1), ('plain.1', null), ('high.1', 9), ('plain.2', 0), ('high.2', 9)) v (t, p)"
    )

    assert psql("SELECT task FROM jobs.consume(10)") == ["high.1", "high.2", "plain.1", "plain.2", "low.1"]


def test_publish_from_a_trigger(psql: Callable[..., list[str]]) -> None:
    psql(
        "create table orders (id int)",
        "create function on_order() returns trigger language plpgsql as $$ begin"
        " perform jobs.publish('orders.new', jsonb_build_object('args', jsonb_build_array(new.id)));"
        " return new; end $$",
        "create trigger on_order after insert on orders for each row execute function on_order()",
        "insert into orders values (7), (8)",
    )

    assert psql("SELECT body FROM jobs.consume(10)") == ['{"args": [7]}', '{"args": [8]}']


def test_publish_from_a_function(psql: Callable[..., list[str]]) -> None:
    psql(
        "create function fulfil(n int) returns text language plpgsql as $$ declare v_id text; begin"
        " select job_id into v_id from jobs.publish('orders.fulfil'); return v_id; end $$"
    )

    (job_id,) = psql("select fulfil(1)")

    assert psql("SELECT job_id, task FROM jobs.consume(1)") == [f"{job_id}|orders.fulfil"]


def test_a_publish_is_rolled_back_with_its_transaction(psql: Callable[..., list[str]]) -> None:
    psql("begin", "SELECT jobs.publish('a.b')", "rollback")

    assert psql('SELECT count(*) FROM jobs."all"') == ["0"]


def test_a_savepoint_that_is_rolled_back_takes_its_publish_with_it(psql: Callable[..., list[str]]) -> None:
    psql(
        "begin",
        "SELECT jobs.publish('kept')",
        "savepoint s",
        "SELECT jobs.publish('dropped')",
        "rollback to s",
        "commit",
    )

    assert psql("SELECT task FROM jobs.consume(10)") == ["kept"]


@pytest.mark.parametrize("view", ["job_queue", "running", "expired", "job", "all"])
def test_the_views_begin_with_the_columns_of_pgjobs(psql: Callable[..., list[str]], view: str) -> None:
    query = (
        "select string_agg(column_name, ', ' order by ordinal_position) from information_schema.columns"
        f" where table_schema = 'jobs' and table_name = '{view}'"
    )

    (columns,) = psql(query)

    assert columns.startswith(PGJOBS_COLUMNS + ", ")
    if view in ("job", "all"):
        assert {"status", "complete_on", "result", "traceback"} <= set(columns.split(", "))


def test_the_default_options_are_those_of_pgjobs(psql: Callable[..., list[str]]) -> None:
    psql("SELECT jobs.publish('a.b')")

    assert psql("select max_retries, timeout, priority, retries, queue from jobs.job_queue") == [
        "3|60|0|0|default"
    ]
