"""What the index by the end of a job costs each ack."""

from __future__ import annotations

import statistics
from typing import Final

from bench.history.place import Cost, Places, ratio

_JOBS = 12_000
_DROP = "drop index howdah.finished_well, howdah.finished_badly;"
_VARIANTS: Final = {
    "success apart": "",
    "state and end": f"{_DROP} create index on howdah.finished (state, finished_at) where prune_at is null",
    "end": f"{_DROP} create index on howdah.finished (finished_at) where prune_at is null",
    "none": _DROP,
}
_CROWD = """
    alter table howdah.job set (autovacuum_enabled = false);
    alter table howdah.finished set (autovacuum_enabled = false);
    insert into howdah.finished (id, state, run_id, attempt, started_at, finished_at, result, kind)
    select -n, case when n % 100 = 0 then 'failed' else 'succeeded' end::howdah.state, -n, 1,
           now() - interval '6 days', now() - interval '6 days' + (n / 100) * interval '10 ms',
           case when n % 100 > 0 then '3'::jsonb end, case when n % 100 = 0 then 'error' end
      from generate_series(1, 1500000) n;
    vacuum analyze howdah.finished"""


def measure(places: Places, rows: int, rounds: int) -> dict[str, object]:
    """Drain by one connection with each set of indexes, in turns, beside 1.5 million finished jobs."""
    crowd = places.make("crowd")
    for statement in _CROWD.split(";"):
        crowd.run(statement)
    crowd.connection.close()
    variants = {name: places.copy(f"index_{number}", "crowd") for number, name in enumerate(_VARIANTS)}
    for name, place in variants.items():
        if _VARIANTS[name]:
            place.run(_VARIANTS[name])
        place.drain(_JOBS)
    costs: dict[str, list[Cost]] = {name: [] for name in variants}
    for number in range(rounds):
        names = list(variants)
        for name in names[number % 4 :] + names[: number % 4]:
            costs[name].append(variants[name].drain(_JOBS))
    for number in range(len(variants)):
        places.drop(f"index_{number}")
    places.drop("crowd")
    return {
        name: {
            "drain ratio": ratio(measured, costs["state and end"]),
            "processor ratio": ratio(measured, costs["state and end"], processor=True),
            "µs of processor, 2nd decile": _decile([cost.processor / cost.rows * 1e6 for cost in measured]),
            "bytes of log, least": round(min(cost.log / cost.rows for cost in measured)),
        }
        for name, measured in costs.items()
    }


def _decile(values: list[float]) -> float:
    return round(statistics.quantiles(values, n=10)[1], 2)
