"""Limits from Python: keys made of arguments, slots, queues, tasks, a full queue; from every client."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from howdah import Howdah, InvalidInput, QueueFull, calls


async def bill(customer: int, month: str = "May") -> None: ...


async def taken(app: Howdah) -> list[Any]:
    return [row.body["args"] for row in await app.execute(calls.consume(10))]


async def test_a_key_made_of_arguments_keeps_one_customers_jobs_apart(app: Howdah) -> None:
    task = app.task(name="bill", concurrency_key="{customer} in {month}")(bill)
    for arguments in ((1,), (1, "May"), (1, "June"), (2,)):
        await task.publish(*arguments)

    assert await taken(app) == [[1], [1, "June"], [2]]


async def test_many_jobs_have_a_key_each(app: Howdah) -> None:
    task = app.task(name="bill", concurrency_key="customer {customer}", concurrency_limit=2)(bill)
    await task.publish_many([(1,), (1,), (1,), (2,)])

    assert await taken(app) == [[1], [1], [2]]


@pytest.mark.parametrize("template", ["{client}", "{customer.x}", "{0}", "{"])
async def test_a_key_that_names_no_argument_is_refused(app: Howdah, template: str) -> None:
    task = app.task(name="bill")(bill).options(concurrency_key=template)

    with pytest.raises(InvalidInput) as caught:
        await task.publish(1)
    assert caught.value.field == "concurrency_key"


async def test_limits_are_set_and_lifted(app: Howdah) -> None:
    task = app.task(name="bill")(bill)
    await app.execute(calls.set_task("bill", max_running=1))
    await app.execute(calls.set_queue("default", rate=2, per=datetime.timedelta(minutes=1)))
    for number in range(3):
        await task.publish(number)
    assert await taken(app) == [[0]]

    await app.execute(calls.set_task("bill", max_running=-1))
    assert await taken(app) == [[1]]
    await app.execute(calls.set_queue("default", rate=-1))
    assert await taken(app) == [[2]]


async def test_a_full_queue_says_when_to_try_again(app: Howdah) -> None:
    task = app.task(name="bill", queue="mail")(bill)
    await app.execute(calls.set_queue("mail", max_waiting=1))
    await task.publish(1)

    with pytest.raises(QueueFull) as caught:
        await task.publish(2)
    assert 0 < caught.value.retry_after <= 60
