"""What an asynchronous failover loses takes its numbers with it: none of them ever means something else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

if TYPE_CHECKING:
    from tests.fixtures.replica import Node, Pair

REGISTER = "select jobs.worker_started('{}', '[{{\"name\": \"t\"}}]')"
# As many numbers as a sequence writes ahead are handed out without a trace in the log.
MANY = 100


def number(node: Node, statement: str, *values: object) -> int:
    ((value,),) = node.rows(statement, *values)
    return int(value)


def claimed(node: Node, worker_id: int, jobs: int = 10) -> list[tuple[int, int]]:
    """Claim for a worker; return the numbers of jobs and runs."""
    ((answer,),) = node.rows("select jobs.exchange(%s, null, %s)", worker_id, jobs)
    document: dict[str, Any] = answer if isinstance(answer, dict) else json.loads(answer)
    return [(job[0], job[1]) for job in document["jobs"]]


def test_a_run_of_the_old_life_cannot_finish_one_of_the_new(pair: Pair) -> None:
    old, new = pair.primary, pair.standby
    worker = number(old, REGISTER.format("old"))
    old.rows("select jobs.publish('t') from generate_series(1, %s)", MANY)
    pair.part()
    lost = dict(claimed(old, worker, MANY))
    assert len(lost) == MANY
    pair.fail_over()
    again = dict(claimed(new, worker, MANY))
    assert lost.keys() == again.keys(), "the same jobs are there to be run"
    assert not set(lost.values()) & set(again.values())
    job, run = next(iter(lost.items()))
    with pytest.raises(psycopg.Error) as refused:
        new.rows("select jobs.ack(%s, i_run_id => %s)", str(job), run)
    assert refused.value.sqlstate == "JB002"
    ((answer,),) = new.rows(
        "select jobs.exchange(%s, %s::jsonb)",
        worker,
        json.dumps([[job, run, "succeeded", None] for job, run in lost.items()]),
    )
    assert sorted(answer["lost"]) == sorted(lost.values())
    assert number(new, "select count(*) from howdah.finished") == 0


def test_a_worker_whose_registration_was_lost_must_register_anew(pair: Pair) -> None:
    old, new = pair.primary, pair.standby
    number(old, REGISTER.format("before"))
    pair.part()
    lost = {number(old, REGISTER.format("lost")) for _ in range(40)}
    pair.fail_over()
    mine = number(new, REGISTER.format("new"))
    assert mine not in lost
    with pytest.raises(psycopg.Error) as refused:
        new.rows("select * from jobs.heartbeat(%s)", min(lost))
    assert refused.value.sqlstate == "JB007"


def test_the_number_of_a_lost_job_is_not_given_to_another(pair: Pair) -> None:
    old, new = pair.primary, pair.standby
    worker = number(old, REGISTER.format("one"))
    old.rows("select jobs.exchange(%s, null, 1)", worker)
    pair.part()
    lost = {id for (id,) in old.rows("select (jobs.publish('t')).id from generate_series(1, %s)", MANY)}
    pair.fail_over()
    new.rows("select * from jobs.heartbeat(%s)", worker)
    born = {id for (id,) in new.rows("select (jobs.publish('t')).id from generate_series(1, %s)", MANY)}
    assert not lost & born
    assert {id for id, _ in claimed(new, worker, 2 * MANY)} == born, "the cursor finds what was published"
    assert new.rows("select * from jobs.fsck()") == []


def test_a_clean_restart_and_a_first_claim_leave_the_numbers_as_they_are(pair: Pair) -> None:
    node = pair.primary
    worker = number(node, REGISTER.format("one"))
    first = number(node, "select (jobs.publish('t')).id")
    assert claimed(node, worker) == [(first, 1)]
    assert node.process is not None
    node.process.terminate()  # smart: nobody is connected but the standby
    node.process.wait(60)
    node.start()
    second = number(node, "select (jobs.publish('t')).id")
    ((job, run),) = claimed(node, worker)
    assert job == second
    assert second < first + 1000
    assert run < 1000


def test_a_crash_makes_the_numbers_new(pair: Pair) -> None:
    node = pair.primary
    worker = number(node, REGISTER.format("one"))
    job = number(node, "select (jobs.publish('t')).id")
    ((_, run),) = claimed(node, worker)
    node.kill()
    node.start()
    assert number(node, "select count(*) from jobs.reconcile(%s, '{}')", worker) == 1
    ((again, other),) = claimed(node, worker)
    assert again == job
    assert other > run + 10**9
