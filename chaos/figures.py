"""How long things take when something dies: `python -m chaos.figures [--trials N]` writes the page.

Workers are real processes, started as users start them, on a server of our own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from chaos.server import ChaosServer, children
from howdah import Howdah
from howdah.migrate import migrate
from howdah.testing.databases import fastest_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability" / "figures.md"
GRACE = 3.0
LEASE = 5.0
app: Howdah = Howdah()
# What jobs.session_started says behind a transaction pooler.
UNTIED = """
create or replace function jobs.session_started(i_worker_id bigint, i_backend_pid integer)
    returns boolean language sql security definer return false
"""
INTRODUCTION = """# How long it takes

Measured by `python -m chaos.figures` on {cores} cores ({system}), load average {load:.1f}, against a
server whose data lies in memory. Workers are `howdah worker --processes 2`; every trial is a new death.

| what | promised | trials | median | p99 | longest |
|---|--:|--:|--:|--:|--:|
"""


@app.task(timeout=600)
async def hold(seconds: float) -> None:
    """Take that long."""
    await asyncio.sleep(seconds)


@dataclass
class Figure:
    """What was measured, in seconds."""

    name: str
    promised: float
    trials: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        ordered = sorted(self.trials)
        p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
        numbers = (statistics.median(ordered), p99, ordered[-1])
        shown = " | ".join(f"{number:.2f} s" for number in numbers)
        return f"| {self.name} | {self.promised:g} s | {len(ordered)} | {shown} |"


class Machine:
    """A parent with two worker processes, which can die as a machine does."""

    def __init__(self, dsn: str, lease: float = 15.0) -> None:
        command = [sys.executable, "-m", "howdah", "worker", "--app", "chaos.figures:app", "--dsn", dsn]
        self.process = subprocess.Popen(
            [*command, "--processes", "2", "--concurrency", "4", "--grace", f"{GRACE:g}"],
            cwd=ROOT,
            env={**os.environ, "HOWDAH_LEASE": f"{lease:g}"},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def pids(self) -> list[int]:
        """Return all its processes."""
        found = [self.process.pid]
        for pid in found:
            found += children(pid)
        return found

    def kill(self) -> None:
        """Kill all of them at once."""
        pids = self.pids()
        for number in (signal.SIGSTOP, signal.SIGKILL):  # so that none sees another one die
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        self.process.wait()


class Bench:
    """A database, and ways to look at it."""

    def __init__(self, server: ChaosServer, name: str) -> None:
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f'create database "{name}"'.encode())
        self.dsn = server.dsn(name)
        migrate(self.dsn)
        self.connection = psycopg.connect(self.dsn, autocommit=True)

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        cursor = self.connection.execute(query.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def until(self, query: str, expected: object, patience: float = 120) -> float:
        """Wait until a query's value is that; return when it was."""
        end = time.monotonic() + patience
        while self.ask(query) != [(expected,)]:
            if time.monotonic() > end:
                raise TimeoutError(query)
            time.sleep(0.005)
        return time.monotonic()

    def reconnect(self) -> None:
        """Connect anew, after the server was away."""
        self.connection = psycopg.connect(self.dsn, autocommit=True)


ALIVE = "select count(*) from jobs.workers where alive"


def deaths(bench: Bench, figure: Figure, trials: int, lease: float) -> Figure:
    """Kill one of two machines with its four jobs, and see when the last of them is run by the other."""
    machines = [Machine(bench.dsn, lease) for _ in range(2)]
    try:
        for _ in range(trials):
            bench.until(ALIVE, 4)
            bench.ask(
                "select jobs.publish('chaos.figures.hold', '{\"args\": [600]}') from generate_series(1, 8)"
            )
            bench.until("select count(*) from howdah.running", 8)
            time.sleep(1.2)  # every heartbeat has been answered since
            doomed = machines.pop(0)
            held = (
                f"select array_agg(run_id) from howdah.running where worker_id in ({_workers(bench, doomed)})"
            )
            ((runs,),) = bench.ask(held)
            ((last,),) = bench.ask("select max(run_id) from howdah.running")
            if runs:
                doomed.kill()
                killed = time.monotonic()
                moved = f"select count(*) from howdah.running where run_id > {last}"
                figure.trials.append(bench.until(moved, len(runs)) - killed)
            else:
                doomed.kill()
            bench.ask("select jobs.cancel(id::text) from howdah.running")
            bench.until("select count(*) from howdah.running", 0)
            machines.append(Machine(bench.dsn, lease))
    finally:
        for machine in machines:
            machine.kill()
    return figure


