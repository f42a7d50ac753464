"""A zombie: `python -m chaos.zombie NAME SEED`. It speaks for runs that have ended, and must be refused."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from chaos.journal import Journal

_PAUSE = 0.1
_NUMBER = 60
_SINGLE = {
    "ack": "select * from jobs.ack(%s, null, %s)",
    "nack": "select * from jobs.nack(%s, 'a zombie', null, %s)",
    "snooze": "select * from jobs.snooze(%s, 1, %s)",
    "release": "select * from jobs.release(%s, %s)",
    "log": 'select jobs.log(%s, %s, \'[["info", "a zombie"]]\')',
}
_OUTCOMES: tuple[tuple[Any, ...], ...] = (
    ("succeeded", {"token": "zombie"}),
    ("failed", "error", "a zombie", None, None, False),
    ("snoozed", 1),
    ("released",),
    ("cancelled", "a zombie"),
    ("parked", "task", "a zombie"),
)
_REFUSALS = {"JB002", "JB003"}


class Zombie:
    """Holds every run that ever ended, and does not know that it did."""

    def __init__(self, name: str, seed: int) -> None:
        self._draw = random.Random(seed)
        self._journal = Journal.of_the_environment(name)
        self._dsn = os.environ["HOWDAH_DSN"]
        self._stopping = False
        self._worker: int | None = None

    def run(self) -> None:
        """Haunt until SIGTERM."""
        signal.signal(signal.SIGTERM, self._stop)
        while not self._stopping:
            try:
                with psycopg.connect(self._dsn, autocommit=True, connect_timeout=5) as connection:
                    self._haunt(connection)
            except psycopg.Error as error:
                self._journal.write("no database", error=type(error).__name__)
                time.sleep(_PAUSE)
        self._leave()

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _haunt(self, connection: psycopg.Connection[Any]) -> None:
        while not self._stopping:
            runs = connection.execute("select job, run from chaos.ended_runs(300)").fetchall()
            chosen = self._draw.sample(runs, min(len(runs), _NUMBER))
            self._single(connection, chosen[:10])
            self._exchange(connection, chosen)
            self._heartbeat(connection, chosen)
            time.sleep(_PAUSE)

    def _leave(self) -> None:
        if self._worker is not None:
            with psycopg.connect(self._dsn, autocommit=True, connect_timeout=5) as connection:
                connection.execute("select jobs.worker_stopped(%s)", (self._worker,))

    def _single(self, connection: psycopg.Connection[Any], runs: list[tuple[int, int]]) -> None:
        for job, run in runs:
            verb = self._draw.choice(sorted(_SINGLE))
            try:
                connection.execute(_SINGLE[verb].encode(), (str(job), run))
            except psycopg.Error as error:
                if error.sqlstate in _REFUSALS:
                    self._tell(verb, [], 1)
                    continue
                if error.sqlstate is None or error.sqlstate[:2] in ("08", "53", "57"):
                    raise
                self._journal.write("zombie error", verb=verb, error=str(error)[:200])
            else:
                self._tell(verb, [[job, run]], 1)

    def _exchange(self, connection: psycopg.Connection[Any], runs: list[tuple[int, int]]) -> None:
        """Hand in outcomes as a worker that lives, for runs that were never its own or have ended."""
        outcomes = [[job, run, *self._draw.choice(_OUTCOMES)] for job, run in runs]
        try:
            row = connection.execute(
                "select jobs.exchange(%s, %s, 0)", (self._registered(connection), Jsonb(outcomes))
            ).fetchone()
        except psycopg.Error as error:
            if error.sqlstate not in ("JB007", "55P03"):
                raise
            self._worker = None
            return
        refused = set(row[0]["lost"] or ()) if row else set()
        self._tell("exchange", [[job, run] for job, run in runs if run not in refused], len(runs))

    def _registered(self, connection: psycopg.Connection[Any]) -> int:
        if self._worker is None:
            row = connection.execute("select jobs.worker_started('zombie', i_topic => 'zombie')").fetchone()
            self._worker = int(row[0]) if row else 0
        connection.execute("select * from jobs.heartbeat(%s)", (self._worker,))
        return self._worker

    def _heartbeat(self, connection: psycopg.Connection[Any], runs: list[tuple[int, int]]) -> None:
        numbers = [run for _, run in runs]
        rows = connection.execute(
            "select run_id from jobs.heartbeat(null, %s::bigint[]) where verdict = 'lost'", (numbers,)
        ).fetchall()
        refused = {run for (run,) in rows}
        self._tell("heartbeat", [[job, run] for job, run in runs if run not in refused], len(runs))

    def _tell(self, verb: str, accepted: list[list[int]], number: int) -> None:
        self._journal.write("zombie", verb=verb, calls=number, accepted=accepted)


def main() -> None:
    """Haunt until SIGTERM."""
    Zombie(sys.argv[1], int(sys.argv[2])).run()


if __name__ == "__main__":
    main()
