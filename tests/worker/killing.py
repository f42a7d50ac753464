"""Kills workers, over and over, in the middle of tasks that write a row with `ctx.connection`.

`python -m tests.worker.killing 1000` does it on a server of its own and prints the figures. Each worker is a
forked process that kills itself with SIGKILL at a point drawn for it, or is killed by its parent at any time.
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
import time
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from howdah import Context, Howdah
from howdah.settings import Settings
from howdah.worker import Worker, WorkerOptions

if TYPE_CHECKING:
    from collections.abc import Callable

POINTS = (
    "before the write",
    "after the write",
    "between the ack and the commit",
    "after the commit",
    "any time",
)
_AT_ONCE = 3
_PATIENCE = 10.0  # seconds until a worker that found nothing to die of is killed
_QUEUE = "select count(*) from jobs.job_queue"
_VERDICT = """
    select a.state, a.kind, count(e.*) as rows, coalesce(bool_and(e.run_id = a.run_id), true) as by_its_run
      from jobs."all" a left join effect e on e.job_id = a.id
     group by a.id, a.state, a.kind
"""


@dataclass
class Figures:
    """What came of it."""

    kills: Counter[str] = field(default_factory=Counter)
    jobs: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    runs_lost: int = 0
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        lines = [f"{sum(self.kills.values())} workers killed in {self.seconds:.0f} s:"]
        lines += [f"    {number:5}  {point}" for point, number in sorted(self.kills.items())]
        lines += [f"{self.runs_lost} runs died with them; {sum(self.jobs.values())} jobs ended:"]
        lines += [f"    {number:5}  {state}" for state, number in sorted(self.jobs.items())]
        lines += [f"{self.rows} rows written, {len(self.violations)} violations", *self.violations]
        return "\n".join(lines)


class Deadly:
    """Ends its process without a word at a given point of the nth run that gets there."""

    def __init__(self, point: str, countdown: int) -> None:
        self._point = point
        self._countdown = countdown

    def reached(self, point: str) -> None:
        """Die, if it is time."""
        if point == self._point:
            self._countdown -= 1
            if self._countdown <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def kill_workers(dsn: str, kills: int, seed: int = 1) -> Figures:
    """Kill so many workers, let one that lives finish the work, and look at what the tasks have written."""
    draw = random.Random(seed)
    figures = Figures()
    began = time.monotonic()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create table effect (job_id bigint not null, run_id bigint not null)")
        children: list[_Child] = []
        while sum(figures.kills.values()) < kills:
            while len(children) < _AT_ONCE:
                _publish(connection, draw)
                children.append(_Child(dsn, draw.choice(POINTS), draw))
            for child in children[:]:
                if child.has_died():
                    children.remove(child)
                    figures.kills[child.point] += 1
                    figures.runs_lost += child.give_back(connection)
            select.select([child.report for child in children], [], [], 0.002)
        for child in children:
            child.kill()
            figures.runs_lost += child.give_back(connection)
        _finish(dsn, connection)
        _judge(connection, figures)
    figures.seconds = time.monotonic() - began
    return figures


def _publish(connection: psycopg.Connection[Any], draw: random.Random) -> None:
    (waiting,) = connection.execute("select jobs.unfinished()").fetchone() or (0,)
    for _ in range(max(0, 40 - waiting)):
        task = draw.choice(("write", "write_in_thread"))
        fails = draw.random() < 0.2
        retries = 1 if fails else draw.choice((0, 1000, 1000))
        connection.execute(
            "select jobs.publish(%s, %s::jsonb, i_max_retries => %s, i_backoff => '{0}')",
            (task, f'{{"args": [{str(fails).lower()}]}}', retries),
        )


class _Child:
    """A worker that is going to die."""

    def __init__(self, dsn: str, point: str, draw: random.Random) -> None:
        self.point = point
        self._workers: list[int] = []
        self._deadline = time.monotonic() + _PATIENCE
        self._delay = draw.uniform(0, 0.04)
        self.report, theirs = os.pipe()
        os.set_blocking(self.report, False)
        deadly = Deadly(point, draw.randint(1, 5))
        self.pid = os.fork()
        if self.pid == 0:
            try:
                work(dsn, deadly, theirs)
            finally:
                os._exit(1)
        os.close(theirs)

    def has_died(self) -> bool:
        """Look after it; one that dies at any time is killed a moment after its first task began."""
        self._read()
        if time.monotonic() >= self._deadline:
            os.kill(self.pid, signal.SIGKILL)
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid and not os.WIFSIGNALED(status):
            raise AssertionError(f"a worker ended by itself: {status}")
        return bool(pid)

    def _read(self) -> None:
        with suppress(BlockingIOError):
            for line in os.read(self.report, 4096).split():
                if line == b"begun":
                    if self.point == "any time":
                        self._deadline = min(self._deadline, time.monotonic() + self._delay)
                else:
                    self._workers.append(int(line))

    def kill(self) -> None:
        """Kill it now."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def give_back(self, connection: psycopg.Connection[Any]) -> int:
        """Do what the parent of worker processes does when one has died."""
        self._read()
        os.close(self.report)
        return sum(
            connection.execute("select jobs.worker_stopped(%s, true)", (worker,)).fetchone()[0]  # type: ignore[index]
            for worker in self._workers
        )


