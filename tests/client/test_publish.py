"""Publishing, looking and controlling from Python."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import pytest

from howdah import (
    DatabaseUnavailable,
    Howdah,
    InvalidInput,
    JobCancelled,
    JobNotFound,
    ResultTimeout,
    WrongState,
    calls,
)
from howdah.settings import Settings


@pytest.fixture
def add(app: Howdah) -> Any:
    return app.task(name="add", queue="sums", max_retries=7, timeout=2.5)(lambda a, b=0: a + b)


async def test_a_job_carries_its_arguments_and_the_tasks_options(app: Howdah, add: Any) -> None:
    job = await add.options(
        key="k", priority=-3, delay=datetime.timedelta(hours=1), headers={"h": 1}, meta=[1]
    ).publish(1, b=2)

    row = await job.info()
    assert (job.job_id, job.created) == ("k", True)
    assert (row.task, row.body, row.queue, row.state) == (
        "add",
        {"args": [1], "kwargs": {"b": 2}},
        "sums",
        "scheduled",
    )
    assert (row.max_retries, row.timeout, row.priority) == (7, 2.5, -3)
    assert (row.headers, row.meta, row.key) == ({"h": 1}, [1], "k")


async def test_at_front_a_tenant_and_labels_travel(app: Howdah, add: Any) -> None:
    await add.options(priority=9, tenant="acme").publish(1)
    first = await add.options(priority=9).options(at_front=True).publish(2)
    (labelled,) = await add.options(requires=["zone=a", "gpu"]).publish_many([(3,)])

    taken = await app.consume(3, queues=["sums"])
    with_labels = await app.consume(3, labels=["gpu", "zone=a"])

    assert next(job.row.job_id for job in taken) == first.job_id
    assert len(taken) == 2
    assert [job.row.job_id for job in with_labels] == [labelled.job_id]


async def test_the_front_and_a_priority_exclude_each_other(app: Howdah, add: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        await add.options(at_front=True, priority=1).publish(1)
    with pytest.raises(InvalidInput) as odd:
        await add.options(at_front=1).publish(1)

    assert (refused.value.field, odd.value.field) == ("at_front", "at_front")


async def test_by_name_by_function_and_by_task_is_the_same(app: Howdah, add: Any) -> None:
    jobs = [
        await app.publish("add", args=[1], kwargs={"b": 2}),
        await app.publish(add, 1, kwargs={"b": 2}),
        await app.publish(add.name, 1, kwargs={"b": 2}),
    ]

    rows = [await job.info() for job in jobs]
    assert [row and row.body for row in rows] == [{"args": [1], "kwargs": {"b": 2}}] * 3


async def test_a_plain_function_is_published_under_its_own_name(app: Howdah) -> None:
    job = await app.publish(datetime_of, "x", delay=60)

    row = await job.info()
    assert row is not None
    assert row.task == f"{__name__}.datetime_of"


def datetime_of(text: str) -> str:
    return text


async def test_a_key_that_exists_returns_its_job(app: Howdah, add: Any) -> None:
    first = await add.options(key="once").publish(1)
    second = await add.options(key="once").publish(2)

    assert (second.id, second.created) == (first.id, False)


async def test_many_jobs_are_published_in_order(app: Howdah, add: Any) -> None:
    jobs = await add.publish_many([(1, 2), [3], {"a": 4}])

    assert [(await job.info()).body for job in jobs] == [
        {"args": [1, 2]},
        {"args": [3]},
        {"kwargs": {"a": 4}},
    ]
    assert [(await job.info()).queue for job in jobs] == ["sums"] * 3
    assert await add.publish_many([]) == []


async def test_many_jobs_are_published_all_or_none(app: Howdah, add: Any) -> None:
    with pytest.raises(InvalidInput):
        await app.publish_task_many(app.task(name="t", queue="bad name")(len), [(1,), (2,)])

    assert await app.execute(calls.list_jobs()) == []


async def test_jobs_are_cancelled_and_retried_by_their_handle(app: Howdah, add: Any) -> None:
    job = await add.options(delay=3600).publish(1)

    assert (await job.cancel("changed my mind")).state == "cancelled"
    with pytest.raises(JobCancelled, match="changed my mind"):
        await job.result()
    assert (await job.retry()).state == "ready"


async def test_errors_of_the_database_arrive_as_classes(app: Howdah, add: Any) -> None:
    with pytest.raises(JobNotFound) as missing:
        await app.job("nobody").cancel()
    with pytest.raises(InvalidInput) as refused:
        await app.publish("add", timeout=-1)
    job = await add.publish(1)
    await app.execute(calls.consume(1))
    with pytest.raises(WrongState):
        await job.retry()

    assert missing.value.hint
    assert refused.value.field == "timeout"


async def test_a_consumer_without_a_worker_acks_and_nacks(app: Howdah, add: Any) -> None:
    await add.publish_many([(1,), (2,)])
    first, second = [app.job(row.job_id) for row in await app.execute(calls.consume(2))]

    await first.ack({"sum": 1})
    await second.nack(ValueError("no"), delay=3600)

    assert await first.result(5) == {"sum": 1}
    assert await second.status() == "scheduled"
    assert (await second.failures())[0].error == "ValueError: no"


async def test_a_result_that_does_not_come_times_out(app: Howdah, add: Any) -> None:
    job = await add.publish(1)

    with pytest.raises(ResultTimeout, match="it is ready"):
        await job.result(timeout=0.05)


async def test_waiting_for_no_job_is_an_error(app: Howdah) -> None:
    with pytest.raises(JobNotFound):
        await app.job(123456).result(1)
    assert await app.job(123456).status() is None


async def test_refused_input_names_its_field(app: Howdah, add: Any) -> None:
    with pytest.raises(InvalidInput) as argument:
        await add.publish(float("nan"))
    with pytest.raises(InvalidInput) as headers:
        await add.options(headers={"a": "x" * 20_000}).publish(1)
    with pytest.raises(InvalidInput) as key:
        await add.options(key="123").publish(1)

    assert [caught.value.field for caught in (argument, headers, key)] == ["args[0]", "headers", "key"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("priority", 2**40),
        ("max_retries", 2**31),
        ("max_retries", True),
        ("key", "\ud800"),
        ("key", "\x00"),
        ("queue", "no queue"),
        ("timeout", -1),
        ("delay", float("inf")),
        ("scheduled_at", datetime.datetime(2030, 1, 1)),
        ("headers", {"a": "\ud800"}),
        ("meta", float("nan")),
    ],
)
async def test_an_option_that_cannot_be_is_refused_by_its_name(
    app: Howdah, option: str, value: object
) -> None:
    options: Any = {option: value}

    with pytest.raises(InvalidInput) as refused:
        await app.publish("t", **options)

    assert refused.value.field == option


async def test_text_that_the_driver_cannot_send_is_refused(app: Howdah) -> None:
    for text in ("\ud800", "\x00"):
        with pytest.raises(InvalidInput):
            await app.job(text).why()


async def test_a_server_that_is_not_there_is_unavailable_and_its_password_unsaid() -> None:
    app = Howdah("postgresql://ann:secret@127.0.0.1:1/shop", settings=Settings())

    with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1:1/shop") as caught:
        await app.publish("t")

    assert "secret" not in str(caught.value)


async def test_many_callers_share_a_few_connections(app: Howdah, add: Any) -> None:
    jobs = await asyncio.gather(*(add.publish(number) for number in range(100)))

    assert len({job.id for job in jobs}) == 100


async def test_a_cancelled_caller_leaves_the_connections_usable(app: Howdah, add: Any) -> None:
    for _ in range(20):
        caller = asyncio.create_task(add.publish(1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)

    assert (await add.publish(1)).created


async def test_a_job_depends_on_jobs_given_as_handles_numbers_and_keys(app: Howdah, add: Any) -> None:
    first, second = await add.publish_many([(1,), (2,)])
    third = await add.options(key="third").publish(3)

    child = await add.options(depends_on=[first, second.id, "third"]).publish(4)

    row = await child.info()
    assert (row.state, row.kind) == ("blocked", "parent")
    assert [(one.relation, one.job_id, one.state, one.awaited) for one in await child.relatives()] == [
        ("parent", first.job_id, "ready", True),
        ("parent", second.job_id, "ready", True),
        ("parent", "third", "ready", True),
    ]
    assert [one.job_id for one in await third.relatives(5)] == [child.job_id]


async def test_many_jobs_may_depend_on_one(app: Howdah, add: Any) -> None:
    parent = await add.publish(1)
    children = await add.options(depends_on=parent, allow_failure=True).publish_many([(1,), {"a": 2}])

    await parent.cancel()
    await app.execute(calls.maintain())

    rows = [await child.info() for child in children]
    assert [(row.body, row.state) for row in rows] == [
        ({"args": [1]}, "ready"),
        ({"kwargs": {"a": 2}}, "ready"),
    ]


async def test_a_job_whose_parent_did_not_succeed_is_cancelled_with_the_reason(app: Howdah, add: Any) -> None:
    parent = await add.options(key="first").publish(1)
    child = await app.publish(add, 2, depends_on="first")

    await parent.cancel("no more")
    await app.execute(calls.maintain())

    with pytest.raises(JobCancelled, match="parent first was cancelled: no more"):
        await child.result(timeout=5)


@pytest.mark.parametrize("given", [True, 1.5, b"7", {"id": 7}, [["7"]], [None], ["a\x00"], 2**70])
async def test_what_is_no_job_is_refused_as_a_parent(app: Howdah, add: Any, given: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        await add.options(depends_on=given).publish(1)

    assert caught.value.field == "depends_on"


async def test_an_unknown_parent_is_refused_by_the_database(app: Howdah, add: Any) -> None:
    with pytest.raises(InvalidInput, match="there is no job nobody") as caught:
        await add.options(depends_on="nobody").publish(1)

    assert caught.value.field == "depends_on"
