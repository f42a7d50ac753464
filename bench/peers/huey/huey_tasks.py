"""The instance that Huey's own command runs."""

from __future__ import annotations

from driver import DSN
from driver import moment as write_moment
from huey import RedisHuey

huey = RedisHuey("bench", url=DSN)


@huey.task()
def nothing() -> None:
    """Do nothing."""


@huey.task()
def moment(published: float) -> None:
    """Write down when it starts."""
    write_moment(published)