def _workers(bench: Bench, machine: Machine) -> str:
    pids = ", ".join(str(pid) for pid in machine.pids())
    rows = bench.ask(f"select id from howdah.worker where pid in ({pids})")
    return ", ".join(str(row[0]) for row in rows) or "0"


def restarts(server: ChaosServer, bench: Bench, figure: Figure, trials: int) -> Figure:
    """Stop the server at once, start it again, and see when the first job has succeeded."""
    machine = Machine(bench.dsn)
    try:
        for _ in range(trials):
            bench.until(ALIVE, 2)
            bench.ask(
                "select jobs.publish('chaos.figures.hold', '{\"args\": [0.01]}') from generate_series(1, 500)"
            )
            server.stop_immediately()
            time.sleep(2)
            server.start()
            back = time.monotonic()
            bench.reconnect()
            ((before,),) = bench.ask("select count(*) from jobs.job")
            first = f"select count(*) > {before} from jobs.job"
            figure.trials.append(bench.until(first, True) - back)
            bench.until("select count(*) from jobs.job_queue", 0)
    finally:
        machine.kill()
    return figure


def ends(bench: Bench, figure: Figure, trials: int) -> Figure:
    """End a machine by SIGTERM in the middle of long jobs; none of them may lose an attempt."""
    for _ in range(trials):
        machine = Machine(bench.dsn)
        bench.until(ALIVE, 2)
        bench.ask("select jobs.publish('chaos.figures.hold', '{\"args\": [600]}') from generate_series(1, 4)")
        bench.until("select count(*) from howdah.running", 4)
        began = time.monotonic()
        machine.process.send_signal(signal.SIGTERM)
        code = machine.process.wait(60)
        figure.trials.append(time.monotonic() - began)
        burned = bench.ask("select count(*) from howdah.ready where attempt > 0")
        failures = bench.ask("select count(*) from howdah.failure")
        assert (code, burned, failures) == (0, [(0,)], [(0,)]), (code, burned, failures)
        bench.ask("select jobs.cancel(id::text) from howdah.ready")
    return figure


def measure(trials: int) -> Iterator[Figure]:
    """Measure everything."""
    server = ChaosServer(fastest_folder(1 << 30) or Path("/tmp"))
    try:
        server.start()
        time.sleep(5)  # nobody is missed in a server's first seconds
        yield deaths(
            Bench(server, "tied"),
            Figure("a killed machine's jobs run again, direct connection", 2),
            trials,
            15,
        )
        untied = Bench(server, "untied")
        untied.ask(UNTIED)
        name = f"the same without a session lock (as behind a transaction pooler), lease {LEASE:g} s"
        yield deaths(untied, Figure(name, LEASE + 1), max(3, trials // 3), LEASE)
        name = "first completion after PostgreSQL is back (stopped at once, 2 s away)"
        yield restarts(server, Bench(server, "restarts"), Figure(name, 1), max(3, trials // 2))
        name = f"SIGTERM to exit, grace {GRACE:g} s, four long jobs, no attempt burned"
        yield ends(Bench(server, "ends"), Figure(name, GRACE + 1), max(3, trials // 2))
    finally:
        server.stop()


def main() -> int:
    """Measure, print and write the page."""
    parser = argparse.ArgumentParser(prog="python -m chaos.figures", description=__doc__)
    parser.add_argument("--trials", type=int, default=30)
    trials: int = parser.parse_args().trials
    figures = []
    for figure in measure(trials):
        sys.stdout.write(f"{figure}\n")
        sys.stdout.flush()
        figures.append(figure)
    system = f"{platform.system()} {platform.machine()}"
    head = INTRODUCTION.format(cores=os.cpu_count(), system=system, load=os.getloadavg()[1])
    PAGE.write_text(head + "".join(f"{figure}\n" for figure in figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
