"""Calls for runs that have ended, while their jobs run again: `python -m proofs.zombies --calls 100000`.

Keepers let jobs run and end each run in one of the ways there are; zombies make every call there is about
those runs.
Adds its figures to docs/reliability/calls.md.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg

from proofs.ground import ground, violations
from proofs.keeper import WAYS, Ended, Keeper
from proofs.pages import CALLS, put_section

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "a stale write"
_SINGLE = {
    "ack": "select * from jobs.ack(%(key)s, to_jsonb(%(mark)s::text), %(run)s)",
    "ack by number": "select * from jobs.ack(%(number)s::text, to_jsonb(%(mark)s::text), %(run)s)",
    "nack": "select * from jobs.nack(%(key)s, %(mark)s, null, %(run)s)",
    "nack for good": "select * from jobs.nack(%(key)s, %(mark)s, null, %(run)s, i_final => true)",
    "snooze": "select * from jobs.snooze(%(key)s, 3600, %(run)s)",
    "release": "select * from jobs.release(%(key)s, %(run)s)",
    "run_died": "select * from jobs.run_died(%(key)s, %(run)s, %(mark)s)",
    "log": "select jobs.log(%(key)s, %(run)s, jsonb_build_array(jsonb_build_array('info', %(mark)s::text)))",
}
_OUTCOMES = {
    "succeeded": "to_jsonb(%(mark)s::text)",
    "failed": "'error', %(mark)s::text, null, null, false",
    "snoozed": "3600",
    "released": "null",
    "cancelled": "%(mark)s::text",
    "parked": "'task', %(mark)s::text",
}
_EXCHANGE = """
    select jobs.exchange(%(worker)s, jsonb_build_array(
        jsonb_build_array(%(number)s::bigint, %(run)s::bigint, '{}', {})), 0)"""
_REFUSALS = frozenset({"JB002", "JB003"})
_MARKED = """
    select (select count(*) from howdah.finished f where position(%(mark)s in concat(f.result, f.error)) > 0)
         + (select count(*) from howdah.failure f where strpos(concat(f.error, f.traceback), %(mark)s) > 0)
         + (select count(*) from howdah.blocked b where position(%(mark)s in b.reason) > 0)
         + (select count(*) from howdah.log l where position(%(mark)s in l.message) > 0)"""


class Zombie:
    """Makes every call about runs that have ended, and counts how it was answered."""

    def __init__(self, dsn: str, ended: Callable[[random.Random], Ended | None], seed: int) -> None:
        self._dsn = dsn
        self._ended = ended
        self._draw = random.Random(seed)
        self.calls: Counter[str] = Counter()
        self.ways: Counter[str] = Counter()
        self.accepted: list[str] = []

    def haunt(self, number: int) -> None:
        """Make so many calls."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            living = _worker(connection)
            verbs = [*_SINGLE, *(f"exchange {verb}" for verb in _OUTCOMES), "heartbeat", "as its worker"]
            while self.calls.total() < number:
                ended = self._ended(self._draw)
                if ended is None:
                    time.sleep(0.01)  # no run has ended yet
                    continue
                verb = self._draw.choice(verbs)
                answer = self._call(connection, verb, ended, living)
                self.calls[verb] += 1
                self.ways[ended.way] += 1
                if answer is not None:
                    self.accepted.append(f"{verb} of a run that was {ended.way}: {answer}")

    def _call(self, connection: psycopg.Connection[Any], verb: str, ended: Ended, living: int) -> str | None:
        """Make one call; return how it was answered unless it was refused."""
        given = {"key": ended.key, "number": ended.number, "run": ended.run, "mark": MARK, "worker": living}
        try:
            if verb in _SINGLE:
                connection.execute(_SINGLE[verb].encode(), given)
                return "done"
            if verb == "heartbeat":
                rows = connection.execute("select * from jobs.heartbeat(null, %s)", [[ended.run]]).fetchall()
                return None if rows == [(ended.run, "lost")] else str(rows)
            if verb == "as its worker":
                return self._as_its_worker(connection, ended)
            outcome = verb.removeprefix("exchange ")
            query = _EXCHANGE.format(outcome, _OUTCOMES[outcome])
            connection.execute("select * from jobs.heartbeat(%s)", [living])
            row = connection.execute(query.encode(), given).fetchone()
        except psycopg.Error as error:
            return None if error.sqlstate in _REFUSALS else f"{error.sqlstate} {error}"
        return None if row is not None and row[0]["lost"] == [ended.run] else str(row)

    def _as_its_worker(self, connection: psycopg.Connection[Any], ended: Ended) -> str | None:
        """Speak as the worker that had the run, which is gone."""
        gone = ended.worker if ended.worker_is_gone else 10**12
        call = self._draw.choice(
            (
                "select jobs.heartbeat(%s)",
                "select jobs.exchange(%s, null, 10)",
                "select jobs.reconcile(%s, '{}')",
            )
        )
        try:
            connection.execute(call.encode(), [gone])
        except psycopg.Error as error:
            return None if error.sqlstate == "JB007" else f"{error.sqlstate} {error}"
        return "done"


