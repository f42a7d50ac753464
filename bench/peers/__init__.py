"""The peers: what `peer.toml` in each folder says."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FASTEST", "FOLDER", "PROTOCOL", "Peer", "load_peer", "peer_names"]

FOLDER = Path(__file__).parent
# Howdah, and the two that are measured beside it every time.
FASTEST = ("howdah", "pgqueuer", "graphile_worker")
# What every driver shares.
PROTOCOL = FOLDER / "protocol"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One queue that is measured.

    `runtime`: `ours`, `python` or `node`; `packages`: what is installed, `otherwise`: where the newest cannot
    be; `shown`: whose versions are reported; `python`: the oldest it runs on; `store`: `postgres` or
    `redis`; `done`: how many of the jobs $1 < id <= $2 have ended, as one statement; `first`: the number
    before the first job that has not; `left`: the same for Redis, as commands whose answers are added up;
    `asked`: which of the longer workloads it takes part in; `worker`: the command, where it is not the
    driver's own; `scale`: share of the jobs that a slow peer gets; `driver_of`: the peer whose driver it
    shares, told apart by `variables`; `commit`: our own sources as they were then.
    """

    name: str
    title: str
    runtime: str
    configuration: str
    packages: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    python: str = "3.11"
    store: str = "postgres"
    done: str = ""
    first: str = ""
    asked: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    worker: tuple[str, ...] = ()
    scale: float = 1.0
    otherwise: tuple[str, ...] = ()
    driver_of: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None

    @property
    def folder(self) -> Path:
        """Where its driver lies."""
        return FOLDER / (self.driver_of or self.name.partition("@")[0])

    @property
    def driver(self) -> Path:
        """Its driver."""
        return self.folder / f"{self.folder.name}_driver.{'mjs' if self.runtime == 'node' else 'py'}"


def load_peer(name: str) -> Peer:
    """Read what a peer's folder says about it; `howdah@COMMIT` is Howdah as it was then.

    >>> load_peer("howdah@HEAD").title
    'howdah@HEAD'
    """
    folder, _, commit = name.partition("@")
    values = tomllib.loads((FOLDER / folder / "peer.toml").read_text("utf-8"))
    values["name"] = name
    if commit:
        values |= {"title": name, "commit": commit}
    given: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in values.items()}
    return Peer(**given)


def peer_names() -> list[str]:
    """Return the names of all peers, Howdah first, then the fastest."""
    found = sorted(path.parent.name for path in FOLDER.glob("*/peer.toml"))
    return [*FASTEST, *(name for name in found if name not in FASTEST)]
