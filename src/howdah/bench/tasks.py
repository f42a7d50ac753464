"""The tasks of the benchmark."""

from __future__ import annotations

import time

from howdah.app import Howdah
from howdah.settings import Settings

# The settings of the user's project are not the benchmark's.
app: Howdah = Howdah(settings=Settings())


@app.task(max_retries=0, ttl=3600, result_ttl=0, failure_ttl=0)
async def nothing() -> None:
    """Do nothing."""


@app.task(max_retries=0, ttl=3600, result_ttl=3600, failure_ttl=3600)
async def moment() -> float:
    """Return the moment of the start, by the machine's own clock."""
    return time.monotonic()
