"""Many sessions at once: no job twice, none lost, no limit exceeded, no deadlock."""

from __future__ import annotations

import json
import random
from collections import Counter
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg
import pytest

from tests.race.crew import run_together
from tests.race.steps import advance, consume, exchange, finish, hand_in, publish, start_worker, violations

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.database import Database
    from tests.fixtures.sessions import Session

    Opener = Callable[..., Session]

_DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"

# What a caller, or a pooler's former client, may have left in the session before its first claim.
_PLANNER = [
    ("enable_seqscan", "on"),
    *(
        (f"enable_{name}", "off")
        for name in (
            "hashjoin",
            "mergejoin",
            "nestloop",
            "hashagg",
            "sort",
            "indexscan",
            "indexonlyscan",
            "bitmapscan",
            "tidscan",
            "material",
            "memoize",
        )
    ),
    ("plan_cache_mode", "force_custom_plan"),
    ("jit_above_cost", "0"),
    ("from_collapse_limit", "1"),
    ("join_collapse_limit", "1"),
    ("cursor_tuple_fraction", "1"),
]


def _expecting(sqlstates: str, session: Session, call: str, *args: object) -> bool:
    """Run a call that may fail with one of these SQLSTATEs; return whether it did not."""
    try:
        session.rows(call, *args)
    except psycopg.Error as error:
        if error.sqlstate is None or error.sqlstate not in sqlstates:
            raise
        return False
    return True


def _finish_everything(session: Session, batch: int) -> list[int]:
    done: list[int] = []
    while ids := consume(session, batch):
        assert len(ids) <= batch
        finish(session, ids)
        done += ids
    return done


def test_no_job_is_claimed_twice_and_none_is_lost(sql: Session, database: Database) -> None:
    given = publish(sql, 2000)
    batches = (1, 3, 7, 20, 50, 100)
    done = run_together(database.dsn, [partial(_finish_everything, batch=n) for n in batches])
    assert sorted(chain.from_iterable(done)) == given
    assert violations(sql) == []


def test_workers_and_plain_consumers_share_without_overlap(sql: Session, database: Database) -> None:
    given = publish(sql, 1500)
    advance(sql)

    def as_worker(session: Session) -> list[int]:
        worker = start_worker(session)
        done: list[int] = []
        outcomes: list[list[Any]] = []
        while True:
            answer = hand_in(session, worker, outcomes, 40)
            assert answer["lost"] == []
            done += [o[0] for o in outcomes if o[1] not in answer["later"]]
            outcomes = [o for o in outcomes if o[1] in answer["later"]]
            outcomes += [[run[0], run[1], "succeeded", run[2]] for run in answer["jobs"]]
            if not outcomes:
                return done

    plain: Callable[[Session], list[int]] = partial(_finish_everything, batch=30)
    bodies = [as_worker, as_worker, as_worker, plain, plain, plain]
    done = run_together(database.dsn, bodies)
    assert sorted(chain.from_iterable(done)) == given
    assert sql.value("select count(*) from howdah.finished where state = 'succeeded'") == 1500
    assert violations(sql) == []


def test_claims_that_roll_back_leave_every_job_for_somebody(sql: Session, database: Database) -> None:
    given = publish(sql, 600)

    def undecided(session: Session) -> list[int]:
        chance = random.Random(session.pid)
        done: list[int] = []
        while True:
            session.begin()
            ids = consume(session, 15)
            if ids and chance.random() < 0.3:
                session.rollback()
                continue
            finish(session, ids)
            session.commit()
            if not ids:
                return done
            done += ids

    done = list(chain.from_iterable(run_together(database.dsn, [undecided] * 6)))
    done += _finish_everything(sql, 100)  # rolled back by the last one, when the others had gone home
    assert sorted(done) == given
    assert violations(sql) == []


@pytest.mark.parametrize("setting", _PLANNER, ids=lambda setting: f"{setting[0]}={setting[1]}")
def test_a_claim_takes_exactly_what_was_asked_whatever_the_caller_has_set(
    sql: Session, sessions: Opener, setting: tuple[str, str]
) -> None:
    publish(sql, 60)
    advance(sql)
    worker = start_worker(sql)
    caller = sessions()
    caller.rows("select set_config(%s, %s, false)", *setting)
    for count in (1, 5, 1, 10, 2, 3, 1):
        assert len(consume(caller, count)) == count
        assert len(exchange(caller, worker, count)["jobs"]) == count
    assert len(consume(caller, 100)) == 60 - 2 * 23
    assert violations(sql) == []


