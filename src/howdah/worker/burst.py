"""When a worker that was told to end with its work has come to the end of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from howdah import calls
from howdah.worker.log import logger

if TYPE_CHECKING:
    from howdah.worker.line import Line
    from howdah.worker.options import WorkerOptions

__all__ = ["nothing_more"]


async def nothing_more(line: Line, options: WorkerOptions) -> bool:
    """Tell whether the worker's queues hold nothing that it waits for. Raises a `HowdahError`.

    Says in the log what is left.
    """
    if await line.execute(calls.unfinished(options.queues, options.topic, options.labels)):
        return False
    left = await line.execute(calls.left_over(options.queues, options.topic, options.labels))
    counts = ", ".join(f"{row['jobs']} {row['reason']}" for row in left)
    logger.info("nothing more to do; jobs left: %s", counts or "none")
    return True
