"""The lease by the worker's own clock, answers that never come, runs taken away before they start."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from chaos.proxy import BOTH, Proxy, Trouble
from howdah import Howdah, calls
from howdah.drivers.asyncpg import open_connection
from howdah.drivers.psycopg import open_psycopg_connection
from howdah.drivers.psycopg_sync import open_psycopg_connection_sync
from howdah.errors import DatabaseUnavailable
from howdah.settings import Settings
from howdah.worker.line import Line

from .conftest import eventually
from .test_processes import ONE, children_of, said

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.fixtures.database import Database

    from .conftest import Spawn, Start

    Administer = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
async def proxy(live_database: Database) -> AsyncIterator[Proxy]:
    folder = parse_qs(urlsplit(live_database.dsn).query)["host"][0]
    proxy = Proxy(lambda: Path(folder) / ".s.PGSQL.5432", random.Random(1))
    await proxy.start()
    yield proxy
    await proxy.close()


@pytest.fixture
async def far(live_database: Database, proxy: Proxy) -> AsyncIterator[Howdah]:
    """An app whose database lies behind the proxy."""
    whole = urlsplit(live_database.dsn)
    account = whole.netloc.split("@")[0]
    app = Howdah(
        f"postgresql://{account}@127.0.0.1:{proxy.port}{whole.path}?sslmode=disable", settings=Settings()
    )
    yield app
    await app.close()


async def test_a_worker_that_is_cut_off_stops_its_runs_when_its_lease_is_over(
    app: Howdah, far: Howdah, proxy: Proxy, start: Start
) -> None:
    began: list[float] = []
    stopped: list[float] = []

    @far.task(name="dig", timeout=600)
    async def dig() -> str:
        began.append(time.monotonic())
        if len(began) > 1:
            return "dug"
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            stopped.append(time.monotonic())
            raise
        raise AssertionError

    await start(far, lease=2)
    job = await app.publish("dig")
    await eventually(lambda: began)

    cut = time.monotonic()
    proxy.set(Trouble(stalled=BOTH))
    await eventually(lambda: stopped)
    assert stopped[0] - cut < 2.5
    await asyncio.sleep(1)
    healed = time.monotonic()
    proxy.heal()

    assert await job.result(20) == "dug"
    assert began[1] - healed < 12  # and not when the answer of an exchange has not come for 30 s
    assert (await job.info()).attempt == 1  # type: ignore[union-attr]


async def test_a_half_open_line_keeps_a_worker_from_work_no_longer_than_its_heartbeat_takes(
    app: Howdah, far: Howdah, proxy: Proxy, start: Start
) -> None:
    """The connections that are there are dead and do not know it; new ones work."""

    @far.task(name="dig")
    async def dig() -> int:
        return 1

    await start(far, lease=6)
    assert await (await app.publish("dig")).result(20) == 1
    proxy.deafen()

    began = time.monotonic()
    assert await (await app.publish("dig")).result(25) == 1

    assert time.monotonic() - began < 12


async def test_a_run_of_a_lost_answer_comes_back_although_somebody_held_its_row_at_that_moment(
    app: Howdah, far: Howdah, proxy: Proxy, start: Start, administer: Administer, live_database: Database
) -> None:
    """It was passed over, and lay until its timeout."""
    go = asyncio.Event()

    @far.task(name="dig")
    async def dig(number: int) -> int:
        if number == 1:
            await go.wait()
        return number

    await start(far, concurrency=1, lease=30)
    await app.publish("dig", 1)
    await eventually(lambda: administer("select count(*) from jobs.running") == [(1,)])
    second = await app.publish("dig", 2)
    with psycopg.connect(live_database.dsn) as holder:
        lost = "select json_array_length(jobs.exchange(id, i_num => 1) -> 'jobs') from howdah.worker"
        await eventually(lambda: administer(lost) == [(1,)])
        held = holder.execute("select from howdah.running where id = %s for update", [second.id]).fetchall()
        assert len(held) == 1
        proxy.set(Trouble(stalled=frozenset(("to the client",))))
        go.set()
        await asyncio.sleep(0.3)
        proxy.reset()
        proxy.heal()
        await eventually(lambda: administer("select era > 0 from howdah.worker") == [(True,)])
        assert (second.id,) in administer("select id from jobs.running")

    assert await second.result(20) == 2


async def test_a_worker_goes_on_when_the_answer_of_its_reconciliation_is_lost_as_well(
    app: Howdah, start: Start, administer: Administer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ended then was handed in for an era that was over, before the next reconciliation, for ever."""
    to_lose: list[str] = []
    unanswered = asyncio.Event()
    execute = Line.execute

    async def forgetful(line: Line, call: calls.Call[Any]) -> Any:
        answer = await execute(line, call)
        if call.function in to_lose and call.arguments.get("i_num") != 0:
            to_lose.remove(call.function)
            if call.function == "reconcile":
                unanswered.set()
            raise DatabaseUnavailable("the answer is lost")
        return answer

    @app.task(name="dig")
    async def dig(number: int) -> int:
        if number == 1:
            await unanswered.wait()
        elif number in (0, 2):
            to_lose.extend(["exchange"] if number == 0 else ["exchange", "reconcile"])
        return number

    monkeypatch.setattr(Line, "execute", forgetful)
    await start(app, concurrency=2)
    assert await (await app.publish("dig", 0)).result(20) == 0
    await eventually(lambda: administer("select era from howdah.worker") == [(1,)])
    jobs = [await app.publish("dig", number) for number in (1, 2)]
    assert [await job.result(20) for job in jobs] == [1, 2]
    assert await (await app.publish("dig", 3)).result(20) == 3
    assert to_lose == []