def work(dsn: str, deadly: Deadly, report: int) -> None:
    """Be a worker."""
    app = Howdah(dsn, settings=Settings())
    begun: list[bool] = []

    def begin() -> None:
        if not begun:
            begun.append(True)
            os.write(report, b"begun\n")
        deadly.reached("before the write")

    @app.task(name="write")
    async def write(ctx: Context, fails: bool) -> int:
        begin()
        await ctx.connection.execute("insert into effect values ($1, $2)", ctx.job.id, ctx.job.run_id)
        deadly.reached("after the write")
        if fails:
            raise ValueError("as it shall")
        return ctx.job.run_id

    @app.task(name="write_in_thread")
    def write_in_thread(ctx: Context, fails: bool) -> int:
        begin()
        ctx.connection.execute("insert into effect values (%s, %s)", (ctx.job.id, ctx.job.run_id))
        deadly.reached("after the write")
        if fails:
            raise ValueError("as it shall")
        return ctx.job.run_id

    _lay_in_wait(deadly)
    options = WorkerOptions(concurrency=4, lease=30, grace=5)
    Worker(app, options, on_registered=lambda number: _tell(report, number)).main()


def _tell(report: int, number: int) -> None:
    os.write(report, b"%d\n" % number)


def _lay_in_wait(deadly: Deadly) -> None:
    """Die around the commits of this process; they happen all the same where it does not."""
    from howdah.drivers.transactions.asyncpg import AsyncpgTransaction
    from howdah.drivers.transactions.psycopg import PlainPsycopgTransaction

    commit, plain = AsyncpgTransaction.commit, PlainPsycopgTransaction.commit

    async def commit_and_die(self: AsyncpgTransaction) -> None:
        deadly.reached("between the ack and the commit")
        await commit(self)
        deadly.reached("after the commit")

    def plain_commit_and_die(self: PlainPsycopgTransaction) -> None:
        deadly.reached("between the ack and the commit")
        plain(self)
        deadly.reached("after the commit")

    _replace(AsyncpgTransaction, commit_and_die)
    _replace(PlainPsycopgTransaction, plain_commit_and_die)


def _replace(kind: type, commit: Callable[..., Any]) -> None:
    kind.commit = commit  # type: ignore[attr-defined]


def _finish(dsn: str, connection: psycopg.Connection[Any]) -> None:
    report, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            work(dsn, Deadly("never", 1), theirs)
        except BaseException:  # os._exit says nothing of it
            traceback.print_exc()
        finally:
            os._exit(0)
    deadline = time.monotonic() + 60
    while connection.execute(_QUEUE).fetchone() != (0,):  # nobody tells when the last job has ended
        assert time.monotonic() < deadline, _unfinished(connection)
        time.sleep(0.05)
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    os.close(report)
    os.close(theirs)


def _unfinished(connection: psycopg.Connection[Any]) -> str:
    rows = connection.execute("select state, count(*), min(jobs.why(job_id)) from jobs.job_queue group by 1")
    return f"the work was not finished: {rows.fetchall()}"


def _judge(connection: psycopg.Connection[Any], figures: Figures) -> None:
    for state, kind, rows, by_its_run in connection.execute(_VERDICT):
        figures.jobs[state if kind is None else f"{state}, kind {kind}"] += 1
        figures.rows += rows
        if rows != (state == "succeeded") or not by_its_run:
            figures.violations.append(f"a job that {state} has {rows} rows")
    for violation in connection.execute("select violation, job_id, detail from jobs.fsck()"):
        figures.violations.append(" ".join(map(str, violation)))


def main() -> None:
    """Kill as many workers as the first argument says."""
    from howdah import embedded
    from howdah.migrate import migrate

    server = embedded.acquire_temporary()
    try:
        dsn = server.ensure_database("kills")
        migrate(dsn)
        sys.stdout.write(f"{kill_workers(dsn, int(sys.argv[1]))}\n")
    finally:
        server.release()


if __name__ == "__main__":
    main()
