"""One run: start everything, strike, heal, drain, end everything, write the history down."""

from __future__ import annotations

import asyncio
import os
import random
import re
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from chaos.attendant import Attendant
from chaos.export import Export
from chaos.faults import World
from chaos.faults.processes import faketime, set_clock
from chaos.fleet import ROOT, Fleet
from chaos.history import Config, History, Remains
from chaos.journal import VARIABLE, Journal, read_journals
from chaos.nemesis import rage
from chaos.observer import Observer
from chaos.orders import LABEL, QUEUES, WAITING
from chaos.proxy import Proxy
from chaos.reading import Journals
from chaos.room import Room
from chaos.server import ChaosServer
from chaos.single import publish_job
from howdah.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from chaos.faults import Fault
    from chaos.fleet import Kind, Member

_WEIGHED = ",".join(f"{queue}:{weight}" for queue, weight in zip(QUEUES, (3, 2, 1), strict=True))
_SCHEMA = Path(__file__).with_name("schema.sql")
_UNFINISHED = "select count(*) from jobs.job_queue where task <> all (%s)"
_WORKERS = "select count(*) from howdah.worker w where w.name <> 'zombie'"
_PROBES = 20
_PROBE_PAUSE = 0.05
_WARM = 1.0


@dataclass(frozen=True)
class Plan:
    """What a run is to be. Seconds; `rate`: jobs published per second, `ledger`: short ones that write.

    `rest`: how much longer than usual the pauses between faults are.
    """

    seed: int
    seconds: float
    faults: Sequence[Fault]
    rate: float = 60.0
    ledger: float = 0.0
    rest: float = 1.0
    lease: float = 3.0
    grace: float = 3.0
    concurrency: int = 8
    drain: float = 180.0
    version: int = 18
    verbose: bool = False


