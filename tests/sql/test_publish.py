"""publish, publish_bulk and publish_many: what a publisher gives, and what the job gets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from psycopg.types.json import Jsonb

from tests.sql.steps import consume, publish, state, take

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.clock import Clock
    from tests.fixtures.sessions import Session

ISOLATIONS = ["read committed", "repeatable read", "serializable"]


def test_the_answer_names_the_job_and_its_state(sql: Session) -> None:
    answer = sql.row("select * from jobs.publish('a.b')")

    assert answer == {"job_id": str(answer["id"]), "id": answer["id"], "state": "ready", "created": True}


def test_a_key_is_the_job_id(sql: Session) -> None:
    answer = sql.row("select * from jobs.publish('a.b', i_key => 'order-7')")

    assert answer["job_id"] == "order-7"
    assert sql.value("select id from jobs.get('order-7')") == answer["id"]


def test_a_key_that_exists_returns_that_job_and_publishes_nothing(sql: Session) -> None:
    first = sql.row("select * from jobs.publish('a.b', i_key => 'k')")
    take(sql)

    second = sql.row("select * from jobs.publish('other', i_key => 'k')")

    assert second == {**first, "state": "running", "created": False}
    assert sql.value('select count(*) from jobs."all"') == 1


def test_publish_each_makes_one_job_of_each_body_in_the_order_given(sql: Session) -> None:
    numbers = sql.value(
        "select jobs.publish_each('a.b', '[1, null, {\"n\": 3}]', i_queue => 'q', i_priority => 4)"
    )

    rows = sql.rows("select id, task, queue, priority, body, state from jobs.job_queue order by id")
    assert [row["id"] for row in rows] == numbers
    assert [row["body"] for row in rows] == [1, None, {"n": 3}]
    assert {(row["task"], row["queue"], row["priority"], row["state"]) for row in rows} == {
        ("a.b", "q", 4, "ready")
    }


def test_publish_each_takes_the_options_of_publish(sql: Session) -> None:
    sql.execute("select jobs.publish_each('a.b', '[1, 2]', i_delay => 60, i_ttl => 600, i_max_retries => 7)")
    sql.execute("select jobs.publish('a.b', '1', i_delay => 60, i_ttl => 600, i_max_retries => 7)")

    rows = sql.rows("select queue, max_retries, scheduled_at, expires_at from howdah.job")
    assert len(rows) == 3
    assert {(row["max_retries"], row["expires_at"] - row["scheduled_at"]) for row in rows} == {
        (7, timedelta(seconds=540))
    }
    assert sql.value("select count(*) from howdah.scheduled") == 3
    assert sql.value("select count(*) from howdah.expiry") == 3
    assert sql.rows("select * from jobs.fsck()") == []


def test_publish_each_of_nothing_publishes_nothing(sql: Session) -> None:
    assert sql.value("select jobs.publish_each('a.b', '[]')") == []
    assert sql.value('select count(*) from jobs."all"') == 0


@pytest.mark.parametrize("join", ["nestloop", "hashjoin", "mergejoin"])
def test_jobs_keep_the_order_given_whatever_the_planner_does(sql: Session, join: str) -> None:
    for other in {"nestloop", "hashjoin", "mergejoin"} - {join}:
        sql.execute(f"set enable_{other} = off")
    sql.execute("set plan_cache_mode = force_custom_plan")

    tasks = [f"t{n * 37 % 100}" for n in range(100)]
    sql.execute(
        "select howdah.publish_jobs(array(select (jsonb_populate_record(null::howdah.publication,"
        " jsonb_build_object('task', t))) from unnest(%s::text[]) with ordinality u (t, n) order by n))",
        tasks,
    )

    assert [row["task"] for row in sql.rows("select task from howdah.job order by id")] == tasks


def test_a_key_is_taken_until_its_job_is_deleted(sql: Session) -> None:
    publish(sql, key="k")
    sql.execute("select jobs.cancel('k')")
    assert sql.value("select state from jobs.publish('a.b', i_key => 'k')") == "cancelled"

    sql.execute("select jobs.delete('k')")

    assert sql.value("select created from jobs.publish('a.b', i_key => 'k')") is True


def test_two_publishers_of_a_key_publish_one_job(
    sql: Session, sessions: Callable[..., Session], wait_until_blocked: Callable[[Session], None]
) -> None:
    other = sessions()
    sql.begin()
    first = sql.row("select * from jobs.publish('a.b', i_key => 'k')")

    waiting = other.later("select * from jobs.publish('a.b', i_key => 'k')")
    wait_until_blocked(other)
    sql.commit()

    assert waiting.result(timeout=10) == [{**first, "created": False}]


def test_publishers_without_keys_do_not_wait_for_each_other(
    sql: Session, sessions: Callable[..., Session]
) -> None:
    other = sessions()
    other.execute("set lock_timeout = '1ms'")
    sql.begin()
    publish(sql, queue="one", priority=3)

    assert publish(other, queue="one", priority=3)

    sql.commit()
    assert len(consume(sql)) == 2


def test_every_option_reaches_the_job(sql: Session, clock: Clock) -> None:
    publish(
        sql, "a.b", body=Jsonb([1]), timeout=2.5, priority=-3, max_retries=9, queue="mail", key="k", delay=30,
        headers={"trace": "x"}, meta={"m": 1},
    )  # fmt: skip

    job = sql.row("select * from jobs.get('k')")

    options = ("task", "body", "timeout", "priority", "max_retries", "queue", "headers", "meta", "key")
    assert [job[name] for name in options] == [
        "a.b", [1], 2.5, -3, 9, "mail", {"trace": "x"}, {"m": 1}, "k",
    ]  # fmt: skip
    assert (job["state"], job["scheduled_at"]) == ("scheduled", clock.now() + timedelta(seconds=30))


@pytest.mark.parametrize("body", ["{}", "[]", "0", '""', "false", "null", '{"a": [null, 1.50, "é\\n"]}'])
def test_a_body_comes_back_as_it_was_given(sql: Session, body: str) -> None:
    publish(sql, body=body)

    assert sql.value("select body = %s::jsonb from jobs.consume(1)", body) is True


@pytest.mark.parametrize("moment", ["howdah.now() - interval '1 year'", "'-infinity'", "howdah.now()"])
def test_a_moment_in_the_past_means_now(sql: Session, clock: Clock, moment: str) -> None:
    assert sql.value(f"select state from jobs.publish('a.b', i_scheduled_at => {moment})") == "ready"


def test_a_moment_in_the_past_does_not_overtake(sql: Session) -> None:
    publish(sql, "first")
    publish(sql, "second", scheduled_at=datetime(2001, 1, 1, tzinfo=UTC))

    assert [job["task"] for job in consume(sql)] == ["first", "second"]


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/Los_Angeles", "+05:45"])
def test_the_bulk_form_takes_scheduled_at_as_utc_in_every_session(sql: Session, zone: str) -> None:
    sql.value("select set_config('timezone', %s, false)", zone)

    sql.rows("select * from jobs.publish_bulk(array[('a', null, '2040-06-01 12:00', null, null, null)]"
             "::jobs.bulk_job[])")  # fmt: skip

    assert sql.value("select scheduled_at from jobs.job_queue") == datetime(2040, 6, 1, 12, tzinfo=UTC)


def test_the_bulk_form_has_the_fields_of_pgjobs(sql: Session) -> None:
    fields = sql.value(
        "select string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' order by attnum)"
        " from pg_attribute where attrelid = 'jobs.bulk_job'::regclass"
    )

    assert fields == (
        "task character varying, body jsonb, scheduled_at timestamp without time zone, timeout integer,"
        " priority integer, max_retries integer"
    )


def test_the_bulk_form_answers_in_the_order_given(sql: Session) -> None:
    answer = sql.rows(
        "select * from jobs.publish_bulk((select array_agg(row('t.' || n, null, null, null, n %% 3, null)"
        "::jobs.bulk_job order by n desc) from generate_series(1, %s) n))", 50
    )  # fmt: skip

    tasks = sql.rows("select task from jobs.job_queue order by id")
    assert [row["task"] for row in tasks] == [f"t.{n}" for n in range(50, 0, -1)]
    assert [row["id"] for row in answer] == sorted(row["id"] for row in answer)


@pytest.mark.parametrize("empty", ["null", "'{}'"])
def test_an_empty_bulk_publishes_nothing(sql: Session, empty: str) -> None:
    assert sql.rows(f"select * from jobs.publish_bulk({empty}::jobs.bulk_job[])") == []


def test_many_answers_in_the_order_given_with_keys_old_and_new(sql: Session) -> None:
    old = sql.row("select * from jobs.publish('a.b', i_key => 'old')")
    given = [{"task": "x"}, {"task": "y", "key": "z"}, {"task": "y", "key": "old"}, {"task": "x"},
             {"task": "y", "key": "a"}, {"task": "y", "key": "z"}]  # fmt: skip

    answer = sql.rows("select * from jobs.publish_many(%s)", Jsonb(given))

    assert [row["created"] for row in answer] == [True, True, False, True, True, False]
    assert [row["job_id"] for row in answer] == [
        str(answer[0]["id"]), "z", "old", str(answer[3]["id"]), "a", "z",
    ]  # fmt: skip
    assert answer[2]["id"] == old["id"]
    assert answer[5]["id"] == answer[1]["id"]


def test_many_takes_every_option_of_publish(sql: Session) -> None:
    names = sql.value("select array_agg(substr(a, 3)) from pg_proc, unnest(proargnames) a"
                      " where oid = 'jobs.publish'::regproc")  # fmt: skip
    values = {
        "task": "a.b", "body": {}, "scheduled_at": "2040-01-01T00:00:00Z", "timeout": 1.5, "priority": 1,
        "max_retries": 1, "queue": "q", "key": "k", "delay": None, "ttl": 6e8, "result_ttl": -1,
        "failure_ttl": 5, "backoff": [1, 2.5], "headers": {}, "meta": {},
        "unique_key": "u", "unique": True, "unique_mode": "skip", "unique_until": "waiting", "unique_for": 5,
    }  # fmt: skip
    assert set(names) == set(values)

    (answer,) = sql.rows("select * from jobs.publish_many(%s)", Jsonb([values]))

    assert answer["state"] == "scheduled"


def test_many_is_all_or_nothing(sql: Session) -> None:
    with pytest.raises(Exception, match="priority"):
        sql.rows(
            "select * from jobs.publish_many(%s)", Jsonb([{"task": "a"}, {"task": "b", "priority": 99999}])
        )

    assert sql.value('select count(*) from jobs."all"') == 0


def test_nulls_mean_not_given_in_every_form(sql: Session) -> None:
    sql.rows(
        "select * from jobs.publish('a', null, null, null, null, null, null, null, null, null, null, null)"
    )
    sql.rows("select * from jobs.publish_bulk(array[row('a', null, null, null, null, null)::jobs.bulk_job])")
    nothing = dict.fromkeys(("priority", "timeout", "max_retries", "queue", "key", "delay", "ttl", "backoff"))
    sql.rows("select * from jobs.publish_many(%s)", Jsonb([{"task": "a", **nothing}]))

    same = sql.rows("select distinct queue, priority, timeout, max_retries, state, key from jobs.job_queue")

    assert same == [
        {"queue": "default", "priority": 0, "timeout": 60, "max_retries": 3, "state": "ready", "key": None}
    ]


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_publish_works_at_every_isolation_level(
    sql: Session, sessions: Callable[..., Session], isolation: str
) -> None:
    sql.begin(isolation)
    job_id = publish(sql)
    sql.commit()

    assert state(sessions(), job_id) == "ready"


def test_a_publish_that_is_not_committed_is_seen_by_nobody(
    sql: Session, sessions: Callable[..., Session]
) -> None:
    other = sessions()
    sql.begin()
    job_id = publish(sql)

    assert consume(other) == []
    assert other.rows("select * from jobs.get(%s)", job_id) == []

    sql.commit()
    assert len(consume(other)) == 1


def test_jobs_of_a_long_transaction_are_consumed_once_it_commits(
    sql: Session, sessions: Callable[..., Session]
) -> None:
    other = sessions()
    sql.begin()
    early = publish(sql, "early")
    other.rows("select * from jobs.publish_many((select jsonb_agg(jsonb_build_object('task', 'late'))"
               " from generate_series(1, 2000)))")  # fmt: skip
    for _ in range(4):
        other.execute("select jobs.maintain()")
        other.rows("select jobs.ack(job_id) from jobs.consume(1000)")

    sql.commit()
    other.execute("select jobs.maintain()")

    assert [job["job_id"] for job in consume(other)] == [early]


def test_a_ttl_cancels_a_job_that_was_not_started_in_time(sql: Session, clock: Clock) -> None:
    late, in_time = publish(sql, "late", ttl=60, priority=-1), publish(sql, "in.time", ttl=60)
    assert take(sql)["job_id"] == in_time

    clock.advance(60)

    assert consume(sql) == []
    assert state(sql, in_time) == "running"
    assert sql.row("select state, kind, status from jobs.get(%s)", late) == {
        "state": "cancelled", "kind": "ttl", "status": "cancelled",
    }  # fmt: skip


def test_own_pauses_come_before_the_usual_ones_and_the_last_repeats(sql: Session, clock: Clock) -> None:
    job_id = publish(sql, backoff=[5, 1], max_retries=3)
    pauses = []

    for _ in range(3):
        take(sql)
        sql.execute("select jobs.nack(%s)", job_id)
        due = sql.value("select scheduled_at from jobs.get(%s)", job_id)
        pauses.append((due - clock.now()).total_seconds())
        clock.set(due)

    assert pauses == [5, 1, 1]


def test_the_usual_pauses_double_up_to_an_hour_with_up_to_a_quarter_of_jitter(sql: Session) -> None:
    rows = sql.rows("select n, howdah.retry_delay(n, null) as pause from generate_series(1, 40) n,"
                    " generate_series(1, 20)")  # fmt: skip

    assert len(rows) == 800
    for row in rows:
        base = min(3 * 2 ** (row["n"] - 1), 3600)
        assert base <= row["pause"] <= base * 1.25


def test_a_publish_wakes_nobody_while_nobody_sleeps(sql: Session, sessions: Callable[..., Session]) -> None:
    listener = sessions()
    listener.execute("listen howdah")

    publish(sql)

    assert list(listener.connection.notifies(timeout=0.05, stop_after=1)) == []
