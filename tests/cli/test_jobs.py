"""Publish, look at and control jobs by command."""

from __future__ import annotations

import datetime
import os
import pty
import subprocess
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.cli.command import BIN, Answer, environment, run

if TYPE_CHECKING:
    from tests.fixtures.database import Database


@pytest.fixture
def dsn(live_database: Database) -> str:
    return live_database.dsn


def publish(dsn: str, *arguments: str) -> str:
    answer = run("publish", *arguments, dsn=dsn)
    assert (answer.code, answer.err) == (0, "")
    (job_id,) = answer.lines
    return job_id


def shown(dsn: str, job_id: str) -> dict[str, object]:
    job: dict[str, object] = run("show", job_id, "--json", dsn=dsn).json
    return job


def test_publish_prints_the_id_and_takes_arguments_as_json_where_they_are_json(dsn: str) -> None:
    job_id = publish(dsn, "shop.sum", "1", "two", '{"a": [3]}', "null", "--kwargs", '{"locale": "ru"}')
    assert shown(dsn, job_id)["body"] == {"args": [1, "two", {"a": [3]}, None], "kwargs": {"locale": "ru"}}


def test_an_argument_after_two_dashes_may_begin_with_a_dash(dsn: str) -> None:
    assert shown(dsn, publish(dsn, "shop.sum", "--", "-5"))["body"] == {"args": [-5]}


def test_publish_hands_every_option_on(dsn: str) -> None:
    job_id = publish(
        dsn,
        *("shop.report", "--queue", "slow", "--priority", "-3", "--delay", "3600", "--timeout", "7.5"),
        *("--max-retries", "0", "--ttl", "9000", "--key", "report-1", "--headers", '{"trace": "abc"}'),
    )
    job = shown(dsn, job_id)
    assert job_id == job["key"] == "report-1"
    names = ("queue", "priority", "state", "timeout", "max_retries", "headers")
    assert [job[name] for name in names] == ["slow", -3, "scheduled", 7.5, 0, {"trace": "abc"}]


def test_publish_takes_a_moment_a_backoff_how_long_to_keep_it_and_any_body(dsn: str) -> None:
    job_id = publish(
        dsn,
        *("shop.report", "--scheduled-at", "2100-01-31T09:00+01:00", "--backoff", "5,60"),
        *("--result-ttl", "0", "--failure-ttl", "1e6", "--meta", "[1]", "--body", '{"year": 2100}'),
    )
    job = shown(dsn, job_id)
    assert (job["scheduled_at"], job["meta"], job["body"]) == ("2100-01-31T08:00:00Z", [1], {"year": 2100})
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select backoff, result_ttl, failure_ttl from howdah.job").fetchone()
    assert row is not None
    assert ([float(delay) for delay in row[0]], *map(float, row[1:])) == ([5, 60], 0, 1e6)


def test_publish_puts_a_job_at_the_front_for_a_tenant_and_workers_with_labels(dsn: str) -> None:
    publish(dsn, "shop.report", "--at-front", "--tenant", "acme", "--requires", "zone=a, gpu")
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select queue, priority from howdah.ready").fetchone()
    assert row == ("default/acme+gpu,zone=a", 32767)


def test_a_moment_without_a_zone_is_local(dsn: str) -> None:
    job = shown(dsn, publish(dsn, "shop.report", "--scheduled-at", "2100-01-31T09:00"))
    at = datetime.datetime.fromisoformat(str(job["scheduled_at"]))
    assert at == datetime.datetime(2100, 1, 31, 9, 0).astimezone()