def test_a_claim_takes_exactly_what_was_asked_with_everything_turned_around(
    sql: Session, database: Database
) -> None:
    given = publish(sql, 400)
    settings = " ".join(f"-c {name}={value}" for name, value in _PLANNER)

    def claim(session: Session) -> list[int]:
        ids: list[int] = []
        for count in (1, 5, 1, 9, 30, 1, 2):
            taken = consume(session, count)
            assert len(taken) == count
            ids += taken
        return ids

    separator = "&" if "?" in database.dsn else "?"
    taken = run_together(f"{database.dsn}{separator}options={quote(settings)}", [claim] * 6)
    claimed = Counter(chain.from_iterable(taken))
    assert set(claimed.values()) == {1}
    assert len(claimed) == 6 * 49
    assert set(claimed) <= set(given)


# --- unique keys -----------------------------------------------------------------------------------------

_KEYED = "select (p).created, (p).id, (p).job_id from jobs.publish('demo.task', i_key => 'only') p"


@pytest.mark.parametrize("second_level", ["read committed", "repeatable read", "serializable"])
@pytest.mark.parametrize("first_level", ["read committed", "repeatable read", "serializable"])
@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_a_key_that_is_rolled_back_goes_to_the_publisher_that_waited(
    sql: Session,
    sessions: Opener,
    wait_until_blocked: Callable[[Session], None],
    ending: str,
    first_level: str,
    second_level: str,
) -> None:
    first, second = sessions(), sessions()
    first.begin(first_level)
    published = first.row(_KEYED)
    assert published["created"]
    second.begin(second_level)
    waiting = second.later(_KEYED)
    wait_until_blocked(second)
    first.execute(ending)
    if ending == "commit" and second_level != "read committed":
        with pytest.raises(psycopg.errors.SerializationFailure):
            waiting.result(10)
        second.rollback()
        assert second.row(_KEYED)["id"] == published["id"]
    else:
        (answer,) = waiting.result(10)
        second.commit()
        assert answer["created"] == (ending == "rollback")
        assert (answer["id"] == published["id"]) == (ending == "commit")
    assert sql.value("select count(*) from howdah.job where key = 'only'") == 1
    assert violations(sql) == []


def test_a_key_raced_for_by_many_makes_one_job(sql: Session, database: Database) -> None:
    def race(session: Session) -> list[tuple[int, bool]]:
        chance = random.Random(session.pid)
        kept: list[tuple[int, bool]] = []
        for number in range(60):
            session.begin()
            row = session.row(
                "select (p).id, (p).created from jobs.publish('demo.task', i_key => %s) p", f"k{number}"
            )
            if chance.random() < 0.5:
                session.rollback()
            else:
                session.commit()
                kept.append((row["id"], row["created"]))
        return kept

    kept = list(chain.from_iterable(run_together(database.dsn, [race] * 6)))
    created = [job for job, new in kept if new]
    jobs = {row["id"] for row in sql.rows("select id from howdah.job")}
    assert len(created) == len(set(created))
    assert {job for job, _ in kept} == jobs == set(created), "every answer names a job that is there"
    assert violations(sql) == []


def test_a_key_whose_job_is_deleted_meanwhile_is_published_after_all(
    sql: Session, database: Database
) -> None:
    def publisher(session: Session) -> list[dict[str, Any]]:
        return [session.row(_KEYED) for _ in range(400)]

    def deleter(session: Session) -> list[dict[str, Any]]:
        for _ in range(400):
            _expecting("JB003", session, "select jobs.delete('only')")
        return []

    answers = chain.from_iterable(run_together(database.dsn, [publisher] * 3 + [deleter] * 3))
    odd = [answer for answer in answers if answer["id"] is None]
    assert odd == [], f"{len(odd)} publishers were told of no job at all"


# --- deadlocks -------------------------------------------------------------------------------------------


def _acknowledge(session: Session, ids: list[int]) -> None:
    session.rows(
        "select jobs.ack(i::text) from unnest(%s::bigint[]) with ordinality u (i, n) order by n", ids
    )


def test_batches_handed_in_by_two_workers_in_opposite_orders_do_not_deadlock(
    sql: Session, database: Database
) -> None:
    worker = start_worker(sql)
    publish(sql, 2000)
    advance(sql)
    runs: list[list[Any]] = []
    while claimed := exchange(sql, worker, 500)["jobs"]:
        runs += [[run[0], run[1], "succeeded", None] for run in claimed]
    batches = [runs[at : at + 100] for at in range(0, 2000, 100)]

    def forwards(session: Session) -> int:
        return sum(_settle(session, worker, batch) for batch in batches)

    def backwards(session: Session) -> int:
        return sum(_settle(session, worker, batch[::-1]) for batch in batches)

    run_together(database.dsn, [forwards, backwards] * 3)
    assert sql.value("select count(*) from howdah.finished") == 2000
    assert sql.value(_DEADLOCKS) == 0
    assert violations(sql) == []


