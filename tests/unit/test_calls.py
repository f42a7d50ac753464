"""A call is its function, what was given, and how its rows are read."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from howdah import calls
from howdah.drivers import statement
from howdah.json import Document
from howdah.models import TaskDescription, TaskOptions

MOMENT = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("call", "function", "body"),
    [
        (calls.publish("t"), "publish", {"i_task": "t"}),
        (
            calls.publish("t", Document('{"args":[1]}'), delay=1.5, meta={"a": 1}, scheduled_at=MOMENT),
            "publish",
            {
                "i_task": "t",
                "i_body": {"args": [1]},
                "i_delay": 1.5,
                "i_meta": {"a": 1},
                "i_scheduled_at": "2026-01-02T00:00:00+00:00",
            },
        ),
        (calls.consume(3, queues=("a",)), "consume", {"i_num": 3, "i_queues": ["a"]}),
        (
            calls.ack("7", Document("null"), run_id=2),
            "ack",
            {"i_job_id": "7", "i_result": None, "i_run_id": 2},
        ),
        (calls.nack("7", final=False), "nack", {"i_job_id": "7", "i_final": False}),
        (calls.cancel("7"), "cancel", {"i_job_id": "7"}),
        (calls.list_jobs(limit=0), "list", {"i_limit": 0}),
        (calls.heartbeat(1, [2]), "heartbeat", {"i_worker_id": 1, "i_run_ids": [2]}),
        (
            calls.exchange(1, [], 5),
            "exchange",
            {"i_worker_id": 1, "i_num": 5, "i_sleep": False, "i_soon": False},
        ),
        (calls.unfinished(()), "unfinished", {}),
    ],
)
def test_the_body_holds_what_was_given_and_nothing_else(
    call: calls.Call[Any], function: str, body: dict[str, Any]
) -> None:
    assert (call.function, call.body) == (function, body)


def test_a_worker_tells_of_its_tasks_only_what_was_written() -> None:
    task = TaskDescription("t", TaskOptions(timeout=datetime.timedelta(minutes=1), queue="mail"))

    assert calls.worker_started("w", [task]).body["i_tasks"] == [
        {"name": "t", "queue": "mail", "timeout": 60.0}
    ]


def test_outcomes_become_one_document() -> None:
    call = calls.exchange(1, [(7, 8, "released")], 0, sleep=True)

    assert call.body["i_outcomes"] == [[7, 8, "released"]]


def test_documents_are_cast_where_any_codec_leaves_them_alone() -> None:
    call = calls.publish("t", Document("{}"))

    assert statement(call).endswith("jobs.publish(i_task => $1, i_body => $2::text::jsonb)")


def test_an_answer_is_decoded_without_touching_the_bodies() -> None:
    text = (
        '{"jobs":[[7,8,1,"t","q",0,60,3,"k",null,{"a":1},{"args":[1]}]],"lost":[1],"later":[],'
        '"asleep":true,"settled":null,"next":null,"unheard_of":1}'
    )

    answer = calls.exchange(1, [], 1).decode([{"exchange": text}])

    assert (answer.jobs[0].job_id, answer.jobs[0].timeout, bytes(answer.jobs[0].body)) == (
        "k",
        60.0,
        b'{"args":[1]}',
    )
    assert (answer.lost, answer.asleep) == ([1], True)