async def test_a_run_that_is_taken_away_before_it_starts_never_starts(
    app: Howdah, start: Start, administer: Administer
) -> None:
    done: list[str] = []
    holds = asyncio.Event()

    @app.task(name="quick")
    async def quick(name: str) -> None:
        done.append(name)

    @app.task(name="hold")
    async def hold() -> None:
        holds.set()
        await asyncio.sleep(0.4)

    await start(app, concurrency=1, lease=15)
    await quick.publish_many([(f"warm {n}",) for n in range(300)])
    await eventually(lambda: len(done) == 300)
    administer(
        "select jobs.publish_many(jsonb_build_array(jsonb_build_object('task', 'hold', 'key', 'hold'))"
        " || jsonb_agg(jsonb_build_object('task', 'quick', 'key', name,"
        " 'body', jsonb_build_object('args', jsonb_build_array(name)))))"
        " from unnest(array['stays', 'deleted', 'cancelled']) name"
    )
    await holds.wait()
    await eventually(lambda: administer("select count(*) from jobs.running") == [(4,)])

    await app.execute(calls.delete("deleted", force=True))
    await app.execute(calls.cancel("cancelled"))

    await eventually(lambda: administer("select count(*) from jobs.job_queue") == [(0,)])
    assert done[300:] == ["stays"]
    assert administer("select state, kind from jobs.job where key = 'cancelled'") == [
        ("cancelled", "revoked")
    ]


NOTES = """
@app.task(name="quick")
async def quick() -> None:
    note("quick")

@app.task(name="hold", timeout=600)
async def hold() -> None:
    note("hold")
    await asyncio.sleep(0.3)

def note(word):
    with open("notes", "a") as file:
        print(word, current_job().run_id, os.getpid(), file=file)
"""


async def test_a_worker_that_slept_past_its_lease_starts_nothing_from_its_memory(
    app: Howdah, spawn: Spawn, administer: Administer, tmp_path: Path
) -> None:
    one = "sys.exit(Worker(chores.app, WorkerOptions(lease=1, grace=1, concurrency=1)).main())"
    process = spawn(NOTES, one)
    for _ in range(3):  # until it knows that they are quick
        administer(
            'select jobs.publish_many(jsonb_agg(\'{"task": "quick"}\'::jsonb)) from generate_series(1, 100)'
        )
        await eventually(lambda: administer("select count(*) from jobs.job_queue") == [(0,)])
    administer(
        'select jobs.publish_many(\'[{"task": "hold"}]\'::jsonb || jsonb_agg(\'{"task": "quick"}\'::jsonb))'
        " from generate_series(1, 5)"
    )
    await eventually(lambda: "hold" in (tmp_path / "notes").read_text())
    await eventually(lambda: administer("select count(*) from jobs.running") == [(6,)])
    claimed = {run for (run,) in administer("select run_id from jobs.running")}
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(1.3)
    process.send_signal(signal.SIGCONT)

    await eventually(lambda: administer("select count(*) from jobs.job_queue") == [(0,)])

    lines = (tmp_path / "notes").read_text().split("hold", 1)[1].splitlines()[1:]
    started = [int(line.split()[1]) for line in lines]
    assert len(started) >= 5
    assert claimed.isdisjoint(started)


