"""Limits of queues, tasks and keys: what runs at once, what starts how often, who waits, who is woken."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.sql.steps import consume, exchange, publish, refused, settle, start_worker, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.clock import Clock
    from tests.fixtures.sessions import Session


def sound(session: Session) -> None:
    assert session.rows("select * from jobs.fsck()") == []


def ack(session: Session, job_id: str) -> None:
    session.rows("select * from jobs.ack(%s)", job_id)


def taken(session: Session, num: int = 10) -> list[str]:
    return [row["job_id"] for row in consume(session, num)]


def test_a_queue_runs_no_more_than_its_limit_and_goes_on_when_a_slot_is_free(sql: Session) -> None:
    sql.rows("select jobs.set_queue('mail', i_max_running => 2)")
    jobs = [publish(sql, queue="mail") for _ in range(5)]
    other = publish(sql, queue="other")

    assert sorted(taken(sql)) == sorted([*jobs[:2], other])
    assert taken(sql) == []
    ack(sql, jobs[0])
    assert taken(sql) == [jobs[2]]
    assert state(sql, jobs[3]) == "ready"
    sound(sql)


def test_a_task_runs_no_more_than_its_limit_in_whatever_queue(sql: Session) -> None:
    sql.rows("select jobs.set_task('shop.mail', i_max_running => 1)")
    first, second, third = (publish(sql, queue=queue) for queue in ("a", "b", "a"))
    other = publish(sql, "shop.other", queue="a")

    assert sorted(taken(sql)) == sorted([first, other])
    assert state(sql, second) == state(sql, third) == "blocked"
    ack(sql, first)
    assert taken(sql) == [second]
    ack(sql, second)
    assert taken(sql) == [third]
    sound(sql)


def test_jobs_of_a_key_run_one_after_the_other_in_their_order(sql: Session) -> None:
    jobs = [publish(sql, concurrency_key="customer 7") for _ in range(3)]
    other = publish(sql, concurrency_key="customer 8")

    assert sorted(taken(sql)) == sorted([jobs[0], other])
    for job, after in pairwise(jobs):
        ack(sql, job)
        assert taken(sql) == [after]
    sound(sql)


def test_a_later_job_of_a_key_does_not_overtake_those_that_wait(sql: Session) -> None:
    first, second = (publish(sql, concurrency_key="k") for _ in range(2))
    assert taken(sql) == [first]
    third = publish(sql, concurrency_key="k")
    ack(sql, first)

    assert taken(sql) == [second]
    ack(sql, second)
    assert taken(sql) == [third]


def test_a_key_has_as_many_slots_as_its_jobs_say(sql: Session) -> None:
    jobs = [publish(sql, concurrency_key="k", concurrency_limit=3) for _ in range(5)]

    assert taken(sql) == jobs[:3]
    ack(sql, jobs[1])
    assert taken(sql) == jobs[3:4]
    sound(sql)


def test_what_is_set_for_a_key_counts_instead_of_what_its_jobs_say(sql: Session) -> None:
    jobs = [publish(sql, concurrency_key="k", concurrency_limit=3) for _ in range(5)]
    sql.rows("select jobs.set_key('k', i_max_running => 1)")
    assert taken(sql) == jobs[:1]
    sql.rows("select jobs.set_key('k', i_max_running => 2)")
    assert taken(sql) == jobs[1:2]
    sql.rows("select jobs.set_key('k', i_max_running => -1)")
    assert taken(sql) == jobs[2:3]
    sound(sql)


def test_a_job_may_take_several_slots_and_nobody_passes_it_meanwhile(sql: Session) -> None:
    sql.rows("select jobs.set_task('shop.mail', i_max_running => 3)")
    small, large, last = (publish(sql, slots=slots) for slots in (2, 2, 1))

    assert taken(sql) == [small]
    ack(sql, small)
    assert taken(sql) == [large, last]
    sound(sql)


def test_a_job_that_wants_more_slots_than_there_are_takes_all_of_them(sql: Session) -> None:
    sql.rows("select jobs.set_task('shop.mail', i_max_running => 2)")
    small, large, last = (publish(sql, slots=slots) for slots in (1, 9, 1))

    for job in (small, large, last):
        assert taken(sql) == [job]
        sound(sql)
        ack(sql, job)


def test_a_limit_of_zero_lets_nothing_start_until_it_is_raised(sql: Session) -> None:
    sql.rows("select jobs.set_task('shop.mail', i_max_running => 0)")
    job = publish(sql)
    assert taken(sql) == []
    sound(sql)
    sql.rows("select jobs.set_task('shop.mail', i_max_running => 1)")

    assert taken(sql) == [job]


def test_a_limit_counts_what_was_running_before_it_was_set(sql: Session) -> None:
    jobs = [publish(sql, queue="mail") for _ in range(4)]
    assert taken(sql, 2) == jobs[:2]
    sql.rows("select jobs.set_queue('mail', i_max_running => 2)")
    sql.rows("select jobs.set_task('shop.mail', i_max_running => 2)")

    assert taken(sql) == []
    ack(sql, jobs[0])
    assert taken(sql) == [jobs[2]]
    sound(sql)


def test_a_limit_that_is_raised_or_removed_lets_the_waiting_start(sql: Session) -> None:
    for setter, name in (("set_queue", "mail"), ("set_task", "shop.mail")):
        sql.rows(f"select jobs.{setter}('{name}', i_max_running => 1)")
    jobs = [publish(sql, queue="mail") for _ in range(5)]
    assert taken(sql) == jobs[:1]

    for setter, name in (("set_queue", "mail"), ("set_task", "shop.mail")):
        sql.rows(f"select jobs.{setter}('{name}', i_max_running => 2)")
    assert taken(sql) == jobs[1:2]
    sql.rows("select jobs.set_queue('mail', i_max_running => -1)")
    assert taken(sql) == []
    sql.rows("select jobs.set_task('shop.mail', i_max_running => -1)")
    assert taken(sql) == jobs[2:]
    sound(sql)


def test_a_rate_lets_so_many_start_in_any_interval(sql: Session, clock: Clock) -> None:
    sql.rows("select jobs.set_queue('mail', i_rate => 2, i_per => '10 s')")
    jobs = [publish(sql, queue="mail") for _ in range(6)]

    assert taken(sql, 1) == jobs[:1]
    clock.advance(4)
    assert taken(sql) == jobs[1:2]
    clock.advance(6)
    assert taken(sql) == []
    clock.advance(0.01)
    assert taken(sql) == jobs[2:3]
    clock.advance(4)
    assert taken(sql) == jobs[3:4]
    clock.advance(20)
    assert taken(sql) == jobs[4:6]
    sound(sql)


@pytest.mark.parametrize(
    ("setter", "options"),
    [("set_task('shop.mail'", {}), ("set_key('k'", {"concurrency_key": "k"})],
)
def test_a_rate_of_a_task_or_key_wakes_its_jobs_by_the_clock(
    sql: Session, clock: Clock, setter: str, options: dict[str, Any]
) -> None:
    sql.rows(f"select jobs.{setter}, i_rate => 1, i_per => '10 s')")
    jobs = [publish(sql, **options) for _ in range(3)]

    for job in jobs:
        assert taken(sql) == [job]
        ack(sql, job)
        assert taken(sql) == []
        clock.advance(10.01)
    sound(sql)


def test_ends_of_every_kind_give_their_slot_back(sql: Session) -> None:
    ends = (
        "jobs.ack(%s)",
        "jobs.nack(%s, i_final => true)",
        "jobs.snooze(%s, 100)",
        "jobs.nack(%s, i_delay => 100)",
        "jobs.delete(%s, true)",
    )
    jobs = [publish(sql, concurrency_key="k") for _ in range(len(ends) + 1)]
    for end, job in zip(ends, jobs, strict=False):
        assert taken(sql) == [job]
        sql.rows(f"select * from {end}", job)
        sound(sql)
    assert taken(sql) == [jobs[-1]]


def test_a_run_that_is_handed_back_gives_its_slot_to_the_next(sql: Session) -> None:
    first, second = (publish(sql, concurrency_key="k") for _ in range(2))
    assert taken(sql) == [first]
    assert taken(sql) == []
    sql.rows("select * from jobs.release(%s)", first)

    assert taken(sql) == [second]
    ack(sql, second)
    assert taken(sql) == [first]
    sound(sql)


def test_a_job_that_waits_for_an_earlier_one_of_its_key_takes_no_place_of_a_claim(sql: Session) -> None:
    """The earlier one is ready in a queue that comes later: claims of one job would else see neither."""
    query = "select job_id from jobs.consume(1, i_queues => %s)"
    first = publish(sql, concurrency_key="k")
    assert taken(sql) == [first]
    earlier = publish(sql, concurrency_key="k", queue="bulk")
    later = publish(sql, concurrency_key="k")
    assert sql.rows(query, ["default"]) == []  # it has been moved aside now
    ack(sql, first)

    for job in (earlier, later):
        assert sql.value(query, ["default", "bulk"]) == job
        ack(sql, job)
    sound(sql)


def test_a_run_past_its_timeout_gives_its_slot_back(sql: Session, clock: Clock) -> None:
    first, second = (publish(sql, concurrency_key="k", timeout=10, max_retries=0) for _ in range(2))
    assert taken(sql) == [first]
    clock.advance(11)

    assert taken(sql) == [second]
    assert state(sql, first) == "failed"
    sound(sql)


def test_a_worker_gets_the_next_of_a_key_with_the_answer_to_its_outcome(sql: Session) -> None:
    worker = start_worker(sql, "shop.mail")
    for _ in range(3):
        publish(sql, concurrency_key="k")

    claimed = exchange(sql, worker, num=5)["jobs"]
    for _ in range(2):
        assert len(claimed) == 1
        claimed = exchange(sql, worker, [claimed[0][0], claimed[0][1], "succeeded", None], num=5)["jobs"]
    assert len(claimed) == 1
    sound(sql)


def test_the_runs_of_a_dead_worker_give_their_slots_back(sql: Session, clock: Clock) -> None:
    worker = start_worker(sql, "shop.mail")
    first, second = (publish(sql, concurrency_key="k") for _ in range(2))
    assert len(exchange(sql, worker, num=5)["jobs"]) == 1
    clock.advance(120)
    settle(sql)

    assert taken(sql) == [second]
    ack(sql, second)
    assert taken(sql) == [first]
    sound(sql)


def test_what_waits_for_a_limit_can_be_cancelled_and_deleted(sql: Session) -> None:
    jobs = [publish(sql, concurrency_key="k") for _ in range(4)]
    assert taken(sql) == jobs[:1]
    sql.rows("select * from jobs.cancel(%s)", jobs[1])
    sql.rows("select * from jobs.delete(%s)", jobs[2])
    ack(sql, jobs[0])

    assert taken(sql) == jobs[3:]
    sound(sql)


def test_a_consumer_that_stays_open_holds_up_its_own_key_only(
    sql: Session, sessions: Callable[[], Session]
) -> None:
    held = publish(sql, concurrency_key="held")
    other = sessions()
    other.rows("begin")
    assert taken(other) == [held]
    behind = publish(sql, concurrency_key="held")
    free = publish(sql, concurrency_key="free")
    assert taken(sql) == [free]
    assert state(sql, behind) in ("ready", "blocked")
    other.rows("rollback")

    one_after_the_other = []
    for _ in range(2):
        (running,) = taken(sql)
        assert taken(sql) == []
        ack(sql, running)
        one_after_the_other.append(running)
    assert sorted(one_after_the_other) == sorted([held, behind])
    sound(sql)


def test_keys_that_nobody_uses_leave_nothing_behind(sql: Session) -> None:
    jobs = [publish(sql, concurrency_key=f"k{number}") for number in range(50)]
    assert len(taken(sql, 100)) == 50
    for job in jobs:
        ack(sql, job)
    settle(sql)

    assert sql.value("select count(*) from howdah.limits") == 0
    assert sql.value("select count(*) from howdah.freed") == 0


def test_a_full_queue_refuses_a_publish_and_says_when_to_try_again(sql: Session, clock: Clock) -> None:
    sql.rows("select jobs.set_queue('mail', i_max_waiting => 3)")
    for _ in range(3):
        publish(sql, queue="mail")
    publish(sql, queue="other")
    clock.advance(30)

    said = refused(sql, "JB008", "select * from jobs.publish('t', i_queue => 'mail')")
    assert said.message_primary == "queue mail is full: 3 jobs wait"
    assert said.message_detail == "10.0"
    refused(sql, "JB008", """select jobs.publish_each('t', '[1, 2]', i_queue => 'mail')""")
    refused(sql, "JB008", """select jobs.publish_many('[{"task": "t", "queue": "mail"}]')""")
    assert len(consume(sql, 1)) == 1
    publish(sql, queue="mail")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("jobs.set_queue('mail', i_max_running => -2)", "max_running"),
        ("jobs.set_queue('mail', i_rate => 5)", "per"),
        ("jobs.set_queue('mail', i_per => '1 min')", "rate"),
        ("jobs.set_queue('mail', i_rate => 0, i_per => '1 min')", "rate"),
        ("jobs.set_queue('mail', i_rate => 5, i_per => '-1 min')", "per"),
        ("jobs.set_queue('mail', i_max_waiting => -3)", "max_waiting"),
        ("jobs.set_task('a b', i_max_running => 1)", "task"),
        ("jobs.set_key(null, i_max_running => 1)", "concurrency_key"),
        ("jobs.publish('t', i_concurrency_limit => 2)", "concurrency_limit"),
        ("jobs.publish('t', i_concurrency_key => 'k', i_concurrency_limit => 0)", "concurrency_limit"),
        ("jobs.publish('t', i_concurrency_key => '')", "concurrency_key"),
        ("jobs.publish('t', i_slots => 0)", "slots"),
        ("jobs.publish('t', i_concurrency_key => 'k', i_concurrency_limit => 2, i_slots => 3)", "slots"),
    ],
)
def test_what_cannot_be_a_limit_is_refused_by_name(sql: Session, query: str, field: str) -> None:
    assert refused(sql, "JB001", f"select {query}").column_name == field


def test_why_names_the_limit_who_holds_it_and_when_it_opens(sql: Session, clock: Clock) -> None:
    def why(job_id: str) -> str:
        said: str = sql.value("select jobs.why(%s)", job_id)
        return said

    sql.rows("select jobs.set_queue('mail', i_max_running => 1)")
    sql.rows("select jobs.set_task('slow', i_rate => 1, i_per => '1 min')")
    ran, key, late, queue, behind = (
        publish(sql, queue="mail"),
        publish(sql, concurrency_key="k", key="first"),
        publish(sql, "slow"),
        publish(sql, queue="mail"),
        publish(sql, concurrency_key="k"),
    )
    assert len(taken(sql)) == 3
    last, slow = publish(sql, concurrency_key="k"), publish(sql, "slow")
    assert taken(sql) == []

    assert why(queue) == f"It is ready, and waits for a slot of queue mail, which has 1, held by {ran}."
    assert why(behind) == "It waits for a slot of key k, which has 1, held by first, with 0 jobs before it."
    assert why(last) == "It waits for a slot of key k, which has 1, held by first, with 1 job before it."
    assert why(slow).startswith("It waits for task slow, of which 1 may start in 60 s: the next at 20")
    assert why(late).startswith("It is running")
    assert key == "first"
    sound(sql)


def test_a_decision_made_late_counts_what_has_started_by_its_own_clock(sql: Session, clock: Clock) -> None:
    sql.rows("select jobs.set_queue('mail', i_rate => 2, i_per => '10 s')")
    jobs = [publish(sql, queue="mail") for _ in range(6)]
    assert taken(sql) == jobs[:2]
    clock.advance(10.1)
    assert taken(sql, 1) == jobs[2:3]
    clock.advance(-0.2)  # whoever read the clock before the other, and decides after it

    assert taken(sql) == []
    clock.advance(0.2)
    assert taken(sql) == jobs[3:4]


def test_a_worker_is_told_when_a_rate_opens(sql: Session, clock: Clock) -> None:
    sql.rows("select jobs.set_queue('mail', i_rate => 1, i_per => '10 s')")
    worker = start_worker(sql, "shop.mail")
    for _ in range(2):
        publish(sql, queue="mail")
    assert len(exchange(sql, worker, num=5)["jobs"]) == 1
    clock.advance(3)

    assert exchange(sql, worker, num=5)["next"] == pytest.approx(7, abs=0.1)


def test_a_burst_waits_for_what_a_limit_holds_back(sql: Session) -> None:
    jobs = [publish(sql, concurrency_key="k") for _ in range(3)]
    assert taken(sql) == jobs[:1]
    assert taken(sql) == []

    assert sql.value("select jobs.unfinished()") == 3
    assert sql.value("select jobs.unfinished(array['other'])") == 0
    assert sql.rows("select * from jobs.left_over()") == []


def test_what_has_to_wait_keeps_nobody_behind_it_from_starting(sql: Session) -> None:
    sql.rows("select jobs.set_queue('mail', i_max_running => 3)")
    sql.rows("select jobs.set_task('slow', i_max_running => 1)")
    large = [publish(sql, queue="mail", slots=2) for _ in range(2)]
    slow = [publish(sql, "slow") for _ in range(6)]
    other = publish(sql, "shop.other")

    assert taken(sql, 1) == large[:1]
    assert taken(sql, 1) == slow[:1]
    assert taken(sql, 1) == [other]
    assert taken(sql, 1) == []
    ack(sql, large[0])
    assert taken(sql, 1) == large[1:]
    sound(sql)


@pytest.mark.parametrize("limit", [None, 100])
def test_one_claim_looks_past_thousands_that_have_to_wait(sql: Session, limit: int | None) -> None:
    if limit is not None:
        sql.rows("select jobs.set_queue('mail', i_max_running => %s)", limit)
    first = publish(sql, queue="mail", concurrency_key="customer 7")
    for _ in range(3):
        sql.rows(
            "select jobs.publish('shop.mail', i_queue => 'mail', i_concurrency_key => 'customer 7') "
            "from generate_series(1, 1000)"
        )
    other = publish(sql, queue="mail", concurrency_key="customer 8")

    assert taken(sql, 1) == [first]
    assert taken(sql, 1) == [other]
    sound(sql)


def test_a_rate_set_for_a_key_leaves_it_as_many_slots_as_its_jobs_say(sql: Session) -> None:
    sql.rows("select jobs.set_key('k', i_rate => 100, i_per => '1 min')")
    jobs = [publish(sql, concurrency_key="k") for _ in range(3)]

    assert taken(sql) == jobs[:1]
    sound(sql)


def test_who_waits_behind_the_first_of_a_line_goes_on_when_that_one_is_gone(sql: Session) -> None:
    for leave in ("cancel", "delete"):
        sql.rows("select jobs.set_task('shop.mail', i_max_running => 3)")
        running, large, small = (publish(sql, slots=slots) for slots in (2, 3, 1))
        assert taken(sql) == [running]
        assert taken(sql) == []
        sql.rows(f"select * from jobs.{leave}(%s)", large)

        assert taken(sql) == [small]
        sound(sql)
        ack(sql, running)
        ack(sql, small)


def test_who_waits_behind_the_first_of_a_line_goes_on_when_that_one_has_to_wait_in_another(
    sql: Session,
) -> None:
    sql.rows("select jobs.set_task('slow', i_max_running => 1)")
    slow, first = publish(sql, "slow"), publish(sql, concurrency_key="k")
    assert taken(sql) == [slow, first]
    publish(sql, "slow", concurrency_key="k")
    last = publish(sql, concurrency_key="k")
    assert taken(sql) == []
    ack(sql, first)

    assert taken(sql) == [last]
    sound(sql)


def test_what_waits_for_a_limit_goes_where_its_task_is_declared_to_belong(sql: Session) -> None:
    first, second = (publish(sql, "late", concurrency_key="k") for _ in range(2))
    assert taken(sql) == [first]
    assert taken(sql) == []
    start_worker(sql, {"name": "late", "queue": "mail", "priority": 5})
    ack(sql, first)

    assert sql.value("select job_id from jobs.consume(1, array['mail'])") == second
    sound(sql)


@pytest.mark.parametrize("options", [{"tenant": "one"}, {"requires": ["gpu"]}])
def test_jobs_of_new_tenants_and_labels_count_in_a_full_queue(sql: Session, options: dict[str, Any]) -> None:
    sql.rows("select jobs.set_queue('mail', i_max_waiting => 1)")
    publish(sql, queue="mail.bulk")
    publish(sql, queue="mail", **options)

    refused(sql, "JB008", "select * from jobs.publish('t', i_queue => 'mail')")


def test_who_comes_from_the_line_of_a_key_passes_nobody_in_the_line_of_its_task(sql: Session) -> None:
    sql.rows("select jobs.set_task('shop.mail', i_max_running => 3)")
    running, large = publish(sql, slots=2), publish(sql, slots=2)
    held = publish(sql, "shop.other", concurrency_key="k")
    assert taken(sql) == [running, held]
    behind = publish(sql, concurrency_key="k")
    assert taken(sql) == []
    assert sql.value("select jobs.why(%s)", behind).startswith("It waits for a slot of key k")
    ack(sql, held)

    assert taken(sql) == []
    ack(sql, running)
    assert taken(sql) == [large, behind]
    sound(sql)


@pytest.mark.parametrize("queues", [["mail"], ["bulk", "mail"], ["mail", "bulk"]])
def test_in_a_line_higher_priorities_go_first_however_late_they_come(sql: Session, queues: list[str]) -> None:
    options: dict[str, Any] = {"concurrency_key": "k", "concurrency_limit": 2}
    running = [publish(sql, queue=queues[0], **options) for _ in range(2)]
    patient = publish(sql, queue=queues[0], **options)
    assert taken(sql) == running
    urgent = publish(sql, queue="mail", priority=5, **options)
    assert taken(sql) == []
    for job in running:
        ack(sql, job)

    rows = sql.rows("select job_id from jobs.consume(5, %s)", queues)
    assert [row["job_id"] for row in rows] == [urgent, patient]
    sound(sql)


def test_a_claim_of_one_looks_into_every_line_that_has_news(sql: Session) -> None:
    sql.rows("select jobs.set_task('shop.mail', i_max_running => 2)")
    running, large = publish(sql, slots=2), publish(sql, slots=2)
    small = [publish(sql, "shop.other", concurrency_key="k") for _ in range(2)]
    assert taken(sql) == [running, small[0]]
    assert taken(sql) == []
    sql.rows("select jobs.set_task('shop.mail', i_max_running => 2)")  # news, and nothing can start
    ack(sql, small[0])

    assert taken(sql, 1) == small[1:]
    ack(sql, running)
    assert taken(sql, 1) == [large]
    sound(sql)


def test_a_hundred_lines_with_news_of_another_queue_hide_none_of_its_own(sql: Session) -> None:
    for number in range(100):
        for _ in range(2):
            publish(sql, queue="other", concurrency_key=f"other {number}")
    waiting = [publish(sql, queue="mail", concurrency_key="mine") for _ in range(2)]
    running = sql.rows("select * from jobs.consume(i_num => 500)")
    assert len(running) == 101
    for job in running:
        ack(sql, job["job_id"])

    mine = sql.rows("select * from jobs.consume(i_queues => '{mail}', i_num => 1)")
    assert [job["job_id"] for job in mine] == waiting[1:]
    assert len(sql.rows("select * from jobs.consume(i_num => 500)")) == 100
    sound(sql)


def test_of_two_claims_one_looks_past_what_has_to_wait_and_the_other_comes_again(
    sql: Session, sessions: Callable[[], Session]
) -> None:
    """Each would pass over what the other has locked: thousands of rows, again and again."""
    publish(sql, concurrency_key="customer 7")
    sql.rows(
        "select jobs.publish('shop.mail', i_concurrency_key => 'customer 7') from generate_series(1, 1000)"
    )
    assert len(taken(sql, 1)) == 1
    looking = sessions()
    looking.begin()
    looking.value("select pg_advisory_xact_lock(48178, 3)")
    other = publish(sql, concurrency_key="customer 8")

    assert taken(sql, 1) == []
    moved = sql.value("select count(*) from howdah.blocked")
    assert moved < 200
    looking.rollback()
    assert taken(sql, 1) == [other]
    sound(sql)


def test_who_makes_way_in_a_limited_queue_does_not_close_it(sql: Session) -> None:
    sql.rows("select jobs.set_queue('mail', i_max_running => 5)")
    sql.rows("select jobs.set_task('slow', i_max_running => 1)")
    first, slow = publish(sql, queue="mail", concurrency_key="k"), publish(sql, "slow")
    assert sorted(taken(sql)) == sorted([first, slow])
    publish(sql, "slow", queue="mail", concurrency_key="k")
    assert taken(sql) == []
    ack(sql, first)
    free = publish(sql, queue="mail")

    assert taken(sql, 1) == [free]
    sound(sql)


def test_who_comes_before_the_first_of_a_line_is_not_kept_by_what_that_one_needs(sql: Session) -> None:
    sql.rows("select jobs.set_task('shop.mail', i_max_running => 2)")
    running, large = publish(sql), publish(sql, slots=2)
    assert taken(sql) == [running]
    urgent = publish(sql, priority=5)
    sql.rows("select jobs.set_task('shop.mail', i_max_running => 2)")  # news: both are looked at together

    assert taken(sql) == [urgent]
    for job in (running, urgent):
        ack(sql, job)
    assert taken(sql) == [large]
    sound(sql)
