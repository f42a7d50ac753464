"""W4, W4b: from publish to start, with an idle worker and with one that has 500 jobs a second."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import percentile
from bench.progress import StuckError

if TYPE_CHECKING:
    from bench.options import Sizes
    from bench.processes import Running
    from bench.stands import Stand

# Jobs that are not counted: they find caches empty and plans unmade.
WARM_UP = 50
PAUSE = 0.02
BUSY_PAUSE = 0.002
_PATIENCE = 60.0


def idle(stand: Stand, sizes: Sizes) -> dict[str, float]:
    """One job every 20 ms."""
    return _latency(stand, "W4", sizes.latency, PAUSE)


def busy(stand: Stand, sizes: Sizes) -> dict[str, float]:
    """500 jobs a second."""
    return _latency(stand, "W4b", sizes.latency * 5, BUSY_PAUSE)


def _latency(stand: Stand, name: str, jobs: int, pause: float) -> dict[str, float]:
    found = sorted(measure(stand, jobs, pause))
    return {f"{name} p50": percentile(found, 0.5), f"{name} p99": percentile(found, 0.99)}


def measure(stand: Stand, jobs: int, pause: float) -> list[float]:
    """Return the milliseconds from publish to start of each job."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "moments"
        file.touch()
        with stand.place(BENCH_MOMENTS=str(file)) as place, place.workers() as workers:
            for number, apart in ((WARM_UP, PAUSE), (jobs, pause)):
                before = len(_lines(file))
                place.figure("moments", number, apart)
                _wait_for(file, before + number, workers[0])
        moments = sorted(
            (float(published), float(started)) for published, started in map(str.split, _lines(file))
        )
    return [(started - published) * 1000 for published, started in moments[WARM_UP:]]


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


def _wait_for(file: Path, lines: int, worker: Running) -> None:
    deadline = time.monotonic() + _PATIENCE
    while len(_lines(file)) < lines:
        worker.check()
        if time.monotonic() > deadline:
            raise StuckError("the worker does not run what is published")
        time.sleep(0.05)
