"""What is claimed next where more counts than priorities: order, shares, tenants, labels, ageing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from psycopg.types.json import Jsonb

from tests.sql.steps import consume, exchange, publish, refused, settle, start_worker, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.clock import Clock
    from tests.fixtures.sessions import Session


def keys(session: Session, num: int = 10, **options: object) -> list[str]:
    """Claim as a plain consumer; return the keys in the order of claiming."""
    named = "".join(f", i_{name} => %s" for name in options)
    return [
        row["key"] for row in session.rows(f"select key from jobs.consume(%s{named})", num, *options.values())
    ]


def claimed(session: Session, worker: int, num: int, shares: list[int] | None = None) -> list[str]:
    """Claim for a worker; return the queues of the jobs in the order of claiming."""
    answer = session.value("select jobs.exchange(%s, null, %s, i_shares => %s)", worker, num, shares)
    return [job[4] for job in answer["jobs"]]


def crowd(session: Session, jobs: int, **options: object) -> None:
    """Publish many jobs of task a."""
    named = "".join(f", i_{name} => %s" for name in options)
    bodies = Jsonb([0] * jobs)
    session.rows(f"select jobs.publish_each('a', %s{named})", bodies, *options.values())


# ── At the front ──


def test_a_job_at_the_front_goes_before_every_priority_and_fifo_among_its_like(sql: Session) -> None:
    publish(sql, key="top", priority=32766)
    publish(sql, key="first", at_front=True)
    publish(sql, key="second", at_front=True)

    assert keys(sql) == ["first", "second", "top"]


@pytest.mark.parametrize("path", ["publish_many", "publish_each"])
def test_bulk_forms_publish_at_the_front(sql: Session, path: str) -> None:
    publish(sql, priority=32766)
    if path == "publish_many":
        sql.rows("select * from jobs.publish_many(%s)", Jsonb([{"task": "urgent", "at_front": True}]))
    else:
        sql.rows("select jobs.publish_each('urgent', '[1]', i_at_front => true)")

    assert consume(sql)[0]["task"] == "urgent"


def test_a_job_at_the_front_that_is_due_later_is_at_the_front_when_it_is(sql: Session, clock: Clock) -> None:
    publish(sql, key="later", at_front=True, delay=10)
    publish(sql, key="now", priority=32766)
    clock.advance(11)

    assert keys(sql) == ["later", "now"]


def test_at_front_and_a_priority_exclude_each_other(sql: Session) -> None:
    problem = refused(sql, "JB001", "select jobs.publish('a', i_priority => 1, i_at_front => true)")

    assert problem.column_name == "at_front"


# ── Queues in the order given ──


def test_queues_are_taken_in_the_order_given_whatever_their_priorities(sql: Session) -> None:
    publish(sql, key="low", queue="low", priority=100)
    publish(sql, key="default", priority=50)
    publish(sql, key="high", queue="high")
    publish(sql, key="higher", queue="high", priority=1)

    assert keys(sql, queues=["high", "default", "low"]) == ["higher", "high", "default", "low"]


def test_a_worker_takes_its_queues_in_the_order_given(sql: Session) -> None:
    crowd(sql, 20, queue="low", priority=9)
    crowd(sql, 5, queue="high")
    worker = start_worker(sql, "a", queues=["high", "low"])

    assert claimed(sql, worker, 10) == ["high"] * 5 + ["low"] * 5


def test_shares_mix_queues_and_what_one_has_not_got_the_others_give(sql: Session) -> None:
    crowd(sql, 100, queue="high")
    crowd(sql, 4, queue="low")
    worker = start_worker(sql, "a", queues=["high", "low"])

    first = claimed(sql, worker, 12, [9, 3])
    assert Counter(first) == {"high": 9, "low": 3}
    assert Counter(first[:4]) == {"high": 3, "low": 1}
    assert Counter(claimed(sql, worker, 12, [9, 3])) == {"high": 11, "low": 1}


# ── Ageing ──


def test_a_job_that_has_waited_longer_than_its_queue_allows_goes_first(sql: Session, clock: Clock) -> None:
    sql.execute("select jobs.set_queue('default', i_ageing => 60)")
    publish(sql, key="old", priority=-5)
    publish(sql, key="front", at_front=True)
    assert keys(sql, 1) == ["front"]

    clock.advance(61)
    publish(sql, key="new", at_front=True)

    assert keys(sql, 2) == ["old", "new"]


def test_only_what_has_aged_goes_first_oldest_first(sql: Session, clock: Clock) -> None:
    sql.execute("select jobs.set_queue('default', i_ageing => 60)")
    publish(sql, key="a", priority=1)
    clock.advance(20)
    publish(sql, key="b", priority=2)
    clock.advance(20)
    publish(sql, key="c", priority=1)
    clock.advance(45)
    publish(sql, key="d", priority=9)

    assert keys(sql) == ["a", "b", "d", "c"]


def test_ageing_bounds_the_wait_under_an_endless_flood_of_higher_priorities(
    sql: Session, clock: Clock
) -> None:
    sql.execute("select jobs.set_queue('default', i_ageing => 30)")
    publish(sql, key="patient", priority=-32768)
    crowd(sql, 10, priority=9)
    waited = 0
    while "patient" not in keys(sql, 5):
        crowd(sql, 10, priority=9)
        clock.advance(1)
        waited += 1

    assert waited == 30


def test_ageing_can_be_taken_back(sql: Session, clock: Clock) -> None:
    sql.execute("select jobs.set_queue('default', i_ageing => 1)")
    sql.execute("select jobs.set_queue('default', i_ageing => -1)")
    publish(sql, key="low", priority=-1)
    clock.advance(5)
    publish(sql, key="high", priority=1)

    assert keys(sql) == ["high", "low"]


# ── Tenants ──


def test_one_job_of_a_tenant_starts_in_the_next_batch_before_the_rest_of_another_s_many(sql: Session) -> None:
    crowd(sql, 100_000, tenant="many")
    publish(sql, key="one", tenant="few")

    assert "one" in keys(sql, 2)


def test_tenants_take_turns_in_every_batch_and_over_batches_of_one(sql: Session) -> None:
    for tenant in ("a", "b", "c", "d"):
        crowd(sql, 400, tenant=tenant)
    of = "select j.tenant from jobs.consume(%s) c join howdah.job j on j.id = c.id"

    assert Counter(row["tenant"] for row in sql.rows(of, 40)) == dict.fromkeys("abcd", 10)
    ones = Counter(sql.value(of, 1) for _ in range(200))
    assert all(45 <= ones[tenant] <= 55 for tenant in "abcd")


def test_what_some_tenants_have_not_got_the_others_give(sql: Session) -> None:
    crowd(sql, 100, tenant="a")
    crowd(sql, 3, tenant="b")
    crowd(sql, 30)

    assert len(consume(sql, 120)) == 120
    assert len(consume(sql, 120)) == 13


def test_a_higher_priority_goes_before_the_turns(sql: Session) -> None:
    publish(sql, key="b", tenant="b")
    publish(sql, key="a", tenant="a", priority=1)
    publish(sql, key="c", tenant="c", priority=1)

    assert keys(sql)[2] == "b"


def test_more_tenants_than_a_claim_looks_at_are_all_served(sql: Session) -> None:
    jobs = [{"task": "a", "tenant": f"t{n}"} for n in range(300)]
    sql.rows("select * from jobs.publish_many(%s)", Jsonb(jobs))
    settle(sql)

    sizes = [len(consume(sql, 70)) for _ in range(6)]

    assert sizes == [70, 70, 70, 70, 20, 0]


def test_a_tenant_s_job_is_found_wherever_it_lies(sql: Session, clock: Clock) -> None:
    job = publish(sql, tenant="a", max_retries=1)

    assert state(sql, job) == "ready"
    assert sql.value("select queue from jobs.job_queue where job_id = %s", job) == "default"
    run = consume(sql)[0]
    sql.rows("select jobs.nack(%s, i_run_id => %s, i_delay => 5)", job, run["run_id"])
    clock.advance(6)
    settle(sql)
    assert sql.value("select queue from howdah.ready") == "default/a"
    sql.rows("select jobs.cancel(%s)", job)
    assert state(sql, job) == "cancelled"


def test_the_lanes_of_tenants_count_as_their_queue(sql: Session) -> None:
    publish(sql, tenant="a", queue="mail")
    publish(sql, tenant="b", queue="mail")
    publish(sql, queue="mail")

    assert sql.value("select ready from jobs.queues where queue = 'mail'") == 3
    assert sql.value("select value from jobs.stats() where name = 'ready'") == 3
    assert sql.value("select jobs.unfinished(array['mail'])") == 3
    sql.execute("select jobs.pause_queue('mail')")
    assert consume(sql) == []
    assert sql.value("select jobs.purge_queue('mail')") == 3


def test_a_tenant_s_name_is_checked(sql: Session) -> None:
    assert refused(sql, "JB001", "select jobs.publish('a', i_tenant => 'a/b')").column_name == "tenant"


# ── Labels ──


def test_a_job_is_claimed_only_by_a_worker_that_has_all_its_labels(sql: Session) -> None:
    job = publish(sql, "a", requires=["zone=a", "gpu"])
    bare, half, full = (
        start_worker(sql, "a", labels=have) for have in (None, ["gpu"], ["gpu", "zone=a", "ssd"])
    )

    assert [len(claimed(sql, worker, 5)) for worker in (bare, half)] == [0, 0]
    assert state(sql, job) == "ready"
    assert len(claimed(sql, full, 5)) == 1


def test_what_a_task_requires_holds_for_its_jobs_published_before_it_was_known(sql: Session) -> None:
    publish(sql, "a", key="early")
    bare = start_worker(sql, {"name": "a", "requires": ["gpu"]})
    publish(sql, "a", key="late")
    publish(sql, "a", key="any", requires=[])

    assert [job[8] for job in exchange(sql, bare, num=5)["jobs"]] == ["any"]
    full = start_worker(sql, {"name": "a", "requires": ["gpu"]}, labels=["gpu"])
    assert sorted(job[8] for job in exchange(sql, full, num=5)["jobs"]) == ["early", "late"]


def test_a_plain_consumer_takes_what_requires_labels_when_it_names_them(sql: Session) -> None:
    publish(sql, key="plain")
    publish(sql, key="gpu", requires=["gpu"])

    assert keys(sql) == ["plain"]
    assert keys(sql, labels=["gpu"]) == ["gpu"]


def test_jobs_that_nobody_can_run_are_not_walked_over_by_the_others(sql: Session) -> None:
    crowd(sql, 20_000, requires=["gpu"])
    settle(sql)
    publish(sql, key="plain")
    sql.begin()
    read = "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relname = 'ready'"

    before = sql.value(read) or 0
    taken = keys(sql)

    assert taken == ["plain"]
    assert sql.value(read) - before < 50
    sql.rollback()


def test_why_names_the_missing_label(sql: Session) -> None:
    job = publish(sql, "a", requires=["gpu", "zone=a"])
    start_worker(sql, "a", labels=["gpu"])

    why = sql.value("select jobs.why(%s)", job)

    assert why == (
        "It is ready, but it requires gpu and zone=a,"
        " and of the workers that serve queue default and know task a none has zone=a."
    )


def test_labels_are_checked(sql: Session) -> None:
    assert refused(sql, "JB001", "select jobs.publish('a', i_requires => '{a+b}')").column_name == "requires"
    assert (
        refused(sql, "JB001", "select jobs.worker_started('w', i_labels => '{\"\"}')").column_name == "labels"
    )


def test_the_doorbell_wakes_a_worker_that_has_the_labels(
    sql: Session, sessions: Callable[..., Session]
) -> None:
    del sessions
    bare, full = start_worker(sql, "a"), start_worker(sql, "a", labels=["gpu"])
    for worker in (bare, full, bare, full):
        exchange(sql, worker, num=1, sleep=True)

    lane = sql.value("select howdah.lane_of('default', null, '{gpu}')")
    assert [row["choose"] for row in sql.rows("select howdah.choose(array[%s], array['a'], 2)", lane)] == [
        full
    ]
    both = sql.rows("select howdah.choose(array['default'], array['a'], 2)")
    assert {row["choose"] for row in both} == {bare, full}


def test_all_is_well_with_every_option_at_once(sql: Session) -> None:
    sql.execute("select jobs.set_queue('default', i_ageing => 60)")
    for number in range(60):
        publish(
            sql, "a", tenant=f"t{number % 7}", requires=["gpu"] if number % 3 else [], priority=number % 4
        )

    taken = sql.rows("select job_id from jobs.consume(25, i_labels => array['gpu'])")

    assert len({row["job_id"] for row in taken}) == 25
    assert sql.rows("select * from jobs.fsck()") == []