def test_a_key_that_exists_publishes_nothing_and_names_that_job(dsn: str) -> None:
    assert publish(dsn, "shop.report", "--key", "once") == "once"
    again = run("publish", "shop.report", "--key", "once", "--json", dsn=dsn).json
    assert (again["job_id"], again["created"]) == ("once", False)
    assert len(run("list", "--json", dsn=dsn).json) == 1


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("a task",), "task"),
        (("task", "NaN"), "body"),
        (("task", '"\\u0000"'), "body"),
        (("task", '"\\ud800"'), "body"),
        (("task", "--queue", "no queue"), "queue"),
        (("task", "--key", "42"), "key"),
        (("task", "--max-retries", "-1"), "max_retries"),
        (("task", "--timeout", "0"), "timeout"),
        (("task", "--priority", "99999"), "priority"),
        (("task", "--ttl", "0"), "ttl"),
        (("task", "--ttl", "-1"), "ttl"),
        (("task", "--ttl", "5", "--delay", "6"), "ttl"),
        (("task", "--result-ttl", "-2"), "result_ttl"),
        (("task", "--failure-ttl", "-2"), "failure_ttl"),
        (("task", "--unique-for", "5"), "unique_for"),
        (("task", "--unique", "customer"), "unique"),
        (
            ("task", "--unique-key", "k", "--unique-mode", "replace", "--unique-until", "finished"),
            "unique_until",
        ),
    ],
)
def test_bad_input_is_refused_by_the_name_of_its_field(
    dsn: str, arguments: tuple[str, ...], field: str
) -> None:
    answer = run("publish", *arguments, dsn=dsn)
    assert (answer.code, answer.out) == (1, "")
    assert field in answer.err
    assert len(answer.err.splitlines()) == 1
    assert run("list", "--json", dsn=dsn).json == []


def test_results_are_kept_as_long_as_the_options_say(dsn: str) -> None:
    job_id = publish(dsn, "task", "--ttl", "60", "--result-ttl", "0", "--failure-ttl", "-1")

    run("cancel", job_id, dsn=dsn)

    assert "kept for ever" in run("why", job_id, dsn=dsn).out


def test_a_unique_job_is_published_once_and_its_id_printed_again(dsn: str) -> None:
    first = publish(dsn, "shop.mail", "7", "--unique-key", "mail-7")
    assert publish(dsn, "shop.mail", "8", "--unique-key", "mail-7") == first
    assert run("show", first, "--json", dsn=dsn).json["body"] == {"args": [7]}

    replaced = publish(
        dsn, "shop.mail", "9", "--unique-key", "mail-7", "--unique-mode", "replace", "--delay", "60"
    )
    rejected = run("publish", "shop.mail", "--unique-key", "mail-7", "--unique-mode", "reject", dsn=dsn)

    assert replaced == first
    assert run("show", first, "--json", dsn=dsn).json["body"] == {"args": [9]}
    assert (rejected.code, rejected.out) == (1, "")
    assert f"job {first} holds the unique key 'mail-7'" in rejected.err


def test_a_job_is_unique_by_the_arguments_named_or_by_all(dsn: str) -> None:
    by_name = ("shop.mail", "--kwargs", '{"customer": 7, "text": "hi"}', "--unique", "customer")
    first = publish(dsn, *by_name)
    assert publish(dsn, *by_name[:2], '{"customer": 7, "text": "ho"}', "--unique", "customer") == first
    assert publish(dsn, "report", "1", "--unique", "true") == publish(dsn, "report", "1", "--unique", "true")
    assert publish(dsn, "report", "2", "--unique", "true") != publish(dsn, "report", "1", "--unique", "true")


def test_list_shows_the_newest_first_and_filters(dsn: str) -> None:
    first = publish(dsn, "shop.mail", "--queue", "mail")
    second = publish(dsn, "shop.report", "--delay", "60")
    assert [job["job_id"] for job in run("list", "--json", dsn=dsn).json] == [second, first]
    for filters, expected in (
        (("--queue", "mail"), [first]),
        (("--state", "scheduled"), [second]),
        (("--task", "shop.%"), [second, first]),
        (("--limit", "1"), [second]),
        (("--state", "failed"), []),
    ):
        assert [job["job_id"] for job in run("list", "--json", *filters, dsn=dsn).json] == expected


