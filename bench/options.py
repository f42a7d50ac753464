"""What a run is asked to do."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.peers import FASTEST, peer_names

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Options", "Sizes", "parse"]

BACKLOGS = (20_000, 1_000_000, 10_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many jobs each workload takes, and which figures are wanted."""

    wanted: frozenset[str]
    publish: float = 3.0
    drain: int = 200_000
    latency: int = 250
    snapshot: int = 300_000
    backlogs: tuple[int, ...] = BACKLOGS
    mixed: float = 60.0
    features: int = 50_000
    limit: int = 300_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to measure, of whom, how often, and where to write it."""

    peers: tuple[str, ...]
    rounds: int
    sizes: Sizes
    minutes: float
    report: Path | None
    renew: bool


def parse(arguments: Sequence[str], names: Sequence[str]) -> Options:
    """Read the command line; `names` are the figures there are."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", type=_list, default=tuple(names), help="such as W1,W3 (default: all)")
    parser.add_argument(
        "--peers", type=_list, default=FASTEST, help="such as howdah,howdah@HEAD,pgqueuer, or all"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=200_000, help="jobs of a drain")
    parser.add_argument("--samples", type=int, default=250, help="latencies of a round")
    parser.add_argument("--backlogs", type=_numbers, default=BACKLOGS, help="such as 20000,1000000")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the mixed workload")
    parser.add_argument("--minutes", type=float, default=600.0, help="no round begins that would end later")
    parser.add_argument("--report", type=Path, help="such as docs/benchmarks/latest (default: print only)")
    parser.add_argument("--renew", action="store_true", help="install the newest release of each peer anew")
    given = parser.parse_args(arguments)
    if unknown := set(given.only) - set(names):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    sizes = Sizes(
        wanted=frozenset(given.only),
        drain=given.jobs,
        snapshot=given.jobs * 3 // 2,
        latency=given.samples,
        backlogs=given.backlogs,
        mixed=given.seconds,
        features=given.jobs // 4,
        limit=given.jobs * 3 // 2,
    )
    return Options(
        peers=tuple(peer_names()) if given.peers == ("all",) else given.peers,
        rounds=given.rounds,
        sizes=sizes,
        minutes=given.minutes,
        report=given.report,
        renew=given.renew,
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
