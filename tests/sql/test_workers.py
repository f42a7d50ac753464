"""The worker protocol: registration, exchange, heartbeat, sleep, death."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from chaos.server import ChaosServer
from howdah.migrate import migrate
from howdah.testing.databases import fastest_folder
from tests.sql.steps import consume, counts, exchange, publish, refused, start_worker, state, take

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.clock import Clock
    from tests.fixtures.sessions import Session


def claim(sql: Session, worker: int, num: int = 10) -> list[list[Any]]:
    """Claim until there is nothing new: a worker may only find a new lane after a tick."""
    runs: list[list[Any]] = exchange(sql, worker, num=num, sleep=True)["jobs"]
    return runs


def asleep(sql: Session, worker: int) -> bool:
    found: bool = sql.value("select asleep from jobs.workers where worker_id = %s", worker)
    return found


def test_each_start_has_a_new_number(sql: Session) -> None:
    assert start_worker(sql) != start_worker(sql)


def test_the_view_shows_what_a_worker_said_about_itself(sql: Session, clock: Clock) -> None:
    worker = start_worker(
        sql, "a", "b", queues=["mail"], topic="a.%", allow=["shop"], host="box", pid=77, lease=30
    )

    row = sql.row("select * from jobs.workers")

    assert row == {
        "worker_id": worker, "name": "test", "host": "box", "pid": 77, "queues": ["mail"], "topic": "a.%",
        "tasks": 2, "allow": ["shop"], "started_at": clock.now(), "beat_at": clock.now(), "lease": 30,
        "alive": True, "running": 0, "asleep": False, "labels": [],
    }  # fmt: skip


def test_an_exchange_claims_with_everything_a_run_needs(sql: Session) -> None:
    job_id = publish(
        sql, "a.b", body=Jsonb([1]), queue="mail", priority=3, timeout=5, max_retries=2, key='k"\\é',
        headers={"h": 1}, meta={"m": 2},
    )  # fmt: skip
    worker = start_worker(sql, "a.b")

    (run,) = claim(sql, worker)

    number = sql.value("select id from jobs.get(%s)", job_id)
    run_id = sql.value("select run_id from jobs.running")
    assert run == [number, run_id, 1, "a.b", "mail", 3, 5, 2, 'k"\\é', {"h": 1}, {"m": 2}, [1]]


def test_an_exchange_takes_no_more_than_asked(sql: Session) -> None:
    for _ in range(5):
        publish(sql, "a.b")
    worker = start_worker(sql, "a.b")

    assert len(claim(sql, worker, 3)) == 3
    assert len(claim(sql, worker, 3)) == 2
    assert exchange(sql, worker)["jobs"] == []


def test_a_number_not_given_claims_nothing(sql: Session) -> None:
    publish(sql, "a.b")
    worker = start_worker(sql, "a.b")

    answer = sql.value("select jobs.exchange(%s, null, null, null)", worker)

    assert answer["jobs"] == []
    assert consume(sql) != []


def test_a_worker_gets_its_queues_its_topic_and_its_tasks_only(sql: Session) -> None:
    wanted = publish(sql, "shop.a", queue="mail")
    publish(sql, "shop.a", queue="other")
    publish(sql, "shop.unknown", queue="mail")
    publish(sql, "else.a", queue="mail")
    worker = start_worker(sql, "shop.a", "else.a", queues=["mail"], topic="shop.%")

    assert [run[0] for run in claim(sql, worker)] == [int(wanted)]


def test_a_worker_runs_functions_of_the_packages_it_allows(sql: Session) -> None:
    wanted = publish(sql, "my_shop.mails.send")
    for task in ("my_shop", "myxshop.mails.send", "my_shopping.send", "os.system"):
        publish(sql, task)
    worker = start_worker(sql, allow=["my_shop"])

    assert [run[0] for run in claim(sql, worker)] == [int(wanted)]


@pytest.mark.parametrize("allowed", ["%", "", "\\%", "%.%", "a b", None])
def test_an_odd_package_name_is_refused(sql: Session, allowed: str | None) -> None:
    said = refused(sql, "JB001", "select jobs.worker_started('w', i_allow => array['shop', %s])", allowed)

    assert said.column_name == "allow"
    assert sql.rows("select * from jobs.workers") == []


def test_a_package_name_is_no_pattern(sql: Session) -> None:
    publish(sql, "os.system")
    worker = start_worker(sql, allow=["_s", "o_"])

    assert claim(sql, worker) == []


def test_outcomes_of_every_kind_are_taken_in_one_exchange(sql: Session, clock: Clock) -> None:
    for _ in range(7):
        publish(sql, "a.b")
    worker = start_worker(sql, "a.b")
    runs = [(run[0], run[1]) for run in claim(sql, worker)]
    verbs: list[list[object]] = [
        ["succeeded", {"n": 1}],
        ["failed", "error", "boom", "trace", None, False],
        ["failed", "result", "too large", None, None, True],
        ["snoozed", 5],
        ["released"],
        ["cancelled", "changed its mind"],
        ["parked", "arguments", "no field x"],
    ]

    answer = exchange(sql, worker, *([*run, *verb] for run, verb in zip(runs, verbs, strict=True)))

    assert (answer["lost"], answer["later"]) == ([], [])
    rows = sql.rows('select state, attempt, kind from jobs."all" order by id')
    assert [(row["state"], row["attempt"], row["kind"]) for row in rows] == [
        ("succeeded", 1, None),
        ("scheduled", 1, "retry"),
        ("failed", 1, "result"),
        ("scheduled", 0, "time"),
        ("ready", 0, None),
        ("cancelled", 1, "revoked"),
        ("blocked", 0, "arguments"),
    ]
    assert sql.rows("select * from jobs.fsck()") == []


def test_a_failure_may_say_when_to_try_again(sql: Session, clock: Clock) -> None:
    publish(sql, "a.b")
    worker = start_worker(sql, "a.b")
    ((number, run_id, *_),) = claim(sql, worker)

    exchange(sql, worker, [number, run_id, "failed", "error", "x", None, 7.5, False])

    due = sql.value("select scheduled_at from jobs.job_queue")
    assert (due - clock.now()).total_seconds() == 7.5


def test_a_result_beyond_the_limit_ends_its_job_and_no_other(sql: Session) -> None:
    for _ in range(2):
        publish(sql, "a.b")
    worker = start_worker(sql, "a.b")
    (large, small) = ([run[0], run[1]] for run in claim(sql, worker))

    answer = exchange(sql, worker, [*large, "succeeded", "x" * 2**20], [*small, "succeeded", "y"])

    assert (answer["lost"], answer["later"]) == ([], [])
    rows = sql.rows("select state, kind, result from jobs.job order by id")
    assert rows == [
        {"state": "failed", "kind": "result", "result": None},
        {"state": "succeeded", "kind": None, "result": "y"},
    ]


def test_stale_outcomes_are_lost_and_change_nothing(sql: Session, clock: Clock) -> None:
    for _ in range(6):
        publish(sql, "a.b", max_retries=9)
    worker = start_worker(sql, "a.b")
    runs = [(run[0], run[1]) for run in claim(sql, worker)]
    clock.advance(3600)
    sql.execute("select jobs.maintain()")
    other = start_worker(sql, "a.b")
    assert len(claim(sql, other)) == 6
    before = counts(sql)
    verbs = ["succeeded", "failed", "snoozed", "released", "cancelled", "parked"]

    answer = exchange(sql, other, *([*run, verb] for run, verb in zip(runs, verbs, strict=True)))

    assert sorted(answer["lost"]) == sorted(run[1] for run in runs)
    assert counts(sql) == before
    refused(sql, "JB007", "select jobs.exchange(%s)", worker)


def test_a_locked_run_is_handed_in_later_and_stalls_no_other(
    sql: Session, sessions: Callable[..., Session]
) -> None:
    for _ in range(3):
        publish(sql, "a.b")
    worker = start_worker(sql, "a.b")
    runs = [[run[0], run[1]] for run in claim(sql, worker)]
    holder = sessions()
    holder.begin()
    holder.execute("select from howdah.running where id = any(%s) for update", [runs[0][0], runs[1][0]])

    first = exchange(
        sql, worker, [*runs[0], "succeeded", 1], [*runs[1], "released"], [*runs[2], "succeeded", 3]
    )
    holder.rollback()
    second = exchange(sql, worker, [*runs[0], "succeeded", 1], [*runs[1], "released"])

    assert (first["lost"], sorted(first["later"])) == ([], [runs[0][1], runs[1][1]])
    assert (second["lost"], second["later"]) == ([], [])
    assert sorted(row["state"] for row in sql.rows('select state from jobs."all"')) == [
        "ready",
        "succeeded",
        "succeeded",
    ]


def test_an_unknown_worker_is_told_to_register(sql: Session) -> None:
    for query in ("select jobs.exchange(77)", "select * from jobs.heartbeat(77)"):
        said = refused(sql, "JB007", query)
        assert said.column_name == "worker_id"
        assert "worker_started" in (said.message_hint or "")


def test_a_heartbeat_keeps_a_worker_alive(sql: Session, clock: Clock) -> None:
    job_id = publish(sql, "a.b", timeout=600)
    worker = start_worker(sql, "a.b", lease=15)
    claim(sql, worker)

    for _ in range(4):
        clock.advance(14)
        assert sql.rows("select * from jobs.heartbeat(%s)", worker) == []
        sql.execute("select jobs.maintain()")

    assert state(sql, job_id) == "running"
    assert sql.value("select alive from jobs.workers") is True


def test_a_worker_that_misses_its_lease_is_dead_and_its_runs_go_on(sql: Session, clock: Clock) -> None:
    job_id = publish(sql, "a.b")
    worker = start_worker(sql, "a.b", lease=15)
    ((number, run_id, *_),) = claim(sql, worker)
    clock.advance(15.001)

    sql.execute("select jobs.maintain()")

    assert sql.rows("select * from jobs.workers") == []
    assert state(sql, job_id) == "ready"
    refused(sql, "JB007", "select jobs.exchange(%s, %s)", worker, Jsonb([[number, run_id, "succeeded", 1]]))
    assert sql.row("select kind, attempt from jobs.failures(%s)", job_id) == {"kind": "crash", "attempt": 1}


def test_stopping_hands_runs_back_without_costing_an_attempt(sql: Session) -> None:
    job_id = publish(sql, "a.b", max_retries=0)
    worker = start_worker(sql, "a.b")
    claim(sql, worker)

    assert sql.value("select jobs.worker_stopped(%s)", worker) == 1

    assert (take(sql)["attempt"], sql.rows("select * from jobs.failures(%s)", job_id)) == (1, [])
    assert sql.rows("select * from jobs.workers") == []
    assert sql.value("select jobs.worker_stopped(%s)", worker) == 0


def die(sql: Session, *tasks: str, num: int = 10) -> list[Any]:
    """Start a worker, have it claim, and let it die; return what it was handed."""
    worker = start_worker(sql, *tasks)
    answer = exchange(sql, worker, num=num)
    sql.execute("select jobs.worker_stopped(%s, true)", worker)
    return [[run[0], run[2], run[1] in (answer.get("alone") or [])] for run in answer["jobs"]]


def test_the_death_of_a_worker_costs_a_job_nothing_however_often(sql: Session) -> None:
    job_id = publish(sql, "a.b", max_retries=0)
    start_worker(sql, "a.b")

    seen = [die(sql, "a.b") for _ in range(12)]

    assert [run[0][1:] for run in seen] == [[1, False]] * 2 + [[1, True]] * 10
    assert sql.row("select state, attempt from jobs.get(%s)", job_id) == {"state": "ready", "attempt": 0}
    assert sql.rows("select * from jobs.fsck()") == []


def test_a_suspect_waits_its_turn_for_a_process_of_its_own_and_says_so(sql: Session, clock: Clock) -> None:
    jobs = [publish(sql, "a.b") for _ in range(5)]
    start_worker(sql, "a.b", lease=3600)
    die(sql, "a.b"), die(sql, "a.b")

    waiting = [job for job in jobs if state(sql, job) == "blocked"]

    assert waiting == jobs[2:]
    assert sql.value("select jobs.why(%s)", waiting[0]) == (
        "Task a.b: its worker died 2 times while it ran, so it runs alone now,"
        " and waits for a process of its own."
    )
    assert sql.value("select jobs.unfinished()") == 5
    worker = start_worker(sql, "a.b", lease=3600)  # room for two more
    sql.execute("select jobs.maintain()")
    answer = exchange(sql, worker, num=10)
    assert [str(run[0]) for run in answer["jobs"]] == jobs[:4]
    assert answer["alone"] == [run[1] for run in answer["jobs"]]
    assert ", alone, because its worker died 2 times." in sql.value("select jobs.why(%s)", jobs[0])


def test_every_suspect_has_its_turn_in_the_order_of_the_deaths(sql: Session) -> None:
    jobs = [publish(sql, "a.b") for _ in range(9)]
    die(sql, "a.b"), die(sql, "a.b")
    worker = start_worker(sql, "a.b")

    turns: list[str] = []
    for _ in range(9):
        sql.execute("select jobs.maintain()")
        ((number, run_id, *_),) = claim(sql, worker, num=1)
        turns.append(str(number))
        exchange(sql, worker, [number, run_id, "succeeded", None])

    assert turns == jobs


def test_a_suspect_that_ends_or_is_retried_or_deleted_is_none_any_more(sql: Session) -> None:
    jobs = [publish(sql, "a.b") for _ in range(3)]
    die(sql, "a.b"), die(sql, "a.b")
    suspects = "select count(*) from howdah.suspect"

    assert sql.value(suspects) == 3
    sql.execute("select jobs.delete(%s)", jobs[0])
    sql.execute("select jobs.cancel(%s)", jobs[1])
    sql.execute("select jobs.cancel(%s)", jobs[2])
    sql.execute("select jobs.retry(%s)", jobs[2])
    assert sql.rows("select * from jobs.fsck()") == []
    sql.execute("select jobs.maintain()")

    assert sql.value(suspects) == 0
    assert die(sql, "a.b") == [[int(jobs[2]), 1, False]]


def test_plain_consumers_run_suspects_when_there_is_no_worker(sql: Session) -> None:
    jobs = [publish(sql, "a.b", timeout=5) for _ in range(3)]
    die(sql, "a.b"), die(sql, "a.b")

    assert [row["job_id"] for row in consume(sql)] == jobs


def test_a_paused_queue_keeps_no_suspect_of_another_waiting(sql: Session) -> None:
    paused = [publish(sql, "a.b", queue="mail") for _ in range(3)]
    job = publish(sql, "a.b")
    die(sql, "a.b"), die(sql, "a.b")
    sql.execute("select jobs.pause_queue('mail')")
    worker = start_worker(sql, "a.b")
    sql.execute("select jobs.maintain()")

    assert [str(run[0]) for run in claim(sql, worker)] == [job]
    assert {state(sql, each) for each in paused} <= {"ready", "blocked"}


def test_why_says_what_a_job_died_of_and_how_often(sql: Session) -> None:
    job_id = publish(sql, "a.b", max_retries=0)
    die(sql, "a.b"), die(sql, "a.b")
    worker = start_worker(sql, "a.b")
    sql.execute("select jobs.maintain()")
    ((_, run_id, *_),) = claim(sql, worker)

    sql.execute("select jobs.run_died(%s, %s, 'its process died: signal 11 (SIGSEGV)')", job_id, run_id)

    assert sql.value("select jobs.why(%s)", job_id).endswith(
        ": crash, its process died: signal 11 (SIGSEGV); its process died 3 times in all."
    )


def test_the_death_of_a_process_in_which_a_run_was_alone_costs_an_attempt(sql: Session) -> None:
    job_id = publish(sql, "a.b", max_retries=5)
    worker = start_worker(sql, "a.b")
    ((_, run_id, *_),) = claim(sql, worker)

    died = sql.row("select state from jobs.run_died(%s, %s, 'its process died: exit code 3')", job_id, run_id)

    assert died == {"state": "scheduled"}
    assert sql.row("select attempt, kind, error from jobs.failures(%s)", job_id) == {
        "attempt": 1,
        "kind": "crash",
        "error": "its process died: exit code 3",
    }
    assert sql.value("select attempt from jobs.get(%s)", job_id) == 1


def test_the_third_death_alone_ends_a_job_and_others_do_not_count(sql: Session) -> None:
    job_id = publish(sql, "a.b", max_retries=9, backoff=[0])
    worker, deaths = start_worker(sql, "a.b"), 0
    for _ in range(2):  # of its worker, with whatever else ran there
        claim(sql, worker)
        sql.execute("select jobs.worker_stopped(%s, true)", worker)
        worker = start_worker(sql, "a.b")

    while state(sql, job_id) != "failed":
        ((_, run_id, *_),) = claim(sql, worker)
        sql.execute("select jobs.run_died(%s, %s)", job_id, run_id)
        sql.execute("select jobs.maintain()")
        deaths += 1

    assert deaths == 3
    assert sql.row("select kind, error from jobs.job") == {"kind": "crash", "error": "its process died"}
    assert sql.rows("select * from jobs.fsck()") == []


def test_a_retried_job_may_die_three_times_again(sql: Session) -> None:
    job_id = publish(sql, "a.b", max_retries=9, backoff=[0])
    worker = start_worker(sql, "a.b")

    def deaths() -> int:
        count = 0
        while state(sql, job_id) != "failed":
            ((_, run_id, *_),) = claim(sql, worker)
            sql.execute("select jobs.run_died(%s, %s)", job_id, run_id)
            sql.execute("select jobs.maintain()")
            count += 1
        return count

    first = deaths()
    sql.execute("select jobs.retry(%s)", job_id)

    assert (first, deaths()) == (3, 3)


def test_only_the_current_run_of_a_worker_can_die_alone(sql: Session) -> None:
    job_id, plain = publish(sql, "a.b"), publish(sql, "c.d", priority=9)
    worker = start_worker(sql, "a.b")
    ((_, run_id, *_),) = claim(sql, worker)
    consumed = take(sql)

    refused(sql, "JB002", "select jobs.run_died(%s, %s)", job_id, run_id + 1000)
    refused(sql, "JB006", "select jobs.run_died(%s, null)", job_id)
    refused(sql, "JB003", "select jobs.run_died('nothing', 1)")
    refused(sql, "JB001", "select jobs.run_died(%s, %s)", plain, consumed["run_id"])

    assert (state(sql, job_id), state(sql, plain)) == ("running", "running")


def test_a_live_worker_s_run_far_past_its_timeout_is_taken_back(sql: Session, clock: Clock) -> None:
    publish(sql, "a.b", timeout=5)
    worker = start_worker(sql, "a.b", lease=3600)
    ((_, run_id, *_),) = claim(sql, worker)

    clock.advance(15.001)
    sql.execute("select jobs.maintain()")

    assert sql.rows("select * from jobs.heartbeat(%s)", worker) == [{"run_id": run_id, "verdict": "lost"}]
    assert sql.row("select state, attempt from jobs.job_queue") == {"state": "scheduled", "attempt": 1}
    assert sql.rows("select * from jobs.fsck()") == []


def test_a_worker_that_found_nothing_sleeps_until_a_publish_wakes_it(
    sql: Session, sessions: Callable[..., Session]
) -> None:
    listener = sessions()
    worker = start_worker(sql, "a.b")
    listener.execute(f"listen howdah_{worker}")
    first = exchange(sql, worker, num=1, sleep=True)
    second = exchange(sql, worker, num=1, sleep=True)

    publish(sql, "a.b")

    (bell,) = listener.connection.notifies(timeout=10, stop_after=1)
    assert (first["asleep"], second["settled"]) == (True, True)
    assert (bell.channel, bell.payload) == (f"howdah_{worker}", "")
    assert len(claim(sql, worker)) == 1
    assert not asleep(sql, worker)


def test_a_sleeper_is_not_settled_while_an_earlier_publisher_is_in_flight(
    sql: Session, sessions: Callable[..., Session]
) -> None:
    publisher = sessions()
    publisher.begin()
    publish(publisher, "a.b")
    worker = start_worker(sql, "a.b")
    exchange(sql, worker, num=1, sleep=True)

    assert exchange(sql, worker, num=1, sleep=True)["settled"] is False
    publisher.commit()

    assert len(exchange(sql, worker, num=1, sleep=True)["jobs"]) == 1


def test_a_publish_to_other_queues_does_not_wake(sql: Session, sessions: Callable[..., Session]) -> None:
    listener = sessions()
    worker = start_worker(sql, "a.b", queues=["mail"])
    exchange(sql, worker, num=1, sleep=True)
    listener.execute(f"listen howdah_{worker}")

    publish(sql, "a.b", queue="other")

    assert list(listener.connection.notifies(timeout=0.05, stop_after=1)) == []


RINGERS = {
    "retry": "select jobs.nack('job', i_delay => 1)",
    "snooze": "select jobs.snooze('job', 1)",
    "release": "select jobs.release('job')",
}


@pytest.mark.parametrize("query", RINGERS.values(), ids=RINGERS.keys())
@pytest.mark.parametrize("queues", [None, ["mail"]], ids=["of every queue", "of one queue"])
def test_what_comes_back_wakes_a_sleeper(
    sql: Session, sessions: Callable[..., Session], queues: list[str] | None, query: str
) -> None:
    publish(sql, "a.b", key="job", queue="mail")
    take(sql)
    worker = start_worker(sql, "a.b", queues=queues)
    exchange(sql, worker, num=1, sleep=True)
    listener = sessions()
    listener.execute(f"listen howdah_{worker}")

    sql.execute(query)

    assert len(list(listener.connection.notifies(timeout=5, stop_after=1))) == 1


def test_an_exchange_says_when_the_next_job_is_due(sql: Session) -> None:
    worker = start_worker(sql, "a.b")
    publish(sql, "a.b", delay=90)
    publish(sql, "a.b", delay=30)

    answer = exchange(sql, worker, num=1)

    assert answer["jobs"] == []
    assert 29 <= answer["next"] <= 30


def test_an_exchange_promotes_what_is_due(sql: Session, clock: Clock) -> None:
    publish(sql, "a.b", delay=30)
    worker = start_worker(sql, "a.b", lease=3600)
    clock.advance(30)
    sql.execute("select setval('howdah.last_tick', 0)")

    assert len(claim(sql, worker)) == 1


def test_a_paused_queue_is_not_claimed_by_workers(sql: Session) -> None:
    publish(sql, "a.b", queue="mail")
    sql.execute("select jobs.pause_queue('mail')")
    worker = start_worker(sql, "a.b")

    assert claim(sql, worker) == []


def test_two_exchanges_of_one_worker_may_be_under_way(sql: Session, sessions: Callable[..., Session]) -> None:
    for _ in range(4):
        publish(sql, "a.b")
    worker = start_worker(sql, "a.b")
    other = sessions()
    sql.begin()

    mine = exchange(sql, worker, num=2, sleep=True)["jobs"]
    others = exchange(other, worker, num=2, sleep=True)["jobs"]

    sql.commit()
    assert len({run[0] for run in mine + others}) == 4


def test_a_worker_hands_back_the_runs_that_it_does_not_hold(sql: Session) -> None:
    held, unknown = publish(sql, "a.b"), publish(sql, "a.b", max_retries=0)
    worker = start_worker(sql, "a.b")
    runs = {str(run[0]): run[1] for run in claim(sql, worker)}

    answer = sql.rows("select * from jobs.reconcile(%s, array[%s]::bigint[])", worker, runs[held])
    assert answer == [{"given_back": 1, "locked": 0}]

    assert (state(sql, held), state(sql, unknown)) == ("running", "ready")
    assert take(sql)["attempt"] == 1
    refused(sql, "JB007", "select jobs.reconcile(4711, '{}')")


def test_a_running_job_writes_its_log(sql: Session, clock: Clock) -> None:
    job_id = publish(sql)
    run_id = take(sql)["run_id"]
    lines = Jsonb([["INFO", "one"], ["error", "two"]])

    sql.execute("select jobs.log(%s, %s, %s)", job_id, run_id, lines)

    first, second = sql.rows("select * from jobs.logs(%s)", job_id)
    assert (first["level"], first["message"], first["run_id"], first["at"]) == (
        "info",
        "one",
        run_id,
        clock.now(),
    )
    assert (second["level"], second["message"]) == ("error", "two")
    assert sql.rows("select * from jobs.logs(%s, %s)", job_id, first["n"]) == [second]


def test_a_run_that_lost_its_lease_writes_no_log(sql: Session) -> None:
    job_id = publish(sql)
    run_id = take(sql)["run_id"]
    sql.execute("select jobs.release(%s)", job_id)

    refused(sql, "JB002", "select jobs.log(%s, %s, %s)", job_id, run_id, Jsonb([["info", "x"]]))

    assert sql.rows("select * from jobs.logs(%s)", job_id) == []


def test_a_log_keeps_its_newest_thousand_lines_and_goes_with_its_job(sql: Session) -> None:
    job_id = publish(sql)
    run_id = take(sql)["run_id"]
    for start in (0, 700):
        lines = Jsonb([["info", str(n)] for n in range(start, start + 700)])
        sql.execute("select jobs.log(%s, %s, %s)", job_id, run_id, lines)

    kept = sql.rows("select message from jobs.logs(%s, 0, 5000)", job_id)
    assert [row["message"] for row in kept] == [str(n) for n in range(400, 1400)]

    sql.execute("select jobs.delete(%s, true)", job_id)
    assert set(counts(sql).values()) == {0}


def tie(session: Session, worker: int) -> bool:
    """Tie a worker's life to a session, as its heartbeat does."""
    own: bool = session.value("select jobs.session_started(%s, pg_backend_pid())", worker)
    return own


