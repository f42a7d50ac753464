"""What Howdah must reach and what it aims at, in the same run. Pure: reported, never asserted."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.figures import Figure

__all__ = ["TARGETS", "Target", "Verdict", "verdict"]

OURS: Final = "howdah"


@dataclass(frozen=True, slots=True)
class Target:
    """Our `metric` as a multiple of a peer's: at least `must`, or at most where `most`.

    Without a peer it is the metric itself; `other` is the peer's metric where it is another one.
    """

    workload: str
    metric: str
    peer: str | None
    must: float
    aim: float
    most: bool = False
    other: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was reached, None where nothing was measured."""

    target: Target
    value: float | None

    @property
    def word(self) -> str:
        """Say `aim`, `must` or `no`, or `not measured`."""
        if self.value is None:
            return "not measured"
        reached = [
            word
            for word, bound in (("aim", self.target.aim), ("must", self.target.must))
            if self._keeps(bound)
        ]
        return reached[0] if reached else "no"

    def _keeps(self, bound: float) -> bool:
        # What is shown is what is judged: two decimals.
        value = round(self.value or 0.0, 2)
        return value <= bound if self.target.most else value >= bound


TARGETS: Final[tuple[Target, ...]] = (
    Target("W3 drain, one process", "W3", "pgqueuer", 2.5, 4.0),
    Target("W3 drain, one process", "W3", "graphile_worker", 1.6, 2.5),
    Target("W3b drain, two processes", "W3b", "pgqueuer", 2.2, 3.5),
    Target("W3b drain, two processes", "W3b", "graphile_worker", 1.2, 1.8),
    Target("W1 publish one at a time", "W1", "pgqueuer", 1.0, 1.3),
    Target("W1c 100 at once in one process, against W1", "W1c", "pgqueuer", 6.0, 10.0, other="W1"),
    Target("W2 publish in bulk", "W2", "pgqueuer", 2.0, 3.0),
    Target("W2 publish in bulk", "W2", "graphile_worker", 1.1, 1.7),
    Target("W4 idle latency, p50", "W4 p50", "pgqueuer", 0.9, 0.75, most=True),
    Target("W4 idle latency, p99", "W4 p99", "pgqueuer", 0.9, 0.4, most=True),
    Target("W6 old snapshot, last tenth / first tenth", "W6 last/first", None, 0.9, 1.0),
    Target("W6 old snapshot, last tenth", "W6 last", "pgqueuer", 4.0, 6.0),
    Target("W6 old snapshot, last tenth", "W6 last", "graphile_worker", 1.6, 2.5),
    Target("W7 out of 1,000,000 / out of 20,000", "W7 1,000,000 / 20,000", None, 0.9, 1.0),
    Target("W7 out of 10,000,000 / out of 20,000", "W7 10,000,000 / 20,000", None, 0.8, 1.0),
    Target("W5 resident memory", "W5", "pgqueuer", 1.1, 0.9, most=True),
    Target("W3b, share of the physical limit", "W3b", OURS, 0.4, 0.7, other="limit"),
)


def verdict(target: Target, figures: Sequence[Figure]) -> Verdict:
    """Judge by the median over the rounds of the ratio within a round, so that a slow round is slow for both.

    >>> from bench.figures import Figure
    >>> found = [Figure(1, "howdah", "W1", 30), Figure(1, "pgqueuer", "W1", 20)]
    >>> verdict(Target("W1", "W1", "pgqueuer", 1.0, 1.3), found).word
    'aim'
    """
    return Verdict(target, _value(target, figures))


def _value(target: Target, figures: Sequence[Figure]) -> float | None:
    own = _by_round(figures, OURS, target.metric)
    if target.peer is None:
        return statistics.median(own.values()) if own else None
    other = _by_round(figures, target.peer, target.other or target.metric)
    both = own.keys() & other.keys()
    return statistics.median(own[number] / other[number] for number in both) if both else None


def _by_round(figures: Iterable[Figure], peer: str, metric: str) -> dict[int, float]:
    return {
        figure.round: figure.value for figure in figures if figure.peer == peer and figure.metric == metric
    }
