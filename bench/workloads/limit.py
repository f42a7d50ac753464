"""The physical limit on this machine, and so Howdah's share of it: see `bench/limit`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench import progress
from bench.peers import Peer
from bench.processes import processor_seconds, running
from bench.rates import processor_time, rate

if TYPE_CHECKING:
    from bench.options import Sizes
    from bench.stands import Stand
    from bench.stores import Postgres

FOLDER = Path(__file__).parents[1] / "limit"
BATCHES = (100, 500, 1000)
CONNECTIONS = (1, 2)
LEAST = Peer(
    name="least",
    title="the least SQL",
    runtime="ours",
    configuration="one call per batch",
    done="select count(*) from least.finished where id > $1 and id <= $2",
)


def least(stand: Stand, sizes: Sizes) -> dict[str, float]:
    """Drain in batches of several sizes on one and on two connections; the fastest counts."""
    store = stand.postgres
    store.make_template(
        LEAST.name, lambda dsn: _execute(store, dsn, (FOLDER / "least.sql").read_text("utf-8"))
    )
    found = {
        f"limit {batch} x {connections}": _drain(store, sizes.limit, batch, connections)
        for batch in BATCHES
        for connections in CONNECTIONS
    }
    rates = {name: figure for name, (figure, _) in found.items()}
    fastest = max(rates, key=rates.__getitem__)
    return {"limit": rates[fastest], "limit cpu server": found[fastest][1], **rates}


def _drain(store: Postgres, jobs: int, batch: int, connections: int) -> tuple[float, float]:
    """Return jobs per second, and the server's microseconds for a job."""
    command = [sys.executable, str(FOLDER / "least.py"), str(batch), str(connections)]
    with store.place(LEAST.name) as dsn:
        _execute(store, dsn, f"select least.publish({jobs})")
        store.settle(dsn)
        with running(command, {"BENCH_DSN": dsn}), store.counter(dsn, LEAST, 0, jobs) as count:
            samples = progress.look(
                count, jobs, lambda: None, used=lambda: (0.0, processor_seconds(store.process))
            )
    return rate(samples, jobs), processor_time(samples, jobs)[1]


def _execute(store: Postgres, dsn: str, statements: str) -> None:
    with store.connect(dsn) as connection:
        connection.execute(statements)
