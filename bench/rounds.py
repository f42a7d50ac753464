"""Whose turn it is. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.stands import Stand
    from bench.workloads import Workload

__all__ = ["is_time_for_more", "rotated", "turns"]

# Some workloads have one round only: another one takes about this share of the first.
_OF_THE_FIRST = 0.6

T = TypeVar("T")


def turns(
    stands: Sequence[Stand], workloads: Sequence[Workload], number: int
) -> Iterator[tuple[Workload, Stand]]:
    """Yield the turns of a round: peers side by side within a workload, another one first each round."""
    for workload in workloads:
        if workload.rounds is None or number <= workload.rounds:
            for stand in rotated(stands, number - 1):
                if workload.concerns(stand.peer):
                    yield workload, stand


def is_time_for_more(began: float, now: float, round_began: float, first: bool, minutes: float) -> bool:
    """Tell whether another round ends within so many minutes; the first was longer than the others will be.

    >>> is_time_for_more(0, 600, 300, False, 15), is_time_for_more(0, 800, 500, False, 15)
    (True, False)
    """
    expected = (now - round_began) * (_OF_THE_FIRST if first else 1.0)
    return now + expected <= began + minutes * 60


def rotated(things: Sequence[T], by: int) -> list[T]:
    """Return the things with another one first.

    >>> rotated("abc", 1)
    ['b', 'c', 'a']
    """
    first = by % len(things) if things else 0
    return [*things[first:], *things[:first]]
