"""Whether the harness treats the peers well: each must reach what is known of it. Pure.

`KNOWN` are the peers' rates from a study of each with the best of many configurations, on a machine with two
cores and PostgreSQL 18, fsync on. Only their ratios to pgqueuer's count: another machine changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.figures import Medians

__all__ = ["BASE", "KNOWN", "LEAST_SHARE", "Suspicion", "suspicions"]

BASE: Final = "pgqueuer"
# A peer that reaches less of its known ratio to pgqueuer is not measured fairly.
LEAST_SHARE: Final = 0.8
KNOWN: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {
        "pgqueuer": {"W1": 3_389, "W2": 74_276, "W3": 23_052, "W3b": 31_400},
        "procrastinate": {"W1": 1_458, "W2": 21_929, "W3": 1_202, "W3b": 1_330},
        "graphile_worker": {"W1": 1_788, "W2": 142_526, "W3": 40_071, "W3b": 60_885},
        "oban": {"W1": 2_338, "W2": 6_878, "W3": 6_628, "W3b": 13_409},
        "saq_postgres": {"W1": 1_821, "W2": 3_463, "W3": 1_170, "W3b": 1_427},
        "taskiq": {"W1": 5_571, "W2": 4_853, "W3": 4_938, "W3b": 8_815},
        "saq_redis": {"W1": 7_397, "W2": 14_024, "W3": 3_453, "W3b": 5_091},
        "celery": {"W1": 2_423, "W2": 2_613, "W3": 1_081, "W3b": 1_993},
        "rq": {"W1": 3_765, "W2": 18_995, "W3": 494, "W3b": 792},
        "huey": {"W1": 12_143, "W2": 11_945, "W3": 4_430, "W3b": 8_561},
        "bullmq": {"W1": 10_669, "W2": 42_198, "W3": 31_160, "W3b": 25_628},
        "pg_boss": {"W1": 1_878, "W2": 64_597, "W3": 45_192, "W3b": 36_258},
    }
)


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A peer reached `share` of its known ratio to pgqueuer."""

    peer: str
    metric: str
    share: float


def suspicions(found: Medians) -> list[Suspicion]:
    """Return what says that the harness is wrong.

    A peer below 0.8 of its known ratio to pgqueuer; and pgqueuer itself where all the others are so far above
    theirs that it is more likely pgqueuer who is below.

    >>> suspicions({"W3": {"pgqueuer": 20_000, "graphile_worker": 20_000}})
    [Suspicion(peer='graphile_worker', metric='W3', share=0.58)]
    """
    return [suspicion for metric in found for suspicion in _of_metric(metric, found[metric])]


def _of_metric(metric: str, values: Mapping[str, float]) -> list[Suspicion]:
    shares = {
        peer: round(value / values[BASE] / (KNOWN[peer][metric] / KNOWN[BASE][metric]), 2)
        for peer, value in values.items()
        if peer != BASE and BASE in values and metric in KNOWN.get(peer, {})
    }
    if shares and min(shares.values()) > 1 / LEAST_SHARE:
        return [Suspicion(BASE, metric, round(1 / min(shares.values()), 2))]
    return [Suspicion(peer, metric, share) for peer, share in shares.items() if share < LEAST_SHARE]
