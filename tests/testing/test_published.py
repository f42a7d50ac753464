"""`published` tells what was published, with which arguments."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from howdah.testing import published, published_sync

if TYPE_CHECKING:
    from howdah import Howdah, Task


@pytest.fixture
def bill(app: Howdah) -> Task[..., None]:
    @app.task(queue="money")
    def bill(order: UUID, day: date) -> None: ...

    return bill


async def test_arguments_are_those_that_the_task_will_get(app: Howdah, bill: Task[..., None]) -> None:
    order = uuid4()
    await bill.options(key="bill-1").publish(order, day=date(2030, 1, 31))
    (found,) = await published(app, bill)
    assert (found.args, found.kwargs) == ((order,), {"day": date(2030, 1, 31)})
    assert (found.task, found.job.queue, found.job.key) == (bill.name, "money", "bill-1")


async def test_they_come_in_the_order_of_their_publish_and_may_be_chosen(
    app: Howdah, bill: Task[..., None]
) -> None:
    await app.publish("shop.mail", 1)
    await app.publish("shop.mail", 2, queue="mail", delay=60)
    await bill.publish(uuid4(), date(2030, 1, 31))
    assert [one.args for one in await published(app, "shop.mail")] == [(1,), (2,)]
    assert [one.args for one in await published(app, queue="mail")] == [(2,)]
    assert [one.args for one in await published(app, state="scheduled")] == [(2,)]
    assert [one.task for one in await published(app)] == ["shop.mail", "shop.mail", bill.name]


async def test_a_function_is_found_by_its_name(app: Howdah) -> None:
    await app.publish(uuid4, 7)
    (found,) = await published(app, uuid4)
    assert (found.task, found.args) == ("uuid.uuid4", (7,))


async def test_arguments_that_do_not_fit_are_shown_as_they_are(app: Howdah, bill: Task[..., None]) -> None:
    await app.publish(bill.name, "no order", kwargs={"what": 1})
    (found,) = await published(app, bill)
    assert (found.args, found.kwargs) == (("no order",), {"what": 1})


def test_a_test_without_an_event_loop_looks_too(app: Howdah) -> None:
    app.publish_sync("shop.mail", 42)
    assert [one.args for one in published_sync(app)] == [(42,)]
