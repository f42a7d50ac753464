"""Databases to measure in, and what one of their sessions has cost."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from howdah.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Cost", "Place", "Places", "median", "ratio"]

_WORKER = """select jobs.worker_started('w', '[{"name": "bench.noop"}]', i_lease => 86400)"""
_EXCHANGE = "select jobs.exchange(%s, %s::jsonb, %s)::text"
_PUBLISH = """select cardinality(jobs.publish_each('bench.noop', (
    select jsonb_agg(jsonb_build_object('args', jsonb_build_array(n))) from generate_series(1, %s) n)))"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What rows have cost: seconds, those of them that PostgreSQL computed, and bytes of write-ahead log."""

    rows: int
    seconds: float
    processor: float
    log: float

    def per_row(self) -> dict[str, float]:
        """Microseconds and bytes for each row, and rows a second."""
        return {
            "rows/s": round(self.rows / self.seconds),
            "µs of processor": round(self.processor / self.rows * 1e6, 2),
            "bytes of log": round(self.log / self.rows),
        }


class Place:
    """A session on a database of its own."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.connection = psycopg.connect(dsn, autocommit=True, prepare_threshold=0)
        self._worker: int | None = None

    def value(self, statement: str, *arguments: object) -> Any:
        """Return the first value of the first row; None without one."""
        cursor = self.connection.execute(statement.encode(), arguments or None)
        row = cursor.fetchone() if cursor.description else None
        return None if row is None else row[0]

    def run(self, text: str) -> None:
        """Run statements."""
        self.connection.execute(text.encode(), prepare=False)

    def beside(self) -> Place:
        """Open another session on the same database."""
        return Place(self.dsn)

    def log_position(self) -> float:
        """Return how many bytes of write-ahead log the server has written."""
        return float(self.value("select pg_current_wal_insert_lsn() - '0/0'"))

    def processor(self) -> float:
        """Return the seconds that the session's backend has been computing."""
        return int(Path(f"/proc/{self.connection.info.backend_pid}/schedstat").read_text().split()[0]) / 1e9

    def cost(self, statement: str, *arguments: object) -> Cost:
        """Run a statement whose value is how many rows it touched."""
        log, processor, began = self.log_position(), self.processor(), time.perf_counter()
        rows = int(self.value(statement, *arguments) or 0)
        seconds = time.perf_counter() - began
        return Cost(rows, seconds, self.processor() - processor, self.log_position() - log)

    def drain(self, jobs: int, batch: int = 500) -> Cost:
        """Publish jobs, then claim and ack them as a worker does, on this one connection."""
        if self._worker is None:
            self._worker = int(self.value(_WORKER))
        self.value(_PUBLISH, jobs)
        self.run("checkpoint")
        log, processor, began = self.log_position(), self.processor(), time.perf_counter()
        outcomes: str | None = None
        done = 0
        while claimed := json.loads(self.value(_EXCHANGE, self._worker, outcomes, batch))["jobs"]:
            outcomes = json.dumps([[job[0], job[1], "succeeded", None] for job in claimed])
            done += len(claimed)
        seconds = time.perf_counter() - began
        return Cost(done, seconds, self.processor() - processor, self.log_position() - log)

    def buffers(self, call: str) -> int:
        """Return how many buffers a call asks for; it is rolled back."""
        for _ in range(2):
            with self.connection.transaction(force_rollback=True):
                plan = self.value(f"explain (analyze, buffers, format json) {call}")
        top = plan[0]["Plan"]
        return int(top["Shared Hit Blocks"]) + int(top["Shared Read Blocks"])

    def megabytes(self) -> dict[str, float]:
        """Return the size of the tables that keep history, with their indexes."""
        sizes = self.connection.execute(
            "select relname, pg_relation_size(oid), pg_indexes_size(oid) from pg_class"
            " where oid in ('howdah.job'::regclass, 'howdah.finished'::regclass)"
        )
        return {
            name: round(size / 1e6)
            for table, heap, indexes in sizes
            for name, size in ((table, heap), (f"indexes of {table}", indexes))
        }


class Places:
    """Databases on one server, by name."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._admin = psycopg.connect(dsn, autocommit=True)

    def make(self, name: str) -> Place:
        """Make a database with the engine installed and nothing else."""
        self._create(name, "template0")
        migrate(self._dsn_of(name))
        return Place(self._dsn_of(name))

    def copy(self, name: str, of: str) -> Place:
        """Copy a database that nobody is connected to."""
        self._create(name, of)
        return Place(self._dsn_of(name))

    def drop(self, name: str) -> None:
        """Drop a database with whoever is connected."""
        self._admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def _create(self, name: str, template: str) -> None:
        self.drop(name)
        self._admin.execute(
            sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
        )

    def _dsn_of(self, name: str) -> str:
        return self._dsn.replace("/postgres?", f"/{name}?")


def median(values: Iterable[float]) -> float:
    """Return the median, rounded."""
    return round(statistics.median(values), 3)


def ratio(first: list[Cost], second: list[Cost], *, processor: bool = False) -> float:
    """Return the median of how many times faster the first were, round by round."""
    if processor:
        return median(
            (b.processor / b.rows) / (a.processor / a.rows) for a, b in zip(first, second, strict=True)
        )
    return median((a.rows / a.seconds) / (b.rows / b.seconds) for a, b in zip(first, second, strict=True))
