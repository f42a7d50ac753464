"""Lets jobs run, and ends each run in one of all the ways there are; the jobs run again at once."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    import threading

_KEYS = 12
_REMEMBERED = 400
_MOMENT = 0.002

_PLAIN: Final = {
    "acked": "select jobs.ack(%(key)s, '1', %(run)s)",
    "nacked": "select jobs.nack(%(key)s, 'no', i_run_id => %(run)s, i_delay => 3600)",
    "failed": "select jobs.nack(%(key)s, 'no', i_run_id => %(run)s, i_final => true)",
    "snoozed": "select jobs.snooze(%(key)s, 3600, %(run)s)",
    "released": "select jobs.release(%(key)s, %(run)s)",
    "deleted": "select jobs.delete(%(key)s, true)",
    "cancelled": "select jobs.cancel(%(key)s), jobs.nack(%(key)s, 'no', i_run_id => %(run)s)",
    "timed out": "select * from jobs.maintain()",
}
_OUTCOMES: Final[dict[str, tuple[Any, ...]]] = {
    "handed in as succeeded": ("succeeded", 1),
    "handed in as failed": ("failed", "error", "no", None, 3600, False),
    "handed in as snoozed": ("snoozed", 3600),
    "handed in as released": ("released",),
    "handed in as cancelled": ("cancelled", "enough"),
    "handed in as parked": ("parked", "arguments", "odd"),
}
_GONE: Final = {
    "given back by a worker that stopped": "select jobs.worker_stopped(%(worker)s)",
    "of a worker that crashed": "select jobs.worker_stopped(%(worker)s, true)",
}
_WORKED: Final = {
    "reconciled": "select jobs.reconcile(%(worker)s, '{}')",
    "of a process that died": "select jobs.run_died(%(key)s, %(run)s)",
    **_GONE,
}
_SILENT: Final = "of a worker that was silent"
WAYS: Final = (*_PLAIN, *_OUTCOMES, *_WORKED, _SILENT)


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over: its job, what it was, and the worker that had it."""

    key: str
    number: int
    run: int
    worker: int
    worker_is_gone: bool
    way: str


class Keeper:
    """Runs a few jobs of its own, over and over, until `over`."""

    def __init__(self, dsn: str, name: str, seed: int, over: threading.Event) -> None:
        self._dsn = dsn
        self._name = name
        self._draw = random.Random(seed)
        self._over = over
        self._recent: deque[Ended] = deque(maxlen=_REMEMBERED)
        self.ends: Counter[str] = Counter()

    def an_ended_run(self, draw: random.Random) -> Ended | None:
        """Return one of the runs that ended lately."""
        try:
            return draw.choice(self._recent)
        except IndexError:
            return None

    def keep(self) -> None:
        """Let jobs run and end, in turn in each way."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            worker = self._start(connection, 3600)
            ways = [way for way in WAYS if way != _SILENT]
            last_silence = time.monotonic()
            while not self._over.is_set():
                silent = time.monotonic() > last_silence + 5
                way = _SILENT if silent else self._draw.choice(ways)
                last_silence = time.monotonic() if silent else last_silence
                worker = self._one(connection, way, worker)

    def _one(self, connection: psycopg.Connection[Any], way: str, worker: int) -> int:
        """Let one job run and end; return the worker that lives then."""
        key = f"{self._name} {self._draw.randrange(_KEYS)}"
        self._make_ready(connection, key, 0.001 if way == "timed out" else 600)
        if way in _PLAIN:
            ran = self._consumed(connection)
        else:
            if way == _SILENT:
                connection.execute("select jobs.worker_stopped(%s)", [worker])
                worker = self._start(connection, 1)
            connection.execute("select jobs.heartbeat(%s)", [worker])
            ran = self._exchanged(connection, worker)
        if ran is None:
            return worker
        if ran[0] != key and way == "timed out":  # another one that was ready, with time enough
            way = "acked"
        key, number, run = ran
        given = {"key": key, "number": number, "run": run, "worker": worker}
        gone = way in _GONE or way == _SILENT
        try:
            self._end(connection, way, given)
        except psycopg.Error as error:
            if error.sqlstate != "JB002":
                raise
            way, gone = (
                "timed out",
                False,
            )  # one with no time at all, and the other keeper's chores came first
        if self._over.is_set():
            return worker
        self._recent.append(Ended(key, number, run, worker, gone, way))
        self.ends[way] += 1
        return self._start(connection, 3600) if gone else worker

    def _make_ready(self, connection: psycopg.Connection[Any], key: str, timeout: float) -> None:
        """Publish the job, or bring it back from wherever it is."""
        row = connection.execute("select state, timeout from jobs.get(%s)", [key]).fetchone()
        if row is not None and float(row[1]) != timeout and row[0] != "running":
            connection.execute("select jobs.delete(%s)", [key])
            row = None
        if row is None:
            connection.execute(
                "select jobs.publish(%s, i_key => %s, i_queue => %s, i_timeout => %s::numeric,"
                " i_max_retries => 10000)",
                [f"{self._name}.task", key, self._name, timeout],
            )
        elif row[0] not in ("ready", "running"):
            connection.execute("select jobs.retry(%s)", [key])

    def _consumed(self, connection: psycopg.Connection[Any]) -> tuple[str, int, int] | None:
        query = "select job_id, id, run_id from jobs.consume(1, %s)"
        row: tuple[str, int, int] | None = connection.execute(query.encode(), [[self._name]]).fetchone()
        return row

    def _exchanged(self, connection: psycopg.Connection[Any], worker: int) -> tuple[str, int, int] | None:
        row = connection.execute("select jobs.exchange(%s, null, 1)", [worker]).fetchone()
        jobs = row[0]["jobs"] if row else []
        return (jobs[0][8], jobs[0][0], jobs[0][1]) if jobs else None

    def _end(self, connection: psycopg.Connection[Any], way: str, given: dict[str, Any]) -> None:
        if way in _OUTCOMES:
            outcome = [given["number"], given["run"], *_OUTCOMES[way]]
            connection.execute("select jobs.exchange(%s, %s, 0)", [given["worker"], Jsonb([outcome])])
        elif way == _SILENT or way == "timed out":
            self._wait_for_the_end(connection, given["run"])
        else:
            connection.execute({**_PLAIN, **_WORKED}[way].encode(), given)

    def _wait_for_the_end(self, connection: psycopg.Connection[Any], run: int) -> None:
        """Do chores until the run is over: its time, or the lease of its worker, has to pass."""
        running = "select exists (select from jobs.running where run_id = %s)"
        while (
            not self._over.is_set()
            and (row := connection.execute(running.encode(), [run]).fetchone())
            and row[0]
        ):
            connection.execute("select * from jobs.maintain()")
            self._over.wait(_MOMENT)

    def _start(self, connection: psycopg.Connection[Any], lease: float) -> int:
        row = connection.execute(
            "select jobs.worker_started(%s, %s, %s, i_lease => %s::numeric)",
            [self._name, Jsonb([{"name": f"{self._name}.task"}]), [self._name], lease],
        ).fetchone()
        return int(row[0]) if row else 0
