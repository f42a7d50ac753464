"""Small batches: how fast they go, and what a worker beside them loses."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from bench.history.place import Cost, Place, Places, median, ratio

_STEP = 1_000_000
_JOBS = 20_000
_CLAIM = "select * from jobs.consume(100)"
_PUBLISH = """select cardinality(jobs.publish_each('bench.noop', (
    select jsonb_agg(n) from generate_series(1, 500) n)))"""
# What prunes beside the worker, and the seconds between two calls.
_OTHERS: Final = {
    "beside the chores": ("select jobs from jobs.maintain() where chore = 'pruned'", 1.0),
    "beside pruning without a pause": ("select jobs.prune(null, 1000)", 0.0),
}


def load(place: Place, rows: int) -> None:
    """Fill a database with history."""
    place.run(Path(__file__).with_name("load.sql").read_text("utf-8"))
    for table in ("job", "finished", "failure"):
        place.run(f"alter table howdah.{table} set (autovacuum_enabled = false)")
    for first in range(1, rows + 1, _STEP):
        place.value("select load.history(%s, %s, %s)", first, min(first + _STEP - 1, rows), rows)
    place.value("select load.begin_after(%s)", rows)
    place.run("vacuum analyze")
    place.run("checkpoint")


def measure(places: Places, rows: int, rounds: int) -> dict[str, object]:
    """Prune by batches of several sizes, then beside a worker; then look at what is left."""
    place = places.make("deletes")
    load(place, rows)
    figures: dict[str, object] = {"sizes before": place.megabytes()}
    place.value(_PUBLISH)
    claims = [place.buffers(_CLAIM)]
    for size in (1_000, 10_000):
        place.run("checkpoint")
        figures[f"batches of {size}"] = _total(
            [place.cost("select jobs.prune(null, %s)", size) for _ in range(rows // 100 // size)]
        ).per_row()
    claims.append(place.buffers(_CLAIM))
    figures["buffers of a claim before, amid"] = claims
    figures["beside a worker"] = _beside(place, rounds)
    place.run("vacuum howdah.job, howdah.finished, howdah.failure")
    figures["sizes after"] = place.megabytes() | {
        "rows left": place.value("select count(*) from howdah.finished")
    }
    places.drop("deletes")
    return figures


def _total(costs: list[Cost]) -> Cost:
    return Cost(
        sum(cost.rows for cost in costs),
        sum(cost.seconds for cost in costs),
        sum(cost.processor for cost in costs),
        sum(cost.log for cost in costs),
    )


def _beside(place: Place, rounds: int) -> dict[str, object]:
    """Drain alone, beside the chores as a worker does them, and beside pruning without a pause, in turns."""
    alone: list[Cost] = []
    beside: dict[str, list[Cost]] = {name: [] for name in _OTHERS}
    pruned: dict[str, list[float]] = {name: [] for name in _OTHERS}
    place.drain(_JOBS)
    for _ in range(rounds):
        alone.append(place.drain(_JOBS))
        for name, (call, pause) in _OTHERS.items():
            with _Pruner(place, call, pause) as pruner:
                cost = place.drain(_JOBS)
            beside[name].append(cost)
            pruned[name].append(pruner.pruned / cost.seconds)
    figures: dict[str, object] = {"jobs/s alone": median(cost.rows / cost.seconds for cost in alone)}
    for name in _OTHERS:
        figures[name] = {"drain ratio": ratio(beside[name], alone), "pruned/s": median(pruned[name])}
    return figures


class _Pruner(threading.Thread):
    """Prunes in a session of its own until the block ends."""

    def __init__(self, place: Place, call: str, pause: float) -> None:
        super().__init__()
        self._session, self._call, self._pause = place.beside(), call, pause
        self._stop_asked = threading.Event()
        self.pruned = 0

    def run(self) -> None:
        while not self._stop_asked.is_set():
            self.pruned += self._session.value(self._call)
            self._stop_asked.wait(self._pause)

    def __enter__(self) -> _Pruner:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop_asked.set()
        self.join()
        self._session.connection.close()
