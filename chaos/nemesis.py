"""Strikes: draws faults from a seed, each lane one after the other, all of them before any comes again."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, get_args

from chaos.faults.fault import Lane

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chaos.faults import Fault, World

_PAUSE = (0.1, 0.8)
# A fault that heals for longer than this is a defect of the harness.
_LONGEST = 60.0
# Seconds for which a lane goes on for the sake of faults that could not strike yet.
_OVERTIME = 30.0


def order_of(faults: Sequence[Fault], lane: Lane, seed: int) -> Iterator[tuple[Fault, random.Random]]:
    """Yield the faults of a lane in their order, each with what it draws from; endless, same for a seed."""
    draw = random.Random(f"{seed} {lane}")
    mine = [fault for fault in faults if fault.lane == lane]
    while mine:
        for fault in draw.sample(mine, len(mine)):
            yield fault, random.Random(draw.getrandbits(64))


async def rage(world: World, faults: Sequence[Fault], seconds: float, seed: int, rest: float = 1.0) -> None:
    """Strike for so many seconds, return when everything is whole again. `rest`: times the usual pause."""
    possible = [
        fault for fault in faults if not (reason := fault.lacks(world)) or _skipped(world, fault, reason)
    ]
    async with asyncio.TaskGroup() as lanes:
        for lane in get_args(Lane):
            lanes.create_task(_lane(world, possible, lane, seconds, seed, rest))
    await asyncio.gather(*world.healing)
    for member in world.fleet.members:
        member.proxy.heal()


def _skipped(world: World, fault: Fault, reason: str) -> bool:
    world.journal.write("skipped", fault=fault.name, reason=reason)
    return False


async def _lane(
    world: World, faults: Sequence[Fault], lane: Lane, seconds: float, seed: int, rest: float
) -> None:
    """Strike until the time is over; a little longer for what has not struck yet."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    missing = {fault.name for fault in faults if fault.lane == lane}
    for fault, draw in order_of(faults, lane, seed):
        late = loop.time() - end
        if late > 0 and (not missing or late > _OVERTIME):
            return
        if late > 0 and fault.name not in missing:
            continue
        async with asyncio.timeout(_LONGEST):
            if await fault.strike(world, draw):
                missing.discard(fault.name)
        await asyncio.sleep(rest * draw.uniform(*_PAUSE))
