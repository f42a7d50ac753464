"""The record of a run: everything that the tables and plots are made of. Pure but for `describe_machine`."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bench.figures import Figure, medians
from bench.honesty import suspicions
from bench.targets import TARGETS, verdict

if TYPE_CHECKING:
    from bench.figures import Medians
    from bench.honesty import Suspicion
    from bench.targets import Verdict

__all__ = ["PeerRecord", "Record", "describe_machine"]


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """A peer as it was measured."""

    title: str
    configuration: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A run: when, where, who, how, and every figure."""

    day: str
    commit: str
    command: str
    machine: dict[str, str]
    server: dict[str, str]
    rounds: int
    sizes: dict[str, Any]
    minutes: float
    load: float
    peers: dict[str, PeerRecord]
    figures: list[Figure]
    failures: list[str] = field(default_factory=list)

    @property
    def medians(self) -> Medians:
        """The median of each metric of each peer."""
        return medians(self.figures)

    @property
    def verdicts(self) -> list[Verdict]:
        """What was reached of what must be."""
        return [verdict(target, self.figures) for target in TARGETS]

    @property
    def suspicions(self) -> list[Suspicion]:
        """What says that the harness is wrong."""
        return suspicions(self.medians)

    def title(self, peer: str) -> str:
        """Return a peer's name as people write it."""
        return self.peers[peer].title if peer in self.peers else peer

    def to_json(self) -> str:
        """Write everything, what can be computed too."""
        document = asdict(self) | {
            "figures": [[one.round, one.peer, one.metric, round(one.value, 4)] for one in self.figures],
            "medians": {
                metric: {peer: round(value, 4) for peer, value in values.items()}
                for metric, values in self.medians.items()
            },
            "verdicts": [
                asdict(one.target) | {"value": one.value, "verdict": one.word} for one in self.verdicts
            ],
            "suspicions": [asdict(one) for one in self.suspicions],
        }
        return _lines(document)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        document = json.loads(text)
        given = {name: document[name] for name in cls.__dataclass_fields__}
        given["peers"] = {name: PeerRecord(**peer) for name, peer in given["peers"].items()}
        given["figures"] = [Figure(*figure) for figure in given["figures"]]
        return cls(**given)


def _lines(document: dict[str, Any]) -> str:
    """Write JSON with a line for each figure, so that two runs can be compared by eye."""
    figures = ",\n  ".join(json.dumps(figure) for figure in document["figures"])
    rest = json.dumps(document | {"figures": ["FIGURES"]}, indent=1)
    return rest.replace('"FIGURES"', figures) + "\n"


def describe_machine() -> dict[str, str]:
    """Tell what everything ran on."""
    model = _first_value("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()
    kilobytes = _first_value("/proc/meminfo", "MemTotal")
    memory = f"{int(kilobytes.split()[0]) / 2**20:.0f} GiB" if kilobytes else "?"
    return {
        "processors": f"{os.cpu_count()} of {model}",
        "memory": memory,
        "system": f"{platform.system()} {platform.release()}",
    }


def _first_value(path: str, name: str) -> str | None:
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except OSError:
        return None
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), None)