def test_list_without_a_terminal_is_one_aligned_line_per_job(dsn: str) -> None:
    job_id = publish(dsn, "shop.mail")
    header, line = run("list", dsn=dsn).lines
    assert header.split()[:3] == ["job_id", "state", "task"]
    assert line.split()[:4] == [job_id, "ready", "shop.mail", "default"]


def test_what_a_job_holds_cannot_move_the_cursor(dsn: str) -> None:
    job_id = publish(dsn, "shop.mail", "\x1b[2J\nsecond line")
    text = run("show", job_id, dsn=dsn).out
    assert "\x1b" not in text
    assert "\\u001b[2J" in text


def test_show_and_why_tell_of_a_waiting_job(dsn: str) -> None:
    job_id = publish(dsn, "shop.mail", "--delay", "3600")
    assert "scheduled" in run("show", job_id, dsn=dsn).out
    (why,) = run("why", job_id, dsn=dsn).lines
    assert len(why) > 10


def test_show_tells_whom_a_job_waits_for_and_who_waits_for_it(dsn: str) -> None:
    first = publish(dsn, "shop.sum", "--key", "first")
    second = publish(dsn, "shop.sum", "--delay", "60")
    child = publish(dsn, "shop.mail", "--depends-on", first, "--depends-on", second, "--allow-failure")

    text = run("show", child, dsn=dsn).out
    assert f"parent {first}: ready, awaited" in text
    assert f"parent {second}: scheduled, awaited" in text
    assert f"child {child}: blocked" in run("show", first, dsn=dsn).out
    assert [one["relation"] for one in run("show", child, "--json", dsn=dsn).json["relatives"]] == [
        "parent"
    ] * 2
    assert "there is no job nobody" in run("publish", "shop.mail", "--depends-on", "nobody", dsn=dsn).err


def test_cancel_retry_and_delete_change_a_job_and_say_its_state(dsn: str) -> None:
    def change(command: str, *more: str) -> Answer:
        return run(command, job_id, *more, dsn=dsn)

    job_id = publish(dsn, "shop.mail")
    assert change("cancel", "--reason", "ordered twice").lines == [f"{job_id} cancelled"]
    assert change("retry").lines == [f"{job_id} ready"]
    assert change("cancel", "--json").json["state"] == "cancelled"
    assert change("delete").code == 0
    assert change("show").code == 1


def test_wait_gives_up_in_time_and_ends_with_1_for_a_job_that_did_not_succeed(dsn: str) -> None:
    job_id = publish(dsn, "shop.mail")
    answer = run("wait", job_id, "--timeout", "0", dsn=dsn)
    assert (answer.code, answer.out) == (1, "")
    assert "did not end" in answer.err
    run("cancel", job_id, dsn=dsn)
    answer = run("wait", job_id, dsn=dsn)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("cancelled")


def test_prune_deletes_what_is_older(dsn: str) -> None:
    job_id = publish(dsn, "shop.mail")
    run("cancel", job_id, dsn=dsn)
    assert run("prune", dsn=dsn).lines == ["0"]
    assert run("prune", "--older-than", "0s", "--json", dsn=dsn).json == {"pruned": 1}
    assert run("list", "--json", dsn=dsn).json == []


def test_stats_are_numbers_with_names(dsn: str) -> None:
    publish(dsn, "shop.mail", "--queue", "mail")
    found = run("stats", "--json", dsn=dsn).json
    assert any(one["queue"] == "mail" and one["value"] == 1 for one in found)
    assert run("stats", dsn=dsn).lines[0].split() == ["name", "queue", "value"]


def test_list_on_a_terminal_is_a_ruled_table(dsn: str) -> None:
    publish(dsn, "shop.mail")
    terminal, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [BIN / "howdah", "list"],
            env=environment(dsn, COLUMNS="160", TERM="xterm"),
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            check=False,
        )
        shown = os.read(terminal, 65536).decode()
    finally:
        os.close(terminal)
        os.close(theirs)
    assert done.returncode == 0
    assert "shop.mail" in shown
    assert "│" in shown
