"""What happens to the lines between a process and the server."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from chaos.proxy import BOTH, Trouble

if TYPE_CHECKING:
    import random

    from chaos.faults.fault import Scope, World
    from chaos.fleet import Kind, Member

_REPLIES = 4
_SCOPES: dict[Kind, Scope] = {"publisher": "publishers", "consumer": "plain"}


async def stall(world: World, draw: random.Random) -> bool:
    """Let nothing pass, one way or both, for up to longer than the lease; then go on, or cut it."""
    member = await _busy(world, draw)
    if member is None:
        return False
    directions = draw.choice((BOTH, frozenset({"to the server"}), frozenset({"to the client"})))
    number = world.struck("stall", "processes", member.processes, directions=sorted(directions))
    member.proxy.set(Trouble(stalled=directions))  # type: ignore[arg-type]  # choice widens the literals
    held = bool(await world.observer.busy() & {*member.processes})  # what was seen may have ended by then
    await asyncio.sleep(draw.uniform(0.5, world.lease + 1.5))
    if draw.random() < 0.5:
        member.proxy.reset()
    member.proxy.heal()
    world.healed(number)
    return held


async def delay(world: World, draw: random.Random) -> bool:
    """Hold every piece of a worker's traffic for up to 300 ms."""
    member = await _busy(world, draw)
    if member is None:
        return False
    number = world.struck("delay", "processes", member.processes)
    member.proxy.set(Trouble(delay=draw.uniform(0.02, 0.3)))
    await asyncio.sleep(draw.uniform(1, 2.5))
    member.proxy.heal()
    world.healed(number)
    return True


async def reset(world: World, draw: random.Random) -> bool:
    """Reset every connection of a worker, several times."""
    member = await _busy(world, draw)
    if member is None:
        return False
    for _ in range(draw.randint(1, 4)):
        number = world.struck("reset", "processes", member.processes)
        member.proxy.reset()
        world.healed(number)
        await asyncio.sleep(draw.uniform(0, 0.4))
    return True


async def swallow_commit(world: World, draw: random.Random) -> bool:
    """Lose the server's answers to COMMIT, and cut the line: the client cannot know what happened."""
    return await _swallow(world, draw, "swallow_commit", commits_only=True)


async def swallow_reply(world: World, draw: random.Random) -> bool:
    """Lose the server's answers to anything, and cut the line."""
    return await _swallow(world, draw, "swallow_reply", commits_only=False)


async def _swallow(world: World, draw: random.Random, fault: str, *, commits_only: bool) -> bool:
    if not await world.busy():
        return False
    members = world.fleet.workers
    for member in (*members, *world.fleet.of("publisher", "consumer")):
        member.proxy.swallowed = partial(_tell, world, fault, member)
        member.proxy.set(Trouble(swallow=_REPLIES, commits_only=commits_only))
    await asyncio.sleep(draw.uniform(1.5, 3))
    lost = any(member.proxy.trouble.swallow < _REPLIES for member in members)
    for member in world.fleet.members:
        member.proxy.heal()
    return lost


def _tell(world: World, fault: str, member: Member) -> None:
    scope = _SCOPES.get(member.kind, "processes")
    world.healed(world.struck(fault, scope, member.processes))


async def _busy(world: World, draw: random.Random) -> Member | None:
    busy = await world.busy()
    return draw.choice(busy)[0] if busy else None
