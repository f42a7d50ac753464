"""What happens to processes: kills, pauses, signals, clocks, deploys."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.fleet import kill
from chaos.history import NEVER
from chaos.journal import read_journals
from chaos.proxy import Trouble
from chaos.reading import Journals
from chaos.server import children
from chaos.single import publish_job
from howdah import sql
from howdah.migrate import script

if TYPE_CHECKING:
    import random

    from chaos.faults.fault import World
    from chaos.fleet import Member

FAKETIME = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
)
_JUMPS = ("+0", "+1d", "-1d", "+1h", "-90s")
_STORM = 3
_CLOCK = "FAKETIME_TIMESTAMP_FILE"
# Seconds beyond its grace after which a worker that does not end counts as hung.
_PATIENCE = 15.0
# Seconds within which a job that kills its processes has killed enough of them.
_POISONED = 30.0


async def kill_worker(world: World, draw: random.Random) -> bool:
    """SIGKILL a worker process, alone or one of a pair."""
    busy = await world.busy()
    if not busy:
        return False
    member, pid = draw.choice(busy)
    if member.kind == "worker":
        member.cause = "kill_worker"
    number = world.struck("kill_worker", "processes", [pid], supervised=member.kind == "pair")
    kill(pid, signal.SIGKILL)
    world.healed(number)
    return True


async def kill_supervisor(world: World, draw: random.Random) -> bool:
    """SIGKILL the parent of worker processes: they end with it."""
    busy = await world.busy("pair")
    for member, _ in busy[:1]:
        number = world.struck("kill_supervisor", "processes", member.processes)
        member.send(signal.SIGKILL, "kill_supervisor")
        world.healed(number)
    return bool(busy)


async def pause_worker(world: World, draw: random.Random) -> bool:
    """SIGSTOP a worker process for longer than its lease."""
    busy = await world.busy()
    if not busy:
        return False
    _, pid = draw.choice(busy)
    number = world.struck("pause_worker", "processes", [pid])
    kill(pid, signal.SIGSTOP)
    world.later(_resume(world, pid, number, world.lease + draw.uniform(0.5, 2.5)))
    return True


async def _resume(world: World, pid: int, number: int, seconds: float) -> None:
    try:
        await asyncio.sleep(seconds)
    finally:
        kill(pid, signal.SIGCONT)
        world.healed(number)


async def terminate_worker(world: World, draw: random.Random) -> bool:
    """SIGTERM one worker, or one pair."""
    busy = await world.busy()
    if busy:
        await _terminated(world, "terminate_worker", draw.choice(busy)[0])
    return bool(busy)


async def terminate_storm(world: World, draw: random.Random) -> bool:
    """SIGTERM to every worker, several times within a second."""
    if not await world.busy():
        return False
    members = world.fleet.workers
    ends = [asyncio.create_task(_terminated(world, "terminate_storm", member)) for member in members]
    for _ in range(draw.randint(0, _STORM)):
        await asyncio.sleep(draw.uniform(0, 0.3))
        for member in members:
            if draw.random() < 0.5 and member.cause == "terminate_storm":
                member.send(signal.SIGTERM)
    await asyncio.gather(*ends)
    return True


async def _terminated(world: World, fault: str, member: Member) -> None:
    number = world.struck(fault, "processes", member.processes, parent=member.pid)
    await member.end(fault, within=world.grace + _PATIENCE)
    world.healed(number)


async def kill_consumer(world: World, draw: random.Random) -> bool:
    """SIGKILL the consumer that is no worker."""
    if not await world.plain_busy():
        return False
    for member in world.fleet.of("consumer"):
        number = world.struck("kill_consumer", "plain", [member.pid])
        member.send(signal.SIGKILL, "kill_consumer")
        world.healed(number)
    return True


async def kill_publisher(world: World, draw: random.Random) -> bool:
    """SIGKILL a publisher in the middle of its calls."""
    members = world.fleet.of("publisher")
    if not members:
        return False
    member = draw.choice(members)
    member.proxy.set(Trouble(delay=0.5))  # so that calls are under way
    await asyncio.sleep(0.5)
    if not _publishes(world, member):  # there is too much to do already
        member.proxy.heal()
        return False
    number = world.struck("kill_publisher", "publishers", [member.pid])
    member.send(signal.SIGKILL, "kill_publisher")
    member.proxy.heal()
    world.healed(number)
    return True


def _publishes(world: World, member: Member) -> bool:
    """Tell whether calls of a publisher are under way that have not been answered."""
    calls = Journals(read_journals(world.folder / "journals", member.pid)).publications()
    return any(call.ended == NEVER for call in calls)


async def kill_isolated(world: World, draw: random.Random) -> bool:
    """SIGKILL the processes that run jobs alone, as the kernel does for want of memory; the worker lives."""
    workers = await world.isolating()
    for worker in workers[:1]:
        number = world.struck("kill_isolated", "isolated", [worker])
        for pid in children(worker):
            if is_isolated(pid):
                kill(pid, signal.SIGKILL)
        world.healed(number)
    return bool(workers)


def is_isolated(pid: int) -> bool:
    """Tell whether this is a process for jobs that run alone."""
    try:
        return b"howdah.worker.isolated\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


async def poison_job(world: World, draw: random.Random) -> bool:
    """Publish a job that kills its process each time; others strike until it has come to its end."""
    if not await world.busy():
        return False
    token = f"poison-{draw.getrandbits(40):x}"
    number = world.struck("poison_job", "everybody")
    job = await publish_job(world.observer, world.journal, "poisons", token, expect="failed")
    world.later(_ended(world, job, number))
    return True


async def _ended(world: World, job: int, number: int) -> None:
    await world.ended(job, within=_POISONED)
    world.healed(number)


async def jump_clock(world: World, draw: random.Random) -> bool:
    """Let the wall clock of one worker jump by up to a day, several times."""
    fake = await world.busy(having=_CLOCK)
    for member, _ in fake[:1]:
        number = world.struck("jump_clock", "processes", member.processes)
        for jump in draw.sample(_JUMPS, 3):
            set_clock(Path(member.environment[_CLOCK]), jump)
            await asyncio.sleep(draw.uniform(1.1, 1.6))  # it is noticed within a second
        set_clock(Path(member.environment[_CLOCK]), "+0")
        world.healed(number)
    return bool(fake)


def set_clock(file: Path, jump: str) -> None:
    """Let a process's wall clock be off by so much from now on; the rename makes it one step."""
    new = file.with_suffix(".new")
    new.write_text(f"{jump}\n", encoding="ascii")
    new.replace(file)


def faketime() -> str | None:
    """Return where libfaketime lies, None where it does not."""
    return next((path for path in FAKETIME if Path(path).exists()), None)


def lacks_faketime(_: World) -> str | None:
    """Say why a worker's clock cannot jump."""
    return None if faketime() else "libfaketime is not installed"


async def upgrade(world: World, draw: random.Random) -> bool:
    """Install functions, views and grants anew under load, then replace the workers one by one."""
    if not await world.busy():
        return False
    number = world.struck("upgrade", "processes", world.pids())
    await world.observer.rows(script(sql.migrations()))
    for member in world.fleet.workers:
        await _terminated(world, "upgrade", member)
        await asyncio.sleep(draw.uniform(0, 0.3))
    world.healed(number)
    return True
