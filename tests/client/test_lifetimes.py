"""Lifetimes from Python: what cannot be is refused with its name, seconds and timedeltas mean the same."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from howdah import Howdah, InvalidInput, JobExpired, JobNotFound, WrongState, calls


@pytest.mark.parametrize("ttl", [60, 60.0, datetime.timedelta(minutes=1)])
async def test_seconds_and_timedeltas_mean_the_same(app: Howdah, ttl: Any) -> None:
    job = await app.publish("t", ttl=ttl, result_ttl=-1, failure_ttl=0, timeout=ttl)

    row = await job.info()
    assert row is not None
    assert row.timeout == 60


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("ttl", {"ttl": 0}),
        ("ttl", {"ttl": -1}),
        ("ttl", {"ttl": datetime.timedelta(seconds=-5)}),
        ("ttl", {"ttl": 5, "delay": 6}),
        ("ttl", {"ttl": 5, "scheduled_at": datetime.datetime(2090, 1, 1, tzinfo=datetime.UTC)}),
        ("result_ttl", {"result_ttl": -2}),
        ("failure_ttl", {"failure_ttl": -1.5}),
        ("timeout", {"timeout": 0}),
        ("timeout", {"timeout": -1}),
        ("ttl", {"ttl": float("nan")}),
        ("ttl", {"ttl": "60"}),
    ],
)
async def test_what_cannot_be_is_refused_with_its_name(
    app: Howdah, field: str, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await app.publish("t", **options)

    assert caught.value.field == field


async def test_a_job_that_expired_has_no_result(app: Howdah) -> None:
    job = await app.publish("t", ttl=0.001)
    await app.execute(calls.maintain())

    with pytest.raises(JobExpired):
        await job.result(timeout=5)


async def test_a_deleted_job_is_gone_and_a_running_one_needs_force(app: Howdah) -> None:
    waiting, running = await app.publish("t"), await app.publish("t", priority=5)
    assert (await waiting.delete()).state == "deleted"
    assert await waiting.status() is None
    await app.consume(1)

    with pytest.raises(WrongState):
        await running.delete()
    assert (await running.delete(force=True)).state == "deleted"

    with pytest.raises(JobNotFound):
        await running.delete()
