"""Unique keys: one job under a key, and what a publish does that meets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql.steps import consume, publish, refused, settle, start_worker, state, take

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.clock import Clock
    from tests.fixtures.sessions import Row, Session

MODES = ["skip", "replace", "merge", "reject"]
UNTIL = ["waiting", "started", "finished"]


def send(session: Session, body: Any = None, *, task: str = "a.b", **options: object) -> Row:
    """Publish under the unique key k, or as the options say."""
    options = options if "unique" in options or "unique_key" in options else {"unique_key": "k", **options}
    named = "".join(f", i_{name} => %s" for name in options)
    given = [Jsonb(value) if isinstance(value, list) else value for value in options.values()]
    return session.row(f"select * from jobs.publish(%s, %s{named})", task, Jsonb(body), *given)


def whole(session: Session) -> int:
    """Return how many jobs there are, and be sure that nothing is wrong with them."""
    assert session.rows("select * from jobs.fsck()") == []
    number: int = session.value('select count(*) from jobs."all"')
    return number


def bodies(session: Session) -> list[Any]:
    return [row["body"] for row in session.rows('select body from jobs."all" order by id')]


def fail(session: Session) -> None:
    session.execute("select jobs.nack(%s, 'no')", take(session)["job_id"])


# ── How long a key is held ──


def test_a_key_that_is_held_returns_its_job_and_publishes_nothing(sql: Session) -> None:
    first = send(sql)

    second = send(sql, task="other")

    assert first["created"]
    assert second == {**first, "created": False}
    assert whole(sql) == 1


def test_a_key_is_held_until_its_job_has_finished(sql: Session) -> None:
    first = send(sql)
    assert take(sql)["job_id"] == first["job_id"]
    assert send(sql) == {**first, "state": "running", "created": False}

    sql.execute("select jobs.ack(%s)", first["job_id"])

    assert send(sql)["created"]
    assert whole(sql) == 2


def test_a_key_until_finished_is_held_through_a_retry(sql: Session) -> None:
    first = send(sql)
    fail(sql)

    assert send(sql) == {**first, "state": "scheduled", "created": False}


def test_a_key_until_started_is_free_from_the_first_start_on(sql: Session) -> None:
    first = send(sql, unique_until="started")
    assert not send(sql, unique_until="started")["created"]
    fail(sql)

    second = send(sql, unique_until="started")

    assert second["created"]
    assert state(sql, first["job_id"]) == "scheduled"
    assert not send(sql, unique_until="started")["created"]
    assert whole(sql) == 2


def test_a_run_handed_back_unstarted_holds_its_key_until_started_again(sql: Session) -> None:
    send(sql, unique_until="started")
    sql.execute("select jobs.release(%s)", take(sql)["job_id"])

    assert not send(sql, unique_until="started")["created"]


def test_a_key_while_waiting_is_free_while_its_job_runs_and_held_while_it_waits_for_a_retry(
    sql: Session,
) -> None:
    send(sql, unique_until="waiting")
    fail(sql)
    assert not send(sql, unique_until="waiting")["created"]
    sql.execute("update howdah.scheduled set run_at = howdah.now()")
    take(sql)

    assert send(sql, unique_until="waiting")["created"]


@pytest.mark.parametrize("until", UNTIL)
@pytest.mark.parametrize("end", ["cancel", "delete"])
def test_whatever_ends_a_job_frees_its_key(sql: Session, until: str, end: str) -> None:
    first = send(sql, unique_until=until)
    sql.execute(f"select jobs.{end}(%s)", first["job_id"])

    assert send(sql, unique_until=until)["created"]


def test_a_time_to_live_that_is_over_frees_the_key(sql: Session, clock: Clock) -> None:
    send(sql, ttl=5)
    clock.advance(6)
    settle(sql)

    assert send(sql)["created"]


def test_a_key_for_some_time_is_held_beyond_its_jobs_end(sql: Session, clock: Clock) -> None:
    first = send(sql, unique_for=60, result_ttl=0)
    sql.execute("select jobs.ack(%s)", take(sql)["job_id"])
    assert send(sql, unique_for=60) == {**first, "state": "succeeded", "created": False}
    settle(sql)
    assert sql.rows("select * from jobs.get(%s)", first["job_id"]) == [], "it was pruned"

    assert send(sql, unique_for=60) == {**first, "state": None, "created": False}
    clock.advance(59)
    settle(sql)
    assert not send(sql, unique_for=60)["created"]
    clock.advance(2)

    assert send(sql, unique_for=60)["created"]
    assert whole(sql) == 1


def test_a_job_that_outlives_its_keys_time_holds_it_still(sql: Session, clock: Clock) -> None:
    send(sql, unique_for=5)
    clock.advance(60)
    settle(sql)

    assert not send(sql)["created"]


def test_a_job_deleted_by_hand_frees_its_key_before_its_time_is_over(sql: Session) -> None:
    sql.execute("select jobs.delete(%s)", send(sql, unique_for=60)["job_id"])

    assert send(sql)["created"]


def test_the_answer_names_a_job_by_its_own_key(sql: Session) -> None:
    send(sql, key="mine")

    assert send(sql)["job_id"] == "mine"


def test_a_publish_that_finds_its_own_key_takes_no_unique_key(sql: Session) -> None:
    publish(sql, key="mine")

    assert not send(sql, key="mine")["created"]

    assert send(sql)["created"]
    assert whole(sql) == 2


# ── A finished job that is retried ──


def test_a_retried_job_takes_its_key_again(sql: Session, clock: Clock) -> None:
    first = send(sql)
    sql.execute("select jobs.ack(%s)", take(sql)["job_id"])
    clock.advance(3600)
    settle(sql)
    assert sql.value("select count(*) from howdah.unique_key") == 0

    sql.execute("select jobs.retry(%s)", first["job_id"])

    assert not send(sql)["created"]
    assert whole(sql) == 1


def test_a_job_whose_key_another_one_holds_cannot_be_retried(sql: Session) -> None:
    first = send(sql)
    sql.execute("select jobs.cancel(%s)", first["job_id"])
    second = send(sql, key="second")

    error = refused(sql, "JB009", "select jobs.retry(%s)", first["job_id"])

    assert (error.message_detail, error.column_name) == ("second", "unique_key")
    assert state(sql, first["job_id"]) == "cancelled"
    sql.execute("select jobs.delete(%s)", second["job_id"])
    sql.execute("select jobs.retry(%s)", first["job_id"])
    assert whole(sql) == 1


def test_a_retried_job_keeps_the_time_for_which_another_one_held_the_key(sql: Session, clock: Clock) -> None:
    first = send(sql)
    sql.execute("select jobs.ack(%s)", take(sql)["job_id"])
    send(sql, unique_for=60)
    sql.execute("select jobs.ack(%s)", take(sql)["job_id"])

    sql.execute("select jobs.retry(%s)", first["job_id"])
    sql.execute("select jobs.ack(%s)", take(sql)["job_id"])

    assert not send(sql)["created"]
    clock.advance(61)
    assert send(sql)["created"]


# ── replace ──


def test_replace_gives_the_waiting_job_the_new_arguments_options_and_time(sql: Session, clock: Clock) -> None:
    first = send(sql, [1], unique_mode="replace", delay=60, headers={"n": 1}, ttl=100)
    clock.advance(50)

    second = send(sql, [2], unique_mode="replace", delay=60, max_retries=7, ttl=200)

    assert second == {**first, "created": False}
    job = sql.row("select * from jobs.get(%s)", first["job_id"])
    assert (job["body"], job["headers"], job["max_retries"]) == ([2], None, 7)
    assert sql.value("select run_at = howdah.now() + interval '60 s' from howdah.scheduled")
    assert sql.value("select array_agg(expires_at = howdah.now() + interval '200 s') from howdah.expiry") == [
        True
    ]
    assert whole(sql) == 1


def test_replace_keeps_a_ready_jobs_place(sql: Session) -> None:
    first = send(sql, 1, unique_mode="replace")
    publish(sql)

    send(sql, 2, unique_mode="replace")

    assert [(row["job_id"], row["body"]) for row in consume(sql, 1)] == [(first["job_id"], 2)]


def test_replace_moves_a_ready_job_to_its_new_queue_priority_and_time(sql: Session) -> None:
    first = send(sql, 1, unique_mode="replace")
    send(sql, 2, unique_mode="replace", queue="q", priority=5)
    assert sql.row("select queue, priority, id <> pos as moved from howdah.ready") == {
        "queue": "q", "priority": 5, "moved": True,
    }  # fmt: skip
    assert whole(sql) == 1

    assert send(sql, 3, unique_mode="replace", delay=60)["state"] == "scheduled"
    assert whole(sql) == 1
    assert send(sql, 4, unique_mode="replace")["state"] == "ready"

    assert [(row["job_id"], row["body"]) for row in consume(sql)] == [(first["job_id"], 4)]


def test_replace_may_change_the_task_of_a_job(sql: Session) -> None:
    send(sql, 1, unique_mode="replace")

    send(sql, 2, unique_mode="replace", task="other")

    assert [(row["task"], row["body"]) for row in consume(sql)] == [("other", 2)]
    assert whole(sql) == 1


@pytest.mark.parametrize("mode", ["replace", "merge"])
def test_a_job_that_has_started_is_left_alone_and_a_new_one_is_published(sql: Session, mode: str) -> None:
    send(sql, [1], unique_mode=mode)
    take(sql)

    second = send(sql, [2], unique_mode=mode)

    assert second["created"]
    assert bodies(sql) == [[1], [2]]
    assert not send(sql, [3], unique_mode=mode)["created"]
    assert whole(sql) == 2


def test_a_job_that_waits_for_a_retry_is_replaced_unless_its_key_was_held_until_it_started(
    sql: Session,
) -> None:
    send(sql, 1, unique_mode="replace")
    fail(sql)
    assert not send(sql, 2, unique_mode="replace")["created"]
    assert sql.value("select attempt from howdah.ready") == 1
    send(sql, 1, unique_mode="replace", unique_key="l", unique_until="started", priority=9)
    fail(sql)

    assert send(sql, 2, unique_mode="replace", unique_key="l", unique_until="started")["created"]


@pytest.mark.parametrize("mode", ["replace", "merge"])
def test_what_was_to_be_alone_until_it_has_finished_is_not_passed_over(sql: Session, mode: str) -> None:
    first = send(sql, [1])
    assert not send(sql, [2], unique_mode=mode)["created"]
    take(sql)

    error = refused(
        sql, "JB009", "select jobs.publish('a', '[3]', i_unique_key => 'k', i_unique_mode => %s)", mode
    )

    assert error.message_detail == first["job_id"]


def test_a_parked_job_is_replaced_where_it_lies(sql: Session) -> None:
    first = send(sql, 1, task="unknown")
    start_worker(sql, "known")
    settle(sql)
    assert state(sql, first["job_id"]) == "blocked"

    assert send(sql, 2, task="unknown", unique_mode="replace") == {
        **first,
        "state": "blocked",
        "created": False,
    }

    start_worker(sql, "unknown")
    assert [row["body"] for row in consume(sql)] == [2]
    assert whole(sql) == 1


def test_a_parked_job_that_is_replaced_by_one_of_another_task_comes_back(sql: Session) -> None:
    send(sql, 1, task="unknown")
    start_worker(sql, "known")
    settle(sql)

    assert send(sql, 2, task="known", unique_mode="replace")["state"] == "ready"
    assert whole(sql) == 1


def test_a_replaced_jobs_old_time_to_live_that_somebody_holds_is_dropped_later(
    sql: Session, sessions: Callable[..., Session], clock: Clock
) -> None:
    first = send(sql, 1, unique_mode="replace", ttl=5)
    other = sessions()
    other.begin()
    other.rows("select * from howdah.expiry for update")  # as a consumer's open transaction may
    sql.execute("set lock_timeout = '2s'")

    send(sql, 2, unique_mode="replace", ttl=60)

    other.rollback()
    clock.advance(6)
    settle(sql)
    assert state(sql, first["job_id"]) == "ready"
    clock.advance(60)
    settle(sql)
    assert state(sql, first["job_id"]) == "cancelled"


# ── merge ──


@pytest.mark.parametrize(
    ("old", "new", "merged"),
    [
        ([1], [2, 3], [1, 2, 3]),
        ({"args": [[1]]}, {"args": [[2]]}, {"args": [[1, 2]]}),
        ({"args": ["a", [1]]}, {"args": ["b", [2]]}, {"args": ["b", [1, 2]]}),
        ({"args": [[1]]}, {"args": [[2], True]}, {"args": [[1, 2], True]}),
        ({"args": [[1], True]}, {"args": [[2]]}, {"args": [[1, 2], True]}),
        (
            {"args": [7], "kwargs": {"ids": [1], "x": 1}},
            {"args": [8], "kwargs": {"ids": [2]}},
            {"args": [8], "kwargs": {"ids": [1, 2], "x": 1}},
        ),
        ({"ids": [1], "at": 1}, {"ids": [2], "at": 2}, {"ids": [1, 2], "at": 2}),
        ([], [], []),
    ],
)
def test_merge_joins_lists_in_the_same_place(sql: Session, old: Any, new: Any, merged: Any) -> None:
    first = send(sql, old, unique_mode="merge")

    assert send(sql, new, unique_mode="merge") == {**first, "created": False}

    assert bodies(sql) == [merged]


def test_merge_keeps_time_and_options(sql: Session, clock: Clock) -> None:
    send(sql, [1], unique_mode="merge", delay=5, max_retries=1)
    run_at = sql.value("select run_at from howdah.scheduled")
    clock.advance(4)

    send(sql, [2], unique_mode="merge", delay=5, max_retries=2, queue="other")

    assert sql.value("select run_at from howdah.scheduled") == run_at
    clock.advance(2)
    row = take(sql)
    assert (row["body"], row["max_retries"], row["queue"]) == ([1, 2], 1, "default")


def test_a_full_job_is_left_to_go_and_the_next_one_takes_the_key(sql: Session) -> None:
    send(sql, ["x" * 600_000], unique_mode="merge")

    second = send(sql, ["y" * 600_000], unique_mode="merge")

    assert second["created"]
    assert send(sql, ["z"], unique_mode="merge") == {**second, "created": False}
    assert whole(sql) == 2


def test_a_full_job_that_is_to_be_alone_until_it_has_finished_is_not_passed_over(sql: Session) -> None:
    first = send(sql, ["x" * 600_000])
    call = "select jobs.publish('a', %s, i_unique_key => 'k', i_unique_mode => 'merge')"

    error = refused(sql, "JB009", call, Jsonb(["y" * 600_000]))

    assert error.message_detail == first["job_id"]
    assert whole(sql) == 1


@pytest.mark.parametrize("body", [None, 7, {}, {"args": []}, {"args": [1], "kwargs": {"a": "b"}}])
def test_merge_refuses_a_body_without_a_list_at_once(sql: Session, body: Any) -> None:
    error = refused(
        sql,
        "JB001",
        "select jobs.publish('a', %s, i_unique_key => 'k', i_unique_mode => 'merge')",
        Jsonb(body),
    )

    assert error.column_name == "body"
    assert "list" in (error.message_hint or "")


def test_merge_refuses_a_body_whose_lists_lie_elsewhere(sql: Session) -> None:
    send(sql, {"args": [[1]]}, unique_mode="merge")
    call = "select jobs.publish('a', %s, i_unique_key => 'k', i_unique_mode => 'merge')"

    error = refused(sql, "JB001", call, Jsonb({"kwargs": {"ids": [2]}}))

    assert error.column_name == "body"
    assert bodies(sql) == [{"args": [[1]]}]


# ── reject ──


def test_reject_names_the_job_that_holds_the_key(sql: Session) -> None:
    first = send(sql, unique_mode="reject")

    error = refused(sql, "JB009", "select jobs.publish('a', i_unique_key => 'k', i_unique_mode => 'reject')")

    assert (error.message_detail, error.column_name) == (first["job_id"], "unique_key")
    assert first["job_id"] in (error.message_primary or "")
    assert whole(sql) == 1


def test_reject_undoes_the_whole_bulk(sql: Session) -> None:
    send(sql)
    many = [
        {"task": "a"},
        {"task": "a", "unique_key": "new"},
        {"task": "a", "unique_key": "k", "unique_mode": "reject"},
    ]

    refused(sql, "JB009", "select jobs.publish_many(%s)", Jsonb(many))

    assert whole(sql) == 1
    assert send(sql, unique_key="new")["created"]


# ── Many at once ──


def test_publish_many_answers_in_the_order_given_and_meets_its_own_keys(sql: Session) -> None:
    held = send(sql)
    many = [
        {"task": "t1", "unique_key": "z"},
        {"task": "t2"},
        {"task": "t3", "unique_key": "k"},
        {"task": "t4", "unique_key": "a"},
        {"task": "t5", "unique_key": "z"},
        {"task": "t6"},
        {"task": "t7", "unique_key": "z"},
    ]

    rows = sql.rows("select * from jobs.publish_many(%s)", Jsonb(many))

    assert [row["created"] for row in rows] == [True, True, False, True, False, True, False]
    assert rows[2]["id"] == held["id"]
    assert rows[4]["id"] == rows[6]["id"] == rows[0]["id"]
    assert [row["task"] for row in consume(sql)] == ["a.b", "t1", "t2", "t4", "t6"]
    assert whole(sql) == 5


def test_a_bulk_may_merge_into_its_own_job(sql: Session) -> None:
    many = [{"task": "t", "body": [n], "unique_key": "k", "unique_mode": "merge"} for n in range(5)]

    rows = sql.rows("select * from jobs.publish_many(%s)", Jsonb(many))

    assert [row["created"] for row in rows] == [True, False, False, False, False]
    assert bodies(sql) == [[0, 1, 2, 3, 4]]
    assert sql.rows("select * from jobs.publish_many('[]')") == []


# ── Chosen arguments ──


@pytest.mark.parametrize(
    ("unique", "one", "same", "other"),
    [
        ("true", {"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 3}),
        ('["customer"]', {"customer": 7, "x": 1}, {"customer": 7, "x": 2}, {"customer": 8, "x": 1}),
        ('["customer"]', {"kwargs": {"customer": 7}}, {"customer": 7}, {"kwargs": {"customer": None}}),
        ('{"customer": [0]}', {"args": [7, 1]}, {"kwargs": {"customer": 7}}, {"args": [8, 1]}),
        ('{"c": [0], "l": [1, "en"]}', {"args": [7]}, {"args": [7, "en"]}, {"args": [7, "de"]}),
        (
            '{"l": [null, {"n": null}]}',
            {"args": [7]},
            {"kwargs": {"l": {"n": None}}},
            {"kwargs": {"l": None}},
        ),
        ("{}", {"args": [7]}, None, None),
    ],
)
def test_chosen_arguments_make_the_key(sql: Session, unique: str, one: Any, same: Any, other: Any) -> None:
    call = "select created from jobs.publish('a.b', %s, i_unique => %s::jsonb)"
    assert sql.value(call, Jsonb(one), unique) is True

    assert sql.value(call, Jsonb(same), unique) is False
    if other is not None:
        assert sql.value(call, Jsonb(other), unique) is True
    assert sql.value("select created from jobs.publish('c.d', %s, i_unique => %s::jsonb)", Jsonb(one), unique)


def test_a_body_without_the_chosen_argument_is_refused(sql: Session) -> None:
    error = refused(
        sql, "JB001", "select jobs.publish('a', '{\"custmer\": 1}', i_unique => '[\"customer\"]')"
    )

    assert error.column_name == "unique"


def test_a_key_given_by_hand_comes_before_chosen_arguments(sql: Session) -> None:
    call = "select created from jobs.publish('a', %s, i_unique => 'true', i_unique_key => %s)"

    assert [sql.value(call, Jsonb(1), key) for key in ("k", "l", "k")] == [True, True, False]


# ── What a task says ──


def test_a_tasks_uniqueness_holds_for_jobs_published_from_psql(sql: Session) -> None:
    start_worker(sql, {"name": "a.b", "unique": {"customer": [0]}, "unique_until": "started"})
    first = sql.row("""select * from jobs.publish('a.b', '{"args": [7]}')""")

    assert sql.row("""select * from jobs.publish('a.b', '{"kwargs": {"customer": 7}}')""") == {
        **first, "created": False,
    }  # fmt: skip
    each = sql.value("""select jobs.publish_each('a.b', '[{"args": [7]}, {"args": [8]}, {"args": [8]}]')""")
    assert each[0] == first["id"]
    assert each[1] == each[2]
    bulk = (
        "select count(*) from jobs.publish_bulk("
        """array[row('a.b', '{"args": [7]}', null, null, null, null)::jobs.bulk_job])"""
    )
    assert sql.value(bulk) == 1
    assert sql.value("""select created from jobs.publish('a.b', '{"args": [7]}', i_key => 'mine')""") is False
    assert whole(sql) == 2
    take(sql)
    assert sql.value("""select created from jobs.publish('a.b', '{"args": [7]}')""") is True


def test_a_publish_says_what_its_task_does_not(sql: Session) -> None:
    start_worker(sql, {"name": "a.b", "unique": True, "unique_mode": "reject"})
    publish(sql, "a.b")
    refused(sql, "JB009", "select jobs.publish('a.b')")

    assert sql.value("select created from jobs.publish('a.b', i_unique_mode => 'skip')") is False
    assert sql.value("select created from jobs.publish('a.b', i_unique => 'false')") is True
    assert whole(sql) == 2


def test_a_body_that_does_not_fit_its_tasks_choice_is_published(sql: Session) -> None:
    start_worker(sql, {"name": "a.b", "unique": ["customer"]})

    assert [sql.value("select created from jobs.publish('a.b')") for _ in range(2)] == [True, True]


def test_a_task_that_is_unique_no_more_is_so_from_its_registration_on(sql: Session) -> None:
    start_worker(sql, {"name": "a.b", "unique": True})
    publish(sql, "a.b")
    start_worker(sql, {"name": "a.b"})

    assert sql.value("select created from jobs.publish('a.b')") is True


# ── What cannot be ──


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("unique_key", {"unique_key": ""}),
        ("unique_key", {"unique_key": "k" * 201}),
        ("unique_key", {"unique_key": "a\nb"}),
        ("unique", {"unique": Jsonb("customer")}),
        ("unique", {"unique": Jsonb(7)}),
        ("unique", {"unique": Jsonb([])}),
        ("unique", {"unique": Jsonb([7])}),
        ("unique", {"unique": Jsonb([""])}),
        ("unique", {"unique": Jsonb({"a": 1})}),
        ("unique", {"unique": Jsonb({"a": ["x"]})}),
        ("unique", {"unique": Jsonb({"a": [1.5]})}),
        ("unique", {"unique": Jsonb({"a": [-1]})}),
        ("unique", {"unique": Jsonb({"a": [10**30]})}),
        ("unique", {"unique": Jsonb([str(n) for n in range(101)])}),
        ("unique_mode", {"unique_key": "k", "unique_mode": "ignore"}),
        ("unique_mode", {"unique_mode": "skip"}),
        ("unique_until", {"unique_until": "waiting"}),
        ("unique_for", {"unique_for": 5}),
        ("unique_until", {"unique_key": "k", "unique_until": "succeeded"}),
        ("unique_until", {"unique_key": "k", "unique_mode": "replace", "unique_until": "finished"}),
        ("unique_for", {"unique_key": "k", "unique_mode": "merge", "unique_for": 5}),
        ("unique_for", {"unique_key": "k", "unique_for": -1}),
    ],
)
def test_what_cannot_be_is_refused_with_the_fields_name(
    sql: Session, field: str, options: dict[str, Any]
) -> None:
    named = "".join(f", i_{name} => %s" for name in options)

    error = refused(sql, "JB001", f"select jobs.publish('a', '[1]'{named})", *options.values())

    assert error.column_name == field
    assert error.message_hint


def test_a_task_cannot_declare_what_cannot_be(sql: Session) -> None:
    declared = Jsonb([{"name": "a", "unique": True, "unique_mode": "replace", "unique_for": 5}])

    assert refused(sql, "JB001", "select jobs.worker_started('w', %s)", declared).column_name == "unique_for"


# ── Housekeeping, and what people see ──


def test_keys_that_nobody_holds_are_removed_and_others_are_looked_at_ever_less_often(
    sql: Session, clock: Clock
) -> None:
    for n in range(3):
        send(sql, unique_key=f"k{n}")
    sql.execute("select jobs.ack(job_id) from jobs.consume(2)")
    clock.advance(61)

    assert sql.value("select jobs from jobs.maintain() where chore = 'freed'") == 2

    assert sql.value("select look_at - howdah.now() > interval '1 min' from howdah.unique_key")
    assert sql.value("select jobs from jobs.maintain() where chore = 'freed'") == 0
    assert not send(sql, unique_key="k2")["created"]
    clock.advance(3600)
    settle(sql)
    assert whole(sql) == 3


def test_why_names_the_key_that_a_job_holds(sql: Session, clock: Clock) -> None:
    first = send(sql, unique_for=60)
    assert "holds the unique key 'k' until it has finished, until" in sql.value(
        "select jobs.why(%s)", first["job_id"]
    )
    take(sql)
    assert "'k' until it has finished" in sql.value("select jobs.why(%s)", first["job_id"])
    sql.execute("select jobs.ack(%s)", first["job_id"])
    assert "'k', until" in sql.value("select jobs.why(%s)", first["job_id"])

    clock.advance(61)

    assert "unique" not in sql.value("select jobs.why(%s)", first["job_id"])


def test_fsck_finds_a_key_held_twice_and_one_that_is_gone(sql: Session) -> None:
    send(sql)
    sql.execute("delete from howdah.unique_key")
    assert [row["violation"] for row in sql.rows("select * from jobs.fsck()")] == [
        "unfinished without the unique key it was published under"
    ]
    send(sql)
    assert "unique key held twice" in {row["violation"] for row in sql.rows("select * from jobs.fsck()")}
    sql.execute("update howdah.unique_key set key = 'other'")
    found = {row["violation"] for row in sql.rows("select * from jobs.fsck()")}
    assert "unique key of a job that was published under another" in found
