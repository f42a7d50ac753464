"""How many jobs of each queue a worker asks for: pure decisions.

Queues have weights, as in `--queues high:3,low:1`. Each exchange asks for a part of each that comes as near
to the weights as whole numbers can, and remembers what is missing: over any number of claims, of one job or
of hundreds, the parts never stray by more than one job from what the weights say. What an empty queue does
not give the database takes from the others, and nobody owes it anything later.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from howdah.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ORDERS", "Shares", "next_shares", "queues_line", "weighed"]

ORDERS = ("strict", "round-robin")
_WEIGHT = re.compile(r"(.+):(\d{1,4})")


class Shares:
    """Whose turn it is; what `next_shares` decides, with its memory.

    >>> shares = Shares((3, 1))
    >>> shares.of(8), [shares.of(1) for _ in range(4)]
    ([6, 2], [[1, 0], [1, 0], [0, 1], [1, 0]])
    """

    def __init__(self, weights: Sequence[int]) -> None:
        self._weights = tuple(weights)
        self._due = [0.0] * len(self._weights)

    def of(self, number: int) -> list[int] | None:
        """Return how many of the next jobs are to come from each queue; None: nothing to divide."""
        if not self._weights or not number:
            return None
        shares, self._due = next_shares(number, self._weights, self._due)
        return shares


def next_shares(number: int, weights: Sequence[int], due: Sequence[float]) -> tuple[list[int], list[float]]:
    """Divide a number by weights; `due` is what each has been given too little so far.

    >>> next_shares(4, (3, 1), (0.0, 0.0))
    ([3, 1], [0.0, 0.0])
    """
    total = sum(weights)
    shares = [number * weight // total for weight in weights]
    owed = [
        before + number * weight / total - share
        for before, weight, share in zip(due, weights, shares, strict=True)
    ]
    for _ in range(number - sum(shares)):
        most = max(range(len(owed)), key=owed.__getitem__)
        shares[most] += 1
        owed[most] -= 1
    return shares, owed


def weighed(queues: Sequence[str], order: str = "strict") -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the names of queues and their weights; no weights: one queue after the other.

    They are weights when every queue has one. Raises `ConfigurationError`.

    >>> weighed(["high:3", "low:1"]), weighed(["high", "low"]), weighed(["a", "b"], "round-robin")
    ((('high', 'low'), (3, 1)), (('high', 'low'), ()), (('a', 'b'), (1, 1)))
    """
    if order not in ORDERS:
        raise ConfigurationError(f"order is {' or '.join(ORDERS)}, not {order!r}", field="order")
    found = [_WEIGHT.fullmatch(queue) for queue in queues] if len(queues) > 1 else []
    pairs = [(match[1], int(match[2])) for match in found if match is not None]
    if not pairs or len(pairs) < len(queues):
        return tuple(queues), (1,) * len(queues) if order == "round-robin" and len(queues) > 1 else ()
    if not all(weight for _, weight in pairs):
        raise ConfigurationError("the weight of a queue is at least 1", field="queues")
    if order == "round-robin":
        raise ConfigurationError("queues with weights have an order already", field="order")
    return tuple(name for name, _ in pairs), tuple(weight for _, weight in pairs)


def queues_line(queues: Sequence[str], weights: Sequence[int]) -> str:
    """Return queues as they are shown and can be given.

    >>> queues_line(("high", "low"), (3, 1)), queues_line(("mail",), ()), queues_line((), ())
    ('high:3, low:1', 'mail', 'all')
    """
    if weights:
        return ", ".join(f"{queue}:{weight}" for queue, weight in zip(queues, weights, strict=True))
    return ", ".join(queues) or "all"