def test_the_runs_of_a_worker_whose_session_has_ended_come_back_before_its_lease_ends(
    sql: Session, sessions: Callable[..., Session], clock: Clock
) -> None:
    job_id = publish(sql, "a.b", max_retries=0)
    worker, heart = start_worker(sql, "a.b", lease=3600), sessions()
    claim(sql, worker)
    assert tie(heart, worker) is True
    heart.execute("select jobs.heartbeat(%s)", worker)
    sql.execute("select jobs.maintain()")
    heart.connection.close()
    wait_for_the_end_of_sessions(sql)
    clock.advance(1)

    assert ("missing", 1) in chores(sql)
    assert state(sql, job_id) == "running"
    clock.advance(0.5)
    assert ("rescued", 1) in chores(sql)

    assert state(sql, job_id) == "ready"
    refused(sql, "JB007", "select * from jobs.heartbeat(%s)", worker)


def test_a_lost_session_alone_is_no_death(
    sql: Session, sessions: Callable[..., Session], clock: Clock
) -> None:
    job_id = publish(sql, "a.b")
    worker, heart = start_worker(sql, "a.b", lease=3600), sessions()
    claim(sql, worker)
    tie(heart, worker)
    heart.connection.close()
    wait_for_the_end_of_sessions(sql)
    clock.advance(1)
    assert ("missing", 1) in chores(sql)

    clock.advance(0.1)
    sql.execute("select jobs.heartbeat(%s)", worker)  # it is back
    clock.advance(0.5)
    assert ("rescued", 0) in chores(sql)
    assert tie(sessions(), worker) is True
    clock.advance(5)

    assert "missing" not in dict(chores(sql))
    assert state(sql, job_id) == "running"


