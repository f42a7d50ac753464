"""The broker that taskiq's own command runs."""

from __future__ import annotations

from driver import DSN
from driver import moment as write_moment
from taskiq_redis import RedisStreamBroker

broker = RedisStreamBroker(DSN)


@broker.task(task_name="nothing")
async def nothing() -> None:
    """Do nothing."""


@broker.task(task_name="moment")
async def moment(published: float) -> None:
    """Write down when it starts."""
    write_moment(published)
