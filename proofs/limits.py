"""No limit is ever passed: `python -m proofs.limits --jobs 100000`.

Thirty-two claimers in eight processes, which are killed again and again, work through jobs of limited
queues, tasks and keys, while limits are changed. Every start, end and change of a limit is written down with
its transaction; afterwards the transactions are put in the order in which they were committed, and counted
through. Adds its figures to docs/reliability/calls.md.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.types.json import Jsonb

from proofs.ground import ground, violations
from proofs.pages import CALLS, put_section

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

_PROCESSES, _THREADS = 8, 4
_KEYS: Final = 1000
_SLOTS: Final = (1, 3, 10)
_RATE, _PER = 400, 1.0
_LEASE: Final = 5
_TASKS: Final = ["free", "rated", *(f"slots.{slots}" for slots in _SLOTS)]

_LEDGER: Final = """
create schema proof;
create table proof.event (
    xid xid8 not null, n bigserial, what text not null, job_id bigint, name text, most integer,
    at timestamptz);
create function proof.note() returns trigger language plpgsql security definer as $$
begin
    if tg_op = 'INSERT' then
        insert into proof.event (xid, what, job_id, at)
        values (pg_current_xact_id(), 'start', new.id, new.started_at);
    else
        insert into proof.event (xid, what, job_id) values (pg_current_xact_id(), 'end', old.id);
    end if;
    return null;
end $$;
create trigger note after insert or delete on howdah.running
    for each row execute function proof.note();
"""
# What a job is limited by, and how many slots there are at first; a change is an event of its own.
_PASSED: Final = """
with limits as (
    select j.id, x.name, x.most
      from howdah.job j
     cross join lateral (values
        ('queue ' || j.queue, case when j.queue like 'slots.%' then split_part(j.queue, '.', 2)::integer end),
        ('task ' || j.task, case when j.task like 'slots.%' then split_part(j.task, '.', 2)::integer end),
        ('key ' || j.concurrency_key, j.concurrency_limit)) x (name, most)
     where x.most is not null
), event as (
    select coalesce(e.name, l.name) as name, coalesce(e.most, l.most) as most, e.what, e.n,
           pg_xact_commit_timestamp(e.xid::xid) as at
      from proof.event e left join limits l on l.id = e.job_id
     where coalesce(e.name, l.name) is not null
), counted as (
    select v.*, sum(case v.what when 'start' then 1 when 'end' then -1 else 0 end) over w as running,
           coalesce((array_agg(v.most) filter (where v.what = 'change') over w)[
               count(*) filter (where v.what = 'change') over w], v.most) as allowed
      from event v
    window w as (partition by v.name order by v.at, v.what = 'start', v.n rows unbounded preceding)
)
select name, at, running, allowed from counted where what = 'start' and running > allowed
"""
_TOO_FAST: Final = """
select count(*) from (
    select e.at - lag(e.at, %s) over (order by e.at, e.n) as gap
      from proof.event e join howdah.job j on j.id = e.job_id where e.what = 'start' and j.task = 'rated') x
 where x.gap <= make_interval(secs => %s)
"""
_MOST: Final = """
select split_part(name, ' ', 1) as kind, max(running) from (
    select name, sum(delta) over (partition by name order by at, delta, n) as running from (
        select x.name, e.n, case e.what when 'start' then 1 else -1 end as delta,
               pg_xact_commit_timestamp(e.xid::xid) as at
          from proof.event e join howdah.job j on j.id = e.job_id
         cross join lateral (
                values ('queue ' || j.queue), ('task ' || j.task), ('key ' || j.concurrency_key)) x (name)
         where e.what in ('start', 'end') and x.name ~ '^(queue slots|task slots|key)') y) z
 group by 1 order by 1
"""


def main() -> int:
    """Work through the jobs and count; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m proofs.limits", description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--page", action="store_true", help="write the figures into the documentation")
    options = parser.parse_args()
    with ground(track_commit_timestamp="on") as servers:
        result = work_through(servers.database(), options.jobs, options.seed)
    told = "\n".join(f"* {what}: {value}" for what, value in result.items())
    sys.stdout.write(told + "\n")
    if options.page:
        put_section(CALLS, "Limits", told)
    return 1 if wrong(result) else 0


def wrong(result: dict[str, Any]) -> list[str]:
    """Return what should not have been."""
    clean = ("starts above a limit", "starts too soon for the rate", "violations", "jobs left")
    return [f"{what}: {result[what]}" for what in clean if result[what]]


def work_through(dsn: str, jobs: int, seed: int) -> dict[str, Any]:
    """Publish, work with kills and changes until all is done, and count."""
    began = time.monotonic()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_LEDGER)
        publish(connection, jobs)
        claimers = Claimers(dsn, seed)
        draw = random.Random(seed)
        kills = changes = 0
        while (left := _left(connection)) and time.monotonic() < began + 1500:
            time.sleep(0.3)
            if left > jobs // 20:
                claimers.kill_one(draw)
                kills += 1
                _change(connection, draw)
                changes += 1
            sys.stderr.write(f"\r{left} left ")
        claimers.stop()
        return {
            "jobs": jobs,
            "jobs left": left,
            "seconds": round(time.monotonic() - began),
            "claimers": _PROCESSES * _THREADS,
            "processes killed": kills,
            "limits changed": changes,
            "starts": _one(connection, "select count(*) from proof.event where what = 'start'"),
            "most at once": dict(connection.execute(_MOST).fetchall()),
            "starts above a limit": len(connection.execute(_PASSED).fetchall()),
            "starts too soon for the rate": _one(connection, _TOO_FAST, _RATE, _PER),
            "violations": len(violations(dsn)),
        }