@dataclass
class Run:
    """A run under way, in a folder of its own for journals, logs and the history."""

    plan: Plan
    folder: Path
    room: Room = field(init=False)
    server: ChaosServer = field(init=False)
    fleet: Fleet = field(init=False)
    journal: Journal = field(init=False)
    observer: Observer = field(init=False)
    drained: float | None = None
    drain_began: float = 0.0

    async def history(self) -> History:
        """Do it all, and return what happened."""
        (self.folder / "journals").mkdir(parents=True)
        self.journal = Journal(self.folder / "journals", "nemesis")
        self.fleet = Fleet(self.journal, self.folder)
        self.room = Room()
        try:
            self.server = ChaosServer(self.room.folder, self.plan.version)
            try:
                await asyncio.to_thread(self._install)
                self.observer = Observer(lambda: self.server.dsn("chaos"))
                return await self._lived()
            finally:
                await self.fleet.abandon()
                await asyncio.to_thread(self.server.stop)
        finally:
            self.room.close()

    def _install(self) -> None:
        import psycopg

        self.server.start()
        with psycopg.connect(self.server.dsn("postgres"), autocommit=True) as connection:
            connection.execute("create database chaos")
        migrate(self.server.dsn("chaos"))
        with psycopg.connect(self.server.dsn("chaos"), autocommit=True) as connection:
            connection.execute(_SCHEMA.read_bytes())

    # ── The life of a run ──

    async def _lived(self) -> History:
        plan = self.plan
        async with self._timed():
            await self._hurt_and_healed(plan)
        return await self._told()

    async def _hurt_and_healed(self, plan: Plan) -> None:
        await self._populate()
        await asyncio.sleep(_WARM)
        world = World(
            self.server,
            self.room,
            self.fleet,
            self.observer,
            self.journal,
            self.folder,
            plan.lease,
            plan.grace,
        )
        async with self._attended():
            await rage(world, plan.faults, plan.seconds, plan.seed, plan.rest)
        await self.observer.rows("select jobs.resume_queue(q) from unnest(%s::text[]) q", [list(QUEUES)])
        await self.fleet.close("publisher", "zombie", within=15)
        self.drain_began = time.monotonic()
        self.drained = await self._drain()
        await self._probe()
        await self.fleet.close("consumer", within=10)
        await self.fleet.close("worker", "pair", within=plan.grace + 15)

    @asynccontextmanager
    async def _timed(self) -> AsyncIterator[None]:
        """Measure how late the machine is while the block runs."""
        environment = {**os.environ, VARIABLE: str(self.folder / "journals"), "PYTHONPATH": str(ROOT)}
        metronome = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "chaos.metronome", env=environment, cwd=ROOT
        )
        try:
            yield
        finally:
            metronome.terminate()
            await metronome.wait()

    @asynccontextmanager
    async def _attended(self) -> AsyncIterator[None]:
        """Have an operator at work while the block runs."""
        observer = Observer(lambda: self.server.dsn("chaos"))
        attendant = Attendant(observer, self.journal, random.Random(f"{self.plan.seed} attendant"))
        work = [asyncio.create_task(service) for service in attendant.services()]
        try:
            yield
            for task in work:
                if task.done():
                    task.result()  # raises: it ends only when something is wrong
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await attendant.lift()
            await observer.close()

    async def _populate(self) -> None:
        plan = self.plan
        worker = ["howdah", "worker", "--app", "chaos.tasks:app", "--queues", _WEIGHED, "--labels", LABEL]
        worker += ["--concurrency", str(plan.concurrency), "--grace", str(plan.grace)]
        worker += ["--verbose"] if plan.verbose else []
        more = {"HOWDAH_LEASE": str(plan.lease)}
        await self._add("pair", "pair", [*worker, "--processes", "2"], more)
        await self._add("worker-1", "worker", worker, more)
        await self._add("worker-2", "worker", worker, more | self._fake_clock())
        for number in (1, 2):
            arguments = [f"publisher-{number}", str(plan.seed * 10 + number), str(plan.rate / 2)]
            await self._add(arguments[0], "publisher", ["chaos.publisher", *arguments])
        if plan.ledger:
            arguments = ["ledger", str(plan.seed), str(plan.ledger), "ledger"]
            await self._add("ledger", "publisher", ["chaos.publisher", *arguments])
        await self._add("consumer", "consumer", ["chaos.consumer", "consumer", str(plan.seed)])
        await self._add("zombie", "zombie", ["chaos.zombie", "zombie", str(plan.seed)])
        async with asyncio.timeout(30):
            while await self.observer.number(_WORKERS) < 4:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.05)

    async def _add(
        self, name: str, kind: Kind, command: list[str], more: dict[str, str] | None = None
    ) -> Member:
        proxy = Proxy(lambda: self.server.socket, random.Random(f"{self.plan.seed} {name}"))
        await proxy.start()
        return self.fleet.add(name, kind, command, proxy, more)

    def _fake_clock(self) -> dict[str, str]:
        library = faketime()
        if library is None:
            return {}
        file = self.folder / "clock"
        set_clock(file, "+0")
        return {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(file),
            # To read the file at every look at the clock stalls the process for seconds.
            "FAKETIME_CACHE_DURATION": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    async def _drain(self) -> float | None:
        """Wait until every job has ended that can; return the seconds that took, None when it did not."""
        began = time.monotonic()
        while await self.observer.number(_UNFINISHED, [list(WAITING)]):
            if time.monotonic() > began + self.plan.drain:
                return None
            await asyncio.sleep(0.1)
        return time.monotonic() - began

    async def _probe(self) -> None:
        """Publish single jobs to workers that have nothing to do."""
        for number in range(_PROBES if self.drained is not None else 0):
            token = f"probe-{number}"
            began = time.monotonic()
            await publish_job(self.observer, self.journal, "quick", token)
            self.journal.write("probe", token=token, began=began)
            await asyncio.sleep(_PROBE_PAUSE)
        await self._drain()

    # ── What is told of it ──

    async def _told(self) -> History:
        journals = Journals(read_journals(self.folder / "journals"))
        export = Export(self.observer)
        remains = await self._remains()
        plan = self.plan
        config = Config(
            plan.seed, plan.seconds, plan.lease, plan.grace, tuple(fault.name for fault in plan.faults)
        )
        history = History(
            config=config,
            moves=await export.moves(),
            bodies=await export.bodies(),
            lives=await export.lives(),
            beats=await export.beats(),
            jobs=await export.jobs(),
            failures=await export.failures(),
            effects=await export.effects(),
            publications=journals.publications(),
            cancellations=journals.cancellations(),
            executions=journals.executions(),
            hand_ins=journals.hand_ins(),
            zombies=journals.zombies(),
            strikes=journals.strikes(),
            skipped=journals.skipped(),
            exits=journals.exits(),
            pauses=journals.pauses(),
            probes=journals.probes(),
            operations=journals.operations(),
            limits=journals.limits(),
            lateness=journals.lateness(),
            remains=remains,
        )
        await self.observer.close()
        (self.folder / "history.json").write_bytes(msgspec.json.encode(history))
        return history

    async def _remains(self) -> Remains:
        counts = {name: await self.observer.number(query) for name, query in _LEFT.items()}
        counts["processes that the run has left"] = len(_orphans(self.folder))
        found = await self.observer.rows("select violation, job_id, detail from jobs.fsck()")
        fsck = tuple(" ".join(map(str, row)) for row in found)
        complaints, deaths = read_logs(self.folder)
        return Remains(counts, fsck, complaints, deaths, self.drained, self.drain_began)


_LEFT = {
    "advisory locks": "select count(*) from pg_locks where locktype = 'advisory'",
    "sessions of clients": "select count(*) from pg_stat_activity where usename = 'chaos_client'",
    "registered workers": "select count(*) from howdah.worker",
    "beats": "select count(*) from howdah.beat",
    "sleepers": "select count(*) from howdah.sleeper",
    "running rows": "select count(*) from howdah.running",
    "notices": "select count(*) from howdah.notice",
    "deadlocks": "select coalesce(sum(deadlocks), 0) from pg_stat_database",
    "unique keys held": "select count(*) from howdah.unique_key u where howdah.is_held(u, howdah.now())",
    "prepared transactions": "select count(*) from pg_prepared_xacts",
}
_COMPLAINT = re.compile(r"Traceback|\bERROR\b|never retrieved|was never awaited|Exception in|Fatal Python")
_DEATH = re.compile(r"\(pid (\d+)\) died")


def read_logs(folder: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the lines of the processes' logs that complain, and the children that a parent saw die."""
    complaints, deaths = [], []
    for path in sorted(folder.glob("*.log")):
        for line in path.read_text("utf-8", "replace").splitlines():
            if _COMPLAINT.search(line):
                complaints.append(f"{path.stem}: {line.strip()[:300]}")
            deaths += [int(pid) for pid in _DEATH.findall(line)]
    return tuple(complaints), tuple(deaths)


def _orphans(folder: Path) -> list[int]:
    """Return the processes whose environment still points to this run's journals."""
    mark = f"CHAOS_JOURNAL={folder / 'journals'}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found