def _settle(session: Session, worker: int, outcomes: list[list[Any]]) -> int:
    """Hand in until nothing is to be handed in again later; return how many came too late."""
    lost = 0
    while outcomes:
        answer = hand_in(session, worker, outcomes)
        lost += len(answer["lost"])
        outcomes = [outcome for outcome in outcomes if outcome[1] in answer["later"]]
    return lost


def test_publishers_of_the_same_keys_in_opposite_orders_do_not_deadlock(
    sql: Session, database: Database
) -> None:
    def publisher(order: int) -> Callable[[Session], int]:
        def run(session: Session) -> int:
            for number in range(25):
                jobs = [{"task": "demo.task", "key": f"{number}-{key}"} for key in range(20)][::order]
                session.rows("select * from jobs.publish_many(%s::jsonb)", json.dumps(jobs))
            return order

        return run

    run_together(database.dsn, [publisher(1), publisher(-1)] * 3)
    assert sql.value("select count(*) from howdah.job") == 25 * 20
    assert sql.value(_DEADLOCKS) == 0
    assert violations(sql) == []


def test_a_user_who_cancels_in_id_order_never_deadlocks_with_the_chores(
    sql: Session, sessions: Opener
) -> None:
    """One transaction holds a parked job and a run of a dead worker; the chores hold what it wants next."""
    start_worker(sql, "another.task")
    worker = start_worker(sql, "third.task")
    (parked,) = publish(sql)
    (due,) = publish(sql)
    sql.rows("select jobs.publish('third.task')")
    advance(sql)
    sql.rows("select * from jobs.maintain()")
    (run,) = exchange(sql, worker, 1)["jobs"]
    sql.execute("update howdah.beat set beat_at = beat_at - interval '1 h' where worker_id = %s", worker)
    sql.rows("select jobs.retry(%s::text)", due)
    (again,) = consume(sql, 1)
    sql.rows("select jobs.snooze(%s::text, 0)", again)
    user, chores = sessions(), sessions()
    user.begin()
    user.rows("select jobs.cancel(%s::text)", parked)
    user.rows("select jobs.cancel(%s::text)", run[0])
    start_worker(sql, "demo.task")
    chores.execute("set lock_timeout = '2 s'")
    chores.begin()
    chores.rows("select * from jobs.maintain()")
    chores.commit()
    user.rows("select jobs.cancel(%s::text)", due)
    user.commit()
    assert violations(sql) == []


def _worker_life(session: Session) -> int:
    chance = random.Random(session.pid)
    worker = start_worker(session)
    handed_in = 0
    outcomes: list[list[Any]] = []
    for _ in range(60):
        answer = hand_in(session, worker, outcomes, 20)
        handed_in += len(outcomes) - len(answer["later"])
        outcomes = [outcome for outcome in outcomes if outcome[1] in answer["later"]]
        outcomes += [
            [run[0], run[1], *chance.choice(_VERBS)]
            for run in chance.sample(answer["jobs"], len(answer["jobs"]))
        ]
    session.rows("select jobs.worker_stopped(%s, %s)", worker, chance.random() < 0.5)
    return handed_in


_VERBS: list[list[Any]] = [
    ["succeeded", 1],
    ["succeeded", 1],
    ["failed", "error", "no", None, 0, False],
    ["released"],
    ["snoozed", 0],
    ["parked", "task", None],
    ["cancelled", "enough"],
]


_PEOPLE = [
    "select jobs.cancel(%s::text)",
    "select jobs.retry(%s::text)",
    "select jobs.delete(%s::text)",
    "select jobs.delete(%s::text, true)",
]


def _disturb(session: Session) -> int:
    """Cancel, retry, delete, publish, do chores: one user's transactions, each in id order."""
    chance = random.Random(session.pid)
    calls = 0
    for _ in range(60):
        ids = [row["id"] for row in session.rows("select id from howdah.job order by random() limit 4")]
        call = chance.choice(_PEOPLE)
        session.begin()
        if all(_expecting("JB003 JB004", session, call, job) for job in sorted(ids)):
            session.commit()
            calls += 1
        else:
            session.rollback()
        publish(session, 10)
        session.rows("select * from jobs.maintain()")
    return calls


def test_workers_chores_and_people_at_once_do_not_deadlock(sql: Session, database: Database) -> None:
    sql.execute(f"alter database \"{database.name}\" set deadlock_timeout = '10 ms'")
    publish(sql, 1000)
    advance(sql)
    handed_in = run_together(database.dsn, [_worker_life] * 8 + [_disturb] * 3)
    assert sum(handed_in) > 500
    sql.rows("select pg_stat_force_next_flush()")
    assert sql.value(_DEADLOCKS) == 0
    assert violations(sql) == []