def publish(connection: psycopg.Connection[Any], jobs: int) -> None:
    """Set the limits and publish the jobs: a fifth each of queues, tasks and a rate, the rest of keys."""
    for slots in _SLOTS:
        connection.execute(f"select jobs.set_queue('slots.{slots}', i_max_running => {slots})")
        connection.execute(f"select jobs.set_task('slots.{slots}', i_max_running => {slots})")
    connection.execute(
        "select jobs.set_task('rated', i_rate => %s, i_per => make_interval(secs => %s))", (_RATE, _PER)
    )
    for number in range(0, jobs, 1000):
        some = [_job(number + n) for n in range(min(1000, jobs - number))]
        connection.execute("select count(*) from jobs.publish_many(%s)", [Jsonb(some)])


def _job(number: int) -> dict[str, Any]:
    slots = _SLOTS[number % 3]
    match number % 10:
        case 0:
            return {"task": "free", "queue": f"slots.{slots}"}
        case 1:
            return {"task": f"slots.{slots}"}
        case 2:
            return {"task": "rated"}
        case 3:
            return {"task": f"slots.{slots}", "queue": f"slots.{_SLOTS[number // 10 % 3]}", **_keyed(number)}
        case _:
            return {"task": "free", **_keyed(number)}


def _keyed(number: int) -> dict[str, Any]:
    key = number * 7919 % _KEYS
    return {"concurrency_key": f"key {key}", "concurrency_limit": _SLOTS[key % 3]}


def _change(connection: psycopg.Connection[Any], draw: random.Random) -> None:
    """Change a limit and write that down, in one transaction."""
    name, most = f"slots.{draw.choice(_SLOTS)}", draw.choice(_SLOTS)
    kind = draw.choice(("queue", "task"))
    with connection.transaction():
        connection.execute(f"select jobs.set_{kind}(%s, i_max_running => %s)", (name, most))
        connection.execute(
            "insert into proof.event (xid, what, name, most) values (pg_current_xact_id(), 'change', %s, %s)",
            (f"{kind} {name}", most),
        )


def _one(connection: psycopg.Connection[Any], query: str, *values: object) -> Any:
    row = connection.execute(query, values).fetchone()
    return row[0] if row else None


def _left(connection: psycopg.Connection[Any]) -> int:
    return int(
        _one(connection, "select (select count(*) from howdah.job) - (select count(*) from howdah.finished)")
    )


class Claimers:
    """Processes of a few claimers each, one of which may be killed and is replaced."""

    def __init__(self, dsn: str, seed: int) -> None:
        self._dsn, self._seed, self._started = dsn, seed, 0
        self._processes = [self._start() for _ in range(_PROCESSES)]

    def _start(self) -> SpawnProcess:
        self._started += 1
        process = multiprocessing.get_context("spawn").Process(
            target=claim, args=(self._dsn, self._seed + self._started), daemon=True
        )
        process.start()
        return process

    def kill_one(self, draw: random.Random) -> None:
        """Kill a process, and start another."""
        number = draw.randrange(_PROCESSES)
        pid = self._processes[number].pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        self._processes[number].join()
        self._processes[number] = self._start()

    def stop(self) -> None:
        """Kill them all."""
        for process in self._processes:
            process.kill()
            process.join()


def claim(dsn: str, seed: int) -> None:
    """Claim and finish until killed, on a few connections."""
    for number in range(_THREADS):
        threading.Thread(target=_claim, args=(dsn, seed * 100 + number), daemon=True).start()
    signal.pause()


def _claim(dsn: str, seed: int) -> None:
    draw = random.Random(seed)
    declared = Jsonb([{"name": task} for task in _TASKS])
    start = "select jobs.worker_started('proof', %s, i_lease => %s)"
    with psycopg.connect(dsn, autocommit=True) as connection:
        worker = _one(connection, start, declared, _LEASE)
        held: list[Any] = []
        beat = 0.0
        while True:
            try:
                if time.monotonic() > beat + 1:
                    connection.execute("select jobs.heartbeat(%s, %s)", (worker, [run[1] for run in held]))
                    connection.execute("select * from jobs.maintain(1)")
                    beat = time.monotonic()
                outcomes = [_outcome(run, draw) for run in held]
                answer = _one(
                    connection,
                    "select jobs.exchange(%s, %s, %s)",
                    worker,
                    Jsonb(outcomes),
                    draw.choice((1, 5, 50)),
                )
            except psycopg.Error as error:
                if error.sqlstate == "JB007":
                    worker = _one(
                        connection, "select jobs.worker_started('proof', %s, i_lease => %s)", declared, _LEASE
                    )
                    held = []
                continue
            later = set(answer["later"])
            held = [run for run in held if run[1] in later] + answer["jobs"]
            if not answer["jobs"]:
                time.sleep(0.005)


def _outcome(run: Any, draw: random.Random) -> list[Any]:
    if draw.random() < 0.01:
        return [run[0], run[1], "snoozed", 0.01]
    if draw.random() < 0.01:
        return [run[0], run[1], "released"]
    return [run[0], run[1], "succeeded", None]


if __name__ == "__main__":
    sys.exit(main())
