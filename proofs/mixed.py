"""Every function at once over sixteen connections: `python -m proofs.mixed --calls 1000000`.

No deadlock, no serialization failure, nothing but typed errors, and `jobs.fsck()` finds nothing afterwards.
Adds its figures to docs/reliability/calls.md.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Final

import psycopg

from proofs.caller import Caller
from proofs.ground import ground, violations
from proofs.pages import CALLS, put_section

_PROCESSES, _THREADS = 4, 4
_PROGRESS: Final = 15.0
_DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"


def main() -> int:
    """Make the calls; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m proofs.mixed", description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--page", action="store_true", help="write the figures into the documentation")
    options = parser.parse_args()
    with ground() as servers:
        dsn = servers.database()
        began = time.monotonic()
        calls, answers = everything(dsn, options.calls, options.seed)
        seconds = time.monotonic() - began
        deadlocks = _deadlocks(dsn)
        found = violations(dsn)
    told = _told(calls, answers, seconds, deadlocks, len(found))
    sys.stdout.write(f"{told}\n{found[:5] or ''}\n")
    if options.page:
        put_section(CALLS, "Everything at once", told)
    return 1 if found or deadlocks or wrong(answers) else 0


def everything(
    dsn: str, calls: int, seed: int, processes: int = _PROCESSES, threads: int = _THREADS
) -> tuple[Counter[str], Counter[str]]:
    """Make so many calls over all connections; return how often each, and how they were answered."""
    share = -(-calls // (processes * threads))
    made: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    over = threading.Event()
    with ProcessPoolExecutor(processes) as pool:
        threading.Thread(target=_tell, args=(dsn, over), daemon=True).start()
        parts = [pool.submit(several, dsn, share, seed + 1000 * n, threads) for n in range(processes)]
        for part in parts:
            for some_made, some_answers in part.result():
                made += some_made
                answers += some_answers
    over.set()
    return made, answers


def several(dsn: str, calls: int, seed: int, threads: int) -> list[tuple[Counter[str], Counter[str]]]:
    """Make calls over a few connections of this process."""
    callers = [Caller(dsn, seed + number) for number in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(caller.make, calls) for caller in callers]:
            done.result()
    return [(caller.calls, caller.answers) for caller in callers]


def wrong(answers: Counter[str]) -> dict[str, int]:
    """Return the answers that no caller may get, with how often they came."""
    return {
        code: number for code, number in answers.items() if not code.startswith("JB") and code not in _GOOD
    }


# "try again": somebody ends the worker's registration at this moment.
_GOOD: Final = frozenset({"done", "55P03"})


def _tell(dsn: str, over: threading.Event) -> None:
    """Say now and then what is there."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        while not over.wait(_PROGRESS):
            row = connection.execute(
                "select (select count(*) from howdah.job), (select count(*) from howdah.ready), xact_commit,"
                " deadlocks from pg_stat_database where datname = current_database()"
            ).fetchone()
            sys.stderr.write(f"jobs, ready, transactions, deadlocks: {row}\n")


def _deadlocks(dsn: str) -> int:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select pg_stat_force_next_flush()")
        row = connection.execute(_DEADLOCKS).fetchone()
    return int(row[0]) if row else 0


def _told(calls: Counter[str], answers: Counter[str], seconds: float, deadlocks: int, violated: int) -> str:
    codes = ", ".join(f"{code} {number:,}" for code, number in answers.most_common())
    lines = [
        f"{calls.total():,} calls over {_PROCESSES * _THREADS} connections in {seconds:.0f} s",
        f"({calls.total() / seconds:,.0f} a second). Deadlocks that PostgreSQL counted: **{deadlocks}**;",
        f"errors 40P01: **{answers['40P01']}**; 40001: **{answers['40001']}**; what",
        f"`jobs.fsck()` finds afterwards: **{violated}**. Answers: {codes}. (`make mixed`)",
        "",
        "| call | times |",
        "|---|---|",
        *(f"| {name} | {number:,} |" for name, number in sorted(calls.items())),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
