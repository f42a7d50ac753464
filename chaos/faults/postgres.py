"""What happens to the server: crashes, lost sessions, no connections left, a full disk."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import psycopg

from chaos.fleet import kill

if TYPE_CHECKING:
    import random

    from chaos.faults.fault import World

_MANY = 400


async def stop_postgres(world: World, draw: random.Random) -> bool:
    """Stop the server without a checkpoint, start it again a moment later."""
    if not await world.busy():
        return False
    number = world.struck("stop_postgres", "server")
    await asyncio.to_thread(world.server.stop_immediately)
    await _start_again(world, number, draw)
    return True


async def kill_postgres(world: World, draw: random.Random) -> bool:
    """SIGKILL every process of the server, start it again a moment later."""
    if not await world.busy():
        return False
    number = world.struck("kill_postgres", "server")
    await asyncio.to_thread(world.server.kill)
    await _start_again(world, number, draw)
    return True


async def _start_again(world: World, number: int, draw: random.Random) -> None:
    await asyncio.sleep(draw.choice((0, draw.uniform(0, 2))))
    await asyncio.to_thread(world.server.start)
    await world.observer.rows("select 1")
    world.healed(number)


async def kill_backend(world: World, draw: random.Random) -> bool:
    """SIGKILL one server process: the server throws out every session and recovers."""
    if not await world.busy() or not (backends := await world.observer.backends()):
        return False
    number = world.struck("kill_backend", "server")
    kill(draw.choice(backends), signal.SIGKILL)
    await asyncio.sleep(0.05)
    await world.observer.rows("select 1")
    world.healed(number)
    return True


async def terminate_backends(world: World, draw: random.Random) -> bool:
    """End some or all sessions by `pg_terminate_backend`."""
    backends = await world.observer.backends()
    chosen = [pid for pid in backends if draw.random() < draw.choice((0.2, 1.0))]
    if not await world.busy():
        return False
    number = world.struck("terminate_backends", "server")
    await world.observer.rows("select pg_terminate_backend(p) from unnest(%s::int[]) p", [chosen])
    world.healed(number)
    return True


async def exhaust_connections(world: World, draw: random.Random) -> bool:
    """Take every connection that the server has for ordinary users, and keep it for seconds."""
    if not await world.busy():
        return False
    with ExitStack() as held:
        number = world.struck("exhaust_connections", "server")
        await asyncio.to_thread(_take_all, world, held)
        backends = await world.observer.backends()
        chosen = [pid for pid in backends if draw.random() < 0.3]
        await world.observer.rows("select pg_terminate_backend(p) from unnest(%s::int[]) p", [chosen])
        for _ in range(4):
            await asyncio.to_thread(_take_all, world, held)
            await asyncio.sleep(draw.uniform(0.2, 0.8))
        await asyncio.to_thread(held.close)
    world.healed(number)
    return True


def _take_all(world: World, held: ExitStack) -> None:
    dsn = psycopg.conninfo.make_conninfo(world.server.dsn("chaos"), user="chaos_hog", password="chaos")
    with suppress(psycopg.OperationalError):
        for _ in range(_MANY):
            held.enter_context(psycopg.connect(dsn))


async def fill_disk(world: World, draw: random.Random) -> bool:
    """Leave the server no room for seconds, then give it back; start the server if it has given up."""
    if not await world.busy():
        return False
    number = world.struck("fill_disk", "server")
    await asyncio.to_thread(world.room.fill)
    world.journal.write("filled", number=number)
    await asyncio.sleep(draw.uniform(1, 2.5))
    await asyncio.to_thread(world.room.free)
    world.journal.write("freed", number=number)
    await asyncio.to_thread(world.server.start)
    world.journal.write("server started", number=number)
    await world.observer.rows("select 1")
    world.healed(number)
    return True


def lacks_room(world: World) -> str | None:
    """Say why the disk cannot be filled."""
    return world.room.lacks if os.name == "posix" else "no tmpfs"
