"""The app that Celery's own command runs."""

from __future__ import annotations

from celery import Celery
from driver import DSN
from driver import moment as write_moment

app = Celery(broker=DSN, backend=DSN)


@app.task(name="nothing")
def nothing() -> None:
    """Do nothing."""


@app.task(name="moment")
def moment(published: float) -> None:
    """Write down when it starts."""
    write_moment(published)
