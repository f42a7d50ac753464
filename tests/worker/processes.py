"""What tests of processes look at: whether one lives, and what its job has said."""

from __future__ import annotations

from typing import Any

from .conftest import eventually

# Seconds that starting a process and a job may take on a busy machine.
PATIENCE = 60


async def lines_of(job: Any) -> list[tuple[str, str]]:
    return [(line.level, line.message) for line in await job.logs()]


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def told(job: Any, word: str) -> int:
    """Return the number that a line of the job's log tells, as soon as it does."""

    async def look() -> int:
        found = [text for _, text in await lines_of(job) if text.startswith(f"{word} ")]
        return int(found[0].split()[1]) if found else 0

    return int(await eventually(look, PATIENCE))
