"""Jobs that wait for others: published from SQL, let go or given up when their parents end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sql.steps import counts, exchange, publish, refused, settle, start_worker, state, take

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.clock import Clock
    from tests.fixtures.sessions import Session


def end(sql: Session, how: str) -> str:
    """Take the next job as a plain consumer and end it; return its id."""
    job_id: str = take(sql)["job_id"]
    if how == "succeeded":
        sql.execute("select jobs.ack(%s)", job_id)
    elif how == "failed":
        sql.execute("select jobs.nack(%s, 'Error: no', i_final => true)", job_id)
    elif how == "cancelled":
        sql.execute("select jobs.cancel(%s)", job_id)
        sql.execute("select jobs.release(%s)", job_id)
    return job_id


def child_of(sql: Session, *parents: str, **options: object) -> str:
    return publish(sql, "child", depends_on=list(parents), **options)


def test_a_child_is_blocked_until_its_parent_has_succeeded(sql: Session) -> None:
    parent = publish(sql)
    child = child_of(sql, parent)
    assert state(sql, child) == "blocked"
    assert sql.value("select kind from jobs.get(%s)", child) == "parent"

    end(sql, "succeeded")

    assert take(sql)["job_id"] == child


def test_the_answer_says_that_a_child_is_blocked(sql: Session) -> None:
    parent = publish(sql, key="first")
    row = sql.row("select state, created from jobs.publish('child', i_depends_on => array[%s])", parent)
    many = sql.row('select state from jobs.publish_many(\'[{"task": "child", "depends_on": ["first"]}]\')')

    assert row == {"state": "blocked", "created": True}
    assert many == {"state": "blocked"}


def test_a_child_waits_for_all_its_parents(sql: Session) -> None:
    parents = [publish(sql) for _ in range(3)]
    child = child_of(sql, *parents)

    for _ in parents:
        assert state(sql, child) == "blocked"
        end(sql, "succeeded")
        settle(sql)

    assert take(sql)["job_id"] == child


def test_a_parent_named_twice_by_id_and_by_key_counts_once(sql: Session) -> None:
    parent = sql.row("select job_id, id from jobs.publish('a', i_key => 'first')")
    child = child_of(sql, "first", str(parent["id"]), "first")

    assert sql.value("select pending from howdah.blocked where id = %s", int(child)) == 1


@pytest.mark.parametrize("how", ["succeeded", "failed", "cancelled"])
def test_with_allow_failure_the_child_runs_however_its_parent_ends(sql: Session, how: str) -> None:
    parent = publish(sql)
    child = child_of(sql, parent, allow_failure=True)

    assert end(sql, how) == parent

    assert take(sql)["job_id"] == child


@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_a_child_whose_parent_cannot_succeed_is_cancelled_and_says_why(sql: Session, how: str) -> None:
    parent = publish(sql, key="first")
    child = child_of(sql, parent)
    grandchild = child_of(sql, child)
    other = publish(sql)
    other_child = child_of(sql, other)

    end(sql, how)
    settle(sql)

    job = sql.row("select state, kind, error, attempt from jobs.get(%s)", child)
    assert (job["state"], job["kind"], job["attempt"]) == ("cancelled", "parent", 0)
    word = "failed" if how == "failed" else "was cancelled"
    assert job["error"].startswith(f"parent first {word}: ")
    assert sql.value("select error from jobs.get(%s)", grandchild).startswith(
        f"parent {child} was cancelled: "
    )
    assert state(sql, other_child) == "blocked"


def test_a_child_of_a_job_that_has_succeeded_is_ready_at_once(sql: Session) -> None:
    parent = publish(sql)
    end(sql, "succeeded")

    child = child_of(sql, parent)

    assert state(sql, child) == "ready"
    assert sql.value("select count(*) from howdah.edge") == 0


def test_a_child_of_a_job_that_has_failed_is_cancelled_or_runs_as_it_says(sql: Session) -> None:
    parent = publish(sql)
    end(sql, "failed")

    strict, tolerant = child_of(sql, parent), child_of(sql, parent, allow_failure=True)
    settle(sql)

    assert (state(sql, strict), state(sql, tolerant)) == ("cancelled", "ready")


def test_a_retry_of_a_failed_parent_leaves_its_cancelled_children_and_serves_new_ones(sql: Session) -> None:
    parent = publish(sql)
    before = child_of(sql, parent)
    end(sql, "failed")
    sql.execute("select jobs.retry(%s)", parent)
    after = child_of(sql, parent)  # before anybody has settled the first end
    settle(sql)

    assert (state(sql, before), state(sql, after)) == ("cancelled", "blocked")
    end(sql, "succeeded")
    assert take(sql)["job_id"] == after
    assert state(sql, before) == "cancelled"


@pytest.mark.parametrize("how", ["delete", "purge"])
def test_a_deleted_parent_counts_as_cancelled(sql: Session, how: str) -> None:
    parent = publish(sql, queue="q", key="first")
    strict, tolerant = child_of(sql, parent), child_of(sql, parent, allow_failure=True)

    sql.execute("select jobs.delete('first')" if how == "delete" else "select jobs.purge_queue('q')")
    settle(sql)

    assert (state(sql, strict), state(sql, tolerant)) == ("cancelled", "ready")
    number = sql.value("select (depends_on)[1] from howdah.job where id = %s", int(strict))
    assert sql.value("select error from jobs.get(%s)", strict) == f"parent {number} was deleted"


@pytest.mark.parametrize("settled", [False, True])
def test_a_parent_that_is_not_kept_has_succeeded_all_the_same(sql: Session, settled: bool) -> None:
    parent = publish(sql, result_ttl=0)
    child = child_of(sql, parent)
    if settled:
        settle(sql)
    end(sql, "succeeded")
    sql.execute("select jobs.prune(interval '0')")
    assert sql.value("select count(*) from jobs.get(%s)", parent) == 0

    settle(sql)

    assert state(sql, child) == "ready"
    assert sql.value("select count(*) from howdah.ended") == 0


def test_a_parent_pruned_while_its_child_is_being_published_has_succeeded_all_the_same(
    sql: Session, sessions: Callable[..., Session]
) -> None:
    publisher = sessions()
    parent = publish(sql, result_ttl=0)
    publisher.begin()
    child = child_of(publisher, parent)
    end(sql, "succeeded")
    sql.execute("select jobs.prune(interval '0')")
    settle(sql)
    publisher.commit()

    settle(sql)

    assert state(sql, child) == "ready"
    assert sql.value("select count(*) from howdah.ended") == 0


def test_a_delayed_child_waits_for_both(sql: Session, clock: Clock) -> None:
    parent = publish(sql)
    early, late = child_of(sql, parent, delay=60), child_of(sql, parent, delay=3600)
    clock.advance(seconds=120)

    end(sql, "succeeded")
    settle(sql)

    assert (state(sql, early), state(sql, late)) == ("ready", "scheduled")


def test_a_blocked_child_that_is_not_started_in_time_is_cancelled_and_its_children_hear_of_it(
    sql: Session, clock: Clock
) -> None:
    parent = publish(sql, delay=3600)
    child = child_of(sql, parent, ttl=60)
    grandchild = child_of(sql, child)
    clock.advance(seconds=61)
    settle(sql)

    assert sql.value("select kind from jobs.get(%s)", child) == "ttl"
    assert sql.value("select kind from jobs.get(%s)", grandchild) == "parent"
    assert sql.value("select count(*) from howdah.edge") == 0


@pytest.mark.parametrize(
    ("function", "then"), [("cancel", "cancelled"), ("retry", "ready"), ("delete", None)]
)
def test_a_blocked_child_can_be_cancelled_started_and_deleted(
    sql: Session, function: str, then: str | None
) -> None:
    child = child_of(sql, publish(sql), publish(sql))

    sql.execute(f"select jobs.{function}(%s)", child)

    assert [row["state"] for row in sql.rows("select state from jobs.get(%s)", child)] == (
        [then] if then else []
    )
    assert sql.value("select count(*) from howdah.edge") == 0
    end(sql, "succeeded")
    end(sql, "succeeded")
    settle(sql)
    assert sql.rows("select * from jobs.fsck()") == []


def test_a_worker_gets_the_child_in_the_exchange_that_ends_the_parent(sql: Session) -> None:
    worker = start_worker(sql, "shop.mail", "child")
    publish(sql)
    child = child_of(sql, publish(sql))
    publish(sql)
    sql.execute(
        "select jobs.cancel(id::text) from jobs.job_queue where id <> %s and id <> %s",
        int(child),
        int(child) - 1,
    )
    (parent,) = exchange(sql, worker, num=1)["jobs"]
    answer = exchange(sql, worker, [parent[0], parent[1], "succeeded", None], num=1)

    assert [job[0] for job in answer["jobs"]] == [int(child)]


def test_a_key_that_exists_keeps_its_parents(sql: Session) -> None:
    first, second = publish(sql), publish(sql)
    child_of(sql, first, key="k")

    answer = sql.row("select * from jobs.publish('child', i_key => 'k', i_depends_on => array[%s])", second)

    assert (answer["created"], answer["state"]) == (False, "blocked")
    assert [row["parent"] for row in sql.rows("select parent from howdah.edge")] == [int(first)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["999"], "there is no job 999"),
        (["nobody"], "there is no job nobody"),
        (["0x1"], "there is no job 0x1"),
        (["99999999999999999999"], "there is no job 99999999999999999999"),
        ([None], "contains null"),
        ([["1"], ["2"]], "is not a plain list"),
        (["mine"], "names the job itself, 'mine'"),
    ],
)
def test_bad_parents_are_refused_and_nothing_is_published(
    sql: Session, given: list[object], message: str
) -> None:
    publish(sql)
    before = counts(sql)

    error = refused(
        sql, "JB001", "select jobs.publish('child', i_key => 'mine', i_depends_on => %s::text[])", given
    )

    assert error.column_name == "depends_on"
    assert error.message_primary == f"depends_on: {message}"
    assert counts(sql) == before


def test_no_parents_is_no_dependency(sql: Session) -> None:
    assert state(sql, child_of(sql)) == "ready"
    assert sql.value("select pg_sequence_last_value('howdah.dependencies')") is None


def test_why_names_the_first_three_parents_and_counts_the_rest(sql: Session) -> None:
    parents = [publish(sql, "import", key="first"), *(publish(sql, "import", delay=60) for _ in range(4))]
    child = child_of(sql, *parents)

    assert sql.value("select jobs.why(%s)", child) == (
        f"It waits for 5 jobs to succeed: first (import, ready), {parents[1]} (import, scheduled), "
        f"{parents[2]} (import, scheduled) and 2 more."
    )


def test_relatives_are_all_parents_and_the_children_that_wait(sql: Session) -> None:
    first, second = publish(sql, key="first"), publish(sql)
    child = child_of(sql, first, second)
    end(sql, "succeeded")
    settle(sql)
    grandchild = child_of(sql, child)

    rows = sql.rows("select relation, job_id, task, state, awaited from jobs.relatives(%s)", child)

    assert [tuple(row.values()) for row in rows] == [
        ("parent", first, "shop.mail", "succeeded", False),
        ("parent", second, "shop.mail", "ready", True),
        ("child", grandchild, "child", "blocked", True),
    ]
