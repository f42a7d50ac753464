"""Medians, percentiles and ratios. Pure."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Figure", "Medians", "medians", "percentile", "ratio"]

# The median of each metric of each peer.
Medians = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Figure:
    """In a round, a metric of a peer had this value."""

    round: int
    peer: str
    metric: str
    value: float


def medians(figures: Iterable[Figure]) -> Medians:
    """Return {metric: {peer: median over the rounds}}.

    >>> medians([Figure(1, "a", "W1", 10), Figure(2, "a", "W1", 30), Figure(3, "a", "W1", 20)])
    {'W1': {'a': 20}}
    """
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for figure in figures:
        values[figure.metric][figure.peer].append(figure.value)
    return {
        metric: {peer: statistics.median(found) for peer, found in peers.items()}
        for metric, peers in values.items()
    }


def ratio(
    found: Medians, metric: str, peer: str, other: str, other_metric: str | None = None
) -> float | None:
    """Return one median as a multiple of another, None where one of them is missing.

    >>> ratio({"W1": {"a": 30.0, "b": 20.0}}, "W1", "a", "b")
    1.5
    """
    value = found.get(metric, {}).get(peer)
    base = found.get(other_metric or metric, {}).get(other)
    return value / base if value is not None and base else None


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which a share of the ordered values lies.

    >>> percentile([1, 2, 3, 4], 0.5), percentile([1, 2, 3, 4], 0.99)
    (2.5, 4)
    """
    if share == 0.5:
        return statistics.median(ordered)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
