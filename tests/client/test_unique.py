"""Unique keys from Python: by key, by arguments, at a publish and at a task; the same from every client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from howdah import DuplicateJob, Howdah, InvalidInput, Tasks, calls
from howdah.json import Document

if TYPE_CHECKING:
    from howdah.job import Job


async def send(customer: int, text: str = "hi", *, urgent: bool = False) -> None: ...


async def index(documents: list[int], *, full: bool = False) -> None: ...


@pytest.fixture
def mail(app: Howdah) -> Any:
    return app.task(name="mail")(send)


async def body(job: Job[Any]) -> Any:
    row = await job.info()
    assert row is not None
    return row.body


async def test_a_key_names_one_job(mail: Any) -> None:
    first = await mail.options(unique_key="report").publish(1)

    second = await mail.options(unique_key="report").publish(2)

    assert (first.created, second.created) == (True, False)
    assert (second.job_id, second.id) == (first.job_id, first.id)
    assert await body(second) == {"args": [1]}


@pytest.mark.parametrize(
    ("args", "kwargs", "created"),
    [
        ((7,), {}, False),
        ((), {"customer": 7}, False),
        ((7, "hi"), {"urgent": False}, False),
        ((7, "ho"), {}, True),
        ((7,), {"urgent": True}, True),
        ((8,), {}, True),
    ],
)
async def test_all_arguments_count_however_they_are_given(
    mail: Any, args: tuple[Any, ...], kwargs: dict[str, Any], created: bool
) -> None:
    await mail.options(unique=True).publish(7)

    assert (await mail.options(unique=True).publish(*args, **kwargs)).created is created


async def test_chosen_arguments_count_and_others_do_not(mail: Any) -> None:
    unique = mail.options(unique=("customer",))
    await unique.publish(7, "hi")

    assert not (await unique.publish(customer=7, text="ho")).created
    assert (await unique.publish(8)).created
    assert not (await mail.options(unique="customer").publish(8)).created


async def test_an_argument_that_the_task_does_not_take_is_refused_where_it_is_written(app: Howdah) -> None:
    with pytest.raises(InvalidInput, match="'custmer'"):
        app.task(unique=("custmer",))(send)


async def test_a_name_alone_can_be_unique_by_keyword_arguments(app: Howdah, mail: Any) -> None:
    first = await mail.options(unique="customer").publish(7)

    again = await app.publish("mail", kwargs={"customer": 7}, unique=["customer"])
    by_name = await app.publish("far.away", kwargs={"customer": 7}, unique=["customer"])

    assert again.id == first.id
    assert by_name.created
    assert not (await app.publish("far.away", kwargs={"customer": 7}, unique=["customer"])).created
    with pytest.raises(InvalidInput, match="customer") as caught:
        await app.publish("far.away", 7, unique=["customer"])
    assert caught.value.field == "unique"


async def test_what_a_task_says_holds_for_python_and_for_sql_once_a_worker_has_registered_it(
    app: Howdah,
) -> None:
    task = app.task(name="mail", unique=("customer",), unique_until="started")(send)
    first = await task.publish(7)
    assert not (await task.publish(7, "ho")).created
    description = task.description
    assert description.given()["unique"] == {"customer": [0]}
    await app.execute(calls.worker_started("w", [description]))

    from_sql = await app.execute(calls.publish("mail", Document('{"kwargs": {"customer": 7}}')))

    assert (from_sql.id, from_sql.created) == (first.id, False)
    assert (await task.options(unique=False).publish(7)).created


async def test_reject_raises_and_names_the_job(mail: Any) -> None:
    first = await mail.options(unique=True, key="first").publish(7)

    with pytest.raises(DuplicateJob, match="first") as caught:
        await mail.options(unique=True, unique_mode="reject").publish(7)

    assert (caught.value.job_id, caught.value.field) == (first.job_id, "unique_key")
    assert caught.value.sqlstate == "JB009"


async def test_reject_is_the_error_of_that_publish_only(mail: Any) -> None:
    reject = mail.options(unique_key="k", unique_mode="reject")
    done = await asyncio.gather(*(reject.publish(n) for n in range(8)), *(mail.publish(n) for n in range(8)),
                                return_exceptions=True)  # fmt: skip

    assert sum(isinstance(each, DuplicateJob) for each in done) == 7
    assert not any(isinstance(each, BaseException) for each in done[8:])


async def test_replace_and_merge_change_the_waiting_job(app: Howdah, mail: Any) -> None:
    replace = mail.options(unique="customer", unique_mode="replace", delay=60)
    first = await replace.publish(7, "one")
    assert (await replace.publish(7, "two")).id == first.id
    assert await body(first) == {"args": [7, "two"]}

    merge = app.task(name="index")(index).options(unique_key="index", unique_mode="merge", delay=5)
    batch = await merge.publish([1])
    await merge.publish(documents=[2, 3])
    assert not (await merge.publish([4], full=True)).created

    assert await body(batch) == {"args": [[1, 2, 3, 4]], "kwargs": {"full": True}}


async def test_publish_many_of_a_unique_task_says_which_jobs_there_were(mail: Any) -> None:
    unique = mail.options(unique="customer")
    first = await unique.publish(1)

    jobs = await unique.publish_many([(1,), (2,), {"customer": 2}, (3,)])

    assert [job.created for job in jobs] == [False, True, False, True]
    assert jobs[0].id == first.id
    assert jobs[2].id == jobs[1].id
    with pytest.raises(InvalidInput, match=r"jobs\[1\]"):
        await unique.publish_many([(1,), 7])


async def test_sync_twins_do_the_same(mail: Any) -> None:
    unique = mail.options(unique="customer")

    def both() -> list[bool]:
        return [
            unique.publish_sync(1).created,
            *(job.created for job in unique.publish_many_sync([(1,), (2,)])),
        ]

    assert await asyncio.to_thread(both) == [True, False, True]


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("unique", {"unique": 7}),
        ("unique", {"unique": [7]}),
        ("unique_key", {"unique_key": 7}),
        ("unique_mode", {"unique_key": "k", "unique_mode": 7}),
        ("unique_mode", {"unique_key": "k", "unique_mode": "ignore"}),
        ("unique_until", {"unique_key": "k", "unique_until": "ended"}),
        ("unique_for", {"unique_key": "k", "unique_for": "long"}),
        ("unique_for", {"unique_key": "k", "unique_for": -1}),
        ("unique_mode", {"unique_mode": "replace"}),
    ],
)
async def test_bad_values_are_refused_with_their_name(mail: Any, field: str, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        await mail.options(**options).publish(1)

    assert caught.value.field == field


def test_a_task_of_a_library_may_be_unique() -> None:
    tasks = Tasks()
    task = tasks.task(unique=True, unique_for=60)(send)

    assert task.description.given()["unique"] == {"customer": [0], "text": [1, "hi"], "urgent": [None, False]}