async def test_a_function_of_ours_that_cannot_work_is_cried_out(
    app: Howdah, spawn: Spawn, administer: Administer
) -> None:
    process = spawn(NOTES, ONE.format(grace=1))
    await asyncio.to_thread(said, process, "started")
    administer(
        "create or replace function howdah.tick(i_milliseconds integer) returns void language plpgsql as"
        " $$ declare r record; begin perform r.x; end $$"
    )
    await app.publish("quick")

    await asyncio.to_thread(said, process, "ERROR")
    process.terminate()
    assert process.wait(20) == 0


async def test_a_parent_that_waits_before_it_starts_a_child_anew_ends_when_it_is_told(
    app: Howdah, spawn: Spawn
) -> None:
    parent = spawn(
        NOTES,
        'sys.exit(Supervisor(os.environ["HOWDAH_DSN"], 1, WorkerOptions(grace=5), app="chores:app").main())',
    )
    for _ in range(5):
        (child,) = await eventually(lambda: children_of(parent.pid), 40)
        os.kill(child, signal.SIGKILL)
        await eventually(partial(_is_no_child, child, parent.pid))

    parent.terminate()

    assert parent.wait(3) == 0


@pytest.mark.parametrize("command", [["worker"], ["worker", "--processes", "2"], ["up"]])
async def test_a_worker_that_is_told_to_end_before_it_has_begun_ends_well(
    live_database: Database, command: list[str]
) -> None:
    program = [sys.executable, "-m", "howdah", *command, "--dsn", live_database.dsn]
    for delay in (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6):
        process = begun(program)
        await eventually(partial(hears_sigterm, process.pid))
        await asyncio.sleep(delay)
        process.terminate()
        said_last = process.communicate(timeout=60)[1]
        assert process.returncode == 0, said_last
        assert "Traceback" not in said_last


def test_a_signal_that_comes_while_a_weak_reference_calls_back_is_noted_and_not_printed() -> None:
    program = """
import os, signal, weakref
from howdah.worker.signals import Signals
class Thing: pass
signals = Signals(ends=True)
signals.install()
thing = Thing()
reference = weakref.ref(thing, lambda _: (os.kill(os.getpid(), signal.SIGTERM), [0 for _ in range(100)]))
del thing
print(signals.received)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert (ended.stdout, ended.stderr) == ("[15]\n", "")


def _is_no_child(child: int, parent: int) -> bool:
    return child not in children_of(parent)


def begun(program: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(program, stderr=subprocess.PIPE, text=True)


def hears_sigterm(pid: int) -> bool:
    with open(f"/proc/{pid}/status") as file:
        caught = next(int(line.split()[1], 16) for line in file if line.startswith("SigCgt"))
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])
async def test_every_driver_notices_a_peer_that_is_gone(far: Howdah, loops: str) -> None:
    loop_factory = pytest.importorskip(loops, reason="uvloop is used where it is installed").new_event_loop
    dsn = far.database.dsn()

    async def options() -> list[tuple[int, ...]]:
        ours = await open_connection(dsn)
        asynchronous = await open_psycopg_connection(dsn)
        found = [_options(ours.raw._transport.get_extra_info("socket").fileno())]
        found.append(_options(asynchronous._connection.fileno()))
        await ours.close()
        await asynchronous.close()
        return found

    def run() -> list[tuple[int, ...]]:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            found = runner.run(options())
        synchronous = open_psycopg_connection_sync(dsn)
        found.append(_options(synchronous._connection.fileno()))
        synchronous.close_sync()
        return found

    assert await asyncio.to_thread(run) == [(1, 5, 2, 3, 15000)] * 3


def _options(number: int) -> tuple[int, ...]:
    with socket.socket(fileno=number) as found:
        values = [found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
        values += [
            found.getsockopt(socket.IPPROTO_TCP, option)
            for option in (
                socket.TCP_KEEPIDLE,
                socket.TCP_KEEPINTVL,
                socket.TCP_KEEPCNT,
                socket.TCP_USER_TIMEOUT,
            )
        ]
        found.detach()
        return tuple(values)