def _worker(connection: psycopg.Connection[Any]) -> int:
    """Register a worker that lives and serves nothing."""
    row = connection.execute(
        "select jobs.worker_started('zombie', i_queues => '{nowhere}', i_lease => 3600)"
    ).fetchone()
    return int(row[0]) if row else 0


def main() -> int:
    """Let them meet; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m proofs.zombies", description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--page", action="store_true", help="write the figures into the documentation")
    options = parser.parse_args()
    with ground() as servers:
        dsn = servers.database()
        began = time.monotonic()
        keepers, zombies = meet(dsn, options.calls, options.seed)
        seconds = time.monotonic() - began
        wrong = [f"fsck: {row}" for row in violations(dsn)]
        wrong += [problem for zombie in zombies for problem in zombie.accepted]
        marked = marks(dsn)
        wrong += [f"{marked} rows hold what a zombie wrote"] if marked else []
    told = _told(keepers, zombies, seconds, wrong)
    sys.stdout.write(told + "\n" + "\n".join(wrong[:20]) + "\n")
    if options.page:
        put_section(CALLS, "Calls of runs that have ended", told)
    return 1 if wrong else 0


def meet(dsn: str, calls: int, seed: int) -> tuple[list[Keeper], list[Zombie]]:
    """Let two keepers run jobs and four zombies haunt them until so many calls were made."""
    over = threading.Event()
    keepers = [Keeper(dsn, f"k{number}", seed + number, over) for number in range(2)]
    zombies = [Zombie(dsn, keepers[number % 2].an_ended_run, seed + 100 + number) for number in range(4)]
    with ThreadPoolExecutor(len(keepers) + len(zombies)) as threads, closing(_Bell(over)):
        kept = [threads.submit(keeper.keep) for keeper in keepers]
        haunted = [threads.submit(zombie.haunt, -(-calls // len(zombies))) for zombie in zombies]
        try:
            for done in haunted:
                done.result()
        finally:
            over.set()
        for done in kept:
            done.result()
    return keepers, zombies


class _Bell:
    def __init__(self, over: threading.Event) -> None:
        self._over = over

    def close(self) -> None:
        self._over.set()


def marks(dsn: str) -> int:
    """Return how many rows hold something that only a zombie writes."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(_MARKED.encode(), {"mark": MARK}).fetchone()
    return int(row[0]) if row else 0


def _told(keepers: list[Keeper], zombies: list[Zombie], seconds: float, wrong: list[str]) -> str:
    calls: Counter[str] = sum((zombie.calls for zombie in zombies), Counter())
    ways: Counter[str] = sum((zombie.ways for zombie in zombies), Counter())
    runs: Counter[str] = sum((keeper.ends for keeper in keepers), Counter())
    lines = [
        f"{calls.total():,} calls for runs that had ended, over four connections, in {seconds:.0f} s,",
        f"while two others let the same jobs run again ({runs.total():,} runs).",
        f"Accepted: **{len(wrong)}**. (`make zombies`)",
        "" if wrong else "No row holds a trace of them, and `jobs.fsck()` finds nothing.",
        "",
        "| call | times |",
        "|---|---|",
        *(f"| {verb} | {number:,} |" for verb, number in sorted(calls.items())),
        "",
        "| the run was | runs | calls about them |",
        "|---|---|---|",
        *(f"| {way} | {runs[way]:,} | {ways[way]:,} |" for way in WAYS),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
