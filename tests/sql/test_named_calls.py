"""Every public function by name with its arguments out of one JSON object, as PostgREST calls it.

PostgREST renders `POST /rpc/fn {"i_a": 1}` as a call with named parameters whose values come out of
json_to_record with the function's own argument types. A new function needs a sample here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.sql.steps import exchange, publish, start_worker, take

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fixtures.sessions import Row, Session

# By function and its parameters; {worker}, {run}, {work} stand for numbers that exist.
SAMPLES: dict[str, list[dict[str, Any]]] = {
    "publish": [
        {"i_task": "a.b"},
        {
            "i_task": "a.b",
            "i_body": {"args": [1, None]},
            "i_scheduled_at": None,
            "i_timeout": 2.5,
            "i_priority": 1,
            "i_max_retries": 2,
            "i_queue": "mail",
            "i_key": "new",
            "i_delay": 5,
            "i_ttl": 60,
            "i_result_ttl": -1,
            "i_failure_ttl": 60,
            "i_backoff": [1, 2.5],
            "i_headers": {"h": 1},
            "i_meta": {"m": [1]},
            "i_concurrency_key": "c",
            "i_concurrency_limit": 2,
            "i_slots": 1,
            "i_at_front": False,
            "i_tenant": "acme",
            "i_requires": ["gpu"],
            "i_depends_on": ["ready"],
            "i_allow_failure": True,
            "i_unique_key": "u",
            "i_unique": {"a": [0]},
            "i_unique_mode": "skip",
            "i_unique_until": "started",
            "i_unique_for": 5,
        },
        {"i_task": "a.b", "i_body": [1, "x"], "i_scheduled_at": "2040-01-01T00:00:00+02:00"},
    ],
    "publish_bulk": [
        {
            "i_jobs": [
                {
                    "task": "a",
                    "body": {"args": []},
                    "scheduled_at": "2040-01-01T00:00:00",
                    "timeout": 5,
                    "priority": 1,
                    "max_retries": 2,
                },
                {"task": "b"},
            ]
        },
    ],
    "publish_each": [
        {"i_task": "a", "i_bodies": [{"args": [1]}, None]},
        {
            "i_task": "a",
            "i_bodies": [{}],
            "i_scheduled_at": "2040-01-01T00:00:00Z",
            "i_timeout": 5,
            "i_priority": 1,
            "i_max_retries": 2,
            "i_queue": "q",
            "i_ttl": 1000000000,
            "i_result_ttl": 60,
            "i_failure_ttl": 60,
            "i_backoff": [1, 2],
            "i_headers": {"a": "b"},
            "i_meta": {"c": 1},
            "i_concurrency_key": "c",
            "i_concurrency_limit": 2,
            "i_slots": 1,
            "i_at_front": False,
            "i_tenant": "acme",
            "i_requires": ["gpu"],
        },
        {"i_task": "a", "i_bodies": [], "i_delay": 5},
    ],
    "publish_many": [{"i_jobs": [{"task": "a", "body": {}, "key": "k", "backoff": [1]}, {"task": "b"}]}],
    "consume": [
        {},
        {"i_num": 2, "i_queues": ["mail", "default"]},
        {"i_topic": "a.%", "i_num": 2},
        {"i_topic": "a.%", "i_num": 2, "i_queues": ["mail"]},
        {"i_num": 2, "i_queues": ["mail"], "i_labels": ["gpu"]},
        {"i_topic": "a.%", "i_num": 2, "i_queues": ["mail"], "i_labels": ["gpu"]},
    ],
    "consume_topic": [
        {"i_topic": "a.%"},
        {"i_topic": "a.%", "i_num": 2, "i_queues": ["mail"], "i_labels": ["gpu"]},
    ],
    "ack": [{"i_job_id": "running"}, {"i_job_id": "running", "i_result": {"n": [1]}, "i_run_id": "{run}"}],
    "nack": [
        {"i_job_id": "running", "i_traceback": "boom", "i_scheduled_at": "2040-01-01T00:00:00Z"},
        {
            "i_job_id": "running",
            "i_traceback": None,
            "i_scheduled_at": None,
            "i_run_id": "{run}",
            "i_kind": "error",
            "i_error": "x",
            "i_delay": 1.5,
            "i_final": False,
        },
    ],
    "snooze": [
        {"i_job_id": "running", "i_delay": 1.5},
        {"i_job_id": "running", "i_delay": 1, "i_run_id": "{run}"},
    ],
    "release": [{"i_job_id": "running"}, {"i_job_id": "running", "i_run_id": "{run}"}],
    "heartbeat": [
        {"i_worker_id": "{worker}"},
        {"i_run_ids": ["{run}"]},
        {"i_worker_id": "{worker}", "i_run_ids": [1]},
    ],
    "worker_started": [
        {"i_name": "w"},
        {
            "i_name": "w",
            "i_tasks": [{"name": "a.b", "timeout": 5}],
            "i_queues": ["mail"],
            "i_topic": "a.%",
            "i_allow": ["shop"],
            "i_host": "h",
            "i_pid": 1,
            "i_lease": 15.5,
            "i_labels": ["gpu"],
        },
    ],
    "worker_stopped": [{"i_worker_id": "{worker}"}, {"i_worker_id": "{worker}", "i_crashed": True}],
    "exchange": [
        {"i_worker_id": "{worker}"},
        {
            "i_worker_id": "{worker}",
            "i_outcomes": [[1, 999, "succeeded", {}]],
            "i_num": 1,
            "i_sleep": True,
            "i_soon": True,
            "i_shares": [1],
            "i_era": 1,
        },
    ],
    "cancel": [{"i_job_id": "ready"}, {"i_job_id": "ready", "i_reason": "because"}],
    "retry": [{"i_job_id": "ready"}],
    "delete": [{"i_job_id": "ready"}, {"i_job_id": "running", "i_force": True}],
    "wait": [{"i_job_id": "done"}, {"i_job_id": "ready", "i_timeout": 0.01}],
    "wait_for": [{"i_job_id": "done"}, {"i_job_id": "ready", "i_timeout": 0.01}],
    "get": [{"i_job_id": "ready"}],
    "list": [{}, {"i_state": "ready", "i_queue": "default", "i_task": "a.%", "i_limit": 5}],
    "failures": [{"i_job_id": "ready"}],
    "unfinished": [{}, {"i_queues": ["mail"]}, {"i_topic": "shop.%"}, {"i_labels": ["gpu"]}],
    "left_over": [{}, {"i_queues": ["mail"]}, {"i_topic": "shop.%"}, {"i_labels": ["gpu"]}],
    "why": [{"i_job_id": "ready"}],
    "stats": [{}],
    "fsck": [{}],
    "maintain": [{}, {"i_every": 1}],
    "prune": [{}, {"i_older_than": "1 day", "i_limit": 5}],
    "pause_queue": [{"i_queue": "mail"}, {"i_queue": "mail", "i_reason": "because"}],
    "resume_queue": [{"i_queue": "mail"}],
    "set_queue": [
        {"i_queue": "mail"},
        {"i_queue": "mail", "i_result_ttl": 3600},
        {"i_queue": "mail", "i_failure_ttl": -1},
        {
            "i_queue": "mail",
            "i_result_ttl": 3600,
            "i_failure_ttl": -1,
            "i_max_running": 5,
            "i_rate": 100,
            "i_per": "1 min",
            "i_max_waiting": 1000,
            "i_ageing": 60,
        },
    ],
    "set_task": [
        {"i_task": "a.b"},
        {"i_task": "a.b", "i_max_running": 5, "i_rate": 100, "i_per": "00:01:00"},
    ],
    "set_key": [
        {"i_concurrency_key": "c"},
        {"i_concurrency_key": "c", "i_max_running": 5, "i_rate": 100, "i_per": "PT1M"},
    ],
    "version": [{}],
    "list_queues": [{}],
    "list_tasks": [{}],
    "list_limits": [{}],
    "list_workers": [{}],
    "log": [{"i_job_id": "running", "i_run_id": "{run}", "i_lines": [["info", "half done"]]}],
    "relatives": [{"i_job_id": "waiting"}, {"i_job_id": "ready", "i_limit": 5}],
    "logs": [{"i_job_id": "running"}, {"i_job_id": "running", "i_after": 0, "i_limit": 5}],
    "purge_queue": [{"i_queue": "default"}, {"i_queue": "default", "i_limit": 5}],
    "run_died": [
        {"i_job_id": "worked", "i_run_id": "{work}"},
        {"i_job_id": "worked", "i_run_id": "{work}", "i_error": "exit code 3"},
    ],
    "reconcile": [
        {"i_worker_id": "{worker}", "i_held": [1]},
        {"i_worker_id": "{worker}", "i_held": [1], "i_era": 1},
    ],
    "session_started": [{"i_worker_id": "{worker}", "i_backend_pid": 1}],
}
CALLS = [
    pytest.param(name, sample, id=f"{name}-{number}")
    for name, samples in SAMPLES.items()
    for number, sample in enumerate(samples)
]
SIGNATURES = """
select proname::text as name, prokind::text as kind, pronargdefaults as defaults, proretset as rows,
       array(select unnest((coalesce(proargnames, '{}'))[1:pronargs])) as names,
       array(select format_type(t, null)
               from unnest(proargtypes::oid[]) with ordinality a (t, n) order by n) as types
  from pg_proc where pronamespace = 'jobs'::regnamespace
