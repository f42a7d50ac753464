"""The run: every round asks every workload of every peer, the peers in turn."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from bench.figures import Figure
from bench.processes import CommandFailed
from bench.progress import StuckError
from bench.rates import TooFewSamples
from bench.rounds import is_time_for_more, turns
from bench.units import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.options import Options, Sizes
    from bench.stands import Stand
    from bench.workloads import Workload

__all__ = ["measure"]

FAILURES = (CommandFailed, StuckError, TooFewSamples, TimeoutError)


def measure(
    stands: Sequence[Stand], workloads: Sequence[Workload], options: Options, failures: list[str]
) -> Iterator[Figure]:
    """Yield each figure as it is found; what fails is added to `failures` and said.

    There are as many rounds as asked for, fewer when the time would not do for another.
    """
    began = time.monotonic()
    for number in range(1, options.rounds + 1):
        round_began = time.monotonic()
        for workload, stand in turns(stands, workloads, number):
            yield from _ask(number, workload, stand, options.sizes, failures)
        if number < options.rounds and not is_time_for_more(
            began, time.monotonic(), round_began, number == 1, options.minutes
        ):
            failures.append(f"{number} of {options.rounds} rounds: there was no time for more")
            return


def _ask(
    number: int, workload: Workload, stand: Stand, sizes: Sizes, failures: list[str]
) -> Iterator[Figure]:
    began = time.monotonic()
    try:
        found = workload.run(stand, sizes)
    except FAILURES as failure:
        failures.append(f"round {number}, {workload.names[-1]}, {stand.peer.title}: {failure}")
        _say(failures[-1])
        return
    wanted = {name: value for name, value in found.items() if name.split()[0] in sizes.wanted}
    values = "  ".join(f"{name} {shown(name, value)}" for name, value in wanted.items())
    _say(f"{number}  {stand.peer.title:16} {values}   ({time.monotonic() - began:.1f} s)")
    for name, value in wanted.items():
        yield Figure(number, stand.peer.name, name, value)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