def test_a_session_that_is_not_the_worker_s_own_ties_nothing(sql: Session, clock: Clock) -> None:
    """Behind a transaction pooler the client knows the number of no backend, or of another one."""
    job_id = publish(sql, "a.b")
    worker = start_worker(sql, "a.b", lease=3600)
    claim(sql, worker)

    assert sql.value("select jobs.session_started(%s, pg_backend_pid() + 1)", worker) is False
    assert sql.value("select jobs.session_started(%s, null)", worker) is False

    assert sql.value("select count(*) from pg_locks where locktype = 'advisory' and classid = 48179") == 0
    for _ in range(3):
        clock.advance(2)
        assert "missing" not in dict(chores(sql))
    assert state(sql, job_id) == "running"


def test_nobody_is_missed_while_the_server_has_just_come_back(
    sql: Session, sessions: Callable[..., Session], clock: Clock
) -> None:
    worker, heart = start_worker(sql, "a.b", lease=3600), sessions()
    tie(heart, worker)
    heart.connection.close()
    wait_for_the_end_of_sessions(sql)
    sql.execute(
        "create or replace function howdah.up_for() returns interval language sql return interval '1 s'"
    )
    clock.advance(1)

    assert "missing" not in dict(chores(sql))


def test_a_server_has_been_up_since_its_last_crash() -> None:
    server = ChaosServer(fastest_folder(1 << 30) or Path("/tmp"))
    try:
        server.start()
        migrate(server.dsn("postgres"))
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
            connection.execute("select pg_sleep(1.1)")
            assert connection.execute("select howdah.up_for() > '1 s'").fetchone() == (True,)
            (backend,) = connection.execute("select pg_backend_pid()").fetchone() or (0,)
            os.kill(backend, signal.SIGKILL)  # the server goes on, its sessions do not
        with suppress(psycopg.Error):
            connection.execute("select 1")
        assert _asked(server, "select howdah.up_for() < '1 s'")
        assert not _asked(server, "select pg_postmaster_start_time() > clock_timestamp() - interval '1 s'")
        assert _asked(server, "select pg_sleep(1.1) is not null and howdah.up_for() > '1 s'")
    finally:
        server.stop()


def _asked(server: ChaosServer, question: str) -> bool:
    """Ask, as soon as the server answers again."""
    for _ in range(200):
        with suppress(psycopg.OperationalError), psycopg.connect(server.dsn("postgres")) as connection:
            row = connection.execute(question.encode()).fetchone()
            return bool(row and row[0])
        time.sleep(0.02)
    raise AssertionError("the server has not come back")


def chores(sql: Session) -> list[tuple[str, int]]:
    return [(row["chore"], row["jobs"]) for row in sql.rows("select * from jobs.maintain()")]


def wait_for_the_end_of_sessions(sql: Session) -> None:
    """Wait until the server has noticed that a client has hung up."""
    locks = "select count(*) from pg_locks where locktype = 'advisory' and classid = 48179"
    while sql.value(locks):
        sql.execute("select pg_sleep(0.01)")
