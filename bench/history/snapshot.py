"""What the chores cost while an old snapshot keeps vacuum from removing what has come and gone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import psycopg

from bench.history.place import Place, Places, median

_CALLS: Final = {
    "promote": "select howdah.promote(howdah.now(), 10000)",
    "rescue": "select howdah.rescue(howdah.now(), 1000)",
    "rescue_overdue": "select howdah.rescue_overdue(howdah.now(), 1000)",
    "prune": "select howdah.prune(null, 1000, null, false, howdah.now())",
    "maintain": "select * from jobs.maintain()",
    "consume": "select * from jobs.consume(1)",
    "publish for later": "select * from jobs.publish('bench.noop', i_delay => 60)",
}
_SETTINGS = (
    "set plan_cache_mode = force_generic_plan",
    "set enable_seqscan = off",
    "set enable_hashjoin = off",
    "set enable_mergejoin = off",
    "set random_page_cost = 1.1",
    "set jit = off",
)


def measure(places: Places, rows: int, rounds: int) -> dict[str, object]:
    """Time the calls in a quiet database, then amid 300,000 dead rows of each table."""
    place = places.make("snapshot")
    place.run("select jobs.worker_started('w', '[{\"name\": \"bench.noop\"}]', i_lease => 86400)")
    for setting in _SETTINGS:
        place.run(setting)
    quiet = _times(place, rounds)
    with psycopg.connect(place.dsn) as holder:
        holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        holder.execute("select count(*) from pg_class")
        for statement in Path(__file__).with_name("snapshot.sql").read_text("utf-8").split(";"):
            place.run(statement)
        held = _times(place, rounds)
    places.drop("snapshot")
    return {
        name: {
            "quiet, ms": median(quiet[name][1:]),
            "first, ms": held[name][0],
            "then, ms": median(held[name][1:]),
        }
        for name in _CALLS
    }


def _times(place: Place, rounds: int) -> dict[str, list[float]]:
    return {name: [_milliseconds(place, call) for _ in range(rounds)] for name, call in _CALLS.items()}


def _milliseconds(place: Place, call: str) -> float:
    place.value("select setval('howdah.last_tick', 0)")
    began = time.perf_counter()
    place.value(call)
    return round((time.perf_counter() - began) * 1000, 2)
