"""A worker that does nothing but call `least.exchange`: `least.py BATCH CONNECTIONS`."""

from __future__ import annotations

import os
import sys
import threading

import psycopg

EXCHANGE = "select o_ids, o_last, length(o_jobs) from least.exchange(%s::bigint[], %s::int, %s::bigint)"


def exchange(batch: int) -> None:
    """Hand in a batch and take the next, until there is none."""
    with psycopg.connect(os.environ["BENCH_DSN"], autocommit=True, prepare_threshold=0) as connection:
        ids: str | None = "{}"
        last = 0
        while ids is not None:
            row = connection.execute(EXCHANGE, (ids, batch, last)).fetchone()
            ids, last = (None, last) if row is None or row[0] is None else row[:2]


def main() -> None:
    """Run the connections side by side; each waits for PostgreSQL nearly all of its time."""
    batch, connections = map(int, sys.argv[1:])
    threads = [threading.Thread(target=exchange, args=(batch,)) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
