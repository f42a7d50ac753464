"""W5: what an idle worker holds in memory, its child processes with it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.options import Sizes
    from bench.stands import Stand

# It has run some jobs and then had time to come to rest.
JOBS = 200
REST = 3.0


def idle_worker(stand: Stand, sizes: Sizes) -> dict[str, float]:
    """Run a few jobs, wait until all is quiet, and look."""
    with stand.place() as place:
        place.figure("bulk", JOBS)
        with place.workers() as workers:
            place.watch(workers, 0, JOBS)
            time.sleep(REST)
            return {"W5": workers[0].resident_megabytes()}