"""


def signature(sql: Session, name: str, given: set[str]) -> Row:
    """Find the function as PostgREST does: by its name and the names given, defaults left out."""
    fitting = [
        row
        for row in sql.rows(SIGNATURES)
        if row["name"] == name
        and given <= set(row["names"])
        and set(row["names"][: len(row["names"]) - row["defaults"]]) <= given
    ]
    assert len(fitting) == 1, f"{name} with {sorted(given)} is not one function but {fitting}"
    found: Row = fitting[0]
    return found


def call(sql: Session, name: str, document: dict[str, Any]) -> list[Row]:
    """Call it with its arguments out of the document."""
    found = signature(sql, name, set(document))
    types = dict(zip(found["names"], found["types"], strict=True))
    if found["kind"] == "p":
        values = sql.rows(f"select * from json_to_record(%s) as b({columns(types, document)})",
                          json.dumps(document))[0]  # fmt: skip
        named = ", ".join(f"{key} => %s::{types[key]}" for key in document)
        return sql.rows(f"call jobs.{name}({named})", *values.values())
    if not document:
        return sql.rows(f"select * from jobs.{name}()")
    named = ", ".join(f"{key} => b.{key}" for key in document)
    return sql.rows(
        f"select f.* from json_to_record(%s) as b({columns(types, document)}),"
        f" lateral jobs.{name}({named}) f",
        json.dumps(document),
    )


def columns(types: dict[str, str], document: dict[str, Any]) -> str:
    return ", ".join(f"{key} {types[key]}" for key in document)


@pytest.fixture
def numbers(sql: Session) -> Iterator[dict[str, int]]:
    """Jobs by the names of the samples, and numbers for their placeholders."""
    for key in ("done", "running"):
        publish(sql, "a.b", key=key)
        run_id = take(sql)["run_id"]
        if key == "done":
            sql.execute("select jobs.ack('done')")
    publish(sql, "a.b", key="ready")
    publish(sql, "a.b", key="waiting", depends_on=["ready"])
    publish(sql, "other.task", key="worked", queue="other")
    worker = start_worker(sql, "other.task", queues=["other"])
    ((_, work, *_),) = exchange(sql, worker, num=1)["jobs"]
    yield {"{run}": run_id, "{worker}": worker, "{work}": work}
    assert sql.rows("select * from jobs.fsck()") == []


def filled(value: Any, numbers: dict[str, int]) -> Any:
    match value:
        case dict():
            return {key: filled(item, numbers) for key, item in value.items()}
        case list():
            return [filled(item, numbers) for item in value]
        case str():
            return numbers.get(value, value)
    return value


@pytest.mark.parametrize(("name", "document"), CALLS)
def test_a_function_is_called_with_one_json_object(
    sql: Session, numbers: dict[str, int], name: str, document: dict[str, Any]
) -> None:
    empty = {
        "left_over",
        "heartbeat",
        "fsck",
        "failures",
        "logs",
        "log",
        "list_queues",
        "list_tasks",
        "list_limits",
        "resume_queue",
        "set_queue",
        "set_task",
        "set_key",
        "pause_queue",
        "wait_for",
        "consume",
        "consume_topic",
    }

    rows = call(sql, name, filled(document, numbers))

    assert rows != [] or name in empty


def test_every_function_has_a_sample_of_its_shortest_and_its_longest_form(sql: Session) -> None:
    samples = {(name, frozenset(document)) for name, documents in SAMPLES.items() for document in documents}
    missing = []
    for row in sql.rows(SIGNATURES):
        required = row["names"][: len(row["names"]) - row["defaults"]]
        given = [names for name, names in samples if name == row["name"] and names <= set(row["names"])]
        if not any(set(required) <= names for names in given) or set(row["names"]) != set().union(*given):
            missing.append((row["name"], row["names"]))

    assert missing == []


def test_values_given_by_name_arrive_as_given(sql: Session) -> None:
    document = {
        "i_task": "a.b",
        "i_body": {"n": [1, None, "x"]},
        "i_timeout": 2.5,
        "i_key": "k",
        "i_priority": -3,
    }

    (answer,) = call(sql, "publish", document)

    job = sql.row("select task, body, timeout, key, priority from jobs.get(%s)", answer["job_id"])
    assert {f"i_{name}": value for name, value in job.items()} == document


def test_a_bulk_job_comes_out_of_an_object(sql: Session) -> None:
    call(sql, "publish_bulk", SAMPLES["publish_bulk"][0])

    rows = sql.rows("select task, timeout, priority, max_retries from jobs.job_queue order by id")
    assert [tuple(row.values()) for row in rows] == [("a", 5, 1, 2), ("b", 60, 0, 3)]
