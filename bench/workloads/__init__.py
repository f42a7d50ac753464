"""The workloads: which exist, what each measures, in which order they run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.workloads import backlog, drain, features, latency, limit, memory, mixed, publish, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.options import Sizes
    from bench.peers import Peer
    from bench.stands import Stand

__all__ = ["NAMES", "WORKLOADS", "Workload"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One question: `run` answers it for one peer once; `names` are the answers', up to the first blank.

    `rounds`: at most so many; `ours`: asked of Howdah alone; `asked`: of peers whose `peer.toml` says so.
    """

    names: tuple[str, ...]
    run: Callable[[Stand, Sizes], Mapping[str, float]]
    rounds: int | None = None
    ours: bool = False
    asked: str | None = None

    def concerns(self, peer: Peer) -> bool:
        """Tell whether a peer is asked this."""
        return (peer.runtime == "ours" or not self.ours) and (self.asked is None or self.asked in peer.asked)


WORKLOADS: tuple[Workload, ...] = (
    Workload(names=("W1",), run=publish.one_at_a_time),
    Workload(names=("W1c",), run=publish.together, asked="together"),
    Workload(names=("W2", "W3"), run=drain.one_process),
    Workload(names=("W3b",), run=drain.two_processes),
    Workload(names=("W4",), run=latency.idle),
    Workload(names=("W4b",), run=latency.busy),
    Workload(names=("W5",), run=memory.idle_worker),
    Workload(names=("W6",), run=snapshot.held, asked="snapshot"),
    Workload(names=("limit",), run=limit.least, ours=True),
    Workload(names=("W9",), run=features.features, rounds=3, ours=True),
    Workload(names=("W10",), run=features.limits, rounds=3, ours=True),
    Workload(names=("W8",), run=mixed.together, rounds=1, asked="mixed"),
    Workload(names=("W7",), run=backlog.backlogs, rounds=1, asked="backlog"),
)
NAMES: tuple[str, ...] = tuple(name for workload in WORKLOADS for name in workload.names)
